"""Stopping in the middle: Ctrl-C in a query, in a library, at a question; a page that was not reached."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import tickline as tl
from python.access_support import command, environment, log, run
from python.store_support import ingest_files
from tickline.cli.common import answering

ENDLESS = "SELECT count(*) FROM range(100000000000) a, range(1000) b"


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background has them ignore Ctrl-C, and so all their children."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("made")
    (base / "a.log").write_bytes(log(0, 100))
    ingest_files(base / "store", base / "a.log")
    return base


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_query_that_would_take_for_ever_is_stopped(made: Path, number: int, code: int) -> None:
    arguments = command("access", "query", ENDLESS, "--store", made / "store")
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    try:
        # Nothing tells from outside that the query began, but no start takes so much of a core.
        deadline = time.monotonic() + 60
        while _cpu_s(process.pid) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, b"Traceback" in errors) == (code, False), errors
    assert b"stopped." in errors


def test_interrupting_from_another_thread_ends_a_query_in_a_notebook(made: Path) -> None:
    with tl.access.Store(made / "store") as store:
        timers = [
            threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)),
            # Should the signal be lost, the query ends all the same, and the test fails.
            threading.Timer(30.0, store.interrupt),
        ]
        for timer in timers:
            timer.start()
        with pytest.raises(KeyboardInterrupt):
            store.query(ENDLESS)
        for timer in timers:
            timer.cancel()
            timer.join()
        assert store.query("SELECT count(*) AS n FROM accesses")["n"].to_pylist() == [100]


def test_what_a_library_makes_of_ctrl_c_is_still_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    def library() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise SystemError("returned a result with an exception set") from None

    with pytest.raises(typer.Exit) as stop, answering(False):
        library()
    assert stop.value.exit_code == 130
    assert "stopped." in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_question_without_an_answer_does_nothing(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store", tmp_path / "store")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("access", "forget-addresses", "--store", tmp_path / "store"),
        stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip
    try:
        os.write(ours, b"\x04")
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    assert (process.returncode, errors.strip()) == (1, b"tickline: no answer came: nothing was done.")
    assert (tmp_path / "store/private/ips.sqlite").is_file()


def test_a_page_that_is_older_than_its_numbers_is_made_anew(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    places = ("--store", tmp_path / "store", "--out")
    (raw / "a.log").write_bytes(log(0, 100))
    run("access", "run", raw, *places, out, "--settle", 0, check=0)
    old = (out / "report.html").read_bytes()
    (raw / "b.log").write_bytes(log(100, 300))
    run("access", "run", raw, *places, tmp_path / "undisturbed", "--settle", 0, check=0)
    new = (tmp_path / "undisturbed/report.html").read_bytes()
    assert new != old
    # As after a kill between the last file and the page.
    with tl.access.Store(tmp_path / "store") as store:
        from tickline.pipelines.access.export.native import export_native
        from tickline.pipelines.access.export.options import ExportOptions

        options = ExportOptions(store._options(None, "all", (), ()))
        export_native(store.folder, store.summarize(), options, out)
    (out / ".tickline/export.json").write_bytes(
        (out / ".tickline/export.json").read_bytes().replace(b'"complete": true', b'"complete": false')
    )
    assert (out / "report.html").read_bytes() == old
    run("access", "run", raw, *places, out, "--settle", 0, check=0)
    assert (out / "report.html").read_bytes() == new
    before = (out / "report.html").stat().st_mtime_ns
    run("access", "run", raw, *places, out, "--settle", 0, check=0)
    assert (out / "report.html").stat().st_mtime_ns == before


def test_an_export_keeps_a_page_true_and_makes_none(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    places = ("--store", tmp_path / "store")
    (raw / "a.log").write_bytes(log(0, 100))
    run("access", "run", raw, *places, "--out", out, "--settle", 0, check=0)
    (raw / "b.log").write_bytes(log(100, 300))
    run("access", "ingest", raw, *places, "--settle", 0, check=0)
    run("access", "export", *places, "--out", out, check=0)
    page = (out / "report.html").read_bytes()
    run("access", "export", *places, "--out", tmp_path / "without", check=0)
    assert not (tmp_path / "without/report.html").exists()
    run("access", "run", raw, *places, "--out", tmp_path / "other", check=0)
    assert (tmp_path / "other/report.html").read_bytes() == page
