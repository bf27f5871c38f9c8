"""What a store holds, in numbers, from its ledger: nothing large is read."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.ingest.forms import forms_of
from tickline.store.ledger import Snapshot
from tickline.store.merge import open_part
from tickline.store.runs import needs_compaction

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["status"]

_NAMES_PER_QUERY = 10_000


def status(folder: "StoreFolder", inventory: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Tell what a store holds.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    inventory : path, optional
        An S3 Inventory list (see `tickline.pipelines.access.inventory`): how many of its logs the store has.

    Returns
    -------
    dict
        Fit for JSON. Sizes are bytes, times ISO 8601 in UTC, lags seconds. ``lag_s`` is from the last event
        of a log to its delivery, ``oldest_lag_s`` from its first event. ``forms`` is what `forms_of` gives.

    Raises
    ------
    TicklineError
        A daily file cannot be read, or the inventory cannot.
    """
    snapshot = folder.ledger.snapshot()
    days = _days(folder.path, snapshot)
    ledger = folder.ledger
    labelled, requesters = ledger.rows("SELECT count(label), count(*) FROM requesters")[0]
    months = sorted({part.month for part in (*snapshot.parts, *snapshot.daily)})
    found: dict[str, Any] = {
        "store": str(folder.path),
        "format": folder.settings.format,
        "commits": snapshot.commit,
        "settings": folder.settings.as_json(),
        "sources": _sources(folder),
        **_lines(folder),
        "days": {
            "first": _date(days[0]) if days else None,
            "last": _date(days[-1]) if days else None,
            "count": len(days),
        },
        "months": len(months),
        "months_to_compact": needs_compaction(snapshot, many=2),
        "files": {"parts": len(snapshot.parts), "daily": len(snapshot.daily)},
        "disk": _disk(folder.path, snapshot, folder),
        "forms": forms_of(ledger),
        "requesters": {"count": requesters, "labelled": labelled},
        "addresses": _addresses(folder),
        "regions": [
            {"kind": one.kind, "name": one.name, "label": one.label, "date": one.date, "sha256": one.hash}
            for one in ledger.snapshots()
        ],
    }
    if inventory is not None:
        found["inventory"] = _inventory(folder, inventory)
    return found


def _addresses(folder: "StoreFolder") -> str:
    if folder.keeps_addresses():
        return "kept"
    return "forgotten" if folder.settings.addresses else "never written"


def _date(day: int) -> str:
    import numpy as np

    return str(np.datetime64(day, "D"))


def _time(moment_ms: int | None) -> str | None:
    import numpy as np

    # Not datetime: a log may name any year up to 9999, and a broken clock the first one.
    return None if moment_ms is None else f"{np.datetime64(moment_ms, 'ms')}Z"


def _days(store: Path, snapshot: Snapshot) -> list[int]:
    """Return the days on which there are rows; only the days of daily files are read."""
    found: set[int] = set()
    for part in snapshot.daily:
        if part.first_day == part.last_day:
            found.add(part.first_day)
        elif not found.issuperset(range(part.first_day, part.last_day + 1)):
            with open_part(store / part.path, "daily") as file:
                for batch in file.iter_batches(columns=["day"], use_threads=False):
                    found.update(batch["day"].cast("int32").unique().to_pylist())
    return sorted(found)


def _sources(folder: "StoreFolder") -> dict[str, Any]:
    ledger = folder.ledger
    states = dict(map(tuple, ledger.rows("SELECT state, count(*) FROM sources GROUP BY state")))
    names, unfinished = ledger.rows("SELECT count(*), coalesce(sum(NOT whole), 0) FROM names")[0]
    sql = "SELECT min(first_ms), max(last_ms), max(delivered_ms) FROM sources WHERE state <> 'replaced'"
    first, last, delivered = ledger.rows(sql)[0]
    rows = ledger.rows(
        "SELECT delivered_ms - last_ms, delivered_ms - first_ms FROM sources "
        "WHERE state <> 'replaced' AND form = 'log' AND last_ms IS NOT NULL AND delivered_ms IS NOT NULL"
    )
    return {
        "count": sum(count for state, count in states.items() if state != "replaced"),
        "replaced": states.get("replaced", 0),
        "names": names,
        "unfinished": unfinished,
        "first_event": _time(first),
        "last_event": _time(last),
        "last_delivery": _time(delivered),
        "lag_s": _spread([row[0] for row in rows]),
        "oldest_lag_s": _spread([row[1] for row in rows]),
    }


def _spread(values_ms: Sequence[int]) -> dict[str, float] | None:
    if not values_ms:
        return None
    ordered = sorted(values_ms)
    at = {"median": 0.5, "p95": 0.95, "max": 1.0}
    # The smallest value that at least this share does not exceed.
    return {name: ordered[max(-int(-share * len(ordered) // 1), 1) - 1] / 1000 for name, share in at.items()}


def _lines(folder: "StoreFolder") -> dict[str, Any]:
    """Add up the accounting of all sources that count."""
    totals = dict.fromkeys(("bytes", "lines", "accepted"), 0)
    groups: dict[str, Counter[str]] = {"filtered": Counter(), "rejected": Counter(), "noted": Counter()}
    sql = "SELECT bytes, lines, accepted, filtered, rejected, noted FROM sources WHERE state <> 'replaced'"
    # There may be a million of them.
    for row in folder.ledger.db.execute(sql):
        for name in totals:
            totals[name] += row[name]
        for name, counts in groups.items():
            if row[name] != "{}":
                counts.update(json.loads(row[name]))
    return {
        "rows": totals["accepted"],
        "accounting": {**totals, **{name: dict(sorted(counts.items())) for name, counts in groups.items()}},
    }


def _disk(store: Path, snapshot: Snapshot, folder: "StoreFolder") -> dict[str, int]:
    sql = "SELECT coalesce(sum(size_bytes), 0) FROM parts WHERE removed IS NOT NULL"
    sizes = {
        "parts": sum(part.size_bytes for part in snapshot.parts),
        "daily": sum(part.size_bytes for part in snapshot.daily),
        "ledger": sum(_size(path) for path in store.glob("ledger.sqlite*")),
        "superseded": folder.ledger.rows(sql)[0][0],
        **{name: sum(map(_size, (store / name).rglob("*"))) for name in ("regions", "private", "cache")},
    }
    return {**sizes, "total": sum(sizes.values())}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _inventory(folder: "StoreFolder", raw: str | os.PathLike[str]) -> dict[str, Any]:
    """Count how many logs of an inventory the store knows by name."""
    from tickline.pipelines.access.inventory import open_inventory

    inventory = open_inventory(raw)
    objects = size = known = known_size = 0
    waiting: dict[str, int] = {}

    def settle() -> None:
        nonlocal known, known_size
        sql = "SELECT name FROM names WHERE name IN (SELECT value FROM json_each(?))"
        for (name,) in folder.ledger.rows(sql, [json.dumps(list(waiting))]):
            known += 1
            known_size += waiting[name]
        waiting.clear()

    for listed in inventory.logs():
        if listed.name in waiting:
            continue
        objects += 1
        size += listed.size or 0
        waiting[listed.name] = listed.size or 0
        if len(waiting) >= _NAMES_PER_QUERY:
            settle()
    settle()
    return {
        "path": str(inventory.path),
        "date": inventory.date,
        "objects": objects,
        "bytes": size,
        "in_store": known,
        "bytes_in_store": known_size,
        "percent": round(100 * known / objects, 2) if objects else None,
        "left_out": dict(sorted(inventory.left_out.items())),
    }
