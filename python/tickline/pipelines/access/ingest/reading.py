"""Tasks of an ingest: read by many threads, committed in order; a kill costs what is under way."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from tickline import accounting
from tickline.errors import InternalError, TicklineError, explain_os_error
from tickline.files import Folders
from tickline.pipelines.access.ingest.claims import Claims, LedgerClaims
from tickline.pipelines.access.ingest.commit import Committer, Labels
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.pipelines.access.ingest.read import Reader, StoppedError
from tickline.pipelines.access.ingest.repeats import drop_repeats
from tickline.pipelines.access.ingest.rows import RowMaker
from tickline.pipelines.access.ingest.tasks import Task, find_tasks
from tickline.pipelines.access.ingest.unit import Finished, StoreFailedError, Unit
from tickline.pipelines.access.ingest.units import units_of
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.threads import WorkHere

if TYPE_CHECKING:
    from tickline.pipelines.access.regions.lookup import Labeler

__all__ = ["Reading"]

# What the interpreter, pyarrow and SQLite take, and what one run under way does (measured, with room to
# spare).
_BASE_BYTES = 180 * 10**6
_RUN_MEMORY_BYTES = 110 * 10**6
# A content is looked for once more where the source that had it failed, or has other content now.
_ROUNDS = 3


class _Common(TypedDict):
    max_line_bytes: int
    advance: Callable[[int], None]
    stop: threading.Event


class _Pending(NamedTuple):
    """A step under way; without a future it stands behind the last step of a unit."""

    unit: Unit
    future: Future[None] | None


class Reading:
    """Brings tasks into a store, and tells `report` of it; the caller holds ``folder.writing()``."""

    def __init__(
        self, folder: StoreFolder, options: IngestOptions, progress: Progress, report: IngestReport
    ) -> None:
        self.folder = folder
        self.options = options
        self.progress = progress
        self.report = report
        self.stop = threading.Event()
        self.folders = Folders()
        self.pending: deque[_Pending] = deque()
        self.full: TicklineError | None = None
        self.dedupe = folder.settings.dedupe_lines
        self.pseudonyms = folder.pseudonyms(making=True)
        self.maker = RowMaker(folder.path, self.pseudonyms, self.folders, dedupe=self.dedupe)
        self.labeler: Labeler | None = None
        self.committer = Committer(folder, self.pseudonyms, self.folders, self.report, self._labels())

    def _labels(self) -> Labels | None:
        if self.folder.keeps_addresses():
            return None
        return self._look_up

    def _look_up(self, addresses: list[str]) -> tuple[list[str], list[int | None]]:
        """Return regions and their snapshots; the networks are loaded when somebody new is first seen."""
        if not addresses:
            return [], []
        if self.labeler is None:
            from tickline.pipelines.access.regions.lookup import Labeler

            self.labeler = Labeler(self.folder)
        return self.labeler.labels(addresses)

    # ---- reading and committing ---------------------------------------------------------------------------

    def run(self, tasks: list[Task]) -> None:
        """Bring what the tasks name into the store, and let go what no name holds any more."""
        try:
            for _ in range(_ROUNDS):
                self.progress.start(sum(task.input.size for task in tasks))
                self._read(tasks)
                if self.full is not None:
                    return
                inputs = self.committer.name_copies()
                if not inputs:
                    break
                tasks = find_tasks(self.folder.ledger, inputs, self.options, self.report.states)
            self.committer.finish()
        except InternalError:
            raise
        except TicklineError as error:
            self._note_full(error)
        except OSError as error:
            self._note_full(explain_os_error(error, self.folder.path))
        finally:
            self.pseudonyms.close()

    def _read(self, tasks: list[Task]) -> None:
        """Read and commit, unit by unit, in the order of the inputs."""
        threads = min(
            self.options.threads, max(1, (self.options.memory_bytes - _BASE_BYTES) // _RUN_MEMORY_BYTES)
        )
        pool: Executor
        pool = ThreadPoolExecutor(threads, "tickline-ingest") if threads > 1 else WorkHere()
        claims = LedgerClaims(self.folder.ledger.path)
        unit: Unit | None = None
        try:
            for unit in self._units(tasks, claims):
                for step in unit.steps():
                    while len(self.pending) >= threads + 1:
                        self._settle()
                    self.pending.append(_Pending(unit, pool.submit(step)))
                self.pending.append(_Pending(unit, None))
                if self.full is not None:
                    break
            while self.pending:
                self._settle()
        finally:
            self.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for left in [unit, *(pending.unit for pending in self.pending)]:
                if left is not None:
                    left.discard()
            claims.close()
            if self.labeler is not None:
                self.labeler.close()
                self.labeler = None
        if self.full is None:
            self.stop.clear()

    def _units(self, tasks: list[Task], claims: Claims) -> Iterator[Unit]:
        """Divide the tasks into units of work."""
        settings, options = self.folder.settings, self.options
        maker = None if self.dedupe else self.maker
        common: _Common = {
            "max_line_bytes": options.max_line_bytes,
            "advance": self.progress.advance,
            "stop": self.stop,
        }
        if options.form == "log":
            reader = Reader(settings.rules().build(), dedupe=self.dedupe, **common)
            yield from units_of(tasks, reader, maker, claims, self.folder.path)
        else:
            from tickline.pipelines.access.ingest.trees import TreeReader, tree_units

            trees = TreeReader(options.form, settings, **common)
            yield from tree_units(tasks, trees, maker, claims, self.folder.path)

    def _settle(self) -> None:
        """Wait for the oldest step; behind the last one of a unit, commit it."""
        unit, future = self.pending[0]
        if future is not None:
            try:
                future.result()
            except StoreFailedError as error:
                self._note_full(error.reason)
            except OSError as error:
                self._note_full(explain_os_error(error, self.folder.path))
            except StoppedError:
                # Only a reason that is known already stops the threads.
                pass
        elif self.full is None:
            self._commit(unit.finished)
        else:
            unit.discard()
        self.pending.popleft()

    def _commit(self, finished: Finished) -> None:
        for read in finished.reads:
            accounting.check(read.counts, read.task.input.name)
        try:
            for place in finished.waiting.places:
                kept = drop_repeats(self.folder, finished.waiting.get(place), finished)
                finished.runs.append(self.maker.make(kept))
            finished.waiting.close()
            self.committer.commit(finished)
        except InternalError:
            raise
        except OSError as error:
            finished.discard(self.folder.path)
            self._note_full(explain_os_error(error, self.folder.path))
        except TicklineError as error:
            finished.discard(self.folder.path)
            self._note_full(error)

    def _note_full(self, error: TicklineError) -> None:
        """Without room nothing more can be taken; other errors of the store itself are no better."""
        if self.full is None:
            self.full = error
            self.report.problems.append(error)
            self.stop.set()
