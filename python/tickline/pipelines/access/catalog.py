"""Which dataset, version and asset path a key belongs to.

A catalog is a file of one of two forms, told by content and not by name, plain or compressed with gzip:

- JSON: ``{content_id: {dataset: path}}``;
- TSV with the header ``key⇥dataset⇥version⇥path``.

A content id or key is one of: a whole key; one part of a key (an id without ``/``); a prefix, which ends
with ``/``; a glob, which holds ``*``, ``?`` or ``[``. A key is looked up percent-decoded (once, where that
gives UTF-8), in this order, and the first that is found decides: the whole key as written; the key's parts
from the last one to the first; the longest prefix; the first glob in the file that fits the whole key. All
rows with that text are owners, in the order of the file, each dataset once.

Where the path of a prefix, of an id that is not the last part, or of a glob is empty or ends with ``/``, the
rest of the key (with a glob: the key) is put behind it; otherwise all keys below are one asset.
"""

import codecs
import hashlib
import io
import json
import re
from collections.abc import Iterable
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from tickline.errors import TicklineError
from tickline.pipelines.access.catalog_file import read_packed, unpacked

__all__ = ["NO_PATH", "UNDETERMINED", "Catalog", "Owner", "decode_key", "load_catalog"]

UNDETERMINED = "undetermined"
"""The dataset of keys that no entry owns, and of requests without a key."""
NO_PATH = "-"
"""The asset path of requests without a key."""

Owner = tuple[str, str, str]
"""Dataset, version and path within the dataset."""

_HEADER = ("key", "dataset", "version", "path")
_LONGEST_LINE = 65_536
_SNIFFED = 4096
_GLOB = frozenset("*?[")
_HINT = "It is JSON {content_id: {dataset: path}}, or TSV with the header key, dataset, version, path."


def decode_key(key: str) -> str:
    """Return the key percent-decoded once, or as it is where that would not be UTF-8."""
    if "%" not in key:
        return key
    try:
        return unquote_to_bytes(key).decode()
    except UnicodeDecodeError:
        return key


class Catalog:
    """Owners of keys; without a file the dataset is the first part of a key.

    The file is read at once, and understood when it is first needed.

    Attributes
    ----------
    file_sha256 : str or None
        Of the bytes as they lie there, in hex; None without a file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._packed = b"" if path is None else read_packed(path)
        self._tables: _Tables | None = None
        self.file_sha256 = None if path is None else hashlib.sha256(self._packed).hexdigest()

    @cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the decompressed bytes, in hex; None without a file."""
        return None if self._path is None else hashlib.sha256(self._data).hexdigest()

    @cached_property
    def _data(self) -> bytes:
        return b"" if self._path is None else unpacked(self._packed, self._path)

    @property
    def entries(self) -> int:
        """The number of rows: pairs of key and dataset as they stand in the file."""
        return self.load().entries if self._path is not None else 0

    def load(self) -> "_Tables":
        """Understand the file, if that has not happened yet.

        Raises
        ------
        TicklineError
            It has an unknown shape; the message names the line.
        """
        if self._tables is None:
            tables = _Tables()
            if self._path is not None:
                _parse(tables, self._data, str(self._path))
            tables.finish()
            # The hash is taken while there is something to hash; then the bytes are not held any longer.
            self._tables, _ = tables, self.sha256
            self._packed = self._data = b""
        return self._tables

    def owners(self, keys: Iterable[str | None]) -> list[list[Owner]]:
        """Return the owners of each key.

        Parameters
        ----------
        keys : iterable of str or None
            As logged; None stands for requests without a key.

        Returns
        -------
        list of list of (str, str, str)
            For each key dataset, version and path of its owners, at least one: ``("undetermined", "", key)``
            where the catalog knows none. Do not change the lists, they are shared.
        """
        find = _first_part if self._path is None else self.load().find
        return [[(UNDETERMINED, "", NO_PATH)] if key is None else find(decode_key(key)) for key in keys]


