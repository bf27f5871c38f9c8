"""The trees of dandi_s3_log_parser 0.4.2 that hold addresses: reduced and binned logs.

A row has the time (UTC, to the second), the address (``-`` where the log has none), the key in reduced logs,
and the bytes that were sent (0 where the log has ``-``), with tabs between them. Addresses of IPv6 that were
logged in another spelling than that of RFC 5952 stand in that one.

That program takes the keys below ``blobs``, and ``zarr/<id>`` for all of a Zarr; so does a store that was
made with ``--keys dandi``. Rows come by source in natural order of names, then by line; where several logs
have rows of one key that program takes them in no particular order.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.discovery import is_log_name, strip_suffixes
from tickline.pipelines.access.trees.record import Entry, Subject
from tickline.pipelines.access.trees.rows import source_batches, sources_in_order
from tickline.pipelines.access.trees.tree import Contents, Pieces, TreeReport, write_tree
from tickline.pipelines.access.trees.tree_rows import KeyContents, Lines, lines_of, numbers, texts, times
from tickline.progress import Progress

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = ["export_binned", "export_reduced"]

_DAILY = re.compile(r"(?:.*/)?([0-9]{4}/[0-9]{2}/[0-9]{2})\.(?:log|tsv)(?:\.gz|\.zst)?", re.DOTALL)
_DATED = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})-[0-9]{2}-[0-9]{2}-[0-9]{2}-.*", re.DOTALL)


class _Binned(KeyContents):
    suffixes = (".tsv",)
    heads = (b"timestamp\tbytes_sent\tip_address\n",)
    columns = ("time", "bytes_sent", "ip_address")

    def lines(self, table: "pyarrow.Table") -> list[Lines]:
        addresses = texts(table, "ip_address", strict=self._strict)
        return [lines_of(times(table), numbers(table), addresses)]


def export_binned(
    folder: "StoreFolder", root: Path, *, compat: str = "fixed", progress: Progress | None = None
) -> TreeReport:
    """Bring a tree ``<key>.tsv`` up to date; for the parameters and errors see `write_tree`.

    With `compat` ``"fixed"`` control bytes in what was logged are ``%XX``; with ``"strict"`` they stand as
    they were logged. The files in which that program keeps its tracks are not written: it cannot go on with
    such a tree, and need not.
    """
    return write_tree(folder, root, _Binned(folder, strict=compat == "strict"), progress)


class _Reduced(Contents):
    suffixes = (".tsv",)
    heads = (b"timestamp\tip_address\tobject_key\tbytes_sent\n",)
    by_days = False
    listed = "source"

    def __init__(self, folder: "StoreFolder", *, strict: bool) -> None:
        self.form = f"Reduced 1 {'strict' if strict else 'fixed'}"
        self.empty = (b"",) if strict else self.heads
        self._folder = folder
        self._strict = strict

    def subjects(self, days: set[int] | None) -> Iterator[Subject]:
        """Give all sources; content that is leaving the store has no name any more, and no file.

        Logs without a row are often the same content, of no bytes, under many names: each has its file.
        """
        del days
        sql = "SELECT id, content_hash, accepted FROM sources WHERE state <> 'replaced'"
        sources = {row["id"]: row for row in self._folder.ledger.rows(sql)}
        empty = {row["id"] for row in sources.values() if not row["accepted"]}
        sql = "SELECT source, name FROM names WHERE source IN (SELECT value FROM json_each(?)) ORDER BY name"
        others = map(tuple, self._folder.ledger.rows(sql, [json.dumps(sorted(empty))]))
        seen: set[tuple[int, str]] = set()
        for source, name in (*sources_in_order(self._folder), *others):
            if name is None or source not in sources or (source, place := reduced_name(name)) in seen:
                continue
            if source in empty:
                seen.add((source, place))
            yield Subject(name, place, sources[source]["content_hash"].hex())

    def pieces(self, ids: list[str] | None) -> Iterator[Pieces]:
        """Give the rows of some sources, or of all."""
        name_of = {source: name for source, name in sources_in_order(self._folder) if name is not None}
        if ids is not None:
            sql = "SELECT DISTINCT source FROM names WHERE name IN (SELECT value FROM json_each(?))"
            wanted = {row[0] for row in self._folder.ledger.rows(sql, [json.dumps(ids)])}
            name_of = {source: name for source, name in name_of.items() if source in wanted}
        columns = ("time", "ip_address", "key", "bytes_sent")
        for batch in source_batches(self._folder, columns=columns, sources=name_of.keys()):
            lines = lines_of(
                times(batch.table),
                texts(batch.table, "ip_address", strict=self._strict),
                texts(batch.table, "key", strict=self._strict),
                numbers(batch.table),
            )
            for source, piece in zip(batch.sources, lines.cut(batch.begins), strict=True):
                yield Pieces(name_of[source], [piece])

    def shown(self, entry: Entry) -> str:
        """Return the name of the source."""
        return entry.id


def reduced_name(name: str) -> str:
    """Return the place of a source in the tree, without suffix.

    ========================================== ==============================================
    a name that ends in                        is
    ========================================== ==============================================
    ``2024/05/01.log`` (``.gz``, ``.zst``)     ``2024/05/01``
    ``2024-05-01-00-12-34-0123456789ABCDEF``   ``2024/05/01/2024-05-01-00-12-34-0123...``
    anything else, such as ``access.log``      ``other/access``
    ========================================== ==============================================

    Two sources that would have the same place both get a hash of their names.
    """
    if daily := _DAILY.fullmatch(name):
        return daily[1]
    base = name.rpartition("/")[2]
    short = strip_suffixes(base) if is_log_name(base) else base
    if dated := _DATED.fullmatch(short):
        return f"{dated[1]}/{dated[2]}/{dated[3]}/{short}"
    return f"other/{short}"


def export_reduced(
    folder: "StoreFolder", root: Path, *, compat: str = "fixed", progress: Progress | None = None
) -> TreeReport:
    """Bring a tree of a table for each log up to date; for the parameters and errors see `write_tree`.

    The place of a table says `reduced_name`. With `compat` ``"strict"`` a log of which nothing is kept gives
    a file of zero bytes, and control bytes stand as they were logged; with ``"fixed"`` such a file has its
    header, and control bytes are ``%XX``: as ``tickline access reduce`` does.
    """
    return write_tree(folder, root, _Reduced(folder, strict=compat == "strict"), progress)
