"""Questions to a store in SQL: DuckDB over the files that the ledger names, all of one commit.

A connection reads the files of the store and no others and loads no extension; `run` takes what reads. So a
statement that was copied from anywhere can neither read the key of the pseudonyms nor overwrite a part.
Results go into a file by ``tickline access query --out``, or from Python by what takes Arrow.
"""

import contextlib
import re
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, UsageError
from tickline.files import TEMPORARY_PREFIX
from tickline.store.ledger import PartFile, Snapshot
from tickline.store.parts import daily_schema, import_arrow, part_schema

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = [
    "connect",
    "connect_files",
    "explain",
    "import_duckdb",
    "open_connection",
    "register",
    "run",
    "running",
]

_MEMORY = "1GB"
_BATCH_ROWS = 50_000
_EXPLAIN = re.compile(r"^\s*explain\b(\s+analyze\b)?(\s*\([^)]*\))?", re.IGNORECASE)
# In DuckDB's plan as JSON; within a text the quotes would be escaped.
_COPY = re.compile(r'"name":\s*"[A-Z_]*COPY')
_GONE_HINT = "A vacuum may have removed it meanwhile: run it again; else: tickline access verify."


def import_duckdb() -> Any:
    """Return duckdb, or say which extra brings it."""
    try:
        import duckdb
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[access]'."
        raise TicklineError("queries need duckdb, which is not installed", hint=hint) from error
    return duckdb


def open_connection(folder: "StoreFolder", *, memory: str = _MEMORY, threads: int | None = None) -> Any:
    """Return a connection to an empty database in memory; what does not fit goes to a folder in the store."""
    return _open(folder.path, memory, threads)


def _open(store: Path, memory: str, threads: int | None) -> Any:
    settings: dict[str, Any] = {
        "memory_limit": memory,
        "temp_directory": str((store / f"{TEMPORARY_PREFIX}query-{secrets.token_hex(4)}").absolute()),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    if threads is not None:
        settings["threads"] = threads
    connection = import_duckdb().connect(":memory:", config=settings)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def connect(folder: "StoreFolder", *, memory: str = _MEMORY, threads: int | None = None) -> Any:
    """Return a connection with views over one snapshot of a store; close it when done.

    Views
    -----
    accesses
        One row a request, the columns of `tickline.store.parts.part_schema`; no rows of replaced sources.
    daily
        ``day, key, requester_id, bytes_sent, requests, downloads``, each triple once.
    sources
        One row for each content that was taken in, with its accounting: as columns and, by reason, as JSON;
        ``names`` are the places it was found at.
    rejects
        Rejected lines: ``source, line, offset, length, reason``; of each source the first 100,000.
    regions
        ``requester_id, label``; the label is null as long as none was looked up.

    Parameters
    ----------
    folder : StoreFolder
        An open store. It is asked for its state now; commits after that are not seen.
    memory : str
        What DuckDB may use before it writes into a temporary folder.
    threads : int, optional
        All cores by default.

    Raises
    ------
    TicklineError
        duckdb is not installed, or the ledger is damaged.
    """
    connection = open_connection(folder, memory=memory, threads=threads)
    try:
        with running():
            _create_views(connection, folder)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_files(store: Path, snapshot: Snapshot, dedupe: bool) -> Any:
    """Return a connection as `connect` does, without the ledger: with the views of files alone."""
    connection = _open(store, _MEMORY, None)
    try:
        with running():
            _create_file_views(connection, store, snapshot, dedupe)
            _lock(connection, store, snapshot)
    except BaseException:
        connection.close()
        raise
    return connection


def _create_views(connection: Any, folder: "StoreFolder") -> None:
    snapshot = folder.ledger.snapshot()
    _create_file_views(connection, folder.path, snapshot, folder.settings.dedupe_lines)
    for name, (schema, sql, convert) in _LEDGER_VIEWS.items():
        rows = _LedgerRows(folder.ledger.path, _arrow_schema(schema), sql, snapshot.commit, convert)
        connection.register(name, rows)
    _lock(connection, folder.path, snapshot)


def _create_file_views(connection: Any, store: Path, snapshot: Snapshot, dedupe: bool) -> None:
    _create(connection, "accesses", _accesses(store, snapshot.parts, snapshot.replaced, dedupe))
    _create(connection, "daily", _daily(store, snapshot.daily))


def _lock(connection: Any, store: Path, snapshot: Snapshot) -> None:
    """Let statements see these files, and nothing else."""
    paths = [str((store / part.path).absolute()) for part in (*snapshot.parts, *snapshot.daily)]
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, paths))}]")
    connection.execute("SET enable_external_access = false")
    # A SELECT from enable_logging() writes, or ends the process where it may not.
    connection.execute("SET lock_configuration = true")


