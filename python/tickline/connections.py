"""Logs of connections as Arrow columns: ``unix_ts host_from host_to``, one line for each connection.

``read`` gives one table, ``scan`` a stream of them for more than memory. Fields stand between blanks or tabs;
seconds may have up to nine digits behind a point, and every one of them counts. The report of who connects to
whom, which needs no rows, is made in `tickline.pipelines.connections`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from tickline import _core
from tickline.discovery import Wanted
from tickline.inputs import Input, batches_of, opened
from tickline.scans import LineScan, discovered, expand
from tickline.table import Table

__all__ = ["COLUMNS", "Scan", "read", "scan"]

COLUMNS: tuple[str, ...] = _core.connections_schema().names
"""Names of the columns, in the order of the line."""

_READ_ROWS = 1_048_576
_SCAN_ROWS = 262_144
_MAX_LINE_BYTES = 2**20
# Also as logrotate leaves them: numbered, or with a date.
_LOG_NAME = re.compile(r".+\.log(?:[-._]?\d[^/]*)?(?:\.gz|\.zst)?", re.ASCII | re.DOTALL)

WANTED = Wanted(
    "logs of connections",
    lambda name: _LOG_NAME.fullmatch(name) is not None,
    "*.log, also rotated (connections.log.1, connections.log-20261122) and with .gz or .zst, at any depth",
    "not named like a log",
)


class Scan(LineScan):
    """An iterator over tables; made by `scan`, and used up by one pass.

    A source that cannot be read to its end raises `SourceError` from the iteration; the tables that came
    before hold good rows, and the source is not in `accounting`.
    """

    def __init__(self, sources: Iterable[Input], batch_rows: int, max_line_bytes: int) -> None:
        super().__init__(batch_rows, max_line_bytes)
        self._batches = self._all(list(sources))

    def __iter__(self) -> "Scan":
        return self

    def __next__(self) -> Table:
        batch = next(self._batches)
        return Table(batch.schema, [batch])

    def _table(self) -> Table:
        batches = list(self._batches)
        schema = _core.connections_schema()
        return Table(schema, batches, accounting=self.accounting, rejects=self.rejects)

    def _all(self, sources: list[Input]) -> Iterator[_core.Batch]:
        for source in sources:
            with opened(source) as (name, content):
                scan = _core.ConnectionsScan(max_line_bytes=self._max_line_bytes)
                yield from batches_of(scan, content, self._batch_rows)
                self._end(name, scan)


def _expand(source: object) -> list[Input]:
    return expand(source, lambda folder: [file.path for file in discovered(folder, WANTED).files])


def scan(
    source: Input | Sequence[Input],
    *,
    batch_rows: int = _SCAN_ROWS,
    max_line_bytes: int = _MAX_LINE_BYTES,
) -> Scan:
    """Read logs of connections piece by piece, for more than memory.

    Parameters
    ----------
    source, max_line_bytes
        As for `read`.
    batch_rows : int, default 262144
        About how many rows a table gets. A table never holds rows of two sources.

    Returns
    -------
    Scan
        An iterator over tables, with `accounting` and `rejects` of what has been read to its end.

    Raises
    ------
    SourceError
        A folder cannot be listed or holds no logs (an `OSError`). A single source that cannot be read raises
        it later, when its turn comes.

    Examples
    --------
    >>> import tickline as tl
    >>> for table in tl.connections.scan("/var/log/connections"):  # doctest: +SKIP
    ...     print(table.column("time").max())
    """
    return Scan(_expand(source), batch_rows, max_line_bytes)


def read(source: Input | Sequence[Input], *, max_line_bytes: int = _MAX_LINE_BYTES) -> Table:
    """Read logs of connections into one table.

    Parameters
    ----------
    source : path, buffer, open binary file, or a list of them
        Plain, .gz or .zst, told by content. A folder stands for the logs in it (at any depth), ``"-"`` for
        standard input.
    max_line_bytes : int, default 1048576
        Lines of more bytes are rejected (``line_too_long``).

    Returns
    -------
    Table, shape (accepted lines, 3)
        ``time`` (UTC, nanoseconds), ``host_from`` and ``host_to`` (coded text), in the order of the lines.
        `accounting` and `rejects` say what became of every line: rejected are those of fewer or more than
        three fields (``field_count``), with a first field that is no time (``bad_epoch``,
        ``out_of_range``), with a name of more than 255 bytes or that is not UTF-8 (``bad_name``), and those
        with control characters (``bad_column``).

    Raises
    ------
    SourceError
        A source cannot be read to its end, or a folder holds no logs (an `OSError`); nothing is returned.

    See Also
    --------
    scan : the same piece by piece, for more than memory.

    Examples
    --------
    >>> import tickline as tl
    >>> tl.connections.read(b"1549411238 tower Papa\\n").column("host_to")
    array(['Papa'], dtype=object)
    """
    return scan(source, batch_rows=_READ_ROWS, max_line_bytes=max_line_bytes)._table()
