"""Logs that are followed through random rotations, and through one that comes in the midst of reading."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

import tickline.pipelines.connections.follower as follower
import tickline.pipelines.connections.reading as reading
from python.tail_support import Tail, Writer, check_all, compress
from tickline import _core
from tickline.pipelines.connections.ring import Ring


@pytest.mark.parametrize("then", [50, 5000])
def test_a_log_that_is_emptied_while_it_is_read_is_not_counted_half(
    tmp_path: Path, then: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_STEP_BYTES", 5000)
    log = Writer(tmp_path / "connections.log")
    log.write(1000)
    tail = Tail(tmp_path / "*.log*")
    tail.look()
    log.write(1000)
    calls = 0

    take = Ring.take

    def empty_it(ring: Ring, piece: _core.ConnectionsCount) -> None:
        nonlocal calls
        take(ring, piece)
        calls += 1
        if calls == 2:
            log.copy_and_empty("connections.log.1")
            log.write(then)

    monkeypatch.setattr(Ring, "take", empty_it)
    tail.look(3)
    assert calls > 3
    assert check_all(tail, log)
    tail.close()


def test_a_log_that_is_emptied_in_the_midst_of_a_step_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Writer(tmp_path / "connections.log")
    log.write(1000)
    tail = Tail(tmp_path / "*.log*")
    tail.look()
    log.write(1000)
    make, made = Ring.piece, []

    def piece(ring: Ring) -> _core.ConnectionsCount:
        made.append(ring)
        if len(made) == 1:
            log.copy_and_empty("connections.log.1")
            log.write(3000)
        return make(ring)

    monkeypatch.setattr(Ring, "piece", piece)
    tail.look(2)
    assert len(made) > 1
    assert check_all(tail, log)
    tail.close()


def _live(folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(reading, "_STEP_BYTES", dice.choice([3000, 50_000, 2**24]))
    monkeypatch.setattr(follower, "_KEPT_OPEN_S", dice.choice([-1.0, 300.0]))
    monkeypatch.setattr(follower, "_MOST_OPEN", dice.choice([2, 256]))
    logs = [Writer(folder / f"{name}.log") for name in ("a", "b")]
    for log in logs:
        log.numbers = itertools.count(10**6 * ord(log.path.name[0]))
        log.write(100)
    tail = Tail(folder / "*.log*")
    tail.look()
    rotated: list[Path] = []
    for step in range(60):
        log = dice.choice(logs)
        log.write(dice.choice([1, 3, 40, 800]), end=b"\n")
        match dice.randrange(9):
            case 0:
                rotated.append(log.rename(f"{log.path.name}.{step}"))
                log.write(5)
            case 1:
                rotated.append(log.copy_and_empty(f"{log.path.name}.{step}"))
                log.write(dice.choice([1, 900]))
            case 2 if rotated:
                compress(rotated.pop(dice.randrange(len(rotated))))
            case 3 if rotated:
                one = dice.randrange(len(rotated))
                rotated[one] = rotated[one].rename(rotated[one].with_name(f"old.log.{step}"))
            case 4 | 5 | 6:
                tail.look()
    tail.look(3)
    logs[0].pairs += logs[1].pairs
    logs[0].lines += logs[1].lines
    check_all(tail, logs[0])
    tail.close()


@pytest.mark.parametrize("seed", range(40))
def test_every_line_is_counted_once_whatever_happens_between_looks(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _live(tmp_path, seed, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40, 540))
def test_every_line_is_counted_once_many_times(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _live(tmp_path, seed, monkeypatch)
