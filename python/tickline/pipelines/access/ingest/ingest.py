"""Raw logs, or tables made of them, into a store: exactly once, by many threads, going on after a kill."""

import json
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from tickline import accounting
from tickline.errors import InternalError, TicklineError, explain_os_error
from tickline.files import Folders
from tickline.pipelines.access.ingest.claims import Claims, stored_name
from tickline.pipelines.access.ingest.commit import Committer, Labels
from tickline.pipelines.access.ingest.forms import check_settings, form_notes
from tickline.pipelines.access.ingest.inputs import Input, find_inputs
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.pipelines.access.ingest.read import Before, Reader, StoppedError, Task
from tickline.pipelines.access.ingest.repeats import drop_repeats
from tickline.pipelines.access.ingest.rows import RowMaker
from tickline.pipelines.access.ingest.unit import StoreFailedError, Unit
from tickline.pipelines.access.ingest.units import units_of
from tickline.progress import Progress, WorkHere
from tickline.store.folder import StoreFolder
from tickline.store.settings import Settings

if TYPE_CHECKING:
    from tickline.pipelines.access.regions.lookup import Labeler

__all__ = ["ingest"]

# What the interpreter, pyarrow and SQLite take, and what one run under way does (measured, with room to
# spare).
_BASE_BYTES = 180 * 10**6
_RUN_MEMORY_BYTES = 110 * 10**6
_NAMES_PER_QUERY = 10_000
_NO_REGIONS = (
    "the store has no region files: everybody is from nowhere known, and without addresses that stays so. "
    "Give them first (tickline access run --regions FILE)."
)
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


