"""The tables of s3-log-extraction and of its plug-in for DANDI.

Layout (version 1.10.6 of the program, 1.1.0 of the plug-in): tabs, a header, ``\\n``, no index. Dashboards
read the columns at positions 0 and 1, and rely on the names of the files; neither depends on any rule.

==============================  ============================================================================
``by_day.tsv``                  ``date bytes_sent number_of_requests number_of_downloads``
``by_asset.tsv``                the same with ``asset_path``
``by_region.tsv``               the same with ``region``
``requester_count.tsv``         one number, without a header
``by_asset_per_week.tsv``       ``week_start``, then a column of bytes for each asset
``by_asset_type_per_week.tsv``  ``week_start``, then a column of bytes for each type
==============================  ============================================================================
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.privacy.privacy import Count, Privacy
from tickline.pipelines.access.summaries.assets import TYPES
from tickline.pipelines.access.summaries.frames import Frame, LongFrame

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from tickline.pipelines.access.summaries.options import SummaryOptions
    from tickline.pipelines.access.summaries.summaries import Summaries
    from tickline.store.folder import StoreFolder

__all__ = [
    "COUNTS",
    "TABLES",
    "Files",
    "FixedTables",
    "count_table",
    "json_text",
    "row_text",
    "texts_of",
    "week_files",
]

TABLES = {"by_day": "date", "by_asset": "asset_path", "by_region": "region"}
"""Tables of counts, and what their rows are about."""

COUNTS = ("number_of_requests", "number_of_downloads")

_WEEKS = ("by_asset_per_week", "by_asset_type_per_week")
_ROWS = 65_536
_TOTALS = {
    "total_bytes_sent": "total_bytes_sent",
    "number_of_unique_regions": "number_of_unique_regions",
    "number_of_unique_countries": "number_of_unique_countries",
    "total_number_of_requests": "number_of_requests",
    "total_number_of_downloads": "number_of_downloads",
    "number_of_requesters": "number_of_requesters",
}

Files = Iterator[tuple[str, Iterable[bytes]]]
"""Names of files, and what is in them."""


class FixedTables:
    """All files of the layout, made of the rows of the store.

    Parameters
    ----------
    folder, summaries, options
        The store, what it holds, and how that was asked for.
    rules : Privacy
        What is done to the numbers.
    """

    def __init__(
        self, folder: "StoreFolder", summaries: "Summaries", rules: Privacy, options: "SummaryOptions"
    ) -> None:
        self._folder, self._summaries, self._rules, self._options = folder, summaries, rules, options
        datasets, archive = summaries.totals(summaries.datasets)
        self._totals: dict[str | None, dict[str, Count]] = {
            name: rules.totals(name, totals) for name, totals in (*datasets.items(), (None, archive))
        }

    def version(self, dataset: str | None) -> str:
        """Return a word that changes when files of a dataset (None: of the archive) may have changed."""
        return f"{self._summaries.version(dataset)} {self._rules.digest(dataset)}"

    def files(self, dataset: str | None) -> list[str]:
        """Return the files that a dataset has."""
        tables = [*TABLES, "requester_count", *_WEEKS]
        if dataset is None:
            tables = [table for table in tables if table not in ("by_asset", "by_asset_per_week")]
        return [f"{table}.tsv" for table in tables]

    def totals(self, datasets: Sequence[str]) -> "dict[str, dict[str, Count]]":
        """Return what ``totals.json`` holds."""
        return {name: self._named(name) for name in datasets}

    def archive_totals(self) -> "dict[str, Count]":
        """Return what ``archive_totals.json`` holds."""
        return self._named(None)

    def _named(self, dataset: str | None) -> "dict[str, Count]":
        return {theirs: self._totals[dataset][ours] for theirs, ours in _TOTALS.items()}

    def dataset(self, name: str, frames: "dict[str, Frame | LongFrame]") -> Files:
        """Give the files of a dataset; `frames` are all of its tables."""
        yield from self._counts(name, frames)
        yield from week_files(frames)

    def archive(self) -> Files:
        """Give the files of the archive."""
        frames = self._summaries.archive_frames()
        yield from self._counts(None, frames)
        yield from week_files(frames)

    def _counts(self, name: str | None, frames: "dict[str, Frame | LongFrame]") -> Files:
        for table, about in TABLES.items():
            frame = frames.get(table)
            if isinstance(frame, Frame):
                shown, hidden = self._rules.apply(table, name, frame)
                texts = texts_of(shown, about)
                yield f"{table}.tsv", count_table(table, texts, shown.sums, hidden, self._rules.word)
        yield "requester_count.tsv", [row_text([self._totals[name]["number_of_requesters"]])]


def row_text(values: Iterable[object]) -> bytes:
    """Return one row."""
    return ("\t".join(map(str, values)) + "\n").encode()


def texts_of(frame: Frame, about: str) -> "pyarrow.Array":
    """Return what the rows of a frame are about, as text; control characters become ``%XX``."""
    import pyarrow as pa

    from tickline.pipelines.access.export.files import escaped

    column = frame.columns[about]
    taken = column.values.take(pa.array(column.codes)).cast(pa.large_string())
    shown = escaped(pa.chunked_array([taken]))
    return pa.concat_arrays(shown.chunks) if isinstance(shown, pa.ChunkedArray) else shown


def count_table(
    table: str, texts: "pyarrow.Array", sums: "NDArray[np.uint64]", hidden: "NDArray[np.bool_]", word: str
) -> Iterator[bytes]:
    """Give a table of counts.

    Parameters
    ----------
    table : str
        One of `TABLES`.
    texts : pyarrow.Array
        What the rows are about.
    sums, hidden : ndarray of shape (at least 3, rows)
        Bytes, requests and downloads; and where `word` stands for them.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    yield row_text([TABLES[table], "bytes_sent", *COUNTS])
    text = pa.large_string()
    for begin in range(0, len(texts), _ROWS):
        rows = slice(begin, begin + _ROWS)
        columns = [
            pc.fill_null(
                pa.array(np.ascontiguousarray(values[rows]), mask=mask[rows]).cast(text),
                pa.scalar(word, text),
            )
            for values, mask in zip(sums[:3], hidden[:3], strict=True)
        ]
        joined = pc.binary_join_element_wise(texts.slice(begin, _ROWS), *columns, pa.scalar("\t", text))
        yield ("\n".join([*joined.to_pylist(), ""])).encode()


