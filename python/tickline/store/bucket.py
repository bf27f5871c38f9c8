"""Files of a store in a bucket: workers without a shared folder write them there, others read them there.

The names are those below the store: ``parts/2024-05/....parquet``. ``manifest.json`` comes last, and says
which of them count.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tickline import _core
from tickline.clients.s3_errors import AnswerError, ForeignAnswerError, Place
from tickline.clients.s3_session import S3Location, S3Session
from tickline.errors import SourceError, explain_os_error
from tickline.files import Folders, WholeFile
from tickline.store.folder import StoreFolder
from tickline.store.ledger import PartFile
from tickline.store.manifest import MANIFEST, manifest_bytes
from tickline.store.parts import NewPart

__all__ = ["PartsBucket"]

# What readers elsewhere may still be reading, and workers may still be writing.
_KEEP_MS = 24 * 3_600_000
_KINDS = ("parts/", "daily/")


class PartsBucket:
    """The files of one store below ``s3://bucket/prefix``; safe to use from many threads, to be closed.

    Raises
    ------
    UsageError
        It is no address in S3.
    TicklineError
        boto3 is missing, or the settings of the SDK do not fit together.
    """

    def __init__(self, url: str) -> None:
        location = S3Location.parse(url)
        prefix = location.prefix.rstrip("/")
        self._location = S3Location(location.bucket, f"{prefix}/" if prefix else "")
        self._session = S3Session("s3")

    @property
    def url(self) -> str:
        """Where it is, with a slash at its end."""
        return self._location.url

    def _place(self, name: str, permission: str) -> Place:
        return Place(self.url + name, permission, self._session.host, self._session.signed)

    def _asking(self, name: str, permission: str, call: Callable[..., Any], **more: Any) -> Any:
        ask = {"Bucket": self._location.bucket, "Key": self._location.prefix + name, **more}
        return self._session.retrying(partial(call, ask), self._place(name, permission))

    def put(self, name: str, data: bytes) -> None:
        """Write an object; it is there whole, or not at all.

        Raises
        ------
        SourceError
            It cannot be written.
        """
        self._asking(name, "s3:PutObject", self._put, Body=data)

    def _put(self, ask: dict[str, Any]) -> None:
        # A proxy that says 200 to everything would else have taken it.
        if not self._session.s3.put_object(**ask).get("ETag"):
            raise ForeignAnswerError

    def get(self, name: str) -> bytes:
        """Read an object.

        Raises
        ------
        SourceError
            It is not there, or cannot be read.
        """
        data: bytes = self._asking(name, "s3:GetObject", self._get)
        return data

    def _get(self, ask: dict[str, Any]) -> bytes:
        answer = self._session.s3.get_object(**ask)
        with closing(answer["Body"]) as body:
            data: bytes = body.read()
        if len(data) != answer["ContentLength"]:
            raise AnswerError("short")
        return data

    def put_part(self, store: Path, path: str) -> None:
        """Write a finished file."""
        try:
            data = (store / path).read_bytes()
        except OSError as error:
            raise explain_os_error(error, store / path) from error
        self.put(path, data)

    def get_part(self, store: Path, part: NewPart, folders: Folders) -> None:
        """Bring a file to where it lies in a store; `Folders.sync` makes its name last.

        Raises
        ------
        SourceError
            It cannot be read, or is not what was written.
        """
        data = self.get(part.path)
        hashed = _core.ContentHash()
        hashed.update(data)
        if hashed.digest() != part.hash:
            hint = "Nothing of it was taken; run it again."
            raise SourceError("is not what was written there", where=self.url + part.path, hint=hint)
        file = WholeFile(store / part.path, folders)
        try:
            file.write(data)
            file.commit()
        finally:
            file.abort()

    def publish(self, folder: StoreFolder) -> None:
        """Bring the bucket to what the store holds now: files, then the manifest.

        Files that no commit names (any more) are taken away when they are a day old.
        """
        there = dict(self._listed())
        snapshot = folder.ledger.snapshot()
        files: tuple[PartFile, ...] = (*snapshot.parts, *snapshot.daily)
        for part in files:
            if part.path not in there:
                self.put_part(folder.path, part.path)
        self.publish_manifest(folder)
        named = {row[0] for row in folder.ledger.rows("SELECT path FROM parts")}
        now_ms = time.time_ns() // 1_000_000
        for name, modified_ms in there.items():
            if name not in named and now_ms - modified_ms > _KEEP_MS:
                self._asking(name, "s3:DeleteObject", lambda ask: self._session.s3.delete_object(**ask))

    def publish_manifest(self, folder: StoreFolder) -> None:
        """Say which files count; all of them must be there."""
        self.put(MANIFEST, manifest_bytes(folder.ledger, folder.settings))

    def _listed(self) -> Iterator[tuple[str, int]]:
        """Yield names and times, in milliseconds since 1970, of all files of the store."""
        for kind in _KINDS:
            below = S3Location(self._location.bucket, self._location.prefix + kind)
            for page in self._session.pages(below, self._place(kind, "s3:ListBucket")):
                for item in page.get("Contents", ()):
                    name = item["Key"].removeprefix(self._location.prefix)
                    yield name, int(item["LastModified"].timestamp() * 1000)

    def close(self) -> None:
        """Close the connections; more than once is harmless."""
        self._session.close()

    def __enter__(self) -> "PartsBucket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
