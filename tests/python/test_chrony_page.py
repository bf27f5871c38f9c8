"""docs/chrony.md names what there is: every column of every kind, in order, and what their signs mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tickline import _core, chrony
from tickline.table import Table

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "chrony.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", chrony.KINDS)
def test_a_kind_stands_there_with_its_columns_in_order(kind: str) -> None:
    section = re.search(rf"^\*\*{kind}\*\*.*?(?=^\*\*|^## )", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None
    at = [section[0].find(f"`{column}`") for column in chrony.COLUMNS[kind]]
    assert -1 not in at
    assert at == sorted(at)


@pytest.mark.parametrize("kind", chrony.KINDS)
def test_a_sign_stands_in_the_table_of_signs(kind: str) -> None:
    pa = pytest.importorskip("pyarrow")
    section = PAGE[PAGE.index("## Signs") : PAGE.index("## Layouts")]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| ")]
    words = {"fast": "fast", "slow": "slow", "gains": "gains", "ahead": "ahead", "faster": "faster"}
    for field in pa.table(Table(_core.chrony_schema(kind), [])).schema:
        if sign := (field.metadata or {}).get(b"sign", b"").decode():
            said = words[re.search(r"fast(er)?|slow|gains|ahead", sign)[0]]  # type: ignore[index]
            assert any(said in meaning and f"`{field.name}`" in columns for meaning, columns in rows), field
