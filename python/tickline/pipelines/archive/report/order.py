"""Check 9: whether the times of a log go forward."""

from collections.abc import Iterator

from tickline.pipelines.archive.report.case import NodeCase, runs
from tickline.pipelines.archive.report.model import Finding

__all__ = ["time_order"]


def time_order(case: NodeCase) -> Iterator[Finding]:
    """Yield the rows of tracking that are not after all rows before them in their log.

    From the earliest of them to the time that they fell behind; value: the seconds between. Other lines of
    the same second are no fault, the same line is.
    """
    import numpy as np

    for log in np.unique(case.written.log).tolist():
        rows = case.written.take(np.flatnonzero(case.written.log == log))
        newest = np.maximum.accumulate(rows.time)
        before = np.concatenate([rows.time[:1], newest[:-1]])
        for first, last in runs((rows.time < before) | rows.again):
            begin, end = int(rows.time[first : last + 1].min()), int(before[first])
            again = int(np.count_nonzero(rows.again[first : last + 1]))
            what = f"{last - first + 1} rows are not after those before them in the log"
            text = (
                f"{what} ({again} of them stand there twice)."
                if again
                else f"{what}: the clock was set back."
            )
            shown = (first - 1, first, last)
            yield case.finding("time_order", begin, end, end - begin, 0, text, "remark", rows, shown)
