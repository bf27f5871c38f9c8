"""Catalogs from elsewhere: whole and up to date, or the one of before and a sentence."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from python.dandi_support import FakeDandi, content_id, fake_dandi, key_of
from python.http_support import NOTHING, RUBBISH, SILENCE, Answer, Request, http_server, ok, ok_gzip, status
from python.summaries_support import MAY, add, check, open_store, summarized
from reference.access_summaries_reference import Entry, Row
from tickline.errors import TicklineError, UsageError
from tickline.files import TEMPORARY_PREFIX
from tickline.pipelines.access.catalog.catalog import load_catalog
from tickline.pipelines.access.catalog.sources import resolve_catalog
from tickline.pipelines.access.summaries.cache import CATALOGS, lock_cache
from tickline.pipelines.access.vacuum import vacuum
from tickline.progress import Progress

HEADER = "key\tdataset\tversion\tpath\n"
OLD = f"{HEADER}id1\tD1\t\tone.nwb\n"
NEW = f"{HEADER}id1\tD2\t\ttwo.nwb\n"
SECRET = "s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DANDI_API_KEY", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make an empty store."""
    path = tmp_path / "store"
    open_store(path).close()
    return path


def resolve(text: str, store: Path, progress: Progress | None = None) -> Path:
    """Fetch a catalog without waiting between attempts."""
    path = resolve_catalog(text, store, progress, wait=lambda _: None)
    assert path is not None
    return path


def fails(text: str, store: Path) -> TicklineError:
    """Return what is said when a catalog cannot be had."""
    with pytest.raises(TicklineError) as caught:
        resolve(text, store)
    return caught.value


def written(entries: Sequence[Entry]) -> str:
    """Return a catalog as it is written."""
    return HEADER + "".join("\t".join(entry) + "\n" for entry in entries)


# ---- files -------------------------------------------------------------------------------------------------


def test_no_catalog_and_a_file_stay_what_they_are(tmp_path: Path) -> None:
    assert resolve_catalog(None, tmp_path) is None
    for name in ("catalog.json.gz", "./dandi", "/a/dandi", "dandi.tsv", "https", "s3:/x"):
        assert resolve_catalog(name, tmp_path / "no store") == Path(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["dandi", "dandi:https://example.org/api", "https://example.org/catalog"])
