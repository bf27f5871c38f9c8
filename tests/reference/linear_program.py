"""Least and largest value of a variable under linear equations and bounds, by the simplex method.

Dense tables and Bland's rule (R. G. Bland, "New finite pivoting rules for the simplex method", 1977), which
cannot go round in circles. For some hundred variables at most; numbers are small integers, so that errors of
floating point stay far below a half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

TINY = 1e-7


class InfeasibleError(Exception):
    """No values fulfil all equations."""


class Problem:
    """Equations ``sum(factor * variable) == value`` over variables with bounds (None: none above).

    Parameters
    ----------
    bounds : sequence of (int, int or None)
        Of each variable.
    equations : sequence of (dict of int to int, int)
        Factors by variable, and the value.

    Raises
    ------
    InfeasibleError
        There is no solution.
    """

    def __init__(
        self,
        bounds: Sequence[tuple[int, int | None]],
        equations: Sequence[tuple[Mapping[int, int], int]],
    ) -> None:
        self._low = np.array([low for low, _ in bounds], float)
        tops = [(place, high - low) for place, (low, high) in enumerate(bounds) if high is not None]
        rows, size = len(equations) + len(tops), len(bounds)
        self._size = size
        # Columns: variables above their lower bounds, slacks of upper bounds, artificial ones, right side.
        table = np.zeros((rows, size + len(tops) + rows + 1))
        for row, (factors, value) in enumerate(equations):
            for place, factor in factors.items():
                table[row, place] += factor
            table[row, -1] = value - table[row, :size] @ self._low
        for number, (place, room) in enumerate(tops):
            table[len(equations) + number, [place, size + number]] = 1
            table[len(equations) + number, -1] = room
        table[table[:, -1] < 0] *= -1
        real = size + len(tops)
        table[:, real : real + rows] = np.eye(rows)
        self._basis = list(range(real, real + rows))
        cost = np.zeros(table.shape[1] - 1)
        cost[real:] = 1
        if self._run(table, self._basis, cost) > TINY * rows:
            raise InfeasibleError
        # Artificial variables that are left stand at 0: put others in their place, or drop the equation.
        kept = []
        for row, number in enumerate(self._basis):
            if number >= real:
                found = np.flatnonzero(np.abs(table[row, :real]) > TINY)
                if not len(found):
                    continue
                self._pivot(table, self._basis, row, int(found[0]))
            kept.append(row)
        self._basis = [self._basis[row] for row in kept]
        self._table = np.delete(table[kept], range(real, real + rows), axis=1)

    def range_of(self, place: int) -> tuple[float, float]:
        """Return the least and the largest value of a variable."""
        cost = np.zeros(self._table.shape[1] - 1)
        cost[place] = 1
        low = self._run(self._table.copy(), list(self._basis), cost)
        high = -self._run(self._table.copy(), list(self._basis), -cost)
        return low + self._low[place], high + self._low[place]

    def _run(self, table: np.ndarray, basis: list[int], cost: np.ndarray) -> float:
        """Minimise; `table` holds a feasible basis, and the best one afterwards."""
        while True:
            reduced = cost - cost[basis] @ table[:, :-1]
            better = np.flatnonzero(reduced < -TINY)
            if not len(better):
                return float(cost[basis] @ table[:, -1])
            column = int(better[0])
            rows = np.flatnonzero(table[:, column] > TINY)
            if not len(rows):
                return -np.inf
            ratios = table[rows, -1] / table[rows, column]
            ties = rows[ratios <= ratios.min() + TINY]
            self._pivot(table, basis, int(min(ties, key=lambda row: basis[row])), column)

    @staticmethod
    def _pivot(table: np.ndarray, basis: list[int], row: int, column: int) -> None:
        table[row] /= table[row, column]
        others = np.arange(len(table)) != row
        table[others] -= np.outer(table[others, column], table[row])
        basis[row] = column
