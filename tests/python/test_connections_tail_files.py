"""Which files are held open and known while logs are followed: many, empty ones, and such behind links."""

from __future__ import annotations

import gzip
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import tickline.pipelines.connections.follower as follower
from python.access_support import command, environment
from python.connections_support import NOW_S, report_on
from python.tail_support import Tail, Writer, check_all, options_of
from tickline.pipelines.connections.logparser import as_text
from tickline.pipelines.connections.tail import follow


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _open_files(folder: Path) -> int:
    """Return how many files below a folder this process has open."""
    held = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            held += str(entry.readlink()).startswith(str(folder))
        except OSError:
            continue
    return held


def _first_and_last_report(place: Path, form: str, *, before: str = "") -> tuple[bytes, bytes]:
    """Return what the command prints until it has made a report and is stopped."""
    asked = map(str, command("connections", "--tail", place, "a", "b", "--format", form))
    limited = ["sh", "-c", f'{before} exec "$@"', "-", *asked]
    pipe = subprocess.PIPE
    with subprocess.Popen(limited, stdout=pipe, stderr=pipe, env=environment(), bufsize=0) as process:
        try:
            assert process.stdout is not None
            shown = process.stdout.read(65536)
            process.send_signal(signal.SIGINT)
            rest, told = process.communicate(timeout=60)
            return shown + rest, told
        finally:
            process.kill()


@pytest.mark.parametrize("age_s", [0, 1000])
def test_more_logs_than_descriptors_are_followed(tmp_path: Path, age_s: int, few_descriptors: None) -> None:
    for number in range(100):
        path = tmp_path / f"{number}.log"
        path.write_text(f"{NOW_S - 9} host{number} Papa\n")
        written_s = path.stat().st_mtime - age_s
        os.utime(path, (written_s, written_s))
    with closing(Tail(tmp_path)) as tail:
        for looks in range(1, 4):
            tail.look()
            result = tail.report()
            assert not result.problems
            assert result.connections == 100 * looks
            assert _open_files(tmp_path) <= 32
            assert _open_files(tmp_path) == 0 or not age_s or looks > 1
            for number in range(100):
                with (tmp_path / f"{number}.log").open("a") as file:
                    file.write(f"{NOW_S - 8} host{number} Papa\n")


def test_the_command_follows_more_logs_than_it_has_descriptors(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number}.log").write_text(f"{NOW_S} a host{number}\n")
    shown, told = _first_and_last_report(tmp_path, "csv", before="ulimit -n 64;")
    assert b"Too many open files" not in told
    assert shown.count(b"list,name,count\n") == 2


def test_of_too_many_logs_those_that_were_written_last_are_read_to_their_ends_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_MOST_OPEN", 3)
    logs = [Writer(tmp_path / f"{number}.log") for number in range(6)]
    for log in logs:
        log.write(10)
    with closing(Tail(tmp_path / "*.log")) as tail:
        tail.look()
        assert _open_files(tmp_path) == 3
        for log in logs[:2]:
            log.write(10)
            tail.look()
        for log in logs[:2]:
            log.write(10)
            log.rename(f"{log.path.name}.1")
        tail.look()
        for log in logs[1:]:
            logs[0].pairs += log.pairs
            logs[0].lines += log.lines
        assert check_all(tail, logs[0])
        assert _open_files(tmp_path) <= 3


def test_a_log_without_a_line_is_one_that_was_found(tmp_path: Path) -> None:
    (tmp_path / "empty.log").touch()
    # The end of its line is missing, and may come.
    (tmp_path / "part.log").write_text(f"{NOW_S} a b")
    for name in ("empty.log", "part.log", "*.log"):
        with closing(Tail(tmp_path / name)) as tail:
            tail.look()
            mine, single = tail.report(), report_on(tmp_path / name)
            sources = [source["path"] for source in mine.accounting["sources"]]
            assert sources == [source["path"] for source in single.accounting["sources"]]
            assert sources


def test_a_log_that_appears_empty_is_one_that_was_found(tmp_path: Path) -> None:
    with closing(Tail(tmp_path / "*.log")) as tail:
        tail.look()
        assert not tail.report().accounting["sources"]
        (tmp_path / "new.log").touch()
        tail.look(2)
        (source,) = tail.report().accounting["sources"]
        assert (source["path"], source["lines"]) == (str(tmp_path / "new.log"), 0)


