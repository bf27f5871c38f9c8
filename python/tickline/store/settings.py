"""What decides the meaning of a store's numbers: ``store.toml``, written once and never changed."""

import json
import re
import secrets
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import write_whole
from tickline.filters import AccessRules, parse_keys, parse_networks, parse_operations, parse_statuses

__all__ = ["FORMAT", "Settings", "WantedSettings", "read_settings", "write_settings"]

FORMAT = 2
"""Version of the layout of a store; `tickline.store.ledger` brings older ones up to it."""

_NAME = "store.toml"
_HEAD = """\
# An access store of Tickline. What stands here decides what its numbers mean; it was fixed when the store
# was made.
"""


@dataclass(frozen=True, slots=True)
class WantedSettings:
    """Options of a call: None where nothing was said, so that an existing store's own value holds."""

    operations: tuple[str, ...] | str | None = None
    statuses: tuple[int, ...] | str | None = None
    keys: tuple[tuple[str, int], ...] | str | None = None
    exclude_networks: tuple[str, ...] | None = None
    exclude_ip_regex: str | None = None
    addresses: bool | None = None
    dedupe_lines: bool | None = None

    @classmethod
    def parse(
        cls,
        operation: Any = None,
        status: Any = None,
        keys: Any = None,
        exclude_ip: Any = None,
        exclude_ip_regex: str | None = None,
        *,
        addresses: bool | None = None,
        dedupe_lines: bool | None = None,
    ) -> "WantedSettings":
        """Take options as they are written, see `tickline.filters`; a `UsageError` if one cannot be meant."""
        return cls(
            operations=None if operation is None else parse_operations(operation) or "all",
            statuses=None if status is None else parse_statuses(status) or "all",
            keys=None if keys is None else parse_keys(keys) or "all",
            exclude_networks=None if exclude_ip is None else parse_networks(exclude_ip),
            exclude_ip_regex=exclude_ip_regex,
            addresses=addresses,
            dedupe_lines=dedupe_lines,
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one store; None for operations, statuses and keys means that all are kept."""

    store_id: str
    pseudonym_key_id: str
    format: int = FORMAT
    operations: tuple[str, ...] | None = ("REST.GET.OBJECT",)
    statuses: tuple[int, ...] | None = tuple(range(200, 300))
    keys: tuple[tuple[str, int], ...] | None = None
    exclude_networks: tuple[str, ...] = ()
    exclude_ip_regex: str | None = None
    addresses: bool = True
    dedupe_lines: bool = False

    @classmethod
    def create(cls, wanted: WantedSettings, pseudonym_key_id: str) -> "Settings":
        """Make the settings of a new store."""
        given = {
            name: _one_form(name, value)
            for name in WantedSettings.__dataclass_fields__
            if (value := getattr(wanted, name)) is not None
        }
        return cls(secrets.token_hex(16), pseudonym_key_id, **given)

    def check(self, wanted: WantedSettings, where: str) -> None:
        """Refuse what would change the meaning of the store.

        Raises
        ------
        UsageError
            An option differs from what the store was made with.
        """
        for name, option in _OPTIONS.items():
            value = getattr(wanted, name)
            if value is None:
                continue
            mine = getattr(self, name)
            if _one_form(name, value) != _one_form(name, mine):
                what = (
                    f"this store was made with {_shown(name, mine, option)}, and that cannot be changed later"
                )
                hint = "Leave the option out, or ingest into a new store."
                raise UsageError(what, where=where, hint=hint)

    def rules(self) -> AccessRules:
        """Return the filter for ingest."""
        return AccessRules(
            operations=self.operations,
            statuses=self.statuses,
            keys=self.keys,
            exclude_networks=self.exclude_networks,
            exclude_ip_regex=self.exclude_ip_regex,
        )

    def as_json(self) -> dict[str, Any]:
        """Return what may be published of the settings: no id, and of excluded networks only their number."""
        return {
            "format": self.format,
            "operations": "all" if self.operations is None else list(self.operations),
            "statuses": "all" if self.statuses is None else _status_texts(self.statuses),
            "keys": "all" if self.keys is None else _key_texts(self.keys),
            "excluded_networks": len(self.exclude_networks),
            "excluded_by_expression": self.exclude_ip_regex is not None,
            "dedupe_lines": self.dedupe_lines,
        }


_SETS = ("operations", "statuses", "exclude_networks")
_OPTIONS = {
    "operations": "--operation",
    "statuses": "--status",
    "keys": "--keys",
    "exclude_networks": "--exclude-ip",
    "exclude_ip_regex": "--exclude-ip-regex",
    "addresses": "--no-addresses",
    "dedupe_lines": "--dedupe-lines",
}


def _one_form(name: str, value: Any) -> Any:
    """Return what means the same in one form: neither order nor repeats in such a list count."""
    if value == "all":
        return None
    return tuple(sorted(set(value))) if name in _SETS and value is not None else value


def _shown(name: str, value: Any, option: str) -> str:
    if name == "addresses":
        return "--no-addresses" if not value else "addresses kept (no --no-addresses)"
    if name == "dedupe_lines":
        return option if value else f"no {option}"
    if name == "exclude_networks":
        # The networks themselves may be somebody's own: they are not printed.
        return f"{option} of {len(value)} networks" if value else f"no {option}"
    if name == "exclude_ip_regex":
        return f"another {option}" if value else f"no {option}"
    if value is None:
        return f"{option} all"
    if name == "statuses":
        return f"{option} {','.join(_status_texts(value))}"
    if name == "keys":
        return f"{option} {','.join(_key_texts(value))}"
    return f"{option} {','.join(value) if isinstance(value, tuple) else value}"


def _status_texts(statuses: Sequence[int]) -> list[str]:
    """Write whole hundreds as ``2xx``."""
    left = set(statuses)
    texts = []
    for hundred in range(10):
        block = range(hundred * 100, hundred * 100 + 100)
        if left.issuperset(block):
            texts.append(f"{hundred}xx")
            left.difference_update(block)
    return texts + [f"{status:03}" for status in sorted(left)]


def _key_texts(keys: Sequence[tuple[str, int]]) -> list[str]:
    return [prefix if not parts else f"{prefix}:{parts}" for prefix, parts in keys]


def write_settings(store: Path, settings: Settings) -> None:
    """Write ``store.toml``; it appears whole."""
    operations = "all" if settings.operations is None else list(settings.operations)
    statuses = "all" if settings.statuses is None else _status_texts(settings.statuses)
    keys = "all" if settings.keys is None else [[prefix, parts] for prefix, parts in settings.keys]
    lines = [
        _HEAD,
        f"format = {settings.format}",
        f"store_id = {_toml(settings.store_id)}",
        f"pseudonym_key_id = {_toml(settings.pseudonym_key_id)}",
        f"addresses = {_toml(settings.addresses)}",
        f"dedupe_lines = {_toml(settings.dedupe_lines)}",
        "",
        "[filter]",
        f"operations = {_toml(operations)}",
        f"statuses = {_toml(statuses)}",
        f"keys = {_toml(keys)}",
        f"exclude_networks = {_toml(list(settings.exclude_networks))}",
    ]
    if settings.exclude_ip_regex is not None:
        lines.append(f"exclude_ip_regex = {_toml(settings.exclude_ip_regex)}")
    write_whole(store / _NAME, "\n".join([*lines, ""]).encode())


def _toml(value: object) -> str:
    # JSON's texts, lists and booleans are TOML's too, but for DEL, which TOML wants escaped.
    return json.dumps(value).replace("\x7f", "\\u007f")


def read_settings(store: Path) -> Settings:
    """Read ``store.toml``.

    Raises
    ------
    TicklineError
        There is none, it is damaged, or a newer version of tickline made the store.
    """
    path = store / _NAME
    try:
        found = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError as error:
        hint = "Make one: tickline access ingest RAW --store STORE."
        raise UsageError("is no access store (it has no store.toml)", where=str(store), hint=hint) from error
    except OSError as error:
        raise explain_os_error(error, path) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    number = found.get("format")
    if type(number) is int and number > FORMAT:
        what = f"this store has format {number}, made by a newer version of tickline; this one knows {FORMAT}"
        raise TicklineError(what, where=str(store), hint="Update tickline.")
    if type(number) is not int or number < 1:
        raise _damaged(path, "it names no format")
    try:
        return _settings_of(found, number)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, why: str) -> TicklineError:
    hint = "Restore store.toml from a backup: nothing was changed."
    return TicklineError(f"cannot be understood ({why})", where=str(path), hint=hint)


def _settings_of(found: dict[str, Any], number: int) -> Settings:
    rules = found["filter"]
    operations, statuses, keys = rules["operations"], rules["statuses"], rules["keys"]
    if not (isinstance(found["store_id"], str) and re.fullmatch(r"[0-9a-f]{32}", found["store_id"])):
        raise ValueError("store_id is not 32 hex digits")
    if type(found["addresses"]) is not bool or type(found["dedupe_lines"]) is not bool:
        raise TypeError("addresses or dedupe_lines is neither true nor false")
    if not isinstance(rules.get("exclude_ip_regex", ""), str):
        raise TypeError("exclude_ip_regex is no text")
    return Settings(
        store_id=found["store_id"],
        pseudonym_key_id=str(found["pseudonym_key_id"]),
        format=number,
        operations=None if operations == "all" else _texts(operations),
        statuses=None if statuses == "all" else _statuses(_texts(statuses)),
        keys=None if keys == "all" else tuple((str(prefix), int(parts)) for prefix, parts in keys),
        exclude_networks=_texts(rules["exclude_networks"]),
        exclude_ip_regex=rules.get("exclude_ip_regex"),
        addresses=found["addresses"],
        dedupe_lines=found["dedupe_lines"],
    )


def _texts(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise TypeError("a list of texts was expected")
    return tuple(found)


def _statuses(texts: Sequence[str]) -> tuple[int, ...]:
    found: set[int] = set()
    for text in texts:
        found.update(
            range(int(text[0]) * 100, int(text[0]) * 100 + 100) if text.endswith("xx") else [int(text)]
        )
    return tuple(sorted(found))
