"""The old objects of a node into its chain: every line once, and what became of the others.

The NTP log processor kept objects ``<node>-<yyyy-mm-dd>...`` with rows of all logs mixed, and again and again
with rows that it had kept before. Which lines are taken is decided by the lines themselves, whole and with
their multiplicity (128 bits of BLAKE2b stand for a line): of a line that is in one object twice and in others
once, two are kept, less those that the chain has already. So an import that was killed is simply run again,
and one that is done adds nothing.

It writes chunks as a run does, under the same lock and through the same spool. What it takes from an object
stands in the chunk as a generation of its own, with ``note`` "imported" and the object's name as ``file``.
"""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Any

from tickline import _core
from tickline.errors import InternalError, TicklineError, UsageError, explain_os_error
from tickline.pipelines.archive.chunk import IMPORTED, MOST_RAW_BYTES, Chunk, Range, count_lines
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.machine import Outcome
from tickline.pipelines.archive.mixed import OTHER, Mixed, kind_of_row, lines_of
from tickline.pipelines.archive.old_objects import OldObject, OldObjects
from tickline.pipelines.archive.reader import list_chunks, read_chunks
from tickline.pipelines.archive.spool import Spool
from tickline.pipelines.archive.state import Position
from tickline.pipelines.archive.stores import ArchiveStore
from tickline.pipelines.archive.tail import Gathered
from tickline.progress import Progress

__all__ = ["ImportReport", "Importer", "accounting"]

_DIGEST_BYTES = 16
# A batch is closed behind the line that takes it here: the longest line still fits into a chunk.
_BATCH_BYTES = MOST_RAW_BYTES // 2


@dataclass(slots=True)
class ImportReport:
    """What became of the lines of all objects.

    Attributes
    ----------
    objects, bytes, lines : int
        What was read; bytes are decompressed ones. ``lines == taken + imported_before + archived + doubled +
        banners``.
    taken, imported_before : int
        Lines that this import, and earlier ones, brought into the chain.
    archived : int
        Lines that a run had taken from the log itself.
    doubled : int
        Lines that an earlier object had brought already.
    unrecognised : int
        Lines among those taken that are no row of any log: cut off, or run together.
    same_key : int
        Distinct rows whose date, time and address are those of another row of these objects. By that key
        the NTP log processor told what it had already: of such rows it may have left out others.
    lost : dict
        By log and day: rows that a run took from the log itself, of the time that the objects cover, and
        that no object has.
    days : dict
        By day in the objects' names: ``objects``, ``lines``, ``doubled``.
    first, last : str or None
        Time of the earliest and the latest row.
    silent_days : list of str
        Days between those without any row.
    """

    objects: int = 0
    bytes: int = 0
    lines: int = 0
    taken: int = 0
    imported_before: int = 0
    archived: int = 0
    doubled: int = 0
    banners: int = 0
    unrecognised: int = 0
    same_key: int = 0
    first: str | None = None
    last: str | None = None
    silent_days: list[str] = field(default_factory=list)
    lost: dict[str, dict[str, int]] = field(default_factory=dict)
    days: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    complete: bool = False

    @property
    def lost_lines(self) -> int:
        """How many rows the objects lack."""
        return sum(sum(days.values()) for days in self.lost.values())


@dataclass(slots=True)
class _Span:
    """The rows of one log: when those of the objects were, and when those that a run took."""

    first: int = 10**14
    last: int = 0
    archived: "array[int]" = field(default_factory=lambda: array("q"))
    met: Counter[int] = field(default_factory=Counter)


