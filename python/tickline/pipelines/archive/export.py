"""Lines of an archive back as text: each log as it was (``raw``), or a file a day (``per-day``).

Lines come out in the order in which they were taken, byte for byte, each once. Two things are not in the
archive and are decided here: a line that never got its end gets one if another file of its log follows, and a
banner goes with the row behind it.

The archive is read to its end, whatever day is asked for: lines may have come late (a store that was away, an
import), and a line that is missing in an export is worse than a minute of reading.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import TEMPORARY_PREFIX, Folders, Stream, WholeFile, remove_temporary
from tickline.pipelines.archive.reader import list_chunks, list_nodes, read_all
from tickline.pipelines.archive.stores import ArchiveStore
from tickline.progress import Progress

__all__ = ["LAYOUTS", "ExportOptions", "ExportReport", "ExportedFile", "export"]

LAYOUTS = ("raw", "per-day")

# The node's clock may have been ahead of its logs' when a chunk got its day.
_MARGIN = timedelta(days=2)
_ROW = re.compile(rb"^(\d{4}-\d\d-\d\d) [^\n]*\n", re.MULTILINE)
# Text without any row is held back for the row that may follow, up to this.
_MOST_HELD_BYTES = 64 * 2**20
_COPY_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is exported.

    Attributes
    ----------
    first, last : date or None
        Days in UTC, by the times in the rows, both included; None: from the beginning, to the end.
    layout : str
        One of `LAYOUTS`.
    log : str or None
        Only this log: its path, or its kind (``tracking``).
    """

    node: str
    first: date | None = None
    last: date | None = None
    layout: str = "raw"
    log: str | None = None

    def wants(self, log: str) -> bool:
        """Tell whether a log is asked for."""
        return self.log is None or self.log in (log, PurePosixPath(log).stem)

    @property
    def whole(self) -> bool:
        """Whether no line is left out for its day."""
        return self.first is None and self.last is None


@dataclass(slots=True)
class ExportedFile:
    """A file that was written; the path is None for a stream."""

    path: Path | None
    lines: int = 0
    bytes: int = 0


@dataclass(slots=True)
class ExportReport:
    """What an export did.

    Attributes
    ----------
    objects : int
        Chunks that were read.
    undated : int
        Lines left out because nothing tells their day.
    problems : list of TicklineError
        Chunks that are damaged, missing or there twice: the export lacks their lines.
    """

    objects: int = 0
    undated: int = 0
    files: list[ExportedFile] = field(default_factory=list)
    problems: list[TicklineError] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """Lines that were written."""
        return sum(file.lines for file in self.files)


def export(
    store: ArchiveStore,
    options: ExportOptions,
    out: Path | BinaryIO,
    progress: Progress | None = None,
) -> ExportReport:
    """Write the lines of a node.

    Parameters
    ----------
    store : ArchiveStore
        The archive.
    options : ExportOptions
        Which lines, and how.
    out : Path or binary file
        A folder (files in it are replaced), or where the lines of ``options.log`` go.

    Raises
    ------
    UsageError
        There is no such node, the days are none, or a stream was given for what is no single log.
    TicklineError
        The archive cannot be read, or the files cannot be written.
    """
    _check(options, out)
    progress = progress or Progress()
    since = f"{options.first - _MARGIN:%Y/%m/%d}" if options.first else ""
    listed, _ = list_chunks(store, options.node, since=since)
    if not listed and options.node not in (nodes := list_nodes(store)):
        hint = f"It has {', '.join(nodes[:20])}." if nodes else "It is empty."
        raise UsageError(f"the archive has no node {options.node!r}", where=store.url, hint=hint)
    report = ExportReport()
    sink = _sink(options, out, report)
    logs: dict[str, _Log] = {}
    previous = None
    progress.start(len(listed))
    try:
        for item, chunk in read_all(store, listed):
            progress.advance(1)
            missing = item.seq - previous - 1 if previous is not None else 0
            previous = item.seq
            if missing:
                what = "stands there twice" if missing < 0 else f"the {missing:,} before it are missing"
                report.problems.append(_problem(what, item.key))
            if isinstance(chunk, TicklineError):
                report.problems.append(chunk)
            elif missing >= 0:
                report.objects += 1
                for stretch, data in chunk.pieces():
                    if options.wants(stretch.log):
                        log = logs.setdefault(stretch.log, _Log(stretch.log, options, sink, report))
                        log.add(stretch.generation, data)
        for log in logs.values():
            log.end()
        sink.commit()
    except OSError as error:
        raise explain_os_error(error, out if isinstance(out, Path) else "standard output") from error
    finally:
        sink.abort()
    return report


def _check(options: ExportOptions, out: Path | BinaryIO) -> None:
    if options.layout not in LAYOUTS:
        raise UsageError(f"{options.layout!r} is no layout", hint=f"Known are: {', '.join(LAYOUTS)}.")
    if options.first and options.last and options.last < options.first:
        raise UsageError(f"{options.last} comes before {options.first}", hint="Turn the days round.")
    if not isinstance(out, Path) and (options.log is None or options.layout != "raw"):
        hint = "Name a folder, or one log, such as tracking, in the layout raw."
        raise UsageError("a stream takes the lines of one log only", hint=hint)


def _problem(what: str, key: str) -> TicklineError:
    return TicklineError(what, where=key, hint="Run `tickline archive verify`.")


# ---- lines to days ----------------------------------------------------------------------------------------


