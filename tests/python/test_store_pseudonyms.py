"""Addresses become ids by a key, stand under private/ or nowhere, and the key is never shown."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from python.access_support import environment, line
from python.ingest_support import KEY, rows, tables, take
from tickline.errors import TicklineError
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT, Pseudonyms, key_id, load_key
from tickline.store.settings import WantedSettings

pq = pytest.importorskip("pyarrow.parquet")

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/pseudonym.json").read_text())
SECRET = bytes.fromhex(KEY)


def _ids(addresses: list[str], key: bytes = SECRET) -> list[int]:
    return Pseudonyms(Path(), key, keep_addresses=False).ids(addresses).tolist()


def test_ids_are_the_golden_ones() -> None:
    assert len(GOLDEN["cases"]) >= 10
    for case in GOLDEN["cases"]:
        key = bytes.fromhex(case["key"])
        assert _ids([case["address"]], key) == [int(case["id"], 16)], case["address"]
        assert key_id(key) == case["key_id"]


def test_ids_are_the_first_bytes_of_an_hmac() -> None:
    text = "192.0.2.77"
    # RFC 2104, written out.
    padded = SECRET.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded) + text.encode()).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded) + inner).digest()
    assert outer == hmac.digest(SECRET, text.encode(), "sha256")
    assert _ids([text]) == [int.from_bytes(outer[:8], "big")]


SAME = [
    ["2001:db8::1", "2001:DB8::1", "2001:0db8:0:0:0:0:0:1", "2001:db8:0000::0001"],
    ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1"],
]


@pytest.mark.parametrize("spellings", SAME)
def test_spellings_of_an_address_are_one_requester(spellings: list[str]) -> None:
    assert len(set(_ids(spellings))) == 1


def test_other_texts_are_requesters_of_their_own() -> None:
    texts = ["192.0.2.1", "192.0.2.10", "2001:db8::1", "::1", "junk", "not:an:address", "", "ü", "192.0.2.1 "]
    assert len(set(_ids(texts))) == len(texts)
    assert _ids(["192.0.2.1"]) != _ids(["192.0.2.1"], SECRET[::-1])


ADDRESSES = [
    "192.0.2.17",
    "203.0.113.200",
    "2001:db8:1::77",
    "2001:DB8:1:0::77",
    "::ffff:198.51.100.9",
    "junk-ip",
]


def _store(tmp_path: Path, **wanted: bool) -> Path:
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = [line(number, ip=ip) for number, ip in enumerate([*ADDRESSES, "-", "-"])]
    lines.append(line(90, ip="192.0.2.18", status="404"))
    (raw / "a.log").write_text("\n".join([*lines, "no line", ""]))
    take(tmp_path / "store", raw, wanted=WantedSettings(**wanted))
    return tmp_path / "store"


def _holds(file: Path, text: str) -> bool:
    """Look for a text in the bytes of a file, and in every value of a Parquet file."""
    if text.encode().lower() in file.read_bytes().lower():
        return True
    if file.suffix == ".parquet":
        values = pq.read_table(file, partitioning=None).to_pylist()
        return any(text.lower() in str(value).lower() for row in values for value in row.values())
    return False


def _where(store: Path, text: str) -> set[str]:
    return {
        str(path.relative_to(store)) for path in store.rglob("*") if path.is_file() and _holds(path, text)
    }


@pytest.mark.parametrize("address", [*ADDRESSES, "192.0.2.18", "198.51.100.9"])
def test_without_addresses_none_is_written_anywhere(tmp_path: Path, address: str) -> None:
    store = _store(tmp_path, addresses=False)
    assert len(rows(store)) == 8
    assert _where(store, address) == set()
    assert not (store / "private").exists()


def test_addresses_stand_under_private_only(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for address in ("192.0.2.17", "203.0.113.200", "2001:db8:1::77", "198.51.100.9", "junk-ip"):
        found = _where(store, address)
        assert found
        assert all(name.startswith("private/") for name in found), found
    assert _where(store, "192.0.2.18") == set(), "this one made no row"
    assert stat.S_IMODE((store / "private").stat().st_mode) == 0o700
    for path in (store / "private").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert stat.S_IMODE((store / "pseudonym.key").stat().st_mode) == 0o600


def test_requesters_can_be_told_apart_and_led_back(tmp_path: Path) -> None:
    store = _store(tmp_path)
    found = {row["line"]: row["requester_id"] for row in tables(store, "accesses")}
    assert found[3] == found[4], "two spellings"
    assert found[7] is None
    assert found[8] is None
    assert len(set(found.values())) == 6
    with StoreFolder.open(store) as folder:
        ids = [found[number] for number in (1, 3, 5, 6)]
        wanted = ["192.0.2.17", "2001:db8:1::77", "198.51.100.9", "junk-ip"]
        assert folder.pseudonyms().addresses([*ids, 7]) == [*wanted, None]
        assert ids == folder.pseudonyms(making=True).ids(wanted).tolist()


def test_a_file_of_addresses_that_is_gone_is_no_harm(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for path in (store / "private").iterdir():
        path.unlink()
    with StoreFolder.open(store) as folder:
        assert folder.pseudonyms().addresses([1, 2]) == [None, None]
    (tmp_path / "raw/b.log").write_text(line(5000, ip="192.0.2.19") + "\n")
    assert not take(store, tmp_path / "raw").problems


def test_addresses_are_there_while_they_are_written_and_after_a_kill(tmp_path: Path) -> None:
    """What was remembered is on the disk at once, private, and at rest in one file."""
    program = """
