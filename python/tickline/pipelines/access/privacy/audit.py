"""Cells of an export at risk: small counts, what a subtraction gives, one requester behind a cell.

Works on what was written, whatever wrote it: the native layout and the one of s3-log-extraction, of this
program or of another. With the store at hand it also asks who is behind a cell.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import SourceError, UsageError, explain_os_error
from tickline.pipelines.access.regions.labels import OTHER
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.parts import import_arrow

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = ["COMPUTED", "DOMINANCE", "SMALL", "Risk", "audit"]

SMALL = "small count"
"""A count below the threshold is published, or one about fewer requesters than that."""
COMPUTED = "computed"
"""A number that is withheld is a sum less what is published."""
DOMINANCE = "dominance"
"""One requester has most of the bytes or requests of a published cell."""

_TABLES = {"by_day": "date", "by_region": "region", "by_asset": "asset_path", "by_dataset": "dataset"}
_COUNTS = ("number_of_requests", "number_of_downloads", "number_of_requesters")
_ADDED = _COUNTS[:2]
_ARCHIVE = "archive"
_AGAIN = "Export again, and look at what that wrote."

Key = tuple[str | None, str, str]
"""Dataset (None: the archive), table, row; a whole is the row "" of "totals"."""


@dataclass(frozen=True, order=True)
class Risk:
    """A cell at risk.

    Attributes
    ----------
    kind : str
        `SMALL`, `COMPUTED` or `DOMINANCE`.
    file : str
        Below OUT.
    row : str
        Which row of it, by its first column.
    measure : str
        Which column.
    text : str
        What is the matter, in a sentence; no addresses, no ids.
    """

    kind: str
    file: str
    row: str
    measure: str
    text: str


def audit(
    out: Path,
    folder: "StoreFolder | None" = None,
    options: SummaryOptions | None = None,
    *,
    threshold: int = 10,
    dominance: float = 0.8,
) -> list[Risk]:
    """List the cells of an export that tell about somebody.

    Parameters
    ----------
    out : Path
        The folder of the export.
    folder : StoreFolder, optional
        The store it was made of: without it nobody knows who is behind a cell.
    options : SummaryOptions, optional
        Catalog and rule for shared content of the export; only with `folder`.
    threshold : int
        Counts, and requesters behind counts, that are too few.
    dominance : float
        The share of one requester that is too much, more than 0 and at most 1.

    Returns
    -------
    list of Risk
        By kind, file and row.

    Raises
    ------
    UsageError
        There is no export, or an option makes no sense.
    SourceError
        A table of it is cut or is none.
    """
    if threshold < 1:
        raise UsageError(f"{threshold} is less than 1", where="threshold")
    if not 0 < dominance <= 1:
        raise UsageError(f"{dominance} is not a share: more than 0, at most 1", where="dominance")
    export = _Export(out)
    found = [*_small(export, threshold), *_computed(export)]
    if folder is not None:
        from tickline.pipelines.access.privacy.people import people_behind

        for key, people, measure, share in people_behind(
            folder, options or SummaryOptions(), export.regions, threshold, dominance
        ):
            if (file := export.file_of(key)) is None:
                continue
            if people < threshold and key[1] != "by_region":
                text = f"{people} requesters are behind a published count, fewer than {threshold}"
                found.append(Risk(SMALL, file, _row(key), _COUNTS[0], text))
            elif people < threshold:
                text = f"the row is about {people} requesters, fewer than {threshold}"
                found.append(Risk(SMALL, file, _row(key), "bytes_sent", text))
            if share >= dominance:
                text = f"one requester has {share:.0%} of it"
                found.append(Risk(DOMINANCE, file, _row(key), measure, text))
    return sorted(set(found))


class _Export:
    """The numbers of an export: None is one that is withheld.

    Attributes
    ----------
    values : dict of Key to dict of str to (int or None)
        Measures of each cell.
    """

    def __init__(self, out: Path) -> None:
        self._root = out / "summaries"
        if not (self._root / _ARCHIVE).is_dir():
            what = "holds no export with summaries of an archive"
            hint = "Name the OUT of tickline access export, native or with --profile s3-log-extraction."
            raise UsageError(what, where=str(out), hint=hint)
        self.values: dict[Key, dict[str, int | None]] = {}
        self._files: dict[tuple[str | None, str], str] = {}
        self.datasets: list[str] = []
        names = _names(out / "names.tsv")
        for place in sorted(path for path in self._root.iterdir() if path.is_dir()):
            dataset = None if place.name == _ARCHIVE else names.get(place.name, place.name)
            if dataset is not None:
                self.datasets.append(dataset)
            for table in _TABLES:
                path = place / f"{table}.tsv"
                if path.is_file():
                    self._files[dataset, table] = f"summaries/{place.name}/{path.name}"
                    for row, numbers in _read(path, _TABLES[table]):
                        self.values[dataset, table, row] = numbers
        self._read_totals(out)

    def _read_totals(self, out: Path) -> None:
        """Read the totals of either layout; in the one of s3-log-extraction their names are longer."""
        native = _json(out / "totals.json")
        if native:
            places = {None: "totals.json"} | dict.fromkeys(self.datasets, "totals.json")
            found = native.get("datasets", {}) | {None: native.get("archive", {})}
        else:
            places = {None: "summaries/archive_totals.json"}
            places |= dict.fromkeys(self.datasets, "summaries/totals.json")
            found = _json(self._root / "totals.json") | {None: _json(self._root / "archive_totals.json")}
        for dataset, totals in found.items():
            numbers: dict[str, int | None] = {}
            for name in ("bytes_sent", *_COUNTS):
                for known in (name, f"total_{name}"):
                    if known in totals:
                        numbers[name] = totals[known] if isinstance(totals[known], int) else None
            if numbers and dataset in places:
                self.values[dataset, "totals", ""] = numbers
                self._files[dataset, "totals"] = places[dataset]

    @property
    def regions(self) -> "dict[str | None, list[str]]":
        """The regions that are named, by dataset."""
        found: dict[str | None, list[str]] = {dataset: [] for dataset in (None, *self.datasets)}
        for dataset, table, row in self.values:
            if table == "by_region":
                found[dataset].append(row)
        return found

    def file_of(self, key: Key) -> str | None:
        """Return the file in which a cell is published, if it is."""
        numbers = self.values.get(key)
        if numbers is None or (key[1] != "by_region" and numbers.get(_COUNTS[0]) is None):
            return None
        return self.place(key)

    def place(self, key: Key) -> str:
        """Return the file of a cell."""
        return self._files[key[0], key[1]]


def _row(key: Key) -> str:
    """Return how a cell is told from the others of its file."""
    return key[2] if key[1] != "totals" else _ARCHIVE if key[0] is None else key[0]


# ---- small counts and subtractions ------------------------------------------------------------------


def _small(export: _Export, threshold: int) -> Iterator[Risk]:
    for key, numbers in export.values.items():
        for measure in _COUNTS:
            count = numbers.get(measure)
            if count is not None and 0 < count < threshold:
                text = f"{count} is published, less than {threshold}"
                yield Risk(SMALL, export.place(key), _row(key), measure, text)


def _computed(export: _Export) -> Iterator[Risk]:
    """Find sums of which one part, or the whole, is withheld and the rest published."""
    lines: dict[tuple[Any, ...], list[Key]] = defaultdict(list)
    margins: dict[tuple[Any, ...], Key] = {}
    for key in export.values:
        dataset, table, row = key
        whole: Key = (dataset, "totals", "")
        if table in ("by_day", "by_region", "by_asset"):
            lines[dataset, table].append(key)
            margins[dataset, table] = whole
        if dataset is None and table == "by_dataset":
            lines[table,].append(key)
            margins[table,] = (None, "totals", "")
        if dataset is not None and table in ("by_day", "by_region") and row != OTHER:
            lines[table, row, "all"].append(key)
            margins[table, row, "all"] = (None, table, row)
        if dataset is not None and table == "totals":
            lines["totals",].append(key)
            margins["totals",] = (None, "totals", "")
    for line, members in lines.items():
        margin = margins[line]
        if margin not in export.values:
            continue
        for measure in _ADDED:
            yield from _alone(export, members, margin, measure)
        if line[0] == "by_region":
            yield from _pooled_alone(export, members, margin)


def _alone(export: _Export, members: list[Key], margin: Key, measure: str) -> Iterator[Risk]:
    hidden = [key for key in (*members, margin) if export.values[key].get(measure) is None]
    if len(hidden) != 1:
        return
    whole = export.values[margin].get(measure)
    shown = sum(export.values[key].get(measure) or 0 for key in members)
    # Where sums were made of what is published, what is withheld counts in them as nothing.
    left = shown if whole is None else whole - shown
    if left > 0:
        text = f"it is about {left}: all other parts of a sum are published, and the sum"
        yield Risk(COMPUTED, export.place(hidden[0]), _row(hidden[0]), measure, text)


def _pooled_alone(export: _Export, members: list[Key], margin: Key) -> Iterator[Risk]:
    """Find a region that only one dataset can have in its pool."""
    known = {key[0] for key in members}
    pooled = [
        dataset
        for dataset in export.datasets
        if dataset not in known and (dataset, "by_region", OTHER) in export.values
    ]
    whole = export.values[margin].get("bytes_sent") or 0
    left = whole - sum(export.values[key].get("bytes_sent") or 0 for key in members)
    if len(pooled) == 1 and left > 0:
        text = f"{left} bytes of {margin[2]} are in it: every other dataset names its own"
        yield Risk(COMPUTED, export.place((pooled[0], "by_region", OTHER)), OTHER, "bytes_sent", text)


# ---- reading ----------------------------------------------------------------------------------------


def _read(path: Path, about: str) -> Iterator[tuple[str, dict[str, int | None]]]:
    """Give the rows of a table: what each is about, and its numbers."""
    table = _table(path)
    wanted = [name for name in ("bytes_sent", *_COUNTS) if name in table.column_names]
    if table.column_names[:2] != [about, "bytes_sent"]:
        raise SourceError(f"its header does not begin with {about}, bytes_sent", where=str(path), hint=_AGAIN)
    columns = [map(_number, table[name].to_pylist()) for name in wanted]
    for name, *numbers in zip(table[about].to_pylist(), *columns, strict=True):
        yield name, dict(zip(wanted, numbers, strict=True))


def _table(path: Path) -> "pyarrow.Table":
    pa = import_arrow()
    from pyarrow import csv

    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            raise SourceError("its last line is cut", where=str(path), hint=_AGAIN)
        header = content[: content.index(b"\n")].decode().split("\t")
        return csv.read_csv(
            pa.py_buffer(content),
            # A thread of Arrow may hold the bytes for a moment longer than the interpreter lives,
            # and then ends the process by abort (apache/arrow#34314): 2 of 180 runs on a busy machine.
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise SourceError("is no table of an export", where=str(path), hint=_AGAIN) from error
    except OSError as error:
        raise explain_os_error(error, path) from error


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _json(path: Path) -> dict[Any, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise SourceError("is no JSON", where=str(path), hint=_AGAIN) from error
    except OSError as error:
        raise explain_os_error(error, path) from error
    return found if isinstance(found, dict) else {}


def _names(path: Path) -> dict[str, str]:
    """Return the datasets of folders, where a file says so."""
    if not path.is_file():
        return {}
    rows: Iterable[list[str]] = (line.split("\t") for line in path.read_text("utf-8").splitlines()[1:])
    return {row[0]: row[1] for row in rows if len(row) == 2}
