"""Bad input and bad places: a message that names the file, the others done, nothing half left."""

from __future__ import annotations

import errno
import gzip
import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from python.access_support import HEADER, command, environment, log, options, rows, run, tree
from tickline import files
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.reduce import work
from tickline.pipelines.access.reduce.reduce import reduce
from tickline.progress import Progress


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def assert_others_are_done(out: Path) -> None:
    assert tree(out, state=False) == {"a.tsv": HEADER + rows(0, 9), "z.tsv": HEADER + rows(0, 9)}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    put(tmp_path / "raw/a.log", log(0, 9))
    put(tmp_path / "raw/z.log", log(0, 9))
    return tmp_path / "raw"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("m.log.gz", gzip.compress(log(0, 5000), mtime=0)[:-9], "ends too early"),
        ("m.log.gz", gzip.compress(log(0, 5000), mtime=0)[:-8] + bytes(8), "damaged"),
        ("m.log.gz", b"", "empty"),
        ("m.log.zst", b"\x28\xb5\x2f\xfd\x00\x00garbage", "damaged"),
        ("m.log.zst", b"\x28\xb5\x2f\xfd", "ends too early"),
    ],
)
def test_a_damaged_source_is_named_and_the_others_are_done(
    raw: Path, name: str, data: bytes, says: str
) -> None:
    put(raw / name, data)
    for _ in range(2):  # it is no more done in the second run than in the first
        report = reduce(options(raw, raw.parent / "out"))
        assert len(report.problems) == 1
        assert name in str(report.problems[0])
        assert says in str(report.problems[0])
        assert report.problems[0].hint
        assert_others_are_done(raw.parent / "out")
    put(raw / name, log(0, 1))
    assert reduce(options(raw, raw.parent / "out")).problems == []


def test_a_link_that_leads_nowhere_is_named_and_the_others_are_done(raw: Path) -> None:
    (raw / "m.log").symlink_to(raw / "nothing")
    report = reduce(options(raw, raw.parent / "out"))
    assert [str(raw / "m.log") in str(problem) for problem in report.problems] == [True]
    assert_others_are_done(raw.parent / "out")


