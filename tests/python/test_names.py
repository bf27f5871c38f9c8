"""Names of folders and files for names that are data: they stay inside, and none is another's."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickline.pipelines.access.export.names import folder_names, path_names

PIECES = st.sampled_from(
    [
        "",
        ".",
        "..",
        "/",
        "\\",
        "a",
        "A",
        "ä",
        "Ä",
        "a\u0308",
        "ﬁ",
        "fi",
        "ß",
        "SS",
        "K",
        "\u212a",
        "%",
        "%2F",
        "~",
    ]
    + [
        "\0",
        "\n",
        "\x7f",
        "\x85",
        "archive",
        "ARCHIVE",
        ".tickline",
        " ",
        "x" * 150,
        "é" * 120,
        "😀",
        "\ud800",
    ]
    + [".tsv", "b", "/b", "//"]
)
NAMES = st.lists(PIECES, max_size=5).map("".join) | st.text(max_size=8)


def _same_to_some_file_system(text: str) -> set[str]:
    """Return what file systems that ignore case, or normalise, make of a name."""
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")} | {text}
    return {unicodedata.normalize("NFD", case(form)) for form in forms for case in (str.lower, str.casefold)}


def _is_safe(part: str) -> bool:
    return (
        part not in ("", ".", "..")
        and not part.startswith(".")
        and not part.endswith((".", " "))
        and not any(char in "/\\" or ord(char) < 32 or char == "\x7f" for char in part)
        and len(part.encode()) <= 250
    )


def _overlap(names: list[str]) -> bool:
    seen: set[str] = set()
    for name in names:
        forms = _same_to_some_file_system(name)
        if seen & forms:
            return True
        seen |= forms
    return False


@given(st.sets(NAMES, max_size=12))
def test_folders_stay_inside_and_apart_for_any_names(names: set[str]) -> None:
    folders = folder_names(names)
    assert set(folders) == names
    assert all(_is_safe(folder) for folder in folders.values())
    assert not _overlap([*folders.values(), "archive"])


@given(st.sets(NAMES, max_size=10), st.randoms())
def test_folders_do_not_depend_on_order(names: set[str], draw: object) -> None:
    ordered = sorted(names)
    assert folder_names(ordered) == folder_names(reversed(ordered))


@pytest.mark.parametrize(
    "name", ["000108", "ds000117", "DANDI:000003", "a b", "größe", "a.b", "x-1_2", "(1)", "日本"]
)
def test_plain_names_stay_as_they_are(name: str) -> None:
    assert folder_names([name, "other"])[name] == name
    assert path_names([name, "other"])[name] == name


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("", "%empty"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("/etc/passwd", "%2Fetc%2Fpasswd"),
        ("../../x", "%2E.%2F..%2Fx"),
        ("a\nb", "a%0Ab"),
        ("50%", "50%25"),
        ("a~b", "a%7Eb"),
        ("a.", "a%2E"),
        ("a ", "a%20"),
        ("archive", "%61rchive"),
        ("Archive", "%41rchive"),
    ],
)
def test_odd_names_are_escaped(name: str, folder: str) -> None:
    assert folder_names([name]) == {name: folder}


def test_names_that_differ_in_case_only_all_get_a_hash() -> None:
    folders = folder_names(["Data", "data", "DATA", "other"])
    assert folders["other"] == "other"
    assert all(folders[name].startswith(f"{name}~") for name in ("Data", "data", "DATA"))
    assert len({folder.lower() for folder in folders.values()}) == 4


def test_long_names_are_cut_and_stay_apart() -> None:
    names = ["é" * 150 + "a", "é" * 150 + "b", "x" * 200, "y" * 201]
    folders = folder_names(names)
    assert folders["x" * 200] == "x" * 200
    assert max(len(folder.encode()) for folder in folders.values()) <= 217
    assert len(set(folders.values())) == 4


PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(st.sets(PATHS, max_size=10), st.sampled_from(["", ".tsv"]))
def test_files_of_any_paths_stay_inside_and_apart(paths: set[str], suffix: str) -> None:
    files = path_names(paths, suffix=suffix)
    assert set(files) == paths
    assert not _overlap(list(files.values()))
    folders = {str(folder) for file in files.values() for folder in PurePosixPath(file).parents}
    for file in files.values():
        assert all(_is_safe(part) for part in file.split("/"))
        assert file.endswith(suffix)
        # No file stands where another one's folder must be, whatever the case.
        assert not _same_to_some_file_system(file) & {
            form for folder in folders for form in _same_to_some_file_system(folder)
        }


def test_a_file_beside_a_folder_of_its_name(tmp_path: Path) -> None:
    paths = ["a", "a/b", "a/b/c", "A/b", "/", "//", "a//b", "../a", "x" * 300, "a.tsv/b"]
    for suffix in ("", ".tsv"):
        files = path_names(paths, suffix=suffix)
        for number, file in enumerate(files.values()):
            place = tmp_path / f"out{suffix}" / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(str(number))
        found = [path for path in (tmp_path / f"out{suffix}").rglob("*") if path.is_file()]
        assert len(found) == len(paths)
        assert all(tmp_path / f"out{suffix}" in path.resolve().parents for path in found)


def test_a_path_of_many_parts_is_no_longer_than_a_file_system_takes(tmp_path: Path) -> None:
    paths = ["/" * 1000, "/" * 1001, "a/" * 500 + "b"]
    files = path_names(paths)
    assert len(set(files.values())) == 3
    assert all(len(file.encode()) <= 2000 for file in files.values())
    for file in files.values():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
