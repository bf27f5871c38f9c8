"""Listing and reading S3: whole and in order, over errors, cuts and changes, in bounded memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python.s3_support import (
    ACCESS_KEY,
    SECRET_KEY,
    Fault,
    Handler,
    answer,
    cut,
    etag,
    fake_s3,
    fall_silent,
    hang_up,
    moto,
    sdk,
    set_environment,
    talk_nonsense,
    versitygw,
)
from tickline.clients import s3
from tickline.clients.s3 import S3Client, S3Location, S3Object, S3Reader
from tickline.clients.s3_errors import endpoint_name
from tickline.errors import SourceError, TicklineError, UsageError

BODY = random.Random(7).randbytes(100_000)
LOGS = S3Location("logs", "")
# What keys may hold and URLs, XML and shells do not like.
ODD_KEYS = [
    "plain.log",
    "a b.log",
    "a+b.log",
    "a%20b.log",
    "100%.log",
    "ü/日本/🙂.log",
    "x&y<z>'\".log",
    "q?x=1#frag.log",
    "back\\slash.log",
    "dots/../up.log",
    "a//b.log",
    "tab\there.log",
]


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    with moto() as url:
        yield url


def quick(**more: Any) -> S3Client:
    """A client with small pieces and short pauses."""
    return S3Client(**{"piece_bytes": 10_000, "backoff_s": 0.001, "read_timeout_s": 10.0, **more})


def listed(key: str, data: bytes, bucket: str = "logs") -> S3Object:
    return S3Object(bucket, key, len(data), etag(data), 0)


def drain(reader: S3Reader) -> None:
    while reader.read(10_000):
        pass


def read_all(client: S3Client, item: S3Object, step: int = 7777, start: int = 0) -> bytes:
    with client.open(item, start=start) as reader:
        pieces = []
        while piece := reader.read(step):
            pieces.append(piece)
        assert reader.bytes_taken == sum(map(len, pieces))
        return b"".join(pieces)


def error_of(
    patch: pytest.MonkeyPatch, *faults: Fault | None, objects: dict[str, bytes] | None = None, **more: Any
) -> SourceError:
    """Read the object ``a.log`` from a server that fails so, and return what is said."""
    with fake_s3({"a.log": BODY} if objects is None else objects, *faults) as fake:
        set_environment(patch, fake.url)
        with quick(**more) as client, pytest.raises(SourceError) as caught:
            read_all(client, listed("a.log", BODY))
    assert_no_secrets(caught.value)
    return caught.value


def assert_no_secrets(error: TicklineError) -> None:
    for word in ("NOT-TO-BE-SHOWN", "REQUESTID", ACCESS_KEY, SECRET_KEY, "Signature=", "http://"):
        assert word not in str(error)


# ---- addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://b1/x/y", "b1", "x/y"),
        ("s3://logs", "logs", ""),
        ("s3://logs/", "logs", ""),
        ("s3://a.b-c_d//x", "a.b-c_d", "/x"),
        ("s3://logs/a b+%20?*#", "logs", "a b+%20?*#"),
    ],
)
def test_an_address_is_bucket_and_literal_prefix(text: str, bucket: str, prefix: str) -> None:
    place = S3Location.parse(text)
    assert (place.bucket, place.prefix) == (bucket, prefix)


@pytest.mark.parametrize(
    "text",
    ["s3://", "s3:///x", "s3:/logs/x", "S3://logs/x", "s3://lo gs/x", "s3://-x/y", "s3://x/"]
    + ["s3://arn:aws:s3:::logs/x", "s3://käse/x", "s3://b:9000/x", "https://logs/x"],
)
def test_an_odd_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        S3Location.parse(text)


def test_a_password_in_an_address_is_not_repeated() -> None:
    for text in ("s3://me:hunter2@logs/x", "S3://me:hunter2@logs/x"):
        with pytest.raises(UsageError) as caught:
            S3Location.parse(text)
        assert "hunter2" not in str(caught.value)
    assert endpoint_name("https://me:hunter2@host:9000/x?y") == "host:9000"
    assert "hunter2" not in endpoint_name("https://me:hunter2@host:port")


# ---- a real server: moto, versitygw -----------------------------------------------------------------------


def test_more_than_a_thousand_keys_are_listed_in_order(
    moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, moto_url)
    keys = [f"many/{number * 7919 % 1050:05d}" for number in range(1050)]
    with sdk(moto_url) as server:
        server.create_bucket(Bucket="many")
        for key in keys:
            server.put_object(Bucket="many", Key=key, Body=key.encode())
    with quick() as client:
        found = list(client.list(S3Location("many", "many/")))
        assert [item.key for item in found] == sorted(keys)
        assert [item.key for item in client.list(S3Location("many", "many/0104"))] == sorted(keys)[-10:]
        assert list(client.list(S3Location("many", "none/"))) == []
        behind = client.list(S3Location("many", "many/"), after="many/01034")
        assert [item.key for item in behind] == sorted(keys)[1035:]
    first = found[0]
    assert (first.url, first.size, first.etag) == ("s3://many/many/00000", 10, etag(b"many/00000"))
    assert abs(first.modified_ms / 1000 - time.time()) < 600


def test_odd_keys_are_listed_and_read(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, moto_url)
    with sdk(moto_url) as server:
        server.create_bucket(Bucket="odd")
        for key in ODD_KEYS:
            server.put_object(Bucket="odd", Key=key, Body=key.encode())
    with quick(piece_bytes=3) as client:
        found = list(client.list(S3Location("odd", "")))
        assert [item.key for item in found] == sorted(ODD_KEYS, key=str.encode)
        assert [read_all(client, item) for item in found] == [item.key.encode() for item in found]
        assert [item.key for item in client.list(S3Location("odd", "a+"))] == ["a+b.log"]


def test_objects_are_read_whole_whatever_their_size(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, moto_url)
    sizes = [0, 1, 9_999, 10_000, 10_001, 20_000, 99_999]
    with sdk(moto_url) as server:
        server.create_bucket(Bucket="sizes")
        for size in sizes:
            server.put_object(Bucket="sizes", Key=str(size), Body=BODY[:size])
    with quick() as client:
        for item in client.list(S3Location("sizes", "")):
            assert read_all(client, item) == BODY[: item.size]
            assert read_all(client, item, step=1_000_000) == BODY[: item.size]
            assert read_all(client, item, start=item.size // 3) == BODY[item.size // 3 : item.size]


def test_a_bucket_that_is_not_there_is_named(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, moto_url)
    with quick() as client, pytest.raises(SourceError) as caught:
        list(client.list(S3Location("nowhere", "x")))
    assert "s3://nowhere/x: there is no such bucket (404 NoSuchBucket)." in str(caught.value)


def test_an_object_that_changes_while_it_is_read_is_an_error(
    moto_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, moto_url)
    with sdk(moto_url) as server:
        server.create_bucket(Bucket="changes")
        server.put_object(Bucket="changes", Key="a.log", Body=BODY)
        with quick() as client:
            (item,) = client.list(S3Location("changes", ""))
            with client.open(item) as reader:
                assert reader.read(10) == BODY[:10]
                server.put_object(Bucket="changes", Key="a.log", Body=BODY[::-1])
                with pytest.raises(SourceError, match="was changed while it was read"):
                    drain(reader)


def test_versitygw_is_listed_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A file system lies below it: no empty parts, no ...
    keys = [key for key in ODD_KEYS if "//" not in key and ".." not in key]
    with versitygw(tmp_path) as url, sdk(url) as server:
        set_environment(monkeypatch, url)
        server.create_bucket(Bucket="logs")
        for key in keys:
            server.put_object(Bucket="logs", Key=key, Body=BODY)
        with quick() as client:
            found = list(client.list(LOGS))
            assert sorted(item.key for item in found) == sorted(keys)
            assert all(read_all(client, item) == BODY for item in found)
            server.put_object(Bucket="logs", Key="plain.log", Body=b"new")
            (old,) = (item for item in found if item.key == "plain.log")
            with pytest.raises(SourceError, match="was changed while it was read"):
                read_all(client, old)
            server.delete_object(Bucket="logs", Key="plain.log")
            with pytest.raises(SourceError, match="does not exist any more"):
                read_all(client, old)
            with pytest.raises(SourceError, match="no such bucket"):
                list(client.list(S3Location("nowhere", "")))


def test_wrong_credentials_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with versitygw(tmp_path) as url, sdk(url) as server:
        server.create_bucket(Bucket="logs")
        cases = [
            ({"AWS_SECRET_ACCESS_KEY": "wrong" * 8}, "the secret key does not belong to the access key (403"),
            # AWS answers 403 InvalidAccessKeyId here.
            ({"AWS_ACCESS_KEY_ID": "AKIANOBODYNOBODYNOBO"}, "the access key is not known there (404"),
        ]
        for settings, sentence in cases:
            set_environment(monkeypatch, url, **settings)
            with quick() as client, pytest.raises(SourceError) as caught:
                list(client.list(LOGS))
            assert sentence in str(caught.value)
            assert_no_secrets(caught.value)
            assert settings.popitem()[1] not in str(caught.value)
        set_environment(monkeypatch, url)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with quick() as client, pytest.raises(SourceError, match="without credentials, and none were found"):
            list(client.list(LOGS))


# ---- what fails and passes --------------------------------------------------------------------------------


def test_errors_that_pass_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [
        answer(503, "SlowDown"),
        answer(500, "InternalError"),
        answer(429, "TooManyRequests"),
        answer(400, "RequestTimeout"),
        hang_up,
        None,
        answer(503, "ServiceUnavailable"),
        cut(0),
        cut(4321),
    ]
    with fake_s3({"a.log": BODY}, *faults) as fake:
        set_environment(monkeypatch, fake.url)
        # Two requests at a time share the faults: all may meet one of them.
        with quick(attempts=len(faults) + 1) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY
    assert not fake.faults


def test_reading_goes_on_at_the_byte_where_the_connection_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": BODY}, cut(30_000), cut(70_000 - 100), cut(0)) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(piece_bytes=1_000_000) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY
    # What lies behind the last whole block of 64 KiB may be asked for again.
    begins = [int(wanted.partition("-")[0]) for _, _, wanted in fake.requests]
    assert begins[0] == 0
    assert begins == sorted(begins)
    assert begins[-1] >= 65_536


def test_a_connection_that_drips_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(handler: Handler) -> bool:
        handler.send_response(206)
        for name, value in {
            "Content-Length": len(BODY),
            "Content-Range": f"bytes 0-99999/{len(BODY)}",
        }.items():
            handler.send_header(name, str(value))
        handler.send_header("ETag", f'"{etag(BODY)}"')
        handler.end_headers()
        # A block of 64 KiB that takes too long, and more to come, so slowly that no time-out strikes.
        for begin in range(0, 70_000, 7_000):
            handler.wfile.write(BODY[begin : begin + 7_000])
            handler.wfile.flush()
            if handler.fake.stop.wait(0.05):
                break
        handler.drop()
        return True

    monkeypatch.setattr(s3, "_PIECE_SECONDS", 0.2)
    with fake_s3({"a.log": BODY}, drip) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(piece_bytes=10**6) as client:
            assert client.fetch(listed("a.log", BODY), 0, 10**5) == BODY
    assert [wanted for _, _, wanted in fake.requests] == ["0-99999", "65536-99999"]


def test_it_gives_up_after_so_many_attempts_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": BODY}, *[answer(503, "SlowDown")] * 99) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(attempts=4) as client, pytest.raises(SourceError) as caught:
            read_all(client, listed("a.log", BODY[:100]))
        assert len(fake.requests) == 4
        assert "answered 503 SlowDown each time (4 attempts). Run it again later" in str(caught.value)
        fake.requests.clear()
        set_environment(monkeypatch, fake.url, AWS_MAX_ATTEMPTS="2")
        with quick() as client, pytest.raises(SourceError):
            list(client.list(LOGS))
        assert len(fake.requests) == 2


def test_attempts_that_bring_something_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    body = BODY * 20
    with fake_s3({"a.log": body}, *[cut(300_000)] * 6) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(attempts=2, piece_bytes=10**8) as client:
            assert read_all(client, listed("a.log", body)) == body


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (answer(500, "InternalError"), "answered 500 InternalError each time"),
        (hang_up, "cut the connection or sent less than it promised"),
        (cut(5), "cut the connection or sent less than it promised"),
        (fall_silent, "did not answer in time"),
    ],
)
def test_what_does_not_pass_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, sentence: str
) -> None:
    error = error_of(monkeypatch, *[fault] * 99, attempts=2, read_timeout_s=0.2)
    assert sentence in error.what
    assert error.what.endswith("(2 attempts)")
    assert error.where == "s3://logs/a.log"
    assert "127.0.0.1:" in error.what


@pytest.mark.parametrize(
    ("fault", "what", "hint"),
    [
        (answer(403, "AccessDenied"), "may not be read (403 AccessDenied)", "s3:GetObject"),
        (answer(403, "ExpiredToken"), "the session token has expired (403 ExpiredToken)", "aws sso login"),
        (answer(403, "InvalidAccessKeyId"), "the access key is not known there", "AWS_PROFILE"),
        (answer(403, "RequestTimeTooSkewed"), "clock differs", "Set the clock"),
        (answer(403, "InvalidObjectState"), "archive storage class", "restore-object"),
        (answer(404, "NoSuchKey"), "does not exist any more", "next run"),
        (answer(412, "PreconditionFailed"), "was changed while it was read", "Run it again"),
        (answer(416, "InvalidRange"), "was changed while it was read", "Run it again"),
        (answer(400, "Mystery"), "refused the request (400 Mystery)", ""),
        (answer(400, "NOT-TO-BE-SHOWN"), "refused the request (400)", ""),
    ],
)
def test_a_refusal_is_a_sentence_at_once(
    monkeypatch: pytest.MonkeyPatch, fault: Fault, what: str, hint: str
) -> None:
    error = error_of(monkeypatch, fault)
    assert what in error.what
    assert hint in (error.hint or "")


def test_another_region_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for headers in ({"x-amz-bucket-region": "eu-west-1"}, {}):
        fault = answer(301, "PermanentRedirect", headers=headers)
        error = error_of(monkeypatch, *[fault] * 9)
        assert "the bucket lies in another region" in error.what
        assert ("eu-west-1" in str(error)) == bool(headers)
    more = "<Region>eu-central-1</Region>"
    error = error_of(monkeypatch, *[answer(400, "AuthorizationHeaderMalformed", more)] * 9)
    assert "AWS_DEFAULT_REGION=eu-central-1" in str(error)


def test_a_listing_that_is_refused_names_its_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({}, answer(403, "AccessDenied"), *[talk_nonsense] * 9) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(attempts=2) as client:
            with pytest.raises(SourceError, match=r"The credentials need s3:ListBucket\.$"):
                list(client.list(LOGS))
            with pytest.raises(SourceError, match="does not answer as S3 does"):
                list(client.list(LOGS))
            assert len(fake.requests) == 3


def test_a_listing_goes_on_where_a_page_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {f"{number:04d}": b"x" for number in range(95)}
    faults = [None, cut(40), answer(503, "SlowDown"), None, hang_up, talk_nonsense]
    with fake_s3(objects, *faults, page=10) as fake:
        set_environment(monkeypatch, fake.url)
        with quick() as client:
            assert [item.key for item in client.list(LOGS)] == list(objects)
    assert len(fake.requests) == 10 + 4


def test_a_server_that_ignores_conditions_or_ranges_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def other_version(handler: Handler) -> bool:
        handler.etag = "0" * 32
        return False

    def whole(handler: Handler) -> bool:
        handler.send_body(200, BODY, {"ETag": f'"{etag(BODY)}"'})
        return True

    def longer(handler: Handler) -> bool:
        headers = {"ETag": f'"{etag(BODY)}"', "Content-Range": f"bytes 0-9999/{len(BODY) + 1}"}
        handler.send_body(206, BODY[:10_000], headers)
        return True

    assert "was changed" in error_of(monkeypatch, other_version).what
    assert "was changed" in error_of(monkeypatch, longer).what
    assert "does not send the range" in error_of(monkeypatch, whole).what
    with fake_s3({"a.log": BODY}, whole) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(piece_bytes=10**6) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY


def test_every_request_names_the_version_that_was_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def note(handler: Handler) -> bool:
        seen.append(handler.headers.get("If-Match"))
        return False

    with fake_s3({"a.log": BODY}, note, note, note) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(piece_bytes=40_000) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY
    assert seen == [f'"{etag(BODY)}"'] * 3


def test_a_checksum_that_does_not_fit_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(handler: Handler) -> bool:
        headers = {
            "ETag": f'"{etag(BODY)}"',
            "x-amz-checksum-crc32": "AAAAAA==",
            "Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}",
        }
        handler.send_body(206, BODY[::-1], headers)
        return True

    with fake_s3({"a.log": BODY}, damaged) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(piece_bytes=10**6) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY
    assert len(fake.requests) == 2


# ---- settings ---------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({}) as fake:
        address = fake.url.removeprefix("http://")
    set_environment(monkeypatch, fake.url)
    with quick(attempts=2) as client, pytest.raises(SourceError) as caught:
        list(client.list(LOGS))
    assert f"s3://logs/: {address} cannot be reached (2 attempts)." in str(caught.value)
    assert "AWS_ENDPOINT_URL" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("AWS_ENDPOINT_URL", "no address", "the address of the S3 server is not valid"),
        ("AWS_MAX_ATTEMPTS", "many", "AWS_MAX_ATTEMPTS: is no number"),
        ("AWS_PROFILE", "nobody", "the profile that AWS_PROFILE names does not exist"),
        ("AWS_DEFAULT_REGION", "no region!", "the SDK refuses its settings"),
    ],
)
def test_settings_that_do_not_fit_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    set_environment(monkeypatch, None, **{name: value})
    with pytest.raises(TicklineError) as caught:
        S3Client().close()
    assert sentence in str(caught.value)


def test_half_a_pair_of_credentials_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, None)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TicklineError, match="the credentials for S3 could not be had"):
        S3Client().close()


def test_public_buckets_are_read_without_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def note(handler: Handler) -> bool:
        seen.append(handler.headers.get("Authorization"))
        return False

    with fake_s3({"a.log": BODY}, note, note) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(piece_bytes=10**6) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        with quick(piece_bytes=10**6) as client:
            assert read_all(client, listed("a.log", BODY)) == BODY
    signed, unsigned = seen
    assert signed is not None
    assert unsigned is None


def test_a_missing_boto3_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(TicklineError, match=r"pip install 'tickline\[s3\]'"):
        S3Client()


def test_importing_the_client_does_not_import_boto3() -> None:
    code = "import sys, tickline.clients.s3; assert not {'boto3', 'botocore'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_closing_ends_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": BODY}, *[answer(503, "SlowDown")] * 99) as fake:
        set_environment(monkeypatch, fake.url)
        began = time.monotonic()
        with quick(backoff_s=60.0) as client:
            closer = threading.Timer(0.3, client.close)
            closer.start()
            # Both requests fail, and their threads are in long pauses.
            with pytest.raises(SourceError, match="503"):
                drain(client.open(listed("a.log", BODY)))
            closer.join()
        assert time.monotonic() - began < 15


def test_closing_ends_a_piece_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytes(10**8)

    def drip(handler: Handler) -> bool:
        handler.send_response(206)
        headers = {"Content-Length": len(body), "Content-Range": f"bytes 0-{len(body) - 1}/{len(body)}"}
        for name, value in headers.items():
            handler.send_header(name, str(value))
        handler.end_headers()
        while not handler.fake.stop.wait(0.02):
            handler.wfile.write(body[:70_000])
            handler.wfile.flush()
        return True

    with fake_s3({"a.log": body}, drip) as fake:
        set_environment(monkeypatch, fake.url)
        began = time.monotonic()
        with quick() as client:
            closer = threading.Timer(0.3, client.close)
            closer.start()
            with pytest.raises(SourceError):
                client.fetch(S3Object("logs", "a.log", len(body), "", 0), 0, len(body))
            closer.join()
        # All of it would take 28 s.
        assert time.monotonic() - began < 10


def test_a_reader_of_a_closed_client_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": BODY}) as fake:
        set_environment(monkeypatch, fake.url)
        with quick(threads=1) as client:
            readers = [client.open(listed("a.log", BODY)) for _ in range(3)]
            for reader in readers:
                reader.read(1)
            # The only thread is busy: what the second reader waits for is never begun.
            busy = threading.Event()
            client.pool.submit(busy.wait, 10)
            assert len(readers[1].read(10_000)) == 9_999
            readers[1].read(10_000)
            closer = threading.Timer(0.1, client.close)
            closer.start()
            threading.Timer(0.4, busy.set).start()
            with pytest.raises(SourceError, match="closed while it was read"):
                drain(readers[1])
            closer.join()
            with pytest.raises(SourceError, match="closed while it was read"):
                drain(readers[2])


def test_no_region_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": BODY}) as fake:
        set_environment(monkeypatch, fake.url)
        monkeypatch.delenv("AWS_DEFAULT_REGION")
        with quick() as client:
            assert [item.key for item in client.list(LOGS)] == ["a.log"]
    set_environment(monkeypatch, None)
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    S3Client().close()


# ---- memory -----------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_object(moto_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, moto_url)
    size = 96 * 2**20
    with sdk(moto_url) as server:
        server.create_bucket(Bucket="large")
        server.put_object(Bucket="large", Key="a.log", Body=bytes(2**20) * (size // 2**20))
    code = textwrap.dedent(
        """
        def peak_kib():  # ru_maxrss begins with what the parent had
            with open("/proc/self/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        from tickline.clients.s3 import S3Client, S3Location
        with S3Client() as client:
            (item,) = client.list(S3Location("large", ""))
            before = peak_kib()
            taken = 0
            with client.open(item) as reader:
                while data := reader.read(2**20):
                    taken += len(data)
            print(taken, peak_kib() - before)
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        check=True,
        timeout=300,
        env=os.environ,
    )
    taken, grown_kib = map(int, done.stdout.split())
    assert taken == size
    # Two pieces of 8 MiB, and what is copied on the way.
    assert grown_kib < 48 * 1024


def test_a_reader_fetches_one_piece_ahead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": BODY}) as fake:
        set_environment(monkeypatch, fake.url)
        with quick() as client:
            with client.open(listed("a.log", BODY)) as reader:
                assert fake.requests == []
                for _ in range(10):
                    assert len(reader.read(1000)) == 1000
                client.pool.submit(int).result()
            time.sleep(0.05)
            assert sorted(wanted for _, _, wanted in fake.requests) == ["0-9999", "10000-19999"]
    assert s3.PIECE_BYTES == 8 * 2**20
