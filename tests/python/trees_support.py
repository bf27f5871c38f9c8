"""Trees of tables as dandi_s3_log_parser makes them, and what a store must have of them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from python.ingest_support import take
from tickline import sources as data_sources
from tickline.pipelines.access.ingest import trees as ingest_trees
from tickline.pipelines.access.ingest.options import IngestReport
from tickline.pipelines.access.verify.verify import verify
from tickline.reference.access_tree import header, reference_tree_line
from tickline.reference.s3_access import ReferenceFilter
from tickline.store.folder import StoreFolder

REDUCED = header("reduced") + b"\n"
BINNED = header("binned") + b"\n"

Row = tuple[Any, ...]


def clock(number: int) -> str:
    """Return a time: a request every 1,000 seconds from May 2024 on."""
    moment = datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=1000 * number)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def reduced(first: int, last: int) -> bytes:
    """Return a table of one day (or more) with a row for each number."""
    return REDUCED + reduced_rows(first, last)


def reduced_rows(first: int, last: int) -> bytes:
    """Return its rows without the header."""
    return "".join(
        f"{clock(n)}\t192.0.2.{n % 50}\tblobs/{n % 7:03x}/{n % 13:06x}\t{n * 7}\n" for n in range(first, last)
    ).encode()


def binned(first: int, last: int) -> bytes:
    """Return a table of one key."""
    return BINNED + binned_rows(first, last)


def binned_rows(first: int, last: int) -> bytes:
    """Return its rows without the header."""
    return "".join(f"{clock(n)}\t{n * 7}\t192.0.2.{n % 50}\n" for n in range(first, last)).encode()


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Write a tree, and return its root."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def small_blocks(monkeypatch: pytest.MonkeyPatch, block: int, small: int = 0, group: int = 20_000) -> None:
    """Make blocks of so few bytes, and groups of so few sources, that they are cut everywhere."""
    monkeypatch.setattr(ingest_trees, "BLOCK_BYTES", block)
    monkeypatch.setattr(ingest_trees, "_SMALL_BYTES", small)
    monkeypatch.setattr(ingest_trees, "_GROUP_SOURCES", group)
    # What comes in one piece is one block.
    for name in ("_READ_BYTES", "_CHUNK_BYTES"):
        monkeypatch.setattr(data_sources, name, max(block, 64))


def taken(store: Path, form: str, *raws: Path | str, **options: Any) -> IngestReport:
    """Take trees in."""
    return take(store, *raws, form=form, **options)


def expected(tables: Iterable[tuple[bytes, bytes | None]], form: str) -> list[Row]:
    """Return what the rows of tables (content, key) must be, by the reference: with addresses."""
    found: list[Row] = []
    for data, key in tables:
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            judged = reference_tree_line(line, number, form, key, ReferenceFilter())
            if judged["outcome"] == "accepted":
                names = ("time", "key", "remote_ip", "bytes_sent")
                found.append((*(judged["record"][name] for name in names), number))
            else:
                assert judged["reason"] == "header"
    return sorted(found, key=repr)


def stored(store: Path) -> list[Row]:
    """Return the rows of a store in that form; all are what such tables hold."""
    from python.ingest_support import daily, daily_of_rows, tables

    rows = tables(store, "accesses")
    with StoreFolder.open(store) as folder:
        ids = [row["requester_id"] for row in rows]
        addresses = folder.pseudonyms().addresses([number or 0 for number in ids])
    assert daily(store) == daily_of_rows(store)
    for row in rows:
        assert row["operation"] == "REST.GET.OBJECT"
        assert row["http_status"] is row["object_size"] is None
        assert row["agent_class"] == "other"
    return sorted(
        (
            (
                int(row["time"].timestamp() * 1000),
                row["key"],
                address if row["requester_id"] is not None else None,
                row["bytes_sent"],
                row["line"],
            )
            for row, address in zip(rows, addresses, strict=True)
        ),
        key=repr,
    )


def assert_verified(store: Path, sampled: int) -> None:
    """Check that a store is whole, and so many sources are what the slow reader finds."""
    with StoreFolder.open(store) as folder:
        findings = verify(folder, sample=1000)
    assert findings.found == []
    assert findings.sampled == sampled
