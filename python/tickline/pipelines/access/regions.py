"""Regions of requesters: snapshot files in the store, and the labels that they give.

The files are copied into the store, so that every label can be traced to the bytes it came from. An address
gets its label from: networks of all lists and, behind them, bogons, by longest prefix (of equal ones the
first) or by order in the list; then the databases of MaxMind in list order; then it is ``unknown``.
"""

import contextlib
import hashlib
import ipaddress
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error, printable
from tickline.files import Folders, WholeFile, remove_temporary
from tickline.ip import MODES
from tickline.pipelines.access.bogons import bogon_networks
from tickline.pipelines.access.region_labels import BOGON, MISSING, UNKNOWN
from tickline.pipelines.access.region_mmdb import open_mmdb, record_label
from tickline.pipelines.access.region_sources import RegionFile, Wanted, chunks_of, parse, read_region_file
from tickline.store.ledger import RegionSnapshot, unsigned
from tickline.store.ledger_schema import put, update

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["LabelCounts", "Labeler", "Report", "label_requesters", "update_regions"]

_FOLDER = "regions"
_BATCH = 50_000
_UPDATE_HINT = "Give the file again: tickline access regions update."


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
            if _hash_of(store / new.file) != new.hash:
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


def _hash_of(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


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


class Labeler:
    """Labels of addresses by the current snapshots of a store; close it, or use it with ``with``.

    Raises
    ------
    TicklineError
        A snapshot file is missing or is not the one that was given, or maxminddb is not installed.
    """

    def __init__(self, folder: "StoreFolder") -> None:
        self._readers: list[tuple[int, Any, str]] = []
        self._names: list[tuple[str, int | None]] = []
        try:
            self._table = self._load_all(folder)
        except BaseException:
            self.close()
            raise

    def _load_all(self, folder: "StoreFolder") -> _core.RangeTable:
        networks: list[str] = []
        numbers = array("i")
        for snapshot in folder.ledger.snapshots():
            path = folder.path / snapshot.file
            if snapshot.kind == "mmdb":
                _verify(snapshot, path, _existing_hash(path))
                self._readers.append((snapshot.id, open_mmdb(path, str(path)), str(path)))
            else:
                found = _load(snapshot, path)
                networks += found.networks
                numbers.extend(self._numbers(found.labels, snapshot.id))
        networks += bogon_networks()
        numbers.extend(self._numbers([BOGON] * len(bogon_networks()), None))
        first_wins = folder.ledger.meta("region_order") == "first-wins"
        return _core.RangeTable(networks, numbers, first_wins=first_wins)

    def _numbers(self, labels: Sequence[str], snapshot: int | None) -> Iterator[int]:
        """Give each pair of label and snapshot a number."""
        known: dict[str, int] = {}
        for label in labels:
            if (number := known.get(label)) is None:
                number = known[label] = len(self._names)
                self._names.append((label, snapshot))
            yield number

    def labels(self, addresses: Sequence[str | None]) -> tuple[list[str], list[int | None]]:
        """Return label and snapshot id of each address; each distinct one is looked up once.

        Parameters
        ----------
        addresses : sequence of (str or None)
            None means that the address is not known.

        Returns
        -------
        labels : list of str
            ``missing`` for None, ``unknown`` if no snapshot knows the address, or it is none.
        snapshots : list of (int or None)
            None for ``missing`` and ``unknown``, and for ``bogon`` by the built-in list.
        """
        distinct = [address for address in dict.fromkeys(addresses) if address is not None]
        found: dict[str | None, tuple[str, int | None]] = {None: (MISSING, None)}
        for address, number in zip(distinct, array("i", self._table.find(distinct)), strict=True):
            if number >= 0:
                found[address] = self._names[number]
            else:
                # -2: not an address at all
                found[address] = (number == -1 and self._by_database(address)) or (UNKNOWN, None)
        pairs = [found[address] for address in addresses]
        return [label for label, _ in pairs], [snapshot for _, snapshot in pairs]

    def _by_database(self, text: str) -> tuple[str, int] | None:
        if not self._readers:
            return None
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text)
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or address
        for snapshot, reader, path in self._readers:
            if address.version > reader.metadata().ip_version:
                continue
            try:
                label = record_label(reader.get(address))
            except Exception as error:
                # A damaged database can make the reader raise nearly anything; the address is not shown.
                what = f"its MaxMind database is damaged ({type(error).__name__})"
                raise SourceError(what, where=path, hint=_UPDATE_HINT) from None
            if label is not None:
                return label, snapshot
        return None

    def close(self) -> None:
        """Close the databases; more than once is harmless."""
        while self._readers:
            self._readers.pop()[1].close()

    def __enter__(self) -> "Labeler":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _existing_hash(path: Path) -> str | None:
    try:
        return _hash_of(path)
    except OSError as error:
        raise explain_os_error(error, path) from error


def _verify(snapshot: RegionSnapshot, path: Path, found: str | None) -> None:
    if found is None:
        what = f"the region snapshot {snapshot.name} is missing"
        raise TicklineError(what, where=str(path), hint=_UPDATE_HINT)
    if found != snapshot.hash:
        what = f"the region snapshot {snapshot.name} is not the file that was given"
        raise TicklineError(what, where=str(path), hint=_UPDATE_HINT)


def _load(snapshot: RegionSnapshot, path: Path) -> RegionFile:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = None
    except OSError as error:
        raise explain_os_error(error, path) from error
    _verify(snapshot, path, None if content is None else hashlib.sha256(content).hexdigest())
    return parse(content or b"", Wanted(str(path), snapshot.label))


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
    with contextlib.closing(Labeler(folder)) as labeler:
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


def _label_again(folder: "StoreFolder", labeler: Labeler, batch: Sequence[_Labelled]) -> int:
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
