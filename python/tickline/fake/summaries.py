"""The true summaries of generated logs: by dataset, day, week, region, type and asset.

They are counted from the rows as they were made; catalog and regions are the generator's own. Only rows
count that `reduce` keeps: successful REST.GET.OBJECT. Every dataset counts shared contents whole, the archive
counts them once. Datasets without any request are left out.

A row of a table begins with its names (dates, regions, types, paths, datasets) and ends with bytes sent,
requests, downloads (status exactly 200) and requesters (distinct addresses, however they are spelled; a
request without one has none). Weeks are named by their Mondays. Regions are those of
`tickline.fake.regions`, by longest prefix.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import regions
from .archive import ADDRESSES, Keys, address
from .catalog import UNDETERMINED, Catalog
from .draws import PAD, Flags

__all__ = ["MOST_ROWS", "Summaries"]

# Tables by asset that have more rows over all datasets stand in truth.json as how many and a digest.
MOST_ROWS = 20_000
_CHUNK = 65_536
_NO_ADDRESS = 0
_EPOCH = dt.date(1970, 1, 1)

_TYPES = {
    "Neurophysiology": {".nwb"},
    "Microscopy": {".nii", ".ome", ".tiff", ".tif", ".bvecs", ".bvals", ".trk"},
    "Video": {".mp4", ".mov", ".wmv", ".avi", ".mkv"},
}
_TOTALS = ("total_bytes_sent", "number_of_requests", "number_of_downloads", "number_of_requesters")
Row = list[Any]
Ints = NDArray[np.signedinteger[Any]]
# Numbers, one a row, and what each of them is called.
Column = tuple[Ints, Callable[[int], str]]


class _Uses(NamedTuple):
    """Who got what on which day: one entry for each (day, key, address), with bytes, requests, downloads."""

    day: Ints
    key: Ints
    address: Ints
    counts: Ints


def _spelled(text: bytes) -> str:
    """Return the usual spelling of an address: IPv6 shortened and in lower case, IPv4 within it as IPv4."""
    ip = ipaddress.ip_address(text.decode())
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def _begins(ordered: Ints) -> Flags:
    """Tell where in an ordered array another value begins."""
    flags = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=flags[1:])
    return flags


def _merge(parts: Sequence[_Uses]) -> _Uses:
    """Sum up entries of the same day, key and address."""
    day, key, who, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not len(day):
        return _Uses(day, key, who, counts)
    # A stable sort by the least important column first, as np.lexsort does it; all of them are small.
    order = np.lexsort((who, key, day))
    day, key, who = day[order], key[order], who[order]
    begins = np.flatnonzero(_begins(day) | _begins(key) | _begins(who))
    # Memory is what limits the size of the logs, and none of these grows beyond 32 bits.
    day, key, who = (column[begins].astype(np.int32) for column in (day, key, who))
    return _Uses(day, key, who, np.add.reduceat(counts[order], begins, axis=0))


def _sum_by(groups: Ints, uses: _Uses, rows: Ints) -> list[tuple[int, list[int]]]:
    """Return for each group: bytes, requests, downloads and requesters; `rows` are its entries in `uses`."""
    if not len(groups):
        return []
    width = int(uses.address.max()) + 1
    packed = groups * width + uses.address[rows]
    order = np.argsort(packed, kind="stable")
    packed, rows = packed[order], rows[order]
    first = _begins(packed) & (uses.address[rows] != _NO_ADDRESS)
    groups = packed // width
    begins = np.flatnonzero(_begins(groups))
    # Whole numbers of 64 bits: floats would round sums over whole logs.
    sums = [np.add.reduceat(uses.counts[:, at][rows], begins) for at in range(uses.counts.shape[1])]
    sums.append(np.add.reduceat(first.astype(np.int64), begins))
    return list(zip(groups[begins].tolist(), np.column_stack(sums).tolist(), strict=True))


def _asset_type(path: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if suffixes == [".zarr"]:
        return "Microscopy"
    return next((name for name, known in _TYPES.items() if known & set(suffixes)), "Miscellaneous")


def _week(day: Ints) -> Ints:
    # 1970-01-01 was a Thursday; weeks begin on Mondays.
    return (day + 3) // 7


def _date(day: int) -> str:
    return (_EPOCH + dt.timedelta(days=day)).isoformat()


def _places(labels: Iterable[str]) -> tuple[int, int]:
    """Return how many of the labels name a place, and how many countries they name."""
    known = set(labels)
    heads = {name.partition("/")[0] for name in known}
    countries = {head for head in heads if len(head) == 2 and head.isascii() and head.isupper()}
    return len({name for name in known if "/" in name or name in countries}), len(countries)


def _totals(counts: Sequence[int], by_region: Sequence[Row]) -> dict[str, int]:
    places, countries = _places(row[0] for row in by_region)
    return {
        **dict(zip(_TOTALS, counts, strict=True)),
        "number_of_unique_regions": places,
        "number_of_unique_countries": countries,
    }


def _digest(rows: list[Row]) -> dict[str, Any]:
    """Return what stands in truth.json for a table with many rows."""
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    return {"rows": len(rows), "sha256": hashlib.sha256(text.encode()).hexdigest()}


class _Assets:
    """Numbers for assets, and what is known of each."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, str], int] = {}
        self.of_key: list[int] = []
        self.shared: list[int] = []

    def add_key(self, owners: Iterable[tuple[str, str]]) -> None:
        """Take the owners of the next key."""
        numbers = [self.numbers.setdefault(owner, len(self.numbers)) for owner in owners]
        self.of_key += numbers
        self.shared.append(len(numbers))

    def column(self, value: Callable[[tuple[str, str]], str]) -> tuple[list[str], Ints]:
        """Return the distinct values of something, in the order of their bytes, and one number an asset."""
        values = [value(asset) for asset in self.numbers]
        names = sorted(set(values))
        number = {name: at for at, name in enumerate(names)}
        return names, np.array([number[name] for name in values], dtype=np.int64)


