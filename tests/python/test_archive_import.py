"""Old objects into a chain: each line once with its multiplicity, whatever was doubled, cut and killed."""

from __future__ import annotations

import gzip
import os
import random
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from python.archive_import_support import TRACKING, Old, measured, row
from python.archive_support import (
    KILLED,
    Clock,
    archived_lines,
    chunks,
    config_of,
    in_a_child,
    run,
)
from python.s3_support import moto, sdk, set_environment
from tickline.errors import UsageError
from tickline.pipelines.archive import import_days
from tickline.pipelines.archive.import_days import Importer, accounting
from tickline.pipelines.archive.machine import Step
from tickline.pipelines.archive.old_objects import find_objects
from tickline.pipelines.archive.report.reading import find_chunks, read_case
from tickline.pipelines.archive.report.rules import read_rule
from tickline.pipelines.archive.stores import FolderStore
from tickline.pipelines.archive.verify import verify
from tickline.progress import Progress


def test_lines_come_in_once_and_it_is_told_which_were_doubled_archived_and_lost(tmp_path: Path) -> None:
    # The logs still have days 3 and 4; one row of these the old program has never kept.
    old = Old(tmp_path, TRACKING + row(3, 0) + row(3, 9) + row(4, 0) + row(4, 1))
    old.put("n1-2025-03-01-0000.log", TRACKING, row(1, 0), row(1, 1), measured(1, 1))
    old.put("n1-2025-03-01-0030.log", row(1, 1), row(1, 2), measured(1, 1))
    old.put("n1-2025-03-03-0000.log", row(1, 2), row(3, 0), row(4, 0))
    report = old.done()
    assert old.imported() == {
        "tracking.log": TRACKING + row(1, 0) + row(1, 1) + row(1, 2),
        "measurements.log": measured(1, 1),
    }
    assert accounting(report) == {
        "objects": 3,
        "bytes": sum(path.stat().st_size for path in old.folder.iterdir()),
        "lines": 12,
        "taken": 4,
        "imported_before": 0,
        "archived": 2,
        "doubled": 3,
        "banners": 3,
        "unrecognised": 0,
        # The measurement of 10:00:01 has the key of a row of tracking.
        "same_key": 1,
        "first": "2025-03-01 10:00:00",
        "last": "2025-03-04 10:00:00",
        "silent_days": ["2025-03-02"],
        # That of 4 March 10:00:01 is behind the last row that the objects have.
        "lost": {"tracking": {"2025-03-03": 1}},
        "lost_lines": 1,
        "days": {
            "2025-03-01": {"objects": 2, "lines": 9, "doubled": 2},
            "2025-03-03": {"objects": 1, "lines": 3, "doubled": 1},
        },
        "left_out": {},
        "complete": True,
    }


def test_a_second_import_adds_nothing_and_tells_the_same(tmp_path: Path) -> None:
    old = Old(tmp_path, row(3))
    old.put("n1-2025-03-01", TRACKING, row(1, 0), row(1, 1), row(3), measured(1))
    old.put("n1-2025-03-02", row(1, 1), row(2))
    first = old.done()
    before = old.imported()
    (old.config.state / "state.json").unlink()
    second = old.done()
    assert old.imported() == before
    assert (second.taken, second.imported_before) == (0, first.taken)
    for name in ("lines", "archived", "doubled", "banners", "same_key", "lost", "days", "first", "last"):
        assert getattr(second, name) == getattr(first, name)


def test_a_line_is_kept_as_often_as_one_object_has_it_less_what_is_there(tmp_path: Path) -> None:
    old = Old(tmp_path, row(1) + row(2))
    old.put("n1-2025-03-01", row(1), row(1), row(1), row(2))
    old.put("n1-2025-03-02", row(1), row(1), row(5), row(5))
    report = old.done()
    assert archived_lines(chunks(old.root)) == {row(1): 3, row(2): 1, row(5): 2}
    assert (report.taken, report.archived, report.doubled, report.lines) == (4, 2, 2, 8)


def test_rows_with_one_time_and_address_are_not_taken_for_repeats(tmp_path: Path) -> None:
    old = Old(tmp_path)
    old.put("n1-2025-03-01", row(1, offset=1e-6), row(1, offset=2e-6), measured(1), row(1, address="::1"))
    assert (old.done().taken, old.done().same_key) == (4, 2)


def test_what_was_cut_off_or_ran_together_is_kept_apart(tmp_path: Path) -> None:
    glued = row(1, 1)[:40] + row(1, 2)
    old = Old(tmp_path)
    # Cut behind the 11th column it looks like a row of chrony 1.28.
    cut = b" ".join(row(1, 3).split()[:11])
    assert len(cut.split()) == 11
    old.put("n1-2025-03-01", row(1, 0), glued, b"\xff\0rubbish\n", cut)
    old.put("n1-2025-03-02", row(2, 0), row(2, 1).rstrip(b"\n"))
    report = old.done()
    assert old.imported() == {
        "tracking.log": row(1, 0) + row(2, 0) + row(2, 1),
        "unrecognised.log": glued + b"\xff\0rubbish\n" + cut + b"\n",
    }
    assert (report.unrecognised, report.taken, report.lines) == (3, 6, 6)


