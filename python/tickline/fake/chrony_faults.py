"""What goes wrong on an invented fleet, and when: the plan that both logs and truth are made from.

A fault has a business day of a node for itself (`FAULTS` says which need the days beside it, too), so that no
two are judged as one. Days are picked that count as business days in every exchange calendar of the United
States, and hours that lie on the same date in UTC and in New York.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .chrony_text import VERSIONS
from .draws import Dice, stream_key

__all__ = ["FAULTS", "SOURCES", "Fault", "is_business_day", "opening", "plan", "selected"]

# In an order of their own per node; the last is longer than its column.
SOURCES = (b"192.0.2.10", b"192.0.2.11", b"198.51.100.5", b"203.0.113.77", b"2001:db8:4:17::123")

_HOUR = 3600
_DAY = 86_400
_MS = 10**12
_FLAPS = 12
# On average so many business days of nodes have one fault of each kind.
_SLOTS_PER_ROUND = 100


class _Kind(NamedTuple):
    """When a fault may begin and how long it lasts, in hours of its day, and how large it is."""

    begin: tuple[float, float]
    hours: tuple[float, float]
    size: tuple[int, int] = (0, 0)
    days: int = 1


# Sizes are 1e-15 s where nothing else is said. Trading hours are 14:30 to 20:00 UTC in summer and in winter.
FAULTS: dict[str, _Kind] = {
    "down_a_day": _Kind((-11, -11), (43, 43), (60 * _MS, 400 * _MS), days=3),
    "lost_before_open": _Kind((-11, -11), (26, 26), days=3),
    "bad_night": _Kind((-11, -11), (26, 26), (115 * _MS, 150 * _MS), days=3),
    "flapping": _Kind((6, 6.2), (0, 0), (115 * _MS, 150 * _MS), days=3),
    "detour": _Kind((6, 14), (1, 3), (115 * _MS, 150 * _MS)),
    "severe_detour": _Kind((6, 14), (1, 3), (220 * _MS, 400 * _MS)),
    "lost_log": _Kind((6, 14), (1.5, 4)),
    "outage": _Kind((6, 14), (1.5, 4)),
    "restart": _Kind((6, 12), (0.02, 0.05), (_MS // 10, _MS)),
    "restart_in_trading": _Kind((15, 18.5), (0.02, 0.05), (_MS // 10, _MS)),
    "majority_lost": _Kind((15, 18.5), (0.25, 0.25)),
    "small_step": _Kind((6, 20), (0, 0), (25 * _MS, 35 * _MS)),
    "big_step": _Kind((6, 20), (0, 0), (200 * _MS, 2000 * _MS)),
    "frequency_jump": _Kind((6, 20), (0, 0), (15_000, 40_000)),  # 1e-3 ppm
    "local_reference": _Kind((6, 18), (0.25, 0.25)),
    "free_running_source": _Kind((6, 18), (1, 4)),
    "foreign_source": _Kind((6, 18), (1, 4)),
    "high_stratum": _Kind((6, 18), (1, 4), (8, 11)),  # the node's stratum
    "lost_source": _Kind((6, 16), (2, 5), (1, 1)),  # sources
    "lost_sources": _Kind((6, 16), (2, 5), (2, 3)),  # sources
    "falsetickers": _Kind((6, 16), (2, 5), (200 * _MS, 400 * _MS)),
    "leap": _Kind((6, 18), (1, 4)),
    "smear": _Kind((6, 7), (8, 10)),
    "duplicates": _Kind((6, 18), (0, 0)),
    "swapped": _Kind((6, 20), (0, 0)),
    "old_layout": _Kind((6, 6.5), (5, 5.5)),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one node.

    Attributes
    ----------
    name : str
        One of `FAULTS`.
    node, day : int
        Whose it is, and the number of the day it is judged on, from 0.
    start, end : int
        Seconds since 1970, the end excluded; a fault that is over at once has none.
    size : int
        See `FAULTS`.
    sources : tuple of int
        The sources it concerns.
    version : str
        The release that writes the logs meanwhile.
    """

    name: str
    node: int
    day: int
    start: int
    end: int
    size: int = 0
    sources: tuple[int, ...] = ()
    version: str = ""


