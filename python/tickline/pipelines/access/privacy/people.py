"""Who is behind the cells of an export: how many requesters, and the largest share of one of them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.catalog.catalog import NO_PATH, UNDETERMINED, Catalog, decode_key
from tickline.pipelines.access.regions.labels import OTHER
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.parts import import_arrow
from tickline.store.query import connect, running

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["people_behind"]

_BATCH = 100_000

Cell = tuple[tuple[str | None, str, str], int, str, float]


def people_behind(
    folder: "StoreFolder",
    options: SummaryOptions,
    regions: "Mapping[str | None, Sequence[str]]",
    threshold: int,
    dominance: float,
) -> Iterator[Cell]:
    """Give cells with few requesters, or with one that has most of it.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    options : SummaryOptions
        Who owns which key.
    regions : mapping
        By dataset (None: the archive) the regions that are named; all others are ``other``.
    threshold : int
        Cells with fewer requesters are given.
    dominance : float
        Cells are given in which one requester has at least this share of bytes or requests.

    Yields
    ------
    ((str or None, str, str), int, str, float)
        Dataset (None: the archive), table and row; requesters; in which measure the largest share is, and how
        large it is. Equal shares of content that several datasets own count here as the whole.
    """
    pa = import_arrow()
    connection = connect(folder)
    try:
        _add_owners(connection, options)
        pairs = [(name, region) for name, some in regions.items() for region in some]
        named = {
            "dataset": pa.array([name for name, _ in pairs], pa.string()),
            "region": pa.array([region for _, region in pairs], pa.string()),
        }
        connection.register("named", pa.table(named))
        with running():
            connection.execute(_ROWS)
            for table, about in _ABOUT.items():
                sql = _SQL.format(about=about, source="owned" if table == "by_asset" else "everything")
                found = connection.execute(sql, [threshold, dominance, dominance])
                while rows := found.fetchmany(_BATCH):
                    for dataset, row, people, size, requests in rows:
                        measure = "bytes_sent" if size >= requests else "number_of_requests"
                        yield (dataset, table, row), people, measure, max(size, requests)
    finally:
        connection.close()


_ROWS = """
CREATE TEMP VIEW labelled AS SELECT d.*, coalesce(r.label, 'missing') AS label
FROM daily d LEFT JOIN regions r USING (requester_id);
CREATE TEMP VIEW owned AS SELECT l.*, o.dataset, o.path
FROM labelled l JOIN owners o ON o.key IS NOT DISTINCT FROM l.key;
CREATE TEMP VIEW everything AS SELECT * FROM owned
UNION ALL SELECT *, NULL, NULL FROM labelled;
"""

_ABOUT = {
    "by_day": "strftime(s.day, '%Y-%m-%d')",
    "by_region": f"coalesce(n.region, '{OTHER}')",
    "by_asset": "s.path",
    "totals": "''",
}

# Shares by floating point: they decide what is shown to a person.
_SQL = """
WITH cells AS (
    SELECT s.dataset, {about} AS row, requester_id,
        sum(bytes_sent)::DOUBLE AS size, sum(requests)::DOUBLE AS requests
    FROM {source} s LEFT JOIN named n ON n.dataset IS NOT DISTINCT FROM s.dataset AND n.region = s.label
    GROUP BY ALL
), shares AS (
    SELECT dataset, row, count(requester_id) AS people,
        coalesce(max(size) FILTER (requester_id IS NOT NULL) / nullif(sum(size), 0), 0) AS size,
        coalesce(max(requests) FILTER (requester_id IS NOT NULL) / nullif(sum(requests), 0), 0) AS requests
    FROM cells GROUP BY ALL
)
SELECT * FROM shares WHERE people < ? OR size >= ? OR requests >= ?
"""


def _add_owners(connection: Any, options: SummaryOptions) -> None:
    """Make a table of the owners of all keys, some keys at a time."""
    pa = import_arrow()
    catalog = Catalog(options.catalog, decode=options.decode_keys)
    with running():
        connection.execute("CREATE TEMP TABLE owners (key VARCHAR, dataset VARCHAR, path VARCHAR)")
        cursor = connection.cursor()
        cursor.execute("SELECT DISTINCT key FROM daily")
        while rows := cursor.fetchmany(_BATCH):
            keys = [row[0] for row in rows]
            found = [
                (key, dataset, path)
                for key, owners in zip(keys, catalog.owners(keys), strict=True)
                for dataset, _, path in _kept(key, owners, options.shared_content)
            ]
            columns = [pa.array(column, pa.string()) for column in zip(*found, strict=True)]
            connection.register("more_owners", pa.table(columns, names=["key", "dataset", "path"]))
            connection.execute("INSERT INTO owners SELECT * FROM more_owners")


def _kept(key: str | None, owners: list[Any], shared_content: str) -> list[Any]:
    """Apply the rule for shared content."""
    if len(owners) < 2 or shared_content in ("all", "split"):
        return owners
    if shared_content == "first":
        return owners[:1]
    return [(UNDETERMINED, "", NO_PATH if key is None else decode_key(key))]
