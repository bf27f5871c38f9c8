"""Writes a tree in a process of its own, and kills it: ``tree_kill_driver.py STORE OUT TREE N``.

The process kills itself at the N-th moment of those that decide what stays: before and behind each rename,
removal and COMMIT. With 0 it comes to its end.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tickline.pipelines.access.trees import files as export_tree_files
from tickline.pipelines.access.trees.export import export_trees
from tickline.store.folder import StoreFolder

_LEFT = [0]


def _moment() -> None:
    _LEFT[0] -= 1
    if not _LEFT[0]:
        os.kill(os.getpid(), signal.SIGKILL)


def _around(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any, **more: Any) -> Any:
        _moment()
        try:
            return function(*arguments, **more)
        finally:
            _moment()

    return called


class _Connection(sqlite3.Connection):
    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return (_around(super().execute) if sql == "COMMIT" else super().execute)(sql, *values)


def main(store: str, out: str, tree: str, number: str) -> None:
    """Write the tree; many small batches, so that there is much between which a kill can come."""
    with StoreFolder.open(store) as folder:
        _LEFT[0] = int(number)
        connect = sqlite3.connect
        sqlite3.connect = lambda *args, **more: connect(*args, **more, factory=_Connection)  # type: ignore
        os.rename, os.unlink, os.rmdir = map(_around, (os.rename, os.unlink, os.rmdir))
        export_tree_files._BATCH_FILES = 3
        export_trees(folder, Path(out), [tree], compat="strict")


if __name__ == "__main__":
    main(*sys.argv[1:])
