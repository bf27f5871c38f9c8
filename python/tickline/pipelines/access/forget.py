"""Forgetting addresses: ids and regions stay, the way back from an id to an address goes."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import explain_os_error
from tickline.files import Folders
from tickline.store.ledger_schema import update

if TYPE_CHECKING:
    import sqlite3

    from tickline.store.folder import StoreFolder

__all__ = ["Forgotten", "forget_addresses"]

_CHUNK = bytes(2**20)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done: requesters that got their region now, and files that were deleted."""

    labelled: int
    files: int


def forget_addresses(folder: "StoreFolder") -> Forgotten:
    """Give every requester its region by the snapshots in use, then delete ``private/`` for good.

    From then on the store is one with ``--no-addresses``: an ingest looks regions up while it reads and
    writes no address. Labels can no longer be changed; summaries stay as they are.

    The files are overwritten with zeros before they are deleted. On a plain hard disk nothing is left then.
    SSDs and file systems that write elsewhere (btrfs, ZFS, network storage) keep old blocks until they use
    them again, backups and snapshots keep theirs: there, only an encrypted disk whose key is destroyed is a
    promise. Whoever holds ``pseudonym.key`` can still find the address of an id by trying all of them (2**32
    of IPv4); a store that takes no more logs does not need that file.

    Raises
    ------
    TicklineError
        Another run is writing, a region file is missing (nothing was deleted), or a file cannot be deleted.
    """
    from tickline.pipelines.access.regions.regions import label_requesters

    private = folder.path / "private"
    try:
        with folder.writing():
            labelled = label_requesters(folder).labelled if folder.ledger.unlabelled() else 0
            # This comes first: a run that is killed behind it leaves files that nothing uses, and the next
            # `forget_addresses` deletes them.
            with folder.ledger.transaction() as db:
                now_ms = str(time.time_ns() // 1_000_000)
                db.execute("INSERT OR IGNORE INTO meta VALUES ('addresses_forgotten', ?)", [now_ms])
                _retire_caches(db)
            return Forgotten(labelled, _delete(private))
    except OSError as error:
        raise explain_os_error(error, private) from error


def _retire_caches(db: "sqlite3.Connection") -> None:
    """Take region files that lie in ``private/`` out of use; labels that they gave stay."""
    for (number,) in db.execute(
        "SELECT id FROM snapshots WHERE current AND file GLOB 'private/*'"
    ).fetchall():
        update(db, "snapshots", "id", number, current=0)


def _delete(private: Path) -> int:
    files = sorted(path for path in private.rglob("*") if path.is_file()) if private.is_dir() else []
    folders = Folders()
    for path in files:
        if not path.is_symlink():
            _overwrite(path)
        path.unlink()
        folders.changed(path.parent)
    folders.sync()
    if private.is_dir() and not any(private.iterdir()):
        private.rmdir()
    return len(files)


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= os.write(descriptor, _CHUNK[: min(left, len(_CHUNK))])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
