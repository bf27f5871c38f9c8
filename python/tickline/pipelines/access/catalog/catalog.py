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

import hashlib
import re
from array import array
from collections.abc import Iterable
from fnmatch import translate
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote_to_bytes

from tickline.pipelines.access.catalog.file import read_packed, unpacked
from tickline.pipelines.access.catalog.parse import parse

__all__ = [
    "NO_PATH",
    "UNDETERMINED",
    "Catalog",
    "Content",
    "Owner",
    "Placement",
    "decode_key",
    "load_catalog",
]

UNDETERMINED = "undetermined"
"""The dataset of keys that no entry owns, and of requests without a key."""
NO_PATH = "-"
"""The asset path of requests without a key."""

Owner = tuple[str, str, str]
"""Dataset, version and path within the dataset."""

Content = tuple[str, str]
"""What keys of the same owners have in common: the text that they are looked up by, and what stands behind it
where that tells assets apart."""

Placement = tuple[int, str, str, str]
"""Number of a row in the catalog's file (from 1), dataset, version and path."""

_GLOB = frozenset("*?[")


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

    Parameters
    ----------
    path : Path or None
        The file.
    versions : bool, default False
        Whether to keep all rows of a key, for `placements`; otherwise each dataset's first one.
    decode : bool, default True
        Whether keys are percent-decoded before they are looked up; the old programs did not.

    Attributes
    ----------
    file_sha256 : str or None
        Of the bytes as they lie there, in hex; None without a file.
    """

    def __init__(self, path: Path | None, *, versions: bool = False, decode: bool = True) -> None:
        self._path = path
        self._versions = versions
        self.decode = decode
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

    def text_of(self, key: str) -> str:
        """Return a key as it is looked up, and as the path of what no row finds."""
        return decode_key(key) if self.decode else key

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
            tables = _Tables(versions=self._versions)
            if self._path is not None:
                parse(tables, self._data, str(self._path))
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
        return [[(UNDETERMINED, "", NO_PATH)] if key is None else find(self.text_of(key)) for key in keys]

    def contents(self, keys: Iterable[str]) -> list[Content | None]:
        """Return what each key (as logged) stands for; None where the catalog knows no owner."""
        decoded = map(self.text_of, keys)
        if self._path is None:
            return [(key, "") for key in decoded]
        return list(map(self.load().content, decoded))

    def placements(self, content: Content) -> list[Placement]:
        """Return all rows of the file for a content, in their order; needs ``versions=True``."""
        if self._path is None:
            return [(0, *owner) for owner in _first_part(content[0])]
        return self.load().placements(content)

    def is_shared(self, content: Content) -> bool:
        """Tell whether several keys may stand for a content; of the others there may be as many as keys."""
        return self._path is not None and not content[1]

    def order_of_versions(self) -> dict[tuple[str, str], int]:
        """Return a number for each pair of dataset and version, in the order of the file."""
        return {} if self._path is None else self.load().versions


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

    def __init__(self, *, versions: bool = False) -> None:
        self.entries = 0
        self.versions: dict[tuple[str, str], int] = {}
        # Of each key the numbers of its rows, if all of them are kept.
        self._numbers: dict[str, array[int]] | None = {} if versions else None
        # One owner stands alone: a million lists would cost more than what they hold.
        self._rows: dict[str, Owner | list[Owner]] = {}
        self._texts: dict[str, str] = {}
        self._globs: list[tuple[re.Pattern[str], str]] = []
        self._has_prefixes = False
        self._has_parts = False

    def add(self, key: str, dataset: str, version: str, path: str) -> None:
        """Add one row; of a key and a dataset the first one holds, unless all versions are kept."""
        self.entries += 1
        # Datasets and versions repeat: one text for all of them.
        owner = (self._texts.setdefault(dataset, dataset), self._texts.setdefault(version, version), path)
        if self._numbers is not None:
            self._numbers.setdefault(key, array("Q")).append(self.entries)
            self.versions.setdefault(owner[:2], len(self.versions))
        owners = self._rows.setdefault(key, owner)
        if owners is owner:
            return
        known = owners if isinstance(owners, list) else [owners]
        if self._numbers is not None or all(other[0] != dataset for other in known):
            known.append(owner)
            self._rows[key] = known

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

    def _owners(self, text: str) -> list[Owner]:
        found = self._rows[text]
        return [found] if isinstance(found, tuple) else found

    def find(self, key: str) -> list[Owner]:
        """Return the owners of a decoded key."""
        found = self._match(key)
        return [(UNDETERMINED, "", key)] if found is None else _below(self._owners(found[0]), found[1])

    def content(self, key: str) -> Content | None:
        """Return what a decoded key stands for; see `Catalog.contents`."""
        found = self._match(key)
        if found is None or not found[1]:
            return found
        owners = self._owners(found[0])
        return (found[0], "") if _below(owners, found[1]) is owners else found

    def placements(self, content: Content) -> list[Placement]:
        """Return all rows for a content; see `Catalog.placements`."""
        text, rest = content
        numbers = (self._numbers or {})[text]
        owners = _below(self._owners(text), rest)
        return [(number, *owner) for number, owner in zip(numbers, owners, strict=True)]

    def _match(self, key: str) -> tuple[str, str] | None:
        """Return the text that decides about a decoded key, and what paths that are folders go on with."""
        if key in self._rows:
            return key, ""
        return self._by_part(key) or self._by_prefix(key) or self._by_glob(key)

    def _by_part(self, key: str) -> tuple[str, str] | None:
        if self._has_parts:
            end = len(key)
            while end >= 0:
                begin = key.rfind("/", 0, end) + 1
                part = key[begin:end]
                if part in self._rows and _GLOB.isdisjoint(part):
                    return part, key[end + 1 :]
                end = begin - 1
        return None

    def _by_prefix(self, key: str) -> tuple[str, str] | None:
        if self._has_prefixes:
            end = key.rfind("/")
            while end >= 0:
                prefix = key[: end + 1]
                if prefix in self._rows and _GLOB.isdisjoint(prefix):
                    return prefix, key[end + 1 :]
                end = key.rfind("/", 0, end)
        return None

    def _by_glob(self, key: str) -> tuple[str, str] | None:
        for pattern, text in self._globs:
            if pattern.match(key):
                return text, key
        return None


def _below(owners: list[Owner], rest: str) -> list[Owner]:
    """Put the rest of the key behind paths that are folders."""
    if not rest or all(path and not path.endswith("/") for _, _, path in owners):
        return owners
    return [
        (dataset, version, path if path and not path.endswith("/") else path + rest)
        for dataset, version, path in owners
    ]
