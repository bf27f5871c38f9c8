"""Stores of older formats become what this version makes, row by row, whenever the process is killed."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from python import store_kill_driver
from python.access_support import environment, log
from python.ingest_support import daily, daily_of_rows, rows, states, take
from python.trees_support import binned, reduced, taken, write
from tickline.errors import TicklineError
from tickline.pipelines.access.verify.verify import verify
from tickline.store import ledger_schema
from tickline.store.folder import StoreFolder
from tickline.store.ledger_schema import SEALED, seal
from tickline.store.pseudonyms import ENVIRONMENT
from tickline.store.settings import FORMAT, WantedSettings, read_settings

pytest.importorskip("pyarrow")

STORED = Path(__file__).parents[1] / "data/golden/store-v1"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the stored one."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    return _copy(tmp_path / "store")


def _copy(store: Path) -> Path:
    shutil.copytree(STORED, store)
    # A checkout knows nothing of modes.
    for name in ("pseudonym.key", "private/ips.sqlite"):
        (store / name).chmod(0o600)
    return store


def _format(store: Path) -> tuple[int, int]:
    with sqlite3.connect(store / "ledger.sqlite") as db:
        number = db.execute("PRAGMA user_version").fetchone()[0]
    db.close()
    return number, read_settings(store).format


def _tables(folder: StoreFolder) -> dict[str, list[tuple[Any, ...]]]:
    """Return columns, keys and indexes of all tables."""
    names = [row[0] for row in folder.ledger.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {
        name: [
            tuple(row)
            for pragma in ("table_info", "foreign_key_list", "index_list")
            for row in folder.ledger.rows(f"PRAGMA {pragma}({name})")
        ]
        for name in names
    }


def _state(store: Path) -> Any:
    with StoreFolder.open(store) as folder:
        assert folder.ledger.format == folder.settings.format == FORMAT
        findings = verify(folder, sample=0)
        assert findings.found == []
        tables = {
            table: [tuple(row) for row in folder.ledger.rows(f"SELECT * FROM {table}")]
            for table in (*SEALED, "rejects", "requesters", "meta")
        }
    assert daily(store) == daily_of_rows(store)
    return tables, rows(store), daily(store)


def test_an_old_store_has_the_tables_of_a_new_one(store: Path, tmp_path: Path) -> None:
    assert _format(store) == (1, 1)
    with (
        StoreFolder.open(store) as old,
        StoreFolder.open_or_create(tmp_path / "new", WantedSettings()) as new,
    ):
        assert _tables(old) == _tables(new)
        with pytest.raises(TicklineError, match="CHECK"), old.ledger.transaction() as db:
            db.execute("UPDATE sources SET form = 'other'")
    assert _format(store) == (FORMAT, FORMAT)


@pytest.mark.parametrize("at_a_time", [1, 2, 10_000])
def test_all_sources_are_logs_and_their_seals_fit(
    store: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(ledger_schema, "_SOURCES_AT_A_TIME", at_a_time)
    with StoreFolder.open(store) as folder:
        found = [dict(row) for row in folder.ledger.rows("SELECT * FROM sources")]
        assert len(found) == 3
        assert {(row["form"], row["key"]) for row in found} == {("log", None)}
        assert all(seal("sources", row) == row["seal"] for row in found)
        assert verify(folder).found == []


def test_a_row_that_was_edited_before_is_still_named(store: Path) -> None:
    with sqlite3.connect(store / "ledger.sqlite") as db:
        db.execute("UPDATE sources SET lines = lines + 1, filtered = '{\"ip\": 2}' WHERE id = 1")
    db.close()
    with StoreFolder.open(store) as folder:
        found = {(one.what, one.where) for one in verify(folder, sample=0).found}
    assert ("seal", "sources, row 1") in found
    assert {where for what, where in found if what == "seal"} == {"sources, row 1"}


def test_a_kill_at_any_moment_of_the_change_is_made_good_by_the_next_opening(
    store: Path, tmp_path: Path
) -> None:
    wanted = _state(store)
    at, killed, formats = 0, True, set()
    while killed:
        at += 1
        victim = _copy(tmp_path / f"victim{at}")
        command = [sys.executable, store_kill_driver.__file__, str(victim), f"die={at}", "open"]
        done = subprocess.run(command, env=environment(), capture_output=True, timeout=300)
        killed = done.returncode == -signal.SIGKILL
        assert killed or not done.returncode, done.stderr.decode()
        formats.add(_format(victim))
        assert _state(victim) == wanted, f"a kill at {at}"
    assert formats == {(1, 1), (FORMAT, 1), (FORMAT, FORMAT)}


def test_a_store_that_another_run_is_writing_into_is_not_changed(store: Path) -> None:
    from tickline.store.folder import _lock

    with _lock(store), pytest.raises(TicklineError, match="another run is writing"):
        StoreFolder.open(store)
    assert _format(store) == (1, 1)


def test_an_old_store_takes_logs_and_tables(store: Path, tmp_path: Path) -> None:
    before = rows(store)
    raw = write(tmp_path / "raw", {"a.log": log(0, 9)})
    assert states(take(store, raw)) == {"new": 1}
    assert states(taken(store, "reduced", write(tmp_path / "days", {"a.tsv": reduced(0, 5)}))) == {"new": 1}
    assert states(taken(store, "binned", write(tmp_path / "keys", {"a.tsv": binned(0, 5)}))) == {"new": 1}
    found = rows(store)
    assert len(found) == len(before) + 19
    assert all(row in found for row in before)
    with StoreFolder.open(store) as folder:
        findings = verify(folder, sample=10)
        assert findings.found == []
        assert findings.sampled == 3
