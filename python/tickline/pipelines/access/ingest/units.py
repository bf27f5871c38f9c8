"""Units of an ingest: what is read by one thread, or by several in ranges, and committed as a whole.

Many small sources are one unit, so that a day of fifty thousand objects becomes a few files and not as many;
a large one is a unit of its own, so that a killed run has not lost much.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tickline.pipelines.access.ingest.claims import Claims
from tickline.pipelines.access.ingest.group import GroupUnit
from tickline.pipelines.access.ingest.plain import PlainUnit
from tickline.pipelines.access.ingest.read import RUN_BYTES, Reader
from tickline.pipelines.access.ingest.rows import RowMaker
from tickline.pipelines.access.ingest.tasks import Task
from tickline.pipelines.access.ingest.unit import Unit

__all__ = ["divided", "units_of"]

# Sources up to this size share a unit.
_SMALL_BYTES = RUN_BYTES // 4
_GROUP_SOURCES = 2_000
# Logs shrink about so much when they are compressed.
_PACKED = 10


def units_of(
    tasks: Iterable[Task], reader: Reader, maker: RowMaker | None, claims: Claims, store: Path
) -> Iterator[Unit]:
    """Divide sources, in their order, into units."""
    for ranges, some in divided(tasks):
        if ranges:
            yield PlainUnit(some[0], reader, maker, claims, store)
        else:
            yield GroupUnit(some, reader, maker, claims, store)


def divided(tasks: Iterable[Task]) -> Iterator[tuple[bool, list[Task]]]:
    """Tell which sources, in their order, are a unit; True where it is one that is read in ranges."""
    group: list[Task] = []
    size = 0
    for task in tasks:
        content = task.input.size
        if content > _SMALL_BYTES and not task.input.is_remote and _is_plain(task):
            yield True, [task]
            continue
        packed = task.input.name.endswith((".gz", ".zst"))
        group.append(task)
        size += content * (_PACKED if packed else 1)
        if size >= RUN_BYTES or len(group) >= _GROUP_SOURCES:
            yield False, group
            group, size = [], 0
    if group:
        yield False, group


def _is_plain(task: Task) -> bool:
    """Tell whether a large file can be read in ranges: by its content, names can be anything."""
    try:
        with task.input.open() as opened:
            return opened.kind == "plain"
    except OSError:
        # Whoever reads it gets the same error, and reports it.
        return False
