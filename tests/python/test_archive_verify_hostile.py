"""Headers that say anything at all: a finding or none, and never an end with a traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from python.archive_chain_support import NOON, TRACKING, two_chunks
from tickline.errors import TicklineError
from tickline.pipelines.archive.chain import ChainCheck
from tickline.pipelines.archive.chunk import Chunk, sealed, unpack
from tickline.pipelines.archive.locks import RetentionCheck, promised_until
from tickline.pipelines.archive.reader import Listed

HOSTILE = [
    None,
    True,
    -1,
    0,
    3,
    10**400,
    0.5,
    float("inf"),
    float("nan"),
    "",
    "x",
    "0001-01-01",
    [],
    [[]],
    {},
]


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*path, key))


@pytest.mark.parametrize("hostile", HOSTILE, ids=repr)
def test_whatever_a_header_says_is_a_finding_or_nothing_and_never_stops_it(hostile: object) -> None:
    node = two_chunks()
    generation = {"earlier": [[1, "ab"]], "files": [["x", 1, 2, 3, 4, True]], "gone_s": 1.5}
    good = node.add(
        node.piece(TRACKING, 3, note="shrunk"),
        generations=[{**one, **generation} for one in node.generations()],
    )
    retention = {"mode": "COMPLIANCE", "years": 6}
    told = {**good.header, "retention": retention, "evidence": {}, "notes": ["a"]}
    places = list(_places(told))
    assert len(places) > 60
    item, _ = node.chain.pop()
    for path in places:
        header = json.loads(json.dumps(told))
        inner = header
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = hostile
        body = sealed(zstandard.compress(json.dumps(header).encode() + b"\n" + good.raw))
        try:
            chunk: Chunk | TicklineError = unpack(body, "k")
        except TicklineError as error:
            chunk = error
        check = ChainCheck("n1")
        for listed, one in [*node.chain, (item, chunk), (Listed(4, item.day, False, "x"), good)]:
            assert all(isinstance(flaw.text, str) for flaw in check.add(listed, one))
        check.end(NOON)
        if isinstance(chunk, Chunk):
            assert list(RetentionCheck(None).add(item, chunk.header)) == []
            promised_until(chunk.header)
