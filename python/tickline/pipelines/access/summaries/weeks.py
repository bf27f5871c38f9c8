"""The sums of one week, made wholly from the daily rows of its days.

Sums are unsigned integers of 64 bits and wrap silently in numpy; `WeekSums` therefore also adds up each day
of the archive without a limit. If those sums fit, all others do: each is part of one of them.
"""

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tickline.errors import TicklineError
from tickline.pipelines.access.summaries.assets import TYPES, Assets
from tickline.pipelines.access.summaries.cache import Arrays
from tickline.pipelines.access.summaries.groups import Groups, Pairs, count_pairs
from tickline.pipelines.access.summaries.rows import MEASURES, Rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sums = NDArray[np.uint64]

__all__ = [
    "ARCHIVE",
    "LIMIT",
    "WeekResult",
    "WeekSums",
    "changed_datasets",
    "day_text",
    "monday_of",
    "too_large",
]

ARCHIVE = 0
"""The number of the archive among the datasets."""

LIMIT = 1 << 64
_WAITING = 2**22


def monday_of(day: int) -> int:
    """Return the Monday of the week of a day, both in days since 1970 (which began on a Thursday)."""
    return day - (day + 3) % 7


def day_text(day: int) -> str:
    """Write a day (since 1970) as ``2024-05-01``."""
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


@dataclass
class WeekResult:
    """What became of a week.

    Attributes
    ----------
    arrays : dict
        What goes into the file of the week, see `WeekSums.finish`.
    sums : list of int
        Bytes, requests and downloads of the archive.
    days : dict
        Day (since 1970) to the same for each day.
    fresh : ndarray of uint64
        Distinct pairs (asset, requester) of the touched days.
    """

    arrays: Arrays
    sums: list[int]
    days: dict[int, list[int]]
    fresh: "NDArray[np.uint64]"


