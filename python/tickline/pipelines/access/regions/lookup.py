"""Labels of addresses, by the region snapshots of a store.

An address gets its label from: caches of the old programs in list order; networks of all lists and, behind
them, bogons, by longest prefix (of equal ones the first) or by order in the list; then the databases of
MaxMind in list order; then it is ``unknown``, or ``undetermined`` where ipinfo may still be asked.
"""

import hashlib
import ipaddress
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import SourceError, TicklineError, explain_os_error
from tickline.files import sha256_of
from tickline.pipelines.access.regions.bogons import bogon_networks
from tickline.pipelines.access.regions.file import CACHES, RegionFile
from tickline.pipelines.access.regions.hashed import Cache, refuse_other_salt
from tickline.pipelines.access.regions.labels import BOGON, MISSING, UNDETERMINED, UNKNOWN
from tickline.pipelines.access.regions.mmdb import open_mmdb, record_label
from tickline.pipelines.access.regions.salt import load_salt
from tickline.pipelines.access.regions.sources import IPINFO, Wanted, parse
from tickline.store.ledger import RegionSnapshot

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Labeler"]

_UPDATE_HINT = "Give the file again: tickline access regions update."
# In this order, and before other lists, the old programs looked into lists.
_OLD_ORDER = ("github", "aws", "gcp")


class Labeler:
    """Labels of addresses by the current snapshots of a store; close it, or use it with ``with``.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    strict : bool
        Look addresses up as dandi_s3_log_parser and s3-log-extraction do: IPv4 networks only, GitHub before
        AWS before Google before all others, the first network in a list that holds the address, and no list
        for whom a cache says that none held.
    bogons : bool
        Whether there are bogons.

    Raises
    ------
    TicklineError
        A snapshot file is missing or is not the one that was given, maxminddb or PyYAML is not installed, or
        a cache of hashes was made with another salt than that of the environment.
    """

    def __init__(self, folder: "StoreFolder", *, strict: bool = False, bogons: bool = True) -> None:
        self._strict = strict
        self._caches: list[tuple[int, Cache]] = []
        self._readers: list[tuple[int, Any, str]] = []
        self._names: list[tuple[str, int | None]] = []
        self._nowhere = UNKNOWN
        try:
            self._table = self._load_all(folder, bogon_networks() if bogons else ())
        except BaseException:
            self.close()
            raise

    def _load_all(self, folder: "StoreFolder", bogons: Sequence[str]) -> _core.RangeTable:
        networks: list[str] = []
        numbers = array("i")
        for snapshot in self._ordered(folder.ledger.snapshots()):
            path = folder.path / snapshot.file
            if snapshot.kind == "mmdb":
                _verify(snapshot, path, _existing_hash(path))
                self._readers.append((snapshot.id, open_mmdb(path, str(path)), str(path)))
            elif snapshot.kind == IPINFO or snapshot.kind in CACHES:
                if folder.keeps_addresses():
                    self._take_private(folder, snapshot, path)
            else:
                found = _load(snapshot, path)
                kept = [not self._strict or ":" not in network for network in found.networks]
                networks += compress(found.networks, kept)
                numbers.extend(self._numbers(compress(found.labels, kept), snapshot.id))
        networks += bogons
        numbers.extend(self._numbers([BOGON] * len(bogons), None))
        first_wins = self._strict or folder.ledger.meta("region_order") == "first-wins"
        return _core.RangeTable(networks, numbers, first_wins=first_wins)

    def _take_private(self, folder: "StoreFolder", snapshot: RegionSnapshot, path: Path) -> None:
        """Take a source that says something of single addresses: without those, it is of no use."""
        if snapshot.kind == IPINFO:
            self._nowhere = UNDETERMINED
        else:
            self._caches.append((snapshot.id, _load_cache(folder, snapshot, path)))

    def _ordered(self, snapshots: list[RegionSnapshot]) -> list[RegionSnapshot]:
        if not self._strict:
            return snapshots
        ranks = {kind: rank for rank, kind in enumerate(_OLD_ORDER)}
        return sorted(snapshots, key=lambda snapshot: ranks.get(snapshot.kind, len(ranks)))

    def _numbers(self, labels: Iterable[str], snapshot: int | None) -> Iterator[int]:
        """Give each pair of label and snapshot a number."""
        known: dict[str, int] = {}
        for label in labels:
            if (number := known.get(label)) is None:
                number = known[label] = len(self._names)
                self._names.append((label, snapshot))
            yield number

    def labels(
        self, addresses: Sequence[str | None], *, caches: bool = True
    ) -> tuple[list[str], list[int | None]]:
        """Return label and snapshot id of each address; each distinct one is looked up once.

        Parameters
        ----------
        addresses : sequence of (str or None)
            None means that the address is not known.
        caches : bool
            Whether what the old programs found counts, or only what can be found today.

        Returns
        -------
        labels : list of str
            ``missing`` for None; ``unknown`` if no snapshot knows the address, or it is none;
            ``undetermined`` in place of that where ipinfo is among the sources.
        snapshots : list of (int or None)
            None for these three, and for ``bogon`` by the built-in list; but ``unknown`` by a cache has that.
        """
        distinct = [address for address in dict.fromkeys(addresses) if address is not None]
        found, in_no_list = self._by_cache(distinct if caches else [])
        left = [address for address in distinct if address not in found]
        for address, number in zip(left, array("i", self._table.find(left)), strict=True):
            if number >= 0 and address not in in_no_list:
                found[address] = self._names[number]
            elif number == -2:  # not an address at all
                found[address] = (UNKNOWN, None)
            else:
                found[address] = self._by_database(address) or (self._nowhere, None)
        found[None] = (MISSING, None)
        pairs = [found[address] for address in addresses]
        return [label for label, _ in pairs], [snapshot for _, snapshot in pairs]

    def _by_cache(self, addresses: list[str]) -> tuple[dict[str | None, tuple[str, int | None]], set[str]]:
        """Return what caches know, and whom no list is to be asked for."""
        found: dict[str | None, tuple[str, int | None]] = {}
        in_no_list: set[str] = set()
        for snapshot, cache in self._caches:
            for address, label in zip(addresses, cache.find(addresses), strict=True):
                if label:
                    found.setdefault(address, (label, snapshot))
                elif label is not None and self._strict:
                    in_no_list.add(address)
        return found, in_no_list

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
        return sha256_of(path)
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


def _load_cache(folder: "StoreFolder", snapshot: RegionSnapshot, path: Path) -> Cache:
    found = _load(snapshot, path)
    if snapshot.kind != "hashes":
        return Cache(found, b"")
    cache = Cache(found, load_salt())
    # Where the store was empty when the cache was given, nobody could tell that the salt is another one.
    if not folder.ledger.rows("SELECT 1 FROM requesters WHERE snapshot = ? LIMIT 1", [snapshot.id]):
        refuse_other_salt(folder, cache, snapshot.name)
    return cache
