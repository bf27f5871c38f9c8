"""Lines of all of chrony's logs in one text, told apart again: what the NTP log processor uploaded.

A row is told by its number of columns, which no two kinds share (refclocks alone have fractions of a second),
and by how it begins; that holds from chrony 1.20 to 4.x, see ``include/tickline/logs/chrony_layouts.hpp``.
"""

import re
from collections.abc import Iterable, Iterator

__all__ = ["OTHER", "Mixed", "kind_of_row", "lines_of"]

OTHER = "unrecognised"
"""What is neither row nor banner goes here: a line that was cut off, two that ran into each other."""

_ROW = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[ \t]", re.ASCII)
_KINDS = {
    4: "tempcomp",
    7: "tracking",
    8: "tracking",
    9: "rtc",
    10: "selection",
    11: "tracking",
    12: "statistics",
    13: "statistics",
    14: "tracking",
    16: "measurements",
    20: "measurements",
}
_REFCLOCKS = {8: "refclocks", 9: "refclocks"}
# How a row begins behind date and time: a row that was cut may have as many columns as one of another log.
_BEGINS = {
    "tracking": rb"\S+ \d+ -?\d+\.\d{3} \d+\.\d{3} -?\d\.\d+e",
    "measurements": rb"\S+ [N+?-] \d+ [01]+ [01]+ [01]+ ",
    "statistics": rb"\S+ \d\.\d+e",
    "refclocks": rb"\S+ (\d+|-) \S [01-] ",
    "rtc": rb"-?\d+\.\d{6} [01] ",
    "tempcomp": rb"-?\d\.\d+e",
    "selection": rb"\S+ \S \S{5} [0-7]+ ",
}
_BEGIN = {
    kind: re.compile(rb"\S+\s+\S+\s+" + shape.replace(b" ", rb"\s+"), re.ASCII)
    for kind, shape in _BEGINS.items()
}
# How it ends, by its columns; what is not here ends in a number of any length.
_END = {
    ("tracking", 8): re.compile(rb"\s[N+?-]$"),
    ("statistics", 13): re.compile(rb"\d\.\d\d$"),
    ("measurements", 20): re.compile(rb"\s[DKH]$"),
    **dict.fromkeys(
        [("tempcomp", 4), ("selection", 10), ("measurements", 16), ("refclocks", 8), ("refclocks", 9)]
        + [("tracking", columns) for columns in (7, 11, 14)],
        re.compile(rb"\de[+-]\d\d$"),
    ),
}
_TITLE = b"Date (UTC) Time"
_TITLES = {
    b"Skew ppm": "tracking",
    b"Peer del": "measurements",
    b"Std dev": "statistics",
    b"Cooked": "refclocks",
    b"RTC": "rtc",
    b"Temp.": "tempcomp",
    b"EOpts": "selection",
}
# Longer ones are no lines of a log, and are taken in pieces.
_MOST_LINE_BYTES = 8 * 2**20


def lines_of(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines with their ends; the last one may lack it."""
    rest = b""
    for data in content:
        lines = (rest + bytes(data)).splitlines(keepends=True) if rest else bytes(data).splitlines(True)
        rest = b""
        for line in lines:
            # splitlines knows other ends than chronyd does.
            rest += line
            if line.endswith(b"\n") or len(rest) > _MOST_LINE_BYTES:
                yield rest
                rest = b""
    if rest:
        yield rest


def kind_of_row(line: bytes) -> str | None:
    """Return whose row a line is, None if it is no row of any log of chrony."""
    found = _ROW.match(line)
    if found is None:
        return None
    columns = len(line.split())
    kinds = _REFCLOCKS if found[1] else _KINDS
    kind = kinds.get(columns)
    return kind if kind is not None and _BEGIN[kind].match(line) else None


class Mixed:
    """Tells the lines of one text apart, and keeps each kind's banner until a row of it is taken.

    Attributes
    ----------
    banners : int
        Lines of banners so far.
    """

    def __init__(self) -> None:
        self.banners = 0
        self._block: list[bytes] = []
        self._columns: dict[str, int] = {}
        self._waiting: dict[str, bytes] = {}

    def kind_of(self, line: bytes) -> str | None:
        """Return whose line it is, `OTHER` if nobody's, None if it belongs to a banner or is blank."""
        text = line.strip()
        if not text.strip(b"=") or text.startswith(_TITLE):
            self.banners += 1
            self._block.append(line)
            return None
        if self._block:
            self._end_block()
        kind, columns = kind_of_row(line), len(text.split())
        if kind is None or not self._is_whole(kind, columns, line):
            return OTHER
        self._columns[kind] = columns
        return kind

    def _is_whole(self, kind: str, columns: int, line: bytes) -> bool:
        """Tell whether a row was not cut: with fewer columns than the one before it looks older."""
        before = self._columns.get(kind, 0)
        if line.endswith(b"\n"):
            return columns >= before
        end = _END.get((kind, columns))
        return columns == before and end is not None and end.search(line) is not None

    def banner_of(self, kind: str) -> bytes:
        """Return the banner that is due in front of a row, if there is one."""
        return self._waiting.pop(kind, b"")

    def _end_block(self) -> None:
        """Give each title its rulers, as far as they stand around it; a ruler alone tells nothing."""
        block, self._block = self._block, []
        last = 0
        for place, line in enumerate(block):
            kind = next((kind for word, kind in _TITLES.items() if word in line), None)
            if kind is None:
                continue
            end = place + 2 if place + 1 < len(block) and _is_ruler(block[place + 1]) else place + 1
            begin = place - 1 if place > last and _is_ruler(block[place - 1]) else place
            self._waiting[kind] = b"".join(block[begin:end])
            last = end


def _is_ruler(line: bytes) -> bool:
    text = line.strip()
    return bool(text) and not text.strip(b"=")
