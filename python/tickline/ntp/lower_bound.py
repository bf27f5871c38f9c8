"""What can be said about the time without a network: "it is at least ...", and how sure that is.

The past leaves traces: these sources were released on some day, a daemon wrote down the time that it had from
the network, packages and the system dated their files. Each of them says that the time was once so late, so
it is no earlier now. None says what time it is, and so nothing of this is ever mixed with answers of servers.
"""

import math
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tickline import _core
from tickline.arguments import items, real_number, whole_number
from tickline.errors import UsageError, printable
from tickline.ntp.file_times import FileScan, RefusedError, Rules, file_time

__all__ = ["CLOCK_FILE", "CONFIDENCES", "ROOTS", "Evidence", "LowerBound", "lower_bound"]

ROOTS = ("/usr/lib", "/usr/share", "/usr/bin", "/etc", "/var/lib", "/var/log")
"""Where files are looked for: what packages brought first (dated by those who packed them), then what this
machine wrote. Not ``/tmp``, where anybody writes, nor ``/run``, which knows nothing older than the machine's
start."""

CLOCK_FILE = "/var/lib/systemd/timesync/clock"
"""systemd-timesyncd sets the time of this file whenever the clock is synchronised (systemd-timesyncd(8))."""

CONFIDENCES = ("high", "medium", "low")
"""high: a date compiled into this library. medium: a clock file, written by a daemon that had the time from
the network. low: files, dated by clocks that nobody has checked, this machine's own among them."""

# So many files must be at least as late: one that is dated wrongly decides nothing.
_WITNESSES = 3

# A clock file may be ahead of the clock, that is what it is for; but not by any amount. systemd's limit.
_PLAUSIBLE_NS = 15 * 31_556_952 * 10**9

_LAST_NS = 253_402_300_799 * 10**9  # the end of the year 9999
_MOST_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Evidence:
    """One source of what the time must be at least."""

    at_least_ns: int
    """Unix time, nanoseconds."""
    confidence: str
    """One of `CONFIDENCES`."""
    source: str
    """``"build"``, ``"clock file"`` or ``"files"``."""
    path: str | None = None
    """The file that is dated so; of files, the one that the bound is taken from."""


@dataclass(frozen=True, slots=True)
class LowerBound:
    """A time that has passed for sure, or so the evidence says; it is no measurement of the time."""

    at_least_ns: int
    """Unix time, nanoseconds: the latest of all evidence."""
    confidence: str
    """One of `CONFIDENCES`: of the evidence that `at_least_ns` is taken from."""
    source: str
    """``"build"``, ``"clock file"`` or ``"files"``."""
    path: str | None
    """The file that `at_least_ns` is taken from, if it is one."""
    why: str
    """Sentences for people."""
    clock_is_behind: bool
    """This machine's clock is earlier than the bound, so one of the two is wrong."""
    evidence: tuple[Evidence, ...]
    """All there is, the most reliable first; choose by `Evidence.confidence`."""
    files: int
    """Files looked at."""
    later_files: int
    """Files dated in the future, which decide nothing: they are dated wrongly, or the clock is behind."""
    skipped: dict[str, int]
    """What was passed over, by reason (`tickline.ntp.file_times.FileScan.skipped`)."""
    cut: tuple[str, ...]
    """Which limits ended the search: ``"max_files"``, ``"time"``, or nothing."""
    elapsed_ns: int
    """How long it took."""

    def time(self) -> datetime:
        """Return `at_least_ns` as an aware datetime, cut to microseconds."""
        return _datetime(self.at_least_ns)


def lower_bound(
    roots: str | Path | Iterable[str | Path] = ROOTS,
    *,
    clock_file: str | Path | None = CLOCK_FILE,
    max_depth: int = 2,
    max_files: int = 100,
    time_limit_s: float = 1.0,
    now_ns: int | None = None,
) -> LowerBound:
    """Return a time that the true time is no earlier than.

    Only files and folders count that are owned by root and not writable for all, as all folders above them
    must be. Symbolic links and mounted file systems are left alone. A file counts by the earlier one of its
    two times (mtime, ctime), the third-latest file decides, and what was written since this machine was
    started does not count, because it repeats what the clock says.

    Parameters
    ----------
    roots : iterable of str or Path
        Folders to look through; none to do without files. A path alone is one folder.
    clock_file : str, Path or None
        A file that a daemon touches while it knows the time; it may belong to a system user (below 1000).
        Ahead of the clock it counts up to 15 years after the build.
    max_depth : int, default 2
        1: the files in each root; 2: those in the folders of the root, too; at most 32.
    max_files : int, default 100
        So many files are looked at in each root.
    time_limit_s : float, default 1.0
        For everything; it is looked at before each file.
    now_ns : int, optional
        What counts as now, in Unix nanoseconds; this machine's clock by default. Files later than now, the
        clock file and the build are of the future and decide nothing: whether they or the clock are wrong
        cannot be known (`LowerBound.later_files`).

    Returns
    -------
    LowerBound
        There is always one: the date of this library's sources.

    Raises
    ------
    UsageError
        A limit is none, or a path is not absolute.

    Examples
    --------
    >>> bound = lower_bound(roots=[], clock_file=None)
    >>> bound.source, bound.confidence
    ('build', 'high')
    """
    _check_limits(max_depth, max_files, time_limit_s)
    paths = [_absolute(root, "roots") for root in items(roots, "roots", paths=True)]
    clock_path = None if clock_file is None else _absolute(clock_file, "clock_file")
    now = whole_number(time.time_ns() if now_ns is None else now_ns, "now_ns", 0, _LAST_NS)
    return _gather(paths, clock_path, max_depth, max_files, time_limit_s, now, Rules())


