"""The rows of ``daily/`` for some days, in batches of numbers: nothing of Python per row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tickline.errors import SourceError, explain_os_error
from tickline.store.folder import StoreFolder
from tickline.store.ledger import Ledger, PartFile
from tickline.store.parts import file_hash

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from tickline.pipelines.access.summaries.assets import Assets

__all__ = ["MEASURES", "DailyRows", "Rows", "UnlabelledError"]

MEASURES = ("bytes_sent", "requests", "downloads")
"""Columns of a daily file that are summed up, in the order of all arrays of sums."""

_BATCH_ROWS = 2**20
_HINT = "Run tickline access verify; restore the file from a backup, or ingest its sources into a new store."


class UnlabelledError(Exception):
    """A requester has no region yet."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows as columns of numbers.

    Attributes
    ----------
    day : ndarray of int64
        Days since 1970.
    key : ndarray of int64
        Number of the key, see `Assets`.
    requester : ndarray of uint64
        Number of the requester, from 1; 0 where no address was logged.
    label : ndarray of int64
        Number of the requester's region.
    people : int
        More than any number in `requester`.
    labels : int
        More than any number in `label`.
    measures : list of ndarray of uint64
        In the order of `MEASURES`.
    """

    day: "NDArray[np.int64]"
    key: "NDArray[np.int64]"
    requester: "NDArray[np.uint64]"
    label: "NDArray[np.int64]"
    people: int
    labels: int
    measures: "list[NDArray[np.uint64]]"


class DailyRows:
    """Reads the daily files of a snapshot; checks the hash of each file once."""

    def __init__(
        self,
        folder: StoreFolder,
        files: tuple[PartFile, ...],
        assets: "Assets",
        label_of: Callable[[str], int],
    ) -> None:
        self._folder = folder
        self._files = files
        self._assets = assets
        self._label_of = label_of
        self._people = _People(folder.ledger, label_of)
        self._checked: set[int] = set()

    @property
    def regions(self) -> "NDArray[np.int64]":
        """The number of the region of every requester that was read, by the requester's number."""
        return self._people.by_number

    def between(self, first_day: int, last_day: int) -> Iterator[Rows]:
        """Give the rows of a range of days (since 1970, both ends included) in batches of about a million.

        Raises
        ------
        SourceError
            A file is missing, or not what was written.
        UnlabelledError
            A requester has no region.
        """
        import pyarrow as pa

        waiting: list[pyarrow.Table] = []
        for file in self._files:
            if file.first_day <= last_day and file.last_day >= first_day:
                for table in self._tables(file, first_day, last_day):
                    waiting.append(table)
                    if sum(table.num_rows for table in waiting) >= _BATCH_ROWS:
                        yield self._numbered(pa.concat_tables(waiting))
                        waiting = []
        if waiting:
            yield self._numbered(pa.concat_tables(waiting))

    def _tables(self, file: PartFile, first_day: int, last_day: int) -> "Iterator[pyarrow.Table]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self._folder.path / file.path
        if file.id not in self._checked:
            if file_hash(path) != file.hash:
                raise SourceError(
                    "is damaged: its bytes are not the ones written", where=str(path), hint=_HINT
                )
            self._checked.add(file.id)
        try:
            with pq.ParquetFile(path, read_dictionary=["key"], pre_buffer=False) as source:
                for group in range(source.num_row_groups):
                    if _holds(source.metadata.row_group(group), first_day, last_day):
                        table = source.read_row_group(group, use_threads=False)
                        table = _only(table, first_day, last_day)
                        if table.num_rows:
                            yield table
        except OSError as error:
            if isinstance(error, pa.ArrowException) or error.errno is None:
                raise SourceError("is damaged: no Parquet", where=str(path), hint=_HINT) from error
            raise explain_os_error(error, path) from error
        except (pa.ArrowException, KeyError) as error:
            raise SourceError("is damaged: no daily table", where=str(path), hint=_HINT) from error

    def _numbered(self, table: "pyarrow.Table") -> Rows:
        import numpy as np

        requester, label = self._requesters(table["requester_id"])
        return Rows(
            day=table["day"].cast("int32").to_numpy().astype(np.int64),
            key=self._keys(table["key"]),
            requester=requester,
            label=label,
            people=len(self._people.by_number),
            labels=int(label.max()) + 1,
            measures=[table[name].to_numpy() for name in MEASURES],
        )

    def _keys(self, column: "pyarrow.ChunkedArray") -> "NDArray[np.int64]":
        import numpy as np
        import pyarrow as pa

        coded = _one_array(column.unify_dictionaries())
        codes = coded.indices.fill_null(len(coded.dictionary)).to_numpy()
        used = np.zeros(len(coded.dictionary) + 1, dtype=bool)
        used[codes] = True
        keys = coded.dictionary.take(pa.array(np.flatnonzero(used[:-1])))
        if used[-1]:
            keys = pa.concat_arrays([keys, pa.nulls(1, keys.type)])
        numbers = np.zeros(len(used), dtype=np.int64)
        numbers[used] = self._assets.numbers_of(keys)
        found: NDArray[np.int64] = numbers[codes]
        return found

    def _requesters(self, column: "pyarrow.ChunkedArray") -> "tuple[NDArray[np.uint64], NDArray[np.int64]]":
        import numpy as np

        coded = _one_array(column.dictionary_encode())
        ids = coded.dictionary.to_numpy(zero_copy_only=False).astype(np.uint64, copy=False)
        codes = coded.indices.fill_null(len(ids)).to_numpy()
        number, label = self._people.find(ids)
        # Where no address was logged there is nobody to look up.
        nobody = self._label_of("missing") if coded.null_count else 0
        return np.append(number, np.uint64(0))[codes], np.append(label, nobody)[codes]


