"""Connecting to a cluster, or starting one on this machine."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from typing import Any

from tickline.engines import remote
from tickline.engines.cluster import PING_S, Cluster
from tickline.engines.options import ClusterError, EngineOptions
from tickline.errors import TicklineError
from tickline.progress import cores

__all__ = ["open_cluster"]

CONNECT_S = 15.0
"""How long a scheduler may take to answer, and the first worker to be there."""
_MANUAL = "Start it with `dask scheduler`, and workers with `dask worker ADDRESS`, or use --scheduler local."


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[dask]'."
        raise TicklineError("a cluster needs dask.distributed, which is not installed", hint=hint) from error
    return distributed


@contextlib.contextmanager
def open_cluster(options: EngineOptions) -> Iterator[Cluster]:
    """Open a cluster whose workers all have this very version of tickline; what is under way ends with it.

    Raises
    ------
    ClusterError
        The scheduler does not answer, no worker is there in time, or one has another version.
    TicklineError
        Dask is not installed.
    """
    distributed = _import_distributed()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        address = options.scheduler or "local"
        where: Any = address
        if address == "local":
            where = _local_cluster(distributed, options.workers, stack)
            address = str(where.scheduler_address)
        try:
            client = distributed.Client(where, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise ClusterError("no scheduler answers", where=address, hint=_MANUAL) from error
        stack.callback(_close, client)
        cluster = Cluster(address, client)
        stack.callback(cluster.cancel)
        wanted = max(1, options.workers)
        try:
            client.wait_for_workers(wanted, timeout=CONNECT_S)
        except TimeoutError as error:
            cluster.look()
            what = f"has {len(cluster.workers)} workers, and {wanted} are wanted"
            raise ClusterError(what, where=address, hint=_MANUAL) from error
        cluster.look()
        cluster.check(remote.identity)
        yield cluster


def _local_cluster(distributed: Any, workers: int, stack: contextlib.ExitStack) -> Any:
    import dask

    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    spawning = "distributed.nanny.pre-spawn-environ"
    quiet = {**dask.config.get(spawning), "DASK_LOGGING__DISTRIBUTED": "critical"}
    stack.enter_context(dask.config.set({spawning: quiet}))
    cluster = distributed.LocalCluster(
        n_workers=workers or cores(),
        threads_per_worker=1,
        # Without these two, pages of scheduler and workers would be shown to the whole network.
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        local_directory=folder,
        preload=[remote.__name__],
        silence_logs=logging.CRITICAL,
    )
    return stack.enter_context(cluster)


def _close(client: Any) -> None:
    # A scheduler that is gone must not hold the run.
    with contextlib.suppress(Exception):
        client.close(timeout=PING_S)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own messages from the terminal: what matters is raised, with a name."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    levels = {logger: logger.level for logger in map(logging.getLogger, ["distributed", *names])}
    for logger in levels:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
