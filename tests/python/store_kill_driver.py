"""Runs steps on a store in a process of its own, which a test can kill at any moment.

``python store_kill_driver.py STORE STEP [STEP ...]``, where a step is ``name`` or ``name=argument``. A new
command of the store becomes killable by a line in `STEPS`. With ``die=N`` as the first step the process kills
itself at the N-th moment of those that decide what stays: before and behind each rename, fsync and COMMIT.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.export.native import export_native
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.ingest import group as ingest_group
from tickline.pipelines.access.ingest import plain as ingest_plain
from tickline.pipelines.access.ingest import read as ingest_read
from tickline.pipelines.access.ingest import trees as ingest_trees
from tickline.pipelines.access.ingest import units as ingest_units
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import summarize
from tickline.store.folder import StoreFolder
from tickline.store.ledger import Ledger

RUN_BYTES = 700_000


def _small_runs() -> None:
    """Make many small files, so that there is much between which a kill can come."""
    for module in (ingest_group, ingest_plain, ingest_read, ingest_units):
        module.RUN_BYTES = RUN_BYTES  # type: ignore[attr-defined]
    ingest_units._SMALL_BYTES = RUN_BYTES
    ingest_group._RUN_ROWS = 1_000
    ingest_trees.BLOCK_BYTES = 20_000
    ingest_trees._SMALL_BYTES = 5_000
    ingest_trees._GROUP_SOURCES = 10


def _ingest(store: str, argument: str, form: str = "log") -> None:
    report = ingest(store, [argument], IngestOptions(form=form, threads=2, settle_s=0))
    if report.problems:
        sys.exit("\n".join(map(str, report.problems)))


def _compact(store: str, _: str) -> None:
    with StoreFolder.open(store) as folder:
        compact(folder)


def _export(store: str, argument: str) -> None:
    options = SummaryOptions(Path(argument).parent / "raw" / "catalog.tsv")
    with StoreFolder.open(store) as folder:
        export_native(folder, summarize(folder, options), ExportOptions(options), Path(argument))


def _die(_: str, argument: str) -> None:
    left = int(argument)

    def moment() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            moment()
            try:
                return function(*arguments, **more)
            finally:
                moment()

        return called

    transaction = Ledger.transaction

    @contextlib.contextmanager
    def watched(ledger: Ledger) -> Iterator[sqlite3.Connection]:
        with transaction(ledger) as db:
            yield db
            moment()
        moment()

    os.rename, os.fsync = around(os.rename), around(os.fsync)
    Ledger.transaction = watched  # type: ignore[method-assign]


STEPS: dict[str, Callable[[str, str], None]] = {
    "compact": _compact,
    "die": _die,
    "export": _export,
    "ingest": _ingest,
    "ingest-binned": partial(_ingest, form="binned"),
    "ingest-reduced": partial(_ingest, form="reduced"),
    "open": lambda store, _: StoreFolder.open(store).close(),
}


def main(store: str, *steps: str) -> None:
    """Do the steps one after another."""
    _small_runs()
    for step in steps:
        name, _, argument = step.partition("=")
        STEPS[name](store, argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
