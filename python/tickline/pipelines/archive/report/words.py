"""How checks, verdicts, errors and times are written, on the page and in a terminal."""

import datetime as dt
import math
from typing import Any

from tickline.pipelines.archive.report.case import LOCAL, UNSYNCHRONISED
from tickline.pipelines.archive.report.model import CANNOT_BE_SHOWN, MET, NOT_MET, Finding

__all__ = [
    "SEVERITIES",
    "TITLES",
    "VERDICTS",
    "WHAT",
    "duration",
    "moment",
    "portion",
    "seconds",
    "signed_seconds",
    "source_words",
    "test_words",
    "value_words",
]

TITLES = {
    "exceedance": "Over the tolerance",
    "gap": "Gaps between rows",
    "step": "Steps of the clock",
    "local_clock": "No source but the own clock",
    "not_synchronised": "Not synchronised in trading hours",
    "stratum": "Stratum too high",
    "source": "Sources that are not allowed",
    "quorum": "Too few usable sources",
    "leap": "Leap seconds nobody announced",
    "smear": "Sources that run away like a smear",
    "time_order": "Times that go backwards",
    "missing_day": "Days without a row",
    "cannot_be_shown": "Times of which nothing is shown",
    "integrity": "The archive itself",
    "late_upload": "Late uploads",
    "pre_open": "Not synchronised before the open",
    "counter": "Counts that must be reported",
    "configuration": "Configuration",
}
"""What the page calls each check."""

WHAT = {
    "exceedance": "rows of tracking whose \u201cMax. error\u201d is over the tolerance, neighbours joined; "
    "from the row before the first of them, whose time it covers, to the last",
    "gap": "more time between two rows of tracking than the rule allows",
    "step": "an offset, or a change of frequency from one row to the next, from which on it is a step",
    "local_clock": "the node followed its own clock, or a source that follows nobody",
    "not_synchronised": "while the exchange traded, from the row that says so to the first good one",
    "stratum": "too many servers lie between this clock and a reference clock",
    "source": "the clock followed an address that the rule does not name as traceable",
    "quorum": "fewer sources than the rule asks for had passed all tests and agreed with the others",
    "leap": "the leap status announced a second that nobody inserts or takes away",
    "smear": "offsets to one source run away steadily for hours, and those to the others do not",
    "time_order": "rows whose time is not after that of the rows before them in the file",
    "missing_day": "a date without any row of tracking",
    "cannot_be_shown": "the bound of the error, grown by drift where no row covers the time, is over the "
    "tolerance, or was not written, or cannot be read: the clock may have been right, and nothing shows it",
    "integrity": "objects that are missing, damaged, doubled, or not in the order in which they were chained",
    "late_upload": "a line waited longer for its upload than the rule allows",
    "pre_open": "no row before the open shows a synchronised clock within the tolerance",
    "counter": "exceedances so many, or so large, that the rule has them reported",
    "configuration": "what ran on the node, and with which settings",
}
"""What each check looks for."""

VERDICTS = {
    MET: "No check found a breach, and nothing that has to be shown is missing.",
    NOT_MET: "At least one check shows that the rule was broken.",
    CANNOT_BE_SHOWN: "No check shows that the rule was broken, nor does the archive show that it was kept.",
}
"""What a verdict says, and no more than that."""

SEVERITIES = {
    "breach": "the rule was shown to be broken",
    "unshown": "it cannot be shown that the rule was kept",
    "remark": "neither, but an auditor asks about it",
}
"""Kinds of findings, the gravest first."""

# What stands in place of an address where no server is followed.
_SOURCES = {UNSYNCHRONISED: "no source", LOCAL: "its own clock"}
# What a measurement that fails a test is: chrony.conf(5), log measurements; of chrony 1 the letters only.
_TESTS = {
    "1": "a duplicate",
    "2": "no answer to what was asked",
    "3": "invalid time stamps",
    "5": "not authenticated",
    "6": "of a server that is not synchronised",
    "7": "invalid data, or a root distance that is too large",
    "A": "too long a delay",
    "B": "too long a delay beside the shortest one",
    "C": "too long a delay beside the deviation of the others",
    "D": "of a server that follows this node",
    "falseticker": "passed all tests, and did not agree with the majority",
}
_DURATIONS = frozenset({"gap", "not_synchronised", "local_clock", "time_order", "late_upload"})
_ERRORS = frozenset({"exceedance", "cannot_be_shown"})
_COUNTS = {
    "pre_open": ("row", "rows"),
    "missing_day": ("day", "days"),
    "quorum": ("source", "sources"),
    "counter": ("exceedance", "exceedances"),
}
_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "\u00b5s"), (1e-9, "ns"))
_NOTHING = "\u2013"


