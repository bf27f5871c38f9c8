"""`tl.dedup.unique_lines` against a dictionary of Python's: lines, counts, keys, accounting, sources."""

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

from reference.dedup_reference import split, unique
from tickline.dedup import unique_lines
from tickline.errors import SourceError, UsageError
from tickline.table import Table

BUFFERS = st.one_of(
    st.text("ab\n\r ").map(str.encode),
    st.text("ab\n\r ").map(str.encode),
    # A buffer that begins as gzip or zstd would be taken for that.
    st.binary().map(lambda data: b"-" + data),
)


def lines(table: Table) -> list[str]:
    return [str(text) for text in table.column("line")]


def shown(line: bytes) -> str:
    return line.decode("utf-8", "replace")


@given(
    buffers=st.lists(BUFFERS, min_size=1, max_size=4),
    keep=st.sampled_from(["first", "last"]),
    fields=st.lists(st.integers(1, 3), max_size=3),
)
def test_lines_counts_and_accounting_are_those_of_the_reference(
    buffers: list[bytes], keep: str, fields: list[int]
) -> None:
    expected = unique(buffers, keep, fields)
    table = unique_lines(buffers, keep, count=True, key=fields or "line")
    # U+FFFD is put by other rules for how many; C++ tests of text/utf8 look at that.
    assert [line.split("\ufffd")[0] for line in lines(table)] == [
        shown(line).split("\ufffd")[0] for line, _, _ in expected
    ]
    assert table.column("count").tolist() == [count for _, count, _ in expected]
    for number, (buffer, told) in enumerate(zip(buffers, table.accounting["sources"], strict=True)):
        kept = [line for line, _, source in expected if source == number]
        assert told["lines"] == len(split(buffer))
        assert told["bytes"] == len(buffer)
        assert told["accepted"] == len(kept)
        assert told["filtered"].get("repeated", 0) == len(split(buffer)) - len(kept)
        bad = sum("\ufffd" in shown(line) and "\ufffd".encode() not in line for line in kept)
        assert told["noted"].get("invalid_utf8", 0) >= bad
    assert table.accounting["total"]["accepted"] == len(expected) == len(table)


def test_lines_that_look_the_same_are_told_apart_by_their_bytes() -> None:
    table = unique_lines(b"\xff\n\xfe\n\xff\n", count=True)
    assert lines(table) == ["\ufffd", "\ufffd"]
    assert table.column("count").tolist() == [2, 1]
    assert table.accounting["total"]["noted"] == {"invalid_utf8": 2}


def test_lines_are_kept_byte_by_byte() -> None:
    assert lines(unique_lines(b"a\r\na\na\r\n\n\n b\n\x0bb")) == ["a\r", "a", "", " b", "\x0bb"]
    assert lines(unique_lines(b"")) == []
    assert lines(unique_lines([])) == []
    assert lines(unique_lines(b"\n")) == [""]


def test_the_last_one_is_kept_in_its_place() -> None:
    assert lines(unique_lines(b"a\nb\na\nc\n", "last")) == ["b", "a", "c"]
    log = b"10:00 host up\n10:01 host down\n10:01 peer up\n10:02 host up\n"
    assert lines(unique_lines(log, "last", key=[2])) == ["10:01 peer up", "10:02 host up"]
    assert lines(unique_lines(log, key=[3, 2])) == ["10:00 host up", "10:01 host down", "10:01 peer up"]
    assert lines(unique_lines(log, key=(9,))) == ["10:00 host up"]


def test_fields_do_not_run_into_each_other() -> None:
    assert len(unique_lines(b"a bc\nab c\n a  bc \n", key=[1, 2])) == 2
    assert len(unique_lines(b"a\n a\n", key=[1, 2])) == 1
    assert len(unique_lines(b"x\nx y\n", key=[2])) == 2


def test_lines_that_are_replaced_often_do_not_pile_up() -> None:
    log = b"".join(b"%d %s\n" % (i % 3, b"x" * (i % 4000)) for i in range(3000))
    table = unique_lines(log, "last", count=True, key=[1])
    assert lines(table) == [line.decode() for line in split(log)[-3:]]
    assert table.column("count").tolist() == [1000] * 3


