"""What the tests of a store share: making one, and its rows and sums in a form that can be compared."""

from __future__ import annotations

import datetime
import gzip
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from python.access_support import log
from tickline import access, accounting
from tickline.pipelines.access.ingest import group as ingest_group
from tickline.pipelines.access.ingest import plain as ingest_plain
from tickline.pipelines.access.ingest import read as ingest_read
from tickline.pipelines.access.ingest import units as ingest_units
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.progress import Progress
from tickline.reference.s3_access import ReferenceFilter, reference_lines, reference_parse
from tickline.sources import open_source
from tickline.store.folder import StoreFolder

KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
"""A key of pseudonyms, for tests only."""

Row = tuple[Any, ...]
_RULES = ReferenceFilter(operations=(b"REST.GET.OBJECT",), statuses=tuple(range(200, 300)))


def take(store: Path, *raws: Path | str, progress: Progress | None = None, **options: Any) -> IngestReport:
    """Ingest; files that were just written count as finished unless `settle_s` says otherwise."""
    options.setdefault("settle_s", 0.0)
    return ingest(str(store), [str(raw) for raw in raws], IngestOptions(**options), progress)


def states(report: IngestReport) -> dict[str, int]:
    """Return what became of the sources, without zeros; nothing may have gone wrong."""
    assert not report.problems, [str(problem) for problem in report.problems]
    return {name: count for name, count in report.states.items() if count}


def tables(store: Path, kind: str) -> list[dict[str, Any]]:
    """Return the rows of all files of a kind that count."""
    import pyarrow.parquet as pq

    with StoreFolder.open(store) as folder:
        snapshot = folder.ledger.snapshot()
        files = snapshot.parts if kind == "accesses" else snapshot.daily
        found: list[dict[str, Any]] = []
        for file in files:
            table = pq.read_table(store / file.path, partitioning=None)
            assert table.num_rows == file.rows
            found += table.to_pylist()
    return [row for row in found if row.get("source") not in snapshot.replaced]


def rows(store: Path) -> list[Row]:
    """Return the rows that count, in an order of their own, without the numbers of their sources."""
    names = ("time", "key", "requester_id", "bytes_sent", "object_size", "http_status", "operation", "line")
    found = [tuple(row[name] for name in (*names, "agent_class")) for row in tables(store, "accesses")]
    return sorted(found, key=repr)


def daily(store: Path) -> dict[Row, Row]:
    """Return the daily sums by (day, key, requester), over all files."""
    sums: dict[Row, list[int]] = {}
    for row in tables(store, "daily"):
        mine = sums.setdefault((row["day"], row["key"], row["requester_id"]), [0, 0, 0])
        for at, name in enumerate(("bytes_sent", "requests", "downloads")):
            mine[at] += row[name]
    return {triple: tuple(values) for triple, values in sums.items()}


def daily_of_rows(store: Path) -> dict[Row, Row]:
    """Return what the daily sums must be, by adding up the rows one by one."""
    sums: dict[Row, list[int]] = {}
    for row in tables(store, "accesses"):
        mine = sums.setdefault((row["time"].date(), row["key"], row["requester_id"]), [0, 0, 0])
        mine[0] += row["bytes_sent"] or 0
        mine[1] += 1
        mine[2] += row["http_status"] == 200
    return {triple: tuple(values) for triple, values in sums.items()}


def counted(store: Path) -> dict[str, Any]:
    """Return the accounting of all sources that count."""
    total = accounting.empty()
    with StoreFolder.open(store) as folder:
        for source in folder.ledger.rows("SELECT * FROM sources WHERE state <> 'replaced'"):
            counts = {name: source[name] for name in ("lines", "bytes", "accepted")}
            counts |= {name: json.loads(source[name]) for name in ("filtered", "rejected", "noted")}
            accounting.check(counts, f"source {source['id']}")
            accounting.add(total, counts)
    return total


