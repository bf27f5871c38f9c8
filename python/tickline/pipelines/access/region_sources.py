"""Files that say where networks are: what each one is, is told by its content.

| kind | content | label |
|---|---|---|
| ``aws`` | ip-ranges.json of AWS | ``AWS/<region>`` |
| ``gcp`` | cloud.json of Google | ``GCP/<scope>`` |
| ``github`` | the answer of api.github.com/meta | ``GitHub`` |
| ``list`` | a network or an address a line | the second column, ``LABEL`` of ``LABEL=FILE``, or ``VPN`` |
| ``mmdb`` | a City or Country database of MaxMind | ``CC/<first subdivision>`` or ``CC`` |

Columns of a list are divided by blanks or a tab, and ``#`` or ``;`` begins a comment. Each file may be
compressed (.gz, .zst). The content is held in memory, so there are bounds to it.
"""

import hashlib
import io
import ipaddress
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tickline import _core
from tickline.errors import SourceError, UsageError, explain_os_error
from tickline.pipelines.access.region_labels import RESERVED, clean_label, joined_label
from tickline.pipelines.access.region_mmdb import is_mmdb, open_mmdb
from tickline.sources import open_source

__all__ = ["DEFAULT_LABEL", "RegionFile", "Wanted", "chunks_of", "parse", "read_region_file"]

DEFAULT_LABEL = "VPN"
"""What the networks of a list without labels stand for."""

