"""Tables in the making: texts are numbers of a list, so that millions of rows stay small until written."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.summaries.assets import text_of
from tickline.pipelines.access.summaries.cache import CacheFolder, State

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = [
    "SUMS",
    "AssetTable",
    "Coded",
    "Frame",
    "LongFrame",
    "order_of_texts",
    "range_of",
    "regrouped",
    "schema_of",
]

SUMS = ("bytes_sent", "number_of_requests", "number_of_downloads", "number_of_requesters")
"""Columns of numbers of every table, in this order: unsigned integers of 64 bits."""


def schema_of(keys: Sequence[str], *, withheld: bool = False) -> "pyarrow.Schema":
    """Return the columns of a table as it is written, from what its rows are about.

    With `withheld` counts may be null.
    """
    import pyarrow as pa

    kinds = {"date": pa.date32(), "week_start": pa.date32()}
    fields = [pa.field(key, kinds.get(key, pa.string()), nullable=False) for key in keys]
    fields += [pa.field(name, pa.uint64(), nullable=withheld and name != SUMS[0]) for name in SUMS]
    return pa.schema(fields)


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as numbers of values."""

    values: "pyarrow.Array"
    codes: "NDArray[Any]"


@dataclass(frozen=True, slots=True)
class Frame:
    """A table before it is written.

    Attributes
    ----------
    columns : dict of str to Coded
        What the rows are about, in order.
    sums : ndarray of uint64 of shape (4, rows)
        Columns `SUMS`.
    """

    columns: dict[str, Coded]
    sums: "NDArray[np.uint64]"

    def __len__(self) -> int:
        return int(self.sums.shape[1])

    def table(self, begin: int = 0, end: int | None = None) -> "pyarrow.Table":
        """Return some rows as an Arrow table in one piece: plain text, dates and unsigned numbers."""
        import numpy as np
        import pyarrow as pa

        rows = slice(begin, end)
        arrays: list[Any] = [
            column.values.take(pa.array(column.codes[rows])) for column in self.columns.values()
        ]
        arrays += [pa.array(np.ascontiguousarray(values[rows])) for values in self.sums]
        return pa.table(arrays, names=[*self.columns, *SUMS])

    def tables(self, rows: int) -> "Iterator[pyarrow.Table]":
        """Give the table in pieces of so many rows."""
        for begin in range(0, len(self), rows):
            yield self.table(begin, begin + rows)

    def take(self, rows: "NDArray[np.int64]") -> "Frame":
        """Return some rows, in that order."""
        columns = {name: Coded(column.values, column.codes[rows]) for name, column in self.columns.items()}
        return Frame(columns, self.sums[:, rows])

    @staticmethod
    def joined(first: str, frames: "Sequence[tuple[str, Frame | LongFrame]]") -> "pyarrow.Table":
        """Return frames below each other, with a first column of this name that tells them apart."""
        import pyarrow as pa

        tables = []
        for name, frame in frames:
            table = frame.table()
            tables.append(table.add_column(0, first, pa.repeat(name, table.num_rows)))
        return pa.concat_tables(tables)


@dataclass(frozen=True, slots=True)
class LongFrame:
    """A table that is read piece by piece when it is written.

    Attributes
    ----------
    pieces : callable
        Gives the rows in order, as frames of any lengths; the first one may be empty.
    """

    pieces: "Callable[[], Iterator[Frame]]"

    def tables(self, rows: int) -> "Iterator[pyarrow.Table]":
        """Give the table in pieces of so many rows."""
        return regrouped((piece.table() for piece in self.pieces()), rows)

    def table(self) -> "pyarrow.Table":
        """Return the whole table."""
        import pyarrow as pa

        return pa.concat_tables([piece.table() for piece in self.pieces()]).combine_chunks()


def regrouped(tables: "Iterable[pyarrow.Table]", rows: int) -> "Iterator[pyarrow.Table]":
    """Give the rows of tables in pieces of so many rows, each in one chunk."""
    import pyarrow as pa

    waiting: list[pyarrow.Table] = []
    held = 0
    for table in tables:
        waiting.append(table)
        held += table.num_rows
        while held >= rows:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, rows).combine_chunks()
            waiting, held = [whole.slice(rows)], held - rows
    if held:
        yield pa.concat_tables(waiting).combine_chunks()


def order_of_texts(texts: "pyarrow.Array | pyarrow.ChunkedArray") -> "NDArray[np.int64]":
    """Return the order of texts by their UTF-8 bytes."""
    import numpy as np
    import pyarrow.compute as pc

    order: NDArray[np.int64] = pc.sort_indices(texts).to_numpy().astype(np.int64)
    return order


class AssetTable:
    """Datasets and paths of all assets, and their order by the bytes of the paths."""

    def __init__(self, cache: CacheFolder, state: State) -> None:
        import numpy as np
        import pyarrow as pa

        segments = [cache.read(state, file, "datasets", "paths") for file in state.segments]
        texts = [text_of(segment["paths"]) for segment in segments]
        empty = pa.array([], pa.large_string())
        self.paths = pa.concat_arrays([empty, *texts])
        self.datasets = np.concatenate(
            [np.zeros(0, np.uint32), *(segment["datasets"] for segment in segments)]
        )
        self._by_dataset = np.argsort(self.datasets, kind="stable")
        self._ordered = self.datasets[self._by_dataset]
        self._ranked: dict[int, NDArray[np.int64]] = {}

    def in_order(self, dataset: int) -> "NDArray[np.int64]":
        """Return the assets of a dataset, by the bytes of their paths."""
        import pyarrow as pa

        if dataset not in self._ranked:
            begin, end = range_of(self._ordered, dataset)
            assets = self._by_dataset[begin:end]
            self._ranked[dataset] = assets[order_of_texts(self.paths.take(pa.array(assets)))]
        return self._ranked[dataset]

    def paths_of(self, dataset: int) -> "pyarrow.Array":
        """Return the paths of a dataset, in no order."""
        import pyarrow as pa

        begin, end = range_of(self._ordered, dataset)
        return self.paths.take(pa.array(self._by_dataset[begin:end]))

    def ranks(self, wanted: "NDArray[np.bool_]") -> "NDArray[np.int64]":
        """Return the place of each asset within its dataset, for the datasets that are wanted."""
        import numpy as np

        ranks = np.zeros(len(self.datasets), np.int64)
        for dataset in np.flatnonzero(wanted).tolist():
            order = self.in_order(dataset)
            ranks[order] = np.arange(len(order))
        return ranks


def range_of(ordered: "NDArray[Any]", value: int) -> tuple[int, int]:
    """Return where a value begins and ends in an ordered array."""
    import numpy as np

    begin, end = np.searchsorted(ordered, [value, value + 1]).tolist()
    return begin, end
