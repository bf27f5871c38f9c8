"""What was done to an export's numbers before they were written, and what each of them means on the page."""

import re
from dataclasses import dataclass

from tickline.pipelines.access.privacy.privacy import HIDDEN
from tickline.pipelines.access.regions.labels import OTHER

__all__ = ["Rule", "meanings", "rule_of"]

# The sentences of `Privacy.about` (tickline.pipelines.access.privacy), as they stand in provenance.json.
_FIXED = re.compile(r"fixed: .* fewer than (\d{1,18}) requesters, .* multiples of (\d{1,18})")
_STRICT = re.compile(r"strict: counts below (\d{1,18}) .* multiples of (\d{1,18}), .*")


@dataclass(frozen=True)
class Rule:
    """The rule of privacy of an export.

    Attributes
    ----------
    name : str
        ``exact``, ``fixed``, ``strict``, or nothing if the sentence is none of those known.
    about : str
        The sentence of ``provenance.json``.
    threshold : int
        ``fixed``: requesters that a count needs; ``strict``: the smallest count that is shown.
    rounding : int
        Counts are multiples of this.
    """

    name: str
    about: str
    threshold: int = 0
    rounding: int = 0

    @property
    def published(self) -> bool:
        """Whether counts may be rounded or withheld: then their sums say nothing."""
        return self.name != "exact"

    @property
    def word(self) -> str:
        """What stands in the place of a count that is withheld."""
        return f"<{self.threshold}" if self.name == "strict" else HIDDEN

    @property
    def withheld(self) -> str:
        """Why a count is withheld, in words."""
        return {
            "fixed": f"it has fewer than {self.threshold:,} requesters, or would give away one that has",
            "strict": f"it is below {self.threshold:,}, and may be 0",
        }.get(self.name, "")

    @property
    def pool(self) -> str | None:
        """The row of the regions that were put together."""
        return OTHER if self.name == "fixed" else None


def rule_of(about: str) -> Rule:
    """Return the rule that a sentence of ``provenance.json`` tells."""
    if about == "exact" or about.startswith("exact:"):
        return Rule("exact", about)
    for name, sentence in (("fixed", _FIXED), ("strict", _STRICT)):
        if found := sentence.fullmatch(about):
            return Rule(name, about, int(found[1]), int(found[2]))
    return Rule("", about)


def meanings(rule: Rule) -> list[tuple[str, str]]:
    """Say of every kind of number on the page what it is: its name, or the word itself, and a sentence."""
    if not rule.published:
        return []
    rows = [("Bytes sent", "Exact, in every table and every chart.")]
    rows += {"fixed": _fixed, "strict": _strict}.get(rule.name, _unknown)(rule)
    return [
        *rows,
        (
            "Hatched in a chart",
            f"A day whose count reads \u201c{rule.word}\u201d: withheld, and not drawn as 0.",
        ),
        (
            "Sums of counts",
            "There are none on this page. Counts that are shown need not add up: each is rounded by itself.",
        ),
        (
            "Days, datasets, assets, regions, countries",
            "How many there are is exact"
            + (f"; those in \u201c{OTHER}\u201d count, too." if rule.pool else "."),
        ),
        ("Shares", "Of bytes, and so exact but for their last digit."),
    ]


def _fixed(rule: Rule) -> list[tuple[str, str]]:
    step = rule.rounding
    rounded = f"Rounded half up to multiples of {step:,}"
    counts = [
        ("Requests, requesters", f"{rounded}, and at least {step:,}."),
        ("Downloads", f"{rounded}: 0 means fewer than {step - step // 2:,}."),
    ]
    if step == 1:
        counts = [("Requests, downloads, requesters", "Exact where they are shown.")]
    return [
        *counts,
        (
            HIDDEN,
            f"A count that is withheld, because {rule.withheld}.",
        ),
        (
            OTHER,
            "Among the regions: those whose counts would be withheld, put together, with all their bytes.",
        ),
        ("Weeks", "Bytes alone; counts by week are withheld."),
    ]


def _strict(rule: Rule) -> list[tuple[str, str]]:
    return [
        (
            "Requests, downloads, requesters",
            f"Rounded to the nearest multiple of {rule.rounding:,}; from halfway, to the even multiple.",
        ),
        (rule.word, f"A count that is withheld, because {rule.withheld}."),
    ]


def _unknown(rule: Rule) -> list[tuple[str, str]]:
    return [
        ("Requests, downloads, requesters", "As that rule leaves them."),
        (rule.word, "A count that is withheld."),
    ]
