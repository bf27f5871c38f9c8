"""tickline.time on numbers, buffers and arrays, against Python's own integers."""

from __future__ import annotations

import array
import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hypothesis_numpy

import tickline as tl

NS_END = 2**34 * 10**9
GOLDEN = Path(__file__).resolve().parents[1] / "data" / "golden" / "fastdate64.json"


def slow_encode(ns: int) -> int:
    """Return what `encode_ns` should: the nearest of all ticks, by Python's own division."""
    seconds, rest = divmod(ns, 10**9)
    return seconds * 2**30 + round(rest * 2**30 / 10**9)


def slow_decode(raw: int) -> int:
    """Return what `decode_ns` should; a tick is 0.93 ns, so nothing lies half way but 2^29 of 2^30."""
    seconds, ticks = divmod(raw, 2**30)
    return seconds * 10**9 + (ticks * 10**9 * 2 + 2**30) // 2**31


def cases() -> list[dict[str, Any]]:
    found = json.loads(GOLDEN.read_text())["cases"]
    assert len(found) > 100
    return found


def test_golden_values_one_by_one_and_as_arrays() -> None:
    encoded = [case for case in cases() if case["direction"] == "encode"]
    ns = [case["seconds"] * 10**9 + case["nanoseconds"] for case in encoded]
    raw = [case["raw"] for case in encoded]
    assert [tl.time.encode_ns(value) for value in ns] == raw
    assert tl.time.encode_ns(np.array(ns, np.uint64)).tolist() == raw
    everything = [case["raw"] for case in cases()]
    expected = [case["seconds"] * 10**9 + case["nanoseconds"] for case in cases()]
    assert [tl.time.decode_ns(value) for value in everything] == expected
    assert tl.time.decode_ns(np.array(everything, np.uint64)).tolist() == expected


@given(st.integers(0, NS_END - 1))
def test_a_number_alone_is_the_one_of_the_slow_way_and_comes_back(ns: int) -> None:
    raw = tl.time.encode_ns(ns)
    assert raw == slow_encode(ns)
    assert type(raw) is int
    assert tl.time.decode_ns(raw) == ns


@given(hypothesis_numpy.arrays(np.uint64, st.integers(0, 1100), elements=st.integers(0, NS_END - 1)))
def test_arrays_are_their_numbers_one_by_one(ns: np.ndarray[Any, Any]) -> None:
    raw = tl.time.encode_ns(ns)
    assert raw.dtype == np.uint64
    assert raw.tolist() == [slow_encode(value) for value in ns.tolist()]
    assert np.array_equal(tl.time.decode_ns(raw), ns)


@given(hypothesis_numpy.arrays(np.uint64, st.integers(0, 600)))
def test_every_64_bits_are_a_moment(raw: np.ndarray[Any, Any]) -> None:
    assert tl.time.decode_ns(raw).tolist() == [slow_decode(value) for value in raw.tolist()]


