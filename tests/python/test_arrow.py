"""Tables go to numpy, pyarrow, polars, DuckDB, pandas and nanoarrow and come back with the same values."""

import ctypes
import gc
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import duckdb
import nanoarrow
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tickline import _core
from tickline.errors import TicklineError
from tickline.table import Table, rejects_table

TIMES = [0, 1_556_668_800_000, 253_402_300_799_999]
TEXTS = ["blobs/a", None, "é\U0001f600"]
COUNTS = [0, 2**53 + 1, 2**64 - 1]


def numbers(values: list[int], kind: str = "u8") -> bytes:
    return np.array(values, dtype=kind).tobytes()


def batch(times: list[int], texts: list[str | None], counts: list[int]) -> _core.Batch:
    return _core.batch_from_columns(
        [("time", "tsm:UTC", numbers(times, "i8")), ("key", "u", texts), ("bytes_sent", "L", numbers(counts))]
    )


@pytest.fixture
def table() -> Table:
    """Two batches whose dictionaries give other numbers to the same texts."""
    first = batch(TIMES, TEXTS, COUNTS)
    return Table(first.schema, [first, batch(TIMES[:2], ["new", "blobs/a"], [7, 8])])


TIME_VALUES = [datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000) for ms in TIMES]
EXPECTED = {
    "time": TIME_VALUES + TIME_VALUES[:2],
    "key": TEXTS + ["new", "blobs/a"],
    "bytes_sent": COUNTS + [7, 8],
}


def test_pyarrow_reads_every_value_as_often_as_it_likes(table: Table) -> None:
    for _ in range(3):
        read = pa.table(table)
        read.validate(full=True)
        assert read.to_pydict() == EXPECTED
    assert [str(column.type) for column in read.schema] == [
        "timestamp[ms, tz=UTC]",
        "dictionary<values=string, indices=int32, ordered=0>",
        "uint64",
    ]
    assert pa.schema(table) == read.schema


def test_polars_reads_every_value(table: Table) -> None:
    read = pl.DataFrame(table)
    assert read.to_dict(as_series=False) == EXPECTED
    assert read.schema["bytes_sent"] == pl.UInt64


def test_duckdb_reads_every_value(table: Table) -> None:
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("t", table)
        rows = connection.execute("select epoch_ms(time), key, bytes_sent from t").fetchall()
    assert rows == list(zip(TIMES + TIMES[:2], EXPECTED["key"], EXPECTED["bytes_sent"], strict=True))


def test_nanoarrow_reads_every_value(table: Table) -> None:
    rows = list(nanoarrow.ArrayStream(table).read_all().iter_py())
    assert [row["key"] for row in rows] == EXPECTED["key"]
    assert [row["bytes_sent"] for row in rows] == EXPECTED["bytes_sent"]


def test_pandas_keeps_large_counts_and_nulls(table: Table) -> None:
    frame = table.to_pandas()
    assert frame["bytes_sent"].dtype == pd.UInt64Dtype()
    assert frame["bytes_sent"].tolist() == EXPECTED["bytes_sent"]
    assert frame["time"].tolist() == [pd.Timestamp(time) for time in EXPECTED["time"]]
    assert [None if pd.isna(key) else key for key in frame["key"]] == EXPECTED["key"]
    read = pd.DataFrame.from_arrow(table) if hasattr(pd.DataFrame, "from_arrow") else frame
    assert len(read) == 5


def test_to_pandas_without_pandas_names_what_to_install(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TicklineError, match=r"pip install pandas 'tickline\[access\]'"):
        table.to_pandas()


def test_numpy_columns_have_the_right_types_and_values(table: Table) -> None:
    times = table.column("time")
    assert times.dtype == np.dtype("datetime64[ms]")
    assert times.astype("i8").tolist() == TIMES + TIMES[:2]
    assert table.column("bytes_sent").dtype == np.uint64
    assert table.column("bytes_sent").tolist() == EXPECTED["bytes_sent"]
    assert not isinstance(times, np.ma.MaskedArray)


def test_a_null_is_masked_in_numpy_and_never_zero(table: Table) -> None:
    keys = table.column("key")
    assert isinstance(keys, np.ma.MaskedArray)
    assert keys.mask.tolist() == [False, True, False, False, False]
    assert keys.tolist() == EXPECTED["key"]
    assert keys.data[1] is None


def test_an_unknown_column_is_named_with_those_that_there_are(table: Table) -> None:
    with pytest.raises(KeyError, match="no column 'keys'; there are time, key, bytes_sent"):
        table.column("keys")


def test_numpy_keeps_the_memory_of_a_table_that_is_gone() -> None:
    values = list(range(10_000))
    one = batch(values, [str(value) for value in values], values)
    table = Table(one.schema, [one])
    counts, texts = table.column("bytes_sent"), table.column("key")
    assert not counts.flags.writeable
    del one, table
    gc.collect()
    assert counts.tolist() == values
    assert texts.tolist() == [str(value) for value in values]


