"""The report of connections: against the original algorithm in Dask, Polars and mawk over the same files.

    python benchmarks/bench_connections.py [--lines 12000000] [--files 5] [--folder FOLDER]

Five files of some 300 MB, the last of two hours; every program reports on the last hour, pinned to one core,
from the page cache, as a process of its own with all that it starts: the best wall and CPU time of three. All
answers are compared with truth.json. Then, in process: two threads against one, and one hour of a log of 30
days against all of it.

The Dask program is written after the description of `logparser` (challenge of 2019): a LocalCluster as it
comes, read_csv(sep=" "), filter, "No data" if nothing is left, group by (period, from, to), count, persist,
then three questions to what was persisted. The old one parsed its files two to five times, this one twice:
for the look whether there is data, and for the groups. `dask once` leaves the look out, and is thus faster
than the old program ever was. Both have header=None, which it lacked: it lost the first line of every file.
Dask, Polars and mawk are left out where they are not installed, and that is said.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

HOST_FROM, HOST_TO, NOW_S = "sierra", "Delta", 1_764_000_000

TICKLINE = """
import sys, json
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import connection_report
pattern, host_from, host_to, now, slack = sys.argv[1:]
options = {"now_ns": int(now) * 10**9, "disorder_seconds": int(slack)}
r = connection_report(ConnectionOptions((pattern,), host_from, host_to, **options))
print(json.dumps([list(r.top[0]), sorted(r.connected_to), sorted(r.connections_from)]))
"""

DASK = """
import sys, json
import dask.dataframe as dd
from dask.distributed import Client, LocalCluster

