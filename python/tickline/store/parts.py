"""Parquet files of a store: rows sorted by key and time, and the daily sums made from them.

Encodings follow from the order: keys repeat, so they are a dictionary; times and line numbers grow within a
key, so their differences are stored; requesters repeat everywhere.
"""

import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import TicklineError, explain_os_error
from tickline.files import Folders, WholeFile

if TYPE_CHECKING:
    import pyarrow

__all__ = ["NewPart", "PartWriter", "daily_schema", "file_hash", "import_arrow", "part_schema", "used_only"]

# A key is found by reading one row group a month: 16 ms with 131,072 rows, 2.3 with 16,384 (which cost 0.9
# bytes a row more), 1.8 with 8,192 (0.65 more). Days are read by whole weeks, and each group repeats the keys
# of its days: there larger ones are better.
_ROWS_PER_GROUP = {"accesses": 8_192, "daily": 524_288}
# A dictionary page must take the keys of a whole row group, or Parquet falls back to plain text half-way.
_DICTIONARY_BYTES = 16 * 2**20
_DAY_MS = 86_400_000
_DIFFERENCES = {"time": "DELTA_BINARY_PACKED", "line": "DELTA_BINARY_PACKED"}
# zstd finds the repeats of whole objects in plain numbers better than in codes: 1.6 instead of 2.4 bytes a
# row.
_PLAIN = ("bytes_sent", "object_size", "line_hash")


def import_arrow() -> Any:
    """Return pyarrow, or say which extra brings it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[access]'."
        raise TicklineError("a store needs pyarrow, which is not installed", hint=hint) from error
    return pyarrow


@cache
def part_schema(dedupe: bool = False) -> "pyarrow.Schema":
    """Return the columns of a part: one row a request; nulls where the log has ``-``.

    ``line_hash`` (XXH3-128 of the line) is there in stores with ``--dedupe-lines`` only.
    """
    pa = import_arrow()
    fields = [
        pa.field("time", pa.timestamp("ms", "UTC"), nullable=False),
        pa.field("key", pa.string()),
        pa.field("requester_id", pa.uint64()),
        pa.field("bytes_sent", pa.uint64()),
        pa.field("object_size", pa.uint64()),
        pa.field("http_status", pa.uint16()),
        pa.field("operation", pa.string()),
        pa.field("agent_class", pa.string(), nullable=False),
        pa.field("source", pa.uint32(), nullable=False),
        pa.field("line", pa.uint64(), nullable=False),
    ]
    if dedupe:
        fields.append(pa.field("line_hash", pa.binary(16), nullable=False))
    return pa.schema(fields)


@cache
def daily_schema() -> "pyarrow.Schema":
    """Return the columns of a daily file: sums of one file's rows by day, key and requester."""
    pa = import_arrow()
    return pa.schema(
        [
            pa.field("day", pa.date32(), nullable=False),
            pa.field("key", pa.string()),
            pa.field("requester_id", pa.uint64()),
            pa.field("bytes_sent", pa.uint64(), nullable=False),
            pa.field("requests", pa.uint64(), nullable=False),
            pa.field("downloads", pa.uint64(), nullable=False),
        ]
    )


@dataclass(frozen=True, slots=True)
class NewPart:
    """A finished file that no commit names yet; the fields are those of `tickline.store.ledger.PartFile`."""

    kind: str
    path: str
    hash: bytes
    size_bytes: int
    rows: int
    month: str
    first_key: str | None
    last_key: str | None
    has_null_key: bool
    first_day: int
    last_day: int
    level: int


def file_hash(path: Path) -> bytes:
    """Return the XXH3-128 of a file: 16 bytes, as ``xxhsum -H2`` prints them.

    Raises
    ------
    SourceError
        It cannot be read.
    """
    hashed = _core.ContentHash()
    try:
        with path.open("rb", buffering=0) as file:
            hashed.read(file.fileno(), 0, 2**62)
    except OSError as error:
        raise explain_os_error(error, path) from error
    return hashed.digest()