def test_the_old_text_of_an_empty_log_is_that_there_are_no_data(tmp_path: Path) -> None:
    path = tmp_path / "empty.log"
    path.touch()
    shown, _ = _first_and_last_report(path, "logparser")
    assert shown == b"No data in last 3600 seconds\n" * 2


@pytest.mark.parametrize("looks", [1, 3])
def test_a_log_that_appears_empty_is_read_even_if_it_is_renamed_as_soon_as_it_has_lines(
    tmp_path: Path, looks: int
) -> None:
    log = Writer(tmp_path / "connections.log")
    with closing(Tail(log.path)) as tail:
        tail.look()
        log.path.touch()
        tail.look(looks)
        log.write(5)
        log.rename("connections.log.1")
        tail.look()
        assert check_all(tail, log)
        # The one that was made anew is empty, too.
        log.write(7)
        log.rename("connections.log.2")
        log.write(1)
        tail.look(2)
        assert check_all(tail, log)


def test_an_empty_file_that_becomes_a_copy_is_not_counted_again(tmp_path: Path) -> None:
    log = Writer(tmp_path / "connections.log")
    log.write(50)
    with closing(Tail(tmp_path / "*.log*")) as tail:
        tail.look()
        copy = tmp_path / "connections.log.1"
        copy.touch()
        tail.look(2)
        copy.write_bytes(log.path.read_bytes())
        tail.look(2)
        assert check_all(tail, log)
        assert len(tail.report().accounting["sources"]) == 1
        # It loses its name and is still a copy.
        other = tmp_path / "connections.log.2"
        other.touch()
        tail.look()
        other.write_bytes(log.path.read_bytes())
        other.rename(tmp_path / "elsewhere")
        tail.look(2)
        assert check_all(tail, log)


@pytest.mark.parametrize("renamed", [False, True])
def test_an_empty_file_that_becomes_compressed_is_not_taken_for_text(tmp_path: Path, renamed: bool) -> None:
    log = Writer(tmp_path / "connections.log")
    with closing(Tail(log.path)) as tail:
        tail.look()
        log.path.touch()
        tail.look()
        other = Writer(tmp_path / "other")
        other.write(50)
        log.add(gzip.compress(other.path.read_bytes()))
        if renamed:
            log.rename("connections.log.1")
        tail.look(2)
        assert check_all(tail, log if renamed else other)
        assert not _open_files(tmp_path / "connections.log.1")


def test_files_that_stay_empty_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Tail(tmp_path / "*.log")) as tail:
        tail.look()
        log = Writer(tmp_path / "connections.log")
        log.path.touch()
        tail.look()
        assert _open_files(tmp_path) == 1
        monkeypatch.setattr(follower, "_KEPT_OPEN_S", -1.0)
        tail.look()
        assert _open_files(tmp_path) == 0
        log.write(3)
        tail.look()
        assert check_all(tail, log)


@pytest.mark.parametrize("unread", [0, 100])
def test_the_copy_of_a_log_behind_a_link_is_found_beside_the_file(tmp_path: Path, unread: int) -> None:
    (tmp_path / "data").mkdir()
    log = Writer(tmp_path / "data" / "x.log")
    log.write(100)
    link = tmp_path / "current"
    link.symlink_to(log.path)
    with closing(Tail(link)) as tail:
        tail.look()
        for number in range(2):
            log.write(unread) if unread else None
            log.copy_and_empty(f"x.log.{number}")
            log.write(30)
            tail.look(2)
            assert check_all(tail, log)["noted"] == {"emptied": number + 1}


def test_more_logs_than_descriptors_are_in_the_first_report(tmp_path: Path, few_descriptors: None) -> None:
    for number in range(100):
        (tmp_path / f"{number}.log").write_text(f"{NOW_S - 9} a{number} Papa\n")

    def stop(result: object) -> None:
        raise KeyError(as_text(result))  # type: ignore[arg-type]

    with pytest.raises(KeyError, match="a99"):
        follow(options_of(tmp_path), stop)
