"""S3 through boto3: listing, and reading objects by ranges.

Where no credentials are found at all, requests are sent unsigned, which is what public buckets take; a bucket
that is not public then answers 403, and the error says that there were no credentials.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tickline.clients.s3_errors import AnswerError, ChangedError, Place
from tickline.clients.s3_reader import S3Reader
from tickline.clients.s3_session import S3Location, S3Session
from tickline.errors import SourceError

__all__ = ["PIECE_BYTES", "S3Client", "S3Location", "S3Object", "S3Reader"]

PIECE_BYTES = 8 * 2**20
_BLOCK_BYTES = 64 * 1024
# An attempt that brought so much was none in vain: a line that breaks every few MB is read to its end.
_PROGRESS_BYTES = 256 * 1024
# A piece that takes longer is asked for again, from where it is: a dripping connection must not hold a run.
_PIECE_SECONDS = 300.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object as it was listed.

    Attributes
    ----------
    size : int
        Bytes.
    etag : str
        Without quotes.
    modified_ms : int
        When it was written, in milliseconds since 1970.
    """

    bucket: str
    key: str
    size: int
    etag: str
    modified_ms: int

    @property
    def url(self) -> str:
        """``s3://bucket/key``, nothing escaped."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class _ObjectPieces:
    """The pieces of one object."""

    client: "S3Client"
    item: S3Object

    def fetch(self, start: int, length: int, /) -> bytearray:
        return self.client.fetch(self.item, start, length)

    def fetch_later(self, start: int, length: int, /) -> Future[bytearray]:
        try:
            return self.client.pool.submit(self.fetch, start, length)
        except RuntimeError as error:
            raise SourceError("its client was closed while it was read", where=self.item.url) from error


class S3Client:
    """Lists and reads; safe to use from many threads, to be closed in the end.

    What fails for a while (5xx, 429, time-outs, cut connections and answers) is tried again with growing
    pauses: six attempts, or as many as ``AWS_MAX_ATTEMPTS`` says; one that brought 256 KiB or more does not
    count.

    Parameters
    ----------
    threads : int
        How many pieces may be fetched ahead at a time, for all readers together.
    endpoint : str, optional
        URL of the server, in place of what the environment says.
    piece_bytes : int
        What one request asks for; a reader holds two of them.
    connect_timeout_s, read_timeout_s : float
        Seconds until a connection stands, and between two packets.
    backoff_s : float
        The first pause, which doubles each time up to 20 s.

    Raises
    ------
    TicklineError
        boto3 is missing, or the settings of the SDK do not fit together.
    """

    def __init__(
        self,
        threads: int = 4,
        *,
        endpoint: str | None = None,
        piece_bytes: int = PIECE_BYTES,
        attempts: int | None = None,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 60.0,
        backoff_s: float = 0.5,
    ) -> None:
        self._piece_bytes = piece_bytes
        self._session = S3Session(
            "s3",
            connections=max(10, 2 * threads),
            endpoint=endpoint,
            attempts=attempts,
            connect_timeout_s=connect_timeout_s,
            read_timeout_s=read_timeout_s,
            backoff_s=backoff_s,
        )
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="s3")

    # ---- listing ------------------------------------------------------------------------------------------

    def list(self, location: S3Location, *, after: str = "") -> Iterator[S3Object]:
        """Yield the objects below a location, page by page, in the order of their keys' UTF-8 bytes.

        Parameters
        ----------
        location : S3Location
            Bucket and prefix.
        after : str
            The key behind which to begin: where an earlier listing stopped.

        Raises
        ------
        SourceError
            The bucket does not exist, may not be listed, or cannot be reached.
        """
        ask = {"StartAfter": after} if after else {}
        for page in self._session.pages(location, self._place(location.url, "s3:ListBucket"), **ask):
            for item in page.get("Contents", ()):
                yield _listed(location.bucket, item)

    def _place(self, url: str, permission: str) -> Place:
        return Place(url, permission, self._session.host, self._session.signed)

    # ---- reading ------------------------------------------------------------------------------------------

    def open(self, item: S3Object, *, start: int = 0) -> S3Reader:
        """Return a reader of an object that was listed, from byte `start` on; no request is made yet."""
        return S3Reader(_ObjectPieces(self, item), start, item.size, self._piece_bytes)

    def fetch(self, item: S3Object, start: int, length: int) -> bytearray:
        """Return bytes of an object, exactly `length` of them.

        A connection that breaks is taken up again at the byte where it broke.

        Raises
        ------
        SourceError
            It cannot be read, or is no longer the object that was listed.
        """
        place = self._place(item.url, "s3:GetObject")
        data = bytearray()
        in_vain = 0
        while len(data) < length:
            before = len(data)
            try:
                self._get(item, start, length, data)
            except Exception as error:
                in_vain = 0 if len(data) - before >= _PROGRESS_BYTES else in_vain + 1
                self._session.pause(error, in_vain, place)
        return data

    def _get(self, item: S3Object, start: int, length: int, data: bytearray) -> None:
        """Make one request for what is missing, and append what comes."""
        before = len(data)
        first, last = start + before, start + length - 1
        only_if = {"IfMatch": f'"{item.etag}"'} if item.etag else {}
        answer = self._session.s3.get_object(
            Bucket=item.bucket, Key=item.key, Range=f"bytes={first}-{last}", **only_if
        )
        began = time.monotonic()
        with closing(answer["Body"]) as body:
            _check_range(answer, item, first, last)
            while len(data) < length:
                if time.monotonic() - began > _PIECE_SECONDS or self._session.closed.is_set():
                    raise AnswerError("too slow")
                if not (block := body.read(min(_BLOCK_BYTES, length - len(data)))):
                    raise AnswerError("short")
                data += block
            try:
                # At its end the SDK compares a checksum, if there is one, and frees the connection.
                body.read(1)
            except Exception:
                del data[before:]
                raise

    def close(self) -> None:
        """End what is under way and close all connections; more than once is harmless.

        A request that a server keeps waiting ends with its time-out.
        """
        self._session.closed.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._session.close()

    def __enter__(self) -> "S3Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listed(bucket: str, item: dict[str, Any]) -> S3Object:
    modified_ms = (item["LastModified"] - _EPOCH) // timedelta(milliseconds=1)
    return S3Object(bucket, item["Key"], item["Size"], item.get("ETag", "").strip('"'), modified_ms)


def _check_range(answer: dict[str, Any], item: S3Object, first: int, last: int) -> None:
    """Refuse an answer that is no part of the object that was listed, or another part of it."""
    if item.etag and answer.get("ETag", "").strip('"') != item.etag:
        raise ChangedError
    given = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.get("ContentRange", ""))
    if given is None:
        whole = (first, last) == (0, item.size - 1) and answer.get("ContentLength") == item.size
    else:
        if given[3] not in ("*", str(item.size)):
            raise ChangedError
        whole = (int(given[1]), int(given[2])) == (first, last)
    if not whole:
        what = "the server does not send the range that was asked for"
        raise SourceError(what, where=item.url, hint="Copy it to a local file, and read that.")
