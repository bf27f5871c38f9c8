"""How much one committer can take: the ledger and the committing code as they are, workers that are played.

    python benchmarks/simulate_committer.py [--workers 10,100,1000] [--seconds 20] [--rate 250e6]
        [--ranges 8 | --sources 2000] [--new 0.05] [--folder FOLDER]

Each played worker finishes 128 MiB of log every 128 MiB / rate seconds, at random moments of that time, and
is given the next piece as the cluster does it: one under way and two in wait for each. An answer holds what a
real one does: the sources, two files with their ranges of keys, the ids and addresses of the requesters.
`SpreadReading` takes it as it takes Dask's: it unpickles it, looks at the files, claims the contents, commits
with fsync, and publishes the manifest, after five seconds at the earliest. What is committed at once is an
object of 128 MiB, or --sources smaller ones, or with --ranges a plain file of so many times 128 MiB, which is
surveyed first.

The files are there, with their size, but empty: who reads them is not measured. Neither are Dask's scheduler
and the network; the time for playing the workers is left out.
"""

import argparse
import contextlib
import heapq
import os
import pickle
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tickline import accounting
from tickline.engines.cluster import Answer
from tickline.engines.options import EngineOptions
from tickline.pipelines.access.ingest import spread
from tickline.pipelines.access.ingest.inputs import Input
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.pipelines.access.ingest.pieces import Given, read_range, survey
from tickline.pipelines.access.ingest.read import RUN_BYTES, ReadSource
from tickline.pipelines.access.ingest.rows import Run
from tickline.pipelines.access.ingest.tasks import Task
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.store.parts import NewPart
from tickline.store.settings import WantedSettings

DAY_MS = 86_400_000
FIRST_DAY = 19_000
# As a run of 128 MiB of generated logs has them (`tickline fake access`).
LINES, ROWS, ACCESS_BYTES, DAILY_BYTES = 236_000, 143_000, 2_600_000, 1_400_000
HASH_RATE = 5e9


@dataclass
class World:
    """What the played workers have in common."""

    store: Path
    workers: int
    seconds_a_unit: float
    requesters: int
    new: float
    sources: int
    ranges: int
    until: float = 0.0

    @property
    def unit_bytes(self) -> int:
        """So much log is committed at once."""
        return RUN_BYTES * max(1, self.ranges)


class OverError(Exception):
    """The time is over."""


