"""What to keep: the texts of options and arguments become the filter of the core.

``tickline access reduce`` and ``tickline.access.read`` share these rules and their messages.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tickline import _core
from tickline.errors import UsageError, explain_os_error

__all__ = [
    "AccessRules",
    "check_columns",
    "parse_keys",
    "parse_networks",
    "parse_operations",
    "parse_statuses",
    "parse_time",
    "parse_years",
]

Texts = str | Iterable[str]
# What "dandi" stands for: blobs whole, zarr archives by their first two parts.
_DANDI_KEYS = (("blobs", 0), ("zarr", 2))


def _items(value: object) -> list[str]:
    """Split texts at commas; one text, a number or a sequence of them are all welcome."""
    values: Iterable[object] = (
        [value] if isinstance(value, str | int) or not isinstance(value, Iterable) else value
    )
    return [item for text in values for part in _text(text).split(",") if (item := part.strip())]


def _text(value: object) -> str:
    """Return a text that the core can take.

    Raises
    ------
    UsageError
        It holds bytes that are no UTF-8 (from the command line), or half a surrogate pair.
    """
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError("is not UTF-8", where=text, hint="Write options in UTF-8.") from error
    return text


def _listed(value: object, option: str) -> list[str]:
    """Split at commas; something empty, such as an unset variable of a script, must not mean "all"."""
    names = _items(value)
    if not names:
        raise UsageError("nothing is named", where=option, hint="Write all for no filter.")
    return names


def check_columns(columns: Sequence[str] | None, default: Sequence[str]) -> list[str]:
    """Return the columns to make.

    Raises
    ------
    UsageError
        One is unknown or named twice; the message lists the valid names.
    """
    if columns is None:
        return list(default)
    chosen = _items(columns)
    unknown = [name for name in chosen if name not in _core.COLUMNS]
    if unknown or not chosen:
        what = f"there is no column {', '.join(map(repr, unknown))}" if unknown else "no column is named"
        raise UsageError(what, where="columns", hint=f"Choose from: {', '.join(_core.COLUMNS)}.")
    if len(set(chosen)) != len(chosen):
        raise UsageError("a column is named twice", where="columns", hint="Name each one once.")
    return chosen


def parse_operations(value: Texts | None) -> tuple[str, ...] | None:
    """``REST.GET.OBJECT``, several of them, or ``all`` (None: no filter)."""
    if value is None or "all" in (names := _listed(value, "operation")):
        return None
    return tuple(sorted(set(names)))


def parse_statuses(value: Texts | int | Iterable[int] | None) -> tuple[int, ...] | None:
    """``2xx``, ``304``, lists of them, or ``all`` (None: no filter)."""
    if value is None or "all" in (names := _listed(value, "status")):
        return None
    statuses: set[int] = set()
    for name in names:
        if re.fullmatch(r"[0-9]xx", name, re.IGNORECASE):
            statuses.update(range(int(name[0]) * 100, int(name[0]) * 100 + 100))
        elif re.fullmatch(r"[0-9]{3}", name):
            statuses.add(int(name))
        else:
            raise UsageError(
                f"{name!r} is no status", where="status", hint="Write 200, 2xx, 200,206,304 or all."
            )
    return tuple(sorted(statuses))


def parse_keys(value: Texts | None) -> tuple[tuple[str, int], ...] | None:
    """``all`` (None), ``dandi``, or a list of ``PREFIX[:PARTS]``."""
    if value is None or (rules := _listed(value, "keys")) == ["all"]:
        return None
    if rules == ["dandi"]:
        return _DANDI_KEYS
    return tuple(_key_rule(rule) for rule in rules)


def _key_rule(rule: str) -> tuple[str, int]:
    prefix, colon, parts = rule.rpartition(":")
    if not colon:
        prefix, parts = rule, "0"
    if not prefix.strip("/") or not re.fullmatch(r"[0-9]{1,4}", parts):
        hint = (
            "Write all, dandi, or a list such as blobs,zarr:2 (zarr:2 keeps the first two parts of the key)."
        )
        raise UsageError(f"{rule!r} is no rule for keys", where="keys", hint=hint)
    return prefix.rstrip("/"), int(parts)


def _network_texts(value: Texts) -> Iterable[tuple[str, str]]:
    for item in _items(value):
        if not item.startswith("@"):
            yield item, "exclude-ip"
            continue
        try:
            lines = Path(item[1:]).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                str(explain_os_error(error, item[1:])).rstrip("."), where="exclude-ip"
            ) from error
        for number, line in enumerate(lines, 1):
            yield from ((entry, f"{item[1:]}, line {number}") for entry in _items(line.partition("#")[0]))


def parse_networks(value: Texts | None) -> tuple[str, ...]:
    """Addresses, networks in CIDR form, comma lists and ``@file`` (``#`` begins a comment there)."""
    texts = [value] if isinstance(value, str) else list(value or ())
    if not all(_items(text) for text in texts):
        # An unset variable of a script, most likely: to exclude nobody in silence would be wrong.
        raise UsageError(
            "no address is named", where="exclude-ip", hint="Leave the option out for no filter."
        )
    networks: set[str] = set()
    for text, where in _network_texts(texts):
        try:
            networks.add(str(ipaddress.ip_network(text)))
        except ValueError as error:
            try:
                hint = f"Did you mean {ipaddress.ip_network(text, strict=False)}?"
            except ValueError:
                hint = "Write 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32."
            raise UsageError(f"{text!r} is no address and no network", where=where, hint=hint) from error
    return tuple(sorted(networks))


def parse_years(value: Texts | int | Iterable[int] | None) -> tuple[int, ...]:
    """Years, as numbers or texts, single or in lists."""
    years = [] if value is None else _items(value)
    for year in years:
        if not re.fullmatch(r"[0-9]{4}", year):
            raise UsageError(f"{year!r} is no year", where="exclude-year", hint="Write 2019 or 2019,2020.")
    return tuple(sorted({int(year) for year in years}))


def parse_time(value: str | date | datetime | None, option: str) -> int | None:
    """Return milliseconds since 1970 of a date or an ISO 8601 time; without an offset it is UTC."""
    if value is None:
        return None
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, datetime):
            moment = value
        else:
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
    except ValueError as error:
        hint = "Write 2024-05-01, 2024-05-01T12:30:00 or 2024-05-01T12:30:00+02:00."
        raise UsageError(f"{value!r} is no date and no time", where=option, hint=hint) from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    since_1970 = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since_1970.days * 86_400_000 + since_1970.seconds * 1000 + since_1970.microseconds // 1000


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Which lines are kept: everything, by default."""

    operations: tuple[str, ...] | None = None
    statuses: tuple[int, ...] | None = None
    keys: tuple[tuple[str, int], ...] | None = None
    exclude_networks: tuple[str, ...] = ()
    exclude_ip_regex: str | None = None
    exclude_years: tuple[int, ...] = ()
    since_ms: int | None = None
    until_ms: int | None = None
    strict: bool = False

    @classmethod
    def from_texts(
        cls,
        *,
        operation: Texts | None = None,
        status: Texts | int | Iterable[int] | None = None,
        keys: Texts | None = None,
        exclude_ip: Texts | None = None,
        exclude_ip_regex: str | None = None,
        exclude_year: Texts | int | Iterable[int] | None = None,
        since: str | date | datetime | None = None,
        until: str | date | datetime | None = None,
        strict: bool = False,
    ) -> "AccessRules":
        """Read options as people write them.

        Raises
        ------
        UsageError
            One of them cannot be understood.
        """
        if exclude_ip_regex == "":
            hint = "Leave the option out for no filter."
            raise UsageError("the expression is empty", where="exclude-ip-regex", hint=hint)
        return cls(
            operations=parse_operations(operation),
            statuses=parse_statuses(status),
            keys=parse_keys(keys),
            exclude_networks=parse_networks(exclude_ip),
            exclude_ip_regex=exclude_ip_regex,
            exclude_years=parse_years(exclude_year),
            since_ms=parse_time(since, "since"),
            until_ms=parse_time(until, "until"),
            strict=strict,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the rules as plain values, for the record of a run."""
        return asdict(self)

    def build(self) -> _core.AccessFilter:
        """Make the filter of the core; the regular expression is the only part that needs `_pattern`."""
        return _core.AccessFilter(
            operations=self.operations,
            statuses=self.statuses,
            key_rules=self.keys,
            exclude_networks=self.exclude_networks,
            exclude_pattern=self._pattern(),
            since_ms=self.since_ms,
            until_ms=self.until_ms,
            exclude_years=self.exclude_years,
            strict=self.strict,
        )

    def _pattern(self) -> object | None:
        if self.exclude_ip_regex is None:
            return None
        from tickline._pattern import Pattern

        try:
            return Pattern(_text(self.exclude_ip_regex)).capsule()
        except ValueError as error:
            hint = "Write it in RE2's syntax, such as ^192\\.0\\.2\\. (no look-around, no back-references)."
            raise UsageError(str(error).rstrip("."), where="exclude-ip-regex", hint=hint) from error
