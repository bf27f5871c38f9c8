"""What an S3 server, the network and the SDK say, as sentences; and which of it passes by itself.

The SDK's own texts are never shown: they may hold request ids, access keys and whole URLs.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tickline.errors import SourceError, TicklineError

__all__ = [
    "CREDENTIALS_HINT",
    "AnswerError",
    "ChangedError",
    "ForeignAnswerError",
    "Place",
    "answer_of",
    "endpoint_name",
    "explain_s3_error",
    "is_passing",
    "without_password",
]

CREDENTIALS_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in again (aws sso login)."
)
_LATER_HINT = "Run it again later: it goes on where it stopped."
_GLACIER_HINT = (
    "Restore it first (aws s3api restore-object), or move it to another storage class; then run it again."
)
_UNKNOWN_HINT = (
    "It may know no conditional writes, or no Object Lock, encryption or tags, if they are asked for."
)

# Answers that another attempt may not get, beside 429 and every 5xx but 501.
_PASSING_CODES = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestLimitExceeded"}
    | {"TooManyRequests", "TooManyRequestsException", "InternalError", "ServiceUnavailable"}
    # Two writers at one key at the same moment; bytes that were damaged on the way.
    | {"ConditionalRequestConflict", "OperationAborted"}
    | {"BadDigest", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
)
# Classes of botocore and urllib3, by name: this module is imported where neither need be installed.
_UNREACHABLE = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"})
_TIMED_OUT = frozenset({"ReadTimeoutError", "TimeoutError"})
_CUT = frozenset(
    {"ConnectionClosedError", "ResponseStreamingError", "IncompleteReadError", "HTTPClientError"}
    | {"FlexibleChecksumError", "ChecksumError", "HTTPError", "HTTPException", "ConnectionError"}
)
# A proxy may answer for a while what no S3 does.
_FOREIGN = frozenset({"ResponseParserError", "ForeignAnswerError"})
_NO_CREDENTIALS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "SSOError", "LoginError"}
    | {"TokenRetrievalError", "UnknownCredentialError", "RefreshWithMFAUnsupportedError", "NoAuthTokenError"}
    | {"MetadataRetrievalError"}
)
# The class that all others of botocore come from; asked last.
_OF_THE_SDK = "BotoCoreError"

_CODES = {
    "InvalidAccessKeyId": ("the access key is not known there", CREDENTIALS_HINT),
    "XAdminUserNotFound": ("the access key is not known there", CREDENTIALS_HINT),  # versitygw
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", CREDENTIALS_HINT),
    "ExpiredToken": ("the session token has expired", CREDENTIALS_HINT),
    "TokenRefreshRequired": ("the session token has expired", CREDENTIALS_HINT),
    "InvalidToken": ("the session token is not valid", CREDENTIALS_HINT),
    "RequestTimeTooSkewed": ("this machine's clock differs too much from the server's", "Set the clock."),
    "InvalidObjectState": ("lies in an archive storage class and cannot be read as it is", _GLACIER_HINT),
    "InvalidTag": ("its tags are none that S3 takes", "Correct upload.tags in archive.toml."),
    "InvalidBucketName": ("no bucket can have this name", "Check the name."),
}
# Of a PUT with a retention; the first of them also means other things.
_NO_LOCK_CODES = frozenset(
    {"InvalidRequest", "InvalidBucketObjectLockConfiguration", "ObjectLockConfigurationNotFoundError"}
)
_REGION_CODES = frozenset(
    {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IncorrectEndpoint"}
    | {"IllegalLocationConstraintException"}
)


class AnswerError(Exception):
    """The answer is cut or comes too slowly: another attempt may bring the rest."""


class ForeignAnswerError(Exception):
    """The answer is not what S3 answers."""


class ChangedError(Exception):
    """The object is no longer the one that was listed."""


@dataclass(frozen=True, slots=True)
class Place:
    """What was asked for, for messages.

    Attributes
    ----------
    url : str
        ``s3://bucket/key``, or the prefix that was listed.
    permission : str
        What the credentials must allow: ``s3:GetObject``, ``s3:ListBucket``, ``s3:PutObject``, ...
    endpoint : str
        Host and port of the server.
    signed : bool
        Whether credentials were found.
    """

    url: str
    permission: str
    endpoint: str
    signed: bool

    @property
    def is_written(self) -> bool:
        """Whether something was to be written there."""
        return self.permission.startswith("s3:Put")


def endpoint_name(url: str | None) -> str:
    """Return host and port of an URL, and nothing else of it: a password may stand before the host."""
    try:
        parts = urlsplit(url or "")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the endpoint"
    return (parts.hostname or "the endpoint") + port


def without_password(text: str) -> str:
    """Return an address without what stands before its host or behind it: that may be a secret."""
    scheme, _, rest = text.partition("//")
    host, slash, path = rest.partition("/")
    if "@" in host or ":" in host:
        return f"{scheme}//***{slash}{path}"
    return text


def _names(error: BaseException) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def answer_of(error: BaseException) -> tuple[int, str] | None:
    """Return HTTP status and S3's error code, if the server answered with an error."""
    if "ClientError" not in _names(error):
        return None
    response: dict[str, Any] = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(response.get("Error", {}).get("Code", ""))
    return int(status), code if re.fullmatch(r"[A-Za-z0-9.]{1,60}", code) else ""


