"""Tailing of logs that are cut, edited, damaged or gone: nothing is lost, and doubt is said."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from python.archive_support import NOON, Chronyd, Tail
from tickline.pipelines.archive.logfile import LogFile


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture
def tail(tmp_path: Path, chronyd: Chronyd) -> Tail:
    return Tail(tmp_path)


def test_a_log_that_was_cut_is_said_and_loses_nothing(tail: Tail, chronyd: Chronyd) -> None:
    for rows in (50, 50):
        chronyd.write(rows)
        tail.look()
    cut = chronyd.path.read_bytes()
    kept = cut[: cut.rfind(b"\n", 0, len(cut) - 500) + 1]
    os.truncate(chronyd.path, len(kept))
    chronyd.write(2)
    found = tail.look()
    assert ["shrunk" in str(problem) for problem in found.problems] == [True]
    assert not chronyd.written - tail.taken
    # Twice is only what came since the last chunk whose end is still there.
    twice = tail.taken - chronyd.written
    assert 0 < sum(twice.values()) < 50
    assert tail.ranges[-1].note == "shrunk"
    tail.quiet()


def test_a_log_that_was_edited_is_said_and_taken_again(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write(50)
    tail.look()
    chronyd.path.write_bytes(chronyd.path.read_bytes().replace(b"     50 ", b"     51 "))
    found = tail.look()
    assert ["changed" in str(problem) for problem in found.problems] == [True]
    assert tail.ranges[-1].note == "changed"


def test_a_log_that_vanished_is_said_once_and_known_when_it_comes_back(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    tail.look()
    away = chronyd.path.rename(chronyd.path.with_name("away"))
    tail.quiet()
    assert ["may be lost" in str(problem) for problem in tail.look(NOON + 1800).problems] == [True]
    tail.quiet(NOON + 3600)
    away.rename(chronyd.path)
    chronyd.write()
    tail.look(NOON + 5400)
    assert tail.taken == chronyd.written


def test_a_removed_predecessor_is_no_news_and_forgotten(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    old = chronyd.rename(compress=True)
    chronyd.write()
    tail.look()
    old.unlink()
    for day in range(4):
        tail.quiet(NOON + day * 86400)
    assert [generation.number for generation in tail.generations] == [2]


def test_an_empty_folder_may_be_one_whose_disk_is_away(tail: Tail, chronyd: Chronyd, tmp_path: Path) -> None:
    chronyd.write()
    tail.look()
    away = chronyd.path.rename(tmp_path / "away")
    for day in range(5):
        assert not tail.look(NOON + day * 86400).pieces
    away.rename(chronyd.path)
    chronyd.write()
    tail.look(NOON + 6 * 86400)
    assert tail.taken == chronyd.written


def test_a_folder_that_is_away_costs_nothing(tail: Tail, chronyd: Chronyd, tmp_path: Path) -> None:
    chronyd.write()
    tail.look()
    away = (tmp_path / "log").rename(tmp_path / "away")
    for day in range(5):
        assert "does not exist" in str(tail.look(NOON + day * 86400).problems[0])
    away.rename(tmp_path / "log")
    chronyd.write()
    tail.look(NOON + 6 * 86400)
    assert tail.taken == chronyd.written


def test_a_damaged_predecessor_is_said_when_nobody_can_be_writing_it(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    tail.look()
    old = chronyd.rename(compress=True)
    old.write_bytes(old.read_bytes()[:-5])
    chronyd.write()
    now = old.stat().st_mtime
    assert not tail.look(now + 10).problems
    for day in range(5):
        problems = tail.look(now + 1000 + day * 86400).problems
        assert ["ends too early" in str(problem) for problem in problems] == [True]
    # It was not forgotten meanwhile.
    assert tail.taken == chronyd.written


def test_a_log_that_changes_while_it_is_read_is_left_to_the_next_run(
    tail: Tail, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    chronyd.write(30)
    real = LogFile.still_has

    def rotated(self: LogFile, begin: int, data: bytes) -> bool:
        monkeypatch.setattr(LogFile, "still_has", real)
        chronyd.copytruncate()
        chronyd.write(40)
        return real(self, begin, data)

    monkeypatch.setattr(LogFile, "still_has", rotated)
    tail.quiet()
    tail.look()
    assert tail.taken == chronyd.written


def test_a_device_that_reports_an_error_costs_that_log_its_turn(
    tail: Tail, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    chronyd.write()
    tail.look()
    chronyd.write()
    real = os.pread

    def broken(fd: int, size: int, begin: int) -> bytes:
        if begin > 0:
            raise OSError(5, "Input/output error")
        return real(fd, size, begin)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", broken)
        found = tail.look()
    assert ["tracking.log" in str(problem) for problem in found.problems] == [True]
    assert not found.pieces
    tail.look()
    assert tail.taken == chronyd.written


def test_a_copy_that_went_on_differently_is_followed_from_where_it_parted(
    tail: Tail, chronyd: Chronyd
) -> None:
    chronyd.write(50)
    tail.look()
    copy = chronyd.path.with_name("tracking.log.1")
    shutil.copy2(chronyd.path, copy)
    chronyd.write(3, copy)
    chronyd.write(5)
    assert not tail.look().problems
    assert tail.taken == chronyd.written
    assert [stretch.note for stretch in tail.ranges] == [None, None, "branch"]
    chronyd.write(3, copy)
    chronyd.write(5)
    tail.look()
    assert tail.taken == chronyd.written
    tail.quiet()
