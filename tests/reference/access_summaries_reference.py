"""Slow, obvious reference for the summaries of an access store: dicts and sets over a list of rows.

It is written from the rules, and shares nothing with ``tickline.pipelines.access``: neither the catalog's
look-up nor the types, weeks or sums.
"""

from __future__ import annotations

import datetime
import fnmatch
import pathlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

MEASURES = ("bytes_sent", "number_of_requests", "number_of_downloads", "number_of_requesters")
DATASET_TABLES = ("by_day", "by_week_asset", "by_week_type", "by_region", "by_asset")
ARCHIVE_TABLES = ("by_day", "by_week_type", "by_region", "by_dataset")


class Row(NamedTuple):
    """One request: milliseconds since 1970, key as logged, who, bytes (None: ``-``), status."""

    time_ms: int
    key: str | None
    requester: str | None
    bytes_sent: int | None
    status: int | None


class Entry(NamedTuple):
    """One row of a catalog."""

    key: str
    dataset: str
    version: str
    path: str


def decode(key: str) -> str:
    """Percent-decode once, if that gives UTF-8."""
    try:
        return urllib.parse.unquote(key, errors="strict")
    except UnicodeDecodeError:
        return key


def is_glob(text: str) -> bool:
    return any(char in text for char in "*?[")


def owners_of(key: str, catalog: Sequence[Entry] | None) -> list[tuple[str, str]]:
    """Return (dataset, path) of all owners of a decoded key, in the order of the catalog."""
    if catalog is None:
        parts = key.split("/")
        return [(parts[0], "/".join(parts[1:]) if len(parts) > 1 else key)]
    plain = [entry for entry in catalog if not is_glob(entry.key)]
    found = [(entry, "") for entry in catalog if entry.key == key]
    parts = key.split("/")
    for number in range(len(parts) - 1, -1, -1):
        if not found:
            rest = "/".join(parts[number + 1 :])
            found = [(entry, rest) for entry in plain if entry.key == parts[number] and parts[number]]
    for number in range(len(parts) - 1, 0, -1):
        if not found:
            prefix = "/".join(parts[:number]) + "/"
            found = [(entry, "/".join(parts[number:])) for entry in plain if entry.key == prefix]
    if not found:
        for glob in catalog:
            if is_glob(glob.key) and fnmatch.fnmatchcase(key, glob.key):
                found = [(entry, key) for entry in catalog if entry.key == glob.key]
                break
    owners: dict[str, str] = {}
    for entry, rest in found:
        path = entry.path + rest if entry.path == "" or entry.path.endswith("/") else entry.path
        owners.setdefault(entry.dataset, path)
    return list(owners.items()) or [("undetermined", key)]


def asset_type(path: str) -> str:
    """Return the type of an asset."""
    suffixes = [suffix.lower() for suffix in pathlib.PurePosixPath("/" + path.split("/")[-1]).suffixes]
    if ".nwb" in suffixes:
        return "Neurophysiology"
    if set(suffixes) & {".nii", ".ome", ".tiff", ".tif", ".bvecs", ".bvals", ".trk"} or suffixes == [".zarr"]:
        return "Microscopy"
    if set(suffixes) & {".mp4", ".mov", ".wmv", ".avi", ".mkv"}:
        return "Video"
    return "Miscellaneous"


class Cell:
    """One row of a table in the making."""

    def __init__(self) -> None:
        self.bytes_sent = self.requests = self.downloads = 0
        self.requesters: set[str] = set()

    def add(self, share: tuple[int, int, int], requester: str | None) -> None:
        self.bytes_sent += share[0]
        self.requests += share[1]
        self.downloads += share[2]
        if requester is not None:
            self.requesters.add(requester)

    def numbers(self) -> tuple[int, int, int, int]:
        return self.bytes_sent, self.requests, self.downloads, len(self.requesters)


Table = dict[tuple[Any, ...], tuple[int, int, int, int]]


