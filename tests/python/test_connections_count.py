"""Counts of connections as the core keeps them: merged, handed over as Arrow tables, and taken back."""

from __future__ import annotations

import threading
from typing import Any

import polars
import pyarrow as pa
import pytest

from tickline import _core

LOG = b"1549411238 tower Papa\n1549411239 alta Mike\n1549411238.5 tower Papa\n1549413000 tower Papa\n"
EXPECTED = [
    {"bucket": 1291176, "host_from": "alta", "host_to": "Mike", "count": 1},
    {"bucket": 1291176, "host_from": "tower", "host_to": "Papa", "count": 2},
    {"bucket": 1291177, "host_from": "tower", "host_to": "Papa", "count": 1},
]


def counted(*texts: bytes, **options: Any) -> _core.ConnectionsCount:
    window = {"since_ns": 0, "until_ns": 2**62, "origin_ns": 0, "bucket_ns": 1200 * 10**9}
    count = _core.ConnectionsCount(**{**window, **options})
    for text in texts:
        count.feed(text)
    count.finish()
    return count


def rows(count: _core.ConnectionsCount) -> list[dict[str, Any]]:
    return pa.record_batch(count.table()).to_pylist()


def test_counts_are_sorted_and_the_same_whatever_the_pieces() -> None:
    assert rows(counted(LOG)) == EXPECTED
    assert rows(counted(*(LOG[i : i + 1] for i in range(len(LOG))))) == EXPECTED
    assert rows(counted()) == []


def test_span_says_how_far_lines_go_back() -> None:
    ns = 10**9
    assert counted(LOG).span() == (1549411238 * ns, 1549413000 * ns, ns // 2)
    assert counted(b"bad\n").span() is None


def test_merged_counts_are_those_of_one_pass() -> None:
    lines = LOG.splitlines(keepends=True)
    for cut in range(len(lines) + 1):
        one, other = counted(*lines[:cut]), counted(*lines[cut:])
        assert other.merge(one)
        assert rows(other) == EXPECTED
    with pytest.raises(ValueError, match="itself"):
        one.merge(one)


def test_tables_come_back_in_any_form_of_arrow() -> None:
    batch = pa.record_batch(counted(LOG).table())
    table = pa.table(counted(LOG).table())
    plain = table.cast(
        pa.schema(
            [
                ("bucket", "int64"),
                ("host_from", pa.large_string()),
                ("host_to", "string"),
                ("count", "uint64"),
            ]
        )
    )
    for given in (counted(LOG).table(), batch, table, plain, polars.DataFrame(table)):
        count = counted()
        assert count.add_table(given)
        assert rows(count) == EXPECTED
    count = counted()
    assert count.add_table(batch.slice(1, 1))
    assert count.add_table(table.slice(2))
    assert rows(count) == EXPECTED[1:]


def test_tables_that_are_no_counts_are_refused() -> None:
    table = pa.table(counted(LOG).table())
    with pytest.raises(TypeError, match="a table of bucket"):
        counted().add_table(table.drop_columns("count"))
    with pytest.raises(TypeError, match="a table of bucket"):
        counted().add_table(table["bucket"])
    with pytest.raises(TypeError, match="__arrow_c_stream__"):
        counted().add_table(7)
    nulls = table.set_column(3, "count", pa.array([1, None, 1], pa.uint64()))
    with pytest.raises(ValueError, match="null in row 1"):
        counted().add_table(nulls)


def test_memory_is_kept_and_refusals_are_told() -> None:
    text = b"".join(b"1549411238 host%d b\n" % i for i in range(50_000))
    count = counted(text, memory=2**20)
    assert count.refused
    assert count.memory <= 2**20
    lines = count.counts()
    assert lines["accepted"] == lines["lines"] == len(rows(count)) < 50_000
    big = counted(text)
    small = counted(memory=2**20)
    assert not big.refused
    assert not small.merge(big)
    assert not counted(memory=2**20).add_table(big.table())


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="bucket_ns"):
        counted(bucket_ns=1)
    with pytest.raises(ValueError, match="max_line_bytes"):
        counted(max_line_bytes=2**40)


def test_one_thread_at_a_time() -> None:
    count = counted()
    text = b"1549411238 tower Papa\n" * 2_000_000
    worker = threading.Thread(target=count.feed, args=(text,))
    worker.start()
    refused = 0
    while worker.is_alive():
        try:
            count.counts()
        except RuntimeError:
            refused += 1
    worker.join()
    assert count.counts()["accepted"] == 2_000_000
    assert refused > 0
