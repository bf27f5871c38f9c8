"""Times as numbers and as text: nanoseconds, FastDate64, NTP stamps, and the forms that logs have.

A FastDate64 is a moment in one unsigned 64-bit number that sorts as the moments do: 34 bits of seconds since
1970, 30 bits of fraction. Every nanosecond from 1970 to 2514 has a number of its own, and comes back from it.
All times are Unix time: UTC without leap seconds. Nothing here is rounded through ``float``.
"""

from array import array
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from tickline import _core
from tickline.errors import UsageError
from tickline.fastdate64 import FastDate64, outside, whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Buffer

__all__ = [
    "FORMS",
    "UNITS",
    "FastDate64",
    "decode_datetime64",
    "decode_ns",
    "encode_ns",
    "format",
    "ns_to_ntp64",
    "ntp64_to_ns",
    "ntp_short_to_ns",
    "parse",
    "safe_decode_ns",
    "safe_encode_ns",
]

UNITS = ("s", "ms", "us", "ns")
"""What a plain number can count."""

FORMS = ("iso", "chrony", "s3", *UNITS)
"""How a time can be written: ISO 8601, as in the logs of chrony and of S3, or as a plain number."""

# 0000-01-01T00:00:00 and 9999-12-31T23:59:59.
_FIRST_S = -62_167_219_200
_LAST_S = 253_402_300_799

_NO_INT64 = "lies outside 1677-09-21 to 2262-04-11, where an int64 of nanoseconds ends"


@overload
def encode_ns(ns: "int | np.datetime64") -> int: ...
@overload
def encode_ns(ns: "Buffer | NDArray[Any]") -> "NDArray[np.uint64]": ...
def encode_ns(ns: Any) -> Any:
    """Turn nanoseconds since 1970 into FastDate64.

    Parameters
    ----------
    ns : int, numpy array or buffer
        Unix nanoseconds as integers, or ``datetime64`` of any unit from years to nanoseconds. A buffer of
        plain bytes holds native unsigned 64-bit integers.

    Returns
    -------
    int or numpy.ndarray of uint64
        Of the same shape. The nearest tick of 2^-30 s, so `decode_ns` gives the same nanosecond back.

    Raises
    ------
    OverflowError
        A time lies before 1970-01-01T00:00:00 or after 2514-05-30T01:53:03.999999999.
    TypeError
        Not integers; ``float`` is refused, because it is some 200 ns wide today.
    """
    if isinstance(ns, Integral):
        return int(FastDate64.from_unix_ns(ns))
    import numpy as np

    from tickline.arrays import as_counts, as_integers, check_done

    values = as_integers(ns, "ns")
    counts: Any = as_counts(values, "ns")
    out: Any = np.empty(values.shape, np.uint64)
    done = (_core.encode_int64 if counts.dtype.kind == "i" else _core.encode_uint64)(counts, out)
    check_done(done, values, "ns", outside("date" if values.dtype.kind == "M" else "ns"))
    return int(out[()]) if isinstance(ns, np.generic) else out


@overload
def decode_ns(v: int) -> int: ...
@overload
def decode_ns(v: "Buffer | NDArray[Any]") -> "NDArray[np.uint64]": ...
def decode_ns(v: Any) -> Any:
    """Turn FastDate64 into nanoseconds since 1970.

    Parameters
    ----------
    v : int, numpy array or buffer
        FastDate64; all numbers from 0 to 2^64 - 1 are some. A buffer of plain bytes holds native unsigned
        64-bit integers.

    Returns
    -------
    int or numpy.ndarray of uint64
        The nearest nanosecond, of the same shape. An int64 would end in 2262.

    Raises
    ------
    OverflowError
        An integer is negative or has more than 64 bits.
    TypeError
        Not integers.
    """
    if isinstance(v, Integral):
        return FastDate64(v).unix_ns
    import numpy as np

    from tickline.arrays import as_unsigned

    values: Any = as_unsigned(v, "v")
    out: Any = np.empty(values.shape, np.uint64)
    _core.decode_uint64(values, out)
    return out