def register(connection: Any, tables: "dict[str, pyarrow.Table]") -> None:
    """Add tables of the last ``summarize`` as views: `by_day`, `by_asset`, `totals`, ..."""
    for name, table in tables.items():
        connection.register(name, table)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _create(connection: Any, name: str, sql: str) -> None:
    connection.execute(f"CREATE VIEW {name} AS {sql}")


def _files(store: Path, parts: Iterable[PartFile]) -> str:
    # hive_partitioning off: a folder of the store could be called a=b.
    listed = ", ".join(_quoted(str((store / part.path).absolute())) for part in parts)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def _empty(schema: "pyarrow.Schema") -> str:
    types = {
        "timestamp[ms, tz=UTC]": "TIMESTAMPTZ",
        "string": "VARCHAR",
        "uint64": "UBIGINT",
        "uint32": "UINTEGER",
        "uint16": "USMALLINT",
        "date32[day]": "DATE",
        "fixed_size_binary[16]": "BLOB",
    }
    columns = (f"NULL::{types[str(field.type)]} AS {field.name}" for field in schema)
    return f"SELECT {', '.join(columns)} WHERE false"


def _accesses(store: Path, parts: tuple[PartFile, ...], replaced: frozenset[int], dedupe: bool) -> str:
    schema = part_schema(dedupe)
    if not parts:
        return _empty(schema)
    sql = f"SELECT {', '.join(schema.names)} FROM {_files(store, parts)}"  # noqa: S608 (our own names)
    if replaced:
        sql += f" WHERE source NOT IN ({', '.join(map(str, sorted(replaced)))})"
    return sql


def _daily(store: Path, daily: tuple[PartFile, ...]) -> str:
    """Months of one file are read as they are; those of several are summed up."""
    months: dict[str, list[PartFile]] = {}
    for part in daily:
        months.setdefault(part.month, []).append(part)
    single = [part for parts in months.values() for part in parts if len(parts) == 1]
    names = ", ".join(daily_schema().names)
    pieces = [f"SELECT {names} FROM {_files(store, single)}"] if single else []  # noqa: S608
    several = [part for parts in months.values() for part in parts if len(parts) > 1]
    if several:
        # DuckDB adds 64 bits up in 128, which would leave as floating point.
        sums = ", ".join(f"sum({name})::UBIGINT AS {name}" for name in daily_schema().names[3:])
        by = "day, key, requester_id"
        pieces.append(f"SELECT {by}, {sums} FROM {_files(store, several)} GROUP BY {by}")  # noqa: S608
    return " UNION ALL ".join(pieces) or _empty(daily_schema())


# ---- views over the ledger ---------------------------------------------------------------------------------


_MS = "timestamp[ms]"
_LEDGER_VIEWS: dict[str, tuple[dict[str, str], str, tuple[str, ...]]] = {
    "sources": (
        {
            "source": "int64",
            "content_hash": "string",
            "form": "string",
            "names": "list<string>",
            "bytes": "uint64",
            "lines": "uint64",
            "accepted": "uint64",
            "filtered": "string",
            "rejected": "string",
            "noted": "string",
            "first_time": _MS,
            "last_time": _MS,
            "delivered": _MS,
            "state": "string",
        },
        "SELECT id, lower(hex(content_hash)), form, (SELECT json_group_array(name) FROM "
        "(SELECT name FROM names WHERE source = s.id ORDER BY name)), bytes, lines, accepted, filtered, "
        "rejected, noted, first_ms, last_ms, delivered_ms, state FROM sources s WHERE added <= ? ORDER BY id",
        ("names",),
    ),
    "rejects": (
        {"source": "int64", "line": "uint64", "offset": "uint64", "length": "uint64", "reason": "string"},
        "SELECT r.source, line, offset, length, reason FROM rejects r JOIN sources s ON s.id = r.source "
        "WHERE s.added <= ? AND s.state <> 'replaced' ORDER BY r.source, line",
        (),
    ),
    "regions": (
        {"requester_id": "uint64", "label": "string"},
        "SELECT id, label FROM requesters WHERE ? IS NOT NULL ORDER BY number",
        ("requester_id",),
    ),
}


def _arrow_schema(columns: dict[str, str]) -> "pyarrow.Schema":
    pa = import_arrow()
    known = {_MS: pa.timestamp("ms", "UTC"), "list<string>": pa.list_(pa.string())}
    return pa.schema([(name, known.get(kind) or getattr(pa, kind)()) for name, kind in columns.items()])


