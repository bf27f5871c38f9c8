"""Which objects an S3 Inventory list names, so that a store can say how much of a bucket it has.

AWS delivers ``.../config-ID/<date>/manifest.json`` (schema and files), ``.../config-ID/data/*`` (the rows)
and ``.../config-ID/hive/dt=<date>/symlink.txt`` (files, without a schema); see "Amazon S3 Inventory" in its
user guide. A copy of all of this, of one inventory, or a table of bucket and key alone will do.
"""

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote_plus

from tickline.discovery import is_log_name
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.sources import open_source

__all__ = ["Inventory", "Listed", "open_inventory"]

_HINT = "Name a manifest.json, a folder of inventories, or a table of bucket and key (CSV, Parquet, ORC)."
_COPY_HINT = "Copy the inventory again, with its data files (aws s3 sync)."
_MOST_MANIFEST_BYTES = 64 * 2**20
_MOST_LINE_BYTES = 64 * 1024
_DEEPEST = 6
_DATE = re.compile(r"(?:dt=)?(\d{4}-\d\d-\d\d)[T-](\d\d-\d\d)Z?")
# What stands in a CSV without schema: AWS's order, with and without versions.
_CURRENT = ("bucket", "key", "size")
_VERSIONS = ("bucket", "key", "versionid", "islatest", "isdeletemarker", "size")
_WANTED = ("bucket", "key", "size", "islatest", "isdeletemarker")
_FORMATS = {"CSV": "csv", "PARQUET": "parquet", "ORC": "orc"}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """An object that an inventory names: ``s3://bucket/key``, and its size if that is listed."""

    name: str
    size: int | None


@dataclass(slots=True)
class Inventory:
    """An S3 Inventory list.

    Attributes
    ----------
    path : Path
        Its manifest, or the table itself.
    date : str
        When it was made, ``2024-05-01T01-00``; empty where nothing says so.
    files : list of Path
        The files with its rows.
    columns : tuple of str
        Their columns, in small letters and without underscores; empty: as each file says.
    left_out : collections.Counter
        What `logs` did not yield, by reason; filled as it goes.
    """

    path: Path
    date: str
    files: list[Path]
    kind: str
    columns: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)

    def logs(self) -> Iterator[Listed]:
        """Yield the current objects that are named like logs, in bounded memory, in the order of the files.

        Raises
        ------
        SourceError
            A file cannot be read, or has another shape.
        """
        self.left_out.clear()
        for file in self.files:
            rows = _csv_rows(file, self.columns) if self.kind == "csv" else _table_rows(file, self.kind)
            for row in rows:
                if (reason := _why_not(row)) is not None:
                    self.left_out[reason] += 1
                else:
                    yield Listed(f"s3://{row['bucket']}/{row['key']}", row.get("size"))


def _why_not(row: Row) -> str | None:
    if row.get("islatest") is False:
        return "older version"
    if row.get("isdeletemarker"):
        return "delete marker"
    base = row["key"].rpartition("/")[2]
    if base.startswith(".") or not is_log_name(base):
        return "not named like a log"
    return None


# ---- finding ----------------------------------------------------------------------------------------------


def open_inventory(raw: str | os.PathLike[str]) -> Inventory:
    """Find an inventory; of several of one list, the newest.

    Parameters
    ----------
    raw : str or os.PathLike
        ``manifest.json``, ``symlink.txt``, a folder of inventories, or a table (.csv, .csv.gz, .parquet,
        .orc) whose first columns are bucket and key.

    Raises
    ------
    UsageError
        There is no such file, or it is no inventory.
    SourceError
        It is one, but damaged, or files of it are missing.
    """
    text = os.fspath(raw)
    path = Path(text)
    if text[:5].lower() == "s3://":
        hint = "Copy it first: aws s3 sync."
        raise UsageError("inventories are read from local copies", where=text, hint=hint)
    if path.is_dir():
        path = _newest(path)
    elif not path.is_file():
        raise UsageError("does not exist or is no file", where=text, hint=_HINT)
    if path.name.endswith(".json"):
        return _from_manifest(path)
    if path.name == "symlink.txt":
        return _from_symlinks(path)
    bare = re.sub(r"\.(gz|zst)$", "", path.name.lower())
    kind = {".csv": "csv", ".parquet": "parquet", ".orc": "orc"}.get(PurePosixPath(bare).suffix)
    if kind is None:
        raise UsageError("is not named like an inventory", where=text, hint=_HINT)
    return Inventory(path, "", [path], kind)


