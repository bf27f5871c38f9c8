"""Logs of chrony as Arrow columns: tracking, measurements, statistics, refclocks, rtc, tempcomp, selection.

``read`` gives a table for each kind, ``scan`` a stream of tables for more than memory. Every layout from
chrony 1.20 to 4.8 is read; columns that an older one lacks are null. Values and signs are the file's own.

Units stand in the names: ``_s`` seconds, ``_ppm``; frequencies without one are seconds per second. **Signs
differ**: ``offset_s`` of measurements and refclocks is positive where the local clock is *slow*, that of
tracking and statistics where it is *fast*. Each column says its own in its Arrow metadata (``sign``,
``unit``).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Any

from tickline import _core, accounting
from tickline.discovery import Found, Wanted, natural_key
from tickline.errors import SourceError, UsageError
from tickline.inputs import Input, batches_of, opened
from tickline.scans import LineScan, discovered, expand
from tickline.table import Table, rejects_of

__all__ = ["COLUMNS", "KINDS", "Scan", "read", "scan"]

KINDS: tuple[str, ...] = _core.CHRONY_KINDS
"""Kinds of logs. Raw measurements (``log rawmeasurements``) are measurements."""

COLUMNS: dict[str, tuple[str, ...]] = {kind: _core.chrony_schema(kind).names for kind in KINDS}
"""Names of the columns of each kind, in the order of the log line."""

_READ_ROWS = 1_048_576
_SCAN_ROWS = 262_144
_MAX_LINE_BYTES = 2**20
_LOOKED_FOR = "tracking.log, measurements.log and so on, also rotated (tracking.log.1) and with .gz or .zst"
# logrotate numbers old files from the newest on, or dates them; the one without either is still written.
_ROTATED = re.compile(
    r"(?P<log>.*?\.log)(?:\.(?P<number>\d{1,5})|(?P<date>[-._]\d{8}.*))?(?:\.\D.*)?", re.ASCII
)


def _kind_of_file(name: str) -> str | None:
    """Return what the name of a file says about what is in it."""
    return _core.chrony_kind_of_file(Path(name).name)


WANTED = Wanted(
    "logs of chrony",
    lambda name: _kind_of_file(name) is not None,
    _LOOKED_FOR,
    "not named like a log of chrony",
)


class Scan(LineScan):
    """An iterator over pairs of kind and table; made by `scan`, and used up by one pass.

    A source that cannot be read to its end raises `SourceError` from the iteration; the tables that came
    before hold good rows, and the source is not in `accounting`.
    """

    def __init__(
        self, sources: Iterable[Input], kinds: tuple[str, ...], batch_rows: int, max_line_bytes: int
    ) -> None:
        super().__init__(batch_rows, max_line_bytes)
        self._kinds = kinds
        # Of each source that ended.
        self._ended_kinds: list[str] = []
        self._batches = self._all(list(sources))

    def __iter__(self) -> "Scan":
        return self

    def __next__(self) -> tuple[str, Table]:
        kind, batch = next(self._batches)
        return kind, Table(batch.schema, [batch])

    def _tables(self) -> dict[str, Table]:
        batches: dict[str, list[_core.Batch]] = {}
        for kind, batch in self._batches:
            batches.setdefault(kind, []).append(batch)
        return {kind: self._table(kind, batches.get(kind, [])) for kind in KINDS if kind in self._ended_kinds}

    def _table(self, kind: str, batches: list[_core.Batch]) -> Table:
        ended = list(compress(self._ended, (its == kind for its in self._ended_kinds)))
        report = accounting.report((name, counts) for name, counts, _ in ended)
        rejects = rejects_of([(name, found) for name, _, found in ended])
        return Table(_core.chrony_schema(kind), batches, accounting=report, rejects=rejects)

    def _all(self, sources: list[Input]) -> Iterator[tuple[str, _core.Batch]]:
        for source in sources:
            with opened(source) as (name, content):
                scan = _core.ChronyScan(_kind_of_file(name), max_line_bytes=self._max_line_bytes)
                for batch in batches_of(scan, content, self._batch_rows):
                    yield self._checked_kind(name, scan), batch
                kind = self._checked_kind(name, scan)
                self._end(name, scan)
                self._ended_kinds.append(kind)

    def _checked_kind(self, name: str, scan: _core.ChronyScan) -> str:
        kind = scan.kind
        if kind is None:
            reasons = scan.take_rejects()
            what = "it holds no row that tells which of chrony's logs it is"
            if reasons["reason"]:
                number = int.from_bytes(reasons["line"][:8], "little")
                what = (
                    f"line {number} is neither banner nor row of any of chrony's logs, and no other line is"
                )
            raise SourceError(
                what, where=name, hint="Give a log of chrony, under its own name if it is damaged."
            )
        if kind not in self._kinds:
            hint = f"Asked for were: {', '.join(self._kinds)}."
            raise SourceError(f"is a log of the kind {kind}", where=name, hint=hint)
        return kind


def _oldest_first(found: Found) -> tuple[Any, ...]:
    """Order the files of one log as they were written: dated, numbered downwards, the current one."""
    folder, _, base = found.name.rpartition("/")
    match = _ROTATED.fullmatch(base)
    if match is None:
        return natural_key(folder), base, 2, 0, "", found.name
    number, date = match["number"], match["date"] or ""
    rank = 1 if number else 0 if date else 2
    return natural_key(folder), match["log"], rank, -int(number or 0), date, found.name


def _expand(source: object, kinds: tuple[str, ...]) -> list[Input]:
    """Turn what the caller gave into single sources: a folder into its logs, the oldest of each first."""
    what = f"{WANTED.what} ({', '.join(kinds)})"
    wanted = WANTED._replace(what=what, is_name=lambda name: _kind_of_file(name) in kinds)

    def logs_in(folder: str) -> list[str]:
        return [file.path for file in sorted(discovered(folder, wanted).files, key=_oldest_first)]

    return expand(source, logs_in)


def _checked_kinds(kinds: str | Iterable[str] | None) -> tuple[str, ...]:
    if kinds is None:
        return KINDS
    asked = {kinds} if isinstance(kinds, str) else set(kinds)
    for kind in sorted(asked - set(KINDS)):
        raise UsageError(
            f"chrony has no log of the kind {kind!r}", where="kinds", hint=f"Choose of {', '.join(KINDS)}."
        )
    if not asked:
        raise UsageError("no kind is asked for", where="kinds", hint=f"Choose of {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in asked)


def scan(
    source: Input | Sequence[Input],
    kinds: str | Iterable[str] | None = None,
    *,
    batch_rows: int = _SCAN_ROWS,
    max_line_bytes: int = _MAX_LINE_BYTES,
) -> Scan:
    """Read logs of chrony piece by piece, for more than memory.

    Parameters
    ----------
    source, kinds, max_line_bytes
        As for `read`.
    batch_rows : int, default 262144
        About how many rows a table gets. The last table of a source may be small: a table never holds rows of
        two sources.

    Returns
    -------
    Scan
        An iterator over pairs ``(kind, table)``, with `accounting` and `rejects` of what has been read to its
        end.

    Raises
    ------
    UsageError
        There is no such kind (a `ValueError`).
    SourceError
        A folder cannot be listed or holds no logs (an `OSError`). A single source that cannot be read raises
        it later, when its turn comes.

    Examples
    --------
    >>> import tickline as tl
    >>> for kind, table in tl.chrony.scan("/var/log/chrony", "tracking"):  # doctest: +SKIP
    ...     print(kind, table.column("max_error_s").max())
    """
    asked = _checked_kinds(kinds)
    return Scan(_expand(source, asked), asked, batch_rows, max_line_bytes)


def read(
    source: Input | Sequence[Input],
    kinds: str | Iterable[str] | None = None,
    *,
    max_line_bytes: int = _MAX_LINE_BYTES,
) -> dict[str, Table]:
    """Read logs of chrony into one table for each kind.

    What a log is, is told by its name (``tracking.log``, ``tracking.log.2.gz``), or, where that says nothing,
    by its banner or first row. Which generation of chrony wrote a line is told by banner, number and shape of
    columns, line by line: a log may change its layout in the middle. A line that has none of the known ones
    is rejected and never guessed.

    Parameters
    ----------
    source : path, buffer, open binary file, or a list of them
        Plain, .gz or .zst, told by content. A folder stands for the logs in it (at any depth, the oldest file
        of each first), ``"-"`` for standard input.
    kinds : str or iterable of str, optional
        Some of `KINDS`; files of a folder that are others are not opened. All by default.
    max_line_bytes : int, default 1048576
        Lines of more bytes are rejected (``line_too_long``).

    Returns
    -------
    dict of str to Table
        For each kind that was found, in the order of `KINDS`: one row for each accepted line, in the order of
        the files. ``time`` is UTC in nanoseconds; the others are named in `COLUMNS`. ``-`` and ``?`` in the
        place of a number are null; leap status (``N``, ``+``, ``-``, ``?``) is text as it stands. In
        measurements, ``layout`` is the first version of chrony that wrote such rows (1.20, 1.25, 2.0, 3.0),
        which says what the digits of ``tests_a``, ``tests_b``, ``tests_c`` mean. `accounting` and `rejects`
        say what became of every line.

    Raises
    ------
    UsageError
        There is no such kind (a `ValueError`).
    SourceError
        A source cannot be read to its end, is no log of chrony or of another kind, or a folder holds none (an
        `OSError`); nothing is returned.

    See Also
    --------
    scan : the same piece by piece, for more than memory.

    Examples
    --------
    >>> import tickline as tl
    >>> logs = tl.chrony.read("/var/log/chrony")  # doctest: +SKIP
    >>> logs["tracking"].column("max_error_s").max()  # doctest: +SKIP
    """
    return scan(source, kinds, batch_rows=_READ_ROWS, max_line_bytes=max_line_bytes)._tables()
