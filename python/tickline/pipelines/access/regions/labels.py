"""Labels of regions: ``AWS/us-east-2``, ``DE/Bavaria``, ``DE``, ``VPN``; made from what stands in files.

A label is one part, or two joined by ``/``. Each part is cleaned, so that the same name gives the same label
everywhere: Unicode NFC; control, format and undecodable characters and runs of blanks become one blank; ``/``
becomes ``-``; blanks at the ends go; at most 100 characters. Where nothing is left of the second part, the
first one stands alone.
"""

import re
import unicodedata
from collections.abc import Collection
from functools import lru_cache

__all__ = [
    "BOGON",
    "MISSING",
    "OTHER",
    "RESERVED",
    "UNDETERMINED",
    "UNKNOWN",
    "clean_label",
    "count_places",
    "joined_label",
]

BOGON = "bogon"
UNKNOWN = "unknown"
UNDETERMINED = "undetermined"
MISSING = "missing"
OTHER = "other"
"""The row of the regions that are pooled where counts are withheld."""
RESERVED = frozenset({MISSING, OTHER, UNDETERMINED, UNKNOWN})
"""Words that stand in the place of a region: no list of networks may give them."""

_MOST_CHARS = 100
_COUNTRY = re.compile(r"[A-Z]{2}")


def _clean_part(text: str) -> str:
    # Categories C*: control, format, half a surrogate pair, private use, unassigned; Z*: separators.
    shown = "".join(
        " " if unicodedata.category(char)[0] in "CZ" else char for char in unicodedata.normalize("NFC", text)
    )
    return re.sub(" +", " ", shown.replace("/", "-")).strip(" ")[:_MOST_CHARS].rstrip(" ")


@lru_cache(maxsize=65_536)
def joined_label(first: str, second: str) -> str:
    """Return the label of two parts; empty if nothing is left of the first."""
    first, second = _clean_part(first), _clean_part(second)
    return f"{first}/{second}" if first and second else first


def clean_label(text: str) -> str:
    """Return the label of a text such as ``DE/Bavaria``: only the first ``/`` divides."""
    first, _, second = text.partition("/")
    return joined_label(first, second)


def count_places(labels: Collection[str]) -> tuple[int, int]:
    """Return how many regions and how many countries there are among labels.

    Countries are the first parts of two capital letters; regions are countries without another part, and
    labels of two parts: ``AWS/us-east-2`` is a region in no country, ``VPN`` is neither.
    """
    countries = {first for label in labels if _COUNTRY.fullmatch(first := label.partition("/")[0])}
    regions = {label for label in labels if "/" in label or _COUNTRY.fullmatch(label)}
    return len(regions), len(countries)
