"""Charts as inline SVG: plain bars, in per cent of the width, so that text keeps its size on every screen.

Everything that comes from outside goes through `html.escape`; colours and fonts stand in page.css. There is
no ``style`` attribute: the page's Content-Security-Policy forbids them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from tickline.page.svg import number, percent
from tickline.pipelines.access.report.bins import Bin, Tick

__all__ = ["HATCH", "Chart", "chart", "strip"]

_PLOT = 200
_ABOVE = 14
_BELOW = 26
_AXIS = 64
# The smallest width at which a chart of this kind is shown, and what a letter takes of it: marks stay within.
_SMALLEST = {"wide": 600, "narrow": 250}
_LETTER = 7.5

_STRIPES = 25
HATCH = (
    '<svg class="defs" width="0" height="0" aria-hidden="true">'
    '<path id="hatch" vector-effect="non-scaling-stroke"'
    f' d="{"".join(f"M0 {line + 1}L1 {line}" for line in range(_STRIPES))}"/></svg>'
)
"""The stripes of bars that are withheld; once in a page that has any. A pattern would need a ``url()``."""


@dataclass(frozen=True)
class Chart:
    """What a chart of bars over time shows.

    Attributes
    ----------
    bins : sequence of Bin
        The bars.
    ticks : sequence of Tick
        The marks below.
    words : callable
        How a bar is told: ``1.23 GB (1,234,567,890 bytes)``.
    axis : callable
        How a value is written beside the chart: ``500 MB``.
    title : str
        What a screen reader says of the whole chart.
    described_by : str
        The id of the element that tells the bar at the pointer.
    """

    bins: Sequence[Bin]
    ticks: Sequence[Tick]
    words: Callable[[Bin], str]
    axis: Callable[[int], str]
    title: str
    described_by: str


def _round_steps(highest: int, most: int = 5) -> list[int]:
    """Return round values from 0 to the first one that is not below `highest`."""
    step = 1
    while step * most < highest:
        digits = len(str(step)) - 1
        step = {1: 2, 2: 5, 5: 10}[step // 10**digits] * 10**digits
    count = max(-(-highest // step), 1)
    return [step * index for index in range(count + 1)]


def _bars(bins: Sequence[Bin], top: int, height: int, above: int, words: Callable[[Bin], str]) -> str:
    slot = 1 / len(bins)
    width = slot * (0.72 if len(bins) <= 40 else 0.8)
    # One bar alone would be a wall.
    width = min(width, 0.12)
    drawn = []
    for index, one in enumerate(bins):
        tall = max(height * one.value / top, 1.0) if one.value else 0.0
        x = f'x="{percent(index * slot + (slot - width) / 2)}" width="{percent(width)}"'
        # Above what is shown there is something that is not: how much, nobody is told.
        hatch = (
            f'<svg class="hatch" {x} y="{above}" height="{number(height - tall)}" viewBox="0 0 1'
            f' {number(_STRIPES * (height - tall) / height)}"'
            ' preserveAspectRatio="none"><use href="#hatch"/></svg>'
        )
        # The wide invisible bar is what a pointer meets; its title is what it says.
        drawn.append(
            f'<g><rect class="slot" x="{percent(index * slot)}" y="{above}" width="{percent(slot)}"'
            f' height="{height}"/>{hatch if one.withheld else ""}<rect class="bar" {x}'
            f' y="{number(above + height - tall)}" height="{number(tall)}" data-value="{one.value}"/>'
            f"<title>{escape(one.label)}: {escape(words(one))}</title></g>"
        )
    return "".join(drawn)


def chart(what: Chart, kind: str) -> str:
    """Draw a chart; `kind` (``wide`` or ``narrow``) is the class by which page.css shows one of them."""
    highest = max(one.value for one in what.bins)
    # Nothing but hatched bars has no scale.
    steps = _round_steps(highest) if highest or not any(one.withheld for one in what.bins) else [0]
    if highest and any(one.withheld and one.value == steps[-1] for one in what.bins):
        steps.append(steps[-1] + steps[1])  # room for the hatching above
    top, low = steps[-1] or 1, _ABOVE + _PLOT
    lines, labels = [], []
    for step in steps:
        y = number(low - _PLOT * step / top)
        lines.append(f'<line class="{"base" if step == 0 else "grid"}" x1="0" x2="100%" y1="{y}" y2="{y}"/>')
        labels.append(
            f'<text x="{_AXIS - 8}" y="{y}" dy="0.32em" text-anchor="end">{escape(what.axis(step))}</text>'
        )
    marks = []
    for tick in what.ticks:
        at = (tick.index + 0.5) / len(what.bins)
        anchor = "end" if (1 - at) * _SMALLEST[kind] < len(tick.text) * _LETTER / 2 else "middle"
        marks.append(
            f'<line class="mark" x1="{percent(at)}" x2="{percent(at)}" y1="{low}" y2="{low + 5}"/>'
            f'<text x="{percent(at)}" y="{low + 19}" text-anchor="{anchor}">{escape(tick.text)}</text>'
        )
    height = low + _BELOW
    return (
        f'<div class="chart {kind}"><svg class="scale" width="{_AXIS}" height="{height}" aria-hidden="true">'
        f'{"".join(labels)}</svg><svg class="plot" width="100%" height="{height}" role="img" tabindex="0"'
        f' aria-label="{escape(what.title)}" aria-describedby="{escape(what.described_by)}">{"".join(lines)}'
        f"{_bars(what.bins, top, _PLOT, _ABOVE, what.words)}{''.join(marks)}</svg></div>"
    )


def strip(bins: Sequence[Bin], words: Callable[[Bin], str], title: str) -> str:
    """Draw a low chart without a scale, for a row of a table."""
    height = 44
    top = max((one.value for one in bins), default=0) or 1
    return (
        f'<svg class="plot strip" width="100%" height="{height + 1}" role="img" aria-label="{escape(title)}">'
        f'<line class="base" x1="0" x2="100%" y1="{height}.5" y2="{height}.5"/>'
        f"{_bars(bins, top, height, 0, words)}</svg>"
    )
