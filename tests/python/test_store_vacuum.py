"""What vacuum takes away and what it leaves, and what is left after addresses were forgotten."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from python.access_support import line, log
from python.store_support import all_rows, ingest_files, make_store, rows, sums
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.forget import forget_addresses
from tickline.pipelines.access.vacuum import vacuum
from tickline.pipelines.access.verify.verify import verify
from tickline.store.folder import StoreFolder
from tickline.store.query import connect, run

HOUR_MS = 3_600_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreFolder]:
    path = make_store(tmp_path / "store", rows(200, 1), rows(200, 2), rows(200, 3))
    with StoreFolder.open(path) as folder:
        yield folder


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _files(store: StoreFolder) -> int:
    return sum(path.is_file() for kind in ("parts", "daily") for path in (store.path / kind).rglob("*"))


def test_replaced_files_stay_for_a_day_and_then_go(store: StoreFolder) -> None:
    before = sums(store)
    report = compact(store)
    assert vacuum(store, now_ms=_now_ms() + 23 * HOUR_MS).files == 0
    assert _files(store) == 8
    done = vacuum(store, now_ms=_now_ms() + 25 * HOUR_MS)
    assert (done.files, done.bytes, done.kept) == (6, report.bytes_before, 0)
    assert _files(store) == 2
    assert store.ledger.rows("SELECT count(*) FROM parts")[0][0] == 2
    assert sums(store) == before
    assert verify(store).found == []
    assert vacuum(store, hours=0).files == 0


def test_a_reader_under_way_keeps_its_files_until_vacuum(store: StoreFolder) -> None:
    with connect(store) as connection:
        compact(store)
        vacuum(store)
        assert run(connection, "SELECT count(*) FROM accesses").fetchall() == [(600,)]


def test_leftovers_go_and_what_is_in_use_stays(store: StoreFolder) -> None:
    path = store.path
    (path / "parts" / "2024-05" / ".tickline-tmp-aaaa").write_bytes(b"half")
    (path / "parts" / "2024-05" / "0123456789abcdef.parquet").write_bytes(b"never committed")
    (path / "regions").mkdir()
    (path / "regions" / "0123456789abcdef-cidr").write_bytes(b"192.0.2.0/24\n")
    (path / ".tickline-tmp-query-1").mkdir()
    (path / "cache" / "0123").mkdir(parents=True)
    (path / "notes.txt").write_text("not ours")
    report = vacuum(store, now_ms=_now_ms() + 25 * HOUR_MS)
    assert (report.temporary, report.regions, report.caches, report.files) == (1, 1, 1, 0)
    assert _files(store) == 6
    assert (path / "notes.txt").exists()
    assert [one.where for one in verify(store).found] == ["notes.txt"]


def test_a_vacuum_that_was_killed_goes_on(store: StoreFolder) -> None:
    compact(store)
    gone = store.ledger.rows("SELECT path FROM parts WHERE removed IS NOT NULL LIMIT 2")
    for (path,) in gone:
        (store.path / path).unlink()
    assert vacuum(store, hours=0).files == 6
    assert verify(store).found == []


def test_vacuum_refuses_nonsense_and_a_second_writer(store: StoreFolder) -> None:
    with pytest.raises(UsageError, match="negative"):
        vacuum(store, hours=-1)
    assert vacuum(store, hours=float("inf")).files == vacuum(store, hours=1e300).files == 0
    with (
        store.writing(),
        StoreFolder.open(store.path) as other,
        pytest.raises(TicklineError, match="another run"),
    ):
        vacuum(other)


@pytest.mark.parametrize("path", ["../victim.parquet", "parts/../../victim.parquet", "store.toml"])
def test_an_edited_ledger_deletes_nothing_that_is_no_part(store: StoreFolder, path: str) -> None:
    compact(store)
    victim = store.path / path
    victim.touch()
    with store.ledger.transaction() as db:
        db.execute("UPDATE parts SET path = ? WHERE id = 1", [path])
    with pytest.raises(TicklineError, match="cannot be"):
        vacuum(store, hours=0)
    assert victim.exists()


def test_empty_months_lose_their_folders(tmp_path: Path) -> None:
    (tmp_path / "day.log").write_bytes(log(0, 20))
    ingest_files(tmp_path / "store", tmp_path / "day.log")
    (tmp_path / "day.log").write_text(line(1, time="01/Jun/2024:00:00:00") + "\n")
    ingest_files(tmp_path / "store", tmp_path / "day.log")
    with StoreFolder.open(tmp_path / "store") as folder:
        compact(folder)
        vacuum(folder, hours=0)
        assert [path.name for path in (folder.path / "parts").iterdir()] == ["2024-06"]
        assert all_rows(folder).num_rows == 1
        assert verify(folder).found == []


# ---- forget-addresses --------------------------------------------------------------------------------------


def _logs(tmp_path: Path, first: int, last: int) -> Path:
    path = tmp_path / f"{first}.log"
    path.write_bytes("".join(line(n, ip=f"198.51.100.{n}") + "\n" for n in range(first, last)).encode())
    return path


def test_forgotten_addresses_are_gone_and_labels_and_sums_stay(tmp_path: Path) -> None:
    from tickline.pipelines.access.regions.regions import update_regions

    store = tmp_path / "store"
    ingest_files(store, _logs(tmp_path, 0, 50))
    (tmp_path / "vpn.txt").write_text("198.51.100.0/25\n")
    with StoreFolder.open(store) as folder:
        with folder.writing():
            update_regions(folder, [str(tmp_path / "vpn.txt")])
        before = sums(folder)
        held = os.open(store / "private" / "ips.sqlite", os.O_RDONLY)
        try:
            assert b"198.51.100." in os.pread(held, 10**6, 0)
            done = forget_addresses(folder)
            assert set(os.pread(held, 10**6, 0)) == {0}, "what stood on the disk was overwritten"
        finally:
            os.close(held)
        assert (done.labelled, done.files) == (50, 1)
        assert not (store / "private").exists()
        assert not folder.keeps_addresses()
        assert folder.ledger.rows("SELECT DISTINCT label FROM requesters")[0][0] == "VPN"
        assert sums(folder) == before
        again = forget_addresses(folder)
        assert (again.labelled, again.files) == (0, 0)
        assert verify(folder).found == []
    # Another ingest labels at once, and writes no address.
    ingest_files(store, _logs(tmp_path, 100, 140))
    assert not (store / "private").exists()
    with StoreFolder.open(store) as folder:
        labels = folder.ledger.rows("SELECT label, count(*) FROM requesters GROUP BY label ORDER BY label")
        assert [tuple(row) for row in labels] == [("VPN", 78), ("bogon", 12)]
        assert verify(folder).found == []
    for path in store.rglob("*"):
        if path.is_file() and path.parent.name != "regions":
            assert b"198.51.100." not in path.read_bytes()


def test_a_missing_region_file_keeps_the_addresses(tmp_path: Path) -> None:
    from tickline.pipelines.access.regions.regions import update_regions

    store = tmp_path / "store"
    ingest_files(store, _logs(tmp_path, 0, 5))
    (tmp_path / "vpn.txt").write_text("198.51.100.0/25\n")
    with StoreFolder.open(store) as folder:
        with folder.writing():
            update_regions(folder, [str(tmp_path / "vpn.txt")])
        next((store / "regions").iterdir()).unlink()
        with pytest.raises(TicklineError, match="missing"):
            forget_addresses(folder)
        assert folder.keeps_addresses()
        with sqlite3.connect(store / "private" / "ips.sqlite") as db:
            assert db.execute("SELECT count(*) FROM addresses").fetchone() == (5,)
        db.close()


def test_a_kill_between_note_and_deletion_is_finished_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    ingest_files(store, _logs(tmp_path, 0, 5))
    with StoreFolder.open(store) as folder:

        def killed(_private: Path) -> int:
            raise KeyboardInterrupt

        monkeypatch.setattr("tickline.pipelines.access.forget._delete", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_addresses(folder)
        monkeypatch.undo()
        assert [(one.what, one.where) for one in verify(folder).found] == [
            ("addresses", "private/ips.sqlite")
        ]
        assert forget_addresses(folder).files == 1
        assert verify(folder).found == []
