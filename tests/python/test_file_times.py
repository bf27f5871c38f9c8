"""tickline.ntp.file_times: whose files count, what is never followed or waited for, where the search ends."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tickline.ntp import file_times
from tickline.ntp.file_times import FileScan, RefusedError, Rules, file_time

YEAR_NS = 31_556_952 * 10**9
NOW_NS = time.time_ns()
PAST_NS = NOW_NS - 3 * YEAR_NS


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    return Rules(owner=lambda uid: uid == os.geteuid(), top=str(tmp_path))


def make(path: Path, ns: int = PAST_NS, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)
    os.utime(path, ns=(ns, ns))
    return path


def scan_of(rules: Rules, **changed: Any) -> FileScan:
    limits: dict[str, Any] = {
        "max_depth": 2,
        "max_files": 100,
        "until_s": time.monotonic() + 600,
        "newest_ns": time.time_ns(),
        "start_ns": NOW_NS - YEAR_NS,
    }
    return FileScan(rules, **(limits | changed))


def scanned(rules: Rules, root: Path, **changed: Any) -> FileScan:
    scan = scan_of(rules, **changed)
    descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    scan.root(str(root))
    assert len(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
    return scan


def paths(scan: FileScan) -> set[str]:
    return {found.path for found in scan.found}


def test_a_file_counts_by_the_earlier_one_of_its_times(rules: Rules, tmp_path: Path) -> None:
    past = make(tmp_path / "past")
    found = file_time(str(past), rules)
    assert found.ns == PAST_NS
    assert found.later_ns >= NOW_NS - 10**9  # the inode was changed just now
    forward = make(tmp_path / "forward", NOW_NS + 5 * YEAR_NS)
    assert file_time(str(forward), rules).ns == forward.stat().st_ctime_ns
    assert file_time(str(forward), rules).later_ns == NOW_NS + 5 * YEAR_NS


def test_times_of_the_future_and_of_this_start_do_not_count(rules: Rules, tmp_path: Path) -> None:
    past = make(tmp_path / "past")
    make(tmp_path / "future", NOW_NS + YEAR_NS)
    make(tmp_path / "just written", NOW_NS)
    scan = scanned(rules, tmp_path)
    assert paths(scan) == {str(past)}
    assert scan.skipped == {"future": 1, "since_start": 1}
    assert scan.later == 1
    # When the clock allows for it, the date that was set forward still proves nothing.
    assert paths(scanned(rules, tmp_path, newest_ns=NOW_NS + 9 * YEAR_NS)) == {str(past)}


def test_a_little_later_than_now_is_no_news_about_the_clock(rules: Rules, tmp_path: Path) -> None:
    make(tmp_path / "a", PAST_NS)
    scan = scanned(rules, tmp_path, newest_ns=time.time_ns() - 10 * 10**9)
    assert scan.skipped == {"future": 1}
    assert scan.later == 0


@pytest.mark.parametrize("place", ["file", "folder", "root", "above"])
def test_what_all_may_write_does_not_count(rules: Rules, tmp_path: Path, place: str) -> None:
    root = tmp_path / "above" / "root"
    file = make(root / "folder" / "file")
    assert paths(scanned(rules, root)) == {str(file)}
    loose = next(path for path in [file, *file.parents] if path.name == place)
    loose.chmod(stat.S_IMODE(loose.stat().st_mode) | stat.S_IWOTH)
    scan = scanned(rules, root)
    assert not scan.found
    assert scan.skipped == {"world_writable": 1}


def test_what_belongs_to_others_does_not_count(rules: Rules, tmp_path: Path) -> None:
    mine, other, below = make(tmp_path / "a"), make(tmp_path / "b"), make(tmp_path / "c" / "d")
    if os.geteuid() == 0:
        os.chown(other, 12345, 12345)
        os.chown(below.parent, 12345, 12345)
        scan = scanned(rules, tmp_path)
        assert paths(scan) == {str(mine)}
        assert scan.skipped == {"owner": 2}
    else:  # who cannot give files away is surrounded by those of root
        scan = scanned(Rules(owner=rules.owner), Path("/etc"))
        assert not scan.found
        assert scan.skipped == {"owner": 1}
    assert scanned(Rules(owner=lambda uid: uid == 12345, top=rules.top), tmp_path).skipped == {"owner": 1}


def test_links_are_not_followed(rules: Rules, tmp_path: Path) -> None:
    outside = make(tmp_path / "outside" / "file")
    root = tmp_path / "root"
    inside = make(root / "file")
    (root / "to file").symlink_to(outside)
    (root / "to folder").symlink_to(outside.parent)
    (root / "loop").symlink_to("loop")
    (root / "up").symlink_to("..")
    (tmp_path / "to root").symlink_to("root")
    scan = scanned(rules, root)
    assert paths(scan) == {str(inside)}
    assert scan.skipped == {"symlink": 4}
    for link in [tmp_path / "to root", root / "loop", root / "up" / "root"]:
        scan = scanned(rules, link)
        assert not scan.found
        assert scan.skipped == {"no_folder": 1}
    with pytest.raises(RefusedError, match="kind"):
        file_time(str(root / "to file"), rules)
    with pytest.raises(RefusedError, match="no_folder"):
        file_time(str(root / "to folder" / "file"), rules)


def test_pipes_sockets_and_devices_are_passed_over(rules: Rules, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.path.relpath(tmp_path / "door"))  # the name of a socket must be short
        scan = scanned(rules, tmp_path)
    assert scan.skipped == {"kind": 2}
    with pytest.raises(RefusedError, match="kind"):
        file_time(str(tmp_path / "pipe"), rules)
    assert not scanned(Rules(owner=lambda uid: True), Path("/dev"), max_depth=1).found


def test_what_is_mounted_below_is_left_alone() -> None:
    scan = scanned(Rules(), Path("/"), max_files=10_000)
    assert scan.skipped["other_device"] > 0
    assert not [path for path in paths(scan) if path.startswith(("/proc/", "/sys/"))]


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 32])
def test_the_search_goes_as_deep_as_it_may(rules: Rules, tmp_path: Path, depth: int) -> None:
    folder = tmp_path
    for level in range(40):
        make(folder / f"file {level}")
        folder = folder / "below"
    assert len(scanned(rules, tmp_path, max_depth=depth).found) == depth


def test_no_more_files_are_looked_at_than_wanted_and_no_more_entries_read(
    rules: Rules, tmp_path: Path
) -> None:
    many = tmp_path / "files"
    for number in range(150):
        make(many / f"{number}")
    scan = scanned(rules, tmp_path)
    assert (scan.looked_at, len(scan.found), scan.cut) == (100, 100, {"max_files"})
    scan.root(str(many))  # each root has its own share
    assert scan.looked_at == 200
    assert scanned(rules, many, max_files=150).cut == set()

    links = tmp_path / "links"
    links.mkdir()
    for number in range(300):
        (links / f"{number}").symlink_to("nowhere")
    scan = scanned(rules, links, max_files=10)
    assert scan.skipped == {"symlink": 200}
    assert scan.cut == {"max_files"}

    folders = tmp_path / "folders"
    for number in range(300):
        (folders / f"{number}").mkdir(parents=True)
    scan = scanned(rules, folders, max_files=10)
    assert scan.cut == {"max_files"}


def test_everything_ends_when_the_time_is_over(
    rules: Rules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        make(tmp_path / f"{number}")
    ticks = iter(range(1000))
    monkeypatch.setattr(file_times.time, "monotonic", lambda: next(ticks))
    scan = scan_of(rules, until_s=20)
    scan.root(str(tmp_path))
    assert 10 < scan.looked_at < 20
    assert scan.cut == {"time"}
    looked_at = scan.looked_at
    scan.root(str(tmp_path))
    assert scan.looked_at == looked_at


def test_folders_that_are_missing_are_counted(rules: Rules, tmp_path: Path) -> None:
    make(tmp_path / "file")
    assert scanned(rules, tmp_path / "nowhere").skipped == {"missing": 1}
    assert scanned(rules, tmp_path / "file").skipped == {"no_folder": 1}
    assert scanned(rules, tmp_path.parent).skipped == {"missing": 1}  # above the top
    with pytest.raises(RefusedError, match="missing"):
        file_time(str(tmp_path / "nothing"), rules)


def test_others_than_root_look_at_what_they_may_read(tmp_path: Path) -> None:
    # Loaded first: the interpreter itself may stand where nobody else can read.
    program = f"""
