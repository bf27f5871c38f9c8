"""`tickline.chrony`: kinds, values, nulls, types, accounting, folders; hostile lines and the reference."""

from __future__ import annotations

import gzip
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from reference import chrony_reference
from tickline.errors import SourceError, UsageError

TRACKING = (
    b"2017-08-22 13:22:36 203.0.113.15     2     -3.541      0.075 -8.621e-06 N 2  2.940e-03 -2.084e-04  "
    b"1.534e-02  3.472e-04  8.304e-03\n"
)
OLD_TRACKING = b"1998-07-22 05:40:50 158.152.1.76     3    340.529      1.606  1.046e-03\n"
MEASUREMENT = (
    b"2016-11-09 05:40:50 203.0.113.15    ?  2 111 101 1101  -1 10 0.78 -4.966e-03  2.296e-01  1.577e-05  "
    b"1.615e-01  7.446e-03 CB00717B 4B D K\n"
)
STATISTIC = (
    b"2016-08-10 05:40:50 203.0.113.15     6.261e-03 -3.247e-03 2.220e-03  1.874e-06  1.080e-06 7.8e-02  16 "
    b"  0   8 -0.25\n"
)
REFCLOCK = b"2009-11-30 14:33:27.123456 PPS2    - N -       -       -6.741777e-07  1.000e-06\n"
RTC = b"2015-07-22 05:40:50     -0.037360 1       -0.037434      -37.948  12   5  120\n"
TEMPCOMP = b"2015-04-19 10:39:48  2.8000e+04  3.6600e-01\n"
SELECTION = b"2022-05-01 02:01:20 203.0.113.15    * -----  377  1.00  4.228e+01 -1.575e-04  1.239e-04\n"
ROWS = dict(
    zip(tl.chrony.KINDS, (TRACKING, MEASUREMENT, STATISTIC, REFCLOCK, RTC, TEMPCOMP, SELECTION), strict=True)
)
TITLE = (
    b"   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr. "
    b"Root delay Root disp. Max. error\n"
)
BANNER = b"=" * (len(TITLE) - 1) + b"\n" + TITLE + b"=" * (len(TITLE) - 1) + b"\n"


def rows_of(table: tl.table.Table) -> list[list[Any]]:
    arrow = pa.table(table)
    arrow = arrow.set_column(0, "time", arrow["time"].cast(pa.int64()))
    return [list(row.values()) for row in arrow.to_pylist()]


def test_each_kind_is_told_by_its_row_and_has_its_columns() -> None:
    assert len(ROWS) == 7
    for kind, row in ROWS.items():
        logs = tl.chrony.read(row)
        assert list(logs) == [kind]
        assert logs[kind].column_names == tl.chrony.COLUMNS[kind]
        assert rows_of(logs[kind]) == chrony_reference.read(row).rows


def test_values_types_units_and_signs() -> None:
    table = tl.chrony.read(TRACKING)["tracking"]
    schema = pa.schema(table)
    assert schema.field("time").type == pa.timestamp("ns", "UTC")
    assert schema.field("stratum").type == pa.uint16()
    assert schema.field("offset_s").type == pa.float64()
    assert schema.field("offset_s").metadata == {b"unit": b"s", b"sign": b"positive: the local clock is fast"}
    assert table.column("time")[0] == np.datetime64("2017-08-22T13:22:36", "ns")
    assert table.column("address")[0] == "203.0.113.15"
    assert table.column("max_error_s")[0] == 8.304e-03
    measurement = tl.chrony.read(MEASUREMENT)["measurements"]
    assert pa.schema(measurement).field("offset_s").metadata[b"sign"] == b"positive: the local clock is slow"
    assert [
        measurement.column(name)[0] for name in ("leap", "tests_a", "tests_b", "tests_c", "layout", "mode")
    ] == [
        "?",
        "111",
        "101",
        "1101",
        "3.0",
        "4B",
    ]
    assert measurement.column("local_poll")[0] == -1
    assert tl.chrony.read(SELECTION)["selection"].column("reachability")[0] == 0o377
    assert tl.chrony.read(REFCLOCK)["refclocks"].column("time")[0] == np.datetime64(
        "2009-11-30T14:33:27.123456", "ns"
    )


