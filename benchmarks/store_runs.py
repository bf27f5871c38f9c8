"""What `bench_store.py` measures with: commands and their CPU time, generated logs, comparison of sums."""

import contextlib
import csv
import functools
import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REGIONS = ("aws-ip-ranges.json", "gcp-cloud.json", "github-meta.json", "vpn.txt", "geo.tsv")
TABLES = {"by_day": "date", "by_asset": "asset_path", "by_region": "region"}


@dataclass
class Run:
    """One command that ended: seconds on the wall and of the CPU, and its peak memory."""

    wall_s: float
    cpu_s: float
    peak_bytes: int

    def __add__(self, other: "Run") -> "Run":
        peak = max(self.peak_bytes, other.peak_bytes)
        return Run(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, peak)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and its children to one core, and their libraries to one thread."""
    cores = os.sched_getaffinity(0)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.sched_setaffinity(0, {min(cores)})
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run(*words: object) -> Run:
    """Run a Python program and measure it."""
    begin = time.perf_counter()
    command = [sys.executable, *map(str, words)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command[1:])} ended with {child.returncode}")
    cpu_s = usage.ru_utime + usage.ru_stime
    return Run(time.perf_counter() - begin, cpu_s, usage.ru_maxrss * 1024)


def tickline(*words: object) -> Run:
    """Run ``tickline WORDS --quiet`` and measure it."""
    return run("-m", "tickline", *words, "--quiet")


def access(verb: str, store: Path, *words: object) -> Run:
    """Run one of the store's commands."""
    return tickline("access", verb, *words, "--store", store)


def make_logs(raw: Path, size: str, *words: object) -> dict[str, Any]:
    """Generate clean logs and return their truth: on them the chain is exact, too."""
    tickline("fake", "access", raw, "--bytes", size, "--dirty", 0, *words)
    truth: dict[str, Any] = json.loads((raw / "truth.json").read_text())["total"]
    return truth


def networks(option: str, raw: Path) -> list[object]:
    """Return the generated lists of networks as options of a command."""
    return [word for name in REGIONS for word in (option, raw / "regions" / name)]


def show(name: str, one: Run, total: int = 0) -> None:
    """Print what a command took."""
    rate = f"{total / one.cpu_s / 1e6:8.0f} MB/s CPU" if total else " " * 17
    times = f"{one.wall_s:8.2f} s wall {one.cpu_s:8.2f} s CPU"
    print(f"{name:38} {times} {rate} {one.peak_bytes / 1e6:6.0f} MB peak")


def check(name: str, found: object, true: object) -> None:
    """End the benchmark if an answer is wrong."""
    if found != true:
        raise SystemExit(f"{name}: {found!r:.300} instead of {true!r:.300}")


def first_time(raw: Path, store: Path, catalog: Path) -> dict[str, Run]:
    """Make a store and its summaries."""
    return {
        "ingest": access("ingest", store, raw, "--threads", 1),
        "regions": tickline("access", "regions", "update", "--store", store, *networks("--source", raw)),
        "compact": access("compact", store),
        "summarize": access("summarize", store, "--catalog", catalog),
    }


IN_ONE_PROCESS = """
import sys, tickline
raw, store, catalog, *regions = sys.argv[1:]
with tickline.access.Store(store) as store:
    store.ingest(raw, threads=1)
    store.update_regions(*regions)
    store.compact()
    store.summarize(catalog=catalog)
"""


def in_one_process(raw: Path, store: Path, catalog: Path) -> Run:
    """Do the same as `first_time` in Python, in one process, as the chain is one."""
    return run("-c", IN_ONE_PROCESS, raw, store, catalog, *networks("", raw)[1::2])


def cpu_of(one: Run) -> float:
    """Return what to compare runs by."""
    return one.cpu_s


def sum_of(steps: dict[str, Run]) -> Run:
    """Add up the commands of a sequence."""
    return functools.reduce(lambda one, other: one + other, steps.values())


def labels_by_hash() -> dict[str, str]:
    """Return the chain's dictionary of regions, filled."""
    from tickline.fake import regions
    from tickline.fake.archive import ADDRESSES, address

    # As in dandi_chain.py, whose import of pandas would make this process large.
    salt = bytes.fromhex("00112233445566778899aabbccddeeff")
    texts = [address(number).decode() for number in range(ADDRESSES)]
    return {
        hashlib.sha1(text.encode() + salt, usedforsecurity=False).hexdigest(): regions.label(text)
        for text in texts
    }


def parse_bytes(text: str) -> int:
    """Return a size such as 2MB in bytes."""
    from tickline.pipelines.access.reduce.options import parse_bytes as parse

    return parse(text, "bytes")


def files_of(folder: Path) -> dict[str, str]:
    """Return the hashes of the files below a folder but for the record of what was written."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if ".tickline" not in path.parts:
            with path.open("rb") as file:
                found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def check_totals(out: Path, *truths: dict[str, Any]) -> None:
    """Compare the archive's totals of an export with the truth of its logs."""
    found = json.loads((out / "totals.json").read_text())["archive"]
    check("requests", found["number_of_requests"], sum(one["reduce"]["accepted"] for one in truths))
    check("bytes sent", found["total_bytes_sent"], sum(one["reduce"]["bytes_sent"] for one in truths))


def sums_of(path: Path, column: str, quoting: int) -> Counter[str]:
    """Return bytes sent by the first column of a summary; pieces of Zarr stores as the chain has them."""
    sums: Counter[str] = Counter()
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=quoting):
            name = row[column]
            at = name.find(".zarr/")
            sums[name if at < 0 else name[: at + len(".zarr/")]] += int(row["bytes_sent"])
    return sums


def compare(out: Path, mapped: Path) -> None:
    """End the benchmark unless both have the same sums for every dataset by day, asset and region."""
    theirs = json.loads((mapped / "datasets.json").read_text())
    with (out / "names.tsv").open(newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ours = {row["dataset"]: row["folder"] for row in reader if row["dataset"] != "undetermined"}
    check("datasets", sorted(ours), sorted(theirs))
    count = 0
    for dataset, folder in ours.items():
        for table, column in TABLES.items():
            found = sums_of(out / "summaries" / folder / f"{table}.tsv", column, csv.QUOTE_NONE)
            # pandas puts quotes around a path that holds one.
            summary = mapped / theirs[dataset] / f"dandiset_summary_{table}.tsv"
            true = sums_of(summary, column, csv.QUOTE_MINIMAL)
            check(f"{dataset} {table}", found, true)
            count += len(found)
    print(f"the same sums: {len(ours)} datasets, {count:,} days, assets and regions")
