"""Sums and distinct pairs by code, over batches of rows: numpy only, exact, modulo 2**64."""

from typing import TYPE_CHECKING

from tickline.pipelines.access.summaries.pairs import distinct
from tickline.pipelines.access.summaries.rows import MEASURES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sums = NDArray[np.uint64]

__all__ = ["Groups", "Pairs", "count_pairs", "distinct_pairs", "group"]

# Up to this size a table with a place for every code is faster than sorting.
_DENSE = 2**22
# More waiting values than this are folded into one.
_WAITING = 2**22


def group(codes: "NDArray[np.int64]", size: int, measures: "list[Sums]") -> "tuple[NDArray[np.int64], Sums]":
    """Sum up rows with the same code.

    Parameters
    ----------
    codes : ndarray of int64
        From 0, below `size`.
    measures : list of ndarray of uint64
        What to sum up, one value a row.

    Returns
    -------
    (ndarray of int64, ndarray of uint64 of shape (measures, codes))
        The distinct codes in order, and the sums, modulo 2**64.
    """
    import numpy as np

    if size <= max(_DENSE, len(codes)):
        seen = np.zeros(size, dtype=bool)
        seen[codes] = True
        found = np.flatnonzero(seen)
        sums = np.zeros((len(measures), size), dtype=np.uint64)
        for row, values in zip(sums, measures, strict=True):
            np.add.at(row, codes, values)
        return found, sums[:, found]
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return ordered[begins], np.stack([np.add.reduceat(values[order], begins) for values in measures])


def distinct_pairs(
    codes: "NDArray[np.int64]", size: int, requester: "NDArray[np.uint64]", people: int
) -> "NDArray[np.uint64]":
    """Return the distinct ``code << 32 | requester`` in order, without requester 0.

    Codes lie below `size`, requesters below `people`; where both are few, a table of flags is faster than a
    sort.
    """
    import numpy as np

    high = np.uint64(32)
    if size * people > max(_DENSE, 4 * len(codes)):
        pairs = codes.astype(np.uint64) << high | requester
        return distinct(pairs[requester > 0])
    seen = np.zeros((size, people), dtype=bool)
    seen[codes, requester.astype(np.int64)] = True
    seen[:, 0] = False
    # One dimension at a time: numpy.nonzero of a table is three times as slow.
    place = np.flatnonzero(seen)
    code = place // people
    return ((code << 32) + (place - code * people)).astype(np.uint64)


class Groups:
    """Sums by code, over batches."""

    def __init__(self) -> None:
        self._codes: list[NDArray[np.int64]] = []
        self._sums: list[Sums] = []

    def add(self, codes: "NDArray[np.int64]", size: int, measures: "list[Sums]") -> None:
        if len(codes):
            found, sums = group(codes, size, measures)
            self._codes.append(found)
            self._sums.append(sums)
            if len(self._codes) > 1 and sum(map(len, self._codes)) > _WAITING:
                self._fold()

    def add_two(
        self,
        first: "NDArray[np.int64]",
        firsts: int,
        second: "NDArray[np.int64]",
        seconds: int,
        measures: "list[Sums]",
    ) -> None:
        """Add rows by two codes; together they become ``first << 32 | second``."""
        if len(first):
            found, sums = group(first * seconds + second, firsts * seconds, measures)
            self._codes.append(found // seconds << 32 | found % seconds)
            self._sums.append(sums)

    def _fold(self) -> None:
        import numpy as np

        codes, sums = np.concatenate(self._codes), np.concatenate(self._sums, axis=1)
        found, total = group(codes, int(codes.max()) + 1, list(sums))
        self._codes, self._sums = [found], [total]

    def finish(self) -> "tuple[NDArray[np.int64], Sums]":
        import numpy as np

        if not self._codes:
            return np.zeros(0, np.int64), np.zeros((len(MEASURES), 0), np.uint64)
        if len(self._codes) > 1:
            self._fold()
        return self._codes[0], self._sums[0]


class Pairs:
    """Distinct pairs (code, requester), over batches; who is not known is not counted."""

    def __init__(self) -> None:
        self._found: list[NDArray[np.uint64]] = []

    def add(
        self, codes: "NDArray[np.int64]", size: int, requester: "NDArray[np.uint64]", people: int
    ) -> None:
        self._found.append(distinct_pairs(codes, size, requester, people))
        if len(self._found) > 1 and sum(map(len, self._found)) > _WAITING:
            self._fold()

    def _fold(self) -> None:
        import numpy as np

        self._found = [distinct(np.concatenate([np.zeros(0, np.uint64), *self._found]))]

    def finish(self) -> "NDArray[np.uint64]":
        if len(self._found) != 1:
            self._fold()
        return self._found[0]


def count_pairs(codes: "NDArray[np.int64]", pairs: "NDArray[np.uint64]") -> "Sums":
    """Count the requesters of each code."""
    import numpy as np

    counts = np.zeros(len(codes), dtype=np.uint64)
    if len(pairs):
        found = (pairs >> np.uint64(32)).astype(np.int64)
        begins = np.flatnonzero(np.append(True, found[1:] != found[:-1]))
        counts[np.searchsorted(codes, found[begins])] = np.diff(np.append(begins, len(found)))
    return counts
