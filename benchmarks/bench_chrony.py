"""`tickline.chrony.read` of a tracking log against the loops that people write: split, float, lists.

Three loops: one that makes a datetime of each time, as most do; one that ends with the same columns (arrays
of numbers, times as nanoseconds, by numpy's own parser); and the bare one, which leaves times as text.
CPU time of this thread, best of several, in one run over the same file; checks its own answers.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import tickline as tl

ROWS = 600_000
LOOP_ROWS = 60_000
TITLE = (
    "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr. "
    "Root delay Root disp. Max. error\n"
)
BANNER = f"{'=' * (len(TITLE) - 1)}\n{TITLE}{'=' * (len(TITLE) - 1)}\n"


def make_log(rows: int) -> str:
    """Return a tracking log of chrony 4 with a banner every 32 rows."""
    random = np.random.default_rng(7)
    values = (random.random((rows, 8)) * 2 - 1) * 10.0 ** -random.integers(0, 8, (rows, 8))
    times = np.datetime_as_string(np.datetime64("2026-01-01T00:00:00") + 16 * np.arange(rows), unit="s")
    lines = []
    for i, (at, v) in enumerate(zip(times.tolist(), values.tolist(), strict=True)):
        if i % 32 == 0:
            lines.append(BANNER)
        clock = at.replace("T", " ")
        head = f"{clock} {f'192.0.2.{i % 4}':<15} {2 + i % 2:2} {20 + v[0]:10.3f} {abs(v[1]):10.3f}"
        lines.append(f"{head} {v[2]:10.3e} N {i % 4:2} {abs(v[3]):10.3e} {v[4]:10.3e}")
        lines.append(f" {abs(v[5]):10.3e} {abs(v[6]):10.3e} {abs(v[7]):10.3e}\n")
    return "".join(lines)


def best_seconds(work: Callable[[], Any], rounds: int) -> tuple[float, Any]:
    best, answer = float("inf"), None
    for _ in range(rounds):
        begin = time.thread_time()
        answer = work()
        best = min(best, time.thread_time() - begin)
    return best, answer


def split_loop(path: Path) -> list[list[Any]]:
    """Every column of every row as its type, times as datetime."""
    columns: list[list[Any]] = [[] for _ in range(13)]
    with path.open() as file:
        for line in file:
            tokens = line.split()
            if not tokens or tokens[0][0] in "=D":
                continue
            columns[0].append(
                datetime.strptime(f"{tokens[0]} {tokens[1]}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            )
            columns[1].append(tokens[2])
            columns[2].append(int(tokens[3]))
            for i in (3, 4, 5, 8, 9, 10, 11, 12):
                columns[i].append(float(tokens[i + 1]))
            columns[6].append(tokens[7])
            columns[7].append(int(tokens[8]))
    return columns


def bare_loop(path: Path) -> list[list[Any]]:
    """The same without datetime: the least that such a loop can do and still have numbers."""
    columns: list[list[Any]] = [[] for _ in range(13)]
    with path.open() as file:
        for line in file:
            tokens = line.split()
            if not tokens or tokens[0][0] in "=D":
                continue
            row = (f"{tokens[0]} {tokens[1]}", tokens[2], int(tokens[3]), *map(float, tokens[4:7]))
            row += (tokens[7], int(tokens[8]), *map(float, tokens[9:14]))
            for column, value in zip(columns, row, strict=True):
                column.append(value)
    return columns


def same_columns(path: Path) -> list[Any]:
    """What `chrony.read` gives: the bare loop, and arrays of its columns with their types."""
    columns: list[Any] = list(bare_loop(path))
    columns[0] = np.array(columns[0], dtype="datetime64[ns]")
    for i in (2, 7):
        columns[i] = np.array(columns[i], dtype=np.uint16)
    for i in (3, 4, 5, 8, 9, 10, 11, 12):
        columns[i] = np.array(columns[i])
    return columns


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        whole, part = Path(folder, "tracking.log"), Path(folder, "tracking.log.1")
        whole.write_text(make_log(ROWS))
        part.write_text(make_log(LOOP_ROWS))
        seconds, logs = best_seconds(lambda: tl.chrony.read(whole), 5)
        per_row = seconds / ROWS
        speed = whole.stat().st_size / seconds / 1e6
        print(f"{'chrony.read':12} {1e9 * per_row:8.0f} ns a row {speed:8.0f} MB/s")
        some = tl.chrony.read(part)["tracking"]
        good = len(logs["tracking"]) == ROWS
        loops = {"datetimes": split_loop, "same columns": same_columns, "bare loop": bare_loop}
        for name, loop in loops.items():
            seconds, columns = best_seconds(lambda loop=loop: loop(part), 3)
            ratio = seconds / LOOP_ROWS / per_row
            print(
                f"{name:12} {1e9 * seconds / LOOP_ROWS:8.0f} ns a row {ratio:8.1f} x as long as chrony.read"
            )
            for i, column in enumerate(some.column_names[1:], 1):
                good = good and some.column(column).tolist() == list(columns[i])
            if loop is same_columns:
                good = good and bool((some.column("time") == columns[0]).all())
    if not good:
        print("wrong answers", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
