"""What a tree of many files holds: ``TREE/.tickline/tree.sqlite``, a row for each key or source.

A row says which files were written and what they were like, so that the next run writes only what is new. It
is there before its files are, and loses them before they are removed: a run that is killed leaves rows that
are pending, and the next run goes on with these.
"""

import contextlib
import os
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tickline.errors import TicklineError, explain_os_error
from tickline.pipelines.access.state import FOLDER
from tickline.pipelines.access.trees.names import above, file_name, wished

__all__ = ["Entry", "Known", "Subject", "TreeRecord"]

_NAME = "tree.sqlite"
_FORMAT = 1
_KNOWN = struct.Struct("<qq16s")
_AT_A_TIME = 10_000
_COLUMNS = "id, wish, marked, files"
_REMOVE = "Remove it: then every file is compared with what it ought to be, and none is removed."
_SCHEMA = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entries(
    id TEXT PRIMARY KEY, wish TEXT NOT NULL, version TEXT NOT NULL, place INTEGER NOT NULL,
    odd INTEGER NOT NULL, marked INTEGER NOT NULL, pending INTEGER NOT NULL, seen INTEGER NOT NULL, files BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_by_place ON entries(place);
CREATE INDEX entries_odd ON entries(id) WHERE odd;
CREATE INDEX entries_marked ON entries(id) WHERE marked;
CREATE INDEX entries_pending ON entries(id) WHERE pending;
CREATE TABLE above(place INTEGER NOT NULL, id TEXT NOT NULL, PRIMARY KEY(place, id)) STRICT, WITHOUT ROWID;
CREATE TABLE gone(path TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
# Those that cannot have the names they want: odd ones, those of one place, and files that would be folders.
_HINDERED = """
CREATE TEMP TABLE hindered AS
    SELECT id FROM entries WHERE odd
    UNION SELECT id FROM entries WHERE place IN (SELECT place FROM entries GROUP BY place HAVING count(*) > 1)
    UNION SELECT e.id FROM above a JOIN entries e ON e.place = a.place
    UNION SELECT a.id FROM above a JOIN entries e ON e.place = a.place
"""
_RENAMED = """
CREATE TEMP TABLE renamed AS
    SELECT id FROM entries WHERE marked AND id NOT IN (SELECT id FROM hindered)
    UNION SELECT id FROM hindered WHERE id NOT IN (SELECT id FROM entries WHERE marked)
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What has files in a tree.

    Attributes
    ----------
    id : str
        Tells it from all others.
    wish : str
        What its files want to be called, without suffix.
    version : str
        Changes when its files are to be made again.
    """

    id: str
    wish: str
    version: str = ""


class Known(NamedTuple):
    """A file as it was written: its size, its time in nanoseconds, and the XXH3-128 of its bytes."""

    size: int
    mtime_ns: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the record; `name` is what its files are called, `files` is empty if there are none."""

    id: str
    wish: str
    name: str
    files: tuple[Known, ...]


class TreeRecord:
    """The open record of a tree; the lock of the tree is held by whoever opens it.

    Raises
    ------
    TicklineError
        It is damaged, or a newer version of tickline wrote it.
    """

    def __init__(self, root: Path, suffixes: tuple[str, ...]) -> None:
        self.path = root / FOLDER / _NAME
        self._suffixes = suffixes
        with self._explaining():
            if not self.path.exists():
                # Its journal gets the mode of the database.
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            try:
                self._begin()
            except BaseException:
                self._db.close()
                raise

    def _begin(self) -> None:
        number = self._db.execute("PRAGMA user_version").fetchone()[0]
        if number > _FORMAT:
            hint = "Update tickline, or choose another folder."
            raise TicklineError("was written by a newer version of tickline", where=str(self.path), hint=hint)
        if not self._db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            with self.transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={_FORMAT}")

    def close(self) -> None:
        """Close it; more than once is harmless."""
        self._db.close()

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
                full = OSError(28, "No space left on device", str(self.path))
                raise explain_os_error(full, self.path) from error
            hint = _REMOVE
            if isinstance(error, sqlite3.OperationalError):
                hint = "Check the disk and its permissions, then run it again."
            raise TicklineError(f"cannot be used ({error})", where=str(self.path), hint=hint) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing."""
        with self._explaining():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    # ---- what the whole was made of ----------------------------------------------------------------------

    def meta(self) -> dict[str, str]:
        """Return what was noted of the last run that came to its end."""
        with self._explaining():
            return dict(self._db.execute("SELECT name, value FROM meta"))

    def set_meta(self, values: dict[str, str]) -> None:
        """Note what the tree is made of now; only inside a transaction."""
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())

    # ---- subjects and their names ------------------------------------------------------------------------

    def put(self, subjects: Iterable[Subject], run: int, *, pending: bool) -> None:
        """Note subjects as seen by a run; only inside a transaction.

        New ones and those of another version are pending then, and with `pending` all of them.
        """
        sql = (
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, 1, ?, NULL) ON CONFLICT(id) DO UPDATE SET "
            "seen = excluded.seen, version = excluded.version, "
            "pending = pending OR ? OR version <> excluded.version"
        )
        for subject in subjects:
            wish = wished(subject.wish, subject.id, self._suffixes)
            row = (subject.id, subject.wish, subject.version, wish.place, wish.odd, wish.odd, run)
            self._db.execute(sql, [*row, pending])
            for place in above(wish.name, self._suffixes):
                self._db.execute("INSERT OR IGNORE INTO above VALUES (?, ?)", [place, subject.id])

    def set_pending(self, ids: Iterable[str]) -> None:
        """Have the files of these made again; only inside a transaction."""
        self._db.executemany("UPDATE entries SET pending = 1 WHERE id = ?", ((one,) for one in ids))

    def drop_unseen(self, run: int) -> None:
        """Forget what a run did not see; its files are among those that are `gone`. Only in a transaction."""
        for entry in self._select("seen <> ?", run):
            self._let_go(entry)
        self._db.execute("DELETE FROM above WHERE id IN (SELECT id FROM entries WHERE seen <> ?)", [run])
        self._db.execute("DELETE FROM entries WHERE seen <> ?", [run])

    def settle_names(self) -> None:
        """Decide who may be called what it wants to be, now that all are known; only inside a transaction.

        Where that is another answer than before, the files of before are `gone`, and it is pending.
        """
        for table, sql in (("hindered", _HINDERED), ("renamed", _RENAMED)):
            self._db.execute(f"DROP TABLE IF EXISTS temp.{table}")
            self._db.execute(sql)
        for entry in self._select("id IN (SELECT id FROM renamed)"):
            self._let_go(entry)
            sql = "UPDATE entries SET marked = NOT marked, pending = 1, files = NULL WHERE id = ?"
            self._db.execute(sql, [entry.id])

    def drop_files(self) -> None:
        """Have those that are still pending no files: there are no rows for them. Only in a transaction."""
        for entry in self._select("pending"):
            self._let_go(entry)
        self._db.execute("UPDATE entries SET pending = 0, files = NULL WHERE pending")

    def _let_go(self, entry: Entry) -> None:
        paths = ((entry.name + suffix,) for suffix in self._suffixes if entry.files)
        self._db.executemany("INSERT OR IGNORE INTO gone VALUES (?)", paths)

    def _select(self, where: str, *values: object) -> Iterator[Entry]:
        """Give entries in the order of their ids; they may be changed meanwhile."""
        last = ""
        sql = f"SELECT {_COLUMNS} FROM entries WHERE id > ? AND ({where}) ORDER BY id LIMIT {_AT_A_TIME}"  # noqa: S608
        while rows := self._rows(sql, last, *values):
            last = rows[-1][0]
            yield from map(self._entry, rows)

    # ---- files -------------------------------------------------------------------------------------------

    def gone(self) -> Iterator[list[str]]:
        """Give the paths of files that are to be removed, some at a time; call `clear_gone` behind it."""
        last = ""
        while rows := self._rows(
            "SELECT path FROM gone WHERE path > ? ORDER BY path LIMIT ?", last, _AT_A_TIME
        ):
            last = rows[-1][0]
            yield [self._inside(row[0]) for row in rows]

    def clear_gone(self) -> None:
        """Forget the files that were removed."""
        with self.transaction():
            self._db.execute("DELETE FROM gone")

    def entry(self, number: str) -> Entry | None:
        """Return one entry, None if there is no such one."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM entries WHERE id = ?", number)  # noqa: S608 (our own)
        return self._entry(rows[0]) if rows else None

    def with_files(self) -> Iterator[Entry]:
        """Give all entries that have files."""
        return self._select("files IS NOT NULL")

    def marked(self) -> Iterator[Entry]:
        """Give those with files that are not called what they want to be."""
        return self._select("marked AND files IS NOT NULL")

    def pending(self) -> Iterator[list[str]]:
        """Give the ids of those whose files are to be made, some at a time."""
        last = ""
        sql = "SELECT id FROM entries WHERE pending AND id > ? ORDER BY id LIMIT ?"
        while rows := self._rows(sql, last, _AT_A_TIME):
            last = rows[-1][0]
            yield [row[0] for row in rows]

    def count(self, *, pending: bool = False) -> int:
        """Return how many entries there are, or how many are pending."""
        where = "WHERE pending" if pending else ""
        return int(self._rows(f"SELECT count(*) FROM entries {where}")[0][0])  # noqa: S608 (our own)

    def count_files(self) -> int:
        """Return how many files were written."""
        sql = f"SELECT coalesce(sum(length(files)), 0) / {_KNOWN.size} FROM entries"  # noqa: S608 (our own)
        return int(self._rows(sql)[0][0])

    def save(self, written: Iterable[tuple[str, Sequence[Known]]]) -> None:
        """Note which files were written; they are no longer pending."""
        with self.transaction():
            self._db.executemany(
                "UPDATE entries SET files = ?, pending = 0 WHERE id = ?",
                (
                    (b"".join(_KNOWN.pack(one.size, one.mtime_ns, one.hash) for one in files), number)
                    for number, files in written
                ),
            )

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        number, wish, marked, files = row
        name = self._inside(file_name(wish, number) if marked else wish)
        return Entry(number, wish, name, tuple(map(Known._make, _KNOWN.iter_unpack(files or b""))))

    def _inside(self, name: str) -> str:
        """Refuse a name that no run of ours has written: the tree may have come from elsewhere."""
        if name.startswith("/") or ".." in name.split("/"):
            raise TicklineError("a name in it leads out of the tree", where=str(self.path), hint=_REMOVE)
        return name

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._explaining():
            return self._db.execute(sql, values).fetchall()
