"""SIGTERM and Ctrl-C for what may only be stopped between two steps."""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

__all__ = ["Stops", "Terminated"]


class Terminated(KeyboardInterrupt):
    """SIGTERM came: stop as cleanly as for Ctrl-C."""


class Stops:
    """SIGTERM and Ctrl-C, held back to the next step of a run; a second one is obeyed at once.

    A context manager, for the main thread.
    """

    def __init__(self) -> None:
        self._came: type[KeyboardInterrupt] | None = None
        self._idle = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stops":
        for number in (signal.SIGTERM, signal.SIGINT):
            # In a shell's background Ctrl-C is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        again = self._came is not None
        self._came = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if again or self._idle:
            raise self._came

    def check(self, step: object = None) -> None:
        """End here if that was asked for; `step` is that of a run."""
        # Behind the last step there is nothing left to be spared.
        if self._came is not None and step != "logged":
            raise self._came

    def sleep(self, seconds: float) -> None:
        """Wait, and end at once when that is asked for."""
        self.idle(lambda: time.sleep(seconds))

    def idle(self, wait: Callable[[], object]) -> None:
        """Wait in some other way, and end at once when that is asked for."""
        self._idle = True
        try:
            self.check()
            wait()
        finally:
            self._idle = False
