"""OpenCage: where on the globe a country, or a part of one, lies (https://opencagedata.com/api).

One request a place, with a second between two, which is what a trial key allows. The key is sent in the
query, as the service wants it, and never shown.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

from tickline.clients.http import HttpClient, HttpError
from tickline.errors import TicklineError, UsageError

__all__ = ["KEY_VARIABLE", "OpenCage", "Place", "place_of"]

Place = tuple[float, float]
"""Latitude and longitude in degrees (WGS 84), north and east positive."""

KEY_VARIABLE = "OPENCAGE_API_KEY"
_NAME = "OpenCage"
_URL = "https://api.opencagedata.com/geocode/v1/json"
_PAUSE_S = 1.0
_MOST_BYTES = 4 * 2**20

# What the service says of a key; 429 and 5xx are left to `HttpClient`, which tries again.
_REFUSALS = {
    401: ("the key is missing or unknown", f"Check {KEY_VARIABLE}."),
    402: (
        "the quota of the key is used up",
        "Run it again tomorrow: places that are known are not asked again.",
    ),
    403: ("the key is disabled, or this machine is not let in", "Ask OpenCage what is wrong with the key."),
}


class OpenCage:
    """Asks for places; for one thread at a time, and to be closed in the end.

    Parameters
    ----------
    key : str
        The key of the service.
    url : str
        Where it answers.
    http : HttpClient, optional
        Makes the requests, and is the caller's to close; without one, this has its own.
    wait : callable
        Waits for so many seconds between two requests.
    """

    def __init__(
        self,
        key: str,
        *,
        url: str = _URL,
        http: HttpClient | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if not re.fullmatch("[!-~]{1,200}", key):
            hint = f"Check {KEY_VARIABLE}: blanks, line ends or quotes may have come in with it."
            raise UsageError("is no key of OpenCage", where=KEY_VARIABLE, hint=hint)
        self._key = key
        self._url = url
        self._own = http is None
        self._http = HttpClient(most_bytes=_MOST_BYTES) if http is None else http
        self._wait = wait
        self._asked = False

    @classmethod
    def from_environment(cls) -> "OpenCage | None":
        """Return a client with the key of ``OPENCAGE_API_KEY``, None where there is none."""
        key = os.environ.get(KEY_VARIABLE)
        return cls(key) if key else None

    def find(self, country: str, region: str | None) -> Place | None:
        """Return where a country or a part of it lies, None if the service knows no such place.

        Of several answers the first one that is a state or province (a country, without a region) is taken,
        else the first one; all of them lie in the country.

        Parameters
        ----------
        country : str
            Two letters (ISO 3166-1).
        region : str or None
            The name of a part of it.

        Raises
        ------
        TicklineError
            The service did not answer, refused, or answered what cannot be understood.
        """
        if self._asked:
            self._wait(_PAUSE_S)
        self._asked = True
        query = {
            "q": country if region is None else f"{region}, {country}",
            "countrycode": country.lower(),
            "key": self._key,
            "no_annotations": "1",
            "no_record": "1",
        }
        try:
            answer = self._http.get_json(self._url, params=query)
        except HttpError as error:
            if error.status not in _REFUSALS:
                raise
            raise _refusal(error.status) from None
        found = [(kind, place) for kind, code, place in _places(answer) if code == country.lower()]
        wanted = "country" if region is None else "state"
        return next((place for kind, place in found if kind == wanted), found[0][1] if found else None)

    def close(self) -> None:
        """Close the connections; more than once is harmless."""
        if self._own:
            self._http.close()

    def __enter__(self) -> "OpenCage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def place_of(latitude: object, longitude: object) -> Place | None:
    """Return a place if these are numbers of degrees, else None."""
    pair = (latitude, longitude)
    for value, most in zip(pair, (90, 180), strict=True):
        if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= most:
            return None
    return cast("Place", pair)


def _refusal(status: int) -> TicklineError:
    what, hint = _REFUSALS[status]
    return TicklineError(what, where=_NAME, hint=hint)


def _unknown_shape(what: str) -> TicklineError:
    hint = "Check whether the service has changed; places that were known before stay."
    return TicklineError(f"its answer {what}", where=_NAME, hint=hint)


def _places(answer: Any) -> Iterator[tuple[str | None, str | None, Place]]:
    """Yield kind, country and place of each result; an answer of another shape is an error."""
    status = answer.get("status") if isinstance(answer, dict) else None
    code = status.get("code") if isinstance(status, dict) else None
    # The status of the body holds as well: some networks answer 200 for whatever comes through them.
    if isinstance(code, int) and code in _REFUSALS:
        raise _refusal(code)
    results = answer.get("results") if isinstance(answer, dict) else None
    if code != 200 or not isinstance(results, list):
        raise _unknown_shape("is none of those that its documents name")
    for number, result in enumerate(results):
        parts = result if isinstance(result, dict) else {}
        geometry, components = parts.get("geometry"), parts.get("components")
        if not isinstance(geometry, dict) or not isinstance(components, dict):
            raise _unknown_shape(f"has no place in results[{number}]")
        place = place_of(geometry.get("lat"), geometry.get("lng"))
        if place is None:
            raise _unknown_shape(f"has no coordinates in results[{number}]")
        yield components.get("_type"), components.get("country_code"), place
