"""The rows of the ledger against their seals and one another, region files, and the addresses kept apart."""

import contextlib
import hashlib
import re
import sqlite3
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from tickline.errors import TicklineError
from tickline.store.ledger import unsigned
from tickline.store.ledger_schema import SEALED, rejects_digest, requester_seal, seal

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["check_addresses", "check_ledger", "check_regions"]

_Add = Callable[[str, str, str], None]
_IDENTITY = {"names": "name"}
_LISTED = 100_000
_MOST = 20
_META = {
    "epoch": "[0-9]{1,18}",
    "region_order": "first-wins|longest-prefix",
    "addresses_forgotten": "([0-9]{1,18})?",
}
_BATCH = 10_000


def check_ledger(folder: "StoreFolder", add: _Add) -> None:
    """Check the database itself, and the seal of each row."""
    ledger = folder.ledger
    for (text,) in ledger.rows("PRAGMA integrity_check(5)"):
        if text != "ok":
            add("ledger", "ledger.sqlite", f"SQLite finds it damaged: {text}")
    for row in ledger.rows("PRAGMA foreign_key_check"):
        add("ledger", f"{row[0]}, row {row[1]}", f"names a row of {row[2]} that is not there")
    for table in SEALED:
        identity = _IDENTITY.get(table, "id")
        for row in ledger.db.execute(f"SELECT * FROM {table}"):  # noqa: S608 (our own names)
            values = dict(row)
            if seal(table, values) != values["seal"]:
                text = "was edited: its seal does not fit (Tickline's own changes renew it)"
                add("seal", f"{table}, row {values[identity]}", text)
    _check_requesters(folder, add)
    _check_rejects(folder, add)
    for name, shape in _META.items():
        if not re.fullmatch(shape, ledger.meta(name)):
            add("ledger", f"meta, row {name}", "holds a value that it cannot have")
    sql = (
        "SELECT min(id), max(id), count(*) FROM sources WHERE state <> 'replaced' "
        "GROUP BY content_hash, form, key HAVING count(*) > 1"
    )
    for first, last, count in ledger.rows(sql):
        add("ledger", f"sources, row {last}", f"has the content of row {first}: it counts {count} times")


def _check_requesters(folder: "StoreFolder", add: _Add) -> None:
    ledger = folder.ledger
    wrong = count = last = 0
    for number, requester, label, snapshot, found in ledger.db.execute(
        "SELECT number, id, label, snapshot, seal FROM requesters ORDER BY number"
    ):
        count, last = count + 1, number
        if requester_seal(requester, label, snapshot) != found:
            wrong += 1
            if wrong <= _MOST:
                add("seal", f"requesters, row {number}", "was edited: its seal does not fit")
    if wrong > _MOST:
        add("seal", "requesters", f"{wrong - _MOST:,} more rows were edited")
    if count != last:
        add("requesters", "requesters", f"{last - count:,} rows are gone: numbers go to {last:,}")


def _check_rejects(folder: "StoreFolder", add: _Add) -> None:
    """Compare the list of rejected lines of each source with its counts and its digest."""
    sql = (
        "SELECT id, rejects_digest, (SELECT sum(value) FROM json_each(rejected)), "
        "(SELECT count(*) FROM rejects WHERE source = sources.id) FROM sources ORDER BY id"
    )
    for number, digest, counted, count in folder.ledger.rows(sql):
        listed = folder.ledger.db.execute(
            "SELECT line, offset, length, reason FROM rejects WHERE source = ? ORDER BY line", [number]
        )
        found = rejects_digest((row["line"], row["offset"], row["length"], row["reason"]) for row in listed)
        where = f"rejects of source {number}"
        if count != min(counted or 0, _LISTED):
            add("rejects", where, f"{count:,} lines are listed, {counted or 0:,} were rejected")
        elif found != digest:
            add("rejects", where, "the list was edited: its digest does not fit")


def check_regions(folder: "StoreFolder", add: _Add) -> None:
    """Check that the files that labels came from are there, and what they were."""
    sql = "SELECT DISTINCT file, hash, name FROM snapshots ORDER BY id"
    for file, digest, name in folder.ledger.rows(sql):
        if file.startswith("private/") and not folder.keeps_addresses():
            continue  # forgotten with the addresses
        try:
            with (folder.path / file).open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except FileNotFoundError:
            add("missing", file, f"the region snapshot {name} is not there")
        except OSError as error:
            add("unreadable", file, f"{error.strerror}")
        else:
            if found != digest:
                text = f"the region snapshot {name} is not the file that was given (SHA-256 differs)"
                add("hash", file, text)


def check_addresses(folder: "StoreFolder", add: _Add) -> None:
    """Check that ids are those of their addresses, as far as the key is here; no address is shown."""
    # Caches of the old programs lie beside the addresses, and say as much.
    private = sorted(f"private/{path.name}" for path in (folder.path / "private").glob("*"))
    for name in ("pseudonym.key", *private):
        path = folder.path / name
        if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077:
            add("permissions", name, "others than its owner may open it; use chmod 600")
    path = folder.path / "private" / "ips.sqlite"
    if not path.exists():
        return
    if not folder.keeps_addresses():
        add("addresses", "private/ips.sqlite", "this store keeps no addresses, and the file is there")
    try:
        pseudonyms = folder.pseudonyms(making=True)
    except TicklineError:
        return
    wrong = 0
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            sql = "SELECT id, address FROM addresses WHERE id > ? ORDER BY id LIMIT ?"
            last = float("-inf")
            # By pieces, as a statement under way keeps an ingest from opening the file for writing.
            while rows := db.execute(sql, [last, _BATCH]).fetchall():
                last = rows[-1][0]
                made = pseudonyms.ids([address for _, address in rows]).tolist()
                for (number, _), right in zip(rows, made, strict=True):
                    if unsigned(number) != right:
                        wrong += 1
                        if wrong <= _MOST:
                            text = "its address is not the one that the id was made of"
                            add("addresses", f"private/ips.sqlite, row {number}", text)
    except sqlite3.DatabaseError as error:
        add("unreadable", "private/ips.sqlite", f"cannot be read ({error})")
    if wrong > _MOST:
        add("addresses", "private/ips.sqlite", f"{wrong - _MOST:,} more rows are wrong")
