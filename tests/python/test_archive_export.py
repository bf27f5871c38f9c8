"""Lines out of an archive: logs byte for byte, days cut where they end, and what a damaged archive gives."""

from __future__ import annotations

import io
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python.archive_support import BANNER, NOON, Chronyd, Clock, config_of, run
from tickline.errors import TicklineError, UsageError
from tickline.fake import generate_chrony
from tickline.files import TEMPORARY_PREFIX
from tickline.pipelines.archive.chunk import Range, key_of, pack, sha256_hex
from tickline.pipelines.archive.export import ExportOptions, ExportReport, export
from tickline.pipelines.archive.stores import FolderStore


def _store(tmp_path: Path) -> FolderStore:
    return FolderStore(f"file://{tmp_path}/archive")


def _export(tmp_path: Path, **options: object) -> ExportReport:
    report = export(_store(tmp_path), ExportOptions("n1", **options), tmp_path / "out")  # type: ignore[arg-type]
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]
    return report


def _archive(tmp_path: Path, *stretches: tuple[int, bytes], log: str = "/l/tracking.log") -> None:
    """Make a chunk for each stretch: its generation, and its bytes."""
    reached: Counter[int] = Counter()
    for seq, (generation, data) in enumerate(stretches, 1):
        begin = reached[generation]
        reached[generation] += len(data)
        lines = data.count(b"\n") + (data[-1:] != b"\n")
        piece = Range(log, "tracking.log", generation, begin, begin + len(data), lines)
        body = pack({"node": "n1", "seq": seq}, [(piece, data)])
        _store(tmp_path).put(key_of("n1", "2026/11/22", seq), body, sha256_hex(body))


def _row(day: int, text: str = "x") -> bytes:
    return f"2026-11-{day:02} 10:00:00 {text}\n".encode()


def test_each_log_comes_out_byte_for_byte_through_all_rotations(tmp_path: Path) -> None:
    clock, logs = Clock(), [Chronyd(tmp_path / "log", kind) for kind in ("tracking", "measurements")]
    whole: dict[str, bytes] = {log.path.name: b"" for log in logs}
    for turn in range(12):
        for log in logs:
            log.write(3)
        run(config_of(tmp_path), None, clock)
        for log in logs:
            if turn % 4 in (1, 3):
                whole[log.path.name] += log.path.read_bytes()
            if turn % 4 == 1:
                log.rename(compress=turn > 4)
            elif turn % 4 == 3:
                log.copytruncate(compress=turn > 4)
        clock.now_s += 1800
    report = _export(tmp_path)
    folder = tmp_path / "out" / str(tmp_path / "log").lstrip("/")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert report.lines == sum(content.count(b"\n") for content in whole.values())
    assert (report.problems, report.undated, len(report.files)) == ([], 0, 2)
    assert sum(file.bytes for file in report.files) == sum(map(len, whole.values()))


def test_one_log_goes_to_a_stream(tmp_path: Path) -> None:
    for kind in ("tracking", "statistics"):
        Chronyd(tmp_path / "log", kind).write(2)
    run(config_of(tmp_path))
    path = tmp_path / "log/statistics.log"
    for name in ("statistics", str(path)):
        stream = io.BytesIO()
        export(_store(tmp_path), ExportOptions("n1", log=name), stream)
        assert stream.getvalue() == path.read_bytes()


def test_days_are_told_by_the_rows_and_a_banner_goes_with_the_row_behind_it(tmp_path: Path) -> None:
    # The banner of day 21's second row ends one chunk, and the row begins the next.
    _archive(
        tmp_path,
        (1, BANNER + _row(20) + _row(21, "a") + BANNER),
        (1, _row(21, "b") + BANNER),
        (1, _row(22) + _row(23)),
    )
    day = date(2026, 11, 21)
    report = _export(tmp_path, first=day, last=day)
    assert report.files[0].path is not None
    assert report.files[0].path.read_bytes() == _row(21, "a") + BANNER + _row(21, "b")
    _export(tmp_path, first=date(2026, 11, 22))
    assert report.files[0].path.read_bytes() == BANNER + _row(22) + _row(23)
    _export(tmp_path, last=date(2026, 11, 20))
    assert report.files[0].path.read_bytes() == BANNER + _row(20)