def load_catalog(path: Path | None) -> Catalog:
    """Read a catalog and check all of it.

    Parameters
    ----------
    path : Path or None
        The file; None for the rule that the dataset is the first part of the key.

    Raises
    ------
    TicklineError
        The file cannot be read, or has an unknown shape.
    """
    catalog = Catalog(path)
    catalog.load()
    return catalog


def _first_part(key: str) -> list[Owner]:
    first, slash, rest = key.partition("/")
    return [(first, "", rest if slash else key)]


class _Tables:
    """The rows of a catalog, by what they are looked up with."""

    def __init__(self) -> None:
        self.entries = 0
        # One owner stands alone: a million lists would cost more than what they hold.
        self._rows: dict[str, Owner | list[Owner]] = {}
        self._texts: dict[str, str] = {}
        self._globs: list[tuple[re.Pattern[str], str]] = []
        self._has_prefixes = False
        self._has_parts = False

    def add(self, key: str, dataset: str, version: str, path: str) -> None:
        """Add one row; the first one of a key and a dataset holds."""
        self.entries += 1
        # Datasets and versions repeat: one text for all of them.
        owner = (self._texts.setdefault(dataset, dataset), self._texts.setdefault(version, version), path)
        owners = self._rows.setdefault(key, owner)
        if owners is owner:
            return
        known = owners if isinstance(owners, list) else [owners]
        if all(other[0] != dataset for other in known):
            self._rows[key] = [*known, owner]

    def finish(self) -> None:
        """Prepare what is not looked up by the whole key."""
        is_glob = re.compile(r"[*?\[]").search
        for key in self._rows:
            if is_glob(key):
                self._globs.append((re.compile(translate(key)), key))
            elif key.endswith("/"):
                self._has_prefixes = True
            elif "/" not in key:
                self._has_parts = True

    def _owners(self, text: str) -> list[Owner] | None:
        found = self._rows.get(text)
        return [found] if isinstance(found, tuple) else found

    def find(self, key: str) -> list[Owner]:
        """Return the owners of a decoded key."""
        return (
            self._owners(key)
            or self._by_part(key)
            or self._by_prefix(key)
            or self._by_glob(key)
            or [(UNDETERMINED, "", key)]
        )

    def _by_part(self, key: str) -> list[Owner]:
        if self._has_parts:
            end = len(key)
            while end >= 0:
                begin = key.rfind("/", 0, end) + 1
                part = key[begin:end]
                found = self._owners(part)
                if found is not None and _GLOB.isdisjoint(part):
                    return _below(found, key[end + 1 :])
                end = begin - 1
        return []

    def _by_prefix(self, key: str) -> list[Owner]:
        if self._has_prefixes:
            end = key.rfind("/")
            while end >= 0:
                prefix = key[: end + 1]
                found = self._owners(prefix)
                if found is not None and _GLOB.isdisjoint(prefix):
                    return _below(found, key[end + 1 :])
                end = key.rfind("/", 0, end)
        return []

    def _by_glob(self, key: str) -> list[Owner]:
        for pattern, text in self._globs:
            if pattern.match(key):
                return _below(self._owners(text) or [], key)
        return []


def _below(owners: list[Owner], rest: str) -> list[Owner]:
    """Put the rest of the key behind paths that are folders."""
    if not rest or all(path and not path.endswith("/") for _, _, path in owners):
        return owners
    return [
        (dataset, version, path if path and not path.endswith("/") else path + rest)
        for dataset, version, path in owners
    ]


# ---- parsing -------------------------------------------------------------------------------------


