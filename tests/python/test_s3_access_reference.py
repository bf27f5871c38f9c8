"""Hostile text in every field that strangers can fill, and damaged lines: package and reference must agree.

What is claimed of injections, for the package and for the reference alike:

- Whatever stands in a request target **without a blank** (RFC 9112 section 3 allows none), in a referrer or
  in a user agent, status, bytes and key are the true ones. A line may be rejected as ``spliced`` instead,
  where the text imitates the beginning of another record of this bucket.
- A target that holds a blank is no HTTP, but S3 logs what it got. As long as it holds no quote, the true
  values come out, or the line is ``ambiguous`` because the agent imitates the end of a request line.
- A target with a blank and a complete imitation (`` HTTP/1.1" 206 - 9 9 1 1 "a``) gives the very same bytes
  as an honest target before a hostile user agent. Nobody can tell them apart; the third token decides.
- Requesters are written by AWS. One that holds a word shaped like an operation is not told from a request
  without requester, so such words are left out here; with all else in it the values are true or the line is
  rejected.
"""

from __future__ import annotations

import importlib
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tickline.reference import s3_access as reference
from tickline.sources import kind_of

Judge = Callable[[bytes], dict[str, Any]]

BUCKET = b"tickline-demo"
CLOCK = re.compile(rb" tickline-demo \[[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}")
# A quote in it ends the search for the operation; what stands there then is no record.
REJECTED_REQUESTERS = ("spliced", "bad_operation", "bad_request_uri", "cut")
SPLICE = b" tickline-demo [07/Feb/2024:00:00:00 +0000] 192.0.2.9"

INJECTIONS = [
    b'" 200 - 999999 99 1 1 "',
    b'" 200 - 999999 99 1 1 -',
    b' HTTP/1.1" 206 - 9 9 1 1 "a" "b',
    b'x HTTP/1.0" 404 NoSuchKey 9 9 1 1 "a" "b" - c',
    b'" "',
    b'"-"',
    b'"',
    b" ",
    b"  ",
    b"-",
    b"\\",
    b"HTTP/1.1",
    b"REST.PUT.OBJECT other/key",
    b"[07/Feb/2024:00:00:00 +0000]",
    SPLICE,
    b"\t",
    b"\r",
    b"\0",
    b"\xff\xfe",
    b"\xe2\x82",
    "Größe".encode(),
    b"a",
    b"200",
]
TAILS = [
    b"",
    b" -",
    b" - HostIdExample= SigV4 TLS_AES AuthHeader demo.example.org TLSv1.3 - - us-east-2",
    b" v AIDAEXAMPLE HostIdExample= SigV4 TLS_AES AuthHeader demo.example.org",
    b" v h - - - demo.example.org TLSv1.2 arn:aws:s3:::demo Yes us-east-2 new - more",
]

