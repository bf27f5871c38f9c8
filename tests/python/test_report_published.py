"""report.html of exports with rounded and withheld counts: what it says, shows, draws and leaves out."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyarrow import parquet

from python.report_support import (
    ABOUT,
    MEASURES,
    WORDS,
    Access,
    Page,
    build_export,
    load,
    page_of,
    publish,
    some_rows,
    write_json,
)
from tickline.errors import TicklineError
from tickline.pipelines.access.privacy.privacy import Privacy
from tickline.pipelines.access.report import write_report
from tickline.pipelines.access.report.rules import rule_of

RULES = ("fixed", "strict")


def few_and_many(days: int) -> list[Access]:
    """Every third day has 3 requesters, the others 60; and every day each asks once."""
    return [
        Access(date(2024, 1, 1) + timedelta(days=day), f"{who % 3}", f"{who % 7}.nwb", who, "DE/Berlin", 5)
        for day in range(days)
        for who in range(3 if day % 3 == 0 else 60)
    ]


def text_of(page: Page) -> str:
    return " ".join(page.text.split())


@pytest.fixture(scope="module", params=RULES)
def out(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    rows = some_rows(days=50, datasets=40, assets=9)
    return publish(build_export(tmp_path_factory.mktemp("export") / "out", rows), request.param)


@pytest.fixture(scope="module")
def rule(out: Path) -> str:
    return str(load(out / "provenance.json")["privacy"]).partition(":")[0]


@pytest.fixture(scope="module")
def page(out: Path) -> Page:
    return page_of(out)


def cell(count: int | None, rule: str) -> str:
    return WORDS[rule] if count is None else f"{count:,}"


# ---- what is said ------------------------------------------------------------------------------------------


def test_the_head_says_the_rule_and_what_its_word_means(page: Page, rule: str) -> None:
    head = " ".join(
        re.sub("<[^>]+>", "", page.html.partition("<header>")[2].partition("</header>")[0]).split()
    )
    assert f"Published under the rule {rule}: bytes are exact, counts are not." in head
    why = {"fixed": "it has fewer than 10 requesters", "strict": "it is below 50, and may be 0"}[rule]
    assert f"{WORDS[rule].replace('<', '&lt;')} stands where one is withheld, because {why}" in head
    assert "own eyes" not in page.text


def test_the_head_of_an_exact_page_says_for_whom_it_is(tmp_path: Path) -> None:
    page = page_of(build_export(tmp_path / "out", some_rows(days=3)))
    head = page.html.partition("<header>")[2].partition("</header>")[0]
    assert "Exact numbers, for the archive's own eyes." in head
    assert "Nothing is rounded or withheld" in head
    assert 'id="meaning"' not in page.html
    assert 'id="hatch"' not in page.html


def test_the_sentences_of_the_rules_are_understood() -> None:
    for rule, threshold, rounding in (("exact", 10, 20), ("strict", 10, 20), ("fixed", 7, 50)):
        about = Privacy(rule, threshold, rounding).about()
        found = rule_of(about)
        assert (found.name, found.about, found.published) == (rule, about, rule != "exact")
        if rule != "exact":
            assert found.word == Privacy(rule).word
    assert (found.threshold, found.rounding) == (7, 50)
    assert Privacy("strict").about() == ABOUT["strict"]
    assert Privacy("fixed").about() == ABOUT["fixed"]


@pytest.mark.parametrize("about", ["", "fixed", "exactly so", "<b>new</b>: other numbers"])
def test_a_rule_without_words_is_not_taken_for_exact(tmp_path: Path, about: str) -> None:
    out = publish(build_export(tmp_path / "out", few_and_many(9)), "fixed")
    write_json(out / "provenance.json", {**load(out / "provenance.json"), "privacy": about})
    page = page_of(out)
    assert "a rule that this version of the page has no words for" in page.text
    assert about in page.text
    assert "own eyes" not in page.text


def test_the_lines_of_the_logs_are_left_out_and_it_is_said(page: Page) -> None:
    assert page.values("data-account") == page.values("data-reason") == {}
    assert "Left out: how many lines of the logs were read" in page.text
    assert "Requests (how many is withheld) for 2 keys that no dataset owns" in text_of(page)


# ---- numbers -----------------------------------------------------------------------------------------------


def test_the_totals_and_datasets_are_those_of_the_json(out: Path, page: Page, rule: str) -> None:
    totals = load(out / "totals.json")
    numbers = {name: count for name, count in totals["archive"].items() if count != WORDS[rule]}
    assert page.values("data-total") == {**numbers, "number_of_datasets": len(totals["datasets"])}
    fields = ("total_bytes_sent", *MEASURES[1:], "number_of_unique_regions", "number_of_unique_countries")
    told = {
        name: [one[field] if isinstance(one[field], str) else f"{one[field]:,}" for field in fields]
        for name, one in totals["datasets"].items()
    }
    assert WORDS[rule] in {text for row in told.values() for text in row}
    assert {name: cells for name, *cells in page.rows("all-datasets")} == told


@pytest.mark.parametrize(("table", "file"), [("all-days", "by_day"), ("all-regions", "by_region")])
def test_full_tables_are_the_parquet_files(out: Path, page: Page, rule: str, table: str, file: str) -> None:
    source = parquet.read_table(out / f"summaries/archive/{file}.parquet").to_pylist()
    told = [[str(key), *(cell(count, rule) for count in counts)] for key, *counts in map(dict.values, source)]
    assert sorted(page.rows(table)) == sorted(told)
    assert {len(row) for row in page.rows("all-weeks")} == {3 if rule == "fixed" else 6}


def test_no_sum_is_made_of_counts_that_are_rounded_or_withheld(out: Path, page: Page) -> None:
    archive = load(out / "totals.json")["archive"]
    for table in ("top-datasets", "top-assets"):
        shown = page.rows(table)
        assert shown[-1][3:] == ["not added up"] * 3
        sizes = [int(row[1].split(" ")[0].replace(",", "")) for row in shown]
        assert sum(sizes) == archive["total_bytes_sent"]


def test_regions_that_are_pooled_are_said_to_be_no_place(out: Path, page: Page, rule: str) -> None:
    assert ("other, is no place: regions whose counts would be withheld" in text_of(page)) == (
        rule == "fixed"
    )
    assert ("other" in {row[0] for row in page.rows("all-regions")}) == (rule == "fixed")


def test_totals_that_are_withheld_are_the_word(tmp_path: Path) -> None:
    for rule in RULES:
        out = publish(build_export(tmp_path / rule, [Access(date(2024, 5, 1), "a", "b", 1, "DE", 7)]), rule)
        page = page_of(out)
        for name in MEASURES[1:]:
            assert f'data-total="{name}">{WORDS[rule].replace("<", "&lt;")}<' in page.html
        assert page.rows("all-days") == [["2024-05-01", "7", *[WORDS[rule]] * 3]]


def test_an_archive_without_rows_gives_a_page(tmp_path: Path) -> None:
    for rule in RULES:
        page = page_of(publish(build_export(tmp_path / rule, []), rule))
        assert "There is nothing to show. No request counts so far." in text_of(page)


# ---- charts ------------------------------------------------------------------------------------------------


def bars(page: Page, measure: str, kind: str = "wide") -> list[tuple[bool, int, str]]:
    """Return (is it hatched, value, what it says) of each bar of a chart."""
    figure = page.html.partition(f'id="panel-{measure}"')[2].partition("</figure>")[0]
    chart = figure.partition(f'class="chart {kind}"')[2].partition('<div class="chart')[0]
    return [
        ("#hatch" in group, int(re.findall(r'data-value="(\d+)"', group)[0]), title)
        for group, title in re.findall(r"<g>(.*?)<title>(.*?)</title></g>", chart)
    ]


def test_a_day_that_is_withheld_is_hatched_and_not_0(tmp_path: Path) -> None:
    page = page_of(publish(build_export(tmp_path / "out", few_and_many(12)), "fixed"))
    for measure in MEASURES[1:]:
        noun = measure.rpartition("_")[2]
        found = bars(page, measure)
        assert [hatched for hatched, *_ in found] == [day % 3 == 0 for day in range(12)]
        assert found[0][2] == f"1\u00a0January 2024: {noun} hidden"
        assert found[1][1:] == (60, f"2\u00a0January 2024: 60 {noun}")
        assert f"Hatched: {noun} that read hidden, on 4 of the 12 days with requests." in text_of(page)
        assert f"The most in a day that is shown: 60 {noun} on 2\u00a0January 2024." in page.text
    assert not any(hatched for hatched, *_ in bars(page, "bytes_sent"))


def test_a_day_without_requests_is_not_hatched(tmp_path: Path) -> None:
    rows = [row for row in few_and_many(12) if row.day != date(2024, 1, 5)]
    found = bars(page_of(publish(build_export(tmp_path / "out", rows), "fixed")), "number_of_requests")
    assert found[4] == (False, 0, "5\u00a0January 2024: 0 requests")


def test_bars_of_several_days_are_not_sums_of_rounded_counts(tmp_path: Path) -> None:
    page = page_of(publish(build_export(tmp_path / "out", few_and_many(210)), "fixed"))
    first = bars(page, "number_of_requests")[0]
    # Seven days from 1 January: the first, fourth and seventh are withheld, the others have 60 each.
    assert first == (True, 60, "Week of 1\u00a0January 2024: 60 requests; requests hidden on 3 of its days")
    assert bars(page, "bytes_sent")[0][1] == (3 * 3 + 4 * 60) * 5
    assert "Requests on the busiest day of each week" in text_of(page)
    assert "as high as its busiest day that is shown, because counts that are rounded" in text_of(page)


def test_hatching_has_room_above_a_bar_that_reaches_a_round_number(tmp_path: Path) -> None:
    rows = [
        Access(date(2024, 1, 1) + timedelta(days=day), "a", "b.nwb", who, "DE", 5)
        for day in range(210)
        for who in range(3 if day % 7 == 0 else 100)
    ]
    page = page_of(publish(build_export(tmp_path / "out", rows), "fixed"))
    figure = page.html.partition('id="panel-number_of_requests"')[2].partition("</figure>")[0]
    heights = [float(height) for height in re.findall(r'class="hatch"[^>]* height="([\d.]+)"', figure)]
    assert len(heights) > 30
    assert min(heights) >= 20


def test_a_chart_of_nothing_but_withheld_days_has_no_scale(tmp_path: Path) -> None:
    rows = [Access(date(2024, 1, day), "a", "b.nwb", day, "DE", 5) for day in range(1, 9)]
    page = page_of(publish(build_export(tmp_path / "out", rows), "strict"))
    assert {found[:2] for found in bars(page, "number_of_requests")} == {(True, 0)}
    assert "The requests of no day are shown." in page.text
    assert "the highest" not in page.html.partition('id="panel-number_of_requests"')[2].partition("<g>")[0]


# ---- what does not go together -----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_an_exact_export_may_withhold_nothing(tmp_path: Path, rule: str) -> None:
    out = publish(build_export(tmp_path / "out", few_and_many(9)), rule)
    found = {**load(out / "provenance.json"), "privacy": "exact: nothing is rounded or left out"}
    write_json(out / "provenance.json", found)
    with pytest.raises(TicklineError, match=r"provenance\.json"):
        write_report(out)


@pytest.mark.parametrize("word", ["hidden", "<50", "", None, "0", -1, True])
@pytest.mark.parametrize("rule", RULES)
def test_only_the_words_of_the_rule_stand_for_a_count(tmp_path: Path, rule: str, word: object) -> None:
    out = publish(build_export(tmp_path / "out", few_and_many(9)), rule)
    totals = load(out / "totals.json")
    totals["archive"]["number_of_requests"] = word
    write_json(out / "totals.json", totals)
    if word == WORDS[rule]:
        write_report(out)
    else:
        with pytest.raises(TicklineError, match=r"totals\.json"):
            write_report(out)


@pytest.mark.parametrize("rule", RULES)
def test_bytes_are_never_withheld_and_always_add_up(tmp_path: Path, rule: str) -> None:
    out = publish(build_export(tmp_path / "out", few_and_many(9)), rule)
    totals = load(out / "totals.json")
    for wrong in (totals["archive"]["total_bytes_sent"] + 1, WORDS[rule], None):
        changed = {**totals, "archive": {**totals["archive"], "total_bytes_sent": wrong}}
        write_json(out / "totals.json", changed)
        with pytest.raises(TicklineError):
            write_report(out)