def decode_datetime64(v: "Buffer | NDArray[Any]") -> "NDArray[np.datetime64]":
    """Turn FastDate64 into ``datetime64[ns]``.

    Parameters
    ----------
    v : numpy array or buffer
        As for `decode_ns`; `FastDate64.to_datetime64` takes a single one.

    Returns
    -------
    numpy.ndarray of datetime64[ns]
        Of the same shape.

    Raises
    ------
    OverflowError
        A time lies after 2262-04-11T23:47:16.854775807, where ``datetime64[ns]`` ends.
    TypeError
        Not integers.
    """
    import numpy as np

    from tickline.arrays import as_unsigned, check_done

    values: Any = as_unsigned(v, "v")
    out: Any = np.empty(values.shape, np.int64)
    done = _core.decode_int64(values, out)
    why = "lies after 2262-04-11T23:47:16.854775807, where datetime64[ns] ends: use decode_ns"
    check_done(done, values, "v", why)
    found: NDArray[np.datetime64] = out.view("datetime64[ns]")
    return found


def _or_none(work: Callable[[Any], Any], value: Any) -> Any:
    try:
        return work(value)
    except (OverflowError, TypeError, ValueError):
        return None


def safe_encode_ns(ns: Any) -> Any:
    """Return what `encode_ns` does, or None in place of every error."""
    return _or_none(encode_ns, ns)


def safe_decode_ns(v: Any) -> Any:
    """Return what `decode_ns` does, or None in place of every error."""
    return _or_none(decode_ns, v)


@overload
def ntp64_to_ns(v: int, pivot_s: int | None = None) -> int: ...
@overload
def ntp64_to_ns(v: "Buffer | NDArray[Any]", pivot_s: int | None = None) -> "NDArray[np.int64]": ...
def ntp64_to_ns(v: Any, pivot_s: int | None = None) -> Any:
    """Turn 64-bit NTP stamps (RFC 5905 section 6) into nanoseconds since 1970.

    Parameters
    ----------
    v : int, numpy array or buffer
        32 bits of seconds since 1900, modulo 2^32, and 32 bits of fraction, as unsigned numbers. In a packet
        0 means "unknown"; here it is a moment like any other.
    pivot_s : int, optional
        The Unix second at which the 136 years begin that a stamp can mean; by default ten years before this
        version was made.

    Returns
    -------
    int or numpy.ndarray of int64
        The nearest nanosecond, of the same shape.

    Raises
    ------
    OverflowError
        A stamp is no unsigned number of 64 bits, or by this pivot its nanoseconds do not fit into an int64.
    """
    import numpy as np

    from tickline.arrays import as_unsigned, check_done

    values: Any = as_unsigned(array("Q", [_bits(v, 64)]) if isinstance(v, Integral) else v, "v")
    pivot = _core.NTP_PIVOT_S if pivot_s is None else whole(pivot_s, "pivot_s")
    if not -(1 << 62) <= pivot < 1 << 62:
        raise OverflowError(f"pivot_s = {pivot} {_NO_INT64}")
    out: Any = np.empty(values.shape, np.int64)
    check_done(_core.decode_ntp64(values, out, pivot), values, "v", f"by pivot_s = {pivot} {_NO_INT64}")
    return int(out[0]) if isinstance(v, Integral) else out


@overload
def ns_to_ntp64(ns: int) -> int: ...
@overload
def ns_to_ntp64(ns: "Buffer | NDArray[Any]") -> "NDArray[np.uint64]": ...
def ns_to_ntp64(ns: Any) -> Any:
    """Turn nanoseconds since 1970 into 64-bit NTP stamps; which of the 136 years is lost.

    Parameters
    ----------
    ns : int, numpy array or buffer
        Unix nanoseconds as integers, or ``datetime64``.

    Returns
    -------
    int or numpy.ndarray of uint64
        The nearest stamp, of the same shape.

    Raises
    ------
    OverflowError
        A time is NaT, or does not fit into an int64 of nanoseconds.
    TypeError
        Not integers.
    """
    import numpy as np

    from tickline.arrays import as_int64_ns, as_integers

    if isinstance(ns, Integral) and not -(1 << 63) <= int(ns) < 1 << 63:
        raise OverflowError(f"ns = {int(ns)} {_NO_INT64}")
    values = as_integers(array("q", [int(ns)]) if isinstance(ns, Integral) else ns, "ns")
    counts: Any = as_int64_ns(values, "ns", _NO_INT64)
    out: Any = np.empty(values.shape, np.uint64)
    _core.encode_ntp64(counts, out)
    return int(out.reshape(-1)[0]) if isinstance(ns, Integral | np.generic) else out


