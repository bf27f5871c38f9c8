"""A connection to S3 through boto3: settings, attempts, pages of listings, and a count of requests.

Region, endpoint and credentials are decided by what decides them for every program that uses the AWS SDK:
``AWS_PROFILE``, ``AWS_DEFAULT_REGION``, ``AWS_ENDPOINT_URL`` and the others, ``~/.aws``, the role of the
machine.
"""

import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tickline import _core
from tickline.clients.s3_errors import (
    ForeignAnswerError,
    Place,
    endpoint_name,
    explain_s3_error,
    is_passing,
    without_password,
)
from tickline.errors import SourceError, TicklineError, UsageError

__all__ = ["S3Location", "S3Session"]

_LONGEST_PAUSE_S = 20.0
_ATTEMPTS = 6
_LOCATION_HINT = "Write it as s3://bucket/prefix."

_T = TypeVar("_T")


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
            raise UsageError("is no address in S3", where=without_password(text), hint=_LOCATION_HINT)
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
            raise UsageError(what, where=without_password(text), hint=_LOCATION_HINT)
        return cls(bucket, prefix)


def _import_sdk(extra: str) -> tuple[Any, Any]:
    """Return boto3 and botocore, or say which extra brings them."""
    try:
        import boto3
        import botocore
        import botocore.config
        import botocore.session
    except ImportError as error:
        hint = f"Install it with: pip install 'tickline[{extra}]'."
        raise TicklineError("S3 needs boto3, which is not installed", hint=hint) from error
    return boto3, botocore


class S3Session:
    """A client of the SDK, with one policy of attempts for all requests; safe to use from many threads.

    What fails for a while (5xx, 429, time-outs, cut connections and answers) is tried again with growing
    pauses.

    Parameters
    ----------
    extra : str
        The extra of this package that brings boto3, for a message.
    connections : int
        How many may be open at a time.
    endpoint, region : str, optional
        URL of the server and its region, in place of what the environment says.
    attempts : int, optional
        How often a request is sent; by default what ``AWS_MAX_ATTEMPTS`` says, or six times.
    connect_timeout_s, read_timeout_s : float
        Seconds until a connection stands, and between two packets.
    backoff_s : float
        The first pause, which doubles each time up to 20 s.
    **more
        Further settings of the SDK (`botocore.config.Config`).

    Attributes
    ----------
    s3
        The client of boto3.
    host : str
        Host and port of the server, for messages.
    signed : bool
        Whether credentials were found; requests are unsigned if not.
    closed : threading.Event
        Ends all pauses.

    Raises
    ------
    TicklineError
        boto3 is missing, or the settings of the SDK do not fit together.
    """

    def __init__(
        self,
        extra: str,
        *,
        connections: int = 10,
        endpoint: str | None = None,
        region: str | None = None,
        attempts: int | None = None,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 60.0,
        backoff_s: float = 0.5,
        **more: Any,
    ) -> None:
        boto3, botocore = _import_sdk(extra)
        self.closed = threading.Event()
        self.signed = True
        self._backoff_s = backoff_s
        self._calls = 0
        self._mutex = threading.Lock()
        config = {
            "connect_timeout": connect_timeout_s,
            "read_timeout": read_timeout_s,
            "max_pool_connections": connections,
            "tcp_keepalive": True,
            # One policy for all requests, see `pause`.
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "user_agent_extra": f"tickline/{_core.__version__}",
            **more,
        }
        settings = Place("S3", "s3:ListBucket", endpoint_name(endpoint), signed=True)
        try:
            core = botocore.session.get_session()
            session = boto3.session.Session(botocore_session=core, region_name=region)
            self._attempts = attempts or _max_attempts(core)
            if session.get_credentials() is None:
                self.signed = False
                config["signature_version"] = botocore.UNSIGNED
            self.s3 = session.client("s3", endpoint_url=endpoint, config=botocore.config.Config(**config))
        except Exception as error:
            if (explained := explain_s3_error(error, settings)) is not None:
                raise explained from error
            if not isinstance(error, ValueError):
                raise
            hint = "AWS_ENDPOINT_URL is written as https://host or http://host:port."
            raise UsageError("the address of the S3 server is not valid", hint=hint) from error
        self.host = endpoint_name(self.s3.meta.endpoint_url)
        # Told of each request that goes out, also of those that the SDK repeats in another region.
        self.s3.meta.events.register_first("before-send.s3", self._count)

    @property
    def calls(self) -> int:
        """How many requests were sent so far."""
        return self._calls

    def _count(self, **_: object) -> None:
        with self._mutex:
            self._calls += 1

    # ---- listing ------------------------------------------------------------------------------------------

    def pages(self, location: S3Location, place: Place, **ask: str) -> Iterator[dict[str, Any]]:
        """Yield the pages of a listing (ListObjectsV2), in the order of the keys' UTF-8 bytes.

        Raises
        ------
        SourceError
            The bucket does not exist, may not be listed, or cannot be reached.
        """
        ask = {"Bucket": location.bucket, "Prefix": location.prefix, **ask}
        token: str | None = None
        while True:
            more = {"ContinuationToken": token} if token else {}
            page = self.retrying(partial(self._page, **ask, **more), place)
            yield page
            if not page["IsTruncated"]:
                return
            following = page.get("NextContinuationToken")
            if not following or following == token:
                what = "the server says that its listing goes on, but not where"
                raise SourceError(what, where=location.url, hint="Check AWS_ENDPOINT_URL.")
            token = following

    def _page(self, **ask: str) -> dict[str, Any]:
        page: dict[str, Any] = self.s3.list_objects_v2(**ask)
        # Any XML without keys would else be an empty bucket.
        if "IsTruncated" not in page:
            raise ForeignAnswerError
        return page

    # ---- attempts -----------------------------------------------------------------------------------------

    def retrying(self, call: Callable[[], _T], place: Place) -> _T:
        """Make a request, again if it fails in a way that may pass."""
        in_vain = 0
        while True:
            try:
                return call()
            except Exception as error:
                in_vain += 1
                self.pause(error, in_vain, place)

    def pause(self, error: Exception, in_vain: int, place: Place) -> None:
        """Wait before the next attempt, or raise what there is to say."""
        if not is_passing(error) or in_vain >= self._attempts or self.closed.is_set():
            if (explained := explain_s3_error(error, place, in_vain)) is None:
                raise error
            raise explained from error
        longest = min(self._backoff_s * 2 ** max(in_vain - 1, 0), _LONGEST_PAUSE_S)
        # Not all threads at the same moment.
        self.closed.wait(longest * random.uniform(0.5, 1))  # noqa: S311

    def close(self) -> None:
        """End all pauses and close all connections; more than once is harmless."""
        self.closed.set()
        self.s3.close()


def _max_attempts(session: Any) -> int:
    """Return what AWS_MAX_ATTEMPTS, or max_attempts of the profile, says."""
    try:
        wanted = session.get_config_variable("max_attempts")
    except ValueError as error:
        raise UsageError("is no number", where="AWS_MAX_ATTEMPTS", hint="Write 1 or more.") from error
    return max(1, wanted) if wanted is not None else _ATTEMPTS
