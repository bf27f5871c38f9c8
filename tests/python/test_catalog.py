"""Catalogs: which dataset a key belongs to, compared with the reference, and files that cannot be used."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.access_summaries_reference import Entry, decode, owners_of
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.catalog import catalog as module
from tickline.pipelines.access.catalog import file as catalog_file
from tickline.pipelines.access.catalog.catalog import Catalog, decode_key, load_catalog

HEADER = "key\tdataset\tversion\tpath\n"


def _tsv(folder: Path, text: str | bytes, name: str = "catalog.tsv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _owners(path: Path | None, key: str) -> list[tuple[str, str, str]]:
    return load_catalog(path).owners([key])[0]


PART = st.sampled_from(
    ["a", "b", "id1", "id2", "zarr", "0", "x.nwb", "*", "[ab]", "?", "é", "%C3%A9", "%", "%FF", ""]
)
KEYS = st.lists(PART, min_size=1, max_size=4).map("/".join)
ENTRIES = st.lists(
    st.builds(
        Entry,
        (KEYS | KEYS.map(lambda key: key + "/") | PART).filter(bool),
        st.sampled_from(["D1", "D2", "D3"]),
        st.sampled_from(["", "draft", "1"]),
        st.sampled_from(["", "p", "folder/", "a.zarr", "deep/er/"]),
    ),
    max_size=8,
)


@given(ENTRIES, st.lists(KEYS, max_size=6))
def test_owners_are_those_of_the_reference(entries: list[Entry], keys: list[str]) -> None:
    tables = module._Tables()
    for entry in entries:
        tables.add(*entry)
    tables.finish()
    for key in map(decode_key, keys):
        assert [(dataset, path) for dataset, _, path in tables.find(key)] == owners_of(key, entries), key


@given(st.lists(PART | st.text(max_size=3), max_size=5).map("".join))
def test_keys_are_decoded_once_or_not_at_all(key: str) -> None:
    assert decode_key(key) == decode(key)


@given(KEYS)
def test_without_a_catalog_the_first_part_is_the_dataset(key: str) -> None:
    found = Catalog(None).owners([key])[0]
    assert [(dataset, path) for dataset, _, path in found] == owners_of(decode_key(key), None)


def test_requests_without_a_key_are_undetermined(tmp_path: Path) -> None:
    for path in (None, _tsv(tmp_path, HEADER + "*\tD\t\t\n")):
        assert load_catalog(path).owners([None, "a"])[0] == [("undetermined", "", "-")]


@pytest.mark.parametrize(
    ("key", "dataset", "version", "path"),
    [
        ("blobs/1", "exact", "v", "file.nwb"),
        ("blobs/x/id", "id", "v", "by-id.nwb"),
        ("zarr/zid/0/1", "zarr", "", "a.zarr"),
        ("zarr/folder-id/0/1", "tree", "", "b.zarr/0/1"),
        ("other/place/file", "prefix", "", "root/file"),
        ("other/place/deep/file", "longest", "", "file"),
        ("other/place2/file", "short", "", "all of it"),
        ("logs/2024.txt", "glob", "", "text"),
        ("nobody/knows", "undetermined", "", "nobody/knows"),
        ("blobs/%31", "exact", "v", "file.nwb"),
        ("blobs/%2531", "undetermined", "", "blobs/%31"),
        ("\u00fc%FF", "undetermined", "", "\u00fc%FF"),
    ],
)
def test_look_up_in_order(tmp_path: Path, key: str, dataset: str, version: str, path: str) -> None:
    rows = [
        "logs/*\tglob\t\ttext",
        "*/2024.txt\tlater glob\t\tno",
        "other/\tshort\t\tall of it",
        "other/place/\tprefix\t\troot/",
        "other/place/deep/\tlongest\t\t",
        "id\tid\tv\tby-id.nwb",
        "zid\tzarr\t\ta.zarr",
        "folder-id\ttree\t\tb.zarr/",
        "blobs/\tundetermined prefix\t\t",
        "blobs/1\texact\tv\tfile.nwb",
    ]
    if key == "blobs/%2531":
        rows.remove("blobs/\tundetermined prefix\t\t")
    catalog = _tsv(tmp_path, HEADER + "\n".join(rows) + "\n")
    assert _owners(catalog, key) == [(dataset, version, path)]


def test_several_owners_in_file_order_and_each_dataset_once(tmp_path: Path) -> None:
    catalog = _tsv(tmp_path, HEADER + "k\tB\t1\tb1\nk\tA\t1\ta1\nk\tB\t2\tb2\n")
    assert _owners(catalog, "x/k") == [("B", "1", "b1"), ("A", "1", "a1")]


def test_json_and_tsv_plain_and_compressed_are_told_by_content(tmp_path: Path) -> None:
    content = {"id": {"D": "a.nwb", "E": "b.nwb"}, "p/": {"D": "t/"}}
    text = json.dumps(content)
    tsv = HEADER + "id\tD\t\ta.nwb\nid\tE\t\tb.nwb\np/\tD\t\tt/\n"
    hashes = set()
    for number, data in enumerate(
        [text.encode(), gzip.compress(text.encode()), tsv.encode(), gzip.compress(tsv.encode())]
    ):
        catalog = load_catalog(_tsv(tmp_path, data, f"{number}.data"))
        assert catalog.entries == 3
        assert catalog.owners(["id", "p/q", "no"]) == [
            [("D", "", "a.nwb"), ("E", "", "b.nwb")],
            [("D", "", "t/q")],
            [("undetermined", "", "no")],
        ]
        hashes.add(catalog.sha256)
    # Compression is no content.
    assert hashes == {hashlib.sha256(data.encode()).hexdigest() for data in (text, tsv)}


def test_lines_may_end_as_on_windows_and_the_last_one_without_newline(tmp_path: Path) -> None:
    catalog = _tsv(tmp_path, "\ufeff" + (HEADER + "k\tD\tv\tp\n\nl\tD\tv\tq").replace("\n", "\r\n"))
    assert load_catalog(catalog).owners(["k", "l"]) == [[("D", "v", "p")], [("D", "v", "q")]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "line 1 is empty"),
        (b"hello\n", "line 1 is neither JSON nor the header"),
        (b"[1, 2]", "line 1 is neither JSON nor the header"),
        (b"key\tdataset\tpath\tversion\n", "line 1 has the columns"),
        (b"key\tdataset\tversion\n", "line 1 has the columns"),
        (b"key\tdataset\tkey\tversion\tpath\n", "line 1 names the column 'key' more than once"),
        (HEADER.encode() + b"k\tD\tv\tp\nk\tD\n", "line 3 has 2 columns, not 4"),
        (HEADER.encode() + b"\tD\tv\tp\n", "line 2 has no key"),
        (HEADER.encode() + b"k\t\tv\tp\n", "line 2 has no dataset"),
        (HEADER.encode() + b"k\tD\tv\t\xff\n", "line 2 is not UTF-8"),
        (HEADER.encode() + b"k\tD\tv\t" + b"x" * 70_000, "line 2 has more than 65,536"),
        (b'{"a": {"D": "p"},\n "b" }', "line 2 is no JSON"),
        (b'{"a": {"D": "p"},\n "b": "D"}', "line 2 gives 'b' no {dataset: path}"),
        (b'{"a": {"D": "p"},\n "b": {"D": 1}}', "line 2 gives 'b' in dataset 'D' a path that is no text"),
        (b'{"a": {"D": "p"},\n "a": {"E": "q"}}', "line 2 names 'a' a second time"),
        (b'{"a": {"": "p"}}', "line 1 gives 'a' a dataset without a name"),
        (b'{"": {"D": "p"}}', "line 1 has an empty content id"),
        (b'{"a": {"D": "\\ud800"}}', "line 1 holds half of a surrogate pair"),
        (b'{"a":' * 100_000, "JSON"),
        (b"\x1f\x8bnonsense", "gzip data"),
        (gzip.compress(b"x" * 10_000, mtime=0)[:-20], "gzip data ends too early"),
        (b"\x28\xb5\x2f\xfd\x00\x00", "is not UTF-8"),
    ],
)
def test_what_is_no_catalog_gets_a_sentence(tmp_path: Path, data: bytes, words: str) -> None:
    path = _tsv(tmp_path, data)
    with pytest.raises(TicklineError, match="catalog") as caught:
        load_catalog(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_catalog_that_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the catalog cannot be read: does not exist"):
        load_catalog(tmp_path / "none")
    with pytest.raises(TicklineError, match="the catalog cannot be read: is a folder") as caught:
        load_catalog(tmp_path)
    assert not isinstance(caught.value, UsageError)


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_file, "_LARGEST_BYTES", 2**20)
    path = _tsv(tmp_path, gzip.compress(b"\0" * 2**24))
    with pytest.raises(TicklineError, match="too large"):
        load_catalog(path)


def test_a_million_entries_are_looked_up_by_numbers_of_keys_only(tmp_path: Path) -> None:
    # A tenth of it here; the point is that no entry is visited when a key is looked up.
    rows = (f"blobs/{number:06x}\tD{number % 97}\tdraft\tsub-{number}.nwb\n" for number in range(100_000))
    catalog = load_catalog(_tsv(tmp_path, HEADER + "".join(rows)))
    assert catalog.entries == 100_000
    assert catalog.owners(["blobs/00ffff"]) == [[(f"D{0xFFFF % 97}", "draft", "sub-65535.nwb")]]
