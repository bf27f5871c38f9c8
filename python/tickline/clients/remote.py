"""Finding logs that lie elsewhere: ``s3://`` through boto3, any other address through fsspec.

What an address stands for is decided as for paths: a file, the logs below a folder, or a pattern. Passwords
belong into the settings of fsspec or the SDK, and an address that holds one is refused: addresses are printed
and sent to workers.
"""

import fnmatch
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tickline.clients.remote_files import Address, RemoteFile, explained, file_system, remote_file, shown
from tickline.discovery import Discovery, Found, Wanted, is_s3, natural_key
from tickline.errors import SourceError, UsageError

if TYPE_CHECKING:
    from tickline.clients.s3 import S3Client

__all__ = ["Remotes", "is_remote"]

_MAGIC = re.compile(r"[*?\[]")
_HTTP_MAGIC = re.compile(r"[*\[]")  # there a query begins with a question mark
# A colon that no port follows, and an @ behind it: a password, which may hold slashes.
_PASSWORD = re.compile(r"[^:]*://[^/:?#\[]*:(?![0-9]*(?:[/?#]|$)).*@", re.DOTALL)


def is_remote(location: str) -> bool:
    """Tell whether a location is an address (``scheme://...``) rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", location) is not None and not os.path.lexists(location)


@dataclass(slots=True)
class Remotes:
    """Finds remote logs; to be closed in the end."""

    addresses: dict[str, Address] = field(default_factory=dict)
    _client: "S3Client | None" = None

    @property
    def client(self) -> "S3Client":
        """The client for S3, which is made when it is first needed."""
        if self._client is None:
            from tickline.clients.s3 import S3Client

            self._client = S3Client()
        return self._client

    def find(self, location: str, wanted: Wanted) -> Discovery:
        """Find the files that an address stands for; each is `addresses` by its name then.

        Returns
        -------
        Discovery
            Files in natural order of their names. What cannot be listed is among `problems`.

        Raises
        ------
        TicklineError
            The address holds a password, its kind is not known, or a package is missing.
        """
        if _PASSWORD.match(location):
            hint = "Put it into the settings of fsspec (~/.config/fsspec, FSSPEC_...), where nobody reads it."
            raise UsageError("a password does not belong into it", where=shown(location), hint=hint)
        found = Discovery()
        try:
            of_s3 = is_s3(location)
            listed = self._objects(location, wanted) if of_s3 else _files(location, wanted)
        except SourceError as error:
            found.problems.append(error)
            return found
        listed.sort(key=lambda address: natural_key(address.name))
        found.files = [Found(name, name) for name in map(self._named, listed)]
        return found

    def _named(self, address: Address) -> str:
        """Keep an address, and return its name; those that differ in what is not shown get a number."""
        name, number = address.name, 1
        while self.addresses.get(name, address).url != address.url:
            number += 1
            name = f"{address.name} ({number})"
        self.addresses[name] = replace(address, name=name)
        return name

    def _objects(self, location: str, wanted: Wanted) -> list[Address]:
        from tickline.clients.s3 import S3Location

        try:
            place = S3Location.parse(location)
        except UsageError as error:
            raise UsageError(error.what, where=shown(location), hint=error.hint) from None
        prefix = place.prefix
        parts = prefix.split("/")
        magic = _MAGIC.search(prefix)
        folder = prefix.rstrip("/") + "/" if prefix else ""
        matched = []
        for item in self.client.list(S3Location(place.bucket, prefix[: magic.start()] if magic else prefix)):
            address = Address(item.url, item.url, item)
            if item.key == prefix and not prefix.endswith("/"):
                return [address]
            if magic:
                taken = not item.key.endswith("/") and _matches(item.key.split("/"), parts)
            else:
                taken = item.key.startswith(folder) and _is_log(item.key[len(folder) :], wanted)
            if taken:
                matched.append(address)
        if not matched and not magic:
            raise _nothing(location, wanted)
        return matched

    def file(self, address: Address) -> RemoteFile:
        """Open a file; there is nothing to be closed.

        Raises
        ------
        SourceError
            It cannot be opened, or is a damaged .gz or .zst.
        """
        return remote_file(address, None if address.item is None else self.client)

    @contextmanager
    def opened(self, address: Address) -> Iterator[tuple[str, RemoteFile | Iterator[bytes]]]:
        """Open a file; give its name, and the file if it is plain or the chunks of anything else.

        Raises
        ------
        SourceError
            It cannot be opened.
        """
        file = self.file(address)
        yield file.path, file if file.kind == "plain" else file.chunks()

    def close(self) -> None:
        """Close the connections; more than once is harmless."""
        if self._client is not None:
            self._client.close()

    def __enter__(self) -> "Remotes":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _nothing(location: str, wanted: Wanted) -> SourceError:
    what, hint = f"no {wanted.what} were found there", f"Looked for {wanted.looked_for}."
    return SourceError(what, where=shown(location), hint=hint)


def _is_log(name: str, wanted: Wanted) -> bool:
    *folders, base = name.split("/")
    return wanted.is_name(base) and not any(part.startswith(wanted.hidden) for part in (base, *folders))


def _matches(parts: list[str], pattern: list[str]) -> bool:
    """Tell whether a key fits a pattern, part by part; ``**`` stands for any number of parts."""
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _files(location: str, wanted: Wanted) -> list[Address]:
    system, path = file_system(location)
    with explained(location):
        magic = _HTTP_MAGIC if location[:4].lower() == "http" else _MAGIC
        if magic.search(path) and not system.exists(path):
            return [_address(system, location, one) for one in system.glob(path)]
        if not path.endswith("/") and system.info(path)["type"] != "directory":
            return [_address(system, location, path)]
        below = [str(one) for one in system.find(path)]
    taken = [one for one in below if _is_log(one.removeprefix(path).lstrip("/"), wanted)]
    if not taken:
        raise _nothing(location, wanted)
    return [_address(system, location, one) for one in taken]


def _address(system: Any, location: str, path: str) -> Address:
    """Return the address of a file of a file system, whose paths may lack the host."""
    if "://" in path:
        return Address(shown(path), path)
    scheme, _, rest = location.partition("://")
    url = f"{scheme}://{rest.partition('/')[0]}{path}"
    # In some file systems the first part of an address belongs to the path.
    url = url if system._strip_protocol(url) == path else system.unstrip_protocol(path)
    return Address(shown(url), url)
