"""Names in a tree with a place for each key: ordinary ones stay, and no file is in another's way."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickline.pipelines.access.trees.names import file_name, wished
from tickline.pipelines.access.trees.record import Subject, TreeRecord

FILE = (".tsv",)
FOLDER = ("/timestamps.txt", "/ips.txt")
SUFFIXES = pytest.mark.parametrize("suffixes", [FILE, FOLDER], ids=["file", "folder"])

PIECES = st.sampled_from(
    ["", ".", "..", "/", "\\", "a", "A", "ä", "Ä", "a\u0308", "ﬁ", "fi", "%", "%2F", "~", "\0", "\n", "\x85"]
    + [".tickline", " ", "x" * 150, "é" * 120, "😀", ".tsv", "b", "/b", "//", "names", ".stop_extraction"]
    + [
        "/timestamps.txt",
        "/TIMESTAMPS.txt/",
        "/ips.txt",
        ".tsv/",
        ".\uff54\uff53\uff56/",
        "~0123456789abcdef",
    ]
)
KEYS = st.lists(st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=6), max_size=12, unique=True)


def _named(tmp_path: Path, keys: list[str], suffixes: tuple[str, ...]) -> dict[str, str]:
    """Return the names that a record gives."""
    (tmp_path / ".tickline").mkdir(parents=True, exist_ok=True)
    record = TreeRecord(tmp_path, suffixes)
    try:
        with record.transaction():
            record.put([Subject(f"={key}", key) for key in keys], 1, pending=False)
            record.drop_unseen(1)
            record.settle_names()
        entries = {key: record.entry(f"={key}") for key in keys}
        return {key: entry.name for key, entry in entries.items() if entry is not None}
    finally:
        record.close()
        (tmp_path / ".tickline" / "tree.sqlite").unlink()


def _same_to_some_file_system(text: str) -> set[str]:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")} | {text}
    return {unicodedata.normalize("NFD", case(form)) for form in forms for case in (str.lower, str.casefold)}


@pytest.mark.parametrize(
    "key",
    [
        "blobs/0a3/c51/0a3c51aa-1111-2222-3333-444455556666",
        "zarr/cb65c877-882b-4554-8fa1-8f4e986e13a6",
        "zarr/cb65c877/.zattrs",
        ".bidsignore",
        "sub-01/a%2Bb%20c.nwb",
        "derivatives/x=1/_SUCCESS~",
        "session/timestamps.txt",
        "a.tsv/b",
        "...a",
        "-",
        "é" * 100,
        "x" * 251,
        "archive",
    ],
)
@SUFFIXES
def test_ordinary_keys_keep_their_exact_names(tmp_path: Path, key: str, suffixes: tuple[str, ...]) -> None:
    assert _named(tmp_path, [key, "other"], suffixes) == {key: key, "other": "other"}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/..",
        "a/./b",
        "a\\b",
        "a\nb",
        "a\tb",
    ]
    + ["a\x00b", "a\x85", "a.", "a ", "a./b", "a /b", ".tickline", "a/.tickline-tmp-1", ".TickLine/x"]
    + ["a~0123456789abcdef", "a/~0123456789ABCDEF.x/b", "x" * 256, "q/" * 1000 + "q", "names.tsv/x"],
)
@SUFFIXES
def test_what_no_file_can_be_called_gets_a_hash(tmp_path: Path, key: str, suffixes: tuple[str, ...]) -> None:
    name = _named(tmp_path, [key], suffixes)[key]
    assert name == file_name(key, f"={key}")
    assert name[-17] == "~"
    assert int(name[-16:], 16) >= 0


def test_the_list_of_names_keeps_its_own(tmp_path: Path) -> None:
    assert _named(tmp_path, ["names", "NAMES", "a/names"], FILE)["a/names"] == "a/names"
    assert wished("names", "=names", FILE).odd
    assert wished("Names", "=Names", FILE).odd
    assert not wished("names", "=names", FOLDER).odd
    assert wished("names.tsv", "=names.tsv", FOLDER).odd


def test_no_key_tells_s3_log_extraction_to_stop(tmp_path: Path) -> None:
    keys = [".stop_extraction", ".STOP_extraction/x", "a/.stop_extraction"]
    names = _named(tmp_path, keys, FOLDER)
    assert [name for key, name in names.items() if name == key] == ["a/.stop_extraction"]


@pytest.mark.parametrize(
    ("suffixes", "pair"),
    [
        (FILE, ("a", "a.tsv/b")),
        (FILE, ("x/a", "x/A.TSV/b/c")),
        (FILE, ("a", "a.tsv/..")),
        (FOLDER, ("a", "a/timestamps.txt")),
        (FOLDER, ("a", "a/ips.txt/b")),
        (FOLDER, ("x/a", "x/a/IPS.txt/b/c")),
        (FILE, ("README", "readme")),
        (FOLDER, ("é", "e\u0301")),
    ],
)
def test_two_that_are_in_each_others_way_both_give_way(
    tmp_path: Path, suffixes: tuple[str, ...], pair: tuple[str, str]
) -> None:
    names = _named(tmp_path, [*pair, "apart"], suffixes)
    assert names == {**{key: file_name(key, f"={key}") for key in pair}, "apart": "apart"}
    for key in pair:
        alone = _named(tmp_path, [key], suffixes)[key]
        assert alone == key or wished(key, f"={key}", suffixes).odd


@SUFFIXES
@settings(max_examples=60)
@given(keys=KEYS)
@example(keys=["names.tsv/"])
@example(keys=["NAMES.tsv/x", "%names.tsv/x", "names.tsv"])
@example(keys=["a", "a/timestamps.txt/..", "a.tsv/.."])
def test_no_file_leaves_the_tree_or_is_in_anothers_way(
    tmp_path_factory: pytest.TempPathFactory, suffixes: tuple[str, ...], keys: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    names = _named(folder, keys, suffixes)
    assert names == _named(folder, keys[::-1], suffixes)
    reserved = [".tickline/tree.sqlite", "names.tsv"]
    paths = reserved + [name + suffix for name in names.values() for suffix in suffixes]
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        assert not path.startswith("/")
        assert len(path.encode()) < 2_300
        for part in path.split("/"):
            assert part not in ("", ".", "..")
            assert len(part.encode()) <= 255
        forms = _same_to_some_file_system(path)
        assert not forms & files
        files |= forms
        for above in list(PurePosixPath(path).parents)[:-1]:
            folders |= _same_to_some_file_system(str(above))
    assert not files & folders


@SUFFIXES
@settings(max_examples=40)
@given(keys=KEYS, fewer=KEYS)
def test_names_depend_on_the_keys_that_are_there_and_not_on_the_way(
    tmp_path_factory: pytest.TempPathFactory, suffixes: tuple[str, ...], keys: list[str], fewer: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("names")
    (folder / ".tickline").mkdir()
    record = TreeRecord(folder, suffixes)
    for run, some in enumerate(([*keys, *fewer], fewer, keys), 1):
        with record.transaction():
            record.put([Subject(f"={key}", key) for key in dict.fromkeys(some)], run, pending=False)
            record.drop_unseen(run)
            record.settle_names()
    entries = [record.entry(f"={key}") for key in keys]
    record.close()
    assert [entry.name for entry in entries if entry] == [*_named(folder, keys, suffixes).values()]
