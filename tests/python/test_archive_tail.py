"""Tailing of logs: whatever logrotate does between two looks, each line is taken once."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest
import zstandard

from python.archive_support import BANNER, NOON, Chronyd, Tail


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture
def tail(tmp_path: Path, chronyd: Chronyd) -> Tail:
    return Tail(tmp_path)


def test_what_is_new_is_taken_and_what_was_taken_is_not(tail: Tail, chronyd: Chronyd) -> None:
    for rows in (3, 1, 200):
        chronyd.write(rows)
        assert not tail.look().problems
        assert tail.taken == chronyd.written
        tail.quiet()
    assert [(r.begin == 0, r.generation) for r in tail.ranges] == [(True, 1), (False, 1), (False, 1)]


def test_a_line_waits_for_its_end(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    chronyd.begin_row()
    tail.look()
    assert sum(tail.taken.values()) == 6
    tail.quiet()
    chronyd.end_row()
    tail.look()
    assert tail.taken == chronyd.written


ROTATIONS = {
    "rename": lambda log: log.rename(),
    "rename and gzip": lambda log: log.rename(compress=True),
    "copytruncate": lambda log: log.copytruncate(),
    "copytruncate and gzip": lambda log: log.copytruncate(compress=True),
}


@pytest.mark.parametrize("looks", [(True, True, True), (False, True, True), (True, False, True)])
@pytest.mark.parametrize("rotate", ROTATIONS.values(), ids=ROTATIONS.keys())
def test_rotation_loses_and_doubles_nothing(tail: Tail, chronyd: Chronyd, rotate, looks) -> None:  # type: ignore[no-untyped-def]
    chronyd.write(60)
    tail.look()
    for look in looks:
        chronyd.write(7)
        rotate(chronyd)
        if look:
            assert not tail.look().problems
        chronyd.write(5)
        if look:
            assert not tail.look().problems
            assert tail.taken == chronyd.written
    tail.look()
    assert tail.taken == chronyd.written
    tail.quiet(NOON + 10 * 86400)


def test_predecessors_that_were_there_first_are_taken_oldest_first(tail: Tail, chronyd: Chronyd) -> None:
    for _ in range(3):
        chronyd.write(4)
        chronyd.rename(compress=True)
    chronyd.write(1)
    tail.look()
    assert tail.taken == chronyd.written
    names = ["tracking.log.3.gz", "tracking.log.2.gz", "tracking.log.1.gz", "tracking.log"]
    assert [stretch.file for stretch in tail.ranges] == names
    tail.quiet()


def test_a_daemon_that_goes_on_writing_into_the_renamed_file_is_followed(
    tail: Tail, chronyd: Chronyd
) -> None:
    chronyd.write()
    tail.look()
    old = chronyd.rename()
    chronyd.write(2, old)
    tail.look()
    chronyd.write(2, old)
    chronyd.write(2)
    tail.look()
    assert tail.taken == chronyd.written


def test_copies_in_the_making_add_nothing(tail: Tail, chronyd: Chronyd, tmp_path: Path) -> None:
    chronyd.write(100)
    data = chronyd.path.read_bytes()
    copy = tmp_path / "log/tracking.log.1"
    for known in (False, True):
        for size in (1, 50, len(BANNER), 200, 1000, 4000, len(data) - 1, len(data)):
            copy.write_bytes(data[:size])
            os.utime(copy, (NOON, NOON))
            assert not tail.look().problems
            assert tail.taken == chronyd.written, (known, size)
        copy.unlink()
    packed = Path(f"{copy}.gz")
    whole = gzip.compress(data)
    for size in (0, 1, 5, 30, len(whole) - 1, len(whole)):
        packed.write_bytes(whole[:size])
        os.utime(packed, (NOON, NOON))
        tail.quiet()


def test_lines_that_copytruncate_missed_in_its_copy_are_not_taken_twice(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write(100)
    copy = chronyd.path.with_name("tracking.log.1")
    shutil.copy2(chronyd.path, copy)
    chronyd.write(1)
    tail.look()
    os.truncate(chronyd.path, 0)
    chronyd.write(4)
    tail.look()
    assert tail.taken == chronyd.written
    chronyd.compress(copy).rename(chronyd.path.with_name("tracking.log.2.gz"))
    for day in range(10):
        tail.quiet(NOON + day * 86400)


def test_a_banner_alone_waits_for_a_row_or_for_the_end_of_its_file(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write(0)
    tail.quiet()
    chronyd.write(1)
    tail.look()
    chronyd.rename()
    chronyd.write(0)
    tail.quiet()
    chronyd.rename()
    chronyd.write(2)
    tail.look()
    later = chronyd.now_s + 3601
    tail.look(later)
    assert tail.taken == chronyd.written
    tail.quiet(later)


def test_a_rotated_file_that_ends_within_a_line_is_taken_as_it_is_after_an_hour(
    tail: Tail, chronyd: Chronyd
) -> None:
    chronyd.write(2)
    chronyd.begin_row()
    old = chronyd.rename()
    tail.look(chronyd.now_s)
    assert sum(tail.taken.values()) == 5
    later = tail.look(chronyd.now_s + 3601)
    assert [data for _, data in later.pieces] == [old.read_bytes()[-20:]]
    chronyd.end_row(old)
    tail.look(chronyd.now_s)
    assert tail.taken == chronyd.written


@pytest.mark.parametrize("name", ["tracking.log.1", "tracking-20261122.log", "tracking.log-20261122"])
def test_names_of_predecessors_of_every_logrotate_are_known(tail: Tail, chronyd: Chronyd, name: str) -> None:
    chronyd.write()
    chronyd.path.rename(chronyd.path.with_name(name))
    chronyd.write()
    tail.look()
    assert tail.taken == chronyd.written
    assert {stretch.log for stretch in tail.ranges} == {str(chronyd.path)}


def test_zstd_is_read_and_other_packings_are_named(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    old = chronyd.rename()
    old.with_name("tracking.log.1.zst").write_bytes(zstandard.compress(old.read_bytes()))
    old.rename(old.with_name("tracking.log.2.xz"))
    found = tail.look()
    assert tail.taken == chronyd.written
    assert ["packed" in str(problem) for problem in found.problems] == [True]


def test_other_files_of_the_folder_are_left_alone(tail: Tail, chronyd: Chronyd) -> None:
    for name in ("syslog", "chronyd.log", "tracking.txt", "xtracking.log", ".tracking.log.swp"):
        chronyd.path.with_name(name).write_text("2026-11-22 secret\n")
    chronyd.path.with_name("rtc.log").mkdir()
    os.mkfifo(chronyd.path.with_name("statistics.log"))
    tail.quiet()


def test_links_do_not_double_a_log(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    chronyd.path.with_name("tracking.log.current").symlink_to(chronyd.path)
    os.link(chronyd.path, chronyd.path.with_name("tracking.log.hard"))
    tail.look()
    assert tail.taken == chronyd.written


def test_folders_are_looked_at_each_for_itself(tmp_path: Path) -> None:
    logs = [Chronyd(tmp_path / name, kind) for name in "ab" for kind in ("tracking", "statistics")]
    tail = Tail(tmp_path, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    for log in logs:
        log.write()
    found = tail.look()
    assert tail.taken == sum((log.written for log in logs), Counter())
    assert ["named before" in str(problem) for problem in found.problems] == [True]


def test_what_fits_no_chunk_is_taken_by_further_looks_in_whole_lines(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write(100)
    chronyd.rename(compress=True)
    chronyd.write(100)
    looks = 0
    while (found := tail.look(most_bytes=1000)).pieces:
        assert sum(len(data) for _, data in found.pieces) <= 1000
        assert all(data.endswith(b"\n") for _, data in found.pieces)
        looks += 1
    assert looks > 10
    assert tail.taken == chronyd.written


def test_a_full_chunk_leaves_other_logs_as_they_were(tail: Tail, chronyd: Chronyd, tmp_path: Path) -> None:
    logs = [Chronyd(tmp_path / "log", kind) for kind in ("measurements", "rtc", "tracking")]
    for _ in range(2):
        for log in logs:
            log.write(50)
        while tail.look(most_bytes=1000).pieces:
            pass
        assert tail.taken == sum((log.written for log in logs), Counter())


def test_long_lines_and_binary_content_are_kept_as_they_are(tail: Tail, chronyd: Chronyd) -> None:
    chronyd.write()
    tail.look()
    chronyd.write_raw(b"\x00\xff" * 1000 + b"\n")
    chronyd.write_raw(b"x" * 1_000_000 + b"\n")
    chronyd.write()
    while tail.look(most_bytes=10_000).pieces:
        pass
    assert tail.taken == chronyd.written
    chronyd.rename()
    chronyd.write_raw(random.Random(1).randbytes(20_000).replace(b"\n", b"") + b"\n")
    tail.look()
    assert tail.taken == chronyd.written