class _People:
    """Numbers and regions of requesters; the ledger is asked once for each."""

    def __init__(self, ledger: Ledger, label_of: Callable[[str], int]) -> None:
        import numpy as np

        self._ledger, self._label_of = ledger, label_of
        self._ids: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._numbers: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._labels: NDArray[np.int64] = np.zeros(0, np.int64)
        self.by_number: NDArray[np.int64] = np.zeros(1, np.int64)

    def find(self, ids: "NDArray[np.uint64]") -> "tuple[NDArray[np.uint64], NDArray[np.int64]]":
        """Return number and region of each."""
        import numpy as np

        place = np.searchsorted(self._ids, ids)
        place[place == len(self._ids)] = 0
        unknown = self._ids[place] != ids if len(self._ids) else np.ones(len(ids), bool)
        if unknown.any():
            self._ask(ids[unknown])
            place = np.searchsorted(self._ids, ids)
        return self._numbers[place], self._labels[place]

    def _ask(self, ids: "NDArray[np.uint64]") -> None:
        import numpy as np

        numbers, labels = self._ledger.requesters(ids)
        number_of = {label: self._label_of(label) for label in dict.fromkeys(labels) if label is not None}
        regions = np.array([-1 if label is None else number_of[label] for label in labels], dtype=np.int64)
        if (regions < 0).any():
            raise UnlabelledError
        more = int(numbers.max()) + 1 - len(self.by_number)
        self.by_number = np.pad(self.by_number, (0, max(more, 0)))
        self.by_number[numbers] = regions
        whole = np.concatenate([self._ids, ids])
        order = np.argsort(whole)
        self._ids = whole[order]
        self._numbers = np.concatenate([self._numbers, numbers.astype(np.uint64)])[order]
        self._labels = np.concatenate([self._labels, regions])[order]


def _holds(group: Any, first_day: int, last_day: int) -> bool:
    """Tell by its statistics whether a row group may hold one of the days."""
    import datetime

    epoch = datetime.date(1970, 1, 1)
    statistics = group.column(0).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    return bool((statistics.min - epoch).days <= last_day and (statistics.max - epoch).days >= first_day)


def _only(table: "pyarrow.Table", first_day: int, last_day: int) -> "pyarrow.Table":
    import pyarrow.compute as pc

    day = table["day"].cast("int32")
    ends = pc.min_max(day)
    if ends["min"].as_py() >= first_day and ends["max"].as_py() <= last_day:
        return table
    return table.filter(pc.and_(pc.greater_equal(day, first_day), pc.less_equal(day, last_day)))


def _one_array(column: "pyarrow.ChunkedArray") -> Any:
    import pyarrow as pa

    whole = column.combine_chunks()
    return whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
