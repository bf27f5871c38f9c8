"""Logs of connections that lie elsewhere: in S3, on a web server, wherever fsspec reads."""

from __future__ import annotations

import gzip
import io
import re
import sys
import traceback
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import pyarrow
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from python.connections_support import NOW_S, NS, ordered, report_on
from python.dask_support import dask_cluster
from python.http_support import Answer, Request, http_server, ok, status
from python.s3_support import moto, sdk, set_environment, versitygw
from tickline.cli.connections_output import render
from tickline.clients.remote import Remotes
from tickline.clients.remote_files import RemoteFile, lines_of, shown
from tickline.connections import WANTED
from tickline.engines import EngineOptions
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.connections.files import find_logs
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import Result, connection_report

TEXT = ordered(20_000, a_second=4)
FILES = {
    "a.log": TEXT + b"a line of too many fields\n" + ordered(10, a_second=1),
    "b.log.gz": gzip.compress(TEXT, 1),
    "c.log.zst": zstandard.compress(TEXT),
    "d.log": b"",
    "old/e.log": b"%d tower Papa\n" % (NOW_S - 2000) + TEXT + b"%d tower Papa" % NOW_S,
    "old/notes.txt": b"nothing",
    ".hidden/f.log": TEXT,
}
LOGS = ["a.log", "b.log.gz", "c.log.zst", "d.log", "old/e.log"]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The files, on this machine."""
    for name, content in FILES.items():
        path = tmp_path / "here" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "here"


def facts(result: Result) -> tuple[Any, ...]:
    """Return what does not depend on where logs lie."""
    assert not result.problems
    table, rejects = (pyarrow.table(one).to_pydict() for one in (result.table, result.rejects))
    rejects.pop("source")
    sources = [{**one, "path": ""} for one in result.accounting["sources"]]
    return table, rejects, sources, result.top, result.buckets


def check(there: str, here: Path, **options: Any) -> None:
    """Check that a folder elsewhere, all of its files and patterns give what they give here."""
    options = {"partition_bytes": 2**18, **options}
    names = [source["path"] for source in report_on(there, **options).accounting["sources"]]
    assert names == [f"{there.rstrip('/')}/{name}" for name in LOGS]
    expected = facts(report_on(here, **options))
    assert facts(report_on(there, **options)) == expected
    assert facts(report_on(*names, **options, threads=3)) == expected
    one = report_on(f"{there.rstrip('/')}/a.log", seconds=60)
    assert facts(one) == facts(report_on(here / "a.log", seconds=60))
    assert one.accounting["total"]["noted"]["bytes_not_read"] > len(TEXT) / 2


@pytest.fixture
def memory() -> Iterator[str]:
    """The files in fsspec's memory."""
    system = fsspec.filesystem("memory")
    for name, content in FILES.items():
        system.pipe_file(f"/logs/{name}", content)
    yield "memory://logs"
    system.rm("/logs", recursive=True)


def test_any_file_system_of_fsspec_gives_what_files_give(memory: str, here: Path) -> None:
    # Its addresses have an empty host.
    memory = memory.replace("//", "///")
    check(memory, here)
    check(memory, here, seconds=10**6, disorder_seconds=0)
    with Remotes() as remotes:
        for pattern, names in {
            "*.log": ["a.log", "d.log"],
            "**/[ae].log": ["a.log", "old/e.log"],
            "?.log.gz": ["b.log.gz"],
            "*.nothing": [],
        }.items():
            found = remotes.find(f"{memory}/{pattern}", WANTED)
            assert [file.path for file in found.files] == [f"{memory}/{name}" for name in names]
            assert not found.problems
    twice = report_on(f"{memory}/a.log", f"{memory}/*.log")
    assert len(twice.accounting["sources"]) == 2


def ranged(request: Request) -> Answer:
    """Answer as a web server with ranges does."""
    content = FILES[request.path.removeprefix("/logs/")]
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
    if asked is None:
        return ok(content, headers={"Accept-Ranges": "bytes"})
    first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
    headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
    return Answer(206, content[first : last + 1], headers)


def test_a_web_server_is_read_by_ranges_or_if_it_knows_none_as_a_stream(here: Path) -> None:
    expected = facts(report_on(*(here / name for name in LOGS), partition_bytes=2**18))
    script: dict[str, Any] = {f"/logs/{name}": ranged for name in LOGS}
    script |= {f"/plain/{name}": ok(FILES[name]) for name in LOGS}
    with http_server(script) as server:
        names = [f"{server.url}/logs/{name}" for name in LOGS]
        assert facts(report_on(*names, partition_bytes=2**18)) == expected
        report_on(f"{server.url}/logs/a.log?Signature=secret", seconds=60)
        asked = [one for one in server.requests if "Signature" in one.query and "range" in one.headers]
        assert 0 < sum(len(ranged(one).body) for one in asked) < len(TEXT) / 2
        streamed = report_on(*(f"{server.url}/plain/{name}" for name in LOGS), partition_bytes=2**18)
        assert not streamed.problems
        whole = report_on(*(here / name for name in LOGS), disorder_seconds=10**6)
        assert streamed.top == whole.top
        assert streamed.accounting["total"] == whole.accounting["total"]


