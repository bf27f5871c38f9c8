"""Wakes up who follows files as soon as one of them changes, where the system can tell.

Linux can, by inotify(7), on file systems of this machine; it is asked for through the C library, because the
packages that do the same bring threads or an event loop along. It is a hint and nothing more: elsewhere, on
network drives, or where its queue overflows, the files are just looked at by the clock.
"""

import ctypes
import os
import select
import sys
import time
from collections.abc import Iterable
from types import TracebackType

__all__ = ["Watch"]

# <sys/inotify.h>: written to, created, removed, renamed from and to.
_EVENTS = 0x002 | 0x100 | 0x200 | 0x040 | 0x080
_MOST_EVENT_BYTES = 64 * 1024
# Writers write many times a second: no look comes sooner behind the one before.
_LEAST_S = 0.1


class Watch:
    """Waits for changes in folders; a context manager."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._fd = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC) if self._library else -1
        self._watched: dict[str, int] = {}
        self._failed = False

    def __enter__(self) -> "Watch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    @property
    def tells(self) -> bool:
        """Whether all folders are watched."""
        return self._fd >= 0 and not self._failed

    def follow(self, folders: Iterable[str]) -> None:
        """Watch these folders, and no others."""
        if self._library is None or self._fd < 0:
            return
        wanted = set(folders)
        self._failed = False
        for folder in wanted:
            # Again and again: it may have been replaced. A watch that is there stays what it is.
            number = self._library.inotify_add_watch(self._fd, os.fsencode(folder), _EVENTS)
            self._failed |= number < 0
            self._watched[folder] = number
        for folder in self._watched.keys() - wanted:
            number = self._watched.pop(folder)
            if number >= 0 and number not in self._watched.values():
                self._library.inotify_rm_watch(self._fd, number)

    def wait(self, seconds: float) -> None:
        """Wait for so long, or until something changes, but a tenth of a second at least."""
        least = min(max(seconds, 0.0), _LEAST_S)
        time.sleep(least)
        if self._fd < 0:
            time.sleep(max(seconds - least, 0.0))
            return
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if poll.poll(max(seconds - least, 0.0) * 1000):
            # What it was does not matter. More than this is told the next time.
            os.read(self._fd, _MOST_EVENT_BYTES)
