"""One source on its way to one output: cut into pieces, scanned by many threads, written in order."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, cast

from tickline import _core, accounting
from tickline.errors import InternalError, SourceError, explain_os_error
from tickline.files import Folders
from tickline.pipelines.access.reduce import rejects
from tickline.pipelines.access.reduce.options import ReduceOptions
from tickline.pipelines.access.reduce.output import Sink, Writer, make_writer, open_sink
from tickline.pipelines.access.reduce.plan import Task
from tickline.sources import Source, open_source, stdin_source

__all__ = ["PIECE_BYTES", "CancelledError", "Context", "Job", "Part"]

# Fixed, so that neither the number of threads nor the memory shows in the output (Arrow batches end with a
# piece).
PIECE_BYTES = 8 * 2**20
_BATCH_ROWS = 65_536
# Rejected lines wait for their turn in files that are unlinked from birth; this much of each is in memory.
_SPOOL_BYTES = 2**18
# How much is scanned before its rejected lines leave the core: any two bytes can be one.
_REJECTS_BYTES = 2**18


class CancelledError(Exception):
    """The run is being stopped."""


@dataclass(slots=True)
class Context:
    """What all jobs of a run share."""

    options: ReduceOptions
    advance: Callable[[int], None]
    spool_folder: str | None = None
    folders: Folders = field(default_factory=Folders)
    stop: threading.Event = field(default_factory=threading.Event)
    filter: _core.AccessFilter = field(init=False)
    _scans: threading.local = field(init=False, default_factory=threading.local)

    def __post_init__(self) -> None:
        self.filter = self.options.rules.build()

    def new_scan(self) -> _core.AccessScan:
        """Return a scan with the columns and rules of this run: the thread's own, as new.

        One for every thread and not for every piece: its memory is used again, and the kernel need not clear
        pages for each 8 MiB of log.
        """
        scan: _core.AccessScan | None = getattr(self._scans, "scan", None)
        if scan is not None:
            scan.restart()
            return scan
        self._scans.scan = scan = _core.AccessScan(
            self.options.column_names,
            self.filter,
            output="columns" if self.options.format == "parquet" else "tsv",
            max_line_bytes=self.options.max_line_bytes,
            keep_rejects=self.options.rejects is not None,
            reject_text=self.options.with_text,
        )
        return scan


@dataclass(slots=True)
class Part:
    """What one piece of a source gave."""

    data: Any
    counts: _core.Counts
    rejects: BinaryIO | None


class Job:
    """Reads one source and writes its output.

    The steps of `steps` may run in any threads, `absorb` takes their results in order, and `finish` makes the
    output visible. Small files and everything that cannot be cut are one step that does all of this.
    """

    def __init__(self, context: Context, task: Task, output: str) -> None:
        self.task = task
        self.output = output
        self.counts = accounting.empty()
        self.error: SourceError | None = None
        self.finished = False
        self._context = context
        self._source: Source | None = None
        self._sink: Sink | None = None
        self._writer: Writer | None = None
        self._spool: BinaryIO | None = None

    def steps(self) -> Iterator[tuple[Callable[[], Part | None], bool]]:
        """Yield what is to be done, in order, and whether its result has to wait for its turn."""
        if self.task.size > PIECE_BYTES:
            try:
                source = self._open()
            except OSError as error:
                self.fail(error)
                return
            if source.kind == "plain":
                self._open_output()
                for begin in range(0, source.size, PIECE_BYTES):
                    yield partial(self._scan, begin, min(begin + PIECE_BYTES, source.size)), True
                return
        yield self._whole, False

    def _open(self) -> Source:
        if self._source is None:
            path = self.task.found.path
            self._source = _open_stdin() if path == "-" else open_source(path)
            # What is recorded is what was read: it may be newer than what was found.
            if self._source.regular:
                self.task.size, self.task.mtime_ns = self._source.size, self._source.mtime_ns
        return self._source

    def _open_output(self) -> None:
        try:
            self._sink = open_sink(self.output, self._context.folders)
            self._writer = make_writer(self._sink, self._context.options)
            if self._context.options.rejects is not None:
                self._spool = self._new_spool()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.fail(explain_os_error(error, self.output))

    def _new_spool(self) -> BinaryIO:
        spool = tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=self._context.spool_folder)  # noqa: SIM115
        return cast(BinaryIO, spool)

    def _scan(self, begin: int, end: int) -> Part | None:
        """Scan one range of a plain file."""
        if self.error is not None or self._context.stop.is_set():
            return None
        source = self._open()
        scan = self._context.new_scan()
        listed = self._new_spool() if self._context.options.rejects is not None else None
        step = _REJECTS_BYTES if listed is not None else end - begin
        for position in range(begin, end, step):
            self._scan_range(scan, source, position, min(position + step, end))
            self._write_rejects(scan, listed)
        self._context.advance(end - begin)
        data = scan.take_batch() if self._context.options.format == "parquet" else scan.take_tsv()
        return Part(data, scan.counts(), listed)

    @staticmethod
    def _scan_range(scan: _core.AccessScan, source: Source, begin: int, end: int) -> None:
        try:
            while begin < end:
                begin = scan.read(source.fd, begin, end)
        except OSError as error:
            raise explain_os_error(error, source.path) from error

    def _whole(self) -> None:
        try:
            source = self._open()
            self._open_output()
            if self.error is None:
                if source.kind == "plain":
                    # One piece, unless the file has grown since it was found.
                    for begin in range(0, source.size, PIECE_BYTES):
                        self.absorb(self._scan(begin, min(begin + PIECE_BYTES, source.size)))
                else:
                    self._stream(source)
                self.finish()
        except OSError as error:
            self.fail(error)
        finally:
            self.close()

    def _stream(self, source: Source) -> None:
        """Scan what can only be read from front to back."""
        scan = self._context.new_scan()
        taken = 0
        for chunk in source.chunks():
            if self._context.stop.is_set():
                raise CancelledError
            scan.feed(chunk)
            self._take(scan, _BATCH_ROWS)
            self._context.advance(source.bytes_taken - taken)
            taken = source.bytes_taken
        scan.finish()
        self._take(scan, 0)
        accounting.add(self.counts, scan.counts())

    def _take(self, scan: _core.AccessScan, rows: int) -> None:
        """Write what a running scan has, once it has more than `rows` rows (TSV: always)."""
        options = self._context.options
        if options.format == "tsv":
            self._write(scan.take_tsv())
        elif scan.pending_rows > rows:
            self._write(scan.take_batch())
        self._write_rejects(scan, self._spool)

    def absorb(self, part: Part | None) -> None:
        """Take the result of the next step."""
        if part is None:
            return
        with part.rejects or nullcontext():
            if self.error is None:
                self._write(part.data)
                if part.rejects is not None and self._spool is not None:
                    rejects.copy_rows(part.rejects, self._spool, self.counts["lines"])
                accounting.add(self.counts, part.counts)

    def _write(self, data: Any) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise explain_os_error(error, self.output) from error

    def _write_rejects(self, scan: _core.AccessScan, spool: BinaryIO | None) -> None:
        if spool is not None:
            rejects.write_rows(spool, self.task.name, rejects.rows(scan.take_rejects()))

    def finish(self) -> None:
        """Check the sums and the source, and make the output visible."""
        if self.error is not None or self._context.stop.is_set():
            return
        if self._source is None or self._sink is None or self._writer is None:
            raise InternalError("finished before it was begun", where=self.task.name)
        accounting.check(self.counts, self.task.name)
        if not self._source.unchanged():
            hint = "Run it again when its writer is done: its output was left as it was."
            raise SourceError("was changed while it was read", where=self._source.path, hint=hint)
        try:
            self._writer.finish()
            self._sink.commit()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise explain_os_error(error, self.output) from error
        self.finished = True

    def fail(self, error: OSError) -> None:
        """Note why this source has no output; the steps still to come do nothing."""
        if isinstance(error, BrokenPipeError):
            raise error
        if self.error is None:
            self.error = explain_os_error(error, self.task.found.path)

    def copy_rejects(self, sink: Sink) -> None:
        """Append the rejected lines of this source to the list of the run."""
        if self._spool is not None and self.finished:
            self._spool.seek(0)
            while data := self._spool.read(_SPOOL_BYTES):
                sink.write(data)

    def close(self) -> None:
        """Close the source, and take away an output that is not finished."""
        if self._source is not None:
            self._source.close()
        if self._sink is not None:
            self._sink.abort()

    def close_spool(self) -> None:
        """Let the rejected lines go."""
        if self._spool is not None:
            self._spool.close()


def _open_stdin() -> Source:
    return stdin_source(sys.stdin.buffer)
