"""The archive in S3, at real servers: conditions, races, Object Lock, versions, pages, calls of a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from python.archive_s3_support import (
    S3RVER_KEY,
    close_stores,  # noqa: F401
    counting,
    make_bucket,
    s3_config,
    s3_store,
    s3rver,
)
from python.archive_support import NOON, Chronyd, Clock, archived_lines, chunks, run
from python.s3_support import fake_s3, moto, sdk, set_environment, versitygw
from tickline.errors import TicklineError
from tickline.pipelines.archive.chunk import key_of, pack, sha256_hex, unpack
from tickline.pipelines.archive.config import Retention, Upload
from tickline.pipelines.archive.s3_store import S3Store, retain_until
from tickline.pipelines.archive.stores import FolderStore, open_archive, open_store

pytest.importorskip("boto3")

KEY = "v1/n1/2026/11/22/0000000001.zst"


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto() as url:
        yield url


@pytest.fixture(params=["moto", "versitygw"])
def server(
    request: pytest.FixtureRequest, moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A server with an empty bucket ``logs``, and one with Object Lock, ``locked``."""
    if request.param == "moto":
        _empty(moto_url)
        set_environment(monkeypatch, moto_url)
        _make_buckets(moto_url)
        yield moto_url
        return
    folder = tmp_path / "versitygw"
    folder.mkdir()
    with versitygw(folder, versioning=True) as url:
        set_environment(monkeypatch, url)
        _make_buckets(url)
        yield url


def _make_buckets(url: str) -> None:
    make_bucket(url, "logs")
    make_bucket(url, "locked", ObjectLockEnabledForBucket=True)


def _empty(url: str) -> None:
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)


def _put(store: S3Store, key: str, body: bytes, **more: Any) -> bool:
    return store.put(key, body, sha256_hex(body), **{"only_if_absent": True, **more})


# ---- a store ----------------------------------------------------------------------------------------------


def test_an_object_is_written_once_and_read_back(server: str) -> None:
    store = s3_store()
    assert store.sha256_of(KEY) is None
    assert _put(store, KEY, b"first")
    assert not _put(store, KEY, b"first")
    assert not _put(store, KEY, b"second")
    assert store.get(KEY) == b"first"
    assert store.sha256_of(KEY) == sha256_hex(b"first")
    assert store.calls == 6
    with pytest.raises(TicklineError, match="does not exist"):
        store.get("v1/n1/2026/11/22/0000000002.zst")
    # Where conditions are ignored, keys are unique and the condition is left out.
    assert _put(store, KEY, b"third", only_if_absent=False)
    store.close()
    assert store.get(KEY) == b"third"
    assert store.calls == 9


def test_keys_and_folders_are_those_below_the_prefix(server: str) -> None:
    store, other = s3_store(), S3Store("s3://logs")
    for key in ("v1/b/2026/11/22/0000000001.zst", "v1/a/x", "v1/a/y", "v1/ab/z"):
        _put(store, key, b"x")
    _put(other, "v1/elsewhere/x", b"x")
    assert list(store.keys("v1/a/")) == ["v1/a/x", "v1/a/y"]
    assert list(store.keys("v1/a/", "v1/a/x")) == ["v1/a/y"]
    assert list(store.keys("v1/c/")) == []
    assert list(store.entries("v1/")) == ["v1/a/", "v1/ab/", "v1/b/"]
    assert list(other.entries("v1/")) == ["v1/elsewhere/"]
    _put(store, "v1/aa", b"x")
    with sdk(server) as client:
        client.put_object(Bucket="logs", Key="ntp/v1/", Body=b"")
    assert list(store.entries("v1/")) == ["v1/a/", "v1/aa", "v1/ab/", "v1/b/"]
    assert list(store.entries("")) == ["v1/"]


