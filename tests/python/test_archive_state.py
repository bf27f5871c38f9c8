"""What an archive keeps on its node: the log of runs, the spool; and full disks and lost stores."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from python.archive_support import Chronyd, LossyStore, archived_lines, chunks, config_of, run
from tickline.errors import SourceError, TicklineError
from tickline.pipelines.archive import runs as runs_module
from tickline.pipelines.archive import spool as spool_module
from tickline.pipelines.archive import state as state_module
from tickline.pipelines.archive.chunk import pack
from tickline.pipelines.archive.runs import RunLog
from tickline.pipelines.archive.spool import Spool, SpoolFullError


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


def test_runs_are_numbered_on_whatever_becomes_of_their_log(tmp_path: Path) -> None:
    path = tmp_path / "runs.ndjson"
    log = RunLog(path)
    log.append({"result": "ok"}, at_least=0)
    log.append({"result": "ok"}, at_least=0)
    assert [entry["run"] for entry in log.behind(0)] == [1, 2]
    assert [entry["run"] for entry in log.behind(1)] == [2]
    path.unlink()
    log.append({"result": "ok"}, at_least=2)
    assert log.behind(0) == [{"run": 3, "result": "ok"}]
    path.write_bytes(b'{"run": 3}\nrubbish\n[]\n{"run": "x"}\n{"run": 9')
    log.append({}, at_least=0)
    assert [entry["run"] for entry in log.behind(0)] == [3, 4]


def test_the_log_of_runs_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs.ndjson"
    monkeypatch.setattr(runs_module, "_MOST_BYTES", 2_000)
    log = RunLog(path)
    for number in range(1, 500):
        log.append({"result": "ok"}, at_least=0)
        assert path.stat().st_size < 2_100
        assert json.loads(path.read_text().splitlines()[-1])["run"] == number
    path.write_text("".join(f'{{"run":{number}}}\n' for number in range(1, 1000)))
    assert [entry["run"] for entry in log.behind(5)] == list(range(800, 1000))


def test_the_spool_holds_as_much_as_it_may(tmp_path: Path) -> None:
    body = pack({"node": "n1", "seq": 1}, [])
    spool = Spool(tmp_path / "spool", 2 * len(body))
    assert spool.numbers() == []
    spool.put(9, body)
    spool.put(10, body)
    with pytest.raises(SpoolFullError, match="limit"):
        spool.put(11, body)
    assert spool.numbers() == [9, 10]
    assert spool.read(9)[0] == body
    spool.remove(9)
    spool.remove(9)
    spool.put(11, body)
    assert spool.numbers() == [10, 11]


def test_what_waits_never_takes_the_room_that_the_state_needs(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path)
    away = LossyStore(tmp_path / "archive", ("lost before",) * 2)
    for free in (8 << 20, 4 << 20):
        disk = SimpleNamespace(f_bavail=free // 512, f_frsize=512)
        monkeypatch.setattr(spool_module.os, "statvfs", lambda _, disk=disk: disk)
        chronyd.write()
        told = " ".join(map(str, run(config, away).problems))
        assert len(list((config.state / "spool").iterdir())) == 1
    assert "its disk has 4,194,304 bytes left" in told
    # What waited goes out all the same, and the rest when there is room.
    outcome = run(config)
    assert (outcome.objects, len(outcome.problems)) == (1, 1)
    monkeypatch.undo()
    assert not run(config).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_disk_that_gives_back_other_bytes_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, other = (pack({"node": "n1", "seq": seq}, []) for seq in (1, 2))
    real = spool_module.write_whole
    monkeypatch.setattr(spool_module, "write_whole", lambda path, _: real(path, other))
    with pytest.raises(TicklineError, match="other bytes"):
        Spool(tmp_path / "spool", 10**6).put(1, body)


@pytest.mark.parametrize("module", [spool_module, state_module, runs_module], ids=["spool", "state", "runs"])
def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch, module: object
) -> None:
    config = config_of(tmp_path)
    chronyd.write()
    run(config)
    chronyd.write()

    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_whole", full)
        patch.setattr(runs_module, "_MOST_BYTES", 0)
        problems = run(config).problems
        assert ["the disk is full" in str(problem) for problem in problems] == [True]
        assert isinstance(problems[0], SourceError)
    chronyd.copytruncate()
    chronyd.write()
    assert not run(config).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_lost_state_waits_for_its_store(
    tmp_path: Path, chronyd: Chronyd, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, store = config_of(tmp_path), LossyStore(tmp_path / "archive")
    chronyd.write()
    run(config, store)
    (tmp_path / "state/state.json").unlink()
    chronyd.write()

    def away(prefix: str, after: str = "") -> None:
        raise SourceError("the server cannot be reached", where="s3")

    with monkeypatch.context() as patch:
        patch.setattr(store, "keys", away)
        assert "cannot be reached" in run(config, store).result
        # No number is used before the archive told the last one.
        assert not (tmp_path / "state/state.json").exists()
        assert not list((tmp_path / "state/spool").iterdir())
    assert not run(config, store).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written
