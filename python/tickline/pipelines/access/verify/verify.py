"""Whether a store still is what was written: files, rows of the ledger, sums, and a sample of sources.

Nothing is changed and no lock is held: an ingest may go on meanwhile, what it brings is not looked at.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.discovery import is_s3
from tickline.errors import TicklineError, explain_os_error
from tickline.files import TEMPORARY_PREFIX
from tickline.pipelines.access.regions.refresh import CHANGES
from tickline.pipelines.access.verify.ledger import check_addresses, check_ledger, check_regions
from tickline.pipelines.access.verify.parts import Content, check_content
from tickline.pipelines.access.verify.sources import check_source, choose_sources, still_there
from tickline.progress import Progress
from tickline.store.ledger import Ledger, PartFile, Snapshot
from tickline.store.manifest import MANIFEST
from tickline.store.parts import file_hash, import_arrow
from tickline.store.query import import_duckdb, open_connection, running

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Finding", "Findings", "verify"]

# A run that is writing has files that no commit names yet.
_UNDER_WAY_S = 3600.0
_ROOT = {
    "store.toml",
    "pseudonym.key",
    "lock",
    MANIFEST,
    "ledger.sqlite",
    "ledger.sqlite-wal",
    "ledger.sqlite-shm",
    "parts",
    "daily",
    "private",
    "regions",
    "cache",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    what : str
        ``missing``, ``orphan``, ``foreign``, ``size``, ``hash``, ``unreadable``, ``content``, ``sums``,
        ``seal``, ``ledger``, ``accounting``, ``rejects``, ``requesters``, ``addresses``, ``permissions`` or
        ``source``.
    where : str
        The file below the store, the row of the ledger, or the name of the source.
    text : str
        A sentence.
    """

    what: str
    where: str
    text: str


@dataclass(slots=True)
class Findings:
    """What `verify` found, and what it looked at.

    Attributes
    ----------
    found : list of Finding
        Empty if all is well.
    files, rows, sources, sampled : int
        Files and rows (of parts) that were read, sources whose accounting was checked, and how many of them
        were read again.
    notes : list of str
        What could not be looked at.
    """

    found: list[Finding] = field(default_factory=list)
    files: int = 0
    rows: int = 0
    sources: int = 0
    sampled: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, where: str, text: str) -> None:
        """Note one thing."""
        self.found.append(Finding(what, where, text))

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.found


def verify(
    folder: "StoreFolder", *, sample: int = 5, seed: int | None = None, progress: Progress | None = None
) -> Findings:
    """Check a store.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    sample : int
        So many sources that still lie where they lay are read again, by the reference parser, and compared
        row by row (of large ones the first 64 MB).
    seed : int, optional
        Draws the same sample again.
    progress : Progress, optional
        Is told how far it is, in bytes.

    Returns
    -------
    Findings
        Each thing that is wrong, with the file or row it concerns.

    Raises
    ------
    TicklineError
        The ledger cannot be read at all, or an extra is not installed.
    """
    # What is not installed must not look like damage.
    import_arrow()
    import_duckdb()
    progress = progress or Progress()
    findings = Findings()
    began = time.time()
    on_disk = dict(_listed(folder.path))
    with _frozen(folder) as (still, snapshot):
        chosen = choose_sources(still, sample, seed)
        files = (*snapshot.parts, *snapshot.daily)
        # Parts and daily files are read twice: for themselves, and to compare their sums.
        progress.start(2 * sum(part.size_bytes for part in files) + sum(name["size"] for name in chosen))
        check_ledger(still, findings.add)
        content = Content()
        bad = {part.month for part in files if not _check_file(still, part, content, findings, progress)}
        _check_disk(folder, on_disk, began, findings)
        content.finish(still, bad, findings.add)
        findings.sources = content.sources
        for month in sorted({part.month for part in files} - bad):
            _compare_sums(still, snapshot, month, findings, progress)
        if bad:
            findings.notes.append(f"sums of {', '.join(sorted(bad))} were not compared: a file is damaged")
        check_regions(still, findings.add)
        check_addresses(still, findings.add)
        why_not = "files are damaged" if bad else _why_no_ids(still)
        if why_not is not None and chosen:
            findings.notes.append(f"no source was read again: {why_not}")
        else:
            _check_sample(still, snapshot, chosen, findings, progress)
            if sample and not findings.sampled and snapshot.parts:
                findings.notes.append("no source lies where it lay, as it was: none could be read again")
    return findings


