"""What a query for the time gives back: plain values, all times in nanoseconds."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["Result", "Sample", "Server"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One good answer.

    Attributes
    ----------
    address : str
        Who gave it.
    monotonic_ns : int
        When it came in, on ``time.monotonic_ns()``.
    utc_ns : int
        UTC at that instant as this server has it, in nanoseconds since 1970 (Unix time, no leap seconds).
    root_distance_ns : int
        By how much `utc_ns` can be wrong if the server is honest (RFC 5905 section 11.2).
    offset_ns : int
        What to add to this machine's own clock.
    delay_ns : int
        Time on the network, there and back.
    root_delay_ns, root_dispersion_ns : int
        The server's own distance from its primary source, as it says.
    leap, stratum, reference_id : int
        Of the answer, as they stand in it.
    precision : int
        Of the server's clock, log2 of seconds.
    stamp : str
        Who noted when it came in: ``"kernel"`` or ``"program"``.
    reused : bool
        It answered an earlier query: the server was asked too short a time ago to be asked again.
    """

    address: str
    monotonic_ns: int
    utc_ns: int
    root_distance_ns: int
    offset_ns: int
    delay_ns: int
    root_delay_ns: int
    root_dispersion_ns: int
    leap: int
    stratum: int
    reference_id: int
    precision: int
    stamp: str
    reused: bool


@dataclass(frozen=True, slots=True)
class Server:
    """How one server stands at the end of a query.

    Attributes
    ----------
    name : str
        As the caller gave it.
    address : str or None
        ``192.0.2.1:123`` or ``[2001:db8::1]:123``; None where the name has no address.
    verdict : str
        ``"truechimer"`` (its interval overlaps the result), ``"falseticker"`` (it answers well and
        disagrees), ``"unconfirmed"`` (it answers well, but no quorum says whether it is right),
        ``"rejected"``, ``"kiss"`` (it asks to be left alone), ``"silent"``, ``"unreachable"``,
        ``"unfinished"`` (the query ended before its answer), ``"held"`` (asked too short a time ago),
        ``"duplicate"`` (another name leads to the same address), ``"not_asked"``.
    reason : str
        Of the last answer that was not taken, as in `Verdict.reason`; ``"ok"`` where there is none.
    kiss_code : str or None
        ``"RATE"``, ``"DENY"``, ... (RFC 5905 section 7.4).
    why : str
        A sentence; empty for a truechimer.
    sample : Sample or None
        Its answer, where it gave a good one.
    packets_sent, dropped : int
        Requests to it, and datagrams from it that were no answer to them.
    """

    name: str
    address: str | None
    verdict: str
    reason: str
    kiss_code: str | None
    why: str
    sample: Sample | None
    packets_sent: int
    dropped: int

    @property
    def offset_ns(self) -> int | None:
        """What to add to this machine's clock by this server; None without a good answer."""
        return self.sample.offset_ns if self.sample else None

    @property
    def delay_ns(self) -> int | None:
        """Time on the network, there and back; None without a good answer."""
        return self.sample.delay_ns if self.sample else None

    @property
    def root_distance_ns(self) -> int | None:
        """By how much this server can be wrong if it is honest; None without a good answer."""
        return self.sample.root_distance_ns if self.sample else None

    @property
    def stamp(self) -> str | None:
        """Who noted when the answer came in, ``"kernel"`` or ``"program"``; None without a good answer."""
        return self.sample.stamp if self.sample else None


@dataclass(frozen=True, slots=True)
class Result:
    """The time, and how far it can be trusted.

    Attributes
    ----------
    ok : bool
        Enough servers agree.
    why : str
        A sentence: why there is no time, or what to know about it.
    interval_ns : tuple of (int, int) or None
        The earliest and the latest UTC, in nanoseconds since 1970, at `monotonic_ns`. It holds the true time
        if no more than `tolerated` of the servers lie. None unless `ok`.
    monotonic_ns : int
        The instant the interval belongs to, on ``time.monotonic_ns()``.
    asleep_ns : int
        How long the machine had been suspended by then, since it was started: `Clock` notices when it is
        suspended again.
    offset_ns : int or None
        What to add to this machine's own clock; None unless `ok`.
    error_ns : int or None
        Half the width of the interval, rounded up; None unless `ok`.
    tolerated : int
        How many lying servers the quorum tolerates: two less than the quorum, 0 for a quorum of 1 or 2.
    servers : tuple of Server
        One for each name, in the order given.
    packets_sent : int
        Requests, to all servers together.
    elapsed_ns : int
        How long the query took.
    wall_step_ns : int
        By how much this machine's clock was set while the query ran; the result does not depend on it.
    """

    ok: bool
    why: str
    interval_ns: tuple[int, int] | None
    monotonic_ns: int
    asleep_ns: int
    offset_ns: int | None
    error_ns: int | None
    tolerated: int
    packets_sent: int
    elapsed_ns: int
    wall_step_ns: int
    servers: tuple[Server, ...] = field(default=())

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The good answers, the best (smallest root distance) first."""
        found = [server.sample for server in self.servers if server.sample is not None]
        return tuple(sorted(found, key=lambda sample: sample.root_distance_ns))

    def time(self) -> datetime:
        """Return UTC now: the middle of the interval, moved on by the monotonic clock, cut to microseconds.

        Raises
        ------
        ValueError
            There is no time: `ok` is false.
        """
        from time import monotonic_ns

        if self.interval_ns is None:
            raise ValueError(f"No time to tell: {self.why}")
        earliest, latest = self.interval_ns
        now_ns = earliest + (latest - earliest) // 2 + monotonic_ns() - self.monotonic_ns
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_ns // 1000)


def result_of(found: dict[str, Any]) -> Result:
    """Return the result that the compiled core describes."""
    servers = tuple(
        Server(**{**server, "sample": Sample(**server["sample"]) if server["sample"] else None})
        for server in found.pop("servers")
    )
    return Result(**found, servers=servers)
