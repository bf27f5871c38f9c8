"""Rows of a store as a stream, key by key or source by source: what trees of many files are made from.

Only rows that dandi_s3_log_parser and s3-log-extraction keep: ``REST.GET.OBJECT`` with a status of 2xx,
whatever the store holds besides. The trees of those programs name no status; a row without one counts as kept
where it came in from such a tree.

The daily sums say how many rows each key has. By them the keys are cut into stretches of a million rows,
and DuckDB puts one stretch after the other in order. What does not fit into its memory, as one key with a
thousand million rows, goes to a folder in the store: memory is bounded, whatever the store holds.
"""

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.ingest.inputs import input_order
from tickline.pipelines.access.trees.lookup import addresses_of, labels_of
from tickline.store.parts import import_arrow, part_schema
from tickline.store.query import connect, running

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = [
    "KeyRows",
    "SourceRows",
    "key_batches",
    "keys_of",
    "rows_by_key",
    "source_batches",
    "sources_in_order",
]

_ORDERS = {"line": "key, place, line", "time": "key, time, place, line"}
_STRETCH_ROWS = 1_000_000
_STRETCH_KEYS = 50_000
_BATCH_ROWS = 100_000
_MEMORY = "300MB"


@dataclass(frozen=True, slots=True)
class KeyRows:
    """Rows of some keys.

    Attributes
    ----------
    keys : list of (str or None)
        In the order of their UTF-8 bytes, None (no key was logged) last. The first one may be the last one of
        the batch before: then its rows go on.
    begins : list of int
        Where in `table` the rows of each key begin, and at the end the number of all rows.
    table : pyarrow.Table
        The columns that were asked for.
    """

    keys: "list[str | None]"
    begins: list[int]
    table: "pyarrow.Table"


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of some sources; `sources` holds their numbers, the rest is as in `KeyRows`."""

    sources: list[int]
    begins: list[int]
    table: "pyarrow.Table"


def rows_by_key(
    folder: "StoreFolder",
    *,
    columns: Sequence[str],
    keys: "Iterable[str | None] | None" = None,
    days: Collection[int] | None = None,
    order: str = "line",
) -> "Iterator[tuple[str | None, pyarrow.Table]]":
    """Give the kept rows of a store key by key.

    Parameters
    ----------
    folder : StoreFolder
        An open store. All rows are those of one commit, the last one when the first of them is asked for.
    columns : sequence of str
        Columns of a part (`tickline.store.parts.part_schema`), and two that are looked up: ``ip_address``
        (text; null where the log has ``-``) and ``region`` (text; ``missing`` where no address was logged,
        null where the requester has no label yet: see `label_requesters`).
    keys : iterable of (str or None), optional
        Only these; those without rows are left out.
    days : collection of int, optional
        Only keys that were asked for on one of these days (since 1970), but all of their rows. With
        ``folder.ledger.days_since(commit)`` all keys with rows that later commits brought are among them.
    order : str
        Of the rows of a key. ``"line"``: by source in natural order of names (`sources_in_order`), then by
        line, as they stand in the logs. ``"time"``: by time, then by source and line.

    Yields
    ------
    (str or None, pyarrow.Table)
        A key and some of its rows, at most some 100,000. If there are more it comes again with the next ones,
        at once. Keys come in the order of their UTF-8 bytes, None last; without kept rows they do not come.

    Raises
    ------
    TicklineError
        A file of the store cannot be used, there is no room for what does not fit into memory, or the
        address of a requester is not known (any more).
    """
    for batch in key_batches(folder, columns=columns, keys=keys, days=days, order=order):
        for key, begin, end in zip(batch.keys, batch.begins[:-1], batch.begins[1:], strict=True):
            yield key, batch.table.slice(begin, end - begin)


def key_batches(
    folder: "StoreFolder",
    *,
    columns: Sequence[str],
    keys: "Iterable[str | None] | None" = None,
    days: Collection[int] | None = None,
    order: str = "line",
) -> Iterator[KeyRows]:
    """Give the same as `rows_by_key`, many keys at a time."""
    with _Reader(folder, columns) as reader:
        for stretch in _stretches(reader.connection, keys, days):
            for table in reader.rows(*_only_keys(stretch), _ORDERS[order], also="key"):
                values, begins = _runs(table["key"])
                yield KeyRows(values, begins, reader.finished(table))


def source_batches(
    folder: "StoreFolder", *, columns: Sequence[str], sources: Collection[int]
) -> Iterator[SourceRows]:
    """Give the kept rows of some sources, one source after the other, in the order of their lines.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    columns : sequence of str
        As in `rows_by_key`.
    sources : collection of int
        Their numbers.

    Yields
    ------
    SourceRows
        In natural order of the names of the sources; those without kept rows do not come.

    Raises
    ------
    TicklineError
        As in `rows_by_key`.
    """
    with _Reader(folder, columns) as reader:
        accepted = dict(map(tuple, folder.ledger.rows("SELECT id, accepted FROM sources")))
        wanted = frozenset(sources)
        for some in _cut((source, accepted[source]) for source in reader.places if source in wanted):
            for table in reader.rows(_only_sources(folder, some), {}, "place, line", also="source"):
                values, begins = _runs(table["source"])
                yield SourceRows(values, begins, reader.finished(table))


def keys_of(folder: "StoreFolder", days: Collection[int] | None = None) -> "Iterator[list[str | None]]":
    """Give the keys of a store in their order, some at a time; of some days only, if they are given.

    They may be more than `rows_by_key` has rows for: all keys of the daily sums.
    """
    with contextlib.closing(connect(folder, memory=_MEMORY)) as connection:
        for batch in _counted_keys(connection, None, days):
            yield batch["key"].to_pylist()


def sources_in_order(folder: "StoreFolder") -> list[tuple[int, str | None]]:
    """Return number and name of every source, in natural order of the names.

    A source with several names, as one has whose copies lie elsewhere, goes by the first in that order; those
    without, as replaced ones, come first.
    """
    folder.ledger.db.create_function("input_order", 1, input_order, deterministic=True)
    sql = (
        "SELECT id, NULL FROM sources WHERE id NOT IN (SELECT source FROM names) "
        "UNION ALL SELECT source, name FROM (SELECT source, name FROM names ORDER BY input_order(name), name)"
    )
    places: dict[int, str | None] = {}
    for source, name in folder.ledger.rows(sql):
        places.setdefault(source, name)
    return list(places.items())


# ---- which keys, which sources ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Keys in order; `whole` if no other key of the store stands between the first and the last one."""

    keys: "list[str | None]"
    whole: bool


