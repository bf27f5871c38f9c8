"""Which content belongs to which source: every content once, whoever has it and however many names it has."""

import ast
import json
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Claims", "Content", "LedgerClaims", "ToldClaims", "real_name", "stored_name"]

_SAME_CONTENT = (
    "SELECT id FROM sources WHERE content_hash = ? AND form = ? AND key IS ? AND state <> 'replaced'"
)


def stored_name(name: str) -> str:
    """Return a name as the ledger has it.

    One that is not UTF-8 stands there as Python writes its bytes, ``b'/raw/\\xff'``. Names are absolute or
    begin with ``s3://``, so that none of them looks like another one's bytes.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return repr(os.fsencode(name))
    return name


def real_name(stored: str) -> str:
    """Return the name that `stored_name` was given."""
    if stored.startswith(("b'", 'b"')):
        return os.fsdecode(ast.literal_eval(stored))
    return stored


class Content(NamedTuple):
    """What makes a source the one it is.

    Attributes
    ----------
    hash : bytes
        XXH3-128 of its decompressed bytes.
    form : str
        ``"log"``, ``"reduced"`` or ``"binned"``.
    key : bytes or None
        The key of all its rows, where that is not told by its bytes.
    """

    hash: bytes
    form: str
    key: bytes | None


class _Owner(NamedTuple):
    """The task that brings a content (None: the ledger has it), and the number of its source."""

    task: int | None
    source: int


class Claims(ABC):
    """Which content has which number: the first one that comes gets it.

    Safe to use from many threads. A task is known by the number that was set aside for it.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._owners: dict[Content, _Owner] = {}

    def claim(self, content: Content, task: int, source: int) -> int | None:
        """Claim a content for `source`.

        Returns
        -------
        int or None
            None if it is this task's own now, or else the number of the source that has it.
        """
        with self._mutex:
            owner = self._owners.get(content)
            if owner is None:
                known = self._known(content)
                owner = _Owner(None, min(known)) if known - {source} else _Owner(task, source)
                self._owners[content] = owner
            return None if owner.task == task else owner.source

    def release(self, content: Content, task: int) -> None:
        """Give a claim back: its source could not be read."""
        with self._mutex:
            owner = self._owners.get(content)
            if owner is not None and owner.task == task:
                del self._owners[content]

    @abstractmethod
    def _known(self, content: Content) -> set[int]:
        """Return the sources of the ledger that have it."""

    @abstractmethod
    def may_grow(self, task: int, source: int, name: str) -> bool:
        """Tell whether this task may add lines to a source, which is another content then.

        One task may, and only if under no other name there still is what the source was.
        """

    @abstractmethod
    def has_size(self, size: int) -> bool:
        """Tell whether some content of the ledger has so many bytes."""


class LedgerClaims(Claims):
    """Claims of one run, beside what the ledger has."""

    def __init__(self, ledger: Path) -> None:
        super().__init__()
        self._db = sqlite3.connect(
            f"{ledger.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False, isolation_level=None
        )
        self._growing: dict[int, int] = {}

    def _known(self, content: Content) -> set[int]:
        return {int(row[0]) for row in self._db.execute(_SAME_CONTENT, content)}

    def may_grow(self, task: int, source: int, name: str) -> bool:
        with self._mutex:
            if self._growing.setdefault(source, task) != task:
                return False
            sql = "SELECT name, size, mtime_ns, inode FROM names WHERE source = ? AND name <> ?"
            return not any(_is_still(*row) for row in self._db.execute(sql, [source, name]))

    def has_size(self, size: int) -> bool:
        with self._mutex:
            sql = "SELECT 1 FROM sources WHERE bytes = ? AND state <> 'replaced' LIMIT 1"
            return self._db.execute(sql, [size]).fetchone() is not None

    def of_sizes(self, sizes: Iterable[int]) -> dict[Content, int]:
        """Return the contents of so many bytes, and the sources that have them."""
        with self._mutex:
            sql = (
                "SELECT content_hash, form, key, id FROM sources "
                "WHERE bytes IN (SELECT value FROM json_each(?)) AND state <> 'replaced' ORDER BY id DESC"
            )
            found = self._db.execute(sql, [json.dumps(sorted(set(sizes)))])
            return {Content(*row[:3]): int(row[3]) for row in found}

    def close(self) -> None:
        """Close the connection."""
        self._db.close()


class ToldClaims(Claims):
    """Claims of one piece of work elsewhere: it knows what it was told.

    Parameters
    ----------
    known : dict
        Contents that others have, and the numbers of their sources.
    growing : frozenset of int
        The tasks that may add lines to their sources.
    """

    def __init__(self, known: dict[Content, int], growing: frozenset[int]) -> None:
        super().__init__()
        self._told = known
        self._growing = growing

    def _known(self, content: Content) -> set[int]:
        return {self._told[content]} if content in self._told else set()

    def may_grow(self, task: int, source: int, name: str) -> bool:  # noqa: ARG002 (who may was told)
        return task in self._growing

    def has_size(self, size: int) -> bool:  # noqa: ARG002 (it was told of such sizes only)
        return bool(self._told)


def _is_still(name: str, size: int, mtime_ns: int, inode: str) -> bool:
    """Tell whether a name stands for what it stood for; of objects in S3 that is taken for granted."""
    if name.startswith("s3://"):
        return True
    try:
        now = os.stat(real_name(name))
    except (OSError, ValueError):
        return False
    return (now.st_size, now.st_mtime_ns, f"{now.st_dev}:{now.st_ino}") == (size, mtime_ns, inode)