def test_of_fifty_writers_of_one_key_one_wins(server: str) -> None:
    bodies = [b"writer %d" % number for number in range(50)]
    stores = [s3_store(retries=9) for _ in range(10)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        won = list(pool.map(lambda number: _put(stores[number % 10], KEY, bodies[number]), range(50)))
    assert won.count(True) == 1
    assert stores[0].get(KEY) == bodies[won.index(True)]


def test_an_object_under_lock_says_how_long_and_cannot_be_deleted(server: str) -> None:
    config = s3_config(Path("/nowhere"), "locked")
    store = s3_store(config, retention=Retention("COMPLIANCE", 6))
    assert _put(store, KEY, b"kept")
    assert not _put(store, KEY, b"kept")
    kept = store.retention_of(KEY)
    assert kept is not None
    assert kept.mode == "COMPLIANCE"
    assert kept.until_s == retain_until(NOON, 6).timestamp() > NOON + 6 * 365.2 * 86400
    (version,) = store.versions("v1/")
    assert store.retention_of(KEY, version.version_id) == kept
    with sdk(server) as client, pytest.raises(client.exceptions.ClientError):
        client.delete_object(Bucket="locked", Key=f"ntp/{KEY}", VersionId=version.version_id)
    assert s3_store(config).get(KEY) == b"kept"
    assert _put(s3_store(config), "v1/free", b"x")
    assert store.retention_of("v1/free") is None
    with pytest.raises(TicklineError, match=r"retention that was asked for is refused.*Object Lock"):
        _put(s3_store(retention=Retention("COMPLIANCE", 6)), KEY, b"kept")


def test_a_server_that_forbids_to_write_over_a_locked_object_is_understood(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """versitygw without versions of objects answers 403 in place of 412."""
    folder = tmp_path / "versitygw"
    folder.mkdir()
    with versitygw(folder) as url:
        set_environment(monkeypatch, url)
        make_bucket(url, "locked", ObjectLockEnabledForBucket=True)
        config = s3_config(tmp_path, "locked", retention=Retention("COMPLIANCE", 6))
        store = s3_store(config, retention=config.retention)
        for _ in range(2):
            chronyd.write()
            assert not run(config, store).problems
        assert [chunk.header["store"]["conditional"] for chunk in chunks(store)] == ["unknown", "honoured"]
        # The same again is there; another one stands where it would go.
        assert not _put(store, next(store.keys("v1/n1/")), store.get(next(store.keys("v1/n1/"))))
        chronyd.write()
        third = key_of("n1", "2026/11/22", 3)
        assert _put(store, third, b"another machine")
        (problem,) = run(config, store).problems
        assert "another object stands under the name" in str(problem)
        with pytest.raises(TicklineError, match=r"may not be written.*s3:PutObject"):
            store.put(third, b"x", sha256_hex(b"x"), only_if_absent=False)


@pytest.mark.parametrize(
    ("now", "until"),
    [("2024-02-29T10:00:00.5", "2030-03-01T10:00:01"), ("2026-11-22T12:00:00", "2032-11-22T12:00:01")],
)
def test_years_of_retention_are_those_of_the_calendar(now: str, until: str) -> None:
    now_s = datetime.fromisoformat(f"{now}+00:00").timestamp()
    assert retain_until(now_s, 6) == datetime.fromisoformat(f"{until}+00:00")


def test_versions_and_delete_markers_are_listed_the_latest_first(server: str) -> None:
    store = s3_store(s3_config(Path("/nowhere"), "locked"))
    for number in range(2):
        _put(store, "v1/a", b"a" * (number + 1), only_if_absent=False)
    _put(store, "v1/b", b"b")
    with sdk(server) as client:
        client.delete_object(Bucket="locked", Key="ntp/v1/b")
    found = [(v.key, v.is_latest, v.is_delete_marker, v.size) for v in store.versions("v1/")]
    assert found == [
        ("v1/a", True, False, 2),
        ("v1/a", False, False, 1),
        ("v1/b", True, True, 0),
        ("v1/b", False, False, 1),
    ]
    assert list(store.keys("v1/")) == ["v1/a"]


def test_a_bucket_without_versions_has_one_of_each(server: str) -> None:
    store = s3_store()
    _put(store, "v1/a", b"a")
    (version,) = store.versions("v1/")
    assert (version.version_id, version.is_latest, version.is_delete_marker) == ("null", True, False)
    assert store.retention_of("v1/a") is None


def test_more_than_a_thousand_keys_come_page_by_page(server: str) -> None:
    keys = [f"v1/n1/2026/11/{number // 100 + 1:02}/{number:010}.zst" for number in range(1100)]
    with counting(server) as counted:
        store = s3_store(endpoint=counted.url)
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda key: _put(store, key, b"x"), keys))
        assert counted.take() == ["PUT"] * 1100
        assert list(store.keys("v1/")) == keys
        assert counted.take() == ["LIST"] * 2
        assert list(store.keys("v1/", keys[200])) == keys[201:]
        assert counted.take() == ["LIST"]
        assert [version.key for version in store.versions("v1/")] == keys
        assert store.calls == 1100 + 5


# ---- runs -------------------------------------------------------------------------------------------------


