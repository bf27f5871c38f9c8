"""A live report that is stopped in the midst of a look: the last report has all that was there."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import tickline.pipelines.connections.reading as reading
from python.connections_support import NOW_S, NS
from python.tail_support import Writer, compress, options_of, pairs_of
from tickline import _core
from tickline.pipelines.connections.follower import Follower
from tickline.pipelines.connections.report import Result
from tickline.pipelines.connections.ring import Ring
from tickline.pipelines.connections.tail import Live, follow
from tickline.stops import Terminated


def _follow_and_stop(
    logs: list[Writer],
    monkeypatch: pytest.MonkeyPatch,
    then: Callable[[], object],
    *numbers: int,
    ended_by: type[BaseException] = KeyboardInterrupt,
) -> list[Result]:
    """Follow logs until the look behind the first report has done three steps, do something, and stop."""
    monkeypatch.setattr(reading, "_STEP_BYTES", 5000)
    take, steps = Ring.take, 0
    reports: list[Result] = []

    def stop(ring: Ring, piece: _core.ConnectionsCount) -> None:
        nonlocal steps
        take(ring, piece)
        steps += bool(reports)
        if steps == 3:
            then()
            for number in numbers:
                os.kill(os.getpid(), number)

    def on_report(result: Result) -> None:
        if not reports:
            for log in logs:
                log.write(1000)
        reports.append(result)

    monkeypatch.setattr(Ring, "take", stop)
    with pytest.raises(ended_by) as raised:
        follow(options_of(logs[0].path.parent / "*.log*"), on_report)
    assert type(raised.value) is ended_by
    assert steps >= 3
    return reports


@pytest.fixture
def logs(tmp_path: Path) -> list[Writer]:
    writers = [Writer(tmp_path / name) for name in ("a.log", "b.log")]
    for log in writers:
        log.write(100)
    return writers


def _check(report: Result, logs: list[Writer]) -> None:
    pairs: Counter[tuple[str, str]] = Counter()
    for log in logs:
        pairs += log.pairs
    assert pairs_of(report) == pairs
    assert report.accounting["total"]["lines"] == sum(log.lines for log in logs)


@pytest.mark.parametrize(
    ("number", "ended_by"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_the_last_report_has_what_stood_in_logs_when_a_look_was_to_stop(
    logs: list[Writer],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    ended_by: type[BaseException],
) -> None:
    reports = _follow_and_stop(logs, monkeypatch, lambda: None, number, ended_by=ended_by)
    assert reports[0].connections == 200
    _check(reports[-1], logs)


@pytest.mark.parametrize("how", ["rename", "compress", "copy", "copy and compress"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_log_that_is_rotated_right_before_the_stop_is_in_the_last_report(
    logs: list[Writer], monkeypatch: pytest.MonkeyPatch, how: str, which: int
) -> None:
    def rotate() -> None:
        log = logs[which]
        log.write(500)
        name = f"{log.path.name}.1"
        copy = log.copy_and_empty(name) if "copy" in how else log.rename(name)
        if "compress" in how:
            compress(copy)
        log.write(50)

    _check(_follow_and_stop(logs, monkeypatch, rotate, signal.SIGINT)[-1], logs)


def test_who_stops_twice_gets_no_last_report(logs: list[Writer], monkeypatch: pytest.MonkeyPatch) -> None:
    reports = _follow_and_stop(logs, monkeypatch, lambda: None, signal.SIGINT, signal.SIGINT)
    assert [report.connections for report in reports] == [200]


def test_the_last_look_takes_lines_that_came_during_a_long_one(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.touch()
    options = options_of(path, seconds=10, grouping_seconds=10, disorder_seconds=0)
    ring = Ring(options, 1)
    now_s = NOW_S
    with Follower(options, ring) as follower:
        live = Live(options, ring, follower, lambda: now_s * NS)
        live.look()
        now_s += 60
        path.write_text("".join(f"{NOW_S + at} tower Papa\n" for at in range(61)))
        assert live.last().connections == 11
