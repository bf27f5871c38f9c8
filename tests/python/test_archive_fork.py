"""Two ends of one chain: a state that was copied or restored is found out, and nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from python.archive_support import NOON, Chronyd, Clock, chunks, config_of, flaws, run
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.machine import Outcome
from tickline.pipelines.archive.stores import FolderStore

HOUR, DAY = 3600, 86400


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _alarm(outcome: Outcome) -> bool:
    return any("another object stands under the name" in str(problem) for problem in outcome.problems)


def _restored(config: Config, chronyd: Chronyd, clock: Clock, later_s: float) -> None:
    """Write three chunks, save state and logs, go on until behind midnight, and bring back what was saved."""
    for _ in range(3):
        chronyd.write()
        assert not run(config, clock=clock).problems
        clock.now_s += HOUR
    saved = config.state.with_name("saved")
    shutil.copytree(config.state, saved)
    log = chronyd.path.read_bytes()
    end_s = clock.now_s + later_s
    while clock.now_s < end_s:
        chronyd.write()
        assert not run(config, clock=clock).problems
        clock.now_s += HOUR
    shutil.rmtree(config.state)
    saved.rename(config.state)
    chronyd.path.write_bytes(log)


@pytest.mark.parametrize("hours", [4, 14])
def test_a_state_that_was_restored_forks_no_chain_on_whatever_day_it_goes_on(
    tmp_path: Path, chronyd: Chronyd, hours: int
) -> None:
    config, clock = config_of(tmp_path), Clock(NOON)
    store = FolderStore(config.store)
    _restored(config, chronyd, clock, hours * HOUR)
    before = list(store.keys("v1/n1/"))
    for _ in range(3):
        chronyd.write()
        assert _alarm(run(config, clock=clock))
        clock.now_s += HOUR
    assert list(store.keys("v1/n1/")) == before
    # As it says: the archive tells where to go on, and no line is missing.
    shutil.rmtree(config.state)
    run(config, clock=clock)
    lines = Counter(line for chunk in chunks(tmp_path / "archive") for line in chunk.raw.splitlines(True))
    assert not chronyd.written - lines
    assert flaws(store) == []


def test_what_waits_behind_another_end_is_not_let_go_of(tmp_path: Path, chronyd: Chronyd) -> None:
    config, clock = config_of(tmp_path), Clock(NOON)
    _restored(config, chronyd, clock, 14 * HOUR)
    chronyd.write()
    run(config, clock=clock)
    (waiting,) = (config.state / "spool").iterdir()
    body = waiting.read_bytes()
    # So long that the archive is asked where its chain ends: far behind the number that waits.
    clock.now_s += 3 * DAY
    for _ in range(2):
        assert _alarm(run(config, clock=clock))
        assert waiting.read_bytes() == body


def test_a_key_has_the_day_of_the_chunk_before_and_so_needs_no_question_at_midnight(
    tmp_path: Path, chronyd: Chronyd
) -> None:
    config, clock = config_of(tmp_path), Clock(NOON)
    store = FolderStore(config.store)
    calls = []
    for hours in (0, 11, 3, 1, 20, 48, 1):
        clock.now_s += hours * HOUR
        chronyd.write()
        calls.append(run(config, clock=clock).calls)
    days = [key.split("/")[-2] for key in store.keys("v1/n1/")]
    # 22nd 12:00, 23:00; 23rd 2:00, 3:00, 23:00; 25th 23:00; 26th 0:00
    assert days == ["22", "22", "22", "23", "23", "25", "25"]
    # The probe; and behind a day without any chunk the archive is asked: a listing and the last object.
    assert calls == [3, 1, 1, 1, 1, 3, 1]
    assert flaws(store) == [] or {flaw.check for flaw in flaws(store)} == {"heartbeat"}
