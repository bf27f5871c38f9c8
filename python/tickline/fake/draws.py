"""Random draws that are the same on every machine, for the generators of `tickline.fake`.

Neither numpy's Generator nor `random.choice` promises the same stream for ever, so every draw here is a
hash of (seed, name of the stream, number of the row): splitmix64 in whole numbers, nothing in floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Flags = NDArray[np.bool_]
T = TypeVar("T")

# Byte that fills the unused places of fixed-width text; no generated text of a clean row holds it.
PAD = 0xFF

_WORD = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def mix(value: int) -> int:
    """Finish one splitmix64 step (Steele, Lea and Flood 2014) on a Python int."""
    value &= _WORD
    value = ((value ^ (value >> 30)) * _MIX_1) & _WORD
    value = ((value ^ (value >> 27)) * _MIX_2) & _WORD
    return value ^ (value >> 31)


def stream_key(seed: int, name: str) -> int:
    """Return the start of one named stream of a seed."""
    state = mix(seed + _GOLDEN)
    for byte in name.encode():
        state = mix(state * 257 + byte + _GOLDEN)
    return state


def draw(key: int, rows: U64) -> U64:
    """Return one 64-bit draw a row from the stream that starts at `key`."""
    value = rows * np.uint64(_GOLDEN)
    value += np.uint64(key)
    value ^= value >> np.uint64(30)
    value *= np.uint64(_MIX_1)
    value ^= value >> np.uint64(27)
    value *= np.uint64(_MIX_2)
    value ^= value >> np.uint64(31)
    return value


def scale(draws: U64, limit: int) -> I64:
    """Map the low 32 bits of each draw onto 0 .. limit-1 (limit < 2**31)."""
    low = draws & np.uint64(0xFFFFFFFF)
    return ((low * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)


class Zipf:
    """Picks ranks below `count` with a chance of about 1/rank, in whole numbers.

    Every octave of ranks (0, 1-2, 3-6, ...) is equally likely, and ranks within an octave are too.
    """

    def __init__(self, count: int) -> None:
        octaves = count.bit_length()
        self._low = np.array([(1 << e) - 1 for e in range(octaves)], dtype=np.uint64)
        self._width = np.array([min(1 << e, count - (1 << e) + 1) for e in range(octaves)], dtype=np.uint64)

    def pick(self, draws: U64) -> I64:
        """Return one rank for each draw."""
        octave = scale(draws, len(self._low))
        inside = ((draws >> np.uint64(32)) * self._width[octave]) >> np.uint64(32)
        return (self._low[octave] + inside).astype(np.int64)


def quads(alphabet: bytes, seed_name: str) -> NDArray[Any]:
    """Return 65,536 entries of four characters of a 64-character alphabet, one for each 16-bit draw."""
    key = stream_key(0, seed_name)
    bits = draw(key, np.arange(65536, dtype=np.uint64))
    letters = np.frombuffer(alphabet, dtype=np.uint8)
    size = np.uint64(len(alphabet))
    parts = [letters[((bits >> np.uint64(8 * i)) % size).astype(np.int64)] for i in range(4)]
    return np.ascontiguousarray(np.stack(parts, axis=1)).view("<u4").ravel()


def hex_quads() -> NDArray[Any]:
    """Return the four hexadecimal digits of every 16-bit number."""
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    number = np.arange(65536)
    parts = [digits[(number >> shift) & 15] for shift in (12, 8, 4, 0)]
    return np.ascontiguousarray(np.stack(parts, axis=1)).view("<u4").ravel()


def spell(table: NDArray[Any], draws: Sequence[U64]) -> U8:
    """Write 16 characters a draw, four for each 16 bits of it, lowest bits first."""
    words = np.stack(draws, axis=1).astype("<u8", copy=False).view("<u2")
    text: U8 = table[words].view(np.uint8)
    return text


def text_table(texts: Sequence[bytes]) -> U8:
    """Return the texts as rows of a byte matrix, padded with `PAD`."""
    width = max(1, max(len(text) for text in texts))
    joined = b"".join(text.ljust(width, bytes([PAD])) for text in texts)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(texts), width)


def weighted(entries: Sequence[tuple[T, int]], size: int = 256) -> list[T]:
    """Return `size` places shared out by weight (weights are parts of `size`, the last takes the rest)."""
    places = [item for item, weight in entries for _ in range(weight)]
    return (places + [entries[-1][0]] * size)[:size]


class Dice:
    """Scalar draws for the rare rows that are written one at a time."""

    def __init__(self, key: int, row: int) -> None:
        self._state = mix(key + row * _GOLDEN)

    def bits(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + _GOLDEN) & _WORD
        return mix(self._state)

    def below(self, limit: int) -> int:
        """Return a number in 0 .. limit-1."""
        return (self.bits() * limit) >> 64

    def between(self, first: int, last: int) -> int:
        """Return a number in first .. last."""
        return first + self.below(last - first + 1)

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def text(self, alphabet: bytes, length: int) -> bytes:
        """Return `length` bytes of an alphabet."""
        return bytes(alphabet[self.below(len(alphabet))] for _ in range(length))
