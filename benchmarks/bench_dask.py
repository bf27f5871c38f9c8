"""Ingest of access logs by the workers of a Dask cluster on this machine: two of them against one.

    python benchmarks/bench_dask.py [--bytes 4GB] [--runs 3] [--folder FOLDER]

Each run is a command of its own, with its scheduler and its workers (`--scheduler local`), from the page
cache, into a new store: the best wall time of some. The ingest without a cluster, on one thread and on two,
stands beside it. All stores must hold as many lines, rows and requesters.
"""

import argparse
import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

from store_runs import make_logs, tickline

WAYS = {
    "1 worker": ("--engine", "dask", "--scheduler", "local", "--workers", "1"),
    "2 workers": ("--engine", "dask", "--scheduler", "local", "--workers", "2"),
    "1 thread": ("--threads", "1"),
    "2 threads": ("--threads", "2"),
}


def held(store: Path) -> tuple[int, int, int]:
    """Return what a store holds: lines, rows and requesters."""
    with contextlib.closing(sqlite3.connect(store / "ledger.sqlite")) as db:
        questions = (
            "SELECT sum(lines) FROM sources",
            "SELECT sum(rows) FROM parts WHERE kind = 'accesses'",
            "SELECT count(*) FROM requesters",
        )
        lines, rows, requesters = (int(db.execute(sql).fetchone()[0]) for sql in questions)
    return lines, rows, requesters


def compare(folder: Path, size: str, runs: int) -> None:
    """Ingest the same logs in all ways, in turns."""
    raw, store = folder / "raw", folder / "store"
    make_logs(raw, size, "--days", "8")
    total = sum(path.stat().st_size for path in raw.rglob("*.log"))
    best = dict.fromkeys(WAYS, float("inf"))
    answers = set()
    for _ in range(runs):
        for way, words in WAYS.items():
            shutil.rmtree(store, ignore_errors=True)
            done = tickline("access", "ingest", raw, "--store", store, *words)
            best[way] = min(best[way], done.wall_s)
            answers.add(held(store))
    if len(answers) != 1:
        raise SystemExit(f"the stores differ (lines, rows, requesters): {answers}")
    for way, wall_s in best.items():
        print(f"{way:10} {wall_s:7.2f} s, {total / wall_s / 1e6:6.0f} MB/s")
    print(f"two workers against one   {best['1 worker'] / best['2 workers']:5.2f} x")
    print(f"two threads against one   {best['1 thread'] / best['2 threads']:5.2f} x")
    print(f"one worker against thread {best['1 thread'] / best['1 worker']:5.2f} x")


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bytes", default="4GB", help="how much log")
    parser.add_argument("--runs", type=int, default=3, help="runs of each way")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        compare(folder, arguments.bytes, arguments.runs)


if __name__ == "__main__":
    main()
