"""Times of files that nobody but the system can have set, looked for in few places and never for long.

Nothing is opened but folders, no symbolic link is followed, and each step goes from one open folder to the
next, so that nobody can exchange one meanwhile.
"""

import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FileScan", "FileTime", "RefusedError", "Rules", "file_time"]

_ENTRIES_PER_FILE = 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# On the way down a folder need not be readable.
_ON_THE_WAY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

# Up to so much after `newest_ns` a time is no news about the clock: files are written while we look.
_SLACK_NS = 60 * 10**9


class RefusedError(Exception):
    """A file or folder that proves nothing; the text is the reason, one word."""


@dataclass(frozen=True, slots=True)
class FileTime:
    """When a file was last changed, by the times of its content (mtime) and of its inode (ctime).

    `ns` is the earlier one of the two: a file's owner can set mtime to anything but not ctime, so a date that
    was set forward does not count.
    """

    ns: int
    path: str
    later_ns: int
    """The later one of the two."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whose files and folders are believed."""

    owner: Callable[[int], bool] = lambda uid: uid == 0
    """Whether a user's files count."""
    top: str = "/"
    """The folder at which the way to a file begins; it and all below it are checked."""


def _check(status: os.stat_result, rules: Rules) -> None:
    if not rules.owner(status.st_uid):
        raise RefusedError("owner")
    if status.st_mode & stat.S_IWOTH:
        raise RefusedError("world_writable")


def _why(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "missing"
    # A symbolic link says ENOTDIR or ELOOP, depending on how it was opened.
    return "no_folder" if error.errno in (errno.ENOTDIR, errno.ELOOP) else "unreadable"


def _open_folder(path: str, rules: Rules) -> int:
    """Open a folder, coming down from the top, and check each folder on the way."""
    parts = [part for part in os.path.relpath(path, rules.top).split("/") if part != "."]
    if ".." in parts:
        raise RefusedError("missing")
    try:
        folder = os.open(rules.top, _ON_THE_WAY if parts else _FOLDER)
        try:
            _check(os.fstat(folder), rules)
            for index, part in enumerate(parts):
                below = os.open(part, _FOLDER if index == len(parts) - 1 else _ON_THE_WAY, dir_fd=folder)
                os.close(folder)
                folder = below
                _check(os.fstat(folder), rules)
        except BaseException:
            os.close(folder)
            raise
    except OSError as error:
        raise RefusedError(_why(error)) from error
    return folder


def _time_of(status: os.stat_result, path: str, rules: Rules) -> FileTime:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError("kind")
    _check(status, rules)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    return FileTime(min(times), path, max(times))


def file_time(path: str, rules: Rules) -> FileTime:
    """Return the time of one file.

    Raises
    ------
    RefusedError
        It is none that can be believed, or a folder above it is not.
    """
    above, name = os.path.split(path)
    folder = _open_folder(above, rules)
    try:
        return _time_of(os.stat(name, dir_fd=folder, follow_symlinks=False), path, rules)
    except OSError as error:
        raise RefusedError(_why(error)) from error
    finally:
        os.close(folder)


class FileScan:
    """Looks through folders for times that can be believed, within limits.

    Parameters
    ----------
    rules : Rules
        Whose files count.
    max_depth : int
        1: the files of a root alone; 2: those of the folders in it, too; ...
    max_files : int
        So many files are looked at in each root, in no particular order, and twenty times as many entries of
        any kind are read.
    until_s : float
        The instant of `time.monotonic` at which everything ends.
    newest_ns : int
        Later times (Unix nanoseconds) lie in the future.
    start_ns : int
        When this machine was started, on its own clock. What was written since then repeats what the clock
        says, and proves nothing about it.

    Attributes
    ----------
    found : list of FileTime
    skipped : Counter of str
        What was passed over: ``owner``, ``world_writable``, ``symlink``, ``kind`` (neither file nor folder),
        ``other_device``, ``unreadable``, ``missing``, ``no_folder`` (or a link to one), ``future``,
        ``since_start``.
    looked_at : int
        Files, in all roots.
    later : int
        Files more than a minute later than `newest_ns`.
    cut : set of str
        Which limits ended a search: ``max_files``, ``time``.
    """

    def __init__(
        self,
        rules: Rules,
        *,
        max_depth: int,
        max_files: int,
        until_s: float,
        newest_ns: int,
        start_ns: int,
    ) -> None:
        self._rules = rules
        self._max_depth = max_depth
        self._max_files = max_files
        self._until_s = until_s
        self._newest_ns = newest_ns
        self._start_ns = start_ns
        self._files_left = 0
        self._entries_left = 0
        self.found: list[FileTime] = []
        self.skipped: Counter[str] = Counter()
        self.looked_at = 0
        self.later = 0
        self.cut: set[str] = set()

    def root(self, path: str) -> None:
        """Look through one folder."""
        self._files_left = self._max_files
        self._entries_left = self._max_files * _ENTRIES_PER_FILE
        if not self._time_left():
            return
        try:
            folder = _open_folder(path, self._rules)
        except RefusedError as refused:
            self.skipped[str(refused)] += 1
            return
        try:
            self._folder(folder, path, 1)
        finally:
            os.close(folder)

    def _time_left(self) -> bool:
        if time.monotonic() < self._until_s:
            return True
        self.cut.add("time")
        return False

    def _folder(self, folder: int, path: str, depth: int) -> None:
        below: list[str] = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not self._go_on():
                        return
                    self._entry(entry, path, below)
        except OSError:
            self.skipped["unreadable"] += 1
        if depth == self._max_depth:
            return
        device = os.fstat(folder).st_dev
        for name in below:
            if not self._go_on():
                return
            self._below(folder, name, path, depth, device)

    def _go_on(self) -> bool:
        self._entries_left -= 1
        if self._entries_left < 0 or self._files_left == 0:
            self.cut.add("max_files")
            return False
        return self._time_left()

    def _entry(self, entry: os.DirEntry[str], path: str, below: list[str]) -> None:
        try:
            if entry.is_symlink():
                self.skipped["symlink"] += 1
            elif entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                self._files_left -= 1
                self.looked_at += 1
                self._take(_time_of(entry.stat(follow_symlinks=False), f"{path}/{entry.name}", self._rules))
            else:
                self.skipped["kind"] += 1
        except RefusedError as refused:
            self.skipped[str(refused)] += 1
        except OSError as error:  # it is gone, or a disk is bad
            self.skipped[_why(error)] += 1

    def _take(self, found: FileTime) -> None:
        if found.later_ns > self._newest_ns:
            self.later += found.later_ns > self._newest_ns + _SLACK_NS
            raise RefusedError("future")
        if found.ns >= self._start_ns:
            raise RefusedError("since_start")
        self.found.append(found)

    def _below(self, parent: int, name: str, path: str, depth: int, device: int) -> None:
        try:
            folder = os.open(name, _FOLDER, dir_fd=parent)
        except OSError as error:
            self.skipped[_why(error)] += 1
            return
        try:
            status = os.fstat(folder)
            _check(status, self._rules)
            # What is mounted there is not the system's own, and may be a server that does not answer.
            if status.st_dev != device:
                raise RefusedError("other_device")  # noqa: TRY301
            self._folder(folder, f"{path}/{name}", depth + 1)
        except RefusedError as refused:
            self.skipped[str(refused)] += 1
        finally:
            os.close(folder)
