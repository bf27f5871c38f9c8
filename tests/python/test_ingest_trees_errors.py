"""Damaged, foreign and hostile trees: a sentence with file and line, nothing of it taken, all else is."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from python.access_support import environment
from python.ingest_support import files_below, named_files, sources, states
from python.trees_support import (
    BINNED,
    REDUCED,
    assert_verified,
    binned,
    expected,
    reduced,
    reduced_rows,
    small_blocks,
    stored,
    taken,
    write,
)
from tickline.errors import UsageError
from tickline.pipelines.access.ingest import tree_reader
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.verify.verify import verify
from tickline.store.folder import StoreFolder
from tickline.store.settings import WantedSettings

pytest.importorskip("pyarrow")

ROW = reduced_rows(3, 4)

DAMAGE: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "cut in a field": (lambda data: data[:-4], 101),
    "cut before its newline": (lambda data: data[:-1], 101),
    "cut behind a tab": (lambda data: data[: data.rindex(b"\t") + 1], 101),
    "cut in the header": (lambda data: data[:20], 1),
    "no header": (lambda data: data.partition(b"\n")[2], 1),
    "header of the other form": (lambda data: BINNED + data.partition(b"\n")[2], 1),
    "a blank line first": (lambda data: b"\n" + data, 1),
    "a field more": (lambda data: data.replace(ROW, ROW[:-1] + b"\t1\n"), 5),
    "a field less": (lambda data: data.replace(ROW, ROW.rpartition(b"\t")[0] + b"\n"), 5),
    "a blank line": (lambda data: data.replace(ROW, ROW + b"\n"), 6),
    "a second header": (lambda data: data.replace(ROW, REDUCED + ROW), 5),
    "negative bytes": (lambda data: data.replace(ROW, ROW.replace(b"\t21\n", b"\t-21\n")), 5),
    "too many bytes": (lambda data: data.replace(ROW, ROW.replace(b"\t21\n", b"\t%d\n" % 2**64)), 5),
    "no such day": (lambda data: data.replace(ROW, ROW.replace(b"05-01", b"02-30")), 5),
    "no address": (lambda data: data.replace(ROW, ROW.replace(b"192.0.2.3", b"")), 5),
    "no key": (lambda data: data.replace(ROW, ROW.replace(b"blobs/003/000003", b"")), 5),
    "a carriage return": (lambda data: data.replace(ROW, ROW.replace(b"blobs/", b"blobs/\r")), 5),
    "zeros in its middle": (lambda data: data[:500] + bytes(300) + data[800:], 0),
}


@pytest.mark.parametrize("block", [60, 10**6])
@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_table_is_refused_as_a_whole_and_the_others_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int
) -> None:
    small_blocks(monkeypatch, block, 10**6)
    damage, number = DAMAGE[name]
    good = {f"{n}.tsv": reduced(1000 * n, 1000 * n + 9) for n in range(9)}
    whole = reduced(0, 100)
    tree, store = write(tmp_path / "tree", {**good, "4x.tsv": damage(whole)}), tmp_path / "store"
    report = taken(store, "reduced", tree)
    assert report.states == {"new": 9, "failed": 1, "copy": 0}
    (problem,) = report.problems
    assert problem.hint
    assert f"4x.tsv, line {number}" in str(problem) or not number
    assert "nothing of the file was taken" in str(problem)
    assert "192.0" not in str(problem)
    assert stored(store) == expected([(data, None) for data in good.values()], "reduced")
    assert files_below(store) == named_files(store)
    # What is whole again is taken by the next run.
    (tree / "4x.tsv").write_bytes(whole)
    assert states(taken(store, "reduced", tree)) == {"new": 1, "unchanged": 9}
    assert stored(store) == expected([(data, None) for data in (*good.values(), whole)], "reduced")
    assert_verified(store, 10)


@pytest.mark.parametrize("block", [60, 10**6])
def test_a_table_whose_tail_is_damaged_keeps_what_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    small_blocks(monkeypatch, block, 10**6)
    tree, store = write(tmp_path / "tree", {"k.tsv": binned(0, 30)}), tmp_path / "store"
    taken(store, "binned", tree)
    before = stored(store)
    write(tree, {"k.tsv": binned(0, 40) + b"2024\t1\t-\n"})
    (problem,) = taken(store, "binned", tree).problems
    assert "k.tsv, line 42" in str(problem)
    assert stored(store) == before
    write(tree, {"k.tsv": binned(0, 40)[:-1]})
    (problem,) = taken(store, "binned", tree).problems
    assert "k.tsv, line 41" in str(problem)
    assert "cut off" in str(problem)
    write(tree, {"k.tsv": binned(0, 45)})
    assert states(taken(store, "binned", tree)) == {"grown": 1}
    assert stored(store) == expected([(binned(0, 45), b"k")], "binned")


def test_copies_of_a_damaged_table_are_damaged_too(tmp_path: Path) -> None:
    bad = reduced(0, 9) + b"x\n"
    tree = write(tmp_path / "tree", {"a.tsv": bad, "b.tsv": bad, "c.tsv": reduced(0, 9)})
    report = taken(tmp_path / "store", "reduced", tree)
    assert len(report.problems) == 2
    assert report.states["new"] == 1


def test_a_table_that_changes_while_it_is_read_is_read_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tickline.pipelines.access.ingest import trees as ingest_trees

    tree, store = write(tmp_path / "tree", {"a.tsv": reduced(0, 9), "b.tsv": reduced(20, 29)}), tmp_path / "s"
    check = ingest_trees.check_unchanged

    def changing(opened: object, read: object) -> None:
        if read.task.input.name.endswith("a.tsv"):  # type: ignore[attr-defined]
            (tree / "a.tsv").write_bytes(reduced(100, 103))
        check(opened, read)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ingest_trees, "check_unchanged", changing)
        report = taken(store, "reduced", tree)
    assert report.states == {"new": 1, "failed": 1, "copy": 0}
    assert "changed while it was read" in str(report.problems[0])
    assert states(taken(store, "reduced", tree)) == {"new": 1, "unchanged": 1}


ONE = {"reduced": (REDUCED, "{}\t192.0.2.1\tk\t{}\n"), "binned": (BINNED, "{}\t{}\t192.0.2.1\n")}


@pytest.mark.parametrize("form", ONE)
def test_impossible_sums_are_refused(tmp_path: Path, form: str) -> None:
    head, row = ONE[form]
    # Each of these could be, and all together pass 64 bits.
    files = {
        f"d{n}.tsv": head + row.format(f"2024-05-01T00:{n // 60:02}:{n % 60:02}", 2**56 - n).encode()
        for n in range(300)
    }
    files["a.tsv"] = head + row.format("2024-05-01T00:00:00", 2**63).encode()
    report = taken(tmp_path / "store", form, write(tmp_path / "tree", files))
    (problem,) = report.problems
    assert "/a.tsv" in str(problem)
    assert "petabytes" in str(problem)
    assert report.rows == 300


@pytest.mark.parametrize("form", ONE)
def test_too_many_months_are_refused(tmp_path: Path, form: str) -> None:
    head, row = ONE[form]
    times = [f"{year}-{month:02}-01T00:00:00" for year in range(1800, 1901) for month in range(1, 13)]
    files = {
        "a.tsv": head + row.format(times[0], 1).encode(),
        "b.tsv": head + "".join(row.format(time, 1) for time in times).encode(),
        "c.tsv": head + row.format(times[-1], 1).encode() + row.format(times[0], 1).encode(),
    }
    report = taken(tmp_path / "store", form, write(tmp_path / "tree", files))
    (problem,) = report.problems
    assert "/b.tsv" in str(problem)
    assert "months" in str(problem)
    assert report.rows == 3


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"a.log": b"", ".hidden.tsv": reduced(0, 1), "x.txt": b""})
    report = taken(tmp_path / "store", "reduced", tree)
    assert report.left_out == {"hidden": 1, "not named like a table": 2}
    assert "no tables were found" in str(report.problems[0])


def test_what_is_no_table_is_left_out_and_counted(tmp_path: Path) -> None:
    extra = {
        "binned_log_file_paths_started.txt": b"x",
        "binned_log_file_paths_completed.txt": b"x",
        ".tickline/record": b"x",
        ".tickline/a.tsv": binned(0, 1),
        "blobs/._k.tsv": b"what macOS leaves",
    }
    tree = write(tmp_path / "tree", {"blobs/k.tsv": binned(0, 3), ".a/k.tsv": binned(3, 4), **extra})
    report = taken(tmp_path / "store", "binned", tree)
    assert report.left_out == {"hidden": 2, "not named like a table": 2}
    assert {row[1] for row in stored(tmp_path / "store")} == {"blobs/k", ".a/k"}
    part = tree / "blobs"
    with pytest.raises(UsageError, match="part of a binned tree") as refused:
        taken(tmp_path / "other", "binned", part)
    assert str(tree) in str(refused.value)
    assert not (tmp_path / "other").exists()


# ---- keys --------------------------------------------------------------------------------------------------

LIST = rb"""file	key
a~0123456789abcdef.tsv	../../etc/passwd
b.tsv	with\x09tab\\and\x0anewline
%6Eames.tsv	names
"""


def test_names_that_no_file_can_have_are_read_back(tmp_path: Path) -> None:
    files = {
        "a~0123456789abcdef.tsv": binned(0, 3), "b.tsv": binned(3, 4), "%6Eames.tsv": binned(4, 5),
        "plain%20/x.tsv": binned(5, 6),
    }  # fmt: skip
    tree, store = write(tmp_path / "tree", {**files, "names.tsv": LIST}), tmp_path / "store"
    report = taken(store, "binned", tree)
    assert states(report) == {"new": 4}
    assert report.left_out == {"names of files of the tree": 1}
    assert {row[1] for row in stored(store)} == {
        "../../etc/passwd", "with\ttab\\and\nnewline", "names", "plain%20/x",
    }  # fmt: skip
    assert_verified(store, 4)
    # The same files under other keys are other tables.
    (tree / "names.tsv").write_bytes(b"file\tkey\nb.tsv\tother\n")
    assert states(taken(store, "binned", tree)) == {"changed": 3, "unchanged": 1}
    assert {row[1] for row in stored(store)} == {
        "a~0123456789abcdef", "other", "%6Eames", "plain%20/x",
    }  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [b"file\tkey\nb.tsv\tcu", b"folder\tkey\n", b"file\tkey\na.tsv\n", b"file\tkey\na\tb\tc\n", b"\xff\n",
     b"file\tkey\na\t\xff\n"],
)  # fmt: skip
def test_a_damaged_list_of_names_stops_the_tree(tmp_path: Path, data: bytes) -> None:
    tree = write(tmp_path / "tree", {"b.tsv": binned(0, 3), "names.tsv": data})
    report = taken(tmp_path / "store", "binned", tree)
    assert "names.tsv" in str(report.problems[0])
    assert not report.rows
    assert not any(report.states.values())


def test_a_key_may_be_called_names(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"names.tsv": binned(0, 3), "a/names.tsv": binned(3, 5)})
    assert states(taken(tmp_path / "store", "binned", tree)) == {"new": 2}
    assert {row[1] for row in stored(tmp_path / "store")} == {"names", "a/names"}


def test_keys_that_are_no_text_are_noted_and_stay_apart(tmp_path: Path) -> None:
    tree, store = tmp_path / "tree", tmp_path / "store"
    tree.mkdir()
    for name in (b"a\xff.tsv", b"a\xfe.tsv"):
        Path(os.fsdecode(os.fsencode(tree) + b"/" + name)).write_bytes(binned(0, 3))
    report = taken(store, "binned", tree)
    assert states(report) == {"new": 2}
    assert report.counts["noted"] == {"invalid_utf8": 6}
    assert [row[1] for row in stored(store)] == ["a\ufffd"] * 6


def test_binned_trees_are_named_by_their_roots(tmp_path: Path) -> None:
    tree = write(tmp_path / "tree", {"k.tsv": binned(0, 3)})
    with pytest.raises(UsageError, match="is a file"):
        taken(tmp_path / "store", "binned", tree / "k.tsv")
    with pytest.raises(UsageError, match="ends in a slash"):
        taken(tmp_path / "store", "binned", "s3://bucket/prefix")
    assert states(
        taken(tmp_path / "store", "reduced", write(tmp_path, {"day.txt": reduced(0, 3)}) / "day.txt")
    )
    assert sources(tmp_path / "store") == {"live": 1}


# ---- stores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted", [WantedSettings(operations=("REST.HEAD.OBJECT",)), WantedSettings(statuses=(200, 206))]
)
def test_a_store_that_asks_what_tables_do_not_tell_refuses_them(
    tmp_path: Path, wanted: WantedSettings
) -> None:
    tree, store = write(tmp_path / "tree", {"a.tsv": reduced(0, 3)}), tmp_path / "store"
    with pytest.raises(UsageError, match="does not keep"):
        taken(store, "reduced", tree, wanted=wanted)
    assert not store.exists()
    taken(store, "log", write(tmp_path / "raw", {"a.log": b""}), wanted=wanted)
    with pytest.raises(UsageError, match="does not keep"):
        taken(store, "reduced", tree)


def test_an_unknown_form_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="log, reduced, binned"):
        IngestOptions(form="mapped")


def test_verify_finds_a_table_that_says_something_else_now(tmp_path: Path) -> None:
    tree, store = write(tmp_path / "tree", {"k.tsv": binned(0, 9)}), tmp_path / "store"
    taken(store, "binned", tree)
    table = tree / "k.tsv"
    before = table.stat()
    table.write_bytes(binned(0, 9).replace(b"\t49\t", b"\t48\t"))
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    with StoreFolder.open(store) as folder:
        (found,) = verify(folder).found
    assert (found.what, found.where) == ("source", str(table))
    assert "content is not the one" in found.text


def test_verify_finds_rows_that_were_read_wrongly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree, store = write(tmp_path / "tree", {"k.tsv": binned(0, 9)}), tmp_path / "store"
    with monkeypatch.context() as patch:
        patch.setattr(tree_reader._Fields, "numbers", lambda *_: np.arange(9, dtype=np.uint64) * 7 // 8 * 8)
        taken(store, "binned", tree)
    with StoreFolder.open(store) as folder:
        found = verify(folder).found
    wrong = [n for n in range(9) if 7 * n % 8]
    assert [one.text for one in found] == [f"line {n + 2}: the row differs in bytes_sent" for n in wrong]


SCRIPT = """
import json, sys
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions
report = ingest(sys.argv[1], [sys.argv[2]], IngestOptions(form=sys.argv[3], threads=2))
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps({"peak": peak, "rows": report.rows, "problems": [str(one) for one in report.problems]}))
"""


def _many_rows(tree: Path) -> int:
    with gzip.open(tree / "a.tsv", "wb", compresslevel=1) as file:
        file.write(BINNED)
        for begin in range(0, 3_000_000, 50_000):
            file.write(b"".join(b"2024-05-01T00:00:00\t%d\t198.51.%d.%d\n" % (n, n >> 8 & 255, n & 255)
                                for n in range(begin, begin + 50_000)))  # fmt: skip
    return 3_000_000


def _endless_line(tree: Path) -> int:
    with gzip.open(tree / "a.tsv", "wb", compresslevel=1) as file:
        file.write(BINNED)
        for _ in range(600):
            file.write(bytes(10**6))
    return 0


def _garbage(tree: Path) -> int:
    with (tree / "a.tsv").open("wb") as file:
        file.write(BINNED)
        for _ in range(150):
            file.write(b"\t\t\n" * 300_000)
    return 0


@pytest.mark.parametrize("make", [_many_rows, _endless_line, _garbage])
def test_memory_is_bounded(tmp_path: Path, make: Callable[[Path], int]) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    count = make(tree)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "store"), str(tree), "binned"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == count
    assert bool(found["problems"]) == (not count)
    assert found["peak"] < 500 * 10**6, f"{found['peak'] / 1e6:.0f} MB"
