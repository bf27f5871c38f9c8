"""Many servers in one query: quorum and liars, dead servers, names and addresses, being left alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable

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

LIE_NS = 10**9
LIAR = server(offset_ns=LIE_NS)
OTHER_LIAR = server(offset_ns=-LIE_NS)
SET_BACK = server(fields={"leap": 3})
# Any number but 0 means "one port, on all these addresses".
SHARED = 1


def fresh_query(names: list[str], **options: object) -> tl.ntp.Result:
    """Query as somebody who has asked nobody yet."""
    return tl.ntp.Client().query(names, **{"deadline_s": PATIENCE_S, **options})


# ---- quorum ------------------------------------------------------------------------------------------------


def test_the_query_ends_with_the_answer_that_makes_the_quorum() -> None:
    delays_s = (PATIENCE_S, 0.03, 0.01, 0.02)
    with ntp_servers(*[server(delay_s=delay_s) for delay_s in delays_s]) as servers:
        result = fresh_query(servers.names)
    assert result.ok, result.why
    assert verdicts(result) == ["unfinished"] + ["truechimer"] * 3
    assert (result.packets_sent, result.tolerated) == (4, 1)
    assert contains_clock(result)
    assert 30_000_000 <= result.elapsed_ns < AT_ONCE_NS


def test_dead_servers_cost_nothing() -> None:
    with ntp_servers(SILENT, REFUSING, *[server(delay_s=0.01)] * 3, SILENT) as servers:
        result = fresh_query(servers.names)
    assert result.ok
    assert verdicts(result) == ["unfinished", "unreachable", *["truechimer"] * 3, "unfinished"]
    assert result.elapsed_ns < AT_ONCE_NS


@pytest.mark.parametrize("place", range(4))
def test_one_liar_of_four_is_found(place: int) -> None:
    honest = [HONEST] * 3
    with ntp_servers(*honest[:place], LIAR, *honest[place:]) as servers:
        result = fresh_query(servers.names, accuracy_s=NEVER_S)
    expected = ["truechimer"] * 4
    expected[place] = "falseticker"
    assert verdicts(result) == expected
    assert contains_clock(result)
    assert result.servers[place].why
    assert abs((result.servers[place].offset_ns or 0) - LIE_NS) < LIE_NS / 10


def test_two_liars_of_six_are_found_with_a_quorum_of_four() -> None:
    with ntp_servers(LIAR, LIAR, *[server(delay_s=0.02)] * 4) as servers:
        result = fresh_query(servers.names, quorum=4)
    assert verdicts(result) == ["falseticker"] * 2 + ["truechimer"] * 4
    assert result.tolerated == 2
    assert contains_clock(result)


def test_more_liars_than_tolerated_get_no_quorum_while_they_disagree() -> None:
    with ntp_servers(LIAR, OTHER_LIAR, HONEST, HONEST) as servers:
        result = fresh_query(servers.names)
    assert not result.ok
    assert result.interval_ns is None
    assert result.offset_ns is None
    assert result.error_ns is None
    # Once three disagree, the fourth cannot bring the quorum any more.
    assert set(verdicts(result)) <= {"unconfirmed", "unfinished"}
    assert len(result.samples) >= 3
    assert result.elapsed_ns < AT_ONCE_NS
    with pytest.raises(ValueError, match="No time"):
        result.time()


@pytest.mark.parametrize("quorum", [1, 2])
def test_a_quorum_of_one_or_two_tolerates_no_liar(quorum: int) -> None:
    with ntp_servers(*[LIAR] * quorum) as servers:
        result = fresh_query(servers.names, quorum=quorum)
    assert (result.ok, result.tolerated) == (True, 0)
    assert contains_clock(result, LIE_NS)


def test_what_no_server_can_bring_any_more_is_not_waited_for() -> None:
    with ntp_servers(SET_BACK, REFUSING, kissing("DENY"), SILENT, HONEST) as servers:
        result = fresh_query(servers.names)
    assert not result.ok
    assert verdicts(result)[:3] == ["rejected", "unreachable", "kiss"]
    assert result.elapsed_ns < AT_ONCE_NS
    assert result.why


def test_with_few_servers_the_result_says_that_a_liar_could_prevent_it() -> None:
    with ntp_servers(*[HONEST] * 4) as servers:
        assert fresh_query(servers.names[:3]).why
        assert not fresh_query(servers.names).why


def test_a_wanted_accuracy_is_waited_for() -> None:
    coarse = server(fields={"root_dispersion": 1 << 15})  # half a second
    precise = server(delay_s=0.2)
    with ntp_servers(coarse, coarse, coarse, precise, precise, precise) as servers:
        coarsely = fresh_query(servers.names)
        precisely = fresh_query(servers.names, accuracy_s=0.3)
        in_vain = fresh_query(servers.names, accuracy_s=NEVER_S)
    assert coarsely.ok
    assert (coarsely.error_ns or 0) > 400_000_000
    assert precisely.ok
    assert (precisely.error_ns or 0) <= 300_000_000
    assert in_vain.ok
    assert verdicts(in_vain) == ["truechimer"] * 6
    for result in (coarsely, precisely, in_vain):
        assert contains_clock(result)


def test_samples_stand_in_order_of_their_distance() -> None:
    with ntp_servers(*[server(delay_s=delay_s) for delay_s in (0.04, 0.0, 0.02)]) as servers:
        result = fresh_query(servers.names)
    assert [sample.address for sample in result.samples] == [servers.names[index] for index in (1, 2, 0)]


# ---- how many are asked at once ----------------------------------------------------------------------------


def test_eight_are_asked_at_once_and_more_only_if_they_must() -> None:
    with ntp_servers(*[HONEST] * 30) as servers:
        result = fresh_query(servers.names)
        assert set(servers.counts()) == {0, 1}
    assert result.ok
    assert 8 <= result.packets_sent < 30
    assert verdicts(result)[-1] == "not_asked"


def test_those_behind_the_first_eight_get_their_turn() -> None:
    with ntp_servers(*[SILENT] * 20, *[HONEST] * 3) as servers:
        result = fresh_query(servers.names)
        requests = [each[0].monotonic_ns for each in servers.requests()]
    assert result.ok
    assert verdicts(result)[-3:] == ["truechimer"] * 3
    # One more every 25 ms where nobody answers.
    assert requests[8] - requests[0] >= 20_000_000
    assert requests[-1] - requests[0] >= 15 * 20_000_000


def test_a_server_that_fails_makes_room_for_the_next_one() -> None:
    with ntp_servers(*[SET_BACK] * 40, *[HONEST] * 3) as servers:
        result = fresh_query(servers.names)
    assert result.ok
    assert result.packets_sent == 43


# ---- names, addresses, ports -------------------------------------------------------------------------------


def resolver(book: dict[str, list[str]]) -> Callable[[str, str], list[str]]:
    """Return a resolver that knows these names only."""

    def look_up(host: str, family: str) -> list[str]:
        if host not in book:
            raise OSError(f"{host} is not in the book")
        return book[host]

    return look_up


def query_by_name(
    book: dict[str, list[str]], names: list[str], port: int, **options: object
) -> tl.ntp.Result:
    """Query servers by names that only this book knows."""
    cache = tl.ntp.DnsCache(resolver(book))
    options = {"deadline_s": PATIENCE_S, **options}
    return tl.ntp.Client(dns_cache=cache).query([f"{name}:{port}" for name in names], **options)


def at_addresses(*kinds: Server) -> list[Server]:
    """Return these servers on 127.0.0.2, 127.0.0.3, ..., all with one port."""
    return [
        Server(kind.script, f"127.0.0.{number}", SHARED, kind.refuses) for number, kind in enumerate(kinds, 2)
    ]


@pytest.mark.parametrize("first", [SILENT, REFUSING, SET_BACK, kissing("DENY"), kissing("RATE")])
def test_a_name_tries_its_next_address(first: Server) -> None:
    with ntp_servers(*at_addresses(first, HONEST)) as servers:
        (_, port), (good, _) = servers.addresses
        book = {"time.test": ["127.0.0.2", "127.0.0.3"]}
        result = query_by_name(book, ["time.test"], port, quorum=1)
        assert servers.counts()[1] == 1
    (found,) = result.servers
    assert (result.ok, found.verdict, found.address) == (True, "truechimer", f"{good}:{port}")
    assert found.name == f"time.test:{port}"
    assert result.elapsed_ns < AT_ONCE_NS


def test_a_name_has_one_vote_however_many_addresses_it_has() -> None:
    with ntp_servers(*at_addresses(HONEST, HONEST, HONEST)) as servers:
        book = {"time.test": [host for host, _ in servers.addresses]}
        result = query_by_name(book, ["time.test"], servers.addresses[0][1], quorum=2, deadline_s=MOMENT_S)
    assert not result.ok
    assert len(result.samples) <= 1


def test_two_names_of_one_address_are_one_vote() -> None:
    with ntp_servers(*at_addresses(HONEST, HONEST)) as servers:
        port = servers.addresses[0][1]
        book = {"a.test": ["127.0.0.2"], "b.test": ["127.0.0.2"], "c.test": ["127.0.0.2", "127.0.0.3"]}
        short = query_by_name(book, ["a.test", "b.test"], port, quorum=2)
        enough = query_by_name(book, ["a.test", "c.test"], port, quorum=2)
    assert not short.ok
    assert "duplicate" in verdicts(short)
    assert enough.ok
    assert {found.address for found in enough.servers} == {f"127.0.0.2:{port}", f"127.0.0.3:{port}"}


def test_a_name_given_twice_is_one_vote() -> None:
    with ntp_servers(HONEST) as servers:
        result = fresh_query([servers.names[0]] * 2, quorum=2)
    assert not result.ok
    # No second server can come: nothing is waited for, perhaps not even the first one.
    assert sorted(verdicts(result)) in (["duplicate", "unconfirmed"], ["duplicate", "unfinished"])
    assert result.elapsed_ns < AT_ONCE_NS


def test_a_name_that_nobody_knows_is_unreachable() -> None:
    with ntp_servers(HONEST) as servers:
        host, port = servers.addresses[0]
        result = query_by_name(
            {"a.test": [host], "c.test": []}, ["a.test", "b.test", "c.test"], port, quorum=1
        )
        assert result.ok
        result = query_by_name({"c.test": []}, ["b.test", "c.test"], port, quorum=1)
    assert not result.ok
    assert verdicts(result) == ["unreachable"] * 2
    assert result.servers[0].address is None
    assert "not in the book" in result.servers[0].why
    assert result.servers[1].why
    assert result.elapsed_ns < AT_ONCE_NS


@pytest.mark.parametrize(("family", "expected"), [("v4", "127.0.0.1"), ("v6", "::1")])
def test_only_addresses_of_the_wanted_family_are_asked(family: str, expected: str) -> None:
    with ntp_servers(
        Server(HONEST.script, "127.0.0.1", SHARED), Server(HONEST.script, "::1", SHARED)
    ) as servers:
        _, port = servers.addresses[0]
        book = {"time.test": ["::1", "127.0.0.1"]}
        result = query_by_name(book, ["time.test"], port, quorum=1, family=family)
        literal = fresh_query(
            [f"127.0.0.1:{port}", f"[::1]:{port}"], quorum=1, family=family, accuracy_s=NEVER_S
        )
    (found,) = result.servers
    assert found.address is not None
    assert found.address.rpartition(":")[0].strip("[]") == expected
    assert sorted(verdicts(literal)) == ["truechimer", "unreachable"]


def test_the_port_is_for_names_without_one() -> None:
    with ntp_servers(HONEST, HONEST) as servers:
        (first, port), _ = servers.addresses
        result = fresh_query([first, servers.names[1]], quorum=2, port=port)
    assert result.ok
    assert [found.address for found in result.servers] == servers.names


# ---- being asked seldom ------------------------------------------------------------------------------------


def test_within_the_headway_the_last_answer_serves_again() -> None:
    client = tl.ntp.Client(headway_s=3600)
    with ntp_servers(*[HONEST] * 3) as servers:
        first = client.query(servers.names, deadline_s=PATIENCE_S)
        again = client.query(servers.names, deadline_s=PATIENCE_S)
        assert servers.counts() == [1, 1, 1]
    assert (first.packets_sent, again.packets_sent) == (3, 0)
    assert again.ok
    assert verdicts(again) == ["truechimer"] * 3
    assert all(sample.reused for sample in again.samples)
    assert not any(sample.reused for sample in first.samples)
    assert contains_clock(again)
    assert (again.error_ns or 0) >= (first.error_ns or 0)


def test_within_the_headway_a_server_without_a_good_answer_is_held() -> None:
    client = tl.ntp.Client(headway_s=3600)
    with ntp_servers(SET_BACK) as servers:
        first = client.query(servers.names, quorum=1, deadline_s=PATIENCE_S)
        again = client.query(servers.names, quorum=1, deadline_s=PATIENCE_S)
        assert servers.counts() == [1]
    assert (verdicts(first), verdicts(again)) == (["rejected"], ["held"])
    assert again.servers[0].why
    assert again.elapsed_ns < AT_ONCE_NS


def test_the_free_functions_share_one_headway() -> None:
    with ntp_servers(HONEST) as servers:
        for _ in range(3):
            assert tl.ntp.query(servers.names, quorum=1, deadline_s=PATIENCE_S).ok
        assert servers.counts() == [1]


@pytest.mark.parametrize("code", ["RATE", "DENY", "RSTR"])
def test_a_kiss_is_remembered_by_the_client(code: str) -> None:
    client = tl.ntp.Client(headway_s=0)
    with ntp_servers(scripted(*kissing(code).script, Answer())) as servers:
        found = [verdicts(client.query(servers.names, quorum=1, deadline_s=PATIENCE_S))[0] for _ in range(3)]
        assert servers.counts() == [1]
        assert found == ["kiss", "held", "held"]
        # Another client knows nothing of it.
        assert fresh_query(servers.names, quorum=1).ok


def test_a_kiss_with_a_wrong_origin_is_not_remembered() -> None:
    client = tl.ntp.Client(headway_s=0)
    fields = {"leap": 3, "stratum": 0, "reference_id": 0x44454E59}
    with ntp_servers(scripted(Answer(fields=fields, origin_xor=1), Answer())) as servers:
        first = client.query(servers.names, quorum=1, deadline_s=MOMENT_S)
        again = client.query(servers.names, quorum=1, deadline_s=PATIENCE_S)
    assert verdicts(first) == ["silent"]
    assert again.ok


def test_every_kind_of_server_at_once() -> None:
    kinds = {
        "truechimer": [HONEST] * 4,
        "falseticker": [LIAR],
        "rejected": [SET_BACK],
        "unreachable": [REFUSING],
        "kiss": [kissing("RATE")],
        "silent": [SILENT, server(cut=47)],
    }
    with ntp_servers(*itertools.chain(*kinds.values())) as servers:
        result = fresh_query(servers.names, accuracy_s=NEVER_S, deadline_s=1.0)
    assert verdicts(result) == [verdict for verdict, of_kind in kinds.items() for _ in of_kind]
    assert contains_clock(result)
    assert all(bool(found.why) == (found.verdict != "truechimer") for found in result.servers)