pieces = st.one_of(st.sampled_from(INJECTIONS), st.binary(max_size=6))
hostile = st.lists(pieces, max_size=6).map(lambda found: b"".join(found).replace(b"\n", b""))
hostile_word = hostile.map(lambda text: text.replace(b" ", b"") or b"x")
common = settings(
    max_examples=250,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(frozen=True)
class Record:
    """What was true when the line was written."""

    requester: bytes = b"arn:aws:iam::111122223333:user/reader"
    key: bytes = b"blobs/0a1/b2c/0a1b2c3d"
    target: bytes = b"/blobs/0a1/b2c/0a1b2c3d?n=1"
    status: int = 206
    bytes_sent: int | None = 512
    referrer: bytes = b"https://example.org/page"
    user_agent: bytes = b"reader/1.0 (test)"
    tail: bytes = TAILS[2]

    def line(self) -> bytes:
        """Write the line as S3 does: quotes around what strangers sent, and nothing escaped."""
        sent = b"-" if self.bytes_sent is None else b"%d" % self.bytes_sent
        return (
            b"5f0c9a7e1d2b4c63 %s [06/Feb/2024:00:00:38 +0000] 192.0.2.3 %s 7B4A0FABBEXAMPLE "
            b'REST.GET.OBJECT %s "GET %s HTTP/1.1" %d - %s 171408 53 52 "%s" "%s"%s'
        ) % (
            BUCKET,
            self.requester,
            self.key,
            self.target,
            self.status,
            sent,
            self.referrer,
            self.user_agent,
            self.tail,
        )


true_numbers = {
    "status": st.sampled_from([200, 206, 304, 404]),
    "bytes_sent": st.one_of(st.none(), st.integers(0, 2**64 - 1)),
    "tail": st.sampled_from(TAILS),
}


def _text(value: bytes | None) -> str | None:
    return None if value in (None, b"-", b'"-"') else value.decode("utf-8", "replace")


def _assert_true(result: dict[str, Any], record: Record, *, also_rejected_as: tuple[str, ...] = ()) -> bool:
    """Check that the true values came out, or that the line was rejected for one of these reasons."""
    if result["outcome"] == "rejected":
        assert result["reason"] in also_rejected_as
        return False
    assert result["outcome"] == "accepted"
    got = result["record"]
    assert got["http_status"] == record.status
    assert got["bytes_sent"] == record.bytes_sent
    assert got["object_size"] == 171408
    assert got["key"] == _text(record.key)
    assert got["operation"] == "REST.GET.OBJECT"
    assert got["remote_ip"] == "192.0.2.3"
    assert got["time"] == 1_707_177_638_000
    return True


def _spliced_if(line: bytes) -> tuple[str, ...]:
    return ("spliced",) if CLOCK.search(line, line.index(b"]")) else ()


@pytest.fixture(scope="module")
def read() -> Callable[[bytes], Any]:
    """Return ``tickline.access.read``."""
    if os.environ.get("TICKLINE_REQUIRE_ALL", "") not in ("", "0"):
        access: Any = importlib.import_module("tickline.access")
    else:
        access = pytest.importorskip("tickline.access", exc_type=ImportError)
    return access.read


def _columns(table: Any) -> dict[str, list[Any]]:
    pa = importlib.import_module("pyarrow")
    arrow = pa.table(table)
    return {
        name: (arrow[name].cast(pa.int64()) if name == "time" else arrow[name]).to_pylist()
        for name in arrow.column_names
    }


@pytest.fixture(scope="module", params=["reference", "package"])
def judge(request: pytest.FixtureRequest) -> Judge:
    """Return a function that judges one line, once with the reference and once with the package."""
    if request.param == "reference":
        return reference.reference_parse
    read = request.getfixturevalue("read")

    def by_package(line: bytes) -> dict[str, Any]:
        table = read(line + b"\n")
        if table.num_rows == 1:
            columns = _columns(table)
            return {"outcome": "accepted", "reason": "", "record": {n: v[0] for n, v in columns.items()}}
        (reason,) = _columns(table.rejects)["reason"]
        return {"outcome": "rejected", "reason": reason, "record": None}

    return by_package


@common
@given(target=hostile_word, numbers=st.fixed_dictionaries(true_numbers))
def test_a_target_without_blank_changes_nothing(judge, target, numbers):
    record = Record(target=target, **numbers)
    result = judge(record.line())
    assert _assert_true(result, record)
    assert result["record"]["request_uri"] == _text(b"GET " + target + b" HTTP/1.1")


@common
@given(referrer=hostile, agent=hostile, target=hostile_word, numbers=st.fixed_dictionaries(true_numbers))
def test_referrer_and_agent_change_nothing(judge, referrer, agent, target, numbers):
    record = Record(target=target, referrer=referrer, user_agent=agent, **numbers)
    line = record.line()
    result = judge(line)
    if not _assert_true(result, record, also_rejected_as=_spliced_if(line)):
        return
    got = result["record"]
    assert got["request_uri"] == _text(b"GET " + target + b" HTTP/1.1")
    # The boundary between the two is the first `" "`, so an honest referrer keeps any agent whole. Only `-`
    # is null here: a text of `"-"` with quotes of its own is what the client sent.
    if b'"' not in referrer:
        assert got["referrer"] == (None if referrer == b"-" else referrer.decode("utf-8", "replace"))
        assert got["user_agent"] == (None if agent == b"-" else agent.decode("utf-8", "replace"))


@common
@given(key=hostile_word, target=hostile_word, numbers=st.fixed_dictionaries(true_numbers))
def test_a_key_changes_nothing_else(judge, key, target, numbers):
    record = Record(key=key, target=target, **numbers)
    assert _assert_true(judge(record.line()), record)


@common
@given(requester=hostile, agent=hostile, numbers=st.fixed_dictionaries(true_numbers))
def test_a_requester_changes_nothing_or_the_line_is_rejected(judge, requester, agent, numbers):
    shaped = re.compile(rb"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+){2,3}")
    requester = b" ".join(word for word in requester.split(b" ") if not shaped.fullmatch(word))
    record = Record(requester=requester, user_agent=agent, **numbers)
    _assert_true(judge(record.line()), record, also_rejected_as=REJECTED_REQUESTERS)


@common
@given(
    target=hostile.map(lambda text: text.replace(b'"', b"")),
    agent=hostile,
    numbers=st.fixed_dictionaries(true_numbers),
)
def test_a_target_with_blanks_and_no_quote_is_true_or_ambiguous(judge, target, agent, numbers):
    honest = Record(target=target, **numbers)
    line = honest.line()
    _assert_true(judge(line), honest, also_rejected_as=_spliced_if(line))
    record = Record(target=target, user_agent=agent, **numbers)
    line = record.line()
    _assert_true(judge(line), record, also_rejected_as=("ambiguous", *_spliced_if(line)))


@pytest.mark.parametrize("field", ["target", "referrer", "user_agent", "key"])
@pytest.mark.parametrize("injection", [b'" 200 - 999999 99 1 1 "', b' HTTP/1.1" 206 - 9 9 1 1 "a" "b'])
def test_the_known_injections_change_nothing(judge, field, injection):
    if field in ("target", "key"):
        injection = b"x" + injection.replace(b" ", b"%20") + b"y"
    record = Record(status=200, bytes_sent=7, **{field: injection})
    assert _assert_true(judge(record.line()), record)


def test_a_blank_and_a_complete_imitation_equal_a_hostile_agent(judge):
    as_target = Record(target=b'/a HTTP/1.1" 206 - 9 171408 53 52 "b" "c', status=200, bytes_sent=7)
    as_agent = Record(
        target=b"/a",
        status=206,
        bytes_sent=9,
        referrer=b"b",
        user_agent=b'c HTTP/1.1" 200 - 7 171408 53 52 "https://example.org/page" "reader/1.0 (test)',
    )
    assert as_target.line() == as_agent.line()
    assert _assert_true(judge(as_agent.line()), as_agent)


def _assert_equal(read: Callable[[bytes], Any], data: bytes) -> Counter[str]:
    """Compare the package with the reference on a whole file, column by column, and the counts as well."""
    lines = reference.reference_lines(data)
    results = [reference.reference_parse(line) for line in lines]
    table = read(data)
    columns = _columns(table)
    assert tuple(columns) == reference.COLUMNS
    records = [result["record"] for result in results if result["outcome"] == "accepted"]
    for name, values in columns.items():
        assert values == [record[name] for record in records], name
    rejects = _columns(table.rejects)
    numbered = [(i, r["reason"]) for i, r in enumerate(results, 1) if r["outcome"] == "rejected"]
    assert list(zip(rejects["line"], rejects["reason"], strict=True)) == numbered
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    assert rejects["offset"] == [starts[number - 1] for number, _ in numbered]

    total = table.accounting["total"]
    outcomes = Counter(result["outcome"] for result in results)
    assert total["lines"] == len(lines)
    assert total["accepted"] == outcomes["accepted"] == table.num_rows
    blank = {"blank": outcomes["filtered"]} if outcomes["filtered"] else {}
    assert {name: n for name, n in total["filtered"].items() if n} == blank
    assert {name: n for name, n in total["rejected"].items() if n} == Counter(r for _, r in numbered)
    ambiguous = sum("ambiguous_agent" in result["noted"] for result in results)
    assert total["noted"].get("ambiguous_agent", 0) == ambiguous
    return outcomes


any_record = st.builds(
    Record,
    requester=st.one_of(st.just(Record.requester), st.just(b"-"), hostile),
    key=st.one_of(st.just(Record.key), st.just(b"-"), hostile_word),
    target=st.one_of(st.just(Record.target), hostile_word, hostile),
    referrer=st.one_of(st.just(b"-"), hostile),
    user_agent=st.one_of(st.just(b"-"), hostile),
    **true_numbers,
)
lifecycle = st.sampled_from(
    [
        b'- b [06/Feb/2024:00:00:38 +0000] - AmazonS3 ID S3.EXPIRE.OBJECT k "-" - - - 5 - - "-" "-" -',
        b"- b [06/Feb/2024:00:00:38 +0000] - - ID REST.COPY.OBJECT_GET k - - - - 5 - - - - - h SigV4",
        b" ".join([b"-"] * 25),
        b" ".join([b'"-"'] * 25),
    ]
)
edits = st.lists(
    st.tuples(
        st.sampled_from(["delete", "insert", "duplicate", "swap", "cut"]), st.integers(0, 10**6), pieces
    ),
    max_size=4,
)


def _edited(line: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, position, piece in changes:
        at = position % (len(line) + 1)
        other = (position // 997) % (len(line) + 1)
        if kind == "delete":
            line = line[:at] + line[at + 1 + position % 7 :]
        elif kind == "insert":
            line = line[:at] + piece + line[at:]
        elif kind == "duplicate":
            line = line[:at] + line[other : other + position % 60] + line[at:]
        elif kind == "swap":
            line = line[:at] + line[at : at + 2][::-1] + line[at + 2 :]
        else:
            line = line[:at]
    return line


def test_damaged_lines_equal_the_reference(read):
    seen: Counter[str] = Counter()

    @common
    @given(
        st.lists(st.builds(_edited, st.one_of(any_record.map(Record.line), lifecycle), edits), max_size=8),
        st.sampled_from([b"\n", b"\r\n"]),
        st.booleans(),
    )
    def compare(lines: list[bytes], newline: bytes, last: bool) -> None:
        seen.update(_assert_equal(read, newline.join(lines) + (newline if last else b"")))

    compare()
    # A generator whose lines were all rejected would have compared nothing.
    assert seen["accepted"] >= 100
    assert seen["rejected"] >= 100


def test_any_bytes_equal_the_reference(read):
    @common
    @given(st.lists(st.one_of(pieces, st.just(b"\n")), max_size=30).map(b"".join))
    def compare(data: bytes) -> None:
        assume(kind_of(data[:4]) == "plain")  # bytes that begin like .gz or .zst are unpacked first
        _assert_equal(read, data)

    compare()
