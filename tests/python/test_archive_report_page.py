"""report.html of an archive: what stands on it, what it leaves out and says so, and hostile texts."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections import Counter
from html.parser import HTMLParser

import pytest

from python.archive_report_support import (
    BEGIN,
    DAY,
    HOSTILE,
    big,
    finding,
    hostile,
    mixed,
    node,
    report,
    rule,
    series,
    year,
)
from tickline.page.words import pieces
from tickline.pipelines.archive.report.figures import days_grid, error_chart, fewer_bins, time_marks
from tickline.pipelines.archive.report.marks import bin_states, days_of
from tickline.pipelines.archive.report.model import CANNOT_BE_SHOWN, CHECKS, NOT_MET, Report, Series
from tickline.pipelines.archive.report.page import page_text
from tickline.pipelines.archive.report.words import VERDICTS


class Page(HTMLParser):
    """Tags and attributes of a page, and its text without style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._raw = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw:
            self.text += data

    def values(self, attribute: str) -> list[str | None]:
        return [found[attribute] for _, found in self.elements if attribute in found]


def page_of(made: Report) -> Page:
    return Page(page_text(made))


def test_the_page_says_the_verdict_and_no_more() -> None:
    for verdict, about in VERDICTS.items():
        page = page_of(report([node(verdict=verdict)]))
        assert page.values("data-verdict") == [verdict]
        assert about in page.text
        assert ("cannot be certified" in page.text) == (verdict != "met")


def test_every_finding_of_a_small_report_stands_on_the_page_with_its_lines() -> None:
    made = mixed()
    page = page_of(made)
    assert Counter(page.values("data-finding")) == Counter(one.check for one in made.findings)
    for one in made.findings:
        assert one.text in page.text
    shown = [
        element for element, found in page.elements if element == "code" and found.get("class") == "line"
    ]
    # One more for the worst bound of each node.
    assert len(shown) == sum(len(one.evidence) for one in made.findings) + len(made.nodes)
    assert page.values("data-check") == list(CHECKS)
    assert "more finding" not in page.text


def test_links_lead_somewhere_and_no_id_stands_twice() -> None:
    for made in (mixed(), hostile(), big(60, 30, 300), report([])):
        page = page_of(made)
        ids = Counter(page.values("id"))
        assert max(ids.values()) == 1
        targets = {target[1:] for target in page.values("href") if target and target.startswith("#")}
        assert targets <= set(ids)
        assert set(page.values("aria-describedby")) | set(page.values("aria-labelledby")) <= set(ids)
        assert all(target and target.startswith(("#", "data:")) for target in page.values("href"))


def test_a_big_report_is_quick_and_small_and_says_what_it_leaves_out() -> None:
    made = big(10, 90, 5000)
    begin = time.perf_counter()
    html = page_text(made)
    lasted = time.perf_counter() - begin
    assert len(html.encode()) < 5_000_000
    assert lasted < 30
    page = Page(html)
    shown = Counter(page.values("data-finding"))
    left_out = re.findall(r"([\d,]+) more findings? of this kind", page.text)
    assert sum(shown.values()) + sum(int(count.replace(",", "")) for count in left_out) == 5000
    assert 500 < sum(shown.values()) <= 1500
    totals = Counter((one.check, one.severity) for one in made.findings)
    cells = page.values("data-sort")
    assert str(totals["gap", "breach"]) in cells


def test_of_too_many_findings_the_gravest_are_shown() -> None:
    many = [finding("gap", BEGIN + number * 60, severity="remark") for number in range(3000)]
    worst = [finding("gap", BEGIN + 40_000, text="This one is grave.")]
    page = page_of(report(findings=[*many, *worst]))
    assert "This one is grave." in page.text
    assert "2,501 more findings of this kind stand in" in page.text


def test_of_too_many_nodes_the_worst_have_a_part_and_all_have_a_row() -> None:
    nodes = [node(f"n{number:03}", NOT_MET if number == 99 else "met", 30) for number in range(100)]
    page = page_of(report(nodes))
    assert len(page.values("data-node")) == 100
    parts = [name for name in page.values("id") if name and name.startswith("node-")]
    assert len(parts) == 40
    assert "node-n099" in parts
    assert "60 nodes have no part of their own on this page" in page.text


