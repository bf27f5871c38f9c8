"""Which part of a nearly ordered file can hold lines of a window: two binary searches.

A file is nearly ordered with slack D if no line is older than one before it by more than D. Then nothing of
the window stands before a line that is older than its begin by more than D, and nothing behind a line that
is younger than its end by more than D. Both searches keep to lines that were seen to be so, and where a line
says nothing they only become longer; so what is found is right for every file that keeps the slack.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tickline import _core
from tickline.clients.remote_files import RemoteFile
from tickline.sources import Source

__all__ = ["Part", "part_of"]

# Below this a read costs less than another probe.
_ENOUGH_BYTES = 64 * 1024
_PROBE_BYTES = 4096
# A text without a line of connections in so many bytes tells nothing.
_MOST_PROBE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be read of a file: the lines that begin in ``[begin, end)``.

    Attributes
    ----------
    latest_before_ns : int or None
        The latest time of the lines before the part that were looked at.
    earliest_behind_ns : int or None
        The earliest time of those behind it.
    """

    begin: int
    end: int
    latest_before_ns: int | None = None
    earliest_behind_ns: int | None = None

    def whole(self, size: int) -> bool:
        """Tell whether it is all of a file of this size."""
        return (self.begin, self.end) == (0, size)


class _Probes:
    """Looks at single lines of a file."""

    def __init__(self, source: Source | RemoteFile) -> None:
        self._source = source
        self.seen: list[tuple[int, int]] = []

    def at(self, offset: int, end: int) -> tuple[int, int] | None:
        """Return where the first good line begins in ``[offset, end)``, and its time."""
        begin = max(offset - 1, 0)  # a newline there makes a line begin at the offset
        size = _PROBE_BYTES
        while True:
            text = self._source.read_at(begin, size)
            found = _core.connections_first_time(text, at_line=offset == 0)
            if found is not None:
                place = begin + found[0]
                if place >= end:
                    return None
                self.seen.append((place, found[1]))
                return place, found[1]
            if len(text) < size or begin + size >= end or size >= _MOST_PROBE_BYTES:
                return None
            size *= 8


def _search(probes: _Probes, low: int, high: int, before: Callable[[int], bool]) -> tuple[int, int]:
    """Narrow ``[low, high)`` to where lines stop being `before`; both ends are lines, or the file's ends."""
    while high - low > _ENOUGH_BYTES:
        middle = (low + high) // 2
        found = probes.at(middle, high)
        if found is None:
            # Nothing to be seen up to `high`: what is before decides.
            high = middle
        elif before(found[1]):
            low = found[0]
        else:
            high = min(found[0], middle)
    return low, high


def part_of(source: Source | RemoteFile, since_ns: int, until_ns: int, disorder_ns: int) -> Part:
    """Find the part of a plain file that can hold lines of a window.

    Parameters
    ----------
    source : Source or RemoteFile
        A regular file that is not compressed.
    since_ns, until_ns : int
        The window, both ends in it, ns since 1970.
    disorder_ns : int
        How much older a line may be than one before it.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    if source.size <= _ENOUGH_BYTES:
        return Part(0, source.size)
    probes = _Probes(source)
    begin, _ = _search(probes, 0, source.size, lambda ns: ns < since_ns - disorder_ns)
    begin = begin if any(place == begin and ns < since_ns - disorder_ns for place, ns in probes.seen) else 0
    # The end is the first line seen that is too young: everything from there on is.
    _search(probes, begin, source.size, lambda ns: ns <= until_ns + disorder_ns)
    young = [place for place, ns in probes.seen if place > begin and ns > until_ns + disorder_ns]
    end = min(young, default=source.size)
    before = [ns for place, ns in probes.seen if place < begin]
    behind = [ns for place, ns in probes.seen if place >= end]
    return Part(begin, end, max(before, default=None), min(behind, default=None))
