"""Fixtures of the programs that Tickline replaces: their own expected outputs must come out.

- ``dandi_s3_log_parser``: the reduced tables, byte for byte, through the command.
- ``s3-log-extraction``: the rows of its four text files per object, from ``tl.access.read``.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from conformance.peer_extractions import EXTRACTIONS

REDUCTIONS = 3
TEXTS = ("timestamps", "bytes_sent", "ips", "full_ips", "download")


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        # What lies under a dot is the command's own memory of what it has done.
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def _reduce(access, *arguments: str | Path) -> None:
    command = [sys.executable, "-m", "tickline", "access", "reduce", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", range(REDUCTIONS))
def test_strict_reduction_of_a_folder_is_byte_identical(access, data, tmp_path, example):
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "reduction" / f"reduction_example_{example}"
    expected = _tree(folder / "expected_output")
    assert expected
    _reduce(access, folder / "raw_logs", tmp_path / "out", "--compat", "strict", "--keys", "dandi")
    assert _tree(tmp_path / "out") == expected


def test_all_reduction_examples_are_here(data):
    folders = (data / "peers" / "peer_dandi_s3_log_parser" / "reduction").glob("reduction_example_*")
    assert len(list(folders)) == REDUCTIONS


@pytest.mark.parametrize("variant", EXTRACTIONS)
def test_extracted_rows_are_reproduced(access, columns_of, data, variant):
    logs, outputs, dandi = EXTRACTIONS[variant]
    peer = data / "peers" / "peer_s3_log_extraction"
    expected = _expected(peer / outputs / "extraction")
    assert sum(len(texts["timestamps"]) for texts in expected.values()) >= 5

    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for log in sorted((peer / logs).iterdir()):
        columns = columns_of(access.read(log))
        names = ("time", "remote_ip", "operation", "key", "http_status", "bytes_sent")
        for time, ip, operation, key, status, size in zip(*(columns[n] for n in names), strict=True):
            if operation != "REST.GET.OBJECT" or status is None or status // 100 != 2:
                continue
            name = _dandi_key(key) if dandi else key
            if name is None:
                continue
            moment = datetime.datetime.fromtimestamp(time / 1000, datetime.UTC)
            found[name]["timestamps"].append(moment.strftime("%y%m%d%H%M%S"))
            found[name]["bytes_sent"].append(str(size or 0))
            found[name]["ips"].append(ip)
            found[name]["full_ips"].append(ip)
            found[name]["download"].append("1" if status == 200 else "0")

    assert set(found) == set(expected)
    for name, texts in expected.items():
        for kind, values in texts.items():
            assert found[name][kind] == values, (name, kind)


def _dandi_key(key: str) -> str | None:
    parts = key.split("/")
    if parts[0] not in ("blobs", "zarr"):
        return None
    return "/".join(parts[:2]) if parts[0] == "zarr" else key


def _expected(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Read {key: {kind: values}}; some of the files have mixed line ends."""
    expected: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for path in sorted(folder.rglob("*.txt")):
        # Another step of that program writes indexed_ips.txt.
        if path.stem in TEXTS:
            key = path.parent.relative_to(folder).as_posix()
            expected[key][path.stem] = path.read_text(encoding="ascii").split()
    assert all(len(texts) >= 3 for texts in expected.values())
    return expected
