"""Pieces of logs: counted here, on another thread or on another machine, and put together for each log."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tickline import _core, accounting
from tickline.clients.remote_files import Address, RemoteFile, lines_of
from tickline.errors import TicklineError, explain_os_error
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.window import Part
from tickline.progress import Progress
from tickline.sources import Source

__all__ = [
    "Log",
    "Piece",
    "add_range",
    "add_stream",
    "edges",
    "new_count",
    "piece_of",
    "put_together",
    "too_many",
    "way_back",
]

Log = str | Address
"""What is read: a path, or where something lies elsewhere."""

# So many bytes between two looks at memory and at Ctrl-C.
_STEP_BYTES = 16 * 2**20


def _tables(threads: int) -> int:
    """Return how many tables there are: of each thread, each file under way, all files, and a spare one."""
    return 2 * threads + 2


def new_count(options: ConnectionOptions) -> _core.ConnectionsCount:
    """Return an empty count: the latest bucket has the number -1, the one before it -2."""
    window = options.window
    return _core.ConnectionsCount(
        since_ns=window.since_ns,
        until_ns=window.until_ns,
        origin_ns=window.until_ns + 1,
        bucket_ns=window.bucket_ns,
        max_line_bytes=options.max_line_bytes,
        memory=options.memory_bytes // _tables(options.threads),
    )


@dataclass(frozen=True, slots=True)
class Piece:
    """What became of the lines of a range of a source, and their times (as `ConnectionsCount.span`)."""

    lines: dict[str, Any]
    rejects: "_core.Rejects"
    span: tuple[int, int, int] | None


def edges(part: Part, step: int) -> Iterator[tuple[int, int]]:
    """Cut a part into ranges of so many bytes."""
    return pairwise([*range(part.begin, part.end, step), part.end])


def add_range(
    count: _core.ConnectionsCount,
    source: Source | RemoteFile,
    begin: int,
    end: int,
    options: ConnectionOptions,
    told: Progress,
) -> int:
    """Count the lines that begin in ``[begin, end)`` of a file.

    Returns
    -------
    int
        Where what the count calls byte 0 stands in the file.
    """
    if not isinstance(source, Source):
        first, content = lines_of(source, begin, end)
        add_stream(count, content, options, told)
        return first
    position = begin
    while position < end:
        step = min(end, position + _STEP_BYTES)
        try:
            count.read(source.fd, position, step)
        except OSError as error:
            raise explain_os_error(error, source.path) from error
        if count.refused:
            raise too_many(options)
        told.advance(step - position)
        position = step
    return 0


def add_stream(
    count: _core.ConnectionsCount, content: Iterator[Any], options: ConnectionOptions, told: Progress
) -> None:
    """Count all lines of a source that comes piece by piece."""
    for chunk in content:
        count.feed(chunk)
        if count.refused:
            raise too_many(options)
        told.advance(len(chunk))
    count.finish()
    if count.refused:
        raise too_many(options)


def too_many(options: ConnectionOptions, *, shared: bool = True) -> TicklineError:
    """Return the error for more hosts and counts than memory is allowed for.

    Parameters
    ----------
    shared : bool
        Whether tables of several threads share it.
    """
    what = f"hosts and their counts need more than the {options.memory_bytes / 1e6:,.0f} MB that are allowed"
    if shared:
        tables = _tables(options.threads)
        share = options.memory_bytes / tables / 1e6
        what += f": {share:,.1f} MB for each of {tables} tables, two for each thread and two more"
    fewer = ", take fewer --threads," if shared and options.threads > 1 else ""
    hint = f"Allow more with --memory{fewer} or ask for a shorter window or longer buckets."
    return TicklineError(what, where="memory", hint=hint)


def piece_of(count: _core.ConnectionsCount, first: int) -> Piece:
    """Return what became of the lines of a count whose first byte stands at `first`."""
    rejects = count.rejects()
    if first and rejects["reason"]:
        import numpy as np

        offsets = np.frombuffer(rejects["offset"], np.uint64) + np.uint64(first)
        rejects["offset"] = offsets.tobytes()
    return Piece(dict(count.counts()), rejects, count.span())


def way_back(pieces: list[Piece], part: Part) -> int:
    """Return by how many ns a line that was looked at is older than one before it, at most."""
    spans = [piece.span for piece in pieces if piece.span is not None]
    if part.earliest_behind_ns is not None:
        spans.append((part.earliest_behind_ns, part.earliest_behind_ns, 0))
    latest, back = part.latest_before_ns, 0
    for earliest_ns, latest_ns, back_ns in spans:
        back = max(back, back_ns, 0 if latest is None else latest - earliest_ns)
        latest = latest_ns if latest is None else max(latest, latest_ns)
    return back


def put_together(
    name: str, pieces: list[Piece], part: Part, noted: dict[str, int]
) -> "tuple[dict[str, Any], list[_core.Rejects]]":
    """Return what became of all lines of a source, and the rejected ones."""
    total = accounting.empty()
    for piece in pieces:
        accounting.add(total, piece.lines)
    total["noted"] = noted
    accounting.check(total, name)
    return total, list(_rejects(pieces, part.begin == 0))


def _rejects(pieces: list[Piece], from_the_first: bool) -> "Iterator[_core.Rejects]":
    """Yield rejected lines with their numbers within the source, or 0 where these are not known."""
    import numpy as np

    before = 0
    for piece in pieces:
        found = piece.rejects
        if found["reason"]:
            lines = np.frombuffer(found["line"], np.uint64)
            lines = lines + np.uint64(before) if from_the_first else np.zeros_like(lines)
            yield {**found, "line": lines.tobytes()}
        before += piece.lines["lines"]