def _is_overload(status: int) -> bool:
    return status == 429 or (status >= 500 and status != 501)


def is_passing(error: BaseException) -> bool:
    """Tell whether the next attempt may succeed: overload, time-outs, cut connections, cut answers."""
    answer = answer_of(error)
    if answer is not None:
        status, code = answer
        return _is_overload(status) or code in _PASSING_CODES
    names = _names(error)
    if "SSLError" in names or "TicklineError" in names:
        return False
    return bool(names & (_UNREACHABLE | _TIMED_OUT | _CUT | {"AnswerError"} | _FOREIGN))


def _region(error: BaseException) -> str:
    response: dict[str, Any] = getattr(error, "response", {})
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(headers.get("x-amz-bucket-region") or response.get("Error", {}).get("Region") or "")
    return region if re.fullmatch(r"[a-z0-9-]{1,40}", region) else ""


def _explain_answer(error: BaseException, status: int, code: str, place: Place) -> tuple[str, str | None]:
    """Return sentence and hint for an error that the server answered."""
    shown = f"{status} {code}".strip() if not code.isdigit() else str(status)
    plain_404 = status == 404 and code in ("", "404", "NotFound", "NoSuchKey", "NoSuchVersion")
    if code in _CODES:
        what, hint = _CODES[code]
        return f"{what} ({shown})", hint
    if status in (301, 307) or code in _REGION_CODES:
        region = _region(error)
        where = f"another region, {region}" if region else "another region"
        return f"the bucket lies in {where} ({shown})", f"Set AWS_DEFAULT_REGION={region or '...'}."
    if code == "NoSuchBucket" or (plain_404 and place.permission == "s3:ListBucket"):
        return f"there is no such bucket ({shown})", f"Check the name; {place.endpoint} was asked."
    if plain_404:
        return f"does not exist any more ({shown})", "An object that vanished is reported by the next run."
    if status in (412, 416):
        return "was changed while it was read", "Run it again: nothing of it was taken."
    if status in (401, 403):
        if not place.signed:
            return f"may not be read without credentials, and none were found ({shown})", CREDENTIALS_HINT
        if place.is_written:
            return f"may not be written ({shown})", f"The credentials need {place.permission}."
        hint = f"The credentials need {place.permission}"
        if place.permission == "s3:GetObject":
            hint += ", and kms:Decrypt where a KMS key encrypts it"
        return f"may not be read ({shown})", f"{hint}."
    if code in _NO_LOCK_CODES and "s3:PutObjectRetention" in place.permission:
        hint = "Is Object Lock on for this bucket? Turn it on, or take [retention] out of archive.toml."
        return f"the retention that was asked for is refused ({shown})", hint
    if status == 501:
        what = f"the server {place.endpoint} does not know what is asked of it ({shown})"
        return what, _UNKNOWN_HINT if place.is_written else None
    if code.startswith("KMS"):
        return f"the KMS key cannot be used ({shown})", "Check upload.kms_key, its state and its policy."
    if _is_overload(status) or code in _PASSING_CODES:
        return f"the server {place.endpoint} answered {shown} each time", _LATER_HINT
    return f"the server {place.endpoint} refused the request ({shown})", None


def explain_s3_error(error: Exception, place: Place, attempts: int = 1) -> TicklineError | None:
    """Turn what was raised into a sentence.

    Parameters
    ----------
    error : Exception
        What the SDK raised.
    place : Place
        What was asked for.
    attempts : int
        How often it was tried.

    Returns
    -------
    TicklineError or None
        None for what is no error of S3, network or settings: a fault of this program.
    """
    if isinstance(error, TicklineError):
        return error
    what, hint = _explain(error, place)
    if what is None:
        return None
    if is_passing(error) and attempts > 1:
        what += f" ({attempts} attempts)"
    return SourceError(what, where=place.url, hint=hint)


def _explain(error: Exception, place: Place) -> tuple[str | None, str | None]:
    answer = answer_of(error)
    if answer is not None:
        return _explain_answer(error, *answer, place)
    names = _names(error)
    if "ChangedError" in names:
        return "was changed while it was read", "Run it again: nothing of it was taken."
    if "SSLError" in names:
        hint = "Check the address; AWS_CA_BUNDLE names the certificates to trust."
        return f"{place.endpoint} has no certificate that this machine trusts", hint
    if names & _NO_CREDENTIALS:
        return "the credentials for S3 could not be had", CREDENTIALS_HINT
    if names & _UNREACHABLE:
        hint = "Check the network, AWS_ENDPOINT_URL and AWS_DEFAULT_REGION."
        return f"{place.endpoint} cannot be reached", hint
    if names & _TIMED_OUT:
        return f"{place.endpoint} did not answer in time", _LATER_HINT
    if names & (_CUT | {"AnswerError"}):
        return f"{place.endpoint} cut the connection or sent less than it promised", _LATER_HINT
    if names & _FOREIGN:
        return f"{place.endpoint} does not answer as S3 does", "Check AWS_ENDPOINT_URL."
    if "ProfileNotFound" in names:
        return "the profile that AWS_PROFILE names does not exist", "Check ~/.aws/config."
    if _OF_THE_SDK in names:
        return f"the SDK refuses its settings ({type(error).__name__})", "Check ~/.aws/config and AWS_*."
    return None, None
