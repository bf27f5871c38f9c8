"""Generate S3 access logs that look like a real archive's, with the true answers beside them.

`generate_access` writes a folder of logs and `truth.json`; `access_lines` gives single lines and their
answers to tests. The same seed and options give the same bytes on every machine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from . import catalog as catalogs
from . import regions
from .archive import Keys
from .draws import Dice, mix, stream_key
from .faulty import FAULTY
from .files import TRUTH, WholeFile, clear, write_json
from .line import Line, Row, Shape, whole
from .rows import BATCH_ROWS, MOST_KEYS, Batch, Mix, Rows, chance
from .summaries import Summaries
from .truth import Tally, Truth
from .unusual import LONG, UNUSUAL

SCHEMA = 1
KIND = "tickline fake access"
FIRST_DAY = dt.date(2024, 2, 28)  # so that three days cross a leap day and the end of a month
LINE_BYTES = 568  # the mean of clean lines
# 40,000 keys to 572 MB, as in the archive whose logs served as the model.
_BYTES_PER_KEY = 14_300
FEWEST_KEYS = 100
# One line of a million bytes to every 50 MB, the first one in the middle of them.
_BYTES_PER_LONG = 50_000_000
_ROOM_FOR_LONG = 2_000_000

# What a dirty line is picked from, evenly; the long ones come only as often as they are asked for.
SHAPES: dict[str, Shape] = {**UNUSUAL, **FAULTY}
_NAMES = tuple(SHAPES)
_MAKERS = {**SHAPES, **LONG}
_LONG_NAMES = tuple(LONG)
_DAY_SECONDS = 86_400

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Source:
    """One file to write: where, for which day and seconds, and how long it should get."""

    path: str
    day: dt.date
    first_second: int
    seconds: int
    bytes: int


@dataclass(slots=True)
class _Piece:
    """One batch with its single lines: the text to write and what it consists of."""

    batch: Batch
    count: int
    singles: list[tuple[int, Line]] = field(default_factory=list)

    def chunks(self) -> Iterator[memoryview | bytes]:
        """Yield the bytes of the batch, the single lines in the places of the rows they replace."""
        text = self.batch.text()
        view = memoryview(text.data)
        if not self.singles:
            yield view
            return
        ends = np.flatnonzero(text == ord("\n")) + 1
        at = 0
        for row, line in self.singles:
            yield view[at : int(ends[row - 1]) if row else 0]
            yield line.text + b"\n"
            at = int(ends[row])
        yield view[at:]


class _Writer:
    """Makes batches: clean rows, and among them a share of single lines in unusual and faulty shapes."""

    def __init__(self, recipe: Mix, dirty: float) -> None:
        self.rows = Rows(recipe)
        self._limit = round(dirty * 2**32)
        self._dirty = stream_key(recipe.seed, "dirty")
        self._shape = stream_key(recipe.seed, "shape")
        self.next_row = 0
        self.longs = 0
        self._last_source: _Source | None = None
        self._latest = 0

    def piece(self, source: _Source, done: int, count: int, extra: str = "", clean: bool = False) -> _Piece:
        """Render the next `count` rows for a file that has `done` bytes; `extra` replaces the first row."""
        first = self.next_row
        self.next_row += count
        place = done + np.arange(count, dtype=np.int64) * LINE_BYTES
        seconds = place * source.seconds // max(source.bytes, 1)
        # Batches with many short lines end before their guess, and the next must not begin before that.
        if source is not self._last_source:
            self._last_source, self._latest = source, 0
        seconds = np.maximum(seconds, self._latest)
        self._latest = int(seconds[-1])
        seconds = np.clip(seconds - self.rows.disorder(first, count), 0, source.seconds - 1)
        batch = self.rows.render(first, count, source.day, source.first_second + seconds)
        piece = _Piece(batch, count)
        chosen = {0: extra} if extra else {}
        if self._limit and not clean:
            low = chance(self._dirty, first, count)
            for row in np.flatnonzero(low < np.uint64(self._limit)).tolist():
                chosen.setdefault(row, "")
        for row in sorted(chosen):
            piece.singles.append((row, self._single(batch, row, first + row, source.day, chosen[row])))
        return piece

    def _single(self, batch: Batch, row: int, number: int, day: dt.date, name: str) -> Line:
        dice = Dice(self._shape, number)
        name = name or dice.pick(_NAMES)
        line = _MAKERS[name](clean_row(batch, row, day), dice)
        line.shape = name
        return line


def clean_row(batch: Batch, row: int, day: dt.date) -> Row:
    """Take one row of a batch apart into its fields."""

    def get(name: str) -> bytes:
        return batch.field(row, name)

    status, error = get("status").split(b" ")
    midnight = (day - dt.date(1970, 1, 1)).days * _DAY_SECONDS
    return Row(
        time=b"[" + get("date") + get("clock") + b" +0000]",
        time_ms=(midnight + int(batch.seconds[row])) * 1000,
        ip=get("ip"),
        requester=get("requester"),
        request_id=get("request_id"),
        operation=get("operation"),
        key=get("key"),
        method=get("method").split(b" ")[0],
        target=b"/" + get("target") + get("query") + get("query_version"),
        status=status,
        error=error,
        bytes_sent=get("bytes_sent"),
        object_size=get("object_size"),
        total_time=get("total_time"),
        turnaround_time=get("turnaround_time"),
        referrer=b'"' + get("referrer") + b'"',
        agent=b'"' + get("agent") + b'"',
        tail=[get("version"), get("host_id"), *get("tail").split(b" ")],
        key_number=int(batch.key[row]),
    )


def access_lines(
    seed: int = 7, count: int = 10_000, dirty: float = 0.2
) -> list[tuple[bytes, dict[str, object]]]:
    r"""Make lines in memory, each with the answer that a reader must give.

    Parameters
    ----------
    seed : int
        Equal seeds give equal lines.
    count : int
        How many lines.
    dirty : float
        Share of lines in unusual and faulty shapes, 0 to 1.

    Returns
    -------
    list of (bytes, dict)
        The line without ``\n`` (a ``\r`` before it is kept), and ``shape`` ("clean" for an ordinary one),
        ``outcome`` and ``reason`` for a reader without filter, ``reduce`` (outcome and reason where only
        successful REST.GET.OBJECT is kept), ``noted``, ``not_utf8`` (names of columns), and for accepted
        lines ``time_ms``, ``remote_ip``, ``requester``, ``operation``, ``key``, ``http_status``,
        ``bytes_sent``, ``object_size``, ``referrer`` and ``user_agent``; text as bytes, null as None.
    """
    writer = _Writer(Mix(seed, _key_count(count * LINE_BYTES)), dirty)
    source = _Source("", FIRST_DAY, 0, _DAY_SECONDS, count * LINE_BYTES)
    lines: list[tuple[bytes, dict[str, object]]] = []
    while len(lines) < count:
        rows = min(BATCH_ROWS, count - len(lines))
        piece = writer.piece(source, len(lines) * LINE_BYTES, rows)
        singles = dict(piece.singles)
        for row in range(rows):
            line = singles.get(row)
            if line is None:
                line = whole(clean_row(piece.batch, row, FIRST_DAY))
                line.shape = "clean"
            lines.append((line.text, line.expected()))
    return lines


def generate_access(
    out: Path,
    *,
    total_bytes: int,
    seed: int = 7,
    days: int = 3,
    dirty: float = 0.001,
    layout: Literal["daily", "s3"] = "daily",
    get_share: float = 0.7,
    new_keys: bool = False,
    start: dt.date = FIRST_DAY,
    keys: int | None = None,
    catalog: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a folder of S3 access logs and the true answers in `truth.json`.

    Parameters
    ----------
    out : Path
        The folder. It must be empty, absent, or hold nothing but an earlier output of this function, which is
        replaced.
    total_bytes : int
        Size of all logs together in bytes, met to within a few lines.
    seed : int
        Equal seeds and options give equal bytes.
    days : int
        How many days the logs cover.
    dirty : float
        Share of lines in unusual and faulty shapes, 0 to 1.
    layout : {"daily", "s3"}
        ``YYYY/MM/DD.log``, or one object an hour under the names that S3 gives them.
    get_share : float
        Share of REST.GET.OBJECT among the requests.
    new_keys : bool
        Every second row has a key of its own: the worst case for dictionaries.
    start : datetime.date
        The first day.
    keys : int, optional
        How many keys there are to ask for, 100 to 300,000; by default one to 14,300 bytes.
    catalog : bool
        Also write ``catalog.tsv`` and ``catalog.json.gz`` (the same owners in two forms, see
        `tickline.fake.catalog`), local snapshots of lists of networks below ``regions/``, and the true
        summaries. The logs are the same ones as without.
    progress : callable, optional
        Called with bytes done and bytes in all, after each batch.

    Returns
    -------
    dict
        What stands in ``truth.json``: ``options``, and for each of ``sources`` and in ``total`` the exact
        ``lines`` and ``bytes``, and what a reader must find, accepted, filtered and rejected by reason:
        ``read`` without any filter, ``reduce`` with successful REST.GET.OBJECT only. With a catalog
        ``total.reduce.summaries`` has the tables of the datasets and of the archive as lists of rows (see
        `tickline.fake.summaries`); those by asset stand there, if they have over 20,000 rows in all, as the
        number of rows of each dataset and the SHA-256 of their TSV lines, in order and without header.

    Raises
    ------
    ValueError
        An option is out of its range.
    FileExistsError
        The folder holds something else.
    """
    if total_bytes < 1 or days < 1 or not 0 <= dirty <= 1 or not 0 <= get_share <= 1:
        raise ValueError("bytes and days must be at least 1, and shares must lie between 0 and 1")
    if layout not in ("daily", "s3"):
        raise ValueError(f"layout must be 'daily' or 's3', not {layout!r}")
    if not dt.date(1970, 1, 1) < start <= dt.date.max - dt.timedelta(days=min(days, 3_000_000)):
        raise ValueError(f"{days} days from {start} on do not lie between 1970-01-02 and the year 9999")
    if keys is not None and not FEWEST_KEYS <= keys <= MOST_KEYS:
        raise ValueError(f"keys must lie between {FEWEST_KEYS} and {MOST_KEYS}")
    sources = _plan(total_bytes, seed, days, layout, start)
    recipe = Mix(seed, keys or _key_count(total_bytes), get_share, new_keys)
    answer: dict[str, Any] = {
        "kind": KIND,
        "schema": SCHEMA,
        "complete": False,
        "options": {
            "bytes": total_bytes,
            "seed": seed,
            "days": days,
            "dirty": dirty,
            "layout": layout,
            "get_share": get_share,
            "new_keys": new_keys,
            **({"start": start.isoformat()} if start != FIRST_DAY else {}),
            **({"keys": keys} if keys is not None else {}),
            **({"catalog": True} if catalog else {}),
        },
        **({"files": [*catalogs.FILES, *regions.FILES]} if catalog else {}),
        "sources": [{"path": source.path} for source in sources],
    }
    clear(out, KIND)
    # Written before the first log, so that a run that was stopped can be told from somebody else's folder.
    write_json(out / TRUTH, answer)

    writer = _Writer(recipe, dirty)
    summaries = _archive(out, recipe, writer.rows.keys) if catalog else None
    truth = Truth(writer.rows.keys, recipe.keys, summaries)
    total = Tally()
    found: list[dict[str, Any]] = []
    for source in sources:
        with WholeFile(out / source.path) as file:
            filler = _Filler(file, source, writer, truth)
            filler.fill(total.bytes, total_bytes, bool(dirty), progress)
            if dirty and source is sources[-1]:
                filler.put(1, clean=True)
        tally = truth.finish_source()
        total.add(tally)
        found.append({"path": source.path, **tally.as_dict()})
    answer["complete"] = True
    answer["no_final_newline"] = [sources[-1].path] if dirty else []
    answer["sources"] = found
    answer["total"] = total.as_dict()
    answer["total"]["reduce"]["by_key"] = truth.by_key()
    if summaries is not None:
        answer["total"]["reduce"]["summaries"] = summaries.as_dict()
    write_json(out / TRUTH, answer)
    return answer


