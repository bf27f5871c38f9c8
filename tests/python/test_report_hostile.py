"""report.html: names that an attacker chose are text, can be seen, and move nothing."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from python.report_support import (
    HOSTILE,
    Access,
    build_export,
    hostile_rows,
    page_of,
)
from tickline.page.words import pieces
from tickline.pipelines.access.report import write_report


def told(name: str) -> str:
    return "".join(text for _, text in pieces(name))


def test_hostile_names_are_text(tmp_path: Path) -> None:
    changes = {
        "catalog": {"sha256": HOSTILE[0], "entries": 1},
        "regions": [dict.fromkeys(("kind", "name", "label", "date", "sha256"), HOSTILE[1])],
        "restrict_to": list(HOSTILE),
        "privacy": HOSTILE[2],
        "region_order": HOSTILE[2],
        "shared_content": HOSTILE[0],
        "tickline": HOSTILE[1],
    }
    page = page_of(build_export(tmp_path / "out", hostile_rows(), **changes))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "onload", "b"}
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert {row[0] for row in page.rows("all-datasets")} == {told(name) for name in HOSTILE}
    assert {row[0] for row in page.rows("top-assets")} == {
        f"{told(row.path)}in {told(row.dataset)}" for row in hostile_rows()
    }
    assert "{{ 7 * 7 }}" in page.text


def test_what_cannot_be_seen_is_spelled_out(tmp_path: Path) -> None:
    html = write_report(build_export(tmp_path / "out", hostile_rows())).read_text(encoding="utf-8")
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]", html
    )
    assert '<span class="esc">U+202E</span>' in html
    assert '<span class="esc">U+0000</span>' in html


def test_every_name_is_isolated(tmp_path: Path) -> None:
    html = write_report(build_export(tmp_path / "out", hostile_rows())).read_text(encoding="utf-8")
    arabic = next(name for name in HOSTILE if name.startswith("ﻣ"))
    assert html.count(arabic) == html.count(f"<bdi>{arabic}</bdi>") > 2


def test_a_name_of_a_megabyte_does_not_fill_the_page(tmp_path: Path) -> None:
    rows = [Access(date(2024, 5, 1), "a", "y" * 1_000_000, 1, "unknown", 7)]
    page = write_report(build_export(tmp_path / "out", rows))
    assert page.stat().st_size < 100_000
    assert "and 998,976 more characters" in page.read_text(encoding="utf-8")


def test_names_that_are_one_text_in_the_list_of_folders_are_told_apart(tmp_path: Path) -> None:
    rows = [
        Access(date(2024, 5, 1), name, f"{number}.nwb", 1, "unknown", 10**number)
        for number, name in enumerate(("a\tb", "a%09b"))
    ]
    out = build_export(tmp_path / "out", rows)
    lines = (out / "names.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    expected = [["1.nwbin a%09b", "10"], ["0.nwbin aU+0009b", "1"]]
    for listing in (lines, [lines[0], lines[2], lines[1]]):
        (out / "names.tsv").write_text("".join(listing), encoding="utf-8")
        shown = [[row[0], row[1].split(" ")[0]] for row in page_of(out).rows("top-assets")]
        assert shown == expected


@given(st.text())
def test_pieces_lose_nothing(name: str) -> None:
    text = "".join(chr(int(part[2:], 16)) if escape else part for escape, part in pieces(name))
    assert text == name
