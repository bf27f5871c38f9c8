"""Regions of requesters: snapshot files in the store, and the labels that they give.

The files are copied into the store, so that every label can be traced to the bytes it came from;
`region_lookup` says which label an address gets. Caches that say of single requesters where they are lie
under ``private/``, and are forgotten with the addresses.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import SourceError, UsageError, explain_os_error, printable
from tickline.files import Folders, WholeFile, remove_temporary, sha256_of
from tickline.ip import MODES
from tickline.pipelines.access.regions.file import CACHES, RegionFile
from tickline.pipelines.access.regions.labels import UNDETERMINED
from tickline.pipelines.access.regions.sources import (
    DEFAULT_LABEL,
    IPINFO,
    SERVICES,
    Wanted,
    chunks_of,
    read_region_file,
)
from tickline.store.ledger import RegionSnapshot
from tickline.store.ledger_schema import put, update

if TYPE_CHECKING:
    from tickline.clients.http import HttpClient
    from tickline.pipelines.access.regions.lookup import Labeler
    from tickline.pipelines.access.regions.requesters import Requester
    from tickline.pipelines.access.regions.services import Known
    from tickline.store.folder import StoreFolder

__all__ = ["ADDRESS_HASHES", "LabelCounts", "Report", "in_use", "label_requesters", "update_regions"]

ADDRESS_HASHES = ("sha1-salted",)
"""How keys of caches were made: SHA-1 of the address and the salt of ``IP_HASH_SALT``."""

_FOLDER = "regions"
_PRIVATE = "private"
_BATCH = 50_000
# The copy of a source that is no file: its row in the ledger names a file and a hash as all others do.
_ASKED = b"ipinfo.io\n"


@dataclass(slots=True)
class Report:
    """What `update_regions` did.

    Attributes
    ----------
    snapshots : list of RegionSnapshot
        What is in use now, in list order.
    networks : list of int
        How many networks (of a cache: entries) each of them holds; 0 for a database of MaxMind and ipinfo.
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
        return f"{_PRIVATE if self.kind in CACHES else _FOLDER}/{self.hash[:16]}-{self.kind}"

    def chunks(self) -> Iterator[bytes]:
        """Yield the decompressed content."""
        return iter([_ASKED]) if self.wanted.asks else chunks_of(self.wanted.path)


def update_regions(
    folder: "StoreFolder",
    sources: Sequence[str],
    *,
    order: str = MODES[0],
    address_hash: str | None = None,
    client: "HttpClient | None" = None,
) -> Report:
    """Make these sources the region snapshots of a store, in this order; those of before are out of use.

    Labels that requesters have already stay as they are (see `label_requesters`). Lists are fetched here, and
    only here; `tickline.pipelines.access.regions.ipinfo` asks for single addresses.

    Parameters
    ----------
    folder : StoreFolder
        An open store; the caller holds ``folder.writing()``.
    sources : sequence of str
        ``FILE``, ``https://...``, ``aws``, ``gcp``, ``github``, ``vpn``, each with ``LABEL=`` or without; or
        ``ipinfo``. `tickline.pipelines.access.regions.sources` says what the files may be.
    order : str
        ``longest-prefix`` or ``first-wins``.
    address_hash : str, optional
        ``sha1-salted`` where a cache of hashes is among the sources.
    client : HttpClient, optional
        Fetches lists; without one, an own one does.

    Returns
    -------
    Report
        What is in use now.

    Raises
    ------
    UsageError
        Nothing is named, the same content twice, or an option is wrong.
    TicklineError
        A source cannot be used, or a server gave nothing that can be. Nothing was changed then.
    """
    if order not in MODES:
        raise UsageError(f"{order!r} is no order", where="order", hint=f"Choose from: {', '.join(MODES)}.")
    if address_hash is not None and address_hash not in ADDRESS_HASHES:
        hint = f"Choose from: {', '.join(ADDRESS_HASHES)}."
        raise UsageError(f"{address_hash!r} is none", where="address_hash", hint=hint)
    if not sources:
        hint = f"Name at least one FILE, LABEL=FILE, URL, or {', '.join([*SERVICES, IPINFO])}."
        raise UsageError("no file is named", where="source", hint=hint)
    from tickline.pipelines.access.regions.services import fetched

    with fetched(folder, [Wanted.from_text(text) for text in sources], client) as (wanted, answers):
        files = _read_all(folder, wanted, address_hash)
        _copy_all(folder.path, files)
        added = _record(folder, files, order, answers)
    return Report(folder.ledger.snapshots(), [new.networks for new in files], added, order)


def in_use(folder: "StoreFolder", sources: Sequence[str], *, order: str = MODES[0]) -> bool:
    """Tell whether `update_regions` would change nothing: then the files need not be understood again.

    Never if a list must be fetched to know.
    """
    snapshots = folder.ledger.snapshots()
    if len(snapshots) != len(sources) or (folder.ledger.meta("region_order") or MODES[0]) != order:
        return False
    for shot, text in zip(snapshots, sources, strict=True):
        wanted = Wanted.from_text(text)
        label = (wanted.label or DEFAULT_LABEL) if shot.kind == "list" else wanted.label
        if wanted.url is not None or (shot.label, shot.name) != (label, wanted.name):
            return False
        digest = hashlib.sha256()
        for chunk in _New(wanted, shot.kind, None, None, "", 0).chunks():
            digest.update(chunk)
        if digest.hexdigest() != shot.hash or sha256_of(folder.path / shot.file) != shot.hash:
            return False
    return True


