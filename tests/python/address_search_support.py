"""A search for addresses in files of any kind: in every spelling, packed, and as hashes that need no key."""

from __future__ import annotations

import base64
import gzip
import hashlib
import ipaddress
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tickline._core import ContentHash

_CHANCE = 3
"""Four bytes stand somewhere by chance. So many different addresses in one file do not."""
_PREFIX_BYTES = 8


def spellings(text: str) -> set[str]:
    """Return all ways in which an address may be written."""
    address = ipaddress.ip_address(text)
    found = {text, str(address)}
    mapped = address if address.version == 4 else address.ipv4_mapped
    if mapped is not None:
        six = ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + mapped.packed)
        found |= {str(mapped), f"::ffff:{mapped}", _groups(six), f"0:0:0:0:0:ffff:{mapped}"}
        found |= {six.exploded, mapped.reverse_pointer}
    if address.version == 6:
        found |= {address.compressed, address.exploded, _groups(address), address.reverse_pointer}
        found.add(address.packed.hex())
    return found | {one.upper() for one in found} | {one.lower() for one in found}


def _groups(address: ipaddress.IPv6Address) -> str:
    return ":".join(f"{int(group, 16):x}" for group in address.exploded.split(":"))


def _packed(text: str) -> bytes:
    address = ipaddress.ip_address(text)
    return (getattr(address, "ipv4_mapped", None) or address).packed


def _xxh3(data: bytes) -> bytes:
    hashed = ContentHash()
    hashed.update(data)
    return hashed.digest()