class Summaries:
    """Takes rows, and keeps what each address got of each key on each day."""

    def __init__(self, catalog: Catalog, keys: Keys) -> None:
        self._catalog = catalog
        self._keys = keys
        self._addresses = {_spelled(address(number)): number + 1 for number in range(ADDRESSES)}
        self._other_keys: dict[bytes, int] = {}
        self._source: list[_Uses] = []
        self._done: list[_Uses] = []

    def add_rows(self, day: dt.date, key: Ints, ip: Ints, sent: Ints, downloaded: Flags) -> None:
        """Count rows of one day: numbers of keys and of addresses, bytes sent, and whether all was well."""
        days = np.full(len(key), (day - _EPOCH).days, dtype=np.int64)
        counts = np.column_stack([sent, np.ones(len(key), dtype=np.int64), downloaded.astype(np.int64)])
        self._source.append(_Uses(days, key, ip + 1, counts))

    def add_row(self, day: dt.date, number: int, values: Mapping[str, Any], sent: int) -> None:
        """Count a single row; `number` is that of its key, below 0 for a key that has none."""
        if number < 0:
            number = -1 - self._other_keys.setdefault(values["key"], len(self._other_keys))
        ip = values["remote_ip"]
        who = _NO_ADDRESS
        if ip is not None:
            who = self._addresses.setdefault(_spelled(ip), len(self._addresses) + 1)
        row = [(day - _EPOCH).days, number, who, sent, 1, values["http_status"] == 200]
        columns = np.array([row], dtype=np.int64)
        self._source.append(_Uses(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3:]))

    def finish_source(self) -> None:
        """Sum up what the file just finished has; memory grows by sums, not by rows."""
        if self._source:
            self._done.append(_merge(self._source))
            self._source = []

    def _key_texts(self, numbers: Ints) -> list[bytes]:
        """Return the texts of keys by number, which come in rising order: those without one first."""
        others = {-1 - at: key for key, at in self._other_keys.items()}
        texts = [others[number] for number in numbers[numbers < 0].tolist()]
        stored = numbers[numbers >= 0].astype(np.uint64)
        for begin in range(0, len(stored), _CHUNK):
            matrix = self._keys.text(stored[begin : begin + _CHUNK])
            texts += [row.tobytes().translate(None, bytes([PAD])) for row in matrix]
        return texts

    def as_dict(self) -> dict[str, Any]:
        """Return all summaries as they stand in truth.json."""
        nothing = np.zeros(0, dtype=np.int64)
        done, self._done = self._done, []
        uses = _merge([*done, _Uses(nothing, nothing, nothing, nothing.reshape(0, 3))])
        del done
        numbers, key = np.unique(uses.key, return_inverse=True)
        assets = _Assets()
        for text in self._key_texts(numbers):
            assets.add_key(self._catalog.owners(text))
        labels = [regions.MISSING, *(regions.label(text) for text in self._addresses)]
        return _Counted(uses, key, assets, labels).as_dict()


