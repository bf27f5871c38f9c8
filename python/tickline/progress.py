"""What long runs share: where they tell how far they are, and threads that can be none."""

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["Progress", "WorkHere", "cores"]


class Progress:
    """Where a run tells how far it is; this one keeps silent. Called from several threads."""

    def start(self, total_bytes: int) -> None:
        """So many bytes are to be read."""

    def advance(self, size: int) -> None:
        """So many more of them were read."""

    def reach(self, done: int, total: int) -> None:
        """So many of `total` are done; for what is counted in something else than bytes."""


class WorkHere(Executor):
    """Does the work at once: one thread is this one, and no other writes beside it."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # it is raised where the result is asked for
            future.set_exception(error)
        return future


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
