"""Names in a mapped tree: which files there are, what they want to be called, and what they are made of.

Folders are called like their dandisets and versions; those that cannot be, get ``@`` and 16 hex digits of a
hash of the name. An asset's file is called like the
last part of its path, with ``_`` for each ``.``. Where several assets of a version want the same name, in
different folders of it, ``strict`` keeps the one that comes last in the catalog, as dandi_s3_log_parser
overwrites the others; ``fixed`` keeps all, with hashes of their paths. `export_tree_names` says what else
cannot be called what it wants to be.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from tickline.pipelines.access.export.names import folded, folder_names
from tickline.pipelines.access.mapped.plan import MappedPlan
from tickline.pipelines.access.mapped.summaries import (
    ARCHIVE_FILES,
    DATASET_FILES,
    DAY,
    NAMES,
    VERSION_FILES,
)
from tickline.pipelines.access.mapped.totals import ARCHIVE_TOTALS, DATASET_TOTALS
from tickline.pipelines.access.trees.names import file_name
from tickline.pipelines.access.trees.record import Subject

if TYPE_CHECKING:
    from tickline.pipelines.access.mapped.folder import MappedRecord

__all__ = ["SUFFIX", "MappedNames", "listed_names", "prefix_of"]

SUFFIX = ".tsv"

_TOP = (*ARCHIVE_FILES.values(), ARCHIVE_TOTALS, DATASET_TOTALS, NAMES)
_TABLES = frozenset(map(folded, VERSION_FILES.values()))
# The end of a folder that cannot be called like its dandiset or version.
_HASHED = re.compile(r"@[0-9a-f]{16}\Z")
_MOST_BYTES = 150
_INSERTED_ROWS = 50_000
# Two contents may stand at one path, as a Zarr does that lies below two prefixes: `time` tells them apart.
_PLACES = """
SELECT dataset, version, path, file, content, mark, requests,
row_number() OVER (PARTITION BY dataset, version, path ORDER BY rank, mark) - 1 AS time
FROM placed JOIN contents USING (content)
JOIN (SELECT content, sum(requests)::UBIGINT AS requests FROM sums GROUP BY content) USING (content)
{which} ORDER BY dataset, version
"""
_LAST = "QUALIFY row_number() OVER (PARTITION BY dataset, version, file ORDER BY rank DESC, mark DESC) = 1"


class MappedNames:
    """What the files of a mapped tree want to be called.

    Parameters
    ----------
    plan : MappedPlan
        What the tree holds; gets a table ``assets`` (content, id).
    compat : str
        ``strict`` or ``fixed``.
    lineage : str
        Changes where files of the same number of rows may be others than before.
    """

    def __init__(self, plan: MappedPlan, compat: str, lineage: str) -> None:
        self._plan, self._strict, self._lineage = plan, compat == "strict", lineage
        self._datasets = _folders([*plan.datasets, *plan.others], _TOP)
        # Both in the order of the numbers of the versions.
        self._shown = [list(versions) for versions in plan.versions]
        self._folders = [
            list(_folders(versions, DATASET_FILES.values()).values()) for versions in plan.versions
        ]
        plan.run("CREATE TABLE assets(content UINTEGER, id VARCHAR)")

    def subjects(self) -> Iterator[Subject]:
        """Give everything that has a file."""
        sql = _PLACES.format(which=_LAST if self._strict else "")
        contents: list[int] = []
        ids: list[str] = []
        last = -1
        for (dataset, version), places in groupby(self._plan.rows(sql), key=itemgetter(0, 1)):
            if dataset != last:
                yield from self._tables(dataset, None)
                last = dataset
            yield from self._tables(dataset, version)
            name, folder = self._folder(dataset, version)
            for _, _, path, file, content, mark, requests, time in places:
                identity = _identity("asset", self._plan.datasets[dataset], name, path, time, folder)
                made_of = f"{self._lineage} {mark} {requests}"
                # A table of the version has its name in any case.
                wish = file_name(file, path) if folded(file + SUFFIX) in _TABLES else file
                yield Subject(identity, f"{folder}/{wish}", _short_hash(made_of))
                contents.append(content)
                ids.append(identity)
                if len(ids) >= _INSERTED_ROWS:
                    self._plan.insert("assets", {"content": contents, "id": ids})
                    contents, ids = [], []
        self._plan.insert("assets", {"content": contents, "id": ids})

    def table(self, dataset: int, version: int | None, column: str) -> Subject:
        """Return what stands for a table of a version, or of a dandiset (None)."""
        name, (shown, folder) = self._plan.datasets[dataset], self._folder(dataset, version)
        file = (DATASET_FILES if version is None else VERSION_FILES)[column].removesuffix(SUFFIX)
        return Subject(_identity("table", name, shown, column, folder), f"{folder}/{file}")

    def _tables(self, dataset: int, version: int | None) -> Iterator[Subject]:
        for column in VERSION_FILES:
            yield self.table(dataset, version, column)

    def _folder(self, dataset: int, version: int | None) -> tuple[str | None, str]:
        """Return name and folder of a version."""
        folder = self._datasets[self._plan.datasets[dataset]]
        if version is None:
            return None, folder
        return self._shown[dataset][version], f"{folder}/{self._folders[dataset][version]}"


def _folders(names: Iterable[str], reserved: Collection[str]) -> dict[str, str]:
    """Return a folder name for each name: itself, or where that is not possible one that ends in its hash.

    `export_tree_names` leaves them alone, whatever it has to do about the files in them.
    """
    return {
        name: folder if folder == name and not _HASHED.search(name) else _hashed(name, folder)
        for name, folder in folder_names(names, reserved=reserved).items()
    }


def _hashed(name: str, folder: str) -> str:
    shown = re.sub("[%~]+", "-", folder).encode()[:_MOST_BYTES].decode(errors="ignore")
    return f"{shown}@{_short_hash(name)}"


def _short_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _identity(*parts: object) -> str:
    return json.dumps(parts, ensure_ascii=False)


def prefix_of(kind: str, dataset: str) -> str:
    """Return what the ids of all tables (``"table"``) or assets (``"asset"``) of a dandiset begin with."""
    return _identity(kind, dataset).removesuffix("]") + ", "


def listed_names(record: "MappedRecord") -> Iterator[tuple[str, str, str, str]]:
    """Give the rows of ``names.tsv``: folders and files that are not called as in the catalog."""
    for entry in record.beginning(_identity("table").removesuffix("]")):
        _, dataset, version, column, _ = json.loads(entry.id)
        folder = entry.name.rpartition("/")[0]
        if column == DAY and folder.rpartition("/")[2] != (version or dataset):
            yield folder, dataset, version or "", ""
    for entry in record.marked():
        _, dataset, version, path, *_ = json.loads(entry.id)
        yield entry.name + SUFFIX, dataset, version, path