@overload
def ntp_short_to_ns(v: int) -> int: ...
@overload
def ntp_short_to_ns(v: "Buffer | NDArray[Any]") -> "NDArray[np.int64]": ...
def ntp_short_to_ns(v: Any) -> Any:
    """Turn NTP's short format (16 bits of seconds, 16 of fraction; RFC 5905 section 6) into nanoseconds.

    Parameters
    ----------
    v : int, numpy array or buffer
        Unsigned 32-bit numbers: root delay and root dispersion of a packet.

    Returns
    -------
    int or numpy.ndarray of int64
        The nearest nanosecond, of the same shape.

    Raises
    ------
    OverflowError
        A number is no unsigned one of 32 bits.
    """
    import numpy as np

    from tickline.arrays import as_unsigned

    values: Any = as_unsigned(array("Q", [_bits(v, 32)]) if isinstance(v, Integral) else v, "v", 4)
    out: Any = np.empty(values.shape, np.int64)
    _core.decode_ntp_short(values, out)
    return int(out[0]) if isinstance(v, Integral) else out


def _bits(value: Any, bits: int) -> int:
    number = int(value)
    if not 0 <= number < 1 << bits:
        raise OverflowError(f"v = {number} is no unsigned number of {bits} bits")
    return number


def shortened(text: str) -> str:
    """Return a text fit for a message: no longer than a line."""
    return text if len(text) <= 60 else text[:60] + "..."


def parse(text: str, unit: str = "s") -> int:
    """Read a time in any form that logs have.

    Parameters
    ----------
    text : str
        ``2019-02-06T00:00:38Z``, with ``T`` or a blank, up to nine digits of a fraction, and ``Z``, an offset
        or nothing (which means UTC), as in chrony's logs; ``[06/Feb/2019:00:00:38 +0000]``, as in S3 access
        logs; or a plain number, with a fraction down to the nanosecond.
    unit : str
        What a plain number counts since 1970, one of `UNITS`.

    Returns
    -------
    int
        Nanoseconds since 1970, of the years 0 to 9999 and for numbers as far as they go.

    Raises
    ------
    UsageError
        The text is no time, or there is no such unit.
    TypeError
        No text is given.
    """
    if not isinstance(text, str):
        raise TypeError(f"text is of type {type(text).__name__}: a str is wanted")
    if unit not in UNITS:
        raise UsageError(f"{unit!r} is none", where="unit", hint=f"Choose from: {', '.join(UNITS)}.")
    found = _core.parse_time(text.encode("utf-8", "replace"), unit)
    if found is None:
        raise UsageError(
            f"{shortened(text)!r} is no time",
            hint="Write it like 2019-02-06T00:00:38.5Z, '2019-02-06 00:00:38' or 1549411238.5.",
        )
    return found[0] * 1_000_000_000 + found[1]


def format(ns: SupportsIndex, form: str = "iso", digits: int = 9) -> str:  # noqa: A001
    """Write a time.

    Parameters
    ----------
    ns : int
        Nanoseconds since 1970.
    form : str
        One of `FORMS`: ``"iso"`` (2019-02-06T00:00:38.000000000Z), ``"chrony"`` (a blank, no Z), ``"s3"``
        ([06/Feb/2019:00:00:38 +0000], whole seconds), or a plain number of some unit, which is exact.
    digits : int
        Of the fraction in ``"iso"`` and ``"chrony"``, 0 to 9; the rest is cut off, towards the past.

    Returns
    -------
    str
        `parse` reads it again.

    Raises
    ------
    UsageError
        There is no such form, or not so many digits.
    OverflowError
        The time lies outside the years 0 to 9999.
    TypeError
        Not a whole number.
    """
    if form not in FORMS:
        raise UsageError(f"{form!r} is none", where="form", hint=f"Choose from: {', '.join(FORMS)}.")
    if not 0 <= whole(digits, "digits") <= 9:
        raise UsageError(f"{digits} are not possible", where="digits", hint="Give 0 to 9.")
    number = whole(ns, "ns")
    seconds, nanoseconds = divmod(number, 1_000_000_000)
    if not _FIRST_S <= seconds <= _LAST_S:
        raise OverflowError(f"ns = {number} lies outside the years 0 to 9999")
    return _core.format_time(seconds, nanoseconds, form, digits)
