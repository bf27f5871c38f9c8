"""A store of the first format stays readable: what later versions change, they bring it up to.

``tests/data/golden/store-v1`` was made once, by the first version that had stores: `make` says from what. It
is never made again.
"""

from __future__ import annotations

import datetime
import json
import shutil
import sys
from pathlib import Path

import pytest

from python.access_support import line, log
from python.ingest_support import (
    counted,
    daily,
    daily_of_rows,
    files_below,
    names,
    sources,
    states,
    tables,
    take,
)
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT
from tickline.store.settings import FORMAT, WantedSettings

pytest.importorskip("pyarrow")

STORED = Path(__file__).parents[1] / "data/golden/store-v1"
WANTED = WantedSettings(
    operations=("REST.GET.OBJECT", "REST.HEAD.OBJECT"), exclude_networks=("203.0.113.0/24",)
)


def _days() -> tuple[str, str, str]:
    first = [
        line(1, key="blobs/0a1/0a1b2c", ip="192.0.2.1"),
        line(2, key="blobs/0a1/0a1b2c", ip="2001:db8::1"),
        line(3, key="zarr/9f/0/0", ip="192.0.2.1", status="206"),
        line(4, key="blobs/0a1/0a1b2c", ip="192.0.2.1"),
        line(5, key="-", ip="-", size="-"),
        line(6, ip="203.0.113.7"),
        line(7, status="404"),
        "not a line of a log",
        line(8, key="blobs/ff/ü", ip="2001:DB8:0::1", operation="REST.HEAD.OBJECT"),
    ]
    second = [line(9, time="31/May/2024:23:59:59"), line(10, time="01/Jun/2024:00:00:00")]
    return ("\n".join(first) + "\n", "\n".join(second[:1]) + "\n", "\n".join(second) + "\n")


def make(store: Path, raw: Path) -> None:
    """Make the store; a second file is replaced on the way, so that there is a source that does not count."""
    raw.mkdir(parents=True)
    first, second, third = _days()
    (raw / "01.log").write_text(first)
    (raw / "02.log").write_text(second.replace("/May/", "/Jul/"))
    take(store, raw, wanted=WANTED)
    (raw / "02.log").write_text(third)
    take(store, raw)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the stored one."""
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    shutil.copytree(STORED, tmp_path / "store")
    (tmp_path / "store/pseudonym.key").chmod(0o600)
    return tmp_path / "store"


IDS = json.loads((Path(__file__).parents[1] / "data/golden/pseudonym.json").read_text())["cases"]


def _id(address: str) -> int:
    """Return the golden id of an address: the stored key is the first one there."""
    return next(
        int(case["id"], 16) for case in IDS if case["key"] == IDS[0]["key"] and case["address"] == address
    )


def test_settings_are_what_they_were(store: Path) -> None:
    with StoreFolder.open(store) as folder:
        settings = folder.settings
        assert folder.ledger.format == settings.format == FORMAT
    assert settings.operations == WANTED.operations
    assert settings.statuses == tuple(range(200, 300))
    assert settings.exclude_networks == WANTED.exclude_networks
    assert settings.addresses
    assert not settings.dedupe_lines
    assert settings.pseudonym_key_id == IDS[0]["key_id"]


def test_rows_are_what_they_were(store: Path) -> None:
    found = sorted(tables(store, "accesses"), key=lambda row: row["time"])
    assert [(row["key"], row["bytes_sent"], row["http_status"], row["line"]) for row in found] == [
        ("blobs/0a1/0a1b2c", 7, 200, 1),
        ("blobs/0a1/0a1b2c", 14, 200, 2),
        ("zarr/9f/0/0", 21, 206, 3),
        ("blobs/0a1/0a1b2c", 28, 200, 4),
        (None, None, 200, 5),
        ("blobs/ff/ü", 56, 200, 9),
        ("blobs/009/000009", 63, 200, 1),
        ("blobs/00a/000010", 70, 200, 2),
    ]
    ids = [row["requester_id"] for row in found]
    assert ids[0] == ids[2] == ids[3] == _id("192.0.2.1")
    assert ids[1] == ids[5] == _id("2001:db8::1")
    assert ids[4] is None
    assert [row["operation"] for row in found[4:6]] == ["REST.GET.OBJECT", "REST.HEAD.OBJECT"]
    with StoreFolder.open(store) as folder:
        assert folder.pseudonyms().addresses(ids[:2]) == ["192.0.2.1", "2001:db8::1"]


def test_sums_are_what_they_were(store: Path) -> None:
    assert daily(store) == daily_of_rows(store)
    may = datetime.date(2024, 5, 1)
    assert daily(store)[may, "blobs/0a1/0a1b2c", _id("192.0.2.1")] == (35, 2, 2)
    assert daily(store)[may, "zarr/9f/0/0", _id("192.0.2.1")] == (21, 1, 0)
    assert daily(store)[may, None, None] == (0, 1, 1)


def test_accounting_is_what_it_was(store: Path) -> None:
    assert sources(store) == {"live": 2, "replaced": 1}
    found = counted(store)
    assert found["lines"] == 11
    assert found["accepted"] == 8
    assert found["filtered"] == {"ip": 1, "status": 1}
    assert sum(found["rejected"].values()) == 1


def test_more_logs_can_be_taken(store: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    first, _, third = _days()
    (raw / "copy.log").write_text(first)
    (raw / "02.log").write_text(third + line(11, time="01/Jun/2024:00:00:01") + "\n")
    (raw / "03.log").write_bytes(log(100, 120))
    assert states(take(store, raw)) == {"copy": 1, "new": 2}
    assert len(tables(store, "accesses")) == 8 + 3 + 20
    assert daily(store) == daily_of_rows(store)
    assert set(files_below(store)) >= {str(path.relative_to(STORED)) for path in STORED.rglob("*.parquet")}
    assert names(store)["copy.log"] == 1


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