def test_an_unreadable_source_is_named_and_the_others_are_done(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions do not stop root, so the refusal is played."""
    put(raw / "m.log", log(0, 9))
    real = work.open_source

    def refuse(path: str) -> object:
        if path.endswith("m.log"):
            raise SourceError("may not be opened", where=path, hint="Check its permissions.")
        return real(path)

    monkeypatch.setattr(work, "open_source", refuse)
    report = reduce(options(raw, raw.parent / "out"))
    assert [problem.where for problem in report.problems] == [str(raw / "m.log")]
    assert_others_are_done(raw.parent / "out")


class During(Progress):
    """Does something as soon as the first bytes are read."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act
        self._mutex = threading.Lock()

    def advance(self, size: int) -> None:
        with self._mutex:
            act, self._act = self._act, None
        if act is not None:
            act()


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(log(0, 1))


@pytest.mark.parametrize("act", [_append, Path.unlink, lambda path: os.truncate(path, 5000)])
def test_a_source_that_changes_while_it_is_read_is_reported_and_not_recorded(
    tmp_path: Path, act: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "PIECE_BYTES", 20_000)
    source = put(tmp_path / "raw/a.log", log(0, 500))
    put(tmp_path / "raw/b.log", log(0, 9))
    report = reduce(options(tmp_path / "raw", tmp_path / "out"), During(lambda: act(source)))
    assert ["changed while it was read" in str(problem) for problem in report.problems] == [True]
    assert tree(tmp_path / "out", state=False) == {"b.tsv": HEADER + rows(0, 9)}
    source.write_bytes(log(0, 20))
    assert reduce(options(tmp_path / "raw", tmp_path / "out")).problems == []
    assert (tmp_path / "out/a.tsv").read_bytes() == HEADER + rows(0, 20)


def test_a_source_that_vanishes_before_it_is_read_is_reported(raw: Path) -> None:
    put(raw / "m.log", log(0, 9))
    from tickline.pipelines.access.reduce.plan import Plan, find_sources

    found = find_sources(options(raw, raw.parent / "out"), Plan())
    assert [source.name for source in found] == ["a.log", "m.log", "z.log"]
    with pytest.MonkeyPatch.context() as patch:
        real = work.open_source

        def vanish(path: str) -> object:
            if path.endswith("m.log"):
                Path(path).unlink()
            return real(path)

        patch.setattr(work, "open_source", vanish)
        report = reduce(options(raw, raw.parent / "out"))
    assert [str(problem) for problem in report.problems if "m.log: does not exist" in str(problem)]
    assert_others_are_done(raw.parent / "out")


def test_a_full_disk_is_said_once_and_leaves_nothing_half(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.WholeFile.write

    def full(self: files.WholeFile, data: bytes, /) -> int:
        if self.path.name == "a.tsv" and data != HEADER:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, data)

    monkeypatch.setattr(files.WholeFile, "write", full)
    report = reduce(options(raw, raw.parent / "out"))
    assert "a.tsv" in str(report.problems[0])
    assert "the disk is full" in str(report.problems[0])
    assert "a.tsv" not in tree(raw.parent / "out")
    monkeypatch.undo()
    assert reduce(options(raw, raw.parent / "out")).problems == []
    assert_others_are_done(raw.parent / "out")


def test_a_device_without_room_is_reported(raw: Path) -> None:
    done = run("access", "reduce", raw / "a.log", "/dev/full", check=1)
    assert b"the disk is full" in done.stderr


def test_a_limit_of_file_size_fails_the_large_output_only(raw: Path) -> None:
    put(raw / "m.log", log(0, 9000))

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    arguments = command("access", "reduce", raw, raw.parent / "out")
    done = subprocess.run(arguments, capture_output=True, env=environment(), preexec_fn=limit, timeout=120)
    assert done.returncode == 1
    assert b"m.tsv: the file grew beyond the allowed size" in done.stderr
    assert b"Traceback" not in done.stderr
    assert_others_are_done(raw.parent / "out")
    assert run("access", "reduce", raw, raw.parent / "out").returncode == 0
    assert (raw.parent / "out/m.tsv").read_bytes() == HEADER + rows(0, 9000)


def test_a_folder_without_logs_says_what_was_looked_for(tmp_path: Path) -> None:
    put(tmp_path / "raw/notes.txt", b"")
    done = run("access", "reduce", tmp_path / "raw", tmp_path / "out", check=1)
    assert b"no logs were found" in done.stderr
    assert b"*.log" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_missing_raw_is_wrong_usage(tmp_path: Path) -> None:
    done = run("access", "reduce", tmp_path / "raw", tmp_path / "out", check=2)
    assert str(tmp_path / "raw").encode() in done.stderr
    assert not (tmp_path / "out").exists()


def test_out_that_cannot_be_written_is_named(raw: Path) -> None:
    put(raw.parent / "file", b"")
    done = run("access", "reduce", raw, raw.parent / "file/out", check=1)
    assert b"OUT cannot be written" in done.stderr
    assert run("access", "reduce", raw, raw.parent / "file", check=2).stderr.count(b"\n") == 1


def test_lists_that_cannot_be_written_are_problems_and_the_outputs_are_made(raw: Path) -> None:
    put(raw / "bad.log", b"bad\n" * 10)
    for name in ("rejects", "accounting"):
        (raw.parent / name).mkdir()
        report = reduce(options(raw, raw.parent / "out", **{name: str(raw.parent / name)}))
        assert [problem.where for problem in report.problems] == [str(raw.parent / name)]
        assert (raw.parent / "out/a.tsv").exists()
        assert not list(raw.parent.glob(".tickline-tmp*"))


def test_a_pipe_is_read_anew_by_every_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for last in (5, 6):
        writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(log(0, last),))
        writer.start()
        assert reduce(options(tmp_path / "pipe", tmp_path / "out")).problems == []
        writer.join()
        assert (tmp_path / "out/pipe.tsv").read_bytes() == HEADER + rows(0, last)


