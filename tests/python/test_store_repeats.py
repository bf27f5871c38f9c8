"""``--dedupe-lines``: a line that was delivered twice counts once, wherever the second one comes from."""

from __future__ import annotations

import gzip
import random
from pathlib import Path
from typing import Any

import pytest

from python.access_support import line, log
from python.ingest_support import counted, daily, everything, rows, small_runs, tables, take
from tickline import _core
from tickline.pipelines.access.ingest import unit as ingest_unit
from tickline.pipelines.access.ingest.options import IngestReport
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")


@pytest.fixture(autouse=True, params=["group", "ranges"])
def kind_of_unit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small sources and large ones."""
    if request.param == "ranges":
        small_runs(monkeypatch, 4_000, small=1)
    return str(request.param)


def _take(store: Path, *raws: Path, **options: Any) -> IngestReport:
    report = take(store, *raws, wanted=WantedSettings(dedupe_lines=True), **options)
    assert not report.problems
    everything(store)
    return report


def _repeated(store: Path) -> int:
    return int(counted(store)["filtered"].get("repeated", 0))


def _keys(store: Path) -> list[str]:
    return sorted(row[1] for row in rows(store))


def _expected(*numbers: range) -> list[str]:
    return sorted(f"blobs/{number % 97:03x}/{number:06d}" for some in numbers for number in some)


def test_without_the_option_every_line_counts(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log(0, 20) + log(0, 20))
    take(tmp_path / "store", tmp_path / "a.log")
    assert len(everything(tmp_path / "store")[0]) == 40
    assert "line_hash" not in tables(tmp_path / "store", "accesses")[0]


@pytest.mark.parametrize("threads", [1, 3])
def test_within_a_source_the_first_one_counts(tmp_path: Path, threads: int) -> None:
    store = tmp_path / "store"
    (tmp_path / "a.log").write_bytes(log(0, 50) + log(30, 60) + log(0, 50))
    assert _take(store, tmp_path / "a.log", threads=threads).rows == 60
    assert _keys(store) == _expected(range(60))
    assert _repeated(store) == 80 - 10
    assert sorted(row["line"] for row in tables(store, "accesses")) == [*range(1, 51), *range(71, 81)]


@pytest.mark.parametrize("together", [True, False], ids=["one run", "two runs"])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_object_that_holds_lines_of_another(tmp_path: Path, together: bool, threads: int) -> None:
    store, raw = tmp_path / "store", tmp_path / "raw"
    raw.mkdir()
    (raw / "a.log").write_bytes(log(0, 60))
    if not together:
        _take(store, raw, threads=threads)
    (raw / "b.log.gz").write_bytes(gzip.compress(log(40, 80).replace(b"\n", b"\r\n")))
    (raw / "c.log").write_bytes(log(0, 90)[:-1])
    _take(store, raw, threads=threads)
    assert _keys(store) == _expected(range(90))
    assert _repeated(store) == 20 + 80
    assert sum(requests for _, requests, _ in daily(store).values()) == 90


def test_a_tail_that_repeats_what_was_there(tmp_path: Path) -> None:
    store, file = tmp_path / "store", tmp_path / "a.log"
    file.write_bytes(log(0, 30))
    _take(store, file)
    file.write_bytes(log(0, 30) + log(20, 50))
    assert _take(store, file).rows == 20
    assert _keys(store) == _expected(range(50))
    assert _repeated(store) == 10


def test_lines_of_a_replaced_source_that_come_again_count(tmp_path: Path) -> None:
    store, file = tmp_path / "store", tmp_path / "a.log"
    file.write_bytes(log(0, 40))
    _take(store, file)
    for first in (10, 0, 25):
        file.write_bytes(log(first, 45))
        _take(store, file)
        assert _keys(store) == _expected(range(first, 45))
        assert _repeated(store) == 0


def test_lines_that_differ_in_anything_are_no_repeats(tmp_path: Path) -> None:
    lines = [line(1), line(1).replace("hostid1", "hostid2"), line(1) + " more", line(1, size="8")]
    (tmp_path / "a.log").write_text("\n".join([*lines, *lines, ""]))
    _take(tmp_path / "store", tmp_path / "a.log")
    assert len(rows(tmp_path / "store")) == 4


def test_the_hash_is_that_of_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log(0, 5).replace(b"\n", b"\r\n"))
    _take(tmp_path / "store", tmp_path / "a.log")
    for row in tables(tmp_path / "store", "accesses"):
        hashed = _core.ContentHash()
        hashed.update(line(row["line"] - 1).encode())
        assert row["line_hash"] == hashed.digest()


@pytest.mark.parametrize("threads", [1, 3])
def test_random_deliveries_count_every_line_once(tmp_path: Path, threads: int) -> None:
    store, raw = tmp_path / "store", tmp_path / "raw"
    raw.mkdir()
    chance = random.Random(5)
    delivered: set[int] = set()
    for round_ in range(4):
        for number in range(4):
            some = [chance.randrange(200) for _ in range(chance.randrange(1, 60))]
            delivered.update(some)
            (raw / f"{round_}-{number}.log").write_bytes(b"".join(log(one, one + 1) for one in some))
        _take(store, raw, threads=threads)
        assert _keys(store) == sorted(_expected(*(range(one, one + 1) for one in delivered)))


def test_a_repeat_whose_first_one_leaves_is_told_of(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store", tmp_path / "a.log", tmp_path / "b.log"
    first.write_bytes(log(0, 40))
    second.write_bytes(log(30, 60))
    _take(store, first, second)
    first.write_bytes(log(0, 20))
    assert "repeat" in _take(store, first, second).notes[0]
    assert _keys(store) == _expected(range(20), range(40, 60))
    first.write_bytes(log(0, 10))
    assert not _take(store, first, second).notes, "these were repeated by nobody"


def test_what_waits_is_forgotten_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, raw = tmp_path / "store", tmp_path / "raw"
    small_runs(monkeypatch, 4_000, small=1_000_000)
    raw.mkdir()
    (raw / "a.log.gz").write_bytes(gzip.compress(log(0, 400))[:-9])
    (raw / "b.log.gz").write_bytes(gzip.compress(log(0, 400)))
    (raw / "c.log.gz").write_bytes(gzip.compress(log(0, 400), 1))
    report = take(store, raw, wanted=WantedSettings(dedupe_lines=True))
    assert report.states == {"new": 1, "copy": 1, "failed": 1}
    assert _keys(store) == _expected(range(400))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_disk_that_is_full_while_rows_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, raw = tmp_path / "store", tmp_path / "raw"
    raw.mkdir()
    (raw / "a.log").write_bytes(log(0, 1))
    _take(store, raw)
    (raw / "b.log").write_bytes(log(0, 500))
    with monkeypatch.context() as patch:
        patch.setattr(ingest_unit.tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("r+b"))  # noqa: SIM115
        report = take(store, raw, wanted=WantedSettings(dedupe_lines=True), threads=2)
    assert [problem.what for problem in report.problems] == ["the disk is full"]
    assert report.states["failed"] == 0
    _take(store, raw)
    assert _keys(store) == _expected(range(500))
