"""One moment as a FastDate64; `tickline.time` has the functions for many at once."""

import datetime as dt
import operator
from typing import TYPE_CHECKING, Any, SupportsIndex

from tickline import _core

if TYPE_CHECKING:
    import numpy as np

__all__ = ["NS_END", "FastDate64", "outside", "whole"]

NS_END = (1 << 34) * 1_000_000_000
"""The first nanosecond since 1970 that is out of range."""

_NS_PER_S = 1_000_000_000
_FRACTION_BITS = 30
_TICKS_PER_S = 1 << _FRACTION_BITS
_SECONDS_1900_TO_1970 = 2_208_988_800
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def outside(kind: str) -> str:
    """Return the rest of a sentence about a time that no FastDate64 can be."""
    limits = "1970-01-01T00:00:00 to 2514-05-30T01:53:03.999999999"
    return f"lies outside of FastDate64: {limits}" + (f" (0 to {NS_END - 1} ns)" if kind == "ns" else "")


def whole(value: SupportsIndex, what: str) -> int:
    """Return the integer that a value is; TypeError, which names it, if it is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is of type {type(value).__name__}: a whole number is wanted") from None


class FastDate64:
    """A moment in 64 bits that sorts as a plain number; it never changes, and has a hash.

    34 bits of seconds since 1970-01-01T00:00:00 UTC (Unix time, without leap seconds) and 30 bits of
    fraction, in units of 2^-30 s. Every nanosecond up to 2514 goes in and comes back. Read as a signed
    number, as SQLite and Java do, it is negative from 2242-03-16T12:56:32 on and sorts wrongly from there.

    Parameters
    ----------
    raw : int
        The number itself, 0 to 2^64 - 1: all of them are moments.

    Raises
    ------
    OverflowError
        The number has more than 64 bits or is negative.
    TypeError
        Not a whole number.
    """

    __slots__ = ("_raw",)
    _raw: int

    def __new__(cls, raw: SupportsIndex) -> "FastDate64":  # __init__ could be called again, and change it
        number = whole(raw, "raw")
        if not 0 <= number < 1 << 64:
            raise OverflowError(f"raw = {number} is no unsigned number of 64 bits")
        made = super().__new__(cls)
        object.__setattr__(made, "_raw", number)
        return made

    @classmethod
    def from_unix_ns(cls, ns: SupportsIndex) -> "FastDate64":
        """Return the moment nearest to so many nanoseconds since 1970, as `time.time_ns` gives them.

        Raises
        ------
        OverflowError
            It lies before 1970 or after 2514.
        TypeError
            Not a whole number; ``float`` is refused, because it is some 200 ns wide today.
        """
        number = whole(ns, "ns")
        if not 0 <= number < NS_END:
            raise OverflowError(f"ns = {number} {outside('ns')}")
        return cls((number * _TICKS_PER_S + _NS_PER_S // 2) // _NS_PER_S)

    @classmethod
    def from_seconds(cls, seconds: SupportsIndex) -> "FastDate64":
        """Return the moment of so many whole seconds since 1970; errors as of `from_unix_ns`."""
        return cls.from_unix_ns(whole(seconds, "seconds") * _NS_PER_S)

    @classmethod
    def from_datetime(cls, moment: dt.datetime) -> "FastDate64":
        """Return the moment of an aware ``datetime``.

        Raises
        ------
        ValueError
            It has no offset from UTC, so it could be any of a day's moments.
        OverflowError
            It lies before 1970 or after 2514.
        TypeError
            It is something else, such as a ``date``.
        """
        if not isinstance(moment, dt.datetime):
            raise TypeError(f"moment is of type {type(moment).__name__}: a datetime is wanted")
        if moment.utcoffset() is None:
            raise ValueError("the datetime has no offset from UTC: give it a time zone, such as datetime.UTC")
        since = moment - _EPOCH
        ns = (since.days * 86_400 + since.seconds) * _NS_PER_S + since.microseconds * 1_000
        if not 0 <= ns < NS_END:
            raise OverflowError(f"{moment.isoformat()} {outside('date')}")
        return cls.from_unix_ns(ns)

    @classmethod
    def from_datetime64(cls, moment: "np.datetime64") -> "FastDate64":
        """Return the moment of a ``numpy.datetime64``; errors as of `tickline.time.encode_ns`."""
        from tickline.time import encode_ns

        return cls(encode_ns(moment))

    @classmethod
    def from_ntp64(cls, stamp: SupportsIndex, pivot_s: int | None = None) -> "FastDate64":
        """Return the moment nearest to a 64-bit NTP stamp; `pivot_s` as of `tickline.time.ntp64_to_ns`.

        The stamp's 32 bits of fraction are rounded to 30.
        """
        pivot = _core.NTP_PIVOT_S if pivot_s is None else whole(pivot_s, "pivot_s")
        number = whole(stamp, "stamp")
        if not 0 <= number < 1 << 64:
            raise OverflowError(f"stamp = {number} is no unsigned number of 64 bits")
        seconds, fraction = divmod(number, 1 << 32)
        unix = pivot + (seconds - _SECONDS_1900_TO_1970 - pivot) % (1 << 32)
        raw = (unix << _FRACTION_BITS) + (fraction + 2 >> 2)
        if not 0 <= raw < 1 << 64:
            raise OverflowError(f"stamp = {number:#018x} by the pivot {pivot} {outside('date')}")
        return cls(raw)

    @classmethod
    def parse(cls, text: str) -> "FastDate64":
        """Return the moment of a text; forms and errors as of `tickline.time.parse`."""
        from tickline.time import parse

        return cls.from_unix_ns(parse(text))

    @property
    def unix_ns(self) -> int:
        """Nanoseconds since 1970, the nearest."""
        ns = (self.fraction * _NS_PER_S + _TICKS_PER_S // 2) >> _FRACTION_BITS
        return self.seconds * _NS_PER_S + ns

    @property
    def seconds(self) -> int:
        """Whole seconds since 1970."""
        return self._raw >> _FRACTION_BITS

    @property
    def fraction(self) -> int:
        """The rest, in units of 2^-30 s."""
        return self._raw & (_TICKS_PER_S - 1)

    def to_datetime(self) -> dt.datetime:
        """Return an aware ``datetime`` in UTC; what is finer than a microsecond is cut off."""
        return _EPOCH + dt.timedelta(microseconds=self.unix_ns // 1_000)

    def to_datetime64(self) -> "np.datetime64":
        """Return ``datetime64[ns]``, the nearest; OverflowError after 2262-04-11, where that ends."""
        import numpy as np

        ns = self.unix_ns
        if ns >= 1 << 63:
            raise OverflowError(f"{self} lies after 2262-04-11T23:47:16.854775807, where datetime64[ns] ends")
        return np.datetime64(ns, "ns")

    def to_ntp64(self) -> int:
        """Return the 64-bit NTP stamp, which is exact; which of the 136 years is lost."""
        seconds = (self.seconds + _SECONDS_1900_TO_1970) % (1 << 32)
        return seconds << 32 | self.fraction << 2

    def isoformat(self) -> str:
        """Return the time as ``2019-02-06T00:00:38.000000000Z``."""
        seconds, ns = divmod(self.unix_ns, _NS_PER_S)
        return _core.format_time(seconds, ns, "iso", 9)

    def __int__(self) -> int:
        return self._raw

    def __str__(self) -> str:
        return self.isoformat()

    def __repr__(self) -> str:
        return f"FastDate64({self._raw})"

    def __eq__(self, other: object) -> bool:
        return self._raw == other._raw if isinstance(other, FastDate64) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._raw < other._raw if isinstance(other, FastDate64) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._raw <= other._raw if isinstance(other, FastDate64) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._raw > other._raw if isinstance(other, FastDate64) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._raw >= other._raw if isinstance(other, FastDate64) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._raw)

    def __reduce__(self) -> tuple[type["FastDate64"], tuple[int]]:
        return FastDate64, (self._raw,)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("a FastDate64 never changes: make another one")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a FastDate64 never changes: make another one")
