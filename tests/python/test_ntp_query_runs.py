"""How queries run: deadlines, Ctrl-C, threads, asyncio, ends of programs, and arguments that are none."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tickline as tl
from python.ntp_query_support import AT_ONCE_NS, MOMENT_S, PATIENCE_S, contains_clock, verdicts
from python.ntp_server_support import HONEST, SILENT, Servers, ntp_servers, server
from tickline.errors import UsageError

# Longer than any test may take.
FOR_EVER_S = 600.0


# ---- deadlines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4, 30])
def test_silent_servers_cost_the_deadline_and_no_more(count: int) -> None:
    with ntp_servers(*[SILENT] * count) as servers:
        result = tl.ntp.Client().query(servers.names, quorum=1, deadline_s=MOMENT_S)
    assert (result.ok, set(verdicts(result)) - {"not_asked"}) == (False, {"silent"})
    assert MOMENT_S * 1e9 <= result.elapsed_ns < AT_ONCE_NS
    assert result.why
    assert result.interval_ns is None


def test_one_good_answer_among_silent_servers_is_not_lost() -> None:
    with ntp_servers(*[SILENT] * 30, HONEST) as servers:
        result = tl.ntp.Client().query(servers.names, quorum=1, deadline_s=PATIENCE_S)
    assert result.ok
    assert verdicts(result)[-1] == "truechimer"


def test_answers_that_came_before_the_deadline_are_reported_without_a_quorum() -> None:
    with ntp_servers(HONEST, HONEST, SILENT, SILENT) as servers:
        result = tl.ntp.Client().query(servers.names, deadline_s=MOMENT_S)
    assert not result.ok
    assert verdicts(result) == ["unconfirmed"] * 2 + ["silent"] * 2
    assert len(result.samples) == 2


def test_a_name_that_is_looked_up_for_ever_does_not_pass_the_deadline() -> None:
    release = threading.Event()

    def look_up(host: str, family: str) -> list[str]:
        release.wait(FOR_EVER_S)
        return ["127.0.0.1"]

    client = tl.ntp.Client(dns_cache=tl.ntp.DnsCache(look_up))
    try:
        with ntp_servers(HONEST) as servers:
            alone = client.query(["hangs.test"], quorum=1, deadline_s=MOMENT_S)
            both = client.query(["hangs.test", *servers.names], quorum=1, deadline_s=PATIENCE_S)
    finally:
        release.set()
    assert not alone.ok
    assert MOMENT_S * 1e9 <= alone.elapsed_ns < AT_ONCE_NS
    assert alone.packets_sent == 0
    assert alone.servers[0].why
    assert both.ok
    assert both.elapsed_ns < AT_ONCE_NS


def test_the_deadline_also_holds_while_the_resolver_answers_with_nonsense() -> None:
    client = tl.ntp.Client(dns_cache=tl.ntp.DnsCache(lambda host, family: ["no address", ""]))
    result = client.query(["nonsense.test"], quorum=1, deadline_s=PATIENCE_S)
    assert verdicts(result) == ["unreachable"]
    assert result.elapsed_ns < AT_ONCE_NS


# ---- Ctrl-C and the ends of programs -----------------------------------------------------------------------

WAITS = """
import sys, threading, time, tickline as tl
names, how = sys.argv[2:], sys.argv[1]

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(0.3)  # the interpreter takes so long to shut down
slow = Slow()

def ask():
    return tl.ntp.Client().query(names, quorum=1, deadline_s=600)

if how == "asyncio":
    import asyncio
    ask = lambda: asyncio.run(tl.ntp.Client().aquery(names, quorum=1, deadline_s=600))
if how == "daemon":
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    print("asking", flush=True)
    sys.stdin.readline()
    sys.exit(7)
print("asking", flush=True)
try:
    ask()
except KeyboardInterrupt:
    sys.exit(7)
"""


def run_waiting(how: str, names: list[str]) -> subprocess.Popen[str]:
    """Start a program that asks, and wait until it does so."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, how, *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asking\n"
    return process


