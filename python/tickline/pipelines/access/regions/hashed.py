"""Caches of the old programs: which region an address was given, by its salted hash or by itself.

``ip_hash_to_region.yaml`` of dandi_s3_log_parser 0.4.2 has keys ``sha1(address + salt)`` in hex, with the
salt of ``IP_HASH_SALT``; ``ip_to_region.yaml`` of s3-log-extraction 1.10 has the addresses themselves. Values
are labels; null is ``unknown``, and ``undetermined`` is no answer at all. ``ip_hash_not_in_services.yaml``
has ``true`` for whom no list of networks held: labels as the old programs gave them
(`tickline.pipelines.access.regions.strict`) do not look such an address up in lists.

They are flat YAML, read event by event: aliases, tags and nested values are refused.
"""

import hashlib
import re
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.errors import SourceError, TicklineError
from tickline.pipelines.access.regions.file import COPY_AGAIN, RegionFile, holds_address
from tickline.pipelines.access.regions.labels import MISSING, UNDETERMINED, UNKNOWN, clean_label
from tickline.pipelines.access.regions.salt import ENVIRONMENT
from tickline.store.ledger import unsigned
from tickline.store.pseudonyms import canonical

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["Cache", "is_cache", "is_encrypted", "parse_cache", "refuse_encrypted", "refuse_other_salt"]

_NOT_IN_LISTS = ""
"""The label of an entry that is ``true``."""

_HASH = re.compile("[0-9a-f]{40}")
# Comments, blank lines, and the first key, perhaps in quotes.
_BEGIN = re.compile(
    "(?:[ \t]*(?:#[^\n]*)?\r?\n|---[ \t]*\r?\n)*(['\"]?)([0-9a-fA-F:.]+)\\1[ \t]*:(?=\\s)", flags=re.ASCII
)
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUES = frozenset({"true", "True", "TRUE"})
# Fernet's first byte is its version, 128, and then come the upper bytes of a time: this, in base64.
_FERNET = b"gAAAAA"
_DIGEST_BYTES = 20
_LEAST_KNOWN = 20
_BATCH = 50_000


def is_cache(text: str) -> bool:
    """Tell whether a text begins as one of these files does, and not as a list of networks."""
    begin = _BEGIN.match(text)
    return begin is not None and (_HASH.fullmatch(begin[2].lower()) is not None or _is_address(begin[2]))


def is_encrypted(content: bytes) -> bool:
    """Tell whether this is what s3-log-extraction writes where it encrypts (Fernet)."""
    return content.startswith(_FERNET)


def refuse_encrypted(where: str) -> SourceError:
    """Return what to say of an encrypted cache."""
    hint = (
        "Decrypt it with decrypt_bytes of s3-log-extraction, where S3_LOG_EXTRACTION_PASSWORD is set; write "
        "the result to a file that only you may read, and name that."
    )
    return SourceError("is encrypted, as s3-log-extraction writes its caches", where=where, hint=hint)


def _is_address(text: str) -> bool:
    return "/" not in text and _core.first_bad_network([text]) is None


def parse_cache(text: str, where: str) -> RegionFile:
    """Understand such a file.

    Returns
    -------
    RegionFile
        Of kind ``hashes`` or ``addresses``. Of a key that stands there twice, the last one counts.

    Raises
    ------
    SourceError
        It is cut, or is no flat YAML of addresses or of hashes. The message has a line, never a key.
    """
    if not text.endswith("\n"):
        what = "ends in the middle of a line"
        raise SourceError(what, where=where, hint="It was cut off: copy it again from its origin.")
    found = RegionFile("")
    known: dict[str, str] = {}
    lines = array("i")
    for line, key, value in _pairs(text, where):
        kind = "hashes" if _HASH.fullmatch(key.lower()) else "addresses"
        found.kind = found.kind or kind
        if kind != found.kind:
            what = f"line {line}: some keys are hashes, and some are not"
            raise SourceError(what, where=where, hint=COPY_AGAIN)
        if (label := known.get(value)) is None:
            label = known[value] = value and clean_label(value)
            if value and (not label or holds_address(label)):
                raise SourceError(f"line {line}: its region is no name", where=where, hint=COPY_AGAIN)
        if label not in (UNDETERMINED, MISSING):
            found.add(key.lower() if kind == "hashes" else canonical(key), label)
            lines.append(line)
    if found.kind == "addresses":
        _check_addresses(found, lines, where)
    return found


def _check_addresses(found: RegionFile, lines: Sequence[int], where: str) -> None:
    bad = _core.first_bad_network(found.networks)
    index = bad[0] if bad else next((at for at, text in enumerate(found.networks) if "/" in text), None)
    if index is not None:
        what = f"line {lines[index]}: its key is neither an address nor a hash of 40 hex digits"
        raise SourceError(what, where=where, hint=COPY_AGAIN)


