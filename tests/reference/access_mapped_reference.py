"""Slow, obvious reference for mapped trees: lists and dicts over all rows.

It is written from the description of dandi_s3_log_parser and of what ``fixed`` changes, and shares nothing
with ``tickline.pipelines.access``. Names and labels are plain ones: neither hashes nor quotes are needed.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import NamedTuple

DRAFT = "draft"


class Row(NamedTuple):
    """One request: seconds since 1970, key, region, bytes; rows stand in the order of logs and lines."""

    time: int
    key: str
    region: str
    bytes_sent: int


class Place(NamedTuple):
    """One row of a catalog."""

    key: str
    dataset: str
    version: str
    path: str


class Asset(NamedTuple):
    """A path of one version, and the requests for what stands there."""

    path: str
    content: str
    rows: list[Row]


def mapped(rows: Sequence[Row], catalog: Sequence[Place], compat: str) -> dict[str, bytes]:
    """Return all files of the tree but ``names.tsv``, by name."""
    strict = compat == "strict"
    # What stands in no version is in the draft; a line that stands there twice says nothing new.
    catalog = list(dict.fromkeys(place._replace(version=place.version or DRAFT) for place in catalog))
    kept: dict[str | None, list[Row]] = {}
    texts = {place.key for place in catalog}
    for row in rows:
        if not strict or row.key.split("/")[0] in ("blobs", "zarr"):
            kept.setdefault(_text(row.key, texts), []).append(row)
    files: dict[str, str] = {}
    totals: dict[str, dict[str, int]] = {}
    days: dict[str, int] = {}
    regions: dict[str, int] = {}
    for dataset in dict.fromkeys(place.dataset for place in catalog):
        versions = [
            (version, assets)
            for version in _versions(catalog, dataset, strict)
            if (assets := _assets(kept, catalog, dataset, version, strict))
        ]
        if not versions:
            continue
        for version, assets in versions:
            files |= _version(f"{dataset}/{version}", assets, strict)
        once = {asset.content: asset for _, assets in versions for asset in assets}
        # In the order in which the contents were met first; the path is the last one.
        by_day, by_region = _sums(list(once.values()))
        by_asset: dict[str, int] = {}
        for asset in once.values():
            by_asset[asset.path] = by_asset.get(asset.path, 0) + _bytes(asset.rows)
        files |= _tables(f"{dataset}/dandiset_summary", by_day, by_region, by_asset, strict)
        totals[dataset] = _totals(by_region, strict)
        for sums, more in ((days, by_day), (regions, by_region)):
            for text, number in more.items():
                sums[text] = sums.get(text, 0) + number
    if not strict:
        days, regions = _sums([Asset("", "", list(rows))])
    files["archive_summary_by_day.tsv"] = _table("date", sorted(days.items()))
    files["archive_summary_by_region.tsv"] = _table("region", sorted(regions.items()))
    files["all_dandiset_totals.json"] = json.dumps(dict(sorted(totals.items())))
    files["archive_totals.json"] = json.dumps(_totals(regions, strict))
    return {name: text.encode() for name, text in files.items()}


def _versions(catalog: Sequence[Place], dataset: str, strict: bool) -> list[str]:
    names = list(dict.fromkeys(place.version for place in catalog if place.dataset == dataset))
    if not strict and DRAFT in names:
        names.remove(DRAFT)
        names.append(DRAFT)
    return names


def _assets(
    rows: dict[str | None, list[Row]], catalog: Sequence[Place], dataset: str, version: str, strict: bool
) -> list[Asset]:
    """Return the assets of a version that were asked for, in the order of the catalog."""
    found = []
    for place in catalog:
        if (place.dataset, place.version) == (dataset, version) and place.key in rows:
            own = rows[place.key]
            if strict:
                # Sorting is stable: requests of the same second stay as they are in the logs.
                ordered = sorted(own, key=lambda row: row.time)
            else:
                ordered = sorted(own, key=lambda row: (row.time, row.bytes_sent, row.region))
            found.append(Asset(place.path, place.key, ordered))
    return found


def _text(key: str, texts: set[str]) -> str | None:
    """Return the id of the catalog that a key is looked up by."""
    return next((part for part in reversed(key.split("/")) if part in texts), None)


def _version(folder: str, assets: list[Asset], strict: bool) -> dict[str, str]:
    files = {}
    for asset in assets:
        lines = ["\ttimestamp\tbytes_sent\tregion\n"]
        lines += [
            f"{index}\t{_moment(row.time):%Y-%m-%dT%H:%M:%S}\t{row.bytes_sent}\t{row.region}\n"
            for index, row in enumerate(asset.rows)
        ]
        name = asset.path.split("/")[-1].replace(".", "_")
        files[f"{folder}/{name}.tsv"] = "".join(lines)
    counted = assets if strict else list({asset.content: asset for asset in assets}.values())
    by_day, by_region = _sums(counted)
    by_asset: dict[str, int] = {}
    for asset in assets:
        # The old program forgets what stood at the path before.
        before = 0 if strict else by_asset.get(asset.path, 0)
        by_asset[asset.path] = before + _bytes(asset.rows)
    return files | _tables(f"{folder}/version_summary", by_day, by_region, by_asset, strict)


def _tables(
    start: str, by_day: dict[str, int], by_region: dict[str, int], by_asset: dict[str, int], strict: bool
) -> dict[str, str]:
    # Of equal bytes: regions by name; paths as they came, or by name.
    paths = by_asset.items() if strict else sorted(by_asset.items())
    return {
        f"{start}_by_day.tsv": _table("date", sorted(by_day.items())),
        f"{start}_by_region.tsv": _table(
            "region", sorted(sorted(by_region.items()), key=lambda row: -row[1])
        ),
        f"{start}_by_asset.tsv": _table("asset_path", sorted(paths, key=lambda row: -row[1])),
    }


def _table(column: str, rows: Sequence[tuple[str, int]]) -> str:
    return f"{column}\tbytes_sent\n" + "".join(f"{text}\t{number}\n" for text, number in rows)


def _sums(assets: Sequence[Asset]) -> tuple[dict[str, int], dict[str, int]]:
    by_day: dict[str, int] = {}
    by_region: dict[str, int] = {}
    for asset in assets:
        for row in asset.rows:
            day = f"{_moment(row.time):%Y-%m-%d}"
            by_day[day] = by_day.get(day, 0) + row.bytes_sent
            by_region[row.region] = by_region.get(row.region, 0) + row.bytes_sent
    return by_day, by_region


def _totals(regions: dict[str, int], strict: bool) -> dict[str, int]:
    pairs = [label.split("/") for label in regions if label not in ("VPN", "GitHub", "unknown", "missing")]
    if strict:
        counted = len(regions)
        countries = {rest.split("-")[0].upper() if "AWS" in first else first for first, rest in pairs}
    else:
        counted = len(pairs)
        countries = {first for first, _ in pairs if len(first) == 2 and first.isupper()}
    return {
        "total_bytes_sent": sum(regions.values()),
        "number_of_unique_regions": counted,
        "number_of_unique_countries": len(countries),
    }


def _bytes(rows: Sequence[Row]) -> int:
    return sum(row.bytes_sent for row in rows)


def _moment(seconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