def test_a_report_without_anything_is_a_page() -> None:
    page = page_of(report([], business_dates=[]))
    assert "There is no node to show." in page.text
    nothing = {name: {} for name in ("sources", "rows", "stamps", "failed_tests")}
    unknown = dict.fromkeys(("max_error_s", "max_error_at_s", "max_error_evidence", "series"))
    bare = node(verdict=CANNOT_BE_SHOWN, **nothing, **unknown, configurations=[])
    bare.days = bare.days_before_open = 0
    page = page_of(report([bare]))
    assert "none: no row tells one" in page.text
    assert "No check found anything." in page.text
    empty = node(series=Series(BEGIN, 3600, [None], [None], [None]))
    assert "no rows" in page_of(report([empty])).text


def test_hostile_texts_are_text() -> None:
    html = page_text(hostile())
    page = Page(html)
    assert not {tag for tag, _ in page.elements} & {"img", "iframe", "b"}
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [found for _, found in page.elements if any(name.startswith("on") for name in found)]
    for text in HOSTILE:
        shown = "".join(part for _, part in pieces(text))
        assert page.text.count(shown) >= 10
    assert "{{ 7 * 7 }}" in page.text
    unseen = r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
    assert not re.search(unseen, html)


def test_a_long_line_is_cut_and_the_page_says_so() -> None:
    proof = finding().evidence[0]
    long = type(proof)(proof.object, 0, 1_000_000, "y" * 1_000_000)
    html = page_text(report(findings=[finding(evidence=(long,))]))
    assert len(html) < 150_000
    assert "y" * 400 + "</bdi> \u2026 and 999,600 characters" in html
    assert "y" * 401 not in html


def test_the_same_report_gives_the_same_page() -> None:
    assert page_text(mixed()) == page_text(mixed())


# ---- drawings ----------------------------------------------------------------------------------------------


def chart(values: Series, tolerance: float = 0.05, states: list[str] | None = None) -> str:
    return error_chart(values, tolerance, states or [""] * len(values.bound_s), "title", "told")


def lines_at(svg: str, kind: str) -> list[float]:
    return [float(y) for y in re.findall(rf'<line class="{kind}"[^>]* y1="([\d.]+)"', svg)]


def test_the_scale_is_one_of_powers_of_ten() -> None:
    values = Series(BEGIN, 3600, [-1e-5, 0.0], [1e-6, 0.0], [1e-3, 1e-2])
    svg = chart(values, 0.1)
    assert re.findall(r'text-anchor="end">([^<]+)</text>', svg)[:7] == [
        *("10\u00a0\u00b5s", "100\u00a0\u00b5s", "1\u00a0ms", "10\u00a0ms", "1\u00a0s", "100\u00a0ms"),
    ]
    low, *grid = lines_at(svg, "base") + lines_at(svg, "grid")
    steps = [a - b for a, b in zip([low, *grid], grid, strict=False)]
    assert max(steps) - min(steps) < 0.01
    # 1 ms and 10 ms lie on their lines, and the limit of 100 ms on its own.
    bound = re.search(r'<path class="bound" [^>]*d="M0 ([\d.]+)H1V([\d.]+)H2"', svg)
    assert bound is not None
    assert [float(y) for y in bound.groups()] == [grid[1], grid[2]]
    assert lines_at(svg, "limit") == [grid[3]]


def test_where_nothing_is_known_nothing_is_drawn() -> None:
    values = Series(BEGIN, 3600, [None] * 4, [None] * 4, [None, 1e-3, None, 1e-3])
    svg = chart(values)
    assert re.search(r'<path class="bound" [^>]*d="M1 [\d.]+H2M3 [\d.]+H4"', svg)
    assert svg.count("no rows") == 2
    assert re.search(r'<path class="offset" [^>]*d=""', svg)


def test_a_bin_is_told_with_its_findings() -> None:
    values = Series(BEGIN, 3600, [-2e-6, None], [3e-6, None], [2.5e-3, 0.2])
    svg = chart(values, states=["", "unshown"])
    titles = [text.replace("\u00a0", " ") for text in re.findall("<title>([^<]*)</title>", svg)]
    assert titles == [
        "2026-09-01 00:00 to 01:00: bound 2.50 ms, offset \u22122.00 \u00b5s to +3.00 \u00b5s",
        "2026-09-01 01:00 to 02:00: bound 200 ms; not shown",
    ]
    assert svg.count('class="unshown"') == 1


def test_fewer_bins_keep_the_worst() -> None:
    values = Series(
        BEGIN, 60, [-1.0, -2.0, None, -3.0, -4.0], [1.0, 2.0, None, 3.0, 4.0], [5.0, None, 7.0, 6.0, None]
    )
    assert fewer_bins(values, 3) == Series(BEGIN, 120, [-2.0, -3.0, -4.0], [2.0, 3.0, 4.0], [5.0, 7.0, None])
    assert fewer_bins(values, 5) is values


