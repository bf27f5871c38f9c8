"""The real chronyd for the tests, as a process that touches neither the machine's clock nor its own chronyd.

``scripts/setup.sh test`` unpacks Debian's package; without it the tests that need it are skipped. Each
chronyd runs with ``-x`` (the clock is not its business), listens on loopback or inside a network namespace of
the test, and dies with the process that started it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from python.ntp_server_support import talking_to

START_SECONDS = 30.0
# Loopback has many addresses: the look whether it runs is not counted against the limits of those who ask.
PROBE = "127.0.0.99"

SYNCHRONISED = ("local stratum 3", "allow")
UNSYNCHRONISED = ("allow",)


def find_chronyd() -> str | None:
    """Return the program: where `scripts/setup.sh test` unpacks it, or the machine's own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    unpacked = cache / "tickline" / "bin" / "chronyd"
    places = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return str(unpacked) if unpacked.is_file() else shutil.which("chronyd", path=places)


def need_chronyd() -> str:
    """Return the program, or skip the test."""
    program = find_chronyd()
    if program is None:
        pytest.skip("chronyd is not there: scripts/setup.sh test unpacks it on Debian")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not there: a chronyd could outlive the tests")
    return program


def command(program: str, folder: Path, lines: Sequence[str], port: int) -> list[str]:
    """Write the configuration into a folder of its own; return how to run it in the foreground.

    It is killed when the thread that started it ends, however that comes about.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "chrony.conf"
    user = pwd.getpwuid(os.geteuid()).pw_name
    always = [f"port {port}", "cmdport 0", "bindcmdaddress /", f"pidfile {folder / 'pid'}", f"user {user}"]
    config.write_text("\n".join([*always, *lines]) + "\n")
    return ["setpriv", "--pdeathsig", "KILL", program, "-x", "-d", "-U", "-f", str(config)]


@contextlib.contextmanager
def chronyd(folder: Path, *lines: str, address: str = "127.0.0.1") -> Iterator[str]:
    """Run chronyd with these lines of configuration on loopback; gives ``address:port``."""
    program = need_chronyd()
    for _ in range(5):
        port = _free_port(address)
        here = [f"bindaddress {address}", *lines]
        with (folder / f"chronyd-{port}.log").open("wb") as log:
            words = command(program, folder / f"chronyd-{port}", here, port)
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                # Another test may have taken the port in between: then this process has ended.
                if _answers(address, port, process):
                    yield f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
                    return
            finally:
                process.kill()
                process.wait()
    pytest.fail("chronyd does not start: " + Path(log.name).read_text())


@dataclass(frozen=True)
class NetworkServer:
    """A chronyd in a namespace of its own; ``{0}`` in a line stands for the address of the first one."""

    lines: tuple[str, ...]
    lies_ns: int = 0


Ask = Callable[..., dict[str, Any]]
"""Takes the arguments of `Client.query`, gives the fields of its result, and whether it `holds` the time."""


@contextlib.contextmanager
def chronyd_network(folder: Path, *servers: NetworkServer) -> Iterator[tuple[list[str], Ask]]:
    """Run several chronyd, each in a network namespace; gives their addresses, and how to query them."""
    need_chronyd()
    # Root needs no namespace of users, and others are root in one of their own where the system lets them.
    apart = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("ip") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces: there is no ip(8), or no right to make them")
    driver = Path(__file__).with_name("chronyd_network_driver.py")
    words = [*apart, "setpriv", "--pdeathsig", "KILL", sys.executable, str(driver), str(folder)]
    with talking_to(*words) as told:
        addresses = told([asdict(server) for server in servers])
        yield addresses, lambda **arguments: told(arguments)


def exchange(name: str, request: bytes, source: str = "") -> bytes | None:
    """Send a request; return what comes back within half a second."""
    host, _, port = name.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.5)
        if source:
            probe.bind((source, 0))
        probe.connect((host, int(port)))
        try:
            probe.send(request)
            return probe.recv(1024)
        except OSError:
            return None


def request_of(transmit: bytes, *, origin: bytes = bytes(8), receive: bytes = bytes(8)) -> bytes:
    """Return a client's request of version 4, with the stamps that an interleaved exchange has."""
    return bytes([0x23, 0, 0, 0x20]) + bytes(20) + origin + receive + transmit


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _answers(address: str, port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    source = "" if ":" in address else PROBE
    while time.monotonic() < deadline and process.poll() is None:
        if exchange(f"{address}:{port}", request_of(os.urandom(8)), source):
            return process.poll() is None
        time.sleep(0.02)
    return False
