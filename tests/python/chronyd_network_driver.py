"""A small network of chronyd processes, each in a network namespace of its own, and a client in the middle.

``python chronyd_network_driver.py FOLDER``, inside a fresh network namespace: see `chronyd_network` in
chronyd_support.py. The first line of standard input is a list with the configuration of each server;
``{0}``, ``{1}``, ... in it stand for the addresses of all. The answer is the list of addresses. Every further
line is a dictionary with the arguments of a query; its answer is the result. Namespaces and links have no
names beyond this process, and vanish with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from python.chronyd_support import START_SECONDS, command, exchange, find_chronyd, request_of  # noqa: E402
from python.namespace_support import ip, start_behind_link  # noqa: E402
from python.ntp_query_support import contains_clock  # noqa: E402

PORT = 123  # free in a fresh namespace


def start(folder: Path, number: int, lines: list[str]) -> subprocess.Popen[str]:
    """Start one server behind a link of its own."""
    program = find_chronyd()
    assert program is not None
    run = command(program, folder / f"chronyd-{number}", lines, PORT)
    log = folder / f"chronyd-{number}.log"
    return start_behind_link(run, f"v{number}", f"10.99.{number}", log, routed=True)


def wait_for(address: str, lies_ns: int) -> None:
    """Wait until a server answers, and until it is as wrong as it is meant to be."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        answer = exchange(f"{address}:{PORT}", request_of(time.time_ns().to_bytes(8, "big")))
        if answer is not None:
            ahead_s = int.from_bytes(answer[40:44], "big") - 2208988800 - time.time()
            if abs(ahead_s - lies_ns * 1e-9) < 2:
                return
        time.sleep(0.02)
    raise SystemExit(f"the chronyd at {address} does not answer as it should")


def ask(arguments: dict[str, Any]) -> dict[str, Any]:
    """Query, and say whether this machine's time, which all servers go by, lies in the interval."""
    import tickline as tl

    result = tl.ntp.Client(headway_s=0).query(**arguments)
    answer = dataclasses.asdict(result)
    answer["holds"] = result.interval_ns is not None and contains_clock(result)
    return answer


def main() -> None:
    folder = Path(sys.argv[1])
    ip("link", "set", "lo", "up")
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    servers = json.loads(sys.stdin.readline())
    addresses = [f"10.99.{number}.2" for number in range(len(servers))]
    started = []
    try:
        for number, server in enumerate(servers):
            lines = [line.format(*addresses) for line in server["lines"]]
            started.append(start(folder, number, lines))
        for address, server in zip(addresses, servers, strict=True):
            wait_for(address, server["lies_ns"])
        print(json.dumps(addresses), flush=True)
        for line in sys.stdin:
            print(json.dumps(ask(json.loads(line))), flush=True)
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