def test_banners_come_with_a_row_of_their_log_or_not_at_all(tmp_path: Path) -> None:
    titles = TRACKING.splitlines(keepends=True)
    other = b"=\n   Date (UTC) Time  IP Address  L St 123 567 ABCD  LP RP Score  Offset  Peer del.\n=\n"
    old = Old(tmp_path)
    old.put("n1-2025-03-01", TRACKING, other, measured(1), row(1), TRACKING)
    # Only the first banner has a new row behind it; of rulers alone nobody knows whose they are.
    old.put("n1-2025-03-02", TRACKING, row(1), titles[0], measured(2), b"\n")
    report = old.done()
    assert old.imported() == {
        "tracking.log": TRACKING + row(1),
        "measurements.log": other + measured(1) + measured(2),
    }
    assert (report.banners, report.lines) == (14, 18)


def test_objects_of_others_are_left_out_and_packed_ones_are_read(tmp_path: Path) -> None:
    old = Old(tmp_path)
    old.put("n1-2025-03-01.log.gz", gzip.compress(row(1)))
    (old.folder / "2025").mkdir()
    old.put("2025/n1-2025-03-02_10:30", row(2))
    for name in ("n1-b-2025-03-01", "n10-2025-03-01", "n1-2025-03-011", "notes.txt"):
        old.put(name, row(3))
    report = old.done()
    assert (report.taken, report.left_out.total()) == (2, 4)
    with pytest.raises(UsageError, match="no object of node 'n2'") as raised, ExitStack() as stack:
        find_objects(str(old.folder), "n2", stack)
    assert "n2-<yyyy-mm-dd>" in str(raised.value.hint)
    with pytest.raises(UsageError, match="is no folder"), ExitStack() as stack:
        find_objects(str(old.folder / "absent"), "n1", stack)


def test_an_object_that_cannot_be_read_is_named_and_the_next_import_takes_it(tmp_path: Path) -> None:
    old = Old(tmp_path)
    old.put("n1-2025-03-01.gz", gzip.compress(row(1) * 3)[:-9])
    old.put("n1-2025-03-02", row(2))
    report, outcome = old.run()
    assert not report.complete
    assert "n1-2025-03-01.gz" in str(outcome.problems[0])
    assert row(2) in old.imported()["tracking.log"]
    old.put("n1-2025-03-01.gz", gzip.compress(row(1) * 3))
    old.done()
    assert archived_lines(chunks(old.root)) == {row(1): 3, row(2): 1}


def test_what_the_logs_still_hold_comes_from_them_first(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/n1-2025-03-01").write_bytes(row(1))
    config, store = config_of(tmp_path), FolderStore(f"file://{tmp_path}/archive")
    with ExitStack() as stack:
        importer = Importer(config, store, find_objects(str(tmp_path / "old"), "n1", stack), Progress())
        with pytest.raises(UsageError, match="nothing of node 'n1' yet") as raised:
            run(config, store, look=importer.look)
    assert "archive run" in str(raised.value.hint)


def test_runs_go_on_behind_an_import_and_tell_where_it_stands(tmp_path: Path) -> None:
    old = Old(tmp_path, row(9))
    old.put("n1-2025-03-01", row(1))
    old.done()
    (old.config.logs[0] / "tracking.log").write_bytes(row(9) + row(10))
    assert run(old.config, None, old.clock).lines == 1
    old.put("n1-2025-03-02", row(2))
    old.done()
    headers = [chunk.header for chunk in chunks(old.root)]
    assert [header["imports"] for header in headers] == [[], [[2, 2]], [[2, 2]], [[2, 2], [4, 4]]]
    (stretch,) = headers[3]["ranges"]
    assert (stretch["file"], stretch["note"], stretch["begin"]) == ("n1-2025-03-02", "imported", 0)
    assert stretch["log"] == f"{old.folder}/tracking.log"
    assert verify(FolderStore(old.config.store), now_s=old.clock.now_s).flaws == []
    assert [header["earliest"] for header in headers[1:]] == [
        "2025-03-01 10:00:00",
        "2025-03-10 10:00:00",
        "2025-03-02 10:00:00",
    ]


def test_a_report_of_years_before_the_chain_reads_what_was_imported(tmp_path: Path) -> None:
    old = Old(tmp_path)
    for _ in range(3):
        old.clock.now_s += 86400
        run(old.config, None, old.clock)
    old.put("n1-2025-03-03", TRACKING, *(row(3, second) for second in range(50)), measured(3))
    old.done()
    store, rule = FolderStore(old.config.store), read_rule("finra-4590")
    begin_s = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp())
    found = find_chunks(store, "n1", begin_s)
    case = read_case(store, "n1", found, rule, [], begin_s, begin_s + 86400, now_s=old.clock.now_s)
    assert (len(case.tracking), len(case.measurements), case.chain) == (50, 1, [])
    assert case.evidence(case.tracking, 49).line.encode() + b"\n" == row(3, 49)


