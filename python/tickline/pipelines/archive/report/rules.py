"""Rules on clocks: what a report judges by. See ``rules/*.toml``."""

import dataclasses
import datetime as dt
import math
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tickline.errors import TicklineError, UsageError, explain_os_error

__all__ = ["BUILT_IN", "Rule", "read_rule"]

_FOLDER = Path(__file__).parent / "rules"
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00", re.ASCII)
_MOST_DEPTH = 8

BUILT_IN: tuple[str, ...] = tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))
"""Names of the rules that are part of the package."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as it is applied.

    Attributes
    ----------
    name, title : str
        What the report calls it.
    version : str
        The date of the text that was followed.
    citation, text : str
        Where the text stands, and what it demands, in a sentence or two.
    tolerance_s : float
        How far a clock may be from UTC.
    zone, open, close : str
        Trading hours: zone of the exchange, and ``"HH:MM"`` there.
    calendar : str or None
        Calendar of the exchange; None: every one of `weekdays` but `closed`.
    weekdays : tuple of int
        Business days without a calendar, Monday is 1.
    closed : tuple of datetime.date
        Days without trading, beside those of the calendar.
    early : mapping of datetime.date to str
        Days that close early, and when.
    early_close : str or None
        When those days close that the calendar knows as half ones; None: as all others.
    pre_open_hours : float
        How long before the open a row must show that the clock is right.
    gap_s : int
        Longest time without rows of tracking.
    step_s, step_ppm : float
        An offset or change of frequency from which on it is a step.
    stratum : int
        Highest stratum.
    quorum : int
        Fewest usable sources.
    smear_ppm, smear_hours : float
        From which slope on, and for how long, one source that runs away is smeared.
    drift_ppm : float
        What a clock may drift beyond the skew that chronyd measured (``maxclockerror``).
    counter_exceedances, counter_hours, counter_times_tolerance
        So many exceedances in so many hours, or one of so many tolerances, are to be reported.
    retention_years : int
        How long records are to be kept.
    upload_delay_s, upload_slack_s : int
        How old the oldest line of a chunk may be, and what is added for the run itself.
    sources : tuple of str or None
        Addresses that are known to be traceable; None if nobody named them.
    leap_seconds : mapping of datetime.date to str
        UTC days at whose end a second was announced to be inserted (``"+"``) or left out (``"-"``).
    due : str or None
        Until when the page of a year is to be kept, ``"MM-DD"`` of the next one.
    """

    name: str
    title: str
    version: str
    citation: str
    text: str
    tolerance_s: float
    zone: str
    open: str
    close: str
    calendar: str | None = None
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5)
    closed: tuple[dt.date, ...] = ()
    early: Mapping[dt.date, str] = field(default_factory=dict)
    early_close: str | None = None
    pre_open_hours: float = 24.0
    gap_s: int = 2100
    step_s: float = 0.02
    step_ppm: float = 10.0
    stratum: int = 4
    quorum: int = 4
    smear_ppm: float = 9.0
    smear_hours: float = 3.0
    drift_ppm: float = 1.0
    counter_exceedances: int = 10
    counter_hours: float = 24.0
    counter_times_tolerance: float = 2.0
    retention_years: int = 3
    upload_delay_s: int = 1800
    upload_slack_s: int = 900
    sources: tuple[str, ...] | None = None
    leap_seconds: Mapping[dt.date, str] = field(default_factory=dict)
    due: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return every key as a rule file has it."""
        found = dataclasses.asdict(self)
        for name in ("early", "leap_seconds"):
            found[name] = {day.isoformat(): text for day, text in sorted(found[name].items())}
        found["closed"] = [day.isoformat() for day in self.closed]
        return found


def read_rule(name: str) -> Rule:
    """Read a rule that is part of the package, or a file.

    Parameters
    ----------
    name : str
        One of `BUILT_IN`, or the path of a TOML file (with a ``/`` in it, or ending in ``.toml``).

    Raises
    ------
    UsageError
        There is no such rule, it is no TOML, or says something that cannot be meant.
    SourceError
        It cannot be read.
    """
    path = _path_of(name, Path())
    found = _inherited(path, 0)
    found.setdefault("name", path.stem)
    try:
        return _rule(found)
    except TicklineError as error:
        place = f"{path}, {error.where}" if error.where else str(path)
        raise UsageError(error.what, where=place, hint=error.hint) from error


def _path_of(name: str, folder: Path, place: str = "--rule") -> Path:
    if "/" in name or name.endswith(".toml"):
        return folder / name
    if name in BUILT_IN:
        return _FOLDER / f"{name}.toml"
    hint = f"Known are: {', '.join(BUILT_IN)}; or give the path of a TOML file."
    raise UsageError(f"{name!r} is no rule that is known", where=place, hint=hint)


def _inherited(path: Path, depth: int) -> dict[str, Any]:
    """Return the keys of a file, laid over those of the one it extends."""
    if depth > _MOST_DEPTH:
        raise UsageError("extends itself", where=str(path), hint="Let `extends` end in a rule without it.")
    try:
        own = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        hint = f"Name one that exists, or one of {', '.join(BUILT_IN)}."
        raise UsageError("does not exist", where=str(path), hint=hint) from error
    except OSError as error:
        raise explain_os_error(error, path) from error
    except UnicodeDecodeError as error:
        raise UsageError("is no text in UTF-8", where=str(path), hint="Write it anew.") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"is no TOML ({error})", where=str(path), hint="Correct that line.") from error
    base = own.pop("extends", None)
    if base is None:
        return own
    if not isinstance(base, str):
        hint = f"Write one of {', '.join(BUILT_IN)}, or a path."
        raise UsageError("is no name of a rule", where=f"{path}, extends", hint=hint)
    inherited = _inherited(_path_of(base, path.parent, f"{path}, extends"), depth + 1)
    # A rule of one's own has a name of its own.
    inherited.pop("name", None)
    return {**inherited, **own}


def _rule(found: dict[str, Any]) -> Rule:
    for key in found:
        if key not in _READERS:
            hint = f"Known are: extends, {', '.join(sorted(_READERS))}."
            raise UsageError("is no key that is known", where=key, hint=hint)
    for key in _REQUIRED:
        if key not in found:
            hint = 'It has no default: write it, or begin with extends = "finra-4590".'
            raise UsageError("is missing", where=key, hint=hint)
    rule = Rule(**{key: _READERS[key](value, key) for key, value in found.items()})
    _check_hours(rule)
    return rule


def _check_hours(rule: Rule) -> None:
    closes = [("close", rule.close), ("early_close", rule.early_close or rule.close)]
    for place, close in [*closes, *(("early", close) for close in rule.early.values())]:
        if close <= rule.open:
            hint = "Trading hours lie within one day of their zone; split those that do not."
            raise UsageError(f"{close} is not after the open, {rule.open}", where=place, hint=hint)


def _text(value: object, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError("is no text", where=place, hint='Write it as "text".')
    if not value.replace("\n", " ").isprintable():
        raise UsageError("holds characters that cannot be printed", where=place, hint="Take them out.")
    return " ".join(value.split())


def _date_text(value: object, place: str) -> str:
    if type(value) is not dt.date:
        raise UsageError(f"{value!r} is no date", where=place, hint="Write it as 2016-08-15, without quotes.")
    return value.isoformat()


def _number(least: float, most: float) -> Callable[[object, str], float]:
    def read(value: object, place: str) -> float:
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not good or not least <= float(value) <= most:  # type: ignore[arg-type]
            hint = f"Write a number from {least:g} to {most:g}."
            raise UsageError(f"{value!r} is no such number", where=place, hint=hint)
        return float(value)  # type: ignore[arg-type]

    return read


def _whole(least: int, most: int) -> Callable[[object, str], int]:
    def read(value: object, place: str) -> int:
        if type(value) is not int or not least <= value <= most:
            hint = f"Write a whole number from {least} to {most}."
            raise UsageError(f"{value!r} is no such number", where=place, hint=hint)
        return value

    return read


def _clock(value: object, place: str) -> str:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise UsageError(f"{value!r} is no time of day", where=place, hint='Write it as "09:30".')
    return value


def _zone(value: object, place: str) -> str:
    try:
        return ZoneInfo(_text(value, place)).key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        hint = 'Write one of the tz database: "America/New_York". Where the system has none, install tzdata.'
        raise UsageError(f"{value!r} is no time zone that is known", where=place, hint=hint) from error


def _calendar(value: object, place: str) -> str | None:
    name = _text(value, place)
    return None if name == "none" else name


def _list(value: object, place: str, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"is no list of {what}", where=place, hint=f"Write {place} = [...].")
    return value


def _dates(value: object, place: str) -> tuple[dt.date, ...]:
    days = _list(value, place, "dates")
    if not all(type(day) is dt.date for day in days):
        hint = f"Write {place} = [2026-04-03], without quotes."
        raise UsageError("holds something that is no date", where=place, hint=hint)
    return tuple(sorted(days))


def _by_date(read: Callable[[object, str], str], example: str) -> Callable[[object, str], dict[dt.date, str]]:
    def read_all(value: object, place: str) -> dict[dt.date, str]:
        hint = f"Write [{place}], and below it lines as {example}."
        if not isinstance(value, dict):
            raise UsageError("is no table", where=place, hint=hint)
        found = {}
        for text, one in value.items():
            try:
                day = dt.date.fromisoformat(text)
            except ValueError as error:
                raise UsageError(f"{text!r} is no date", where=place, hint=hint) from error
            found[day] = read(one, f"{place}.{text}")
        return found

    return read_all


def _sign(value: object, place: str) -> str:
    if value not in ("+", "-"):
        hint = 'Write "+" for a second that is inserted, "-" for one that is left out.'
        raise UsageError(f"{value!r} is no sign", where=place, hint=hint)
    return str(value)


def _weekdays(value: object, place: str) -> tuple[int, ...]:
    days = _list(value, place, "numbers")
    if not days or not all(type(day) is int and 1 <= day <= 7 for day in days):
        hint = "Write weekdays = [1, 2, 3, 4, 5]: Monday is 1, Sunday 7."
        raise UsageError("is no list of days of the week", where=place, hint=hint)
    return tuple(sorted(set(days)))


def _sources(value: object, place: str) -> tuple[str, ...]:
    found = []
    for text in _list(value, place, "addresses"):
        try:
            found.append(str(ip_address(text)) if "." in text or ":" in text else _reference(text))
        except (ValueError, TypeError) as error:
            hint = (
                'Write addresses as chronyd logs them ("192.0.2.10"), or names of reference clocks ("PPS").'
            )
            raise UsageError(f"{text!r} is no address of a source", where=place, hint=hint) from error
    if not found:
        raise UsageError("is an empty list", where=place, hint="Name the sources, or take it out.")
    return tuple(dict.fromkeys(found))


def _reference(text: str) -> str:
    if not 1 <= len(text) <= 4 or not text.isascii() or not text.isprintable():
        raise ValueError(text)
    return text


def _due(value: object, place: str) -> str:
    try:
        # A leap year, so that the 29th of February is a date.
        return dt.date.fromisoformat(f"2000-{_text(value, place)}").strftime("%m-%d")
    except ValueError as error:
        raise UsageError(f"{value!r} is no day of a year", where=place, hint='Write "03-15".') from error


_READERS: dict[str, Callable[[object, str], Any]] = {
    "name": _text,
    "title": _text,
    "version": _date_text,
    "citation": _text,
    "text": _text,
    "tolerance_s": _number(1e-9, 3600),
    "zone": _zone,
    "open": _clock,
    "close": _clock,
    "calendar": _calendar,
    "weekdays": _weekdays,
    "closed": _dates,
    "early": _by_date(_clock, '"2026-12-30" = "14:00"'),
    "early_close": _clock,
    "pre_open_hours": _number(0.01, 168),
    "gap_s": _whole(1, 86400),
    "step_s": _number(1e-9, 3600),
    "step_ppm": _number(1e-6, 1e6),
    "stratum": _whole(1, 15),
    "quorum": _whole(1, 100),
    # Nobody smears faster than in 20 hours: 13.9 ppm.
    "smear_ppm": _number(0.1, 13.9),
    "smear_hours": _number(0.1, 48),
    "drift_ppm": _number(0, 1e5),
    "counter_exceedances": _whole(1, 10**6),
    "counter_hours": _number(0.01, 8784),
    "counter_times_tolerance": _number(1, 1e6),
    "retention_years": _whole(0, 100),
    "upload_delay_s": _whole(1, 10**7),
    "upload_slack_s": _whole(0, 10**7),
    "sources": _sources,
    "leap_seconds": _by_date(_sign, '"2016-12-31" = "+"'),
    "due": _due,
}
_REQUIRED = tuple(
    item.name
    for item in dataclasses.fields(Rule)
    if item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
)
