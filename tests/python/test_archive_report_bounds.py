"""What a report says of the bound of the error: in rows, in starts, over gaps and in 24 hours."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import pytest

from python.archive_case_support import BEGIN, DAY, case_of, every, shown, told, tracked
from tickline.pipelines.archive.report.bounds import (
    counters,
    exceedances,
    gaps,
    not_synchronised,
    unread,
    without_bound,
)
from tickline.pipelines.archive.report.calendar import Session

NOBODY = "0.0.0.0"
TRADING = Session(dt.date(2026, 3, 2), BEGIN + 9 * 3600, BEGIN + 17 * 3600)
OLD = "2026-03-02 {} 192.0.2.1        2    -12.345      0.050  1.000e-05 N  1  1.000e-06  0.000e+00\n"


def lost(at: int, error: float = 1.5) -> str:
    return tracked(at, NOBODY, stratum=0, leap="?", error=error)


def test_neighbours_over_the_tolerance_are_one_finding_from_the_row_before(tmp_path: Path) -> None:
    errors = [1e-3, 0.06, 0.09, 0.07, 1e-3, 0.051, 1e-3]
    rows = [tracked(600 * n, error=error) for n, error in enumerate(errors)]
    found = list(exceedances(case_of(tmp_path, {"tracking": rows}, end=3700)))
    assert told(iter(found)) == [("exceedance", 0, 1800, 0.09, 0.05), ("exceedance", 2400, 3000, 0.051, 0.05)]
    assert {finding.severity for finding in found} == {"breach"}
    assert [shown(finding) for finding in found] == [rows[1:4], [rows[5]]]


def test_a_bound_of_exactly_the_tolerance_is_within_it(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, error=0.05), tracked(1200)]
    assert told(exceedances(case_of(tmp_path, {"tracking": rows}))) == []


def test_the_very_first_row_over_the_tolerance_has_no_row_before(tmp_path: Path) -> None:
    rows = [tracked(300, error=0.06), tracked(600)]
    assert told(exceedances(case_of(tmp_path, {"tracking": rows}))) == [("exceedance", 300, 300, 0.06, 0.05)]


def test_twice_the_tolerance_is_to_be_reported(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, error=0.0999), tracked(1200), tracked(1800, error=0.1), tracked(2400)]
    found = told(exceedances(case_of(tmp_path, {"tracking": rows})))
    assert [one for one in found if one[0] == "counter"] == [("counter", 1200, 1800, 0.1, 0.1)]


def test_rows_of_a_start_are_no_exceedance_until_one_is_good(tmp_path: Path) -> None:
    rows = [tracked(0), lost(600), tracked(602, error=1.5), tracked(700), tracked(800, error=0.06)]
    case = case_of(tmp_path, {"tracking": rows}, end=900)
    assert case.starting.tolist() == [False, True, True, False, False]
    assert told(exceedances(case)) == [("exceedance", 700, 800, 0.06, 0.05)]


def test_a_start_that_does_not_end_becomes_an_exceedance(tmp_path: Path) -> None:
    rows = [lost(0), *every(600, tracked, begin=600, end=3600, error=0.06), tracked(3600)]
    case = case_of(tmp_path, {"tracking": rows}, end=3700)
    # The rows at 2400 and 3000 s are more than 35 minutes behind the start.
    assert told(exceedances(case)) == [("exceedance", 1800, 3000, 0.06, 0.05)]


@pytest.mark.parametrize(
    ("begin", "is_breach"), [(8 * 3600, False), (9 * 3600 - 100, True), (12 * 3600, True), (17 * 3600, False)]
)
def test_not_being_synchronised_counts_while_the_exchange_trades(
    tmp_path: Path, begin: int, is_breach: bool
) -> None:
    rows = [tracked(begin - 60), lost(begin), tracked(begin + 150, error=1.5), tracked(begin + 200)]
    case = case_of(tmp_path, {"tracking": rows})
    case.sessions = [TRADING]
    expected = [("not_synchronised", begin, begin + 200, 200, 0)] if is_breach else []
    assert told(not_synchronised(case)) == expected


def test_what_is_never_synchronised_lasts_to_the_end_of_the_period(tmp_path: Path) -> None:
    case = case_of(tmp_path, {"tracking": [tracked(0), lost(10 * 3600)]})
    case.sessions = [TRADING]
    assert told(not_synchronised(case)) == [("not_synchronised", 36000, DAY, DAY - 36000, 0)]


def test_rows_of_old_releases_bound_nothing(tmp_path: Path) -> None:
    rows = [tracked(0), OLD.format("00:10:00"), OLD.format("00:20:00"), tracked(1800)]
    # A banner tells of the older layout; without one a shorter row would be a damaged one.
    title = "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset"
    title += " L Co  Offset sd Rem. corr.\n"
    rows.insert(1, title)
    newer = title.rstrip("\n") + " Root delay Root disp. Max. error\n"
    case = case_of(tmp_path, {"tracking": [*rows[:4], newer, rows[4]]})
    [finding] = without_bound(case)
    assert told(iter([finding])) == [("cannot_be_shown", 600, 1800, None, None)]
    assert finding.severity == "unshown"


def test_a_gap_is_longer_than_the_limit(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(2100), tracked(4201)]
    [finding] = gaps(case_of(tmp_path, {"tracking": rows}, end=4300))
    assert told(iter([finding])) == [("gap", 2100, 4201, 2101, 2100)]
    assert shown(finding) == rows[1:]
    assert finding.severity == "remark"


def test_over_a_gap_the_bound_grows_with_skew_and_drift(tmp_path: Path) -> None:
    # 1 ms and (0.05 + 1) ppm: 50 ms are passed after 46,666.67 s.
    rows = [tracked(0), tracked(80_000, error=0.02)]
    gap, unshown = gaps(case_of(tmp_path, {"tracking": rows}, end=80_000))
    assert told(iter([gap])) == [("gap", 0, 80_000, 80_000, 2100)]
    [(check, begin, end, value, limit)] = told(iter([unshown]))
    assert (check, begin, end, limit) == ("cannot_be_shown", 46_666, 80_000, 0.05)
    assert value == pytest.approx(1e-3 + 1.05e-6 * 80_000)
    assert unshown.severity == "unshown"


def test_drift_is_added_behind_the_last_row_up_to_the_end_of_the_period(tmp_path: Path) -> None:
    found = told(gaps(case_of(tmp_path, {"tracking": [tracked(0)]})))
    assert found[0] == ("gap", 0, DAY, DAY, 2100)
    assert found[1][:3] == ("cannot_be_shown", 46_666, DAY)


def test_a_gap_behind_a_row_over_the_tolerance_shows_nothing_at_all(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, error=0.06), tracked(6000)]
    found = told(gaps(case_of(tmp_path, {"tracking": rows}, end=6001)))
    assert found[1][:3] == ("cannot_be_shown", 600, 6000)


def test_before_the_first_row_nothing_is_known(tmp_path: Path) -> None:
    found = told(gaps(case_of(tmp_path, {"tracking": [tracked(2101)]}, end=2200)))
    assert found == [("gap", 0, 2101, 2101, 2100), ("cannot_be_shown", 0, 2101, None, 0.05)]
    assert told(gaps(case_of(tmp_path / "less", {"tracking": [tracked(2100)]}, end=2200))) == []


def test_behind_a_row_without_skew_nothing_bounds_the_error(tmp_path: Path) -> None:
    case = case_of(tmp_path, {"tracking": [tracked(0), tracked(DAY - 60)]})
    case.tracking.columns["skew_ppm"][0] = math.nan
    [unshown] = [one for one in gaps(case) if one.check == "cannot_be_shown"]
    assert told(iter([unshown])) == [("cannot_be_shown", 0, DAY - 60, math.inf, 0.05)]


def test_of_a_period_without_rows_nothing_is_shown_however_short_it_is(tmp_path: Path) -> None:
    found = list(gaps(case_of(tmp_path, {"tracking": []}, end=600)))
    assert {one.severity for one in found} == {"remark", "unshown"}


def test_a_node_without_rows_is_a_gap_as_long_as_the_period(tmp_path: Path) -> None:
    found = told(gaps(case_of(tmp_path, {"measurements": []})))
    assert found == [("gap", 0, DAY, DAY, 2100), ("cannot_be_shown", 0, DAY, None, 0.05)]


def test_what_lies_outside_the_period_has_no_evidence_read(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, error=0.06), tracked(1200), *every(600, tracked, begin=1800, end=8000)]
    [before] = exceedances(case_of(tmp_path, {"tracking": rows}, begin=3600, end=7200))
    assert before.evidence == ()


def test_many_exceedances_within_24_hours_are_one_finding(tmp_path: Path) -> None:
    rows = [tracked(600 * n, error=0.06 if n % 2 else 1e-3) for n in range(21)]
    [finding] = counters(case_of(tmp_path, {"tracking": rows}, end=12_100))
    assert told(iter([finding])) == [("counter", 0, 19 * 600, 10, 10)]
    assert shown(finding) == [rows[1], rows[19]]


def test_nine_exceedances_are_not_many(tmp_path: Path) -> None:
    rows = [tracked(600 * n, error=0.06 if n % 2 else 1e-3) for n in range(19)]
    assert told(counters(case_of(tmp_path, {"tracking": rows}))) == []


def test_exceedances_that_are_24_hours_apart_are_not_counted_together(tmp_path: Path) -> None:
    # Two in the first hour, two a day later; in between the bound is held.
    errors = {600: 0.06, 1800: 0.06, DAY + 600: 0.06, DAY + 1800: 0.06}
    rows = [tracked(at, error=errors.get(at, 1e-3)) for at in range(0, DAY + 3600, 600)]
    apart = case_of(tmp_path / "apart", {"tracking": rows}, end=DAY + 3600, counter_exceedances=3)
    assert told(counters(apart)) == []
    longer = case_of(
        tmp_path / "longer", {"tracking": rows}, end=DAY + 3600, counter_exceedances=3, counter_hours=24.1
    )
    assert told(counters(longer)) == [("counter", 0, DAY + 1800, 3, 3)]


def test_windows_that_overlap_are_joined_and_those_that_do_not_are_not(tmp_path: Path) -> None:
    near = [600, 1800, 3000, 4200]
    far = [20_000, 21_200, 22_400]
    errors = dict.fromkeys([*near, *far], 0.06)
    times = sorted({*range(0, 24_000, 600), *far, *(at - 300 for at in far)})
    rows = [tracked(at, error=errors.get(at, 1e-3)) for at in times]
    case = case_of(tmp_path, {"tracking": rows}, end=24_000, counter_exceedances=3, counter_hours=1)
    assert told(counters(case)) == [("counter", 0, 4200, 3, 3), ("counter", 19_800, 22_400, 3, 3)]


def test_lines_that_should_be_rows_and_cannot_be_read_leave_something_unshown(tmp_path: Path) -> None:
    rows = every(600, tracked, end=6000)
    torn, endless = rows[3][:60] + "\n", rows[7][:-11] + "       inf\n"
    logs = [*rows[:3], torn, *rows[4:7], endless, "\0\0\0 nothing at all\n", *rows[8:]]
    case = case_of(tmp_path, {"tracking": logs}, end=6000)
    assert case.rejected_lines == 3
    found = list(unread(case))
    assert told(iter(found)) == [
        ("cannot_be_shown", 1200, 2400, None, None),
        ("cannot_be_shown", 3600, 4800, None, None),
    ]
    assert [shown(one) for one in found] == [[torn], [endless]]
    assert {one.severity for one in found} == {"unshown"}


def test_many_lines_that_cannot_be_read_are_one_finding(tmp_path: Path) -> None:
    rows = every(600, tracked, end=6000)
    logs = [row if place in (0, 9) else row[:60] + "\n" for place, row in enumerate(rows)]
    [found] = unread(case_of(tmp_path, {"tracking": logs}, end=6000))
    assert told(iter([found])) == [("cannot_be_shown", 0, 5400, None, None)]
    assert shown(found) == [logs[1], logs[8]]
    [nothing] = unread(case_of(tmp_path / "none", {"tracking": [row[:60] + "\n" for row in rows]}, end=6000))
    assert told(iter([nothing])) == [("cannot_be_shown", 0, 6000, None, None)]


def test_behind_a_row_that_says_that_it_is_not_synchronised_nothing_bounds_the_error(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, "0.0.0.0", stratum=0, leap="?"), tracked(DAY - 60)]
    found = [one for one in gaps(case_of(tmp_path, {"tracking": rows})) if one.check == "cannot_be_shown"]
    assert told(iter(found)) == [("cannot_be_shown", 600, DAY - 60, math.inf, 0.05)]
