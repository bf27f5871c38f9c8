"""A clock made from a result: goes on, widens, never goes back, and says when nobody counted the time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python.ntp_query_support import PATIENCE_S
from python.ntp_server_support import HONEST, ntp_servers
from tickline import ntp
from tickline.errors import UsageError
from tickline.ntp.clock import ClockLostError

SECOND_NS = 10**9
NOON_NS = 1_795_000_000 * SECOND_NS
INT64 = st.integers(-(2**63), 2**63 - 1)


@dataclass(frozen=True)
class Known:
    """UTC lay in an interval at some instant."""

    monotonic_ns: int
    interval_ns: tuple[int, int] | None


@dataclass(frozen=True)
class KnownAsleep(Known):
    """As before, and for how long the machine had been suspended."""

    asleep_ns: int


def known(ago_ns: int = 0) -> Known:
    return Known(time.monotonic_ns() - ago_ns, (NOON_NS - 1000, NOON_NS + 1000))


def asleep_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def test_the_time_goes_on_from_the_result() -> None:
    start = known(ago_ns=100 * SECOND_NS)
    clock = ntp.Clock(start)
    before = time.monotonic_ns()
    now = clock.now_ns()
    after = time.monotonic_ns()
    assert before - start.monotonic_ns <= now - NOON_NS <= after - start.monotonic_ns
    assert not clock.lost


def test_a_clock_from_a_query_holds_the_time_of_its_servers() -> None:
    with ntp_servers(HONEST) as servers:
        result = ntp.Client().query(servers.names, quorum=1, deadline_s=PATIENCE_S)
    clock = ntp.Clock(result)
    earliest, _ = clock.bounds_ns()
    wall = time.time_ns()  # which is what test servers go by
    _, latest = clock.bounds_ns()
    assert earliest <= wall <= latest


def test_bounds_widen_by_the_drift_outwards() -> None:
    # 100 s at 15 ppm are 1.5 ms, each way; a little more, because the rate counts against true time.
    clock = ntp.Clock(known(ago_ns=100 * SECOND_NS))
    earliest, latest = clock.bounds_ns()
    assert latest - earliest >= 2000 + 2 * 1_500_000
    assert latest - earliest <= 2000 + 2 * 1_600_000 + 10_000_000
    assert clock.error_ns() >= 1000 + 1_500_000

    exact = ntp.Clock(known(ago_ns=100 * SECOND_NS), drift_ppb=0)
    earliest, latest = exact.bounds_ns()
    assert latest - earliest == 2000
    assert exact.error_ns() == 1000


def test_an_odd_width_leaves_no_side_uncovered() -> None:
    start = Known(time.monotonic_ns(), (NOON_NS, NOON_NS + 3))
    assert ntp.Clock(start, drift_ppb=0).error_ns() == 2


def test_time_is_aware_and_cut_to_microseconds() -> None:
    start = Known(time.monotonic_ns(), (NOON_NS + 999, NOON_NS + 999))
    clock = ntp.Clock(start)
    before = clock.now_ns()
    moment = clock.time()
    after = clock.now_ns()
    assert moment.tzinfo is UTC
    since = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert before // 1000 <= since <= after // 1000


@given(
    earliest=st.integers(-(2**62), 2**62),
    width=st.integers(0, 2**61),
    ago=st.integers(0, 10**18),
    drift=st.integers(0, 500_000_000),
)
def test_now_lies_between_bounds_that_move_together(earliest: int, width: int, ago: int, drift: int) -> None:
    start = Known(time.monotonic_ns() - ago, (earliest, earliest + width))
    clock = ntp.Clock(start, drift_ppb=drift)
    first, now, second = clock.bounds_ns(), clock.now_ns(), clock.bounds_ns()
    assert first[0] <= now <= second[1]
    assert first[0] <= second[0]
    assert first[1] <= second[1]
    # At least the drift of the time that has surely passed.
    grown = (first[1] - first[0]) - width
    assert grown >= 2 * ago * drift // 10**9 or first[1] == 2**63 - 1 or first[0] == -(2**63)


@given(earliest=INT64, latest=INT64, ago=st.integers(0, 2**62))
def test_any_interval_of_64_bits_is_kept_within_them(earliest: int, latest: int, ago: int) -> None:
    start = Known(time.monotonic_ns() - ago, (min(earliest, latest), max(earliest, latest)))
    low, high = ntp.Clock(start).bounds_ns()
    assert -(2**63) <= low <= high < 2**63


def test_many_threads_may_read_it_and_none_sees_it_go_back() -> None:
    clock = ntp.Clock(known())
    wrong: list[Any] = []

    def watch() -> None:
        last = clock.now_ns()
        for _ in range(3000):
            now = clock.now_ns()
            if now < last:
                wrong.append((last, now))
            last = now

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("call", ["now_ns", "bounds_ns", "error_ns", "time"])
def test_after_a_suspend_it_says_so_and_tells_no_time(call: str) -> None:
    # A result of an hour of sleep ago: as if the machine had been suspended after it.
    start = known()
    clock = ntp.Clock(KnownAsleep(start.monotonic_ns, start.interval_ns, asleep_ns() - 3600 * SECOND_NS))
    assert clock.lost
    with pytest.raises(ClockLostError, match=r"suspended or restarted since the query.*Query again"):
        getattr(clock, call)()
    awake = KnownAsleep(start.monotonic_ns, start.interval_ns, asleep_ns())
    assert not ntp.Clock(awake).lost


def test_a_result_from_before_a_restart_tells_no_time() -> None:
    assert ntp.Clock(replace(known(), monotonic_ns=time.monotonic_ns() + 3600 * SECOND_NS)).lost


def test_a_result_without_a_time_makes_no_clock() -> None:
    with pytest.raises(UsageError, match="there is no time in it"):
        ntp.Clock(Known(0, None))


@pytest.mark.parametrize("interval", [(2, 1), (-(2**63) - 1, 0), (0, 2**63)])
def test_what_is_no_interval_is_refused(interval: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match="is no interval"):
        ntp.Clock(Known(0, interval))


@pytest.mark.parametrize("drift", [-1, 500_000_001])
def test_a_drift_out_of_range_is_refused(drift: int) -> None:
    with pytest.raises(UsageError, match="drift_ppb"):
        ntp.Clock(known(), drift_ppb=drift)
