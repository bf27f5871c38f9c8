"""Logs of connections to counts: parts of files, on threads, each read once."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from tickline import _core
from tickline.clients.remote import Remotes
from tickline.clients.remote_files import RemoteFile
from tickline.errors import SourceError
from tickline.inputs import opened
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.pieces import (
    Log,
    Piece,
    add_range,
    add_stream,
    edges,
    new_count,
    piece_of,
    put_together,
    too_many,
    way_back,
)
from tickline.pipelines.connections.window import Part, part_of
from tickline.progress import Progress, cores
from tickline.sources import Source
from tickline.threads import WorkHere

__all__ = ["Counted", "count_logs", "with_useful_threads"]

# A range of fewer bytes costs more to set up than threads gain.
_LEAST_BYTES = 4 * 2**20
# So many may wait for a network at a time, however few cores there are.
_MOST_WAITING = 32


@dataclass(slots=True)
class Counted:
    """What some logs were counted to.

    Attributes
    ----------
    count : _core.ConnectionsCount
        All of them together.
    accounting : list of (str, dict)
        What became of the lines of each source. ``noted`` has ``bytes_not_read`` where a part of a file was
        skipped by its times, and ``disorder_s`` where a file had to be read whole because a line is so many
        seconds (rounded up) older than one before it.
    rejects : list of (str, _core.Rejects)
        The first rejected lines of each source. ``line`` is 0 where lines before it were not read.
    problems : list of SourceError
        Sources that could not be read; nothing of them is counted.
    """

    count: _core.ConnectionsCount
    accounting: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rejects: "list[tuple[str, _core.Rejects]]" = field(default_factory=list)
    problems: list[SourceError] = field(default_factory=list)


class _File:
    """One source that is under way: its counts so far, and what is still being read of it."""

    def __init__(
        self, log: Log, remotes: Remotes, options: ConnectionOptions, pool: Executor, told: Progress
    ) -> None:
        self._options, self._pool, self._told = options, pool, told
        self._mutex = Lock()
        self._held = ExitStack()
        self.count = new_count(options)
        self._tasks: list[Future[Piece]] = []
        window = options.window
        with self._held:
            place = opened(log) if isinstance(log, str) else remotes.opened(log)
            self.name, content = self._held.enter_context(place)
            self._source: Source | RemoteFile | None = None
            self._part = Part(0, 0)
            if isinstance(content, Source | RemoteFile):
                self._source = content
                self._part = part_of(content, window.since_ns, window.until_ns, options.disorder_ns)
                self._read(content, self._part)
            else:
                self._tasks = [pool.submit(self._stream, content)]
            self._held = self._held.pop_all()

    def close(self) -> None:
        """Wait for what is being read, and close the file."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            if not task.cancelled():
                task.exception()
        self._held.close()

    def result(self) -> tuple[dict[str, Any], "list[_core.Rejects]"]:
        """Wait for the counts; return what became of the lines, and the rejected ones.

        Raises
        ------
        SourceError
            The source could not be read to its end.
        TicklineError
            Memory does not do.
        """
        pieces = self._pieces()
        noted: dict[str, int] = {}
        source = self._source
        if source is not None and not self._part.whole(source.size):
            if way_back(pieces, self._part) <= self._options.disorder_ns:
                noted["bytes_not_read"] = source.size - (self._part.end - self._part.begin)
            else:
                self._part = Part(0, source.size)
                self.count = new_count(self._options)
                self._read(source, self._part)
                pieces = self._pieces()
                noted["disorder_s"] = -(-way_back(pieces, self._part) // 10**9)
        total, rejects = put_together(self.name, pieces, self._part, noted)
        if isinstance(source, Source):
            _check_size(source, self._part, total["bytes"])
        return total, rejects

    def _read(self, source: Source | RemoteFile, part: Part) -> None:
        """Give a part to the threads, in pieces."""
        self._told.start(part.end - part.begin)
        step = self._options.partition_bytes
        if self._options.threads > 1:  # so that no thread is left alone with the last of it
            step = min(step, max((part.end - part.begin) // (4 * self._options.threads), _LEAST_BYTES))
        self._tasks = [self._pool.submit(self._range, source, begin, end) for begin, end in edges(part, step)]

    def _pieces(self) -> list[Piece]:
        return [task.result() for task in self._tasks]

    def _range(self, source: Source | RemoteFile, begin: int, end: int) -> Piece:
        count = new_count(self._options)
        first = add_range(count, source, begin, end, self._options, self._told)
        return self._take(count, first)

    def _stream(self, content: Iterator[Any]) -> Piece:
        count = new_count(self._options)
        add_stream(count, content, self._options, self._told)
        return self._take(count, 0)

    def _take(self, count: _core.ConnectionsCount, first: int) -> Piece:
        # At once, and not when all are done: else the counts of every range would wait in memory.
        with self._mutex:
            if not self.count.merge(count):
                raise too_many(self._options)
        return piece_of(count, first)


def with_useful_threads(options: ConnectionOptions, logs: Sequence[Log]) -> ConnectionOptions:
    """Return the options without threads that would have nothing to do, as each takes its share of memory."""
    paths = [log for log in logs if isinstance(log, str)]
    most = max(cores(), _MOST_WAITING)
    if len(paths) == len(logs):
        step = min(options.partition_bytes, _LEAST_BYTES)
        most = min(cores(), sum(1 + _size(path) // step for path in paths))
    return replace(options, threads=max(1, min(options.threads, most)))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # standard input; what cannot be read is named when its turn comes
        return 0


def count_logs(
    logs: Sequence[Log], options: ConnectionOptions, progress: Progress | None, remotes: Remotes
) -> Counted:
    """Count the connections of some logs in the window that is asked for.

    Parameters
    ----------
    logs : sequence of str or Address
        Plain, .gz or .zst; ``-`` is standard input. What a plain file is read of: see `window.part_of`.
    remotes : Remotes
        What opens the addresses.

    Raises
    ------
    TicklineError
        Hosts and counts need more than `options.memory_bytes`.
    """
    told = progress or Progress()
    options = with_useful_threads(options, logs)
    counted = Counted(new_count(options))
    threads = options.threads
    pool: Executor = ThreadPoolExecutor(threads, "tickline-count") if threads > 1 else WorkHere()
    # A few files are under way at a time: those behind the first one keep the other threads busy.
    waiting: list[_File] = []
    with pool:
        try:
            for log in logs:
                try:
                    waiting.append(_File(log, remotes, options, pool, told))
                except SourceError as error:
                    counted.problems.append(error)
                if len(waiting) > threads - 1:
                    _finish(waiting, counted, options)
            while waiting:
                _finish(waiting, counted, options)
        finally:
            for file in waiting:
                file.close()
    return counted


def _finish(waiting: list[_File], counted: Counted, options: ConnectionOptions) -> None:
    """Take the counts of the first source; what is wrong with it is no matter of the others."""
    file = waiting[0]
    try:
        total, rejects = file.result()
    except SourceError as error:
        counted.problems.append(error)
    else:
        if not counted.count.merge(file.count):
            raise too_many(options)
        counted.accounting.append((file.name, total))
        counted.rejects += [(file.name, found) for found in rejects]
    file.close()
    del waiting[0]


def _check_size(source: Source, part: Part, size: int) -> None:
    if size < part.end - part.begin and os.fstat(source.fd).st_size < source.size:
        raise SourceError("became shorter while it was read", where=source.path, hint="Read it again.")
