"""The ledger of a store: its sources, parts and requesters. A commit in it is a commit of everything.

SQLite in WAL mode with ``synchronous=FULL``: a transaction is on the disk when it ends, and a kill leaves the
state before it or the one after it. It must lie on a local disk of whoever writes.
"""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, explain_os_error
from tickline.store.ledger_schema import MIGRATIONS, SCHEMA, put, requester_seal, update
from tickline.store.parts import NewPart
from tickline.store.settings import FORMAT

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


__all__ = ["Ledger", "PartFile", "RegionSnapshot", "Snapshot", "signed", "unsigned"]

_NAME = "ledger.sqlite"
_BUSY_MS = 30_000
# How many ids go into one query; each becomes some 20 bytes of JSON.
_IDS_PER_QUERY = 50_000
_PART_COLUMNS = (
    "id, kind, path, hash, size_bytes, rows, month, first_key, last_key, has_null_key, first_day, last_day, "
    "level, added"
)


@dataclass(frozen=True, slots=True)
class PartFile(NewPart):
    """A Parquet file of the store.

    Attributes
    ----------
    kind : str
        ``"accesses"`` (one row a request) or ``"daily"`` (sums by day, key and requester).
    path : str
        Below the store.
    hash : bytes
        XXH3-128 of the file.
    month : str
        ``"2024-05"``, UTC; a file never crosses a month.
    first_key, last_key : str or None
        Least and greatest key by bytes; None if no row has a key.
    first_day, last_day : int
        Days since 1970.
    level : int
        0 as ingested, more after each compaction.
    added : int
        The commit that brought it.
    """

    id: int
    added: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a store held at one commit; its files stay for a day after they are replaced.

    Attributes
    ----------
    commit : int
        The last commit; 0 if there is none.
    epoch : int
        Changes when sums did not only grow: a source was replaced, or labels were changed.
    replaced : frozenset of int
        Sources whose rows in `parts` do not count. `daily` holds none of them.
    """

    commit: int
    epoch: int
    parts: tuple[PartFile, ...]
    daily: tuple[PartFile, ...]
    replaced: frozenset[int]


@dataclass(frozen=True, slots=True)
class RegionSnapshot:
    """A file of networks and their labels, as it was when it was given; `hash` is its SHA-256 in hex."""

    id: int
    kind: str
    name: str
    label: str | None
    date: str | None
    hash: str
    file: str


def signed(number: int) -> int:
    """Return the signed integer with the bits of an unsigned one of 64 bits."""
    return number - (1 << 64) if number >= 1 << 63 else number


def unsigned(number: int) -> int:
    """Return the unsigned integer with the bits of a signed one of 64 bits."""
    return number & ((1 << 64) - 1)


class Ledger:
    """An open ledger; belongs to one thread.

    Raises
    ------
    TicklineError
        It is damaged, belongs to another store, or is missing although the store has one.
    """

    def __init__(self, store: Path, store_id: str, *, create: bool = False) -> None:
        self.path = store / _NAME
        if not create and not self.path.is_file():
            what = "the store has no ledger.sqlite"
            hint = "Restore it from a backup; without it the parts cannot be told from leftovers."
            raise TicklineError(what, where=str(store), hint=hint)
        with self._explaining():
            self.db = sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY_MS / 1000)
            self.db.row_factory = sqlite3.Row
            try:
                self._begin(store_id, create)
            except BaseException:
                self.db.close()
                raise

    def _begin(self, store_id: str, create: bool) -> None:
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("PRAGMA foreign_keys=ON")
        if create and not self.db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            with self.transaction():
                for statement in SCHEMA.split(";"):
                    self.db.execute(statement)
                values = {"store_id": store_id, "epoch": "0", "region_order": "longest-prefix"}
                self.db.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
                self.db.execute(f"PRAGMA user_version={FORMAT}")
        found = self.meta("store_id")
        if found != store_id:
            hint = "Put back the ledger.sqlite that belongs to this store.toml; nothing was changed."
            raise TicklineError("belongs to another store", where=str(self.path), hint=hint)
        number = self.format
        if number > FORMAT:
            what = f"has format {number}, made by a newer version of tickline; this one knows {FORMAT}"
            raise TicklineError(what, where=str(self.path), hint="Update tickline.")

    @property
    def format(self) -> int:
        """The format of the ledger's tables."""
        return int(self.db.execute("PRAGMA user_version").fetchone()[0])

    def migrate(self) -> None:
        """Bring an older ledger up to this format, step by step, each one whole; only under the lock."""
        while (number := self.format) < FORMAT:
            with self.transaction() as db:
                MIGRATIONS[number](db)
                db.execute(f"PRAGMA user_version={number + 1}")

    def close(self) -> None:
        """Close it; more than once is harmless."""
        self.db.close()

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_FULL":
                full = OSError(28, "No space left on device", str(self.path))
                raise explain_os_error(full, self.path) from error
            hint = "Check the disk and its permissions; nothing was changed."
            raise TicklineError(
                f"the ledger cannot be used ({error})", where=str(self.path), hint=hint
            ) from error
        except sqlite3.DatabaseError as error:
            hint = "Restore ledger.sqlite from a backup; nothing was changed."
            raise TicklineError(
                f"the ledger is damaged ({error})", where=str(self.path), hint=hint
            ) from error

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside happens, or nothing."""
        with self._explaining():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
                self.db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query."""
        with self._explaining():
            return self.db.execute(sql, values).fetchall()

    def meta(self, name: str) -> str:
        """Return one of the store's own values."""
        rows = self.rows("SELECT value FROM meta WHERE name = ?", [name])
        return str(rows[0][0]) if rows else ""

    # ---- commits and parts ---------------------------------------------------------------------------------

    def begin_commit(self, kind: str, days: Iterable[int] = ()) -> int:
        """Note a commit and the days (since 1970) whose sums it changes; only inside a transaction."""
        number = int(self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM commits").fetchone()[0])
        made_ms = time.time_ns() // 1_000_000
        row = {"id": number, "kind": kind, "made_ms": made_ms, "days": json.dumps(sorted(set(days)))}
        return put(self.db, "commits", row)

    def add_part(self, commit: int, part: NewPart) -> int:
        """Make a finished file a part of the store; only inside a transaction."""
        row: dict[str, Any] = {name: getattr(part, name) for name in part.__dataclass_fields__}
        row |= {"has_null_key": int(part.has_null_key), "added": commit, "removed": None, "removed_ms": None}
        number = int(self.db.execute("SELECT coalesce(max(id), 0) + 1 FROM parts").fetchone()[0])
        return put(self.db, "parts", {"id": number, **row})

    def remove_parts(self, commit: int, ids: Iterable[int]) -> None:
        """Take files out of the store; they stay on the disk until `vacuum`. Only inside a transaction."""
        now_ms = time.time_ns() // 1_000_000
        for number in ids:
            update(self.db, "parts", "id", number, removed=commit, removed_ms=now_ms)

    def next_epoch(self) -> int:
        """Declare results void that count on sums only growing; only inside a transaction."""
        epoch = int(self.meta("epoch")) + 1
        self.db.execute("UPDATE meta SET value = ? WHERE name = 'epoch'", [str(epoch)])
        return epoch

    def snapshot(self) -> Snapshot:
        """Return what the store holds, as of one commit."""
        with self._explaining():
            self.db.execute("BEGIN")
            try:
                commit = int(self.db.execute("SELECT coalesce(max(id), 0) FROM commits").fetchone()[0])
                replaced = frozenset(
                    row[0] for row in self.db.execute("SELECT id FROM sources WHERE state = 'replaced'")
                )
                files: dict[str, list[PartFile]] = {"accesses": [], "daily": []}
                live = "removed IS NULL ORDER BY kind, month, first_key, id"
                sql = f"SELECT {_PART_COLUMNS} FROM parts WHERE {live}"  # noqa: S608 (our own names)
                for row in self.db.execute(sql):
                    values = dict(row)
                    values["has_null_key"] = bool(values["has_null_key"])
                    files[values["kind"]].append(PartFile(**values))
                epoch = int(self.meta("epoch"))
            finally:
                self.db.execute("COMMIT")
        return Snapshot(commit, epoch, tuple(files["accesses"]), tuple(files["daily"]), replaced)

    def state(self) -> tuple[int, int]:
        """Return the last commit and the epoch, see `Snapshot`."""
        row = self.rows("SELECT coalesce(max(id), 0) FROM commits")[0]
        return int(row[0]), int(self.meta("epoch"))

    def days_since(self, commit: int) -> set[int]:
        """Return the days (since 1970) whose sums were changed by later commits."""
        rows = self.rows("SELECT days FROM commits WHERE id > ?", [commit])
        return {int(day) for row in rows for day in json.loads(row[0])}

    # ---- requesters and regions ----------------------------------------------------------------------------

    def add_requesters(self, ids: "NDArray[np.uint64]") -> None:
        """Give numbers to requesters that have none; only inside a transaction."""
        sql = "INSERT INTO requesters(id, seal) VALUES (?, ?) ON CONFLICT(id) DO NOTHING"
        values = ids.view("int64").tolist()
        self.db.executemany(sql, ((value, requester_seal(value, None, None)) for value in values))

    def requesters(self, ids: "NDArray[np.uint64]") -> "tuple[NDArray[np.int64], list[str | None]]":
        """Return the number (from 1, never changed) and the label of each requester.

        Raises
        ------
        TicklineError
            The ledger does not know one of them.
        """
        import numpy as np

        found: dict[int, tuple[int, str | None]] = {}
        values = ids.view(np.int64).tolist()
        for begin in range(0, len(values), _IDS_PER_QUERY):
            some = json.dumps(values[begin : begin + _IDS_PER_QUERY])
            sql = "SELECT id, number, label FROM requesters WHERE id IN (SELECT value FROM json_each(?))"
            found.update((row[0], (row[1], row[2])) for row in self.rows(sql, [some]))
        missing = sum(value not in found for value in values)
        if missing:
            what = f"{missing} requesters of the parts are not in the ledger"
            hint = "Run tickline access verify; restore ledger.sqlite from a backup."
            raise TicklineError(what, where=str(self.path), hint=hint)
        numbers = np.fromiter((found[value][0] for value in values), np.int64, len(values))
        return numbers, [found[value][1] for value in values]

    def has_unlabelled(self) -> bool:
        """Tell whether there are requesters without a label."""
        return bool(self.rows("SELECT 1 FROM requesters WHERE label IS NULL LIMIT 1"))

    def unlabelled(self) -> list[int]:
        """Return the ids of requesters that have no label yet."""
        rows = self.rows("SELECT id FROM requesters WHERE label IS NULL ORDER BY number")
        return [unsigned(row[0]) for row in rows]

    def set_labels(self, rows: Iterable[tuple[int, str, int | None]]) -> None:
        """Set label and snapshot of requesters, given as (id, label, snapshot); only inside a transaction."""
        sql = "UPDATE requesters SET label = ?, snapshot = ?, seal = ? WHERE id = ?"
        values = (
            (label, snapshot, requester_seal(signed(number), label, snapshot), signed(number))
            for number, label, snapshot in rows
        )
        self.db.executemany(sql, values)

    def snapshots(self) -> list[RegionSnapshot]:
        """Return the region snapshots in use, in the order they were given in."""
        sql = "SELECT id, kind, name, label, date, hash, file FROM snapshots WHERE current ORDER BY position"
        return [RegionSnapshot(*row) for row in self.rows(sql)]
