"""chrony's log lines from columns of whole numbers: every layout of its releases, and the banners.

Formats and titles are those of chrony's `LOG_FileWrite` and `LOG_FileOpen` calls from 1.24 to 4.8. Seconds
are whole femtoseconds here and rounded to the digits that are printed in whole numbers, so that no machine's
mathematics library has a say in the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .draws import I64, PAD, U8, text_table

__all__ = ["BANNER_EVERY", "BANNER_LINES", "KINDS", "NEGATIVE_ZERO", "VERSIONS", "as_float", "lines", "title"]

KINDS = ("tracking", "measurements", "statistics")
BANNER_EVERY = 32
BANNER_LINES = 3  # ruler, titles, ruler
# Releases that stand for all of their layout, and the number of columns of each kind; oldest first.
VERSIONS = {
    "1.24": (7, 16, 12),
    "1.26": (7, 16, 12),
    "1.27": (8, 16, 12),
    "1.31": (11, 16, 12),
    "2.4": (11, 16, 12),
    "3.1": (11, 20, 13),
    "4.3": (14, 20, 13),
}
# What is printed as -0.000e+00, as chrony does for a correction that was never begun.
NEGATIVE_ZERO = int(np.iinfo(np.int64).min)

# Values by name: seconds, ratios and stress in 1e-15, ppm in 1e-3, scores and asymmetry in 1e-2.
Columns = Mapping[str, NDArray[np.int64]]

_TENS = np.array([10**e for e in range(19)], dtype=np.int64)
_DIGITS = np.frombuffer(b"0123456789ABCDEF", dtype=np.uint8)
_HEAD = "   Date (UTC) Time     IP Address   "
_TRACKING = _HEAD + "St   Freq ppm   Skew ppm     Offset"
_STATISTICS = _HEAD + " Std dev'n Est offset  Offset sd  Diff freq   Est skew  Stress  Ns  Bs  Nr"
_MEASURED = "LP RP Score    Offset  Peer del. Peer disp.  Root del. Root disp."
_MEASUREMENTS = {
    "1.24": "L St 1234 ab 5678 LP RP SC  Offset     Peer del. Peer disp. Root del.  Root disp.",
    "1.26": "L St 1234 abc 5678 LP RP Score Offset     Peer del. Peer disp. Root del.  Root disp.",
    "2.4": "L St 123 567 ABCD  " + _MEASURED,
    "3.1": "L St 123 567 ABCD  " + _MEASURED + " Refid     MTxRx",
}
_MEASUREMENTS |= {"1.27": _MEASUREMENTS["1.26"], "1.31": _MEASUREMENTS["1.26"], "4.3": _MEASUREMENTS["3.1"]}
_TRACKING_MORE = {
    7: "",
    8: " L",
    11: " L Co  Offset sd Rem. corr.",
    14: " L Co  Offset sd Rem. corr. Root delay Root disp. Max. error",
}


def title(kind: str, version: str) -> bytes:
    """Return the titles of the columns, as the middle line of a banner has them."""
    columns = VERSIONS[version][KINDS.index(kind)]
    if kind == "tracking":
        text = _TRACKING + _TRACKING_MORE[columns]
    elif kind == "measurements":
        text = _HEAD + _MEASUREMENTS[version]
    else:
        text = _STATISTICS + ("  Asym" if columns == 13 else "")
    return text.encode()


def _mantissa(values: I64, digits: int) -> tuple[I64, I64]:
    """Round to so many digits: the digits as a number, and the power of ten of the first one."""
    size = np.abs(np.where(values == NEGATIVE_ZERO, 0, values))
    power = np.searchsorted(_TENS, size, side="right") - 1
    drop = np.maximum(power - (digits - 1), 0)
    number = np.where(
        power >= digits - 1,
        (size + np.where(drop > 0, _TENS[drop] // 2, 0)) // _TENS[drop],
        size * _TENS[np.clip(digits - 1 - power, 0, digits)],
    )
    carried = number >= _TENS[digits]
    number = np.where(carried, number // 10, number)
    power = np.where(size == 0, 15, power + carried)
    return np.where(size == 0, 0, number), power


def as_float(value: int) -> float:
    """Return what a reader gets who reads the four digits that are printed of a value in 1e-15."""
    number, power = _mantissa(np.array([value], dtype=np.int64), 4)
    return float(f"{'-' if value < 0 else ''}{int(number[0])}e{int(power[0]) - 18}")


def _scientific(values: I64, digits: int = 4) -> U8:
    """Write ``%10.3e`` of values in 1e-15; with two digits ``%7.1e`` of values that are not negative."""
    number, power = _mantissa(values, digits)
    exponent = power - 15
    blank = 1 if digits == 4 else 0
    text = np.empty((len(values), blank + digits + 5), dtype=np.uint8)
    text[:, 0] = np.where(values < 0, ord("-"), ord(" "))
    for place in range(digits):
        digit = _DIGITS[number // _TENS[digits - 1 - place] % 10]
        text[:, blank + (place + 1 if place else 0)] = digit
    text[:, blank + 1] = ord(".")
    text[:, -4] = ord("e")
    text[:, -3] = np.where(exponent < 0, ord("-"), ord("+"))
    text[:, -2] = _DIGITS[np.abs(exponent) // 10]
    text[:, -1] = _DIGITS[np.abs(exponent) % 10]
    return text


def _decimal(values: I64, width: int, places: int = 0) -> U8:
    """Write numbers in units of 10**-places, right-aligned as ``%<width>.<places>f`` does."""
    size = np.abs(values)
    digits = width - (1 if places else 0)
    text = np.full((len(values), width), ord(" "), dtype=np.uint8)
    first = np.full(len(values), width)
    for place in range(digits):
        column = width - 1 - place - (1 if places and place >= places else 0)
        shown = (size >= _TENS[place]) | (place <= places)
        text[:, column] = np.where(shown, _DIGITS[size // _TENS[place] % 10], ord(" "))
        first = np.where(shown, column, first)
    if places:
        text[:, width - 1 - places] = ord(".")
    rows = np.flatnonzero(values < 0)
    text[rows, first[rows] - 1] = ord("-")
    return text


def _hexadecimal(values: I64) -> U8:
    shifts = np.arange(28, -4, -4)
    text: U8 = _DIGITS[(values[:, None] >> shifts) & 15]
    return text


def _clock(day: bytes, times: I64) -> U8:
    """Write ``YYYY-MM-DD HH:MM:SS`` of one day."""
    second = times % 86_400
    text = np.empty((len(times), 19), dtype=np.uint8)
    text[:, :11] = np.frombuffer(day + b" ", dtype=np.uint8)
    text[:, [13, 16]] = ord(":")
    for at, value in ((11, second // 3600), (14, second // 60 % 60), (17, second % 60)):
        text[:, at] = _DIGITS[value // 10]
        text[:, at + 1] = _DIGITS[value % 10]
    return text


def _tracking(rows: Columns, version: str) -> list[U8 | bytes]:
    columns = VERSIONS[version][0]
    parts: list[U8 | bytes] = [_decimal(rows["stratum"], 2), b" ", _decimal(rows["frequency"], 10, 3), b" "]
    # Before the first update it is 1000000.000, one character wider than its column.
    skew = _decimal(rows["skew"], 11, 3)
    skew[skew[:, 0] == ord(" "), 0] = PAD
    parts += [skew, b" ", _scientific(rows["offset"])]
    if columns >= 8:
        parts += [b" ", _letter(rows["leap"])]
    if columns >= 11:
        parts += [b" ", _decimal(rows["combined"], 2)]
        parts += _each(rows, "offset_sd", "remaining")
    if columns >= 14:
        parts += _each(rows, "root_delay", "root_dispersion", "max_error")
    return parts


def _measurements(rows: Columns, version: str) -> list[U8 | bytes]:
    columns = VERSIONS[version][1]
    old = version.startswith("1.")
    # The digit that a clean-looking line fails most: the third test of the last group, the ratio of delays.
    failed = np.where(rows["good"] != 0, ord("1"), ord("0")).astype(np.uint8)[:, None]
    parts: list[U8 | bytes] = [_letter(rows["leap"]), b" ", _decimal(rows["stratum"], 2)]
    groups = b" 1111 11" if version == "1.24" else b" 1111 111" if old else b" 111 111"
    parts += [groups, b" 11", failed, b"1 " if old else b"1  "]
    poll = _decimal(rows["poll"], 2)
    parts += [poll, b" ", poll, b" "]
    parts += [_decimal(rows["score"] // 100, 2) if version == "1.24" else _decimal(rows["score"], 4, 2)]
    parts += _each(rows, "offset", "peer_delay", "peer_dispersion", "root_delay", "root_dispersion")
    if columns == 20:
        parts += [b" ", _hexadecimal(rows["reference_id"]), b" 4B ", _letter(rows["stamp"])]
        parts += [b" ", _letter(rows["stamp"])]
    return parts


def _statistics(rows: Columns, version: str) -> list[U8 | bytes]:
    parts = _each(rows, "std_dev", "offset", "offset_sd", "diff_frequency", "skew_ratio")
    parts += [b" ", _scientific(rows["stress"], 2)]
    for name in ("samples", "dropped", "runs"):
        parts += [b" ", _decimal(rows[name], 3)]
    if VERSIONS[version][2] == 13:
        parts += [b" ", _decimal(rows["asymmetry"], 5, 2)]
    return parts[1:]


def _letter(values: I64) -> U8:
    return values.astype(np.uint8)[:, None]


def _each(rows: Columns, *names: str) -> list[U8 | bytes]:
    return [part for name in names for part in (b" ", _scientific(rows[name]))]


_WRITERS = {"tracking": _tracking, "measurements": _measurements, "statistics": _statistics}


def lines(
    kind: str, version: str, day: bytes, rows: Columns, addresses: Sequence[bytes], written: int
) -> Iterator[tuple[bytes, int]]:
    """Yield the text of rows in pieces, a banner before every 32nd one, and the number of lines of each.

    Parameters
    ----------
    kind, version : str
        One of `KINDS` and of `VERSIONS`.
    day : bytes
        ``YYYY-MM-DD``, the day that all times lie in.
    rows : mapping of str to ndarray of int64, shape (n,)
        ``time`` (seconds since 1970), ``address`` (index into `addresses`) and the columns of the kind.
    addresses : sequence of bytes
        What stands under "IP Address"; those longer than 15 characters push the line to the right.
    written : int
        How many rows of this kind chronyd has written since its start, or since ``cyclelogs``.
    """
    table = text_table([address.ljust(15) + (b" " if kind == "statistics" else b"") for address in addresses])
    count = len(rows["time"])
    parts: list[U8 | bytes] = [_clock(day, rows["time"]), b" ", table[rows["address"]]]
    if kind != "statistics":
        parts.append(b" ")
    parts += [*_WRITERS[kind](rows, version), b"\n"]
    wide = [
        np.broadcast_to(np.frombuffer(part, dtype=np.uint8), (count, len(part)))
        if isinstance(part, bytes)
        else part
        for part in parts
    ]
    matrix = np.hstack(wide)
    kept = matrix != PAD
    text = matrix[kept].tobytes()
    ends = np.concatenate([[0], np.cumsum(kept.sum(axis=1))])
    name = title(kind, version)
    ruler = b"=" * len(name)
    banner = b"\n".join((ruler, name, ruler, b""))
    at = 0
    while at < count:
        due = (written + at) % BANNER_EVERY == 0
        end = min(count, at + BANNER_EVERY - (written + at) % BANNER_EVERY)
        yield (banner if due else b"") + text[ends[at] : ends[end]], end - at + (BANNER_LINES if due else 0)
        at = end
