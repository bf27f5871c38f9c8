"""What the tests of connections share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import Result, connection_report

NOW_S = 1_764_000_000
NS = 10**9


def report_on(*places: Path | str, **options: Any) -> Result:
    """Report on files, on tower and Papa, at `NOW_S`."""
    options.setdefault("now_ns", NOW_S * NS)
    return connection_report(ConnectionOptions(tuple(map(str, places)), "tower", "Papa", **options))


def ordered(seconds: int, a_second: int = 10, end_s: int = NOW_S) -> bytes:
    """Return a log in order of the last `seconds`, so many lines in each."""
    return b"".join(
        b"%d host%d server%d\n" % (time, i % 7, (time + i) % 5)
        for time in range(end_s - seconds, end_s)
        for i in range(a_second)
    )