def test_a_source_that_grew_since_it_was_found_is_recorded_as_it_was_read(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = work.open_source

    def grow(path: str) -> object:
        if path.endswith("z.log") and Path(path).stat().st_size == len(log(0, 9)):
            Path(path).write_bytes(log(0, 200))
        return real(path)

    monkeypatch.setattr(work, "open_source", grow)
    monkeypatch.setattr(work, "PIECE_BYTES", 10_007)
    assert reduce(options(raw, raw.parent / "out")).problems == []
    assert (raw.parent / "out/z.tsv").read_bytes() == HEADER + rows(0, 200)
    assert reduce(options(raw, raw.parent / "out")).count("kept") == 2


def test_raw_and_out_must_differ(raw: Path) -> None:
    for out in (raw, raw / ".", raw.parent / "link"):
        if out.name == "link":
            out.symlink_to(raw, target_is_directory=True)
        with pytest.raises(UsageError, match="same folder"):
            reduce(options(raw, out))
    with pytest.raises(UsageError, match="same file"):
        reduce(options(raw / "a.log", raw / "a.log"))
    assert (raw / "a.log").read_bytes() == log(0, 9)


def test_an_output_name_taken_by_a_folder_is_reported(raw: Path) -> None:
    put(raw / "m.log", log(0, 9))
    (raw.parent / "out/m.tsv").mkdir(parents=True)
    report = reduce(options(raw, raw.parent / "out"))
    assert ["m.tsv" in str(problem) for problem in report.problems] == [True]
    assert_others_are_done(raw.parent / "out")


def test_a_state_that_cannot_be_understood_is_an_error_that_says_what_to_do(raw: Path) -> None:
    entry = b'{"size": 1, "mtime_ns": 1, "options": "", "output": "../x.tsv", "accounting": {}}'
    for text in (
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"format": 1}',
        b'{"format": 1, "sources": {"a.log": 5}, "contents": {}}',
        b'{"format": 1, "sources": {}, "contents": {"a.log": {}}}',
        b'{"format": 1, "sources": {"a.log": %b}, "contents": {}}' % entry,
    ):
        put(raw.parent / "out/.tickline/reduce.json", text)
        with pytest.raises(TicklineError, match="Remove it"):
            reduce(options(raw, raw.parent / "out"))


def test_a_broken_pipe_is_silent(tmp_path: Path) -> None:
    put(tmp_path / "a.log", log(0, 60_000))
    arguments = command("access", "reduce", tmp_path / "a.log", "-")
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline() == HEADER
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.wait(60) == 1


def test_missing_pyarrow_names_the_extra(raw: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from tickline.cli import main; main()"
    arguments = [
        command()[0],
        "-c",
        code,
        "access",
        "reduce",
        str(raw),
        str(raw.parent / "out"),
        "--format",
        "parquet",
    ]
    done = subprocess.run(arguments, capture_output=True, env=environment(), timeout=120)
    assert done.returncode == 1
    assert b"tickline[access]" in done.stderr
    assert not (raw.parent / "out").exists()


def test_a_stopped_run_says_so_and_the_next_one_goes_on(tmp_path: Path) -> None:
    import signal
    import time

    packed = gzip.compress(log(0, 30_000), 1)
    for number in range(40):
        put(tmp_path / f"raw/{number}.log.gz", packed)
    arguments = command("access", "reduce", tmp_path / "raw", tmp_path / "out", "--threads", "2")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        process = subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        )
        while process.poll() is None and not list((tmp_path / "out").glob("*.tsv")):
            time.sleep(0.001)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert b"run it again to go on" in errors
        assert b"Traceback" not in errors
        assert not list((tmp_path / "out").rglob(".tickline-tmp-*"))
    run(*arguments[3:], check=0)
    assert {len(data) for data in tree(tmp_path / "out", state=False).values()} == {
        len(HEADER + rows(0, 30_000))
    }