def wait_for_requests(servers: Servers) -> None:
    """Wait until the first server was asked."""
    deadline = time.monotonic() + PATIENCE_S
    while not servers.counts()[0]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["query", "asyncio"])
def test_ctrl_c_ends_a_query_at_once(how: str) -> None:
    with ntp_servers(SILENT) as servers:
        process = run_waiting(how, servers.names)
        try:
            wait_for_requests(servers)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, errors) == (7, "")


def test_ctrl_c_ends_the_look_up_of_a_name_too() -> None:
    code = WAITS.replace("tl.ntp.Client()", "tl.ntp.Client(dns_cache=cache)").replace(
        "def ask", "cache = tl.ntp.DnsCache(lambda host, family: time.sleep(600))\ndef ask", 1
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "query", "hangs.test"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "asking\n"
        time.sleep(MOMENT_S)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (7, "")


def test_a_program_may_end_while_a_thread_asks() -> None:
    with ntp_servers(SILENT) as servers:
        process = run_waiting("daemon", servers.names)
        try:
            wait_for_requests(servers)
            _, errors = process.communicate("\n", timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, errors) == (7, "")


# ---- threads -----------------------------------------------------------------------------------------------


def test_other_threads_run_while_a_query_waits() -> None:
    ticks = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.005):
            ticks.append(time.monotonic_ns())

    thread = threading.Thread(target=tick)
    with ntp_servers(SILENT) as servers:
        thread.start()
        try:
            begin = time.monotonic_ns()
            tl.ntp.Client().query(servers.names, quorum=1, deadline_s=MOMENT_S)
            end = time.monotonic_ns()
        finally:
            done.set()
            thread.join()
    assert sum(begin < tick < end for tick in ticks) >= 5


def test_threads_share_a_client() -> None:
    client = tl.ntp.Client(headway_s=0)

    def ask(names: list[str]) -> list[tl.ntp.Result]:
        return [client.query(names, deadline_s=PATIENCE_S) for _ in range(20)]

    with ntp_servers(*[HONEST] * 24) as servers, ThreadPoolExecutor(6) as pool:
        apart = [servers.names[at : at + 4] for at in range(0, 24, 4)]
        results = [result for each in pool.map(ask, apart) for result in each]
        assert all(result.ok for result in results), {result.why for result in results}
        # The same servers asked by all threads at once.
        results = [result for each in pool.map(ask, [servers.names[:4]] * 6) for result in each]
        assert all(result.ok for result in results), {result.why for result in results}
    assert all(contains_clock(result) for result in results)


def test_queries_leave_no_sockets_behind() -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("there is no /proc to count descriptors in")
    client = tl.ntp.Client(headway_s=0)
    with ntp_servers(HONEST, SILENT, *[HONEST] * 3) as servers:
        client.query(servers.names, deadline_s=PATIENCE_S)
        gc.collect()
        before = len(os.listdir(folder))  # noqa: PTH208
        for _ in range(50):
            client.query(servers.names, deadline_s=PATIENCE_S)
        client.query(servers.names[1:2], quorum=1, deadline_s=0.01)
        gc.collect()
        assert len(os.listdir(folder)) <= before  # noqa: PTH208


# ---- asyncio -----------------------------------------------------------------------------------------------


def test_aquery_gives_the_time() -> None:
    with ntp_servers(*[HONEST] * 3) as servers:
        result = asyncio.run(tl.ntp.aquery(servers.names, deadline_s=PATIENCE_S))
    assert result.ok, result.why
    assert contains_clock(result)


def test_queries_of_one_loop_run_side_by_side() -> None:
    async def ask_all(names: list[str]) -> list[tl.ntp.Result]:
        client = tl.ntp.Client()
        return await asyncio.gather(
            *[client.aquery([name], quorum=1, deadline_s=PATIENCE_S) for name in names]
        )

    with ntp_servers(*[server(delay_s=1.0)] * 4) as servers:
        begin = time.monotonic_ns()
        results = asyncio.run(ask_all(servers.names))
        took_ns = time.monotonic_ns() - begin
    assert all(result.ok for result in results)
    assert took_ns < sum(result.elapsed_ns for result in results) * 0.75