def _stretches(
    connection: Any, keys: "Iterable[str | None] | None", days: Collection[int] | None
) -> Iterator[_Stretch]:
    """Cut the keys that are wanted into stretches, None into one of its own."""
    counted = (
        pair
        for batch in _counted_keys(connection, keys, days)
        for pair in zip(batch["key"].to_pylist(), batch["requests"].to_pylist(), strict=True)
    )
    for some in _cut(counted):
        last = [some.pop()] if some[-1] is None else []
        for part in filter(None, (some, last)):
            yield _Stretch(part, whole=keys is None and days is None)


def _counted_keys(
    connection: Any, keys: "Iterable[str | None] | None", days: Collection[int] | None
) -> "Iterator[pyarrow.Table]":
    """Give keys in their order, and how many rows each has."""
    pa = import_arrow()
    where, having = "true", "true"
    wanted = dict.fromkeys(keys or ())
    texts = pa.array([key for key in wanted if key is not None], pa.string())
    if keys is not None:
        where = "key IN (FROM wanted)" + (" OR key IS NULL" if None in wanted else "")
    if days is not None:
        numbers = ", ".join(map(str, sorted(days))) or "NULL"
        having = f"bool_or(day - DATE '1970-01-01' IN ({numbers}))"
    sql = (
        f"SELECT key, sum(requests)::UBIGINT AS requests FROM daily WHERE {where} "  # noqa: S608 (our own)
        f"GROUP BY key HAVING {having} ORDER BY key NULLS LAST"
    )
    # Of its own, as this result stays open while the rows of the stretches are read.
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.register("wanted", pa.table({"key": texts}))
        yield from _batches(cursor, sql, {}, _STRETCH_KEYS)


def _cut(counted: "Iterable[tuple[Any, int]]") -> Iterator[list[Any]]:
    """Cut things with numbers of rows into lists; only a list of one thing has too many rows."""
    waiting: list[Any] = []
    held = 0
    for thing, rows in counted:
        if waiting and (held + rows > _STRETCH_ROWS or len(waiting) == _STRETCH_KEYS):
            yield waiting
            waiting, held = [], 0
        waiting.append(thing)
        held += rows
    if waiting:
        yield waiting


