"""What a certificate for a year rests on: check 13 of a report."""

import datetime as dt
from collections import Counter
from typing import Any

from tickline.page.words import day_words, exact
from tickline.pipelines.archive.report import words
from tickline.pipelines.archive.report.model import CANNOT_BE_SHOWN, MET, NOT_MET, Report

__all__ = ["certificate", "most_in_hours"]

_YEAR_S = 365 * 86_400
# The first business day need not be New Year's.
_SLACK_S = 7 * 86_400


def certificate(report: Report) -> dict[str, Any]:
    """Return the figures of all nodes together.

    Returns
    -------
    dict
        ``is_year``, ``of`` (the year, or None), ``statement``, and ``facts``: pairs of a name and a text.
    """
    is_year = abs(report.end_s - report.begin_s - _YEAR_S) <= _SLACK_S
    middle = dt.datetime.fromtimestamp((report.begin_s + report.end_s) // 2, dt.UTC)
    rule = report.rule
    facts = [
        ("Rule", f"{rule['title']}, text of {rule['version']}"),
        ("Period", f"{words.moment(report.begin_s)} to {words.moment(report.end_s)} UTC"),
        ("Business days", exact(report.business_days)),
        ("Nodes", _nodes(report)),
        ("Synchronised before the open", _before_open(report)),
        ("Time within the tolerance", _within(report)),
        *_exceedances(report),
        ("Other findings", _others(report)),
    ]
    if rule.get("due") and is_year:
        facts.append(("Due", _due(rule["due"], middle.year + 1)))
    return {
        "is_year": is_year,
        "of": middle.year if is_year else None,
        "statement": _STATEMENTS[report.verdict],
        "facts": facts,
    }


_STATEMENTS = {
    MET: "No check of the archive found a breach of the rule by any of the nodes in this period, and nothing "
    "that has to be shown is missing.",
    NOT_MET: "That the rule was kept cannot be certified: the findings on this page show when it was not.",
    CANNOT_BE_SHOWN: "That the rule was kept cannot be certified from this archive: it does not show all "
    "that would have to be shown.",
}


def _nodes(report: Report) -> str:
    verdicts = Counter(node.verdict for node in report.nodes)
    parts = [f"{exact(verdicts[one])} {one}" for one in (MET, NOT_MET, CANNOT_BE_SHOWN) if verdicts[one]]
    return exact(len(report.nodes)) + (f": {', '.join(parts)}" if parts else "")


def _before_open(report: Report) -> str:
    days = sum(node.days for node in report.nodes)
    good = sum(node.days_before_open for node in report.nodes)
    share = words.portion(good / days) if days else "no business day"
    return f"{share} ({exact(good)} of {exact(days)} days of nodes)"


def _within(report: Report) -> str:
    """Return the share of all nodes together; where nothing is shown of a node there is none."""
    nodes = [node for node in report.nodes if node.days]
    shown = [node for node in nodes if node.share_within is not None]
    days = sum(node.days for node in shown)
    if not days:
        return "cannot be shown"
    share = sum((node.share_within or 0.0) * node.days for node in shown) / days
    lacking = len(nodes) - len(shown)
    least = min(node.share_shown for node in shown)
    text = words.portion(share)
    if lacking:
        text += f", and of {exact(lacking)} more {'node' if lacking == 1 else 'nodes'} nothing is shown"
    elif least < 1:
        text += f"; a bound is shown for at least {words.portion(least)} of the time of each"
    return text


def _exceedances(report: Report) -> list[tuple[str, str]]:
    found = [finding for finding in report.findings if finding.check == "exceedance"]
    if not found:
        return [("Exceedances", "none")]
    worst = max(found, key=lambda finding: float(finding.value or 0))
    lasting = sum(finding.end_s - finding.begin_s for finding in found)
    hours = float(report.rule.get("counter_hours") or 24)
    most = max(
        most_in_hours([one.begin_s for one in found if one.node == node], hours)
        for node in {one.node for one in found}
    )
    return [
        (
            "Exceedances",
            f"{exact(len(found))}, together {words.duration(lasting)}; the worst was"
            f" {words.seconds(float(worst.value or 0))}, on {worst.node} at {words.moment(worst.begin_s)}",
        ),
        (f"Most on one node within {hours:g} hours", exact(most)),
    ]


def most_in_hours(begins_s: list[int], hours: float) -> int:
    """Return how many begin within so many hours, at most: as the check ``counter`` counts them."""
    ordered = sorted(begins_s)
    first, most = 0, 0
    for last, begin_s in enumerate(ordered):
        while begin_s - ordered[first] >= 3600 * hours:
            first += 1
        most = max(most, last - first + 1)
    return most


def _others(report: Report) -> str:
    counts = Counter(finding.severity for finding in report.findings if finding.check != "exceedance")
    names = {"breach": "breaches", "unshown": "not shown", "remark": "remarks"}
    parts = [f"{exact(counts[severity])} {name}" for severity, name in names.items() if counts[severity]]
    return ", ".join(parts) or "none"


def _due(due: str, year: int) -> str:
    month, day = map(int, due.split("-"))
    return day_words(dt.date(year, month, day))
