"""How a report reads an archive: each line once, in its place, however it came there."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from python.archive_case_support import (
    BEGIN,
    DAY,
    add,
    archive,
    case_from,
    case_of,
    counted,
    every,
    measured,
    tracked,
)
from python.archive_fleet_support import Fleet
from python.archive_support import Clock
from reference.chrony_audit import rows_of
from tickline.errors import SourceError
from tickline.pipelines.archive.chunk import Chunk, Range, unpack
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.import_days import Importer
from tickline.pipelines.archive.machine import run_once
from tickline.pipelines.archive.old_objects import find_objects
from tickline.pipelines.archive.report import reading
from tickline.pipelines.archive.report.case import NodeCase, Rows
from tickline.pipelines.archive.report.reading import find_chunks, read_case
from tickline.pipelines.archive.report.rows import Gathering
from tickline.pipelines.archive.stores import FolderStore
from tickline.progress import Progress

BANNER = "=" * 60 + "\n   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset"
BANNER += " L Co  Offset sd Rem. corr. Root delay Root disp. Max. error\n" + "=" * 60 + "\n"


def lines_of(case: NodeCase, rows: Rows) -> list[str]:
    return [case.evidence(rows, row).line + "\n" for row in range(len(rows))]


def test_every_row_of_a_fleet_is_as_a_slow_reader_has_it(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, nodes=3, days=4, poll=8, every_s=3 * 3600, seed=12)
    rule = fleet.rule()
    for node in ("node-001", "node-002", "node-003"):
        begin_s = BEGIN
        case = read_case(
            fleet.store,
            node,
            find_chunks(fleet.store, node, begin_s),
            rule,
            [],
            begin_s,
            begin_s + 4 * DAY,
            now_s=fleet.now_s,
        )
        assert case.chain == []
        for kind, rows in (
            ("tracking", case.written),
            ("measurements", case.measurements),
            ("statistics", case.statistics),
        ):
            slow = rows_of(tmp_path / "logs" / node, kind)
            if kind != "tracking":
                slow = sorted({row["line"]: row for row in slow}.values(), key=lambda row: row["time"])
            assert len(rows) == len(slow) > 100
            assert rows.time.tolist() == [row["time"] for row in slow]
            for name, values in rows.columns.items():
                if name != "layout":
                    _assert_same(rows, name, values, [row[name] for row in slow])
            for row in range(0, len(rows), 37):
                assert case.evidence(rows, row).line == slow[row]["line"]
        assert case.counts["tracking"] == len(case.written)


def _assert_same(rows: Rows, name: str, values: Any, slow: list[Any]) -> None:
    if name in rows.words:
        given = [rows.word(name, row) for row in range(len(rows))]
        assert given == [None if word in (None, "-") else word for word in slow], name
    elif values.dtype == np.float64:
        np.testing.assert_array_equal(values, [np.nan if value is None else value for value in slow])
    else:
        assert values.tolist() == [-1 if value is None else value for value in slow], name


def test_lines_stand_where_evidence_says(tmp_path: Path) -> None:
    add(tmp_path, "tracking", [BANNER, *every(600, tracked, end=3600)])
    archive(tmp_path, 3700)
    add(tmp_path, "tracking", every(600, tracked, begin=3600, end=7200))
    add(tmp_path, "measurements", every(600, measured, begin=3600, end=7200))
    archive(tmp_path, 7300)
    case = case_from(tmp_path, end=7200)
    bodies = {chunk.key: _text(tmp_path, chunk.key) for chunk in case.chunks}
    assert len(bodies) == 2
    for rows in (case.tracking, case.measurements):
        for row in range(len(rows)):
            found = case.evidence(rows, row)
            line = bodies[found.object][found.offset : found.offset + found.length]
            assert line.decode() == found.line
            assert line.startswith(b"2026-03-02 ")
            assert bodies[found.object][found.offset + found.length] == ord("\n")


def _text(tmp_path: Path, key: str) -> bytes:
    import zstandard

    return zstandard.ZstdDecompressor().decompress((tmp_path / "archive" / key).read_bytes())


def test_a_line_that_stands_twice_is_judged_once_and_rows_are_in_order(tmp_path: Path) -> None:
    a, b, c = tracked(0), tracked(600), tracked(1200)
    case = case_of(tmp_path, {"tracking": [a, c, b, b, a]}, end=1300)
    assert lines_of(case, case.tracking) == [a, b, c]
    assert lines_of(case, case.written) == [a, c, b, b, a]
    assert case.written.again.tolist() == [False, False, False, True, True]


def test_the_same_line_in_two_logs_is_twice(tmp_path: Path) -> None:
    add(tmp_path, "measurements", [measured(0)])
    add(tmp_path, "statistics", [counted(0)])
    archive(tmp_path, 60)
    (tmp_path / "log" / "old").mkdir()
    case = case_from(tmp_path, end=100)
    assert (len(case.measurements), len(case.statistics)) == (1, 1)


def test_a_log_that_is_turned_goes_on(tmp_path: Path) -> None:
    rows = every(300, tracked, end=7200)
    add(tmp_path, "tracking", [BANNER, *rows[:10]])
    archive(tmp_path, 3000)
    add(tmp_path, "tracking", rows[10:12])
    log = tmp_path / "log" / "tracking.log"
    log.rename(f"{log}.1")
    add(tmp_path, "tracking", [BANNER, *rows[12:]])
    archive(tmp_path, 7200)
    case = case_from(tmp_path, end=7200)
    assert lines_of(case, case.written) == rows
    assert case.rejected_lines == 0


def test_lines_that_are_no_rows_are_counted_and_move_nothing(tmp_path: Path) -> None:
    a, b = tracked(0), tracked(600)
    rows = [BANNER, a, "2026-03-02 rubbish\n", "\n", "more rubbish\n", "  " + b]
    case = case_of(tmp_path, {"tracking": rows}, end=700)
    assert case.rejected_lines == 2
    assert [line.lstrip() for line in lines_of(case, case.tracking)] == [a, b]


def test_a_line_without_its_end_is_a_row_when_nothing_follows(tmp_path: Path) -> None:
    rows = [tracked(0), tracked(600)]
    add(tmp_path, "tracking", [rows[0], rows[1].rstrip("\n")])
    log = tmp_path / "log" / "tracking.log"
    log.rename(f"{log}.1")
    os.utime(f"{log}.1", (BEGIN, BEGIN))
    add(tmp_path, "tracking", [tracked(1200)])
    archive(tmp_path, 90_000)
    archive(tmp_path, 180_000)
    case = case_from(tmp_path, end=1300)
    assert lines_of(case, case.written) == [*rows, tracked(1200)]


def test_pieces_end_where_they_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickline.pipelines.archive.report.rows._PIECE_BYTES", 300)
    rows = every(60, tracked, end=3600)
    for hour in range(0, 60, 7):
        add(tmp_path, "tracking", [*([] if hour else [BANNER]), *rows[hour : hour + 7]])
        archive(tmp_path, 60 * hour + 430)
    case = case_from(tmp_path, end=3600, now=4000)
    assert lines_of(case, case.written) == rows


def test_a_line_may_be_cut_between_chunks() -> None:
    rows = "".join(every(600, tracked, end=2400)).encode()
    gathering = Gathering()
    for number, (begin, end) in enumerate(((0, 200), (200, 210), (210, len(rows)))):
        stretch = Range("/log/tracking.log", "tracking.log", 1, begin, end, 1)
        gathering.add(number, Chunk({"ranges": [stretch.as_json()]}, rows[begin:end], 1000, ""))
    found = gathering.rows()["tracking"]
    size = len(rows) // 4
    assert found.time.tolist() == [BEGIN + at for at in range(0, 2400, 600)]
    # The second line is told by its part in the first chunk.
    assert found.object.tolist() == [0, 0, 2, 2]
    assert found.offset.tolist() == [1000, 1000 + size, 1000 + 2 * size - 210, 1000 + 3 * size - 210]
    assert found.length.tolist() == [size - 1, 200 - size, size - 1, size - 1]


def test_files_stand_one_behind_the_other_though_told_by_turns() -> None:
    lines = [row.encode() for row in every(600, tracked, end=2400)]
    told = [(1, lines[0]), (2, lines[2]), (1, lines[1]), (2, lines[3])]
    gathering, ends = Gathering(), {1: 0, 2: 0}
    for number, (generation, line) in enumerate(told):
        begin, ends[generation] = ends[generation], ends[generation] + len(line)
        stretch = Range("/log/tracking.log", "tracking.log", generation, begin, ends[generation], 1)
        gathering.add(number, Chunk({"ranges": [stretch.as_json()]}, line, 100, ""))
    found = gathering.rows()["tracking"]
    assert found.time.tolist() == [BEGIN + at for at in range(0, 2400, 600)]
    assert found.object.tolist() == [0, 2, 1, 3]


def test_lines_that_were_uploaded_late_count(tmp_path: Path) -> None:
    rows = every(600, tracked, end=DAY)
    add(tmp_path, "tracking", rows[:-6])
    archive(tmp_path, DAY - 3600)
    # Half a week without the network: the last hour of the day comes with that of later ones.
    add(tmp_path, "tracking", [*rows[-6:], *every(600, tracked, begin=DAY, end=2 * DAY)])
    archive(tmp_path, 4 * DAY)
    add(tmp_path, "tracking", every(600, tracked, begin=2 * DAY, end=8 * DAY))
    archive(tmp_path, 8 * DAY)
    case = case_from(tmp_path, end=DAY, now=8 * DAY)
    assert lines_of(case, case.tracking)[: len(rows)] == rows
    # The second chunk has lines of the period, so that the third may have some, too.
    assert case.objects == 3


def test_lines_that_were_imported_years_later_count(tmp_path: Path) -> None:
    add(tmp_path, "tracking", every(600, tracked, begin=600 * DAY, end=601 * DAY))
    archive(tmp_path, 601 * DAY)
    archive(tmp_path, 602 * DAY)
    rows = every(600, tracked, end=DAY)
    old = tmp_path / "old"
    old.mkdir()
    (old / "n1-2026-03-02").write_text("".join(rows))
    config = Config("n1", (tmp_path / "log",), tmp_path / "state", f"file://{tmp_path}/archive")
    store = FolderStore(config.store)
    with ExitStack() as stack:
        importer = Importer(config, store, find_objects(str(old), "n1", stack), Progress())
        run_once(config, store, now=Clock(BEGIN + 603.0 * DAY), evidence=dict, look=importer.look)
    archive(tmp_path, 604 * DAY)
    archive(tmp_path, 605 * DAY)
    case = case_from(tmp_path, end=DAY, now=606 * DAY)
    assert lines_of(case, case.tracking)[: len(rows)] == rows
    # The first chunk, where reading ends, and the one that was imported.
    assert [(chunk.seq, chunk.imported) for chunk in case.chunks] == [(1, False), (3, True)]
    assert case.chain == []


def test_reading_ends_where_nothing_more_is_expected(tmp_path: Path) -> None:
    for day in range(6):
        add(tmp_path, "tracking", every(600, tracked, begin=day * DAY, end=day * DAY + DAY))
        archive(tmp_path, day * DAY + DAY)
    case = case_from(tmp_path, begin=3 * DAY, end=4 * DAY, now=6 * DAY)
    # From two days before the period to one that was made a day behind it.
    assert [chunk.seq for chunk in case.chunks] == [1, 2, 3, 4, 5]
    assert case.tracking.time[0] == BEGIN
    later = case_from(tmp_path, begin=4 * DAY, end=4 * DAY + 60, now=6 * DAY)
    assert {chunk.seq for chunk in later.chunks} >= {2, 3, 4, 5, 6}
    assert later.tracking.time[0] <= BEGIN + 2 * DAY


def test_a_damaged_chunk_is_a_flaw_and_the_others_are_read(tmp_path: Path) -> None:
    for hour in range(3):
        add(tmp_path, "tracking", every(600, tracked, begin=hour * 3600, end=hour * 3600 + 3600))
        archive(tmp_path, hour * 3600 + 3600)
    path = sorted((tmp_path / "archive").rglob("*.zst"))[1]
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(body)
    case = case_from(tmp_path, end=3 * 3600)
    assert [flaw.check for flaw in case.chain] == ["damaged"]
    assert (case.objects, len(case.chunks), len(case.tracking)) == (3, 2, 12)


def test_a_chain_without_its_beginning_is_a_flaw_unless_it_lies_before(tmp_path: Path) -> None:
    for day in range(6):
        add(tmp_path, "tracking", every(600, tracked, begin=day * DAY, end=day * DAY + DAY))
        archive(tmp_path, day * DAY + DAY)
    first = sorted((tmp_path / "archive").rglob("*.zst"))[0]
    assert case_from(tmp_path, begin=5 * DAY, end=6 * DAY, now=6 * DAY).chain == []
    first.unlink()
    found = case_from(tmp_path, begin=0, end=6 * DAY, now=6 * DAY).chain
    assert [flaw.check for flaw in found] == ["missing"]


def test_bodies_that_are_not_kept_are_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_KEPT_BYTES", 0)
    rows = every(600, tracked, end=3600)
    case = case_of(tmp_path, {"tracking": rows}, end=3600)
    assert lines_of(case, case.tracking) == rows


def test_a_store_that_fails_is_no_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(tmp_path, "tracking", [tracked(0)])
    archive(tmp_path, 60)

    def get(_store: FolderStore, key: str) -> bytes:
        raise SourceError("the connection was cut", where=key)

    monkeypatch.setattr(FolderStore, "get", get)
    with pytest.raises(SourceError, match="the connection was cut"):
        case_from(tmp_path, end=100)


def test_facts_are_those_of_the_headers(tmp_path: Path) -> None:
    evidence = {"chrony": "4.3", "conf_sha256": None}
    for hour in range(2):
        add(tmp_path, "tracking", [tracked(hour * 3600)])
        archive(tmp_path, hour * 3600 + 60, evidence)
    case = case_from(tmp_path, end=7200)
    one, two = case.chunks
    key = sorted((tmp_path / "archive").rglob("*.zst"))[0]
    assert unpack(key.read_bytes(), "").header["seq"] == one.seq == 1
    assert (one.created_s, one.earliest_s, one.latest_s, one.lines) == (BEGIN + 60, BEGIN, BEGIN, 1)
    assert (two.heartbeat_s, two.retention_mode, two.retention_years) == (DAY, None, None)
    assert one.evidence == evidence
    assert one.evidence is two.evidence


@pytest.mark.parametrize("last", [False, True], ids=["half a line", "an exponent without its last digit"])
def test_parts_of_two_lines_are_no_line_when_what_lay_between_is_missing(last: bool) -> None:
    rows = "".join(every(600, tracked, end=3600)).encode()
    size = len(rows) // 6
    # With the second half of the fourth row the first half of the third would make one.
    half = size // 2
    cut = 3 * size - 2 if last else 2 * size + half
    gathering = Gathering()
    for number, (begin, end) in enumerate(((0, cut), (3 * size + half, len(rows)))):
        stretch = Range("/log/tracking.log", "tracking.log", 1, begin, end, 1)
        gathering.add(number, Chunk({"ranges": [stretch.as_json()]}, rows[begin:end], 1000, ""))
    found = gathering.rows()["tracking"]
    assert found.time.tolist() == [BEGIN + at for at in (0, 600, 2400, 3000)]
    assert found.offset.tolist() == [1000, 1000 + size, 1000 + size - half, 1000 + 2 * size - half]


def test_a_clock_that_was_set_to_the_future_hides_nothing_behind_it(tmp_path: Path) -> None:
    add(tmp_path, "tracking", every(600, tracked, end=3600))
    archive(tmp_path, 3600)
    add(tmp_path, "tracking", every(600, tracked, begin=90 * DAY, end=90 * DAY + 3600))
    archive(tmp_path, 90 * DAY + 3600)
    archive(tmp_path, 91 * DAY)
    for hour in range(2, 24):
        add(tmp_path, "tracking", every(600, tracked, begin=hour * 3600, end=hour * 3600 + 3600))
        archive(tmp_path, hour * 3600 + 3600)
    case = case_from(tmp_path, now=200 * DAY)
    assert len(case.tracking) == 6 + 6 + 22 * 6
    # Nor where the period begins long behind that.
    for day in range(9, 12):
        add(tmp_path, "tracking", every(600, tracked, begin=day * DAY, end=day * DAY + DAY))
        archive(tmp_path, day * DAY + DAY)
    later = case_from(tmp_path, begin=10 * DAY, end=11 * DAY, now=200 * DAY)
    assert {BEGIN + 10 * DAY + at for at in range(0, DAY, 600)} <= set(later.tracking.time.tolist())
