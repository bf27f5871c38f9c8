"""The report of a fleet: what it finds is the truth and nothing else, and what the command says and does."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from python.access_support import run as run_command
from python.archive_fleet_support import Fleet
from reference.chrony_audit import Audit
from tickline.errors import UsageError
from tickline.fake.chrony_faults import is_business_day
from tickline.pipelines.archive.report.build import build_report
from tickline.pipelines.archive.report.case import iso
from tickline.pipelines.archive.report.model import CANNOT_BE_SHOWN, MET, NOT_MET, Finding, Report
from tickline.pipelines.archive.stores import FolderStore

# Where a smear begins and ends can be told only to some minutes, and its slope to some hundredths.
SMEAR_SECONDS, SMEAR_SHARE = 1800, 0.05


def report_of(fleet: Fleet, **changes: Any) -> Report:
    return build_report(fleet.store, fleet.rule(**changes), fleet.begin, fleet.end, now=fleet.now_s)


def _same(found: Finding, true: dict[str, Any]) -> bool:
    smear = true["check"] == "smear"
    if (found.node, found.check, found.limit) != (true["node"], true["check"], true["limit"]):
        return False
    for seconds, name in ((found.begin_s, "from"), (found.end_s, "to")):
        apart_s = seconds - dt.datetime.fromisoformat(true[name]).timestamp()
        if abs(apart_s) > (SMEAR_SECONDS if smear else 0):
            return False
    if isinstance(true["value"], float):
        given = found.value if isinstance(found.value, float) else math.nan
        return math.isclose(given, true["value"], rel_tol=SMEAR_SHARE if smear else 1e-9)
    return found.value == true["value"]


def differences(report: Report, truth: list[dict[str, Any]]) -> tuple[list[Any], list[Finding]]:
    """Return what was missed, and what was found beside it."""
    left, missed = list(report.findings), []
    for true in truth:
        match = next((one for one in left if _same(one, true)), None)
        if match is None:
            missed.append(true)
        else:
            left.remove(match)
    return missed, left


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Every fault there is, in four nodes and two weeks; made once, and not changed."""
    return Fleet(tmp_path_factory.mktemp("fleet"), poll=9)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """A fleet without faults."""
    return Fleet(tmp_path_factory.mktemp("sound"), nodes=2, days=4, poll=9, faults=[])


def test_a_report_finds_the_truth_and_nothing_else(fleet: Fleet) -> None:
    report = report_of(fleet)
    assert len({one["check"] for one in fleet.truth["findings"]}) == 15
    assert differences(report, fleet.truth["findings"]) == ([], [])
    assert report.verdict == NOT_MET
    assert [node.rejected_lines for node in report.nodes] == [0, 0, 0, 0]
    lines = sum(source["lines"] for source in fleet.truth["sources"])
    assert sum(node.lines for node in report.nodes) == lines


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 3, "nodes": 2, "days": 8, "poll": 8, "start": dt.date(2026, 10, 28), "every_s": 10_000},
        {"seed": 20, "nodes": 1, "days": 12, "poll": 8, "start": dt.date(2025, 12, 1)},
        {"seed": 8, "nodes": 3, "days": 10, "poll": 9, "start": dt.date(2024, 2, 20), "every_s": 21_600},
    ],
    ids=["end of summer time", "winter", "leap day"],
)
def test_a_slow_audit_of_the_raw_logs_finds_the_same(tmp_path: Path, options: dict[str, Any]) -> None:
    fleet = Fleet(tmp_path, **options)
    report = report_of(fleet)
    assert fleet.truth["findings"]
    assert differences(report, fleet.truth["findings"]) == ([], [])
    folders = sorted(path for path in (tmp_path / "logs").iterdir() if path.is_dir())
    slow = [one for folder in folders for one in Audit(folder, fleet.truth["rule"], is_business_day).found]
    assert differences(report, slow) == ([], [])


