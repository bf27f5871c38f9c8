"""The summary tables of a mapped tree, made of the sums of a plan (`mapped_plan`).

What counts how often depends on `compat`:

======================  ==============================  ================================================
table                   ``strict``                      ``fixed``
======================  ==============================  ================================================
version, day, region    a content as often as it has    once
                        a path in the version
version, asset          each path: the bytes of the     each path: the bytes of its contents
                        last content at it
dandiset, day, region   a content once                  once
dandiset, asset         a content at the path that      at its path in the draft, or else in the last
                        comes last in the catalog       version of the catalog
archive                 the sum of the dandisets        each request once, whatever dandisets hold it;
                                                        what no dandiset holds, too
lines of equal bytes    by label, or in the order of    by label or path
                        the catalog
======================  ==============================  ================================================
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from tickline.errors import TicklineError
from tickline.pipelines.access.mapped.plan import MappedPlan
from tickline.pipelines.access.mapped.summaries import ASSET, DAY, REGION

__all__ = ["SummaryTable", "archive_sums", "summary_tables"]

_LIMIT = 1 << 64

# Which contents are in which folder, for the sums by day and by region. There is one row for each time that a
# content counts. Dandisets have the folder (dataset, NULL).
_COUNTED = {
    "strict": "SELECT dataset, version, content FROM placed",
    "fixed": "SELECT DISTINCT dataset, version, content FROM placed",
}
_ONCE = "SELECT DISTINCT dataset, NULL::UINTEGER AS version, content FROM placed"

# Each gives dataset, version, text and bytes (as digits: 64 bits may not do), in the order of the tables.
_BY_DAY = """
SELECT dataset, version, day::VARCHAR, sum(bytes)::VARCHAR FROM ({contents}) JOIN sums USING (content)
GROUP BY dataset, version, day ORDER BY dataset, version, day
"""
_BY_REGION = """
SELECT dataset, version, labels.label, bytes::VARCHAR FROM (
    SELECT dataset, version, sums.label AS label, sum(bytes) AS bytes
    FROM ({contents}) JOIN sums USING (content) GROUP BY dataset, version, sums.label
) AS summed JOIN labels ON labels.number = summed.label
ORDER BY dataset, version, bytes DESC, summed.label
"""
_BY_ASSET = """
SELECT dataset, version, path, bytes::VARCHAR FROM (
    SELECT dataset, version, path, {bytes} AS bytes, min(first) AS first
    FROM ({assets}) JOIN (SELECT content, sum(bytes) AS bytes FROM sums GROUP BY content) USING (content)
    GROUP BY dataset, version, path
) ORDER BY dataset, version, bytes DESC, {ties}
"""
_ASSETS = "SELECT dataset, version, path, content, rank, rank AS first FROM placed"
_ASSETS_ONCE = """
SELECT dataset, NULL::UINTEGER AS version, arg_max(path, rank) AS path, content, max(rank) AS rank,
min(rank) AS first FROM placed GROUP BY dataset, content
"""
_TIES = {"strict": "first, path", "fixed": "path"}


@dataclass(frozen=True, slots=True)
class SummaryTable:
    """One table of a version, or of a dandiset (`version` None); the numbers are those of the plan."""

    dataset: int
    version: int | None
    column: str
    rows: Iterator[tuple[str, int]]


def summary_tables(plan: MappedPlan, compat: str) -> Iterator[SummaryTable]:
    """Give every table of every version and dandiset that has rows.

    Parameters
    ----------
    plan : MappedPlan
        What they are made of.
    compat : str
        ``strict`` or ``fixed``, see above.

    Yields
    ------
    SummaryTable
        To be read before the next one is asked for.
    """
    last = {"strict": "arg_max(bytes, rank)", "fixed": "sum(bytes)"}[compat]
    ties = _TIES[compat]
    for contents, assets, whole in (
        (_COUNTED[compat], _ASSETS, last),
        # There each content stands at one path.
        (_ONCE, _ASSETS_ONCE, "sum(bytes)"),
    ):
        for column, sql in (
            (DAY, _BY_DAY.format(contents=contents)),
            (REGION, _BY_REGION.format(contents=contents)),
            (ASSET, _BY_ASSET.format(assets=assets, bytes=whole, ties=ties)),
        ):
            for (dataset, version), rows in groupby(plan.rows(sql), key=itemgetter(0, 1)):
                yield SummaryTable(dataset, version, column, ((row[2], int(row[3])) for row in rows))


def archive_sums(plan: MappedPlan) -> tuple[dict[str, int], dict[str, int]]:
    """Return the bytes of all requests by day and by region, each request once.

    Raises
    ------
    TicklineError
        Together they pass 2**64 - 1.
    """
    by_day = "SELECT day::VARCHAR, sum(bytes_sent)::VARCHAR FROM kept_days GROUP BY day"
    by_region = (
        "SELECT labels.label, sum(bytes_sent)::VARCHAR FROM kept_days "
        "JOIN people ON kept_days.requester_id IS NOT DISTINCT FROM people.requester_id "
        "JOIN labels ON labels.number = people.label GROUP BY labels.label"
    )
    days, regions = ({text: int(number) for text, number in plan.rows(sql)} for sql in (by_day, by_region))
    if sum(days.values()) >= _LIMIT:
        raise TicklineError("the bytes of all requests pass 2**64 - 1", hint="Divide the store.")
    return days, regions
