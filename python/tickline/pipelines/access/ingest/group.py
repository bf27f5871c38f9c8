"""A unit of an ingest that one thread reads: many small sources, and those that have no ranges."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tickline import _core, accounting
from tickline.pipelines.access.ingest.claims import Claims
from tickline.pipelines.access.ingest.inputs import OpenInput
from tickline.pipelines.access.ingest.read import (
    LISTED_REJECTS,
    MOST_SENT,
    RUN_BYTES,
    ChangedError,
    Reader,
    ReadSource,
)
from tickline.pipelines.access.ingest.rows import RowMaker
from tickline.pipelines.access.ingest.tasks import Task
from tickline.pipelines.access.ingest.unit import (
    Unit,
    check_is_log,
    check_unchanged,
    count_unfinished,
)

if TYPE_CHECKING:
    import pyarrow

__all__ = ["GroupUnit"]

# Fewer rows of a source do not get files of their own, unless they are long.
_RUN_ROWS = 100_000
_HELD_BYTES = 2**25


class GroupUnit(Unit):
    """Small sources, and large ones that can only be read from front to back: one step, one thread."""

    def __init__(
        self, tasks: list[Task], reader: Reader, maker: RowMaker | None, claims: Claims, store: Path
    ) -> None:
        super().__init__(maker, claims, store)
        self._reader = reader
        self._tasks = tasks
        self._tables: list[pyarrow.Table] = []
        self._held = 0
        self._sent = 0
        # Sources of a unit share what may be listed, so that thousands of them do not fill the memory.
        self._room = LISTED_REJECTS

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
                    self._one(read, opened)
                self._room -= len(self.finished.reads[-1].rejects)
            except OSError as error:
                failed = self.finished.reads[-1]
                failed.rejects.clear()
                self._fail(failed, error)
        self._keep(self._tables)

    def _one(self, read: ReadSource, opened: OpenInput) -> None:
        if opened.kind == "plain":
            self._plain(read, opened)
            return
        try:
            self._stream(read, opened)
        except ChangedError:
            read = self._begin(read.task, opened, changed=True)
            self.finished.reads[-1] = read
            with read.task.input.open() as again:
                self._stream(read, again)

    def _stream(self, read: ReadSource, opened: OpenInput) -> None:
        begun = self._begun()
        waiting: list[pyarrow.Table] = []

        def emit(tables: "list[pyarrow.Table]") -> None:
            for table in tables:
                read.note(table)
            waiting.extend(tables)
            rows, size = (sum(getattr(table, what) for table in waiting) for what in ("num_rows", "nbytes"))
            if rows >= _RUN_ROWS or size >= _HELD_BYTES:
                full = [*waiting]
                waiting.clear()
                tables.clear()
                self._keep(full)

        try:
            self._reader.read_chunks(opened, read, emit, room=self._room)
            check_unchanged(opened, read)
            check_is_log(read)
            wanted = self._settle_claim(read)
        except BaseException:
            self._undo(begun)
            raise
        if not wanted:
            read.rejects.clear()
            self._undo(begun)
            return
        self._hold(waiting, read)

    def _plain(self, read: ReadSource, opened: OpenInput) -> None:
        reader = self._reader
        end = reader.content_end(opened, read.task)
        hashed = None
        if read.state == "grown" and read.task.before is not None:
            hashed = reader.hash_known(opened, end, read.task.before)
            if hashed is None:
                read = self._begin(read.task, opened, changed=True)
                self.finished.reads[-1] = read
        hashed = hashed or _core.ContentHash()
        begin = hashed.bytes
        lines = reader.hash_range(hashed, opened, end)
        read.content_hash, read.bytes, read.whole = hashed.digest(), end, end == read.size
        if not self._settle_claim(read):
            return
        scanned = reader.scan_range(opened, begin, end, read.source, lines, room=self._room)
        tables, counts, read.rejects = scanned
        check_unchanged(opened, read)
        accounting.add(read.counts, counts)
        count_unfinished(read)
        check_is_log(read)
        for table in tables:
            read.note(table)
        self._hold(tables, read)

    def _hold(self, tables: "list[pyarrow.Table]", read: ReadSource) -> None:
        self._tables += tables
        tables.clear()
        self._held += read.counts["bytes"]
        self._sent += read.sent
        if self._held >= RUN_BYTES or self._sent >= MOST_SENT:
            self._keep(self._tables)
            self._held = self._sent = 0
