"""Asking web servers: what they do wrong becomes a sentence, within bounds, and no secret is shown."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import re
import ssl
import sys
import traceback
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from python.http_support import (
    NOTHING,
    RUBBISH,
    SILENCE,
    Answer,
    Request,
    http_server,
    ok,
    ok_gzip,
    ok_json,
    redirect,
    status,
)
from tickline.clients import http_answers
from tickline.clients.http import HttpClient, HttpError
from tickline.errors import TicklineError, UsageError

LIST = b"192.0.2.0/24\n198.51.100.0/24\n"
SECRET = "s3cr3t-t0ken"
HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the client see no settings of the person who runs the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Waits(list[float]):
    """Notes how long the client waits, and does not."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client(waits: Waits | None = None, **options: Any) -> HttpClient:
    """Return a client that does not wait between its attempts."""
    return HttpClient(wait=Waits() if waits is None else waits, **options)


def refused(answer: Answer, **options: Any) -> tuple[HttpError, int]:
    """Return what a client says of an answer, and how often it asked."""
    with http_server({"/list": answer}) as server, client(**options) as asking:
        with pytest.raises(HttpError) as caught:
            asking.get(f"{server.url}/list")
        assert caught.value.where == f"{server.url}/list"
        return caught.value, len(server.requests)


# ---- what is asked, and answered ---------------------------------------------------------------------------


def test_a_reply_is_what_the_server_sent() -> None:
    answer = ok(LIST, etag='"1"', last_modified="Wed, 01 May 2024 00:00:00 GMT")
    with http_server({"/list": answer}) as server, client(headers={"X-Mine": "yes"}) as asking:
        reply = asking.get(f"{server.url}/list?a=1", params={"b": "2 &"})
        assert (reply.status, reply.body, reply.etag) == (200, LIST, '"1"')
        assert reply.last_modified == "Wed, 01 May 2024 00:00:00 GMT"
        assert reply.url == f"{server.url}/list"
        (request,) = server.requests
    assert (request.method, request.query) == ("GET", {"a": "1", "b": "2 &"})
    assert request.headers["x-mine"] == "yes"
    assert request.headers["user-agent"].startswith("tickline/")
    assert "if-none-match" not in request.headers


@pytest.mark.parametrize("known", [{"etag": 'W/"1"'}, {"last_modified": "Wed, 01 May 2024 00:00:00 GMT"}])
def test_what_did_not_change_is_not_sent_again(known: dict[str, Any]) -> None:
    with http_server({"/list": ok(LIST, **known)}) as server, client() as asking:
        assert (asking.get(f"{server.url}/list", **known).status) == 304
        assert asking.get(f"{server.url}/list", **known).body == b""
        changed = asking.get(f"{server.url}/list", **dict.fromkeys(known, "other"))
    assert (changed.status, changed.body) == (200, LIST)


def test_a_condition_that_cannot_be_sent_is_none() -> None:
    with http_server({"/list": ok(LIST, etag='"1"')}) as server, client() as asking:
        assert asking.get(f"{server.url}/list", etag='"1"\r\nX-Evil: 1', last_modified="é").status == 200
        assert not {"if-none-match", "if-modified-since", "x-evil"} & server.requests[0].headers.keys()


def test_304_without_a_condition_is_no_answer() -> None:
    error, asked = refused(status(304))
    assert (error.status, asked) == (304, 1)


def test_json_is_understood() -> None:
    with http_server({"/v": ok_json({"a": [1, "ü"]})}) as server, client() as asking:
        assert asking.get_json(f"{server.url}/v", params={"q": "1"}) == {"a": [1, "ü"]}
        assert server.requests[0].query == {"q": "1"}


@pytest.mark.parametrize("answer", [RUBBISH, ok(b""), ok(b'{"a": 1'), ok(b"\xff"), ok(b"[" * 100_000)])
def test_rubbish_is_no_json(answer: Answer) -> None:
    with http_server({"/v": answer}) as server, client() as asking:
        with pytest.raises(HttpError, match="the answer is no JSON"):
            asking.get_json(f"{server.url}/v")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer", [ok_gzip(LIST), ok_gzip(LIST, framing="chunked"), ok(LIST, framing="chunked"), ok(b"")]
)
def test_bodies_come_in_several_wrappings(answer: Answer) -> None:
    with http_server({"/list": answer}) as server, client() as asking:
        assert asking.get(f"{server.url}/list").body == (LIST if answer.body else b"")


