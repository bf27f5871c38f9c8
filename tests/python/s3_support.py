"""S3 servers on loopback for the tests: moto and versitygw as processes, and one that fails on demand.

Every process that is started here is ended here. Nothing listens beyond 127.0.0.1.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

ACCESS_KEY = "AKIATESTTESTTESTTEST"
SECRET_KEY = "only-for-tests/0123456789abcdefghijklmno"
REGION = "us-east-1"
START_SECONDS = 60.0

# Ends when its standard input does: also when the tests are killed.
_MOTO = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""


def set_environment(patch: pytest.MonkeyPatch, endpoint: str | None, **more: str) -> None:
    """Let the SDK see these settings and nothing of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            patch.delenv(name)
    settings = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {}),
        **more,
    }
    for name, value in settings.items():
        patch.setenv(name, value)


@contextlib.contextmanager
def sdk(endpoint: str) -> Iterator[Any]:
    """Give a boto3 client, to put objects with."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Run moto's S3 as a process; gives its URL. It holds all objects in memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        host, port = process.stdout.readline().decode().split()
        yield f"http://{host}:{port}"
    finally:
        process.stdin.close()
        process.stdout.close()
        end(process)


def find_versitygw() -> str | None:
    """Return the program: where `scripts/setup.sh test` builds it, or on PATH."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "tickline" / "bin" / "versitygw"
    return str(built) if built.is_file() else shutil.which("versitygw")


@contextlib.contextmanager
def versitygw(folder: Path, *, versioning: bool = False) -> Iterator[str]:
    """Run versitygw over a folder; gives its URL. Object Lock needs `versioning`."""
    program = find_versitygw()
    if program is None:
        pytest.skip("versitygw is not there: scripts/setup.sh test builds it where Go is installed")
    data = folder / "data"
    sidecar = folder / "sidecar"
    data.mkdir()
    sidecar.mkdir()
    keep = []
    if versioning:
        (folder / "versions").mkdir()
        keep = ["--versioning-dir", str(folder / "versions")]
    environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    # Not every file system of a temporary folder has extended attributes.
    words = [program, "--port", "127.0.0.1:{port}", "--region", REGION, "--health", "/health", "--quiet"]
    words += ["posix", "--sidecar", str(sidecar), *keep, str(data)]
    with serving(words, environment) as url:
        yield url


