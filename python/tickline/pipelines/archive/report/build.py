"""The report of an archive: every node read once, every check made of it, and what comes of them."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from tickline import _core
from tickline.errors import UsageError
from tickline.pipelines.archive.reader import list_nodes
from tickline.pipelines.archive.report import (
    bounds,
    days,
    integrity,
    leaps,
    order,
    quorum,
    smear,
    sources,
    steps,
)
from tickline.pipelines.archive.report.calendar import Session, sessions_of
from tickline.pipelines.archive.report.case import NodeCase, midnight
from tickline.pipelines.archive.report.facts import describe
from tickline.pipelines.archive.report.model import (
    CANNOT_BE_SHOWN,
    CHECKS,
    MET,
    NOT_MET,
    Finding,
    NodeReport,
    Report,
)
from tickline.pipelines.archive.report.reading import CONTEXT_S, find_chunks, read_case
from tickline.pipelines.archive.report.rules import Rule
from tickline.pipelines.archive.report.shares import series, time_shares
from tickline.pipelines.archive.stores import ArchiveStore
from tickline.progress import Progress

__all__ = ["ALL_CHECKS", "build_report"]

_DAY = 86400
# chrony's first release, and what calendars can be asked for.
_FIRST_YEAR, _LAST_YEAR = 1997, 9998

ALL_CHECKS: tuple[Callable[[NodeCase], Iterator[Finding]], ...] = (
    days.pre_open,
    bounds.exceedances,
    bounds.not_synchronised,
    bounds.without_bound,
    bounds.unread,
    bounds.gaps,
    days.missing_days,
    sources.source,
    sources.stratum,
    sources.local_clock,
    sources.local_source,
    quorum.quorum,
    steps.step,
    leaps.leap,
    smear.smear,
    order.time_order,
    bounds.counters,
    integrity.chain,
    integrity.late_upload,
    integrity.archive,
    integrity.configuration,
)
"""What is looked at; some of them yield findings of two checks."""


def build_report(
    store: ArchiveStore,
    rule: Rule,
    begin: dt.date,
    end: dt.date,
    *,
    nodes: Sequence[str] | None = None,
    now: float | None = None,
    progress: Progress | None = None,
) -> Report:
    """Read an archive and judge it by a rule.

    Parameters
    ----------
    store : ArchiveStore
        The archive.
    rule : Rule
        What `read_rule` returned.
    begin, end : datetime.date
        First and last day, in UTC. What may still be on its way to the archive is not judged: of a period
        that is not over, what is older than the rule's delay of uploads.
    nodes : sequence of str, optional
        Whose; by default every node that ever wrote to the archive. One that it does not know is reported
        as a node of which nothing can be shown.
    now : float, optional
        The time in place of this machine's clock, seconds since 1970.
    progress : Progress, optional
        Is told how many objects there are, and how many were read.

    Returns
    -------
    Report
        Findings sorted by node, time and check.

    Raises
    ------
    UsageError
        The period ends before it begins or lies in the future, the archive has no node, or its calendar does
        not know the years.
    TicklineError
        The store gives no answer, or the package that knows calendars is missing.
    """
    progress = progress or Progress()
    now_s = time.time() if now is None else now
    begin_s, end_s = _period(rule, begin, end, now_s)
    margin = dt.timedelta(seconds=CONTEXT_S)
    sessions = sessions_of(rule, begin - margin, end + margin)
    names = sorted(set(nodes)) if nodes else list_nodes(store)
    if not names:
        hint = "Check --store: it is the address that archive.toml has as `store`."
        raise UsageError("there is no node in this archive", where=store.url, hint=hint)
    found = {name: find_chunks(store, name, begin_s) for name in names}
    total, done = sum(len(one.chunks) for one in found.values()), 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        progress.reach(done, total)

    report = Report(rule.as_json(), begin_s, end_s, MET, [], [], store.url, f"tickline {_core.__version__}")
    report.business_dates = [one.date.isoformat() for one in _within(sessions, begin_s, end_s)]
    for name in names:
        # One after the other: nothing holds the rows of a node while those of the next one are read.
        node, findings = _judge(
            read_case(
                store, name, found.pop(name), rule, sessions, begin_s, end_s, now_s=now_s, progress=tell
            )
        )
        report.nodes.append(node)
        report.findings += findings
    report.verdict = _verdict(report.findings)
    return report


def _period(rule: Rule, begin: dt.date, end: dt.date, now_s: float) -> tuple[int, int]:
    if end < begin:
        hint = "Write --from 2026-09-01 --to 2026-11-30: both days belong to the period."
        raise UsageError(f"{end} is before {begin}", where="--to", hint=hint)
    if begin.year < _FIRST_YEAR or end.year > _LAST_YEAR:
        hint = "Write --from 2026-09-01 --to 2026-11-30."
        raise UsageError(f"{begin} to {end} is no period of logs of chronyd", where="--from", hint=hint)
    begin_s = midnight(begin)
    end_s = min(midnight(end) + _DAY, int(now_s) - rule.upload_delay_s - rule.upload_slack_s)
    if end_s <= begin_s:
        hint = "Ask for a period that has begun, or give the time by --now."
        what = f"nothing of a period that begins on {begin} can be in the archive yet"
        raise UsageError(what, where="--from", hint=hint)
    return begin_s, end_s


def _within(sessions: list[Session], begin_s: int, end_s: int) -> list[Session]:
    return [session for session in sessions if begin_s <= session.open_s < end_s]


def _judge(case: NodeCase) -> tuple[NodeReport, list[Finding]]:
    found = [finding for check in ALL_CHECKS for finding in check(case)]
    findings = sorted(
        (finding for finding in found if case.touches(finding.begin_s, finding.end_s)),
        key=lambda one: (one.begin_s, one.end_s, CHECKS.index(one.check), str(one.value)),
    )
    node = NodeReport(case.node, _verdict(findings), _why(case, findings))
    late = {finding.end_s for finding in findings if finding.check == "pre_open"}
    judged = days.judged_sessions(case)
    node.days = len(judged)
    node.days_before_open = sum(session.open_s not in late for session in judged)
    node.share_within, node.share_shown = time_shares(case)
    node.rows = dict(case.counts)
    node.objects, node.rejected_lines = case.objects, case.rejected_lines
    node.lines = sum(chunk.lines for chunk in case.chunks)
    node.series = series(case)
    _worst(case, node)
    describe(case, node)
    return node, findings


def _worst(case: NodeCase, node: NodeReport) -> None:
    """Fill in the greatest bound that a row of the period has; of a start only while the exchange trades."""
    import numpy as np

    rows = case.tracking
    bound = np.where((rows.time >= case.begin_s) & (rows.time < case.end_s), rows["max_error_s"], np.nan)
    bound[case.settling] = np.nan
    if np.isfinite(bound).any():
        row = int(np.nanargmax(bound))
        node.max_error_s, node.max_error_at_s = float(bound[row]), int(rows.time[row])
        node.max_error_evidence = case.evidence(rows, row)


def _verdict(findings: Sequence[Finding]) -> str:
    severities = {finding.severity for finding in findings}
    if "breach" in severities:
        return NOT_MET
    return CANNOT_BE_SHOWN if "unshown" in severities else MET


def _why(case: NodeCase, findings: Sequence[Finding]) -> list[str]:
    """Say what the verdict rests on."""
    found = []
    for severity, what in (("breach", "break the rule"), ("unshown", "leave something unshown")):
        counts = Counter(finding.check for finding in findings if finding.severity == severity)
        if counts:
            named = ", ".join(f"{check} ({count:,})" for check, count in sorted(counts.items()))
            found.append(f"Findings that {what}: {named}.")
    if not case.objects:
        found.append("The archive has no objects of this node in this period.")
    if not found:
        found.append("No check found anything that breaks the rule or leaves something unshown.")
    return found
