"""Catalog, lists of networks and true summaries beside generated logs, recounted from the files alone."""

from __future__ import annotations

import datetime as dt
import fnmatch
import gzip
import hashlib
import ipaddress
import json
import pathlib
import subprocess
import sys
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from python.access_support import run
from tickline.fake import generate_access, summaries
from tickline.reference import s3_access as reference

GOLDEN = Path(__file__).resolve().parents[1] / "data/golden/fake_access_catalog.json"
CHAIN = Path(__file__).resolve().parents[2] / "benchmarks/dandi_chain.py"
REDUCE = reference.ReferenceFilter(operations={b"REST.GET.OBJECT"}, statuses=set(range(200, 300)))
EXTRA = {
    "catalog.tsv",
    "catalog.json.gz",
    "regions/aws-ip-ranges.json",
    "regions/gcp-cloud.json",
    "regions/github-meta.json",
    "regions/vpn.txt",
    "regions/geo.tsv",
}
BOGONS = [
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "198.18.0.0/15", "100.64.0.0/10", "2001:db8::/32"),
    "::ffff:0:0/96",
]
MICROSCOPY = {".nii", ".ome", ".tiff", ".tif", ".bvecs", ".bvals", ".trk"}
VIDEO = {".mp4", ".mov", ".wmv", ".avi", ".mkv"}

Entries = dict[str, list[tuple[str, str]]]
Networks = list[tuple[Any, str]]