def test_the_loop_runs_on_while_a_query_waits() -> None:
    async def count(names: list[str]) -> int:
        task = asyncio.create_task(tl.ntp.Client().aquery(names, quorum=1, deadline_s=MOMENT_S))
        turns = 0
        while not task.done():
            await asyncio.sleep(0.005)
            turns += 1
        return turns

    with ntp_servers(SILENT) as servers:
        assert asyncio.run(count(servers.names)) >= 5


@pytest.mark.parametrize("way", ["cancel", "timeout"])
def test_a_cancelled_query_ends_and_its_thread_too(way: str) -> None:
    async def ask(names: list[str]) -> None:
        client = tl.ntp.Client()
        query = client.aquery(names, quorum=1, deadline_s=FOR_EVER_S)
        if way == "timeout":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(query, MOMENT_S)
            return
        task = asyncio.create_task(query)
        await asyncio.sleep(MOMENT_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with ntp_servers(SILENT) as servers:
        begin = time.monotonic_ns()
        asyncio.run(ask(servers.names))  # waits for all threads that it started
        assert time.monotonic_ns() - begin < AT_ONCE_NS


# ---- arguments ---------------------------------------------------------------------------------------------

USELESS: dict[str, tuple[list[str], dict[str, object]]] = {
    "no servers": ([], {}),
    "no quorum": (["127.0.0.1"], {"quorum": 0}),
    "fewer names than the quorum": (["127.0.0.1", "127.0.0.2"], {}),
    "no time": (["127.0.0.1"] * 3, {"deadline_s": 0}),
    "negative time": (["127.0.0.1"] * 3, {"deadline_s": -1}),
    "time that is no number": (["127.0.0.1"] * 3, {"deadline_s": math.nan}),
    "port 0": (["127.0.0.1:0"], {"quorum": 1}),
    "port 65536": (["127.0.0.1:65536"], {"quorum": 1}),
    "port that is a word": (["127.0.0.1:ntp"], {"quorum": 1}),
    "empty name": ([""], {"quorum": 1}),
    "only a port": ([":123"], {"quorum": 1}),
    "open bracket": (["[::1"], {"quorum": 1}),
    "brackets around a name": (["[time.example.org]:123"], {"quorum": 1}),
    "NUL": (["time\0.example.org"], {"quorum": 1}),
    "blank": (["time example.org"], {"quorum": 1}),
    "very long": (["x" * 100_000], {"quorum": 1}),
}


@pytest.mark.parametrize("case", USELESS)
def test_what_cannot_be_asked_is_said_in_a_sentence(case: str) -> None:
    names, options = USELESS[case]
    result = tl.ntp.Client().query(names, **{"deadline_s": PATIENCE_S, **options})
    assert not result.ok
    assert result.why
    assert len(result.why) < 1000
    assert (result.packets_sent, result.interval_ns) == (0, None)
    assert len(result.servers) in (0, len(names))
    assert result.elapsed_ns < AT_ONCE_NS


def test_one_name_that_is_none_is_pointed_out_and_nobody_is_asked() -> None:
    with ntp_servers(*[HONEST] * 3) as servers:
        result = tl.ntp.Client().query([*servers.names[:2], "[::1", servers.names[2]], deadline_s=PATIENCE_S)
        assert servers.counts() == [0, 0, 0]
    assert not result.ok
    assert "3 of 4" in result.why


def test_a_family_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="family"):
        tl.ntp.Client().query(["127.0.0.1"], family="v5")


@pytest.mark.parametrize("headway_s", [-1, math.nan, math.inf])
def test_a_headway_that_is_no_time_is_refused(headway_s: float) -> None:
    with pytest.raises(UsageError, match="headway"):
        tl.ntp.Client(headway_s=headway_s)


def test_a_deadline_beyond_all_numbers_is_taken_as_very_long() -> None:
    with ntp_servers(*[HONEST] * 3) as servers:
        assert tl.ntp.Client().query(servers.names, deadline_s=10**400).ok
        assert tl.ntp.Client().query(servers.names, deadline_s=math.inf).ok
        assert tl.ntp.Client().query(servers.names, deadline_s=1e300).ok
