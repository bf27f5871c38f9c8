"""Where chunks are kept: what a store must be able to do, and a folder that does it (``file://``)."""

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tickline.errors import SourceError, explain_os_error
from tickline.files import TEMPORARY_PREFIX, Folders
from tickline.pipelines.archive.config import Config, parse_store

__all__ = [
    "MOST_OBJECT_BYTES",
    "ArchiveStore",
    "ConditionsUnknownError",
    "FolderStore",
    "ObjectVersion",
    "Retained",
    "open_archive",
    "open_store",
    "too_large",
]

MOST_OBJECT_BYTES = 128 * 2**20
"""What may be read into memory; no chunk is as large."""

# A chunk is written in seconds; what is older was left by a run that was killed.
_LEFT_BEHIND_S = 3600


class ConditionsUnknownError(SourceError):
    """The server refuses conditional writes as something it does not know: nothing was written."""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """What the store keeps under a key: an object, an older one, or the mark of one that was deleted.

    Attributes
    ----------
    version_id : str
        ``"null"`` where the store keeps no versions.
    size : int
        Bytes; 0 of a delete marker.
    """

    key: str
    version_id: str
    is_latest: bool
    is_delete_marker: bool
    size: int


@dataclass(frozen=True, slots=True)
class Retained:
    """Object Lock of one version: ``"COMPLIANCE"`` or ``"GOVERNANCE"``, and its end in seconds since 1970."""

    mode: str
    until_s: float


class ArchiveStore(Protocol):
    """A store of objects; keys are those of `tickline.pipelines.archive.chunk.key_of`.

    Whatever fails raises a `TicklineError`, and then nobody knows whether the object was written: the caller
    sends the same bytes under the same key again. All but `put` may be used from many threads.

    Attributes
    ----------
    url : str
        Its name, for messages and for headers.
    """

    url: str

    @property
    def calls(self) -> int:
        """How many requests were made so far, retries included."""

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool) -> bool:
        """Write an object; False if there is one of this key already (412), and then nothing was written.

        Raises `ConditionsUnknownError` where `only_if_absent` is something that the server does not know.
        """

    def sha256_of(self, key: str) -> str | None:
        """Return the SHA-256 (hex) of an object, None if there is none of this key."""

    def get(self, key: str) -> bytes:
        """Return an object."""

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield the keys that begin with `prefix` and come behind `after`, in order of their bytes."""

    def entries(self, prefix: str) -> Iterator[str]:
        """Yield the keys right below `prefix` (empty, or it ends in ``/``), in order.

        Of keys further below: what they have up to the next ``/``, once, with that ``/``.
        """

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all that is kept under keys that begin with `prefix`: in order of keys, the latest first."""

    def retention_of(self, key: str, version_id: str | None = None) -> Retained | None:
        """Return how long an object (its latest version) may not be deleted, None if it may be."""


def open_store(config: Config) -> ArchiveStore:
    """Open the store of an ``archive.toml``; nothing is asked of it yet.

    Raises
    ------
    UsageError
        Its address or the settings of the SDK are not valid.
    TicklineError
        boto3 is missing.
    """
    if config.store.startswith("s3://"):
        from tickline.pipelines.archive.s3_store import S3Store

        return S3Store(
            config.store,
            endpoint=config.endpoint,
            region=config.region,
            upload=config.upload,
            retention=config.retention,
        )
    return FolderStore(config.store)


def open_archive(url: str) -> ArchiveStore:
    """Open an archive by its address alone, for reading; what the SDK must know comes from its environment.

    Raises
    ------
    UsageError
        It is neither ``s3://bucket/prefix`` nor ``file:///absolute/folder``.
    TicklineError
        boto3 is missing.
    """
    url = parse_store(url, "--store")
    if url.startswith("s3://"):
        from tickline.pipelines.archive.s3_store import S3Store

        return S3Store(url)
    return FolderStore(url)


