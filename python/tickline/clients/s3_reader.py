"""One object of S3, read from front to back in pieces: two of them in memory, one on its way."""

from concurrent.futures import CancelledError, Future
from typing import Protocol

from tickline.errors import SourceError

__all__ = ["Pieces", "S3Reader"]


class Pieces(Protocol):
    """Where a reader gets its pieces from."""

    def fetch(self, start: int, length: int, /) -> bytearray:
        """Return these bytes, all of them."""

    def fetch_later(self, start: int, length: int, /) -> "Future[bytearray]":
        """Begin to fetch them, in another thread."""


class S3Reader:
    """Reads an object: ``read(size)``, as of a file.

    While a piece is being used the next one is fetched. An object of one piece is one request, made by the
    thread that reads. For one thread at a time.

    Attributes
    ----------
    bytes_taken : int
        How many bytes `read` has handed out.
    """

    def __init__(self, pieces: Pieces, start: int, size: int, piece_bytes: int) -> None:
        self.bytes_taken = 0
        self._pieces = pieces
        self._next = start
        self._size = size
        self._piece_bytes = piece_bytes
        self._piece = memoryview(b"")
        self._ahead: Future[bytearray] | None = None

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, and none at the end.

        Raises
        ------
        SourceError
            It cannot be read, or was changed since it was listed. What was handed out before is of one state.
        """
        if not self._piece:
            self._piece = memoryview(self._advance())
        data = bytes(self._piece[:size])
        self._piece = self._piece[size:]
        self.bytes_taken += len(data)
        return data

    def _take_range(self) -> tuple[int, int] | None:
        """Return begin and length of the piece that comes next."""
        begin = self._next
        if begin >= self._size:
            return None
        self._next = min(begin + self._piece_bytes, self._size)
        return begin, self._next - begin

    def _advance(self) -> bytearray:
        coming, self._ahead = self._ahead, None
        here = self._take_range() if coming is None else None
        following = self._take_range()
        if following is not None:
            self._ahead = self._pieces.fetch_later(*following)
        if coming is not None:
            try:
                return coming.result()
            except CancelledError as error:
                raise SourceError("its client was closed while it was read") from error
        return self._pieces.fetch(*here) if here is not None else bytearray()

    def close(self) -> None:
        """Let go of what was read and not handed out; more than once is harmless."""
        self._piece = memoryview(b"")
        self._next = self._size
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def __enter__(self) -> "S3Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
