"""tickline.ntp: packets and verdicts, against a reader written with `struct` and fractions."""

from __future__ import annotations

import copy
import pickle
import struct
from dataclasses import FrozenInstanceError
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import ntp_reference as reference
from tickline import _core
from tickline.errors import UsageError
from tickline.ntp.packet import (
    REASONS,
    Packet,
    Policy,
    check,
    decode_packets,
    offset_and_delay,
    reference_id,
)

NOW_S = _core.SOURCE_DATE_S + 86_400
COOKIE = 0x8899AABBCCDDEEFF
REQUEST = _core.ntp_request(COOKIE)
TIMES = {"t1_ns": NOW_S * 10**9, "elapsed_ns": 10_000_000}


def stamp(seconds: int, fraction: int = 0) -> int:
    return (seconds + 2208988800) % 2**32 << 32 | fraction


def response(**changes: int) -> bytes:
    """Return an answer to `REQUEST` of a server that is 100 s ahead; 8 ms on the way, 2 ms of work."""
    fields = {
        "first": 0x24,
        "stratum": 2,
        "poll": 6,
        "precision": -25,
        "root_delay": 1311,
        "root_dispersion": 656,
        "reference_id": 0xC0000201,
        "reference": stamp(NOW_S + 40),
        "origin": COOKIE,
        "receive": stamp(NOW_S + 100, 17179869),
        "transmit": stamp(NOW_S + 100, 25769804),
        **changes,
    }
    return struct.pack(">BBbbIIIQQQQ", *fields.values())


def test_a_good_answer_is_accepted_with_its_numbers():
    verdict = check(REQUEST, response(), **TIMES)
    assert (verdict.kind, verdict.reason, verdict.kiss_code) == ("accept", "ok", None)
    assert verdict.offset_ns == 100 * 10**9
    assert verdict.delay_ns == 8_000_000
    assert 24_000_000 < verdict.root_distance_ns < 24_040_000
    assert verdict.packet == Packet.parse(response())


def test_what_was_not_measured_is_not_known():
    without_t1 = check(REQUEST, response(), elapsed_ns=10_000_000)
    assert (without_t1.kind, without_t1.offset_ns, without_t1.delay_ns) == ("accept", None, 8_000_000)
    assert without_t1.root_distance_ns == check(REQUEST, response(), **TIMES).root_distance_ns
    without_elapsed = check(REQUEST, response(), t1_ns=0)
    assert without_elapsed.kind == "accept"
    assert without_elapsed.offset_ns is without_elapsed.delay_ns is without_elapsed.root_distance_ns is None
    # The server's own share of the distance still counts, and so does the time it gives.
    assert check(REQUEST, response(root_dispersion=2 << 16)).reason == "distance"
    early = stamp(NOW_S - 2 * 86_400)
    assert check(REQUEST, response(reference=early, receive=early, transmit=early)).reason == "pivot"


@pytest.mark.parametrize(
    ("kind", "reason", "changes"),
    [
        ("drop", "version", {"first": 0x1C}),
        ("drop", "version", {"first": 0x2C}),
        ("drop", "mode", {"first": 0x23}),
        ("drop", "origin", {"origin": COOKIE ^ 1}),
        ("kiss", "kiss", {"stratum": 0, "reference_id": 0x52415445}),
        ("reject", "unsynchronised", {"first": 0xE4, "stratum": 0, "reference_id": 0}),
        ("reject", "stratum", {"stratum": 16}),
        ("drop", "zero_timestamp", {"transmit": 0}),
        ("reject", "server_backwards", {"receive": stamp(NOW_S + 101)}),
        ("reject", "server_interval", {"receive": stamp(NOW_S + 95)}),
        ("reject", "reference_time", {"reference": 0}),
        ("reject", "stale", {"reference": stamp(NOW_S - 2 * 86_400)}),
        ("reject", "root_distance", {"root_delay": 0xFFFFE000}),
        ("reject", "distance", {"root_dispersion": 2 << 16}),
    ],
)
def test_each_defect_has_its_reason(kind, reason, changes):
    verdict = check(REQUEST, response(**changes), **TIMES)
    assert (verdict.kind, verdict.reason) == (kind, reason)
    assert reason in REASONS
    assert len(verdict.message) > 20
    assert verdict.kiss_code == ("RATE" if kind == "kiss" else None)


