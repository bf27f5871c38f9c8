"""Runs of a store, each in order, become one stream in order; memory does not grow with their size.

A run is one file, or the files of one compaction, one behind the other. Of each some thousand rows are held.
Nothing unread can come before the least of their last rows: what is not greater is put in order and handed
out, and whoever ran dry is filled again.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, explain_os_error
from tickline.store.parts import daily_schema, import_arrow
from tickline.store.rows import coded, groups_of, ranks, sort_rows, sum_groups

if TYPE_CHECKING:
    import pyarrow

__all__ = ["HELD_ROWS", "merged", "open_part"]

HELD_ROWS = 400_000
"""Rows that are in memory at a time; while they are put in order they take some 400 bytes each."""

_ORDERS = {"accesses": ("key", "time", "source", "line"), "daily": ("day", "key", "requester_id")}
_TEXTS = {"accesses": ["key", "operation", "agent_class"], "daily": ["key"]}
_LEAST_ROWS, _MOST_ROWS = 16, 131_072  # of one piece that is read
_Row = tuple[tuple[bool, Any], ...]


def open_part(path: Path, kind: str, metadata: Any = None) -> Any:
    """Open a file of the store as ``pyarrow.parquet.ParquetFile``, texts dictionary-coded; to be closed.

    Who has its metadata from an earlier time can give them: they are not read again.

    Raises
    ------
    TicklineError
        It is missing, or no longer what was written.
    """
    pa = import_arrow()
    try:
        return pa.parquet.ParquetFile(path, read_dictionary=_TEXTS[kind], metadata=metadata)
    except FileNotFoundError as error:
        hint = "If a vacuum removed it meanwhile, run this again; else: tickline access verify."
        raise TicklineError("this file of the store is gone", where=str(path), hint=hint) from error
    except OSError as error:
        raise explain_os_error(error, path) from error
    except pa.ArrowException as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> TicklineError:
    what = f"this file of the store is damaged ({str(error).splitlines()[0].rstrip('.')})"
    return TicklineError(
        what, where=str(path), hint="Restore it from a backup; tickline access verify tells more."
    )


class _Run:
    """The files of one run, read a few row groups at a time."""

    def __init__(self, paths: Sequence[Path], kind: str, leaving: frozenset[int], at_a_time: int) -> None:
        self._paths = list(reversed(paths))
        self._kind = kind
        self._order = _ORDERS[kind]
        self._leaving = leaving if kind == "accesses" else frozenset()
        self._at_a_time = at_a_time
        self._file: Any = None
        self._path = Path()
        self._batches: Iterator[Any] = iter(())
        self.table: pyarrow.Table | None = None

    @property
    def more(self) -> bool:
        """Whether rows follow behind those that are held."""
        return bool(self._paths) or self._file is not None

    def fill(self) -> None:
        """Hold the next rows; afterwards `table` is None if there are none any more."""
        pa = import_arrow()
        pieces: list[pyarrow.Table] = []
        held = 0
        while self.more and held < self._at_a_time:
            piece = self._next_rows()
            if piece is not None and piece.num_rows:
                pieces.append(piece)
                held += piece.num_rows
        # Each piece has dictionaries of its own; one for all makes their codes comparable.
        self.table = pa.concat_tables(pieces).unify_dictionaries() if held else None

    def _next_rows(self) -> "pyarrow.Table | None":
        """Return the next rows that stay; None at the end of a file."""
        import numpy as np

        pa = import_arrow()
        if self._file is None:
            self._path = self._paths.pop()
            self._file = open_part(self._path, self._kind)
            size = min(max(self._at_a_time, _LEAST_ROWS), _MOST_ROWS)
            self._batches = self._file.iter_batches(size, use_threads=False)
        try:
            batch = next(self._batches, None)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(self._path, error) from error
        if batch is None:
            self.close()
            return None
        table = pa.Table.from_batches([batch])
        if self._leaving:
            gone = np.isin(table["source"].to_numpy(), list(self._leaving))
            table = table.filter(pa.array(~gone)) if gone.any() else table
        return table

    def row(self, index: int) -> _Row:
        """Return what a held row is ordered by, in a form that compares; null comes last."""
        table = self.table
        return tuple(_comparable(table[name][index]) for name in self._order) if table is not None else ()

    def last(self) -> _Row:
        """Return the last row that is held."""
        return self.row(self.rows - 1)

    @property
    def rows(self) -> int:
        """How many rows are held."""
        return 0 if self.table is None else int(self.table.num_rows)

    def take(self, bound: _Row | None) -> "pyarrow.Table | None":
        """Give away the held rows up to and with `bound` (all of them for None)."""
        table = self.table
        if table is None:
            return None
        count = table.num_rows if bound is None else self._count(bound)
        self.table = table.slice(count) if count < table.num_rows else None
        return table.slice(0, count)

    def _count(self, bound: _Row) -> int:
        low, high = 0, self.rows
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.row(middle) <= bound else (low, middle)
        return low

    def close(self) -> None:
        """Close the file that is open."""
        self._batches = iter(())
        if self._file is not None:
            self._file.close()
            self._file = None


def _comparable(scalar: Any) -> tuple[bool, Any]:
    # `value` of a time or day is its number, without the detour by datetime; that of a coded text is no text.
    value = getattr(scalar, "value", None)
    value = value if isinstance(value, int) else scalar.as_py()
    return (False, value) if value is not None else (True, 0)


def merged(
    runs: Sequence[Sequence[Path]],
    kind: str,
    *,
    rows: int,
    leaving: frozenset[int] = frozenset(),
    held_rows: int = HELD_ROWS,
    tell: Callable[[int], object] | None = None,
) -> "Iterator[pyarrow.Table]":
    """Merge runs of one month.

    Parameters
    ----------
    runs : sequence of sequences of pathlib.Path
        The files of each run; behind one another they are in order.
    kind : str
        ``"accesses"``: rows in the order (key, time, source, line). ``"daily"``: in the order (day, key,
        requester), those of the same three summed up. Nulls come last.
    rows : int
        How many rows there are in all.
    leaving : frozenset of int
        Sources whose rows are left out.
    held_rows : int
        About how many rows may be in memory.
    tell : callable
        Is told how many rows were read, step by step.

    Yields
    ------
    pyarrow.Table
        Texts are dictionary-coded; the key's codes are in the order of the rows.

    Raises
    ------
    TicklineError
        A file is missing or damaged.
    """
    pa = import_arrow()
    in_order = sort_rows if kind == "accesses" else _sum_up
    share = rows + 1 if rows <= held_rows else max(held_rows // max(len(runs), 1), 1)
    streams = [_Run(paths, kind, leaving, share) for paths in runs]
    try:
        while True:
            for stream in streams:
                if stream.table is None and stream.more:
                    stream.fill()
            streams = [stream for stream in streams if stream.table is not None]
            if not streams:
                return
            bound = min((stream.last() for stream in streams if stream.more), default=None)
            taken = [
                table for stream in streams if (table := stream.take(bound)) is not None and table.num_rows
            ]
            if tell is not None:
                tell(sum(table.num_rows for table in taken))
            yield in_order(pa.concat_tables(taken))
    finally:
        for stream in streams:
            stream.close()


def _sum_up(table: "pyarrow.Table") -> "pyarrow.Table":
    """Sort rows by (day, key, requester) and sum those up that have all three in common."""
    import numpy as np

    pa = import_arrow()
    rank, keys = ranks(table["key"])
    requester, ids = ranks(table["requester_id"])
    day = table["day"].cast(pa.int32()).to_numpy().astype(np.int64)
    order, begins = groups_of(day - day.min(initial=0), rank, requester)
    firsts = order[begins]
    columns: dict[str, Any] = {
        "day": table["day"].combine_chunks().take(pa.array(firsts)),
        "key": coded(rank[firsts], keys),
        "requester_id": ids.take(pa.array(requester[firsts], mask=requester[firsts] == len(ids))),
    }
    for name in ("bytes_sent", "requests", "downloads"):
        columns[name] = sum_groups(table[name].to_numpy()[order], begins, name.replace("_", " "))
    return pa.table(columns).select(daily_schema().names)
