"""What readers elsewhere go by: a list of the files that count, published by rename beside them.

Readers that do not see the ledger (it lies on the disk of whoever writes) read the files that the manifest
names. Files are never changed, and one that is replaced stays for a day: what a manifest names is there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickline.errors import TicklineError, explain_os_error
from tickline.files import write_whole
from tickline.store.ledger import Ledger, PartFile, Snapshot
from tickline.store.settings import Settings

__all__ = ["MANIFEST", "Manifest", "load_manifest", "manifest_bytes", "read_manifest", "write_manifest"]

MANIFEST = "manifest.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """One commit of a store, as it was published.

    Attributes
    ----------
    store_id : str
        Of which store.
    dedupe_lines : bool
        Whether rows hold ``line_hash``.
    settings : dict
        The rules of the store, see `Settings.as_json`.
    snapshot : Snapshot
        The files that count, and the sources whose rows do not.
    """

    store_id: str
    dedupe_lines: bool
    settings: dict[str, Any]
    snapshot: Snapshot


def manifest_bytes(ledger: Ledger, settings: Settings) -> bytes:
    """Return the manifest of what a store holds now."""
    snapshot = ledger.snapshot()
    whole = {
        "format": _FORMAT,
        "store_id": settings.store_id,
        "settings": settings.as_json(),
        "commit": snapshot.commit,
        "epoch": snapshot.epoch,
        "replaced": sorted(snapshot.replaced),
        "files": [_as_json(part) for part in (*snapshot.parts, *snapshot.daily)],
    }
    return (json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _as_json(part: PartFile) -> dict[str, Any]:
    return {**{name: getattr(part, name) for name in PartFile.__dataclass_fields__}, "hash": part.hash.hex()}


def write_manifest(store: Path, ledger: Ledger, settings: Settings) -> None:
    """Publish what a store holds now; the old manifest stands until the new one does."""
    write_whole(store / MANIFEST, manifest_bytes(ledger, settings))


def read_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest.

    Raises
    ------
    TicklineError
        It is damaged, or a newer version of tickline wrote it.
    """
    try:
        found = json.loads(data)
        number = found["format"]
        newer = type(number) is int and number > _FORMAT
        manifest = None if newer else _manifest_of(found)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        hint = "Publish it again: tickline access ingest with the same options."
        what = f"is no manifest that can be understood ({type(error).__name__}: {error})"
        raise TicklineError(what, where=where, hint=hint) from error
    if manifest is None:
        what = f"has format {number}, made by a newer version of tickline; this one knows {_FORMAT}"
        raise TicklineError(what, where=where, hint="Update tickline.")
    return manifest


def _manifest_of(found: dict[str, Any]) -> Manifest:
    files = [PartFile(**{**part, "hash": bytes.fromhex(part["hash"])}) for part in found["files"]]
    if any(part.path.startswith("/") or ".." in part.path.split("/") for part in files):
        raise ValueError("a file lies outside")
    snapshot = Snapshot(
        int(found["commit"]),
        int(found["epoch"]),
        tuple(part for part in files if part.kind == "accesses"),
        tuple(part for part in files if part.kind == "daily"),
        frozenset(map(int, found["replaced"])),
    )
    settings = dict(found["settings"])
    return Manifest(str(found["store_id"]), bool(settings["dedupe_lines"]), settings, snapshot)


def load_manifest(store: Path) -> Manifest:
    """Read the manifest of a folder.

    Raises
    ------
    TicklineError
        There is none, or it is damaged.
    """
    path = store / MANIFEST
    try:
        return read_manifest(path.read_bytes(), str(path))
    except OSError as error:
        raise explain_os_error(error, path) from error
