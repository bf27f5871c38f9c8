"""Check 13 and what the plots show: how much of the time was within the tolerance, and how the bound went."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tickline.pipelines.archive.report.bounds import held_s, unread
from tickline.pipelines.archive.report.case import NodeCase, midnight, runs
from tickline.pipelines.archive.report.model import Series
from tickline.pipelines.archive.report.sources import local_clock, local_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["series", "time_shares"]

_DAY = 86400
_MOST_BINS = 720
_LEAST_BIN_S = 60


def time_shares(case: NodeCase) -> tuple[float | None, float]:
    """Return which part of all business days (UTC) was shown to be within the tolerance, and has any bound.

    A row bounds the time since the one before. Over gaps the bound grows with drift; what lies behind the
    moment at which it passes the tolerance counts as not shown. So does the time in which the clock was
    not synchronised, or followed itself, or a source that did: there "Max. error" says nothing about UTC.

    Returns
    -------
    within : float or None
        None if there is no bound at all.
    shown : float
    """
    import numpy as np

    days = [midnight(session.date) for session in case.sessions]
    spans = [(max(day, case.begin_s), min(day + _DAY, case.end_s)) for day in days]
    edges = np.array([span for span in spans if span[0] < span[1]], dtype=np.int64).reshape(-1, 2)
    total = int((edges[:, 1] - edges[:, 0]).sum())
    if not total or not len(case.tracking):
        return None, 0.0
    points, within, shown = _slopes(case)
    lengths = np.diff(points)
    for begin, end in _adrift(case):
        shown &= (points[1:] <= begin) | (points[:-1] >= end)
    within &= shown

    def seconds(flags: "NDArray[Any]") -> float:
        so_far = np.concatenate([[0], np.cumsum(lengths * flags)])
        return float((np.interp(edges[:, 1], points, so_far) - np.interp(edges[:, 0], points, so_far)).sum())

    has_bound = seconds(shown)
    return (seconds(within) / total if has_bound else None), has_bound / total


def _adrift(case: NodeCase) -> Iterator[tuple[int, int]]:
    """Yield when the clock followed nothing but itself, or what was logged cannot be read."""
    times = case.tracking.time
    for first, last in runs(case.lost):
        yield int(times[first]), case.after(times, last)
    for check in (local_clock, local_source, unread):
        yield from ((found.begin_s, found.end_s) for found in check(case))


def _slopes(case: NodeCase) -> "tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]":
    """Return points in time, and of the time from each to the next whether it is within, and has a bound."""
    import numpy as np

    rows, limit = case.tracking, case.rule.tolerance_s
    times, errors = rows.time, rows["max_error_s"]
    shown = np.isfinite(errors[1:])
    within = shown & (errors[1:] <= limit)
    # Each gap becomes two: as long as the bound holds, and the rest.
    at = [gap.before for gap in case.gaps if gap.before is not None]
    ends = [gap.end_s for gap in case.gaps if gap.before is not None]
    held = [min(int(times[row]) + held_s(case, row), end) for row, end in zip(at, ends, strict=True)]
    points = np.append(times, max(int(times[-1]), case.end_s))
    # The time behind the last row is no gap while it is short; its bound is the last one, grown a little.
    last = len(times) - 1
    tail = last in at or case.end_s - times[last] <= held_s(case, last)
    within, shown = np.append(within, tail), np.append(shown, tail)
    within[at], shown[at] = True, True
    points = np.insert(points, [row + 1 for row in at], held)
    behind = [row + 1 for row in at]
    return points, np.insert(within, behind, False), np.insert(shown, behind, False)


def series(case: NodeCase) -> Series:
    """Return offset and bound in bins of equal length, few enough for a page."""
    import numpy as np

    length = case.end_s - case.begin_s
    bin_s = max(_LEAST_BIN_S, -(-length // _MOST_BINS))
    count = -(-length // bin_s)
    rows = case.tracking
    first, last = np.searchsorted(rows.time, [case.begin_s, case.end_s]).tolist()
    place = (rows.time[first:last] - case.begin_s) // bin_s
    found = []
    for name, better in (("offset_s", np.fmin), ("offset_s", np.fmax), ("max_error_s", np.fmax)):
        bins = np.full(count, np.nan)
        better.at(bins, place, rows[name][first:last])
        found.append([None if np.isnan(value) else value for value in bins.tolist()])
    return Series(case.begin_s, bin_s, *found)
