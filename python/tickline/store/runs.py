"""Runs: the files of a month that came at once, or of one compaction; each is sorted by itself."""

from collections import defaultdict
from collections.abc import Iterable

from tickline.store.ledger import PartFile, Snapshot

__all__ = ["needs_compaction", "runs_of"]

_MANY_RUNS = 12


def needs_compaction(snapshot: Snapshot, *, many: int = _MANY_RUNS) -> list[str]:
    """Return the months that consist of so many runs that reading one key opens many files."""
    months = sorted({part.month for part in (*snapshot.parts, *snapshot.daily)})
    return [month for month in months if _most_runs(snapshot, month) >= many]


def _most_runs(snapshot: Snapshot, month: str) -> int:
    return max(len(runs_of(files, month)) for files in (snapshot.parts, snapshot.daily))


def runs_of(files: Iterable[PartFile], month: str) -> list[list[PartFile]]:
    """Return the files of a month as runs: those of one compaction are one, in the order of their ids."""
    runs: dict[tuple[int, int], list[PartFile]] = defaultdict(list)
    for part in sorted(files, key=lambda part: part.id):
        if part.month == month:
            runs[part.added, 0 if part.level else part.id].append(part)
    return list(runs.values())
