"""Counts of connections that slide with the clock: what a live report is made of.

Time is cut into cells, and counts are kept by cell and pair of hosts. Ends of windows fall between cells (and
the last nanosecond of each cell is kept apart, because both ends belong to a window), so a report adds up
cells, and is the one that a single run at that moment gives. It costs time by cells and pairs, not by lines.

Memory: hosts as in `logs/connections_counts.hpp`, and for each cell with connections the pairs that occur in
it, at most 51 bytes for each or 32 KiB for a cell where that is more. There are as many cells as fit into the
window, into what is taken ahead of it, and into an eighth of it behind.
"""

import math
from dataclasses import replace

from tickline import _core
from tickline.errors import UsageError
from tickline.pipelines.connections.options import NS_PER_S, ConnectionOptions
from tickline.pipelines.connections.pieces import too_many

__all__ = ["Ring"]

# The last report ends at the end of a cell: no cell should be longer than a minute, unless the window is.
_MOST_CELL_NS = 60 * NS_PER_S
_LEAST_CELLS = 1000
_LAST_NS = 2**63 - 1
# The ring, its successor while old cells are dropped, what was just read, and a report.
_TABLES = 4


class Ring:
    """Counts of a sliding window. Edges of cells are numbered; 0 is the moment of the first report.

    Attributes
    ----------
    cell_ns : int
        Length of a cell.
    every : int
        How many cells lie between two reports.

    Parameters
    ----------
    options : ConnectionOptions
        `now_ns` is the moment of the first report; `seconds` and `grouping_seconds` are those of each.
    sleep_seconds : int
        How long it is from one report to the next.

    Raises
    ------
    UsageError
        A window that cannot slide.
    """

    def __init__(self, options: ConnectionOptions, sleep_seconds: int) -> None:
        if options.since_ns is not None or options.until_ns is not None:
            hint = "Use --seconds, or leave --tail out."
            raise UsageError("a live report has a window that moves with the clock", where="tail", hint=hint)
        if sleep_seconds < 1:
            raise UsageError("must be at least 1", where="sleep-seconds")
        self._options = options
        self.cell_ns = _cell_ns(options.seconds, options.grouping_seconds, sleep_seconds)
        self.every = sleep_seconds * NS_PER_S // self.cell_ns
        self._length = options.seconds * NS_PER_S // self.cell_ns
        # Clocks differ: what is ahead of this one belongs to later reports.
        self._ahead_ns = max(options.seconds, options.disorder_seconds, sleep_seconds) * NS_PER_S
        self._kept = self._begin = -self._length
        self.slide(0, options.now_ns)
        self._count = self.piece()

    @property
    def since_ns(self) -> int:
        """From when on lines are counted."""
        return self._since_ns

    @property
    def until_ns(self) -> int:
        """Until when they are."""
        return self._until_ns

    @property
    def memory(self) -> int:
        """Bytes that the counts take."""
        return self._count.memory

    def time_of(self, edge: int) -> int:
        """Return the moment of an edge, ns since 1970."""
        return self._options.now_ns + edge * self.cell_ns

    def edge_at(self, ns: int) -> int:
        """Return the first edge that is not before a moment."""
        return -((self._options.now_ns - ns) // self.cell_ns)

    def slide(self, edge: int, now_ns: int) -> None:
        """Forget what no report at `edge` or behind it can ask for.

        Raises
        ------
        TicklineError
            Memory does not do.
        """
        self._begin = max(edge - self._length, self._begin)
        self._since_ns = max(self.time_of(self._begin), -_LAST_NS)
        self._until_ns = min(max(now_ns, self.time_of(edge)) + self._ahead_ns, _LAST_NS)
        # All at once costs as much as one by one: not before it is worth it.
        if self._begin - self._kept > self._length // 8:
            count = self.piece()
            first, last = 2 * self._begin - 1, _LAST_NS
            if not count.merge_buckets(self._count, first=first, last=last, into=last, per=1):
                raise too_many(self._options, shared=False)
            self._count, self._kept = count, self._begin

    def piece(self) -> _core.ConnectionsCount:
        """Return an empty count for lines that are to be read."""
        return self._empty(self._since_ns, self._until_ns, self.cell_ns, ends_apart=True)

    def take(self, piece: _core.ConnectionsCount) -> None:
        """Add what was read.

        Raises
        ------
        TicklineError
            Memory does not do.
        """
        if piece.refused or not self._count.merge(piece):
            raise too_many(self._options, shared=False)

    def report(self, edge: int) -> tuple[_core.ConnectionsCount, ConnectionOptions]:
        """Return the counts of the window that ends at an edge, and what a single run would be told for them.

        Raises
        ------
        TicklineError
            Memory does not do.
        """
        options = replace(self._options, now_ns=self.time_of(edge))
        window = options.window
        count = self._empty(window.since_ns, window.until_ns, window.bucket_ns, ends_apart=False)
        # Cell c lies between the edges c and c + 1. In the count it is bucket 2 c, and its last ns 2 c + 1.
        cells = window.bucket_ns // self.cell_ns
        first, last = 2 * (edge - self._length) - 1, 2 * edge - 1
        if not count.merge_buckets(self._count, first=first, last=last, into=-1, per=2 * cells):
            raise too_many(self._options, shared=False)
        return count, options

    def _empty(
        self, since_ns: int, until_ns: int, bucket_ns: int, *, ends_apart: bool
    ) -> _core.ConnectionsCount:
        # Buckets end with a moment of a report, and not before it.
        origin_ns = (self._options.now_ns if ends_apart else until_ns) + 1
        return _core.ConnectionsCount(
            since_ns=since_ns,
            until_ns=until_ns,
            origin_ns=origin_ns,
            bucket_ns=bucket_ns,
            max_line_bytes=self._options.max_line_bytes,
            memory=self._options.memory_bytes // _TABLES,
            ends_apart=ends_apart,
        )


def _cell_ns(seconds: int, grouping_seconds: int, sleep_seconds: int) -> int:
    """Return the length of cells: windows, their buckets and the time between reports are multiples of it."""
    common_ns = math.gcd(seconds, grouping_seconds, sleep_seconds) * NS_PER_S
    most_ns = max(_MOST_CELL_NS, seconds * NS_PER_S // _LEAST_CELLS)
    parts = -(-common_ns // most_ns)
    while common_ns % parts:
        parts += 1
    return common_ns // parts
