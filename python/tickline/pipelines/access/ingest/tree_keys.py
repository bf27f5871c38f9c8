"""Which key a table of a binned tree is of: the path of its file, or what ``names.tsv`` says.

dandi_s3_log_parser names a file by its key and ``.tsv``. Tickline's own export of such a tree does the same,
but for keys that no file can be called by; those stand in ``names.tsv`` at the root.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tickline.errors import SourceError, UsageError
from tickline.pipelines.access.ingest.inputs import Input
from tickline.pipelines.access.reduce.rejects import unescape
from tickline.reference.access_tree import header

__all__ = ["NAMES", "check_root", "parse_names", "with_keys"]

NAMES = "names.tsv"
_SUFFIX = ".tsv"
_HEADER = b"file\tkey"
# Tracking files of the program that makes binned trees; they lie at the root.
_TRACKING = ("binned_log_file_paths_started.txt", "binned_log_file_paths_completed.txt")
_LEFT_OUT = "names of files of the tree"


def check_root(raw: str) -> None:
    """Refuse a folder within a binned tree: its keys would lack what stands before.

    Raises
    ------
    UsageError
        A folder above holds the tracking files of a tree, and this one does not.
    """
    path = Path(raw).resolve()
    if any((path / name).exists() for name in _TRACKING):
        return
    for parent in path.parents:
        if any((parent / name).exists() for name in _TRACKING):
            what = "is a part of a binned tree, whose keys are the paths below its root"
            raise UsageError(what, where=raw, hint=f"Name the root: {parent}")


def with_keys(found: Iterable[tuple[str, Input]], left_out: dict[str, int]) -> Iterator[Input]:
    """Give each table its key.

    Parameters
    ----------
    found : iterable of (str, Input)
        All tables of one tree, with their names below its root.
    left_out : dict of str to int
        Is told of ``names.tsv``, which is no table.

    Raises
    ------
    SourceError
        ``names.tsv`` cannot be read: the keys of some tables are not known then.
    """
    items = list(found)
    keys: dict[str, bytes] = {}
    listed = next((item for name, item in items if name == NAMES), None)
    if listed is not None:
        with listed.open() as opened:
            data = b"".join(opened.chunks())
        # A key may be called "names".
        if data and data.partition(b"\n")[0].removesuffix(b"\r") != header("binned"):
            keys = parse_names(data, listed.name)
            items = [(name, item) for name, item in items if item is not listed]
            left_out[_LEFT_OUT] = left_out.get(_LEFT_OUT, 0) + 1
    for name, item in items:
        yield replace(item, key=keys.get(name) or os.fsencode(name.removesuffix(_SUFFIX)))


def parse_names(data: bytes, where: str) -> dict[str, bytes]:
    r"""Return the key of each file; ``\xNN`` in a cell is a byte, as `rejects.escape` writes it.

    Raises
    ------
    SourceError
        It is no such list, or was cut off.
    """
    hint = "Restore it, or make the tree anew: without it the keys of some tables are not known."
    lines = data.split(b"\n")
    if lines[0].removesuffix(b"\r") != _HEADER:
        what = "is neither a table nor a list of names (file, key)"
        raise SourceError(what, where=where, hint=hint)
    if lines.pop():
        raise SourceError("its last line has no end: it was cut off", where=where, hint=hint)
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines[1:], 2):
        cells = line.removesuffix(b"\r").split(b"\t")
        try:
            file, key = (unescape(cell.decode()) for cell in cells)
        except ValueError:
            what = "is no line of a list of names (file, key)"
            raise SourceError(what, where=f"{where}, line {number}", hint=hint) from None
        keys[os.fsdecode(file)] = key
    return keys
