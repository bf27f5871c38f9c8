"""How sizes, counts and shares are written on the page, and the sentences that explain what was counted."""

from decimal import ROUND_HALF_EVEN, Decimal

from tickline.page.words import exact

__all__ = [
    "FILTERED",
    "NOTED",
    "POLICIES",
    "POOL",
    "REGIONS",
    "REJECTED",
    "SETTINGS",
    "bytes_words",
    "human_bytes",
    "human_count",
    "share",
]

# The words of docs/access-logs.md.
FILTERED = {
    "operation": "not asked for: another operation than those of the settings",
    "key": "not asked for: another part of the archive than those of the settings",
    "ip": "the address is one that the settings leave out",
    "time": "not asked for: another time",
    "status": "not asked for: another status than those of the settings",
    "blank": "no bytes, or blanks only",
    "unfinished": "a last line without its end, in a file that may still grow; a later run reads it",
    "repeated": "the same line was delivered before",
    "header": "the first line of a table that was made of logs",
    "strict": "dropped because dandi_s3_log_parser drops it",
}

# The sentences of include/tickline/error.hpp.
REJECTED = {
    "cut": "the line ends before its 17th field, or inside a quoted one: the record was cut",
    "spliced": "two records were written into one line",
    "ambiguous": "several quotes could end the request-URI, so status and bytes cannot be told for sure",
    "bad_time": "the third field is not a time like [06/Feb/2019:00:00:38 +0000]",
    "bad_operation": "no operation such as REST.GET.OBJECT stands where requester and request id end",
    "bad_request_uri": "the field behind the key is neither - nor a quoted request-URI",
    "number_overflow": "a number does not fit into 64 bits",
    "line_too_long": "the line is longer than max_line_bytes",
}

NOTED = {
    "ambiguous_agent": "where the referrer ends cannot be told for sure; the first possible end was taken",
    "invalid_utf8": "a text held bytes that are not UTF-8",
}

REGIONS = {
    "unknown": "looked up, and in none of the snapshots",
    "undetermined": "in none of the snapshots, and ipinfo was not asked yet",
    "missing": "no address was logged, or it was forgotten before it was looked up",
    "bogon": "an address that no public network may use",
    "VPN": "an address of a known VPN, wherever its user is",
    "GitHub": "GitHub's own machines",
}

POOL = "regions whose counts would be withheld, put together"

POLICIES = {
    "all": "counted whole in each of the datasets that hold it, and once in the archive's totals: so the "
    "datasets may add up to more than the archive",
    "first": "counted in the first dataset that the catalog names",
    "split": "divided evenly among the datasets that hold it; remainders go to the first",
    "undetermined": "counted as undetermined, in none of the datasets that hold it",
}

SETTINGS = {
    "format": "Store format",
    "operations": "Operations that count",
    "statuses": "Statuses that count",
    "keys": "Keys that count",
    "excluded_networks": "Networks left out",
    "excluded_by_expression": "Addresses left out by an expression",
    "dedupe_lines": "Repeated lines",
}

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
_COUNT_UNITS = ("", "k", "M", "G", "T", "P")


def _three_digits(number: int, units: tuple[str, ...], *, trim: bool) -> str:
    step = 0
    value = Decimal(number)
    while True:
        digits = 0 if value >= 100 or step == 0 else (1 if value >= 10 else 2)
        rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
        if rounded < 1000 or step == len(units) - 1:
            break
        value, step = value / 1000, step + 1
    text = f"{rounded:,}"
    if trim and "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text}\u00a0{units[step]}" if units[step] else text


def human_bytes(number: int, *, trim: bool = False) -> str:
    """Return a size with three digits, in decimal units: ``1.23 GB``; `trim`: without needless zeros."""
    return _three_digits(number, _BYTE_UNITS, trim=trim)


def bytes_words(number: int) -> str:
    """Return a size twice: ``1.23 GB (1,234,567,890 bytes)``."""
    return f"{human_bytes(number)} ({exact(number)} bytes)"


def human_count(number: int, *, trim: bool = True) -> str:
    """Return a count for the axis of a chart: ``1.5 M``."""
    return _three_digits(number, _COUNT_UNITS, trim=trim)


def share(part: int, whole: int) -> str:
    """Return what share of `whole` is `part`; only nothing is 0 % and only all is 100 %."""
    if whole <= 0:
        return "\u2013"
    if part in (0, whole):
        return f"{100 if part else 0}\u00a0%"
    percent = (Decimal(part) * 100 / Decimal(whole)).quantize(Decimal("0.1"), ROUND_HALF_EVEN)
    if percent < Decimal("0.1"):
        return "<\u00a00.1\u00a0%"
    if part < whole and percent > Decimal("99.9"):
        return ">\u00a099.9\u00a0%"
    return f"{percent}\u00a0%"
