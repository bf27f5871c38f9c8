"""Summaries of a store: equal to the reference after any history, whatever happens to the cache."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from python.summaries_support import (
    DAY_MS,
    MAY,
    add,
    as_dict,
    check,
    draw_rows,
    id_of,
    open_store,
    replace_files,
    summarized,
    tables_of,
    write_catalog,
)
from reference.access_summaries_reference import Entry, Row, Table, asset_type
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.summaries import groups as summary_groups
from tickline.pipelines.access.summaries import pairs as summary_pairs
from tickline.pipelines.access.summaries import rows as summary_rows
from tickline.pipelines.access.summaries import summaries as module
from tickline.pipelines.access.summaries import weeks as summary_weeks
from tickline.pipelines.access.summaries.assets import TYPES
from tickline.pipelines.access.summaries.assets import asset_type as type_number
from tickline.pipelines.access.summaries.cache import CacheFolder, State, lock_cache
from tickline.pipelines.access.summaries.options import POLICIES, SummaryOptions
from tickline.pipelines.access.summaries.summaries import summarize

CATALOG = [
    Entry("blobs/", "D1", "", "root/"),
    Entry("003", "D2", "1", "x.nwb"),
    Entry("003", "D3", "1", ""),
    Entry("zarr/*", "D3", "", "z.zarr"),
    Entry("zarr/*", "d3", "", "z2/"),
    Entry("solo/002/d.mp4", "D1", "", "film.mp4"),
    Entry("solo/002/d.mp4", "D2", "", ""),
    Entry("solo/002/d.mp4", "D3", "", "three"),
]


@pytest.mark.parametrize("shared_content", POLICIES)
@pytest.mark.parametrize("with_catalog", [False, True])
def test_every_table_and_total_equals_the_reference_day_after_day(
    tmp_path: Path, shared_content: str, with_catalog: bool
) -> None:
    catalog = write_catalog(tmp_path / "catalog", CATALOG) if with_catalog else None
    rows: list[Row] = []
    with open_store(tmp_path / "store") as store:
        # Each run overlaps with the one before; the last one comes late and touches old weeks only.
        for number, first_day in enumerate([0, 4, 11, 20, -3]):
            some = draw_rows(150, seed=(shared_content, number), first_day=first_day, days=9)
            rows += some
            add(store, some)
            found = summarized(store, catalog, shared_content)
            check(found, rows, CATALOG if with_catalog else None, shared_content)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 40), st.integers(1, 8)), min_size=1, max_size=5),
    st.sampled_from(POLICIES),
    st.integers(0, 2**32),
)
def test_any_history_gives_the_sums_of_the_reference(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[int, int, int]], shared_content: str, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("any")
    catalog = write_catalog(folder / "catalog", CATALOG)
    rows: list[Row] = []
    with open_store(folder / "store") as store:
        for number, (first_day, count, days) in enumerate(runs):
            some = draw_rows(count, seed=(seed, number), first_day=first_day, days=days, people=3)
            rows += some
            add(store, some)
            if (seed >> number) % 2:
                summarized(store, catalog, shared_content)
        check(summarized(store, catalog, shared_content), rows, CATALOG, shared_content)
    shutil.rmtree(folder)


def test_an_empty_store_has_empty_tables(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        found = summarized(store)
        assert found.datasets == ()
        datasets, archive = tables_of(found)
        assert datasets == {}
        assert all(table == {} for table in archive.values())
        assert set(found.totals([])[1].values()) == {0}
        assert found.whole_table("by_week_asset").num_rows == 0
        assert found.whole_table("by_week_asset").column_names[:3] == ["dataset", "week_start", "asset_path"]
        assert found.undetermined() == {"keys": 0, "bytes_sent": 0, "number_of_requests": 0}


def test_types_of_columns_and_one_table_for_all_datasets(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(100))
        found = summarized(store)
        schema = found.table("by_week_type", "blobs").schema
        assert schema.types == [pa.date32(), pa.string(), *[pa.uint64()] * 4]
        whole = found.whole_table("by_asset")
        assert whole.column_names[:2] == ["dataset", "asset_path"]
        assert whole["dataset"].unique().to_pylist() == list(found.datasets)
        for dataset in found.datasets:
            own = whole.filter(pa.compute.equal(whole["dataset"], dataset)).drop_columns(["dataset"])
            assert as_dict(own) == as_dict(found.table("by_asset", dataset))
        with pytest.raises(UsageError, match="no dataset"):
            found.table("by_day", "none")
        with pytest.raises(UsageError, match="no table"):
            found.table("by_hour", "blobs")


def _whole(table: Table) -> tuple[int, ...]:
    """Return bytes, requests and downloads of a table."""
    return tuple(map(sum, zip(*(row[:3] for row in table.values()), strict=True)))


def test_sums_agree_with_each_other(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", CATALOG)
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(400))
        for shared_content in POLICIES:
            datasets, archive = tables_of(summarized(store, catalog, shared_content))
            assert all(len(set(map(_whole, tables.values()))) == 1 for tables in datasets.values())
            if shared_content != "all":
                assert _whole(archive["by_dataset"]) == _whole(archive["by_day"])


def test_shares_are_taken_after_all_files_are_summed_up(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [Entry("k", "A", "", "a"), Entry("k", "B", "", "b")])
    row = Row(MAY, "k", "p", 1, 200)
    with open_store(tmp_path / "store") as store:
        for _ in range(5):
            add(store, [row])
        found = summarized(store, catalog, "split")
        # 5 = 3 + 2; file by file it would be five times 1 + 0.
        assert list(as_dict(found.table("by_asset", "A")).values()) == [(3, 3, 3, 1)]
        assert list(as_dict(found.table("by_asset", "B")).values()) == [(2, 2, 2, 1)]


def test_rows_of_one_week_in_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = write_catalog(tmp_path / "catalog", CATALOG)
    monkeypatch.setattr(summary_rows, "_BATCH_ROWS", 40)
    monkeypatch.setattr(summary_weeks, "_WAITING", 20)
    monkeypatch.setattr(summary_groups, "_WAITING", 20)
    monkeypatch.setattr(summary_groups, "_DENSE", 1)
    monkeypatch.setattr(summary_pairs, "_IN_MEMORY", 50)
    monkeypatch.setattr(summary_pairs, "_STEP", 7)
    rows: list[Row] = []
    with open_store(tmp_path / "store") as store:
        for number in range(12):
            some = draw_rows(60, seed=number, days=10)
            rows += some
            add(store, some)
        for shared_content in POLICIES:
            check(summarized(store, catalog, shared_content), rows, CATALOG, shared_content)


def test_labels_come_with_the_first_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw_rows(50)
    calls = []

    def label(folder: Any) -> None:
        calls.append(folder)
        with folder.ledger.transaction():
            folder.ledger.set_labels((number, "VPN", None) for number in folder.ledger.unlabelled())

    monkeypatch.setattr(module, "_label", label)
    with open_store(tmp_path / "store") as store:
        add(store, rows, labels=False)
        found = summarized(store)
        assert set(as_dict(found.table("by_region"))) == {("VPN",), ("missing",)}
        summarized(store)
        assert len(calls) == 1


# ---- the cache -----------------------------------------------------------------------------------


def _cache(store: Any) -> list[Path]:
    return sorted(path for path in (store.path / "cache").iterdir() if path.is_dir())


def _mtimes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def _weeks_summed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    mondays: list[int] = []

    class Watched(summary_weeks.WeekSums):
        def __init__(self, monday: int, *rest: Any, **more: Any) -> None:
            mondays.append(monday)
            super().__init__(monday, *rest, **more)

    monkeypatch.setattr(module, "WeekSums", Watched)
    return mondays


def test_only_touched_weeks_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mondays = _weeks_summed(monkeypatch)
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(300, days=28))
        summarized(store)
        assert len(mondays) == 5
        mondays.clear()
        files = _mtimes(_cache(store)[0])
        summarized(store)
        assert mondays == []
        assert {name: when for name, when in files.items() if name != "state.json"}.items() <= _mtimes(
            _cache(store)[0]
        ).items()
        add(store, draw_rows(10, seed=1, first_day=9, days=1))
        summarized(store)
        # 2024-05-10 is a Friday.
        assert mondays == [MAY // DAY_MS + 5]


def test_compaction_sums_nothing_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw_rows(300, days=28)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        check(summarized(store), rows, None)
        mondays = _weeks_summed(monkeypatch)
        replace_files(store, rows, epoch=False)
        check(summarized(store), rows, None)
        assert mondays == []


def test_a_replaced_source_voids_everything(tmp_path: Path) -> None:
    rows = draw_rows(300, days=28)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        summarized(store)
        replace_files(store, rows[:100], epoch=True)
        check(summarized(store), rows[:100], None)
        assert len(_cache(store)) == 1


def test_new_labels_void_everything(tmp_path: Path) -> None:
    rows = [Row(MAY, "a/b", "p", 1, 200), Row(MAY, "a/b", "q", 1, 200)]
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        summarized(store)
        with store.ledger.transaction():
            store.ledger.set_labels([(id_of("p"), "JP/Tokyo", None), (id_of("q"), "JP/Tokyo", None)])
            store.ledger.next_epoch()
        assert as_dict(summarized(store).table("by_region")) == {("JP/Tokyo",): (2, 2, 2, 2)}


def test_a_change_of_labels_in_mid_run_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw_rows(50)
    real = module._updated
    changes = [1, 1, 0]

    def updated(folder: Any, *rest: Any) -> State:
        state = real(folder, *rest)
        if changes.pop(0):
            with folder.ledger.transaction():
                folder.ledger.next_epoch()
        return state

    monkeypatch.setattr(module, "_updated", updated)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        check(summarized(store), rows, None)
        changes[:] = [1, 1, 1]
        with pytest.raises(TicklineError, match="regions are being changed"):
            summarized(store)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_ledger_from_a_backup_does_not_get_sums_of_its_future(tmp_path: Path, at_once: bool) -> None:
    rows = draw_rows(50)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        store.ledger.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        backup = (tmp_path / "store/ledger.sqlite").read_bytes()
        add(store, draw_rows(50, seed=1))
        summarized(store)
    for left in (tmp_path / "store").glob("ledger.sqlite*"):
        left.unlink()
    (tmp_path / "store/ledger.sqlite").write_bytes(backup)
    with open_store(tmp_path / "store") as store:
        if at_once:
            check(summarized(store), rows, None)
        # The same number of commits, and other rows; not in the same millisecond.
        time.sleep(0.005)
        rows += draw_rows(70, seed=2)
        add(store, rows[50:])
        check(summarized(store), rows, None)


@pytest.mark.parametrize("shared_content", ["all", "split"])
def test_any_damage_to_the_cache_is_made_good_without_a_word(tmp_path: Path, shared_content: str) -> None:
    catalog = write_catalog(tmp_path / "catalog", CATALOG)
    rows = draw_rows(200, days=20)
    draw = random.Random(7)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        summarized(store, catalog, shared_content)
        for kind in ("week-", "assets-", "pairs-assets", "pairs-datasets", "totals-", "state.json"):
            for damage in ("flip", "flip", "cut", "empty", "gone", "grown"):
                (folder,) = _cache(store)
                path = draw.choice(sorted(path for path in folder.iterdir() if path.name.startswith(kind)))
                data = path.read_bytes()
                if damage == "flip":
                    at = draw.randrange(len(data))
                    path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
                elif damage == "gone":
                    path.unlink()
                else:
                    path.write_bytes({"cut": data[:-9], "empty": b"", "grown": data + b"x"}[damage])
                if draw.random() < 0.5:
                    # New rows need what is there; so do tables.
                    some = draw_rows(3, seed=(kind, damage, len(rows)), days=20)
                    rows += some
                    add(store, some)
                check(summarized(store, catalog, shared_content), rows, CATALOG, shared_content)


def test_every_flipped_byte_of_the_record_is_seen(tmp_path: Path) -> None:
    rows = draw_rows(40, days=2)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        summarized(store)
        (folder,) = _cache(store)
        data = (folder / "state.json").read_bytes()
        for at in range(0, len(data), 7):
            (folder / "state.json").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            found = CacheFolder(folder).load()
            # A blank may become another character that JSON does not mind.
            assert found is None or found == State(**json.loads(data)["state"])


def test_summaries_that_were_renewed_while_they_are_read_are_an_error(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50))
        old = summarized(store)
        add(store, draw_rows(50, seed=1))
        summarized(store)
        with pytest.raises(TicklineError, match="renewed by another run"):
            list(old.frames(old.datasets))


def test_two_at_once_get_a_sentence(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50))
        with lock_cache(store.path / "cache"), pytest.raises(TicklineError, match="another run is making"):
            summarized(store)
        summarized(store)


def test_caches_of_some_catalogs_are_kept_the_latest_ones(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(20))
        found = []
        for number in range(7):
            catalog = write_catalog(tmp_path / f"{number}", [Entry("blobs/", f"D{number}", "", "")])
            before = set(_cache(store)) if number else set()
            summarized(store, catalog)
            (made,) = set(_cache(store)) - before
            os.utime(made / "state.json", (number, number))
            found.append(made)
        assert _cache(store) == sorted(found[-5:])


def test_a_run_that_ends_in_the_middle_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = draw_rows(300, days=40)
    monkeypatch.setattr(module, "_SAVE_EVERY_S", -1.0)
    real = summary_weeks.WeekSums.finish
    mondays = _weeks_summed(monkeypatch)
    with open_store(tmp_path / "store") as store:
        add(store, rows)

        def stop(self: Any) -> Any:
            if len(mondays) == 4:
                raise KeyboardInterrupt
            return real(self)

        monkeypatch.setattr(summary_weeks.WeekSums, "finish", stop)
        with pytest.raises(KeyboardInterrupt):
            summarized(store)
        monkeypatch.setattr(summary_weeks.WeekSums, "finish", real)
        rows += draw_rows(10, seed=1, first_day=2, days=1)
        add(store, rows[300:])
        done = mondays[:3]
        mondays.clear()
        check(summarized(store), rows, None)
        assert mondays == sorted({*mondays, done[0]})
        assert not {*done[1:]} & {*mondays}


# ---- what cannot be summed up --------------------------------------------------------------------


def test_sums_that_do_not_fit_name_the_day(tmp_path: Path) -> None:
    big = 2**63
    with open_store(tmp_path / "store") as store:
        add(store, [Row(MAY, "a/b", "p", big, 200)])
        add(store, [Row(MAY + 8 * DAY_MS, "a/c", "p", big - 1, 200)])
        found = summarized(store)
        assert found.totals([])[1]["total_bytes_sent"] == 2**64 - 1
        add(store, [Row(MAY + 9 * DAY_MS, "a/d", "p", 1, 200)])
        with pytest.raises(TicklineError, match="2024-05-10 the sum of bytes_sent passes"):
            summarized(store)
    with open_store(tmp_path / "one day") as store:
        for _ in range(2):
            add(store, [Row(MAY + DAY_MS, "a/b", "p", big, 200)])
        with pytest.raises(TicklineError, match="2024-05-02 the sum of bytes_sent passes"):
            summarized(store)


def test_a_damaged_or_missing_daily_file_gets_a_sentence(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50, days=3))
        (path,) = (tmp_path / "store/daily").rglob("*.parquet")
        data = path.read_bytes()
        for at in range(0, len(data), 97):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(SourceError, match="damaged"):
                summarized(store)
        path.unlink()
        with pytest.raises(SourceError, match="does not exist"):
            summarized(store)
        path.write_bytes(data)
        summarized(store)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (SummaryOptions(shared_content="half"), "none of all, first, split, undetermined"),
        (SummaryOptions(restrict_to=("a",), exclude_datasets=("b",)), "cannot stand beside"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: SummaryOptions, words: str) -> None:
    with open_store(tmp_path / "store") as store, pytest.raises(UsageError, match=words):
        summarize(store, options)


# ---- pieces --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("sub-1/sub-1_ses-2.nwb", "Neurophysiology"),
        ("A.NWB", "Neurophysiology"),
        ("a.nwb.zarr", "Neurophysiology"),
        ("a.zarr", "Microscopy"),
        ("a.ome.zarr", "Microscopy"),
        ("a.b.zarr", "Miscellaneous"),
        ("a.nii.gz", "Microscopy"),
        ("a.Tiff", "Microscopy"),
        ("x.bvecs", "Microscopy"),
        ("film.MKV", "Video"),
        ("a.zarr/0/0", "Miscellaneous"),
        ("dataset_description.json", "Miscellaneous"),
        (".nwb", "Miscellaneous"),
        ("", "Miscellaneous"),
    ],
)
def test_types_of_assets(path: str, kind: str) -> None:
    assert TYPES[type_number(path)] == kind
    assert asset_type(path) == kind


@given(
    st.lists(st.sampled_from([".", "..", "/", "a", "nwb", ".nwb", ".zarr", ".TIF", ".mp4", ".ome", " "])).map(
        "".join
    )
)
def test_types_of_any_path_are_those_of_the_reference(path: str) -> None:
    assert TYPES[type_number(path)] == asset_type(path)


@given(st.lists(st.lists(st.integers(0, 60), max_size=12), max_size=12))
def test_a_set_of_pairs_knows_what_is_new(tmp_path_factory: Any, batches: Sequence[list[int]]) -> None:
    folder = tmp_path_factory.mktemp("pairs")
    cache, state, known = CacheFolder(folder), State(), set()
    old = summary_pairs._IN_MEMORY
    try:
        summary_pairs._IN_MEMORY = 8
        pairs = summary_pairs.PairSet(cache, state, "assets")
        for number, batch in enumerate(batches):
            values = np.array(sorted(set(batch)), np.uint64)
            assert set(pairs.add(values).tolist()) == set(batch) - known
            known |= set(batch)
            if number % 3 == 0:
                state.serial += 1
                pairs.save()
                pairs = summary_pairs.PairSet(cache, state, "assets")
        state.serial += 1
        pairs.save()
        runs = [cache.read(state, file)["pairs"].tolist() for file in state.runs["assets"]]
        assert sorted(value for run in runs for value in run) == sorted(known)
        assert all(run == sorted(run) for run in runs)
        assert len(runs) <= 7
    finally:
        summary_pairs._IN_MEMORY = old
        shutil.rmtree(folder)
