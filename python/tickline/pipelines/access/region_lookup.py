"""Labels of addresses, by the region snapshots of a store.

An address gets its label from: networks of all lists and, behind them, bogons, by longest prefix (of equal
ones the first) or by order in the list; then the databases of MaxMind in list order; then it is ``unknown``.
"""

import hashlib
import ipaddress
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import SourceError, TicklineError, explain_os_error
from tickline.files import sha256_of
from tickline.pipelines.access.bogons import bogon_networks
from tickline.pipelines.access.region_labels import BOGON, MISSING, UNKNOWN
from tickline.pipelines.access.region_mmdb import open_mmdb, record_label
from tickline.pipelines.access.region_sources import RegionFile, Wanted, parse
from tickline.store.ledger import RegionSnapshot

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Labeler"]

_UPDATE_HINT = "Give the file again: tickline access regions update."


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
