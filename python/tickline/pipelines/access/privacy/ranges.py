"""Tables as cells and lines, and what everybody can tell of a cell from all the others that are published."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Reals = NDArray[np.float64]

__all__ = ["Cells", "Lines", "ranges", "rounded_ranges"]

_ROUNDS = 40


@dataclass
class Cells:
    """Cells of all linked tables.

    Attributes
    ----------
    requesters : ndarray of int64, shape (cells,)
        Distinct requesters of each.
    counts : ndarray of int64, shape (measures, cells)
        What is added up along lines: requests first, then others.
    least : ndarray of int8, shape (measures, cells)
        What everybody knows of a cell at least: one request where its row is shown.
    open : ndarray of bool, shape (measures, cells)
        Where a measure of a cell is published even if the cell is withheld, as bytes of days are.
    exact : ndarray of bool, shape (measures,)
        Measures that are published as they are; the others are rounded.
    """

    requesters: "Ints"
    counts: "Ints"
    least: "NDArray[np.int8]"
    open: "Flags"
    exact: "Flags"


@dataclass
class Lines:
    """Sums: pairs of a line and a member, and the margin of each line.

    Attributes
    ----------
    line, cell : ndarray of int64, shape (pairs,)
        Member `cell` is added up in `line`.
    margin : ndarray of int64, shape (lines,)
        The cell that is the sum.
    pooled : ndarray of bool, shape (lines,)
        Lines whose withheld members stand in the table as one row without their names.
    holds : ndarray of bool, shape (lines,)
        Lines that add up; with content that several datasets own the datasets' sums exceed the archive's.
    """

    line: "Ints"
    cell: "Ints"
    margin: "Ints"
    pooled: "Flags"
    holds: "Flags"


def rounded_ranges(counts: "Ints", rounding: int) -> "tuple[Ints, Ints]":
    """Return the least and the largest count that round, half up, to the same multiple as each of these."""
    import numpy as np

    shown = (counts + rounding // 2) // rounding * rounding
    return np.maximum(shown - rounding // 2, 0), shown + (rounding - 1) // 2


def ranges(
    cells: Cells, lines: Lines, hidden: "Flags", measure: int, *, threshold: int, rounding: int
) -> "tuple[Reals, Reals]":
    """Return what follows for each cell from all that is published, by carrying ranges through the lines.

    Of a pool it is taken, to be safe, that the sum of its members is published exactly.

    Parameters
    ----------
    measure : int
        Which of the counts; 0 are requests, of which a published cell has as many as requesters at least.
    threshold, rounding : int
        What the published cells were chosen and rounded by.

    Returns
    -------
    low, high : ndarray of float64, shape (cells,)
        `high` is infinite where nothing bounds a cell.
    """
    import numpy as np

    counts = cells.counts[measure]
    closed = hidden & ~cells.open[measure]
    ends = (counts, counts) if cells.exact[measure] else rounded_ranges(counts, rounding)
    if measure == 0:
        # Of what would be 0 one multiple is shown.
        first = ends[1] <= rounding + rounding // 2
        ends = np.where(first, 0, ends[0]), np.where(first, rounding + (rounding - 1) // 2, ends[1])
        ends = np.maximum(ends[0], threshold), ends[1]
    low = np.where(closed, cells.least[measure], ends[0]).astype(np.float64)
    high = np.where(closed, np.inf, ends[1])
    pool = lines.pooled[lines.line] & closed[lines.cell]
    sizes = np.bincount(lines.line[pool], minlength=len(lines.margin))
    # Nobody is told which regions a pool is made of; of several it is taken that they are known.
    pool &= (sizes > 1)[lines.line]
    sums = np.bincount(lines.line[pool], counts[lines.cell[pool]], len(lines.margin)).astype(np.float64)
    whole = (lines.holds & ~(lines.pooled & (sizes == 1)))[lines.line]
    for _ in range(_ROUNDS):
        before = low.copy(), high.copy()
        _narrow(lines.line[whole], lines.cell[whole], lines.margin, low, high)
        _narrow_parts(lines.line[pool], lines.cell[pool], sums, sums, low, high)
        if np.array_equal(before[0], low) and np.array_equal(before[1], high):
            break
    return low, high


def _narrow(line: "Ints", cell: "Ints", margin: "Ints", low: "Reals", high: "Reals") -> None:
    """Carry ranges through lines once: from the members to the margin, and back."""
    import numpy as np

    used = np.zeros(len(margin), bool)
    used[line] = True
    np.maximum.at(low, margin[used], np.bincount(line, low[cell], len(margin))[used])
    # A sum with an infinite range in it is infinite.
    np.minimum.at(high, margin[used], np.bincount(line, high[cell], len(margin))[used])
    _narrow_parts(line, cell, low[margin], high[margin], low, high)


def _narrow_parts(
    line: "Ints", cell: "Ints", sum_low: "Reals", sum_high: "Reals", low: "Reals", high: "Reals"
) -> None:
    """Carry ranges from sums to the members of lines."""
    import numpy as np

    count = len(sum_low)
    least = np.bincount(line, low[cell], count)[line]
    bounded = np.where(np.isinf(high), 0, high)
    endless = np.isinf(high)[cell]
    most = np.bincount(line, bounded[cell], count)[line] - bounded[cell]
    others_endless = np.bincount(line, endless, count)[line] - endless > 0
    new_high = sum_high[line] - (least - low[cell])
    new_low = np.where(others_endless, 0, sum_low[line] - most)
    np.minimum.at(high, cell, new_high)
    np.maximum.at(low, cell, new_low)
