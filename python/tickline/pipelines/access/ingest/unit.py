"""What units of an ingest have in common: what they give, and how a source begins, fails and is claimed."""

import contextlib
import os
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tickline import accounting
from tickline.discovery import is_log_name
from tickline.errors import SourceError, explain_os_error
from tickline.pipelines.access.ingest.claims import Claims
from tickline.pipelines.access.ingest.inputs import OpenInput
from tickline.pipelines.access.ingest.read import ReadSource
from tickline.pipelines.access.ingest.rows import RowMaker, Run
from tickline.pipelines.access.ingest.tasks import Task
from tickline.store.parts import import_arrow

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "Finished",
    "StoreFailedError",
    "Unit",
    "Waiting",
    "check_is_log",
    "check_unchanged",
    "count_unfinished",
]


class StoreFailedError(Exception):
    """A file of the store could not be written: that is no fault of the source whose rows it was to hold."""

    def __init__(self, reason: SourceError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Waiting:
    """Rows that cannot become files yet: on the disk, as a source may have more than the memory holds.

    The file has no name, so that a kill leaves nothing. Safe to use from many threads.
    """

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._begins: dict[int, int] = {}
        self._mutex = threading.Lock()

    @property
    def places(self) -> list[int]:
        """Where rows stand, in order."""
        return sorted(self._begins)

    def put(self, tables: "list[pyarrow.Table]", place: int | None, store: Path) -> None:
        """Take rows; without a place they stand behind the others."""
        pa = import_arrow()
        whole = pa.concat_tables(tables).unify_dictionaries()
        tables.clear()
        with self._mutex:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=store)  # noqa: SIM115 (`close`)
            begin = self._file.seek(0, os.SEEK_END)
            with pa.ipc.new_stream(self._file, whole.schema) as stream:
                stream.write_table(whole)
            # What cannot be written is to be an error here, and not where it is read.
            self._file.flush()
            self._begins[len(self._begins) if place is None else place] = begin

    def get(self, place: int) -> "list[pyarrow.Table]":
        """Return the rows of a place."""
        if self._file is None:
            raise KeyError(place)
        self._file.seek(self._begins[place])
        return [import_arrow().ipc.open_stream(self._file).read_all()]

    def drop_from(self, place: int) -> None:
        """Forget the rows from a place on."""
        for dropped in [at for at in self._begins if at >= place]:
            del self._begins[dropped]

    def close(self) -> None:
        """Forget all of them; more than once is harmless."""
        self._begins.clear()
        if self._file is not None:
            # Where the disk was full, closing tries to write once more.
            with contextlib.suppress(OSError):
                self._file.close()


@dataclass(slots=True)
class Finished:
    """What a unit gave: to be committed together."""

    reads: list[ReadSource] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    # With --dedupe-lines rows wait here, in order, until the commits before theirs are known.
    waiting: Waiting = field(default_factory=Waiting)

    def discard(self, store: Path) -> None:
        """Remove the files that were made, unless a commit that names them may have begun."""
        for run in self.runs:
            run.discard(store)
        self.runs.clear()
        self.waiting.close()


class Unit(ABC):
    """Work whose `steps` may run in any threads; its result, `finished`, is complete when all are done."""

    def __init__(self, maker: RowMaker | None, claims: Claims, store: Path) -> None:
        self.finished = Finished()
        self._maker = maker
        self._claims = claims
        self._store = store
        self._mutex = threading.Lock()
        # Requesters of the runs so far: a source of a thousand runs meets most of them in each.
        self._requesters: set[int] = set()

    @abstractmethod
    def steps(self) -> Iterator[Callable[[], None]]:
        """Yield what is to be done, in order."""

    def discard(self) -> None:
        """Remove the files that were made, unless a commit that names them may have begun."""
        self.finished.discard(self._store)

    def _begun(self) -> tuple[int, int]:
        """Return how much there is before a source, for `_undo`; only where one thread works on the unit."""
        return len(self.finished.runs), len(self.finished.waiting.places)

    def _undo(self, begun: tuple[int, int]) -> None:
        """Take back the runs of a source that is not to be taken."""
        for run in self.finished.runs[begun[0] :]:
            self._requesters.difference_update(number for ids in run.ids for number in ids.tolist())
            run.discard(self._store)
        del self.finished.runs[begun[0] :]
        self.finished.waiting.drop_from(begun[1])

    def _keep(self, tables: "list[pyarrow.Table]", number: int | None = None) -> None:
        """Make files of rows, or leave that to the commit (`number`: their place there); empties the list."""
        if not tables:
            return
        try:
            if self._maker is None:
                self.finished.waiting.put(tables, number, self._store)
                return
            run = self._maker.make(tables)
        except OSError as error:
            raise StoreFailedError(explain_os_error(error, self._store)) from error
        with self._mutex:
            run.leave_out(self._requesters)
            self.finished.runs.append(run)

    def _fail(self, read: ReadSource, error: OSError) -> None:
        if read.content_hash:
            self._claims.release(read.content, read.task.source)
        explained = explain_os_error(error, read.task.input.name)
        read.error = read.error or explained
        read.state = "failed"

    def _begin(self, task: Task, opened: OpenInput, *, changed: bool = False) -> ReadSource:
        read = ReadSource(task, source=task.source, size=opened.size, mtime_ns=opened.mtime_ns)
        if task.before is not None:
            changed = changed or not task.before.same_form
            changed = changed or not self._claims.may_grow(task.source, task.before.source, task.stored_name)
            read.state = "changed" if changed else "grown"
            read.source = task.source if changed else task.before.source
        return read

    def _settle_claim(self, read: ReadSource) -> bool:
        """Tell whether the rows of this content are to be taken: nobody else has it."""
        known = self._claims.claim(read.content, read.task.source, read.source)
        if known is not None:
            read.state, read.source = "copy", known
        return known is None


def check_unchanged(opened: OpenInput, read: ReadSource) -> None:
    """A plain file may grow while it is read; with any other change what was read is no one state of it."""
    if opened.kind == "plain":
        now = os.fstat(opened.fd)
        steady = now.st_size > read.size or (now.st_size, now.st_mtime_ns) == (read.size, read.mtime_ns)
    else:
        steady = opened.unchanged()
    if not steady:
        hint = "Run it again when its writer is done: nothing of it was taken."
        raise SourceError("was changed while it was read", where=read.task.input.name, hint=hint)


def check_is_log(read: ReadSource) -> None:
    """A file that is not called like a log was named by hand: without any line of one that was a mistake.

    `--regions logs/regions/*` is one: the shell gives all files but the first as RAW.
    """
    name = read.task.input.name
    rejected = accounting.rejected(read.counts)
    if read.state == "grown" or is_log_name(name.rpartition("/")[2]) or not rejected:
        return
    if rejected == read.counts["lines"]:
        hint = "Name logs only (a list of files behind an option needs the option before each of them)."
        raise SourceError("none of its lines is one of an S3 access log: not taken", where=name, hint=hint)


def count_unfinished(read: ReadSource) -> None:
    """The line that is still being written is counted, and read by a later run."""
    if not read.whole:
        read.counts["lines"] += 1
        filtered = read.counts["filtered"]
        filtered["unfinished"] = filtered.get("unfinished", 0) + 1
