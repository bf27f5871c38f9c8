"""Whole commands: `tickline fake access` and `tickline access reduce`, against plain Python and a plain read.

    python benchmarks/bench_pipelines.py [--bytes 1GB] [--folder FOLDER]

Prints bytes/s, the ratios that matter and the peak memory of each command. The answers are checked: counts
against truth.json, and the outputs of one, two and eight threads against each other.
"""

import argparse
import collections
import contextlib
import datetime
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SLICE_BYTES = 64_000_000
BLOCK_BYTES = 4 * 2**20


@dataclass
class Run:
    """One command that ended: seconds on the wall and of the CPU, and its peak memory."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


def run(*words: str) -> Run:
    """Run ``tickline words...`` and measure it."""
    begin = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "tickline", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"tickline {' '.join(words)} ended with {child.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(time.perf_counter() - begin, cpu_s, usage.ru_maxrss * 1024)


def tree_hash(folder: Path) -> str:
    """Hash names and bytes of all outputs below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.tsv")):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def python_row(line: str, excluded: dict[str, bool]) -> str | None:
    """Reduce one line as the short way of dandi_s3_log_parser does: fields by number, no further check."""
    try:
        fields = line.split(" ")
        address = fields[4]
        if excluded[address] is True or fields[7] != "REST.GET.OBJECT":
            return None
        parts = fields[8].split("/")
        key = "/".join(parts[:2]) if parts[0] == "zarr" else fields[8]
        block = line.split('" ')[1].split(" ")
        if len(block) != 7 or not block[2].isdigit() or not block[0].isdigit() or block[0][0] != "2":
            return None
        # The zone is dropped, as there.
        when = datetime.datetime.strptime(fields[2], "[%d/%b/%Y:%H:%M:%S").isoformat()  # noqa: DTZ007
    except (IndexError, ValueError):
        return None
    return f"{when}\t{address}\t{key}\t{block[2]}\n"


def python_rate(log: Path) -> float:
    """Bytes/s of the Python loop on the first `SLICE_BYTES` of a log, decoding included; the best of two."""
    with log.open("rb") as file:
        data = file.read(SLICE_BYTES)
    best = float("inf")
    for _ in range(2):
        begin = time.process_time()
        excluded: dict[str, bool] = collections.defaultdict(bool)
        lines = data.decode("utf-8", "replace").splitlines()
        rows = [row for line in lines if (row := python_row(line, excluded)) is not None]
        "".join(rows)
        best = min(best, time.process_time() - begin)
        if not rows:
            raise SystemExit("the Python loop kept nothing: its figure would mean nothing")
    return len(data) / best


def read_rate(logs: list[Path]) -> float:
    """Bytes/s of reading all logs by 4 MiB, which is as fast as any program here can get."""
    buffer = memoryview(bytearray(BLOCK_BYTES))
    total = 0
    begin = time.perf_counter()
    for log in logs:
        with log.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                total += size
    return total / (time.perf_counter() - begin)


def rates(one: Run, total: int) -> str:
    """Give what a run did with `total` bytes, in columns."""
    wall, cpu = total / one.wall_s / 1e6, total / one.cpu_s / 1e6
    return f"{wall:8.0f} MB/s wall {cpu:8.0f} MB/s CPU {one.peak_bytes / 1e6:5.0f} MB peak"


def measure(folder: Path, size: str) -> None:
    """Make the logs, reduce them in several ways, print what was seen."""
    raw = folder / "raw"
    made = run("fake", "access", str(raw), "--bytes", size, "--seed", "7", "--days", "4", "--quiet")
    truth = json.loads((raw / "truth.json").read_text())["total"]
    logs = sorted(raw.rglob("*.log"))
    total = sum(log.stat().st_size for log in logs)
    print(f"{'fake access':16} {rates(made, total)}   {made.wall_s:.1f} s for {total / 1e9:.2f} GB")

    read_rate(logs)  # from here on the logs are in the page cache
    limit = max(read_rate(logs) for _ in range(2))
    print(f"plain read       {limit / 1e6:8.0f} MB/s wall   (page cache, 4 MiB blocks, one thread)")
    runs: dict[int, Run] = {}
    hashes: dict[int, str] = {}
    for threads in (1, 2, 8):
        out, accounting = folder / f"reduced-{threads}", folder / f"accounting-{threads}.json"
        words = [
            "access",
            "reduce",
            str(raw),
            str(out),
            "--threads",
            str(threads),
            "--quiet",
            "--force",
            "--accounting",
            str(accounting),
        ]
        tries = [run(*words) for _ in range(3)]
        runs[threads] = min(tries, key=lambda one: one.wall_s)
        hashes[threads] = tree_hash(out)
        counts = json.loads(accounting.read_text())["total"]
        if counts["lines"] != truth["lines"] or counts["accepted"] != truth["reduce"]["accepted"]:
            raise SystemExit("the counts are not those of truth.json")
        shutil.rmtree(out)
        best = runs[threads]
        print(f"reduce, {threads} thread{'' if threads == 1 else 's':7} {rates(best, total)}")
    # Last, since a child's peak memory begins with its parent's.
    python = python_rate(logs[0])
    print(f"Python loop      {python / 1e6:8.1f} MB/s CPU    (first {SLICE_BYTES / 1e6:.0f} MB)")
    if len(set(hashes.values())) != 1:
        raise SystemExit("the outputs differ by number of threads")
    print(
        f"reduce, 1 thread vs the Python loop   {total / runs[1].cpu_s / python:6.1f} x (CPU)"
        f"   {total / runs[1].wall_s / python:6.1f} x (wall)"
    )
    print(f"reduce, 1 thread vs plain read        {total / runs[1].wall_s / limit:6.2f}")
    print(f"reduce, 2 threads vs 1                {runs[1].wall_s / runs[2].wall_s:6.2f} x")


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bytes", default="1GB", help="how much to generate, such as 4GB")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        measure(folder, arguments.bytes)


if __name__ == "__main__":
    main()
