"""The REST API of a DANDI archive: which dandisets and versions there are, and which content they hold.

As https://api.dandiarchive.org/api answers (dandi-archive, August 2026). A list comes in pages::

    {"count": 1234, "next": "https://...?page=2", "previous": null, "results": [...]}

where later pages of assets have no `count`. Nothing is taken on trust: a page of another shape, a `count`
that does not fit, a `next` that leads elsewhere or in circles are errors.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from tickline.clients.http import HttpClient, HttpError
from tickline.clients.http_answers import parse_address, shown
from tickline.errors import UsageError
from tickline.files import write_whole

__all__ = ["API", "DRAFT", "Asset", "DandiClient", "UnsteadyError", "Version", "steadily"]

API = "https://api.dandiarchive.org/api"
DRAFT = "draft"
"""The version of each dandiset that may change."""

# The most that the server gives at once.
_PAGE_SIZE = 1000
_MOST_PAGE_BYTES = 64 * 2**20
_ATTEMPTS = 3
# Fit for a name of a file and for an address: names of dandisets have six digits, versions 0.YYMMDD.HHMM.
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST_PATH = 4096
_SHAPE_HINT = "Check that the address is the API of a DANDI archive; it may also be newer than this program."

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a dandiset; while `modified` stays the same, so do its assets."""

    dandiset: str
    name: str
    modified: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A file or a Zarr archive of a version.

    Attributes
    ----------
    asset_id : str
        Of the asset, which changes with its metadata.
    content_id : str
        Of the blob or Zarr archive: a part of the keys in the bucket (``blobs/abc/def/<id>``,
        ``zarr/<id>/...``).
    path : str
        Within the dandiset.
    """

    asset_id: str
    content_id: str
    path: str


class UnsteadyError(HttpError):
    """Pages do not fit together: the list may have changed while it was read."""


def steadily(read: Callable[[], _T]) -> _T:
    """Read a list of pages; where they do not fit together from the beginning, three times at most."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return read()
        except UnsteadyError:
            continue
    return read()


class DandiClient:
    """Asks the API of one archive; to be closed in the end.

    Parameters
    ----------
    api : str
        Its address.
    token : str, optional
        A key of the API, for embargoed dandisets of its owner.
    wait : callable
        Waits for so many seconds, see `tickline.clients.http.HttpClient`.

    Raises
    ------
    UsageError
        The address or the token cannot be one.
    """

    def __init__(
        self, api: str = API, *, token: str | None = None, wait: Callable[[float], None] = time.sleep
    ) -> None:
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"token {token}"
        # First, because it says what is missing where httpx is not installed.
        self._http = HttpClient(headers=headers, most_bytes=_MOST_PAGE_BYTES, wait=wait)
        self._more = {"embargoed": "true"} if token else {}
        if "?" in api or "#" in api:
            hint = f"Write dandi:{API}."
            raise UsageError("the address of an API has no query", where="dandi:URL", hint=hint)
        self._api = shown(parse_address(api)).rstrip("/")

    @property
    def api(self) -> str:
        """The address, without a slash behind."""
        return self._api

    # ---- lists --------------------------------------------------------------------------------------------

    def dandisets(self, saved: Path) -> list[str]:
        """Return the names of all dandisets that may be seen, in ascending order.

        Parameters
        ----------
        saved : pathlib.Path
            A folder for pages with an ETag: those that did not change are not sent again.

        Raises
        ------
        HttpError
            The server or its answers cannot be used, or it lists nothing.
        """
        where = f"{self._api}/dandisets/"
        params = {"draft": "true", "empty": "true", "ordering": "id", **self._more}

        def read() -> list[str]:
            pages = self._pages(where, params, saved)
            return _distinct([_name(item, "identifier", where) for page in pages for item in page], where)

        names = steadily(read)
        if not names:
            raise _unknown("lists no dandisets", where)
        return sorted(names)

    def versions(self, dandiset: str, saved: Path) -> list[Version]:
        """Return the versions of a dandiset in the order in which they were made, but the draft first."""
        where = f"{self._api}/dandisets/{dandiset}/versions/"

        def read() -> list[Version]:
            pages = self._pages(where, {"order": "created"}, saved)
            found = [
                Version(dandiset, _name(item, "version", where), _text(item, "modified", where))
                for page in pages
                for item in page
            ]
            _distinct([version.name for version in found], where)
            return found

        return sorted(steadily(read), key=lambda version: version.name != DRAFT)

    def assets(self, version: Version, saved: Path) -> Iterator[list[Asset]]:
        """Yield the assets of a version page by page, in the order of their paths.

        Raises
        ------
        UnsteadyError
            The pages do not fit together; what was yielded must not be used. May come at the end.
        HttpError
            The server or its answers cannot be used.
        """
        where = f"{self._api}/dandisets/{version.dandiset}/versions/{version.name}/assets/"
        seen: set[str] = set()
        # By path, because times are not distinct: pages in their order may repeat and miss assets.
        for page in self._pages(where, {"order": "path"}, saved):
            assets = [_asset(item, where) for item in page]
            before = len(seen)
            seen.update(asset.asset_id for asset in assets)
            if len(seen) != before + len(assets):
                raise _unsteady("an asset stands there twice", where)
            yield assets

    # ---- pages --------------------------------------------------------------------------------------------

    def _pages(self, where: str, params: Mapping[str, str], saved: Path) -> Iterator[list[dict[str, Any]]]:
        """Yield the entries of each page of a list; once all were taken, none is missing."""
        following: str | None = f"{where}?{urlencode({'page_size': str(_PAGE_SIZE), **params})}"
        pages, asked = _SavedPages(saved), set()
        count, number = -1, 0
        while following is not None:
            asked.add(following)
            try:
                page = self._page(following, where, pages)
            except HttpError as error:
                if error.status != 404 or count < 0:
                    raise
                raise _unsteady("a page is gone", where) from error
            if count < 0:
                count = _count(page, where)
            results, following = page["results"], page["next"]
            number += len(results)
            yield results
            if following is not None and (not _leads_on(following, where) or following in asked):
                raise _unknown("`next` of a page leads elsewhere, or back", where)
            if following is not None and not results:
                raise _unknown("an empty page says that others follow", where)
            if number > count or (following is None and number < count):
                raise _unsteady(f"the first one announces {count:,} entries, and {number:,} came", where)
        pages.forget_others()

    def _page(self, url: str, where: str, pages: "_SavedPages") -> dict[str, Any]:
        """Return a page, from the disk if the server says that it is the same."""
        known = pages.load(url)
        reply = self._http.get(url, etag=known[0] if known else None)
        body = known[1] if known and reply.status == 304 else reply.body
        try:
            page = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _unknown("a page is no JSON", where) from error
        results = page.get("results") if isinstance(page, dict) else None
        if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
            raise _unknown("a page has no `results`", where)
        if "next" not in page or not isinstance(page["next"], str | None):
            raise _unknown("`next` of a page is neither an address nor null", where)
        if reply.status == 200 and reply.etag:
            pages.save(url, reply.etag, body)
        return dict(page)

    def close(self) -> None:
        """Close all connections; more than once is harmless."""
        self._http.close()

    def __enter__(self) -> "DandiClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SavedPages:
    """Pages of one list that came with an ETag, a file each: the ETag, a line end, the body."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def _path(self, url: str) -> Path:
        path = self._folder / hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
        self._used.add(path.name)
        return path

    def load(self, url: str) -> tuple[str, bytes] | None:
        """Return ETag and body of a page, if it was saved."""
        try:
            etag, _, body = self._path(url).read_bytes().partition(b"\n")
            return etag.decode(), body
        except (FileNotFoundError, UnicodeDecodeError):
            return None

    def save(self, url: str, etag: str, body: bytes) -> None:
        """Keep a page."""
        write_whole(self._path(url), etag.encode() + b"\n" + body)

    def forget_others(self) -> None:
        """Remove pages that the list does not have any more."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in self._used:
                    path.unlink()