def _only_keys(stretch: _Stretch) -> tuple[str, dict[str, Any]]:
    """Return the condition for the keys of a stretch, and what it refers to."""
    if stretch.keys == [None]:
        return "key IS NULL", {}
    ends = {"first": stretch.keys[0], "last": stretch.keys[-1]}
    between = "key BETWEEN $first AND $last"
    if stretch.whole:
        return between, ends
    pa = import_arrow()
    some = pa.table({"key": pa.array(stretch.keys, pa.string())})
    return between + " AND key IN (FROM stretch)", {**ends, "stretch": some}


def _only_sources(folder: "StoreFolder", sources: Sequence[int]) -> str:
    """Return the condition for some sources; their times save reading the parts of other months."""
    sql = (
        "SELECT coalesce(min(first_ms), 0), coalesce(max(last_ms), -1) FROM sources "
        "WHERE id IN (SELECT value FROM json_each(?))"
    )
    first_ms, last_ms = folder.ledger.rows(sql, [json.dumps(sources)])[0]
    return (
        f"source IN ({', '.join(map(str, sources))}) "
        f"AND time BETWEEN make_timestamptz({first_ms * 1000}) AND make_timestamptz({last_ms * 1000})"
    )


# ---- reading ---------------------------------------------------------------------------------------------


class _Reader:
    """One snapshot of a store, and what is looked up for its rows."""

    def __init__(self, folder: "StoreFolder", columns: Sequence[str]) -> None:
        pa = import_arrow()
        self._columns = columns
        self._own = part_schema(folder.settings.dedupe_lines)
        self._lookups = {
            name: lookup
            for name, lookup in (("ip_address", addresses_of(folder)), ("region", labels_of(folder)))
            if name in columns
        }
        self.connection = connect(folder, memory=_MEMORY)
        # After the snapshot was taken: all of its sources are there.
        self.places = [source for source, _ in sources_in_order(folder)]
        trees = {row[0] for row in folder.ledger.rows("SELECT id FROM sources WHERE form <> 'log'")}
        sources = {
            "source": pa.array(self.places, pa.uint32()),
            "place": pa.array(range(len(self.places)), pa.uint32()),
            "is_tree": pa.array([source in trees for source in self.places], pa.bool_()),
        }
        self.connection.register("places", pa.table(sources))

    def rows(self, where: str, values: dict[str, Any], order: str, *, also: str) -> "Iterator[pyarrow.Table]":
        """Give rows with the columns of the store that are needed, and the one called `also`.

        Texts of `values` stand for themselves in the condition, tables for tables.
        """
        pa = import_arrow()
        names = {also, *self._columns} - self._lookups.keys()
        if self._lookups:
            names.add("requester_id")
        for name, table in values.items():
            if isinstance(table, pa.Table):
                self.connection.register(name, table)
        sql = (
            f"SELECT {', '.join(sorted(names))} FROM accesses JOIN places USING (source) "  # noqa: S608 (ours)
            "WHERE operation = 'REST.GET.OBJECT' AND (http_status BETWEEN 200 AND 299 "
            f"OR (http_status IS NULL AND is_tree)) AND {where} ORDER BY {order}"
        )
        texts = {name: value for name, value in values.items() if isinstance(value, str)}
        yield from _batches(self.connection, sql, texts, _BATCH_ROWS)

    def finished(self, table: "pyarrow.Table") -> "pyarrow.Table":
        """Return the columns that were asked for, in their types."""
        pa = import_arrow()
        return pa.table(
            {
                name: self._lookups[name].of(table["requester_id"])
                if name in self._lookups
                else table[name].cast(self._own.field(name).type)
                for name in self._columns
            }
        )

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()


def _batches(connection: Any, sql: str, values: dict[str, Any], rows: int) -> "Iterator[pyarrow.Table]":
    """Give the result of a query as tables of about so many rows."""
    pa = import_arrow()
    with running():
        reader = connection.sql(sql, params=values).to_arrow_reader(rows)
    while True:
        with running():
            batch = next(reader, None)
        if batch is None:
            return
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def _runs(column: "pyarrow.ChunkedArray") -> tuple[list[Any], list[int]]:
    """Return the values of a column of one chunk without repeats in a row, and where each of them begins."""
    import pyarrow.compute as pc

    encoded = pc.run_end_encode(column.chunk(0))
    return encoded.values.to_pylist(), [0, *encoded.run_ends.to_pylist()]
