"""What a report says of days: rows before the open, days without any, shares of time, and bins for plots."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from python.archive_case_support import BEGIN, DAY, add, case_of, every, measured, shown, told, tracked
from tickline.pipelines.archive.report.calendar import Session
from tickline.pipelines.archive.report.case import NodeCase
from tickline.pipelines.archive.report.days import missing_days, pre_open
from tickline.pipelines.archive.report.shares import series, time_shares

OPEN = 9 * 3600


def sessions(count: int) -> list[Session]:
    first = dt.date(2026, 3, 2)
    return [
        Session(first + dt.timedelta(days=n), BEGIN + n * DAY + OPEN, BEGIN + n * DAY + OPEN + 8 * 3600)
        for n in range(count)
    ]


def case_with(tmp_path: Path, rows: list[str], days: int = 1, **more: object) -> NodeCase:
    case = case_of(tmp_path, {"tracking": rows}, end=days * DAY, **more)  # type: ignore[arg-type]
    case.sessions = sessions(days)
    return case


def test_one_good_row_in_the_hours_before_the_open_is_enough(tmp_path: Path) -> None:
    rows = [tracked(0, error=0.06), tracked(OPEN - 1), tracked(OPEN, error=0.06)]
    assert told(pre_open(case_with(tmp_path, rows))) == []


def test_a_row_at_the_open_is_too_late(tmp_path: Path) -> None:
    [finding] = pre_open(case_with(tmp_path, [tracked(OPEN)]))
    assert told(iter([finding])) == [("pre_open", OPEN - DAY, OPEN, 0, 1)]
    assert (finding.severity, finding.evidence) == ("unshown", ())


@pytest.mark.parametrize(
    "row",
    [
        tracked(OPEN - 60, error=0.0501),
        tracked(OPEN - 60, leap="?"),
        tracked(OPEN - 60, stratum=0),
        tracked(OPEN - 60, stratum=16),
        tracked(OPEN - 60, "0.0.0.0"),
    ],
    ids=["over the tolerance", "leap status", "stratum 0", "stratum 16", "no source"],
)
def test_a_row_that_shows_no_synchronised_clock_is_a_breach(tmp_path: Path, row: str) -> None:
    [finding] = pre_open(case_with(tmp_path, [row]))
    assert (finding.value, finding.severity) == (0, "breach")
    assert shown(finding) == [row]


def test_hours_before_the_open_are_those_of_the_rule(tmp_path: Path) -> None:
    rows = [tracked(OPEN - 3600)]
    assert told(pre_open(case_with(tmp_path / "a", rows, pre_open_hours=1.0))) == []
    assert len(list(pre_open(case_with(tmp_path / "b", rows, pre_open_hours=0.5)))) == 1


def test_rows_of_the_day_before_the_period_count_for_its_first_open(tmp_path: Path) -> None:
    rows = [tracked(OPEN + 3600), tracked(DAY + OPEN + 7200)]
    case = case_of(tmp_path, {"tracking": rows}, begin=DAY, end=2 * DAY)
    case.sessions = sessions(3)
    assert told(pre_open(case)) == []


def test_a_business_day_without_a_row_is_missing(tmp_path: Path) -> None:
    rows = [tracked(DAY - 1), tracked(2 * DAY)]
    [finding] = missing_days(case_with(tmp_path, rows, days=3))
    assert told(iter([finding])) == [("missing_day", DAY, 2 * DAY, 1, 0)]
    assert finding.severity == "unshown"


def test_a_day_that_is_not_over_is_not_missing(tmp_path: Path) -> None:
    case = case_with(tmp_path, [tracked(0)], days=2)
    case.end_s = BEGIN + 2 * DAY - 1
    assert told(missing_days(case)) == []


def test_time_within_the_tolerance_is_counted_from_row_to_row(tmp_path: Path) -> None:
    # The rows cover the day but for its first 864 s; one of a hundred intervals is over the tolerance.
    rows = [tracked(at, error=0.06 if at == 43_200 else 1e-3) for at in range(864, DAY, 864)]
    within, shown_part = time_shares(case_with(tmp_path, rows))
    assert shown_part == pytest.approx(0.99)
    assert within == pytest.approx(0.98)


def test_of_a_gap_only_the_time_counts_in_which_the_bound_holds(tmp_path: Path) -> None:
    # 1 ms and 1.05 ppm: within 50 ms for 46,666 s.
    within, shown_part = time_shares(case_with(tmp_path, [tracked(0)]))
    assert within == shown_part == pytest.approx(46_666 / DAY)


def test_a_gap_between_rows_is_followed_by_what_the_rows_say(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(60_000), *every(600, tracked, begin=60_600)]
    within, _ = time_shares(case_with(tmp_path, rows))
    assert within == pytest.approx((46_666 + DAY - 60_000) / DAY)


def test_a_gap_before_a_row_over_the_tolerance_is_within_it_at_first(tmp_path: Path) -> None:
    rows = [tracked(0), *every(600, tracked, begin=60_000, error=0.06)]
    within, shown_part = time_shares(case_with(tmp_path, rows))
    assert within == pytest.approx(46_666 / DAY)
    assert shown_part == pytest.approx((46_666 + DAY - 600 - 60_000) / DAY)


def test_only_business_days_count(tmp_path: Path) -> None:
    rows = every(600, tracked, end=DAY) + every(600, tracked, begin=DAY, end=2 * DAY, error=0.06)
    case = case_with(tmp_path, rows, days=2)
    case.sessions = case.sessions[:1]
    # The first row of the second day bounds the last ten minutes of the first.
    assert time_shares(case) == (pytest.approx(1 - 600 / DAY), 1.0)
    case.sessions = []
    assert time_shares(case) == (None, 0.0)


def test_nothing_is_shown_without_rows(tmp_path: Path) -> None:
    assert time_shares(case_with(tmp_path, [])) == (None, 0.0)


def test_bins_have_the_extremes_of_their_rows(tmp_path: Path) -> None:
    rows = [tracked(10, offset=1e-4), tracked(20, offset=-2e-4, error=0.02), tracked(130, offset=3e-4)]
    found = series(case_of(tmp_path, {"tracking": rows}, end=240))
    assert (found.begin_s, found.bin_s) == (BEGIN, 60)
    assert found.offset_low_s == [-2e-4, None, 3e-4, None]
    assert found.offset_high_s == [1e-4, None, 3e-4, None]
    assert found.bound_s == [0.02, None, 1e-3, None]


def test_there_are_few_enough_bins_for_a_page(tmp_path: Path) -> None:
    found = series(case_with(tmp_path, every(600, tracked, end=5 * DAY), days=5))
    assert len(found.bound_s) == 720
    assert found.bin_s * len(found.bound_s) >= 5 * DAY


def test_a_node_on_its_own_clock_was_not_synchronised_before_the_open(tmp_path: Path) -> None:
    rows = [*every(600, tracked, "127.127.1.1", stratum=10, error=0.0, end=OPEN), tracked(OPEN)]
    [finding] = pre_open(case_with(tmp_path, rows))
    assert (finding.value, finding.severity) == (0, "breach")


def test_of_a_clock_that_followed_itself_no_time_is_shown_to_be_within(tmp_path: Path) -> None:
    rows = [*every(600, tracked, end=DAY // 4), tracked(DAY // 4, "127.127.1.1", stratum=10, error=0.0)]
    rows += every(600, tracked, "127.127.1.1", stratum=10, error=0.0, begin=DAY // 4 + 600, end=DAY // 2)
    rows += every(600, tracked, begin=DAY // 2)
    within, shown_share = time_shares(case_with(tmp_path, rows))
    assert within == shown_share == pytest.approx(0.75)


def test_of_a_source_that_followed_itself_no_time_is_shown_to_be_within(tmp_path: Path) -> None:
    for kind, rows in (
        ("tracking", every(600, tracked)),
        ("measurements", [*every(600, measured, end=DAY // 2), measured(DAY // 2, refid="7F7F0101")]),
    ):
        add(tmp_path, kind, rows)
    add(tmp_path, "measurements", every(600, measured, begin=DAY * 3 // 4))
    case = case_with(tmp_path, [])
    assert time_shares(case)[0] == pytest.approx(0.75)


def test_of_a_clock_that_is_not_synchronised_no_time_is_shown_to_be_within(tmp_path: Path) -> None:
    rows = every(600, tracked, end=DAY // 2)
    rows += every(600, tracked, "0.0.0.0", stratum=0, leap="?", begin=DAY // 2, end=DAY * 3 // 4)
    rows += every(600, tracked, begin=DAY * 3 // 4)
    assert time_shares(case_with(tmp_path, rows)) == (0.75, 0.75)


def test_of_time_whose_rows_cannot_be_read_none_is_shown_to_be_within(tmp_path: Path) -> None:
    rows = every(600, tracked)
    rows[60] = rows[60][:60] + "\n"
    within, shown_share = time_shares(case_with(tmp_path, rows))
    assert within == shown_share == pytest.approx(1 - 1200 / DAY)
