"""What the tests of regions share: files as providers publish them, and stores with requesters."""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from python.http_support import Answer, Request, Script, WebServer, http_server, ok_json
from tickline.clients.ipinfo import Ipinfo
from tickline.store.folder import StoreFolder
from tickline.store.ledger import unsigned
from tickline.store.settings import WantedSettings

AWS = {
    "syncToken": "1714565584",
    "createDate": "2024-05-01-12-13-04",
    "prefixes": [
        {"ip_prefix": "3.4.12.4/32", "region": "eu-west-1", "service": "AMAZON"},
        {"ip_prefix": "3.5.140.0/22", "region": "ap-northeast-2", "service": "AMAZON"},
        {"ip_prefix": "3.5.140.0/22", "region": "ap-northeast-2", "service": "S3"},
        {"ip_prefix": "3.0.0.0/8", "region": "GLOBAL", "service": "AMAZON"},
    ],
    "ipv6_prefixes": [{"ipv6_prefix": "2600:1f14::/35", "region": "us-west-2", "service": "EC2"}],
}
GCP = {
    "syncToken": "1714600000000",
    "creationTime": "2024-05-02T01:02:03.456789",
    "prefixes": [
        {"ipv4Prefix": "34.1.208.0/20", "service": "Google Cloud", "scope": "africa-south1"},
        {"ipv6Prefix": "2600:1900:8000::/44", "service": "Google Cloud", "scope": "us-central1"},
    ],
}
GITHUB = {
    "verifiable_password_authentication": False,
    "ssh_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "ecdsa-sha2-nistp256 AAAAE2VjZHNh"],
    "ssh_key_fingerprints": {"SHA256_RSA": "uNiVztksCsDhcc0u9e8BgrJXVGDgLq"},
    "hooks": ["192.30.252.0/22", "2a0a:a440::/29"],
    "git": ["20.201.28.151/32"],
    "actions": ["4.148.0.0/16", "2603:1030:401:0143::/64"],
    "domains": {"website": ["*.github.com"]},
}
AZURE = {
    "changeNumber": 286,
    "cloud": "Public",
    "values": [
        {
            "name": "ActionGroup",
            "properties": {
                "region": "",
                "addressPrefixes": ["20.32.0.0/11", "20.40.4.0/30", "51.12.0.0/24", "2603:1030:40c::/48"],
            },
        },
        {
            "name": "AzureCloud.westeurope",
            "properties": {"region": "westeurope", "addressPrefixes": ["20.40.0.0/16", "2603:1020:200::/46"]},
        },
        {
            "name": "Storage.northeurope",
            "properties": {"region": "northeurope", "addressPrefixes": ["20.40.8.0/24", "20.40.0.0/16"]},
        },
    ],
}


def written(path: Path, content: object) -> str:
    """Write JSON, or a text as it is, and return the path."""
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def mmdb(
    path: Path,
    records: dict[str, Any],
    *,
    kind: str = "GeoLite2-City",
    ip_version: int = 6,
    epoch: int | None = 1_714_521_600,
) -> str:
    """Write a database of MaxMind's format: network to record."""
    writer = MMDBWriter(ip_version, kind, ipv4_compatible=ip_version == 6)
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(path))
    if epoch is not None:
        # The writer takes the time of day: put a fixed one in its place (uint64 of 4 bytes: 04 02).
        content = path.read_bytes()
        at = content.rindex(b"build_epoch") + len(b"build_epoch")
        assert content[at : at + 2] == b"\x04\x02"
        path.write_bytes(content[: at + 2] + epoch.to_bytes(4, "big") + content[at + 6 :])
    return str(path)


def place(code: str, region: object = None) -> dict[str, Any]:
    """Return a record of a City database."""
    record: dict[str, Any] = {"country": {"iso_code": code, "names": {"en": code}}}
    if region is not None:
        record["subdivisions"] = [{"names": {"en": region, "de": "x"}}, {"names": {"en": "smaller"}}]
    return record


def store(path: Path) -> StoreFolder:
    """Open a store, new where there is none."""
    return StoreFolder.open_or_create(path, WantedSettings())


def add_requesters(folder: StoreFolder, addresses: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Let a store know these addresses, as ingest does, and return their ids."""
    pseudonyms = folder.pseudonyms(making=True)
    ids = pseudonyms.ids(addresses)
    pseudonyms.remember(ids, addresses)
    pseudonyms.close()
    with folder.ledger.transaction():
        folder.ledger.add_requesters(ids)
    return ids


def labels_of(folder: StoreFolder, ids: np.ndarray[Any, np.dtype[np.uint64]]) -> list[str | None]:
    """Return the labels that the ledger holds."""
    return folder.ledger.requesters(ids)[1]


def slow_labels(lists: Sequence[tuple[str, str]], order: str, addresses: Sequence[str]) -> list[str]:
    """Label addresses that are no bogons by a look at every network."""
    found = []
    for text in addresses:
        address = ipaddress.ip_address(text)
        holding = [
            (-ipaddress.ip_network(network).prefixlen if order == "longest-prefix" else 0, index, label)
            for index, (network, label) in enumerate(lists)
            if address in ipaddress.ip_network(network)
        ]
        found.append(min(holding)[2] if holding else "unknown")
    return found


# ---- ipinfo ------------------------------------------------------------------------------------------------

TOKEN = "t0ken-that-nobody-sees"


def ipinfo_answers(known: dict[str, dict[str, Any]]) -> Callable[[Request], Answer]:
    """Answer batches as ipinfo.io does; an address that is not in `known` gets nothing but its own name."""
    return lambda request: ok_json({ip: {"ip": ip, **known.get(ip, {})} for ip in request.json})


@contextlib.contextmanager
def ipinfo_server(
    monkeypatch: pytest.MonkeyPatch, script: Script, **options: Any
) -> Iterator[tuple[WebServer, Ipinfo]]:
    """Run a server that is ipinfo.io for the package ipinfo, with a client for it that does not wait."""
    with http_server({"/batch": script}) as web:
        monkeypatch.setattr("ipinfo.handler.API_URL", web.url)
        yield web, Ipinfo(TOKEN, **{"wait": lambda _: None, "timeout_s": 0.3, "retries": 1, **options})


def batches(web: WebServer) -> list[list[str]]:
    """Return which addresses the server was asked for, request by request."""
    return [request.json for request in web.requests]


# ---- what a store says -------------------------------------------------------------------------------------


def stored(folder: StoreFolder) -> dict[str, tuple[str | None, str | None]]:
    """Return label and kind of its snapshot, by address."""
    kinds = {row["id"]: row["kind"] for row in folder.ledger.rows("SELECT id, kind FROM snapshots")}
    rows = folder.ledger.rows("SELECT id, label, snapshot FROM requesters ORDER BY number")
    addresses = folder.pseudonyms().addresses([unsigned(row["id"]) for row in rows])
    return {
        str(address): (row["label"], kinds.get(row["snapshot"]))
        for address, row in zip(addresses, rows, strict=True)
    }


def files_with(root: Path, *texts: str) -> list[str]:
    """Return the files below `root` that hold one of these texts."""
    wanted = [text.encode() for text in texts]
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            if any(text in content for text in wanted):
                found.append(str(path.relative_to(root)))
    return found
