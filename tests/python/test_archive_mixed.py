"""Rows of all logs in one text, told apart as the parser of each log tells them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from tickline.fake import generate_chrony
from tickline.pipelines.archive.mixed import OTHER, Mixed, kind_of_row, lines_of

# A row of every layout, oldest first; after the examples in chrony.conf(5) and its predecessors.
_START = "2016-11-09 05:40:50 203.0.113.15"
ROWS = {
    "tracking": [
        f"{_START} 2 -3.401 0.031 -1.1e-02".replace("e-02", "00e-02"),
        f"{_START} 2 -3.401 0.031 -1.100e-02 N",
        f"{_START} 2 -3.401 0.031 -1.100e-02 N 3 1.200e-03 -4.000e-05",
        f"{_START} 2 -3.401 0.031 -1.100e-02 N 3 1.200e-03 -4.000e-05 1.000e-03 2.000e-03 3.000e-03",
    ],
    "measurements": [
        f"{_START} N 2 1111 11 1111 6 6 1 -1.0e-05 1.9e-02 1.7e-04 9.8e-02 1.2e-02".replace("e-", "00e-"),
        f"{_START} N 2 111 111 1111 10 10 1.00 -4.966e-03 2.296e-01 1.577e-05 1.615e-01 7.446e-03",
        f"{_START} N 2 111 111 1111 6 6 1.00 -4.966e-03 2.296e-01 1.577e-05 1.615e-01 7.446e-03 CB00717B"
        " 4B D K",
    ],
    "statistics": [
        f"{_START} 6.261e-03 -3.247e-03 2.220e-03 1.874e-06 1.080e-06 7.8e-02 16 0 8",
        f"{_START} 6.261e-03 -3.247e-03 2.220e-03 1.874e-06 1.080e-06 7.8e-02 16 0 8 0.00",
    ],
    "refclocks": [
        "2009-11-30 14:33:27.000000 PPS2 7 N 1 4.900000e-07 -6.741777e-07",
        "2009-11-30 14:33:27.000000 PPS2 - N - - -6.741777e-07 1.000e-06",
    ],
    "rtc": ["2015-07-22 05:40:50 -0.037360 1 -0.037434 -37.948 12 5 120"],
    "tempcomp": ["2015-04-19 10:39:48 2.8000e+04 3.6600e-01"],
    "selection": ["2022-05-01 02:01:20 203.0.113.15 * ----- 377 1.00 4.228e+01 -1.575e-04 1.239e-04"],
}
ALL = [(kind, row) for kind, rows in ROWS.items() for row in rows]


@pytest.mark.parametrize(("kind", "row"), ALL)
def test_a_row_of_every_layout_is_told_as_its_parser_tells_it(kind: str, row: str) -> None:
    line = row.encode() + b"\n"
    assert kind_of_row(line) == kind
    (found,) = tl.chrony.read(line).items()
    assert (found[0], found[1].num_rows) == (kind, 1)


def test_every_kind_has_a_row_here() -> None:
    assert set(ROWS) == set(tl.chrony.KINDS)


def test_every_line_of_a_generated_log_is_one_of_it(tmp_path: Path) -> None:
    generate_chrony(tmp_path / "fleet", nodes=1, days=3, seed=4)
    files = list((tmp_path / "fleet/node-001").iterdir())
    assert len(files) == 9
    for path in files:
        content = path.read_bytes()
        mixed = Mixed()
        lines = lines_of([gzip.decompress(content) if path.suffix == ".gz" else content])
        kinds = {mixed.kind_of(line) for line in lines}
        assert kinds == {None, path.name.partition(".")[0]}
        assert mixed.banners % 3 == 0


NOT_ROWS = {
    "cut": ROWS["tracking"][3][:70],
    "a measurement cut to the columns of tracking": " ".join(ROWS["measurements"][2].split()[:11]),
    "statistics cut to those of rtc": " ".join(ROWS["statistics"][1].split()[:9]),
    "two that ran together": ROWS["tracking"][3][:30] + ROWS["measurements"][2],
    "no date": "x" + ROWS["rtc"][0],
    "words": "chronyd starting",
    "five columns": ROWS["tempcomp"][0] + " 1",
}


@pytest.mark.parametrize("name", NOT_ROWS)
def test_what_is_no_row_is_nobodys(name: str) -> None:
    assert Mixed().kind_of(NOT_ROWS[name].encode() + b"\n") == OTHER


def test_a_row_with_fewer_columns_than_the_one_before_was_cut() -> None:
    rows = [row.encode() + b"\n" for row in ROWS["tracking"]]
    mixed = Mixed()
    assert [mixed.kind_of(row) for row in rows] == ["tracking"] * 4
    assert [mixed.kind_of(row) for row in rows] == [OTHER] * 3 + ["tracking"]
    assert mixed.kind_of(ROWS["rtc"][0].encode() + b"\n") == "rtc"


@pytest.mark.parametrize(("kind", "row"), ALL)
def test_a_last_line_lacks_its_end_alone_or_is_nobodys(kind: str, row: str) -> None:
    whole = row.encode()
    mixed = Mixed()
    # Without a row before it nobody knows how long rows are here.
    assert mixed.kind_of(whole) == OTHER
    assert mixed.kind_of(whole + b"\n") == kind
    # The last number of these may have any length.
    open_ended = len(row.split()) == 12 or kind == "rtc"
    assert mixed.kind_of(whole) == (OTHER if open_ended else kind)
    assert {mixed.kind_of(whole[:size]) for size in range(1, len(whole))} == {OTHER}


@given(st.lists(st.binary(max_size=40) | st.just(b"a\n") | st.just(b"\r\n")), st.integers(1, 9))
def test_lines_are_the_same_however_the_content_is_cut(pieces: list[bytes], size: int) -> None:
    content = b"".join(pieces)
    expected = [line for line in content.split(b"\n") if line]
    cut = [content[at : at + size] for at in range(0, len(content), size)]
    for source in (pieces, cut):
        lines = list(lines_of(source))
        assert b"".join(lines) == content
        assert [line.rstrip(b"\n") for line in lines if line != b"\n"] == expected
