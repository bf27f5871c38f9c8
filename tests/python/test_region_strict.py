"""Labels as the old programs gave them: their order, their networks, their words for nothing."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from python import regions_support as made
from python.regions_support import AWS, GCP, GITHUB, place, written
from tickline.errors import UsageError
from tickline.pipelines.access.regions.ipinfo import ask_ipinfo
from tickline.pipelines.access.regions.lookup import Labeler
from tickline.pipelines.access.regions.regions import label_requesters, update_regions
from tickline.pipelines.access.regions.strict import PROFILES, StrictLabels
from tickline.store.folder import StoreFolder

PARSER, EXTRACTION = PROFILES


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StoreFolder]:
    with made.store(tmp_path / "store") as opened:
        yield opened


def strict(folder: StoreFolder, profile: str, ids: Sequence[int]) -> list[str]:
    with StrictLabels(folder, profile) as labels:
        return labels.of(ids)


def old_label(address: str, lists: Sequence[tuple[str, Sequence[tuple[str, str]]]]) -> str:
    """Look an address up as get_region_from_ip_address does, without ipinfo."""
    for service in ("GitHub", "AWS", "GCP", "VPN"):
        for name, networks in lists:
            for network, label in networks if name == service else ():
                if ":" not in network and ipaddress.ip_address(address) in ipaddress.ip_network(network):
                    return label
    return "unknown"


@pytest.mark.parametrize("number", range(4))
def test_lists_are_looked_into_as_the_old_programs_do(
    number: int, tmp_path: Path, folder: StoreFolder
) -> None:
    draw = random.Random(number)

    def networks(count: int) -> list[str]:
        made_of = []
        for _ in range(count):
            prefix = draw.randrange(11, 20)
            bits = (0x51 << 24 | draw.getrandbits(24)) & (0xFFFFFFFF << (32 - prefix))
            made_of.append(str(ipaddress.ip_network((bits & 0xFFFFFFFF, prefix))))
        return made_of

    aws = [{"ip_prefix": one, "region": f"r{n % 3}"} for n, one in enumerate(networks(12))]
    gcp = [{"ipv4Prefix": one, "scope": f"s{n % 3}"} for n, one in enumerate(networks(12))]
    hooks, vpn = networks(6), networks(6)
    lists = [
        ("VPN", [(one, "VPN") for one in vpn]),
        ("GCP", [(one["ipv4Prefix"], f"GCP/{one['scope']}") for one in gcp]),
        ("AWS", [(one["ip_prefix"], f"AWS/{one['region']}") for one in aws]),
        ("GitHub", [(one, "GitHub") for one in hooks]),
    ]
    ipv6 = [{"ipv6_prefix": "2a00::/16", "region": "six"}]
    sources = [
        written(tmp_path / "vpn", "\n".join(vpn)),
        written(tmp_path / "gcp", {"prefixes": gcp}),
        written(tmp_path / "aws", {"prefixes": aws, "ipv6_prefixes": ipv6}),
        written(tmp_path / "github", {"hooks": [*hooks, "2a01::/16"], "git": [], "ssh_keys": ["x"]}),
    ]
    update_regions(folder, sources)
    asked = [f"81.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}" for _ in range(300)]
    asked += [one.split("/")[0] for one in (*hooks, *vpn)] + ["2a00::1", "2a01::1", "10.0.0.1"]
    expected = [old_label(address, lists) for address in asked]
    with Labeler(folder, strict=True, bogons=False) as labeler:
        assert labeler.labels(asked)[0] == expected
    assert len(set(expected)) > 6


def test_words_of_the_two_programs(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["192.0.2.0", "3.4.12.4", "9.9.9.9", "2600:1f14::1", "-"]).tolist()
    label_requesters(folder)
    # As in the fixtures: without any source, the one has nothing, and the other has asked and found nothing.
    assert strict(folder, EXTRACTION, ids) == ["bogon", "missing", "missing", "missing", "missing"]
    assert strict(folder, PARSER, ids) == ["unknown"] * 5
    update_regions(folder, [written(tmp_path / "aws", AWS)])
    assert strict(folder, EXTRACTION, ids) == ["bogon", "AWS/eu-west-1", "unknown", "unknown", "unknown"]
    assert strict(folder, PARSER, ids) == ["unknown", "AWS/eu-west-1", "unknown", "unknown", "unknown"]
    update_regions(folder, [written(tmp_path / "aws", AWS), "ipinfo"])
    assert strict(folder, EXTRACTION, ids)[2:] == ["undetermined", "undetermined", "unknown"]
    assert strict(folder, PARSER, ids)[2:] == ["unknown"] * 3
    with pytest.raises(UsageError, match="dandi-s3-log-parser, s3-log-extraction"):
        StrictLabels(folder, "native")


def test_what_ipinfo_answered_and_databases_count(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = made.add_requesters(folder, ["9.9.9.9", "83.1.1.1", "3.4.12.4", "9.9.9.8"]).tolist()
    database = made.mmdb(tmp_path / "city", {"83.0.0.0/8": place("DE", "Bavaria")})
    update_regions(folder, [database, written(tmp_path / "aws", AWS), "ipinfo"])
    answers = made.ipinfo_answers({"9.9.9.9": {"country": "US", "region": "California"}})
    with made.ipinfo_server(monkeypatch, answers) as (_, client):
        ask_ipinfo(folder, client=client)
    for profile in PROFILES:
        assert strict(folder, profile, [*ids, ids[0]]) == [
            "US/California", "DE/Bavaria", "AWS/eu-west-1", "unknown", "US/California",
        ]  # fmt: skip


def test_without_addresses_the_labels_of_the_ledger_stand_in(tmp_path: Path, folder: StoreFolder) -> None:
    update_regions(folder, [written(tmp_path / "a", GCP), written(tmp_path / "b", GITHUB)])
    ids = made.add_requesters(folder, ["34.1.208.1", "192.0.2.0", "9.9.9.9"]).tolist()
    label_requesters(folder)
    (folder.path / "private" / "ips.sqlite").unlink()
    more = made.add_requesters(folder, ["9.9.9.8"]).tolist()
    (folder.path / "private" / "ips.sqlite").unlink()
    assert strict(folder, PARSER, ids + more) == ["GCP/africa-south1", "unknown", "unknown", "unknown"]
    assert strict(folder, EXTRACTION, ids + more) == ["GCP/africa-south1", "bogon", "unknown", "missing"]


def test_many_are_labelled_in_batches(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickline.pipelines.access.regions.strict._IDS_PER_QUERY", 7)
    update_regions(folder, [written(tmp_path / "a", "\n".join(f"81.{n}.0.0/16 DE/{n}" for n in range(50)))])
    ids = made.add_requesters(folder, [f"81.{number}.0.1" for number in range(50)]).tolist()
    assert strict(folder, PARSER, ids[::-1]) == [f"DE/{number}" for number in reversed(range(50))]
    assert strict(folder, PARSER, []) == []
