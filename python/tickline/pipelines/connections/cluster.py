"""Connections counted by the workers of a cluster, and put together here: the same numbers as of one machine.

A piece of work is a range of a plain file, or a whole file of any other kind. This process finds the files
and looks into them (which part of a file holds the window); workers must see them under the same names, and
send back what the core counted: a small table. Whatever a worker does can be done twice.
"""

import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tickline.clients.remote import Remotes
from tickline.clients.remote_files import RemoteFile
from tickline.engines import Answer, Cluster, ClusterError
from tickline.engines.samples import sample_of
from tickline.errors import InternalError, SourceError
from tickline.inputs import opened
from tickline.pipelines.connections.count import Counted, with_useful_threads
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
from tickline.pipelines.connections.reports import import_pyarrow
from tickline.pipelines.connections.window import Part, part_of
from tickline.progress import Progress
from tickline.sources import Source, open_source
from tickline.table import Table

__all__ = ["Task", "count_on_cluster", "count_piece"]

# A file that so many workers cannot read is one that is not there.
_MOST_WORKERS = 3


@dataclass(frozen=True, slots=True, repr=False)
class Task:
    """What a worker is to count. It is not shown anywhere: an address may hold a signature.

    Attributes
    ----------
    size : int
        How many bytes of the file were there when it was found; it may have grown since.
    sample : str
        What `sample_of` gave of them.
    begin, end : int, int or None
        The lines that begin in this range of a plain file; None for all of any other.
    """

    log: Log
    options: ConnectionOptions
    size: int
    sample: str
    begin: int = 0
    end: int | None = None


@contextmanager
def _source(log: Log, remotes: Remotes) -> Iterator[Source | RemoteFile]:
    if isinstance(log, str):
        with open_source(log) as source:
            yield source
    else:
        yield remotes.file(log)


def count_piece(task: Task) -> tuple[Piece, Any]:
    """Count a piece of a log; this runs on a worker.

    Returns
    -------
    (Piece, pyarrow.Table)
        What became of the lines, and the counts.

    Raises
    ------
    SourceError
        The file cannot be read here, or is another one.
    TicklineError
        Memory does not do, or pyarrow is not installed.
    """
    pyarrow = import_pyarrow("a worker needs")
    count = new_count(task.options)
    first = 0
    with Remotes() as remotes, _source(task.log, remotes) as source:
        if source.size < task.size or sample_of(source, task.size) != task.sample:
            what, hint = "is another file than the one that was found", "Was it replaced? Run it again."
            raise SourceError(what, where=source.path, hint=hint, number=errno.ESTALE)
        if task.end is None:
            add_stream(count, source.chunks(), task.options, Progress())
        else:
            first = add_range(count, source, task.begin, task.end, task.options, Progress())
        if isinstance(source, Source) and os.fstat(source.fd).st_size < task.size:
            what = "became shorter while it was read"
            raise SourceError(what, where=source.path, hint="Read it again.")
    batch = count.table()
    return piece_of(count, first), pyarrow.table(Table(batch.schema, [batch]))


# ---- here --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _File:
    """One source that is under way."""

    number: int
    name: str
    size: int
    part: Part
    options: ConnectionOptions
    count: Any = None
    pieces: dict[int, Piece] = field(default_factory=dict)
    missing: int = 0
    read_whole: bool = False
    failed: bool = False

    def start(self, tasks: list[Task]) -> "list[_Todo]":
        """Begin, or begin anew, with these tasks."""
        self.count, self.pieces, self.missing = new_count(self.options), {}, len(tasks)
        return [_Todo(self, number, task) for number, task in enumerate(tasks)]

    def ordered(self) -> list[Piece]:
        return [self.pieces[number] for number in sorted(self.pieces)]


@dataclass(frozen=True, slots=True)
class _Todo:
    """One piece of a file, and the workers that could not read it."""

    file: _File
    number: int
    task: Task
    tried: frozenset[str] = frozenset()


