"""`logparser` and `logparser-make` under their old names: options, texts, exit codes, launchers."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from python.access_support import command, environment
from python.connections_cli_support import tickline
from reference import logparser_reference
from tickline.cli import compat_connections
from tickline.fake import append_connections

OPTIONS = ("--tail", "--folder", "--seconds", "--grouping-seconds", "--sleep-seconds", "--help")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "old-programs.md"


def recent(path: Path, *ages: int) -> Path:
    """Write a log of so many seconds ago; the first line is one that the old program may lose."""
    now = int(time.time())
    path.write_text("1 lost lost\n" + "".join(f"{now - age} tower Papa\n" for age in ages))
    return path


def test_the_old_options_are_taken_and_stand_in_the_page() -> None:
    shown = tickline("compat", "logparser", "--help").stdout
    page = PAGE.read_text(encoding="utf-8")
    for option in OPTIONS:
        assert option in shown
        assert option == "--help" or re.search(rf"`[^`\n]*{option}\b", page), option
    assert "LOCATION" in tickline("compat", "logparser-make", "--help").stdout
    listed = tickline("compat", "--help").stdout
    for name in ("logparser", "logparser-make"):
        assert re.search(rf"\b{name}\b", listed)
        assert f"`{name}" in page


def test_the_old_text_is_printed_byte_for_byte(tmp_path: Path) -> None:
    now = int(time.time())
    for i in range(2):
        path = recent(tmp_path / f"connections.{i}.log")
        append_connections(path, lines=5_000, seed=i, now_s=now - 1000)
    paths = sorted(tmp_path.glob("*.log"))
    pattern = f"{tmp_path}/connections*.log"
    asked = ("tower", "Papa", "--seconds", 100_000, "--grouping-seconds", 90_000)
    done = tickline("compat", "logparser", "--folder", pattern, *asked)
    assert done.stdout == logparser_reference.report(paths, "tower", "Papa", now, 100_000, 90_000)
    assert done.stderr == ""
    by_shell = tickline("compat", "logparser", *paths, *asked)
    assert by_shell.stdout == done.stdout


def test_what_it_said_where_nothing_is_found(tmp_path: Path) -> None:
    done = tickline("compat", "logparser", f"{tmp_path}/*.log", "tower", "Papa")
    assert (done.stdout, done.stderr) == ("No log files found!\n", "")
    path = recent(tmp_path / "a.log", 5000)
    assert tickline("compat", "logparser", path, "a", "b").stdout == "No data in last 3600 seconds\n"
    done = tickline("compat", "logparser", "--seconds", 0, path, "a", "b")
    assert done.stdout == "No data in last 0 seconds\n"


def test_what_stopped_the_old_program_does_not_stop_this_one(tmp_path: Path) -> None:
    packed = tmp_path / "$cost.log.gz"
    packed.write_bytes(gzip.compress(f"{int(time.time())} $a ${{b}}\n".encode()))
    shown = tickline("compat", "logparser", packed, "$a", "${b}").stdout
    assert "* List of connected hosts to ${b}\n\n$a\n" in shown
    assert "* List of connections from $a\n${b}\n" in shown


def test_bad_lines_are_said_on_standard_error_only(tmp_path: Path) -> None:
    path = recent(tmp_path / "a.log", 10)
    clean = tickline("compat", "logparser", path, "tower", "Papa").stdout
    with path.open("a") as file:
        file.write("no connection\n")
    done = tickline("compat", "logparser", path, "tower", "Papa")
    assert done.stdout == clean
    assert "a.log: 1 line rejected, the first in line 3 (field_count 1)" in done.stderr


def test_wrong_usage_ends_with_2() -> None:
    assert "Missing argument" in tickline("compat", "logparser", "a", "b", check=2).stderr
    assert "Missing argument" in tickline("compat", "logparser-make", check=2).stderr
    wrong = tickline("compat", "logparser", "x", "a", "b", "--seconds", "x", check=2).stderr
    assert "'x' is not a valid int" in wrong


def test_make_appends_and_never_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fewer(path: Path, *, seed: int, **more: object) -> None:
        seen.append(seed)
        append_connections(path, seed=seed, lines=1_000)

    monkeypatch.setattr("tickline.fake.append_connections", fewer)
    path = tmp_path / "connections.log"
    path.write_text("1 first line\n")
    before = int(time.time())
    for _ in range(2):
        assert tickline("compat", "logparser-make", path).stdout == ""
    lines = path.read_text().splitlines()
    assert lines[0] == "1 first line"
    assert len(lines) == 2001
    assert lines[1:1001] != lines[1001:]
    assert len(set(seen)) == 2
    rows = [line.split(" ") for line in lines[1:]]
    assert {len(row) for row in rows} == {3}
    assert all(before - 7200 <= int(row[0]) <= time.time() for row in rows)
    assert len({row[1] for row in rows}) == 55
    assert len({row[2] for row in rows}) == 26
    done = tickline("compat", "logparser-make", tmp_path / "none" / "a.log", check=1)
    assert "a.log: does not exist" in done.stderr


def test_make_writes_twelve_million_lines_by_default() -> None:
    assert append_connections.__kwdefaults__ is not None
    assert append_connections.__kwdefaults__["lines"] == 24 * 500_000
    assert compat_connections.logparser_make.__doc__ is not None
    assert "12,000,000" in compat_connections.logparser_make.__doc__


def test_launchers_call_them(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    tickline("compat", "install", "--bin", folder, "--quiet")
    path = recent(tmp_path / "connections.log", 10, 20)
    variables = environment(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    done = subprocess.run(
        ["logparser", tmp_path / "connections*.log", "tower", "Papa"],
        capture_output=True,
        env=variables,
        check=True,
    )
    assert b"to    Papa\nts       2\n" in done.stdout
    assert (folder / "logparser-make").is_file()
    same = subprocess.run(
        command("connections", path, "tower", "Papa", "--format", "logparser"),
        capture_output=True,
        env=variables,
        check=True,
    )
    assert same.stdout == done.stdout
