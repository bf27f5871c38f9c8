"""Chrony's logs, slowly: `str.split`, `float` and a table of letters, from the description of columns.

T time  U time with microseconds  A text  L leap  C count  N number  I integer  O octal  D decimal  E with
exponent  B binary digits  H 8 hex digits  M mode  K stamp  S state  P options  Y first version that wrote so
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

__all__ = ["LAYOUTS", "Log", "read"]

_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"
_PATTERNS = {
    "A": r"[!-~]+",
    "L": r"[N+?-]",
    "H": r"[0-9A-F]{8}",
    "M": r"[0-9BI]{2}",
    "K": r"[DKH]",
    "S": r"[!-~]",
    "P": r"[-NPTRX]{5}",
    "C": r"[0-9]+",
    "N": r"[0-9]+",
    "I": r"-?[0-9]+",
    "O": r"[0-7]+",
    "D": r"-?[0-9]+(\.[0-9]+)?",
    "E": r"-?[0-9]+(\.[0-9]+)?e[+-][0-9]{2,}",
}
_LIMITS = {"C": (0, 65535), "N": (0, 2**64 - 1), "I": (-32768, 32767), "O": (0, 65535)}

LAYOUTS = [
    ("tracking", "1.20", "IP Address St Freq ppm Skew ppm Offset", "T A C D D E"),
    ("tracking", "1.27", "IP Address St Freq ppm Skew ppm Offset L", "T A C D D E L"),
    (
        "tracking",
        "1.28",
        "IP Address St Freq ppm Skew ppm Offset L Co Offset sd Rem. corr.",
        "T A C D D E L C E E",
    ),
    (
        "tracking",
        "3.2",
        "IP Address St Freq ppm Skew ppm Offset L Co Offset sd Rem. corr. Root delay Root disp. Max. error",
        "T A C D D E L C E E E E E",
    ),
    (
        "measurements",
        "1.20",
        "IP Address L St 1234 ab 5678 LP RP SC Offset Peer del. Peer disp. Root del. Root disp.",
        "T A L C B4 B2 B4 Y I I D E E E E E",
    ),
    (
        "measurements",
        "1.25",
        "IP Address L St 1234 abc 5678 LP RP Score Offset Peer del. Peer disp. Root del. Root disp.",
        "T A L C B4 B3 B4 Y I I D E E E E E",
    ),
    (
        "measurements",
        "2.0",
        "IP Address L St 123 567 ABCD LP RP Score Offset Peer del. Peer disp. Root del. Root disp.",
        "T A L C B3 B3 B4 Y I I D E E E E E",
    ),
    (
        "measurements",
        "3.0",
        "IP Address L St 123 567 ABCD LP RP Score Offset Peer del. Peer disp. Root del. Root disp. "
        "Refid MTxRx",
        "T A L C B3 B3 B4 Y I I D E E E E E H M K K",
    ),
    (
        "statistics",
        "1.20",
        "IP Address Std dev'n Est offset Offset sd Diff freq Est skew Stress Ns Bs Nr",
        "T A E E E E E E C C C",
    ),
    (
        "statistics",
        "3.0",
        "IP Address Std dev'n Est offset Offset sd Diff freq Est skew Stress Ns Bs Nr Asym",
        "T A E E E E E E C C C D",
    ),
    ("refclocks", "1.24", "Refid DP L P Raw offset Cooked offset", "U A C L C E E"),
    ("refclocks", "1.25", "Refid DP L P Raw offset Cooked offset Disp.", "U A C L C E E E"),
    ("rtc", "1.20", "RTC fast (s) Val Est fast (s) Slope (ppm) Ns Nr Meas", "T D C D D C C N"),
    ("tempcomp", "1.25", "Temp. Comp.", "T E E"),
    ("selection", "4.3", "IP Address S EOpts Reach Score Last sample Low end High end", "T A S P O D E E E"),
]


class _BadError(Exception):
    """The reason why a line is rejected."""


def _time(text: str, *, microseconds: bool) -> int:
    if re.fullmatch(_TIME + (r"\.[0-9]{6}" if microseconds else ""), text) is None:
        raise _BadError("bad_timestamp")
    try:
        moment = dt.datetime.fromisoformat(text[:19]).replace(tzinfo=dt.UTC)
    except ValueError:
        raise _BadError("bad_timestamp") from None
    since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    ns = (since.days * 86400 + since.seconds) * 10**9 + (int(text[20:]) * 1000 if microseconds else 0)
    if not -(2**63) <= ns < 2**63:
        raise _BadError("out_of_range")
    return ns


def _value(column: str, text: str) -> Any:
    pattern = f"[01]{{{column[1]}}}" if column[0] == "B" else _PATTERNS[column]
    if column in "CNIODE" and text in "-?":
        return None
    if re.fullmatch(pattern, text) is None:
        raise _BadError("bad_column")
    if column in _LIMITS:
        number = int(text, 8 if column == "O" else 10)
        if not _LIMITS[column][0] <= number <= _LIMITS[column][1]:
            raise _BadError("number_overflow")
        return number
    if column not in "DE":
        return text
    real = float(text)
    # Too large, or so small that nothing is left of it.
    if real in (float("inf"), float("-inf")) or (real == 0 and re.search("[1-9]", text.partition("e")[0])):
        raise _BadError("number_overflow")
    return real


class Log:
    """One log, line by line: `rows` as lists of values, `outcomes` as words."""

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind
        self.rows: list[list[Any]] = []
        self.outcomes: list[str] = []
        self._banner: int | None = None
        self._last: int | None = None
        self._lost = False

    def take(self, line: str, *, newline: bool) -> None:
        try:
            outcome = self._judge(line, newline)
        except _BadError as bad:
            outcome = str(bad) if newline else "unfinished"
        self.outcomes.append(outcome)

    def _judge(self, line: str, newline: bool) -> str:
        if any(char < " " for char in line):
            raise _BadError("bad_column")
        tokens = [token for token in line.split(" ") if token]
        if not tokens:
            return "blank"
        if len(tokens) == 1 and set(tokens[0]) == {"="}:
            return "banners"
        if len(tokens) > 3 and tokens[:3] == ["Date", "(UTC)", "Time"]:
            return self._title(" ".join(tokens[3:]), newline)
        return self._row(line.lstrip(" "), tokens, newline)

    def _title(self, title: str, newline: bool) -> str:
        for number, (kind, _, words, _) in enumerate(LAYOUTS):
            if self.kind in (None, kind) and title == words:
                self.kind, self._banner, self._lost = kind, number, False
                return "banners"
        self._lost = self._lost or newline
        raise _BadError("unknown_layout")

    def _row(self, line: str, tokens: list[str], newline: bool) -> str:
        at = next((number for number in range(len(LAYOUTS)) if self._fits(number, tokens)), None)
        if at is None or self._lost or (self._banner is not None and at < self._banner):
            raise _BadError("unknown_layout")
        if not newline and self._last is not None and at < self._last:
            raise _BadError("unknown_layout")
        kind, since, _, letters = LAYOUTS[at]
        columns = letters.split()
        clock = f"{tokens[0]} {tokens[1]}"
        row = [_time(clock if line.startswith(clock) else "", microseconds=columns[0] == "U")]
        rest = iter(tokens[2:])
        row += [since if column == "Y" else _value(column, next(rest)) for column in columns[1:]]
        most = max(len(layout[3].split()) for layout in LAYOUTS if layout[0] == kind)
        self.rows.append(row + [None] * (most - len(row)))
        self.kind, self._last = kind, at
        if self._banner != at:
            self._banner = None
        return "accepted"

    def _fits(self, number: int, tokens: list[str]) -> bool:
        kind, _, _, letters = LAYOUTS[number]
        columns = letters.split()
        if self.kind not in (None, kind) or len(tokens) != len(columns) + 1 - columns.count("Y"):
            return False
        if (tokens[1][8:9] == ".") != (columns[0] == "U"):
            return False
        widths = {place + 1: int(column[1]) for place, column in enumerate(columns) if column[0] == "B"}
        return all(len(tokens[place]) == width for place, width in widths.items())


def read(content: bytes, kind: str | None = None) -> Log:
    """Read a whole log."""
    log = Log(kind)
    lines = content.split(b"\n")
    for number, raw in enumerate(lines, 1):
        newline = number < len(lines)
        if newline or raw:
            log.take(raw.removesuffix(b"\r").decode("latin-1"), newline=newline)
    return log
