"""Lines of chunks to columns, with the place of each row in the archive.

The lines of a log come in stretches, chunk by chunk. They are put together to pieces that the compiled
scanner takes at once; it goes on from one piece to the next of the same generation, as if it read the file.
"""

import datetime as dt
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.pipelines.archive.chunk import Chunk, Range
from tickline.pipelines.archive.report.case import Rows, Unread
from tickline.table import codes_of, validity_of, values_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["KEPT", "Gathering"]

KEPT: dict[str, tuple[str, ...]] = {
    "tracking": tuple(_core.chrony_schema("tracking").names),
    "measurements": (
        *("time", "address", "leap", "stratum", "tests_a", "tests_b", "tests_c", "layout", "offset_s"),
        *("peer_delay_s", "peer_dispersion_s", "root_delay_s", "root_dispersion_s", "reference_id"),
        *("tx_stamp", "rx_stamp"),
    ),
    "statistics": ("time", "address", "offset_s", "offset_sd_s"),
}
"""Logs that are read, and their columns; a report over years is to fit into memory."""

# What is known of the place of each row, and its type.
_PLACES = {"object": "i4", "offset": "i8", "length": "i4", "log": "i4", "again": "?"}
_PIECE_BYTES = 1 << 20
# What logrotate moved away is told to its end while the next file begins.
_OPEN_GENERATIONS = 3
_NEWLINE = 10
_TIME_BYTES = len("2026-03-02 09:30:00")
_NS = 1_000_000_000
_DIGITS = (ord("0"), ord("9"))


@dataclass(slots=True)
class _Part:
    """A stretch that waits to be scanned, and where it begins in which chunk."""

    data: bytes
    chunk: int
    offset: int


@dataclass(slots=True)
class _Log:
    """One log: scanners of its last generations, what waits for the one that was told of last."""

    number: int
    kind: str
    seen: _core.FingerprintSet
    scans: "OrderedDict[int, _Scan]" = field(default_factory=OrderedDict)
    latest: int = -1
    size: int = 0


@dataclass(slots=True)
class _Scan:
    scan: _core.ChronyScan
    end: int
    parts: list[_Part] = field(default_factory=list)
    lines: int = 0


