"""What an export folder holds, and of what it was made: ``OUT/.tickline/export.json``.

Nothing here needs numpy or pyarrow: a run that has nothing new to export is over before they are imported,
which take longer than the rest of it.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import tickline
from tickline import _core
from tickline.errors import TicklineError, UsageError
from tickline.files import write_whole
from tickline.pipelines.access.catalog.catalog import Catalog
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.state import FOLDER, lock
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.folder import StoreFolder

__all__ = [
    "FORMAT",
    "MAPPED",
    "MAPPED_PROFILE",
    "Entry",
    "ExportRecord",
    "ExportReport",
    "check_out",
    "key_of",
    "made_of",
    "refuse_other_layout",
    "unchanged_export",
]

FORMAT = 1
"""The format of the native export; stands in ``provenance.json``."""

MAPPED = "mapped"
"""The folder of the mapped tree."""
MAPPED_PROFILE = "dandi-s3-log-parser"

_RECORD = "export.json"
_RECORD_FORMAT = 1

Entry = dict[str, Any]


@dataclass
class ExportReport:
    """What an export did.

    Attributes
    ----------
    written, unchanged, removed : list of str
        Files below OUT. Those of datasets without new rows count as unchanged.
    digest : str
        A hash of all files, by which the page tells whether it was made of these.
    """

    written: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    digest: str = ""


def check_out(out: Path, store: Path, raw: Path | None = None) -> None:
    """Refuse an output folder that could be mistaken for the store or for the logs.

    Raises
    ------
    UsageError
        `out` is the store, lies within it or holds it (who publishes `out` would publish the key of the
        pseudonyms), or is the folder of the logs or lies within it.
    """
    place, inside = out.resolve(), store.resolve()
    if place == inside or inside in place.parents:
        hint = "Choose a folder outside of the store."
        raise UsageError("the output folder lies within the store", where=str(out), hint=hint)
    if place in inside.parents:
        hint = "Choose a folder of its own: what is exported may be published, the store may not."
        raise UsageError("the store lies within the output folder", where=str(out), hint=hint)
    if raw is not None:
        logs = raw.resolve()
        if place == logs or logs in place.parents:
            hint = "Choose a folder outside of the logs: they would be mistaken for each other."
            raise UsageError(
                "the output folder is the one of the logs, or lies within it", where=str(out), hint=hint
            )


class ExportRecord:
    """The record of an export folder, locked from when it is read until it is closed.

    It holds for each file ``size``, ``mtime_ns`` and ``hash`` (null until the file is finished) and
    ``dataset`` (``*`` for the archive, ``-`` for documents, else ``=`` and its name), for each dataset its
    version, and what the whole was made of.

    Parameters
    ----------
    out : Path
        The folder; it is made if it does not exist.
    layout : str
        The profile of the export.

    Attributes
    ----------
    files : dict
        Path below `out` to what is known of it.
    versions : dict of str to str
        Of each dataset; see `Summaries.version`.
    complete : bool
        Whether the run that wrote it came to its end.
    made_of : str
        See `made_of`; empty while the folder is being written.
    privacy : str
        The rule of the last export into the folder; empty if there was none.

    Raises
    ------
    UsageError
        The folder holds an export in another layout: files of both would lie in one folder.
    TicklineError
        Another run is writing into the folder, or a newer version of tickline wrote it.
    """

    def __init__(self, out: Path, layout: str) -> None:
        self.out = out
        self._layout = layout
        self.files: dict[str, Entry] = {}
        self.versions: dict[str, str] = {}
        self.complete = True
        self.made_of = ""
        self.privacy = ""
        self._path = out / FOLDER / _RECORD
        self._lock = lock(out)
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> None:
        try:
            record = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (ValueError, RecursionError):
            # Then every file is compared with what it ought to be, and none is removed.
            return
        number = record.get("format") if isinstance(record, dict) else None
        if isinstance(number, int) and number > _RECORD_FORMAT:
            what = "was written by a newer version of tickline"
            hint = "Update tickline, or choose another folder."
            raise TicklineError(what, where=str(self._path), hint=hint)
        if number == _RECORD_FORMAT and _is_record(record):
            if record["layout"] != self._layout:
                what = f"holds an export in the layout {record['layout']}"
                raise UsageError(what, where=str(self.out), hint="Choose another folder for this one.")
            self.files, self.versions = record["files"], record["versions"]
            self.complete, self.made_of = record["complete"], record["made_of"]
            self.privacy = record["privacy"]

    def begin(self, options: ExportOptions) -> None:
        """Take the rule of privacy of an export that is about to be written.

        Raises
        ------
        UsageError
            The folder holds published numbers, and exact ones would take their place without being asked for.
        """
        if self.privacy not in ("", "exact") and options.privacy is None and options.privacy_rule == "exact":
            what = f"was made with --privacy {self.privacy}, and exact numbers would take its place"
            hint = f"Say --privacy {self.privacy} again, or --privacy exact if that is meant."
            raise UsageError(what, where=str(self.out), hint=hint)
        self.privacy = options.privacy_rule

    def save(self, *, complete: bool) -> None:
        """Write it, unless it says so already."""
        record = {
            "format": _RECORD_FORMAT,
            "complete": complete,
            "layout": self._layout,
            "made_of": self.made_of,
            "privacy": self.privacy,
            "files": self.files,
            "versions": self.versions,
        }
        data = json.dumps(record, sort_keys=True, indent=0).encode() + b"\n"
        if not self._path.is_file() or self._path.read_bytes() != data:
            write_whole(self._path, data)

    def stands(self, name: str) -> bool:
        """Tell whether a file is there as it was written, by its size and time."""
        entry = self.files.get(name)
        try:
            status = os.stat(self.out / name, follow_symlinks=False)
        except OSError:
            return False
        known = entry is not None and (entry["size"], entry["mtime_ns"])
        return known == (status.st_size, status.st_mtime_ns)

    def digest(self) -> str:
        """Return a hash of the names and hashes of all files, for what is made of them."""
        hashed = _core.ContentHash()
        for name, entry in sorted(self.files.items()):
            hashed.update(json.dumps([name, entry["hash"]]).encode())
        return hashed.digest().hex()

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._lock)

    def __enter__(self) -> "ExportRecord":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_other_layout(out: Path, profile: str) -> None:
    """Refuse a folder that holds an export of another kind: what is published must not lie beside rows.

    Raises
    ------
    UsageError
        The folder holds an export in another layout.
    """
    if profile == MAPPED_PROFILE and (out / FOLDER / _RECORD).is_file():
        found = "another layout"
    elif profile != MAPPED_PROFILE and (out / MAPPED / FOLDER).is_dir():
        found = f"the layout {MAPPED_PROFILE}"
    else:
        return
    hint = "Choose another folder for this one."
    raise UsageError(f"holds an export in {found}", where=str(out), hint=hint)


def made_of(folder: StoreFolder, commit: int, epoch: int, catalog: str | None, options: ExportOptions) -> str:
    """Return a hash of all that decides what an export holds.

    Parameters
    ----------
    folder : StoreFolder
        The open store.
    commit, epoch : int
        The state of its ledger that is exported.
    catalog : str or None
        SHA-256 of the catalog's file.
    options : ExportOptions
        All others.
    """
    made_ms = folder.ledger.rows("SELECT made_ms FROM commits WHERE id = ?", [commit])
    snapshots = folder.ledger.rows("SELECT * FROM snapshots WHERE current ORDER BY position")
    parts = [
        tickline.__version__,
        FORMAT,
        folder.settings.as_json(),
        commit,
        # A ledger that was put back from a backup comes to the same number by another way.
        made_ms[0][0] if made_ms else 0,
        epoch,
        list(map(list, snapshots)),
        folder.ledger.meta("region_order"),
        catalog,
        options.summaries.shared_content,
        sorted(options.summaries.restrict_to),
        sorted(options.summaries.exclude_datasets),
        *options.rules,
    ]
    return hashlib.sha256(json.dumps(parts, default=bytes.hex).encode()).hexdigest()


def unchanged_export(folder: StoreFolder, options: ExportOptions, out: Path) -> ExportReport | None:
    """Return what an export would say if it is made of the same and stands as it was written, else None."""
    options.check()
    check_out(out, folder.path)
    if not (out / FOLDER / _RECORD).is_file() or folder.ledger.has_unlabelled():
        return None
    commit, epoch = folder.ledger.state()
    chosen = options.summaries
    made = made_of(folder, commit, epoch, Catalog(chosen.catalog).file_sha256, options)
    with ExportRecord(out, options.profile) as record:
        if not record.complete or record.made_of != made or not all(map(record.stands, record.files)):
            return None
        mine = [name for name, entry in record.files.items() if _is_chosen(entry["dataset"], chosen)]
        return ExportReport(unchanged=sorted(mine), digest=record.digest())


def _is_chosen(dataset: str, options: SummaryOptions) -> bool:
    """Tell whether files of a dataset, as a record names it, belong to an export with these options."""
    if not dataset.startswith("="):
        return True
    chosen = options.restrict_to or (dataset[1:],)
    return dataset[1:] in chosen and dataset[1:] not in options.exclude_datasets


def key_of(dataset: str | None) -> str:
    """Return how a record names a dataset, or the archive (None)."""
    # A dataset may have any name, an empty one too.
    return "*" if dataset is None else f"={dataset}"


def _is_record(record: dict[str, Any]) -> bool:
    files, versions = record.get("files"), record.get("versions")
    return (
        isinstance(files, dict)
        and isinstance(versions, dict)
        and isinstance(record.get("complete"), bool)
        and isinstance(record.get("made_of"), str)
        and isinstance(record.get("layout"), str)
        and isinstance(record.get("privacy"), str)
        and all(
            isinstance(entry, dict)
            and {"dataset", "size", "mtime_ns", "hash"} <= entry.keys()
            and isinstance(entry["dataset"], str)
            and not name.startswith("/")
            and ".." not in name.split("/")
            for name, entry in files.items()
        )
    )
