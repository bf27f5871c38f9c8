"""Rejected lines as a file that may leave the house: same shape, same faults, other values.

A line that was rejected cannot be parsed, so nothing here relies on its fields. What makes a line fail or
pass is kept: quotes, blanks, brackets, lengths, times, operation, methods, HTTP versions, plain numbers, the
fixed words of the tail. Every other token is replaced letter by letter and digit by digit, by a keyed hash of
the token with a key that is thrown away: the same token becomes the same one everywhere in the file, and
nobody can go back.
"""

import hashlib
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tickline import _core
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.files import Folders, WholeFile
from tickline.filters import AccessRules
from tickline.pipelines.access.reduce.checks import identity
from tickline.pipelines.access.reduce.rejects import header, unescape
from tickline.sources import open_source

__all__ = ["Anonymizer", "Exported", "export_rejects"]

_MAX_LINE_BYTES = 2**20
_TRIES = 4

_TIME = re.compile(rb"\[[0-9]{1,2}/[A-Za-z]{3}/[0-9:]{0,16}\]?|[+-][0-9]{4}\]")
_OPERATION = re.compile(rb"(?:REST|WEBSITE|SOAP|BATCH|S3)(?:\.[A-Z0-9_]{1,40}){2,3}")
_METHOD = re.compile(rb'"(?:GET|PUT|POST|HEAD|DELETE|OPTIONS|PATCH)')
_VERSION = re.compile(rb"(HTTP/[0-9]\.[0-9])")
_NUMBER = re.compile(rb"[0-9]+")
_FIXED = re.compile(rb"SigV[0-9][A-Z]?|TLSv[0-9](?:\.[0-9])?|AuthHeader|QueryString|Yes|Bucket|HTTP")
_ERROR_CODE = re.compile(rb"[A-Z][A-Za-z]{2,40}")
_IPV4 = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_HEX = re.compile(rb"[0-9a-fA-F:]+")
_SCRAMBLED = re.compile(rb"[0-9]|[a-z]|[A-Z]|[\x80-\xff]+")
_WIDE = {2: "\u00e9", 3: "\u20ac", 4: "\U0001f642"}


class Anonymizer:
    """Replaces values by others of the same shape, the same value always by the same."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key if key is not None else secrets.token_bytes(32)

    def _stream(self, value: bytes) -> Iterator[int]:
        block = 0
        while True:
            hashed = hashlib.blake2b(value, key=self._key, salt=block.to_bytes(8, "little"))
            yield from hashed.digest()
            block += 1

    def _letters(self, value: bytes) -> bytes:
        stream = self._stream(value)
        is_hex = _HEX.fullmatch(value) is not None

        def one(match: re.Match[bytes]) -> bytes:
            text, number = match[0], next(stream)
            if text.isdigit():
                return b"%d" % (number % 10)
            if text[0] >= 0x80:
                return _wide(text)
            first = ord("a") if text.islower() else ord("A")
            return bytes([first + number % (6 if is_hex else 26)])

        return _SCRAMBLED.sub(one, value)

    def _octet(self, stream: Iterator[int], digits: int) -> bytes:
        least, most = ((0, 9), (10, 99), (100, 255))[digits - 1]
        return b"%d" % (least + next(stream) % (most - least + 1))

    def _value(self, value: bytes) -> bytes:
        if _IPV4.fullmatch(value):
            stream = self._stream(value)
            return b".".join(self._octet(stream, len(octet)) for octet in value.split(b"."))
        return self._letters(value)

    def _value_of_number(self, token: bytes) -> bytes:
        # A size stays a size without leading zeros, and the same number of digits.
        digits = self._letters(token.strip(b'"'))
        return token.replace(token.strip(b'"'), b"1" + digits[1:])

    def _token(self, token: bytes, number: int, before: bytes) -> bytes:
        """Replace one token; `before` is the one on its left, `number` counts from the line's begin."""
        bare = token.strip(b'"')
        if not bare or _TIME.fullmatch(token) or _OPERATION.fullmatch(token) or _FIXED.fullmatch(bare):
            return token
        if _METHOD.fullmatch(token):
            return token
        # Numbers behind the address are status, sizes and times; before it, they are accounts, and behind an
        # operation a key. In spliced lines an account (12 digits) stands anywhere, so only short numbers
        # and too long ones, which are what is wrong, are kept.
        if number > 5 and _NUMBER.fullmatch(bare) and not _OPERATION.fullmatch(before):
            return token if len(bare) <= 8 or len(bare) >= 19 else self._value_of_number(token)
        if _ERROR_CODE.fullmatch(token) and len(before) == 3 and before.isdigit():
            return token
        # A quote ends a value, and a version of HTTP keeps its place: what is between is replaced.
        parts = re.split(rb'(HTTP/[0-9]\.[0-9]|")', token)
        return b"".join(part if index % 2 else self._value(part) for index, part in enumerate(parts))

    def line(self, line: bytes) -> bytes:
        """Return the line with its values replaced; it has as many bytes as before."""
        result = []
        before = b""
        number = 0
        for token in re.split(rb"( +)", line):
            if not token or token.startswith(b" "):
                result.append(token)
                continue
            result.append(self._token(token, number, before))
            before = token
            number += 1
        return b"".join(result)


