"""Rows by key and by source: the same as in a plain sort of all rows, whatever the stretches."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python.access_support import line, log
from python.ingest_support import take
from python.store_support import DAY_MS, MAY, add_rows, all_rows, make_store, replace_source, rows
from python.tree_support import store_of
from tickline.errors import TicklineError
from tickline.pipelines.access.trees import rows as export_rows
from tickline.pipelines.access.trees.rows import (
    keys_of,
    rows_by_key,
    source_batches,
    sources_in_order,
)
from tickline.store.folder import StoreFolder
from tickline.store.settings import WantedSettings

pa = pytest.importorskip("pyarrow")

COLUMNS = ("time", "bytes_sent", "http_status", "source", "line", "requester_id")
DAY = MAY // DAY_MS


def _mixed(number: int, source: int, **more: Any) -> Any:
    """Return rows of which the old programs keep about half."""
    table = rows(number, source, **more)
    draw = np.random.default_rng(source)
    status = draw.choice([200, 206, 299, 300, 199, 404], number)
    known = draw.random(number) > 0.1
    operation = draw.choice(["REST.GET.OBJECT", "REST.GET.OBJECT", "REST.HEAD.OBJECT"], number)
    table = table.set_column(
        table.column_names.index("http_status"), "http_status", pa.array(status, pa.uint16(), mask=~known)
    )
    return table.set_column(table.column_names.index("operation"), "operation", pa.array(operation))


def _slowly(folder: StoreFolder, order: str, trees: Sequence[int] = ()) -> dict[str | None, list[Any]]:
    """Return the kept rows of each key: all rows, one by one."""
    found: dict[str | None, list[Any]] = {}
    replaced = folder.ledger.snapshot().replaced
    for row in all_rows(folder).to_pylist():
        kept = 200 <= row["http_status"] < 300 if row["http_status"] is not None else row["source"] in trees
        if kept and row["operation"] == "REST.GET.OBJECT" and row["source"] not in replaced:
            found.setdefault(row["key"], []).append(tuple(row[name] for name in COLUMNS))
    for mine in found.values():
        # The sources of these stores have no names, and stand in the order of their numbers.
        mine.sort(key=lambda row: (row[3], row[4]) if order == "line" else (row[0], row[3], row[4]))
    return found


def _by_key(tables: Iterator[tuple[str | None, Any]]) -> dict[str | None, list[Any]]:
    """Put the pieces of each key together; a key may go on, but never come again."""
    found: dict[str | None, list[Any]] = {}
    last: object = object()
    for key, table in tables:
        assert table.num_rows
        assert key == last or key not in found
        found.setdefault(key, []).extend(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True))
        last = key
    in_order = sorted(found, key=lambda key: (key is None, (key or "").encode()))
    assert list(found) == in_order
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreFolder]:
    path = make_store(tmp_path_factory.mktemp("rows") / "store", operations="all", statuses="all")
    with StoreFolder.open(path) as folder:
        for source in (1, 2, 3):
            add_rows(folder, _mixed(400, source, start_ms=MAY + (source - 1) * 20 * DAY_MS))
        add_rows(folder, _mixed(300, 4, days=1), _mixed(100, 5, start_ms=MAY + 5 * DAY_MS, days=1))
        replace_source(folder, 2)
        yield folder


def test_all_keys_with_all_their_kept_rows(store: StoreFolder) -> None:
    expected = _slowly(store, "line")
    assert None in expected
    assert 10 < len(expected) < sum(map(len, expected.values()))
    assert _by_key(rows_by_key(store, columns=COLUMNS)) == expected


def test_rows_of_a_key_by_time(store: StoreFolder) -> None:
    assert _by_key(rows_by_key(store, columns=COLUMNS, order="time")) == _slowly(store, "time")


@settings(max_examples=10)
@given(stretch=st.integers(1, 300), keys=st.integers(1, 5), batch=st.sampled_from([1, 7, 2048]))
def test_where_stretches_and_batches_are_cut_does_not_show(
    store: StoreFolder, stretch: int, keys: int, batch: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export_rows, "_STRETCH_ROWS", stretch)
        patch.setattr(export_rows, "_STRETCH_KEYS", keys)
        patch.setattr(export_rows, "_BATCH_ROWS", batch)
        assert _by_key(rows_by_key(store, columns=COLUMNS)) == _slowly(store, "line")


@settings(max_examples=10)
@given(chosen=st.lists(st.sampled_from([None, "no such key", *(f"blobs/{at:03}/ü" for at in range(20))])))
def test_only_the_keys_that_are_wanted(store: StoreFolder, chosen: list[str | None]) -> None:
    expected = {key: mine for key, mine in _slowly(store, "line").items() if key in chosen}
    assert _by_key(rows_by_key(store, columns=COLUMNS, keys=chosen)) == expected


def test_keys_of_some_days_come_with_the_rows_of_all_days(store: StoreFolder) -> None:
    rows_of_day = {
        row["key"]
        for row in all_rows(store).to_pylist()
        if row["time"].timestamp() * 1000 // DAY_MS == DAY + 5 and row["source"] != 2
    }
    expected = {key: mine for key, mine in _slowly(store, "line").items() if key in rows_of_day}
    assert 0 < len(expected) < len(_slowly(store, "line"))
    assert _by_key(rows_by_key(store, columns=COLUMNS, days={DAY + 5})) == expected
    assert {key for keys in keys_of(store, {DAY + 5}) for key in keys} == rows_of_day
    assert not list(rows_by_key(store, columns=COLUMNS, days=set()))


def test_days_since_a_commit_name_all_keys_that_later_commits_brought(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", rows(50, 1, keys=30))
    with StoreFolder.open(path) as folder:
        commit, _ = folder.ledger.state()
        late = rows(20, 2, keys=30, start_ms=MAY - 3 * DAY_MS)
        add_rows(folder, late)
        found = {
            key for key, _ in rows_by_key(folder, columns=COLUMNS, days=folder.ledger.days_since(commit))
        }
        assert found == set(late["key"].to_pylist())


def test_a_row_without_status_counts_where_it_came_from_a_tree(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", statuses="all", operations="all")
    with StoreFolder.open(path) as folder:
        add_rows(folder, _mixed(200, 1))
        add_rows(folder, _mixed(200, 2))
        before = _by_key(rows_by_key(folder, columns=COLUMNS))
        folder.ledger.db.execute("UPDATE sources SET form = 'reduced' WHERE id = 2")
        after = _by_key(rows_by_key(folder, columns=COLUMNS))
        assert before == _slowly(folder, "line")
        assert after == _slowly(folder, "line", trees=[2]) != before


def test_an_empty_store_has_no_keys(tmp_path: Path) -> None:
    with StoreFolder.open_or_create(tmp_path / "store", WantedSettings()) as folder:
        assert not list(rows_by_key(folder, columns=COLUMNS))
        assert not list(source_batches(folder, columns=COLUMNS, sources=[]))
        assert not list(keys_of(folder))


def test_rows_of_sources_are_the_lines_of_each(store: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_rows, "_STRETCH_ROWS", 250)
    expected: dict[int, list[Any]] = {}
    for mine in _slowly(store, "line").values():
        for row in mine:
            expected.setdefault(row[3], []).append(row)
    found: dict[int, list[Any]] = {}
    for batch in source_batches(store, columns=COLUMNS, sources=[5, 1, 3]):
        for source, begin, end in zip(batch.sources, batch.begins[:-1], batch.begins[1:], strict=True):
            table = batch.table.slice(begin, end - begin)
            found.setdefault(source, []).extend(
                zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)
            )
    assert found == {source: sorted(expected[source], key=lambda row: row[4]) for source in (1, 3, 5)}


# ---- what is looked up -----------------------------------------------------------------------------------


def test_addresses_and_regions_stand_beside_the_rows(tmp_path: Path) -> None:
    lines = [line(1, key="k", ip="192.0.2.1"), line(2, key="k", ip="-"), line(3, key="k", ip="2001:db8::1")]
    path = store_of(tmp_path, {"a.log": [*lines, line(4, key="k", ip="192.0.2.1")]})
    columns = ("ip_address", "region", "line")
    with StoreFolder.open(path) as folder:
        ids = folder.ledger.unlabelled()
        addresses = folder.pseudonyms().addresses(ids)
        with folder.ledger.transaction():
            of_one = ids[addresses.index("192.0.2.1")]
            folder.ledger.set_labels([(of_one, "AWS/us-east-2", None)])
        ((key, table),) = rows_by_key(folder, columns=columns)
        assert key == "k"
        assert table.column_names == list(columns)
        assert table["ip_address"].to_pylist() == ["192.0.2.1", None, "2001:db8::1", "192.0.2.1"]
        assert table["region"].to_pylist() == ["AWS/us-east-2", "missing", None, "AWS/us-east-2"]


def test_addresses_are_looked_up_again_when_too_many_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickline.pipelines.access.trees.lookup._MOST_KNOWN", 2)
    monkeypatch.setattr(export_rows, "_BATCH_ROWS", 1)
    monkeypatch.setattr(export_rows, "_STRETCH_KEYS", 1)
    lines = [line(number, key=f"{number % 7}", ip=f"192.0.2.{number % 9}") for number in range(50)]
    with StoreFolder.open(store_of(tmp_path, {"a.log": lines})) as folder:
        found = [
            (key, ip)
            for key, table in rows_by_key(folder, columns=["ip_address"])
            for ip in table["ip_address"].to_pylist()
        ]
    assert found == sorted(
        ((f"{number % 7}", f"192.0.2.{number % 9}") for number in range(50)), key=lambda pair: pair[0]
    )


def test_an_address_that_is_not_known_is_an_error_that_names_none(tmp_path: Path) -> None:
    path = store_of(tmp_path, {"a.log": [line(1, ip="192.0.2.1"), line(2, ip="192.0.2.2")]})
    with StoreFolder.open(path) as folder:
        (path / "private" / "ips.sqlite").unlink()
        with pytest.raises(TicklineError, match="the addresses of 2 requesters are not known") as error:
            list(rows_by_key(folder, columns=["ip_address"]))
    assert "192.0.2" not in str(error.value)


# ---- order of sources ------------------------------------------------------------------------------------


def test_sources_stand_in_natural_order_of_names_whatever_came_first(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, first in (("10.log", 0), ("9.log", 20), ("100.log", 40)):
        (raw / name).write_bytes(log(first, first + 10))
        take(tmp_path / "store", raw)
    with StoreFolder.open(tmp_path / "store") as folder:
        names = [Path(name or "").name for _, name in sources_in_order(folder)]
        assert names == ["9.log", "10.log", "100.log"]
        assert [source for source, _ in sources_in_order(folder)] == [2, 1, 3]


def test_a_source_with_copies_goes_by_its_first_name(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "5.log").write_bytes(log(0, 10))
    (raw / "7.log").write_bytes(log(20, 30))
    take(tmp_path / "store", raw)
    (raw / "3.log.gz").write_bytes(gzip.compress(log(20, 30)))
    take(tmp_path / "store", raw)
    with StoreFolder.open(tmp_path / "store") as folder:
        assert [Path(name or "").name for _, name in sources_in_order(folder)] == ["3.log.gz", "5.log"]
