"""A report as JSON, as CSV and as text; the page is made in page.py.

JSON and CSV hold everything. The text and the page show what fits, and say what they leave out and where it
stands.
"""

import csv
import datetime as dt
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tickline.errors import explain_os_error, printable
from tickline.files import write_whole
from tickline.pipelines.archive.report import words
from tickline.pipelines.archive.report.case import iso
from tickline.pipelines.archive.report.model import Evidence, Finding, NodeReport, Report

__all__ = ["FORMATS", "as_json", "csv_text", "gravest_first", "json_text", "summary", "write_files"]

FORMATS = {"json": "report.json", "csv": "findings.csv", "html": "report.html"}
"""What `write_files` can write, and under which name."""

_COLUMNS = (
    *("number", "node", "check", "severity", "from", "to", "value", "limit", "text"),
    *("evidence", "object", "offset", "length", "line"),
)
# Findings and nodes of which the text tells more, and characters of a line of a log.
_SHOWN = 20
_LINE = 160
# Sources of a node that the text names.
_NAMED = 8


# ---- JSON --------------------------------------------------------------------------------------------------


def as_json(report: Report) -> dict[str, Any]:
    """Return a report in the shape of ``tickline archive report --json``.

    What the plots of the page show (`Series`) is left out: it is made of rows that the archive has.
    """
    rule = _plain(report.rule)
    return {
        "rule": rule.pop("name"),
        "rule_version": rule.pop("version"),
        "from": iso(report.begin_s),
        "to": iso(report.end_s),
        "verdict": report.verdict,
        "business_days": report.business_days,
        "store": report.store,
        "writer": report.writer,
        "limits": rule,
        "nodes": [_node(node) for node in report.nodes],
        "findings": [_finding(finding) for finding in report.findings],
    }


def json_text(report: Report) -> str:
    """Return `as_json` as text, with every character that is not ASCII escaped."""
    return json.dumps(as_json(report), indent=1, allow_nan=False) + "\n"


def _node(node: NodeReport) -> dict[str, Any]:
    at, worst = node.max_error_at_s, node.max_error_evidence
    found = {
        "node": node.node,
        "verdict": node.verdict,
        "why": node.why,
        "days": node.days,
        "days_before_open": node.days_before_open,
        "share_within": node.share_within,
        "share_shown": node.share_shown,
        "max_error_s": node.max_error_s,
        "max_error_at": None if at is None else iso(at),
        "max_error_evidence": None if worst is None else _evidence(worst),
        "rows": node.rows,
        "sources": node.sources,
        "source_changes": node.source_changes,
        "configurations": node.configurations,
        "stamps": node.stamps,
        "failed_tests": node.failed_tests,
        "objects": node.objects,
        "lines": node.lines,
        "rejected_lines": node.rejected_lines,
    }
    return {name: _plain(value) for name, value in found.items()}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "node": finding.node,
        "check": finding.check,
        "severity": finding.severity,
        "from": iso(finding.begin_s),
        "to": iso(finding.end_s),
        "value": _plain(finding.value),
        "limit": _plain(finding.limit),
        "text": finding.text,
        "evidence": [_evidence(one) for one in finding.evidence],
    }


def _evidence(one: Evidence) -> dict[str, Any]:
    return {"object": one.object, "offset": one.offset, "length": one.length, "line": one.line}