def everything(store: Path) -> tuple[list[Row], dict[Row, Row], dict[str, Any]]:
    """Return rows, daily sums and accounting, which have to fit together."""
    found = rows(store), daily(store), counted(store)
    assert found[1] == daily_of_rows(store)
    assert len(found[0]) == found[2]["accepted"]
    return found


def content(path: Path) -> bytes:
    """Return what a source holds, decompressed."""
    with open_source(path) as source:
        return path.read_bytes() if source.kind == "plain" else b"".join(source.chunks())


def oracle(files: Iterable[Path]) -> list[Row]:
    """Return what the rows must be, without requester: by `access.read` and the reference's lines."""
    import pyarrow

    found: list[Row] = []
    columns = ["time", "key", "bytes_sent", "object_size", "http_status", "operation"]
    for file in files:
        data = content(file)
        table = access.read(data, columns, operation="REST.GET.OBJECT", status="2xx")
        read = pyarrow.table(table).to_pylist()
        lines = [
            number
            for number, line in enumerate(reference_lines(data), 1)
            if reference_parse(line, _RULES)["outcome"] == "accepted"
        ]
        found += [(*(row[name] for name in columns), line) for row, line in zip(read, lines, strict=True)]
    return sorted(found, key=repr)


def without_requesters(found: list[Row]) -> list[Row]:
    """Return `rows` as `oracle` has them."""
    return sorted(((*row[:2], *row[3:8]) for row in found), key=repr)


def small_runs(monkeypatch: pytest.MonkeyPatch, size: int, small: int | None = None) -> None:
    """Make runs of so few bytes of log, so that lines, runs and ranges are cut everywhere."""
    for module in (ingest_group, ingest_plain, ingest_read, ingest_units):
        monkeypatch.setattr(module, "RUN_BYTES", size)
    monkeypatch.setattr(ingest_units, "_SMALL_BYTES", size // 4 if small is None else small)
    monkeypatch.setattr(ingest_group, "_RUN_ROWS", max(size // 1000, 1))


def files_below(store: Path) -> list[str]:
    """Return the Parquet and temporary files that lie in a store."""
    return sorted(
        str(path.relative_to(store))
        for kind in ("parts", "daily")
        for path in (store / kind).rglob("*")
        if path.is_file()
    )


def named_files(store: Path) -> list[str]:
    """Return the files that the ledger names, removed ones too."""
    with StoreFolder.open(store) as folder:
        return sorted(row[0] for row in folder.ledger.rows("SELECT path FROM parts"))


def sources(store: Path) -> Counter[str]:
    """Return how many sources there are in each state."""
    with StoreFolder.open(store) as folder:
        return Counter(row[0] for row in folder.ledger.rows("SELECT state FROM sources"))


def names(store: Path) -> dict[str, int]:
    """Return the source of each name."""
    with StoreFolder.open(store) as folder:
        return {Path(row[0]).name: row[1] for row in folder.ledger.rows("SELECT name, source FROM names")}


def utc(day: str) -> datetime.date:
    """Return a day."""
    return datetime.date.fromisoformat(day)


def units_of_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of logs of several units: groups, ranges, compressed."""
    small_runs(monkeypatch, 20_000, small=15_000)
    folder = tmp_path / "raw"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.log").write_bytes(log(number * 100, number * 100 + (80 if number == 3 else 20)))
    (folder / "5.log.gz").write_bytes(gzip.compress(log(900, 1000)))
    return folder


def goes_on(store: Path, raw: Path) -> None:
    """Check that the next run makes what an undisturbed one would have, and leaves nothing lying about."""
    assert not take(store, raw).problems
    assert without_requesters(everything(store)[0]) == oracle(
        {file.read_bytes(): file for file in sorted(raw.iterdir())}.values()
    )
    assert files_below(store) == named_files(store)
    assert set(sources(store)) <= {"live", "replaced"}
