"""What logs and tables made of logs mean beside each other in one store."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tickline.errors import UsageError
from tickline.pipelines.access.ingest.options import FORMS, IngestReport, ingest_kind
from tickline.store.settings import Settings

if TYPE_CHECKING:
    from tickline.store.ledger import Ledger

__all__ = ["OPERATION", "check_settings", "check_spread", "form_notes", "forms_of"]

OPERATION = "REST.GET.OBJECT"
"""What all rows of such tables were; they had some status 2xx."""

_WORDS = {"log": "logs", "reduced": "a reduced tree", "binned": "a binned tree"}
_DAY_MS = 86_400_000
_SPANS = 5


def check_settings(settings: Settings, where: str) -> None:
    """Refuse tables where the store asks what they do not tell.

    Raises
    ------
    UsageError
        The rules of the store keep other operations, or only some of the statuses 2xx.
    """
    hint = f"Ingest into a store that keeps {OPERATION} and 2xx, as a new one does by default."
    if settings.operations is not None and OPERATION not in settings.operations:
        what = f"this store does not keep {OPERATION}, and the tables hold nothing else"
        raise UsageError(what, where=where, hint=hint)
    if settings.statuses is not None and not set(range(200, 300)) <= set(settings.statuses):
        what = "this store does not keep all statuses 2xx, and the tables do not tell which one a row had"
        raise UsageError(what, where=where, hint=hint)


def check_spread(form: str, dedupe_lines: bool | None) -> None:
    """Refuse to give workers what only one process can do.

    Raises
    ------
    UsageError
        Lines are to be compared with those of other sources, or tables are to be read.
    """
    what = ""
    if dedupe_lines:
        what = "with --dedupe-lines each line is compared with those before it, which one process does"
    elif form != "log":
        what = "tables of an old tree are taken in by one process"
    if what:
        raise UsageError(what, where="--engine dask", hint="Use --engine local.")


def forms_of(ledger: "Ledger") -> dict[str, dict[str, int]]:
    """Return for each form how many sources count, and how many rows they have.

    Of rows that do not come from logs nobody knows which ones are downloads: they are counted as requests.
    """
    sql = "SELECT form, count(*), sum(accepted) FROM sources WHERE state <> 'replaced' GROUP BY form"
    found = {form: {"sources": sources, "rows": rows} for form, sources, rows in ledger.rows(sql)}
    return {form: found[form] for form in FORMS if form in found}


def form_notes(ledger: "Ledger", form: str, report: IngestReport) -> list[str]:
    """Return what there is to say when an ingest has added rows."""
    if not report.days:
        return []
    notes = []
    if form != "log":
        notes.append(
            f"{_WORDS[form].capitalize()} does not tell the status of a request: its rows count as requests, "
            "and none of them as a download."
        )
    for other in FORMS:
        twice = _on_the_same_days(ledger, other, report.days) if other != form else set()
        if twice:
            notes.append(
                f"There are rows both from {_WORDS[form]} and from {_WORDS[other]} on {_spans(twice)}. Where "
                "both tell of the same requests, these count twice: then ingest each day from one of them "
                "into a new store."
            )
    return notes


def _on_the_same_days(ledger: "Ledger", form: str, days: set[int]) -> set[int]:
    """Return those of the days on which there are rows of this form, from sources that still count."""
    sql = "SELECT value FROM commits, json_each(days) WHERE kind = ?"
    left = days.intersection(int(row[0]) for row in ledger.rows(sql, [ingest_kind(form)]))
    found: set[int] = set()
    if left:
        sql = "SELECT first_ms, last_ms FROM sources WHERE form = ? AND state <> 'replaced' AND accepted > 0"
        for first_ms, last_ms in ledger.rows(sql, [form]):
            first, last = first_ms // _DAY_MS, last_ms // _DAY_MS
            found |= {day for day in left if first <= day <= last}
            left -= found
            if not left:
                break
    return found


def _spans(days: Iterable[int]) -> str:
    """Write days as spans: ``2024-02-28 to 2024-03-01, 2024-03-05 (4 days)``."""
    import numpy as np

    ordered = np.array(sorted(days))
    pieces = np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1)
    texts = []
    for piece in pieces[:_SPANS]:
        first, last = (str(day) for day in piece[[0, -1]].astype("datetime64[D]"))
        texts.append(first if first == last else f"{first} to {last}")
    more = ", ..." if len(pieces) > _SPANS else ""
    count = f"{len(ordered):,} day{'' if len(ordered) == 1 else 's'}"
    return f"{', '.join(texts)}{more} ({count})"
