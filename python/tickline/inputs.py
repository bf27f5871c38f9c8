"""What `read` and `scan` of log formats take: paths, buffers, open files; each read as it reads best."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from typing_extensions import Buffer

from tickline import _core
from tickline.errors import SourceError, explain_os_error
from tickline.sources import Source, decompress, kind_of, open_source, stdin_source

__all__ = ["Input", "batches_of", "opened"]

Input = str | os.PathLike[str] | Buffer | BinaryIO
_Scan = _core.AccessScan | _core.ChronyScan | _core.ConnectionsScan
_SLICE_BYTES = 4 * 2**20


@contextmanager
def opened(source: Input) -> Iterator[tuple[str, Source | Iterator[Buffer]]]:
    """Open a source; give its name for accounting, and a plain file or the chunks of anything else.

    ``"-"`` is standard input. Compressed content is decompressed, whatever it comes from.

    Raises
    ------
    SourceError
        It cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        if path == "-":
            import sys

            file = stdin_source(sys.stdin.buffer)
        else:
            file = open_source(path)
        with file:
            yield path, file if file.kind == "plain" else file.chunks()
    elif hasattr(source, "read"):
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "<file>"
        yield name, decompress(cast(BinaryIO, source), name)
    else:
        view = memoryview(source).cast("B")
        packed = kind_of(bytes(view[:4])) != "plain"
        yield "<bytes>", decompress(io.BytesIO(view), "<bytes>") if packed else _slices(view)


def batches_of(scan: _Scan, content: Source | Iterator[Buffer], batch_rows: int) -> Iterator[_core.Batch]:
    """Let a scan read the content of one source to its end, and give its rows whenever there are enough.

    Raises
    ------
    SourceError
        It cannot be read, or became shorter.
    """
    if isinstance(content, Source):
        yield from _of_file(scan, content, batch_rows)
        return
    for chunk in content:
        scan.feed(chunk)
        if scan.pending_rows >= batch_rows or scan.batch_full:
            yield scan.take_batch()
    scan.finish()
    if scan.pending_rows:
        yield scan.take_batch()


def _of_file(scan: _Scan, source: Source, batch_rows: int) -> Iterator[_core.Batch]:
    position = 0
    while position < source.size:
        try:
            position = scan.read(source.fd, position, source.size, batch_rows)
        except OSError as error:
            raise explain_os_error(error, source.path) from error
        if scan.pending_rows:
            yield scan.take_batch()
    if scan.counts()["bytes"] < source.size:
        raise SourceError("became shorter while it was read", where=source.path, hint="Read it again.")


def _slices(view: memoryview) -> Iterator[memoryview]:
    for begin in range(0, len(view), _SLICE_BYTES):
        yield view[begin : begin + _SLICE_BYTES]
