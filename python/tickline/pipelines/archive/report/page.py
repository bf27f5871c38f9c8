"""report.html: what an archive shows about clocks, on one page that needs nothing but itself.

The page shows figures and the gravest part of the findings; all of them stand in the JSON and the CSV, and
where the page leaves some out it says how many.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tickline.page import render
from tickline.page.svg import share_bar
from tickline.page.words import exact, pieces
from tickline.pipelines.archive.report import words
from tickline.pipelines.archive.report.case import iso
from tickline.pipelines.archive.report.certificate import certificate
from tickline.pipelines.archive.report.figures import days_grid, error_chart, fewer_bins
from tickline.pipelines.archive.report.marks import bin_states, days_of
from tickline.pipelines.archive.report.model import (
    CANNOT_BE_SHOWN,
    CHECKS,
    MET,
    NOT_MET,
    Evidence,
    Finding,
    NodeReport,
    Report,
)

__all__ = ["page_text"]

# Of a page: findings, nodes with a part of their own, bins of all charts together and of one, links above.
_FINDINGS = 1500
_NODES = 40
_ALL_BINS, _MOST_BINS, _FEWEST_BINS = 7200, 240, 60
_LINKS = 12
_SHOWN_OF_CHECK = (500, 200, 100, 50, 25, 10, 5, 2, 1)
# Sources, releases and tests of a node; characters of a line of a log.
_ROWS = 25
_LINE = 400

_BADGES = {MET: "met", NOT_MET: "breach", CANNOT_BE_SHOWN: "unshown"}
_DAYS = {"breach": "with a breach", "unshown": "not shown", "remark": "with a remark"}
_STAMPS = {"H": "hardware", "K": "kernel", "D": "daemon"}


def page_text(report: Report) -> str:
    """Return the page of a report.

    Raises
    ------
    TicklineError
        jinja2 is not installed.
    """
    filters: dict[str, Callable[..., Any]] = {
        "duration": words.duration,
        "iso": iso,
        "moment": words.moment,
        "portion": words.portion,
        "seconds": words.seconds,
        "visible": _visible,
    }
    return render(__package__, _content(report), filters)


def _visible(text: str) -> str:
    """Return a text for an attribute: what cannot be seen is spelled out, as everywhere on the page."""
    return "".join(part for _, part in pieces(text))


def _content(report: Report) -> dict[str, Any]:
    of_node: dict[str, list[Finding]] = {node.node: [] for node in report.nodes}
    for finding in report.findings:
        of_node.setdefault(finding.node, []).append(finding)
    # Nodes that were never seen have findings and no figures.
    shown = _chosen(report.nodes)
    most = _most_of_check([of_node[node.node] for node in shown])
    return {
        "made_by": report.writer,
        "report": report,
        "rule": report.rule,
        "verdict": {"badge": _BADGES[report.verdict], "about": words.VERDICTS[report.verdict]},
        "badges": _BADGES,
        "severities": words.SEVERITIES,
        "checks": _checks(report),
        "limits": _limits(report.rule),
        "titles": words.TITLES,
        "what": words.WHAT,
        "fleet": [_row(node, of_node[node.node], node in shown) for node in report.nodes],
        "tiles": _tiles(report),
        "certificate": certificate(report),
        "nodes": [_node(report, node, of_node[node.node], len(shown), most) for node in shown],
        "left_out": len(report.nodes) - len(shown),
        "links": _LINKS,
    }


def _chosen(nodes: Sequence[NodeReport]) -> list[NodeReport]:
    """Return the nodes that get a part of their own: all, or as many as fit, the worst ones first."""
    if len(nodes) <= _NODES:
        return list(nodes)
    order = {NOT_MET: 0, CANNOT_BE_SHOWN: 1, MET: 2}
    kept = sorted(range(len(nodes)), key=lambda index: (order[nodes[index].verdict], index))[:_NODES]
    return [nodes[index] for index in sorted(kept)]


def _most_of_check(findings: Sequence[Sequence[Finding]]) -> int:
    """Return how many findings of each check of each node are shown, so that all of them fit on a page."""
    counts = [count for own in findings for count in Counter(finding.check for finding in own).values()]
    fitting = (most for most in _SHOWN_OF_CHECK if sum(min(count, most) for count in counts) <= _FINDINGS)
    return next(fitting, _SHOWN_OF_CHECK[-1])


# ---- fleet -------------------------------------------------------------------------------------------------


def _row(node: NodeReport, findings: Sequence[Finding], has_part: bool) -> dict[str, Any]:
    counts = Counter(finding.severity for finding in findings)
    return {"node": node, "counts": counts, "has_part": has_part, "id": _id(node.node)}


def _id(name: str) -> str:
    """Return a name as part of an id: no blank, and no two names the same."""
    return "".join(
        char if char.isascii() and (char.isalnum() or char == "-") else f"_{ord(char):x}_" for char in name
    )


def _tiles(report: Report) -> list[tuple[str, str, str]]:
    verdicts = Counter(node.verdict for node in report.nodes)
    severities = Counter(finding.severity for finding in report.findings)
    return [
        ("nodes", "nodes" if len(report.nodes) != 1 else "node", exact(len(report.nodes))),
        ("met", "met", exact(verdicts[MET])),
        ("not-met", "not met", exact(verdicts[NOT_MET])),
        ("cannot-be-shown", "cannot be shown", exact(verdicts[CANNOT_BE_SHOWN])),
        (
            "days",
            "business days" if report.business_days != 1 else "business day",
            exact(report.business_days),
        ),
        ("breaches", "breaches" if severities["breach"] != 1 else "breach", exact(severities["breach"])),
    ]


def _checks(report: Report) -> list[dict[str, Any]]:
    """Return what each check found, all nodes together; those that found nothing are named, too."""
    counts = Counter((finding.check, finding.severity) for finding in report.findings)
    nodes: dict[str, set[str]] = {}
    for finding in report.findings:
        nodes.setdefault(finding.check, set()).add(finding.node)
    return [
        {
            "check": check,
            "title": words.TITLES[check],
            "what": words.WHAT[check],
            "nodes": len(nodes.get(check, ())),
            "counts": [counts[check, severity] for severity in words.SEVERITIES],
        }
        for check in CHECKS
    ]


def _limits(rule: dict[str, Any]) -> list[tuple[str, str]]:
    """Return all settings of the rule but its words, as they stand in its file."""
    return [
        (name, _limit(value))
        for name, value in rule.items()
        if name not in ("name", "title", "text", "citation")
    ]


def _limit(value: object) -> str:
    if value is None:
        return "not given"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {one}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value)) or "none"
    return str(value)


# ---- one node ----------------------------------------------------------------------------------------------


def _node(
    report: Report, node: NodeReport, findings: Sequence[Finding], nodes: int, most: int
) -> dict[str, Any]:
    own = _id(node.node)
    return {
        **_row(node, findings, has_part=True),
        "chart": _chart(report, node, findings, nodes, own),
        "days": _days(report, node, findings, own),
        "worst": None if node.max_error_evidence is None else _evidence(node.max_error_evidence),
        "stamps": [(_STAMPS.get(kind, kind), count) for kind, count in node.stamps.items()],
        "tests": [(words.test_words(name), count) for name, count in _largest(node.failed_tests)],
        "sources": [
            {"name": words.source_words(name), "share": words.portion(share), "bar": share_bar(share)}
            for name, share in _largest(node.sources)
        ],
        "more_sources": max(len(node.sources) - _ROWS, 0),
        "configurations": [_configuration(one) for one in node.configurations[:_ROWS]],
        "more_configurations": max(len(node.configurations) - _ROWS, 0),
        "checks": [
            _of_check(check, found, report.rule, most)
            for check in CHECKS
            if (found := [finding for finding in findings if finding.check == check])
        ],
    }


def _chart(
    report: Report, node: NodeReport, findings: Sequence[Finding], nodes: int, own: str
) -> dict[str, Any] | None:
    if node.series is None or not node.series.bound_s:
        return None
    series = fewer_bins(node.series, min(max(_ALL_BINS // nodes, _FEWEST_BINS), _MOST_BINS))
    tolerance = float(report.rule["tolerance_s"])
    at = "" if node.max_error_at_s is None else f" at {words.moment(node.max_error_at_s)}"
    worst = "No row tells a bound."
    if node.max_error_s is not None:
        worst = f"The worst bound of a row: {words.seconds(node.max_error_s)}{at}."
    title = (
        f"Error of the clock of {_visible(node.node)} over time, {len(series.bound_s)} bins of"
        f" {words.duration(series.bin_s)}. {worst} Tolerance: {words.seconds(tolerance, trim=True)}."
    )
    states = bin_states(series, findings, report.begin_s, report.end_s)
    told = f"at-{own}"
    return {
        "figure": error_chart(series, tolerance, states, title, told),
        "told": told,
        "worst": worst,
        "bin": words.duration(series.bin_s),
    }


def _days(report: Report, node: NodeReport, findings: Sequence[Finding], own: str) -> dict[str, Any]:
    days = days_of(report, findings)
    states = Counter(state for state, _ in days.values())
    told = f"day-{own}"
    counted = [
        f"{exact(states[state])} {name}"
        for state, name in (
            ("breach", "with a breach"),
            ("unshown", "not shown"),
            ("remark", "with a remark"),
        )
        if states[state]
    ]
    without = f"{exact(states['ok'])} without a finding"
    summary = f"Days: {', '.join([*counted, without])}."
    figure = days_grid(days, f"Days of {_visible(node.node)}. {summary}", told) if days else ""
    return {"figure": figure, "told": told, "summary": summary, "zone": report.rule.get("zone") or "UTC"}


def _largest(of: Mapping[str, float]) -> list[tuple[str, Any]]:
    return sorted(of.items(), key=lambda item: (-item[1], item[0]))[:_ROWS]


def _configuration(one: dict[str, Any]) -> dict[str, str]:
    """Return one span of time in which a node's configuration stayed the same, as text."""
    return {
        name: "\u2013" if one.get(name) in (None, "") else str(one[name])
        for name in ("from", "to", "chrony", "conf_sha256", "kernel", "machine")
    }