def seconds(value: float, *, trim: bool = False) -> str:
    """Return an error or offset with three digits: ``53.2 ms``; `trim`: without needless zeros."""
    if not math.isfinite(value):
        return "unlimited" if value > 0 else _NOTHING
    if value == 0:
        return "0\u00a0s"
    for size, unit in _UNITS:
        scaled = value / size
        # 0.9996 ms is written as 1.00 ms.
        if abs(scaled) >= 0.9995 or unit == "ns":
            break
    digits = max(2 - max(math.floor(math.log10(abs(scaled)) + 0.0003), 0), 0)
    text = f"{scaled:,.{digits}f}".replace("-", "\u2212")
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text}\u00a0{unit}"


def signed_seconds(value: float) -> str:
    """Return an offset with its sign: ``+53.2 ms``."""
    return ("+" if value > 0 else "") + seconds(value)


def duration(value: float) -> str:
    """Return a time that passed, in its two largest units: ``2 h 5 min``."""
    left = round(value)
    if left < 0:
        return "\u2212" + duration(-left)
    parts: list[tuple[int, str]] = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number or (parts and len(parts) < 2):
            parts.append((number, unit))
    return " ".join(f"{number:,}\u00a0{unit}" for number, unit in parts[:2] if number) or "0\u00a0s"


def moment(time_s: int) -> str:
    """Return a time of UTC for people: ``2026-09-01 13:30:05``."""
    return dt.datetime.fromtimestamp(time_s, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def portion(share: float | None) -> str:
    """Return a share in per cent, rounded down: only all of it is 100 %; None is what nothing shows."""
    if share is None:
        return "cannot be shown"
    if share >= 1:
        return "100\u00a0%"
    if 0 < share < 1e-5:
        return "<\u00a00.001\u00a0%"
    # A share of 0.29 is 28.999999999999996 % in doubles.
    percent = math.floor(share * 1e5 + 1e-6) / 1e3
    return f"{min(percent, 99.999):.3f}".rstrip("0").rstrip(".") + "\u00a0%"


def source_words(address: str) -> str:
    """Return an address; of one that stands for something else, what that is: ``no source (0.0.0.0)``."""
    return f"{_SOURCES[address]} ({address})" if address in _SOURCES else address


def test_words(name: str) -> str:
    """Return the name of a test with what fails it: ``D (of a server that follows this node)``."""
    own, _, release = name.partition(" ")
    if release and own.isdigit():
        return f"test {own} of RFC 1305 {release}"
    about = _TESTS.get(own.upper() if release else own)
    return name if about is None else f"{name} ({about})"


def value_words(finding: Finding, rule: dict[str, Any]) -> tuple[str, str]:
    """Return what a finding saw and what the rule allows, with their unit, or a dash for neither."""
    check, value, limit = finding.check, finding.value, finding.limit
    of_frequency = check == "smear" or (check == "step" and limit == rule.get("step_ppm"))
    return _one(check, value, of_frequency), _one(check, limit, of_frequency, trim=True)


def _one(check: str, value: float | int | str | None, of_frequency: bool, *, trim: bool = False) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        return value
    if of_frequency:
        return f"{value:.3g}\u00a0ppm".replace("-", "\u2212")
    if check in _DURATIONS:
        return duration(value)
    if check in _ERRORS or check == "step" or (check == "counter" and isinstance(value, float)):
        return seconds(value, trim=trim)
    one, more = _COUNTS.get(check, ("", ""))
    return f"{value:,}\u00a0{one if value == 1 else more}".rstrip("\u00a0")
