"""Bad days of a store in S3: a sentence, nothing lost, the next run goes on; each line once in the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from python.archive_s3_support import close_stores, s3_config, s3_store  # noqa: F401
from python.archive_support import Chronyd, Clock, archived_lines, chunks, flaws, run
from python.s3_support import (
    ACCESS_KEY,
    SECRET_KEY,
    FakeS3,
    Fault,
    Handler,
    answer,
    behind,
    cut,
    fake_s3,
    fall_silent,
    hang_up,
    set_environment,
    talk_nonsense,
    versitygw,
)
from tickline.errors import SourceError
from tickline.pipelines.archive.chunk import sha256_hex
from tickline.pipelines.archive.config import Config, Retention
from tickline.pipelines.archive.machine import Outcome
from tickline.pipelines.archive.s3_store import S3Store
from tickline.pipelines.archive.stores import MOST_OBJECT_BYTES

pytest.importorskip("boto3")

OBJECT = b"x" * 1000


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    with fake_s3({}) as server:
        set_environment(monkeypatch, server.url)
        yield server


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _sentence(outcome: Outcome) -> str:
    (problem,) = outcome.problems
    text = str(problem)
    assert problem.hint
    for secret in (ACCESS_KEY, SECRET_KEY, "NOT-TO-BE-SHOWN", "REQUESTID"):
        assert secret not in text
    return text


def _goes_on(config: Config, store: S3Store, chronyd: Chronyd) -> None:
    chronyd.write()
    assert not run(config, store).problems
    assert not list((config.state / "spool").iterdir())
    assert archived_lines(chunks(store)) == chronyd.written


PASSING: dict[str, tuple[Fault, str]] = {
    "409": (answer(409, "ConditionalRequestConflict"), "409 ConditionalRequestConflict each time"),
    "429": (answer(429, "TooManyRequests"), "429 TooManyRequests each time"),
    "500": (answer(500, "InternalError"), "500 InternalError each time"),
    "503": (answer(503, "SlowDown"), "503 SlowDown each time"),
    "400, damaged on the way": (answer(400, "BadDigest"), "BadDigest each time"),
    "500 behind the write": (behind(answer(500, "InternalError")), "500 InternalError each time"),
    "cut before": (hang_up, "cut the connection"),
    "cut behind the write": (behind(hang_up), "cut the connection"),
    "silence": (fall_silent, "did not answer in time"),
    "silence behind the write": (behind(fall_silent), "did not answer in time"),
    "a portal that says 200": (talk_nonsense, "does not answer as S3 does"),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_tried_again_and_then_said(fake: FakeS3, tmp_path: Path, name: str) -> None:
    fault, sentence = PASSING[name]
    for first_run in (True, False):
        home = tmp_path / str(first_run)
        chronyd = Chronyd(home / "log")
        fake.objects.clear()
        config = s3_config(home)
        store = s3_store(config, retries=1, timeout_s=0.3)
        if not first_run:
            chronyd.write()
            run(config, store)
        # Once is not worth a word.
        listing = [None] if first_run else []
        fake.faults[:] = [*listing, fault]
        calls = store.calls
        chronyd.write()
        assert not run(config, store).problems
        # The write and its repetition; of the first chunk the probe, and what an answer that was lost needs.
        assert 2 <= store.calls - calls <= 5
        # As often as archive.toml allows.
        fake.requests.clear()
        fake.faults[:] = [fault] * 2
        chronyd.write()
        outcome = run(config, store)
        assert sentence in _sentence(outcome)
        assert "(2 attempts)" in _sentence(outcome)
        assert outcome.calls == len(fake.requests) == 2
        assert len(list((config.state / "spool").iterdir())) == 1
        fake.faults.clear()
        _goes_on(config, store, chronyd)
        store.close()


LASTING: dict[str, tuple[Fault, str]] = {
    "403": (
        answer(403, "AccessDenied"),
        "may not be written (403 AccessDenied). The credentials need s3:Put",
    ),
    "wrong key": (answer(403, "InvalidAccessKeyId"), "the access key is not known there"),
    "wrong secret": (answer(403, "SignatureDoesNotMatch"), "does not belong to the access key"),
    "old token": (answer(403, "ExpiredToken"), "the session token has expired"),
    "clock": (answer(403, "RequestTimeTooSkewed"), "clock differs too much from the server's"),
    "no bucket": (answer(404, "NoSuchBucket"), "there is no such bucket"),
    "key of KMS": (answer(400, "KMS.DisabledException"), "the KMS key cannot be used"),
    "unknown header": (answer(501, "NotImplemented"), "does not know what is asked of it"),
}


@pytest.mark.parametrize("name", LASTING)
def test_what_does_not_pass_is_said_at_once(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd, name: str
) -> None:
    fault, sentence = LASTING[name]
    config = s3_config(tmp_path)
    store = s3_store(config)
    chronyd.write()
    run(config, store)
    for waiting in (1, 2):
        fake.faults[:] = [fault]
        chronyd.write()
        outcome = run(config, store)
        assert sentence in _sentence(outcome)
        # Some servers forbid what others call a conflict: then it is looked for.
        assert outcome.calls == 1 + (name == "403")
        assert len(list((config.state / "spool").iterdir())) == waiting
    _goes_on(config, store, chronyd)


def _knows_no_conditions(handler: Handler) -> bool:
    condition = handler.headers.get("If-None-Match")
    return condition is not None and answer(501, "NotImplemented")(handler)


@pytest.mark.parametrize("begun", [False, True])
def test_a_server_that_knows_no_conditions_gets_no_archive_unless_told_to(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd, begun: bool
) -> None:
    config = s3_config(tmp_path)
    store = s3_store(config)
    if begun:
        # Another server had the name before.
        chronyd.write()
        assert not run(config, store).problems
    plain = len(fake.objects)
    fake.faults[:] = [_knows_no_conditions] * 40
    for _ in range(2):
        chronyd.write()
        sentence = _sentence(run(config, store))
        assert "does not know what is asked of it (501 NotImplemented)" in sentence
        assert "conditional writes" in sentence
        assert 'if_ignored = "unique-keys"' in sentence
    assert len(fake.objects) == plain
    config = s3_config(tmp_path, unique_keys=True)
    assert not run(config, store).problems
    chronyd.write()
    # It is not asked again: a look, and the write.
    assert run(config, store).calls == 2
    names = [len(Path(key).stem) for key in sorted(fake.objects)]
    assert names == [10] * plain + [27] * 3
    assert archived_lines(chunks(store)) == chronyd.written
    assert flaws(store) == []


def test_a_bucket_of_the_same_name_at_another_server_is_probed_anew(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd
) -> None:
    calls = []
    for endpoint in (None, None, fake.url, fake.url):
        chronyd.write()
        config = s3_config(tmp_path, endpoint=endpoint)
        calls.append(run(config, s3_store(config)).calls)
    # A listing, the first object and its probe; later on only a probe.
    assert calls == [3, 1, 2, 1]


def test_what_went_out_under_its_plain_name_is_not_written_under_another(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd
) -> None:
    config = s3_config(tmp_path, unique_keys=True)
    store = s3_store(config, retries=0)
    # The first write arrives and its answer does not; then another server answers.
    fake.faults[:] = [None, behind(hang_up)]
    chronyd.write()
    assert "cut the connection" in _sentence(run(config, store))
    fake.faults[:] = [_knows_no_conditions] * 20
    for _ in range(2):
        chronyd.write()
        assert not run(config, store).problems
    assert [len(Path(key).stem) for key in sorted(fake.objects)] == [10, 27, 27]
    assert archived_lines(chunks(store)) == chronyd.written


@pytest.mark.parametrize("name", [*LASTING, "409", "500", "cut before"])
def test_a_node_that_cannot_list_takes_no_number(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd, name: str
) -> None:
    fault, _ = {**LASTING, **PASSING}[name]
    config = s3_config(tmp_path)
    store = s3_store(config, retries=0)
    fake.faults[:] = [fault]
    chronyd.write()
    assert run(config, store).problems
    assert not (config.state / "spool").exists()
    assert fake.objects == {}
    _goes_on(config, store, chronyd)


def test_permissions_that_are_missing_are_named(fake: FakeS3) -> None:
    # The write, whether the object is there all the same, and the reading.
    fake.faults[:] = [answer(403, "AccessDenied")] * 3
    store = S3Store("s3://logs/ntp", retention=Retention("COMPLIANCE", 6))
    with pytest.raises(SourceError, match="need s3:PutObject, s3:PutObjectRetention"):
        store.put("v1/x", OBJECT, sha256_hex(OBJECT), only_if_absent=True)
    with pytest.raises(SourceError, match=r"may not be read.*s3:GetObject"):
        store.get("v1/x")


def test_without_credentials_nothing_is_written_until_there_are_some(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = s3_config(tmp_path)
    store = s3_store(config)
    with monkeypatch.context() as patch:
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        chronyd.write()
        text = _sentence(run(config, store))
        assert "no credentials" in text
        assert "AWS_ACCESS_KEY_ID" in text
        assert fake.objects == {}
    _goes_on(config, store, chronyd)


def test_wrong_credentials_at_a_server_that_checks_them(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "versitygw"
    folder.mkdir()
    with versitygw(folder) as url:
        (folder / "data" / "logs").mkdir()
        config = s3_config(tmp_path)
        chronyd.write()
        for wrong, sentence in (
            ({"AWS_SECRET_ACCESS_KEY": "not-the-secret"}, "does not belong to the access key"),
            ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "the access key is not known there"),
        ):
            set_environment(monkeypatch, url, **wrong)
            text = str(run(config, s3_store(config)).problems[0])
            assert sentence in text
            assert not any(value in text for value in wrong.values())
        set_environment(monkeypatch, url)
        _goes_on(config, s3_store(config), chronyd)


def test_a_missing_boto3_keeps_lines_in_the_logs(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch, fake: FakeS3
) -> None:
    config = s3_config(tmp_path)
    store = s3_store(config)
    chronyd.write()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "boto3", None)
        assert "tickline[archive]" in _sentence(run(config, store))
    _goes_on(config, store, chronyd)


def test_a_run_with_nothing_new_needs_no_connection(
    fake: FakeS3, tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, clock = s3_config(tmp_path), Clock()
    chronyd.write()
    run(config, s3_store(config), clock)
    monkeypatch.setitem(sys.modules, "boto3", None)
    clock.now_s += 1800
    assert run(config, s3_store(config), clock).result == "nothing new"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (cut(10), "cut the connection or sent less"),
        (answer(503, "SlowDown"), "503 SlowDown each time"),
        (talk_nonsense, "does not answer as S3 does"),
        (fall_silent, "did not answer in time"),
    ],
)
def test_reading_is_tried_again_and_then_said(fake: FakeS3, fault: Fault, sentence: str) -> None:
    fake.objects["ntp/v1/x"] = OBJECT
    store = s3_store(retries=1, timeout_s=0.3)
    fake.faults[:] = [fault]
    assert store.get("v1/x") == OBJECT
    fake.faults[:] = [fault] * 2
    with pytest.raises(SourceError, match=sentence):
        store.get("v1/x")
    assert store.calls == 4


def test_an_object_that_drips_is_left(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(handler: object) -> bool:
        handler.send_response(200)  # type: ignore[attr-defined]
        for name, value in (("Content-Length", "1000"), ("ETag", '"x"')):
            handler.send_header(name, value)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        for _ in range(20):
            handler.wfile.write(b"x")  # type: ignore[attr-defined]
            handler.wfile.flush()  # type: ignore[attr-defined]
            time.sleep(0.05)
        handler.drop()  # type: ignore[attr-defined]
        return True

    monkeypatch.setattr("tickline.pipelines.archive.s3_store._GET_SECONDS", 0.2)
    monkeypatch.setattr("tickline.pipelines.archive.s3_store._BLOCK_BYTES", 1)
    fake.objects["ntp/v1/x"] = OBJECT
    fake.faults[:] = [drip]
    began = time.monotonic()
    with pytest.raises(SourceError, match="sent less"):
        s3_store(retries=0).get("v1/x")
    assert time.monotonic() - began < 0.9


def test_an_object_that_no_run_can_have_written_is_not_read(fake: FakeS3) -> None:
    def huge(handler: object) -> bool:
        handler.send_response(200)  # type: ignore[attr-defined]
        for name, value in (("Content-Length", str(MOST_OBJECT_BYTES + 1)), ("ETag", '"x"')):
            handler.send_header(name, value)  # type: ignore[attr-defined]
        handler.end_headers()  # type: ignore[attr-defined]
        handler.drop()  # type: ignore[attr-defined]
        return True

    fake.faults[:] = [huge]
    with pytest.raises(SourceError, match="more than any chunk"):
        s3_store().get("v1/x")
