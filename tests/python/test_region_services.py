"""Lists that are fetched by name or URL, and Service Tags of Azure."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python import regions_support as made
from python.http_support import (
    NOTHING,
    RUBBISH,
    SILENCE,
    WebServer,
    http_server,
    ok,
    ok_gzip,
    ok_json,
    status,
)
from python.regions_support import AWS, AZURE, GCP, GITHUB, written
from tickline.clients.http import HttpClient, HttpError
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.files import TEMPORARY_PREFIX
from tickline.pipelines.access.regions import sources as region_sources
from tickline.pipelines.access.regions.formats import parse_json
from tickline.pipelines.access.regions.lookup import Labeler
from tickline.pipelines.access.regions.regions import in_use, update_regions
from tickline.pipelines.access.regions.sources import SERVICES, Wanted, read_region_file
from tickline.pipelines.access.vacuum import vacuum
from tickline.pipelines.access.verify.verify import verify
from tickline.store.folder import StoreFolder

VPN = "81.0.0.0/8\n82.1.0.0/16\n"
PATHS = {"aws": "/ip-ranges.json", "gcp": "/cloud.json", "github": "/meta", "vpn": "/vpn.txt"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StoreFolder]:
    with made.store(tmp_path / "store") as opened:
        yield opened


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """The four services, each with an ETag or a time."""
    scripts = {
        "/ip-ranges.json": ok_json(AWS, etag='"a1"'),
        "/cloud.json": ok_json(GCP, last_modified="Wed, 01 May 2024 10:00:00 GMT"),
        "/meta": ok_gzip(json.dumps(GITHUB).encode(), etag='W/"g1"'),
        "/vpn.txt": ok(VPN),
    }
    with http_server(scripts) as server:
        for name, path in PATHS.items():
            monkeypatch.setitem(region_sources.SERVICES, name, server.url + path)
        yield server


@contextlib.contextmanager
def impatient() -> Iterator[HttpClient]:
    with HttpClient(timeout_s=0.2, retries=1, wait=lambda _: None) as client:
        yield client


def labels(folder: StoreFolder, *addresses: str | None) -> list[str]:
    with Labeler(folder) as labeler:
        return labeler.labels(addresses)[0]


def state(folder: StoreFolder) -> Any:
    """Everything that an update may change."""
    tables = [list(map(tuple, folder.ledger.rows(f"SELECT * FROM {name}"))) for name in ("snapshots", "meta")]
    files = {str(path): path.read_bytes() for path in folder.path.rglob("regions/*") if path.is_file()}
    return tables, files, sorted(path.name for path in folder.path.iterdir())


# ---- names and URLs ----------------------------------------------------------------------------------------


def test_four_lists_have_names() -> None:
    assert {name: Wanted.from_text(name).url for name in ("aws", "gcp", "github", "vpn")} == {
        "aws": "https://ip-ranges.amazonaws.com/ip-ranges.json",
        "gcp": "https://www.gstatic.com/ipranges/cloud.json",
        "github": "https://api.github.com/meta",
        "vpn": "https://raw.githubusercontent.com/josephrocca/is-vpn/main/vpn-or-datacenter-ipv4-ranges.txt",
    }
    assert [Wanted.from_text(name).name for name in SERVICES] == [
        "ip-ranges.json", "cloud.json", "meta", "vpn-or-datacenter-ipv4-ranges.txt",
    ]  # fmt: skip
    assert Wanted.from_text("./aws") == Wanted("./aws")
    assert Wanted.from_text("Data centre=vpn").label == "Data centre"


def test_a_url_may_hold_an_equals_sign_and_a_token_that_is_not_shown() -> None:
    text = "https://user:pass@lists.example/v1/vpn.txt?token=abc&x=1#y"
    for wanted, label in ((Wanted.from_text(text), None), (Wanted.from_text(f"Exit={text}"), "Exit")):
        assert (wanted.url, wanted.label, wanted.path) == (text, label, "")
        assert (wanted.where, wanted.name) == ("https://lists.example/v1/vpn.txt", "vpn.txt")
    assert Wanted.from_text("https://lists.example").name == "lists.example"
    assert Wanted.from_text("https://lists.example/a/?t=1").name == "a"
    with pytest.raises(UsageError, match="no label"):
        Wanted.from_text("undetermined=https://lists.example/a")


# ---- fetching ----------------------------------------------------------------------------------------------


def test_named_lists_are_fetched_and_give_labels(web: WebServer, folder: StoreFolder) -> None:
    report = update_regions(folder, ["github", "aws", "gcp", "Exit=vpn"])
    assert [(one.kind, one.name, one.label, one.date) for one in report.snapshots] == [
        ("github", "meta", None, None),
        ("aws", "ip-ranges.json", None, "2024-05-01"),
        ("gcp", "cloud.json", None, "2024-05-02"),
        ("list", "vpn.txt", "Exit", None),
    ]
    assert (report.networks, report.added) == ([5, 5, 2, 2], 4)
    assert labels(folder, "192.30.252.1", "3.4.12.4", "34.1.208.1", "82.1.2.3", "9.9.9.9") == [
        "GitHub", "AWS/eu-west-1", "GCP/africa-south1", "Exit", "unknown",
    ]  # fmt: skip
    assert (folder.path / report.snapshots[3].file).read_text() == VPN
    assert verify(folder).found == []


def test_what_has_not_changed_is_not_sent_again(web: WebServer, folder: StoreFolder) -> None:
    sources = ["aws", "gcp", "github", "vpn"]
    first = update_regions(folder, sources)
    before = state(folder)
    second = update_regions(folder, sources)
    assert (second.snapshots, second.networks, second.added) == (first.snapshots, first.networks, 0)
    asked = {request.path: request.headers for request in web.requests[4:]}
    assert asked["/ip-ranges.json"]["if-none-match"] == '"a1"'
    assert asked["/cloud.json"]["if-modified-since"] == "Wed, 01 May 2024 10:00:00 GMT"
    assert asked["/meta"]["if-none-match"] == 'W/"g1"'
    assert not {"if-none-match", "if-modified-since"} & asked["/vpn.txt"].keys()
    assert state(folder) == before


def test_a_list_that_changed_becomes_a_new_snapshot(web: WebServer, folder: StoreFolder) -> None:
    first = update_regions(folder, ["aws"])
    web.scripts["/ip-ranges.json"] = ok_json(
        {"prefixes": [{"ip_prefix": "3.0.0.0/8", "region": "x"}]}, etag="b"
    )
    second = update_regions(folder, ["aws"])
    assert second.added == 1
    assert second.snapshots[0].id != first.snapshots[0].id
    assert labels(folder, "3.4.12.4") == ["AWS/x"]
    update_regions(folder, ["aws"])
    assert web.requests[-1].headers["if-none-match"] == "b"
    assert (folder.path / first.snapshots[0].file).is_file(), "labels of before refer to it"


def test_a_damaged_copy_is_fetched_anew(web: WebServer, folder: StoreFolder) -> None:
    (snapshot,) = update_regions(folder, ["aws"]).snapshots
    whole = (folder.path / snapshot.file).read_bytes()
    for damage in (b"damaged", None):
        if damage is None:
            (folder.path / snapshot.file).unlink()
        else:
            (folder.path / snapshot.file).write_bytes(damage)
        assert update_regions(folder, ["aws"]).snapshots == [snapshot]
        assert "if-none-match" not in web.requests[-1].headers
        assert (folder.path / snapshot.file).read_bytes() == whole


def test_a_list_by_url_is_the_one_that_a_file_gives(
    web: WebServer, tmp_path: Path, folder: StoreFolder
) -> None:
    database = Path(made.mmdb(tmp_path / "city.mmdb", {"83.0.0.0/8": made.place("DE", "Bavaria")}))
    web.scripts["/lists/city.mmdb.gz"] = ok(gzip.compress(database.read_bytes()))
    web.scripts["/ServiceTags_Public_20240506.json"] = ok_json(AZURE)
    urls = ["/lists/city.mmdb.gz", "/ServiceTags_Public_20240506.json", "/vpn.txt"]
    fetched = update_regions(folder, [web.url + url for url in urls]).snapshots
    assert [one.name for one in fetched] == ["city.mmdb.gz", "ServiceTags_Public_20240506.json", "vpn.txt"]
    assert labels(folder, "83.1.1.1", "20.40.9.9", "81.1.1.1") == ["DE/Bavaria", "Azure/westeurope", "VPN"]
    files = [str(database), written(tmp_path / "a", AZURE), written(tmp_path / "vpn.txt", VPN)]
    assert [one.id for one in update_regions(folder, files).snapshots] == [one.id for one in fetched]
    # And back again, with what was known of the URLs.
    assert [one.id for one in update_regions(folder, [web.url + url for url in urls]).snapshots] == [
        one.id for one in fetched
    ]


BAD = {
    "quota": (status(429), HttpError, "429|too many|again"),
    "server error": (status(500, b"secret-of-the-server"), HttpError, "500"),
    "not found": (status(404), HttpError, "404"),
    "a page to log in": (RUBBISH, SourceError, "line 1: '<html>"),
    "no word": (NOTHING, HttpError, "cut the connection"),
    "silence": (SILENCE, HttpError, "in time"),
    "cut": (ok(json.dumps(AWS), cut_after=80), HttpError, "cut"),
    "half a JSON": (ok(json.dumps(AWS)[:80]), SourceError, "JSON cannot be read"),
    "another shape": (ok_json({"a": 1}), SourceError, "unknown shape"),
    "an entry that is none": (
        ok_json({"prefixes": [*AWS["prefixes"], {"ip_prefix": "x"}]}),  # type: ignore[misc]
        SourceError,
        r"prefixes\[4\]: 'x'",
    ),
    "no content": (ok(b""), SourceError, "holds no network"),
    "cut gzip": (ok(gzip.compress(json.dumps(AWS).encode())[:-9]), SourceError, "ends too early"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_service_that_fails_gets_a_sentence_and_the_lists_of_before_stay(
    case: str, web: WebServer, folder: StoreFolder
) -> None:
    update_regions(folder, ["aws", "vpn"])
    before = state(folder)
    answer, kind, message = BAD[case]
    web.scripts["/ip-ranges.json"] = answer
    web.scripts["/vpn.txt"] = ok("99.0.0.0/8\n", etag="new")
    for sources in (["vpn", "aws"], ["aws", "vpn"], ["vpn", web.url + PATHS["aws"] + "?token=hush-hush"]):
        with impatient() as client, pytest.raises(kind, match=message) as raised:
            update_regions(folder, sources, order="first-wins", client=client)
        assert str(raised.value).startswith(web.url + PATHS["aws"] + ": ")
        assert "hush" not in str(raised.value)
        assert "secret" not in str(raised.value)
        assert state(folder) == before
    assert labels(folder, "3.4.12.4", "81.1.1.1", "99.1.1.1") == ["AWS/eu-west-1", "VPN", "unknown"]


def test_a_service_that_recovers_is_asked_again(web: WebServer, folder: StoreFolder) -> None:
    web.scripts["/vpn.txt"] = [status(503), status(429), ok(VPN)]
    with HttpClient(retries=2, wait=lambda _: None) as client:
        assert update_regions(folder, ["vpn"], client=client).networks == [2]


def test_a_url_without_encryption_is_refused(folder: StoreFolder) -> None:
    with pytest.raises(UsageError, match="https"):
        update_regions(folder, ["http://lists.example/vpn.txt"])
    with pytest.raises(UsageError, match="password") as raised:
        update_regions(folder, ["https://me:hush@lists.example/vpn.txt"])
    assert "hush" not in str(raised.value)


def test_no_token_is_kept(web: WebServer, folder: StoreFolder) -> None:
    web.scripts["/vpn.txt"] = ok(VPN, etag="e")
    update_regions(folder, [f"{web.url}/vpn.txt?token=hush-hush"])
    update_regions(folder, [f"{web.url}/vpn.txt?token=hush-hush"])
    assert web.requests[-1].headers["if-none-match"] == "e"
    assert web.requests[-1].query == {"token": "hush-hush"}
    folder.ledger.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert made.files_with(folder.path, "hush-hush") == []


def test_an_etag_that_cannot_be_sent_back_is_not_kept(web: WebServer, folder: StoreFolder) -> None:
    web.scripts["/vpn.txt"] = ok(VPN, headers={"ETag": '"caf\xe9"'}, last_modified="yesterday")
    update_regions(folder, ["vpn"])
    update_regions(folder, ["vpn"])
    headers = web.requests[-1].headers
    assert ("if-none-match" in headers, headers["if-modified-since"]) == (False, "yesterday")


def test_what_a_killed_run_fetched_is_removed_by_vacuum(
    web: WebServer, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        (fetched,) = folder.path.glob(f"{TEMPORARY_PREFIX}*")
        assert [path.read_bytes() for path in fetched.iterdir()] == [json.dumps(AWS).encode()]
        shutil.copytree(fetched, fetched.with_name(f"{fetched.name}-of-a-killed-run"))
        raise RuntimeError("stopped")

    monkeypatch.setattr("tickline.pipelines.access.regions.regions._read_all", stop)
    with pytest.raises(RuntimeError, match="stopped"):
        update_regions(folder, ["aws"])
    (left,) = folder.path.glob(f"{TEMPORARY_PREFIX}*")
    assert verify(folder).found == []
    vacuum(folder, hours=0)
    assert not left.exists()


def test_lists_behind_a_url_are_never_known_to_be_in_use(
    web: WebServer, tmp_path: Path, folder: StoreFolder
) -> None:
    aws = written(tmp_path / "ip-ranges.json", AWS)
    update_regions(folder, [aws, "ipinfo"])
    assert in_use(folder, [aws, "ipinfo"])
    assert not in_use(folder, ["ipinfo", aws])
    assert not in_use(folder, [aws])
    assert not in_use(folder, ["aws", "ipinfo"])
    update_regions(folder, ["aws"])
    assert not in_use(folder, ["aws"])
    assert in_use(folder, [aws])
    assert web.paths() == ["/ip-ranges.json"]


def test_without_httpx_a_sentence_names_the_extra(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(TicklineError, match=r"httpx.*tickline\[regions\]|tickline\[dandi\]"):
        update_regions(folder, ["aws"])


# ---- Azure -------------------------------------------------------------------------------------------------


def test_service_tags_give_the_region_where_one_is_known(tmp_path: Path, folder: StoreFolder) -> None:
    path = written(tmp_path / "ServiceTags_Public_20240506.json", AZURE)
    found = read_region_file(Wanted(path))
    assert (found.kind, found.label, found.date) == ("azure", None, None)
    # In the first tag without a region, 20.40.4.0/30 lies in a network of westeurope; 51.12.0.0/24 in none.
    assert dict(zip(found.networks, found.labels, strict=True)) == {
        "20.40.0.0/16": "Azure/westeurope",
        "2603:1020:200::/46": "Azure/westeurope",
        "20.40.8.0/24": "Azure/northeurope",
        "20.32.0.0/11": "Azure",
        "51.12.0.0/24": "Azure",
        "2603:1030:40c::/48": "Azure",
    }
    (snapshot,) = update_regions(folder, [path]).snapshots
    assert (snapshot.kind, snapshot.name) == ("azure", "ServiceTags_Public_20240506.json")
    asked = [
        "20.40.4.1",
        "20.40.8.1",
        "51.12.0.9",
        "2603:1020:200::1",
        "2603:1030:40c::1",
        "20.41.0.1",
        "20.9.9.9",
    ]
    west, north = "Azure/westeurope", "Azure/northeurope"
    assert labels(folder, *asked) == [west, north, "Azure", west, "Azure", "Azure", "unknown"]
    update_regions(folder, [path], order="first-wins")
    assert labels(folder, *asked) == [west, west, "Azure", west, "Azure", "Azure", "unknown"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([{"properties": {"addressPrefixes": ["10.0.0.0/8"]}}], r"values\[0\] is not a service tag"),
        ([{"properties": {"region": None, "addressPrefixes": []}}], r"values\[0\] is not a service tag"),
        ([AZURE["values"][0], 7], r"values\[1\] is not a service tag"),  # type: ignore[index]
        ([AZURE["values"][0], {"properties": {"region": "x", "addressPrefixes": {}}}], r"values\[1\] is not"),  # type: ignore[index]
        ([{"properties": {"region": "x", "addressPrefixes": [7]}}], r"addressPrefixes\[0\] is no text"),
        (
            [{"properties": {"region": "x", "addressPrefixes": ["10.0.0.0/8", "10.0.0.0/8", "10.0.0.1/8"]}}],
            r"values\[0\]\.properties\.addressPrefixes\[2\]: '10\.0\.0\.1/8'",
        ),
        ([{"properties": {"region": "x", "addressPrefixes": []}}], "holds no network"),
    ],
)  # fmt: skip
def test_damaged_service_tags_get_a_sentence(values: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=message):
        read_region_file(Wanted(written(tmp_path / "a", {"cloud": "Public", "values": values})))


networks_of_ipv4 = st.builds(
    lambda prefix, bits: str(
        ipaddress.ip_network(((bits << 20) & (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF, prefix))
    ),
    st.integers(0, 16),
    st.integers(0, 0xFFF),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    tags=st.lists(
        st.tuples(st.sampled_from(["", "a", "b"]), st.lists(networks_of_ipv4, max_size=4)), min_size=1
    ),
    asked=st.lists(st.integers(0, 0xFFF), min_size=1, max_size=20),
)
def test_a_region_goes_before_none_whatever_the_tags(
    tags: list[tuple[str, list[str]]], asked: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = [{"properties": {"region": region, "addressPrefixes": nets}} for region, nets in tags]
    if not any(nets for _, nets in tags):
        return
    found = parse_json(json.dumps({"values": values}), "x")
    flat = list(zip(found.networks, found.labels, strict=True))
    for bits in asked:
        address = ipaddress.ip_address(bits << 20 | 7)
        holding = [
            (ipaddress.ip_network(network), region)
            for region, nets in tags
            for network in nets
            if address in ipaddress.ip_network(network)
        ]
        regional = [(network.prefixlen, region) for network, region in holding if region]
        # The smallest network with a region; of equal ones the first.
        best = max(regional, key=lambda one: one[0])[1] if regional else None
        expected = f"Azure/{best}" if best else "Azure" if holding else "unknown"
        assert made.slow_labels(flat, "longest-prefix", [str(address)]) == [expected]
