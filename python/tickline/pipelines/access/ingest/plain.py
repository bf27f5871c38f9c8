"""A unit of an ingest that many threads read: one large plain file, in ranges."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tickline import _core, accounting
from tickline.errors import SourceError
from tickline.pipelines.access.ingest.claims import Claims
from tickline.pipelines.access.ingest.inputs import OpenInput
from tickline.pipelines.access.ingest.read import LISTED_REJECTS, RUN_BYTES, Reader, ReadSource
from tickline.pipelines.access.ingest.rows import RowMaker
from tickline.pipelines.access.ingest.tasks import Task
from tickline.pipelines.access.ingest.unit import (
    Unit,
    check_is_log,
    check_unchanged,
    count_unfinished,
)

__all__ = ["PlainUnit"]


class PlainUnit(Unit):
    """One large plain file, scanned in ranges by many threads; its hash goes ahead in order."""

    def __init__(
        self, task: Task, reader: Reader, maker: RowMaker | None, claims: Claims, store: Path
    ) -> None:
        super().__init__(maker, claims, store)
        self._reader = reader
        self._task = task
        self._opened: OpenInput | None = None
        self._hashed = _core.ContentHash()
        self._turn = threading.Condition()
        self._next = 0
        self._broken = False
        # What ranges gave, until those before them are counted.
        self._parts: dict[int, tuple[_core.Counts, list[tuple[int, int, int, str]]]] = {}
        self._counted = 0
        self._left = 0

    def steps(self) -> Iterator[Callable[[], None]]:
        """Yield a step for each range, once it is known where the new content begins."""
        found = self._ranges()
        if found is None:
            return
        opened, ranges = found
        read = self.finished.reads[0]
        self._left = len(ranges)
        for number, (first, last) in enumerate(ranges):
            yield partial(self._range, opened, read, number, first, last)

    def survey(self) -> list[tuple[int, int, int]]:
        """Hash the file, and leave the scanning to others; no `steps` then.

        Returns
        -------
        list of (begin, end, lines)
            The ranges, and how many lines there are before each; none where there is nothing to scan.
        """
        found = self._ranges()
        if found is None:
            return []
        opened, ranges = found
        read = self.finished.reads[0]
        hash_range, hashed = self._reader.hash_range, self._hashed
        try:
            marks = [(first, last, hash_range(hashed, opened, last)) for first, last in ranges]
            check_unchanged(opened, read)
            read.content_hash = hashed.digest()
            return marks if self._settle_claim(read) else []
        except OSError as error:
            self._fail(read, error)
            return []
        finally:
            opened.close()

    def _ranges(self) -> tuple[OpenInput, list[tuple[int, int]]] | None:
        """Return the ranges of the new content; None if all is said without scanning any."""
        self.finished.reads.append(ReadSource(self._task, source=self._task.source))
        try:
            opened = self._opened = self._task.input.open()
            read = self.finished.reads[0] = self._begin(self._task, opened)
            if opened.kind != "plain":
                hint = "Run it again when its writer is done: nothing of it was taken."
                raise SourceError("was changed while it was read", where=self._task.input.name, hint=hint)
            begin, end = self._span(opened, read)
        except OSError as error:
            self._fail(self.finished.reads[0], error)
            self.discard()
            return None
        read = self.finished.reads[0]
        ranges = [(at, min(at + RUN_BYTES, end)) for at in range(begin, end, RUN_BYTES)]
        if read.state == "copy" or not ranges:
            if read.state != "copy":
                self._end(opened, read)
            opened.close()
            return None
        return opened, ranges

    def discard(self) -> None:
        """Remove the files that were made; no step may be under way any more."""
        super().discard()
        if self._opened is not None:
            self._opened.close()

    def _span(self, opened: OpenInput, read: ReadSource) -> tuple[int, int]:
        """Return where the content that is to be scanned begins and ends."""
        reader, before = self._reader, self._task.before
        end = reader.content_end(opened, self._task)
        if read.state == "grown" and before is not None:
            hashed = reader.hash_known(opened, end, before)
            if hashed is None:
                read = self._begin(self._task, opened, changed=True)
                self.finished.reads[0] = read
            else:
                self._hashed = hashed
        read.bytes, read.whole = end, end == read.size
        if self._claims.has_size(end):
            # Most likely a renamed one: its hash tells, and then nothing is scanned.
            whole = _core.ContentHash()
            reader.hash_range(whole, opened, end)
            read.content_hash = whole.digest()
            self._settle_claim(read)
        return self._hashed.bytes, end

    def _range(self, opened: OpenInput, read: ReadSource, number: int, begin: int, end: int) -> None:
        try:
            with self._turn:
                self._turn.wait_for(lambda: self._next == number or self._broken)
            if self._broken:
                return
            lines = self._reader.hash_range(self._hashed, opened, end)
            with self._turn:
                self._next += 1
                self._turn.notify_all()
            scanned = self._reader.scan_range(opened, begin, end, read.source, lines, room=LISTED_REJECTS)
            tables, counts, rejects = scanned
            with self._mutex:
                for table in tables:
                    read.note(table)
                self._parts[number] = counts, rejects
                self._count(read)
            self._keep(tables, number)
        except BaseException as error:
            with self._turn:
                self._broken = True
                self._turn.notify_all()
            if not isinstance(error, OSError):
                raise
            self._fail(read, error)
        finally:
            with self._mutex:
                self._left -= 1
                last = self._left == 0
            if last:
                self._end(opened, read)
                opened.close()

    def _count(self, read: ReadSource) -> None:
        """Add up what is known in order: the first rejected lines of the source are those that are listed."""
        while self._counted in self._parts:
            counts, rejects = self._parts.pop(self._counted)
            accounting.add(read.counts, counts)
            read.rejects += rejects[: LISTED_REJECTS - len(read.rejects)]
            self._counted += 1

    def _end(self, opened: OpenInput, read: ReadSource) -> None:
        try:
            if read.error is None and not self._broken:
                check_unchanged(opened, read)
                read.content_hash = self._hashed.digest()
                count_unfinished(read)
                check_is_log(read)
                if self._settle_claim(read):
                    return
        except OSError as error:
            self._fail(read, error)
        self.discard()
