"""Compaction: the many files of a month become few, sorted by key, so that one key opens one file a month.

A month is one transaction: readers, and a run after a kill, see the files of before or those of after. No sum
changes.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import explain_os_error
from tickline.files import Folders
from tickline.progress import Progress
from tickline.store.ledger import Ledger, Snapshot
from tickline.store.merge import HELD_ROWS, merged, open_part
from tickline.store.parts import NewPart, PartWriter, import_arrow
from tickline.store.rows import daily_of, one_chunk
from tickline.store.runs import needs_compaction, runs_of
from tickline.threads import WorkHere

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = ["PART_ROWS", "Report", "compact", "compact_months", "daily_from_parts"]

PART_ROWS = 4_000_000
"""A part ends at the first new key behind so many rows."""

# Beyond so many, runs are merged in tiers: the more are open, the smaller the share of memory of each.
_MOST_RUNS = 32
_DAY_MS = 86_400_000


@dataclass(slots=True)
class Report:
    """What a compaction did.

    Attributes
    ----------
    months : list of str
        Those that were rewritten.
    files_before, files_after : int
        Files of these months, parts and daily ones.
    bytes_before, bytes_after : int
        Their sizes. The old files stay for a day, for readers that are under way (`vacuum`).
    rows : int
        Rows of the new parts.
    dropped : int
        Rows of replaced sources that were left out.
    """

    months: list[str]
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0
    dropped: int = 0


def compact(
    folder: "StoreFolder", *, min_runs: int = 2, progress: Progress | None = None, threads: int = 1
) -> Report:
    """Merge the files of each month that has several runs, or rows of replaced sources.

    Parameters
    ----------
    folder : StoreFolder
        An open store; its lock is taken.
    min_runs : int
        Months of fewer runs are left alone, unless they hold rows of replaced sources.
    progress : Progress, optional
        Is told how far it is, in bytes of the files that are read.
    threads : int
        How many months are merged at once.

    Raises
    ------
    TicklineError
        Another run is writing, a file is missing or damaged, or the disk is full. Finished months stay so.
    """
    with folder.writing():
        snapshot = folder.ledger.snapshot()
        stale = _months_with_replaced(folder, snapshot)
        wanted = sorted({*stale, *needs_compaction(snapshot, many=min_runs)})
        return compact_months(folder, wanted, progress=progress, threads=threads)


def compact_months(
    folder: "StoreFolder",
    months: Sequence[str],
    *,
    progress: Progress | None = None,
    threads: int = 1,
    held_rows: int = HELD_ROWS,
    part_rows: int = PART_ROWS,
) -> Report:
    """Merge the files of these months; the caller holds ``folder.writing()``."""
    progress = progress or Progress()
    snapshot = folder.ledger.snapshot()
    merge = _Merge(folder, snapshot.replaced, progress, held_rows // threads, part_rows)
    works = [_Month(merge, month, snapshot) for month in months]
    progress.start(sum(part.size_bytes for work in works for part in work.old))
    report = Report(list(months))
    pool: Executor = ThreadPoolExecutor(threads, "tickline-compact") if threads > 1 else WorkHere()
    waiting, under_way = deque(works), deque[tuple[_Month, Future[None]]]()
    try:
        while waiting or under_way:
            while waiting and len(under_way) < threads:
                work = waiting.popleft()
                under_way.append((work, pool.submit(work.merge)))
            work, future = under_way[0]
            future.result()
            # The ledger belongs to this thread.
            work.commit(folder.ledger, report)
            under_way.popleft()
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    finally:
        merge.stopped = True
        pool.shutdown(wait=True, cancel_futures=True)
        for work, _ in under_way:
            work.discard()
    return report


def daily_from_parts(folder: "StoreFolder", month: str, leaving: frozenset[int]) -> list[NewPart]:
    """Make the daily file of a month anew, from its parts without the rows of some sources.

    Returns
    -------
    list of NewPart
        Finished files, on the disk under their names; no commit names them yet. Empty if no rows are left.

    Raises
    ------
    TicklineError
        A part is missing or damaged, or the disk is full.
    """
    snapshot = folder.ledger.snapshot()
    parts = [part for part in snapshot.parts if part.month == month]
    merge = _Merge(folder, leaving, Progress(), HELD_ROWS, PART_ROWS)
    made: list[NewPart] = []
    try:
        for part in parts:
            # Parts are sorted by key, daily files by day: what one part gives is a run of its own.
            for table in merged([[folder.path / part.path]], "accesses", rows=part.rows, leaving=leaving):
                if table.num_rows:
                    writer = merge.writer("daily", month)
                    made += _written(writer, [daily_of(table)])
        runs = [[(folder.path / run.path, run.rows)] for run in made]
        return merge.all_of("daily", month, runs) if len(runs) > 1 else [made.pop() for _ in runs]
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    finally:
        _remove(folder.path, made)
        merge.folders.sync()


def _months_with_replaced(folder: "StoreFolder", snapshot: Snapshot) -> set[str]:
    """Return the months whose parts hold rows that no longer count."""
    if not snapshot.replaced:
        return set()
    last = folder.ledger.rows("SELECT max(id) FROM commits WHERE kind = 'replace'")[0][0] or snapshot.commit
    rows = folder.ledger.rows("SELECT id, first_ms, last_ms FROM sources WHERE state = 'replaced'")
    spans = [(row["first_ms"], row["last_ms"]) for row in rows if row["first_ms"] is not None]
    # What a compaction wrote after the last replacement holds none of them.
    return {
        part.month
        for part in snapshot.parts
        if part.added <= last
        and any(
            first // _DAY_MS <= part.last_day and last_ms // _DAY_MS >= part.first_day
            for first, last_ms in spans
        )
        and _holds_any(folder.path / part.path, snapshot.replaced)
    }


def _holds_any(path: Path, sources: frozenset[int]) -> bool:
    pa = import_arrow()
    wanted = pa.array(sorted(sources), pa.uint32())
    with open_part(path, "accesses") as file:
        return any(
            pa.compute.any(pa.compute.is_in(batch["source"], wanted)).as_py()
            for batch in file.iter_batches(columns=["source"], use_threads=False)
        )


class _StoppedError(Exception):
    """Another month failed."""


_Runs = list[list[tuple[Path, int]]]


class _Merge:
    """What the months of one compaction have in common. Safe to use from many threads."""

    def __init__(
        self,
        folder: "StoreFolder",
        leaving: frozenset[int],
        progress: Progress,
        held_rows: int,
        part_rows: int,
    ) -> None:
        self.store = folder.path
        self.folders = Folders()
        self.stopped = False
        self._dedupe = folder.settings.dedupe_lines
        self._leaving = leaving
        self._progress = progress
        self._held_rows = held_rows
        self._part_rows = part_rows

    def writer(self, kind: str, month: str) -> PartWriter:
        """Begin a file."""
        return PartWriter(self.store, kind, month, self.folders, level=1, dedupe=self._dedupe)

    def all_of(self, kind: str, month: str, runs: _Runs, *, bytes_per_row: float = 0) -> list[NewPart]:
        """Merge runs into finished files; more than can be open at a time go through files in between."""
        rows = sum(rows for run in runs for _, rows in run)
        between: list[NewPart] = []
        try:
            while len(runs) > _MOST_RUNS and rows > self._held_rows:
                tier = [
                    self._once(kind, month, runs[at : at + _MOST_RUNS], 0)
                    for at in range(0, len(runs), _MOST_RUNS)
                ]
                _remove(self.store, between)
                between = [part for parts in tier for part in parts]
                runs = [[(self.store / part.path, part.rows) for part in parts] for parts in tier]
            return self._once(kind, month, runs, bytes_per_row)
        finally:
            _remove(self.store, between)

    def _once(self, kind: str, month: str, runs: _Runs, bytes_per_row: float) -> list[NewPart]:
        def tell(rows: int) -> None:
            if self.stopped:
                raise _StoppedError
            self._progress.advance(int(rows * bytes_per_row))

        tables = merged(
            [[path for path, _ in run] for run in runs],
            kind,
            rows=sum(rows for run in runs for _, rows in run),
            leaving=self._leaving,
            held_rows=self._held_rows,
            tell=tell,
        )
        # A daily file is read whole by all who want it; parts are cut, so that one key needs one of them.
        pieces = _cut(tables, self._part_rows) if kind == "accesses" else (("", table) for table in tables)
        made: list[NewPart] = []
        try:
            for _, group in itertools.groupby(pieces, key=itemgetter(0)):
                made += _written(self.writer(kind, month), (table for _, table in group))
        except BaseException:
            _remove(self.store, made)
            raise
        return made


def _written(writer: PartWriter, tables: "Iterable[pyarrow.Table]") -> list[NewPart]:
    """Write tables into one file; none if there are no rows."""
    try:
        for table in tables:
            writer.write(table)
        return [writer.commit()] if writer.rows else []
    finally:
        writer.abort()


def _remove(store: Path, parts: Iterable[NewPart]) -> None:
    for part in parts:
        (store / part.path).unlink(missing_ok=True)


def _cut(tables: "Iterable[pyarrow.Table]", part_rows: int) -> "Iterator[tuple[int, pyarrow.Table]]":
    """Number the pieces of a stream of rows in the order of keys by the part they belong to.

    A part ends where a key does; one that is still not at its end after twice the rows fills several.
    """
    import numpy as np

    number = rows = 0
    last: str | None = None
    for table in tables:
        keys = one_chunk(table["key"])
        codes = keys.indices.fill_null(len(keys.dictionary)).to_numpy()
        # Where a key begins: the first row too, if the table before ended with another one.
        new = np.append([len(keys) > 0 and (rows > 0) and keys[0].as_py() != last], codes[1:] != codes[:-1])
        begins = np.flatnonzero(new[: len(keys)])
        at = 0
        while at < table.num_rows:
            full = max(at + part_rows - rows, at)
            place = int(np.searchsorted(begins, full))
            end = int(begins[place]) if place < len(begins) else table.num_rows
            end = min(end, at + 2 * part_rows - rows)
            if end > at:
                yield number, table.slice(at, end - at)
            rows += end - at
            if end < table.num_rows or rows >= 2 * part_rows:
                number, rows = number + 1, 0
            at = end
        last = keys[-1].as_py() if len(keys) else last


class _Month:
    """One month under compaction: `merge` makes files, `commit` makes them count."""

    def __init__(self, merge: _Merge, month: str, snapshot: Snapshot) -> None:
        self._merge = merge
        self._month = month
        self._files = {"accesses": snapshot.parts, "daily": snapshot.daily}
        self.old = [part for part in (*snapshot.parts, *snapshot.daily) if part.month == month]
        self.new: list[NewPart] = []

    def merge(self) -> None:
        """Write the new files; on failure none of them stays."""
        try:
            for kind, files in self._files.items():
                runs = runs_of(files, self._month)
                rows = sum(part.rows for run in runs for part in run)
                size = sum(part.size_bytes for run in runs for part in run)
                paths = [[(self._merge.store / part.path, part.rows) for part in run] for run in runs]
                self.new += self._merge.all_of(kind, self._month, paths, bytes_per_row=size / max(rows, 1))
            self._merge.folders.sync()
        except BaseException:
            self.discard()
            raise

    def commit(self, ledger: Ledger, report: Report) -> None:
        """Replace the old files by the new ones, in one transaction."""
        with ledger.transaction():
            commit = ledger.begin_commit("compact")
            for part in self.new:
                ledger.add_part(commit, part)
            ledger.remove_parts(commit, (part.id for part in self.old))
        new, self.new = self.new, []
        report.files_before += len(self.old)
        report.files_after += len(new)
        report.bytes_before += sum(part.size_bytes for part in self.old)
        report.bytes_after += sum(part.size_bytes for part in new)
        rows = sum(part.rows for part in new if part.kind == "accesses")
        report.rows += rows
        report.dropped += sum(part.rows for part in self.old if part.kind == "accesses") - rows

    def discard(self) -> None:
        """Remove what no commit names."""
        _remove(self._merge.store, self.new)
        self.new = []
