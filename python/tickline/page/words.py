"""How numbers, days and names are written on every page."""

import unicodedata
from collections.abc import Iterator
from datetime import date

__all__ = ["LONGEST", "MONTHS", "day_words", "exact", "pieces", "span_words"]

LONGEST = 1024
"""Characters of a name that are shown; keys of S3 have at most 1,024 bytes."""

# Letters of scripts and joined emoji need these two; they move nothing.
_JOINERS = "\u200c\u200d"


def exact(number: int) -> str:
    """Return all digits, in groups of three: ``1,234,567``."""
    return f"{number:,}"


def day_words(day: date, *, year: bool = True) -> str:
    """Return ``5 March 2024``."""
    text = f"{day.day}\u00a0{MONTHS[day.month - 1]}"
    return f"{text} {day.year}" if year else text


def span_words(first: date, last: date) -> str:
    """Return ``28 February to 5 March 2024``."""
    if first == last:
        return day_words(first)
    return f"{day_words(first, year=first.year != last.year)} to {day_words(last)}"


MONTHS = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]


def pieces(name: str) -> Iterator[tuple[bool, str]]:
    """Cut a name into (is it an escape, text): what cannot be seen, or moves its neighbours, is spelled out.

    Control characters, marks of direction, other invisible characters, line separators and half surrogates
    become ``U+202E``. Everything else stays as it is, up to `LONGEST` characters.
    """
    plain = ""
    for char in name[:LONGEST]:
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") and char not in _JOINERS:
            if plain:
                yield False, plain
                plain = ""
            yield True, f"U+{ord(char):04X}"
        else:
            plain += char
    if plain:
        yield False, plain
    if len(name) > LONGEST:
        yield True, f"and {exact(len(name) - LONGEST)} more characters"
