"""What goes wrong with a cluster: the result is right, or an error is named; the store is never harmed."""

from __future__ import annotations

import gzip
import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from python.access_support import command, environment, run
from python.dask_support import DaskCluster, another_version, dask_cluster
from python.ingest_support import KEY, everything, files_below, named_files, states, take
from python.s3_support import moto, sdk, set_environment
from python.spread_support import PRELOAD, by, logs_of_all_kinds, same, set_up
from tickline.engines import ClusterError, open_cluster
from tickline.engines import cluster as engine_cluster
from tickline.errors import SourceError
from tickline.pipelines.access.ingest import spread
from tickline.pipelines.access.ingest.inputs import find_inputs
from tickline.pipelines.access.ingest.options import IngestReport
from tickline.pipelines.access.ingest.pieces import check_place, to_be_sent
from tickline.pipelines.access.ingest.tasks import Task
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT

pytest.importorskip("pyarrow")
pytest.importorskip("distributed")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)
    monkeypatch.setattr(engine_cluster, "LOST_S", 3.0)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Logs of all kinds."""
    return logs_of_all_kinds(tmp_path / "raw", 3_000_000)


def _cluster(tmp_path: Path, workers: int, **more: str) -> AbstractContextManager[DaskCluster]:
    return dask_cluster(tmp_path / "cluster", workers, preload=PRELOAD, **{ENVIRONMENT: KEY, **more})


def test_workers_without_the_logs_or_with_others_under_their_names_are_gone_around(
    tmp_path: Path, raw: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    for path in [path for path in raw.rglob("*.log") if path.is_file()]:
        other = Path(f"{elsewhere}{path}")
        other.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().splitlines(keepends=True)
        # Larger and newer, as a log is that has grown meanwhile.
        other.write_bytes(b"".join([*lines[::-1], *lines[:9]]))
    with _cluster(tmp_path, 1) as cluster:
        cluster.start_worker(TICKLINE_TEST_BLIND=str(raw))
        cluster.start_worker(TICKLINE_TEST_ELSEWHERE=str(elsewhere))
        report = take(tmp_path / "store", raw, **by(cluster, 3))
    assert not report.problems
    same(tmp_path, raw, tmp_path / "store")


@pytest.mark.parametrize("name", ["a.log", "a.log.gz"])
def test_a_worker_opens_what_was_listed_and_what_grew_of_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = b"".join(b"%d of some lines\n" % number for number in range(900, 3000))
    path.write_bytes(content if name == "a.log" else gzip.compress(content, 1))
    ((found,), before) = (find_inputs([str(path)]).inputs, path.read_bytes())
    listed = to_be_sent(Task(found, 1)).input

    def refused(data: bytes, later_s: int) -> str | None:
        path.write_bytes(data)
        os.utime(path, ns=(0, found.mtime_ns + later_s * 10**9))
        try:
            listed.open().close()
        except SourceError as error:
            return error.what
        return None

    no = "is not the file that was listed"
    assert refused(before, 0) is None
    assert refused(before + content[:100], 1) == (None if name == "a.log" else no)
    for other in (before[:-1], before[:-2] + b"x\n", b"\x1f\x8b" + before[3:] + b"x", before[:99] + before):
        assert refused(other, 1) == no
    assert refused(before, -1) == no


def test_a_worker_that_hangs_is_gone_around(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cluster, "SILENT_S", 3.0)
    report = _disturbed(tmp_path, raw, lambda cluster: cluster.workers[0].send_signal(signal.SIGSTOP))
    assert not report.problems
    same(tmp_path, raw, tmp_path / "store")


def test_a_worker_that_cannot_reach_the_bucket_is_gone_around_or_named(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("boto3")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with moto() as url, sdk(url) as client:
        client.create_bucket(Bucket="parts-of-a-store")
        set_environment(monkeypatch, url)
        store, more = tmp_path / "store", {"bucket": "s3://parts-of-a-store"}
        with _cluster(tmp_path, 0, TMPDIR=str(scratch)) as cluster:
            cluster.start_worker(AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
            (problem,) = take(store, raw, **more, **by(cluster, 1)).problems
            assert str(problem).startswith("worker tcp://127.0.0.1:")
            assert "cannot bring files into the bucket (s3://parts-of-a-store/parts/" in str(problem)
            cluster.start_worker()
            assert not take(store, raw, **more, **by(cluster)).problems
    # What workers keep on their disks lies where Dask looks after those that were killed.
    assert not list(scratch.glob("tickline-*"))
    same(tmp_path, raw, store)


def test_logs_that_no_worker_sees_are_named_with_a_worker(tmp_path: Path, raw: Path) -> None:
    blind = raw / "small-3.log"
    store = tmp_path / "store"
    with _cluster(tmp_path, 2, TICKLINE_TEST_BLIND=str(blind)) as cluster:
        report = take(store, raw, **by(cluster))
        assert [problem.where for problem in report.problems] == [str(blind)]
        assert "on worker tcp://127.0.0.1:" in str(report.problems[0])
        assert "under the same path" in str(report.problems[0])
        assert report.states["failed"] == 1
        everything(store)
        # It is no log's fault: the next run takes it.
        assert states(take(store, raw))["new"] == 1
    same(tmp_path, raw, store)


def test_a_log_that_vanished_is_named_as_ever(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = raw / "small-3.log"
    with _cluster(tmp_path, 1) as cluster:
        divided = spread.divided

        def late(tasks: list[object]) -> object:
            gone.unlink(missing_ok=True)
            return divided(tasks)  # type: ignore[arg-type]

        monkeypatch.setattr(spread, "divided", late)
        report = take(tmp_path / "store", raw, **by(cluster, 1))
    assert [str(problem) for problem in report.problems] == [
        f"{gone}: does not exist. Check the name; a file that vanished is reported by the next run."
    ]
    everything(tmp_path / "store")


def _disturbed(tmp_path: Path, raw: Path, disturb: Callable[[DaskCluster], None]) -> IngestReport:
    """Ingest, and disturb the cluster as soon as something is committed."""
    store = tmp_path / "store"
    with _cluster(tmp_path, 2, TICKLINE_TEST_PAUSE_S="0.1") as cluster:
        over = threading.Event()

        def wait() -> None:
            while not over.wait(0.02):
                if (store / "store.toml").exists() and named_files(store):
                    disturb(cluster)
                    return

        thread = threading.Thread(target=wait)
        thread.start()
        began = time.monotonic()
        try:
            report = take(store, raw, **by(cluster))
        finally:
            over.set()
            thread.join()
        assert time.monotonic() - began < 60
    return report


def _goes_on(tmp_path: Path, raw: Path) -> None:
    """Check that something was committed, and that the next run does the rest."""
    store = tmp_path / "store"
    assert everything(store)[0]
    assert not take(store, raw).problems
    assert files_below(store) == named_files(store)
    same(tmp_path, raw, store)


def test_a_lost_scheduler_is_named_and_the_next_run_goes_on(tmp_path: Path, raw: Path) -> None:
    def kill(cluster: DaskCluster) -> None:
        assert cluster.scheduler is not None
        cluster.scheduler.kill()

    report = _disturbed(tmp_path, raw, kill)
    assert [problem.what for problem in report.problems] == ["the scheduler was lost"]
    assert isinstance(report.problems[0], ClusterError)
    _goes_on(tmp_path, raw)


def test_workers_that_are_all_lost_are_named_and_the_next_run_goes_on(tmp_path: Path, raw: Path) -> None:
    def kill(cluster: DaskCluster) -> None:
        for worker in cluster.workers:
            worker.kill()

    report = _disturbed(tmp_path, raw, kill)
    assert [problem.what for problem in report.problems] == ["all workers were lost"]
    _goes_on(tmp_path, raw)


def test_another_version_on_a_worker_is_refused_before_work_begins(tmp_path: Path, raw: Path) -> None:
    store = tmp_path / "store"
    with dask_cluster(tmp_path / "cluster", 1, **{ENVIRONMENT: KEY}) as cluster:
        cluster.start_worker(PYTHONPATH=another_version(tmp_path))
        with pytest.raises(
            ClusterError, match=r"worker tcp://127.0.0.1:\d+: has tickline .*results could differ"
        ):
            take(store, raw, **by(cluster))
        with pytest.raises(ClusterError, match="has tickline"), open_cluster(by(cluster)["engine"]):
            pass
    assert not files_below(store)
    states(take(store, raw))


def test_a_worker_without_a_usable_tickline_is_refused(tmp_path: Path, raw: Path) -> None:
    other = tmp_path / "other" / "tickline"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    with dask_cluster(tmp_path / "cluster", 0) as cluster:
        cluster.start_worker(PYTHONPATH=str(other.parent))
        with pytest.raises(ClusterError, match="has no tickline that this one could use"):
            take(tmp_path / "store", raw, **by(cluster, 1))


def test_a_worker_with_another_key_is_refused(tmp_path: Path, raw: Path) -> None:
    with _cluster(tmp_path, 1, **{ENVIRONMENT: KEY[::-1]}) as cluster:
        with pytest.raises(ClusterError, match="has another key of the pseudonyms") as caught:
            take(tmp_path / "store", raw, **by(cluster, 1))
        assert KEY not in str(caught.value)
        assert KEY[::-1] not in str(caught.value) + cluster.logs()


def test_a_worker_that_does_not_see_the_store_is_refused(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _cluster(tmp_path, 1) as cluster:
        place = spread.Place
        elsewhere = str(tmp_path / "elsewhere")
        monkeypatch.setattr(spread, "Place", lambda _, *more: place(elsewhere, *more))
        with pytest.raises(ClusterError, match=f"worker tcp:.*: does not see the store {elsewhere}"):
            take(tmp_path / "store", raw, **by(cluster, 1))


def test_a_worker_of_another_user_is_refused(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    states(take(store, raw / "small-3.log"))
    with StoreFolder.open(store) as folder:
        place = spread.Place(str(store), folder.settings.store_id, 1000)
    check_place(place)
    fstat = os.fstat

    def foreign(file: int) -> os.stat_result:
        fields = list(fstat(file))
        fields[stat.ST_UID] += 1
        return os.stat_result(fields)

    monkeypatch.setattr("tickline.pipelines.access.ingest.pieces.os.fstat", foreign)
    with pytest.raises(ClusterError, match="runs as another user"):
        check_place(place)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--dedupe-lines"], "--engine dask: with --dedupe-lines each line is compared with those before it"),
        (["--from", "reduced"], "--engine dask: tables of an old tree are taken in by one process"),
    ],
)
def test_what_one_process_does_is_not_given_to_a_cluster(
    tmp_path: Path, raw: Path, more: list[str], message: str
) -> None:
    store = tmp_path / "store"
    done = run("access", "ingest", raw, "--store", store, "--engine", "dask", *more, check=2)
    assert message in done.stderr.decode()
    assert not store.exists()


def test_the_command_starts_a_cluster_of_its_own(tmp_path: Path, raw: Path) -> None:
    store = tmp_path / "store"
    done = run(
        *("access", "ingest", raw, "--store", store, "--settle", "0"),
        *("--engine", "dask", "--workers", "2", "--json"),
        check=0,
    )
    assert not done.stderr
    same(tmp_path, raw, store)


def test_ctrl_c_ends_a_cluster_of_its_own_without_a_word_of_its_workers(tmp_path: Path, raw: Path) -> None:
    store = tmp_path / "store"
    arguments = [
        "access",
        "ingest",
        raw,
        "--store",
        store,
        "--settle",
        "0",
        "--engine",
        "dask",
        "--workers",
        "2",
    ]
    # As a terminal does it: all processes of the group get the signal.
    process = subprocess.Popen(
        command(*arguments), env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (store / "parts").is_dir():
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    # A busy machine may have come to its end.
    assert (process.returncode, said) in (
        (130, "tickline: stopped. Finished files are whole; run it again to go on.\n"),
        (0, ""),
    )
    assert not take(store, raw).problems
    same(tmp_path, raw, store)
