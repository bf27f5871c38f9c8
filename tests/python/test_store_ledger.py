"""The ledger: whole transactions, dense numbers, seals, and sentences for what is wrong with it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from python.store_support import add_rows, make_store, rows
from tickline.errors import TicklineError
from tickline.store.folder import StoreFolder
from tickline.store.ledger import signed, unsigned
from tickline.store.ledger_schema import SEALED, rejects_digest, seal

BIG = 2**64 - 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreFolder]:
    with StoreFolder.open(make_store(tmp_path / "store", rows(50, 1), rows(50, 2))) as folder:
        yield folder


def test_a_transaction_happens_or_does_not(store: StoreFolder) -> None:
    before = store.ledger.snapshot()

    def stopped() -> None:
        with store.ledger.transaction():
            commit = store.ledger.begin_commit("compact")
            store.ledger.remove_parts(commit, [before.parts[0].id])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert store.ledger.snapshot() == before
    assert not store.ledger.db.in_transaction


def test_a_snapshot_is_one_state_for_readers_beside_a_writer(store: StoreFolder) -> None:
    with StoreFolder.open(store.path) as reader:
        before = reader.ledger.snapshot()
        with store.ledger.transaction():
            commit = store.ledger.begin_commit("compact")
            store.ledger.remove_parts(commit, [part.id for part in before.parts])
            assert reader.ledger.snapshot() == before
        after = reader.ledger.snapshot()
    assert (after.commit, after.parts, after.daily) == (before.commit + 1, (), before.daily)


def test_numbers_of_requesters_are_dense_and_stay(store: StoreFolder) -> None:
    new = np.array([5, BIG, 2**63, 7], np.uint64)
    known = store.ledger.rows("SELECT count(*) FROM requesters")[0][0]
    with store.ledger.transaction():
        store.ledger.add_requesters(new)
        store.ledger.add_requesters(new[::-1])
    numbers, labels = store.ledger.requesters(new)
    # One of them was there already.
    assert sorted(numbers.tolist())[-3:] == list(range(known + 1, known + 4))
    assert labels == [None] * 4
    with store.ledger.transaction():
        store.ledger.set_labels([(BIG, "bogon", None)])
    assert store.ledger.requesters(new)[1] == [None, "bogon", None, None]
    assert store.ledger.requesters(new)[0].tolist() == numbers.tolist()
    assert BIG not in store.ledger.unlabelled()
    assert 2**63 in store.ledger.unlabelled()
    with pytest.raises(TicklineError, match="1 requesters of the parts are not in the ledger"):
        store.ledger.requesters(np.array([5, 6], np.uint64))


def test_signed_and_unsigned_are_inverse() -> None:
    for number in (0, 1, 2**63 - 1, 2**63, BIG):
        assert unsigned(signed(number)) == number
        assert -(2**63) <= signed(number) < 2**63


def test_days_since_a_commit_are_those_of_later_ingests(store: StoreFolder) -> None:
    last = store.ledger.snapshot().commit
    assert store.ledger.days_since(last) == set()
    add_rows(store, rows(20, 3, days=1, start_ms=86_400_000 * 20_000))
    assert store.ledger.days_since(last) == {20_000}
    assert {19_844, 20_000} <= store.ledger.days_since(0)


def test_a_seal_changes_with_every_value(store: StoreFolder) -> None:
    for table in SEALED:
        for found in store.ledger.rows(f"SELECT * FROM {table}"):
            row = dict(found)
            assert seal(table, row) == row["seal"]
            for name in row.keys() - {"seal"}:
                assert seal(table, row | {name: "other"}) != row["seal"]
    assert rejects_digest([(1, 2, 3, "cut")]) != rejects_digest([(1, 2, 3, "cut"), (2, 2, 3, "cut")])


def test_what_is_wrong_with_a_ledger_is_a_sentence(store: StoreFolder, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other")
    ledger = store.path / "ledger.sqlite"
    store.close()
    content = ledger.read_bytes()
    ledger.write_bytes((other / "ledger.sqlite").read_bytes())
    with pytest.raises(TicklineError, match="belongs to another store"):
        StoreFolder.open(store.path)
    ledger.write_bytes(b"SQLite format 3\0" + b"damaged " * 1000)
    with pytest.raises(TicklineError, match="ledger"):
        StoreFolder.open(store.path)
    ledger.unlink()
    with pytest.raises(TicklineError, match=r"has no ledger\.sqlite"):
        StoreFolder.open(store.path)
    assert not ledger.exists()
    ledger.write_bytes(content)
    with sqlite3.connect(ledger) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(TicklineError, match="newer version"):
        StoreFolder.open(store.path)
