"""What a report says of the archive itself, of late uploads, and of what ran on a node: checks 11 and 12."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from python.archive_case_support import (
    BEGIN,
    DAY,
    A,
    B,
    add,
    archive,
    case_from,
    case_of,
    every,
    measured,
    told,
    tracked,
)
from tickline.pipelines.archive.chain import Flaw
from tickline.pipelines.archive.config import Retention
from tickline.pipelines.archive.report import integrity
from tickline.pipelines.archive.report.case import NodeCase
from tickline.pipelines.archive.report.facts import describe
from tickline.pipelines.archive.report.model import NodeReport

HALF_HOUR = 1800
EVIDENCE: dict[str, str | None] = {
    "chrony": "chronyd (chrony) version 4.3",
    "conf": "/etc/chrony/chrony.conf",
    "conf_sha256": "aa" * 32,
    "kernel": "Linux 6.1",
    "machine": "trade-07",
}


def _upload(tmp_path: Path, *moments: int, late: int = 10, **more: Any) -> None:
    """Write a row at each moment and archive it some seconds later."""
    for at in moments:
        add(tmp_path, "tracking", [tracked(at)])
        archive(tmp_path, at + late, **more)


def _objects(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "archive").rglob("*.zst"))


def _integrity(case: NodeCase) -> list[tuple[Any, ...]]:
    return [(one.check, one.value, one.limit, one.severity) for one in integrity.chain(case)]


def test_an_archive_as_it_was_written_has_no_findings(tmp_path: Path) -> None:
    _upload(tmp_path, 0, HALF_HOUR, 2 * HALF_HOUR, evidence=EVIDENCE, retention=Retention("COMPLIANCE", 3))
    case = case_from(tmp_path, end=2 * HALF_HOUR + 1, now=3 * HALF_HOUR)
    for check in (integrity.chain, integrity.late_upload, integrity.archive, integrity.configuration):
        assert told(check(case)) == []


def test_an_object_that_is_gone_leaves_something_unshown(tmp_path: Path) -> None:
    _upload(tmp_path, 0, HALF_HOUR, 2 * HALF_HOUR)
    _objects(tmp_path)[1].unlink()
    case = case_from(tmp_path, now=3 * HALF_HOUR)
    [finding] = integrity.chain(case)
    assert told(iter([finding])) == [("integrity", 10, 2 * HALF_HOUR + 10, "missing", None)]
    assert (finding.severity, finding.evidence) == ("unshown", ())
    assert "0000000002" in finding.text


def test_an_object_that_was_changed_is_named(tmp_path: Path) -> None:
    _upload(tmp_path, 0, HALF_HOUR, 2 * HALF_HOUR)
    path = _objects(tmp_path)[1]
    body = bytearray(path.read_bytes())
    body[-9] ^= 1
    path.chmod(0o600)
    path.write_bytes(body)
    case = case_from(tmp_path, now=3 * HALF_HOUR)
    [finding] = integrity.chain(case)
    assert (finding.value, finding.severity, finding.evidence) == ("damaged", "unshown", ())
    assert path.relative_to(tmp_path / "archive").as_posix() in finding.text
    # Nobody knows when it was made: it concerns the whole period.
    assert (finding.begin_s, finding.end_s) == (BEGIN, BEGIN + DAY)
    assert len(case.tracking) == 2


def test_an_uploader_that_is_silent_is_found_by_its_heartbeat(tmp_path: Path) -> None:
    _upload(tmp_path, 0, 2 * DAY)
    case = case_from(tmp_path, end=2 * DAY, now=2 * DAY + 60)
    assert _integrity(case) == [("integrity", "heartbeat", None, "remark")]
    assert _integrity(case_from(tmp_path, end=4 * DAY, now=4 * DAY)) == [
        ("integrity", "heartbeat", None, "remark"),
        ("integrity", "cut", None, "unshown"),
    ]


def test_a_clock_that_was_set_back_between_two_chunks_is_a_matter_of_order(tmp_path: Path) -> None:
    _upload(tmp_path, 4 * HALF_HOUR)
    _upload(tmp_path, HALF_HOUR)
    case = case_from(tmp_path, now=DAY)
    [finding] = integrity.chain(case)
    assert (finding.check, finding.severity) == ("time_order", "remark")
    assert (finding.begin_s - BEGIN, finding.end_s - BEGIN) == (HALF_HOUR + 10, 4 * HALF_HOUR + 10)
    assert [json.loads(one.line)["seq"] for one in finding.evidence] == [2]


@pytest.mark.parametrize(
    ("begin_s", "end_s", "expected"),
    [
        (None, None, (10, 10)),
        (BEGIN + 5.0, None, (5, 5)),
        (None, BEGIN + 7.9, (7, 7)),
        (BEGIN + 9, BEGIN + 3, (3, 9)),
    ],
)
def test_a_flaw_is_given_the_times_that_are_known(
    tmp_path: Path, begin_s: float | None, end_s: float | None, expected: tuple[int, int]
) -> None:
    case = case_of(tmp_path, {"tracking": [tracked(0)]}, now=10)
    case.chain.append(Flaw(case.chunks[0].key, "hole", "bytes are missing", begin_s, end_s))
    [finding] = integrity.chain(case)
    assert (finding.begin_s - BEGIN, finding.end_s - BEGIN) == expected
    assert finding.text == f"Bytes are missing ({case.chunks[0].key})."


@pytest.mark.parametrize(("late", "found"), [(0, False), (2700, False), (2701, True)])
def test_an_upload_is_late_when_its_oldest_line_waited(tmp_path: Path, late: int, found: bool) -> None:
    add(tmp_path, "tracking", [tracked(0), tracked(late)])
    archive(tmp_path, late)
    findings = list(integrity.late_upload(case_from(tmp_path)))
    assert told(iter(findings)) == ([("late_upload", 0, late, late, 2700)] if found else [])
    assert {finding.severity for finding in findings} <= {"remark"}


def test_an_uploader_that_slept_and_one_that_is_always_late_are_one_finding_each(tmp_path: Path) -> None:
    _upload(tmp_path, *range(0, 3600, 600))
    # Six hours without a run; the lines of all of them come at once, the newest one in time.
    add(tmp_path, "tracking", every(600, tracked, begin=3600, end=7 * 3600))
    archive(tmp_path, 7 * 3600)
    _upload(tmp_path, 7 * 3600 + 600)
    for hour in range(10, 20):
        _upload(tmp_path, hour * 3600, late=3000 + hour)
    slept, always = integrity.late_upload(case_from(tmp_path))
    assert told(iter([slept])) == [("late_upload", 3600, 7 * 3600, 6 * 3600, 2700)]
    assert slept.text == "Lines waited for up to 6\u00a0h before they were archived (chunk 7)."
    assert told(iter([always])) == [("late_upload", 10 * 3600, 19 * 3600 + 3019, 3019, 2700)]
    assert "50\u00a0min 19\u00a0s before they were archived (10 chunks, 9 to 18)" in always.text


def test_logs_that_were_there_before_their_archive_are_one_remark(tmp_path: Path) -> None:
    add(tmp_path, "tracking", every(3600, tracked, end=261 * DAY))
    archive(tmp_path, 261 * DAY)
    _upload(tmp_path, 261 * DAY)
    [finding] = integrity.late_upload(case_from(tmp_path, end=262 * DAY))
    assert finding.value == 261 * DAY
    assert finding.text.endswith(
        "261\u00a0d before they were archived (chunk 1)."
        " The archive begins there: the logs were older than it."
    )


def test_lines_that_were_imported_were_not_late(tmp_path: Path) -> None:
    _upload(tmp_path, 0, late=3000)
    case = case_from(tmp_path)
    assert len(told(integrity.late_upload(case))) == 1
    case.chunks[0] = replace(case.chunks[0], imported=True)
    assert told(integrity.late_upload(case)) == []


def test_what_a_header_says_is_shown_by_the_header(tmp_path: Path) -> None:
    _upload(tmp_path, 0, late=3000)
    [finding] = integrity.late_upload(case_from(tmp_path))
    [evidence] = finding.evidence
    [path] = _objects(tmp_path)
    body = zstandard.ZstdDecompressor().decompress(path.read_bytes())
    assert evidence.object == path.relative_to(tmp_path / "archive").as_posix()
    assert body[evidence.offset :][: evidence.length].decode() == evidence.line
    assert json.loads(evidence.line)["created"].startswith("2026-03-02T00:50:00")
    # Of what lies outside the period nothing is read.
    [before] = integrity.late_upload(case_from(tmp_path, begin=3000, end=DAY))
    assert before.evidence == ()


def test_the_delay_that_is_allowed_stands_in_the_rule(tmp_path: Path) -> None:
    _upload(tmp_path, 0, late=100)
    assert told(integrity.late_upload(case_from(tmp_path, upload_delay_s=60, upload_slack_s=39))) == [
        ("late_upload", 0, 100, 100, 99)
    ]
    assert told(integrity.late_upload(case_from(tmp_path, upload_delay_s=60, upload_slack_s=40))) == []


def test_a_heartbeat_is_never_late(tmp_path: Path) -> None:
    _upload(tmp_path, 0)
    archive(tmp_path, 2 * DAY)
    case = case_from(tmp_path, end=2 * DAY, now=2 * DAY)
    assert len(case.chunks) == 2
    assert told(integrity.late_upload(case)) == []


def test_a_retention_that_is_too_short_is_one_finding_for_all_its_chunks(tmp_path: Path) -> None:
    _upload(tmp_path, 0, retention=Retention("COMPLIANCE", 3))
    _upload(tmp_path, 600, 1200, retention=Retention("COMPLIANCE", 2))
    _upload(tmp_path, 1800, retention=Retention("GOVERNANCE", 7))
    [finding] = integrity.archive(case_from(tmp_path))
    assert told(iter([finding])) == [("integrity", 610, 1210, 2, 3)]
    assert finding.severity == "remark"
    assert [one.object[-14:] for one in finding.evidence] == ["0000000002.zst", "0000000003.zst"]


def test_a_store_that_ignores_conditional_writes_is_told_of(tmp_path: Path) -> None:
    _upload(tmp_path, 0)
    case = case_from(tmp_path)
    assert told(integrity.archive(case)) == []
    case.chunks[0] = replace(case.chunks[0], conditional="ignored")
    assert told(integrity.archive(case)) == [("integrity", 10, 10, "conditional", None)]


def test_each_change_of_what_runs_is_told(tmp_path: Path) -> None:
    other = EVIDENCE | {"conf_sha256": "bb" * 32}
    newer = other | {"chrony": "chronyd (chrony) version 4.6", "kernel": None}
    for at, evidence in ((0, EVIDENCE), (600, EVIDENCE), (1200, other), (1800, newer)):
        _upload(tmp_path, at, evidence=evidence)
    case = case_from(tmp_path)
    found = list(integrity.configuration(case))
    assert told(iter(found)) == [
        ("configuration", 610, 1210, "bb" * 32, "aa" * 32),
        (
            "configuration",
            1210,
            1810,
            "chronyd (chrony) version 4.6, unknown",
            "chronyd (chrony) version 4.3, Linux 6.1",
        ),
    ]
    assert found[0].text == "From here on there is another chrony.conf."
    assert {one.severity for one in found} == {"remark"}
    assert integrity.configuration_spans(case)[0] == {
        "from": "2026-03-02T00:00:10Z",
        "to": "2026-03-02T00:10:10Z",
        "chrony": "chronyd (chrony) version 4.3",
        "conf_sha256": "aa" * 32,
        "kernel": "Linux 6.1",
        "machine": "trade-07",
    }
    assert len(integrity.configuration_spans(case)) == 3


def test_what_ran_when_lines_of_the_period_were_taken_is_told_though_it_was_later(tmp_path: Path) -> None:
    _upload(tmp_path, DAY - 5, evidence=EVIDENCE)
    assert [span["from"] for span in integrity.configuration_spans(case_from(tmp_path))] == [
        "2026-03-03T00:00:05Z"
    ]
    assert integrity.configuration_spans(case_from(tmp_path, begin=DAY + 60, end=2 * DAY)) == []


# ---- facts ----------------------------------------------------------------------------------------------


def _described(case: NodeCase) -> NodeReport:
    report = NodeReport("n1", "met")
    describe(case, report)
    return report


def test_sources_have_their_shares_of_the_period_and_gaps_are_nobodys(tmp_path: Path) -> None:
    rows = [
        *every(600, tracked, A, end=12 * 3600),
        *every(600, tracked, B, begin=12 * 3600, end=18 * 3600 + 1),
        tracked(DAY),
    ]
    report = _described(case_of(tmp_path, {"tracking": rows}))
    # The last row of B holds for the 35 minutes that the rule allows.
    assert report.sources == {A: 0.5, B: pytest.approx(0.25 + 2100 / DAY)}
    assert list(report.sources) == [A, B]
    assert report.source_changes == 1


def test_what_was_followed_when_the_period_began_counts_from_then_on(tmp_path: Path) -> None:
    rows = [tracked(DAY - 600, A), tracked(DAY + 1200, B), tracked(2 * DAY + 60, A)]
    case = case_of(tmp_path, {"tracking": rows}, begin=DAY, end=2 * DAY, now=3 * DAY)
    report = _described(case)
    assert report.sources == {B: pytest.approx(2100 / DAY), A: pytest.approx(1200 / DAY)}
    assert report.source_changes == 0


def test_stamps_are_counted_by_the_worse_of_two(tmp_path: Path) -> None:
    pairs = ["H H", "H K", "K H", "K K", "D K", "H D", "D D"]
    rows = [measured(n, stamps=pair) for n, pair in enumerate(pairs)] + [measured(DAY)]
    assert _described(case_of(tmp_path, {"measurements": rows})).stamps == {"D": 3, "K": 3, "H": 1}


def test_failed_tests_are_counted_by_name_and_generation(tmp_path: Path) -> None:
    rows = [
        measured(0, tests="111 111 1111"),
        measured(1, tests="011 111 1111"),
        measured(2, tests="010 101 0110"),
        "2026-03-02 00:00:03 192.0.2.1       N  1 1110 011 1111  6  6 0.00  1.000e-05  1.000e-03  1.000e-06"
        "  0.000e+00  1.000e-05\n",
        measured(DAY, tests="000 000 0000"),
    ]
    assert _described(case_of(tmp_path, {"measurements": rows})).failed_tests == {
        "1": 2,
        "3": 1,
        "4 (chrony 1)": 1,
        "6": 1,
        "A": 1,
        "D": 1,
        "a (chrony 1)": 1,
    }


def test_falsetickers_are_counted(tmp_path: Path) -> None:
    rows = [measured(n, name, offset=0.2 * (n == 2)) for n, name in enumerate((A, B, A, B, A))]
    rows.insert(2, measured(2, "192.0.2.3"))
    assert _described(case_of(tmp_path, {"measurements": rows})).failed_tests == {"falseticker": 1}


def test_what_the_archive_does_not_show_is_said(tmp_path: Path) -> None:
    _upload(tmp_path, 0)
    why = _described(case_from(tmp_path)).why
    assert [text.split(" ")[0:3] for text in why] == [
        ["That", "chunks", "are"],
        ["Which", "chrony.conf", "was"],
        ["Which", "release", "of"],
        ["There", "are", "no"],
    ]
    assert "3 years" in why[0]


def test_nothing_is_said_where_all_is_shown(tmp_path: Path) -> None:
    add(tmp_path, "measurements", [measured(0)])
    _upload(tmp_path, 0, evidence=EVIDENCE, retention=Retention("COMPLIANCE", 3))
    assert _described(case_from(tmp_path)).why == []


def test_a_node_without_anything_is_described_all_the_same(tmp_path: Path) -> None:
    report = _described(case_of(tmp_path, {"tracking": []}))
    assert (report.sources, report.stamps, report.failed_tests, report.source_changes) == ({}, {}, {}, 0)
