"""report.html: its numbers, its accounting, the document, large archives and empty ones."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyarrow import parquet

from python.report_support import (
    MEASURES,
    Access,
    Page,
    build_export,
    load,
    page_of,
    provenance,
    some_rows,
    write_table,
)
from tickline.pipelines.access.report import write_report
from tickline.pipelines.access.report.words import (
    FILTERED,
    NOTED,
    REJECTED,
)

ROOT = Path(__file__).resolve().parents[2]


def numbers(row: list[str]) -> list[int]:
    return [int(cell.replace(",", "")) for cell in row]


@pytest.fixture(scope="module")
def rows() -> list[Access]:
    return some_rows(days=50, datasets=40, assets=9)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, rows: list[Access]) -> Path:
    return build_export(tmp_path_factory.mktemp("export") / "out", rows)


@pytest.fixture(scope="module")
def page(out: Path) -> Page:
    return page_of(out)


# ---- numbers -----------------------------------------------------------------------------------------------


def test_the_totals_are_those_of_the_json(out: Path, page: Page) -> None:
    totals = load(out / "totals.json")
    assert page.values("data-total") == {**totals["archive"], "number_of_datasets": len(totals["datasets"])}
    assert f"{totals['archive']['total_bytes_sent']:,} bytes sent" in page.text


def test_the_title_names_the_days(page: Page, rows: list[Access]) -> None:
    first, last = min(row.day for row in rows), max(row.day for row in rows)
    assert f"<title>Archive access, {first} to {last}</title>" in page.html
    assert "20\u00a0January to 9\u00a0March 2024" in page.text


def test_every_dataset_stands_in_the_full_table_with_the_numbers_of_the_json(out: Path, page: Page) -> None:
    shown = {name: numbers(cells) for name, *cells in page.rows("all-datasets")}
    totals = load(out / "totals.json")["datasets"]
    fields = ("total_bytes_sent", *MEASURES[1:], "number_of_unique_regions", "number_of_unique_countries")
    assert shown == {name: [entry[field] for field in fields] for name, entry in totals.items()}
    order = [cells[0] for _, *cells in page.rows("all-datasets")]
    assert numbers(order) == sorted(numbers(order), reverse=True)


@pytest.mark.parametrize(
    ("table", "file", "keys"),
    [("all-days", "by_day", 1), ("all-regions", "by_region", 1), ("all-weeks", "by_week_type", 2)],
)
def test_full_tables_are_the_parquet_files(out: Path, page: Page, table: str, file: str, keys: int) -> None:
    shown = sorted((*row[:keys], *numbers(row[keys:])) for row in page.rows(table))
    source = parquet.read_table(out / f"summaries/archive/{file}.parquet").to_pylist()
    assert shown == sorted(
        (*map(str, list(row.values())[:keys]), *list(row.values())[keys:]) for row in source
    )


@pytest.mark.parametrize("table", ["top-datasets", "top-assets"])
def test_the_first_25_and_the_others_are_the_whole(
    out: Path, page: Page, table: str, rows: list[Access]
) -> None:
    shown = page.rows(table)
    assert len(shown) == 26
    archive = load(out / "totals.json")["archive"]
    for column, name in ((1, "total_bytes_sent"), (3, MEASURES[1]), (4, MEASURES[2])):
        assert sum(int(row[column].split(" ")[0].replace(",", "")) for row in shown) == archive[name]
    assert "other" in shown[-1][0]
    assert shown[-1][-1] == "not added up"


def test_the_top_assets_are_those_with_most_bytes_of_all_datasets(page: Page, rows: list[Access]) -> None:
    sums: dict[tuple[str, str], int] = {}
    for row in rows:
        sums[row.dataset, row.path] = sums.get((row.dataset, row.path), 0) + row.bytes_sent
    best = sorted(sums.items(), key=lambda item: (-item[1], item[0]))[:25]
    shown = [(row[0], row[1].split(" ")[0]) for row in page.rows("top-assets")[:25]]
    assert shown == [(f"{path}in {dataset}", f"{size:,}") for (dataset, path), size in best]


def test_assets_with_the_same_bytes_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    rows = [
        Access(date(2024, 5, 1), f"{number % 3}", f"{number:03}.nwb", 1, "unknown", 7)
        for number in reversed(range(90))
    ]
    shown = [row[0] for row in page_of(build_export(tmp_path / "out", rows)).rows("top-assets")[:25]]
    assert shown == [f"{number:03}.nwbin 0" for number in range(0, 75, 3)]


def test_numbers_of_64_bits_are_exact(tmp_path: Path) -> None:
    most = 2**64 - 1
    rows = [Access(date(2024, 5, 1), "a", "b.nwb", 1, "DE/Berlin", most, most, most)]
    page = page_of(build_export(tmp_path / "out", rows))
    assert page.values("data-total")["total_bytes_sent"] == most
    assert page.rows("all-days") == [["2024-05-01", *[f"{most:,}"] * 3, "1"]]
    assert "18.4\u00a0EB" in page.text


def test_the_requesters_of_a_week_are_those_of_its_busiest_day(tmp_path: Path) -> None:
    rows = [
        Access(date(2024, 1, 1) + timedelta(days=day), "a", "b.nwb", requester, "unknown", 1)
        for day in range(200)
        for requester in range(day % 7 + 1)
    ]
    page = page_of(build_export(tmp_path / "out", rows))
    assert "1 January 2024: 7 requesters" in page.html.replace("\u00a0", " ")
    assert "and as high as its busiest day" in page.text
    assert "28 requests" in page.html


# ---- accounting and provenance -----------------------------------------------------------------------------


def test_every_reason_stands_with_its_count_and_its_sentence(out: Path, page: Page) -> None:
    counts = load(out / "provenance.json")["accounting"]
    accounts = page.values("data-account")
    assert {name: accounts[name] for name in ("lines", "bytes", "accepted")} == {
        name: counts[name] for name in ("lines", "bytes", "accepted")
    }
    assert accounts["lines"] == accounts["accepted"] + accounts["filtered"] + accounts["rejected"]
    assert page.values("data-reason") == {**counts["filtered"], **counts["rejected"], **counts["noted"]}
    for reason, sentence in {**FILTERED, **REJECTED, **NOTED}.items():
        assert (sentence in page.text) == (reason in page.values("data-reason")), reason


def test_reasons_have_the_sentences_of_the_library() -> None:
    header = (ROOT / "include/tickline/error.hpp").read_text(encoding="utf-8")
    sentences = dict(re.findall(r'^ +\{"(\w+)", "(.*)"\},$', header, re.MULTILINE))
    assert len(sentences) > 10
    assert {name: sentences[name] for name in REJECTED} == REJECTED


def test_every_reason_of_the_documentation_has_words() -> None:
    text = (ROOT / "docs/access-logs.md").read_text(encoding="utf-8")
    for head, known in (("`filtered`", FILTERED), ("`rejected`", REJECTED), ("`noted`", NOTED)):
        _, _, below = text.partition(f"\n| {head}")
        table = below.partition("\n\n")[0]
        names = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", table, re.MULTILINE)))
        assert names
        assert set(names) <= set(known)


def test_a_reason_without_words_is_shown_all_the_same(tmp_path: Path) -> None:
    counts = {"lines": 3, "bytes": 9, "accepted": 1, "filtered": {"<new>": 2}, "rejected": {}, "noted": {}}
    page = page_of(build_export(tmp_path / "out", some_rows(days=2), accounting=counts))
    assert page.values("data-reason") == {"<new>": 2}
    assert "no words for" in page.text


def test_provenance_is_complete(out: Path, page: Page) -> None:
    found = load(out / "provenance.json")
    digest = hashlib.sha256("".join(f"{source}\n" for source in found["sources"]).encode()).hexdigest()
    for text in (
        digest,
        found["catalog"]["sha256"],
        "1,234 entries",
        found["privacy"],
        "REST.GET.OBJECT",
        "2xx",
    ):
        assert text in page.text
    for snapshot in found["regions"]:
        assert snapshot["sha256"] in page.text
        assert snapshot["name"] in page.text
    undetermined = page.values("data-undetermined")
    assert undetermined == {name: found["undetermined"][name] for name in ("keys", "bytes_sent")}
    assert page.values("data-sources") == {None: len(found["sources"])}


def test_a_choice_of_datasets_is_said(tmp_path: Path) -> None:
    names = [f"<{number}>" for number in range(40)]
    out = build_export(
        tmp_path / "out", some_rows(days=2), restrict_to=names, exclude_datasets=["b"], catalog=None
    )
    text = " ".join(page_of(out).text.split())
    assert "only <0>, <1>," in text
    assert "<24> and 15 more." in text
    assert "Left out: b." in text
    assert "the first part of the key" in text


# ---- as a document -----------------------------------------------------------------------------------------


def test_the_same_export_gives_the_same_bytes(tmp_path: Path, out: Path, rows: list[Access]) -> None:
    other = build_export(tmp_path / "another place", list(reversed(rows)))
    html = write_report(other).read_bytes()
    assert html == write_report(out).read_bytes()
    assert str(tmp_path).encode() not in html


def test_the_page_asks_for_nothing(page: Page) -> None:
    own = page.html.replace("xmlns='http://www.w3.org/2000/svg'", "")
    assert not re.search(
        r"https?:|//[a-z]|url\(|@import|javascript:", re.sub(r"(?m)^ *//.*$|// .*$", "", own)
    )
    for tag, found in page.elements:
        assert tag not in ("img", "iframe", "object", "embed", "form", "base", "video", "audio")
        assert "src" not in found
        assert "style" not in found
        assert not [name for name in found if name.startswith("on")]
        assert (found.get("href") or "#")[0] == "#" or tag == "link"


def test_the_policy_allows_the_two_blocks_and_nothing_else(page: Page) -> None:
    (policy,) = (
        found["content"]
        for tag, found in page.elements
        if found.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (block,) = re.findall(f"<{tag}>(.*?)</{tag}>", page.html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_ids_are_unique_and_references_meet_them(page: Page) -> None:
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    for _, found in page.elements:
        for name in ("aria-labelledby", "aria-describedby", "aria-controls"):
            assert found.get(name, ids[0]) in ids
        if (found.get("href") or "").startswith("#"):
            assert (found["href"] or "")[1:] in ids


# ---- large and empty ---------------------------------------------------------------------------------------


def test_a_large_archive_gives_a_page_of_less_than_3_mb(tmp_path: Path) -> None:
    first = date(2018, 1, 1)
    rows = [
        Access(
            first + timedelta(days=number % 2000),
            f"{number % 1100:06}-{'n' * 40}",
            f"sub-{number // 1100:03}/{'p' * 60}.nwb",
            number,
            f"{chr(65 + number % 26)}{chr(65 + number % 23)}/Region {number % 3500}",
            10**11 + number,
        )
        for number in range(110_000)
    ]
    out = build_export(tmp_path / "out", rows)
    page = page_of(out)
    size = (out / "report.html").stat().st_size
    assert 500_000 < size < 3_000_000
    text = " ".join(page.text.split())
    assert "The 25 of 110,000 assets with most bytes" in text
    assert "The 25 of 1,100 with most bytes" in text
    assert "100 more rows stand in totals.json" in text
    assert re.search(r"[\d,]+ more rows stand in summaries/archive/by_region.tsv", text)
    assert "2,000 days are too many for bars of their own: each bar is a month" in text
    assert len(page.rows("all-days")) == 2000
    assert len(page.rows("all-datasets")) == 1000
    bars = [found for tag, found in page.elements if tag == "rect" and found.get("class") == "bar"]
    assert len(bars) < 2000


def test_an_archive_without_rows_gives_a_friendly_page(tmp_path: Path) -> None:
    page = page_of(build_export(tmp_path / "out", []))
    assert "No requests yet" in page.text
    assert "12 lines of logs were read, and none of them counts" in " ".join(page.text.split())
    assert set(page.values("data-total").values()) == {0}
    assert "all-days" not in page.tables
    assert not [tag for tag, _ in page.elements if tag == "svg"]


def test_a_store_without_sources_says_so(tmp_path: Path) -> None:
    counts = {"lines": 0, "bytes": 0, "accepted": 0, "filtered": {}, "rejected": {}, "noted": {}}
    page = page_of(build_export(tmp_path / "out", [], accounting=counts, sources=[], regions=[]))
    assert "No line of any log has been read" in page.text
    assert "addresses were not looked up" in page.text


def test_the_support_writes_what_the_contract_says(out: Path) -> None:
    """The builder is no oracle: its tables have the contract's columns and types."""
    schema = parquet.read_schema(out / "summaries/archive/by_week_type.parquet")
    assert schema.names == ["week_start", "asset_type", *MEASURES]
    assert [str(kind) for kind in schema.types] == ["date32[day]", "string", *["uint64"] * 4]
    assert provenance()["accounting"]["lines"] == 5000 + 1018 + 353 + 1 + 9
    write_table(out / "probe.parquet", ("date",), {})
    assert parquet.read_table(out / "probe.parquet").num_rows == 0
    (out / "probe.parquet").unlink()
