"""Sources of lines, one after the other, into a reader of the core: files, pipes, buffers, open files."""

import io
import os
from collections.abc import Iterator
from typing import BinaryIO, cast

from typing_extensions import Buffer

from tickline import _core
from tickline.errors import SourceError, explain_os_error
from tickline.sources import Source, decompress, kind_of, open_source, stdin_source

__all__ = ["Input", "name_of", "read_pieces"]

Input = str | os.PathLike[str] | Buffer | BinaryIO
_SLICE_BYTES = 4 * 2**20


def name_of(source: Input) -> str:
    """Return what messages and accounting call a source: its path, ``<bytes>``, ``<file>``."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "<file>"
    return "<bytes>"


def read_pieces(reader: _core.LineInput, source: Input) -> Iterator[None]:
    """Let `reader` take a source, plain, .gz or .zst; yields after each piece, so that results can be taken.

    Ends early where the reader refuses more. ``reader.finish()`` is the caller's.

    Parameters
    ----------
    reader : _core.LineInput
        What takes the lines.
    source : path, buffer or open binary file
        ``"-"`` is standard input.

    Raises
    ------
    SourceError
        It cannot be read to its end.
    """
    if isinstance(source, str | os.PathLike):
        yield from _read_path(reader, os.fspath(source))
    elif hasattr(source, "read"):
        yield from _feed(reader, decompress(cast(BinaryIO, source), name_of(source)))
    else:
        view = memoryview(source).cast("B")
        packed = kind_of(bytes(view[:4])) != "plain"
        yield from _feed(reader, decompress(io.BytesIO(view), "<bytes>") if packed else _slices(view))


def _read_path(reader: _core.LineInput, path: str) -> Iterator[None]:
    if path == "-":
        import sys

        with stdin_source(sys.stdin.buffer, "standard input") as source:
            yield from _feed(reader, source.chunks())
        return
    with open_source(path) as source:
        yield from _read_plain(reader, source) if source.kind == "plain" else _feed(reader, source.chunks())


def _read_plain(reader: _core.LineInput, source: Source) -> Iterator[None]:
    position = 0
    while position < source.size and not reader.refused:
        try:
            position = reader.read(source.fd, position, source.size)
        except OSError as error:
            raise explain_os_error(error, source.path) from error
        yield
    if os.fstat(source.fd).st_size < source.size:
        raise SourceError("became shorter while it was read", where=source.path, hint="Read it again.")


def _feed(reader: _core.LineInput, chunks: Iterator[Buffer]) -> Iterator[None]:
    for chunk in chunks:
        reader.feed(chunk)
        if reader.refused:
            return
        yield


def _slices(view: memoryview) -> Iterator[memoryview]:
    for begin in range(0, len(view), _SLICE_BYTES):
        yield view[begin : begin + _SLICE_BYTES]
