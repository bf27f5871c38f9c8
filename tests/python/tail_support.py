"""What the tests of live reports share: logs that are rotated, and lines that are each different."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from python.connections_support import NOW_S, NS
from tickline.pipelines.connections.follower import Follower
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import Result, report_of
from tickline.pipelines.connections.ring import Ring


def options_of(*places: Path | str, **options: Any) -> ConnectionOptions:
    """Return options on tower and Papa, at `NOW_S`."""
    options.setdefault("now_ns", NOW_S * NS)
    return ConnectionOptions(tuple(map(str, places)), "tower", "Papa", **options)


class Writer:
    """Writes lines into a log, no two alike, and knows how often each pair was written in the window."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.numbers = itertools.count()

    def write(self, lines: int = 1, *, end: bytes = b"\n") -> None:
        """Add lines; the last one ends with `end`."""
        text = []
        for i in itertools.islice(self.numbers, lines):
            pair = f"h{i % 17}", f"s{i % 11}"
            text.append(f"{NOW_S - 1800 + i % 1700}.{i % 10**9:09d} {pair[0]} {pair[1]}".encode())
            self.pairs[pair] += 1
        self.lines += lines
        with self.path.open("ab") as file:
            file.write(b"\n".join(text) + end)

    def add(self, text: bytes) -> None:
        """Add bytes as they are."""
        with self.path.open("ab") as file:
            file.write(text)

    def rename(self, name: str) -> Path:
        """Rotate by renaming; the log is created anew."""
        other = self.path.with_name(name)
        self.path.rename(other)
        self.path.touch()
        return other

    def copy_and_empty(self, name: str) -> Path:
        """Rotate as logrotate does with copytruncate."""
        other = self.path.with_name(name)
        shutil.copyfile(self.path, other)
        os.truncate(self.path, 0)
        return other


def compress(path: Path) -> Path:
    """Do as gzip does."""
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return packed


class Tail:
    """A follower that looks when it is told to."""

    def __init__(self, *places: Path | str, **options: Any) -> None:
        self.options = options_of(*places, **options)
        self.ring = Ring(self.options, 3600)
        self.follower = Follower(self.options, self.ring)

    def look(self, times: int = 1) -> None:
        """Look at the files."""
        for _ in range(times):
            self.follower.look()

    def report(self) -> Result:
        """Return a report at `NOW_S`."""
        count, asked = self.ring.report(0)
        return report_of(self.follower.counted(count), asked)

    def close(self) -> None:
        """Close the files."""
        self.follower.__exit__()


def pairs_of(result: Result) -> Counter[tuple[str, str]]:
    """Return how often each pair was counted."""
    table = result.table
    found: Counter[tuple[str, str]] = Counter()
    columns = [table.column(name).tolist() for name in ("host_from", "host_to", "count")]
    for one, other, count in zip(*columns, strict=True):
        found[one, other] += count
    return found


def check_all(tail: Tail, writer: Writer) -> dict[str, Any]:
    """Make sure that every line was counted once; return the accounting in total."""
    result = tail.report()
    total: dict[str, Any] = result.accounting["total"]
    assert pairs_of(result) == writer.pairs
    assert total["lines"] == total["accepted"] == writer.lines
    assert not result.problems
    return total
