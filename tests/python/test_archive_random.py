"""Random lives of a node: logs, rotations, kills, lost answers, outages and lost states, in any order."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from python.archive_support import (
    KILLED,
    Chronyd,
    Clock,
    LossyStore,
    archived_lines,
    chunks,
    config_of,
    in_a_child,
    run,
)
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.machine import Step

ROUNDS = 12
QUICK, SOAK = 50, 1000


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


class _Life:
    """A node with logs in two folders; everything that happens to it is drawn from one seed."""

    def __init__(self, root: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.clock = Clock()
        self.root = root
        plain = config_of(root)
        folders = (root / "log", root / "more")
        limit = self.draw.choice((3_000, 10**6))
        self.config = Config("n1", folders, plain.state, plain.store, spool_limit=limit)
        self.logs = [
            Chronyd(folder, kind)
            for folder, kind in zip(folders * 2, ("tracking", "rtc", "statistics"), strict=False)
        ]
        self.half: set[int] = set()
        self.away = 0

    def live(self) -> None:
        for _ in range(ROUNDS):
            for number in range(len(self.logs)):
                for _ in range(self.draw.randrange(3)):
                    self.happen(number)
            self.clock.now_s += self.draw.choice((60, 1800, 1800, 7200, 90_000))
            self.run_somehow()

    def happen(self, number: int) -> None:
        log = self.logs[number]
        log.now_s = max(log.now_s, self.clock.now_s)
        if number in self.half:
            self.half.discard(number)
            log.end_row()
        match self.draw.randrange(8):
            case 0 | 1 | 2:
                log.write(self.draw.choice((1, 2, 5, 40)))
            case 3:
                log.write(1)
                log.begin_row()
                self.half.add(number)
            case 4 if log.path.exists():
                log.rename(compress=self.draw.random() < 0.5)
            case 5 if log.path.exists() and log.path.stat().st_size:
                log.copytruncate(compress=self.draw.random() < 0.5)
            case 6:
                for old in sorted(log.path.parent.glob(f"{log.path.name}.[1-9]")):
                    log.compress(old)
            case 7:
                log.write_raw(self.draw.randbytes(30).replace(b"\n", b" ") + b"\n")

    def run_somehow(self) -> None:
        if self.away:
            self.away -= 1
            self._run("lost before")
            return
        match self.draw.randrange(10):
            case 0 | 1 | 2:
                self._run()
            case 3 | 4:
                self._killed(self.draw.choice(list(Step)))
            case 5:
                self._killed(None, "killed behind")
            case 6:
                self._run("lost behind")
            case 7:
                self._run("answered", "lost before")
            case 8:
                self.away = self.draw.randrange(1, 5)
                self._run("lost before")
            case 9:
                shutil.rmtree(self.config.state, ignore_errors=True) if self._is_sent() else None
                self._run()

    def _is_sent(self) -> bool:
        """Tell whether nothing but the archive is needed: the spool is part of what must last."""
        spool = self.config.state / "spool"
        return not (spool.is_dir() and any(spool.iterdir()))

    def _run(self, *plan: str, at: Callable[[Step], object] = lambda _: None) -> None:
        run(self.config, LossyStore(self.root / "archive", plan), self.clock, at=at)

    def _killed(self, step: Step | None, *plan: str) -> None:
        def at(reached: Step) -> None:
            if reached is step:
                os._exit(KILLED)

        assert in_a_child(lambda: self._run(*plan, at=at)) in (0, KILLED)

    def check(self) -> None:
        for number in self.half:
            self.logs[number].end_row()
        for log in self.logs:
            log.write(1)
        # A rotated file that is a banner and no more is taken when nothing can be added to it.
        for wait_s in (1800, 7200, 1800):
            self.clock.now_s += wait_s
            outcome = run(self.config, None, self.clock)
        assert not outcome.problems
        assert outcome.result == "nothing new"
        written = sum((log.written for log in self.logs), Counter())
        assert archived_lines(chunks(self.root / "archive")) == written


def _live(root: Path, seeds: range) -> None:
    for seed in seeds:
        life = _Life(root / str(seed), seed)
        try:
            life.live()
            life.check()
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        shutil.rmtree(root / str(seed))


def test_random_lives_lose_and_double_nothing(tmp_path: Path) -> None:
    _live(tmp_path, range(QUICK))


@pytest.mark.soak
def test_many_random_lives_lose_and_double_nothing(tmp_path: Path) -> None:
    _live(tmp_path, range(QUICK, SOAK + QUICK))
