"""The summary tables of dandi_s3_log_parser: how they look and are read, and those of the archive.

A table is TSV with a header, one text and one sum: ``date``, ``region`` or ``asset_path``, and
``bytes_sent``. Dates and the archive's regions ascend, all other tables begin with the most bytes. Fields
are quoted as pandas quotes them (`csv.QUOTE_MINIMAL`): only where a tab, a quote or the end of a line
stands inside.

`write_archive_summaries` reads the tables of a mapped tree on disk, whoever made it.
"""

import contextlib
import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tickline.errors import SourceError, UsageError, explain_os_error
from tickline.files import write_whole
from tickline.pipelines.access.state import lock

__all__ = [
    "ARCHIVE_FILES",
    "ASSET",
    "DATASET_FILES",
    "DAY",
    "NAMES",
    "REGION",
    "VERSION_FILES",
    "Tables",
    "archive_tables",
    "dataset_names",
    "datasets_of",
    "field",
    "has_tables",
    "locked",
    "natural_key",
    "read_sums",
    "read_tables",
    "rows_of",
    "some_datasets_of",
    "sums_of",
    "write_archive_summaries",
    "write_changed",
]

DAY, REGION, ASSET = "date", "region", "asset_path"
"""First columns; the second one is always ``bytes_sent``."""

VERSION_FILES = {
    DAY: "version_summary_by_day.tsv",
    REGION: "version_summary_by_region.tsv",
    ASSET: "version_summary_by_asset.tsv",
}
"""Tables of each version, by first column."""

DATASET_FILES = {
    DAY: "dandiset_summary_by_day.tsv",
    REGION: "dandiset_summary_by_region.tsv",
    ASSET: "dandiset_summary_by_asset.tsv",
}
"""Tables of each dandiset, by first column."""

ARCHIVE_FILES = {DAY: "archive_summary_by_day.tsv", REGION: "archive_summary_by_region.tsv"}
"""Tables of the archive, by first column."""

NAMES = "names.tsv"
"""What is not called as it is called in the catalog; only there if there is anything."""

NAMES_HEADER = ("file", "dandiset", "version", "asset_path")

Sums = dict[str, int]
"""Bytes by date, region or asset path."""

_LIMIT = 1 << 64
# 3,000 regions and 10,000 days are many.
_LARGEST_BYTES = 64 * 2**20
_DIGITS = re.compile(r"(\d+)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_QUOTED = re.compile('[\t"\r\n]')
_MAKE_AGAIN = "Make the mapped tree again, or copy it again from where it was made."


# ---- tables as bytes -------------------------------------------------------------------------------


def field(text: str) -> str:
    """Return a text as it stands in a table."""
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def rows_of(column: str, rows: Iterable[tuple[str, int]]) -> Iterator[bytes]:
    """Give a table line by line, its header first."""
    yield f"{column}\tbytes_sent\n".encode()
    for text, number in rows:
        yield f"{field(text)}\t{number}\n".encode()


def natural_key(text: str) -> tuple[tuple[str, tuple[int, str]], ...]:
    """Order texts as the package natsort does by default: digits as numbers, letters in their NFD form.

    ``AWS/eu-west-2`` comes before ``AWS/eu-west-10``. A number is compared by its length first: there is no
    limit to its digits.
    """
    pieces = _DIGITS.split(unicodedata.normalize("NFD", text))
    numbers = ["".join(str(unicodedata.decimal(char)) for char in digits) for digits in pieces[1::2]]
    shown = [digits.lstrip("0") for digits in numbers]
    sizes = [(len(digits), digits) for digits in shown]
    return tuple(zip(pieces[::2], [*sizes, (-1, "")], strict=True))


def _add_to(total: Sums, sums: Mapping[str, int], where: Path) -> None:
    """Add sums to others; a whole that passes 2**64 - 1 is a `SourceError`."""
    for text, number in sums.items():
        total[text] = total.get(text, 0) + number
    if sum(total.values()) >= _LIMIT:
        raise SourceError("the bytes of all dandisets pass 2**64 - 1", where=str(where), hint=_MAKE_AGAIN)


def archive_tables(days: Mapping[str, int], regions: Mapping[str, int]) -> dict[str, bytes]:
    """Return both tables of the archive by file name: dates and regions in natural order."""
    return {
        ARCHIVE_FILES[column]: b"".join(
            rows_of(column, sorted(sums.items(), key=lambda row: (natural_key(row[0]), row[0])))
        )
        for column, sums in ((DAY, days), (REGION, regions))
    }


# ---- tables on disk --------------------------------------------------------------------------------


def read_sums(path: Path, column: str) -> Sums:
    """Read a table by day or region.

    Parameters
    ----------
    path : Path
        The file; line ends may be CR LF.
    column : str
        What its first column is called: ``date`` or ``region``.

    Returns
    -------
    dict of str to int
        In the order of the file; of texts that stand there twice the sum.

    Raises
    ------
    SourceError
        It is missing, cut, or no such table; the message names the line.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SourceError("is too large for such a table", where=str(path), hint=_MAKE_AGAIN)
        with path.open(encoding="utf-8", newline="") as file:
            return _parsed(file, path, column)
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise explain_os_error(error, path) from error


def _parsed(file: io.TextIOWrapper, path: Path, column: str) -> Sums:
    sums: Sums = {}
    rows = csv.reader(_whole_lines(file, path), delimiter="\t", strict=True)
    try:
        if next(rows, None) != [column, "bytes_sent"]:
            raise _wrong(path, 1, f"does not name the columns {column!r} and 'bytes_sent'")
        for row in rows:
            text, size = _checked(row, column, path, rows.line_num)
            sums[text] = sums.get(text, 0) + size
    except (csv.Error, UnicodeDecodeError) as error:
        raise _wrong(path, rows.line_num + 1, f"cannot be read ({error})") from error
    return sums


def _whole_lines(file: io.TextIOWrapper, path: Path) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        if not line.endswith("\n"):
            raise _wrong(path, number, "has no end: the file is cut")
        yield line


def _checked(row: list[str], column: str, path: Path, number: int) -> tuple[str, int]:
    if len(row) != 2:
        raise _wrong(path, number, f"has {len(row)} columns, not 2")
    text, size = row
    if column == DAY and not _DATE.fullmatch(text):
        raise _wrong(path, number, "has no date")
    if not text:
        raise _wrong(path, number, f"has no {column}")
    if not _NUMBER.fullmatch(size) or int(size) >= _LIMIT:
        raise _wrong(path, number, "has no number of bytes")
    return text, int(size)


def _wrong(path: Path, line: int, what: str) -> SourceError:
    return SourceError(f"the table cannot be used: line {line} {what}", where=str(path), hint=_MAKE_AGAIN)


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables of a dandiset or of the archive say: bytes by date and by region."""

    days: Sums
    regions: Sums


