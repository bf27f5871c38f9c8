"""The generator of chrony logs: repeatable, as chrony writes them, and with the whole truth beside them."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import json
import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reference.chrony_audit import COLUMNS, Audit, files_of, is_banner, parse, rows_of, text_of
from tickline.fake import CHRONY_FAULTS, generate_chrony
from tickline.fake.chrony_faults import is_business_day, opening

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "golden" / "fake_chrony.json"
# Nothing is to be found of these: they are there to be told from faults.
HARMLESS = {"restart", "lost_source"}
# The checks of a report that logs alone can give cause for.
CHECKS = {
    *("exceedance", "gap", "step", "local_clock", "not_synchronised", "stratum", "source", "quorum"),
    *("leap", "smear", "time_order", "missing_day", "cannot_be_shown", "pre_open", "counter"),
}
# Where a smear begins and ends can be told only to some minutes, and its slope to some hundredths.
SMEAR_SECONDS, SMEAR_SHARE = 1800, 0.05


def _digests(folder: Path) -> dict[str, str]:
    """Return the digests of all contents: what zlib makes of them differs from version to version."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(
            gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        ).hexdigest()
        for path in files
    }


def _same(found: dict[str, Any], true: dict[str, Any]) -> bool:
    smear = true["check"] == "smear"
    if any(found[name] != true[name] for name in ("node", "check", "limit")):
        return False
    for name in ("from", "to"):
        apart = dt.datetime.fromisoformat(found[name]) - dt.datetime.fromisoformat(true[name])
        if abs(apart.total_seconds()) > (SMEAR_SECONDS if smear else 0):
            return False
    if isinstance(true["value"], float):
        return math.isclose(found["value"], true["value"], rel_tol=SMEAR_SHARE if smear else 1e-9)
    return bool(found["value"] == true["value"])


def _assert_audit_finds_the_truth(folder: Path, answer: dict[str, Any]) -> None:
    found = [
        one
        for node in sorted(path for path in folder.iterdir() if path.is_dir())
        for one in Audit(node, answer["rule"], is_business_day).found
    ]
    missed = []
    for true in answer["findings"]:
        match = next((one for one in found if _same(one, true)), None)
        if match is None:
            missed.append(true)
        else:
            found.remove(match)
    assert (missed, found) == ([], [])


def test_lines_are_those_of_the_golden_file(tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["cases"]
    for case in golden["cases"]:
        folder = tmp_path / case["name"]
        options = {**case["options"], "start": dt.date.fromisoformat(case["options"]["start"])}
        generate_chrony(folder, **options)
        assert _digests(folder) == case["sha256"], case["name"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 2, "nodes": 3, "days": 20, "poll": 9, "start": dt.date(2025, 10, 27)},
        {"seed": 5, "nodes": 4, "days": 16, "poll": 9, "start": dt.date(2024, 1, 1)},
        {"seed": 9, "nodes": 2, "days": 9, "poll": 6, "start": dt.date(2026, 11, 20)},
    ],
    ids=["by default", "end of summer time", "winter", "few nodes that ask often"],
)
def test_a_slow_audit_finds_the_truth_and_nothing_else(tmp_path: Path, options: dict[str, Any]) -> None:
    answer = generate_chrony(tmp_path, **options)
    assert json.loads((tmp_path / "truth.json").read_text()) == answer
    _assert_audit_finds_the_truth(tmp_path, answer)


def test_by_default_every_fault_is_there_and_gives_cause_for_every_check(tmp_path: Path) -> None:
    answer = generate_chrony(tmp_path)
    assert {one["fault"] for one in answer["findings"]} == set(CHRONY_FAULTS) - HARMLESS
    assert {one["check"] for one in answer["findings"]} == CHECKS
    assert all(one["from"] <= one["to"] for one in answer["findings"])


@pytest.mark.parametrize("name", CHRONY_FAULTS)
def test_each_fault_alone_is_found_alone(tmp_path: Path, name: str) -> None:
    options: dict[str, Any] = {"nodes": 1, "days": 6, "poll": 9, "seed": 3}
    answer = generate_chrony(tmp_path / "with", faults=[name], **options)
    without = generate_chrony(tmp_path / "without", faults=(), **options)
    assert without["findings"] == []
    assert bool(answer["findings"]) == (name not in HARMLESS)
    assert {one["fault"] for one in answer["findings"]} <= {name}
    assert _digests(tmp_path / "with") != _digests(tmp_path / "without")
    _assert_audit_finds_the_truth(tmp_path / "with", answer)


