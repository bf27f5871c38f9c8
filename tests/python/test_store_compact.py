"""Compaction: same rows, same sums, fewer files, in order; if it fails, the store stays as it was."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from python.access_support import environment
from python.store_support import (
    DAY_MS,
    MAY,
    add_rows,
    all_rows,
    in_order,
    make_store,
    replace_source,
    rows,
    sums,
)
from tickline.errors import TicklineError
from tickline.pipelines.access import compact as module
from tickline.pipelines.access.compact import compact, compact_months, daily_from_parts
from tickline.pipelines.access.vacuum import vacuum
from tickline.pipelines.access.verify.verify import verify
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.store.ledger import PartFile, Snapshot
from tickline.store.runs import needs_compaction

ORDER = ("key", "time", "source", "line")
DAILY_ORDER = ("day", "key", "requester_id")


def _tuples(table: pa.Table, names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def _all(table: pa.Table) -> list[str]:
    return sorted(map(repr, _tuples(table, tuple(table.column_names))))


def _read(store: StoreFolder, part: PartFile) -> pa.Table:
    return pa.parquet.read_table(store.path / part.path, partitioning=None)


def _files(folder: Path) -> set[str]:
    return {path.name for kind in ("parts", "daily") for path in (folder / kind).rglob("*") if path.is_file()}


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    runs = [rows(300, source, seed=7, keys=30) for source in range(1, 6)]
    runs.append(rows(300, 6, start_ms=MAY + 30 * DAY_MS))  # the last day of May and two of June
    path = make_store(tmp_path / "store", *runs)
    with StoreFolder.open(path) as folder:
        yield folder


def test_rows_and_sums_stay_and_each_month_is_one_file_of_each_kind(store: StoreFolder) -> None:
    before, sums_before = _all(all_rows(store)), sums(store)
    last = store.ledger.snapshot().commit
    report = compact(store)
    snapshot = store.ledger.snapshot()
    assert report.months == ["2024-05"]
    assert (report.files_before, report.files_after, report.dropped) == (12, 2, 0)
    assert (
        [part.month for part in snapshot.parts]
        == [part.month for part in snapshot.daily]
        == ["2024-05", "2024-06"]
    )
    assert _all(all_rows(store)) == before
    assert sums(store) == sums_before
    may = pa.parquet.read_table(store.path / snapshot.parts[0].path, partitioning=None)
    assert in_order(_tuples(may, ORDER))
    daily = _tuples(
        pa.parquet.read_table(store.path / snapshot.daily[0].path, partitioning=None), DAILY_ORDER
    )
    assert in_order(daily)
    assert len(set(daily)) == len(daily)
    assert store.ledger.days_since(last) == set(), "no sum changed"


def test_a_second_compaction_has_nothing_to_do(store: StoreFolder) -> None:
    compact(store)
    before = store.ledger.snapshot()
    assert compact(store).months == []
    assert store.ledger.snapshot() == before


@pytest.mark.parametrize("held_rows", [1, 100, 1000])
@pytest.mark.parametrize("most_runs", [2, 24])
def test_bounded_memory_gives_the_rows_of_the_way_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held_rows: int, most_runs: int
) -> None:
    monkeypatch.setattr(module, "_MOST_RUNS", most_runs)
    monkeypatch.setattr("tickline.store.parts._ROWS_PER_GROUP", {"accesses": 16, "daily": 16})
    # Sources share keys and times; the first one comes in two runs, the later lines first.
    runs = [rows(150, 1, first_line=151), rows(150, 1)]
    runs += [rows(150, source, days=1, keys=4) for source in (5, 2, 4, 3)]
    found = []
    for name, held in (("memory", 10**6), ("bounded", held_rows)):
        with StoreFolder.open(make_store(tmp_path / name, *runs)) as folder, folder.writing():
            compact_months(folder, ["2024-05"], held_rows=held, part_rows=200)
            snapshot = folder.ledger.snapshot()
            assert _files(folder.path) >= {
                Path(part.path).name for part in (*snapshot.parts, *snapshot.daily)
            }
            assert len(_files(folder.path)) == 12 + len(snapshot.parts) + len(snapshot.daily)
            found.append(
                (all_rows(folder), all_rows(folder, "daily"), [part.rows for part in snapshot.parts])
            )
    assert found[0][0].equals(found[1][0])
    assert found[0][1].equals(found[1][1])
    assert found[0][2] == found[1][2]
    assert in_order(_tuples(found[1][0], ORDER))


def test_compacted_parts_are_merged_with_new_runs(tmp_path: Path) -> None:
    with StoreFolder.open(make_store(tmp_path / "store", rows(400, 1), rows(400, 2))) as folder:
        with folder.writing():
            compact_months(folder, ["2024-05"], part_rows=50)
        assert len(folder.ledger.snapshot().parts) > 3
        add_rows(folder, rows(400, 3))
        with folder.writing():
            compact_months(folder, ["2024-05"], held_rows=10, part_rows=100)
        found = _tuples(all_rows(folder), ORDER)
        assert len(found) == 1200
        assert in_order(found)


def test_one_key_lies_in_one_part(tmp_path: Path) -> None:
    with StoreFolder.open(
        make_store(tmp_path / "store", rows(3000, 1, keys=200), rows(3000, 2, keys=200))
    ) as folder:
        with folder.writing():
            compact_months(folder, ["2024-05"], part_rows=500)
        parts = folder.ledger.snapshot().parts
        keys: list[set[str | None]] = []
        for part in parts:
            keys.append(set(_read(folder, part)["key"].to_pylist()))
            texts = keys[-1] - {None}
            assert (part.first_key, part.last_key) == (min(texts, default=None), max(texts, default=None))
            assert part.has_null_key == (None in keys[-1])
        assert len(parts) > 3
        giant = {key for key in keys[0] if sum(key in some for some in keys) > 1}
        assert len(giant) <= 1, "only a key with more rows than a part may fill several"
        assert all(part.rows <= 1000 for part in parts)


def test_rows_of_a_replaced_source_leave(store: StoreFolder) -> None:
    replace_source(store, 2)
    sums_before = sums(store)
    gone = all_rows(store).filter(pa.compute.equal(all_rows(store)["source"], 2)).num_rows
    assert gone
    compact(store)
    report_again = compact(store)
    assert 2 not in all_rows(store)["source"].to_pylist()
    assert sums(store) == sums_before
    assert report_again.months == []


def test_a_month_of_one_run_is_rewritten_if_it_holds_replaced_rows(tmp_path: Path) -> None:
    with StoreFolder.open(
        make_store(tmp_path / "store", pa.concat_tables([rows(50, 1), rows(50, 2)]))
    ) as folder:
        assert compact(folder).months == []
        replace_source(folder, 1)
        report = compact(folder)
        assert (report.months, report.rows, report.dropped) == (["2024-05"], 50, 50)
        replace_source(folder, 2)
        report = compact(folder)
        assert (report.rows, report.dropped, report.files_after) == (0, 50, 0)
        assert folder.ledger.snapshot().parts == ()


def test_daily_sums_made_anew_equal_the_ones_of_the_ingest(store: StoreFolder) -> None:
    before = sums(store)
    old = store.ledger.snapshot().daily
    made = [part for month in ("2024-05", "2024-06") for part in daily_from_parts(store, month, frozenset())]
    assert len(made) == 2
    with store.ledger.transaction():
        commit = store.ledger.begin_commit("replace")
        store.ledger.remove_parts(commit, [part.id for part in old])
        for part in made:
            store.ledger.add_part(commit, part)
    assert sums(store) == before
    assert daily_from_parts(store, "2024-05", frozenset(range(1, 7))) == []


def test_threads_give_the_same_files(tmp_path: Path) -> None:
    hashes = []
    for threads in (1, 3):
        runs = [rows(100, source, start_ms=MAY + 31 * DAY_MS * (source // 2)) for source in range(8)]
        with StoreFolder.open(make_store(tmp_path / str(threads), *runs)) as folder:
            assert len(compact(folder, threads=threads).months) == 4
            snapshot = folder.ledger.snapshot()
            hashes.append([(part.month, part.hash) for part in (*snapshot.parts, *snapshot.daily)])
    assert hashes[0] == hashes[1]


def test_progress_ends_at_the_size_of_what_was_read(store: StoreFolder) -> None:
    class Seen(Progress):
        total = done = 0

        def start(self, total_bytes: int) -> None:
            self.total = total_bytes

        def advance(self, size: int) -> None:
            self.done += size

    seen = Seen()
    compact(store, progress=seen)
    assert 0.98 * seen.total <= seen.done <= seen.total


@pytest.mark.parametrize("threads", [1, 2])
def test_a_damaged_part_stops_it_with_a_sentence_and_changes_nothing(
    store: StoreFolder, threads: int
) -> None:
    before, files = store.ledger.snapshot(), _files(store.path)
    victim = store.path / before.parts[3].path
    content = victim.read_bytes()
    victim.write_bytes(content[: len(content) // 2])
    with pytest.raises(TicklineError, match="damaged") as caught:
        compact(store, threads=threads)
    assert caught.value.where == str(victim)
    assert store.ledger.snapshot() == before
    assert _files(store.path) == files
    victim.unlink()
    with pytest.raises(TicklineError, match="is gone"):
        compact(store)
    victim.write_bytes(content)
    assert compact(store).months == ["2024-05"]


def test_a_full_disk_leaves_the_store_as_it_was(store: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before, files = store.ledger.snapshot(), _files(store.path)
    write = module.PartWriter.write
    calls = 0

    def failing(self: Any, table: pa.Table) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(28, "No space left on device", "parts")
        write(self, table)

    monkeypatch.setattr(module.PartWriter, "write", failing)
    with pytest.raises(TicklineError, match="the disk is full"):
        compact(store)
    monkeypatch.undo()
    assert store.ledger.snapshot() == before
    assert _files(store.path) == files
    assert compact(store).months == ["2024-05"]


def test_two_writers_at_once_are_refused(store: StoreFolder) -> None:
    with (
        store.writing(),
        StoreFolder.open(store.path) as other,
        pytest.raises(TicklineError, match="another run"),
    ):
        compact(other)


def test_many_runs_call_for_compaction(store: StoreFolder) -> None:
    snapshot = store.ledger.snapshot()
    assert needs_compaction(snapshot) == []
    assert needs_compaction(snapshot, many=6) == ["2024-05"]
    compact(store)
    assert needs_compaction(store.ledger.snapshot(), many=2) == []
    assert needs_compaction(Snapshot(0, 0, (), (), frozenset())) == []


_DRIVER = """
import sys
import pyarrow.compute
import pyarrow.parquet
from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.vacuum import vacuum
from tickline.store.folder import StoreFolder

