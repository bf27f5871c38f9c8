"""The bytes of a catalog's file: plain or gzip, of bounded size."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tickline.errors import TicklineError, UsageError, explain_os_error

__all__ = ["read_packed", "unpacked"]

_LARGEST_BYTES = 4 * 2**30
_PIECE_BYTES = 2**20


def read_packed(path: Path) -> bytes:
    """Return the bytes of the file as they lie there.

    Raises
    ------
    UsageError
        There is no such file.
    TicklineError
        It cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            return b"".join(_limited(path, iter(lambda: file.read(_PIECE_BYTES), b"")))
    except OSError as error:
        what = f"the catalog cannot be read: {explain_os_error(error, path).what}"
        kind = UsageError if isinstance(error, FileNotFoundError | NotADirectoryError) else TicklineError
        raise kind(what, where=str(path), hint="Check its name and permissions.") from error


def unpacked(data: bytes, path: Path) -> bytes:
    """Return the bytes, decompressed if they are gzip; a damaged or cut file is a `TicklineError`."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return b"".join(_limited(path, _gunzip(data)))
    except EOFError as error:
        raise _damaged(path, "its gzip data ends too early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, f"its gzip data is damaged ({error})") from error


def _damaged(path: Path, what: str) -> TicklineError:
    return TicklineError(f"the catalog cannot be used: {what}", where=str(path), hint="Copy the file again.")


def _limited(path: Path, pieces: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _LARGEST_BYTES:
            what = f"the catalog is too large: more than {_LARGEST_BYTES >> 30} GiB"
            raise TicklineError(what, where=str(path), hint="Check that it is the right file.")
        yield piece


def _gunzip(data: bytes) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
