"""tl.ntp.lower_bound: how long the search for files takes in small and in large trees.

    python benchmarks/bench_lower_bound.py [--files 100,100000] [--folder FOLDER]

For each number two trees: all files in one folder, and spread over folders of 100. Each is searched with the
limits as they are by default (max_depth 2, max_files 100), and once more by looking at every file, which is
what a search without limits does. The search must look at no more than 100 files and read their times right.
What is left of the size of a tree is the folders in its root, of which no more than 2,000 are read.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tickline.ntp.file_times import FileScan, Rules

_YEAR_NS = 31_556_952 * 10**9


def make_tree(top: Path, files: int, per_folder: int) -> Path:
    """Make so many empty files, dated one to two years ago."""
    long_ago = time.time_ns() - 2 * _YEAR_NS
    for number in range(files):
        folder = top / f"{number // per_folder}"
        if number % per_folder == 0:
            folder.mkdir(parents=True)
        name = folder / f"{number}"
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644))
        time_ns = long_ago + number * _YEAR_NS // files
        os.utime(name, ns=(time_ns, time_ns))
    return top


def search(top: Path, max_files: int = 100) -> FileScan:
    """Search a tree of this user as `lower_bound` searches one of root."""
    rules = Rules(owner=lambda uid: uid == os.geteuid(), top=str(top))
    now_ns = time.time_ns()
    scan = FileScan(
        rules,
        max_depth=2,
        max_files=max_files,
        until_s=time.monotonic() + 60,
        newest_ns=now_ns,
        start_ns=now_ns - _YEAR_NS // 2,
    )
    scan.root(str(top))
    return scan


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median of the CPU times."""
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        taken.append(time.process_time() - begin)
    return statistics.median(taken)


def main() -> None:
    """Make the trees, measure and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", default="100,100000")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    first: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for files in map(int, options.files.split(",")):
            for shape, per_folder in (("one folder", files), ("folders of 100", 100)):
                top = make_tree(Path(folder) / f"{files} in {shape}", files, per_folder)
                scan = search(top)
                if not 0 < scan.looked_at <= 100 or len(scan.found) != scan.looked_at:
                    raise SystemExit(f"{files} files in {shape}: {scan.looked_at} looked at")
                if any(found.ns != Path(found.path).stat().st_mtime_ns for found in scan.found):
                    raise SystemExit(f"{files} files in {shape}: a time is wrong")
                limited = seconds(lambda top=top: search(top), 21)
                whole = seconds(lambda top=top, files=files: search(top, files + 1), 1)
                base = first.setdefault(shape, limited)
                print(
                    f"{files:>7} files in {shape:14}: {limited * 1e3:6.2f} ms for {scan.looked_at} files, "
                    f"{limited / base:5.2f} x the smallest tree; all of them {whole * 1e3:8.1f} ms"
                )


if __name__ == "__main__":
    main()
