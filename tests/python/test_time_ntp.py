"""NTP stamps and texts of times in Python, against Python's own integers and datetime."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from tickline import _core
from tickline.errors import UsageError

SECONDS_1900_TO_1970 = 2_208_988_800
INT64 = st.integers(-(2**63), 2**63 - 1)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MOMENTS = st.integers(-62_135_510_400, 253_402_214_400).map(lambda s: EPOCH + dt.timedelta(seconds=s))


def slow_from_ntp64(stamp: int, pivot_s: int) -> int:
    """Return the nearest nanosecond, exactly, of the moment in the 136 years from the pivot on."""
    seconds = Fraction(stamp >> 32) - SECONDS_1900_TO_1970
    while seconds < pivot_s:
        seconds += 2**32
    while seconds >= pivot_s + 2**32:
        seconds -= 2**32
    exact = (seconds + Fraction(stamp & 0xFFFFFFFF, 2**32)) * 10**9
    return int(exact + Fraction(1, 2) - (exact + Fraction(1, 2)) % 1)


@given(st.integers(0, 2**64 - 1), st.integers(-(10**9), 4 * 10**9))
def test_stamps_are_read_by_their_pivot(stamp: int, pivot_s: int) -> None:
    expected = slow_from_ntp64(stamp, pivot_s)
    assert tl.time.ntp64_to_ns(stamp, pivot_s) == expected
    found = tl.time.ntp64_to_ns(np.array([stamp], np.uint64), pivot_s=pivot_s)
    assert (found.dtype, found.tolist()) == (np.int64, [expected])
    assert tl.time.ntp64_to_ns(stamp) == slow_from_ntp64(stamp, _core.NTP_PIVOT_S)


@given(INT64)
def test_nanoseconds_become_stamps_and_come_back(ns: int) -> None:
    stamp = tl.time.ns_to_ntp64(ns)
    seconds, rest = divmod(ns, 10**9)
    assert stamp == ((seconds + SECONDS_1900_TO_1970) % 2**32 << 32) + round(Fraction(rest << 32, 10**9))
    assert tl.time.ntp64_to_ns(stamp, seconds) == ns
    assert tl.time.ns_to_ntp64(np.array([ns])).tolist() == [stamp]


def test_the_pivot_is_ten_years_before_this_version() -> None:
    pivot = EPOCH + dt.timedelta(seconds=_core.NTP_PIVOT_S)
    assert pivot.year >= 2016
    assert tl.time.ntp64_to_ns(0) == 2085978496 * 10**9  # 2036-02-07T06:28:16Z


@given(st.integers(0, 2**32 - 1))
def test_the_short_format(value: int) -> None:
    expected = (value * 10**9 * 2 + 2**16) // 2**17
    assert tl.time.ntp_short_to_ns(value) == expected
    assert tl.time.ntp_short_to_ns(np.array([value], np.uint32)).tolist() == [expected]
    assert tl.time.ntp_short_to_ns(np.array([value])).tolist() == [expected]
    assert tl.time.ntp_short_to_ns(np.uint32(value).tobytes()).tolist() == [expected]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (tl.time.ntp64_to_ns, -1),
        (tl.time.ntp64_to_ns, 2**64),
        (tl.time.ntp64_to_ns, np.array([-1])),
        (tl.time.ntp_short_to_ns, -1),
        (tl.time.ntp_short_to_ns, 2**32),
        (tl.time.ntp_short_to_ns, np.array([1, 2**32])),
        (tl.time.ns_to_ntp64, 2**63),
        (tl.time.ns_to_ntp64, -(2**63) - 1),
        (tl.time.ns_to_ntp64, np.array([2**63], np.uint64)),
        (lambda v: tl.time.ntp64_to_ns(v, 10**10), 5),
        (lambda v: tl.time.ntp64_to_ns(v, 2**63 - 1), 5),
        (lambda v: tl.time.ntp64_to_ns(v, -(2**63)), np.array([5])),
    ],
)
def test_what_does_not_fit_is_an_overflow_error(call: Any, value: Any) -> None:
    with pytest.raises(OverflowError):
        call(value)


def test_bytes_that_are_no_numbers_are_a_type_error() -> None:
    for call, size in ((tl.time.ntp64_to_ns, 12), (tl.time.ns_to_ntp64, 12), (tl.time.ntp_short_to_ns, 6)):
        with pytest.raises(TypeError, match=f"{size} bytes"):
            call(bytes(size))
        with pytest.raises(TypeError):
            call(1.5)


@given(MOMENTS, st.integers(0, 999_999_999), st.integers(-1439, 1439), st.sampled_from("T "))
def test_texts_with_offset_are_read_as_datetime_reads_them(
    moment: dt.datetime, rest: int, ahead: int, separator: str
) -> None:
    moment = moment.replace(microsecond=0, tzinfo=dt.timezone(dt.timedelta(minutes=ahead)))
    zone = moment.isoformat()[-6:]
    text = f"{moment:%Y-%m-%d}".rjust(10, "0") + f"{separator}{moment:%H:%M:%S}.{rest:09d}{zone}"
    since = moment - EPOCH
    expected = (since.days * 86400 + since.seconds) * 10**9 + rest
    assert tl.time.parse(text) == expected
    assert tl.time.parse(tl.time.format(expected)) == expected


@given(MOMENTS, st.sampled_from(tl.time.FORMS))
def test_whole_seconds_come_back_in_every_form(moment: dt.datetime, form: str) -> None:
    since = moment.replace(tzinfo=dt.UTC, microsecond=0) - EPOCH
    ns = (since.days * 86400 + since.seconds) * 10**9
    unit = form if form in tl.time.UNITS else "s"
    assert tl.time.parse(tl.time.format(ns, form), unit) == ns
    assert tl.time.parse(tl.time.format(ns, form, digits=0), unit) == ns


def test_the_forms_look_as_documented() -> None:
    ns = 1549411238123456789
    assert {form: tl.time.format(ns, form) for form in tl.time.FORMS} == {
        "iso": "2019-02-06T00:00:38.123456789Z",
        "chrony": "2019-02-06 00:00:38.123456789",
        "s3": "[06/Feb/2019:00:00:38 +0000]",
        "s": "1549411238.123456789",
        "ms": "1549411238123.456789",
        "us": "1549411238123456.789",
        "ns": "1549411238123456789",
    }
    assert tl.time.format(ns, "chrony", digits=6) == "2019-02-06 00:00:38.123456"
    assert tl.time.format(-1, digits=3) == "1969-12-31T23:59:59.999Z"
    assert tl.time.format(-1, "s3") == "[31/Dec/1969:23:59:59 +0000]"


@pytest.mark.parametrize(
    "text",
    ["", " ", "nothing", "2019-02-29T00:00:00", "2019-02-06", "[06/Feb/2019:00:00:38 +0000", "1.", "1e9",
     "2019-02-06T00:00:38\n", "٢٠١٩", "nan", "\ud800", "1\x00", "9" * 30, "x" * 1_000_000],
)  # fmt: skip
def test_what_is_no_time_is_a_usage_error_that_shows_it(text: str) -> None:
    with pytest.raises(UsageError, match="is no time") as caught:
        tl.time.parse(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_wrong_names_are_usage_errors_that_list_the_right_ones() -> None:
    with pytest.raises(UsageError, match="s, ms, us, ns"):
        tl.time.parse("1", "h")
    with pytest.raises(UsageError, match="iso, chrony, s3"):
        tl.time.format(1, "rfc")
    with pytest.raises(UsageError, match="0 to 9"):
        tl.time.format(1, digits=10)
    for ns in (-62_167_219_200 * 10**9 - 1, 253_402_300_800 * 10**9, 2**100):
        with pytest.raises(OverflowError, match="years 0 to 9999"):
            tl.time.format(ns)
