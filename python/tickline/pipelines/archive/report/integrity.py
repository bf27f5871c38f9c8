"""Checks 11 and 12: the archive that the rest rests on, and the configuration that the node had.

The chain itself is judged by `tickline.pipelines.archive.chain`, here and by ``tickline archive verify``
alike. What only the store knows (versions, delete markers, the retention that each object really has), only
``verify`` asks.
"""

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import Any

from tickline.pipelines.archive.report.case import ChunkFacts, NodeCase, iso
from tickline.pipelines.archive.report.model import Evidence, Finding
from tickline.pipelines.archive.report.words import duration

__all__ = ["archive", "chain", "configuration", "configuration_spans", "late_upload"]

# What does not touch the lines themselves.
_REMARKS = frozenset({"time_order", "runs", "heartbeat"})
_CHANGES = {
    "chrony": "another release of chronyd",
    "conf_sha256": "another chrony.conf",
    "kernel": "another kernel",
    "machine": "another machine under the same name",
}


def chain(case: NodeCase) -> Iterator[Finding]:
    """Yield what breaks the chain of chunks; value: the name that ``verify`` has for it."""
    places = {chunk.key: place for place, chunk in enumerate(case.chunks)}
    for flaw in case.chain:
        place = places.get(flaw.object)
        made_s = None if place is None else case.chunks[place].created_s
        told = flaw.begin_s is not None or flaw.end_s is not None
        begin, end = _between(case, flaw.begin_s, flaw.end_s, None if told else made_s)
        check = "time_order" if flaw.check == "time_order" else "integrity"
        severity = "remark" if flaw.check in _REMARKS else "unshown"
        text = f"{flaw.text[:1].upper()}{flaw.text[1:]} ({flaw.object})."
        # What is missing, or cannot be read, cannot be looked at.
        shown = () if place is None else _headers(case, begin, end, place)
        yield Finding(case.node, check, begin, end, flaw.check, None, text, severity, shown)


def late_upload(case: NodeCase) -> Iterator[Finding]:
    """Yield stretches of chunks whose oldest line had waited too long; value: seconds.

    Neighbouring chunks are one finding; the times are those of the node's own clock. Lines that
    ``archive import`` brought in waited for nobody.
    """
    limit = case.rule.upload_delay_s + case.rule.upload_slack_s
    waits = {
        place: chunk.created_s - chunk.earliest_s
        for place, chunk in enumerate(case.chunks)
        if not chunk.imported and chunk.created_s is not None and chunk.earliest_s is not None
    }
    for is_late, group in groupby(waits, lambda place: waits[place] > limit):
        if not is_late:
            continue
        places = list(group)
        first, last, worst = places[0], places[-1], max(places, key=waits.__getitem__)
        chunks = [case.chunks[place] for place in places]
        begin, end = _between(case, *(chunk.earliest_s for chunk in chunks), chunks[-1].created_s)
        numbers = f"chunk {chunks[0].seq}"
        if len(places) > 1:
            numbers = f"{len(places):,} chunks, {chunks[0].seq} to {chunks[-1].seq}"
        text = f"Lines waited for up to {duration(waits[worst])} before they were archived ({numbers})."
        if chunks[0].seq == 1:
            text += " The archive begins there: the logs were older than it."
        shown = _headers(case, begin, end, first, worst, last)
        yield Finding(case.node, "late_upload", begin, end, waits[worst], limit, text, "remark", shown)


def archive(case: NodeCase) -> Iterator[Finding]:
    """Yield times at which chunks were promised too short a retention, or could have been overwritten.

    Chunks without any promise are no finding: their bucket may have a rule of its own, which a report cannot
    see; `NodeReport.why` says so.
    """
    wanted = case.rule.retention_years
    for years, first, last in _spans(case, lambda chunk: chunk.retention_years):
        if years is not None and years < wanted:
            text = f"The store was asked to keep these chunks for {years} years; the rule wants {wanted}."
            yield _span_finding(case, "integrity", first, last, years, wanted, text)
    for conditional, first, last in _spans(case, lambda chunk: chunk.conditional):
        if conditional == "ignored":
            text = "The store ignores conditional writes: that nothing was overwritten rests on unique names."
            yield _span_finding(case, "integrity", first, last, "conditional", None, text)


def configuration(case: NodeCase) -> Iterator[Finding]:
    """Yield each change of what ran on the node; value and limit: what is so since, and what was before."""
    for (before, _, last), (now, first, _) in pairwise(_spans(case, _known)):
        old, new = dict(before), dict(now)
        changed = [name for name in _CHANGES if old[name] != new[name]]
        text = f"From here on there is {' and '.join(_CHANGES[name] for name in changed)}."
        value, limit = (", ".join(each[name] or "unknown" for name in changed) for each in (new, old))
        yield _span_finding(case, "configuration", last, first, value, limit, text)


def configuration_spans(case: NodeCase) -> list[dict[str, Any]]:
    """Return what ran on the node, and from when to when chunks say so, for `NodeReport`."""
    found = []
    for known, first, last in _spans(case, _known):
        begin, end = _between(case, case.chunks[first].created_s, case.chunks[last].created_s)
        earliest = [
            chunk.earliest_s for chunk in case.chunks[first : last + 1] if chunk.earliest_s is not None
        ]
        if case.touches(min([begin, *earliest]), end + 1):
            found.append({"from": iso(begin), "to": iso(end), **dict(known)})
    return found


def _known(chunk: ChunkFacts) -> tuple[tuple[str, str | None], ...]:
    return tuple((name, chunk.evidence.get(name)) for name in _CHANGES)


def _spans(case: NodeCase, what: Callable[[ChunkFacts], Any]) -> Iterator[tuple[Any, int, int]]:
    """Yield what neighbouring chunks have in common, with the places of the first and the last of them."""
    for value, group in groupby(range(len(case.chunks)), lambda place: what(case.chunks[place])):
        places = list(group)
        yield value, places[0], places[-1]


def _span_finding(
    case: NodeCase, check: str, first: int, last: int, value: Any, limit: Any, text: str
) -> Finding:
    begin, end = _between(case, case.chunks[first].created_s, case.chunks[last].created_s)
    shown = _headers(case, begin, end, first, last)
    return Finding(case.node, check, begin, end, value, limit, text, "remark", shown)


def _between(case: NodeCase, *times: float | None) -> tuple[int, int]:
    """Return the first and the last time, of those that are known; all of the period if none is."""
    known = [int(time) for time in times if time is not None] or [case.begin_s, case.end_s]
    return min(known), max(known)


def _headers(case: NodeCase, begin_s: int, end_s: int, *places: int) -> tuple[Evidence, ...]:
    """Return the headers of chunks as evidence of something that lies in the period."""
    if not case.touches(begin_s, end_s):
        return ()
    lines = [(place, case.read_body(place).partition(b"\n")[0]) for place in dict.fromkeys(places)]
    return tuple(
        Evidence(case.chunks[place].key, 0, len(line), line.decode("utf-8", "backslashreplace"))
        for place, line in lines
    )
