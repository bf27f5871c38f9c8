"""ipinfo.io: in which country, and which part of it, an address is; up to 100 addresses a request.

It is asked through the package ipinfo. The token comes from ``IPINFO_CREDENTIALS`` or ``IPINFO_API_KEY`` and
is never shown, and neither is an address. Redirects are not followed: addresses are for this service alone.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from tickline.errors import TicklineError
from tickline.store.pseudonyms import canonical

__all__ = ["MOST_ADDRESSES", "VARIABLES", "Ipinfo", "IpinfoError", "Place"]

VARIABLES = ("IPINFO_CREDENTIALS", "IPINFO_API_KEY")
MOST_ADDRESSES = 100
"""How many addresses go into one request."""

_NAME = "ipinfo.io"
_TIMEOUT_S = 20.0
_WHOLE_S = 120.0
_FIRST_PAUSE_S = 1.0
_TOKEN_HINT = f"Check {VARIABLES[0]}."
_LATER_HINT = "Run it again later: what is known stays, and only the rest is asked."
_REFUSALS = {
    401: ("does not know the token", _TOKEN_HINT),
    403: ("does not let this token ask for batches", _TOKEN_HINT),
    429: ("the quota of the token is used up", _LATER_HINT),
}


class IpinfoError(TicklineError):
    """The service did not answer, refused, or said what cannot be understood."""

    def __init__(self, what: str, hint: str = _LATER_HINT, *, passing: bool = False) -> None:
        super().__init__(what, where=_NAME, hint=hint)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Place:
    """What the service says of an address; None where it says nothing."""

    country: str | None = None
    region: str | None = None
    bogon: bool = False


class _KeepsNothing(dict[str, Any]):
    """Stands in for the memory of the package: who asks again wants an answer of today."""

    def __setitem__(self, *_: Any) -> None:
        """Forget it."""


class Ipinfo:
    """Asks for addresses; for one thread at a time.

    What fails for a while (429, 5xx, no connection, no answer) is tried again after 1, 2, 4 ... seconds.

    Parameters
    ----------
    token : str
        Of the service.
    timeout_s : float
        Seconds until a connection stands, and between two packets.
    whole_s : float
        Seconds for one attempt in all.
    retries : int
        Further attempts after the first one.
    wait : callable
        Waits for so many seconds.

    Raises
    ------
    TicklineError
        The package ipinfo is missing, or `token` can be none.
    """

    def __init__(
        self,
        token: str,
        *,
        timeout_s: float = _TIMEOUT_S,
        whole_s: float = _WHOLE_S,
        retries: int = 3,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import ipinfo
        except ImportError as error:
            hint = "Install it with: pip install 'tickline[regions]'"
            raise TicklineError("asking ipinfo.io needs the package ipinfo", hint=hint) from error
        if not re.fullmatch("[!-~]{1,200}", token):
            hint = "Blanks, line ends or quotes may have come in with it."
            raise TicklineError("is no token of ipinfo.io", where=VARIABLES[0], hint=hint)
        options = {"allow_redirects": False}
        self._handler = ipinfo.getHandler(token, request_options=options, cache=_KeepsNothing())
        self._timeout_s = timeout_s
        self._whole_s = whole_s
        self._retries = retries
        self._wait = wait

    @classmethod
    def from_environment(cls) -> "Ipinfo":
        """Return a client with the token of the environment.

        Raises
        ------
        TicklineError
            There is none.
        """
        token = next(filter(None, map(os.environ.get, VARIABLES)), None)
        if token is None:
            what = "asking ipinfo.io needs a token"
            raise TicklineError(what, where=VARIABLES[0], hint="Set it to the token of your account there.")
        return cls(token)

    def ask(self, addresses: Sequence[str]) -> dict[str, Place]:
        """Ask for up to `MOST_ADDRESSES` different addresses, spelled as the store spells them.

        Returns
        -------
        dict
            Of each address that was answered, and of no other.

        Raises
        ------
        IpinfoError
            Nothing usable came. ``429``: the quota is used up.
        """
        attempts = 1
        while True:
            try:
                return _places(self._batch(addresses), addresses)
            except IpinfoError as error:
                if not error.passing or attempts > self._retries:
                    raise
            self._wait(_FIRST_PAUSE_S * 2 ** (attempts - 1))
            attempts += 1

    def _batch(self, addresses: Sequence[str]) -> Any:
        """Make one request; what the package raises may quote anything, so nothing of it is passed on."""
        import requests
        from ipinfo.exceptions import RequestQuotaExceededError

        try:
            return self._in_time(
                lambda: self._handler.getBatchDetails(
                    list(addresses), batch_size=MOST_ADDRESSES, timeout_per_batch=self._timeout_s
                )
            )
        except RequestQuotaExceededError:
            raise _refusal(429) from None
        except requests.HTTPError as error:
            raise _refusal(error.response.status_code if error.response is not None else 0) from None
        except requests.exceptions.SSLError:
            hint = "Check the network; REQUESTS_CA_BUNDLE names the certificates to trust."
            raise IpinfoError("has no certificate that this machine trusts", hint) from None
        except (requests.Timeout, TimeoutError):
            raise IpinfoError("did not answer in time", passing=True) from None
        except requests.JSONDecodeError:
            raise _unknown_shape() from None
        except requests.RequestException:
            raise IpinfoError("cannot be reached, or cut its answer", passing=True) from None
        except Exception:
            # The package reads into the answer without looking at what it is.
            raise _unknown_shape() from None

    def _in_time(self, call: Callable[[], Any]) -> Any:
        """Wait for a call for so long and no longer: the package has no bound for a server that drips."""
        answer: Future[Any] = Future()

        def work() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)

        # Nobody waits for it at the end: what it holds ends with the process.
        threading.Thread(target=work, name="ipinfo", daemon=True).start()
        return answer.result(timeout=self._whole_s)


def _refusal(status: int) -> IpinfoError:
    what, hint = _REFUSALS.get(status, (f"answered {status}", _LATER_HINT))
    return IpinfoError(what, hint, passing=status == 429 or status >= 500)


def _unknown_shape() -> IpinfoError:
    hint = "Check whether a proxy or a page to log in at stands in between; what is known stays."
    return IpinfoError("gave an answer that cannot be understood", hint)


def _places(answer: Any, addresses: Sequence[str]) -> dict[str, Place]:
    if not isinstance(answer, Mapping):
        raise _unknown_shape()
    found: dict[str, Place] = {}
    for address in addresses:
        if address in answer:
            # What the package knows itself (bogons) comes in a wrapper.
            details = getattr(answer[address], "all", answer[address])
            if not isinstance(details, Mapping) or canonical(str(details.get("ip", address))) != address:
                raise _unknown_shape()
            if "error" not in details:
                found[address] = _place(details)
    if not found and addresses:
        raise _unknown_shape()
    return found


def _place(details: Mapping[str, Any]) -> Place:
    texts = [details.get(name) or None for name in ("country", "region")]
    if not all(text is None or isinstance(text, str) for text in texts):
        raise _unknown_shape()
    return Place(texts[0], texts[1], bool(details.get("bogon")))
