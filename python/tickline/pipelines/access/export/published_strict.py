"""The tables of s3-log-extraction as its version 1.10.6 makes them, quirks and all.

Written from its sources (``summarize/_generate_*.py``); what differs from the sums of the store stands in
`tickline.pipelines.access.export.published`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tickline.pipelines.access.catalog.catalog import UNDETERMINED, Catalog
from tickline.pipelines.access.export.published_tables import (
    COUNTS,
    TABLES,
    Files,
    FixedTables,
    row_text,
    week_files,
)
from tickline.pipelines.access.mapped.summaries import field, natural_key
from tickline.pipelines.access.privacy.privacy import Count, strict_count
from tickline.pipelines.access.regions.labels import MISSING
from tickline.pipelines.access.summaries.assets import TYPES
from tickline.pipelines.access.summaries.frames import Frame, LongFrame
from tickline.pipelines.access.trees.rows import key_batches

if TYPE_CHECKING:
    import pyarrow

__all__ = ["StrictTables"]

_NO_COUNTRY = frozenset({"VPN", "GitHub", "unknown", "undetermined", "missing", "bogon"})

# What the plug-in takes content for that no catalog knows: an asset called "undetermined".
_OTHER_TYPE = TYPES[-1]

Row = tuple[str, int, int, int]
"""What it is about, bytes, requests, downloads."""


class StrictTables(FixedTables):
    """The same files, made as s3-log-extraction makes them."""

    def files(self, dataset: str | None) -> list[str]:
        """Return the files that a dataset has; by week only with a catalog, as the plug-in has them."""
        found = super().files(dataset)
        return found if self._by_week else [name for name in found if "_per_week" not in name]

    @property
    def _by_week(self) -> bool:
        return self._options.catalog is not None

    def dataset(self, name: str, frames: "dict[str, Frame | LongFrame]") -> Files:
        """Give the files of a dataset."""
        assets = [
            (self._asset_path(name, row[0]), *row[1:]) for row in _rows(frames["by_asset"], "asset_path")
        ]
        nobodys = self._by_week and name == UNDETERMINED
        if nobodys:
            assets = _merged(UNDETERMINED, assets)
        assets.sort(key=lambda row: row[0].split("/"))
        place = {label: number for number, label in enumerate(self._first_seen.get(name, ()))}
        regions = self._regions(frames["by_region"])
        regions.sort(key=lambda row: place.get(row[0], len(place)))
        yield "by_day.tsv", self._text("by_day", _rows(frames["by_day"], "date"))
        yield "by_asset.tsv", self._text("by_asset", assets)
        yield "by_region.tsv", self._text("by_region", regions)
        yield "requester_count.tsv", [row_text([self._totals[name]["number_of_requesters"]])]
        if nobodys:
            yield from _weeks_of_nobody(frames)
        elif self._by_week:
            yield from week_files(frames)

    def archive(self) -> Files:
        """Give the files of the archive: sums of what is published of the datasets."""
        for table, sums in self._sums.items():
            order = sorted(sums, key=lambda name: (natural_key(name), name))
            yield f"{table}.tsv", self._text(table, [(name, *_three(sums[name])) for name in order])
        yield "requester_count.tsv", [row_text([self._requesters])]
        if self._by_week:
            yield "by_asset_type_per_week.tsv", self._weeks_of_all()

    def totals(self, datasets: Sequence[str]) -> "dict[str, dict[str, Count]]":
        """Return what ``totals.json`` holds."""
        return {
            name: self._totals_of(self._published_regions[name], self._totals[name]["number_of_requesters"])
            for name in datasets
        }

    def archive_totals(self) -> "dict[str, Count]":
        """Return what ``archive_totals.json`` holds."""
        sums = self._sums["by_region"]
        rows = [
            (name, size, self._again(requests), self._again(downloads))
            for name, (size, requests, downloads) in sums.items()
        ]
        return self._totals_of(rows, self._requesters)

    # ---- numbers -------------------------------------------------------------------------------------

    def _count(self, count: int) -> Count:
        return strict_count(count) if self._rules.rule == "strict" else count

    def _again(self, count: int) -> int:
        """Return a count as it is read back from a table: ``<50`` is 0."""
        shown = self._count(count)
        return shown if isinstance(shown, int) else 0

    def _text(self, table: str, rows: Sequence[Row]) -> Iterator[bytes]:
        yield row_text([TABLES[table], "bytes_sent", *COUNTS])
        for name, size, *counts in rows:
            yield row_text([field(name), size, *map(self._count, counts)])

    def _totals_of(self, rows: Sequence[Row], requesters: Count) -> "dict[str, Count]":
        countries = set()
        for label in {row[0] for row in rows} - _NO_COUNTRY:
            country, *rest = label.split("/")
            countries.add("-".join(rest).split("-")[0].upper() if "AWS" in country else country)
        return {
            "total_bytes_sent": sum(row[1] for row in rows),
            "number_of_unique_regions": len(rows),
            "number_of_unique_countries": len(countries),
            "total_number_of_requests": self._count(sum(row[2] for row in rows)),
            "total_number_of_downloads": self._count(sum(row[3] for row in rows)),
            "number_of_requesters": requesters,
        }

    @cached_property
    def _sums(self) -> dict[str, dict[str, list[int]]]:
        """The archive's tables by day and by region, before they are rounded again."""
        found: dict[str, dict[str, list[int]]] = {"by_day": {}, "by_region": {}}
        for frames in self._small:
            for table, rows in (
                ("by_day", _rows(frames["by_day"], "date")),
                ("by_region", self._regions(frames["by_region"])),
            ):
                for name, size, *counts in rows:
                    sums = found[table].setdefault(name, [0, 0, 0])
                    for place, value in enumerate((size, *map(self._again, counts))):
                        sums[place] += value
        return found

    @cached_property
    def _requesters(self) -> Count:
        counts = [self._totals[name]["number_of_requesters"] for name in self._summaries.datasets]
        total = sum(count for count in counts if isinstance(count, int))
        shown = self._count(total)
        # Only what is withheld is a word: the sum of rounded numbers is not rounded.
        return total if isinstance(shown, int) else shown

    @cached_property
    def _published_regions(self) -> dict[str, list[Row]]:
        return {
            name: [
                (label, size, self._again(requests), self._again(downloads))
                for label, size, requests, downloads in self._regions(frames["by_region"])
            ]
            for name, frames in zip(self._summaries.datasets, self._small, strict=True)
        }

    @cached_property
    def _small(self) -> list[dict[str, Frame]]:
        return self._summaries.small_frames()[:-1]

    def _weeks_of_all(self) -> Iterator[bytes]:
        table = self._summaries.whole_table("by_week_type")
        sums: Counter[tuple[str, str]] = Counter()
        columns = (table[name].to_pylist() for name in ("dataset", "week_start", "asset_type", "bytes_sent"))
        for dataset, week, kind, size in zip(*columns, strict=True):
            sums[str(week), _OTHER_TYPE if dataset == UNDETERMINED else kind] += size
        types = [kind for kind in TYPES if kind in {kind for _, kind in sums}]
        yield row_text(["week_start", *types])
        for week in sorted({week for week, _ in sums}):
            yield row_text([week, *(sums[week, kind] for kind in types)])

    # ---- names ---------------------------------------------------------------------------------------

    def _asset_path(self, dataset: str, path: str) -> str:
        """Return the path below the dataset's folder: an object that is no folder's is the folder itself."""
        return "." if not self._by_week and path == dataset else path

    @cached_property
    def _nobody_looked_up(self) -> bool:
        return not self._folder.ledger.snapshots()

    def _regions(self, frame: Frame | LongFrame) -> list[Row]:
        rows = _rows(frame, "region")
        if not self._nobody_looked_up:
            return rows
        return _merged(MISSING, rows)

    @cached_property
    def _first_seen(self) -> Mapping[str, list[str]]:
        """The regions of each dataset in the order in which they come up along its keys and lines."""
        if self._nobody_looked_up:
            return {}
        catalog = Catalog(self._options.catalog, decode=self._options.decode_keys)
        places: dict[str, dict[str, tuple[list[str], int]]] = {}
        for batch in key_batches(self._folder, columns=["region"], order="line"):
            owners = catalog.owners(batch.keys)
            for number, key in enumerate(batch.keys):
                labels = _distinct(batch.table, batch.begins[number], batch.begins[number + 1])
                datasets = [owner[0] for owner in owners[number]]
                if len(datasets) > 1 and self._options.shared_content == "undetermined":
                    datasets = [UNDETERMINED]
                elif self._options.shared_content == "first":
                    del datasets[1:]
                for dataset in datasets:
                    known = places.setdefault(dataset, {})
                    for at, label in enumerate(labels):
                        place = ((key or "").split("/"), at)
                        known[label] = min(known.get(label, place), place)
        return {name: sorted(known, key=known.__getitem__) for name, known in places.items()}


