"""Counts of connections by bucket of time and pair of hosts: what every report is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.table import Table, codes_of

if TYPE_CHECKING:
    import numpy

__all__ = ["Aggregates"]

_BUCKET, _FROM, _TO, _COUNT = range(4)


class Aggregates(Table):
    """The counts of a window, as a table and with the sums that reports ask for.

    As every table it goes to whatever takes Arrow: ``pyarrow.table(aggregates)``,
    ``polars.DataFrame(aggregates)``. Its columns are ``bucket`` (int64; -1 is the latest, then downwards),
    ``host_from`` and ``host_to`` (coded texts) and ``count`` (uint64): as many rows as there are buckets and
    pairs that occur, however many lines the logs have.

    Parameters
    ----------
    batch : _core.Batch
        What `_core.ConnectionsCount.table` gave.
    """

    def __init__(self, batch: _core.Batch) -> None:
        super().__init__(batch.schema, [batch])
        self._coded = {side: codes_of(batch.column_buffers(side), batch.num_rows) for side in (_FROM, _TO)}
        self._counts = self.column("count")

    def connected_to(self, host: str | None = None) -> dict[str, int]:
        """Return who connected to `host` (or to anything), by name, and how often."""
        return self._sums(_FROM, self._rows(_TO, host))

    def connections_from(self, host: str | None = None) -> dict[str, int]:
        """Return what `host` (or anybody) connected to, by name, and how often."""
        return self._sums(_TO, self._rows(_FROM, host))

    def latest_first(self, *, to: str | None = None, of: str | None = None) -> list[str]:
        """Return who connected to `to`, or what `of` connected to: by the latest bucket, and then by name."""
        import numpy as np

        side, rows = (_FROM, self._rows(_TO, to)) if to is not None else (_TO, self._rows(_FROM, of))
        codes, names = self._coded[side]
        age = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(age, codes[rows], -1 - self.column("bucket")[rows])
        seen = np.flatnonzero(age < np.iinfo(np.int64).max).tolist()
        return [names[i] for i in sorted(seen, key=lambda i: (age[i], names[i]))]

    def by_bucket(self, *, to: str | None = None, of: str | None = None) -> dict[int, int]:
        """Return how many connections each bucket has, to `to` or from `of` only: ``{-1: 12, -2: 7}``."""
        import numpy as np

        rows = self._rows(_TO, to) & self._rows(_FROM, of)
        buckets, place = np.unique(self.column("bucket")[rows], return_inverse=True)
        total = np.zeros(len(buckets), np.uint64)
        np.add.at(total, place, self._counts[rows])
        return dict(sorted(zip(buckets.tolist(), total.tolist(), strict=True), reverse=True))

    def _rows(self, side: int, host: str | None) -> numpy.ndarray[Any, Any]:
        """Tell which rows have this host on this side; all of them for None."""
        import numpy as np

        codes, names = self._coded[side]
        if host is None:
            return np.ones(len(codes), bool)
        rows: numpy.ndarray[Any, Any] = np.asarray([name == host for name in names], bool)[codes]
        return rows

    def _sums(self, side: int, rows: numpy.ndarray[Any, Any]) -> dict[str, int]:
        import numpy as np

        codes, names = self._coded[side]
        total = np.zeros(len(names), np.uint64)
        np.add.at(total, codes[rows], self._counts[rows])
        return dict(sorted((names[i], int(total[i])) for i in np.flatnonzero(total).tolist()))