def test_dashes_and_columns_of_later_versions_are_null() -> None:
    refclocks = tl.chrony.read(REFCLOCK)["refclocks"]
    assert refclocks.column("raw_offset_s").mask.tolist() == [True]
    assert refclocks.column("leap")[0] == "N"
    tracking = tl.chrony.read(OLD_TRACKING + TRACKING)["tracking"]
    assert tracking.column("max_error_s").tolist() == [None, 8.304e-03]
    assert tracking.column("leap").tolist() == [None, "N"]
    assert tracking.column("combined_sources").tolist() == [None, 2]


def test_banners_and_blank_lines_are_filtered_and_bad_lines_have_their_place() -> None:
    content = (
        BANNER + TRACKING + b"\n" + BANNER + TRACKING.replace(b"e-03\n", b"e-3\n") + TRACKING + TRACKING[:50]
    )
    table = tl.chrony.read(content)["tracking"]
    (source,) = table.accounting["sources"]
    assert source == {
        "path": "<bytes>",
        "lines": 11,
        "bytes": len(content),
        "accepted": 2,
        "filtered": {"banners": 6, "blank": 1, "unfinished": 1},
        "rejected": {"bad_column": 1},
        "noted": {},
    }
    rejects = table.rejects
    assert rejects.column("line").tolist() == [9]
    assert rejects.column("reason").tolist() == ["bad_column"]
    begin, length = int(rejects.column("offset")[0]), int(rejects.column("length")[0])
    assert content[begin : begin + length].endswith(b"8.304e-3")


def test_a_folder_is_read_the_oldest_file_of_each_log_first(tmp_path: Path) -> None:
    def year(number: int) -> bytes:
        return TRACKING.replace(b"2017", b"%d" % number)

    (tmp_path / "tracking.log").write_bytes(year(2009))
    (tmp_path / "tracking.log.1").write_bytes(year(2008))
    (tmp_path / "tracking.log.2.gz").write_bytes(gzip.compress(year(2007)))
    (tmp_path / "tracking.log.10.gz").write_bytes(gzip.compress(year(2006)))
    (tmp_path / "tracking.log-20050101").write_bytes(year(2005))
    (tmp_path / "tracking.log-20040101.gz").write_bytes(gzip.compress(year(2004)))
    (tmp_path / "statistics.log").write_bytes(STATISTIC)
    (tmp_path / "chrony.conf").write_text("log tracking\n")
    logs = tl.chrony.read(tmp_path)
    assert list(logs) == ["tracking", "statistics"]
    years = logs["tracking"].column("time").astype("datetime64[Y]").astype(int) + 1970
    assert years.tolist() == [2004, 2005, 2006, 2007, 2008, 2009]
    assert [len(table.accounting["sources"]) for table in logs.values()] == [6, 1]
    assert list(tl.chrony.read(tmp_path, "statistics")) == ["statistics"]
    assert list(tl.chrony.read(tmp_path, kinds=["statistics", "tracking"])) == ["tracking", "statistics"]


def test_the_name_of_a_file_says_what_may_be_in_it(tmp_path: Path) -> None:
    path = tmp_path / "tracking.log"
    path.write_bytes(STATISTIC + TRACKING + STATISTIC)
    table = tl.chrony.read(path)["tracking"]
    assert len(table) == 1
    assert table.accounting["total"]["rejected"] == {"unknown_layout": 2}
    path.write_bytes(b"")
    assert len(tl.chrony.read(path)["tracking"]) == 0
    raw = tmp_path / "rawmeasurements.log"
    raw.write_bytes(MEASUREMENT)
    assert list(tl.chrony.read(raw)) == ["measurements"]


