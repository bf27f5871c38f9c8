"""What became of every line that a live report has read: for each log, by the name that it had at first."""

from collections.abc import Sequence
from typing import Any

from tickline import _core, accounting
from tickline.errors import SourceError
from tickline.pipelines.connections.count import Counted

__all__ = ["Tally"]

# As many as one run keeps of one log.
_MOST_REJECTS = 10_000
# Logs with a date in their names become ever more.
_MOST_NAMES = 1_000
_OTHERS = "earlier logs"


class Tally:
    """Sums for each log."""

    def __init__(self) -> None:
        self._totals: dict[str, dict[str, Any]] = {}
        self._rejects: list[tuple[str, _core.Rejects]] = []
        self._room = _MOST_REJECTS

    def know(self, name: str) -> None:
        """Take a log among those that were found."""
        self._total(name)

    def add(self, name: str, lines_before: int | None, piece: _core.ConnectionsCount) -> None:
        """Add what became of some lines of a log; None if nobody knows how many lines are before them."""
        counts = piece.counts()
        accounting.check(counts, name)
        accounting.add(self._total(name), counts)
        rejects = piece.rejects()
        found = len(rejects["reason"])
        if found and self._room:
            self._rejects.append((name, _renumbered(rejects, lines_before, self._room)))
            self._room -= min(found, self._room)

    def note(self, name: str, what: str, number: int) -> None:
        """Add something that is noted of a log."""
        accounting.add(self._total(name), {**accounting.empty(), "noted": {what: number}})

    def counted(
        self, count: _core.ConnectionsCount, problems: Sequence[SourceError], empty: Sequence[str]
    ) -> Counted:
        """Return all of it, with the counts of a report; `empty` are logs that nothing stands in yet."""
        totals = {**self._totals}
        for name in empty:
            totals.setdefault(name, accounting.empty())
        return Counted(count, list(totals.items()), list(self._rejects), list(problems))

    def _total(self, name: str) -> dict[str, Any]:
        if name not in self._totals:
            if len(self._totals) >= _MOST_NAMES:
                oldest = next(one for one in self._totals if one != _OTHERS)
                others = self._totals.setdefault(_OTHERS, accounting.empty())
                accounting.add(others, self._totals.pop(oldest))
            self._totals[name] = accounting.empty()
        return self._totals[name]


def _renumbered(rejects: "_core.Rejects", lines_before: int | None, most: int) -> "_core.Rejects":
    """Return the first rejected lines with their numbers in the log; 0 where these are not known."""
    import numpy as np

    lines = np.frombuffer(rejects["line"], np.uint64)[:most]
    lines = np.zeros_like(lines) if lines_before is None else lines + np.uint64(lines_before)
    size = lines.nbytes
    return {
        **rejects,
        "line": lines.tobytes(),
        "offset": rejects["offset"][:size],
        "length": rejects["length"][:size],
        "reason": rejects["reason"][:most],
    }