def test_without_faults_nothing_is_found(tmp_path: Path) -> None:
    answer = generate_chrony(tmp_path, nodes=3, days=9, faults=[])
    assert answer["findings"] == []
    _assert_audit_finds_the_truth(tmp_path, answer)


def test_a_tampered_log_is_not_what_the_truth_says(tmp_path: Path) -> None:
    answer = generate_chrony(tmp_path, nodes=3, days=5, faults=[])
    path = tmp_path / "node-003" / "tracking.log"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:200] + lines[220:]))
    with pytest.raises(AssertionError, match="gap"):
        _assert_audit_finds_the_truth(tmp_path, answer)


def test_lines_banners_and_bytes_are_counted(tmp_path: Path) -> None:
    answer = generate_chrony(tmp_path, nodes=3, days=6)
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.log*"))
    assert [source["path"] for source in answer["sources"]] == written
    for source in answer["sources"]:
        text = text_of(tmp_path / source["path"])
        lines = text.splitlines()
        assert text.endswith("\n") or not text  # a day on which nothing was written leaves an empty file
        assert source["lines"] == len(lines)
        assert source["bytes"] == len(text)
        assert source["banners"] == sum(is_banner(line) for line in lines)


def test_banners_come_every_32_rows_and_after_each_start(tmp_path: Path) -> None:
    answer = generate_chrony(tmp_path, nodes=3, days=8, faults=["restart", "old_layout", "down_a_day"])
    assert answer["complete"] is True
    for node, style in (("node-001", "rename"), ("node-002", "copytruncate"), ("node-003", "none")):
        since = 0
        for path in files_of(tmp_path / node, "tracking"):
            lines = text_of(path).splitlines()
            since = 0 if style == "rename" else since
            for above, line in zip(["", *lines], lines, strict=False):
                if is_banner(line):
                    continue
                if " 0.0.0.0 " in line and "?" in line:
                    since = 0
                assert is_banner(above) == (since % 32 == 0), (path, line)
                since += 1


def test_rotation_leaves_what_logrotate_leaves(tmp_path: Path) -> None:
    generate_chrony(tmp_path, nodes=3, days=4)
    names = {
        node: sorted(path.name for path in (tmp_path / node).glob("tracking*"))
        for node in ("node-001", "node-002", "node-003")
    }
    assert names["node-001"] == ["tracking.log", "tracking.log.1", "tracking.log.2.gz", "tracking.log.3.gz"]
    assert names["node-002"] == [
        "tracking.log",
        "tracking.log.1.gz",
        "tracking.log.2.gz",
        "tracking.log.3.gz",
    ]
    assert names["node-003"] == ["tracking.log"]
    # A copy of a file that is truncated under chronyd goes on without a banner; a new file begins with one.
    assert is_banner(text_of(tmp_path / "node-001" / "tracking.log").splitlines()[0])
    assert not is_banner(text_of(tmp_path / "node-002" / "tracking.log").splitlines()[0])


def test_max_error_follows_from_the_row_before(tmp_path: Path) -> None:
    generate_chrony(tmp_path, nodes=1, days=4, faults=["detour", "small_step", "outage"])
    rows = rows_of(tmp_path / "node-001", "tracking")
    assert [row["max_error_s"] for row in rows[:2]] == [1.5, 1.5]
    for before, row in pairwise(rows[1:]):
        age = row["time"] - before["time"]
        expected = before["root_delay_s"] / 2 + before["root_dispersion_s"]
        expected += age * (before["skew_ppm"] + 1) * 1e-6
        expected += abs(before["offset_s"] - before["remaining_correction_s"])
        assert row["max_error_s"] == pytest.approx(expected, rel=2e-3)


def test_tracking_follows_the_measurements(tmp_path: Path) -> None:
    generate_chrony(tmp_path, nodes=2, days=3, faults=[])
    for node in ("node-001", "node-002"):
        samples = {(row["time"], row["address"]): row for row in rows_of(tmp_path / node, "measurements")}
        checked = 0
        for row in rows_of(tmp_path / node, "tracking"):
            if row["address"] == "0.0.0.0":
                continue
            sample = samples[row["time"], row["address"]]
            # A slow clock has positive offsets in measurements and negative ones in tracking.
            assert row["offset_s"] == -sample["offset_s"]
            assert row["stratum"] == sample["stratum"] + 1
            checked += 1
        assert checked > 900


