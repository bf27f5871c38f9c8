"""What `status` tells of a store."""

from __future__ import annotations

import json
import os
from pathlib import Path

from python.access_support import line, log
from python.store_support import DAY_MS, MAY, ingest_files, make_store, replace_source, rows
from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.forget import forget_addresses
from tickline.pipelines.access.status import status
from tickline.store.folder import StoreFolder


def test_an_empty_store_has_an_answer_for_everything(tmp_path: Path) -> None:
    with StoreFolder.open(make_store(tmp_path / "store")) as folder:
        found = json.loads(json.dumps(status(folder)))
    assert found["sources"]["count"] == found["rows"] == found["days"]["count"] == found["months"] == 0
    assert found["sources"]["lag_s"] is None
    assert found["days"]["first"] is None


def test_numbers_are_those_of_the_logs(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.log").write_bytes(log(0, 100) + b"no record\n\n" + line(7, status="404").encode() + b"\n")
    (raw / "b.log").write_text(line(1, time="01/Jun/2024:12:00:00") + "\n")
    (raw / "c.log").write_bytes((raw / "b.log").read_bytes())
    # 2024-05-01T00:01:39Z is the last event of a.log; the others were delivered five minutes after theirs.
    for name, moment in (("a", MAY // 1000 + 99 + 60), ("b", MAY // 1000 + 31 * 86_400 + 43_500)):
        os.utime(raw / f"{name}.log", (moment, moment))
    os.utime(raw / "c.log", (moment, moment))
    store = tmp_path / "store"
    ingest_files(store, raw)
    with StoreFolder.open(store) as folder:
        found = status(folder)
        assert found["sources"] == {
            "count": 2,
            "replaced": 0,
            "names": 3,
            "unfinished": 0,
            "first_event": "2024-05-01T00:00:00.000Z",
            "last_event": "2024-06-01T12:00:00.000Z",
            "last_delivery": "2024-06-01T12:05:00.000Z",
            "lag_s": {"median": 60.0, "p95": 300.0, "max": 300.0},
            "oldest_lag_s": {"median": 159.0, "p95": 300.0, "max": 300.0},
        }
        assert found["days"] == {"first": "2024-05-01", "last": "2024-06-01", "count": 2}
        assert (found["rows"], found["accounting"]["lines"]) == (101, 104)
        assert found["accounting"]["filtered"] == {"blank": 1, "status": 1}
        assert sum(found["accounting"]["rejected"].values()) == 1
        assert found["requesters"] == {"count": 100, "labelled": 0}
        assert (found["months"], found["months_to_compact"], found["files"]) == (
            2,
            [],
            {"parts": 2, "daily": 2},
        )
        assert found["addresses"] == "kept"
        disk = found["disk"]
        assert disk["parts"] == sum(path.stat().st_size for path in store.glob("parts/*/*"))
        assert disk["private"] > 0
        assert disk["total"] == sum(size for name, size in disk.items() if name != "total")
        forget_addresses(folder)
        found = status(folder)
        assert (found["addresses"], found["requesters"]["labelled"]) == ("forgotten", 100)


def test_replaced_sources_superseded_files_and_gaps_are_told(tmp_path: Path) -> None:
    runs = [rows(50, 1), rows(50, 2), rows(50, 3, start_ms=MAY + 10 * DAY_MS, days=2)]
    with StoreFolder.open(make_store(tmp_path / "store", *runs)) as folder:
        replace_source(folder, 1)
        found = status(folder)
        assert (found["sources"]["count"], found["sources"]["replaced"], found["rows"]) == (2, 1, 100)
        assert found["days"] == {"first": "2024-05-01", "last": "2024-05-12", "count": 5}
        assert found["months_to_compact"] == ["2024-05"]
        superseded = found["disk"]["superseded"]
        compact(folder)
        found = status(folder)
        assert found["months_to_compact"] == []
        assert found["disk"]["superseded"] > superseded > 0


def test_an_inventory_tells_how_much_of_a_bucket_is_there(tmp_path: Path) -> None:
    from tickline.store.ledger_schema import put

    with StoreFolder.open(make_store(tmp_path / "store", rows(50, 1))) as folder:
        with folder.ledger.transaction() as db:
            row = {"source": 1, "size": 1, "mtime_ns": 1, "inode": "etag:1", "whole": 1}
            put(db, "names", {"name": "s3://logs/access/2024-05-01-00-00-00-0123456789ABCDEF", **row})
        listed = tmp_path / "inventory.csv"
        listed.write_text(
            '"logs","access/2024-05-01-00-00-00-0123456789ABCDEF","10"\n'
            '"logs","access/2024-05-01-00-00-00-FEDCBA9876543210","30"\n'
            '"logs","access/readme.html","5"\n'
        )
        found = status(folder, listed)["inventory"]
    assert (found["objects"], found["in_store"], found["percent"]) == (2, 1, 50.0)
    assert (found["bytes"], found["bytes_in_store"]) == (40, 10)
    assert sum(found["left_out"].values()) == 1
