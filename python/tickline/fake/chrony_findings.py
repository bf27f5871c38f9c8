"""What a correct report must find on an invented fleet under FINRA rule 4590, and nothing else.

Limits stand in `LIMITS` and in ``truth.json`` as ``rule``. Two conventions hold for ``from`` and ``to``:

- *Bounds* (`exceedance`, `gap`, what drift makes of a gap). Row n of tracking bounds the time since row n-1,
  so an interval begins at the row before the first one that offends and ends at the last one that does.
- *States* (all others). A row says what is so from then on, so an interval begins at the first row that
  shows it and ends at the first one that no longer does. What happens at once begins and ends at its row.

The 13 checks of a report, and what each must find:

1. Before the open. `pre_open` if no row of the 24 hours before 09:30 in New York has a leap status other
   than ``?``, a stratum of 1 to 15 and "Max. error" within 50 ms; value: such rows, limit: 1. `bad_night`
   has rows but no good one, `lost_before_open` and `down_a_day` have none. All three last from 13:00 UTC on
   the day before to after the open, so whoever looks from midnight on finds the same. No other fault lasts
   so long.
2. Every row. `exceedance`: "Max. error" over 50 ms, neighbours joined; value: the largest. A long way round
   makes root delay and so the *next* row's error large (`detour`, `severe_detour`, `bad_night`, `flapping`).
   After a step over 50 ms the next row says so: chrony adds the offset that it corrected. Rows of a start
   that are not yet synchronised (``0.0.0.0``, then "Max. error" 1.5, then the step itself) are no
   exceedance.
3. The bound between rows. No row may be grown by drift where the next row covers the time (`outage`: chronyd
   ran on, its next row has the growth in it). Over a gap the bound is the last row's "Max. error" plus 1 ppm
   plus that row's skew for each second. Where it passes 50 ms nothing shows that the clock was wrong, or
   right: `cannot_be_shown`, from the last whole second within the limit to the first row after the gap;
   value: the bound there. It takes twelve hours: `down_a_day` and `lost_before_open`, never `lost_log`.
4. Gaps. `gap`: over 35 minutes between rows of tracking; value: seconds. `missing_day` for a date, in UTC as
   in New York, without any row, from midnight to midnight UTC; value: 1 day. Both are found of `down_a_day`.
5. Sources. `source`: an address that is not allowed; value: the address. `stratum`: over 4; value: the
   highest. `local_clock`: a row of ``127.127.1.1`` (`local_reference`), or the followed source's
   measurements have 7F7F0101 as reference (`free_running_source`: stratum and offset look well, the times
   are those of measurements); value: seconds. A row of the local reference or without synchronisation names
   no source, and is not judged as source or stratum.
6. Quorum. `quorum`: fewer than 4 usable sources; value: the fewest. A source is usable from one good
   measurement (all tests passed, interval of offset overlapping with the median of the others) to the next
   if they are at most 35 minutes apart, gaps of tracking not counted. There are 5: `lost_sources` (2 or 3)
   and `falsetickers` (2 that agree with each other) break it, `lost_source` does not, nor does one sample
   that fails a test.
7. Steps. `step`: an offset of 20 ms or more (value: s, as the row has it), or a frequency that differs by 10
   ppm or more from the row before (value: ppm). Rows of a start are not judged.
8. Leap seconds. `leap`: ``+`` or ``-`` where none is announced (none was since 2017); value: the letter.
   `smear`: offsets to one source run away steadily by 9 to 14 ppm for hours and the others' do not; value:
   ppm. Where it begins and ends can be seen only to some minutes. That source becomes a falseticker, which
   leaves four.
9. Order. `time_order`: rows of tracking whose time is not after that of every row before them in the file,
   lines with the same second apart that are not equal; from the earliest of them to the time they fell
   behind; value: seconds (`duplicates`, `swapped`). The rows themselves are judged once.
10. Counters. `counter` with limit 0.1: an exceedance of at least twice the tolerance; value: its largest
    error. `counter` with limit 10: at least so many exceedances in 24 hours, from the first to the end of
    the last; value: how many (`flapping`: 12; its days have nothing else).
11. Integrity, and late uploads: not in logs. 12. Configuration: neither; a release that changes is no fault.
    Rows of old releases without "Max. error" are: `cannot_be_shown`, value and limit null (`old_layout`; the
    restarts before and after it fall outside trading hours). The 24 hours before the open have newer rows.
13. The year's page adds up the others.

`not_synchronised`: while the exchange trades, from the row that says so (``?``) to the first one that has a
leap status and "Max. error" within the limit; value: seconds (`restart_in_trading`, `majority_lost`).
Outside these hours a start is a start (`restart`, the first day, after `down_a_day`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np

from .chrony_faults import SOURCES, Fault, opening
from .chrony_text import as_float
from .chrony_world import ADDRESSES, CLOCK_RATE, FOREIGN, LOCAL, LOCAL_ID, UNSYNCHRONISED
from .draws import I64, Flags

__all__ = ["LIMITS", "findings"]

LIMITS: dict[str, Any] = {
    "rule": "finra-4590",
    "tolerance_s": 0.05,
    "gap_s": 2100,
    "step_s": 0.02,
    "step_ppm": 10.0,
    "stratum": 4,
    "quorum": 4,
    "smear_ppm": 9.0,
    "drift_ppm": 1.0,
    "sources": [address.decode() for address in SOURCES],
    "pre_open_hours": 24,
    "counter_exceedances": 10,
    "counter_hours": 24,
    "counter_times_tolerance": 2,
    "open": "09:30",
    "close": "16:00",
    "zone": "America/New_York",
}
_TOLERANCE = 50 * 10**12
_DAY = 86_400
_SMEAR_PPM = 1e6 / _DAY

Table = dict[str, I64]
Finding = dict[str, Any]


class _Case:
    """One fault with the rows of its day and of those beside it, as they stand in the logs."""

    def __init__(self, node: str, fault: Fault, tracking: Table, measured: Table) -> None:
        self.node, self.fault = node, fault
        self.rows, self.measured = tracking, measured
        self.times = tracking["time"]
        self.during = (self.times >= fault.start) & (self.times < fault.end)

    def finding(self, check: str, begin: int, end: int, value: object, limit: object) -> Finding:
        """Return one finding as it stands in the truth."""
        return {
            "node": self.node,
            "check": check,
            "from": _iso(begin),
            "to": _iso(end),
            "value": value,
            "limit": limit,
            "fault": self.fault.name,
        }

    def state(self, shown: Flags, times: I64) -> tuple[int, int]:
        """Return the first row that shows something and the first that no longer does."""
        at = np.flatnonzero(shown)
        return int(times[at[0]]), int(times[at[-1] + 1])

    def around(self) -> tuple[int, int]:
        """Return the last row before the fault and the first one after."""
        return int(np.flatnonzero(self.times < self.fault.start)[-1]), int(
            np.flatnonzero(self.times >= self.fault.end)[0]
        )


def findings(node: str, fault: Fault, tracking: Table, measured: Table) -> list[Finding]:
    """Return what a report must find of one fault.

    Parameters
    ----------
    node : str
        Its name.
    fault : Fault
        What was done.
    tracking, measured : dict of str to ndarray of int64
        The rows of its days that stand in the logs, each once and in order of time.

    Returns
    -------
    list of dict
        ``node``, ``check``, ``from``, ``to``, ``value``, ``limit`` and the name of the ``fault``.
    """
    return list(_JUDGES[fault.name](_Case(node, fault, tracking, measured)))


def _iso(time: int) -> str:
    return dt.datetime.fromtimestamp(time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _nothing(_case: _Case) -> Iterator[Finding]:
    return iter(())


def _exceedances(case: _Case) -> Iterator[Finding]:
    """Join neighbouring rows over the limit; each run begins at the row before it."""
    span = case.around()
    # The last row of a long way round is followed by one that tells of it.
    bad = [row for row in range(span[0], span[1] + 3) if _over(case, row)]
    while bad:
        length = next((n for n in range(len(bad)) if bad[n] != bad[0] + n), len(bad))
        run, bad = bad[:length], bad[length:]
        worst = as_float(int(case.rows["max_error"][run].max()))
        begin, end = int(case.times[run[0] - 1]), int(case.times[run[-1]])
        yield case.finding("exceedance", begin, end, worst, LIMITS["tolerance_s"])
        if worst >= 2 * LIMITS["tolerance_s"]:
            yield case.finding("counter", begin, end, worst, 2 * LIMITS["tolerance_s"])


def _over(case: _Case, row: int) -> bool:
    return as_float(int(case.rows["max_error"][row])) > float(LIMITS["tolerance_s"])


def _flapping(case: _Case) -> Iterator[Finding]:
    found = list(_exceedances(case))
    yield from found
    whole = case.finding("counter", 0, 0, len(found), LIMITS["counter_exceedances"])
    yield whole | {"from": found[0]["from"], "to": found[-1]["to"]}


def _pre_open(case: _Case) -> Iterator[Finding]:
    day = dt.datetime.fromtimestamp(case.fault.start + _DAY, dt.UTC).date()
    begin = opening(day)
    yield case.finding("pre_open", begin - _DAY, begin, 0, 1)


def _bad_night(case: _Case) -> Iterator[Finding]:
    yield from _exceedances(case)
    yield from _pre_open(case)


def _gap(case: _Case) -> Iterator[Finding]:
    last, following = case.around()
    begin, end = int(case.times[last]), int(case.times[following])
    yield case.finding("gap", begin, end, end - begin, LIMITS["gap_s"])
    error = as_float(int(case.rows["max_error"][last]))
    rate = (int(case.rows["skew"][last]) + CLOCK_RATE) * 1e-9
    bound = error + rate * (end - begin)
    if bound > LIMITS["tolerance_s"]:
        held = int((LIMITS["tolerance_s"] - error) / rate)
        yield case.finding("cannot_be_shown", begin + held, end, bound, LIMITS["tolerance_s"])


def _lost_before_open(case: _Case) -> Iterator[Finding]:
    yield from _gap(case)
    yield from _pre_open(case)


def _down_a_day(case: _Case) -> Iterator[Finding]:
    yield from _lost_before_open(case)
    midnight = (case.fault.start // _DAY + 1) * _DAY
    yield case.finding("missing_day", midnight, midnight + _DAY, 1, 0)


def _not_synchronised(case: _Case) -> Iterator[Finding]:
    first = int(
        np.flatnonzero((case.rows["address"] == UNSYNCHRONISED) & (case.times >= case.fault.start))[0]
    )
    last = next(row for row in range(first + 1, len(case.times)) if not _over(case, row))
    begin, end = int(case.times[first]), int(case.times[last])
    yield case.finding("not_synchronised", begin, end, end - begin, 0)


def _step(case: _Case) -> Iterator[Finding]:
    row = int(np.flatnonzero(case.times >= case.fault.start)[0])
    at = int(case.times[row])
    yield case.finding("step", at, at, as_float(int(case.rows["offset"][row])), LIMITS["step_s"])
    yield from _exceedances(case)


def _frequency_jump(case: _Case) -> Iterator[Finding]:
    row = int(np.flatnonzero(case.times >= case.fault.start)[0])
    jump = int(case.rows["frequency"][row] - case.rows["frequency"][row - 1])
    yield case.finding("step", int(case.times[row]), int(case.times[row]), jump / 1000, LIMITS["step_ppm"])


def _local_reference(case: _Case) -> Iterator[Finding]:
    begin, end = case.state(case.during & (case.rows["address"] == LOCAL), case.times)
    yield case.finding("local_clock", begin, end, end - begin, 0)


def _free_running(case: _Case) -> Iterator[Finding]:
    local = case.measured["reference_id"] == LOCAL_ID
    source = case.measured["address"][np.flatnonzero(local)[0]]
    own = case.measured["address"] == source
    begin, end = case.state(local[own], case.measured["time"][own])
    yield case.finding("local_clock", begin, end, end - begin, 0)


def _foreign_source(case: _Case) -> Iterator[Finding]:
    begin, end = case.state(case.during & (case.rows["address"] == FOREIGN), case.times)
    yield case.finding("source", begin, end, ADDRESSES[FOREIGN].decode(), None)


def _high_stratum(case: _Case) -> Iterator[Finding]:
    begin, end = case.state(case.during, case.times)
    yield case.finding("stratum", begin, end, case.fault.size, LIMITS["stratum"])


def _leap(case: _Case) -> Iterator[Finding]:
    begin, end = case.state(case.during, case.times)
    yield case.finding("leap", begin, end, "+", None)


def _quorum(case: _Case) -> Iterator[Finding]:
    """Fewer than four from the second source that is lost to the last but one that comes back."""
    lost = case.fault.sources
    good = case.measured["good"] != 0
    times = [case.measured["time"][good & (case.measured["address"] == source)] for source in lost]
    begin = sorted(int(each[each < case.fault.start][-1]) for each in times)
    end = sorted(int(each[each >= case.fault.end][0]) for each in times)
    spare = len(SOURCES) - int(LIMITS["quorum"])
    left = len(SOURCES) - len(lost)
    yield case.finding("quorum", begin[spare], end[-1 - spare], left, LIMITS["quorum"])


def _smear(case: _Case) -> Iterator[Finding]:
    measured = case.measured
    own = measured["time"][(measured["address"] == case.fault.sources[0]) & (measured["good"] != 0)]
    during = (own >= case.fault.start) & (own < case.fault.end)
    yield case.finding("smear", *case.state(during, own), _SMEAR_PPM, LIMITS["smear_ppm"])


def _duplicates(case: _Case) -> Iterator[Finding]:
    times = case.times[case.during]
    begin, end = int(times[0]), int(times[-1])
    yield case.finding("time_order", begin, end, end - begin, 0)


def _swapped(case: _Case) -> Iterator[Finding]:
    begin, end = (int(time) for time in case.times[case.times >= case.fault.start][:2])
    yield case.finding("time_order", begin, end, end - begin, 0)


def _old_layout(case: _Case) -> Iterator[Finding]:
    begin, end = case.state(case.during, case.times)
    yield case.finding("cannot_be_shown", begin, end, None, None)


_JUDGES = {
    "down_a_day": _down_a_day,
    "lost_before_open": _lost_before_open,
    "bad_night": _bad_night,
    "flapping": _flapping,
    "detour": _exceedances,
    "severe_detour": _exceedances,
    "lost_log": _gap,
    "outage": _gap,
    "restart": _nothing,
    "restart_in_trading": _not_synchronised,
    "majority_lost": _not_synchronised,
    "small_step": _step,
    "big_step": _step,
    "frequency_jump": _frequency_jump,
    "local_reference": _local_reference,
    "free_running_source": _free_running,
    "foreign_source": _foreign_source,
    "high_stratum": _high_stratum,
    "lost_source": _nothing,
    "lost_sources": _quorum,
    "falsetickers": _quorum,
    "leap": _leap,
    "smear": _smear,
    "duplicates": _duplicates,
    "swapped": _swapped,
    "old_layout": _old_layout,
}
