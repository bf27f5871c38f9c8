"""Check 6: whether enough sources were usable at the same time (RFC 8633, 3.2: four or more)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from tickline.pipelines.archive.report.agreement import Samples, evidence
from tickline.pipelines.archive.report.case import NodeCase
from tickline.pipelines.archive.report.model import Finding
from tickline.pipelines.archive.report.stretches import silent_before

__all__ = ["quorum"]


class _Change(NamedTuple):
    """A source that is lost (-1) or comes back (1), and the sample's row; -1 where the rows begin or end."""

    time_s: int
    change: int
    row: int


def quorum(case: NodeCase) -> Iterator[Finding]:
    """Yield the times with too few usable sources.

    A source is usable from one sample that agrees with the majority to the next if they are at most
    `Rule.gap_s` apart. Times without rows of tracking are not counted: nothing is known of them, and they are
    findings of their own.
    """
    samples, least = case.samples, case.rule.quorum
    if not len(case.tracking):
        return
    if not samples.names:
        text = "No sample of a source is there that may be used: how many there were cannot be shown."
        yield case.finding("quorum", case.begin_s, case.end_s, None, least, text, "remark")
        return
    for begin, end, fewest in _too_few(least, len(samples.names), _changes(case, samples)):
        begin_s = max(begin.time_s, case.begin_s) if begin.row < 0 else begin.time_s
        end_s = min(end.time_s, case.end_s) if end.row < 0 else end.time_s
        if not case.touches(begin_s, end_s):
            continue
        heard = len(samples.names)
        text = f"{least} sources are wanted, and {heard} were heard."
        if fewest < heard:
            text = (
                f"{least} of {heard} sources are wanted, and at times only {fewest} could be used: the "
                "others gave no sample that passed all tests and agreed with the majority."
            )
        found = case.finding("quorum", begin_s, end_s, fewest, least, text, "remark")
        yield replace(found, evidence=evidence(case, (begin.row, end.row)))


def _changes(case: NodeCase, samples: Samples) -> list[_Change]:
    """Return when each source was lost and came back, in order of time, between two that change nothing."""
    import numpy as np

    first, last = int(case.tracking.time[0]), int(case.tracking.time[-1])
    gaps = [(gap.begin_s, gap.end_s) for gap in case.gaps]
    found: list[_Change] = []
    for number in range(len(samples.names)):
        own = (samples.source == number) & samples.agrees
        own &= (samples.time_s >= first) & (samples.time_s <= last)
        times = np.concatenate([[first], samples.time_s[own], [last]])
        rows = np.concatenate([[-1], samples.row[own], [-1]])
        heard = np.diff(times) - np.diff(silent_before(times, gaps))
        for at in np.flatnonzero(heard > case.rule.gap_s).tolist():
            found.append(_Change(int(times[at]), -1, int(rows[at])))
            found.append(_Change(int(times[at + 1]), 1, int(rows[at + 1])))
    return [_Change(first, 0, -1), *sorted(found), _Change(last, 0, -1)]


def _too_few(least: int, usable: int, changes: list[_Change]) -> Iterator[tuple[_Change, _Change, int]]:
    """Yield between which changes fewer than `least` sources were usable, and the fewest."""
    begin, fewest = None, usable
    for change, following in pairwise([*changes, _Change(changes[-1].time_s + 1, 0, -1)]):
        usable += change.change
        if following.time_s == change.time_s:
            # Who comes when another goes makes no gap.
            continue
        if begin is None and usable < least:
            begin, fewest = change, usable
        elif begin is not None and usable >= least:
            yield begin, change, fewest
            begin = None
        fewest = min(fewest, usable)
    if begin is not None:
        yield begin, changes[-1], fewest
