"""Chunks that are made and not yet acknowledged: the exact bytes, on the disk before they are sent.

A chunk in the spool is decided: its lines are taken, its number is used, and whatever happens the same bytes
go out under the same key until the store has them.
"""

import os
import re
from pathlib import Path

from tickline.errors import TicklineError, explain_os_error
from tickline.files import Folders, write_whole
from tickline.pipelines.archive.chunk import Chunk, unpack

__all__ = ["Spool", "SpoolFullError"]

# Chunks leave so much of the disk to the state: without room for that none of them could ever be let go of.
_LEFT_FREE = 4 * 2**20
_NAME = re.compile(r"(\d{10,})\.zst", re.ASCII)


class SpoolFullError(TicklineError):
    """There is no room for another chunk: lines wait in the logs."""


class Spool:
    """The folder of waiting chunks.

    Parameters
    ----------
    folder : Path
        Made when it is needed.
    limit : int
        Bytes that all chunks may have together.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    def numbers(self) -> list[int]:
        """Return the numbers of the chunks that wait, in order."""
        try:
            names = [path.name for path in self._folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain_os_error(error, self._folder) from error
        return sorted(int(found[1]) for name in names if (found := _NAME.fullmatch(name)))

    def put(self, seq: int, body: bytes) -> None:
        """Write a chunk, bring it to the disk, and read it back.

        Raises
        ------
        SpoolFullError
            There is no room for it.
        TicklineError
            The disk does not take it, or gives back something else.
        """
        try:
            used = sum(self._path(number).stat().st_size for number in self.numbers())
            if used + len(body) > self._limit:
                what = f"holds {used:,} bytes that wait to be sent, and {self._limit:,} are the limit"
                hint = "See why the store takes nothing; lines wait in the logs until logrotate removes them."
                raise SpoolFullError(what, where=str(self._folder), hint=hint)
            disk = os.statvfs(self._folder.parent)
            if (free := disk.f_bavail * disk.f_frsize) < len(body) + _LEFT_FREE:
                what = f"its disk has {free:,} bytes left, and {_LEFT_FREE:,} are kept for the state"
                hint = "Make room on it; lines wait in the logs until logrotate removes them."
                raise SpoolFullError(what, where=str(self._folder), hint=hint)
            write_whole(self._path(seq), body)
        except OSError as error:
            raise explain_os_error(error, self._folder) from error
        if self.read(seq)[0] != body:
            what = "the disk gives back other bytes than were written"
            raise TicklineError(what, where=str(self._path(seq)), hint="Check the disk.")

    def read(self, seq: int) -> tuple[bytes, Chunk]:
        """Return a chunk as bytes and as what it says.

        Raises
        ------
        TicklineError
            It is damaged, or cannot be read.
        """
        path = self._path(seq)
        try:
            body = path.read_bytes()
        except OSError as error:
            raise explain_os_error(error, path) from error
        return body, unpack(body, str(path))

    def remove(self, seq: int) -> None:
        """Let go of a chunk that the archive has."""
        folders = Folders()
        try:
            self._path(seq).unlink(missing_ok=True)
            folders.changed(self._folder)
            folders.sync()
        except OSError as error:
            raise explain_os_error(error, self._path(seq)) from error

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq:010}.zst"