def json_text(value: Any) -> bytes:
    """Return a JSON file as the program writes it: keys sorted, two blanks."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


# ---- by week ----------------------------------------------------------------------------------------


def week_files(frames: "dict[str, Frame | LongFrame]") -> Files:
    """Give the tables by week of what has these frames."""
    types, weeks, assets = (frames.get(name) for name in ("by_week_type", "by_week_asset", "by_asset"))
    if weeks is not None and isinstance(assets, Frame):
        codes = assets.columns["asset_path"].codes
        yield f"{_WEEKS[0]}.tsv", asset_weeks(weeks, texts_of(assets, "asset_path"), codes)
    if isinstance(types, Frame):
        yield f"{_WEEKS[1]}.tsv", type_weeks(types)


def type_weeks(frame: Frame) -> Iterator[bytes]:
    """Give the table of bytes by week and type; types that never occur have no column."""
    import numpy as np

    types = frame.columns["asset_type"].values.to_pylist()
    present = [TYPES.index(types[code]) for code in frame.columns["asset_type"].codes.tolist()]
    columns = [kind for kind in range(len(TYPES)) if kind in set(present)]
    yield row_text(["week_start", *(TYPES[kind] for kind in columns)])
    place = {kind: at for at, kind in enumerate(columns)}
    weeks, sums = frame.columns["week_start"], frame.sums[0].tolist()
    names = weeks.values.to_pylist()
    cells = np.zeros((len(names), len(columns)), object)
    for week, kind, size in zip(weeks.codes.tolist(), present, sums, strict=True):
        cells[week, place[kind]] += size
    for at in np.unique(weeks.codes).tolist():
        yield row_text([names[at], *cells[at]])


def asset_weeks(frame: Frame | LongFrame, paths: "pyarrow.Array", assets: "NDArray[Any]") -> Iterator[bytes]:
    """Give the table of bytes by week and asset, week by week: only one row is held.

    Parameters
    ----------
    frame : Frame or LongFrame
        The table ``by_week_asset``.
    paths : pyarrow.Array
        Names of the columns.
    assets : ndarray
        The number of each column's asset, as the frame codes them.
    """
    import numpy as np

    yield b"week_start\t" + "\t".join(paths.to_pylist()).encode() + b"\n"
    order = np.argsort(assets)
    ordered = assets[order]
    for week, codes, sums in _weeks(frame):
        row = np.zeros(len(assets), np.uint64)
        row[order[np.searchsorted(ordered, codes)]] = sums
        yield row_text([week, *row.tolist()])


def _weeks(frame: Frame | LongFrame) -> "Iterator[tuple[Any, NDArray[Any], NDArray[np.uint64]]]":
    """Give each week, its assets and their bytes."""
    import numpy as np

    for piece in frame.pieces() if isinstance(frame, LongFrame) else (frame,):
        weeks = piece.columns["week_start"]
        for week in np.unique(weeks.codes).tolist():
            rows = weeks.codes == week
            yield weeks.values[week].as_py(), piece.columns["asset_path"].codes[rows], piece.sums[0][rows]
