"""Reduced and binned logs from a store: those of `reduce`, and what a slow reference makes of the logs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python.access_support import GET, HEADER, line, options
from python.ingest_support import take
from python.tree_support import expected, export, files_of, read_back, store_of
from tickline.filters import AccessRules
from tickline.pipelines.access.reduce.reduce import reduce
from tickline.pipelines.access.trees.reduced import reduced_name
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")

KEYS = st.sampled_from(
    ["blobs/1", "blobs/2", "zarr/a/0/0", "zarr/a/.zattrs", "-", "a", "a/timestamps.txt", "ü%20x"]
)
LINES = st.lists(
    st.builds(
        line,
        st.integers(0, 86_399),
        key=KEYS,
        operation=st.sampled_from(["REST.GET.OBJECT", "REST.GET.OBJECT", "REST.HEAD.OBJECT"]),
        status=st.sampled_from(["200", "206", "204", "304", "404"]),
        size=st.sampled_from(["-", "0", "17", str(2**50 + 1)]),
        ip=st.sampled_from(["-", "192.0.2.7", "2001:db8::7"]),
    ),
    max_size=12,
)


# ---- reduced ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compat", ["strict", "fixed"])
@settings(max_examples=8)
@given(first=LINES, second=LINES)
def test_reduced_logs_are_those_of_reduce(
    tmp_path_factory: pytest.TempPathFactory, compat: str, first: list[str], second: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("reduced")
    store = store_of(folder, {"2024/05/01.log": first, "2024/05/02.log": second})
    rules = AccessRules.from_texts(operation="REST.GET.OBJECT", status="2xx", strict=compat == "strict")
    report = reduce(options(folder / "raw", folder / "reduce", rules=rules))
    assert not report.problems
    export(store, folder / "out", "reduced", compat=compat)
    assert files_of(folder / "out/reduced") == files_of(folder / "reduce")


def test_the_columns_and_what_stands_where_the_log_has_nothing(tmp_path: Path) -> None:
    logged = [
        line(3, key="blobs/1", ip="192.0.2.9", size="5"),
        line(4, key="-", ip="-", size="-"),
        line(5, key="blobs/1", status="404"),
        line(6, key="blobs/1", operation="REST.PUT.OBJECT"),
    ]
    store = store_of(tmp_path, {"2024/05/01.log": logged})
    export(store, tmp_path / "out", "reduced")
    assert files_of(tmp_path / "out/reduced") == {
        "2024/05/01.tsv": b"timestamp\tip_address\tobject_key\tbytes_sent\n"
        b"2024-05-01T00:00:03\t192.0.2.9\tblobs/1\t5\n"
        b"2024-05-01T00:00:04\t-\t-\t0\n"
    }


@pytest.mark.parametrize(("compat", "empty"), [("strict", b""), ("fixed", HEADER)])
def test_a_log_of_which_nothing_is_kept_has_its_file(tmp_path: Path, compat: str, empty: bytes) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [line(1, status="404")], "2024/05/02.log": []})
    report = export(store, tmp_path / "out", "reduced", compat=compat)
    assert files_of(tmp_path / "out/reduced") == {"2024/05/01.tsv": empty, "2024/05/02.tsv": empty}
    assert report.written == 2
    # It is found again, and a new one is noticed although no day has new rows.
    (tmp_path / "raw/2024/05/03.log").write_bytes(b"")
    (tmp_path / "raw/2024/05/03.log").write_bytes(line(1, operation="REST.PUT.OBJECT").encode() + b"\n")
    take(store, tmp_path / "raw")
    assert export(store, tmp_path / "out", "reduced", compat=compat).written == 1


def test_what_the_store_holds_besides_does_not_come(tmp_path: Path) -> None:
    logged = [
        line(1, key="blobs/1", status="304", size="-"),
        line(2, key="blobs/1", status="206"),
        line(3, key="blobs/1", operation="REST.HEAD.OBJECT"),
        line(4, key="blobs/1", operation="WEBSITE.GET.OBJECT"),
        line(5, key="only/heads", operation="REST.HEAD.OBJECT"),
    ]
    wanted = WantedSettings(operations="all", statuses="all")
    store = store_of(tmp_path, {"2024/05/01.log": logged}, wanted=wanted)
    export(store, tmp_path / "out")
    logs = [tmp_path / "raw/2024/05/01.log"]
    assert files_of(tmp_path / "out/reduced")["2024/05/01.tsv"].count(b"\n") == 2
    for tree in ("binned", "extraction"):
        found = read_back(tmp_path / "out" / tree, tree)
        assert list(found) == [b"blobs/1"]
        assert found == expected(logs, tree)


def test_control_bytes_end_no_line_unless_strict(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [line(1, key="a\tb\x1c", ip="192.0.2.1")]})
    export(store, tmp_path / "out", "reduced", compat="fixed")
    assert files_of(tmp_path / "out/reduced")["2024/05/01.tsv"].endswith(b"\t192.0.2.1\ta%09b%1C\t7\n")
    export(store, tmp_path / "out", "reduced", compat="strict")
    assert files_of(tmp_path / "out/reduced")["2024/05/01.tsv"].endswith(b"\t192.0.2.1\ta\tb\x1c\t7\n")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("/raw/2024/05/01.log", "2024/05/01"),
        ("/raw/2024/05/01.log.gz", "2024/05/01"),
        ("s3://bucket/logs/2024/05/01.log.zst", "2024/05/01"),
        ("/reduced/2024/05/01.tsv", "2024/05/01"),
        ("/raw/2024-05-01-00-12-34-0123456789ABCDEF", "2024/05/01/2024-05-01-00-12-34-0123456789ABCDEF"),
        ("/raw/x/2024-05-01-00-12-34-0123456789ABCDEF.gz", "2024/05/01/2024-05-01-00-12-34-0123456789ABCDEF"),
        ("/raw/2024/5/1.log", "other/1"),
        ("/raw/12024/05/01.log", "other/01"),
        ("/raw/access.log", "other/access"),
        ("/raw/access", "other/access"),
        ("/raw/..", "other/.."),
    ],
)
def test_the_place_of_a_reduced_log_follows_from_the_name_of_its_source(name: str, place: str) -> None:
    assert reduced_name(name) == place


def test_two_logs_of_one_day_both_have_their_file(tmp_path: Path) -> None:
    store = store_of(
        tmp_path,
        {"a/2024/05/01.log": [line(1, key="a")], "b/2024/05/01.log": [line(2, key="b")], "c/x.log": []},
    )
    export(store, tmp_path / "out", "reduced")
    found = read_back(tmp_path / "out/reduced", "reduced")
    raw = str(tmp_path / "raw").encode()
    assert set(found) == {raw + b"/a/2024/05/01.log", raw + b"/b/2024/05/01.log", b"other/x"}
    assert found[raw + b"/b/2024/05/01.log"][0].endswith(b"\tb\t14\n")
    assert not (tmp_path / "out/reduced/2024/05/01.tsv").exists()


def test_a_compressed_copy_of_a_log_has_no_file_of_its_own(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [line(1)]})
    data = (tmp_path / "raw/2024/05/01.log").read_bytes()
    (tmp_path / "raw/2024/05/02.log.gz").write_bytes(gzip.compress(data))
    take(store, tmp_path / "raw")
    export(store, tmp_path / "out", "reduced")
    assert list(files_of(tmp_path / "out/reduced")) == ["2024/05/01.tsv"]


def test_logs_without_a_row_all_have_their_file_though_their_content_is_the_same(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [], "2024/05/02.log": [], "2024/05/03.log": [line(1)]})
    (tmp_path / "raw/2024/05/04.log.gz").write_bytes(gzip.compress(b""))
    take(store, tmp_path / "raw")
    export(store, tmp_path / "out", "reduced")
    assert {name: len(data) for name, data in files_of(tmp_path / "out/reduced").items() if not data} == {
        "2024/05/01.tsv": 0,
        "2024/05/02.tsv": 0,
        "2024/05/04.tsv": 0,
    }
    assert export(store, tmp_path / "out", "reduced").written == 0


# ---- binned ----------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(days=st.lists(LINES, min_size=1, max_size=4), data=st.data())
def test_binned_logs_are_those_of_a_slow_reference_however_they_came(
    tmp_path_factory: pytest.TempPathFactory, days: list[list[str]], data: Any
) -> None:
    folder = tmp_path_factory.mktemp("binned")
    logs = {f"2024/05/{number:02d}.log": lines for number, lines in enumerate(days, 1)}
    for name in data.draw(st.permutations(list(logs))):
        store = store_of(folder, {name: logs[name]})
        if data.draw(st.booleans()):
            export(store, folder / "out", "binned")
    export(store, folder / "out", "binned")
    # The same content twice is one source, which goes by its first name.
    first = {lines: name for name, lines in reversed([(name, tuple(lines)) for name, lines in logs.items()])}
    found = read_back(folder / "out/binned", "binned")
    assert found == expected([folder / "raw" / name for name in sorted(first.values())], "binned")


def test_keys_of_dandi_are_those_of_the_store(tmp_path: Path) -> None:
    logged = [
        line(1, key="zarr/one/0/0"),
        line(2, key="zarr/one/.zattrs"),
        line(3, key="blobs/0a3/c51/0a3c51aa"),
        line(4, key="dandisets/000003/draft/assets.yaml"),
    ]
    wanted = WantedSettings(keys=AccessRules.from_texts(keys="dandi").keys)
    store = store_of(tmp_path, {"2024/05/01.log": logged}, wanted=wanted)
    export(store, tmp_path / "out", "binned", "extraction")
    assert list(files_of(tmp_path / "out/binned")) == ["blobs/0a3/c51/0a3c51aa.tsv", "zarr/one.tsv"]
    assert (tmp_path / "out/extraction/zarr/one/bytes_sent.txt").read_bytes() == b"7\n14\n"


def test_rules_of_reduce_are_those_of_the_trees() -> None:
    assert GET.operations == ("REST.GET.OBJECT",)
    assert GET.statuses == tuple(range(200, 300))
