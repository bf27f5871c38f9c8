"""What of the inputs is to be read: those that are new, or not what they were. Light to import."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tickline.pipelines.access.ingest.claims import stored_name
from tickline.pipelines.access.ingest.inputs import Input
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.store.ledger import Ledger

__all__ = ["Before", "Task", "find_tasks"]

_NAMES_PER_QUERY = 10_000


@dataclass(frozen=True, slots=True)
class Before:
    """What the ledger knows of a source that was read before under the same name.

    `same_form` is False where it was read as another form of table then, or for another key.
    """

    source: int
    content_hash: bytes
    bytes: int
    lines: int
    same_form: bool = True


@dataclass(frozen=True, slots=True)
class Task:
    """A source to read, and the number it gets if its content is new."""

    input: Input
    source: int
    before: Before | None = None
    settled: bool = True

    @property
    def stored_name(self) -> str:
        """The name of the source in the ledger."""
        return stored_name(self.input.name)


def find_tasks(
    ledger: Ledger, inputs: list[Input], options: IngestOptions, states: Counter[str]
) -> list[Task]:
    """Return the inputs that are new or not what they were, each with a number of its own.

    The others are counted in `states` as unchanged.
    """
    next_source = int(ledger.rows("SELECT coalesce(max(id), 0) + 1 FROM sources")[0][0])
    tasks: list[Task] = []
    for begin in range(0, len(inputs), _NAMES_PER_QUERY):
        some = inputs[begin : begin + _NAMES_PER_QUERY]
        known = _known(ledger, (stored_name(item.name) for item in some))
        for item in some:
            task = _task(item, known.get(stored_name(item.name)), next_source + len(tasks), options)
            if task is None:
                states["unchanged"] += 1
            else:
                tasks.append(task)
    return tasks


def _known(ledger: Ledger, names: Iterable[str]) -> dict[str, sqlite3.Row]:
    sql = (
        "SELECT n.name, n.size, n.mtime_ns, n.inode, n.whole, s.id, s.bytes, s.lines, s.content_hash, "
        "s.form, s.key FROM names n JOIN sources s ON s.id = n.source "
        "WHERE n.name IN (SELECT value FROM json_each(?))"
    )
    return {row["name"]: row for row in ledger.rows(sql, [json.dumps(list(names))])}


def _task(item: Input, row: sqlite3.Row | None, source: int, options: IngestOptions) -> Task | None:
    age_s = options.now_ms / 1000 - item.mtime_ns / 1e9
    settled = item.is_remote or not options.settle_s or age_s >= options.settle_s
    if item.form != "log":
        # A table is whole or refused: there is no last line that could wait.
        settled = True
    if row is None:
        return Task(item, source, settled=settled)
    same = (row["size"], row["mtime_ns"], row["inode"]) == (item.size, item.mtime_ns, item.inode)
    same_form = (row["form"], row["key"]) == (item.form, item.key)
    if same and same_form and (row["whole"] or not settled):
        return None
    before = Before(row["id"], row["content_hash"], row["bytes"], row["lines"], same_form)
    return Task(item, source, before, settled)
