"""Bytes of logs from wherever they lie: plain files, .gz, .zst, pipes, buffers, open files.

What a file is, is told by its first bytes and not by its name. Everything here holds a few MiB, whatever the
size of the source. Plain files are not read here: the core reads them by `pread`, in ranges.
"""

import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from tickline.errors import SourceError, explain_os_error

__all__ = ["Source", "decompress", "kind_of", "open_source"]

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_READ_BYTES = 256 * 1024
_CHUNK_BYTES = 1024 * 1024
# A zstd block of 128 KiB can come out of 4 bytes. Small slices of input bound what one call can make of them
# (16 MiB in the worst file that can be built, 7 KiB in a log).
_ZSTD_SLICE = 512
_CUT_HINT = "It was cut off: copy it again, or let its writer finish it."
_DAMAGED_HINT = "Copy it again from its origin."


class Reader(Protocol):
    """What the decompressors read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, and none at the end."""


def kind_of(head: bytes, name: str = "") -> str:
    """Tell ``"plain"``, ``"gzip"`` or ``"zstd"`` by the first bytes.

    The name decides in one case only: a file called .gz or .zst that holds neither that format nor text is
    damaged, and an empty one was cut.

    Raises
    ------
    SourceError
        The name says compressed, and the content is damaged or missing.
    """
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    # Skippable frames (RFC 8878, section 3.1.2) may stand first: pzstd writes them.
    if head.startswith(_ZSTD_MAGIC) or (head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5):
        return "zstd"
    for suffix, format_name, magic in ((".gz", "gzip", _GZIP_MAGIC), (".zst", "zstd", _ZSTD_MAGIC)):
        if name.lower().endswith(suffix):
            if magic.startswith(head):
                what = (
                    f"the {format_name} file is empty"
                    if not head
                    else f"its {format_name} data ends too early"
                )
                raise SourceError(what, where=name, hint=_CUT_HINT)
            if any(byte < 9 for byte in head):
                what = f"it is called {suffix}, but does not begin as {format_name} data does: it is damaged"
                raise SourceError(what, where=name, hint=_DAMAGED_HINT)
    return "plain"


def _skip_padding(reader: Reader, data: bytes) -> bytes:
    while not (rest := data.lstrip(b"\0")):
        if not (data := reader.read(_READ_BYTES)):
            break
    return rest


def _gunzip(reader: Reader, head: bytes, name: str) -> Iterator[bytes]:
    """Yield the content of all members; zero bytes behind the last one are padding, as gzip(1) has it."""
    data = head
    while data := _skip_padding(reader, data):
        if len(data) == 1:
            data += reader.read(_READ_BYTES)
        if not data.startswith(_GZIP_MAGIC):
            raise SourceError(
                "something that is not gzip follows its gzip data", where=name, hint=_DAMAGED_HINT
            )
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if not data and not (data := reader.read(_READ_BYTES)):
                raise SourceError("its gzip data ends too early", where=name, hint=_CUT_HINT)
            try:
                text = member.decompress(data, _CHUNK_BYTES)
            except zlib.error as error:
                raise explain_os_error(error, name) from error
            data = member.unconsumed_tail
            if text:
                yield text
        data = member.unused_data


def _zstd_slices(reader: Reader, head: bytes) -> Iterator[bytes]:
    data = head
    while data or (data := reader.read(_READ_BYTES)):
        for begin in range(0, len(data), _ZSTD_SLICE):
            yield data[begin : begin + _ZSTD_SLICE]
        data = b""


