"""Table: columns in Arrow memory, with the account of where they came from.

Whatever takes Arrow takes a table as it is, without a copy: ``polars.DataFrame(table)``,
``pyarrow.table(table)``, ``duckdb.sql("from table")``, ``pandas.DataFrame.from_arrow(table)``,
``nanoarrow.ArrayStream(table)``.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import TicklineError

if TYPE_CHECKING:
    import numpy

__all__ = ["Table", "codes_of", "rejects_of", "rejects_table", "validity_of", "values_of"]

_NUMBERS = dict(zip("cCsSiIlLfg", ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"), strict=True))
_TIMES = {"tss": "s", "tsm": "ms", "tsu": "us", "tsn": "ns"}
_REJECT_COLUMNS = (("source", "u"), ("line", "L"), ("offset", "L"), ("length", "L"), ("reason", "u"))
_SHOWN_ROWS = 10
_SHOWN_CHARS = 80


class Table:
    """Columns of equal length that never change, in one or more batches.

    Parameters
    ----------
    schema : _core.Schema or sequence of str
        Names and types; plain names mean columns of access logs.
    batches : iterable of _core.Batch
        The rows. They are shared, never copied.
    accounting : mapping, optional
        What became of the lines of each source.
    rejects : Table, optional
        Lines that could not be read: source, line, offset, length, reason.

    Raises
    ------
    ValueError
        A batch has other columns than `schema`.
    """

    def __init__(
        self,
        schema: _core.Schema | Sequence[str],
        batches: Iterable[_core.Batch] = (),
        *,
        accounting: Mapping[str, Any] | None = None,
        rejects: Table | None = None,
    ) -> None:
        self._schema = schema if isinstance(schema, _core.Schema) else _core.access_schema(schema)
        self._batches = list(batches)
        for batch in self._batches:
            if batch.schema != self._schema:
                raise ValueError("A batch does not have the columns of the table.")
        self._accounting = {"sources": [], "total": {}} if accounting is None else dict(accounting)
        self._rejects = rejects

    @property
    def num_rows(self) -> int:
        """Number of rows; the same as ``len(table)``."""
        return sum(batch.num_rows for batch in self._batches)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return self._schema.names

    @property
    def schema(self) -> Any:
        """Names and types as an Arrow PyCapsule; ``pyarrow.schema(table)`` reads it."""
        return self._schema.__arrow_c_schema__()

    @property
    def accounting(self) -> dict[str, Any]:
        """What became of every line: nothing is lost silently.

        ``{"sources": [{"path", "lines", "bytes", "accepted", "filtered", "rejected", "noted"}], "total":
        {...}}``. The last three are dicts of counts by reason, and ``lines`` is always ``accepted`` plus all
        ``filtered`` plus all ``rejected``. Empty for a table that was not read from logs.
        """
        return self._accounting

    @property
    def rejects(self) -> Table:
        """Lines that could not be read.

        Columns: ``source``, ``line`` (from 1), ``offset`` and ``length`` (bytes of decompressed content, from
        0, without the line end), ``reason``. Without any text of the log.
        """
        if self._rejects is None:
            self._rejects = rejects_table()
        return self._rejects

    def column(self, name: str) -> numpy.ndarray[Any, Any]:
        """Return one column as numpy.

        Numbers keep their type, times become datetime64 (UTC), texts an array of str objects, each distinct
        text of a dictionary being one object. Where there are nulls the result is a masked array
        (``numpy.ma``), so that a null is never taken for 0. One batch of numbers without nulls is not copied
        and is read-only.

        Parameters
        ----------
        name : str
            One of `column_names`.

        Returns
        -------
        numpy.ndarray or numpy.ma.MaskedArray, shape (num_rows,)
            ``uint16``, ``uint64``, ``datetime64[ms]`` or ``object`` (str) for access logs.

        Raises
        ------
        KeyError
            There is no such column; the message lists those there are.
        """
        return self._read(self._index(name), None)

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame.

        Coded texts become categories, times datetime64 in UTC. Integers become pandas' nullable ones
        (``UInt64``), with or without nulls, so that a type does not depend on the data and no count turns
        into a float.

        Returns
        -------
        pandas.DataFrame, shape (num_rows, number of columns)

        Raises
        ------
        TicklineError
            pandas or pyarrow is not installed.
        """
        try:
            import pandas
            import pyarrow
        except ImportError as error:
            hint = "Install them with: pip install pandas 'tickline[access]'."
            raise TicklineError(f"to_pandas() needs pandas and pyarrow ({error})", hint=hint) from error
        integers = {
            getattr(pyarrow, f"{sign}int{bits}")(): getattr(pandas, f"{sign.upper()}Int{bits}Dtype")()
            for sign in ("", "u")
            for bits in (16, 64)
        }
        return pyarrow.table(self).to_pandas(types_mapper=integers.get)

    def __arrow_c_schema__(self) -> Any:
        """Export the schema by the Arrow PyCapsule interface."""
        return self.schema

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        """Export the rows by the Arrow PyCapsule interface, any number of times.

        `requested_schema` is not acted on, which the interface allows: consumers cast for themselves.
        """
        del requested_schema
        return _core.stream_capsule(self._schema, self._batches)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"<tickline.Table: {self.num_rows:,} rows, columns {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        shown = [self._read(i, _SHOWN_ROWS).tolist() for i in range(len(self.column_names))]
        head = "".join(f"<th>{escape(name)}</th>" for name in self.column_names)
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in zip(*shown, strict=True))
        more = self.num_rows - _SHOWN_ROWS
        note = f"<p>and {more:,} more rows</p>" if more > 0 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"

    def _index(self, name: str) -> int:
        try:
            return self.column_names.index(name)
        except ValueError:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.column_names)}") from None

    def _read(self, index: int, limit: int | None) -> numpy.ndarray[Any, Any]:
        """Return the first `limit` rows of a column, or all of them."""
        import numpy

        parts, masks = [], []
        left = limit
        # An empty batch of the same schema says the type where there is no other batch.
        for batch in self._batches or [_core.empty_batch(self._schema)]:
            buffers = batch.column_buffers(index)
            count = buffers[1] if left is None else min(left, buffers[1])
            parts.append(values_of(buffers, count))
            masks.append(~validity_of(buffers, count))
            if left is not None:
                left -= count
        values = parts[0] if len(parts) == 1 else numpy.concatenate(parts)
        mask = masks[0] if len(masks) == 1 else numpy.concatenate(masks)
        if not mask.any():
            return values
        return numpy.ma.MaskedArray(values, mask=mask)


