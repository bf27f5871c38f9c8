r"""A chunk: what one run adds to the archive, as one object that is never changed.

The body is one zstd frame of a header (one line of JSON, ended by a newline) and of the raw lines, byte for
byte as chronyd wrote them, stretch behind stretch in the order of ``ranges``. A skippable frame with the
SHA-256 of the first one ends it: decompressors pass over it, and without it some changed bytes would be
noticed only by the next chunk, because they change nothing of what is decompressed. The header, format 1:

================= =========================================================================================
``format``        ``"tickline-archive-chunk"``; ``version`` is 1
``node``, ``seq`` whose chunk, and its number from 1 without gaps
``previous``      SHA-256 (hex) of the *object* with number ``seq`` - 1, null for the first: the chain
``created``       the node's own clock, UTC; recorded, not trusted. ``day`` (yyyy/mm/dd) is the key's part:
                  the day on which the chunk before was made, so that all who go on behind that one have
                  the same key; that of ``created`` where the archive was just asked for its end
``ranges``        stretches: ``log`` (path), ``file`` (the name it had), ``generation``, ``begin`` and ``end``
                  (bytes from the generation's beginning), ``lines``, ``note`` (null, or why it is unusual)
``lines``         sum over ranges; a stretch that ends within a line counts it. ``bytes`` likewise
``sha256``        of the raw lines; ``earliest`` and ``latest`` are the smallest and greatest time in them
``notes``         sentences on what could not be read
``generations``   where each log stands *behind* this chunk: all that a lost state needs
``next_generation``, ``run``  numbers that go on from here
``imports``       first and last number of each row of chunks, this one included, whose lines came from old
                  objects (ranges with the note "imported") and may be years older than the chunks around
``runs``          what the runs since the chunk before did: {run, start, end, calls, bytes, lines, objects,
                  result}
``store``         {url, conditional}: whether the store was seen to honour conditional writes
``heartbeat_s``   after so many seconds at the latest the first run makes a chunk, with lines or without
``retention``     {mode, years} of Object Lock that was asked for, or null
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
    "IMPORTED",
    "MOST_RAW_BYTES",
    "MOVED",
    "Chunk",
    "Key",
    "Range",
    "count_lines",
    "key_of",
    "pack",
    "parse_key",
    "sealed",
    "seq_of",
    "sha256_hex",
    "times_in",
    "unpack",
]

FORMAT = "tickline-archive-chunk"
VERSION = 1
IMPORTED = "imported"
"""The note of ranges whose lines were brought in from old objects."""

MOVED = "moved"
"""The note of the first range of a generation whose log was in another folder before."""

MOST_RAW_BYTES = 32 * 2**20
"""Raw bytes that one chunk takes; more become several chunks."""

# A header of this size would hold the names of 100,000 files: larger ones are not read.
_MOST_BODY_BYTES = MOST_RAW_BYTES + 64 * 2**20
_LEVEL = 9
# Magic number and size of a skippable frame of 32 bytes (RFC 8878, section 3.1.2).
_SEAL = (0x184D2A50).to_bytes(4, "little") + (32).to_bytes(4, "little")
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
    raw_begin : int
        Where the raw lines begin in the decompressed body: behind the header and its newline.
    sha256 : str
        Of the object, hex: what the next chunk names as ``previous``.
    """

    header: dict[str, Any]
    raw: bytes
    raw_begin: int
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


@dataclass(frozen=True, slots=True)
class Key:
    """What a chunk's key says: whose it is, its day, its number, and whether it has a hash behind that."""

    node: str
    day: str
    seq: int
    unique: bool


def parse_key(key: str) -> Key | None:
    """Take a key below its store's prefix apart, None if it is no chunk's."""
    found = _KEY.fullmatch(key)
    return Key(found[1], found[2], int(found[3]), found[4] is not None) if found else None


def seq_of(key: str) -> int | None:
    """Return the number in a key below its store's prefix, None if it is no chunk's."""
    found = parse_key(key)
    return found.seq if found else None


def count_lines(data: bytes) -> int:
    """Count lines; one without a newline at the end counts."""
    return data.count(b"\n") + (data[-1:] not in (b"", b"\n"))


def times_in(data: bytes) -> list[str]:
    """Return the times that lines begin with, ``yyyy-mm-dd hh:mm:ss``: as texts they sort as the times do."""
    return list(map(bytes.decode, _TIMES.findall(data)))


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
    times = times_in(raw)
    full = {
        "format": FORMAT,
        "version": VERSION,
        **header,
        "ranges": [stretch.as_json() for stretch, _ in pieces],
        "lines": sum(stretch.lines for stretch, _ in pieces),
        "bytes": len(raw),
        "sha256": sha256_hex(raw),
        "earliest": min(times, default=None),
        "latest": max(times, default=None),
    }
    line = json.dumps(full, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return sealed(zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(line + raw))


def sealed(frame: bytes) -> bytes:
    """Return a zstd frame with the frame behind it that holds its SHA-256."""
    return frame + _SEAL + hashlib.sha256(frame).digest()


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
    chunk = Chunk(header, raw, len(line) + 1, sha256_hex(body))
    _check_ranges(chunk, where)
    return chunk


def _decompress(body: bytes, where: str) -> bytes:
    import zstandard

    frame = body[: -len(sealed(b""))]
    if sealed(frame) != body:
        raise _damaged(where, "it was changed or cut off, or something follows it")
    try:
        size = zstandard.frame_content_size(frame)
        if not 0 <= size <= _MOST_BODY_BYTES:
            raise _damaged(where, f"its content would have {size:,} bytes")
        reader = zstandard.ZstdDecompressor().decompressobj()
        text = reader.decompress(frame)
    except zstandard.ZstdError as error:
        raise _damaged(where, f"its zstd data is damaged: {error}") from error
    if not reader.eof or reader.unused_data:
        raise _damaged(where, "its zstd data is not one frame")
    return text


def _check_ranges(chunk: Chunk, where: str) -> None:
    header = chunk.header
    if type(header.get("seq")) is not int or not isinstance(header.get("node"), str):
        raise _damaged(where, "it names no node or number")
    try:
        pieces = chunk.pieces()
        fits = all(_is_typed(stretch) and count_lines(data) == stretch.lines for stretch, data in pieces)
        ordered = all(0 <= stretch.begin < stretch.end for stretch, _ in pieces)
        size = sum(stretch.end - stretch.begin for stretch, _ in pieces)
        total = sum(stretch.lines for stretch, _ in pieces)
    except (KeyError, TypeError) as error:
        raise _damaged(where, "its ranges cannot be understood") from error
    if not fits or not ordered or size != len(chunk.raw) or total != header.get("lines"):
        raise _damaged(where, "its ranges do not add up to its lines")


def _is_typed(stretch: Range) -> bool:
    numbers = (stretch.generation, stretch.begin, stretch.end, stretch.lines)
    texts = (stretch.log, stretch.file, *(() if stretch.note is None else (stretch.note,)))
    return all(type(number) is int for number in numbers) and all(isinstance(text, str) for text in texts)


def _damaged(where: str, why: str) -> TicklineError:
    hint = "Keep it as it is, and look for a copy of it."
    return TicklineError(f"cannot be taken for a chunk ({why})", where=where, hint=hint)