def _wide(text: bytes) -> bytes:
    """Replace characters of several bytes by others of as many; bytes that are no UTF-8 stay."""
    replaced = []
    for char in text.decode("utf-8", "surrogateescape"):
        size = len(char.encode("utf-8", "surrogateescape"))
        replaced.append(_WIDE.get(size, char))
    return "".join(replaced).encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    same_reason : int
        Lines that are rejected for the same reason as the original, checked by parsing them.
    left_out : collections.Counter
        Lines that were not written, by reason.
    """

    written: int = 0
    same_reason: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Row:
    source: str
    offset: int
    length: int
    reason: str
    text: bytes | None


def _read_rows(path: Path) -> Iterator[_Row]:
    with path.open("rb") as file:
        first = file.readline()
        if first not in (header(False), header(True)):
            hint = "Name a file that `tickline access reduce --rejects FILE.tsv` wrote."
            raise UsageError("is no list of rejected lines", where=str(path), hint=hint)
        for number, line in enumerate(file, 2):
            cells = line.rstrip(b"\n").decode("utf-8", "surrogateescape").split("\t")
            try:
                text = unescape(cells[5]) if len(cells) > 5 else None
                yield _Row(os.fsdecode(unescape(cells[0])), int(cells[2]), int(cells[3]), cells[4], text)
            except (ValueError, IndexError) as error:
                hint = "Make the list again with `tickline access reduce --rejects`."
                raise TicklineError(f"line {number} is damaged", where=str(path), hint=hint) from error


class _Lines:
    """Reads lines again, by offset, from the source they stand in; rows of one source come in order."""

    def __init__(self, raw: Path | None) -> None:
        self._raw = raw
        self._name = ""
        self._chunks: Iterator[bytes] = iter(())
        self._held = b""
        self._begin = 0

    def _open(self, name: str) -> None:
        path = Path(name)
        if self._raw is not None:
            path = self._raw / name if self._raw.is_dir() else self._raw
        self._name, self._held, self._begin = name, b"", 0
        self._chunks = self._read(path)

    @staticmethod
    def _read(path: Path) -> Iterator[bytes]:
        with open_source(path) as source:
            yield from source.chunks()

    def line(self, row: _Row) -> bytes:
        """Return the bytes of a rejected line.

        Raises
        ------
        SourceError
            The source cannot be read, or is shorter than it was.
        """
        if row.source != self._name or row.offset < self._begin:
            self._open(row.source)
        end = row.offset + row.length
        while self._begin + len(self._held) < end:
            # What lies before the line is not needed any more.
            skipped = min(max(row.offset - self._begin, 0), len(self._held))
            self._held, self._begin = self._held[skipped:], self._begin + skipped
            chunk = next(self._chunks, None)
            if chunk is None:
                what = "is shorter than when it was reduced"
                raise SourceError(what, where=row.source, hint="Reduce it again.")
            self._held += chunk
        return self._held[row.offset - self._begin : end - self._begin]


def _reason(line: bytes) -> str | None:
    scan = _core.AccessScan(("time",), AccessRules().build(), output="count")
    scan.feed(line)
    scan.finish()
    return next(iter(name for name, count in scan.counts()["rejected"].items() if count), None)


def _replaced(line: bytes, reason: str, anonymizer: Anonymizer) -> tuple[bytes, bool]:
    """Replace the values; a few lines fail for another reason by bad luck, and get another key."""
    text = anonymizer.line(line)
    for _ in range(_TRIES):
        if _reason(text) == reason:
            return text, True
        text = Anonymizer().line(line)
    return anonymizer.line(line), False


def _original(row: _Row, lines: _Lines, result: Exported) -> bytes | None:
    """Return the line from the list if it stands there whole, else from its source."""
    if row.length > _MAX_LINE_BYTES:
        result.left_out["longer than 1 MiB"] += 1
        return None
    if row.text is not None and len(row.text) == row.length:
        return row.text
    try:
        return lines.line(row)
    except OSError as error:
        result.left_out[f"its text is not in the list, and {explain_os_error(error, row.source)}"] += 1
        return None


def export_rejects(listed: Path, out: Path, *, raw: Path | None = None, anonymize: bool = True) -> Exported:
    """Write the lines of a list of rejected ones.

    Parameters
    ----------
    listed : pathlib.Path
        What ``--rejects`` wrote.
    out : pathlib.Path
        The file of the lines; it appears whole.
    raw : pathlib.Path, optional
        The folder or log that was reduced, where the list has no texts; without it names are taken as paths.
    anonymize : bool
        Replace values by others of the same shape.
    """
    for path in (listed, raw):
        if path is not None and identity(path) is not None and identity(path) == identity(out):
            raise UsageError(f"it would be written over {path}", where="out", hint="Choose another name.")
    result = Exported()
    folders = Folders()
    lines = _Lines(raw)
    anonymizer = Anonymizer()
    try:
        sink = WholeFile(out, folders)
        try:
            for row in _read_rows(listed):
                line = _original(row, lines, result)
                if line is None:
                    continue
                if anonymize:
                    line, same = _replaced(line, row.reason, anonymizer)
                    result.same_reason += same
                result.written += 1
                sink.write(line + b"\n")
            sink.commit()
        finally:
            sink.abort()
        folders.sync()
    except OSError as error:
        raise explain_os_error(error, listed) from error
    return result
