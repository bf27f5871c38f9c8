"""NTP packets: reading and checking them, against ntplib.

    python benchmarks/bench_ntp.py

ntplib reads an answer into an object and has its offset and delay as floats; it checks nothing. Beside it:
the C++ core with all checks (`bench_ntp`, built by the preset release), `tl.ntp.check`, and
`tl.ntp.decode_packets` on 64 MiB of packets. Nanoseconds of this process a packet, and how many times faster
than ntplib. The answers are compared: every offset and delay of ntplib with those of the checks.
"""

import json
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import tickline as tl

try:
    import ntplib
except ImportError:
    raise SystemExit("bench_ntp.py compares with ntplib: scripts/setup.sh bench installs it.") from None

CORE = Path(__file__).resolve().parent.parent / "build" / "release" / "bench_ntp"
COUNT = 64 * 2**20 // 48
SINGLE = 20_000
NTP_1970 = 2_208_988_800


def exchanges(count: int) -> list[tuple[bytes, bytes, int, int]]:
    """Return requests, good answers, T1 and the time until T4 (ns)."""
    rng = random.Random(6)
    policy = tl.ntp.Policy()
    found = []
    for number in range(count):
        sent_s = policy.not_before_s + 86_400 + number
        stamp = sent_s + NTP_1970 << 32
        receive = stamp + rng.getrandbits(26)
        transmit = receive + rng.getrandbits(18)
        request = tl.ntp.Packet.build_request()
        fields = (
            0x24,
            rng.randint(1, 4),
            6,
            -24,
            rng.getrandbits(11),
            rng.getrandbits(11),
            rng.getrandbits(32),
        )
        header = struct.pack(">BBbbIII", *fields) + struct.pack(">Q", stamp - (64 << 32))
        answer = header + request[40:] + struct.pack(">QQ", receive, transmit)
        found.append((request, answer, sent_s * 10**9, 20_000_000))
    return found


def nanoseconds(count: int, work: Callable[[], object]) -> float:
    """Return the time of this process a packet, the best of several rounds."""
    best = float("inf")
    for _ in range(5):
        begin = time.process_time_ns()
        work()
        best = min(best, (time.process_time_ns() - begin) / count)
    return best


def by_ntplib(answer: bytes, t1: float, t4: float) -> tuple[float, float]:
    """Return ntplib's offset and delay (s). T1 is handed in: the request did not tell it to the server."""
    stats = ntplib.NTPStats()
    stats.from_data(answer)
    stats.orig_timestamp = t1
    stats.dest_timestamp = t4
    return stats.offset, stats.delay


def core_ns() -> float:
    """Return what the program in C++ says of reading and checking."""
    if not CORE.is_file():
        raise SystemExit(f"{CORE} is not built: use `make bench`, or cmake --preset release and --build it.")
    command = [str(CORE), "--benchmark_filter=decode_and_check", "--benchmark_format=json"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (found,) = json.loads(output)["benchmarks"]
    if found.get("error_occurred"):
        raise SystemExit(f"bench_ntp: {found['error_message']}")
    return float(found["ns"])


def main() -> int:
    """Measure and print."""
    given = exchanges(SINGLE)
    floats = [
        (answer, t1 / 1e9 + NTP_1970, (t1 + elapsed) / 1e9 + NTP_1970) for _, answer, t1, elapsed in given
    ]
    for (request, answer, t1_ns, elapsed_ns), row in zip(given, floats, strict=True):
        verdict = tl.ntp.check(request, answer, t1_ns=t1_ns, elapsed_ns=elapsed_ns)
        offset, delay = by_ntplib(*row)
        # A float of seconds since 1900 has steps of half a microsecond.
        near = abs(verdict.offset_ns - offset * 1e9) < 2000 and abs(verdict.delay_ns - delay * 1e9) < 3000
        if verdict.kind != "accept" or not near:
            raise SystemExit(f"wrong answer: {verdict}, ntplib says {offset} s and {delay} s")

    many = np.random.default_rng(6).integers(0, 256, COUNT * 48, dtype=np.uint8)
    transmit = tl.ntp.decode_packets(many).column("transmit")
    if not np.array_equal(transmit, many.reshape(COUNT, 48)[:, 40:].copy().view(">u8")[:, 0]):
        raise SystemExit("wrong columns")

    other = nanoseconds(SINGLE, lambda: [by_ntplib(*row) for row in floats])
    rows = {
        "C++: read and check": core_ns(),
        "tl.ntp.check": nanoseconds(
            SINGLE, lambda: [tl.ntp.check(a, b, t1_ns=c, elapsed_ns=d) for a, b, c, d in given]
        ),
        "tl.ntp.decode_packets, 64 MiB": nanoseconds(COUNT, lambda: tl.ntp.decode_packets(many)),
    }
    print(f"{'ntplib, no checks':32} {other:9.1f} ns a packet")
    for name, each in rows.items():
        print(f"{name:32} {each:9.1f} ns a packet   {other / each:7.1f} times ntplib")
    return 0


if __name__ == "__main__":
    sys.exit(main())
