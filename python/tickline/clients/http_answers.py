"""Which addresses are asked, what may be shown of them, what answers mean; for `tickline.clients.http`."""

import ipaddress
import re
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, UsageError

if TYPE_CHECKING:
    import httpx

__all__ = [
    "REDIRECTS",
    "HttpError",
    "PassingError",
    "Reply",
    "can_be_sent",
    "explain_network",
    "next_address",
    "origin",
    "parse_address",
    "read_reply",
    "shown",
]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BLOCK_BYTES = 64 * 1024
# A server that asks for a longer pause than this is not waited for.
_LONGEST_RETRY_AFTER_S = 120.0

_LATER_HINT = "Run it again later: what is there already stays as it is."
_ADDRESS_HINT = "Check the address."
_HTTPS_HINT = "Write https://...; http:// is taken for this machine alone."


@dataclass(frozen=True)
class Reply:
    """What a server answered.

    Attributes
    ----------
    status : int
        200, or 304: what the caller has is what there is.
    body : bytes
        Decompressed; empty for 304.
    etag, last_modified : str or None
        To be sent with the next request, as they came.
    url : str
        Where it came from in the end, without its query.
    """

    status: int
    body: bytes = field(repr=False)
    etag: str | None
    last_modified: str | None
    url: str


class HttpError(TicklineError):
    """Nothing usable was answered.

    Attributes
    ----------
    status : int or None
        What the server answered; None where it did not, or where its answer was 200 and of no use.
    """

    def __init__(
        self, what: str, *, where: str | None = None, hint: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.status = status


class PassingError(Exception):
    """Another attempt may succeed; `error` is what to say if none does, `pause_s` what the server wants."""

    def __init__(self, error: HttpError, pause_s: float | None = None) -> None:
        super().__init__(error.what)
        self.error = error
        self.pause_s = pause_s


def _passing(what: str, where: str, hint: str = _LATER_HINT) -> PassingError:
    return PassingError(HttpError(what, where=where, hint=hint))


# ---- requests ----------------------------------------------------------------------------------------------


def can_be_sent(value: str) -> bool:
    """Tell whether a header can have this value; the library would put another one into its message."""
    return re.fullmatch(r"[!-~]([ -~]*[!-~])?", value) is not None


def parse_address(url: str) -> "httpx.URL":
    """Read an address that a user names.

    Raises
    ------
    UsageError
        It is none, is not https (nor http to this machine), or holds a name or a password.
    """
    import httpx

    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        raise UsageError("is no address on the web", where="URL", hint=_HTTPS_HINT) from None
    if address.userinfo:
        what = "a name or a password stands in the address"
        raise UsageError(what, where=shown(address), hint="Leave it out.")
    if not _may_be_asked(address):
        where = shown(address) if address.host else "URL"
        raise UsageError("is no address with https", where=where, hint=_HTTPS_HINT)
    return address


def _may_be_asked(address: "httpx.URL") -> bool:
    encrypted = address.scheme == "https"
    return bool(address.host) and (encrypted or (address.scheme == "http" and _is_loopback(address)))


def _is_loopback(address: "httpx.URL") -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(address.host).is_loopback
    return address.host == "localhost"


def shown(address: "httpx.URL") -> str:
    """Return an address as messages may show it: without user and query."""
    path = address.raw_path.partition(b"?")[0]
    return f"{address.scheme}://{(address.netloc + path).decode('ascii')}"


def origin(address: "httpx.URL") -> tuple[str, str, int | None]:
    """Return what tells one server from another."""
    return address.scheme, address.host, address.port


def next_address(response: "httpx.Response") -> "httpx.URL":
    """Return where a redirect leads.

    Raises
    ------
    HttpError
        It leads from the network to this machine, to plain http, or nowhere.
    """
    import httpx

    here = response.url
    try:
        target = here.join(response.headers.get("Location", ""))
    except httpx.InvalidURL:
        target = httpx.URL("")
    inward = _is_loopback(target) and not _is_loopback(here)
    if not _may_be_asked(target) or target.userinfo or inward or "Location" not in response.headers:
        what = f"leads to an address that is not followed ({response.status_code})"
        raise HttpError(what, where=shown(here), hint=_ADDRESS_HINT, status=response.status_code)
    return target


# ---- answers -----------------------------------------------------------------------------------------------


def read_reply(response: "httpx.Response", most_bytes: int, *, conditional: bool) -> Reply:
    """Read an answer to its end.

    Raises
    ------
    HttpError
        Its status is neither 200 nor, where that was asked for, 304; or its body cannot be used.
    PassingError
        Another attempt may bring more.
    """
    status, headers, where = response.status_code, response.headers, shown(response.url)
    if status == 304 and conditional:
        body = b""
    elif status == 200:
        body = _body(response, most_bytes, where)
    else:
        raise _refusal(status, headers, where)
    return Reply(status, body, headers.get("ETag"), headers.get("Last-Modified"), where)


def _body(response: "httpx.Response", most_bytes: int, where: str) -> bytes:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise HttpError("the answer is compressed in a way that was not asked for", where=where)
    chunked = response.headers.get("Transfer-Encoding", "").strip().lower() == "chunked"
    if not chunked and "Content-Length" not in response.headers:
        what = "the server does not say how long its answer is, so that nobody can tell a cut one"
        raise HttpError(what, where=where, hint="Save it to a file, and name that.")
    unzip = None if encoding == "identity" else zlib.decompressobj(wbits=31)
    body = bytearray()
    for block in response.iter_raw(_BLOCK_BYTES):
        body += block if unzip is None else _unzipped(unzip, block, most_bytes + 1 - len(body), where)
        if len(body) > most_bytes:
            what = f"the answer is larger than {most_bytes:,} bytes"
            raise HttpError(what, where=where, hint=_ADDRESS_HINT)
    if unzip is not None and not unzip.eof:
        raise _passing("the answer was cut", where)
    return bytes(body)


def _unzipped(unzip: Any, block: bytes, most: int, where: str) -> bytes:
    """Return at most `most` bytes."""
    try:
        data: bytes = unzip.decompress(block, most)
    except zlib.error as error:
        raise _passing("the answer is damaged", where) from error
    return data


def _refusal(status: int, headers: Mapping[str, str], where: str) -> Exception:
    """Return what there is to say about a status; the body of such an answer is not read."""
    asked_s = _retry_after(headers)
    what, hint = f"the server answered {status}", _ADDRESS_HINT
    if status == 429 or (status == 403 and asked_s is not None):
        what, hint = f"was asked too often ({status})", _LATER_HINT
    elif status >= 500 or status == 408:
        hint = _LATER_HINT
    elif status in (401, 403):
        what, hint = f"may not be read ({status})", "Check the token, if it needs one, and what it allows."
    elif status in (404, 410):
        what = f"is not there ({status})"
    if hint != _LATER_HINT:
        return HttpError(what, where=where, hint=hint, status=status)
    if asked_s is not None and asked_s > _LONGEST_RETRY_AFTER_S:
        hint = f"Run it again in {asked_s:,.0f} seconds, as the server asks."
        return HttpError(what, where=where, hint=hint, status=status)
    return PassingError(HttpError(what, where=where, hint=hint, status=status), asked_s)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait; by its own clock where it names a time."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", text):
        return float(text)
    try:
        then = parsedate_to_datetime(text)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):
        return None


# ---- the network -------------------------------------------------------------------------------------------


def explain_network(error: "httpx.HTTPError", where: str, late_s: float | None) -> Exception:
    """Return what there is to say about a failed attempt.

    Parameters
    ----------
    error : httpx.HTTPError
        What was raised.
    where : str
        What was asked for, see `shown`.
    late_s : float or None
        The seconds that an attempt may take in all, if it was ended because they have passed.
    """
    import httpx

    if late_s is not None:
        return _passing(f"the answer took longer than {late_s:g} s in all", where)
    if _is_about_certificates(error):
        hint = "Check the address; SSL_CERT_FILE names the certificates to trust."
        return HttpError("has no certificate that this machine trusts", where=where, hint=hint)
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return _passing("cannot be reached", where, "Check the address and the network.")
    if isinstance(error, httpx.ProxyError):
        return _passing("the proxy does not let it through", where, "Check HTTPS_PROXY and NO_PROXY.")
    if isinstance(error, httpx.TimeoutException):
        return _passing("did not answer in time", where)
    return _passing("cut the connection, or sent less than it promised", where)


def _is_about_certificates(error: BaseException) -> bool:
    """Tell whether a certificate was refused: the library keeps that as a cause of a cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
