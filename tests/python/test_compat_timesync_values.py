"""tickline.compat.timesync: its arithmetic, FastDate64, files and records, with values made by hand."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from tickline.compat import timesync
from tickline.ntp.lower_bound import Evidence, LowerBound

HOUR_NS = 3600 * 10**9


# ---- times ------------------------------------------------------------------------------------------------


def test_timing_must_be_started() -> None:
    timer = timesync.MonotonicTimeCalculator()
    with pytest.raises(ValueError, match="start_timing"):
        timer.elapsed_monotonic()
    with pytest.raises(ValueError, match="start_timing"):
        timer.wall_time_from_monotonic(0.0)


def test_elapsed_time_does_not_follow_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clocks = {"wall": 1_600_000_000 * 10**9, "monotonic": 10**9}
    monkeypatch.setattr(time, "time_ns", lambda: clocks["wall"])
    monkeypatch.setattr(time, "monotonic_ns", lambda: clocks["monotonic"])
    timer = timesync.MonotonicTimeCalculator()
    assert timer.start_timing() == (1_600_000_000.0, 1.0)
    clocks["wall"] -= HOUR_NS
    clocks["monotonic"] += 1_500_000_000
    assert timer.elapsed_monotonic() == 1.5
    assert timer.wall_time_from_monotonic(1.5) == 1_600_000_001.5


def test_both_clocks_are_read_at_one_instant_as_nearly_as_three_tries_allow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = iter([0, 10**9, 2 * 10**9, 2 * 10**9 + 4, 3 * 10**9, 5 * 10**9])
    walls = iter([10 * 10**9, 20 * 10**9, 30 * 10**9])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(readings))
    monkeypatch.setattr(time, "time_ns", lambda: next(walls))
    assert timesync.MonotonicTimeCalculator().start_timing() == (20.0, 2.000000002)


def test_delay_and_offset_are_those_of_the_four_stamps() -> None:
    # By hand: 0.25 s out, 0.125 s in the server, 0.5 s back; the server is ahead by 2 s.
    delay, offset = timesync.MonotonicTimeCalculator.calculate_ntp_rtt(
        1_600_000_000.0, 1_600_000_002.25, 1_600_000_002.375, 7.875, 7.0
    )
    assert delay == 0.75
    assert offset == 1.875  # half of the asymmetry, 0.125 s, cannot be seen


def test_fast_dates_are_the_layout_of_timesync() -> None:
    assert timesync.FastDate64Encoder.encode(1_600_000_000.5) == 1_600_000_000 << 30 | 1 << 29
    assert timesync.FastDate64Encoder.encode(0) == 0
    assert timesync.FastDate64Encoder.decode(1_600_000_000 << 30 | 1 << 29) == 1_600_000_000.5
    # To the nearest tick and not cut: the next fraction below one second is the last tick, not a carry.
    assert timesync.FastDate64Encoder.encode(0.999999999) == 2**30 - 1


@given(st.floats(min_value=0, max_value=2**34 - 1))
def test_fast_dates_of_floats_are_the_nearest(seconds: float) -> None:
    raw = timesync.FastDate64Encoder.encode(seconds)
    assert abs(Fraction(raw, 2**30) - Fraction(seconds)) <= Fraction(1, 2**31)


@given(st.floats(min_value=2**22, max_value=2**34 - 1))
def test_fast_dates_of_floats_are_the_numbers_that_timesync_made(seconds: float) -> None:
    # Its rule: whole seconds, and the fraction cut. From 2^22 s on a float has no more than 30 bits of it.
    cut = int(seconds) << 30 | int((seconds - int(seconds)) * 2**30)
    assert timesync.FastDate64Encoder.encode(seconds) == cut


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_every_fast_date_is_the_float_that_is_nearest(raw: int) -> None:
    assert timesync.FastDate64Encoder.decode(raw) == float(Fraction(raw, 2**30))


@pytest.mark.parametrize("seconds", [-1.0, float("nan")])
def test_times_before_1970_are_value_errors_as_they_were(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"1970|NaN"):
        timesync.FastDate64Encoder.encode(seconds)
    assert timesync.FastDate64Encoder.encode_safe(seconds) == 0


@pytest.mark.parametrize("seconds", [2.0**34, 1e300, float("inf")])
def test_times_after_2514_are_overflow_errors_as_they_were(seconds: float) -> None:
    with pytest.raises(OverflowError):
        timesync.FastDate64Encoder.encode(seconds)
    assert timesync.FastDate64Encoder.encode_safe(seconds) == 0


@pytest.mark.parametrize("raw", [-1, 2**64])
def test_what_has_no_64_bits_is_no_fast_date(raw: int) -> None:
    with pytest.raises(OverflowError):
        timesync.FastDate64Encoder.decode(raw)
    assert timesync.FastDate64Encoder.decode_safe(raw) == 0.0


def test_safe_forms_give_what_the_others_give() -> None:
    raw = timesync.FastDate64Encoder.encode_safe(1_600_000_000.5)
    assert timesync.FastDate64Encoder.decode_safe(raw) == 1_600_000_000.5


def test_packed_stamps_are_read_as_before() -> None:
    assert timesync.NTP_PACKET_STRUCT.size == 48
    assert timesync.NTP_TIMESTAMP_STRUCT.unpack(bytes.fromhex("eeacaa7640000000")) == (0xEEACAA76, 1 << 30)


# ---- PerformanceMetrics -----------------------------------------------------------------------------------


def test_a_record_without_entries_is_all_zero() -> None:
    assert set(timesync.PerformanceMetrics().get_summary().values()) == {0}


def test_a_record_has_counts_shares_and_means() -> None:
    record = timesync.PerformanceMetrics()
    record.record_ntp_query("a.example", 0.25, True, 0.5)
    record.record_ntp_query("b.example", 0.75, True, 1.0)
    record.record_ntp_query("c.example", 9.0, False, 3.0)
    record.record_ntp_query("c.example", 9.0, False, 3.5)
    record.record_dns_cache_miss()
    for _ in range(3):
        record.record_dns_cache_hit()
    record.record_parallel_query(3, 6, True, 0.5, 0.1)
    record.record_fallback_usage("files", 0.1)
    record.record_error("network", "nobody answers")
    assert record.get_summary() == {
        "total_queries": 4,
        "success_rate": 0.5,
        "avg_delay": 0.5,
        "avg_duration": 2.0,
        "dns_cache_hit_rate": 0.75,
        "total_parallel_queries": 1,
        "fallback_count": 1,
        "error_count": 1,
    }


def test_threads_may_share_a_record_and_it_does_not_grow() -> None:
    record = timesync.PerformanceMetrics()

    def work() -> None:
        for number in range(2_000):
            record.record_ntp_query(f"{number}.example", 1.0, True, 1.0)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert record.get_summary()["total_queries"] == 8_000
    assert len(vars(record)["_sums"]) < 10


def test_a_timer_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    before = timesync.get_global_metrics().get_summary()["error_count"]
    with (
        caplog.at_level("DEBUG", "tickline.compat.timesync"),
        pytest.raises(KeyError),
        timesync.performance_timer("scan"),
    ):
        raise KeyError
    assert "scan took" in caplog.text
    assert timesync.get_global_metrics().get_summary()["error_count"] == before


# ---- TargetedFileScanner ----------------------------------------------------------------------------------


def test_files_of_the_system_tell_a_time_that_has_passed() -> None:
    found = timesync.TargetedFileScanner(max_files=100, max_depth=2).get_recent_file_time()
    assert found is not None
    assert 10**9 < found < time.time()
    bound = tl.ntp.lower_bound()
    assert found == max(one.at_least_ns for one in bound.evidence if one.path) / 10**9


def test_files_that_anybody_may_write_tell_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timesync.files, "ROOTS", ())
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text("")
        os.utime(tmp_path / f"{number}.txt", (2_000_000_000, 2_000_000_000))
    scanner = timesync.TargetedFileScanner()
    before = scanner.get_recent_file_time()  # a clock file, where the machine has one
    assert scanner.get_recent_file_time([str(tmp_path), ".", "missing"]) == before


def test_the_latest_of_the_files_counts_and_the_limits_are_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, int] = {}

    def lower_bound(_roots: list[str], **limits: int) -> LowerBound:
        asked.update(limits)
        evidence = (
            Evidence(1_900_000_000 * 10**9, "high", "build"),
            Evidence(1_700_000_000 * 10**9, "medium", "clock file", "/clock"),
            Evidence(1_800_000_000_500_000_000, "low", "files", "/etc/hostname"),
        )
        return dataclasses.replace(bound, evidence=evidence)

    bound = tl.ntp.lower_bound(roots=[], clock_file=None)
    monkeypatch.setattr(tl.ntp, "lower_bound", lower_bound)
    assert timesync.TargetedFileScanner(max_files=7, max_depth=1).get_recent_file_time() == 1_800_000_000.5
    assert asked == {"max_files": 7, "max_depth": 1}


def test_limits_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="max_files"):
        timesync.TargetedFileScanner(max_files=0).get_recent_file_time()
