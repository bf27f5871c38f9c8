"""A clock that goes on from the result of a query, and knows by how much it can be wrong."""

from datetime import UTC, datetime, timedelta
from typing import Protocol

from tickline import _core
from tickline.arguments import whole_number
from tickline.errors import TicklineError, UsageError

__all__ = ["Clock", "ClockLostError", "Timed"]

_MOST_PPB = 500_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Timed(Protocol):
    """What a clock starts from; a `Result` is one.

    Where it has an attribute ``asleep_ns`` (how long the machine had been suspended by then), a suspend
    before the clock was made is noticed as well.
    """

    @property
    def monotonic_ns(self) -> int:
        """An instant, on ``time.monotonic_ns()``."""

    @property
    def interval_ns(self) -> tuple[int, int] | None:
        """Between which two moments UTC lay then, in nanoseconds since 1970."""


class ClockLostError(TicklineError, RuntimeError):
    """Nobody knows how much time has passed: the machine was suspended or restarted since the query."""


class Clock:
    """UTC by the monotonic clock, from the result of a query on.

    The wall clock of this machine may be wrong, and may be set while this runs: it is not looked at. `now_ns`
    never goes back. The bounds widen by `drift_ppb`, and hold as long as the monotonic clock runs no more
    wrongly than that: the default is what RFC 5905 assumes of a quartz (PHI). A daemon that slews the clock
    at the time moves the monotonic clock as well, by up to 500,000 ppb (adjtime) or 83,333,333 ppb (chrony,
    unless told otherwise).

    Threads may share a clock. After a suspend of the machine it is lost, for good: make a new one.

    Parameters
    ----------
    result : Timed
        A `Result` with a time.
    drift_ppb : int, default 15000
        By how much the monotonic clock may run fast or slow, in parts per 10⁹; up to 500,000,000.

    Raises
    ------
    UsageError
        The result has no time, or the drift is out of range.

    Examples
    --------
    >>> import tickline as tl
    >>> clock = tl.ntp.Clock(tl.ntp.query(servers))  # doctest: +SKIP
    >>> clock.now_ns(), clock.error_ns()  # doctest: +SKIP
    (1795305600123456789, 1234567)
    """

    def __init__(self, result: Timed, *, drift_ppb: int = 15_000) -> None:
        for name in ("monotonic_ns", "interval_ns"):
            if not hasattr(result, name):
                what = f"a {type(result).__name__} has no {name}"
                raise UsageError(what, where="result", hint="Give the result of a query.")
        if result.interval_ns is None:
            hint = "Ask again; the attribute why of a result says what was wrong."
            raise UsageError("there is no time in it", where="result", hint=hint)
        bounds = result.interval_ns
        fits = [type(bound) for bound in bounds] == [int, int]
        if not fits or not -(2**63) <= bounds[0] <= bounds[1] < 2**63:
            hint = "The first number must be the smaller one, and both nanoseconds since 1970."
            raise UsageError(f"{result.interval_ns} is no interval", where="result", hint=hint)
        self._core = _core.NtpClock(
            monotonic_ns=whole_number(result.monotonic_ns, "monotonic_ns", -(2**63), 2**63 - 1),
            earliest_ns=bounds[0],
            latest_ns=bounds[1],
            drift_ppb=whole_number(drift_ppb, "drift_ppb", 0, _MOST_PPB),
            asleep_ns=getattr(result, "asleep_ns", None),
        )

    def now_ns(self) -> int:
        """Return UTC in nanoseconds since 1970: the middle of the interval, moved on.

        Raises
        ------
        ClockLostError
            The machine was suspended, or restarted, since the query.
        """
        return self._read()[0]

    def bounds_ns(self) -> tuple[int, int]:
        """Return the earliest and the latest UTC of this moment, in nanoseconds since 1970.

        Raises
        ------
        ClockLostError
            As for `now_ns`.
        """
        return self._read()[1:]

    def error_ns(self) -> int:
        """Return by how many nanoseconds `now_ns` can be wrong at this moment, either way.

        Raises
        ------
        ClockLostError
            As for `now_ns`.
        """
        now_ns, earliest_ns, latest_ns = self._read()
        return max(now_ns - earliest_ns, latest_ns - now_ns)

    def time(self) -> datetime:
        """Return UTC as an aware `datetime`, cut to microseconds.

        Raises
        ------
        ClockLostError
            As for `now_ns`.
        """
        return _EPOCH + timedelta(microseconds=self.now_ns() // 1000)

    @property
    def lost(self) -> bool:
        """Whether the machine was suspended or restarted since the query."""
        return self._core.read() is None

    def _read(self) -> tuple[int, int, int]:
        read = self._core.read()
        if read is None:
            what = "the machine was suspended or restarted since the query, so nobody counted the time"
            raise ClockLostError(what, where="clock", hint="Query again and make a new clock.")
        return read
