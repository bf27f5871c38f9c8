"""Unseen lines into Python's set and into those of `tl.dedup`, in one process, one after the other.

    python benchmarks/bench_dedup_lines.py [--lines 1000000] [--rounds 5]

Seconds are CPU time, the best of all rounds. ``set(lines)`` gets its lines as finished objects, which
somebody has cut out of the text before; ``set(text.split())`` does that too, as `add_lines` does. Sizes are
checked, and memory is what the process has more of afterwards, beside the text.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path

import tickline as tl

LENGTH = 140


def text_of(lines: int) -> bytes:
    """Return lines that differ near their ends, as log lines do."""
    head = b"blobs/0fa/1b2/0fa1b2c3-"
    rows = (b"%d%012d" % (k * 0x9E3779B97F4A7C15 % 1_000_000_007, k) for k in range(lines))
    return b"".join(head + row.rjust(LENGTH - len(head), b"d") + b"\n" for row in rows)


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measured(make: Callable[[], object]) -> tuple[float, int, object]:
    """Return CPU seconds, bytes of memory that were added, and the result."""
    gc.collect()
    before = resident()
    begin = time.process_time()
    made = make()
    return time.process_time() - begin, resident() - before, made


def filled(kind: type[tl.dedup.ExactSet] | type[tl.dedup.FingerprintSet], text: bytes) -> object:
    """Return a set of these lines."""
    made = kind()
    made.add_lines(text)
    return made


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--lines", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    text = text_of(asked.lines)
    best: dict[str, float] = {}
    added: dict[str, int] = {}

    def one(name: str, make: Callable[[], object]) -> None:
        gc.disable()
        seconds, more, made = measured(make)
        if len(made) != asked.lines:  # type: ignore[arg-type]
            raise SystemExit(f"{name}: wrong number of lines")
        best[name] = min(seconds, best.get(name, seconds))
        added[name] = max(more, added.get(name, 0))

    for _ in range(asked.rounds):
        # First, while there is no memory at hand that somebody else has given back.
        one("FingerprintSet", lambda: filled(tl.dedup.FingerprintSet, text))
        one("ExactSet", lambda: filled(tl.dedup.ExactSet, text))
        # Objects remember their hashes, so each round needs new ones.
        lines = text.splitlines()
        one("set(lines)", lambda lines=lines: set(lines))  # type: ignore[misc]
        del lines
        one("set(text.split())", lambda: set(text.splitlines()))
    for name, seconds in best.items():
        print(
            f"{name:20} {seconds / asked.lines * 1e9:7.1f} ns a line   "
            f"{best['set(lines)'] / seconds:5.2f}x set(lines)   "
            f"{best['set(text.split())'] / seconds:5.2f}x with split   "
            f"{added[name] / asked.lines:6.1f} bytes a line"
        )


if __name__ == "__main__":
    main()