class _Sink:
    """What pyarrow writes to: bytes go into the file and into its hash."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file
        self.hashed = _core.ContentHash()
        self.closed = False
        self.dropped = False

    def write(self, data: Any, /) -> int:
        if self.dropped:
            return len(data)
        self.hashed.update(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.hashed.bytes

    def flush(self) -> None: ...

    def close(self) -> None: ...


class PartWriter:
    """Writes one file of the store; it appears when `commit` is called, or not at all.

    Parameters
    ----------
    store : pathlib.Path
        The folder of the store.
    kind : str
        ``"accesses"`` or ``"daily"``.
    month : str
        ``"2024-05"``: all rows must lie in it.
    level : int
        0 as ingested, more after compaction.
    dedupe : bool
        Whether rows hold ``line_hash``.
    """

    def __init__(
        self, store: Path, kind: str, month: str, folders: Folders, *, level: int = 0, dedupe: bool = False
    ) -> None:
        self._schema = part_schema(dedupe) if kind == "accesses" else daily_schema()
        self._place = f"{'parts' if kind == 'accesses' else 'daily'}/{month}/{secrets.token_hex(8)}.parquet"
        self._kind, self._month, self._level = kind, month, level
        self._group_rows = _ROWS_PER_GROUP[kind]
        self._waiting: list[pyarrow.Table] = []
        self._held = 0
        self.rows = 0
        self._keys: list[str] = []
        self._null_key = False
        self._days: list[int] = []
        try:
            self._file = WholeFile(store / self._place, folders)
        except OSError as error:
            raise explain_os_error(error, store) from error
        self._sink = _Sink(self._file)
        self._writer: Any = None

    def _open(self, group: "pyarrow.Table") -> Any:
        """Return the writer; texts that come coded are written as they come, without decoding them first."""
        pa = import_arrow()
        fields = [field.with_type(group.schema.field(field.name).type) for field in self._schema]
        coded = [name for name in self._schema.names if name not in (*_DIFFERENCES, *_PLAIN)]
        return pa.parquet.ParquetWriter(
            self._sink,
            pa.schema(fields),
            compression="zstd",
            version="2.6",
            use_dictionary=coded,
            column_encoding={name: how for name, how in _DIFFERENCES.items() if name in self._schema.names},
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            write_statistics=["time", "key", "day"],
            store_schema=False,
        )

    def write(self, table: "pyarrow.Table") -> None:
        """Append rows, which must go on in the order of the file; texts may be dictionary-coded."""
        if not table.num_rows:
            return
        self._note(table)
        self._waiting.append(table)
        self._held += table.num_rows
        if self._held >= self._group_rows:
            self._write_groups(self._held - self._held % self._group_rows)

    def _note(self, table: "pyarrow.Table") -> None:
        import pyarrow.compute as pc

        self.rows += table.num_rows
        key = table["key"]
        self._null_key |= key.null_count > 0
        for chunk in key.chunks:
            texts = pc.unique(chunk).dictionary_decode() if hasattr(chunk, "dictionary") else chunk
            ends = pc.min_max(texts)
            if ends["min"].is_valid:
                self._keys += [ends["min"].as_py(), ends["max"].as_py()]
        if self._kind == "daily":
            ends = pc.min_max(table["day"].cast("int32"))
            self._days += [ends["min"].as_py(), ends["max"].as_py()]
        else:
            ends = pc.min_max(table["time"].cast("int64"))
            self._days += [ends["min"].as_py() // _DAY_MS, ends["max"].as_py() // _DAY_MS]

    def _write_groups(self, rows: int) -> None:
        pa = import_arrow()
        table = pa.concat_tables(self._waiting).unify_dictionaries()
        for begin in range(0, rows, self._group_rows):
            group = _own_dictionary(table.slice(begin, min(self._group_rows, rows - begin)))
            self._guarded(self._write_group, group)
        rest = table.slice(rows)
        # A slice would keep the whole table alive; at most one row group is copied here.
        self._waiting = [_own_dictionary(rest.take(pa.array(range(rest.num_rows))))] if rest.num_rows else []
        self._held = rest.num_rows

    def _write_group(self, group: "pyarrow.Table") -> None:
        pa = import_arrow()
        if self._writer is None:
            self._writer = self._open(group)
        columns = [group[name] for name in self._schema.names]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._writer.schema), self._group_rows)

    def _guarded(self, work: Any, *arguments: Any) -> None:
        try:
            work(*arguments)
        except OSError as error:
            raise explain_os_error(error, self._file.path) from error

    def commit(self) -> NewPart:
        """Finish the file and give it its name; `Folders.sync` makes the name last."""
        if self._held:
            self._write_groups(self._held)
        self._guarded(self._writer.close)
        self._guarded(self._file.commit)
        return NewPart(
            kind=self._kind,
            path=self._place,
            hash=self._sink.hashed.digest(),
            size_bytes=self._sink.hashed.bytes,
            rows=self.rows,
            month=self._month,
            first_key=min(self._keys, default=None),
            last_key=max(self._keys, default=None),
            has_null_key=self._null_key,
            first_day=min(self._days),
            last_day=max(self._days),
            level=self._level,
        )

    def abort(self) -> None:
        """Leave nothing behind; harmless after `commit`."""
        self._file.abort()
        # Or else pyarrow would write its footer later, when the writer is collected.
        self._sink.dropped = True
        if self._writer is not None:
            self._writer.close()


def used_only(coded: "pyarrow.DictionaryArray") -> "pyarrow.DictionaryArray":
    """Return an array with a dictionary of the values that occur in it, in their order; null stays null.

    A slice keeps the dictionary of the whole, 40,000 keys for a handful of rows.
    """
    import numpy as np

    pa = import_arrow()
    codes = coded.indices.fill_null(len(coded.dictionary)).to_numpy()
    used = np.zeros(len(coded.dictionary) + 1, dtype=bool)
    used[codes] = True
    used[-1] = False
    renumbered = (np.cumsum(used) - 1).astype(np.int32)[codes]
    indices = pa.array(renumbered, mask=codes == len(coded.dictionary))
    return pa.DictionaryArray.from_arrays(indices, coded.dictionary.filter(pa.array(used[:-1])))


def _own_dictionary(group: "pyarrow.Table") -> "pyarrow.Table":
    """Return the rows with keys coded by those that occur among them: Parquet writes all of a dictionary."""
    pa = import_arrow()
    column = group["key"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(column.type):
        return group
    return group.set_column(group.column_names.index("key"), "key", used_only(column))
