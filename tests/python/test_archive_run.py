"""Runs of the archive: what they send, what they keep, and what they do when something is wrong."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest

from python.archive_support import (
    NOON,
    Chronyd,
    Clock,
    LossyStore,
    archived_lines,
    chunks,
    config_of,
    run,
)
from tickline.errors import UsageError
from tickline.pipelines.archive.chunk import pack, sha256_hex
from tickline.pipelines.archive.evidence import node_evidence
from tickline.pipelines.archive.machine import Outcome
from tickline.pipelines.archive.state import BusyError
from tickline.pipelines.archive.stores import FolderStore


@pytest.fixture
def chronyd(tmp_path: Path) -> Chronyd:
    return Chronyd(tmp_path / "log")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _problem(outcome: Outcome) -> str:
    assert len(outcome.problems) == 1, outcome.problems
    return str(outcome.problems[0])


def _runs(tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "state/runs.ndjson").read_text().splitlines()]


def test_a_run_costs_one_call_and_a_probe_at_the_beginning(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config, store = config_of(tmp_path), FolderStore(f"file://{tmp_path}/archive")
    calls = []
    for _ in range(20):
        chronyd.write()
        calls.append(run(config, store, clock).calls)
        clock.now_s += 1800
    # Nobody knows yet that there is no archive of this node: a listing, and the probe.
    assert calls == [3] + [1] * 19
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_nothing_new_costs_nothing_but_a_heartbeat_a_day(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config, store = config_of(tmp_path), FolderStore(f"file://{tmp_path}/archive")
    chronyd.write()
    run(config, store, clock)
    calls = []
    for _ in range(240):
        clock.now_s += 1800
        calls.append(run(config, store, clock).calls)
    assert [number for number, count in enumerate(calls, 1) if count] == [48, 96, 144, 192, 240]
    assert sum(calls) == 5
    found = chunks(tmp_path / "archive")
    assert [chunk.header["lines"] for chunk in found] == [6, 0, 0, 0, 0, 0]
    # Each carries what the runs before it did.
    carried = [entry["run"] for chunk in found for entry in chunk.header["runs"]]
    assert carried == list(range(1, 241))


def test_the_header_says_what_the_next_run_and_an_auditor_need(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path)
    for _ in range(2):
        chronyd.write()
        run(config, None, clock)
    first, second = (chunk.header for chunk in chunks(tmp_path / "archive"))
    assert (first["created"], first["day"]) == ("2026-11-22T12:00:00.000000Z", "2026/11/22")
    assert first["store"] == {"url": config.store, "conditional": "unknown"}
    assert second["store"]["conditional"] == "honoured"
    assert second["ranges"][0]["begin"] == first["ranges"][0]["end"]
    (entry,) = second["runs"]
    assert entry == _runs(tmp_path)[0]
    assert set(entry) == {"run", "start", "end", "calls", "bytes", "lines", "objects", "result"}
    assert (entry["lines"], entry["objects"], entry["result"]) == (6, 1, "ok")
    assert set(node_evidence()) == {"chrony", "conf", "conf_sha256", "kernel", "machine"}


def test_the_second_of_two_runs_leaves(tmp_path: Path, chronyd: Chronyd) -> None:
    chronyd.write()
    (tmp_path / "state").mkdir()
    with (tmp_path / "state/lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another run"):
            run(config_of(tmp_path))
    assert not (tmp_path / "archive").exists()


def test_while_the_store_is_away_chunks_wait_and_go_out_later_as_they_were(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path)
    spool = tmp_path / "state/spool"
    store = LossyStore(tmp_path / "archive", ("lost before",) * 3)
    for waiting in (1, 2, 3):
        chronyd.write()
        assert "connection was cut" in _problem(run(config, store, clock))
        assert len(list(spool.iterdir())) == waiting
        clock.now_s += 1800
    bodies = [path.read_bytes() for path in sorted(spool.iterdir())]
    chronyd.rename()
    chronyd.write()
    assert not run(config, store, clock).problems
    found = chunks(tmp_path / "archive")
    assert [chunk.sha256 for chunk in found[:3]] == [sha256_hex(body) for body in bodies]
    assert archived_lines(found) == chronyd.written
    assert not list(spool.iterdir())


def test_a_full_spool_leaves_lines_in_the_logs_and_goes_on_when_there_is_room(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path, spool_limit=2000)
    store = LossyStore(tmp_path / "archive", ("lost before",) * 6)
    outcomes = []
    for _ in range(6):
        chronyd.write()
        outcomes.append(run(config, store, clock))
    assert any("are the limit" in str(problem) for problem in outcomes[-1].problems)
    assert sum(path.stat().st_size for path in (tmp_path / "state/spool").iterdir()) <= 2000
    # One run sends what waits and takes what waited in the logs.
    assert not run(config, store, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_lost_state_is_made_again_from_the_last_chunk(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path)
    for _ in range(3):
        chronyd.write()
        chronyd.rename(compress=True)
        chronyd.write()
        run(config, None, clock)
    shutil.rmtree(tmp_path / "state")
    chronyd.write()
    # One listing, one object, and the chunk: that conditional writes are honoured stands in the header.
    assert run(config, None, clock).calls == 3
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_state_that_is_lost_for_longer_than_recovery_days_is_found_too(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path)
    chronyd.write()
    run(config, None, clock)
    shutil.rmtree(tmp_path / "state")
    clock.now_s += 100 * 86400
    chronyd.write()
    assert not run(config, None, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_lost_state_beside_a_spool_takes_nothing_twice(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path)
    for word in ("answered", "lost before", "lost behind"):
        chronyd.write()
        run(config, LossyStore(tmp_path / "archive", (word,)), clock)
        (tmp_path / "state/state.json").unlink()
    chronyd.write()
    assert not run(config, None, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\x00" * 100, None])
def test_a_damaged_state_is_said_and_set_aside_and_nothing_is_taken_twice(
    tmp_path: Path, chronyd: Chronyd, clock: Clock, text: bytes | None
) -> None:
    config, path = config_of(tmp_path), tmp_path / "state/state.json"
    chronyd.write()
    run(config, None, clock)
    # A digit of an offset is as bad as rubbish, and looks better.
    path.write_bytes(path.read_bytes().replace(b'"offset":3', b'"offset":2') if text is None else text)
    chronyd.write()
    assert "cannot be understood" in _problem(run(config, None, clock))
    assert (tmp_path / "state/state.json.damaged").exists()
    assert not run(config, None, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_the_state_of_another_node_is_refused(tmp_path: Path, chronyd: Chronyd, clock: Clock) -> None:
    config = config_of(tmp_path)
    chronyd.write()
    run(config, None, clock)
    other = type(config)("n2", config.logs, config.state, config.store)
    before = {path: path.read_bytes() for path in config.state.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="node 'n1'"):
        run(other, None, clock)
    assert {path: path.read_bytes() for path in config.state.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "archive/v1/n2").exists()


def test_an_old_copy_of_the_state_does_not_fork_the_chain(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config, path = config_of(tmp_path), tmp_path / "state/state.json"
    chronyd.write()
    run(config, None, clock)
    old = path.read_bytes()
    for _ in range(5):
        clock.now_s += 86400
        chronyd.write()
        run(config, None, clock)
    path.write_bytes(old)
    chronyd.write()
    assert not run(config, None, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_another_object_under_our_key_is_an_alarm_and_is_not_overwritten(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config, store = config_of(tmp_path), FolderStore(f"file://{tmp_path}/archive")
    chronyd.write()
    run(config, store, clock)
    foreign = pack({"node": "n1", "seq": 2}, [])
    store.put("v1/n1/2026/11/22/0000000002.zst", foreign, sha256_hex(foreign))
    for _ in range(2):
        chronyd.write()
        assert "another object" in _problem(run(config, store, clock))
    assert store.get("v1/n1/2026/11/22/0000000002.zst") == foreign
    assert len(list((tmp_path / "state/spool").iterdir())) == 2


class CarelessStore(FolderStore):
    """Overwrites whatever it is told to, as some servers do."""

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool = True) -> bool:
        (Path(self.url.removeprefix("file://")) / key).unlink(missing_ok=True)
        return super().put(key, body, sha256, only_if_absent=only_if_absent)


def test_a_store_that_ignores_conditions_is_refused(tmp_path: Path, chronyd: Chronyd, clock: Clock) -> None:
    store = CarelessStore(f"file://{tmp_path}/archive")
    for _ in range(2):
        chronyd.write()
        assert "ignores conditional writes" in _problem(run(config_of(tmp_path), store, clock))
    # With other words in archive.toml it goes on, with a HEAD before each write.
    config = config_of(tmp_path, unique_keys=True)
    assert not run(config, store, clock).problems
    chronyd.write()
    assert run(config, store, clock).calls == 2
    found = list(store.keys("v1/n1/"))
    assert [len(Path(key).stem) for key in found] == [10, 27, 27]
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_clock_that_is_set_back_keeps_keys_in_order(tmp_path: Path, chronyd: Chronyd, clock: Clock) -> None:
    config = config_of(tmp_path)
    for days in (0, -400, 1):
        clock.now_s = NOON + days * 86400
        chronyd.write()
        assert not run(config, None, clock).problems
    found = chunks(tmp_path / "archive")
    assert [chunk.header["day"] for chunk in found] == ["2026/11/22", "2026/11/22", "2026/11/23"]
    assert found[1].header["created"].startswith("2025-10-18")
    assert archived_lines(found) == chronyd.written


def test_a_damaged_spool_is_said_and_nothing_is_sent(tmp_path: Path, chronyd: Chronyd, clock: Clock) -> None:
    config = config_of(tmp_path)
    chronyd.write()
    run(config, LossyStore(tmp_path / "archive", ("lost before",)), clock)
    (path,) = (tmp_path / "state/spool").iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert path.name in _problem(run(config, None, clock))
    path.unlink()
    assert not run(config, None, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_a_log_that_may_not_be_read_does_not_stop_the_others(
    tmp_path: Path, chronyd: Chronyd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Chronyd(tmp_path / "log", "statistics")
    other.write()
    chronyd.write()
    real = os.open

    def denied(path: str, *arguments: int, **more: int) -> int:
        if str(path).endswith("statistics.log"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", denied)
        assert "may not be opened" in _problem(run(config_of(tmp_path), None, clock))
    (chunk,) = chunks(tmp_path / "archive")
    assert "may not be opened" in chunk.header["notes"][0]
    assert not run(config_of(tmp_path), None, clock).problems
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written + other.written


def test_more_than_one_chunk_takes_becomes_several(
    tmp_path: Path, chronyd: Chronyd, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickline.pipelines.archive import machine

    real = machine.gather
    monkeypatch.setattr(machine, "gather", lambda *a, **k: real(*a, **k, most_bytes=2000))
    chronyd.write(100)
    chronyd.path.with_name("tracking.log.1.xz").write_bytes(b"x")
    outcome = run(config_of(tmp_path), None, clock)
    assert outcome.objects == 4
    # It was in the way at each of the four looks, and is said once.
    assert "is packed" in _problem(outcome)
    assert archived_lines(chunks(tmp_path / "archive")) == chronyd.written


def test_half_a_line_in_the_log_of_runs_costs_that_line(
    tmp_path: Path, chronyd: Chronyd, clock: Clock
) -> None:
    config = config_of(tmp_path)
    run(config, None, clock)
    with (tmp_path / "state/runs.ndjson").open("a") as file:
        file.write('{"run": 2, "sta')
    run(config, None, clock)
    chronyd.write()
    run(config, None, clock)
    assert [entry["run"] for entry in chunks(tmp_path / "archive")[1].header["runs"]] == [1, 2]


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a killed process has written the kernel keeps; only power failures need more.
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_what_a_killed_write_left_in_the_archive_goes_when_it_is_old(tmp_path: Path) -> None:
    store, folder = FolderStore(f"file://{tmp_path}"), tmp_path / "v1/n1/2026/11/22"
    folder.mkdir(parents=True)
    old, new, other = (folder / name for name in (".tickline-tmp-1-a", ".tickline-tmp-2-b", "notes"))
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (0, 0))
    assert store.put("v1/n1/2026/11/22/0000000001.zst", b"x", sha256_hex(b"x"))
    assert not old.exists()
    assert new.exists()
    assert other.exists()
    assert next(store.keys("v1/")) == "v1/n1/2026/11/22/0000000001.zst"
