"""The folder of an export: files that appear whole, stay where nothing changed, and are on record."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.files import Folders, WholeFile, remove_temporary
from tickline.pipelines.access.export.names import escape_controls
from tickline.pipelines.access.export.record import Entry, ExportRecord, key_of
from tickline.pipelines.access.export.withheld import WithheldFrame
from tickline.pipelines.access.summaries.frames import Frame, LongFrame, schema_of
from tickline.store.parts import file_hash

if TYPE_CHECKING:
    import pyarrow

__all__ = ["OutputFolder", "escaped", "tsv_rows"]

_DOCUMENT = "-"
_THREADS = 8
_WAITING = 64
# Row groups are cut at this number of rows, whatever the tables came from.
_ROWS_PER_GROUP = 262_144
_CONTROL = r"[\x00-\x1f\x7f]"

Table = Frame | LongFrame | WithheldFrame


class OutputFolder:
    """An output folder being written; its record names every file before it is written for the first time.

    Parameters
    ----------
    record : ExportRecord
        What earlier runs wrote; the lock of the folder is its.
    made_of : str
        What the export is made of, for the record (`export_record.made_of`).
    written, unchanged, removed : list of str
        Are told what happened to each file.
    """

    def __init__(
        self, record: ExportRecord, made_of: str, written: list[str], unchanged: list[str], removed: list[str]
    ) -> None:
        self._record, self._made_of = record, made_of
        self._out = record.out
        self._written, self._unchanged, self._removed = written, unchanged, removed
        self._folders = Folders()
        self._places: dict[str, str] = {}
        self._names_of: dict[str, list[str]] = {}
        for name, entry in record.files.items():
            self._names_of.setdefault(entry["dataset"], []).append(name)
        self._open = False
        self._current: set[str] = set()
        # Most of the time of many small files is spent waiting for the disk, one by one.
        self._pool = ThreadPoolExecutor(_THREADS)
        self._waiting: deque[tuple[str, str, str, Future[None]]] = deque()
        if not record.complete:
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
                self._record.made_of = self._made_of
                self._record.save(complete=True)
        finally:
            self._pool.shutdown()

    # ---- the record ------------------------------------------------------------------------------

    def begin(self, places: dict[str, str]) -> None:
        """Say where each dataset of the store has its folder now; other datasets are gone."""
        self._places = places

    def holds(self, dataset: str | None, version: str) -> bool:
        """Tell whether all files of a dataset (None: the archive) are those written for a version."""
        if self._record.versions.get(key_of(dataset)) != version:
            return False
        names = self._names_of.get(key_of(dataset), [])
        place = None if dataset is None else self._places[dataset] + "/"
        if not names or not all(
            (place is None or name.startswith(place)) and self._record.stands(name) for name in names
        ):
            return False
        self._unchanged.extend(names)
        self._current.update(names)
        return True

    def finish(self, dataset: str | None, version: str) -> None:
        """Note that all files of a dataset are written."""
        self._record.versions[key_of(dataset)] = version

    def intend(self, files: "Iterable[tuple[str, str | None]]") -> None:
        """Name files and their datasets before they are written: the record on the disk knows them first."""
        known = self._record.files
        for name, dataset in files:
            if known.get(name, {}).get("dataset") != key_of(dataset):
                known[name] = {"dataset": key_of(dataset), "size": None, "mtime_ns": None, "hash": None}
        self._begin_writing()

    def _begin_writing(self) -> None:
        if not self._open:
            self._record.made_of = ""
            self._record.save(complete=False)
            self._open = True

    def _remove_stale(self) -> None:
        """Remove recorded files of datasets that are gone, or that have another folder now."""
        stale = [name for name, entry in self._record.files.items() if self._is_stale(name, entry)]
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
            del self._record.files[name]
        known = {key_of(dataset) for dataset in (None, *self._places)}
        versions = self._record.versions
        self._record.versions = {name: version for name, version in versions.items() if name in known}

    def _is_stale(self, name: str, entry: Entry) -> bool:
        if name in self._current or entry["dataset"] in (key_of(None), _DOCUMENT):
            return False
        place = self._places.get(entry["dataset"][1:])
        return place is None or not name.startswith(place + "/")

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

    def write_pieces(self, name: str, dataset: str | None, pieces: Iterable[bytes | memoryview]) -> None:
        """Write a file of a dataset (None: of the archive) piece by piece."""

        def write(sinks: "list[_Sink]") -> None:
            for piece in pieces:
                sinks[0].write(piece)

        self._write([name], key_of(dataset), write)

    def write_frame(self, name: str, dataset: str | None, keys: Sequence[str], frame: Table) -> None:
        """Write ``name.parquet`` and ``name.tsv`` in one pass; `keys` are the columns before the sums."""
        places = [f"{name}.parquet", f"{name}.tsv"]
        self._write(places, key_of(dataset), lambda sinks: _write_tables(keys, frame, *sinks))

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
        self._record.files[name] = {"dataset": dataset, **entry}

    def _is_same(self, name: str, size: int, digest: str) -> bool:
        path = self._out / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size != size:
            return False
        if self._record.stands(name):
            return bool(self._record.files[name]["hash"] == digest)
        return file_hash(path).hex() == digest


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


def _write_tables(keys: Sequence[str], frame: Table, parquet: _Sink, tsv: _Sink) -> None:
    """Write both forms; the bytes of the Parquet depend on the values alone.

    For that every row group has a fixed number of rows in one piece, and only Parquet itself codes texts.
    """
    import pyarrow.parquet as pq

    word = frame.word if isinstance(frame, WithheldFrame) else None
    schema = schema_of(keys, withheld=word is not None)
    tsv.write(("\t".join(schema.names) + "\n").encode())
    with pq.ParquetWriter(parquet, schema, compression="zstd", version="2.6", store_schema=False) as writer:
        for table in frame.tables(_ROWS_PER_GROUP):
            for piece in tsv_rows(table, word):
                tsv.write(piece)
            writer.write_table(table.cast(schema).combine_chunks(), _ROWS_PER_GROUP)


def tsv_rows(table: "pyarrow.Table", word: str | None = None) -> Iterator[memoryview]:
    """Give the rows of a table as TSV, without header; control bytes of texts become ``%XX``.

    `word` stands in the place of nulls; without one there are none.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pa.large_string()
    columns = [
        column.cast(text) if pa.types.is_primitive(column.type) else escaped(column.cast(text))
        for column in table.columns
    ]
    if word is not None:
        columns = [column.fill_null(word) for column in columns]
    columns[-1] = pc.binary_join_element_wise(columns[-1], pa.scalar("", text), pa.scalar("\n", text))
    rows = pc.binary_join_element_wise(*columns, pa.scalar("\t", text))
    for chunk in rows.chunks:
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, np.int64)[[chunk.offset, chunk.offset + len(chunk)]]
        yield memoryview(data)[int(ends[0]) : int(ends[1])]


def escaped(column: "pyarrow.ChunkedArray") -> "pyarrow.ChunkedArray":
    """Return texts with ``%XX`` in the place of control bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    odd = pc.match_substring_regex(column, _CONTROL)
    if not pc.any(odd).as_py():
        return column
    texts = [escape_controls(text) for text in column.filter(odd).to_pylist()]
    return pc.replace_with_mask(column.combine_chunks(), odd.combine_chunks(), pa.array(texts, column.type))
