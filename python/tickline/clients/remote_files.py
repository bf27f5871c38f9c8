"""Files that lie elsewhere, read by ranges or as streams: S3 through boto3, all others through fsspec."""

import errno
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.sources import Reader, decompress, kind_of

if TYPE_CHECKING:
    from tickline.clients.s3 import S3Client, S3Object

__all__ = ["Address", "RemoteFile", "explained", "file_system", "lines_of", "remote_file", "shown"]

# So much is asked for at a time, as by the client for S3.
_BLOCK_BYTES = 8 * 2**20
_PROBE_BYTES = 64 * 1024
_HEAD_BYTES = 4096
_STATUS = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
}


def shown(url: str) -> str:
    """Return an address as it may be printed: without user, password and query, which may be secrets.

    For ``urllib.parse`` a slash or question mark in a password ends the host. Here all before an ``@`` is
    hidden, at the cost of folders with one in their names; and all, if it may belong to a query, too.
    """
    scheme, separator, rest = url.partition("://")
    place, *query = re.split(r"[?#]" if scheme[:4].lower() == "http" else r"\?", rest, maxsplit=1)
    if "@" in "".join(query):
        place = "***"
    elif "@" in place:
        place = f"***@{place.rpartition('@')[2]}"
    return scheme + separator + place


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """Where one remote file lies, for whoever is to read it: here, or on a worker.

    Attributes
    ----------
    name : str
        What it is called in messages and in accounting.
    url : str
        The address fsspec takes.
    item : S3Object or None
        The object as it was listed, for ``s3://``.
    """

    name: str
    url: str
    item: "S3Object | None" = None


class RemoteFile(ABC):
    """One remote file: what `tickline.sources.Source` is of a local one.

    Attributes
    ----------
    path : str
        Its name, for messages.
    kind : str
        ``"plain"`` (may be read by ranges), ``"gzip"``, ``"zstd"`` or ``"pipe"``.
    size : int
        Bytes of the file as it lies there; 0 for a pipe.
    """

    path: str
    kind: str
    size: int

    @abstractmethod
    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes ``[offset, offset + size)``, fewer at the end only."""

    @abstractmethod
    def reader(self) -> Any:
        """Return a context manager that gives a reader of the file from its beginning."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the content from the beginning, decompressed."""
        with self.reader() as reader:
            yield from decompress(reader, self.path)


def remote_file(address: Address, client: "S3Client | None") -> RemoteFile:
    """Open a remote file; there is nothing to be closed.

    Parameters
    ----------
    client : S3Client or None
        For ``s3://``.

    Raises
    ------
    SourceError
        It cannot be opened, or is a damaged .gz or .zst.
    """
    if address.item is not None and client is not None:
        return _S3File(address.item, client)
    return _FsspecFile(address)


class _S3File(RemoteFile):
    def __init__(self, item: "S3Object", client: "S3Client") -> None:
        self.path, self.size, self._item, self._client = item.url, item.size, item, client
        self.kind = kind_of(self.read_at(0, _HEAD_BYTES), self.path)

    def read_at(self, offset: int, size: int) -> bytes:
        size = min(size, self.size - offset)
        return bytes(self._client.fetch(self._item, offset, size)) if size > 0 else b""

    def reader(self) -> Any:
        return self._client.open(self._item)


@dataclass(slots=True)
class _Explained:
    """A reader whose errors name the file."""

    file: Any
    url: str
    name: str

    def read(self, size: int, /) -> bytes:
        with explained(self.url, self.name):
            return bytes(self.file.read(size))


class _FsspecFile(RemoteFile):
    def __init__(self, address: Address) -> None:
        self.path, self._url = address.name, address.url
        self._system, self._place = file_system(address.url)
        with explained(self._url, self.path):
            size = self._system.info(self._place).get("size")
        self.size = 0 if size is None else int(size)
        head = self._range(0, _HEAD_BYTES) if self.size else b""
        # A web server may tell no size, or send all of a file whatever is asked for.
        ranges = size is not None and len(head) == min(_HEAD_BYTES, self.size)
        self.kind = kind_of(head, self.path) if ranges else "pipe"
        self.size = self.size if ranges else 0

    def read_at(self, offset: int, size: int) -> bytes:
        size = min(size, self.size - offset)
        data = self._range(offset, size) if size > 0 else b""
        if len(data) > size:
            what = "the server does not send the range that was asked for"
            raise SourceError(what, where=self.path, hint="Copy it to a local file, and read that.")
        if len(data) < size:
            raise SourceError("became shorter while it was read", where=self.path, hint="Read it again.")
        return data

    def _range(self, offset: int, size: int) -> bytes:
        with explained(self._url, self.path):
            return bytes(self._system.cat_file(self._place, start=offset, end=min(offset + size, self.size)))

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        with explained(self._url, self.path):
            file = self._system.open(self._place, "rb", block_size=0 if self.kind == "pipe" else _BLOCK_BYTES)
        with closing(file):
            yield _Explained(file, self._url, self.path)


