"""Check 8, second half: a source that smears a leap second, which makes it wrong by up to half a second.

Google's and Amazon's servers smear over 24 hours (11.6 ppm), others have taken 20 (13.9 ppm). Seen from
sources that do not, such a clock runs away at an even rate for hours.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tickline.pipelines.archive.report.agreement import evidence
from tickline.pipelines.archive.report.case import NodeCase
from tickline.pipelines.archive.report.model import Finding
from tickline.pipelines.archive.report.stretches import joined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["smear"]

_HOUR = 3600
# What is looked at in one piece, and what of it must be there.
_PIECE_S, _LEAST_S = 2 * _HOUR, 6000
# A second over 20 hours, and what a clock drifts meanwhile.
_FASTEST_PPM = 14.0


def smear(case: NodeCase) -> Iterator[Finding]:
    """Yield the times for which one source ran away from the middle of all as a smear does.

    Value: its slope in ppm, with the sign of offsets in measurements (positive: the local clock falls behind
    it). Where it begins and ends is known to some minutes.
    """
    samples, rule = case.samples, case.rule
    for number, name in enumerate(samples.names):
        own = samples.source == number
        times, apart, rows = samples.time_s[own], samples.apart_s[own], samples.row[own]
        for first, last, slope in _ramps(times, apart, rule.smear_ppm, rule.smear_hours * _HOUR):
            begin, end = int(times[first]), int(times[last])
            if not case.touches(begin, end):
                continue
            followed = _followed(case, name, begin, end)
            text = (
                f"Offsets to {name} ran away from those to the other sources by {slope:.1f} ppm for "
                f"{(end - begin) / _HOUR:.1f} hours, as of a source that smears a leap second; "
                + ("it was followed meanwhile." if followed else "it was not followed.")
            )
            severity = "unshown" if followed else "remark"
            found = case.finding("smear", begin, end, slope, rule.smear_ppm, text, severity)
            yield replace(found, evidence=evidence(case, (rows[first], rows[last])))


def _ramps(
    times: "Ints", apart: "Floats", least_ppm: float, least_s: float
) -> Iterator[tuple[int, int, float]]:
    """Yield the first and last place of each even slope, and how steep it is in ppm."""
    import numpy as np

    if len(times) < 3:
        return
    first = np.arange(len(times))
    last = np.searchsorted(times, times + _PIECE_S, side="right") - 1
    half = first + (last - first + 1) // 2
    whole = (times[last] - times >= _LEAST_S) & (times < times[half]) & (times[half] < times[last])
    first, half, last = first[whole], half[whole], last[whole]
    # A step is in one half; a slope is in both.
    slopes = [
        (apart[to] - apart[of]) / (times[to] - times[of]) * 1e6 for of, to in ((first, half), (half, last))
    ]
    for sign in (1, -1):
        even = np.ones(len(first), dtype=np.bool_)
        for slope in slopes:
            even &= (sign * slope >= least_ppm) & (sign * slope <= _FASTEST_PPM)
        pieces = zip(first[even].tolist(), last[even].tolist(), strict=True)
        for begin, end in joined(pieces):
            if times[end] - times[begin] >= least_s:
                # The pieces at either end reach into what is level.
                own = even & (first >= begin) & (last <= end)
                yield begin, end, float(np.median(slopes[0][own] + slopes[1][own]) / 2)


def _followed(case: NodeCase, name: str, begin_s: int, end_s: int) -> bool:
    rows = case.tracking
    during = (rows.time >= begin_s) & (rows.time < end_s)
    return bool((during & rows.is_word("address", name)).any())