def _pairs(text: str, where: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, key and value of a flat mapping; ``unknown`` for null, `_NOT_IN_LISTS` for true."""
    yaml = _import_yaml()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    line = 1
    try:
        events = yaml.parse(text, Loader=loader)
        begins = [type(next(events, None)) for _ in range(3)]
        if begins != [yaml.StreamStartEvent, yaml.DocumentStartEvent, yaml.MappingStartEvent]:
            raise _no_mapping(line, where)
        for event in events:
            line = event.start_mark.line + 1
            if isinstance(event, yaml.MappingEndEvent):
                break
            yield line, _scalar(event, yaml, where), _value(next(events), yaml, where)
        if [type(event) for event in events] != [yaml.DocumentEndEvent, yaml.StreamEndEvent]:
            raise _no_mapping(line, where)
    except yaml.YAMLError as error:
        # What the parser says quotes the line, and so a key.
        mark = getattr(error, "problem_mark", None)
        raise _no_mapping(mark.line + 1 if mark else line, where) from None


def _no_mapping(line: int, where: str) -> SourceError:
    what = f"line {line}: is no flat YAML of one `key: region` a line"
    return SourceError(what, where=where, hint=COPY_AGAIN)


def _scalar(event: Any, yaml: Any, where: str) -> str:
    if not isinstance(event, yaml.ScalarEvent) or event.anchor or event.tag:
        raise _no_mapping(event.start_mark.line + 1, where)
    return str(event.value)


def _value(event: Any, yaml: Any, where: str) -> str:
    text = _scalar(event, yaml, where)
    plain = event.implicit[0]
    if plain and text in _NULLS:
        return UNKNOWN
    if plain and text in _TRUES:
        return _NOT_IN_LISTS
    if not text:
        raise _no_mapping(event.start_mark.line + 1, where)
    return text


def _import_yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[regions]'"
        raise TicklineError("caches of the old programs need PyYAML", hint=hint) from error
    return yaml


class Cache:
    """A cache that can be asked: 24 bytes an entry.

    Parameters
    ----------
    found : RegionFile
        Of kind ``hashes`` or ``addresses``.
    salt : bytes
        What the hashes were made with; not used for ``addresses``.
    """

    def __init__(self, found: RegionFile, salt: bytes) -> None:
        import numpy as np

        hashed = found.kind == "hashes"
        self._salt = salt if hashed else b""
        self.labels = list(dict.fromkeys(found.labels))
        numbers = {label: number for number, label in enumerate(self.labels)}
        coded = np.fromiter((numbers[label] for label in found.labels), np.int32, len(found.labels))
        digests = b"".join(map(bytes.fromhex, found.networks)) if hashed else self._digests(found.networks)
        keys = np.frombuffer(digests, f"S{_DIGEST_BYTES}")
        order = np.argsort(keys, kind="stable")
        self._keys, self._numbers = keys[order], coded[order]

    def _digests(self, addresses: Sequence[str]) -> bytes:
        # SHA-1 is what the old program took.
        salt = self._salt
        return b"".join(
            hashlib.sha1(address.encode("utf-8", "surrogateescape") + salt, usedforsecurity=False).digest()
            for address in addresses
        )

    def find(self, addresses: Sequence[str]) -> list[str | None]:
        """Return the label of each address; None for one that is not here, "" for `true`."""
        import numpy as np

        asked = np.frombuffer(self._digests(addresses), f"S{_DIGEST_BYTES}")
        at = np.searchsorted(self._keys, asked, side="right") - 1
        there = (at >= 0) & (self._keys[at] == asked)
        numbers = np.where(there, self._numbers[at], -1).tolist()
        return [self.labels[number] if number >= 0 else None for number in numbers]


def refuse_other_salt(folder: "StoreFolder", cache: Cache, where: str) -> None:
    """Make sure that `cache` knows at least one of the store's addresses, if that has twenty of them or more.

    Raises
    ------
    TicklineError
        It knows none: the salt of the environment is not the one that it was made with.
    """
    known = 0
    for addresses in _known_addresses(folder):
        known += len(addresses)
        if any(label is not None for label in cache.find(addresses)):
            return
    if known >= _LEAST_KNOWN:
        what = f"knows none of this store's {known:,} addresses, so {ENVIRONMENT} is not its salt"
        hint = (
            "Set the salt that it was made with (tickline access salt RAW makes it of the raw logs), or "
            "leave the cache out; nothing was changed."
        )
        raise TicklineError(what, where=where, hint=hint)


def _known_addresses(folder: "StoreFolder") -> Iterator[list[str]]:
    pseudonyms = folder.pseudonyms()
    last = 0
    sql = "SELECT number, id FROM requesters WHERE number > ? ORDER BY number LIMIT ?"
    while rows := folder.ledger.rows(sql, [last, _BATCH]):
        last = rows[-1]["number"]
        found = pseudonyms.addresses([unsigned(row["id"]) for row in rows])
        yield [address for address in found if address is not None]