def too_large(key: str, size: int) -> SourceError:
    """Return the error for an object that no run can have written."""
    what = f"has {size:,} bytes, more than any chunk"
    return SourceError(what, where=key, hint="Find out who wrote it; it was not read.")


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
        self._mutex = threading.Lock()
        self._root = Path(url.removeprefix("file://"))

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool = True) -> bool:  # noqa: ARG002
        """Write an object unless there is one; `only_if_absent` makes no difference: nothing is replaced.

        Raises
        ------
        SourceError
            It cannot be written, or its bytes are not those of `sha256`.
        """
        self._count()
        if hashlib.sha256(body).hexdigest() != sha256:
            what = "the bytes are not those of the checksum that came with them"
            raise SourceError(what, where=key, hint="Nothing was written; run it again.")
        path = self._root / key
        folders = Folders()
        try:
            folders.make(path.parent)
            _remove_left_behind(path.parent)
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
        try:
            return hashlib.sha256(self._read(key)).hexdigest()
        except FileNotFoundError:
            return None

    def get(self, key: str) -> bytes:
        """Return an object.

        Raises
        ------
        SourceError
            There is none, or it cannot be read.
        """
        try:
            return self._read(key)
        except FileNotFoundError as error:
            raise explain_os_error(error, self._root / key) from error

    def _read(self, key: str) -> bytes:
        self._count()
        path = self._root / key
        try:
            # Whoever opens a named pipe waits for its writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    hint = "Find out who put it there; it was not read."
                    raise SourceError("is no file", where=str(path), hint=hint)
                size = status.st_size
                body = file.read(MOST_OBJECT_BYTES + 1)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise explain_os_error(error, path) from error
        if len(body) > MOST_OBJECT_BYTES:
            raise too_large(key, size)
        return body

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield keys in order; one call, however many there are.

        Raises
        ------
        SourceError
            A folder cannot be listed.
        """
        self._count()
        found = []
        # A node is a folder: those of the others need not be looked through.
        for folder, _, names in os.walk(self._root / prefix.rpartition("/")[0], onerror=_raise):
            base = Path(folder).relative_to(self._root).as_posix()
            found += [f"{base}/{name}" for name in names if not _is_passed_over(name)]
        yield from sorted(key for key in found if key.startswith(prefix) and key > after)

    def entries(self, prefix: str) -> Iterator[str]:
        """Yield the keys and folders right below `prefix`, in order; one call.

        Raises
        ------
        SourceError
            A folder cannot be listed.
        """
        self._count()
        try:
            entries = [entry for entry in os.scandir(self._root / prefix) if not _is_passed_over(entry.name)]
            found = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
        except FileNotFoundError:
            return
        except OSError as error:
            raise explain_os_error(error, self._root / prefix) from error
        yield from (prefix + name for name in sorted(found))

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield the objects: a folder keeps one version of each.

        Raises
        ------
        SourceError
            A folder cannot be listed.
        """
        for key in self.keys(prefix):
            path = self._root / key
            try:
                size = path.stat().st_size
            except OSError as error:
                raise explain_os_error(error, path) from error
            yield ObjectVersion(key, "null", is_latest=True, is_delete_marker=False, size=size)

    def retention_of(self, key: str, version_id: str | None = None) -> None:
        """Return None: a folder locks nothing."""

    def _count(self) -> None:
        with self._mutex:
            self.calls += 1


def _is_passed_over(name: str) -> bool:
    """Tell whether it is nobody's object: half a one, or the folder that file systems have at their root."""
    return name.startswith(TEMPORARY_PREFIX) or name == "lost+found"


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


def _remove_left_behind(folder: Path) -> None:
    """Take away what killed runs were writing: their chunks go out again under the same keys, to here."""
    oldest_s = time.time() - _LEFT_BEHIND_S
    for entry in os.scandir(folder):
        if entry.name.startswith(TEMPORARY_PREFIX):
            with suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < oldest_s:
                    Path(entry.path).unlink()