def _parse(tables: _Tables, data: bytes, where: str) -> None:
    if data[:_SNIFFED].removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{":
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _no_utf8(where, data.count(b"\n", 0, error.start) + 1) from error
        _parse_json(tables, text, where)
    else:
        _parse_tsv(tables, data, where)


def _no_utf8(where: str, line: int) -> TicklineError:
    hint = "Catalogs are text in UTF-8 (or that compressed with gzip). "
    return _wrong(where, line, "is not UTF-8", hint + _HINT)


def _wrong(where: str, line: int | None, what: str, hint: str = _HINT) -> TicklineError:
    place = f"line {line} " if line is not None else ""
    return TicklineError(f"the catalog cannot be used: {place}{what}", where=where, hint=hint)


def _parse_tsv(tables: _Tables, data: bytes, where: str) -> None:
    number = 1
    crlf = False
    add = tables.add
    try:
        for number, line in enumerate(io.BytesIO(data), 1):
            row = line.decode().removesuffix("\n")
            if number == 1:
                crlf = row.endswith("\r")
                _check_header(row.removeprefix("\ufeff").removesuffix("\r"), where)
                continue
            if crlf:
                row = row.removesuffix("\r")
            fields = row.split("\t")
            if len(fields) == len(_HEADER) and fields[0] and fields[1] and len(row) <= _LONGEST_LINE:
                add(*fields)
            elif row:
                raise _wrong(where, number, _why_not(fields, row))
    except UnicodeDecodeError as error:
        raise _no_utf8(where, number) from error
    if not data:
        _check_header("", where)


def _check_header(head: str, where: str) -> None:
    names = head.split("\t")
    if tuple(names) == _HEADER:
        return
    if len(head) > _LONGEST_LINE:
        raise _wrong(where, 1, f"has more than {_LONGEST_LINE:,} characters")
    if not head.strip():
        raise _wrong(where, 1, "is empty")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise _wrong(where, 1, f"names the column {twice[0][:40]!r} more than once")
    if "\t" not in head:
        raise _wrong(where, 1, "is neither JSON nor the header of a TSV")
    raise _wrong(where, 1, f"has the columns {', '.join(names)[:100]!r}, not {', '.join(_HEADER)!r}")


def _why_not(fields: list[str], row: str) -> str:
    if len(row) > _LONGEST_LINE:
        return f"has more than {_LONGEST_LINE:,} characters"
    if len(fields) != len(_HEADER):
        return f"has {len(fields)} columns, not {len(_HEADER)}"
    return "has no key" if not fields[0] else "has no dataset"


def _parse_json(tables: _Tables, text: str, where: str) -> None:
    try:
        found = json.loads(text, object_pairs_hook=_unrepeated)
    except json.JSONDecodeError as error:
        raise _wrong(where, error.lineno, f"is no JSON ({error.msg})") from error
    except _RepeatedNameError as error:
        line = _line_of(text, error.name, -1)
        raise _wrong(where, line, f"names {error.name[:80]!r} a second time") from error
    except (RecursionError, ValueError) as error:
        raise _wrong(where, None, f"its JSON cannot be read ({type(error).__name__})") from error
    for content, datasets in found.items():
        if not isinstance(datasets, dict):
            what = f"gives {content[:80]!r} no {{dataset: path}}"
            raise _wrong(where, _line_of(text, content, 0), what)
        if not content:
            raise _wrong(where, _line_of(text, content, 0), "has an empty content id")
        for dataset, path in datasets.items():
            why = _what_is_wrong(content, dataset, path)
            if why is not None:
                raise _wrong(where, _line_of(text, content, 0), why)
            tables.add(content, dataset, "", path)


def _what_is_wrong(content: str, dataset: str, path: Any) -> str | None:
    if not isinstance(path, str):
        return f"gives {content[:80]!r} in dataset {dataset[:80]!r} a path that is no text"
    if not dataset:
        return f"gives {content[:80]!r} a dataset without a name"
    if max(len(content), len(dataset), len(path)) > _LONGEST_LINE:
        return f"holds a text of more than {_LONGEST_LINE:,} characters"
    try:
        f"{content}{dataset}{path}".encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which is no text"
    return None


class _RepeatedNameError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _RepeatedNameError(name)
            seen.add(name)
    return found


def _line_of(text: str, name: str, which: int) -> int | None:
    """Return the line on which a name of the JSON text stands; None where it is written in another way."""
    written = json.dumps(name)
    place = text.find(written) if which == 0 else text.rfind(written)
    return text.count("\n", 0, place) + 1 if place >= 0 else None
