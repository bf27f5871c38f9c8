"""Invented chrony logs against real ones: banners, the shapes of lines, and what "Max. error" is made of."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from reference.chrony_audit import COLUMNS, is_banner, parse, rows_of, text_of
from tickline.fake import generate_chrony

LIVE = ("client_b_multi", "client_d_refclock", "client_e_long_ipv6")


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fake")
    # The first two rotate their logs; the third has one file of each kind.
    generate_chrony(folder, nodes=3, days=2, faults=[])
    return folder / "node-003"


def _shapes(text: str) -> set[tuple[int, ...]]:
    """Return where the fields of rows end; all but addresses are right-aligned, and longer ones push them."""
    rows = [line for line in text.splitlines() if not is_banner(line) and len(line.split()[2]) <= 15]
    ends = [[match.end() for match in re.finditer(r"\S+", row)] for row in rows]
    return {tuple(row[:2] + row[3:]) for row in ends}


@pytest.mark.parametrize("kind", COLUMNS)
def test_banners_are_the_real_ones(data: Path, invented: Path, kind: str) -> None:
    real = text_of(data / "chrony" / "live_4.3" / LIVE[0] / f"{kind}.log").splitlines()[:3]
    assert text_of(invented / f"{kind}.log").splitlines()[:3] == real


@pytest.mark.parametrize("kind", COLUMNS)
def test_lines_have_the_shape_of_real_ones(data: Path, invented: Path, kind: str) -> None:
    real = _shapes(text_of(data / "chrony" / "live_4.3" / LIVE[0] / f"{kind}.log"))
    ours = _shapes(text_of(invented / f"{kind}.log"))
    # A skew of 1000000.000 in the first row is one character too long.
    assert len(real) == (2 if kind == "tracking" else 1)
    assert ours == real


def test_the_first_row_of_a_start_is_the_real_one(data: Path, invented: Path) -> None:
    for name in LIVE:
        real = text_of(data / "chrony" / "live_4.3" / name / "tracking.log").splitlines()[3]
        assert text_of(invented / "tracking.log").splitlines()[3][19:] == real[19:]


@pytest.mark.parametrize("name", ["omnios_issue2576/tracking.log", "omnios_issue2576/tracking_2.log"])
def test_real_max_errors_follow_from_the_row_before(data: Path, name: str) -> None:
    # Polls of some seventeen minutes: the age of the row before weighs as much as anything else.
    lines = text_of(data / "chrony" / name).splitlines()
    # One sample is cut inside its last number.
    rows = [parse("tracking", line) for line in lines if re.search(r"e[+-]\d\d$", line)]
    assert len(rows) > 5
    for before, row in pairwise(rows):
        expected = before["root_delay_s"] / 2 + before["root_dispersion_s"]
        expected += (row["time"] - before["time"]) * (before["skew_ppm"] + 1) * 1e-6
        expected += abs(before["offset_s"] - before["remaining_correction_s"])
        # Beside the skew chrony counts a residual frequency, which is not in the log.
        assert row["max_error_s"] == pytest.approx(expected, rel=0.05)


def test_invented_values_are_of_the_size_of_real_ones(data: Path, invented: Path) -> None:
    path = data / "chrony" / "omnios_issue2576" / "tracking_2.log"
    real = [parse("tracking", line) for line in text_of(path).splitlines()[:-1]]
    ours = rows_of(invented, "tracking")[4:]
    for column in ("skew_ppm", "offset_sd_s", "root_delay_s", "root_dispersion_s", "max_error_s"):
        typical = sorted(row[column] for row in ours)[len(ours) // 2]
        assert typical / 10 < sorted(row[column] for row in real)[len(real) // 2] < typical * 10
