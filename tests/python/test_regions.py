"""Regions of requesters: files of providers, snapshots in the store, labels and where they came from."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from python import regions_support as made
from python.regions_support import AWS, GCP, GITHUB, labels_of, place, written
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.fake import regions as generated
from tickline.pipelines.access.regions import regions
from tickline.pipelines.access.regions.bogons import BOGONS, EXCEPTIONS, bogon_networks
from tickline.pipelines.access.regions.labels import clean_label
from tickline.pipelines.access.regions.lookup import Labeler
from tickline.pipelines.access.regions.regions import label_requesters, update_regions
from tickline.pipelines.access.regions.sources import Wanted, read_region_file
from tickline.store.folder import StoreFolder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[StoreFolder]:
    with made.store(tmp_path / "store") as opened:
        yield opened


def labels(folder: StoreFolder, *addresses: str | None) -> list[str]:
    with Labeler(folder) as labeler:
        return labeler.labels(addresses)[0]


# ---- what a file is ----------------------------------------------------------------------------------------


def test_files_of_providers_are_told_by_their_content(tmp_path: Path) -> None:
    aws = read_region_file(Wanted(written(tmp_path / "a", AWS)))
    assert (aws.kind, aws.date, aws.label) == ("aws", "2024-05-01", None)
    assert dict(zip(aws.networks, aws.labels, strict=True)) == {
        "3.4.12.4/32": "AWS/eu-west-1",
        "3.5.140.0/22": "AWS/ap-northeast-2",
        "3.0.0.0/8": "AWS/GLOBAL",
        "2600:1f14::/35": "AWS/us-west-2",
    }
    gcp = read_region_file(Wanted(written(tmp_path / "b", GCP)))
    assert (gcp.kind, gcp.date) == ("gcp", "2024-05-02")
    assert gcp.labels == ["GCP/africa-south1", "GCP/us-central1"]
    github = read_region_file(Wanted(written(tmp_path / "c", GITHUB)))
    assert (github.kind, github.date) == ("github", None)
    assert len(github.networks) == 5
    assert set(github.labels) == {"GitHub"}


def test_the_day_of_aws_is_its_token_where_no_date_stands(tmp_path: Path) -> None:
    without = {name: value for name, value in AWS.items() if name != "createDate"}
    assert read_region_file(Wanted(written(tmp_path / "a", without))).date == "2024-05-01"
    assert read_region_file(Wanted(written(tmp_path / "b", {**without, "syncToken": "soon"}))).date is None
    assert (
        read_region_file(Wanted(written(tmp_path / "c", {**AWS, "createDate": "2024-99-01"}))).date
        == "2024-05-01"
    )


def test_a_list_has_one_network_a_line_and_perhaps_its_label(tmp_path: Path) -> None:
    text = (
        "\ufeff# VPN exits\r\n\n192.0.2.0/24\r\n198.51.100.7 # one\n;x\n\t2001:db8::/32\tDE/Bavaria\tmore\n"
    )
    text += "203.0.113.0/24  US/New York ; y"
    path = written(tmp_path / "list", text)
    found = read_region_file(Wanted(path, "Exit"))
    assert (found.kind, found.label, found.date) == ("list", "Exit", None)
    assert found.networks == ["192.0.2.0/24", "198.51.100.7", "2001:db8::/32", "203.0.113.0/24"]
    assert found.labels == ["Exit", "Exit", "DE/Bavaria", "US/New York"]
    assert read_region_file(Wanted(path)).labels[0] == "VPN"


def test_compressed_files_are_the_same_as_plain_ones(tmp_path: Path) -> None:
    plain = Path(written(tmp_path / "a.json", AWS))
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(plain.read_bytes()))
    database = made.mmdb(tmp_path / "x.mmdb", {"81.0.0.0/8": place("DE")})
    (tmp_path / "x.mmdb.gz").write_bytes(gzip.compress(Path(database).read_bytes()))
    for one, other in (("a.json", "a.json.gz"), ("x.mmdb", "x.mmdb.gz")):
        first, second = (read_region_file(Wanted(str(tmp_path / name))) for name in (one, other))
        assert first == second
        assert first.hash == hashlib.sha256((tmp_path / one).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("DE/Bavaria", "DE/Bavaria"),
        (" DE / Provence/Alpes ", "DE/Provence-Alpes"),
        ("FR/\x00\t\n", "FR"),
        ("FR/a\u2028\u200bb\x7f  c", "FR/a b c"),
        ("DE/Thu\u0308ringen", "DE/Thüringen"),
        ("/x", ""),
        ("", ""),
        ("\udcff/\udc80", ""),
        ("A/" + "x" * 300, "A/" + "x" * 100),
    ],
)
def test_labels_are_cleaned(text: str, label: str) -> None:
    assert clean_label(text) == label
    assert clean_label(label) == label


def test_region_names_of_files_are_cleaned_too(tmp_path: Path) -> None:
    odd = {"prefixes": [{"ip_prefix": f"3.{number}.0.0/16", "region": region} for number, region in enumerate(
        ["us/east\n1", "", " "])]}  # fmt: skip
    assert read_region_file(Wanted(written(tmp_path / "a", odd))).labels == ["AWS/us-east 1", "AWS", "AWS"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no network"),
        (b"# nothing\n", "holds no network"),
        (b'{"prefixes": []}', "unknown shape"),
        (b'{"a": 1}', "unknown shape"),
        (b"[1, 2]", "unknown shape"),
        (
            b'{"values": [{"properties": {"addressPrefixes": ["10.0.0.0/8"]}}]}',
            r"values\[0\] is not a service tag",
        ),
        (b'{"prefixes": [', "JSON cannot be read"),
        (b'{"a": ' * 200_000, "nested too deeply"),
        (b"[" * 200_000, "nested too deeply"),
        (b"1" * 20_000, "line 1: "),
        (b'{"n": ' + b"1" * 20_000 + b"}", "JSON cannot be read"),
        (b"\xff\xfe1\x000\x00", "neither UTF-8 text nor"),
        (b"10.0.0.0/8\n\n# x\n10.0.0.1/8\n", r"line 4: '10\.0\.0\.1/8' .* Did you mean 10\.0\.0\.0/8\?"),
        (b"10.0.0.0/8,DE\n", "line 1: "),
        (b"10.0.0.0/8\r\n999.0.0.0/8\tDE/x\r\n", "line 2: '999.0.0.0/8'"),
        (b"10.0.0.0/8 missing\n", "line 1: 'missing' is no label"),
        (b'{"prefixes": [{"ip_prefix": "3.0.0.0/8"}, {"ip_prefix": "x"}]}', r"prefixes\[1\]: 'x'"),
        (b'{"prefixes": [{"ip_prefix": "3.0.0.0/8"}, 7]}', r"prefixes\[1\] is not an entry"),
        (b'{"prefixes": [{"ip_prefix": "3.0.0.0/8", "region": 7}]}', r"prefixes\[0\] is not an entry"),
        (b'{"prefixes": [{"ip_prefix": 3, "region": "a"}]}', r"prefixes\[0\] is not an entry"),
        (
            b'{"prefixes": [{"ip_prefix": "3.0.0.0/8", "ipv6_prefix": "::/0"}]}',
            r"prefixes\[0\] is not an entry",
        ),
        (b'{"hooks": ["1.2.3.0/24"], "git": ["1.2.4.0/24", "1.2.3"]}', r"git\[1\]: '1\.2\.3'"),
        (b'{"hooks": ["a"], "git": []}', "holds no network"),
    ],
)
def test_bad_content_gets_a_sentence_and_nothing_is_stored(
    content: bytes, message: str, tmp_path: Path, folder: StoreFolder
) -> None:
    good, bad = written(tmp_path / "good", AWS), tmp_path / "bad"
    bad.write_bytes(content)
    with pytest.raises(SourceError, match=message) as raised:
        update_regions(folder, [good, str(bad)])
    assert str(raised.value).startswith(str(bad))
    assert folder.ledger.snapshots() == []
    assert not (folder.path / "regions").exists()


def test_files_that_cannot_be_read_get_a_sentence(tmp_path: Path, folder: StoreFolder) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(2 << 30)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"10.0.0.0/8\n" * 100)[:-9])
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as packed:
        for _ in range(33):
            packed.write(b"[" + b" " * (1 << 20))
    for name, message in (
        (".", "is a folder"),
        ("pipe", "not a regular file"),
        ("huge", "too large"),
        ("cut.gz", "ends too early"),
        ("bomb.gz", "too large for a JSON file"),
    ):
        with pytest.raises(SourceError, match=message):
            update_regions(folder, [str(tmp_path / name)])
    for name in ("absent", "cut.gz/below"):
        with pytest.raises(UsageError, match=r"does not exist|stands below something that is not a folder"):
            update_regions(folder, [str(tmp_path / name)])
    assert folder.ledger.snapshots() == []


def test_lists_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "list", "10.0.0.0/8\n" * 30)
    monkeypatch.setattr("tickline.pipelines.access.regions.sources._MOST_NETWORKS", 29)
    with pytest.raises(SourceError, match="line 30: more than 29 networks"):
        read_region_file(Wanted(path))
    monkeypatch.setitem(sys.modules[Wanted.__module__]._MOST_BYTES, "list", 100)
    with pytest.raises(SourceError, match="too large for a list"):
        read_region_file(Wanted(path))


def test_what_comes_out_of_a_compressed_file_has_a_bound(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Zeros may be a database, so that the bounds of texts do not stop them.
    (tmp_path / "zeros.gz").write_bytes(gzip.compress(bytes(9 << 20)))
    bounds = sys.modules[Wanted.__module__]._MOST_BYTES
    for kind in bounds:
        monkeypatch.setitem(bounds, kind, 1 << 20)
    with pytest.raises(SourceError, match="too large"):
        update_regions(folder, [str(tmp_path / "zeros.gz")])


def test_a_label_is_for_lists_only(tmp_path: Path) -> None:
    path = written(tmp_path / "a=b.json", AWS)
    assert Wanted.from_text(path) == Wanted(path)
    assert Wanted.from_text(f"Data/centre={path}") == Wanted(path, "Data/centre")
    with pytest.raises(UsageError, match="Only lists"):
        read_region_file(Wanted.from_text(f"Mine={path}"))
    for wrong in ("", "VPN=", "=x", "unknown=x", "missing=x", "\x00=x"):
        with pytest.raises(UsageError):
            Wanted.from_text(wrong)


# ---- databases ---------------------------------------------------------------------------------------------


def test_databases_give_country_and_first_subdivision(tmp_path: Path, folder: StoreFolder) -> None:
    records = {
        "81.0.0.0/16": place("DE", "Bavaria"),
        "81.1.0.0/16": place("FR"),
        "81.2.0.0/16": place("FR", "Provence/Alpes\n"),
        "81.3.0.0/16": {"registered_country": {"iso_code": "US"}},
        "81.4.0.0/16": {"country": {"iso_code": 7}, "subdivisions": "x"},
        "81.5.0.0/16": {"country": {"iso_code": "IT"}, "subdivisions": [{"names": {"de": "x"}}]},
        "81.6.0.0/16": "a text",
        "81.8.0.0/16": {"country": {"iso_code": "AT"}, "subdivisions": {"names": {"en": "x"}}},
        "2a00:1::/32": place("SE", "Skåne County"),
    }
    report = update_regions(folder, [made.mmdb(tmp_path / "city.mmdb", records)])
    assert [(one.kind, one.date, one.name) for one in report.snapshots] == [
        ("mmdb", "2024-05-01", "city.mmdb")
    ]
    assert labels(folder, *(f"81.{number}.2.3" for number in range(9)), "2a00:1::9", "::ffff:81.0.0.1") == [
        "DE/Bavaria", "FR", "FR/Provence-Alpes", "unknown", "unknown", "IT", "unknown", "unknown", "AT",
        "SE/Skåne County", "DE/Bavaria",
    ]  # fmt: skip


def test_a_database_of_ipv4_is_not_asked_for_ipv6(tmp_path: Path, folder: StoreFolder) -> None:
    four = made.mmdb(tmp_path / "four", {"81.0.0.0/8": place("DE")}, ip_version=4, kind="GeoLite2-Country")
    update_regions(folder, [four])
    assert labels(folder, "81.2.3.4", "2a00:1::9", "::ffff:81.2.3.4") == ["DE", "unknown", "DE"]


def test_the_first_database_that_names_a_country_decides(tmp_path: Path, folder: StoreFolder) -> None:
    first = made.mmdb(tmp_path / "a", {"81.0.0.0/9": place("DE")})
    second = made.mmdb(tmp_path / "b", {"81.0.0.0/8": place("FR")})
    ids = [one.id for one in update_regions(folder, [first, second]).snapshots]
    with Labeler(folder) as labeler:
        assert labeler.labels(["81.0.0.1", "81.128.0.1", "82.0.0.1"]) == (
            ["DE", "FR", "unknown"],
            [ids[0], ids[1], None],
        )


def test_databases_that_are_no_use_get_a_sentence(tmp_path: Path, folder: StoreFolder) -> None:
    asn = made.mmdb(tmp_path / "asn", {"81.0.0.0/8": {"autonomous_system_number": 7}}, kind="GeoLite2-ASN")
    whole = Path(made.mmdb(tmp_path / "whole", {"81.0.0.0/8": place("DE")})).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "damaged").write_bytes(whole.replace(b"node_count", b"node_cxunt"))
    (tmp_path / "only_mark").write_bytes(b"\xab\xcd\xefMaxMind.com")
    for name, message in (
        (asn, "'GeoLite2-ASN', which names no countries"),
        ("cut", "neither UTF-8 text nor a whole MaxMind database"),
        ("damaged", "database is damaged"),
        ("only_mark", "database is damaged"),
    ):
        with pytest.raises(SourceError, match=message):
            update_regions(folder, [str(tmp_path / name)])


def test_damage_inside_a_database_never_shows_an_address(tmp_path: Path, folder: StoreFolder) -> None:
    path = Path(made.mmdb(tmp_path / "a", {"81.0.0.0/8": place("DE", "Bavaria")}))
    content = bytearray(path.read_bytes())
    # A data section full of nonsense behind a good tree.
    begin = content.index(b"country") - 2
    content[begin : content.rindex(b"\xab\xcd\xefMaxMind.com")] = b"\xff" * (
        content.rindex(b"\xab\xcd\xefMaxMind.com") - begin
    )
    path.write_bytes(content)
    update_regions(folder, [str(path)])
    with Labeler(folder) as labeler, pytest.raises(SourceError, match="damaged") as raised:
        labeler.labels(["81.2.3.4"])
    assert "81.2.3.4" not in str(raised.value)


def test_without_maxminddb_a_sentence_names_the_extra(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.mmdb(tmp_path / "a", {"81.0.0.0/8": place("DE")})
    monkeypatch.setitem(sys.modules, "maxminddb", None)
    with pytest.raises(TicklineError, match=r"pip install 'tickline\[regions\]'"):
        update_regions(folder, [path])
    update_regions(folder, [written(tmp_path / "list", "81.0.0.0/8")])


# ---- bogons ------------------------------------------------------------------------------------------------


def test_bogons_are_the_listed_networks_without_the_exceptions(folder: StoreFolder) -> None:
    asked, expected = [], []
    listed = [ipaddress.ip_network(text) for text in (*BOGONS, *EXCEPTIONS)]
    for network in listed:
        for number in (int(network[0]), int(network[-1]), int(network[0]) - 1, int(network[-1]) + 1):
            if not 0 <= number < 1 << network.max_prefixlen:
                continue
            address = type(network[0])(number)
            inside = any(address in one for one in listed[: len(BOGONS)])
            but = any(address in one for one in listed[len(BOGONS) :])
            asked.append(str(address))
            expected.append("bogon" if inside and not but else "unknown")
    assert labels(folder, *asked) == expected
    assert "unknown" in expected


def test_python_takes_no_bogon_for_a_global_address() -> None:
    # What Python 3.11 does not know yet, or judges by another registry.
    differs = ["64:ff9b:1::/48", "100:0:0:1::/64", "3fff::/20", "5f00::/16", "192.88.99.2/32", "fec0::/10"]
    differs += ["192.0.0.0/24", "224.0.0.0/4", "ff00::/8"]
    agreed = 0
    for text in bogon_networks():
        network = ipaddress.ip_network(text)
        if not any(network.overlaps(ipaddress.ip_network(other)) for other in differs):
            assert (network[0].is_global, network[-1].is_global) == (False, False), text
            agreed += 1
    assert agreed > 20


# ---- labels ------------------------------------------------------------------------------------------------


def test_order_of_sources(tmp_path: Path, folder: StoreFolder) -> None:
    sources = [
        f"Wide={written(tmp_path / 'wide', '3.0.0.0/8' + chr(10) + '10.0.0.0/16')}",
        written(tmp_path / "aws", AWS),
        made.mmdb(tmp_path / "city", {"3.0.0.0/8": place("US", "Ohio"), "81.0.0.0/8": place("DE")}),
        written(tmp_path / "vpn", "3.5.140.0/22"),
    ]
    asked = [
        "3.5.140.9",
        "3.4.12.4",
        "3.9.9.9",
        "81.1.1.1",
        "10.0.0.1",
        "10.1.0.1",
        "8.8.8.8",
        None,
        "-",
        "3.5.140.9",
    ]
    report = update_regions(folder, sources)
    assert report.order == "longest-prefix"
    ids = [one.id for one in report.snapshots]
    with Labeler(folder) as labeler:
        assert labeler.labels(asked) == (
            ["AWS/ap-northeast-2", "AWS/eu-west-1", "Wide", "DE", "Wide", "bogon", "unknown", "missing",
             "unknown", "AWS/ap-northeast-2"],
            [ids[1], ids[1], ids[0], ids[2], ids[0], None, None, None, None, ids[1]],
        )  # fmt: skip
    update_regions(folder, sources, order="first-wins")
    assert labels(folder, *asked) == [
        "Wide", "Wide", "Wide", "DE", "Wide", "bogon", "unknown", "missing", "unknown", "Wide",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="longest-prefix, first-wins"):
        update_regions(folder, sources, order="random")


@pytest.mark.parametrize("order", ["longest-prefix", "first-wins"])
def test_labels_are_those_of_a_look_at_every_network(order: str, tmp_path: Path, folder: StoreFolder) -> None:
    draw = random.Random(order)
    lists: list[list[tuple[str, str]]] = [[], [], []]
    for number in range(300):
        v4 = draw.random() < 0.6
        width, least = (32, 6) if v4 else (128, 16)
        prefix = draw.randrange(least, width + 1)
        bits = draw.choice([0x51, 0x52, 0x53]) << 24 if v4 else draw.choice([0x2A00, 0x2A01]) << 112
        bits |= draw.getrandbits(6) << draw.randrange(width - 16)
        bits &= ~((1 << (width - prefix)) - 1)
        network = ipaddress.ip_network((bits, prefix)) if v4 else ipaddress.IPv6Network((bits, prefix))
        lists[draw.randrange(3)].append((str(network), f"{draw.choice(['DE', 'FR'])}/{number % 7}"))
    sources = [
        written(tmp_path / f"list{index}", "\n".join(f"{network}\t{label}" for network, label in entries))
        for index, entries in enumerate(lists)
    ]
    update_regions(folder, sources, order=order)
    flat = [entry for entries in lists for entry in entries]
    asked = []
    for network, _ in flat:
        parsed = ipaddress.ip_network(network)
        asked += [str(parsed[0]), str(parsed[-1]), str(parsed[draw.randrange(parsed.num_addresses)])]
        if int(parsed[-1]) + 1 < 1 << parsed.max_prefixlen:
            asked.append(str(type(parsed[0])(int(parsed[-1]) + 1)))
    expected = made.slow_labels(flat, order, asked)
    assert labels(folder, *asked) == expected
    assert len(set(expected)) > 8


def test_without_any_snapshot_there_are_bogons_only(folder: StoreFolder) -> None:
    assert labels(folder, "192.168.1.1", "8.8.8.8", "fe80::1", "", None) == [
        "bogon", "unknown", "bogon", "unknown", "missing",
    ]  # fmt: skip
    assert labels(folder) == []


def test_each_distinct_address_is_looked_up_once(tmp_path: Path, folder: StoreFolder) -> None:
    update_regions(folder, [made.mmdb(tmp_path / "a", {"81.0.0.0/8": place("DE")})])
    with Labeler(folder) as labeler:
        asked: list[str] = []
        by_database = labeler._by_database
        labeler._by_database = lambda text: asked.append(text) or by_database(text)  # type: ignore[method-assign,func-returns-value]
        assert labeler.labels(["81.1.1.1", "9.9.9.9"] * 50)[0] == ["DE", "unknown"] * 50
    assert asked == ["81.1.1.1", "9.9.9.9"]


# ---- snapshots in the store --------------------------------------------------------------------------------


def test_snapshots_carry_where_they_came_from(tmp_path: Path, folder: StoreFolder) -> None:
    (tmp_path / "private name").mkdir()
    aws = written(tmp_path / "private name" / "ip-ranges.json", AWS)
    vpn = written(tmp_path / "vpn.txt", "81.0.0.0/8\n82.0.0.0/8")
    report = update_regions(folder, [aws, f"Exit={vpn}"])
    assert (report.added, report.networks) == (2, [5, 2])
    assert report.snapshots == folder.ledger.snapshots()
    for one, path, kind, label in zip(
        report.snapshots, (aws, vpn), ("aws", "list"), (None, "Exit"), strict=True
    ):
        content = Path(path).read_bytes()
        assert one.hash == hashlib.sha256(content).hexdigest()
        assert one.file == f"regions/{one.hash[:16]}-{kind}"
        assert (folder.path / one.file).read_bytes() == content
        assert (one.name, one.kind, one.label) == (Path(path).name, kind, label)
    assert str(tmp_path) not in "".join(map(str, folder.ledger.rows("SELECT name, file FROM snapshots")[0]))


def test_the_same_content_keeps_its_id_and_the_list_is_replaced(tmp_path: Path, folder: StoreFolder) -> None:
    aws, gcp = written(tmp_path / "aws", AWS), written(tmp_path / "gcp", GCP)
    vpn = written(tmp_path / "vpn", "81.0.0.0/8")
    first = update_regions(folder, [aws, gcp])
    second = update_regions(folder, [vpn, gcp])
    assert (second.added, [one.name for one in second.snapshots]) == (1, ["vpn", "gcp"])
    assert second.snapshots[1].id == first.snapshots[1].id
    (tmp_path / "packed").write_bytes(gzip.compress(Path(aws).read_bytes()))
    third = update_regions(folder, [str(tmp_path / "packed"), f"Data={vpn}", gcp])
    assert third.snapshots[0].id == first.snapshots[0].id
    assert third.snapshots[1].id not in {one.id for one in second.snapshots}, (
        "another label is another snapshot"
    )
    assert third.snapshots[1].file == second.snapshots[0].file
    assert labels(folder, "81.1.1.1") == ["Data"]
    with pytest.raises(UsageError, match="has the content of"):
        update_regions(folder, [aws, str(tmp_path / "packed")])
    with pytest.raises(UsageError, match="no file is named"):
        update_regions(folder, [])
    assert folder.ledger.snapshots() == third.snapshots


def test_a_file_that_changes_while_it_is_copied_is_refused(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(written(tmp_path / "list", "81.0.0.0/8"))
    read = regions.read_region_file

    def read_and_change(wanted: Wanted) -> object:
        found = read(wanted)
        path.write_text("82.0.0.0/8")
        return found

    monkeypatch.setattr(regions, "read_region_file", read_and_change)
    with pytest.raises(SourceError, match="changed while it was read"):
        update_regions(folder, [str(path)])
    assert folder.ledger.snapshots() == []
    assert list((folder.path / "regions").iterdir()) == []


@pytest.mark.parametrize("kind", ["list", "mmdb"])
def test_a_missing_or_changed_snapshot_is_named_and_can_be_given_again(
    kind: str, tmp_path: Path, folder: StoreFolder
) -> None:
    source = (
        made.mmdb(tmp_path / "file", {"81.0.0.0/8": place("DE")})
        if kind == "mmdb"
        else written(tmp_path / "file", "81.0.0.0/8 DE")
    )
    (snapshot,) = update_regions(folder, [source]).snapshots
    path = folder.path / snapshot.file
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(TicklineError, match=r"snapshot file is not the file that was given.*regions update"):
        Labeler(folder)
    path.unlink()
    with pytest.raises(TicklineError, match=r"snapshot file is missing.*regions update"):
        Labeler(folder)
    path.write_bytes(b"damaged")
    assert update_regions(folder, [source]).snapshots == [snapshot]
    assert labels(folder, "81.1.1.1") == ["DE"]
    shutil.rmtree(folder.path / "regions")
    assert update_regions(folder, [source]).snapshots == [snapshot]
    assert labels(folder, "81.1.1.1") == ["DE"]


def test_an_update_that_fails_half_way_leaves_the_old_list(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> int:
        raise RuntimeError("stopped")

    before = update_regions(folder, [written(tmp_path / "a", "81.0.0.0/8 DE")]).snapshots
    monkeypatch.setattr(regions, "put", stop)
    with pytest.raises(RuntimeError, match="stopped"):
        update_regions(folder, [written(tmp_path / "b", "82.0.0.0/8 FR")], order="first-wins")
    assert folder.ledger.snapshots() == before
    assert folder.ledger.meta("region_order") == "longest-prefix"
    assert labels(folder, "81.1.1.1", "82.1.1.1") == ["DE", "unknown"]


def test_generated_snapshots_give_the_labels_that_are_meant(tmp_path: Path, folder: StoreFolder) -> None:
    generated.write_regions(tmp_path)
    report = update_regions(folder, [str(tmp_path / name) for name in generated.FILES])
    assert [one.kind for one in report.snapshots] == ["aws", "gcp", "github", "list", "list"]
    assert [one.date for one in report.snapshots] == ["2024-02-28", "2024-02-28", None, None, None]
    draw = random.Random(5)
    asked: list[str | None] = [None, "8.8.8.8", "2a00::1"]
    for network in ("100.64.0.0/10", "198.18.0.0/15", "198.51.100.0/24", "192.0.2.0/24", "2001:db8::/35"):
        parsed = ipaddress.ip_network(network)
        asked += [str(parsed[draw.randrange(parsed.num_addresses)]) for _ in range(300)]
    found = labels(folder, *asked)
    assert found == [generated.label(address) for address in asked]
    assert len(set(found)) > 15


# ---- labels of requesters ----------------------------------------------------------------------------------


def test_a_label_stays_whatever_snapshots_come(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "10.0.0.1", "9.9.9.9"])
    first = update_regions(folder, [written(tmp_path / "a", "81.0.0.0/8 DE/Bavaria")]).snapshots[0].id
    assert label_requesters(folder).labelled == 3
    assert labels_of(folder, ids) == ["DE/Bavaria", "bogon", "unknown"]
    second = update_regions(folder, [written(tmp_path / "b", "81.0.0.0/8 FR\n9.0.0.0/8 US")]).snapshots[0].id
    more = made.add_requesters(folder, ["81.1.1.2"])
    epoch = folder.ledger.snapshot().epoch
    assert (label_requesters(folder).labelled, folder.ledger.snapshot().epoch) == (1, epoch)
    assert labels_of(folder, ids) == ["DE/Bavaria", "bogon", "unknown"]
    assert labels_of(folder, more) == ["FR"]
    rows = folder.ledger.rows("SELECT snapshot FROM requesters ORDER BY number")
    assert [row[0] for row in rows] == [first, None, None, second]


def test_relabel_looks_all_known_addresses_up_anew(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "10.0.0.1", "9.9.9.9"])
    path = written(tmp_path / "a", "81.0.0.0/8 DE")
    update_regions(folder, [path])
    label_requesters(folder)
    epoch = folder.ledger.snapshot().epoch
    assert label_requesters(folder, relabel=True).changed == 0
    assert folder.ledger.snapshot().epoch == epoch, "nothing changed, so nothing is void"
    newer = update_regions(folder, [written(tmp_path / "b", "81.0.0.0/8 DE\n9.0.0.0/8 US")]).snapshots[0].id
    made.add_requesters(folder, ["9.9.9.8"])
    counts = label_requesters(folder, relabel=True)
    assert (counts.changed, counts.labelled) == (1, 1)
    assert folder.ledger.snapshot().epoch == epoch + 1
    assert labels_of(folder, ids) == ["DE", "bogon", "US"]
    rows = folder.ledger.rows("SELECT snapshot FROM requesters ORDER BY number")
    assert [row[0] for row in rows] == [newer, None, newer, newer]


def test_a_forgotten_address_is_missing_and_keeps_a_label_it_had(tmp_path: Path, folder: StoreFolder) -> None:
    update_regions(folder, [written(tmp_path / "a", "81.0.0.0/8 DE")])
    before = made.add_requesters(folder, ["81.1.1.1"])
    label_requesters(folder)
    after = made.add_requesters(folder, ["81.1.1.2"])
    (folder.path / "private" / "ips.sqlite").unlink()
    label_requesters(folder)
    assert (labels_of(folder, before), labels_of(folder, after)) == (["DE"], ["missing"])
    epoch = folder.ledger.snapshot().epoch
    assert label_requesters(folder, relabel=True).changed == 0
    assert (labels_of(folder, before), folder.ledger.snapshot().epoch) == (["DE"], epoch)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_of_any_size_give_the_same_labels(
    batch: int, tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "_BATCH", batch)
    update_regions(
        folder, [written(tmp_path / "a", "\n".join(f"81.{n}.0.0/16 DE/{n % 5}" for n in range(40)))]
    )
    ids = made.add_requesters(folder, [f"81.{number}.0.1" for number in range(40)])
    assert label_requesters(folder).labelled == 40
    assert labels_of(folder, ids) == [f"DE/{number % 5}" for number in range(40)]
    update_regions(folder, [written(tmp_path / "b", "81.0.0.0/11 FR")])
    assert label_requesters(folder, relabel=True).changed == 40
    assert labels_of(folder, ids) == ["FR"] * 32 + ["unknown"] * 8


def test_nothing_to_label_reads_no_snapshot(tmp_path: Path, folder: StoreFolder) -> None:
    (snapshot,) = update_regions(folder, [written(tmp_path / "a", "81.0.0.0/8 DE")]).snapshots
    (folder.path / snapshot.file).unlink()
    assert label_requesters(folder) == regions.LabelCounts()
    made.add_requesters(folder, ["81.1.1.1"])
    with pytest.raises(TicklineError, match="is missing"):
        label_requesters(folder)
    assert len(folder.ledger.unlabelled()) == 1
