"""A fleet of generated nodes and its archive: logs grow, are turned, and are taken by runs in between."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from python.archive_support import Clock
from tickline.fake import generate_chrony
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.machine import run_once
from tickline.pipelines.archive.report.rules import Rule, read_rule
from tickline.pipelines.archive.stores import FolderStore

EVIDENCE = {
    "chrony": "chronyd (chrony) version 4.3",
    "conf": "/etc/chrony/chrony.conf",
    "conf_sha256": "5f" * 32,
    "kernel": "Linux 6.1.0",
    "machine": "node",
}
_TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d) ")
_DAY = 86400
_HOUR = 3600
# A run comes soon after what is followed by silence, so that no line waits for long.
_SILENCE_S, _SOON_S = 1200, 600


class Fleet:
    """Generated nodes in one archive.

    Attributes
    ----------
    truth : dict
        What `generate_chrony` returned.
    store : FolderStore
        The archive.
    begin, end : datetime.date
        First and last day.
    now_s : float
        Two hours after all of the last day must have been uploaded.
    """

    def __init__(
        self, root: Path, *, every_s: int = 6 * _HOUR, heartbeat_s: int = _DAY, **options: Any
    ) -> None:
        self.root = root
        with quick_disk():
            self.truth = generate_chrony(root / "logs", **options)
        self.begin = dt.date.fromisoformat(self.truth["options"]["start"])
        self.end = self.begin + dt.timedelta(days=self.truth["options"]["days"] - 1)
        self._begin_s = (self.begin - dt.date(1970, 1, 1)).days * _DAY
        self._end_s = (self.end - dt.date(1970, 1, 1)).days * _DAY + _DAY
        self.now_s = self._end_s + every_s + 2.0 * _HOUR
        self._every_s = every_s
        self.store = FolderStore(f"file://{root}/archive")
        with quick_disk():
            for folder in sorted(path for path in (root / "logs").iterdir() if path.is_dir()):
                self._archive(folder, every_s)

    def rule(self, **changes: Any) -> Rule:
        """Return the rule that the truth was made for: FINRA's, with the sources of the fleet."""
        limits = self.truth["rule"]
        same = ("tolerance_s", "gap_s", "step_s", "step_ppm", "stratum", "quorum", "smear_ppm", "drift_ppm")
        same += ("pre_open_hours", "counter_exceedances", "counter_hours", "counter_times_tolerance")
        keys = {name: limits[name] for name in (*same, "sources")}
        keys |= {"upload_delay_s": self._every_s} | changes
        lines = ['extends = "finra-4590"', *(f"{name} = {value!r}" for name, value in keys.items())]
        path = self.root / "rule.toml"
        path.write_text("\n".join(lines) + "\n")
        return read_rule(str(path))

    def _archive(self, folder: Path, every_s: int) -> None:
        home = self.root / "nodes" / folder.name
        live = home / "log"
        live.mkdir(parents=True)
        config = Config(folder.name, (live,), home / "state", self.store.url)
        logs = [_Growing(live, kind, folder) for kind in ("tracking", "measurements", "statistics")]
        for now_s in _runs(logs, self._begin_s, self._end_s, every_s):
            for log in logs:
                log.grow(now_s)
            outcome = run_once(config, self.store, now=Clock(now_s), evidence=lambda: dict(EVIDENCE))
            assert not outcome.problems, outcome.problems


def _runs(logs: list[_Growing], begin_s: int, end_s: int, every_s: int) -> list[float]:
    """Return when to run: on a grid, behind everything that is followed by silence, and at the end."""
    times = sorted({time for log in logs for time in log.times()})
    grid = set(range(begin_s + every_s, end_s, every_s))
    grid |= {before + _SOON_S for before, after in pairwise(times) if after - before > _SILENCE_S}
    return [float(time) for time in sorted(grid)] + [end_s + float(_SOON_S)]


class _Growing:
    """One log that is written again as time goes on, file after file."""

    def __init__(self, live: Path, kind: str, folder: Path) -> None:
        self._path = live / f"{kind}.log"
        self._files = [list(_lines(path)) for path in _oldest_first(folder, kind)]
        self._files = [lines for lines in self._files if lines]

    def times(self) -> Iterator[int]:
        return (time for lines in self._files for time, _ in lines)

    def grow(self, now_s: float) -> None:
        """Write what is due; a file that follows takes the name, and the old one is moved away."""
        while self._files:
            lines = self._files[0]
            due = next((at for at, (time, _) in enumerate(lines) if time >= now_s), len(lines))
            with self._path.open("ab") as file:
                file.write(b"".join(line for _, line in lines[:due]))
            os.utime(self._path, (now_s, now_s))
            del lines[:due]
            if lines or len(self._files) == 1 or self._files[1][0][0] >= now_s:
                return
            del self._files[0]
            # Two old files are kept: none is gone before a run has seen it.
            for number in (2, 1, 0):
                old = Path(f"{self._path}.{number}" if number else self._path)
                if old.exists():
                    old.rename(f"{self._path}.{number + 1}")


def _oldest_first(folder: Path, kind: str) -> list[Path]:
    def age(path: Path) -> int:
        return int((re.search(r"\.log\.(\d+)", path.name) or [0, 0])[1])

    return sorted(folder.glob(f"{kind}.log*"), key=age, reverse=True)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield lines with the time at which they were written: never before the line before them."""
    data = path.read_bytes()
    latest, waiting = 0, b""
    for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines(keepends=True):
        found = _TIME.match(line)
        if found is None:
            # A banner is written with the row behind it.
            waiting += line
            continue
        moment = dt.datetime(*map(int, found.groups()), tzinfo=dt.UTC)  # type: ignore[misc, arg-type]
        latest = max(latest, int(moment.timestamp()))
        yield latest, waiting + line
        waiting = b""


@contextmanager
def quick_disk() -> Iterator[None]:
    """Let fsync do nothing: these archives need not outlive the machine."""
    with mock.patch("os.fsync"):
        yield