def test_a_sound_fleet_met_the_rule(sound: Fleet) -> None:
    report = report_of(sound)
    assert (report.verdict, report.findings) == (MET, [])
    assert report.business_days == 4
    for node in report.nodes:
        assert (node.verdict, node.days, node.days_before_open) == (MET, 4, 4)
        assert node.share_shown > 0.99
        # The first rows of all say that the clock is not yet synchronised.
        assert node.share_within == pytest.approx(node.share_shown, abs=1e-3)
        assert node.max_error_s is not None
        assert node.max_error_evidence is not None
        assert 0 < node.max_error_s < 0.05
        worst = node.max_error_evidence.line.split()[-1]
        assert float(worst) == node.max_error_s
        assert iso(node.max_error_at_s or 0)[:10] == node.max_error_evidence.line[:10]


def test_without_a_list_of_sources_traceability_cannot_be_shown(sound: Fleet) -> None:
    rule = replace(sound.rule(), sources=None)
    report = build_report(sound.store, rule, sound.begin, sound.end, now=sound.now_s)
    assert report.verdict == CANNOT_BE_SHOWN
    assert {(one.check, one.severity) for one in report.findings} == {("source", "unshown")}


def test_a_stricter_rule_is_not_met(sound: Fleet) -> None:
    report = report_of(sound, tolerance_s=1e-4)
    assert report.verdict == NOT_MET
    assert report.rule["tolerance_s"] == 1e-4
    assert {one.check for one in report.findings if one.severity == "breach"} >= {"exceedance", "pre_open"}


def test_every_finding_names_lines_that_the_archive_has(fleet: Fleet) -> None:
    from tickline.pipelines.archive.chunk import unpack

    seen = 0
    for finding in report_of(fleet).findings:
        for one in finding.evidence:
            chunk = unpack(fleet.store.get(one.object), one.object)
            at = one.offset - chunk.raw_begin
            assert chunk.raw[at : at + one.length].decode() == one.line
            assert chunk.raw[at + one.length : at + one.length + 1] == b"\n"
            assert f"v1/{finding.node}/" in one.object
            seen += 1
    assert seen >= len(fleet.truth["findings"])


def test_a_period_has_the_findings_that_touch_it(fleet: Fleet) -> None:
    begin, end = fleet.begin + dt.timedelta(days=4), fleet.begin + dt.timedelta(days=8)
    report = build_report(fleet.store, fleet.rule(), begin, end, now=fleet.now_s)
    first, behind = f"{begin}T00:00:00Z", f"{end + dt.timedelta(days=1)}T00:00:00Z"
    true = [one for one in fleet.truth["findings"] if one["from"] < behind and one["to"] > first]
    assert 0 < len(true) < len(fleet.truth["findings"])
    assert differences(report, true) == ([], [])


def test_nodes_may_be_chosen(fleet: Fleet) -> None:
    period = fleet.begin, fleet.end
    report = build_report(fleet.store, fleet.rule(), *period, nodes=["node-002"], now=fleet.now_s)
    true = [one for one in fleet.truth["findings"] if one["node"] == "node-002"]
    assert [node.node for node in report.nodes] == ["node-002"]
    assert differences(report, true) == ([], [])


def test_of_a_node_that_was_never_seen_nothing_can_be_shown(sound: Fleet) -> None:
    period = sound.begin, sound.end
    report = build_report(sound.store, sound.rule(), *period, nodes=["ghost"], now=sound.now_s)
    [node] = report.nodes
    assert (node.verdict, node.objects, node.share_within) == (CANNOT_BE_SHOWN, 0, None)
    assert {one.check for one in report.findings} == {"gap", "cannot_be_shown", "missing_day", "pre_open"}
    assert "The archive has no objects of this node in this period." in node.why


