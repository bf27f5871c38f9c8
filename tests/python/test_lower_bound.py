"""tickline.ntp.lower_bound: the time is at least so late, how sure that is, and what does not count."""

from __future__ import annotations

import importlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tickline import _core
from tickline.errors import UsageError
from tickline.ntp.file_times import Rules
from tickline.ntp.lower_bound import CONFIDENCES, ROOTS, LowerBound, lower_bound

# By name: tickline.ntp.lower_bound is the function.
module = importlib.import_module("tickline.ntp.lower_bound")

DAY_NS = 86_400 * 10**9
YEAR_NS = 31_556_952 * 10**9
NOW_NS = time.time_ns()
BUILD_NS = NOW_NS - 4 * YEAR_NS


@pytest.fixture
def old_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these sources be four years old, so that there is room for other evidence."""
    monkeypatch.setattr(module, "_core", SimpleNamespace(SOURCE_DATE_S=BUILD_NS // 10**9))


def make(path: Path, ns: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, ns=(ns, ns))
    return path


def bound_of(top: Path, **changed: Any) -> LowerBound:
    """Call the function on trees of this user below `top`, as if he were root and `top` the root folder."""
    given: dict[str, Any] = {
        "roots": [str(top / "root")],
        "clock_file": None,
        "max_depth": 2,
        "max_files": 100,
        "time_limit_s": 600.0,
        "now_ns": time.time_ns(),  # the inodes were changed just now
        "rules": Rules(owner=lambda uid: uid == os.geteuid(), top=str(top)),
    }
    bound: LowerBound = module._gather(**(given | changed))
    return bound


def test_without_files_it_is_the_date_of_the_sources() -> None:
    bound = lower_bound(roots=[], clock_file=None)
    version = Path(__file__).resolve().parents[2] / "include/tickline/version.hpp"
    date = {
        line.split()[1].removeprefix("TICKLINE_SOURCE_"): int(line.split()[2])
        for line in version.read_text().splitlines()
        if line.startswith("#define TICKLINE_SOURCE_")
    }
    assert bound.time() == datetime(date["YEAR"], date["MONTH"], date["DAY"], tzinfo=UTC)
    assert (bound.source, bound.confidence, bound.path) == ("build", "high", None)
    assert bound.at_least_ns == _core.SOURCE_DATE_S * 10**9
    assert (bound.files, bound.skipped, bound.cut, bound.later_files) == (0, {}, (), 0)


@pytest.mark.usefixtures("old_build")
def test_the_third_latest_file_decides_and_is_named(tmp_path: Path) -> None:
    days = [900, 500, 700, 400, 800]  # ago; 700 is the third-latest
    files = {ago: make(tmp_path / "root" / f"{ago}", NOW_NS - ago * DAY_NS) for ago in days}
    bound = bound_of(tmp_path)
    assert bound.at_least_ns == NOW_NS - 700 * DAY_NS
    assert (bound.source, bound.confidence, bound.path) == ("files", "low", str(files[700]))
    assert str(files[700]) in bound.why
    assert not bound.clock_is_behind
    assert bound.files == 5
    assert [one.source for one in bound.evidence] == ["build", "files"]


@pytest.mark.usefixtures("old_build")
def test_two_files_are_too_few(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make(tmp_path / "root" / name, NOW_NS - 500 * DAY_NS)
    assert bound_of(tmp_path).source == "build"


@pytest.mark.usefixtures("old_build")
def test_files_of_the_future_decide_nothing_and_are_reported(tmp_path: Path) -> None:
    for number in range(5):
        make(tmp_path / "root" / f"future {number}", NOW_NS + YEAR_NS)
        make(tmp_path / "root" / f"past {number}", NOW_NS - YEAR_NS)
    bound = bound_of(tmp_path)
    assert bound.at_least_ns == NOW_NS - YEAR_NS
    assert bound.later_files == 5
    assert "5 system files are dated in the future" in bound.why


@pytest.mark.usefixtures("old_build")
def test_a_clock_that_is_behind_does_not_make_everything_future(tmp_path: Path) -> None:
    # The battery was empty: it is 1970 to this machine, and so its files were changed in the future.
    clock_file = make(tmp_path / "lib" / "clock", NOW_NS - YEAR_NS)
    for number in range(5):
        make(tmp_path / "root" / f"{number}", NOW_NS - 2 * YEAR_NS)
    bound = bound_of(tmp_path, now_ns=0, clock_file=str(clock_file))
    assert bound.at_least_ns == NOW_NS - YEAR_NS
    assert (bound.source, bound.confidence, bound.path) == ("clock file", "medium", str(clock_file))
    assert bound.clock_is_behind
    assert "The clock of this machine is behind that." in bound.why
    assert bound_of(tmp_path, now_ns=0).at_least_ns == BUILD_NS // 10**9 * 10**9


@pytest.mark.usefixtures("old_build")
def test_the_clock_file_is_believed_ahead_of_the_clock_but_not_by_any_amount(tmp_path: Path) -> None:
    for number in range(3):
        make(tmp_path / "root" / f"{number}", NOW_NS - 2 * YEAR_NS)
    clock_file = make(tmp_path / "clock", NOW_NS + 2 * YEAR_NS)
    # It counts by the earlier one of its times, and its inode was changed just now.
    bound = bound_of(tmp_path, clock_file=str(clock_file), now_ns=NOW_NS - YEAR_NS)
    assert bound.at_least_ns == clock_file.stat().st_ctime_ns
    assert bound.clock_is_behind
    # Files whose inodes were changed before that are of the past, whatever the clock says.
    assert (bound.later_files, len(bound.evidence)) == (0, 3)
    make(clock_file, NOW_NS + 20 * YEAR_NS)
    bound = bound_of(tmp_path, roots=[], clock_file=str(clock_file))
    assert bound.source == "build"
    assert bound.skipped == {"future": 1}


@pytest.mark.usefixtures("old_build")
@pytest.mark.parametrize("spoilt", ["writable file", "writable folder", "link", "missing", "pipe"])
def test_a_clock_file_that_others_could_have_written_proves_nothing(tmp_path: Path, spoilt: str) -> None:
    clock_file = make(tmp_path / "folder" / "clock", NOW_NS - YEAR_NS)
    assert bound_of(tmp_path, roots=[], clock_file=str(clock_file)).source == "clock file"
    if spoilt == "writable file":
        clock_file.chmod(0o666)
    elif spoilt == "writable folder":
        clock_file.parent.chmod(0o777)
    else:
        clock_file.unlink()
    if spoilt == "link":
        clock_file.symlink_to(make(tmp_path / "other", NOW_NS - YEAR_NS))
    if spoilt == "pipe":
        os.mkfifo(clock_file)
    bound = bound_of(tmp_path, roots=[], clock_file=str(clock_file))
    assert bound.source == "build"
    assert sum(bound.skipped.values()) == 1


@pytest.mark.usefixtures("old_build")
def test_a_clock_file_may_belong_to_a_system_user_and_to_nobody_else(tmp_path: Path) -> None:
    clock_file = make(tmp_path / "clock", NOW_NS - YEAR_NS)
    nobody = Rules(owner=lambda uid: False, top=str(tmp_path))
    if os.geteuid() != 0:  # whose files are no system user's
        assert bound_of(tmp_path, roots=[], clock_file=str(clock_file), rules=nobody).source == "build"
        return
    for uid, source in ((997, "clock file"), (1000, "build")):
        os.chown(clock_file, uid, uid)
        os.utime(clock_file, ns=(NOW_NS - YEAR_NS,) * 2)
        assert bound_of(tmp_path, roots=[], clock_file=str(clock_file), rules=nobody).source == source


@pytest.mark.usefixtures("old_build")
def test_the_more_reliable_of_equals_is_named(tmp_path: Path) -> None:
    clock_file = make(tmp_path / "clock", NOW_NS - YEAR_NS)
    for number in range(3):
        make(tmp_path / "root" / f"{number}", NOW_NS - YEAR_NS)
    bound = bound_of(tmp_path, clock_file=str(clock_file))
    assert bound.source == "clock file"
    assert [one.confidence for one in bound.evidence] == list(CONFIDENCES)


@pytest.mark.usefixtures("old_build")
@pytest.mark.parametrize("count", [100, 20_000])
def test_limits_hold_whatever_the_size_of_the_tree(tmp_path: Path, count: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for number in range(count):
        os.close(os.open(root / f"{number}", os.O_CREAT | os.O_WRONLY, 0o644))
    bound = bound_of(tmp_path)
    assert bound.files == 100
    assert bound.cut == (() if count == 100 else ("max_files",))
    bound = bound_of(tmp_path, time_limit_s=0.0)
    assert (bound.files, bound.cut, bound.source) == (0, ("time",), "build")


def test_this_machine_gives_a_bound_quickly_and_nobody_else_writes_where_it_looks() -> None:
    bound = lower_bound()
    assert bound.at_least_ns <= time.time_ns()
    assert bound.at_least_ns >= _core.SOURCE_DATE_S * 10**9
    assert 0 < bound.files <= 100 * len(ROOTS)
    assert all(
        one.path is None or Path(one.path).lstat().st_uid == 0
        for one in bound.evidence
        if one.source == "files"
    )
    assert not [root for root in ROOTS if root.startswith(("/tmp", "/var/tmp", "/run", "/dev"))]
    assert bound.elapsed_ns < 60 * 10**9


def test_a_name_that_no_terminal_can_show_is_shown_escaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_build: None
) -> None:
    for number in range(3):
        make(tmp_path / "root" / f"{number}\x1b[31m\udcff", NOW_NS - YEAR_NS)
    bound = bound_of(tmp_path)
    assert bound.source == "files"
    assert "\x1b" not in bound.why
    assert r"\x1b[31m\xff" in bound.why


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": 33}, "max_depth"),
        ({"max_files": 0}, "max_files"),
        ({"time_limit_s": -1.0}, "time_limit_s"),
        ({"time_limit_s": float("nan")}, "time_limit_s"),
        ({"time_limit_s": float("inf")}, "time_limit_s"),
        ({"roots": ["etc"]}, "roots"),
        ({"roots": ["/etc/../tmp"]}, "roots"),
        ({"roots": ["/etc\0"]}, "roots"),
        ({"clock_file": "clock"}, "clock_file"),
        ({"now_ns": -1}, "now_ns"),
        ({"now_ns": 2**63}, None),
        ({"now_ns": 2**68}, "now_ns"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: dict[str, Any], where: str | None) -> None:
    if where is None:
        assert not lower_bound(**given, roots=[]).clock_is_behind
        return
    with pytest.raises(UsageError) as caught:
        lower_bound(**given)
    assert caught.value.where == where


def test_paths_may_be_written_with_slashes_and_dots_to_spare(tmp_path: Path) -> None:
    assert (
        lower_bound(roots=["//etc/.//"], clock_file=None).files
        == lower_bound(["/etc"], clock_file=None).files
    )
    assert lower_bound(roots=[Path("/")], clock_file=None, max_depth=1).elapsed_ns >= 0
