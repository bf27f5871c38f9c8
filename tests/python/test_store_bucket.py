"""Files of a store in a bucket: written by workers without a shared folder, read elsewhere by a manifest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from python.dask_support import dask_cluster
from python.ingest_support import KEY, files_below, named_files, states, take
from python.s3_support import moto, sdk, set_environment, versitygw
from python.spread_support import PRELOAD, by, logs_of_all_kinds, same, set_up
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.ingest.pieces import Place
from tickline.store.bucket import PartsBucket
from tickline.store.folder import StoreFolder
from tickline.store.manifest import load_manifest
from tickline.store.pseudonyms import ENVIRONMENT
from tickline.store.published import PublishedStore
from tickline.store.settings import Settings, WantedSettings
from tickline.store.store import Store

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
pytest.importorskip("boto3")

URL = "s3://parts-of-a-store/some/prefix"
SUMS = (
    "SELECT day, key, sum(bytes_sent) AS sent, sum(requests) AS requests FROM daily GROUP BY ALL ORDER BY ALL"
)
ROWS = "SELECT time, key, bytes_sent, http_status FROM accesses ORDER BY ALL"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Logs of all kinds."""
    return logs_of_all_kinds(tmp_path / "raw", 2_000_000)


@pytest.fixture(scope="module", params=["moto", "versitygw"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with an empty bucket."""
    folder = tmp_path_factory.mktemp("s3")
    with moto() if request.param == "moto" else versitygw(folder) as url, sdk(url) as client:
        client.create_bucket(Bucket="parts-of-a-store")
        yield url


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bucket, emptied."""
    set_environment(monkeypatch, server)
    with sdk(server) as client:
        for item in client.list_objects_v2(Bucket="parts-of-a-store").get("Contents", ()):
            client.delete_object(Bucket="parts-of-a-store", Key=item["Key"])
    return URL


def _objects(server: str) -> set[str]:
    with sdk(server) as client:
        found = client.list_objects_v2(Bucket="parts-of-a-store").get("Contents", ())
    return {item["Key"].removeprefix("some/prefix/") for item in found}


def _reads_the_same(store: Path, elsewhere: PublishedStore) -> None:
    with Store(store) as here:
        for sql in (SUMS, ROWS):
            found = elsewhere.query(sql)
            assert found.num_rows > 100
            assert found.equals(here.query(sql))


def test_workers_without_a_shared_folder_write_into_a_bucket(
    tmp_path: Path, raw: Path, server: str, bucket: str
) -> None:
    pytest.importorskip("distributed")
    store = tmp_path / "store"
    with dask_cluster(tmp_path / "cluster", 2, preload=PRELOAD, **{ENVIRONMENT: KEY}) as cluster:
        report = take(store, raw, bucket=bucket, **by(cluster))
    assert not report.problems, [str(problem) for problem in report.problems]
    same(tmp_path, raw, store)
    assert set(named_files(store)) | {"manifest.json"} <= _objects(server)
    _reads_the_same(store, PublishedStore(bucket, tmp_path / "cache"))


def test_a_bucket_follows_the_store(tmp_path: Path, raw: Path, server: str, bucket: str) -> None:
    store = tmp_path / "store"
    late = sorted(raw.glob("*/*/*.log"))[-1]
    data = late.read_bytes()
    late.unlink()
    states(take(store, raw, bucket=bucket))
    first = PublishedStore(bucket, tmp_path / "cache")
    _reads_the_same(store, first)
    before = first.query(SUMS)
    with StoreFolder.open(store) as folder:
        compact(folder)
    late.write_bytes(data)
    states(take(store, raw, bucket=bucket))
    # Who has read the old manifest goes on with it.
    assert first.query(SUMS).equals(before)
    second = PublishedStore(bucket, tmp_path / "cache")
    _reads_the_same(store, second)
    assert not second.query(SUMS).equals(before)


def test_leftovers_in_a_bucket_go_when_they_are_a_day_old(
    tmp_path: Path, raw: Path, server: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickline.store import bucket as store_bucket

    store = tmp_path / "store"
    with sdk(server) as client:
        for name in (
            "some/prefix/parts/2024-02/left.parquet",
            "some/prefix/mine.txt",
            "parts/2024-02/x.parquet",
        ):
            client.put_object(Bucket="parts-of-a-store", Key=name, Body=b"x")
    states(take(store, raw, bucket=bucket))
    assert "parts/2024-02/left.parquet" in _objects(server)
    monkeypatch.setattr(store_bucket, "_KEEP_MS", -60_000)
    states(take(store, raw, bucket=bucket))
    assert _objects(server) == {*named_files(store), "manifest.json", "mine.txt", "parts/2024-02/x.parquet"}


def test_what_is_damaged_or_gone_in_a_bucket_is_named(
    tmp_path: Path, raw: Path, server: str, bucket: str
) -> None:
    with pytest.raises(TicklineError, match=r"manifest\.json"):
        PublishedStore(bucket, tmp_path / "cache")
    store = tmp_path / "store"
    states(take(store, raw, bucket=bucket))
    victim = named_files(store)[0]
    with PartsBucket(bucket) as opened:
        opened.put(victim, b"something else")
    with pytest.raises(SourceError, match="is not what was written there"):
        PublishedStore(bucket, tmp_path / "cache")
    with sdk(server) as client:
        client.delete_object(Bucket="parts-of-a-store", Key=f"some/prefix/{victim}")
    with pytest.raises(SourceError, match=victim):
        PublishedStore(bucket, tmp_path / "cache")
    # The next run brings back what is missing.
    states(take(store, raw, bucket=bucket))
    _reads_the_same(store, PublishedStore(bucket, tmp_path / "cache"))


def test_a_bucket_that_cannot_be_written_does_not_harm_the_store(
    tmp_path: Path, raw: Path, server: str, bucket: str
) -> None:
    store = tmp_path / "store"
    report = take(store, raw, bucket="s3://no-such-bucket/prefix")
    assert [problem.where for problem in report.problems] == ["s3://no-such-bucket/prefix/parts/"]
    same(tmp_path, raw, store)


def test_settings_that_are_told_to_workers_are_not_shown() -> None:
    settings = Settings.create(WantedSettings(exclude_networks=("192.0.2.0/24",)), "")
    place = Place("/store", settings.store_id, 100, URL, settings)
    assert "192.0.2" not in repr(place)
    assert "192.0.2" in repr(settings)


def test_what_is_no_bucket_is_refused() -> None:
    with pytest.raises(UsageError, match="--bucket: is no address in S3"):
        IngestOptions(bucket="/some/folder")


def test_a_shared_folder_is_read_by_its_manifest(tmp_path: Path, raw: Path) -> None:
    store, moved = tmp_path / "store", tmp_path / "elsewhere"
    states(take(store, raw))
    with StoreFolder.open(store) as folder, folder.writing():
        folder.publish()
    store.rename(moved)
    ledger = (moved / "ledger.sqlite").rename(tmp_path / "ledger.sqlite")
    found = PublishedStore(moved).query(SUMS)
    ledger.rename(moved / "ledger.sqlite")
    with Store(moved) as here:
        assert found.equals(here.query(SUMS))


def test_each_run_that_writes_renews_a_manifest(tmp_path: Path, raw: Path) -> None:
    store = tmp_path / "store"
    states(take(store, raw))
    assert not (store / "manifest.json").exists()
    with StoreFolder.open(store) as folder:
        with folder.writing():
            folder.publish()
        first = load_manifest(store).snapshot
        compact(folder)
        second = load_manifest(store).snapshot
        assert second == folder.ledger.snapshot()
    assert second.commit > first.commit
    assert len(second.parts) < len(first.parts)
    assert set(files_below(store)) >= {part.path for part in first.parts}


@pytest.mark.parametrize("path", ["../outside.parquet", "/etc/passwd", "parts/../../x"])
def test_a_manifest_that_names_files_elsewhere_is_refused(tmp_path: Path, raw: Path, path: str) -> None:
    store = tmp_path / "store"
    states(take(store, raw))
    with StoreFolder.open(store) as folder:
        folder.publish()
    place = store / "manifest.json"
    found = json.loads(place.read_bytes())
    found["files"][0]["path"] = path
    place.write_text(json.dumps(found))
    with pytest.raises(TicklineError, match="is no manifest that can be understood"):
        PublishedStore(store)
    place.write_text(json.dumps({**found, "format": 99}))
    with pytest.raises(TicklineError, match="made by a newer version"):
        PublishedStore(store)
