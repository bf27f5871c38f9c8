"""Sources that are damaged, vanish or change while they are read: named, and the others are taken."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from python.access_support import line, log
from python.ingest_support import (
    everything,
    files_below,
    goes_on,
    oracle,
    states,
    take,
    units_of_logs,
    without_requesters,
)
from tickline.pipelines.access.ingest import read as ingest_read

pytest.importorskip("pyarrow")

SIZE = 3000


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> int:
    """Return how many threads there are."""
    return int(request.param)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of logs of several units: groups, ranges, compressed."""
    return units_of_logs(tmp_path, monkeypatch)


def _damaged(raw: Path, how: str) -> str:
    whole = gzip.compress(log(2000, 2100))
    match how:
        case "cut":
            data = whole[:-20]
        case "damaged":
            data = whole[: len(whole) // 2] + b"\0\1\2\3" + whole[len(whole) // 2 + 4 :]
        case "wrong check sum":
            data = whole[:-8] + b"\0" * 8
        case "followed by something":
            data = whole + b"something"
        case _:
            data = b""
    (raw / "2a.log.gz").write_bytes(data)
    return "2a.log.gz"


@pytest.mark.parametrize("how", ["cut", "damaged", "wrong check sum", "followed by something", "empty"])
def test_a_damaged_source_is_named_and_the_others_are_taken(
    tmp_path: Path, raw: Path, threads: int, how: str
) -> None:
    store = tmp_path / "store"
    name = _damaged(raw, how)
    good = sorted(path for path in raw.iterdir() if path.name != name)
    report = take(store, raw, threads=threads)
    assert len(report.problems) == report.states["failed"] == 1
    assert name in str(report.problems[0])
    assert without_requesters(everything(store)[0]) == oracle(good)
    (raw / name).write_bytes(gzip.compress(log(2000, 2100)))
    goes_on(store, raw)


def test_a_source_that_goes_bad_keeps_the_rows_it_had(tmp_path: Path, raw: Path, threads: int) -> None:
    store = tmp_path / "store"
    take(store, raw)
    before = everything(store)
    (raw / "5.log.gz").write_bytes((raw / "5.log.gz").read_bytes()[:-9])
    assert len(take(store, raw, threads=threads).problems) == 1
    assert everything(store) == before


def test_sources_that_vanish_are_named(
    tmp_path: Path, raw: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickline.pipelines.access.ingest import ingest as module

    find = module.find_inputs

    def vanishing(raws: list[str], **options: Any) -> Any:
        found = find(raws, **options)
        for path in raw.iterdir():
            if path.name != "0.log":
                path.unlink()
        return found

    monkeypatch.setattr(module, "find_inputs", vanishing)
    report = take(tmp_path / "store", raw, threads=threads)
    assert report.states["failed"] == 5
    assert report.states["new"] == 1
    assert len(everything(tmp_path / "store")[0]) == 20


CHANGES = {
    "shrinks": lambda file: os.truncate(file, SIZE),
    "is changed": lambda file: file.write_bytes(file.read_bytes().replace(b"May", b"Jun")),
    "is emptied": lambda file: os.truncate(file, 0),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("name", ["0.log", "3.log"], ids=["small", "large"])
@pytest.mark.parametrize("moment", ["hash", "scan"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, threads: int, how: str, name: str, moment: str
) -> None:
    store, file = tmp_path / "store", raw / name
    for path in raw.iterdir():
        old = path.stat().st_mtime - 100
        os.utime(path, (old, old))
    method = {"hash": "hash_range", "scan": "scan_range"}[moment]
    original = getattr(ingest_read.Reader, method)
    done: list[bool] = []

    def changing(reader: Any, *arguments: Any, **more: Any) -> Any:
        opened = next(argument for argument in arguments if hasattr(argument, "fd"))
        if Path(opened.path) == file and not done:
            done.append(True)
            CHANGES[how](file)
        return original(reader, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ingest_read.Reader, method, changing)
        report = take(store, raw, threads=threads)
    assert done
    assert len(report.problems) == report.states["failed"] == 1
    assert "while it was read" in str(report.problems[0])
    everything(store)
    goes_on(store, raw)


def test_a_file_that_grows_while_it_is_read_is_taken_as_far_as_it_was(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    store, file = tmp_path / "store", raw / "3.log"
    original = ingest_read.Reader.scan_range
    done: list[bool] = []

    def growing(reader: Any, opened: Any, *arguments: Any, **more: Any) -> Any:
        if Path(opened.path) == file and not done:
            done.append(True)
            with file.open("ab") as more_lines:
                more_lines.write(log(380, 390))
        return original(reader, opened, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ingest_read.Reader, "scan_range", growing)
        assert not take(store, file, threads=threads).problems
    assert len(everything(store)[0]) == 80
    assert states(take(store, file)) == {"grown": 1}
    goes_on(store, raw)


def test_a_copy_of_a_source_that_fails_is_taken_itself(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    (raw / "9.log").write_bytes((raw / "3.log").read_bytes())
    check = ingest_read.Reader.scan_range

    def failing(reader: Any, opened: Any, *arguments: Any, **more: Any) -> Any:
        if opened.path.endswith("3.log"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), opened.path)
        return check(reader, opened, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ingest_read.Reader, "scan_range", failing)
        report = take(tmp_path / "store", raw, threads=threads)
        assert report.states["failed"] == 1
    assert len(everything(tmp_path / "store")[0]) == 4 * 20 + 80 + 100
    goes_on(tmp_path / "store", raw)


def test_numbers_that_no_object_has_are_a_fault_of_their_source(
    tmp_path: Path, raw: Path, threads: int
) -> None:
    store = tmp_path / "store"
    huge = [line(number, size=str(2**64 - 1)) for number in range(5000, 5002)]
    (raw / "2a.log").write_text("\n".join([*huge, ""]))
    (raw / "2b.log.gz").write_bytes(gzip.compress("\n".join([huge[1], *huge, ""]).encode()))
    good = sorted(path for path in raw.iterdir() if not path.name.startswith(("2a", "2b")))
    report = take(store, raw, threads=threads)
    assert report.states["failed"] == 2
    assert all("petabytes" in str(problem) for problem in report.problems)
    assert without_requesters(everything(store)[0]) == oracle(good)


def test_a_log_of_more_months_than_a_century_has_is_none(tmp_path: Path) -> None:
    names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    times = [f"01/{names[number % 12]}/{1990 + number // 12:04d}:00:00:00" for number in range(1260)]
    file, store = tmp_path / "a.log", tmp_path / "store"
    file.write_text("".join(line(number, time=time) + "\n" for number, time in enumerate(times)))
    report = take(store, file)
    assert "over 1200 months" in str(report.problems[0])
    assert everything(store)[0] == []
    assert files_below(store) == []
