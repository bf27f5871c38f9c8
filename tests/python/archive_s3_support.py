"""Archives in S3 for the tests: a server that ignores conditions, and requests counted before a server."""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from python.archive_support import NOON, config_of
from python.s3_support import sdk, serving
from tickline.pipelines.archive.config import Config, Retention, Upload
from tickline.pipelines.archive.s3_store import S3Store

S3RVER_KEY = "S3RVER"


def s3_config(tmp_path: Path, bucket: str = "logs", **changes: Any) -> Config:
    """Return a configuration whose archive is ``s3://BUCKET/ntp``."""
    plain = config_of(tmp_path)
    return Config(plain.node, plain.logs, plain.state, f"s3://{bucket}/ntp", **changes)


def s3_store(
    config: Config | None = None,
    *,
    retries: int = 3,
    timeout_s: float = 20.0,
    retention: Retention | None = None,
    **more: Any,
) -> S3Store:
    """Return a store at the server that the environment names; it pauses for milliseconds."""
    url = config.store if config is not None else "s3://logs/ntp"
    upload = Upload(retries=retries, timeout_s=timeout_s)
    store = S3Store(url, upload=upload, retention=retention, now=lambda: NOON, backoff_s=0.001, **more)
    _opened.append(store)
    return store


_opened: list[S3Store] = []


@pytest.fixture(autouse=True)
def close_stores() -> Iterator[None]:
    """Close what `s3_store` gave; imported by tests that call it."""
    yield
    while _opened:
        _opened.pop().close()


def make_bucket(url: str, bucket: str, **more: Any) -> None:
    """Make a bucket."""
    with sdk(url) as client:
        client.create_bucket(Bucket=bucket, **more)


@contextlib.contextmanager
def s3rver(folder: Path) -> Iterator[str]:
    """Run s3rver, which ignores conditional writes, over a folder; gives its URL. Its bucket is ``logs``."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "tickline" / "s3rver" / "node_modules" / ".bin" / "s3rver"
    if not program.is_file():
        pytest.skip("s3rver is not there: scripts/setup.sh test installs it where node and npm are")
    words = [str(program), "--address", "127.0.0.1", "--port", "{port}", "--directory", str(folder)]
    with serving([*words, "--silent", "--no-vhost-buckets", "--configure-bucket", "logs"]) as url:
        yield url


@dataclass
class Counted:
    """What passed: method and address of each request, as the server got it."""

    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)

    def take(self) -> list[str]:
        """Return what came since the last look: ``"LIST"``, ``"GET"``, ``"PUT"``, ..."""
        found = [
            "LIST" if method == "GET" and "list-type=2" in address else method
            for method, address in self.requests
        ]
        self.requests.clear()
        return found


@contextlib.contextmanager
def counting(upstream: str) -> Iterator[Counted]:
    """Stand before a server on loopback, and count what is asked of it."""
    counted = Counted()
    address = urlsplit(upstream).netloc

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle_expect_100(self) -> bool:
            super().handle_expect_100()
            self.wfile.flush()
            return True

        def do_GET(self) -> None:
            counted.requests.append((self.command, self.path))
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # The name of the host is signed: it stays the one that was asked.
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as server:
                server.request(self.command, self.path, body, headers)
                answer = server.getresponse()
                data = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", length or str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_PUT(self) -> None:
            self.do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    counted.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield counted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
