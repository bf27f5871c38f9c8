"""`tickline connections --tail` beside a writer that rotates: lines, memory, work, and how it stops."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from python.access_support import command, environment, run
from python.connections_support import NOW_S, NS
from python.tail_support import Tail, Writer, options_of
from tickline.pipelines.connections.follower import Follower
from tickline.pipelines.connections.ring import Ring
from tickline.pipelines.connections.tail import Live

HOSTS = [f"host{number}" for number in range(55)]
SERVERS = [f"server{number}" for number in range(26)]
PATIENCE_S = 60.0


class _Log:
    """A log that is written fast, and rotated in every way."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.path = folder / "connections.log"
        self._keep = keep
        self._numbers = itertools.count()
        self._rotated: list[Path] = []
        self.lines = 0
        self.sums: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
        dice = random.Random(8)
        pairs = [(dice.choice(HOSTS), dice.choice(SERVERS)) for _ in range(3000)]
        self._block = b"".join(f"@@ {one} {other}\n".encode() for one, other in pairs)
        self._of_block = (
            Counter(other for _, other in pairs),
            Counter(one for one, other in pairs if other == "server3"),
            Counter(other for one, other in pairs if one == "host7"),
        )
        self._blocks = 0
        self.path.touch()

    @property
    def block_bytes(self) -> int:
        return len(self._block) + 3000 * 15

    def write(self) -> None:
        """Write 3,000 lines; those of each call have a time of their own."""
        stamp = f"{time.time_ns() // 1000 % 10**16 / 1e6:.6f}".encode()
        text = self._block.replace(b"@@", stamp)
        with self.path.open("ab", buffering=0) as file:
            # Not at a line's end.
            file.write(text[:7777])
            file.write(text[7777:])
        self._blocks += 1

    def rotate(self, *, pause_s: float = 0.0) -> None:
        """Rename, copy and empty, or just empty, when what was written can have been read."""
        number = next(self._numbers)
        other = self.path.with_name(f"connections.log.{number}")
        if number % 4 == 3 and pause_s:
            time.sleep(pause_s)
            os.truncate(self.path, 0)
        elif number % 2:
            shutil.copyfile(self.path, other)
            os.truncate(self.path, 0)
            self._rotated.append(other)
        else:
            self.path.rename(other)
            self.path.touch()
            self._rotated.append(other)
        for old in self._rotated[: -self._keep]:
            old.unlink()
        del self._rotated[: -self._keep]

    def check(self, report: dict[str, Any]) -> None:
        """Make sure that a report has every line once."""
        assert report["lines"] == 3000 * self._blocks
        found = (
            {row["host"]: row["count"] for row in report["top"]},
            report["connected_to"]["hosts"],
            report["connections_from"]["hosts"],
        )
        for sums, expected in zip(found, self._of_block, strict=True):
            assert sums == {host: count * self._blocks for host, count in expected.items()}