def test_sources_of_every_kind(tmp_path: Path) -> None:
    text = b"b\na\nb\n"
    (tmp_path / "plain.log").write_bytes(text)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(text))
    (tmp_path / "packed.zst").write_bytes(zstandard.compress(text))
    sources = [
        str(tmp_path / "plain.log"),
        tmp_path / "packed.gz",
        tmp_path / "packed.zst",
        text,
        bytearray(text),
        np.frombuffer(text, dtype=np.uint8),
        gzip.compress(text),
        io.BytesIO(text),
    ]
    for source in sources[:-1]:
        assert lines(unique_lines(source)) == ["b", "a"]
    table = unique_lines(sources, count=True)
    assert table.column("count").tolist() == [16, 8]
    names = [told["path"] for told in table.accounting["sources"]]
    assert names[:3] == [str(tmp_path / name) for name in ("plain.log", "packed.gz", "packed.zst")]
    assert names[3:] == ["<bytes>"] * 4 + ["<file>"]
    assert [told["accepted"] for told in table.accounting["sources"]] == [2] + [0] * 7


def test_an_unfinished_line_ends_with_its_source() -> None:
    assert lines(unique_lines([b"a\nb", b"b\nc"])) == ["a", "b", "c"]


def test_a_file_of_many_pieces(tmp_path: Path) -> None:
    text = b"".join(b"%d %s\n" % (i * i % 5003, b"y" * (i % 300)) for i in range(40_000))
    (tmp_path / "log").write_bytes(text)
    expected = unique([text])
    for source in (tmp_path / "log", gzip.compress(text, 1)):
        table = unique_lines(source, count=True)
        assert lines(table) == [line.decode() for line, _, _ in expected]
        assert table.column("count").tolist() == [count for _, count, _ in expected]


def test_lines_that_are_too_long_are_rejected_and_listed() -> None:
    long = b"x" * 40
    table = unique_lines([b"a\n" + long + b"\na\n", long + b"y"], max_line_bytes=39)
    assert lines(table) == ["a"]
    assert table.accounting["total"]["rejected"] == {"line_too_long": 2}
    rejects = pa.table(table.rejects).to_pylist()
    assert [(row["line"], row["offset"], row["length"]) for row in rejects] == [(2, 2, 40), (1, 0, 41)]
    assert {row["reason"] for row in rejects} == {"line_too_long"}
    assert len(unique_lines(long, max_line_bytes=40)) == 1
    assert len(unique_lines(long + b"\r\n", max_line_bytes=40)) == 1
    assert lines(unique_lines(b"x\n\ny", max_line_bytes=0)) == [""]


def test_a_line_that_is_longer_than_memory_for_lines_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\n" + b"x" * 1_000_000 + b"\r\na\nb")
    for source in (tmp_path / "log", (tmp_path / "log").read_bytes()):
        table = unique_lines(source, max_line_bytes=1000)
        assert lines(table) == ["a", "b"]
        assert table.accounting["total"] == {
            "lines": 4,
            "bytes": 1_000_007,
            "accepted": 2,
            "filtered": {"repeated": 1},
            "rejected": {"line_too_long": 1},
            "noted": {},
        }
        assert pa.table(table.rejects).to_pylist()[0]["length"] == 1_000_000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"keep": "none"}, "keep: 'none' is none. Choose 'first' or 'last'"),
        ({"key": "time"}, "key: 'time' is no key. Give \"line\""),
        ({"key": []}, "is no key"),
        ({"key": [0]}, "is no key"),
        ({"key": [True]}, "is no key"),
        ({"max_line_bytes": 2**40}, "max_line_bytes: "),
        ({"max_line_bytes": -1}, "max_line_bytes: "),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError) as error:
        unique_lines(b"a", **arguments)  # type: ignore[arg-type]
    assert told in str(error.value)


def test_a_source_that_cannot_be_read_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a\n" * 1000)[:-9])
    for path in ("nothing", "cut.gz", "."):
        with pytest.raises(SourceError):
            unique_lines([b"a\n", tmp_path / path])