@pytest.mark.parametrize(
    "given_as",
    [
        np.array([1, 2, 3], np.int64),
        np.array([1, 2, 3], np.uint8),
        np.array([1, 2, 3], np.int32),
        np.array([1, 2, 3], ">i8"),
        np.array([3, 2, 1])[::-1],
        array.array("q", [1, 2, 3]),
        array.array("B", array.array("Q", [1, 2, 3]).tobytes()),
        array.array("Q", [1, 2, 3]).tobytes(),
        bytearray(array.array("Q", [1, 2, 3]).tobytes()),
        memoryview(array.array("l", [1, 2, 3])),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_buffer_of_integers_is_taken(given_as: Any) -> None:
    expected = [slow_encode(value) for value in (1, 2, 3)]
    assert tl.time.encode_ns(given_as).tolist() == expected
    assert tl.time.decode_ns(given_as).tolist() == [slow_decode(value) for value in (1, 2, 3)]


def test_a_shape_stays_and_what_is_read_only_is_taken() -> None:
    ns = np.arange(12).reshape(3, 4)
    ns.flags.writeable = False
    assert tl.time.encode_ns(ns).shape == (3, 4)
    assert tl.time.encode_ns(ns.T)[3, 2] == slow_encode(11)
    assert tl.time.encode_ns(np.array(7)).shape == ()
    assert tl.time.encode_ns(np.int32(7)) == slow_encode(7)
    assert tl.time.encode_ns(np.array([], np.int64)).tolist() == []


def test_other_libraries_columns_are_taken() -> None:
    pandas = pytest.importorskip("pandas")
    series = pandas.Series(pandas.to_datetime(["2019-02-06T00:00:38.000000001"]))
    assert tl.time.encode_ns(series).tolist() == [slow_encode(1549411238000000001)]


@pytest.mark.parametrize(
    ("text", "unit"),
    [("2019", "Y"), ("2019-02", "M"), ("2019-02-06", "D"), ("2019-02-06T00:00:38.123456789", "ns"),
     ("2019-02-06T00:00:38.5", "ms"), ("2019-02-06T00:00:38", "s"), ("2262-05-01", "us"), ("2514", "Y"),
     ("2514-05", "M"), ("2514-05-30T01:53:03.999999", "us"), ("1970", "W")],
)  # fmt: skip
def test_datetime64_of_any_unit_goes_in(text: str, unit: str) -> None:
    moment = np.datetime64(text, unit)
    seconds = int(moment.astype("datetime64[s]").astype(int))
    rest = int((moment - moment.astype("datetime64[s]")) / np.timedelta64(1, "ns")) if unit != "us" else 0
    raw = tl.time.encode_ns(moment)
    assert type(raw) is int
    if unit != "us":
        assert raw == slow_encode(seconds * 10**9 + rest)
    assert tl.time.encode_ns(np.array([moment])).tolist() == [raw]
    assert tl.time.format(tl.time.decode_ns(raw))[: len(text)] == text


def test_datetime64_comes_out_where_it_can_hold_the_time() -> None:
    moments = np.array(
        ["1970-01-01", "2019-02-06T00:00:38.123456789", "2262-04-11T23:47:16.854775807"], "M8[ns]"
    )
    assert np.array_equal(tl.time.decode_datetime64(tl.time.encode_ns(moments)), moments)
    late = tl.time.encode_ns(np.array(["2019-01-01", "2262-05-01"], "M8[s]"))
    with pytest.raises(OverflowError, match=r"v\[1\] = .* lies after 2262-04-11"):
        tl.time.decode_datetime64(late)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (-1, "ns = -1"),
        (NS_END, f"ns = {NS_END}"),
        (2**80, "ns = "),
        (np.array([5] * 1000 + [-1]), r"ns\[1000\] = -1"),
        (np.array([[0, 1], [-7, -8]]), r"ns\[2\] = -7"),
        (np.array([NS_END], np.uint64), r"ns\[0\] = "),
        (np.array([2**64 - 1], np.uint64), r"ns\[0\] = "),
        (np.array(["2019-01-01", "NaT"], "M8[ns]"), r"ns\[1\] = NaT"),
        (np.array(["2019-01-01", "NaT"], "M8[D]"), r"ns\[1\] = NaT"),
        (np.array(["1969-12-31"], "M8[D]"), r"ns\[0\] = 1969-12-31"),
        (np.array(["2515"], "M8[Y]"), r"ns\[0\] = 2515"),
        (np.array(["2514-06"], "M8[M]"), r"ns\[0\] = 2514-06"),
        (np.array([2**62], "M8[Y]"), r"ns\[0\] = "),
        (np.array([2**62], "M8[W]"), r"ns\[0\] = "),
        (np.datetime64("1969-12-31", "s"), "ns = 1969"),
    ],
)
def test_what_lies_outside_is_an_overflow_error_with_place_and_range(value: Any, place: str) -> None:
    with pytest.raises(OverflowError, match=place) as caught:
        tl.time.encode_ns(value)
    assert "1970-01-01T00:00:00 to 2514-05-30T01:53:03.999999999" in str(caught.value)
    assert tl.time.safe_encode_ns(value) is None


@pytest.mark.parametrize(
    "value",
    [1.5, None, "1", [1, 2], {}, b"1234567", np.array([1.0]), np.array(["a"]), np.array([True]),
     np.array([1, None]), np.ma.array([1, 2], mask=[0, 1]), np.array([1], "m8[ns]"), np.array([1], "M8[ps]"),
     np.array(["NaT"], "M8")],
)  # fmt: skip
def test_what_is_no_integer_is_a_type_error_or_none(value: Any) -> None:
    with pytest.raises(TypeError):
        tl.time.encode_ns(value)
    assert tl.time.safe_encode_ns(value) is None
    if not (isinstance(value, np.ndarray) and value.dtype.kind == "M"):
        with pytest.raises(TypeError):
            tl.time.decode_ns(value)
    assert tl.time.safe_decode_ns(value) is None


def test_decoding_refuses_what_is_no_64_bits() -> None:
    for value in (-1, 2**64, np.array([1, -2])):
        with pytest.raises(OverflowError):
            tl.time.decode_ns(value)
        assert tl.time.safe_decode_ns(value) is None
    assert tl.time.safe_decode_ns(2**30) == 10**9
    assert tl.time.safe_encode_ns(10**9) == 2**30


def test_the_lock_of_the_interpreter_is_free_while_arrays_are_converted() -> None:
    ns = np.full(1 << 22, 1549411238000000001)
    tl.time.encode_ns(ns)  # imports what it needs, and gives the lock up for that
    ready, stop, ticks = threading.Event(), threading.Event(), [0]

    def tick() -> None:
        ready.set()
        while not stop.wait(0.0002):
            ticks[0] += 1

    thread = threading.Thread(target=tick)
    before = sys.getswitchinterval()
    # Nobody takes the lock away from whoever holds it, so the other thread moves on only if it is given up.
    sys.setswitchinterval(60)
    try:
        thread.start()
        ready.wait()
        begin = ticks[0]
        for _ in range(10):
            tl.time.encode_ns(ns)
        moved = ticks[0] - begin
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(before)
    assert moved > 0
