"""A line's number and hash as columns, whatever the pieces, ranges and kernels."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path
from typing import Any

import pytest

from python.access_support import line
from tickline import _core
from tickline.reference.s3_access import ReferenceFilter, reference_lines, reference_parse

pa = pytest.importorskip("pyarrow")

RULES = ReferenceFilter(operations=(b"REST.GET.OBJECT",), statuses=tuple(range(200, 300)))
MOST = 2_000


def _filter() -> _core.AccessFilter:
    from tickline.filters import AccessRules

    return AccessRules.from_texts(operation="REST.GET.OBJECT", status="2xx").build()


def _text(chance: random.Random) -> bytes:
    """Return lines of all shapes: usual, filtered, bad, blank, with CRLF, too long, the last one cut."""
    lines = []
    for number in range(chance.randrange(1, 120)):
        text = line(number, status=chance.choice(["200", "206", "404"])).encode()
        text = chance.choice(
            [
                text,
                text,
                text,
                b"",
                b"   ",
                b"junk",
                text[:200],
                text + b" " + b"x" * 300,
                b"y" * MOST * 3,
                b"\r",
            ]
        )
        lines.append(text + chance.choice([b"\n", b"\n", b"\r\n"]))
    data = b"".join(lines)
    return data[: -chance.randrange(1, 3)] if chance.random() < 0.3 else data


def _expected(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    for number, text in enumerate(reference_lines(data), 1):
        if reference_parse(text, RULES, MOST)["outcome"] == "accepted":
            hashed = _core.ContentHash()
            hashed.update(text.removesuffix(b"\r"))
            found.append((number, hashed.digest()))
    return found


def _scan(level: str | None = None, **extra: bool) -> _core.AccessScan:
    return _core.AccessScan(["bytes_sent"], _filter(), max_line_bytes=MOST, level=level, **extra)


def _taken(scan: _core.AccessScan, lines_before: int = 0) -> list[tuple[int, bytes]]:
    rows: list[dict[str, Any]] = pa.Table.from_batches([pa.record_batch(scan.take_batch())]).to_pylist()
    return [
        (
            row["line"] + lines_before,
            row["line_hash_high"].to_bytes(8, "big") + row["line_hash_low"].to_bytes(8, "big"),
        )
        for row in rows
    ]


@pytest.mark.parametrize("level", ["baseline", None])
def test_lines_fed_in_any_pieces(level: str | None) -> None:
    chance = random.Random(3)
    for _ in range(60):
        data = _text(chance)
        scan = _scan(level, line=True, line_hash=True)
        found, at = [], 0
        while at < len(data):
            size = chance.choice([1, 7, 100, 5_000])
            scan.feed(data[at : at + size])
            at += size
            if chance.random() < 0.1:
                found += _taken(scan)
        scan.finish()
        assert found + _taken(scan) == _expected(data)
        assert scan.counts()["lines"] == len(reference_lines(data))


@pytest.mark.parametrize("level", ["baseline", None])
def test_lines_of_ranges_of_a_file(tmp_path: Path, level: str | None) -> None:
    chance = random.Random(4)
    scan = _scan(level, line=True, line_hash=True)
    for _ in range(60):
        data = _text(chance)
        (tmp_path / "log").write_bytes(data)
        cuts = sorted({0, len(data), *(chance.randrange(len(data) + 1) for _ in range(chance.randrange(5)))})
        opened = os.open(tmp_path / "log", os.O_RDONLY)
        found = []
        try:
            for begin, end in itertools.pairwise(cuts):
                scan.restart()
                at = begin
                while at < end:
                    at = scan.read(opened, at, end)
                before = data[:begin]
                found += _taken(scan, before.count(b"\n") + (begin > 0 and before[-1:] != b"\n"))
        finally:
            os.close(opened)
        assert found == _expected(data)


def test_columns_stand_behind_the_others_and_only_where_asked_for() -> None:
    for extra, names in (
        ({}, []),
        ({"line": True}, ["line"]),
        ({"line_hash": True}, ["line_hash_low", "line_hash_high"]),
        ({"line": True, "line_hash": True}, ["line", "line_hash_low", "line_hash_high"]),
    ):
        scan = _scan(**extra)
        scan.feed(line(1).encode() + b"\n")
        batch = pa.record_batch(scan.take_batch())
        assert batch.schema.names == ["bytes_sent", *names]
        assert all(batch.schema.field(name).type == pa.uint64() for name in names)
        scan.finish()
        assert pa.record_batch(scan.take_batch()).num_rows == 0


def test_only_a_number_is_asked_for() -> None:
    scan = _core.AccessScan([], _filter(), line=True)
    scan.feed(b"junk\n" + line(1).encode() + b"\n")
    assert pa.record_batch(scan.take_batch()).to_pydict() == {"line": [2]}
