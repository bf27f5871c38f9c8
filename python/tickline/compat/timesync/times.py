"""TimeSync's arithmetic of time: elapsed time, the four stamps of NTP, FastDate64."""

import struct
import time

from tickline.errors import UsageError
from tickline.time import FastDate64

__all__ = [
    "NS_PER_S",
    "NTP_PACKET_STRUCT",
    "NTP_TIMESTAMP_STRUCT",
    "FastDate64Encoder",
    "MonotonicTimeCalculator",
    "to_ns",
]

NTP_PACKET_STRUCT = struct.Struct("!12I")
"""The 48 bytes of a packet as twelve numbers; `tickline.ntp.Packet` has their names."""

NTP_TIMESTAMP_STRUCT = struct.Struct("!II")
"""Seconds since 1900 and fraction; `tickline.time.ntp64_to_ns` knows which 1900, 2036, ... is meant."""

NS_PER_S = 1_000_000_000
_TICKS_PER_S = 2**30


def to_ns(seconds: float) -> int:
    """Return the nearest nanosecond."""
    # In two parts: the whole seconds times 10^9 would not fit into a float.
    whole = int(seconds)
    return whole * NS_PER_S + round((seconds - whole) * NS_PER_S)


class MonotonicTimeCalculator:
    """Elapsed time by the monotonic clock, which nobody can set, and the wall time that belongs to it."""

    def __init__(self) -> None:
        self._start_ns: tuple[int, int] | None = None

    def start_timing(self) -> tuple[float, float]:
        """Start, and return wall clock (since 1970) and monotonic clock at one instant, in seconds."""
        # Of three tries the one in which the least time passed between the readings.
        tries = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(3)]
        before, wall, after = min(tries, key=lambda one: one[2] - one[0])
        self._start_ns = (wall, (before + after) // 2)
        return wall / NS_PER_S, self._start_ns[1] / NS_PER_S

    def elapsed_monotonic(self) -> float:
        """Return the seconds since the start; `ValueError` if there was none."""
        return (time.monotonic_ns() - self._started()[1]) / NS_PER_S

    def wall_time_from_monotonic(self, mono_elapsed: float) -> float:
        """Return the wall time `mono_elapsed` seconds behind the start; `ValueError` if there was none."""
        return (self._started()[0] + to_ns(mono_elapsed)) / NS_PER_S

    @staticmethod
    def calculate_ntp_rtt(
        t1_wall: float, t2_wall: float, t3_wall: float, t4_mono: float, mono_start: float
    ) -> tuple[float, float]:
        """Return delay and offset in seconds (RFC 5905 section 8).

        Parameters
        ----------
        t1_wall : float
            The wall clock when the request left.
        t2_wall, t3_wall : float
            The server's clock when the request came and when the answer left.
        t4_mono, mono_start : float
            The monotonic clock when the answer came, and when the request left.
        """
        out_ns = to_ns(t2_wall) - to_ns(t1_wall)
        held_ns = to_ns(t3_wall) - to_ns(t2_wall)
        elapsed_ns = to_ns(t4_mono) - to_ns(mono_start)
        return (elapsed_ns - held_ns) / NS_PER_S, (2 * out_ns + held_ns - elapsed_ns) / (2 * NS_PER_S)

    def _started(self) -> tuple[int, int]:
        if self._start_ns is None:
            raise UsageError("Timing has not been started", hint="Call start_timing() first.")
        return self._start_ns


class FastDate64Encoder:
    """FastDate64 of ``float`` seconds; `tickline.time.encode_ns` and `tickline.FastDate64` are exact."""

    @staticmethod
    def encode(ts: float) -> int:
        """Return seconds since 1970 as FastDate64, the nearest there is.

        Raises
        ------
        ValueError
            The time lies before 1970, or is no number.
        OverflowError
            It lies in the year 2514 or later.
        """
        if ts < 0:
            raise UsageError(f"{ts} lies before 1970", where="ts", hint="FastDate64 has no such times.")
        return int(FastDate64(round(ts * _TICKS_PER_S)))

    @staticmethod
    def decode(value: int) -> float:
        """Return the nearest seconds since 1970; `OverflowError` if these are no 64 bits."""
        return int(FastDate64(value)) / _TICKS_PER_S

    @staticmethod
    def encode_safe(ts: float) -> int:
        """Return what `encode` does, or 0, which is 1970 as well, where that raises an error."""
        try:
            return FastDate64Encoder.encode(ts)
        except (ValueError, OverflowError):
            return 0

    @staticmethod
    def decode_safe(value: int) -> float:
        """Return what `decode` does, or 0.0, which is 1970 as well, where that raises an error."""
        try:
            return FastDate64Encoder.decode(value)
        except (ValueError, OverflowError):
            return 0.0
