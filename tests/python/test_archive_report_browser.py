"""report.html of an archive in headless Chromium: errors, requests, edges, colours, keyboard, paper."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from python.archive_report_support import HOSTILE, big, hostile, mixed, report, year
from python.browser_support import CHROMIUM, CONTRAST, OVERFLOW, Visit, chromium, open_all
from tickline.page.words import pieces
from tickline.pipelines.archive.report.output import write_files

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

CASES = {
    "mixed": mixed,
    "year": year,
    "hostile": hostile,
    "big": lambda: big(4, 90, 400),
    "empty": lambda: report([]),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for name, make in CASES.items():
        write_files(make(), folder / name, ("html",))
    return {name: folder / name for name in CASES}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_said_and_nothing_is_asked_for(browser: Any, pages: dict[str, Path], case: str) -> None:
    visit = Visit(browser, pages[case], color_scheme="dark" if case == "mixed" else "light")
    with visit as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        open_all(page)
        page.evaluate("for (const one of document.querySelectorAll('button')) one.click()")
        for plot in page.locator(".plot:visible").all()[:4]:
            plot.hover()
        page.mouse.wheel(0, 20_000)
    assert visit.asked == [visit.address]


def test_the_policy_stops_what_is_not_of_the_page(
    browser: Any, pages: dict[str, Path], tmp_path: Path
) -> None:
    html = (pages["mixed"] / "report.html").read_text(encoding="utf-8")
    bad = "<script>document.title = 'taken'</script><p style='color: red' id='bad'>x</p>"
    (tmp_path / "report.html").write_text(html.replace("<footer>", f"<footer>{bad}"), encoding="utf-8")
    visit = Visit(browser, tmp_path)
    visit.page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert visit.page.title().startswith("Not met: FINRA")
    assert visit.page.locator("#bad").evaluate("(one) => getComputedStyle(one).color") != "rgb(255, 0, 0)"
    visit.context.close()
    assert len([text for text in visit.said if "Content Security Policy" in text]) >= 3


@pytest.mark.parametrize("case", CASES)
def test_nothing_reaches_beyond_the_edge(browser: Any, pages: dict[str, Path], case: str) -> None:
    with Visit(browser, pages[case]) as page:
        open_all(page)
        for width in (320, 360, 705, 961, 1201, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            assert (width, page.evaluate(OVERFLOW)) == (width, [0, []])
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 680, "height": 960})
        assert page.evaluate(OVERFLOW) == [0, []]


@pytest.mark.parametrize("case", ["mixed", "hostile", "empty"])
def test_text_can_be_told_from_what_lies_behind_it(browser: Any, pages: dict[str, Path], case: str) -> None:
    with Visit(browser, pages[case]) as page:
        open_all(page)
        for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360)):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 800})
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            dark = sum(int(part) for part in background.strip("rgb()").split(",")) < 3 * 128
            assert dark == (scheme == "dark")
            found = page.evaluate(CONTRAST)
            assert len(found) > 50
            assert [text for ratio, text in found if ratio < 4.5] == []


def test_the_keyboard_tells_every_bin_and_every_day(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["mixed"]) as page:
        for told, plot, first, last in (
            ("#at-trade-01", "#node-trade-01 .chart .plot", "2026-09-01 00:00", "2026-09-30 18:00"),
            (
                "#day-trade-01",
                "#node-trade-01 .days",
                "Mon 31\u00a0August 2026",
                "Wed 30\u00a0September 2026",
            ),
        ):
            usual = page.locator(told).inner_text()
            page.locator(plot).focus()
            page.keyboard.press("Home")
            assert page.locator(told).inner_text().startswith(first)
            assert page.locator(".on").count() == 1
            page.keyboard.press("End")
            assert page.locator(told).inner_text().startswith(last)
            page.keyboard.press("ArrowLeft")
            assert not page.locator(told).inner_text().startswith(last)
            page.keyboard.press("Escape")
            assert page.locator(told).inner_text() == usual
        assert usual == "Days: 14 with a breach, 2 not shown, 2 with a remark, 10 without a finding."


def test_tab_reaches_links_charts_and_evidence(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["mixed"]) as page:
        seen = []
        for _ in range(60):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    "(() => { const one = document.activeElement;"
                    " return one.className.baseVal || one.tagName + ':' + one.innerText; })()"
                )
            )
        assert seen[0] == "A:Skip to the numbers"
        assert {"A:Fleet", "A:trade-01", "BUTTON:Time within", "plot", "plot days"} <= set(seen)
        assert "SUMMARY:1 line of evidence" in seen
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"


def test_a_pointer_tells_the_bin_below_it(browser: Any, pages: dict[str, Path]) -> None:
    for width in (1280, 360):
        with Visit(browser, pages["mixed"], viewport={"width": width, "height": 900}) as page:
            plot = page.locator("#node-trade-02 .chart .plot")
            plot.scroll_into_view_if_needed()
            box = plot.bounding_box()
            page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 100)
            # 30 days of 4 bins: nine tenths are the 109th, which begins on the 28th.
            assert re.match(r"2026-09-2[78] ", page.locator("#at-trade-02").inner_text())


def test_labels_of_a_chart_do_not_touch(browser: Any, pages: dict[str, Path]) -> None:
    boxes = """([part, low, high]) => [...document.querySelectorAll(".chart")].map((chart) =>
      [...chart.querySelectorAll(part + " text")].map((one) => one.getBoundingClientRect())
        .filter((box) => box.width > 0).map((box) => [box[low], box[high]]))"""
    for case in ("mixed", "year", "big"):
        with Visit(browser, pages[case]) as page:
            for width in (320, 500, 710, 1280):
                page.set_viewport_size({"width": width, "height": 800})
                marks = page.evaluate(boxes, [".plot", "left", "right"])
                labels = page.evaluate(boxes, [".scale", "top", "bottom"])
                assert min(map(len, marks)) >= 2
                assert min(map(len, labels)) >= 4
                # Boxes of text are higher than its letters.
                for room, charts in ((2, marks), (-2, labels)):
                    gaps = [b[0] - a[1] for chart in charts for a, b in pairwise(sorted(chart))]
                    assert min(gaps) > room, (case, width)


def test_nodes_are_sorted_by_their_numbers(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["mixed"]) as page:
        names = "[...document.querySelectorAll('#nodes tbody tr')].map((row) => row.dataset.node)"
        button = page.locator("#nodes").get_by_role("button", name="Time within")
        button.press("Enter")
        assert page.evaluate(names) == ["trade-02", "trade-01", "trade-03"]
        button.press("Enter")
        # What cannot be shown comes before every number.
        assert page.evaluate(names) == ["trade-03", "trade-01", "trade-02"]


def test_paper_is_light_and_shows_every_line(browser: Any, pages: dict[str, Path]) -> None:
    viewport = {"width": 680, "height": 960}
    with Visit(browser, pages["mixed"], color_scheme="dark", viewport=viewport) as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 32, 36)"
        assert page.locator("nav:visible").count() == 0
        lines = page.locator(".found .line")
        assert lines.count() > 20
        heights = lines.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
        assert min(heights) > 5
        for element in (".calendar", ".chart", "table"):
            for one in page.locator(f"{element}:visible").all():
                assert one.evaluate("(one) => one.scrollWidth <= one.clientWidth + 1")
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.found tbody')).breakInside") == "avoid"
        )
        assert page.evaluate("getComputedStyle(document.querySelector('.found thead')).display") == (
            "table-header-group"
        )
        paper = page.pdf(prefer_css_page_size=True)
        assert paper.startswith(b"%PDF")
        # A4 in points.
        assert re.search(rb"/MediaBox \[0 0 59[45][\d.]* 84[12]", paper)
        assert page.locator("details[open]").count() == 0


def test_hostile_names_are_shown_and_do_nothing(browser: Any, pages: dict[str, Path]) -> None:
    with Visit(browser, pages["hostile"], viewport={"width": 360, "height": 800}) as page:
        names = page.locator("#nodes tbody th").all_inner_texts()
        assert names == ["".join(part for _, part in pieces(name)) for name in HOSTILE]
        assert page.locator("script").count() == 1
        assert page.locator("img, iframe, svg[onload]").count() == 0
        for index in range(len(HOSTILE)):
            page.locator("#nodes tbody th a").nth(index).click()
            target = page.evaluate("decodeURIComponent(location.hash.slice(1))")
            assert page.locator(f"[id='{target}']").count() == 1


def test_without_scripts_everything_is_there(browser: Any, pages: dict[str, Path]) -> None:
    visit = Visit(browser, pages["mixed"], java_script_enabled=False)
    with visit as page:
        assert page.locator(".chart .plot:visible").count() == 3
        assert page.locator("button:visible").count() == 0
        title = page.locator("#node-trade-01 .chart title").first.text_content()
        assert title.startswith("2026-09-01 00:00 to 06:00: bound ")
