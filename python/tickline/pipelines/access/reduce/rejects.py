"""The list of rejected lines: where each one stands, why it was rejected, and its text without secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv6Address
from typing import BinaryIO, NamedTuple

from tickline import _core

__all__ = ["MAX_TEXT_BYTES", "Reject", "escape", "header", "redact", "rows", "unescape"]

# A line can be megabytes; what is kept of it shows what is wrong, and its length tells that there was more.
MAX_TEXT_BYTES = 16 * 1024

# Names as they stand in presigned URLs and in headers; punctuation plain or percent-encoded, any number of
# times.
_SECRET = re.compile(
    rb"((?:X(?:-|%(?:25)*2D)Amz(?:-|%(?:25)*2D)(?:Signature|Credential|Security(?:-|%(?:25)*2D)Token)"
    rb"|AWSAccessKeyId|(?:(?<![A-Za-z-])|(?<=%3F)|(?<=%26))Signature)"
    rb"(?:\"?[ \t]*[=:][ \t]*\"?|(?:%(?:25)*22)?%(?:25)*3[AD](?:%(?:25)*22)?))([^&\s\"]+)",
    re.IGNORECASE,
)
# Access key ids are known by their first letters (AWS, IAM identifiers).
_KEY_ID = re.compile(rb"(?<![A-Z0-9])((?:AKIA|ASIA)[A-Z2-7]{12,124})")
# Also 192-0-2-7, as in ec2-192-0-2-7.compute.amazonaws.com.
_IPV4 = re.compile(
    rb"(?<![0-9])[0-9]{1,3}(?:(?:\.[0-9]{1,3}){3,}|(?:%(?:25)*2E[0-9]{1,3}){3,}|(?:-[0-9]{1,3}){3}(?![0-9-]))",
    re.IGNORECASE,
)
_ENCODED_SIGN = re.compile(rb"%(?:25)*2E|[0-9]", re.IGNORECASE)
_COLON = rb"(?::|%(?:25)*3A)"
_IPV6 = re.compile(rb"(?:[0-9A-Fa-f]{0,4}" + _COLON + rb"){2,}[0-9A-Fa-f.]*", re.IGNORECASE)
_ENCODED_COLON = re.compile(rb"%(?:25)*3A", re.IGNORECASE)
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


def rows(rejects: _core.Rejects) -> Iterator[Reject]:
    """Yield the rejected lines of a scan."""
    reasons, texts = rejects["reason"], rejects["text"]
    # Numbers become objects one by one: there may be more rejected lines than there is room for.
    columns = (memoryview(rejects[name]).cast("Q") for name in ("line", "offset", "length"))
    for index, (line, offset, length) in enumerate(zip(*columns, strict=True)):
        text = texts[index] if texts is not None else None
        yield Reject(line, offset, length, reasons[index], text)


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


def _zero(match: re.Match[bytes]) -> bytes:
    """Hide a digit, but not those of an encoded dot."""
    return b"0" if len(match[0]) == 1 else match[0]


def redact(text: bytes) -> bytes:
    """Hide signatures, credentials, tokens and addresses; every byte keeps its place."""
    text = _SECRET.sub(lambda match: match[1] + b"X" * len(match[2]), text)
    text = _KEY_ID.sub(lambda match: b"X" * len(match[1]), text)
    text = _IPV4.sub(lambda match: _ENCODED_SIGN.sub(_zero, match[0]), text)
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


def copy_rows(spool: BinaryIO, file: BinaryIO, lines_before: int) -> None:
    """Append the lines of the list for one piece of a source, whose line numbers count from its beginning."""
    spool.seek(0)
    for row in spool:
        source, line, rest = row.split(b"\t", 2)
        file.write(b"%b\t%d\t%b" % (source, int(line) + lines_before, rest))
