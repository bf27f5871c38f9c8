"""A chronyd that writes logs, a logrotate that moves them, and a reader of the archive made of them."""

from __future__ import annotations

import gzip
import os
import shutil
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickline.errors import SourceError
from tickline.pipelines.archive.chain import ChainCheck, Flaw
from tickline.pipelines.archive.chunk import Chunk, Range, seq_of, unpack
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.generations import Generation
from tickline.pipelines.archive.machine import Outcome, run_once
from tickline.pipelines.archive.reader import list_chunks, read_all
from tickline.pipelines.archive.stores import ArchiveStore, FolderStore
from tickline.pipelines.archive.tail import Gathered, gather

BANNER = b"=" * 40 + b"\n   Date (UTC) Time     IP Address   St   Freq ppm\n" + b"=" * 40 + b"\n"
NOON = 1_795_348_800.0
"""2026-11-22 12:00 UTC."""


class Chronyd:
    """One log: every whole line it ever wrote is in `written`, with multiplicity."""

    def __init__(self, folder: Path, kind: str = "tracking", now_s: float = NOON) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{kind}.log"
        self.written: Counter[bytes] = Counter()
        self.now_s = now_s
        self._kind = kind
        self._rows = 0
        self._half = b""

    def _append(self, path: Path, data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)
        self.now_s += 1
        os.utime(path, (self.now_s, self.now_s))
        self.written.update(data.splitlines(keepends=True))

    def row(self) -> bytes:
        """Return a row that no other log ever has."""
        self._rows += 1
        second = int(self.now_s - NOON) % 86400
        clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        return f"2026-11-22 {clock} {self._kind:<15} {self._rows:7} -0.580 1.021e-06\n".encode()

    def write(self, rows: int = 3, path: Path | None = None) -> None:
        """Append rows, with a banner where a file begins."""
        path = path or self.path
        fresh = not path.exists() or path.stat().st_size == 0
        self._append(path, (BANNER if fresh else b"") + b"".join(self.row() for _ in range(rows)))

    def write_raw(self, data: bytes) -> None:
        """Append what no chronyd writes; whole lines."""
        self._append(self.path, data)

    def begin_row(self) -> None:
        """Write the first half of a row."""
        line = self.row()
        self._half = line[20:]
        self._append(self.path, line[:20])
        self.written -= Counter([line[:20]])
        self.written[line] += 1

    def end_row(self, path: Path | None = None) -> None:
        """Write the second half."""
        half, self._half = self._half, b""
        self._append(path or self.path, half)
        self.written -= Counter([half])

    def rename(self, *, compress: bool = False) -> Path:
        """Rotate: every number goes up by one, the log becomes number 1."""
        self._make_room()
        first = Path(f"{self.path}.1")
        self.path.rename(first)
        return self.compress(first) if compress else first

    def copytruncate(self, *, compress: bool = False) -> Path:
        """Rotate by a copy: the log keeps its inode."""
        self._make_room()
        first = Path(f"{self.path}.1")
        shutil.copy2(self.path, first)
        os.truncate(self.path, 0)
        return self.compress(first) if compress else first

    def compress(self, path: Path) -> Path:
        """Pack a file as gzip(1) does: the time stays, the old name goes when the new one is whole."""
        status = path.stat()
        packed = Path(f"{path}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 1))
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.unlink()
        return packed

    def _make_room(self) -> None:
        for number in range(20, 0, -1):
            for suffix in ("", ".gz"):
                old = Path(f"{self.path}.{number}{suffix}")
                if old.exists():
                    old.rename(f"{self.path}.{number + 1}{suffix}")


def chunks(root: Path | ArchiveStore, node: str = "n1") -> list[Chunk]:
    """Return the chunks of a store, or of a folder that is one, in order; check that they are a chain."""
    store = FolderStore(f"file://{root}") if isinstance(root, Path) else root
    keys = sorted(store.keys(f"v1/{node}/"), key=lambda key: seq_of(key) or 0)
    found = [unpack(store.get(key), key) for key in keys]
    assert [chunk.header["seq"] for chunk in found] == list(range(1, len(found) + 1))
    previous = None
    for chunk in found:
        assert chunk.header["previous"] == previous
        assert chunk.header["node"] == node
        previous = chunk.sha256
    return found


def flaws(store: ArchiveStore, node: str = "n1") -> list[Flaw]:
    """Return what is to be said of a node's chain."""
    check = ChainCheck(node)
    listed, others = list_chunks(store, node)
    assert others == []
    return [flaw for item, chunk in read_all(store, listed) for flaw in check.add(item, chunk)]


def archived_lines(found: list[Chunk]) -> Counter[bytes]:
    """Put stretches together by generation, each from byte 0 without a gap, and count their lines."""
    contents: dict[int, bytes] = {}
    for chunk in found:
        for stretch, data in chunk.pieces():
            assert stretch.begin == len(contents.get(stretch.generation, b"")), stretch
            contents[stretch.generation] = contents.get(stretch.generation, b"") + data
    lines: Counter[bytes] = Counter()
    for content in contents.values():
        lines.update(content.splitlines(keepends=True))
    return lines


class Clock:
    """The node's clock, which the test moves."""

    def __init__(self, now_s: float = NOON) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class LossyStore(FolderStore):
    """A folder store whose next writes go as `plan` says, one word each.

    ``"lost before"`` and ``"lost behind"`` raise before or after the object is written, ``"killed behind"``
    ends the process after it; when the plan is empty, writes are answered.
    """

    def __init__(self, root: Path, plan: tuple[str, ...] = ()) -> None:
        super().__init__(f"file://{root}")
        self.plan = list(plan)

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool = True) -> bool:
        """Write an object, or seem not to."""
        word = self.plan.pop(0) if self.plan else "answered"
        if word == "lost before":
            self.calls += 1
            raise SourceError("the connection was cut", where=key)
        created = super().put(key, body, sha256, only_if_absent=only_if_absent)
        if word == "killed behind":
            os._exit(KILLED)
        if word == "lost behind":
            raise SourceError("the connection was cut", where=key)
        return created


