"""Invented snapshots of the public lists of networks, over the addresses of the generated logs.

They have the shapes of the real files (AWS ip-ranges.json, GCP cloud.json, GitHub's api/meta, a list of VPN
networks) and a table of places. All networks lie in the documentation, benchmark and shared ranges and are
longer than the bogon networks of those ranges, so that the longest prefix gives the label that is meant.
Some are nested, in one list or across two, so that "first in the list" gives another answer.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .files import WholeFile

__all__ = ["BOGON", "FILES", "MISSING", "UNKNOWN", "label", "write_regions"]

BOGON, UNKNOWN, MISSING = "bogon", "unknown", "missing"
FILES = tuple(
    f"regions/{name}"
    for name in ("aws-ip-ranges.json", "gcp-cloud.json", "github-meta.json", "vpn.txt", "geo.tsv")
)

# The first network stands there twice, for two services, as most networks do in the real file.
_AWS = (
    ("100.64.0.0/12", "us-east-2", "AMAZON"),
    ("100.64.0.0/12", "us-east-2", "EC2"),
    ("100.68.0.0/14", "eu-west-1", "EC2"),
    ("100.96.0.0/13", "us-west-2", "S3"),
    ("198.18.0.0/22", "ap-southeast-2", "EC2"),
    ("2001:db8:1::/48", "us-east-2", "AMAZON"),
    ("2001:db8:1:1000::/52", "eu-west-1", "EC2"),
)
_GCP = (
    ("100.80.0.0/13", "us-central1"),
    ("100.84.0.0/14", "europe-west4"),
    ("100.98.0.0/15", "asia-east1"),
    ("2001:db8:2::/48", "us-central1"),
    ("2001:db8:2:2000::/51", "asia-east1"),
)
_GITHUB = {
    "hooks": ("100.104.0.0/22", "2001:db8:3:8000::/49"),
    "web": ("100.104.0.0/22",),
    "actions": ("100.104.0.0/14", "2001:db8:3::/48"),
}
_VPN = ("100.70.0.0/20", "198.18.8.0/21", "198.51.100.64/26", "2001:db8:4::/50")
_GEO = (
    ("100.64.0.0/11", "US/Ohio"),
    ("100.96.0.0/12", "US/Oregon"),
    ("100.112.0.0/13", "DE/Berlin"),
    ("100.116.0.0/14", "FR"),
    ("100.118.0.0/17", "FR/Île-de-France"),
    ("100.120.0.0/14", "JP/Tokyo"),
    ("198.18.0.0/20", "GB/England"),
    ("198.19.0.0/21", "CA/Ontario"),
    ("198.19.8.0/21", "CA"),
    ("198.19.12.0/22", "CA/Québec"),
    ("198.51.100.0/26", "AU/New South Wales"),
    ("198.51.100.16/28", "NZ/Auckland"),
    ("203.0.113.0/25", "BR/São Paulo"),
    ("203.0.113.128/26", "BR/Rio de Janeiro"),
    ("2001:db8:4::/48", "NL/North Holland"),
    ("2001:db8:5::/48", "IN/Karnataka"),
    ("2001:db8:5:4000::/50", "IN"),
    ("2001:db8:6::/48", "ZA/Gauteng"),
    ("2001:db8:8000::/33", "KR/Seoul"),
)
# RFC 5737, 2544, 6598, 3849 and 4291: where all of these addresses lie. No address is left that lies nowhere.
_BOGONS = (
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "198.18.0.0/15",
    "100.64.0.0/10",
    "2001:db8::/32",
    "::ffff:0:0/96",
)


def _labelled() -> Iterable[tuple[str, str]]:
    yield from ((network, f"AWS/{region}") for network, region, _ in _AWS)
    yield from ((network, f"GCP/{scope}") for network, scope in _GCP)
    yield from ((network, "GitHub") for networks in _GITHUB.values() for network in networks)
    yield from ((network, "VPN") for network in _VPN)
    yield from _GEO
    yield from ((network, BOGON) for network in _BOGONS)


_NETWORKS = [(ipaddress.ip_network(network), name) for network, name in _labelled()]


def label(address: str | None) -> str:
    """Return where an address lies by the longest prefix; None is one that was not logged."""
    if address is None:
        return MISSING
    found, longest = UNKNOWN, -1
    ip = ipaddress.ip_address(address)
    for network, name in _NETWORKS:
        if network.prefixlen > longest and ip in network:
            found, longest = name, network.prefixlen
    return found


def _text(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, indent=2).encode() + b"\n"


def _is_v6(network: str) -> bool:
    return ":" in network


def _aws() -> bytes:
    def entry(field: str, network: str, region: str, service: str) -> dict[str, str]:
        return {field: network, "region": region, "service": service, "network_border_group": region}

    return _text(
        {
            "syncToken": "1709078400",
            "createDate": "2024-02-28-00-00-00",
            "prefixes": [entry("ip_prefix", *row) for row in _AWS if not _is_v6(row[0])],
            "ipv6_prefixes": [entry("ipv6_prefix", *row) for row in _AWS if _is_v6(row[0])],
        }
    )


def _gcp() -> bytes:
    prefixes = [
        {
            "ipv6Prefix" if _is_v6(network) else "ipv4Prefix": network,
            "service": "Google Cloud",
            "scope": scope,
        }
        for network, scope in _GCP
    ]
    return _text(
        {"syncToken": "1709078400000", "creationTime": "2024-02-28T00:00:00.00000", "prefixes": prefixes}
    )


def _github() -> bytes:
    return _text(
        {
            "verifiable_password_authentication": False,
            "ssh_key_fingerprints": {"SHA256_ED25519": "invented"},
            "ssh_keys": ["ssh-ed25519 invented"],
            **{name: list(networks) for name, networks in _GITHUB.items()},
            "domains": {"website": ["*.example.com"], "actions_inbound": {"full_domains": ["example.org"]}},
        }
    )


def write_regions(out: Path) -> None:
    """Write the five files of `FILES` below `out`."""
    vpn = "".join(f"{network}\n" for network in _VPN).encode()
    geo = "".join(f"{network}\t{place}\n" for network, place in _GEO).encode()
    for name, text in zip(FILES, (_aws(), _gcp(), _github(), vpn, geo), strict=True):
        with WholeFile(out / name) as file:
            file.write(text)
