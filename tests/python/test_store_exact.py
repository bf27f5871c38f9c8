"""Exports hold the truth, and are the same bytes whatever the way to them was."""

import gzip
import hashlib
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from python.ingest_support import small_runs
from python.s3_support import moto, sdk, set_environment, versitygw
from tickline.fake import generate_access
from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.run import RunOptions, run
from tickline.pipelines.access.summaries.options import POLICIES, SummaryOptions
from tickline.store.folder import StoreFolder

DATASET_TABLES = ("by_day", "by_region", "by_week_type", "by_asset", "by_week_asset")
ARCHIVE_TABLES = ("by_day", "by_region", "by_week_type", "by_dataset")
SUMS = ("bytes_sent", "number_of_requests", "number_of_downloads")
OLD_NS = 1_700_000_000 * 10**9


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days of logs with a catalog, region snapshots and the truth; the files are long settled."""
    out = tmp_path_factory.mktemp("archive") / "raw"
    generate_access(out, total_bytes=6_000_000, seed=11, days=5, dirty=0.01, catalog=True)
    for path in out.rglob("*.log"):
        os.utime(path, ns=(OLD_NS, OLD_NS))
    return out


def options(archive: Path, policy: str = "all", threads: int = 1, **more: Any) -> RunOptions:
    regions = tuple(str(path) for path in sorted((archive / "regions").iterdir()))
    export = ExportOptions(SummaryOptions(None, policy, **more))
    return RunOptions(IngestOptions(threads=threads), export, str(archive / "catalog.tsv"), regions)


def exported(archive: Path, raw: Path | str, place: Path, **how: Any) -> Path:
    """Run everything over `raw`, with the catalog and the regions of `archive`; returns the export."""
    report = run([str(raw)], str(place / "store"), place / "out", options(archive, **how))
    assert not report.ingested.problems
    return place / "out"


def tree(folder: Path) -> dict[str, str]:
    """Hash every file of an export; the record of what was written there is none of it."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".tickline" not in path.parts)
    found = {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert len(found) > 200
    return found


@pytest.fixture(scope="module")
def reference(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The export of one undisturbed run by one thread."""
    return tree(exported(archive, archive, tmp_path_factory.mktemp("reference")))


def folders(out: Path) -> dict[str, Path]:
    """Return the folder of each dataset, as names.tsv has it."""
    lines = (out / "names.tsv").read_text("utf-8").split("\n")[1:-1]
    pairs = [line.split("\t") for line in lines]
    return {name: out / "summaries" / folder for folder, name in pairs}


def rows(path: Path) -> list[list[Any]]:
    """Return the rows of a table as truth.json has them: dates as texts."""
    columns = pq.read_table(path).to_pydict().values()
    return [
        [v.isoformat() if hasattr(v, "isoformat") else v for v in row] for row in zip(*columns, strict=True)
    ]


def test_every_table_and_total_equals_the_truth(archive: Path, tmp_path: Path) -> None:
    out = exported(archive, archive, tmp_path)
    truth = json.loads((archive / "truth.json").read_text("utf-8"))["total"]["reduce"]["summaries"]
    totals = json.loads((out / "totals.json").read_text("utf-8"))
    assert totals["archive"] == truth["archive"]["totals"]
    assert totals["datasets"] == {name: found["totals"] for name, found in truth["datasets"].items()}
    places = folders(out)
    assert set(places) == set(truth["datasets"])
    compared = 0
    for name, found in truth["datasets"].items():
        for table in DATASET_TABLES:
            assert rows(places[name] / f"{table}.parquet") == found[table], (name, table)
            compared += len(found[table])
    for table in ARCHIVE_TABLES:
        assert rows(out / "summaries" / "archive" / f"{table}.parquet") == truth["archive"][table], table
    assert compared > 1000


def test_the_accounting_is_the_generators(archive: Path, tmp_path: Path) -> None:
    out = exported(archive, archive, tmp_path)
    said = json.loads((out / "provenance.json").read_text("utf-8"))["accounting"]
    true = json.loads((archive / "truth.json").read_text("utf-8"))["total"]
    for name in ("accepted", "filtered", "rejected"):
        assert said[name] == true["reduce"][name]
    assert (said["lines"], said["bytes"]) == (true["lines"], true["bytes"])


@pytest.mark.parametrize("policy", POLICIES)
def test_sums_agree_across_tables_and_shared_content_follows_its_policy(
    archive: Path, tmp_path: Path, policy: str
) -> None:
    out = exported(archive, archive, tmp_path, policy=policy)
    everything = [0, 0, 0]
    for name, place in folders(out).items():
        sums = {
            table: [sum(pq.read_table(place / f"{table}.parquet")[column].to_pylist()) for column in SUMS]
            for table in DATASET_TABLES
        }
        assert len({tuple(found) for found in sums.values()}) == 1, (name, sums)
        everything = [a + b for a, b in zip(everything, sums["by_day"], strict=True)]
    totals = json.loads((out / "totals.json").read_text("utf-8"))
    whole = [totals["archive"][name] for name in ("total_bytes_sent", *SUMS[1:])]
    # Content of several datasets is counted by each of them, or once.
    assert (everything == whole) == (policy != "all")
    assert all(a >= b for a, b in zip(everything, whole, strict=True))
    true = json.loads((archive / "truth.json").read_text("utf-8"))["total"]["reduce"]["summaries"]
    if policy != "all":
        expected = true["policies"][policy]
        sums = ("total_bytes_sent", *SUMS[1:])
        assert {name: {s: totals["datasets"][name][s] for s in sums} for name in expected} == expected
        assert len(expected) > 20


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_do_not_show(archive: Path, reference: dict[str, str], tmp_path: Path, threads: int) -> None:
    assert tree(exported(archive, archive, tmp_path, threads=threads)) == reference


def test_runs_of_any_size_give_the_same(
    archive: Path, reference: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs(monkeypatch, 300_000)
    assert tree(exported(archive, archive, tmp_path, threads=2)) == reference
    with StoreFolder.open(tmp_path / "store") as folder:
        # Some are merged already: a month of so many runs is compacted on the way.
        sql = "SELECT count(*) FROM parts WHERE kind = 'accesses' AND level = 0"
        assert folder.ledger.rows(sql)[0][0] > 12


def test_names_order_and_compression_of_files_do_not_show(
    archive: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    raw = tmp_path / "shuffled"
    raw.mkdir()
    paths = sorted(archive.rglob("*.log"))
    random.Random(3).shuffle(paths)
    for number, path in enumerate(paths):
        if number % 2:
            (raw / f"{number}.log.gz").write_bytes(gzip.compress(path.read_bytes()))
        else:
            shutil.copy2(path, raw / f"{number}.log")
    assert tree(exported(archive, raw, tmp_path)) == reference


def increments(archive: Path, raw: Path) -> Iterator[None]:
    """Put one more day into `raw`, late ones too: the order is not that of the days."""
    for path in random.Random(5).sample(sorted(archive.rglob("*.log")), 5):
        raw.mkdir(exist_ok=True)
        shutil.copy2(path, raw / f"{path.stem}.log")
        yield


@pytest.mark.parametrize("compacting", [False, True])
def test_five_incremental_runs_give_what_one_gives(
    archive: Path, reference: dict[str, str], tmp_path: Path, compacting: bool
) -> None:
    raw = tmp_path / "raw"
    for _ in increments(archive, raw):
        exported(archive, raw, tmp_path)
        if compacting:
            with StoreFolder.open(tmp_path / "store") as folder:
                compact(folder)
    assert tree(tmp_path / "out") == reference
    # And into an empty folder, from the same store.
    shutil.rmtree(tmp_path / "out")
    assert tree(exported(archive, raw, tmp_path)) == reference


def test_a_log_that_grows_between_runs_gives_what_the_whole_one_gives(
    archive: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    paths = sorted(archive.rglob("*.log"))
    for path in paths[1:]:
        shutil.copy2(path, raw / f"{path.stem}.log")
    data = paths[0].read_bytes()
    for share in (3, 2, 1):
        # Cut in mid-line, as a writer leaves it; a file just written waits for the end of that line.
        (raw / f"{paths[0].stem}.log").write_bytes(data[: len(data) // share])
        if share == 1:
            os.utime(raw / f"{paths[0].stem}.log", ns=(OLD_NS, OLD_NS))
        exported(archive, raw, tmp_path)
    assert tree(tmp_path / "out") == reference


@pytest.mark.parametrize("server", ["moto", "versitygw"])
def test_logs_in_s3_give_what_local_ones_give(
    archive: Path,
    reference: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
) -> None:
    with moto() if server == "moto" else versitygw(tmp_path) as endpoint:
        set_environment(monkeypatch, endpoint)
        with sdk(endpoint) as client:
            client.create_bucket(Bucket="logs")
            for path in sorted(archive.rglob("*.log")):
                key = f"access/{path.relative_to(archive)}"
                client.put_object(Bucket="logs", Key=key, Body=path.read_bytes())
        assert tree(exported(archive, "s3://logs/access/", tmp_path, threads=2)) == reference


def test_a_dataset_alone_has_the_totals_that_it_has_among_all(
    archive: Path, reference: dict[str, str], tmp_path: Path
) -> None:
    both = tmp_path / "both"
    whole = exported(archive, archive, both)
    totals = json.loads((whole / "totals.json").read_text("utf-8"))["datasets"]
    name = sorted(totals, key=lambda name: totals[name]["number_of_requests"])[-2]
    alone = exported(archive, archive, tmp_path, restrict_to=(name,))
    assert json.loads((alone / "totals.json").read_text("utf-8"))["datasets"] == {name: totals[name]}
    folder = folders(whole)[name].relative_to(whole)
    mine = {path.name: path.read_bytes() for path in (alone / folder).iterdir()}
    assert mine == {path.name: path.read_bytes() for path in (whole / folder).iterdir()}
    assert len(mine) == 10
    # What is left out on another day comes back unchanged.
    rest = run([str(archive)], str(tmp_path / "store"), tmp_path / "out", options(archive))
    assert rest.exported.written
    assert tree(tmp_path / "out") == reference
