"""The folder ``store/cache/<key>``: immutable files of numbers, and one record that says which of them hold.

A file is written under a new name, and the record is swapped last: killed at any moment, the old state or the
new one stands. Every file has a checksum in the record. Whatever does not fit raises `DamagedCacheError`, and
the caller makes everything anew: nothing here is more than the result of a computation.
"""

import contextlib
import json
import math
import mmap
import os
import secrets
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, explain_os_error
from tickline.files import TEMPORARY_PREFIX, Folders, WholeFile, take_lock

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CATALOGS", "Arrays", "CacheFolder", "DamagedCacheError", "State", "lock_cache"]

FORMAT = 1
"""Part of the name of the folder: raise it with every change of meaning or layout."""

CATALOGS = "catalogs"
"""The one folder of ``store/cache`` that holds no summaries, see `catalog_sources`."""

_STATE = "state.json"
_LOCK = "lock"
_ALIGN = 64
_TAIL = 8
_KEPT_FOLDERS = 4

Arrays = dict[str, "NDArray[Any]"]
Kinds = dict[str, tuple[str, tuple[int, ...]]]


class DamagedCacheError(Exception):
    """A file of the cache is missing or not what was written."""


@dataclass
class State:
    """What the cache holds; swapped as a whole.

    Attributes
    ----------
    instance : str
        A random word of the cache; another one after it was made anew.
    commit, mark : int
        The commit of the ledger up to which all days but `pending` hold, and the time that commit was made.
    serial : int
        Counts states; part of the names of new files.
    pending : list of int
        Days (since 1970) that are still to be summed up.
    files : dict
        Name to size and CRC-32 of the index at its end, which has the checksums of the arrays.
    weeks : dict
        Monday (days since 1970, as text) to the file of the week.
    segments : list of str
        Files of keys and assets, in the order of their numbers.
    runs : dict of list of str
        Files of sorted pairs, the oldest first.
    totals : str or None
        The file of sums over all time.
    datasets : list of str
        Names by number; number 0 is the archive.
    changed : list of int
        For each dataset the serial at which its sums last changed.
    labels : list of str
        Names of regions by number.
    sums : dict
        Monday to bytes, requests and downloads of the week.
    catalog_entries : int
        How many rows the catalog has.
    """

    instance: str = field(default_factory=lambda: secrets.token_hex(8))
    epoch: int = 0
    commit: int = 0
    mark: int = 0
    serial: int = 0
    pending: list[int] = field(default_factory=list)
    files: dict[str, list[int]] = field(default_factory=dict)
    weeks: dict[str, str] = field(default_factory=dict)
    segments: list[str] = field(default_factory=list)
    runs: dict[str, list[str]] = field(default_factory=lambda: {"assets": [], "datasets": []})
    totals: str | None = None
    datasets: list[str] = field(default_factory=lambda: [""])
    changed: list[int] = field(default_factory=lambda: [0])
    labels: list[str] = field(default_factory=list)
    sums: dict[str, list[int]] = field(default_factory=dict)
    catalog_entries: int = 0

    def named(self) -> set[str]:
        """Return all files that this state needs."""
        runs = {name for names in self.runs.values() for name in names}
        return {*self.weeks.values(), *self.segments, *runs, *([self.totals] if self.totals else [])}


