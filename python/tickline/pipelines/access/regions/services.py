"""Lists of networks that are fetched: only if they changed, and whole before anything in the store changes.

What a server said of a list (ETag, Last-Modified) is kept in the ledger with the hash of the copy in the
store, under a hash of the URL, because a URL may hold a token. A list is asked for by these conditions as
long as that copy is what it was.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import explain_os_error
from tickline.files import TEMPORARY_PREFIX, sha256_of
from tickline.pipelines.access.regions.sources import Wanted

if TYPE_CHECKING:
    import sqlite3

    from tickline.clients.http import HttpClient
    from tickline.store.folder import StoreFolder

__all__ = ["Known", "fetched"]

_NAME = "region_url:"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a list that was fetched.

    Attributes
    ----------
    etag, last_modified : str or None
        As the server sent them.
    hash : str
        SHA-256 of the decompressed content, in hex.
    file : str
        The copy, below the store.
    """

    etag: str | None = None
    last_modified: str | None = None
    hash: str = ""
    file: str = ""

    @classmethod
    def read(cls, folder: "StoreFolder", url: str) -> "Known":
        """Return what the ledger knows of a URL; nothing if the copy is not what it was."""
        try:
            found = cls(**json.loads(folder.ledger.meta(_meta_name(url)) or "{}"))
            intact = bool(found.file) and sha256_of(folder.path / found.file) == found.hash
        except (ValueError, TypeError, OSError):
            return cls()
        return found if intact else cls()

    def write(self, db: "sqlite3.Connection", url: str) -> None:
        """Keep it in the ledger; only inside a transaction."""
        db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [_meta_name(url), json.dumps(asdict(self))])


def _meta_name(url: str) -> str:
    return _NAME + hashlib.sha256(url.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@contextmanager
def fetched(
    folder: "StoreFolder", wanted: Sequence[Wanted], client: "HttpClient | None" = None
) -> Iterator[tuple[list[Wanted], dict[str, Known]]]:
    """Fetch what has a URL; as long as the context lasts, each source is a file.

    Parameters
    ----------
    folder : StoreFolder
        An open store; the caller holds ``folder.writing()``.
    wanted : sequence of Wanted
        Those without a URL are left alone.
    client : HttpClient, optional
        Asks the servers; without one, an own one does.

    Yields
    ------
    sources : list of Wanted
        With the `path` of what was fetched, or of the copy in the store if that is still what there is.
    answers : dict
        By URL what its server said of it, without `hash` and `file`; only of what was fetched anew.

    Raises
    ------
    TicklineError
        A server answered nothing that can be used, or there is no room for it.
    """
    if all(one.url is None for one in wanted):
        yield list(wanted), {}
        return
    from tickline.clients.http import HttpClient

    try:
        # In the store, where `vacuum` finds it if the run is killed.
        inside = tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder.path)
    except OSError as error:
        raise explain_os_error(error, folder.path) from error
    answers: dict[str, Known] = {}
    with inside as name, nullcontext(client) if client else HttpClient() as asking:
        sources = [
            one if one.url is None else _fetch(folder, one, one.url, asking, Path(name, str(number)), answers)
            for number, one in enumerate(wanted)
        ]
        yield sources, answers


def _fetch(
    folder: "StoreFolder",
    one: Wanted,
    url: str,
    client: "HttpClient",
    target: Path,
    answers: dict[str, Known],
) -> Wanted:
    known = Known.read(folder, url)
    reply = client.get(url, etag=known.etag, last_modified=known.last_modified)
    if reply.status == 304:
        return replace(one, path=str(folder.path / known.file))
    try:
        target.write_bytes(reply.body)
    except OSError as error:
        raise explain_os_error(error, target) from error
    answers[url] = Known(reply.etag, reply.last_modified)
    return replace(one, path=str(target))
