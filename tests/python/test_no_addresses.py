"""No address of a log leaves ``private/``: all files of stores and exports are searched, all words too."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from python.address_search_support import Search, digests, files_below
from python.address_world_support import (
    ADDRESSES,
    BOGON,
    FOURS,
    REFUSED,
    SALT,
    SIXES,
    World,
    make_world,
    salted,
)
from tickline.store.pseudonyms import ENVIRONMENT as KEY


@pytest.fixture(scope="module")
def search() -> Search:
    return Search(ADDRESSES, bytes.fromhex(SALT))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    pytest.importorskip("duckdb")
    made = World(tmp_path_factory.mktemp("world"))
    for name in ("open/temp", "open/home", "open/cwd", "hidden"):
        (made.base / name).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(made.open / ("temp" if name == "TMPDIR" else "home")))
        for name, value in (("IP_HASH_SALT", SALT), ("IPINFO_CREDENTIALS", "t0ken"), (KEY, "5a" * 32)):
            patch.setenv(name, value)
        for name in ("OPENCAGE_API_KEY", "IPINFO_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setattr(tempfile, "tempdir", str(made.open / "temp"))
        patch.chdir(made.open / "cwd")
        make_world(made, patch)
        (made.open / "words.txt").write_text("".join(made.words))
        yield made


def test_no_file_and_no_word_holds_an_address(world: World, search: Search) -> None:
    assert world.found(search) == {}
    suffixes = {path.suffix for path in files_below(world.open)}
    kinds = {".parquet", ".sqlite", ".sqlite-wal", ".tsv", ".csv", ".json", ".html", ".log", ".txt", ".yaml"}
    assert kinds <= suffixes
    assert list((world.store / "regions/changes").iterdir()), "changes were logged"
    assert "t0ken" not in (world.open / "words.txt").read_text()


def test_private_and_trees_that_were_asked_for_hold_them_and_are_closed_to_others(
    world: World, search: Search
) -> None:
    for root in (world.private, world.base / "hidden/s3-log-extraction-strict/extraction"):
        found = "\n".join(one for there in search.below(root).values() for one in there)
        assert [one for one in [*FOURS, *SIXES, BOGON] if f"{one}: text" not in found] == []
        for path in [root, *root.rglob("*")]:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    for name in ("binned", "reduced"):
        tree = world.base / "hidden/dandi-s3-log-parser-fixed" / name
        assert search.below(tree)
        assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [tree, *tree.rglob("*")])


def test_after_forgetting_and_without_addresses_no_file_at_all_holds_one(
    world: World, search: Search
) -> None:
    assert files_below(world.base / "forgotten/none/parts")
    assert not (world.base / "forgotten/store/private").exists()
    assert search.below(world.base / "forgotten") == {}


# ---- the search finds what is planted ----------------------------------------------------------------------


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def _in_parquet(path: Path, values: pa.Array, metadata: dict[str, str] | None = None) -> None:
    table = pq.read_table(path)
    column = pa.concat_arrays([values, pa.nulls(max(0, len(table) - len(values)), values.type)])[: len(table)]
    table = table.append_column("planted", column)
    pq.write_table(table.replace_schema_metadata(metadata), path, compression="zstd")


def _in_sqlite(path: Path, value: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("CREATE TABLE planted(value)")
        db.execute("INSERT INTO planted VALUES (?)", [value])


def _in_wal(path: Path, value: str) -> None:
    _append(path, b"\0" * 24 + value.encode())


FORMS: dict[str, Callable[[], bytes]] = {
    "IPv4": lambda: FOURS[3].encode(),
    "IPv4 within a word": lambda: f"host-{FOURS[3]}x".encode(),
    "IPv6": lambda: b"2a0b:4c07:2::2a",
    "IPv6 with all zeros": lambda: b"2a0b:4c07:0002:0000:0000:0000:0000:002a",
    "IPv6 in capitals": lambda: b"2A0B:4C07:2::2A",
    "mapped": lambda: f"::ffff:{FOURS[4]}".encode(),
    "IPv4 of a mapped one": lambda: b"81.203.178.99",
    "mapped in hex": lambda: b"::ffff:51cb:b163",
    "of DNS": lambda: b"32.20.203.81.in-addr.arpa",
    "packed IPv6": lambda: bytes.fromhex("2a0b4c0700010000") + b"\0" * 7 + b"\x19",
    "packed IPv4": lambda: b"".join(bytes(map(int, one.split("."))) for one in FOURS[:3]),
    "numbers": lambda: b" ".join(str(int.from_bytes(map(int, one.split(".")))).encode() for one in FOURS[:3]),
    "salted": lambda: salted(FOURS[7]).encode(),
    **{
        f"{name} in {form}": lambda name=name, write=write: write(dict(digests(FOURS[5].encode()))[name])
        for name in ("md5", "sha1", "sha256", "blake2b", "blake2b-8", "xxh3-128")
        for form, write in {
            "hex": lambda digest: digest.hex().encode(),
            "eight bytes": lambda digest: digest[:8],
            "base64": lambda digest: base64.b64encode(digest),
        }.items()
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_the_search_finds_every_form(form: str, search: Search) -> None:
    data = FORMS[form]()
    assert search.in_bytes(b"abc" + data + b"xyz")
    assert search.in_bytes(data)
    assert not search.in_bytes(data[1:3] + data[:-2][:3])


def _number(text: str) -> int:
    return int.from_bytes(map(int, text.split(".")))


def _first8(name: str) -> int:
    return int.from_bytes(dict(digests(FOURS[6].encode()))[name][:8])


PLANTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "tsv": ("*.tsv", lambda path: _append(path, FOURS[1].encode())),
    "csv": ("*.csv", lambda path: _append(path, SIXES[0].encode())),
    "json": ("*.json", lambda path: _append(path, salted(FOURS[1]).encode())),
    "page": ("*.html", lambda path: _append(path, hashlib.md5(FOURS[1].encode()).hexdigest().encode())),
    "yaml": ("*.yaml", lambda path: _append(path, FOURS[29].encode())),
    "words": ("words.txt", lambda path: _append(path, REFUSED[1].encode())),
    "lines": ("*.log", lambda path: _append(path, REFUSED[0].encode())),
    "settings": ("*.toml", lambda path: _append(path, FOURS[1].encode())),
    "gzip": ("*.tsv", lambda path: path.write_bytes(gzip.compress(path.read_bytes() + FOURS[1].encode()))),
    "zstd": (
        "*.tsv",
        lambda path: path.write_bytes(zstandard.ZstdCompressor().compress(b"x" * 99 + FOURS[1].encode())),
    ),
    "text in Parquet": ("*.parquet", lambda path: _in_parquet(path, pa.array([SIXES[0]]))),
    "words in Parquet": (
        "*.parquet",
        lambda path: _in_parquet(path, pa.array([FOURS[2]]).dictionary_encode()),
    ),
    "lists in Parquet": ("*.parquet", lambda path: _in_parquet(path, pa.array([["a", FOURS[2]]]))),
    "numbers in Parquet": (
        "*.parquet",
        lambda path: _in_parquet(path, pa.array([_number(FOURS[2])], pa.uint32())),
    ),
    "hashes in Parquet": (
        "*.parquet",
        lambda path: _in_parquet(path, pa.array([_first8("sha256")], pa.uint64())),
    ),
    "metadata of Parquet": (
        "*.parquet",
        lambda path: _in_parquet(path, pa.array([1]), {"made for": FOURS[2]}),
    ),
    "text in SQLite": ("ledger.sqlite", lambda path: _in_sqlite(path, f'{{"ip": "{FOURS[2]}"}}')),
    "numbers in SQLite": ("ledger.sqlite", lambda path: _in_sqlite(path, _number(FOURS[2]))),
    "hashes in SQLite": ("ledger.sqlite", lambda path: _in_sqlite(path, _first8("md5"))),
    "blobs in SQLite": (
        "ledger.sqlite",
        lambda path: _in_sqlite(path, hashlib.sha256(FOURS[2].encode()).digest()),
    ),
    "WAL": ("*-wal", lambda path: _in_wal(path, SIXES[2])),
    "names": ("*.tsv", lambda path: path.rename(path.with_name(f"{FOURS[9]}.tsv"))),
}


@pytest.mark.parametrize("kind", PLANTS)
def test_an_address_that_is_planted_is_found(kind: str, world: World, search: Search, tmp_path: Path) -> None:
    pattern, plant = PLANTS[kind]
    wal = pattern == "*-wal"
    victims = [path for path in files_below(world.open, without=[world.private]) if path.match(pattern)]
    victim = next(path for path in victims if wal or path.stat().st_size > 40 or path.suffix == ".toml")
    copy = tmp_path / "open" / victim.name
    copy.parent.mkdir()
    shutil.copy(victim, copy)
    assert search.below(copy.parent) == {}
    plant(copy)
    assert len(search.below(copy.parent)) == 1