class CacheFolder:
    """One folder of the cache."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folders = Folders()

    def load(self) -> State | None:
        """Return the state, or None if there is none; a damaged one is as good as none."""
        try:
            record = json.loads((self.path / _STATE).read_bytes())
            body = record["state"]
            if record["crc"] != _checksum(body):
                return None
            state = State(**body)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return state if state.named() <= state.files.keys() and self._stands(state) else None

    def _stands(self, state: State) -> bool:
        try:
            sizes = {entry.name: entry.stat().st_size for entry in os.scandir(self.path)}
        except OSError:
            return False
        return all(sizes.get(name) == size for name, (size, _) in state.files.items())

    def touch(self) -> None:
        """Note that this folder was used."""
        with contextlib.suppress(OSError):
            os.utime(self.path / _STATE)

    def write(self, state: State, name: str, arrays: Arrays) -> str:
        """Write a file of arrays, note it in the state, and return its name."""
        import numpy as np

        kinds = {key: (array.dtype.str, array.shape) for key, array in arrays.items()}
        return self.write_pieces(
            state, name, kinds, ([np.ascontiguousarray(array)] for array in arrays.values())
        )

    def write_pieces(
        self, state: State, name: str, kinds: "Kinds", arrays: "Iterable[Iterable[NDArray[Any]]]"
    ) -> str:
        """Write a file of arrays given piece by piece; `kinds` has type and shape of each one."""
        file = f"{name}-{state.serial}.bin"
        sink = WholeFile(self.path / file, self.folders)
        index: dict[str, Any] = {}
        size = 0
        try:
            for (key, (dtype, shape)), pieces in zip(kinds.items(), arrays, strict=True):
                place, checksum = size, 0
                for piece in pieces:
                    if piece.nbytes:
                        sink.write(piece.reshape(-1).view("uint8").data)  # type: ignore[arg-type]
                        size, checksum = size + piece.nbytes, _checksum_of(piece.reshape(-1), checksum)
                size += sink.write(bytes(-size % _ALIGN))
                index[key] = [dtype, list(shape), place, checksum]
            text = json.dumps(index).encode()
            sink.write(text + len(text).to_bytes(_TAIL, "little"))
            sink.commit()
        finally:
            sink.abort()
        state.files[file] = [size + len(text) + _TAIL, zlib.crc32(text)]
        return file

    def read(self, state: State, file: str, *names: str, mapped: bool = False) -> Arrays:
        """Return arrays of a file, all of them if none is named; `mapped` ones are not copied into memory.

        Raises
        ------
        DamagedCacheError
            It is not the file that was written.
        """
        size, checksum = state.files[file]
        try:
            with (self.path / file).open("rb", buffering=0) as source:
                descriptor = source.fileno()
                if os.fstat(descriptor).st_size != size:
                    raise DamagedCacheError(file)
                length = int.from_bytes(os.pread(descriptor, _TAIL, size - _TAIL), "little")
                text = os.pread(descriptor, length, max(size - _TAIL - length, 0))
                if zlib.crc32(text) != checksum:
                    raise DamagedCacheError(file)
                # Mapped files are never changed nor cut: they get other names, and go away by their names.
                whole = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) if mapped else None
                index = json.loads(text)
                return {name: _array(file, descriptor, whole, *index[name]) for name in names or index}
        except OSError as error:
            raise DamagedCacheError(file) from error

    def save(self, state: State) -> None:
        """Swap the state; then take away the files that the old one needed."""
        needed = state.named()
        state.files = {name: state.files[name] for name in sorted(needed)}
        body = asdict(state)
        record = {"crc": _checksum(body), "state": body}
        self.folders.sync()
        sink = WholeFile(self.path / _STATE, self.folders)
        try:
            sink.write(json.dumps(record).encode())
            sink.commit()
        finally:
            sink.abort()
        self.folders.sync()
        for entry in os.scandir(self.path):
            if entry.name not in needed and (
                entry.name.endswith(".bin") or entry.name.startswith(TEMPORARY_PREFIX)
            ):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()

    def clear(self) -> None:
        """Throw everything away."""
        shutil.rmtree(self.path, ignore_errors=True)

    def forget_others(self, epoch: int) -> None:
        """Remove folders of earlier epochs, and of others all but those used last."""
        others = []
        for entry in os.scandir(self.path.parent):
            if not entry.is_dir(follow_symlinks=False) or entry.name in (self.path.name, CATALOGS):
                continue
            state = Path(entry.path, _STATE)
            try:
                used = state.stat().st_mtime_ns
                old = json.loads(state.read_bytes())["state"]["epoch"] != epoch
            except (OSError, ValueError, KeyError, TypeError):
                used, old = 0, True
            others.append((not old, used, entry.path))
        keep = [path for good, _, path in sorted(others, reverse=True) if good][:_KEPT_FOLDERS]
        for _, _, path in others:
            if path not in keep:
                shutil.rmtree(path, ignore_errors=True)


def _array(
    file: str,
    descriptor: int,
    whole: mmap.mmap | None,
    dtype: str,
    shape: list[int],
    place: int,
    checksum: int,
) -> "NDArray[Any]":
    import numpy as np

    kind, count = np.dtype(dtype), math.prod(shape)
    if whole is not None:
        found: NDArray[Any] = np.frombuffer(whole, kind, count, place)
    else:
        found = np.empty(count, kind)
        view, begin = found.view(np.uint8).data, 0
        while begin < len(view):
            got = os.preadv(descriptor, [view[begin:]], place + begin)
            if not got:
                raise DamagedCacheError(file)
            begin += got
    if _checksum_of(found, 0) != checksum:
        raise DamagedCacheError(file)
    return found.reshape(shape)


def _checksum_of(values: "NDArray[Any]", before: int) -> int:
    import numpy as np

    if values.dtype == np.uint64:
        # Sets of pairs grow with the history and are checked every day: this is four times as fast as CRC-32.
        return before ^ int(np.bitwise_xor.reduce(values, initial=0))
    return zlib.crc32(values.view(np.uint8).data, before)


def _checksum(body: Any) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


@contextlib.contextmanager
def lock_cache(cache: Path, doing: str = "making summaries of this store") -> Iterator[None]:
    """Hold the lock of all summaries of a store, or of all its catalogs; it ends with the process.

    Raises
    ------
    TicklineError
        Another run holds it.
    """
    try:
        cache.mkdir(exist_ok=True)
        descriptor = take_lock(cache / _LOCK)
    except BlockingIOError as error:
        what = f"another run is {doing}"
        raise TicklineError(what, where=str(cache.parent), hint="Wait until it ends.") from error
    except OSError as error:
        raise explain_os_error(error, cache) from error
    try:
        yield
    finally:
        os.close(descriptor)