def _plain(value: Any) -> Any:
    """Return a value that JSON knows: days as texts, and null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(_plain(name)): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if isinstance(value, dt.date) else value


# ---- CSV ---------------------------------------------------------------------------------------------------


def csv_text(report: Report) -> str:
    """Return all findings as CSV: one row for each line of evidence, one for a finding that has none.

    The rows of a finding have the same ``number``; those with an ``evidence`` of 1 or less are the findings.
    """
    sink = io.StringIO()
    rows = csv.writer(sink)
    rows.writerow(_COLUMNS)
    for number, finding in enumerate(report.findings, 1):
        begin, end = iso(finding.begin_s), iso(finding.end_s)
        own = (number, finding.node, finding.check, finding.severity, begin, end)
        seen = (*own, finding.value, finding.limit, finding.text)
        for place, one in enumerate(finding.evidence, 1):
            cells = (*seen, place, one.object, one.offset, one.length, one.line)
            rows.writerow(map(_cell, cells))
        if not finding.evidence:
            rows.writerow(map(_cell, (*seen, 0, "", "", "", "")))
    return sink.getvalue()


def _cell(value: float | int | str | None) -> float | int | str:
    """Return what stands in a cell; a spreadsheet must not take a text for a formula."""
    if value is None:
        return ""
    if isinstance(value, str) and len(value) > 1 and value[0] in "=+-@\t\r":
        return "'" + value
    return value


# ---- text --------------------------------------------------------------------------------------------------


def summary(report: Report) -> str:
    """Return what a terminal shows: the verdict, a line for each node, and the gravest findings."""
    rule = report.rule
    period = f"{words.moment(report.begin_s)} to {words.moment(report.end_s)} UTC"
    lines = [
        f"{rule['title']} ({rule['name']}, text of {rule['version']}): {report.verdict}",
        words.VERDICTS[report.verdict],
        f"{period}: {_many(report.business_days, 'business day')},"
        f" {_many(len(report.nodes), 'node')} of {report.store}",
        "",
        *_fleet(report),
        *_reasons(report),
        *_followed(report),
        *_worst(report),
    ]
    return "\n".join(printable(line.replace("\u00a0", " ")) for line in lines) + "\n"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _fleet(report: Report) -> Iterator[str]:
    counts = Counter((finding.node, finding.severity) for finding in report.findings)
    head = ("node", "verdict", "days before open", "time within", "worst bound", *words.SEVERITIES)
    rows: list[Sequence[str]] = [head]
    for node in report.nodes:
        worst = words.seconds(node.max_error_s) if node.max_error_s is not None else "none"
        before = f"{node.days_before_open:,} of {node.days:,}"
        numbers = (f"{counts[node.node, severity]:,}" for severity in words.SEVERITIES)
        name = printable(node.node)
        rows.append((name, node.verdict, before, words.portion(node.share_within), worst, *numbers))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        left = (cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True))
        right = (cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True))
        yield "  ".join((*left, *right)).rstrip()


def _reasons(report: Report) -> Iterator[str]:
    """Yield why nodes got their verdict; what is said of many nodes is said once."""
    of: dict[str, list[str]] = {}
    for node in report.nodes:
        for reason in node.why:
            of.setdefault(reason, []).append(node.node)
    if of:
        yield ""
    for reason, nodes in of.items():
        whose = nodes[0] if len(nodes) == 1 else f"{len(nodes):,} nodes"
        yield f"{whose}: {reason}"


def _followed(report: Report) -> Iterator[str]:
    """Yield whom each node followed, and which of its measurements failed a test."""
    for node in report.nodes[:_SHOWN]:
        if node.sources:
            shares = node.sources.items()
            named = [f"{words.source_words(name)} {words.portion(share)}" for name, share in shares]
            more = f" and {len(named) - _NAMED} more" if named[_NAMED:] else ""
            changes = _many(node.source_changes, "change")
            yield f"{node.node}: followed {', '.join(named[:_NAMED])}{more} of the time; {changes} of source."
        if node.failed_tests:
            named = [f"{words.test_words(name)}: {count:,}" for name, count in node.failed_tests.items()]
            yield f"{node.node}: measurements that failed a test: {', '.join(named)}."


def _worst(report: Report) -> Iterator[str]:
    ordered = gravest_first(report.findings)
    yield ""
    yield f"{_many(len(ordered), 'finding')}{':' if ordered else '.'}"
    for finding in ordered[:_SHOWN]:
        when = words.moment(finding.begin_s)
        if finding.end_s != finding.begin_s:
            when += f" to {words.moment(finding.end_s)}"
        yield f"  {finding.severity}  {finding.node}  {finding.check}  {when}: {finding.text}"
        for one in finding.evidence[:1]:
            line = one.line if len(one.line) <= _LINE else one.line[:_LINE] + " ..."
            yield f"    {one.object}, bytes {one.offset} to {one.offset + one.length}: {line}"
    if len(ordered) > _SHOWN:
        yield f"  and {len(ordered) - _SHOWN:,} more: --json has all of them, and so have the files of --out."


def gravest_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with breaches first, else as they were."""
    order = {severity: place for place, severity in enumerate(words.SEVERITIES)}
    return sorted(findings, key=lambda finding: order[finding.severity])


# ---- files -------------------------------------------------------------------------------------------------


def write_files(report: Report, folder: Path, formats: Sequence[str] = tuple(FORMATS)) -> list[Path]:
    """Write ``report.json``, ``findings.csv`` and ``report.html`` into a folder; each appears whole.

    Parameters
    ----------
    report : Report
        What `build_report` returned.
    folder : Path
        It is made if it does not exist.
    formats : sequence of str
        Which of `FORMATS`.

    Raises
    ------
    TicklineError
        A file cannot be written, or jinja2 is not installed (``html`` only).
    """
    from tickline.pipelines.archive.report.page import page_text

    makers: dict[str, Callable[[Report], str]] = {"json": json_text, "csv": csv_text, "html": page_text}
    # All of them are made before the first is written: a folder does not get half of a report.
    made = {folder / FORMATS[name]: makers[name](report) for name in formats}
    for path, text in made.items():
        try:
            write_whole(path, text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise explain_os_error(error, path) from error
    return list(made)