def _gather(
    roots: Sequence[str],
    clock_file: str | None,
    max_depth: int,
    max_files: int,
    time_limit_s: float,
    now_ns: int,
    rules: Rules,
) -> LowerBound:
    begin_s = time.monotonic()
    evidence = [Evidence(_core.SOURCE_DATE_S * 10**9, "high", "build")]
    refused = None
    if clock_file is not None:
        try:
            evidence.append(_clock_file_evidence(clock_file, now_ns, rules))
        except RefusedError as reason:
            refused = str(reason)
    scan = FileScan(
        rules,
        max_depth=max_depth,
        max_files=max_files,
        until_s=begin_s + time_limit_s,
        newest_ns=max(now_ns, *(one.at_least_ns for one in evidence), 0),
        start_ns=_start_ns(),
    )
    if refused is not None:
        scan.skipped[refused] += 1
    for root in roots:
        scan.root(root)
    if len(scan.found) >= _WITNESSES:
        witness = sorted(scan.found, key=lambda found: found.ns)[-_WITNESSES]
        evidence.append(Evidence(witness.ns, "low", "files", witness.path))
    best = max(evidence, key=lambda one: one.at_least_ns)
    return LowerBound(
        at_least_ns=best.at_least_ns,
        confidence=best.confidence,
        source=best.source,
        path=best.path,
        why=_sentences(best, now_ns, scan.later),
        clock_is_behind=now_ns < best.at_least_ns,
        evidence=tuple(evidence),
        files=scan.looked_at,
        later_files=scan.later,
        skipped=dict(scan.skipped),
        cut=tuple(sorted(scan.cut)),
        elapsed_ns=round((time.monotonic() - begin_s) * 1e9),
    )


def _clock_file_evidence(path: str, now_ns: int, rules: Rules) -> Evidence:
    # Asking for the name of its user could ask a network.
    system = Rules(owner=lambda uid: uid < 1000 or rules.owner(uid), top=rules.top)
    found = file_time(path, system)
    if found.later_ns > max(now_ns, _core.SOURCE_DATE_S * 10**9 + _PLAUSIBLE_NS):
        raise RefusedError("future")
    return Evidence(found.ns, "medium", "clock file", path)


def _start_ns() -> int:
    """Return when this machine was started, as its clock has it now."""
    # CLOCK_BOOTTIME goes on in suspend; elsewhere than on Linux the other one does.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time_ns() - time.clock_gettime_ns(clock)


def _sentences(best: Evidence, now_ns: int, later_files: int) -> str:
    path = printable(best.path or "")
    reason = {
        "build": "this version of the library is from that day",
        "clock file": f"{path} was last written then",
        "files": f"{_WITNESSES} or more system files are dated then or later, the earliest of them {path}",
    }[best.source]
    said = [f"The time is at least {_datetime(best.at_least_ns):%Y-%m-%d %H:%M:%S} UTC: {reason}."]
    if now_ns < best.at_least_ns:
        said.append("The clock of this machine is behind that.")
    if later_files:
        count = "One system file is" if later_files == 1 else f"{later_files} system files are"
        said.append(f"{count} dated in the future: the clock is behind, or the dates are wrong.")
    return " ".join(said)


def _datetime(ns: int) -> datetime:
    seconds, rest = divmod(ns, 10**9)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


def _absolute(path: str | Path, where: str) -> str:
    text = str(path)
    if not text.startswith("/") or ".." in text.split("/") or "\0" in text or not _is_file_name(text):
        what = f"{printable(text)!r} is no absolute path"
        raise UsageError(what, where=where, hint="Write it from the root on, without '..'.")
    return "/" + "/".join(part for part in text.split("/") if part not in ("", "."))


def _is_file_name(text: str) -> bool:
    try:
        return bool(os.fsencode(text))
    except UnicodeEncodeError:
        return False


def _check_limits(max_depth: int, max_files: int, time_limit_s: float) -> None:
    whole_number(max_depth, "max_depth", 1, _MOST_DEPTH)
    whole_number(max_files, "max_files", 1, 2**63 - 1)
    if not 0 <= real_number(time_limit_s, "time_limit_s") < math.inf:
        raise UsageError(f"{time_limit_s} is no time", where="time_limit_s", hint="Give seconds, 0 or more.")
