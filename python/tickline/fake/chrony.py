"""Generate chrony logs of a fleet, with what a compliance report must find beside them.

`generate_chrony` writes a folder of logs a node, as chrony 4 writes and logrotate turns them, and
``truth.json``. The same seed and options give the same lines on every machine. What may go wrong is in
`tickline.fake.chrony_faults`; what must be found of it, and why, in `tickline.fake.chrony_findings`.
"""

from __future__ import annotations

import datetime as dt
import gzip
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .chrony_faults import FAULTS, Fault, plan
from .chrony_findings import LIMITS, Finding, findings
from .chrony_text import BANNER_EVERY, BANNER_LINES, KINDS, lines
from .chrony_world import ADDRESSES, Day, Node, Table
from .files import TRUTH, WholeFile, clear, write_json

__all__ = ["CHRONY_FAULTS", "CHRONY_START", "generate_chrony"]

CHRONY_FAULTS = tuple(FAULTS)
CHRONY_START = dt.date(2026, 3, 2)  # a Monday; summer time begins in New York on the Sunday after
SCHEMA = 1
KIND = "tickline fake chrony"
_DAY = 86_400
# chrony 3.2 was the first release with "Max. error"; and after 2016 no leap second was announced.
_EARLIEST = dt.date(2017, 9, 15)
_LONGEST_DAYS = 3660
# What logrotate does, node by node: new files by `chronyc cyclelogs`, with a banner; copies of a file that
# chronyd goes on with, without one; nothing.
_ROTATIONS = ("rename", "copytruncate", "none")

Progress = Callable[[], None]
_File = BinaryIO | gzip.GzipFile


def generate_chrony(
    out: Path,
    *,
    nodes: int = 4,
    days: int = 14,
    seed: int = 7,
    poll: int = 8,
    start: dt.date = CHRONY_START,
    faults: Iterable[str] | None = None,
    progress: Progress = lambda: None,
) -> dict[str, Any]:
    """Write tracking, measurements and statistics of a fleet and the true findings in ``truth.json``.

    Parameters
    ----------
    out : Path
        The folder; each node has one in it. It must be empty, absent, or hold nothing but an earlier output
        of this function, which is replaced.
    nodes, days : int
        How many nodes (up to 999), and how many days from `start` on (up to 3660).
    seed : int
        Equal seeds and options give equal lines.
    poll : int
        Interval between questions to one source, log2 s, 4 to 9.
    start : datetime.date
        The first day, from 2017-09-15 on. The first and the last day have no faults, nor have weekends.
    faults : iterable of str, optional
        What may go wrong, of `CHRONY_FAULTS`; by default everything. One that finds no free day is left out.

    progress : callable
        Called after each day of each node.

    Returns
    -------
    dict
        What stands in ``truth.json``: ``options``; ``rule``, the limits that a report must be given;
        ``sources``, for each file its lines, lines of banners and bytes (not compressed); ``findings``,
        sorted by node and time, with ``node``, ``check``, ``from``, ``to``, ``value``, ``limit`` and the
        ``fault`` it comes of. See `tickline.fake.chrony_findings`.

    Raises
    ------
    ValueError
        An option is out of its range.
    FileExistsError
        The folder holds something else.
    """
    chosen = set(CHRONY_FAULTS if faults is None else faults)
    _check(nodes, days, poll, start, chosen)
    names = [f"node-{number + 1:03d}" for number in range(nodes)]
    answer: dict[str, Any] = {
        "kind": KIND,
        "schema": SCHEMA,
        "complete": False,
        "options": {
            "nodes": nodes,
            "days": days,
            "seed": seed,
            "poll": poll,
            "start": start.isoformat(),
            "faults": [name for name in CHRONY_FAULTS if name in chosen],
        },
        "rule": LIMITS,
        "sources": [
            {"path": path}
            for number, name in enumerate(names)
            for path in sorted(
                {_path(name, kind, number, days, day) for kind in KINDS for day in range(days)}
            )
        ],
        "findings": [],
    }
    clear(out, KIND)
    # Written before the first log, so that a run that was stopped can be told from somebody else's folder.
    write_json(out / TRUTH, answer)

    begin = (start - dt.date(1970, 1, 1)).days * _DAY
    answer["sources"] = []
    for number, own in enumerate(plan(seed, nodes, days, start, poll, chosen)):
        writer = _Writer(out, names[number], number, days, Node(seed, number, poll, begin, own))
        answer["findings"] += sorted(
            writer.write(start, own, progress),
            key=lambda one: (one["from"], one["to"], one["check"], str(one["value"])),
        )
        answer["sources"] += [{"path": path, **writer.counts[path]} for path in sorted(writer.counts)]
    answer["complete"] = True
    write_json(out / TRUTH, answer)
    return answer


