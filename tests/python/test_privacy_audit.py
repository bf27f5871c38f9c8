"""The audit of an export finds every cell that was planted, and none where all is well."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from python.summaries_support import DAY_MS, MAY, add, open_store, write_catalog
from reference.access_summaries_reference import Entry, Row
from tickline.errors import SourceError, UsageError
from tickline.pipelines.access.export.native import export_native
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.published import export_published
from tickline.pipelines.access.privacy.audit import COMPUTED, DOMINANCE, SMALL, audit
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import summarize

Cells = dict[str, Sequence[Any]]


def _plant(out: Path, dataset: str, table: str, about: str, rows: Cells) -> None:
    """Write a table of s3-log-extraction: by row bytes, requests, downloads."""
    path = out / "summaries" / dataset / f"{table}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [[about, "bytes_sent", "number_of_requests", "number_of_downloads"]]
    lines += [[name, *map(str, numbers)] for name, numbers in rows.items()]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


def _totals(out: Path, datasets: Cells, archive: Sequence[Any]) -> None:
    names = ("total_bytes_sent", "total_number_of_requests", "total_number_of_downloads")
    for name, value in (
        ("totals", {key: dict(zip(names, numbers, strict=True)) for key, numbers in datasets.items()}),
        ("archive_totals", dict(zip(names, archive, strict=True))),
    ):
        (out / "summaries" / f"{name}.json").write_text(json.dumps(value))


def _export(out: Path) -> None:
    """Write an export without any risk: two days, two datasets, two regions."""
    for dataset, factor in (("d1", 1), ("d2", 1), ("archive", 2)):
        cell = [100 * factor, 40 * factor, 20 * factor]
        _plant(out, dataset, "by_day", "date", {"2024-05-01": cell, "2024-05-02": cell})
        _plant(out, dataset, "by_region", "region", {"DE": cell, "other": cell})
        if dataset != "archive":
            _plant(out, dataset, "by_asset", "asset_path", {"a": cell, "b": cell})
    _totals(out, {"d1": [200, 80, 40], "d2": [200, 80, 40]}, [400, 160, 80])


def _found(out: Path) -> list[tuple[str, ...]]:
    return [(risk.kind, risk.file, risk.row, risk.measure) for risk in audit(out)]


def test_an_export_without_risks_is_clean(tmp_path: Path) -> None:
    _export(tmp_path)
    assert _found(tmp_path) == []


@pytest.mark.parametrize("measure", [1, 2])
@pytest.mark.parametrize(
    ("dataset", "table", "about", "row"),
    [
        ("d1", "by_day", "date", "2024-05-02"),
        ("d2", "by_asset", "asset_path", "b"),
        ("archive", "by_day", "date", "2024-05-01"),
        ("archive", "by_region", "region", "DE"),
    ],
)
def test_each_small_count_is_found(
    tmp_path: Path, dataset: str, table: str, about: str, row: str, measure: int
) -> None:
    _export(tmp_path)
    cells: Cells = {"2024-05-01": [200, 80, 40], "2024-05-02": [200, 80, 40], "DE": [200, 80, 40]}
    cells |= {"b": [200, 80, 40]}
    numbers = list(cells[row])
    numbers[measure] = 9
    _plant(tmp_path, dataset, table, about, {row: numbers})
    name = ("number_of_requests", "number_of_downloads")[measure - 1]
    assert (SMALL, f"summaries/{dataset}/{table}.tsv", row, name) in _found(tmp_path)


@pytest.mark.parametrize("word", ["hidden", "<50"])
def test_what_a_subtraction_gives_is_found_along_every_kind_of_sum(tmp_path: Path, word: str) -> None:
    cell, gone = [100, 40, 20], [100, word, word]
    plants: list[tuple[str, str, str, Cells, tuple[str, str]]] = [
        ("d1", "by_day", "date", {"2024-05-01": gone, "2024-05-02": cell}, ("d1/by_day", "2024-05-01")),
        ("d1", "by_region", "region", {"DE": cell, "other": gone}, ("d1/by_region", "other")),
        ("d2", "by_asset", "asset_path", {"a": cell, "b": gone}, ("d2/by_asset", "b")),
        (
            "archive",
            "by_region",
            "region",
            {"DE": [200, 80, 40], "other": gone},
            ("archive/by_region", "other"),
        ),
    ]
    for number, (dataset, table, about, rows, (file, row)) in enumerate(plants):
        out = tmp_path / str(number)
        _export(out)
        _plant(out, dataset, table, about, rows)
        found = _found(out)
        for measure in ("number_of_requests", "number_of_downloads"):
            assert (COMPUTED, f"summaries/{file}.tsv", row, measure) in found


def test_a_cell_is_found_by_the_column_too(tmp_path: Path) -> None:
    _export(tmp_path)
    gone = [100, "hidden", "hidden"]
    # Both days of a dataset are withheld, so its row says nothing; the archive less the other dataset does.
    _plant(tmp_path, "d1", "by_day", "date", {"2024-05-01": gone, "2024-05-02": gone})
    rows = {(row, measure) for kind, _, row, measure in _found(tmp_path) if kind == COMPUTED}
    assert {row for row, _ in rows} == {"2024-05-01", "2024-05-02"}


def test_a_withheld_total_is_found(tmp_path: Path) -> None:
    _export(tmp_path)
    _totals(tmp_path, {"d1": [200, "hidden", "hidden"], "d2": [200, 80, 40]}, [400, 160, 80])
    found = _found(tmp_path)
    assert (COMPUTED, "summaries/totals.json", "d1", "number_of_requests") in found


def test_a_region_that_only_one_pool_can_hold_is_found(tmp_path: Path) -> None:
    _export(tmp_path)
    cell = [100, 40, 20]
    _plant(
        tmp_path, "archive", "by_region", "region", {"DE": [200, 80, 40], "FR": [150, 60, 40], "other": cell}
    )
    _plant(tmp_path, "d2", "by_region", "region", {"DE": cell, "FR": cell})
    assert (COMPUTED, "summaries/d1/by_region.tsv", "other", "bytes_sent") in _found(tmp_path)


def _rows(*, big: int = 12) -> list[Row]:
    """Return a store's rows: many people on day 0, of which one has nearly all bytes; two on day 1."""
    rows = [Row(MAY, "d1/a", f"p{number}", 10, 200) for number in range(big)]
    rows += [Row(MAY, "d1/a", "p0", 100_000, 206)]
    rows += [Row(MAY + DAY_MS, "d2/b", f"p{number % 2}", 10, 200) for number in range(200)]
    return rows + [Row(MAY, "d2/b", f"q{number}", 500, 200) for number in range(400)]