class PlayedCluster:
    """Stands where `tickline.engines.cluster.Cluster` does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = random.Random(7)
        self.out: list[tuple[float, int]] = []
        self.asked: dict[int, tuple[Callable[..., Any], tuple[Any, ...]]] = {}
        self.workers = [f"worker-{number}" for number in range(world.workers)]
        # When each worker will be free; what is given to it begins then.
        self.free = [(self.random.random() * world.seconds_a_unit, number) for number in range(world.workers)]
        self.number = 0
        self.playing_s = self.playing_cpu_s = self.idle_s = 0.0
        self.begin_cpu = time.process_time()
        self.begin = time.perf_counter()
        self.known = 1

    def now(self) -> float:
        """Return the time of the committer: playing takes none."""
        return time.perf_counter() - self.begin - self.playing_s

    @contextlib.contextmanager
    def playing(self) -> Iterator[None]:
        """What happens in here is the workers' time."""
        begin, begin_cpu = time.perf_counter(), time.process_time()
        yield
        self.playing_s += time.perf_counter() - begin
        self.playing_cpu_s += time.process_time() - begin_cpu

    def check(self, *_: object) -> None:
        """Every worker sees the store."""

    def cancel(self) -> None:
        """Nothing is left behind."""

    @property
    def room(self) -> int:
        """As the cluster has it: one piece under way and two in wait for each worker."""
        return 3 * self.world.workers - len(self.out)

    def submit(self, work: Callable[..., Any], *arguments: Any, **__: Any) -> int:
        """Give a piece to the worker that is free first."""
        with self.playing():
            now = self.now()
            at, worker = heapq.heappop(self.free)
            surveying = self.world.unit_bytes / HASH_RATE
            done = max(at, now) + (surveying if work is survey else self.world.seconds_a_unit)
            heapq.heappush(self.free, (done, worker))
            heapq.heappush(self.out, (done, self.number))
            self.asked[self.number] = work, arguments
            self.number += 1
        return self.number - 1

    def next_answer(self) -> Answer:
        """Wait for the next piece to be done, or take it where it waits already."""
        if self.now() > self.world.until:
            raise OverError
        with self.playing():
            done, number = heapq.heappop(self.out)
            told = pickle.dumps(self._given(number), pickle.HIGHEST_PROTOCOL)
        wait = done - self.now()
        if wait > 0:
            time.sleep(wait)
            self.idle_s += wait
        return Answer(number, "worker", pickle.loads(told))

    def _given(self, number: int) -> Given:
        """Return what a worker would, and make the files that it would have written."""
        import numpy as np

        work, arguments = self.asked.pop(number)
        if work is survey:
            read = self._read(arguments[1], FIRST_DAY + number // 50)
            read.counts = accounting.empty()
            marks = [(at * RUN_BYTES, (at + 1) * RUN_BYTES, at * LINES) for at in range(self.world.ranges)]
            return Given([read], marks=marks)
        tasks = [arguments[1].task] if work is read_range else arguments[1]
        day = FIRST_DAY + number // 50
        month = time.strftime("%Y-%m", time.gmtime(day * 86_400))
        run = Run(days={day}, rows=ROWS)
        for kind, size in (("accesses", ACCESS_BYTES), ("daily", DAILY_BYTES)):
            run.parts.append(self._file(kind, month, day, size))
        new = int(self.world.requesters * self.world.new)
        old = [self.random.randrange(self.known) for _ in range(self.world.requesters - new)]
        who = [*old, *range(self.known, self.known + new)]
        self.known += new
        run.ids = [np.array(who, np.uint64) * np.uint64(0x9E3779B97F4A7C15)]
        run.addresses = [f"10.{one >> 16 & 255}.{one >> 8 & 255}.{one & 255}" for one in who]
        return Given([self._read(task, day) for task in tasks], [run])

    def _file(self, kind: str, month: str, day: int, size: int) -> NewPart:
        name = self.random.randbytes(8).hex()
        path = f"{'parts' if kind == 'accesses' else 'daily'}/{month}/{name}.parquet"
        whole = self.world.store / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        with whole.open("wb") as file:
            os.truncate(file.fileno(), size)
        keys = f"blobs/000/{name}", f"blobs/fff/{name}"
        return NewPart(kind, path, self.random.randbytes(16), size, ROWS, month, *keys, False, day, day, 0)

    def _read(self, task: Task, day: int) -> ReadSource:
        lines = LINES // self.world.sources
        counts = accounting.empty() | {"lines": lines, "bytes": task.input.size, "accepted": lines}
        read = ReadSource(task, "new", task.source, counts=counts)
        read.content_hash, read.bytes, read.size = self.random.randbytes(16), task.input.size, task.input.size
        read.mtime_ns = task.input.mtime_ns
        read.first_ms, read.last_ms = day * DAY_MS, (day + 1) * DAY_MS - 1
        return read


def tasks_of(world: World, units: int) -> list[Task]:
    """Return the logs: objects in a bucket, so many together as make a unit."""
    size, client = world.unit_bytes // world.sources, object()
    tasks = []
    for at in range(units * world.sources):
        name, tag = f"s3://raw/{at // 1000}/{at:012}", f"etag:{at:032x}"
        # Sizes differ: of those that are equal, the contents are compared.
        log = Input(name, size + 1 + at % 65_536, 10**18 + at, tag, _client=client)  # type: ignore[arg-type]
        tasks.append(Task(log, at + 1))
    return tasks


def simulate(workers: int, arguments: argparse.Namespace) -> None:
    """Let so many workers work for some time; print what the committer made of it."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        world = World(
            Path(name) / "store",
            workers,
            RUN_BYTES / arguments.rate,
            arguments.requesters,
            arguments.new,
            arguments.sources,
            arguments.ranges,
            arguments.seconds,
        )
        cluster = PlayedCluster(world)

        @contextlib.contextmanager
        def opened(_: object) -> Iterator[PlayedCluster]:
            cluster.begin, cluster.begin_cpu = time.perf_counter(), time.process_time()
            yield cluster

        def in_ranges(tasks: list[Task]) -> Iterator[tuple[bool, list[Task]]]:
            return ((True, [task]) for task in tasks)

        report = IngestReport(counts=accounting.empty())
        options = IngestOptions(engine=EngineOptions("dask"))
        # More than can be done: the time ends it.
        offered = workers * arguments.rate / world.unit_bytes
        units = int(min(offered * (arguments.seconds + 1), 2_000 * arguments.seconds)) + 3 * workers
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(spread, "open_cluster", opened))
            if world.ranges:
                stack.enter_context(mock.patch.object(spread, "divided", in_ranges))
            folder = stack.enter_context(StoreFolder.open_or_create(world.store, WantedSettings()))
            stack.enter_context(folder.writing())
            reading = spread.SpreadReading(folder, options, Progress(), report)
            taken = Taken(reading, cluster)
            with contextlib.suppress(OverError):
                reading.run(tasks_of(world, units))
            for problem in report.problems:
                raise SystemExit(f"the committer could not do it: {problem}")
            folder.publish()
        taken.tell(offered)
        check(world, taken.units)


class Taken:
    """Counts units as they are committed, and looks at the clock."""

    def __init__(self, reading: spread.SpreadReading, cluster: PlayedCluster) -> None:
        self.units, self.cluster, self.world = 0, cluster, cluster.world
        self.at: list[float] = []
        self.published_s = self.cpu_s = self.idle_s = 0.0
        commit, publish = reading._commit, reading.folder.publish

        def committing(finished: Any) -> None:
            commit(finished)
            self.units += 1
            self.at.append(cluster.now())
            self.cpu_s, self.idle_s = time.process_time(), cluster.idle_s

        def publishing() -> None:
            begin = time.perf_counter()
            publish()
            self.published_s += time.perf_counter() - begin

        reading._commit = committing  # type: ignore[method-assign]
        reading.folder.publish = publishing  # type: ignore[method-assign]

    def tell(self, offered: float) -> None:
        """Print the figures, of the time from when the first worker can be done on."""
        world, cluster = self.world, self.cluster
        begin = world.seconds_a_unit if len(self.at) > 1 else 0.0
        rate = sum(at > begin for at in self.at) / (self.at[-1] - begin)
        busy_s = self.at[-1] - self.idle_s
        cpu_s = self.cpu_s - cluster.begin_cpu - cluster.playing_cpu_s
        manifest = (world.store / "manifest.json").stat().st_size
        with contextlib.closing(sqlite3.connect(world.store / "ledger.sqlite")) as db:
            pages = [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")]
        print(
            f"{world.workers:5} workers offer {offered:7.1f} units a second, {rate:6.1f} are committed: "
            f"{rate * world.unit_bytes / 1e9:6.1f} GB/s of log; {busy_s / self.at[-1]:4.0%} busy, "
            f"{1e3 * busy_s / self.units:5.2f} ms a unit "
            f"(CPU {1e3 * cpu_s / self.units:4.2f}, manifest {1e3 * self.published_s / self.units:4.2f}); "
            f"a unit takes {pages[0] * pages[1] / self.units:,.0f} bytes of ledger and "
            f"{manifest / self.units:,.0f} of manifest",
            flush=True,
        )


def check(world: World, units: int) -> None:
    """Make sure that what was said to be committed is in the ledger."""
    with contextlib.closing(sqlite3.connect(world.store / "ledger.sqlite")) as db:
        found = [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("commits", "parts")]
    if found != [units, 2 * units * max(1, world.ranges)]:
        raise SystemExit(f"{units} units were committed, but the ledger has {found}")


def main() -> None:
    """Parse the arguments and simulate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", default="10,100,1000", help="how many workers, one after the other")
    parser.add_argument("--seconds", type=float, default=20.0, help="for so long")
    parser.add_argument(
        "--rate", type=float, default=250e6, help="bytes of log a second that a worker ingests"
    )
    parser.add_argument("--requesters", type=int, default=2000, help="different ones in a unit")
    parser.add_argument("--new", type=float, default=0.05, help="share of them that nobody has seen before")
    parser.add_argument("--sources", type=int, default=1, help="objects that are 128 MiB together")
    parser.add_argument("--ranges", type=int, default=0, help="plain files of so many times 128 MiB")
    parser.add_argument("--folder", type=Path, help="where the store lies for that time: a real disk")
    arguments = parser.parse_args()
    for workers in arguments.workers.split(","):
        simulate(int(workers), arguments)


if __name__ == "__main__":
    main()
