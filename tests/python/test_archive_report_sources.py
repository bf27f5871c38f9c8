"""What a report says of the sources, steps, leap seconds and order of rows: checks 5, 7, 8 and 9."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from python.archive_case_support import (
    BEGIN,
    DAY,
    A,
    B,
    case_of,
    every,
    measured,
    shown,
    told,
    tracked,
)
from tickline.pipelines.archive.report.leaps import leap
from tickline.pipelines.archive.report.order import time_order
from tickline.pipelines.archive.report.sources import local_clock, local_source, source, stratum
from tickline.pipelines.archive.report.steps import step

FOREIGN = "203.0.113.9"
OWN = "127.127.1.1"
NOBODY = "0.0.0.0"


def test_a_source_that_is_not_allowed_lasts_until_the_next_row_that_is(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, FOREIGN), tracked(1200, FOREIGN), tracked(1800), tracked(2400)]
    [finding] = source(case_of(tmp_path, {"tracking": rows}))
    assert told(iter([finding])) == [("source", 600, 1800, FOREIGN, None)]
    assert finding.severity == "breach"
    assert shown(finding) == [rows[1], rows[2]]


def test_several_such_sources_in_turn_are_one_finding(tmp_path: Path) -> None:
    others = [FOREIGN, "203.0.113.10", FOREIGN]
    rows = [tracked(0), *(tracked(60 * (n + 1), other) for n, other in enumerate(others)), tracked(600)]
    assert told(source(case_of(tmp_path, {"tracking": rows}))) == [
        ("source", 60, 600, f"{FOREIGN}, 203.0.113.10", None)
    ]


def test_a_state_of_the_last_row_lasts_to_the_end_of_the_period(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600, FOREIGN, stratum=9)]
    case = case_of(tmp_path, {"tracking": rows}, end=7200)
    assert told(source(case)) == [("source", 600, 7200, FOREIGN, None)]
    assert told(stratum(case)) == [("stratum", 600, 7200, 9, 4)]


def test_rows_without_a_source_are_judged_neither_as_source_nor_as_stratum(tmp_path: Path) -> None:
    rows = [
        tracked(0),
        tracked(600, OWN, stratum=10),
        tracked(1200, NOBODY, stratum=0, leap="?"),
        tracked(1800),
    ]
    case = case_of(tmp_path, {"tracking": rows}, stratum=1)
    assert told(source(case)) == []
    assert told(stratum(case)) == [("stratum", 0, 600, 2, 1), ("stratum", 1800, DAY, 2, 1)]
    assert told(local_clock(case)) == [("local_clock", 600, 1200, 600, 0)]


def test_an_allowed_address_may_be_written_in_another_way(tmp_path: Path) -> None:
    rows = [tracked(0, "2001:db8:0:0::4"), tracked(600, "2001:db8::4"), tracked(1200, "PPS")]
    assert told(source(case_of(tmp_path, {"tracking": rows}))) == [("source", 1200, DAY, "PPS", None)]


def test_without_a_list_of_sources_traceability_cannot_be_shown(tmp_path: Path) -> None:
    case = case_of(tmp_path, {"tracking": [tracked(0, FOREIGN)]}, sources=None)
    [finding] = source(case)
    assert (finding.severity, finding.begin_s, finding.end_s) == ("unshown", BEGIN, BEGIN + DAY)
    assert finding.evidence == ()


def test_nothing_is_found_where_there_are_no_rows(tmp_path: Path) -> None:
    case = case_of(tmp_path, {"tracking": []})
    for check in (source, stratum, local_clock, local_source, step, leap, time_order):
        assert told(check(case)) == []
    assert told(source(case_of(tmp_path, {}, sources=None))) == []


def test_the_highest_stratum_is_told_and_shown(tmp_path: Path) -> None:
    rows = [tracked(n * 60, stratum=number) for n, number in enumerate((4, 5, 11, 6, 4))]
    [finding] = stratum(case_of(tmp_path, {"tracking": rows}))
    assert told(iter([finding])) == [("stratum", 60, 240, 11, 4)]
    assert shown(finding) == rows[1:4]


def test_a_source_that_follows_itself_is_found_if_it_was_followed(tmp_path: Path) -> None:
    measurements = every(64, measured, A, end=600)
    measurements += [measured(at, A, refid="7F7F0101") for at in (640, 704, 768)]
    measurements += every(64, measured, A, begin=832, end=1800)
    tracking = [tracked(0, B), tracked(705), tracked(900)]
    case = case_of(tmp_path, {"measurements": measurements, "tracking": tracking})
    [finding] = local_source(case)
    assert told(iter([finding])) == [("local_clock", 640, 832, 192, 0)]
    assert finding.severity == "breach"
    assert shown(finding) == [measurements[10], measurements[12]]


def test_a_source_that_follows_itself_is_nothing_to_a_node_that_does_not_follow_it(tmp_path: Path) -> None:
    measurements = [measured(64 * n, A, refid="7F7F0101" if n == 3 else "47505300") for n in range(9)]
    # Followed before and after, not meanwhile.
    tracking = [tracked(128, A), tracked(200, B), tracked(256, A)]
    case = case_of(tmp_path, {"measurements": measurements, "tracking": tracking})
    assert told(local_source(case)) == []


def test_steps_are_offsets_and_jumps_of_frequency_from_the_limit_on(tmp_path: Path) -> None:
    rows = [
        tracked(0),
        tracked(60, offset=0.0199),
        tracked(120, offset=-0.02),
        tracked(180, frequency=-12.345 + 9.999),
        tracked(240, frequency=-2.346 - 10.0),
        tracked(300, frequency=-12.346, offset=1.5),
    ]
    found = list(step(case_of(tmp_path, {"tracking": rows})))
    assert told(iter(found)) == [
        ("step", 120, 120, -0.02, 0.02),
        ("step", 240, 240, pytest.approx(-10.0), 10.0),
        ("step", 300, 300, 1.5, 0.02),
    ]
    assert shown(found[0]) == rows[1:3]
    assert shown(found[1]) == rows[3:5]


def test_rows_of_a_start_are_no_steps(tmp_path: Path) -> None:
    rows = [
        tracked(0, NOBODY, stratum=0, leap="?", error=1.5, frequency=0.0),
        tracked(5, offset=0.3, error=1.5, frequency=-30.0),
        tracked(9, offset=0.2, error=0.3, frequency=-60.0),
        tracked(60, offset=0.1, frequency=-60.0),
    ]
    assert told(step(case_of(tmp_path, {"tracking": rows}))) == [("step", 60, 60, 0.1, 0.02)]


def test_a_leap_second_that_nobody_announced_is_found(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(60, leap="+"), tracked(120, leap="+"), tracked(180), tracked(240, leap="-")]
    case = case_of(tmp_path, {"tracking": rows})
    assert told(leap(case)) == [("leap", 60, 180, "+", None), ("leap", 240, DAY, "-", None)]


@pytest.mark.parametrize(("day", "expected"), [(dt.date(2026, 3, 31), 0), (dt.date(2026, 4, 30), 1)])
def test_a_leap_second_may_be_announced_from_the_first_of_its_month_on(
    tmp_path: Path, day: dt.date, expected: int
) -> None:
    rows = [tracked(0, leap="+"), tracked(600)]
    case = case_of(tmp_path, {"tracking": rows}, leap_seconds={day: "+"})
    assert len(told(leap(case))) == expected


def test_an_announced_leap_second_is_expected_in_its_month_and_to_the_next_row(tmp_path: Path) -> None:
    rows = [tracked(at, leap="+") for at in (0, DAY - 600, DAY + 2099, DAY + 2100)]
    case = case_of(
        tmp_path, {"tracking": rows}, end=2 * DAY, now=2 * DAY, leap_seconds={dt.date(2026, 3, 2): "+"}
    )
    assert told(leap(case)) == [("leap", DAY + 2100, 2 * DAY, "+", None)]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (tracked(DAY - 60), [("leap", DAY - 60, DAY, "N", "+")]),
        (tracked(DAY - 60, leap="+"), []),
        (
            tracked(DAY - 60, leap="-"),
            [("leap", DAY - 60, DAY, "-", None), ("leap", DAY - 60, DAY, "-", "+")],
        ),
        # It says nothing of leap seconds.
        (tracked(DAY - 60, NOBODY, stratum=0, leap="?"), []),
    ],
)
def test_a_leap_second_that_a_node_did_not_expect_is_found(
    tmp_path: Path, last: str, expected: list[tuple[object, ...]]
) -> None:
    rows = [tracked(DAY - 7200, leap="+"), last, tracked(DAY)]
    case = case_of(
        tmp_path, {"tracking": rows}, end=2 * DAY, now=2 * DAY, leap_seconds={dt.date(2026, 3, 2): "+"}
    )
    found = list(leap(case))
    assert told(iter(found)) == expected
    assert {finding.severity for finding in found if finding.limit} <= {"unshown"}


def test_a_node_that_was_silent_before_a_leap_second_is_not_judged_by_it(tmp_path: Path) -> None:
    rows = [tracked(DAY // 2 - 1), tracked(DAY + 60)]
    case = case_of(
        tmp_path, {"tracking": rows}, end=2 * DAY, now=2 * DAY, leap_seconds={dt.date(2026, 3, 2): "+"}
    )
    assert told(leap(case)) == []


def test_rows_that_go_back_are_found_once_for_each_stretch(tmp_path: Path) -> None:
    rows = [tracked(at, offset=at * 1e-9) for at in (0, 600, 1200, 300, 400, 1800, 1799)]
    found = list(time_order(case_of(tmp_path, {"tracking": rows})))
    assert told(iter(found)) == [("time_order", 300, 1200, 900, 0), ("time_order", 1799, 1800, 1, 0)]
    assert shown(next(one for one in found if one.value == 900)) == rows[2:5]


def test_the_same_line_again_is_found_and_another_of_the_same_second_is_not(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600), tracked(600, offset=2e-5), tracked(600), tracked(1200)]
    [finding] = time_order(case_of(tmp_path, {"tracking": rows}))
    assert told(iter([finding])) == [("time_order", 600, 600, 0, 0)]
    assert "twice" in finding.text


def test_lines_that_stand_there_twice_are_one_finding_of_order_and_judged_once(tmp_path: Path) -> None:
    rows = [tracked(at, FOREIGN if at == 600 else A, offset=0.5 if at == 600 else 0) for at in (0, 600, 1200)]
    case = case_of(tmp_path, {"tracking": [*rows, *rows, tracked(1800)]})
    assert told(time_order(case)) == [("time_order", 0, 1200, 1200, 0)]
    assert told(source(case)) == [("source", 600, 1200, FOREIGN, None)]
    assert told(step(case)) == [("step", 600, 600, 0.5, 0.02)]


def test_what_lies_outside_the_period_is_not_read_for_evidence(tmp_path: Path) -> None:
    rows = [tracked(0, FOREIGN), tracked(600), tracked(DAY, FOREIGN), tracked(DAY + 600)]
    case = case_of(tmp_path, {"tracking": rows}, begin=DAY, end=2 * DAY, now=2 * DAY)
    before, within = source(case)
    assert told(iter([before, within])) == [
        ("source", 0, 600, FOREIGN, None),
        ("source", DAY, DAY + 600, FOREIGN, None),
    ]
    assert (before.evidence, shown(within)) == ((), [rows[2]])