def test_what_is_wrong_with_a_web_server_is_said_without_what_is_secret() -> None:
    script: dict[str, Any] = {"/500.log": status(500), "/403.log": status(403)}
    script["/cut.log"] = lambda request: ranged(Request("GET", "/logs/a.log", {}, request.headers)).but(
        cut_after=10_000
    )
    with http_server(script) as server:
        secret = "?X-Amz-Signature=abc"
        for name, what in {
            "404.log": "does not exist",
            "500.log": "the server answered 500",
            "403.log": "the server answered 403",
            "cut.log": "cannot be read",
        }.items():
            with pytest.raises(SourceError) as raised:
                problems_of(f"{server.url}/{name}{secret}")
            assert what in str(raised.value)
            assert raised.value.where == f"{server.url}/{name}"
            assert "abc" not in "".join(traceback.format_exception(raised.value))
        url = server.url
    with pytest.raises(SourceError, match="cannot be read") as raised:
        problems_of(f"{url}/gone.log")
    assert "does not exist" not in str(raised.value)


def problems_of(*places: str) -> None:
    """Raise what is wrong with one place."""
    result = report_on(*places)
    if result.problems:
        raise result.problems[0]


@pytest.fixture(params=["moto", "versitygw"])
def bucket(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with the files below ``logs/``, and others whose keys begin alike."""
    server = moto() if request.param == "moto" else versitygw(tmp_path)
    with server as url, sdk(url) as client:
        set_environment(monkeypatch, url)
        client.create_bucket(Bucket="bucket")
        for name, content in FILES.items():
            client.put_object(Bucket="bucket", Key=f"logs/{name}", Body=content)
        client.put_object(Bucket="bucket", Key="logs-of-others/g.log", Body=TEXT)
        yield "s3://bucket/logs"


def test_a_bucket_gives_what_files_give_here_and_on_a_cluster(
    bucket: str, here: Path, tmp_path: Path
) -> None:
    check(bucket + "/", here)
    with Remotes() as remotes:
        for pattern, names in {"*.log": ["a.log", "d.log"], "**/[ae].log": ["a.log", "old/e.log"]}.items():
            found = remotes.find(f"{bucket}/{pattern}", WANTED)
            assert [file.path for file in found.files] == [f"{bucket}/{name}" for name in names]
    # Credentials of workers are those of their own environment.
    with dask_cluster(tmp_path / "cluster", 2) as cluster:
        options = ConnectionOptions(
            (bucket,), "tower", "Papa", now_ns=NOW_S * NS, partition_bytes=2**19, disorder_seconds=0
        )
        there = connection_report(options, None, EngineOptions("dask", cluster.address, 2))
        assert facts(there) == facts(report_on(here, partition_bytes=2**19, disorder_seconds=0))
        assert "only-for-tests" not in cluster.logs()


def test_what_is_wrong_with_a_bucket_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with moto() as url, sdk(url) as client:
        set_environment(monkeypatch, url)
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="a.txt", Body=b"x")
        for place, what in {
            "s3://no-such-bucket/a.log": "there is no such bucket",
            "s3://bucket": "no logs of connections were found there",
            "s3://bucket/a.log": "no logs of connections were found there",
            "s3://bucket/*.log": "no log was found",
            "s3://bucket/k?X-Amz-Signature=secret": "no log was found",
        }.items():
            with pytest.raises(SourceError, match=what) as raised:
                report_on(place)
            assert "secret" not in str(raised.value)
        assert report_on("s3://bucket/a.txt").accounting["total"]["rejected"] == {"field_count": 1}


@pytest.mark.parametrize(
    ("place", "kind", "what"),
    [
        ("xyz://host/a.log", UsageError, "xyz:// is not known"),
        ("ftp://me:secret@host/a.log", UsageError, "a password does not belong into it"),
        ("https://me:secret@host/a.log", UsageError, "a password does not belong into it"),
        ("https://me:x@host/a.log?sig=secret", UsageError, "a password does not belong into it"),
        ("s3://me:secret@bucket/a.log", UsageError, "a password does not belong into it"),
        ("https://me:sec/secret@host/a.log", UsageError, "a password does not belong into it"),
        ("ftp://me:p@secret@host/a.log", UsageError, "a password does not belong into it"),
        ("s3://me:p/secret@bucket/a.log?sig=secret", UsageError, "a password does not belong into it"),
        ("s3://", UsageError, "names no bucket"),
        ("s3:///secret@b?sig=secret", UsageError, "names no bucket"),
        ("s3://secret@bucket/a.log", UsageError, "no bucket can have this name"),
        ("xyz://secret@host/a.log?sig=secret", UsageError, "xyz:// is not known"),
        ("memory://secret@host/no.log?sig=secret", SourceError, "no log was found"),
        ("simplecache::https://secret@host/a.log", SourceError, "does not exist"),
        ("simplecache::https://host/a.log?sig=secret", SourceError, "no log was found"),
        ("memory:///no-such-file.log", SourceError, "does not exist"),
    ],
)
def test_addresses_that_are_none_are_refused(place: str, kind: type[TicklineError], what: str) -> None:
    with pytest.raises(kind, match=what) as raised:
        report_on(place)
    assert "secret" not in "".join(traceback.format_exception(raised.value))


_pieces = ["secret", "/", "@", ":", "?", "#", "&b=", "%2F"]
_secrets = st.lists(st.sampled_from(_pieces), min_size=1, max_size=6).map("".join)


@given(
    st.sampled_from(["https", "HTTP", "s3", "abfs", "ftp", "simplecache::https"]),
    st.sampled_from(["{0}@host/a.log", "me:{0}@host/a.log", "host:80/a.log?sig={0}", "{0}@b/k?sig={0}"]),
    _secrets,
)
@example("https", "me:{0}@host/a.log?x={0}", "p?secret/@:#secret")
def test_no_part_of_an_address_that_may_be_secret_is_shown(scheme: str, form: str, secret: str) -> None:
    told = shown(f"{scheme}://{form.format(secret)}")
    assert told.startswith(f"{scheme}://")
    assert "secret" not in told


@pytest.mark.parametrize("plain", ["https://host:80/a:b/c.log", "s3://b/a#1.log", "memory:///a.log", "a@b?c"])
def test_addresses_without_secrets_and_paths_are_shown_as_they_are(plain: str) -> None:
    assert shown(plain) == plain


def test_what_a_report_says_of_an_address_is_without_what_is_secret(memory: str) -> None:
    with http_server({"/logs/a.log": ranged, "/plain/d.log": status(500)}) as server:
        names = [f"{server.url.replace('//', '//secret@')}/{name}" for name in ("logs/a.log", "plain/d.log")]
        asked = [f"{name}?sig={which}-secret" for name in names for which in (1, 2)]
        result = report_on(*asked, f"{memory}?sig=secret", memory)
    for form in ("json", "table"):
        assert b"secret" not in render(result, form, 10)
    assert "secret" not in "".join(map(str, result.problems))
    # What differs in nothing but the secret is not the same file.
    hidden = server.url.replace("//", "//***@")
    listed = [source["path"] for source in result.accounting["sources"][:2]]
    assert listed == [f"{hidden}/logs/a.log", f"{hidden}/logs/a.log (2)"]
    assert [str(problem) for problem in result.problems[:2]] == [
        f"{hidden}/plain/d.log: the server answered 500."
    ] * 2


def test_signatures_are_not_even_in_tracebacks() -> None:
    address = "http://127.0.0.1:1/a.log?sig=secret"
    with pytest.raises(SourceError) as raised:
        report_on(address)
    assert "secret" not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(UsageError, match="cannot be followed") as refused:
        find_logs((address,))
    assert "secret" not in str(refused.value)


def test_without_fsspec_addresses_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(TicklineError, match=re.escape("pip install 'tickline[dask]'")):
        report_on("memory:///a.log")
    # What exists under such a name is a file.
    monkeypatch.chdir(tmp_path)
    Path("odd:").mkdir()
    Path("odd:/a.log").write_bytes(b"%d tower Papa\n" % NOW_S)
    assert report_on("odd://a.log").connected_to == {"tower": 1}


class _InMemory(RemoteFile):
    """A file whose reads are short."""

    def __init__(self, content: bytes, step: int) -> None:
        self.path, self.kind, self.size = "memory", "plain", len(content)
        self._content, self._step = content, step

    def read_at(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + min(size, self._step)]

    def reader(self) -> Any:
        return io.BytesIO(self._content)


@given(
    st.lists(st.sampled_from([b"\n", b"a", b"bcd"]), max_size=30).map(b"".join), st.data(), st.integers(1, 9)
)
def test_ranges_of_a_remote_file_hold_each_line_once(content: bytes, data: st.DataObject, step: int) -> None:
    file = _InMemory(content, step)
    lines, at = [], 0
    for line in re.findall(rb"[^\n]*\n|[^\n]+", content):
        lines.append((at, line))
        at += len(line)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=4)))
    edges = [0, *cuts, len(content)]
    for begin, end in pairwise(edges):
        first, chunks = lines_of(file, begin, end)
        expected = [(place, line) for place, line in lines if begin <= place < end]
        assert b"".join(chunks) == b"".join(line for _, line in expected)
        if expected:
            assert first == expected[0][0]
