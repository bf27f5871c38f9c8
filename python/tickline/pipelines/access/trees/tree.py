"""Trees of files that hold addresses: a folder written so that a later run touches only what is new.

What a tree is made from says `Contents`; what stands in it, and what is still to be done, its record
(`export_tree_record`). A run goes like this:

1. which subjects (keys or sources) may have other files than before: those of days with new rows, or all of
   them where sums did not only grow, where another store or an earlier state of it is behind, where sources
   changed their order, or where the tree was made with other options;
2. their names, and what therefore has another name now; all of that in one transaction;
3. files that are gone are removed; then the others are made, and those with other bytes than before written.

A kill at any moment leaves whole files, and a record of what is left to do.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.pipelines.access.reduce.rejects import escape
from tickline.pipelines.access.state import FOLDER, lock
from tickline.pipelines.access.trees.files import TreeFiles, make_private, remove_files, stands
from tickline.pipelines.access.trees.names import LIST
from tickline.pipelines.access.trees.record import Entry, Subject, TreeRecord
from tickline.pipelines.access.trees.rows import sources_in_order
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Contents", "Pieces", "TreeReport", "write_tree"]

# More than these, and reading everything is no slower.
_MOST_PENDING = 500_000


@dataclass(slots=True)
class TreeReport:
    """What an export of a tree did, in numbers of files: there may be millions."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Pieces:
    """The next bytes of each file of one subject."""

    id: str
    pieces: "list[bytes | memoryview]"


class Contents(Protocol):
    """What a tree is made from.

    Attributes
    ----------
    form : str
        The layout with its version and options: another one makes all files anew.
    suffixes : tuple of str
        Of the files of each subject. Either all begin with ``/`` (files in a folder of its name), or none.
    heads : sequence of bytes
        What each file begins with.
    empty : sequence of bytes, optional
        The files of a subject that has no rows; None if it has no files then.
    by_days : bool
        Whether `subjects` gives those of some days. If not it always gives all, with versions.
    listed : str
        What subjects are called in ``names.tsv``.
    """

    form: str
    suffixes: tuple[str, ...]
    heads: Sequence[bytes]
    empty: Sequence[bytes] | None
    by_days: bool
    listed: str

    def subjects(self, days: set[int] | None) -> Iterator[Subject]:
        """Give the subjects that have rows on some days (since 1970); all for None."""

    def pieces(self, ids: list[str] | None) -> Iterator[Pieces]:
        """Give the rows of some subjects, or of all; those of one come right behind one another."""

    def shown(self, entry: Entry) -> str:
        """Return what a subject is called in ``names.tsv``."""


def write_tree(
    folder: "StoreFolder", root: Path, contents: Contents, progress: Progress | None = None
) -> TreeReport:
    """Bring a tree up to date.

    Parameters
    ----------
    folder : StoreFolder
        An open store that keeps addresses.
    root : pathlib.Path
        Made if it does not exist; in any case only its owner may enter it afterwards. Files in it that no
        earlier run wrote stay, unless they have the name of one that is written now.
    contents : Contents
        What it is made from.
    progress : Progress, optional
        Is told how many subjects are done, and how many there are to do.

    Raises
    ------
    UsageError
        The store has no addresses (any more), or tree and store lie within one another.
    TicklineError
        Another run is writing into the tree, sources were replaced meanwhile, or the disk is full; a later
        run goes on.
    """
    _check(folder, root)
    try:
        make_private(root)
        # There may be a folder of that name from before.
        root.chmod(0o700)
        make_private(root / FOLDER)
        with _Run(folder, root, contents, progress or Progress()) as run:
            return run.run()
    except OSError as error:
        raise explain_os_error(error, root) from error


def _check(folder: "StoreFolder", root: Path) -> None:
    where = str(folder.path)
    if not folder.settings.addresses:
        what = "this store keeps no addresses, so it cannot give trees that hold them"
        raise UsageError(what, where=where, hint="Leave --with-addresses out.")
    if folder.ledger.meta("addresses_forgotten"):
        what = "the addresses of this store were forgotten, so it cannot give trees that hold them"
        hint = "Leave --with-addresses out; trees that were made before still hold them."
        raise UsageError(what, where=where, hint=hint)
    place, store = root.resolve(), folder.path.resolve()
    if place == store or store in place.parents:
        hint = "Choose a folder outside of the store."
        raise UsageError("the tree lies within the store", where=str(root), hint=hint)
    # Where the tree is all that there is, its store may lie with its record.
    if place in store.parents and place / FOLDER not in store.parents:
        hint = f"Choose a folder of its own, or have the store in {place / FOLDER}."
        raise UsageError("the store lies within the tree", where=str(root), hint=hint)


