"""The folder of an export: files that appear whole, stay where nothing changed, and are on record."""

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import TicklineError
from tickline.files import Folders, WholeFile, remove_temporary, write_whole
from tickline.pipelines.access.state import FOLDER, lock
from tickline.pipelines.access.summary_frames import Frame, LongFrame, schema_of
from tickline.store.parts import file_hash

if TYPE_CHECKING:
    import pyarrow

__all__ = ["OutputFolder", "tsv_rows"]

_RECORD = "export.json"
_FORMAT = 1
_DOCUMENT = "-"
_THREADS = 8
_WAITING = 64
# Row groups are cut at this number of rows, whatever the tables came from.
_ROWS_PER_GROUP = 262_144
_CONTROL = r"[\x00-\x1f\x7f]"

Entry = dict[str, Any]


class OutputFolder:
    """An output folder, locked.

    The record ``.tickline/export.json`` names every file before it is written for the first time; so files of
    a killed run are known too. It holds for each file ``size``, ``mtime_ns`` and ``hash`` (null until the
    file is finished) and ``dataset`` (``*`` for the archive, ``-`` for documents, else ``=`` and its name),
    and for each dataset its version.
    """

    def __init__(self, out: Path, written: list[str], unchanged: list[str], removed: list[str]) -> None:
        self._out = out
        self._written, self._unchanged, self._removed = written, unchanged, removed
        self._folders = Folders()
        self._lock = lock(out)
        self._path = out / FOLDER / _RECORD
        self._files: dict[str, Entry] = {}
        self._versions: dict[str, str] = {}
        self._places: dict[str, str] = {}
        self._names_of: dict[str, list[str]] = {}
        self._open = False
        self._current: set[str] = set()
        # Most of the time of many small files is spent waiting for the disk, one by one.
        self._pool = ThreadPoolExecutor(_THREADS)
        self._waiting: deque[tuple[str, str, str, Future[None]]] = deque()
        try:
            self._load()
        except BaseException:
            os.close(self._lock)
            raise

    def _load(self) -> None:
        try:
            record = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return
        except (ValueError, RecursionError):
            # Then every file is compared with what it ought to be, and none is removed.
            return
        number = record.get("format") if isinstance(record, dict) else None
        if isinstance(number, int) and number > _FORMAT:
            what = "was written by a newer version of tickline"
            raise TicklineError(
                what, where=str(self._path), hint="Update tickline, or choose another folder."
            )
        if number == _FORMAT and _is_record(record):
            self._files, self._versions = record["files"], record["versions"]
            for name, entry in self._files.items():
                self._names_of.setdefault(entry["dataset"], []).append(name)
            if not record["complete"]:
                remove_temporary(self._out)

    def __enter__(self) -> "OutputFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._waiting and kind is None:
                self._await_one()
            self._pool.shutdown()
            if kind is None:
                self._remove_stale()
                self._folders.sync()
                self._save(complete=True)
        finally:
            self._pool.shutdown()
            os.close(self._lock)

    # ---- the record ------------------------------------------------------------------------------

    def begin(self, places: dict[str, str]) -> None:
        """Say where each dataset of the store has its folder now; other datasets are gone."""
        self._places = places

    def holds(self, dataset: str | None, version: str) -> bool:
        """Tell whether all files of a dataset (None: the archive) are those written for a version."""
        if self._versions.get(_key(dataset)) != version:
            return False
        names = self._names_of.get(_key(dataset), [])
        place = None if dataset is None else self._places[dataset] + "/"
        if not names or not all(
            (place is None or name.startswith(place)) and self._stands(name) for name in names
        ):
            return False
        self._unchanged.extend(names)
        self._current.update(names)
        return True

    def _stands(self, name: str) -> bool:
        entry = self._files.get(name)
        try:
            status = os.stat(self._out / name, follow_symlinks=False)
        except OSError:
            return False
        return entry is not None and (entry["size"], entry["mtime_ns"]) == (
            status.st_size,
            status.st_mtime_ns,
        )

    def finish(self, dataset: str | None, version: str) -> None:
        """Note that all files of a dataset are written."""
        self._versions[_key(dataset)] = version

    def _save(self, *, complete: bool) -> None:
        record = {"format": _FORMAT, "complete": complete, "files": self._files, "versions": self._versions}
        data = json.dumps(record, sort_keys=True, indent=0).encode() + b"\n"
        if not self._path.is_file() or self._path.read_bytes() != data:
            write_whole(self._path, data)

    def intend(self, files: "Iterable[tuple[str, str | None]]") -> None:
        """Name files and their datasets before they are written: the record on the disk knows them first."""
        for name, dataset in files:
            if self._files.get(name, {}).get("dataset") != _key(dataset):
                self._files[name] = {"dataset": _key(dataset), "size": None, "mtime_ns": None, "hash": None}
        self._begin_writing()

    def _begin_writing(self) -> None:
        if not self._open:
            self._save(complete=False)
            self._open = True

    def _remove_stale(self) -> None:
        """Remove recorded files of datasets that are gone, or that have another folder now."""
        stale = [name for name, entry in self._files.items() if self._is_stale(name, entry)]
        if stale:
            self._begin_writing()
        for name in stale:
            (self._out / name).unlink(missing_ok=True)
            self._removed.append(name)
        for folder in sorted({(self._out / name).parent for name in stale}):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                self._folders.changed(folder.parent)
            elif folder.is_dir():
                self._folders.changed(folder)
        for name in stale:
            del self._files[name]
        known = {_key(dataset) for dataset in (None, *self._places)}
        self._versions = {name: version for name, version in self._versions.items() if name in known}

    def _is_stale(self, name: str, entry: Entry) -> bool:
        if name in self._current or entry["dataset"] in (_key(None), _DOCUMENT):
            return False
        place = self._places.get(entry["dataset"][1:])
        return place is None or not name.startswith(place + "/")

    def digest(self) -> str:
        """Return a hash of the names and hashes of all files on record, for what is made of them."""
        hashed = _core.ContentHash()
        for name, entry in sorted(self._files.items()):
            hashed.update(json.dumps([name, entry["hash"]]).encode())
        return hashed.digest().hex()

    # ---- files -----------------------------------------------------------------------------------

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a small file that belongs to no dataset."""
        self._current.add(name)
        path = self._out / name
        if path.is_file() and not path.is_symlink() and path.read_bytes() == data:
            self._unchanged.append(name)
            # A killed run may have written it without a word in the record.
            hashed = _core.ContentHash()
            hashed.update(data)
            self._note(name, _DOCUMENT, hashed.digest().hex())
            return
        self._begin_writing()
        self._write([name], _DOCUMENT, lambda sinks: sinks[0].write(data))

    def write_frame(
        self, name: str, dataset: str | None, keys: Sequence[str], frame: Frame | LongFrame
    ) -> None:
        """Write ``name.parquet`` and ``name.tsv`` in one pass; `keys` are the columns before the sums."""
        places = [f"{name}.parquet", f"{name}.tsv"]
        self._write(places, _key(dataset), lambda sinks: _write_tables(keys, frame, *sinks))

    def _write(self, names: list[str], dataset: str, write: "Callable[[list[_Sink]], object]") -> None:
        files: list[WholeFile] = []
        try:
            files += [WholeFile(self._out / name, self._folders) for name in names]
            sinks = [_Sink(file) for file in files]
            write(sinks)
            for name, sink in zip(names, sinks, strict=True):
                self._settle(name, dataset, files[0], sink)
                del files[0]
        finally:
            for file in files:
                file.abort()
        while len(self._waiting) > _WAITING:
            self._await_one()

    def _settle(self, name: str, dataset: str, file: WholeFile, sink: "_Sink") -> None:
        """Give a file its name, unless the one that is there has the same bytes."""
        digest = sink.hashed.digest().hex()
        self._current.add(name)
        if self._is_same(name, sink.size, digest):
            file.abort()
            self._unchanged.append(name)
            self._note(name, dataset, digest)
            return
        self._written.append(name)
        # From here on the file belongs to the pool.
        self._waiting.append((name, dataset, digest, self._pool.submit(file.commit)))

    def _await_one(self) -> None:
        name, dataset, digest, done = self._waiting.popleft()
        done.result()
        self._note(name, dataset, digest)

    def _note(self, name: str, dataset: str, digest: str) -> None:
        status = (self._out / name).stat()
        entry = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "hash": digest}
        self._files[name] = {"dataset": dataset, **entry}

    def _is_same(self, name: str, size: int, digest: str) -> bool:
        path = self._out / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
            return False
        if self._stands(name):
            return bool(self._files[name]["hash"] == digest)
        return file_hash(path).hex() == digest


def _key(dataset: str | None) -> str:
    # A dataset may have any name, an empty one too.
    return "*" if dataset is None else f"={dataset}"


def _is_record(record: dict[str, Any]) -> bool:
    files, versions = record.get("files"), record.get("versions")
    return (
        isinstance(files, dict)
        and isinstance(versions, dict)
        and isinstance(record.get("complete"), bool)
        and all(
            isinstance(entry, dict)
            and {"dataset", "size", "mtime_ns", "hash"} <= entry.keys()
            and isinstance(entry["dataset"], str)
            and not name.startswith("/")
            and ".." not in name.split("/")
            for name, entry in files.items()
        )
    )


class _Sink:
    """What pyarrow wants of a file: bytes go into the file and into its hash."""

    def __init__(self, file: WholeFile) -> None:
        self._file = file
        self.hashed = _core.ContentHash()
        self.size = 0
        self.closed = False

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        self.hashed.update(view)
        self.size += view.nbytes
        return self._file.write(view)  # type: ignore[arg-type]

    def tell(self) -> int:
        return self.size

    def flush(self) -> None: ...

    def close(self) -> None: ...


def _write_tables(keys: Sequence[str], frame: Frame | LongFrame, parquet: _Sink, tsv: _Sink) -> None:
    """Write both forms; the bytes of the Parquet depend on the values alone.

    For that every row group has a fixed number of rows in one piece, and only Parquet itself codes texts.
    """
    import pyarrow.parquet as pq

    schema = schema_of(keys)
    tsv.write(("\t".join(schema.names) + "\n").encode())
    with pq.ParquetWriter(parquet, schema, compression="zstd", version="2.6", store_schema=False) as writer:
        for table in frame.tables(_ROWS_PER_GROUP):
            for piece in tsv_rows(table):
                tsv.write(piece)
            writer.write_table(table.cast(schema).combine_chunks(), _ROWS_PER_GROUP)


def tsv_rows(table: "pyarrow.Table") -> Iterator[memoryview]:
    """Give the rows of a table as TSV, without header; control bytes of texts become ``%XX``."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pa.large_string()
    columns = [
        column.cast(text) if pa.types.is_primitive(column.type) else _escaped(column.cast(text))
        for column in table.columns
    ]
    columns[-1] = pc.binary_join_element_wise(columns[-1], pa.scalar("", text), pa.scalar("\n", text))
    rows = pc.binary_join_element_wise(*columns, pa.scalar("\t", text))
    for chunk in rows.chunks:
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, np.int64)[[chunk.offset, chunk.offset + len(chunk)]]
        yield memoryview(data)[int(ends[0]) : int(ends[1])]


def _escaped(column: "pyarrow.ChunkedArray") -> "pyarrow.ChunkedArray":
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.match_substring_regex(column, _CONTROL)
    if not pc.any(odd).as_py():
        return column
    texts = [_escape(text) for text in column.filter(odd).to_pylist()]
    return pc.replace_with_mask(column.combine_chunks(), odd.combine_chunks(), pa.array(texts, column.type))


def _escape(text: str) -> str:
    return "".join(f"%{ord(char):02X}" if char < " " or char == "\x7f" else char for char in text)
