"""NTP packets and the judgement of an answer, slow and obvious: `struct`, fractions, one check a line.

Written from RFC 5905, RFC 7822 and the list of checks, not from the fast code.
"""

from __future__ import annotations

import hashlib
import ipaddress
import struct
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

FIELDS = (
    *("first", "stratum", "poll", "precision", "root_delay", "root_dispersion", "reference_id"),
    *("reference", "origin", "receive", "transmit"),
)
ERA = 2**32


def header(data: bytes) -> dict[str, int]:
    """Return the fields of the first 48 bytes as they stand there."""
    found = dict(zip(FIELDS, struct.unpack(">BBbbIIIQQQQ", data[:48]), strict=True))
    first = found.pop("first")
    return {"leap": first >> 6, "version": first >> 3 & 7, "mode": first & 7, **found}


@dataclass
class Trailer:
    """What stands behind a header."""

    extensions: tuple[tuple[int, bytes], ...] = ()
    mac: tuple[int, bytes] | None = None
    crypto_nak: bool = False
    error: str | None = None


def trailer(data: bytes) -> Trailer:
    """Take apart what stands behind a header."""
    if len(data) % 4:
        return Trailer(error="bad_length")
    fields = []
    while len(data) > 24:
        kind, length = struct.unpack(">HH", data[:4])
        if length < 16 or length % 4 or length > len(data):
            return Trailer(error="bad_extension")
        fields.append((kind, data[4:length]))
        data = data[length:]
    if len(data) in (20, 24):
        return Trailer(tuple(fields), (int.from_bytes(data[:4], "big"), data[4:]))
    if data not in (b"", bytes(4)):
        return Trailer(error="bad_extension")
    return Trailer(tuple(fields), None, data == bytes(4))


def id_text(number: int) -> str:
    """Return a kiss code or the name of a source, or ``""``."""
    text = number.to_bytes(4, "big").rstrip(b"\0").decode("latin-1")
    return text if all(" " <= char <= "~" for char in text) else ""


def reference_id(address: str) -> int:
    """Return the id that the clients of an address show."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    packed = parsed.packed
    digest = packed if len(packed) == 4 else hashlib.md5(packed, usedforsecurity=False).digest()
    return int.from_bytes(digest[:4], "big")


def since(later: int, earlier: int) -> Fraction:
    """Return the seconds between two stamps, which are less than 68 years apart."""
    difference = (later - earlier) % 2**64
    return Fraction(difference - 2**64 if difference >= 2**63 else difference, 2**32)


def unix(stamp: int, pivot_s: int) -> Fraction:
    """Return Unix time in the 136 years from the pivot on."""
    seconds = (stamp >> 32) - 2208988800
    seconds += -((seconds - pivot_s) // ERA) * ERA
    return seconds + Fraction(stamp % ERA, ERA)


def offset_and_delay(t1: int, t2: int, t3: int, t4: int) -> tuple[int, int]:
    """Return both in nanoseconds, rounded down."""
    offset = (since(t2, t1) + since(t3, t4)) / 2
    return floor(offset * 10**9), floor((since(t4, t1) - since(t3, t2)) * 10**9)


def up(seconds: Fraction) -> Fraction:
    """Round up to nanoseconds."""
    return Fraction(ceil(seconds * 10**9), 10**9)


def judge(request: bytes, response: bytes, t1_ns: int, elapsed_ns: int, policy: Any) -> dict[str, Any]:
    """Return reason, offset, delay and root distance (seconds, exact but for what is rounded up by rule)."""
    if len(response) < 48:
        return {"reason": "short"}
    asked, told, behind = header(request), header(response), trailer(response[48:])
    elapsed, worked = Fraction(elapsed_ns, 10**9), since(told["transmit"], told["receive"])
    age = since(told["transmit"], told["reference"])
    own, theirs = (up(Fraction(2) ** precision) for precision in (-20, told["precision"]))
    drift = up((elapsed + own) * policy.drift_ppb / (10**9 - policy.drift_ppb))
    middle = unix(told["receive"], policy.pivot_s) + worked / 2
    raw_delay = up(elapsed - worked)
    delay = max(raw_delay, own)
    root_delay, dispersion = (Fraction(told[name], 2**16) for name in ("root_delay", "root_dispersion"))
    distance = (root_delay + delay) / 2 + dispersion + own + theirs + drift
    utc = middle + elapsed / 2
    ours = {reference_id(address) for address in policy.own_addresses}
    wanted_mac = trailer(request[48:]).mac is not None
    most_delay = 2**63 if policy.max_delay_ns is None else policy.max_delay_ns
    failures = {
        "length": len(response) % 4 != 0,
        "version": not policy.min_version <= told["version"] <= 4,
        "mode": told["mode"] != 4,
        "origin": told["origin"] != asked["transmit"] or asked["transmit"] == 0,
        "extension": behind.error is not None,
        "auth": behind.crypto_nak or (wanted_mac and behind.mac is None),
        "kiss": told["stratum"] == 0 and id_text(told["reference_id"]) != "",
        "unsynchronised": told["leap"] == 3,
        "stratum": not 1 <= told["stratum"] <= 15,
        "zero_timestamp": told["receive"] == 0 or told["transmit"] == 0,
        "server_backwards": worked < 0,
        "server_interval": worked > 4,
        "reference_time": (not policy.allow_zero_reference_time) if told["reference"] == 0 else age < 0,
        "stale": told["reference"] != 0 and age * 10**9 > policy.max_reference_age_ns,
        "root_distance": root_delay / 2 + dispersion >= 16,
        "negative_delay": elapsed < 0 or raw_delay < -(own + theirs + drift),
        "delay": delay * 10**9 > most_delay or elapsed > 2**31,
        "distance": distance * 10**9 > policy.max_distance_ns,
        "loop": told["stratum"] > 1 and told["reference_id"] in ours,
        "pivot": not policy.pivot_s <= utc < policy.pivot_s + ERA or utc < policy.not_before_s,
    }
    reason = next((name for name, failed in failures.items() if failed), "ok")
    offset = middle - elapsed / 2 - Fraction(t1_ns, 10**9)
    return {"reason": reason, "offset": offset, "delay": delay, "distance": distance}