import json, os, time
from tickline.ntp.file_times import FileScan, Rules
os.chmod({str(tmp_path)!r}, 0o755)
if os.geteuid() == 0:
    os.chown({str(tmp_path / "open")!r}, 65534, 65534)
    os.chown({str(tmp_path / "shut")!r}, 65534, 65534)
    os.chdir({str(tmp_path)!r})
    os.setgid(65534)
    os.setuid(65534)
scan = FileScan(Rules(), max_depth=2, max_files=100, until_s=time.monotonic() + 600,
                newest_ns=time.time_ns(), start_ns=time.time_ns())
scan.root("/etc")
mine = FileScan(Rules(lambda uid: True, "."), max_depth=2, max_files=100, until_s=time.monotonic() + 600,
                newest_ns=time.time_ns() + 10**9, start_ns=time.time_ns())
mine.root("open")
mine.root("shut")
print(json.dumps([len(scan.found), len(mine.found), mine.skipped]))
"""
    make(tmp_path / "open" / "file")
    (tmp_path / "shut").mkdir(mode=0)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    found, mine, skipped = json.loads(ran.stdout)
    assert found > 0
    assert mine == 1
    assert skipped == {"unreadable": 1}


def slow_scan(root: Path, max_depth: int) -> set[str]:
    """Return what a scan without other limits should find, looking at every path in full."""
    good = set()
    for path in root.rglob("*"):
        way = [root, *[root / part for part in path.relative_to(root).parents if str(part) != "."]]
        if any(folder.is_symlink() or folder.lstat().st_mode & 0o002 for folder in way):
            continue
        status = path.lstat()
        if len(path.relative_to(root).parts) > max_depth or not stat.S_ISREG(status.st_mode):
            continue
        if not status.st_mode & 0o002 and status.st_mtime_ns < NOW_NS - YEAR_NS:
            good.add(str(path))
    return good


@pytest.mark.parametrize("number", range(20))
def test_a_scan_finds_what_a_look_at_every_path_finds(rules: Rules, tmp_path: Path, number: int) -> None:
    draw = random.Random(number)
    folders = [tmp_path]
    for index in range(40):
        path = draw.choice(folders) / f"{index}"
        kind = draw.randrange(5)
        if kind < 2:
            path.mkdir()
            folders.append(path)
        elif kind == 2:
            path.symlink_to(draw.choice(folders))
        else:
            make(path, draw.choice([PAST_NS, NOW_NS + YEAR_NS]), draw.choice([0o644, 0o666]))
    for folder in draw.sample(folders[1:], k=len(folders) // 4):
        folder.chmod(0o777)
    depth = draw.randint(1, 5)
    assert paths(scanned(rules, tmp_path, max_depth=depth)) == slow_scan(tmp_path, depth)