def test_limits_of_the_policy():
    def reason(**limits) -> str:
        return check(REQUEST, response(), **TIMES, policy=Policy(**limits)).reason

    assert reason(max_delay_ns=8_000_000) == "ok"
    assert reason(max_delay_ns=7_999_999) == "delay"
    assert reason(max_distance_ns=24_000_000) == "distance"
    assert reason(max_reference_age_ns=1) == "stale"
    assert reason(own_addresses=["2001:db8::1", "192.0.2.1"]) == "loop"
    assert reason(not_before_s=NOW_S + 101) == "pivot"
    assert (
        check(REQUEST, response(reference=0), policy=Policy(allow_zero_reference_time=True)).kind == "accept"
    )
    assert check(REQUEST, response(first=0x1C), policy=Policy(min_version=3)).kind == "accept"


def test_the_request_says_whether_a_mac_is_wanted():
    mac, nak = b"\0\0\0\1" + bytes(16), bytes(4)
    assert check(REQUEST + mac, response()).reason == "auth"
    assert check(REQUEST + mac, response() + mac).reason == "ok"
    assert check(REQUEST, response() + mac).reason == "ok"
    assert check(REQUEST, response() + nak).reason == "auth"
    assert check(REQUEST, response() + bytes(36)).reason == "extension"
    assert check(REQUEST, response() + b"ab").reason == "length"


def test_short_answers_have_no_packet():
    verdict = check(REQUEST, response()[:47])
    assert (verdict.kind, verdict.reason, verdict.packet) == ("drop", "short", None)
    assert check(REQUEST, b"").reason == "short"


def test_requests_differ_in_64_bits_and_in_nothing_else():
    requests = {Packet.build_request() for _ in range(100)}
    assert len(requests) == 100
    for request in requests:
        assert request[:40] == b"\x23\x00\x00\x20" + bytes(36)
        assert request[40:] != bytes(8)
        assert check(request, response()).reason == "origin"


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("request", lambda: check(REQUEST[:47], response())),
        ("data", lambda: Packet.parse(bytes(47))),
        ("t1_ns", lambda: check(REQUEST, response(), t1_ns=2**63)),
        ("elapsed_ns", lambda: check(REQUEST, response(), elapsed_ns=-(2**63) - 1)),
        ("buffer", lambda: decode_packets(bytes(49))),
        ("pivot_s", lambda: decode_packets(b"", pivot_s=2**62)),
        ("pivot_s", lambda: Policy(pivot_s=2**62)),
        ("min_version", lambda: Policy(min_version=0)),
        ("min_version", lambda: Policy(min_version=5)),
        ("drift_ppb", lambda: Policy(drift_ppb=-1)),
        ("max_delay_ns", lambda: Policy(max_delay_ns=-1)),
        ("own_addresses", lambda: Policy(own_addresses=["192.0.2.1"] * 9)),
        (None, lambda: Policy(own_addresses=["nowhere"])),
        (None, lambda: reference_id("192.0.2.1/24")),
        ("t3", lambda: offset_and_delay(0, 0, 2**64, 0)),
    ],
)
def test_wrong_calls_say_where_and_what_to_do(where, call):
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.where == where
    assert caught.value.hint


def test_packets_policies_and_verdicts_are_values():
    packet, policy = Packet.parse(response()), Policy(max_distance_ns=5, own_addresses=("::1",))
    assert pickle.loads(pickle.dumps(packet)) == packet == copy.copy(packet)
    assert pickle.loads(pickle.dumps(policy)) == policy == copy.deepcopy(policy)
    assert check(REQUEST, response(), policy=pickle.loads(pickle.dumps(policy))).reason == "distance"
    assert hash(packet) == hash(Packet.parse(response()))
    assert hash(policy) == hash(Policy(max_distance_ns=5, own_addresses=["::1"]))
    with pytest.raises(FrozenInstanceError):
        policy.min_version = 3  # type: ignore[misc]


def test_the_columns_of_no_packets_have_their_types():
    table = decode_packets(b"")
    assert len(table) == 0
    types = [table.column(name).dtype.str.lstrip("<|=") for name in table.column_names]
    assert types == [
        *["u1"] * 4,
        *["i1"] * 2,
        *["i8"] * 2,
        "u4",
        *["u8"] * 4,
        *["M8[ns]"] * 3,
    ]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_as_the_reference_reads_them(data):
    if len(data) < 48:
        with pytest.raises(UsageError):
            Packet.parse(data)
        return
    packet, fields, behind = Packet.parse(data), reference.header(data), reference.trailer(data[48:])
    assert {name: getattr(packet, name) for name in fields} == fields
    assert packet.header() == data[:48]
    assert (packet.extensions, packet.mac, packet.crypto_nak) == (
        behind.extensions,
        behind.mac,
        behind.crypto_nak,
    )
    assert packet.trailer_error == behind.error
    if packet.stratum < 2:
        assert packet.reference_text == reference.id_text(packet.reference_id)


