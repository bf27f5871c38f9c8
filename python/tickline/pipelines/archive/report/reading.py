"""Chunks of one node to a case: what is listed, how far it is read, and what is kept of it."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tickline.errors import TicklineError
from tickline.pipelines.archive.chain import ChainCheck
from tickline.pipelines.archive.chunk import IMPORTED, Chunk, unpack
from tickline.pipelines.archive.reader import Listed, is_copy, list_chunks, read_bodies
from tickline.pipelines.archive.report.calendar import Session
from tickline.pipelines.archive.report.case import ChunkFacts, NodeCase, Rows
from tickline.pipelines.archive.report.rows import Gathering
from tickline.pipelines.archive.report.rules import Rule
from tickline.pipelines.archive.state import Position
from tickline.pipelines.archive.stores import ArchiveStore

__all__ = ["CONTEXT_S", "Found", "find_chunks", "read_case"]

_DAY = 86400
CONTEXT_S = 2 * _DAY
"""How long before a period reading begins: what began then is seen whole."""

# Compressed bodies that are kept, so that the lines of findings need no second request.
_KEPT_BYTES = 64 * 2**20
_OPEN_BODIES = 16


@dataclass(frozen=True, slots=True)
class Found:
    """Chunks of a node that may hold lines of a period, and whether they begin with its first one."""

    chunks: list[Listed]
    whole: bool


def find_chunks(store: ArchiveStore, node: str, begin_s: int) -> Found:
    """List the chunks that may hold lines of a period that begins at `begin_s`."""
    # A key has the day of the chunk before.
    since = f"{dt.datetime.fromtimestamp(begin_s - CONTEXT_S - _DAY, dt.UTC):%Y/%m/%d}"
    chunks, _ = list_chunks(store, node, since=since)
    # Otherwise number 1 must be there: without it nobody knows what was taken away from the beginning.
    has_older = bool(chunks) and next(store.keys(f"v1/{node}/"), chunks[0].key) < f"v1/{node}/{since}"
    return Found(chunks, not has_older)


def read_case(
    store: ArchiveStore,
    node: str,
    found: Found,
    rule: Rule,
    sessions: list[Session],
    begin_s: int,
    end_s: int,
    *,
    now_s: float,
    progress: Callable[[int], object] = lambda _: None,
) -> NodeCase:
    """Read the chunks of a node, each once, until nothing of the period can come any more.

    Behind that only what ``archive import`` brought in is read.

    Parameters
    ----------
    found : Found
        What `find_chunks` found.
    now_s : float
        To judge how old the end of the chain is.
    progress : callable
        Is told how many chunks are done.

    Raises
    ------
    TicklineError
        The store gives no answer.
    """
    listed = found.chunks
    check = ChainCheck(node, whole=found.whole)
    taken = _Taken(store)
    flaws, read = [], 0
    before: ChunkFacts | None = None
    last_read: tuple[Listed, bytes] | None = None
    in_order = True
    for item, body in read_bodies(store, listed):
        read += 1
        if is_copy(item, body, last_read):
            progress(1)
            continue
        last_read = item, body
        chunk = taken.add(item, body)
        flaws += check.add(item, chunk)
        progress(1)
        if isinstance(chunk, TicklineError):
            continue
        last = taken.chunks[-1]
        in_order = in_order and _follows(before, last, end_s, whole=found.whole)
        if in_order and _is_behind(last, end_s):
            break
        before = last
    flaws += check.end(now_s if read == len(listed) else None)
    late = _imports(store, listed[read:])
    for item, body in read_bodies(store, late):
        taken.add(item, body)
    progress(len(listed) - read)
    rows = taken.gathering.rows()
    written = rows["tracking"]
    tracking, measurements, statistics = (_judged(rows[kind]) for kind in rows)
    return NodeCase(
        node,
        rule,
        begin_s,
        end_s,
        sessions,
        tracking,
        measurements,
        statistics,
        written,
        taken.chunks,
        flaws,
        taken.bodies.read,
        taken.gathering.counts,
        read + len(late),
        taken.gathering.rejected,
        taken.gathering.unread,
    )


class _Taken:
    """What was read so far of a node."""

    def __init__(self, store: ArchiveStore) -> None:
        self.chunks: list[ChunkFacts] = []
        self.gathering = Gathering()
        self.bodies = _Bodies(store)
        self._evidences: dict[tuple[Any, ...], dict[str, str | None]] = {}

    def add(self, item: Listed, body: bytes) -> Chunk | TicklineError:
        """Take an object; return its chunk, or why it is none."""
        try:
            chunk = unpack(body, item.key)
        except TicklineError as error:
            return error
        self.gathering.add(len(self.chunks), chunk)
        self.chunks.append(_facts(item, chunk, self._evidences))
        self.bodies.add(item.key, body)
        return chunk


def _imports(store: ArchiveStore, listed: list[Listed]) -> list[Listed]:
    """Return those of the later chunks whose lines were imported, and so are of any time."""
    if not listed:
        return []
    key = listed[-1].key
    try:
        imports = Position.behind(unpack(store.get(key), key)).imports
    except TicklineError:
        # What cannot be told apart is read.
        return listed
    return [item for item in listed if any(first <= item.seq <= last for first, last in imports)]


def _follows(before: ChunkFacts | None, chunk: ChunkFacts, end_s: int, *, whole: bool) -> bool:
    """Tell whether a chunk was made when its predecessor lets one expect it, as far as is known.

    Else its clock may have been set to a wrong date, from which it comes back later.
    """
    if before is None:
        return whole or not _is_behind(chunk, end_s)
    if before.created_s is None or chunk.created_s is None:
        return True
    return chunk.created_s - before.created_s <= 2 * max(before.heartbeat_s or 0, _DAY)


def _is_behind(chunk: ChunkFacts, end_s: int) -> bool:
    """Tell whether no later chunk is expected to hold a line of before `end_s`: not even a late one."""
    if chunk.created_s is None or chunk.created_s < end_s + _DAY:
        return False
    return chunk.earliest_s is None or chunk.earliest_s >= end_s


def _judged(rows: Rows) -> Rows:
    """Return each line once, in order of time."""
    import numpy as np

    order = np.flatnonzero(~rows.again)
    times = rows.time[order]
    if len(times) and (np.diff(times) < 0).any():
        order = order[np.argsort(times, kind="stable")]
    elif len(order) == len(rows):
        return rows
    return rows.take(order)


def _facts(item: Listed, chunk: Chunk, evidences: dict[tuple[Any, ...], dict[str, str | None]]) -> ChunkFacts:
    header = chunk.header
    retention = header.get("retention")
    retention = retention if isinstance(retention, dict) else {}
    store = header.get("store")
    given = header.get("evidence")
    found = {str(key): value for key, value in given.items()} if isinstance(given, dict) else {}
    evidence = evidences.setdefault(tuple(sorted((key, str(value)) for key, value in found.items())), found)
    return ChunkFacts(
        item.key,
        item.seq,
        _seconds(header.get("created")),
        _seconds(header.get("earliest")),
        _seconds(header.get("latest")),
        header["lines"],
        _whole(header.get("heartbeat_s")),
        str(retention["mode"]) if "mode" in retention else None,
        _whole(retention.get("years")),
        str(store["conditional"]) if isinstance(store, dict) and "conditional" in store else None,
        evidence,
        tuple(map(str, header.get("notes") or ())),
        any(stretch.note == IMPORTED for stretch, _ in chunk.pieces()),
    )


def _whole(value: object) -> int | None:
    return value if type(value) is int else None


def _seconds(text: object) -> int | None:
    """Return a time of a header, with or without the letter Z, in whole seconds."""
    if not isinstance(text, str):
        return None
    try:
        found = dt.datetime.fromisoformat(text)
        return int(found.replace(tzinfo=found.tzinfo or dt.UTC).timestamp())
    except ValueError:
        return None


class _Bodies:
    """Bodies of chunks, as they were read; asked for again if they are too many to be kept."""

    def __init__(self, store: ArchiveStore) -> None:
        self._store = store
        self._keys: list[str] = []
        self._kept: dict[int, bytes] = {}
        self._size = 0
        self._open: OrderedDict[int, bytes] = OrderedDict()

    def add(self, key: str, body: bytes) -> None:
        if self._size + len(body) <= _KEPT_BYTES:
            self._kept[len(self._keys)] = body
            self._size += len(body)
        self._keys.append(key)

    def read(self, number: int) -> bytes:
        """Return the decompressed body of a chunk."""
        import zstandard

        found = self._open.get(number)
        if found is None:
            key = self._keys[number]
            body = self._kept.get(number)
            if body is None:
                body = self._store.get(key)
                # It was checked when it was read first, and that was some time ago.
                unpack(body, key)
            found = zstandard.ZstdDecompressor().decompress(body)
            self._open[number] = found
            while len(self._open) > _OPEN_BODIES:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(number)
        return found
