"""Chunks of the archive, and the folder that keeps them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from tickline.errors import SourceError, TicklineError
from tickline.pipelines.archive.chunk import Range, count_lines, key_of, pack, sealed, seq_of, unpack
from tickline.pipelines.archive.state import Position
from tickline.pipelines.archive.stores import FolderStore

HEADER = {"node": "n1", "seq": 7, "previous": "ab" * 32, "day": "2026/11/22"}
TRACKING = (
    b"   Date (UTC) Time     IP Address\n2026-11-22 10:00:05 192.0.2.1 2\n2026-11-22 09:59:59 192.0.2.2 2\n"
)
BINARY = b"\x00\xff\n\n" + b"x" * 1000


def _pieces() -> list[tuple[Range, bytes]]:
    return [
        (Range("/l/tracking.log", "tracking.log.1", 3, 100, 100 + len(TRACKING), 3), TRACKING),
        (Range("/l/rtc.log", "rtc.log", 4, 0, len(BINARY), 3, "shrunk"), BINARY),
    ]


def test_a_chunk_is_a_zstd_frame_of_a_header_line_and_the_raw_lines() -> None:
    body = pack(HEADER, _pieces())
    line, raw = zstandard.ZstdDecompressor().decompress(body).split(b"\n", 1)
    header = json.loads(line)
    assert raw == TRACKING + BINARY
    assert header["sha256"] == hashlib.sha256(TRACKING + BINARY).hexdigest()
    assert (header["lines"], header["bytes"]) == (6, len(TRACKING + BINARY))
    # Lines need not be in order: statistics are not.
    assert (header["earliest"], header["latest"]) == ("2026-11-22 09:59:59", "2026-11-22 10:00:05")
    assert {key: header[key] for key in HEADER} == HEADER


def test_what_is_read_back_is_what_was_packed() -> None:
    body = pack(HEADER, _pieces())
    chunk = unpack(body, "x")
    assert chunk.pieces() == _pieces()
    assert chunk.sha256 == hashlib.sha256(body).hexdigest()


def test_the_same_content_gives_the_same_bytes() -> None:
    assert pack(HEADER, _pieces()) == pack(dict(reversed(HEADER.items())), _pieces())


def test_a_heartbeat_has_no_lines() -> None:
    chunk = unpack(pack(HEADER, []), "x")
    assert (chunk.raw, chunk.header["lines"], chunk.header["earliest"]) == (b"", 0, None)


def test_a_line_without_an_end_counts() -> None:
    assert [count_lines(data) for data in (b"", b"\n", b"a", b"a\n", b"a\nb")] == [0, 1, 1, 1, 2]


def test_every_changed_byte_of_an_object_is_noticed() -> None:
    body = pack(HEADER, _pieces())
    for at in range(len(body)):
        # Bit 4 of byte 4 is one that zstd does not use; some others may have any value too.
        for bit in range(8):
            damaged = bytearray(body)
            damaged[at] ^= 1 << bit
            with pytest.raises(TicklineError, match="some/key: "):
                unpack(bytes(damaged), "some/key")


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 64},
        {"bytes": 1},
        {"lines": 5},
        {"ranges": []},
        {"ranges": [{"log": 1}]},
        {"ranges": None},
        {"seq": "7"},
        {"format": "other"},
        {"version": 2},
    ],
)
def test_a_header_that_does_not_fit_its_lines_is_refused(change: dict[str, object]) -> None:
    line, raw = zstandard.ZstdDecompressor().decompress(pack(HEADER, _pieces())).split(b"\n", 1)
    forged = json.dumps({**json.loads(line), **change}).encode() + b"\n" + raw
    with pytest.raises(TicklineError, match="k: "):
        unpack(sealed(zstandard.ZstdCompressor().compress(forged)), "k")


# The header of a frame that says it holds 2**40 bytes (RFC 8878, section 3.1.1.1).
BOMB = sealed(b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little"))
TWO_FRAMES = sealed(zstandard.compress(b"{}\n") * 2)


@pytest.mark.parametrize(
    "body", [b"", b"rubbish", pack(HEADER, []) + b"x", pack(HEADER, [])[:-1], BOMB, TWO_FRAMES]
)
def test_what_is_cut_or_no_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(TicklineError, match="k: "):
        unpack(body, "k")


def test_a_chunk_that_other_programs_made_is_read() -> None:
    golden = json.loads((Path(__file__).parents[1] / "data/golden/archive_chunk_v1.json").read_text())
    chunk = unpack(base64.b64decode(golden["body_base64"]), golden["key"])
    assert (chunk.sha256, chunk.header) == (golden["sha256"], golden["header"])
    assert [data.decode() for _, data in chunk.pieces()] == golden["raw"]
    assert [stretch.as_json() for stretch, _ in chunk.pieces()] == golden["header"]["ranges"]
    assert key_of("trade-07", chunk.header["day"], 12) == golden["key"]
    assert key_of("trade-07", chunk.header["day"], 12, chunk.sha256) == golden["unique_key"]
    position = Position.behind(chunk)
    assert (position.seq, position.sha256, position.run) == (12, golden["sha256"], 31)
    assert position.created_s == 1795343400.25  # date -u -d '2026-11-22T10:30:00.25Z' +%s.%N
    assert [generation.as_json() for generation in position.generations] == golden["header"]["generations"]


def test_keys_are_a_function_of_node_day_and_number() -> None:
    assert key_of("n1", "2026/11/22", 12) == "v1/n1/2026/11/22/0000000012.zst"
    assert key_of("n1", "2026/11/22", 12, "ab" * 32) == "v1/n1/2026/11/22/0000000012-abababababababab.zst"
    assert seq_of("v1/n1/2026/11/22/0000000012.zst") == 12
    assert seq_of("v1/n1/2026/11/22/0000000012-abababababababab.zst") == 12
    assert [seq_of(key) for key in ("v1/n1/2026/11/22/x.zst", "v2/n1/2026/11/22/0000000012.zst")] == [
        None
    ] * 2


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(f"file://{tmp_path}/archive")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_object_is_written_once_and_never_replaced(store: FolderStore, tmp_path: Path) -> None:
    assert store.put("v1/a", b"first", _sha(b"first"))
    assert not store.put("v1/a", b"second", _sha(b"second"))
    assert not store.put("v1/a", b"third", _sha(b"third"), only_if_absent=False)
    assert store.get("v1/a") == b"first"
    assert store.sha256_of("v1/a") == _sha(b"first")
    assert store.sha256_of("v1/b") is None
    assert [path.name for path in (tmp_path / "archive/v1").iterdir()] == ["a"]
    assert (tmp_path / "archive/v1/a").stat().st_mode & 0o777 == 0o444 & ~_umask()
    assert store.calls == 6


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_of_many_writers_of_one_key_one_wins(store: FolderStore, tmp_path: Path) -> None:
    bodies = [str(number).encode() for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda body: store.put("v1/a", body, _sha(body)), bodies))
    assert created.count(True) == 1
    assert store.get("v1/a") == bodies[created.index(True)]
    assert [path.name for path in (tmp_path / "archive/v1").iterdir()] == ["a"]


def test_keys_come_in_order_and_from_where_one_asks(store: FolderStore) -> None:
    assert list(store.keys("v1/")) == []
    for name in ("n1/2026/12/01/2", "n1/2026/11/30/1", "n2/2026/01/01/1", "n1/2026/11/30/10"):
        store.put(f"v1/{name}", b"", _sha(b""))
    assert list(store.keys("v1/n1/")) == [
        "v1/n1/2026/11/30/1",
        "v1/n1/2026/11/30/10",
        "v1/n1/2026/12/01/2",
    ]
    assert list(store.keys("v1/n1/", "v1/n1/2026/12")) == ["v1/n1/2026/12/01/2"]


def test_bytes_that_are_not_those_of_the_checksum_are_not_written(store: FolderStore) -> None:
    with pytest.raises(SourceError, match="checksum"):
        store.put("v1/a", b"first", _sha(b"second"))
    assert store.sha256_of("v1/a") is None


def test_what_the_file_system_says_is_a_sentence(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    with pytest.raises(SourceError, match="archive"):
        store.put("v1/a", b"", _sha(b""))
    with pytest.raises(SourceError, match="does not exist"):
        FolderStore(f"file://{tmp_path}/other").get("v1/a")
