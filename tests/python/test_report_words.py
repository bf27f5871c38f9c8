"""How report.html writes numbers and days, and puts days together to bars."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickline.page.words import span_words
from tickline.pipelines.access.report.bins import bins_of, tick_marks, unit_for
from tickline.pipelines.access.report.words import (
    human_bytes,
    human_count,
    share,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (12_345_678, "12.3 MB"),
        (10**12, "1.00 TB"),
        (2**64 - 1, "18.4 EB"),
        (10**26, "100,000 ZB"),
    ],
)
def test_sizes_have_three_digits(number: int, text: str) -> None:
    assert human_bytes(number).replace("\u00a0", " ") == text


def test_an_axis_has_no_zeros_behind_the_point() -> None:
    assert human_bytes(1_500_000_000, trim=True) == "1.5\u00a0GB"
    assert human_count(20_000) == "20\u00a0k"
    assert human_count(500) == "500"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (1, 3, "33.3 %"),
        (3, 2, "150.0 %"),
        (1, 10**9, "< 0.1 %"),
        (10**9 - 1, 10**9, "> 99.9 %"),
        (0, 0, "\u2013"),
    ],
)
def test_only_all_is_100_per_cent(part: int, whole: int, text: str) -> None:
    assert share(part, whole).replace("\u00a0", " ") == text


def test_a_span_says_each_year_once() -> None:
    day = date(2024, 2, 28)
    texts = [
        span_words(day, last).replace("\u00a0", " ") for last in (day, date(2024, 3, 5), date(2025, 1, 1))
    ]
    assert texts == [
        "28 February 2024",
        "28 February to 5 March 2024",
        "28 February 2024 to 1 January 2025",
    ]


days = st.dates(date.min, date.max)


@given(st.lists(days, min_size=1, max_size=30), st.integers(40, 200))
def test_bars_hold_every_day_once(found: list[date], limit: int) -> None:
    first, last = min(found), max(found)
    unit = unit_for(first, last, limit)
    bins = bins_of({day: (day.toordinal(),) for day in found}, first, last, unit)
    assert len(bins) <= max(limit, 101)
    assert sum(one.value for one in bins) == sum(day.toordinal() for day in set(found))
    assert [one.start for one in bins] == sorted({one.start for one in bins})
    marks = tick_marks(bins, unit, 0.1)
    assert 1 <= len(marks) <= 10 or len(bins) < 10
    assert all(0 <= mark.index < len(bins) for mark in marks)


@pytest.mark.parametrize(
    ("days", "unit"),
    [(1, "day"), (190, "day"), (191, "week"), (1300, "week"), (2000, "month"), (6000, "quarter")],
)
def test_the_unit_follows_the_number_of_days(days: int, unit: str) -> None:
    assert unit_for(date(2020, 1, 1), date(2020, 1, 1) + timedelta(days=days - 1), 190) == unit
