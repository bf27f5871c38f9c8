"""TimeSync's cache of the addresses of names."""

import socket
import threading
import time
from collections import OrderedDict
from typing import Any

from tickline import ntp
from tickline.compat.timesync.times import to_ns

__all__ = ["AddressInfo", "DNSCache"]

AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]
"""One of the tuples that ``socket.getaddrinfo`` returns."""


class DNSCache:
    """Addresses of names, for threads to share. See `tickline.ntp.DnsCache`, which is its `names`.

    Parameters
    ----------
    ttl : float, default 30.0
        Seconds for which addresses are good.
    max_size : int, default 100
        The most names that are kept; the one used longest ago goes first.
    """

    def __init__(self, ttl: float = 30.0, max_size: int = 100) -> None:
        self._known = _Known(ttl, max_size)
        self.names = ntp.DnsCache(resolver=self._known.look_up, ttl_s=ttl, max_entries=max_size)

    def get(self, host: str, port: int = 123) -> list[AddressInfo] | None:
        """Return the addresses as ``getaddrinfo`` has them; None if they are not known or too old."""
        return self._known.get(host, port)

    def set(self, host: str, port: int, addresses: list[AddressInfo]) -> None:
        """Use these addresses for a name; with port 123 clients of this cache use them as well."""
        self._known.keep(host, port, addresses)
        self.names.clear()  # it asks again, and is told these

    def clear(self) -> None:
        """Forget everything."""
        self._known.forget()
        self.names.clear()

    def invalidate(self, host: str, port: int = 123) -> None:
        """Forget one name."""
        self._known.forget((host, port))
        self.names.clear()


class _Known:
    """What `DNSCache.get` knows. Threads that look names up hold this and not the cache, so that can go."""

    def __init__(self, ttl_s: float, max_size: int) -> None:
        self._ttl_s = ttl_s
        self._max_size = max_size
        self._entries: OrderedDict[tuple[str, int], tuple[list[AddressInfo], int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, host: str, port: int) -> list[AddressInfo] | None:
        with self._lock:
            addresses, until_ns = self._entries.get((host, port), ([], 0))
            if time.monotonic_ns() >= until_ns:
                self._entries.pop((host, port), None)
                return None
            self._entries.move_to_end((host, port))
            return addresses.copy()

    def keep(self, host: str, port: int, addresses: list[AddressInfo]) -> None:
        with self._lock:
            self._entries[host, port] = (addresses.copy(), time.monotonic_ns() + to_ns(self._ttl_s))
            self._entries.move_to_end((host, port))
            while len(self._entries) > self._max_size:
                self._entries.popitem(last=False)

    def forget(self, key: tuple[str, int] | None = None) -> None:
        with self._lock:
            if key is None:
                self._entries.clear()
            else:
                self._entries.pop(key, None)

    def look_up(self, host: str, _family: str) -> list[str]:
        found = self.get(host, 123)
        if found is None:
            found = list(socket.getaddrinfo(host, 123, 0, socket.SOCK_DGRAM))
            self.keep(host, 123, found)
        return [str(one[4][0]) for one in found]  # the cache takes those of the family it wants