def _merged(name: str, rows: Sequence[Row]) -> list[Row]:
    """Put all rows into one."""
    columns = zip(*(row[1:] for row in rows), strict=True)
    return [(name, *_three([sum(column) for column in columns]))] if rows else []


def _weeks_of_nobody(frames: "dict[str, Frame | LongFrame]") -> Files:
    """Give the tables by week of content that no catalog knows: one asset of one type."""
    table = frames["by_week_type"].table()
    sums: Counter[str] = Counter()
    for week, size in zip(table["week_start"].to_pylist(), table["bytes_sent"].to_pylist(), strict=True):
        sums[str(week)] += size
    for file, column in (("by_asset_per_week", UNDETERMINED), ("by_asset_type_per_week", _OTHER_TYPE)):
        yield f"{file}.tsv", [row_text(["week_start", column]), *map(row_text, sorted(sums.items()))]


def _three(sums: Sequence[int]) -> tuple[int, int, int]:
    size, requests, downloads = sums
    return size, requests, downloads


def _distinct(table: "pyarrow.Table", begin: int, end: int) -> list[str]:
    import pyarrow.compute as pc

    return [label for label in pc.unique(table["region"].slice(begin, end - begin)).to_pylist() if label]


def _rows(frame: Frame | LongFrame, about: str) -> list[Row]:
    table = frame.table()
    names = [str(name) for name in table[about].to_pylist()]
    columns = [table[name].to_pylist() for name in ("bytes_sent", *COUNTS)]
    return list(zip(names, *columns, strict=True))