@contextlib.contextmanager
def serving(words: list[str], environment: dict[str, str] | None = None) -> Iterator[str]:
    """Run a server on a free port of loopback, ``{port}`` in `words`; gives its URL."""
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen(
            [word.replace("{port}", str(port)) for word in words],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # Another test may have taken the port in between: then this process has ended.
            if wait_for(port, process):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            end(process)
    pytest.fail(f"{words[0]} does not start")


def free_port() -> int:
    """Return a port that nobody listened at a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process listens; False if it has ended."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process.poll() is None
        time.sleep(0.05)
    return False


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- a server that fails on demand ------------------------------------------------------------------------

Fault = Callable[["Handler"], bool]
"""Does something in place of the answer, and tells whether that was all (else the answer follows)."""


@dataclass
class FakeS3:
    """Objects of one bucket in memory, and what to do wrong.

    `faults` are used up one a request, in order; requests behind them are answered well. Every request is
    noted as (method, key, range).
    """

    objects: dict[str, bytes]
    faults: list[Fault | None] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    page: int = 1000
    url: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, request: tuple[str, str, str]) -> Fault | None:
        with self.lock:
            self.requests.append(request)
            return self.faults.pop(0) if self.faults else None


class Handler(BaseHTTPRequestHandler):
    """Answers ListObjectsV2, GET (also with ranges) and PUT with If-None-Match, as S3 does."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: else Nagle and delayed ACKs add 40 ms to each answer.
    wbufsize = 65_536
    disable_nagle_algorithm = True
    fake: FakeS3
    cut_after: int | None = None
    behind: Fault | None = None
    etag: str | None = None

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def handle_expect_100(self) -> bool:
        """Say that the body may come, at once: the client waits a second for it."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_HEAD(self) -> None:
        self.send_error_xml(404, "NoSuchKey")

    def do_GET(self) -> None:
        self.cut_after = self.etag = None
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path[1:]).partition("/")
        wanted = self.headers.get("Range", "")
        fault = self.fake.next_fault(("GET", key, wanted.removeprefix("bytes=")))
        if fault is not None and fault(self):
            return
        if bucket != "logs":
            self.send_error_xml(404, "NoSuchBucket")
        elif not key:
            self.send_listing({name: values[0] for name, values in parse_qs(parts.query).items()})
        elif key not in self.fake.objects:
            self.send_error_xml(404, "NoSuchKey")
        elif not wanted:
            data = self.fake.objects[key]
            self.send_body(200, data, {"ETag": f'"{etag(data)}"'})
        else:
            self.send_range(self.fake.objects[key], wanted)

    def do_PUT(self) -> None:
        self.cut_after = self.behind = None
        data = self.rfile.read(int(self.headers["Content-Length"]))
        bucket, _, key = unquote(urlsplit(self.path).path[1:]).partition("/")
        fault = self.fake.next_fault(("PUT", key, ""))
        if fault is not None and fault(self):
            return
        if bucket != "logs":
            self.send_error_xml(404, "NoSuchBucket")
            return
        with self.fake.lock:
            refused = self.headers.get("If-None-Match") == "*" and key in self.fake.objects
            if not refused:
                self.fake.objects[key] = data
        if self.behind is not None:
            self.behind(self)
        elif refused:
            self.send_error_xml(412, "PreconditionFailed")
        else:
            self.send_body(200, b"", {"ETag": f'"{etag(data)}"'})

    def send_listing(self, query: dict[str, str]) -> None:
        after = query.get("continuation-token") or query.get("start-after") or ""
        keys = sorted(self.fake.objects, key=lambda key: key.encode())
        keys = [key for key in keys if key.startswith(query.get("prefix", "")) and key > after]
        shown = keys[: self.fake.page]
        more = len(keys) > len(shown)
        items = "".join(
            f"<Contents><Key>{quote(key)}</Key><Size>{len(self.fake.objects[key])}</Size>"
            f"<ETag>&quot;{etag(self.fake.objects[key])}&quot;</ETag>"
            "<LastModified>2024-05-02T03:04:05.678Z</LastModified></Contents>"
            for key in shown
        )
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        self.send_body(
            200,
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{items}</ListBucketResult>".encode(),
        )

    def send_range(self, data: bytes, wanted: str) -> None:
        if_match = self.headers.get("If-Match", "").strip('"')
        if if_match and if_match != etag(data):
            self.send_error_xml(412, "PreconditionFailed")
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        assert found is not None, wanted
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        headers = {
            "ETag": f'"{self.etag or etag(data)}"',
            "Content-Range": f"bytes {first}-{last}/{len(data)}",
            "Last-Modified": formatdate(0, usegmt=True),
        }
        self.send_body(206, data[first : last + 1], headers)

    def send_error_xml(
        self, status: int, code: str, more: str = "", headers: dict[str, str] | None = None
    ) -> None:
        secret = f"<Message>NOT-TO-BE-SHOWN {ACCESS_KEY}</Message><RequestId>REQUESTID</RequestId>"
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code>{secret}{more}</Error>".encode()
        self.send_body(status, b"" if self.command == "HEAD" else body, headers)

    def send_body(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.cut_after is None:
            self.wfile.write(body)
            return
        self.wfile.write(body[: self.cut_after])
        self.drop()

    def drop(self) -> None:
        """Cut the connection."""
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def etag(data: bytes) -> str:
    """Return what S3 gives an object that was put in one piece."""
    return hashlib.md5(data).hexdigest()


def answer(status: int, code: str, more: str = "", headers: dict[str, str] | None = None) -> Fault:
    """Answer with an error."""

    def fault(handler: Handler) -> bool:
        handler.send_error_xml(status, code, more, headers)
        return True

    return fault


def cut(after: int) -> Fault:
    """Promise the whole answer, send its first bytes, and cut the connection."""

    def fault(handler: Handler) -> bool:
        handler.cut_after = after
        return False

    return fault


def hang_up(handler: Handler) -> bool:
    """Cut the connection without a word."""
    handler.drop()
    return True


def behind(fault: Fault) -> Fault:
    """Do what a PUT asks for, and this instead of saying so."""

    def later(handler: Handler) -> bool:
        handler.behind = fault
        return False

    return later


def fall_silent(handler: Handler) -> bool:
    """Answer nothing, and keep the connection, until the test ends."""
    handler.fake.stop.wait(30)
    handler.close_connection = True
    return True


def talk_nonsense(handler: Handler) -> bool:
    """Answer as a web server that is no S3 does."""
    handler.send_body(200, b"<html><body>Welcome</body></html>")
    return True


@contextlib.contextmanager
def fake_s3(objects: dict[str, bytes], *faults: Fault | None, page: int = 1000) -> Iterator[FakeS3]:
    """Run a server with one bucket, ``logs``."""
    fake = FakeS3(objects, list(faults), page=page)

    class Bound(Handler):
        pass

    Bound.fake = fake
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    # A client that goes away in mid-answer is what is tested here: no tracebacks on standard error.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield fake
    finally:
        fake.stop.set()
        server.shutdown()
        thread.join()
        server.server_close()
