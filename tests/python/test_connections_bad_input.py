"""What `tickline connections` does with logs that are none, or not there: counted or named, no traceback."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from python.connections_cli_support import NOW, SMALL, call, small_log
from tickline.clients.remote_files import Address
from tickline.errors import SourceError
from tickline.pipelines.connections import count, files
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.pieces import too_many

BAD = {
    "field_count": [b"", b"%d tower", b"%d", b"%d tower Papa more", b"tower Papa"],
    "bad_epoch": [
        b"yesterday tower Papa",
        b"1e9 tower Papa",
        b"0x10 tower Papa",
        b"%d.1234567890 tower Papa",
    ],
    "out_of_range": [b"9999999999999 tower Papa"],
    "bad_name": [b"%d " + b"x" * 10_000 + b" Papa", b"%d tower \xff\xfe"],
    "bad_column": [b"%d to\x00wer Papa", b"%d tower Papa\x1b[2J"],
    "line_too_long": [b"%d " + b"x" * 2_000_000 + b" Papa"],
}


@pytest.mark.parametrize("reason", BAD)
def test_lines_that_are_no_connections_are_counted_and_the_first_is_named(
    tmp_path: Path, reason: str
) -> None:
    lines = [line.replace(b"%d", b"%d" % NOW) for line in BAD[reason] if line]
    path = tmp_path / "a.log"
    path.write_bytes(SMALL.encode() + b"".join(line + b"\n" for line in lines) + SMALL.encode())
    done = call(path, "tower", "Papa", "--now", NOW, "--json")
    found = json.loads(done.stdout)
    assert found["connected_to"]["hosts"] == {"sierra": 2, "tower": 4}
    assert (found["lines"], found["rejected"]) == (12 + len(lines), len(lines))
    assert found["accounting"]["total"]["rejected"] == {reason: len(lines)}
    noun = "line" if len(lines) == 1 else "lines"
    note = f"a.log: {len(lines)} {noun} rejected, the first in line 7 ({reason} {len(lines)})\n"
    assert done.stderr.endswith(note)
    shown = call(path, "tower", "Papa", "--now", NOW, "--quiet")
    assert f"; {len(lines)} rejected ({reason} {len(lines)})\n" in shown.stdout
    assert shown.stderr == ""


def test_blank_lines_are_nothing_to_speak_of(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("\n \n\t\r\n" + SMALL)
    done = call(path, "tower", "Papa", "--now", NOW, "--json")
    assert json.loads(done.stdout)["accounting"]["total"]["filtered"] == {"blank": 3, "time": 2}
    assert done.stderr == ""


def test_a_binary_file_is_counted_and_leaves_the_others_alone(tmp_path: Path) -> None:
    binary = tmp_path / "binary.log"
    binary.write_bytes(os.urandom(300_000))
    done = call(binary, small_log(tmp_path), "tower", "Papa", "--now", NOW, "--json")
    found = json.loads(done.stdout)
    assert found["connected_to"]["hosts"] == {"sierra": 1, "tower": 2}
    source = found["accounting"]["sources"][0]
    assert source["lines"] == sum(source["rejected"].values()) + sum(source["filtered"].values()) > 500
    assert "binary.log" in done.stderr


@pytest.mark.parametrize("form", ["table", "logparser"])
def test_millions_of_hosts_are_a_sentence_and_no_end_of_memory(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{NOW} host-with-a-number-{i} Papa\n" for i in range(100_000)))
    asked = (path, "tower", "Papa", "--now", NOW, "--format", form)
    done = call(*asked, "--memory", "10MB", "--threads", 2, check=1)
    assert done.stderr == (
        "tickline: memory: hosts and their counts need more than the 10 MB that are allowed: 2.5 MB for each "
        "of 4 tables, two for each thread and two more. Allow more with --memory or ask for a shorter window "
        "or longer buckets.\n"
    )
    assert done.stdout == ""
    assert "Papa" in call(*asked).stdout
    # Threads that have nothing to do take no share of it.
    assert "Papa" in call(*asked, "--memory", "100MB", "--threads", 100_000).stdout


def test_threads_are_no_more_than_cores_and_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count, "cores", lambda: 6)
    small, large = str(small_log(tmp_path)), tmp_path / "large.log"
    with large.open("wb") as file:
        file.truncate(10**8)
    asked = ConnectionOptions(("-",), "tower", "Papa", threads=100)
    there = Address("https://host/a.log", "https://host/a.log")
    for logs, threads in [
        ([small], 1),
        (["-", "gone.log", small], 3),
        ([str(large)], 6),
        ([small, there], 32),
        ([], 1),
    ]:
        assert count.with_useful_threads(asked, logs).threads == threads
    assert count.with_useful_threads(replace(asked, threads=2), [str(large)]).threads == 2
    error = too_many(replace(asked, threads=2))
    assert "333.3 MB for each of 6 tables" in error.what
    assert error.hint is not None
    assert "take fewer --threads" in error.hint


def damaged_gzip() -> bytes:
    return gzip.compress(SMALL.encode() * 10_000)[:-200]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gone.log", "does not exist"),
        ("dangling.log", "does not exist"),
        ("cut.log.gz", "cut.log.gz: "),
        ("loop.log", "too many symbolic links"),
    ],
)
@pytest.mark.parametrize("form", ["table", "json", "csv", "logparser"])
def test_what_cannot_be_read_is_named_and_the_rest_is_reported(
    tmp_path: Path, name: str, says: str, form: str
) -> None:
    (tmp_path / "dangling.log").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.log").symlink_to(tmp_path / "loop.log")
    (tmp_path / "cut.log.gz").write_bytes(damaged_gzip())
    good = small_log(tmp_path)
    asked = ("tower", "Papa", "--now", NOW, "--format", form)
    done = call(tmp_path / name, good, *asked, check=1)
    assert says in done.stderr
    assert name in done.stderr
    alone = call(good, *asked).stdout
    if form == "json":
        problems = json.loads(done.stdout).pop("problems")
        assert [Path(problem["where"]).name for problem in problems] == [name]
        assert json.loads(done.stdout)["top"] == json.loads(alone)["top"]
    else:
        assert done.stdout == alone


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, good = small_log(tmp_path, "secret.log"), small_log(tmp_path, "good.log")
    real = os.open

    def denied(path: str, *arguments: int, **more: int) -> int:
        if str(path).endswith("secret.log"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", denied)
    done = call(secret, good, "tower", "Papa", "--now", NOW, check=1)
    assert "secret.log: may not be opened" in done.stderr
    assert done.stdout.startswith("4 connections")
    alone = call(secret, "tower", "Papa", "--now", NOW, "--format", "logparser", check=1)
    assert alone.stdout == "No log files found!\n"
    assert "secret.log: may not be opened" in alone.stderr


def test_a_file_that_vanishes_after_it_was_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, gone = small_log(tmp_path, "a.log"), small_log(tmp_path, "b.log")
    real = files.os.stat

    def vanishing(path: str, **more: bool) -> os.stat_result:
        status = real(path, **more)
        if str(path) == str(gone):
            gone.unlink()
        return status

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "stat", vanishing)
        done = call(f"{tmp_path}/*.log", "tower", "Papa", "--now", NOW, check=1)
    assert "b.log: does not exist" in done.stderr
    assert done.stdout == call(good, "tower", "Papa", "--now", NOW).stdout


@pytest.mark.parametrize("place", ["nothing.log", "nothing*.log", "empty"])
def test_no_log_at_all_is_an_error_and_for_logparser_its_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    asked = (tmp_path / place, "tower", "Papa")
    for form in ("table", "json", "csv"):
        done = call(*asked, "--format", form, check=1)
        assert done.stdout == ""
        assert place in done.stderr
    done = call(*asked, "--format", "logparser")
    assert (done.stdout, done.stderr) == ("No log files found!\n", "")


def test_what_leads_nowhere_is_named_for_logparser_too(tmp_path: Path) -> None:
    loop = tmp_path / "loop.log"
    loop.symlink_to(loop)
    done = call(loop, "tower", "Papa", "--format", "logparser", check=1)
    assert done.stdout == "No log files found!\n"
    assert "loop.log: too many symbolic links" in done.stderr


def test_a_folder_stands_for_the_logs_below_it(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    small_log(tmp_path / "below")
    (tmp_path / "notes.txt").write_text("no log")
    assert call(tmp_path, "tower", "Papa", "--now", NOW).stdout.startswith("4 connections")


def test_the_first_bad_line_is_named_for_a_file_whose_name_is_no_text_too(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"non\xff\xfeutf.log")
    path.write_text(SMALL + "no line\n")
    done = call(path, "tower", "Papa", "--now", NOW)
    assert done.stderr.endswith("utf.log: 1 line rejected, the first in line 7 (field_count 1)\n")


@pytest.mark.parametrize("place", ["", "*.log"])
def test_a_pipe_beside_the_logs_is_left_out_and_a_name_of_two_lines_is_not(
    tmp_path: Path, place: str
) -> None:
    for name in ("a.log", "b\nc.log"):
        (tmp_path / name).write_text(SMALL)
    os.mkfifo(tmp_path / "pipe.log")
    done = call(tmp_path / place, "tower", "Papa", "--now", NOW, "--json")
    assert json.loads(done.stdout)["lines"] == 12
    assert done.stderr == "tickline: note: left out: pipe, socket or device 1\n"


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{NOW} \u202eevil Papa\n{NOW} \u009b2J Papa\n")
    done = call(path, "\x1b[31mred", "Papa", "--now", NOW)
    assert "\\xe2\\x80\\xaeevil" in done.stdout
    assert not {"\x1b", "\u202e", "\u009b"} & set(done.stdout)


def test_arguments_that_are_no_text_are_shown_escaped(tmp_path: Path) -> None:
    asked = (small_log(tmp_path), os.fsdecode(b"\xff"), "Papa", "--now", NOW)
    assert "Connections from \\xff: to 0 servers" in call(*asked).stdout
    assert json.loads(call(*asked, "--json").stdout)["connections_from"]["host"] == "\udcff"


def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    asked = (small_log(tmp_path), "tower", "Papa", "--now", NOW)
    (tmp_path / "folder").mkdir()
    assert "is a folder" in call(*asked, "--out", tmp_path / "folder", check=1).stderr
    below = tmp_path / "connections.log" / "report"
    assert "connections.log" in call(*asked, "--out", below, check=1).stderr


def test_a_pipe_for_the_report_gets_it_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        call(small_log(tmp_path), "tower", "Papa", "--now", NOW, "--out", pipe)
        assert os.read(reader, 4096).startswith(b"4 connections")
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_the_error_of_no_log_is_one_for_callers(tmp_path: Path) -> None:
    from tickline.pipelines.connections.options import ConnectionOptions
    from tickline.pipelines.connections.report import connection_report

    with pytest.raises(SourceError, match="no log was found"):
        connection_report(ConnectionOptions((f"{tmp_path}/*.log",), "a", "b"))