def selected(seed: int, node: int, day: int) -> int:
    """Return the source that a node follows on one day; it changes at midnight, if it does."""
    return Dice(stream_key(seed, f"selected {node}"), day // 3).below(len(SOURCES))


def is_business_day(day: dt.date) -> bool:
    """Tell whether exchanges were certainly open: some days that may be holidays are taken as such."""
    month, number, weekday = day.month, day.day, day.weekday()
    if weekday >= 5:
        return False
    at = (month, number)
    fixed = at <= (1, 3) or (6, 18) <= at <= (6, 20) or (7, 3) <= at <= (7, 5) or at >= (12, 24)
    mondays = (month in (1, 2) and 15 <= number <= 21) or (month == 5 and number >= 25)
    mondays = mondays or (month == 9 and number <= 7)
    good_friday = weekday == 4 and (3, 20) <= at <= (4, 23)
    thanksgiving = weekday >= 3 and month == 11 and 22 <= number <= 29
    return not (fixed or (mondays and weekday == 0) or good_friday or thanksgiving)


def opening(day: dt.date) -> int:
    """Return when trading begins, 09:30 in New York, in seconds since 1970.

    Summer time there lasts from the second Sunday of March to the first of November (since 2007).
    """
    first = dt.date(day.year, 3, 14 - dt.date(day.year, 3, 14).isoweekday() % 7)
    last = dt.date(day.year, 11, 7 - dt.date(day.year, 11, 7).isoweekday() % 7)
    hour = 13 if first <= day < last else 14
    return (day - dt.date(1970, 1, 1)).days * _DAY + hour * _HOUR + 1800


def plan(
    seed: int, nodes: int, days: int, start: dt.date, poll: int, names: Iterable[str]
) -> list[list[Fault]]:
    """Share faults out over a fleet.

    Parameters
    ----------
    seed, nodes, days, start, poll
        As `tickline.fake.generate_chrony` has them.
    names : iterable of str
        What may go wrong: keys of `FAULTS`. One for which no day is left is left out.

    Returns
    -------
    list of list of Fault
        For each node its faults in order of time.
    """
    business = [0 < day < days - 1 and is_business_day(start + dt.timedelta(days=day)) for day in range(days)]
    free = {(node, day) for node in range(nodes) for day in range(days) if business[day]}
    found: list[list[Fault]] = [[] for _ in range(nodes)]
    wanted = [name for name in FAULTS if name in set(names)]
    midnight = (start - dt.date(1970, 1, 1)).days * _DAY
    dice = Dice(stream_key(seed, "plan"), 0)
    for _ in range(max(1, len(free) // _SLOTS_PER_ROUND)):
        for name in wanted:
            reach = FAULTS[name].days // 2
            room = [at for at in sorted(free) if all((at[0], day) in free for day in _span(at[1], reach))]
            if room:
                node, day = dice.pick(room)
                free -= {(node, taken) for taken in _span(day, reach)}
                follows = selected(seed, node, day)
                found[node].append(_fault(name, node, day, midnight + day * _DAY, 1 << poll, follows, dice))
    return [sorted(faults, key=lambda fault: fault.start) for faults in found]


def _span(day: int, reach: int) -> range:
    return range(day - reach, day + reach + 1)


def _fault(name: str, node: int, day: int, midnight: int, interval: int, follows: int, dice: Dice) -> Fault:
    """Draw when, how large and which sources."""
    kind = FAULTS[name]
    start = midnight + dice.between(*(round(hour * _HOUR) for hour in kind.begin))
    end = start + dice.between(*(round(hour * _HOUR) for hour in kind.hours))
    size = dice.between(*kind.size)
    if name in ("small_step", "big_step", "frequency_jump", "down_a_day") and dice.below(2):
        size = -size
    if name == "flapping":
        end = start + _FLAPS * 4 * interval
    elif name == "duplicates":
        end = start + 6 * interval
    elif name == "old_layout":
        old = [version for version, columns in VERSIONS.items() if columns[0] < 14]
        return Fault(name, node, day, start, end, size, (), dice.pick(old))
    others = [source for source in range(len(SOURCES)) if source != follows]
    counts = {"lost_source": 1, "lost_sources": size, "falsetickers": 2, "majority_lost": 3, "smear": 1}
    return Fault(name, node, day, start, end, size, _some(others, counts.get(name, 0), dice))


def _some(items: Sequence[int], count: int, dice: Dice) -> tuple[int, ...]:
    left = list(items)
    return tuple(sorted(left.pop(dice.below(len(left))) for _ in range(count)))
