"""Processes that have a network each, for drivers that run inside a fresh network namespace.

Links and namespaces have no names beyond the driver's process, and vanish with it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# The shell waits for a line, so that the link is there before the program looks for it.
_WAIT_THEN_RUN = 'echo; read -r go; exec "$@"'


def ip(*words: object, inside: int | None = None) -> None:
    """Run ip(8), here or in the namespace of a process."""
    enter = [] if inside is None else ["nsenter", "--target", str(inside), "--net"]
    subprocess.run([*enter, "ip", *map(str, words)], check=True)


def start_behind_link(
    run: Sequence[str],
    link: str,
    network: str,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    routed: bool = False,
) -> subprocess.Popen[str]:
    """Start a program that has address 2 of `network` (``10.99.1``); address 1 is at our end of the link."""
    here, there = f"{network}.1", f"{network}.2"
    wrapper = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", _WAIT_THEN_RUN, "sh"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*wrapper, *run],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()  # it is in its namespace
    ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", process.pid)
    ip("address", "add", f"{here}/24", "dev", link)
    ip("link", "set", link, "up")
    ip("address", "add", f"{there}/24", "dev", "eth0", inside=process.pid)
    ip("link", "set", "eth0", "up", inside=process.pid)
    if routed:
        ip("route", "add", "default", "via", here, inside=process.pid)
    process.stdin.write("go\n")
    process.stdin.close()
    return process
