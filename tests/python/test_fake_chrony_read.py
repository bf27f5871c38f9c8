"""Invented chrony logs through `tickline.chrony`: what the slow reader reads, in order, and no line lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reference.chrony_audit import COLUMNS, rows_of
from tickline import chrony
from tickline.fake import generate_chrony


@pytest.mark.parametrize("seed", [3, 4])
def test_the_package_reads_what_the_slow_reader_reads(tmp_path: Path, seed: int) -> None:
    answer = generate_chrony(tmp_path, nodes=3, days=8, poll=9, seed=seed)
    for node in sorted(path for path in tmp_path.iterdir() if path.is_dir()):
        tables = chrony.read(node)
        assert sorted(tables) == sorted(COLUMNS)
        for kind, columns in COLUMNS.items():
            rows = rows_of(node, kind)
            table = pa.table(tables[kind])
            assert len(table) == len(rows) > 1000
            times = [time // 10**9 for time in table["time"].cast(pa.int64()).to_pylist()]
            assert times == [row["time"] for row in rows]
            for column in columns[1:]:
                assert table[column].to_pylist() == [row[column] for row in rows], (kind, column)
            _assert_counted(tables[kind].accounting["total"], f"{node.name}/{kind}.log", answer)


def _assert_counted(total: dict[str, Any], stem: str, answer: dict[str, Any]) -> None:
    sources = [source for source in answer["sources"] if source["path"].startswith(stem)]
    lines, banners, size = (sum(one[name] for one in sources) for name in ("lines", "banners", "bytes"))
    assert (total["lines"], total["bytes"]) == (lines, size)
    assert (total["filtered"], total["rejected"]) == ({"banners": banners}, {})
    assert total["accepted"] == lines - banners
