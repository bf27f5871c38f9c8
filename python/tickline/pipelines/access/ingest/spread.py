"""Tasks of an ingest given to a cluster: workers write the files, this process alone commits them."""

import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from tickline import accounting
from tickline.engines.cluster import Answer
from tickline.engines.opening import open_cluster
from tickline.engines.options import ClusterError
from tickline.errors import SourceError, TicklineError
from tickline.pipelines.access.ingest.claims import Content, LedgerClaims
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.pipelines.access.ingest.pieces import (
    Given,
    Place,
    Told,
    check_place,
    read_group,
    read_range,
    survey,
    to_be_sent,
)
from tickline.pipelines.access.ingest.read import LISTED_REJECTS, ReadSource
from tickline.pipelines.access.ingest.reading import Reading
from tickline.pipelines.access.ingest.rows import Run
from tickline.pipelines.access.ingest.tasks import Task
from tickline.pipelines.access.ingest.unit import Finished, check_is_log, count_unfinished
from tickline.pipelines.access.ingest.units import divided
from tickline.progress import Progress
from tickline.store.folder import StoreFolder

if TYPE_CHECKING:
    from tickline.store.bucket import PartsBucket

__all__ = ["SpreadReading"]

# A piece that one worker cannot do is given to so many, one after another.
_TRIES = 3
_PUBLISH_S = 5.0
# The list for readers elsewhere is written whole: the longer that takes, the less often, 1/20 of the time.
_PUBLISH_PAUSE = 20


@dataclass(slots=True, eq=False)
class _Unit:
    """Sources that are committed together, on their way.

    Attributes
    ----------
    ranges : bool
        One plain file, which is surveyed first.
    sent : list of Task
        The tasks as workers get them.
    known : dict
        Contents of others, as far as its pieces have to know.
    """

    tasks: list[Task]
    ranges: bool
    sent: list[Task]
    known: dict[Content, int] = field(default_factory=dict)
    growing: frozenset[int] = frozenset()
    surveyed: ReadSource | None = None
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    parts: dict[int, Given] = field(default_factory=dict)

    def runs(self) -> list[Run]:
        """Return all files that were written for it so far."""
        return [run for part in self.parts.values() for run in part.runs]


@dataclass(slots=True, eq=False)
class _Piece:
    """A piece of a unit: `number` is that of its range, -1 stands for all of it or the survey."""

    unit: _Unit
    number: int = -1
    avoid: set[str] = field(default_factory=set)
    tries: int = 0