def digests(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of every usual hash of `data`."""
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_256", "blake2b", "blake2s"):
        yield name, hashlib.new(name, data, usedforsecurity=False).digest()
    for size in (8, 16, 20, 32):
        yield f"blake2b-{size}", hashlib.blake2b(data, digest_size=size).digest()
    yield "xxh3-128", _xxh3(data)


class Search:
    """Looks for addresses; a hash is found by its first eight bytes, and so also if it was cut.

    Parameters
    ----------
    addresses : iterable of str
        As they were logged.
    salt : bytes
        Hashes with it behind the address are looked for, too.
    """

    def __init__(self, addresses: Iterable[str], salt: bytes) -> None:
        self._patterns: dict[bytes, list[tuple[bytes, str, str, bool]]] = {}
        self._numbers: dict[int, str] = {}
        for text in addresses:
            self._add_texts(text)
            packed = _packed(text)
            self._add_packed(text, packed)
            hashed = {packed, *(one.encode() for one in spellings(text))}
            for data in hashed | {one + b"\n" for one in hashed}:
                for name, digest in digests(data):
                    self._add_digest(text, name, digest)
                self._add_digest(text, "salted sha1", hashlib.sha1(data + salt).digest())
        self._table = np.zeros(2**22, bool)
        self._table[_spread(np.frombuffer(b"".join(self._patterns), "<u4"))] = True

    def _add(self, pattern: bytes, address: str, kind: str, *, sure: bool = True) -> None:
        self._patterns.setdefault(pattern[:4], []).append((pattern, address, kind, sure))

    def _add_texts(self, text: str) -> None:
        for one in spellings(text):
            data = one.encode()
            self._add(data, text, "text")
            self._add(data.hex().encode(), text, "hex of text")
            self._add(base64.b64encode(data)[: len(data) * 4 // 3], text, "base64 of text")

    def _add_packed(self, text: str, packed: bytes) -> None:
        number = int.from_bytes(packed, "big")
        if len(packed) == 16:
            for data in (packed, packed[::-1], str(number).encode()):
                self._add(data, text, "packed")
            return
        for data in (packed, packed[::-1], packed.hex().encode(), packed.hex().upper().encode()):
            self._add(data, text, "packed", sure=False)
        self._add(str(number).encode(), text, "number", sure=False)
        for value in (number, number - 2**32):
            self._numbers[value] = f"{text}: number"

    def _add_digest(self, text: str, name: str, digest: bytes) -> None:
        short = digest[:_PREFIX_BYTES]
        for data in (short, short[::-1], short.hex().encode(), short.hex().upper().encode()):
            self._add(data, text, name)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            self._add(encode(digest)[:10], text, name)
        for order in ("big", "little"):
            value = int.from_bytes(short, order)
            self._numbers[value] = self._numbers[value - 2**64] = f"{text}: {name}"
            if len(str(value)) > 16:
                self._add(str(value).encode(), text, f"{name} as a number")

    def in_bytes(self, data: bytes, *, packed: bool = True) -> set[str]:
        """Return what was found; without `packed` four bytes are not looked for."""
        octets = np.frombuffer(data, np.uint8).astype(np.uint32)
        if len(octets) < 4:
            return set()
        words = octets[:-3] | octets[1:-2] << 8 | octets[2:-1] << 16 | octets[3:] << 24
        found: set[str] = set()
        perhaps: dict[str, str] = {}
        for at in np.flatnonzero(self._table[_spread(words)]).tolist():
            for pattern, address, kind, sure in self._patterns.get(data[at : at + 4], ()):
                if data.startswith(pattern, at):
                    if sure:
                        found.add(f"{address}: {kind}")
                    else:
                        perhaps[address] = f"{address}: {kind}"
        return found | (set(perhaps.values()) if packed and len(perhaps) >= _CHANCE else set())

    def in_numbers(self, numbers: Iterable[int | None]) -> set[str]:
        """Return what was found among numbers, which must be those of columns: any single one counts."""
        return {self._numbers[one] for one in self._numbers.keys() & set(numbers)}

    def in_file(self, path: Path) -> set[str]:
        """Return what stands in a file: in its bytes, and in what they mean."""
        return self._in_content(path.read_bytes(), path)

    def _in_content(self, data: bytes, path: Path | None) -> set[str]:
        if data.startswith(b"\x1f\x8b"):
            return self.in_bytes(data, packed=False) | self._in_content(gzip.decompress(data), None)
        if data.startswith(b"\x28\xb5\x2f\xfd"):
            with zstandard.ZstdDecompressor().stream_reader(data) as stream:
                return self.in_bytes(data, packed=False) | self._in_content(stream.read(), None)
        if data.startswith(b"PAR1"):
            return self.in_bytes(data, packed=False) | self._in_parquet(data)
        found = self.in_bytes(data)
        if data.startswith(b"SQLite format 3\0") and path is not None:
            found |= self._in_sqlite(path)
        return found

    def _in_parquet(self, data: bytes) -> set[str]:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        found: set[str] = self.in_bytes(str(table.schema.to_string(truncate_metadata=False)).encode())
        for column in table.columns:
            found |= self._in_values(set(_flat(column.to_pylist())))
        return found

    def _in_sqlite(self, path: Path) -> set[str]:
        found: set[str] = set()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            db.text_factory = bytes
            tables = [
                row[0].decode() for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            ]
            for name in tables:
                found |= self._in_values(
                    {value for row in db.execute(f'SELECT * FROM "{name}"') for value in row}
                )
        return found

    def _in_values(self, values: set[Any]) -> set[str]:
        texts = [
            one.encode() if isinstance(one, str) else one for one in values if isinstance(one, str | bytes)
        ]
        # Blanks between: a value must not begin with the end of another.
        return self.in_bytes(b"    ".join(texts)) | self.in_numbers(
            one for one in values if isinstance(one, int) and not isinstance(one, bool)
        )

    def below(self, *roots: Path, without: Iterable[Path] = ()) -> dict[str, set[str]]:
        """Return the files below some folders that hold an address, or have one in their names."""
        found = {}
        for root in roots:
            for path in files_below(root, without=without):
                name = path.relative_to(root).as_posix()
                if there := self.in_bytes(name.encode()) | self.in_file(path):
                    found[f"{root.name}/{name}"] = there
        return found


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for one in values:
        if isinstance(one, list | dict):
            yield from _flat(one.values() if isinstance(one, dict) else one)
        else:
            yield one


def files_below(root: Path, *, without: Iterable[Path] = ()) -> list[Path]:
    """Return all files below a folder but those below some others."""
    hidden = tuple(without)
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(other) for other in hidden)
    ]


def _spread(words: Any) -> Any:
    """Return 22 bits for each word."""
    return (words.astype(np.uint32) * np.uint32(2654435761)) >> np.uint32(10)
