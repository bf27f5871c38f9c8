"""Objects that the NTP log processor left behind: ``<node>-<yyyy-mm-dd>...``, in a folder or in S3."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.discovery import Wanted, discover, is_s3, natural_key
from tickline.errors import TicklineError, UsageError
from tickline.sources import decompress, open_source

if TYPE_CHECKING:
    from tickline.clients.s3 import S3Client, S3Object

__all__ = ["OldObject", "OldObjects", "find_objects"]


@dataclass(frozen=True, slots=True)
class OldObject:
    """One object.

    Attributes
    ----------
    name : str
        Behind the last ``/``.
    day : str
        What its name says, ``yyyy-mm-dd``: when it was uploaded. Its rows may be older.
    size : int
        Bytes, compressed if it is.
    content : callable
        Gives its content, decompressed, in pieces.
    """

    name: str
    where: str
    day: str
    size: int
    content: Callable[[], Iterator[bytes]]


@dataclass(slots=True)
class OldObjects:
    """What was found, by day and name; `place` is the folder or prefix for the archive's records."""

    place: str
    objects: list[OldObject] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[TicklineError] = field(default_factory=list)


def find_objects(place: str, node: str, stack: ExitStack, *, endpoint: str | None = None) -> OldObjects:
    """Find the objects of a node.

    Parameters
    ----------
    place : str
        A folder (at any depth), or ``s3://bucket/prefix``.
    node : str
        Whose; those of others are left out.
    stack : ExitStack
        Closes the connections in the end.
    endpoint : str, optional
        URL of the S3 server, in place of what the environment says.

    Raises
    ------
    UsageError
        There are none.
    SourceError
        The folder or the bucket cannot be listed.
    """
    named = re.compile(rf"{re.escape(node)}-(\d{{4}}-\d\d-\d\d)(?!\d).*", re.ASCII | re.DOTALL)
    found = _in_s3(place, named, stack, endpoint) if is_s3(place) else _in_folder(place, named)
    if not found.objects and not found.problems:
        hint = f"They are called {node}-<yyyy-mm-dd>..., with `node` as in archive.toml."
        raise UsageError(f"holds no object of node {node!r}", where=place, hint=hint)
    found.objects.sort(key=lambda item: (item.day, natural_key(item.name), item.where))
    return found


def _in_folder(place: str, named: re.Pattern[str]) -> OldObjects:
    root = Path(place)
    if not root.is_dir():
        hint = "Name the folder that holds the objects, or s3://bucket/prefix."
        raise UsageError("is no folder", where=place, hint=hint)
    wanted = Wanted(
        "objects of the NTP log processor",
        lambda name: named.fullmatch(name) is not None,
        "<node>-<yyyy-mm-dd>...",
        "not named like an object of this node",
    )
    files = discover(root, wanted=wanted)
    found = OldObjects(str(root.absolute()), left_out=files.left_out, problems=list(files.problems))
    for file in files.files:
        name = Path(file.path).name
        if day := named.fullmatch(name):
            size = Path(file.path).stat().st_size
            found.objects.append(OldObject(name, file.path, day[1], size, _Opener(file.path)))
    return found


@dataclass(frozen=True, slots=True)
class _Opener:
    path: str

    def __call__(self) -> Iterator[bytes]:
        with open_source(self.path) as source:
            yield from source.chunks()


def _in_s3(place: str, named: re.Pattern[str], stack: ExitStack, endpoint: str | None) -> OldObjects:
    from tickline.clients.s3 import S3Client, S3Location

    location = S3Location.parse(place)
    client = S3Client(endpoint=endpoint)
    stack.callback(client.close)
    found = OldObjects(place.rstrip("/"))
    for item in client.list(location):
        name = item.key.rpartition("/")[2]
        if day := named.fullmatch(name):
            found.objects.append(OldObject(name, item.url, day[1], item.size, _Remote(client, item)))
        else:
            found.left_out["not named like an object of this node"] += 1
    return found


@dataclass(frozen=True, slots=True)
class _Remote:
    client: "S3Client"
    item: "S3Object"

    def __call__(self) -> Iterator[bytes]:
        with self.client.open(self.item) as reader:
            yield from decompress(reader, self.item.url)
