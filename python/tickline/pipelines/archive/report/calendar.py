"""When exchanges trade: business days, their opening and closing, in the zone of the exchange.

Days without trading and half days come from the package ``holidays`` (pure Python, financial calendars by
MIC) and from the rule's own ``closed`` and ``early``; a rule with ``calendar = "none"`` needs no package.
Opening and closing are local times, so that summer time is the zone's.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from tickline.errors import TicklineError, UsageError
from tickline.pipelines.archive.report.rules import Rule

__all__ = ["Session", "sessions_of"]

_PLACE = "calendar"
_OWN = 'Write calendar = "none" with closed = [dates] into the rule.'


@dataclass(frozen=True, slots=True)
class Session:
    """One business day.

    Attributes
    ----------
    date : datetime.date
        In the zone of the exchange.
    open_s, close_s : int
        Seconds since 1970.
    """

    date: dt.date
    open_s: int
    close_s: int


def sessions_of(rule: Rule, first: dt.date, last: dt.date) -> list[Session]:
    """Return the business days of a period, both ends included.

    Raises
    ------
    UsageError
        There is no such calendar, or it does not know these years.
    TicklineError
        The package that knows calendars is not installed.
    """
    closed: Mapping[dt.date, str] | set[dt.date] = set()
    half: Mapping[dt.date, str] | set[dt.date] = set()
    if rule.calendar is not None:
        closed, half = _known(rule.calendar, first.year, last.year)
    zone = ZoneInfo(rule.zone)
    found = []
    for number in range((last - first).days + 1):
        day = first + dt.timedelta(days=number)
        if day.isoweekday() not in rule.weekdays or day in closed or day in rule.closed:
            continue
        close = rule.early_close if day in half and rule.early_close is not None else rule.close
        found.append(Session(day, _at(day, rule.open, zone), _at(day, rule.early.get(day, close), zone)))
    return found


def _at(day: dt.date, clock: str, zone: ZoneInfo) -> int:
    hour, minute = int(clock[:2]), int(clock[3:])
    # 24:00 is the next midnight, an hour off on some days if it were counted from this one.
    day, hour = (day + dt.timedelta(days=1), 0) if hour == 24 else (day, hour)
    return int(dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp())


def _known(name: str, first: int, last: int) -> tuple[Any, Any]:
    """Return the days without trading, and those that close early, of some years."""
    try:
        import holidays
    except ImportError as error:
        what = f"the calendar {name} is known to a package that is not installed (holidays)"
        hint = f"Install it with: pip install 'tickline[archive]'. {_OWN}"
        raise TicklineError(what, where=_PLACE, hint=hint) from error
    years = range(first, last + 1)
    try:
        closed = holidays.financial_holidays(name, years=years)
    except NotImplementedError as error:
        hint = f"Name it by its MIC, such as XNYS or XETR. {_OWN}"
        raise UsageError(f"{name!r} is no calendar that is known", where=_PLACE, hint=hint) from error
    begin, end = closed.start_year, closed.end_year
    if first < begin or last > end:
        what = f"{name} is known from {begin} to {end} only"
        raise UsageError(what, where=_PLACE, hint=f"Ask for another period. {_OWN}")
    half: Any = set()
    if "half_day" in closed.supported_categories:
        half = holidays.financial_holidays(name, years=years, categories=("half_day",))
    return closed, half
