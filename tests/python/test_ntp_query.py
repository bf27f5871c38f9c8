"""One server and one query: what answers make of it, good ones, bad ones, and rubbish."""

from __future__ import annotations

import sys

import pytest

import tickline as tl
from python.ntp_query_support import AT_ONCE_NS, MOMENT_S, NEVER_S, PATIENCE_S, contains_clock, verdicts
from python.ntp_server_support import (
    HONEST,
    REFUSING,
    SILENT,
    Answer,
    Server,
    kissing,
    ntp_servers,
    scripted,
    server,
)

YEAR_NS = 365 * 86_400 * 10**9
# An extension field of length 0 (RFC 7822 section 3 asks for 16 or more): a reader that trusts it never ends.
ENDLESS_EXTENSION = "0f00" + "0000" + "00" * 28
CRYPTO_NAK = "00000000"  # RFC 5905 section 7.3
GOOD_EXTENSION = "0f00" + "001c" + "00" * 24

# A good answer follows each of these 20 ms later: they must be dropped, and change nothing.
DROPPED = {
    "empty": ("short", Answer(cut=0)),
    "47 octets": ("short", Answer(cut=47)),
    "50 octets": ("length", Answer(tail="0000")),
    "64 kB": ("length", Answer(tail="00" * 60_000)),
    "version 3": ("version", Answer(fields={"version": 3})),
    "version 0": ("version", Answer(fields={"version": 0})),
    "version 5": ("version", Answer(fields={"version": 5})),
    "broadcast": ("mode", Answer(fields={"mode": 5})),
    "private mode": ("mode", Answer(fields={"mode": 7})),
    "reflected": ("mode", Answer(reflect=True)),
    "one bit of the origin": ("origin", Answer(origin_xor=1)),
    "high bit of the origin": ("origin", Answer(origin_xor=1 << 63)),
    "origin zero": ("origin", Answer(fields={"origin": 0})),
    "kiss of somebody else": (
        "origin",
        Answer(fields={"leap": 3, "stratum": 0, "reference_id": 0x44454E59}, origin_xor=2),
    ),
    "endless extension": ("extension", Answer(tail=ENDLESS_EXTENSION)),
    "crypto-NAK": ("auth", Answer(tail=CRYPTO_NAK)),
    "receive zero": ("zero_timestamp", Answer(fields={"receive": 0})),
    "transmit zero": ("zero_timestamp", Answer(fields={"transmit": 0})),
}

# The true server's answers, whose time must not be used: the query ends at once.
REJECTED = {
    "not set": ("unsynchronised", server(fields={"leap": 3})),
    "not set, as chronyd says it": (
        "unsynchronised",
        server(fields={"leap": 3, "stratum": 0, "reference_id": 0}),
    ),
    "stratum 16": ("stratum", server(fields={"stratum": 16})),
    "stratum 255": ("stratum", server(fields={"stratum": 255})),
    "sent before it came": ("server_backwards", server(claimed_s=-1)),
    "held for five seconds": ("server_interval", server(claimed_s=5)),
    "held for a hundred seconds": ("server_interval", server(claimed_s=100)),
    "set in the future": ("reference_time", server(reference_age_s=-100)),
    "never set": ("reference_time", server(fields={"reference": 0})),
    "set two days ago": ("stale", server(reference_age_s=2 * 86_400)),
    "root delay of 40 s": ("root_distance", server(fields={"root_delay": 40 << 16})),
    "root delay of 32,768 s": ("root_distance", server(fields={"root_delay": 1 << 31})),
    "root dispersion of 20 s": ("root_distance", server(fields={"root_dispersion": 20 << 16})),
    "root dispersion of 2 s": ("distance", server(fields={"root_dispersion": 2 << 16})),
    "held for longer than it took": ("negative_delay", server(claimed_s=1)),
    "before this version was made": ("pivot", server(offset_ns=-3 * YEAR_NS)),
}


def ask(name: str, deadline_s: float = PATIENCE_S) -> tl.ntp.Result:
    """Ask one server, which is all that is needed."""
    return tl.ntp.Client().query([name], quorum=1, deadline_s=deadline_s)


# ---- good answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.77", "::1"])
def test_an_honest_server_gives_the_time(address: str) -> None:
    with ntp_servers(HONEST.at(address)) as servers:
        result = ask(servers.names[0])
        assert servers.counts() == [1]
    (found,) = result.servers
    assert result.ok, result.why
    assert contains_clock(result)
    assert (found.name, found.address) == (servers.names[0], servers.names[0])
    assert (found.verdict, found.reason, found.kiss_code, found.why) == ("truechimer", "ok", None, "")
    assert (found.packets_sent, found.dropped, result.packets_sent) == (1, 0, 1)
    assert result.samples == (found.sample,)
    assert abs(result.offset_ns or 0) <= (result.error_ns or 0)
    assert result.wall_step_ns == 0


