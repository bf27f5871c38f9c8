"""The mapped tree of dandi_s3_log_parser: a table for each asset, its regions in place of addresses.

::

    OUT/<dandiset>/<version>/<asset>.tsv           index, timestamp, bytes_sent, region
    OUT/<dandiset>/<version>/version_summary_by_{day,region,asset}.tsv
    OUT/<dandiset>/dandiset_summary_by_{day,region,asset}.tsv
    OUT/archive_summary_by_{day,region}.tsv
    OUT/all_dandiset_totals.json, archive_totals.json
    OUT/names.tsv                                  what is called in another way than in the catalog

``strict`` gives the bytes that the old program gives where they are defined; ``fixed`` counts nothing twice.
`mapped_tables` says what that means for each table, `mapped_names` for names, `mapped_totals` for totals.
Requests are those that the old program keeps: ``REST.GET.OBJECT`` with a status of 2xx.

A later run reads rows of assets with new requests only, and writes only files that have other bytes then.
A kill at any moment leaves whole files, and a record (``OUT/.tickline/tree.sqlite``) of what is left to do.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import TEMPORARY_PREFIX
from tickline.pipelines.access.catalog.catalog import Catalog
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.record import check_out, made_of
from tickline.pipelines.access.mapped.folder import MappedFiles, MappedRecord
from tickline.pipelines.access.mapped.names import MappedNames, listed_names
from tickline.pipelines.access.mapped.plan import MappedPlan
from tickline.pipelines.access.mapped.rows import HEADER, lines_of_contents
from tickline.pipelines.access.mapped.summaries import (
    NAMES,
    NAMES_HEADER,
    archive_tables,
    datasets_of,
    field,
    has_tables,
    rows_of,
    sums_of,
    write_changed,
)
from tickline.pipelines.access.mapped.tables import archive_sums, summary_tables
from tickline.pipelines.access.mapped.totals import (
    ARCHIVE_TOTALS,
    DATASET_TOTALS,
    dataset_totals_of,
    json_bytes,
    totals_of,
)
from tickline.pipelines.access.state import FOLDER, lock
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.trees.files import TreeFiles, remove_files
from tickline.pipelines.access.trees.rows import sources_in_order
from tickline.pipelines.access.trees.tree import TreeReport
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["export_mapped"]

_FORMAT = 1
# Lines of one content that belong into several files are held, or wait in a file without a name.
_HELD_BYTES = 16 * 2**20
_PIECE_BYTES = 2**20


def export_mapped(
    folder: "StoreFolder",
    catalog: Catalog,
    options: SummaryOptions,
    out: Path,
    *,
    compat: str = "fixed",
    progress: Progress | None = None,
) -> TreeReport:
    """Bring a mapped tree up to date.

    Parameters
    ----------
    folder : StoreFolder
        An open store; the caller does not hold ``folder.writing()``, which is taken for requesters without a
        region.
    catalog : Catalog
        Opened with ``versions=True``. Versions without a name are the ``draft``.
    options : SummaryOptions
        `restrict_to` and `exclude_datasets` choose the dandisets; those of earlier runs stay as they are.
        `shared_content` can only be ``all``.
    out : Path
        Made if it does not exist. Files in it that no earlier run wrote stay, unless they have the name of
        one that is written now. The store may lie in ``OUT/.tickline``.
    compat : str
        ``strict`` or ``fixed``, see the top of this module.
    progress : Progress, optional
        Is told how many assets are done, and how many there are to do.

    Returns
    -------
    TreeReport
        In numbers of files.

    Raises
    ------
    UsageError
        The options contradict each other or name a dandiset that is not there, or `out` and the store lie
        within one another.
    TicklineError
        A file of the store or the catalog cannot be used, another run is writing into `out`, sources were
        replaced meanwhile, or the disk is full; a later run goes on.
    """
    options.check()
    if options.shared_content != "all":
        what = "in a mapped tree each dandiset counts what it owns wholly"
        raise UsageError(what, where="shared-content", hint="Leave it out, or choose another profile.")
    if out.resolve() / FOLDER not in folder.path.resolve().parents:
        check_out(out, folder.path)
    if folder.ledger.has_unlabelled():
        from tickline.pipelines.access.regions.regions import label_requesters

        with folder.writing():
            label_requesters(folder)
    descriptor = lock(out)
    try:
        with contextlib.closing(MappedRecord(out)) as record:
            return _Run(folder, catalog, options, out, compat, progress or Progress(), record).run()
    except OSError as error:
        raise explain_os_error(error, out) from error
    finally:
        os.close(descriptor)


class _Run:
    """One run over a tree, whose lock is held."""

    def __init__(
        self,
        folder: "StoreFolder",
        catalog: Catalog,
        options: SummaryOptions,
        out: Path,
        compat: str,
        progress: Progress,
        record: MappedRecord,
    ) -> None:
        self._folder, self._catalog, self._options, self._out = folder, catalog, options, out
        self._compat, self._progress, self._record = compat, progress, record
        self._report = TreeReport()

    def run(self) -> TreeReport:
        """Do what is to be done."""
        # Before anything is read that another run may change: what comes later is done again by the next one.
        commit, epoch = self._folder.ledger.state()
        options = ExportOptions(self._options, "dandi-s3-log-parser", self._compat)
        made = f"{_FORMAT} {made_of(self._folder, commit, epoch, self._catalog.file_sha256, options)}"
        damaged = self._record.find_damage()
        before = self._record.meta()
        documents = json.loads(before.get("documents", "{}"))
        if damaged or before.get("made_of") != made or documents != self._status(documents):
            with MappedPlan(self._folder, self._catalog, self._is_chosen, self._compat) as plan:
                documents = self._bring_up_to_date(plan, before, epoch)
            with self._record.transaction():
                self._record.set_meta({"made_of": made, "documents": json.dumps(documents)})
        self._report.unchanged = self._record.count_files() + len(documents) - self._report.written
        return self._report

    def _is_chosen(self, dataset: str) -> bool:
        chosen = self._options.restrict_to or (dataset,)
        return dataset in chosen and dataset not in self._options.exclude_datasets

    def _status(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return size and time of files, as far as they exist."""
        found = {}
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                status = os.lstat(self._out / name)
                found[name] = [status.st_size, status.st_mtime_ns]
        return found

    def _bring_up_to_date(self, plan: MappedPlan, before: dict[str, str], epoch: int) -> dict[str, list[int]]:
        """Write what is new, and return size and time of the documents."""
        if self._folder.ledger.state()[1] != epoch:
            what = "sources were replaced or regions changed while the store was read"
            raise TicklineError(what, where=str(self._folder.path), hint="Run this again.")
        self._check_datasets({*plan.datasets, *plan.others})
        meta = self._lineage(before)
        names = MappedNames(plan, self._compat, f"{meta['lineage']} {epoch}")
        self._enter(plan, names, meta)
        self._report.removed = remove_files(self._out, self._record.gone())
        self._record.clear_gone()
        for left in self._out.glob(f"{TEMPORARY_PREFIX}*"):
            left.unlink()
        with MappedFiles(self._out, self._record) as files:
            self._write_assets(plan, files)
            self._write_tables(plan, names, files)
            files.flush()
            listed = map(_line, listed_names(self._record))
            ours = NAMES in json.loads(before.get("documents", "{}"))
            files.write_list(NAMES, _line(NAMES_HEADER), listed, ours=ours)
            self._report.written = files.written
        documents = self._documents(plan)
        self._report.written += len(write_changed(self._out, documents))
        return self._status([*documents, NAMES])

    def _check_datasets(self, known: set[str]) -> None:
        for option, names in (
            ("restrict-to", self._options.restrict_to),
            ("exclude-datasets", self._options.exclude_datasets),
        ):
            for name in names:
                if name not in known:
                    hint = f"There are {len(known)}, such as {', '.join(sorted(known)[:3])}."
                    raise UsageError(f"there is no dataset {name[:80]!r}", where=option, hint=hint)

    # ---- the record ------------------------------------------------------------------------------

    def _lineage(self, before: dict[str, str]) -> dict[str, str]:
        """Return what the record is to say of the store.

        As long as the lineage stays, contents only get more rows: their number tells whether a file is old.
        """
        ledger = self._folder.ledger
        commit = ledger.state()[0]
        # Only there rows of the same second stand in the order of the logs.
        order = [source for source, _ in sources_in_order(self._folder)] if self._compat == "strict" else []
        now = {"store": self._folder.settings.store_id, "form": f"{_FORMAT} {self._compat}"}
        if self._compat == "strict":
            # Labels are then made of these, and not those of the ledger.
            now["regions"] = f"{ledger.snapshots()} {self._folder.keeps_addresses()}"
        same = (
            all(before.get(name) == value for name, value in now.items())
            and self._made_ms(int(before["commit"])) == before["made_ms"]
            and _digest(order, int(before["newest"])) == before["order"]
        )
        newest = max(order, default=0)
        return now | {
            "lineage": before["lineage"] if same else str(int(before.get("lineage", "0")) + 1),
            "commit": str(commit),
            "made_ms": self._made_ms(commit),
            "newest": str(newest),
            "order": _digest(order, newest),
        }

    def _made_ms(self, commit: int) -> str:
        rows = self._folder.ledger.rows("SELECT made_ms FROM commits WHERE id = ?", [commit])
        return str(rows[0][0]) if rows else ""

    def _enter(self, plan: MappedPlan, names: MappedNames, meta: dict[str, str]) -> None:
        """Note who is to have files, under which names, and put what is to be made into the plan."""
        record = self._record
        with record.transaction():
            run = int(record.meta().get("run", "0")) + 1
            record.put(names.subjects(), run, pending=False)
            for dataset in plan.others:
                record.keep(dataset, run)
            record.drop_unseen(run)
            record.settle_names()
            record.set_meta({**meta, "run": str(run), "made_of": ""})
        plan.run("CREATE TABLE pending(id VARCHAR)")
        for ids in record.pending():
            plan.insert("pending", {"id": ids})
        plan.run("CREATE TABLE files AS SELECT content, id FROM assets JOIN pending USING (id)")

    # ---- files -----------------------------------------------------------------------------------

    def _write_assets(self, plan: MappedPlan, files: TreeFiles) -> None:
        """Write the tables of the assets that have other rows than before."""
        total = next(plan.rows("SELECT count(DISTINCT content) FROM files"))[0]
        wanted = groupby(plan.rows("SELECT content, id FROM files ORDER BY content, id"), key=itemgetter(0))
        found = lines_of_contents(plan, self._compat)
        for done, (content, rows) in enumerate(wanted):
            self._progress.reach(done, total)
            number, lines = next(found, (None, iter(())))
            if number != content:
                what = "the rows of the store and its daily sums contradict each other"
                raise TicklineError(what, where=str(self._folder.path), hint="Run tickline access verify.")
            self._write_lines(files, [row[1] for row in rows], lines)
        self._progress.reach(total, total)

    def _write_lines(self, files: TreeFiles, ids: list[str], lines: Iterator[memoryview]) -> None:
        """Write the lines of one content into the files of all of its places."""
        if len(ids) == 1:
            self._write_file(files, ids[0], HEADER, lines)
            return
        with tempfile.SpooledTemporaryFile(_HELD_BYTES, dir=str(self._out / FOLDER)) as spool:
            for piece in lines:
                spool.write(piece)
            for one in ids:
                spool.seek(0)
                self._write_file(files, one, HEADER, iter(lambda: spool.read(_PIECE_BYTES), b""))

    def _write_file(
        self, files: TreeFiles, number: str, head: bytes, pieces: "Iterable[bytes | memoryview]"
    ) -> None:
        files.begin(self._record.entry(number), [head])
        for piece in pieces:
            files.write([piece])
        files.finish()

    def _write_tables(self, plan: MappedPlan, names: MappedNames, files: TreeFiles) -> None:
        for table in summary_tables(plan, self._compat):
            subject = names.table(table.dataset, table.version, table.column)
            self._write_file(files, subject.id, b"", _larger(rows_of(table.column, table.rows)))

    def _documents(self, plan: MappedPlan) -> dict[str, bytes]:
        """Return tables and totals of the archive, and totals of all dandisets, by name."""
        folders = [folder for folder in datasets_of(self._out) if has_tables(folder)]
        if self._compat == "strict":
            days, regions = sums_of(folders, self._out)
        else:
            days, regions = archive_sums(plan)
        return {
            **archive_tables(days, regions),
            DATASET_TOTALS: json_bytes(dataset_totals_of(self._out, folders, self._compat)),
            ARCHIVE_TOTALS: json_bytes(totals_of(regions, self._compat)),
        }


def _larger(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give lines as larger pieces."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _line(fields: Iterable[str]) -> bytes:
    return ("\t".join(map(field, fields)) + "\n").encode()


def _digest(order: Iterable[int], newest: int) -> str:
    """Return a hash of the order of the sources up to one."""
    kept = [source for source in order if source <= newest]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()
