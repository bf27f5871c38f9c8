"""Numbers as printf writes them, from whole numbers; titles as chrony's manual and releases have them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickline.fake import chrony_text
from tickline.fake.chrony_text import NEGATIVE_ZERO, VERSIONS, as_float, lines, title

# Of COLUMNS.md: how long the titles of a release are.
LENGTHS = {
    "tracking": {"1.24": 71, "1.26": 71, "1.27": 73, "1.31": 98, "2.4": 98, "3.1": 98, "4.3": 131},
    "measurements": {"1.24": 117, "1.26": 120, "1.27": 120, "1.31": 120, "2.4": 120, "3.1": 136, "4.3": 136},
    "statistics": {"1.24": 110, "1.26": 110, "1.27": 110, "1.31": 110, "2.4": 110, "3.1": 116, "4.3": 116},
}


def _printed(value: int, digits: int) -> str:
    """Round half up to so many digits, digit by digit in Python's whole numbers."""
    if value == 0:
        return f"{0:.{digits - 1}e}"
    power = len(str(abs(value))) - 1
    number = int(Fraction(abs(value), 1) / Fraction(10) ** (power - digits + 1) + Fraction(1, 2))
    if number == 10**digits:
        number, power = number // 10, power + 1
    text = str(number)
    return f"{'-' if value < 0 else ''}{text[0]}.{text[1:]}e{power - 15:+03d}"


@given(st.integers(-(10**18) + 1, 10**18 - 1))
@example(0)
@example(9_999)
@example(99_995)
@example(-99_994)
@example(999_949_999)
@example(10**15)
def test_scientific_numbers_are_rounded_in_whole_numbers(value: int) -> None:
    text = chrony_text._scientific(np.array([value])).tobytes().decode()
    assert text == _printed(value, 4).rjust(10)
    assert as_float(value) == float(text)
    # Where four digits are all that there is, printf agrees.
    if abs(value) < 10**4:
        assert text == f"{value / 1e15:10.3e}"


@given(st.integers(0, 10**18 - 1))
def test_stress_has_two_digits(value: int) -> None:
    assert chrony_text._scientific(np.array([value]), 2).tobytes().decode() == _printed(value, 2)


def test_a_correction_that_was_never_begun_is_minus_zero() -> None:
    assert chrony_text._scientific(np.array([NEGATIVE_ZERO])).tobytes() == b"-0.000e+00"


@given(st.integers(-99_999_999, 999_999_999))
@example(-1)
@example(0)
def test_parts_per_million_have_three_places(value: int) -> None:
    text = chrony_text._decimal(np.array([value]), 11, 3).tobytes().decode()
    sign = "-" if value < 0 else ""
    assert text == f"{sign}{abs(value) // 1000}.{abs(value) % 1000:03d}".rjust(11)


@given(st.integers(-99, 999))
def test_whole_numbers_are_right_aligned(value: int) -> None:
    assert chrony_text._decimal(np.array([value]), 3).tobytes().decode() == f"{value:3d}"


@pytest.mark.parametrize("kind", LENGTHS)
def test_titles_are_as_long_as_those_of_the_releases(kind: str) -> None:
    assert {version: len(title(kind, version)) for version in VERSIONS} == LENGTHS[kind]


def test_a_line_of_the_manual_comes_out_as_it_stands_there() -> None:
    # chrony.conf(5), tracking; "Co" has two places in every release.
    values = {
        "time": 1503408156,
        "address": 0,
        "stratum": 2,
        "frequency": -3541,
        "skew": 75,
        "offset": -8_621_000_000,
        "leap": ord("N"),
        "combined": 2,
        "offset_sd": 2_940_000_000_000,
        "remaining": -208_400_000_000,
        "root_delay": 15_340_000_000_000,
        "root_dispersion": 347_200_000_000,
        "max_error": 8_304_000_000_000,
    }
    rows = {name: np.array([value]) for name, value in values.items()}
    [(text, count)] = lines("tracking", "4.3", b"2017-08-22", rows, [b"203.0.113.15"], 1)
    assert count == 1
    assert text == (
        b"2017-08-22 13:22:36 203.0.113.15     2     -3.541      0.075 -8.621e-06 N  2  2.940e-03 "
        b"-2.084e-04  1.534e-02  3.472e-04  8.304e-03\n"
    )
