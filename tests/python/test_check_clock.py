"""examples/python/check_clock.py as people run it, against servers on loopback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from python.ntp_server_support import HONEST, ntp_servers, server

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "python" / "check_clock.py"


def run(*arguments: str) -> tuple[int, list[str]]:
    """Run the program; return its exit code and the lines that it printed."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_clock_that_servers_agree_with_is_within_the_limit() -> None:
    with ntp_servers(HONEST, HONEST, HONEST, HONEST) as servers:
        code, lines = run(*servers.names)
    assert code == 0
    assert [line.split()[0] for line in lines[:4]] == servers.names
    assert lines[-1] == "The clock is within 0.05 s."


def test_a_clock_that_is_a_second_off_is_not() -> None:
    ahead = server(offset_ns=10**9)
    with ntp_servers(ahead, ahead, ahead) as servers:
        code, lines = run(*servers.names)
    assert code == 1
    assert lines[-1] == "The clock is not within 0.05 s."


def test_servers_that_are_far_away_cannot_tell() -> None:
    far = server(delay_s=0.3)
    with ntp_servers(far, far, far) as servers:
        code, lines = run("--limit", "0.01", *servers.names)
    assert code == 1
    assert lines[-1] == "The clock is perhaps not within 0.01 s."


def test_without_a_quorum_nobody_can_say() -> None:
    with ntp_servers(HONEST) as servers:
        code, lines = run(*servers.names)
        assert code == 1
        assert lines[-1].startswith("Nobody can say: ")
        assert run("--quorum", "1", *servers.names)[0] == 0


def test_without_servers_it_says_so_and_ends() -> None:
    code, lines = run()
    assert code == 0
    assert lines[0].startswith("No servers were named")
