"""Queries of live servers on loopback: four that are 10, 20, 30 and 40 ms away, and two that never answer.

    python benchmarks/bench_ntp_live.py [--runs 50]

How long `tl.ntp` takes until one, two, three and four servers agree, against the round trip of the last one
that is needed: no client can be faster. In the same run, with the same servers in the same order: a client
that asks one after another, and a pool of threads; both wait up to a second for each server and check nothing
but that an answer came. The answers are checked: this machine's clock, by which the servers go, must lie in
every interval.
"""

import argparse
import os
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import tickline as tl
from python.ntp_query_support import contains_clock, verdicts
from python.ntp_server_support import SILENT, ntp_servers, server

ROUND_TRIPS_MS = (10, 20, 30, 40)
QUORUM = 3
TIMEOUT_S = 1.0
NTP_EPOCH_S = 2208988800

Address = tuple[str, int]


def offset_of(address: Address) -> float:
    """Ask one server in the plain way: a socket, a request, the four stamps as floats."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.settimeout(TIMEOUT_S)
        t1 = time.time()
        plain.sendto(struct.pack(">B39xQ", 0x23, int((t1 + NTP_EPOCH_S) * 2**32)), address)
        data, _ = plain.recvfrom(256)
        t4 = time.time()
    t2, t3 = (stamp / 2**32 - NTP_EPOCH_S for stamp in struct.unpack(">32xQQ", data))
    return ((t2 - t1) + (t3 - t4)) / 2


def one_after_another(addresses: list[Address]) -> list[float]:
    """Ask in the order given until enough have answered."""
    offsets: list[float] = []
    for address in addresses:
        try:
            offsets.append(offset_of(address))
        except TimeoutError:
            continue
        if len(offsets) == QUORUM:
            break
    return offsets


def pool_of_threads(addresses: list[Address]) -> list[float]:
    """Ask all at once, a thread for each, and take the answers when all threads have ended."""
    with ThreadPoolExecutor(len(addresses)) as pool:
        futures = [pool.submit(offset_of, address) for address in addresses]
    return [future.result() for future in futures if future.exception() is None]


def pool_until_enough(addresses: list[Address]) -> list[float]:
    """Do the same, and go on with enough answers; the threads of the dead servers wait on behind the back."""
    pool = ThreadPoolExecutor(len(addresses))
    futures = [pool.submit(offset_of, address) for address in addresses]
    offsets: list[float] = []
    for future in as_completed(futures):
        if future.exception() is None:
            offsets.append(future.result())
        if len(offsets) == QUORUM:
            break
    pool.shutdown(wait=False)
    return offsets


def times_ms(work: Callable[[], object], runs: int) -> tuple[list[float], float]:
    """Return the wall time of each run in milliseconds, and the CPU time of one on average."""
    found = []
    cpu = time.process_time()
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        found.append((time.perf_counter() - begin) * 1e3)
    return sorted(found), (time.process_time() - cpu) * 1e3 / runs


def line(what: str, found: list[float], cpu_ms: float, limit_ms: float) -> None:
    """Print a row: the median, nine of ten, the worst, and what that is above the limit."""
    median = statistics.median(found)
    most = found[int(0.9 * (len(found) - 1))]
    print(
        f"| {what:<42} | {median:8.2f} | {most:8.2f} | {found[-1]:8.2f} | {median - limit_ms:+9.2f} "
        f"| {limit_ms / median:6.3f} | {cpu_ms:6.2f} |"
    )


def plainly(method: Callable[[list[Address]], list[float]], addresses: list[Address]) -> None:
    """Run a plain client, and see that it found the time."""
    offsets = method(addresses)
    if len(offsets) < QUORUM or max(map(abs, offsets)) > 0.1:
        raise SystemExit(f"{method.__name__} did not find the time: {offsets}")


def query(client: tl.ntp.Client, names: list[str], quorum: int) -> None:
    """Run a query, and see that it found the time and waited for nobody it did not need."""
    result = client.query(names, quorum=quorum)
    if not result.ok or not contains_clock(result):
        raise SystemExit(f"tl.ntp did not find the time: {result}")
    if verdicts(result).count("truechimer") < quorum or result.packets_sent != len(names):
        raise SystemExit(f"tl.ntp asked or believed others than it should: {result}")


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=50)
    arguments = parser.parse_args()
    far = [server(delay_s=milliseconds * 1e-3) for milliseconds in ROUND_TRIPS_MS]
    print(f"four servers {ROUND_TRIPS_MS} ms away, the 2nd and the 5th of six dead; {os.cpu_count()} cores")
    print(f"| {'':<42} |   median |  90 % in |    worst | ms above  | limit/ | CPU ms |")
    print(f"| {'wall ms until':<42} |          |          |          | the limit | median | a run  |")
    print(f"|{'-' * 44}|---------:|---------:|---------:|----------:|-------:|-------:|")
    with ntp_servers(far[0], SILENT, far[1], far[2], SILENT, far[3]) as servers:
        # No headway: a real server must not be asked like this.
        client = tl.ntp.Client(headway_s=0)
        for quorum, limit_ms in enumerate(ROUND_TRIPS_MS, 1):
            found, cpu_ms = times_ms(lambda n=quorum: query(client, servers.names, n), arguments.runs)
            line(f"tl.ntp, {quorum} agree", found, cpu_ms, limit_ms)
        limit_ms = ROUND_TRIPS_MS[QUORUM - 1]
        for method, what, runs in (
            (pool_until_enough, "pool of threads, until 3 answered", arguments.runs),
            (pool_of_threads, "pool of threads, until all have ended", 3),
            (one_after_another, "one after another, until 3 answered", 3),
        ):
            found, cpu_ms = times_ms(lambda m=method: plainly(m, servers.addresses), runs)
            line(what, found, cpu_ms, limit_ms)
        print(f"answers left the servers at most {servers.lateness_s() * 1e3:.2f} ms late")


if __name__ == "__main__":
    main()