# ---- what a page holds -------------------------------------------------------------------------------------


def _unknown(what: str, where: str) -> HttpError:
    return HttpError(what, where=where, hint=_SHAPE_HINT)


def _unsteady(what: str, where: str) -> UnsteadyError:
    hint = "It may have changed while it was read: run it again, it goes on where it stopped."
    return UnsteadyError(f"its pages do not fit together: {what}", where=where, hint=hint)


def _count(page: Mapping[str, Any], where: str) -> int:
    count = page.get("count")
    if type(count) is not int or count < 0:
        raise _unknown("the first page has no `count`", where)
    return count


def _leads_on(url: str, where: str) -> bool:
    """Tell whether an address is one of the same list."""
    try:
        return urlsplit(url)[:3] == urlsplit(where)[:3]
    except ValueError:
        return False


def _text(item: Mapping[str, Any], name: str, where: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > _LONGEST_PATH:
        raise _unknown(f"an entry has no `{name}`", where)
    return value


def _name(item: Mapping[str, Any], name: str, where: str) -> str:
    text = _text(item, name, where)
    if not _NAME.fullmatch(text):
        raise _unknown(f"`{name}` of an entry is none: {text[:80]!r}", where)
    return text


def _distinct(names: list[str], where: str) -> list[str]:
    # Names become files, and some file systems do not tell "A" from "a".
    if len({name.casefold() for name in names}) != len(names):
        raise _unsteady("an entry stands there twice", where)
    return names


def _asset(item: Mapping[str, Any], where: str) -> Asset:
    """Check an entry: it has the content of a blob or of a Zarr archive, and not of both."""
    asset_id = _text(item, "asset_id", where)
    ids = [item[name] for name in ("blob", "zarr") if item.get(name) is not None]
    if len(ids) != 1 or not isinstance(ids[0], str) or not _ID.fullmatch(ids[0]):
        raise _unknown(f"the asset {asset_id[:80]} has not one `blob` or `zarr`", where)
    path = item.get("path")
    if not isinstance(path, str) or not 0 < len(path) <= _LONGEST_PATH or path.endswith("/"):
        raise _unknown(f"the asset {asset_id[:80]} has no `path`", where)
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise _unknown(f"the `path` of the asset {asset_id[:80]} is no text", where) from error
    return Asset(asset_id, ids[0], path)
