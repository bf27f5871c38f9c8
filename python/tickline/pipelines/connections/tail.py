"""The live report: logs are read as they grow, and now and then it is told what the window holds.

A report is the one that a single run gives at that moment, and costs time by hosts and buckets only; lines
are counted once, while they come in.
"""

import glob
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tickline.errors import UsageError
from tickline.pipelines.connections.follower import Follower
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import Result, report_of
from tickline.pipelines.connections.reports import check_reports
from tickline.pipelines.connections.ring import Ring
from tickline.pipelines.connections.watch import Watch
from tickline.stops import Stops

__all__ = ["Live", "follow"]

# How often files are looked at where the system tells of changes, and where it does not.
_POLL_S = 1.0
_BLIND_POLL_S = 0.25


def follow(
    options: ConnectionOptions,
    on_report: Callable[[Result], object],
    *,
    sleep_seconds: int = 3600,
    clock: Callable[[], int] = time.time_ns,
) -> None:
    """Follow logs and report on them, until Ctrl-C or SIGTERM; then once more.

    For the main thread. The first report is made at once. Files that match and appear later are followed,
    too; as long as there is none, reports are empty.

    Parameters
    ----------
    options : ConnectionOptions
        As for a single run, but for `since_ns` and `until_ns`. The clock goes on from `now_ns`.
    on_report : callable
        Gets each `Result`. Its accounting is of all lines that were ever read; ``noted`` has ``emptied`` and
        ``cut``: how often a log was.
    sleep_seconds : int
        How long it is from one report to the next. Those that could not be made in time are left out.
    clock : callable
        Gives ns since 1970.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C (`Terminated` for SIGTERM), when the last report was made, of all that was there. Its window
        ends at the next moment that it can end at, which is a minute ahead at most, or a thousandth of the
        window. A second Ctrl-C is obeyed at once, without it.
    TicklineError
        There are more hosts and counts than `options.memory_bytes` holds.
    UsageError
        The options are not for this: standard input, or a window that stands still.
    """
    if "-" in options.locations:
        raise UsageError("standard input cannot be followed", where="tail", hint="Name files or patterns.")
    check_reports(options.reports)
    ring = Ring(options, sleep_seconds)
    with Stops() as stops, Follower(options, ring) as follower, Watch() as watch:
        live = Live(options, ring, follower, clock)
        while True:
            # The first Ctrl-C waits for what is under way, so that no rotation is seen by halves.
            report = live.look()
            if report is not None:
                on_report(report)
            watch.follow(follower.folders | _folders(options.locations))
            try:
                stops.idle(partial(watch.wait, live.pause_s(_POLL_S if watch.tells else _BLIND_POLL_S)))
            except KeyboardInterrupt:
                on_report(live.last())
                raise


class Live:
    """Knows when what is to be done.

    `edge` is that of the next report (see `Ring`).
    """

    def __init__(
        self, options: ConnectionOptions, ring: Ring, follower: Follower, clock: Callable[[], int]
    ) -> None:
        self._ring, self._follower, self._clock = ring, follower, clock
        self._ahead_ns = options.now_ns - clock()
        self._edge = 0
        self._took_s = 0.0

    def _now_ns(self) -> int:
        return self._clock() + self._ahead_ns

    def look(self) -> Result | None:
        """Read what is new; return a report if its time has come."""
        ring, every, now_ns = self._ring, self._ring.every, self._now_ns()
        due = now_ns >= ring.time_of(self._edge)
        if due:
            # Those before it are too late.
            self._edge = max(self._edge, (ring.edge_at(now_ns + 1) - 1) // every * every)
        began_s = time.monotonic()
        self._read(now_ns)
        self._took_s = time.monotonic() - began_s
        report = self._report(self._edge) if due else None
        # The clock may have been set, back or forward.
        coming = -(-ring.edge_at(self._now_ns() + 1) // every) * every
        self._edge = coming if due else min(self._edge, coming)
        return report

    def pause_s(self, most_s: float) -> float:
        """Return for how long nothing is to be done."""
        rest_s = (self._ring.time_of(self._edge) - self._now_ns()) / 1e9
        # Half of the time at most is spent on looking.
        return min(max(most_s, self._took_s), rest_s)

    def last(self) -> Result:
        """Read what is new, and return a report."""
        self._read(self._now_ns())
        return self._report(self._ring.edge_at(self._now_ns()))

    def _read(self, now_ns: int) -> None:
        self._ring.slide(min(self._edge, self._ring.edge_at(now_ns)), now_ns)
        self._follower.look()

    def _report(self, edge: int) -> Result:
        count, options = self._ring.report(edge)
        return report_of(self._follower.counted(count), options)


def _folders(locations: tuple[str, ...]) -> set[str]:
    """Return folders in which something may appear that is meant by a location."""
    folders = set()
    for location in locations:
        path = Path(location)
        while not path.is_dir() and path != path.parent and (glob.has_magic(str(path)) or not path.exists()):
            path = path.parent
        folders.add(str(path if path.is_dir() else path.parent))
    return folders
