"""Who does the work: threads of this process, or the workers of a cluster."""

import re
from dataclasses import dataclass

from tickline.errors import TicklineError, UsageError

__all__ = ["ENGINES", "ClusterError", "EngineOptions"]

ENGINES = ("local", "dask")
_MOST_PORT = 65_535


class ClusterError(TicklineError):
    """The cluster cannot do the work (any more): no scheduler, no worker, or another version on one."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Who does the work.

    Attributes
    ----------
    engine : str
        ``"local"``: threads of this process. ``"dask"``: workers of a cluster.
    scheduler : str
        ``"local"``: a cluster of processes on this machine, ended with the run; else ``"tcp://host:port"`` or
        ``"tls://host:port"``.
    workers : int
        Of a local cluster so many processes (0: one a core); of another one, so many are waited for (0: one).

    Raises
    ------
    UsageError
        An option is wrong, or has no use with this engine.
    """

    engine: str = "local"
    scheduler: str | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            hint = f"Choose from: {', '.join(ENGINES)}."
            raise UsageError(f"{self.engine!r} is no engine", where="--engine", hint=hint)
        if self.workers < 0:
            raise UsageError("must not be negative", where="--workers")
        if self.engine == "local" and (self.scheduler is not None or self.workers):
            what = "has no use with --engine local"
            where = "--workers" if self.scheduler is None else "--scheduler"
            raise UsageError(what, where=where, hint="Add --engine dask.")
        if self.scheduler is not None:
            _check_address(self.scheduler)

    @property
    def distributed(self) -> bool:
        """Whether other processes do the work."""
        return self.engine == "dask"


def _check_address(scheduler: str) -> None:
    found = re.fullmatch(r"(tcp|tls)://(\[[^\[\]@/\s]+\]|[^\[\]@/:\s]+):([0-9]{1,5})", scheduler)
    if scheduler != "local" and (found is None or int(found[3]) > _MOST_PORT):
        hint = "Write it as tcp://host:8786 or tls://host:8786, or local."
        # Before an @ there may be a password.
        where = f"--scheduler {scheduler.rpartition('@')[2]}"
        raise UsageError("is no address of a scheduler", where=where, hint=hint)
