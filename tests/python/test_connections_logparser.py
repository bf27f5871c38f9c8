"""The text of logparser: ours against its algorithm in pandas, and what is printed where nothing is found."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from python.connections_support import NOW_S, report_on
from reference import logparser_reference
from tickline.fake import append_connections
from tickline.pipelines.connections.logparser import as_text

# The first line of each file is lost by the original: here it is one that no report is made of.
LOST = "1 nobody nowhere\n"


def both(paths: list[Path], seconds: int = 3600, grouping: int = 1200) -> tuple[str, str]:
    """Return our text and the original's."""
    ours = as_text(report_on(*paths, seconds=seconds, grouping_seconds=grouping))
    return ours, logparser_reference.report(paths, "tower", "Papa", NOW_S, seconds, grouping)


def write(path: Path, rows: list[tuple[int, str, str]]) -> Path:
    path.write_text(LOST + "".join(f"{NOW_S + at} {one} {other}\n" for at, one, other in rows))
    return path


def test_generated_logs_give_the_original_text_byte_for_byte(tmp_path: Path) -> None:
    paths = []
    for i in range(3):
        paths.append(write(tmp_path / f"connections.{i}.log", []))
        append_connections(paths[-1], lines=20_000, seed=i, now_s=NOW_S)
    ours, theirs = both(paths)
    assert ours == theirs
    assert ours.startswith("Report results\n--------------\n\n* Server that received more connections:\nto ")
    assert "\n* List of connected hosts to Papa\n\nalmont, alpine, " in ours
    assert "\n* List of connections from tower\nAlpha, Bravo, " in ours


def test_names_are_in_the_order_of_buckets_and_not_of_the_alphabet(tmp_path: Path) -> None:
    rows = [(-1300, "a", "Papa"), (-1, "z", "Papa"), (-2, "m", "Papa"), (-3599, "b", "Papa")]
    ours, theirs = both([write(tmp_path / "a.log", rows)])
    assert ours == theirs
    assert "\nm, z, a, b\n" in ours
    assert "\na, b, m, z\n" in both([tmp_path / "a.log"], grouping=7200)[0]


def test_nobody_at_all_is_an_empty_line(tmp_path: Path) -> None:
    ours, theirs = both([write(tmp_path / "a.log", [(-1, "x", "y")])])
    assert ours == theirs
    assert ours.endswith("* List of connected hosts to Papa\n\n\n\n* List of connections from tower\n\n")


def test_an_empty_window_is_one_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "a.log", [(-100, "tower", "Papa")])
    ours, theirs = both([path], seconds=50)
    assert ours == theirs == "No data in last 50 seconds\n"
    assert both([path], seconds=0)[0] == "No data in last 0 seconds\n"


def test_the_first_line_of_a_file_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{NOW_S} tower Papa\n{NOW_S} x y\n{NOW_S} x y\n")
    ours, theirs = both([path])
    assert "hosts to Papa\n\ntower\n" in ours
    assert "hosts to Papa\n\n\n" in theirs


def test_of_equal_counts_the_first_name_is_printed(tmp_path: Path) -> None:
    names = [f"server{i:02}" for i in range(40)]
    random.Random(7).shuffle(names)
    path = write(tmp_path / "a.log", [(-1, "x", name) for name in names])
    assert "to    server00\nts           1\n" in both([path])[0]


@pytest.mark.parametrize("length", [1, 2, 7, 48, 49, 50, 51, 100, 255])
def test_long_names_are_cut_where_pandas_cut_them(tmp_path: Path, length: int) -> None:
    path = write(tmp_path / "a.log", [(-1, "x", "n" * length)] * 123)
    ours, theirs = both([path])
    assert ours == theirs


_names = st.text("abZ0-._ä日", min_size=1, max_size=4).map(lambda text: f"n{text}")
_rows = st.lists(
    st.tuples(
        st.integers(-60, 5), st.sampled_from(["tower", "b", "c"]) | _names, st.sampled_from(["Papa", "Kilo"])
    ),
    min_size=1,
    max_size=30,
)


@given(st.lists(_rows, min_size=1, max_size=3), st.integers(0, 50), st.integers(1, 25))
def test_any_logs_give_the_original_text(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[tuple[int, str, str]]],
    seconds: int,
    grouping: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    paths = [write(folder / f"{i}.log", rows) for i, rows in enumerate(files)]
    ours, theirs = both(paths, seconds, grouping)
    assert ours == theirs