# ---- kills and outages ------------------------------------------------------------------------------------


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an import make several chunks, and wait for no disk."""
    monkeypatch.setattr(import_days, "_BATCH_BYTES", 700)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def _objects(old: Old, draw: random.Random) -> Counter[bytes]:
    """Write objects as the old program did; return how often each line must be there in the end."""
    written = [row(1 + n // 20, n) for n in range(60)] + [measured(1 + n // 20, n) for n in range(60)]
    expected: Counter[bytes] = Counter()
    for number in range(12):
        lines = [line for line in written if draw.random() < 0.3 for _ in range(draw.choice((1, 1, 1, 2)))]
        old.put(f"n1-2025-03-{1 + number // 4:02}-{number:04}", TRACKING, *lines)
        expected |= Counter(lines)
    return expected | Counter(old_log_lines())


def old_log_lines() -> list[bytes]:
    """Return what the log itself still has."""
    return [row(3, n) for n in range(40, 60)]


def _rows(old: Old) -> Counter[bytes]:
    lines = archived_lines(chunks(old.root))
    return Counter({line: count for line, count in lines.items() if line[:1].isdigit()})


def _die_at(step: Step, turn: int) -> Any:
    left = [turn]

    def at(reached: Step) -> None:
        left[0] -= reached is step
        if left[0] == 0:
            os._exit(KILLED)

    return at


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("step", Step)
def test_a_kill_at_any_step_loses_and_doubles_nothing(tmp_path: Path, step: Step) -> None:
    kills = 0
    for turn in (1, 3):
        for plan in ((), ("lost before",), ("lost behind",)):
            old = Old(tmp_path / f"{turn}{plan}", b"".join(old_log_lines()))
            expected = _objects(old, random.Random(turn))
            ended = in_a_child(lambda old=old, turn=turn: old.run(at=_die_at(step, turn)))  # type: ignore[misc]
            kills += ended == KILLED
            old.run(*plan)
            old.done()
            assert _rows(old) == expected
            assert not list((old.config.state / "spool").iterdir())
    # A run has one lock and one state, and sends many chunks.
    assert kills >= (0 if step in (Step.RECOVERED, Step.PROBING) else 2), kills


@pytest.mark.usefixtures("small_batches")
def test_a_spool_that_is_full_is_emptied_on_the_way(tmp_path: Path) -> None:
    old = Old(tmp_path, b"".join(old_log_lines()), spool_limit=3000)
    expected = _objects(old, random.Random(5))
    report, outcome = old.run()
    assert _rows(old) == expected
    assert outcome.objects > 5
    assert report.taken == sum(expected.values()) - 20


@pytest.mark.usefixtures("small_batches")
def test_while_the_store_is_away_the_import_stops_and_goes_on_later(tmp_path: Path) -> None:
    old = Old(tmp_path, b"".join(old_log_lines()), spool_limit=3000)
    expected = _objects(old, random.Random(6))
    for _ in range(3):
        report, outcome = old.run(*["lost before"] * 9)
        assert not report.complete
        assert any("connection was cut" in str(problem) for problem in outcome.problems)
    # Whoever sends what waits, a run or an import, it comes in once.
    run(old.config, None, old.clock)
    old.done()
    assert _rows(old) == expected


def test_objects_in_s3_come_in_as_those_in_a_folder_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = Old(tmp_path)
    with moto() as endpoint, sdk(endpoint) as client:
        set_environment(monkeypatch, endpoint)
        client.create_bucket(Bucket="old")
        client.put_object(Bucket="old", Key="ntp/n1-2025-03-01-0000.log", Body=row(1) + row(2))
        client.put_object(Bucket="old", Key="ntp/n1-2025-03-02-0000.log", Body=row(2) + row(3))
        client.put_object(Bucket="old", Key="ntp/n2-2025-03-02-0000.log", Body=row(4))
        report = old.done(source="s3://old/ntp/")
    assert (report.taken, report.doubled, report.left_out.total()) == (3, 1, 1)
    logs = {stretch.log for chunk in chunks(old.root) for stretch, _ in chunk.pieces()}
    assert logs == {"s3://old/ntp/tracking.log"}


def test_an_import_while_a_run_is_at_work_leaves(tmp_path: Path) -> None:
    old = Old(tmp_path)
    old.put("n1-2025-03-01", row(1))
    seen = []

    def at(step: Step) -> None:
        if step is Step.LOCKED:
            seen.append(in_a_child(old.run))

    run(old.config, None, Clock(), at=at)
    # It ends by an exception: BusyError.
    assert seen == [1]
