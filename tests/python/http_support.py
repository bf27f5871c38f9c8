"""A web server on loopback that answers as it is told: statuses, headers, cut bodies, rubbish, nothing.

Answers are scripted by path, or computed by a function of the request::

    with http_server({"/list": [status(429, Retry-After="3"), ok(b"192.0.2.0/24\\n")]}) as server:
        client.get(server.url + "/list")
        assert [request.path for request in server.requests] == ["/list", "/list"]

A list is used up one a request, its last answer is given again and again; a path that is not scripted is
404. Nothing listens beyond 127.0.0.1, and everything that is started here is ended here.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HTML = b"<html><head><title>Welcome</title></head><body>Please log in</body></html>"


@dataclass(frozen=True)
class Request:
    """What a client asked; names of headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes
    ----------
    etag : str or None
        Sent as ETag; a request that has it in If-None-Match is answered 304.
    last_modified : str or None
        Sent as Last-Modified; a request that has it in If-Modified-Since, and no If-None-Match, is answered
        304.
    cut_after : int or None
        The connection is cut behind so many bytes of the body.
    framing : str
        ``length``: Content-Length; ``chunked``; ``close``: neither, the end of the connection ends the body.
    silent : bool
        Nothing is answered, and the connection is kept, until the test ends.
    hang_up : bool
        The connection is cut without a word.
    drip : bytes or None
        Sent in place of an answer, again and again a piece at a time, as long as the client listens.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    last_modified: str | None = None
    cut_after: int | None = None
    framing: str = "length"
    silent: bool = False
    hang_up: bool = False
    drip: bytes | None = None

    def but(self, **changes: Any) -> Answer:
        """Return the same with changes."""
        return replace(self, **changes)


Script = Answer | Sequence[Answer] | Callable[[Request], Answer]


def ok(body: bytes | str, **more: Any) -> Answer:
    """Answer 200."""
    return Answer(body=body.encode() if isinstance(body, str) else body, **more)


def ok_json(value: Any, **more: Any) -> Answer:
    """Answer 200 with JSON."""
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    return Answer(body=json.dumps(value).encode(), headers=headers, **more)


def ok_gzip(body: bytes, **more: Any) -> Answer:
    """Answer 200 with a body that is compressed on its way."""
    return Answer(body=gzip.compress(body, mtime=0), headers={"Content-Encoding": "gzip"}, **more)


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer with this status; ``Retry_After="3"`` becomes the header Retry-After."""
    return Answer(code, body, {name.replace("_", "-"): value for name, value in headers.items()})


def redirect(target: str, code: int = 302) -> Answer:
    """Send to another address."""
    return status(code, Location=target)


RUBBISH = Answer(body=HTML, headers={"Content-Type": "text/html"})
"""What a router answers that wants somebody to log in: 200."""
NOTHING = Answer(hang_up=True)
"""Not even a status."""
SILENCE = Answer(silent=True)
"""A connection on which nothing comes."""


@dataclass
class WebServer:
    """A server that runs.

    Attributes
    ----------
    url : str
        ``http://127.0.0.1:PORT``, without a slash behind.
    scripts : dict
        What is answered, by path; may be changed while it runs.
    requests : list of Request
        What was asked so far.
    """

    scripts: dict[str, Script]
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _used: dict[str, int] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [request.path for request in self.requests]

    def answer_to(self, request: Request) -> Answer:
        """Note the request and return what is scripted for it."""
        with self.lock:
            self.requests.append(request)
            script = self.scripts.get(request.path, self.scripts.get("*"))
            if isinstance(script, Sequence):
                at = self._used.get(request.path, 0)
                self._used[request.path] = at + 1
                script = script[min(at, len(script) - 1)]
        if script is None:
            return status(404)
        return script if isinstance(script, Answer) else script(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet: else Nagle and delayed ACKs add 40 ms to each answer.
    wbufsize = 65_536
    disable_nagle_algorithm = True
    web: WebServer

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        request = Request(self.command, parts.path, query, headers, body)
        answer = self.web.answer_to(request)
        if answer.silent or answer.hang_up or answer.drip is not None:
            self._misbehave(answer)
        elif _unchanged(answer, headers):
            self._send(answer.but(status=304, body=b"", framing="length", cut_after=None))
        else:
            self._send(answer)

    do_POST = do_GET  # noqa: N815

    def _misbehave(self, answer: Answer) -> None:
        if answer.silent:
            self.web.stop.wait(30)
        while answer.drip is not None and not self.web.stop.wait(0.01):
            self.wfile.write(answer.drip)
            self.wfile.flush()
        self._drop()

    def _send(self, answer: Answer) -> None:
        headers = dict(answer.headers)
        if "Date" in headers:
            self.send_response_only(answer.status)
        else:
            self.send_response(answer.status)
        if answer.etag is not None:
            headers["ETag"] = answer.etag
        if answer.last_modified is not None:
            headers["Last-Modified"] = answer.last_modified
        if answer.framing == "length" and answer.status != 304:
            headers.setdefault("Content-Length", str(len(answer.body)))
        elif answer.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        elif answer.framing == "close":
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        shown = answer.body if answer.cut_after is None else answer.body[: answer.cut_after]
        if answer.framing == "chunked":
            whole = answer.cut_after is None
            shown = (b"%x\r\n%b\r\n" % (len(shown), shown) if shown else b"") + (
                b"0\r\n\r\n" if whole else b""
            )
        self.wfile.write(shown)
        if answer.cut_after is not None or answer.framing == "close":
            self._drop()

    def _drop(self) -> None:
        """Cut the connection."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


def _unchanged(answer: Answer, headers: Mapping[str, str]) -> bool:
    """Tell whether the client has it already (RFC 9110, 13.1: ETags go before times)."""
    if answer.status != 200:
        return False
    if "if-none-match" in headers:
        return answer.etag is not None and answer.etag == headers["if-none-match"]
    since = headers.get("if-modified-since")
    return since is not None and since == answer.last_modified


@contextlib.contextmanager
def http_server(
    scripts: Mapping[str, Script] | None = None, *, tls: ssl.SSLContext | None = None
) -> Iterator[WebServer]:
    """Run a server, with `tls` one of https; the path ``*`` stands for all that are not scripted."""
    web = WebServer(dict(scripts or {}))

    class Bound(_Handler):
        pass

    Bound.web = web
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    # A client that goes away in mid-answer is what is tested here: no tracebacks on standard error.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    if tls is not None:
        # The handshake is made by the thread of the connection, so that one client cannot hold up the others.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    web.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield web
    finally:
        web.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
