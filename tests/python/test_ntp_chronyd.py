"""Queries to the real chronyd: its time is taken, its silence is waited out, nothing else is believed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tickline as tl
from python.chronyd_support import (
    SYNCHRONISED,
    UNSYNCHRONISED,
    Ask,
    NetworkServer,
    chronyd,
    chronyd_network,
    exchange,
    need_chronyd,
    request_of,
)
from python.ntp_query_support import AT_ONCE_NS, MOMENT_S, NEVER_S, PATIENCE_S, contains_clock, verdicts

LIE_NS = 5 * 10**9


# ---- one server on loopback -------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_time_of_a_chronyd_is_taken(tmp_path: Path, address: str) -> None:
    with chronyd(tmp_path, *SYNCHRONISED, address=address) as name:
        result = tl.ntp.Client().query([name], quorum=1, deadline_s=PATIENCE_S)
    (server,) = result.servers
    assert result.ok, result.why
    assert (server.verdict, server.address, server.dropped) == ("truechimer", name, 0)
    assert contains_clock(result)
    assert server.sample is not None
    assert (server.sample.stratum, server.sample.leap) == (3, 0)
    assert abs(result.offset_ns) <= result.error_ns


def test_three_chronyds_make_a_quorum(tmp_path: Path) -> None:
    with (
        chronyd(tmp_path, *SYNCHRONISED) as first,
        chronyd(tmp_path, *SYNCHRONISED) as second,
        chronyd(tmp_path, *SYNCHRONISED) as third,
    ):
        result = tl.ntp.Client().query([first, second, third], deadline_s=PATIENCE_S)
    assert result.ok, result.why
    assert verdicts(result) == ["truechimer"] * 3
    assert contains_clock(result)
    assert result.packets_sent == 3


def test_a_chronyd_without_a_source_is_unsynchronised_and_no_kiss(tmp_path: Path) -> None:
    with chronyd(tmp_path, *UNSYNCHRONISED) as name:
        result = tl.ntp.Client().query([name], quorum=1, deadline_s=PATIENCE_S)
    (server,) = result.servers
    assert not result.ok
    assert (server.verdict, server.reason, server.kiss_code) == ("rejected", "unsynchronised", None)
    assert server.why
    assert result.elapsed_ns < AT_ONCE_NS


def test_a_chronyd_that_may_not_answer_is_silent(tmp_path: Path) -> None:
    with chronyd(tmp_path, "local stratum 3", "allow 127.0.0.99") as name:
        result = tl.ntp.Client().query([name], quorum=1, deadline_s=MOMENT_S)
    (server,) = result.servers
    assert (result.ok, server.verdict, server.kiss_code) == (False, "silent", None)
    assert result.elapsed_ns >= MOMENT_S * 1e9


def test_silence_under_a_rate_limit_is_no_kiss(tmp_path: Path) -> None:
    # One answer for each 4,096 s; 4.3 sends no kisses, and lets one of 16 through nevertheless.
    limited = "ratelimit interval 12 burst 1 leak 4"
    client = tl.ntp.Client(headway_s=0)
    found = []
    with chronyd(tmp_path, *SYNCHRONISED, limited) as name:
        assert client.query([name], quorum=1, deadline_s=PATIENCE_S).ok
        while "silent" not in found:
            (server,) = client.query([name], quorum=1, deadline_s=0.2).servers
            found.append(server.verdict)
            assert server.kiss_code is None
            assert len(found) < 12, "the rate limit has no effect"
    assert set(found) <= {"silent", "truechimer"}


def test_headway_asks_a_rate_limited_chronyd_once(tmp_path: Path) -> None:
    limited = "ratelimit interval 12 burst 1 leak 4"
    client = tl.ntp.Client(headway_s=3600)
    with chronyd(tmp_path, *SYNCHRONISED, limited) as name:
        first = client.query([name], quorum=1, deadline_s=PATIENCE_S)
        again = client.query([name], quorum=1, deadline_s=PATIENCE_S)
    assert (first.packets_sent, again.packets_sent) == (1, 0)
    assert again.ok
    assert again.samples[0].reused
    assert contains_clock(again)


def test_no_chronyd_is_unreachable(tmp_path: Path) -> None:
    with chronyd(tmp_path, *SYNCHRONISED) as name:
        pass
    result = tl.ntp.Client().query([name], quorum=1, deadline_s=PATIENCE_S)
    (server,) = result.servers
    assert (result.ok, server.verdict) == (False, "unreachable")
    assert server.why
    assert result.elapsed_ns < AT_ONCE_NS


HOLDS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from python.chronyd_support import SYNCHRONISED, chronyd
from python.ntp_server_support import HONEST, ntp_servers
with chronyd(Path(sys.argv[2]), *SYNCHRONISED) as name, ntp_servers(HONEST) as servers:
    print(name, *servers.names, flush=True)
    sys.stdin.readline()
"""


