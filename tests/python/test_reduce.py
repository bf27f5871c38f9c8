"""`reduce`: mirrored trees, formats, names, state, and bytes that depend on input and options alone."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
import zstandard

from python.access_support import GET, HEADER, line, log, options, row, rows, tree
from tickline.errors import TicklineError, UsageError
from tickline.filters import AccessRules
from tickline.pipelines.access.reduce import work
from tickline.pipelines.access.reduce.reduce import Report, reduce

OBJECT = "2024-05-01-00-12-33-0123456789ABCDEF"


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def states(report: Report) -> dict[str, str]:
    return {output["source"]: output["state"] for output in report.outputs}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    put(folder / "2024/05/01.log", log(0, 50))
    put(folder / "2024/05/02.log.gz", gzip.compress(log(50, 80)))
    put(folder / "2024/05/03.log.zst", zstandard.ZstdCompressor().compress(log(80, 90)))
    put(folder / f"objects/{OBJECT}", log(90, 95))
    put(folder / "truth.json", b"{}")
    return folder


def test_one_output_per_input_in_a_mirrored_tree(raw: Path, tmp_path: Path) -> None:
    report = reduce(options(raw, tmp_path / "out"))
    assert report.problems == []
    assert tree(tmp_path / "out", state=False) == {
        "2024/05/01.tsv": HEADER + rows(0, 50),
        "2024/05/02.tsv": HEADER + rows(50, 80),
        "2024/05/03.tsv": HEADER + rows(80, 90),
        f"objects/{OBJECT}.tsv": HEADER + rows(90, 95),
    }
    assert [source["path"] for source in report.accounting["sources"]] == [
        "2024/05/01.log",
        "2024/05/02.log.gz",
        "2024/05/03.log.zst",
        f"objects/{OBJECT}",
    ]
    assert report.accounting["total"]["lines"] == report.accounting["total"]["accepted"] == 95
    assert report.left_out == {"truth.json": 1}


def test_nothing_hidden_is_left_but_the_state(raw: Path, tmp_path: Path) -> None:
    reduce(
        options(raw, tmp_path / "out", rejects=str(tmp_path / "r.tsv"), accounting=str(tmp_path / "a.json"))
    )
    hidden = [path.name for path in tmp_path.rglob(".*")]
    assert hidden == [".tickline"]
    assert sorted(path.name for path in (tmp_path / "out/.tickline").iterdir()) == ["lock", "reduce.json"]


def test_a_single_log_goes_into_a_folder_or_a_file(tmp_path: Path) -> None:
    source = put(tmp_path / "2024/05/01.log", log(0, 5))
    reduce(options(source, tmp_path / "folder"))
    reduce(options(source, tmp_path / "file.tsv"))
    assert (tmp_path / "folder/01.tsv").read_bytes() == HEADER + rows(0, 5)
    assert (tmp_path / "file.tsv").read_bytes() == HEADER + rows(0, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2024", "file.tsv", "folder"]


def test_filters_drop_lines_by_reason_and_keep_the_rest(tmp_path: Path) -> None:
    data = [line(0), line(1, operation="REST.PUT.OBJECT"), line(2, status="404"), "", line(4, size="-")]
    put(tmp_path / "raw/a.log", "\n".join(data).encode())
    report = reduce(options(tmp_path / "raw", tmp_path / "out"))
    total = report.accounting["total"]
    assert (total["lines"], total["accepted"]) == (5, 2)
    assert total["filtered"] == {"blank": 1, "operation": 1, "status": 1}
    last = row(4).replace(b"\t28\n", b"\t0\n")
    assert (tmp_path / "out/a.tsv").read_bytes() == HEADER + row(0) + last


def test_strict_writes_nothing_where_nothing_is_kept_and_fixed_a_header(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", line(1, status="404").encode())
    put(tmp_path / "raw/b.log", log(0, 1))
    strict = AccessRules.from_texts(operation="REST.GET.OBJECT", status="2xx", strict=True)
    reduce(options(tmp_path / "raw", tmp_path / "fixed"))
    reduce(options(tmp_path / "raw", tmp_path / "strict", rules=strict))
    assert tree(tmp_path / "fixed", state=False) == {"a.tsv": HEADER, "b.tsv": HEADER + row(0)}
    assert tree(tmp_path / "strict", state=False) == {"a.tsv": b"", "b.tsv": HEADER + row(0)}


def test_strict_drops_a_row_with_an_extra_blank_before_the_requester_and_fixed_keeps_it(
    tmp_path: Path,
) -> None:
    put(tmp_path / "raw/a.log", line(1).replace(" - REQUEST", "  arn:aws:iam::1:user/x REQUEST").encode())
    strict = AccessRules.from_texts(operation="REST.GET.OBJECT", status="2xx", strict=True)
    reduce(options(tmp_path / "raw", tmp_path / "fixed"))
    report = reduce(options(tmp_path / "raw", tmp_path / "strict", rules=strict))
    assert (tmp_path / "fixed/a.tsv").read_bytes() == HEADER + row(1)
    assert (tmp_path / "strict/a.tsv").read_bytes() == b""
    assert report.accounting["total"]["filtered"] == {"strict": 1}


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(3, 4))
    reduce(
        options(tmp_path / "raw", tmp_path / "out", columns=("http_status", "key", "referrer", "bytes_sent"))
    )
    expected = b"http_status\tkey\treferrer\tbytes_sent\n200\tblobs/003/000003\t-\t21\n"
    assert (tmp_path / "out/a.tsv").read_bytes() == expected


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut files into many pieces without making them large."""
    monkeypatch.setattr(work, "PIECE_BYTES", 10_007)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("format_name", ["tsv", "parquet"])