def _date_of(path: Path) -> str:
    match = _DATE.fullmatch(path.parent.name)
    return f"{match[1]}T{match[2]}" if match else ""


def _newest(root: Path) -> Path:
    """Return the newest manifest below a folder, or its newest symlink.txt where that is newer."""
    lists: dict[Path, tuple[str, bool, Path]] = {}
    for folder, folders, names in os.walk(root):
        depth = len(Path(folder).relative_to(root).parts)
        folders[:] = sorted(name for name in folders if depth < _DEEPEST and name != "data")
        for name in {"manifest.json", "symlink.txt"}.intersection(names):
            path = Path(folder, name)
            is_manifest = name == "manifest.json"
            above = path.parent.parent if is_manifest else path.parent.parent.parent
            # Of the same date the manifest is better: it has a schema.
            lists[above] = max(lists.get(above, ("", False, path)), (_date_of(path), is_manifest, path))
    if not lists:
        raise UsageError("holds no inventory (no manifest.json)", where=str(root), hint=_HINT)
    if len(lists) > 1:
        some = ", ".join(sorted(str(above.relative_to(root)) for above in lists)[:5])
        hint = f"Name one of them: {some}."
        raise UsageError(f"holds {len(lists)} different inventory lists", where=str(root), hint=hint)
    return next(iter(lists.values()))[2]


def _read_small(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_MANIFEST_BYTES + 1)
    except OSError as error:
        raise explain_os_error(error, path) from error
    if len(data) > _MOST_MANIFEST_BYTES:
        raise SourceError("is too large for a list of files", where=str(path), hint=_HINT)
    return data


def _from_manifest(path: Path) -> Inventory:
    try:
        manifest = json.loads(_read_small(path))
        schema, entries = manifest["fileSchema"], manifest["files"]
        kind = _FORMATS[str(manifest.get("fileFormat", "CSV")).upper()]
        wanted = [(str(entry["key"]), int(entry.get("size", -1))) for entry in entries]
        columns = _columns(schema) if kind == "csv" else ()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = "is no manifest of an S3 Inventory (fileFormat, fileSchema, files)"
        raise SourceError(what, where=str(path), hint=_HINT) from error
    if kind == "csv" and not {"bucket", "key"}.issubset(columns):
        raise SourceError("its fileSchema has no Bucket and Key", where=str(path), hint=_HINT)
    files = []
    for key, size in wanted:
        file = _locate(path, key)
        if size >= 0 and file.stat().st_size != size:
            what = f"has {file.stat().st_size} bytes, where the manifest says {size}"
            raise SourceError(what, where=str(file), hint=_COPY_HINT)
        files.append(file)
    return Inventory(path, _date_of(path), files, kind, columns)


def _columns(schema: str) -> tuple[str, ...]:
    return tuple(name.strip().lower().replace("_", "") for name in schema.split(","))


def _from_symlinks(path: Path) -> Inventory:
    """Read a list of files; columns come from the manifest of the same date, if it is beside."""
    date = _date_of(path)
    manifest = path.parent.parent.parent / f"{date}Z" / "manifest.json"
    if date and manifest.is_file():
        return _from_manifest(manifest)
    try:
        keys = [line.removeprefix("s3://") for line in _read_small(path).decode().split() if line]
    except UnicodeDecodeError as error:
        raise SourceError("is no list of files", where=str(path), hint=_HINT) from error
    files = [_locate(path, key) for key in keys]
    suffixes = {file.suffix if file.suffix in (".parquet", ".orc") else ".csv" for file in files}
    if len(suffixes) != 1:
        raise SourceError("names no files, or files of several kinds", where=str(path), hint=_HINT)
    return Inventory(path, date, files, suffixes.pop()[1:])


def _locate(manifest: Path, key: str) -> Path:
    """Find a data file of the bucket in the local copy, of which only a part may be here.

    Of ``prefix/bucket/config/data/x.csv.gz`` the longest end that exists is taken, below the manifest's
    folder or one of those above it.
    """
    parts = [part for part in key.split("/") if part]
    if not parts or ".." in parts or "." in parts or "\0" in key:
        raise SourceError("names a file that cannot be one", where=str(manifest), hint=_COPY_HINT)
    folders = [manifest.absolute().parent, *manifest.absolute().parent.parents][: len(parts) + 3]
    for begin in range(len(parts)):
        for folder in folders:
            file = folder.joinpath(*parts[begin:])
            if file.is_file():
                return file
    raise SourceError(f"its data file {'/'.join(parts)} is not here", where=str(manifest), hint=_COPY_HINT)


