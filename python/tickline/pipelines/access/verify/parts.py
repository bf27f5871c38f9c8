"""What stands in the files of a store: order, ranges, and how many rows each source and requester has."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError
from tickline.store.ledger import PartFile
from tickline.store.merge import open_part
from tickline.store.parts import daily_schema, import_arrow, part_schema
from tickline.store.rows import month_of, ranks

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from tickline.store.folder import StoreFolder

__all__ = ["Content", "check_content"]

_DAY_MS = 86_400_000
_BATCH_ROWS = 262_144
_IDS_AT_A_TIME = 1_000_000
_Add = Callable[[str, str, str], None]


class Content:
    """What the parts hold of each source, and whose requests they are."""

    def __init__(self) -> None:
        # source: rows, first and last time, last line
        self._of: dict[int, list[int]] = {}
        self._ids: list[NDArray[np.uint64]] = []
        self._held = 0
        self.sources = 0

    def add(self, table: "pyarrow.Table") -> None:
        """Note rows of a part."""
        counts = [("line", "count"), ("time", "min"), ("time", "max"), ("line", "max")]
        found = table.set_column(0, "time", table["time"].cast("int64")).group_by("source").aggregate(counts)
        names = ("source", "line_count", "time_min", "time_max", "line_max")
        for source, rows, first, last, line in zip(*(found[name].to_pylist() for name in names), strict=True):
            old = self._of.setdefault(source, [0, first, last, line])
            self._of[source] = [old[0] + rows, min(old[1], first), max(old[2], last), max(old[3], line)]

    def add_ids(self, ids: "pyarrow.ChunkedArray") -> None:
        """Note requesters."""
        import numpy as np

        new = ids.drop_null().unique().to_numpy().astype(np.uint64)
        self._ids.append(new)
        self._held += len(new)
        if self._held > _IDS_AT_A_TIME:
            self._ids = [np.unique(np.concatenate(self._ids))]
            self._held = len(self._ids[0]) // 2

    def finish(self, folder: "StoreFolder", bad_months: set[str], add: _Add) -> None:
        """Compare all that was noted with the ledger."""
        import json

        for row in folder.ledger.db.execute("SELECT * FROM sources ORDER BY id"):
            self.sources += 1
            where = f"sources, row {row['id']}"
            filtered, rejected = (json.loads(row[name]) for name in ("filtered", "rejected"))
            known = row["accepted"] + sum(filtered.values()) + sum(rejected.values())
            if row["lines"] != known:
                add("accounting", where, f"{row['lines']:,} lines, but {known:,} are accounted for")
            rows, first, last, line = self._of.pop(row["id"], [0, 0, 0, 0])
            if row["state"] == "replaced" or (bad_months and _touches(row, bad_months)):
                continue
            if rows != row["accepted"]:
                text = f"{row['accepted']:,} lines were accepted, the parts hold {rows:,} rows of it"
                add("accounting", where, text)
            elif rows and (first < row["first_ms"] or last > row["last_ms"] or line > row["lines"]):
                add("accounting", where, "the parts hold rows beyond its times or lines")
        for source, (rows, *_) in sorted(self._of.items()):
            add(
                "accounting",
                f"sources, row {source}",
                f"is not there, and the parts hold {rows:,} rows of it",
            )
        self._check_requesters(folder, add)

    def _check_requesters(self, folder: "StoreFolder", add: _Add) -> None:
        import numpy as np

        ids = np.unique(np.concatenate(self._ids)) if self._ids else np.zeros(0, np.uint64)
        found = folder.ledger.db.execute("SELECT id FROM requesters")
        known = np.fromiter((row[0] for row in found), np.int64).view(np.uint64)
        missing = int((~np.isin(ids, known)).sum())
        if missing:
            add("requesters", "requesters", f"{missing:,} requesters of the parts have no row")


def _touches(row: Any, months: set[str]) -> bool:
    if row["first_ms"] is None:
        return False
    first, last = month_of(row["first_ms"] // _DAY_MS), month_of(row["last_ms"] // _DAY_MS)
    return any(first <= month <= last for month in months)


def check_content(path: Path, part: PartFile, content: Content, dedupe: bool) -> Iterator[str]:
    """Yield a sentence for each thing in which a file is not what the ledger says.

    Raises
    ------
    TicklineError
        It cannot be read, or has other columns.
    """
    pa = import_arrow()
    schema = part_schema(dedupe) if part.kind == "accesses" else daily_schema()
    checked = _Checked(part)
    with open_part(path, part.kind) as file:
        about = file.metadata
        if about.num_rows != part.rows:
            yield f"holds {about.num_rows:,} rows, the ledger says {part.rows:,}"
        plain = file.schema_arrow
        if plain.names != schema.names:
            raise TicklineError(f"has other columns: {', '.join(plain.names)}", where=part.path)
        for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
            table = pa.Table.from_batches([batch])
            if part.kind == "accesses":
                content.add(table)
            content.add_ids(table["requester_id"])
            checked.add(table)
    yield from checked.findings()


class _Checked:
    """Order and ranges of the rows of one file."""

    def __init__(self, part: PartFile) -> None:
        self._part = part
        accesses = part.kind == "accesses"
        self._order = ("key", "time", "source", "line") if accesses else ("day", "key", "requester_id")
        self._last: tuple[Any, ...] | None = None
        self._disorder = False
        self._first_key: str | None = None
        self._last_key: str | None = None
        self._null_key = False
        self._days: list[int] = []

    def add(self, table: "pyarrow.Table") -> None:
        """Look at the next rows."""
        import numpy as np

        pa = import_arrow()
        key_ranks, keys = ranks(table["key"])
        if len(keys):
            first, last = keys[0].as_py(), keys[-1].as_py()
            self._first_key = first if self._first_key is None else min(self._first_key, first)
            self._last_key = last if self._last_key is None else max(self._last_key, last)
        self._null_key |= table["key"].null_count > 0
        if self._part.kind == "accesses":
            time = table["time"].cast(pa.int64()).to_numpy()
            days = time // _DAY_MS
            columns = [key_ranks, time, table["source"].to_numpy(), table["line"].to_numpy()]
        else:
            days = table["day"].cast(pa.int32()).to_numpy().astype(np.int64)
            columns = [days, key_ranks, ranks(table["requester_id"])[0]]
        self._days += [int(days.min()), int(days.max())] if len(days) else []
        self._disorder |= not _ascends(columns)
        ends = [self._row(table, at, days) for at in (0, table.num_rows - 1)] if table.num_rows else []
        if ends:
            self._disorder |= self._last is not None and self._last >= ends[0]
            self._last = ends[1]

    def _row(self, table: "pyarrow.Table", at: int, days: "NDArray[np.int64]") -> tuple[Any, ...]:
        values: list[Any] = []
        for name in self._order:
            if name == "day":
                values.append(int(days[at]))
            else:
                scalar = table[name][at]
                values.append(scalar.value if name == "time" else scalar.as_py())
        return tuple((value is None, 0 if value is None else value) for value in values)

    def findings(self) -> Iterator[str]:
        """Yield what is wrong."""
        part = self._part
        if self._disorder:
            yield f"its rows are not in the order ({', '.join(self._order)}), or one is there twice"
        found = (self._first_key, self._last_key, self._null_key)
        if found != (part.first_key, part.last_key, part.has_null_key):
            yield "its keys are not in the range that the ledger names"
        days = (min(self._days, default=0), max(self._days, default=0))
        if days != (part.first_day, part.last_day):
            yield "its days are not those that the ledger names"
        elif {month_of(day) for day in days} != {part.month}:
            yield f"holds rows of another month than {part.month}"


def _ascends(columns: "list[NDArray[Any]]") -> bool:
    """Tell whether each row is greater than the one before, the first column leading."""
    import numpy as np

    count = len(columns[0])
    equal = np.ones(max(count - 1, 0), dtype=bool)
    for column in columns:
        before, after = column[:-1], column[1:]
        if (equal & (before > after)).any():
            return False
        equal &= before == after
    return not equal.any()
