"""Days put together to weeks, months or years, so that any span of time has bars that can be seen."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tickline.page.words import MONTHS, day_words

__all__ = ["Bin", "Tick", "bins_of", "tick_marks", "unit_for"]

_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar: its first day, its name, its value, and of how many of its days the number is withheld.

    The value is made of the other days; it is 0 where there are none.
    """

    start: date
    label: str
    value: int
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark below a chart: the number of its bar, and its text."""

    index: int
    text: str


def _monday(day: date) -> date:
    # The first days of the year 1 have no Monday in Python's calendar.
    return date.fromordinal(max(day.toordinal() - day.weekday(), 1))


def _years(step: int) -> tuple[Callable[[date], date], Callable[[date], str]]:
    def start(day: date) -> date:
        return date(max(day.year // step * step, 1), 1, 1)

    def label(day: date) -> str:
        return (
            str(day.year) if step == 1 else f"{day.year} to {min(day.year // step * step + step - 1, 9999)}"
        )

    return start, label


# From fine to coarse: the name of the unit, the first day of the bin that a day lies in, and the bin's name.
_UNITS: dict[str, tuple[Callable[[date], date], Callable[[date], str]]] = {
    "day": (lambda day: day, day_words),
    "week": (_monday, lambda day: f"Week of {day_words(day)}"),
    "month": (lambda day: day.replace(day=1), lambda day: f"{MONTHS[day.month - 1]} {day.year}"),
    "quarter": (
        lambda day: date(day.year, (day.month - 1) // 3 * 3 + 1, 1),
        lambda day: f"{MONTHS[day.month - 1]} to {MONTHS[day.month + 1]} {day.year}",
    ),
    "year": _years(1),
    "decade": _years(10),
    "century": _years(100),
}


def _starts(first: date, last: date, unit: str, *, until: int) -> list[date]:
    """Return the first days of all bins from `first` to `last`; one more than `until` are enough."""
    start = _UNITS[unit][0]
    found = [start(first)]
    steps = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366, "decade": 3653, "century": 36525}
    while len(found) <= until:
        following = found[-1].toordinal() + steps[unit]
        if following > date.max.toordinal() or start(date.fromordinal(following)) > last:
            break
        found.append(start(date.fromordinal(following)))
    return found


def unit_for(first: date, last: date, limit: int, units: Iterable[str] = tuple(_UNITS)) -> str:
    """Return the finest unit in which `first` to `last` are at most `limit` bars."""
    unit = ""
    for unit in units:
        if len(_starts(first, last, unit, until=limit)) <= limit:
            break
    return unit


def bins_of(
    values: Mapping[date, Sequence[int | None]],
    first: date,
    last: date,
    unit: str,
    together: Callable[[Iterable[int]], int] = sum,
) -> list[Bin]:
    """Put the values of days together.

    Parameters
    ----------
    values : mapping of date to integers
        One or more numbers a day, None where one is withheld; days without an entry have none.
    unit : str
        What `unit_for` returned.
    together : callable
        What makes one number of many: their sum, or the highest of them.
    """
    start, label = _UNITS[unit]
    groups: dict[date, list[int]] = {day: [] for day in _starts(first, last, unit, until=1_000_000)}
    withheld = dict.fromkeys(groups, 0)
    for day, numbers in values.items():
        groups[start(day)].extend(number for number in numbers if number is not None)
        withheld[start(day)] += None in numbers
    return [
        Bin(day, label(day), together(numbers) if numbers else 0, withheld[day])
        for day, numbers in groups.items()
    ]


def _month_starts(bins: Sequence[Bin], months: int) -> list[int]:
    """Return the bars in which a month begins whose number divides by `months`."""
    found = []
    for index, one in enumerate(bins):
        before = (
            bins[index - 1].start if index else one.start - timedelta(days=min(one.start.toordinal() - 1, 7))
        )
        begins = (before.year, before.month) != (one.start.year, one.start.month)
        if begins and (one.start.month - 1) % months == 0:
            found.append(index)
    return found


def tick_marks(bins: Sequence[Bin], unit: str, room: float) -> list[Tick]:
    """Choose marks that stand at the beginnings of days, weeks, months or years.

    Parameters
    ----------
    bins : sequence of Bin
        What the chart shows.
    unit : str
        What `unit_for` returned.
    room : float
        The share of the chart's width that each mark needs.
    """

    def fit(found: Sequence[int]) -> bool:
        gaps = [right - left for left, right in itertools.pairwise(found)]
        return bool(found) and min(gaps, default=len(bins)) >= room * len(bins)

    if unit == "day":
        mondays = [index for index, one in enumerate(bins) if one.start.weekday() == 0]
        every = range(len(bins))
        for found in (every, every[::2], every[::3], mondays, mondays[::2]):
            if fit(found):
                return [Tick(index, _short_day(bins, index, index == found[0])) for index in found]
    if unit == "week" and fit(range(len(bins))):
        return [Tick(index, _short_day(bins, index, index == 0)) for index in range(len(bins))]
    if unit in ("day", "week", "month", "quarter"):
        for months in (1, 3, 6, 12):
            found = _month_starts(bins, months)
            if fit(found):
                return [
                    Tick(index, _short_month(bins[index].start, months, index == found[0])) for index in found
                ]
    for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        found = [index for index in _year_starts(bins) if bins[index].start.year % step == 0]
        if fit(found):
            return [Tick(index, str(bins[index].start.year)) for index in found]
    return [Tick(0, bins[0].label)]


def _year_starts(bins: Sequence[Bin]) -> list[int]:
    return [
        index
        for index, one in enumerate(bins)
        if (index and bins[index - 1].start.year != one.start.year)
        or (index == 0 and (one.start.month, one.start.day) <= (1, 7))
    ]


def _short_day(bins: Sequence[Bin], index: int, with_year: bool) -> str:
    day = bins[index].start
    text = f"{day.day}\u00a0{MONTHS[day.month - 1][:3]}"
    new_year = index > 0 and bins[index - 1].start.year != day.year
    return f"{text}\u00a0{day.year}" if with_year or new_year else text


def _short_month(day: date, months: int, with_year: bool) -> str:
    if months == 12:
        return str(day.year)
    text = MONTHS[day.month - 1][:3]
    return f"{text}\u00a0{day.year}" if with_year or day.month == 1 else text
