"""Where a catalog comes from: a file, an address on the web, or the API of a DANDI archive.

What is fetched lies in ``store/cache/catalogs``; a catalog there is always a whole one that was found good.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import Folders, sha256_of, write_whole
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.clients.http import Reply

__all__ = ["is_elsewhere", "resolve_catalog"]

_DANDI = "dandi"
_KEY_VARIABLE = "DANDI_API_KEY"
_SCHEMES = ("https://", "http://")


def resolve_catalog(
    text: str | None,
    store: Path,
    progress: Progress | None = None,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> Path | None:
    """Return the file of a catalog, fetched if it lies elsewhere.

    Parameters
    ----------
    text : str or None
        A file; ``https://...``, which is asked for only if it changed; ``dandi`` or ``dandi:URL`` (the
        address of another archive's API), from which a catalog of all versions is made, with the embargoed
        dandisets that the environment variable DANDI_API_KEY opens. A file of the name ``dandi`` is
        ``./dandi``. None: no catalog.
    store : pathlib.Path
        The store, which must exist where something is to be fetched.
    progress : Progress, optional
        Told how many dandisets of how many are done.
    wait : callable
        Waits for so many seconds before another attempt.

    Returns
    -------
    pathlib.Path or None
        For `SummaryOptions.catalog`.

    Raises
    ------
    UsageError
        The address cannot be one, or there is no store.
    TicklineError
        Nothing usable came. The catalog of before, if there is one, is as it was; the hint names it.
    """
    if text is None:
        return None
    if not is_elsewhere(text):
        return Path(text)
    if not (store / "store.toml").is_file():
        raise UsageError("is no store", where=str(store), hint="Make it first: a catalog is kept in it.")
    # Not at the top: most catalogs are files, and a run that finds nothing new shall be over soon.
    from tickline.pipelines.access.summaries.cache import CATALOGS, lock_cache

    folder = store / "cache" / CATALOGS
    try:
        Folders().make(folder)
        with lock_cache(folder, "fetching catalogs of this store"):
            if _is_dandi(text):
                return _from_dandi(text, folder, progress or Progress(), wait)
            return _from_url(text, folder, wait)
    except OSError as error:
        if isinstance(error, TicklineError):
            raise
        raise explain_os_error(error, folder) from error


def is_elsewhere(text: str) -> bool:
    """Tell whether a catalog has to be fetched: it is no file."""
    return _is_dandi(text) or text.lower().startswith(_SCHEMES)


def _is_dandi(text: str) -> bool:
    return text == _DANDI or text.startswith(f"{_DANDI}:")


def _digest(address: str) -> str:
    return hashlib.blake2b(address.encode(), digest_size=8).hexdigest()


def _or_the_one_of_before(error: TicklineError, catalog: Path) -> None:
    """Say which catalog can be used meanwhile."""
    if catalog.exists():
        error.hint = f"{error.hint or ''} The one of before is whole: --catalog {catalog}.".strip()


def _from_dandi(text: str, folder: Path, progress: Progress, wait: Callable[[float], None]) -> Path:
    from tickline.clients.dandi import API, DandiClient
    from tickline.pipelines.access.catalog.dandi import build_catalog

    api = API if text == _DANDI else text.partition(":")[2]
    with DandiClient(api, token=os.environ.get(_KEY_VARIABLE), wait=wait) as client:
        name = f"dandi-{_digest(client.api)}"
        catalog = folder / f"{name}.tsv"
        try:
            build_catalog(client, folder / name, catalog, progress.reach)
        except TicklineError as error:
            _or_the_one_of_before(error, catalog)
            raise
    return catalog


def _from_url(url: str, folder: Path, wait: Callable[[float], None]) -> Path:
    from tickline.clients.http import HttpClient

    name = f"url-{_digest(url)}"
    catalog, record = folder / f"{name}.catalog", folder / f"{name}.json"
    known = _read_record(record, catalog)
    try:
        with HttpClient(wait=wait) as client:
            reply = client.get(url, etag=known.get("etag"), last_modified=known.get("last_modified"))
        if reply.status == 200:
            _keep(reply, catalog, record)
    except TicklineError as error:
        _or_the_one_of_before(error, catalog)
        raise
    return catalog


def _read_record(record: Path, catalog: Path) -> dict[str, Any]:
    """Return what the server said of the catalog that is there; nothing, if that is another one now."""
    with suppress(FileNotFoundError, ValueError, RecursionError):
        known = json.loads(record.read_bytes())
        if isinstance(known, dict) and known.get("sha256") == sha256_of(catalog):
            return known
    return {}


def _check(catalog: Path) -> None:
    """Refuse a catalog of an unknown shape, and one that holds nothing.

    A file may be empty on purpose; from elsewhere that is a mistake, which would empty the whole export.
    """
    from tickline.pipelines.access.catalog.catalog import load_catalog

    if not load_catalog(catalog).entries:
        hint = "Check that the address is the right one."
        raise TicklineError("the catalog cannot be used: it holds no content", hint=hint)


def _keep(reply: "Reply", catalog: Path, record: Path) -> None:
    """Check a catalog as a whole, and let it take the place of the one of before."""
    new = catalog.with_suffix(".new")
    write_whole(new, reply.body)
    try:
        _check(new)
    except TicklineError as error:
        new.unlink()
        error.where = reply.url
        raise
    folders = Folders()
    new.rename(catalog)
    folders.changed(catalog.parent)
    folders.sync()
    said = {"etag": reply.etag, "last_modified": reply.last_modified}
    content = {"sha256": hashlib.sha256(reply.body).hexdigest(), **said}
    write_whole(record, json.dumps(content).encode())