def test_what_is_no_log_of_chrony_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"\nhello there\nmore\n")
    with pytest.raises(SourceError, match=r"notes\.txt: line 2 is neither banner nor row"):
        tl.chrony.read(path)
    path.write_bytes(b"\n====\n")
    with pytest.raises(SourceError, match="holds no row"):
        tl.chrony.read(path)
    with pytest.raises(SourceError, match=r"no logs of chrony \(rtc\)"):
        tl.chrony.read(tmp_path, "rtc")
    with pytest.raises(SourceError, match="is a log of the kind rtc"):
        tl.chrony.read(RTC, "tracking")
    with pytest.raises(SourceError, match="does not exist"):
        tl.chrony.read(tmp_path / "tracking.log")
    with pytest.raises(UsageError, match="'track'"):
        tl.chrony.read(tmp_path, "track")
    with pytest.raises(UsageError, match="no kind"):
        tl.chrony.read(tmp_path, [])
    with pytest.raises(UsageError, match="batch_rows"):
        tl.chrony.scan(RTC, batch_rows=0)


def test_scan_gives_tables_of_one_source_each_and_the_account_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "tracking.log").write_bytes((BANNER + TRACKING * 32) * 3000)
    (tmp_path / "tracking.log.1.gz").write_bytes(gzip.compress(TRACKING * 1000))
    scan = tl.chrony.scan([tmp_path, io.BytesIO(RTC * 10)], batch_rows=10_000)
    tables = [(kind, len(table)) for kind, table in scan]
    assert tables[0] == ("tracking", 1000)
    assert tables[-1] == ("rtc", 10)
    assert sum(rows for _, rows in tables) == 3000 * 32 + 1000 + 10
    assert all(rows < 15_000 for _, rows in tables)
    assert scan.accounting["total"]["filtered"] == {"banners": 9000}
    assert len(scan.accounting["sources"]) == 3
    assert len(scan.rejects) == 0


def test_lines_of_a_megabyte_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "tracking.log"
    path.write_bytes(
        TRACKING + b"x" * 2**20 + b"\n" + b"y" * (2**20 + 1) + b"\r\n" + b"\0" * 5000 + b"\n" + TRACKING
    )
    table = tl.chrony.read(path)["tracking"]
    assert len(table) == 2
    assert table.accounting["total"]["rejected"] == {"bad_column": 1, "line_too_long": 1, "unknown_layout": 1}
    assert table.accounting["total"]["bytes"] == path.stat().st_size
    short = tl.chrony.read(path, max_line_bytes=1000)["tracking"]
    assert short.accounting["total"]["rejected"] == {"line_too_long": 3}
    assert short.rejects.column("length").tolist() == [2**20, 2**20 + 1, 5000]


PIECES = st.one_of(
    st.sampled_from(
        [*ROWS.values(), OLD_TRACKING, TITLE, BANNER, b"\r\n", b"   \n", b"====\n", TITLE[:-5] + b"\n"]
    ),
    st.sampled_from([row[:-1] for row in ROWS.values()]),
    st.sampled_from([b"-", b"?", b"e+999", b"nan", b" ", b"0", b"\t", b"\0", b"\xff", b"24:00:00", b"1e5 "]),
    st.binary(max_size=8),
)


@given(
    st.lists(PIECES, max_size=12),
    st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(b"0123456789.-+e? =N:\t\r\n")), max_size=3),
)
def test_hostile_logs_are_read_as_the_reference_reads_them(
    pieces: list[bytes], changes: list[tuple[int, int]]
) -> None:
    content = bytearray(b"".join(pieces))
    for place, byte in changes:
        if content:
            content[place % len(content)] = byte
    expected = chrony_reference.read(bytes(content))
    if expected.kind is None:
        with pytest.raises(SourceError):
            tl.chrony.read(bytes(content))
        return
    logs = tl.chrony.read(bytes(content))
    assert list(logs) == [expected.kind]
    table = logs[expected.kind]
    assert rows_of(table) == expected.rows
    total = table.accounting["total"]
    counted = Counter({**total["filtered"], **total["rejected"], "accepted": total["accepted"]})
    assert +counted == Counter(expected.outcomes)
    bad = [
        (number, outcome)
        for number, outcome in enumerate(expected.outcomes, 1)
        if outcome not in ("accepted", "blank", "banners", "unfinished")
    ]
    assert list(zip(table.rejects.column("line"), table.rejects.column("reason"), strict=True)) == bad
