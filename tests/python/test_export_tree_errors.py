"""Trees of addresses: what is refused, what goes wrong, and kills at any moment."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from python.access_support import environment, line
from python.ingest_support import KEY
from python.tree_support import DAYS, all_files, expected, export, files_of, fresh, read_back, store_of
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.forget import forget_addresses
from tickline.pipelines.access.state import lock
from tickline.pipelines.access.trees import files as export_tree_files
from tickline.pipelines.access.trees import tree_rows as export_tree_rows
from tickline.pipelines.access.trees.export import TREES, export_binned
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")

DRIVER = Path(__file__).with_name("tree_kill_driver.py")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)


# ---- what is refused, and what goes wrong ----------------------------------------------------------------


@pytest.mark.parametrize("tree", TREES)
def test_a_store_without_addresses_gives_no_such_tree(tmp_path: Path, tree: str) -> None:
    store = store_of(tmp_path, DAYS, wanted=WantedSettings(addresses=False))
    with pytest.raises(UsageError, match="keeps no addresses"):
        export(store, tmp_path / "out", tree)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tree", TREES)
def test_forgotten_addresses_are_not_looked_for(tmp_path: Path, tree: str) -> None:
    store = store_of(tmp_path, DAYS)
    with StoreFolder.open(store) as folder:
        forget_addresses(folder)
    with pytest.raises(UsageError, match="were forgotten"):
        export(store, tmp_path / "out", tree)
    assert not (tmp_path / "out").exists()


def test_a_tree_that_is_none_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    with pytest.raises(UsageError, match="'bined' is no tree"):
        export(store, tmp_path / "out", "binned", "bined")
    assert not (tmp_path / "out").exists()


def test_tree_and_store_do_not_lie_within_one_another(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    with StoreFolder.open(store) as folder:
        for root in (store, store / "out", tmp_path):
            with pytest.raises(UsageError, match="lies within the"):
                export_binned(folder, root)
    assert not (store / "out").exists()


def test_the_store_of_a_tree_may_lie_with_its_record(tmp_path: Path) -> None:
    store = tmp_path / "binned/.tickline/store"
    shutil.copytree(store_of(tmp_path, DAYS), store)
    with StoreFolder.open(store) as folder:
        export_binned(folder, tmp_path / "binned", compat="strict")
    assert set(files_of(tmp_path / "binned")) == {f"blobs/{number}.tsv" for number in range(7)}


def test_one_run_at_a_time(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    held = lock(tmp_path / "out/binned")
    try:
        with pytest.raises(TicklineError, match="another run is writing"):
            export(store, tmp_path / "out", "binned")
    finally:
        os.close(held)


def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, DAYS)
    monkeypatch.setattr(export_tree_files, "_BATCH_FILES", 4)
    write, left = os.write, [30]

    def full(descriptor: int, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    with monkeypatch.context() as patch:
        patch.setattr(export_tree_files.os, "write", full)
        with pytest.raises(SourceError, match="the disk is full"):
            export(store, tmp_path / "out")
    assert not list((tmp_path / "out/extraction/.tickline/new").iterdir())
    export(store, tmp_path / "out")
    assert all_files(tmp_path / "out") == fresh(store, tmp_path)


def test_a_damaged_record_is_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out", "binned")
    path = tmp_path / "out/binned/.tickline/tree.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(TicklineError, match=r"cannot be used .*Remove it"):
        export(store, tmp_path / "out", "binned")
    path.unlink()
    assert export(store, tmp_path / "out", "binned").written == 0


def test_a_tree_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out", "binned")
    with sqlite3.connect(tmp_path / "out/binned/.tickline/tree.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(TicklineError, match="newer version of tickline"):
        export(store, tmp_path / "out", "binned")


def test_sources_that_are_replaced_meanwhile_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, DAYS)
    pieces = export_tree_rows.KeyContents.pieces

    def replaced(contents: export_tree_rows.KeyContents, ids: list[str] | None) -> Iterator[object]:
        yield from pieces(contents, ids)
        store_of(tmp_path, {"2024/05/02.log": [line(7, key="blobs/4")]})

    with monkeypatch.context() as patch:
        patch.setattr(export_tree_rows.KeyContents, "pieces", replaced)
        with pytest.raises(TicklineError, match="replaced or regions changed while"):
            export(store, tmp_path / "out", "binned")
    export(store, tmp_path / "out", "binned")
    logs = [tmp_path / "raw" / name for name in DAYS]
    assert read_back(tmp_path / "out/binned", "binned") == expected(logs, "binned")


def test_a_record_that_leads_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    store = store_of(tmp_path, DAYS)
    export(store, tmp_path / "out", "binned")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    with sqlite3.connect(tmp_path / "out/binned/.tickline/tree.sqlite") as db:
        db.execute("INSERT INTO gone VALUES ('../../outside')")
        db.execute("UPDATE entries SET pending = 1")
    db.close()
    with pytest.raises(TicklineError, match="a name in it leads out of the tree"):
        export(store, tmp_path / "out", "binned")
    assert outside.read_text() == "mine"


# ---- kills -----------------------------------------------------------------------------------------------


def _driven(store: Path, out: Path, tree: str, at: int) -> int:
    command = [sys.executable, str(DRIVER), str(store), str(out), tree, str(at)]
    done = subprocess.run(
        command, env=environment(**{ENVIRONMENT: KEY}), capture_output=True, text=True, timeout=300
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize(
    ("tree", "kills"),
    [(tree, 5) for tree in TREES]
    + [pytest.param(tree, 150, id=f"{tree}-long", marks=pytest.mark.soak) for tree in TREES],
)
def test_a_killed_run_leaves_whole_files_and_the_next_one_goes_on(
    tmp_path: Path, tree: str, kills: int
) -> None:
    keys = ["a", "b/c", "b/d", "e", "gone"]
    store = store_of(
        tmp_path,
        {
            "2024/05/01.log": [line(number, key=keys[number % 4]) for number in range(30)],
            "2024/05/02.log": [line(number, key=keys[4]) for number in range(40, 44)],
        },
    )
    export(store, tmp_path / "before", tree)
    # A key goes, one grows, one gives way to one that comes.
    store_of(
        tmp_path,
        {
            "2024/05/02.log": [line(50, key="a")],
            "2024/05/03.log": [line(60, key="A"), line(61, key="b/c")],
        },
    )
    export(store, tmp_path / "fresh", tree)
    after = files_of(tmp_path / "fresh" / tree)
    whole = {*files_of(tmp_path / "before" / tree).items(), *after.items()}
    for kill in range(kills):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tmp_path / "before", out)
        # The first moments, and then some further on; shared out so that all are met in the long run.
        if _driven(store, out, tree, 1 + kill * (1 if kills > 50 else 7)) == 0:
            assert kill > 1
            break
        assert {*files_of(out / tree).items()} <= whole
        export(store, out, tree)
        assert files_of(out / tree) == after
        assert not list((out / tree / ".tickline/new").iterdir())
