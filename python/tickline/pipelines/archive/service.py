"""The archive as a service: runs on a steady grid until somebody stops it."""

import hashlib
import math
import time
from collections.abc import Callable

__all__ = ["delay_of", "serve"]

_SPREAD = 0.1


def delay_of(node: str, every_s: float) -> float:
    """Return how long the first run of a node waits: up to a tenth of the interval.

    It is a function of the node's name alone. A fleet that is started at once comes to the store spread over
    that time (three minutes of thirty), and each node keeps its place.
    """
    drawn = int.from_bytes(hashlib.sha256(node.encode()).digest()[:8], "big")
    return drawn / 2**64 * _SPREAD * every_s


def serve(
    run: Callable[[], object],
    *,
    node: str,
    every_s: float,
    sleep: Callable[[float], object],
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Run for ever; it ends by what `run` or `sleep` raise.

    Parameters
    ----------
    run : callable
        One run.
    node : str
        Decides when the first run begins: see `delay_of`.
    every_s : float
        Seconds from the beginning of a run to that of the next. What comes too late for its moment waits
        for the next one: runs are never crowded.
    sleep : callable
        Waits for so many seconds.
    monotonic : callable
        A clock that nobody sets: what chronyd does to the time of day moves no run.
    """
    first_s = monotonic() + delay_of(node, every_s)
    turn = 0
    while True:
        sleep(max(0.0, first_s + turn * every_s - monotonic()))
        run()
        turn = max(turn + 1, math.ceil((monotonic() - first_s) / every_s))