def test_marks_in_time_are_round_and_have_room() -> None:
    for days in (1, 2, 7, 10, 30, 45, 90, 200, 365, 800, 4000):
        for width in (205, 590):
            marks = time_marks(BEGIN, BEGIN + days * DAY, width)
            assert 1 <= len(marks) <= width // 30, days
            assert all(time_s % 3600 == 0 and BEGIN <= time_s < BEGIN + days * DAY for time_s, _ in marks)
    month = ["7 Sep", "14 Sep", "21 Sep", "28 Sep"]
    assert [text for _, text in time_marks(BEGIN, BEGIN + 30 * DAY, 250)] == month
    assert [text for _, text in time_marks(BEGIN, BEGIN + 30 * DAY, 190)] == month[1::2]
    assert time_marks(BEGIN + 3600, BEGIN + DAY, 590)[:2] == [
        (BEGIN + 3 * 3600, "1 Sep 03:00"),
        (BEGIN + 6 * 3600, "06:00"),
    ]


def test_findings_colour_the_bins_that_they_touch() -> None:
    values = series(2, per_day=24)
    found = [
        finding("gap", BEGIN + 2 * 3600, end_s=BEGIN + 2 * 3600, severity="breach"),
        finding("gap", BEGIN + 3600, end_s=BEGIN + 3 * 3600 - 1, severity="remark"),
        finding("source", BEGIN, end_s=BEGIN + 2 * DAY, severity="unshown"),
    ]
    states = bin_states(values, found, BEGIN, BEGIN + 2 * DAY)
    assert states == ["", "remark", "breach"] + [""] * 45


def test_days_are_those_of_the_exchange() -> None:
    late = int(dt.datetime(2026, 9, 10, 2, 0, tzinfo=dt.UTC).timestamp())
    opening = int(dt.datetime(2026, 9, 15, 13, 30, tzinfo=dt.UTC).timestamp())
    made = report(
        findings=[
            finding("gap", late, end_s=late + 60, severity="unshown"),
            finding("pre_open", opening - DAY, end_s=opening),
            finding("source", BEGIN, end_s=BEGIN + 30 * DAY, severity="unshown"),
        ]
    )
    days = days_of(made, made.findings)
    marked = {day.isoformat(): state for day, (state, _) in days.items() if state not in ("ok", "closed")}
    # 02:00 UTC is 22:00 of the day before in New York; what is before an open belongs to its day.
    assert marked == {"2026-09-09": "unshown", "2026-09-15": "breach"}
    assert days[dt.date(2026, 9, 12)] == ("closed", "Sat 12\u00a0September 2026: no business day")
    assert days[dt.date(2026, 9, 15)][1].endswith("2026: not synchronised before the open")
    plain = report(findings=made.findings, rule=rule(zone="UTC"), business_dates=[])
    assert days_of(plain, plain.findings)[dt.date(2026, 9, 10)][0] == "unshown"
    assert days_of(plain, [])[dt.date(2026, 9, 12)][0] == "ok"


@pytest.mark.parametrize(("days", "drawings"), [(1, 1), (90, 1), (371, 1), (372, 2), (800, 3)])
def test_every_day_has_its_square(days: int, drawings: int) -> None:
    every = {
        dt.date(2026, 1, 1) + dt.timedelta(days=number): ("ok", f"day {number}") for number in range(days)
    }
    svg = days_grid(every, "title", "told")
    assert svg.count("<svg") == drawings
    assert re.findall(r"<title>day (\d+)</title>", svg) == [str(number) for number in range(days)]
    places = re.findall(r'<rect class="day ok" x="(\d+)" y="(\d+)"', svg)
    if drawings == 1:
        assert len(set(places)) == days
        rows = {int(y) for _, y in places}
        assert len(rows) == min(days, 7)


def test_a_year_has_a_certificate_with_room_for_a_name() -> None:
    page = page_of(year())
    assert "Certificate for 2026" in page.text
    assert "Signature" in page.text
    assert "Signature" not in page_of(mixed()).text


def test_who_was_followed_and_what_failed_is_told_in_words() -> None:
    page = re.sub(r"<(?!/?small)[^>]*>", "", page_text(report()))
    assert "no source (0.0.0.0)" in page
    assert "its own clock (127.127.1.1)" in page
    assert "6 (of a server that is not synchronised): 12" in page
    assert 'Sources <small class="inline">7 changes</small>' in page
