"""What the functions of time and NTP are given: what cannot be meant is refused by its name."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import doctest
import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tickline as tl
from python.access_support import run
from tickline import ntp
from tickline.compat import timesync
from tickline.errors import SourceError, UsageError, printable

HALF = "\ud800"  # half of a character
QUERY = ntp.Client().query
NAMES = ["127.0.0.1"]
PACKET = ntp.Packet.parse(bytes(48))


class Known:
    """What a clock starts from."""

    monotonic_ns = 0
    interval_ns: Any = (0, 1)


WRONG: list[tuple[str, Callable[[], object]]] = [
    ("servers", lambda: QUERY(b"abc")),
    ("servers", lambda: QUERY(None)),
    ("servers", lambda: QUERY([5])),
    ("servers", lambda: QUERY([None])),
    ("quorum", lambda: QUERY(NAMES, quorum=3.0)),
    ("quorum", lambda: QUERY(NAMES, quorum=True)),
    ("quorum", lambda: QUERY(NAMES, quorum=-5)),
    ("quorum", lambda: QUERY(NAMES, quorum=10**12)),
    ("port", lambda: QUERY(NAMES, port=1.5)),
    ("port", lambda: QUERY(NAMES, port=0)),
    ("port", lambda: QUERY(NAMES, port=65_536)),
    ("deadline_s", lambda: QUERY(NAMES, deadline_s="2")),
    ("accuracy_s", lambda: QUERY(NAMES, accuracy_s=float("nan"))),
    ("accuracy_s", lambda: QUERY(NAMES, accuracy_s=-1)),
    ("headway_s", lambda: ntp.Client(headway_s="2")),
    ("policy", lambda: ntp.Client(policy=5)),
    ("dns_cache", lambda: ntp.Client(dns_cache=5)),
    ("request", lambda: ntp.check(None, b"")),
    ("response", lambda: ntp.check(bytes(48), "x")),
    ("t1_ns", lambda: ntp.check(bytes(48), b"", t1_ns=1.5)),
    ("policy", lambda: ntp.check(bytes(48), b"", policy={})),
    ("data", lambda: ntp.Packet.parse("x")),
    ("buffer", lambda: ntp.decode_packets(None)),
    ("buffer", lambda: ntp.decode_packets(memoryview(bytes(96))[::2])),
    ("pivot_s", lambda: ntp.decode_packets(b"", pivot_s=0.5)),
    ("min_version", lambda: ntp.Policy(min_version=3.5)),
    ("allow_zero_reference_time", lambda: ntp.Policy(allow_zero_reference_time=5)),
    ("own_addresses", lambda: ntp.Policy(own_addresses=5)),
    ("address", lambda: ntp.reference_id(5)),
    ("t1", lambda: ntp.offset_and_delay(0.5, 0, 0, 0)),
    ("max_entries", lambda: ntp.DnsCache(max_entries=1.5)),
    ("resolver", lambda: ntp.DnsCache("x")),
    ("ttl_s", lambda: ntp.DnsCache(ttl_s="1")),
    ("host", lambda: ntp.DnsCache().look_up(None)),
    ("max_depth", lambda: ntp.lower_bound([], max_depth=1.5)),
    ("max_files", lambda: ntp.lower_bound([], max_files=2.5)),
    ("now_ns", lambda: ntp.lower_bound([], now_ns=0.5)),
    ("roots", lambda: ntp.lower_bound([f"/{HALF}"])),
    ("roots", lambda: ntp.lower_bound(5)),
    ("falsetickers", lambda: ntp.Client().metrics.degraded(falsetickers=1.5)),
    ("offset_s", lambda: ntp.Client().metrics.degraded(offset_s="1")),
    ("measure", lambda: ntp.Client().metrics.quantile_ns(None, 0.5)),
    ("drift_ppb", lambda: ntp.Clock(Known(), drift_ppb=1.5)),
    ("result", lambda: ntp.Clock(None)),
    ("version", lambda: PACKET._replace(version=9).header()),
    ("leap", lambda: PACKET._replace(leap=4).header()),
    ("poll", lambda: PACKET._replace(poll=200).header()),
    ("hosts", lambda: timesync.ParallelNTPClient().query_hosts_parallel([b"x"])),
]


@pytest.mark.parametrize(("where", "call"), WRONG, ids=[f"{at}-{one[0]}" for at, one in enumerate(WRONG)])
def test_what_cannot_be_meant_is_refused_by_its_name(where: str, call: Callable[[], object]) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.where == where
    assert "\n" not in str(caught.value)


def test_a_number_out_of_range_is_shown() -> None:
    with pytest.raises(UsageError, match=r"quorum: -5 is out of range\. It goes from 0 to 2,147,483,647"):
        QUERY(NAMES, quorum=-5)


class Nowhere(dt.tzinfo):
    """A time zone that does not say which."""

    def utcoffset(self, _moment: dt.datetime | None) -> None:
        return None


MOMENT = dt.datetime(2026, 1, 1, tzinfo=Nowhere())


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (TypeError, "pivot_s is of type float", lambda: tl.time.ntp64_to_ns(0, 1.5)),
        (TypeError, "text is of type NoneType", lambda: tl.time.parse(None)),
        (TypeError, "ns is of type float", lambda: tl.time.format(1.5)),
        (TypeError, "moment is of type date", lambda: tl.FastDate64.from_datetime(dt.date(2026, 1, 1))),
        (ValueError, "no offset", lambda: tl.FastDate64.from_datetime(MOMENT)),
        (OverflowError, "NaT", lambda: tl.time.ns_to_ntp64(np.datetime64("NaT", "ns"))),
        (OverflowError, r"ns\[1\] = NaT", lambda: tl.time.ns_to_ntp64(np.array(["1960", "NaT"], "M8[s]"))),
        (OverflowError, "1677", lambda: tl.time.ns_to_ntp64(np.datetime64("1677-09-21T00:12:43", "s"))),
        (OverflowError, "1677", lambda: tl.time.ns_to_ntp64(np.array([2**62], "M8[Y]"))),
        (UsageError, "is no time", lambda: tl.time.parse("0000-01-01T00:00:00+01:00")),
        (UsageError, "is no time", lambda: tl.time.parse("9999-12-31T23:59:59-01:00")),
    ],
)  # fmt: skip
def test_times_that_are_none_say_so(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"])
def test_stamps_of_times_before_1970_do_not_depend_on_the_unit(unit: str) -> None:
    moment = np.datetime64("1959-12-31T00:00:00", unit)
    ns = int(moment.astype("M8[ns]").astype(np.int64))
    assert tl.time.ns_to_ntp64(moment) == tl.time.ns_to_ntp64(ns)
    assert tl.time.ntp64_to_ns(tl.time.ns_to_ntp64(moment), -(2**31)) == ns


def test_only_octets_are_plain_bytes() -> None:
    signed = memoryview(bytes([1] * 8)).cast("b")
    assert tl.time.encode_ns(signed).tolist() == [1] * 8
    assert tl.time.encode_ns(memoryview(bytes([1] + [0] * 7)).cast("c")).tolist() == [1]
    with pytest.raises(TypeError, match="bool"):
        tl.time.encode_ns(memoryview(bytes([1] * 8)).cast("?"))


def test_a_moment_stays_what_it_is() -> None:
    moment = tl.FastDate64(5)
    moment.__init__(7)  # type: ignore[misc]
    assert moment == tl.FastDate64(5)


def test_a_text_alone_is_one_of_them() -> None:
    assert ntp.Policy(own_addresses="::1") == ntp.Policy(own_addresses=["::1"])
    assert ntp.lower_bound("/usr", clock_file=None).files == ntp.lower_bound(["/usr"], clock_file=None).files
    found = timesync.ParallelNTPClient().query_hosts_parallel("one.name")
    assert [server.name for server in found.result.servers] in ([], ["one.name"])
    assert "1 server " in found.result.why
    assert timesync.TargetedFileScanner().get_recent_file_time("/usr") is not None


def test_a_policy_is_plain_values() -> None:
    policy = ntp.Policy(min_version=3)
    assert dataclasses.asdict(policy)["min_version"] == 3
    assert ntp.Policy(**dataclasses.asdict(policy)) == dataclasses.replace(policy) == policy


# ---- texts that are none -----------------------------------------------------------------------------------


def test_half_a_character_can_be_printed() -> None:
    assert printable("a\ud800\udcff\x1b") == r"a\ud800\xff\x1b"
    assert str(UsageError("none", where=HALF)) == r"\ud800: none."


@pytest.mark.parametrize("name", [HALF, "time\udcff.example", "[::1]:\udcff"])
def test_a_name_that_is_no_text_is_said_in_a_sentence(name: str) -> None:
    result = QUERY([name], quorum=1)
    assert "is no name or address of a host" in result.why
    assert result.packets_sent == 0
    with pytest.raises(SourceError, match="no name of a host"):
        ntp.DnsCache().look_up(name)
    if name != HALF:
        done = run("ntp", "query", name, "--quorum", "1", check=1)
        assert b"is no name or address of a host" in done.stdout
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "port"), [("[::1]:99999", "99999"), ("host:", ""), ("127.0.0.1:ntp", "ntp"), ("host:0", "0")]
)
def test_a_bad_port_is_named_and_the_server_shown_as_it_was_given(name: str, port: str) -> None:
    result = QUERY(["127.0.0.1", name], quorum=1)
    assert f'server 2 of 2 ("{name}") has the port "{port}"' in result.why


# ---- resolvers that fail badly -----------------------------------------------------------------------------


class EvilError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("evil", [RuntimeError("no file \udcff"), ValueError(HALF), EvilError()])
def test_resolvers_that_fail_badly_use_up_no_threads(evil: Exception) -> None:
    def resolver(host: str, _family: str) -> list[str]:
        if host.startswith("bad"):
            raise evil
        return [HALF] if host == "half" else ["127.0.0.1"]

    cache = ntp.DnsCache(resolver, max_entries=200)
    for number in range(70):
        with pytest.raises(SourceError, match=type(evil).__name__):
            cache.look_up(f"bad{number}", timeout_s=60)
    with pytest.raises(SourceError, match="not an IPv4 or IPv6 address"):
        cache.look_up("half", timeout_s=60)
    assert cache.look_up("good", timeout_s=60) == ["127.0.0.1"]
    assert cache.stats.pending == 0


# ---- asyncio -----------------------------------------------------------------------------------------------


def test_queries_of_one_loop_do_not_wait_for_a_thread() -> None:
    begun = threading.Barrier(60)

    def resolver(_host: str, _family: str) -> list[str]:
        begun.wait(60)  # only if all of them look their names up at the same time
        return []

    async def ask() -> list[ntp.Result]:
        caches = [ntp.DnsCache(resolver) for _ in range(60)]
        clients = [ntp.Client(dns_cache=cache) for cache in caches]
        return await asyncio.gather(*[one.aquery(["a"], quorum=1, deadline_s=50) for one in clients])

    assert {result.servers[0].verdict for result in asyncio.run(ask())} == {"unreachable"}


def test_waiting_for_a_thread_is_part_of_the_query() -> None:
    late_ns = time.monotonic_ns() - 10**9
    arguments = ("any", 123)
    result = ntp.Client()._query(tl._core.NtpStop(), late_ns, ["127.0.0.1"], 1, 0.9, None, *arguments)
    assert result.why == "the deadline leaves no time to ask anybody"
    assert result.elapsed_ns >= 10**9


# ---- the command -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "xml"], "--format: 'xml' is none. Choose from: text, json, prometheus."),
        (["--json", "--format", "text"], "--format: --json and 'text' are two. Give one of them."),
        (["--family", "v5"], "--family: 'v5' is none. Choose from: any, v4, v6."),
        (["--quorum", "-5"], "--quorum: -5 is out of range."),
        (["--accuracy", "nan"], "--accuracy: nan is none."),
    ],
)
def test_the_command_names_its_options(arguments: list[str], words: str) -> None:
    done = run("ntp", "query", "127.0.0.1", *arguments, check=2)
    assert words in " ".join(done.stderr.decode().split())


# ---- docstrings --------------------------------------------------------------------------------------------

MODULES = ["time", "fastdate64", "ntp"]
MODULES += [
    f"ntp.{name}" for name in ("client", "clock", "dns_cache", "lower_bound", "metrics", "packet", "result")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_docstrings_are_true(name: str) -> None:
    module = importlib.import_module(f"tickline.{name}")
    assert doctest.testmod(module, extraglobs={"tl": tl}).failed == 0
