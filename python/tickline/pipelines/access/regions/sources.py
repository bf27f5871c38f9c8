"""Sources that say where networks are: what a file is, is told by its content.

| kind | content | label |
|---|---|---|
| ``aws`` | ip-ranges.json of AWS | ``AWS/<region>`` |
| ``gcp`` | cloud.json of Google | ``GCP/<scope>`` |
| ``azure`` | Service Tags of Azure | ``Azure/<region>``, or ``Azure`` |
| ``github`` | the answer of api.github.com/meta | ``GitHub`` |
| ``list`` | a network or an address a line | the second column, ``LABEL`` of ``LABEL=FILE``, or ``VPN`` |
| ``mmdb`` | a City or Country database of MaxMind | ``CC/<first subdivision>`` or ``CC`` |
| ``addresses`` | ``ip_to_region.yaml`` of s3-log-extraction | as it says |
| ``hashes`` | ``ip_hash_to_region.yaml`` of dandi_s3_log_parser | as it says |
| ``ipinfo`` | no file: the service, asked address by address | ``CC/<region>`` or ``CC`` |

Columns of a list are divided by blanks or a tab, and ``#`` or ``;`` begins a comment. Each file may be
compressed (.gz, .zst), and may lie behind a URL. The content is held in memory, so there are bounds to it.
"""

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from tickline.errors import SourceError, UsageError, explain_os_error, printable
from tickline.pipelines.access.regions.file import RegionFile, check_networks, holds_address
from tickline.pipelines.access.regions.formats import day_of, parse_json
from tickline.pipelines.access.regions.hashed import is_cache, is_encrypted, parse_cache, refuse_encrypted
from tickline.pipelines.access.regions.labels import RESERVED, clean_label
from tickline.pipelines.access.regions.mmdb import is_mmdb, open_mmdb
from tickline.sources import open_source

__all__ = ["DEFAULT_LABEL", "IPINFO", "SERVICES", "Wanted", "chunks_of", "parse", "read_region_file"]

DEFAULT_LABEL = "VPN"
"""What the networks of a list without labels stand for."""

IPINFO = "ipinfo"
"""The source that is no list: a service that is asked, see `tickline.pipelines.access.regions.ipinfo`."""

SERVICES = {
    "aws": "https://ip-ranges.amazonaws.com/ip-ranges.json",
    "gcp": "https://www.gstatic.com/ipranges/cloud.json",
    "github": "https://api.github.com/meta",
    "vpn": "https://raw.githubusercontent.com/josephrocca/is-vpn/main/vpn-or-datacenter-ipv4-ranges.txt",
}
"""Lists that have a name, and where they are published."""

_MIB = 2**20
_MOST_BYTES = {"mmdb": 512 * _MIB, "list": 256 * _MIB, "cache": 64 * _MIB, "JSON": 32 * _MIB}
_MOST_NETWORKS = 5_000_000
_FORMS = "Write FILE, LABEL=FILE, https://..., " + ", ".join([*SERVICES, f"or {IPINFO}."])


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source as it is named on the command line: ``[LABEL=]FILE``, ``https://...``, ``aws``, ``ipinfo``.

    Attributes
    ----------
    path : str
        The file; for a URL that of its content, once it was fetched.
    label : str or None
        What networks without a label of their own stand for.
    url : str or None
        Where the file is fetched from.
    """

    path: str
    label: str | None = None
    url: str | None = None

    @classmethod
    def from_text(cls, text: str) -> "Wanted":
        """Split at the first ``=``, unless the whole text is a URL or the name of a file.

        A file that is called like a service is named with its folder: ``./aws``.

        Raises
        ------
        UsageError
            The label is empty or reserved, or no file is named.
        """
        before, sign, rest = text.partition("=")
        if not sign or _is_url(text) or os.path.exists(text):  # noqa: PTH110 (an embedded NUL is no error here)
            before, rest = "", text
        if not rest or "\0" in rest:
            raise UsageError("no file is named", where="source", hint=_FORMS)
        url = SERVICES.get(rest, rest if _is_url(rest) else None)
        path = rest if url is None else ""
        if not sign or rest == text:
            return cls(path, url=url)
        label = clean_label(before)
        if not label or label in RESERVED:
            raise UsageError(f"{before!r} is no label for networks", where="source", hint="Write VPN=FILE.")
        return cls(path, label, url)

    @property
    def asks(self) -> bool:
        """Whether this is no file but the service that is asked."""
        return self.url is None and self.path == IPINFO

    @property
    def where(self) -> str:
        """What messages call it: the file, or the URL without its query, which may hold a token."""
        return self.path if self.url is None else _without_query(self.url)

    @property
    def name(self) -> str:
        """The last part of its name, fit for one line."""
        return printable(re.split("/+", self.where.rstrip("/"))[-1])


def _is_url(text: str) -> bool:
    return text.startswith(("https://", "http://"))


def _without_query(url: str) -> str:
    scheme, _, rest = re.split("[?#]", url, maxsplit=1)[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


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
    """Read and check a whole file; for a URL that of its `path`.

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
        raise UsageError(what, where=wanted.path, hint=_FORMS) from error
    except OSError:
        pass  # what else is wrong is said when it is read
    try:
        return parse(_content(wanted), wanted)
    except SourceError as error:
        error.where = wanted.where  # and not the file that it was fetched into
        raise


