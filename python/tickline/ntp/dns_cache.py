"""A cache of names and their addresses that never makes a query wait longer than it wants to."""

import errno
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tickline import _core
from tickline.arguments import instance, real_number, whole_number
from tickline.errors import SourceError, UsageError, printable

__all__ = ["FAMILIES", "DnsCache", "DnsStats", "Resolver"]

FAMILIES = ("any", "v4", "v6")

Resolver = Callable[[str, str], Iterable[object]]
"""Takes a host and a family (one of `FAMILIES`), returns addresses (text or `ipaddress`) or raises."""

_MOST_THREADS = 64
_MOST_ADDRESSES = 64
_MOST_S = 2.0**32  # 136 years; in nanoseconds it fits into 64 bits


@dataclass(frozen=True, slots=True)
class DnsStats:
    """What a cache was asked so far, and how it answered."""

    hits: int
    """Answered with addresses younger than `ttl_s`."""
    stale_hits: int
    """Answered with older ones, while or because looking up anew took long or failed."""
    negative_hits: int
    """Answered with a failure that is still remembered."""
    misses: int
    """Had to wait: a look-up began."""
    joined: int
    """Had to wait for a look-up that somebody else had begun."""
    refused: int
    """No name at all, or no room because all names in the cache are being looked up."""
    look_ups: int
    """Look-ups begun."""
    failures: int
    """Look-ups that gave no address."""
    evictions: int
    """Names forgotten to make room."""
    entries: int
    """Names in the cache now."""
    pending: int
    """Look-ups under way now."""
    hit_ratio: float
    """The share of questions that were answered from memory, 0 to 1."""


class DnsCache:
    """Remembers the addresses of names; threads and clients may share it.

    A name is looked up once for all who ask, on a thread of its own, so that a resolver that hangs holds up
    neither other names nor anybody beyond the time he is willing to wait. All times count on the monotonic
    clock: a step of the wall clock changes nothing. ``getaddrinfo`` tells no TTL, so these times are what you
    want, not what the zone says.

    Parameters
    ----------
    resolver : callable, optional
        ``resolver(host, family)`` returns the addresses in the order in which to try them; an exception is a
        failure. It is called on daemon threads of Python, at most 64 at once. The default is the system's
        resolver (``getaddrinfo``).
    ttl_s : float, default 30.0
        So long addresses are used without asking again.
    negative_ttl_s : float, default 5.0
        So long a name is not looked up again after a failure.
    stale_s : float, default 300.0
        So long after `ttl_s` addresses are still used, while they are looked up anew and if that fails.
    max_entries : int, default 100
        So many names are remembered. The one that nobody has asked for longest goes first.

    Raises
    ------
    UsageError
        A time or a number is negative or no number.

    Examples
    --------
    >>> cache = DnsCache(lambda host, family: ["192.0.2.1"])
    >>> cache.look_up("time.example.org"), cache.look_up("time.example.org")
    (['192.0.2.1'], ['192.0.2.1'])
    >>> cache.stats.hit_ratio
    0.5
    """

    def __init__(
        self,
        resolver: Resolver | None = None,
        ttl_s: float = 30.0,
        negative_ttl_s: float = 5.0,
        stale_s: float = 300.0,
        max_entries: int = 100,
    ) -> None:
        most_entries = whole_number(max_entries, "max_entries", 1, 2**63 - 1)
        given: Any = resolver
        if not (given is None or callable(given)):
            hint = "Give a function of a host and a family."
            raise UsageError("it cannot be called", where="resolver", hint=hint)
        inbox = None if resolver is None else _core.DnsInbox()
        self._core = _core.DnsCache(
            ttl_ns=_ns(ttl_s, "ttl_s"),
            negative_ttl_ns=_ns(negative_ttl_s, "negative_ttl_s"),
            stale_ns=_ns(stale_s, "stale_s"),
            max_entries=most_entries,
            inbox=inbox,
        )
        if resolver is not None and inbox is not None:
            _Helpers(resolver, inbox).start()

    def look_up(self, host: str, family: str = "any", timeout_s: float = 2.0) -> list[str]:
        """Return the addresses of a name, from memory or by looking it up.

        Parameters
        ----------
        host : str
            The name.
        family : str
            One of `FAMILIES`.
        timeout_s : float, default 2.0
            How long to wait for a look-up; it goes on for others and later.

        Returns
        -------
        list of str
            At least one, in the order in which to try them. The number of the interface stands behind a ``%``
            in link-local ones.

        Raises
        ------
        SourceError
            The name has no address, or (`errno` is ``ETIMEDOUT``) the look-up takes longer than `timeout_s`.
        UsageError
            The family or the time is none.
        """
        if family not in FAMILIES:
            raise UsageError(
                f"{family!r} is none", where="family", hint=f"Choose from: {', '.join(FAMILIES)}."
            )
        instance(host, "host", str)
        timeout_ns = _ns(timeout_s, "timeout_s")
        if any("\ud800" <= char <= "\udfff" for char in host):
            hint = "Check how it was read."
            raise SourceError("no name of a host: half a character is in it", where=host, hint=hint)
        state, addresses, why = self._core.look_up(host, family, timeout_ns)
        if state == "pending":
            raise SourceError(
                f"its look-up has not ended after {timeout_s:g} s",
                where=host,
                hint="Ask again later, or wait longer (timeout_s).",
                number=errno.ETIMEDOUT,
            )
        if state == "failed":
            hint = "Check the name and this machine's resolver."
            raise SourceError(f"its look-up failed ({printable(why)})", where=host, hint=hint)
        return addresses

    @property
    def stats(self) -> DnsStats:
        """What the cache was asked so far."""
        return DnsStats(**self._core.stats())

    def clear(self) -> None:
        """Forget all answers. Look-ups under way go on, for those who wait for them."""
        self._core.clear()


