"""Trees that dandi_s3_log_parser made, taken into a store: what its tables hold, and no more."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROWS = """
SELECT strftime(time, '%Y-%m-%dT%H:%M:%S') AS time, requester_id, key, bytes_sent FROM accesses
"""

Row = tuple[str, str, str, int]


def _ingest(store: Path, raw: Path, form: str) -> int:
    from tickline.pipelines.access.ingest.ingest import ingest
    from tickline.pipelines.access.ingest.options import IngestOptions
    from tickline.store.settings import WantedSettings

    wanted = WantedSettings(keys=(("blobs", 0), ("zarr", 2)))
    report = ingest(str(store), [str(raw)], IngestOptions(wanted, form=form, settle_s=0))
    assert not report.problems, [str(problem) for problem in report.problems]
    return report.rows


def _rows(store: Path) -> list[Row]:
    from tickline.pipelines.access.verify.verify import verify
    from tickline.store.folder import StoreFolder
    from tickline.store.store import Store

    with StoreFolder.open(store) as folder, Store(store) as opened:
        assert verify(folder, sample=100).found == []
        found = opened.query(_ROWS)
        addresses = folder.pseudonyms().addresses(found["requester_id"].to_pylist())
        values = (found[name].to_pylist() for name in ("time", "key", "bytes_sent"))
        return sorted(zip(next(values), addresses, *values, strict=True))


def _table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)


def _reduced(folder: Path) -> list[Row]:
    return sorted(
        (row["timestamp"], row["ip_address"], row["object_key"], int(row["bytes_sent"]))
        for path in folder.rglob("*.tsv")
        for row in _table(path)
    )


def _binned(folder: Path) -> list[Row]:
    return sorted(
        (
            row["timestamp"],
            row["ip_address"],
            path.relative_to(folder).as_posix().removesuffix(".tsv"),
            int(row["bytes_sent"]),
        )
        for path in folder.rglob("*.tsv")
        for row in _table(path)
    )


@pytest.mark.parametrize("example", range(3))
def test_reduced_tables_give_the_rows_of_their_logs(data: Path, tmp_path: Path, example: int) -> None:
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "reduction" / f"reduction_example_{example}"
    wanted = _reduced(folder / "expected_output")
    assert wanted
    assert _ingest(tmp_path / "tables", folder / "expected_output", "reduced") == len(wanted)
    assert _rows(tmp_path / "tables") == wanted
    assert _ingest(tmp_path / "logs", folder / "raw_logs", "log") == len(wanted)
    assert _rows(tmp_path / "logs") == wanted


def test_both_trees_of_the_binning_example_give_the_same_rows(data: Path, tmp_path: Path) -> None:
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "binning" / "binning_example_0"
    wanted = _reduced(folder / "reduced_logs")
    assert len(wanted) == 3
    assert _binned(folder / "expected_output") == wanted
    _ingest(tmp_path / "reduced", folder / "reduced_logs", "reduced")
    _ingest(tmp_path / "binned", folder / "expected_output", "binned")
    assert _rows(tmp_path / "reduced") == _rows(tmp_path / "binned") == wanted


def test_the_binned_logs_of_the_mapping_example_are_taken(data: Path, tmp_path: Path) -> None:
    folders = (data / "peers" / "peer_dandi_s3_log_parser" / "mapping").glob("*/binned_logs")
    (folder,) = folders
    wanted = _binned(folder)
    assert wanted
    assert _ingest(tmp_path / "store", folder, "binned") == len(wanted)
    assert _rows(tmp_path / "store") == wanted
