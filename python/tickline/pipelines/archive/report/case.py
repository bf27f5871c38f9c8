"""What the checks of one node look at: its rows as columns, its chunks as facts, the rule and the hours.

A check is a function ``(case: NodeCase) -> Iterator[Finding]``. It may yield what lies outside the period
(rows of some days around it are there, so that what began before can be seen whole): `build` keeps what
touches it.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tickline.pipelines.archive.report.calendar import Session
from tickline.pipelines.archive.report.model import Evidence, Finding
from tickline.pipelines.archive.report.rules import Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tickline.pipelines.archive.report.agreement import Samples

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = [
    "LOCAL",
    "UNSYNCHRONISED",
    "ChunkFacts",
    "Gap",
    "NodeCase",
    "Rows",
    "Unread",
    "iso",
    "midnight",
    "runs",
]

UNSYNCHRONISED = "0.0.0.0"  # noqa: S104
"""Address in rows of tracking that follow no source."""

LOCAL = "127.127.1.1"
"""Address in rows of tracking that follow the node's own clock."""

_EPOCH = dt.date(1970, 1, 1)


def iso(time_s: int) -> str:
    """Return a time as reports have it: ``2026-03-02T09:30:00Z``."""
    return dt.datetime.fromtimestamp(time_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def midnight(day: dt.date) -> int:
    """Return when a UTC day begins."""
    return (day - _EPOCH).days * 86400


@dataclass(slots=True)
class Rows:
    """Rows of one kind of log of one node.

    Attributes
    ----------
    kind : str
        ``"tracking"``, ``"measurements"`` or ``"statistics"``.
    columns : dict of str to ndarray, each of shape (n,)
        The columns of `tickline.chrony.COLUMNS`; ``time`` in whole seconds since 1970 (int64). Floats are NaN
        where a value is missing, integers -1; texts are numbers (int32) that `words` explains, -1 if missing.
    words : dict of str to list of str
        For each column of texts, what its numbers stand for.
    object : ndarray of int32, shape (n,)
        Which of `NodeCase.chunks` the row stands in.
    offset : ndarray of int64, length : ndarray of int32, shape (n,)
        Where in its decompressed body.
    log : ndarray of int32, shape (n,)
        Which log, if there are several of the kind.
    again : ndarray of bool, shape (n,)
        The same line stands earlier in the same log.
    """

    kind: str
    columns: "dict[str, NDArray[Any]]"
    words: dict[str, list[str]]
    object: "NDArray[np.int32]"
    offset: "NDArray[np.int64]"
    length: "NDArray[np.int32]"
    log: "NDArray[np.int32]"
    again: "Flags"

    def __len__(self) -> int:
        return len(self.offset)

    def __getitem__(self, name: str) -> "NDArray[Any]":
        return self.columns[name]

    @property
    def time(self) -> "Ints":
        """Whole seconds since 1970."""
        return self.columns["time"]

    def code(self, name: str, word: str) -> int:
        """Return the number of a text in a column, -2 (which no row has) if no row has it."""
        try:
            return self.words[name].index(word)
        except ValueError:
            return -2

    def is_word(self, name: str, *words: str) -> "Flags":
        """Tell which rows have one of these texts in a column."""
        import numpy as np

        return np.isin(self.columns[name], [self.code(name, word) for word in words])

    def word(self, name: str, row: int) -> str | None:
        """Return the text of one row."""
        code = int(self.columns[name][row])
        return self.words[name][code] if code >= 0 else None

    def take(self, rows: "NDArray[Any]") -> "Rows":
        """Return some of the rows, in the order given."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        places = (values[rows] for values in (self.object, self.offset, self.length, self.log, self.again))
        return Rows(self.kind, columns, self.words, *places)


@dataclass(frozen=True, slots=True)
class Unread:
    """A line of tracking that begins with a time and is no row: when, and where it stands (see `Rows`)."""

    time_s: int
    object: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class ChunkFacts:
    """What the header of a chunk says; None where it says nothing.

    Attributes
    ----------
    created_s : int or None
        The node's clock when the chunk was made.
    earliest_s, latest_s : int or None
        Smallest and greatest time in its lines.
    retention_years : int or None
        What was promised to the store with the chunk.
    imported : bool
        Whether its lines came from old objects.
    evidence : dict
        ``chrony``, ``conf``, ``conf_sha256``, ``kernel``, ``machine``; one object for all equal ones.
    """

    key: str
    seq: int
    created_s: int | None
    earliest_s: int | None
    latest_s: int | None
    lines: int
    heartbeat_s: int | None
    retention_mode: str | None
    retention_years: int | None
    conditional: str | None
    evidence: dict[str, str | None]
    notes: tuple[str, ...]
    imported: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without rows of tracking, longer than the rule allows.

    Attributes
    ----------
    before, after : int or None
        The rows on either side; None at the ends of the period.
    """

    begin_s: int
    end_s: int
    before: int | None
    after: int | None


@dataclass(eq=False)
class NodeCase:
    """One node in one period.

    Attributes
    ----------
    begin_s, end_s : int
        The period, its end excluded and not later than what must have been uploaded by now.
    sessions : list of Session
        Trading days of the period and of the days around it, in order.
    tracking, measurements, statistics : Rows
        Each line once, in order of time; from two days before the period to after its end.
    written : Rows
        Tracking as it stands in the logs: in their order, with lines that stand there twice.
    chunks : list of ChunkFacts
        In order of their numbers.
    chain : list
        What `tickline.pipelines.archive.chain` has to say of those chunks.
    read_body : callable
        Returns the decompressed body of one of `chunks`.
    counts : dict of str to int
        Rows of each kind of log that were read, those included that stand twice.
    objects : int
        Chunks that were read, those included that are damaged.
    rejected_lines : int
        Lines that are no rows of their log.
    unread : list of Unread
        Those of tracking that should have been some.
    """

    node: str
    rule: Rule
    begin_s: int
    end_s: int
    sessions: list[Session]
    tracking: Rows
    measurements: Rows
    statistics: Rows
    written: Rows
    chunks: list[ChunkFacts]
    chain: list[Any]
    read_body: Callable[[int], bytes]
    counts: dict[str, int]
    objects: int
    rejected_lines: int
    unread: list[Unread]

    def evidence(self, rows: Rows, row: int) -> Evidence:
        """Return one row as a line of the archive."""
        return self.line(int(rows.object[row]), int(rows.offset[row]), int(rows.length[row]))

    def line(self, place: int, at: int, length: int) -> Evidence:
        """Return some bytes of one of `chunks` as a line of the archive."""
        line = self.read_body(place)[at : at + length]
        return Evidence(self.chunks[place].key, at, length, line.decode("utf-8", "backslashreplace"))

    def finding(
        self,
        check: str,
        begin_s: int,
        end_s: int,
        value: float | int | str | None,
        limit: float | int | str | None,
        text: str,
        severity: str,
        rows: Rows | None = None,
        shown: Iterable[int] = (),
    ) -> Finding:
        """Return a finding of this node; `shown` are those of `rows` that show it.

        The lines are read only for findings that touch the period.
        """
        evidence: tuple[Evidence, ...] = ()
        if rows is not None and self.touches(begin_s, end_s):
            evidence = tuple(self.evidence(rows, row) for row in dict.fromkeys(map(int, shown)))
        return Finding(self.node, check, int(begin_s), int(end_s), value, limit, text, severity, evidence)

    def touches(self, begin_s: int, end_s: int) -> bool:
        """Tell whether something lies in the period, at least in part."""
        return begin_s < self.end_s and (end_s > self.begin_s or begin_s == end_s == self.begin_s)

    def trades_within(self, begin_s: int, end_s: int) -> bool:
        """Tell whether any of a time is within trading hours."""
        return any(session.open_s < end_s and session.close_s > begin_s for session in self.sessions)

    @cached_property
    def over(self) -> "Flags":
        """Rows of tracking whose "Max. error" is over the tolerance."""
        return self.tracking["max_error_s"] > self.rule.tolerance_s

    @cached_property
    def lost(self) -> "Flags":
        """Rows of tracking that say themselves that the clock is not synchronised."""
        rows = self.tracking
        return rows.is_word("leap", "?") | rows.is_word("address", UNSYNCHRONISED)

    @cached_property
    def starting(self) -> "Flags":
        """Rows of tracking from one that is `lost` to before the first that shows a clock within limits.

        A row without "Max. error" ends it, too: it is judged as one that cannot show anything.
        """
        import numpy as np

        lost, bad = self.lost, self.lost | self.over
        place = np.arange(len(lost))
        # Behind the last good row, has there been a lost one?
        last_good = np.maximum.accumulate(np.where(~bad, place, -1)) if len(lost) else place
        last_lost = np.maximum.accumulate(np.where(lost, place, -1)) if len(lost) else place
        return bad & (last_lost > last_good)

    @cached_property
    def settling(self) -> "Flags":
        """Rows of `starting` that are no exceedance yet: a clock that is still wrong then has not settled."""
        import numpy as np

        times = self.tracking.time
        result: Flags = np.zeros(len(times), dtype=np.bool_)
        for first, last in runs(self.starting):
            result[first : last + 1] = times[first : last + 1] <= times[first] + self.rule.gap_s
        return result

    @cached_property
    def gaps(self) -> list[Gap]:
        """Times without rows of tracking that are too long, also at the ends of the period."""
        import numpy as np

        times, limit = self.tracking.time, self.rule.gap_s
        if not len(times):
            # However short the period is: nothing is shown of it.
            return [Gap(self.begin_s, self.end_s, None, None)]
        found = []
        if times[0] - self.begin_s > limit:
            found.append(Gap(self.begin_s, int(times[0]), None, 0))
        wide = np.flatnonzero(np.diff(times) > limit).tolist()
        found += [Gap(int(times[at]), int(times[at + 1]), at, at + 1) for at in wide]
        last = len(times) - 1
        if self.end_s - times[last] > limit:
            found.append(Gap(int(times[last]), self.end_s, last, None))
        return found

    @cached_property
    def samples(self) -> "Samples":
        """Samples of all sources, and whether they agree."""
        from tickline.pipelines.archive.report.agreement import samples_of

        return samples_of(self)

    def after(self, times: "Ints", row: int) -> int:
        """Return the time of the row behind `row`, the end of the period if there is none."""
        return int(times[row + 1]) if row + 1 < len(times) else max(int(times[row]), self.end_s)


def runs(flags: "Flags") -> Iterator[tuple[int, int]]:
    """Yield the first and last place of each run of true flags."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
