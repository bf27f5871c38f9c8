"""All requests for one key, without reading what lies around it."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.store.ledger import PartFile
from tickline.store.merge import open_part
from tickline.store.parts import import_arrow, part_schema
from tickline.store.rows import one_chunk

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from tickline.store.folder import StoreFolder

__all__ = ["accesses_of_key"]


def accesses_of_key(folder: "StoreFolder", key: str | None) -> "pyarrow.Table":
    """Return all requests for one key, oldest first; after compaction one file a month is opened for it.

    Parameters
    ----------
    key : str or None
        As logged; None for requests without a key.

    Raises
    ------
    TicklineError
        A file is gone or damaged.
    """
    pa = import_arrow()
    snapshot = folder.ledger.snapshot()
    tables = [part_schema(folder.settings.dedupe_lines).empty_table()]
    for part in snapshot.parts:
        if part.has_null_key if key is None else _may_hold(part, key):
            tables += _rows_of_key(folder.path / part.path, key)
    table = pa.concat_tables(tables)
    if snapshot.replaced:
        gone = pa.compute.is_in(table["source"], pa.array(sorted(snapshot.replaced), pa.uint32()))
        table = table.filter(pa.compute.invert(gone))
    # Table.sort_by would wake a pool of threads for a handful of rows.
    order = [("time", "ascending"), ("source", "ascending"), ("line", "ascending")]
    return table.take(pa.compute.sort_indices(table, sort_keys=order))


def _may_hold(part: PartFile, key: str) -> bool:
    return part.first_key is not None and part.last_key is not None and part.first_key <= key <= part.last_key


@lru_cache(maxsize=256)
def _footer(path: Path) -> Any:
    """Return a file's metadata: parts never change, and a key is rarely asked for alone."""
    with open_part(path, "accesses") as file:
        return file.metadata


def _rows_of_key(path: Path, key: str | None) -> "list[pyarrow.Table]":
    """Read the row groups whose span of keys holds the key."""
    pa = import_arrow()
    found: list[pyarrow.Table] = []
    with open_part(path, "accesses", _footer(path)) as file:
        column = file.schema_arrow.get_field_index("key")
        for number in _groups_of_key(file.metadata, column, key):
            # Overlapping runs mostly lack the key, but compacted ones hold it: one reading
            # of all columns is cheaper than two.
            table = file.read_row_group(number, use_threads=False)
            rows = _places(one_chunk(table["key"]), key)
            if not len(rows):
                continue
            table = table.take(pa.array(rows))
            texts = {"key": pa.string(), "operation": pa.string(), "agent_class": pa.string()}
            schema = pa.schema([field.with_type(texts.get(field.name, field.type)) for field in table.schema])
            found.append(table.cast(schema))
    return found


def _places(keys: "pyarrow.DictionaryArray", key: str | None) -> "NDArray[np.int64]":
    """Return the rows of a key: its code is looked for, the text itself only once."""
    import numpy as np

    code = len(keys.dictionary) if key is None else keys.dictionary.index(key).as_py()
    return np.flatnonzero(keys.indices.fill_null(len(keys.dictionary)).to_numpy() == code)


def _groups_of_key(metadata: Any, column: int, key: str | None) -> Iterator[int]:
    """Yield the row groups that may hold a key: they are in its order, those without any key last."""
    count = metadata.num_row_groups

    def span(number: int) -> Any:
        return metadata.row_group(number).column(column).statistics

    def last_key(number: int) -> tuple[bool, str]:
        found = span(number)
        known = found is not None and found.has_min_max
        return (False, found.max) if known else (True, "")

    if key is None:
        for number in reversed(range(count)):
            found = span(number)
            if found is not None and found.has_null_count and not found.null_count:
                return
            yield number
        return
    for number in range(bisect_left(range(count), (False, key), key=last_key), count):
        found = span(number)
        if found is None or not found.has_min_max or found.min > key:
            return
        yield number
