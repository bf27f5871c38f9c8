"""Regions of requesters: snapshot files in the store, and the labels that they give.

The files are copied into the store, so that every label can be traced to the bytes it came from;
`region_lookup` says which label an address gets.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import SourceError, UsageError, explain_os_error, printable
from tickline.files import Folders, WholeFile, remove_temporary, sha256_of
from tickline.ip import MODES
from tickline.pipelines.access.region_sources import DEFAULT_LABEL, Wanted, chunks_of, read_region_file
from tickline.store.ledger import RegionSnapshot, unsigned
from tickline.store.ledger_schema import put, update

if TYPE_CHECKING:
    from tickline.pipelines.access.region_lookup import Labeler
    from tickline.store.folder import StoreFolder

__all__ = ["LabelCounts", "Report", "in_use", "label_requesters", "update_regions"]

_FOLDER = "regions"
_BATCH = 50_000


@dataclass(slots=True)
class Report:
    """What `update_regions` did.

    Attributes
    ----------
    snapshots : list of RegionSnapshot
        What is in use now, in list order.
    networks : list of int
        How many networks each of them holds; 0 for a database of MaxMind.
    added : int
        How many of them the store did not have.
    order : str
        ``longest-prefix`` or ``first-wins``.
    """

    snapshots: list[RegionSnapshot] = field(default_factory=list)
    networks: list[int] = field(default_factory=list)
    added: int = 0
    order: str = MODES[0]


@dataclass(frozen=True, slots=True)
class _New:
    """A file that was read and found good; its networks are not held."""

    wanted: Wanted
    kind: str
    label: str | None
    date: str | None
    hash: str
    networks: int

    @property
    def file(self) -> str:
        return f"{_FOLDER}/{self.hash[:16]}-{self.kind}"


def update_regions(folder: "StoreFolder", sources: Sequence[str], *, order: str = MODES[0]) -> Report:
    """Make these files the region snapshots of a store, in this order; the ones of before are no longer used.

    Labels that requesters have already stay as they are (see `label_requesters`).

    Parameters
    ----------
    folder : StoreFolder
        An open store; the caller holds ``folder.writing()``.
    sources : sequence of str
        ``FILE`` or ``LABEL=FILE``; `tickline.pipelines.access.region_sources` says what they may be.
    order : str
        ``longest-prefix`` or ``first-wins``.

    Returns
    -------
    Report
        What is in use now.

    Raises
    ------
    UsageError
        Nothing is named, the same content twice, or an option is wrong.
    SourceError
        A file cannot be used. Nothing was changed then.
    """
    if order not in MODES:
        raise UsageError(f"{order!r} is no order", where="order", hint=f"Choose from: {', '.join(MODES)}.")
    if not sources:
        raise UsageError("no file is named", where="source", hint="Name at least one FILE or LABEL=FILE.")
    files = _read_all([Wanted.from_text(text) for text in sources])
    _copy_all(folder.path, files)
    added = _record(folder, files, order)
    return Report(folder.ledger.snapshots(), [new.networks for new in files], added, order)


def in_use(folder: "StoreFolder", sources: Sequence[str], *, order: str = MODES[0]) -> bool:
    """Tell whether `update_regions` would change nothing: then the files need not be understood again."""
    snapshots = folder.ledger.snapshots()
    if len(snapshots) != len(sources) or (folder.ledger.meta("region_order") or MODES[0]) != order:
        return False
    for shot, text in zip(snapshots, sources, strict=True):
        wanted = Wanted.from_text(text)
        label = (wanted.label or DEFAULT_LABEL) if shot.kind == "list" else wanted.label
        if (shot.label, shot.name) != (label, printable(Path(wanted.path).name)):
            return False
        digest = hashlib.sha256()
        for chunk in chunks_of(wanted.path):
            digest.update(chunk)
        if digest.hexdigest() != shot.hash or sha256_of(folder.path / shot.file) != shot.hash:
            return False
    return True


def _read_all(wanted: Iterable[Wanted]) -> list[_New]:
    files: dict[tuple[str, str | None], _New] = {}
    for one in wanted:
        found = read_region_file(one)
        new = _New(one, found.kind, found.label, found.date, found.hash, len(found.networks))
        if (before := files.setdefault((new.hash, new.label), new)) is not new:
            what = f"has the content of {printable(before.wanted.path)}"
            raise UsageError(what, where=one.path, hint="Name each source once.")
    return list(files.values())


def _copy_all(store: Path, files: Iterable[_New]) -> None:
    folders = Folders()
    try:
        folders.make(store / _FOLDER)
        remove_temporary(store / _FOLDER)
        for new in files:
            if sha256_of(store / new.file) != new.hash:
                _copy(new, store / new.file, folders)
        folders.sync()
    except OSError as error:
        raise explain_os_error(error, store / _FOLDER) from error


def _copy(new: _New, target: Path, folders: Folders) -> None:
    """Copy the decompressed content, if it still is what was read before."""
    sink = WholeFile(target, folders)
    try:
        digest = hashlib.sha256()
        for chunk in chunks_of(new.wanted.path):
            digest.update(chunk)
            sink.write(chunk)
        if digest.hexdigest() != new.hash:
            hint = "Run it again when its writer has finished."
            raise SourceError("changed while it was read", where=new.wanted.path, hint=hint)
        sink.commit()
    finally:
        sink.abort()


def _record(folder: "StoreFolder", files: Sequence[_New], order: str) -> int:
    """Write the list into the ledger; content that was there before keeps its id."""
    added = 0
    with folder.ledger.transaction() as db:
        known = {
            (row["kind"], row["hash"], row["label"]): row["id"]
            for row in db.execute("SELECT id, kind, hash, label FROM snapshots")
        }
        for (number,) in db.execute("SELECT id FROM snapshots WHERE current").fetchall():
            update(db, "snapshots", "id", number, current=0)
        for position, new in enumerate(files):
            name = printable(Path(new.wanted.path).name)
            number = known.get((new.kind, new.hash, new.label))
            if number is not None:
                update(db, "snapshots", "id", number, position=position, name=name, current=1)
                continue
            number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM snapshots").fetchone()[0]
            row = {"id": number, "position": position, "kind": new.kind, "name": name, "label": new.label}
            put(db, "snapshots", {**row, "date": new.date, "hash": new.hash, "file": new.file, "current": 1})
            added += 1
        db.execute("INSERT OR REPLACE INTO meta VALUES ('region_order', ?)", [order])
    return added


@dataclass(slots=True)
class LabelCounts:
    """What `label_requesters` did, in numbers of requesters.

    Attributes
    ----------
    labelled : int
        Had no label before.
    changed : int
        Have another label than before (`relabel`).
    """

    labelled: int = 0
    changed: int = 0


def label_requesters(folder: "StoreFolder", *, relabel: bool = False) -> LabelCounts:
    """Give a label to every requester that has none; the caller holds ``folder.writing()``.

    A label that was given stays, whatever snapshots come, so that what was published does not change.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    relabel : bool
        Also look up all others anew whose address is still known. Where a label changes, results that were
        computed before are declared void (`Ledger.next_epoch`).

    Raises
    ------
    TicklineError
        A snapshot file is missing or damaged. What was labelled before stays.
    """
    counts = LabelCounts()
    unlabelled = folder.ledger.unlabelled()
    if not unlabelled and not relabel:
        return counts
    # Not at the top: most runs have nobody new to look up.
    from tickline.pipelines.access.region_lookup import Labeler

    with Labeler(folder) as labeler:
        if relabel:
            for batch in _labelled(folder):
                counts.changed += _label_again(folder, labeler, batch)
        for begin in range(0, len(unlabelled), _BATCH):
            ids = unlabelled[begin : begin + _BATCH]
            labels, snapshots = labeler.labels(folder.pseudonyms().addresses(ids))
            with folder.ledger.transaction():
                folder.ledger.set_labels(zip(ids, labels, snapshots, strict=True))
            counts.labelled += len(ids)
    return counts


_Labelled = tuple[int, str, int | None]


def _labelled(folder: "StoreFolder") -> Iterator[list[_Labelled]]:
    """Yield id, label and snapshot of the requesters that have a label, in batches."""
    last = 0
    sql = (
        "SELECT number, id, label, snapshot FROM requesters WHERE number > ? AND label IS NOT NULL "
        "ORDER BY number LIMIT ?"
    )
    while rows := folder.ledger.rows(sql, [last, _BATCH]):
        last = rows[-1]["number"]
        yield [(unsigned(row["id"]), row["label"], row["snapshot"]) for row in rows]


def _label_again(folder: "StoreFolder", labeler: "Labeler", batch: Sequence[_Labelled]) -> int:
    """Look a batch up anew; change of a label and declaration of a new epoch are one transaction."""
    addresses = folder.pseudonyms().addresses([number for number, _, _ in batch])
    labels, snapshots = labeler.labels(addresses)
    new = [
        ((number, label, snapshot), label != old, (label, snapshot) != (old, old_snapshot))
        for (number, old, old_snapshot), address, label, snapshot in zip(
            batch, addresses, labels, snapshots, strict=True
        )
        if address is not None
    ]
    changed = sum(differs for _, differs, _ in new)
    with folder.ledger.transaction():
        folder.ledger.set_labels(row for row, _, any_change in new if any_change)
        if changed:
            folder.ledger.next_epoch()
    return changed