class _Ingest:
    def __init__(self, folder: StoreFolder, options: IngestOptions, progress: Progress) -> None:
        self.folder = folder
        self.options = options
        self.progress = progress
        self.report = IngestReport(counts=accounting.empty())
        self.stop = threading.Event()
        self.folders = Folders()
        self.pending: deque[_Pending] = deque()
        self.full: TicklineError | None = None
        self.dedupe = folder.settings.dedupe_lines
        pseudonyms = folder.pseudonyms(making=True)
        self.maker = RowMaker(folder.path, pseudonyms, self.folders, dedupe=self.dedupe)
        self.labeler: Labeler | None = None
        self.committer = Committer(folder, pseudonyms, self.folders, self.report, self._labels())

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

    # ---- what is to be read -------------------------------------------------------------------------------

    def tasks(self, inputs: list[Input]) -> list[Task]:
        """Return the inputs that are new or not what they were, each with a number of its own."""
        next_source = int(self.folder.ledger.rows("SELECT coalesce(max(id), 0) + 1 FROM sources")[0][0])
        tasks: list[Task] = []
        for begin in range(0, len(inputs), _NAMES_PER_QUERY):
            some = inputs[begin : begin + _NAMES_PER_QUERY]
            known = self._known(stored_name(item.name) for item in some)
            for item in some:
                row = known.get(stored_name(item.name))
                task = self._task(item, row, next_source + len(tasks))
                if task is None:
                    self.report.states["unchanged"] += 1
                else:
                    tasks.append(task)
        return tasks

    def _known(self, names: Iterable[str]) -> dict[str, sqlite3.Row]:
        sql = (
            "SELECT n.name, n.size, n.mtime_ns, n.inode, n.whole, s.id, s.bytes, s.lines, s.content_hash, "
            "s.form, s.key FROM names n JOIN sources s ON s.id = n.source "
            "WHERE n.name IN (SELECT value FROM json_each(?))"
        )
        return {row["name"]: row for row in self.folder.ledger.rows(sql, [json.dumps(list(names))])}

    def _task(self, item: Input, row: sqlite3.Row | None, source: int) -> Task | None:
        age_s = self.options.now_ms / 1000 - item.mtime_ns / 1e9
        settled = item.is_remote or not self.options.settle_s or age_s >= self.options.settle_s
        if item.form != "log":
            # A table is whole or refused: there is no last line that could wait.
            settled = True
        if row is None:
            return Task(item, source, settled=settled)
        same = (row["size"], row["mtime_ns"], row["inode"]) == (item.size, item.mtime_ns, item.inode)
        same_form = (row["form"], row["key"]) == (item.form, item.key)
        if same and same_form and (row["whole"] or not settled):
            return None
        before = Before(row["id"], row["content_hash"], row["bytes"], row["lines"], same_form)
        return Task(item, source, before, settled)

    # ---- reading and committing ---------------------------------------------------------------------------

    def run(self, inputs: list[Input]) -> None:
        """Bring the inputs into the store."""
        try:
            for _ in range(_ROUNDS):
                tasks = self.tasks(inputs)
                self.progress.start(sum(task.input.size for task in tasks))
                self._read(tasks)
                if self.full is not None:
                    return
                inputs = self.committer.name_copies()
                if not inputs:
                    break
            self.committer.finish()
        except InternalError:
            raise
        except TicklineError as error:
            self._note_full(error)
        except OSError as error:
            self._note_full(explain_os_error(error, self.folder.path))

    def _read(self, tasks: list[Task]) -> None:
        """Read and commit, unit by unit, in the order of the inputs."""
        threads = min(
            self.options.threads, max(1, (self.options.memory_bytes - _BASE_BYTES) // _RUN_MEMORY_BYTES)
        )
        pool: Executor
        pool = ThreadPoolExecutor(threads, "tickline-ingest") if threads > 1 else WorkHere()
        claims = Claims(self.folder.ledger.path)
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
            self._commit(unit)
        else:
            unit.discard()
        self.pending.popleft()

    def _commit(self, unit: Unit) -> None:
        for read in unit.finished.reads:
            accounting.check(read.counts, read.task.input.name)
        try:
            for place in unit.finished.waiting.places:
                kept = drop_repeats(self.folder, unit.finished.waiting.get(place), unit.finished)
                unit.finished.runs.append(self.maker.make(kept))
            unit.finished.waiting.close()
            self.committer.commit(unit.finished)
        except InternalError:
            raise
        except OSError as error:
            unit.discard()
            self._note_full(explain_os_error(error, self.folder.path))
        except TicklineError as error:
            unit.discard()
            self._note_full(error)

    def _note_full(self, error: TicklineError) -> None:
        """Without room nothing more can be taken; other errors of the store itself are no better."""
        if self.full is None:
            self.full = error
            self.report.problems.append(error)
            self.stop.set()


def ingest(
    store: str, raws: list[str], options: IngestOptions, progress: Progress | None = None
) -> IngestReport:
    """Bring logs into a store; it is made if it does not exist.

    Parameters
    ----------
    store : str
        The folder of the store.
    raws : list of str
        Logs, folders of logs, ``s3://bucket/prefix``; tables instead, if the options say so.
    options : IngestOptions
        How.
    progress : Progress, optional
        Is told how far the run is: bytes as they lie there.

    Returns
    -------
    IngestReport
        What was done; `problems` is empty if everything was. What could not be read now is read by the next
        run.

    Raises
    ------
    UsageError
        An option differs from what the store was made with, RAW does not exist, or the store asks what tables
        do not tell.
    TicklineError
        Nothing could be begun: another run is writing, or the store is damaged or newer.
    """
    progress = progress or Progress()
    if options.form != "log":
        # A store that could not take them is not made first.
        check_settings(Settings.create(options.wanted, ""), store)
    with (
        find_inputs(raws, form=options.form) as found,
        StoreFolder.open_or_create(store, options.wanted) as folder,
        folder.writing(),
    ):
        if options.form != "log":
            check_settings(folder.settings, store)
        run = _Ingest(folder, options, progress)
        run.report.left_out.update(found.left_out)
        run.report.problems += found.problems
        run.run(found.inputs)
        if not folder.keeps_addresses() and not folder.ledger.snapshots():
            run.report.notes.append(_NO_REGIONS)
        run.report.notes += form_notes(folder.ledger, options.form, run.report)
    return run.report
