"""Bogons: networks that no address on the public internet is in, by the registries of IANA.

https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry (RFC 6890), as of
October 2025: blocks whose "Globally Reachable" is False, less the smaller ones inside them for which it is
True or not stated (such as Teredo, behind which there are public hosts). Multicast (RFC 5771, 4291) and the
withdrawn site-local addresses (RFC 3879) are no source of a request either and stand here too.
"""

import ipaddress
from collections.abc import Iterable
from functools import cache

__all__ = ["BOGONS", "EXCEPTIONS", "bogon_networks"]

BOGONS = (
    "0.0.0.0/8",  # this network
    "10.0.0.0/8",  # private
    "100.64.0.0/10",  # shared by the customers of a provider
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local
    "172.16.0.0/12",  # private
    "192.0.0.0/24",  # IETF protocol assignments
    "192.0.2.0/24",  # documentation
    "192.88.99.2/32",  # 6a44 relay
    "192.168.0.0/16",  # private
    "198.18.0.0/15",  # benchmarking
    "198.51.100.0/24",  # documentation
    "203.0.113.0/24",  # documentation
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and broadcast
    "::/128",  # unspecified
    "::1/128",  # loopback
    "64:ff9b:1::/48",  # IPv4 to IPv6, local use
    "100::/64",  # discard-only
    "100:0:0:1::/64",  # dummy
    "2001::/23",  # IETF protocol assignments
    "2001:db8::/32",  # documentation
    "3fff::/20",  # documentation
    "5f00::/16",  # segment routing
    "fc00::/7",  # unique local
    "fe80::/10",  # link-local
    "fec0::/10",  # site-local
    "ff00::/8",  # multicast
)
EXCEPTIONS = (
    "192.0.0.9/32",  # port control protocol
    "192.0.0.10/32",  # TURN
    "2001::/32",  # Teredo
    "2001:1::1/128",  # port control protocol
    "2001:1::2/128",  # TURN
    "2001:1::3/128",  # DNS-SD service registration
    "2001:3::/32",  # AMT
    "2001:4:112::/48",  # AS112
    "2001:10::/28",  # ORCHID, withdrawn
    "2001:20::/28",  # ORCHIDv2
    "2001:30::/28",  # drone remote identification
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@cache
def bogon_networks() -> tuple[str, ...]:
    """Return `BOGONS` without `EXCEPTIONS`, as networks that do not overlap."""
    networks: list[_Network] = [ipaddress.ip_network(text) for text in BOGONS]
    for text in EXCEPTIONS:
        networks = list(_without(networks, ipaddress.ip_network(text)))
    return tuple(map(str, networks))


def _without(networks: Iterable[_Network], hole: _Network) -> Iterable[_Network]:
    for network in networks:
        if network.version == hole.version and hole.subnet_of(network):  # type: ignore[arg-type]
            yield from network.address_exclude(hole)  # type: ignore[arg-type]
        else:
            yield network
