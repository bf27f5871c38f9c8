"""A program may end while a daemon thread is at work in the core: no noise, and no abort."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import socket, sys, threading, time
import numpy as np
import tickline as tl

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 0))
server = f"127.0.0.1:{silent.getsockname()[1]}"
numbers = np.arange(2_000_000)
works = {
    "asking for the time": lambda: tl.ntp.Client(headway_s=0).query([server], quorum=1, deadline_s=30),
    "encoding an array": lambda: tl.time.encode_ns(numbers),
}
work = works[sys.argv[1]]

def go_on():
    while True:
        work()

tl.time.encode_ns(numbers)
for _ in range(3):
    threading.Thread(target=go_on, daemon=True).start()
time.sleep(0.2)
"""


@pytest.mark.parametrize("work", ["asking for the time", "encoding an array"])
def test_a_program_ends_quietly_while_a_daemon_thread_is(work: str) -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, work], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
