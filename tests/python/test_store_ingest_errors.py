"""What goes wrong in mid-ingest: a sentence, nothing half-committed, and the next run goes on."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from python.access_support import log
from python.ingest_support import (
    everything,
    files_below,
    goes_on,
    named_files,
    sources,
    take,
    units_of_logs,
)
from tickline import files
from tickline.errors import TicklineError
from tickline.pipelines.access.ingest import commit as ingest_commit
from tickline.pipelines.access.ingest.commit import Committer
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.progress import Progress
from tickline.store.ledger import Ledger

pytest.importorskip("pyarrow")


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> int:
    """Return how many threads there are."""
    return int(request.param)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of logs of several units: groups, ranges, compressed."""
    return units_of_logs(tmp_path, monkeypatch)


def _whole(store: Path) -> None:
    """Check that what is committed is whole: rows, sums and accounting fit together."""
    if (store / "store.toml").exists():
        everything(store)
        assert set(named_files(store)) <= set(files_below(store))


@pytest.mark.parametrize("after", [0, 1, 3, 6, 11, 18, 25])
def test_a_disk_that_is_full_while_files_are_written(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, threads: int, after: int
) -> None:
    take(tmp_path / "store", raw / "0.log")
    left = [after]
    write = files.WholeFile.write

    def full(file: files.WholeFile, data: bytes, /) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.path))
        return write(file, data)

    with monkeypatch.context() as patch:
        patch.setattr(files.WholeFile, "write", full)
        report = take(tmp_path / "store", raw, threads=threads)
        assert [problem.what for problem in report.problems] == ["the disk is full"]
        assert report.states["failed"] == 0, "no fault of a source"
    _whole(tmp_path / "store")
    goes_on(tmp_path / "store", raw)


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("size", [0, 500, 2000, 20_000, 70_000, 100_000])
@pytest.mark.parametrize("new", [True, False])
def test_files_that_may_not_grow(tmp_path: Path, raw: Path, threads: int, size: int, new: bool) -> None:
    store = tmp_path / "store"
    if not new:
        take(store, raw / "0.log")
    with _largest_file(size):
        try:
            problems: list[TicklineError] = take(store, raw, threads=threads).problems
        except TicklineError as error:
            problems = [error]
    assert problems or size >= 66_000
    assert all(str(problem) for problem in problems)
    _whole(store)
    goes_on(store, raw)


@pytest.mark.parametrize("pages", [0, 1, 3, 6])
def test_a_ledger_that_is_full(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, threads: int, pages: int
) -> None:
    store = tmp_path / "store"
    take(store, raw / "0.log")
    begin = Ledger._begin

    def limited(ledger: Ledger, store_id: str, create: bool) -> None:
        begin(ledger, store_id, create)
        now = ledger.db.execute("PRAGMA page_count").fetchone()[0]
        ledger.db.execute(f"PRAGMA max_page_count={now + pages}")

    # Each of them has many rejected lines, so that the ledger needs room.
    for number in range(5):
        with (raw / f"{number}.log").open("ab") as more:
            more.write(b"x\n" * 2000)
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "_begin", limited)
        report = take(store, raw, threads=threads)
        assert [problem.what for problem in report.problems] == ["the disk is full"]
    _whole(store)
    goes_on(store, raw)


MOMENTS = [
    (Ledger, "begin_commit"),
    (Ledger, "add_part"),
    (Committer, "_put_source"),
    (Committer, "_put_name"),
    (Committer, "_tell"),
    (Committer, "name_copies"),
    (Committer, "_replace"),
]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, MemoryError, RuntimeError], ids=lambda kind: kind.__name__
)
@pytest.mark.parametrize(("owner", "name"), MOMENTS, ids=[name for _, name in MOMENTS])
def test_an_interrupt_at_the_commit_harms_nothing(
    tmp_path: Path,
    raw: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    name: str,
    error: type[BaseException],
) -> None:
    store = tmp_path / "store"
    take(store, raw / "0.log", raw / "3.log")
    (raw / "0.log").write_bytes(log(50, 60))
    (raw / "copy.log").write_bytes(log(300, 380))
    original = getattr(owner, name)
    calls = [0]

    def interrupted(*arguments: Any, **more: Any) -> Any:
        calls[0] += 1
        found = original(*arguments, **more)
        if calls[0] == (1 if name in ("name_copies", "_replace") else 2):
            raise error
        return found

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted)
        with pytest.raises(error):
            take(store, raw, threads=2)
    assert set(named_files(store)) <= set(files_below(store)), "a file that counts is gone"
    goes_on(store, raw)


class _Interrupt(Progress):
    def __init__(self, after: int, error: BaseException) -> None:
        self.left = after
        self.error = error

    def advance(self, size: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise self.error


@pytest.mark.parametrize("after", [0, 1, 3, 5])
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("a fault of a worker")], ids=["ctrl-c", "fault"]
)
def test_an_interrupt_while_reading_ends_the_run(
    tmp_path: Path, raw: Path, threads: int, after: int, error: BaseException
) -> None:
    store = tmp_path / "store"
    before = threading.active_count()
    with pytest.raises(type(error)):
        take(store, raw, threads=threads, progress=_Interrupt(after, error))
    assert threading.active_count() == before
    _whole(store)
    goes_on(store, raw)


def test_a_kill_between_commit_and_end_leaves_content_that_leaves(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    take(store, raw)
    (raw / "0.log").write_bytes(log(50, 60))
    with monkeypatch.context() as patch:
        patch.setattr(ingest_commit.Committer, "finish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            take(store, raw)
    assert sources(store)["leaving"] == 1
    goes_on(store, raw)
    assert sources(store) == {"live": 6, "replaced": 1}


def test_a_ledger_that_another_program_holds_is_named(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    take(store, raw / "0.log")
    monkeypatch.setattr("tickline.store.ledger._BUSY_MS", 50)
    holder = sqlite3.connect(store / "ledger.sqlite", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        report = take(store, raw)
        assert "locked" in str(report.problems[0])
    finally:
        holder.close()
    goes_on(store, raw)


def test_a_file_that_is_no_log_and_not_called_like_one_is_not_taken(tmp_path: Path) -> None:
    networks = tmp_path / "vpn.txt"
    networks.write_text("192.0.2.0/24\n198.51.100.0/24\n")
    called_like_one = tmp_path / "networks.log"
    called_like_one.write_text("192.0.2.0/25\n198.51.100.0/24\n")
    report = ingest(str(tmp_path / "store"), [str(networks), str(called_like_one)], IngestOptions(settle_s=0))
    assert [problem.where for problem in report.problems] == [str(networks)]
    assert "not taken" in str(report.problems[0])
    # Under the name of a log it is one whose lines are all rejected: they are counted.
    assert report.counts["rejected"] == {"cut": 2}
