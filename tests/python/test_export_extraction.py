"""The extraction tree: four files of parallel lines for each key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from python.access_support import line
from python.test_export_reduced import LINES
from python.tree_support import EXTRACTION, expected, export, files_of, read_back, store_of
from tickline.pipelines.access.trees.export import export_extraction
from tickline.store.folder import StoreFolder

pytest.importorskip("pyarrow")


@settings(max_examples=8)
@given(days=st.lists(LINES, min_size=1, max_size=3, unique_by=tuple), data=st.data())
def test_the_files_are_those_of_a_slow_reference_however_they_came(
    tmp_path_factory: pytest.TempPathFactory, days: list[list[str]], data: Any
) -> None:
    folder = tmp_path_factory.mktemp("extraction")
    logs = {f"2024/05/{number:02d}.log": lines for number, lines in enumerate(days, 1)}
    for name in data.draw(st.permutations(list(logs))):
        store = store_of(folder, {name: logs[name]})
        if data.draw(st.booleans()):
            export(store, folder / "out", "extraction")
    export(store, folder / "out", "extraction")
    found = read_back(folder / "out/extraction", "extraction")
    assert found == expected([folder / "raw" / name for name in logs], "extraction")


def test_each_request_is_a_line_of_each_file(tmp_path: Path) -> None:
    logged = [
        line(1, key="a/b.nwb", status="200", size="10", time="31/Dec/2019:23:59:58", ip="192.0.2.1"),
        line(2, key="a/b.nwb", status="206", size="-", time="01/Jan/2020:00:00:01", ip="2001:db8::1"),
        line(3, key="a/b.nwb", status="304", size="-"),
        line(4, key="a/b.nwb", status="200", size=str(2**53 + 1), time="01/Jan/2020:00:00:00", ip="-"),
    ]
    store = store_of(tmp_path, {"2020-01-01-00-00-00-0123456789ABCDEF": logged})
    export(store, tmp_path / "out", "extraction")
    assert files_of(tmp_path / "out/extraction") == {
        "a/b.nwb/timestamps.txt": b"191231235958\n200101000001\n200101000000\n",
        "a/b.nwb/bytes_sent.txt": b"10\n0\n9007199254740993\n",
        "a/b.nwb/ips.txt": b"192.0.2.1\n2001:db8::1\n-\n",
        "a/b.nwb/download.txt": b"1\n0\n1\n",
    }


def test_a_row_of_an_old_tree_counts_and_is_no_download(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [line(1, key="a"), line(2, key="a", status="206")]})
    with StoreFolder.open(store) as folder:
        (part,) = folder.ledger.snapshot().parts
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pq.read_table(store / part.path, partitioning=None)
        at = table.column_names.index("http_status")
        pq.write_table(table.set_column(at, "http_status", pa.nulls(2, pa.uint16())), store / part.path)
        folder.ledger.db.execute("UPDATE sources SET form = 'binned'")
        export_extraction(folder, tmp_path / "tree")
    assert (tmp_path / "tree/a/download.txt").read_bytes() == b"0\n0\n"
    assert (tmp_path / "tree/a/bytes_sent.txt").read_bytes() == b"7\n14\n"


def test_control_bytes_end_no_line_unless_strict(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"2024/05/01.log": [line(1, key="a", ip="x\x1cy"), line(2, key="a")]})
    export(store, tmp_path / "out", "extraction", compat="fixed")
    assert (tmp_path / "out/extraction/a/ips.txt").read_bytes() == b"x%1Cy\n192.0.2.2\n"
    export(store, tmp_path / "out", "extraction", compat="strict")
    assert (tmp_path / "out/extraction/a/ips.txt").read_bytes() == b"x\x1cy\n192.0.2.2\n"


def test_a_key_beside_keys_that_look_like_its_files(tmp_path: Path) -> None:
    keys = ["a", "a/timestamps.txt", "a/ips.txt/timestamps.txt", "b/download.txt", "c/names.tsv"]
    logged = [line(number, key=key) for number, key in enumerate(keys)]
    store = store_of(tmp_path, {"2024/05/01.log": logged})
    export(store, tmp_path / "out", "extraction")
    found = read_back(tmp_path / "out/extraction", "extraction")
    assert found == expected([tmp_path / "raw/2024/05/01.log"], "extraction")
    names = {name.rpartition("/")[0] for name in files_of(tmp_path / "out/extraction")}
    # Nothing is in the way of the last two.
    assert {"b/download.txt", "c/names.tsv"} < names
    assert not {"a", "a/timestamps.txt"} & names
    assert all(f"b/download.txt/{file}" in files_of(tmp_path / "out/extraction") for file in EXTRACTION)