# ---- further attempts --------------------------------------------------------------------------------------

PASSING = {
    "429": status(429),
    "408": status(408),
    "500": status(500, b"secret stack trace"),
    "503": status(503),
    "403 with a pause": status(403, Retry_After="1"),
    "nothing": NOTHING,
    "cut": ok(LIST, cut_after=20),
    "cut at the beginning": ok(LIST, cut_after=0),
    "cut chunks": ok(LIST, framing="chunked", cut_after=20),
    "half of gzip": ok_gzip(LIST).but(body=ok_gzip(LIST).body[:20]),
    "damaged gzip": ok_gzip(LIST).but(body=b"no gzip"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_asked_for_again(name: str) -> None:
    waits = Waits()
    with http_server({"/list": [PASSING[name], ok(LIST)]}) as server, client(waits) as asking:
        assert asking.get(f"{server.url}/list").body == LIST
    assert waits == ([1.0] if "pause" in name else [0.5])


@pytest.mark.parametrize("name", PASSING)
def test_what_does_not_pass_becomes_a_sentence(name: str) -> None:
    error, asked = refused(PASSING[name], retries=2)
    assert asked == 3
    assert error.what.endswith("(3 attempts)")
    assert error.hint
    assert "Run it again later" in error.hint
    assert error.status == (int(name[:3]) if name[:3].isdigit() else None)


def test_one_attempt_is_not_counted() -> None:
    error, asked = refused(status(503), retries=0)
    assert (error.what, asked) == ("the server answered 503", 1)


def test_pauses_grow_to_a_bound() -> None:
    waits = Waits()
    refused(status(500), retries=8, waits=waits)
    assert waits == [0.5, 1, 2, 4, 8, 16, 20, 20]


def test_a_server_says_how_long_to_wait() -> None:
    day = "Wed, 01 May 2024 "
    answers = [
        status(429, Retry_After="7"),
        status(503, Retry_After=day + "00:01:30 GMT", Date=day + "00:00:00 GMT"),
        status(503, Retry_After=day + "00:00:00 GMT", Date=day + "00:01:00 GMT"),
        status(503, Retry_After="soon"),
        ok(LIST),
    ]
    waits = Waits()
    with http_server({"/list": answers}) as server, client(waits) as asking:
        assert asking.get(f"{server.url}/list").body == LIST
    assert waits == [7.0, 90.0, 0.0, 4.0]


def test_a_long_pause_is_left_to_the_user() -> None:
    waits = Waits()
    error, asked = refused(status(429, Retry_After="3600"), waits=waits)
    assert (asked, waits, error.status) == (1, [], 429)
    assert error.hint == "Run it again in 3,600 seconds, as the server asks."


@given(st.text() | st.integers().map(str) | st.from_regex(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d.*"))
def test_any_retry_after_is_a_pause_or_none(text: str) -> None:
    pause = http_answers._retry_after({"Retry-After": text, "Date": "Wed, 01 May 2024 00:00:00 GMT"})
    assert pause is None or pause >= 0


@pytest.mark.parametrize("code", [201, 204, 206, 400, 401, 403, 404, 410, 418])
def test_what_another_attempt_does_not_change_is_asked_for_once(code: int) -> None:
    error, asked = refused(status(code))
    assert (error.status, asked) == (code, 1)
    assert str(code) in error.what


# ---- bounds ------------------------------------------------------------------------------------------------


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    error, asked = refused(SILENCE, timeout_s=0.1, retries=1)
    assert (error.what, asked) == ("did not answer in time (2 attempts)", 2)


def test_nobody_listens() -> None:
    with http_server() as server:
        url = server.url
    with client(retries=1) as asking, pytest.raises(HttpError, match=r"cannot be reached \(2 attempts\)"):
        asking.get(url)


@pytest.mark.parametrize(
    "drip",
    [b"HTTP/1.1 200 OK\r\nX-A: ", b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"],
    ids=["head", "body"],
)
def test_an_answer_that_drips_has_an_end(drip: bytes) -> None:
    error, asked = refused(Answer(drip=drip), timeout_s=5, whole_s=0.3, retries=1)
    assert (error.what, asked) == ("the answer took longer than 0.3 s in all (2 attempts)", 2)


@pytest.mark.parametrize(
    "answer",
    [ok(b"x" * 1001), ok(b"x" * 1001, framing="chunked"), ok_gzip(b"x" * 1001), ok_gzip(bytes(30 * 2**20))],
)
def test_a_body_that_is_too_large_is_refused(answer: Answer) -> None:
    error, asked = refused(answer, most_bytes=1000)
    assert (error.what, asked) == ("the answer is larger than 1,000 bytes", 1)


def test_a_compressed_body_is_not_unfolded_beyond_the_bound() -> None:
    with http_server({"/list": ok_gzip(bytes(60 * 2**20))}) as server, client(most_bytes=1000) as asking:
        tracemalloc.start()
        with pytest.raises(HttpError, match="larger than 1,000 bytes"):
            asking.get(f"{server.url}/list")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 10 * 2**20


def test_a_body_may_be_as_large_as_allowed() -> None:
    for answer in (ok(b"x" * 1000), ok_gzip(b"x" * 1000)):
        with http_server({"/list": answer}) as server, client(most_bytes=1000) as asking:
            assert len(asking.get(f"{server.url}/list").body) == 1000


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (ok(LIST, framing="close"), "does not say how long its answer is"),
        (ok(LIST, headers={"Content-Encoding": "br"}), "compressed in a way that was not asked for"),
    ],
)
def test_a_body_of_which_nobody_knows_whether_it_is_whole_is_refused(answer: Answer, what: str) -> None:
    error, asked = refused(answer)
    assert what in error.what
    assert asked == 1


# ---- redirects ---------------------------------------------------------------------------------------------


def test_redirects_are_followed_as_far_as_five() -> None:
    chain = {f"/{number}": redirect(f"/{number + 1}", 307) for number in range(6)}
    with http_server({**chain, "/5": ok(LIST)}) as server, client() as asking:
        assert asking.get(f"{server.url}/0?t=1").url == f"{server.url}/5"
        assert len(server.requests) == 6
        server.scripts["/5"] = redirect("/0")
        with pytest.raises(HttpError, match="leads on more than 5 times"):
            asking.get(f"{server.url}/0")


def test_an_own_header_is_not_sent_to_another_server() -> None:
    own = {"Authorization": f"token {SECRET}", "X-Key": SECRET}
    with http_server({"/end": ok(LIST)}) as other, client(headers=own) as asking:
        scripts = {"/away": redirect(f"{other.url}/end"), "/here": redirect("/end"), "/end": ok(LIST)}
        with http_server(scripts) as server:
            asking.get(f"{server.url}/away", etag='"0"')
            asking.get(f"{server.url}/here")
            assert [request.headers["x-key"] for request in server.requests] == [SECRET] * 3
        (request,) = other.requests
    assert SECRET not in str(request)
    assert request.headers["if-none-match"] == '"0"'


@pytest.mark.parametrize(
    ("here", "target"),
    [
        ("https://example.org/a", "http://example.org/a"),
        ("https://example.org/a", "http://127.0.0.1/a"),
        ("https://example.org/a", "https://127.0.0.1/a"),
        ("https://example.org/a", "https://[::1]/a"),
        ("https://example.org/a", "https://localhost/a"),
        ("https://example.org/a", f"https://user:{SECRET}@example.org/a"),
        ("https://example.org/a", "ftp://example.org/a"),
        ("https://example.org/a", "file:///etc/passwd"),
        ("https://example.org/a", "https://exa\0mple.org/"),
        ("http://127.0.0.1/a", "http://192.0.2.1/a"),
        ("https://example.org/a", None),
    ],
)
def test_a_redirect_leads_neither_inward_nor_to_plain_http(here: str, target: str | None) -> None:
    headers = {} if target is None else {"Location": target}
    response = httpx.Response(302, headers=headers, request=httpx.Request("GET", here + "?q=" + SECRET))
    with pytest.raises(HttpError) as caught:
        http_answers.next_address(response)
    assert (caught.value.where, caught.value.status) == (here, 302)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("https://example.com/b?t=1", "https://example.com/b?t=1"),
        ("/b", "https://example.org/b"),
        ("//example.com/b", "https://example.com/b"),
    ],
)
def test_a_redirect_to_https_is_followed(target: str, expected: str) -> None:
    request = httpx.Request("GET", "https://example.org/a")
    response = httpx.Response(302, headers={"Location": target}, request=request)
    assert http_answers.next_address(response) == httpx.URL(expected)


# ---- addresses and settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/list",
        "http://192.0.2.1/list",
        "http://127.0.0.1.example.org/list",
        f"https://user:{SECRET}@example.org/",
        f"https://{SECRET}@example.org/",
        "https:///list",
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "/etc/passwd",
        "",
        "https://example.org:port/",
        "https://exa mple.org/\0",
    ],
)
def test_addresses_that_are_not_asked(url: str) -> None:
    with client() as asking, pytest.raises(UsageError) as caught:
        asking.get(url)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@given(st.text() | st.text().map("https://{}".format) | st.text().map("http://127.0.0.1{}".format))
