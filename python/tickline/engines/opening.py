"""Connecting to a cluster, or starting one on this machine."""

import contextlib
import logging
import signal
import tempfile
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

from tickline.engines import remote
from tickline.engines.cluster import PING_S, Cluster
from tickline.engines.options import ClusterError, EngineOptions
from tickline.errors import TicklineError
from tickline.progress import cores
from tickline.stops import Stops

__all__ = ["open_cluster"]

CONNECT_S = 15.0
"""How long a scheduler may take to answer, and the first worker to be there."""
_START_S = 60.0
"""How long a worker of a cluster of its own may take to start: many do it at once."""
_TLS = "distributed.comm.tls.ca-file, .client.cert and .client.key"
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
        if address == "local":
            client = _of_local_cluster(distributed, options.workers, stack)
            address = str(client.scheduler.address)
        else:
            client = _client(distributed, address)
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
        cluster.check(remote.identity)
        yield cluster


def _client(distributed: Any, address: str) -> Any:
    if address.startswith("tls://"):
        _check_tls(distributed, address)
    try:
        return distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, TimeoutError) as error:
        raise ClusterError("no scheduler answers", where=address, hint=_MANUAL) from error
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"cannot be connected to ({type(error).__name__}: {error})"
        raise ClusterError(what, where=address, hint="Look at the settings of Dask here.") from error


def _check_tls(distributed: Any, address: str) -> None:
    """See that Dask has certificates; its client would find that out too late to end well."""
    try:
        found = distributed.Security().get_connection_args("client")["ssl_context"]
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        what = f"Dask's TLS settings cannot be used ({error})"
        raise ClusterError(what, where=address, hint=f"Check {_TLS}.") from error
    if found is None:
        raise ClusterError("tls:// needs Dask's TLS settings", where=address, hint=f"Set {_TLS}.")


def _of_local_cluster(distributed: Any, workers: int, stack: contextlib.ExitStack) -> Any:
    """Start processes on this machine, to be ended by `stack`, and return a client."""
    import dask

    # Whoever finds it after a kill may know whose it is.
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="tickline-dask-", ignore_cleanup_errors=True)
    )
    spawning = "distributed.nanny.pre-spawn-environ"
    quiet = {**dask.config.get(spawning), "DASK_LOGGING__DISTRIBUTED": "critical"}
    stack.enter_context(dask.config.set({spawning: quiet, "temporary-directory": folder}))
    with _stops_held_back():
        cluster = _started(
            distributed,
            n_workers=workers or cores(),
            threads_per_worker=1,
            death_timeout=_START_S,
            # Without these two, pages of scheduler and workers would be shown to the whole network.
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            local_directory=folder,
            preload=[remote.__name__],
            silence_logs=logging.CRITICAL,
        )
        stack.enter_context(cluster)
        client = distributed.Client(cluster, timeout=CONNECT_S, set_as_default=False)
        stack.callback(_close, client)
    return client


def _started(distributed: Any, **options: Any) -> Any:
    try:
        return distributed.LocalCluster(**options)
    except (AssertionError, OSError, RuntimeError, TimeoutError) as error:
        # Dask asserts, where it closes what it has begun.
        what = f"workers do not start on this machine ({type(error).__name__}: {error})"
        hint = "Is there memory enough for them? Try fewer --workers, or --engine local."
        raise ClusterError(what, where="--scheduler local", hint=hint) from error


@contextlib.contextmanager
def _stops_held_back() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM come behind this: what is half started cannot be ended without noise.

    Processes and threads that begin here inherit that Ctrl-C is blocked: a terminal sends it to all of them.
    """
    # It would unblock it when it starts.
    resource_tracker.ensure_running()
    stops = Stops()
    try:
        with contextlib.ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():
                stack.enter_context(stops)
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
            yield
    finally:
        stops.check()


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
