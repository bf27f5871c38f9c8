r"""Names of the files of a tree with a place for each key, as the old programs named them.

A name is the key itself wherever a file system can hold it and no other name of the tree is in its way: also
with ``%`` and ``~`` in it, or a dot in front of a part. All other keys get the name that `names.path_names`
gives them, then ``~`` and 16 hex digits of a hash of the key, so that no name is another's:

- empty parts, ``.`` and ``..``, control characters, ``\``, a dot or a blank at the end of a part, parts that
  begin with ``.tickline``, parts or whole names that are too long, ``~`` before 16 hex digits;
- at the top of the tree what is reserved: ``names.tsv``, and ``.stop_extraction``, which to s3-log-extraction
  means to stop;
- keys that some file system would take for one another (``A`` and ``a``): all of them;
- a key with a file that is a folder of another one (``a.tsv`` beside ``a.tsv/b.tsv``,
  ``a/timestamps.txt`` beside ``a/timestamps.txt/timestamps.txt``): both.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tickline.pipelines.access.export.names import folded, path_names

__all__ = ["LIST", "Wish", "above", "file_name", "wished"]

LIST = "names.tsv"
"""At the top of a tree: which names are not their keys. It is there only if there are any."""

_MOST_PART_BYTES = 255
# Linux takes 4,096 bytes for a whole path; the output folder needs some of them.
_MOST_BYTES = 2_000
_ODD = re.compile(
    # An empty part or one that begins with .tickline; the end of one; what stands anywhere.
    r"(?:^|/)(?=/|\Z|\.tickline)|[. ](?=/|\Z)|[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|~[0-9a-f]{16}",
    re.IGNORECASE,
)
_RESERVED = frozenset({LIST, ".stop_extraction"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What something would like to be called, and whether it may be.

    Attributes
    ----------
    name : str
        Its name if nothing is in its way: what it wants to be called, or what `file_name` makes of that.
    odd : bool
        Whether it can never be called what it wants to be.
    place : int
        A hash of `name`, the same for names that some file system would take for one another.
    """

    name: str
    odd: bool
    place: int


def wished(text: str, identity: str, suffixes: tuple[str, ...]) -> Wish:
    """Return how something that wants to be called `text` is called as long as nothing is in its way.

    Parameters
    ----------
    text : str
        With ``/`` between the parts, without suffix.
    identity : str
        What tells it from all others.
    suffixes : tuple of str
        Of its files: ``(".tsv",)``, or ``("/timestamps.txt", ...)`` for a folder with files in it.
    """
    odd = _is_odd(text, suffixes)
    name = file_name(text, identity) if odd else text
    return Wish(name, odd, _place(folded(name)))


def file_name(text: str, identity: str) -> str:
    """Return the name, without suffix, of something that cannot be called what it wants to be."""
    digest = hashlib.blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    name = f"{path_names([text])[text]}~{digest}"
    # No folder can have the name of the list; no other name begins with "%n".
    return f"%{name}" if folded(name.partition("/")[0]) in _RESERVED else name


def above(name: str, suffixes: tuple[str, ...]) -> Iterator[int]:
    """Give the places of all names whose files would be folders of the files of this one."""
    whole = folded(name)
    for suffix in suffixes:
        # Files in a folder: the last part of the name is a folder as well.
        path = f"{whole}/" if suffix.startswith("/") else whole
        at = path.find(f"{suffix}/")
        while at >= 0:
            yield _place(whole[:at])
            at = path.find(f"{suffix}/", at + 1)


def _is_odd(text: str, suffixes: tuple[str, ...]) -> bool:
    if _ODD.search(text):
        return True
    # What stands at the top is a folder, or the file itself.
    suffix = "" if suffixes[0].startswith("/") else suffixes[0]
    top, deeper, _ = text.partition("/")
    if folded(top if deeper else top + suffix) in _RESERVED or len(text.encode()) > _MOST_BYTES:
        return True
    longest = _MOST_PART_BYTES - len(suffix)
    return len(text) * 4 > longest and any(len(part.encode()) > longest for part in text.split("/"))


def _place(shown: str) -> int:
    digest = hashlib.blake2b(shown.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