def _check(nodes: int, days: int, poll: int, start: dt.date, faults: set[str]) -> None:
    if not 1 <= nodes <= 999 or not 1 <= days <= _LONGEST_DAYS:
        raise ValueError(f"nodes must lie between 1 and 999, and days between 1 and {_LONGEST_DAYS}")
    if not 4 <= poll <= 9:
        raise ValueError("poll must lie between 4 and 9: two questions are to fit into 35 minutes")
    if not _EARLIEST <= start <= dt.date(9999, 1, 1) - dt.timedelta(days=days):
        raise ValueError(f"start must lie between {_EARLIEST} and the year 9999")
    if unknown := sorted(faults - set(CHRONY_FAULTS)):
        raise ValueError(f"{unknown[0]!r} is no fault; they must be of {', '.join(CHRONY_FAULTS)}")


def _path(node: str, kind: str, number: int, days: int, day: int) -> str:
    """Return the name that the rows of a day have when the last day is over."""
    style = _ROTATIONS[number % len(_ROTATIONS)]
    age = 0 if style == "none" else days - 1 - day
    # `delaycompress` belongs to renaming: chronyd may still write to the file until it is told.
    packed = age > (1 if style == "rename" else 0)
    return f"{node}/{kind}.log" + (f".{age}" if age else "") + (".gz" if packed else "")


def _paths(node: str, number: int, days: int) -> list[str]:
    return sorted({_path(node, kind, number, days, day) for kind in KINDS for day in range(days)})


class _Writer:
    """Writes the logs of one node, a day at a time."""

    def __init__(self, out: Path, name: str, number: int, days: int, node: Node) -> None:
        self._out, self._name, self._number, self._days, self._node = out, name, number, days, node
        self._style = _ROTATIONS[number % len(_ROTATIONS)]
        self._written = dict.fromkeys(KINDS, 0)
        self.counts: dict[str, dict[str, int]] = {}

    def write(self, start: dt.date, faults: list[Fault], progress: Progress) -> Iterator[Finding]:
        """Write all days; yield what is to be found of each fault as soon as the day after it is over."""
        recent: list[Day] = []
        whole = [range(self._days)] if self._style == "none" else [range(n, n + 1) for n in range(self._days)]
        for group in whole:
            paths = [_path(self._name, kind, self._number, self._days, group[0]) for kind in KINDS]
            with ExitStack() as stack:
                files = [_open(stack, self._out / path) for path in paths]
                for day in group:
                    rows = Day(*(self._kept(table) for table in self._node.day(day)))
                    recent = [*recent[-2:], rows]
                    for kind, table, path, file in zip(KINDS, rows, paths, files, strict=True):
                        ordered = _disturbed(table, faults) if kind == "tracking" else table
                        self._put(file, path, kind, start + dt.timedelta(days=day), ordered)
                    for fault in faults:
                        if fault.day == day - 1:
                            yield from findings(self._name, fault, _joined(recent, 0), _joined(recent, 1))
                    progress()

    def _kept(self, table: Table) -> Table:
        kept = ~self._node.silent(table["time"])
        return {name: values[kept] for name, values in table.items()}

    def _put(self, file: _File, path: str, kind: str, day: dt.date, table: Table) -> None:
        """Write one day of one kind, in pieces between the starts of chronyd."""
        if self._style == "rename":
            self._written[kind] = 0
        count = self.counts.setdefault(path, {"lines": 0, "banners": 0, "bytes": 0})
        times = table["time"]
        midnight = (day - dt.date(1970, 1, 1)).days * _DAY
        starts = [one.time for one in self._node.starts if midnight <= one.time < midnight + _DAY]
        edges = [0, *np.searchsorted(times, starts).tolist(), len(times)]
        for piece, (first, last) in enumerate(pairwise(edges)):
            if piece:
                self._written[kind] = 0
            if first == last:
                continue
            part = {name: values[first:last] for name, values in table.items()}
            version = self._node.version(int(times[first]))
            written = self._written[kind]
            for text, number in lines(kind, version, day.isoformat().encode(), part, ADDRESSES, written):
                file.write(text)
                count["lines"] += number
                count["bytes"] += len(text)
            self._written[kind] += last - first
            count["banners"] += BANNER_LINES * (_banners(written + last - first) - _banners(written))


def _banners(written: int) -> int:
    return -(-written // BANNER_EVERY)


def _open(stack: ExitStack, path: Path) -> _File:
    file = stack.enter_context(WholeFile(path))
    # Neither name nor time goes into a packed file, so that equal lines are equal bytes.
    return stack.enter_context(gzip.GzipFile("", "wb", 6, file, 0)) if path.suffix == ".gz" else file


def _disturbed(table: Table, faults: list[Fault]) -> Table:
    """Bring lines out of their order, or write them twice."""
    times = table["time"]
    order = np.arange(len(times))
    for fault in faults:
        first, last = np.searchsorted(times, [fault.start, fault.end])
        if not 0 < first < len(times) or fault.start - times[first - 1] > _DAY // 24:
            continue
        if fault.name == "duplicates":
            order = np.concatenate([order[:last], order[first:]])
        elif fault.name == "swapped":
            order[[first, first + 1]] = order[[first + 1, first]]
    return {name: values[order] for name, values in table.items()}


def _joined(days: list[Day], kind: int) -> Table:
    return {name: np.concatenate([day[kind][name] for day in days]) for name in days[0][kind]}
