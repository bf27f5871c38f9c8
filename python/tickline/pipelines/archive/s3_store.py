"""The archive in S3: one conditional PUT a chunk, retries that are counted, and what an auditor asks for."""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from tickline.clients.s3_errors import (
    CREDENTIALS_HINT,
    AnswerError,
    ForeignAnswerError,
    Place,
    answer_of,
)
from tickline.clients.s3_session import S3Location, S3Session
from tickline.errors import SourceError
from tickline.pipelines.archive.config import Retention, Upload
from tickline.pipelines.archive.stores import (
    MOST_OBJECT_BYTES,
    ConditionsUnknownError,
    ObjectVersion,
    Retained,
    too_large,
)

__all__ = ["S3Store", "retain_until"]

# More than the threads that read chunks: none waits for a connection.
_CONNECTIONS = 16
_BLOCK_BYTES = 256 * 1024
# An object that drips in more slowly is asked for again.
_GET_SECONDS = 300.0


class S3Store:
    """A prefix in a bucket as a store; the connection is made when the first request is.

    So a run that finds nothing new needs neither the SDK nor credentials, and one that cannot have them keeps
    its lines in the spool, as with any other fault.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix``.
    endpoint, region : str, optional
        URL of the server and its region, in place of what the environment says.
    upload : Upload
        Time-outs, further attempts, encryption and tags.
    retention : Retention, optional
        Object Lock, set by the same PUT.
    now : callable
        The clock that retention is counted from: seconds since 1970.
    backoff_s : float
        The first pause between two attempts.

    Raises
    ------
    UsageError
        `url` names no bucket.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        upload: Upload | None = None,
        retention: Retention | None = None,
        now: Callable[[], float] = time.time,
        backoff_s: float = 0.5,
    ) -> None:
        location = S3Location.parse(url)
        self.url = url
        self._bucket = location.bucket
        self._prefix = f"{location.prefix.rstrip('/')}/" if location.prefix else ""
        self._upload = upload or Upload()
        self._retention = retention
        self._now = now
        self._session: S3Session | None = None
        self._earlier_calls = 0
        self._mutex = threading.Lock()
        self._connect = partial(
            S3Session,
            "archive",
            connections=_CONNECTIONS,
            endpoint=endpoint,
            region=region,
            attempts=self._upload.retries + 1,
            connect_timeout_s=self._upload.timeout_s,
            read_timeout_s=self._upload.timeout_s,
            backoff_s=backoff_s,
            # Chunks carry their own hashes: `verify` names a damaged one, which the SDK would not hand over.
            response_checksum_validation="when_required",
        )

    @property
    def calls(self) -> int:
        """How many requests were made so far, retries included."""
        session = self._session
        return self._earlier_calls + (session.calls if session is not None else 0)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._mutex:
            if self._session is not None:
                self._session.close()
                self._earlier_calls += self._session.calls
                self._session = None

    def _open(self) -> S3Session:
        with self._mutex:
            if self._session is None:
                self._session = self._connect()
            return self._session

    def _place(self, session: S3Session, key: str, permission: str) -> Place:
        return Place(f"{self.url}/{key}".rstrip("/"), permission, session.host, session.signed)

    # ---- writing ------------------------------------------------------------------------------------------

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool) -> bool:
        """Write an object; False if there is one of this key already (412), and then nothing was written.

        Raises
        ------
        ConditionsUnknownError
            The server knows no conditional writes (501).
        SourceError
            It could not be written, or no answer came that says so.
        TicklineError
            boto3 is missing, or the settings of the SDK do not fit together.
        """
        session = self._open()
        place = self._place(session, key, self._permission())
        if not session.signed:
            # A service may be given credentials while it runs.
            self.close()
            what = "cannot be written: no credentials for S3 were found"
            raise SourceError(what, where=place.url, hint=CREDENTIALS_HINT)
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        ask = {
            "Bucket": self._bucket,
            "Key": self._prefix + key,
            "Body": body,
            "ContentLength": len(body),
            "ContentType": "application/zstd",
            "ChecksumAlgorithm": "SHA256",
            "ChecksumSHA256": checksum,
            **self._wishes(),
            **({"IfNoneMatch": "*"} if only_if_absent else {}),
        }
        return session.retrying(partial(_put, session, ask, place), place)

    def _wishes(self) -> dict[str, Any]:
        """Return what archive.toml asks of each object."""
        upload, wishes = self._upload, {}
        if upload.sse is not None:
            wishes["ServerSideEncryption"] = upload.sse
        if upload.kms_key is not None:
            wishes["SSEKMSKeyId"] = upload.kms_key
        if upload.tags:
            wishes["Tagging"] = urlencode(upload.tags, quote_via=quote)
        if self._retention is None:
            return wishes
        until = retain_until(self._now(), self._retention.years)
        return {**wishes, "ObjectLockMode": self._retention.mode, "ObjectLockRetainUntilDate": until}

    def _permission(self) -> str:
        needed = ["s3:PutObject"]
        if self._retention is not None:
            needed.append("s3:PutObjectRetention")
        if self._upload.tags:
            needed.append("s3:PutObjectTagging")
        if self._upload.sse not in (None, "AES256"):
            needed.append("kms:GenerateDataKey")
        return ", ".join(needed)

    # ---- reading ------------------------------------------------------------------------------------------

    def sha256_of(self, key: str) -> str | None:
        """Return the SHA-256 of an object, None if there is none: of its bytes, not of what is said of them.

        Raises
        ------
        SourceError
            It cannot be read.
        """
        body = self._get(key)
        return None if body is None else hashlib.sha256(body).hexdigest()

    def get(self, key: str) -> bytes:
        """Return an object.

        Raises
        ------
        SourceError
            There is none, or it cannot be read.
        """
        body = self._get(key)
        if body is None:
            what = "does not exist any more"
            raise SourceError(what, where=f"{self.url}/{key}", hint="Run `tickline archive verify`.")
        return body

    def _get(self, key: str) -> bytes | None:
        session = self._open()
        call = partial(_get, session, {"Bucket": self._bucket, "Key": self._prefix + key}, key)
        return session.retrying(call, self._place(session, key, "s3:GetObject"))

    def keys(self, prefix: str, after: str = "") -> Iterator[str]:
        """Yield keys in order; a request for each 1,000.

        Raises
        ------
        SourceError
            The bucket cannot be listed.
        """
        more = {"StartAfter": self._prefix + after} if after else {}
        for page in self._pages(prefix, **more):
            for item in page.get("Contents", ()):
                yield item["Key"].removeprefix(self._prefix)

    def entries(self, prefix: str) -> Iterator[str]:
        """Yield the keys and folders right below `prefix`, in order.

        Raises
        ------
        SourceError
            The bucket cannot be listed.
        """
        for page in self._pages(prefix, Delimiter="/"):
            found = [item["Key"] for item in page.get("Contents", ())]
            found += [item["Prefix"] for item in page.get("CommonPrefixes", ())]
            # Consoles make an object of the folder's own name.
            yield from (
                key.removeprefix(self._prefix) for key in sorted(found) if key != self._prefix + prefix
            )

    def _pages(self, prefix: str, **ask: str) -> Iterator[dict[str, Any]]:
        session = self._open()
        location = S3Location(self._bucket, self._prefix + prefix)
        yield from session.pages(location, self._place(session, prefix, "s3:ListBucket"), **ask)

    # ---- what an auditor asks -----------------------------------------------------------------------------

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        """Yield all that is kept under keys that begin with `prefix`: in order of keys, the latest first.

        Raises
        ------
        SourceError
            The versions cannot be listed.
        """
        session = self._open()
        place = self._place(session, prefix, "s3:ListBucketVersions")
        ask = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        last = None
        while True:
            page = session.retrying(partial(_versions_page, session, ask), place)
            for version in self._versions_of(page):
                # Some servers begin a page with the one that the page before ended with.
                if version != last:
                    yield version
                last = version
            if not page["IsTruncated"]:
                return
            markers = {name: page.get(f"Next{name}") for name in ("KeyMarker", "VersionIdMarker")}
            following = {**ask, **{name: value for name, value in markers.items() if value}}
            if following == ask:
                what = "the server says that its listing goes on, but not where"
                raise SourceError(what, where=place.url, hint="Check AWS_ENDPOINT_URL.")
            ask = following

    def _versions_of(self, page: dict[str, Any]) -> list[ObjectVersion]:
        found = [(item, False) for item in page.get("Versions", ())]
        found += [(item, True) for item in page.get("DeleteMarkers", ())]
        found.sort(key=lambda each: _place_in_order(each[0]))
        return [
            ObjectVersion(
                key=item["Key"].removeprefix(self._prefix),
                version_id=item.get("VersionId", "null"),
                is_latest=item["IsLatest"],
                is_delete_marker=deleted,
                size=0 if deleted else item["Size"],
            )
            for item, deleted in found
        ]

    def retention_of(self, key: str, version_id: str | None = None) -> Retained | None:
        """Return how long an object (its latest version) may not be deleted, None if it may be.

        Raises
        ------
        SourceError
            It cannot be asked.
        """
        session = self._open()
        ask = {"Bucket": self._bucket, "Key": self._prefix + key}
        if version_id is not None:
            ask["VersionId"] = version_id
        return session.retrying(
            partial(_retention, session, ask), self._place(session, key, "s3:GetObjectRetention")
        )


def retain_until(now_s: float, years: int) -> datetime:
    """Return the instant so many years of the calendar behind `now_s`, never a moment earlier."""
    # Servers keep whole seconds.
    now = datetime.fromtimestamp(now_s, UTC).replace(microsecond=0) + timedelta(seconds=1)
    try:
        return now.replace(year=now.year + years)
    except ValueError:  # 29 February
        return now.replace(year=now.year + years, month=3, day=1)


def _put(session: S3Session, ask: dict[str, Any], place: Place) -> bool:
    try:
        answer = session.s3.put_object(**ask)
    except Exception as error:
        status, code = answer_of(error) or (0, "")
        if status == 412:
            return False
        if (status, code) == (403, "AccessDenied") and "IfNoneMatch" in ask and _is_there(session, ask):
            return False
        if status == 501 and "IfNoneMatch" in ask:
            what = (
                f"the server {place.endpoint} does not know what is asked of it ({status} {code}): probably "
                "conditional writes (If-None-Match), or else Object Lock, encryption or tags"
            )
            hint = 'Use a store that honours conditional writes, or write if_ignored = "unique-keys".'
            raise ConditionsUnknownError(what, where=place.url, hint=hint) from error
        raise
    # A proxy that says 200 to everything would else have taken the lines.
    if not answer.get("ETag") or answer.get("ChecksumSHA256", ask["ChecksumSHA256"]) != ask["ChecksumSHA256"]:
        raise ForeignAnswerError
    return True


def _is_there(session: S3Session, ask: dict[str, Any]) -> bool:
    """Tell whether there is an object: some servers forbid to write over a locked one before all else."""
    with suppress(Exception):
        return _get(session, {"Bucket": ask["Bucket"], "Key": ask["Key"]}, ask["Key"]) is not None
    return False


def _get(session: S3Session, ask: dict[str, str], key: str) -> bytes | None:
    try:
        answer = session.s3.get_object(**ask)
    except Exception as error:
        if answer_of(error) in ((404, "NoSuchKey"), (404, "NotFound")):
            return None
        raise
    size, began, data = answer.get("ContentLength"), time.monotonic(), bytearray()
    with closing(answer["Body"]) as body:
        if not answer.get("ETag") or size is None:
            raise ForeignAnswerError
        if size > MOST_OBJECT_BYTES:
            raise too_large(key, size)
        while block := body.read(_BLOCK_BYTES):
            data += block
            if time.monotonic() - began > _GET_SECONDS or session.closed.is_set():
                raise AnswerError("too slow")
    if len(data) != size:
        raise AnswerError("short")
    return bytes(data)


def _versions_page(session: S3Session, ask: dict[str, str]) -> dict[str, Any]:
    page: dict[str, Any] = session.s3.list_object_versions(**ask)
    if "IsTruncated" not in page:
        raise ForeignAnswerError
    return page


def _place_in_order(item: dict[str, Any]) -> tuple[bytes, bool, float]:
    return item["Key"].encode(), not item["IsLatest"], -item["LastModified"].timestamp()


def _retention(session: S3Session, ask: dict[str, str]) -> Retained | None:
    said = session.s3.head_object(**ask)
    mode, until = said.get("ObjectLockMode"), said.get("ObjectLockRetainUntilDate")
    if mode is None or until is None:
        # HEAD hides it from those who may not ask; GetObjectRetention, which not all servers know, says so.
        try:
            found = session.s3.get_object_retention(**ask).get("Retention", {})
        except Exception as error:
            status, _ = answer_of(error) or (0, "")
            if status in (0, 403, 429, 503):
                raise
            return None
        mode, until = found.get("Mode"), found.get("RetainUntilDate")
    return Retained(mode, until.timestamp()) if mode and until else None
