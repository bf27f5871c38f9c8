"""GET over HTTPS through httpx: bounded in time and size, tried again where that may help, and discreet.

Proxies and certificates are decided by what decides them for other programs (``HTTPS_PROXY``, ``NO_PROXY``,
``SSL_CERT_FILE``). Headers, queries of addresses and texts that a server sends are never shown: they may hold
tokens.
"""

import json
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.clients.http_answers import (
    REDIRECTS,
    HttpError,
    PassingError,
    Reply,
    can_be_sent,
    explain_network,
    next_address,
    origin,
    parse_address,
    read_reply,
    shown,
)
from tickline.errors import TicklineError, UsageError

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpClient", "HttpError", "Reply"]

_MOST_REDIRECTS = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 20.0
# One attempt may take so many times the time-out of one packet.
_WHOLE = 30


class HttpClient:
    """Asks servers; for one thread at a time, and to be closed in the end.

    What fails for a while (5xx, 408, 429, time-outs, broken connections, cut answers) is tried again with
    growing pauses of 0.5 to 20 s, or those that the server asks for (Retry-After, RFC 9110 section 10.2.3) up
    to 120 s.

    Parameters
    ----------
    timeout_s : float
        Seconds until a connection stands, and between two packets.
    whole_s : float, optional
        Seconds for one attempt in all; 30 times `timeout_s` if not given.
    retries : int
        Further attempts after the first one.
    most_bytes : int
        The largest body that is taken, decompressed.
    headers : mapping, optional
        Sent with each request, but not to another server that one redirects to.
    wait : callable
        Waits for so many seconds.

    Raises
    ------
    UsageError
        A header cannot be sent.
    TicklineError
        httpx is missing, or the settings of the proxy are wrong.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 20.0,
        whole_s: float | None = None,
        retries: int = 4,
        most_bytes: int = 512 * 2**20,
        headers: Mapping[str, str] | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        httpx = _import_httpx()
        self._headers = dict(headers or {})
        for name, value in self._headers.items():
            if not can_be_sent(value):
                what = "its value is empty, or holds blanks around it, line ends or other than ASCII"
                hint = "Check the environment variable that it comes from."
                raise UsageError(what, where=f"header {name}", hint=hint)
        self._retries = retries
        self._most_bytes = most_bytes
        self._wait = wait
        self._deadline = _Deadline(_WHOLE * timeout_s if whole_s is None else whole_s)
        fixed = {"User-Agent": f"tickline/{_core.__version__}", "Accept-Encoding": "gzip"}
        # No proxy stands between this machine and itself.
        direct = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))
        try:
            self._client = httpx.Client(timeout=timeout_s, headers=fixed, mounts=direct)
        except (ValueError, OSError, ImportError, httpx.InvalidURL):
            what = "the settings of the proxy or of the certificates cannot be used"
            hint = "Check HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR."
            # What httpx says may hold the password of the proxy.
            raise TicklineError(what, hint=hint) from None

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        etag: str | None = None,
        last_modified: str | None = None,
    ) -> Reply:
        """Ask for one address.

        Parameters
        ----------
        url : str
            ``https://...``; ``http://`` only for this machine itself.
        params : mapping, optional
            Added to the query of `url`.
        etag, last_modified : str, optional
            Of what the caller has: the answer is 304 if it is still the same (RFC 9110 section 13.1).

        Returns
        -------
        Reply
            With the status 200, or 304 where `etag` or `last_modified` is given.

        Raises
        ------
        UsageError
            This address is not asked: it is no URL, not https, or holds a password.
        HttpError
            Nothing usable came.
        """
        address = parse_address(url)
        if params:
            address = address.copy_merge_params(dict(params))
        given = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        conditions = {name: value for name, value in given.items() if value and can_be_sent(value)}
        attempts = 1
        while True:
            try:
                return self._follow(address, conditions)
            except PassingError as failure:
                if attempts > self._retries:
                    failure.error.what += f" ({attempts} attempts)" if attempts > 1 else ""
                    raise failure.error from failure.__cause__
                growing = min(_FIRST_PAUSE_S * 2 ** (attempts - 1), _LONGEST_PAUSE_S)
                self._wait(growing if failure.pause_s is None else failure.pause_s)
            attempts += 1

    def get_json(self, url: str, *, params: Mapping[str, str] | None = None) -> Any:
        """Ask for one address, and understand the answer as JSON; see `get`."""
        reply = self.get(url, params=params)
        try:
            return json.loads(reply.body)
        except (ValueError, RecursionError) as error:
            hint = "Check the address; a proxy or a page to log in at may stand in between."
            raise HttpError("the answer is no JSON", where=reply.url, hint=hint) from error

    def _follow(self, address: "httpx.URL", conditions: Mapping[str, str]) -> Reply:
        """Make one attempt, through all redirects."""
        start = address
        for _ in range(_MOST_REDIRECTS + 1):
            # Tokens are for the server that they were meant for.
            own = self._headers if origin(address) == origin(start) else {}
            with self._asking(address, {**own, **conditions}) as response:
                if response.status_code not in REDIRECTS:
                    return read_reply(response, self._most_bytes, conditional=bool(conditions))
                address = next_address(response)
        hint = "Check the address."
        raise HttpError(f"leads on more than {_MOST_REDIRECTS} times", where=shown(start), hint=hint)

    @contextmanager
    def _asking(self, address: "httpx.URL", headers: Mapping[str, str]) -> Iterator["httpx.Response"]:
        """Send a request and hold its answer open; what the network does wrong becomes a sentence."""
        import httpx

        more = {"trace": self._deadline.note}
        with self._deadline:
            try:
                with self._client.stream("GET", address, headers=headers, extensions=more) as response:
                    yield response
            except httpx.HTTPError as error:
                late_s = self._deadline.seconds if self._deadline.passed else None
                raise explain_network(error, shown(address), late_s) from error

    def close(self) -> None:
        """Close all connections; more than once is harmless."""
        self._client.close()

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Deadline:
    """Cuts the connections of a request that takes too long in all, however steadily it drips."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passed = False
        self._streams: deque[Any] = deque(maxlen=64)
        self._timer = threading.Timer(seconds, self._cut)

    def note(self, event: str, about: Mapping[str, Any]) -> None:
        """Remember each connection that is made; httpcore tells."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._streams.append(about["return_value"])

    def _cut(self) -> None:
        self.passed = True
        for stream in tuple(self._streams):
            with suppress(OSError):
                # Not SSLSocket's own: that takes the session from under the thread that reads.
                socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def __enter__(self) -> None:
        self.passed = False
        self._timer = threading.Timer(self.seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


class _WithoutQuery(logging.Filter):
    """httpx logs each address: without its query."""

    def filter(self, record: logging.LogRecord) -> bool:
        import httpx

        if isinstance(record.args, tuple):
            record.args = tuple(shown(arg) if isinstance(arg, httpx.URL) else arg for arg in record.args)
        return True


_WITHOUT_QUERY = _WithoutQuery()


def _import_httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[dandi]' or 'tickline[regions]'."
        raise TicklineError("asking web servers needs httpx, which is not installed", hint=hint) from error
    logging.getLogger("httpx").addFilter(_WITHOUT_QUERY)
    return httpx
