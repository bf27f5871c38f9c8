"""`tickline.time` on numpy arrays, against copying the same bytes and against a Python loop over the values.

A copy that makes its array is what a conversion, which makes one too, is compared with; into an array that is
there already is the other column. All of one run; checks its own answers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

import tickline as tl

VALUES = 12 << 20  # 96 MiB an array
LOOP_VALUES = 200_000


def best_seconds(work: Callable[[], object], rounds: int = 5) -> float:
    best = float("inf")
    for _ in range(rounds):
        begin = time.thread_time()
        work()
        best = min(best, time.thread_time() - begin)
    return best


def encode_one(ns: int) -> int:
    """What a program without arrays calls for each value: exact, and checked."""
    if not 0 <= ns < 2**34 * 10**9:
        raise OverflowError(ns)
    return (ns * 2**30 + 500_000_000) // 1_000_000_000


def loop(ns: np.ndarray) -> np.ndarray:
    """The same for an array, as quickly as a loop does it."""
    return np.array([encode_one(value) for value in ns.tolist()], np.uint64)


def bare_loop(ns: np.ndarray) -> np.ndarray:
    """The same without calls and checks."""
    return np.array([(value * 2**30 + 500_000_000) // 1_000_000_000 for value in ns.tolist()], np.uint64)


def main() -> int:
    ns = np.random.default_rng(42).integers(0, 2**63 - 1, VALUES)
    there = np.zeros(VALUES, np.int64)
    raw = tl.time.encode_ns(ns)
    some = ns[:LOOP_VALUES]
    if not np.array_equal(raw[:LOOP_VALUES], loop(some)) or not np.array_equal(tl.time.decode_ns(raw), ns):
        print("wrong answers", file=sys.stderr)
        return 1

    copy = best_seconds(ns.copy)
    copy_into = best_seconds(lambda: np.copyto(there, ns))
    scale = VALUES / LOOP_VALUES
    loops = [
        scale * best_seconds(lambda: loop(some)),
        scale * best_seconds(lambda: bare_loop(some)),
        scale * best_seconds(lambda: [tl.time.encode_ns(value) for value in some.tolist()]),
    ]
    columns = ("GB/s", "of copy()", "of copyto()", "x loop", "x bare loop", "x encode_ns(int)")
    print(" " * 18 + "".join(f"{column:>18}" for column in columns))
    for name, work in (
        ("encode_ns", lambda: tl.time.encode_ns(ns)),
        ("decode_ns", lambda: tl.time.decode_ns(raw)),
        ("decode_datetime64", lambda: tl.time.decode_datetime64(raw)),
    ):
        seconds = best_seconds(work)
        figures = [8e-9 * VALUES / seconds, copy / seconds, copy_into / seconds]
        figures += [one / seconds for one in loops]
        print(f"{name:18}" + "".join(f"{figure:18.2f}" for figure in figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
