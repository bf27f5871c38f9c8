"""Check 5: whom a node followed: an allowed source, not too far from a clock, and not itself."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tickline.pipelines.archive.report.agreement import allowed_words
from tickline.pipelines.archive.report.case import LOCAL, NodeCase, runs
from tickline.pipelines.archive.report.model import Finding

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["LOCAL_ID", "local_clock", "local_source", "source", "stratum"]

LOCAL_ID = "7F7F0101"
"""Reference ID of a server that follows its own clock."""


def source(case: NodeCase) -> Iterator[Finding]:
    """Yield the times at which a source was followed that nobody names as traceable."""
    import numpy as np

    rows = case.tracking
    if case.rule.sources is None:
        if len(rows):
            text = "No list of traceable sources was given, so that traceability to UTC cannot be shown."
            yield case.finding("source", case.begin_s, case.end_s, None, None, text, "unshown")
        return
    foreign = (
        _follows(case) & ~np.append(allowed_words(case.rule, rows.words["address"]), True)[rows["address"]]
    )
    for first, last in runs(foreign):
        codes = dict.fromkeys(rows["address"][first : last + 1].tolist())
        names = ", ".join(rows.words["address"][code] for code in codes if code >= 0)
        text = f"It followed {names}, which the rule does not name as traceable."
        begin, end = int(rows.time[first]), case.after(rows.time, last)
        yield case.finding("source", begin, end, names, None, text, "breach", rows, (first, last))


def stratum(case: NodeCase) -> Iterator[Finding]:
    """Yield the times at which the node's stratum was over the limit; value: the highest."""
    rows, limit = case.tracking, case.rule.stratum
    for first, last in runs(_follows(case) & (rows["stratum"] > limit)):
        part = rows["stratum"][first : last + 1]
        highest = int(part.max())
        text = f"Its stratum was {highest}, and at most {limit} is wanted."
        begin, end = int(rows.time[first]), case.after(rows.time, last)
        shown = (first, first + int(part.argmax()), last)
        yield case.finding("stratum", begin, end, highest, limit, text, "remark", rows, shown)


def local_clock(case: NodeCase) -> Iterator[Finding]:
    """Yield the times at which the node followed its own clock; value: seconds."""
    rows = case.tracking
    for first, last in runs(rows.is_word("address", LOCAL)):
        begin, end = int(rows.time[first]), case.after(rows.time, last)
        text = "It followed its own clock (the local reference), which looks synchronised and is not."
        yield case.finding("local_clock", begin, end, end - begin, 0, text, "breach", rows, (first, last))


def local_source(case: NodeCase) -> Iterator[Finding]:
    """Yield the times at which the source that was followed said that it follows its own clock."""
    import numpy as np

    rows, tracking = case.measurements, case.tracking
    local = rows.is_word("reference_id", LOCAL_ID)
    for code in np.unique(rows["address"][local]).tolist():
        own = np.flatnonzero(rows["address"] == code)
        name = rows.words["address"][code]
        followed = tracking.time[tracking.is_word("address", name)]
        for first, last in runs(local[own]):
            begin, end = int(rows.time[own[first]]), case.after(rows.time[own], last)
            if not np.any((followed >= begin) & (followed < end)):
                continue
            text = f"{name} was followed while it said that its own clock was its reference ({LOCAL_ID})."
            shown = own[[first, last]]
            yield case.finding("local_clock", begin, end, end - begin, 0, text, "breach", rows, shown)


def _follows(case: NodeCase) -> "Flags":
    """Tell which rows of tracking name a source: the others are judged as what they are."""
    return ~(case.lost | case.tracking.is_word("address", LOCAL))
