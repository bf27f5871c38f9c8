"""A program may end while a daemon thread is at work in the core: no noise, and no abort.

`test_ntp_query_runs.py` does the same with a query that waits.
"""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading, time
import numpy as np
import tickline as tl

numbers = np.arange(2_000_000)

def go_on():
    while True:
        tl.time.encode_ns(numbers)

tl.time.encode_ns(numbers)
for _ in range(3):
    threading.Thread(target=go_on, daemon=True).start()
time.sleep(0.2)
"""


def test_a_program_ends_quietly_while_daemon_threads_encode_an_array() -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
