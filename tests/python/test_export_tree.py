"""Trees of addresses: what a run writes, what it leaves alone, and what it refuses."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import stat
from itertools import groupby
from pathlib import Path

import pytest

from python.access_support import line
from python.ingest_support import KEY, take
from python.tree_support import DAYS, all_files, expected, export, files_of, fresh, read_back, store_of
from tickline.pipelines.access.trees import files as export_tree_files
from tickline.pipelines.access.trees import tree as export_tree
from tickline.pipelines.access.trees.export import TREES
from tickline.pipelines.access.trees.record import TreeRecord
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")

DRIVER = Path(__file__).with_name("tree_kill_driver.py")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)


def _identities(root: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of each file: a file that was written again has others."""
    found = {name: (root / name).stat() for name in files_of(root)}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


# ---- writing ---------------------------------------------------------------------------------------------


def test_only_the_owner_can_read_a_tree(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    (tmp_path / "out/binned").mkdir(parents=True, mode=0o755)
    old = os.umask(0)
    try:
        export(store, tmp_path / "out")
    finally:
        os.umask(old)
    seen = 0
    for tree in TREES:
        for path in [tmp_path / "out" / tree, *(tmp_path / "out" / tree).rglob("*")]:
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode == (0o700 if path.is_dir() else 0o600), path
            seen += 1
    assert seen > 40


def test_a_run_with_nothing_new_leaves_every_file(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    first = export(store, tmp_path / "out")
    before = {tree: _identities(tmp_path / "out" / tree) for tree in TREES}
    second = export(store, tmp_path / "out")
    assert before == {tree: _identities(tmp_path / "out" / tree) for tree in TREES}
    assert (first.unchanged, first.removed) == (0, 0)
    assert first.written == second.unchanged == len(all_files(tmp_path / "out")) == 2 + 7 + 4 * 7
    assert (second.written, second.removed) == (0, 0)


def test_new_rows_touch_only_their_keys(tmp_path: Path) -> None:
    store = store_of(tmp_path, dict([*DAYS.items()][:1]))
    export(store, tmp_path / "out")
    before = _identities(tmp_path / "out/binned")
    store_of(tmp_path, DAYS)
    report = export(store, tmp_path / "out")
    after = _identities(tmp_path / "out/binned")
    assert {name for name in before if before[name] != after[name]} == {"blobs/4.tsv"}
    assert set(after) - set(before) == {"blobs/5.tsv", "blobs/6.tsv"}
    assert report.written == 1 + 3 + 4 * 3
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)


def test_late_rows_stand_in_the_order_of_their_sources(tmp_path: Path) -> None:
    store = store_of(tmp_path, dict([*DAYS.items()][1:]))
    export(store, tmp_path / "out")
    store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    logs = [tmp_path / "raw" / name for name in DAYS]
    assert read_back(tmp_path / "out/binned", "binned") == expected(logs, "binned")


def test_a_grown_log_adds_its_tail(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": DAYS["2024/05/01.log"][:30]})
    export(store, tmp_path / "out")
    store_of(tmp_path, {"2024/05/01.log": DAYS["2024/05/01.log"]})
    export(store, tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)
    assert read_back(tmp_path / "out/extraction", "extraction") == expected(
        [tmp_path / "raw/2024/05/01.log"], "extraction"
    )


def test_keys_that_are_gone_leave_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    assert (tmp_path / "out/extraction/blobs/6").is_dir()
    store_of(tmp_path, {"2024/05/02.log": [line(7, key="blobs/4")]})
    report = export(store, tmp_path / "out")
    assert report.removed == 2 + 4 * 2
    assert not (tmp_path / "out/extraction/blobs/6").exists()
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)


def test_a_key_that_is_left_with_other_requests_has_no_files(tmp_path: Path) -> None:
    wanted = WantedSettings(operations="all", statuses="all")
    store = store_of(tmp_path, {"2024/05/01.log": [line(1, key="a"), line(2, key="b")]}, wanted=wanted)
    export(store, tmp_path / "out", "binned")
    store_of(tmp_path, {"2024/05/01.log": [line(1, key="a", status="404"), line(2, key="b")]})
    assert export(store, tmp_path / "out", "binned").removed == 1
    assert list(files_of(tmp_path / "out/binned")) == ["b.tsv"]
    with sqlite3.connect(tmp_path / "out/binned/.tickline/tree.sqlite") as db:
        assert db.execute("SELECT id, pending, files IS NULL FROM entries").fetchall() == [
            ("=a", 0, 1),
            ("=b", 0, 0),
        ]
    db.close()


def test_bytes_are_on_the_disk_before_names_and_names_before_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, DAYS)
    monkeypatch.setattr(export_tree_files, "_BATCH_FILES", 3)
    steps: list[str] = []
    sync, rename, save = export_tree_files._sync, os.rename, TreeRecord.save
    monkeypatch.setattr(export_tree_files, "_sync", lambda root: (steps.append("sync"), sync(root)))
    monkeypatch.setattr(os, "rename", lambda *names: (steps.append("rename"), rename(*names)))
    monkeypatch.setattr(TreeRecord, "save", lambda *found: (steps.append("save"), save(*found)))
    export(store, tmp_path / "out", "binned")
    kinds = [kind for kind, _ in groupby(steps)]
    assert steps.count("rename") >= 7
    assert kinds == ["sync", "rename", "save"] * 3


