"""Check 8, first half: a leap second is announced where there is one, and nowhere else."""

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tickline.pipelines.archive.report.case import NodeCase, runs
from tickline.pipelines.archive.report.model import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["leap"]

_DAY = 86_400
# Servers may announce a leap second from the beginning of its month (RFC 5905, figure 9); chronyd itself does
# so in the last twelve hours.
_LATEST_NOTICE_S = _DAY // 2


def leap(case: NodeCase) -> Iterator[Finding]:
    """Yield the times at which a leap second was announced that there is none of, and the other way round."""
    rows = case.tracking
    for sign in ("+", "-"):
        for first, last in runs(rows.is_word("leap", sign) & ~_expected(case, rows.time, sign)):
            begin, end = int(rows.time[first]), case.after(rows.time, last)
            text = f"A leap second ({sign}) was announced where the rule names none: "
            text += "at its end the clock is set."
            yield case.finding("leap", begin, end, sign, None, text, "remark", rows, (first, last))
    yield from _silent(case)


def _expected(case: NodeCase, times: "Ints", sign: str) -> "Flags":
    """Tell when an announcement is right: in the month before, and until the next row behind it."""
    import numpy as np

    result = np.zeros(len(times), dtype=np.bool_)
    for day in (day for day, own in case.rule.leap_seconds.items() if own == sign):
        begin, end = _midnight(day.replace(day=1)), _midnight(day) + _DAY
        result |= (times >= begin) & (times < end + case.rule.gap_s)
    return result


def _silent(case: NodeCase) -> Iterator[Finding]:
    """Yield leap seconds that the last row before them did not announce."""
    import numpy as np

    rows = case.tracking
    for day, sign in case.rule.leap_seconds.items():
        end = _midnight(day) + _DAY
        row = int(np.searchsorted(rows.time, end)) - 1
        near = row >= 0 and rows.time[row] >= end - _LATEST_NOTICE_S
        word = rows.word("leap", row) if near else sign
        if word not in (sign, "?"):
            text = f"A leap second ({sign}) followed, and was not announced: "
            text += "behind it the clock may be off by a second."
            yield case.finding("leap", int(rows.time[row]), end, word, sign, text, "unshown", rows, (row,))


def _midnight(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * _DAY