def _key_count(total_bytes: int) -> int:
    return min(MOST_KEYS, max(FEWEST_KEYS, total_bytes // _BYTES_PER_KEY))


def _archive(out: Path, recipe: Mix, keys: Keys) -> Summaries:
    """Write catalog and lists of networks, and return what will count by them."""
    catalog = catalogs.Catalog(recipe.seed, recipe.keys)
    catalog.write(out)
    regions.write_regions(out)
    return Summaries(catalog, keys)


def _plan(total_bytes: int, seed: int, days: int, layout: str, start: dt.date) -> list[_Source]:
    """Divide the bytes over the files."""
    pieces = 1 if layout == "daily" else 24
    files = days * pieces
    seconds = _DAY_SECONDS // pieces
    sources = []
    for number in range(files):
        day = start + dt.timedelta(days=number // pieces)
        begin = number % pieces * seconds
        if layout == "daily":
            path = f"{day:%Y/%m/%d}.log"
        else:
            # S3 delivers some minutes after the last record, and ends the name with random digits.
            name = mix(stream_key(seed, "object names") + number)
            late = dt.datetime.combine(day, dt.time()) + dt.timedelta(seconds=begin + seconds + name % 900)
            path = f"{late:%Y-%m-%d-%H-%M-%S}-{name:016X}"
        size = total_bytes * (number + 1) // files - total_bytes * number // files
        sources.append(_Source(path, day, begin, seconds, size))
    return sources


class _Filler:
    """Fills one file, batch by batch, and counts what it writes."""

    def __init__(self, file: BinaryIO, source: _Source, writer: _Writer, truth: Truth) -> None:
        self._file = file
        self._source = source
        self._writer = writer
        self._truth = truth

    def put(self, count: int, extra: str = "", clean: bool = False) -> None:
        """Write `count` lines; a `clean` one is the last of all, whose newline is left out."""
        tally = self._truth.source
        piece = self._writer.piece(self._source, tally.bytes, count, extra, clean)
        for chunk in piece.chunks():
            data = bytes(chunk).removesuffix(b"\n") if clean else chunk
            self._file.write(data)
            tally.bytes += len(data)
        tally.lines += count
        replaced = np.array([row for row, _ in piece.singles], dtype=np.int64)
        self._truth.add_batch(piece.batch, count, replaced, self._source.day)
        for _, line in piece.singles:
            self._truth.add_line(line)

    def fill(self, before: int, in_all: int, dirty: bool, progress: Progress | None) -> None:
        """Write lines until the file has its size; `before` bytes are in the files before it."""
        tally = self._truth.source
        while True:
            # The size of a batch is known only when it is written, so the last ones get smaller and smaller.
            room = self._source.bytes - tally.bytes
            rows = min(BATCH_ROWS, max(1, room // (LINE_BYTES + 40)))
            extra = ""
            longs = (before + tally.bytes + _BYTES_PER_LONG // 2) // _BYTES_PER_LONG
            if dirty and longs > self._writer.longs and room > _ROOM_FOR_LONG:
                extra = _LONG_NAMES[self._writer.longs % len(_LONG_NAMES)]
                self._writer.longs += 1
                rows = min(rows, (room - _ROOM_FOR_LONG) // (LINE_BYTES + 40) + 1)
            self.put(rows, extra)
            if progress is not None:
                progress(min(before + tally.bytes, in_all), in_all)
            if self._source.bytes - tally.bytes < LINE_BYTES:
                return