_MIB = 2**20
_MOST_BYTES = {"mmdb": 512 * _MIB, "list": 256 * _MIB, "JSON": 32 * _MIB}
_MOST_NETWORKS = 5_000_000
# Names of arrays in GitHub's answer; two of them tell it from any other JSON.
_GITHUB_NAMES = frozenset(
    {"actions", "api", "dependabot", "git", "hooks", "importer", "packages", "pages", "web"}
)
_KNOWN = (
    "Known are ip-ranges.json of AWS, cloud.json of Google, api.github.com/meta, lists of networks (one a "
    "line), and City or Country databases of MaxMind (.mmdb)."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source as it is named on the command line: ``FILE`` or ``LABEL=FILE``."""

    path: str
    label: str | None = None

    @classmethod
    def from_text(cls, text: str) -> "Wanted":
        """Split at the first ``=``, unless a file has the whole text as its name.

        Raises
        ------
        UsageError
            The label is empty or reserved, or no file is named.
        """
        before, sign, path = text.partition("=")
        if not sign or os.path.exists(text):  # noqa: PTH110 (an embedded NUL is no error here)
            before, path = "", text
        if not path or "\0" in path:
            raise UsageError("no file is named", where="source", hint="Write FILE or LABEL=FILE.")
        if not sign or path == text:
            return cls(path)
        label = clean_label(before)
        if not label or label in RESERVED:
            raise UsageError(f"{before!r} is no label for networks", where="source", hint="Write VPN=FILE.")
        return cls(path, label)


@dataclass(slots=True)
class RegionFile:
    """What a file says.

    Attributes
    ----------
    kind : str
        ``aws``, ``gcp``, ``github``, ``list`` or ``mmdb``.
    label : str or None
        The label of a list's lines without one of their own; None for other kinds.
    date : str or None
        The day the file was made on, ``YYYY-MM-DD``, if it says so.
    networks, labels : list of str
        One label for each network; both empty for ``mmdb``, which is asked address by address.
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


def _too_large(path: str, kind: str) -> SourceError:
    most = _MOST_BYTES[kind] // _MIB
    hint = f"Check what it is: a file of this kind may have up to {most} MiB, decompressed."
    return SourceError(f"is too large for a {kind} file of regions", where=path, hint=hint)


def chunks_of(path: str) -> Iterator[bytes]:
    """Yield the decompressed content of a regular file, up to the bound of the largest kind.

    Raises
    ------
    SourceError
        It cannot be read, is not a regular file, or is too large.
    """
    most = max(_MOST_BYTES.values())
    try:
        status = os.stat(path)
    except OSError as error:
        raise explain_os_error(error, path) from error
    # Looked at before it is opened: a pipe that nobody writes to would never open.
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise SourceError("is not a regular file", where=path, hint="Save the content to a file first.")
    if status.st_size > most:
        raise _too_large(path, "mmdb")
    size = 0
    with open_source(path) as source:
        for chunk in source.chunks():
            size += len(chunk)
            if size > most:
                raise _too_large(path, "mmdb")
            yield chunk


def read_region_file(wanted: Wanted) -> RegionFile:
    """Read and check a whole file.

    Raises
    ------
    SourceError
        It cannot be read or its content is not what it should be; the message says where in it.
    UsageError
        The file does not exist, or a label is given to one that has its own.
    """
    try:
        os.stat(wanted.path)
    except (FileNotFoundError, NotADirectoryError) as error:
        what = explain_os_error(error, wanted.path).what
        raise UsageError(what, where=wanted.path, hint="Write FILE or LABEL=FILE.") from error
    except OSError:
        pass  # what else is wrong is said when it is read
    chunks: list[bytes] = []
    size = 0
    for chunk in chunks_of(wanted.path):
        chunks.append(chunk)
        size += len(chunk)
        # No text has a NUL; whatever has may be a database, and only that may be so large.
        if size > _MOST_BYTES["list"] and b"\0" not in chunks[0]:
            raise _too_large(wanted.path, "list")
    content = b"".join(chunks)
    chunks.clear()
    return parse(content, wanted)


def parse(content: bytes, wanted: Wanted) -> RegionFile:
    """Tell what the content is, and check it; see `read_region_file`."""
    found = _mmdb(content, wanted.path) if is_mmdb(content) else _text(content, wanted)
    if wanted.label is not None and found.kind != "list":
        what = f"the label {wanted.label} is given to a file that has its own (kind {found.kind})"
        raise UsageError(what, where=wanted.path, hint="Only lists of networks take LABEL=FILE.")
    found.hash = hashlib.sha256(content).hexdigest()
    return found


def _text(content: bytes, wanted: Wanted) -> RegionFile:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        what = "is neither UTF-8 text nor a whole MaxMind database"
        raise SourceError(what, where=wanted.path, hint="Copy it again, or save it as UTF-8.")
    kind = "JSON" if text.lstrip()[:1] in ("{", "[") else "list"
    if len(content) > _MOST_BYTES[kind]:
        raise _too_large(wanted.path, kind)
    found = _json(text, wanted.path) if kind == "JSON" else _list(text, wanted)
    if not found.networks:
        raise SourceError("holds no network", where=wanted.path, hint="Was it copied to its end?")
    return found


def _check(found: RegionFile, place_of: Callable[[int], str], path: str) -> RegionFile:
    """Refuse what is no network, by its place in the file."""
    if (bad := _core.first_bad_network(found.networks)) is None:
        return found
    index, why = bad
    text = found.networks[index][:80]
    try:
        hint = f"Did you mean {ipaddress.ip_network(text, strict=False)}?"
    except ValueError:
        hint = "A network looks like 192.0.2.0/24 or 2001:db8::/32."
    raise SourceError(f"{place_of(index)}: {text!r} is {why}", where=path, hint=hint)


# ---- lists -------------------------------------------------------------------------------------------------


def _entries(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, network and label ("" without one)."""
    for number, line in enumerate(io.StringIO(text), 1):
        content = re.split("[#;]", line, maxsplit=1)[0] if "#" in line or ";" in line else line
        if columns := content.split(None, 1):
            yield number, columns[0], columns[1].partition("\t")[0] if len(columns) > 1 else ""


def _list(text: str, wanted: Wanted) -> RegionFile:
    label = wanted.label or DEFAULT_LABEL
    found = RegionFile("list", label=label)
    known = {"": label}
    for number, network, name in _entries(text):
        if len(found.networks) == _MOST_NETWORKS:
            what = f"line {number}: more than {_MOST_NETWORKS:,} networks stand in one list"
            raise SourceError(
                what, where=wanted.path, hint="Merge neighbouring networks, or use an .mmdb file."
            )
        if (own := known.get(name)) is None:
            own = known[name] = clean_label(name) or label
            if own in RESERVED:
                what = f"line {number}: {own!r} is no label for a network"
                raise SourceError(what, where=wanted.path, hint="Leave the line out.")
        found.add(network, own)

    def place_of(index: int) -> str:
        return f"line {next(number for at, (number, _, _) in enumerate(_entries(text)) if at == index)}"

    return _check(found, place_of, wanted.path)


# ---- JSON --------------------------------------------------------------------------------------------------


def _json(text: str, path: str) -> RegionFile:
    try:
        data = json.loads(text)
    except RecursionError as error:
        what = "its JSON is nested too deeply"
        raise SourceError(what, where=path, hint=_KNOWN) from error
    except ValueError as error:
        what = f"its JSON cannot be read ({error})"
        raise SourceError(what, where=path, hint="Copy it again from its origin.") from error
    if isinstance(data, dict):
        shape = _prefix_shape(data)
        if shape is not None:
            return _prefixes(data, shape, path)
        if sum(isinstance(data.get(name), list) for name in _GITHUB_NAMES) >= 2:
            return _github(data, path)
    raise SourceError("is JSON of an unknown shape", where=path, hint=_KNOWN)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a provider names things in its file."""

    kind: str
    label: str
    networks: tuple[str, ...]
    region: str
    dates: tuple[str, ...]


_SHAPES = (
    _Shape("aws", "AWS", ("ip_prefix", "ipv6_prefix"), "region", ("createDate", "syncToken")),
    _Shape("gcp", "GCP", ("ipv4Prefix", "ipv6Prefix"), "scope", ("creationTime", "syncToken")),
)


def _items(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("prefixes", "ipv6_prefixes"):
        if isinstance(items := data.get(name), list):
            for index, item in enumerate(items):
                yield f"{name}[{index}]", item


def _prefix_shape(data: Mapping[str, Any]) -> _Shape | None:
    first = next((item for _, item in _items(data)), None)
    if isinstance(first, dict):
        for shape in _SHAPES:
            if any(name in first for name in shape.networks):
                return shape
    return None


def _prefixes(data: Mapping[str, Any], shape: _Shape, path: str) -> RegionFile:
    found = RegionFile(
        shape.kind, date=next(filter(None, (_day(data.get(name)) for name in shape.dates)), None)
    )
    places: list[str] = []
    for place, item in _items(data):
        networks = [item[name] for name in shape.networks if name in item] if isinstance(item, dict) else []
        region = item.get(shape.region, "") if networks else ""
        if len(networks) != 1 or not isinstance(networks[0], str) or not isinstance(region, str):
            names = " or ".join(shape.networks)
            hint = "Copy it again from its origin."
            raise SourceError(f"{place} is not an entry with one {names}", where=path, hint=hint)
        found.add(networks[0], joined_label(shape.label, region))
        places.append(place)
    return _check(found, places.__getitem__, path)


def _github(data: Mapping[str, Any], path: str) -> RegionFile:
    """Take every array in which anything is a network: ssh keys are none, and names may come and go."""
    found = RegionFile("github")
    places: list[str] = []
    for name, items in data.items():
        texts = items if isinstance(items, list) and all(isinstance(item, str) for item in items) else []
        if all(_core.first_bad_network([text]) is not None for text in texts):
            continue
        for index, text in enumerate(texts):
            found.add(text, "GitHub")
            places.append(f"{name}[{index}]")
    return _check(found, places.__getitem__, path)


def _day(value: object) -> str | None:
    """Return the day of ``2024-05-01-12-13-04``, ``2024-05-01T12:13:04.5`` or seconds since 1970."""
    text = value if isinstance(value, str) else ""
    try:
        if re.fullmatch("[0-9]{1,11}", text):
            return datetime.fromtimestamp(int(text), UTC).date().isoformat()
        return datetime.strptime(text[:10], "%Y-%m-%d").date().isoformat()  # noqa: DTZ007 (a day has no zone)
    except (ValueError, OverflowError, OSError):
        return None


def _mmdb(content: bytes, path: str) -> RegionFile:
    with open_mmdb(io.BytesIO(content), path) as reader:
        return RegionFile("mmdb", date=_day(str(reader.metadata().build_epoch)))