def test_what_is_fetched_needs_a_store(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="is no store"):
        resolve(text, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "http://example.org/catalog.tsv",
        f"https://u:{SECRET}@example.org/",
        "dandi:http://example.org",
        "dandi:",
    ]
    + [f"dandi:https://example.org/?key={SECRET}", "dandi:/some/file"],
)
def test_addresses_that_are_not_asked(store: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(text, store)
    assert SECRET not in str(caught.value)


# ---- one file on the web -----------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [{"etag": '"1"'}, {"last_modified": "Wed, 01 May 2024 00:00:00 GMT"}])
def test_a_catalog_is_fetched_only_if_it_changed(store: Path, known: dict[str, str]) -> None:
    with http_server({"/c": ok(OLD, **known)}) as server:
        path = resolve(f"{server.url}/c", store)
        assert path.read_text() == OLD
        assert path.parent == store / "cache" / CATALOGS
        before = path.stat().st_mtime_ns
        assert resolve(f"{server.url}/c", store) == path
        assert path.stat().st_mtime_ns == before
        server.scripts["/c"] = ok(NEW, etag='"2"')
        assert resolve(f"{server.url}/c", store) == path
        assert path.read_text() == NEW
        server.scripts["/c"] = ok(OLD)
        assert resolve(f"{server.url}/c", store).read_text() == OLD
        conditions = [request.headers.get("if-none-match") for request in server.requests]
    assert conditions == [None, known.get("etag"), known.get("etag"), '"2"']


def test_each_address_has_its_own_file(store: Path) -> None:
    with http_server({"/c": lambda request: ok(OLD if request.query["v"] == "1" else NEW)}) as server:
        first, second = (resolve(f"{server.url}/c?v={number}", store) for number in (1, 2))
        assert (first.read_text(), second.read_text()) == (OLD, NEW)


@pytest.mark.parametrize(
    "answer",
    [ok(gzip.compress(OLD.encode())), ok_gzip(OLD.encode()), ok('{"id1": {"D1": "one.nwb"}}')],
    ids=["a file of gzip", "compressed on its way", "json"],
)
def test_catalogs_come_in_all_forms(store: Path, answer: Answer) -> None:
    with http_server({"/catalog.gz": answer}) as server:
        found = load_catalog(resolve(f"{server.url}/catalog.gz", store))
    assert found.owners(["blobs/1/id1"]) == [[("D1", "", "one.nwb")]]


UNUSABLE = {
    "429": (status(429), "was asked too often"),
    "500": (status(500), "the server answered 500"),
    "404": (status(404), "is not there"),
    "rubbish": (RUBBISH, "the catalog cannot be used"),
    "nothing": (NOTHING, "cut the connection"),
    "cut": (ok(NEW, cut_after=40), "cut the connection"),
    "cut text": (ok(NEW[:-11]), "has 2 columns, not 4"),
    "cut gzip": (ok(gzip.compress(NEW.encode())[:-4]), "ends too early"),
    "empty": (ok(b""), "is empty"),
    "other": (ok(b'{"a": 1}'), "the catalog cannot be used"),
    "no rows": (ok(HEADER), "holds no content"),
    "no object": (ok(b"{}"), "holds no content"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_used_changes_nothing(store: Path, name: str) -> None:
    answer, what = UNUSABLE[name]
    with http_server({"/c": answer}) as server:
        url = f"{server.url}/c?key={SECRET}"
        error = fails(url, store)
        assert what in error.what
        assert error.where == f"{server.url}/c"
        assert "The one of before" not in str(error)
        assert list((store / "cache" / CATALOGS).glob("url-*")) == []

        server.scripts["/c"] = ok(OLD, etag='"1"')
        path = resolve(url, store)
        server.scripts["/c"] = answer
        error = fails(url, store)
        assert str(error).endswith(f"The one of before is whole: --catalog {path}.")
        assert SECRET not in str(error)
        assert path.read_text() == OLD

        server.scripts["/c"] = ok(OLD, etag='"1"')
        assert resolve(url, store) == path
        assert server.requests[-1].headers["if-none-match"] == '"1"'
    assert [file for file in path.parent.iterdir() if SECRET.encode() in file.read_bytes()] == []


@pytest.mark.parametrize("damage", ["catalog", "record", "no record", "other record"])
def test_a_damaged_copy_is_fetched_anew(store: Path, damage: str) -> None:
    with http_server({"/c": ok(OLD, etag='"1"')}) as server:
        path = resolve(f"{server.url}/c", store)
        record = path.with_suffix(".json")
        if damage == "catalog":
            path.write_text(OLD[:-3])
        elif damage == "no record":
            record.unlink()
        else:
            record.write_text("[1]" if damage == "other record" else "{")
        assert resolve(f"{server.url}/c", store) == path
        assert path.read_text() == OLD
        assert "if-none-match" not in server.requests[-1].headers


# ---- the API of an archive ---------------------------------------------------------------------------------


def of(dandi: FakeDandi) -> str:
    """Return what is written for --catalog."""
    return f"dandi:{dandi.api}"


@pytest.mark.parametrize("page", [1, 3, 1000])
@pytest.mark.parametrize("etags", [False, True])
def test_a_catalog_holds_all_versions(store: Path, page: int, etags: bool) -> None:
    with fake_dandi(page=page, etags=etags) as dandi:
        path = resolve(of(dandi), store)
        assert path.read_text() == written(dandi.catalog())
        assert len(dandi.catalog()) == 13
        assert resolve(of(dandi), store) == path
        assert path.read_text() == written(dandi.catalog())


def test_progress_is_told_in_dandisets(store: Path) -> None:
    class Told(Progress):
        def __init__(self) -> None:
            self.reached: list[tuple[int, int]] = []

        def reach(self, done: int, total: int) -> None:
            self.reached.append((done, total))

    told = Told()
    with fake_dandi() as dandi:
        resolve(of(dandi), store, told)
    assert told.reached == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def assets_asked(dandi: FakeDandi, since: int) -> set[tuple[str, str]]:
    """Return dandiset and version of the assets that were asked for."""
    paths = [path.split("/") for path in dandi.asked()[since:] if path.endswith("/assets/")]
    return {(parts[1], parts[3]) for parts in paths}


def test_only_what_is_new_is_asked_for(store: Path) -> None:
    with fake_dandi() as dandi:
        resolve(of(dandi), store)
        number = len(dandi.asked())
        path = resolve(of(dandi), store)
        assert assets_asked(dandi, number) == set()

        dandi.dandisets["000108"]["draft"] = {"renamed.ome.zarr": "zarr big"}
        dandi.times["000108", "draft"] = "2024-05-01T00:00:00Z"
        dandi.dandisets["000003"]["0.240501.0000"] = {"newest.nwb": "b2"}
        dandi.dandisets["000300"] = {"draft": {"first.nwb": "first"}}
        del dandi.dandisets["000201"], dandi.dandisets["000003"]["0.210812.1448"]
        # Neither of them says that it changed, and a published version cannot: they are not looked at.
        dandi.times["000003", "0.230629.1955"] = "2024-05-01T00:00:00Z"
        number = len(dandi.asked())
        resolve(of(dandi), store)
        expected = {("000108", "draft"), ("000003", "0.240501.0000"), ("000300", "draft")}
        assert assets_asked(dandi, number) == expected
        assert path.read_text() == written(dandi.catalog())
    folder = path.with_suffix("")
    assert sorted(file.name for file in folder.iterdir()) == ["000003", "000013", "000108", "000300"]
    assert sorted(file.name for file in (folder / "000003").iterdir()) == [
        "0.230629.1955.tsv",
        "0.240501.0000.tsv",
        "draft.tsv",
    ]


def test_pages_of_what_is_gone_go_too(store: Path) -> None:
    with fake_dandi(etags=True) as dandi:
        folder = resolve(of(dandi), store).with_suffix("")
        assert (folder / "000201" / "0.220101.0000.pages").is_dir()
        assert (folder / "000201" / "_pages").is_dir()
        assert len(list((folder / "_pages").iterdir())) == 2
        (folder / "000003" / f"{TEMPORARY_PREFIX}of a run that was killed").write_bytes(b"")
        del dandi.dandisets["000201"]["0.220101.0000"], dandi.dandisets["000108"]
        resolve(of(dandi), store)
    assert not (folder / "000108").exists()
    assert len(list((folder / "_pages").iterdir())) == 2
    assert [path for path in store.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)] == []
    assert sorted(path.name for path in (folder / "000201").iterdir()) == [
        "_pages",
        "draft.pages",
        "draft.tsv",
    ]


# Each list and each version of `ARCHIVE`, with all their pages of two entries.
REQUESTS = 2 + (2 + 1 + 1 + 1) + (2 + 1 + 2) + 1 + 2 + (1 + 1)


def test_a_run_that_fails_at_any_request_goes_on_there(tmp_path: Path) -> None:
    with fake_dandi() as dandi:
        for number in range(REQUESTS):
            path = tmp_path / str(number)
            open_store(path).close()
            folder = path / "cache" / CATALOGS
            end = len(dandi.web.requests) + number
            dandi.web.scripts["*"] = lambda request, end=end: (
                status(403) if len(dandi.web.requests) > end else dandi.answer(request)
            )
            assert "may not be read (403)" in fails(of(dandi), path).what
            assert list(folder.glob("*.tsv")) == []
            kept = {(file.parent.name, file.name.removesuffix(".tsv")) for file in folder.glob("*/*/*.tsv")}

            dandi.web.scripts["*"] = dandi.answer
            asked = len(dandi.web.requests)
            assert resolve(of(dandi), path).read_text() == written(dandi.catalog())
            assert assets_asked(dandi, asked).isdisjoint(kept)


def test_a_first_run_asks_for_each_page_once(store: Path) -> None:
    with fake_dandi() as dandi:
        resolve(of(dandi), store)
        assert len(dandi.web.requests) == REQUESTS


@pytest.mark.parametrize("at", [1, 4, 7, 11, 15])
def test_a_run_that_is_killed_goes_on(store: Path, at: int) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from tickline.pipelines.access.catalog.sources import resolve_catalog; "
        "resolve_catalog(sys.argv[1], Path(sys.argv[2]))"
    )
    with fake_dandi(etags=True) as dandi:

        def kill(request: Request) -> Answer:
            if len(dandi.web.requests) == at:
                os.kill(child.pid, signal.SIGKILL)
            return dandi.answer(request)

        dandi.web.scripts["*"] = kill
        with subprocess.Popen([sys.executable, "-c", code, of(dandi), str(store)]) as child:
            assert child.wait(60) == -signal.SIGKILL
        assert list((store / "cache" / CATALOGS).glob("*.tsv")) == []
        assert resolve(of(dandi), store).read_text() == written(dandi.catalog())
    assert [path for path in store.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)] == []


