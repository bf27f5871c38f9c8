"""What a report tells of a node beside its findings: its sources, its samples, and what ran on it."""

from collections import Counter
from typing import TYPE_CHECKING

from tickline.pipelines.archive.report.case import NodeCase, Rows
from tickline.pipelines.archive.report.integrity import configuration_spans
from tickline.pipelines.archive.report.model import NodeReport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["describe"]

FALSETICKER = "falseticker"
# The worst first: a sample is as good as the worse of its two stamps.
_STAMPS = ("D", "K", "H")
# What the digits of a group of tests stand for, by the release that first wrote them so: chrony's manual.
_TESTS = {
    "1.20": ("1234", "ab", "5678"),
    "1.25": ("1234", "abc", "5678"),
    "2.0": ("123", "567", "ABCD"),
    "3.0": ("123", "567", "ABCD"),
}


def describe(case: NodeCase, report: NodeReport) -> None:
    """Fill in what this module knows of a node: sources, stamps, tests, configurations and more of `why`."""
    report.sources = shares(case)
    report.source_changes = changes(case)
    during = (case.measurements.time >= case.begin_s) & (case.measurements.time < case.end_s)
    report.stamps = stamps(case.measurements, during)
    report.failed_tests = failed_tests(case.measurements, during)
    if false := falsetickers(case):
        report.failed_tests[FALSETICKER] = false
    report.configurations = configuration_spans(case)
    report.why += unknown(case)


def shares(case: NodeCase) -> dict[str, float]:
    """Return for each address the share of the period for which it was followed, the greatest first.

    A row counts until the next one, but no longer than `Rule.gap_s`: shares add up to less than 1 where rows
    are missing.
    """
    import numpy as np

    rows, period = case.tracking, case.end_s - case.begin_s
    if not len(rows) or period <= 0:
        return {}
    ends = np.minimum(np.append(rows.time[1:], case.end_s), rows.time + case.rule.gap_s)
    seconds = np.maximum(np.minimum(ends, case.end_s) - np.maximum(rows.time, case.begin_s), 0)
    words = rows.words["address"]
    # Where -1 is, there is no address.
    totals = np.bincount(rows["address"] + 1, weights=seconds, minlength=len(words) + 1)[1:]
    found = {word: float(total / period) for word, total in zip(words, totals, strict=True) if total > 0}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def changes(case: NodeCase) -> int:
    """Return how often another address was followed than before."""
    import numpy as np

    rows = case.tracking
    inside = (rows.time >= case.begin_s) & (rows.time < case.end_s)
    return int(np.count_nonzero(np.diff(rows["address"][inside])))


def stamps(rows: Rows, during: "Flags") -> dict[str, int]:
    """Count measurements by where their stamps were taken: hardware (H), kernel (K) or chronyd (D)."""
    left, found = during.copy(), {}
    for letter in _STAMPS:
        own = left & (rows.is_word("tx_stamp", letter) | rows.is_word("rx_stamp", letter))
        if count := int(own.sum()):
            found[letter] = count
        left &= ~own
    return found


def failed_tests(rows: Rows, during: "Flags") -> dict[str, int]:
    """Count measurements that failed a test, by its name; those of chrony 1 mean something else.

    From chrony 3.1 on the log ``measurements`` has only those that passed tests 1 to 7; ``rawmeasurements``
    has all.
    """
    import numpy as np

    found: Counter[str] = Counter()
    for group, column in enumerate(("tests_a", "tests_b", "tests_c")):
        for code, digits in enumerate(rows.words[column]):
            if set(digits) <= {"1"}:
                continue
            layouts = rows["layout"][during & (rows[column] == code)]
            for layout, count in zip(
                *map(np.ndarray.tolist, np.unique(layouts, return_counts=True)), strict=True
            ):
                release = rows.words["layout"][layout]
                suffix = " (chrony 1)" if release.startswith("1.") else ""
                for name, digit in zip(_TESTS[release][group], digits, strict=True):
                    if digit != "1":
                        found[name + suffix] += count
    return dict(sorted(found.items()))


def falsetickers(case: NodeCase) -> int:
    """Count samples that passed all tests and did not agree with the majority."""
    import numpy as np

    samples = case.samples
    during = (samples.time_s >= case.begin_s) & (samples.time_s < case.end_s)
    return int(np.count_nonzero(during & ~samples.agrees))


def unknown(case: NodeCase) -> list[str]:
    """Return in sentences what the archive does not show, and no finding says."""
    found = []
    chunks = [
        chunk for chunk in case.chunks if chunk.created_s is not None and chunk.created_s >= case.begin_s
    ]
    if any(chunk.retention_years is None for chunk in chunks):
        found.append(
            f"That chunks are kept for {case.rule.retention_years} years cannot be shown from the archive "
            "alone: not all were written with a retention of their own (Object Lock)."
        )
    if any(chunk.evidence.get("conf_sha256") is None for chunk in chunks):
        found.append("Which chrony.conf was in force cannot be shown for all of the time.")
    if any(chunk.evidence.get("chrony") is None for chunk in chunks):
        found.append("Which release of chronyd ran cannot be shown for all of the time.")
    if not len(case.measurements):
        found.append("There are no measurements: single samples, their tests and stamps cannot be shown.")
    return found
