"""S3 through boto3: listing, and reading objects by ranges.

Region, endpoint and credentials are decided by what decides them for every program that uses the AWS SDK:
``AWS_PROFILE``, ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL`` and the others, ``~/.aws``, the role of the
machine. Where no credentials are found at all, requests are sent unsigned, which is what public buckets take;
a bucket that is not public then answers 403, and the error says that there were no credentials.
"""

import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from tickline import _core
from tickline.clients.s3_errors import (
    AnswerError,
    ChangedError,
    ForeignAnswerError,
    Place,
    endpoint_name,
    explain_s3_error,
    is_passing,
)
from tickline.clients.s3_reader import S3Reader
from tickline.errors import SourceError, TicklineError, UsageError

__all__ = ["PIECE_BYTES", "S3Client", "S3Location", "S3Object", "S3Reader"]

PIECE_BYTES = 8 * 2**20
_BLOCK_BYTES = 64 * 1024
# An attempt that brought so much was none in vain: a line that breaks every few MB is read to its end.
_PROGRESS_BYTES = 256 * 1024
# A piece that takes longer is asked for again, from where it is: a dripping connection must not hold a run.
_PIECE_SECONDS = 300.0
_LONGEST_PAUSE_S = 20.0
_ATTEMPTS = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCATION_HINT = "Write it as s3://bucket/prefix."

_T = TypeVar("_T")


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
class S3Location:
    """A bucket, and the text that keys begin with."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """``s3://bucket/prefix``."""
        return f"s3://{self.bucket}/{self.prefix}"

    @classmethod
    def parse(cls, text: str) -> "S3Location":
        """Read ``s3://bucket/prefix``; the prefix may be empty, and is taken literally.

        Raises
        ------
        UsageError
            It is something else, or names no bucket.
        """
        if not text.startswith("s3://"):
            raise UsageError("is no address in S3", where=_without_password(text), hint=_LOCATION_HINT)
        bucket, _, prefix = text[5:].partition("/")
        if not bucket:
            raise UsageError("names no bucket", where=text, hint=_LOCATION_HINT)
        if bucket.startswith("arn:"):
            hint = "Use the bucket's name, or the alias of the access point."
            raise UsageError("ARNs are not taken", where="s3://arn:...", hint=hint)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
            what = "no bucket can have this name"
            if "@" in bucket or ":" in bucket:
                what += " (credentials and ports do not belong into it)"
            raise UsageError(what, where=_without_password(text), hint=_LOCATION_HINT)
        return cls(bucket, prefix)


def _without_password(text: str) -> str:
    scheme, _, rest = text.partition("//")
    host, slash, path = rest.partition("/")
    if "@" in host or ":" in host:
        return f"{scheme}//***{slash}{path}"
    return text


