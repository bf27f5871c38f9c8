"""Small stores for tests: rows made by hand, or lines taken in by the ingest."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tickline.files import Folders
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.store.folder import StoreFolder
from tickline.store.ledger_schema import put, rejects_digest, update
from tickline.store.parts import PartWriter, part_schema
from tickline.store.rows import by_month, daily_of, sort_rows
from tickline.store.settings import WantedSettings

DAY_MS = 86_400_000
MAY = 19_844 * DAY_MS
"""2024-05-01T00:00:00Z."""


def rows(
    number: int,
    source: int,
    *,
    seed: int = 0,
    keys: int = 20,
    days: int = 3,
    requesters: int = 5,
    start_ms: int = MAY,
    first_line: int = 1,
) -> pa.Table:
    """Return rows of a part, in the order of their lines; now and then a value is null."""
    draw = random.Random(f"{seed} {source} {first_line}")

    def maybe(value: Any, odds: float = 0.05) -> Any:
        return None if draw.random() < odds else value

    times = sorted(draw.randrange(days * 86_400) for _ in range(number))
    return pa.table(
        {
            "time": pa.array([start_ms + 1000 * time for time in times], pa.timestamp("ms", "UTC")),
            "key": pa.array([maybe(f"blobs/{int(draw.paretovariate(1)) % keys:03}/ü") for _ in times]),
            "requester_id": pa.array(
                [maybe(2**64 - 1 - draw.randrange(requesters)) for _ in times], pa.uint64()
            ),
            "bytes_sent": pa.array([maybe(draw.randrange(10**9)) for _ in times], pa.uint64()),
            "object_size": pa.array([maybe(draw.randrange(10**9)) for _ in times], pa.uint64()),
            "http_status": pa.array([draw.choice([200, 206]) for _ in times], pa.uint16()),
            "operation": pa.array(["REST.GET.OBJECT"] * number, pa.string()),
            "agent_class": pa.array([draw.choice(["browser", "boto", "other"]) for _ in times]),
            "source": pa.array([source] * number, pa.uint32()),
            "line": pa.array(range(first_line, first_line + number), pa.uint64()),
        },
        schema=part_schema(),
    )


def add_rows(folder: StoreFolder, *tables: pa.Table) -> None:
    """Commit rows as one run, and their sources as if the rows were all their lines."""
    table = pa.concat_tables(tables)
    folders = Folders()
    new = []
    days: set[int] = set()
    for month, piece in by_month(table):
        ordered = sort_rows(piece)
        daily = daily_of(ordered)
        days.update(daily["day"].cast("int32").to_pylist())
        for kind, content in (("accesses", ordered), ("daily", daily)):
            writer = PartWriter(folder.path, kind, month, folders)
            writer.write(content)
            new.append(writer.commit())
    folders.sync()
    with folder.ledger.transaction() as db:
        commit = folder.ledger.begin_commit("ingest", days)
        for part in new:
            folder.ledger.add_part(commit, part)
        ids = table["requester_id"].drop_null().unique().to_numpy().astype(np.uint64)
        folder.ledger.add_requesters(ids)
        for source in sorted(set(table["source"].to_pylist())):
            own = table.filter(pa.compute.equal(table["source"], source))
            times = own["time"].cast("int64").to_pylist()
            row: dict[str, Any] = {
                "id": source,
                "content_hash": source.to_bytes(16, "big"),
                "bytes": 500 * own.num_rows,
                "lines": own.num_rows,
                "accepted": own.num_rows,
                "filtered": "{}",
                "rejected": "{}",
                "noted": "{}",
                "first_ms": min(times),
                "last_ms": max(times),
                "delivered_ms": max(times) + 3_600_000,
                "rejects_digest": rejects_digest([]),
                "state": "live",
                "added": commit,
                "form": "log",
                "key": None,
            }
            put(db, "sources", row)


def replace_source(folder: StoreFolder, source: int) -> None:
    """Take the rows of a source out of the sums, as the ingest does when a file was changed."""
    from tickline.pipelines.access.compact import daily_from_parts

    snapshot = folder.ledger.snapshot()
    months = sorted({part.month for part in snapshot.daily})
    made = [
        part for month in months for part in daily_from_parts(folder, month, snapshot.replaced | {source})
    ]
    with folder.ledger.transaction() as db:
        commit = folder.ledger.begin_commit("replace", {day for part in made for day in (part.first_day,)})
        update(db, "sources", "id", source, state="replaced")
        folder.ledger.remove_parts(commit, [part.id for part in snapshot.daily])
        for part in made:
            folder.ledger.add_part(commit, part)
        folder.ledger.next_epoch()


def make_store(folder: Path, *runs: pa.Table, **wanted: Any) -> Path:
    """Make a store of these runs, and return its path."""
    with StoreFolder.open_or_create(folder, WantedSettings(**wanted)) as store:
        for run in runs:
            add_rows(store, run)
    return folder


def ingest_files(store: Path, *raws: Path, settle_s: float = 0, **wanted: Any) -> IngestReport:
    """Take logs in; nothing may go wrong."""
    report = ingest(
        str(store), [str(raw) for raw in raws], IngestOptions(WantedSettings(**wanted), settle_s=settle_s)
    )
    assert not report.problems
    return report


def all_rows(store: StoreFolder, kind: str = "accesses") -> pa.Table:
    """Return what all parts (or daily files) of a store hold, file by file."""
    snapshot = store.ledger.snapshot()
    parts = snapshot.parts if kind == "accesses" else snapshot.daily
    tables = [pa.parquet.read_table(store.path / part.path, partitioning=None) for part in parts]
    return pa.concat_tables(tables)


def sums(store: StoreFolder) -> list[tuple[Any, ...]]:
    """Return the daily sums of a store in order, whatever the files."""
    totals: dict[tuple[Any, ...], list[int]] = {}
    for day, key, requester, *values in zip(*all_rows(store, "daily").to_pydict().values(), strict=True):
        entry = totals.setdefault((day, key, requester), [0, 0, 0])
        for at, value in enumerate(values):
            entry[at] += value
    return sorted(((*triple, *values) for triple, values in totals.items()), key=repr)


def in_order(found: Sequence[tuple[Any, ...]]) -> bool:
    """Tell whether rows of values ascend, null last."""
    keys = [tuple((value is None, 0 if value is None else value) for value in row) for row in found]
    return keys == sorted(keys)


def utc(text: str) -> datetime:
    """Return a moment."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
