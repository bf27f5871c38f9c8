"""Check 7: steps of the clock and of its frequency."""

from collections.abc import Iterator

from tickline.pipelines.archive.report.case import NodeCase
from tickline.pipelines.archive.report.model import Finding

__all__ = ["step"]


def step(case: NodeCase) -> Iterator[Finding]:
    """Yield each offset (value: seconds, as the row has it) and each jump of frequency (ppm) over the limit.

    Rows of a start are not judged: there the clock is set.
    """
    import numpy as np

    rows, rule = case.tracking, case.rule
    offset, frequency = rows["offset_s"], rows["frequency_ppm"]
    running = ~case.starting
    jump = np.diff(frequency, prepend=frequency[:1])
    large = (np.abs(offset) >= rule.step_s) | (np.abs(jump) >= rule.step_ppm)
    for row in np.flatnonzero(running & large).tolist():
        at = int(rows.time[row])
        if abs(offset[row]) >= rule.step_s:
            way = "fast" if offset[row] > 0 else "slow"
            text = f"The clock was {abs(offset[row]):.3g} s {way} of its source from one update to the next."
            shown = (max(row - 1, 0), row)
            yield case.finding("step", at, at, float(offset[row]), rule.step_s, text, "remark", rows, shown)
        if abs(jump[row]) >= rule.step_ppm:
            text = f"The frequency of the clock changed by {jump[row]:+.3f} ppm from one update to the next."
            shown = (row - 1, row)
            yield case.finding("step", at, at, float(jump[row]), rule.step_ppm, text, "remark", rows, shown)
