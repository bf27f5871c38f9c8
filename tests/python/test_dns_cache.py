"""tl.ntp.DnsCache: resolvers of one's own, waiting and not waiting, and the end of the interpreter."""

from __future__ import annotations

import errno
import ipaddress
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tickline.errors import SourceError, UsageError
from tickline.ntp.dns_cache import FAMILIES, DnsCache


class Played:
    """A resolver that knows four kinds of names, and waits at a gate for those that begin with "hang"."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.gate = threading.Event()
        self.daemons: list[bool] = []

    def __call__(self, host: str, family: str) -> list[str]:
        self.calls.append((host, family))
        self.daemons.append(threading.current_thread().daemon)
        if host.startswith("hang"):
            self.gate.wait(60)
        if host.startswith("bad"):
            raise OSError(errno.EIO, "the cable is cut")
        return ["192.0.2.1", "2001:db8::1"]


@pytest.fixture
def played() -> Iterator[Played]:
    resolver = Played()
    yield resolver
    resolver.gate.set()


def test_a_name_is_looked_up_once_and_then_answered_from_memory(played: Played) -> None:
    cache = DnsCache(played)
    for _ in range(5):
        assert cache.look_up("a.example", timeout_s=60) == ["192.0.2.1", "2001:db8::1"]
    assert played.calls == [("a.example", "any")]
    assert played.daemons == [True]
    stats = cache.stats
    assert (stats.hits, stats.misses, stats.look_ups, stats.entries) == (4, 1, 1, 1)
    assert stats.hit_ratio == 0.8
    cache.clear()
    assert cache.stats.entries == 0
    cache.look_up("a.example", timeout_s=60)
    assert len(played.calls) == 2


def test_a_family_gets_its_addresses_only(played: Played) -> None:
    cache = DnsCache(played)
    assert cache.look_up("a.example", "v4", timeout_s=60) == ["192.0.2.1"]
    assert cache.look_up("a.example", "v6", timeout_s=60) == ["2001:db8::1"]
    assert [family for _, family in played.calls] == ["v4", "v6"]
    with pytest.raises(SourceError, match="no address of the wanted family"):
        DnsCache(lambda host, family: ["192.0.2.1"]).look_up("a.example", "v6", timeout_s=60)


def test_the_system_is_asked_by_default() -> None:
    cache = DnsCache()
    assert "127.0.0.1" in cache.look_up("localhost", "v4", timeout_s=60)
    assert cache.stats.failures == 0


def test_a_failure_says_why_and_is_remembered(played: Played) -> None:
    cache = DnsCache(played)
    for _ in range(5):
        with pytest.raises(SourceError, match="the cable is cut") as caught:
            cache.look_up("bad.example", timeout_s=60)
        assert caught.value.where == "bad.example"
    assert len(played.calls) == 1
    assert (cache.stats.failures, cache.stats.negative_hits) == (1, 4)


def test_nobody_waits_longer_than_he_wants_and_other_names_do_not_wait_at_all(played: Played) -> None:
    cache = DnsCache(played)
    begin = time.monotonic()
    for number in range(30):
        with pytest.raises(SourceError, match="has not ended") as caught:
            cache.look_up(f"hang{number}", timeout_s=0.001)
        assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - begin < 60
    assert cache.look_up("a.example", timeout_s=60)
    assert cache.stats.pending == 30
    played.gate.set()
    assert cache.look_up("hang0", timeout_s=60)
    assert played.calls.count(("hang0", "any")) == 1


def test_more_look_ups_than_threads_are_done_one_after_another(played: Played) -> None:
    cache = DnsCache(played, max_entries=200)
    for number in range(150):
        with pytest.raises(SourceError, match="has not ended"):
            cache.look_up(f"hang{number}", timeout_s=0)
    deadline = time.monotonic() + 60
    while len(played.calls) < 64:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert len([one for one in threading.enumerate() if one.name == "tickline-dns"]) < 64 + 20
    played.gate.set()
    for number in range(150):
        assert cache.look_up(f"hang{number}", timeout_s=60)
    assert sorted(played.calls) == sorted((f"hang{number}", "any") for number in range(150))


def test_threads_that_ask_together_share_one_look_up(played: Played) -> None:
    cache = DnsCache(played)
    found: list[list[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.look_up("hang", timeout_s=60))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    while cache.stats.misses + cache.stats.joined < 10:
        time.sleep(0.001)
    played.gate.set()
    for thread in threads:
        thread.join()
    assert len(found) == 10
    assert len(played.calls) == 1
    assert (cache.stats.misses, cache.stats.joined, cache.stats.hits) == (1, 9, 0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ([], "no address of the wanted family"),
        (["192.0.2.1", "nonsense"], "nonsense: not an IPv4 or IPv6 address"),
        (["fe80::1%no-such-interface"], "no interface"),
        (["fe80::1%0"], "no interface"),
        (["fe80::1%4294967296"], "no interface"),
        ("192.0.2.1", "not an IPv4 or IPv6 address"),
        (None, "TypeError"),
    ],
)
def test_a_resolver_that_answers_nonsense_has_failed(answer: list[str], why: str) -> None:
    with pytest.raises(SourceError, match=why):
        DnsCache(lambda host, family: answer).look_up("a.example", timeout_s=60)


def test_a_resolver_that_ends_its_thread_has_failed() -> None:
    def ending(host: str, family: str) -> list[str]:
        sys.exit(3)

    with pytest.raises(SourceError, match="SystemExit: 3"):
        DnsCache(ending).look_up("a.example", timeout_s=60)


def test_a_resolver_may_answer_without_end_and_with_addresses_of_other_types() -> None:
    def endless(host: str, family: str) -> Iterator[ipaddress.IPv4Address]:
        number = 0
        while True:
            number += 1
            yield ipaddress.IPv4Address(number)

    assert len(DnsCache(endless).look_up("a.example", timeout_s=60)) == 64
    scoped = DnsCache(lambda host, family: ["fe80::1%7", "::ffff:192.0.2.1"])
    assert scoped.look_up("a.example", timeout_s=60) == ["fe80::1%7", "192.0.2.1"]


def test_times_can_be_set_to_nothing(played: Played) -> None:
    cache = DnsCache(played, ttl_s=0, negative_ttl_s=0, stale_s=0)
    for _ in range(3):
        assert cache.look_up("a.example", timeout_s=60)
        with pytest.raises(SourceError, match="the cable is cut"):
            cache.look_up("bad.example", timeout_s=60)
    assert len(played.calls) == 6


def test_an_old_answer_serves_while_the_name_is_looked_up_anew(played: Played) -> None:
    gate = threading.Event()
    answers = iter([["192.0.2.1"], ["192.0.2.2"]])

    def slower(host: str, family: str) -> list[str]:
        if played.calls:
            gate.wait(60)
        played.calls.append((host, family))
        return next(answers)

    cache = DnsCache(slower, ttl_s=0, stale_s=3600)
    assert cache.look_up("a.example", timeout_s=60) == ["192.0.2.1"]
    assert cache.look_up("a.example", timeout_s=0) == ["192.0.2.1"]
    gate.set()
    while len(played.calls) < 2 or cache.stats.pending:
        time.sleep(0.001)
    assert cache.look_up("a.example", timeout_s=0) == ["192.0.2.2"]
    gate.clear()


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"ttl_s": -1.0}, "ttl_s"),
        ({"negative_ttl_s": float("nan")}, "negative_ttl_s"),
        ({"stale_s": float("inf")}, "stale_s"),
        ({"max_entries": 0}, "max_entries"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, float], where: str) -> None:
    with pytest.raises(UsageError) as caught:
        DnsCache(None, **given)
    assert caught.value.where == where


def test_questions_that_cannot_be_meant_are_refused() -> None:
    cache = DnsCache()
    with pytest.raises(UsageError, match="any, v4, v6"):
        cache.look_up("localhost", "v5")
    with pytest.raises(UsageError, match="no time"):
        cache.look_up("localhost", timeout_s=-1)
    for host in ("", "a\0b", "a" * 300):
        with pytest.raises(SourceError, match="no name of a host"):
            cache.look_up(host)
    assert FAMILIES == ("any", "v4", "v6")
    assert DnsCache(ttl_s=1e300, stale_s=1e300).look_up("127.0.0.1") == ["127.0.0.1"]


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    head = "import os, signal, sys, threading, time\nfrom tickline.ntp.dns_cache import DnsCache\n"
    return subprocess.run(
        [sys.executable, "-c", head + program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.parametrize(
    "resolver",
    [
        "lambda host, family: time.sleep(1000)",  # hangs for good
        "lambda host, family: ['192.0.2.1']",  # ends at any moment
        "lambda host, family: time.sleep(0.001) or ['192.0.2.1']",
        "None",
    ],
)
def test_the_interpreter_ends_whatever_is_being_looked_up(resolver: str) -> None:
    program = f"""
