"""Stretches of time, in whole seconds: what the checks of sources have in common."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["joined", "silent_before"]


def joined(spans: Iterable[tuple[int, int]], apart_s: int = 0) -> Iterator[tuple[int, int]]:
    """Yield spans in order, those as one that overlap or lie at most `apart_s` apart."""
    whole: tuple[int, int] | None = None
    for begin, end in sorted(spans):
        if whole is not None and begin <= whole[1] + apart_s:
            whole = whole[0], max(whole[1], end)
            continue
        if whole is not None:
            yield whole
        whole = begin, end
    if whole is not None:
        yield whole


def silent_before(times: "Ints", gaps: Sequence[tuple[int, int]]) -> "Ints":
    """Return how many seconds before each time lie in gaps, which are in order and do not overlap."""
    import numpy as np

    edges = np.array(gaps, dtype=np.int64).reshape(-1, 2)
    zero = np.zeros(1, dtype=np.int64)
    whole = np.concatenate([zero, np.cumsum(edges[:, 1] - edges[:, 0])])
    begun = np.searchsorted(edges[:, 0], times, side="right")
    # The last gap that has begun may not be over.
    ends = np.concatenate([zero, edges[:, 1]])[begun]
    result: Ints = whole[begun] - np.maximum(ends - times, 0)
    return result