def test_threads_and_memory_do_not_show_in_the_output(tmp_path: Path, format_name: str) -> None:
    bad = b"one bad line\n" * 3
    put(tmp_path / "raw/big.log", log(0, 700) + bad + log(700, 1400) + bad + line(1400).encode())
    put(tmp_path / "raw/small.log", log(0, 3))
    put(tmp_path / "raw/packed.log.gz", gzip.compress(log(0, 900)))
    seen = set()
    for threads, memory in ((1, 150), (2, 300), (8, 1000)):
        out, found = tmp_path / f"out{threads}", tmp_path / f"rejects{threads}.tsv"
        reduce(options(tmp_path / "raw", out, format=format_name, threads=threads,
                       memory_bytes=memory * 10**6, rejects=str(found)))  # fmt: skip
        seen.add(json.dumps({name: data.hex() for name, data in tree(out).items()}) + found.read_text())
    assert len(seen) == 1
    if format_name == "tsv":
        assert (tmp_path / "out8/big.tsv").read_bytes() == HEADER + rows(0, 1401)
    listed = (tmp_path / "rejects8.tsv").read_text().splitlines()[1:]
    lines = [int(text.split("\t")[1]) for text in listed if text.startswith("big.log")]
    assert lines == [701, 702, 703, 1404, 1405, 1406]
    offsets = [int(text.split("\t")[2]) for text in listed if text.startswith("big.log")]
    whole = (tmp_path / "raw/big.log").read_bytes()
    assert all(whole[offset:].startswith(b"one bad line\n") for offset in offsets)


@pytest.mark.usefixtures("small_pieces")
def test_lines_longer_than_a_piece_are_read_once(tmp_path: Path) -> None:
    long_key = "k" * 35_000
    data = log(0, 30) + line(30, key=long_key).encode() + b"\n" + log(31, 60)
    put(tmp_path / "raw/a.log", data)
    report = reduce(options(tmp_path / "raw", tmp_path / "out", threads=3))
    assert report.accounting["total"]["accepted"] == 60
    assert report.accounting["total"]["bytes"] == len(data)
    middle = row(30).replace(b"blobs/01e/000030", long_key.encode())
    assert (tmp_path / "out/a.tsv").read_bytes() == HEADER + rows(0, 30) + middle + rows(31, 60)


def test_parquet_holds_the_rows_with_their_types(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    put(tmp_path / "raw/a.log", log(0, 40) + line(40, size="-").encode())
    put(tmp_path / "raw/none.log", b"")
    reduce(options(tmp_path / "raw", tmp_path / "out", format="parquet"))
    table = parquet.read_table(tmp_path / "out/a.parquet")
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("time", "timestamp[ms, tz=UTC]"),
        ("remote_ip", "string"),
        ("key", "string"),
        ("bytes_sent", "uint64"),
    ]
    assert table.column("bytes_sent").to_pylist() == [number * 7 for number in range(40)] + [None]
    assert parquet.read_table(tmp_path / "out/none.parquet").schema.names == table.schema.names


def test_row_groups_of_parquet_have_a_fixed_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("tickline.pipelines.access.reduce.output._ROWS_PER_GROUP", 100)
    monkeypatch.setattr(work, "PIECE_BYTES", 10_007)
    put(tmp_path / "raw/a.log", log(0, 450))
    put(tmp_path / "raw/b.log.gz", gzip.compress(log(0, 450)))
    reduce(options(tmp_path / "raw", tmp_path / "out", format="parquet"))
    for name in ("a", "b"):
        file = parquet.ParquetFile(tmp_path / f"out/{name}.parquet")
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        assert sizes == [100, 100, 100, 100, 50]
        assert file.read().column("bytes_sent").to_pylist() == [number * 7 for number in range(450)]


