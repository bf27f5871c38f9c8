"""Lists of networks that providers publish as JSON: AWS, Google, Azure and GitHub, told by their shapes.

Shapes as of 2026: https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html,
https://www.gstatic.com/ipranges/cloud.json, https://www.microsoft.com/download/details.aspx?id=56519 (Azure
Service Tags) and https://docs.github.com/rest/meta.
"""

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tickline import _core
from tickline.errors import SourceError
from tickline.pipelines.access.regions.file import COPY_AGAIN, RegionFile, check_networks
from tickline.pipelines.access.regions.labels import joined_label

__all__ = ["day_of", "parse_json"]

# Names of arrays in GitHub's answer; two of them tell it from any other JSON.
_GITHUB_NAMES = frozenset(
    {"actions", "api", "dependabot", "git", "hooks", "importer", "packages", "pages", "web"}
)
_KNOWN = (
    "Known are ip-ranges.json of AWS, cloud.json of Google, Service Tags of Azure, api.github.com/meta, "
    "lists of networks (one a line), and City or Country databases of MaxMind (.mmdb)."
)


def parse_json(text: str, path: str) -> RegionFile:
    """Understand one of the known shapes.

    Raises
    ------
    SourceError
        It is none of them, or an entry is not what it should be; the message says where.
    """
    try:
        data = json.loads(text)
    except RecursionError as error:
        what = "its JSON is nested too deeply"
        raise SourceError(what, where=path, hint=_KNOWN) from error
    except ValueError as error:
        what = f"its JSON cannot be read ({error})"
        raise SourceError(what, where=path, hint=COPY_AGAIN) from error
    if isinstance(data, dict):
        shape = _prefix_shape(data)
        if shape is not None:
            return _prefixes(data, shape, path)
        if _is_azure(data):
            return _azure(data["values"], path)
        if sum(isinstance(data.get(name), list) for name in _GITHUB_NAMES) >= 2:
            return _github(data, path)
    raise SourceError("is JSON of an unknown shape", where=path, hint=_KNOWN)


# ---- AWS and Google ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a provider names things in its file."""

    kind: str
    label: str
    networks: tuple[str, ...]
    region: str
    dates: tuple[str, ...]


_SHAPES = (
    _Shape("aws", "AWS", ("ip_prefix", "ipv6_prefix"), "region", ("createDate", "syncToken")),
    _Shape("gcp", "GCP", ("ipv4Prefix", "ipv6Prefix"), "scope", ("creationTime", "syncToken")),
)


def _items(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("prefixes", "ipv6_prefixes"):
        if isinstance(items := data.get(name), list):
            for index, item in enumerate(items):
                yield f"{name}[{index}]", item


def _prefix_shape(data: Mapping[str, Any]) -> _Shape | None:
    first = next((item for _, item in _items(data)), None)
    if isinstance(first, dict):
        for shape in _SHAPES:
            if any(name in first for name in shape.networks):
                return shape
    return None


def _prefixes(data: Mapping[str, Any], shape: _Shape, path: str) -> RegionFile:
    found = RegionFile(
        shape.kind, date=next(filter(None, (day_of(data.get(name)) for name in shape.dates)), None)
    )
    places: list[str] = []
    for place, item in _items(data):
        networks = [item[name] for name in shape.networks if name in item] if isinstance(item, dict) else []
        region = item.get(shape.region, "") if networks else ""
        if len(networks) != 1 or not isinstance(networks[0], str) or not isinstance(region, str):
            names = " or ".join(shape.networks)
            raise SourceError(f"{place} is not an entry with one {names}", where=path, hint=COPY_AGAIN)
        found.add(networks[0], joined_label(shape.label, region))
        places.append(place)
    return check_networks(found, places.__getitem__, path)


def day_of(value: object) -> str | None:
    """Return the day of ``2024-05-01-12-13-04``, ``2024-05-01T12:13:04.5`` or seconds since 1970."""
    text = value if isinstance(value, str) else ""
    try:
        if re.fullmatch("[0-9]{1,11}", text):
            return datetime.fromtimestamp(int(text), UTC).date().isoformat()
        return datetime.strptime(text[:10], "%Y-%m-%d").date().isoformat()  # noqa: DTZ007 (a day has no zone)
    except (ValueError, OverflowError, OSError):
        return None


# ---- GitHub ------------------------------------------------------------------------------------------------


def _github(data: Mapping[str, Any], path: str) -> RegionFile:
    """Take every array in which anything is a network: ssh keys are none, and names may come and go."""
    found = RegionFile("github")
    places: list[str] = []
    for name, items in data.items():
        texts = items if isinstance(items, list) and all(isinstance(item, str) for item in items) else []
        if all(_core.first_bad_network([text]) is not None for text in texts):
            continue
        for index, text in enumerate(texts):
            found.add(text, "GitHub")
            places.append(f"{name}[{index}]")
    return check_networks(found, places.__getitem__, path)


# ---- Azure -------------------------------------------------------------------------------------------------

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _is_azure(data: Mapping[str, Any]) -> bool:
    values = data.get("values")
    first = values[0] if isinstance(values, list) and values else None
    properties = first.get("properties") if isinstance(first, dict) else None
    return isinstance(properties, dict) and "addressPrefixes" in properties


def _azure(values: list[Any], path: str) -> RegionFile:
    """Take the networks of all tags, each once.

    The same addresses stand in several tags: in that of the service, often without a region, and in that of
    the cloud in its region. So a network without a region counts only outside of those that have one.
    """
    tags: dict[str, str] = {}
    places: list[str] = []
    for place, network, region in _azure_entries(values, path):
        if network not in tags:
            places.append(place)
        tags[network] = tags.get(network) or region
    checked = RegionFile("azure", networks=list(tags))
    check_networks(checked, places.__getitem__, path)
    regions = {ipaddress.ip_network(network) for network, region in tags.items() if region}
    found = RegionFile("azure")
    # Those with a region first, so that they also win where the order decides.
    for network, region in sorted(tags.items(), key=lambda tag: not tag[1]):
        if region or not _is_inside(ipaddress.ip_network(network), regions):
            found.add(network, joined_label("Azure", region))
    return found


def _azure_entries(values: list[Any], path: str) -> Iterator[tuple[str, str, str]]:
    """Yield place, network and region ("" without one)."""
    for number, value in enumerate(values):
        properties = value.get("properties") if isinstance(value, dict) else None
        region = properties.get("region") if isinstance(properties, dict) else None
        networks = properties.get("addressPrefixes") if isinstance(properties, dict) else None
        if not isinstance(region, str) or not isinstance(networks, list):
            what = f"values[{number}] is not a service tag with a region and addressPrefixes"
            raise SourceError(what, where=path, hint=COPY_AGAIN)
        for index, network in enumerate(networks):
            place = f"values[{number}].properties.addressPrefixes[{index}]"
            if not isinstance(network, str):
                raise SourceError(f"{place} is no text", where=path, hint=COPY_AGAIN)
            yield place, network, region


def _is_inside(network: _Network, others: set[_Network]) -> bool:
    return any(network.supernet(new_prefix=prefix) in others for prefix in range(network.prefixlen + 1))