class _Run:
    def __init__(
        self,
        logs: Sequence[Log],
        options: ConnectionOptions,
        told: Progress,
        remotes: Remotes,
        cluster: Cluster,
    ) -> None:
        options = with_useful_threads(options, logs)
        # Names may hold signatures, and workers have no use for them.
        self._sent = replace(options, locations=("-",))
        self._options, self._told, self._remotes, self._cluster = options, told, remotes, cluster
        self._logs, self._number = enumerate(logs), len(logs)
        self._ready: deque[_Todo] = deque()
        self._out: dict[int, _Todo] = {}
        self._count = new_count(options)
        self._done: dict[int, tuple[str, Any, Any] | SourceError] = {}

    def run(self) -> Counted:
        while True:
            # There may be no room as there are no workers: then the cluster says so when it is waited for.
            while (self._cluster.room or not self._out) and self._fill():
                self._submit(self._ready.popleft())
            if not self._out:
                break
            self._take(self._cluster.next_answer())
        if len(self._done) != self._number:
            what = f"{len(self._done)} of {self._number} sources are accounted for: this is a bug in tickline"
            raise InternalError(what, hint="Do not use this output, and please report it.")
        counted = Counted(self._count)
        for number in sorted(self._done):
            result = self._done[number]
            if isinstance(result, SourceError):
                counted.problems.append(result)
                continue
            name, total, rejects = result
            counted.accounting.append((name, total))
            counted.rejects += [(name, found) for found in rejects]
        return counted

    def _fill(self) -> bool:
        """See that there is something to be given out; False if all is."""
        while not self._ready:
            following = next(self._logs, None)
            if following is None:
                return False
            number, log = following
            try:
                self._open(number, log)
            except SourceError as error:
                self._done[number] = error
        return True

    def _open(self, number: int, log: Log) -> None:
        with ExitStack() as stack:
            name = log if isinstance(log, str) else log.name
            if log == "-":
                _, content = stack.enter_context(opened(log))
                self._count_here(number, name, content)
                return
            source = stack.enter_context(_source(log, self._remotes))
            if isinstance(log, str) and source.kind == "pipe":
                self._count_here(number, name, source.chunks())
                return
            absolute = str(Path(log).absolute()) if isinstance(log, str) else log
            task = Task(absolute, self._sent, source.size, sample_of(source, source.size))
            file = _File(number, name, source.size, Part(0, source.size), self._options)
            tasks = [task]
            if source.kind == "plain":
                window = self._options.window
                file.part = part_of(source, window.since_ns, window.until_ns, self._options.disorder_ns)
                tasks = self._ranges(task, file.part)
        self._ready += file.start(tasks)
        if not tasks:
            self._finish(file, task)

    def _ranges(self, task: Task, part: Part) -> list[Task]:
        self._told.start(part.end - part.begin)
        return [replace(task, begin=one, end=two) for one, two in edges(part, self._options.partition_bytes)]

    def _count_here(self, number: int, name: str, content: Any) -> None:
        """Count what only this process can read."""
        count = new_count(self._options)
        add_stream(count, content, self._options, self._told)
        part = Part(0, 0)
        self._done[number] = (name, *put_together(name, [piece_of(count, 0)], part, {}))
        if not self._count.merge(count):
            raise too_many(self._options)

    def _submit(self, todo: _Todo) -> None:
        if not todo.file.failed:
            number = self._cluster.submit(count_piece, todo.task, name="connections", avoid=todo.tried)
            self._out[number] = todo

    def _take(self, answer: Answer) -> None:
        todo = self._out.pop(answer.number)
        file = todo.file
        if file.failed:
            return
        if isinstance(answer.error, SourceError):
            self._elsewhere(todo, answer.worker, answer.error)
            return
        if answer.stranded:
            # New workers may have come.
            self._ready.appendleft(replace(todo, tried=frozenset()))
            return
        if answer.error is not None:
            # One that came during the run may be unfit, and says so.
            if not isinstance(answer.error, ClusterError) or not self._next_worker(todo, answer.worker):
                raise answer.error
            return
        piece, table = answer.value
        if not file.count.add_table(table):
            raise too_many(self._options)
        file.pieces[todo.number] = piece
        file.missing -= 1
        self._told.advance(piece.lines["bytes"])
        if not file.missing:
            self._finish(file, todo.task)

    def _next_worker(self, todo: _Todo, worker: str) -> bool:
        """Give a piece to another worker than those that had it, if there is one."""
        tried = todo.tried | {worker}
        if not worker or len(tried) >= _MOST_WORKERS or not set(self._cluster.workers) - tried:
            return False
        self._ready.appendleft(replace(todo, tried=tried))
        return True

    def _elsewhere(self, todo: _Todo, worker: str, error: SourceError) -> None:
        """Let another worker try: not every one may have the file."""
        local = isinstance(todo.task.log, str)
        # What is damaged is so for everybody.
        of_worker = not local or error.errno is not None
        if of_worker and self._next_worker(todo, worker):
            return
        todo.file.failed = True
        if local:
            hint = error.hint
            if of_worker:
                hint = f"So says worker {worker}: all workers must see it under this name."
            error = SourceError(error.what, where=todo.file.name, hint=hint, number=error.errno)
        self._done[todo.file.number] = error

    def _finish(self, file: _File, task: Task) -> None:
        """Take a file whose pieces are all there; one that is not in order is read once more, and whole."""
        pieces = file.ordered()
        back_ns = way_back(pieces, file.part)
        noted: dict[str, int] = {}
        if file.read_whole:
            noted["disorder_s"] = -(-back_ns // 10**9)
        elif not file.part.whole(file.size):
            if back_ns > self._options.disorder_ns:
                file.read_whole, file.part = True, Part(0, file.size)
                self._ready += file.start(self._ranges(task, file.part))
                return
            noted["bytes_not_read"] = file.size - (file.part.end - file.part.begin)
        total, rejects = put_together(file.name, pieces, file.part, noted)
        if not self._count.merge(file.count):
            raise too_many(self._options)
        self._done[file.number] = file.name, total, rejects


def count_on_cluster(
    logs: Sequence[Log],
    options: ConnectionOptions,
    progress: Progress | None,
    remotes: Remotes,
    cluster: Cluster,
) -> Counted:
    """Count as `count.count_logs` does, on the workers of a cluster.

    Parameters
    ----------
    logs : sequence of str or Address
        Paths are those of this process and of every worker. Standard input and pipes are counted here. What
        a worker cannot read another one tries.

    Raises
    ------
    ClusterError
        The scheduler or all workers are lost, or a piece of work fails for another reason than its file.
    TicklineError
        Hosts and counts need more than `options.memory_bytes`; or pyarrow is not installed.
    """
    import_pyarrow("a cluster needs")
    return _Run(logs, options, progress or Progress(), remotes, cluster).run()