def _import_sdk() -> tuple[Any, Any]:
    """Return boto3 and botocore, or say which extra brings them."""
    try:
        import boto3
        import botocore
        import botocore.config
        import botocore.session
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[s3]'."
        raise TicklineError("reading from S3 needs boto3, which is not installed", hint=hint) from error
    return boto3, botocore


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
        boto3, botocore = _import_sdk()
        self._piece_bytes = piece_bytes
        self._backoff_s = backoff_s
        self._closed = threading.Event()
        self._signed = True
        config = {
            "connect_timeout": connect_timeout_s,
            "read_timeout": read_timeout_s,
            "max_pool_connections": max(10, 2 * threads),
            "tcp_keepalive": True,
            # One policy for all requests, see `_pause`.
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "user_agent_extra": f"tickline/{_core.__version__}",
        }
        settings = Place("S3", "s3:ListBucket", endpoint_name(endpoint), signed=True)
        try:
            core = botocore.session.get_session()
            session = boto3.session.Session(botocore_session=core)
            self._attempts = attempts or _max_attempts(core)
            if session.get_credentials() is None:
                self._signed = False
                config["signature_version"] = botocore.UNSIGNED
            self._s3 = session.client("s3", endpoint_url=endpoint, config=botocore.config.Config(**config))
        except Exception as error:
            if (explained := explain_s3_error(error, settings)) is not None:
                raise explained from error
            if not isinstance(error, ValueError):
                raise
            hint = "AWS_ENDPOINT_URL is written as https://host or http://host:port."
            raise UsageError("the address of the S3 server is not valid", hint=hint) from error
        self._endpoint = endpoint_name(self._s3.meta.endpoint_url)
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
        place = Place(location.url, "s3:ListBucket", self._endpoint, self._signed)
        ask = {"Bucket": location.bucket, "Prefix": location.prefix}
        if after:
            ask["StartAfter"] = after
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = self._retrying(partial(self._list_page, **ask, **more), place)
            for item in page.get("Contents", ()):
                yield _listed(location.bucket, item)
            if not page["IsTruncated"]:
                return
            following = page.get("NextContinuationToken")
            if not following or following == token:
                what = "the server says that its listing goes on, but not where"
                raise SourceError(what, where=location.url, hint="Check AWS_ENDPOINT_URL.")
            token = following

    def _list_page(self, **ask: str) -> dict[str, Any]:
        page: dict[str, Any] = self._s3.list_objects_v2(**ask)
        # Any XML without keys would else be an empty bucket.
        if "IsTruncated" not in page:
            raise ForeignAnswerError
        return page

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
        place = Place(item.url, "s3:GetObject", self._endpoint, self._signed)
        data = bytearray()
        in_vain = 0
        while len(data) < length:
            before = len(data)
            try:
                self._get(item, start, length, data)
            except Exception as error:
                in_vain = 0 if len(data) - before >= _PROGRESS_BYTES else in_vain + 1
                self._pause(error, in_vain, place)
        return data

    def _get(self, item: S3Object, start: int, length: int, data: bytearray) -> None:
        """Make one request for what is missing, and append what comes."""
        before = len(data)
        first, last = start + before, start + length - 1
        only_if = {"IfMatch": f'"{item.etag}"'} if item.etag else {}
        answer = self._s3.get_object(
            Bucket=item.bucket, Key=item.key, Range=f"bytes={first}-{last}", **only_if
        )
        began = time.monotonic()
        with closing(answer["Body"]) as body:
            _check_range(answer, item, first, last)
            while len(data) < length:
                if time.monotonic() - began > _PIECE_SECONDS or self._closed.is_set():
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

    # ---- attempts -----------------------------------------------------------------------------------------

    def _retrying(self, call: Callable[[], _T], place: Place) -> _T:
        in_vain = 0
        while True:
            try:
                return call()
            except Exception as error:
                in_vain += 1
                self._pause(error, in_vain, place)

    def _pause(self, error: Exception, in_vain: int, place: Place) -> None:
        """Wait before the next attempt, or raise what there is to say."""
        if not is_passing(error) or in_vain >= self._attempts or self._closed.is_set():
            if (explained := explain_s3_error(error, place, in_vain)) is None:
                raise error
            raise explained from error
        longest = min(self._backoff_s * 2 ** max(in_vain - 1, 0), _LONGEST_PAUSE_S)
        # Not all threads at the same moment.
        self._closed.wait(longest * random.uniform(0.5, 1))  # noqa: S311

    def close(self) -> None:
        """End what is under way and close all connections; more than once is harmless.

        A request that a server keeps waiting ends with its time-out.
        """
        self._closed.set()
        self.pool.shutdown(wait=True, cancel_futures=True)
        self._s3.close()

    def __enter__(self) -> "S3Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _max_attempts(session: Any) -> int:
    """Return what AWS_MAX_ATTEMPTS, or max_attempts of the profile, says."""
    try:
        wanted = session.get_config_variable("max_attempts")
    except ValueError as error:
        raise UsageError("is no number", where="AWS_MAX_ATTEMPTS", hint="Write 1 or more.") from error
    return max(1, wanted) if wanted is not None else _ATTEMPTS


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