class Importer:
    """Gives a run the lines of old objects, in place of those of the logs.

    Parameters
    ----------
    config, store
        As for a run.
    found : OldObjects
        Whose lines.
    progress : Progress
        Bytes of objects read.
    """

    def __init__(self, config: Config, store: ArchiveStore, found: OldObjects, progress: Progress) -> None:
        self.report = ImportReport(left_out=found.left_out)
        self._config = config
        self._store = store
        self._found = found
        self._progress = progress
        self._problems = list(found.problems)
        self._there = _core.ExactSet(None)
        self._imported = _core.ExactSet(None)
        self._seen = _core.ExactSet(None)
        self._keys = _core.ExactSet(None)
        self._spans: dict[str, _Span] = {}
        self._row_days: set[int] = set()
        self._batches: Iterator[_Batch] | None = None
        self._next: _Batch | None = None
        self._offered: tuple[int, Gathered] | None = None

    # ---- what a run asks for -------------------------------------------------------------------------------

    def look(self, head: Position, now_s: float) -> Gathered:  # noqa: ARG002
        """Return the next chunk's worth of lines; see `tickline.pipelines.archive.machine.Look`."""
        if self._batches is None:
            self._read_chain(head)
            self._batches = self._read_objects()
            self._next = next(self._batches, None)
        if self._offered is not None and self._offered[0] == head.seq:
            return self._offered[1]
        batch = self._next
        self._next = next(self._batches, None)
        found = Gathered(head.next_generation, MOST_RAW_BYTES, more=self._next is not None)
        found.generations = [generation.copy() for generation in head.generations]
        found.problems, self._problems = self._problems, []
        for name, kind, data in batch.stretches() if batch else ():
            log = f"{self._found.place}/{kind}.log"
            stretch = Range(log, name, found.next_number, 0, len(data), count_lines(data), IMPORTED)
            found.pieces.append((stretch, data))
            found.next_number += 1
        self._offered = head.seq, found
        return found

    def end(self, outcome: Outcome) -> ImportReport:
        """Add up what the objects lack, and return the report."""
        report = self.report
        read_all = self._batches is not None and self._next is None
        report.complete = read_all and not outcome.problems
        told = report.taken + report.imported_before + report.archived + report.doubled + report.banners
        if told != report.lines:
            raise InternalError(f"of {report.lines} lines {told} are accounted for")
        if read_all:
            for kind, span in sorted(self._spans.items()):
                lost = Counter(at // 10**6 for at in span.archived if span.first <= at <= span.last)
                lost.subtract(span.met)
                days = {_day_text(day): count for day, count in sorted(lost.items()) if count}
                if days:
                    report.lost[kind] = days
            report.silent_days = _days_between(self._row_days)
        return report

    # ---- what the chain has --------------------------------------------------------------------------------

    def _read_chain(self, head: Position) -> None:
        if head.seq == 0:
            what = f"the archive has nothing of node {self._config.node!r} yet"
            hint = "Run `tickline archive run` first: what the logs still hold is to come from them."
            raise UsageError(what, where=self._store.url, hint=hint)
        listed, _ = list_chunks(self._store, self._config.node)
        known = set()
        for item, chunk in read_chunks(self._store, listed):
            if item.seq not in known:
                known.add(item.seq)
                self._read_chunk(chunk)
        spool = Spool(self._config.state / "spool", self._config.spool_limit)
        for seq in spool.numbers():
            if seq not in known:
                self._read_chunk(spool.read(seq)[1])

    def _read_chunk(self, chunk: Chunk) -> None:
        for stretch, data in chunk.pieces():
            span = self._span(PurePosixPath(stretch.log).stem)
            for line in lines_of([data]):
                if not line.strip(b"= \t\r\n") or line.lstrip().startswith(b"Date (UTC)"):
                    continue
                key = _add_again(self._there, _digest(line))
                if stretch.note == IMPORTED:
                    self._imported.add(key)
                elif kind_of_row(line) is not None:
                    span.archived.append(_time_of(line))

    def _span(self, kind: str) -> _Span:
        return self._spans.setdefault(kind, _Span())

    # ---- what the objects have -----------------------------------------------------------------------------

    def _read_objects(self) -> "Iterator[_Batch]":
        batch = _Batch()
        for item in self._found.objects:
            try:
                for kind, text in self._new_lines(item):
                    batch.add(item.name, kind, text)
                    if batch.size > _BATCH_BYTES:
                        yield batch
                        batch = _Batch()
            except (TicklineError, OSError) as error:
                self._problems.append(explain_os_error(error, item.where))
            self._progress.advance(item.size)
        if batch.size or self._problems:
            yield batch

    def _new_lines(self, item: OldObject) -> Iterator[tuple[str, bytes]]:
        """Yield what an object brings that is nowhere else, each row with the banner that is due."""
        report, mixed = self.report, Mixed()
        own = _core.ExactSet(None)
        day = report.days.setdefault(item.day, {"objects": 0, "lines": 0, "doubled": 0})
        report.objects += 1
        day["objects"] += 1
        for line in lines_of(item.content()):
            report.lines += 1
            report.bytes += len(line)
            day["lines"] += 1
            kind = mixed.kind_of(line)
            if kind is None:
                report.banners += 1
                continue
            key = _add_again(own, _digest(line))
            if not self._seen.add(key):
                report.doubled += 1
                day["doubled"] += 1
                continue
            if kind != OTHER:
                self._note_row(kind, line, known=key in self._there and key not in self._imported)
            if key in self._imported:
                report.imported_before += 1
            elif key in self._there:
                report.archived += 1
            else:
                report.taken += 1
                report.unrecognised += kind == OTHER
                yield kind, mixed.banner_of(kind) + (line if line.endswith(b"\n") else line + b"\n")

    def _note_row(self, kind: str, line: bytes, *, known: bool) -> None:
        report, span, at = self.report, self._span(kind), _time_of(line)
        text = line[:19].decode("ascii", "replace")
        report.first = min(report.first or text, text)
        report.last = max(report.last or text, text)
        span.first, span.last = min(span.first, at), max(span.last, at)
        self._row_days.add(at // 10**6)
        if known:
            span.met[at // 10**6] += 1
        report.same_key += not self._keys.add(b" ".join(line.split(None, 3)[:3]))


class _Batch:
    """Lines for one chunk, by object and log."""

    def __init__(self) -> None:
        self.size = 0
        self._lines: dict[tuple[str, str], list[bytes]] = {}

    def add(self, name: str, kind: str, text: bytes) -> None:
        self.size += len(text)
        self._lines.setdefault((name, kind), []).append(text)

    def stretches(self) -> Iterator[tuple[str, str, bytes]]:
        for (name, kind), lines in self._lines.items():
            yield name, kind, b"".join(lines)


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line.rstrip(b"\n"), digest_size=_DIGEST_BYTES).digest()


def _add_again(held: "_core.ExactSet", digest: bytes) -> bytes:
    """Add a line, and return it with its number if it is not the first like it."""
    key, number = digest, 1
    while not held.add(key):
        key = digest + number.to_bytes(4, "big")
        number += 1
    return key


def _time_of(line: bytes) -> int:
    """Return the time of a row as a number whose digits it is: 20261122120000."""
    return int(line[0:4] + line[5:7] + line[8:10] + line[11:13] + line[14:16] + line[17:19])


def _day_text(day: int) -> str:
    return f"{day // 10000:04}-{day // 100 % 100:02}-{day % 100:02}"


def _days_between(days: set[int]) -> list[str]:
    """Return the days that are missing between the first and the last."""
    known = []
    for day in days:
        try:
            known.append(date.fromisoformat(_day_text(day)))
        except ValueError:
            # A row may say the 31st of February; it is kept all the same.
            continue
    if not known:
        return []
    every = (min(known) + timedelta(n) for n in range((max(known) - min(known)).days))
    return [day.isoformat() for day in every if day not in known]


def accounting(report: ImportReport) -> dict[str, Any]:
    """Return the report for ``--json``."""
    plain = {name: getattr(report, name) for name in report.__slots__}
    return {**plain, "left_out": dict(report.left_out), "lost_lines": report.lost_lines}
