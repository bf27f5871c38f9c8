"""What the scans of all log formats share: which sources there are, and what became of their lines."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from tickline import _core, accounting
from tickline.discovery import Discovery, Wanted, discover
from tickline.errors import SourceError, UsageError
from tickline.inputs import Input
from tickline.table import Table, rejects_of

__all__ = ["LineScan", "discovered", "expand"]


class LineScan:
    """Options of a scan, and the sources that it read to their ends."""

    def __init__(self, batch_rows: int, max_line_bytes: int) -> None:
        if batch_rows < 1:
            raise UsageError("at least one row is needed", where="batch_rows")
        self._batch_rows = batch_rows
        self._max_line_bytes = max_line_bytes
        self._ended: list[tuple[str, dict[str, Any], _core.Rejects]] = []

    @property
    def accounting(self) -> dict[str, Any]:
        """What became of every line of the sources that were read to their ends so far.

        ``{"sources": [{"path", "lines", "bytes", "accepted", "filtered", "rejected", "noted"}], "total":
        {...}}``; `bytes` are decompressed ones, and the last three are dicts of counts by reason.
        """
        return accounting.report((name, counts) for name, counts, _ in self._ended)

    @property
    def rejects(self) -> Table:
        """Lines that are no rows of their format, of the sources that were read to their ends so far.

        Columns: ``source``, ``line`` (from 1), ``offset`` and ``length`` (bytes of decompressed content, from
        0, without the line end), ``reason``.
        """
        return rejects_of([(name, found) for name, _, found in self._ended])

    def _end(self, name: str, scan: _core.AccessScan | _core.ChronyScan | _core.ConnectionsScan) -> None:
        counts = dict(scan.counts())
        accounting.check(counts, name)
        self._ended.append((name, counts, scan.take_rejects()))


def expand(source: object, logs_in: Callable[[str], list[str]]) -> list[Input]:
    """Turn what the caller gave into single sources: a list into its items, a folder into `logs_in` it."""
    if isinstance(source, list | tuple):
        return [single for item in source for single in expand(item, logs_in)]
    if not isinstance(source, str | os.PathLike):
        return [cast(Input, source)]
    path = os.fspath(source)
    return [path] if path == "-" or not Path(path).is_dir() else [*logs_in(path)]


def discovered(folder: str, wanted: Wanted) -> Discovery:
    """Find the logs in a folder, at any depth and in natural order.

    Raises
    ------
    SourceError
        There are none, or a part of the folder cannot be listed.
    """
    found = discover(folder, wanted=wanted)
    if found.problems:
        raise found.problems[0]
    if not found.files:
        what = f"no {wanted.what} were found in this folder"
        raise SourceError(what, where=folder, hint=f"Looked for {wanted.looked_for}.")
    return found
