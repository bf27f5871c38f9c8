"""The native export: the same bytes for the same store, files that stay as they are, hostile names."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from python.summaries_support import (
    DAY_MS,
    MAY,
    add,
    as_dict,
    draw_rows,
    files_of,
    labels_of,
    open_store,
    replace_files,
    write_catalog,
)
from reference.access_summaries_reference import (
    ARCHIVE_TABLES,
    DATASET_TABLES,
    MEASURES,
    Entry,
    Row,
    requesters_of,
    summaries,
    totals,
)
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.export import files as export_files
from tickline.pipelines.access.export.native import export_native
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.record import ExportReport, check_out
from tickline.pipelines.access.state import lock
from tickline.pipelines.access.summaries import frames as summary_frames
from tickline.pipelines.access.summaries import tables as summary_tables
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import summarize
from tickline.store.folder import StoreFolder

ENTRIES = [
    Entry("blobs/", "000001", "", "root/"),
    Entry("003", "000002", "1", "x\ty.nwb"),
    Entry("zarr/*", "000003", "", "z.zarr"),
    Entry("zarr/*", "../up", "", "z.zarr"),
]
# Rows of a TSV cannot hold a tab, so the catalog of the tests with one is JSON.


def _catalog(folder: Path) -> Path:
    content: dict[str, dict[str, str]] = {}
    for entry in ENTRIES:
        content.setdefault(entry.key, {})[entry.dataset] = entry.path
    path = folder / "catalog.json"
    path.write_text(json.dumps(content))
    return path


def _export(store: StoreFolder, out: Path, **options: Any) -> ExportReport:
    chosen = SummaryOptions(**options)
    return export_native(store, summarize(store, chosen), ExportOptions(chosen), out)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _escape(text: object) -> str:
    return "".join(f"%{ord(char):02X}" if ord(char) < 32 or ord(char) == 127 else char for char in str(text))


@pytest.mark.parametrize("shared_content", ["all", "split"])
def test_files_hold_what_the_reference_says(tmp_path: Path, shared_content: str) -> None:
    rows = draw_rows(300)
    options = {"catalog": _catalog(tmp_path), "shared_content": shared_content}
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        report = _export(store, tmp_path / "out", **options)
    datasets, archive = summaries(rows, ENTRIES, labels_of(rows), shared_content)
    people, everybody = requesters_of(rows, ENTRIES, shared_content)
    assert _json(tmp_path / "out/totals.json") == {
        "datasets": {name: totals(tables, len(people[name])) for name, tables in datasets.items()},
        "archive": totals(archive, len(everybody)),
    }
    names = dict(line.split("\t") for line in (tmp_path / "out/names.tsv").read_text().splitlines()[1:])
    assert names == {"000001": "000001", "000002": "000002", "000003": "000003", "%2E.%2Fup": "../up"} | {
        "undetermined": "undetermined"
    }
    expected = {"totals.json", "provenance.json", "names.tsv"}
    for folder, tables in [("archive", archive), *((place, datasets[name]) for place, name in names.items())]:
        for name in ARCHIVE_TABLES if folder == "archive" else DATASET_TABLES:
            place = f"summaries/{folder}/{name}"
            expected |= {f"{place}.parquet", f"{place}.tsv"}
            table = pq.read_table(tmp_path / f"out/{place}.parquet")
            assert list(as_dict(table).items()) == list(tables[name].items())
            assert set(table.schema.types[-4:]) == {pa.uint64()}
            assert table.schema.types[0] == (
                pa.date32() if "date" in table.column_names[0] or "week" in name else pa.string()
            )
            lines = (tmp_path / f"out/{place}.tsv").read_bytes().decode().split("\n")
            assert lines[0].split("\t") == table.column_names
            assert lines[1:] == [
                "\t".join(map(_escape, (*about, *numbers))) for about, numbers in tables[name].items()
            ] + [""]
    assert set(files_of(tmp_path / "out")) == expected == set(report.written)


def test_provenance_tells_what_went_in_and_nothing_of_this_machine(tmp_path: Path) -> None:
    rows = draw_rows(100)
    catalog = _catalog(tmp_path)
    with open_store(tmp_path / "store") as store:
        add(store, rows[:50])
        add(store, rows[50:])
        _export(store, tmp_path / "out", catalog=catalog, restrict_to=("000001",))
        settings = store.settings
    found = _json(tmp_path / "out/provenance.json")
    assert sorted(found) == sorted(
        ["accounting", "catalog", "exclude_datasets", "format", "forms", "privacy", "region_order", "regions"]
        + ["restrict_to", "shared_content", "sources", "store", "tickline", "undetermined"]
    )
    assert found["catalog"]["entries"] == 4
    assert found["restrict_to"] == ["000001"]
    assert len(found["sources"]) == 2
    assert found["sources"] == sorted(found["sources"])
    counts = found["accounting"]
    assert (
        counts["lines"]
        == counts["accepted"] + counts["filtered"]["status"] + counts["rejected"]["truncated"]
        == 104
    )
    datasets, _ = summaries(rows, ENTRIES, labels_of(rows), "all")
    own = datasets["undetermined"]["by_asset"]
    assert found["undetermined"] == {
        "keys": len(own) - (("-",) in own),
        "bytes_sent": sum(numbers[0] for numbers in own.values()),
        "number_of_requests": sum(numbers[1] for numbers in own.values()),
    }
    text = (tmp_path / "out/provenance.json").read_text()
    for secret in (str(tmp_path), settings.store_id, settings.pseudonym_key_id, os.uname().nodename):
        assert secret not in text


def test_the_same_bytes_whatever_the_history(tmp_path: Path) -> None:
    rows = draw_rows(400, days=40)
    outs = []
    for number, cuts in enumerate([[0, 400], [0, 100, 200, 300, 400], [0, 7, 399, 400]]):
        with open_store(tmp_path / f"store{number}") as store:
            out = tmp_path / f"out{number}"
            runs = [rows[begin:end] for begin, end in itertools.pairwise(cuts)]
            for run in runs if number != 1 else reversed(runs):
                add(store, run)
                if number:
                    _export(store, out)
            if number == 2:
                replace_files(store, rows, epoch=True)
            _export(store, out)
            outs.append(dict(files_of(out)))
    for out_files in outs:
        provenance = json.loads(out_files.pop("provenance.json"))
        assert provenance["accounting"]["accepted"] == 400
    assert outs[0] == outs[1] == outs[2]


def test_the_bytes_do_not_depend_on_how_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(500, days=60))
        _export(store, tmp_path / "out1")
        monkeypatch.setattr(summary_tables, "_ROWS_AT_A_TIME", 30)
        _export(store, tmp_path / "out2")
        assert files_of(tmp_path / "out1") == files_of(tmp_path / "out2")
        # Row groups are cut at fixed rows, wherever weeks end.
        monkeypatch.setattr(export_files, "_ROWS_PER_GROUP", 50)
        _export(store, tmp_path / "out3")
        monkeypatch.setattr(summary_tables, "_ROWS_AT_A_TIME", 2**21)
        _export(store, tmp_path / "out4")
        assert files_of(tmp_path / "out3") == files_of(tmp_path / "out4")
        groups = pq.ParquetFile(tmp_path / "out3/summaries/blobs/by_week_asset.parquet")
        with groups:
            counts = [groups.metadata.row_group(at).num_rows for at in range(groups.num_row_groups)]
        assert set(counts[:-1]) == {50}


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = [Row(MAY + day * DAY_MS, f"{name}/k", "p", 5, 200) for name in "abc" for day in range(9)]
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        first = _export(store, out)
        assert (len(first.written), first.unchanged, first.removed) == (3 * 10 + 8 + 3, [], [])
        before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
        again = _export(store, out)
        assert (again.written, len(again.unchanged), again.removed) == ([], 41, [])
        assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
        add(store, [Row(MAY + DAY_MS, "b/k", "q", 5, 206)])
        third = _export(store, out)
        changed = {name for name in third.written if "/b/" not in name}
        assert changed == {"totals.json", "provenance.json"} | {
            f"summaries/archive/{name}.{form}" for name in ARCHIVE_TABLES for form in ("parquet", "tsv")
        }
        assert len(third.written) + len(third.unchanged) == 41


def test_an_untouched_dataset_is_not_even_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = summary_tables.Summaries.frames

    def frames(self: Any, datasets: Any) -> Any:
        seen.append(list(datasets))
        return real(self, datasets)

    monkeypatch.setattr(summary_tables.Summaries, "frames", frames)
    with open_store(tmp_path / "store") as store:
        add(store, [Row(MAY, f"{name}/k", "p", 5, 200) for name in "abc"])
        _export(store, tmp_path / "out")
        add(store, [Row(MAY, "b/k", "p", 5, 200)])
        _export(store, tmp_path / "out")
        # What somebody else changed, moved or removed is put right.
        (tmp_path / "out/summaries/c/by_day.tsv").write_text("mine")
        (tmp_path / "out/summaries/a/by_day.parquet").unlink()
        report = _export(store, tmp_path / "out")
        assert sorted(report.written) == ["summaries/a/by_day.parquet", "summaries/c/by_day.tsv"]
    assert seen == [["a", "b", "c"], ["b"], ["a", "c"]]


def test_files_of_datasets_that_are_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = [Row(MAY, f"{name}/k", "p", 5, 200) for name in ("a", "b", "Data")]
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, out)
        (out / "summaries/a/notes.txt").write_text("mine")
        (out / "mine.txt").write_text("mine")
        # A twin takes the plain name away from a dataset.
        add(store, [Row(MAY, "data/k", "p", 5, 200)])
        report = _export(store, out)
        assert sorted({name.split("/")[1] for name in report.removed}) == ["Data"]
        assert not (out / "summaries/Data").exists()
        replace_files(store, rows[1:2], epoch=True)
        report = _export(store, out)
        assert len(report.removed) == 30
        assert sorted(path.name for path in (out / "summaries").iterdir()) == ["a", "archive", "b"]
        assert [path.name for path in (out / "summaries/a").iterdir()] == ["notes.txt"]
        assert (out / "mine.txt").read_text() == "mine"


def test_one_dataset_alone_has_the_totals_it_has_among_all(tmp_path: Path) -> None:
    rows = draw_rows(200)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, tmp_path / "all")
        _export(store, tmp_path / "one", restrict_to=("zarr",))
        _export(store, tmp_path / "rest", exclude_datasets=("zarr",))
        whole, one, rest = (_json(tmp_path / name / "totals.json") for name in ("all", "one", "rest"))
        assert one["datasets"] == {"zarr": whole["datasets"]["zarr"]}
        assert one["datasets"] | rest["datasets"] == whole["datasets"]
        assert one["archive"] == rest["archive"] == whole["archive"]
        everything = files_of(tmp_path / "all")
        for name, data in files_of(tmp_path / "one").items():
            assert data == everything[name] or name in ("totals.json", "provenance.json")
        assert {path.name for path in (tmp_path / "one/summaries").iterdir()} == {"zarr", "archive"}
        # What an earlier run wrote for others stays, and is still known.
        add(store, draw_rows(50, seed=1))
        before = files_of(tmp_path / "all")
        report = _export(store, tmp_path / "all", restrict_to=("zarr",))
        assert report.removed == []
        after = files_of(tmp_path / "all")
        assert {name for name in before if before[name] != after[name]} == set(report.written)
        assert not any("/blobs/" in name for name in report.written)
        _export(store, tmp_path / "all")
        _export(store, tmp_path / "fresh")
        assert files_of(tmp_path / "all") == files_of(tmp_path / "fresh")


@pytest.mark.parametrize("option", ["restrict_to", "exclude_datasets"])
def test_a_dataset_that_does_not_exist_is_refused_with_close_names(tmp_path: Path, option: str) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, [Row(MAY, f"{name}/k", "p", 5, 200) for name in ("000108", "000018", "zzz")])
        with pytest.raises(UsageError, match=r"there is no dataset '00108'. Close to it: 000108"):
            _export(store, tmp_path / "out", **{option: ("00108",)})
    assert not (tmp_path / "out").exists()


HOSTILE = [
    "..",
    "",
    ".",
    "archive",
    "Archive",
    "A",
    "a",
    "x" * 300,
    "\x1b[31m",
    "a b",
    "50%",
    "~",
    "é",
    "é\u0301",
    "tail.",
]


def test_hostile_names_stay_inside_and_apart(tmp_path: Path) -> None:
    out = tmp_path / "deep/er/out"
    rows = [
        Row(MAY, f"{name.replace('%', '%25')}/../../{number}\x01.nwb", "p", number, 200)
        for number, name in enumerate(HOSTILE)
    ]
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, out)
    assert {path.name for path in tmp_path.iterdir()} == {"deep", "store"}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["er"]
    rows_of_names = [row.split("\t") for row in (out / "names.tsv").read_text().split("\n")[1:-1]]
    place_of = {name: place for place, name in rows_of_names}
    places = {name: place_of[name.replace("\x1b", "%1B")] for name in HOSTILE}
    folders = sorted(path.name for path in (out / "summaries").iterdir())
    assert folders == sorted([*places.values(), "archive"])
    assert len({name.lower() for name in folders}) == len(HOSTILE) + 1
    for number, name in enumerate(HOSTILE):
        lines = (out / "summaries" / places[name] / "by_asset.tsv").read_bytes().split(b"\n")
        assert lines[1] == f"../../{number}%01.nwb\t{number}\t1\t1\t1".encode()
    names = (out / "names.tsv").read_bytes().decode().split("\n")
    assert len(names) == len(HOSTILE) + 2
    assert all(line.count("\t") == 1 for line in names[:-1])
    assert set(_json(out / "totals.json")["datasets"]) == set(HOSTILE)


def test_control_bytes_of_tsv_are_escaped_and_nothing_else(tmp_path: Path) -> None:
    texts = ["a", 'q"uote', "tab\t", "nl\n", "cr\r", "nul\0", "del\x7f", "%41", "ü", "\x85"]
    table = pa.table({"text": pa.array(texts), "number": pa.array(range(len(texts)), pa.uint64())})
    for chunks in (table, pa.concat_tables([table.slice(0, 3), table.slice(3)]), table.slice(2, 5)):
        written = b"".join(map(bytes, export_files.tsv_rows(chunks))).decode()
        assert written == "".join(f"{_escape(row['text'])}\t{row['number']}\n" for row in chunks.to_pylist())


def test_an_empty_store_gives_an_export_without_datasets(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        _export(store, tmp_path / "out")
    assert _json(tmp_path / "out/totals.json")["datasets"] == {}
    assert (tmp_path / "out/summaries/archive/by_day.tsv").read_text().split("\t") == [
        "date",
        *MEASURES[:-1],
    ] + [MEASURES[-1] + "\n"]


# ---- places, locks, kills ------------------------------------------------------------------------


def test_the_store_and_the_logs_are_no_place_for_an_export(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        for out in (tmp_path / "store", tmp_path / "store/out", tmp_path / "x/../store/parts"):
            with pytest.raises(UsageError, match="within the store"):
                _export(store, out)
        (tmp_path / "link").symlink_to(tmp_path / "store")
        with pytest.raises(UsageError, match="within the store"):
            _export(store, tmp_path / "link")
    raw = tmp_path / "raw"
    for out in (raw, raw / "out"):
        with pytest.raises(UsageError, match="logs"):
            check_out(out, tmp_path / "store", raw)
    # Who publishes the folder would publish the key of the pseudonyms.
    with pytest.raises(UsageError, match="store lies within"):
        check_out(tmp_path, tmp_path / "store", raw)
    check_out(tmp_path / "out", tmp_path / "store", raw)


def test_summaries_from_before_a_source_was_replaced_are_refused(tmp_path: Path) -> None:
    rows = draw_rows(50)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        found = summarize(store, SummaryOptions())
        replace_files(store, rows[:20], epoch=True)
        with pytest.raises(TicklineError, match="sources were replaced"):
            export_native(store, found, ExportOptions(SummaryOptions()), tmp_path / "out")


def test_two_exports_at_once_get_a_sentence(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        descriptor = lock(tmp_path / "out")
        try:
            with pytest.raises(TicklineError, match="another run is writing into this folder"):
                _export(store, tmp_path / "out")
        finally:
            os.close(descriptor)
        _export(store, tmp_path / "out")


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "complete": true, "files": 3, "versions": {}}'],
)
def test_a_damaged_record_costs_a_comparison_only(tmp_path: Path, record: bytes) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50))
        first = _export(store, tmp_path / "out")
        (tmp_path / "out/.tickline/export.json").write_bytes(record)
        again = _export(store, tmp_path / "out")
        assert again.written == []
        assert sorted(again.unchanged) == sorted(first.written)


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        (tmp_path / "out/.tickline").mkdir(parents=True)
        (tmp_path / "out/.tickline/export.json").write_text('{"format": 2}')
        with pytest.raises(TicklineError, match="newer version"):
            _export(store, tmp_path / "out")


def test_records_that_point_elsewhere_are_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50))
        for name in ("../victim", str(victim), "summaries/../../victim"):
            entry = {"dataset": "=gone", "size": 4, "mtime_ns": 0, "hash": "x"}
            record = {"format": 1, "complete": True, "files": {name: entry}, "versions": {}}
            (tmp_path / "out/.tickline").mkdir(parents=True, exist_ok=True)
            (tmp_path / "out/.tickline/export.json").write_text(json.dumps(record))
            _export(store, tmp_path / "out")
    assert victim.read_text() == "mine"


def test_damage_to_the_cache_during_an_export_is_made_good(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(300, days=30))
        options = SummaryOptions(catalog=_catalog(tmp_path))
        export_native(store, summarize(store, options), ExportOptions(options), tmp_path / "whole")
        for kind in ("week-", "assets-", "totals-"):
            found = summarize(store, options)
            path = sorted((tmp_path / "store/cache").rglob(f"{kind}*"))[-1]
            data = path.read_bytes()
            path.write_bytes(data[:70] + bytes([data[70] ^ 1]) + data[71:])
            export_native(store, found, ExportOptions(options), tmp_path / kind)
            assert files_of(tmp_path / kind) == files_of(tmp_path / "whole")


_KILLED = """
import os, signal, sys
from pathlib import Path
import tickline.files
from tickline.pipelines.access.export.native import export_native
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.summaries.summaries import summarize
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.folder import StoreFolder

