"""Checks 2, 3, 4 and 10: the bound of the error in every row, between rows and over gaps, and how often.

Row n's "Max. error" bounds the error since row n-1 (chrony.conf(5)), so that an interval over the tolerance
begins at the row before the first one that says so. Drift is added only where rows are missing: over gaps,
and from the last row to the end of the period.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from tickline.pipelines.archive.report.case import Gap, NodeCase, Unread, runs
from tickline.pipelines.archive.report.model import Finding
from tickline.pipelines.archive.report.stretches import joined
from tickline.pipelines.archive.report.words import duration, seconds

__all__ = [
    "counters",
    "drift_rate",
    "exceedances",
    "gaps",
    "held_s",
    "not_synchronised",
    "unread",
    "without_bound",
]


def exceedances(case: NodeCase) -> Iterator[Finding]:
    """Yield what rows say to be over the tolerance, neighbours joined; and each that was far over it."""
    times, errors = case.tracking.time, case.tracking["max_error_s"]
    limit = case.rule.tolerance_s
    far = limit * case.rule.counter_times_tolerance
    for first, last in _over(case):
        worst_row = first + int(errors[first : last + 1].argmax())
        worst = float(errors[worst_row])
        finding = partial(
            case.finding,
            begin_s=int(times[max(first - 1, 0)]),
            end_s=int(times[last]),
            value=worst,
            severity="breach",
            rows=case.tracking,
            shown=(first, worst_row, last),
        )
        count = "one row" if first == last else f"{last - first + 1:,} rows"
        text = f"The bound of the error was over {seconds(limit)} in {count}, at most {seconds(worst)}."
        yield finding("exceedance", limit=limit, text=text)
        if worst >= far:
            times_over = f"{case.rule.counter_times_tolerance:g} times the tolerance"
            text = f"The bound of the error was {seconds(worst)}, at least {times_over}: to be reported."
            yield finding("counter", limit=far, text=text)


def counters(case: NodeCase) -> Iterator[Finding]:
    """Yield times in which there were too many exceedances in any 24 hours (or what the rule says)."""
    times = case.tracking.time
    found = [(int(times[max(first - 1, 0)]), int(times[last]), first, last) for first, last in _over(case)]
    window_s, most = case.rule.counter_hours * 3600, case.rule.counter_exceedances
    # Of each exceedance: how many begin in the hours from its beginning on.
    behind, counts = 0, []
    for place, (begin, *_) in enumerate(found):
        while behind < len(found) and found[behind][0] - begin < window_s:
            behind += 1
        counts.append(behind - place)
    place = 0
    while place < len(found):
        if counts[place] < most:
            place += 1
            continue
        begin, end, greatest = place, place + counts[place], counts[place]
        # Windows that overlap are one finding.
        while place < end:
            if counts[place] >= most:
                end, greatest = max(end, place + counts[place]), max(greatest, counts[place])
            place += 1
        text = (
            f"There were {greatest:,} exceedances within {case.rule.counter_hours:g} hours: to be reported."
        )
        shown = (found[begin][2], found[end - 1][3])
        span = found[begin][0], found[end - 1][1]
        yield case.finding("counter", *span, greatest, most, text, "breach", case.tracking, shown)


def not_synchronised(case: NodeCase) -> Iterator[Finding]:
    """Yield times of trading in which chronyd said that the clock was not synchronised."""
    times = case.tracking.time
    for first, last in runs(case.starting):
        begin, end = int(times[first]), case.after(times, last)
        if not case.trades_within(begin, end):
            continue
        text = f"The clock was not synchronised for {duration(end - begin)} while the exchange traded."
        shown = (first, last, min(last + 1, len(times) - 1))
        yield case.finding(
            "not_synchronised", begin, end, end - begin, 0, text, "breach", case.tracking, shown
        )


def without_bound(case: NodeCase) -> Iterator[Finding]:
    """Yield times whose rows lack "Max. error": they bound nothing."""
    import numpy as np

    times = case.tracking.time
    for first, last in runs(np.isnan(case.tracking["max_error_s"])):
        text = (
            'Rows of tracking have no "Max. error", which chrony writes since 3.2: nothing bounds the error.'
        )
        span = int(times[first]), case.after(times, last)
        yield case.finding(
            "cannot_be_shown", *span, None, None, text, "unshown", case.tracking, (first, last)
        )


def unread(case: NodeCase) -> Iterator[Finding]:
    """Yield times, from one row to the next, between which a line of tracking cannot be read."""
    import numpy as np

    times = case.tracking.time
    spans: dict[tuple[int, int], list[Unread]] = {}
    for line in sorted(case.unread, key=lambda line: line.time_s):
        # A row that was read may have the same time.
        before, behind = np.searchsorted(times, [line.time_s, line.time_s + 1]).tolist()
        begin = int(times[before - 1]) if before else case.begin_s
        end = int(times[behind]) if behind < len(times) else case.end_s
        spans.setdefault((min(begin, line.time_s), max(end, line.time_s)), []).append(line)
    for begin, end in joined(spans):
        lines = [line for span, own in spans.items() if begin <= span[0] < end for line in own]
        text = (
            f"{len(lines):,} {'line' if len(lines) == 1 else 'lines'} of tracking cannot be read: what "
            f"{'it' if len(lines) == 1 else 'they'} said of the error is not known."
        )
        found = case.finding("cannot_be_shown", begin, end, None, None, text, "unshown")
        if case.touches(begin, end):
            ends = dict.fromkeys((lines[0], lines[-1]))
            shown = tuple(case.line(line.object, line.offset, line.length) for line in ends)
            found = replace(found, evidence=shown)
        yield found


def gaps(case: NodeCase) -> Iterator[Finding]:
    """Yield times without rows, and the part of them in which drift may have led over the tolerance."""
    for gap in case.gaps:
        length, limit = gap.end_s - gap.begin_s, case.rule.gap_s
        shown = [row for row in (gap.before, gap.after) if row is not None]
        text = f"There is no row of tracking for {duration(length)}{_place(gap)}."
        yield case.finding("gap", gap.begin_s, gap.end_s, length, limit, text, "remark", case.tracking, shown)
        yield from _grown(case, gap, shown)


def _grown(case: NodeCase, gap: Gap, shown: list[int]) -> Iterator[Finding]:
    limit = case.rule.tolerance_s
    finding = partial(
        case.finding, "cannot_be_shown", limit=limit, severity="unshown", rows=case.tracking, shown=shown
    )
    if gap.before is None:
        silence = duration(gap.end_s - gap.begin_s)
        text = f"Nothing bounds the error before the first row: the archive has none for {silence}."
        yield finding(gap.begin_s, gap.end_s, None, text=text)
        return
    bound = float(case.tracking["max_error_s"][gap.before])
    bound += drift_rate(case, gap.before) * (gap.end_s - gap.begin_s)
    # Without "Max. error" in the row before, `without_bound` says so.
    if bound > limit:
        text = (
            f"Without rows the bound of the error grows with the drift of the clock, to {seconds(bound)}: "
            "nothing shows that it was within the tolerance, or that it was not."
        )
        yield finding(gap.begin_s + held_s(case, gap.before), gap.end_s, bound, text=text)


def drift_rate(case: NodeCase, row: int) -> float:
    """Return by how much the bound grows behind a row, in seconds a second.

    Infinite where nothing tells: there is no skew, or the row says that the clock is not synchronised.
    """
    skew = float(case.tracking["skew_ppm"][row])
    if case.lost[row] or not math.isfinite(skew):
        return math.inf
    return (skew + case.rule.drift_ppm) * 1e-6


def held_s(case: NodeCase, row: int) -> int:
    """Return for how many whole seconds behind a row its bound stays within the tolerance."""
    error, rate = float(case.tracking["max_error_s"][row]), drift_rate(case, row)
    if not error <= case.rule.tolerance_s:
        return 0
    left = case.rule.tolerance_s - error
    # A century, where nothing drifts.
    return int(min(left / rate, 4e9)) if rate > 0 else int(4e9)


def _over(case: NodeCase) -> Iterator[tuple[int, int]]:
    return runs(case.over & ~case.settling)


def _place(gap: Gap) -> str:
    if gap.before is None and gap.after is None:
        return ", in all of the period"
    if gap.before is None:
        return " from the beginning of the period on"
    return ", up to the end of the period" if gap.after is None else ""