def test_columns_of_more_than_one_byte_of_validity_keep_their_nulls_in_place() -> None:
    texts = [None if n % 3 == 0 else f"text{n % 100}" for n in range(1000)]
    one = batch([0] * 1000, texts, [0] * 1000)
    table = Table(one.schema, [one, one])
    assert table.column("key").tolist() == texts * 2
    assert pa.table(table)["key"].to_pylist() == texts * 2


def test_a_table_without_rows_keeps_its_columns_everywhere() -> None:
    columns = ["time", "key", "bytes_sent", "http_status", "request_id"]
    empty = Table(columns)
    assert (len(empty), empty.num_rows, empty.column_names) == (0, 0, tuple(columns))
    assert pa.table(empty).num_rows == 0
    assert pl.DataFrame(empty).columns == columns
    assert pa.schema(empty).names == columns
    assert [empty.column(name).dtype.str for name in columns] == ["<M8[ms]", "|O", "<u8", "<u2", "|O"]
    assert empty.to_pandas().columns.tolist() == columns
    with duckdb.connect() as connection:
        connection.register("t", empty)
        assert connection.execute("select count(*) from t").fetchall() == [(0,)]


def test_capsules_have_the_names_of_the_protocol_and_may_be_left_unused(table: Table) -> None:
    def name(capsule: object) -> bytes:
        prototype = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)
        return prototype(("PyCapsule_GetName", ctypes.pythonapi))(capsule)

    assert name(table.schema) == b"arrow_schema"
    assert name(table.__arrow_c_schema__()) == b"arrow_schema"
    assert name(table.__arrow_c_stream__()) == b"arrow_array_stream"
    one = batch([1], ["a"], [2])
    assert [name(capsule) for capsule in one.__arrow_c_array__()] == [b"arrow_schema", b"arrow_array"]
    assert pa.record_batch(one).to_pydict()["key"] == ["a"]


class OnlyStream:
    """Shows a consumer nothing but the protocol."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self._stream


def test_a_capsule_that_was_consumed_is_refused_the_second_time(table: Table) -> None:
    capsule = table.__arrow_c_stream__()
    assert pa.table(OnlyStream(capsule)).num_rows == 5
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        pa.table(OnlyStream(capsule))
    assert pa.table(table).num_rows == 5


def test_a_stream_may_be_dropped_after_its_first_batch(table: Table) -> None:
    reader = pa.RecordBatchReader.from_stream(table)
    first = reader.read_next_batch()
    reader.close()
    del reader, table
    gc.collect()
    assert first.to_pydict()["bytes_sent"] == COUNTS


def test_batches_of_other_columns_are_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="does not have the columns"):
        Table(["time"], [batch([1], ["a"], [2])])
    with pytest.raises(ValueError, match="no column nonsense"):
        Table(["nonsense"])
    with pytest.raises(ValueError, match="differ in length"):
        batch([1], ["a", "b"], [2])
    with pytest.raises(ValueError, match="whole values"):
        _core.batch_from_columns([("n", "L", b"1234567")])
    with pytest.raises(ValueError, match="format x"):
        _core.batch_from_columns([("n", "x", b"")])
    with pytest.raises(IndexError):
        batch([1], ["a"], [2]).column_buffers(3)


def test_rejects_are_a_table_and_default_to_an_empty_one(table: Table) -> None:
    bad = rejects_table(["a.log", "b\udcff.log"], [1, 2], numbers([0, 2**63]), (5, 6), ["cut", "bad_time"])
    held = Table(["key"], rejects=bad, accounting={"sources": [], "total": {"lines": 2}})
    assert held.rejects is bad
    assert held.accounting["total"] == {"lines": 2}
    assert pa.table(held.rejects).to_pylist() == [
        {"source": "a.log", "line": 1, "offset": 0, "length": 5, "reason": "cut"},
        {"source": "b\ufffd.log", "line": 2, "offset": 2**63, "length": 6, "reason": "bad_time"},
    ]
    assert table.rejects.num_rows == 0
    assert table.rejects.column_names == bad.column_names
    assert table.accounting == {"sources": [], "total": {}}


def test_text_representations_are_short_and_html_is_escaped() -> None:
    one = batch([0] * 30, ["<b>&" + "x" * 200] * 29 + [None], [1] * 30)
    table = Table(one.schema, [one])
    assert repr(table) == "<tickline.Table: 30 rows, columns time, key, bytes_sent>"
    page = table._repr_html_()
    assert page.count("<tr>") == 11
    assert "&lt;b&gt;&amp;xxx" in page
    assert "<b>" not in page
    assert "x" * 100 not in page
    assert "and 20 more rows" in page


def test_importing_tickline_and_its_tables_loads_no_numpy() -> None:
    code = "import sys, tickline.table; sys.exit('numpy' in sys.modules or 'pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
