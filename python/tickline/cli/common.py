"""What all commands share: errors as sentences, a clean stop, progress bars and sizes."""

import contextlib
import io
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.pipelines.access.reduce import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress

__all__ = ["Bar", "Debug", "Quiet", "answering", "console", "human_bytes"]

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")]

_SHOW_AFTER_S = 2.0


class Terminated(KeyboardInterrupt):
    """SIGTERM came: stop as cleanly as for Ctrl-C."""


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise Terminated


def console(*, stderr: bool = False) -> "Console":
    """Return a console that keeps to NO_COLOR, and neither colours nor wraps what goes into a file."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=not stream.isatty(), emoji=False)


def say_error(text: str) -> None:
    """Print one problem to standard error."""
    console(stderr=True).print(f"tickline: {text}", markup=False, style="red")


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


@contextlib.contextmanager
def answering(debug: bool) -> Iterator[None]:
    """Turn what goes wrong into a sentence and an exit code: 1 failed, 2 wrong usage, 130 Ctrl-C."""
    _mend_streams()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away, which is its right. What is still in the buffer has no place to go.
        _give_up_stdout()
        raise typer.Exit(1) from None
    except KeyboardInterrupt as stop:
        say_error("stopped. Finished files are whole; run it again to go on.")
        raise typer.Exit(143 if isinstance(stop, Terminated) else 130) from None
    except (TicklineError, OSError) as error:
        if debug:
            traceback.print_exc()
        say_error(
            str(error if isinstance(error, TicklineError) else explain_os_error(error, "standard output"))
        )
        raise typer.Exit(2 if isinstance(error, UsageError) else 1) from None
    except typer.Exit:
        raise
    except Exception as error:
        if debug:
            traceback.print_exc()
        say_error(f"{type(error).__name__}: {error}. This should not happen: please report it with --debug.")
        raise typer.Exit(1) from None
    finally:
        signal.signal(signal.SIGTERM, before)
        try:
            sys.stdout.flush()
        except OSError:
            _give_up_stdout()


def _open_screen() -> "RichProgress":
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=console(stderr=True))


class Bar(Progress):
    """A progress bar on standard error: bytes, MB/s, time left; only on a terminal and after two seconds."""

    def __init__(self, quiet: bool, label: str) -> None:
        self._shown = not quiet and sys.stderr.isatty() and sys.stdout.isatty()
        self._label = label
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

    def reach(self, done: int, _total: int) -> None:
        """So many are done by now."""
        self.advance(done - self._done)

    def _draw(self) -> None:
        if self._screen is None:
            self._screen = self._stack.enter_context(_open_screen())
            self._screen.add_task(self._label, total=self._total or None)
        self._screen.update(self._screen.task_ids[0], completed=self._done)

    @property
    def seconds(self) -> float:
        """Time since `start`."""
        return time.monotonic() - self._began

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
