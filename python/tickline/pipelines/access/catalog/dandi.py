"""A catalog made from the API of a DANDI archive: all versions of all dandisets, drafts too.

What was fetched lies in a folder, and each file appears whole::

    <dandiset>/<version>.tsv   the rows of one version; between a line with its time and one with their number
    <dandiset>/<version>.pages, <dandiset>/_pages, _pages
                               pages that came with an ETag

A published version never changes, so it is never asked for again; a draft is where the time of its last
change differs. A run that was stopped therefore goes on where it was.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tickline.clients.dandi import DRAFT, DandiClient, Version, steadily
from tickline.errors import SourceError
from tickline.files import Folders, WholeFile
from tickline.pipelines.access.export.names import escape_controls

__all__ = ["build_catalog"]

_HEADER = b"key\tdataset\tversion\tpath\n"
_PAGES = "_pages"
_ENDING = ".tsv"
_MODIFIED, _ROWS = "modified\t", "rows\t"


def build_catalog(
    client: DandiClient, folder: Path, target: Path, reach: Callable[[int, int], None] = lambda _, __: None
) -> None:
    """Fetch what is new, and write the catalog when nothing is missing.

    Its rows are ordered by dandiset. A dandiset begins with its draft, and goes on with the published
    versions in the order in which they were made, as dandi_s3_log_parser went through them. So in the tables
    of a dandiset content goes by the name it has in the draft, else by its first one, which stays.

    Parameters
    ----------
    client : DandiClient
        Whom to ask.
    folder : pathlib.Path
        Where what was fetched is kept; the caller holds its lock.
    target : pathlib.Path
        The catalog: TSV, see `tickline.pipelines.access.catalog.catalog`.
    reach : callable, optional
        Told how many dandisets of how many are done.

    Raises
    ------
    HttpError
        Something is missing: the catalog is as it was, and what was fetched stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dandisets = client.dandisets(folder / _PAGES)
    files: list[Path] = []
    for done, dandiset in enumerate(dandisets):
        reach(done, len(dandisets))
        versions = client.versions(dandiset, folder / dandiset / _PAGES)
        for version in versions:
            path = folder / dandiset / (version.name + _ENDING)
            if not _is_fresh(path, version):
                _fetch(client, version, path)
            files.append(path)
    _write(target, files)
    reach(len(dandisets), len(dandisets))
    _forget_others(folder, files)


def _is_fresh(path: Path, version: Version) -> bool:
    """Tell whether the file of a version need not be fetched again."""
    if version.name != DRAFT:
        return path.exists()
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return file.readline() == f"{_MODIFIED}{version.modified}\n"
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _fetch(client: DandiClient, version: Version, path: Path) -> None:
    """Write the file of one version; whole, or not at all."""
    folders = Folders()

    def attempt() -> None:
        sink = WholeFile(path, folders)
        try:
            number = 0
            sink.write(f"{_MODIFIED}{version.modified}\n".encode())
            for assets in client.assets(version, path.with_name(f"{version.name}.pages")):
                rows = [
                    f"{asset.content_id}\t{version.dandiset}\t{version.name}\t{escape_controls(asset.path)}\n"
                    for asset in assets
                ]
                sink.write("".join(rows).encode())
                number += len(rows)
            sink.write(f"{_ROWS}{number}\n".encode())
            sink.commit()
        finally:
            sink.abort()

    steadily(attempt)
    folders.sync()


def _write(target: Path, files: Sequence[Path]) -> None:
    folders = Folders()
    sink = WholeFile(target, folders)
    try:
        sink.write(_HEADER)
        for path in files:
            for rows in _rows(path):
                sink.write(rows)
        sink.commit()
    finally:
        sink.abort()
    folders.sync()


def _rows(path: Path) -> Iterator[bytes]:
    """Yield the rows of a version's file, some at a time."""
    number, last = 0, b""
    with path.open("rb") as file:
        file.readline()
        while lines := file.readlines(2**20):
            last = lines.pop() if not file.peek(1) else b""
            number += len(lines)
            yield b"".join(lines)
    if last != f"{_ROWS}{number}\n".encode():
        path.unlink()
        hint = "It was removed: run it again, and it is fetched again."
        raise SourceError("is damaged", where=str(path), hint=hint)


def _forget_others(folder: Path, files: Sequence[Path]) -> None:
    """Remove what killed runs left, and dandisets and versions that are not there any more."""
    known = {file.parent for file in files} | {folder / _PAGES}
    known |= {path for file in files for path in (file, file.with_suffix(".pages"), file.parent / _PAGES)}
    for path in [*folder.glob("*"), *folder.glob("*/*")]:
        if path in known or path.parent == folder / _PAGES:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
