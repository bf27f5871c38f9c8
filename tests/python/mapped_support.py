"""Stores made of plain rows with regions, and catalogs with versions, for tests of mapped trees."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from python.store_support import add_rows
from tickline.store.folder import StoreFolder
from tickline.store.parts import part_schema
from tickline.store.settings import WantedSettings


class Hit(NamedTuple):
    """One request: seconds since 1970, key as logged, region (None: no address was logged), bytes."""

    time: int
    key: str | None
    region: str | None
    bytes_sent: int | None
    status: int | None = 200
    operation: str = "REST.GET.OBJECT"


class Place(NamedTuple):
    """One row of a catalog."""

    key: str
    dataset: str
    version: str
    path: str


def id_of(region: str) -> int:
    """Return the id of the one requester of a region."""
    return int.from_bytes(hashlib.blake2b(region.encode(), digest_size=8).digest(), "big")


def make_store(path: Path, *sources: Sequence[Hit], **wanted: object) -> Path:
    """Make a store with these sources, or add them to the one that is there; each is one run."""
    with StoreFolder.open_or_create(path, WantedSettings(**wanted)) as store:  # type: ignore[arg-type]
        for hits in sources:
            number = int(store.ledger.rows("SELECT count(*) FROM sources")[0][0]) + 1
            add_rows(store, _table(number, hits))
            regions = sorted({hit.region for hit in hits if hit.region is not None})
            with store.ledger.transaction():
                store.ledger.add_requesters(np.array([id_of(region) for region in regions], np.uint64))
                store.ledger.set_labels((id_of(region), region, None) for region in regions)
    return path


def _table(number: int, hits: Sequence[Hit]) -> pa.Table:
    return pa.table(
        {
            "time": pa.array([hit.time * 1000 for hit in hits], pa.timestamp("ms", "UTC")),
            "key": pa.array([hit.key for hit in hits], pa.string()),
            "requester_id": pa.array(
                [None if hit.region is None else id_of(hit.region) for hit in hits], pa.uint64()
            ),
            "bytes_sent": pa.array([hit.bytes_sent for hit in hits], pa.uint64()),
            "object_size": pa.nulls(len(hits), pa.uint64()),
            "http_status": pa.array([hit.status for hit in hits], pa.uint16()),
            "operation": pa.array([hit.operation for hit in hits]),
            "agent_class": pa.array(["other"] * len(hits)),
            "source": pa.array([number] * len(hits), pa.uint32()),
            "line": pa.array(range(1, len(hits) + 1), pa.uint64()),
        },
        schema=part_schema(),
    )


def write_catalog(path: Path, places: Sequence[Place]) -> Path:
    """Write a catalog as TSV."""
    rows = [("key", "dataset", "version", "path"), *places]
    path.write_text("".join("\t".join(row) + "\n" for row in rows), newline="")
    return path


def tree_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a tree and their bytes, without the tree's own memory."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".tickline" not in path.relative_to(folder).parts
    }