class Gathering:
    """Takes the chunks of a node, and gives its rows.

    Attributes
    ----------
    rejected : int
        Lines that are no rows of their log.
    counts : dict of str to int
        Rows of each kind, those included that stand twice.
    unread : list of Unread
        Lines of tracking that begin as a row does and are none.
    """

    def __init__(self) -> None:
        self.rejected = 0
        self.counts = dict.fromkeys(KEPT, 0)
        self.unread: list[Unread] = []
        self._logs: dict[str, _Log] = {}
        self._columns = {kind: _Columns(kind, names) for kind, names in KEPT.items()}

    def add(self, number: int, chunk: Chunk) -> None:
        """Take a chunk; `number` is what its rows name it by."""
        at = chunk.raw_begin
        for stretch, data in chunk.pieces():
            self._take(stretch, _Part(data, number, at))
            at += len(data)

    def rows(self) -> dict[str, Rows]:
        """Return the rows of each kind as they stand in the logs; nothing can be added afterwards."""
        for log in self._logs.values():
            for generation in list(log.scans):
                self._end(log, generation)
        # Their sets of lines would be in memory with the columns, twice over meanwhile.
        self._logs.clear()
        return {kind: columns.rows() for kind, columns in self._columns.items()}

    def _take(self, stretch: Range, part: _Part) -> None:
        log = self._logs.get(stretch.log)
        if log is None:
            kind = _core.chrony_kind_of_file(PurePath(stretch.log).name)
            if kind not in KEPT:
                return
            log = _Log(len(self._logs), kind, _core.FingerprintSet())
            self._logs[stretch.log] = log
        if stretch.generation != log.latest:
            # Rows stand in the order in which the chunks tell them.
            self._flush(log)
            log.latest = stretch.generation
        found = log.scans.get(stretch.generation)
        if found is not None and found.end != stretch.begin:
            # A chunk is missing: half a line on either side of it is not one line.
            self._flush(log)
            self._end(log, stretch.generation)
            found = None
        if found is None:
            found = log.scans[stretch.generation] = _Scan(_core.ChronyScan(log.kind), stretch.begin)
            while len(log.scans) > _OPEN_GENERATIONS:
                self._end(log, next(iter(log.scans)))
        found.end = stretch.end
        found.parts.append(part)
        log.size += len(part.data)
        if log.size >= _PIECE_BYTES:
            self._flush(log)

    def _flush(self, log: _Log) -> None:
        log.size = 0
        found = log.scans.get(log.latest)
        if found is not None and found.parts:
            self._scan(log, log.latest, found, last=False)

    def _end(self, log: _Log, generation: int) -> None:
        found = log.scans.pop(generation)
        self._scan(log, generation, found, last=True)
        self.rejected += sum(found.scan.counts()["rejected"].values())

    def _scan(self, log: _Log, generation: int, found: _Scan, *, last: bool) -> None:
        """Scan what waits up to its last line end; or to its end, where no more is to come."""
        data = b"".join(part.data for part in found.parts)
        end = len(data) if last else data.rfind(b"\n") + 1
        text, parts = data[:end], found.parts
        before = found.scan.counts()["accepted"]
        found.scan.feed(text)
        if last:
            found.scan.finish()
        found.parts = _behind(parts, end)
        if not text:
            return
        accepted = found.scan.counts()["accepted"] - before
        places = _Places(text, parts)
        rejects = _numbers(found.scan.take_rejects()["line"]) - 1 - found.lines
        if log.kind == "tracking" and len(rejects):
            self.unread += _unread(text, rejects, places)
        rows = places.rows(rejects, accepted)
        found.lines += len(places.begins)
        new = _flags(log.seen.add_lines(text))
        if accepted:
            self.counts[log.kind] += accepted
            batch = found.scan.take_batch()
            self._columns[log.kind].add(batch, places.of(rows), ~new[rows], log.number, generation)


def _behind(parts: list[_Part], end: int) -> list[_Part]:
    """Return what lies behind the first `end` bytes of all parts."""
    left = []
    for part in parts:
        if end < len(part.data):
            cut = max(end, 0)
            left.append(_Part(part.data[cut:], part.chunk, part.offset + cut))
        end -= len(part.data)
    return left


def _numbers(buffer: bytes) -> "NDArray[np.int64]":
    import numpy as np

    return np.frombuffer(buffer, dtype=np.uint64).astype(np.int64)


def _flags(buffer: bytearray) -> "NDArray[np.bool_]":
    import numpy as np

    return np.frombuffer(buffer, dtype=np.uint8).astype(np.bool_)


def _unread(text: bytes, rejects: "NDArray[np.int64]", places: "_Places") -> Iterator[Unread]:
    where = zip(*(values.tolist() for values in places.of(rejects)), strict=True)
    for begin, (chunk, offset, length) in zip(places.begins[rejects].tolist(), where, strict=True):
        try:
            time = dt.datetime.fromisoformat(text[begin : begin + _TIME_BYTES].decode())
        except ValueError:
            continue
        yield Unread(int(time.replace(tzinfo=dt.UTC).timestamp()), chunk, offset, length)


