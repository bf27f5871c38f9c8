"""Requesters in the ledger: chosen in batches, and given other labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tickline.store.ledger import unsigned

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Requester", "answered", "requesters", "write_labels"]


@dataclass(frozen=True, slots=True)
class Requester:
    """A requester, and the label that it has (None: not looked up yet) with the snapshot that gave it."""

    number: int
    id: int
    label: str | None
    snapshot: int | None


def requesters(
    folder: "StoreFolder", where: str, values: Sequence[Any] = (), *, most: int = 50_000
) -> Iterator[list[Requester]]:
    """Yield the requesters that a condition of SQL chooses, as they came in, at most so many at once.

    What is read while a batch is worked on is the state of that moment: labels may be written in between.
    """
    last = 0
    columns = "number, id, label, snapshot"
    sql = f"SELECT {columns} FROM requesters WHERE number > ? AND ({where}) ORDER BY number LIMIT ?"  # noqa: S608 (our own words)
    while rows := folder.ledger.rows(sql, [last, *values, most]):
        last = rows[-1]["number"]
        yield [Requester(row[0], unsigned(row[1]), row[2], row[3]) for row in rows]


def write_labels(
    folder: "StoreFolder", found: Iterable[tuple[Requester, str, int | None]]
) -> list[Requester]:
    """Write new labels, given with their snapshots, where they differ; only inside a transaction.

    Where a label changes, results that were computed before are declared void (`Ledger.next_epoch`).

    Returns
    -------
    list of Requester
        Those that had another label before, with that one.
    """
    rows = [
        (one, label, snapshot)
        for one, label, snapshot in found
        if (one.label, one.snapshot) != (label, snapshot)
    ]
    folder.ledger.set_labels((one.id, label, snapshot) for one, label, snapshot in rows)
    changed = [one for one, label, _ in rows if one.label not in (None, label)]
    if changed:
        folder.ledger.next_epoch()
    return changed


def answered(folder: "StoreFolder", kinds: Iterable[str]) -> frozenset[int]:
    """Return the ids of all snapshots of these kinds, in use or not: what they said of one requester."""
    rows = folder.ledger.rows("SELECT id, kind FROM snapshots")
    wanted = frozenset(kinds)
    return frozenset(row["id"] for row in rows if row["kind"] in wanted)
