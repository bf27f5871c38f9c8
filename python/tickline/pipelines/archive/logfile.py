"""Log files of a folder, open for reading by offsets of their content, compressed or not."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tickline.errors import SourceError, explain_os_error
from tickline.file_marks import mark, read_range
from tickline.pipelines.archive.generations import HEAD_BYTES, Carrier, first_row
from tickline.sources import Source, open_source

__all__ = ["LogFile", "Named", "find_logs"]

KINDS = ("measurements", "refclocks", "rtc", "selection", "statistics", "tempcomp", "tracking")
_NAME = re.compile(
    rf"({'|'.join(KINDS)})(?:(\.log)|\.log[.-].+|[.-]\d[\w.-]*\.log(?:\.gz|\.zst)?)", re.ASCII | re.DOTALL
)
_FOREIGN_PACKING = (".xz", ".bz2", ".lz4", ".lzma", ".Z", ".zip")
# A line without its end that nobody has touched for so long in a log that was rotated away stays as it is.
_SETTLED_S = 3600.0


@dataclass(frozen=True, slots=True)
class Named:
    """A file of a folder that is called like a log of chrony, or like one that was rotated.

    Attributes
    ----------
    log : str
        Path that the log has while chronyd writes it.
    live : bool
        Whether this is that path.
    """

    path: Path
    log: str
    live: bool
    status: os.stat_result

    @property
    def carrier(self) -> Carrier:
        """Return what is recorded of it."""
        s = self.status
        return Carrier(self.path.name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns)


def find_logs(folder: Path) -> list[Named]:
    """Return the logs of a folder: for each log its predecessors, oldest first, and then the log itself.

    Raises
    ------
    SourceError
        The folder cannot be listed.
    """
    found = []
    try:
        for path in sorted(folder.iterdir()):
            parts = _NAME.fullmatch(path.name)
            if parts is None:
                continue
            # Between listing and asking it may have been renamed: the next run sees it under its new name.
            with suppress(FileNotFoundError):
                status = os.stat(path)
                if stat.S_ISREG(status.st_mode):
                    log = str(folder / f"{parts[1]}.log")
                    found.append(Named(path, log, parts[2] is not None, status))
    except OSError as error:
        raise explain_os_error(error, folder) from error
    found.sort(key=lambda item: (item.log, item.live, item.status.st_mtime_ns, item.path.name))
    return list(_each_once(found))


def _each_once(found: list[Named]) -> Iterator[Named]:
    """Leave out further names (links) of one file, and keep that of the log itself."""
    seen = {(item.status.st_dev, item.status.st_ino) for item in found if item.live}
    for item in found:
        identity = item.status.st_dev, item.status.st_ino
        if item.live or identity not in seen:
            seen.add(identity)
            yield item


class LogFile:
    """An open log; offsets are those of its content, whether it is compressed or not.

    Attributes
    ----------
    size : int
        Bytes of content when it was opened; what comes later is for the next run.
    final : bool
        Nothing will be added to it.
    first : str or None
        Hash of its first row, see `first_row`.
    """

    def __init__(self, named: Named, scratch: Path, now_s: float) -> None:
        if named.path.name.endswith(_FOREIGN_PACKING):
            hint = "Let logrotate use gzip or zstd; unpack this one, and it is taken."
            raise SourceError("is packed in a way that is not read here", where=str(named.path), hint=hint)
        with open_source(named.path) as source:
            status = os.fstat(source.fd)
            self.named = Named(named.path, named.log, named.live, status)
            self.compressed = source.kind in ("gzip", "zstd")
            self._fd = _unpacked(source, scratch) if self.compressed else os.dup(source.fd)
        self.size = os.fstat(self._fd).st_size if self.compressed else status.st_size
        idle_s = now_s - status.st_mtime
        self.final = self.compressed or (not named.live and idle_s > _SETTLED_S)
        try:
            self._head = self.read(0, min(self.size, HEAD_BYTES))
        except SourceError:
            self.close()
            raise
        self.first = first_row(self._head, final=self.final and self.size > 0)

    @property
    def path(self) -> str:
        """The file, for messages."""
        return str(self.named.path)

    def read(self, begin: int, end: int) -> bytes:
        """Return bytes of the content; fewer if the file was cut meanwhile.

        Raises
        ------
        SourceError
            The device reports an error.
        """
        return read_range(self._fd, begin, end, self.path)

    def mark(self, offset: int) -> str:
        """Return the hash of what stands before an offset."""
        return mark(self.read, offset)

    def begins_with(self, other: "LogFile") -> bool:
        """Tell whether all of the other file's content is the beginning of this one's."""
        return other.size <= self.size and self.mark(other.size) == other.mark(other.size)

    def still_has(self, begin: int, data: bytes) -> bool:
        """Tell whether what was read from it is what it still holds.

        copytruncate may empty it between two reads, and then new lines may stand where old ones stood: their
        dates differ, at the beginning of the file or at the end of what was read.
        """
        tail = max(0, len(data) - HEAD_BYTES)
        end = begin + len(data)
        return (
            os.fstat(self._fd).st_size >= self.size
            and self.read(0, len(self._head)) == self._head
            and self.read(begin + tail, end) == data[tail:]
        )

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)


def _unpacked(source: Source, scratch: Path) -> int:
    """Return a descriptor of a nameless file with the content, so that it can be read by offsets."""
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:
            for data in source.chunks():
                file.write(data)
            file.flush()
            return os.dup(file.fileno())
    except OSError as error:
        raise explain_os_error(error, source.path) from error
