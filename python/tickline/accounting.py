"""Where every line went: sums that must come out even, for each source and in total."""

from collections.abc import Iterable, Mapping
from typing import Any

from tickline.errors import InternalError

__all__ = ["add", "check", "empty", "rejected", "report"]

Accounting = dict[str, Any]
_NUMBERS = ("lines", "bytes", "accepted")
_GROUPS = ("filtered", "rejected", "noted")


def empty() -> Accounting:
    """Return the accounting of nothing."""
    return {**dict.fromkeys(_NUMBERS, 0), **{group: {} for group in _GROUPS}}


def add(total: Accounting, counts: Mapping[str, Any]) -> None:
    """Add `counts` to `total`; groups keep their names in alphabetical order, and zeros are left out."""
    for number in _NUMBERS:
        total[number] += counts[number]
    for group in _GROUPS:
        sums: dict[str, int] = total[group]
        for name, count in counts[group].items():
            sums[name] = sums.get(name, 0) + count
        total[group] = {name: sums[name] for name in sorted(sums) if sums[name]}


def rejected(counts: Mapping[str, Any]) -> int:
    """Return the number of rejected lines."""
    return sum(counts["rejected"].values())


def check(counts: Mapping[str, Any], where: str) -> None:
    """Make sure that every line is accounted for.

    Raises
    ------
    InternalError
        ``lines`` is not the sum of accepted, filtered and rejected ones.
    """
    known = counts["accepted"] + sum(counts["filtered"].values()) + rejected(counts)
    if counts["lines"] != known:
        what = f"{counts['lines']} lines were read, but {known} are accounted for: this is a bug in tickline"
        raise InternalError(what, where=where, hint="Do not use this output, and please report it.")


def report(sources: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the accounting as users and programs get it: one entry per source, and the total."""
    entries: list[dict[str, Any]] = []
    total = empty()
    for path, counts in sources:
        check(counts, path)
        add(total, counts)
        entry = empty()
        add(entry, counts)
        entries.append({"path": path, **entry})
    check(total, "the total")
    return {"sources": entries, "total": total}
