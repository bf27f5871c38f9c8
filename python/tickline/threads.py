"""Threads that can be none."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

__all__ = ["WorkHere"]


class WorkHere(Executor):
    """Does the work at once: one thread is this one, and no other writes beside it."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # it is raised where the result is asked for
            future.set_exception(error)
        return future
