"""tl.FastDate64: one moment that never changes, sorts and has a hash."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from tickline import FastDate64
from tickline.errors import UsageError

RAW = st.integers(0, 2**64 - 1)
NS_END = 2**34 * 10**9
SAMPLE = 1549411238123456789


def test_the_package_offers_it_and_loads_no_numpy_for_it() -> None:
    assert tl.FastDate64 is FastDate64 is tl.time.FastDate64
    assert "FastDate64" in dir(tl)
    program = (
        "import sys, tickline as tl; tl.time.encode_ns(5); str(tl.FastDate64(7)); tl.time.parse('1');"
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@given(RAW)
def test_parts_and_numbers_belong_together(raw: int) -> None:
    date = FastDate64(raw)
    assert int(date) == raw
    assert date.seconds * 2**30 + date.fraction == raw
    assert date.unix_ns == tl.time.decode_ns(raw)
    assert FastDate64.from_unix_ns(date.unix_ns).unix_ns == date.unix_ns
    assert repr(date) == f"FastDate64({raw})"


@given(RAW, RAW)
def test_it_sorts_and_compares_as_its_number(one: int, other: int) -> None:
    a, b = FastDate64(one), FastDate64(other)
    assert (a < b, a <= b, a > b, a >= b, a == b) == (
        one < other, one <= other, one > other, one >= other, one == other,
    )  # fmt: skip
    assert hash(a) == hash(FastDate64(one))
    assert sorted([a, b])[0] == FastDate64(min(one, other))


@given(RAW)
def test_copies_and_pickles_are_equal(raw: int) -> None:
    date = FastDate64(raw)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(date, protocol)) == date
    assert copy.deepcopy(date) == copy.copy(date) == date


def test_it_never_changes() -> None:
    date = FastDate64(5)
    for name in ("_raw", "seconds", "other"):
        with pytest.raises(AttributeError):
            setattr(date, name, 6)
    with pytest.raises(AttributeError):
        del date._raw
    assert int(date) == 5


def test_it_is_no_number_by_itself() -> None:
    date = FastDate64(5)
    assert date != 5
    for wrong in (lambda: date < 5, lambda: date + 1, lambda: [1][date], lambda: date >= 5):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize("raw", [-1, 2**64, 2**100])
def test_what_is_no_64_bits_is_refused(raw: int) -> None:
    with pytest.raises(OverflowError, match="64 bits"):
        FastDate64(raw)


@pytest.mark.parametrize("raw", [1.0, "1", None, b"1"])
def test_what_is_no_whole_number_is_refused(raw: Any) -> None:
    for make in (FastDate64, FastDate64.from_unix_ns, FastDate64.from_seconds, FastDate64.from_ntp64):
        with pytest.raises(TypeError, match="whole number"):
            make(raw)


@pytest.mark.parametrize("ns", [-1, NS_END])
def test_what_lies_outside_is_refused_with_the_range(ns: int) -> None:
    with pytest.raises(OverflowError, match=r"1970-01-01T00:00:00 to 2514-05-30T01:53:03\.999999999"):
        FastDate64.from_unix_ns(ns)
    with pytest.raises(OverflowError, match="2514-05-30"):
        FastDate64.from_seconds(ns // 10**9)


@given(st.datetimes(dt.datetime(1970, 1, 2), dt.datetime(2514, 5, 28)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_datetime_goes_in_and_comes_out(naive: dt.datetime, ahead: int) -> None:
    moment = naive.replace(tzinfo=dt.timezone(dt.timedelta(minutes=ahead)))
    date = FastDate64.from_datetime(moment)
    assert date.to_datetime() == moment
    assert date.to_datetime().tzinfo is dt.UTC


def test_datetime_is_cut_to_microseconds_and_must_have_a_zone() -> None:
    date = FastDate64.from_unix_ns(SAMPLE)
    assert date.to_datetime() == dt.datetime(2019, 2, 6, 0, 0, 38, 123456, dt.UTC)
    last = FastDate64(2**64 - 1).to_datetime()
    assert last == dt.datetime(2514, 5, 30, 1, 53, 3, 999999, dt.UTC)
    with pytest.raises(ValueError, match="time zone"):
        FastDate64.from_datetime(dt.datetime(2019, 2, 6))  # noqa: DTZ001
    with pytest.raises(OverflowError, match="1969-12-31"):
        FastDate64.from_datetime(dt.datetime(1969, 12, 31, tzinfo=dt.UTC))


def test_numpy_goes_in_and_comes_out() -> None:
    moment = np.datetime64("2019-02-06T00:00:38.123456789", "ns")
    date = FastDate64.from_datetime64(moment)
    assert date == FastDate64.from_unix_ns(SAMPLE)
    assert date.to_datetime64() == moment
    assert date.to_datetime64().dtype == np.dtype("M8[ns]")
    assert FastDate64(np.uint64(2**64 - 1)) == FastDate64(2**64 - 1)
    with pytest.raises(OverflowError, match="2262-04-11"):
        FastDate64(2**64 - 1).to_datetime64()
    with pytest.raises(OverflowError, match="NaT"):
        FastDate64.from_datetime64(np.datetime64("NaT", "ns"))


@given(RAW)
def test_ntp_stamps_go_out_exactly_and_come_back(raw: int) -> None:
    date = FastDate64(raw)
    stamp = date.to_ntp64()
    assert FastDate64.from_ntp64(stamp, date.seconds) == date
    assert FastDate64.from_ntp64(stamp, date.seconds - 2**32 + 1) == date
    assert stamp % 2**32 == date.fraction * 4


@pytest.mark.parametrize(
    ("stamp", "raw"),
    [
        (0x83AA7E80_00000001, 0),
        (0x83AA7E80_00000002, 1),
        (0x83AA7E80_FFFFFFFD, 2**30 - 1),
        (0x83AA7E80_FFFFFFFE, 2**30),
        (0x83AA7E80_FFFFFFFF, 2**30),
        (0x00000000_00000000, 2085978496 * 2**30),
    ],
)
def test_the_fraction_of_a_stamp_is_rounded_with_carry(stamp: int, raw: int) -> None:
    assert int(FastDate64.from_ntp64(stamp, 0)) == raw


def test_stamps_outside_are_refused() -> None:
    for stamp, pivot in ((-1, 0), (2**64, 0), (0x83AA7E7F_00000000, -61505152), (0, 2**34)):
        with pytest.raises(OverflowError):
            FastDate64.from_ntp64(stamp, pivot)
    last = (2**34 - 1 + 2_208_988_800) % 2**32 << 32
    assert int(FastDate64.from_ntp64(last | 0xFFFFFFFD, 2**34 - 1)) == 2**64 - 1
    with pytest.raises(OverflowError):
        FastDate64.from_ntp64(last | 0xFFFFFFFE, 2**34 - 1)


def test_text_goes_in_and_comes_out() -> None:
    date = FastDate64.parse("2019-02-06 00:00:38.123456789")
    assert date == FastDate64.from_unix_ns(SAMPLE)
    assert str(date) == date.isoformat() == "2019-02-06T00:00:38.123456789Z"
    assert FastDate64.parse(str(date)) == date
    assert str(FastDate64(2**64 - 1)) == "2514-05-30T01:53:03.999999999Z"
    with pytest.raises(UsageError):
        FastDate64.parse("yesterday")
    with pytest.raises(OverflowError):
        FastDate64.parse("1969-12-31T23:59:59Z")
