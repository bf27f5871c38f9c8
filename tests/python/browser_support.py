"""Pages in headless Chromium, for the tests of report.html: what they say, ask for, and look like."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Every element with text of its own, and the ratio of its colour to what lies behind it (WCAG 2.2, 1.4.3).
CONTRAST = """() => {
  const rgba = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const light = (color) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = color.map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 1) return color;
      if (color[3] !== 0) throw new Error("something shines through: " + at.outerHTML.slice(0, 80));
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || ["SCRIPT", "title"].includes(element.tagName) || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const color = rgba(element instanceof SVGElement ? style.fill : style.color);
    const a = light(color.slice(0, 3)), b = light(behind(element).slice(0, 3));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, element.tagName + ": " + element.textContent.slice(0, 40)]);
  }
  return found;
}"""

# What reaches beyond the right or left edge, and stands in no box that scrolls by itself.
OVERFLOW = """() => {
  const wide = document.documentElement.clientWidth;
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    if (element.closest(".scroll table, .skip, svg, thead") || !element.checkVisibility()) continue;
    const box = element.getBoundingClientRect();
    const out = box.right > wide + 0.5 || box.left < -0.5;
    if (box.width > 1 && out) found.push(element.outerHTML.slice(0, 120));
  }
  return [document.documentElement.scrollWidth - wide, found];
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser, and end it."""
    with sync_api.sync_playwright() as play:
        # Containers have no sandbox of their own for root; the only page that is opened is ours.
        found = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Visit:
    """A page that is open, and what it said and asked for."""

    def __init__(self, browser: Any, out: Path, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.address = (out / "report.html").as_uri()
        self.page.goto(self.address)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()
        outside = [url for url in self.asked if url != self.address and not url.startswith("data:")]
        assert (self.said, outside) == ([], [])
        assert self.address in self.asked


def open_all(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
