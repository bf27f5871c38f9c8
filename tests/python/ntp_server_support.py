"""NTP servers on loopback that answer as they are told: late, never, lying, kissing, cut, twice, rubbish.

All servers of a test run in one process of their own, so that nothing the test does makes an answer late::

    with ntp_servers(server(delay_s=0.01), SILENT, server(offset_ns=10**9)) as servers:
        result = tl.ntp.query(servers.names)
        assert len(servers.requests()[0]) == 1

A server is a script: for each request the datagrams that come back; the last entry is used again and again.
The network is pretended too: with ``delay_s=0.01`` the stamps are those of an honest server that is 10 ms
away and back, and the answer leaves when it would have arrived. Stamps come from the kernel, so a late
process adds to the way back and to nothing else. The process ends with its standard input, also when the
tests are killed.

Only the standard library is needed: the benchmarks use it too, and this file is the program as well.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import itertools
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NTP_EPOCH_S = 2208988800  # of Unix time, RFC 5905 figure 4
HEADER = struct.Struct(">BBbbIIIQQQQ")  # RFC 5905 figure 8
SO_TIMESTAMPNS = 35  # Linux; Python has no name for it
SPIN_NS = 200_000  # the last bit of a wait is spent awake: a sleep ends up to 0.1 ms late
START_SECONDS = 30.0


@dataclass(frozen=True)
class Answer:
    """One datagram in answer to a request.

    Attributes
    ----------
    delay_s, outward : float
        The network's way there and back in seconds, and the share of the way there.
    held_s : float
        Between receiving and sending; may be a claim only: see `claimed_s`.
    claimed_s : float
        By how much longer the server claims to have held the request than it did.
    offset_ns : int
        By how much the server's clock is wrong.
    reference_age_s : float
        Seconds since the server's clock was last set.
    fields : dict
        Fields of the header that are not what they would be: ``{"stratum": 16}``, ``{"origin": 0}``.
    origin_xor : int
        Bits of the origin that are wrong.
    cut : int or None
        The datagram ends behind so many octets.
    tail : str
        What stands behind the header, in hex.
    noise : int or None
        So many random octets are sent in place of an answer.
    reflect : bool
        The request itself is sent back.
    elsewhere : bool
        The answer comes from another port of the same address.
    times, gap_s
        It is sent so many times, with so many seconds between.
    """

    delay_s: float = 0.0
    outward: float = 0.5
    held_s: float = 0.0
    claimed_s: float = 0.0
    offset_ns: int = 0
    reference_age_s: float = 10.0
    fields: dict[str, int] = field(default_factory=dict)
    origin_xor: int = 0
    cut: int | None = None
    tail: str = ""
    noise: int | None = None
    reflect: bool = False
    elsewhere: bool = False
    times: int = 1
    gap_s: float = 0.0

    def payload(self, request: bytes, arrived_ns: int) -> tuple[bytes, int]:
        """Return the datagram, and Unix time in nanoseconds at which it leaves."""
        received = arrived_ns + int(self.outward * self.delay_s * 1e9)
        sent = received + int(self.held_s * 1e9)
        leaves = sent + int((1 - self.outward) * self.delay_s * 1e9)
        if self.noise is not None:
            return random.randbytes(self.noise), leaves
        if self.reflect:
            return request, leaves
        data = self._header(request, received, sent) + bytes.fromhex(self.tail)
        return data[: self.cut], leaves

    def _header(self, request: bytes, received: int, sent: int) -> bytes:
        values = {
            "leap": 0,
            "version": request[0] >> 3 & 7,
            "mode": 4,
            "stratum": 2,
            "poll": 0,
            "precision": -20,
            "root_delay": 0x40,  # 2^-16 s: 1 ms
            "root_dispersion": 0x20,
            "reference_id": 0xC0000201,
            "reference": ntp64(sent + self.offset_ns - int(self.reference_age_s * 1e9)),
            "origin": int.from_bytes(request[40:48], "big") ^ self.origin_xor,
            "receive": ntp64(received + self.offset_ns),
            "transmit": ntp64(sent + int(self.claimed_s * 1e9) + self.offset_ns),
            **self.fields,
        }
        first = values.pop("leap") << 6 | values.pop("version") << 3 | values.pop("mode")
        return HEADER.pack(first, *values.values())


@dataclass(frozen=True)
class Server:
    """What a server answers, request by request, and where it listens.

    `refuses`: the port is taken, and the system refuses what is sent to it.
    """

    script: tuple[tuple[Answer, ...], ...]
    address: str = "127.0.0.1"
    port: int = 0
    refuses: bool = False

    def at(self, address: str) -> Server:
        """Return the same at another address."""
        return Server(self.script, address, self.port, self.refuses)


@dataclass(frozen=True)
class Request:
    """A datagram that a server got: when (monotonic), from which port, what."""

    monotonic_ns: int
    port: int
    data: bytes


def server(**answer: Any) -> Server:
    """Return a server that gives the same answer to every request."""
    return Server(((Answer(**answer),),))


def scripted(*script: tuple[Answer, ...] | Answer) -> Server:
    """Return a server that answers the first request with the first entry, and so on."""
    return Server(tuple((entry,) if isinstance(entry, Answer) else entry for entry in script))


def kissing(code: str) -> Server:
    """Return a server that answers with this kiss code (RFC 5905 section 7.4)."""
    return server(fields={"leap": 3, "stratum": 0, "reference_id": int.from_bytes(code.encode(), "big")})


HONEST = server()
SILENT = Server(((),))
REFUSING = Server(((),), refuses=True)


def ntp64(unix_ns: int) -> int:
    """Return the NTP stamp of a Unix time, of whatever era."""
    seconds, rest = divmod(unix_ns, 10**9)
    return (seconds + NTP_EPOCH_S) % 2**32 << 32 | (rest << 32) // 10**9


# ---- for tests --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def talking_to(*command: str) -> Iterator[Callable[[object], Any]]:
    """Run a process that answers each line of JSON with one; gives how to ask it, from any thread.

    It ends with its standard input, or is killed.
    """
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    one_asks = threading.Lock()

    def ask(words: object) -> Any:
        with one_asks:
            process.stdin.write(json.dumps(words) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
        assert answer, f"the process has ended: {command[-1]}"
        return json.loads(answer)

    try:
        yield ask
    finally:
        process.stdin.close()
        try:
            process.wait(START_SECONDS)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class Servers:
    """Servers that run.

    Attributes
    ----------
    names : list of str
        ``address:port`` of each, in order.
    """

    def __init__(self, ask: Callable[[object], Any], servers: tuple[Server, ...]) -> None:
        self._ask = ask
        self.addresses = [(str(host), int(port)) for host, port in self._ask([*map(asdict, servers)])]
        self.names = [(f"[{host}]" if ":" in host else host) + f":{port}" for host, port in self.addresses]

    def requests(self) -> list[list[Request]]:
        """Return what each server got so far."""
        return [
            [Request(when, port, bytes.fromhex(data)) for when, port, data in each]
            for each in self._ask("requests")
        ]

    def counts(self) -> list[int]:
        """Return how many requests each server got so far."""
        return [len(each) for each in self.requests()]

    def lateness_s(self) -> float:
        """Return by how much an answer left later than it was meant to, at worst."""
        return float(self._ask("lateness")) * 1e-9

    def change(self, index: int, script: Server) -> None:
        """Let a server answer otherwise from now on."""
        self._ask([index, asdict(script)["script"]])


@contextlib.contextmanager
def ntp_servers(*servers: Server) -> Iterator[Servers]:
    """Run servers in a process of their own until the block ends.

    Servers with the same `port` other than 0 and different addresses share the port that is free on all of
    them: it stands for any one.
    """
    with talking_to(sys.executable, "-S", "-E", str(Path(__file__).resolve())) as ask:
        yield Servers(ask, servers)


# ---- the process ------------------------------------------------------------------------------------------


def open_socket(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def open_sockets(servers: list[dict[str, Any]]) -> list[socket.socket]:
    """Bind all; those that share a port try again together where it is taken on one of them."""
    for _ in range(100):
        ports: dict[int, int] = {0: 0}
        opened: list[socket.socket] = []
        try:
            for each in servers:
                opened.append(open_socket(each["address"], ports.get(each["port"], 0)))
                if each["port"]:
                    ports[each["port"]] = opened[-1].getsockname()[1]
        except OSError as error:
            for one in opened:
                one.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return opened
    raise SystemExit("no port is free on all addresses")


class World:
    """All servers of the process, and the datagrams that are on their way."""

    def __init__(self, servers: list[dict[str, Any]]) -> None:
        self.sockets = open_sockets(servers)
        self.scripts = [self.script(each["script"]) for each in servers]
        self.requests: list[list[tuple[int, int, str]]] = [[] for _ in servers]
        self.others: dict[int, socket.socket] = {}
        self.pending: list[tuple[int, int, int, Answer, bytes, Any]] = []
        self.lateness_ns = 0
        self.order = itertools.count()
        for one, each in zip(self.sockets, servers, strict=True):
            if each["refuses"]:
                # What is not from this peer finds no socket, and the port stays taken.
                one.connect((one.getsockname()[0], 9))

    @staticmethod
    def script(entries: list[list[dict[str, Any]]]) -> list[list[Answer]]:
        return [[Answer(**answer) for answer in entry] for entry in entries]

    def run(self) -> None:
        while True:
            wait = self.send_due()
            ready, _, _ = select.select([0, *self.sockets], [], [], wait)
            for one in ready:
                if one == 0:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    print(json.dumps(self.told(json.loads(line))), flush=True)
                else:
                    self.receive(self.sockets.index(one))

    def told(self, words: Any) -> Any:
        """Answer one line of the test."""
        if words == "requests":
            return self.requests
        if words == "lateness":
            return self.lateness_ns
        index, script = words
        # The script begins anew, the requests are kept.
        self.scripts[index] = [[]] * len(self.requests[index]) + self.script(script)
        return None

    def receive(self, index: int) -> None:
        try:
            data, ancillary, _, sender = self.sockets[index].recvmsg(65_536, 64)
        except OSError:
            return
        wall, now = time.time_ns(), time.monotonic_ns()
        arrived = wall
        for _, kind, value in ancillary:
            if kind == SO_TIMESTAMPNS:
                seconds, rest = struct.unpack("@qq", value)
                arrived = min(wall, seconds * 10**9 + rest)
        count = len(self.requests[index])
        self.requests[index].append((now - (wall - arrived), sender[1], data.hex()))
        if len(data) < HEADER.size:
            return
        script = self.scripts[index]
        for answer in script[min(count, len(script) - 1)]:
            payload, leaves = answer.payload(data, arrived)
            self.push(now + leaves - wall, index, answer, payload, [sender, 0])

    def push(self, due: int, index: int, answer: Answer, payload: bytes, to: Any) -> None:
        heapq.heappush(self.pending, (due, next(self.order), index, answer, payload, to))

    def send_due(self) -> float | None:
        """Send what is due; return how long to wait for the next one, None without any."""
        for _ in range(1000):  # then listen in between, also during a flood
            if not self.pending:
                return None
            due = self.pending[0][0]
            wait = due - time.monotonic_ns()
            if wait > SPIN_NS:
                return (wait - SPIN_NS) * 1e-9
            _, _, index, answer, payload, (sender, sent) = heapq.heappop(self.pending)
            while time.monotonic_ns() < due:
                pass
            self.lateness_ns = max(self.lateness_ns, time.monotonic_ns() - due)
            with contextlib.suppress(OSError):
                self.source(index, answer).sendto(payload, sender)
            if sent + 1 < answer.times:
                if answer.noise is not None:
                    payload = random.randbytes(answer.noise)
                self.push(due + int(answer.gap_s * 1e9), index, answer, payload, [sender, sent + 1])
        return 0

    def source(self, index: int, answer: Answer) -> socket.socket:
        if not answer.elsewhere:
            return self.sockets[index]
        if index not in self.others:
            self.others[index] = open_socket(self.sockets[index].getsockname()[0], 0)
        return self.others[index]


def main() -> None:
    world = World(json.loads(sys.stdin.readline()))
    # The reader may hold lines that select does not see: none is sent before the last one is answered.
    print(json.dumps([one.getsockname()[:2] for one in world.sockets]), flush=True)
    world.run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
    os._exit(0)