class _Counted:
    """Uses by key, and the same by asset: there each stands once for every owner of its key."""

    def __init__(self, uses: _Uses, key: Ints, assets: _Assets, labels: list[str]) -> None:
        self._uses = uses
        owners = np.array(assets.shared, dtype=np.int64)
        begins = np.cumsum(owners) - owners
        of_key = np.array(assets.of_key, dtype=np.int32)
        self._first_asset = of_key[begins[key]]
        self._owners = owners[key]
        # One entry for each owner of a key: where it stands in `uses`, the asset, and which owner (from 0).
        self._row = np.repeat(np.arange(len(key), dtype=np.int32), self._owners)
        turn = np.arange(len(self._row)) - (np.cumsum(self._owners) - self._owners)[self._row]
        self._asset = of_key[begins[key[self._row]] + turn]
        self._is_first = turn == 0
        self._paths = [path for _, path in assets.numbers]
        self._datasets, self._dataset_of = assets.column(lambda asset: asset[0])
        self._types, self._type_of = assets.column(lambda asset: _asset_type(asset[1]))
        self._regions = sorted(set(labels))
        number = {name: at for at, name in enumerate(self._regions)}
        self._region_of = np.array([number[name] for name in labels], dtype=np.int64)

    def as_dict(self) -> dict[str, Any]:
        """Return the tables of the datasets and of the archive, and what other policies give."""
        tables = self._tables(self._row, self._asset)
        dataset: Column = self._dataset_of[self._asset], self._datasets.__getitem__
        path: Column = self._asset, self._paths.__getitem__
        week = tables["by_week_type"][0]
        by_path: dict[str, list[Column]] = {"by_asset": [path], "by_week_asset": [week, path]}
        by_dataset = _by([dataset], self._uses, self._row)
        answer: dict[str, Any] = {row[0]: {"totals": {}} for row in by_dataset}
        for name, columns in (*tables.items(), *by_path.items()):
            rows = _by([dataset, *columns], self._uses, self._row)
            for row in rows:
                answer[row[0]].setdefault(name, []).append(row[1:])
            if name in by_path and len(rows) > MOST_ROWS:
                for found in answer.values():
                    found[name] = _digest(found[name])
        for owner, *counts in by_dataset:
            answer[owner]["totals"] = _totals(counts, answer[owner]["by_region"])
        return {
            "shared_content": "all",
            "datasets": answer,
            "archive": self._archive(by_dataset),
            "policies": {name: self._policy(name) for name in ("first", "split", "undetermined")},
        }

    def _tables(self, rows: Ints, asset: Ints) -> dict[str, list[Column]]:
        """Return the columns of the tables that datasets and archive have alike."""
        days = self._uses.day[rows]
        region: Column = self._region_of[self._uses.address[rows]], self._regions.__getitem__
        kind: Column = self._type_of[asset], self._types.__getitem__
        week: Column = _week(days), lambda number: _date(number * 7 - 3)
        return {"by_day": [(days, _date)], "by_region": [region], "by_week_type": [week, kind]}

    def _archive(self, by_dataset: list[Row]) -> dict[str, Any]:
        # All owners of a content give it the same type, so that the first one's is as good as any.
        rows = np.arange(len(self._first_asset), dtype=np.int32)
        tables = self._tables(rows, self._first_asset)
        answer: dict[str, Any] = {name: _by(columns, self._uses, rows) for name, columns in tables.items()}
        totals = _by([], self._uses, rows) or [[0] * len(_TOTALS)]
        return {"totals": _totals(totals[0], answer["by_region"]), **answer, "by_dataset": by_dataset}

    def _policy(self, policy: str) -> dict[str, dict[str, int]]:
        """Return bytes, requests and downloads of each dataset where contents are not counted by all owners.

        `first` gives them to the first owner, `split` shares out the sum of each (day, key, address) in whole
        numbers and gives the remainder to the first, `undetermined` gives to none of several owners.
        """
        dataset = self._dataset_of[self._asset]
        owners = self._owners[self._row]
        names = self._datasets
        if policy == "undetermined":
            names = [*names, UNDETERMINED]
            dataset = np.where(owners > 1, len(names) - 1, dataset)
        order = np.argsort(dataset, kind="stable")
        begins = np.flatnonzero(_begins(dataset[order]))
        sums = []
        for at in range(len(_TOTALS) - 1):
            counts = self._uses.counts[:, at][self._row]
            share = counts // owners if policy == "split" else np.zeros_like(counts)
            share += self._is_first * (counts - share * owners)
            sums.append(np.add.reduceat(share[order], begins).tolist() if len(begins) else [])
        answer: dict[str, dict[str, int]] = {}
        for number, *values in zip(dataset[order][begins].tolist(), *sums, strict=True):
            before = answer.setdefault(names[number], dict.fromkeys(_TOTALS[:3], 0))
            for measure, value in zip(_TOTALS, values, strict=False):
                before[measure] += value
        return {name: found for name, found in sorted(answer.items()) if found["number_of_requests"]}


def _by(columns: Sequence[Column], uses: _Uses, entries: Ints) -> list[Row]:
    """Return the sums by the values of some columns, as rows that begin with what these are called."""
    packed = np.zeros(len(entries), dtype=np.int64)
    sizes = []
    for numbers, _ in columns:
        sizes.append(int(numbers.max()) + 1 if len(numbers) else 1)
        packed = packed * sizes[-1] + numbers
    rows: list[Row] = []
    for group, counts in _sum_by(packed, uses, entries):
        texts: list[str] = []
        for size, (_, name) in zip(reversed(sizes), reversed(columns), strict=True):
            group, number = divmod(group, size)
            texts.insert(0, name(number))
        rows.append([*texts, *counts])
    # Python orders texts by code points, which is the order of their bytes in UTF-8.
    rows.sort(key=lambda row: row[: len(columns)])
    return rows
