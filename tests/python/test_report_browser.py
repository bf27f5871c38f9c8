"""report.html in headless Chromium: errors, requests, the JSON's numbers, phone, dark, keyboard, paper."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from python.browser_support import CHROMIUM, CONTRAST, OVERFLOW, Visit, chromium, open_all
from python.report_support import HOSTILE, MEASURES, Access, build_export, hostile_rows, publish, some_rows
from tickline.pipelines.access.report import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

CASES = ("archive", "years", "hostile", "huge", "empty", "fixed", "strict")
EXACT = CASES[:5]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    rows: dict[str, list[Access]] = {
        "archive": some_rows(days=45, datasets=40, assets=9),
        "years": some_rows(days=2000, rows_a_day=2),
        "hostile": hostile_rows(),
        "huge": [Access(date(2024, 2, 29), "000026", "a.nwb", 1, "AWS/us-east-2", 2**64 - 1, 10**12, 10**12)],
        "empty": [],
        "fixed": some_rows(days=45, datasets=40, assets=9),
        "strict": some_rows(days=300, datasets=40, assets=9, rows_a_day=3),
    }
    assert tuple(rows) == CASES
    found = {name: build_export(folder / name, of) for name, of in rows.items()}
    for name, out in found.items():
        if name not in EXACT:
            publish(out, name)
        write_report(out)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_said_and_nothing_is_asked_for(browser: Any, exports: dict[str, Path], case: str) -> None:
    visit = Visit(browser, exports[case], color_scheme="dark" if case == "archive" else "light")
    with visit as page:
        open_all(page)
        page.evaluate("for (const one of document.querySelectorAll('button')) one.click()")
        for plot in page.locator(".chart .plot:visible").all():
            plot.hover()
        page.mouse.wheel(0, 20_000)
    # Were a request to be made, it would be seen: the page itself is.
    assert visit.asked == [visit.address]


def test_the_policy_stops_what_is_not_of_the_page(
    browser: Any, exports: dict[str, Path], tmp_path: Path
) -> None:
    html = (exports["archive"] / "report.html").read_text(encoding="utf-8")
    bad = "<script>document.title = 'taken'</script><p style='color: red' id='bad'>x</p>"
    (tmp_path / "report.html").write_text(html.replace("<footer>", f"<footer>{bad}"), encoding="utf-8")
    visit = Visit(browser, tmp_path)
    visit.page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert visit.page.title().startswith("Archive access")
    assert visit.page.locator("#bad").evaluate("(one) => getComputedStyle(one).color") != "rgb(255, 0, 0)"
    visit.context.close()
    assert len([text for text in visit.said if "Content Security Policy" in text]) >= 3


def test_the_numbers_on_the_page_are_those_of_the_json(browser: Any, exports: dict[str, Path]) -> None:
    for case in EXACT:
        out = exports[case]
        totals, found = load(out / "totals.json"), load(out / "provenance.json")
        with Visit(browser, out) as page:
            shown = page.evaluate(
                "Object.fromEntries([...document.querySelectorAll('[data-total]')].map((one) =>"
                " [one.dataset.total, [one.dataset.value, one.innerText]]))"
            )
            names = [*totals["archive"], "number_of_datasets"]
            for name, number in zip(
                names, [*totals["archive"].values(), len(totals["datasets"])], strict=True
            ):
                assert shown[name][0] == str(number)
                assert f"{number:,}" in shown[name][1], (case, name)
            accounts = page.evaluate(
                "[...document.querySelectorAll('td[data-reason]')]"
                ".map((one) => [one.dataset.reason, one.innerText])"
            )
            counts = found["accounting"]
            assert dict(accounts) == {
                reason: f"{number:,}"
                for group in ("filtered", "rejected", "noted")
                for reason, number in counts[group].items()
            }
            if case == "empty":
                assert page.locator("h1").inner_text() == "No requests yet"
                continue
            open_all(page)
            rows = page.evaluate(
                "[...document.querySelectorAll('#all-days tbody tr')]"
                ".map((row) => [...row.cells].map((cell) => cell.innerText))"
            )
            table = parquet.read_table(out / "summaries/archive/by_day.parquet").to_pylist()
            assert rows == [[str(row["date"]), *(f"{row[name]:,}" for name in MEASURES)] for row in table]
            datasets = page.evaluate(
                "[...document.querySelectorAll('#all-datasets tbody tr')]"
                ".map((row) => [...row.cells].slice(1).map((cell) => cell.innerText))"
            )
            fields = (
                "total_bytes_sent",
                *MEASURES[1:],
                "number_of_unique_regions",
                "number_of_unique_countries",
            )
            expected = [[f"{one[field]:,}" for field in fields] for one in totals["datasets"].values()]
            assert sorted(datasets) == sorted(expected)


@pytest.mark.parametrize("case", CASES)
def test_nothing_reaches_beyond_the_edge(browser: Any, exports: dict[str, Path], case: str) -> None:
    with Visit(browser, exports[case]) as page:
        open_all(page)
        for width in (320, 360, 705, 897, 1201, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            assert (width, page.evaluate(OVERFLOW)) == (width, [0, []])
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 680, "height": 960})
        assert page.evaluate(OVERFLOW) == [0, []]


@pytest.mark.parametrize("case", ["archive", "hostile", "empty", "fixed", "strict"])
def test_text_can_be_told_from_what_lies_behind_it(browser: Any, exports: dict[str, Path], case: str) -> None:
    with Visit(browser, exports[case]) as page:
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


def focused(page: Any) -> str:
    return page.evaluate(
        "(() => { const one = document.activeElement;"
        " return one.dataset.measure || one.className.baseVal || one.className || one.innerText; })()"
    )


def test_the_keyboard_reaches_everything(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["archive"]) as page:
        page.keyboard.press("Tab")
        assert focused(page) == "skip"
        assert page.locator(".skip").bounding_box()["x"] >= 0
        seen = []
        for _ in range(60):
            page.keyboard.press("Tab")
            seen.append(focused(page))
            if seen[-1] == "bytes_sent":
                break
        assert seen[:2] == ["Totals", "By day"]
        for name in MEASURES:
            assert focused(page) == name
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert outline == "3px"
            page.keyboard.press("Enter")
            shown = page.evaluate(
                "[...document.querySelectorAll('.panel')].filter((p) => !p.hidden).map((p) => p.id)"
            )
            assert shown == [f"panel-{name}"]
            pressed = page.locator('.switch [aria-pressed="true"]')
            assert pressed.count() == 1
            assert pressed.get_attribute("data-measure") == name
            page.keyboard.press("Tab")
        # Then comes the chart: its bars are told one by one.
        assert focused(page) == "plot"
        told = page.locator("#at-number_of_requesters")
        usual = told.inner_text()
        assert usual.startswith("The most in a day: ")
        table = parquet.read_table(exports["archive"] / "summaries/archive/by_day.parquet").to_pylist()
        for key, row in (
            ("Home", table[0]),
            ("ArrowRight", table[1]),
            ("End", table[-1]),
            ("ArrowLeft", table[-2]),
        ):
            page.keyboard.press(key)
            assert told.inner_text().split(": ")[1].split(" ")[0] == str(row["number_of_requesters"])
            assert page.locator(".on").count() == 1
        page.keyboard.press("Escape")
        assert told.inner_text() == usual
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.locator("#all-days").get_attribute("open") is not None


def test_the_skip_link_goes_to_the_numbers(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["archive"]) as page:
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"


def test_tables_are_sorted_by_their_heads(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["archive"]) as page:
        open_all(page)
        table = page.locator("#all-datasets")
        button = table.get_by_role("button", name="Requests")
        column = (
            "[...document.querySelectorAll('#all-datasets tbody tr')].map((row) => row.cells[2].innerText)"
        )
        for order in ("descending", "ascending"):
            button.press("Enter")
            assert table.locator(f'th[aria-sort="{order}"]').inner_text() == "Requests"
            found = [int(text.replace(",", "")) for text in page.evaluate(column)]
            assert found == sorted(found, reverse=order == "descending")
        assert table.locator("th[aria-sort]").count() == 1


def test_what_is_withheld_is_sorted_below_every_number(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["fixed"]) as page:
        open_all(page)
        button = page.locator("#all-datasets").get_by_role("button", name="Requests")
        for descending in (True, False):
            button.press("Enter")
            found = page.locator("#all-datasets tbody tr td:nth-child(3)").all_inner_texts()
            numbers = [int(text.replace(",", "")) if text != "hidden" else -1 for text in found]
            assert -1 in numbers
            assert numbers == sorted(numbers, reverse=descending)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_hatching_is_drawn_and_told(browser: Any, exports: dict[str, Path], scheme: str, width: int) -> None:
    viewport = {"width": width, "height": 900}
    with Visit(browser, exports["fixed"], color_scheme=scheme, viewport=viewport) as page:
        page.get_by_role("button", name="Requesters").click()
        panel = page.locator("#panel-number_of_requesters")
        hatched = panel.locator(".chart:visible g", has=page.locator(".hatch"))
        assert hatched.count() > 5
        box = hatched.first.locator(".hatch").bounding_box()
        assert box["width"] >= 2
        assert box["height"] >= 200
        hatched.first.locator(".slot").dispatch_event("pointerdown")
        assert panel.locator(".at").inner_text().endswith(": requesters hidden")
        page.keyboard.press("Escape")
        shot = panel.screenshot()
        assert panel.screenshot() == shot
        page.evaluate("document.getElementById('hatch').remove()")
        assert panel.screenshot() != shot


def test_without_scripts_the_bytes_are_shown(browser: Any, exports: dict[str, Path]) -> None:
    visit = Visit(browser, exports["archive"], java_script_enabled=False)
    with visit as page:
        assert page.locator("#panel-bytes_sent .chart.wide .plot").is_visible()
        assert page.locator(".panel:visible").count() == 1
        assert page.locator("button:visible").count() == 0
        assert (
            page.locator("#panel-bytes_sent .chart.wide title")
            .first.text_content()
            .startswith("20\u00a0January 2024: ")
        )


def test_a_phone_gets_fewer_bars_and_is_told_so(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["years"]) as page:
        text = page.locator("#panel-bytes_sent").inner_text()
        assert "Bytes sent per month" in text
        assert "each bar is a month" in text
        assert page.locator("#panel-bytes_sent .wide g").count() == 67
    with Visit(browser, exports["archive"], viewport={"width": 360, "height": 800}) as page:
        assert page.locator(".chart:visible").count() == 1
        bars = page.locator("#panel-bytes_sent .chart.narrow .slot")
        widths = bars.evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().width)")
        assert min(widths) >= 3
        bars.nth(3).dispatch_event("pointerdown")
        assert page.locator("#at-bytes_sent").inner_text().startswith("23\u00a0January 2024: ")


def test_paper_is_light_and_shows_everything(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(
        browser, exports["archive"], color_scheme="dark", viewport={"width": 680, "height": 960}
    ) as page:
        page.emulate_media(media="print", color_scheme="dark")
        background = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--paper')")
        assert background.strip() == "#fbfaf7"
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 32, 36)"
        assert page.locator(".panel:visible").count() == 4
        assert page.locator("nav:visible, .switch:visible").count() == 0
        # All of the short tables without a click; of the long ones, where they are.
        for table in page.locator("details table").all():
            box = table.bounding_box()
            # The regions are few here, and all of them stand in the table above.
            again = table.evaluate("(one) => one.closest('details').id === 'all-regions'")
            assert (box is None or box["height"] == 0) == again
        notes = page.locator(".paper:visible").all_inner_texts()
        assert notes == []
        for element in (".scroll", ".panel", ".chart"):
            for one in page.locator(f"{element}:visible").all():
                assert one.evaluate(
                    "(one) => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight + 1"
                )
        assert page.evaluate(OVERFLOW) == [0, []]
        assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
        assert page.locator("details[open]").count() == 0
    with Visit(browser, exports["years"]) as page:
        page.emulate_media(media="print")
        notes = page.locator(".paper:visible").all_inner_texts()
        assert "All days: 2,000 rows, in summaries/archive/by_day.tsv of the export." in notes


def test_a_phone_gets_the_accounting_in_columns(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["archive"], viewport={"width": 360, "height": 800}) as page:
        rows = page.locator(".ledger tbody tr")
        assert rows.count() > 8
        for row in rows.all():
            cells = (row.locator(".what"), row.locator("td").first, row.locator("td").last)
            what, lines, part = (cell.bounding_box() for cell in cells)
            assert what["x"] == 20
            assert what["x"] + what["width"] <= lines["x"]
            assert lines["x"] + lines["width"] <= part["x"]
            assert row.locator(".why").bounding_box()["y"] >= what["y"] + what["height"] - 1


def test_hostile_names_are_shown_and_do_nothing(browser: Any, exports: dict[str, Path]) -> None:
    with Visit(browser, exports["hostile"], viewport={"width": 360, "height": 800}) as page:
        page.on("dialog", lambda dialog: pytest.fail(dialog.message))
        open_all(page)
        names = page.locator("#all-datasets tbody th").all_inner_texts()
        assert HOSTILE[0] in names
        assert HOSTILE[2] in names
        assert page.locator("script").count() == 1
        assert page.locator("img, iframe, main svg[onload]").count() == 0
        heights = page.locator(".ranking tr").evaluate_all("(all) => all.map((one) => one.offsetHeight)")
        assert max(heights) < 600


def test_motion_only_for_those_who_want_it(browser: Any, exports: dict[str, Path]) -> None:
    for wanted, behaviour in (("reduce", "auto"), ("no-preference", "smooth")):
        with Visit(browser, exports["empty"], reduced_motion=wanted) as page:
            assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == behaviour
            durations = (
                "[...document.querySelectorAll('*')].map((e) => getComputedStyle(e).transitionDuration)"
            )
            assert set(page.evaluate(durations)) == {"0s"}


def test_a_day_alone_is_a_bar_and_no_wall(browser: Any, tmp_path: Path) -> None:
    out = build_export(tmp_path / "out", [Access(date(2024, 2, 29), "a", "b.nwb", 1, "DE", 5)])
    write_report(out)
    with Visit(browser, out) as page:
        assert page.locator("h1").inner_text() == "29\u00a0February 2024"
        bar, plot = (
            page.locator(f"#panel-bytes_sent .wide {name}").bounding_box() for name in (".bar", ".plot")
        )
        assert bar["width"] < plot["width"] / 5