def test_a_sample_has_what_the_answer_says() -> None:
    fields = {
        "leap": 1,
        "stratum": 15,
        "precision": -18,
        "root_delay": 3 << 14,
        "root_dispersion": 1 << 14,
        "reference_id": 0x47505300,
    }
    with ntp_servers(server(fields=fields)) as servers:
        result = ask(servers.names[0])
    (sample,) = result.samples
    assert (sample.leap, sample.stratum, sample.precision) == (1, 15, -18)
    assert sample.reference_id == 0x47505300
    assert (sample.root_delay_ns, sample.root_dispersion_ns) == (750_000_000, 250_000_000)
    assert sample.root_distance_ns >= 625_000_000
    assert not sample.reused
    if sys.platform == "linux":
        assert sample.stamp == "kernel"


@pytest.mark.parametrize("outward", [0.0, 0.5, 1.0])
def test_the_interval_holds_the_time_however_the_way_is_shared(outward: float) -> None:
    with ntp_servers(server(delay_s=0.05, outward=outward)) as servers:
        result = ask(servers.names[0])
    (sample,) = result.samples
    assert sample.delay_ns >= 50_000_000
    assert sample.root_distance_ns >= sample.delay_ns // 2
    assert contains_clock(result)


def test_the_time_a_server_takes_is_no_delay() -> None:
    with ntp_servers(server(held_s=0.05)) as servers:
        result = ask(servers.names[0])
    assert result.elapsed_ns >= 50_000_000
    assert result.samples[0].delay_ns <= result.elapsed_ns - 50_000_000
    assert contains_clock(result)


@pytest.mark.parametrize("ahead_ns", [10**9, -3600 * 10**9, 15 * YEAR_NS, 60 * YEAR_NS])
def test_a_clock_that_is_far_off_is_measured_also_across_2036(ahead_ns: int) -> None:
    with ntp_servers(server(offset_ns=ahead_ns)) as servers:
        result = ask(servers.names[0])
    assert result.ok, result.why
    assert contains_clock(result, ahead_ns)
    assert abs((result.offset_ns or 0) - ahead_ns) <= (result.error_ns or 0)


def test_an_extension_field_does_no_harm() -> None:
    with ntp_servers(server(tail=GOOD_EXTENSION)) as servers:
        assert ask(servers.names[0]).ok


def test_requests_are_minimised_and_each_comes_from_another_port() -> None:
    client = tl.ntp.Client(headway_s=0)
    with ntp_servers(HONEST) as servers:
        for _ in range(8):
            assert client.query(servers.names, quorum=1, deadline_s=PATIENCE_S).ok
        (requests,) = servers.requests()
    # Version 4, client, precision 32, nothing else but the random transmit stamp.
    assert {request.data[:40] for request in requests} == {bytes([0x23, 0, 0, 0x20]) + bytes(36)}
    assert {len(request.data) for request in requests} == {48}
    assert len({request.data[40:] for request in requests}) == 8
    assert len({request.port for request in requests}) > 1
    # Nothing of the time of day is in it: the seconds of such stamps would all begin alike.
    assert len({request.data[40] for request in requests}) > 1


# ---- answers that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize("case", DROPPED)
def test_what_is_no_answer_does_not_end_the_wait(case: str) -> None:
    _, bad = DROPPED[case]
    with ntp_servers(scripted((bad, Answer(delay_s=0.02)))) as servers:
        result = ask(servers.names[0])
    (found,) = result.servers
    assert result.ok, result.why
    assert contains_clock(result)
    assert (found.verdict, found.dropped, found.reason, found.kiss_code) == ("truechimer", 1, "ok", None)
    assert found.packets_sent == 1


def test_servers_that_never_answer_well_are_silent_and_the_reason_is_told() -> None:
    with ntp_servers(*[Server(((bad,),)) for _, bad in DROPPED.values()]) as servers:
        result = tl.ntp.Client().query(servers.names, quorum=1, deadline_s=5 * MOMENT_S)
    assert not result.ok
    found = {case: (each.verdict, each.reason) for case, each in zip(DROPPED, result.servers, strict=True)}
    assert found == {case: ("silent", reason) for case, (reason, _) in DROPPED.items()}
    assert all(each.dropped == 1 and each.why for each in result.servers)


def test_an_answer_from_another_port_is_not_seen() -> None:
    with ntp_servers(scripted((Answer(elsewhere=True), Answer(delay_s=0.02)))) as servers:
        result = ask(servers.names[0])
    assert result.ok
    assert result.servers[0].dropped == 0
    assert result.samples[0].delay_ns >= 20_000_000

    with ntp_servers(server(elsewhere=True)) as servers:
        result = ask(servers.names[0], MOMENT_S)
    assert (result.ok, verdicts(result), result.servers[0].dropped) == (False, ["silent"], 0)


@pytest.mark.parametrize("size", [1, 47, 48, 68, 1000])
def test_random_octets_are_never_an_answer(size: int) -> None:
    with ntp_servers(scripted((Answer(noise=size, times=50), Answer(delay_s=0.05)))) as servers:
        result = ask(servers.names[0])
    assert result.ok
    assert contains_clock(result)
    assert result.servers[0].dropped > 0


