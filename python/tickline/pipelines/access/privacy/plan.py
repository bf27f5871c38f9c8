"""What the rule ``fixed`` withholds of a whole export: all tables as cells, and the sums that link them.

The choice of datasets of an export plays no part: what is withheld of a dataset is the same in every choice.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tickline.pipelines.access.privacy.lines import Grid, withhold
from tickline.pipelines.access.privacy.privacy import Privacy, Withheld
from tickline.pipelines.access.privacy.ranges import Cells, Lines
from tickline.pipelines.access.regions.labels import OTHER
from tickline.pipelines.access.summaries.frames import Coded, Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tickline.pipelines.access.summaries.summaries import Summaries

    Ints = NDArray[np.int64]

__all__ = ["System", "plan"]

# Rows of `Frame.sums`.
_BYTES, _REQUESTS, _DOWNLOADS, _REQUESTERS = range(4)


def plan(summaries: "Summaries", *, rule: str, threshold: int = 10, rounding: int = 20) -> Privacy:
    """Return a rule that is ready to be applied to these summaries.

    Parameters
    ----------
    summaries : Summaries
        What is to be published.
    rule : str
        One of `tickline.pipelines.access.export.options.PRIVACY`.
    threshold, rounding : int
        Of ``fixed``: requesters that a cell needs, and of what counts become multiples.

    Raises
    ------
    UsageError
        There is no such rule, or a number is less than 1.
    """
    privacy = Privacy(rule, threshold, rounding)
    if rule != "fixed":
        return privacy
    names: list[str | None] = [*summaries.datasets, None]
    frames = summaries.small_frames()
    system = System([(one["by_day"], one["by_region"], one.get("by_asset")) for one in frames])
    return Privacy(
        rule, threshold, rounding, dict(zip(names, system.withheld(threshold, rounding), strict=True))
    )


class System:
    """All cells of an export and the lines between them, as the docstring of `privacy` lists them.

    Parameters
    ----------
    tables : sequence of (Frame, Frame, Frame or None)
        By day, by region and by asset of each dataset, and at the end of the archive (by asset: None).

    Attributes
    ----------
    cells, lines, grids
        What `privacy_lines.withhold` takes. Measures are requests, downloads, bytes. The first cells are the
        totals, one for each of `tables`; then come days, regions and assets, table by table.
    """

    def __init__(self, tables: "Sequence[tuple[Frame, Frame, Frame | None]]") -> None:
        import numpy as np

        self._archive = len(tables) - 1
        totals = [regions.sums.sum(axis=1, dtype=np.uint64) for _, regions, _ in tables]
        self._sums = [np.stack(totals, axis=1)]
        self._size = len(tables)
        self._pairs: list[tuple[Ints, Ints]] = []
        self._margins: list[Ints] = []
        self._pools: list[bool] = []
        self.grids: list[Grid] = []
        days = [self._add(day) for day, _, _ in tables]
        self._first_region = self._size
        regions = [self._add(region) for _, region, _ in tables]
        self._end_of_regions = self._size
        assets = [self._add(asset) for _, _, asset in tables if asset is not None]
        self._parts = days, regions, assets
        for part in self._parts:
            for owner, cells in enumerate(part):
                self._add_line(cells, owner, pooled=part is regions)
        self._add_line(np.arange(self._archive), self._archive, pooled=False)
        self._cross(days, [_days(day.columns["date"]) for day, _, _ in tables], totals=True)
        labels, numbers = _numbered([region.columns["region"] for _, region, _ in tables])
        self._cross(regions, numbers, totals=False)
        self._make()
        # A region of that name stands in the pool, wherever there is one.
        self._always = np.zeros(self._size, bool)
        if OTHER in labels:
            self._always[np.concatenate(regions)[np.concatenate(numbers) == labels[OTHER]]] = True

    def _add(self, frame: Frame) -> "Ints":
        """Make cells of the rows of a table, and return their numbers."""
        import numpy as np

        self._sums.append(frame.sums)
        self._size += len(frame)
        return np.arange(self._size - len(frame), self._size)

    def _add_line(self, cells: "Ints", margin: int, *, pooled: bool) -> None:
        import numpy as np

        self._pairs.append((np.full(len(cells), len(self._pools)), cells))
        self._margins.append(np.array([margin]))
        self._pools.append(pooled)

    def _cross(self, cells: "list[Ints]", about: "list[Ints]", *, totals: bool) -> None:
        """Add a line for each day or region: cells of the datasets, and the archive's as their margin."""
        import numpy as np

        order = np.argsort(about[-1])
        known, margins = about[-1][order], cells[-1][order]
        members = np.concatenate([np.zeros(0, np.int64), *cells[:-1]])
        column = np.searchsorted(known, np.concatenate([np.zeros(0, np.int64), *about[:-1]]))
        self._pairs.append((column + len(self._pools), members))
        self._margins.append(margins)
        self._pools += [False] * len(margins)
        owners = self._archive + 1
        row = np.repeat(np.arange(owners), [len(part) for part in cells])
        edges = np.concatenate([members, margins])
        column = np.concatenate([column, np.arange(len(known))]) + owners
        last = owners + len(known)
        if totals:
            edges = np.concatenate([edges, np.arange(owners)])
            row = np.concatenate([row, np.arange(owners)])
            column = np.concatenate([column, np.full(owners, last)])
        # Where all are from one region, that is no secret, and there are no circles.
        if totals or len(known) > 1:
            self.grids.append(Grid(edges, row, column, last + 1))

    def _make(self) -> None:
        import numpy as np

        sums = np.concatenate(self._sums, axis=1).astype(np.int64)
        counts = sums[[_REQUESTS, _DOWNLOADS, _BYTES]]
        least = np.zeros(counts.shape, np.int8)
        least[0] = 1
        shown = np.zeros(counts.shape, bool)
        shown[2] = True
        regions = slice(self._first_region, self._end_of_regions)
        # Names and bytes of regions are withheld with their counts.
        least[0, regions] = 0
        shown[2, regions] = False
        self.cells = Cells(sums[_REQUESTERS], counts, least, shown, np.array([False, False, True]))
        line, cell = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        margin = np.concatenate(self._margins)
        holds = np.ones(len(margin), bool)
        for values in counts:
            whole = np.zeros(len(margin), np.int64)
            np.add.at(whole, line, values[cell])
            holds &= whole == values[margin]
        self.lines = Lines(line, cell, margin, np.array(self._pools), holds)

    def withheld(self, threshold: int, rounding: int) -> list[Withheld]:
        """Return what to withhold of each of the tables."""
        import numpy as np

        hidden = withhold(
            self.cells, self.lines, self.grids, threshold=threshold, rounding=rounding, always=self._always
        )
        days, regions, assets = self._parts
        found = []
        for owner, (day, region) in enumerate(zip(days, regions, strict=True)):
            own = hidden[assets[owner]] if owner < len(assets) else np.zeros(0, bool)
            found.append(Withheld(bool(hidden[owner]), hidden[day], hidden[region], own))
        return found


def _days(column: Coded) -> "Ints":
    """Return a column of dates as days since 1970."""
    import numpy as np

    days: Ints = column.values.cast("int32").to_numpy().astype(np.int64)[column.codes]
    return days


def _numbered(columns: "list[Coded]") -> "tuple[dict[str, int], list[Ints]]":
    """Return a number for each text of some columns, and the columns as these numbers."""
    import numpy as np

    known: dict[str, int] = {}
    found = []
    for column in columns:
        numbers = [known.setdefault(text, len(known)) for text in column.values.to_pylist()]
        found.append(np.array(numbers, np.int64)[column.codes])
    return known, found