def test_the_same_content_beside_its_compressed_copy_is_taken_once(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(0, 5))
    put(tmp_path / "raw/a.log.gz", gzip.compress(log(0, 5)))
    put(tmp_path / "raw/a.log.zst", zstandard.ZstdCompressor().compress(log(0, 5)))
    report = reduce(options(tmp_path / "raw", tmp_path / "out"))
    assert tree(tmp_path / "out", state=False) == {"a.tsv": HEADER + rows(0, 5)}
    assert report.same_as == {"a.log.gz": "a.log", "a.log.zst": "a.log"}
    assert report.accounting["total"]["lines"] == 5


def test_different_contents_of_one_name_keep_their_full_names(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(0, 5))
    put(tmp_path / "raw/a.log.gz", gzip.compress(log(5, 9)))
    put(tmp_path / "raw/a.log.log", log(9, 10))
    reduce(options(tmp_path / "raw", tmp_path / "out"))
    assert tree(tmp_path / "out", state=False) == {
        "a.log.tsv": HEADER + rows(0, 5),
        "a.log.gz.tsv": HEADER + rows(5, 9),
        "a.log.log.tsv": HEADER + rows(9, 10),
    }


def test_an_output_that_gets_another_name_leaves_no_old_one_behind(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(0, 5))
    reduce(options(tmp_path / "raw", tmp_path / "out"))
    put(tmp_path / "raw/a.log.gz", gzip.compress(log(5, 9)))
    reduce(options(tmp_path / "raw", tmp_path / "out"))
    assert sorted(tree(tmp_path / "out", state=False)) == ["a.log.gz.tsv", "a.log.tsv"]


@pytest.mark.parametrize(
    "name",
    ["two words.log", "ends\n.log", "tab\there.log", "öä€🙂.log", "-n.log", "'\"$(x).log", "caf\udce9.log"],
)
def test_hostile_names_are_only_names(tmp_path: Path, name: str) -> None:
    put(tmp_path / "raw" / name, log(0, 2) + b"bad\n")
    report = reduce(
        options(
            tmp_path / "raw",
            tmp_path / "out",
            rejects=str(tmp_path / "r.tsv"),
            accounting=str(tmp_path / "a"),
        )
    )
    assert report.problems == []
    assert (tmp_path / "out" / (name[:-4] + ".tsv")).read_bytes() == HEADER + rows(0, 2)
    assert json.loads((tmp_path / "a").read_bytes())["sources"][0]["path"] == name
    listed = (tmp_path / "r.tsv").read_bytes().split(b"\n")
    assert len(listed) == 3
    assert len(listed[1].split(b"\t")) == 5
    assert states(reduce(options(tmp_path / "raw", tmp_path / "out"))) == {name: "kept"}