def _files(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def _from_tsv(folder: Path) -> Entries:
    lines = (folder / "catalog.tsv").read_text(encoding="utf-8").split("\n")
    assert lines[0] == "key\tdataset\tversion\tpath"
    assert lines.pop() == ""
    entries: Entries = {}
    for line in lines[1:]:
        key, dataset, _version, path = line.split("\t")
        entries.setdefault(key, []).append((dataset, path))
    return entries


def _from_json(folder: Path) -> Entries:
    found = json.loads(gzip.decompress((folder / "catalog.json.gz").read_bytes()))
    return {key: list(owners.items()) for key, owners in found.items()}


def _owners(entries: Entries, logged: bytes) -> list[tuple[str, str]]:
    """Find the owners of a key by the documented order: key, part of the key, prefix, glob."""
    try:
        key = urllib.parse.unquote(logged.decode(), errors="strict")
    except UnicodeDecodeError:
        key = logged.decode(errors="replace")
    if key in entries:
        return entries[key]

    def within(owners: list[tuple[str, str]], rest: str) -> list[tuple[str, str]]:
        return [
            (dataset, path + rest if path.endswith("/") or not path else path) for dataset, path in owners
        ]

    parts = key.split("/")
    for at, part in reversed(list(enumerate(parts))):
        if part in entries:
            return within(entries[part], "/".join(parts[at + 1 :]))
    prefixes = [name for name in entries if name.endswith("/") and key.startswith(name)]
    if prefixes:
        longest = max(prefixes, key=len)
        return within(entries[longest], key[len(longest) :])
    for name, owners in entries.items():
        if set(name) & set("*?[") and fnmatch.fnmatchcase(key, name):
            return owners
    return [("undetermined", key)]


def _networks(folder: Path) -> Networks:
    """Read the lists in their public shapes, in the order of the files; bogons last."""
    texts: list[tuple[str, str]] = []
    aws = json.loads((folder / "regions/aws-ip-ranges.json").read_text())
    texts += [(row["ip_prefix"], f"AWS/{row['region']}") for row in aws["prefixes"]]
    texts += [(row["ipv6_prefix"], f"AWS/{row['region']}") for row in aws["ipv6_prefixes"]]
    gcp = json.loads((folder / "regions/gcp-cloud.json").read_text())
    texts += [(row.get("ipv4Prefix") or row["ipv6Prefix"], f"GCP/{row['scope']}") for row in gcp["prefixes"]]
    meta = json.loads((folder / "regions/github-meta.json").read_text())
    for name in ("hooks", "web", "actions"):
        texts += [(network, "GitHub") for network in meta[name]]
    texts += [(network, "VPN") for network in (folder / "regions/vpn.txt").read_text().split()]
    for line in (folder / "regions/geo.tsv").read_text(encoding="utf-8").splitlines():
        network, place = line.split("\t")
        texts.append((network, place))
    texts += [(network, "bogon") for network in BOGONS]
    return [(ipaddress.ip_network(network), name) for network, name in texts]


def _label(networks: Networks, address: bytes | None) -> str:
    if address is None:
        return "missing"
    ip = ipaddress.ip_address(address.decode())
    hits = [(network.prefixlen, name) for network, name in networks if ip in network]
    return max(hits, key=lambda hit: hit[0])[1] if hits else "unknown"


def _type(path: str) -> str:
    suffixes = [suffix.lower() for suffix in pathlib.PurePosixPath(path).suffixes]
    if ".nwb" in suffixes:
        return "Neurophysiology"
    if MICROSCOPY & set(suffixes) or suffixes == [".zarr"]:
        return "Microscopy"
    return "Video" if VIDEO & set(suffixes) else "Miscellaneous"


def _rows(folder: Path, answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Read all logs with the reference parser; yield what `reduce` keeps."""
    for source in answer["sources"]:
        for line in reference.reference_lines((folder / source["path"]).read_bytes()):
            found = reference.reference_parse(line, REDUCE)
            if found["outcome"] == "accepted":
                yield found["raw"]


def _spelled(address: bytes) -> str:
    """Spell an address in its one usual way; IPv4 within IPv6 is IPv4."""
    ip = ipaddress.ip_address(address.decode())
    return str(getattr(ip, "ipv4_mapped", None) or ip)


class _Table:
    """Sums by the names of a row, one row at a time."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        self._addresses: dict[tuple[str, ...], set[str]] = defaultdict(set)

    def add(self, names: tuple[str, ...], raw: dict[str, Any]) -> None:
        row = self._rows[names]
        row[0] += raw["bytes_sent"] or 0
        row[1] += 1
        row[2] += raw["http_status"] == 200
        if raw["remote_ip"] is not None:
            self._addresses[names].add(_spelled(raw["remote_ip"]))

    def rows(self) -> list[list[Any]]:
        order = sorted(self._rows, key=lambda names: [name.encode() for name in names])
        return [[*names, *self._rows[names], len(self._addresses[names])] for names in order]


def _names(raw: dict[str, Any], place: str, path: str) -> dict[str, tuple[str, ...]]:
    day = dt.datetime.fromtimestamp(raw["time"] / 1000, dt.UTC).date()
    week = (day - dt.timedelta(days=day.weekday())).isoformat()
    return {
        "by_day": (day.isoformat(),),
        "by_region": (place,),
        "by_week_type": (week, _type(path)),
        "by_asset": (path,),
        "by_week_asset": (week, path),
        "totals": (),
    }


def _totals(row: list[int], by_region: list[list[Any]]) -> dict[str, int]:
    places = {row[0] for row in by_region}
    countries = {name for name in places if len(name) == 2}
    measures = ("total_bytes_sent", "number_of_requests", "number_of_downloads", "number_of_requesters")
    return {
        **dict(zip(measures, row, strict=True)),
        "number_of_unique_regions": len({name for name in places if "/" in name} | countries),
        "number_of_unique_countries": len(
            countries | {name[:2] for name in places if len(name) > 2 and name[2] == "/"}
        ),
    }


def _recount(folder: Path, answer: dict[str, Any], entries: Entries) -> dict[str, Any]:
    """Count datasets and archive anew, from the written files alone."""
    networks = _networks(folder)
    datasets: dict[str, dict[str, _Table]] = defaultdict(lambda: defaultdict(_Table))
    archive: dict[str, _Table] = defaultdict(_Table)
    labels: dict[bytes | None, str] = {}
    for raw in _rows(folder, answer):
        address = raw["remote_ip"]
        place = labels.setdefault(address, "") or _label(networks, address)
        labels[address] = place
        owners = _owners(entries, raw["key"])
        for dataset, path in owners:
            for table, names in _names(raw, place, path).items():
                datasets[dataset][table].add(names, raw)
            archive["by_dataset"].add((dataset,), raw)
        for table, names in _names(raw, place, owners[0][1]).items():
            archive[table].add(names, raw)
    for table in ("by_asset", "by_week_asset"):
        del archive[table]

    def finished(tables: dict[str, _Table]) -> dict[str, Any]:
        found: dict[str, Any] = {name: table.rows() for name, table in tables.items()}
        found["totals"] = _totals(found["totals"][0], found["by_region"])
        return found

    return {
        "datasets": {name: finished(tables) for name, tables in datasets.items()},
        "archive": finished(archive),
    }


@pytest.mark.parametrize("form", [_from_tsv, _from_json], ids=["tsv", "json"])
@pytest.mark.parametrize(
    "options",
    [
        {"total_bytes": 4_000_000, "dirty": 0.3, "keys": 2000},
        {"total_bytes": 1_000_000, "days": 9, "layout": "s3", "seed": 3, "dirty": 0.05},
        {"total_bytes": 1_000_000, "new_keys": True, "dirty": 0.1, "start": dt.date(2023, 12, 31)},
    ],
    ids=["daily", "s3 names", "new keys"],
)
def test_true_summaries_are_what_the_files_give(
    tmp_path: Path, options: dict[str, Any], form: Callable[[Path], Entries]
) -> None:
    answer = generate_access(tmp_path, catalog=True, **options)
    assert json.loads((tmp_path / "truth.json").read_text()) == answer
    found = answer["total"]["reduce"]["summaries"]
    counted = _recount(tmp_path, answer, form(tmp_path))
    assert found["archive"] == counted["archive"]
    assert found["datasets"] == counted["datasets"]
    assert found["archive"]["totals"]["number_of_requests"] == answer["total"]["reduce"]["accepted"]
    assert found["archive"]["totals"]["total_bytes_sent"] == answer["total"]["reduce"]["bytes_sent"]


def test_other_policies_share_out_what_there_is(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=3_000_000, dirty=0.2, catalog=True)
    found = answer["total"]["reduce"]["summaries"]
    entries = _from_tsv(tmp_path)
    triples: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for raw in _rows(tmp_path, answer):
        triple = triples[raw["time"] // 86_400_000, raw["key"], raw["remote_ip"]]
        triple[0] += raw["bytes_sent"] or 0
        triple[1] += 1
        triple[2] += raw["http_status"] == 200
    measures = ("total_bytes_sent", "number_of_requests", "number_of_downloads")
    expected: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for (_, key, _), values in triples.items():
        owners = [dataset for dataset, _ in _owners(entries, key)]
        for measure, value in zip(measures, values, strict=True):
            share, rest = divmod(value, len(owners))
            expected["first"][owners[0]][measure] += value
            expected["undetermined"][owners[0] if len(owners) == 1 else "undetermined"][measure] += value
            for dataset in owners:
                expected["split"][dataset][measure] += share
            expected["split"][owners[0]][measure] += rest
    for policy, datasets in found["policies"].items():
        known = {name: dict(sums) for name, sums in expected[policy].items() if sums["number_of_requests"]}
        assert datasets == known, policy
        for measure in measures:
            assert sum(sums[measure] for sums in datasets.values()) == found["archive"]["totals"][measure]
    assert set(found["policies"]) == set(expected)


def test_large_tables_are_given_by_the_digest_of_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"total_bytes": 1_000_000, "dirty": 0.1, "catalog": True}
    whole = generate_access(tmp_path / "whole", **options)["total"]["reduce"]["summaries"]
    rows = sum(len(tables["by_asset"]) for tables in whole["datasets"].values())
    monkeypatch.setattr(summaries, "MOST_ROWS", rows - 1)
    short = generate_access(tmp_path / "short", **options)["total"]["reduce"]["summaries"]
    for dataset, tables in whole["datasets"].items():
        for name in ("by_asset", "by_week_asset"):
            lines = "".join("\t".join(map(str, row)) + "\n" for row in tables[name])
            tables[name] = {"rows": len(tables[name]), "sha256": hashlib.sha256(lines.encode()).hexdigest()}
        assert short["datasets"][dataset] == tables
    assert short["archive"] == whole["archive"]


def test_logs_and_their_truth_are_the_same_with_and_without_catalog(tmp_path: Path) -> None:
    options: dict[str, Any] = {"total_bytes": 900_000, "dirty": 0.1, "seed": 5}
    plain = generate_access(tmp_path / "plain", **options)
    rich = generate_access(tmp_path / "rich", **options, catalog=True)
    del rich["total"]["reduce"]["summaries"]
    assert rich["options"].pop("catalog") is True
    assert set(rich.pop("files")) == EXTRA
    assert rich == plain
    logs, beside = _files(tmp_path / "plain"), _files(tmp_path / "rich")
    assert set(beside) == {*logs, *EXTRA}
    del logs["truth.json"]
    assert {name: beside[name] for name in logs} == logs


def test_contents_have_no_owner_one_or_several(tmp_path: Path) -> None:
    generate_access(tmp_path, total_bytes=60_000_000, days=1, dirty=0, catalog=True)
    entries = _from_tsv(tmp_path)
    # Clean lines have their key in the ninth place; "-" stands for none.
    lines = (tmp_path / "2024/02/28.log").read_text().splitlines()
    keys = {line.split(" ", 9)[8] for line in lines} - {"-"}
    contents = {key.split("/")[1 if key.startswith("zarr/") else 3] for key in keys}
    assert len(contents) > 2000
    counts = Counter(len(entries.get(content, ())) for content in contents)
    assert set(counts) == {0, 1, 2, 3, 4}
    assert counts[0] / len(contents) == pytest.approx(0.03, abs=0.005)
    assert (counts[2] + counts[3] + counts[4]) / len(contents) == pytest.approx(0.05, abs=0.01)
    stores = {key.split("/")[1] for key in keys if key.startswith("zarr/")}
    paths = {path for store in stores for _, path in entries.get(store, ())}
    assert {".zarr", ".zarr/"} == {path[path.index(".zarr") :] for path in paths}
    # Some path stands for two contents of one dataset, as after a new version of a file.
    several = Counter(owner for content in contents - stores for owner in entries.get(content, ()))
    assert max(several.values()) > 1


def test_both_forms_of_the_catalog_say_the_same_and_hold_awkward_names(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=1_000_000, catalog=True)
    entries = _from_tsv(tmp_path)
    assert entries == _from_json(tmp_path)
    # What JSON cannot say: a dataset twice for one key.
    assert all(len(dict(owners)) == len(owners) for owners in entries.values())
    datasets = {dataset for owners in entries.values() for dataset, _ in owners}
    assert len([name for name in datasets if name.isdigit() and len(name) == 6]) == 30
    assert {"with space", "lab/session", "..", "Twin", "twin", "archive"} < datasets
    assert any(len(name.encode()) == 300 for name in datasets)
    assert any(not name.isascii() for name in datasets)
    # Even in a small log each of them is asked for.
    assert datasets | {"undetermined"} == set(answer["total"]["reduce"]["summaries"]["datasets"])
    paths = {path for owners in entries.values() for _, path in owners}
    assert "sub-01/sub-01_ses-01_ecephys.nwb" in paths
    for suffix in (".ome.tiff", ".mp4", ".json", ".zarr", ".NWB"):
        assert any(path.endswith(suffix) for path in paths), suffix


def test_networks_lie_in_bogons_and_order_matters_in_some(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=6_000_000, dirty=0.1, catalog=True)
    networks = _networks(tmp_path)
    bogons = [network for network, name in networks if name == "bogon"]
    listed = [(network, name) for network, name in networks if name != "bogon"]
    for network, _ in listed:
        assert any(network.version == b.version and network.subnet_of(b) and network != b for b in bogons)
    # The same network never has two labels, so that the longest prefix is one.
    assert len({network for network, _ in listed}) == len(set(listed))
    assert {network.version for network, name in listed if name == "VPN"} == {4, 6}
    addresses = {raw["remote_ip"] for raw in _rows(tmp_path, answer)}
    longest = {address: _label(networks, address) for address in addresses}
    names = set(longest.values())
    assert {"GitHub", "VPN", "bogon", "missing", "FR", "BR/São Paulo", "AWS/us-east-2"} < names
    assert any(name.startswith("GCP/") for name in names)
    assert {name for _, name in networks} == names - {"missing"}

    def first(address: bytes) -> str:
        ip = ipaddress.ip_address(address.decode())
        return next((name for network, name in networks if ip in network), "unknown")

    other = {address for address in addresses if address is not None and first(address) != longest[address]}
    assert {4, 6} == {ipaddress.ip_address(address.decode()).version for address in other}
    assert len(other) > 100


def test_outputs_are_those_of_the_golden_file(tmp_path: Path) -> None:
    for case in json.loads(GOLDEN.read_text())["cases"]:
        generate_access(tmp_path / case["name"], catalog=True, **case["options"])
        files = _files(tmp_path / case["name"])
        # Which bytes a text is compressed to depends on zlib.
        files["catalog.json"] = gzip.decompress(files.pop("catalog.json.gz"))
        digests = {
            name: hashlib.sha256(data).hexdigest()
            for name, data in files.items()
            if not name.endswith(".log")
        }
        assert digests == case["sha256"], case["name"]


def test_own_output_is_replaced_with_and_without_catalog(tmp_path: Path) -> None:
    generate_access(tmp_path, total_bytes=100_000, days=2, catalog=True)
    generate_access(tmp_path, total_bytes=100_000, days=1, catalog=True)
    assert set(_files(tmp_path)) == {"2024/02/28.log", "truth.json", *EXTRA}
    generate_access(tmp_path, total_bytes=100_000, days=1)
    assert set(_files(tmp_path)) == {"2024/02/28.log", "truth.json"}

    (tmp_path / "regions/own.txt").write_text("precious")
    with pytest.raises(FileExistsError, match=r"own\.txt"):
        generate_access(tmp_path, total_bytes=100_000, catalog=True)
    assert (tmp_path / "regions/own.txt").read_text() == "precious"


def test_a_stopped_run_with_catalog_can_be_repeated(tmp_path: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_access(tmp_path, total_bytes=300_000, catalog=True, progress=stop)
    assert json.loads((tmp_path / "truth.json").read_text())["complete"] is False
    assert generate_access(tmp_path, total_bytes=300_000, catalog=True)["complete"] is True


def test_logs_can_begin_on_any_day_and_last_a_thousand(tmp_path: Path) -> None:
    answer = generate_access(
        tmp_path, total_bytes=700_000, days=1000, dirty=0, start=dt.date(2024, 3, 1), catalog=True
    )
    paths = [source["path"] for source in answer["sources"]]
    assert (paths[0], paths[-1], len(paths)) == ("2024/03/01.log", "2026/11/25.log", 1000)
    assert answer["options"]["start"] == "2024-03-01"
    assert all(source["lines"] for source in answer["sources"])
    days = [row[0] for row in answer["total"]["reduce"]["summaries"]["archive"]["by_day"]]
    assert days == sorted(days)
    assert len(days) > 300


def test_the_number_of_keys_can_be_given(tmp_path: Path) -> None:
    few = generate_access(tmp_path / "few", total_bytes=1_000_000, keys=100, dirty=0)
    many = generate_access(tmp_path / "many", total_bytes=1_000_000, keys=100_000, dirty=0)
    assert 90 < few["total"]["reduce"]["by_key"]["distinct"] <= 100
    assert many["total"]["reduce"]["by_key"]["distinct"] > 500
    assert many["options"]["keys"] == 100_000
    for keys in (0, 99, 300_001):
        with pytest.raises(ValueError, match="keys must lie between 100 and 300000"):
            generate_access(tmp_path / "never", total_bytes=1_000_000, keys=keys)


@pytest.mark.parametrize("start", [dt.date(1970, 1, 1), dt.date(9999, 12, 30)])
def test_days_outside_of_the_calendar_are_refused(tmp_path: Path, start: dt.date) -> None:
    with pytest.raises(ValueError, match="do not lie between"):
        generate_access(tmp_path / "logs", total_bytes=1000, start=start)
    assert not (tmp_path / "logs").exists()


def test_logs_without_any_download_have_empty_summaries(tmp_path: Path) -> None:
    answer = generate_access(tmp_path, total_bytes=50_000, get_share=0, dirty=0, catalog=True)
    found = answer["total"]["reduce"]["summaries"]
    assert found["datasets"] == {}
    assert set(found["archive"]["totals"].values()) == {0}
    assert found["archive"]["by_day"] == []


def test_the_chain_that_benchmarks_compare_with_gives_the_true_sums(tmp_path: Path) -> None:
    answer = generate_access(tmp_path / "raw", total_bytes=600_000, dirty=0, catalog=True)
    addresses = {raw["remote_ip"] for raw in _rows(tmp_path / "raw", answer)}
    networks = _networks(tmp_path / "raw")
    salt = bytes.fromhex("00112233445566778899aabbccddeeff")
    labels = {hashlib.sha1(ip + salt).hexdigest(): _label(networks, ip) for ip in addresses}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    words = ["--catalog", tmp_path / "raw/catalog.json.gz", "--regions", tmp_path / "labels.json"]
    done = subprocess.run(
        [sys.executable, CHAIN, tmp_path / "raw", tmp_path / "work", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    mapped = tmp_path / "work/mapped"
    folders = json.loads((mapped / "datasets.json").read_text())
    true = answer["total"]["reduce"]["summaries"]["datasets"]
    assert set(folders) == set(true) - {"undetermined"}
    for dataset, folder in folders.items():
        for table in ("by_day", "by_asset", "by_region"):
            for level in ("dandiset", "draft/version"):
                lines = (mapped / folder / f"{level}_summary_{table}.tsv").read_text().splitlines()[1:]
                found = {name: int(sent) for name, sent in (line.rsplit("\t", 1) for line in lines)}
                sums: Counter[str] = Counter()
                for name, sent, *_ in true[dataset][table]:
                    # Pieces of a Zarr store are one asset there.
                    sums[name[: name.find(".zarr/") + 6] if ".zarr/" in name else name] += sent
                assert found == dict(sums), (dataset, table)


def _lines(words: Iterable[str], text: bytes) -> bool:
    return all(word in text.decode() for word in words)


def test_the_command_writes_a_catalog_when_asked(tmp_path: Path) -> None:
    done = run("fake", "access", tmp_path / "raw", "--bytes", "100kB", "--days", "1", "--catalog", check=0)
    assert _lines(("100.0 kB", "catalog", "truth.json"), done.stdout)
    assert set(_files(tmp_path / "raw")) == {"2024/02/28.log", "truth.json", *EXTRA}
    run(
        "fake",
        "access",
        tmp_path / "later",
        "--bytes",
        "9kB",
        "--days",
        "1",
        "--start",
        "2025-01-02",
        check=0,
    )
    assert set(_files(tmp_path / "later")) == {"2025/01/02.log", "truth.json"}
    done = run("fake", "access", tmp_path / "never", "--bytes", "9kB", "--start", "1969-12-31", check=2)
    assert _lines(("1969-12-31", "1970-01-02"), done.stderr)
    assert not (tmp_path / "never").exists()
