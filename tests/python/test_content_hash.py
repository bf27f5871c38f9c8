"""`ContentHash`: XXH3-128 and newlines of bytes that come in pieces and ranges, against golden values."""

from __future__ import annotations

import itertools
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickline._core import ContentHash

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/hash.json").read_text())["cases"]


def _input(length: int) -> bytes:
    return bytes((i * i + 7 * i + 3) % 251 for i in range(length))


def _digest(*pieces: bytes) -> str:
    hashed = ContentHash()
    for piece in pieces:
        hashed.update(piece)
    return hashed.digest().hex()


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """Return an open file of 700,001 bytes, more than two of the pieces in which it is read."""
    (tmp_path / "file").write_bytes(_input(700_001))
    opened = os.open(tmp_path / "file", os.O_RDONLY)
    yield opened
    os.close(opened)


def test_hashes_are_the_golden_ones() -> None:
    assert len(GOLDEN) > 30
    for case in GOLDEN:
        assert _digest(_input(case["length"])) == case["xxh3_128"], case["length"]


def test_pieces_do_not_matter() -> None:
    chance = random.Random(2)
    for case in GOLDEN:
        data = _input(case["length"])
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(6)))
        ends = [0, *cuts, len(data)]
        pieces = [data[begin:end] for begin, end in itertools.pairwise(ends)]
        assert _digest(*pieces) == case["xxh3_128"]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 255 * 64, 255 * 64 + 1, 300_000])
def test_newlines_are_counted(size: int) -> None:
    chance = random.Random(size)
    for share in (0, 0.02, 0.5, 1):
        data = bytes(
            10 if chance.random() < share else chance.choice(b"\x09\x0b\x0d\x8a\x00\xff") for _ in range(size)
        )
        hashed = ContentHash()
        hashed.update(data)
        assert (hashed.newlines, hashed.bytes) == (data.count(b"\n"), size)


def test_ranges_of_a_file(descriptor: int) -> None:
    data = os.pread(descriptor, 10**6, 0)
    for ends in ([0, 700_001], [0, 1, 2, 262_143, 262_145, 700_001], [17, 17, 600_000]):
        hashed = ContentHash()
        for begin, end in itertools.pairwise(ends):
            assert hashed.read(descriptor, begin, end) == end - begin
        part = data[ends[0] : ends[-1]]
        assert hashed.digest().hex() == _digest(part)
        assert (hashed.bytes, hashed.newlines) == (len(part), part.count(b"\n"))


def test_a_file_that_ends_before_its_range(descriptor: int) -> None:
    hashed = ContentHash()
    assert hashed.read(descriptor, 600_000, 2**62) == 100_001
    assert hashed.read(descriptor, 700_001, 800_000) == 0
    assert hashed.read(descriptor, 2**40, 2**41) == 0
    assert hashed.read(descriptor, 5, 5) == hashed.read(descriptor, 5, 2) == 0
    assert hashed.bytes == 100_001


def test_digests_on_the_way_change_nothing() -> None:
    hashed = ContentHash()
    assert hashed.digest() == ContentHash().digest()
    for byte in _input(300):
        hashed.update(bytes([byte]))
        hashed.digest()
    assert hashed.digest().hex() == _digest(_input(300))


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            ContentHash().read(folder, 0, 10)
    finally:
        os.close(folder)
    with pytest.raises(OSError, match="descriptor"):
        ContentHash().read(-1, 0, 10)
    with pytest.raises(TypeError):
        ContentHash().read(0, -1, 10)


def test_buffers_of_all_kinds() -> None:
    for data in (b"abc", bytearray(b"abc"), memoryview(b"abc")):
        hashed = ContentHash()
        hashed.update(data)
        assert hashed.digest().hex() == _digest(b"abc")
    with pytest.raises(TypeError):
        ContentHash().update("abc")  # type: ignore[arg-type]


def test_a_second_thread_is_told_and_does_no_harm(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as large:
        large.truncate(200_000_000)
    hashed = ContentHash()
    with (tmp_path / "large").open("rb") as large:
        thread = threading.Thread(target=hashed.read, args=(large.fileno(), 0, 200_000_000))
        thread.start()
        refused = 0
        while thread.is_alive() and not refused:
            try:
                hashed.update(b"x")
            except RuntimeError:
                refused += 1
        thread.join()
    assert refused or hashed.bytes >= 200_000_000
