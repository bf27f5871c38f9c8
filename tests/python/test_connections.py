"""`tickline.connections`: values, types, accounting, folders; hostile lines and the reference."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from reference import connections_reference
from tickline.errors import SourceError, UsageError

LOG = b"1549411238 tower Papa\n1549411238.25\talta\tMike\r\n\nbad\n1549411239.000000001  tower  Papa"


def rows_of(table: tl.table.Table) -> list[tuple[int, str, str]]:
    times = table.column("time").astype("int64").tolist()
    hosts = (table.column(name).tolist() for name in ("host_from", "host_to"))
    return list(zip(times, *hosts, strict=True))


def test_values_types_and_names() -> None:
    table = tl.connections.read(LOG)
    schema = pa.schema(table)
    assert table.column_names == tl.connections.COLUMNS == ("time", "host_from", "host_to")
    assert schema.field("time").type == pa.timestamp("ns", "UTC")
    assert schema.field("host_from").type == pa.dictionary(pa.int32(), pa.string())
    assert table.column("time")[1] == np.datetime64("2019-02-06T00:00:38.25", "ns")
    assert table.column("time")[2] == np.datetime64("2019-02-06T00:00:39.000000001", "ns")
    assert table.column("host_from").tolist() == ["tower", "alta", "tower"]
    assert pa.table(table)["host_to"].to_pylist() == ["Papa", "Mike", "Papa"]


def test_every_line_is_accounted_for() -> None:
    table = tl.connections.read(LOG)
    assert table.accounting["total"] == {
        "lines": 5,
        "bytes": len(LOG),
        "accepted": 3,
        "filtered": {"blank": 1},
        "rejected": {"field_count": 1},
        "noted": {},
    }
    rejects = table.rejects
    assert (rejects.column("line")[0], rejects.column("offset")[0]) == (4, LOG.index(b"bad"))
    assert rejects.column("reason").tolist() == ["field_count"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1 a", "field_count"),
        (b"1 a b c", "field_count"),
        (b"time a b", "bad_epoch"),
        (b"1.0000000001 a b", "bad_epoch"),
        (b"9223372037 a b", "out_of_range"),
        (b"1 " + b"h" * 256 + b" b", "bad_name"),
        (b"1 a \xff\xfe", "bad_name"),
        (b"1 a\x00 b", "bad_column"),
        (b"1 " + b"h" * 10_000 + b" b", "line_too_long"),
    ],
)
def test_what_is_no_connection_is_rejected(line: bytes, reason: str) -> None:
    table = tl.connections.read(b"1 a b\n" + line + b"\n2 a b\n", max_line_bytes=5000)
    assert table.num_rows == 2
    assert table.accounting["total"]["rejected"] == {reason: 1}
    assert table.rejects.column("offset").tolist() == [6]
    assert table.rejects.column("length").tolist() == [len(line)]


def test_a_binary_file_is_rejected_line_by_line() -> None:
    noise = bytes(range(256)) * 300
    table = tl.connections.read(noise)
    assert table.num_rows == 0
    assert table.accounting["total"]["lines"] == 301
    assert table.accounting["total"]["bytes"] == len(noise)


def test_sources_of_every_kind_give_the_same(tmp_path: Path) -> None:
    text = LOG * 100
    plain, packed, squeezed = (tmp_path / name for name in ("a.log", "b.log.gz", "c.log.zst"))
    plain.write_bytes(text)
    packed.write_bytes(gzip.compress(text))
    squeezed.write_bytes(zstandard.compress(text))
    expected = rows_of(tl.connections.read(text))
    assert len(expected) > 100
    for source in (plain, str(packed), squeezed, io.BytesIO(text), packed.read_bytes(), memoryview(text)):
        assert rows_of(tl.connections.read(source)) == expected
    both = tl.connections.read(tmp_path)
    assert both.num_rows == 3 * len(expected)
    paths = [Path(source["path"]).name for source in both.accounting["sources"]]
    assert paths == ["a.log", "b.log.gz", "c.log.zst"]


def test_scan_gives_tables_of_about_as_many_rows_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"1549411238 tower Papa\n" * 100_000)
    scan = tl.connections.scan([path, path], batch_rows=20_000)
    sizes = [len(table) for table in scan]
    assert sum(sizes) == 200_000
    assert len(sizes) > 5
    assert scan.accounting["total"]["accepted"] == 200_000


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        tl.connections.read(tmp_path / "no.log")
    with pytest.raises(SourceError, match="no logs of connections"):
        tl.connections.read(tmp_path)
    with pytest.raises(UsageError, match="at least one row"):
        tl.connections.scan(b"", batch_rows=0)


_words = st.sampled_from(
    [
        b"tower",
        b"Papa",
        "büro".encode(),
        b"h" * 255,
        b"h" * 256,
        b"\xff",
        b"\x7f",
        b"1",
        b"",
        b"\x00",
        b"x\ry",
    ]
)
_stamps = st.one_of(
    st.sampled_from([b"1549411238", b"-1.5", b"1.", b"9223372036.854775807", b"9223372036.854775808"]),
    st.integers(-(2**70), 2**70).map(lambda value: b"%d" % value),
    st.decimals(allow_nan=False, allow_infinity=False, places=10).map(lambda value: f"{value:f}".encode()),
)
_blanks = st.sampled_from([b" ", b"\t", b"  ", b"\t "])
_lines = st.tuples(_stamps, _blanks, _words, _blanks, _words, st.sampled_from([b"", b"\r", b" ", b" x"])).map(
    b"".join
)


@given(st.lists(st.one_of(_lines, st.binary(max_size=40)), max_size=30), st.booleans())
def test_any_text_is_read_as_the_reference_does(lines: list[bytes], ended: bool) -> None:
    text = b"\n".join(lines) + (b"\n" if ended else b"")
    table = tl.connections.read(memoryview(text) if text[:1] not in (b"\x1f", b"\x28") else b" " + text)
    slow = connections_reference.read(text if text[:1] not in (b"\x1f", b"\x28") else b" " + text)
    assert rows_of(table) == slow.rows
    counts = table.accounting["total"]
    assert (counts["lines"], counts["filtered"].get("blank", 0)) == (slow.lines, slow.blank)
    names = ("line", "offset", "length", "reason")
    assert list(zip(*(table.rejects.column(name).tolist() for name in names), strict=True)) == slow.rejected
