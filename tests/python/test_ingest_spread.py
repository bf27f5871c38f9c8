"""An ingest by the workers of a Dask cluster: the store holds what one process would have put there."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from python.dask_support import DaskCluster, dask_cluster
from python.ingest_support import KEY, everything, names, sources, states, take
from python.spread_support import PRELOAD, by, export, logs_of_all_kinds, same, set_up
from tickline.engines import cluster as engine_cluster
from tickline.store.folder import StoreFolder
from tickline.store.manifest import load_manifest
from tickline.store.pseudonyms import ENVIRONMENT

pytest.importorskip("pyarrow")
pytest.importorskip("distributed")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Logs of all kinds."""
    return logs_of_all_kinds(tmp_path / "raw")


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """Two workers that are left alone."""
    with dask_cluster(tmp_path_factory.mktemp("cluster"), 2, preload=PRELOAD, **{ENVIRONMENT: KEY}) as made:
        yield made


def test_workers_make_the_store_that_one_process_makes(
    tmp_path: Path, raw: Path, workers: DaskCluster
) -> None:
    report = take(tmp_path / "store", raw, **by(workers))
    found = states(report)
    assert found == states(take(tmp_path / "local", raw))
    assert found["copy"] == 3
    assert report.counts["lines"]
    same(tmp_path, raw, tmp_path / "store")
    with StoreFolder.open(tmp_path / "store") as folder:
        assert load_manifest(folder.path).snapshot == folder.ledger.snapshot()
    assert states(take(tmp_path / "store", raw, **by(workers))) == {"unchanged": sum(found.values())}


def test_grown_changed_and_renamed_files_are_what_they_are(
    tmp_path: Path, raw: Path, workers: DaskCluster
) -> None:
    logs = sorted(raw.glob("*/*/*.log"))
    whole = logs[3].read_bytes()
    begin = whole[: whole.index(b"\n", len(whole) // 2) + 1]
    logs[3].write_bytes(begin)
    (raw / "small-0.log").write_bytes(b"")
    stores = [tmp_path / "store", tmp_path / "other"]
    first, second = (take(stores[0], raw, **by(workers)), take(stores[1], raw))
    assert states(first) == states(second)
    logs[3].write_bytes(whole)
    with (raw / "small-1.log").open("ab") as file:
        file.write(whole[: whole.index(b"\n") + 1])
    (raw / "small-2.log").write_bytes(whole[: whole.index(b"\n") + 1])
    logs[4].rename(raw / "renamed.log")
    first, second = (take(stores[0], raw, **by(workers)), take(stores[1], raw))
    assert states(first) == states(second)
    assert first.states["grown"] == 2
    assert first.states["changed"] == 1
    assert first.states["copy"] == 1
    assert everything(stores[0]) == everything(stores[1])
    assert names(stores[0]) == names(stores[1])
    assert sources(stores[0]) == sources(stores[1])
    assert export(stores[0], tmp_path / "a") == export(stores[1], tmp_path / "b")


def test_nothing_secret_is_told_to_scheduler_or_logs(
    tmp_path: Path, raw: Path, workers: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments, and what is printed of them, hold no key; logs of workers hold neither key nor address."""
    told: list[str] = []
    submit = engine_cluster.Cluster.submit

    def noting(self: Any, work: Any, *arguments: Any, **more: Any) -> int:
        told.append(repr(arguments))
        return submit(self, work, *arguments, **more)

    monkeypatch.setattr(engine_cluster.Cluster, "submit", noting)
    assert not take(tmp_path / "store", raw, **by(workers)).problems
    everything_told = "".join(told) + workers.logs()
    assert len(told) > 10
    assert "raw" in everything_told
    assert KEY not in everything_told
    address = sorted(raw.glob("*/*/*.log"))[0].read_text(errors="replace").split()[4]
    assert address.count(".") == 3 or ":" in address
    assert address not in everything_told


def test_pieces_that_run_twice_count_once(
    tmp_path: Path, raw: Path, workers: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = engine_cluster.Cluster.submit
    done: list[str] = []

    def twice(self: Any, work: Any, *arguments: Any, **more: Any) -> int:
        self._pieces.pop(submit(self, work, *arguments, **more)).future.result(timeout=60)
        done.append(work.__name__)
        return submit(self, work, *arguments, **more)

    monkeypatch.setattr(engine_cluster.Cluster, "submit", twice)
    store = tmp_path / "store"
    assert not take(store, raw, **by(workers)).problems
    assert set(done) == {"read_group", "survey", "read_range"}
    # What the first attempts have written is gone, and named nowhere.
    same(tmp_path, raw, store)


class Killer(threading.Thread):
    """Kills a worker at random moments, and starts another one in its place."""

    def __init__(self, cluster: DaskCluster, kills: int, seed: int) -> None:
        super().__init__()
        self.cluster = cluster
        self.left = kills
        self.killed = 0
        self.chance = random.Random(seed)
        self.over = threading.Event()

    def run(self) -> None:
        while self.left and not self.over.wait(0.2 + 0.6 * self.chance.random()):
            alive = [worker for worker in self.cluster.workers if worker.poll() is None]
            victim = self.chance.choice(alive)
            victim.kill()
            victim.wait()
            self.left -= 1
            self.killed += 1
            self.cluster.start_worker()


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_workers_killed_at_random_change_nothing(tmp_path: Path, raw: Path, kills: int) -> None:
    pause = {"TICKLINE_TEST_PAUSE_S": "0.1", ENVIRONMENT: KEY}
    killed = rounds = 0
    with dask_cluster(tmp_path / "cluster", 3, preload=PRELOAD, **pause) as cluster:
        while killed < kills:
            rounds += 1
            assert rounds <= kills, "most runs end before a kill"
            store = tmp_path / f"store-{rounds}"
            killer = Killer(cluster, min(kills - killed, 5), rounds)
            killer.start()
            try:
                report = take(store, raw, **by(cluster, 3))
            finally:
                killer.over.set()
                killer.join()
            killed += killer.killed
            assert not report.problems, [str(problem) for problem in report.problems]
            same(tmp_path, raw, store)
    assert killed == kills
