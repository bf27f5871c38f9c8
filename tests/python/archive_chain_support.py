"""Chains of chunks made by hand, for the tests of what is found in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tickline.errors import TicklineError
from tickline.pipelines.archive.chain import ChainCheck, Flaw
from tickline.pipelines.archive.chunk import Chunk, Range, count_lines, key_of, pack, unpack
from tickline.pipelines.archive.reader import Listed

NOON = 1_795_348_800
HOUR, DAY = 3600, 86400
TRACKING, STATISTICS = "/log/tracking.log", "/log/statistics.log"
ROW = b"2026-11-22 11:00:00 192.0.2.1 2\n"


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class Node:
    """Writes a chain that is right but for what each chunk is told to be."""

    def __init__(self) -> None:
        self.chain: list[tuple[Listed, Chunk | TicklineError]] = []
        self.seq = self.run = 0
        self.previous: str | None = None
        self.now_s = NOON
        self.logs: dict[int, tuple[str, int]] = {}
        self.next_generation = 1

    def generations(self) -> list[dict[str, Any]]:
        more = {"first": "", "mark": "", "earlier": [], "files": [], "gone_s": None}
        return [
            {"number": number, "log": log, "offset": offset, **more}
            for number, (log, offset) in self.logs.items()
        ]

    def piece(
        self, log: str, generation: int, data: bytes = ROW, *, shift: int = 0, note: str | None = None
    ) -> tuple[Range, bytes]:
        """Return the stretch that follows in a generation; `shift` bytes further on than it should be."""
        begin = self.logs.get(generation, (log, 0))[1] + shift
        self.logs[generation] = log, begin + len(data)
        self.next_generation = max(self.next_generation, generation + 1)
        stretch = Range(log, "tracking.log", generation, begin, begin + len(data), count_lines(data), note)
        return stretch, data

    def add(self, *pieces: tuple[Range, bytes], **changes: Any) -> Chunk:
        """Write the next chunk, an hour after the one before; `changes` are what its header says instead."""
        self.seq, self.run, self.now_s = self.seq + 1, self.run + 1, self.now_s + HOUR
        made_s = changes.pop("made_s", self.now_s)
        header = {
            "node": "n1",
            "seq": self.seq,
            "previous": self.previous,
            "created": iso(made_s),
            "day": f"{datetime.fromtimestamp(self.now_s, UTC):%Y/%m/%d}",
            "generations": self.generations(),
            "next_generation": self.next_generation,
            "run": self.run,
            "runs": [{"run": self.run}],
            "store": {"url": "file:///a", "conditional": "honoured"},
            "heartbeat_s": DAY,
            **changes,
        }
        chunk = unpack(pack(header, list(pieces)), "x")
        day, seq = header["day"], self.seq
        self.chain.append((Listed(seq, day, False, key_of("n1", day, seq)), chunk))
        self.previous = chunk.sha256
        return chunk

    def flaws(self, *, now_s: float | None = None, whole: bool = True) -> list[Flaw]:
        check = ChainCheck("n1", whole=whole)
        found = [flaw for item, chunk in self.chain for flaw in check.add(item, chunk)]
        return found + check.end(now_s)

    def found(self, **options: Any) -> list[tuple[int, str]]:
        """Return number and check of each finding."""
        return [(int(flaw.object[-14:-4]), flaw.check) for flaw in self.flaws(**options)]


def two_chunks() -> Node:
    """Return a node with two chunks of two logs."""
    node = Node()
    node.add(node.piece(TRACKING, 1), node.piece(STATISTICS, 2, ROW * 2))
    node.add(node.piece(TRACKING, 1, ROW * 3))
    return node
