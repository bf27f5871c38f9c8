"""What the page is made of: the tables and JSON files of an export folder, read, checked and sorted."""

import heapq
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tickline.errors import TicklineError, printable
from tickline.pipelines.access.export.names import escape_controls
from tickline.pipelines.access.report.rules import Rule, rule_of

__all__ = ["ASSETS_SHOWN", "UNDETERMINED", "Dataset", "Export", "Measures", "Row", "read_export", "total_of"]

ASSETS_SHOWN = 25
"""How many assets are kept of all that the export holds."""

UNDETERMINED = "undetermined"
"""The dataset of content that no dataset owns."""

_HINT = "Make the export again (tickline access run), into an empty folder if it stays like this."
_EPOCH = date(1970, 1, 1)


class Measures(NamedTuple):
    """The four numbers of every row, in the order of the columns; None is a count that is withheld."""

    bytes_sent: int
    number_of_requests: int | None
    number_of_downloads: int | None
    number_of_requesters: int | None


class Row(NamedTuple):
    """One row of a summary: what it is about (one or two values), and its numbers."""

    of: tuple[Any, ...]
    measures: Measures


class Dataset(NamedTuple):
    """One entry of ``totals.json``; the archive is one, too."""

    name: str
    measures: Measures
    regions: int
    countries: int


@dataclass(frozen=True)
class Export:
    """An export, as the page needs it.

    Attributes
    ----------
    archive : Dataset
        The totals over everything, each row counted once.
    datasets : tuple of Dataset
        Most bytes first, then by name.
    by_day, by_week_type, by_region : tuple of Row
        Of the archive. Days and weeks in order of time, regions with most bytes first.
    assets : tuple of Row
        The `ASSETS_SHOWN` (dataset, asset path) with most bytes, over all datasets.
    number_of_assets : int
        How many there are.
    assets_sum : Measures
        Sums over all assets; its requesters are not distinct and must not be shown.
    provenance : dict
        ``provenance.json``.
    rule : Rule
        What was done to the numbers.
    """

    archive: Dataset
    datasets: tuple[Dataset, ...]
    by_day: tuple[Row, ...]
    by_week_type: tuple[Row, ...]
    by_region: tuple[Row, ...]
    assets: tuple[Row, ...]
    number_of_assets: int
    assets_sum: Measures
    provenance: dict[str, Any]
    rule: Rule


class _Folder:
    """The export folder; whatever is wrong in it is said with the file's name within the folder.

    Its `rule` is known once ``provenance.json`` was read, and decides where counts may be withheld.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rule = Rule("exact", "")

    def bad(self, name: str, what: str) -> TicklineError:
        return TicklineError(what, where=f"{self.path}/{name}", hint=_HINT)

    def text(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise self.bad(name, "this file of the export is missing") from None
        except (OSError, UnicodeDecodeError) as error:
            raise self.bad(name, f"cannot be read ({error})") from error

    def json(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads(self.text(name))
        except (json.JSONDecodeError, RecursionError) as error:
            raise self.bad(name, f"is no JSON ({error})") from error
        if not isinstance(value, dict):
            raise self.bad(name, "does not hold a JSON object")
        return value

    def table(self, name: str, *of: str) -> Any:
        """Return the columns `of` and the four measures as an Arrow table."""
        pa, parquet = _pyarrow()
        try:
            with pa.OSFile(str(self.path / name), "rb") as file, parquet.ParquetFile(file) as source:
                table = source.read(columns=[*of, *Measures._fields], use_threads=False)
        except FileNotFoundError:
            raise self.bad(name, "this table of the export is missing") from None
        except (OSError, pa.ArrowException) as error:
            raise self.bad(name, f"is a damaged Parquet file ({_first_line(error)})") from error
        for column in (*of, *Measures._fields):
            if column not in table.column_names:
                raise self.bad(name, f"has no column {column}")
            may_be_withheld = self.rule.published and column in Measures._fields[1:]
            if table.column(column).null_count and not may_be_withheld:
                raise self.bad(name, f"holds nulls in the column {column}")
        for column in Measures._fields:
            if not pa.types.is_integer(table.schema.field(column).type):
                raise self.bad(name, f"the column {column} does not hold whole numbers")
        return table


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        what = "the page is made from Parquet files, which needs pyarrow"
        raise TicklineError(what, hint="pip install 'tickline[access]'") from error
    return pa, parquet


def _first_line(error: Exception) -> str:
    return printable((str(error) or type(error).__name__).split("\n")[0][:200])


def _rows(table: Any, *of: str) -> Iterator[Row]:
    names = [table.column(name).to_pylist() for name in of]
    numbers = [table.column(name).to_pylist() for name in Measures._fields]
    for keys, values in zip(zip(*names, strict=True), zip(*numbers, strict=True), strict=True):
        yield Row(keys, Measures(*values))


def _dated(folder: _Folder, name: str, *of: str) -> tuple[Row, ...]:
    """Read a table whose first column is a date, and sort it."""
    pa, _ = _pyarrow()
    table = folder.table(name, *of)
    try:
        days = table.column(of[0]).cast(pa.date32()).cast(pa.int32())
        table = table.set_column(table.column_names.index(of[0]), of[0], days)
        rows = [
            Row((_EPOCH + timedelta(days=row.of[0]), *row.of[1:]), row.measures) for row in _rows(table, *of)
        ]
    except (pa.ArrowException, OverflowError) as error:
        raise folder.bad(name, f"the column {of[0]} does not hold days ({_first_line(error)})") from error
    return tuple(sorted(rows, key=lambda row: row.of))


def _most_bytes(row: Row) -> tuple[Any, ...]:
    return (-row.measures.bytes_sent, *(str(part).encode("utf-8", "surrogatepass") for part in row.of))


def total_of(rows: Iterable[Row]) -> Measures:
    """Add the numbers of rows; where a part is withheld there is no sum.

    Requesters are added, too: that is no distinct count.
    """
    sent, counts = 0, [0, 0, 0]
    known = [True, True, True]
    for row in rows:
        sent += row.measures.bytes_sent
        for index, count in enumerate(row.measures[1:]):
            known[index] &= count is not None
            counts[index] += count or 0
    return Measures(
        sent, *(count if all_of_it else None for count, all_of_it in zip(counts, known, strict=True))
    )


# ---- the two JSON files ------------------------------------------------------------------------------------


def _count(folder: _Folder, file: str, entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if type(value) is not int or value < 0:
        raise folder.bad(file, f"{name} is {'missing' if value is None else 'no count'}")
    return value


def _shown(folder: _Folder, file: str, entry: Mapping[str, Any], name: str) -> int | None:
    """Return a count that may be withheld: then the rule's word stands in its place, and None is returned."""
    if folder.rule.published and entry.get(name) == folder.rule.word:
        return None
    return _count(folder, file, entry, name)


