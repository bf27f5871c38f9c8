"""Tables of the ledger, the seals of their rows, and the way from older formats to this one."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["MIGRATIONS", "SCHEMA", "SEALED", "put", "rejects_digest", "requester_seal", "seal", "update"]

_FORMS = "'log', 'reduced', 'binned'"
# A store may have a million sources.
_SOURCES_AT_A_TIME = 10_000

SCHEMA = f"""
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE commits(
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, made_ms INTEGER NOT NULL, days TEXT NOT NULL,
    seal BLOB NOT NULL
) STRICT;
CREATE TABLE sources(
    id INTEGER PRIMARY KEY, content_hash BLOB NOT NULL, bytes INTEGER NOT NULL, lines INTEGER NOT NULL,
    accepted INTEGER NOT NULL, filtered TEXT NOT NULL, rejected TEXT NOT NULL, noted TEXT NOT NULL,
    first_ms INTEGER, last_ms INTEGER, delivered_ms INTEGER, rejects_digest BLOB NOT NULL,
    state TEXT NOT NULL CHECK(state IN ('live', 'leaving', 'replaced')),
    added INTEGER NOT NULL REFERENCES commits(id), seal BLOB NOT NULL,
    form TEXT NOT NULL DEFAULT 'log' CHECK(form IN ({_FORMS})), key BLOB
) STRICT;
CREATE INDEX sources_by_hash ON sources(content_hash);
CREATE TABLE names(
    name TEXT PRIMARY KEY, source INTEGER NOT NULL REFERENCES sources(id), size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL, inode TEXT NOT NULL, whole INTEGER NOT NULL, seal BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_source ON names(source);
CREATE TABLE parts(
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL CHECK(kind IN ('accesses', 'daily')),
    path TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, size_bytes INTEGER NOT NULL, rows INTEGER NOT NULL,
    month TEXT NOT NULL, first_key TEXT, last_key TEXT, has_null_key INTEGER NOT NULL,
    first_day INTEGER NOT NULL, last_day INTEGER NOT NULL, level INTEGER NOT NULL,
    added INTEGER NOT NULL REFERENCES commits(id), removed INTEGER REFERENCES commits(id),
    removed_ms INTEGER, seal BLOB NOT NULL
) STRICT;
CREATE INDEX parts_live ON parts(kind, month) WHERE removed IS NULL;
CREATE TABLE rejects(
    source INTEGER NOT NULL REFERENCES sources(id), line INTEGER NOT NULL, offset INTEGER NOT NULL,
    length INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY(source, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE requesters(
    number INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE, label TEXT,
    snapshot INTEGER REFERENCES snapshots(id), seal BLOB NOT NULL
) STRICT;
CREATE INDEX requesters_unlabelled ON requesters(number) WHERE label IS NULL;
CREATE TABLE snapshots(
    id INTEGER PRIMARY KEY, position INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, label TEXT,
    date TEXT, hash TEXT NOT NULL, file TEXT NOT NULL, current INTEGER NOT NULL, seal BLOB NOT NULL
) STRICT;
"""
"""Ids of requesters are unsigned; SQLite's integers are not: here stand signed ones of the same bits.

A source is its content, its form and, where its name is the key of all its rows (``binned``), that key.
"""

SEALED = ("commits", "names", "parts", "snapshots", "sources")
"""Tables whose rows carry a digest of their other columns: an edited row is named by `verify`."""


def seal(table: str, row: Mapping[str, Any]) -> bytes:
    """Return 8 bytes that change with any value of the row but the seal itself."""
    values = sorted((name, value) for name, value in row.items() if name != "seal")
    text = json.dumps([table, values], default=bytes.hex)
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def requester_seal(number: int, label: str | None, snapshot: int | None) -> bytes:
    """Return the seal of a row of `requesters`: the same idea, cheap enough for millions of rows."""
    return hashlib.blake2b(f"{number}|{label}|{snapshot}".encode(), digest_size=8).digest()


def rejects_digest(rows: Iterable[tuple[int, int, int, str]]) -> bytes:
    """Return 8 bytes over the rejected lines of one source: (line, offset, length, reason), by line."""
    hashed = hashlib.blake2b(digest_size=8)
    for row in rows:
        hashed.update("{} {} {} {}\n".format(*row).encode())
    return hashed.digest()


def put(db: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int:
    """Insert or replace one row of a sealed table, given with all its columns, and return its rowid."""
    names = [*row, "seal"]
    marks = ", ".join("?" * len(names))
    sql = f"INSERT OR REPLACE INTO {table}({', '.join(names)}) VALUES ({marks})"  # noqa: S608 (our own names)
    return db.execute(sql, [*row.values(), seal(table, row)]).lastrowid or 0


def update(db: sqlite3.Connection, table: str, key: str, value: Any, /, **changes: Any) -> None:
    """Change columns of the row of a sealed table whose `key` is `value`."""
    found = db.execute(f"SELECT * FROM {table} WHERE {key} = ?", [value]).fetchone()  # noqa: S608
    row = dict(found) | changes
    row["seal"] = seal(table, row)
    columns = ", ".join(f"{name} = ?" for name in row)
    db.execute(f"UPDATE {table} SET {columns} WHERE {key} = ?", [*row.values(), value])  # noqa: S608


def _add_forms(db: sqlite3.Connection) -> None:
    """Format 2: sources that are no logs. A row whose seal did not fit is not given one that fits."""
    db.execute(f"ALTER TABLE sources ADD COLUMN form TEXT NOT NULL DEFAULT 'log' CHECK(form IN ({_FORMS}))")
    db.execute("ALTER TABLE sources ADD COLUMN key BLOB")
    last = -1
    while rows := db.execute(
        "SELECT * FROM sources WHERE id > ? ORDER BY id LIMIT ?", [last, _SOURCES_AT_A_TIME]
    ).fetchall():
        seals = []
        for row in map(dict, rows):
            before = {name: value for name, value in row.items() if name not in ("form", "key")}
            if seal("sources", before) == row["seal"]:
                seals.append((seal("sources", row), row["id"]))
        db.executemany("UPDATE sources SET seal = ? WHERE id = ?", seals)
        last = rows[-1]["id"]


MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _add_forms}
"""From format N to N + 1, inside the transaction that also writes the new number."""
