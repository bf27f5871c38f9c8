"""A Dask cluster whose workers have a network each, and a report of connections by it, with one cut off.

``python dask_network_driver.py FOLDER LOGS``, inside a fresh network namespace: see test_connections_cluster.
Links and namespaces have no names beyond this process, and vanish with it. Prints the report as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from python.connections_support import NOW_S, NS
from python.namespace_support import ip, start_behind_link
from tickline.engines import EngineOptions
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import connection_report

PORT = 8786  # free in a fresh namespace
WORKERS = 3
# A line that is cut says nothing: it is given up after so long.
ENVIRONMENT = {**os.environ, "PYTHONWARNINGS": "ignore", "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s"}
DASK = (sys.executable, "-m", "dask")
# The first one that is at work waits, for good; by then its line is cut.
PRELOAD = """
import time
from tickline.pipelines.connections import cluster
count = cluster.__dict__.setdefault("_count", cluster.count_piece)
def count_piece(task):
    try:
        with open({0!r} + "/stuck", "x") as sign:
            sign.write({1!r})
    except FileExistsError:
        return count(task)
    time.sleep(600)
cluster.count_piece = count_piece
"""


def start(folder: Path, number: int) -> subprocess.Popen[str]:
    """Start one worker behind a link of its own."""
    network = f"10.98.{number}"
    preload = folder / f"preload_{number}.py"
    preload.write_text(PRELOAD.format(str(folder), str(number)))
    run = [*DASK, "worker", f"tcp://{network}.1:{PORT}", "--host", f"{network}.2", "--nthreads", "1"]
    run += ["--no-nanny", "--no-dashboard", "--preload", str(preload), "--local-directory", str(folder)]
    log = folder / f"worker-{number}.log"
    return start_behind_link(run, f"w{number}", network, log, environment=ENVIRONMENT)


def cut(folder: Path) -> None:
    """Cut the line of the worker that is stuck."""
    while not (folder / "stuck").is_file() or not (number := (folder / "stuck").read_text()):
        time.sleep(0.05)
    ip("link", "set", f"w{number}", "down")


def main() -> None:
    folder, logs = Path(sys.argv[1]), sys.argv[2]
    os.environ.update(ENVIRONMENT)
    ip("link", "set", "lo", "up")
    words = [*DASK, "scheduler", "--host", "0.0.0.0", "--port", str(PORT), "--no-dashboard"]
    started: list[subprocess.Popen[str]] = []
    with (folder / "scheduler.log").open("wb") as log:
        started.append(subprocess.Popen(words, env=ENVIRONMENT, stderr=log, text=True))
    try:
        started += [start(folder, number) for number in range(WORKERS)]
        threading.Thread(target=cut, args=(folder,), daemon=True).start()
        options = ConnectionOptions(
            (logs,), "tower", "Papa", now_ns=NOW_S * NS, partition_bytes=2**17, seconds=10**6
        )
        engine = EngineOptions("dask", f"tcp://127.0.0.1:{PORT}", WORKERS)
        print(json.dumps(connection_report(options, None, engine).as_json()), flush=True)
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
