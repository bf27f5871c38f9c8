"""A slow reader of chrony logs and a slow audit under FINRA rule 4590, for what `tickline.fake` writes.

Written from COLUMNS.md (columns, banners, signs) and from section 5 of the reference on compliance; it knows
neither the generator's plan nor the package's parser. The limits come in from ``truth.json``.
"""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]
DAY = 86_400
TRACKING = [
    "time",
    "address",
    "stratum",
    "frequency_ppm",
    "skew_ppm",
    "offset_s",
    "leap",
    "combined_sources",
    "offset_sd_s",
    "remaining_correction_s",
    "root_delay_s",
    "root_dispersion_s",
    "max_error_s",
]
MEASUREMENTS = [
    "time",
    "address",
    "leap",
    "stratum",
    "tests_a",
    "tests_b",
    "tests_c",
    "local_poll",
    "remote_poll",
    "score",
    "offset_s",
    "peer_delay_s",
    "peer_dispersion_s",
    "root_delay_s",
    "root_dispersion_s",
    "reference_id",
    "mode",
    "tx_stamp",
    "rx_stamp",
]
STATISTICS = [
    "time",
    "address",
    "std_dev_s",
    "offset_s",
    "offset_sd_s",
    "diff_frequency",
    "skew",
    "stress",
    "samples",
    "dropped_samples",
    "runs",
    "asymmetry",
]
COLUMNS = {"tracking": TRACKING, "measurements": MEASUREMENTS, "statistics": STATISTICS}
COUNTS = {"tracking": (7, 8, 11, 14), "measurements": (16, 20), "statistics": (12, 13)}
WORDS = {"address", "leap", "tests_a", "tests_b", "tests_c", "reference_id", "mode", "tx_stamp", "rx_stamp"}


def files_of(folder: Path, kind: str) -> list[Path]:
    """Return the files of one kind, the oldest first."""
    names = (
        (re.fullmatch(rf"{kind}\.log(?:\.(\d+))?(?:\.gz)?", path.name), path) for path in folder.iterdir()
    )
    return [path for _, path in sorted((-int(match[1] or 0), path) for match, path in names if match)]


