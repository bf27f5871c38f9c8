"""Files that appear whole: temporary name in the same folder, fsync, rename, fsync of the folder.

A kill at any instant leaves the old file or the new one, and at most a hidden temporary file whose name says
what it is; the next run takes it away.
"""

import contextlib
import fcntl
import hashlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

from tickline.errors import SourceError

__all__ = [
    "TEMPORARY_PREFIX",
    "Folders",
    "Stream",
    "WholeFile",
    "open_output",
    "remove_temporary",
    "sha256_of",
    "take_lock",
    "write_whole",
]

TEMPORARY_PREFIX = ".tickline-tmp-"


class Folders:
    """Folders in which names were changed: one fsync for many files. Safe to use from many threads."""

    def __init__(self) -> None:
        self._changed: set[Path] = set()
        self._mutex = threading.Lock()

    def make(self, folder: Path) -> None:
        """Create a folder and the ones above it."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            self.changed(path.parent)

    def changed(self, folder: Path) -> None:
        """Note that a name in this folder is new, or gone."""
        with self._mutex:
            self._changed.add(folder)

    def sync(self) -> None:
        """Make all changes of names last."""
        with self._mutex:
            folders, self._changed = sorted(self._changed), set()
        for folder in folders:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            except OSError as error:
                error.filename = str(folder)
                raise
            finally:
                os.close(descriptor)


class WholeFile:
    """A file that appears under its name when `commit` is called, or not at all."""

    def __init__(self, path: Path, folders: Folders) -> None:
        self.path = path
        self._folders = folders
        folders.make(path.parent)
        name = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
        self._temporary = path.parent / (TEMPORARY_PREFIX + name)
        self._fd = self._open()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        while True:
            descriptor = os.open(self._temporary, flags, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another run may have renamed or removed it between the two calls: then it is not ours to
                # empty.
                if _is_at(descriptor, self._temporary):
                    os.ftruncate(descriptor, 0)
                    return descriptor
            except BlockingIOError as error:
                os.close(descriptor)
                what = "another run is writing it at this moment"
                raise SourceError(what, where=str(self.path), hint="Wait for it to end.") from error
            os.close(descriptor)

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            error.filename = str(self.path)
            raise
        return len(data)

    def commit(self) -> None:
        """Bring the bytes to the disk and give the file its name; `Folders.sync` makes the name last."""
        try:
            os.fsync(self._fd)
            os.rename(self._temporary, self.path)
            self._folders.changed(self.path.parent)
        except OSError as error:
            error.filename = str(self.path)
            self.abort()
            raise
        self._close()

    def abort(self) -> None:
        """Take the temporary file away; harmless after `commit`."""
        if self._fd >= 0:
            self._temporary.unlink(missing_ok=True)
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Stream:
    """Standard output, a named pipe or a device: what is written cannot be taken back.

    Parameters
    ----------
    owned : bool
        Whether `abort` closes it.
    """

    path = None

    def __init__(self, file: BinaryIO, *, owned: bool = False) -> None:
        self._file = file
        self._owned = owned

    def write(self, data: bytes, /) -> int:
        """Write all of `data`."""
        return self._file.write(data)

    def commit(self) -> None:
        """Hand over what is still in the buffer."""
        self._file.flush()

    def abort(self) -> None:
        """Nothing can be taken back; harmless after `commit`."""
        if self._owned:
            # What is still in the buffer could not be written, and that was told.
            with contextlib.suppress(OSError):
                self._file.close()


def open_output(path: Path, folders: Folders) -> "WholeFile | Stream":
    """Open what a user has named: a file appears whole; a pipe or a device is written and not replaced."""
    if path.exists() and not path.is_file():
        return Stream(path.open("wb"), owned=True)
    return WholeFile(path, folders)


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether the open file is the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file so that it appears whole, and lasts; a pipe or a device gets the bytes as such."""
    folders = Folders()
    sink = open_output(path, folders)
    try:
        sink.write(data)
        sink.commit()
    finally:
        sink.abort()
    folders.sync()


def remove_temporary(folder: Path) -> int:
    """Take away what killed runs left below `folder`, and return how many files that were.

    One that is locked belongs to a run that is still writing (its OUT lies within this one) and stays.
    """
    left = [
        Path(path, name)
        for path, _, names in os.walk(folder)
        for name in names
        if name.startswith(TEMPORARY_PREFIX)
    ]
    return sum(map(_remove_unlocked, left))


def _remove_unlocked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            return False
        path.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def take_lock(path: Path, mode: int = 0o666) -> int:
    """Lock a file, which is made if there is none, and return its descriptor.

    The lock ends with the descriptor, and so with the process, however that ends.

    Raises
    ------
    BlockingIOError
        Another process holds it.
    OSError
        The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def sha256_of(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, None if it does not exist."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
