"""Logs that archive.toml names in another folder, and files that have the names of two logs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from python.archive_support import Chronyd, Clock, Tail, archived_lines, chunks, config_of, flaws, run
from tickline.pipelines.archive.stores import FolderStore

DAY = 86400


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture
def tail(tmp_path: Path, chronyd: Chronyd) -> Tail:
    return Tail(tmp_path)


def _move(tail: Tail, chronyd: Chronyd, *, copied: bool = False) -> None:
    """Give the logs another folder, and let that be named in place of the old one."""
    old, new = chronyd.path.parent, chronyd.path.parent.with_name("srv")
    if copied:
        shutil.copytree(old, new)
    else:
        old.rename(new)
    chronyd.path = new / chronyd.path.name
    tail.folders = (new,)


@pytest.mark.parametrize("seen", [False, True], ids=["grown at once", "seen before it grew"])
@pytest.mark.parametrize("copied", [False, True])
def test_logs_under_another_path_go_on_where_they_were(
    tail: Tail, chronyd: Chronyd, tmp_path: Path, copied: bool, seen: bool
) -> None:
    for packed in (True, False):
        chronyd.write(40)
        tail.look()
        chronyd.rename(compress=packed)
    chronyd.write(40)
    tail.look()
    _move(tail, chronyd, copied=copied)
    if seen:
        tail.quiet()
    chronyd.write()
    assert not tail.look().problems
    assert tail.taken == chronyd.written
    assert [stretch.note for stretch in tail.ranges] == [None, None, None, None if seen else "moved"]
    assert tail.ranges[-1].log == str(tmp_path / "srv/tracking.log")
    assert tail.ranges[-1].generation == 3
    assert {generation.log for generation in tail.generations} == {tail.ranges[-1].log}
    chronyd.copytruncate(compress=True)
    chronyd.write()
    tail.look()
    tail.quiet()
    assert tail.taken == chronyd.written
    assert tail.ranges[-1].note is None


def test_the_packed_ones_are_not_unpacked_again(
    tail: Tail, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    chronyd.write(40)
    chronyd.rename(compress=True)
    chronyd.write(40)
    tail.look()
    _move(tail, chronyd)
    monkeypatch.setattr("tickline.pipelines.archive.logfile._unpacked", None)
    tail.quiet()


def test_a_log_of_the_same_name_in_a_folder_that_is_named_too_is_another_one(
    tail: Tail, chronyd: Chronyd, tmp_path: Path
) -> None:
    chronyd.write()
    tail.look()
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "log", other)
    tail.folders = (other, tmp_path / "log")
    tail.look()
    # Two folders are two chronyds, whatever they write.
    assert sum(tail.taken.values()) == 2 * sum(chronyd.written.values())
    tail.quiet()


def test_other_logs_in_the_new_folder_are_no_moved_ones(tail: Tail, chronyd: Chronyd, tmp_path: Path) -> None:
    chronyd.write()
    tail.look()
    tail.folders = (tmp_path / "srv",)
    other = Chronyd(tmp_path / "srv", now_s=chronyd.now_s + 100)
    other.write()
    tail.look()
    assert tail.taken == chronyd.written + other.written
    assert [stretch.note for stretch in tail.ranges] == [None, None]
    # Back again, which is said: it is a way that archive.toml took.
    tail.folders = (tmp_path / "log",)
    tail.quiet()
    chronyd.write()
    tail.look()
    assert tail.taken == chronyd.written + other.written


@pytest.mark.parametrize("grown", [False, True])
def test_an_archive_of_moved_logs_has_no_finding(tmp_path: Path, grown: bool) -> None:
    config, clock = config_of(tmp_path), Clock()
    logs = [Chronyd(tmp_path / "log", kind) for kind in ("tracking", "measurements")]
    for log in logs:
        log.write()
    logs[0].rename()
    logs[0].write()
    run(config, clock=clock)
    (tmp_path / "log").rename(tmp_path / "srv")
    config = replace(config, logs=(tmp_path / "srv",))
    for log in logs:
        log.path = tmp_path / "srv" / log.path.name
    for _ in range(3):
        clock.now_s += DAY
        if grown:
            logs[1].write()
        assert not run(config, clock=clock).problems
    logs[0].write()
    assert run(config, clock=clock).lines == 3
    assert archived_lines(chunks(tmp_path / "archive")) == logs[0].written + logs[1].written
    assert flaws(FolderStore(config.store)) == []


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_with_the_names_of_two_logs_is_taken_once_and_said(
    tail: Tail,
    chronyd: Chronyd,
    link: Callable[[Path, Path], None],
) -> None:
    chronyd.write()
    link(chronyd.path, chronyd.path.with_name("statistics.log"))
    for _ in range(2):
        (problem,) = tail.look().problems
        assert "is statistics.log itself" in str(problem) or "is tracking.log itself" in str(problem)
        assert tail.taken == chronyd.written
        chronyd.write()
    if link is os.symlink:
        # The file itself is taken, not the link.
        assert {stretch.log for stretch in tail.ranges} == {str(chronyd.path)}
