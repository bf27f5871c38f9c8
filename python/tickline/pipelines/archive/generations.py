"""What is known of a log's content: how far it was taken, and how to find it again under another name.

A generation is what one log file was told from its first byte on. It is known by its *content*, because every
other sign of identity fails somewhere: rename keeps the inode and loses the name, copytruncate keeps both and
loses the content, compression loses all three, and a restored disk has other inodes. Three things are kept:
a hash of the first row (which has a date), the offset up to which lines were taken, and a hash of the bytes
before that offset. A file with the same ones begins with the very bytes that were taken.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from tickline.file_marks import digest

__all__ = ["Carrier", "Generation", "first_row"]

HEAD_BYTES = 8192
_EARLIER = 4
# Banners begin with "=" or a blank, rows with the year.
_ROW = re.compile(rb"^\d[^\n]*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A file that holds the content of a generation, or the beginning of it, as it was last seen.

    Attributes
    ----------
    done : bool
        It is compressed, and all of it is taken: as long as it is `unchanged`, it need not be unpacked again.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    done: bool = False

    @property
    def unchanged(self) -> tuple[int, int, int, int]:
        """What stays the same under another name as long as nobody writes into it."""
        return self.device, self.inode, self.size, self.mtime_ns


@dataclass(slots=True)
class Generation:
    """Where one generation stands.

    Attributes
    ----------
    number : int
        Of this node, never used again.
    log : str
        Path of the log under its usual name.
    offset : int
        Bytes taken, from the beginning of the content.
    first, mark : str
        Hashes of the first row, and of the bytes before `offset`.
    earlier : list of (int, str)
        Offset and mark of some chunks before: a loss of power may leave a log a little shorter.
    files : list of Carrier
        Which files held it when it was last looked for.
    gone_s : float or None
        Since when (seconds since 1970, the node's clock) no file holds it.
    """

    number: int
    log: str
    offset: int
    first: str
    mark: str
    earlier: list[tuple[int, str]] = field(default_factory=list)
    files: list[Carrier] = field(default_factory=list)
    gone_s: float | None = None

    def copy(self) -> "Generation":
        """Return one that may be changed."""
        return replace(self, earlier=list(self.earlier), files=list(self.files))

    def advance(self, offset: int, mark: str) -> None:
        """Note that everything before `offset` is taken."""
        if self.offset:
            self.earlier = [*self.earlier[1 - _EARLIER :], (self.offset, self.mark)]
        self.offset, self.mark = offset, mark

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in headers and in the state."""
        return {
            "number": self.number,
            "log": self.log,
            "offset": self.offset,
            "first": self.first,
            "mark": self.mark,
            "earlier": [list(pair) for pair in self.earlier],
            "files": [[c.name, c.device, c.inode, c.size, c.mtime_ns, c.done] for c in self.files],
            "gone_s": self.gone_s,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Generation":
        """Read `as_json`; KeyError, TypeError or ValueError if it is something else."""
        numbers = (found["number"], found["offset"])
        texts = (found["log"], found["first"], found["mark"])
        if not all(type(value) is int and value >= 0 for value in numbers):
            raise TypeError("number or offset is none")
        if not all(isinstance(value, str) for value in texts):
            raise TypeError("log, first or mark is no text")
        gone = found["gone_s"]
        return cls(
            number=numbers[0],
            log=texts[0],
            offset=numbers[1],
            first=texts[1],
            mark=texts[2],
            earlier=[(int(offset), str(text)) for offset, text in found["earlier"]],
            files=[
                Carrier(str(name), int(device), int(inode), int(size), int(mtime_ns), done is True)
                for name, device, inode, size, mtime_ns, done in found["files"]
            ],
            gone_s=None if gone is None else float(gone),
        )


def first_row(head: bytes, *, final: bool = False) -> str | None:
    """Return the hash of the first row, None if there is none yet.

    Parameters
    ----------
    head : bytes
        The first 8192 bytes, or all there are.
    final : bool
        Nothing will be added: if there is no row, all of `head` stands for it.
    """
    found = _ROW.search(head)
    if found:
        # What stands before it too: banners differ between versions.
        return digest(head[: found.end()], 16)
    # No log of chrony begins so; but what it is must not decide whether it is kept.
    return digest(head, 16) if final or len(head) >= HEAD_BYTES else None
