"""The tables of the summaries, read from the cache when they are asked for."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.catalog.catalog import NO_PATH, UNDETERMINED, Catalog
from tickline.pipelines.access.regions.labels import count_places
from tickline.pipelines.access.summaries.assets import TYPES
from tickline.pipelines.access.summaries.cache import Arrays, CacheFolder, DamagedCacheError, State
from tickline.pipelines.access.summaries.frames import (
    AssetTable,
    Coded,
    Frame,
    LongFrame,
    order_of_texts,
    range_of,
    schema_of,
)
from tickline.pipelines.access.summaries.weeks import ARCHIVE

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = ["ARCHIVE_TABLES", "DATASET_TABLES", "Summaries", "Totals"]

DATASET_TABLES = {
    "by_day": ("date",),
    "by_week_asset": ("week_start", "asset_path"),
    "by_week_type": ("week_start", "asset_type"),
    "by_region": ("region",),
    "by_asset": ("asset_path",),
}
"""Tables of each dataset, and what their rows are about."""

ARCHIVE_TABLES = {
    "by_day": ("date",),
    "by_week_type": ("week_start", "asset_type"),
    "by_region": ("region",),
    "by_dataset": ("dataset",),
}
"""Tables of the archive."""

Totals = dict[str, int]

# So many rows of weeks and assets are held at a time, unless one dataset alone has more.
_ROWS_AT_A_TIME = 2**21
_Result = TypeVar("_Result")


class Summaries:
    """Summaries of a store as of one commit; made by `summarize`.

    Tables are read from the cache when they are asked for. If a file of it turns out to be damaged,
    everything is made anew without a word; if another run brought in new rows meanwhile, that is an error.
    """

    def __init__(
        self, cache: CacheFolder, state: State, catalog: Catalog, renew: "Callable[[], Summaries]"
    ) -> None:
        self._cache, self._state, self._catalog, self._renew = cache, state, catalog, renew
        self._reader = _Reader(cache, state)

    @property
    def commit(self) -> int:
        """The commit of the ledger that the summaries hold."""
        return self._state.commit

    @property
    def epoch(self) -> int:
        """The epoch of the ledger that the summaries belong to."""
        return self._state.epoch

    @property
    def datasets(self) -> tuple[str, ...]:
        """All datasets with at least one row, by the bytes of their names."""
        return tuple(sorted(self._state.datasets[1:], key=_utf8))

    @property
    def catalog_file(self) -> str | None:
        """SHA-256 of the catalog's file as it lies there; None without one."""
        return self._catalog.file_sha256

    @property
    def catalog(self) -> dict[str, Any] | None:
        """Hash and number of entries of the catalog; None without one."""
        if self._catalog.sha256 is None:
            return None
        return {"sha256": self._catalog.sha256, "entries": self._state.catalog_entries}

    def version(self, dataset: str | None) -> str:
        """Return a word that changes when the tables of a dataset (None: the archive) may have changed."""
        return f"{self._state.instance}:{self._state.changed[self._reader.number(dataset)]}"

    def totals(self, datasets: Sequence[str]) -> tuple[dict[str, Totals], Totals]:
        """Return the totals of some datasets, and those of the archive."""
        return self._reading(
            lambda reader: ({name: reader.totals(name) for name in datasets}, reader.totals(None))
        )

    def undetermined(self) -> Totals:
        """Return how many keys no dataset owns, and what was asked for under them."""
        return self._reading(lambda reader: reader.undetermined())

    def table(self, name: str, dataset: str | None = None) -> "pyarrow.Table":
        """Return one table of a dataset, or of the archive (`dataset` None).

        Parameters
        ----------
        name : str
            One of `DATASET_TABLES`, or of `ARCHIVE_TABLES` for the archive.
        dataset : str, optional
            Its name.

        Returns
        -------
        pyarrow.Table
            Sorted by its first columns: dates, then texts by their bytes. Sums are uint64, days date32.

        Raises
        ------
        UsageError
            There is no such dataset or table.
        """
        if name not in (ARCHIVE_TABLES if dataset is None else DATASET_TABLES):
            raise UsageError(f"there is no table {name!r}", where="name")
        return self._reading(lambda reader: reader.frames([dataset], [name])[0][name].table())

    def whole_table(self, name: str) -> "pyarrow.Table":
        """Return a table of all datasets below each other, with a first column ``dataset``; for queries."""
        if name not in DATASET_TABLES:
            raise UsageError(f"there is no table {name!r}", where="name")
        names = self.datasets

        def read(reader: "_Reader") -> "pyarrow.Table":
            if not names:
                return schema_of(("dataset", *DATASET_TABLES[name])).empty_table()
            frames = reader.frames(names, [name])
            return Frame.joined(
                "dataset", [(key, frame[name]) for key, frame in zip(names, frames, strict=True)]
            )

        return self._reading(read)

    def frames(self, datasets: Sequence[str]) -> Iterator[tuple[str, dict[str, Frame | LongFrame]]]:
        """Give all tables of datasets, of several datasets at a time as far as memory allows."""
        left = list(datasets)
        while left:
            some = self._reading(lambda reader, names=left: reader.some_frames(names))  # type: ignore[misc]
            yield from zip(left, some, strict=False)
            left = left[len(some) :]

    def archive_frames(self) -> dict[str, Frame | LongFrame]:
        """Return all tables of the archive."""
        return self._reading(lambda reader: reader.frames([None], list(ARCHIVE_TABLES))[0])

    def small_frames(self) -> list[dict[str, Frame]]:
        """Return the tables by day, by region and by asset of all datasets, and at the end the archive's."""
        names = ("by_day", "by_region", "by_asset")
        found = self._reading(
            lambda reader: [*reader.frames(self.datasets, names), *reader.frames([None], names[:2])]
        )
        return [{name: frame for name, frame in one.items() if isinstance(frame, Frame)} for one in found]

    def _reading(self, read: "Callable[[_Reader], _Result]") -> _Result:
        try:
            return read(self._reader)
        except DamagedCacheError:
            found = self._cache.load()
            renewed = found is not None and (found.instance, found.serial) != (
                self._state.instance,
                self._state.serial,
            )
            fresh = None if renewed else self._renew()
            if fresh is None or fresh.commit != self.commit:
                what = "the summaries were renewed by another run while they were read"
                raise TicklineError(what, hint="Run this again.") from None
            self._cache, self._state, self._reader = fresh._cache, fresh._state, fresh._reader
            return read(self._reader)


