"""What a report says: verdicts, findings with their evidence, and figures of each node.

`as_json` gives the shape of ``tickline archive report --json``; the CSV and the page are made of the same.
"""

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "CANNOT_BE_SHOWN",
    "CHECKS",
    "MET",
    "NOT_MET",
    "Evidence",
    "Finding",
    "NodeReport",
    "Report",
    "Series",
]

CHECKS: tuple[str, ...] = (
    "exceedance",
    "gap",
    "step",
    "local_clock",
    "not_synchronised",
    "stratum",
    "source",
    "quorum",
    "leap",
    "smear",
    "time_order",
    "missing_day",
    "cannot_be_shown",
    "integrity",
    "late_upload",
    "pre_open",
    "counter",
    "configuration",
)
"""Names of checks, in the order in which findings of the same moment are listed."""

MET, NOT_MET, CANNOT_BE_SHOWN = "met", "not met", "cannot be shown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One line of a log, where it stands in the archive.

    Attributes
    ----------
    object : str
        Key of the chunk.
    offset, length : int
        Bytes in its decompressed body: ``zstd -dc OBJECT | tail -c +$((offset + 1)) | head -c length``.
    line : str
        The line itself, without its end.
    """

    object: str
    offset: int
    length: int
    line: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that an auditor must look at.

    Attributes
    ----------
    node : str
        Whose.
    check : str
        One of `CHECKS`.
    begin_s, end_s : int
        Seconds since 1970; ``from`` and ``to`` in JSON.
    value, limit : float, int, str or None
        What was seen, and what the rule allows, in the check's unit.
    text : str
        A sentence.
    severity : str
        ``"breach"``: the rule was shown to be broken; ``"unshown"``: it cannot be shown that it was kept;
        ``"remark"``: neither, but an auditor asks about it. The first two decide the verdict.
    evidence : tuple of Evidence
        Lines that show it: the first and last, and the worst.
    """

    node: str
    check: str
    begin_s: int
    end_s: int
    value: float | int | str | None
    limit: float | int | str | None
    text: str
    severity: str
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """What the plots show: bins of equal length, few enough for a page.

    Attributes
    ----------
    begin_s, bin_s : int
        Where the first bin begins, and how long each is.
    offset_low_s, offset_high_s, bound_s : list of float or None
        Smallest and greatest offset and greatest bound of the error in each bin; None without rows.
    """

    begin_s: int
    bin_s: int
    offset_low_s: list[float | None]
    offset_high_s: list[float | None]
    bound_s: list[float | None]


@dataclass(slots=True)
class NodeReport:
    """One node.

    Attributes
    ----------
    verdict : str
        ``"met"``, ``"not met"`` or ``"cannot be shown"``.
    why : list of str
        What the verdict rests on, in sentences.
    days, days_before_open : int
        Business days, and those on which the clock was shown to be synchronised before the open.
    share_within : float or None
        Part of the time of all business days for which the bound of the error was shown to be within the
        tolerance; None if nothing was shown.
    share_shown : float
        Part of that time for which there is any bound.
    max_error_s, max_error_at_s : float, int or None
        Worst bound of a row, and when; with its evidence.
    sources : dict of str to float
        Share of the time for which each address was followed.
    source_changes : int
        How often another address was followed than before.
    configurations : list of dict
        ``{"from", "to", "chrony", "conf_sha256", "kernel", "machine"}`` as the chunks carried them.
    stamps : dict of str to int
        Measurements by stamp kind (``"H"``, ``"K"``, ``"D"``).
    failed_tests : dict of str to int
        Measurements that failed a test, by test.
    """

    node: str
    verdict: str
    why: list[str] = field(default_factory=list)
    days: int = 0
    days_before_open: int = 0
    share_within: float | None = None
    share_shown: float = 0.0
    max_error_s: float | None = None
    max_error_at_s: int | None = None
    max_error_evidence: Evidence | None = None
    rows: dict[str, int] = field(default_factory=dict)
    sources: dict[str, float] = field(default_factory=dict)
    source_changes: int = 0
    configurations: list[dict[str, Any]] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)
    failed_tests: dict[str, int] = field(default_factory=dict)
    objects: int = 0
    lines: int = 0
    rejected_lines: int = 0
    series: Series | None = None


@dataclass(slots=True)
class Report:
    """The whole.

    Attributes
    ----------
    rule : dict
        The rule as it was applied, with ``name``, ``version``, ``title``, ``text`` and every limit.
    begin_s, end_s : int
        The period.
    business_dates : list of str
        Its business days (``2026-09-01``, in the zone of the rule), in order.
    """

    rule: dict[str, Any]
    begin_s: int
    end_s: int
    verdict: str
    nodes: list[NodeReport]
    findings: list[Finding]
    store: str
    writer: str
    business_dates: list[str] = field(default_factory=list)

    @property
    def business_days(self) -> int:
        """How many business days the period has."""
        return len(self.business_dates)