@pytest.mark.parametrize("layout", ["native", "published"])
def test_with_the_store_it_is_asked_who_is_behind_a_cell(tmp_path: Path, layout: str) -> None:
    options = SummaryOptions()
    with open_store(tmp_path / "store") as store:
        add(store, _rows())
        summaries = summarize(store, options)
        if layout == "native":
            export_native(store, summaries, ExportOptions(options), tmp_path / "out")
        else:
            # That rule looks at requests: 200 of two people are many to it.
            published = ExportOptions(options, "s3-log-extraction", privacy="strict")
            export_published(store, summaries, published, tmp_path / "out")
        found = {(risk.kind, risk.file, risk.row, risk.measure) for risk in audit(tmp_path / "out", store)}
    expected = {
        (SMALL, "summaries/d2/by_day.tsv", "2024-05-02", "number_of_requests"),
        (SMALL, "summaries/archive/by_day.tsv", "2024-05-02", "number_of_requests"),
    }
    if layout == "native":
        expected |= {
            (DOMINANCE, "summaries/d1/by_day.tsv", "2024-05-01", "bytes_sent"),
            (DOMINANCE, "summaries/d1/by_asset.tsv", "a", "bytes_sent"),
            (DOMINANCE, "totals.json", "d1", "bytes_sent"),
        }
    assert expected <= found
    assert not [risk for risk in found if risk[:3] == (DOMINANCE, "summaries/d2/by_asset.tsv", "b")]


def test_the_catalog_of_the_export_is_asked_who_owns_a_key(tmp_path: Path) -> None:
    catalog = write_catalog(
        tmp_path / "c.tsv", [Entry("d1/", "000001", "", "x/"), Entry("d2/", "000002", "", "")]
    )
    options = SummaryOptions(catalog=catalog)
    with open_store(tmp_path / "store") as store:
        add(store, _rows())
        export_native(store, summarize(store, options), ExportOptions(options), tmp_path / "out")
        found = {(risk.kind, risk.file, risk.row) for risk in audit(tmp_path / "out", store, options)}
    assert (DOMINANCE, "summaries/000001/by_asset.tsv", "x/a") in found


def test_an_export_under_the_rule_fixed_is_clean(tmp_path: Path) -> None:
    options = SummaryOptions()
    with open_store(tmp_path / "store") as store:
        add(store, _rows())
        export_published(
            store, summarize(store, options), ExportOptions(options, "s3-log-extraction"), tmp_path / "out"
        )
        found = audit(tmp_path / "out", store)
    assert [risk for risk in found if risk.kind != DOMINANCE] == []


def test_what_is_no_export_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no export"):
        audit(tmp_path)
    _export(tmp_path)
    for options in ({"threshold": 0}, {"dominance": 0.0}, {"dominance": 1.5}):
        with pytest.raises(UsageError):
            audit(tmp_path, **options)
    table = tmp_path / "summaries/d1/by_day.tsv"
    whole = table.read_bytes()
    for content in (whole[:-3], whole.replace(b"date", b"day", 1), whole + b"x\ty\n", b"\xff\n"):
        table.write_bytes(content)
        with pytest.raises(SourceError, match=r"by_day\.tsv"):
            audit(tmp_path)
    table.write_bytes(whole)
    (tmp_path / "summaries/totals.json").write_text("{")
    with pytest.raises(SourceError, match="no JSON"):
        audit(tmp_path)
