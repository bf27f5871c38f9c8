"""Views over the summaries of a store, for queries."""

import re
from typing import TYPE_CHECKING, Any

from tickline.store.parts import import_arrow

if TYPE_CHECKING:
    import pyarrow

    from tickline.pipelines.access.summaries.summaries import Summaries

__all__ = ["SUMMARY_VIEWS", "summary_tables"]

SUMMARY_VIEWS = ("by_day", "by_week_asset", "by_week_type", "by_region", "by_asset", "totals")
"""Views over the summaries: a row for each dataset and day, asset, ...; `totals` has one for each dataset."""


def summary_tables(summaries: "Summaries", sql: str) -> "dict[str, pyarrow.Table]":
    """Return the tables of the summary views that a statement names."""
    pa = import_arrow()
    named = [name for name in SUMMARY_VIEWS if re.search(rf"\b{name}\b", sql, re.IGNORECASE)]
    tables = {name: summaries.whole_table(name) for name in named if name != "totals"}
    if "totals" in named:
        by_name, archive = summaries.totals(summaries.datasets)
        columns: dict[str, Any] = {"dataset": pa.array(list(by_name), pa.string())}
        for measure in archive:
            columns[measure] = pa.array([sums[measure] for sums in by_name.values()], pa.uint64())
        tables["totals"] = pa.table(columns)
    return tables
