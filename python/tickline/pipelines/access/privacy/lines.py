"""Which cells of linked tables to withhold, so that none can be computed from the others.

A cell is a number of a table that may be published; a line is a sum that anyone can write down: its members
add up to its margin, which is a cell too. Of every cell the distinct requesters are known, and the counts.

The rule. A cell with fewer requesters than the threshold is withheld. Then, until nothing changes:

1. *No line has exactly one withheld cell*, its margin included: it would be the margin less the others.
2. *What a line withholds has enough requesters together.* Its sum is the margin less what is published, so it
   is itself a number about people. How many there are at least is the larger of the largest withheld member
   and the margin's requesters less those of all published members: both are lower bounds of the union,
   whoever asked in several cells.
3. *No withheld cell is a bridge.* In a table of rows and columns with margins take lines as nodes and
   withheld cells as edges. A cell on a circle of such edges can be one larger if its neighbours on the circle
   are one smaller and larger in turn, and all lines add up as before. A cell on no circle follows from the
   lines alone, even where each line has several withheld ones.
4. *No withheld cell is pinned by ranges.* A rounded number says in which range the count lies, and a row that
   is there has at least one request. These ranges are carried through all lines until nothing gets narrower
   (`tickline.pipelines.access.privacy.ranges`); a withheld count must be left with at least three values.

To repair 1 and 2 the published member with the fewest requesters is withheld as well, for 3 the cheapest cell
that closes a circle, for 4 the cheapest published cell near by. Ties go by the order of the cells: the
outcome is a function of the tables and of nothing else, and but for 4 what is chosen says nothing about
counts. It ends, because each round withholds at least one cell more, and where all are withheld there is
nothing to compute from.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tickline.pipelines.access.privacy.ranges import Cells, Lines, ranges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["Grid", "bridges_of", "withhold"]

# Ranges are carried through one line at a time; what several lines say together can be a little narrower.
_ROOM = 2


@dataclass
class Grid:
    """A table of rows and columns with its margins, as edges between lines.

    Attributes
    ----------
    cell, row, column : ndarray of int64, shape (edges,)
        A cell and the two lines that it belongs to, rows and columns numbered together.
    nodes : int
        More than any of these numbers.
    """

    cell: "Ints"
    row: "Ints"
    column: "Ints"
    nodes: int


def withhold(
    cells: Cells,
    lines: Lines,
    grids: "list[Grid]",
    *,
    threshold: int,
    rounding: int,
    always: "Flags | None" = None,
) -> "Flags":
    """Return which cells to withhold.

    Parameters
    ----------
    cells, lines, grids
        The tables.
    threshold : int
        Distinct requesters that a published cell needs.
    rounding : int
        Counts are published as multiples of this, rounded half up.
    always : ndarray of bool, optional
        Cells that are withheld in any case.

    Returns
    -------
    ndarray of bool, shape (cells,)
    """
    return _Choice(cells, lines, grids, threshold, rounding).run(always)


class _Choice:
    """The cells that are withheld, while more and more of them are."""

    def __init__(
        self, cells: Cells, lines: Lines, grids: "list[Grid]", threshold: int, rounding: int
    ) -> None:
        import numpy as np

        self._cells, self._lines, self._grids = cells, lines, grids
        self._threshold, self._rounding = threshold, rounding
        self._few = cells.requesters < threshold
        self.hidden = self._few.copy()
        # The cheapest first; the place of each cell in that order is its cost.
        self._by_cost = np.argsort(cells.requesters, kind="stable")
        self._cost = np.empty(len(self._by_cost), np.int64)
        self._cost[self._by_cost] = np.arange(len(self._by_cost))

    def run(self, always: "Flags | None") -> "Flags":
        if always is not None:
            self.hidden |= always
        while self._fill_lines() or self._close_circles() or self._unpin():
            pass
        return self.hidden

    def _fill_lines(self) -> bool:
        """Repair lines with one withheld cell, or with too few requesters behind those withheld."""
        import numpy as np

        cells, lines, count = self._cells, self._lines, len(self._lines.margin)
        inside = self.hidden[lines.cell]
        members = np.bincount(lines.line[inside], minlength=count)
        most = np.zeros(count, np.int64)
        np.maximum.at(most, lines.line[inside], cells.requesters[lines.cell[inside]])
        shown = np.zeros(count, np.int64)
        np.add.at(shown, lines.line[~inside], cells.requesters[lines.cell[~inside]])
        together = np.maximum(most, cells.requesters[lines.margin] - shown)
        total = self.hidden[lines.margin]
        bad = members + total == 1
        # The bytes of a pool are published, and so is their margin; a pool of all there is says no more.
        bad |= lines.pooled & (members == 1)
        bad &= ~(lines.pooled & (np.bincount(lines.line, minlength=count) == 1))
        bad |= (members > 0) & (~total | lines.pooled) & (together < self._threshold)
        # Where the whole line is about too few, all of it is withheld already.
        return self._give_up(bad & ~self._few[lines.margin])

    def _give_up(self, bad: "Flags") -> bool:
        """Withhold the cheapest published member of each of these lines, or its margin if there is none."""
        import numpy as np

        lines = self._lines
        free = bad[lines.line] & ~self.hidden[lines.cell]
        found, cheapest = self._cheapest(lines.line[free], lines.cell[free], len(bad))
        chosen = np.concatenate([cheapest[bad & found], lines.margin[bad & ~found]])
        return self._take(chosen)

    def _cheapest(self, group: "Ints", cell: "Ints", groups: int) -> "tuple[Flags, Ints]":
        """Return for each group whether it has a cell, and its cheapest one."""
        import numpy as np

        none = len(self._cost)
        cost = np.full(groups, none, np.int64)
        np.minimum.at(cost, group, self._cost[cell])
        found = cost < none
        return found, self._by_cost[np.where(found, cost, 0)]

    def _take(self, chosen: "Ints") -> bool:
        before = int(self.hidden.sum())
        self.hidden[chosen] = True
        return int(self.hidden.sum()) > before

    def _close_circles(self) -> bool:
        """Withhold a cell for each bridge that is about too few requesters."""
        import numpy as np

        chosen = [np.zeros(0, np.int64)]
        for grid in self._grids:
            edges = np.flatnonzero(self.hidden[grid.cell])
            part, block, bridges = bridges_of(grid.row[edges], grid.column[edges], grid.nodes)
            bridges = edges[bridges]
            bridges = bridges[self._few[grid.cell[bridges]]]
            free = ~self.hidden[grid.cell]
            row, column = part[grid.row], part[grid.column]
            closing = free & (row == column) & (block[grid.row] != block[grid.column])
            found, cheapest = self._cheapest(row[closing], grid.cell[closing], grid.nodes)
            wanted = row[bridges]
            chosen.append(cheapest[wanted[found[wanted]]])
            # No cell closes a circle: one beside the bridge gives the next round more to choose from.
            left = bridges[~found[wanted]]
            for side in (grid.row, grid.column):
                near, cheapest = self._cheapest(side[free], grid.cell[free], grid.nodes)
                chosen.append(cheapest[side[left]][near[side[left]]])
        return self._take(np.concatenate(chosen))

    def _unpin(self) -> bool:
        """Withhold published cells around withheld ones of which too few values are possible."""
        import numpy as np

        changed = False
        lines = self._lines
        for measure in range(len(self._cells.counts)):
            low, high = ranges(
                self._cells, lines, self.hidden, measure, threshold=self._threshold, rounding=self._rounding
            )
            room = 1 if self._cells.exact[measure] else _ROOM
            # "None of it" describes nobody: a sum of 0 says so of all its parts, and is published.
            pinned = self._few & ~self._cells.open[measure] & (high - low < room) & (high > 0)
            near = pinned
            while near.any():
                bad = near[lines.margin]
                bad[lines.line[near[lines.cell]]] = True
                if self._give_up(bad):
                    changed = True
                    break
                wider = near.copy()
                wider[lines.cell[bad[lines.line]]] = True
                wider[lines.margin[bad]] = True
                if np.array_equal(wider, near):
                    break
                near = wider
        return changed


# ---- circles ----------------------------------------------------------------------------------------


def bridges_of(row: "Ints", column: "Ints", nodes: int) -> "tuple[Ints, Ints, Ints]":
    """Find the edges of a graph that lie on no circle.

    Parameters
    ----------
    row, column : ndarray of int64, shape (edges,)
        The ends of each edge.
    nodes : int
        More than any end.

    Returns
    -------
    part : ndarray of int64, shape (nodes,)
        Nodes with the same number are connected.
    block : ndarray of int64, shape (nodes,)
        Nodes with the same number stay connected without the bridges.
    bridges : ndarray of int64
        Edges, in ascending order.
    """
    import numpy as np

    ends = np.concatenate([row, column])
    order = np.argsort(ends, kind="stable")
    begins = np.searchsorted(ends[order], np.arange(nodes + 1)).tolist()
    others = np.concatenate([column, row])[order].tolist()
    numbers = (order % max(len(row), 1)).tolist()
    part, block = np.arange(nodes), np.arange(nodes)
    seen, low, bridges = [-1] * nodes, [0] * nodes, []
    clock = 0
    for root in np.unique(ends).tolist():
        if seen[root] >= 0:
            continue
        # Depth first, without recursion: node, edge it was reached by, next neighbour to look at.
        stack = [(root, -1)]
        place = {root: begins[root]}
        open_nodes = [root]
        seen[root] = low[root] = clock
        clock += 1
        while stack:
            node, by = stack[-1]
            part[node] = root
            at = place[node]
            if at < begins[node + 1]:
                place[node] = at + 1
                other, number = others[at], numbers[at]
                if number == by:
                    continue
                if seen[other] < 0:
                    seen[other] = low[other] = clock
                    clock += 1
                    place[other] = begins[other]
                    stack.append((other, number))
                    open_nodes.append(other)
                else:
                    low[node] = min(low[node], seen[other])
                continue
            stack.pop()
            if stack:
                low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
            if low[node] == seen[node]:
                while True:
                    member = open_nodes.pop()
                    block[member] = node
                    if member == node:
                        break
                if by >= 0:
                    bridges.append(by)
    return part, block, np.array(sorted(bridges), np.int64)
