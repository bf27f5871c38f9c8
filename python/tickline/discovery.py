"""Which files of a folder are S3 access logs, in an order that does not depend on the file system."""

import os
import re
import stat
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tickline.errors import SourceError, explain_os_error

__all__ = [
    "LOGS",
    "LOOKED_FOR",
    "TABLES",
    "TABLES_OF_KEYS",
    "Discovery",
    "Found",
    "Wanted",
    "discover",
    "is_log_name",
    "is_s3",
    "natural_key",
    "strip_suffixes",
]

LOOKED_FOR = (
    "*.log (such as 2024/05/01.log) and S3's own object names "
    "(such as 2024-05-01-00-12-33-0123456789ABCDEF), each also with .gz or .zst, at any depth"
)

# AWS, "Amazon S3 server access logging": [prefix]YYYY-MM-DD-hh-mm-ss-UniqueString. The prefix need not end in
# "/".
_OBJECT_NAME = re.compile(r".*\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-Z]{16}", re.DOTALL)
_DIGITS = re.compile(r"(\d+)", re.ASCII)

Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A log file: where it is, and its name below the folder (parts joined by ``/``)."""

    path: str
    name: str


@dataclass(slots=True)
class Discovery:
    """What a folder holds.

    Attributes
    ----------
    files : list of Found
        The logs, in natural order of their names.
    left_out : collections.Counter
        How many entries were not taken, by reason.
    problems : list of SourceError
        Folders that could not be listed.
    """

    files: list[Found] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[SourceError] = field(default_factory=list)


def strip_suffixes(name: str) -> str:
    """Return the name without ``.gz``/``.zst`` and then without ``.log``: ``01.log.gz`` gives ``01``."""
    for suffix in (".gz", ".zst"):
        if name.endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
            break
    return name[:-4] if name.endswith(".log") and len(name) > 4 else name


def is_log_name(name: str) -> bool:
    """Tell whether a file of this name (without folders) is taken for an S3 access log."""
    for suffix in (".gz", ".zst"):
        if name.endswith(suffix):
            name = name[: -len(suffix)]
            break
    return (name.endswith(".log") and len(name) > 4) or _OBJECT_NAME.fullmatch(name) is not None


class Wanted(NamedTuple):
    """What is taken of a folder, told by the names of files.

    Attributes
    ----------
    what : str
        What they are, for messages.
    is_name : callable
        Whether a file of this name (without folders) is one.
    looked_for : str
        Their names, for messages.
    why_not : str
        Why others are left out.
    hidden : tuple of str
        Files and folders whose names begin so are not looked at.
    """

    what: str
    is_name: Callable[[str], bool]
    looked_for: str
    why_not: str
    hidden: tuple[str, ...] = (".",)


def _is_table_name(name: str) -> bool:
    return name.endswith(".tsv")


LOGS = Wanted("logs", is_log_name, LOOKED_FOR, "not named like a log")
TABLES = Wanted("tables", _is_table_name, "*.tsv, at any depth", "not named like a table")
"""What dandi_s3_log_parser made of logs, for each day."""

TABLES_OF_KEYS = TABLES._replace(hidden=(".tickline", "._"))
"""The same for each key, which may begin with a dot; ``._`` is what macOS leaves beside files."""


def natural_key(name: str) -> tuple[list[list[str | int]], str]:
    """Order names by parts, digits as numbers: ``2024/9`` before ``2024/10``."""
    # A split at digits alternates between text and number, so only like is compared with like.
    parts = [_DIGITS.split(part) for part in name.split("/")]
    return [[int(piece) if index % 2 else piece for index, piece in enumerate(part)] for part in parts], name


class _Walk:
    def __init__(self, exclude: frozenset[Identity], wanted: Wanted) -> None:
        self.found = Discovery()
        self.wanted = wanted
        self.seen_folders: set[Identity] = set(exclude)
        self.seen_files: set[Identity] = set()
        self.links: list[tuple[str, str]] = []

    def folder(self, path: str, prefix: str) -> None:
        """List one tree with a list of folders still to do: a deep tree must not exhaust the stack."""
        waiting = [(path, prefix)]
        while waiting:
            path, prefix = waiting.pop()
            try:
                status = os.stat(path)
                identity = (status.st_dev, status.st_ino)
                if identity in self.seen_folders:
                    self.found.left_out["folder seen before, or OUT itself"] += 1
                    continue
                self.seen_folders.add(identity)
                with os.scandir(path) as entries:
                    for entry in entries:
                        self._entry(entry, prefix, waiting)
            except OSError as error:
                self.found.problems.append(explain_os_error(error, path))

    def _entry(self, entry: os.DirEntry[str], prefix: str, waiting: list[tuple[str, str]]) -> None:
        if entry.name.startswith(self.wanted.hidden):
            self.found.left_out["hidden"] += 1
        elif entry.is_symlink():
            self.links.append((entry.path, prefix + entry.name))
        elif entry.is_dir():
            waiting.append((entry.path, f"{prefix}{entry.name}/"))
        else:
            try:
                self._file(entry.path, prefix + entry.name, entry.stat(follow_symlinks=False))
            except OSError as error:
                # It vanished since the folder was opened; the folder's other files are not concerned.
                if self.wanted.is_name(entry.name):
                    self.found.problems.append(explain_os_error(error, entry.path))

    def _file(self, path: str, name: str, status: os.stat_result) -> None:
        base = name.rpartition("/")[2]
        if not stat.S_ISREG(status.st_mode):
            self.found.left_out["pipe, socket or device"] += 1
        elif base == "truth.json":
            self.found.left_out["truth.json"] += 1
        elif not self.wanted.is_name(base):
            self.found.left_out[self.wanted.why_not] += 1
        else:
            self.seen_files.add((status.st_dev, status.st_ino))
            self.found.files.append(Found(path, name))

    def follow_links(self) -> None:
        """Links come last, so that what is reached without one keeps its own name."""
        while self.links:
            links, self.links = sorted(self.links), []
            for path, name in links:
                self._link(path, name)

    def _link(self, path: str, name: str) -> None:
        try:
            status = os.stat(path)
        except OSError as error:
            if self.wanted.is_name(name.rpartition("/")[2]):
                self.found.problems.append(explain_os_error(error, path))
            else:
                self.found.left_out["link that leads nowhere"] += 1
            return
        if stat.S_ISDIR(status.st_mode):
            self.folder(path, name + "/")
        elif (status.st_dev, status.st_ino) in self.seen_files:
            self.found.left_out["link to a file that is read anyway"] += 1
        else:
            self._file(path, name, status)


def discover(
    root: str | os.PathLike[str], *, exclude: frozenset[Identity] = frozenset(), wanted: Wanted = LOGS
) -> Discovery:
    """Find the S3 access logs below `root`.

    Parameters
    ----------
    root : str or os.PathLike
        A folder. Links are followed, each folder is listed once, and hidden entries are left out.
    exclude : frozenset of (st_dev, st_ino)
        Folders that are not entered (the folder of outputs).
    wanted : Wanted
        What else than logs is looked for.

    Returns
    -------
    Discovery
        The logs in a stable order, what was left out, and the folders that could not be listed.
    """
    walk = _Walk(exclude, wanted)
    walk.folder(os.fspath(root), "")
    walk.follow_links()
    walk.found.files.sort(key=lambda found: natural_key(found.name))
    return walk.found


def is_s3(text: str) -> bool:
    """Tell whether `text` is meant as an address in S3 rather than as a path."""
    return text[:5].lower() == "s3://" or text[:4].lower() == "s3:/"
