"""A cluster of processes: pieces out, answers in as they are done; who is lost is noticed in bounded time."""

from __future__ import annotations

import contextlib
import operator
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import tickline
from python.access_support import command, environment
from python.dask_support import DaskCluster, another_version, dask_cluster
from tickline import _core
from tickline.engines import Answer, ClusterError, EngineOptions, identity, open_cluster
from tickline.engines import cluster as engine_cluster
from tickline.engines import opening as engine_opening
from tickline.errors import TicklineError, UsageError

pytest.importorskip("distributed")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_cluster, "LOST_S", 3.0)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Two workers that are left alone."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made


def by(cluster: DaskCluster, workers: int = 2) -> EngineOptions:
    """Return the options for a cluster."""
    return EngineOptions("dask", cluster.address, workers)


def _run(
    cluster: engine_cluster.Cluster,
    work: Callable[..., Any],
    items: Iterable[tuple[Any, ...]],
    *,
    name: str,
) -> Iterator[Answer]:
    """Do `work` for the arguments of each item as there is room; answers count the items."""
    first: int | None = None
    for arguments in items:
        while not cluster.room:
            yield _counted(cluster.next_answer(), first)
        number = cluster.submit(work, *arguments, name=name)
        first = number if first is None else first
    while cluster.under_way:
        yield _counted(cluster.next_answer(), first)


def _counted(answer: Answer, first: int | None) -> Answer:
    return replace(answer, number=answer.number - (first or 0))


def test_answers_come_as_they_are_done_and_count_the_items(two: DaskCluster) -> None:
    with open_cluster(by(two)) as cluster:
        assert len(cluster.workers) == 2
        slow = cluster.submit(time.sleep, 1.0, name="slow")
        quick = [cluster.submit(operator.add, number, number, name="quick") for number in range(3)]
        answers = [cluster.next_answer() for _ in range(4)]
        # One of the quick ones may wait behind the slow one, not all.
        assert answers[0].number != slow
        found = {answer.number: answer.value for answer in answers}
        assert found == {slow: None, **dict(zip(quick, (0, 2, 4), strict=True))}
        assert {answer.worker for answer in answers} <= set(cluster.workers)
        found = {
            answer.number: answer.value
            for answer in _run(cluster, pow, ((2, n) for n in range(40)), name="pow")
        }
        assert found == {number: 2**number for number in range(40)}
        assert not cluster.under_way


def test_no_more_pieces_are_out_than_keep_the_workers_busy(two: DaskCluster) -> None:
    with open_cluster(by(two)) as cluster:
        most = cluster.room
        given = 0

        def items() -> Iterator[tuple[int, int]]:
            nonlocal given
            for number in range(50):
                given += 1
                assert cluster.under_way <= most
                yield number, number

        assert sum(answer.value for answer in _run(cluster, operator.add, items(), name="add")) == 2450
        assert given == 50
        assert 2 <= most <= 10


def test_an_error_comes_back_by_its_kind_with_what_to_do(two: DaskCluster) -> None:
    with open_cluster(by(two)) as cluster:
        cluster.submit(EngineOptions, "spark", name="wrong")
        answer = cluster.next_answer()
        assert isinstance(answer.error, UsageError)
        assert str(answer.error) == "--engine: 'spark' is no engine. Choose from: local, dask."
        cluster.submit(int, "x", name="wrong")
        answer = cluster.next_answer()
        assert isinstance(answer.error, ClusterError)
        assert str(answer.error).startswith(
            f"worker {answer.worker}: failed there: ValueError: invalid literal"
        )
        assert "Traceback" in "".join(answer.error.__notes__)
    assert "invalid literal" not in two.logs()


def test_a_piece_goes_around_workers(two: DaskCluster) -> None:
    with open_cluster(by(two)) as cluster:
        first, second = cluster.workers
        for avoid, expected in ((first, second), (second, first)):
            for _ in range(5):
                cluster.submit(os.getpid, name="pid", avoid={avoid})
            assert {cluster.next_answer().worker for _ in range(5)} == {expected}
        # Where nobody else is there, anyone may.
        cluster.submit(os.getpid, name="pid", avoid={first, second})
        assert cluster.next_answer().error is None


def test_every_worker_is_asked_once(two: DaskCluster) -> None:
    with open_cluster(by(two)) as cluster:
        found = cluster.everywhere(os.getpid)
        assert sorted(found) == cluster.workers
        assert len(set(found.values())) == 2
        assert set(cluster.everywhere(identity).values()) == {identity()}


