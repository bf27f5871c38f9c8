"""TimeSync's parallel client, and what it returns."""

from collections.abc import Iterable
from dataclasses import dataclass

from tickline import ntp
from tickline.arguments import items
from tickline.compat.timesync.names import DNSCache
from tickline.compat.timesync.times import NS_PER_S

__all__ = ["NTPResponse", "ParallelNTPClient", "ParallelQueryResult"]


@dataclass(frozen=True, slots=True)
class NTPResponse:
    """An answer that passed all checks; `server_time`, `offset`, ... are the same in seconds."""

    host: str
    address: tuple[str, int]
    attempt: int
    server_time_ns: int
    offset_ns: int
    delay_ns: int
    root_distance_ns: int
    timestamp_ns: int

    @property
    def server_time(self) -> float:
        """UTC by this server at the end of the query, in seconds since 1970."""
        return self.server_time_ns / NS_PER_S

    @property
    def offset(self) -> float:
        """What to add to this machine's clock."""
        return self.offset_ns / NS_PER_S

    @property
    def delay(self) -> float:
        """Time on the network, there and back."""
        return self.delay_ns / NS_PER_S

    @property
    def timestamp(self) -> float:
        """This machine's clock at the end of the query, in seconds since 1970."""
        return self.timestamp_ns / NS_PER_S


@dataclass(frozen=True, slots=True)
class ParallelQueryResult:
    """What servers said.

    Attributes
    ----------
    success : bool
        The quorum agrees, and the best answer came within the delay that was asked for.
    best_response : NTPResponse or None
        The one that can be wrong by the least; None without a quorum.
    all_responses : list of NTPResponse
        The best first. Without a quorum nobody knows which of them are right.
    errors : list of (str, Exception)
        Server and reason, for those that gave no answer to be used; first of all, with the host
        ``"no quorum"``, why there is no result.
    result : tickline.ntp.Result
        The same with bounds, and a verdict for every server.
    """

    success: bool
    best_response: NTPResponse | None
    all_responses: list[NTPResponse]
    errors: list[tuple[str, Exception]]
    result: ntp.Result


class ParallelNTPClient:
    """Asks many servers at once. See `tickline.ntp.Client`.

    Parameters
    ----------
    timeout : float, default 3.0
        Seconds for one attempt with all hosts, the look-up of names included.
    max_workers : int, optional
        Not used: there are no workers.
    dns_cache : DNSCache, optional
        One of its own by default.
    quorum : int, default 3
        How many servers must agree; two less may lie.
    """

    def __init__(
        self,
        timeout: float = 3.0,
        max_workers: int | None = None,
        dns_cache: DNSCache | None = None,
        *,
        quorum: int = 3,
    ) -> None:
        del max_workers
        self._timeout_s = timeout
        self._quorum = quorum
        self._dns_cache = DNSCache() if dns_cache is None else dns_cache
        self._client = ntp.Client(dns_cache=self._dns_cache.names)

    @property
    def metrics(self) -> ntp.Metrics:
        """Counts and histograms of all that this client did."""
        return self._client.metrics

    def query_hosts_parallel(
        self,
        hosts: Iterable[str],
        attempts_per_host: int = 2,
        max_acceptable_delay: float = 0.5,
        stop_on_good_result: bool = True,
        good_delay_threshold: float = 0.1,
    ) -> ParallelQueryResult:
        """Ask hosts for the time.

        Parameters
        ----------
        hosts : iterable of str
            As in `tickline.ntp.query`: ``"host"``, ``"host:port"``, addresses; a str alone is one host. Each
            distinct one has one vote.
        attempts_per_host : int, default 2
            If servers are silent and there is no quorum without them, the query is repeated so often in all.
        max_acceptable_delay : float, default 0.5
            `success` needs a best answer that was not on its way for longer.
        stop_on_good_result : bool, default True
            Stop at a good result. Otherwise wait for everybody, or the time-out.
        good_delay_threshold : float, default 0.1
            A result is good if it cannot be wrong by more.
        """
        names = items(hosts, "hosts")
        good_s = good_delay_threshold if stop_on_good_result else 0.0
        for attempt in range(max(1, attempts_per_host)):
            again = self._client.query(
                names, quorum=self._quorum, deadline_s=self._timeout_s, accuracy_s=good_s
            )
            if attempt > 0 and again.packets_sent == 0:
                break  # it is too early to ask again; what is known stays
            result, last = again, attempt
            if result.ok or all(server.verdict != "silent" for server in result.servers):
                break
        return _as_before(result, last, max_acceptable_delay)

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: nothing runs between queries."""


def _as_before(result: ntp.Result, attempt: int, most_delay_s: float) -> ParallelQueryResult:
    """Return a result as TimeSync's programs expect it."""
    usable = [one for one in result.servers if one.verdict in ("truechimer", "unconfirmed")]
    responses = [_response(one.name, one.sample, result, attempt) for one in usable if one.sample is not None]
    responses.sort(key=lambda response: response.root_distance_ns)
    best = responses[0] if result.ok and responses else None
    unheard = ("unfinished", "not_asked")  # nobody waited for them
    errors = [
        (one.name, _error(one)) for one in result.servers if one not in usable and one.verdict not in unheard
    ]
    if not result.ok:
        errors.insert(0, ("no quorum", ValueError(result.why)))
    success = best is not None and best.delay <= most_delay_s
    return ParallelQueryResult(success, best, responses, errors, result)


def _response(host: str, sample: ntp.Sample, result: ntp.Result, attempt: int) -> NTPResponse:
    address, _, port = sample.address.rpartition(":")
    server_time_ns = sample.utc_ns + result.monotonic_ns - sample.monotonic_ns
    return NTPResponse(
        host=host,
        address=(address.strip("[]"), int(port)),
        attempt=attempt,
        server_time_ns=server_time_ns,
        offset_ns=sample.offset_ns,
        delay_ns=sample.delay_ns,
        root_distance_ns=sample.root_distance_ns,
        timestamp_ns=server_time_ns - sample.offset_ns,
    )


def _error(server: ntp.Server) -> Exception:
    kinds: dict[str, type[Exception]] = {"silent": TimeoutError, "unreachable": OSError}
    return kinds.get(server.verdict, ValueError)(f"{server.verdict}: {server.why}")
