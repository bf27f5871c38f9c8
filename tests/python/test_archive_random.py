"""Random lives of a node: logs, rotations, kills, lost answers, outages and lost states, in any order."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from python.archive_s3_support import close_stores, s3_store  # noqa: F401
from python.archive_support import (
    KILLED,
    Chronyd,
    Clock,
    LossyStore,
    archived_lines,
    chunks,
    config_of,
    flaws,
    in_a_child,
    run,
)
from python.s3_support import FakeS3, Fault, answer, behind, fake_s3, hang_up, set_environment
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.machine import Step
from tickline.pipelines.archive.s3_store import S3Store
from tickline.pipelines.archive.stores import ArchiveStore

ROUNDS = 12
QUICK, QUICK_OVER_HTTP, SOAK = 50, 10, 1000


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

    def _run(self, *plan: str) -> None:
        self._prepare(plan)
        run(self.config, self._store(*plan), self.clock)

    def _killed(self, step: Step | None, *plan: str) -> None:
        def at(reached: Step) -> None:
            if reached is step:
                os._exit(KILLED)

        self._prepare(plan)
        ended = in_a_child(lambda: run(self.config, self._store(*plan), self.clock, at=at))
        assert ended in (0, KILLED)

    def _prepare(self, plan: tuple[str, ...]) -> None:
        """Arrange for what a run is to meet."""

    def _store(self, *plan: str) -> ArchiveStore:
        return LossyStore(self.root / "archive", plan)

    def check(self) -> None:
        for number in self.half:
            self.logs[number].end_row()
        for log in self.logs:
            log.write(1)
        # A rotated file that is a banner and no more is taken when nothing can be added to it.
        for wait_s in (1800, 7200, 1800):
            self.clock.now_s += wait_s
            outcome = run(self.config, self._store(), self.clock)
        assert not outcome.problems
        assert outcome.result == "nothing new"
        written = sum((log.written for log in self.logs), Counter())
        assert archived_lines(chunks(self._store())) == written
        # A store that is away for days, or a kill in a run each day, is a heartbeat that was missed.
        assert {flaw.check for flaw in flaws(self._store())} <= {"heartbeat"}


# What a server or the network may do to a request.
_FAULTS: dict[str, list[Fault | None]] = {
    "answered": [None],
    "lost before": [hang_up, answer(500, "InternalError"), answer(503, "SlowDown"), answer(403, "Denied")],
    "lost behind": [behind(hang_up), behind(answer(500, "InternalError"))],
    "killed behind": [None],
}


class _LifeOverHttp(_Life):
    """The same with a store in S3: each request, and each repetition, has a fate of its own."""

    def __init__(self, root: Path, seed: int, server: FakeS3) -> None:
        super().__init__(root, seed)
        self.server = server
        server.objects.clear()
        self.config = replace(self.config, store="s3://logs/ntp")
        self.pid = os.getpid()
        self.store = s3_store(self.config, retries=1)

    def _prepare(self, plan: tuple[str, ...]) -> None:
        faults = [self.draw.choice(_FAULTS[word]) for word in plan]
        # What comes behind the plan, and of a run that needs a listing or repeats itself much more does.
        faults += [self.draw.choice([None, *_FAULTS["lost behind"]]) for _ in range(self.draw.randrange(3))]
        self.server.faults[:] = faults

    def _store(self, *plan: str) -> ArchiveStore:
        if "killed behind" in plan:
            return _KilledBehind(self.config.store, backoff_s=0.001)
        # A child has connections of its own.
        return self.store if os.getpid() == self.pid else s3_store(self.config, retries=1)

    def check(self) -> None:
        self.server.faults.clear()
        super().check()
        self.store.close()


class _KilledBehind(S3Store):
    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool) -> bool:
        super().put(key, body, sha256, only_if_absent=only_if_absent)
        os._exit(KILLED)


def _live(root: Path, seeds: range, server: FakeS3 | None = None) -> None:
    for seed in seeds:
        home = root / str(seed)
        life = _Life(home, seed) if server is None else _LifeOverHttp(home, seed, server)
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


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    pytest.importorskip("boto3")
    with fake_s3({}) as fake:
        set_environment(monkeypatch, fake.url)
        yield fake


def test_random_lives_over_http_lose_and_double_nothing(tmp_path: Path, server: FakeS3) -> None:
    _live(tmp_path, range(QUICK_OVER_HTTP), server)


@pytest.mark.soak
def test_many_random_lives_over_http_lose_and_double_nothing(tmp_path: Path, server: FakeS3) -> None:
    _live(tmp_path, range(QUICK_OVER_HTTP, SOAK + QUICK_OVER_HTTP), server)
