"""Addresses become ids by HMAC-SHA256; the way back is a file of its own that may be deleted.

IPv4 has only 2**32 addresses, so a hash without a key could be undone by trying them all (ENISA,
"Pseudonymisation techniques and best practices", 2019). The key stands in the environment or in a file of
mode 0600 beside the store.
"""

import contextlib
import hashlib
import hmac
import ipaddress
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import TicklineError, explain_os_error
from tickline.files import write_whole
from tickline.store.ledger import signed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["ENVIRONMENT", "Pseudonyms", "key_id", "load_key"]

ENVIRONMENT = "TICKLINE_PSEUDONYM_KEY"
_FILE = "pseudonym.key"
_LEAST_BYTES = 32
_IDS_PER_QUERY = 50_000
_MOST_KEPT = 500_000


def load_key(store: Path, *, create: bool = False) -> bytes:
    """Return the key from the environment, or else from the store's file; make that one if `create`.

    Raises
    ------
    TicklineError
        There is none, or it is too short or not hexadecimal. The key itself is never shown.
    """
    text = os.environ.get(ENVIRONMENT)
    if text is not None:
        return _parse(text, ENVIRONMENT)
    path = store / _FILE
    try:
        return _parse(path.read_text("ascii", "replace"), str(path))
    except FileNotFoundError as error:
        if not create:
            hint = f"Restore it from a backup, or set {ENVIRONMENT} to the key the store was made with."
            raise TicklineError("the key of the pseudonyms is missing", where=str(path), hint=hint) from error
    except OSError as error:
        raise explain_os_error(error, path) from error
    key = secrets.token_bytes(_LEAST_BYTES)
    old = os.umask(0o177)
    try:
        write_whole(path, key.hex().encode() + b"\n")
    finally:
        os.umask(old)
    return key


def _parse(text: str, where: str) -> bytes:
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) < _LEAST_BYTES:
        hint = "Make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        raise TicklineError(f"is not at least {_LEAST_BYTES} bytes in hexadecimal", where=where, hint=hint)
    return key


def key_id(key: bytes) -> str:
    """Return 16 hex digits that tell one key from another, and nothing about it."""
    return hmac.digest(key, b"tickline pseudonym key id", "sha256").hex()[:16]


def canonical(address: str) -> str:
    """Return the one spelling of an address; what is none stays as it is logged."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or parsed)


class Pseudonyms:
    """Ids of requesters, and their addresses as long as they are known.

    Parameters
    ----------
    store : pathlib.Path
        The folder of the store.
    key : bytes or None
        None where ids need not be made.
    keep_addresses : bool
        Whether `ids` writes ``private/ips.sqlite``.
    """

    def __init__(self, store: Path, key: bytes | None, *, keep_addresses: bool) -> None:
        self.path = store / "private" / "ips.sqlite"
        self._key = key
        self._keep = keep_addresses
        # The same addresses come in run after run.
        self._made: dict[str, bytes] = {}
        self._db: sqlite3.Connection | None = None

    def ids(self, addresses: Sequence[str]) -> "NDArray[np.uint64]":
        """Return the id of each address: the first 8 bytes of its HMAC-SHA256, big-endian."""
        import numpy as np

        if self._key is None:
            raise TicklineError("no key for pseudonyms was loaded", where=str(self.path.parent.parent))
        if len(self._made) > _MOST_KEPT:
            self._made.clear()
        digests = b"".join(self._made.get(address) or self._make(self._key, address) for address in addresses)
        return np.frombuffer(digests, ">u8").astype(np.uint64)

    def _make(self, key: bytes, address: str) -> bytes:
        spelled = canonical(address).encode("utf-8", "surrogateescape")
        self._made[address] = made = hmac.digest(key, spelled, hashlib.sha256)[:8]
        return made

    def remember(self, ids: "NDArray[np.uint64]", addresses: Sequence[str]) -> None:
        """Write which address an id stands for, where the store keeps addresses at all.

        It comes before the commit that uses the ids: an id too many does no harm, one too few does. The file
        stays open until `close`: to open it anew for each unit took four fsyncs in place of one.
        """
        if not self._keep or not len(ids):
            return
        spelled = (canonical(address) for address in addresses)
        # In the order of the table, as neighbours share a page.
        rows = sorted(zip(ids.view("int64").tolist(), spelled, strict=True))
        with self._explaining():
            if self._db is None:
                self._db = self._connect(create=True)
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._db.executemany("INSERT INTO addresses VALUES (?, ?) ON CONFLICT(id) DO NOTHING", rows)
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close what `remember` has opened; more than once is harmless."""
        if self._db is not None:
            # At rest it is one file, which can be read where nothing can be written. While somebody else
            # reads it that cannot be, and it stays as it is until the next time.
            with contextlib.suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA journal_mode=DELETE")
            self._db.close()
            self._db = None

    def addresses(self, ids: Sequence[int]) -> list[str | None]:
        """Return the address of each id, None where it is not known (any more)."""
        import json

        if not self.path.is_file():
            return [None] * len(ids)
        found: dict[int, str] = {}
        wanted = [signed(int(number)) for number in ids]
        with self._explaining(), contextlib.closing(self._connect()) as db:
            sql = "SELECT id, address FROM addresses WHERE id IN (SELECT value FROM json_each(?))"
            for begin in range(0, len(wanted), _IDS_PER_QUERY):
                found.update(db.execute(sql, [json.dumps(wanted[begin : begin + _IDS_PER_QUERY])]))
        return [found.get(number) for number in wanted]

    def _connect(self, *, create: bool = False) -> sqlite3.Connection:
        if create and not self.path.is_file():
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # What SQLite writes beside it gets the mode of the database.
        db = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        try:
            db.execute("PRAGMA synchronous=FULL")
            # What `forget-addresses` leaves must not be found in free pages of the file.
            db.execute("PRAGMA secure_delete=ON")
            if create:
                db.execute("PRAGMA journal_mode=WAL")
                columns = "id INTEGER PRIMARY KEY, address TEXT NOT NULL"
                db.execute(f"CREATE TABLE IF NOT EXISTS addresses({columns}) STRICT")
        except BaseException:
            db.close()
            raise
        return db

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
                full = OSError(28, "No space left on device", str(self.path))
                raise explain_os_error(full, self.path) from error
            hint = "It may be deleted (tickline access forget-addresses): only regions of new labels need it."
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                hint = "Somebody else reads it, such as tickline access verify: wait for that to end."
            elif isinstance(error, sqlite3.OperationalError):
                # The disk or its permissions; what the file holds is not concerned.
                hint = "Check the disk and its permissions, then run it again."
            raise TicklineError(f"cannot be used ({error})", where=str(self.path), hint=hint) from error