# ---- rows -------------------------------------------------------------------------------------------------


def _lines(path: Path) -> Iterator[str]:
    """Yield lines, decompressed; keys are percent-coded there, so that no line break stands in a field."""
    rest = b""
    with open_source(path) as source:
        for chunk in source.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield _text(line, path)
            if len(rest) > _MOST_LINE_BYTES:
                raise SourceError("is no CSV: a line does not end", where=str(path), hint=_HINT)
    if rest:
        yield _text(rest, path)


def _text(line: bytes, path: Path) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise SourceError("is no CSV of an inventory: not UTF-8", where=str(path), hint=_HINT) from error


def _csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.reader(_lines(path), strict=True)
    try:
        for cells in reader:
            if not columns:
                columns, is_header = _guess_columns(cells)
                if is_header:
                    continue
            if cells:
                yield _row(dict(zip(columns, cells, strict=False)), path, reader.line_num)
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        raise SourceError("is no CSV of an inventory", where=where, hint=_HINT) from error


def _guess_columns(cells: list[str]) -> tuple[tuple[str, ...], bool]:
    """Tell the columns by the first line: it is a header, or in AWS's order, with versions or without."""
    names = _columns(",".join(cells))
    if {"bucket", "key"}.issubset(names):
        return names, True
    booleans = {"true", "false"}
    has_versions = len(cells) > 4 and booleans.issuperset(cell.lower() for cell in cells[3:5])
    return _VERSIONS if has_versions else _CURRENT, False


def _row(cells: dict[str, str], path: Path, line: int) -> Row:
    try:
        key = unquote_plus(cells["key"], errors="strict")
        row: Row = {"bucket": cells["bucket"], "key": key}
        if size := cells.get("size"):
            row["size"] = int(size)
        for name in ("islatest", "isdeletemarker"):
            if cells.get(name):
                row[name] = cells[name].lower() == "true"
    except (KeyError, ValueError) as error:
        what = "is no line of an inventory (bucket, key, size)"
        raise SourceError(what, where=f"{path}, line {line}", hint=_HINT) from error
    if not row["bucket"] or not row["key"]:
        raise SourceError("names no bucket or no key", where=f"{path}, line {line}", hint=_HINT)
    return row


def _table_rows(path: Path, kind: str) -> Iterator[Row]:
    """Yield the rows of Parquet or ORC; keys stand there as they are."""
    try:
        import pyarrow
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[access]'."
        raise TicklineError(f"{kind} inventories need pyarrow, which is not installed", hint=hint) from error
    batches = _parquet_batches(path) if kind == "parquet" else _orc_batches(path)
    try:
        for batch in batches:
            names = [_columns(name)[0] for name in batch.schema.names]
            if not {"bucket", "key"}.issubset(names):
                raise SourceError("has no columns bucket and key", where=str(path), hint=_HINT)
            columns = {name: batch.column(n).to_pylist() for n, name in enumerate(names) if name in _WANTED}
            for values in zip(*columns.values(), strict=True):
                row = dict(zip(columns, values, strict=True))
                if not row["bucket"] or not row["key"]:
                    raise SourceError("names no bucket or no key", where=str(path), hint=_COPY_HINT)
                yield row
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"is no readable {kind} file", where=str(path), hint=_COPY_HINT) from error


def _parquet_batches(path: Path) -> Iterator[Any]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        yield from file.iter_batches(16_384, columns=_chosen(file.schema_arrow.names))


def _orc_batches(path: Path) -> Iterator[Any]:
    import pyarrow.orc

    with path.open("rb") as source:
        file = pyarrow.orc.ORCFile(source)
        for stripe in range(file.nstripes):
            whole = file.read_stripe(stripe, columns=_chosen(file.schema.names))
            for begin in range(0, whole.num_rows, 16_384):
                yield whole.slice(begin, 16_384)


def _chosen(names: list[str]) -> list[str]:
    return [name for name in names if _columns(name)[0] in _WANTED]