class _Places:
    """Where the lines of a piece begin and end, in it and in the archive."""

    def __init__(self, text: bytes, parts: list[_Part]) -> None:
        import numpy as np

        self._text = text
        self._bytes = np.frombuffer(text, dtype=np.uint8)
        ends = np.flatnonzero(self._bytes == _NEWLINE)
        if text[-1] != _NEWLINE:
            ends = np.append(ends, len(text))
        self.begins = np.concatenate([[0], ends[:-1] + 1])
        self._ends = ends
        self._parts = parts

    def rows(self, rejected: "NDArray[np.int64]", accepted: int) -> "NDArray[np.int64]":
        """Return which lines are rows, from which ones are rejected and how many are accepted."""
        import numpy as np

        first = self._bytes[np.minimum(self.begins, len(self._bytes) - 1)]
        may_be = (first >= _DIGITS[0]) & (first <= _DIGITS[1])
        may_be[rejected] = False
        if int(may_be.sum()) != accepted:
            # Blanks before a row, or a last line that is still being written.
            may_be = np.array([_is_row(line) for line in self._text.split(b"\n")[: len(self.begins)]])
            may_be[rejected] = False
            may_be[np.flatnonzero(may_be)[accepted:]] = False
        return np.flatnonzero(may_be)

    def of(self, rows: "NDArray[np.int64]") -> "tuple[NDArray[Any], NDArray[Any], NDArray[Any]]":
        """Return chunk, offset in its body and length; of a line in two chunks those of its beginning."""
        import numpy as np

        edges = np.cumsum([0, *(len(part.data) for part in self._parts)])
        begins, ends = self.begins[rows], self._ends[rows]
        which = np.searchsorted(edges, begins, "right") - 1
        chunks = np.array([part.chunk for part in self._parts], dtype=np.int32)
        offsets = np.array([part.offset for part in self._parts], dtype=np.int64)
        lengths = np.minimum(ends, edges[which + 1]) - begins
        return chunks[which], offsets[which] + begins - edges[which], lengths.astype(np.int32)


def _is_row(line: bytes) -> bool:
    words = line.split()
    return bool(words) and words[0][:1].isdigit()


class _Columns:
    """Columns of one kind, batch behind batch."""

    def __init__(self, kind: str, names: tuple[str, ...]) -> None:
        self._kind = kind
        schema = _core.chrony_schema(kind).names
        self._wanted = [(name, schema.index(name)) for name in names]
        self._parts: dict[str, list[Any]] = {name: [] for name in (*names, *_PLACES)}
        self._words: dict[str, dict[str, int]] = {}
        self._files: list[tuple[int, int]] = []

    def add(
        self,
        batch: _core.Batch,
        places: "Iterable[NDArray[Any]]",
        again: "NDArray[np.bool_]",
        log: int,
        generation: int,
    ) -> None:
        import numpy as np

        self._files.append((log, generation))
        for name, index in self._wanted:
            self._parts[name].append(self._values(name, batch.column_buffers(index)))
        logs = np.full(batch.num_rows, log, dtype=np.int32)
        for name, values in zip(_PLACES, (*places, logs, again), strict=True):
            self._parts[name].append(values)

    def rows(self) -> Rows:
        """Return all that was added, file behind file; the parts are let go of one by one.

        A file may be told to its end when the next one has begun: a last line without its end waits.
        """
        import numpy as np

        order = sorted(range(len(self._files)), key=self._files.__getitem__)
        types = {name: self._type(index) for name, index in self._wanted} | _PLACES
        columns = {}
        for name, kind in types.items():
            parts = self._parts.pop(name)
            columns[name] = np.concatenate([parts[at] for at in order]) if parts else np.empty(0, kind)
        places = [columns.pop(name) for name in _PLACES]
        words = {name: list(self._words.get(name, ())) for name in columns if types[name] == "i4"}
        return Rows(self._kind, columns, words, *places)

    def _type(self, index: int) -> str:
        buffers = _core.empty_batch(_core.chrony_schema(self._kind)).column_buffers(index)
        if buffers[6] is not None:
            return "i4"
        return "f8" if buffers[0] == "g" else "i8"

    def _values(self, name: str, buffers: "_core.ColumnBuffers") -> "NDArray[Any]":
        import numpy as np

        count = buffers[1]
        if buffers[6] is not None:
            codes, words = codes_of(buffers, count)
            known = self._words.setdefault(name, {})
            places = [known.setdefault(word, len(known)) for word in words]
            mapped: NDArray[Any] = np.array([*places, -1], dtype=np.int32)[codes]
            return mapped
        values = values_of(buffers, count)
        if buffers[0].startswith("ts"):
            return values.astype(np.int64) // _NS
        is_float = values.dtype == np.float64
        values = values if is_float else values.astype(np.int64)
        filled: NDArray[Any] = np.where(validity_of(buffers, count), values, np.nan if is_float else -1)
        return filled
