"""Rows of a part: put in order, cut by month, and summed up by day, key and requester."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError
from tickline.store.parts import daily_schema, import_arrow, used_only

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = [
    "by_month",
    "coded",
    "daily_of",
    "groups_of",
    "month_of",
    "one_chunk",
    "ranks",
    "sort_rows",
    "sum_groups",
]

_DAY_MS = 86_400_000


def one_chunk(column: "pyarrow.ChunkedArray") -> Any:
    """Return a column as one array."""
    whole = column.combine_chunks()
    return whole.chunk(0) if hasattr(whole, "chunk") else whole


def ranks(column: "pyarrow.ChunkedArray") -> "tuple[NDArray[np.int64], pyarrow.Array]":
    """Number the values of a column in their order.

    Returns
    -------
    (ndarray of int64, pyarrow.Array)
        For each row the rank of its value, and the distinct values in order (texts by their UTF-8 bytes).
        Null has the rank behind the last one.
    """
    import numpy as np

    pa = import_arrow()
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if coded.num_chunks > 1:
        # Slices of runs: without what they do not hold, one dictionary for all is made ten times as fast.
        coded = pa.chunked_array([used_only(chunk) for chunk in coded.chunks], coded.type)
    coded = one_chunk(coded.unify_dictionaries())
    values = coded.dictionary
    codes = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    used = np.zeros(len(values) + 1, dtype=bool)
    used[codes] = True
    order = pa.compute.sort_indices(values).to_numpy()
    order = order[used[order]]
    rank_of = np.empty(len(values) + 1, dtype=np.int64)
    rank_of[order] = np.arange(len(order))
    rank_of[len(values)] = len(order)
    return rank_of[codes], values.take(pa.array(order))


def order_of(*columns: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Return the stable order of rows by several columns of numbers >= 0, the first one leading."""
    import numpy as np

    bits = [max(int(column.max(initial=0)).bit_length(), 1) for column in columns]
    if sum(bits) > 63:
        return np.lexsort(columns[::-1])
    whole = columns[0]
    for column, width in zip(columns[1:], bits[1:], strict=True):
        whole = (whole << width) | column
    return np.argsort(whole, kind="stable")


def access_order(
    rank: "NDArray[np.int64]", time: "NDArray[np.int64]", source: "NDArray[Any]", line: "NDArray[Any]"
) -> "NDArray[np.int64]":
    """Return the order of rows by four columns, nearly as fast as by two.

    A stable sort by key and time leaves little to do: only rows that have both in common are then compared by
    source and line.
    """
    import numpy as np

    since = time - (time.min() if len(time) else 0)
    width = max(int(since.max(initial=0)).bit_length(), 1)
    if width + int(rank.max(initial=0)).bit_length() > 63:
        return np.lexsort((line, source, time, rank))
    both = (rank << width) | since
    order = np.argsort(both, kind="stable")
    ordered = both[order]
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return order
    tied = np.zeros(len(order), dtype=bool)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    order[tied] = rows[np.lexsort((line[rows], source[rows], both[rows]))]
    return order


def sort_rows(table: "pyarrow.Table") -> "pyarrow.Table":
    """Put rows in the order (key, time, source, line), keys by their bytes and null last.

    The key becomes a dictionary in order, whatever it was.
    """
    pa = import_arrow()
    rank, keys = ranks(table["key"])
    time = table["time"].cast(pa.int64()).to_numpy()
    order = access_order(rank, time, table["source"].to_numpy(), table["line"].to_numpy())
    at = table.column_names.index("key")
    # Chunks with dictionaries of their own cannot be taken from.
    rest = table.drop_columns(["key"]).unify_dictionaries().combine_chunks().take(pa.array(order))
    return rest.add_column(at, "key", coded(rank[order], keys))


def month_of(day: int) -> str:
    """Return the month of a day since 1970: ``2024-05``."""
    import numpy as np

    return str(np.datetime64(day, "D").astype("datetime64[M]"))


def months_of(times: "pyarrow.ChunkedArray") -> list[int]:
    """Return the distinct months, counted from January 1970, of times in milliseconds."""
    import numpy as np

    months = times.to_numpy().astype("datetime64[ms]").astype("datetime64[M]")
    distinct: list[int] = np.unique(months).astype(np.int64).tolist()
    return distinct


def by_month(table: "pyarrow.Table") -> "Iterator[tuple[str, pyarrow.Table]]":
    """Cut rows by the month of their time (UTC); each piece keeps their order."""
    pa = import_arrow()
    import numpy as np

    months = table["time"].cast(pa.int64()).to_numpy().astype("datetime64[ms]").astype("datetime64[M]")
    distinct = np.unique(months)
    for month in distinct:
        piece = table if len(distinct) == 1 else table.filter(pa.array(months == month))
        yield str(month), piece


def groups_of(*columns: "NDArray[np.int64]") -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Return the order of rows by these columns, and where in it each group of equal ones begins."""
    import numpy as np

    order = order_of(*columns)
    changes = np.zeros(len(order), dtype=bool)
    changes[:1] = True
    for column in columns:
        ordered = column[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    return order, np.flatnonzero(changes)


def sum_groups(values: "NDArray[np.uint64]", begins: "NDArray[np.int64]", what: str) -> "NDArray[np.uint64]":
    """Add up groups of rows exactly.

    Raises
    ------
    TicklineError
        A sum could pass 2**64 - 1: a log holds sizes that no object has.
    """
    import numpy as np

    # In floats the sum of all rows is near enough to tell.
    if float(values.sum(dtype=np.float64)) > 1.8e19:
        hint = "A log holds numbers of bytes that no object can have; find it with tickline access read."
        raise TicklineError(f"the sum of {what} passes 64 bits", hint=hint)
    return np.add.reduceat(values, begins) if len(begins) else values[:0]


def daily_of(table: "pyarrow.Table") -> "pyarrow.Table":
    """Sum rows of a part up by day, key and requester, in that order, nulls last.

    Requests are rows, downloads those of status 200; bytes that the log does not name count as none.
    """
    pa = import_arrow()
    import numpy as np

    rank, keys = ranks(table["key"])
    day = table["time"].cast(pa.int64()).to_numpy() // _DAY_MS
    requester, ids = ranks(table["requester_id"])
    first = int(day.min(initial=0))
    order, begins = groups_of(day - first, rank, requester)
    sent = table["bytes_sent"].fill_null(0).to_numpy()[order]
    downloads = (table["http_status"].fill_null(0).to_numpy()[order] == 200).astype(np.uint64)
    firsts = order[begins]
    ends = np.append(begins[1:], len(order))
    columns: dict[str, Any] = {
        "day": pa.array(day[firsts].astype(np.int32)).cast(pa.date32()),
        "key": coded(rank[firsts], keys),
        "requester_id": ids.take(pa.array(requester[firsts], mask=requester[firsts] == len(ids))),
        "bytes_sent": sum_groups(sent, begins, "bytes sent"),
        "requests": (ends - begins).astype(np.uint64),
        "downloads": sum_groups(downloads, begins, "downloads"),
    }
    return pa.table(columns).select(daily_schema().names)


def coded(codes: "NDArray[np.int64]", values: "pyarrow.Array") -> Any:
    import numpy as np

    pa = import_arrow()
    indices = pa.array(codes.astype(np.int32), mask=codes == len(values))
    return pa.DictionaryArray.from_arrays(indices, values)
