"""Files that are followed: what was read of a log, and how it is found again under another name.

A log's content is known by marks (`tickline.file_marks`), so that a rotated copy is not taken for a new log,
and what a log told between the last look and its being emptied is found in that copy.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tickline.errors import explain_os_error
from tickline.file_marks import MARK_HEAD, MARK_TAIL, mark, mark_of, read_range
from tickline.sources import Source, open_source

__all__ = ["Content", "Identity", "Opened", "Stamp", "stamp_of"]

# So many marks are kept: a copy that was made between two looks ends behind one of them.
_EARLIER = 8
_BLOCK_BYTES = 64 * 1024

Identity = tuple[int, int]
Stamp = tuple[int, int]


def stamp_of(status: os.stat_result) -> Stamp:
    """Return what changes when a file is written to."""
    return status.st_size, status.st_mtime_ns


class Opened:
    """A log, open for reading: offsets are those of its content, compressed or not.

    Attributes
    ----------
    head : bytes
        The first 512 bytes of its content, or all there are.

    Raises
    ------
    SourceError
        It cannot be opened, or its compressed content is damaged or cut off.
    """

    def __init__(self, path: str) -> None:
        self.source: Source = open_source(path)
        try:
            self.packed = self.source.kind in ("gzip", "zstd")
            self.status = os.fstat(self.source.fd)
            first = next(self._chunks(), b"") if self.packed else self.read(0, MARK_HEAD)
            self.head = first[:MARK_HEAD]
        except BaseException:
            self.close()
            raise

    @property
    def fd(self) -> int:
        """The descriptor."""
        return self.source.fd

    @property
    def path(self) -> str:
        """The file, for messages."""
        return self.source.path

    @property
    def identity(self) -> Identity:
        """What file it is."""
        return self.status.st_dev, self.status.st_ino

    @property
    def size(self) -> int:
        """Bytes of a plain file, now."""
        return os.fstat(self.fd).st_size

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes of a plain file."""
        return read_range(self.fd, begin, end, self.path)

    def mark(self, offset: int) -> str:
        """Return the mark of a plain file at an offset."""
        return mark(self.read, offset)

    def unpack(
        self, offsets: Iterable[int] = (), each: Callable[[bytes, int], object] | None = None
    ) -> tuple[int, dict[int, str]]:
        """Go through the content of a compressed file.

        Parameters
        ----------
        offsets : iterable of int
            Where marks are wanted.
        each : callable, optional
            Gets every chunk, and the offset of its end.

        Returns
        -------
        (int, dict)
            Bytes of content, and the marks at `offsets` and at the end; none for offsets behind the end.
        """
        waiting = sorted(set(offsets), reverse=True)
        found: dict[int, str] = {}
        size, tail, head = 0, b"", b""
        for chunk in self._chunks():
            head += chunk[: MARK_HEAD - len(head)]
            text = tail + chunk
            size += len(chunk)
            while waiting and waiting[-1] <= size:
                offset = waiting.pop()
                at = len(text) - (size - offset)
                found[offset] = mark_of(head[:offset], text[max(0, at - MARK_TAIL) : at])
            tail = text[-MARK_TAIL:]
            if each is not None:
                each(chunk, size)
        found[size] = mark_of(head, tail)
        return size, found

    def _chunks(self) -> Iterator[bytes]:
        try:
            os.lseek(self.fd, 0, os.SEEK_SET)
        except OSError as error:
            raise explain_os_error(error, self.path) from error
        return self.source.chunks()

    def line_end(self, begin: int, end: int) -> int:
        """Return where the first line that ends in ``[begin, end)`` of a plain file ends; else `end`."""
        for at in range(begin, end, _BLOCK_BYTES):
            newline = self.read(at, min(at + _BLOCK_BYTES, end)).find(b"\n")
            if newline >= 0:
                return at + newline + 1
        return end

    def last_line_end(self, begin: int, end: int) -> int:
        """Return where the last line that ends in ``[begin, end)`` of a plain file ends; else `begin`."""
        for at in range(end, begin, -_BLOCK_BYTES):
            low = max(at - _BLOCK_BYTES, begin)
            newline = self.read(low, at).rfind(b"\n")
            if newline >= 0:
                return low + newline + 1
        return begin

    def close(self) -> None:
        """Close it."""
        self.source.close()


@dataclass(slots=True, eq=False)
class Content:
    """What one log told from its first byte on, and how far it was read.

    Attributes
    ----------
    name : str
        Path under which it was first seen.
    identity : (int, int) or None
        Device and inode of the file that holds it; None if that was emptied or removed.
    offset : int
        Bytes read, from the beginning of the content.
    mark : str
        Mark at `offset`.
    head : bytes
        The first 512 bytes, or fewer.
    earlier : list of (int, str)
        Offsets and marks before.
    searched : int
        No line ends between `offset` and here.
    skipped : (int, int)
        A range at its beginning that was left out because of its times.
    disordered : bool
        Its times are less in order than they should be: what was left out is to be read.
    latest_ns : int or None
        The latest time of a line that was looked at.
    lines : int or None
        How many lines were read, if it is all there was up to here.
    stamp : (int, int) or None
        Size and time of the file when it was last looked at.
    unplaced : bool
        It was empty when it appeared: it may become a log of its own or a copy.
    changed_s : float
        When it was last seen to have grown, or lost its file; seconds of the monotonic clock.
    """

    name: str
    identity: Identity | None
    offset: int = 0
    mark: str = ""
    head: bytes = b""
    earlier: list[tuple[int, str]] = field(default_factory=list)
    searched: int = 0
    skipped: tuple[int, int] = (0, 0)
    disordered: bool = False
    latest_ns: int | None = None
    lines: int | None = 0
    file: Opened | None = None
    stamp: Stamp | None = None
    unplaced: bool = False
    changed_s: float = 0.0

    def advance(self, offset: int, known_mark: str) -> None:
        """Note that everything before `offset` was read."""
        if self.offset:
            self.earlier = [*self.earlier[1 - _EARLIER :], (self.offset, self.mark)]
        self.offset, self.mark = offset, known_mark

    def places(self) -> list[tuple[int, str]]:
        """Return all offsets with known marks, the furthest first."""
        return [(self.offset, self.mark), *reversed(self.earlier)] if self.offset else []

    def resembles(self, head: bytes) -> bool:
        """Tell whether a file that begins so may hold it, or its beginning."""
        size = min(len(head), len(self.head))
        return size > 0 and head[:size] == self.head[:size]

    def close(self) -> None:
        """Close its file."""
        if self.file is not None:
            self.file.close()
            self.file = None

    def lose(self, now_s: float) -> None:
        """Note that no file is known that holds it."""
        self.identity, self.stamp, self.changed_s = None, None, now_s