def _unzstd(reader: Reader, head: bytes, name: str) -> Iterator[bytes]:
    """Yield the content of all frames."""
    import zstandard

    context = zstandard.ZstdDecompressor()
    frame = context.decompressobj()
    fresh = True
    for piece in _zstd_slices(reader, head):
        data = piece
        while data:
            try:
                text = frame.decompress(data)
            except zstandard.ZstdError as error:
                what = f"its zstd data is damaged ({error})"
                raise SourceError(what, where=name, hint=_DAMAGED_HINT) from error
            if text:
                yield text
            fresh = frame.eof
            data = frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = context.decompressobj()
    if not fresh:
        raise SourceError("its zstd data ends too early", where=name, hint=_CUT_HINT)


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Gather small pieces into chunks of about 1 MiB: one call of the core each."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= _CHUNK_BYTES:
            yield b"".join(waiting)
            waiting.clear()
            size = 0
    if waiting:
        yield b"".join(waiting)


def _plain(reader: Reader, head: bytes) -> Iterator[bytes]:
    if head:
        yield head
    while data := reader.read(_CHUNK_BYTES):
        yield data


def decompress(reader: Reader, name: str = "") -> Iterator[bytes]:
    """Yield the bytes of `reader`, decompressed if they are gzip or zstd, in chunks of about 1 MiB.

    Parameters
    ----------
    reader : Reader
        Anything with ``read(size)``.
    name : str
        For messages, and to tell a damaged .gz from a text.
    """
    head = b""
    # A pipe may hand out one byte at a time.
    while len(head) < 64 and (more := reader.read(_READ_BYTES)):
        head += more
    match kind_of(head, name):
        case "gzip":
            return _joined(_gunzip(reader, head, name))
        case "zstd":
            return _joined(_unzstd(reader, head, name))
        case _:
            return _plain(reader, head)


@dataclass(slots=True)
class _Descriptor:
    """Reads a file descriptor and counts what it took from it."""

    fd: int
    taken: int = 0

    def read(self, size: int, /) -> bytes:
        data = os.read(self.fd, size)
        self.taken += len(data)
        return data


@dataclass(slots=True)
class Source:
    """An open file with the size and time it had when it was opened.

    Attributes
    ----------
    kind : str
        ``"plain"`` (a regular file the core may read by ranges), ``"gzip"``, ``"zstd"`` or ``"pipe"``.
    size : int
        Bytes in the file as it lies there, compressed or not; 0 for a pipe.
    """

    path: str
    fd: int
    kind: str
    size: int
    mtime_ns: int
    regular: bool
    _reader: _Descriptor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._reader = _Descriptor(self.fd)

    @property
    def bytes_taken(self) -> int:
        """How many bytes of the file `chunks` has read so far."""
        return self._reader.taken

    def chunks(self) -> Iterator[bytes]:
        """Yield the content from the beginning, decompressed."""
        try:
            yield from decompress(self._reader, self.path)
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes ``[offset, offset + size)`` of a regular file, fewer at its end only."""
        try:
            return os.pread(self.fd, size, offset)
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def unchanged(self) -> bool:
        """Tell whether path and open file still are what was opened: same size, same time of change."""
        if not self.regular:
            return True
        opened = (self.size, self.mtime_ns)
        try:
            now = os.fstat(self.fd), os.stat(self.path)
        except OSError:
            return False
        return all((status.st_size, status.st_mtime_ns) == opened for status in now)

    def close(self) -> None:
        """Close the file; more than once is harmless."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(path: str | os.PathLike[str]) -> Source:
    """Open a file for reading and look at its first bytes.

    Raises
    ------
    SourceError
        It cannot be opened or read, is a folder, or is a damaged .gz or .zst.
    """
    name = os.fspath(path)
    fd = -1
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise SourceError("is a folder, where a file is expected", where=name)
        regular = stat.S_ISREG(status.st_mode)
        kind = kind_of(os.pread(fd, 4096, 0), name) if regular else "pipe"
        return Source(name, fd, kind, status.st_size if regular else 0, status.st_mtime_ns, regular)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
        raise explain_os_error(error, name) from error


def stdin_source(stream: BinaryIO, name: str = "-") -> Source:
    """Wrap standard input: always a stream, even where the shell has put a file there."""
    return Source(name, os.dup(stream.fileno()), "pipe", 0, 0, False)
