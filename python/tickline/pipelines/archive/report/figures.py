"""Drawings of the page as inline SVG: the error of a clock over time, its days, and bars.

As in the report of accesses, coordinates are per cent of the width where text must keep its size; colours
stand in page.css, and what comes from outside goes through `html.escape`.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

from tickline.page.svg import number, percent
from tickline.page.words import MONTHS
from tickline.pipelines.archive.report import words
from tickline.pipelines.archive.report.model import Series

__all__ = ["days_grid", "error_chart", "fewer_bins", "time_marks"]

_PLOT, _ABOVE, _BELOW, _AXIS = 220, 10, 44, 68
_STATES_Y, _STATES_HEIGHT = _ABOVE + _PLOT + 6, 7
# A nanosecond is finer than any log of chrony says.
_SMALLEST_DECADE = -9
# The smallest width at which a chart of its kind is shown, and what a letter takes of it.
_SMALLEST = {"wide": 590, "narrow": 205}
_LETTER = 7.5
_MOST_MARKS = 30
_HOUR, _DAY = 3600, 86_400

Values = Sequence[float | None]
# From seconds to a place in the drawing.
Height = Callable[[float], float]


def fewer_bins(series: Series, most: int) -> Series:
    """Return a series with `most` bins at most, each as low, high and wide as what it is made of."""
    size = -(-len(series.bound_s) // most)
    if size <= 1:
        return series

    def together(values: Values, lowest: bool) -> list[float | None]:
        groups = (
            [value for value in values[first : first + size] if value is not None]
            for first in range(0, len(values), size)
        )
        return [(min(group) if lowest else max(group)) if group else None for group in groups]

    return Series(
        series.begin_s,
        series.bin_s * size,
        together(series.offset_low_s, lowest=True),
        together(series.offset_high_s, lowest=False),
        together(series.bound_s, lowest=False),
    )


# ---- error over time ---------------------------------------------------------------------------------------


def error_chart(series: Series, tolerance_s: float, states: Sequence[str], title: str, told: str) -> str:
    """Draw how far a clock was from UTC: bound and offset, on a scale of powers of ten, below the tolerance.

    Parameters
    ----------
    series : Series
        At least one bin.
    tolerance_s : float
        Where the line is that nothing may cross.
    states : sequence of str
        For each bin the gravest finding in it, or nothing.
    title : str
        What a screen reader says of the whole.
    told : str
        The id of the element that tells the bin at the pointer.
    """
    offsets = [
        None if low is None or high is None else max(abs(low), abs(high))
        for low, high in zip(series.offset_low_s, series.offset_high_s, strict=True)
    ]
    low, high = _decades([*offsets, *series.bound_s], tolerance_s)
    height = _ABOVE + _PLOT + _BELOW

    def at(value: float) -> float:
        share = (math.log10(max(value, 10.0**low)) - low) / (high - low)
        return _ABOVE + _PLOT * (1 - min(share, 1.0))

    axis, grid = _scale(low, high, tolerance_s, at)
    count = len(series.bound_s)
    drawn = (
        f'<svg x="0" y="0" width="100%" height="{height}" viewBox="0 0 {count} {height}"'
        ' preserveAspectRatio="none">'
        f"{_stairs(series.bound_s, at, 'bound', _ABOVE + _PLOT)}{_stairs(offsets, at, 'offset')}</svg>"
    )
    return (
        f'<div class="chart"><svg class="scale" width="{_AXIS}" height="{height}" aria-hidden="true">{axis}'
        f'</svg><svg class="plot" width="100%" height="{height}" role="img" tabindex="0"'
        f' aria-label="{escape(title)}" aria-describedby="{escape(told)}">{grid}{drawn}'
        f"{_bins(series, states)}{_marks(series)}</svg></div>"
    )


def _decades(values: Values, tolerance_s: float) -> tuple[int, int]:
    """Return the powers of ten between which everything lies."""
    seen = [value for value in values if value is not None and 0 < value < math.inf]
    lowest, highest = min([*seen, tolerance_s]), max([*seen, tolerance_s])
    low = max(math.floor(math.log10(lowest)), _SMALLEST_DECADE)
    # The line of the tolerance is not the edge.
    return low, max(math.ceil(math.log10(1.5 * highest)), low + 1)


def _scale(low: int, high: int, tolerance_s: float, at: Height) -> tuple[str, str]:
    labels, lines = [], []
    limit = at(tolerance_s)
    for decade in range(low, high + 1, 1 + (high - low) // 8):
        y = at(10.0**decade)
        lines.append(
            f'<line class="{"base" if decade == low else "grid"}" x1="0" x2="100%" y1="{number(y)}"'
            f' y2="{number(y)}"/>'
        )
        if abs(y - limit) > 15:
            labels.append(_label(_decade_words(decade), y))
    labels.append(_label(words.seconds(tolerance_s, trim=True), limit, "limit"))
    lines.append(f'<line class="limit" x1="0" x2="100%" y1="{number(limit)}" y2="{number(limit)}"/>')
    return "".join(labels), "".join(lines)


def _decade_words(decade: int) -> str:
    step = -min(decade // 3, 0)
    unit = ("s", "ms", "\u00b5s", "ns")[step]
    return f"{10 ** (decade + 3 * step):,}\u00a0{unit}"


def _label(text: str, y: float, kind: str = "") -> str:
    of = f' class="{kind}"' if kind else ""
    return f'<text{of} x="{_AXIS - 8}" y="{number(y)}" dy="0.32em" text-anchor="end">{escape(text)}</text>'


def _stairs(values: Values, at: Height, kind: str, floor: float | None = None) -> str:
    """Draw one level for each bin; where nothing is known there is nothing."""
    line, area = [], []
    for first, last in _filled(values):
        steps = [f"{number(at(values[index] or 0.0))}H{index + 1}" for index in range(first, last)]
        stairs = f"M{first} " + "V".join(steps)
        line.append(stairs)
        if floor is not None:
            area.append(f"{stairs}V{number(floor)}H{first}Z")
    filled = f'<path class="{kind}-area" d="{"".join(area)}"/>' if area else ""
    return f'{filled}<path class="{kind}" vector-effect="non-scaling-stroke" d="{"".join(line)}"/>'


def _filled(values: Values) -> list[tuple[int, int]]:
    """Return the first bin and the one after the last of each run that has values."""
    known = [value is not None for value in values]
    edges = [index for index in range(1, len(known)) if known[index] != known[index - 1]]
    return [(first, last) for first, last in pairwise([0, *edges, len(values)]) if known[first]]


def _bins(series: Series, states: Sequence[str]) -> str:
    count = len(states)
    drawn = []
    for index, state in enumerate(states):
        x = f'x="{percent(index / count)}" width="{percent(1 / count)}"'
        mark = f'<rect class="{state}" {x} y="{_STATES_Y}" height="{_STATES_HEIGHT}"/>' if state else ""
        drawn.append(
            f'<g><rect class="slot" {x} y="{_ABOVE}" height="{_PLOT}"/>{mark}'
            f"<title>{escape(_bin_words(series, index, state))}</title></g>"
        )
    return "".join(drawn)


def _bin_words(series: Series, index: int, state: str) -> str:
    begin = series.begin_s + index * series.bin_s
    end = begin + series.bin_s
    until = words.moment(end)[11:16] if end // _DAY == begin // _DAY else words.moment(end)[:16]
    found = f"; {'not shown' if state == 'unshown' else state}" if state else ""
    when = f"{words.moment(begin)[:16]} to {until}"
    bound, low, high = series.bound_s[index], series.offset_low_s[index], series.offset_high_s[index]
    known = [] if bound is None else [f"bound {words.seconds(bound)}"]
    if low is not None and high is not None:
        known.append(f"offset {words.signed_seconds(low)} to {words.signed_seconds(high)}")
    return f"{when}: {', '.join(known) or 'no rows'}{found}"


def _marks(series: Series) -> str:
    begin, length = series.begin_s, series.bin_s * len(series.bound_s)
    y = _STATES_Y + _STATES_HEIGHT
    drawn = []
    for kind, width in _SMALLEST.items():
        for time_s, text in time_marks(begin, begin + length, width):
            share = (time_s - begin) / length
            x = percent(share)
            drawn.append(
                f'<g class="{kind}"><line class="mark" x1="{x}" x2="{x}" y1="{y}" y2="{y + 5}"/>'
                f'<text x="{x}" y="{y + 19}" text-anchor="{_anchor(share, text, width)}">{text}</text></g>'
            )
    return "".join(drawn)


def _anchor(share: float, text: str, width: int) -> str:
    """Return on which side of its place a text stands: it must not reach beyond the edge."""
    needed = len(text) * _LETTER / 2
    return "start" if share * width < needed else "end" if (1 - share) * width < needed else "middle"


def time_marks(begin_s: int, end_s: int, width: int) -> list[tuple[int, str]]:
    """Choose round times of UTC, and how each is written, so that the texts have room in so many pixels."""
    for found in _candidates(begin_s, end_s):
        spans = [_span((time_s - begin_s) / (end_s - begin_s), text, width) for time_s, text in found]
        if found and all(before[1] + _LETTER < after[0] for before, after in pairwise(spans)):
            return found
    return []


def _span(share: float, text: str, width: int) -> tuple[float, float]:
    long = len(text) * _LETTER
    left = share * width - long * {"start": 0.0, "middle": 0.5, "end": 1.0}[_anchor(share, text, width)]
    return left, left + long


def _candidates(begin_s: int, end_s: int) -> Iterator[list[tuple[int, str]]]:
    """Yield marks from many to few: hours, days, Mondays, months, years."""
    # 1970-01-01 was a Thursday.
    monday = 4 * _DAY
    hours = [(step * _HOUR, 0) for step in (1, 3, 6, 12)]
    for step, first in (*hours, (_DAY, 0), (2 * _DAY, 0), (7 * _DAY, monday), (14 * _DAY, monday)):
        start = -(-(begin_s - first) // step) * step + first
        if (end_s - start) // step < _MOST_MARKS:
            times = range(start, end_s, step)
            yield [(time_s, _time_words(time_s, with_day=time_s == start)) for time_s in times]
    first_day, last_day = (dt.datetime.fromtimestamp(time_s, dt.UTC) for time_s in (begin_s, end_s - 1))
    months = range(12 * first_day.year + first_day.month - 1, 12 * last_day.year + last_day.month)
    starts = {
        month: int(dt.datetime(month // 12, month % 12 + 1, 1, tzinfo=dt.UTC).timestamp()) for month in months
    }
    for step in (1, 2, 3, 6, 12, 24, 60, 120):
        found = [month for month in months if month % step == 0 and begin_s <= starts[month]]
        yield [(starts[month], _month_words(month, with_month=step < 12)) for month in found]


def _time_words(time_s: int, *, with_day: bool) -> str:
    time = dt.datetime.fromtimestamp(time_s, dt.UTC)
    parts = [f"{time.day} {MONTHS[time.month - 1][:3]}"] if with_day or time_s % _DAY == 0 else []
    return " ".join([*parts, time.strftime("%H:%M")] if time_s % _DAY else parts)


def _month_words(month: int, *, with_month: bool) -> str:
    name = f"{MONTHS[month % 12][:3]}\u00a0" if with_month else ""
    return f"{name}{month // 12}"


# ---- days --------------------------------------------------------------------------------------------------

_CELL, _GAP, _LEFT, _TOP = 16, 3, 34, 18


def days_grid(days: Mapping[dt.date, tuple[str, str]], title: str, told: str) -> str:
    """Draw a square for each day, a column for each week, at most a year wide.

    Parameters
    ----------
    days : mapping of date to (state, words)
        In order, without holes. States: ``ok``, ``breach``, ``unshown``, ``remark``, ``closed``.
    title, told : str
        As in `error_chart`.
    """
    every = list(days)
    if len(every) > 371:
        years = sorted({day.year for day in every})
        parts = ({day: of for day, of in days.items() if day.year == year} for year in years)
        return "".join(days_grid(part, title, told) for part in parts)
    monday = every[0] - dt.timedelta(days=every[0].weekday())
    columns = (every[-1] - monday).days // 7 + 1
    width, height = _LEFT + columns * _CELL, _TOP + 7 * _CELL
    names = "".join(
        f'<text x="0" y="{_TOP + row * _CELL + 11}">{name}</text>'
        for row, name in ((0, "Mon"), (2, "Wed"), (4, "Fri"))
    )
    months, right = [], 0
    for day in every:
        x = _LEFT + (day - monday).days // 7 * _CELL
        if (day == every[0] or day.day == 1) and x >= right and x + 28 <= max(width, _LEFT + 28):
            months.append(f'<text x="{x}" y="11">{MONTHS[day.month - 1][:3]}</text>')
            right = x + 30
    cells = "".join(_cell(day, monday, *of) for day, of in days.items())
    wide = max(width, _LEFT + 28)
    return (
        f'<svg class="plot days" width="{wide}" height="{height}" viewBox="0 0 {wide} {height}" role="img"'
        f' tabindex="0" aria-label="{escape(title)}" aria-describedby="{escape(told)}">'
        f"{names}{''.join(months)}{cells}</svg>"
    )


def _cell(day: dt.date, monday: dt.date, state: str, about: str) -> str:
    week, row = divmod((day - monday).days, 7)
    x, y, size = _LEFT + week * _CELL, _TOP + row * _CELL, _CELL - _GAP
    # Not by colour alone: a cross, a bar, a dot.
    signs = {
        "breach": f'<path class="sign" d="M{x + 4} {y + 4}l5 5m0-5l-5 5"/>',
        "unshown": f'<path class="sign" d="M{x + 3} {y + 6.5}h7"/>',
        "remark": f'<circle class="dot" cx="{x + 6.5}" cy="{y + 6.5}" r="2"/>',
    }
    return (
        f'<g><rect class="day {state}" x="{x}" y="{y}" width="{size}" height="{size}" rx="2"/>'
        f"{signs.get(state, '')}<title>{escape(about)}</title></g>"
    )
