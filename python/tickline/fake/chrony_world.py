"""One day of an invented node: when its sources are asked, what they answer, and what chronyd makes of it.

All values are whole numbers in the units of `tickline.fake.chrony_text`. Every draw depends on the second it
belongs to and on nothing before it, but for "Max. error", which chronyd computes from the row before:
root delay / 2 + root dispersion + age * (skew + 1 ppm) + abs(offset - remaining correction).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .chrony_faults import SOURCES, Fault, selected
from .chrony_text import NEGATIVE_ZERO
from .draws import I64, U64, Dice, Flags, draw, scale, stream_key

__all__ = ["ADDRESSES", "CLOCK_RATE", "FIRST_START", "FOREIGN", "LOCAL", "UNSYNCHRONISED", "Day", "Node"]

FOREIGN, LOCAL, UNSYNCHRONISED = len(SOURCES), len(SOURCES) + 1, len(SOURCES) + 2
ADDRESSES = (*SOURCES, b"203.0.113.254", b"127.127.1.1", b"0.0.0.0")
LOCAL_ID = 0x7F7F0101
# Of the first day, in seconds; and chrony's `maxclockerror` in 1e-3 ppm.
FIRST_START = 3
CLOCK_RATE = 1000

_DAY = 86_400
_US = 10**9
_MS = 10**12
_S = 10**15
# A ratio of 1e-9 (1e-3 ppm) makes so many 1e-15 s in a second.
_PER_SECOND = 10**6
# Google's and Amazon's smear: one second over a day, in 1e-15 s a second.
_SMEAR = _S // _DAY
# iburst: four questions, two seconds apart; after the third there are enough samples for a first estimate.
_BURST = np.array([1, 3, 5, 7], dtype=np.int64)
_ENOUGH = 5
_SETTLED = 16

Table = dict[str, I64]


class Day(NamedTuple):
    """The rows of a day before anything is lost, in the order of writing."""

    tracking: Table
    measurements: Table
    statistics: Table


class _Start(NamedTuple):
    """When chronyd starts, by how much the clock is fast then, and whether it knows its frequency."""

    time: int
    offset: int
    known: bool


@dataclass(slots=True)
class _Last:
    """What "Max. error" needs of the row before."""

    time: int = 0
    delay: int = 0
    dispersion: int = 0
    skew: int = 0
    offset: int = 0


@dataclass(slots=True)
class _Source:
    """What is always so between a node and one source."""

    delay: int
    stratum: int
    reference: int
    root_delay: int
    root_dispersion: int
    keys: dict[str, int] = field(default_factory=dict)


def _noise(key: int, rows: U64, sigma: int) -> I64:
    """Return draws that are nearly normal: the sum of four even ones of 16 bits."""
    bits = draw(key, rows)
    total = sum(((bits >> np.uint64(16 * i)) & np.uint64(0xFFFF)).astype(np.int64) for i in range(4))
    return (np.asarray(total, dtype=np.int64) - 131_070) * sigma // 37_837


def _even(key: int, rows: U64, low: int, high: int, unit: int = 1) -> I64:
    """Return draws between `low` and `high` times `unit`."""
    return (low + scale(draw(key, rows), high - low + 1)) * unit


class Node:
    """One node: its sources, its clock and its faults.

    Parameters
    ----------
    seed, number : int
        Which draws are its own.
    poll : int
        Interval between questions to one source, log2 s.
    begin : int
        Midnight of the first day, seconds since 1970.
    faults : sequence of Fault
        What goes wrong.
    """

    def __init__(self, seed: int, number: int, poll: int, begin: int, faults: Sequence[Fault]) -> None:
        self._seed, self._number, self._poll, self._begin = seed, number, poll, begin
        self._faults = faults
        self._last = _Last()
        self._key = stream_key(seed, f"chrony {number}")
        dice = Dice(self._key, 0)
        self._frequency = dice.between(-40_000, 40_000)
        self._sources = [self._source(dice, place) for place in range(len(SOURCES) + 1)]
        self.starts = [_Start(begin + FIRST_START, dice.between(60, 400) * _MS, False)]
        for fault in self._of("restart", "restart_in_trading", "down_a_day"):
            self.starts.append(_Start(fault.end, fault.size, True))
        for fault in self._of("old_layout"):
            self.starts += [_Start(fault.start, _MS // 5, True), _Start(fault.end, -_MS // 7, True)]
        self.starts.sort()

    @staticmethod
    def _source(dice: Dice, place: int) -> _Source:
        stratum = 1 if place % 2 else 2
        name = dice.pick((0x47505300, 0x50505300, 0x50545000))  # GPS, PPS, PTP
        reference = name if stratum == 1 else 0xC0000200 + dice.below(254)
        root = dice.between(200, 2500) * _US if stratum == 2 else 0
        return _Source(dice.between(300, 6000) * _US, stratum, reference, root, dice.between(20, 600) * _US)

    def _of(self, *names: str) -> Iterator[Fault]:
        return (fault for fault in self._faults if fault.name in names)

    def version(self, time: int) -> str:
        """Return the release that writes at a moment."""
        return next((f.version for f in self._of("old_layout") if f.start <= time < f.end), "4.3")

    def silent(self, times: I64) -> Flags:
        """Tell which rows are lost after they were written."""
        return self._within(times, self._of("lost_log", "lost_before_open"))

    def day(self, number: int) -> Day:
        """Return the rows of a day; days are asked for one after the other."""
        midnight = self._begin + number * _DAY
        follows = selected(self._seed, self._number, number)
        parts = [self._answers(source, midnight, follows) for source in range(FOREIGN + 1)]
        order = np.argsort(np.concatenate([part["time"] for part in parts]), kind="stable")
        rows = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
        return Day(self._tracking(rows, midnight, follows), rows, self._statistics(rows))

    @staticmethod
    def _within(times: I64, faults: Iterator[Fault]) -> Flags:
        found = np.zeros(len(times), dtype=np.bool_)
        for fault in faults:
            found |= (times >= fault.start) & (times < fault.end)
        return found

    def _grid(self, source: int, midnight: int) -> I64:
        """Return when a source is asked on one day, while chronyd runs and has settled."""
        interval = 1 << self._poll
        first = (midnight - self._begin) // interval - 2
        count = np.arange(max(first, 0), first + _DAY // interval + 4, dtype=np.int64)
        late = scale(draw(self._key + source, count.astype(np.uint64)), interval // 16 + 1)
        times = self._begin + count * interval + self._phase(source) + late
        kept = (times >= max(midnight, self.starts[0].time)) & (times < midnight + _DAY)
        for start in self.starts:
            kept &= (times < start.time) | (times >= start.time + _SETTLED)
        kept &= ~self._within(times, self._of("restart", "restart_in_trading", "down_a_day"))
        # The package is exchanged within two minutes.
        for fault in self._of("old_layout"):
            for moment in (fault.start, fault.end):
                kept &= (times < moment - 120) | (times >= moment)
        return times[kept]

    def _phase(self, source: int) -> int:
        return (source << self._poll) // (FOREIGN + 1) + 1

    def _answers(self, source: int, midnight: int, follows: int) -> Table:
        """Return the measurements of one source on one day."""
        times = self._grid(source, midnight)
        if source == FOREIGN:
            times = times[self._within(times, self._of("foreign_source"))]
        else:
            bursts = [start.time + _BURST for start in self.starts]
            bursts = [burst for burst in bursts if midnight <= burst[0] < midnight + _DAY]
            times = np.sort(np.concatenate([times, *bursts]))
        away = self._within(times, self._of("outage", "local_reference"))
        away |= self._within(
            times, (f for f in self._of("lost_source", "lost_sources") if source in f.sources)
        )
        return self._measured(times[~away], source, follows)

    def _measured(self, times: I64, source: int, follows: int) -> Table:
        rows = times.astype(np.uint64)
        place = self._sources[source]
        key = stream_key(self._key, f"source {source}")
        steady = np.ones(len(times), dtype=np.int64)
        delay = place.delay + np.abs(_noise(key + 1, rows, place.delay // 20))
        offset = _noise(key + 2, rows, 60 * _US)
        reference, leap, stratum = place.reference * steady, ord("N") * steady, place.stratum * steady
        for fault in self._faults:
            during = (times >= fault.start) & (times < fault.end)
            if fault.name in ("detour", "severe_detour", "bad_night"):
                delay += during * fault.size
            elif fault.name == "flapping":
                # Every fourth question to each source meets the long way.
                turn = (times - self._begin - self._phase(source)) >> self._poll
                delay += (during & (turn % 4 == 0)) * fault.size
            elif source in fault.sources:
                offset += during * self._false(fault, source, times)
            elif source == follows:
                reference[during & (fault.name == "free_running_source")] = LOCAL_ID
                leap[during & (fault.name == "leap")] = ord("+")
                stratum = np.where(during & (fault.name == "high_stratum"), fault.size - 1, stratum)
        for start in self.starts:
            offset -= ((times > start.time) & (times <= start.time + _ENOUGH)) * start.offset
        if source == follows:
            offset -= self._jumps(times)
        # Now and then a packet is late, and its sample is not used; never one of the source that is followed.
        good = (scale(draw(key + 3, rows), 64) > 0) | (source == follows) | (source == FOREIGN)
        return {
            "time": times,
            "address": source * steady,
            "leap": leap,
            "stratum": stratum,
            "good": np.where(good, 1, 0),
            "poll": self._poll * steady,
            "score": _even(key + 4, rows, 0, 99),
            "offset": offset,
            "peer_delay": np.where(good, delay, 3 * delay),
            "peer_dispersion": _even(key + 5, rows, 100, 40_000, _US // 1000),
            "root_delay": place.root_delay * steady,
            "root_dispersion": place.root_dispersion + _even(key + 6, rows, 0, 200, _US),
            "reference_id": reference,
            "stamp": ord("H" if self._number % 3 == 2 else "K") * steady,
        }

    @staticmethod
    def _false(fault: Fault, source: int, times: I64) -> I64:
        """Return by how much a source is wrong that cannot know it."""
        if fault.name == "smear":
            return (times - fault.start) * _SMEAR
        if fault.name == "majority_lost":
            return np.full(len(times), (fault.sources.index(source) + 1) * _S, dtype=np.int64)
        return np.full(len(times), fault.size if fault.name == "falsetickers" else 0, dtype=np.int64)

    def _jumps(self, times: I64) -> I64:
        """Return by how much the clock is fast at the first row after a step or a jump of its frequency."""
        found = np.zeros(len(times), dtype=np.int64)
        for fault in self._of("small_step", "big_step", "frequency_jump"):
            row = np.searchsorted(times, fault.start)
            if 0 < row < len(times) and fault.start - times[row - 1] < _DAY // 24:
                gained = (fault.size << self._poll) // 2 * _PER_SECOND
                found[row] += gained if fault.name == "frequency_jump" else fault.size
        return found

    def _statistics(self, rows: Table) -> Table:
        used = rows["good"] != 0
        for start in self.starts:
            used &= (rows["time"] <= start.time) | (rows["time"] >= start.time + _ENOUGH)
        times, source, offset = rows["time"][used], rows["address"][used], rows["offset"][used]
        each = times.astype(np.uint64) * np.uint64(8) + source.astype(np.uint64)
        key = stream_key(self._key, "statistics")
        samples = _even(key, each, 6, 64)
        return {
            "time": times,
            "address": source,
            "std_dev": _even(key + 1, each, 5_000, 90_000, _US // 1000),
            "offset": -offset + _noise(key + 2, each, 5 * _US),
            "offset_sd": _even(key + 3, each, 1_000, 30_000, _US // 1000),
            "diff_frequency": _noise(key + 4, each, 20_000_000),
            "skew_ratio": _even(key + 5, each, 4_000, 300_000, 1000),
            "stress": _even(key + 6, each, 1, 999, _MS),
            "samples": samples,
            "dropped": _even(key + 7, each, 0, 3) // 3 * _even(key + 8, each, 0, 5),
            "runs": samples // 2,
            "asymmetry": _even(key + 9, each, -50, 50) * (_even(key + 10, each, 0, 3) // 3),
        }

    def _tracking(self, measured: Table, midnight: int, follows: int) -> Table:
        """Return the updates of one day: one to each sample of the followed source, and special ones."""
        times = measured["time"]
        foreign = self._within(times, self._of("foreign_source"))
        used = (measured["address"] == np.where(foreign, FOREIGN, follows)) & (measured["good"] != 0)
        used &= ~self._within(times, self._of("majority_lost"))
        for start in self.starts:
            used &= (times <= start.time) | (times >= start.time + _ENOUGH)
        own = {name: values[used] for name, values in measured.items()}
        rows = own["time"].astype(np.uint64)
        key = stream_key(self._key, "tracking")
        found: Table = {
            "time": own["time"],
            "address": own["address"],
            "stratum": own["stratum"] + 1,
            "frequency": self._frequency + _noise(key, rows, 15),
            "skew": _even(key + 1, rows, 5, 90),
            "offset": -own["offset"],
            "leap": own["leap"],
            "combined": _even(key + 2, rows, 1, 3),
            "offset_sd": _even(key + 3, rows, 2_000, 60_000, _US // 1000),
            "remaining": _noise(key + 4, rows, 10 * _US),
            "root_delay": own["peer_delay"] + own["root_delay"],
            "root_dispersion": own["root_dispersion"] + own["peer_dispersion"],
            "first": np.zeros(len(rows), dtype=np.int64),
        }
        for fault in self._of("frequency_jump"):
            found["frequency"] += (own["time"] >= fault.start) * fault.size
        specials = self._specials(midnight, follows)
        order = np.argsort(np.concatenate([found["time"], specials["time"]]), kind="stable")
        found = {name: np.concatenate([values, specials[name]])[order] for name, values in found.items()}
        self._begin_again(found)
        found["max_error"] = self._max_error(found)
        return found

    def _specials(self, midnight: int, follows: int) -> Table:
        """Return the rows that no sample makes: a start, a lost majority, the local reference."""
        moments = [start.time for start in self.starts]
        moments += [fault.start for fault in self._of("majority_lost")]
        grid = self._grid(follows, midnight)
        local = grid[self._within(grid, self._of("local_reference"))].tolist()
        rows = [(time, UNSYNCHRONISED, 0, ord("?")) for time in moments]
        rows += [(time, LOCAL, 10, ord("N")) for time in local]
        rows = [row for row in rows if midnight <= row[0] < midnight + _DAY]
        nothing = np.zeros(len(rows), dtype=np.int64)
        table = np.array(rows, dtype=np.int64).reshape(-1, 4)
        found: Table = dict(zip(("time", "address", "stratum", "leap"), table.T.copy(), strict=True))
        for name in ("offset", "combined", "offset_sd", "remaining"):
            found[name] = nothing.copy()
        started = np.isin(found["time"], [start.time for start in self.starts])
        jumped = [(found["time"] >= fault.start) * fault.size for fault in self._of("frequency_jump")]
        found["frequency"] = self._frequency + sum(jumped, nothing)
        found["skew"] = nothing + 50
        found["remaining"] = np.where(started, NEGATIVE_ZERO, 0)
        found["root_delay"] = np.where(started, _S, 4 * _MS)
        found["root_dispersion"] = np.where(started, _S, 2 * _MS)
        found["first"] = np.where(started, 1, 0)
        return found

    def _begin_again(self, rows: Table) -> None:
        """Make the first rows after a start look it: nothing known, then little."""
        for at in np.flatnonzero(rows["first"]).tolist():
            if rows["time"][at] == self._begin + FIRST_START:
                rows["frequency"][at] = 0
                rows["skew"][at : at + 2] = (10**9, 54_045)
            rows["skew"][at + 2] = 5_000
            rows["first"][at + 1] = 1
            rows["remaining"][at + 1] = NEGATIVE_ZERO

    def _max_error(self, rows: Table) -> I64:
        last = self._last
        remaining = np.where(rows["remaining"] == NEGATIVE_ZERO, 0, rows["remaining"])

        def before(values: I64, first: int) -> I64:
            return np.concatenate([np.array([first], dtype=np.int64), values])[: len(values)]

        age = rows["time"] - before(rows["time"], last.time)
        rate = before(rows["skew"], last.skew) + CLOCK_RATE
        error = before(rows["root_delay"], last.delay) // 2 + before(rows["root_dispersion"], last.dispersion)
        error += np.where(rows["first"] == 0, age * rate, 0) * _PER_SECOND
        error += np.abs(before(rows["offset"] - remaining, last.offset))
        if len(age):
            self._last = _Last(
                int(rows["time"][-1]),
                int(rows["root_delay"][-1]),
                int(rows["root_dispersion"][-1]),
                int(rows["skew"][-1]),
                int(rows["offset"][-1] - remaining[-1]),
            )
        return np.where(rows["first"] != 0, 3 * _S // 2, error)
