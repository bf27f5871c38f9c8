"""Where chunks are kept: what a store must be able to do, and a folder that does it (``file://``)."""

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from tickline.errors import SourceError, explain_os_error
from tickline.files import TEMPORARY_PREFIX, Folders

__all__ = ["ArchiveStore", "FolderStore"]


class ArchiveStore(Protocol):
    """A store of objects; keys are those of `tickline.pipelines.archive.chunk.key_of`.

    Whatever fails raises a `TicklineError`, and then nobody knows whether the object was written: the caller
    sends the same bytes under the same key again.

    Attributes
    ----------
    url : str
        Its name, for messages and for headers.
    calls : int
        How many requests were made so far, retries included.
    """

    url: str
    calls: int

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool) -> bool:
        """Write an object; False if there is one of this key already (412), and then nothing was written."""

    def sha256_of(self, key: str) -> str | None:
        """Return the SHA-256 (hex) of an object, None if there is none of this key."""

    def get(self, key: str) -> bytes:
        """Return an object."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix` and come behind `after`, in order of their bytes."""


class FolderStore:
    """A folder as a store: objects appear whole, and are never replaced.

    Parameters
    ----------
    url : str
        ``file:///absolute/folder``; it is made with the first object.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls = 0
        self._root = Path(url.removeprefix("file://"))

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool = True) -> bool:  # noqa: ARG002
        """Write an object unless there is one; `only_if_absent` makes no difference: nothing is replaced.

        Raises
        ------
        SourceError
            It cannot be written, or its bytes are not those of `sha256`.
        """
        self.calls += 1
        if hashlib.sha256(body).hexdigest() != sha256:
            what = "the bytes are not those of the checksum that came with them"
            raise SourceError(what, where=key, hint="Nothing was written; run it again.")
        path = self._root / key
        folders = Folders()
        try:
            folders.make(path.parent)
            created = _link_whole(path, body)
            folders.changed(path.parent)
            folders.sync()
        except OSError as error:
            raise explain_os_error(error, path) from error
        return created

    def sha256_of(self, key: str) -> str | None:
        """Return the SHA-256 of an object, None if there is none.

        Raises
        ------
        SourceError
            It cannot be read.
        """
        self.calls += 1
        path = self._root / key
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain_os_error(error, path) from error

    def get(self, key: str) -> bytes:
        """Return an object.

        Raises
        ------
        SourceError
            There is none, or it cannot be read.
        """
        self.calls += 1
        path = self._root / key
        try:
            return path.read_bytes()
        except OSError as error:
            raise explain_os_error(error, path) from error

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield keys in order; one call, however many there are.

        Raises
        ------
        SourceError
            A folder cannot be listed.
        """
        self.calls += 1
        found = []
        for folder, _, names in os.walk(self._root, onerror=_raise):
            base = Path(folder).relative_to(self._root).as_posix()
            found += [f"{base}/{name}" for name in names if not name.startswith(TEMPORARY_PREFIX)]
        yield from sorted(key for key in found if key.startswith(prefix) and key > after)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise explain_os_error(error, error.filename or "") from error


def _link_whole(path: Path, body: bytes) -> bool:
    """Give a whole file its name, unless the name is taken.

    A file that is opened with O_EXCL under its own name would stand there cut after a kill, for ever; link(2)
    is as exclusive, and comes when the bytes are on the disk.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{os.getpid()}-{threading.get_ident()}-{path.name}"
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        os.close(descriptor)
        temporary.unlink()
    return True