def _why_no_ids(folder: "StoreFolder") -> str | None:
    """Return why ids cannot be made anew: the key may be kept elsewhere, and that is no damage."""
    try:
        folder.key()
    except TicklineError as error:
        return error.what
    return None


@contextlib.contextmanager
def _frozen(folder: "StoreFolder") -> "Iterator[tuple[StoreFolder, Snapshot]]":
    """Open the store once more, with a ledger that shows one state, whatever others commit."""
    ledger = Ledger(folder.path, folder.settings.store_id)
    with type(folder)(folder.path, folder.settings, ledger) as still:
        while True:
            snapshot = ledger.snapshot()
            ledger.db.execute("BEGIN")
            if ledger.rows("SELECT coalesce(max(id), 0) FROM commits")[0][0] == snapshot.commit:
                break
            ledger.db.execute("COMMIT")
        yield still, snapshot


# ---- files ------------------------------------------------------------------------------------------------


def _check_file(
    folder: "StoreFolder", part: PartFile, content: Content, findings: Findings, progress: Progress
) -> bool:
    """Check one file, and tell whether its rows can be used."""
    path = folder.path / part.path
    usable = False
    try:
        size = path.stat().st_size
        if size != part.size_bytes:
            findings.add("size", part.path, f"has {size:,} bytes, {part.size_bytes:,} were written")
        elif file_hash(path) != part.hash:
            findings.add("hash", part.path, "its bytes are not those that were written (XXH3-128 differs)")
        else:
            for text in check_content(path, part, content, folder.settings.dedupe_lines):
                findings.add("content", part.path, text)
            usable = True
            findings.files += 1
            findings.rows += part.rows if part.kind == "accesses" else 0
    except FileNotFoundError:
        findings.add("missing", part.path, "the ledger names this file, and it is not there")
    except OSError as error:
        findings.add("unreadable", part.path, explain_os_error(error, path).what)
    except TicklineError as error:
        missing = not path.exists()
        text = "the ledger names this file, and it is not there" if missing else error.what
        findings.add("missing" if missing else "unreadable", part.path, text)
    progress.advance(part.size_bytes)
    return usable


def _listed(store: Path) -> Iterator[tuple[str, float]]:
    """Yield all files below parts/, daily/ and regions/, and all names in the store itself."""
    for kind in ("parts", "daily", "regions"):
        for root, _, names in os.walk(store / kind):
            for name in names:
                path = Path(root, name)
                try:
                    yield str(path.relative_to(store)), path.lstat().st_mtime
                except FileNotFoundError:
                    continue
    for entry in os.scandir(store):
        if entry.name not in _ROOT and not entry.name.startswith(TEMPORARY_PREFIX):
            yield entry.name, 0.0


def _check_disk(folder: "StoreFolder", on_disk: dict[str, float], began: float, findings: Findings) -> None:
    """Name files that no row of the ledger names."""
    # Asked after the list was made: what was committed meanwhile is known too.
    known = {row[0] for row in folder.ledger.rows("SELECT path FROM parts UNION SELECT file FROM snapshots")}
    writing = _is_writing(folder.path)
    for name in sorted(on_disk.keys() - known):
        if not (folder.path / name).exists() or (name.startswith(f"{CHANGES}/") and name.endswith(".json")):
            continue
        if writing and began - on_disk[name] < _UNDER_WAY_S and "/" in name:
            continue
        shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        base = Path(name).name
        if base.startswith(TEMPORARY_PREFIX):
            findings.add("orphan", shown, "was left by a run that was killed; the next one removes it")
        elif name.endswith(".parquet") and name.count("/") == 2:
            text = "no row of the ledger names this file: a run was killed, or the row is gone"
            findings.add("orphan", shown, text)
        elif name.startswith("regions/"):
            findings.add("orphan", shown, "no region snapshot of the ledger is this file")
        else:
            findings.add("foreign", shown, "this is no file of a store")


