"""Which samples agree with the majority of their node's sources, and how far each is from the middle.

A sample says that the true offset lies within its distance (half of all delay, and the root dispersion) of
its own. It agrees if its interval may overlap with those of the majority: RFC 5905, 11.2.1, with the median
in place of the search for an intersection. One that does not is a falseticker's.
"""

import ipaddress
from collections.abc import Container, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tickline.pipelines.archive.report.model import Evidence
from tickline.pipelines.archive.report.rules import Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tickline.pipelines.archive.report.case import NodeCase, Rows

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["Samples", "agreement", "allowed_words", "evidence", "passed", "samples_of"]

# Rows that are looked at together: a matrix of sources and rows is made of them.
_BLOCK = 1 << 15
# An estimate of the offset is taken to lie within so many of its standard deviations.
_DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of a node's sources that passed all tests, in order of time.

    Attributes
    ----------
    names : list of str
        The sources that were heard: those that are allowed or, where nobody named any, all.
    source : ndarray of int64, shape (n,)
        Which of `names`.
    time_s : ndarray of int64, shape (n,)
        Seconds since 1970.
    apart_s : ndarray of float64, shape (n,)
        Offset against the middle of all sources, with the sign of measurements: positive if the local clock
        is slow.
    agrees : ndarray of bool, shape (n,)
        Whether it is no falseticker's.
    row : ndarray of int64, shape (n,)
        Row of measurements or, from their number on, of statistics.
    """

    names: list[str]
    source: "Ints"
    time_s: "Ints"
    apart_s: "Floats"
    agrees: "Flags"
    row: "Ints"


def samples_of(case: "NodeCase") -> Samples:
    """Return all samples of a node with how well they agree.

    Sources without measurements are known by their statistics: reference clocks, and all where chronyd logs
    no measurements.
    """
    import numpy as np

    measured, counted = case.measurements, case.statistics
    names: list[str] = []
    sources = [_sources(case.rule, measured, (), names)]
    known = {measured.words["address"][code] for code in np.unique(measured["address"]) if code >= 0}
    sources.append(_sources(case.rule, counted, known, names))
    # The signs of these two logs differ.
    offsets = [measured["offset_s"], -counted["offset_s"]]
    half = (measured["peer_delay_s"] + measured["root_delay_s"]) / 2
    distances = [half + measured["root_dispersion_s"], _DEVIATIONS * counted["offset_sd_s"]]
    source, offset, distance = map(np.concatenate, (sources, offsets, distances))
    time_s = np.concatenate([measured.time, counted.time])
    used = np.concatenate([passed(measured), np.ones(len(counted), dtype=np.bool_)]) & (source >= 0)
    used &= np.isfinite(offset) & np.isfinite(distance)
    row = np.flatnonzero(used)
    row = row[np.argsort(time_s[row], kind="stable")]
    own = time_s[row], source[row], offset[row], distance[row]
    apart_s, agrees = agreement(*own, fresh_s=case.rule.gap_s)
    return Samples(names, source[row], time_s[row], apart_s, agrees, row)


def evidence(case: "NodeCase", rows: Iterable[int]) -> tuple[Evidence, ...]:
    """Return the lines of some of `Samples.row`; -1 stands for none."""
    first = len(case.measurements)
    return tuple(
        case.evidence(case.measurements, row) if row < first else case.evidence(case.statistics, row - first)
        for row in dict.fromkeys(map(int, rows))
        if row >= 0
    )


def _sources(rule: Rule, rows: "Rows", known: Container[str], names: list[str]) -> "Ints":
    """Return for each row its source's place in `names`, which are added; -1 if it is not to be counted."""
    import numpy as np

    words = rows.words["address"]
    allowed = allowed_words(rule, words)
    # Behind the words, where -1 points to, stands the row without an address.
    numbers = np.full(len(words) + 1, -1, dtype=np.int64)
    for code in np.unique(rows["address"]).tolist():
        if code >= 0 and allowed[code] and words[code] not in known:
            numbers[code] = len(names)
            names.append(words[code])
    result: Ints = numbers[rows["address"]]
    return result


def passed(rows: "Rows") -> "Flags":
    """Tell which measurements passed every test that their release of chrony made."""
    import numpy as np

    result: Flags = np.ones(len(rows), dtype=np.bool_)
    for name in ("tests_a", "tests_b", "tests_c"):
        good = [set(word) == {"1"} for word in rows.words[name]]
        result &= np.array([*good, False])[rows[name]]
    return result


def allowed_words(rule: Rule, words: list[str]) -> "Flags":
    """Tell which addresses the rule allows: all, where it names none."""
    import numpy as np

    found = [rule.sources is None or _canonical(word) in rule.sources for word in words]
    return np.array(found, dtype=np.bool_)


def _canonical(address: str) -> str:
    """Return an address in one way of writing it, and the name of a reference clock as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def agreement(
    time_s: "Ints", source: "Ints", offset: "Floats", distance: "Floats", *, fresh_s: int
) -> "tuple[Floats, Flags]":
    """Compare each sample with the latest ones of all sources.

    Parameters
    ----------
    time_s, source, offset, distance : ndarray, shape (n,)
        Samples in order of time: seconds since 1970, number of the source from 0, seconds, seconds.
    fresh_s : int
        How old the latest sample of a source may be to be counted.

    Returns
    -------
    apart_s : ndarray of float64, shape (n,)
        Offset against the middle.
    agrees : ndarray of bool, shape (n,)
        Whether the intervals of the sample and of the middle may overlap.
    """
    import numpy as np

    apart_s, agrees = np.zeros(len(time_s)), np.zeros(len(time_s), dtype=np.bool_)
    numbers = np.arange(int(source.max()) + 1 if len(source) else 0)[:, None]
    latest = np.full(len(numbers), -1, dtype=np.int64)
    for first in range(0, len(time_s), _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, len(time_s)))
        own = np.where(source[rows] == numbers, rows, -1)
        own[:, 0] = np.maximum(own[:, 0], latest)
        places = np.maximum.accumulate(own, axis=1)
        latest = places[:, -1].copy()
        fresh = (places >= 0) & (time_s[rows] - time_s[places] <= fresh_s)
        ordered = np.sort(np.where(fresh, offset[places], np.inf), axis=0)
        # Of two in the middle the lower one: half of their sum would be nobody's offset.
        middle = ordered[(fresh.sum(axis=0) - 1) // 2, rows - first]
        widest = np.where(fresh, distance[places], 0.0).max(axis=0)
        apart_s[rows] = offset[rows] - middle
        agrees[rows] = np.abs(apart_s[rows]) <= distance[rows] + widest
    return apart_s, agrees
