"""``tickline dedup``: each line of some files once, as it stands there, within a limit of memory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tickline import _core
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.line_sources import take_lines
from tickline.pipelines.access.reduce.options import parse_memory

__all__ = ["DedupOptions", "Outcome", "dedup_files", "memory_limit"]

_DEFAULT_MEMORY = 2 * 10**9
# What the interpreter, the pieces that are read and those that are written take beside the lines.
_BESIDE = 80 * 10**6
_MOST_LINE_BYTES = 256 * 2**20
_TEXT_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class DedupOptions:
    """What `dedup_files` is asked for.

    Attributes
    ----------
    count : bool
        Write ``count TAB line`` at the end, in place of each line as it comes.
    approximate : bool
        Keep fingerprints and not lines.
    memory : int
        Bytes that the whole process may use.
    """

    count: bool = False
    approximate: bool = False
    memory: int = _DEFAULT_MEMORY

    def __post_init__(self) -> None:
        if self.count and self.approximate:
            hint = "Leave one of them away."
            what = "counts are written with their lines, which --approximate does not keep"
            raise UsageError(what, where="--count", hint=hint)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Lines read, different ones among them, and the chance that any was taken for another."""

    lines: int
    different: int
    collision_odds: float


def memory_limit(text: str | None) -> int:
    """``--memory`` to bytes; by default 2 GB, or three quarters of the machine's memory if that is less.

    Raises
    ------
    UsageError
        It is no size, less than 150 MB, or more than the machine has.
    """
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if text is None:
        return min(_DEFAULT_MEMORY, machine * 3 // 4)
    wanted = parse_memory(text)
    if wanted > machine:
        hint = f"Give at most {machine // 10**6}MB; --approximate needs the least."
        raise UsageError(f"{text} is more than this machine has", where="--memory", hint=hint)
    return wanted


class _Reading:
    """The sources, read one after the other, and what to say where memory does not do."""

    def __init__(
        self, reader: _core.NewLines | _core.LineGroups, options: DedupOptions, written: bool
    ) -> None:
        self._reader = reader
        self._options = options
        self._written = written
        self.lines = 0

    def read(self, paths: Sequence[str], between: Callable[[], object]) -> None:
        """Read all of `paths`, and call `between` whenever something may be written."""
        for path in paths:

            def look(path: str = path) -> None:
                self._check(path)
                between()

            try:
                take_lines(self._reader, path, look)
                self.lines += self._reader.finish()[0]
            except MemoryError:
                raise self._refusal(path) from None
            look()

    def _check(self, path: str) -> None:
        if self._reader.refused:
            raise self._refusal(path)
        for number, _, length in self._reader.take_long_lines():
            what = f"line {number:,} has {length:,} bytes, more than fit into --memory"
            raise SourceError(what, where=path, hint="Give more of it, and see whether the file is text.")

    def _refusal(self, path: str) -> TicklineError:
        megabytes = self._options.memory // 10**6
        what = f"the {len(self._reader):,} different lines before are all that {megabytes:,} MB hold"
        told = "What was written is incomplete. " if self._written else "Nothing was written. "
        others = (
            "split the input"
            if self._options.approximate
            else "--approximate (about 32 bytes a line)"
            if not self._options.count
            else "`sort | uniq -c`"
        )
        sort = "" if self._options.count else ", or `sort -u`, which needs no memory but changes the order"
        return TicklineError(what, where=path, hint=f"{told}Use more --memory, {others}{sort}.")


def dedup_files(paths: Sequence[str], write: Callable[[bytes], object], options: DedupOptions) -> Outcome:
    """Write each line of some files once, byte by byte, in the order of first occurrence.

    Parameters
    ----------
    paths : sequence of str
        Plain, .gz or .zst files, pipes; ``-`` is standard input.
    write : callable
        Is given the text, piece by piece. Every line is ended by a newline, but the last one if it had none
        in its source.

    Raises
    ------
    SourceError
        A source cannot be read to its end.
    TicklineError
        There are more different lines than `options.memory` holds.
    """
    _check_paths(paths)
    room = options.memory - _BESIDE
    longest = min(_MOST_LINE_BYTES, room // 4)
    if options.count:
        groups = _core.LineGroups(last=False, fields=[], max_line_bytes=longest, memory=room)
        reading = _Reading(groups, options, written=False)
        reading.read(paths, lambda: None)
        done = 0
        while done < len(groups):
            text, done = groups.text(done, _TEXT_BYTES)
            write(text)
        return Outcome(reading.lines, len(groups), 0.0)
    news = _core.NewLines(approximate=options.approximate, max_line_bytes=longest, memory=room)
    reading = _Reading(news, options, written=True)

    def write_new() -> None:
        if text := news.take_text():
            write(text)

    reading.read(paths, write_new)
    return Outcome(reading.lines, len(news), news.collision_odds)


def _check_paths(paths: Sequence[str]) -> None:
    """Find out that a file is missing before anything is written."""
    for path in paths:
        try:
            if path != "-":
                os.stat(path)
        except OSError as error:
            raise explain_os_error(error, path) from error
