"""Packets, exchanges with a real server, offsets and reference ids that others have published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reference import ntp_reference


@pytest.fixture(scope="session")
def vectors(data) -> dict[str, Any]:
    return json.loads((data / "ntp_vectors.json").read_text())


@pytest.fixture(scope="session")
def packet():
    return pytest.importorskip("tickline.ntp.packet", exc_type=ImportError)


def _listed(vectors: dict[str, Any], name: str) -> list[dict[str, Any]]:
    assert len(vectors[name]) == vectors["counts"][name] > 0
    return vectors[name]


def _check_packet(packet, data: bytes, expect: dict[str, Any]) -> None:
    if not expect:  # too short, or a version whose layout is another one
        return
    found = packet.Packet.parse(data)
    assert len(data) == expect["length"]
    for name in ("leap", "version", "mode", "stratum", "poll", "precision"):
        assert getattr(found, name) == expect[name], name
    assert found.root_delay == expect["root_delay_q16"]
    assert found.root_dispersion == expect["root_dispersion_q16"]
    assert found.reference_id == int(expect["reference_id"], 16)
    for name in ("reference", "origin", "receive", "transmit"):
        assert getattr(found, name) == int(expect[name]["hex"], 16), name
    for name in ("reference_id_text", "reference_id_ipv4"):
        assert found.reference_text == expect.get(name, found.reference_text)
    assert found.header() == data[:48]
    mac = expect.get("mac", {})
    assert found.crypto_nak == mac.get("crypto_nak", False)
    assert found.mac == ((mac["key_id"], bytes.fromhex(mac["digest"])) if "digest" in mac else None)
    assert (found.trailer_error is not None) == ("trailer_error" in expect)
    fields = [(int(field["type"], 16), field["length"] - 4) for field in expect.get("extension_fields", [])]
    assert [(kind, len(value)) for kind, value in found.extensions] == fields


def test_packets_have_the_listed_fields(vectors, packet):
    for vector in _listed(vectors, "packets"):
        _check_packet(packet, bytes.fromhex(vector["hex"]), vector.get("expect", {}))


def test_packets_have_the_listed_fields_as_columns(vectors, packet):
    listed = [vector for vector in _listed(vectors, "packets") if vector.get("expect")]
    table = packet.decode_packets(b"".join(bytes.fromhex(vector["hex"])[:48] for vector in listed), pivot_s=0)
    assert len(table) == len(listed) > 20
    for name in ("leap", "version", "mode", "stratum", "poll", "precision"):
        assert table.column(name).tolist() == [vector["expect"][name] for vector in listed], name
    for name in ("reference", "origin", "receive", "transmit"):
        stamps = [vector["expect"][name] for vector in listed]
        assert table.column(name).tolist() == [int(stamp["hex"], 16) for stamp in stamps]
        if name == "origin":
            continue
        times = [
            None if stamp["zero"] else stamp["unix_sec_pivot1970"] * 10**9 + stamp["nsec_round"]
            for stamp in stamps
        ]
        assert table.column(f"{name}_time").astype("int64").tolist() == times


def test_what_a_real_server_answered_is_taken_or_refused_for_the_right_reason(vectors, packet):
    refused = {
        "chronyd43_unsync": ("reject", "unsynchronised"),
        "chronyd43_zero_transmit": ("drop", "origin"),
        "chronyd43_xleave_3": ("drop", "origin"),  # interleaved: the stamp of an earlier exchange
    }
    policy = packet.Policy(min_version=1)
    answers = 0
    for vector in _listed(vectors, "exchanges"):
        request = bytes.fromhex(vector["request_hex"])
        _check_packet(packet, request, vector.get("request_expect") or {})
        if vector["response_hex"] is None:
            continue
        answers += 1
        response = bytes.fromhex(vector["response_hex"])
        _check_packet(packet, response, vector["response_expect"])
        times = {"t1_ns": 1795304438 * 10**9, "elapsed_ns": 10**6}
        verdict = packet.check(request, response, **times, policy=policy)
        assert (verdict.kind, verdict.reason) == refused.get(vector["id"], ("accept", "ok"))
        expected = ntp_reference.judge(request, response, *times.values(), policy)
        assert verdict.reason == expected["reason"]
        if verdict.packet.version < 4:
            assert packet.check(request, response).reason == "version"
    assert answers == 13


def test_offsets_and_delays_come_out_exactly(vectors, packet):
    for vector in _listed(vectors, "offsets"):
        stamps = [int(vector[name], 16) for name in ("t1", "t2", "t3", "t4")]
        delay_ns = vector["delay_q32"] * 10**9 // 2**32
        assert packet.offset_and_delay(*stamps) == (vector["offset_ns_floor"], delay_ns)
        assert ntp_reference.offset_and_delay(*stamps) == (vector["offset_ns_floor"], delay_ns)


def test_reference_ids_read_as_listed(vectors, packet):
    for vector in _listed(vectors, "reference_ids"):
        number = int(vector["refid"], 16)
        if "ipv6" in vector:
            assert packet.reference_id(vector["ipv6"]) == number == ntp_reference.reference_id(vector["ipv6"])
            continue
        data = bytearray(48)
        data[1] = vector.get("stratum", 2)
        data[12:16] = number.to_bytes(4, "big")
        assert packet.Packet.parse(data).reference_text == vector["text"]