def _of_check(check: str, findings: Sequence[Finding], rule: dict[str, Any], most: int) -> dict[str, Any]:
    """Return the findings of a check in order of time, the gravest ones if not all fit."""
    order = {severity: place for place, severity in enumerate(words.SEVERITIES)}
    kept = sorted(findings, key=lambda finding: order[finding.severity])[:most]
    kept.sort(key=lambda finding: (finding.begin_s, finding.end_s))
    return {
        "check": check,
        "title": words.TITLES[check],
        "what": words.WHAT[check],
        "count": len(findings),
        "lasting": sum(finding.end_s - finding.begin_s for finding in findings),
        "more": len(findings) - len(kept),
        "findings": [_finding(finding, rule) for finding in kept],
    }


def _finding(finding: Finding, rule: dict[str, Any]) -> dict[str, Any]:
    value, limit = words.value_words(finding, rule)
    return {
        "finding": finding,
        "lasting": words.duration(finding.end_s - finding.begin_s)
        if finding.end_s != finding.begin_s
        else "\u2013",
        "value": value,
        "limit": limit,
        "evidence": [_evidence(one) for one in finding.evidence],
    }


def _evidence(one: Evidence) -> dict[str, Any]:
    cut = len(one.line) - _LINE
    return {
        "object": one.object,
        "offset": one.offset,
        "end": one.offset + one.length,
        "line": one.line[:_LINE],
        "more": max(cut, 0),
    }
