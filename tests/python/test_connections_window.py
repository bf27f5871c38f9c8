"""What is read of a nearly ordered log, what happens to one that is not, and which files are found."""

from __future__ import annotations

import os
import random
from itertools import accumulate
from pathlib import Path

import pytest

import tickline.pipelines.connections.count as counting
from python.connections_support import NOW_S, NS, ordered, report_on
from tickline.clients.remote import Remotes
from tickline.errors import SourceError
from tickline.pipelines.connections import pieces
from tickline.pipelines.connections.files import find_logs
from tickline.pipelines.connections.window import part_of
from tickline.sources import open_source


def test_an_hour_of_a_long_log_is_found_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(86_400, a_second=3))
    for end in (NOW_S, NOW_S - 40_000, NOW_S - 86_400):
        result = report_on(path, now_ns=end * NS)
        expected = 3 * sum(end - 3600 <= time <= end for time in range(NOW_S - 86_400, NOW_S))
        assert result.connections == expected
        read = result.accounting["total"]["bytes"]
        assert read + result.accounting["total"]["noted"]["bytes_not_read"] == path.stat().st_size
        assert read < path.stat().st_size / 10


def test_what_is_found_holds_every_line_of_the_window_whatever_the_disorder(tmp_path: Path) -> None:
    dice = random.Random(7)
    for slack in (0, 20, 300):
        times = [second + dice.uniform(-slack / 2, slack / 2) for second in range(30_000)]
        lines = [b"%.3f a b\n" % (1e9 + time) for time in times]
        path = tmp_path / f"{slack}.log"
        path.write_bytes(b"".join(lines))
        places = [0, *accumulate(map(len, lines))]
        with open_source(path) as source:
            for _ in range(30):
                since = dice.randrange(-500, 30_500)
                until = since + dice.choice([0, 10, 1000])
                part = part_of(source, (10**9 + since) * NS, (10**9 + until) * NS, (slack + 1) * NS)
                first, last = places.index(part.begin), places.index(part.end)
                assert not [time for time in times[:first] + times[last:] if since <= time <= until]
                assert sum(first <= i < last for i in range(30_000)) < 15_000 + 4 * slack


def test_a_file_that_breaks_the_assumption_is_read_whole_and_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    text = ordered(20_000, a_second=3)
    late = b"%d tower Papa\n" % (NOW_S - 2000)
    # Lines of the window where none may be: far before it, and an old one in the midst of it.
    path.write_bytes(late * 5 + text + b"%d tower Papa\n" % (NOW_S - 9000) + late)
    result = report_on(path, partition_bytes=2**16)
    assert result.connected_to == {"tower": 6}
    noted = result.accounting["sources"][0]["noted"]
    assert noted == {"disorder_s": 18_000}
    assert result.accounting["total"]["bytes"] == path.stat().st_size
    assert report_on(path, threads=2).as_json() == result.as_json()


def test_a_step_back_across_two_partitions_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(20_000, a_second=3) + ordered(3000, a_second=50, end_s=NOW_S - 400))
    expected = 3 * 3600 + 50 * 3000
    monkeypatch.setattr(pieces, "_STEP_BYTES", 1000)
    result = report_on(path, partition_bytes=2**16)
    assert result.connections == expected
    assert result.accounting["total"]["noted"]["disorder_s"] == 3399


def test_a_file_that_holds_no_lines_is_read_and_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(bytes(range(256)) * 2000)
    result = report_on(path)
    assert result.accounting["total"]["accepted"] == 0
    assert result.accounting["total"]["bytes"] == path.stat().st_size


def test_places_of_rejected_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    text = b"bad\n" + ordered(5, a_second=1) + b"1 2\n"
    path.write_bytes(text)
    rejects = report_on(path).rejects
    assert rejects.column("line").tolist() == [1, 7]
    assert rejects.column("offset").tolist() == [0, len(text) - 4]
    long = ordered(40_000, a_second=3) + b"1 2\n"
    path.write_bytes(long)
    rejects = report_on(path).rejects
    # The lines before were not read, and so were not counted.
    assert (rejects.column("line").tolist(), rejects.column("offset").tolist()) == ([0], [len(long) - 4])


def test_files_folders_patterns_and_names_that_look_like_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (
        "a.log",
        "a10.log",
        "a9.log",
        "b.log.1",
        "$HOME.log",
        "[x].log",
        "notes.txt",
        "sub/c.log.gz",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d a b\n" % NOW_S)
    monkeypatch.chdir(tmp_path)

    def names(*locations: str) -> list[str]:
        found = find_logs(locations, Remotes())
        assert not found.problems
        return [file.path for file in found.files]

    assert names("a*.log") == ["a9.log", "a10.log", "a.log"]
    assert names("$HOME.log", "[x].log", "notes.txt") == ["$HOME.log", "[x].log", "notes.txt"]
    assert names("**/c*") == ["sub/c.log.gz"]
    assert names("sub") == ["sub/c.log.gz"]
    assert names("*z") == []
    assert len(names(".")) == 7
    twice = find_logs(("a.log", "./a.log", "a*.log"), Remotes())
    assert [file.path for file in twice.files] == ["a.log", "a9.log", "a10.log"]
    assert twice.left_out["named twice"] == 2


def test_files_that_are_missing_vanish_or_are_damaged_are_named_and_others_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, gone, damaged = tmp_path / "a.log", tmp_path / "b.log", tmp_path / "c.log.gz"
    good.write_bytes(b"%d tower Papa\n" % NOW_S)
    gone.write_bytes(b"%d tower Papa\n" % NOW_S)
    damaged.write_bytes(b"\x1f\x8b\x08\x00 and no more")
    real = counting.opened

    def vanishing(source: str) -> object:
        gone.unlink(missing_ok=True)
        return real(source)

    monkeypatch.setattr(counting, "opened", vanishing)
    for threads in (1, 3):
        gone.write_bytes(b"")
        result = report_on(tmp_path, tmp_path / "no.log", threads=threads)
        assert result.connected_to == {"tower": 1}
        assert sorted(Path(problem.where or "").name for problem in result.problems) == [
            *("b.log", "c.log.gz", "no.log")
        ]
    with pytest.raises(SourceError, match="no log was found"):
        report_on(tmp_path / "*.nothing")
    with pytest.raises(SourceError, match="does not exist"):
        report_on(tmp_path / "no.log")


def test_a_file_that_shrinks_while_it_is_read_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100))
    real = counting.part_of

    def cutting(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]
        os.truncate(path, 100)
        return found

    monkeypatch.setattr(counting, "part_of", cutting)
    result = report_on(path)
    assert result.connections == 0
    assert [problem.what for problem in result.problems] == ["became shorter while it was read"]


def test_standard_input_is_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"%d tower Papa\n" % NOW_S)
    os.close(writer)
    with open(reader, "rb") as stream:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": stream}))
        result = report_on("-")
    assert result.connected_to == {"tower": 1}
    assert result.accounting["sources"][0]["path"] == "-"