def test_identity_goes_by_sources_below_links_and_by_those_of_the_compiled_modules(tmp_path: Path) -> None:
    package = Path(tickline.__file__).parent
    links, copies = tmp_path / "links" / "tickline", tmp_path / "copies"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, copies, ignore=ignored)
    links.mkdir(parents=True)
    for entry in copies.iterdir():
        (links / entry.name).symlink_to(entry)
    (copies / "page" / "back").symlink_to(links)

    def found() -> str:
        code = "from tickline.engines import identity; print(identity())"
        told = subprocess.run(
            [sys.executable, "-B", "-c", code],
            env=environment(PYTHONPATH=str(links.parent)),
            capture_output=True,
            check=True,
            text=True,
        )
        return told.stdout.strip()

    seen = [found()]
    assert seen == [identity()]
    (core,) = copies.glob("_core.*.so")
    compiled, made_from = core.read_bytes(), _core.SOURCES_SHA256.encode()
    # Another compiler's bytes of the same sources.
    core.write_bytes(compiled + b"\n")
    assert found() == identity()
    core.write_bytes(compiled.replace(made_from, made_from[::-1]))
    seen.append(found())
    with (copies / "page" / "words.py").open("ab") as file:
        file.write(b"\n")
    seen.append(found())
    assert len(set(seen)) == len(seen) == 3


def test_a_worker_that_comes_later_with_another_version_does_nothing(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, 1) as made, open_cluster(by(made, 1)) as cluster:
        first = cluster.workers
        made.start_worker(PYTHONPATH=another_version(tmp_path))
        while len(cluster.workers) < 2:
            cluster.look()
        cluster.submit(os.mkdir, str(tmp_path / "made"), name="mkdir", avoid=first)
        answer = cluster.next_answer()
        assert isinstance(answer.error, ClusterError)
        assert answer.worker not in first
        assert str(answer.error).startswith(f"worker {answer.worker}: has tickline ")
        assert not (tmp_path / "made").exists()
        # From now on it gets nothing, as there is another one.
        answers = list(_run(cluster, pow, ((2, number) for number in range(9)), name="pow"))
        assert {answer.worker for answer in answers} == set(first)


def test_a_worker_that_hangs_is_named_before_work_begins_and_gone_around_until_it_wakes_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cluster, "SILENT_S", 3.0)
    with dask_cluster(tmp_path, 2) as made, open_cluster(by(made)) as cluster:
        hung, both = made.workers[0], cluster.workers
        hung.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(ClusterError, match=r"worker tcp:.*: does not answer within 3 s\. Restart it\."):
            cluster.check(identity)
        for worker in both * 2:
            cluster.submit(operator.add, 1, 1, name="add", avoid={worker})
        assert [cluster.next_answer().value for _ in range(4)] == [2] * 4
        answers = list(_run(cluster, pow, ((2, n) for n in range(9)), name="pow"))
        assert sorted(answer.value for answer in answers) == [2**n for n in range(9)]
        assert len({answer.worker for answer in answers}) == 1
        assert time.monotonic() - began < 30
        # Nobody ends it: the cluster may be other people's as well.
        assert cluster.workers == both
        hung.send_signal(signal.SIGCONT)
        (asleep,) = set(both) - {answers[0].worker}
        while time.monotonic() - began < 60:
            cluster.submit(operator.add, 1, 1, name="add", avoid={answers[0].worker})
            if cluster.next_answer().worker == asleep:
                break
            cluster.look()
        else:
            pytest.fail("a worker that is heard again gets no work")


def test_work_waits_for_workers_that_are_all_silent_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cluster, "SILENT_S", 1.0)
    with dask_cluster(tmp_path, 2) as made, open_cluster(by(made)) as cluster:
        for worker in made.workers:
            worker.send_signal(signal.SIGSTOP)
        waking = threading.Timer(6, lambda: [worker.send_signal(signal.SIGCONT) for worker in made.workers])
        waking.start()
        answers = _run(cluster, pow, ((2, n) for n in range(9)), name="pow")
        assert sorted(answer.value for answer in answers) == [2**n for n in range(9)]
        waking.join()
        assert len(cluster.workers) == 2


def test_a_dying_piece_is_given_up_with_a_sentence(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, 1) as made, open_cluster(by(made, 1)) as cluster:
        number = cluster.submit(os._exit, 3, name="dies")
        found: Answer | None = None
        for _ in range(4):
            made.workers[-1].wait(60)
            made.start_worker()
        found = cluster.next_answer()
        assert found.number == number
        assert str(found.error).startswith(
            f"{made.address}: four workers died over the same piece of work. Look"
        )
        # The others are not concerned.
        cluster.submit(operator.add, 1, 1, name="add")
        assert cluster.next_answer().value == 2


