"""What a file of networks says, whatever its kind; and the check that these are networks."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tickline import _core
from tickline.errors import SourceError

__all__ = ["CACHES", "COPY_AGAIN", "RegionFile", "check_networks", "holds_address"]

CACHES = frozenset({"addresses", "hashes"})
"""Kinds of files that say of single requesters where they are: they are as private as addresses."""

COPY_AGAIN = "Copy it again from its origin."


@dataclass(slots=True)
class RegionFile:
    """What a file says.

    Attributes
    ----------
    kind : str
        ``aws``, ``gcp``, ``azure``, ``github``, ``list``, ``mmdb``, ``addresses``, ``hashes`` or ``ipinfo``.
    label : str or None
        The label of a list's lines without one of their own; None for other kinds.
    date : str or None
        The day the file was made on, ``YYYY-MM-DD``, if it says so.
    networks, labels : list of str
        One label for each network; both empty for ``mmdb`` and ``ipinfo``, which are asked one by one.
        For ``addresses`` and ``hashes``, each of `networks` is an address or the 40 hex digits of its hash.
    hash : str
        SHA-256 of the decompressed content, in hex.
    """

    kind: str
    label: str | None = None
    date: str | None = None
    networks: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    hash: str = ""

    def add(self, network: str, label: str) -> None:
        """Note one network."""
        self.networks.append(network)
        self.labels.append(label)


def check_networks(found: RegionFile, place_of: Callable[[int], str], path: str) -> RegionFile:
    """Refuse what is no network, by its place in the file; single addresses are not shown.

    Raises
    ------
    SourceError
        One of them is none.
    """
    if (bad := _core.first_bad_network(found.networks)) is None:
        return found
    index, why = bad
    text = found.networks[index][:80]
    try:
        hint = f"Did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        hint = "A network looks like 192.0.2.0/24 or 2001:db8::/32."
    # A cache of the old programs, or another table of requesters, may have been taken for a list.
    shown = "what stands there" if "/" not in text and holds_address(text) else repr(text)
    raise SourceError(f"{place_of(index)}: {shown} is {why}", where=path, hint=hint)


def holds_address(text: str) -> bool:
    """Tell whether an address stands somewhere in a text."""
    words = [word.strip(":") for word in re.split("[^0-9A-Fa-f:.]+", text)]
    return any(word and _core.first_bad_network([word]) is None for word in words)
