"""Names of folders and files for names that are data.

Whatever a dataset or an asset is called, its file never leaves the output folder and never overwrites
another's, on file systems that ignore case or Unicode normalisation too. Names without anything odd stay as
they are.

The rules, in this order:

- control characters, ``/``, ``\\``, ``%`` and ``~`` become ``%XX`` (of their UTF-8 bytes), and so do a
  leading dot, a trailing dot or blank, and the first letter of a reserved name; an empty one is ``%empty``;
- what is longer than 200 bytes is cut, and gets ``~`` and 16 hex digits of a hash of the whole name;
- names that some file system would take for one another all get ``~`` and their hashes.

``%`` and ``~`` are always escaped, so two names never lead to the same one.
"""

import hashlib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from typing import Any

__all__ = ["escape_controls", "folded", "folder_names", "path_names"]

_LONGEST_BYTES = 200
# Linux takes 4,096 bytes for a whole path; the output folder needs some of them.
_LONGEST_PATH_BYTES = 2_000
_EMPTY = "%empty"
_TOO_LONG = "%long"
_ODD = frozenset(map(chr, range(0x20))) | frozenset("\x7f/\\%~")


def escape_controls(text: str) -> str:
    """Return a text as it stands in an exported table: control characters become ``%XX``."""
    if text.isprintable():
        return text
    return "".join(f"%{ord(char):02X}" if char < " " or char == "\x7f" else char for char in text)


def folder_names(names: Iterable[str], *, reserved: Collection[str] = ("archive",)) -> dict[str, str]:
    """Return a folder name for each name.

    Parameters
    ----------
    names : iterable of str
        Any texts; repeated ones count once.
    reserved : collection of str, default ("archive",)
        Names that are taken, whatever their case.

    Returns
    -------
    dict of str to str
        Depends on the set of names only. Each value is one path part of at most 217 bytes.
    """
    taken = {folded(name) for name in reserved}
    stems = {name: _stem(name, taken) for name in names}
    return {name: stem + mark for (name, stem), mark in zip(stems.items(), _marks(stems), strict=True)}


def path_names(paths: Iterable[str], *, suffix: str = "") -> dict[str, str]:
    """Return a relative file name for each path with ``/`` between its parts.

    Parameters
    ----------
    paths : iterable of str
        Any texts; repeated ones count once. A path may begin with ``/``, hold empty parts and ``..``, and may
        stand beside paths below it (``a`` and ``a/b``).
    suffix : str, default ""
        Put behind each file name, such as ``".tsv"``; folders do not get it.

    Returns
    -------
    dict of str to str
        Depends on the set of paths only. No value is a folder above another one. A path that would be longer
        than 2,000 bytes stands as a hash below ``%long``.
    """
    unique = dict.fromkeys(paths)
    root = _Node()
    for path in unique:
        *folders, file = path.split("/")
        node = root
        for part in folders:
            node = node.folders.setdefault(part, _Node())
        node.files.setdefault(file, "")
    waiting = [root]
    while waiting:
        node = waiting.pop()
        node.name_entries(suffix)
        waiting.extend(node.folders.values())
    return {path: _joined(path, root, suffix) for path in unique}


class _Node:
    """A folder of the tree of all paths; its entries get their names together."""

    __slots__ = ("files", "folders", "name")

    def __init__(self) -> None:
        self.folders: dict[str, _Node] = {}
        self.files: dict[str, str] = {}
        self.name = ""

    def name_entries(self, suffix: str) -> None:
        stems = {("folder", part): _stem(part, ()) for part in self.folders}
        stems |= {("file", part): _stem(part, ()) for part in self.files}
        shown = {entry: stem + suffix if entry[0] == "file" else stem for entry, stem in stems.items()}
        for (entry, stem), mark in zip(stems.items(), _marks(shown), strict=True):
            kind, part = entry
            if kind == "file":
                self.files[part] = stem + mark + suffix
            else:
                self.folders[part].name = stem + mark


def _joined(path: str, root: _Node, suffix: str) -> str:
    *folders, file = path.split("/")
    node = root
    parts = []
    for part in folders:
        node = node.folders[part]
        parts.append(node.name)
    name = "/".join([*parts, node.files[file]])
    if len(name.encode()) <= _LONGEST_PATH_BYTES:
        return name
    return f"{_TOO_LONG}/{_hash(path, 16)}{suffix}"


def _stem(name: str, taken: Collection[str]) -> str:
    """Escape a name, and cut it with a hash where it is too long."""
    if not name:
        return _EMPTY
    units = ["".join(f"%{byte:02X}" for byte in _bytes(char)) if _is_odd(char) else char for char in name]
    if units[0] == ".":
        units[0] = "%2E"
    if units[-1] in (".", " "):
        units[-1] = f"%{ord(units[-1]):02X}"
    if taken and folded(name) in taken:
        units[0] = "".join(f"%{byte:02X}" for byte in _bytes(name[0]))
    sizes = [len(unit.encode()) for unit in units]
    if sum(sizes) <= _LONGEST_BYTES:
        return "".join(units)
    kept, length = 0, 0
    while length + sizes[kept] <= _LONGEST_BYTES:
        length += sizes[kept]
        kept += 1
    return f"{''.join(units[:kept])}~{_hash(name, 8)}"


def _is_odd(char: str) -> bool:
    return char in _ODD or "\x80" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"


def _marks(stems: Mapping[Any, str]) -> list[str]:
    """Return ``~`` and a hash for each name (or kind and name) that looks like another, else nothing."""
    shown = [folded(stem) for stem in stems.values()]
    counts: dict[str, int] = {}
    for text in shown:
        counts[text] = counts.get(text, 0) + 1
    return [
        f"~{_hash(_identity(entry), 8)}" if counts[text] > 1 else ""
        for entry, text in zip(stems, shown, strict=True)
    ]


def _identity(entry: str | tuple[str, str]) -> str:
    return entry if isinstance(entry, str) else "\0".join(entry)


def folded(text: str) -> str:
    """Return what file systems that ignore case, or normalise, may take the name for."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text).casefold().upper().casefold()
    return unicodedata.normalize("NFKD", plain)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _hash(text: str, size: int) -> str:
    return hashlib.blake2b(_bytes(text), digest_size=size).hexdigest()