def test_per_day_files_have_the_rows_of_all_logs_in_the_order_of_their_names(tmp_path: Path) -> None:
    _archive(tmp_path, (1, BANNER + _row(20, "t") + _row(21, "t")), (1, _row(21, "t2")))
    more = BANNER + _row(21, "m") + _row(20, "late")
    piece = Range("/l/measurements.log", "measurements.log", 2, 0, len(more), 5)
    body = pack({"node": "n1", "seq": 3}, [(piece, more)])
    _store(tmp_path).put(key_of("n1", "2026/11/22", 3), body, sha256_hex(body))
    report = _export(tmp_path, layout="per-day")
    days = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert days == {
        "n1-2026-11-20.log": _row(20, "late") + BANNER + _row(20, "t"),
        "n1-2026-11-21.log": BANNER + _row(21, "m") + _row(21, "t") + _row(21, "t2"),
    }
    assert report.lines == 11


def test_a_line_without_its_end_does_not_run_into_the_next_file(tmp_path: Path) -> None:
    _archive(tmp_path, (1, _row(20) + b"2026-11-20 cut"), (2, _row(21)))
    for options in ({}, {"first": date(2026, 11, 1)}):
        report = _export(tmp_path, **options)
        assert report.files[0].path is not None
        assert report.files[0].path.read_bytes() == _row(20) + b"2026-11-20 cut\n" + _row(21)
        assert report.lines == 3
    _export(tmp_path, layout="per-day")
    assert (tmp_path / "out/n1-2026-11-20.log").read_bytes().endswith(b"2026-11-20 cut\n")


def test_a_line_in_pieces_comes_out_whole(tmp_path: Path) -> None:
    row = _row(20, "long" * 100)
    _archive(tmp_path, (1, row[:50]), (1, row[50:200]), (1, row[200:] + _row(21)))
    for options in ({}, {"last": date(2026, 11, 20)}, {"layout": "per-day"}):
        report = _export(tmp_path, **options)
        assert report.files[0].path is not None
        assert report.files[0].path.read_bytes() in (row + _row(21), row)
        assert report.lines == (1 if "last" in options else 2)


def test_lines_that_no_row_dates_are_counted_and_left_out_of_days(tmp_path: Path) -> None:
    _archive(tmp_path, (1, b"rubbish\n\0\0\n"), (2, _row(20)))
    assert (_export(tmp_path, layout="per-day").undated, _export(tmp_path).undated) == (2, 0)
    assert (_export(tmp_path).lines, _export(tmp_path, layout="per-day").lines) == (3, 1)


def _slow_days(lines: list[bytes], first: str, last: str) -> list[bytes]:
    """Return the lines of a window, a line at a time: undated ones go with the row behind, or the last."""
    kept: list[bytes] = []
    waiting: list[bytes] = []
    day = ""
    for line in lines:
        waiting.append(line)
        if line[:1].isdigit():
            day = line[:10].decode()
            kept += waiting if first <= day <= last else []
            waiting = []
    return kept + (waiting if first <= day <= last else [])


_LINES = st.lists(st.sampled_from([_row(day) for day in range(20, 24)] + [b"=====\n", b"\n", b"\xff\0 x\n"]))


