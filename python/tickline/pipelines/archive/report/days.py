"""Checks 1 and 4, day by day: rows before the open, and days without any."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tickline.pipelines.archive.report.calendar import Session
from tickline.pipelines.archive.report.case import LOCAL, NodeCase, midnight
from tickline.pipelines.archive.report.model import Finding
from tickline.pipelines.archive.report.words import seconds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["judged_sessions", "missing_days", "pre_open"]

_DAY = 86400


def judged_sessions(case: NodeCase) -> list[Session]:
    """Return the business days that open within the period."""
    return [session for session in case.sessions if case.begin_s <= session.open_s < case.end_s]


def pre_open(case: NodeCase) -> Iterator[Finding]:
    """Yield business days without a row before the open that shows a clock within the tolerance."""
    import numpy as np

    times, good = case.tracking.time, _good(case)
    rows_before = np.concatenate([[0], np.cumsum(good)])
    wanted_s = round(case.rule.pre_open_hours * 3600)
    for session in judged_sessions(case):
        begin, end = session.open_s - wanted_s, session.open_s
        first, last = np.searchsorted(times, [begin, end]).tolist()
        if rows_before[last] > rows_before[first]:
            continue
        within = f"in the {case.rule.pre_open_hours:g} hours before the open of {session.date}"
        limit = seconds(case.rule.tolerance_s)
        if first == last:
            text, severity = f"There is no row of tracking {within}.", "unshown"
        else:
            text = f"No row {within} shows a synchronised clock within {limit}."
            bounds = np.isfinite(case.tracking["max_error_s"][first:last])
            severity = "breach" if bounds.any() else "unshown"
        shown = (first, last - 1) if first < last else ()
        yield case.finding("pre_open", begin, end, 0, 1, text, severity, case.tracking, shown)


def missing_days(case: NodeCase) -> Iterator[Finding]:
    """Yield dates of business days (UTC) without a row of tracking."""
    import numpy as np

    days = np.unique(case.tracking.time // _DAY)
    for session in case.sessions:
        begin = midnight(session.date)
        end = begin + _DAY
        if case.begin_s <= begin and end <= case.end_s and begin // _DAY not in days:
            text = f"There is no row of tracking on {session.date}, a business day."
            yield case.finding("missing_day", begin, end, 1, 0, text, "unshown")


def _good(case: NodeCase) -> "Flags":
    rows = case.tracking
    near = (rows["stratum"] >= 1) & (rows["stratum"] <= 15)
    synchronised = ~(case.lost | rows.is_word("address", LOCAL))
    result: Flags = synchronised & (rows["max_error_s"] <= case.rule.tolerance_s) & near
    return result