left = int(sys.argv[4])
for name in ("rename", "fsync"):
    def patched(*arguments, real=getattr(os, name)):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)
    setattr(os, name, patched)
options = SummaryOptions(catalog=Path(sys.argv[3]))
with StoreFolder.open(sys.argv[1]) as store:
    export_native(store, summarize(store, options), ExportOptions(options), Path(sys.argv[2]))
"""


@pytest.mark.parametrize("at", [0, 5, 11, 17, 24, 40, 77, 120])
def test_a_kill_at_any_moment_is_made_good_by_the_next_run(tmp_path: Path, at: int) -> None:
    rows = draw_rows(300, days=30)
    catalog = _catalog(tmp_path)
    with open_store(tmp_path / "store") as store:
        add(store, rows[:200])
        _export(store, tmp_path / "out", catalog=catalog)
        add(store, rows[200:])
    arguments = [str(tmp_path / "store"), str(tmp_path / "out"), str(catalog), str(at)]
    done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    with open_store(tmp_path / "store") as store:
        _export(store, tmp_path / "out", catalog=catalog)
        _export(store, tmp_path / "fresh", catalog=catalog)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")
    left = [path for place in ("out", "store/cache") for path in (tmp_path / place).rglob(".tickline-tmp-*")]
    assert left == []


def test_files_of_a_killed_run_are_known_and_removed_with_their_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with open_store(tmp_path / "store") as store:
        rows = [Row(MAY, "a/k", "p", 5, 200), Row(MAY, "b/k", "p", 5, 200)]
        add(store, rows)
        real = export_files.OutputFolder.write_frame

        def write_frame(self: Any, name: str, *rest: Any) -> None:
            if name.endswith("b/by_region"):
                raise KeyboardInterrupt
            real(self, name, *rest)

        monkeypatch.setattr(export_files.OutputFolder, "write_frame", write_frame)
        with pytest.raises(KeyboardInterrupt):
            _export(store, out)
        assert (out / "summaries/b/by_day.tsv").is_file()
        (out / "summaries/b/.tickline-tmp-0").write_bytes(b"half a file")
        monkeypatch.setattr(export_files.OutputFolder, "write_frame", real)
        replace_files(store, rows[:1], epoch=True)
        _export(store, out)
        assert not (out / "summaries/b").exists()
        _export(store, tmp_path / "fresh")
    assert files_of(out) == files_of(tmp_path / "fresh")


def test_a_full_disk_gets_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50))
        found = summarize(store, SummaryOptions())

        def full(*_: Any) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(export_files._Sink, "write", full)
        with pytest.raises(TicklineError, match="disk is full"):
            export_native(store, found, ExportOptions(SummaryOptions()), tmp_path / "out")
        monkeypatch.undo()
        _export(store, tmp_path / "out")
        _export(store, tmp_path / "fresh")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "fresh")


def test_progress_counts_up_to_the_end(tmp_path: Path) -> None:
    days: list[tuple[int, int]] = []
    datasets: list[tuple[int, int]] = []
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(100, days=20))
        options = SummaryOptions()
        found = summarize(store, options, lambda done, total: days.append((done, total)))
        export_native(
            store,
            found,
            ExportOptions(options),
            tmp_path / "out",
            lambda done, total: datasets.append((done, total)),
        )
    for calls in (days, datasets):
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert calls[-1][0] == calls[-1][1] == calls[0][1]


def test_a_table_in_pieces_is_the_table(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(300, days=40))
        found = summarize(store, SummaryOptions())
        ((_, frames),) = found.frames(["zarr"])
        whole = frames["by_week_asset"]
        assert isinstance(whole, summary_frames.LongFrame)
        for rows in (1, 7, 10**6):
            pieces = list(whole.tables(rows))
            assert pa.concat_tables(pieces).equals(whole.table())
            assert {piece.num_rows for piece in pieces[:-1]} <= {rows}


def test_write_catalog_and_json_say_the_same(tmp_path: Path) -> None:
    entries = [entry for entry in ENTRIES if "\t" not in entry.path]
    table = write_catalog(tmp_path / "catalog.tsv", entries)
    content: dict[str, dict[str, str]] = {}
    for entry in entries:
        content.setdefault(entry.key, {})[entry.dataset] = entry.path
    (tmp_path / "catalog.json").write_text(json.dumps(content))
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(200))
        _export(store, tmp_path / "tsv", catalog=table)
        _export(store, tmp_path / "json", catalog=tmp_path / "catalog.json")
    tsv, other = dict(files_of(tmp_path / "tsv")), dict(files_of(tmp_path / "json"))
    assert tsv.pop("provenance.json") != other.pop("provenance.json")
    assert tsv == other
