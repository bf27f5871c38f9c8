"""Exact sets of pairs (number, requester) that grow from day to day, kept as a few sorted runs.

A pair is one number of 64 bits: ``number << 32 | requester``. Runs hold no pair twice, neither in themselves
nor among each other, and each is at least twice as long as the next one; so there are few of them, and a day
costs what the day holds, not what the set holds.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tickline.pipelines.access.summaries.cache import CacheFolder, State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pairs = NDArray[np.uint64]

__all__ = ["PairSet", "distinct"]

# Longer runs are merged from file to file, piece by piece.
_IN_MEMORY = 4 * 2**20
_STEP = 2**20


def distinct(values: "Pairs") -> "Pairs":
    """Return the distinct values in order; faster than numpy.unique, which hashes."""
    import numpy as np

    if not len(values):
        return values
    ordered = np.sort(values)
    keep = np.empty(len(ordered), dtype=bool)
    keep[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=keep[1:])
    return ordered[keep]


class PairSet:
    """One of the sets of a cache: `kind` is ``"assets"`` or ``"datasets"``."""

    def __init__(self, cache: CacheFolder, state: State, kind: str) -> None:
        self._cache = cache
        self._state = state
        self._kind = kind
        self._made = 0
        self._files: list[str | None] = [*state.runs[kind]]
        self._runs = [cache.read(state, file, mapped=True)["pairs"] for file in state.runs[kind]]

    def add(self, pairs: "Pairs") -> "Pairs":
        """Add sorted, distinct pairs, and return those that are new."""
        import numpy as np

        for run in self._runs:
            if not len(pairs):
                break
            place = np.searchsorted(run, pairs)
            place[place == len(run)] = 0
            pairs = pairs[run[place] != pairs]
        if len(pairs):
            self._runs.append(pairs)
            self._files.append(None)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._merge_last()
        return pairs

    def _merge_last(self) -> None:
        import numpy as np

        pair = self._runs[-2:]
        length = sum(map(len, pair))
        if length <= _IN_MEMORY:
            # Two sorted pieces: the stable sort finds that, and merges.
            self._runs[-2:] = [np.sort(np.concatenate(pair), kind="stable")]
            self._files[-2:] = [None]
        else:
            file = self._write(length, _merged(pair))
            self._runs[-2:] = [self._cache.read(self._state, file, mapped=True)["pairs"]]
            self._files[-2:] = [file]

    def _write(self, length: int, pieces: "Iterator[Pairs]") -> str:
        self._made += 1
        name = f"pairs-{self._kind}-{self._made}"
        return self._cache.write_pieces(self._state, name, {"pairs": ("<u8", (length,))}, [pieces])

    def save(self) -> None:
        """Write the runs that are in memory only, and note all of them in the state."""
        for number, (run, file) in enumerate(zip(self._runs, self._files, strict=True)):
            if file is None:
                self._files[number] = self._write(len(run), iter([run]))
        self._state.runs[self._kind] = [file for file in self._files if file is not None]


def _merged(runs: "list[Pairs]") -> "Iterator[Pairs]":
    """Merge sorted runs without common values, in pieces."""
    import numpy as np

    left = [run for run in runs if len(run)]
    while left:
        # Up to this value every run is seen within its next step.
        limit = min(run[min(_STEP, len(run)) - 1] for run in left)
        cuts = [int(np.searchsorted(run[:_STEP], limit, side="right")) for run in left]
        yield np.sort(np.concatenate([run[:cut] for run, cut in zip(left, cuts, strict=True)]), kind="stable")
        left = [run[cut:] for run, cut in zip(left, cuts, strict=True) if cut < len(run)]
