"""What an S3 server, the network and the SDK say, as sentences; and which of it passes by itself.

The SDK's own texts are never shown: they may hold request ids, access keys and whole URLs.
"""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tickline.errors import SourceError, TicklineError

__all__ = [
    "AnswerError",
    "ChangedError",
    "ForeignAnswerError",
    "Place",
    "endpoint_name",
    "explain_s3_error",
    "is_passing",
]

_CREDENTIALS_HINT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or log in again (aws sso login)."
)
_LATER_HINT = "Run it again later: it goes on where it stopped."
_GLACIER_HINT = (
    "Restore it first (aws s3api restore-object), or move it to another storage class; then run it again."
)

# Answers that another attempt may not get, beside every 5xx and 429.
_PASSING_CODES = frozenset(
    {"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "RequestLimitExceeded"}
    | {"TooManyRequests", "TooManyRequestsException", "InternalError", "ServiceUnavailable"}
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
    "InvalidAccessKeyId": ("the access key is not known there", _CREDENTIALS_HINT),
    "XAdminUserNotFound": ("the access key is not known there", _CREDENTIALS_HINT),  # versitygw
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _CREDENTIALS_HINT),
    "ExpiredToken": ("the session token has expired", _CREDENTIALS_HINT),
    "TokenRefreshRequired": ("the session token has expired", _CREDENTIALS_HINT),
    "InvalidToken": ("the session token is not valid", _CREDENTIALS_HINT),
    "RequestTimeTooSkewed": ("this machine's clock differs too much from the server's", "Set the clock."),
    "InvalidObjectState": ("lies in an archive storage class and cannot be read as it is", _GLACIER_HINT),
    "InvalidBucketName": ("no bucket can have this name", "Check the name."),
}
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
        What the credentials must allow: ``s3:GetObject`` or ``s3:ListBucket``.
    endpoint : str
        Host and port of the server.
    signed : bool
        Whether credentials were found.
    """

    url: str
    permission: str
    endpoint: str
    signed: bool


def endpoint_name(url: str | None) -> str:
    """Return host and port of an URL, and nothing else of it: a password may stand before the host."""
    try:
        parts = urlsplit(url or "")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "the endpoint"
    return (parts.hostname or "the endpoint") + port


def _names(error: BaseException) -> frozenset[str]:
    return frozenset(kind.__name__ for kind in type(error).__mro__)


def _answer(error: BaseException) -> tuple[int, str] | None:
    """Return HTTP status and S3's error code, if the server answered with an error."""
    if "ClientError" not in _names(error):
        return None
    response: dict[str, Any] = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(response.get("Error", {}).get("Code", ""))
    return int(status), code if re.fullmatch(r"[A-Za-z0-9.]{1,60}", code) else ""


def is_passing(error: BaseException) -> bool:
    """Tell whether the next attempt may succeed: overload, time-outs, cut connections, cut answers."""
    answer = _answer(error)
    if answer is not None:
        status, code = answer
        return status >= 500 or status == 429 or code in _PASSING_CODES
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
            return f"may not be read without credentials, and none were found ({shown})", _CREDENTIALS_HINT
        hint = f"The credentials need {place.permission}"
        if place.permission == "s3:GetObject":
            hint += ", and kms:Decrypt where a KMS key encrypts it"
        return f"may not be read ({shown})", f"{hint}."
    if status >= 500 or status == 429 or code in _PASSING_CODES:
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
    answer = _answer(error)
    if answer is not None:
        return _explain_answer(error, *answer, place)
    names = _names(error)
    if "ChangedError" in names:
        return "was changed while it was read", "Run it again: nothing of it was taken."
    if "SSLError" in names:
        hint = "Check the address; AWS_CA_BUNDLE names the certificates to trust."
        return f"{place.endpoint} has no certificate that this machine trusts", hint
    if names & _NO_CREDENTIALS:
        return "the credentials for S3 could not be had", _CREDENTIALS_HINT
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
