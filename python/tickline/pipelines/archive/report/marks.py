"""Which findings fall on which day, and into which bin of a chart."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo

from tickline.page.words import day_words
from tickline.pipelines.archive.report import words
from tickline.pipelines.archive.report.model import Finding, Report, Series

__all__ = ["bin_states", "days_of"]

_GRAVER = {"": 0, "remark": 1, "unshown": 2, "breach": 3}
_NAMED = 3


def _of_moments(findings: Iterable[Finding], begin_s: int, end_s: int) -> Iterator[Finding]:
    """Yield all but those of the whole period, which say nothing about any day of it."""
    return (one for one in findings if one.begin_s > begin_s or one.end_s < end_s)


def bin_states(series: Series, findings: Iterable[Finding], begin_s: int, end_s: int) -> list[str]:
    """Return for each bin the gravest severity of the findings that touch it, or nothing."""
    count = len(series.bound_s)
    states = [""] * count
    for finding in _of_moments(findings, begin_s, end_s):
        first = max((finding.begin_s - series.begin_s) // series.bin_s, 0)
        last = min((finding.end_s - series.begin_s) // series.bin_s, count - 1)
        for index in range(first, last + 1):
            if _GRAVER[finding.severity] > _GRAVER[states[index]]:
                states[index] = finding.severity
    return states


def days_of(report: Report, findings: Sequence[Finding]) -> dict[dt.date, tuple[str, str]]:
    """Return each day of the period with its state and a sentence: see `figures.days_grid`.

    Days are those of the rule's zone. What was found before an open belongs to the day of that open.
    """
    zone = ZoneInfo(report.rule.get("zone") or "UTC")

    def local(time_s: int) -> dt.date:
        return dt.datetime.fromtimestamp(time_s, zone).date()

    first, last = local(report.begin_s), local(max(report.end_s - 1, report.begin_s))
    every = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
    on: dict[dt.date, list[Finding]] = {day: [] for day in every}
    for finding in _of_moments(findings, report.begin_s, report.end_s):
        end = local(finding.end_s)
        day = end if finding.check == "pre_open" else local(finding.begin_s)
        day = max(day, first)
        while day <= min(end, last):
            on[day].append(finding)
            day += dt.timedelta(days=1)
    business = {dt.date.fromisoformat(day) for day in report.business_dates}
    return {day: _day(day, on[day], not business or day in business) for day in every}


def _day(day: dt.date, findings: Sequence[Finding], is_business: bool) -> tuple[str, str]:
    gravest = max((finding.severity for finding in findings), key=_GRAVER.__getitem__, default="")
    titles = list(dict.fromkeys(words.TITLES[finding.check].lower() for finding in findings))
    found = ", ".join(titles[:_NAMED]) + (f" and {len(titles) - _NAMED} more" if titles[_NAMED:] else "")
    if not gravest:
        gravest, found = ("ok", "nothing found") if is_business else ("closed", "no business day")
    elif not is_business:
        found += " (no business day)"
    return gravest, f"{day:%a} {day_words(day)}: {found}"