def lines_of(file: RemoteFile, begin: int, end: int) -> tuple[int, Iterator[bytes]]:
    """Read the lines that begin in ``[begin, end)`` of a plain file, and nothing much behind them.

    Returns
    -------
    (int, iterator of bytes)
        Where the first of them begins, and all of them in chunks.
    """
    first = begin
    if begin:
        # A newline before the range makes a line begin with it.
        at = begin - 1
        while at < end and (found := (data := file.read_at(at, _PROBE_BYTES)).find(b"\n")) < 0 and data:
            at += len(data)
        first = at + found + 1 if at < end and found >= 0 else end
    return first, _chunks(file, first, end)


def _chunks(file: RemoteFile, begin: int, end: int) -> Iterator[bytes]:
    position = begin
    while begin < end:
        # Behind the range there is only the rest of a line.
        size = min(_BLOCK_BYTES, end - position) if position < end else _PROBE_BYTES
        data = file.read_at(position, size)
        newline = data.find(b"\n", max(end - 1 - position, 0))
        yield data[: newline + 1] if newline >= 0 else data
        if newline >= 0 or not data:
            return
        position += len(data)


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path in it.

    Raises
    ------
    TicklineError
        Its kind is not known, a package is missing, or a server cannot be reached.
    """
    scheme = url.partition("://")[0]
    try:
        import fsspec.core
    except ImportError as error:
        what = "addresses other than s3:// need fsspec, which is not installed"
        raise TicklineError(what, hint="Install it with: pip install 'tickline[dask]'.") from error
    with explained(url):
        try:
            system, path = fsspec.core.url_to_fs(url)
        except ImportError as error:
            what = f"{scheme}:// needs a package that is not installed ({error})"
            raise TicklineError(what, where=shown(url), hint="Install it, on every worker too.") from error
        except ValueError as error:
            hint = "Name a file, a folder, s3://... or another address that fsspec knows."
            what = f"{scheme}:// is not known, or the address is none"
            raise UsageError(what, where=shown(url), hint=hint) from _cause(error, url)
    return system, str(path)


@contextmanager
def explained(url: str, name: str | None = None) -> Iterator[None]:
    """Turn what a file system raises, whatever that is, into an error that names the file."""
    try:
        yield
    except TicklineError:
        raise
    except Exception as error:
        told = _explain(error, name or shown(url), secret=shown(url) != url)
        raise told from _cause(error, url)


def _cause(error: Exception, url: str) -> Exception | None:
    """Return an error to be shown by --debug: what clients say may hold the whole address."""
    return error if shown(url) == url else None


def _explain(error: BaseException, name: str, *, secret: bool) -> SourceError:
    # fsspec says "not found" of web servers that cannot be reached, too.
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    for kind, number in _STATUS.items():
        if isinstance(error, kind):
            said = explain_os_error(OSError(number, ""), name)
            return SourceError(said.what, where=name, hint=said.hint, number=number)
    status = getattr(error, "status", None)
    if status in (404, 410):
        return _explain(FileNotFoundError(), name, secret=secret)
    if isinstance(status, int):
        return SourceError(f"the server answered {status}", where=name)
    if isinstance(error, TimeoutError):
        return SourceError("the server did not answer in time", where=name, hint="Try again later.")
    # Other texts are not shown where they may hold a whole address.
    reason = type(error).__name__
    if not secret and isinstance(error, OSError) and (error.strerror or error.args):
        reason = (error.strerror or str(error.args[0])).partition("\n")[0]
    return SourceError(f"cannot be read ({reason})", where=name, hint="Use --debug to see more.")
