"use strict";
// A page can be read without this: it tells the bar at the pointer, sorts tables, and opens them on paper.
document.documentElement.classList.add("js");

// The bar at the pointer, or at the arrow keys, is told in the line below the chart.
for (const plot of document.querySelectorAll(".plot[aria-describedby]")) {
  const told = document.getElementById(plot.getAttribute("aria-describedby"));
  const usual = told.textContent;
  const bars = [...plot.querySelectorAll("g > title")].map((title) => title.parentElement);
  const texts = bars.map((bar) => {
    const title = bar.querySelector("title");
    title.remove(); // the line says it; no second box at the pointer
    return title.textContent;
  });
  let at = -1;
  const show = (index) => {
    if (at >= 0) bars[at].classList.remove("on");
    at = index;
    if (at >= 0) bars[at].classList.add("on");
    told.textContent = at >= 0 ? texts[at] : usual;
  };
  bars.forEach((bar, index) => {
    bar.addEventListener("pointerenter", () => show(index));
    bar.addEventListener("pointerdown", () => show(index));
  });
  plot.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse" && document.activeElement !== plot) show(-1);
  });
  plot.addEventListener("blur", () => show(-1));
  plot.addEventListener("keydown", (event) => {
    const last = bars.length - 1;
    const to = {
      ArrowRight: Math.min(at + 1, last),
      ArrowLeft: at < 0 ? last : Math.max(at - 1, 0),
      Home: 0,
      End: last,
      Escape: -1,
    }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    show(to);
  });
}

// Numbers of up to 20 digits: compared by length and then as text, because a double would lose some.
const digits = /^[\d,]+$/;
const compare = (a, b, number) => {
  if (digits.test(a) && digits.test(b)) return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
  // A count that is withheld comes before every number.
  if (number && digits.test(a) !== digits.test(b)) return digits.test(a) ? 1 : -1;
  return a < b ? -1 : a > b ? 1 : 0;
};
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      const number = head.classList.contains("number");
      const order = before ? (before === "ascending" ? "descending" : "ascending") : number ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => {
        const cell = row.cells[column];
        return [cell.dataset.sort ?? cell.textContent.trim(), row];
      });
      // Where a cell says what it is sorted by, that is a number that a double holds.
      const measured = number && body.querySelector("[data-sort]") !== null;
      rows.sort((a, b) => sign * (measured ? a[0] - b[0] : compare(a[0], b[0], number)));
      body.append(...rows.map((pair) => pair[1]));
    });
  });
}

// On paper there is nothing to click: short tables are opened (long ones are named instead).
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open]):not(.long, .again)")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of closed) one.open = false;
});
