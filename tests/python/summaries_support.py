"""Stores made of plain rows, and summaries as dicts, to compare with the reference."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reference.access_summaries_reference import MEASURES, Entry, Row, Table, requesters_of, summaries, totals
from tickline.files import Folders
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import Summaries, summarize
from tickline.pipelines.access.summaries.tables import ARCHIVE_TABLES, DATASET_TABLES
from tickline.store.folder import StoreFolder
from tickline.store.ledger_schema import put, rejects_digest
from tickline.store.parts import PartWriter, part_schema
from tickline.store.rows import by_month, daily_of, sort_rows
from tickline.store.settings import WantedSettings

DAY_MS = 86_400_000
MAY = 19_844 * DAY_MS
"""2024-05-01T00:00:00Z, a Wednesday."""

LABELS = (
    "AWS/us-east-2",
    "GCP/us-central1",
    "GitHub",
    "VPN",
    "bogon",
    "US/Ohio",
    "US/Texas",
    "DE/Bayern",
    "FR",
)
LABELS += ("unknown", "missing")


def id_of(requester: str) -> int:
    """Return the id of a requester: any 64 bits."""
    return int.from_bytes(hashlib.blake2b(requester.encode(), digest_size=8).digest(), "big")


def label_of(requester: str) -> str:
    """Return the region of a requester."""
    return LABELS[id_of(requester) % len(LABELS)]


def labels_of(rows: Sequence[Row]) -> dict[str, str]:
    """Return the regions of all requesters."""
    return {row.requester: label_of(row.requester) for row in rows if row.requester is not None}


def open_store(path: Path) -> StoreFolder:
    """Open a store, or make it."""
    return StoreFolder.open_or_create(path, WantedSettings())


def add(store: StoreFolder, rows: Sequence[Row], *, labels: bool = True) -> None:
    """Commit rows as one source in one run."""
    number = int(store.ledger.rows("SELECT count(*) FROM sources")[0][0]) + 1
    table = pa.table(
        {
            "time": pa.array([row.time_ms for row in rows], pa.timestamp("ms", "UTC")),
            "key": pa.array([row.key for row in rows], pa.string()),
            "requester_id": pa.array(
                [None if row.requester is None else id_of(row.requester) for row in rows], pa.uint64()
            ),
            "bytes_sent": pa.array([row.bytes_sent for row in rows], pa.uint64()),
            "object_size": pa.nulls(len(rows), pa.uint64()),
            "http_status": pa.array([row.status for row in rows], pa.uint16()),
            "operation": pa.array(["REST.GET.OBJECT"] * len(rows)),
            "agent_class": pa.array(["other"] * len(rows)),
            "source": pa.array([number] * len(rows), pa.uint32()),
            "line": pa.array(range(1, len(rows) + 1), pa.uint64()),
        },
        schema=part_schema(),
    )
    folders, new, days = Folders(), [], set()
    for month, piece in by_month(table):
        ordered = sort_rows(piece)
        daily = daily_of(ordered)
        days.update(daily["day"].cast("int32").to_pylist())
        writer = PartWriter(store.path, "daily", month, folders)
        writer.write(daily)
        new.append(writer.commit())
    folders.sync()
    people = {row.requester for row in rows if row.requester is not None}
    content = repr(sorted(map(repr, rows))).encode()
    source: dict[str, Any] = {
        "id": number,
        "content_hash": hashlib.blake2b(content, digest_size=16).digest(),
        "bytes": 500 * len(rows),
        "lines": len(rows) + 2,
        "accepted": len(rows),
        "filtered": '{"status": 1}',
        "rejected": '{"truncated": 1}',
        "noted": "{}",
        "first_ms": min(row.time_ms for row in rows),
        "last_ms": max(row.time_ms for row in rows),
        "delivered_ms": None,
        "rejects_digest": rejects_digest([]),
        "state": "live",
        "form": "log",
        "key": None,
    }
    with store.ledger.transaction() as db:
        commit = store.ledger.begin_commit("ingest", days)
        for part in new:
            store.ledger.add_part(commit, part)
        store.ledger.add_requesters(np.array([id_of(name) for name in sorted(people)], np.uint64))
        put(db, "sources", {**source, "added": commit})
        if labels:
            store.ledger.set_labels((id_of(name), label_of(name), None) for name in sorted(people))


def replace_files(store: StoreFolder, rows: Sequence[Row], *, epoch: bool) -> None:
    """Put one file a month in the place of all daily files, as compaction does, or a replaced source."""
    old = [part.id for part in store.ledger.snapshot().daily]
    with store.ledger.transaction():
        commit = store.ledger.begin_commit("compact")
        store.ledger.remove_parts(commit, old)
        if epoch:
            store.ledger.next_epoch()
    before = {row["id"] for row in store.ledger.rows("SELECT id FROM commits")}
    add(store, rows)
    store.ledger.db.execute("DELETE FROM sources WHERE id = (SELECT max(id) FROM sources)")
    for row in store.ledger.rows("SELECT id FROM commits"):
        if row["id"] not in before:
            store.ledger.db.execute("UPDATE commits SET days = '[]' WHERE id = ?", [row["id"]])


def write_catalog(path: Path, entries: Sequence[Entry]) -> Path:
    """Write a catalog as TSV."""
    lines = ["key\tdataset\tversion\tpath", *("\t".join(entry) for entry in entries)]
    path.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")
    return path


def as_dict(table: pa.Table) -> Table:
    """Return a table as the reference has it."""
    columns = [table[name].to_pylist() for name in table.column_names]
    about = len(columns) - len(MEASURES)
    assert tuple(table.column_names[about:]) == MEASURES
    return {row[:about]: row[about:] for row in zip(*columns, strict=True)}  # type: ignore[misc]


def tables_of(found: Summaries) -> tuple[dict[str, dict[str, Table]], dict[str, Table]]:
    """Return all tables of summaries as the reference has them."""
    datasets = {
        name: {table: as_dict(frame.table()) for table, frame in frames.items()}
        for name, frames in found.frames(found.datasets)
    }
    return datasets, {name: as_dict(found.table(name)) for name in ARCHIVE_TABLES}


def check(
    found: Summaries, rows: Sequence[Row], catalog: Sequence[Entry] | None, shared_content: str = "all"
) -> None:
    """Compare everything with the reference, the order of the rows too."""
    datasets, archive = summaries(rows, catalog, labels_of(rows), shared_content)
    got, got_archive = tables_of(found)
    assert list(got) == sorted(datasets, key=str.encode)
    for name, tables in datasets.items():
        for table in DATASET_TABLES:
            assert list(got[name][table].items()) == list(tables[table].items()), (name, table)
    for table in ARCHIVE_TABLES:
        assert list(got_archive[table].items()) == list(archive[table].items()), table
    people, everybody = requesters_of(rows, catalog, shared_content)
    expected = {name: totals(tables, len(people[name])) for name, tables in datasets.items()}
    assert found.totals(list(found.datasets)) == (expected, totals(archive, len(everybody)))


def summarized(store: StoreFolder, catalog: Path | None = None, shared_content: str = "all") -> Summaries:
    """Summarize with options."""
    return summarize(store, SummaryOptions(catalog=catalog, shared_content=shared_content))


NAMES = (
    "a.nwb",
    "b.TIF",
    "c.nii.gz",
    "d.mp4",
    "e.zarr",
    "f.ome.zarr",
    "g.x.zarr",
    "h",
    "ü%C3%BC.nwb",
    ".nwb",
    "i.",
)


def draw_rows(
    number: int, *, seed: object = 0, first_day: int = 0, days: int = 12, keys: int = 30, people: int = 9
) -> list[Row]:
    """Return rows with keys in many shapes; some are null."""
    draw = random.Random(repr(seed))
    rows = []
    for _ in range(number):
        at = draw.randrange(keys)
        key = f"{('blobs', 'zarr', 'solo')[at % 3]}/{at % 7:03}/{NAMES[at % len(NAMES)]}"
        if at % 11 == 0:
            key = f"single{at}"
        rows.append(
            Row(
                MAY + (first_day + draw.randrange(days)) * DAY_MS + draw.randrange(DAY_MS),
                None if draw.random() < 0.03 else key,
                None if draw.random() < 0.05 else f"198.51.100.{draw.randrange(people)}",
                None if draw.random() < 0.05 else draw.randrange(10**6),
                draw.choice([200, 206, 206]),
            )
        )
    return rows


def files_of(folder: Path, *, record: bool = False) -> Mapping[str, bytes]:
    """Return all files of an export and their bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (record or ".tickline" not in path.parts)
    }
