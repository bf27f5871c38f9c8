"""Real lines of some forty sources: what was read from them by hand must come out, or a reason why not."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FILES, LINES, NASTY = 43, 348, 137


def test_the_index_is_complete(index, data):
    assert len(index) == LINES
    assert len({row.file for row in index}) == FILES
    assert sum(row.nasty for row in index) == NASTY
    # Every line of every file is named once, so that none goes unchecked.
    rows = Counter(row.file for row in index)
    assert len({(row.file, row.line) for row in index}) == LINES
    for path in (data / "s3_access").glob("*.log"):
        assert rows.pop(path.name) == path.read_bytes().count(b"\n"), path.name
    assert not rows


def test_all_kinds_of_judgement_occur(index):
    kinds = Counter(row.judgement for row in index)
    assert kinds["accepted"] > 300
    assert kinds["rejected"] >= 7
    assert kinds["any"] >= 9


def test_reference_gives_the_listed_values(real_line, reference, data):
    lines = reference.reference_lines((data / "s3_access" / real_line.file).read_bytes())
    result = reference.reference_parse(lines[real_line.line - 1])
    _check(real_line, result["outcome"], result["reason"], result["record"])


def test_package_gives_the_listed_values(real_line, judged_by_package, data):
    outcome, reason, record = judged_by_package(data / "s3_access" / real_line.file)[real_line.line]
    _check(real_line, outcome, reason, record)


def test_package_takes_bytes_like_a_file(access, columns_of, data, index):
    for name in sorted({row.file for row in index}):
        path = data / "s3_access" / name
        from_file, from_bytes = access.read(path), access.read(path.read_bytes())
        assert columns_of(from_file) == columns_of(from_bytes), name
        wanted = ("line", "offset", "length", "reason")
        rejects = [columns_of(table.rejects) for table in (from_file, from_bytes)]
        assert [rejects[0][c] for c in wanted] == [rejects[1][c] for c in wanted], name


def test_package_counts_every_line(access, data, index):
    for name in sorted({row.file for row in index}):
        table = access.read(data / "s3_access" / name)
        total = table.accounting["total"]
        assert total["lines"] == sum(row.file == name for row in index), name
        assert total["lines"] == (
            total["accepted"] + sum(total["filtered"].values()) + sum(total["rejected"].values())
        ), name
        assert total["accepted"] == table.num_rows == len(table), name


def test_package_equals_the_reference_in_all_columns(access, columns_of, reference, data, index):
    compared = 0
    for name in sorted({row.file for row in index}):
        content = (data / "s3_access" / name).read_bytes()
        records = [
            result["record"]
            for result in map(reference.reference_parse, reference.reference_lines(content))
            if result["outcome"] == "accepted"
        ]
        columns = columns_of(access.read(content))
        assert tuple(columns) == reference.COLUMNS
        for column, values in columns.items():
            assert values == [record[column] for record in records], (name, column)
        compared += len(records)
    assert compared > 300


def _check(real_line: Any, outcome: str, reason: str, record: dict[str, Any] | None) -> None:
    if real_line.judgement == "any":
        assert outcome in ("accepted", "rejected", "filtered")
        return
    assert outcome == real_line.judgement, reason
    if real_line.judgement == "rejected":
        assert reason
        return
    assert record is not None
    assert {column: record[column] for column in real_line.values} == real_line.values


@pytest.fixture(scope="session")
def judged_by_package(access, columns_of):
    """Return a function: path to {line number: (outcome, reason, record)}."""

    @cache
    def judge(path: Path) -> dict[int, tuple[str, str, dict[str, Any] | None]]:
        content = path.read_bytes()
        table = access.read(path)
        columns = columns_of(table)
        rejects = columns_of(table.rejects)
        reasons = dict(zip(rejects["line"], rejects["reason"], strict=True))
        # Positions must lead to the rejected bytes.
        starts = [0]
        for line in content.split(b"\n"):
            starts.append(starts[-1] + len(line) + 1)
        assert rejects["offset"] == [starts[number - 1] for number in rejects["line"]]
        rows = iter([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
        judged: dict[int, tuple[str, str, dict[str, Any] | None]] = {}
        lines = content.removesuffix(b"\n").split(b"\n")
        for number, line in enumerate(lines, start=1):
            if number in reasons:
                judged[number] = ("rejected", reasons[number], None)
            elif not line.removesuffix(b"\r").strip(b" "):
                judged[number] = ("filtered", "blank", None)
            else:
                judged[number] = ("accepted", "", next(rows))
        assert next(rows, None) is None
        return judged

    return judge
