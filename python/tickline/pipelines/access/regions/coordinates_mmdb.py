"""Places of regions by the locations that a City database of MaxMind gives to its networks.

The place of ``DE/Bavaria`` is the mean of all networks with that label, taken on the globe: points on both
sides of the 180th meridian do not meet in Africa. A country has the mean of its networks without a part, or
of all its networks where every one has a part.

The networks of a cloud's region lie in a few data centres, and the odd one where its owner has his office: a
mean of them is in the sea. Its place is the one that most of its networks have.
"""

import hashlib
import ipaddress
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from tickline.clients.opencage import Place, place_of
from tickline.errors import SourceError, explain_os_error
from tickline.files import write_whole
from tickline.pipelines.access.regions.mmdb import open_mmdb, record_label
from tickline.progress import Progress

__all__ = ["places_of_labels", "places_of_networks"]

# Four decimals are 11 m; what lies behind them differs between processors.
_DECIMALS = 4
# Where the mean direction is this short, the points stand around the globe and have no middle.
_LEAST_LENGTH = 1e-6
_TELL_EVERY = 20_000
_CACHE_FORMAT = 1


class _Mean:
    """The mean of places on the globe."""

    __slots__ = ("count", "x", "y", "z")

    def __init__(self) -> None:
        self.count = 0
        self.x = self.y = self.z = 0.0

    def add(self, place: Place) -> None:
        x, y, z = _direction(place)
        self.count += 1
        self.x += x
        self.y += y
        self.z += z

    def place(self) -> Place | None:
        flat = math.hypot(self.x, self.y)
        if math.hypot(flat, self.z) <= _LEAST_LENGTH * self.count:
            return None
        latitude = math.degrees(math.atan2(self.z, flat))
        longitude = math.degrees(math.atan2(self.y, self.x))
        # No negative zero: its sign would stand in the files.
        return round(latitude, _DECIMALS) + 0.0, round(longitude, _DECIMALS) + 0.0


@lru_cache(maxsize=65_536)
def _direction(place: Place) -> tuple[float, float, float]:
    latitude, longitude = map(math.radians, place)
    flat = math.cos(latitude)
    return flat * math.cos(longitude), flat * math.sin(longitude), math.sin(latitude)


def places_of_labels(mmdb: Path, cache: Path, progress: Progress | None = None) -> dict[str, Place]:
    """Return the places of all countries and their parts that a database knows; empty if it has no locations.

    The database is gone through once; the result is kept in `cache`, by the hash of the database.

    Parameters
    ----------
    mmdb : Path
        A City database of MaxMind.
    cache : Path
        A folder.
    progress : Progress, optional
        Is told how many of the nodes of the database are done, roughly.

    Raises
    ------
    SourceError
        The database cannot be read or is damaged.
    """
    try:
        with mmdb.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise explain_os_error(error, mmdb) from error
    kept = cache / f"places-{digest[:16]}.json"
    known = _read_kept(kept, digest)
    if known is None:
        known = _means(mmdb, progress or Progress())
        text = json.dumps({"format": _CACHE_FORMAT, "database": digest, "places": known}, indent=0)
        write_whole(kept, text.encode() + b"\n")
    return known


def _read_kept(kept: Path, digest: str) -> dict[str, Place] | None:
    """Return what was kept, None if it is not there or not as it was written."""
    try:
        found = json.loads(kept.read_bytes())
        if (found["format"], found["database"]) != (_CACHE_FORMAT, digest):
            return None
        places = {label: place_of(*pair) for label, pair in found["places"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return {label: place for label, place in places.items() if place is not None}


def _means(mmdb: Path, progress: Progress) -> dict[str, Place]:
    means: dict[str, _Mean] = {}
    countries: dict[str, _Mean] = {}
    for label, place in _located(mmdb, progress):
        means.setdefault(label, _Mean()).add(place)
        countries.setdefault(label.partition("/")[0], _Mean()).add(place)
    found = {label: mean.place() for label, mean in sorted({**countries, **means}.items())}
    return {label: place for label, place in found.items() if place is not None}


def _located(mmdb: Path, progress: Progress) -> Iterator[tuple[str, Place]]:
    """Yield label and place of every network that has both."""
    with open_mmdb(mmdb, str(mmdb)) as reader:
        try:
            # A tree whose nodes have two children each has one leaf more than nodes.
            total = int(reader.metadata().node_count) + 1
            for number, (_, record) in enumerate(reader):
                label, place = record_label(record), _location(record)
                if label is not None and place is not None:
                    yield label, place
                if number % _TELL_EVERY == 0:
                    progress.reach(min(number, total), total)
        except Exception as error:
            raise _damaged(mmdb, error) from error


def places_of_networks(mmdb: Path, networks: Mapping[str, Iterable[str]]) -> dict[str, Place]:
    """Return for each label the place that most of its networks have.

    Parameters
    ----------
    mmdb : Path
        A City database of MaxMind.
    networks : mapping of str to iterable of str
        The networks of each label, each counted once; one that the database divides counts by its first
        address.

    Returns
    -------
    dict of str to (float, float)
        Of equally common places the southernmost, then westernmost one; without the labels of whose networks
        the database knows no location.

    Raises
    ------
    SourceError
        The database cannot be read or is damaged.
    """
    found: dict[str, Place] = {}
    with open_mmdb(mmdb, str(mmdb)) as reader:
        newest = reader.metadata().ip_version
        for label, some in networks.items():
            counts: Counter[Place] = Counter()
            for text in dict.fromkeys(some):
                address = ipaddress.ip_network(text).network_address
                if address.version > newest:
                    continue
                try:
                    place = _location(reader.get(address))
                except Exception as error:
                    raise _damaged(mmdb, error) from error
                if place is not None:
                    counts[place] += 1
            if counts:
                most = max(counts.values())
                found[label] = min(place for place, count in counts.items() if count == most)
    return found


def _location(record: Any) -> Place | None:
    location = record.get("location") if isinstance(record, dict) else None
    if not isinstance(location, dict):
        return None
    return place_of(location.get("latitude"), location.get("longitude"))


def _damaged(mmdb: Path, error: Exception) -> SourceError:
    # A damaged database can make the reader raise nearly anything.
    what = f"its MaxMind database is damaged ({type(error).__name__})"
    return SourceError(what, where=str(mmdb), hint="Copy it again from its origin.")