def test_a_node_that_fell_silent_is_seen(sound: Fleet) -> None:
    later = sound.end + dt.timedelta(days=3)
    now_s = sound.now_s + 3 * 86400
    report = build_report(sound.store, sound.rule(), sound.begin, later, now=now_s)
    checks = {one.check for one in report.findings if one.node == "node-001"}
    # The last day was a Thursday: Friday lacks its rows, and nobody sent a heartbeat.
    assert {"gap", "cannot_be_shown", "missing_day", "integrity"} <= checks
    assert report.verdict == CANNOT_BE_SHOWN


def test_what_may_still_be_on_its_way_is_not_judged(sound: Fleet) -> None:
    now_s = sound.now_s - 7200
    report = build_report(sound.store, sound.rule(), sound.begin, sound.end, now=now_s)
    assert report.end_s == now_s - 6 * 3600 - 900
    assert (report.verdict, report.findings) == (MET, [])


def test_periods_that_cannot_be_meant_are_refused(sound: Fleet, tmp_path: Path) -> None:
    rule, day = sound.rule(), sound.begin
    with pytest.raises(UsageError, match="is before"):
        build_report(sound.store, rule, day, day - dt.timedelta(days=1), now=sound.now_s)
    with pytest.raises(UsageError, match="nothing of a period that begins on"):
        build_report(
            sound.store, rule, sound.end + dt.timedelta(days=2), dt.date(2030, 1, 1), now=sound.now_s
        )
    for wrong in ((dt.date(1, 1, 1), day), (day, dt.date(9999, 12, 31))):
        with pytest.raises(UsageError, match="is no period of logs of chronyd"):
            build_report(sound.store, rule, *wrong, now=sound.now_s)
    empty = FolderStore(f"file://{tmp_path}/none")
    with pytest.raises(UsageError, match="there is no node in this archive"):
        build_report(empty, rule, day, day, now=sound.now_s)


def run(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit code and what it wrote."""
    done = run_command(*arguments)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def arguments(fleet: Fleet, *more: str) -> list[str]:
    fleet.rule()
    period = ["--from", str(fleet.begin), "--to", str(fleet.end), "--now", iso(int(fleet.now_s))]
    rule = ["--rule", str(fleet.root / "rule.toml"), "--store", fleet.store.url]
    return ["archive", "report", *rule, *period, *more]


def test_the_command_tells_the_verdict_by_its_exit_code(fleet: Fleet, sound: Fleet, tmp_path: Path) -> None:
    code, text, errors = run(*arguments(sound))
    assert (code, errors) == (0, "")
    assert text.splitlines()[0].endswith(": met")
    code, text, errors = run(*arguments(fleet, "--out", str(tmp_path / "out")))
    assert (code, errors) == (1, "")
    assert text.splitlines()[0].endswith(": not met")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"report.json", "findings.csv", "report.html"}


def test_json_has_every_finding(fleet: Fleet, tmp_path: Path) -> None:
    code, text, errors = run(*arguments(fleet, "--json", "--out", str(tmp_path), "--format", "json"))
    assert (code, errors) == (1, "")
    found = json.loads(text)
    assert found == json.loads((tmp_path / "report.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]
    assert len(found["findings"]) == len(fleet.truth["findings"])
    assert (found["from"], found["rule_version"]) == ("2026-03-02T00:00:00Z", "2016-08-15")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--from", "yesterday"], "--from: 'yesterday' is no day. Write it as 2026-09-01."),
        (["--rule", "mifid"], "'mifid' is no rule that is known"),
        (["--format", "pdf"], "--format: 'pdf' is no format that is known"),
        (["--format", "csv"], "--format: says what is written into --out"),
        (["--now", "soon"], "--now: 'soon' is no date and no time"),
        (["--out", __file__], "test_archive_report.py is no folder. Name a folder"),
        (["--config", "archive.toml"], "an archive is named by one of two options"),
    ],
)
def test_wrong_usage_is_told(sound: Fleet, more: list[str], message: str) -> None:
    code, text, errors = run(*arguments(sound, *more))
    assert (code, text) == (2, "")
    assert message in " ".join(errors.split())
