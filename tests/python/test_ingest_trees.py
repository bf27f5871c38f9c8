"""Trees of tables into a store: each row once, as the reference reads it, beside logs and after changes."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from python import store_kill_driver
from python.access_support import environment, line, log, options
from python.ingest_support import (
    KEY,
    counted,
    everything,
    files_below,
    named_files,
    rows,
    sources,
    states,
    take,
)
from python.s3_support import fake_s3, set_environment
from python.trees_support import (
    BINNED,
    REDUCED,
    assert_verified,
    binned,
    binned_rows,
    expected,
    reduced,
    reduced_rows,
    small_blocks,
    stored,
    taken,
    write,
)
from tickline.pipelines.access.ingest.forms import forms_of
from tickline.pipelines.access.reduce.reduce import reduce
from tickline.pipelines.access.status import status
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")

DAYS = {"2024/05/01.tsv": reduced(0, 80), "2024/05/02.tsv": reduced(80, 130), "2024/05/03.tsv": b""}
KEYS = {
    "blobs/000/000000.tsv": binned(0, 60),
    "blobs/001/00000a.tsv": binned(60, 90),
    "zarr/7f.tsv": binned(0, 5),
}


def _of_days(files: dict[str, bytes]) -> list[tuple[bytes, bytes | None]]:
    return [(data, None) for data in files.values()]


def _of_keys(files: dict[str, bytes]) -> list[tuple[bytes, bytes | None]]:
    return [(data, os.fsencode(name.removesuffix(".tsv"))) for name, data in files.items()]


def test_a_reduced_tree_is_taken_once(tmp_path: Path) -> None:
    tree, store = write(tmp_path / "tree", DAYS), tmp_path / "store"
    report = taken(store, "reduced", tree)
    assert states(report) == {"new": 3}
    assert report.rows == 130
    assert report.counts["filtered"] == {"header": 2}
    assert stored(store) == expected(_of_days(DAYS), "reduced")
    assert states(taken(store, "reduced", tree)) == {"unchanged": 3}
    assert_verified(store, 3)


def test_a_binned_tree_is_taken_once(tmp_path: Path) -> None:
    tree, store = write(tmp_path / "tree", KEYS), tmp_path / "store"
    assert states(taken(store, "binned", tree)) == {"new": 3}
    assert stored(store) == expected(_of_keys(KEYS), "binned")
    assert {row[1] for row in stored(store)} == {"blobs/000/000000", "blobs/001/00000a", "zarr/7f"}
    assert states(taken(store, "binned", tree)) == {"unchanged": 3}
    assert_verified(store, 3)


def test_tables_of_reduced_logs_give_the_rows_of_the_logs(tmp_path: Path) -> None:
    lines = [line(n, status="404" if n % 9 == 0 else "200", ip="-" if n % 7 == 0 else "") for n in range(99)]
    lines += [line(100, ip="2001:DB8:0::1"), line(101, key="-"), line(102, key="%20a/ü"), "no line"]
    raw = write(tmp_path / "raw", {"2024/05/01.log": "".join(text + "\n" for text in lines).encode()})
    assert not reduce(options(raw, tmp_path / "tree")).problems
    take(tmp_path / "a", raw)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/pseudonym.key").write_bytes((tmp_path / "a/pseudonym.key").read_bytes())
    assert not taken(tmp_path / "b", "reduced", tmp_path / "tree").problems
    # All but what a table does not tell: object size, status, operation, line and agent.
    logs, tables = ([row[:4] for row in rows(tmp_path / name)] for name in ("a", "b"))
    assert len(logs) == 91
    assert sorted(logs, key=repr) == sorted(tables, key=repr)


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: data.replace(b"\n", b"\r\n")])
@pytest.mark.parametrize("form", ["reduced", "binned"])
def test_copies_with_other_line_ends_or_compressed_are_read(tmp_path: Path, form: str, pack: object) -> None:
    files = DAYS if form == "reduced" else KEYS
    assert callable(pack)
    tree = write(tmp_path / "tree", {name: pack(data) if data else data for name, data in files.items()})
    assert states(taken(tmp_path / "store", form, tree)) == {"new": 3}
    tables = _of_days(files) if form == "reduced" else _of_keys(files)
    assert stored(tmp_path / "store") == expected(tables, form)
    assert_verified(tmp_path / "store", 3)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("block", [70, 1_000, 10**6])
@pytest.mark.parametrize("small", [0, 10**6])
@pytest.mark.parametrize("form", ["reduced", "binned"])
def test_neither_blocks_nor_units_show_in_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, small: int, block: int, threads: int
) -> None:
    small_blocks(monkeypatch, block, small, 3)
    make = reduced if form == "reduced" else binned
    files = {f"k{number}.tsv": make(10 * number, 10 * number + number) for number in range(9)}
    files |= {"large.tsv": make(200, 300), "none.tsv": make(0, 0), "zero.tsv": b""}
    tree, store = write(tmp_path / "tree", files), tmp_path / "store"
    (tree / "large2.tsv").write_bytes(gzip.compress(make(300, 420)))
    assert not taken(store, form, tree, threads=threads).problems
    files["large2.tsv"] = make(300, 420)
    assert stored(store) == expected(_of_days(files) if form == "reduced" else _of_keys(files), form)
    assert counted(store)["lines"] == sum(data.count(b"\n") for data in files.values()) - (form == "reduced")
    assert files_below(store) == named_files(store)


def test_a_copy_of_a_day_adds_nothing_and_the_same_lines_of_another_key_do(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"a.tsv": reduced(0, 9), "b.tsv": reduced(0, 9)})
    assert states(taken(tmp_path / "days", "reduced", tree)) == {"new": 1, "copy": 1}
    assert len(rows(tmp_path / "days")) == 9
    keys = {"a.tsv": binned(0, 9), "b.tsv": binned(0, 9)}
    tree, store = write(tmp_path / "keys/tree", keys), tmp_path / "store"
    assert states(taken(store, "binned", tree)) == {"new": 2}
    assert stored(store) == expected(_of_keys(keys), "binned")
    (tmp_path / "keys/tree").rename(tmp_path / "keys/moved")
    assert states(taken(store, "binned", tmp_path / "keys/moved")) == {"copy": 2}
    assert stored(store) == expected(_of_keys(keys), "binned")
    assert_verified(store, 2)


@pytest.mark.parametrize("block", [100, 10**6])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["reduced", "binned"])
def test_a_table_that_grew_adds_its_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, packed: bool, block: int
) -> None:
    small_blocks(monkeypatch, block, 10**6)
    pack = gzip.compress if packed else bytes
    make, more = (reduced, reduced_rows) if form == "reduced" else (binned, binned_rows)
    first = {"a.tsv": make(0, 20), "b.tsv": b""}
    tree, store = write(tmp_path / "tree", {name: pack(data) for name, data in first.items()}), tmp_path / "s"
    assert states(taken(store, form, tree)) == {"new": 2}
    second = {"a.tsv": first["a.tsv"] + more(20, 33), "b.tsv": make(50, 60)}
    write(tree, {"a.tsv": pack(first["a.tsv"]) + pack(more(20, 33)), "b.tsv": pack(second["b.tsv"])})
    report = taken(store, form, tree)
    assert states(report) == {"grown": 2}
    assert report.rows == 23
    assert stored(store) == expected(_of_days(second) if form == "reduced" else _of_keys(second), form)
    assert sources(store) == {"live": 2}
    assert_verified(store, 2)


@pytest.mark.parametrize("form", ["reduced", "binned"])
def test_a_table_that_was_changed_takes_the_place_of_the_old_one(tmp_path: Path, form: str) -> None:
    make = reduced if form == "reduced" else binned
    tree, store = write(tmp_path / "tree", {"a.tsv": make(0, 20), "b.tsv": make(30, 40)}), tmp_path / "s"
    taken(store, form, tree)
    second = {"a.tsv": make(5, 40), "b.tsv": make(30, 40)}
    write(tree, second)
    assert states(taken(store, form, tree)) in ({"changed": 1, "unchanged": 1}, {"changed": 1, "copy": 1})
    assert stored(store) == expected(_of_days(second) if form == "reduced" else _of_keys(second), form)
    assert sources(store) == {"live": 2, "replaced": 1}


def test_what_a_name_is_read_as_last_counts(tmp_path: Path) -> None:
    tree, store = write(tmp_path / "tree", {"a.tsv": REDUCED}), tmp_path / "store"
    assert states(taken(store, "reduced", tree)) == {"new": 1}
    assert not (refused := taken(store, "binned", tree)).rows
    assert "header" in str(refused.problems[0])
    (tree / "a.tsv").write_bytes(b"")
    assert states(taken(store, "reduced", tree)) == {"changed": 1}
    assert states(taken(store, "binned", tree)) == {"changed": 1}
    assert states(taken(store, "binned", tree)) == {"unchanged": 1}
    with StoreFolder.open(store) as folder:
        assert list(forms_of(folder.ledger)) == ["binned"]


def test_logs_and_tables_stand_beside_each_other_and_shared_days_are_named(tmp_path: Path) -> None:
    store = tmp_path / "store"
    tables = write(tmp_path / "tree", {"04.tsv": reduced(0, 3).replace(b"-05-01", b"-04-30")})
    first = taken(store, "reduced", tables)
    assert [note for note in first.notes if "status" in note and "download" in note]
    raw = write(tmp_path / "raw", {"05.log": log(0, 30)})
    assert not [note for note in take(store, raw).notes if "twice" in note]
    write(tables, {"05.tsv": reduced(0, 200)})
    notes = taken(store, "reduced", tables).notes
    assert [note for note in notes if "twice" in note and "logs on 2024-05-01 (1 day)" in note]
    keys = write(tmp_path / "keys", {"k.tsv": binned(0, 100) + binned_rows(150, 200)})
    notes = taken(store, "binned", keys).notes
    assert [note for note in notes if "logs on 2024-05-01 (1 day)" in note]
    assert [note for note in notes if "reduced tree on 2024-05-01 to 2024-05-03 (3 days)" in note]
    assert not taken(store, "binned", keys).notes
    with StoreFolder.open(store) as folder:
        found = status(folder)
        assert found["forms"] == {
            "log": {"sources": 1, "rows": 30},
            "reduced": {"sources": 2, "rows": 203},
            "binned": {"sources": 1, "rows": 150},
        }
    assert len(everything(store)[0]) == 383
    # Sources that do not count any more have no days.
    (raw / "05.log").write_bytes(b"")
    take(store, raw)
    write(tables, {"06.tsv": reduced(0, 2)})
    assert not [note for note in taken(store, "reduced", tables).notes if "logs" in note]


def test_a_day_between_the_days_of_a_table_is_not_shared(tmp_path: Path) -> None:
    keys = write(tmp_path / "keys", {"k.tsv": binned(0, 1) + binned_rows(200, 201)})
    taken(tmp_path / "store", "binned", keys)
    between = line(1, time="02/May/2024:00:00:00") + "\n"
    raw = write(tmp_path / "raw", {"02.log": between.encode()})
    assert not [note for note in take(tmp_path / "store", raw).notes if "twice" in note]
    raw = write(tmp_path / "raw", {"03.log": between.replace("02/May", "03/May").encode()})
    (note,) = take(tmp_path / "store", raw).notes
    assert "a binned tree on 2024-05-03 (1 day)" in note


def test_rules_of_the_store_hold_for_tables(tmp_path: Path) -> None:
    table = REDUCED + b"".join(
        b"2024-05-01T00:00:00\t%b\t%b\t5\n" % (ip, key)
        for ip, key in [
            (b"192.0.2.1", b"zarr/1/2/3"), (b"198.51.100.7", b"zarr/1/2"), (b"192.0.2.2", b"zarr/1/4"),
            (b"192.0.2.3", b"other"), (b"203.0.113.5", b"zarr/2"), (b"-", b"zarr/2"), (b"192.0.2.4", b"-"),
        ]
    )  # fmt: skip
    wanted = WantedSettings(
        keys=(("zarr", 2),), exclude_networks=("198.51.100.0/24",), exclude_ip_regex="^203"
    )
    tree, store = write(tmp_path / "tree", {"a.tsv": table}), tmp_path / "store"
    report = taken(store, "reduced", tree, wanted=wanted)
    assert report.counts["filtered"] == {"header": 1, "ip": 2, "key": 2}
    assert [(row[1], row[2]) for row in stored(store)] == [
        ("zarr/1", "192.0.2.1"),
        ("zarr/1", "192.0.2.2"),
        ("zarr/2", None),
    ]
    assert_verified(store, 1)
    with StoreFolder.open(store) as folder:
        assert folder.ledger.rows("SELECT count(*) FROM requesters")[0][0] == 2


def test_a_store_that_drops_repeated_lines_takes_all_rows_of_tables(tmp_path: Path) -> None:
    rows_twice = {"a.tsv": reduced(0, 9) + reduced_rows(0, 9), "b.tsv": reduced(3, 9)}
    tree, store = write(tmp_path / "tree", rows_twice), tmp_path / "store"
    raw = write(tmp_path / "raw", {"a.log": log(0, 5), "b.log": log(0, 9)})
    wanted = WantedSettings(dedupe_lines=True)
    take(store, raw, wanted=wanted)
    assert states(taken(store, "reduced", tree)) == {"new": 2}
    assert counted(store)["accepted"] == 9 + 24
    assert len(rows(store)) == 33
    assert_verified(store, 4)


def test_tables_in_a_bucket_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3")
    objects = {f"old/{name}": data for name, data in KEYS.items()}
    objects |= {"old/names.tsv": b"file\tkey\nzarr/7f.tsv\tzarr/7f/..\n", "old/binned.txt": b"x"}
    with fake_s3(objects) as server:
        set_environment(monkeypatch, server.url)
        report = taken(tmp_path / "store", "binned", "s3://logs/old/")
        assert states(report) == {"new": 3}
        assert report.left_out.total() == 2
    named = {"zarr/7f/...tsv" if name.startswith("zarr") else name: data for name, data in KEYS.items()}
    assert stored(tmp_path / "store") == expected(_of_keys(named), "binned")


HOSTILE = (
    "blobs/a/b", "names", "a", "a.tsv/b", "../../x", "A", "..", ".hid/x", "%2F", "café", "x" * 300, "-",
    "q\"uote", "/abs", "tail/", "b~0123456789abcdef", ".tickline/x", "._mac",
    "binned_log_file_paths_started.txt",
)  # fmt: skip


@pytest.mark.parametrize("form", ["reduced", "binned"])
def test_trees_that_were_exported_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    from tickline.pipelines.access.trees.export import export_trees

    monkeypatch.setenv(ENVIRONMENT, KEY)
    lines = [
        line(n, key=key, ip="-" if n % 5 == 0 else f"2001:db8::{n}" if n % 3 == 0 else "")
        for n, key in enumerate(HOSTILE * 3)
    ]
    raw = write(tmp_path / "raw", {"2024/05/01.log": "".join(text + "\n" for text in lines).encode()})
    take(tmp_path / "a", raw)
    with StoreFolder.open(tmp_path / "a") as folder:
        export_trees(folder, tmp_path / "out", [form])
    assert not taken(tmp_path / "b", form, tmp_path / "out" / form).problems
    logs, tables = ([row[:4] for row in rows(tmp_path / name)] for name in ("a", "b"))
    assert len(logs) == len(lines)
    assert sorted(logs, key=repr) == sorted(tables, key=repr)
    assert_verified(tmp_path / "b", len(set(HOSTILE)) if form == "binned" else 1)


def test_a_killed_run_goes_on_to_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    chance = random.Random(5)
    files = {f"{n}/{n}.tsv": binned(n, n + chance.randrange(1, 40)) for n in range(25)}
    files["large.tsv"] = binned(0, 1500)
    tree = write(tmp_path / "tree", files)
    wanted = expected(_of_keys(files), "binned")
    at, killed = 0, True
    while killed:
        at += 9
        store = tmp_path / f"store{at}"
        command = [sys.executable, store_kill_driver.__file__, str(store)]
        step = f"ingest-binned={tree}"
        env = environment(**{ENVIRONMENT: KEY})
        done = subprocess.run([*command, f"die={at}", step], env=env, capture_output=True, timeout=300)
        killed = done.returncode == -signal.SIGKILL
        assert killed or not done.returncode, done.stderr.decode()
        assert not taken(store, "binned", tree).problems
        assert stored(store) == wanted, f"a kill at {at}"
        assert files_below(store) == named_files(store), f"leftovers of a kill at {at}"
    assert at > 27


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"a.tsv": BINNED, "b.tsv": BINNED.replace(b"\n", b"\r\n")})
    assert states(taken(tmp_path / "store", "binned", tree)) == {"new": 2}
    assert counted(tmp_path / "store") == {
        "lines": 2, "bytes": len(BINNED) * 2 + 1, "accepted": 0, "filtered": {"header": 2}, "rejected": {},
        "noted": {},
    }  # fmt: skip