def test_any_address_is_one_or_is_refused(text: str) -> None:
    try:
        address = http_answers.parse_address(text)
    except UsageError:
        return
    assert address.scheme == "https" or re.fullmatch(r"127(\.\d+){3}|localhost|::1", address.host)
    assert not address.userinfo
    assert http_answers.shown(address).isascii()


@pytest.mark.parametrize("value", ["", f"{SECRET}\n", f" {SECRET}", f"{SECRET}é", f"a\r\nX: {SECRET}"])
def test_headers_that_cannot_be_sent_are_refused_without_being_shown(value: str) -> None:
    with pytest.raises(UsageError, match="header Authorization") as caught:
        HttpClient(headers={"Authorization": value})
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_no_proxy_stands_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server() as gone:
        dead = gone.url
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, dead)
    with http_server({"/list": ok(LIST)}) as server, client(retries=0) as asking:
        assert asking.get(f"{server.url}/list").body == LIST
        with pytest.raises(HttpError, match="cannot be reached"):
            asking.get("https://example.org/list")


def test_a_proxy_that_cannot_be_one_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"gopher://user:{SECRET}@proxy:1")
    with pytest.raises(TicklineError, match="HTTPS_PROXY") as caught:
        HttpClient()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_without_httpx_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(TicklineError, match=r"tickline\[dandi\]"):
        HttpClient()