def test_all_old_layouts_occur_and_have_their_columns(tmp_path: Path) -> None:
    seen: Counter[int] = Counter()
    for seed in range(12):
        folder = tmp_path / str(seed)
        generate_chrony(folder, nodes=1, days=4, poll=9, seed=seed, faults=["old_layout"])
        for kind, columns in COLUMNS.items():
            for path in files_of(folder / "node-001", kind):
                for line in text_of(path).splitlines():
                    if not is_banner(line):
                        row = parse(kind, line)
                        assert list(row)[: len(columns)] == columns
                        seen[len(line.split())] += 1
    assert set(seen) == {7, 8, 11, 12, 13, 14, 16, 20}


def test_nodes_differ_and_seeds_differ(tmp_path: Path) -> None:
    generate_chrony(tmp_path / "a", nodes=2, days=2, poll=9, faults=[])
    generate_chrony(tmp_path / "b", nodes=2, days=2, poll=9, faults=[], seed=8)
    texts = [
        {row["line"] for row in rows_of(tmp_path / seed / node, kind)}
        for seed in "ab"
        for node in ("node-001", "node-002")
        for kind in ("measurements",)
    ]
    for place, text in enumerate(texts):
        assert not any(text & other for other in texts[place + 1 :])


def test_days_with_faults_are_days_of_business() -> None:
    # From the exchange's published calendars; the generator may leave out more.
    closed = (
        "2024-01-15 2024-02-19 2024-03-29 2024-05-27 2024-06-19 2024-07-04 2024-09-02 2024-11-28 2024-12-25"
    )
    closed += " 2025-01-01 2025-04-18 2025-11-27 2026-04-03 2026-07-03 2026-11-26 2027-03-26 2027-12-24"
    assert not any(is_business_day(dt.date.fromisoformat(day)) for day in closed.split())
    assert not is_business_day(dt.date(2026, 3, 7))
    assert sum(is_business_day(dt.date(2026, 1, 1) + dt.timedelta(days=day)) for day in range(365)) > 235


def test_trading_begins_when_it_does_in_new_york() -> None:
    zone = ZoneInfo("America/New_York")
    for day in range(14 * 365):
        date = dt.date(2017, 1, 2) + dt.timedelta(days=day)
        assert opening(date) == dt.datetime.combine(date, dt.time(9, 30), zone).timestamp(), date


def test_own_output_is_replaced_and_other_folders_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    generate_chrony(folder, nodes=3, days=3, poll=9)
    generate_chrony(folder, nodes=1, days=1, poll=9)
    assert set(_digests(folder)) == {
        "node-001/tracking.log",
        "node-001/measurements.log",
        "node-001/statistics.log",
        "truth.json",
    }
    (folder / "node-001" / "mine.txt").write_text("precious")
    before = _digests(folder)
    with pytest.raises(FileExistsError, match=r"mine\.txt"):
        generate_chrony(folder, nodes=1, days=1)
    assert _digests(folder) == before


def test_a_stopped_run_leaves_no_half_log_and_can_be_repeated(tmp_path: Path) -> None:
    done: list[int] = []

    def stop() -> None:
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_chrony(tmp_path, nodes=1, days=5, poll=9, progress=stop)
    # The day that was stopped in has not appeared; those before it are whole.
    assert sorted(path.name for path in tmp_path.rglob("tracking*")) == [
        "tracking.log.3.gz",
        "tracking.log.4.gz",
    ]
    assert json.loads((tmp_path / "truth.json").read_text())["complete"] is False
    assert generate_chrony(tmp_path, nodes=1, days=2, poll=9)["complete"] is True


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"nodes": 0}, "nodes"),
        ({"days": 0}, "days"),
        ({"poll": 10}, "poll"),
        ({"start": dt.date(2016, 12, 31)}, "start"),
        ({"faults": ["rain"]}, "rain"),
    ],
)
def test_senseless_options_are_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], word: str
) -> None:
    with pytest.raises(ValueError, match=word):
        generate_chrony(tmp_path / "logs", **options)
    assert not (tmp_path / "logs").exists()


def test_memory_does_not_grow_with_the_days(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from tickline.fake import generate_chrony\n"
        "generate_chrony(pathlib.Path(sys.argv[1]), nodes=3, days=int(sys.argv[2]), poll=6)\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(int(status.split('VmHWM:')[1].split()[0]) * 1024)\n"
    )
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", program, str(tmp_path / days), days], capture_output=True, check=True
            ).stdout
        )
        for days in ("2", "14")
    ]
    assert peaks[1] < 150_000_000
    assert peaks[1] < peaks[0] + 30_000_000
