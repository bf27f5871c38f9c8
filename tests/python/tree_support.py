"""What the tests of trees share: small stores with addresses, and trees read back key by key."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from python.access_support import line
from python.ingest_support import take
from tickline.pipelines.access.reduce.rejects import unescape
from tickline.pipelines.access.trees.export import TREES, TreeReport, export_trees
from tickline.reference.s3_access import ReferenceFilter, reference_lines, reference_parse
from tickline.store.folder import StoreFolder

EXTRACTION = ("timestamps.txt", "bytes_sent.txt", "ips.txt", "download.txt")
DAYS = {
    "2024/05/01.log": [line(number, key=f"blobs/{number % 5}") for number in range(40)],
    "2024/05/02.log": [
        line(number, key=f"blobs/{number % 3 + 4}", time=f"02/May/2024:00:00:{number % 60:02d}")
        for number in range(100, 120)
    ],
}
"""Two days of logs: the keys blobs/0 to blobs/4, and blobs/4 to blobs/6."""
_KEPT = ReferenceFilter(operations=(b"REST.GET.OBJECT",), statuses=tuple(range(200, 300)))
_ROW = tuple[datetime.datetime, bytes, bytes, int, int]


def export(store: Path, out: Path, *trees: str, compat: str = "strict") -> TreeReport:
    """Write trees of a store; all of them by default."""
    with StoreFolder.open(store) as folder:
        return export_trees(folder, out, trees or tuple(TREES), compat=compat)


def store_of(tmp_path: Path, logs: dict[str, list[str]], **options: Any) -> Path:
    """Return a store of logs, given by their names below ``raw``."""
    for name, lines in logs.items():
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(line + "\n" for line in lines).encode())
    report = take(tmp_path / "store", tmp_path / "raw", **options)
    assert not report.problems
    return tmp_path / "store"


def files_of(root: Path) -> dict[str, bytes]:
    """Return all files of a tree but those of its record."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".tickline" not in path.relative_to(root).parts[:1]
    }


def all_files(out: Path) -> dict[str, bytes]:
    """Return the files of all trees of a folder."""
    return {f"{tree}/{name}": data for tree in TREES for name, data in files_of(out / tree).items()}


def fresh(store: Path, tmp_path: Path) -> dict[str, bytes]:
    """Return all files of trees that are written into an empty folder."""
    shutil.rmtree(tmp_path / "fresh", ignore_errors=True)
    export(store, tmp_path / "fresh")
    return all_files(tmp_path / "fresh")


def read_back(root: Path, tree: str) -> dict[bytes, tuple[bytes, ...]]:
    """Return the files of each key (or source): their name says which it is, or ``names.tsv`` does."""
    files = files_of(root)
    listed: dict[str, bytes] = {}
    if "names.tsv" in files:
        _, *lines = files.pop("names.tsv").decode().splitlines()
        for cells in (line.split("\t") for line in lines):
            listed[unescape(cells[0]).decode()] = unescape(cells[1])
    if tree != "extraction":
        return {
            listed.get(name) or name.removesuffix(".tsv").encode(): (data,) for name, data in files.items()
        }
    folders = {name.rpartition("/")[0] for name in files}
    found = {
        listed.get(name) or name.encode(): tuple(files.pop(f"{name}/{file}") for file in EXTRACTION)
        for name in folders
    }
    assert not files
    return found


def rows_of(logs: Iterable[Path]) -> Iterator[_ROW]:
    """Give what the old programs keep of logs, line by line: time, address, key, bytes, status."""
    for log in logs:
        for logged in reference_lines(log.read_bytes()):
            parsed = reference_parse(logged, _KEPT)
            if parsed["outcome"] == "accepted":
                record = parsed["record"]
                yield (
                    datetime.datetime.fromtimestamp(record["time"] // 1000, datetime.UTC),
                    (record["remote_ip"] or "-").encode(),
                    (record["key"] or "-").encode(),
                    record["bytes_sent"] or 0,
                    record["http_status"],
                )


def expected(logs: Iterable[Path], tree: str) -> dict[bytes, tuple[bytes, ...]]:
    """Return what `read_back` must find for a tree with a place for each key, made slowly."""
    found: dict[bytes, list[bytes]] = {}
    for time, ip, key, sent, status in rows_of(logs):
        if tree == "binned":
            begun = [b"timestamp\tbytes_sent\tip_address\n"]
            cells = [b"%s\t%d\t%s" % (f"{time:%Y-%m-%dT%H:%M:%S}".encode(), sent, ip)]
        else:
            begun = [b""] * 4
            cells = [f"{time:%y%m%d%H%M%S}".encode(), b"%d" % sent, ip, b"%d" % (status == 200)]
        files = found.setdefault(key, begun)
        for at, cell in enumerate(cells):
            files[at] += cell + b"\n"
    return {key: tuple(files) for key, files in found.items()}
