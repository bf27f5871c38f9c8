"""The report of connections on a Dask cluster of separate processes: the same bytes, whatever is lost."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pyarrow
import pytest
import zstandard

import tickline
from python.access_support import run
from python.connections_support import NOW_S, NS, ordered
from python.dask_support import START_SECONDS, DaskCluster, dask_cluster
from tickline.clients.remote import Remotes
from tickline.engines import Answer, ClusterError, EngineOptions
from tickline.engines.samples import sample_of
from tickline.errors import SourceError, TicklineError
from tickline.pipelines.connections.cluster import Task, count_on_cluster, count_piece
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import Result, connection_report
from tickline.sources import open_source

# What a worker runs first; `{0}` is a folder. Its sources stay as they are, and so it is of this version.
# Dask runs it twice.
_PRELOAD = """
import os, signal, time
from tickline.pipelines.connections import cluster
count = cluster.__dict__.setdefault("_count", cluster.count_piece)
really = cluster.__dict__.setdefault("_open", cluster.open_source)
"""
_STUCK = (
    _PRELOAD
    + """
def count_piece(task):
    open({0!r} + "/at-work", "a").close()
    time.sleep(60)
cluster.count_piece = count_piece
"""
)
_DIES_ONCE = (
    _PRELOAD
    + """
def count_piece(task):
    done = count(task)
    try:
        open({0!r} + "/died", "x").close()
    except FileExistsError:
        return done
    os.kill(os.getpid(), signal.SIGKILL)
cluster.count_piece = count_piece
"""
)
_SEES_NOTHING = (
    _PRELOAD
    + """
def open_source(path):
    open({0!r} + "/looked", "a").close()
    return really({0!r} + "/nothing-here" + path)
