"""Looking regions up again, each requester once in 90 days; what changed is written down.

Networks change hands. Every day another ninetieth of the requesters is looked up by the sources of today
(caches of the old programs are not of today; ipinfo, where it is a source, is asked again). The list of
changes stands in ``regions/changes/<date>.json``, without addresses. Published numbers may change.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import write_whole
from tickline.pipelines.access.regions.file import CACHES
from tickline.pipelines.access.regions.ipinfo import Asking, asks_ipinfo
from tickline.pipelines.access.regions.labels import UNDETERMINED, UNKNOWN
from tickline.pipelines.access.regions.requesters import Requester, answered, requesters, write_labels
from tickline.pipelines.access.regions.sources import IPINFO
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.clients.ipinfo import Ipinfo
    from tickline.pipelines.access.regions.lookup import Labeler
    from tickline.store.folder import StoreFolder

__all__ = ["CHANGES", "RefreshReport", "refresh_regions"]

CHANGES = "regions/changes"
"""Where the lists of changes lie, below the store."""

# Changes that are in the ledger and not yet in their file.
_PENDING = "region_changes"

_Found = list[tuple[Requester, str, int | None]]


@dataclass(slots=True)
class RefreshReport:
    """What `refresh_regions` did, in numbers of requesters.

    Attributes
    ----------
    looked_up : int
        Whose turn it was, and whose address is known.
    asked : int
        Of those, how many ipinfo was asked for.
    changed : int
        Have another label now.
    log : pathlib.Path or None
        The list of the changes of this day, if there are any.
    problem : TicklineError or None
        Why ipinfo was not asked for all: no token, no answer, no quota. Those keep their labels.
    """

    looked_up: int = 0
    asked: int = 0
    changed: int = 0
    log: Path | None = None
    problem: TicklineError | None = None


def refresh_regions(
    folder: "StoreFolder",
    *,
    today: date,
    cycle_days: int = 90,
    client: "Ipinfo | None" = None,
    progress: Progress | None = None,
) -> RefreshReport:
    """Look those requesters up anew whose day it is; the caller holds ``folder.writing()``.

    It is the day of a requester if its number in the ledger and the number of the day leave the same rest by
    `cycle_days`. Whom nobody knows any more keeps what ipinfo or a cache said before.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    today : datetime.date
        The day, UTC.
    cycle_days : int
        After how many days it is the same requesters' turn again.
    client : Ipinfo, optional
        Asks; without one, one with the token of the environment does.
    progress : Progress, optional
        Told how many are done, in requesters.

    Raises
    ------
    UsageError
        `cycle_days` is less than one.
    TicklineError
        A region snapshot is missing, or the list of this day's changes is damaged.
    """
    if cycle_days < 1:
        raise UsageError(f"{cycle_days} days are no cycle", where="cycle_days", hint="Give 1 or more.")
    _write_pending(folder)
    report = RefreshReport()
    place = [cycle_days, today.toordinal() % cycle_days]
    chosen = "label IS NOT NULL AND number % ? = ?"
    total = folder.ledger.rows(f"SELECT count(*) FROM requesters WHERE {chosen}", place)[0][0]  # noqa: S608
    if not total:
        return report
    from tickline.pipelines.access.regions.lookup import Labeler

    asking = Asking(client, None)
    seen = 0
    with Labeler(folder) as labeler:
        for some in requesters(folder, chosen, place):
            found = _look_up(folder, labeler, some, asking, report)
            report.changed += _write(folder, found, today)
            seen += len(some)
            (progress or Progress()).reach(seen, total)
    report.asked, report.problem = asking.asked, asking.problem
    if report.changed:
        report.log = _log(folder, today.isoformat())
    return report


def _look_up(
    folder: "StoreFolder",
    labeler: "Labeler",
    some: Sequence[Requester],
    asking: Asking,
    report: RefreshReport,
) -> _Found:
    addresses = folder.pseudonyms().addresses([one.id for one in some])
    labels, snapshots = labeler.labels(addresses, caches=False)
    by_answer = answered(folder, [*CACHES, IPINFO])
    found: _Found = []
    waiting: list[tuple[Requester, str]] = []
    for one, address, label, snapshot in zip(some, addresses, labels, snapshots, strict=True):
        report.looked_up += address is not None
        if address is None:
            continue
        if label == UNDETERMINED:
            waiting.append((one, address))
        elif label != UNKNOWN or one.snapshot not in by_answer:
            found.append((one, label, snapshot))
    source = asks_ipinfo(folder)
    for answers in asking.batches(waiting):
        found += [(one, label, source) for one, label in answers]
    return found


def _write(folder: "StoreFolder", found: _Found, today: date) -> int:
    """Write labels and, in the same transaction, what is to stand in the list of this day."""
    day = today.isoformat()
    labels = {one.number: label for one, label, _ in found}
    with folder.ledger.transaction() as db:
        changed = write_labels(folder, found)
        if changed:
            new = [
                {"requester_id": str(one.id), "old": one.label, "new": labels[one.number]} for one in changed
            ]
            content = {"date": day, "changes": [*_read(_log(folder, day)), *new]}
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [_PENDING, json.dumps(content)])
    _write_pending(folder)
    return len(changed)


def _write_pending(folder: "StoreFolder") -> None:
    """Write the list that the ledger holds, which a run that was killed may have left there."""
    if not (text := folder.ledger.meta(_PENDING)):
        return
    content = json.loads(text)
    path = _log(folder, content["date"])
    try:
        write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise explain_os_error(error, path) from error
    with folder.ledger.transaction() as db:
        db.execute("DELETE FROM meta WHERE name = ?", [_PENDING])


def _log(folder: "StoreFolder", day: str) -> Path:
    return folder.path / CHANGES / f"{day}.json"


def _read(path: Path) -> list[Any]:
    """Return the changes that a list of this day holds already."""
    try:
        found = json.loads(path.read_bytes())["changes"]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain_os_error(error, path) from error
    except (ValueError, KeyError, TypeError) as error:
        hint = "Move it away, and run this again."
        raise TicklineError("is no list of changed regions", where=str(path), hint=hint) from error
    if not isinstance(found, list):
        raise TicklineError("is no list of changed regions", where=str(path), hint="Move it away.")
    return found
