"""What an ingest writes into the ledger: each unit in one transaction, replaced content at the end."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tickline import accounting
from tickline.files import Folders
from tickline.pipelines.access.ingest.inputs import Input
from tickline.pipelines.access.ingest.options import IngestReport, ingest_kind
from tickline.pipelines.access.ingest.read import LISTED_REJECTS, ReadSource
from tickline.pipelines.access.ingest.rows import Run
from tickline.pipelines.access.ingest.unit import Finished
from tickline.store.folder import StoreFolder
from tickline.store.ledger import PartFile
from tickline.store.ledger_schema import put, rejects_digest, update
from tickline.store.parts import NewPart
from tickline.store.pseudonyms import Pseudonyms
from tickline.store.rows import month_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Committer", "Labels"]

# Requesters that are known to be in the ledger are not looked up again, as long as they fit into some 100 MB.
_KNOWN = 1_000_000
_IDS_PER_QUERY = 50_000

Labels = Callable[[list[str]], tuple[list[str], list[int | None]]]


class Committer:
    """Writes into the ledger; belongs to the thread that holds the store's lock.

    Parameters
    ----------
    labels : callable, optional
        Where addresses are not kept: gives the regions of new requesters, which could not be had later.
    """

    def __init__(
        self,
        folder: StoreFolder,
        pseudonyms: Pseudonyms,
        folders: Folders,
        report: IngestReport,
        labels: Labels | None,
    ) -> None:
        self._folder = folder
        self._ledger = folder.ledger
        self._pseudonyms = pseudonyms
        self._folders = folders
        self._report = report
        self._labels = labels
        self._copies: list[ReadSource] = []
        self._known: set[int] = set()

    def commit(self, finished: Finished) -> None:
        """Make what a unit gave a part of the store; nothing of it counts before, all of it after."""
        self._folders.sync()
        # From here on the ledger alone tells whether these files count: who is interrupted must leave them.
        runs, finished.runs = finished.runs, []
        labelled = [self._new_requesters(run) for run in runs]
        days = {day for run in runs for day in run.days}
        taken = [read for read in finished.reads if read.state not in ("copy", "failed")]
        if taken:
            with self._ledger.transaction():
                commit = self._ledger.begin_commit(ingest_kind(taken[0].task.input.form), days)
                for run in runs:
                    for part in run.parts:
                        self._ledger.add_part(commit, part)
                for ids, labels in labelled:
                    self._ledger.add_requesters(ids)
                    self._ledger.set_labels(labels)
                for read in taken:
                    self._put_source(read, commit)
                    self._put_name(read)
        for ids, _ in labelled:
            if len(self._known) > _KNOWN:
                self._known.clear()
            self._known.update(ids.tolist())
        self._copies += [read for read in finished.reads if read.state == "copy"]
        self._report.days |= days
        self._tell(finished.reads, runs)

    def _new_requesters(self, run: Run) -> "tuple[NDArray[np.uint64], list[tuple[int, str, int | None]]]":
        """Keep the addresses of requesters that this run has not seen yet, or their regions."""
        import numpy as np

        ids = np.concatenate(run.ids) if run.ids else np.zeros(0, np.uint64)
        new = [at for at, number in enumerate(ids.tolist()) if number not in self._known]
        ids, addresses = ids[new], [run.addresses[at] for at in new]
        if self._labels is None:
            self._pseudonyms.remember(ids, addresses)
            return ids, []
        labelled = self._labelled(ids.view(np.int64).tolist())
        fresh = [at for at, value in enumerate(ids.view(np.int64).tolist()) if value not in labelled]
        numbers = ids.tolist()
        labels, snapshots = self._labels([addresses[at] for at in fresh])
        return ids, [(numbers[at], *found) for at, *found in zip(fresh, labels, snapshots, strict=True)]

    def _labelled(self, ids: list[int]) -> set[int]:
        sql = "SELECT id FROM requesters WHERE label IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
        pieces = (ids[begin : begin + _IDS_PER_QUERY] for begin in range(0, len(ids), _IDS_PER_QUERY))
        return {row[0] for piece in pieces for row in self._ledger.rows(sql, [json.dumps(piece)])}

    def _put_source(self, read: ReadSource, commit: int) -> None:
        counts, first_ms, last_ms, state = dict(read.counts), read.first_ms, read.last_ms, "live"
        rejects, added = read.rejects, commit
        if read.state == "grown":
            old = self._ledger.rows("SELECT * FROM sources WHERE id = ?", [read.source])[0]
            counts = _joined(old, read.counts)
            first_ms = min(_known_ones(old["first_ms"], first_ms), default=None)
            last_ms = max(_known_ones(old["last_ms"], last_ms), default=None)
            sql = "SELECT line, offset, length, reason FROM rejects WHERE source = ? ORDER BY line"
            listed = [tuple(row) for row in self._ledger.rows(sql, [read.source])]
            rejects = read.rejects[: LISTED_REJECTS - len(listed)]
            digest, state, added = rejects_digest([*listed, *rejects]), old["state"], old["added"]
        else:
            rejects = read.rejects[:LISTED_REJECTS]
            digest = rejects_digest(rejects)
        row = {
            "id": read.source,
            "content_hash": read.content_hash,
            "bytes": read.bytes,
            "lines": counts["lines"],
            "accepted": counts["accepted"],
            **{
                group: json.dumps(counts[group], sort_keys=True)
                for group in ("filtered", "rejected", "noted")
            },
            "first_ms": first_ms,
            "last_ms": last_ms,
            "delivered_ms": read.mtime_ns // 10**6,
            "rejects_digest": digest,
            "state": state,
            "added": added,
            "form": read.task.input.form,
            "key": read.task.input.key,
        }
        if read.state == "grown":
            changes = {name: value for name, value in row.items() if name != "id"}
            update(self._ledger.db, "sources", "id", read.source, **changes)
        else:
            put(self._ledger.db, "sources", row)
        sql = "INSERT INTO rejects VALUES (?, ?, ?, ?, ?)"
        self._ledger.db.executemany(sql, ((read.source, *reject) for reject in rejects))

    def _put_name(self, read: ReadSource) -> None:
        """Point the name to its content; the content it had before leaves, unless another name holds it."""
        db = self._ledger.db
        row = {
            "name": read.task.stored_name,
            "source": read.source,
            "size": read.size,
            "mtime_ns": read.mtime_ns,
            "inode": read.task.input.inode,
            "whole": int(read.whole),
        }
        put(db, "names", row)
        before = read.task.before
        if read.state == "grown" and read.counts["lines"]:
            # What other names stood for is no longer there under any of them (`Claims.may_grow`).
            db.execute("DELETE FROM names WHERE source = ? AND name <> ?", [read.source, row["name"]])
        if before is None or before.source == read.source:
            return
        if not db.execute("SELECT 1 FROM names WHERE source = ?", [before.source]).fetchone():
            update(db, "sources", "id", before.source, state="leaving")

    def _tell(self, reads: Iterable[ReadSource], runs: Iterable[Run]) -> None:
        for read in reads:
            if read.state == "failed":
                self._report.states["failed"] += 1
                if read.error is not None:
                    self._report.problems.append(read.error)
            elif read.state != "copy":
                same = read.state == "grown" and not read.counts["lines"]
                self._report.states["unchanged" if same else read.state] += 1
                self._report.bytes_read += read.counts["bytes"]
                accounting.add(self._report.counts, read.counts)
                if read.counts["lines"] and accounting.rejected(read.counts) == read.counts["lines"]:
                    note = f"{read.task.input.name}: none of its lines is one of an S3 access log. Is it one?"
                    self._report.notes.append(note)
        self._report.rows += sum(run.rows for run in runs)

    def name_copies(self) -> list[Input]:
        """Commit the names of copies.

        Returns
        -------
        list of Input
            Those whose content is not in the ledger after all: the source that had it could not be read, or
            has grown meanwhile. They are to be read once more.
        """
        copies, self._copies = self._copies, []
        there = [read for read in copies if self._is_there(read)]
        if there:
            with self._ledger.transaction():
                self._ledger.begin_commit("names")
                for read in there:
                    self._put_name(read)
        self._report.states["copy"] += len(there)
        kept = {id(read) for read in there}
        return [read.task.input for read in copies if id(read) not in kept]

    def _is_there(self, read: ReadSource) -> bool:
        sql = (
            "SELECT 1 FROM sources WHERE id = ? AND content_hash = ? AND form = ? AND key IS ? "
            "AND state <> 'replaced'"
        )
        return bool(self._ledger.rows(sql, [read.source, *read.content]))

    def finish(self) -> None:
        """Let content go that no name holds any more."""
        leaving = self._ledger.rows("SELECT id FROM sources WHERE state = 'leaving' ORDER BY id")
        if leaving:
            self._replace(row[0] for row in leaving)

    def _replace(self, numbers: Iterable[int]) -> None:
        from tickline.pipelines.access.compact import daily_from_parts

        gone: list[int] = []
        stay: list[int] = []
        for number in numbers:
            held = self._ledger.rows("SELECT 1 FROM names WHERE source = ?", [number])
            (stay if held else gone).append(number)
        months = self._months_of(gone)
        snapshot = self._ledger.snapshot()
        leaving = snapshot.replaced | frozenset(gone)
        made = {month: daily_from_parts(self._folder, month, leaving) for month in months}
        self._folders.sync()
        old = [part for part in snapshot.daily if part.month in months]
        touched: list[PartFile | NewPart] = [*old, *(part for parts in made.values() for part in parts)]
        days = {day for part in touched for day in range(part.first_day, part.last_day + 1)}
        with self._ledger.transaction() as db:
            commit = self._ledger.begin_commit("replace", days)
            for number in stay:
                update(db, "sources", "id", number, state="live")
            for number in gone:
                update(db, "sources", "id", number, state="replaced")
            if gone:
                self._note_repeats(gone)
                self._ledger.remove_parts(commit, (part.id for part in old))
                for parts in made.values():
                    for part in parts:
                        self._ledger.add_part(commit, part)
                self._ledger.next_epoch()

    def _note_repeats(self, gone: list[int]) -> None:
        """Say so where lines were dropped because a source had them that leaves now."""
        sql = (
            "SELECT count(*) FROM sources s JOIN sources g ON g.id IN (SELECT value FROM json_each(?)) "
            "AND s.first_ms <= g.last_ms AND s.last_ms >= g.first_ms "
            "WHERE s.state = 'live' AND json_extract(s.filtered, '$.repeated') > 0"
        )
        if self._ledger.db.execute(sql, [json.dumps(gone)]).fetchone()[0]:
            self._report.notes.append(
                "Files were changed whose lines others repeat: what was dropped of these as a repeat is not "
                "counted now. To have it counted, ingest all of them into a new store."
            )

    def _months_of(self, numbers: list[int]) -> set[str]:
        """Return the months in which these sources may have rows."""
        months: set[str] = set()
        there = {part.month for part in self._ledger.snapshot().parts}
        for number in numbers:
            row = self._ledger.rows("SELECT first_ms, last_ms FROM sources WHERE id = ?", [number])[0]
            if row["first_ms"] is not None:
                first, last = (month_of(row[name] // 86_400_000) for name in ("first_ms", "last_ms"))
                months |= {month for month in there if first <= month <= last}
        return months


def _known_ones(*times: int | None) -> list[int]:
    return [time for time in times if time is not None]


def _joined(old: Any, counts: dict[str, Any]) -> dict[str, Any]:
    """Add the tail of a grown source to what was counted before; its unfinished line is a whole one now."""
    total = {name: old[name] for name in ("lines", "bytes", "accepted")}
    total |= {name: json.loads(old[name]) for name in ("filtered", "rejected", "noted")}
    total["lines"] -= total["filtered"].pop("unfinished", 0)
    accounting.add(total, counts)
    return total
