"""What an ingest makes of logs: every row, every sum and every line's fate, however the work is divided."""

from __future__ import annotations

import gzip
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from python.access_support import line, log
from python.ingest_support import (
    counted,
    daily,
    everything,
    files_below,
    named_files,
    oracle,
    rows,
    small_runs,
    states,
    tables,
    take,
    utc,
    without_requesters,
)
from tickline.errors import UsageError
from tickline.fake.access import generate_access
from tickline.pipelines.access.ingest import read as ingest_read
from tickline.store.folder import StoreFolder
from tickline.store.ledger_schema import SEALED, rejects_digest, requester_seal, seal

pq = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module", params=["daily", "s3"])
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of logs full of unusual and faulty lines, with their true answers."""
    out = tmp_path_factory.mktemp(request.param)
    generate_access(out / "raw", total_bytes=400_000, days=3, dirty=0.15, layout=request.param)
    return out / "raw"


def _logs(raw: Path) -> list[Path]:
    return [path for path in sorted(raw.rglob("*")) if path.is_file() and path.name != "truth.json"]


def _check_truth(store: Path, raw: Path) -> None:
    total = json.loads((raw / "truth.json").read_text())["total"]
    found = counted(store)
    assert found["lines"] == total["lines"]
    assert found["bytes"] == total["bytes"]
    for name in ("accepted", "filtered", "rejected"):
        assert found[name] == total["reduce"][name], name
    # Which columns are looked at for bytes that are no UTF-8 differs: here the user agent is one of them.
    noted = [dict(group, invalid_utf8=0) for group in (found["noted"], total["reduce"]["noted"])]
    assert noted[0] == noted[1]
    assert found["noted"].get("invalid_utf8", 0) >= total["reduce"]["noted"].get("invalid_utf8", 0)
    assert sum(sent for sent, _, _ in daily(store).values()) == total["reduce"]["bytes_sent"]


def test_totals_are_those_of_the_generator(generated: Path, tmp_path: Path) -> None:
    report = take(tmp_path / "store", generated, threads=2)
    assert states(report) == {"new": len(_logs(generated))}
    _check_truth(tmp_path / "store", generated)
    found = everything(tmp_path / "store")
    assert without_requesters(found[0]) == oracle(_logs(generated))
    assert report.counts == found[2]
    assert report.rows == len(found[0])


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("size", [300, 5_000, 70_000])
def test_rows_do_not_depend_on_where_work_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, threads: int
) -> None:
    raw = tmp_path / "raw"
    generate_access(raw, total_bytes=max(20_000, min(size * 60, 150_000)), days=2, dirty=0.3)
    long = line(5, key="blobs/" + "k" * 3000)
    shapes = (
        log(0, 3) + b"\n\r\n" + line(4).encode() + b"\r\n" + b"x\n" * 50 + long.encode() + b"\n" + log(6, 9)
    )
    (raw / "shapes.log").write_bytes(shapes + line(9).encode())
    small_runs(monkeypatch, size, small=2_000)
    monkeypatch.setattr(ingest_read, "_STEP_BYTES", max(size // 3, 50))
    take(tmp_path / "store", raw, threads=threads)
    assert without_requesters(everything(tmp_path / "store")[0]) == oracle(_logs(raw))
    with StoreFolder.open(tmp_path / "store") as folder:
        sql = (
            "SELECT r.line, r.offset, r.length FROM rejects r JOIN names n USING (source) WHERE n.name LIKE ?"
        )
        listed = [tuple(row) for row in folder.ledger.rows(sql + " ORDER BY line", ["%shapes.log"])]
    assert len(listed) == 50
    assert [number for number, _, _ in listed] == list(range(7, 57))
    assert all(shapes[begin : begin + size] == b"x" for _, begin, size in listed)


@pytest.mark.parametrize("threads", [1, 3])
def test_compressed_copies_and_odd_names_give_the_same_rows(
    generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    small_runs(monkeypatch, 30_000)
    for number, path in enumerate(_logs(generated)):
        place = tmp_path / "raw" / path.relative_to(generated)
        place.parent.mkdir(parents=True, exist_ok=True)
        data = path.read_bytes()
        match number % 4:
            case 0:
                place.with_name(place.name + ".gz").write_bytes(gzip.compress(data))
            case 1:
                place.with_name(place.name + ".zst").write_bytes(zstandard.compress(data))
            case 2:  # compressed, and not called so
                place.write_bytes(gzip.compress(data, 0))
            case _:  # called so, and not compressed; a damaged one is told by its bytes
                suffix = "" if any(byte < 9 for byte in data[:4096]) else ".gz"
                place.with_name(place.name + suffix).write_bytes(data)
    assert not take(tmp_path / "store", tmp_path / "raw", threads=threads).problems
    _check_truth(tmp_path / "store", generated)
    assert without_requesters(everything(tmp_path / "store")[0]) == oracle(_logs(generated))


def test_one_run_and_many_give_the_same(generated: Path, tmp_path: Path) -> None:
    logs = _logs(generated)
    store = tmp_path / "store"
    for number in range(5):
        take(store, *logs[len(logs) - 1 - number :: -5]) if number < len(logs) else None
    take(store, generated)
    _check_truth(store, generated)
    assert without_requesters(everything(store)[0]) == oracle(logs)


# ---- what stands in a part ---------------------------------------------------------------------------------


def _one(tmp_path: Path, *lines: str, **options: Any) -> list[dict[str, Any]]:
    (tmp_path / "raw").mkdir(exist_ok=True)
    (tmp_path / "raw/a.log").write_text("".join(text + "\n" for text in lines))
    report = take(tmp_path / "store", tmp_path / "raw", **options)
    assert not report.problems
    return sorted(tables(tmp_path / "store", "accesses"), key=lambda row: row["line"])


def test_what_a_log_does_not_name_is_null(tmp_path: Path) -> None:
    whole = line(1)
    nulls = line(2, key="-", ip="-", size="-").replace('"agent/2"', "-")
    found = _one(tmp_path, whole, nulls)
    assert found[0]["object_size"] == found[0]["bytes_sent"] == 7
    names = ("key", "requester_id", "bytes_sent", "object_size")
    assert [found[1][name] for name in names] == [None] * 4
    assert found[1]["agent_class"] == "other"
    assert found[1]["time"] is not None
    sums = daily(tmp_path / "store")
    assert sums[utc("2024-05-01"), None, None] == (0, 1, 1)
    with StoreFolder.open(tmp_path / "store") as folder:
        part = folder.ledger.snapshot().parts[0]
    assert part.has_null_key
    assert part.first_key == part.last_key == found[0]["key"]


def test_bytes_that_are_no_utf8_are_no_harm(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    data = line(1, key="blobs/\udcff\udcfe", ip="192.0.2.1\udcff").replace("agent/1", "agent\udc80")
    (raw / "a.log").write_bytes(data.encode("utf-8", "surrogateescape") + b"\n")
    take(tmp_path / "store", raw)
    assert without_requesters(everything(tmp_path / "store")[0]) == oracle([raw / "a.log"])
    assert counted(tmp_path / "store")["noted"] == {"invalid_utf8": 3}


def test_parts_are_in_order_and_never_cross_a_month(tmp_path: Path) -> None:
    times = ["31/Dec/2023:23:59:59", "01/Jan/2024:00:00:00", "29/Feb/2024:12:00:00", "01/Mar/2024:00:00:00"]
    lines = [
        line(number, time=times[number % 4], key=f"k{number % 7}" if number % 5 else "-")
        for number in range(80)
    ]
    _one(tmp_path, *lines)
    store = tmp_path / "store"
    with StoreFolder.open(store) as folder:
        snapshot = folder.ledger.snapshot()
    assert [part.month for part in snapshot.parts] == ["2023-12", "2024-01", "2024-02", "2024-03"]
    for part in (*snapshot.parts, *snapshot.daily):
        found = pq.read_table(store / part.path, partitioning=None).to_pylist()
        days = [row["day"] if "day" in row else row["time"].date() for row in found]
        assert {str(day)[:7] for day in days} == {part.month}
        assert (min(days) - utc("1970-01-01")).days == part.first_day
        assert (max(days) - utc("1970-01-01")).days == part.last_day
        keys = [(row["key"] is None, row["key"] or "") for row in found]
        if part.kind == "accesses":
            order = [
                (*key, row["time"], row["source"], row["line"]) for key, row in zip(keys, found, strict=True)
            ]
        else:
            order = [(row["day"], *key, row["requester_id"]) for key, row in zip(keys, found, strict=True)]
        assert order == sorted(order)
        assert part.size_bytes == (store / part.path).stat().st_size


def test_keys_sort_by_their_bytes(tmp_path: Path) -> None:
    keys = ["z", "a", "Z", "é", "e\u0301", "\U0001f600", "\uffff", "a/", "a", "~", "%FF", "ab"]
    _one(tmp_path, *(line(number, key=key) for number, key in enumerate(keys)))
    with StoreFolder.open(tmp_path / "store") as folder:
        part = folder.ledger.snapshot().parts[0]
    found = pq.read_table(tmp_path / "store" / part.path, partitioning=None)["key"].to_pylist()
    assert found == sorted(found, key=str.encode)
    assert part.first_key == found[0]
    assert part.last_key == found[-1] == "\U0001f600"


def test_hostile_times_are_months_of_their_own(tmp_path: Path) -> None:
    times = ["01/Jan/1970:00:00:00", "31/Dec/9999:23:59:59", "29/Feb/2000:00:00:01"]
    found = _one(tmp_path, *(line(number, time=time) for number, time in enumerate(times)))
    assert [row["time"].year for row in found] == [1970, 9999, 2000]
    assert [key[0].isoformat() for key in sorted(daily(tmp_path / "store"))] == [
        "1970-01-01",
        "2000-02-29",
        "9999-12-31",
    ]


# ---- the ledger --------------------------------------------------------------------------------------------


def test_rows_of_the_ledger_are_sealed(generated: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    take(store, generated)
    with StoreFolder.open(store) as folder:
        for table in SEALED:
            for row in folder.ledger.rows(f"SELECT * FROM {table}"):
                assert row["seal"] == seal(table, dict(row)), table
        for row in folder.ledger.rows("SELECT * FROM requesters"):
            assert row["seal"] == requester_seal(row["id"], row["label"], row["snapshot"])
        for row in folder.ledger.rows("SELECT id, rejects_digest FROM sources"):
            sql = "SELECT line, offset, length, reason FROM rejects WHERE source = ? ORDER BY line"
            listed = [tuple(reject) for reject in folder.ledger.rows(sql, [row["id"]])]
            assert row["rejects_digest"] == rejects_digest(listed)
        numbers = [row[0] for row in folder.ledger.rows("SELECT number FROM requesters ORDER BY number")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({row["requester_id"] for row in tables(store, "accesses")} - {None}) == len(numbers)


@pytest.mark.parametrize("form", ["plain", "ranges", "gz", "many"])
def test_rejected_lines_are_listed_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    for module in ("read", "group", "plain", "commit"):
        monkeypatch.setattr(f"tickline.pipelines.access.ingest.{module}.LISTED_REJECTS", 30)
    raw, store = tmp_path / "raw", tmp_path / "store"
    raw.mkdir()
    data = b"x\n" * 500 + log(0, 3)
    if form == "ranges":
        small_runs(monkeypatch, 97, small=1)
    if form == "many":
        for number in range(20):
            (raw / f"{number}.log").write_bytes(b"x\n" * 10 + log(number, number + 1))
    else:
        (raw / ("a.log.gz" if form == "gz" else "a.log")).write_bytes(
            gzip.compress(data) if form == "gz" else data
        )
    take(store, raw, threads=2)
    assert sum(counted(store)["rejected"].values()) == (200 if form == "many" else 500)
    with StoreFolder.open(store) as folder:
        listed = [
            tuple(row) for row in folder.ledger.rows("SELECT line, offset FROM rejects ORDER BY source, line")
        ]
    assert len(listed) == 30
    if form != "many":
        assert listed == [(number + 1, number * 2) for number in range(30)]
        (raw / "a.log").write_bytes(data + b"y\n") if form != "gz" else None
        take(store, raw)
        with StoreFolder.open(store) as folder:
            assert len(folder.ledger.rows("SELECT 1 FROM rejects")) == 30


def test_a_log_that_is_none_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"hello\nworld\n")
    report = take(tmp_path / "store", tmp_path / "a.log")
    assert "none of its lines" in report.notes[0]
    assert rows(tmp_path / "store") == []
    assert files_below(tmp_path / "store") == named_files(tmp_path / "store") == []


def test_nothing_at_all_is_a_store_too(tmp_path: Path) -> None:
    (tmp_path / "a.log").touch()
    take(tmp_path / "store", tmp_path / "a.log")
    assert everything(tmp_path / "store") == ([], {}, counted(tmp_path / "store"))
    with pytest.raises(UsageError):
        take(tmp_path / "other", tmp_path / "absent.log")
    assert not (tmp_path / "other").exists()


def test_agents_are_told_by_their_begin(tmp_path: Path) -> None:
    agents = {
        "git-annex/10.2": "git-annex",
        "aws-cli/2.1 Python/3": "aws-cli",
        "Boto3/1.2": "boto",
        "Mozilla/5.0 (X11)": "browser",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http)": "robot",
        "Mozilla/5.0 (Linux; Cubot X18)": "robot",
        "curl/8": "other",
        "x" * 100_000: "other",
    }
    lines = [line(number).replace(f"agent/{number}", agent) for number, agent in enumerate(agents)]
    found = Counter(row["agent_class"] for row in _one(tmp_path, *lines))
    expected = Counter(agents.values())
    assert found.total() == expected.total()
    assert found["git-annex"] == found["aws-cli"] == found["boto"] == 1
    assert found["browser"] + found["robot"] == 3


def test_a_moved_store_is_the_same_store(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log(0, 20))
    take(tmp_path / "store", tmp_path / "a.log")
    before = everything(tmp_path / "store")
    shutil.move(tmp_path / "store", tmp_path / "moved")
    assert everything(tmp_path / "moved") == before
    assert states(take(tmp_path / "moved", tmp_path / "a.log")) == {"unchanged": 1}