def text_of(path: Path) -> str:
    """Return the text of a file, unpacked."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("ascii")


def is_banner(line: str) -> bool:
    """Tell whether a line is a ruler or the titles."""
    return set(line) == {"="} or line.startswith("   Date (UTC) Time ")


def parse(kind: str, line: str) -> Row:
    """Take one line apart; columns that its layout lacks are None."""
    words = line.split()
    assert len(words) in COUNTS[kind], line
    moment = dt.datetime.strptime(f"{words[0]} {words[1]} +0000", "%Y-%m-%d %H:%M:%S %z")
    values = [int(moment.timestamp()), *words[2:]]
    row: Row = dict(itertools.zip_longest(COLUMNS[kind], values))
    assert None not in row, line
    for name, value in row.items():
        if isinstance(value, str) and name not in WORDS:
            row[name] = float(value)
    row["line"] = line
    return row


def rows_of(folder: Path, kind: str) -> list[Row]:
    """Return all rows of one kind in the order of the files."""
    lines = (line for path in files_of(folder, kind) for line in text_of(path).splitlines())
    return [parse(kind, line) for line in lines if not is_banner(line)]


def iso(time: int) -> str:
    """Return a time as it stands in the truth."""
    return dt.datetime.fromtimestamp(time, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Audit:
    """All checks of one node."""

    def __init__(
        self, folder: Path, limits: dict[str, Any], is_business_day: Callable[[dt.date], bool]
    ) -> None:
        self.node, self.limits, self._business = folder.name, limits, is_business_day
        self.found: list[dict[str, Any]] = []
        self.rows = self._ordered(rows_of(folder, "tracking"))
        self.measured = rows_of(folder, "measurements")
        self.gaps: list[tuple[int, int]] = []
        self._mark_starts()
        for check in (
            self._errors,
            self._gaps,
            self._days,
            self._states,
            self._steps,
            self._local,
            self._sources,
        ):
            check()

    def add(self, check: str, begin: int, end: int, value: object, limit: object) -> None:
        self.found.append(
            {
                "node": self.node,
                "check": check,
                "from": iso(begin),
                "to": iso(end),
                "value": value,
                "limit": limit,
            }
        )

    def _ordered(self, rows: list[Row]) -> list[Row]:
        """Find rows that are not after all before them; return each row once, in order of time."""
        latest, run, seen = 0, [], set()
        for row in [*rows, {"time": 1 << 60, "line": ""}]:
            if row["time"] < latest or row["line"] in seen:
                run.append(row["time"])
                continue
            if run:
                self.add("time_order", min(run), latest, latest - min(run), 0)
                run = []
            seen.add(row["line"])
            latest = row["time"]
        return [
            row
            for _, row in sorted(
                {row["line"]: (row["time"], row) for row in rows}.values(), key=lambda p: p[0]
            )
        ]

    def _open(self, date: dt.date, name: str) -> int:
        hour, minute = self.limits[name].split(":")
        zone = ZoneInfo(self.limits["zone"])
        return int(
            dt.datetime(date.year, date.month, date.day, int(hour), int(minute), tzinfo=zone).timestamp()
        )

    def _trading(self, time: int) -> bool:
        date = dt.datetime.fromtimestamp(time, ZoneInfo(self.limits["zone"])).date()
        return self._business(date) and self._open(date, "open") <= time < self._open(date, "close")

    def _over(self, row: Row) -> bool:
        return row["max_error_s"] is not None and row["max_error_s"] > self.limits["tolerance_s"]

    def _mark_starts(self) -> None:
        """Mark rows from "not synchronised" on to the first that shows the contrary."""
        since = None
        for row in self.rows:
            lost = row["leap"] == "?" or row["address"] == "0.0.0.0"
            if lost and since is None:
                since = row["time"]
            row["start"] = since is not None and (lost or self._over(row))
            if since is not None and not row["start"]:
                if self._trading(since):
                    self.add("not_synchronised", since, row["time"], row["time"] - since, 0)
                since = None

    def _runs(self, shown: Callable[[Row], bool], rows: list[Row]) -> Iterator[tuple[int, int]]:
        """Yield the first and last position of rows that show something."""
        at = 0
        for value, group in itertools.groupby(rows, shown):
            length = len(list(group))
            if value:
                yield at, at + length - 1
            at += length

    def _errors(self) -> None:
        limit, found = self.limits["tolerance_s"], []
        for first, last in self._runs(lambda row: self._over(row) and not row["start"], self.rows):
            worst = max(row["max_error_s"] for row in self.rows[first : last + 1])
            span = self.rows[first - 1]["time"], self.rows[last]["time"]
            found.append(span)
            self.add("exceedance", *span, worst, limit)
            if worst >= limit * self.limits["counter_times_tolerance"]:
                self.add("counter", *span, worst, limit * self.limits["counter_times_tolerance"])
        most = self.limits["counter_exceedances"]
        counted = [
            place
            for place, (begin, _) in enumerate(found)
            if sum(0 <= other - begin < self.limits["counter_hours"] * 3600 for other, _ in found) >= most
        ]
        if counted:
            begin = found[counted[0]][0]
            inside = [span for span in found if 0 <= span[0] - begin < self.limits["counter_hours"] * 3600]
            self.add("counter", begin, inside[-1][1], len(inside), most)

    def _gaps(self) -> None:
        for before, after in itertools.pairwise(self.rows):
            begin, end = before["time"], after["time"]
            if end - begin <= self.limits["gap_s"]:
                continue
            self.gaps.append((begin, end))
            self.add("gap", begin, end, end - begin, self.limits["gap_s"])
            rate = (before["skew_ppm"] + self.limits["drift_ppm"]) * 1e-6
            bound = before["max_error_s"] + rate * (end - begin)
            if bound > self.limits["tolerance_s"]:
                held = int((self.limits["tolerance_s"] - before["max_error_s"]) / rate)
                self.add("cannot_be_shown", begin + held, end, bound, self.limits["tolerance_s"])

    def _days(self) -> None:
        first, last = (dt.date.fromisoformat(iso(self.rows[at]["time"])[:10]) for at in (0, -1))
        present = {row["time"] // DAY for row in self.rows}
        good = [
            row["time"]
            for row in self.rows
            if not row["start"]
            and row["max_error_s"] is not None
            and not self._over(row)
            and row["stratum"] in range(1, 16)
        ]
        for number in range((last - first).days + 1):
            date = first + dt.timedelta(days=number)
            if not self._business(date):
                continue
            midnight = self.rows[0]["time"] // DAY * DAY + number * DAY
            if midnight // DAY not in present:
                self.add("missing_day", midnight, midnight + DAY, 1, 0)
            opening = self._open(date, "open")
            if not any(opening - self.limits["pre_open_hours"] * 3600 <= time < opening for time in good):
                self.add("pre_open", opening - DAY, opening, 0, 1)

    def _state(
        self, check: str, shown: Callable[[Row], bool], value: Callable[[list[Row]], object], limit: object
    ) -> None:
        for first, last in self._runs(shown, self.rows):
            end = self.rows[last + 1]["time"]
            self.add(check, self.rows[first]["time"], end, value(self.rows[first : last + 1]), limit)

    def _states(self) -> None:
        limits = self.limits
        self._state("cannot_be_shown", lambda row: row["max_error_s"] is None, lambda _: None, None)

        def follows(row: Row) -> bool:
            return row["address"] not in ("0.0.0.0", "127.127.1.1")

        self._state(
            "source",
            lambda row: follows(row) and row["address"] not in limits["sources"],
            lambda rows: rows[0]["address"],
            None,
        )
        self._state(
            "stratum",
            lambda row: follows(row) and row["stratum"] > limits["stratum"],
            lambda rows: int(max(row["stratum"] for row in rows)),
            limits["stratum"],
        )
        self._state("leap", lambda row: row["leap"] in ("+", "-"), lambda rows: rows[0]["leap"], None)
        for first, last in self._runs(lambda row: row["address"] == "127.127.1.1", self.rows):
            begin, end = self.rows[first]["time"], self.rows[last + 1]["time"]
            self.add("local_clock", begin, end, end - begin, 0)

    def _steps(self) -> None:
        for before, row in itertools.pairwise(self.rows):
            if row["start"]:
                continue
            if abs(row["offset_s"]) >= self.limits["step_s"]:
                self.add("step", row["time"], row["time"], row["offset_s"], self.limits["step_s"])
            jump = row["frequency_ppm"] - before["frequency_ppm"]
            if abs(jump) >= self.limits["step_ppm"]:
                self.add("step", row["time"], row["time"], jump, self.limits["step_ppm"])

    def _local(self) -> None:
        """Find measurements of the followed source whose reference is its own clock."""
        followed = {row["time"]: row["address"] for row in self.rows}
        for address in self.limits["sources"]:
            own = [row for row in self.measured if row["address"] == address]
            for first, last in self._runs(lambda row: row["reference_id"] == "7F7F0101", own):
                if any(followed.get(row["time"]) == address for row in own[first : last + 1]):
                    begin, end = own[first]["time"], own[last + 1]["time"]
                    self.add("local_clock", begin, end, end - begin, 0)

    def _sources(self) -> None:
        """Find out which samples agree with the majority, and from that quorum and smear."""
        latest: dict[str, Row] = {}
        good: dict[str, list[tuple[int, float]]] = {address: [] for address in self.limits["sources"]}
        apart: dict[str, list[tuple[int, float]]] = {address: [] for address in self.limits["sources"]}
        for row in self.measured:
            if row["address"] not in good or set(row["tests_a"] + row["tests_b"] + row["tests_c"]) != {"1"}:
                continue
            row["distance"] = (row["peer_delay_s"] + row["root_delay_s"]) / 2 + row["root_dispersion_s"]
            latest[row["address"]] = row
            fresh = [
                other for other in latest.values() if row["time"] - other["time"] <= self.limits["gap_s"]
            ]
            middle = statistics.median_low(other["offset_s"] for other in fresh)
            apart[row["address"]].append((row["time"], row["offset_s"] - middle))
            if abs(row["offset_s"] - middle) <= row["distance"] + max(other["distance"] for other in fresh):
                good[row["address"]].append((row["time"], row["offset_s"]))
        self._quorum([[time for time, _ in samples] for samples in good.values()])
        for samples in apart.values():
            self._smear(samples)

    def _quorum(self, sources: list[list[int]]) -> None:
        changes: list[tuple[int, int]] = []
        for times in sources:
            for begin, end in itertools.pairwise(times):
                silent = sum(max(0, min(end, b) - max(begin, a)) for a, b in self.gaps)
                if end - begin - silent > self.limits["gap_s"]:
                    changes += [(begin, -1), (end, 1)]
        usable, begin, least = len(sources), 0, 0
        for time, change in sorted(changes):
            was, usable = usable, usable + change
            if was >= self.limits["quorum"] > usable:
                begin, least = time, usable
            least = min(least, usable)
            if was < self.limits["quorum"] <= usable:
                self.add("quorum", begin, time, least, self.limits["quorum"])

    def _smear(self, samples: list[tuple[int, float]]) -> None:
        """Look at offsets two hours apart, and at the half way between them."""
        ramp: list[int] = []
        for place, (begin, first) in enumerate(samples):
            later = [sample for sample in samples[place : place + 600] if sample[0] <= begin + 7200]
            (end, last), (middle, half) = later[-1], later[len(later) // 2]
            if end - begin < 6000 or not begin < middle < end:
                continue
            slopes = [(half - first) / (middle - begin), (last - half) / (end - middle)]
            if all(9 <= slope * 1e6 <= 14 for slope in slopes) or all(
                -14 <= slope * 1e6 <= -9 for slope in slopes
            ):
                ramp += [begin, end]
        if ramp and max(ramp) - min(ramp) >= 3 * 3600:
            low, high = (next(v for t, v in samples if t == edge) for edge in (min(ramp), max(ramp)))
            slope = (high - low) / (max(ramp) - min(ramp)) * 1e6
            self.add("smear", min(ramp), max(ramp), slope, self.limits["smear_ppm"])