class SpreadReading(Reading):
    """Brings tasks into a store by the workers of a cluster; the caller holds ``folder.writing()``.

    Units are committed as they are done: what a store holds does not depend on their order.
    """

    def __init__(
        self, folder: StoreFolder, options: IngestOptions, progress: Progress, report: IngestReport
    ) -> None:
        super().__init__(folder, options, progress, report)
        store = str(folder.path.absolute())
        told = None if options.bucket is None else folder.settings
        self.place = Place(store, folder.settings.store_id, options.max_line_bytes, options.bucket, told)
        self.publish_at_s = time.monotonic() + _PUBLISH_S
        self.ready: deque[_Piece] = deque()
        self.out: dict[int, _Piece] = {}

    def run(self, tasks: list[Task]) -> None:
        """Bring what the tasks name into the store, and let go what no name holds any more."""
        with open_cluster(self.options.engine) as cluster, self._bucket() as self.bucket:
            cluster.check(check_place, self.place)
            self.cluster = cluster
            super().run(tasks)
        # Pieces that were done twice left files that no commit names.
        self.folder.remove_leftovers()
        if self.bucket is None and self.full is None:
            self.folder.publish()

    @contextmanager
    def _bucket(self) -> "Iterator[PartsBucket | None]":
        """Give the bucket that files go through, which has all files there are, and may be written."""
        if self.options.bucket is None:
            yield None
            return
        from tickline.store.bucket import PartsBucket

        with PartsBucket(self.options.bucket) as bucket:
            bucket.publish(self.folder)
            yield bucket

    def _read(self, tasks: list[Task]) -> None:
        """Give units out as there is room, and commit what comes back."""
        claims = self.claims = LedgerClaims(self.folder.ledger.path)
        units = self._told_units(tasks)
        try:
            while self.full is None:
                while self.cluster.room and (piece := self._next(units)) is not None:
                    self._submit(piece)
                if not self.out:
                    break
                self._take(self.cluster.next_answer())
        finally:
            self.cluster.cancel()
            for piece in [*self.out.values(), *self.ready]:
                self._discard(piece.unit.runs())
            self.out.clear()
            self.ready.clear()
            claims.close()
            if self.labeler is not None:
                self.labeler.close()
                self.labeler = None

    def _told_units(self, tasks: list[Task]) -> Iterator[_Unit]:
        for ranges, some in divided(tasks):
            known = self.claims.of_sizes(task.input.size for task in some)
            growing = frozenset(
                task.source
                for task in some
                if task.before is not None
                and task.before.same_form
                and self.claims.may_grow(task.source, task.before.source, task.stored_name)
            )
            yield _Unit(some, ranges, [to_be_sent(task) for task in some], known, growing)

    def _next(self, units: Iterator[_Unit]) -> _Piece | None:
        """Return what is to be done next: first what was begun."""
        if self.ready:
            return self.ready.popleft()
        unit = next(units, None)
        return None if unit is None else _Piece(unit)

    def _submit(self, piece: _Piece) -> None:
        unit = piece.unit
        told = Told(unit.known, unit.growing)
        tasks = unit.sent
        if not unit.ranges:
            number = self.cluster.submit(read_group, self.place, tasks, told, name="read", avoid=piece.avoid)
        elif unit.surveyed is None:
            number = self.cluster.submit(survey, self.place, tasks[0], told, name="survey", avoid=piece.avoid)
        else:
            number = self.cluster.submit(
                read_range,
                self.place,
                replace(unit.surveyed, task=tasks[0]),
                *unit.marks[piece.number],
                name="range",
                avoid=piece.avoid,
            )
        self.out[number] = piece

    # ---- what comes back -----------------------------------------------------------------------------------

    def _take(self, answer: Answer) -> None:
        piece = self.out.pop(answer.number)
        if answer.error is not None:
            if not self._again(piece, answer, answer.error):
                self._discard(piece.unit.runs())
                self._note_full(answer.error)
            return
        given: Given = answer.value
        lost = self._lost_file(given.runs)
        if lost is not None or given.unseen:
            error = lost or ClusterError("does not see all sources")
            if self._again(piece, answer, error):
                self._discard(given.runs)
                return
            if lost is not None:
                self._discard([*given.runs, *piece.unit.runs()])
                self._note_full(lost)
                return
            _name_worker(given.reads, answer.worker)
        self._keep(piece, given)

    def _again(self, piece: _Piece, answer: Answer, error: TicklineError) -> bool:
        """Give a piece to another worker, if that may help; one that nobody took is free for all again."""
        if answer.stranded:
            piece.avoid.clear()
        else:
            piece.tries += 1
            piece.avoid.add(answer.worker)
            if not answer.worker or piece.tries >= _TRIES or not isinstance(error, ClusterError):
                return False
            if not set(self.cluster.workers) - piece.avoid:
                return False
        self.ready.appendleft(piece)
        return True

    def _lost_file(self, runs: list[Run]) -> TicklineError | None:
        """See that the files that a worker has written are here; tell of one that is not."""
        for part in (part for run in runs for part in run.parts):
            path = self.folder.path / part.path
            try:
                if self.bucket is not None:
                    self.bucket.get_part(self.folder.path, part, self.folders)
                size = path.stat().st_size
            except TicklineError as error:
                return error
            except OSError:
                size = -1
            if size != part.size_bytes:
                hint = "The store must lie in a folder that all workers share."
                return ClusterError("a worker wrote it, and it is not here", where=str(path), hint=hint)
        return None

    def _keep(self, piece: _Piece, given: Given) -> None:
        unit = piece.unit
        for read, task in zip(given.reads, unit.tasks, strict=True):
            read.task = task
        if not unit.ranges:
            self.progress.advance(sum(task.input.size for task in unit.tasks))
            self._finish(unit, Finished(given.reads, given.runs))
        elif unit.surveyed is None:
            self._begin_ranges(unit, given)
        else:
            begin, end, _ = unit.marks[piece.number]
            self.progress.advance(end - begin)
            unit.parts[piece.number] = given
            if len(unit.parts) == len(unit.marks):
                self._finish(unit, self._joined(unit, unit.surveyed))

    def _begin_ranges(self, unit: _Unit, surveyed: Given) -> None:
        read = surveyed.reads[0]
        if surveyed.marks:
            known = self.claims.claim(read.content, read.task.source, read.source)
            if known is None:
                unit.surveyed, unit.marks = read, surveyed.marks
                self.ready.extendleft(_Piece(unit, number) for number in reversed(range(len(unit.marks))))
                return
            read.state, read.source = "copy", known
        self._finish(unit, Finished([read], []))

    def _joined(self, unit: _Unit, read: ReadSource) -> Finished:
        """Put the ranges of a file together, in their order."""
        requesters: set[int] = set()
        runs = [run for number in range(len(unit.marks)) for run in unit.parts[number].runs]
        try:
            for number in range(len(unit.marks)):
                part = unit.parts[number].reads[0]
                if part.error is not None:
                    raise part.error
                accounting.add(read.counts, part.counts)
                read.rejects += part.rejects[: LISTED_REJECTS - len(read.rejects)]
                if part.first_ms is not None and part.last_ms is not None:
                    months = partial(sorted, part.months)
                    read.widen(part.first_ms, part.last_ms, part.sent, months)
            count_unfinished(read)
            check_is_log(read)
        except SourceError as error:
            self.claims.release(read.content, read.task.source)
            self._discard(runs)
            return Finished([ReadSource(read.task, "failed", read.source, error=error)], [])
        for run in runs:
            run.leave_out(requesters)
        return Finished([read], runs)

    def _finish(self, unit: _Unit, finished: Finished) -> None:
        """Commit a unit, unless others have the content of some source: then it is read without that."""
        taken = [read for read in finished.reads if read.state not in ("copy", "failed")]
        known = {
            read.content: owner
            for read in taken
            if (owner := self.claims.claim(read.content, read.task.source, read.source)) is not None
        }
        if known:
            for read in taken:
                self.claims.release(read.content, read.task.source)
            self._discard(finished.runs)
            unit.known |= known
            self.ready.appendleft(_Piece(unit))
            return
        unit.parts.clear()
        self._commit(finished)

    def _commit(self, finished: Finished) -> None:
        """Commit, and tell readers elsewhere; not so often that writing the list becomes the work."""
        super()._commit(finished)
        began_s = time.monotonic()
        if began_s < self.publish_at_s or self.full is not None:
            return
        try:
            if self.bucket is None:
                self.folder.publish()
            else:
                self.bucket.publish_manifest(self.folder)
        except TicklineError as error:
            self._note_full(error)
        ended_s = time.monotonic()
        self.publish_at_s = ended_s + max(_PUBLISH_S, _PUBLISH_PAUSE * (ended_s - began_s))

    def _discard(self, runs: list[Run]) -> None:
        for run in runs:
            run.discard(self.folder.path)


def _name_worker(reads: list[ReadSource], worker: str) -> None:
    """Say on which machine a source was not seen that is there on this one."""
    for read in reads:
        if read.error is not None and os.path.exists(read.task.input.name):  # noqa: PTH110
            what = f"{read.error.what}, on worker {worker}"
            hint = "Workers must see logs under the same path as this process does; then run it again."
            read.error = SourceError(what, where=read.error.where, hint=hint)
