"""Units of an ingest that reads tables instead of logs: one thread each, a source whole or not at all.

Blocks of lines become rows together, those of a thousand small tables as well as those of a large one.
"""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tickline import _core, accounting
from tickline.errors import SourceError
from tickline.pipelines.access.ingest.claims import Claims
from tickline.pipelines.access.ingest.inputs import OpenInput
from tickline.pipelines.access.ingest.read import (
    CENTURY_MS,
    MOST_SENT,
    ChangedError,
    ReadSource,
    StoppedError,
)
from tickline.pipelines.access.ingest.rows import RowMaker
from tickline.pipelines.access.ingest.tasks import Task
from tickline.pipelines.access.ingest.tree_reader import (
    BadLinesError,
    Lines,
    Rows,
    TreeFilter,
    first_problem,
    rows_of,
    starts_with_header,
)
from tickline.pipelines.access.ingest.unit import Unit, check_unchanged
from tickline.reference.access_tree import header
from tickline.store.parts import import_arrow
from tickline.store.rows import months_of
from tickline.store.settings import Settings

if TYPE_CHECKING:
    import pyarrow

__all__ = ["TreeReader", "TreeUnit", "tree_units"]

# So much text becomes one run: some 200,000 to 400,000 rows.
BLOCK_BYTES = 16 * 2**20
# A table of one key holds a handful of rows from many months, and each month of a unit costs two files.
_GROUP_SOURCES = 20_000
_SMALL_BYTES = BLOCK_BYTES // 4
_COPY_HINT = "Copy it again from its origin, or make it anew."


class TreeReader:
    """Reads tables. Safe to use from many threads."""

    def __init__(
        self,
        form: str,
        settings: Settings,
        *,
        advance: Callable[[int], None],
        stop: threading.Event,
        max_line_bytes: int,
    ) -> None:
        self.form = form
        self.dedupe = settings.dedupe_lines
        self.rules = TreeFilter(settings)
        self._advance = advance
        self._stop = stop
        self._most = max_line_bytes

    def blocks(self, opened: OpenInput, read: ReadSource) -> Iterator[Lines]:
        """Yield what is new in a source, whole lines of it without the header.

        Afterwards `read` has its hash, its size and how many lines there were.

        Raises
        ------
        SourceError
            It cannot be read to its end, or is no table of this form.
        ChangedError
            It was read before, and no longer begins as then: read it again as if it were new.
        """
        before = read.task.before if read.state == "grown" else None
        hashed = _core.ContentHash()
        number = 1 if before is None else before.lines + 1
        waiting: list[bytes | memoryview] = []
        size = 0
        for chunk in self._new(opened, read, hashed):
            waiting.append(chunk)
            size += len(chunk)
            if size < BLOCK_BYTES:
                continue
            data = b"".join(waiting)
            end = data.rfind(b"\n") + 1
            waiting, size = [data[end:]], len(data) - end
            if size > self._most:
                raise self._refusal(read, number, f"is longer than {self._most:,} bytes")
            if end:
                number = yield from self._lines(read, data[:end], number)
        data = b"".join(waiting)
        number = yield from self._lines(read, data[: data.rfind(b"\n") + 1], number)
        if data and not data.endswith(b"\n"):
            raise self._refusal(read, number, "has no end: it was cut off, or is still being written")
        read.content_hash, read.bytes = hashed.digest(), hashed.bytes

    def _lines(self, read: ReadSource, data: bytes, number: int) -> Generator[Lines, None, int]:
        """Yield the rows of whole lines; return the number of the next line."""
        counts = read.counts
        counts["bytes"] += len(data)
        if number == 1 and data:
            if not starts_with_header(data, self.form):
                names = header(self.form).decode().replace("\t", ", ")
                what = f"is not the header of a {self.form} table ({names})"
                raise self._refusal(read, 1, what)
            data = data[data.index(b"\n") + 1 :]
            counts["lines"] += 1
            counts["filtered"]["header"] = 1
            number += 1
        if data:
            yield Lines(data, number, read.source, read.task.input.key)
        return number + data.count(b"\n")

    def _new(self, opened: OpenInput, read: ReadSource, hashed: _core.ContentHash) -> Iterator[memoryview]:
        """Yield what stands behind the part that is known already; all of it is hashed."""
        before = read.task.before if read.state == "grown" else None
        start, digest = (0, b"") if before is None else (before.bytes, before.content_hash)
        end = opened.size if opened.kind == "plain" else None
        taken = 0
        for chunk in opened.chunks():
            if self._stop.is_set():
                raise StoppedError
            view = memoryview(chunk)[: None if end is None else end - hashed.bytes]
            known = view[: max(start - hashed.bytes, 0)]
            hashed.update(known)
            if known and hashed.bytes == start and hashed.digest() != digest:
                raise ChangedError
            view = view[len(known) :]
            hashed.update(view)
            self._advance(opened.bytes_taken - taken)
            taken = opened.bytes_taken
            if view:
                yield view
        if hashed.bytes < start:
            raise ChangedError

    def _refusal(self, read: ReadSource, line: int, what: str) -> SourceError:
        where = f"{read.task.input.name}, line {line}"
        return SourceError(f"this line {what}: nothing of the file was taken", where=where, hint=_COPY_HINT)

    def problem(self, read: ReadSource, lines: Lines) -> SourceError:
        """Return what is wrong with lines that cannot be read."""
        return self._refusal(read, *first_problem(lines, self.form))

    def rows(self, pieces: list[Lines]) -> Rows:
        """Return the rows of lines of any sources of this run.

        Raises
        ------
        BadLinesError
            One of them is no row.
        """
        rows = rows_of(pieces, self.form, self.rules)
        if self.dedupe:
            rows.table = _with_hashes(rows.table)
        return rows


