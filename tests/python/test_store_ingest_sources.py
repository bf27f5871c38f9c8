"""Every line exactly once, whatever becomes of the files: renamed, copied, grown, rotated, replaced."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from python.access_support import line, log
from python.ingest_support import (
    counted,
    everything,
    names,
    oracle,
    rows,
    small_runs,
    sources,
    states,
    take,
    without_requesters,
)

pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True, params=["group", "ranges"])
def kind_of_unit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Everything here holds for small sources, which share a unit, and for large ones, read in ranges."""
    if request.param == "ranges":
        small_runs(monkeypatch, 4_000, small=1)
    return str(request.param)


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _fresh(tmp_path: Path, *files: Path) -> tuple[Any, ...]:
    """Return what a new store of these files holds, and the sums that it must have."""
    store = tmp_path / "fresh"
    shutil.rmtree(store, ignore_errors=True)
    shutil.rmtree(tmp_path / "final", ignore_errors=True)
    for number, file in enumerate(files):
        _write(tmp_path / "final" / f"{number}{''.join(file.suffixes[-2:])}", file.read_bytes())
    take(store, tmp_path / "final", settle_s=0)
    found = everything(store)
    assert without_requesters(found[0]) == oracle({file.read_bytes(): file for file in files}.values())
    return (*found[:2], found[2]["accepted"])


def _same(store: Path, fresh: tuple[Any, ...]) -> None:
    """Compare rows without the key of the pseudonyms, which each store has for its own."""
    found = everything(store)
    assert without_requesters(found[0]) == without_requesters(fresh[0])
    assert sorted(found[1].values()) == sorted(fresh[1].values())
    assert found[2]["accepted"] == fresh[2]