@given(st.lists(st.binary(min_size=48, max_size=48), max_size=70), st.integers(-(2**33), 2**32))
def test_columns_say_what_single_packets_say(packets, pivot_s):
    table = decode_packets(b"".join(packets), pivot_s=pivot_s)
    columns = {name: table.column(name) for name in table.column_names}
    assert len(table) == len(packets)
    for row, data in enumerate(packets):
        fields = reference.header(data)
        for name in ("leap", "version", "mode", "stratum", "poll", "precision", "reference_id"):
            assert columns[name][row] == fields[name]
        for name in ("root_delay", "root_dispersion"):
            assert columns[f"{name}_ns"][row] == (fields[name] * 10**9 + 2**15) >> 16
        for name in ("reference", "origin", "receive", "transmit"):
            assert int(columns[name][row]) == fields[name]
        for name in ("reference", "receive", "transmit"):
            found = columns[f"{name}_time"].astype("int64").tolist()[row]
            exact = reference.unix(fields[name], pivot_s) * 10**9
            assert found == (None if fields[name] == 0 else floor(exact + reference.Fraction(1, 2)))


SMALL = st.integers(0, 2**16)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "first": st.sampled_from([0x24, 0x1C, 0x0C, 0x2C, 0x25, 0xE4, 0x64]),
        "stratum": st.integers(0, 17),
        "precision": st.integers(-40, 6),
        "root_delay": st.integers(0, 2**22),
        "root_dispersion": st.integers(0, 2**21),
        "reference_id": st.sampled_from([0xC0000201, 0x52415445, 0, 0x01020304]),
        "reference": st.one_of(st.just(0), SMALL.map(lambda ago: stamp(NOW_S + 100 - 3 * ago))),
        "origin": st.sampled_from([COOKIE, 0]),
        "receive": st.one_of(st.just(0), SMALL.map(lambda late: stamp(NOW_S + 100, late << 8))),
        "transmit": st.one_of(st.just(0), SMALL.map(lambda late: stamp(NOW_S + 100, late << 16))),
    },
)
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "pivot_s": st.integers(NOW_S - 2**33, NOW_S + 200),
        "not_before_s": st.integers(NOW_S, NOW_S + 200),
        "min_version": st.integers(1, 4),
        "allow_zero_reference_time": st.booleans(),
        "max_reference_age_ns": st.integers(0, 10**15),
        "max_delay_ns": st.integers(0, 10**9),
        "max_distance_ns": st.integers(0, 10**11),
        "drift_ppb": st.integers(0, 500_000_000),
        "own_addresses": st.lists(st.sampled_from(["192.0.2.1", "::1", "1.2.3.4"]), max_size=3),
    },
)


@given(ANSWERS, POLICIES, st.integers(-(2**61), 2**62), st.integers(-(10**6), 10**11))
def test_verdicts_are_those_of_the_reference(answer, limits, t1_ns, elapsed_ns):
    policy = Policy(**limits)
    verdict = check(REQUEST, response(**answer), t1_ns=t1_ns, elapsed_ns=elapsed_ns, policy=policy)
    expected = reference.judge(REQUEST, response(**answer), t1_ns, elapsed_ns, policy)
    if verdict.reason == "distance" != expected["reason"]:
        # Each term of the distance is rounded up: 5 ns at most.
        assert expected["distance"] * 10**9 + 5 > policy.max_distance_ns
        return
    assert verdict.reason == expected["reason"]
    if verdict.kind == "accept":
        assert verdict.offset_ns == floor(expected["offset"] * 10**9)
        assert verdict.delay_ns == expected["delay"] * 10**9
        assert 1 <= verdict.root_distance_ns - expected["distance"] * 10**9 <= 5


@given(
    st.one_of(
        st.ip_addresses(),
        st.integers(0, 2**32 - 1).map(lambda word: f"::ffff:{word >> 16:x}:{word & 65535:x}"),
    )
)
def test_reference_ids_of_addresses(address):
    assert reference_id(str(address)) == reference.reference_id(str(address))


@given(st.integers(0, 2**64 - 1), st.integers(-(2**62), 2**62), st.integers(0, 2**40), st.integers(0, 2**40))
def test_offset_and_delay_of_four_stamps(t1, apart, worked, travelled):
    stamps = (t1, t1 + apart, t1 + apart + worked, t1 + worked + travelled)
    wrapped = [value % 2**64 for value in stamps]
    assert offset_and_delay(*wrapped) == reference.offset_and_delay(*wrapped)
