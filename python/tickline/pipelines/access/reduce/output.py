"""Where the tables of `reduce` go, and how they are written: TSV and Parquet, files and pipes."""

import sys
from pathlib import Path
from typing import Any, Protocol

from tickline import _core
from tickline.errors import TicklineError
from tickline.files import Folders, Stream, open_output
from tickline.pipelines.access.reduce.options import ReduceOptions

__all__ = [
    "ParquetWriter",
    "Sink",
    "TsvWriter",
    "Writer",
    "make_writer",
    "open_sink",
]

# Row groups are cut at this number of rows, whatever the pieces were, so that threads do not show in the
# file.
_ROWS_PER_GROUP = 65_536


class Sink(Protocol):
    """Where finished bytes go."""

    def write(self, data: bytes, /) -> int:
        """Take all of `data`."""

    def commit(self) -> None:
        """Everything is written: make it visible."""

    def abort(self) -> None:
        """Leave nothing behind."""


def open_sink(path: str, folders: Folders) -> Sink:
    """Return where the bytes go: ``-`` is standard output; a pipe or a device is written directly."""
    if path == "-":
        return Stream(sys.stdout.buffer)
    return open_output(Path(path), folders)


class Writer(Protocol):
    """Turns the results of scans, in order, into the bytes of one output."""

    def write(self, part: Any, /) -> None:
        """Append what a scan made."""

    def finish(self) -> None:
        """Write what is still held back; the sink is then complete."""


class TsvWriter:
    """Rows as they come, below a header.

    With ``strict`` the header is written only if a row follows, as `dandi_s3_log_parser` does.
    """

    def __init__(self, sink: Sink, options: ReduceOptions) -> None:
        self._sink = sink
        self._header = options.header
        if not options.rules.strict:
            self._write_header()

    def _write_header(self) -> None:
        self._sink.write(self._header)
        self._header = b""

    def write(self, part: bytes, /) -> None:
        """Append rows."""
        if part:
            if self._header:
                self._write_header()
            self._sink.write(part)

    def finish(self) -> None:
        """Nothing is held back."""


class _File:
    """What pyarrow wants of a file, over a `Sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.closed = False
        self._written = 0

    def write(self, data: Any, /) -> int:
        self._written += len(data)
        return self._sink.write(bytes(data))

    def tell(self) -> int:
        return self._written

    def flush(self) -> None: ...

    def close(self) -> None: ...


class _Schema:
    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns

    def __arrow_c_schema__(self) -> Any:
        return _core.schema_capsule(self._columns)


def import_pyarrow() -> tuple[Any, Any]:
    """Return pyarrow and pyarrow.parquet, or say which extra brings them."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[access]'."
        raise TicklineError(
            "Parquet needs pyarrow, which is not installed", where="format", hint=hint
        ) from error
    return pyarrow, pyarrow.parquet


class ParquetWriter:
    """Parquet with row groups of a fixed number of rows, zstd, and nothing of this run in its metadata.

    The core codes texts by a dictionary for each piece; here they become plain texts again, and Parquet makes
    its own dictionary for each row group: so the file does not depend on how the source was cut.
    """

    def __init__(self, sink: Sink, options: ReduceOptions) -> None:
        self._arrow, parquet = import_pyarrow()
        coded = self._arrow.schema(_Schema(options.column_names))
        self._schema = self._arrow.schema([self._plain(column) for column in coded])
        self._waiting: list[Any] = []
        self._rows = 0
        self._parquet = parquet.ParquetWriter(_File(sink), self._schema, compression="zstd", version="2.6")

    def _plain(self, column: Any) -> Any:
        is_coded = self._arrow.types.is_dictionary(column.type)
        return self._arrow.field(column.name, column.type.value_type if is_coded else column.type)

    def write(self, part: _core.Batch, /) -> None:
        """Append the rows of a batch."""
        if part.num_rows:
            batch = self._arrow.record_batch(part)
            self._waiting.append(self._arrow.Table.from_batches([batch]).cast(self._schema))
            self._rows += part.num_rows
        if self._rows >= _ROWS_PER_GROUP:
            self._write_groups(self._rows - self._rows % _ROWS_PER_GROUP)

    def _write_groups(self, rows: int) -> None:
        table = self._arrow.concat_tables(self._waiting)
        self._parquet.write_table(table.slice(0, rows), row_group_size=_ROWS_PER_GROUP)
        # A slice would keep the whole table alive; at most one row group is copied here.
        rest = table.slice(rows)
        self._waiting = [rest.take(self._arrow.array(range(rest.num_rows)))] if rest.num_rows else []
        self._rows = rest.num_rows

    def finish(self) -> None:
        """Write the last row group and the footer."""
        if self._rows:
            self._write_groups(self._rows)
        self._parquet.close()


def make_writer(sink: Sink, options: ReduceOptions) -> Writer:
    """Return the writer for ``--format``."""
    return ParquetWriter(sink, options) if options.format == "parquet" else TsvWriter(sink, options)
