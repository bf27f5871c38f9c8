"""The API of a DANDI archive on loopback, in the shapes and with the pages of the real one."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from python.http_support import Answer, Request, WebServer, http_server, ok_json, status
from reference.access_summaries_reference import Entry

Path = str
Versions = dict[str, dict[Path, str]]
"""By name, in the order in which they were created: path of an asset to a word for its content."""


def content_id(word: str) -> str:
    """Return the id of a blob; of a Zarr archive, if the word begins with ``zarr``."""
    return str(uuid.UUID(bytes=hashlib.md5(word.encode()).digest(), version=4))


def key_of(word: str, rest: str = "0/1") -> str:
    """Return a key of the bucket at which that content lies."""
    content = content_id(word)
    if word.startswith("zarr"):
        return f"zarr/{content}/{rest}"
    return f"blobs/{content[:3]}/{content[3:6]}/{content}"


@dataclass
class FakeDandi:
    """An archive; everything may be changed while it runs.

    Attributes
    ----------
    dandisets : dict
        Name of a dandiset to its versions.
    embargoed : set of str
        Dandisets that are shown to the owner of `token` alone.
    page : int
        How many entries a page has at most.
    etags : bool
        Whether pages have an ETag.
    times : dict
        When a version was modified, if not at the beginning.
    wrong : dict
        By path (below the address of the API) what is answered in place of a page; a function may return None
        for the page as it should be.
    """

    dandisets: dict[str, Versions]
    embargoed: set[str] = field(default_factory=set)
    token: str = "t0ken-of-the-owner"
    page: int = 2
    etags: bool = False
    times: dict[tuple[str, str], str] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    web: WebServer = field(default_factory=lambda: WebServer({}))

    @property
    def api(self) -> str:
        """The address."""
        return f"{self.web.url}/api"

    def asked(self) -> list[str]:
        """Return the paths that were asked for, below the address."""
        return [path.removeprefix("/api/") for path in self.web.paths()]

    def catalog(self) -> list[Entry]:
        """Return the rows that a catalog must have: slow and obvious."""
        rows = []
        for dandiset in sorted(self.dandisets.keys() - self.embargoed):
            versions = self.dandisets[dandiset]
            names = [name for name in versions if name == "draft"]
            names += [name for name in versions if name != "draft"]
            for name in names:
                for path, word in sorted(versions[name].items()):
                    rows.append(Entry(content_id(word), dandiset, name, path))
        return rows

    # ---- answers ------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        path = request.path.removeprefix("/api/")
        wrong = self.wrong.get(path)
        if callable(wrong):
            wrong = wrong(request)
        if wrong is not None:
            assert isinstance(wrong, Answer)
            return wrong
        match path.split("/"):
            case ["dandisets", ""]:
                assert {"draft": "true", "empty": "true"}.items() <= request.query.items()
                return self._page(request, [self._dandiset(name) for name in self._visible(request)])
            case ["dandisets", name, "versions", ""] if name in self._visible(request, all_of_them=True):
                return self._page(request, [self._version(name, one) for one in self.dandisets[name]])
            case ["dandisets", name, "versions", version, "assets", ""]:
                assert request.query["order"] == "path"
                assets = sorted(self.dandisets[name][version].items())
                return self._page(request, [self._asset(*asset) for asset in assets], lazy=True)
        return status(404)

    def _visible(self, request: Request, *, all_of_them: bool = False) -> list[str]:
        shown = set(self.dandisets)
        is_owner = request.headers.get("authorization") == f"token {self.token}"
        if not is_owner or not (all_of_them or request.query.get("embargoed") == "true"):
            shown -= self.embargoed
        return sorted(shown)

    def _page(self, request: Request, entries: list[dict[str, Any]], *, lazy: bool = False) -> Answer:
        assert request.query["page_size"] == "1000"
        number = int(request.query.get("page", "1"))
        begin, end = (number - 1) * self.page, number * self.page
        if begin and begin >= len(entries):
            return status(404)

        def link(page: int, there: bool) -> str | None:
            query = urlencode({**request.query, "page": str(page)})
            return f"{self.web.url}{request.path}?{query}" if there else None

        page = {
            # As there: the server counts assets for the first page only.
            "count": len(entries) if number == 1 or not lazy else None,
            "next": link(number + 1, end < len(entries)),
            "previous": link(number - 1, begin > 0),
            "results": entries[begin:end],
        }
        etag = hashlib.md5(json.dumps(page).encode()).hexdigest()
        return ok_json(page, etag=f'W/"{etag}"' if self.etags else None)

    def _dandiset(self, name: str) -> dict[str, Any]:
        draft = self._version(name, "draft") if "draft" in self.dandisets[name] else None
        about = {"created": _TIME, "modified": _TIME, "contact_person": "Doe, Jane", "embargo_status": "OPEN"}
        return {"identifier": name, **about, "most_recent_published_version": None, "draft_version": draft}

    def _version(self, dandiset: str, name: str) -> dict[str, Any]:
        modified = self.times.get((dandiset, name), _TIME)
        count = len(self.dandisets[dandiset][name])
        about = {"version": name, "name": "Ü", "asset_count": count, "size": 1, "status": "Valid"}
        return {**about, "created": _TIME, "modified": modified, "dandiset": {"identifier": dandiset}}

    def _asset(self, path: str, word: str) -> dict[str, Any]:
        zarr = word.startswith("zarr")
        content = content_id(word)
        about = {"asset_id": content_id(f"asset {path} {word}"), "path": path, "size": 7}
        ids = {"blob": None if zarr else content, "zarr": content if zarr else None}
        return {**about, **ids, "created": _TIME, "modified": _TIME}


_TIME = "2021-10-11T12:13:14.123456-04:00"

ARCHIVE: Mapping[str, Versions] = {
    "000003": {
        "draft": {
            "sub-1/a.nwb": "a",
            "sub-1/b.nwb": "b2",
            "sub-2/copy of a.nwb": "a",
            "sub-2/new.nwb": "new",
        },
        "0.210812.1448": {"sub-1/a.nwb": "a", "sub-1/b.nwb": "b"},
        "0.230629.1955": {"sub-1/a.nwb": "a", "sub-1/was b.nwb": "b", "sub-1/b.nwb": "b2"},
    },
    "000013": {"draft": {}},
    "000108": {"draft": {"big.ome.zarr": "zarr big", "notes.txt": "notes", "shared.nwb": "a"}},
    "000201": {"draft": {}, "0.220101.0000": {"only there.nwb": "gone"}},
    "000999": {"draft": {"secret.nwb": "secret"}},
}
"""Dandisets with content that versions and dandisets share, an empty one, and one under embargo."""


def archive() -> dict[str, Versions]:
    """Return a copy of `ARCHIVE` that may be changed."""
    return {
        name: {version: dict(assets) for version, assets in versions.items()}
        for name, versions in ARCHIVE.items()
    }


@contextmanager
def fake_dandi(**options: Any) -> Iterator[FakeDandi]:
    """Run an archive; the one of `ARCHIVE` unless another is given."""
    options.setdefault("dandisets", archive())
    options.setdefault("embargoed", {"000999"} & options["dandisets"].keys())
    dandi = FakeDandi(**options)
    with http_server({"*": dandi.answer}) as web:
        dandi.web = web
        yield dandi
