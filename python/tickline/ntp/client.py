"""Asking many servers for the time, all at once."""

import math
import time
from collections.abc import Iterable
from typing import Literal

from tickline import _core
from tickline.arguments import instance, items, real_number, whole_number
from tickline.errors import UsageError
from tickline.ntp.dns_cache import DnsCache
from tickline.ntp.metrics import Metrics
from tickline.ntp.packet import Policy
from tickline.ntp.result import Result, result_of

__all__ = ["Client", "Family", "aquery", "query"]

Family = Literal["any", "v4", "v6"]

_MOST_S = 2.0**32  # 136 years; in nanoseconds it fits into 64 bits
_MOST_QUORUM = 2**31 - 1


class Client:
    """Asks servers for the time, and remembers what they asked of it.

    A client keeps the names it looked up, which servers it asked when, which of them want to be left alone
    (kiss codes), and counts of everything (`metrics`). Threads may share it; its memory is bounded.

    Parameters
    ----------
    headway_s : float, default 2.0
        A server gets no second request within this time: its last answer serves again, or it is `"held"`.
        RFC 4330 section 10 asks for at least 15 s between the queries of an ordinary client.
    dns_cache : DnsCache, optional
        Names and their addresses; one of its own by default.
    policy : Policy, optional
        What an answer must be like; strict by default.

    Examples
    --------
    >>> client = Client()
    >>> client.query(["time.example.org"], quorum=1, deadline_s=0).why
    'the deadline leaves no time to ask anybody'
    """

    def __init__(
        self, *, headway_s: float = 2.0, dns_cache: DnsCache | None = None, policy: Policy | None = None
    ) -> None:
        if not 0 <= real_number(headway_s, "headway_s") < math.inf:
            raise UsageError(f"{headway_s} is no time", where="headway_s", hint="Give seconds, 0 or more.")
        self.dns_cache = DnsCache() if dns_cache is None else instance(dns_cache, "dns_cache", DnsCache)
        self._policy = None if policy is None else instance(policy, "policy", Policy)
        self._core = _core.NtpClient(self.dns_cache._core, _ns(headway_s))
        self.metrics = Metrics(self._core.metrics)

    def query(
        self,
        servers: Iterable[str],
        *,
        quorum: int = 3,
        deadline_s: float = 2.0,
        accuracy_s: float | None = None,
        family: Family = "any",
        port: int = 123,
    ) -> Result:
        """Ask all servers for the time and return as soon as enough of them agree.

        Parameters
        ----------
        servers : iterable of str
            ``"host"``, ``"host:port"``, ``"192.0.2.1"``, ``"[2001:db8::1]:port"``; a str alone is one server.
            Each distinct name has one vote, however many addresses it has; these are tried one after
            another. Names that lead to the same addresses have one vote together.
        quorum : int, default 3
            So many servers must agree. It tolerates ``quorum - 2`` liars, and can be reached in spite of them
            with ``2 * quorum - 2`` servers: 3 of 4, 4 of 6. 1 and 2 tolerate none.
        deadline_s : float, default 2.0
            The whole time, look-up of names included; infinity is a very long one.
        accuracy_s : float, optional
            Ask on after the quorum until `Result.error_ns` is no larger, as long as there is time.
        family : {"any", "v4", "v6"}
            Which addresses to ask.
        port : int, default 123
            For names without one.

        Returns
        -------
        Result
            Also when nobody answers: `Result.ok` is false then, and `Result.why` says why.

        Raises
        ------
        UsageError
            An argument is of a kind that no query can have; the message has its name.
        KeyboardInterrupt
            Ctrl-C ends a query at once.
        """
        begin_ns = time.monotonic_ns()
        return self._query(_core.NtpStop(), begin_ns, servers, quorum, deadline_s, accuracy_s, family, port)

    async def aquery(
        self,
        servers: Iterable[str],
        *,
        quorum: int = 3,
        deadline_s: float = 2.0,
        accuracy_s: float | None = None,
        family: Family = "any",
        port: int = 123,
    ) -> Result:
        """Do the same as `query` in a thread of its own; cancelling the task ends the query."""
        # Whoever awaits has asyncio already; for the others it would be half of the import of this module.
        import asyncio
        from concurrent.futures import ThreadPoolExecutor

        stop, begin_ns = _core.NtpStop(), time.monotonic_ns()
        arguments = (stop, begin_ns, servers, quorum, deadline_s, accuracy_s, family, port)
        # Not the loop's own executor: its threads are few, and waiting for one counts as well.
        executor = ThreadPoolExecutor(1, "tickline-ntp")
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, self._query, *arguments)
        finally:
            stop.set()
            executor.shutdown(wait=False)

    def _query(
        self,
        stop: _core.NtpStop,
        begin_ns: int,
        servers: Iterable[str],
        quorum: int,
        deadline_s: float,
        accuracy_s: float | None,
        family: str,
        port: int,
    ) -> Result:
        if family not in ("any", "v4", "v6"):
            raise UsageError(f"{family!r} is none", where="family", hint="Choose from: any, v4, v6.")
        names = items(servers, "servers")
        accuracy_ns = None if accuracy_s is None else _ns(real_number(accuracy_s, "accuracy_s"))
        if accuracy_s is not None and not accuracy_s >= 0:
            raise UsageError(f"{accuracy_s} is none", where="accuracy_s", hint="Give seconds, 0 or more.")
        # From the call on: a thread may have had to wait until it could begin.
        waited_ns = time.monotonic_ns() - begin_ns
        found = self._core.query(
            names,
            quorum=whole_number(quorum, "quorum", 0, _MOST_QUORUM),
            deadline_ns=_ns(real_number(deadline_s, "deadline_s")) - waited_ns,
            accuracy_ns=accuracy_ns,
            family=family,
            port=whole_number(port, "port", 1, 65_535),
            policy=None if self._policy is None else self._policy._core,
            stop=stop,
        )
        found["elapsed_ns"] += waited_ns
        return result_of(found)


def _ns(seconds: float) -> int:
    """Return whole nanoseconds; no number at all counts as none, and more than a lifetime as a lifetime."""
    return 0 if math.isnan(seconds) else int(max(-_MOST_S, min(seconds, _MOST_S)) * 1e9)


# One, because headway and kiss codes must hold for the whole program.
_shared = Client()


def query(
    servers: Iterable[str],
    *,
    quorum: int = 3,
    deadline_s: float = 2.0,
    accuracy_s: float | None = None,
    family: Family = "any",
    port: int = 123,
) -> Result:
    """Ask servers for the time; see `Client.query`.

    All calls in a program share one `Client`, so that no server is asked more often than it should be.

    Examples
    --------
    >>> servers = [f"{n}.pool.ntp.org" for n in range(4)]
    >>> tl.ntp.query(servers).interval_ns  # doctest: +SKIP
    (1795305600123456789, 1795305600134567890)
    """
    return _shared.query(
        servers, quorum=quorum, deadline_s=deadline_s, accuracy_s=accuracy_s, family=family, port=port
    )


async def aquery(
    servers: Iterable[str],
    *,
    quorum: int = 3,
    deadline_s: float = 2.0,
    accuracy_s: float | None = None,
    family: Family = "any",
    port: int = 123,
) -> Result:
    """Do the same as `query` in a thread of its own; cancelling the task ends the query."""
    return await _shared.aquery(
        servers, quorum=quorum, deadline_s=deadline_s, accuracy_s=accuracy_s, family=family, port=port
    )
