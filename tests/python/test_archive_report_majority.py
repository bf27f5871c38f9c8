"""What a report makes of samples: who agrees, how many could be used, who runs away. Checks 6 and 8."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from python.archive_case_support import (
    BEGIN,
    DAY,
    SOURCES,
    A,
    B,
    C,
    D,
    E,
    case_of,
    counted,
    every,
    measured,
    shown,
    told,
    tracked,
)
from reference.chrony_majority import Sample, too_few
from reference.chrony_majority import agreement as slow_agreement
from tickline.pipelines.archive.report import agreement as module
from tickline.pipelines.archive.report.agreement import agreement, passed
from tickline.pipelines.archive.report.quorum import quorum
from tickline.pipelines.archive.report.smear import smear
from tickline.pipelines.archive.report.stretches import joined, silent_before

HOUR = 3600
TRACKING = every(600, tracked)


def _time(row: str) -> str:
    return row[:19]


def _sources(*names: str, begin: int = 0, end: int = DAY, **named: object) -> list[str]:
    """Return measurements of some sources, each every 256 seconds, in order of time."""
    rows = [
        row
        for number, name in enumerate(names)
        for row in every(256, measured, name, begin=begin + 7 * number, end=end, **named)
    ]
    return sorted(rows, key=_time)


# ---- agreement ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 7, 1 << 15])
@pytest.mark.parametrize("seed", range(12))
def test_agreement_is_that_of_the_slow_one(seed: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    dice = random.Random(seed)
    times = sorted(dice.randrange(5000) for _ in range(dice.choice([0, 1, 2, 40, 150])))
    samples = [
        Sample(
            at,
            dice.randrange(1 + seed % 6),
            dice.choice([-0.2, 0, 0, 0.1]) + dice.gauss(0, 1e-3),
            dice.random() / 50,
        )
        for at in times
    ]
    columns = [np.array([sample[place] for sample in samples]) for place in range(4)]
    columns[:2] = [column.astype(np.int64) for column in columns[:2]]
    apart, agrees = agreement(*columns, fresh_s=900)
    expected = list(slow_agreement(samples, 900))
    assert apart.tolist() == [far for far, _ in expected]
    assert agrees.tolist() == [near for _, near in expected]


def test_two_that_agree_with_each_other_are_outvoted_by_three(tmp_path: Path) -> None:
    rows = [measured(n, name, offset=0.3 if name in (D, E) else 0) for n, name in enumerate(SOURCES)]
    samples = case_of(tmp_path, {"measurements": rows}).samples
    assert [samples.names[number] for number in samples.source[~samples.agrees]] == [D, E]
    assert samples.apart_s[~samples.agrees].tolist() == [0.3, 0.3]


@pytest.mark.parametrize(
    ("tests", "good"),
    [("111 111 1111", True), ("111 111 1101", False), ("011 111 1111", False), ("111 110 1111", False)],
)
def test_a_sample_that_failed_any_test_is_not_used(tmp_path: Path, tests: str, good: bool) -> None:
    case = case_of(tmp_path, {"measurements": [measured(0), measured(64, tests=tests)]})
    assert passed(case.measurements).tolist() == [True, good]
    assert len(case.samples.row) == 1 + good


def test_samples_of_sources_that_are_not_allowed_do_not_count(tmp_path: Path) -> None:
    rows = [measured(0, A), measured(1, "203.0.113.9", offset=0.3), measured(2, B)]
    assert case_of(tmp_path, {"measurements": rows}).samples.names == [A, B]
    assert len(case_of(tmp_path, {}, sources=None).samples.names) == 3


def test_sources_without_measurements_are_known_by_their_statistics(tmp_path: Path) -> None:
    # The local clock is fast by 0.25 s, which measurements would have as -0.25.
    statistics = [counted(10, A, offset=9.0), counted(20, "PPS", offset=0.25), counted(70, "PPS")]
    measurements = [measured(0, A), measured(1, B)]
    case = case_of(
        tmp_path,
        {"measurements": measurements, "statistics": statistics},
        sources=(*SOURCES, "PPS"),
    )
    samples = case.samples
    assert [samples.names[number] for number in samples.source] == [A, B, "PPS", "PPS"]
    assert samples.apart_s.tolist() == [0.0, 0.0, -0.25, 0.0]
    assert samples.agrees.tolist() == [True, True, False, True]
    lines = [one.line + "\n" for one in module.evidence(case, [*samples.row.tolist(), -1])]
    assert lines == [*measurements, *statistics[1:]]


def test_without_samples_there_is_nothing(tmp_path: Path) -> None:
    samples = case_of(tmp_path, {"tracking": TRACKING}).samples
    assert (samples.names, len(samples.row), len(samples.agrees)) == ([], 0, 0)


# ---- quorum ---------------------------------------------------------------------------------------------


def test_five_that_answer_are_enough(tmp_path: Path) -> None:
    case = case_of(tmp_path, {"tracking": TRACKING, "measurements": _sources(*SOURCES)})
    assert told(quorum(case)) == []


def test_too_few_from_the_last_sample_before_to_the_first_one_behind(tmp_path: Path) -> None:
    rows = (
        _sources(A, B, C)
        + _sources(D, E, end=5 * HOUR)
        + _sources(D, begin=8 * HOUR)
        + _sources(E, begin=9 * HOUR)
    )
    case = case_of(tmp_path, {"tracking": TRACKING, "measurements": sorted(rows, key=_time)})
    [finding] = quorum(case)
    # D and E were asked last at 17,920 and 17,927, when four are left and then three.
    assert told(iter([finding])) == [("quorum", 17927, 8 * HOUR, 3, 4)]
    assert finding.severity == "remark"
    assert [line[:19] for line in shown(finding)] == ["2026-03-02 04:58:47", "2026-03-02 08:00:00"]


def test_a_pause_as_long_as_the_rule_allows_is_none(tmp_path: Path) -> None:
    def rows(pause: int) -> dict[str, list[str]]:
        own = [
            measured(0, D),
            measured(60, D),
            measured(60 + pause, D),
            *every(256, measured, D, begin=60 + pause),
        ]
        return {
            "tracking": TRACKING,
            "measurements": sorted([*_sources(A, B, C), *own], key=_time),
        }

    assert told(quorum(case_of(tmp_path / "a", rows(2100)))) == []
    assert told(quorum(case_of(tmp_path / "b", rows(2101)))) == [("quorum", 60, 2161, 3, 4)]


def test_times_without_rows_of_tracking_do_not_count(tmp_path: Path) -> None:
    # Nothing at all is heard from 6 to 10 o'clock.
    logs = {
        "tracking": every(600, tracked, end=6 * HOUR + 1) + every(600, tracked, begin=10 * HOUR),
        "measurements": _sources(*SOURCES, end=6 * HOUR) + _sources(*SOURCES, begin=10 * HOUR),
    }
    assert told(quorum(case_of(tmp_path, logs))) == []


def test_with_too_few_sources_at_all_it_is_the_whole_period(tmp_path: Path) -> None:
    logs = {"tracking": every(600, tracked, end=2 * DAY), "measurements": _sources(A, B, end=2 * DAY)}
    case = case_of(tmp_path, logs, begin=DAY, end=2 * DAY)
    assert told(quorum(case)) == [("quorum", DAY, 2 * DAY - 600, 2, 4)]


def test_falsetickers_are_no_sources(tmp_path: Path) -> None:
    rows = _sources(A, B, C) + _sources(D, E, end=5 * HOUR) + _sources(D, E, begin=8 * HOUR)
    rows += _sources(D, E, begin=5 * HOUR, end=8 * HOUR, offset=0.3)
    case = case_of(tmp_path, {"tracking": TRACKING, "measurements": sorted(rows, key=_time)})
    # E asks seven seconds behind D: last at 17,927 before it lies, and first at 28,800 when D is right again.
    assert told(quorum(case)) == [("quorum", 17927, 8 * HOUR, 3, 4)]


def test_a_source_that_always_fails_a_test_is_none(tmp_path: Path) -> None:
    rows = _sources(A, B, C) + _sources(D, tests="111 111 1101")
    case = case_of(tmp_path, {"tracking": TRACKING, "measurements": sorted(rows, key=_time)})
    [finding] = quorum(case)
    assert told(iter([finding])) == [("quorum", 0, DAY - 600, 3, 4)]
    assert "of 4 sources" in finding.text


def test_without_samples_it_cannot_be_shown(tmp_path: Path) -> None:
    [finding] = quorum(case_of(tmp_path / "a", {"tracking": TRACKING}))
    assert told(iter([finding])) == [("quorum", 0, DAY, None, 4)]
    assert "cannot be shown" in finding.text
    assert told(quorum(case_of(tmp_path / "b", {"measurements": _sources(A)}))) == []


@pytest.mark.parametrize("seed", range(8))
def test_quorum_is_that_of_the_slow_one(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    end, limit = 4000, 150
    good = [sorted(dice.sample(range(1, end), dice.randrange(5, 60))) for _ in range(4)]
    tracking = [0, *sorted(dice.sample(range(1, end), 20)), end]
    gaps = [(a, b) for a, b in pairwise(tracking) if b - a > limit]
    rows = sorted((at, name) for name, times in zip(SOURCES, good, strict=False) for at in times)
    logs = {
        "tracking": [tracked(at) for at in tracking],
        "measurements": [measured(at, name) for at, name in rows],
    }
    case = case_of(tmp_path, logs, end=end, gap_s=limit, quorum=3)
    expected = too_few(good, gaps, (0, end), limit, 3)
    assert told(quorum(case)) == [("quorum", begin, to, fewest, 3) for begin, to, fewest in expected]


# ---- smear ----------------------------------------------------------------------------------------------


def _smeared(name: str, begin: int, end: int, ppm: float) -> list[str]:
    noise = random.Random(ppm)
    return [
        measured(
            at, name, offset=noise.gauss(0, 5e-5) + (ppm * 1e-6 * (at - begin) if begin <= at < end else 0)
        )
        for at in range(3, DAY, 256)
    ]


def _logs(rows: list[str], follows: str = A) -> dict[str, list[str]]:
    rows = sorted([*_sources(A, B, C, D), *rows], key=_time)
    return {"tracking": every(600, tracked, follows), "measurements": rows}


@pytest.mark.parametrize("ppm", [11.574, -11.574, 13.9])
def test_a_source_that_runs_away_for_hours_is_found(tmp_path: Path, ppm: float) -> None:
    [finding] = smear(case_of(tmp_path, _logs(_smeared(E, 6 * HOUR, 15 * HOUR, ppm))))
    assert finding.value == pytest.approx(ppm, rel=0.02)
    assert abs(finding.begin_s - BEGIN - 6 * HOUR) < 1800
    assert abs(finding.end_s - BEGIN - 15 * HOUR) < 1800
    assert (finding.limit, finding.severity, len(finding.evidence)) == (9.0, "remark", 2)
    assert all(E in evidence.line for evidence in finding.evidence)


def test_a_smear_that_the_node_follows_leaves_its_time_unshown(tmp_path: Path) -> None:
    [finding] = smear(case_of(tmp_path, _logs(_smeared(E, 6 * HOUR, 15 * HOUR, 11.574), follows=E)))
    assert finding.severity == "unshown"


@pytest.mark.parametrize(
    ("begin", "end", "ppm"),
    [(6, 8.5, 11.574), (6, 15, 8.5), (6, 15, 20.0), (6, 6.01, 11.574), (6, 15, 0.0)],
    ids=["not for long", "too slow", "too fast", "at once", "not at all"],
)
def test_what_is_no_smear_is_not_taken_for_one(tmp_path: Path, begin: float, end: float, ppm: float) -> None:
    rows = _smeared(E, round(begin * HOUR), round(end * HOUR), ppm)
    assert told(smear(case_of(tmp_path, _logs(rows)))) == []


def test_a_step_of_a_source_is_no_smear(tmp_path: Path) -> None:
    rows = [measured(at, E, offset=0.08 if at > 8 * HOUR else 0) for at in range(3, DAY, 256)]
    assert told(smear(case_of(tmp_path, _logs(rows)))) == []


def test_two_smears_a_day_apart_are_two(tmp_path: Path) -> None:
    noise = random.Random(1)
    rows = [
        measured(
            at, E, offset=noise.gauss(0, 5e-5) + (at % (DAY // 2)) * 11.574e-6 * (at % (DAY // 2) < 5 * HOUR)
        )
        for at in range(3, DAY, 256)
    ]
    found = list(smear(case_of(tmp_path, _logs(rows))))
    assert [round((one.begin_s - BEGIN) / HOUR) for one in found] == [0, 12]


# ---- stretches ------------------------------------------------------------------------------------------


def test_spans_are_joined() -> None:
    assert list(joined([])) == []
    assert list(joined([(5, 9), (1, 3), (2, 4), (4, 4), (6, 7)])) == [(1, 4), (5, 9)]
    assert list(joined([(1, 3), (5, 9), (12, 13)], 2)) == [(1, 9), (12, 13)]


def test_silence_is_counted() -> None:
    times = np.arange(12)
    assert silent_before(times, []).tolist() == [0] * 12
    assert silent_before(times, [(2, 4), (7, 10)]).tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3, 4, 5, 5]
