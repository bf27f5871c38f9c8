"""Errors that people read: what went wrong, where, and what to do about it."""

import errno
import os
import zlib
from pathlib import Path

__all__ = ["InternalError", "SourceError", "TicklineError", "UsageError", "explain_os_error", "printable"]

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})

_SENTENCES = {
    errno.ENOENT: ("does not exist", "Check the name; a file that vanished is reported by the next run."),
    errno.EACCES: ("may not be opened", "Check its permissions and those of its folder."),
    errno.EPERM: ("may not be opened", "Check its permissions and those of its folder."),
    errno.EEXIST: ("exists already and is no folder", "Remove it, or choose another place."),
    errno.EISDIR: ("is a folder", "Name a file here."),
    errno.ENOTDIR: ("stands below something that is not a folder", "Check the name."),
    errno.ENOSPC: ("the disk is full", "Make room or choose another place, then run it again: it goes on."),
    errno.EDQUOT: ("the disk quota is used up", "Make room or choose another place, then run it again."),
    errno.EFBIG: ("the file grew beyond the allowed size", "Raise the limit (ulimit -f) and run it again."),
    errno.EROFS: ("the file system is read-only", "Choose another place."),
    errno.ENAMETOOLONG: ("the name is too long for the file system", "Shorten the name of the source."),
    errno.EIO: ("the device reports a read or write error", "Check the disk; copy the file from its origin."),
    errno.ELOOP: ("too many symbolic links lead there", "Remove the loop of links."),
}


def printable(text: str) -> str:
    """Return `text` fit for a terminal and for one line: control and undecodable characters are escaped."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    try:
        return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half of a pair, which stands for no byte
        return f"\\u{ord(char):04x}"


class TicklineError(Exception):
    """Something that the user can act on.

    Parameters
    ----------
    what : str
        What went wrong, without a full stop.
    where : str, optional
        The file or option it happened at.
    hint : str, optional
        What to do, as a sentence.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{printable(self.where)}: " if self.where is not None else ""
        return f"{place}{self.what}." + (f" {self.hint}" if self.hint else "")


class SourceError(TicklineError, OSError):
    """One source could not be read, or its output could not be written; others are not concerned."""

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, number: int | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.errno = number

    @property
    def disk_full(self) -> bool:
        """Whether there is no room left, so that trying further sources is no use."""
        return self.errno in _FULL_DISK


class UsageError(TicklineError, ValueError):
    """The command or the call was wrong: nothing was read and nothing was written."""


class InternalError(TicklineError, RuntimeError):
    """A promise of this program does not hold; its results must not be used."""


def explain_os_error(error: BaseException, where: str | os.PathLike[str]) -> SourceError:
    """Turn what the system or a decompressor says into a `SourceError` that names the file.

    Parameters
    ----------
    error : BaseException
        What was raised.
    where : str or os.PathLike
        The file that was worked on; a file name inside `error` is preferred.
    """
    if isinstance(error, SourceError):
        return error
    place = os.fspath(where)
    if isinstance(error, zlib.error):
        return SourceError(f"its gzip data is damaged ({error})", where=place, hint="Copy the file again.")
    if not isinstance(error, OSError):
        return SourceError(f"{type(error).__name__}: {error}", where=place, hint="Use --debug to see more.")
    if isinstance(error.filename, str) and error.filename:
        place = error.filename
    sentence, hint = _SENTENCES.get(error.errno or 0, (error.strerror or str(error), ""))
    return SourceError(sentence, where=str(Path(place)), hint=hint or None, number=error.errno)
