"""What runs on a worker: one piece of work, by this very version, with its error as a value."""

import hashlib
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tickline import _core
from tickline.engines.options import ClusterError
from tickline.errors import SourceError, TicklineError, UsageError

__all__ = ["Failure", "dask_setup", "do_piece", "identity"]


def _sources(package: Path) -> Iterator[Path]:
    seen = set()
    for folder, folders, names in os.walk(package, followlinks=True):
        folders.sort()
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


@cache
def identity() -> str:
    """Return what this installation is: its version, and a hash of its sources, compiled and not.

    Installations for development have links to folders. Compiled modules are told by what they were made
    from: each machine may have made them itself.
    """
    package = Path(__file__).parents[1]
    hashed = hashlib.sha256(_core.SOURCES_SHA256.encode())
    for name, path in sorted((str(path.relative_to(package)), path) for path in _sources(package)):
        hashed.update(name.encode() + b"\0")
        hashed.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{_core.__version__} ({hashed.hexdigest()[:16]})"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error on its way back. Classes are named, as pickle forgets the number of an OSError."""

    kind: str
    what: str
    where: str | None = None
    hint: str | None = None
    number: int | None = None
    trace: str = ""

    @classmethod
    def of(cls, error: BaseException) -> "Failure":
        trace = traceback.format_exc()
        if isinstance(error, TicklineError):
            number = error.errno if isinstance(error, SourceError) else None
            return cls(type(error).__name__, error.what, error.where, error.hint, number, trace)
        return cls("", f"{type(error).__name__}: {error}", trace=trace)

    def error(self, worker: str) -> TicklineError:
        if self.kind == "SourceError":
            return SourceError(self.what, where=self.where, hint=self.hint, number=self.number)
        if self.kind == "ClusterError":
            return ClusterError(self.what, where=self.where or f"worker {worker}", hint=self.hint)
        if self.kind:
            kind = UsageError if self.kind == "UsageError" else TicklineError
            return kind(self.what, where=self.where, hint=self.hint)
        hint = "Use --debug to see more."
        error = ClusterError(f"failed there: {self.what}", where=f"worker {worker}", hint=hint)
        error.add_note(self.trace)
        return error


def _address() -> str:
    from distributed import get_worker

    try:
        return str(get_worker().address)
    except ValueError:  # asked beside all work, where the answers are told apart anyway
        return ""


def do_piece(expected: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, Any]:
    """Run one piece; workers that came during the run are checked here."""
    worker = _address()
    if identity() != expected:
        return worker, Failure.of(_other_version(identity(), expected))
    try:
        return worker, work(*arguments)
    except Exception as error:
        return worker, Failure.of(error)


def _other_version(there: str, here: str) -> ClusterError:
    what = f"has tickline {there}, and this process {here}: results could differ"
    return ClusterError(what, hint="Install the same tickline on both.")


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C to the process that has started this one; Dask calls it in workers that it preloads."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
