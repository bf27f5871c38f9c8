"""SQL over a store: right types, one snapshot, nothing but reading, and one part a month for one key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from python.access_support import log
from python.store_support import (
    DAY_MS,
    MAY,
    add_rows,
    all_rows,
    ingest_files,
    make_store,
    replace_source,
    rows,
    sums,
)
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.compact import compact, compact_months
from tickline.store import lookup
from tickline.store.folder import StoreFolder
from tickline.store.lookup import accesses_of_key
from tickline.store.query import connect, register, run, running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoreFolder]:
    runs = [rows(200, 1), rows(200, 2), rows(200, 3, start_ms=MAY + 40 * DAY_MS)]
    with StoreFolder.open(make_store(tmp_path / "it's a store", *runs)) as folder:
        yield folder


def _answer(folder: StoreFolder, sql: str) -> list[tuple[Any, ...]]:
    with connect(folder) as connection:
        return run(connection, sql).fetchall()


def test_accesses_are_the_rows_of_the_parts(store: StoreFolder) -> None:
    with connect(store) as connection:
        found = run(connection, "FROM accesses ORDER BY source, line").to_arrow_table()
    expected = all_rows(store).sort_by([("source", "ascending"), ("line", "ascending")])
    assert found.column_names == expected.column_names
    assert found.to_pylist() == expected.to_pylist()


def test_daily_is_summed_over_files_in_64_bits(store: StoreFolder) -> None:
    with connect(store) as connection:
        found = run(connection, "FROM daily").to_arrow_table()
    assert [str(found.schema.field(name).type) for name in found.column_names] == [
        "date32[day]",
        "string",
        "uint64",
        "uint64",
        "uint64",
        "uint64",
    ]
    assert sorted(map(tuple, (row.values() for row in found.to_pylist())), key=repr) == sums(store)


def test_rows_of_replaced_sources_are_left_out(store: StoreFolder) -> None:
    replace_source(store, 2)
    assert _answer(store, "SELECT DISTINCT source FROM accesses ORDER BY 1") == [(1,), (3,)]
    by_rows = "SELECT sum(bytes_sent)::UBIGINT, count(*) FROM accesses"
    by_days = "SELECT sum(bytes_sent)::UBIGINT, sum(requests)::BIGINT FROM daily"
    assert _answer(store, by_rows) == _answer(store, by_days)
    key = all_rows(store)["key"].drop_null()[0].as_py()
    expected = [row for row in all_rows(store).to_pylist() if row["key"] == key and row["source"] != 2]
    found = accesses_of_key(store, key).to_pylist()
    assert sorted(map(repr, found)) == sorted(map(repr, expected))


def test_an_empty_store_has_empty_views_of_the_same_types(store: StoreFolder, tmp_path: Path) -> None:
    with StoreFolder.open(make_store(tmp_path / "empty")) as empty, connect(empty) as nothing:
        with connect(store) as connection:
            for view in ("accesses", "daily", "sources", "rejects", "regions"):
                columns = f"SELECT column_name, column_type FROM (DESCRIBE {view})"
                assert run(nothing, columns).fetchall() == run(connection, columns).fetchall()
                assert run(nothing, f"SELECT count(*) FROM {view}").fetchall() == [(0,)]
        assert accesses_of_key(empty, "blobs/000").num_rows == 0


def test_ledger_views_tell_sources_rejects_and_regions(tmp_path: Path) -> None:
    logs = tmp_path / "raw"
    logs.mkdir()
    (logs / "a.log").write_bytes(log(0, 30) + b"this is no record at all\n")
    (logs / "b.log").write_bytes(log(0, 30) + b"this is no record at all\n")
    path = tmp_path / "store"
    ingest_files(path, logs)
    with StoreFolder.open(path) as folder:
        sql = "SELECT len(names), lines, accepted, rejected, state, first_time < last_time FROM sources"
        ((names, lines, accepted, rejected, state, ordered),) = _answer(folder, sql)
        assert (names, lines, accepted, state, ordered) == (2, 31, 30, "live", True)
        ((reason, line, offset),) = _answer(folder, 'SELECT reason, line, "offset" FROM rejects')
        assert rejected == f'{{"{reason}": 1}}'
        assert (line, offset) == (31, len(log(0, 30)))
        joined = "SELECT count(*) FROM accesses SEMI JOIN regions USING (requester_id)"
        assert _answer(folder, joined) == [(30,)]
        twice = "SELECT count(*) FROM rejects a, rejects b"
        assert _answer(folder, twice) == [(1,)]


def test_a_connection_stays_at_its_commit(store: StoreFolder) -> None:
    with connect(store) as connection:
        add_rows(store, rows(10, 4))
        compact(store)
        assert run(connection, "SELECT count(*) FROM accesses").fetchall() == [(600,)]
        assert run(connection, "SELECT count(*) FROM sources").fetchall() == [(3,)]
    assert _answer(store, "SELECT count(*) FROM accesses") == [(610,)]


@pytest.mark.parametrize(
    "sql",
    [
        "COPY accesses TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
        "EXPLAIN ANALYZE COPY accesses TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
        "explain (analyze) copy (SELECT 1) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
        "WITH c AS (COPY accesses TO '{part}' (FORMAT parquet, USE_TMP_FILE false)) SELECT 1",
        "(WITH c AS (COPY (SELECT 1) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)) FROM c)",
        "EXPLAIN ANALYZE WITH c AS (COPY daily TO '{part}' (FORMAT parquet, USE_TMP_FILE false)) FROM c",
        "COPY (PIVOT daily ON day USING sum(requests)) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
        "FROM enable_logging('QueryLog', storage = 'stdout')",
        "CREATE TABLE t AS FROM accesses",
        "CREATE TABLE t AS PIVOT daily ON day USING sum(requests)",
        "SET memory_limit = '1TB'",
        "INSTALL httpfs",
        "ATTACH '/tmp/other.db'",
        "SELECT 1; SELECT 2",
        "-- nothing",
        "SELECT * FROM read_text('{key}')",
        "SELECT * FROM '{key}'",
        "SELEC 1",
        "SELECT no_such_column FROM accesses",
    ],
)
def test_only_reading_the_store_is_possible(store: StoreFolder, sql: str) -> None:
    part = store.path / store.ledger.snapshot().parts[0].path
    content = part.read_bytes()
    names = {
        "part": str(part).replace("'", "''"),
        "key": str(store.path / "pseudonym.key").replace("'", "''"),
    }
    with connect(store) as connection, pytest.raises(UsageError) as caught, running():
        run(connection, sql.format(**names)).fetchall()
    assert (store.path / "pseudonym.key").read_text().strip() not in str(caught.value)
    assert part.read_bytes() == content


@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE accesses",
        "SUMMARIZE daily",
        "SHOW TABLES",
        "EXPLAIN SELECT 1",
        "EXPLAIN (ANALYZE) FROM daily",
        "FROM daily LIMIT 1;",
        "FROM daily SELECT key LIMIT 1 -- the first one",
        "VALUES (1)",
        'WITH copy AS (FROM daily) SELECT \'"name": "COPY_TO_FILE"\' FROM copy',
        "PIVOT daily ON requests IN (1, 2) USING sum(bytes_sent) GROUP BY key",
        "FROM daily PIVOT (sum(bytes_sent) FOR requests IN (1, 2) GROUP BY key)",
        "UNPIVOT daily ON requests, downloads INTO NAME measure VALUE number",
        "DESCRIBE (UNPIVOT daily ON requests, downloads)",
    ],
)
def test_all_that_reads_is_taken(store: StoreFolder, sql: str) -> None:
    assert _answer(store, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "PIVOT daily ON requests USING sum(bytes_sent) GROUP BY key",
        "EXPLAIN PIVOT daily ON requests USING count(*)",
        "FROM (PIVOT daily ON requests USING count(*)) LIMIT 1",
    ],
)
def test_a_pivot_that_does_not_name_its_values_is_told_how_to(store: StoreFolder, sql: str) -> None:
    with pytest.raises(UsageError, match=r"PIVOT without IN .*Name the values: (.*)\.$") as caught:
        _answer(store, sql)
    assert caught.value.hint is not None
    assert _answer(store, caught.value.hint.removeprefix("Name the values: ").rstrip("."))


def test_a_file_that_is_gone_is_a_sentence(store: StoreFolder) -> None:
    victim = store.path / store.ledger.snapshot().parts[0].path
    with connect(store) as connection:
        victim.unlink()
        with pytest.raises(TicklineError, match="this file of the store is gone") as caught, running():
            run(connection, "SELECT sum(line) FROM accesses").fetchall()
    assert "vacuum" in str(caught.value)
    with pytest.raises(TicklineError, match="this file of the store is gone"):
        connect(store)


def test_a_file_that_was_cut_is_no_wrong_statement(store: StoreFolder) -> None:
    victim = store.path / store.ledger.snapshot().daily[0].path
    victim.write_bytes(victim.read_bytes()[:-50])
    with pytest.raises(TicklineError, match="verify") as caught, running():
        connect(store)
    assert not isinstance(caught.value, UsageError)


def test_summary_tables_become_views(store: StoreFolder) -> None:
    with connect(store) as connection:
        register(connection, {"by_day": pa.table({"day": [1, 2]})})
        assert run(connection, "SELECT sum(day)::INT FROM by_day").fetchall() == [(3,)]


def test_what_does_not_fit_goes_to_the_disk_and_away_again(store: StoreFolder) -> None:
    sql = "SELECT count(*) FROM (SELECT a.* FROM accesses a, range(4000) ORDER BY a.line, a.key, a.time)"
    with connect(store, memory="60MB", threads=1) as connection:
        assert run(connection, sql).fetchall() == [(2_400_000,)]
    assert [path.name for path in store.path.iterdir() if path.name.startswith(".")] == []


def test_one_key_opens_one_part_a_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickline.store.parts._ROWS_PER_GROUP", {"accesses": 64, "daily": 64})
    runs = [rows(500, source, keys=100, start_ms=MAY + 31 * DAY_MS * (source % 2)) for source in range(1, 5)]
    with StoreFolder.open(make_store(tmp_path / "store", *runs)) as folder:
        with folder.writing():
            compact_months(folder, ["2024-05", "2024-06"], part_rows=150)
        assert len(folder.ledger.snapshot().parts) > 6
        opened: list[Path] = []
        open_part = lookup.open_part

        def counting(path: Path, kind: str, metadata: Any = None) -> Any:
            if metadata is not None:  # the other way only the footer is read
                opened.append(path)
            return open_part(path, kind, metadata)

        monkeypatch.setattr(lookup, "open_part", counting)
        whole = all_rows(folder).to_pylist()
        for key in ("blobs/007/ü", "blobs/001/ü", "blobs/none", "zzz", None):
            opened.clear()
            found = accesses_of_key(folder, key)
            expected = [row for row in whole if row["key"] == key]
            assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, expected))
            assert found["time"].to_pylist() == sorted(found["time"].to_pylist())
            # This one has more rows than a part.
            assert len(opened) <= 2 or key == "blobs/001/ü"
            assert not opened or key != "zzz"