class _Run:
    """One run over a tree; holds its lock."""

    def __init__(self, folder: "StoreFolder", root: Path, contents: Contents, progress: Progress) -> None:
        self._folder, self._root, self._contents, self._progress = folder, root, contents, progress
        self._report = TreeReport()
        self._lock = lock(root)
        try:
            os.fchmod(self._lock, 0o600)
            self._record = TreeRecord(root, contents.suffixes)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> "_Run":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._record.close()
        os.close(self._lock)

    def run(self) -> TreeReport:
        """Do what is to be done."""
        before = self._record.meta()
        # Before anything is read that another run may change: what comes later is then done again.
        made_of = self._made_of(before)
        days = self._days(before, made_of)
        is_new = days is None or (made_of["commit"] != before["commit"] and not self._contents.by_days)
        self._find_damage()
        if is_new or days or self._record.count(pending=True):
            self._enter(days, before, is_new=is_new)
            self._remove_gone()
            with TreeFiles(self._root, self._contents.suffixes, self._record) as files:
                self._write(files, everything=days is None)
                self._write_names(files)
                self._report.written = files.written
        files_in_all = self._record.count_files() + (self._record.meta().get("list") == "written")
        self._report.unchanged = files_in_all - self._report.written
        if self._folder.ledger.state()[1] != int(made_of["epoch"]):
            what = "sources were replaced or regions changed while the tree was written"
            raise TicklineError(what, where=str(self._folder.path), hint="Run this again.")
        with self._record.transaction():
            self._record.set_meta(made_of)
        return self._report

    # ---- what is new -------------------------------------------------------------------------------------

    def _made_of(self, before: dict[str, str]) -> dict[str, str]:
        """Return what decides the files: the state of the store, and the options."""
        commit, epoch = self._folder.ledger.state()
        found = {
            "store": self._folder.settings.store_id,
            "form": self._contents.form,
            "commit": str(commit),
            "made_ms": self._made_ms(commit),
            "epoch": str(epoch),
        }
        if all(before.get(name) == value for name, value in found.items()):
            return before
        order = [source for source, _ in sources_in_order(self._folder)]
        newest = max(order, default=0)
        return {**found, "newest": str(newest), "order": _digest(order, newest)}

    def _made_ms(self, commit: int) -> str:
        # A ledger that was put back from a backup comes to the same number by another way.
        rows = self._folder.ledger.rows("SELECT made_ms FROM commits WHERE id = ?", [commit])
        return str(rows[0][0]) if rows else ""

    def _days(self, before: dict[str, str], made_of: dict[str, str]) -> set[int] | None:
        """Return the days with rows that the tree does not hold; None if everything is to be compared."""
        if before == made_of:
            return set()
        if any(before.get(name) != made_of[name] for name in ("store", "form", "epoch")):
            return None
        commit, newest = int(before["commit"]), int(before["newest"])
        if commit > int(made_of["commit"]) or self._made_ms(commit) != before["made_ms"]:
            return None
        # A copy under another name may have changed the order of sources, and so that of rows.
        order = [source for source, _ in sources_in_order(self._folder)]
        return self._folder.ledger.days_since(commit) if _digest(order, newest) == before["order"] else None

    def _find_damage(self) -> None:
        """Have files made again that are no longer there as they were written."""
        damaged: list[str] = []
        for entry in self._record.with_files():
            paths = (self._root / (entry.name + suffix) for suffix in self._contents.suffixes)
            if not all(map(stands, paths, entry.files)):
                damaged.append(entry.id)
        if damaged:
            with self._record.transaction():
                self._record.set_pending(damaged)

    def _enter(self, days: set[int] | None, before: dict[str, str], *, is_new: bool) -> None:
        """Note who is to have files, and under which names."""
        record, run = self._record, int(before.get("run", "0"))
        with record.transaction():
            if is_new:
                run += 1
                record.put(self._contents.subjects(None), run, pending=days is None)
                record.drop_unseen(run)
            elif days:
                record.put(self._contents.subjects(days), run, pending=True)
            record.set_meta({"run": str(run)})
            record.settle_names()

    # ---- files -------------------------------------------------------------------------------------------

    def _remove_gone(self) -> None:
        self._report.removed += remove_files(self._root, self._record.gone())
        self._record.clear_gone()

    def _write(self, files: TreeFiles, *, everything: bool) -> None:
        """Make the files of all that are pending."""
        total, done = self._record.count(pending=True), 0
        some = None
        if not everything and total <= _MOST_PENDING:
            some = [one for ids in self._record.pending() for one in ids]
        current = ""
        for piece in self._contents.pieces(some):
            if piece.id != current:
                files.finish()
                current = piece.id
                # What came into the store since its subjects were noted comes with the next run.
                files.begin(self._record.entry(piece.id), self._contents.heads)
                self._progress.reach(done, total)
                done += 1
            files.write(piece.pieces)
        files.finish()
        files.flush()
        if self._contents.empty is None:
            with self._record.transaction():
                self._record.drop_files()
            self._remove_gone()
        else:
            for ids in self._record.pending():
                for one in ids:
                    files.begin(self._record.entry(one), self._contents.empty)
                    files.finish()
            files.flush()
        self._progress.reach(total, total)

    def _write_names(self, files: TreeFiles) -> None:
        """List what is not called what it wants to be."""
        is_folder = self._contents.suffixes[0].startswith("/")
        suffix = "" if is_folder else self._contents.suffixes[0]
        lines = (
            f"{escape(entry.name + suffix)}\t{escape(self._contents.shown(entry))}\n".encode()
            for entry in self._record.marked()
        )
        head = f"{'folder' if is_folder else 'file'}\t{self._contents.listed}\n".encode()
        # A file of that name that no run wrote is nobody's to remove.
        ours = self._record.meta().get("list") == "written"
        written = files.write_list(LIST, head, lines, ours=ours)
        with self._record.transaction():
            self._record.set_meta({"list": "written" if written else "none"})


def _digest(order: Iterable[int], newest: int) -> str:
    """Return a hash of the order of the sources up to one."""
    return hashlib.sha256(json.dumps([source for source in order if source <= newest]).encode()).hexdigest()