cache = DnsCache({resolver}, max_entries=1000)
for number in range(300):
    try:
        cache.look_up("127.0.0." + str(number % 250) if {resolver == "None"} else f"a{{number}}", timeout_s=0)
    except OSError:
        pass
print("done")
"""
    for _ in range(5):
        ran = run(program)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "done\n", "")


def test_a_cache_that_is_gone_leaves_no_thread_and_no_descriptor() -> None:
    ran = run("""
def left():
    return threading.active_count(), len(os.listdir("/proc/self/fd"))
before = left()
caches = [DnsCache(lambda host, family: ["192.0.2.1"]) for _ in range(20)]
for cache in caches:
    cache.look_up("a.example", timeout_s=60)
most = left()
del cache, caches
until = time.monotonic() + 60
while left() != before and time.monotonic() < until:
    time.sleep(0.001)
print(most[0] >= before[0] + 20, most[1] >= before[1] + 40, left() == before)
""")
    assert (ran.stdout, ran.stderr) == ("True True True\n", "")


def test_a_child_of_fork_looks_names_up_with_threads_of_its_own() -> None:
    ran = run(
        """
gate = threading.Event()
def resolver(host, family):
    if host == "hang" and os.getpid() == parent:
        gate.wait(1000)
    return ["192.0.2.1"]
parent = os.getpid()
caches = [DnsCache(resolver), DnsCache()]
for host in ("a", "hang"):
    try:
        caches[0].look_up(host, timeout_s=1 if host == "hang" else 600)
    except OSError:
        pass
gone = DnsCache(resolver)
del gone
child = os.fork()
if child == 0:
    good = caches[0].look_up("hang", timeout_s=60) == caches[0].look_up("b", timeout_s=60) == ["192.0.2.1"]
    good = good and caches[1].look_up("127.0.0.1", timeout_s=60) == ["127.0.0.1"]
    os._exit(0 if good else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(caches[0].look_up("c", timeout_s=60))
""",
        PYTHONWARNINGS="ignore",
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "0\n['192.0.2.1']\n", "")


def test_ctrl_c_ends_the_waiting() -> None:
    begin = time.monotonic()
    ran = run("""
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    DnsCache(lambda host, family: time.sleep(1000)).look_up("a", timeout_s=500)
except KeyboardInterrupt:
    print("interrupted")
""")
    assert (ran.returncode, ran.stdout) == (0, "interrupted\n")
    assert time.monotonic() - begin < 400
    assert signal.getsignal(signal.SIGINT) is not None