def test_a_second_run_adds_nothing(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    for day in range(4):
        _write(raw / f"{day}.log", log(day * 50, day * 50 + 50))
    assert states(take(store, raw)) == {"new": 4}
    before = everything(store)
    assert len(before[0]) == 200
    report = take(store, raw)
    assert states(report) == {"unchanged": 4}
    assert report.rows == report.bytes_read == 0
    assert everything(store) == before


ALIASES: dict[str, Callable[[Path, Path], object]] = {
    "renamed": lambda old, new: old.rename(new.with_suffix(".log")),
    "copied": lambda old, new: shutil.copy(old, new.with_suffix(".log")),
    "hard-linked": lambda old, new: new.with_suffix(".log").hardlink_to(old),
    "linked": lambda old, new: new.with_suffix(".log").symlink_to(old),
    "compressed": lambda old, new: new.with_suffix(".log.gz").write_bytes(gzip.compress(old.read_bytes())),
    "compressed otherwise": lambda old, new: new.with_suffix(".log.gz").write_bytes(
        gzip.compress(old.read_bytes(), 1)
    ),
}


@pytest.mark.parametrize("how", ALIASES)
def test_the_same_content_under_another_name_adds_nothing(tmp_path: Path, how: str) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    _write(raw / "a.log", log(0, 60))
    take(store, raw)
    before = everything(store)
    ALIASES[how](raw / "a.log", raw / "b")
    # A link is taken where it is named itself, not where it is found in a folder.
    named = sorted(raw.iterdir())
    assert states(take(store, *named))["copy"] == 1
    assert everything(store) == before
    assert set(names(store).values()) == {1}
    assert states(take(store, *named)) == {"unchanged": len(named)}, "the name is known now"


def test_copies_within_one_run_count_once(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    data = log(0, 60)
    _write(raw / "a.log", data)
    _write(raw / "b.log", data)
    _write(raw / "c.log.gz", gzip.compress(data))
    assert states(take(store, raw, threads=2)) == {"new": 1, "copy": 2}
    assert without_requesters(everything(store)[0]) == oracle([raw / "a.log"])


def test_a_grown_file_adds_its_tail(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    file = _write(raw / "a.log", log(0, 40))
    take(store, raw)
    for last in (41, 90, 200):
        _write(file, log(0, last))
        report = take(store, raw)
        assert states(report) == {"grown": 1}
        assert report.rows < last
        assert without_requesters(everything(store)[0]) == oracle([file])
    assert sources(store) == {"live": 1}


def test_a_compressed_file_grows_by_members(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    file = _write(raw / "a.log.gz", gzip.compress(log(0, 40)))
    take(store, raw)
    for first in (40, 70):
        with file.open("ab") as more:
            more.write(gzip.compress(log(first, first + 30)))
        assert states(take(store, raw)) == {"grown": 1}
        assert without_requesters(everything(store)[0]) == oracle([file])


def test_a_compressed_file_without_a_last_newline_that_grows_is_read_anew(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    file = _write(raw / "a.log.gz", gzip.compress(log(0, 40) + line(40)[:90].encode()))
    take(store, raw)
    with file.open("ab") as more:
        more.write(gzip.compress(line(40)[90:].encode() + b"\n" + log(41, 50)))
    assert states(take(store, raw)) == {"changed": 1}
    _same(store, _fresh(tmp_path, file))


def test_the_last_line_waits_until_the_file_has_settled(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    half = line(40).encode()
    file = _write(raw / "a.log", log(0, 40) + half[:100])
    assert states(take(store, raw, settle_s=3600)) == {"new": 1}
    assert counted(store)["filtered"] == {"unfinished": 1}
    assert counted(store)["lines"] == 41
    assert len(rows(store)) == 40
    assert states(take(store, raw, settle_s=3600)) == {"unchanged": 1}

    _write(file, log(0, 40) + half + b"\n" + log(41, 44) + half[:50])
    assert states(take(store, raw, settle_s=3600)) == {"grown": 1}
    assert counted(store)["filtered"] == {"unfinished": 1}
    assert counted(store)["lines"] == 45
    assert len(everything(store)[0]) == 44

    _write(file, log(0, 40) + half + b"\n" + log(41, 44) + line(44).encode())
    assert states(take(store, raw, settle_s=0)) == {"grown": 1}
    assert counted(store)["filtered"] == {}
    assert without_requesters(everything(store)[0]) == oracle([file])


def test_an_unfinished_line_of_a_file_that_rests_is_taken(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    file = _write(raw / "a.log", log(0, 4) + line(4).encode())
    old = os.stat(file).st_mtime - 120
    os.utime(file, (old, old))
    take(store, raw, settle_s=60)
    assert len(everything(store)[0]) == 5


def test_a_last_line_without_newline_that_goes_on_is_read_anew(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    file = _write(raw / "a.log", log(0, 40) + line(40)[:-3].encode())
    take(store, raw)
    _write(file, log(0, 44))
    assert states(take(store, raw)) == {"changed": 1}
    _same(store, _fresh(tmp_path, file))


CHANGES: dict[str, bytes] = {
    "truncated": log(0, 20),
    "emptied": b"",
    "of the same size": log(0, 40).replace(b"/May/2024", b"/Jun/2024"),
    "changed in front and grown": log(0, 60).replace(b"192.0.2.3 ", b"192.0.2.9 ", 1),
    "of another month": log(100, 140).replace(b"/May/2024", b"/Jan/2023"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_file_replaces_its_rows(tmp_path: Path, how: str) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    file, other = _write(raw / "a.log", log(0, 40)), _write(raw / "b.log", log(300, 340))
    take(store, raw)
    _write(file, CHANGES[how])
    assert states(take(store, raw)) == {"changed": 1, "unchanged": 1}
    _same(store, _fresh(tmp_path, file, other))
    assert sources(store) == {"live": 2, "replaced": 1}


@pytest.mark.parametrize("before", [40, 20], ids=["whole", "half"])
@pytest.mark.parametrize("order", ["log", "log.1"])
def test_a_rotated_log_counts_once(tmp_path: Path, before: int, order: str) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    current = raw / ("b.log" if order == "log" else "a.log")
    rotated = raw / ("a.1.log" if order == "log" else "b.1.log")
    _write(current, log(0, before))
    take(store, raw)
    _write(current, log(0, 40)).rename(rotated)
    _write(current, log(40, 55))
    take(store, raw)
    _same(store, _fresh(tmp_path, current, rotated))


def test_a_renamed_file_that_is_still_written_to_grows(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    _write(raw / "a.log", log(0, 40)).rename(raw / "a.log")
    take(store, raw)
    file = (raw / "a.log").rename(raw / "a.1.log")
    take(store, raw)
    with file.open("ab") as more:
        more.write(log(40, 50))
    assert states(take(store, raw)) == {"grown": 1}
    _same(store, _fresh(tmp_path, file))


def test_a_vanished_file_keeps_its_rows(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    _write(raw / "a.log", log(0, 40))
    _write(raw / "b.log", log(40, 60))
    take(store, raw)
    before = everything(store)
    (raw / "a.log").unlink()
    take(store, raw)
    assert everything(store) == before


@pytest.mark.parametrize("how", ["grows", "changes"])
def test_one_of_two_names_of_a_content_changes(tmp_path: Path, how: str) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    first, second = _write(raw / "a.log", log(0, 40)), _write(raw / "b.log", log(0, 40))
    take(store, raw)
    _write(first, log(0, 60) if how == "grows" else log(50, 90))
    take(store, raw)
    _same(store, _fresh(tmp_path, first, second))
    _write(second, log(0, 60))
    take(store, raw)
    _same(store, _fresh(tmp_path, first, second))


@pytest.mark.parametrize("link", ["hard", "soft", "none"])
@pytest.mark.parametrize("threads", [1, 3])
def test_two_names_of_a_content_grow_alike(tmp_path: Path, link: str, threads: int) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    first, second = _write(raw / "a.log", log(0, 40)), raw / "b.log"
    match link:
        case "hard":
            second.hardlink_to(first)
        case "soft":
            second.symlink_to(first)
        case _:
            shutil.copy(first, second)
    take(store, first, second, threads=threads)
    for last in (60, 61, 80):
        for file in (first, second):
            _write(file, log(0, last))
        take(store, first, second, threads=threads)
        _same(store, _fresh(tmp_path, first))
    assert take(store, first, second).rows == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_sources_that_were_empty_together_grow_apart(tmp_path: Path, threads: int) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    files = [_write(raw / f"{number}.log", b"") for number in range(4)]
    take(store, raw, threads=threads)
    for round_ in (1, 2, 3):
        for number, file in enumerate(files):
            _write(file, log(number * 100, number * 100 + round_ * 20))
        take(store, raw, threads=threads)
        _same(store, _fresh(tmp_path, *files))
    assert sources(store)["replaced"] == 0


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_what_a_grown_file_was_before_comes_as_another_file(tmp_path: Path, order: tuple[str, str]) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    grown, copy = (raw / f"{name}.log" for name in order)
    _write(grown, log(0, 40))
    take(store, raw)
    _write(copy, log(0, 40))
    _write(grown, log(0, 60))
    take(store, raw)
    _same(store, _fresh(tmp_path, grown, copy))
    assert take(store, raw).rows == 0


def test_content_that_comes_back_counts_again(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    contents = log(0, 40), log(100, 130), b"", log(0, 50)
    file = _write(raw / "a.log", contents[0])
    take(store, raw)
    first = everything(store)[:2]
    for number in (1, 0, 2, 0, 1, 3, 0):
        _write(file, contents[number])
        take(store, raw)
        assert without_requesters(everything(store)[0]) == oracle([file])
    assert everything(store)[:2] == first


def test_two_files_change_places(tmp_path: Path) -> None:
    raw, store = tmp_path / "raw", tmp_path / "store"
    first, second = _write(raw / "a.log", log(0, 40)), _write(raw / "b.log", log(50, 70))
    take(store, raw)
    before = everything(store)[:2]
    first.rename(raw / "c")
    second.rename(raw / "a.log")
    (raw / "c").rename(raw / "b.log")
    report = take(store, raw)
    assert report.rows == 0
    assert everything(store)[:2] == before
    assert sources(store) == {"live": 2}


def test_names_that_are_not_utf8_are_kept_apart(tmp_path: Path) -> None:
    raw, store = os.fsencode(tmp_path / "raw"), tmp_path / "store"
    (tmp_path / "raw").mkdir()
    files = [raw + b"/\xff.log", raw + b"/\\xff.log", raw + "/\u00ff.log".encode()]
    for number, file in enumerate(files):
        Path(os.fsdecode(file)).write_bytes(log(number * 20, number * 20 + 20))
    assert states(take(store, tmp_path / "raw")) == {"new": 3}
    assert states(take(store, tmp_path / "raw")) == {"unchanged": 3}
    Path(os.fsdecode(files[0])).write_bytes(log(0, 25))
    assert states(take(store, tmp_path / "raw")) == {"grown": 1, "unchanged": 2}
    assert len(everything(store)[0]) == 65
