"""Labels of regions: ``AWS/us-east-2``, ``DE/Bavaria``, ``DE``, ``VPN``; made from what stands in files.

A label is one part, or two joined by ``/``. Each part is cleaned, so that the same name gives the same label
everywhere: Unicode NFC; control, format and undecodable characters and runs of blanks become one blank; ``/``
becomes ``-``; blanks at the ends go; at most 100 characters. Where nothing is left of the second part, the
first one stands alone.
"""

import re
import unicodedata
from functools import lru_cache

__all__ = ["BOGON", "MISSING", "RESERVED", "UNKNOWN", "clean_label", "joined_label"]

BOGON = "bogon"
UNKNOWN = "unknown"
MISSING = "missing"
RESERVED = frozenset({MISSING, UNKNOWN})
"""Labels that say that there is none: no file may give them."""

_MOST_CHARS = 100


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
