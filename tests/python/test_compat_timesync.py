"""tickline.compat.timesync: TimeSync's client and cache do what its programs expect, without its faults."""

from __future__ import annotations

import gc
import socket
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from python.ntp_server_support import HONEST, REFUSING, SILENT, Servers, kissing, ntp_servers, server
from tickline.compat import timesync

HOUR_NS = 3600 * 10**9


def addresses(*texts: str, port: int = 123) -> list[timesync.names.AddressInfo]:
    """Return what getaddrinfo returns for these addresses."""
    return [
        (socket.AF_INET6 if ":" in text else socket.AF_INET, socket.SOCK_DGRAM, 17, "", (text, port))
        for text in texts
    ]


@pytest.fixture
def four() -> Iterator[Servers]:
    with ntp_servers(HONEST, server(delay_s=0.02), server(delay_s=0.04), server(delay_s=0.03)) as servers:
        yield servers


# ---- ParallelNTPClient ------------------------------------------------------------------------------------


def test_a_query_gives_the_time_as_floats_and_exact(four: Servers) -> None:
    client = timesync.ParallelNTPClient(timeout=5.0, max_workers=4)
    found = client.query_hosts_parallel(four.names, attempts_per_host=1)
    assert found.success
    assert found.errors == []
    best = found.best_response
    assert best is not None
    assert best == found.all_responses[0]
    assert best.host in four.names
    assert best.address in four.addresses
    assert best.attempt == 0
    # These servers have this machine's clock: nothing is to be added, but for what the network hides.
    assert abs(best.offset_ns) <= best.root_distance_ns
    assert best.server_time_ns - best.timestamp_ns == best.offset_ns
    assert abs(best.server_time - time.time()) < 60
    assert best.offset == best.offset_ns / 10**9
    assert best.delay == best.delay_ns / 10**9 >= 0
    assert best.timestamp == best.timestamp_ns / 10**9
    client.shutdown(wait=True)


def test_a_query_stops_at_a_good_result_and_otherwise_hears_everybody(four: Servers) -> None:
    four.change(2, server(delay_s=0.4))
    early = timesync.ParallelNTPClient(timeout=5.0).query_hosts_parallel(four.names)
    assert [server.verdict for server in early.result.servers].count("truechimer") == 3
    assert early.result.servers[2].verdict == "unfinished"
    patient = timesync.ParallelNTPClient(timeout=5.0).query_hosts_parallel(
        four.names, stop_on_good_result=False
    )
    assert len(patient.all_responses) == 4
    # The times are all of the end of the query, 0.4 s after the first answer.
    assert patient.result.interval_ns is not None
    earliest_ns, latest_ns = patient.result.interval_ns
    for response in patient.all_responses:
        assert earliest_ns - response.root_distance_ns <= response.server_time_ns
        assert response.server_time_ns <= latest_ns + response.root_distance_ns
    assert [response.root_distance_ns for response in patient.all_responses] == sorted(
        response.root_distance_ns for response in patient.all_responses
    )


def test_what_is_too_slow_is_no_success_though_it_is_known(four: Servers) -> None:
    found = timesync.ParallelNTPClient().query_hosts_parallel(four.names, max_acceptable_delay=-1.0)
    assert not found.success
    assert found.best_response is not None
    assert found.result.ok


def test_a_server_that_boasts_of_a_negative_delay_does_not_win() -> None:
    # TimeSync's rule took the smallest delay, whatever its sign: 100 s claimed to be spent in the server.
    boaster = server(offset_ns=50 * 10**9, claimed_s=100.0)
    with ntp_servers(boaster, HONEST, HONEST, HONEST) as servers:
        found = timesync.ParallelNTPClient().query_hosts_parallel(servers.names, stop_on_good_result=False)
    assert found.success
    assert found.best_response is not None
    assert found.best_response.host != servers.names[0]
    ((host, error),) = found.errors
    assert host == servers.names[0]
    assert "rejected" in str(error)


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (kissing("RATE"), "kiss"),
        (server(fields={"leap": 3}), "rejected"),
        (server(fields={"stratum": 16}), "rejected"),
        (server(fields={"version": 7}), "silent"),
        (server(origin_xor=1), "silent"),
        (server(reflect=True), "silent"),
        (server(elsewhere=True), "silent"),
        (REFUSING, "unreachable"),
        (server(offset_ns=HOUR_NS), "falseticker"),
    ],
    ids=["kiss", "leap", "stratum", "version", "origin", "reflected", "port", "refused", "liar"],
)
def test_what_timesync_believed_is_an_error_here(answer: object, word: str) -> None:
    with ntp_servers(answer, HONEST, HONEST, HONEST) as servers:  # type: ignore[arg-type]
        client = timesync.ParallelNTPClient(timeout=0.5)
        found = client.query_hosts_parallel(servers.names, 1, stop_on_good_result=False)
    assert found.success
    assert len(found.all_responses) == 3
    ((host, error),) = found.errors
    assert host == servers.names[0]
    assert str(error).startswith(f"{word}: ")
    kinds = {"silent": TimeoutError, "unreachable": OSError}
    assert type(error) is kinds.get(word, ValueError)


def test_one_good_server_among_silent_ones_is_not_lost() -> None:
    with ntp_servers(HONEST, *[SILENT] * 9) as servers:
        client = timesync.ParallelNTPClient(timeout=0.3, quorum=1)
        found = client.query_hosts_parallel(servers.names)
    assert found.success
    assert [response.host for response in found.all_responses] == servers.names[:1]