def test_work_goes_on_when_workers_come_back_in_time(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, 1) as made, open_cluster(by(made, 1)) as cluster:
        made.workers[0].kill()
        made.workers[0].wait()
        while cluster.workers:
            cluster.look()
        assert cluster.room == 1
        made.start_worker()
        answers = _run(cluster, operator.add, [(1, 2), (3, 4)], name="add")
        assert [answer.value for answer in answers] == [3, 7]


def test_a_silent_scheduler_is_given_up(tmp_path: Path) -> None:
    with dask_cluster(tmp_path, 1) as made, open_cluster(by(made, 1)) as cluster:
        cluster.submit(time.sleep, 0.5, name="sleep")
        assert made.scheduler is not None
        made.scheduler.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            with pytest.raises(ClusterError, match=f"{made.address}: the scheduler was lost"):
                cluster.next_answer()
        finally:
            made.scheduler.send_signal(signal.SIGCONT)
        assert time.monotonic() - began < 30


def test_a_cluster_of_its_own_listens_on_loopback_only_and_has_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with open_cluster(EngineOptions("dask", workers=1)) as cluster:
        assert [path.name[:14] for path in tmp_path.iterdir()] == ["tickline-dask-"]
        pids = {os.getpid(), *cluster.everywhere(os.getpid).values()}
        opened = [entry for pid in pids for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
        inodes = {str(entry.readlink()).partition("[")[2].rstrip("]") for entry in opened}
        listening = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for row in Path(table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    listening.add(fields[1].partition(":")[0])
        assert listening == {"0100007F"}
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_a_cluster_of_its_own_starts_says_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"1764000000 tower Papa\n" * 9)
    words = ["connections", path, "tower", "Papa", "--now", 1764000000, "--engine", "dask", "--workers", 2]
    for processes in (1, 2, 3):
        # As a terminal does it: all processes of the group get the signal.
        process = subprocess.Popen(
            command(*words),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while len(_children(process.pid)) < processes:
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        out, said = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, ""), said
        assert said.startswith("tickline: stopped")
        assert said.count("\n") == 1, said
        until = time.monotonic() + 10
        while left := _of_group(process.pid):
            assert time.monotonic() < until, left
            time.sleep(0.05)


def _of_group(group: int) -> list[str]:
    """Return the processes of a group that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The name of a program may hold anything.
            state, _, number = (entry / "stat").read_text().rpartition(") ")[2].split()[:3]
            if int(number) == group and state not in "ZX":
                found.append((entry / "cmdline").read_text())
    return found


def _children(pid: int) -> list[str]:
    found: list[str] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return found


def test_tls_without_certificates_is_refused_before_anything_is_asked() -> None:
    with (
        pytest.raises(ClusterError, match=r"127\.0\.0\.1:9: tls:// needs Dask's TLS settings\. Set dist"),
        open_cluster(EngineOptions("dask", "tls://127.0.0.1:9")),
    ):
        pass


def test_a_scheduler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_opening, "CONNECT_S", 1.0)
    with (
        pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9: no scheduler answers\. Start it with"),
        open_cluster(EngineOptions("dask", "tcp://127.0.0.1:9")),
    ):
        pass


def test_fewer_workers_than_are_wanted_are_named(two: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_opening, "CONNECT_S", 3.0)
    with (
        pytest.raises(ClusterError, match=f"{two.address}: has 2 workers, and 3 are wanted"),
        open_cluster(by(two, 3)),
    ):
        pass


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(TicklineError, match=r"pip install 'tickline\[dask\]'"),
        open_cluster(EngineOptions("dask")),
    ):
        pass


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("spark",), "--engine: 'spark' is no engine. Choose from: local, dask."),
        (("local", "tcp://head:8786"), "--scheduler: has no use with --engine local. Add --engine dask."),
        (("local", None, 2), "--workers: has no use with --engine local. Add --engine dask."),
        (("dask", "head:8786"), "--scheduler head:8786: is no address of a scheduler. Write it as tcp://"),
        (("dask", "tcp://head"), "--scheduler tcp://head: is no address of a scheduler. Write it as tcp://"),
        (("dask", "tcp://me:secret@head:1"), "--scheduler head:1: is no address of a scheduler."),
        (("dask", "tcp://[::1:8786"), "--scheduler tcp://[::1:8786: is no address of a scheduler."),
        (("dask", "tcp://head:65536"), "--scheduler tcp://head:65536: is no address of a scheduler."),
        (("dask", None, -1), "--workers: must not be negative."),
    ],
)
def test_wrong_options_of_an_engine_are_refused(values: tuple[object, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        EngineOptions(*values)  # type: ignore[arg-type]
    assert str(caught.value).startswith(message)
