"""Numbers for keys and assets: every distinct key is looked up in the catalog once in the life of a cache.

Keys and assets are numbered as they come, and kept in segments: Arrow text and numpy numbers, appended to and
never changed. All work on rows is done with the numbers.
"""

from itertools import chain, count
from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.catalog.catalog import NO_PATH, UNDETERMINED, Catalog, Owner
from tickline.pipelines.access.summaries.cache import Arrays, CacheFolder, State

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = ["TYPES", "Assets", "asset_type", "text_of"]

TYPES = ("Neurophysiology", "Microscopy", "Video", "Miscellaneous")
"""Types of assets, by number."""

# Rules for shared content with which every owner counts something.
_EVERY_OWNER = ("all", "split")
_BY_SUFFIX = {
    **dict.fromkeys(("nwb",), 0),
    **dict.fromkeys(("nii", "ome", "tiff", "tif", "bvecs", "bvals", "trk"), 1),
    **dict.fromkeys(("mp4", "mov", "wmv", "avi", "mkv"), 2),
}


def asset_type(path: str) -> int:
    """Return the type of an asset by the suffixes of its name, as an index of `TYPES`.

    All suffixes count, whatever their case: ``a.nii.gz`` is Microscopy. ``.zarr`` is so only where it is the
    only suffix.
    """
    if "." not in path:
        return 3
    name = path[path.rfind("/") + 1 :].lower()
    suffixes = name.lstrip(".").split(".")[1:]
    if not suffixes or name.endswith("."):
        return 3
    if suffixes == ["zarr"]:
        return 1
    return min((_BY_SUFFIX.get(suffix, 3) for suffix in suffixes), default=3)