def _is_writing(store: Path) -> bool:
    import fcntl

    try:
        descriptor = os.open(store / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


# ---- sums -------------------------------------------------------------------------------------------------

# Rows count once with each sign: where parts and daily files agree, nothing is left.
_DIFFERENCES = """
SELECT day, key, count(*) OVER () FROM (
    SELECT time::DATE AS day, key, requester_id, coalesce(bytes_sent, 0)::HUGEINT AS sent,
        1::HUGEINT AS requests, coalesce(http_status = 200, false)::INT::HUGEINT AS downloads
    FROM {parts} WHERE NOT list_contains(?, source::BIGINT)
    UNION ALL
    SELECT day, key, requester_id, -bytes_sent::HUGEINT, -requests::HUGEINT, -downloads::HUGEINT FROM {daily}
) GROUP BY day, key, requester_id HAVING sum(sent) <> 0 OR sum(requests) <> 0 OR sum(downloads) <> 0
ORDER BY day, key LIMIT 3
"""
_FILES = "read_parquet(?, hive_partitioning = false)"
_NO_PARTS = """(SELECT NULL::TIMESTAMPTZ AS time, NULL::VARCHAR AS key, NULL::UBIGINT AS requester_id,
    NULL::UBIGINT AS bytes_sent, NULL::USMALLINT AS http_status, NULL::UINTEGER AS source WHERE false)"""
_NO_DAILY = """(SELECT NULL::DATE AS day, NULL::VARCHAR AS key, NULL::UBIGINT AS requester_id,
    NULL::UBIGINT AS bytes_sent, NULL::UBIGINT AS requests, NULL::UBIGINT AS downloads WHERE false)"""


def _compare_sums(
    folder: "StoreFolder", snapshot: Snapshot, month: str, findings: Findings, progress: Progress
) -> None:
    """Compare the daily files of a month with the rows of its parts."""
    parts = [str(folder.path / part.path) for part in snapshot.parts if part.month == month]
    daily = [str(folder.path / part.path) for part in snapshot.daily if part.month == month]
    sql = _DIFFERENCES.format(parts=_FILES if parts else _NO_PARTS, daily=_FILES if daily else _NO_DAILY)
    values: list[Any] = [*([parts] if parts else []), sorted(snapshot.replaced), *([daily] if daily else [])]
    with closing(open_connection(folder, memory="500MB", threads=1)) as connection:
        try:
            with running():
                differing = connection.execute(sql, values).fetchall()
        except TicklineError as error:
            findings.notes.append(f"sums of {month} were not compared: {error.what}")
            return
    for day, key, count in differing[:1]:
        shown = "requests without a key" if key is None else f"key {key!r}"
        text = f"{count:,} sums differ from the rows of parts/{month}, the first one on {day} for {shown}"
        findings.add("sums", f"daily/{month}", text)
    names = set(parts) | set(daily)
    size = sum(
        part.size_bytes
        for part in (*snapshot.parts, *snapshot.daily)
        if str(folder.path / part.path) in names
    )
    progress.advance(size)


# ---- sources ----------------------------------------------------------------------------------------------


def _check_sample(
    folder: "StoreFolder",
    snapshot: Snapshot,
    chosen: list[dict[str, Any]],
    findings: Findings,
    progress: Progress,
) -> None:
    for name in chosen:
        try:
            with still_there(name) as item:
                if item is None:
                    continue
                for text in check_source(folder, snapshot, name["source"], item, progress.advance):
                    findings.add("source", name["name"], text)
                findings.sampled += 1
        except TicklineError as error:
            if not is_s3(name["name"]):
                findings.add("source", name["name"], error.what)
            else:
                # A bucket that does not answer says nothing about the store.
                findings.notes.append(f"{name['name']} could not be read: {error.what}")