def read_tables(folder: Path, names: Mapping[str, str]) -> Tables:
    """Read the tables by day and by region of one folder, which must say the same in all.

    A table that was cut between two lines looks whole; its sum does not.

    Parameters
    ----------
    folder : Path
        Where they are.
    names : mapping of str to str
        `DATASET_FILES` or `ARCHIVE_FILES`.

    Raises
    ------
    SourceError
        One is missing, cut or none, or they contradict each other.
    """
    days, regions = read_sums(folder / names[DAY], DAY), read_sums(folder / names[REGION], REGION)
    by_day, by_region = sum(days.values()), sum(regions.values())
    if by_day != by_region:
        what = f"{by_day} bytes by day and {by_region} by region: one of the two tables is not whole"
        raise SourceError(what, where=str(folder), hint=_MAKE_AGAIN)
    return Tables(days, regions)


def dataset_names(mapped: Path) -> dict[str, str]:
    """Return the dandisets of a mapped tree whose folders are called in another way, by folder.

    Raises
    ------
    SourceError
        ``names.tsv`` is cut or damaged. Without it, or if it is not ours, nothing is called in another way.
    """
    path = mapped / NAMES
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(_whole_lines(file, path), delimiter="\t", strict=True)
            if tuple(next(rows, ())) != NAMES_HEADER:
                return {}
            return {row[0]: row[1] for row in rows if len(row) == len(NAMES_HEADER) and not row[2]}
    except FileNotFoundError:
        return {}
    except (csv.Error, UnicodeDecodeError) as error:
        raise SourceError(f"cannot be read ({error})", where=str(path), hint=_MAKE_AGAIN) from error
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise explain_os_error(error, path) from error


def datasets_of(mapped: Path) -> list[Path]:
    """Return the folders of the dandisets of a mapped tree, by name."""
    try:
        found = [path for path in mapped.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise explain_os_error(error, mapped) from error
    return sorted(found)


def some_datasets_of(mapped: Path) -> list[Path]:
    """Return what `datasets_of` does; a folder without any is no mapped tree (`UsageError`)."""
    if not (folders := datasets_of(mapped)):
        hint = "Name the folder that holds one folder for each dandiset, with its dandiset_summary files."
        raise UsageError("holds no dandisets", where=str(mapped), hint=hint)
    return folders


# ---- the archive -----------------------------------------------------------------------------------


def sums_of(folders: Iterable[Path], mapped: Path) -> tuple[Sums, Sums]:
    """Return the sums of the tables of dandisets, by day and by region.

    Content that two dandisets share is counted in both, as dandi_s3_log_parser does.

    Raises
    ------
    SourceError
        A table cannot be used; see `read_tables`.
    """
    days: Sums = {}
    regions: Sums = {}
    for folder in folders:
        tables = read_tables(folder, DATASET_FILES)
        _add_to(days, tables.days, mapped)
        _add_to(regions, tables.regions, mapped)
    return days, regions


def has_tables(folder: Path) -> bool:
    """Tell whether a folder holds tables of a dandiset, at least one of them."""
    return any((folder / name).exists() for name in DATASET_FILES.values())


def write_archive_summaries(mapped: Path) -> list[Path]:
    """Write ``archive_summary_by_day.tsv`` and ``archive_summary_by_region.tsv`` of a mapped tree.

    Parameters
    ----------
    mapped : Path
        The tree, of dandi_s3_log_parser or of `export_mapped`: one folder for each dandiset.

    Returns
    -------
    list of Path
        The files that are new or have other bytes than before.

    Raises
    ------
    UsageError
        There is no such folder, or no dandiset in it.
    SourceError
        A table is missing, cut or none. Nothing was written then.
    TicklineError
        Another run is writing into the folder.
    """
    with locked(mapped):
        return write_changed(mapped, archive_tables(*sums_of(some_datasets_of(mapped), mapped)))


@contextlib.contextmanager
def locked(mapped: Path) -> Iterator[None]:
    """Hold the lock of a mapped tree that exists."""
    if not mapped.is_dir():
        hint = "Name the folder that holds one folder for each dandiset."
        raise UsageError("is no folder", where=str(mapped), hint=hint)
    descriptor = lock(mapped)
    try:
        yield
    finally:
        os.close(descriptor)


def write_changed(mapped: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write files whole, where their bytes are not there already, and return which."""
    written = []
    for name, data in files.items():
        path = mapped / name
        try:
            if not path.is_symlink() and path.is_file() and path.read_bytes() == data:
                continue
            write_whole(path, data)
        except OSError as error:
            raise explain_os_error(error, path) from error
        written.append(path)
    return written
