"""Waking up when files change: early where the system tells of it, by the clock everywhere else."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from tickline.pipelines.connections.watch import Watch

LONG_S = 60.0


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
@pytest.mark.parametrize("change", ["write", "create", "remove", "rename"])
def test_a_change_ends_the_wait(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a.log"
    path.write_text("1 a b\n")

    def work() -> None:
        match change:
            case "write":
                with path.open("a") as file:
                    file.write("2 a b\n")
            case "create":
                (tmp_path / "b.log").touch()
            case "remove":
                path.unlink()
            case "rename":
                path.rename(tmp_path / "c.log")

    with Watch() as watch:
        for _ in range(3):
            watch.follow([str(tmp_path)])
        assert watch.tells
        timer = threading.Timer(0.3, work)
        timer.start()
        began_s = time.monotonic()
        watch.wait(LONG_S)
        assert time.monotonic() - began_s < LONG_S / 2
        timer.join()


def test_nothing_is_waited_for_in_folders_that_are_no_longer_followed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Watch() as watch:
        watch.follow([str(tmp_path / "one"), str(tmp_path / "two")])
        watch.follow([str(tmp_path / "two")])
        watch.wait(0.0)
        (tmp_path / "one" / "a.log").touch()
        began_s = time.monotonic()
        watch.wait(0.5)
        assert time.monotonic() - began_s >= 0.5


def test_a_wait_has_an_end_where_nothing_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Watch() as watch:
        watch.follow([str(tmp_path), str(tmp_path / "none")])
        assert not watch.tells
        watch.follow([str(tmp_path)])
        assert watch.tells == (sys.platform == "linux")
    monkeypatch.setattr(sys, "platform", "other")
    with Watch() as watch:
        watch.follow([str(tmp_path)])
        assert not watch.tells
        (tmp_path / "a.log").touch()
        began_s = time.monotonic()
        watch.wait(0.4)
        assert time.monotonic() - began_s >= 0.4


def test_it_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with Watch() as watch:
            watch.follow([str(tmp_path)])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