def _dataset(folder: _Folder, name: str, entry: object) -> Dataset:
    if not isinstance(entry, dict):
        raise folder.bad("totals.json", f"the totals of {printable(name)} are no object")
    sent, regions, countries = (
        _count(folder, "totals.json", entry, field)
        for field in ("total_bytes_sent", "number_of_unique_regions", "number_of_unique_countries")
    )
    counts = (_shown(folder, "totals.json", entry, field) for field in Measures._fields[1:])
    return Dataset(name, Measures(sent, *counts), regions, countries)


def _totals(folder: _Folder) -> tuple[Dataset, tuple[Dataset, ...]]:
    totals = folder.json("totals.json")
    entries = totals.get("datasets")
    if not isinstance(entries, dict):
        raise folder.bad("totals.json", "holds no datasets")
    datasets = [_dataset(folder, name, entry) for name, entry in entries.items()]
    datasets.sort(key=lambda one: _most_bytes(Row((one.name,), one.measures)))
    return _dataset(folder, "archive", totals.get("archive")), tuple(datasets)


def _provenance(folder: _Folder) -> dict[str, Any]:
    """Read ``provenance.json`` and make sure of the parts that the page calculates with."""
    file = "provenance.json"
    found = folder.json(file)
    if found.get("format") != 1:
        what = f"is of format {printable(str(found.get('format')))}, and this Tickline knows format 1"
        raise folder.bad(file, what)
    folder.rule = rule_of(str(found.get("privacy", "")))
    kinds = {"tickline": str, "store": dict, "sources": list, "shared_content": str}
    for name, kind in {**kinds, "regions": list, "undetermined": dict}.items():
        if not isinstance(found.get(name), kind):
            raise folder.bad(file, f"{name} is missing, or of another kind")
    if not all(isinstance(source, str) for source in found["sources"]):
        raise folder.bad(file, "sources holds something that is no hash")
    if not all(isinstance(snapshot, dict) for snapshot in found["regions"]):
        raise folder.bad(file, "regions holds something that is no snapshot")
    if (catalog := found.get("catalog")) is not None:
        if not isinstance(catalog, dict) or not isinstance(catalog.get("sha256"), str):
            raise folder.bad(file, "catalog is of another kind")
        _count(folder, file, catalog, "entries")
    undetermined = found["undetermined"]
    is_withheld = folder.rule.published and undetermined.get("number_of_requests", 0) is None
    for name in ("keys", "bytes_sent", *([] if is_withheld else ["number_of_requests"])):
        _count(folder, file, undetermined, name)
    _check_accounting(folder, file, found.get("accounting"))
    return found


def _check_accounting(folder: _Folder, file: str, counts: object) -> None:
    if counts is None and folder.rule.published:
        return
    if not isinstance(counts, dict):
        raise folder.bad(file, "accounting is missing, or of another kind")
    for name in ("lines", "bytes", "accepted"):
        _count(folder, file, counts, name)
    for group in ("filtered", "rejected", "noted"):
        if not isinstance(counts.get(group), dict):
            raise folder.bad(file, f"{group} is missing in the accounting")
        for name in counts[group]:
            _count(folder, file, counts[group], name)
    known = counts["accepted"] + sum(counts["filtered"].values()) + sum(counts["rejected"].values())
    if known != counts["lines"]:
        raise folder.bad(file, f"counts {counts['lines']} lines, but accounts for {known}")


