"""What a report of connections is asked for."""

import time
from dataclasses import dataclass, field

from tickline.errors import UsageError

__all__ = ["NS_PER_S", "ConnectionOptions", "Window"]

NS_PER_S = 10**9
# An int64 of nanoseconds, less a year at both ends, so that sums of times and slack stay inside.
_MOST_NS = 2**63 - 1 - 366 * 86400 * NS_PER_S

# Names of the command's options where they are others.
_OPTIONS = {
    "disorder_seconds": "disorder",
    "partition_bytes": "partition-size",
    "memory_bytes": "memory",
    "max_line_bytes": "max-line",
}


@dataclass(frozen=True, slots=True)
class Window:
    """A window of time, both ends in it, and its buckets: number 0 is the last `bucket_ns`, 1 before that.

    Bucket of a time: ``(until_ns - time) // bucket_ns``.
    """

    since_ns: int
    until_ns: int
    bucket_ns: int


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """Everything a report of connections can be told.

    Attributes
    ----------
    locations : tuple of str
        Files, folders, patterns (``logs/*.log``), or ``-`` for standard input.
    host_from, host_to : str
        Whose connections are listed, and the host that others connected to.
    seconds, grouping_seconds : int
        How long the window is, and each of its buckets.
    now_ns : int
        The end of the window, ns since 1970; the clock's by default.
    since_ns, until_ns : int, optional
        The ends of the window, in place of `now_ns` and `seconds`.
    disorder_seconds : int
        How much older a line may be than one before it. Only what can hold lines of the window by that is
        read of a file; whether it is so is checked, and a file where it is not is read whole.
    threads : int
        How many cores are used at most; of threads that would have nothing to do, none are started.
    partition_bytes : int
        How many bytes one thread reads at a time, at most.
    memory_bytes : int
        How much hosts and counts may take, shared evenly among two tables for each thread and two more.
    max_line_bytes : int
        Lines of more bytes are rejected.
    reports : tuple of str
        Reports of other packages that are made besides, see `reports`.
    """

    locations: tuple[str, ...]
    host_from: str
    host_to: str
    seconds: int = 3600
    grouping_seconds: int = 1200
    now_ns: int = field(default_factory=time.time_ns)
    since_ns: int | None = None
    until_ns: int | None = None
    disorder_seconds: int = 300
    threads: int = 1
    partition_bytes: int = 100 * 10**6
    memory_bytes: int = 2 * 10**9
    max_line_bytes: int = 2**20
    reports: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.locations:
            raise UsageError("nothing is named to be read", where="LOCATION")
        least = {"seconds": 0, "grouping_seconds": 1, "disorder_seconds": 0, "threads": 1}
        least |= {"partition_bytes": 2**16, "memory_bytes": 2**20, "max_line_bytes": 1}
        for name, limit in least.items():
            if getattr(self, name) < limit:
                where = _OPTIONS.get(name) or name.replace("_", "-")
                raise UsageError(f"must be at least {limit:,}", where=where)
        if self.max_line_bytes > 2**28:
            raise UsageError("must be at most 268,435,456", where="max-line")
        for name in ("seconds", "grouping_seconds", "disorder_seconds"):
            if getattr(self, name) > _MOST_NS // NS_PER_S:
                where = _OPTIONS.get(name) or name.replace("_", "-")
                raise UsageError("must be less than 291 years", where=where)
        if not all(abs(end) <= _MOST_NS for end in (self.window.since_ns, self.window.until_ns)):
            raise UsageError("the window must lie between the years 1679 and 2261", where="now")
        if self.window.since_ns > self.window.until_ns:
            raise UsageError("the window ends before it begins", where="since")

    @property
    def window(self) -> Window:
        """The window of time that is asked for."""
        until = self.now_ns if self.until_ns is None else self.until_ns
        since = until - self.seconds * NS_PER_S if self.since_ns is None else self.since_ns
        return Window(since, until, self.grouping_seconds * NS_PER_S)

    @property
    def disorder_ns(self) -> int:
        """`disorder_seconds` in nanoseconds."""
        return self.disorder_seconds * NS_PER_S