@contextmanager
def _tail(folder: Path, *options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a tail on a folder; its reports go to the file `reports`."""
    asked = ["connections", "--top", 99, "--tail", folder / "*.log*", "host7", "server3", *options]
    with (
        (folder / "reports").open("wb") as out,
        (folder / "errors").open("wb") as errors,
        subprocess.Popen(command(*asked), stdout=out, stderr=errors, env=environment()) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _reports(folder: Path) -> list[dict[str, Any]]:
    """Return the reports so far; each is one JSON text."""
    text, found = (folder / "reports").read_text(), []
    decoder = json.JSONDecoder()
    while text.strip():
        report, end = decoder.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        found.append(report)
    return found


def _wait_for_reports(folder: Path, number: int) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not (folder / "reports").stat().st_size and time.monotonic() < end_s:
        time.sleep(0.05)
    while len(_reports(folder)) < number and time.monotonic() < end_s:
        time.sleep(0.2)
    assert len(_reports(folder)) >= number, (folder / "errors").read_text()


def _stop(process: subprocess.Popen[bytes], number: int) -> int:
    process.send_signal(number)
    return process.wait(PATIENCE_S)


def _resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def _follow_a_writer(folder: Path, *, seconds: float, bytes_a_second: int, pause_s: float, keep: int) -> int:
    """Write for so long; make sure that every line is counted once; return the most memory."""
    log = _Log(folder, keep=keep)
    with _tail(folder, "--sleep-seconds", 5, "--format", "json", "--quiet") as process:
        _wait_for_reports(folder, 1)
        began_s = time.monotonic()
        resident: list[int] = []
        rotate_s = seconds / 12
        while (now_s := time.monotonic() - began_s) < seconds:
            log.write()
            if now_s > rotate_s:
                log.rotate(pause_s=pause_s)
                rotate_s += min(seconds / 12, 3.0)
                resident.append(_resident_bytes(process.pid))
            ahead_s = log._blocks * log.block_bytes / bytes_a_second - now_s
            time.sleep(max(ahead_s, 0.0))
        assert _stop(process, signal.SIGINT) == 130
    log.check(_reports(folder)[-1])
    # What was there after a quarter of the time does for the rest.
    early = max(resident[: len(resident) // 4 + 1])
    assert max(resident) <= early + 12 * 2**20, [size >> 20 for size in resident]
    return max(resident)


def test_every_line_of_a_fast_rotating_log_is_counted_once(tmp_path: Path) -> None:
    most = _follow_a_writer(tmp_path, seconds=8.0, bytes_a_second=3_000_000, pause_s=0.0, keep=100)
    assert most < 200 * 2**20
    # A single run on what was left gives the same.
    last = _reports(tmp_path)[-1]
    done = run(
        "connections",
        tmp_path / "*.log*",
        "host7",
        "server3",
        "--json",
        "--now",
        str(last["now"]),
        "--top",
        99,
        check=0,
    )
    single = json.loads(done.stdout)
    for part in ("now", "seconds", "lines", "rejected", "top", "connected_to", "connections_from"):
        assert single[part] == last[part]


@pytest.mark.soak
def test_a_minute_at_20_mb_a_second(tmp_path: Path) -> None:
    _follow_a_writer(tmp_path, seconds=60.0, bytes_a_second=20_000_000, pause_s=4.0, keep=6)


@pytest.mark.soak
def test_ten_minutes_at_50_mb_a_second(tmp_path: Path) -> None:
    _follow_a_writer(tmp_path, seconds=600.0, bytes_a_second=50_000_000, pause_s=4.0, keep=6)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_stops_it_prints_a_last_report(tmp_path: Path, number: int) -> None:
    log = _Log(tmp_path, keep=9)
    log.write()
    with _tail(tmp_path, "--json") as process:
        _wait_for_reports(tmp_path, 1)
        log.write()
        assert _stop(process, number) == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    first, last = _reports(tmp_path)
    assert first["lines"] == 3000
    log.check(last)
    assert b"Traceback" not in (tmp_path / "errors").read_bytes()


def test_reports_keep_to_their_times_and_follow_a_clock_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("".join(f"{NOW_S + i} tower Papa\n" for i in range(-100, 500)))
    options = options_of(tmp_path / "*.log", seconds=60, grouping_seconds=20, disorder_seconds=500)
    now_s = float(NOW_S)
    ring = Ring(options, 60)
    ends = []
    with Follower(options, ring) as follower:
        live = Live(options, ring, follower, lambda: int(now_s * NS))
        # In time, too early, in time, two reports late, set back, in time, two days late.
        for at in (0, 59.9, 60, 200, 130, 179.9, 180, 181, 2 * 86400 + 60.5):
            now_s = NOW_S + at
            report = live.look()
            ends.append(report and report.window.until_ns // NS - NOW_S)
            assert report is None or report.connections == (61 if at < 86400 else 0)
            assert 0 < live.pause_s(1.0) <= 60
        assert ends == [0, None, 60, 180, None, None, 180, None, 2 * 86400 + 60]
        # The last one ends with a cell, and not only when the next one is due.
        last = live.last()
    assert last.window.until_ns // NS - NOW_S == 2 * 86400 + 80


def test_a_report_reads_no_log_and_visits_buckets_and_pairs_however_many_lines_they_stand_for(
    tmp_path: Path,
) -> None:
    rows, read = [], []
    for repeated in (1, 40):
        log = Writer(tmp_path / f"{repeated}.log")
        text = b"".join(
            b"%d h%d s%d\n" % (NOW_S - 3000 + i, i % 17, i % 11) for i in range(3000) for _ in range(repeated)
        )
        log.add(text)
        tail = Tail(log.path)
        tail.look()
        tail.report()  # numpy is imported
        before = _bytes_read()
        result = tail.report()
        read.append(_bytes_read() - before)
        assert result.connections == 3000 * repeated
        rows.append((tail.ring.memory, result.table.num_rows, [one.connected_to for one in result.buckets]))
        tail.close()
    assert rows[0][:2] == rows[1][:2]
    # The files of /proc that tell it are read, and no more.
    assert max(read) < 4096


def _bytes_read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])
