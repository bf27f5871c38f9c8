"""Which samples agree with the majority, how many sources are usable, and who runs away: slow and obvious.

Written from the definitions in `tickline.pipelines.archive.report` (RFC 5905, 11.2.1; RFC 8633, 3.2), second
by second and sample by sample.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

Span = tuple[int, int]


class Sample(NamedTuple):
    """One sample that passed all tests."""

    time_s: int
    source: int
    offset: float
    distance: float


def agreement(samples: Sequence[Sample], fresh_s: int) -> Iterator[tuple[float, bool]]:
    """Yield for each sample how far it is from the middle, and whether it agrees."""
    latest: dict[int, Sample] = {}
    for sample in samples:
        latest[sample.source] = sample
        fresh = [one for one in latest.values() if sample.time_s - one.time_s <= fresh_s]
        apart = sample.offset - statistics.median_low(one.offset for one in fresh)
        yield apart, abs(apart) <= sample.distance + max(one.distance for one in fresh)


def too_few(
    good: Sequence[Sequence[int]], gaps: Sequence[Span], observed: Span, gap_s: int, least: int
) -> Iterator[tuple[int, int, int]]:
    """Yield from when to when fewer than `least` sources were usable, and the fewest of them."""

    silent = {second for a, b in gaps for second in range(a, b)}
    counts = dict.fromkeys(range(*observed), 0)
    for times in good:
        for a, b in pairwise([observed[0], *times, observed[1]]):
            if sum(second not in silent for second in range(a, b)) <= gap_s:
                for second in range(a, b):
                    counts[second] += 1
    begin: int | None = None
    for second, count in counts.items():
        if count < least and begin is None:
            begin = second
        elif count >= least and begin is not None:
            yield begin, second, min(counts[at] for at in range(begin, second))
            begin = None
    if begin is not None:
        yield begin, observed[1], min(counts[at] for at in range(begin, observed[1]))
