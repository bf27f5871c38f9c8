"""The list of rejected lines: where each one stands, why it was rejected, and its text without secrets."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import BinaryIO, NamedTuple

from tickline import _core

__all__ = ["MAX_TEXT_BYTES", "Reject", "escape", "header", "redact", "rows", "unescape"]

# A line can be megabytes; what is kept of it shows what is wrong, and its length tells that there was more.
MAX_TEXT_BYTES = 16 * 1024

# Names as they stand in presigned URLs, the equals sign plain or percent-encoded (once or twice).
_SECRET = re.compile(
    rb"((?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|(?<![A-Za-z-])Signature)"
    rb"(?:=|%3D|%253D))([^&\s\"]+)",
    re.IGNORECASE,
)
_IPV4 = re.compile(rb"(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])")
_COLON = rb"(?::|%3A|%253A)"
_IPV6 = re.compile(rb"(?:[0-9A-Fa-f]{0,4}" + _COLON + rb"){2,}[0-9A-Fa-f.]*", re.IGNORECASE)
_ENCODED_COLON = re.compile(rb"%(?:25)?3A", re.IGNORECASE)
_HEX = re.compile(rb"[0-9A-Fa-f]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u2028\u2029\udc80-\udcff]")
_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


class Reject(NamedTuple):
    """One rejected line."""

    line: int
    offset: int
    length: int
    reason: str
    text: bytes | None


def rows(rejects: _core.Rejects, lines_before: int) -> Iterator[Reject]:
    """Yield the rejected lines of a scan that was preceded by `lines_before` lines of its source."""
    reasons, texts = rejects["reason"], rejects["text"]
    columns = (struct.unpack(f"<{len(reasons)}Q", rejects[name]) for name in ("line", "offset", "length"))
    for index, (line, offset, length) in enumerate(zip(*columns, strict=True)):
        text = texts[index] if texts is not None else None
        yield Reject(line + lines_before, offset, length, reasons[index], text)


def _hide_ipv6(match: re.Match[bytes]) -> bytes:
    text = match[0]
    plain = _ENCODED_COLON.sub(b":", text)
    if b"::" not in plain and plain.count(b":") < 7:
        try:
            IPv6Address(plain.decode())
        except ValueError:
            return text
    # The digits of an encoded colon stay, so that it stays one.
    pieces = _ENCODED_COLON.split(text)
    colons = _ENCODED_COLON.findall(text) + [b""]
    return b"".join(_HEX.sub(b"0", piece) + colon for piece, colon in zip(pieces, colons, strict=True))


def redact(text: bytes) -> bytes:
    """Hide signatures, credentials, tokens and addresses; every byte keeps its place."""
    text = _SECRET.sub(lambda match: match[1] + b"X" * len(match[2]), text)
    text = _IPV4.sub(lambda match: re.sub(rb"[0-9]", b"0", match[0]), text)
    return _IPV6.sub(_hide_ipv6, text)


def escape(text: str | bytes) -> str:
    r"""Make one cell of a TSV: control characters, ``\`` and bytes that are not UTF-8 become ``\xNN``."""
    decoded = text.decode("utf-8", "surrogateescape") if isinstance(text, bytes) else text
    return _CONTROL.sub(_escape_one, decoded)


def _escape_one(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))


def unescape(cell: str) -> bytes:
    """Undo `escape`."""
    return _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()) if match[1] else b"\\", cell.encode())


def header(with_text: bool) -> bytes:
    """Return the first line of the list."""
    return b"source\tline\toffset\tlength\treason" + (b"\ttext\n" if with_text else b"\n")


def write_rows(file: BinaryIO, source: str, rejected: Iterator[Reject]) -> None:
    """Append lines of the list for one source."""
    name = escape(source)
    for reject in rejected:
        row = f"{name}\t{reject.line}\t{reject.offset}\t{reject.length}\t{reject.reason}"
        if reject.text is not None:
            # Redacted before it is capped: the cap must not cut the name of a secret from its value.
            row += "\t" + escape(redact(reject.text[: 2 * MAX_TEXT_BYTES])[:MAX_TEXT_BYTES])
        file.write(row.encode() + b"\n")
