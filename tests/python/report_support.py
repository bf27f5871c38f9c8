"""Exports for the tests of report.html, not made by the export's own code, and a reader of the page."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tickline.pipelines.access.report import write_report

MEASURES = ("bytes_sent", "number_of_requests", "number_of_downloads", "number_of_requesters")
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>' & {{ 7 * 7 }}",
    "safe\u202egnp.exe\u2066\u200f",
    "../../etc/passwd",
    "ﻣﺮﺣﺒﺎ/بيانات/שלום.nwb",
    "👩‍🔬/🧠.nwb",
    "tab\there\nand\x1b[31mthere\x00",
    "Z\u0351\u0352\u0357\u035b\u0363\u0364" * 20,
    "x" * 300,
    "%3Cb%3E/a b//c/.nwb",
)


@dataclass(frozen=True)
class Access:
    """What one requester did with one asset on one day."""

    day: date
    dataset: str
    path: str
    requester: int | None
    region: str
    bytes_sent: int
    requests: int = 1
    downloads: int = 1


def kind_of(path: str) -> str:
    """Tell the type of a file, as far as the tests need it."""
    for kind, endings in {
        "Neurophysiology": (".nwb",),
        "Video": (".mp4", ".avi"),
        "Microscopy": (".tiff",),
    }.items():
        if path.lower().endswith(endings):
            return kind
    return "Miscellaneous"


def some_rows(
    *,
    days: int = 40,
    datasets: int = 6,
    assets: int = 4,
    first: date = date(2024, 1, 20),
    rows_a_day: int = 12,
) -> list[Access]:
    """Return rows like an archive's: few datasets have most, weekends are quiet, one day is busy."""
    draw = random.Random(7)
    endings = (".nwb", ".nwb", ".nwb", ".mp4", ".tiff", ".json")
    clouds = (
        "AWS/us-east-2",
        "AWS/us-west-2",
        "GCP/us-central1",
        "GitHub",
        "VPN",
        "unknown",
        "missing",
        "bogon",
    )
    places = [
        f"{country}/{place}"
        for country in ("US", "DE", "CA", "FR", "JP")
        for place in ("North", "South", "East")
    ]
    rows = []
    for number in range(days):
        day = first + timedelta(days=number)
        busy = (0.3 if day.weekday() >= 5 else 1.0) * (6 if number == days // 3 else 1)
        for _ in range(max(int(rows_a_day * busy * draw.uniform(0.5, 1.5)), 1)):
            dataset = int(datasets * draw.random() ** 2.5)
            asset = int(assets * draw.random() ** 2)
            region = draw.choice((*clouds, *places))
            requester = (
                None
                if region == "missing"
                else draw.getrandbits(64)
                if draw.random() < 0.3
                else len(region) % 9
            )
            size = int(10 ** draw.uniform(3, 11))
            requests = draw.randint(1, 400)
            ending = endings[(dataset + asset) % len(endings)]
            path = f"sub-{asset:02}/sub-{asset:02}_ses-{dataset:03}_ecephys{ending}"
            rows.append(
                Access(
                    day, f"{dataset:06}", path, requester, region, size, requests, draw.randint(0, requests)
                )
            )
    return rows


def hostile_rows() -> list[Access]:
    """Return rows whose datasets, paths and regions are what an attacker would choose."""
    return [
        Access(
            date(2024, 5, 1) + timedelta(days=number), name, path, number, name[:60], 10 ** (number + 3), 3, 1
        )
        for number, (name, path) in enumerate(zip(HOSTILE, reversed(HOSTILE), strict=True))
    ]


def _sums(rows: Iterable[Access], of: Any) -> dict[tuple[Any, ...], tuple[int, int, int, int]]:
    numbers: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    who: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for row in rows:
        for index, value in enumerate((row.bytes_sent, row.requests, row.downloads)):
            numbers[of(row)][index] += value
        if row.requester is not None:
            who[of(row)].add(row.requester)
    return {
        key: (*numbers[key], len(who[key]))
        for key in sorted(numbers, key=lambda key: tuple(map(_order, key)))
    }


def _order(part: date | str) -> str | bytes:
    return part.isoformat() if isinstance(part, date) else part.encode()


def write_table(
    path: Path, names: tuple[str, ...], sums: dict[tuple[Any, ...], tuple[int, int, int, int]]
) -> None:
    """Write one summary table."""
    columns: dict[str, Any] = {
        name: pa.array(
            [key[index] for key in sums], pa.date32() if name in ("date", "week_start") else pa.string()
        )
        for index, name in enumerate(names)
    }
    for index, name in enumerate(MEASURES):
        columns[name] = pa.array([values[index] for values in sums.values()], pa.uint64())
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def _totals(rows: list[Access]) -> dict[str, int]:
    sums = _sums(rows, lambda row: ()).get((), (0, 0, 0, 0))
    labels = {row.region for row in rows}
    countries = {label[:2] for label in labels if len(label) == 2 or label[2:3] == "/"}
    return {
        "total_bytes_sent": sums[0],
        **dict(zip(MEASURES[1:], sums[1:], strict=True)),
        "number_of_unique_regions": sum("/" in label or len(label) == 2 for label in labels),
        "number_of_unique_countries": len(countries),
    }


def provenance(accepted: int = 5000, **changes: Any) -> dict[str, Any]:
    """Return a ``provenance.json``; `changes` replace its entries."""
    filtered = {"operation": 1018, "status": 353, "blank": 1} if accepted else {"operation": 12}
    rejected = {"cut": 3, "bad_time": 4, "number_overflow": 2} if accepted else {}
    lines = accepted + sum(filtered.values()) + sum(rejected.values())
    found = {
        "format": 1,
        "tickline": "0.1.0",
        "store": {
            "format": 1,
            "operations": ["REST.GET.OBJECT"],
            "statuses": ["2xx"],
            "keys": "all",
            "excluded_networks": 3,
            "excluded_by_expression": False,
            "dedupe_lines": False,
        },
        "sources": [f"{number:032x}" for number in range(40)],
        "accounting": {
            "lines": lines,
            "bytes": lines * 560,
            "accepted": accepted,
            "filtered": filtered,
            "rejected": rejected,
            "noted": {"ambiguous_agent": 7} if accepted else {},
        },
        "catalog": {"sha256": "ab" * 32, "entries": 1234},
        "shared_content": "all",
        "restrict_to": None,
        "exclude_datasets": None,
        "regions": [
            {
                "kind": "aws",
                "name": "ip-ranges.json",
                "label": None,
                "date": "2024-05-01",
                "sha256": "0f" * 32,
            },
            {"kind": "list", "name": "vpn.txt", "label": "VPN", "date": None, "sha256": "1e" * 32},
            {
                "kind": "mmdb",
                "name": "GeoLite2-City.mmdb",
                "label": None,
                "date": "2024-04-23",
                "sha256": "2d" * 32,
            },
        ],
        "region_order": "longest-prefix",
        "undetermined": {"keys": 2, "bytes_sent": 1500, "number_of_requests": 5},
        "privacy": "exact: nothing is rounded or left out",
    }
    return {**found, **changes}


def write_json(path: Path, value: object) -> None:
    """Write JSON as the export does."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def build_export(out: Path, rows: list[Access], **changes: Any) -> Path:
    """Write an export folder.

    Parameters
    ----------
    out : Path
        The folder, which is made.
    rows : list of Access
        What happened.
    changes
        Entries of ``provenance.json``.
    """
    out.mkdir(parents=True, exist_ok=True)
    names = sorted({row.dataset for row in rows}, key=str.encode)
    of_dataset: dict[str, list[Access]] = defaultdict(list)
    for row in rows:
        of_dataset[row.dataset].append(row)
    totals = {name: _totals(of_dataset[name]) for name in names}
    write_json(out / "totals.json", {"archive": _totals(rows), "datasets": totals})
    accepted = totals and sum(one["number_of_requests"] for one in totals.values())
    write_json(out / "provenance.json", provenance(accepted or 0, **changes))
    lines = ["folder\tdataset\n"]
    for number, name in enumerate(names):
        shown = "".join(f"%{ord(char):02X}" if char < " " or char == "\x7f" else char for char in name)
        lines.append(f"d{number}\t{shown}\n")
        table = _sums(of_dataset[name], lambda row: (row.path,))
        write_table(out / "summaries" / f"d{number}" / "by_asset.parquet", ("asset_path",), table)
    (out / "names.tsv").write_text("".join(lines), encoding="utf-8")
    archive = out / "summaries" / "archive"
    write_table(archive / "by_day.parquet", ("date",), _sums(rows, lambda row: (row.day,)))
    write_table(archive / "by_region.parquet", ("region",), _sums(rows, lambda row: (row.region,)))
    write_table(archive / "by_dataset.parquet", ("dataset",), _sums(rows, lambda row: (row.dataset,)))
    write_table(
        archive / "by_week_type.parquet",
        ("week_start", "asset_type"),
        _sums(rows, lambda row: (row.day - timedelta(days=row.day.weekday()), kind_of(row.path))),
    )
    return out


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


class Page(HTMLParser):
    """The page's elements, and the tables' cells as text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._table: list[list[str]] | None = None
        self._in_cell = False
        self.text = ""
        self._raw = ""
        self._id = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag in ("script", "style"):
            self._raw = tag
        if tag == "details":
            self._id = found["id"] or ""
        if tag == "table":
            self._table = self.tables.setdefault(found.get("id") or self._id or found["aria-label"] or "", [])
        if tag in ("table", "tr"):
            self._in_cell = False
        if tag == "tr" and self._table is not None:
            self._table.append([])
        if tag in ("td", "th") and self._table is not None:
            self._table[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag == self._raw:
            self._raw = ""
        if tag == "details":
            self._id = ""
        if tag == "table":
            self._table = None

    def handle_data(self, data: str) -> None:
        if self._raw:
            return
        self.text += data
        if self._table is not None and self._in_cell:
            self._table[-1][-1] += data

    def values(self, attribute: str) -> dict[str | None, int]:
        """Return the exact values of all elements with this attribute, by its value."""
        return {
            found[attribute]: int(found["data-value"] or "")
            for _, found in self.elements
            if attribute in found
        }

    def rows(self, table: str) -> list[list[str]]:
        """Return the rows of a table, without its head."""
        return [[cell.strip() for cell in row] for row in self.tables[table][1:]]


def page_of(out: Path) -> Page:
    return Page(write_report(out).read_text(encoding="utf-8"))


# ---- published exports -------------------------------------------------------------------------------------

ABOUT = {
    "fixed": "fixed: counts of cells with fewer than 10 requesters, and of those by which they could be "
    "computed, are withheld or pooled; others are rounded half up to multiples of 20",
    "strict": "strict: counts below 50 are withheld, others are rounded to multiples of 20, halves to even",
}
WORDS = {"fixed": "hidden", "strict": "<50"}


def published(rule: str, counts: tuple[int, int, int]) -> tuple[int | None, ...]:
    """Return requests, downloads and requesters of a cell as they are published, cell by cell.

    Cells that are withheld for others' sake are left to the tests of the rule: a page cannot tell them.
    """
    if rule == "strict":
        return tuple(None if count < 50 else round(count / 20) * 20 for count in counts)
    if counts[2] < 10:
        return (None, None, None)
    requests, downloads, requesters = ((count + 10) // 20 * 20 for count in counts)
    return max(requests, 20), downloads, max(requesters, 20)


def publish(out: Path, rule: str) -> Path:
    """Turn an exact export into one made with ``--privacy`` `rule`."""
    for path in sorted(out.glob("summaries/*/*.parquet")):
        table = parquet.read_table(path)
        counts = zip(*(table.column(name).to_pylist() for name in MEASURES[1:]), strict=True)
        shown = [published(rule, one) for one in counts]
        if rule == "fixed" and path.stem == "by_week_type":
            shown = [(None, None, None)] * table.num_rows
        for index, name in enumerate(MEASURES[1:]):
            column = pa.array([one[index] for one in shown], pa.uint64())
            table = table.set_column(table.column_names.index(name), name, column)
        parquet.write_table(_pooled(table) if rule == "fixed" and path.stem == "by_region" else table, path)
    totals = load(out / "totals.json")
    for entry in (totals["archive"], *totals["datasets"].values()):
        found = published(rule, tuple(entry[name] for name in MEASURES[1:]))
        for name, count in zip(MEASURES[1:], found, strict=True):
            entry[name] = WORDS[rule] if count is None else count
    write_json(out / "totals.json", totals)
    found = load(out / "provenance.json")
    undetermined = {**found["undetermined"], "number_of_requests": None}
    write_json(
        out / "provenance.json",
        {**found, "accounting": None, "undetermined": undetermined, "privacy": ABOUT[rule]},
    )
    return out


def _pooled(table: Any) -> Any:
    rows = table.to_pylist()
    pool = [row for row in rows if row["number_of_requests"] is None]
    kept = [row for row in rows if row["number_of_requests"] is not None]
    other = dict.fromkeys(MEASURES) | {
        "region": "other",
        "bytes_sent": sum(row["bytes_sent"] for row in pool),
    }
    return pa.Table.from_pylist([*kept, *([other] if pool else [])], table.schema)