class WeekSums:
    """Adds up the batches of one week.

    Parameters
    ----------
    monday : int
        Days since 1970.
    touched : set of int
        The days that changed since the last state.
    shares : bool
        Whether shared content is split among its datasets.
    """

    def __init__(self, monday: int, touched: set[int], assets: Assets, *, shares: bool) -> None:
        import numpy as np

        self._monday = monday
        self._assets = assets
        self._shares = shares
        self._touched = np.array([monday + day in touched for day in range(7)])
        self._by_asset, self._by_day, self._by_type, self._by_label = (Groups() for _ in range(4))
        self._pairs, self._fresh, self._day_pairs, self._type_pairs = (Pairs() for _ in range(4))
        self._days: dict[int, list[int]] = {}
        self._people = self._label_count = 1
        self._shared: list[list[NDArray[np.int64]]] = []
        self._shared_measures: list[list[Sums]] = []

    def add(self, rows: Rows) -> None:
        """Add a batch."""
        import numpy as np

        assets = self._assets
        self._add_up(rows)
        self._people, self._label_count = rows.people, max(rows.labels, self._label_count)
        day = rows.day - self._monday
        archive = np.full(len(day), ARCHIVE)
        self._add_groups(archive, day, assets.key_types[rows.key], rows.requester, rows.label, rows.measures)
        begins = assets.starts[rows.key]
        counts = assets.starts[rows.key + 1] - begins
        if (counts == 1).all():
            self._add_owned(assets.owners[begins], day, rows.requester, rows.label, rows.measures)
            return
        row = np.repeat(np.arange(len(day)), counts)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        owner = assets.owners[begins[row] + nth]
        measures = [values[row] for values in rows.measures]
        if self._shares:
            # What several own is put off until the sums of its (day, key, requester) are complete.
            alone = counts == 1
            kept = alone[row]
            self._put_off(rows, day, ~alone)
            row, owner, measures = row[kept], owner[kept], [values[kept] for values in measures]
        self._add_owned(owner, day[row], rows.requester[row], rows.label[row], measures)

    def _add_up(self, rows: Rows) -> None:
        """Add up each day without a limit."""
        import numpy as np

        day = rows.day - self._monday
        for place, values in enumerate(rows.measures):
            if int(values.max()) * len(values) < LIMIT:
                sums = np.zeros(7, np.uint64)
                np.add.at(sums, day, values)
                found = sums.tolist()
            else:
                found = [sum(values[day == number].tolist()) for number in range(7)]
            for number in np.flatnonzero(np.bincount(day, minlength=7)).tolist():
                total = self._days.setdefault(self._monday + number, [0] * len(MEASURES))
                total[place] += found[number]

    def _add_owned(
        self,
        owner: "NDArray[np.uint32]",
        day: "NDArray[np.int64]",
        requester: "NDArray[np.uint64]",
        label: "NDArray[np.int64]",
        measures: "list[Sums]",
    ) -> None:
        import numpy as np

        asset = owner.astype(np.int64)
        self._by_asset.add(asset, len(self._assets), measures)
        self._pairs.add(asset, len(self._assets), requester, self._people)
        if not self._touched.all():
            touched = self._touched[day]
            self._fresh.add(asset[touched], len(self._assets), requester[touched], self._people)
        dataset = self._assets.datasets[asset].astype(np.int64)
        self._add_groups(dataset, day, self._assets.types[asset], requester, label, measures)

    def _add_groups(
        self,
        dataset: "NDArray[np.int64]",
        day: "NDArray[np.int64]",
        kind: "NDArray[np.uint8]",
        requester: "NDArray[np.uint64]",
        label: "NDArray[np.int64]",
        measures: "list[Sums]",
    ) -> None:
        datasets = self._assets.dataset_count
        by_day = dataset * 7 + day
        self._by_day.add(by_day, datasets * 7, measures)
        self._day_pairs.add(by_day, datasets * 7, requester, self._people)
        by_type = dataset * len(TYPES) + kind
        self._by_type.add(by_type, datasets * len(TYPES), measures)
        self._type_pairs.add(by_type, datasets * len(TYPES), requester, self._people)
        self._by_label.add_two(dataset, datasets, label, self._label_count, measures)

    def _put_off(self, rows: Rows, day: "NDArray[np.int64]", shared: "NDArray[np.bool_]") -> None:
        requester = rows.requester[shared].astype("int64")
        self._shared.append([day[shared], rows.key[shared], requester, rows.label[shared]])
        self._shared_measures.append([values[shared] for values in rows.measures])
        if len(self._shared) > 1 and sum(len(columns[0]) for columns in self._shared) > _WAITING:
            self._fold_shared()

    def _fold_shared(self) -> None:
        import numpy as np

        columns = [np.concatenate(column) for column in zip(*self._shared, strict=True)]
        measures = [np.concatenate(values) for values in zip(*self._shared_measures, strict=True)]
        order = np.lexsort(columns[2::-1])
        ordered = [column[order] for column in columns]
        differs = np.zeros(len(order), dtype=bool)
        differs[:1] = True
        for column in ordered[:3]:
            differs[1:] |= column[1:] != column[:-1]
        begins = np.flatnonzero(differs)
        self._shared = [[column[begins] for column in ordered]]
        self._shared_measures = [[np.add.reduceat(values[order], begins) for values in measures]]

    def _add_shares(self) -> None:
        """Give each owner of shared content its share, and the first one what is left over."""
        import numpy as np

        if not self._shared:
            return
        self._fold_shared()
        (day, key, requester, label), measures = self._shared[0], self._shared_measures[0]
        begins = self._assets.starts[key]
        counts = self._assets.starts[key + 1] - begins
        row = np.repeat(np.arange(len(key)), counts)
        nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        parts = counts.astype(np.uint64)
        shares = []
        for values in measures:
            share = (values // parts)[row]
            share[nth == 0] += values % parts
            shares.append(share)
        owner = self._assets.owners[begins[row] + nth]
        self._add_owned(owner, day[row], requester[row].astype(np.uint64), label[row], shares)

    def finish(self) -> WeekResult:
        """Return the sums.

        ``asset`` (numbers, by dataset and number) with ``asset_sums``; ``day`` (dataset * 7 + day of the
        week) with ``day_sums``; ``type`` (dataset * 4 + type) with ``type_sums``; ``label`` (dataset << 32 |
        region) with ``label_sums``. The rows of sums are bytes, requests, downloads and, but for ``label``,
        distinct requesters.
        """
        import numpy as np

        self._add_shares()
        pairs = self._pairs.finish()
        arrays: Arrays = {}
        for name, groups, people in (
            ("asset", self._by_asset, pairs),
            ("day", self._by_day, self._day_pairs.finish()),
            ("type", self._by_type, self._type_pairs.finish()),
        ):
            codes, sums = groups.finish()
            arrays[name], arrays[f"{name}_sums"] = codes, np.vstack([sums, count_pairs(codes, people)])
        by_dataset = np.argsort(self._assets.datasets[arrays["asset"]], kind="stable")
        arrays["asset"] = arrays["asset"][by_dataset].astype(np.uint32)
        arrays["asset_sums"] = arrays["asset_sums"][:, by_dataset]
        arrays["label"], arrays["label_sums"] = self._by_label.finish()
        whole = [sum(day[place] for day in self._days.values()) for place in range(len(MEASURES))]
        return WeekResult(
            arrays=arrays,
            sums=whole,
            days=self._days,
            fresh=pairs if self._touched.all() else self._fresh.finish(),
        )


def too_large(day: int, measure: str) -> TicklineError:
    """Return the error for sums that have no room in 64 bits."""
    what = f"with {day_text(day)} the sum of {measure} passes 2**64 - 1, which these tables cannot hold"
    hint = "Look at that day's logs (tickline access query): a size in them must be wrong."
    return TicklineError(what, hint=hint)


def changed_datasets(
    old: Arrays | None, new: Arrays, dataset_of: "NDArray[np.uint32]"
) -> "NDArray[np.int64]":
    """Return the numbers of the datasets whose sums of a week are not what they were.

    Parameters
    ----------
    old, new : dict of ndarray
        As `WeekSums.finish` makes them.
    dataset_of : ndarray of uint32
        The dataset of each asset.
    """
    import numpy as np

    found = [np.zeros(0, np.int64)]
    for name, datasets in (
        ("asset", dataset_of[new["asset"]].astype(np.int64)),
        ("day", new["day"] // 7),
        ("type", new["type"] // len(TYPES)),
        ("label", new["label"] >> 32),
    ):
        same = np.zeros(len(datasets), bool)
        if old is not None and len(old[name]):
            order = np.argsort(old[name])
            place = np.searchsorted(old[name], new[name], sorter=order)
            place[place == len(order)] = 0
            place = order[place]
            same = old[name][place] == new[name]
            same &= (old[f"{name}_sums"][:, place] == new[f"{name}_sums"]).all(axis=0)
        found.append(np.unique(datasets[~same]))
    return np.unique(np.concatenate(found))
