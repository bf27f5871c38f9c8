"""Reading a store from elsewhere: by its manifest, in a shared folder or a bucket, without its ledger."""

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.discovery import is_s3
from tickline.files import Folders
from tickline.store.manifest import MANIFEST, Manifest, load_manifest, read_manifest
from tickline.store.query import connect_files, run, running

if TYPE_CHECKING:
    import pyarrow

__all__ = ["PublishedStore"]


class PublishedStore:
    """One published commit of a store; it stays the same while others are published.

    Parameters
    ----------
    place : path or str
        The folder of the store as it is seen here, or ``s3://bucket/prefix``.
    cache : path, optional
        For a bucket: a local folder for the files that queries need. What is there is not fetched again.

    Raises
    ------
    TicklineError
        Nothing was published there, or a file cannot be read.

    Examples
    --------
    >>> from tickline.store.published import PublishedStore
    >>> store = PublishedStore("s3://my-store/accesses", cache="cache")
    >>> store.query("SELECT key, sum(bytes_sent) FROM daily GROUP BY key")
    """

    def __init__(self, place: str | os.PathLike[str], cache: str | os.PathLike[str] | None = None) -> None:
        text = os.fspath(place)
        if is_s3(text):
            self.folder = Path("store-cache" if cache is None else cache)
            self.manifest = _fetched(text, self.folder)
        else:
            self.folder = Path(text)
            self.manifest = load_manifest(self.folder)

    def query(self, sql: str) -> "pyarrow.Table":
        """Return the answer to a statement that reads the views ``accesses`` and ``daily``.

        Raises
        ------
        UsageError, TicklineError
            The statement is wrong, or wants more than to read; a file is gone or damaged.
        """
        with closing(
            connect_files(self.folder, self.manifest.snapshot, self.manifest.dedupe_lines)
        ) as opened:
            found = run(opened, sql)
            with running():
                return found.to_arrow_table()


def _fetched(url: str, cache: Path) -> Manifest:
    """Bring the files of a bucket's manifest, as far as they are not there yet."""
    from tickline.store.bucket import PartsBucket

    folders = Folders()
    with PartsBucket(url) as bucket:
        manifest = read_manifest(bucket.get(MANIFEST), bucket.url + MANIFEST)
        for part in (*manifest.snapshot.parts, *manifest.snapshot.daily):
            if not (cache / part.path).is_file():
                bucket.get_part(cache, part, folders)
    folders.sync()
    return manifest
