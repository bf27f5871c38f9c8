"""What is written of a report: JSON and CSV have everything, the text has what fits."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from python.archive_fleet_support import Fleet
from python.archive_report_support import (
    BEGIN,
    DAY,
    HOSTILE,
    LINE,
    big,
    evidence,
    finding,
    hostile,
    mixed,
    node,
    report,
    rule,
    year,
)
from tickline.errors import TicklineError
from tickline.pipelines.archive.report import words
from tickline.pipelines.archive.report.build import build_report
from tickline.pipelines.archive.report.certificate import certificate, most_in_hours
from tickline.pipelines.archive.report.model import CANNOT_BE_SHOWN, CHECKS, NOT_MET
from tickline.pipelines.archive.report.output import as_json, csv_text, json_text, summary, write_files


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# ---- JSON --------------------------------------------------------------------------------------------------


def test_json_has_the_promised_shape() -> None:
    found = json.loads(json_text(mixed()))
    assert [found[name] for name in ("rule", "rule_version", "from", "to", "verdict")] == [
        *("finra-4590", "2016-08-15"),
        *("2026-09-01T00:00:00Z", "2026-10-01T00:00:00Z", "not met"),
    ]
    assert [one["node"] for one in found["nodes"]] == ["trade-01", "trade-02", "trade-03"]
    assert {"verdict", "days", "share_within", "max_error_s"} <= set(found["nodes"][0])
    assert found["nodes"][0]["max_error_at"] == "2026-09-04T00:00:00Z"
    first = found["findings"][1]
    assert first == {
        "node": "trade-01",
        "check": "gap",
        "severity": "unshown",
        "from": "2026-09-04T13:53:20Z",
        "to": "2026-09-04T14:53:20Z",
        "value": 8000,
        "limit": 2100,
        "text": "What gap means here.",
        "evidence": [
            {
                "object": "v1/trade-01/2026/09/03/0000000000.zst",
                "offset": 412,
                "length": len(LINE),
                "line": LINE,
            }
        ],
    }
    assert {one["check"] for one in found["findings"]} == set(CHECKS)
    assert found["nodes"][0]["source_changes"] == 7
    assert found["nodes"][0]["sources"]["0.0.0.0"] == 0.001


def test_json_is_json_whatever_is_in_a_report() -> None:
    odd = report(
        [node(max_error_s=math.inf, share_within=math.nan)],
        [finding(value=math.inf, limit=None)],
        rule=rule(
            version=dt.date(2016, 8, 15),
            closed=(dt.date(2026, 12, 24),),
            early={dt.date(2026, 11, 27): "13:00"},
        ),
    )
    found = json.loads(json_text(odd), parse_constant=pytest.fail)
    assert found["rule_version"] == "2016-08-15"
    assert found["limits"]["closed"] == ["2026-12-24"]
    assert found["limits"]["early"] == {"2026-11-27": "13:00"}
    assert (found["nodes"][0]["max_error_s"], found["findings"][0]["value"]) == (None, None)
    text = json_text(hostile())
    assert text.isascii()
    assert [one["text"] for one in json.loads(text)["findings"]] == list(HOSTILE)


def test_a_report_is_not_changed_by_being_written() -> None:
    made = mixed()
    assert as_json(made) == as_json(made)
    assert csv_text(made) == csv_text(made)
    assert made.rule["name"] == "finra-4590"


# ---- CSV ---------------------------------------------------------------------------------------------------


def test_csv_has_every_finding_with_every_line() -> None:
    made = big(findings=700)
    rows = rows_of(csv_text(made))
    assert len(rows) == sum(max(len(one.evidence), 1) for one in made.findings)
    heads = [row for row in rows if int(row["evidence"]) <= 1]
    assert [int(row["number"]) for row in heads] == list(range(1, 701))
    for row, one in zip(heads, made.findings, strict=True):
        assert (row["node"], row["check"], row["severity"]) == (one.node, one.check, one.severity)
        assert (float(row["value"]), float(row["limit"]), row["text"]) == (one.value, one.limit, one.text)
        proof = one.evidence[0]
        places = (row["object"], int(row["offset"]), int(row["length"]), row["line"])
        assert places == (proof.object, proof.offset, proof.length, proof.line)


def test_csv_keeps_what_has_no_evidence_and_no_value() -> None:
    rows = rows_of(csv_text(report(findings=[finding(value=None, limit=None, evidence=())])))
    assert len(rows) == 1
    assert [rows[0][name] for name in ("value", "limit", "evidence", "object", "line")] == [
        "",
        "",
        "0",
        "",
        "",
    ]


def test_a_spreadsheet_takes_no_text_for_a_formula() -> None:
    texts = ("=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1")
    rows = rows_of(csv_text(report(findings=[finding(text=text, value=-0.5) for text in texts])))
    assert [row["text"] for row in rows] == ["'" + text for text in texts]
    # Numbers stay numbers, and the sign of a leap second says what it says.
    assert {row["value"] for row in rows} == {"-0.5"}
    assert rows_of(csv_text(report(findings=[finding("leap", value="+")])))[0]["value"] == "+"


# ---- text --------------------------------------------------------------------------------------------------


def test_the_text_tells_verdict_nodes_and_the_gravest_findings() -> None:
    text = summary(mixed())
    lines = text.splitlines()
    assert lines[0].endswith("(finra-4590, text of 2016-08-15): not met")
    row = next(line for line in lines if line.startswith("trade-03"))
    assert row.split("  ")[1] == "cannot be shown"
    kinds = [line.split()[0] for line in lines if line.startswith("  ") and "trade" in line.split()[1]]
    assert kinds == ["breach"] * 14 + ["unshown"] * 3 + ["remark"] * 2
    assert f"bytes 412 to {412 + len(LINE)}: {LINE}" in text
    assert "more:" not in text


def test_the_text_tells_whom_a_node_followed_and_which_tests_failed() -> None:
    text = summary(report())
    assert (
        "trade-01: followed 192.0.2.10 75 %, 192.0.2.11 24 %, 192.0.2.99 0.7 %,"
        " its own clock (127.127.1.1) 0.2 %, no source (0.0.0.0) 0.1 % of the time; 7 changes of source.\n"
        "trade-01: measurements that failed a test: 6 (of a server that is not synchronised): 12,"
        " A (too long a delay): 3.\n"
    ) in text


def test_the_text_says_what_it_leaves_out() -> None:
    text = summary(big(findings=5000))
    assert len(text) < 20_000
    assert "5,000 findings:" in text
    assert "and 4,980 more: --json has all of them" in text


def test_the_text_moves_no_terminal() -> None:
    text = summary(hostile())
    assert all(char.isprintable() for line in text.split("\n") for char in line)
    assert "\\x1b[31m" in text


# ---- files -------------------------------------------------------------------------------------------------


def test_files_are_written_into_a_folder_that_is_made(tmp_path: Path) -> None:
    made = write_files(mixed(), tmp_path / "new" / "out")
    assert [path.name for path in made] == ["report.json", "findings.csv", "report.html"]
    assert json.loads(made[0].read_text()) == as_json(mixed())
    assert made[1].read_bytes().count(b"\r\n") == len(rows_of(csv_text(mixed()))) + 1
    assert [path.name for path in write_files(mixed(), tmp_path / "one", ("csv",))] == ["findings.csv"]
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["findings.csv"]


def test_without_jinja2_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(TicklineError, match=r"pip install 'tickline\[report\]'"):
        write_files(mixed(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(write_files(mixed(), tmp_path / "out", ("json", "csv"))) == 2


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TicklineError, match="file"):
        write_files(mixed(), tmp_path / "file" / "out", ("json",))


# ---- words -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (0.0532, "53.2 ms"),
        (0.05, "50.0 ms"),
        (-1.2e-6, "\u22121.20 \u00b5s"),
        (4.1e-3, "4.10 ms"),
        (9.996e-3, "10.0 ms"),
        (99.96e-6, "100 \u00b5s"),
        (0.9996, "1.00 s"),
        (1.5, "1.50 s"),
        (123.4, "123 s"),
        (12345.6, "12,346 s"),
        (3e-10, "0.30 ns"),
        (math.inf, "unlimited"),
        (math.nan, "\u2013"),
    ],
)
def test_errors_have_three_digits(value: float, text: str) -> None:
    assert words.seconds(value).replace("\u00a0", " ") == text


def test_limits_have_no_needless_zeros() -> None:
    assert [words.seconds(value, trim=True) for value in (0.05, 1e-4, 1.0, 100e-6)] == [
        *("50\u00a0ms", "100\u00a0\u00b5s", "1\u00a0s", "100\u00a0\u00b5s"),
    ]
    assert words.signed_seconds(5e-3) == "+5.00\u00a0ms"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0 s"), (59, "59 s"), (60, "1 min"), (2100, "35 min"), (7500, "2 h 5 min"), (3601, "1 h")),
        *((86_400, "1 d"), (90_061, "1 d 1 h"), (86_460, "1 d"), (-90, "\u22121 min 30 s")),
    ],
)
def test_durations_have_two_units(value: float, text: str) -> None:
    assert words.duration(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        *(
            (None, "cannot be shown"),
            (0.0, "0 %"),
            (1.0, "100 %"),
            (1 - 1e-9, "99.999 %"),
            (1 - 1e-13, "99.999 %"),
        ),
        *((0.29, "29 %"), (0.999969, "99.996 %"), (1e-9, "< 0.001 %"), (0.5, "50 %")),
    ],
)
def test_a_share_is_never_rounded_up(share: float | None, text: str) -> None:
    assert words.portion(share).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("check", "value", "limit", "texts"),
    [
        ("exceedance", 0.2123, 0.05, ("212 ms", "50 ms")),
        ("gap", 8000, 2100, ("2 h 13 min", "35 min")),
        ("step", 0.0251, 0.02, ("25.1 ms", "20 ms")),
        ("step", -12.5, 10.0, ("\u221212.5 ppm", "10 ppm")),
        ("smear", 11.574, 9.0, ("11.6 ppm", "9 ppm")),
        ("counter", 12, 10, ("12 exceedances", "10 exceedances")),
        ("counter", 0.2123, 0.1, ("212 ms", "100 ms")),
        ("pre_open", 0, 1, ("0 rows", "1 row")),
        ("quorum", 2, 4, ("2 sources", "4 sources")),
        ("stratum", 9, 4, ("9", "4")),
        ("source", "203.0.113.9", None, ("203.0.113.9", "\u2013")),
        ("missing_day", 1, 0, ("1 day", "0 days")),
        ("cannot_be_shown", None, None, ("\u2013", "\u2013")),
    ],
)
def test_values_are_told_with_their_units(check: str, value: Any, limit: Any, texts: tuple[str, str]) -> None:
    found = words.value_words(finding(check, value=value, limit=limit), rule())
    assert tuple(text.replace("\u00a0", " ") for text in found) == texts


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("7", "7 (invalid data, or a root distance that is too large)"),
        ("D", "D (of a server that follows this node)"),
        ("8 (chrony 1)", "test 8 of RFC 1305 (chrony 1)"),
        ("b (chrony 1)", "b (chrony 1) (too long a delay beside the shortest one)"),
        ("falseticker", "falseticker (passed all tests, and did not agree with the majority)"),
        ("x", "x"),
    ],
)
def test_a_test_is_told_by_what_fails_it(name: str, text: str) -> None:
    assert words.test_words(name) == text


def test_every_check_and_verdict_has_its_words() -> None:
    assert set(words.TITLES) == set(words.WHAT) == set(CHECKS)


# ---- certificate -------------------------------------------------------------------------------------------


def test_a_certificate_adds_up_all_nodes() -> None:
    made = mixed()
    found = certificate(made)
    facts = {name: text.replace("\u00a0", " ") for name, text in found["facts"]}
    assert facts["Nodes"] == "3: 1 met, 1 not met, 1 cannot be shown"
    assert facts["Synchronised before the open"] == "96.825 % (61 of 63 days of nodes)"
    assert facts["Time within the tolerance"] == "99.998 %, and of 1 more node nothing is shown"
    assert facts["Exceedances"].startswith("1, together 1 h; the worst was 212 ms, on trade-01 at 2026-09-03")
    assert facts["Other findings"] == "13 breaches, 3 not shown, 2 remarks"
    assert not found["is_year"]
    assert "Due" not in facts
    assert "cannot be certified" in found["statement"]


def test_only_a_year_is_certified_and_has_a_date_until_when() -> None:
    found = certificate(year())
    assert (found["is_year"], found["of"]) == (True, 2026)
    assert dict(found["facts"])["Due"] == "15\u00a0March 2027"
    for verdict in (NOT_MET, CANNOT_BE_SHOWN):
        assert "cannot be certified" in certificate(year(verdict))["statement"]


def test_nothing_shown_is_not_a_share_of_nothing() -> None:
    found = certificate(report([node(verdict=CANNOT_BE_SHOWN)]))
    assert dict(found["facts"])["Time within the tolerance"] == "cannot be shown"
    assert certificate(report([]))["is_year"] is False


def test_most_in_hours_counts_what_begins_within_them() -> None:
    hour = 3600
    begins = [hour * number for number in (0, 10, 23, 24, 25, 60)]
    assert most_in_hours(begins, 24) == 4
    assert most_in_hours([0, 24 * hour], 24) == 1
    assert most_in_hours([24 * hour - 1, 0], 24) == 2
    assert most_in_hours([], 24) == 0


def test_evidence_tells_where_a_line_stands() -> None:
    one = evidence()
    found = as_json(report(findings=[finding(evidence=(one,), begin_s=BEGIN + DAY)]))["findings"][0]
    assert found["evidence"] == [
        {"object": one.object, "offset": one.offset, "length": one.length, "line": one.line}
    ]


def test_the_command_on_the_page_shows_the_line(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, nodes=1, days=12, seed=3)
    made = build_report(fleet.store, fleet.rule(), fleet.begin, fleet.end, now=fleet.now_s)
    page, found, _ = (path.read_text() for path in reversed(write_files(made, tmp_path / "out")))
    command = "zstd -dc OBJECT | tail -c +$((FIRST + 1)) | head -c $((LAST - FIRST))"
    assert command in page
    proofs = [row for row in rows_of(found) if row["object"]]
    assert len(proofs) > 3
    for proof in proofs:
        first = int(proof["offset"])
        last = first + int(proof["length"])
        body = (tmp_path / "archive" / proof["object"]).read_bytes()
        # What the command does, without the programs.
        shown = zstandard.ZstdDecompressor().decompressobj().decompress(body)[first:last].decode()
        assert shown.rstrip("\n") == proof["line"]
        assert f"bytes {first}\u2013{last}" in page
