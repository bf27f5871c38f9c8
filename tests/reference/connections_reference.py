"""Logs of connections the slow way: lines to rows, rows to the three reports, with plain Python."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

_STAMP = re.compile(rb"-?[0-9]+(?:\.[0-9]{1,9})?")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f]")


@dataclass
class Lines:
    """What lines are: rows of (ns, from, to), and how many are blank or rejected, by reason."""

    rows: list[tuple[int, str, str]] = field(default_factory=list)
    rejected: list[tuple[int, int, int, str]] = field(default_factory=list)
    blank: int = 0
    lines: int = 0


def name_of(field: bytes) -> str | None:
    """Return a host's name; None if it is none."""
    if len(field) > 255 or b"\x7f" in field:
        return None
    try:
        return field.decode()
    except UnicodeDecodeError:
        return None


def reason_of(line: bytes, max_line_bytes: int) -> str | tuple[int, str, str]:
    """Return the row of a line, or why it is none."""
    if len(line) > max_line_bytes:
        return "line_too_long"
    if _CONTROL.search(line):
        return "bad_column"
    fields = re.findall(rb"[^ \t]+", line)
    if not fields:
        return "blank"
    if len(fields) != 3:
        return "field_count"
    if not _STAMP.fullmatch(fields[0]) or abs(int(fields[0].split(b".")[0])) >= 1 << 63:
        return "bad_epoch"
    whole, _, part = fields[0].decode().lstrip("-").partition(".")
    ns = int(whole + part.ljust(9, "0")) * (-1 if fields[0].startswith(b"-") else 1)
    if not -(1 << 63) <= ns < 1 << 63:
        return "out_of_range"
    one, other = name_of(fields[1]), name_of(fields[2])
    return "bad_name" if one is None or other is None else (ns, one, other)


def read(text: bytes, max_line_bytes: int = 2**20) -> Lines:
    """Read a log."""
    found = Lines()
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    offset = 0
    for raw in lines:
        line = raw.removesuffix(b"\r")
        found.lines += 1
        row = reason_of(line, max_line_bytes)
        if isinstance(row, tuple):
            found.rows.append(row)
        elif row == "blank":
            found.blank += 1
        else:
            found.rejected.append((found.lines, offset, len(line), row))
        offset += len(raw) + 1
    return found


@dataclass
class Report:
    """The three lists, and connections by bucket, the latest first."""

    top: list[tuple[str, int]]
    connected_to: dict[str, int]
    connections_from: dict[str, int]
    buckets: Counter[int]


def report(
    texts: list[bytes], host_from: str, host_to: str, now: Decimal, seconds: int, grouping: int
) -> Report:
    """Report on the last `seconds` up to `now`, both ends in."""
    rows = [
        (Decimal(ns) / 10**9, one, other)
        for text in texts
        for ns, one, other in read(text).rows
        if now - seconds <= Decimal(ns) / 10**9 <= now
    ]
    servers = Counter(other for _, _, other in rows)
    return Report(
        sorted(servers.items(), key=lambda one: (-one[1], one[0])),
        dict(sorted(Counter(one for _, one, other in rows if other == host_to).items())),
        dict(sorted(Counter(other for _, one, other in rows if one == host_from).items())),
        Counter(int((now - time) // grouping) for time, _, _ in rows),
    )