cluster.open_source = open_source
"""
)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("cluster"), 0) as cluster:
        yield cluster


@pytest.fixture
def cluster(scheduler: DaskCluster) -> Iterator[DaskCluster]:
    """One scheduler for all; workers end with their test."""
    yield scheduler
    for process in scheduler.workers:
        process.kill()
        process.wait()


def start(
    cluster: DaskCluster, number: int, preload: str = "", folder: Path | None = None, **environment: str
) -> list[subprocess.Popen[bytes]]:
    """Start workers that run `preload` first."""
    cluster.preload = None
    if preload:
        assert folder is not None
        cluster.preload = folder / "preload.py"
        cluster.preload.write_text(preload.format(str(folder)))
    return [cluster.start_worker(**environment) for _ in range(number)]


def report(cluster: DaskCluster | None, *places: Path | str, workers: int = 1, **options: Any) -> Result:
    options.setdefault("now_ns", NOW_S * NS)
    asked = ConnectionOptions(tuple(map(str, places)), "tower", "Papa", **options)
    engine = EngineOptions("dask", cluster.address, workers) if cluster is not None else None
    return connection_report(asked, None, engine)


def bytes_of(result: Result) -> tuple[Any, ...]:
    """Return everything that a report says, as bytes or texts."""
    tables = (pyarrow.table(table) for table in (result.table, result.rejects))
    columns = [[column.to_pylist() for column in table.columns] for table in tables]
    problems = sorted(str(problem) for problem in result.problems)
    return json.dumps(result.as_json()), columns, result.buckets, problems


def logs(folder: Path) -> Path:
    """Make logs of every kind: long, packed, empty, out of order, damaged, with rejected lines."""
    folder.mkdir()
    text = ordered(20_000, a_second=12)
    late = b"%d tower Papa\n" % (NOW_S - 2000)
    files = {
        "a.log": text,
        "b.log.gz": gzip.compress(text, 1),
        "c.log.zst": zstandard.compress(text),
        "d.log": b"",
        "e.log": late * 5 + text + late,
        "f.log": ordered(3000, a_second=5) + b"a line of too many fields\n" * 50 + late,
        "g.log.gz": b"\x1f\x8b\x08\x00 and no more",
        "h.log": b"".join(b"%d tower Papa\nbad\n" % (NOW_S - i) for i in range(9000, 0, -1)).rstrip(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_cluster_of_processes_gives_the_bytes_of_one_machine(
    cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs(tmp_path / "logs")
    start(cluster, 3)
    monkeypatch.chdir(tmp_path)
    for options in ({}, {"seconds": 10**6}, {"grouping_seconds": 7, "disorder_seconds": 0}):
        # Paths are meant as seen from here.
        asked = {"partition_bytes": 2**18, **options}
        here = report(None, "logs", "no.log", **asked)
        assert here.connections > 10_000
        assert here.rejects.num_rows > 0
        assert len(here.problems) == 2
        there = report(cluster, "logs", "no.log", workers=3, **asked)
        assert bytes_of(there) == bytes_of(here)


def test_a_worker_that_is_killed_in_mid_task_and_a_piece_that_is_counted_twice_change_nothing(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    folder = logs(tmp_path / "logs")
    here = bytes_of(report(None, folder, partition_bytes=2**19))
    for _ in range(3):
        (tmp_path / "died").unlink(missing_ok=True)
        started = start(cluster, 2, _DIES_ONCE, tmp_path)
        assert bytes_of(report(cluster, folder, workers=2, partition_bytes=2**19)) == here
        # It had counted the piece, which another one then counted again.
        assert sorted(process.poll() is None for process in started) == [False, True]
        for process in started:
            process.kill()


def test_workers_may_lack_a_file_as_long_as_one_has_it(cluster: DaskCluster, tmp_path: Path) -> None:
    folder = logs(tmp_path / "logs")
    start(cluster, 2, _SEES_NOTHING, tmp_path)
    start(cluster, 1)
    there = report(cluster, folder, workers=3, partition_bytes=2**18)
    assert (tmp_path / "looked").exists()
    here = bytes_of(report(None, folder, partition_bytes=2**18))
    assert bytes_of(there)[:3] == here[:3]


def test_a_file_that_no_worker_has_is_named_with_the_worker(cluster: DaskCluster, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    start(cluster, 2, _SEES_NOTHING, tmp_path)
    result = report(cluster, path, workers=2)
    (problem,) = result.problems
    assert (problem.what, problem.where) == ("does not exist", str(path))
    assert "So says worker tcp://127.0.0.1" in str(problem)
    assert result.connections == 0


def test_a_lost_scheduler_is_a_named_error_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickline.engines.cluster.LOST_S", 2.0)
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    with dask_cluster(tmp_path / "cluster", 0) as cluster:
        start(cluster, 1, _STUCK, tmp_path)
        assert cluster.scheduler is not None
        with killing(tmp_path / "at-work", cluster.scheduler.pid), pytest.raises(ClusterError) as raised:
            report(cluster, path)
    assert raised.value.what == "the scheduler was lost"
    assert raised.value.where == cluster.address


def test_the_loss_of_all_workers_is_a_named_error(
    cluster: DaskCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickline.engines.cluster.LOST_S", 2.0)
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    (worker,) = start(cluster, 1, _STUCK, tmp_path)
    with (
        killing(tmp_path / "at-work", worker.pid),
        pytest.raises(ClusterError, match="all workers were lost"),
    ):
        report(cluster, path)


def test_a_worker_with_another_tickline_is_refused_before_anything_is_counted(
    cluster: DaskCluster, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    package = tmp_path / "other" / "tickline"
    shutil.copytree(Path(tickline.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    with (package / "time.py").open("a") as source:
        source.write("# not what it was\n")
    start(cluster, 1, _STUCK, tmp_path)
    start(cluster, 1, _STUCK, tmp_path, PYTHONPATH=str(package.parent))
    with pytest.raises(ClusterError, match="results could differ"):
        report(cluster, path, workers=2)
    assert not (tmp_path / "at-work").exists()


def test_more_hosts_than_memory_holds_are_an_error_there_too(cluster: DaskCluster, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{NOW_S} host-with-a-number-{i} server\n" for i in range(60_000)))
    start(cluster, 1)
    with pytest.raises(TicklineError, match="more than the 2 MB that are allowed"):
        report(cluster, path, memory_bytes=2_000_000)
    assert report(cluster, path).top == (("server", 60_000),)


def test_another_file_under_the_name_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(1000))
    options = ConnectionOptions(("-",), "tower", "Papa", now_ns=NOW_S * NS)
    size = path.stat().st_size
    with open_source(path) as source:
        task = Task(str(path), options, size, sample_of(source, size), 0, size)
    assert count_piece(task)[0].lines["lines"] == 10_000
    # What was appended later belongs to a later run.
    path.write_bytes(path.read_bytes() + b"%d a b\n" % NOW_S)
    assert count_piece(task)[0].lines["lines"] == 10_000
    for other in (ordered(1000, end_s=NOW_S - 1), ordered(999), b"x" * size):
        path.write_bytes(other)
        with pytest.raises(SourceError, match="is another file than the one that was found"):
            count_piece(task)
    assert str(path) not in repr(task)


class Scripted:
    """A cluster that answers as it is told, and as a worker does when there is nothing more to be told."""

    def __init__(self, *script: Answer) -> None:
        self._script, self._given = list(script), deque[tuple[int, Task]]()
        self.workers, self.avoided = ["a", "b"], list[frozenset[str]]()

    @property
    def room(self) -> int:
        return len(self.workers)

    def submit(self, work: Any, task: Task, *, name: str, avoid: frozenset[str]) -> int:
        self.avoided.append(avoid)
        self._given.append((len(self.avoided), task))
        return len(self.avoided)

    def next_answer(self) -> Answer:
        number, task = self._given.popleft()
        if not self._script:
            return Answer(number, "c", count_piece(task))
        answer = self._script.pop(0)
        if not answer.worker:
            self.workers = []
        return replace(answer, number=number)


def test_a_piece_is_counted_even_if_those_die_who_should_have_tried_it_next(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    gone = SourceError("does not exist", where=str(path), number=errno.ENOENT)
    lost = ClusterError("the others were lost")
    script = (Answer(0, "a", error=gone), Answer(0, "", error=lost, stranded=True))
    cluster: Any = Scripted(*script)
    options = ConnectionOptions((str(path),), "tower", "Papa", now_ns=NOW_S * NS)
    counted = count_on_cluster([str(path)], options, None, Remotes(), cluster)
    assert [total["accepted"] for _, total in counted.accounting] == [1000]
    assert cluster.avoided == [frozenset(), frozenset("a"), frozenset()]
    # If workers die over it, it is the work that cannot be done.
    killed = Answer(0, "", error=ClusterError("four died"))
    with pytest.raises(ClusterError, match="four died"):
        count_on_cluster([str(path)], options, None, Remotes(), cast(Any, Scripted(killed)))


def test_a_worker_that_comes_during_the_run_and_is_unfit_is_gone_around(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    unfit = ClusterError("has another tickline")
    options = ConnectionOptions((str(path),), "tower", "Papa", now_ns=NOW_S * NS)
    cluster: Any = Scripted(Answer(0, "a", error=unfit))
    counted = count_on_cluster([str(path)], options, None, Remotes(), cluster)
    assert [total["accepted"] for _, total in counted.accounting] == [1000]
    assert cluster.avoided == [frozenset(), frozenset("a")]
    both: Any = Scripted(Answer(0, "a", error=unfit), Answer(0, "b", error=unfit))
    with pytest.raises(ClusterError, match="has another tickline"):
        count_on_cluster([str(path)], options, None, Remotes(), both)


def test_a_worker_that_is_cut_off_in_its_own_network_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(20_000, a_second=4))
    # Root needs no namespace of users, and others are root in one of their own where the system lets them.
    apart = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--net"]
    if shutil.which("ip") is None or subprocess.run([*apart, "true"], capture_output=True).returncode:
        pytest.skip("no network namespaces: there is no ip(8), or no right to make them")
    driver = Path(__file__).with_name("dask_network_driver.py")
    words = [*apart, "setpriv", "--pdeathsig", "KILL", sys.executable, str(driver), str(tmp_path), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "stuck").exists()
    here = report(None, path, partition_bytes=2**17, seconds=10**6)
    assert json.loads(done.stdout) == json.loads(json.dumps(here.as_json()))


def test_the_command_prints_the_same_bytes_by_a_cluster(cluster: DaskCluster, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"too many fields here\n" + ordered(3000))
    asked = ("connections", path, "host1", "server2", "--now", NOW_S, "--partition-size", "100kB")
    start(cluster, 2)
    for form, scheduler in {"json": cluster.address, "logparser": "local"}.items():
        here = run(*asked, "--format", form, check=0)
        engine = ("--engine", "dask", "--scheduler", scheduler, "--workers", 2)
        there = run(*asked, "--format", form, *engine, check=0)
        assert (there.stdout, there.stderr) == (here.stdout, here.stderr)
    for wrong, what in {
        ("--engine", "dusk"): "no engine",
        ("--workers", "2"): "has no use with --engine local",
        ("--engine", "dask", "--scheduler", "head:8786"): "is no address of a scheduler",
        ("--engine", "dask", "--tail"): "logs are followed by one process",
    }.items():
        usage = tuple(word for word in asked if word not in ("--now", NOW_S)) if "--tail" in wrong else asked
        assert what in run(*usage, *wrong, check=2).stderr.decode()


@contextlib.contextmanager
def killing(sign: Path, pid: int) -> Iterator[None]:
    """Kill a process as soon as a file is there; see that what is done meanwhile ends soon after."""
    killed: list[float] = []

    def kill() -> None:
        until = time.monotonic() + START_SECONDS
        while not sign.exists() and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        killed.append(time.monotonic())

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    # The piece that was under way takes longer.
    assert time.monotonic() - killed[0] < 40
