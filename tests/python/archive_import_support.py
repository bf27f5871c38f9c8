"""A node with a past: objects as the NTP log processor left them, and imports of them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from python.archive_support import Clock, LossyStore, chunks, config_of, run
from tickline.pipelines.archive.chunk import IMPORTED
from tickline.pipelines.archive.import_days import Importer, ImportReport
from tickline.pipelines.archive.machine import Outcome
from tickline.pipelines.archive.old_objects import find_objects
from tickline.progress import Progress

TRACKING = (
    b"=====\n"
    b"   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr."
    b" Root delay Root disp. Max. error\n"
    b"=====\n"
)


def row(day: int, second: int = 0, address: str = "192.0.2.1", offset: float = 1e-6) -> bytes:
    """Return a row of tracking.log."""
    return (
        f"2025-03-{day:02} 10:{second // 60:02}:{second % 60:02} {address:<15} 2    -16.302      0.030"
        f" {offset:10.3e} N  2  5.309e-05 -6.691e-06  4.442e-03  5.149e-04  3.235e-03\n"
    ).encode()


def measured(day: int, second: int = 0) -> bytes:
    """Return a row of measurements.log."""
    return (
        f"2025-03-{day:02} 10:{second // 60:02}:{second % 60:02} 192.0.2.1       N  1 111 111 1111   6  6"
        " 0.00 -1.160e-05  2.680e-05  3.736e-07  0.000e+00  0.000e+00 7F7F0101 4B K K\n"
    ).encode()


class Old:
    """A node that has been running for a while, and a folder of old objects."""

    def __init__(self, tmp_path: Path, logged: bytes = b"", **settings: Any) -> None:
        self.root = tmp_path / "archive"
        self.folder = tmp_path / "old"
        self.folder.mkdir(parents=True)
        self.config = config_of(tmp_path, **settings)
        self.clock = Clock()
        (tmp_path / "log").mkdir()
        if logged:
            (tmp_path / "log/tracking.log").write_bytes(logged)
        assert not run(self.config, None, self.clock).problems

    def put(self, name: str, *lines: bytes) -> None:
        (self.folder / name).write_bytes(b"".join(lines))

    def run(self, *plan: str, source: str | None = None, **more: Any) -> tuple[ImportReport, Outcome]:
        self.clock.now_s += 60
        with ExitStack() as stack:
            found = find_objects(source or str(self.folder), "n1", stack)
            importer = Importer(self.config, LossyStore(self.root, plan), found, Progress())
            outcome = run(self.config, LossyStore(self.root, plan), self.clock, look=importer.look, **more)
        return importer.end(outcome), outcome

    def done(self, **more: Any) -> ImportReport:
        report, outcome = self.run(**more)
        assert (outcome.problems, report.complete) == ([], True)
        return report

    def imported(self) -> dict[str, bytes]:
        """Return what came in, by log."""
        found: dict[str, bytes] = {}
        for chunk in chunks(self.root):
            for stretch, data in chunk.pieces():
                if stretch.note == IMPORTED:
                    log = stretch.log.removeprefix(f"{self.folder}/")
                    found[log] = found.get(log, b"") + data
        return found