def _content(wanted: Wanted) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in chunks_of(wanted.path):
        chunks.append(chunk)
        size += len(chunk)
        # No text has a NUL; whatever has may be a database, and only that may be so large.
        if size > _MOST_BYTES["list"] and b"\0" not in chunks[0]:
            raise _too_large(wanted.where, "list")
    return b"".join(chunks)


def parse(content: bytes, wanted: Wanted) -> RegionFile:
    """Tell what the content is, and check it; see `read_region_file`."""
    found = _mmdb(content, wanted.where) if is_mmdb(content) else _text(content, wanted)
    if wanted.label is not None and found.kind != "list":
        what = f"the label {wanted.label} is given to a file that has its own (kind {found.kind})"
        raise UsageError(what, where=wanted.where, hint="Only lists of networks take LABEL=FILE.")
    found.hash = hashlib.sha256(content).hexdigest()
    return found


def _text(content: bytes, wanted: Wanted) -> RegionFile:
    if is_encrypted(content):
        raise refuse_encrypted(wanted.where)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        what = "is neither UTF-8 text nor a whole MaxMind database"
        raise SourceError(what, where=wanted.where, hint="Copy it again, or save it as UTF-8.")
    kind = "JSON" if text.lstrip()[:1] in ("{", "[") else "cache" if is_cache(text) else "list"
    if len(content) > _MOST_BYTES[kind]:
        raise _too_large(wanted.where, kind)
    if kind == "list":
        found = _list(text, wanted)
    else:
        found = (parse_json if kind == "JSON" else parse_cache)(text, wanted.where)
    if not found.networks:
        raise SourceError("holds no network", where=wanted.where, hint="Was it copied to its end?")
    return found


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
                what, where=wanted.where, hint="Merge neighbouring networks, or use an .mmdb file."
            )
        if (own := known.get(name)) is None:
            own = known[name] = clean_label(name) or label
            if own in RESERVED:
                what = f"line {number}: {own!r} is no label for a network"
                raise SourceError(what, where=wanted.where, hint="Leave the line out.")
            if holds_address(own):
                # Labels are published. Ranges from one address to another look like this, too.
                what = f"line {number}: an address stands where the label of the network belongs"
                raise SourceError(what, where=wanted.where, hint="Write 192.0.2.0/24, one a line.")
        found.add(network, own)

    def place_of(index: int) -> str:
        return f"line {next(number for at, (number, _, _) in enumerate(_entries(text)) if at == index)}"

    return check_networks(found, place_of, wanted.where)


def _mmdb(content: bytes, path: str) -> RegionFile:
    with open_mmdb(io.BytesIO(content), path) as reader:
        return RegionFile("mmdb", date=day_of(str(reader.metadata().build_epoch)))