def _ns(seconds: float, name: str) -> int:
    if not 0 <= real_number(seconds, name) < math.inf:
        raise UsageError(f"{seconds} is no time", where=name, hint="Give seconds, 0 or more.")
    return round(min(seconds, _MOST_S) * 1e9)


class _Helpers:
    """Daemon threads that ask a resolver written in Python.

    One of them delivers what the cache wants, until the cache is gone; the others look names up, and end when
    there is nothing left to do. Nothing here refers to the cache, so that it can go.
    """

    def __init__(self, resolver: Resolver, inbox: _core.DnsInbox) -> None:
        self._resolver = resolver
        self._inbox = inbox
        self._begin_anew()
        _all_helpers.add(self)

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[_core.DnsRequest] = deque()
        self._threads = 0

    def start(self) -> None:
        threading.Thread(target=self._deliver, name="tickline-dns", daemon=True).start()

    def after_fork(self) -> None:
        self._inbox.renew()
        self._begin_anew()
        self.start()

    def _deliver(self) -> None:
        while True:
            # Waiting here and not inside _core: only Python's own calls can be left hanging at exit.
            os.read(self._inbox.fileno(), 4096)
            requests = self._inbox.take()
            if requests is None:
                return
            for request in requests:
                self._begin(request)

    def _begin(self, request: _core.DnsRequest) -> None:
        with self._lock:
            self._waiting.append(request)
            if self._threads == _MOST_THREADS:
                return
            self._threads += 1
        try:
            threading.Thread(target=self._work, name="tickline-dns", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads to give
            with self._lock:
                self._threads -= 1
                if self._threads > 0:
                    return  # somebody is there to take it
                self._waiting.clear()
            request.answer([], str(error))

    def _work(self) -> None:
        try:
            while (request := self._next()) is not None:
                _answer(self._resolver, request)
        except BaseException:
            with self._lock:
                self._threads -= 1
            raise

    def _next(self) -> _core.DnsRequest | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1  # in one step with the look: else a request could come in between
            return None


def _answer(resolver: Resolver, request: _core.DnsRequest) -> None:
    """Answer a request, whatever the resolver does: somebody waits for it."""
    try:
        addresses = islice(resolver(request.host, request.family), _MOST_ADDRESSES)
        request.answer([printable(str(address)) for address in addresses], "")
    except BaseException as error:
        request.answer([], _told(error))


def _told(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return printable(f"{name}: {error}")
    except BaseException:  # an exception that raises another one when it is to be shown
        return printable(name)


_all_helpers: weakref.WeakSet[_Helpers] = weakref.WeakSet()


def _after_fork() -> None:
    # A child of fork() has none of its parent's threads, and shares the pipes through which they hear.
    for helpers in list(_all_helpers):
        helpers.after_fork()


os.register_at_fork(after_in_child=_after_fork)