def test_a_second_run_reads_nothing_and_changes_nothing(raw: Path, tmp_path: Path) -> None:
    first = reduce(options(raw, tmp_path / "out", accounting=str(tmp_path / "1.json")))
    before = tree(tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.tsv")}
    second = reduce(options(raw, tmp_path / "out", accounting=str(tmp_path / "2.json")))
    assert set(states(first).values()) == {"made"}
    assert set(states(second).values()) == {"kept"}
    assert second.bytes_read == 0
    assert tree(tmp_path / "out") == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_a_source_is_made_again_when_size_time_options_or_output_changed(raw: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    reduce(options(raw, out))
    made = dict.fromkeys(states(reduce(options(raw, out, force=True))), "made")
    assert states(reduce(options(raw, out))) == dict.fromkeys(made, "kept")

    put(raw / "2024/05/01.log", log(0, 51))
    assert states(reduce(options(raw, out)))["2024/05/01.log"] == "made"
    assert (out / "2024/05/01.tsv").read_bytes() == HEADER + rows(0, 51)

    os.utime(raw / f"objects/{OBJECT}", ns=(1, 1))
    assert states(reduce(options(raw, out)))[f"objects/{OBJECT}"] == "made"

    (out / "2024/05/02.tsv").unlink()
    assert states(reduce(options(raw, out)))["2024/05/02.log.gz"] == "made"

    rules = AccessRules.from_texts(operation="REST.GET.OBJECT", status="304")
    assert states(reduce(options(raw, out, rules=rules))) == made
    assert (out / "2024/05/02.tsv").read_bytes() == HEADER
    assert states(reduce(options(raw, out, rules=rules, threads=3, memory_bytes=10**9))) == dict.fromkeys(
        made, "kept"
    )


def test_sources_with_rejects_are_read_again_when_the_list_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path / "raw/bad.log", log(0, 2) + b"bad\n")
    put(tmp_path / "raw/good.log", log(0, 2))
    reduce(options(tmp_path / "raw", tmp_path / "out"))
    report = reduce(options(tmp_path / "raw", tmp_path / "out", rejects=str(tmp_path / "r.tsv")))
    assert states(report) == {"bad.log": "made", "good.log": "kept"}
    assert len((tmp_path / "r.tsv").read_text().splitlines()) == 2


def test_vanished_sources_are_reported_and_their_outputs_left(raw: Path, tmp_path: Path) -> None:
    reduce(options(raw, tmp_path / "out"))
    (raw / "2024/05/01.log").unlink()
    report = reduce(options(raw, tmp_path / "out"))
    assert any("2024/05/01.log" in note for note in report.notes)
    assert report.problems == []
    assert (tmp_path / "out/2024/05/01.tsv").exists()


def test_out_inside_raw_is_not_read_again(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(0, 2))
    put(tmp_path / "raw/out/old.log", log(2, 4))
    for _ in range(2):
        report = reduce(options(tmp_path / "raw", tmp_path / "raw/out"))
        assert list(states(report)) == ["a.log"]


def test_limit_files_takes_the_first_by_name(tmp_path: Path) -> None:
    for day in (2, 10, 9):
        put(tmp_path / f"raw/{day}.log", log(day, day + 1))
    report = reduce(options(tmp_path / "raw", tmp_path / "out", limit_files=2))
    assert list(states(report)) == ["2.log", "9.log"]


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(raw: Path, tmp_path: Path) -> None:
    report = reduce(options(raw, tmp_path / "out", dry_run=True, accounting=str(tmp_path / "a.json")))
    assert set(states(report).values()) == {"to be made"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_the_state_holds_no_times_of_the_run_and_is_sorted(raw: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        reduce(options(raw, tmp_path / name, threads=2))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    record = json.loads((tmp_path / "one/.tickline/reduce.json").read_bytes())
    assert list(record["sources"]) == sorted(record["sources"])
    assert record["sources"]["2024/05/01.log"]["accounting"]["lines"] == 50


def test_left_over_temporary_files_are_taken_away(raw: Path, tmp_path: Path) -> None:
    put(tmp_path / "out/2024/.tickline-tmp-0123456789abcdef", b"half")
    reduce(options(raw, tmp_path / "out"))
    assert not list((tmp_path / "out").rglob(".tickline-tmp-*"))


def test_accounting_is_the_promised_shape(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(0, 3) + b"bad\n\n")
    reduce(options(tmp_path / "raw", tmp_path / "out", accounting=str(tmp_path / "acc.json")))
    found = json.loads((tmp_path / "acc.json").read_bytes())
    counts = {
        "lines": 5,
        "bytes": len(log(0, 3)) + 5,
        "accepted": 3,
        "filtered": {"blank": 1},
        "rejected": {"cut": 1},
        "noted": {},
    }
    assert found == {"sources": [{"path": "a.log", **counts}], "total": counts}


def test_max_rejects_turns_rejected_lines_into_a_problem(tmp_path: Path) -> None:
    put(tmp_path / "raw/a.log", log(0, 98) + b"bad\nbad\n")
    for limit, fails in (
        ((2.0, False), False),
        ((1.0, False), True),
        ((2.0, True), False),
        ((1.9, True), True),
    ):
        report = reduce(options(tmp_path / "raw", tmp_path / "out", max_rejects=limit))
        assert bool(report.problems) == fails


def test_a_source_in_which_every_line_is_rejected_is_pointed_out(tmp_path: Path) -> None:
    put(tmp_path / "raw/picture.log", bytes(range(256)) * 100)
    report = reduce(options(tmp_path / "raw", tmp_path / "out"))
    assert report.problems == []
    assert any("picture.log" in note for note in report.notes)
    assert (tmp_path / "out/picture.tsv").read_bytes() == HEADER


def test_two_runs_at_once_on_one_folder_are_refused(raw: Path, tmp_path: Path) -> None:
    from tickline.pipelines.access.state import lock

    held = lock(tmp_path / "out")
    try:
        with pytest.raises(TicklineError, match="another run"):
            reduce(options(raw, tmp_path / "out"))
    finally:
        os.close(held)
    assert reduce(options(raw, tmp_path / "out")).problems == []


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    strict = AccessRules.from_texts(strict=True)
    for wrong in (
        {"format": "csv"},
        {"columns": ("nope",)},
        {"rules": strict, "format": "parquet"},
        {"rules": strict, "columns": ("key",)},
        {"threads": 0},
        {"limit_files": 0},
        {"with_text": True},
    ):
        with pytest.raises(UsageError):
            options("raw", tmp_path / "out", **wrong)
    assert options("raw", "out").rules == GET
