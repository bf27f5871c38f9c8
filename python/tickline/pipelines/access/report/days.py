"""What is shown of each day: a chart for each of the four numbers, and what is said of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tickline.page.words import day_words, exact, span_words
from tickline.pipelines.access.report import words
from tickline.pipelines.access.report.bins import Bin, bins_of, tick_marks, unit_for
from tickline.pipelines.access.report.export import Row
from tickline.pipelines.access.report.figures import Chart, chart
from tickline.pipelines.access.report.rules import Rule

__all__ = ["MEASURES", "panel"]

# Bars that can still be told apart.
_WIDE, _NARROW = 190, 72
# What a mark's text needs of the width.
_WIDE_TICK, _NARROW_TICK = 0.1, 0.235


@dataclass(frozen=True)
class Measure:
    """One of the four things that are counted; `why` says why days are not added up, if they are not."""

    name: str
    title: str
    per_day: str
    words: Callable[[int], str]
    axis: Callable[[int], str]
    together: Callable[[Iterable[int]], int] = sum
    why: str = ""


def _counted(one: str, many: str) -> Callable[[int], str]:
    return lambda number: f"{exact(number)} {one if number == 1 else many}"


MEASURES = (
    Measure(
        "bytes_sent",
        "Bytes",
        "Bytes sent",
        words.bytes_words,
        lambda number: words.human_bytes(number, trim=True),
    ),
    Measure("number_of_requests", "Requests", "Requests", _counted("request", "requests"), words.human_count),
    Measure(
        "number_of_downloads", "Downloads", "Downloads", _counted("download", "downloads"), words.human_count
    ),
    # Distinct ones cannot be added up: somebody who came on two days is one requester of that week.
    Measure(
        "number_of_requesters",
        "Requesters",
        "Distinct requesters",
        _counted("requester", "requesters"),
        words.human_count,
        max,
        "who comes on two days is still one requester",
    ),
)


def panel(measure: Measure, number: int, rows: Sequence[Row], rule: Rule) -> dict[str, Any]:
    """Return one measure by day: a chart for wide screens, one for narrow ones, and what is said of them.

    Parameters
    ----------
    measure : Measure
        One of `MEASURES`.
    number : int
        Its place among them.
    rows : sequence of Row
        All days with requests, in order.
    rule : Rule
        What was done to the numbers.
    """
    first, last = rows[0].of[0], rows[-1].of[0]
    values = {row.of[0]: (row.measures[number],) for row in rows}
    withheld = sum(row.measures[number] is None for row in rows)
    if rule.published and measure.name != "bytes_sent":
        measure = replace(measure, together=max, why="counts that are rounded or withheld have no sum")
    figures, units = [], []
    for kind, limit, room in (("wide", _WIDE, _WIDE_TICK), ("narrow", _NARROW, _NARROW_TICK)):
        unit = unit_for(first, last, limit)
        bins = bins_of(values, first, last, unit, measure.together)
        told = partial(_told, measure, unit, rule)
        title = _title(measure, unit, bins, span_words(first, last), told)
        ticks = tick_marks(bins, unit, room)
        figures.append(chart(Chart(bins, ticks, told, measure.axis, title, f"at-{measure.name}"), kind))
        units.append(unit)
    return {
        "name": measure.name,
        "title": measure.title,
        "per_day": measure.per_day,
        "units": units,
        "why": measure.why,
        "figures": figures,
        "most": _most(measure, number, rows, withheld),
        "withheld": withheld,
    }


def _told(measure: Measure, unit: str, rule: Rule, one: Bin) -> str:
    """Return how a bar is told."""
    if not one.withheld:
        return measure.words(one.value)
    what = f"{measure.title.lower()} {rule.word}"
    if unit != "day":
        what += f" on {exact(one.withheld)} of its days"
    return f"{measure.words(one.value)}; {what}" if one.value else what


def _title(measure: Measure, unit: str, bins: Sequence[Bin], span: str, told: Callable[[Bin], str]) -> str:
    """Return what a screen reader says of a chart."""
    per = unit if unit == "day" or not measure.why else f"{unit}, its busiest day"
    text = f"{measure.per_day} per {per}, {span}. {len(bins)} bars"
    if hatched := sum(one.withheld > 0 for one in bins):
        text += f", {hatched} of them hatched: something is withheld"
    highest = max(bins, key=lambda one: one.value)
    if highest.value or not highest.withheld:
        text += f"; the highest: {highest.label}, {told(highest)}"
    return f"{text}. All days stand in the table below the chart. The arrow keys go from bar to bar."


def _most(measure: Measure, number: int, rows: Sequence[Row], withheld: int) -> str:
    shown = [(count, row.of[0]) for row in rows if (count := row.measures[number]) is not None]
    if not shown:
        return f"The {measure.title.lower()} of no day are shown."
    count, day = max(shown, key=lambda one: one[0])
    most = "The most in a day that is shown" if withheld else "The most in a day"
    return f"{most}: {measure.words(count)} on {day_words(day)}."
