r"""A chunk: what one run adds to the archive, as one object that is never changed.

The body is one zstd frame of a header (one line of JSON, ended by a newline) and of the raw lines, byte for
byte as chronyd wrote them, stretch behind stretch in the order of ``ranges``. The header, format 1:

================= =========================================================================================
``format``        ``"tickline-archive-chunk"``; ``version`` is 1
``node``, ``seq`` whose chunk, and its number from 1 without gaps
``previous``      SHA-256 (hex) of the *object* with number ``seq`` - 1, null for the first: the chain
``created``       the node's own clock, UTC; recorded, not trusted. ``day`` (yyyy/mm/dd) is the key's part:
                  that of ``created``, but never earlier than the day of the chunk before
``ranges``        stretches: ``log`` (path), ``file`` (the name it had), ``generation``, ``begin`` and ``end``
                  (bytes from the generation's beginning), ``lines``, ``note`` (null, or why it is unusual)
``lines``         sum over ranges; a stretch that ends within a line counts it. ``bytes`` likewise
``sha256``        of the raw lines; ``earliest`` and ``latest`` are the smallest and greatest time in them
``notes``         sentences on what could not be read
``generations``   where each log stands *behind* this chunk: all that a lost state needs
``next_generation``, ``run``  numbers that go on from here
``runs``          what the runs since the chunk before did: {run, start, end, calls, bytes, lines, objects,
                  result}
``store``         {url, conditional}: whether the store was seen to honour conditional writes
``evidence``      {chrony, conf, conf_sha256, kernel, machine}
``writer``        program and version
================= =========================================================================================

A **generation** is what one log file was told from its first byte to its last, whatever it was named:
rotation begins a new one. A heartbeat is a chunk without ranges.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tickline.errors import TicklineError

__all__ = [
    "MOST_RAW_BYTES",
    "Chunk",
    "Range",
    "count_lines",
    "key_of",
    "pack",
    "seq_of",
    "sha256_hex",
    "unpack",
]

FORMAT = "tickline-archive-chunk"
VERSION = 1
MOST_RAW_BYTES = 32 * 2**20
"""Raw bytes that one chunk takes; more become several chunks."""

# A header of this size would hold the names of 100,000 files: larger ones are not read.
_MOST_BODY_BYTES = MOST_RAW_BYTES + 64 * 2**20
_LEVEL = 9
_TIMES = re.compile(rb"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)", re.MULTILINE)
_KEY = re.compile(r"v1/([^/]+)/(\d{4}/\d\d/\d\d)/(\d{10,})(-[0-9a-f]{16})?\.zst", re.ASCII)


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of one log: see ``ranges`` above."""

    log: str
    file: str
    generation: int
    begin: int
    end: int
    lines: int
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as it stands in a header."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that was read back and checked.

    Attributes
    ----------
    sha256 : str
        Of the object, hex: what the next chunk names as ``previous``.
    """

    header: dict[str, Any]
    raw: bytes
    sha256: str

    def pieces(self) -> list[tuple[Range, bytes]]:
        """Return the stretches with their bytes."""
        found, at = [], 0
        for item in self.header["ranges"]:
            stretch = Range(**item)
            size = stretch.end - stretch.begin
            found.append((stretch, self.raw[at : at + size]))
            at += size
        return found


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()


def key_of(node: str, day: str, seq: int, sha256: str | None = None) -> str:
    """Return the key of a chunk; `sha256` (of the object) only where the store ignores conditional writes."""
    unique = f"-{sha256[:16]}" if sha256 is not None else ""
    return f"v1/{node}/{day}/{seq:010}{unique}.zst"


def seq_of(key: str) -> int | None:
    """Return the number in a key below its store's prefix, None if it is no chunk's."""
    found = _KEY.fullmatch(key)
    return int(found[3]) if found else None


def count_lines(data: bytes) -> int:
    """Count lines; one without a newline at the end counts."""
    return data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


def pack(header: Mapping[str, Any], pieces: Sequence[tuple[Range, bytes]]) -> bytes:
    """Make the body of a chunk.

    Parameters
    ----------
    header : mapping
        What is not a function of `pieces`: see the table of this module.
    pieces : sequence of (Range, bytes)
        Stretches and their bytes.
    """
    import zstandard

    raw = b"".join(data for _, data in pieces)
    times = _TIMES.findall(raw)
    full = {
        "format": FORMAT,
        "version": VERSION,
        **header,
        "ranges": [stretch.as_json() for stretch, _ in pieces],
        "lines": sum(stretch.lines for stretch, _ in pieces),
        "bytes": len(raw),
        "sha256": sha256_hex(raw),
        "earliest": min(times).decode() if times else None,
        "latest": max(times).decode() if times else None,
    }
    line = json.dumps(full, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(line + raw)


def unpack(body: bytes, where: str) -> Chunk:
    """Read a chunk back and check all that it says of itself.

    Parameters
    ----------
    body : bytes
        The object.
    where : str
        Its file or key, for messages.

    Raises
    ------
    TicklineError
        It is damaged, no chunk, or of a newer version.
    """
    text = _decompress(body, where)
    line, _, raw = text.partition(b"\n")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _damaged(where, "its header is no JSON") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _damaged(where, "it is no chunk of this archive")
    version = header.get("version")
    if type(version) is int and version > VERSION:
        what = f"has version {version}, made by a newer version of tickline; this one knows {VERSION}"
        raise TicklineError(what, where=where, hint="Update tickline.")
    if header.get("sha256") != sha256_hex(raw) or header.get("bytes") != len(raw):
        raise _damaged(where, "its lines are not those that its header names")
    chunk = Chunk(header, raw, sha256_hex(body))
    _check_ranges(chunk, where)
    return chunk


def _decompress(body: bytes, where: str) -> bytes:
    import zstandard

    try:
        size = zstandard.frame_content_size(body)
        if not 0 <= size <= _MOST_BODY_BYTES:
            raise _damaged(where, f"its content would have {size:,} bytes")
        reader = zstandard.ZstdDecompressor().decompressobj()
        text = reader.decompress(body)
    except zstandard.ZstdError as error:
        raise _damaged(where, f"its zstd data is damaged: {error}") from error
    if not reader.eof or reader.unused_data:
        raise _damaged(where, "it is cut off, or something follows it")
    return text


def _check_ranges(chunk: Chunk, where: str) -> None:
    header = chunk.header
    if type(header.get("seq")) is not int or not isinstance(header.get("node"), str):
        raise _damaged(where, "it names no node or number")
    try:
        pieces = chunk.pieces()
        lines = [count_lines(data) == stretch.lines for stretch, data in pieces]
        size = sum(stretch.end - stretch.begin for stretch, _ in pieces)
        ordered = all(0 <= stretch.begin < stretch.end for stretch, _ in pieces)
    except (KeyError, TypeError) as error:
        raise _damaged(where, "its ranges cannot be understood") from error
    total = sum(stretch.lines for stretch, _ in pieces)
    if not ordered or size != len(chunk.raw) or not all(lines) or total != header.get("lines"):
        raise _damaged(where, "its ranges do not add up to its lines")


def _damaged(where: str, why: str) -> TicklineError:
    hint = "Keep it as it is, and look for a copy of it."
    return TicklineError(f"cannot be taken for a chunk ({why})", where=where, hint=hint)