if TYPE_CHECKING:
    _Small = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]


class _Reader:
    """Reads one state of the cache, each piece once."""

    def __init__(self, cache: CacheFolder, state: State) -> None:
        self._cache, self._state = cache, state
        self.numbers = {name: number for number, name in enumerate(state.datasets) if number}
        self._totals: Arrays | None = None
        self._assets: AssetTable | None = None
        self._small: dict[str, _Small] = {}

    def number(self, dataset: str | None) -> int:
        number = ARCHIVE if dataset is None else self.numbers.get(dataset)
        if number is None:
            raise UsageError("is no dataset of this store", where=dataset)
        return number

    # ---- what is read ----------------------------------------------------------------------------

    def _sums(self) -> Arrays:
        import numpy as np

        if self._totals is None:
            if self._state.totals is None:
                empty = np.zeros((4, 0), np.uint64)
                self._totals = {"asset_sums": empty, "label": np.zeros(0, np.int64), "label_sums": empty}
            else:
                self._totals = self._cache.read(self._state, self._state.totals)
        return self._totals

    def _asset_table(self) -> "AssetTable":
        if self._assets is None:
            self._assets = AssetTable(self._cache, self._state)
        return self._assets

    def _by_week(self, name: str, per: int) -> "_Small":
        """Return dataset, day or type, sums, and Monday of all weeks; sorted by dataset, then Monday."""
        import numpy as np

        if name not in self._small:
            codes, sums, weeks = (
                [np.zeros(0, np.int64)],
                [np.zeros((4, 0), np.uint64)],
                [np.zeros(0, np.int64)],
            )
            for monday, file in sorted(self._state.weeks.items(), key=lambda item: int(item[0])):
                arrays = self._cache.read(self._state, file, name, f"{name}_sums")
                codes.append(arrays[name])
                sums.append(arrays[f"{name}_sums"])
                weeks.append(np.full(len(arrays[name]), int(monday)))
            code, total, week = np.concatenate(codes), np.concatenate(sums, axis=1), np.concatenate(weeks)
            order = np.argsort(code // per, kind="stable")
            code = code[order]
            self._small[name] = code // per, code % per, total[:, order], week[order]
        return self._small[name]

    # ---- totals ----------------------------------------------------------------------------------

    def _regions(self, dataset: int) -> "tuple[list[str], NDArray[np.uint64]]":
        import numpy as np

        sums = self._sums()
        begin, end = np.searchsorted(sums["label"], [dataset << 32, (dataset + 1) << 32])
        labels = [self._state.labels[code & 0xFFFFFFFF] for code in sums["label"][begin:end].tolist()]
        return labels, sums["label_sums"][:, begin:end]

    def totals(self, dataset: str | None) -> Totals:
        labels, sums = self._regions(self.number(dataset))
        numbers = [int(number) for number in sums.sum(axis=1, dtype="uint64")]
        regions, countries = count_places(labels)
        return {
            "total_bytes_sent": numbers[0],
            "number_of_requests": numbers[1],
            "number_of_downloads": numbers[2],
            "number_of_requesters": numbers[3],
            "number_of_unique_regions": regions,
            "number_of_unique_countries": countries,
        }

    def undetermined(self) -> Totals:
        import pyarrow.compute as pc

        if UNDETERMINED not in self.numbers:
            return {"keys": 0, "bytes_sent": 0, "number_of_requests": 0}
        paths = self._asset_table().paths_of(self.number(UNDETERMINED))
        totals = self.totals(UNDETERMINED)
        return {
            "keys": len(paths) - (pc.sum(pc.equal(paths, NO_PATH)).as_py() or 0),
            "bytes_sent": totals["total_bytes_sent"],
            "number_of_requests": totals["number_of_requests"],
        }

    # ---- tables ----------------------------------------------------------------------------------

    def some_frames(self, datasets: Sequence[str]) -> list[dict[str, Frame | LongFrame]]:
        """Return all tables of the first ones of these datasets."""
        import numpy as np

        table = self._asset_table()
        counts = np.zeros(len(self._state.datasets), np.int64)
        for file in self._state.weeks.values():
            asset = self._cache.read(self._state, file, "asset")["asset"]
            counts += np.bincount(table.datasets[asset], minlength=len(counts))
        rows = np.cumsum(counts[[self.number(dataset) for dataset in datasets]])
        some = max(int(np.searchsorted(rows, _ROWS_AT_A_TIME, side="right")), 1)
        return self.frames(datasets[:some], list(DATASET_TABLES))

    def frames(
        self, datasets: "Sequence[str | None]", names: Sequence[str]
    ) -> list[dict[str, Frame | LongFrame]]:
        """Return tables of datasets (None: of the archive)."""
        numbers = [self.number(dataset) for dataset in datasets]
        found: list[dict[str, Frame | LongFrame]] = [{} for _ in datasets]
        for name in names:
            if name == "by_week_asset":
                frames = self._week_assets(numbers)
            else:
                frames = [getattr(self, f"_{name}")(number) for number in numbers]
            for tables, frame in zip(found, frames, strict=True):
                tables[name] = frame
        return found

    def _by_day(self, dataset: int) -> Frame:
        datasets, codes, sums, weeks = self._by_week("day", 7)
        begin, end = range_of(datasets, dataset)
        return Frame({"date": _dates(weeks[begin:end] + codes[begin:end])}, sums[:, begin:end])

    def _by_week_type(self, dataset: int) -> Frame:
        import numpy as np
        import pyarrow as pa

        datasets, codes, sums, weeks = self._by_week("type", len(TYPES))
        begin, end = range_of(datasets, dataset)
        rank = np.argsort(np.argsort(TYPES))[codes[begin:end]]
        order = np.lexsort((rank, weeks[begin:end]))
        kinds = Coded(pa.array(sorted(TYPES)), rank)
        return Frame({"week_start": _dates(weeks[begin:end]), "asset_type": kinds}, sums[:, begin:end]).take(
            order
        )

    def _by_region(self, dataset: int) -> Frame:
        import numpy as np
        import pyarrow as pa

        labels, sums = self._regions(dataset)
        texts = pa.array(labels, pa.string())
        return Frame({"region": Coded(texts, np.arange(len(labels)))}, sums).take(order_of_texts(texts))

    def _by_asset(self, dataset: int) -> Frame:
        table = self._asset_table()
        assets = table.in_order(dataset)
        return Frame({"asset_path": Coded(table.paths, assets)}, self._sums()["asset_sums"][:, assets])

    def _by_dataset(self, _archive: int) -> Frame:
        import numpy as np
        import pyarrow as pa

        names = sorted(self.numbers, key=_utf8)
        sums = [self._regions(self.numbers[name])[1].sum(axis=1, dtype=np.uint64) for name in names]
        total = np.stack(sums, axis=1) if sums else np.zeros((4, 0), np.uint64)
        return Frame({"dataset": Coded(pa.array(names, pa.string()), np.arange(len(names)))}, total)

    def _week_assets(self, datasets: Sequence[int]) -> "list[Frame | LongFrame]":
        if len(datasets) == 1:
            return [LongFrame(lambda: (frame for _, frame in self._weeks_of(datasets)))]
        pieces: list[list[Frame]] = [[] for _ in datasets]
        for place, frame in self._weeks_of(datasets):
            pieces[place].append(frame)
        return [LongFrame(partial(iter, own)) for own in pieces]

    def _weeks_of(self, datasets: Sequence[int]) -> Iterator[tuple[int, Frame]]:
        """Give week by week the place of each dataset in the list, and its rows by the bytes of the paths."""
        import numpy as np

        table = self._asset_table()
        wanted = np.zeros(len(self._state.datasets), bool)
        wanted[list(datasets)] = True
        ranks = table.ranks(wanted)
        for monday, file in sorted(self._state.weeks.items(), key=lambda item: int(item[0])):
            arrays = self._cache.read(self._state, file, "asset", "asset_sums")
            asset, sums = arrays["asset"], arrays["asset_sums"]
            # Rows stand by dataset in the file.
            ordered = table.datasets[asset]
            begins = np.searchsorted(ordered, datasets)
            ends = np.searchsorted(ordered, datasets, side="right")
            for place in np.flatnonzero(begins < ends).tolist():
                begin, end = begins[place], ends[place]
                order = begin + np.argsort(ranks[asset[begin:end]])
                week = _dates(np.full(len(order), int(monday)))
                columns = {"week_start": week, "asset_path": Coded(table.paths, asset[order])}
                yield place, Frame(columns, sums[:, order])


def _dates(days: "NDArray[np.int64]") -> Coded:
    import numpy as np
    import pyarrow as pa

    found, codes = np.unique(days, return_inverse=True)
    return Coded(pa.array(found.astype(np.int32), pa.int32()).cast(pa.date32()), codes)


def _utf8(text: str) -> bytes:
    return text.encode()
