"""How the content of a log is found again, whatever became of its name: hashes of what is before an offset.

Every other sign of identity fails somewhere: rename keeps the inode and loses the name, copytruncate keeps
both and loses the content, compression loses all three. A file with the same mark at an offset begins with
the very bytes that were read up to there.
"""

import hashlib
import os
from collections.abc import Callable

from tickline.errors import explain_os_error

__all__ = ["MARK_HEAD", "MARK_TAIL", "digest", "mark", "mark_of", "read_range"]

MARK_HEAD = 512
MARK_TAIL = 4096

Read = Callable[[int, int], bytes]


def digest(data: bytes, digits: int) -> str:
    """Return a hash of `data`, of so many hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:digits]


def mark(read: Read, offset: int) -> str:
    """Return the hash of what stands before `offset`: 512 bytes of the beginning, and the last 4096.

    Parameters
    ----------
    read : callable
        ``read(begin, end)`` gives the bytes of this range, fewer where the content ends before.
    """
    return mark_of(read(0, min(offset, MARK_HEAD)), read(max(0, offset - MARK_TAIL), offset))


def mark_of(head: bytes, tail: bytes) -> str:
    """Return `mark` of the two pieces that it is made of."""
    return digest(head + tail, 32)


def read_range(fd: int, begin: int, end: int, path: str) -> bytes:
    """Return bytes of an open file; fewer if it is shorter, or was cut meanwhile.

    Raises
    ------
    SourceError
        The device reports an error.
    """
    pieces = []
    try:
        while begin < end and (data := os.pread(fd, end - begin, begin)):
            pieces.append(data)
            begin += len(data)
    except OSError as error:
        raise explain_os_error(error, path) from error
    return b"".join(pieces)