# ---- secrets -----------------------------------------------------------------------------------------------


def _echo(request: Request) -> Answer:
    return status(500, repr(request).encode(), X_Echo=SECRET)


@pytest.mark.parametrize(
    "answer",
    [
        status(401, SECRET.encode()),
        _echo,
        NOTHING,
        SILENCE,
        ok(LIST, cut_after=3),
        redirect("ftp://x/?" + SECRET),
    ],
    ids=["401", "echo", "nothing", "silence", "cut", "redirect"],
)
def test_nothing_secret_is_in_messages_tracebacks_and_logs(
    answer: Answer | Callable[[Request], Answer], caplog: pytest.LogCaptureFixture
) -> None:
    own = {"Authorization": f"token {SECRET}"}
    with (
        caplog.at_level(logging.INFO),
        http_server({"/list": answer, "/good": ok(LIST)}) as server,
        client(headers=own, timeout_s=0.2, retries=1) as asking,
    ):
        asking.get(f"{server.url}/good?key={SECRET}")
        with pytest.raises(HttpError) as caught:
            asking.get(f"{server.url}/list?key={SECRET}", params={"more": SECRET})
        assert server.requests[-1].query == {"key": SECRET, "more": SECRET}
        assert SECRET not in f"{caught.value} {caught.value!r} {asking!r}"
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert f"{server.url}/good" in caplog.text
    assert SECRET not in caplog.text


# ---- certificates ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for 127.0.0.1 that nobody trusts."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tickline tests")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return folder / "cert.pem", context


def test_a_certificate_that_nobody_trusts_is_refused_at_once(
    certificate: tuple[Path, ssl.SSLContext],
) -> None:
    waits = Waits()
    with http_server({"/list": ok(LIST)}, tls=certificate[1]) as server, client(waits) as asking:
        with pytest.raises(HttpError, match="no certificate that this machine trusts"):
            asking.get(f"{server.url}/list")
        assert server.requests == []
    assert waits == []


def test_bounds_hold_behind_tls(
    certificate: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    endless = Answer(drip=b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
    scripts = {"/list": ok(LIST), "/drip": endless, "/out": redirect("http://192.0.2.1/")}
    with (
        http_server(scripts, tls=certificate[1]) as server,
        client(timeout_s=5, whole_s=0.5, retries=1) as asking,
    ):
        with pytest.raises(HttpError, match=r"took longer than 0.5 s in all \(2 attempts\)"):
            asking.get(f"{server.url}/drip")
        with pytest.raises(HttpError, match="not followed"):
            asking.get(f"{server.url}/out")
        assert asking.get(f"{server.url}/list").body == LIST