def main():
    pattern, host_from, host_to, now, looks = sys.argv[1:]
    now = int(now)
    client = Client(LocalCluster())
    frame = dd.read_csv(pattern, sep=" ", names=["ts", "from", "to"], header=None)
    frame = frame[(frame.ts >= now - 3600) & (frame.ts <= now)]
    if looks == "look" and len(frame) == 0:
        sys.exit("No data in last 3600 seconds")
    frame = frame.assign(period=(now - frame.ts) // 1200)
    # Not client.persist(groups): in Dask 2026.8 that keeps one partition of three, and counts are lost.
    groups = frame.groupby(["period", "from", "to"]).ts.count().reset_index().persist()
    top = groups.groupby("to").ts.sum().compute()
    best = top.sort_index().idxmax()
    to = groups[groups["to"] == host_to]["from"].unique().compute()
    out = groups[groups["from"] == host_from]["to"].unique().compute()
    print(json.dumps([[best, int(top[best])], sorted(to), sorted(out)]))
    client.close()

if __name__ == "__main__":
    main()
"""

POLARS = """
import sys, json
import polars as pl
pattern, host_from, host_to, now = sys.argv[1:]
now = int(now)
groups = (
    pl.scan_csv(pattern, separator=" ", has_header=False, new_columns=["ts", "from", "to"])
    .filter(pl.col("ts").is_between(now - 3600, now))
    .group_by((now - pl.col("ts")) // 1200, "from", "to").agg(pl.len())
    .collect(engine="streaming")
)
top = groups.group_by("to").agg(pl.col("len").sum()).sort(["len", "to"], descending=[True, False]).row(0)
to = groups.filter(pl.col("to") == host_to)["from"].unique().to_list()
out = groups.filter(pl.col("from") == host_from)["to"].unique().to_list()
print(json.dumps([list(top), sorted(to), sorted(out)]))
"""

MAWK = """
$1 >= now - 3600 && $1 <= now { to[$3]++; if ($3 == host_to) a[$2] = 1; if ($2 == host_from) b[$3] = 1 }
END {
    for (host in to) {
        if (to[host] > most || (to[host] == most && host < best)) { most = to[host]; best = host }
    }
    print best, most
    for (host in a) print "to", host
    for (host in b) print "from", host
}
"""


def pinned() -> None:
    """Run what comes on one core of those that there are."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def children_s() -> float:
    """Return the CPU time of all processes that have ended below this one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(command: list[str]) -> tuple[float, float, str]:
    """Return the best wall time and the best CPU time of three runs on one core, and what was printed."""
    wall_s, cpu_s, text = float("inf"), float("inf"), ""
    for _ in range(3):
        begin, before = time.perf_counter(), children_s()
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=pinned)
        wall_s = min(wall_s, time.perf_counter() - begin)
        cpu_s = min(cpu_s, children_s() - before)
        if done.returncode:
            raise SystemExit(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        text = done.stdout
    return wall_s, cpu_s, text


def answer_of_mawk(text: str) -> list[Any]:
    """Return mawk's answer in the form of the others."""
    best, *rows = text.splitlines()
    host, count = best.split()
    sides: dict[str, list[str]] = {"to": [], "from": []}
    for row in rows:
        side, name = row.split()
        sides[side].append(name)
    return [[host, int(count)], sorted(sides["to"]), sorted(sides["from"])]


def programs(folder: Path, pattern: str) -> dict[str, list[str]]:
    """Return the commands of those that are installed."""
    words = [pattern, HOST_FROM, HOST_TO, str(NOW_S)]
    found: dict[str, list[str]] = {}
    for name, text, needed in (
        ("tickline", TICKLINE, "tickline"),
        ("polars", POLARS, "polars"),
        ("dask", DASK, "dask.distributed"),
    ):
        if importlib.util.find_spec(needed.split(".", maxsplit=1)[0]) is None:
            print(f"{name}: not installed, left out")
            continue
        path = folder / f"{name}_report.py"
        path.write_text(text)
        found[name] = [sys.executable, str(path), *words]
        if name == "tickline":
            # With that much slack nothing may be left out: every byte is read, as the others do.
            found = {name: [*found[name], "300"], "all of it": [*found[name], "7200"]}
        if name == "dask":
            found |= {"dask once": [*found[name], "once"], name: [*found[name], "look"]}
    if shutil.which("mawk") is None:
        print("mawk: not installed, left out")
    else:
        values = [f"host_from={HOST_FROM}", f"host_to={HOST_TO}", f"now={NOW_S}"]
        options = [word for value in values for word in ("-v", value)]
        files = sorted(map(str, folder.glob("log*/connections.log")))
        found["mawk"] = ["mawk", *options, MAWK, *files]
    return found


def expected(truths: list[dict[str, Any]]) -> list[Any]:
    """Return the right answer for all files together."""
    top: Counter[str] = Counter()
    to: set[str] = set()
    out: set[str] = set()
    for truth in truths:
        for host, own in truth["pairs"].items():
            top.update(own)
            to |= {host} if HOST_TO in own else set()
            out |= set(own) if host == HOST_FROM else set()
    host, count = min(top.items(), key=lambda one: (-one[1], one[0]))
    return [[host, count], sorted(to), sorted(out)]


def compare(folder: Path, lines: int, files: int) -> None:
    """Run every program on the same files."""
    from tickline.fake import generate_connections

    begin = time.perf_counter()
    truths = [
        generate_connections(folder / f"log{i}", lines=lines, seed=i, now_s=NOW_S) for i in range(files)
    ]
    total = sum(truth["sources"][0]["bytes"] for truth in truths)
    print(f"fake connections: {total / 1e6:.0f} MB in {time.perf_counter() - begin:.1f} s")
    right = expected(truths)
    ours: tuple[float, float] | None = None
    for name, command in programs(folder, str(folder / "log*" / "connections.log")).items():
        wall_s, cpu_s, text = run(command)
        ours = ours or (wall_s, cpu_s)
        found = answer_of_mawk(text) if name == "mawk" else json.loads(text)
        if found != right:
            raise SystemExit(f"{name} gives another answer: {str(found)[:300]} and not {str(right)[:300]}")
        print(
            f"{name:10} {wall_s:6.2f} s wall, {cpu_s:6.2f} s CPU, {total / wall_s / 1e6:6.0f} MB/s: "
            f"{wall_s / ours[0]:6.1f} x the first one, CPU {cpu_s / ours[1]:6.1f} x",
            flush=True,
        )


def best_of(count: int, pattern: str, **options: Any) -> tuple[float, Any]:
    """Return the best wall time of a report in this process, and the last report."""
    from tickline.pipelines.connections.options import ConnectionOptions
    from tickline.pipelines.connections.report import connection_report

    best, result = float("inf"), None
    for _ in range(count):
        begin = time.perf_counter()
        options.setdefault("now_ns", NOW_S * 10**9)
        result = connection_report(ConnectionOptions((pattern,), HOST_FROM, HOST_TO, **options))
        best = min(best, time.perf_counter() - begin)
    return best, result


def in_process(folder: Path, lines: int) -> None:
    """Compare threads, and a part of a long log with all of it."""
    from tickline.fake import generate_connections

    pattern = str(folder / "log*" / "connections.log")
    both = {threads: best_of(5, pattern, seconds=7200, threads=threads) for threads in (1, 2)}
    if both[1][1].as_json() != both[2][1].as_json():
        raise SystemExit("two threads give another answer")
    print(f"two threads against one            {both[1][0] / both[2][0]:8.2f} x")
    generate_connections(folder / "month", lines=lines, now_s=NOW_S, span_s=30 * 86_400)
    path = str(folder / "month" / "connections.log")
    all_s, all_of_it = best_of(3, path, disorder_seconds=30 * 86_400)
    hour_s, hour = best_of(20, path)
    if hour.top != all_of_it.top or hour.connections == 0:
        raise SystemExit("an hour of the month gives another answer")
    print(f"an hour of 30 days against all     {all_s / hour_s:8.0f} x   ({all_s:.3f} and {hour_s:.5f} s)")


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=12_000_000, help="lines of each file")
    parser.add_argument("--files", type=int, default=5, help="number of files")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        compare(folder, arguments.lines, arguments.files)
        in_process(folder, arguments.lines)


if __name__ == "__main__":
    main()