def rejects_table(
    source: Sequence[str] = (),
    line: object = b"",
    offset: object = b"",
    length: object = b"",
    reason: Sequence[str] = (),
) -> Table:
    """Return the table of lines that could not be read.

    Parameters
    ----------
    source, reason : sequence of str
        One for each line.
    line, offset, length : buffer of uint64, or sequence of int
        Where it stood.
    """
    given = (source, line, offset, length, reason)
    columns = [
        (name, kind, values if kind == "u" or not isinstance(values, list | tuple) else array("Q", values))
        for (name, kind), values in zip(_REJECT_COLUMNS, given, strict=True)
    ]
    batch = _core.batch_from_columns(columns)
    return Table(batch.schema, [batch])


def rejects_of(rejects: Sequence[tuple[str, _core.Rejects]]) -> Table:
    """Return one table of the rejected lines of several sources."""
    return rejects_table(
        [name for name, found in rejects for _ in found["reason"]],
        line=b"".join(found["line"] for _, found in rejects),
        offset=b"".join(found["offset"] for _, found in rejects),
        length=b"".join(found["length"] for _, found in rejects),
        reason=[reason for _, found in rejects for reason in found["reason"]],
    )


def validity_of(buffers: _core.ColumnBuffers, count: int) -> numpy.ndarray[Any, Any]:
    """Tell which of the first `count` values of a column of one batch are no nulls."""
    import numpy

    if buffers[3] is None:
        return numpy.ones(count, dtype=bool)
    bits = numpy.frombuffer(buffers[3], dtype=numpy.uint8)
    return numpy.unpackbits(bits, count=count, bitorder="little").astype(bool)


def values_of(buffers: _core.ColumnBuffers, count: int) -> numpy.ndarray[Any, Any]:
    """Return the first `count` values of one batch; what stands under a null is 0 or None."""
    import numpy

    kind, _, _, _, values, text, dictionary = buffers
    if text is not None:
        texts = numpy.empty(count, dtype=object)
        texts[:] = _texts(values, text, count)
    elif dictionary is not None:
        codes, choices = codes_of(buffers, count)
        # Nulls are -1: the place behind all texts, None.
        objects = numpy.empty(len(choices) + 1, dtype=object)
        objects[:-1] = choices
        chosen: numpy.ndarray[Any, Any] = objects[codes]
        return chosen
    elif kind[:3] in _TIMES:
        return _array(values, numpy.dtype(f"datetime64[{_TIMES[kind[:3]]}]"), count)
    else:
        return _array(values, numpy.dtype(_NUMBERS[kind]), count)
    texts[~validity_of(buffers, count)] = None
    return texts


def codes_of(
    buffers: _core.ColumnBuffers, count: int
) -> tuple[numpy.ndarray[Any, numpy.dtype[numpy.int32]], list[str]]:
    """Return a coded column of one batch as it is: numbers of texts, -1 for null, and the texts."""
    import numpy

    dictionary = buffers[6]
    codes = _array(buffers[4], numpy.dtype(numpy.int32), count)
    texts = _texts(dictionary[4], dictionary[5], dictionary[1])
    return numpy.where(validity_of(buffers, count), codes, numpy.int32(-1)), texts


def _array(buffer: object, dtype: numpy.dtype[Any], count: int) -> numpy.ndarray[Any, Any]:
    import numpy

    # numpy refuses to look at an empty buffer.
    return numpy.frombuffer(buffer, dtype=dtype, count=count) if count else numpy.empty(0, dtype)  # type: ignore[call-overload]


def _texts(offsets: object, text: object, count: int) -> list[str]:
    import numpy

    edges = _array(offsets, numpy.dtype(numpy.int32), count + 1).tolist()
    raw = bytes(memoryview(text)[: edges[-1]])  # type: ignore[arg-type]
    if raw.isascii():  # bytes and characters are the same then: one decoding for all
        whole = raw.decode("ascii")
        return [whole[begin:end] for begin, end in pairwise(edges)]
    return [raw[begin:end].decode() for begin, end in pairwise(edges)]


def _cell(value: object) -> str:
    if value is None:
        return "<td></td>"
    text = str(value)
    return f"<td>{escape(text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + '…')}</td>"