@given(
    lines=_LINES, cuts=st.lists(st.integers(0, 400)), window=st.tuples(st.integers(20, 23), st.integers(0, 3))
)
def test_a_window_is_what_a_slow_reader_takes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], cuts: list[int], window: tuple[int, int]
) -> None:
    tmp_path = tmp_path_factory.mktemp("window")
    data = b"".join(lines)
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    _archive(tmp_path, *((1, data[a:b]) for a, b in pairwise(edges)))
    first, last = window[0], min(23, window[0] + window[1])
    if not data:
        return
    report = _export(tmp_path, first=date(2026, 11, first), last=date(2026, 11, last))
    dated = any(line[:1].isdigit() for line in lines)
    expected = b"".join(_slow_days(lines, f"2026-11-{first}", f"2026-11-{last}")) if dated else b""
    assert [file.path.read_bytes() for file in report.files if file.path] == ([expected] if expected else [])


def test_a_generated_fleet_comes_back_whole(tmp_path: Path) -> None:
    truth = generate_chrony(tmp_path / "fleet", nodes=1, days=5, seed=3)
    config = config_of(tmp_path)
    (tmp_path / "log").symlink_to(tmp_path / "fleet/node-001")
    assert run(config, None, Clock(NOON)).problems == []
    report = _export(tmp_path)
    assert report.lines == sum(source["lines"] for source in truth["sources"])
    per_day = _export(tmp_path, layout="per-day")
    assert (per_day.lines, per_day.undated) == (report.lines, 0)


def test_what_is_damaged_missing_or_double_is_named_and_the_rest_comes_out(tmp_path: Path) -> None:
    _archive(tmp_path, *((1, _row(20, str(number))) for number in range(5)))
    keys = list(_store(tmp_path).keys("v1/"))
    root = tmp_path / "archive"
    (root / keys[3]).unlink()
    (root / keys[1]).chmod(0o644)
    (root / keys[1]).write_bytes(b"x" + (root / keys[1]).read_bytes()[1:])
    (root / keys[4].replace(".zst", "-0123456789abcdef.zst")).write_bytes((root / keys[4]).read_bytes())
    report = _export(tmp_path)
    told = [str(problem) for problem in report.problems]
    assert len(told) == 3
    assert keys[1] in told[0]
    assert "the 1 before it are missing" in told[1]
    assert "stands there twice" in told[2]
    assert report.files[0].path is not None
    assert report.files[0].path.read_bytes() == b"".join(_row(20, number) for number in "024")


def test_a_log_whose_path_leads_elsewhere_stays_in_the_folder(tmp_path: Path) -> None:
    _archive(tmp_path, (1, _row(20)), log="/../../a//./s3://b/tracking.log")
    assert [file.path for file in _export(tmp_path).files] == [tmp_path / "out/a/s3/b/tracking.log"]


def test_wrong_usage_is_a_sentence(tmp_path: Path) -> None:
    _archive(tmp_path, (1, _row(20)))
    store = _store(tmp_path)
    with pytest.raises(UsageError, match="no node 'n2'") as raised:
        export(store, ExportOptions("n2"), tmp_path / "out")
    assert raised.value.hint == "It has n1."
    with pytest.raises(UsageError, match="comes before"):
        export(store, ExportOptions("n1", date(2026, 2, 1), date(2026, 1, 1)), tmp_path / "out")
    with pytest.raises(UsageError, match="no layout"):
        export(store, ExportOptions("n1", layout="weekly"), tmp_path / "out")
    for options in (ExportOptions("n1"), ExportOptions("n1", layout="per-day", log="tracking")):
        with pytest.raises(UsageError, match="one log only"):
            export(store, options, io.BytesIO())
    (tmp_path / "file").write_text("")
    for layout in ("raw", "per-day"):
        with pytest.raises(TicklineError):
            export(store, ExportOptions("n1", layout=layout), tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_what_a_killed_export_left_is_taken_away_by_the_next(tmp_path: Path) -> None:
    _archive(tmp_path, (1, _row(20)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{TEMPORARY_PREFIX}2026-11-19-7").write_bytes(b"half")
    _export(tmp_path, layout="per-day")
    assert [path.read_bytes() for path in (tmp_path / "out").iterdir()] == [_row(20)]