# ---- the datasets' assets ----------------------------------------------------------------------------------


def _folders(folder: _Folder) -> dict[str, list[str]]:
    """Return the folders of each dataset, by its name as it stands in ``names.tsv``."""
    header, *lines = folder.text("names.tsv").removesuffix("\n").split("\n")
    if header != "folder\tdataset":
        raise folder.bad("names.tsv", "does not begin with the header folder, dataset")
    found: dict[str, list[str]] = {}
    for line in lines:
        name, tab, dataset = line.partition("\t")
        path = PurePosixPath(name)
        if not tab or not name or path.is_absolute() or ".." in path.parts:
            raise folder.bad("names.tsv", f"holds a line that names no folder: {printable(line[:200])}")
        found.setdefault(dataset, []).append(name)
    return found


def _assets_of(folder: _Folder, dataset: Dataset, places: list[str]) -> Any:
    """Return the table of a dataset's assets, and make sure that it adds up to the dataset's totals.

    Names can be one text when escaped (a tab, and the three characters ``%09``): then the sums tell which is
    which, and that folder is taken out of `places`. Counts that are rounded do not add up: then bytes tell.
    """
    if not places:
        raise folder.bad("names.tsv", f"does not name the dataset {printable(dataset.name)} of totals.json")
    from pyarrow import compute

    for place in places:
        file = f"summaries/{place}/by_asset.parquet"
        table = folder.table(file, "asset_path")
        # Modulo 2**64, which is enough to tell one export from another, and quick for millions of assets.
        added = _added(folder.rule)
        sums = tuple(compute.sum(table.column(column)).as_py() or 0 for column in Measures._fields[:added])
        if sums == dataset.measures[:added]:
            places.remove(place)
            return table
    raise folder.bad(file, f"does not add up to the totals of {printable(dataset.name)} in totals.json")


def _added(rule: Rule) -> int:
    """Return how many of the measures, from the first, add up to the totals in every table."""
    return 1 if rule.published else 3


def _top_of(table: Any) -> Any:
    """Keep the rows of a table of assets that can be among the first: a dataset may have millions."""
    if table.num_rows <= ASSETS_SHOWN:
        return table
    from pyarrow import compute

    order = [("bytes_sent", "descending"), ("asset_path", "ascending")]
    return table.take(compute.select_k_unstable(table, k=ASSETS_SHOWN, sort_keys=order))


def _assets(folder: _Folder, datasets: Sequence[Dataset]) -> tuple[tuple[Row, ...], int, Measures]:
    best: list[Row] = []
    number = 0
    places = _folders(folder)
    for dataset in datasets:
        table = _assets_of(folder, dataset, places.get(escape_controls(dataset.name), []))
        number += table.num_rows
        rows = (Row((dataset.name, *row.of), row.measures) for row in _rows(_top_of(table), "asset_path"))
        best = heapq.nsmallest(ASSETS_SHOWN, [*best, *rows], key=_most_bytes)
    return tuple(best), number, total_of(Row((one.name,), one.measures) for one in datasets)


def _check_sums(folder: _Folder, archive: Dataset, tables: Mapping[str, tuple[Row, ...]]) -> None:
    """Refuse tables that are not of one export: each of the archive's holds every request once."""
    added = _added(folder.rule)
    for name, rows in tables.items():
        sums = total_of(rows)[:added]
        for measure, total, expected in zip(
            Measures._fields[:added], sums, archive.measures[:added], strict=True
        ):
            if total != expected:
                what = f"its {measure} add up to {total}, but totals.json says {expected}"
                raise folder.bad(f"summaries/archive/{name}.parquet", what)


def read_export(out: Path) -> Export:
    """Read an export folder.

    Parameters
    ----------
    out : Path
        The folder; ``totals.json``, ``provenance.json``, ``names.tsv`` and Parquet files are read.

    Raises
    ------
    TicklineError
        A file is missing or damaged, or the files are not of one export.
    """
    folder = _Folder(out)
    provenance = _provenance(folder)
    archive, datasets = _totals(folder)
    by_day = _dated(folder, "summaries/archive/by_day.parquet", "date")
    by_week_type = _dated(folder, "summaries/archive/by_week_type.parquet", "week_start", "asset_type")
    regions = _rows(folder.table("summaries/archive/by_region.parquet", "region"), "region")
    by_region = tuple(sorted(regions, key=_most_bytes))
    tables = {"by_day": by_day, "by_week_type": by_week_type, "by_region": by_region}
    _check_sums(folder, archive, tables)
    assets, number, assets_sum = _assets(folder, datasets)
    return Export(
        archive,
        datasets,
        by_day,
        by_week_type,
        by_region,
        assets,
        number,
        assets_sum,
        provenance,
        folder.rule,
    )
