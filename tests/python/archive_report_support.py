"""Reports made by hand for the tests of what is written of them: JSON, CSV, text and the page."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from tickline.pipelines.archive.report.model import (
    CANNOT_BE_SHOWN,
    CHECKS,
    MET,
    NOT_MET,
    Evidence,
    Finding,
    NodeReport,
    Report,
    Series,
)

BEGIN = int(dt.datetime(2026, 9, 1, tzinfo=dt.UTC).timestamp())
DAY = 86_400
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>' & {{ 7 * 7 }}",
    "safe\u202egnp.exe\u2066\u200f",
    "../../etc/passwd",
    "=1+cmd|'/c calc'!A1",
    "tab\there\nand\x1b[31mthere\x00",
    "half \ud800 of a pair",
    "x" * 300,
)
_NOBODY = {"127.127.1.1": 0.002, "0.0.0.0": 0.001}
LINE = (
    "2026-09-03 13:31:10 192.0.2.10       2    -12.345      0.021 -1.234e-05 N  4  2.100e-05 -3.000e-06"
    "  3.400e-03  1.200e-03  2.912e-03"
)


def rule(**changes: Any) -> dict[str, Any]:
    """Return a rule as a report carries it."""
    found = {
        "name": "finra-4590",
        "title": "FINRA Rule 4590: Synchronization of Member Business Clocks",
        "version": "2016-08-15",
        "citation": "FINRA Manual, Rule 4590",
        "text": "Computer clocks keep within 50 milliseconds of NIST.",
        "tolerance_s": 0.05,
        "zone": "America/New_York",
        "open": "09:30",
        "close": "16:00",
        "gap_s": 2100,
        "step_s": 0.02,
        "step_ppm": 10.0,
        "counter_hours": 24.0,
        "sources": ["192.0.2.10", "192.0.2.11"],
        "closed": [],
        "due": None,
    }
    return found | changes


def evidence(node: str = "trade-01", number: int = 1, line: str = LINE) -> Evidence:
    """Return a line that stands somewhere."""
    return Evidence(f"v1/{node}/2026/09/03/{number:010}.zst", 412, len(line), line)


def finding(check: str = "exceedance", begin_s: int = BEGIN + 3 * DAY, **changes: Any) -> Finding:
    """Return a finding of an hour, with one line of evidence."""
    found: dict[str, Any] = {
        "node": "trade-01",
        "check": check,
        "begin_s": begin_s,
        "end_s": begin_s + 3600,
        "value": 0.2123,
        "limit": 0.05,
        "text": f"What {check} means here.",
        "severity": "breach",
        "evidence": (evidence(),),
    }
    return Finding(**(found | changes))


def series(days: int, *, per_day: int = 4, noise: int = 1) -> Series:
    """Return a plausible series with a hole and a peak."""
    draw = random.Random(noise)
    count = days * per_day
    bound: list[float | None] = [10 ** draw.uniform(-3.2, -2.4) for _ in range(count)]
    low: list[float | None] = [-(10 ** draw.uniform(-6, -4.5)) for _ in range(count)]
    high: list[float | None] = [10 ** draw.uniform(-6, -4.5) for _ in range(count)]
    for index in range(count // 3, count // 3 + max(count // 40, 1)):
        bound[index] = low[index] = high[index] = None
    bound[count // 2], high[count // 2] = 0.2123, 0.0801
    return Series(BEGIN, DAY // per_day, low, high, bound)


def node(name: str = "trade-01", verdict: str = MET, days: int = 30, **changes: Any) -> NodeReport:
    """Return a node with all that a report can say of one."""
    found: dict[str, Any] = {
        "why": ["Every check was made."]
        if verdict == MET
        else ["Its tracking log has no \u201cMax. error\u201d."],
        "days": days * 5 // 7,
        "days_before_open": days * 5 // 7 - (verdict != MET),
        "share_within": 1.0 if verdict == MET else None if verdict == CANNOT_BE_SHOWN else 0.99996,
        "share_shown": 1.0 if verdict != CANNOT_BE_SHOWN else 0.0,
        "max_error_s": 0.0041 if verdict == MET else 0.2123,
        "max_error_at_s": BEGIN + 3 * DAY,
        "max_error_evidence": evidence(name),
        "rows": {"tracking": 40_000, "measurements": 160_000},
        "sources": {"192.0.2.10": 0.75, "192.0.2.11": 0.24, "192.0.2.99": 0.007, **_NOBODY},
        "source_changes": 7,
        "configurations": [
            {
                "from": "2026-09-01T00:00:00Z",
                "to": "2026-10-01T00:00:00Z",
                "chrony": "4.5",
                "conf_sha256": "ab" * 32,
                "kernel": "6.1.0-18-amd64",
                "machine": "0f" * 16,
            }
        ],
        "stamps": {"H": 150_000, "K": 9_000, "D": 1_000},
        "failed_tests": {"6": 12, "A": 3},
        "objects": 1440,
        "lines": 360_000,
        "rejected_lines": 0 if verdict == MET else 3,
        "series": series(days, noise=sum(map(ord, name))),
    }
    return NodeReport(name, verdict, **(found | changes))


def report(
    nodes: list[NodeReport] | None = None,
    findings: list[Finding] | None = None,
    days: int = 30,
    **changes: Any,
) -> Report:
    """Return a report; the verdict is the worst of its nodes."""
    nodes = [node()] if nodes is None else nodes
    verdicts = {one.verdict for one in nodes}
    verdict = next((one for one in (NOT_MET, CANNOT_BE_SHOWN) if one in verdicts), MET)
    dates = [dt.date(2026, 9, 1) + dt.timedelta(days=number) for number in range(days)]
    business = [day.isoformat() for day in dates if day.isoweekday() <= 5]
    found: dict[str, Any] = {
        "rule": rule(),
        "begin_s": BEGIN,
        "end_s": BEGIN + days * DAY,
        "verdict": verdict,
        "nodes": nodes,
        "findings": findings or [],
        "store": "s3://compliance-logs/ntp",
        "writer": "Tickline 0.1.0",
        "business_dates": business,
    }
    return Report(**(found | changes))


def mixed() -> Report:
    """Return a fleet of three with a finding of every check."""
    values: dict[str, tuple[Any, Any]] = {
        "gap": (8000, 2100),
        "local_clock": (3600, 0),
        "not_synchronised": (600, 0),
        "step": (0.0251, 0.02),
        "stratum": (9, 4),
        "source": ("203.0.113.9", None),
        "quorum": (2, 4),
        "leap": ("+", None),
        "smear": (11.574, 9.0),
        "time_order": (31, 0),
        "missing_day": (1, 0),
        "cannot_be_shown": (None, None),
        "integrity": (None, None),
        "late_upload": (9000, 2700),
        "pre_open": (0, 1),
        "counter": (12, 10),
        "configuration": (None, None),
    }
    kinds = {"cannot_be_shown": "unshown", "gap": "unshown", "step": "remark", "configuration": "remark"}
    found = [
        finding(
            check,
            BEGIN + (2 + index) * DAY + 50_000,
            value=values.get(check, (0.2123, 0.05))[0],
            limit=values.get(check, (0.2123, 0.05))[1],
            severity=kinds.get(check, "breach"),
            evidence=tuple(evidence(number=number) for number in range(index % 4)),
        )
        for index, check in enumerate(CHECKS)
    ]
    found.append(finding("gap", BEGIN + 9 * DAY, node="trade-03", severity="unshown", value=4000, limit=2100))
    names = (("trade-01", NOT_MET), ("trade-02", MET), ("trade-03", CANNOT_BE_SHOWN))
    return report([node(name, verdict) for name, verdict in names], found)


def big(nodes: int = 10, days: int = 90, findings: int = 5000) -> Report:
    """Return a report with more findings than a page can show."""
    names = [f"trade-{number:02}" for number in range(1, nodes + 1)]
    draw = random.Random(4)
    found = [
        finding(
            draw.choice(CHECKS),
            BEGIN + int(draw.random() * days * DAY),
            node=draw.choice(names),
            severity=draw.choice(("breach", "unshown", "remark")),
            evidence=tuple(evidence(number=number) for number in range(3)),
        )
        for _ in range(findings)
    ]
    found.sort(key=lambda one: (one.node, one.begin_s))
    return report([node(name, NOT_MET, days) for name in names], found, days)


def hostile() -> Report:
    """Return a report in which every text is what an attacker would choose."""
    fields = ("from", "to", "chrony", "conf_sha256", "kernel", "machine")
    nodes = [
        node(
            name,
            NOT_MET,
            why=[name],
            sources={name: 1.0},
            stamps={name: 1},
            failed_tests={name: 1},
            rows={name: 1},
            configurations=[dict.fromkeys(fields, name)],
            max_error_evidence=Evidence(f"v1/{name}/1.zst", 0, 3, name),
        )
        for name in HOSTILE
    ]
    found = [
        finding(
            "source", node=name, value=name, limit=name, text=name, evidence=(Evidence(name, 0, 9, name),)
        )
        for name in HOSTILE
    ]
    texts = dict.fromkeys(("name", "title", "version", "citation", "text"), HOSTILE[1])
    own = rule(**texts, sources=list(HOSTILE))
    return report(nodes, found, rule=own, store=HOSTILE[2], writer=HOSTILE[0])


def year(verdict: str = MET) -> Report:
    """Return a report on a whole year of two nodes."""
    begin = int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp())
    nodes = [node(name, verdict, 365) for name in ("trade-01", "trade-02")]
    for one in nodes:
        assert one.series is not None
        one.series = Series(
            begin, one.series.bin_s, one.series.offset_low_s, one.series.offset_high_s, one.series.bound_s
        )
    dates = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(365)]
    business = [day.isoformat() for day in dates if day.isoweekday() <= 5]
    return report(
        nodes,
        days=365,
        rule=rule(due="03-15"),
        begin_s=begin,
        end_s=begin + 365 * DAY,
        business_dates=business,
    )