def _read_all(folder: "StoreFolder", wanted: Iterable[Wanted], address_hash: str | None) -> list[_New]:
    files: dict[tuple[str, str | None], _New] = {}
    for one in wanted:
        found = _ipinfo(folder, one) if one.asks else read_region_file(one)
        if found.kind in CACHES:
            _check_cache(folder, found, one, address_hash)
        new = _New(one, found.kind, found.label, found.date, found.hash, len(found.networks))
        if (before := files.setdefault((new.hash, new.label), new)) is not new:
            what = f"has the content of {printable(before.wanted.where)}"
            raise UsageError(what, where=one.where, hint="Name each source once.")
    if address_hash is not None and not any(new.kind == "hashes" for new in files.values()):
        hint = "Name ip_hash_to_region.yaml among the sources, or leave --address-hash out."
        raise UsageError("no source has hashed addresses", where="address_hash", hint=hint)
    return list(files.values())


def _ipinfo(folder: "StoreFolder", wanted: Wanted) -> RegionFile:
    if wanted.label is not None:
        hint = "Only lists of networks take LABEL=FILE."
        raise UsageError(f"the label {wanted.label} is given to a service", where=IPINFO, hint=hint)
    if not folder.keeps_addresses():
        what = "this store keeps no addresses, so nobody can be asked for later"
        raise UsageError(what, where=IPINFO, hint="Name lists and databases: they are looked up at once.")
    return RegionFile(IPINFO, hash=hashlib.sha256(_ASKED).hexdigest())


def _check_cache(folder: "StoreFolder", found: RegionFile, wanted: Wanted, address_hash: str | None) -> None:
    from tickline.pipelines.access.regions.hashed import Cache, refuse_other_salt
    from tickline.pipelines.access.regions.salt import ENVIRONMENT, load_salt

    if not folder.keeps_addresses():
        what = "says of single addresses where they are, and this store keeps no addresses"
        raise UsageError(what, where=wanted.where, hint="Name lists of networks or databases.")
    if wanted.url is not None:
        what = "says of single addresses where they are, which is nothing to be fetched"
        raise UsageError(what, where=wanted.where, hint="Copy it to a file that only you may read.")
    if found.kind == "hashes":
        if address_hash is None:
            hint = f"Add --address-hash {ADDRESS_HASHES[0]}, and set {ENVIRONMENT}."
            raise UsageError("has hashes in place of addresses", where=wanted.where, hint=hint)
        refuse_other_salt(folder, Cache(found, load_salt()), wanted.where)


def _copy_all(store: Path, files: Iterable[_New]) -> None:
    folders = Folders()
    try:
        folders.make(store / _FOLDER)
        for name in (_FOLDER, _PRIVATE):
            remove_temporary(store / name)
        for new in files:
            if sha256_of(store / new.file) == new.hash:
                continue
            if new.kind in CACHES:
                _copy_privately(new, store / new.file, folders)
            else:
                _copy(new, store / new.file, folders)
        folders.sync()
    except OSError as error:
        raise explain_os_error(error, store / _FOLDER) from error


def _copy_privately(new: _New, target: Path, folders: Folders) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    folders.changed(target.parent.parent)
    before = os.umask(0o177)
    try:
        _copy(new, target, folders)
    finally:
        os.umask(before)


def _copy(new: _New, target: Path, folders: Folders) -> None:
    """Copy the decompressed content, if it still is what was read before."""
    sink = WholeFile(target, folders)
    try:
        digest = hashlib.sha256()
        for chunk in new.chunks():
            digest.update(chunk)
            sink.write(chunk)
        if digest.hexdigest() != new.hash:
            hint = "Run it again when its writer has finished."
            raise SourceError("changed while it was read", where=new.wanted.where, hint=hint)
        sink.commit()
    finally:
        sink.abort()


def _record(folder: "StoreFolder", files: Sequence[_New], order: str, answers: "Mapping[str, Known]") -> int:
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
            name, url = new.wanted.name, new.wanted.url
            if url is not None and url in answers:
                replace(answers[url], hash=new.hash, file=new.file).write(db, url)
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
    from tickline.pipelines.access.regions.requesters import requesters

    counts = LabelCounts()
    unlabelled = folder.ledger.unlabelled()
    if not unlabelled and not relabel:
        return counts
    # Not at the top: most runs have nobody new to look up.
    from tickline.pipelines.access.regions.lookup import Labeler

    with Labeler(folder) as labeler:
        if relabel:
            for batch in requesters(folder, "label IS NOT NULL", most=_BATCH):
                counts.changed += _label_again(folder, labeler, batch)
        for begin in range(0, len(unlabelled), _BATCH):
            ids = unlabelled[begin : begin + _BATCH]
            labels, snapshots = labeler.labels(folder.pseudonyms().addresses(ids))
            with folder.ledger.transaction():
                folder.ledger.set_labels(zip(ids, labels, snapshots, strict=True))
            counts.labelled += len(ids)
    return counts


def _label_again(folder: "StoreFolder", labeler: "Labeler", batch: "Sequence[Requester]") -> int:
    """Look a batch up anew, and return how many labels changed."""
    addresses = folder.pseudonyms().addresses([one.id for one in batch])
    labels, snapshots = labeler.labels(addresses)
    from tickline.pipelines.access.regions.requesters import answered, write_labels

    by_ipinfo = answered(folder, [IPINFO])
    found = [
        (one, label, snapshot)
        for one, address, label, snapshot in zip(batch, addresses, labels, snapshots, strict=True)
        # What ipinfo said before is as good as to ask it again.
        if address is not None and not (label == UNDETERMINED and one.snapshot in by_ipinfo)
    ]
    with folder.ledger.transaction():
        return len(write_labels(folder, found))
