"""Taking away what nobody needs any more: files that commits replaced, what killed runs left, old results."""

import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import TEMPORARY_PREFIX, Folders, remove_temporary
from tickline.pipelines.access.summaries.cache import CATALOGS, CacheFolder, lock_cache

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Report", "vacuum"]

_KEPT_H = 24.0
# More than any clock shows; what is longer would not fit into 64 bits.
_MOST_H = 1e7
_ROWS = 1_000
# An edited ledger must not have other files deleted.
_OWN_FILE = re.compile(r"(parts|daily)/[0-9]{4,}-[0-9]{2}/[^/]+\.parquet")


@dataclass(slots=True)
class Report:
    """What a vacuum removed.

    Attributes
    ----------
    files, bytes : int
        Parts and daily files that a commit had replaced.
    temporary : int
        Temporary files and folders of runs that were killed.
    regions : int
        Region files that no snapshot names.
    caches : int
        Folders of results that no longer hold.
    kept : int
        Replaced files that are still too young.
    """

    files: int = 0
    bytes: int = 0
    temporary: int = 0
    regions: int = 0
    caches: int = 0
    kept: int = 0


def vacuum(folder: "StoreFolder", *, hours: float = _KEPT_H, now_ms: int | None = None) -> Report:
    """Remove what was replaced at least `hours` ago; readers that began earlier lose their files.

    Parameters
    ----------
    folder : StoreFolder
        An open store; its lock is taken.
    hours : float
        So long a replaced file stays, for queries that are under way.
    now_ms : int, optional
        The time it is, milliseconds since 1970.

    Raises
    ------
    UsageError
        `hours` is negative.
    TicklineError
        Another run is writing, or a file cannot be removed.
    """
    if not hours >= 0:
        raise UsageError("must not be negative", where="hours")
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    before_ms = now_ms - int(min(hours, _MOST_H) * 3_600_000)
    report = Report()
    try:
        with folder.writing():
            _remove_replaced(folder, before_ms, report)
            report.temporary = remove_temporary(folder.path) + _remove_temporary_folders(
                folder.path, before_ms
            )
            _remove_regions(folder, before_ms, report)
            _remove_caches(folder, before_ms, report)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    return report


def _remove_replaced(folder: "StoreFolder", before_ms: int, report: Report) -> None:
    """Files first: a row without its file is harmless, and the next vacuum drops it."""
    ledger = folder.ledger
    gone = ledger.rows(
        "SELECT id, path, size_bytes FROM parts WHERE removed IS NOT NULL AND removed_ms <= ? ORDER BY id",
        [before_ms],
    )
    for begin in range(0, len(gone), _ROWS):
        some = gone[begin : begin + _ROWS]
        folders = Folders()
        for row in some:
            path = folder.path / row["path"]
            if not _OWN_FILE.fullmatch(row["path"]):
                what = f"names {row['path']!r} as a file of the store, which it cannot be"
                hint = "Run tickline access verify; restore ledger.sqlite from a backup."
                raise TicklineError(what, where=str(ledger.path), hint=hint)
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                folders.changed(path.parent)
        folders.sync()
        with ledger.transaction() as db:
            db.executemany("DELETE FROM parts WHERE id = ?", [(row["id"],) for row in some])
        report.files += len(some)
        report.bytes += sum(row["size_bytes"] for row in some)
    report.kept = ledger.rows("SELECT count(*) FROM parts WHERE removed IS NOT NULL")[0][0]
    for month in [*folder.path.glob("parts/*"), *folder.path.glob("daily/*")]:
        if month.is_dir() and not any(month.iterdir()):
            month.rmdir()


def _remove_temporary_folders(store: Path, before_ms: int) -> int:
    """Remove what queries that were killed had put on the disk."""
    left = [path for path in store.glob(f"{TEMPORARY_PREFIX}*") if path.is_dir() and _older(path, before_ms)]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return len(left)


def _remove_regions(folder: "StoreFolder", before_ms: int, report: Report) -> None:
    known = {row[0] for row in folder.ledger.rows("SELECT file FROM snapshots")}
    for path in sorted(folder.path.glob("regions/*")):
        if path.is_file() and str(path.relative_to(folder.path)) not in known and _older(path, before_ms):
            path.unlink()
            report.regions += 1


def _remove_caches(folder: "StoreFolder", before_ms: int, report: Report) -> None:
    root = folder.path / "cache"
    if not root.is_dir():
        return
    epoch = int(folder.ledger.meta("epoch"))
    with lock_cache(root):
        for path in sorted(root.iterdir()):
            if path.name == CATALOGS or not path.is_dir() or not _older(path, before_ms):
                continue
            state = CacheFolder(path).load()
            if state is None or state.epoch != epoch:
                shutil.rmtree(path)
                report.caches += 1


def _older(path: Path, before_ms: int) -> bool:
    try:
        return os.stat(path).st_mtime_ns // 1_000_000 <= before_ms
    except FileNotFoundError:
        return False
