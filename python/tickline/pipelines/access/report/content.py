"""What stands on the page: an export put into the words, tables and figures that page.html lays out."""

import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

from tickline.page.svg import share_bar
from tickline.page.words import exact, span_words
from tickline.pipelines.access.report import words
from tickline.pipelines.access.report.bins import Bin, bins_of, unit_for
from tickline.pipelines.access.report.days import MEASURES, panel
from tickline.pipelines.access.report.export import UNDETERMINED, Export, Measures, Row, total_of
from tickline.pipelines.access.report.figures import HATCH, strip
from tickline.pipelines.access.report.rules import Rule, meanings

__all__ = ["content"]

_TOP = 25
_NAMES = 25
# Rows of a full table: what lies beyond stands in the export's own tables, and the page says where.
_FULL = 3000
_DATASETS = 1000
# Bars that can still be told apart.
_STRIP = 110


# ---- time --------------------------------------------------------------------------------------------------


def _days(export: Export) -> dict[str, Any]:
    rows = export.by_day
    return {
        "panels": [panel(measure, number, rows, export.rule) for number, measure in enumerate(MEASURES)],
        "hatch": HATCH if any(None in row.measures for row in rows) else "",
        "rows": rows[-_FULL:],
        "more": max(len(rows) - _FULL, 0),
    }


def _types(export: Export) -> dict[str, Any]:
    rows = export.by_week_type
    first, last = rows[0].of[0], rows[-1].of[0]
    # What is a Monday already is never finer than a week.
    unit = unit_for(first, last, _STRIP, ("week", "month", "quarter", "year", "decade", "century"))
    kinds = []
    for kind in sorted({row.of[1] for row in rows}):
        mine = [row for row in rows if row.of[1] == kind]
        bins = bins_of({row.of[0]: (row.measures.bytes_sent,) for row in mine}, first, last, unit)
        highest = max(bins, key=lambda one: one.value)
        title = (
            f"{kind}: bytes sent per {unit}, {len(bins)} bars. The highest: "
            f"{highest.label}, {_bytes_of(highest)}."
        )
        kinds.append(
            {
                "name": kind,
                "sum": total_of(mine),
                "share": words.share(total_of(mine).bytes_sent, export.archive.measures.bytes_sent),
                "strip": strip(bins, _bytes_of, title),
                "most": f"{words.human_bytes(highest.value)}, {_lower_first(highest.label)}",
            }
        )
    kinds.sort(key=lambda kind: -kind["sum"].bytes_sent)
    counted = any(count is not None for row in rows for count in row.measures[1:])
    return {
        "kinds": kinds,
        "unit": unit,
        "counted": counted,
        "rows": rows[-_FULL:],
        "more": max(len(rows) - _FULL, 0),
    }


def _bytes_of(one: Bin) -> str:
    return words.bytes_words(one.value)


def _lower_first(text: str) -> str:
    return text.replace("Week", "week", 1)


# ---- who, where, what --------------------------------------------------------------------------------------


def _ranked(rows: Sequence[Row], total: int, whole: Measures, most: int, rule: Rule) -> dict[str, Any]:
    """Return the first rows of a list of `total`, and what the others come to; `whole` is the sum of all.

    Of counts that are rounded or withheld no sum is made.
    """
    shown = rows[:_TOP]
    taken = total_of(shown)
    highest = max((row.measures.bytes_sent for row in shown), default=0)
    sent = whole.bytes_sent - taken.bytes_sent
    counts = [
        None if rule.published or all_of_them is None or mine is None else all_of_them - mine
        for all_of_them, mine in zip(whole[1:3], taken[1:3], strict=True)
    ]
    return {
        "shown": [
            {
                "row": row,
                "share": words.share(row.measures.bytes_sent, most),
                "bar": share_bar(row.measures.bytes_sent / highest if highest else 0.0),
            }
            for row in shown
        ],
        "rest": {"number": total - len(shown), "sums": [sent, *counts], "share": words.share(sent, most)}
        if total > len(shown)
        else None,
        "total": total,
    }


def _regions(export: Export) -> dict[str, Any]:
    rows = export.by_region
    most = export.archive.measures.bytes_sent
    return {
        **_ranked(rows, len(rows), total_of(rows), most, export.rule),
        "pool": export.rule.pool if any(row.of[0] == export.rule.pool for row in rows) else None,
        "rows": rows[:_FULL],
        "more": max(len(rows) - _FULL, 0),
    }


def _datasets(export: Export) -> dict[str, Any]:
    rows = [Row((one.name,), one.measures) for one in export.datasets]
    most = export.archive.measures.bytes_sent
    return {
        **_ranked(rows, len(rows), total_of(rows), most, export.rule),
        "rows": export.datasets[:_DATASETS],
        "more": max(len(rows) - _DATASETS, 0),
    }


def _assets(export: Export) -> dict[str, Any]:
    most = export.archive.measures.bytes_sent
    return _ranked(export.assets, export.number_of_assets, export.assets_sum, most, export.rule)


# ---- where it comes from -----------------------------------------------------------------------------------


def _reasons(counts: dict[str, int], sentences: dict[str, str], lines: int) -> list[dict[str, Any]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {
            "name": name,
            "count": count,
            "share": words.share(count, lines),
            "words": sentences.get(name, "a reason that this version of the page has no words for"),
        }
        for name, count in ordered
    ]


