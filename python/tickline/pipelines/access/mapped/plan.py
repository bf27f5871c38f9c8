"""What of a store goes where in a mapped tree: keys, contents, placements and sums, in tables of DuckDB.

A content is what keys of the same owners have in common: a blob, or all keys of a Zarr. It may be placed at
several paths, in several versions of several dandisets. Contents are numbered in the order of their first
keys, so that neighbours are a stretch of the store's keys. All lies in DuckDB, which writes to a folder in
the store what does not fit into its memory.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError
from tickline.pipelines.access.catalog.catalog import Catalog, Content
from tickline.pipelines.access.regions.labels import MISSING, UNKNOWN
from tickline.pipelines.access.trees.rows import sources_in_order
from tickline.store.ledger import unsigned
from tickline.store.parts import import_arrow
from tickline.store.query import connect, running

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = ["DRAFT", "MappedPlan"]

DRAFT = "draft"
"""The version of what stands in no version; so DANDI calls the one that is being edited."""

_MEMORY = "500MB"
_BATCH_ROWS = 50_000
# A rank is the number of the version, and below it the number of the row in the catalog.
_RANK_BITS = 40
_PLACE = ("mark", "dataset", "version", "path", "file", "rank")

_TABLES = (
    "CREATE TABLE labels(number UINTEGER, label VARCHAR)",
    "CREATE TABLE named(requester_id UBIGINT, label VARCHAR)",
    "CREATE TABLE people(requester_id UBIGINT, label UINTEGER)",
    "CREATE TABLE places(source UINTEGER, place UINTEGER, is_tree BOOLEAN)",
    "CREATE TABLE found_keys(key VARCHAR, mark VARCHAR)",
    "CREATE TABLE found_places(mark VARCHAR, dataset UINTEGER, version UINTEGER, path VARCHAR, file VARCHAR, "
    "rank UBIGINT)",
    "CREATE VIEW kept AS SELECT key, requester_id, time, bytes_sent, place, line "
    "FROM accesses JOIN places USING (source) WHERE operation = 'REST.GET.OBJECT' "
    "AND (http_status BETWEEN 200 AND 299 OR (http_status IS NULL AND is_tree))",
)
# What is made of them. A place that the catalog names twice stands where it comes first. Keys are in the
# order of contents, so that of a stretch of contents only some pages are read.
_MADE = (
    "CREATE TABLE contents AS SELECT (row_number() OVER (ORDER BY first) - 1)::UINTEGER AS content, mark, "
    "first, last FROM (SELECT mark, min(key) AS first, max(key) AS last FROM found_keys GROUP BY mark)",
    "CREATE TABLE keyed AS SELECT key, content FROM found_keys JOIN contents USING (mark) ORDER BY content",
    "CREATE TABLE placed AS SELECT content, dataset, version, path, file, min(rank) AS rank "
    "FROM found_places JOIN contents USING (mark) GROUP BY ALL",
    "CREATE TABLE sums AS SELECT content, day, label, coalesce(sum(bytes_sent), 0)::HUGEINT AS bytes, "
    "sum(requests)::UBIGINT AS requests FROM kept_days JOIN keyed USING (key) "
    "LEFT JOIN people ON kept_days.requester_id IS NOT DISTINCT FROM people.requester_id GROUP BY ALL",
)
_DAYS_OF_ALL = "SELECT day, key, requester_id, bytes_sent, requests FROM daily"
_DAYS_OF_KEPT = (
    "SELECT DATE '1970-01-01' + (epoch_ms(time) // 86400000)::INTEGER AS day, key, requester_id, "
    "sum(bytes_sent) AS bytes_sent, count(*) AS requests FROM kept GROUP BY ALL"
)
# dandi_s3_log_parser drops all others when it reduces logs.
_OLD_KEYS = "starts_with(key, 'blobs/') OR starts_with(key, 'zarr/')"


class MappedPlan:
    """Where the contents of a store belong, as of one commit; close it, or use it with ``with``.

    Parameters
    ----------
    folder : StoreFolder
        An open store, whose requesters have labels.
    catalog : Catalog
        Opened with ``versions=True``.
    chosen : callable
        Tells of a dandiset whether it is wanted.
    compat : str
        ``strict``: keys below ``blobs`` and ``zarr`` only, and labels as `region_strict` gives them.

    Attributes
    ----------
    connection : duckdb.DuckDBPyConnection
        With the views of `tickline.store.query.connect` and these: ``kept`` (the rows that the old program
        keeps), ``kept_days`` (their sums), ``contents`` (content, mark, first and last key; the mark says in
        every run which one it is), ``keyed`` (key, content), ``placed`` (content, dataset, version, path,
        file, rank; the file is what the old program calls it), ``sums`` (content, day, label, bytes,
        requests), ``people`` (requester_id, number of label), ``labels`` (number, label).
    datasets : list of str
        Names by number: those of the catalog that are wanted; without a catalog those that have rows.
    versions : list of dict of str to int
        Of each of them the numbers of its versions, ascending, in the order of the catalog; ``fixed`` puts
        the draft last.
    others : set of str
        Dandisets that are there and not wanted.

    Raises
    ------
    TicklineError
        A file of the store or the catalog cannot be used, or labels are being changed by another run.
    """

    def __init__(
        self, folder: "StoreFolder", catalog: Catalog, chosen: Callable[[str], bool], compat: str
    ) -> None:
        self._chosen, self._strict = chosen, compat == "strict"
        self._numbers: dict[str, int] = {}
        self.datasets: list[str] = []
        self.versions: list[dict[str, int]] = []
        self.others: set[str] = set()
        self.connection = connect(folder, memory=_MEMORY)
        try:
            with running():
                self._prepare(folder)
                self._number_versions(catalog)
                self._place(catalog)
                self._add_up(folder)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the store."""
        self.connection.close()

    def __enter__(self) -> "MappedPlan":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def batches(self, sql: str, values: Mapping[str, object] | None = None) -> "Iterator[pyarrow.Table]":
        """Give the result of a query piece by piece, while others may be asked for."""
        pa = import_arrow()
        # Of its own: a connection has one open result.
        cursor = self.connection.cursor()
        try:
            with running():
                reader = cursor.sql(sql, params=values).to_arrow_reader(_BATCH_ROWS)
            while True:
                with running():
                    batch = next(reader, None)
                if batch is None:
                    return
                yield pa.Table.from_batches([batch])
        finally:
            cursor.close()

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
        """Give the rows of a query one by one."""
        for table in self.batches(sql, values):
            yield from zip(*(column.to_pylist() for column in table.columns), strict=True)

    def run(self, sql: str) -> None:
        """Change the tables of the plan."""
        with running():
            self.connection.execute(sql)

    def insert(self, name: str, columns: dict[str, list[Any]]) -> None:
        """Append rows, given as columns."""
        with running(), self.connection.cursor() as cursor:
            schema = cursor.sql(f"SELECT * FROM {name} LIMIT 0").to_arrow_table().schema  # noqa: S608 (ours)
            cursor.register("new_rows", import_arrow().table(columns, schema=schema))
            cursor.execute(f"INSERT INTO {name} SELECT * FROM new_rows")  # noqa: S608

    # ---- making it -------------------------------------------------------------------------------

    def _prepare(self, folder: "StoreFolder") -> None:
        run = self.connection.execute
        for statement in _TABLES:
            run(statement)
        self._copy_labels(folder)
        places = [source for source, _ in sources_in_order(folder)]
        trees = {row[0] for row in folder.ledger.rows("SELECT id FROM sources WHERE form <> 'log'")}
        is_tree = [source in trees for source in places]
        self.insert("places", {"source": places, "place": list(range(len(places))), "is_tree": is_tree})
        days = _DAYS_OF_ALL if _keeps_no_others(folder) else _DAYS_OF_KEPT
        run(f"CREATE VIEW kept_days AS {days}")

    def _copy_labels(self, folder: "StoreFolder") -> None:
        """Fill ``labels`` and ``people``."""
        run = self.connection.execute
        nobody = MISSING
        if self._strict:
            from tickline.pipelines.access.regions.strict import PROFILES, StrictLabels

            nobody = UNKNOWN
            with StrictLabels(folder, PROFILES[0]) as labels:
                for ids in _requesters(folder):
                    self.insert("named", {"requester_id": ids, "label": labels.of(ids)})
        else:
            run("INSERT INTO named SELECT requester_id, label FROM regions WHERE label IS NOT NULL")
        run("INSERT INTO named VALUES (NULL, ?)", [nobody])
        # Numbers in the order of the bytes of the labels: to order by the one is to order by the other.
        run(
            "INSERT INTO labels SELECT row_number() OVER (ORDER BY label) - 1, label FROM "
            "(SELECT DISTINCT label FROM named)"
        )
        run("INSERT INTO people SELECT requester_id, number FROM named JOIN labels USING (label)")

    def _number_versions(self, catalog: Catalog) -> None:
        for (dataset, version), _ in sorted(catalog.order_of_versions().items(), key=itemgetter(1)):
            if not self._chosen(dataset):
                self.others.add(dataset)
                continue
            versions = self.versions[self._dataset(dataset)]
            versions.setdefault(version or DRAFT, len(versions))
        if not self._strict:
            for number, versions in enumerate(self.versions):
                ordered = sorted(versions, key=lambda version: version == DRAFT)
                self.versions[number] = {version: place for place, version in enumerate(ordered)}

    def _dataset(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self.datasets))
        if number == len(self.datasets):
            self.datasets.append(name)
            self.versions.append({})
        return number

    def _place(self, catalog: Catalog) -> None:
        """Look every key up, and note where the contents belong that some wanted dandiset has."""
        # Of contents that many keys share; there are not more than the catalog has rows.
        wanted: dict[Content, bool] = {}
        where = f"key IS NOT NULL AND ({_OLD_KEYS})" if self._strict else "key IS NOT NULL"
        for table in self.batches(f"SELECT DISTINCT key FROM kept_days WHERE {where}"):  # noqa: S608 (ours)
            keys = table["key"].to_pylist()
            keyed: list[tuple[str, str]] = []
            placed: list[tuple[str, int, int, str, str, int]] = []
            for key, content in zip(keys, catalog.contents(keys), strict=True):
                if content is None or not wanted.get(content, True):
                    continue
                mark = _mark(content)
                if content not in wanted:
                    places = [(mark, *place) for place in self._placements(catalog, content)]
                    placed += places
                    if catalog.is_shared(content):
                        wanted[content] = bool(places)
                    if not places:
                        continue
                keyed.append((key, mark))
            self._insert_rows("found_keys", ("key", "mark"), keyed)
            self._insert_rows("found_places", _PLACE, placed)

    def _insert_rows(self, name: str, columns: tuple[str, ...], rows: "Sequence[tuple[Any, ...]]") -> None:
        if rows:
            self.insert(name, dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True)))

    def _placements(self, catalog: Catalog, content: Content) -> Iterator[tuple[int, int, str, str, int]]:
        """Give dataset, version, path, file and rank of each place."""
        for row, name, version, path in catalog.placements(content):
            if not self._chosen(name):
                self.others.add(name)
                continue
            dataset = self._dataset(name)
            versions = self.versions[dataset]
            number = versions.setdefault(version or DRAFT, len(versions))
            file = PurePosixPath(path).name.replace(".", "_")
            yield dataset, number, path, file, number << _RANK_BITS | row

    def _add_up(self, folder: "StoreFolder") -> None:
        for statement in _MADE:
            self.connection.execute(statement)
        unlabelled = self.connection.execute("SELECT count(*) FROM sums WHERE label IS NULL").fetchone()
        if unlabelled[0]:
            what = "regions are being changed by another run"
            raise TicklineError(what, where=str(folder.path), hint="Wait until it ends, and run this again.")


def _requesters(folder: "StoreFolder") -> Iterator[list[int]]:
    """Give the ids of all requesters, some at a time."""
    last = 0
    sql = "SELECT number, id FROM requesters WHERE number > ? ORDER BY number LIMIT ?"
    while rows := folder.ledger.rows(sql, [last, _BATCH_ROWS]):
        last = rows[-1]["number"]
        yield [unsigned(row["id"]) for row in rows]


def _mark(content: Content) -> str:
    return hashlib.blake2b(repr(content).encode(), digest_size=8).hexdigest()


def _keeps_no_others(folder: "StoreFolder") -> bool:
    """Tell whether the store's own filter keeps what the old program keeps, and nothing else."""
    settings = folder.settings
    return (
        settings.operations == ("REST.GET.OBJECT",)
        and settings.statuses is not None
        and all(200 <= status <= 299 for status in settings.statuses)
    )
