"""S3 server access logs as Arrow columns.

``read`` gives one table, ``scan`` a stream of tables for more than memory. Nothing is filtered unless asked
for, lines that cannot be parsed are counted and listed, and every line is accounted for. ``Store`` keeps many
logs, each line once, and sums them up.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.discovery import LOGS
from tickline.errors import TicklineError
from tickline.filters import AccessRules, check_columns
from tickline.inputs import Input, batches_of, opened
from tickline.scans import LineScan, discovered, expand
from tickline.table import Table

__all__ = ["COLUMNS", "Scan", "Store", "read", "scan"]

COLUMNS: tuple[str, ...] = _core.COLUMNS
"""Names of the 27 columns, in the order of the log line; docs/access-logs.md has their types and units."""

if TYPE_CHECKING:
    from tickline.store.store import Store


def __getattr__(name: str) -> Any:
    # The store brings SQLite and more with it: it is loaded when it is used.
    if name == "Store":
        from tickline.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_READ_ROWS = 1_048_576
_SCAN_ROWS = 262_144
_MAX_LINE_BYTES = 16 * 2**20


class Scan(LineScan):
    """An iterator over tables; made by `scan`, and used up by one pass.

    It is also an Arrow stream that is read as it is consumed: ``duckdb.sql("from scan")`` (this needs
    pyarrow, and uses the scan up). A source that cannot be read to its end raises `SourceError` from the
    iteration; the tables that came before hold good rows, and the source is not in `accounting`.
    """

    def __init__(
        self,
        sources: Iterable[Input],
        columns: Sequence[str],
        rules: AccessRules,
        batch_rows: int,
        max_line_bytes: int,
    ) -> None:
        super().__init__(batch_rows, max_line_bytes)
        self._columns = tuple(columns)
        self._filter = rules.build()
        self._batches = self._all(list(sources))

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self._columns

    def __iter__(self) -> "Scan":
        return self

    def __next__(self) -> Table:
        return Table(self._columns, [next(self._batches)])

    def __arrow_c_schema__(self) -> Any:
        """Export the schema by the Arrow PyCapsule interface."""
        return _core.schema_capsule(self._columns)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """Export what has not been read yet (Arrow PyCapsule interface); it is read as it is consumed.

        Raises
        ------
        TicklineError
            pyarrow is not installed.
        """
        del requested_schema
        try:
            import pyarrow
        except ImportError as error:
            hint = "Install it with: pip install 'tickline[access]', or iterate over the scan."
            raise TicklineError("a scan as an Arrow stream needs pyarrow", hint=hint) from error
        batches = (pyarrow.record_batch(batch) for batch in self._batches)
        return pyarrow.RecordBatchReader.from_batches(pyarrow.schema(self), batches).__arrow_c_stream__()

    def _read_all(self) -> list[_core.Batch]:
        return list(self._batches)

    def _all(self, sources: list[Input]) -> Iterator[_core.Batch]:
        for source in sources:
            with opened(source) as (name, content):
                scan = _core.AccessScan(
                    self._columns, self._filter, max_line_bytes=self._max_line_bytes, keep_rejects=True
                )
                yield from batches_of(scan, content, self._batch_rows)
                self._end(name, scan)


def _expand(source: object) -> list[Input]:
    return expand(source, lambda folder: [file.path for file in discovered(folder, LOGS).files])


def scan(
    source: Input | Sequence[Input],
    columns: Sequence[str] | None = None,
    *,
    operation: str | Iterable[str] | None = None,
    status: str | int | Iterable[str] | Iterable[int] | None = None,
    keys: str | Iterable[str] | None = None,
    exclude_ip: str | Iterable[str] | None = None,
    exclude_ip_regex: str | None = None,
    exclude_year: str | int | Iterable[str] | Iterable[int] | None = None,
    since: str | date | datetime | None = None,
    until: str | date | datetime | None = None,
    batch_rows: int = _SCAN_ROWS,
    max_line_bytes: int = _MAX_LINE_BYTES,
) -> Scan:
    """Read logs piece by piece, for more than memory.

    Parameters
    ----------
    source, columns, operation, status, keys, exclude_ip, exclude_ip_regex, exclude_year, since, until,
    max_line_bytes
        As for `read`.
    batch_rows : int, default 262144
        About how many rows a table gets; a plain file is read in blocks of 4 MiB, and a block is not divided.
        The last table of a source may be small: a table never holds rows of two sources.

    Returns
    -------
    Scan
        An iterator over tables, with `accounting` and `rejects` of what has been read to its end.

    Raises
    ------
    UsageError
        A column or a filter cannot be understood (a `ValueError`).
    SourceError
        A folder cannot be listed or holds no logs (an `OSError`). A single source that cannot be read raises
        it later, when its turn comes.

    Examples
    --------
    >>> import tickline as tl
    >>> scan = tl.access.scan("raw", columns=["bytes_sent"])  # doctest: +SKIP
    >>> sum(int(table.column("bytes_sent").sum()) for table in scan)  # doctest: +SKIP
    """
    rules = AccessRules.from_texts(
        operation=operation,
        status=status,
        keys=keys,
        exclude_ip=exclude_ip,
        exclude_ip_regex=exclude_ip_regex,
        exclude_year=exclude_year,
        since=since,
        until=until,
    )
    return Scan(_expand(source), check_columns(columns, COLUMNS), rules, batch_rows, max_line_bytes)


def read(
    source: Input | Sequence[Input],
    columns: Sequence[str] | None = None,
    *,
    operation: str | Iterable[str] | None = None,
    status: str | int | Iterable[str] | Iterable[int] | None = None,
    keys: str | Iterable[str] | None = None,
    exclude_ip: str | Iterable[str] | None = None,
    exclude_ip_regex: str | None = None,
    exclude_year: str | int | Iterable[str] | Iterable[int] | None = None,
    since: str | date | datetime | None = None,
    until: str | date | datetime | None = None,
    max_line_bytes: int = _MAX_LINE_BYTES,
) -> Table:
    """Read logs into one table.

    Nothing is filtered by default, unlike in ``tickline access reduce``.

    Parameters
    ----------
    source : path, buffer, open binary file, or a list of them
        Plain, .gz or .zst, told by content. A folder stands for the logs in it (at any depth, in natural
        order), ``"-"`` for standard input.
    columns : sequence of str, optional
        Some of `COLUMNS`, in any order; all by default. Only these are extracted.
    operation : str or iterable of str, optional
        Keep these, such as ``"REST.GET.OBJECT"``. Here and below a text may be a comma list.
    status : str, int or iterable, optional
        Keep these: ``"2xx"``, ``304``, ``["200", "206"]``.
    keys : str or iterable of str, optional
        Keep keys below these prefixes, whole parts: ``"blobs,zarr:2"`` (of keys below ``zarr`` the first two
        parts); ``"dandi"`` stands for just that.
    exclude_ip : str or iterable of str, optional
        Drop these: addresses, networks such as ``192.0.2.0/24``, ``@file`` with one or more a line.
    exclude_ip_regex : str, optional
        Drop addresses in which this expression (RE2) is found.
    exclude_year : int, str or iterable, optional
        Drop these years (UTC).
    since, until : str, date or datetime, optional
        Keep from `since` on, and what is before `until`; UTC where there is no offset.
    max_line_bytes : int, default 16777216
        Lines of more bytes are rejected (``line_too_long``) and not held in memory.

    Returns
    -------
    Table
        One row for each accepted line, in the order of the logs; `accounting` and `rejects` say what became
        of every line. Times are UTC in milliseconds, sizes bytes, durations milliseconds.

    Raises
    ------
    UsageError
        A column or a filter cannot be understood (a `ValueError`).
    SourceError
        A source cannot be read to its end, or a folder holds no logs (an `OSError`); nothing is returned.

    See Also
    --------
    scan : the same piece by piece, for more than memory.

    Examples
    --------
    >>> import tickline as tl
    >>> log = tl.access.read("2024/05/01.log", columns=["time", "key", "bytes_sent"])  # doctest: +SKIP
    """
    made = scan(
        source,
        columns,
        operation=operation,
        status=status,
        keys=keys,
        exclude_ip=exclude_ip,
        exclude_ip_regex=exclude_ip_regex,
        exclude_year=exclude_year,
        since=since,
        until=until,
        batch_rows=_READ_ROWS,
        max_line_bytes=max_line_bytes,
    )
    batches = made._read_all()
    return Table(made.column_names, batches, accounting=made.accounting, rejects=made.rejects)
