"""A Dask cluster for the tests: one scheduler and some workers, each a process, all on 127.0.0.1."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import tickline
from python.access_support import environment

START_SECONDS = 60.0


@dataclass
class DaskCluster:
    """Processes that are ended with the test; nothing of them listens beyond 127.0.0.1."""

    folder: Path
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = ""
    preload: Path | None = None
    more: dict[str, str] = field(default_factory=dict)

    def start_scheduler(self) -> None:
        """Start it, and wait until its address is known."""
        place = self.folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(place))
        until = time.monotonic() + START_SECONDS
        while not self.address:
            assert time.monotonic() < until, "the scheduler does not start"
            assert self.scheduler.poll() is None, "the scheduler has ended"
            with contextlib.suppress(OSError, ValueError):
                self.address = json.loads(place.read_bytes())["address"]
            time.sleep(0.05)

    def start_worker(self, **more: str) -> subprocess.Popen[bytes]:
        """Start one, of one thread; it is there a second later."""
        options = ["--nthreads", "1", "--no-nanny", "--memory-limit", "0", "--death-timeout", "60"]
        if self.preload is not None:
            options += ["--preload", str(self.preload)]
        worker = self._start(
            "worker", self.address, *options, "--local-directory", str(self.folder), **self.more, **more
        )
        self.workers.append(worker)
        return worker

    def _start(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        log = self.folder / f"{arguments[0]}-{len(self.workers)}.log"
        with log.open("ab") as file:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "dask", *arguments),
                    *("--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"),
                ],
                env=environment(**{"PYTHONWARNINGS": "ignore", **more}),
                cwd=self.folder,
                stdout=file,
                stderr=file,
            )

    def logs(self) -> str:
        """Return all that scheduler and workers have written."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def end(self) -> None:
        """End all of them."""
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            process.kill()
            process.wait()


def another_version(folder: Path) -> str:
    """Copy tickline, with a line more; return what PYTHONPATH has to be for it."""
    copy = folder / "another" / "tickline"
    shutil.copytree(Path(tickline.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / "time.py").open("a", encoding="utf-8") as file:
        file.write("# not the same\n")
    return str(copy.parent)


@contextlib.contextmanager
def dask_cluster(
    folder: Path, workers: int, *, preload: Path | None = None, **more: str
) -> Iterator[DaskCluster]:
    """Run a scheduler and workers; `preload` is a file that each worker runs when it starts."""
    pytest.importorskip("distributed")
    folder.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(folder, preload=preload, more=more)
    try:
        cluster.start_scheduler()
        for _ in range(workers):
            cluster.start_worker()
        yield cluster
    finally:
        cluster.end()