import os, sys
from pathlib import Path
from tickline.store.pseudonyms import Pseudonyms
made = Pseudonyms(Path(sys.argv[1]), bytes(32), keep_addresses=True)
for addresses in (["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.3"]):
    made.remember(made.ids(addresses), addresses)
print("written", flush=True)
sys.stdin.readline()
os._exit(9)
"""
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    reader = Pseudonyms(tmp_path, bytes(32), keep_addresses=True)
    wanted = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]
    ids = reader.ids(wanted)
    with writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        assert reader.addresses(ids.tolist()) == [*wanted[:3], None]
        for path in (tmp_path / "private").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        writer.communicate("go\n")
    assert writer.returncode == 9
    assert reader.addresses(ids.tolist()) == [*wanted[:3], None]
    reader.remember(ids, wanted)
    reader.close()
    assert [path.name for path in (tmp_path / "private").iterdir()] == ["ips.sqlite"]
    assert reader.addresses(ids.tolist()) == wanted


def test_a_damaged_file_of_addresses_is_named(tmp_path: Path) -> None:
    store = _store(tmp_path)
    (store / "private/ips.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "raw/b.log").write_text(line(5000, ip="192.0.2.19") + "\n")
    before = rows(store)
    report = take(store, tmp_path / "raw")
    assert "ips.sqlite" in str(report.problems[0])
    assert rows(store) == before


# ---- the key -----------------------------------------------------------------------------------------------


def test_the_environments_key_is_used_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY.upper() + "\n")
    store = _store(tmp_path)
    assert not (store / "pseudonym.key").exists()
    assert _where(store, KEY) == set()
    first = next(row for row in tables(store, "accesses") if row["line"] == 1)
    assert first["requester_id"] == _ids(["192.0.2.17"])[0]


@pytest.mark.parametrize("later", ["", "ff" * 32, None], ids=["empty", "another", "gone"])
def test_another_key_later_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: str | None
) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    store = _store(tmp_path)
    if later is None:
        monkeypatch.delenv(ENVIRONMENT)
    else:
        monkeypatch.setenv(ENVIRONMENT, later)
    before = rows(store)
    (tmp_path / "raw/b.log").write_text(line(5000) + "\n")
    with pytest.raises(TicklineError) as refused:
        take(store, tmp_path / "raw")
    assert "key" in str(refused.value).lower()
    assert KEY not in str(refused.value)
    assert not later or later not in str(refused.value)
    assert rows(store) == before, "reading needs no key"


BAD_KEYS = ["", "ab" * 31, "xy" * 32, "ab" * 32 + "a", "\x00", "ü" * 64]


@pytest.mark.parametrize("bad", [key for key in BAD_KEYS if "\x00" not in key])
def test_a_bad_key_in_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    monkeypatch.setenv(ENVIRONMENT, bad)
    with pytest.raises(TicklineError, match="not at least 32 bytes in hexadecimal") as refused:
        load_key(tmp_path, create=True)
    assert not bad or bad not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [*BAD_KEYS, None])
def test_a_bad_key_file_is_refused(tmp_path: Path, bad: str | None) -> None:
    store = _store(tmp_path)
    if bad is None:
        (store / "pseudonym.key").unlink()
    else:
        (store / "pseudonym.key").write_text(bad)
    (tmp_path / "raw/b.log").write_text(line(5000) + "\n")
    with pytest.raises(TicklineError) as refused:
        take(store, tmp_path / "raw")
    assert "pseudonym.key" in str(refused.value)
    assert not bad or bad not in str(refused.value)


def test_a_short_key_is_never_printed_by_the_interpreter_either(tmp_path: Path) -> None:
    code = "from pathlib import Path; from tickline.store.pseudonyms import load_key; load_key(Path())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**{ENVIRONMENT: "abcdef0123456789"}),
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode
    assert "abcdef" not in done.stderr + done.stdout


def test_the_umask_is_as_before(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        _store(tmp_path)
        now = os.umask(0o027)
    finally:
        os.umask(old)
    assert now == 0o027
