"""Caches of the old programs: labels by salted hashes and by addresses, and what keeps them private."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from python import regions_support as made
from python.http_support import http_server, ok
from python.regions_support import AWS, files_with, labels_of, stored, written
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.forget import forget_addresses
from tickline.pipelines.access.regions.file import RegionFile
from tickline.pipelines.access.regions.hashed import Cache, parse_cache
from tickline.pipelines.access.regions.labels import clean_label
from tickline.pipelines.access.regions.lookup import Labeler
from tickline.pipelines.access.regions.regions import in_use, label_requesters, update_regions
from tickline.pipelines.access.regions.sources import Wanted, read_region_file
from tickline.pipelines.access.verify.verify import verify
from tickline.store.folder import StoreFolder
from tickline.store.settings import WantedSettings

SALT = "03cfd743661f07975fa2f1220c5194cbaff48451"
METHOD = "sha1-salted"
NAME = "ip_hash_to_region.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreFolder]:
    monkeypatch.setenv("IP_HASH_SALT", SALT)
    with made.store(tmp_path / "store") as opened:
        yield opened


def hashed(address: str, salt: str = SALT) -> str:
    """Do what get_region_from_ip_address of dandi_s3_log_parser 0.4.2 does."""
    return hashlib.sha1(bytes(address, "utf-8") + bytes.fromhex(salt)).hexdigest()


def dumped(path: Path, entries: Mapping[str, object]) -> str:
    """Write a cache as the old programs do."""
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump(data=dict(entries), stream=stream)
    return str(path)


def cache(path: Path, labels: Mapping[str, object], salt: str = SALT) -> str:
    return dumped(path, {hashed(address, salt): label for address, label in labels.items()})


def labels(folder: StoreFolder, *addresses: str | None) -> list[str]:
    with Labeler(folder) as labeler:
        return labeler.labels(addresses)[0]


# ---- labels ------------------------------------------------------------------------------------------------


def test_a_cache_of_salted_hashes_gives_the_labels_of_the_old_program(
    tmp_path: Path, folder: StoreFolder
) -> None:
    known = {
        "81.1.1.1": "DE/Bavaria",
        "3.5.140.9": "AWS/us-east-2",
        "192.0.2.0": "unknown",
        "2a00:1::9": "SE",
    }
    sources = [written(tmp_path / "aws", AWS), cache(tmp_path / NAME, known)]
    report = update_regions(folder, sources, address_hash=METHOD)
    assert [(one.kind, one.name, one.label) for one in report.snapshots][1] == ("hashes", NAME, None)
    assert report.networks == [5, 4]
    asked = [*known, "3.4.12.4", "192.0.2.1", "9.9.9.9", "2A00:0001::9", None, "-"]
    with Labeler(folder) as labeler:
        found, snapshots = labeler.labels(asked)
    assert found == [
        "DE/Bavaria", "AWS/us-east-2", "unknown", "SE", "AWS/eu-west-1", "bogon", "unknown", "unknown",
        "missing", "unknown",
    ]  # fmt: skip
    aws, hashes = (one.id for one in report.snapshots)
    assert snapshots == [hashes, hashes, hashes, hashes, aws, None, None, None, None, None]
    assert verify(folder).found == []


def test_a_cache_by_address_is_that_of_s3_log_extraction(tmp_path: Path, folder: StoreFolder) -> None:
    entries = {
        "81.1.1.1": "DE/Bavaria", "81.1.1.2": None, "81.1.1.3": "undetermined", "192.0.2.0": "bogon",
        "3.4.12.4": "US", "2001:4860:4860:0::8888": "US/California", "81.1.1.5": "VPN",
    }  # fmt: skip
    path = dumped(tmp_path / "ip_to_region.yaml", entries)
    report = update_regions(folder, [written(tmp_path / "list", "81.1.1.0/24 FR"), path])
    assert ([one.kind for one in report.snapshots], report.networks) == (["list", "addresses"], [1, 6])
    asked = [*entries, "2001:4860:4860::8888", "::ffff:81.1.1.1", "81.1.1.4"]
    found = dict(zip(asked, labels(folder, *asked), strict=True))
    assert found["2001:4860:4860::8888"] == "US/California"
    assert [found[one] for one in asked if ":" not in one] == [
        "DE/Bavaria", "unknown", "FR", "bogon", "US", "VPN", "FR",
    ]  # fmt: skip


def test_the_fixture_of_s3_log_extraction_is_understood(tmp_path: Path) -> None:
    # As in tests/expected_output/ips of s3-log-extraction.
    found = read_region_file(Wanted(written(tmp_path / "a", "192.0.2.0: bogon\n")))
    assert (found.kind, found.networks, found.labels) == ("addresses", ["192.0.2.0"], ["bogon"])
    marks = read_region_file(Wanted(written(tmp_path / "b", "192.0.2.0: true\n")))
    assert (marks.kind, marks.networks, marks.labels) == ("addresses", ["192.0.2.0"], [""])


def test_the_first_cache_decides_and_a_mark_says_nothing(tmp_path: Path, folder: StoreFolder) -> None:
    marks = dumped(tmp_path / "marks", {hashed("81.1.1.1"): True, hashed("3.4.12.4"): True})
    first = cache(tmp_path / "first", {"81.1.1.1": "DE"})
    second = cache(tmp_path / "second", {"81.1.1.1": "FR", "81.1.1.2": "FR"})
    sources = [marks, first, second, written(tmp_path / "aws", AWS)]
    update_regions(folder, sources, address_hash=METHOD)
    assert labels(folder, "81.1.1.1", "81.1.1.2", "3.4.12.4") == ["DE", "FR", "AWS/eu-west-1"]
    with Labeler(folder, strict=True) as labeler:
        assert labeler.labels(["81.1.1.1", "3.4.12.4"])[0] == ["DE", "unknown"]


def test_requesters_keep_the_labels_of_a_cache(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "9.9.9.9"])
    update_regions(folder, [cache(tmp_path / NAME, {"81.1.1.1": "DE"})], address_hash=METHOD)
    label_requesters(folder)
    assert stored(folder) == {"81.1.1.1": ("DE", "hashes"), "9.9.9.9": ("unknown", None)}
    update_regions(folder, [written(tmp_path / "list", "81.0.0.0/8 FR")])
    label_requesters(folder)
    assert labels_of(folder, ids) == ["DE", "unknown"]
    label_requesters(folder, relabel=True)
    assert labels_of(folder, ids) == ["FR", "unknown"]


# ---- reading -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        # Not ::ffff:192.0.2.1, which is the same as 192.0.2.1.
        st.ip_addresses().filter(lambda one: getattr(one, "ipv4_mapped", None) is None).map(str),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120),
            st.sampled_from(["NO", "DE/Bavaria", "null", "true", "~", "1.5", "2020-01-01", "a: b", "x #y"]),
            st.none(),
            st.just(True),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_what_pyyaml_writes_is_read_as_pyyaml_reads_it(entries: dict[str, Any]) -> None:
    stream = io.StringIO()
    yaml.dump(data=entries, stream=stream)
    expected = {}
    for key, value in yaml.safe_load(stream.getvalue()).items():
        label = "" if value is True else "unknown" if value is None else clean_label(value)
        if value not in (None, True) and not label:
            with pytest.raises(SourceError, match="its region is no name"):
                parse_cache(stream.getvalue(), "x")
            return
        if label not in ("undetermined", "missing"):
            expected[key] = label
    found = parse_cache(stream.getvalue(), "x")
    assert dict(zip(found.networks, found.labels, strict=True)) == expected


@settings(deadline=None)
@given(
    st.dictionaries(st.ip_addresses().map(str), st.sampled_from("ABC"), min_size=1),
    st.lists(st.ip_addresses()),
)
def test_asking_is_a_look_into_a_dictionary(entries: dict[str, str], others: list[Any]) -> None:
    one = Cache(RegionFile("hashes", None, None, [hashed(key) for key in entries], list(entries.values())),
                bytes.fromhex(SALT))  # fmt: skip
    other = Cache(RegionFile("addresses", None, None, list(entries), list(entries.values())), b"ignored")
    asked = [*entries, *map(str, others)]
    assert one.find(asked) == other.find(asked) == [entries.get(key) for key in asked]


def test_digests_that_end_in_zeros_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ["00" * 20, "aa" * 19 + "00", "aa" * 18 + "0000", "aa" * 20]
    cached = Cache(RegionFile("hashes", None, None, keys[:3], ["A", "B", "C"]), b"salt")
    monkeypatch.setattr(cached, "_digests", lambda texts: b"".join(map(bytes.fromhex, texts)))
    assert cached.find([*keys, "bb" * 18 + "0000"]) == ["A", "B", "C", None, None]


def test_the_last_of_two_entries_counts_as_in_yaml() -> None:
    found = parse_cache("81.1.1.1: DE\n81.1.1.2: FR\n81.1.1.1: IT\n", "x")
    assert Cache(found, b"").find(["81.1.1.1", "81.1.1.2"]) == ["IT", "FR"]


@pytest.mark.parametrize(
    "text",
    [
        "# made by hand\n\n---\n'81.1.1.1': \"DE/Bavaria\"\n",
        "81.1.1.1: DE/Bavaria\r\n",
        "81.1.1.1: DE/Bavaria   # why\n",
        "81.1.1.1:\n  DE/Bavaria\n...\n",
    ],
)
def test_other_spellings_of_flat_yaml_are_understood(text: str, tmp_path: Path) -> None:
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    found = read_region_file(Wanted(str(packed)))
    assert (found.kind, found.networks, found.labels) == ("addresses", ["81.1.1.1"], ["DE/Bavaria"])


KEY = "8787a3c41bf7ce0d54359d9348ad5b08e16bd5bb"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{KEY}: DE\n{KEY[::-1]}: US/Cali", "ends in the middle of a line"),
        (f"{KEY}: DE\n81.1.1.1: DE\n", "line 2: some keys are hashes"),
        (f"81.1.1.1: DE\n{KEY}: DE\n", "line 2: some keys are hashes"),
        ("81.1.1.1: DE\n81.1.1.0/24: DE\n", "line 2: its key is neither an address nor a hash"),
        ("81.1.1.1: DE\n81.1.1.300: DE\n", "line 2: its key is neither"),
        (f"{KEY}: DE\n{KEY[:-1]}: DE\n", "line 2: some keys are hashes, and some are not"),
        (f"{KEY}: DE\n{KEY[::-1]}: [DE]\n", "line 2: is no flat YAML"),
        (f"{KEY}: DE\n{KEY[::-1]}:\n  a: b\n", "line 3: is no flat YAML"),
        (f"{KEY}: &a DE\n{KEY[::-1]}: *a\n", "line 1: is no flat YAML"),
        (f"{KEY}: !!python/object:os.system x\n", "line 1: is no flat YAML"),
        (f"{KEY}: 'DE\n", "is no flat YAML"),
        (f"{KEY}: DE\n\t{KEY}: DE\n", "is no flat YAML"),
        (f"{KEY}: DE\n- {KEY}\n", "is no flat YAML"),
        (f"{KEY}: DE\n---\n{KEY}: DE\n", "is no flat YAML"),
        (f"{KEY}: ''\n", "line 1: is no flat YAML"),
        (f"{KEY}: ' '\n", "line 1: its region is no name"),
        (f"{KEY}: undetermined\n", "holds no network"),
        (f"{KEY}: a\x01b\n", "is no flat YAML"),
    ],
)
def test_a_damaged_cache_gets_a_sentence_without_a_key(
    text: str, message: str, tmp_path: Path, folder: StoreFolder
) -> None:
    path = tmp_path / NAME
    path.write_bytes(text.encode())
    with pytest.raises(SourceError, match=message) as raised:
        update_regions(folder, [str(path)], address_hash=METHOD)
    assert str(raised.value).startswith(f"{path}: ")
    assert not any(secret in str(raised.value) for secret in (KEY[:8], KEY[::-1][:8], "81.1.1"))
    assert folder.ledger.snapshots() == []
    assert not list(folder.path.glob("private/*"))


def test_an_encrypted_cache_is_refused_with_a_way_to_decrypt_it(tmp_path: Path, folder: StoreFolder) -> None:
    from cryptography.fernet import Fernet

    path = tmp_path / "ip_to_region.yaml"
    path.write_bytes(Fernet(Fernet.generate_key()).encrypt(b"81.1.1.1: DE\n"))
    with pytest.raises(SourceError, match=r"is encrypted.*decrypt_bytes.*S3_LOG_EXTRACTION_PASSWORD"):
        update_regions(folder, [str(path)])


def test_a_list_of_networks_is_no_cache(tmp_path: Path) -> None:
    for text in ("2001:db8:: DE\n", "81.1.1.1 DE: x\n", "# 81.1.1.1: x\n81.1.1.1\n", "81.0.0.0/8 a: b\n"):
        assert read_region_file(Wanted(written(tmp_path / "list", text))).kind == "list"


def test_a_cache_is_not_fetched(folder: StoreFolder) -> None:
    refused = pytest.raises(UsageError, match=r"/ip_to_region\.yaml: .* nothing to be fetched\. Copy it")
    with http_server({"/ip_to_region.yaml": ok(b"81.1.1.1: DE\n")}) as web, refused:
        update_regions(folder, [f"{web.url}/ip_to_region.yaml"])
    assert files_with(folder.path, "81.1.1.1") == []


def test_caches_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", "81.1.1.1: DE\n" * 20)
    monkeypatch.setitem(sys.modules[Wanted.__module__]._MOST_BYTES, "cache", 100)
    with pytest.raises(SourceError, match="too large for a cache file"):
        read_region_file(Wanted(path))


def test_without_pyyaml_a_sentence_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a", "81.1.1.1: DE\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(TicklineError, match=r"need PyYAML.*tickline\[regions\]"):
        read_region_file(Wanted(path))


# ---- the salt ----------------------------------------------------------------------------------------------


def test_hashes_are_read_only_when_they_are_asked_for(tmp_path: Path, folder: StoreFolder) -> None:
    path, plain = cache(tmp_path / NAME, {"81.1.1.1": "DE"}), written(tmp_path / "list", "81.0.0.0/8")
    with pytest.raises(UsageError, match=r"has hashes.*--address-hash sha1-salted.*IP_HASH_SALT"):
        update_regions(folder, [path])
    with pytest.raises(UsageError, match="no source has hashed addresses"):
        update_regions(folder, [plain], address_hash=METHOD)
    with pytest.raises(UsageError, match="'md5' is none"):
        update_regions(folder, [path], address_hash="md5")
    with pytest.raises(UsageError, match="Only lists"):
        update_regions(folder, [f"X={path}"], address_hash=METHOD)
    assert folder.ledger.snapshots() == []


@pytest.mark.parametrize("salt", [None, "", "not hexadecimal", "abc"])
def test_without_a_salt_nothing_is_taken(
    salt: str | None, tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache(tmp_path / NAME, {"81.1.1.1": "DE"})
    update_regions(folder, [written(tmp_path / "list", "81.0.0.0/8")])
    before = folder.ledger.snapshots()
    if salt is None:
        monkeypatch.delenv("IP_HASH_SALT")
    else:
        monkeypatch.setenv("IP_HASH_SALT", salt)
    with pytest.raises(TicklineError, match="IP_HASH_SALT"):
        update_regions(folder, [path], address_hash=METHOD)
    assert folder.ledger.snapshots() == before
    assert not list(folder.path.glob("private/*"))


def test_the_salt_is_needed_where_labels_are_given(
    tmp_path: Path, folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    update_regions(folder, [cache(tmp_path / NAME, {"81.1.1.1": "DE"})], address_hash=METHOD)
    made.add_requesters(folder, ["81.1.1.1"])
    monkeypatch.delenv("IP_HASH_SALT")
    with pytest.raises(TicklineError, match="IP_HASH_SALT"):
        label_requesters(folder)
    assert len(folder.ledger.unlabelled()) == 1


def test_a_cache_of_another_salt_is_refused(tmp_path: Path, folder: StoreFolder) -> None:
    other = "ff" * 20
    addresses = [f"81.1.1.{number}" for number in range(20)]
    path = cache(tmp_path / NAME, dict.fromkeys(addresses, "DE"), other)
    made.add_requesters(folder, addresses[:19])
    update_regions(folder, [path], address_hash=METHOD)  # too few to tell
    update_regions(folder, [written(tmp_path / "list", "81.0.0.0/8")])
    before = folder.ledger.snapshots()
    made.add_requesters(folder, addresses[19:])
    with pytest.raises(TicklineError, match=r"none of this store's 20 addresses.*IP_HASH_SALT") as raised:
        update_regions(folder, [path], address_hash=METHOD)
    assert not any(text in str(raised.value) for text in (SALT, other, "81.1.1"))
    assert folder.ledger.snapshots() == before
    one = cache(tmp_path / "one", {addresses[7]: "DE"})
    assert update_regions(folder, [one], address_hash=METHOD).networks == [1]


def test_another_salt_is_noticed_when_the_logs_come_after_the_cache(
    tmp_path: Path, folder: StoreFolder
) -> None:
    addresses = [f"81.1.1.{number}" for number in range(40)]
    path = cache(tmp_path / NAME, dict.fromkeys(addresses, "DE"), "ff" * 20)
    update_regions(folder, [path], address_hash=METHOD)
    made.add_requesters(folder, addresses)
    with pytest.raises(TicklineError, match="is not its salt"):
        label_requesters(folder)
    assert len(folder.ledger.unlabelled()) == 40, "nothing is published from labels that are not meant"


def test_new_requesters_need_not_be_in_an_old_cache(tmp_path: Path, folder: StoreFolder) -> None:
    update_regions(folder, [cache(tmp_path / NAME, {"81.1.1.1": "DE"})], address_hash=METHOD)
    made.add_requesters(folder, ["81.1.1.1"])
    label_requesters(folder)
    (folder.path / "private" / "ips.sqlite").unlink()  # so that the one who is in the cache cannot be found
    ids = made.add_requesters(folder, [f"82.1.1.{number}" for number in range(60)])
    assert label_requesters(folder).labelled == 60
    assert set(labels_of(folder, ids)) == {"unknown"}


# ---- privacy -----------------------------------------------------------------------------------------------


def test_copies_of_caches_are_private(tmp_path: Path, folder: StoreFolder) -> None:
    known = {f"81.1.1.{number}": "DE" for number in range(30)}
    made.add_requesters(folder, list(known))
    sources = [cache(tmp_path / NAME, known), dumped(tmp_path / "ip_to_region.yaml", known)]
    report = update_regions(folder, sources, address_hash=METHOD)
    assert in_use(folder, sources)
    private = folder.path / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    for one in report.snapshots:
        assert one.file.startswith("private/")
        assert stat.S_IMODE((folder.path / one.file).stat().st_mode) == 0o600
    label_requesters(folder)
    folder.ledger.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # 81.1.1.1 also begins others; no hash and no address may stand anywhere else.
    holding = files_with(folder.path, "81.1.1.", hashed("81.1.1.7"), hashed("81.1.1.7", ""), SALT)
    assert holding
    assert all(name.startswith("private/") for name in holding)
    assert verify(folder).found == []


def test_a_cache_that_others_may_open_is_found(tmp_path: Path, folder: StoreFolder) -> None:
    report = update_regions(folder, [dumped(tmp_path / "a", {"81.1.1.1": "DE"})])
    (folder.path / report.snapshots[0].file).chmod(0o640)
    found = [(one.what, one.where) for one in verify(folder).found]
    assert found == [("permissions", report.snapshots[0].file)]


@pytest.mark.parametrize(
    "text",
    [
        "9.0.0.0/8\n81.1.1.1: DE\n",
        "81.1.1.1,DE\n",
        '"81.1.1.1";DE\n',
        "ip=81.1.1.1\n",
        "9.0.0.0/8\n2a00:1::9: DE\n",
        "host-[2a00:1::9]:443 DE\n",
    ],
)
def test_what_was_taken_for_a_list_of_networks_shows_no_address(
    text: str, tmp_path: Path, folder: StoreFolder
) -> None:
    with pytest.raises(SourceError, match=r"line [12]: what stands there is ") as raised:
        update_regions(folder, [written(tmp_path / "list", text)])
    assert "81.1.1.1" not in str(raised.value)
    assert "2a00" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["9.0.0.0/8 DE\n81.1.1.1 81.1.1.9\n", "81.1.1.1 - 81.1.1.9\n", "9.0.0.0/8 from 2a00:1::9\n"],
)
def test_an_address_is_no_label(text: str, tmp_path: Path, folder: StoreFolder) -> None:
    with pytest.raises(SourceError, match="an address stands where the label") as raised:
        update_regions(folder, [written(tmp_path / "list", text)])
    with pytest.raises(SourceError, match="line 1: its region is no name") as other:
        update_regions(folder, [dumped(tmp_path / "a", {"81.1.1.1": "of 81.1.1.1"})])
    assert not any(one in f"{raised.value} {other.value}" for one in ("81.1.1", "2a00"))


def test_blanks_before_a_colon_make_no_list_of_a_cache(tmp_path: Path, folder: StoreFolder) -> None:
    report = update_regions(folder, [written(tmp_path / "a", "81.1.1.1 : DE\n81.1.1.2\t: FR\n")])
    assert [(one.kind, one.file.split("/")[0]) for one in report.snapshots] == [("addresses", "private")]
    assert labels(folder, "81.1.1.1", "81.1.1.2") == ["DE", "FR"]


def test_private_folder_is_made_so_where_there_is_none(tmp_path: Path, folder: StoreFolder) -> None:
    update_regions(folder, [dumped(tmp_path / "a", {"81.1.1.1": "DE"})])
    assert stat.S_IMODE((folder.path / "private").stat().st_mode) == 0o700


def test_caches_are_forgotten_with_the_addresses(tmp_path: Path, folder: StoreFolder) -> None:
    ids = made.add_requesters(folder, ["81.1.1.1", "3.4.12.4"])
    sources = [cache(tmp_path / NAME, {"81.1.1.1": "DE"}), written(tmp_path / "aws", AWS)]
    update_regions(folder, sources, address_hash=METHOD)
    assert forget_addresses(folder).labelled == 2
    assert labels_of(folder, ids) == ["DE", "AWS/eu-west-1"]
    assert not (folder.path / "private").exists()
    assert [one.kind for one in folder.ledger.snapshots()] == ["aws"]
    assert verify(folder).found == []
    assert labels(folder, "81.1.1.1", "3.4.12.4") == ["unknown", "AWS/eu-west-1"]
    with pytest.raises(UsageError, match="keeps no addresses"):
        update_regions(folder, sources, address_hash=METHOD)


def test_a_store_without_addresses_takes_no_cache(tmp_path: Path) -> None:
    with StoreFolder.open_or_create(tmp_path / "store", WantedSettings(addresses=False)) as folder:
        with pytest.raises(UsageError, match="this store keeps no addresses"):
            update_regions(folder, [dumped(tmp_path / "a", {"81.1.1.1": "DE"})])
        with pytest.raises(UsageError, match="ipinfo: this store keeps no addresses"):
            update_regions(folder, ["ipinfo"])
        assert not (folder.path / "private").exists()
