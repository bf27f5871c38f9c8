"""Bytes of logs: compressed or not, whole or cut, and which files of a folder are logs."""

from __future__ import annotations

import gzip
import io
import os
import random
import zlib
from pathlib import Path

import pytest
import zstandard

from tickline.discovery import discover, is_log_name, natural_key, strip_suffixes
from tickline.errors import SourceError
from tickline.sources import decompress, kind_of, open_source

TEXT = b"".join(b"line %d of a log\n" % number for number in range(200_000))


def content(path: Path) -> bytes:
    with open_source(path) as source:
        return b"".join(source.chunks())


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def zstd(data: bytes, **more: object) -> bytes:
    return zstandard.ZstdCompressor(**more).compress(data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plain.log", TEXT),
        ("one.log.gz", gzip.compress(TEXT, mtime=0)),
        (
            "members.log.gz",
            gzip.compress(TEXT[:1000], mtime=0)
            + gzip.compress(b"", mtime=0)
            + gzip.compress(TEXT[1000:], mtime=0),
        ),
        ("padded.log.gz", gzip.compress(TEXT) + bytes(300_000)),
        ("one.log.zst", zstd(TEXT)),
        ("frames.log.zst", zstd(TEXT[:1000]) + zstd(b"") + zstd(TEXT[1000:], write_checksum=True)),
        ("skippable.log.zst", b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstd(TEXT) + b"\x5f\x2a\x4d\x18\0\0\0\0"),
        ("misnamed.log", gzip.compress(TEXT)),
        ("misnamed.log.gz", TEXT),
        ("zstd-called.gz", zstd(TEXT)),
    ],
)
def test_content_is_read_whatever_the_name_says(tmp_path: Path, name: str, data: bytes) -> None:
    assert content(put(tmp_path / name, data)) == TEXT