class _Log:
    """One log: cuts what comes at the ends of days, and passes on what is asked for."""

    def __init__(self, name: str, options: ExportOptions, sink: "_Sink", report: ExportReport) -> None:
        self._name = name
        self._sink = sink
        self._report = report
        self._first = options.first.isoformat() if options.first else ""
        self._last = options.last.isoformat() if options.last else "9999-99-99"
        self._straight = options.whole and options.layout == "raw"
        self._generation = 0
        self._day = ""
        self._held = b""

    def add(self, generation: int, data: bytes) -> None:
        """Take the next stretch."""
        if generation != self._generation:
            self.end()
            self._generation = generation
        if self._straight:
            self._sink.write(self._name, generation, "", data)
            return
        data = self._held + data
        self._held = data[self._pass_on(data) :]
        if len(self._held) > _MOST_HELD_BYTES:
            self.end()

    def end(self) -> None:
        """Pass on what no row follows: it goes with the one before."""
        if self._held:
            self._give(self._held)
        self._held, self._day = b"", ""

    def _pass_on(self, data: bytes) -> int:
        """Pass on whole rows, each with the banner in front of it; return where the last one ends."""
        begin = end = 0
        for row in _ROW.finditer(data):
            day = row[1].decode()
            if day != self._day:
                self._give(data[begin:end])
                begin, self._day = end, day
            end = row.end()
        self._give(data[begin:end])
        return end

    def _give(self, data: bytes) -> None:
        if not data:
            return
        if not self._day:
            self._report.undated += data.count(b"\n") + (data[-1:] != b"\n")
        elif self._first <= self._day <= self._last:
            self._sink.write(self._name, self._generation, self._day, data)


# ---- where they go ----------------------------------------------------------------------------------------


class _Sink(Protocol):
    def write(self, log: str, generation: int, day: str, data: bytes) -> None:
        """Write lines of one log."""

    def commit(self) -> None:
        """Give what was written its names."""

    def abort(self) -> None:
        """Leave nothing behind; harmless after `commit`."""


def _sink(options: ExportOptions, out: Path | BinaryIO, report: ExportReport) -> _Sink:
    if not isinstance(out, Path):
        return _Logs(lambda _: Stream(out), report)
    try:
        if out.is_dir():
            remove_temporary(out)
        folders = Folders()
        if options.layout == "raw":
            return _Logs(lambda log: WholeFile(out / _relative(log), folders), report, folders)
        folders.make(out)
        return _Days(out, options.node, folders, report)
    except OSError as error:
        raise explain_os_error(error, out) from error


def _relative(log: str) -> Path:
    """Return where a log goes below the folder: its own path, without anything that leads elsewhere."""
    parts = [part.rstrip(":") for part in log.split("/") if part not in ("", ".", "..")]
    return Path(*(part for part in parts if part and "\0" not in part))


class _Logs:
    """A file for each log."""

    def __init__(
        self,
        make: Callable[[str], WholeFile | Stream],
        report: ExportReport,
        folders: Folders | None = None,
    ) -> None:
        self._make = make
        self._report = report
        self._folders = folders
        self._files: dict[str, tuple[WholeFile | Stream, ExportedFile]] = {}
        self._ends: dict[str, tuple[int, bool]] = {}

    def write(self, log: str, generation: int, day: str, data: bytes) -> None:  # noqa: ARG002
        if log not in self._files:
            made = self._make(log)
            self._files[log] = made, ExportedFile(made.path)
        before, ended = self._ends.get(log, (generation, True))
        if generation != before and not ended:
            data = b"\n" + data
        self._ends[log] = generation, data.endswith(b"\n")
        file, counts = self._files[log]
        file.write(data)
        counts.bytes += len(data)
        counts.lines += data.count(b"\n")

    def commit(self) -> None:
        for log, (file, counts) in sorted(self._files.items()):
            file.commit()
            counts.lines += not self._ends[log][1]
            self._report.files.append(counts)
        if self._folders is not None:
            self._folders.sync()

    def abort(self) -> None:
        for file, _ in self._files.values():
            file.abort()


class _Days:
    """A file for each day, with the lines of all logs in the order of the logs' names.

    Logs come mixed, so that each day has a hidden file a log until all is read.
    """

    def __init__(self, out: Path, node: str, folders: Folders, report: ExportReport) -> None:
        self._out = out
        self._node = node
        self._folders = folders
        self._report = report
        self._numbers: dict[str, int] = {}
        self._parts: dict[str, dict[str, Path]] = {}

    def write(self, log: str, generation: int, day: str, data: bytes) -> None:  # noqa: ARG002
        number = self._numbers.setdefault(log, len(self._numbers))
        path = self._out / f"{TEMPORARY_PREFIX}{day}-{number}"
        fresh = log not in self._parts.setdefault(day, {})
        self._parts[day][log] = path
        with path.open("wb" if fresh else "ab") as file:
            file.write(data if data.endswith(b"\n") else data + b"\n")

    def commit(self) -> None:
        for day, parts in sorted(self._parts.items()):
            counts = ExportedFile(self._out / f"{self._node}-{day}.log")
            file = WholeFile(self._out / f"{self._node}-{day}.log", self._folders)
            try:
                for _, path in sorted(parts.items(), key=lambda part: (PurePosixPath(part[0]).name, part[0])):
                    for data in _pieces(path):
                        file.write(data)
                        counts.bytes += len(data)
                        counts.lines += data.count(b"\n")
                file.commit()
            finally:
                file.abort()
            self._report.files.append(counts)
        self._folders.sync()

    def abort(self) -> None:
        for parts in self._parts.values():
            for path in parts.values():
                path.unlink(missing_ok=True)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_COPY_BYTES):
            yield data
