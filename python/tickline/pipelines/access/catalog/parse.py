"""Rows of a catalog's file: JSON or TSV, told by content; `catalog` says what they mean."""

import codecs
import io
import json
from typing import Any, Protocol

from tickline.errors import TicklineError

__all__ = ["parse"]

_HEADER = ("key", "dataset", "version", "path")
_LONGEST_LINE = 65_536
_SNIFFED = 4096
_HINT = "It is JSON {content_id: {dataset: path}}, or TSV with the header key, dataset, version, path."


class Rows(Protocol):
    """Where the rows go."""

    def add(self, key: str, dataset: str, version: str, path: str) -> None:
        """Take one row."""


def parse(rows: Rows, data: bytes, where: str) -> None:
    """Give the rows of a catalog to `rows`, in the order of the file.

    Raises
    ------
    TicklineError
        The file has an unknown shape; the message names the line.
    """
    if data[:_SNIFFED].removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{":
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _no_utf8(where, data.count(b"\n", 0, error.start) + 1) from error
        _parse_json(rows, text, where)
    else:
        _parse_tsv(rows, data, where)


def _no_utf8(where: str, line: int) -> TicklineError:
    hint = "Catalogs are text in UTF-8 (or that compressed with gzip). "
    return _wrong(where, line, "is not UTF-8", hint + _HINT)


def _wrong(where: str, line: int | None, what: str, hint: str = _HINT) -> TicklineError:
    place = f"line {line} " if line is not None else ""
    return TicklineError(f"the catalog cannot be used: {place}{what}", where=where, hint=hint)


def _parse_tsv(rows: Rows, data: bytes, where: str) -> None:
    number = 1
    crlf = False
    add = rows.add
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


def _parse_json(rows: Rows, text: str, where: str) -> None:
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
            rows.add(content, dataset, "", path)


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