def test_servers_die_with_the_tests_that_started_them(tmp_path: Path) -> None:
    need_chronyd()
    tests = str(Path(__file__).parents[1])
    words = [sys.executable, "-c", HOLDS, tests, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        names = process.stdout.readline().split()
        answered = [exchange(name, request_of(os.urandom(8))) is not None for name in names]
        process.kill()
    assert answered == [True, True]
    deadline = time.monotonic() + PATIENCE_S
    while any(exchange(name, request_of(os.urandom(8))) for name in names):
        assert time.monotonic() < deadline, "a server goes on without the tests"


# ---- interleaved mode (RFC 9769): its answers pair other stamps, and are refused ---------------------------


def interleaved_exchange(name: str) -> tuple[bytes, bytes]:
    """Make chronyd answer in interleaved mode; return request and response.

    The client names the receive stamp of the answer before; chronyd then needs one more exchange to know when
    that answer really left.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(5)
        host, _, port = name.rpartition(":")
        probe.connect((host, int(port)))
        origin = bytes(8)
        for _ in range(20):
            request = request_of(os.urandom(8), origin=origin, receive=os.urandom(8))
            probe.send(request)
            response = probe.recv(1024)
            if response[24:32] == request[32:40]:
                return request, response
            assert response[24:32] == request[40:48]
            origin = response[32:40]
    raise AssertionError("chronyd has not changed to interleaved mode")


def test_an_interleaved_answer_is_dropped(tmp_path: Path) -> None:
    with chronyd(tmp_path, *SYNCHRONISED) as name:
        request, response = interleaved_exchange(name)
    verdict = tl.ntp.check(request, response)
    assert (verdict.kind, verdict.reason) == ("drop", "origin")


def test_a_client_never_gets_into_interleaved_mode(tmp_path: Path) -> None:
    client = tl.ntp.Client(headway_s=0)
    with chronyd(tmp_path, *SYNCHRONISED) as name:
        interleaved_exchange(name)
        for _ in range(5):
            result = client.query([name], quorum=1, deadline_s=PATIENCE_S)
            (server,) = result.servers
            assert (result.ok, server.dropped, server.packets_sent) == (True, 0, 1)
            assert contains_clock(result)


def test_a_minimised_request_is_answered(tmp_path: Path) -> None:
    request = tl.ntp.Packet.build_request()
    with chronyd(tmp_path, *SYNCHRONISED) as name:
        before = time.monotonic_ns()
        t1_ns = time.time_ns()
        response = exchange(name, request)
        elapsed_ns = time.monotonic_ns() - before
    assert response is not None
    verdict = tl.ntp.check(request, response, t1_ns=t1_ns, elapsed_ns=elapsed_ns)
    assert (verdict.kind, verdict.reason) == ("accept", "ok")
    assert abs(verdict.offset_ns) <= verdict.root_distance_ns


# ---- many servers, each in a network of its own ------------------------------------------------------------


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[str], Ask]]:
    """Three honest servers, one that is 5 s ahead of the first, where it gets its time, and an unset one."""
    liar = ("server {0} iburst minpoll -2 maxpoll -2 offset 5", "allow")
    with chronyd_network(
        tmp_path_factory.mktemp("network"),
        *[NetworkServer(SYNCHRONISED)] * 3,
        NetworkServer(liar, LIE_NS),
        NetworkServer(UNSYNCHRONISED),
    ) as running:
        yield running


def test_three_honest_chronyds_expose_a_lying_one(network: tuple[list[str], Ask]) -> None:
    (first, second, third, liar, _), ask = network
    # An accuracy out of reach: the query goes on until all have answered.
    result = ask(servers=[liar, first, second, third], deadline_s=PATIENCE_S, accuracy_s=NEVER_S)
    assert result["ok"], result["why"]
    assert result["holds"]
    assert result["tolerated"] == 1
    assert [server["verdict"] for server in result["servers"]] == ["falseticker"] + ["truechimer"] * 3
    lie = result["servers"][0]["sample"]
    assert abs(lie["offset_ns"] - LIE_NS) < LIE_NS / 10


def test_a_lying_and_an_unset_chronyd_prevent_a_quorum(network: tuple[list[str], Ask]) -> None:
    (first, second, _, liar, unset), ask = network
    result = ask(servers=[liar, first, second, unset], deadline_s=PATIENCE_S)
    assert not result["ok"]
    assert result["interval_ns"] is None
    *others, last = [server["verdict"] for server in result["servers"]]
    # Once the quorum is out of reach nobody is waited for.
    assert last == "rejected"
    assert set(others) <= {"unconfirmed", "unfinished"}
    assert result["servers"][3]["reason"] == "unsynchronised"
    assert result["elapsed_ns"] < AT_ONCE_NS


def test_addresses_that_lead_nowhere_do_not_delay_chronyds(network: tuple[list[str], Ask]) -> None:
    (first, second, third, _, _), ask = network
    dead = ["10.99.0.99", "10.99.1.99"]  # nobody answers to these on the links
    result = ask(servers=[*dead, first, second, third], deadline_s=PATIENCE_S)
    assert result["ok"], result["why"]
    assert result["holds"]
    assert result["elapsed_ns"] < AT_ONCE_NS
    assert [server["verdict"] for server in result["servers"][2:]] == ["truechimer"] * 3


def test_without_a_route_every_server_is_unreachable(network: tuple[list[str], Ask]) -> None:
    _, ask = network
    result = ask(servers=["192.0.2.1", "192.0.2.2", "2001:db8::1"], deadline_s=PATIENCE_S)
    assert not result["ok"]
    assert [server["verdict"] for server in result["servers"]] == ["unreachable"] * 3
    assert result["elapsed_ns"] < AT_ONCE_NS
