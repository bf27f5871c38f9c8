"""Questions that Ctrl-C stops: DuckDB looks for it in some calls, and reading a result is none of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

__all__ = ["stoppable"]

_AGAIN_S = 0.1

T = TypeVar("T")


class Interruptible(Protocol):
    """A connection, or what has some."""

    def interrupt(self) -> None:
        """End what it is doing."""


def stoppable(connection: Interruptible, work: Callable[[], T]) -> T:
    """Run a call that keeps a connection busy; what interrupts the caller interrupts the connection too.

    The call runs in a thread of its own, because signals reach the main thread between two steps of Python.
    """
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(work)
        try:
            return asked.result()
        finally:
            # Again and again: before the call has begun in earnest, an interruption has no effect.
            while not asked.done():
                connection.interrupt()
                wait([asked], _AGAIN_S)