class _LedgerRows:
    """Rows of the ledger as an Arrow stream that begins anew with each query: none is held."""

    def __init__(
        self, ledger: Path, schema: "pyarrow.Schema", sql: str, commit: int, converted: tuple[str, ...]
    ) -> None:
        self._ledger = ledger
        self._schema = schema
        self._sql = sql
        self._commit = commit
        self._converted = converted

    def __arrow_c_schema__(self) -> Any:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        del requested_schema
        pa = import_arrow()
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__()

    def _batches(self) -> Iterator[Any]:
        # The query may run in any of DuckDB's threads, a connection to SQLite belongs to one at a time.
        uri = f"{self._ledger.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, check_same_thread=False)) as db:
            found = db.execute(self._sql, [self._commit])
            while rows := found.fetchmany(_BATCH_ROWS):
                yield self._batch(rows)

    def _batch(self, rows: list[Any]) -> Any:
        import json

        import numpy as np

        pa = import_arrow()
        columns = []
        for field, values in zip(self._schema, zip(*rows, strict=True), strict=True):
            if field.name not in self._converted:
                columns.append(pa.array(values, field.type))
            elif field.type == pa.uint64():
                columns.append(pa.array(np.array(values, np.int64).view(np.uint64)))
            else:
                columns.append(pa.array([json.loads(value) for value in values], field.type))
        return pa.record_batch(columns, schema=self._schema)


# ---- running -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running() -> Iterator[None]:
    """Turn what DuckDB says into a sentence.

    Raises
    ------
    UsageError
        The statement is wrong, or wants what it may not.
    TicklineError
        A file is gone or damaged, or there is no room for what does not fit into memory.
    """
    duckdb = import_duckdb()
    try:
        yield
    except duckdb.Error as error:
        raise explain(error) from error


def explain(error: Exception) -> TicklineError:
    """Return the sentence for what DuckDB, or Arrow on its behalf, raised."""
    duckdb = import_duckdb()
    text = _first_line(error)
    if (gone := _gone_part(str(error))) is not None:
        return TicklineError("this file of the store is gone", where=gone, hint=_GONE_HINT)
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in text:
        return TicklineError(f"this does not fit ({text})", hint="Make room, or ask for less at a time.")
    if isinstance(error, duckdb.PermissionException):
        hint = "SQL here reads the store and nothing else; --out FILE writes a result."
        return UsageError("this statement wants a file that is not the store's", where="SQL", hint=hint)
    cut = isinstance(error, duckdb.InvalidInputException) and re.search(r"file '.+\.parquet'", text)
    if cut or isinstance(error, duckdb.IOException) or not isinstance(error, duckdb.Error):
        return TicklineError(f"a file cannot be used ({text})", hint="Run tickline access verify.")
    hint = "Views: accesses, daily, sources, rejects, regions; DESCRIBE accesses shows columns."
    return UsageError(text.rstrip("."), where="SQL", hint=hint)


def _gone_part(text: str) -> str | None:
    """Return the file that DuckDB may not touch if it is a part that is no longer there."""
    found = re.search(r'"([^"]+\.parquet)"', text)
    return found[1] if found is not None and not Path(found[1]).exists() else None


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def run(connection: Any, sql: str) -> Any:
    """Return the relation of one statement that reads.

    Raises
    ------
    UsageError
        It is no statement, several, one that changes something, or a PIVOT that does not name its values.
    """
    duckdb = import_duckdb()
    with running():
        statements = connection.extract_statements(sql)
        if len(statements) != 1:
            raise UsageError(f"{len(statements)} statements are given", where="SQL", hint="Give one.")
        kind, asked = statements[0].type, sql
        if kind == duckdb.StatementType.EXPLAIN:
            # EXPLAIN ANALYZE runs what it explains.
            asked = _EXPLAIN.sub("", sql)
            explained = connection.extract_statements(asked)
            kind = explained[0].type if len(explained) == 1 else kind
        if kind == duckdb.StatementType.MULTI:
            # The first of its statements makes a type of the values; what the last one is cannot be asked.
            what = "a PIVOT without IN is several statements for DuckDB, and one that reads is taken"
            hint = "Name the values: PIVOT accesses ON http_status IN (200, 206) USING count(*) GROUP BY key."
            raise UsageError(what, where="SQL", hint=hint)
        if kind != duckdb.StatementType.SELECT or _copies(connection, asked):
            hint = (
                "SELECT, FROM, PIVOT, UNPIVOT, VALUES, SHOW, DESCRIBE, SUMMARIZE and EXPLAIN are taken; "
                "--out FILE writes a result."
            )
            raise UsageError("a store can only be read", where="SQL", hint=hint)
        return connection.sql(sql)


def _copies(connection: Any, sql: str) -> bool:
    """Tell whether a SELECT writes a file: since DuckDB 2 WITH takes COPY, and parts may be opened."""
    # To plan it twice would double the time of a small query; a keyword cannot be spelled in another way.
    if "copy" not in sql.lower():
        return False
    plans = connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall()
    return any(_COPY.search(plan) for _, plan in plans)