def _with_hashes(table: "pyarrow.Table") -> "pyarrow.Table":
    """Add hashes that are no other row's: without the line nobody can tell whether it was delivered twice."""
    pa = import_arrow()
    import numpy as np

    both = [table[name].to_numpy().astype(">u8") for name in ("source", "line")]
    data = pa.py_buffer(np.stack(both, axis=1).tobytes())
    hashes = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), table.num_rows, [None, data])
    return table.append_column("line_hash", hashes)


class _Held(NamedTuple):
    """A source that was read to its end, and whose lines wait to become rows."""

    read: ReadSource
    lines: Lines


class TreeUnit(Unit):
    """Tables that are committed together: one step, one thread."""

    def __init__(
        self, tasks: list[Task], reader: TreeReader, maker: RowMaker | None, claims: Claims, store: Path
    ) -> None:
        super().__init__(maker, claims, store)
        self._reader = reader
        self._tasks = tasks
        self._held: list[_Held] = []
        self._size = 0

    def steps(self) -> Iterator[Callable[[], None]]:
        """Yield the one step."""
        yield self._all

    def _all(self) -> None:
        for task in self._tasks:
            read = ReadSource(task, source=task.source)
            self.finished.reads.append(read)
            try:
                with task.input.open() as opened:
                    self.finished.reads[-1] = read = self._begin(task, opened)
                    try:
                        self._one(read, opened)
                    except ChangedError:
                        self.finished.reads[-1] = read = self._begin(task, opened, changed=True)
                        with task.input.open() as again:
                            self._one(read, again)
            except OSError as error:
                self._fail(self.finished.reads[-1], error)
        self._settle_held()

    def _one(self, read: ReadSource, opened: OpenInput) -> None:
        """Read a source; where it has several blocks, its rows become files that can be taken back."""
        last: Lines | None = None
        begun: tuple[int, int] | None = None
        try:
            for lines in self._reader.blocks(opened, read):
                if last is not None:
                    if begun is None:
                        self._settle_held()
                        begun = self._begun()
                    self._keep([self._rows_of(_Held(read, last))])
                last = lines
            check_unchanged(opened, read)
            wanted = self._settle_claim(read)
            if wanted and last is not None and begun is not None:
                self._keep([self._rows_of(_Held(read, last))])
        except BaseException:
            if begun is not None:
                self._undo(begun)
            raise
        if not wanted:
            if begun is not None:
                self._undo(begun)
        elif begun is None and last is not None:
            self._held.append(_Held(read, last))
            self._size += len(last.data)
            if self._size >= BLOCK_BYTES:
                self._settle_held()

    def _rows_of(self, held: _Held) -> "pyarrow.Table":
        """Return the rows of one source, which are noted."""
        try:
            rows = self._reader.rows([held.lines])
        except BadLinesError:
            raise self._reader.problem(held.read, held.lines) from None
        _note(held.read, rows, 0)
        return rows.table

    def _settle_held(self) -> None:
        """Make files of what is held; sources with a bad line are left out, the others are taken."""
        held, self._held, self._size = self._held, [], 0
        if held:
            self._settle(held)

    def _settle(self, held: list[_Held]) -> None:
        if len(held) == 1:
            try:
                self._keep([self._rows_of(held[0])])
            except OSError as error:
                self._fail(held[0].read, error)
            return
        try:
            rows = self._reader.rows([one.lines for one in held])
        except BadLinesError:
            rows = None
        # Halves of halves: among a thousand sources one that is bad, or odd, costs some twenty readings.
        if rows is None or rows.sent.sum() > MOST_SENT or (rows.last_ms - rows.first_ms).max() > CENTURY_MS:
            self._settle(held[: len(held) // 2])
            self._settle(held[len(held) // 2 :])
            return
        for number, one in enumerate(held):
            _note(one.read, rows, number)
        self._keep([rows.table])


def _note(read: ReadSource, rows: Rows, number: int) -> None:
    """Add what the lines of one source are to its accounting.

    Raises
    ------
    SourceError
        There are more bytes, or months, than any log can tell of.
    """
    counts = {name: int(values[number]) for name, values in rows.counts.items()}
    kept = int(rows.begins[number + 1] - rows.begins[number])
    filtered = {name: counts[name] for name in ("key", "ip")}
    noted = {"invalid_utf8": counts["invalid_utf8"]}
    numbers = {"lines": counts["lines"], "bytes": 0, "accepted": kept}
    accounting.add(read.counts, {**numbers, "filtered": filtered, "rejected": {}, "noted": noted})
    if kept:

        def months() -> list[int]:
            return months_of(rows.table["time"].slice(rows.begins[number], kept).cast("int64"))

        first, last = int(rows.first_ms[number]), int(rows.last_ms[number])
        read.widen(first, last, int(rows.sent[number]), months)


def tree_units(
    tasks: Iterable[Task], reader: TreeReader, maker: RowMaker | None, claims: Claims, store: Path
) -> Iterator[TreeUnit]:
    """Divide tables, in their order, into units: large ones alone, small ones together."""
    group: list[Task] = []
    size = 0
    for task in tasks:
        if task.input.size > _SMALL_BYTES:
            yield TreeUnit([task], reader, maker, claims, store)
            continue
        group.append(task)
        size += task.input.size
        if size >= BLOCK_BYTES or len(group) >= _GROUP_SOURCES:
            yield TreeUnit(group, reader, maker, claims, store)
            group, size = [], 0
    if group:
        yield TreeUnit(group, reader, maker, claims, store)
