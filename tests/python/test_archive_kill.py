"""A run that is killed at any step: afterwards each line is in the archive once, and the chain is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from python.archive_support import (
    KILLED,
    NOON,
    Chronyd,
    Clock,
    LossyStore,
    archived_lines,
    chunks,
    config_of,
    in_a_child,
    run,
)
from tickline.pipelines.archive.machine import Step


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a killed process has written the kernel keeps; only power failures need more.
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _grow(log: Chronyd) -> None:
    log.write(2)


def _rename(log: Chronyd) -> None:
    log.write(2)
    log.rename()
    log.write(2)


def _copytruncate(log: Chronyd) -> None:
    log.write(2)
    log.copytruncate()
    log.write(2)


def _twice_and_packed(log: Chronyd) -> None:
    for _ in range(2):
        log.write(2)
        log.rename(compress=True)
    log.copytruncate(compress=True) if log.path.exists() else log.write(2)


CHANGES: dict[str, Callable[[Chronyd], None]] = {
    "unchanged": lambda log: None,
    "growth": _grow,
    "rename": _rename,
    "copytruncate": _copytruncate,
    "two rotations, packed": _twice_and_packed,
}
# What becomes of the first write of the run behind the kill.
ANSWERS = ("answered", "lost before", "lost behind")
FIRST_RUN_ONLY = frozenset({Step.RECOVERED, Step.PROBING})


def _die_at(step: Step) -> Callable[[Step], None]:
    def at(reached: Step) -> None:
        if reached is step:
            os._exit(KILLED)

    return at


class _World:
    """A node with one log; `runs` before the kill were undisturbed."""

    def __init__(self, tmp_path: Path, runs: int) -> None:
        self.clock = Clock()
        self.root = tmp_path / "archive"
        self.config = config_of(tmp_path)
        self.log = Chronyd(tmp_path / "log")
        for _ in range(runs):
            self.log.write(5)
            assert not run(self.config, None, self.clock).problems
        self.log.write(3)

    def run(self, *plan: str, **more: Any) -> None:
        self.clock.now_s += 1800
        run(self.config, LossyStore(self.root, plan), self.clock, **more)

    def check(self) -> None:
        """Let two runs go undisturbed, and count."""
        for _ in range(2):
            self.clock.now_s += 1800
            assert not run(self.config, None, self.clock).problems
        assert archived_lines(chunks(self.root)) == self.log.written
        state = Path(self.config.state)
        assert not list((state / "spool").iterdir())
        assert not [path for path in state.rglob("*") if path.name.startswith(".tickline")]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("step", Step)
def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path, step: Step, change: str) -> None:
    for runs in (0, 1):
        for answer in ANSWERS:
            world = _World(tmp_path / f"{runs}-{answer}", runs)
            reached = runs == 0 or step not in FIRST_RUN_ONLY
            assert in_a_child(lambda world=world: world.run(at=_die_at(step))) == (KILLED if reached else 0)  # type: ignore[misc]
            CHANGES[change](world.log)
            world.run(answer)
            world.check()


@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_between_the_write_and_its_answer_loses_and_doubles_nothing(
    tmp_path: Path, change: str
) -> None:
    for runs in (0, 1):
        for answer in ANSWERS:
            world = _World(tmp_path / f"{runs}-{answer}", runs)
            assert in_a_child(lambda world=world: world.run("killed behind")) == KILLED  # type: ignore[misc]
            CHANGES[change](world.log)
            world.run(answer)
            world.check()


def test_a_kill_at_any_change_on_the_disk_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Before each call that makes something last: fsync, rename, link, unlink."""
    deaths = 0
    for runs in (0, 1):
        for moment in range(1, 100):
            world = _World(tmp_path / f"{runs}-{moment}", runs)
            ended = in_a_child(lambda world=world, moment=moment: _die_at_moment(world, moment))  # type: ignore[misc]
            _copytruncate(world.log)
            world.check()
            if ended == 0:
                break
            assert ended == KILLED
            deaths += 1
    assert deaths > 40


def _die_at_moment(world: _World, moment: int) -> None:
    left = [moment]

    def killing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os._exit(KILLED)
            return real(*arguments, **more)

        return call

    for name in ("fsync", "rename", "link", "unlink", "write"):
        setattr(os, name, killing(getattr(os, name)))
    world.run()


def test_a_second_run_while_one_is_at_work_does_nothing(tmp_path: Path) -> None:
    world = _World(tmp_path, 1)

    def at(step: Step) -> None:
        if step is Step.SPOOLED:
            # From another process: a lock is the process's own. It ends by an exception: BusyError.
            assert in_a_child(lambda: world.run()) == 1

    world.run(at=at)
    world.check()
    assert [chunk.header["seq"] for chunk in chunks(world.root)] == [1, 2]
    assert world.clock.now_s > NOON