def summaries(
    rows: Iterable[Row],
    catalog: Sequence[Entry] | None,
    labels: Mapping[str, str],
    shared_content: str = "all",
) -> tuple[dict[str, dict[str, Table]], dict[str, Table]]:
    """Return the tables of all datasets, and those of the archive.

    A table is a dict from what its rows are about to (bytes, requests, downloads, requesters), in order.
    """
    triples: dict[tuple[datetime.date, str | None, str | None], list[int]] = {}
    for row in rows:
        day = datetime.date(1970, 1, 1) + datetime.timedelta(days=row.time_ms // 86_400_000)
        sums = triples.setdefault((day, row.key, row.requester), [0, 0, 0])
        sums[0] += row.bytes_sent or 0
        sums[1] += 1
        sums[2] += row.status == 200

    datasets: dict[str, dict[str, dict[tuple[Any, ...], Cell]]] = {}
    archive: dict[str, dict[tuple[Any, ...], Cell]] = {name: {} for name in ARCHIVE_TABLES}

    def add(
        tables: dict[str, dict[tuple[Any, ...], Cell]], table: str, about: tuple[Any, ...], share: Any
    ) -> None:
        if table in tables:
            tables[table].setdefault(about, Cell()).add(*share)

    def add_everywhere(tables: Any, day: datetime.date, path: str, kind: str, label: str, share: Any) -> None:
        week = day - datetime.timedelta(days=day.weekday())
        add(tables, "by_day", (day,), share)
        add(tables, "by_week_asset", (week, path), share)
        add(tables, "by_week_type", (week, kind), share)
        add(tables, "by_region", (label,), share)
        add(tables, "by_asset", (path,), share)

    for (day, key, requester), sums in triples.items():
        owners = [("undetermined", "-")] if key is None else owners_of(decode(key), catalog)
        label = "missing" if requester is None else labels[requester]
        kind = asset_type(owners[0][1])
        add_everywhere(archive, day, "", kind, label, (tuple(sums), requester))
        if len(owners) > 1 and shared_content == "first":
            owners = owners[:1]
        if len(owners) > 1 and shared_content == "undetermined":
            owners = [("undetermined", decode(key or ""))]
        for number, (dataset, path) in enumerate(owners):
            share = list(sums)
            if shared_content == "split":
                share = [value // len(owners) + (value % len(owners) if number == 0 else 0) for value in sums]
            tables = datasets.setdefault(dataset, {name: {} for name in DATASET_TABLES})
            add_everywhere(tables, day, path, asset_type(path), label, (tuple(share), requester))
            add(archive, "by_dataset", (dataset,), (tuple(share), requester))

    def finished(tables: dict[str, dict[tuple[Any, ...], Cell]]) -> dict[str, Table]:
        return {
            name: {about: table[about].numbers() for about in sorted(table, key=_order)}
            for name, table in tables.items()
        }

    return {name: finished(tables) for name, tables in datasets.items()}, finished(archive)


def _order(about: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part.encode() if isinstance(part, str) else part for part in about)


def totals(tables: Mapping[str, Table], requesters: int) -> dict[str, int]:
    """Return the totals that belong to the tables of a dataset or of the archive."""
    regions = tables["by_region"]
    labels = [label for (label,) in regions]
    return {
        "total_bytes_sent": sum(numbers[0] for numbers in regions.values()),
        "number_of_requests": sum(numbers[1] for numbers in regions.values()),
        "number_of_downloads": sum(numbers[2] for numbers in regions.values()),
        "number_of_requesters": requesters,
        "number_of_unique_regions": sum(
            bool("/" in label or re.fullmatch("[A-Z]{2}", label)) for label in labels
        ),
        "number_of_unique_countries": len(
            {label[:2] for label in labels if re.fullmatch("[A-Z]{2}(/.*)?", label)}
        ),
    }


def requesters_of(
    rows: Iterable[Row], catalog: Sequence[Entry] | None, shared_content: str
) -> tuple[dict[str, set[str]], set[str]]:
    """Return who asked for anything of each dataset, and of the archive."""
    by_dataset: dict[str, set[str]] = {}
    everybody: set[str] = set()
    for row in rows:
        owners = [("undetermined", "-")] if row.key is None else owners_of(decode(row.key), catalog)
        if len(owners) > 1 and shared_content == "first":
            owners = owners[:1]
        if len(owners) > 1 and shared_content == "undetermined":
            owners = [("undetermined", "")]
        for dataset, _ in owners:
            people = by_dataset.setdefault(dataset, set())
            if row.requester is not None:
                people.add(row.requester)
        if row.requester is not None:
            everybody.add(row.requester)
    return by_dataset, everybody
