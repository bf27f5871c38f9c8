"""report.html: a missing or damaged file of the export is named, and an old page stays."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from python.report_support import (
    MEASURES,
    build_export,
    load,
    some_rows,
    write_json,
)
from tickline.errors import TicklineError
from tickline.pipelines.access.report import write_report

FILES = (
    "totals.json",
    "provenance.json",
    "names.tsv",
    "summaries/archive/by_day.parquet",
    "summaries/archive/by_region.parquet",
    "summaries/archive/by_week_type.parquet",
    "summaries/d0/by_asset.parquet",
)


def refused(out: Path) -> TicklineError:
    page = out / "report.html"
    page.write_text("old", encoding="utf-8")
    with pytest.raises(TicklineError) as caught:
        write_report(out)
    assert "Make the export again" in (caught.value.hint or "")
    assert "\n" not in str(caught.value)
    assert page.read_text(encoding="utf-8") == "old"
    return caught.value


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return build_export(tmp_path / "out", some_rows(days=3))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(small: Path, name: str) -> None:
    (small / name).unlink()
    error = refused(small)
    assert name in str(error)
    assert "missing" in error.what


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[1, 2]", b"PAR1 damaged PAR1"])
def test_a_damaged_file_is_named(small: Path, name: str, content: bytes) -> None:
    (small / name).write_bytes(content)
    assert name in str(refused(small))


@pytest.mark.parametrize("name", FILES[3:])
def test_a_cut_or_flipped_table_is_named(small: Path, name: str) -> None:
    whole = (small / name).read_bytes()
    (small / name).write_bytes(whole[:-20])
    assert name in str(refused(small))
    (small / name).write_bytes(whole[:4] + bytes(40) + whole[44:])
    assert name in str(refused(small))


def change(name: str, value: object, *path: str) -> Callable[[Path], None]:
    def apply(out: Path) -> None:
        found = load(out / name)
        place = found
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        write_json(out / name, found)

    return apply


def write(name: str, text: str) -> Callable[[Path], None]:
    return lambda out: (out / name).write_text(text, encoding="utf-8") and None


BROKEN = {
    "the sum of lines": change("provenance.json", 1, "accounting", "lines"),
    "a later format": change("provenance.json", 2, "format"),
    "no sources": change("provenance.json", None, "sources"),
    "a source that is no hash": change("provenance.json", [1], "sources"),
    "a count that is none": change("provenance.json", "7", "accounting", "filtered", "blank"),
    "a negative count": change("totals.json", -1, "archive", "number_of_requests"),
    "a count with a fraction": change("totals.json", 1.5, "archive", "number_of_requests"),
    "a truth for a count": change("totals.json", True, "archive", "number_of_requests"),
    "datasets that are none": change("totals.json", [], "datasets"),
    "a dataset that is none": change("totals.json", 3, "datasets", "000000"),
    "totals of another export": change("totals.json", 3, "archive", "total_bytes_sent"),
    "a dataset of another export": change("totals.json", 3, "datasets", "000000", "total_bytes_sent"),
    "a catalog that is none": change("provenance.json", {"sha256": 1}, "catalog"),
    "names without a header": write("names.tsv", "d0\t000000\n"),
    "names without a tab": write("names.tsv", "folder\tdataset\nd0\n"),
    "names that do not know a dataset": write("names.tsv", "folder\tdataset\nd0\tother\n"),
    "a folder outside": write("names.tsv", "folder\tdataset\n../d0\t000000\n"),
    "a folder from the root": write("names.tsv", "folder\tdataset\n/d0\t000000\n"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_files_that_contradict_each_other_are_refused(small: Path, how: str) -> None:
    BROKEN[how](small)
    refused(small)


@pytest.mark.parametrize(
    ("column", "values", "what"),
    [
        ("date", pa.array([10_000_000], pa.date32()), "does not hold days"),
        ("date", pa.array([None], pa.date32()), "holds nulls"),
        ("date", pa.array(["yesterday"]), "does not hold days"),
        ("bytes_sent", pa.array([0.5]), "does not hold whole numbers"),
        ("number_of_requests", pa.array([None], pa.uint64()), "holds nulls"),
        ("bytes_sent", None, "has no column bytes_sent"),
        ("date", None, "has no column date"),
    ],
)
def test_a_table_of_another_shape_is_refused(small: Path, column: str, values: object, what: str) -> None:
    columns = {
        "date": pa.array([19_000], pa.date32()),
        **{name: pa.array([1], pa.uint64()) for name in MEASURES},
    }
    columns[column] = values
    table = pa.table({name: array for name, array in columns.items() if array is not None})
    parquet.write_table(table, small / "summaries/archive/by_day.parquet")
    assert what in str(refused(small))


def test_a_missing_package_names_the_extra(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, extra in (("jinja2", "report"), ("pyarrow", "access")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(TicklineError, match=re.escape(f"pip install 'tickline[{extra}]'")):
                write_report(small)


def test_optional_packages_are_imported_where_they_are_used() -> None:
    code = (
        "import sys, tickline.pipelines.access.report as r\n"
        "assert r.write_report and not {'jinja2', 'pyarrow', 'markupsafe'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
