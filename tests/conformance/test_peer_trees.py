"""Trees of the programs that Tickline replaces, from a store: their own expected outputs must come out.

What cannot be compared byte for byte, and why:

============================================ =============================================================
output                                       reason
============================================ =============================================================
rows of one key from several logs, both      both programs take their files in no particular order (a set, a
programs                                     shuffled list); the fixtures have such keys in one log each, and
                                             Tickline takes logs in natural order of their names
``binned_log_file_paths_*.txt``              tracks of the binning, with absolute paths; not written
``records/``, ``indexed_ips.txt``            tracks and another step of the extraction; not written
``full_ips.txt`` (older extraction)          the same as ``ips.txt`` of version 1.10.6; compared with that
DANDI extraction: CR LF in some files        the files were checked out with the line ends of Windows; the CR
                                             is removed before they are compared
============================================ =============================================================
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.peer_extractions import EXTRACTIONS
from tickline.filters import AccessRules
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.trees.export import export_binned, export_extraction, export_reduced
from tickline.store.folder import StoreFolder
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

OTHER_NAMES = {"full_ips.txt": "ips.txt"}
NOT_OURS = {"indexed_ips.txt"}


def _store(tmp_path: Path, raw: Path, *, form: str = "log", dandi: bool = False) -> StoreFolder:
    keys = AccessRules.from_texts(keys="dandi").keys if dandi else None
    options = IngestOptions(WantedSettings(keys=keys), settle_s=0, form=form)
    report = ingest(str(tmp_path / "store"), [str(raw)], options)
    assert not report.problems
    assert report.rows
    return StoreFolder.open(tmp_path / "store")


def _files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".tickline" not in path.relative_to(root).parts
    }


def test_binned_logs_are_byte_identical(data: Path, tmp_path: Path) -> None:
    fixture = data / "peers/peer_dandi_s3_log_parser/binning/binning_example_0"
    expected = _files(fixture / "expected_output")
    assert len(expected) == 3
    with _store(tmp_path, fixture / "reduced_logs", form="reduced") as folder:
        export_binned(folder, tmp_path / "binned", compat="strict")
    assert _files(tmp_path / "binned") == expected


def test_reduced_logs_that_went_through_a_store_come_back(data: Path, tmp_path: Path) -> None:
    fixture = data / "peers/peer_dandi_s3_log_parser/binning/binning_example_0"
    expected = _files(fixture / "reduced_logs")
    assert b"" in expected.values()
    with _store(tmp_path, fixture / "reduced_logs", form="reduced") as folder:
        export_reduced(folder, tmp_path / "reduced", compat="strict")
    assert _files(tmp_path / "reduced") == expected


@pytest.mark.parametrize("example", range(3))
def test_reduced_logs_are_byte_identical(data: Path, tmp_path: Path, example: int) -> None:
    fixture = data / f"peers/peer_dandi_s3_log_parser/reduction/reduction_example_{example}"
    expected = _files(fixture / "expected_output")
    assert expected
    with _store(tmp_path, fixture / "raw_logs", dandi=True) as folder:
        export_reduced(folder, tmp_path / "reduced", compat="strict")
    assert _files(tmp_path / "reduced") == expected


@pytest.mark.parametrize("variant", EXTRACTIONS)
def test_extraction_is_byte_identical(data: Path, tmp_path: Path, variant: str) -> None:
    logs, outputs, dandi = EXTRACTIONS[variant]
    peer = data / "peers/peer_s3_log_extraction"
    expected = {}
    for name, content in _files(peer / outputs / "extraction").items():
        folder_name, _, file = name.rpartition("/")
        if file not in NOT_OURS:
            expected[f"{folder_name}/{OTHER_NAMES.get(file, file)}"] = content.replace(b"\r", b"")
    assert len(expected) >= 15
    with _store(tmp_path, peer / logs, dandi=dandi) as folder:
        export_extraction(folder, tmp_path / "extraction", compat="strict")
    found = _files(tmp_path / "extraction")
    if "older" in variant:
        # Three files then, and which of the requests are downloads was not asked.
        found = {name: content for name, content in found.items() if not name.endswith("/download.txt")}
    assert found == expected