def test_a_flood_ends_neither_the_query_nor_its_deadline() -> None:
    flood = Answer(noise=48, times=1_000_000, gap_s=20e-6)
    with ntp_servers(Server(((flood,),)), HONEST) as servers:
        alone = ask(servers.names[0], MOMENT_S)
        both = tl.ntp.Client().query(servers.names, quorum=1, deadline_s=PATIENCE_S)
    assert (alone.ok, verdicts(alone)) == (False, ["silent"])
    assert alone.servers[0].dropped > 100
    assert MOMENT_S * 1e9 <= alone.elapsed_ns < AT_ONCE_NS
    assert both.ok
    assert both.elapsed_ns < AT_ONCE_NS


@pytest.mark.parametrize("copies", [2, 100])
def test_copies_of_an_answer_count_once(copies: int) -> None:
    with ntp_servers(server(times=copies), server(delay_s=0.05)) as servers:
        result = tl.ntp.Client().query(servers.names, quorum=2, deadline_s=PATIENCE_S)
    assert result.ok
    assert verdicts(result) == ["truechimer"] * 2
    assert len(result.samples) == 2
    # One server's copies make no quorum.
    with ntp_servers(server(times=copies), SILENT) as servers:
        result = tl.ntp.Client().query(servers.names, quorum=2, deadline_s=MOMENT_S)
    assert (result.ok, verdicts(result)) == (False, ["unconfirmed", "silent"])


# ---- answers that must not be used -------------------------------------------------------------------------


@pytest.mark.parametrize("case", REJECTED)
def test_a_rejected_answer_ends_the_wait(case: str) -> None:
    reason, bad = REJECTED[case]
    with ntp_servers(bad) as servers:
        result = ask(servers.names[0])
    (found,) = result.servers
    assert (result.ok, found.verdict, found.reason) == (False, "rejected", reason)
    assert (found.sample, found.kiss_code, found.dropped) == (None, None, 0)
    assert found.why
    assert result.why
    assert result.interval_ns is None
    assert result.elapsed_ns < AT_ONCE_NS


@pytest.mark.parametrize("code", ["RATE", "DENY", "RSTR", "XFUN", "STEP"])
def test_a_kiss_is_told_by_its_code(code: str) -> None:
    with ntp_servers(kissing(code)) as servers:
        result = ask(servers.names[0])
    (found,) = result.servers
    assert (result.ok, found.verdict, found.reason, found.kiss_code) == (False, "kiss", "kiss", code)
    assert found.sample is None
    assert found.why
    assert result.elapsed_ns < AT_ONCE_NS


def test_a_kiss_needs_a_code_that_can_be_read() -> None:
    with ntp_servers(server(fields={"leap": 3, "stratum": 0, "reference_id": 0x01020304})) as servers:
        (found,) = ask(servers.names[0]).servers
    assert (found.verdict, found.kiss_code) == ("rejected", None)


def test_a_server_that_refuses_is_unreachable_at_once() -> None:
    with ntp_servers(REFUSING) as servers:
        result = ask(servers.names[0])
    (found,) = result.servers
    assert (result.ok, found.verdict, found.sample) == (False, "unreachable", None)
    assert found.why
    assert result.elapsed_ns < AT_ONCE_NS


# ---- policies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ({"allow_zero_reference_time": True}, server(fields={"reference": 0})),
        ({"min_version": 3}, server(fields={"version": 3})),
        ({"max_reference_age_ns": 10 * 86_400 * 10**9}, server(reference_age_s=2 * 86_400)),
        ({"max_distance_ns": 5 * 10**9}, server(fields={"root_dispersion": 2 << 16})),
        ({"not_before_s": 1_600_000_000}, server(offset_ns=-3 * YEAR_NS)),
    ],
)
def test_a_looser_policy_takes_what_the_usual_one_refuses(policy: dict[str, object], answer: Server) -> None:
    client = tl.ntp.Client(policy=tl.ntp.Policy(**policy))
    with ntp_servers(answer, answer) as servers:
        assert not ask(servers.names[0], MOMENT_S).ok
        assert client.query([servers.names[1]], quorum=1, deadline_s=PATIENCE_S).ok


def test_a_stricter_policy_refuses_answers_that_took_long() -> None:
    client = tl.ntp.Client(policy=tl.ntp.Policy(max_delay_ns=20_000_000))
    with ntp_servers(server(delay_s=0.05)) as servers:
        (found,) = client.query(servers.names, quorum=1, deadline_s=PATIENCE_S).servers
    assert (found.verdict, found.reason) == ("rejected", "delay")


# ---- the test server itself --------------------------------------------------------------------------------


def test_answers_of_the_test_server_pass_every_check_and_come_when_they_should() -> None:
    delays_s = (0.0, 0.01, 0.02, 0.03, 0.04)
    with ntp_servers(*[server(delay_s=delay_s) for delay_s in delays_s]) as servers:
        result = tl.ntp.Client().query(servers.names, quorum=3, deadline_s=PATIENCE_S, accuracy_s=NEVER_S)
        late_ns = servers.lateness_s() * 1e9
    assert verdicts(result) == ["truechimer"] * 5
    for delay_s, found in zip(delays_s, result.servers, strict=True):
        assert found.sample is not None
        assert 0 <= found.sample.delay_ns - delay_s * 1e9 < late_ns + 50e6
