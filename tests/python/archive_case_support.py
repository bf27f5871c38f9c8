"""One node's archive made of rows written by hand, and its case as the report's checks see it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.machine import run_once
from tickline.pipelines.archive.report.case import NodeCase
from tickline.pipelines.archive.report.model import Finding
from tickline.pipelines.archive.report.reading import find_chunks, read_case
from tickline.pipelines.archive.report.rules import Rule
from tickline.pipelines.archive.stores import FolderStore

BEGIN = int(dt.datetime(2026, 3, 2, tzinfo=dt.UTC).timestamp())
"""A Monday at midnight: the period begins."""

DAY = 86_400
A, B, C, D, E = SOURCES = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::4", "192.0.2.5")
RULE = Rule(
    name="by hand",
    title="By hand",
    version="2026-03-01",
    citation="",
    text="",
    tolerance_s=0.05,
    zone="UTC",
    open="09:30",
    close="16:00",
    sources=SOURCES,
)


def _clock(time_s: int) -> str:
    return f"{dt.datetime.fromtimestamp(time_s, dt.UTC):%Y-%m-%d %H:%M:%S}"


def tracked(
    at: int,
    address: str = A,
    *,
    stratum: int = 2,
    frequency: float = -12.345,
    offset: float = 1e-5,
    leap: str = "N",
    error: float = 1e-3,
) -> str:
    """Return a row of tracking, `at` seconds behind `BEGIN`."""
    return (
        f"{_clock(BEGIN + at)} {address:<15} {stratum:2d} {frequency:10.3f} {0.05:10.3f} {offset:10.3e} "
        f"{leap} {1:2d} {1e-6:10.3e} {0:10.3e} {4e-3:10.3e} {2e-3:10.3e} {error:10.3e}\n"
    )


def measured(
    at: int,
    address: str = A,
    *,
    offset: float = 0.0,
    delay: float = 1e-3,
    tests: str = "111 111 1111",
    refid: str = "47505300",
    stamps: str = "K K",
) -> str:
    """Return a row of measurements as chrony 3 and later write it."""
    return (
        f"{_clock(BEGIN + at)} {address:<15} N  1 {tests}  6  6 0.00 {offset:10.3e} {delay:10.3e} "
        f"{1e-6:10.3e} {0:10.3e} {1e-5:10.3e} {refid} 4B {stamps}\n"
    )


def counted(at: int, address: str = A, *, offset: float = 0.0, deviation: float = 1e-5) -> str:
    """Return a row of statistics; the sign of `offset` is the other one than in measurements."""
    return (
        f"{_clock(BEGIN + at)} {address:<15}  {2e-5:10.3e} {offset:10.3e} {deviation:10.3e} {0:10.3e} "
        f"{1e-8:10.3e} 1.0e-01   8   0   4  0.00\n"
    )


def every(
    seconds: int, row: Callable[..., str], *more: Any, begin: int = 0, end: int = DAY, **named: Any
) -> list[str]:
    """Return rows at equal intervals."""
    return [row(at, *more, **named) for at in range(begin, end, seconds)]


def case_of(
    tmp_path: Path,
    logs: Mapping[str, Sequence[str]],
    *,
    rule: Rule | None = None,
    begin: int = 0,
    end: int = DAY,
    now: int | None = None,
    **changes: Any,
) -> NodeCase:
    """Archive logs of one node in one run, and return its case; rows are sorted by nobody."""
    for kind, rows in logs.items():
        add(tmp_path, kind, rows)
    archive(tmp_path, end + 60 if now is None else now)
    return case_from(tmp_path, rule=rule, begin=begin, end=end, now=now, **changes)


def add(tmp_path: Path, kind: str, rows: Sequence[str]) -> None:
    """Write rows behind those that are there."""
    folder = tmp_path / "log"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{kind}.log").open("a") as file:
        file.writelines(rows)


def archive(tmp_path: Path, now: int, evidence: dict[str, str | None] | None = None, **more: Any) -> None:
    """Run once, `now` seconds behind `BEGIN`."""
    config = Config("n1", (tmp_path / "log",), tmp_path / "state", f"file://{tmp_path}/archive", **more)
    outcome = run_once(
        config,
        FolderStore(config.store),
        now=lambda: float(BEGIN + now),
        evidence=lambda: evidence or {},
    )
    assert not outcome.problems


def case_from(
    tmp_path: Path,
    *,
    rule: Rule | None = None,
    begin: int = 0,
    end: int = DAY,
    now: int | None = None,
    **changes: Any,
) -> NodeCase:
    """Return the case of what was archived."""
    store = FolderStore(f"file://{tmp_path}/archive")
    found = find_chunks(store, "n1", BEGIN + begin)
    now_s = BEGIN + (end + 60 if now is None else now)
    own = replace(rule or RULE, **changes)
    return read_case(store, "n1", found, own, [], BEGIN + begin, BEGIN + end, now_s=now_s)


def told(findings: Iterator[Finding]) -> list[tuple[str, int, int, Any, Any]]:
    """Return check, from, to (seconds behind `BEGIN`), value and limit of findings."""
    return [
        (one.check, one.begin_s - BEGIN, one.end_s - BEGIN, one.value, one.limit)
        for one in sorted(findings, key=lambda one: (one.begin_s, one.end_s))
    ]


def shown(finding: Finding) -> list[str]:
    """Return the lines that show a finding."""
    return [evidence.line + "\n" for evidence in finding.evidence]
