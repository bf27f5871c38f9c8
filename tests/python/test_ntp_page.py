"""docs/ntp.md says what the code says: checks in their order, verdicts, policies with their defaults."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import tickline as tl

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ntp.md").read_text(encoding="utf-8")
HEADERS = ROOT / "include" / "tickline" / "ntp"


def section(heading: str) -> str:
    """Return what stands below a heading of the page, up to the next one."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the lines of tables, without the lines under the heads."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_checks_stand_on_the_page_in_their_order_and_with_what_follows() -> None:
    source = (HEADERS / "validate.hpp").read_text(encoding="utf-8")
    texts = re.findall(r"\{ntp_verdict_kind::(\w+), \"(\w+)\",", source)
    assert len(texts) > 20
    assert texts[0] == ("accept", "ok")
    named = [
        (row[2], reason)
        for row in rows(section("The checks, in order"))
        for reason in re.findall(r"`(\w+)`", row[3])
        if reason not in ("reason", "falseticker")
    ]
    assert named == texts[1:]
    assert "`ok`" in section("The checks, in order")


def test_every_verdict_on_a_server_stands_on_the_page() -> None:
    source = (HEADERS / "query.hpp").read_text(encoding="utf-8")
    values = re.search(r"enum class ntp_standing[^{]*\{(.*?)\};", source, re.DOTALL)
    assert values is not None
    standings = re.findall(r"^\s*(\w+),", values[1], re.MULTILINE)
    assert len(standings) == 11
    table = [row[0].strip("`") for row in rows(section("What comes back"))[1:]]
    assert sorted(table) == sorted(standings)


def test_every_policy_and_its_default_stands_on_the_page() -> None:
    table = {row[0].strip("`"): row[1] for row in rows(section("Policies"))[1:]}
    policy = tl.ntp.Policy()
    fields = {one.name: getattr(policy, one.name) for one in dataclasses.fields(policy) if one.init}
    assert table.keys() == fields.keys()
    assert table["min_version"] == str(fields["min_version"])
    assert table["allow_zero_reference_time"] == str(fields["allow_zero_reference_time"])
    assert table["drift_ppb"] == f"{fields['drift_ppb']:,}"
    assert table["max_distance_ns"] == f"{fields['max_distance_ns'] / 1e9} s"
    assert table["max_reference_age_ns"].startswith("2¹⁷ s,")
    assert fields["max_reference_age_ns"] == 2**17 * 10**9


def test_the_arithmetic_of_the_quorum_stands_on_the_page() -> None:
    table = {row[0].strip("*").partition("**")[0]: row[1:] for row in rows(section("How many servers"))[1:]}
    for quorum in (3, 4, 5):
        assert table[str(quorum)] == [str(quorum - 2), str(2 * quorum - 2)]
