"""Reading sources for a store: what they hash to, where their rows go, what becomes of each line."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tickline import _core, accounting
from tickline.errors import SourceError
from tickline.pipelines.access.ingest.claims import Content
from tickline.pipelines.access.ingest.inputs import OpenInput
from tickline.pipelines.access.ingest.rows import SCANNED, table_of
from tickline.pipelines.access.ingest.tasks import Before, Task
from tickline.store.rows import months_of

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "CENTURY_MS",
    "LISTED_REJECTS",
    "MOST_MONTHS",
    "MOST_SENT",
    "RUN_BYTES",
    "ChangedError",
    "ReadSource",
    "Reader",
    "StoppedError",
]

# So much log becomes one run, wherever it comes from: rows, their order and the files that are made of them
# need some 100 MB while it is under way.
RUN_BYTES = 128 * 2**20
_STEP_BYTES = 2**20
CENTURY_MS = 36_525 * 86_400_000
"""A source that spans more is looked at month by month."""
_BATCH_ROWS = 262_144
LISTED_REJECTS = 100_000
"""Rejected lines of one source, or of the small ones that are committed with it, that are listed; beyond them
they are counted only."""
MOST_MONTHS = 1200
"""Months that the lines of one source may lie in (a century): each of them gets files of its own."""
MOST_SENT = 2**56
"""Bytes sent that one source may add up to (72 petabytes): what claims more is no log, and sums of such
sources would not fit into 64 bits."""


class StoppedError(Exception):
    """The run is being stopped."""


@dataclass(slots=True)
class ReadSource:
    """What reading one source gave.

    Attributes
    ----------
    state : str
        ``"new"``, ``"grown"``, ``"changed"``, ``"copy"`` (its content is the one of `source`), ``"failed"``.
    source : int
        Its number in the ledger.
    counts : dict
        Accounting of the lines that were read; of a grown source those of its tail.
    bytes : int
        Of the whole content, up to the end of its last whole line where that is still being written.
    whole : bool
        False if a last line was left for later.
    sent : int
        Bytes sent, by its rows.
    months : set of int
        The months of its rows, where they span over a century.
    rejects : list of (line, offset, length, reason)
        The first ones, `LISTED_REJECTS` at most.
    """

    task: Task
    state: str = "new"
    source: int = 0
    counts: dict[str, Any] = field(default_factory=accounting.empty)
    content_hash: bytes = b""
    bytes: int = 0
    whole: bool = True
    size: int = 0
    mtime_ns: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    sent: int = 0
    months: set[int] = field(default_factory=set)
    rejects: list[tuple[int, int, int, str]] = field(default_factory=list)
    error: SourceError | None = None

    @property
    def content(self) -> Content:
        """What it is known by, once it was read."""
        return Content(self.content_hash, self.task.input.form, self.task.input.key)

    def note(self, table: "pyarrow.Table") -> None:
        """Widen the span of times by those of these rows, and add up what they sent.

        Raises
        ------
        SourceError
            There are more bytes, or months, than any log can tell of.
        """
        if not table.num_rows:
            return
        import pyarrow.compute as pc

        times = table["time"].cast("int64")
        ends = pc.min_max(times)
        # In floats nothing overflows, and near enough is enough.
        sent = int(pc.sum(table["bytes_sent"].cast("float64", safe=False)).as_py() or 0)
        self.widen(ends["min"].as_py(), ends["max"].as_py(), sent, lambda: months_of(times))

    def widen(self, first_ms: int, last_ms: int, sent: int, months: Callable[[], list[int]]) -> None:
        """Do as `note` does, for rows of which the sums are known."""
        self.first_ms = first_ms if self.first_ms is None else min(self.first_ms, first_ms)
        self.last_ms = last_ms if self.last_ms is None else max(self.last_ms, last_ms)
        if self.last_ms - self.first_ms > CENTURY_MS:
            self.months.update(months())
        self.sent += sent
        what = ""
        if self.sent > MOST_SENT:
            what = f"its lines claim that over {MOST_SENT // 10**15} petabytes were sent"
        elif len(self.months) > MOST_MONTHS:
            what = f"its lines lie in over {MOST_MONTHS} months"
        if what:
            hint = "Look for values that no request can have, with tickline access read, and correct the log."
            raise SourceError(f"{what}: nothing of it was taken", where=self.task.input.name, hint=hint)


class Reader:
    """Reads sources. Safe to use from many threads, each of which gets a scan of its own."""

    def __init__(
        self,
        filter_: _core.AccessFilter,
        *,
        dedupe: bool,
        max_line_bytes: int,
        advance: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        self._filter = filter_
        self._dedupe = dedupe
        self._max_line_bytes = max_line_bytes
        self._advance = advance
        self._stop = stop
        self._scans = threading.local()

    def _scan(self) -> _core.AccessScan:
        scan: _core.AccessScan | None = getattr(self._scans, "scan", None)
        if scan is not None:
            scan.restart()
            return scan
        self._scans.scan = scan = _core.AccessScan(
            SCANNED,
            self._filter,
            max_line_bytes=self._max_line_bytes,
            keep_rejects=True,
            line=True,
            line_hash=self._dedupe,
        )
        return scan

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    # ---- plain files: by ranges, many threads at once ------------------------------------------------------

    def content_end(self, opened: OpenInput, task: Task) -> int:
        """Return where the whole lines of a plain file end; behind that a writer may be in mid-line."""
        settled = task.settled and opened.mtime_ns == task.input.mtime_ns
        if settled or opened.size == 0:
            return opened.size
        end = opened.size
        while end > 0:
            begin = max(0, end - 65_536)
            newline = os.pread(opened.fd, end - begin, begin).rfind(b"\n")
            if newline >= 0:
                return begin + newline + 1
            end = begin
        return 0

    def hash_known(self, opened: OpenInput, end: int, before: Before) -> _core.ContentHash | None:
        """Return the hash of what was read before, to go on from; None if the file no longer begins so."""
        if end < before.bytes or (before.bytes and os.pread(opened.fd, 1, before.bytes - 1) != b"\n"):
            return None
        hashed = _core.ContentHash()
        self.hash_range(hashed, opened, before.bytes)
        return hashed if hashed.digest() == before.content_hash else None

    def hash_range(self, hashed: _core.ContentHash, opened: OpenInput, end: int) -> int:
        """Take a plain file's bytes up to `end`; return how many lines begin before where it was."""
        begin = hashed.bytes
        lines = hashed.newlines
        if begin and os.pread(opened.fd, 1, begin - 1) != b"\n":
            lines += 1
        while hashed.bytes < end:
            self._check_stop()
            step = min(end, hashed.bytes + 32 * _STEP_BYTES)
            if not hashed.read(opened.fd, hashed.bytes, step):
                raise SourceError(
                    "became shorter while it was read", where=_name(opened), hint="Run it again."
                )
        return lines

    def scan_range(
        self,
        opened: OpenInput,
        begin: int,
        end: int,
        source: int,
        lines_before: int,
        *,
        room: int,
    ) -> "tuple[list[pyarrow.Table], _core.Counts, list[tuple[int, int, int, str]]]":
        """Scan the lines that begin in [begin, end) of a plain file; list `room` rejected ones at most."""
        scan = self._scan()
        tables: list[pyarrow.Table] = []
        rejects: list[tuple[int, int, int, str]] = []
        position = begin
        while position < end:
            self._check_stop()
            step = min(end, position + _STEP_BYTES)
            while position < step:
                position = scan.read(opened.fd, position, step)
            self._advance(step - max(begin, step - _STEP_BYTES))
            _take_rejects(scan, rejects, lines_before, 0, room)
            if scan.pending_rows >= _BATCH_ROWS or scan.batch_full:
                tables.append(table_of(scan.take_batch(), source, lines_before))
        tables.append(table_of(scan.take_batch(), source, lines_before))
        return tables, scan.counts(), rejects

    # ---- everything else: from front to back ---------------------------------------------------------------

    def read_chunks(
        self,
        opened: OpenInput,
        read: ReadSource,
        emit: "Callable[[list[pyarrow.Table]], None]",
        *,
        room: int,
    ) -> None:
        """Read a source from its beginning, or a known one from where it was left; `emit` gets runs of rows.

        Of the rejected lines `room` are listed at most.

        Raises
        ------
        SourceError
            It cannot be read to its end.
        ChangedError
            It was read before, and no longer begins as then: read it again as if it were new.
        """
        hashed = _core.ContentHash()
        scan = self._scan()
        start = read.task.before.bytes if read.state == "grown" and read.task.before else 0
        base = 0
        tables: list[pyarrow.Table] = []
        run_begin, taken = start, 0
        for chunk in opened.chunks():
            self._check_stop()
            view = memoryview(chunk)
            if hashed.bytes < start:
                known = view[: start - hashed.bytes]
                hashed.update(known)
                view = view[len(known) :]
                if hashed.bytes == start:
                    self._check_prefix(hashed, read, known[-1])
                    base = hashed.newlines
            if len(view):
                hashed.update(view)
                scan.feed(view)
                _take_rejects(scan, read.rejects, base, start, room)
            self._advance(opened.bytes_taken - taken)
            taken = opened.bytes_taken
            if scan.pending_rows >= _BATCH_ROWS or scan.batch_full:
                tables.append(table_of(scan.take_batch(), read.source, base))
            if hashed.bytes - run_begin >= RUN_BYTES:
                tables.append(table_of(scan.take_batch(), read.source, base))
                emit(tables)
                tables, run_begin = [], hashed.bytes
        if hashed.bytes < start:
            raise ChangedError
        scan.finish()
        _take_rejects(scan, read.rejects, base, start, room)
        tables.append(table_of(scan.take_batch(), read.source, base))
        emit(tables)
        read.content_hash, read.bytes = hashed.digest(), hashed.bytes
        accounting.add(read.counts, scan.counts())

    @staticmethod
    def _check_prefix(hashed: _core.ContentHash, read: ReadSource, last: int) -> None:
        # A last line without its newline was taken for whole; whatever follows it now changes that line.
        before = read.task.before
        if before is not None and (hashed.digest() != before.content_hash or last != ord("\n")):
            raise ChangedError


class ChangedError(Exception):
    """A source no longer begins as it did when it was read before."""


def _name(opened: OpenInput) -> str:
    return str(getattr(opened, "path", "a source"))


def _take_rejects(
    scan: _core.AccessScan,
    rejects: list[tuple[int, int, int, str]],
    lines_before: int,
    offset_before: int,
    most: int,
) -> None:
    found = scan.take_rejects()
    room = most - len(rejects)
    if not found["reason"] or room <= 0:
        return
    columns = (memoryview(found[name]).cast("Q")[:room].tolist() for name in ("line", "offset", "length"))
    for line, offset, length, reason in zip(*columns, found["reason"], strict=False):
        rejects.append((line + lines_before, offset + offset_before, length, reason))
