"""Where the regions of an archive lie on a map: ``region_codes_to_coordinates`` and ``service_coordinates``.

Both files have the form of dandi_s3_log_parser (JSON) or of s3-log-extraction (YAML), whose readers may go
on. A place is looked for in this order:

1. what the files say already, whoever wrote them: a place that was corrected by hand stays;
2. countries and their parts: the locations of that label in a City database of MaxMind;
3. regions of clouds, and labels of own lists: the locations of their networks in that database;
4. countries and their parts that it does not know: OpenCage, where there is a key.

``GitHub``, ``VPN``, ``unknown`` and the like are nowhere, and so is what a cloud calls global: null. What
nobody could place is left out, and named.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tickline.clients.opencage import KEY_VARIABLE, OpenCage, Place, place_of
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.files import write_whole
from tickline.pipelines.access.mapped.summaries import natural_key
from tickline.pipelines.access.regions.coordinates_mmdb import places_of_labels, places_of_networks
from tickline.pipelines.access.regions.labels import BOGON, MISSING, UNDETERMINED, UNKNOWN
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = [
    "FORMS",
    "Coordinates",
    "read_coordinates",
    "region_coordinates",
    "sources_of_store",
    "write_coordinates",
]

FORMS = ("json", "yaml")
"""``json``: as dandi_s3_log_parser; ``yaml``: as s3-log-extraction."""

_REGIONS = "region_codes_to_coordinates"
_SERVICES = "service_coordinates"
_NOWHERE = ("GitHub", "VPN", BOGON, MISSING, UNDETERMINED, UNKNOWN)
# Kinds of region files that name networks; the others are asked address by address.
_WITH_NETWORKS = ("aws", "azure", "gcp", "list")
_COUNTRY = re.compile("[A-Z]{2}")
_MOST_BYTES = 16 * 2**20


@dataclass(slots=True)
class Coordinates:
    """Places of labels.

    Attributes
    ----------
    regions : dict of str to ((float, float) or None)
        Latitude and longitude in degrees (WGS 84); None for what is nowhere.
    services : dict of str to (float, float)
        The regions of clouds among them.
    unplaced : list of str
        Labels that nobody could place.
    """

    regions: dict[str, Place | None] = field(default_factory=dict)
    services: dict[str, Place] = field(default_factory=dict)
    unplaced: list[str] = field(default_factory=list)


def region_coordinates(
    labels: Iterable[str],
    *,
    mmdb: Path | None,
    opencage: OpenCage | None,
    cache: Path,
    networks: Mapping[str, Sequence[str]] | None = None,
    known: Coordinates | None = None,
    most: int | None = None,
    progress: Progress | None = None,
) -> Coordinates:
    """Find the places of labels; see the top of this module.

    Parameters
    ----------
    labels : iterable of str
        As they stand in a table ``by_region``.
    mmdb : Path or None
        A City database of MaxMind.
    opencage : OpenCage or None
        Asked for what the database does not know; one request a label, ever.
    cache : Path
        A folder for answers, so that a run that was stopped goes on.
    networks : mapping of str to sequence of str, optional
        The networks behind labels of clouds and of own lists (`sources_of_store`).
    known : Coordinates, optional
        Places that stay (`read_coordinates`).
    most : int, optional
        Look for so many labels at most, in natural order.
    progress : Progress, optional
        Is told how far the database, and then how many requests, are done.

    Returns
    -------
    Coordinates
        What was known, what is nowhere, and what was found.

    Raises
    ------
    TicklineError
        The database is damaged, or the service did not answer, refused, or answered what cannot be
        understood. Answers that came before are in the cache.
    """
    progress = progress or Progress()
    found = Coordinates() if known is None else Coordinates(dict(known.regions), dict(known.services))
    found.regions = dict.fromkeys(_NOWHERE) | found.regions
    wanted = _natural({label for label in labels if label} - found.regions.keys())[:most]
    found.regions |= dict.fromkeys(label for label in wanted if _is_nowhere(label))
    wanted = [label for label in wanted if not _is_nowhere(label)]
    found.regions |= {label: found.services[label] for label in wanted if label in found.services}
    if mmdb is not None and (missing := _missing(wanted, found)):
        _ask_database(mmdb, missing, networks or {}, cache, found, progress)
    places = [label for label in _missing(wanted, found) if _is_place(label)]
    _ask_opencage(opencage, places, cache / "opencage.json", found, progress)
    found.unplaced = _missing(wanted, found)
    if found.unplaced and mmdb is not None and opencage is None and not places_of_labels(mmdb, cache):
        hint = f"Use a City database: those of countries hold none. Or set {KEY_VARIABLE}."
        raise SourceError("holds no locations", where=str(mmdb), hint=hint)
    return found


def _missing(labels: Iterable[str], found: Coordinates) -> list[str]:
    return [label for label in labels if label not in found.regions]


def _natural(labels: Iterable[str]) -> list[str]:
    return sorted(labels, key=lambda label: (natural_key(label), label))


def _is_place(label: str) -> bool:
    return _COUNTRY.fullmatch(label.partition("/")[0]) is not None


def _is_nowhere(label: str) -> bool:
    _, slash, region = label.partition("/")
    return label in _NOWHERE or (not slash and not _is_place(label)) or region.lower() == "global"


def _ask_database(
    mmdb: Path,
    wanted: Sequence[str],
    networks: Mapping[str, Sequence[str]],
    cache: Path,
    found: Coordinates,
    progress: Progress,
) -> None:
    if any(map(_is_place, wanted)):
        places = places_of_labels(mmdb, cache, progress)
        found.regions |= {label: places[label] for label in wanted if label in places and _is_place(label)}
    behind = {label: networks[label] for label in _missing(wanted, found) if label in networks}
    located = places_of_networks(mmdb, behind)
    found.regions |= located
    found.services |= {label: place for label, place in located.items() if not _is_place(label)}


def _ask_opencage(
    opencage: OpenCage | None, wanted: Sequence[str], path: Path, found: Coordinates, progress: Progress
) -> None:
    """Ask for each label that has never been asked for; every answer is kept before the next question."""
    answers = _kept_answers(path)
    for number, label in enumerate(wanted):
        if label not in answers and opencage is not None:
            country, _, region = label.partition("/")
            answers[label] = opencage.find(country, region or None)
            write_whole(path, json.dumps(answers, indent=0, sort_keys=True).encode() + b"\n")
        if (place := answers.get(label)) is not None:
            found.regions[label] = place
        progress.reach(number + 1, len(wanted))


def _kept_answers(path: Path) -> dict[str, Place | None]:
    """Return the answers of earlier runs; what is damaged is asked again."""
    try:
        kept = json.loads(path.read_bytes())
        return {label: pair and place_of(*pair) for label, pair in kept.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def sources_of_store(
    folder: "StoreFolder", labels: Iterable[str]
) -> tuple[Path | None, dict[str, list[str]]]:
    """Return what a store knows of places: its City database, and the networks behind these labels.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    labels : iterable of str
        Whose networks are wanted.

    Returns
    -------
    mmdb : Path or None
        The first database among the region files in use.
    networks : dict of str to list of str
        By label, from all other files in use.

    Raises
    ------
    TicklineError
        A region file of the store is missing or damaged.
    """
    from tickline.pipelines.access.regions.sources import Wanted, read_region_file

    wanted = {label for label in labels if not _is_nowhere(label)}
    mmdb: Path | None = None
    networks: dict[str, list[str]] = {}
    for shot in folder.ledger.snapshots():
        path = folder.path / shot.file
        if shot.kind == "mmdb":
            mmdb = mmdb or path
        elif shot.kind in _WITH_NETWORKS:
            file = read_region_file(Wanted(str(path), shot.label))
            if file.hash != shot.hash:
                hint = "Give it again: tickline access regions update."
                raise TicklineError("is not the region file that was given", where=str(path), hint=hint)
            for network, label in zip(file.networks, file.labels, strict=True):
                if label in wanted:
                    networks.setdefault(label, []).append(network)
    return mmdb, networks


# ---- files ------------------------------------------------------------------------------------------------


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise UsageError(f"{form!r} is no form", where="form", hint=f"Choose from: {', '.join(FORMS)}.")


def read_coordinates(out: Path, *, form: str) -> Coordinates:
    """Read what the two files below `out` say; both may be missing.

    Raises
    ------
    SourceError
        One of them is not a table of coordinates. Nothing may be written over it then.
    """
    _check_form(form)
    services = _read_table(out / f"{_SERVICES}.{form}", form)
    return Coordinates(
        _read_table(out / f"{_REGIONS}.{form}", form),
        {label: place for label, place in services.items() if place is not None},
    )


def _read_table(path: Path, form: str) -> dict[str, Place | None]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise explain_os_error(error, path) from error
    if len(content) > _MOST_BYTES:
        raise _no_table(path, "is too large for a table of coordinates")
    if content.startswith(b"gAAAA"):
        hint = "Write it without encryption (s3logextraction update ip coordinates --encryption false)."
        raise SourceError("is encrypted by s3-log-extraction", where=str(path), hint=hint)
    try:
        table = json.loads(content) if form == "json" else _import_yaml().safe_load(content)
    except TicklineError:
        raise
    except Exception as error:  # what a parser raises is its own affair
        raise _no_table(path, f"cannot be read as {form.upper()} ({type(error).__name__})") from error
    if table is None:  # an empty YAML file
        return {}
    if not isinstance(table, dict):
        raise _no_table(path, "is no table of coordinates")
    return {str(label): _entry(label, entry, path) for label, entry in table.items()}


def _entry(label: object, entry: object, path: Path) -> Place | None:
    if entry is None:
        return None
    pair = (entry.get("latitude", ""), entry.get("longitude", "")) if isinstance(entry, dict) else ("", "")
    if pair == (None, None):
        return None
    # The old programs copied what ipinfo answers, which are texts.
    place = place_of(*map(_number, pair))
    if not isinstance(label, str) or place is None:
        raise _no_table(path, f"has no latitude and longitude for {str(label)!r:.60}")
    return place


def _number(value: object) -> object:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return value


def _no_table(path: Path, what: str) -> SourceError:
    hint = "Correct it, or move it away: it is made anew then."
    return SourceError(what, where=str(path), hint=hint)


def write_coordinates(out: Path, found: Coordinates, *, form: str) -> list[Path]:
    """Write both files below `out`, each one whole; one that would not change is left alone.

    Parameters
    ----------
    out : Path
        A folder; it is made.
    found : Coordinates
        What to write.
    form : str
        One of `FORMS`.

    Returns
    -------
    list of Path
        The files that were written.
    """
    _check_form(form)
    written = []
    for name, places, indent in ((_REGIONS, found.regions, 1), (_SERVICES, found.services, None)):
        table = {label: _as_entry(places[label]) for label in _natural(places)}
        path = out / f"{name}.{form}"
        if form == "json":
            content = json.dumps(table, indent=indent).encode()
        else:  # sorted by code point, which is what its writer does
            content = str(_import_yaml().dump(table)).encode()
        try:
            if not path.is_file() or path.read_bytes() != content:
                write_whole(path, content)
                written.append(path)
        except OSError as error:
            raise explain_os_error(error, path) from error
    return written


def _as_entry(place: Place | None) -> dict[str, float | None]:
    latitude, longitude = place or (None, None)
    return {"latitude": latitude, "longitude": longitude}


def _import_yaml() -> ModuleType:
    try:
        import yaml
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[regions]'."
        raise TicklineError("YAML needs PyYAML, which is not installed", hint=hint) from error
    return yaml
