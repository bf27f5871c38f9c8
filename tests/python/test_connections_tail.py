"""Logs that are followed: whatever becomes of a file, each of its lines is counted once."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tickline.pipelines.connections.follower as follower
import tickline.pipelines.connections.tally as tally
from python.connections_support import NOW_S, ordered, report_on
from python.tail_support import Tail, Writer, check_all, compress, pairs_of
from tickline.errors import UsageError

Start = Callable[..., Tail]


@pytest.fixture
def start() -> Iterator[Start]:
    tails = []

    def begin(*places: Path | str, **options: object) -> Tail:
        tails.append(Tail(*places, **options))
        return tails[-1]

    yield begin
    for tail in tails:
        tail.close()


@pytest.fixture
def log(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "connections.log")


def test_the_first_look_is_a_single_run(tmp_path: Path, start: Start) -> None:
    (tmp_path / "a.log").write_bytes(ordered(5000) + b"x\n1 2 3 4\n\n")
    # Alike from the first to the last byte, and each is to be counted.
    shutil.copyfile(tmp_path / "a.log", tmp_path / "b.log")
    (tmp_path / "c.log.gz").write_bytes(gzip.compress(ordered(20)))
    (tmp_path / "d.log").write_bytes(ordered(2) + b"x\n1 2 3 4\n")
    tail = start(tmp_path / "*.log*")
    tail.look()
    mine, single = tail.report(), report_on(tmp_path / "*.log*")
    for part in ("top", "connected_to", "connections_from", "buckets", "window", "accounting"):
        assert getattr(mine, part) == getattr(single, part)
    lines = mine.rejects.column("line").tolist()
    assert lines == single.rejects.column("line").tolist() == [0, 0, 0, 0, 21, 22]
    tail.look(3)
    assert tail.report().as_json() == mine.as_json()


def test_what_is_added_is_counted_and_a_part_of_a_line_waits_for_its_end(log: Writer, start: Start) -> None:
    log.write(10)
    tail = start(log.path)
    tail.look()
    assert check_all(tail, log)
    log.add(f"{NOW_S - 9} to".encode())
    tail.look(2)
    assert check_all(tail, log)
    log.add(b"wer Pa")
    tail.look(2)
    assert check_all(tail, log)
    log.add(b"pa\n")
    log.pairs["tower", "Papa"] += 1
    log.lines += 1
    tail.look(2)
    assert check_all(tail, log)
    log.write(5000)
    tail.look()
    assert check_all(tail, log)


def test_a_last_line_that_nobody_touches_any_more_is_one(log: Writer, start: Start) -> None:
    log.write(3, end=b"")
    tail = start(log.path)
    tail.look()
    assert tail.report().connections == 2
    os.utime(log.path, (1e9, 1e9))
    tail.look(2)
    assert check_all(tail, log)
    # Its end comes after all, and other lines.
    log.add(b"\n")
    log.write(2)
    tail.look(2)
    assert check_all(tail, log)


def test_a_renamed_log_is_read_to_its_end_whether_its_new_name_is_asked_for_or_not(
    tmp_path: Path, start: Start
) -> None:
    for pattern in ("*.log", "*.log*"):
        log = Writer(tmp_path / pattern.count("*").__str__() / "connections.log")
        log.path.parent.mkdir()
        log.write(100)
        tail = start(log.path.parent / pattern)
        tail.look()
        log.write(50)
        other = log.rename("connections.log.1")
        log.write(20)
        tail.look()
        assert check_all(tail, log)
        # The daemon has not reopened it yet.
        Writer.add(Writer(other), f"{NOW_S - 1} late Papa\n".encode())
        log.pairs["late", "Papa"] += 1
        log.lines += 1
        tail.look()
        other.rename(other.with_name("connections.log.2"))
        log.rename("connections.log.1")
        log.write(30)
        tail.look(2)
        assert check_all(tail, log)


@pytest.mark.parametrize("pattern", ["*.log", "*.log*"])
@pytest.mark.parametrize("unread", [0, 1, 500])
def test_what_a_log_told_before_it_was_emptied_is_found_in_the_copy(
    log: Writer, start: Start, pattern: str, unread: int
) -> None:
    log.write(700)
    tail = start(log.path.parent / pattern)
    tail.look()
    for number in range(3):
        if unread:
            log.write(unread)
        log.copy_and_empty(f"connections.log-{number}")
        # Less than before, as much, and more.
        log.write((300, 700, 2000)[number])
        tail.look(2)
        assert check_all(tail, log)["noted"] == {"emptied": number + 1}


def test_a_copy_that_is_being_made_is_no_new_log(log: Writer, start: Start) -> None:
    log.write(3000)
    tail = start(log.path.parent / "*.log*")
    tail.look()
    log.write(100)
    copy = log.path.with_name("connections.log.1")
    whole = log.path.read_bytes()
    for size in (0, 1, 400, 20_000, len(whole) - 10):
        copy.write_bytes(whole[:size])
        tail.look(2)
        assert check_all(tail, log)
    log.write(50)
    copy.write_bytes(log.path.read_bytes())
    tail.look()
    # What comes between copying and emptying is lost by rotation, but was read before.
    log.write(7)
    tail.look()
    os.truncate(log.path, 0)
    log.write(5)
    tail.look(3)
    assert check_all(tail, log)
    log.write(5)
    copy.rename(copy.with_name("connections.log.2"))
    log.copy_and_empty("connections.log.1")
    tail.look(3)
    assert check_all(tail, log)


def test_a_copy_to_which_others_write_is_read_from_where_it_differs(
    log: Writer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "_BEING_WRITTEN_S", 0.0)
    log.write(100)
    tail = start(log.path.parent / "*.log*")
    tail.look()
    other = Writer(log.path.with_name("other.log"))
    shutil.copyfile(log.path, other.path)
    tail.look()
    assert check_all(tail, log)
    other.write(30)
    log.write(4)
    tail.look(2)
    log.pairs += other.pairs
    log.lines += other.lines
    assert check_all(tail, log)


def test_files_that_begin_alike_are_two(log: Writer, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    log.write(100)
    tail = start(log.path.parent / "*.log*")
    tail.look()
    one, other = Writer(log.path.with_name("one.log")), Writer(log.path.with_name("other.log"))
    for writer in (one, other):
        writer.write(1)
    tail.look(2)
    # As long as they are the beginning of the first one, nobody can know; and not for ever.
    assert check_all(tail, log)
    other.add(f"{NOW_S - 3} other Papa\n".encode())
    tail.look()
    log.pairs += other.pairs + type(log.pairs)({("other", "Papa"): 1})
    log.lines += 2
    assert check_all(tail, log)
    monkeypatch.setattr(follower, "_BEING_WRITTEN_S", 0.0)
    tail.look()
    log.pairs += one.pairs
    log.lines += 1
    assert check_all(tail, log)


def test_compressed_rotated_logs_are_not_counted_again(log: Writer, start: Start) -> None:
    log.write(4000)
    tail = start(log.path.parent / "*.log*")
    tail.look()
    log.write(10)
    rotated = log.rename("connections.log.1")
    log.write(10)
    tail.look()
    packed = compress(rotated)
    tail.look(2)
    assert check_all(tail, log)
    packed.rename(packed.with_name("connections.log.2.gz"))
    # Rotated and compressed between two looks, with lines that nobody has seen.
    log.write(300)
    compress(log.rename("connections.log.1"))
    log.write(10)
    tail.look(2)
    assert check_all(tail, log)
    log.write(20)
    compress(log.copy_and_empty("connections.log.0"))
    log.write(10)
    tail.look(2)
    assert check_all(tail, log)


def test_a_compressed_log_that_is_being_written_waits(
    log: Writer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = start(log.path.parent / "*.log*")
    tail.look()
    other = Writer(log.path.with_name("other"))
    other.write(5000)
    packed = gzip.compress(other.path.read_bytes())
    path = log.path.with_name("new.log.gz")
    for size in (0, 1, 100, len(packed) - 1):
        path.write_bytes(packed[:size])
        tail.look(2)
        assert not tail.report().problems
        assert tail.report().connections == 0
    monkeypatch.setattr(follower, "_BEING_WRITTEN_S", 0.0)
    tail.look(2)
    (problem,) = tail.report().problems
    assert "new.log.gz: its gzip data ends too early" in str(problem)
    path.write_bytes(packed)
    tail.look(2)
    assert check_all(tail, other)


def test_new_files_and_folders_are_picked_up_and_removed_ones_leave_what_they_told(
    tmp_path: Path, start: Start
) -> None:
    tail = start(tmp_path / "logs" / "**" / "*.log")
    tail.look()
    assert tail.report().connections == 0
    folder = tmp_path / "logs" / "one" / "two"
    folder.mkdir(parents=True)
    log = Writer(folder / "connections.log")
    log.write(10)
    tail.look()
    assert check_all(tail, log)
    log.write(10)
    log.path.unlink()
    tail.look()
    assert check_all(tail, log)
    log.write(10)
    tail.look(2)
    assert check_all(tail, log)


def test_only_the_end_cut_off_is_told_from_emptied(log: Writer, start: Start) -> None:
    log.write(1000)
    tail = start(log.path)
    tail.look()
    text = log.path.read_bytes()
    os.truncate(log.path, text.index(b"\n", len(text) // 2) + 1)
    tail.look(2)
    log.write(10)
    tail.look(2)
    assert check_all(tail, log)["noted"] == {"cut": 1}


def test_a_late_line_lands_in_its_bucket_and_what_was_left_out_is_read_if_need_be(
    tmp_path: Path, start: Start
) -> None:
    path = tmp_path / "a.log"
    # A line of the window where none may be.
    path.write_bytes(b"%d tower Papa\n" % (NOW_S - 2000) + ordered(20_000, a_second=3))
    tail = start(path)
    tail.look()
    first = tail.report()
    left_out = first.accounting["total"]["noted"]["bytes_not_read"]
    assert left_out > path.stat().st_size / 2
    with path.open("ab") as file:
        file.write(b"%d tower Papa\n" % (NOW_S - 299))
    tail.look(2)
    assert tail.report().connected_to == {"tower": 1}
    assert tail.report().accounting["total"]["noted"] == {"bytes_not_read": left_out}
    with path.open("ab") as file:
        file.write(b"%d tower Papa\n" % (NOW_S - 3599))
    tail.look(2)
    result, single = tail.report(), report_on(path)
    assert result.connected_to == single.connected_to == {"tower": 3}
    assert result.buckets == single.buckets
    total, expected = result.accounting["total"], single.accounting["total"]
    assert total.pop("noted") == {"disorder_s": 3598}
    assert expected.pop("noted").keys() == {"disorder_s"}
    assert total == expected


def test_what_cannot_be_followed_is_named_and_the_others_are(log: Writer, start: Start) -> None:
    log.write(10)
    folder = log.path.parent
    os.mkfifo(folder / "pipe.log")
    (folder / "folder.log").mkdir()
    (folder / "bad.log.gz").write_bytes(gzip.compress(b"1 a b\n" * 100)[:-9])
    (folder / "binary.log").write_bytes(random.Random(1).randbytes(5000))
    tail = start(folder / "*.log*", folder / "pipe.log", folder / "gone.log")
    tail.look(2)
    result = tail.report()
    assert pairs_of(result) == log.pairs
    told = "\n".join(map(str, result.problems))
    for name in (
        "pipe.log: is no file that can be followed",
        "bad.log.gz: its gzip data ends",
        "gone.log: does",
    ):
        assert name in told
    assert len(result.problems) == 3
    assert result.accounting["total"]["rejected"]
    (folder / "bad.log.gz").unlink()
    for name in ("pipe.log", "gone.log"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).touch()
    tail.look(2)
    assert not tail.report().problems
    assert pairs_of(tail.report()) == log.pairs
    with pytest.raises(UsageError):
        start("x", since_ns=0)


def test_rejected_lines_have_their_places_and_are_kept_up_to_a_limit(
    log: Writer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_MOST_REJECTS", 5)
    tail = start(log.path.parent / "*.log*")
    log.write(3)
    log.add(b"bad\n")
    tail.look()
    log.write(2)
    log.add(b"bad\nworse and worse still\n")
    tail.look()
    log.rename("connections.log.1")
    log.add(b"bad\n" * 4)
    tail.look()
    rejects = tail.report().rejects
    assert rejects.column("line").tolist() == [4, 7, 8, 1, 2]
    assert rejects.column("length").tolist() == [3, 3, 21, 3, 3]
    assert tail.report().accounting["total"]["rejected"] == {"field_count": 7}
    assert len(tail.report().accounting["sources"]) == 1


def test_logs_with_ever_new_names_take_no_ever_more_memory(
    tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tally, "_MOST_NAMES", 3)
    monkeypatch.setattr(follower, "_MOST_REMEMBERED", 2)
    monkeypatch.setattr(follower, "_KEPT_OPEN_S", -1.0)
    tail = start(tmp_path / "*.log")
    for day in range(12):
        path = tmp_path / f"{day}.log"
        path.write_bytes(b"%d day%d Papa\n" % (NOW_S - 9, day))
        tail.look(2)
        path.unlink()
        tail.look(2)
    result = tail.report()
    assert [source["path"] for source in result.accounting["sources"]][-1] == str(tmp_path / "11.log")
    assert len(result.accounting["sources"]) <= 4
    assert result.accounting["total"]["lines"] == result.connections == 12
    assert len(tail.follower._contents) <= 2
