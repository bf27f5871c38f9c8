"""The client of a DANDI archive: all pages, or a sentence that says what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from python.dandi_support import FakeDandi, archive, content_id, fake_dandi
from python.http_support import NOTHING, RUBBISH, Answer, Request, http_server, ok, ok_json, redirect, status
from tickline.clients import dandi as module
from tickline.clients.dandi import Asset, DandiClient, UnsteadyError, Version
from tickline.clients.http import HttpError
from tickline.errors import UsageError

TIME = "2021-10-11T12:13:14.123456-04:00"
DRAFT = Version("000003", "draft", TIME)
ASSETS = "dandisets/000003/versions/draft/assets/"
VERSIONS = "dandisets/000003/versions/"


def connected(dandi: FakeDandi, token: str | None = None) -> DandiClient:
    """Return a client that does not wait between its attempts."""
    return DandiClient(dandi.api, token=token, wait=lambda _: None)


def assets_of(client: DandiClient, folder: Path, version: Version = DRAFT) -> list[Asset]:
    """Return all assets of a version."""
    return [asset for page in client.assets(version, folder / "pages") for asset in page]


# ---- what there is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
def test_lists_are_read_to_their_last_page(tmp_path: Path, page: int) -> None:
    with fake_dandi(page=page) as dandi, connected(dandi) as client:
        assert client.dandisets(tmp_path) == ["000003", "000013", "000108", "000201"]
        assert client.versions("000003", tmp_path) == [
            DRAFT,
            Version("000003", "0.210812.1448", TIME),
            Version("000003", "0.230629.1955", TIME),
        ]
        assert [(asset.path, asset.content_id) for asset in assets_of(client, tmp_path)] == [
            ("sub-1/a.nwb", content_id("a")),
            ("sub-1/b.nwb", content_id("b2")),
            ("sub-2/copy of a.nwb", content_id("a")),
            ("sub-2/new.nwb", content_id("new")),
        ]
        assert dandi.asked().count(ASSETS) == -(-4 // page)


def test_zarr_archives_are_content_too(tmp_path: Path) -> None:
    with fake_dandi() as dandi, connected(dandi) as client:
        found = assets_of(client, tmp_path, Version("000108", "draft", TIME))
    assert [asset.content_id for asset in found] == list(map(content_id, ["zarr big", "notes", "a"]))


def test_an_empty_version_has_no_assets(tmp_path: Path) -> None:
    with fake_dandi() as dandi, connected(dandi) as client:
        assert assets_of(client, tmp_path, Version("000013", "draft", TIME)) == []


def test_a_token_opens_what_is_under_embargo(tmp_path: Path) -> None:
    with fake_dandi() as dandi:
        with connected(dandi, dandi.token) as client:
            assert client.dandisets(tmp_path)[-1] == "000999"
            assert client.versions("000999", tmp_path)
            assert all(
                request.headers["authorization"] == f"token {dandi.token}" for request in dandi.web.requests
            )
        number = len(dandi.web.requests)
        with connected(dandi) as client:
            assert "000999" not in client.dandisets(tmp_path)
        assert all("authorization" not in request.headers for request in dandi.web.requests[number:])
        assert all("embargoed" not in request.query for request in dandi.web.requests[number:])


def test_a_token_is_not_shown_and_not_sent_elsewhere(tmp_path: Path) -> None:
    with http_server({"*": ok_json({})}) as other, fake_dandi() as dandi:
        dandi.wrong["dandisets/"] = redirect(f"{other.url}/api/dandisets/")
        with connected(dandi, dandi.token) as client, pytest.raises(HttpError) as caught:
            client.dandisets(tmp_path)
        assert [dandi.token in str(request) for request in other.requests] == [False]
    assert dandi.token not in f"{caught.value}{client!r}"


def test_an_archive_that_lists_nothing_is_none(tmp_path: Path) -> None:
    with (
        fake_dandi(dandisets={}) as dandi,
        connected(dandi) as client,
        pytest.raises(HttpError, match="lists no dandisets"),
    ):
        client.dandisets(tmp_path)


@pytest.mark.parametrize("api", ["https://example.org/api?key=s3cr3t", "https://example.org/api#s3cr3t"])
def test_the_address_of_an_api_has_no_query(api: str) -> None:
    with pytest.raises(UsageError, match="has no query") as caught:
        DandiClient(api)
    assert "s3cr3t" not in str(caught.value)


def test_a_slash_behind_the_address_does_not_matter() -> None:
    with DandiClient(module.API + "//") as client:
        assert client.api == module.API


# ---- pages that cannot be used -----------------------------------------------------------------------------

PAGE: dict[str, Any] = {"count": 0, "next": None, "previous": None, "results": []}
ENTRY = {"asset_id": content_id("asset"), "blob": content_id("a"), "zarr": None, "path": "a.nwb"}


def of(entry: Any, **changes: Any) -> Answer:
    """Return a page with one entry."""
    return ok_json({**PAGE, "count": 1, "results": [entry], **changes})


def without(name: str) -> dict[str, Any]:
    """Return an entry that lacks something."""
    return {key: value for key, value in ENTRY.items() if key != name}


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (RUBBISH, "a page is no JSON"),
        (ok(b'{"count": 1, "next": null, "resul'), "a page is no JSON"),
        (ok(b"[" * 200_000), "a page is no JSON"),
        (ok_json([ENTRY]), "a page has no `results`"),
        (ok_json({"detail": "Not found."}), "a page has no `results`"),
        (ok_json({**PAGE, "results": {"0": ENTRY}}), "a page has no `results`"),
        (ok_json({**PAGE, "results": ["a.nwb"], "count": 1}), "a page has no `results`"),
        (ok_json({"count": 0, "results": []}), "`next` of a page is neither an address nor null"),
        (ok_json({**PAGE, "next": 2}), "`next` of a page is neither an address nor null"),
        (of(ENTRY, count=None), "the first page has no `count`"),
        (of(ENTRY, count=True), "the first page has no `count`"),
        (of(ENTRY, count="1"), "the first page has no `count`"),
        (of(ENTRY, count=-1), "the first page has no `count`"),
        (of(ENTRY, next="https://example.org/api/" + ASSETS, count=2), "leads elsewhere"),
        (of(ENTRY, next="file:///etc/passwd", count=2), "leads elsewhere"),
        (of(ENTRY, next="?page=2", count=2), "leads elsewhere"),
        (of(ENTRY, next="https://[", count=2), "leads elsewhere"),
        (of(without("asset_id")), "no `asset_id`"),
        (of({**ENTRY, "asset_id": 7}), "no `asset_id`"),
        (of({**ENTRY, "zarr": content_id("z")}), "has not one `blob` or `zarr`"),
        (of(without("blob")), "has not one `blob` or `zarr`"),
        (of({**ENTRY, "blob": None}), "has not one `blob` or `zarr`"),
        (of({**ENTRY, "blob": "*"}), "has not one `blob` or `zarr`"),
        (of({**ENTRY, "blob": "blobs/"}), "has not one `blob` or `zarr`"),
        (of({**ENTRY, "blob": {"id": 1}}), "has not one `blob` or `zarr`"),
        (of({**ENTRY, "blob": content_id("a") + "\n"}), "has not one `blob` or `zarr`"),
        (of(without("path")), "has no `path`"),
        (of({**ENTRY, "path": ""}), "has no `path`"),
        (of({**ENTRY, "path": "folder/"}), "has no `path`"),
        (of({**ENTRY, "path": "a" * 5000}), "has no `path`"),
        (of({**ENTRY, "path": "\ud800"}), "is no text"),
    ],
)
def test_a_page_of_another_shape_is_refused(tmp_path: Path, answer: Answer, what: str) -> None:
    with fake_dandi(wrong={ASSETS: answer}) as dandi, connected(dandi) as client:
        with pytest.raises(HttpError, match=what) as caught:
            assets_of(client, tmp_path)
        assert caught.value.where == f"{dandi.api}/{ASSETS}"
        assert caught.value.hint == module._SHAPE_HINT
        assert len(dandi.web.requests) == 1


@pytest.mark.parametrize(
    "name", ["../000003", "", ".", "a/b", "-", "ä", "000003\n", "a" * 65, 3, None, "a b"]
)
def test_names_that_lead_out_of_their_folder_are_refused(tmp_path: Path, name: Any) -> None:
    wrong = {"dandisets/": of({"identifier": name}), VERSIONS: of({"version": name, "modified": TIME})}
    with fake_dandi(wrong=wrong) as dandi, connected(dandi) as client:
        with pytest.raises(HttpError, match="`identifier`"):
            client.dandisets(tmp_path)
        with pytest.raises(HttpError, match="`version`"):
            client.versions("000003", tmp_path)


@pytest.mark.parametrize("modified", [None, 7, "", "a\tb", "1\n2"])
def test_a_version_says_when_it_was_modified(tmp_path: Path, modified: Any) -> None:
    wrong = {VERSIONS: of({"version": "draft", "modified": modified})}
    with (
        fake_dandi(wrong=wrong) as dandi,
        connected(dandi) as client,
        pytest.raises(HttpError, match="an entry has no `modified`"),
    ):
        client.versions("000003", tmp_path)


def changed(dandi: FakeDandi, change: Callable[[dict[str, Any], int], None]) -> Callable[[Request], Answer]:
    """Return a script that changes the pages of the real list; it is told the number of the page."""

    def script(request: Request) -> Answer:
        path = request.path.removeprefix("/api/")
        dandi.wrong.pop(path)
        answer = dandi.answer(request)
        dandi.wrong[path] = script
        if answer.status != 200:
            return answer
        page = json.loads(answer.body)
        change(page, int(request.query.get("page", "1")))
        return ok_json(page)

    return script


def test_pages_that_lead_in_a_circle_are_refused(tmp_path: Path) -> None:
    def back(page: dict[str, Any], number: int) -> None:
        page["count"] = 100
        page["next"] = page["next"].replace(f"page={number + 1}", "page=2")

    with fake_dandi(page=1) as dandi, connected(dandi) as client:
        dandi.wrong[ASSETS] = changed(dandi, back)
        with pytest.raises(HttpError, match="leads elsewhere, or back"):
            assets_of(client, tmp_path)
        assert len(dandi.web.requests) == 2


def test_pages_without_end_are_refused(tmp_path: Path) -> None:
    def more(page: dict[str, Any], number: int) -> None:
        page["results"] = [] if number == 3 else page["results"]

    with fake_dandi(page=1) as dandi, connected(dandi) as client:
        dandi.wrong[ASSETS] = changed(dandi, more)
        with pytest.raises(HttpError, match="an empty page says that others follow"):
            assets_of(client, tmp_path)
        assert len(dandi.web.requests) == 3


@pytest.mark.parametrize("by", [-1, 1])
def test_a_count_that_does_not_fit_is_refused(tmp_path: Path, by: int) -> None:
    def count(page: dict[str, Any], number: int) -> None:
        page["count"] = 4 + by if number == 1 else None

    with fake_dandi() as dandi, connected(dandi) as client:
        dandi.wrong[ASSETS] = changed(dandi, count)
        with pytest.raises(UnsteadyError, match=f"announces {4 + by} entries, and 4 came"):
            assets_of(client, tmp_path)


def test_an_asset_that_comes_twice_is_refused(tmp_path: Path) -> None:
    def double(page: dict[str, Any], number: int) -> None:
        page["results"][1] = page["results"][0]

    with fake_dandi() as dandi, connected(dandi) as client:
        dandi.wrong[ASSETS] = changed(dandi, double)
        with pytest.raises(UnsteadyError, match="an asset stands there twice"):
            assets_of(client, tmp_path)


def test_a_list_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    dandisets = {f"{number:06}": {"draft": {}} for number in range(5)}
    with fake_dandi(dandisets=dandisets) as dandi, connected(dandi) as client:

        def shrink(page: dict[str, Any], number: int) -> None:
            if number == 2:
                for name in ("000002", "000003", "000004"):
                    dandi.dandisets.pop(name, None)

        dandi.wrong["dandisets/"] = changed(dandi, shrink)
        # The third page is gone (404) the first time; the second time there is one page.
        assert client.dandisets(tmp_path) == ["000000", "000001"]


def test_a_list_that_is_not_there_is_not_unsteady(tmp_path: Path) -> None:
    with fake_dandi() as dandi, connected(dandi) as client:
        with pytest.raises(HttpError, match=r"is not there \(404\)"):
            client.versions("000404", tmp_path)
        assert len(dandi.web.requests) == 1


def test_a_list_that_never_holds_still_is_given_up(tmp_path: Path) -> None:
    def double(page: dict[str, Any], number: int) -> None:
        page["count"] = 99

    with fake_dandi() as dandi, connected(dandi) as client:
        for path in ("dandisets/", VERSIONS):
            dandi.wrong[path] = changed(dandi, double)
        with pytest.raises(UnsteadyError, match=r"do not fit together.* run it again"):
            client.dandisets(tmp_path)
        with pytest.raises(UnsteadyError, match="do not fit together"):
            client.versions("000003", tmp_path)
        assert dandi.asked().count("dandisets/") == 6


@pytest.mark.parametrize("name", ["draft", "Draft"])
def test_versions_of_which_files_would_meet_are_refused(tmp_path: Path, name: str) -> None:
    entries = [{"version": "draft", "modified": TIME}, {"version": name, "modified": TIME}]
    wrong = {VERSIONS: ok_json({**PAGE, "count": 2, "results": entries})}
    with (
        fake_dandi(wrong=wrong) as dandi,
        connected(dandi) as client,
        pytest.raises(UnsteadyError, match="an entry stands there twice"),
    ):
        client.versions("000003", tmp_path)


@pytest.mark.parametrize("answer", [status(429), status(500), NOTHING, ok(b"{}", cut_after=1)])
def test_what_passes_is_asked_for_again(tmp_path: Path, answer: Answer) -> None:
    with fake_dandi() as dandi, connected(dandi) as client:
        left = [answer]
        dandi.wrong[ASSETS] = lambda _: left.pop() if left else None
        assert len(assets_of(client, tmp_path)) == 4
        dandi.wrong[ASSETS] = answer
        with pytest.raises(HttpError, match=r"\(5 attempts\)"):
            assets_of(client, tmp_path)


# ---- pages that did not change -----------------------------------------------------------------------------


def test_pages_with_an_etag_are_not_sent_again(tmp_path: Path) -> None:
    with fake_dandi(etags=True) as dandi, connected(dandi) as client:
        found = assets_of(client, tmp_path)
        saved = {path.name: path.read_bytes() for path in (tmp_path / "pages").iterdir()}
        assert len(saved) == 2
        number = len(dandi.web.requests)
        assert assets_of(client, tmp_path) == found
        again = dandi.web.requests[number:]
        assert all("if-none-match" in request.headers for request in again)
        assert len(again) == 2

        dandi.dandisets["000003"]["draft"]["z.nwb"] = "z"
        assert [asset.path for asset in assets_of(client, tmp_path)][-1] == "z.nwb"
        dandi.dandisets["000003"]["draft"] = {"z.nwb": "z"}
        assert [asset.path for asset in assets_of(client, tmp_path)] == ["z.nwb"]
    assert len(list((tmp_path / "pages").iterdir())) == 1


def test_a_saved_page_that_is_damaged_is_asked_for_anew(tmp_path: Path) -> None:
    with fake_dandi(etags=True) as dandi, connected(dandi) as client:
        found = assets_of(client, tmp_path)
        for path, content in zip((tmp_path / "pages").iterdir(), [b"", b"\xff\n{}"], strict=True):
            path.write_bytes(content)
        assert assets_of(client, tmp_path) == found


def test_a_page_that_is_refused_is_not_saved(tmp_path: Path) -> None:
    wrong = {ASSETS: ok_json({"results": []}, etag='"1"')}
    with (
        fake_dandi(wrong=wrong) as dandi,
        connected(dandi) as client,
        pytest.raises(HttpError, match="`next`"),
    ):
        assets_of(client, tmp_path)
    assert not (tmp_path / "pages").exists()


def test_the_archive_of_these_tests_holds_what_they_are_about() -> None:
    versions = archive()["000003"]
    assert all(assets["sub-1/a.nwb"] == "a" for assets in versions.values())
    assert archive()["000108"]["draft"]["shared.nwb"] == "a"
