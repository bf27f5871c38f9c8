"""Small archives, what is published of them, and an attacker who knows everything that is published."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from reference.linear_program import Problem
from tickline.pipelines.access.privacy.plan import System
from tickline.pipelines.access.privacy.privacy import Privacy
from tickline.pipelines.access.regions.labels import OTHER
from tickline.pipelines.access.summaries.frames import Coded, Frame

MEASURES = ("bytes_sent", "requests", "downloads", "requesters")
Table = dict[str, list[int]]
"""Name of a row to its measures."""


@dataclass
class Archive:
    """Tables of a small archive: by dataset (None: the archive) and table."""

    tables: dict[str | None, dict[str, Table]] = field(default_factory=dict)
    people: dict[tuple[str | None, str, str], set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: list[tuple[str, int, str, str, str, int, int]]) -> Archive:
        """Add up rows of (dataset, day, requester, region, asset, bytes, download)."""
        people: dict[Any, set[str]] = defaultdict(set)
        sums: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for dataset, day, requester, region, asset, size, download in rows:
            for owner in (dataset, None):
                for table, name in (("by_day", str(day)), ("by_region", region), ("by_asset", asset)):
                    if owner is None and table == "by_asset":
                        continue
                    cell = sums[owner, table, name]
                    cell[0] += size
                    cell[1] += 1
                    cell[2] += download
                    people[owner, table, name].add(requester)
        found = cls(people=dict(people))
        for owner in [*sorted({row[0] for row in rows}), None]:
            tables = found.tables[owner] = {"by_day": {}, "by_region": {}, "by_asset": {}}
            for (other, table, name), cell in sorted(sums.items(), key=str):
                if other == owner:
                    tables[table][name] = [*cell[:3], len(people[other, table, name])]
        return found

    def total(self, owner: str | None) -> list[int]:
        """Return the measures of a whole; regions add up, requesters too."""
        return [sum(column) for column in zip(*self.tables[owner]["by_region"].values(), strict=True)]

    def frames(self) -> list[tuple[Frame, Frame, Frame | None]]:
        """Return the tables as `System` takes them."""
        return [
            (
                _frame("date", tables["by_day"]),
                _frame("region", tables["by_region"]),
                None if owner is None else _frame("asset_path", tables["by_asset"]),
            )
            for owner, tables in self.tables.items()
        ]

    def privacy(self, threshold: int, rounding: int) -> Privacy:
        """Return the rule ``fixed`` for this archive."""
        withheld = System(self.frames()).withheld(threshold, rounding)
        return Privacy("fixed", threshold, rounding, dict(zip(self.tables, withheld, strict=True)))


_KEYS = {"by_day": "date", "by_region": "region", "by_asset": "asset_path"}


def _frame(about: str, table: Table) -> Frame:
    names = list(table)
    values = (
        pa.array([int(name) for name in names], pa.int32()).cast(pa.date32()) if about == "date" else None
    )
    values = pa.array(names, pa.string()) if values is None else values
    sums = np.array([table[name] for name in names], np.uint64).reshape(len(names), 4).T
    return Frame({about: Coded(values, np.arange(len(names)))}, np.ascontiguousarray(sums))


def draw(
    name: object,
    *,
    datasets: int = 3,
    days: int = 4,
    regions: int = 3,
    assets: int = 3,
    people: int = 12,
    rows: int = 60,
) -> Archive:
    """Return an archive with few large and many small cells."""
    rng = random.Random(repr(name))
    home = {f"p{number}": f"R{int(regions * rng.random() ** 2)}" for number in range(people)}
    found = []
    for _ in range(rng.randrange(1, rows + 1)):
        requester = rng.choice(sorted(home))
        dataset = int(datasets * rng.random() ** rng.choice([1, 3]))
        found.append(
            (
                f"d{dataset}",
                int(days * rng.random() ** rng.choice([1, 2])),
                requester,
                home[requester],
                f"a{int(assets * rng.random() ** 2)}",
                rng.choice([0, 1, 5, 100]),
                rng.randrange(2),
            )
        )
    return Archive.of(found)


Published = dict[str | None, dict[str, dict[str, list[int | None]]]]
"""By owner and table (``total`` has one row, named so): rows with measures, None where nothing is told."""


def published(archive: Archive, privacy: Privacy) -> Published:
    """Return the tables as they are published."""
    found: Published = {}
    for owner, (day, region, asset) in zip(archive.tables, archive.frames(), strict=True):
        own = found[owner] = {}
        for table, frame in (("by_day", day), ("by_region", region), ("by_asset", asset)):
            if frame is not None:
                own[table] = _rows(_KEYS[table], *privacy.apply(table, owner, frame))
        names = ("total_bytes_sent", *(f"number_of_{name}" for name in MEASURES[1:]))
        shown = privacy.totals(owner, dict(zip(names, archive.total(owner), strict=True)))
        own["total"] = {"total": [value if isinstance(value, int) else None for value in shown.values()]}
    return found


def _rows(about: str, frame: Frame, hidden: np.ndarray) -> dict[str, list[int | None]]:
    column = frame.columns[about]
    values = column.values.cast(pa.int32()) if about == "date" else column.values
    names = [str(values[code].as_py()) for code in column.codes.tolist()]
    return {
        name: [None if missing else int(value) for value, missing in zip(*pair, strict=True)]
        for name, *pair in zip(names, frame.sums.T.tolist(), hidden.T.tolist(), strict=True)
    }


Cell = tuple[str | None, str, str]


class Attacker:
    """Knows every published number, the rule, its threshold and its rounding; but no log.

    Parameters
    ----------
    published : dict
        As `published` returns it.
    measure : int
        Which of `MEASURES` is asked about.
    """

    def __init__(self, published: Published, measure: int, *, threshold: int, rounding: int) -> None:
        self._published, self._measure = published, measure
        self._threshold, self._rounding = threshold, rounding
        self._number: dict[Cell, int] = {}
        self._bounds: list[tuple[int, int | None]] = []
        self._equations: list[tuple[Mapping[int, int], int]] = []
        self._write_down()
        self._problem = Problem(self._bounds, self._equations)

    def range_of(self, cell: Cell) -> tuple[int, int | None]:
        """Return the least and the largest integer that a cell can be."""
        low, high = self._problem.range_of(self._number[cell])
        return int(np.ceil(low - 1e-5)), None if np.isinf(high) else int(np.floor(high + 1e-5))

    def knows(self, cell: Cell) -> bool:
        """Tell whether the attacker has a name for a cell."""
        return cell in self._number

    def _bounds_of(self, value: int | None, *, shown: bool) -> tuple[int, int | None]:
        step, requests = self._rounding, self._measure == 1
        if value is None:
            return (1 if requests and shown else 0), None
        if self._measure == 0:
            return value, value
        low = max(value - step // 2, 0)
        if requests:
            # Of fewer than half a multiple one is shown too; no published cell has fewer than its requesters.
            low = max(0 if value == step else low, self._threshold)
        return low, value + (step - 1) // 2

    def _add(self, cell: Cell, bounds: tuple[int, int | None]) -> int:
        number = self._number[cell] = len(self._bounds)
        self._bounds.append(bounds)
        return number

    def _equal(self, members: list[int], total: int) -> None:
        factors = dict.fromkeys(members, 1)
        factors[total] = -1
        self._equations.append((factors, 0))

    def _write_down(self) -> None:
        owners = list(self._published)
        regions = {name for tables in self._published.values() for name in tables["by_region"]} - {OTHER}
        for owner in owners:
            tables = self._published[owner]
            total = self._add((owner, "total", "total"), self._value(owner, "total", "total"))
            for table in ("by_day", "by_asset"):
                if table in tables:
                    members = [
                        self._add((owner, table, name), self._value(owner, table, name))
                        for name in tables[table]
                    ]
                    self._equal(members, total)
            self._write_regions(owner, regions, total)
        datasets = [owner for owner in owners if owner is not None]
        for table in ("by_day", "by_region", "total"):
            names = {name for owner, kind, name in self._number if (owner, kind) == (None, table)} - {OTHER}
            for name in sorted(names):
                members = [(owner, table, name) for owner in datasets]
                known = [self._number[cell] for cell in members if cell in self._number]
                self._equal(known, self._number[None, table, name])

    def _write_regions(self, owner: str | None, regions: set[str], total: int) -> None:
        rows = self._published[owner]["by_region"]
        shown = [
            self._add((owner, "by_region", name), self._value(owner, "by_region", name)) for name in rows
        ]
        self._equal(shown, total)
        if OTHER in rows:
            # Any of the regions of which there is no row; one that nobody knows by name among them.
            unknown = [
                self._add((owner, "pooled", name), (0, None)) for name in [*sorted(regions - set(rows)), "?"]
            ]
            self._equal(unknown, self._number[owner, "by_region", OTHER])
            for name, number in zip([*sorted(regions - set(rows)), "?"], unknown, strict=True):
                self._number[owner, "by_region", name] = number

    def _value(self, owner: str | None, table: str, name: str) -> tuple[int, int | None]:
        value = self._published[owner][table][name][self._measure]
        if table == "by_region" and name == OTHER and self._measure == 1 and value is None:
            return 0, None
        return self._bounds_of(value, shown=True)