def test_a_single_server_is_believed_only_if_a_quorum_of_one_is_asked_for(four: Servers) -> None:
    found = timesync.ParallelNTPClient(timeout=1.0).query_hosts_parallel(iter(four.names[:1]))
    assert not found.success
    assert found.best_response is None
    assert found.errors[0][0] == "no quorum"
    assert str(found.errors[0][1]) == found.result.why
    alone = timesync.ParallelNTPClient(timeout=1.0, quorum=1).query_hosts_parallel(four.names[:1])
    assert alone.success


def test_addresses_of_ipv6_stand_without_brackets() -> None:
    with ntp_servers(HONEST.at("::1")) as servers:
        found = timesync.ParallelNTPClient(quorum=1).query_hosts_parallel(servers.names)
    assert found.best_response is not None
    assert found.best_response.address == servers.addresses[0]
    assert found.best_response.address[0] == "::1"


def test_nobody_is_an_answer_too() -> None:
    found = timesync.ParallelNTPClient().query_hosts_parallel([])
    assert (found.success, found.best_response, found.all_responses) == (False, None, [])
    assert len(found.errors) == 1


def test_silent_servers_are_asked_again_but_not_at_once() -> None:
    with ntp_servers(SILENT, HONEST, HONEST) as servers:
        client = timesync.ParallelNTPClient(timeout=0.2)
        found = client.query_hosts_parallel(servers.names, attempts_per_host=3)
        # Two seconds have not passed: nobody is bothered, and the first attempt's reasons stay.
        assert servers.counts() == [1, 1, 1]
        assert not found.success
        assert str(found.errors[1][1]).startswith("silent: ")
        timer = threading.Timer(1.0, servers.change, (0, HONEST))
        timer.start()
        slow = timesync.ParallelNTPClient(timeout=2.2)
        again = slow.query_hosts_parallel(servers.names, attempts_per_host=3)
        timer.join()
    assert again.success
    assert again.best_response is not None
    assert again.best_response.attempt >= 1


def test_every_client_counts_what_it_does(four: Servers) -> None:
    client = timesync.ParallelNTPClient()
    client.query_hosts_parallel(four.names)
    assert "tickline_ntp_" in client.metrics.prometheus()


# ---- DNSCache ---------------------------------------------------------------------------------------------


def test_a_cache_gives_back_a_copy_of_what_was_put_in() -> None:
    cache = timesync.DNSCache(ttl=60.0, max_size=100)
    given = addresses("192.0.2.1")
    cache.set("a.example", 123, given)
    given.clear()
    found = cache.get("a.example", 123)
    assert found == addresses("192.0.2.1")
    found.clear()
    assert cache.get("a.example") == addresses("192.0.2.1")
    assert cache.get("a.example", 1123) is None
    cache.invalidate("a.example")
    assert cache.get("a.example") is None
    cache.set("a.example", 123, addresses("192.0.2.1"))
    cache.clear()
    assert cache.get("a.example") is None


def test_a_cache_drops_what_was_used_longest_ago() -> None:
    cache = timesync.DNSCache(max_size=2)
    for name in ("a", "b"):
        cache.set(name, 123, addresses("192.0.2.1"))
    cache.get("a")
    cache.set("c", 123, addresses("192.0.2.3"))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.get("c") is not None
    with pytest.raises(ValueError, match="max_entries"):
        timesync.DNSCache(max_size=0)


def test_a_cache_forgets_by_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = timesync.DNSCache(ttl=30.0)
    cache.set("a.example", 123, addresses("192.0.2.1"))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert cache.get("a.example") is not None
    later = time.monotonic_ns() + 30 * 10**9
    monkeypatch.setattr(time, "monotonic_ns", lambda: later)
    assert cache.get("a.example") is None


def test_a_client_uses_the_addresses_that_were_put_into_its_cache(four: Servers) -> None:
    cache = timesync.DNSCache()
    client = timesync.ParallelNTPClient(timeout=2.0, dns_cache=cache)
    ports = [name.rpartition(":")[2] for name in four.names]
    cache.set("time.invalid", 123, addresses("::1", "127.0.0.1"))
    found = client.query_hosts_parallel([f"time.invalid:{port}" for port in ports])
    assert found.success
    cache.set("time.invalid", 123, addresses())
    again = timesync.ParallelNTPClient(timeout=0.5, dns_cache=cache)
    assert not again.query_hosts_parallel([f"time.invalid:{port}" for port in ports], 1).success


def test_names_that_a_client_looked_up_are_in_its_cache(four: Servers) -> None:
    cache = timesync.DNSCache()
    ports = [name.rpartition(":")[2] for name in four.names]
    timesync.ParallelNTPClient(dns_cache=cache).query_hosts_parallel([f"localhost:{port}" for port in ports])
    found = cache.get("localhost")
    assert found
    assert {one[4][0] for one in found} <= {"127.0.0.1", "::1"}


def test_a_cache_that_nobody_holds_goes_away() -> None:
    cache = timesync.DNSCache()
    gone = weakref.ref(cache.names)
    del cache
    gc.collect()
    assert gone() is None


def test_the_program_has_one_cache_and_one_record() -> None:
    assert timesync.get_global_dns_cache() is timesync.get_global_dns_cache()
    assert timesync.get_global_metrics() is timesync.get_global_metrics()
    timesync.get_global_dns_cache().set("a.example", 123, addresses("192.0.2.1"))
    timesync.clear_global_caches()
    assert timesync.get_global_dns_cache().get("a.example") is None