FAILURES = {
    "429": status(429),
    "500": status(500),
    "rubbish": RUBBISH,
    "nothing": NOTHING,
    "cut": ok(b'{"count": 1}', cut_after=5),
    "404": status(404),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize(
    "path", ["dandisets/", "dandisets/000108/versions/", "dandisets/000108/versions/draft/assets/"]
)
def test_nothing_is_made_of_half_of_the_data(store: Path, name: str, path: str) -> None:
    with fake_dandi() as dandi:
        dandi.wrong[path] = FAILURES[name]
        error = fails(of(dandi), store)
        assert error.where == f"{dandi.api}/{path}"
        assert list((store / "cache" / CATALOGS).glob("*.tsv")) == []

        dandi.wrong.clear()
        catalog = resolve(of(dandi), store)
        before = catalog.read_text()
        dandi.dandisets["000003"]["draft"]["z.nwb"] = "z"
        dandi.times = dict.fromkeys([("000003", "draft"), ("000108", "draft")], "2024-05-01T00:00:00Z")
        dandi.wrong[path] = FAILURES[name]
        error = fails(of(dandi), store)
        assert str(error).endswith(f"The one of before is whole: --catalog {catalog}.")
        assert catalog.read_text() == before


def test_pages_that_do_not_fit_together_leave_no_version(store: Path) -> None:
    path = "dandisets/000108/versions/draft/assets/"
    with fake_dandi() as dandi:

        def last_page_is_gone(request: Request) -> Answer | None:
            return status(404) if request.query.get("page") == "2" else None

        dandi.wrong[path] = last_page_is_gone
        assert "a page is gone" in fails(of(dandi), store).what
        assert dandi.asked().count(path) == 6
    assert {file.parent.name for file in store.rglob("draft.tsv")} == {"000003", "000013"}


def test_a_kept_version_that_is_damaged_is_fetched_again(store: Path) -> None:
    with fake_dandi() as dandi:
        path = resolve(of(dandi), store)
        version = path.with_suffix("") / "000003" / "0.210812.1448.tsv"
        whole = version.read_bytes()
        before = path.read_text()
        for damaged in (whole[:-4], whole[:40], b"", whole.replace(b"rows\t2", b"rows\t3")):
            version.write_bytes(damaged)
            error = fails(of(dandi), store)
            assert (error.where, error.what) == (str(version), "is damaged")
            assert path.read_text() == before
            resolve(of(dandi), store)
            assert version.read_bytes() == whole


def test_names_that_would_break_a_line_are_escaped(store: Path) -> None:
    names = {"a\tb.nwb": "1", "a\nb.nwb": "2", "a\r\x00\x7f.nwb": "3", " ü%09 \u2028.nwb": "4"}
    with fake_dandi(dandisets={"000001": {"draft": names}}) as dandi:
        catalog = load_catalog(resolve(of(dandi), store))
    found = [owners[0][2] for owners in catalog.owners([key_of(word) for word in names.values()])]
    assert found == ["a%09b.nwb", "a%0Ab.nwb", "a%0D%00%7F.nwb", " ü%09 \u2028.nwb"]
    assert catalog.entries == 4


def test_embargoed_dandisets_are_there_for_their_owner(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_dandi(token=SECRET) as dandi:
        monkeypatch.setenv("DANDI_API_KEY", SECRET)
        path = resolve(of(dandi), store)
        assert f"{content_id('secret')}\t000999\tdraft\tsecret.nwb\n" in path.read_text()
        dandi.wrong["dandisets/"] = status(500)
        assert SECRET not in str(fails(of(dandi), store))
        assert [
            file for file in store.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()
        ] == []
        dandi.wrong.clear()
        monkeypatch.delenv("DANDI_API_KEY")
        assert "000999" not in resolve(of(dandi), store).read_text()
    assert not (path.with_suffix("") / "000999").exists()


def test_two_archives_do_not_meet(store: Path) -> None:
    with fake_dandi() as one, fake_dandi(dandisets={"000003": {"draft": {"other.nwb": "a"}}}) as two:
        paths = [resolve(of(dandi), store) for dandi in (one, two, one)]
        assert paths[0] == paths[2] != paths[1]
        assert paths[0].read_text() == written(one.catalog())
        assert paths[1].read_text() == written(two.catalog())


def test_one_run_fetches_at_a_time(store: Path) -> None:
    folder = store / "cache" / CATALOGS
    folder.mkdir(parents=True)
    with fake_dandi() as dandi:
        with lock_cache(folder):
            assert "another run is fetching catalogs" in fails(of(dandi), store).what
        assert dandi.web.requests == []
        resolve(of(dandi), store)


def test_a_folder_that_cannot_be_written_is_named(store: Path) -> None:
    (store / "cache").mkdir()
    (store / "cache" / CATALOGS).write_text("no folder")
    with http_server({"/c": SILENCE}) as server:
        assert str(store / "cache" / CATALOGS) in str(fails(f"{server.url}/c", store))
        assert server.requests == []


# ---- with a store ------------------------------------------------------------------------------------------


def _rows(dandi: FakeDandi, number: int = 300) -> list[Row]:
    draw = random.Random(number)
    words = ["a", "b", "b2", "new", "zarr big", "notes", "gone", "nobody's"]
    return [
        Row(
            MAY + draw.randrange(20 * 86_400_000),
            key_of(draw.choice(words), rest=f"{draw.randrange(3)}/0"),
            f"198.51.100.{draw.randrange(9)}",
            draw.randrange(10**6),
            draw.choice([200, 206]),
        )
        for _ in range(number)
    ]


def test_a_dataset_counts_content_of_several_versions_once(tmp_path: Path) -> None:
    with fake_dandi() as dandi, open_store(tmp_path / "store") as opened:
        rows = _rows(dandi)
        add(opened, rows)
        path = resolve(of(dandi), tmp_path / "store")
        found = summarized(opened, path)
        # The reference takes each owner of a key once, by its first row.
        check(found, rows, dandi.catalog())
        sent = {
            word: sum(row.bytes_sent or 0 for row in rows if content_id(word) in str(row.key))
            for word in ("a", "b", "b2")
        }
        by_asset = {
            row["asset_path"]: row["bytes_sent"] for row in found.table("by_asset", "000003").to_pylist()
        }
        assert by_asset["sub-1/a.nwb"] == sent["a"]
        # Its name in the first version that has it, because the draft does not.
        assert by_asset["sub-1/b.nwb"] == sent["b"] + sent["b2"]
        assert not {"sub-1/was b.nwb", "sub-2/copy of a.nwb"} & by_asset.keys()
        assert list(found.datasets) == ["000003", "000108", "000201", "undetermined"]

        # The catalog outlives summaries and cleaning up; a new one gives new sums.
        vacuum(opened, now_ms=10**15)
        assert path.exists()
        dandi.dandisets["000108"]["draft"]["stolen.nwb"] = "b"
        dandi.times["000108", "draft"] = "2024-05-01T00:00:00Z"
        check(summarized(opened, resolve(of(dandi), tmp_path / "store")), rows, dandi.catalog())
