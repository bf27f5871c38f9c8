"""What all commands share: errors as sentences, a clean stop, progress bars and sizes."""

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.progress import Progress
from tickline.stops import Terminated

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

__all__ = [
    "Bar",
    "Bars",
    "Debug",
    "Quiet",
    "answering",
    "console",
    "human_bytes",
    "plural",
    "print_json",
    "say_error",
]

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]

_SHOW_AFTER_S = 2.0
# What phases count in place of bytes.
_UNITS = {
    "summarizing": "days",
    "exporting": "datasets",
    "asking for dandisets": "dandisets",
    "writing": "tables",
}


class _Stops:
    """Whether Ctrl-C or SIGTERM came: a library may turn what they raise into an error of its own."""

    def __init__(self) -> None:
        self._came: type[KeyboardInterrupt] | None = None
        self._before: dict[int, Any] = {signal.SIGTERM: signal.signal(signal.SIGTERM, self._stop)}
        # In a shell's background Ctrl-C is ignored, and stays so.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._came = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        raise self._came

    def code(self, error: BaseException) -> int | None:
        """Return the exit code if this error comes of a stop."""
        if self._came is None and not isinstance(error, KeyboardInterrupt):
            return None
        return 143 if Terminated in (self._came, type(error)) else 130

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def console(*, stderr: bool = False) -> "Console":
    """Return a console that keeps to NO_COLOR, and neither colours nor wraps what goes into a file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty(), emoji=False)


def say_error(text: str) -> None:
    """Print one problem to standard error."""
    console(stderr=True).print(f"tickline: {text}", markup=False, style="red")


def plural(count: int, noun: str) -> str:
    """Return ``1 source``, ``1,234 sources``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")


def print_json(value: Any) -> None:
    """Print one JSON value to standard output."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


def human_bytes(size: float) -> str:
    """Return a size in decimal units: ``572.3 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _mend_streams() -> None:
    """Make the standard streams fit to be written to.

    Where the shell has closed one (``>&-``), its number must not be given to the next file that is opened: it
    becomes one that refuses everything. A name that the terminal's encoding lacks is shown escaped.
    """
    for number, (name, mode) in enumerate((("stdin", "w"), ("stdout", "r"), ("stderr", "r+"))):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, {"w": os.O_WRONLY, "r": os.O_RDONLY, "r+": os.O_RDWR}[mode])
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_stdout() -> None:
    """What is in its buffer has no place to go, and the interpreter shall not try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


_GO_ON = "Finished files are whole; run it again to go on."


def _tell(error: BaseException, stopped: int | None, debug: bool, when_stopped: str) -> int:
    """Say what went wrong, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        # The reader went away, which is its right. What is still in the buffer has no place to go.
        _give_up_stdout()
        return 1
    if stopped is not None:
        say_error(f"stopped. {when_stopped}".rstrip())
        return stopped
    if isinstance(error, typer.Abort):
        say_error("no answer came: nothing was done.")
        return 1
    if debug:
        traceback.print_exception(error)
    if isinstance(error, TicklineError | OSError):
        known = error if isinstance(error, TicklineError) else explain_os_error(error, "standard output")
        say_error(str(known))
        return 2 if isinstance(error, UsageError) else 1
    say_error(f"{type(error).__name__}: {error}. This should not happen: please report it with --debug.")
    return 1


@contextlib.contextmanager
def answering(debug: bool, *, when_stopped: str = _GO_ON) -> Iterator[None]:
    """Turn what goes wrong into a sentence and an exit code: 1 failed, 2 wrong usage, 130 Ctrl-C."""
    _mend_streams()
    stops = _Stops()
    try:
        yield
        sys.stdout.flush()
    except typer.Exit:
        raise
    except (Exception, KeyboardInterrupt) as error:
        raise typer.Exit(_tell(error, stops.code(error), debug, when_stopped)) from None
    finally:
        stops.restore()
        try:
            sys.stdout.flush()
        except OSError:
            _give_up_stdout()


def _open_screen(unit: str) -> "RichProgress":
    from rich import progress

    counted: tuple[progress.ProgressColumn, ...] = (progress.DownloadColumn(), progress.TransferSpeedColumn())
    if unit != "bytes":
        counted = (progress.MofNCompleteColumn(), progress.TextColumn(unit))
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        *counted,
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=console(stderr=True))


class Bar(Progress):
    """A progress bar on standard error: how much, how fast, time left; on a terminal, after two seconds."""

    def __init__(self, quiet: bool, label: str, unit: str = "bytes") -> None:
        self._shown = not quiet and sys.stderr.isatty() and sys.stdout.isatty()
        self._label = label
        self._unit = unit
        self._total = 0
        self._done = 0
        self._began = time.monotonic()
        self._mutex = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._screen: RichProgress | None = None

    def start(self, total_bytes: int) -> None:
        """So many bytes are to be done; unknown if 0."""
        self._total = total_bytes
        self._began = time.monotonic()

    def advance(self, size: int) -> None:
        """So many more are done."""
        with self._mutex:
            self._done += size
            if self._shown and time.monotonic() - self._began >= _SHOW_AFTER_S:
                self._draw()

    def reach(self, done: int, total: int) -> None:
        """So many of `total` are done by now."""
        self._total = total
        self.advance(done - self._done)

    def _draw(self) -> None:
        if self._screen is None:
            self._screen = self._stack.enter_context(_open_screen(self._unit))
            self._screen.add_task(self._label, total=self._total or None)
        self._screen.update(self._screen.task_ids[0], completed=self._done, total=self._total or None)

    @property
    def seconds(self) -> float:
        """Time since `start`."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """Leave the bar as it stands; more than once is harmless."""
        self._stack.close()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Bars:
    """The bars of a run with several phases, one after the other."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bars: list[Bar] = []

    def begin(self, phase: str) -> Bar:
        """Begin a phase; the one before is done."""
        self.close()
        unit = _UNITS.get(phase, "bytes")
        self._bars.append(Bar(self._quiet, phase, unit))
        return self._bars[-1]

    @property
    def first(self) -> Bar:
        """The bar of the first phase."""
        return self._bars[0]

    def close(self) -> None:
        """Leave the last bar as it stands."""
        for bar in self._bars[-1:]:
            bar.close()

    def __enter__(self) -> "Bars":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