def test_a_run_with_data_is_one_call_and_one_without_none(
    server: str, tmp_path: Path, chronyd: Chronyd
) -> None:
    config, clock, runs = s3_config(tmp_path), Clock(), 240
    with counting(server) as counted:
        store = s3_store(config, endpoint=counted.url)
        said = 0
        for number in range(runs):
            chronyd.write()
            outcome = run(config, store, clock)
            assert (outcome.result, outcome.objects) == ("ok", 1)
            said += outcome.calls
            if number == 0:
                # Whether the node ever wrote, its first chunk, and that the same again is refused.
                assert counted.take() == ["LIST", "PUT", "PUT"]
                said -= 3
            clock.now_s += 1800
        assert counted.take() == ["PUT"] * (runs - 1)
        assert said == runs - 1
        heartbeats = 0
        for _ in range(runs):
            heartbeats += run(config, store, clock).objects
            clock.now_s += 1800
        assert counted.take() == ["PUT"] * heartbeats == ["PUT"] * 5
        assert archived_lines(chunks(store)) == chronyd.written


def test_a_lost_state_costs_a_listing_and_one_object(server: str, tmp_path: Path, chronyd: Chronyd) -> None:
    config, clock = s3_config(tmp_path), Clock()
    with counting(server) as counted:
        store = s3_store(config, endpoint=counted.url)
        for _ in range(3):
            chronyd.write()
            run(config, store, clock)
            clock.now_s += 1800
        for lost in (config.state / "state.json", config.state):
            counted.take()
            shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
            chronyd.write()
            assert not run(config, store, clock).problems
            assert counted.take() == ["LIST", "GET", "PUT"]
        assert archived_lines(chunks(store)) == chronyd.written


@pytest.mark.parametrize(("days", "pages"), [(30, 2), (10, 1)])
def test_of_a_long_archive_only_recovery_days_are_listed(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch, days: int, pages: int
) -> None:
    """1,500 chunks, 48 a day; only the last of them is more than a name."""
    config = s3_config(tmp_path, upload=Upload(recovery_days=days))
    chronyd.write()
    run(config, FolderStore(f"file://{tmp_path}/archive"))
    (first,) = chunks(tmp_path / "archive")
    last = pack({**first.header, "seq": 1500}, first.pieces())
    made = [datetime.fromtimestamp(NOON, UTC) - timedelta(minutes=30 * back) for back in range(1499, 0, -1)]
    keys = [key_of("n1", f"{time:%Y/%m/%d}", seq) for seq, time in enumerate(made, 1)]
    objects = dict.fromkeys((f"ntp/{key}" for key in keys), b"x")
    objects[f"ntp/{key_of('n1', '2026/11/22', 1500)}"] = last
    (config.state / "state.json").unlink()
    chronyd.write()
    with fake_s3(objects) as server:
        set_environment(monkeypatch, server.url)
        store = s3_store(config)
        outcome = run(config, store)
        assert not outcome.problems
        asked = [(method, bool(key)) for method, key, _ in server.requests]
        assert asked[: pages + 1] == [("GET", False)] * pages + [("GET", True)]
        assert outcome.calls == len(asked) == pages + 3
        latest = unpack(store.get(key_of("n1", "2026/11/22", 1501)), "it")
        assert latest.header["previous"] == sha256_hex(last)
        assert len(latest.raw.splitlines()) == 3


def test_a_server_that_ignores_conditions_gets_no_archive_unless_told_to(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, clock = tmp_path / "s3rver", Clock()
    folder.mkdir()
    with s3rver(folder) as url:
        # It knows one key.
        set_environment(monkeypatch, url, AWS_ACCESS_KEY_ID=S3RVER_KEY, AWS_SECRET_ACCESS_KEY=S3RVER_KEY)
        config = s3_config(tmp_path)
        store = s3_store(config)
        for _ in range(2):
            chronyd.write()
            (problem,) = run(config, store, clock).problems
            assert "ignores conditional writes" in str(problem)
            assert "unique-keys" in str(problem)
        config = s3_config(tmp_path, unique_keys=True)
        assert not run(config, store, clock).problems
        chronyd.write()
        # A look before each write.
        assert run(config, store, clock).calls == 2
        found = [key.rpartition("/")[2] for key in store.keys("v1/n1/")]
        assert [len(name.removesuffix(".zst")) for name in found] == [10, 27, 27]
        assert archived_lines(chunks(store)) == chronyd.written


def test_the_address_decides_what_store_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, None)
    assert isinstance(open_store(s3_config(tmp_path)), S3Store)
    assert isinstance(open_archive("s3://logs/ntp/"), S3Store)
    assert open_archive("s3://logs/ntp/").url == "s3://logs/ntp"
    assert open_archive(f"file://{tmp_path}/").url == f"file://{tmp_path}"
    for bad in ("http://user:secret@host/x", "s3://", "s3://key:secret@bucket/x", "/srv/archive"):
        with pytest.raises(TicklineError) as raised:
            open_archive(bad)
        assert "secret" not in str(raised.value)