class Assets:
    """All keys that were seen, and what they stand for.

    Attributes
    ----------
    starts : ndarray of int64, one more than keys
        Where the owners of a key begin in `owners`.
    owners : ndarray of uint32
        Numbers of assets.
    key_types : ndarray of uint8
        For each key the type of its first owner in the catalog, whatever becomes of shared content.
    datasets : ndarray of uint32
        For each asset the number of its dataset.
    types : ndarray of uint8
        For each asset its type.
    """

    def __init__(self, cache: CacheFolder, state: State, catalog: Catalog, shared_content: str) -> None:
        self._cache = cache
        self._state = state
        self._catalog = catalog
        self._policy = shared_content
        self._numbers = {name: number for number, name in enumerate(state.datasets) if number}
        self._files: list[str | None] = [*state.segments]
        self._segments = [cache.read(state, file) for file in state.segments]
        self._keys = [text_of(segment["keys"]) for segment in self._segments]
        self._paths = [text_of(segment["paths"]) for segment in self._segments]
        self._join()

    def _join(self) -> None:
        import numpy as np

        def whole(name: str, dtype: Any) -> "NDArray[Any]":
            pieces = [segment[name] for segment in self._segments]
            return np.concatenate([np.empty(0, dtype), *pieces]).astype(dtype, copy=False)

        self.starts: NDArray[np.int64] = np.concatenate([[0], np.cumsum(whole("counts", np.int64))])
        self.owners: NDArray[np.uint32] = whole("owners", np.uint32)
        self.key_types: NDArray[np.uint8] = whole("key_types", np.uint8)
        self.datasets: NDArray[np.uint32] = whole("datasets", np.uint32)
        self.types: NDArray[np.uint8] = whole("types", np.uint8)

    def __len__(self) -> int:
        return len(self.datasets)

    @property
    def dataset_count(self) -> int:
        """The number of datasets, with the archive."""
        return len(self._state.datasets)

    def paths(self) -> "pyarrow.ChunkedArray":
        """Return the path of every asset, by number."""
        import pyarrow as pa

        return pa.chunked_array(self._paths, type=pa.large_string())

    def numbers_of(self, keys: "pyarrow.Array") -> "NDArray[np.int64]":
        """Return the numbers of distinct keys (null is one of them); new keys get new numbers."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = keys.cast(pa.large_string())
        numbers = np.full(len(keys), -1, dtype=np.int64)
        first = 0
        for known in self._keys:
            place = pc.index_in(known, value_set=keys)
            rows = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
            numbers[place.drop_null().to_numpy()] = rows + first
            first += len(known)
        missing = np.flatnonzero(numbers < 0)
        if len(missing):
            self._add(keys.take(pa.array(missing)))
            numbers[missing] = np.arange(first, first + len(missing))
        return numbers

    def _add(self, keys: "pyarrow.Array") -> None:
        import numpy as np
        import pyarrow as pa

        texts = keys.to_pylist()
        found = self._catalog.owners(texts)
        kept = found
        if self._policy not in _EVERY_OWNER:
            kept = [self._kept(key, owners) for key, owners in zip(texts, found, strict=True)]
        counts = np.fromiter(map(len, kept), np.int64, len(kept))
        flat = list(chain.from_iterable(kept))
        datasets = np.fromiter(map(self._dataset, (owner[0] for owner in flat)), np.uint32, len(flat))
        known = len(self)
        owners, fresh = self._asset_numbers(
            datasets, pa.array([owner[2] for owner in flat], pa.large_string())
        )
        paths = [flat[place][2] for place in fresh.tolist()]
        types = np.fromiter(map(asset_type, paths), np.uint8, len(paths))
        first = owners[np.cumsum(counts) - counts]
        key_types = np.concatenate([self.types, types])[first]
        if kept is not found:
            for row, (before, after) in enumerate(zip(found, kept, strict=True)):
                if before[0] is not after[0]:
                    key_types[row] = asset_type(before[0][2])
        segment: Arrays = {
            "counts": counts,
            "owners": owners,
            "key_types": key_types,
            "datasets": datasets[fresh],
            "types": types,
        }
        assert known + len(fresh) < 1 << 32  # noqa: S101 (asset numbers have 32 bits)
        self._append(segment, keys, pa.array(paths, pa.large_string()))

    def _append(self, segment: Arrays, keys: "pyarrow.Array", paths: "pyarrow.Array") -> None:
        self._segments.append(segment)
        self._keys.append(keys)
        self._paths.append(paths)
        self._files.append(None)
        while len(self._keys) > 1 and len(self._keys[-2]) < 2 * len(self._keys[-1]):
            self._merge_last()
        self._join()

    def _merge_last(self) -> None:
        import numpy as np
        import pyarrow as pa

        before, after = self._segments[-2:]
        names = ("counts", "owners", "key_types", "datasets", "types")
        self._segments[-2:] = [{name: np.concatenate([before[name], after[name]]) for name in names}]
        self._keys[-2:] = [pa.concat_arrays(self._keys[-2:])]
        self._paths[-2:] = [pa.concat_arrays(self._paths[-2:])]
        self._files[-2:] = [None]

    def _kept(self, key: str | None, owners: list[Owner]) -> list[Owner]:
        """Apply the rule for shared content."""
        if len(owners) < 2:
            return owners
        if self._policy == "first":
            return owners[:1]
        return [(UNDETERMINED, "", NO_PATH if key is None else self._catalog.text_of(key))]

    def _dataset(self, name: str) -> int:
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._state.datasets)
            self._state.datasets.append(name)
            self._state.changed.append(self._state.serial)
        return number

    def _asset_numbers(
        self, datasets: "NDArray[np.uint32]", paths: "pyarrow.Array"
    ) -> "tuple[NDArray[np.uint32], NDArray[np.int64]]":
        """Return the number of each asset, and where the new ones stand first."""
        import numpy as np
        import pyarrow.compute as pc

        coded = paths.dictionary_encode()
        codes = datasets.astype(np.uint64) << np.uint64(32) | coded.indices.to_numpy().astype(np.uint64)
        wanted, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        numbers = np.full(len(wanted), -1, dtype=np.int64)
        base = 0
        for segment, known in zip(self._segments, self._paths, strict=True):
            place = pc.index_in(known, value_set=coded.dictionary)
            rows = np.flatnonzero(place.is_valid().to_numpy(zero_copy_only=False))
            theirs = segment["datasets"][rows].astype(np.uint64) << np.uint64(32)
            theirs |= place.drop_null().to_numpy().astype(np.uint64)
            at = np.searchsorted(wanted, theirs)
            at[at == len(wanted)] = 0
            same = wanted[at] == theirs
            numbers[at[same]] = rows[same] + base
            base += len(known)
        fresh = np.flatnonzero(numbers < 0)
        numbers[fresh] = np.arange(base, base + len(fresh))
        return numbers[inverse].astype(np.uint32), first[fresh]

    def save(self) -> None:
        """Write the segments that are in memory only, and note all of them in the state."""
        serials = count()
        for number, (segment, file) in enumerate(zip(self._segments, self._files, strict=True)):
            if file is None:
                texts = {"keys": bytes_of(self._keys[number]), "paths": bytes_of(self._paths[number])}
                name = f"assets-{next(serials)}"
                self._files[number] = self._cache.write(self._state, name, {**segment, **texts})
        self._state.segments = [file for file in self._files if file is not None]


def bytes_of(text: "pyarrow.Array") -> "NDArray[np.uint8]":
    import numpy as np
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    batch = pa.record_batch([text], names=["text"])
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def text_of(data: "NDArray[np.uint8]") -> "pyarrow.Array":
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        return reader.read_next_batch().column(0)