def test_a_copy_that_changes_the_order_of_sources_changes_that_of_rows(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    before = all_files(tmp_path / "out")
    copy = tmp_path / "raw/2023/12/31.log.gz"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(gzip.compress((tmp_path / "raw/2024/05/02.log").read_bytes()))
    take(store, tmp_path / "raw")
    export(store, tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(store, tmp_path) != before
    assert (tmp_path / "out/reduced/2023/12/31.tsv").is_file()
    assert not (tmp_path / "out/reduced/2024/05/02.tsv").exists()


def test_an_epoch_makes_everything_be_compared_and_nothing_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    before = {tree: _identities(tmp_path / "out" / tree) for tree in TREES}
    with StoreFolder.open(store) as folder, folder.ledger.transaction():
        folder.ledger.next_epoch()
    looked = []
    settle = export_tree_files.TreeFiles.finish
    monkeypatch.setattr(
        export_tree_files.TreeFiles, "finish", lambda files: (looked.append(files._entry), settle(files))[1]
    )
    assert export(store, tmp_path / "out").written == 0
    assert {entry.id for entry in looked if entry} >= {f"=blobs/{number}" for number in range(7)}
    assert before == {tree: _identities(tmp_path / "out" / tree) for tree in TREES}


def test_a_ledger_from_a_backup_makes_everything_be_compared(tmp_path: Path) -> None:
    store = store_of(tmp_path, dict([*DAYS.items()][:1]))
    shutil.copytree(store, tmp_path / "backup")
    store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    with StoreFolder.open(store) as folder:
        state = folder.ledger.state()
    shutil.rmtree(store)
    shutil.copytree(tmp_path / "backup", store)
    # The ledger comes to the same state by another way: only the time of its last commit tells.
    store_of(tmp_path, {**DAYS, "2024/05/02.log": [line(3, key="blobs/9")]})
    with StoreFolder.open(store) as folder:
        assert folder.ledger.state() == state
    export(store, tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)
    assert not (tmp_path / "out/binned/blobs/6.tsv").exists()


def test_another_compat_makes_the_files_anew(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [line(1, operation="REST.HEAD.OBJECT")]})
    export(store, tmp_path / "out", "reduced", compat="strict")
    assert files_of(tmp_path / "out/reduced") == {"2024/05/01.tsv": b""}
    export(store, tmp_path / "out", "reduced", compat="fixed")
    header = b"timestamp\tip_address\tobject_key\tbytes_sent\n"
    assert files_of(tmp_path / "out/reduced") == {"2024/05/01.tsv": header}


def test_another_store_takes_the_place_of_the_first(tmp_path: Path) -> None:
    export(store_of(tmp_path / "a", DAYS), tmp_path / "out")
    other = store_of(tmp_path / "b", {"2024/05/02.log": [line(1, key="zarr/1")]})
    export(other, tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(other, tmp_path)


def test_what_somebody_changed_or_removed_is_made_again(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    before = all_files(tmp_path / "out")
    outside = tmp_path / "outside"
    shutil.copy2(tmp_path / "out/reduced/2024/05/01.tsv", outside)
    (tmp_path / "out/binned/blobs/1.tsv").write_bytes(b"changed")
    (tmp_path / "out/extraction/blobs/2/ips.txt").unlink()
    (tmp_path / "out/reduced/2024/05/01.tsv").unlink()
    (tmp_path / "out/reduced/2024/05/01.tsv").symlink_to(outside)
    assert export(store, tmp_path / "out").written == 3
    assert all_files(tmp_path / "out") == before
    assert not (tmp_path / "out/reduced/2024/05/01.tsv").is_symlink()


def test_files_of_others_stay(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    mine = tmp_path / "out/binned/blobs/mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (tmp_path / "out/binned/names.tsv").write_text("a table of a key called names")
    export(store, tmp_path / "out", "binned")
    store_of(tmp_path, {name: [line(1, key="other")] for name in DAYS})
    export(store, tmp_path / "out", "binned")
    assert mine.read_text() == "mine"
    assert set(files_of(tmp_path / "out/binned")) == {"blobs/mine.txt", "names.tsv", "other.tsv"}


def test_a_tree_without_its_record_is_compared_with_what_it_ought_to_be(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out", "binned")
    before = _identities(tmp_path / "out/binned")
    shutil.rmtree(tmp_path / "out/binned/.tickline")
    (tmp_path / "out/binned/blobs/1.tsv").write_bytes(b"changed")
    assert export(store, tmp_path / "out", "binned").written == 1
    after = _identities(tmp_path / "out/binned")
    assert {name for name in before if before[name] != after[name]} == {"blobs/1.tsv"}


def test_a_large_table_goes_through_small_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_tree_files, "_HELD_BYTES", 50)
    monkeypatch.setattr(export_tree_files, "_BATCH_BYTES", 100)
    monkeypatch.setattr("tickline.pipelines.access.trees.rows._BATCH_ROWS", 3)
    monkeypatch.setattr("tickline.pipelines.access.trees.rows._STRETCH_KEYS", 2)
    monkeypatch.setattr("tickline.pipelines.access.trees.record._AT_A_TIME", 2)
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    logs = [tmp_path / "raw" / name for name in DAYS]
    for tree in ("binned", "extraction"):
        assert read_back(tmp_path / "out" / tree, tree) == expected(logs, tree)
    assert export(store, tmp_path / "out").written == 0


def test_many_keys_that_are_to_be_made_again_are_found_by_reading_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_tree, "_MOST_PENDING", 2)
    store = store_of(tmp_path, dict([*DAYS.items()][:1]))
    export(store, tmp_path / "out")
    store_of(tmp_path, DAYS)
    export(store, tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)


# ---- hostile keys ----------------------------------------------------------------------------------------

HOSTILE = [
    "../../escaped",
    "/etc/escaped",
    "a",
    "a/timestamps.txt",
    "a.tsv/b",
    "A",
    "-",
    ".",
    "..",
    "a/",
    "a//b",
]
HOSTILE += [
    "names",
    "names.tsv",
    ".tickline/tree.sqlite",
    ".stop_extraction",
    "x" * 900,
    "a\tb",
    "a\x0bb",
    "%2e",
]
HOSTILE += [
    "caf\u00e9",
    "cafe\u0301",
    "a\\..\\b",
    "$(id)",
    "a;b",
    "q/" * 400 + "q",
    "~0123456789abcdef",
]


@pytest.mark.parametrize("tree", ["binned", "extraction"])
def test_hostile_keys_stay_in_the_tree_and_none_is_lost(tmp_path: Path, tree: str) -> None:
    lines = [line(7 * at + more, key=key) for at, key in enumerate(HOSTILE) for more in range(3)]
    store = store_of(tmp_path, {"2024/05/01.log": lines})
    there = {str(path) for path in tmp_path.rglob("*")}
    export(store, tmp_path / "deep/out", tree)
    new = {str(path) for path in tmp_path.rglob("*")} - there
    inside = str(tmp_path / "deep")
    assert all(path.startswith(inside) for path in new if not path.startswith(str(store)))
    found = read_back(tmp_path / "deep/out" / tree, tree)
    assert found == expected([tmp_path / "raw/2024/05/01.log"], tree)
    assert len(found) == len(HOSTILE)


def test_a_key_gives_way_when_another_comes_and_comes_back_when_it_goes(tmp_path: Path) -> None:
    lines = [line(1, key="dir/read"), line(2, key="apart")]
    store = store_of(tmp_path, {"2024/05/01.log": lines})
    export(store, tmp_path / "out")
    first = all_files(tmp_path / "out")
    assert "binned/dir/read.tsv" in first
    later = line(3, key="dir/READ.tsv/x", time="02/May/2024:00:00:00")
    store_of(tmp_path, {"2024/05/02.log": [later]})
    report = export(store, tmp_path / "out")
    assert report.removed == 1
    assert "binned/dir/read.tsv" not in all_files(tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)
    found = read_back(tmp_path / "out/binned", "binned")
    assert set(found) == {b"dir/read", b"apart", b"dir/READ.tsv/x"}
    (tmp_path / "raw/2024/05/02.log").write_bytes(b"")
    take(store, tmp_path / "raw")
    export(store, tmp_path / "out")
    assert all_files(tmp_path / "out") == {**first, "reduced/2024/05/02.tsv": b""}