@pytest.mark.parametrize("name", ["a.log.gz", "a.log.zst"])
@pytest.mark.parametrize("cut", [1, 5, 9, 1000, -1, -5])
def test_a_cut_file_is_an_error_that_names_it(tmp_path: Path, name: str, cut: int) -> None:
    data = gzip.compress(TEXT) if name.endswith("gz") else zstd(TEXT, write_checksum=True)
    path = put(tmp_path / name, data[:cut])
    with pytest.raises(SourceError) as caught:
        content(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.log.gz", "a.log.zst"])
def test_a_file_cut_between_members_but_inside_the_second_header_is_an_error(
    tmp_path: Path, name: str
) -> None:
    pack = gzip.compress if name.endswith("gz") else zstd
    with pytest.raises(SourceError):
        content(put(tmp_path / name, pack(TEXT) + pack(TEXT)[:3]))


@pytest.mark.parametrize("name", ["a.log.gz", "a.log.zst"])
def test_an_empty_compressed_file_was_cut(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="empty"):
        content(put(tmp_path / name, b""))


def test_every_damaged_byte_of_a_checked_file_is_found(tmp_path: Path) -> None:
    chance = random.Random(5)
    for pack, name in ((gzip.compress, "a.gz"), (lambda text: zstd(text, write_checksum=True), "a.zst")):
        whole = pack(TEXT[:5000])
        for _ in range(40):
            data = bytearray(whole)
            place = chance.randrange(len(data) // 2, len(data) - 1)
            data[place] ^= 1 << chance.randrange(8)
            path = put(tmp_path / name, bytes(data))
            with pytest.raises(SourceError):
                content(path)


def test_garbage_behind_gzip_data_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not gzip"):
        content(put(tmp_path / "a.gz", gzip.compress(TEXT) + b"rubbish"))


def test_a_compressed_name_over_binary_garbage_is_damage() -> None:
    with pytest.raises(SourceError, match="damaged"):
        kind_of(b"\0\1\2\3 whatever", "x.log.gz")
    assert kind_of(b"\0\1\2\3 whatever", "x.log") == "plain"


class Dribble:
    """A pipe that hands out one byte at a time at first."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int, /) -> bytes:
        return self._file.read(1 if self._file.tell() < 100 else size)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd])
def test_a_pipe_may_hand_out_single_bytes(pack: object) -> None:
    assert b"".join(decompress(Dribble(pack(TEXT)))) == TEXT  # type: ignore[operator]


def test_chunks_stay_small_when_little_becomes_much() -> None:
    block, count = bytes(2**20), 100
    packers = (zlib.compressobj(wbits=31), zstandard.ZstdCompressor().compressobj())
    for packer in packers:
        data = b"".join(packer.compress(block) for _ in range(count)) + packer.flush()
        assert len(data) < 2**18
        sizes = [len(chunk) for chunk in decompress(io.BytesIO(data))]
        assert sum(sizes) == count * len(block)
        assert max(sizes) <= 18 * 2**20


def test_a_folder_and_a_missing_file_are_explained(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="does not exist") as caught:
        open_source(tmp_path / "no.log")
    assert "no.log" in str(caught.value)


def test_a_change_while_reading_is_seen(tmp_path: Path) -> None:
    path = put(tmp_path / "a.log", b"one\n")
    with open_source(path) as source:
        assert source.unchanged()
        with path.open("ab") as file:
            file.write(b"two\n")
        assert not source.unchanged()
    with open_source(path) as source:
        path.unlink()
        assert not source.unchanged()


OBJECT = "2024-05-01-00-12-33-0123456789ABCDEF"


@pytest.mark.parametrize(
    "name",
    [
        "01.log",
        "a.log.gz",
        "a.log.zst",
        OBJECT,
        OBJECT + ".gz",
        "prefix" + OBJECT,
        "access_" + OBJECT + ".zst",
    ],
)
def test_names_of_logs(name: str) -> None:
    assert is_log_name(name)


@pytest.mark.parametrize(
    "name",
    ["01.tsv", ".log", "a.log.bz2", "a.txt", OBJECT[:-1], OBJECT + ".tsv", "a.gz", "log", "a.log.tsv", ""],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_log_name(name)


def test_suffixes_are_stripped_once() -> None:
    assert strip_suffixes("01.log") == "01"
    assert strip_suffixes("01.log.gz") == "01"
    assert strip_suffixes("a.log.log") == "a.log"
    assert strip_suffixes(OBJECT + ".zst") == OBJECT
    assert strip_suffixes(".log") == ".log"


def test_numbers_in_names_are_ordered_as_numbers() -> None:
    names = ["10/1.log", "9/10.log", "9/2.log", "9/a.log", "9/a10.log", "9/a9.log"]
    in_order = ["9/2.log", "9/10.log", "9/a9.log", "9/a10.log", "9/a.log", "10/1.log"]
    assert sorted(names, key=natural_key) == in_order


def test_discovery_takes_logs_of_every_layout_and_counts_the_rest(tmp_path: Path) -> None:
    partitioned = f"logs/111122223333/us-east-1/openlogs/2024/05/01/{OBJECT}"
    logs = ["2024/05/01.log", "2024/05/02.log.gz", OBJECT, partitioned, "x/y/z/deep.log.zst"]
    for name in logs:
        put(tmp_path / name, b"")
    for name in ("truth.json", ".hidden.log", "notes.txt", ".git/a.log"):
        put(tmp_path / name, b"")
    os.mkfifo(tmp_path / "pipe.log")
    found = discover(tmp_path)
    assert sorted(file.name for file in found.files) == sorted(logs)
    assert found.left_out == {
        "truth.json": 1,
        "hidden": 2,
        "not named like a log": 1,
        "pipe, socket or device": 1,
    }
    assert found.problems == []


def test_links_neither_loop_nor_count_twice(tmp_path: Path) -> None:
    put(tmp_path / "raw/a/1.log", b"")
    put(tmp_path / "elsewhere/2.log", b"")
    (tmp_path / "raw/a/up").symlink_to(tmp_path / "raw", target_is_directory=True)
    (tmp_path / "raw/0").symlink_to(tmp_path / "raw/a", target_is_directory=True)
    (tmp_path / "raw/latest.log").symlink_to(tmp_path / "raw/a/1.log")
    (tmp_path / "raw/other").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "raw/gone.log").symlink_to(tmp_path / "nothing")
    found = discover(tmp_path / "raw")
    assert [file.name for file in found.files] == ["a/1.log", "other/2.log"]
    assert [problem.where for problem in found.problems] == [str(tmp_path / "raw/gone.log")]


def test_an_excluded_folder_is_not_entered(tmp_path: Path) -> None:
    put(tmp_path / "a.log", b"")
    put(tmp_path / "out/b.log", b"")
    status = (tmp_path / "out").stat()
    found = discover(tmp_path, exclude=frozenset({(status.st_dev, status.st_ino)}))
    assert [file.name for file in found.files] == ["a.log"]


def test_a_very_deep_folder_is_no_problem(tmp_path: Path) -> None:
    put(tmp_path.joinpath(*["d"] * 300, "a.log"), b"")
    assert len(discover(tmp_path).files) == 1