KILLED = 9


def config_of(tmp_path: Path, **changes: Any) -> Config:
    """Return a configuration whose logs, state and archive are below `tmp_path`."""
    return Config("n1", (tmp_path / "log",), tmp_path / "state", f"file://{tmp_path}/archive", **changes)


def run(
    config: Config, store: ArchiveStore | None = None, clock: Callable[[], float] | None = None, **more: Any
) -> Outcome:
    """Run once, with evidence that asks no chronyd."""
    return run_once(config, store or FolderStore(config.store), now=clock or Clock(), evidence=dict, **more)


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own, and return how that ended."""
    with warnings.catch_warnings():
        # Of threads that pytest-xdist has, the child uses none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Tail:
    """What a run keeps between two looks, without spool and archive."""

    def __init__(self, tmp_path: Path, *folders: Path) -> None:
        self.folders = folders or (tmp_path / "log",)
        self.scratch = tmp_path / "scratch"
        self.scratch.mkdir()
        self.generations: list[Generation] = []
        self.next_number = 1
        self.taken: Counter[bytes] = Counter()
        self.ranges: list[Range] = []
        self._parts: dict[int, bytes] = {}

    def look(self, now_s: float = NOON, most_bytes: int = 1 << 20) -> Gathered:
        # What is kept goes through JSON, as in a header.
        known = [Generation.from_json(generation.as_json()) for generation in self.generations]
        found = gather(
            self.folders, known, self.next_number, now_s=now_s, scratch=self.scratch, most_bytes=most_bytes
        )
        self.generations, self.next_number = found.generations, found.next_number
        for stretch, data in found.pieces:
            assert stretch.end - stretch.begin == len(data)
            self.ranges.append(stretch)
            whole = self._parts.pop(stretch.generation, b"") + data
            end = whole.rfind(b"\n") + 1
            self.taken.update(whole[:end].splitlines(keepends=True))
            if whole[end:]:
                self._parts[stretch.generation] = whole[end:]
        return found

    def quiet(self, now_s: float = NOON) -> None:
        """Look, and expect nothing new and no complaint."""
        found = self.look(now_s)
        assert (found.pieces, found.problems) == ([], [])
