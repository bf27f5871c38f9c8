"""What was seen before: sets of lines and texts, and the distinct lines of a source.

``ExactSet`` keeps what it has seen and is certain. ``FingerprintSet`` keeps 64 bits of each, 11 to 21 bytes
in memory whatever the length, and says its odds. ``unique_lines`` gives each line once, counted if asked.

A line is what stands before a newline, byte by byte (a ``\\r`` before it belongs to the line). Dropping lines
by a key that is no identity loses records: chrony writes several lines with one time and address.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from typing_extensions import Buffer

from tickline import _core, accounting
from tickline.errors import SourceError, UsageError, explain_os_error
from tickline.inputs import Input
from tickline.line_sources import take_lines
from tickline.table import Table, rejects_table

if TYPE_CHECKING:
    import os

    import numpy
    from numpy.typing import NDArray

__all__ = ["ExactSet", "FingerprintSet", "unique_lines"]

_MAX_LINE_BYTES = 16 * 2**20
_MOST_LINE_BYTES = 256 * 2**20
_NO_LIMIT = 2**63 - 1


def _as_bytes(item: str | Buffer) -> Buffer:
    return item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item


def _mask(news: bytearray) -> "NDArray[numpy.bool_]":
    import numpy as np

    return np.frombuffer(news, dtype=np.bool_)


class _Set:
    """What both sets can do; an item is bytes, or a text, which stands for its UTF-8."""

    _made_of: type[_core.ExactSet] | type[_core.FingerprintSet]
    __slots__ = ("_set",)

    def __init__(self, seed: int | None = None) -> None:
        self._set = self._made_of(seed)

    def add_lines(self, buffer: Buffer) -> "NDArray[numpy.bool_]":
        """Take the lines of a buffer.

        Parameters
        ----------
        buffer : bytes-like
            Plain text. What stands behind the last newline is a line of its own.

        Returns
        -------
        numpy.ndarray of bool, one for each line
            True where the line is new: neither in the set before nor earlier in the buffer.

        Raises
        ------
        OverflowError
            An `ExactSet` is full: it has room for 2,684,354,560 items.
        """
        return _mask(self._set.add_lines(buffer))

    def add_column(self, column: object) -> "NDArray[numpy.bool_]":
        """Take a column of texts or bytes from anything that speaks Arrow.

        Parameters
        ----------
        column : object with ``__arrow_c_array__`` or ``__arrow_c_stream__``
            A pyarrow array or chunked array, a polars Series, ...; dictionary-coded or not.

        Returns
        -------
        numpy.ndarray of bool, one for each row
            True where the value is new. A null is no value: it is never new, and never in the set.

        Raises
        ------
        TypeError
            Something else than one column of texts or bytes.
        OverflowError
            As for `add_lines`.
        """
        return _mask(self._set.add_column(column))

    def add(self, item: str | Buffer) -> bool:
        """Take one item, and return whether it is new."""
        return self._set.add(_as_bytes(item))

    def __contains__(self, item: object) -> bool:
        return _as_bytes(cast("str | Buffer", item)) in self._set

    def __len__(self) -> int:
        return len(self._set)

    def __repr__(self) -> str:
        return f"<tickline.dedup.{type(self).__name__}: {len(self):,} items>"

    @property
    def collision_odds(self) -> float:
        """The chance that any item was taken for another one so far.

        0 for an `ExactSet`. For a `FingerprintSet` of n items n (n - 1) / 2 / 2**64 (0.003 % for 30 million,
        2.7 % for 1,000 million), of texts that nobody has made to collide.
        """
        return self._set.collision_odds

    def save(self, path: "str | os.PathLike[str]") -> None:
        """Write the set to a file that appears whole, in the format of ``tickline/dedup/set_file.hpp``.

        The file of a `FingerprintSet` holds its seed: who can read it can make texts that collide.

        Raises
        ------
        SourceError
            It cannot be written (an `OSError`).
        """
        from tickline.files import Folders, WholeFile

        folders = Folders()
        try:
            file = WholeFile(Path(path), folders)
            try:
                self._set.save(lambda piece: file.write(cast(bytes, piece)))
                file.commit()
            finally:
                file.abort()
            folders.sync()
        except OSError as error:
            raise explain_os_error(error, path) from error

    @classmethod
    def load(cls, path: "str | os.PathLike[str]") -> Self:
        """Return the set of a file that `save` has written, to be gone on with.

        Raises
        ------
        SourceError
            The file cannot be read, is damaged, or is none that this kind of set has saved (an `OSError`).
        """
        made = cls.__new__(cls)
        try:
            with Path(path).open("rb", buffering=0) as file:
                made._set = cls._made_of.load(lambda size: file.read(size))
        except OSError as error:
            raise explain_os_error(error, path) from error
        except ValueError as error:
            hint = "Save it again, or name the file of another set."
            raise SourceError(str(error).removesuffix("."), where=str(path), hint=hint) from None
        return made


class ExactSet(_Set):
    """A set of bytes that keeps them: what it says is certain.

    It takes the bytes of the items and 29 to 42 bytes for each of them, 55 for the moment in which it grows.
    A large `bytes` object of which most is new is not copied: the set refers to it as long as it lives.

    Parameters
    ----------
    seed : int, optional
        Of the hash; drawn at random once per process by default. Results do not depend on it.

    Examples
    --------
    >>> import tickline as tl
    >>> seen = tl.dedup.ExactSet()
    >>> seen.add_lines(b"a\\nb\\na\\n").tolist()
    [True, True, False]
    >>> "b" in seen, len(seen)
    (True, 2)
    """

    _made_of = _core.ExactSet
    __slots__ = ()


class FingerprintSet(_Set):
    """A set that keeps 64-bit fingerprints: 11 to 21 bytes an item, 32 for the moment in which it grows.

    An item that was added is always found. A new one can be taken for one that is there, with a chance of
    n / 2**64; `collision_odds` sums that up.

    Parameters
    ----------
    seed : int, optional
        Of the hash; drawn at random once per process by default, so that nobody can prepare texts that
        collide.
    """

    _made_of = _core.FingerprintSet
    __slots__ = ()


def _fields_of(key: str | Iterable[int]) -> list[int]:
    """Return the numbers of the fields that make the key; none for the whole line."""
    if key == "line":
        return []
    fields = [] if isinstance(key, str) else list(key)
    if not fields or not all(type(field) is int and 0 < field < 2**16 for field in fields):
        hint = 'Give "line", or the numbers of fields between blanks, from 1: key=[1, 2].'
        raise UsageError(f"{key!r} is no key", where="key", hint=hint)
    return fields


def unique_lines(
    source: Input | Sequence[Input],
    keep: str = "first",
    count: bool = False,
    key: str | Iterable[int] = "line",
    *,
    max_line_bytes: int = _MAX_LINE_BYTES,
) -> Table:
    """Read lines, and keep each once.

    Parameters
    ----------
    source : path, buffer, open binary file, or a list of them
        Plain, .gz or .zst, told by content; ``"-"`` is standard input.
    keep : {"first", "last"}
        Which one of equal lines stays; rows stand in the order of the lines that stay.
    count : bool, default False
        Add the column ``count``: how many lines agree with this one, itself included.
    key : "line" or iterable of int, default "line"
        What has to agree: the whole line, or these of its fields (between blanks, from 1). A field that a
        line lacks agrees with one that another lacks.
    max_line_bytes : int, default 16777216
        Longer lines are rejected (``line_too_long``) and not held in memory; at most 256 MiB.

    Returns
    -------
    Table
        ``line`` (text without its newline) and, if asked, ``count`` (uint64). Lines that are not UTF-8 are
        told apart by their bytes, shown with U+FFFD, and counted under ``noted`` as ``invalid_utf8``.
        In `accounting` lines that were dropped are ``filtered`` as ``repeated``.

    Raises
    ------
    UsageError
        `keep`, `key` or `max_line_bytes` is none (a `ValueError`).
    SourceError
        A source cannot be read to its end (an `OSError`); nothing is returned.

    See Also
    --------
    FingerprintSet : where the lines are too many to be kept.

    Examples
    --------
    >>> import tickline as tl
    >>> tl.dedup.unique_lines(b"b\\na\\nb\\n", count=True).column("count").tolist()
    [2, 1]
    """
    if keep not in ("first", "last"):
        raise UsageError(f"{keep!r} is none", where="keep", hint="Choose 'first' or 'last'.")
    if not 0 <= max_line_bytes <= _MOST_LINE_BYTES:
        raise UsageError(f"{max_line_bytes} is not between 0 and 256 MiB", where="max_line_bytes")
    groups = _core.LineGroups(
        last=keep == "last", fields=_fields_of(key), max_line_bytes=max_line_bytes, memory=_NO_LIMIT
    )
    sources = list(source) if isinstance(source, list | tuple) else [cast(Input, source)]
    read: list[tuple[str, int, int]] = []
    long: list[list[tuple[int, int, int]]] = []
    ends: list[int] = []
    for one in sources:
        name = take_lines(groups, one)
        read.append((name, *groups.finish()))
        long.append(groups.take_long_lines())
        ends.append(groups.total)
    if groups.refused:
        raise SourceError("there are more than 2,684,354,560 different lines", where=read[-1][0])
    batches, kept = groups.batches(count, ends)
    return Table(
        batches[0].schema, batches, accounting=_accounting(read, long, kept), rejects=_rejects(read, long)
    )


def _accounting(
    read: list[tuple[str, int, int]],
    long: list[list[tuple[int, int, int]]],
    kept: list[tuple[int, int]],
) -> dict[str, Any]:
    return accounting.report(
        (
            name,
            {
                "lines": lines,
                "bytes": size,
                "accepted": accepted,
                "filtered": {"repeated": lines - len(rejected) - accepted},
                "rejected": {"line_too_long": len(rejected)},
                "noted": {"invalid_utf8": invalid},
            },
        )
        for (name, lines, size), rejected, (accepted, invalid) in zip(read, long, kept, strict=True)
    )


def _rejects(read: list[tuple[str, int, int]], long: list[list[tuple[int, int, int]]]) -> Table:
    rows = [(name, *line) for (name, _, _), lines in zip(read, long, strict=True) for line in lines]
    names, numbers, offsets, lengths = ([row[i] for row in rows] for i in range(4))
    return rejects_table(cast("list[str]", names), numbers, offsets, lengths, ["line_too_long"] * len(rows))