with StoreFolder.open(sys.argv[1]) as folder:
    print("ready", flush=True)
    compact(folder)
    vacuum(folder, hours=0)
print("done", flush=True)
"""


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.85, 0.95])
def test_kill_9_leaves_a_store_that_the_next_run_finishes(tmp_path: Path, share: float) -> None:
    # Rows of six months and a replaced source; the undisturbed run tells how long it takes.
    runs = [rows(400, n, start_ms=MAY + 31 * DAY_MS * (n % 6), keys=50) for n in range(1, 19)]
    path = make_store(tmp_path / "store", *runs)
    with StoreFolder.open(path) as folder:
        replace_source(folder, 3)
        expected, rows_before = sums(folder), all_rows(folder)
    shutil.copytree(path, tmp_path / "copy")

    def start(store: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _DRIVER, str(store)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    with start(tmp_path / "copy") as undisturbed:
        begun = time.monotonic()
        assert undisturbed.communicate(timeout=60)[0] == b"done\n"
        seconds = time.monotonic() - begun
    with start(path) as killed:
        time.sleep(share * seconds)
        killed.kill()
        killed.communicate()
    with StoreFolder.open(path) as folder:
        assert sums(folder) == expected
        compact(folder)
        vacuum(folder, hours=0)
        assert sums(folder) == expected
        kept = rows_before.filter(pa.compute.not_equal(rows_before["source"], 3))
        assert _all(all_rows(folder)) == _all(kept)
        assert verify(folder).found == []
        snapshot = folder.ledger.snapshot()
        assert _files(path) == {Path(part.path).name for part in (*snapshot.parts, *snapshot.daily)}