def _accounting(counts: dict[str, Any]) -> dict[str, Any]:
    lines = counts["lines"]
    return {
        "lines": lines,
        "bytes": counts["bytes"],
        "accepted": counts["accepted"],
        "filtered": _reasons(counts["filtered"], words.FILTERED, lines),
        "rejected": _reasons(counts["rejected"], words.REJECTED, lines),
        "noted": _reasons(counts["noted"], words.NOTED, lines),
        "sum_filtered": sum(counts["filtered"].values()),
        "sum_rejected": sum(counts["rejected"].values()),
    }


def _setting(name: str, value: object) -> str:
    if name == "dedupe_lines" and isinstance(value, bool):
        return "dropped" if value else "count, each of them"
    if value is None:
        return "all"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return exact(value)
    if isinstance(value, list | tuple):
        texts = [":".join(map(str, one)) if isinstance(one, list | tuple) else str(one) for one in value]
        return ", ".join(texts) or "none"
    return str(value)


def _names(names: object) -> dict[str, Any] | None:
    """Return the first names of a list of datasets, and how many more there are."""
    if not isinstance(names, list) or not names:
        return None
    return {"shown": [str(name) for name in names[:_NAMES]], "more": max(len(names) - _NAMES, 0)}


def _provenance(found: dict[str, Any]) -> dict[str, Any]:
    digest = hashlib.sha256(
        "".join(f"{source}\n" for source in found["sources"]).encode("utf-8", "surrogatepass")
    )
    catalog = found.get("catalog")
    policy = found["shared_content"]
    return {
        "version": found["tickline"],
        "sources": len(found["sources"]),
        "digest": digest.hexdigest(),
        "catalog": catalog if isinstance(catalog, dict) else None,
        "policy": policy,
        "policy_words": words.POLICIES.get(policy, "a policy that this version of the page has no words for"),
        "restrict_to": _names(found.get("restrict_to")),
        "exclude_datasets": _names(found.get("exclude_datasets")),
        "regions": [
            {
                name: "" if snapshot.get(name) is None else str(snapshot[name])
                for name in ("kind", "name", "label", "date", "sha256")
            }
            for snapshot in found["regions"]
        ],
        "region_order": str(found.get("region_order", "")),
        "settings": [
            (words.SETTINGS.get(name, name.replace("_", " ").capitalize()), _setting(name, value))
            for name, value in sorted(found["store"].items(), key=_order_of_settings)
        ],
    }


def _order_of_settings(item: tuple[str, object]) -> tuple[int, str]:
    known = list(words.SETTINGS)
    return (known.index(item[0]) if item[0] in known else len(known), item[0])


# ---- all of it ---------------------------------------------------------------------------------------------


def _tiles(export: Export) -> list[dict[str, Any]]:
    four = export.archive.measures
    owned = sum(one.name != UNDETERMINED for one in export.datasets)
    return [
        {"name": "number_of_requests", "title": "requests", "value": four.number_of_requests},
        {"name": "number_of_downloads", "title": "downloads", "value": four.number_of_downloads},
        {"name": "number_of_requesters", "title": "requesters", "value": four.number_of_requesters},
        {"name": "number_of_datasets", "title": "datasets", "value": owned},
        {"name": "number_of_unique_regions", "title": "regions", "value": export.archive.regions},
        {"name": "number_of_unique_countries", "title": "countries", "value": export.archive.countries},
    ]


def content(export: Export) -> dict[str, Any]:
    """Return the variables of page.html.

    Parameters
    ----------
    export : Export
        What `read_export` returned.

    Returns
    -------
    dict
        ``span``, ``days``, ``types``, ``regions``, ``datasets`` and ``assets`` are None where no rows are.
    """
    rows = export.by_day
    found = _provenance(export.provenance)
    undetermined = export.provenance["undetermined"]
    span: dict[str, Any] | None = None
    if rows:
        first: date = rows[0].of[0]
        last: date = rows[-1].of[0]
        span = {
            "first": first.isoformat(),
            "last": last.isoformat(),
            "words": span_words(first, last),
            "days": (last - first).days + 1,
            "active": len(rows),
        }
    return {
        "made_by": f"Tickline {found['version']}",
        "archive": export.archive,
        "span": span,
        "tiles": _tiles(export),
        "days": _days(export) if rows else None,
        "types": _types(export) if export.by_week_type else None,
        "regions": _regions(export) if export.by_region else None,
        "datasets": _datasets(export) if export.datasets else None,
        "assets": _assets(export) if export.number_of_assets else None,
        "rule": export.rule,
        "meanings": meanings(export.rule),
        "accounting": _accounting(counts) if (counts := export.provenance["accounting"]) else None,
        "undetermined": {
            **{name: undetermined[name] for name in ("keys", "bytes_sent", "number_of_requests")},
            "share": words.share(undetermined["bytes_sent"], export.archive.measures.bytes_sent),
        },
        "undetermined_name": UNDETERMINED,
        "found": found,
        "top": _TOP,
        "region_words": words.REGIONS | ({export.rule.pool: words.POOL} if export.rule.pool else {}),
    }
