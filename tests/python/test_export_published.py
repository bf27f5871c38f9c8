"""The summaries of s3-log-extraction: layout, both rules of compatibility, files that stay as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from python.summaries_support import (
    DAY_MS,
    MAY,
    add,
    draw_rows,
    files_of,
    id_of,
    labels_of,
    open_store,
)
from reference.access_summaries_reference import Row, requesters_of, summaries, totals
from tickline.access import Store
from tickline.errors import UsageError
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.published import export_published
from tickline.pipelines.access.export.record import ExportReport
from tickline.pipelines.access.regions.labels import OTHER
from tickline.pipelines.access.regions.regions import update_regions
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import summarize
from tickline.store.folder import StoreFolder


def _export(store: StoreFolder, out: Path, *, catalog: Path | None = None, **options: Any) -> ExportReport:
    chosen = {name: options.pop(name) for name in ("restrict_to", "exclude_datasets") if name in options}
    wanted = SummaryOptions(catalog=catalog, **chosen)
    export = ExportOptions(wanted, "s3-log-extraction", **options)
    return export_published(store, summarize(store, wanted), export, out)


def _with_regions(store: StoreFolder, folder: Path) -> None:
    """Give the store a region file, so that somebody was looked up."""
    (folder / "list.txt").write_text("203.0.113.0/24\n")
    with store.writing():
        update_regions(store, [str(folder / "list.txt")])


def _line(key: str, address: str) -> str:
    return (
        f"79a5 bucket [01/May/2024:00:00:00 +0000] {address} - 3E57427F3EXAMPLE REST.GET.OBJECT {key} "
        f'"GET /{key} HTTP/1.1" 200 - 10 10 7 6 "-" "x" - hostid= - - - host.example TLSv1.2 - -\n'
    )


def _table(path: Path) -> list[list[str]]:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    return [line.split("\t") for line in text.removesuffix("\n").split("\n")]


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _requests(key: str, people: int, *, day: int = 0, each: int = 1, first: int = 0) -> list[Row]:
    return [Row(MAY + day * DAY_MS + n, key, f"p{first + n % people}", 10, 200) for n in range(people * each)]


def test_exact_numbers_are_those_of_the_reference(tmp_path: Path) -> None:
    rows = draw_rows(300)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, tmp_path / "out", privacy="exact")
    datasets, archive = summaries(rows, None, labels_of(rows))
    people, everybody = requesters_of(rows, None, "all")
    names = dict(line for line in _table(tmp_path / "out/names.tsv")[1:])
    assert set(names.values()) == set(datasets)
    expected = {"names.tsv", "summaries/totals.json", "summaries/archive_totals.json"}
    found_totals = _json(tmp_path / "out/summaries/totals.json")
    for place, name in [("archive", None), *names.items()]:
        tables = archive if name is None else datasets[name]
        folder = tmp_path / "out/summaries" / place
        files = ["by_day", "by_region", *([] if name is None else ["by_asset"])]
        for table in files:
            header, *found = _table(folder / f"{table}.tsv")
            about = {"by_day": "date", "by_region": "region", "by_asset": "asset_path"}[table]
            assert header == [about, "bytes_sent", "number_of_requests", "number_of_downloads"]
            assert found == [[str(row[0]), *map(str, numbers[:3])] for row, numbers in tables[table].items()]
        weeks = {week: {} for week, _ in tables["by_week_type"]}
        for (week, kind), numbers in tables["by_week_type"].items():
            weeks[week][kind] = numbers[0]
        header, *found = _table(folder / "by_asset_type_per_week.tsv")
        order = ["Neurophysiology", "Microscopy", "Video", "Miscellaneous"]
        kinds = [kind for kind in order if any(kind in row for row in weeks.values())]
        assert header == ["week_start", *kinds]
        assert found == [
            [str(week), *(str(row.get(kind, 0)) for kind in kinds)] for week, row in weeks.items()
        ]
        who = everybody if name is None else people[name]
        assert (folder / "requester_count.tsv").read_text() == f"{len(who)}\n"
        whole = totals(tables, len(who))
        theirs = {
            "number_of_requesters": whole["number_of_requesters"],
            "number_of_unique_countries": whole["number_of_unique_countries"],
            "number_of_unique_regions": whole["number_of_unique_regions"],
            "total_bytes_sent": whole["total_bytes_sent"],
            "total_number_of_downloads": whole["number_of_downloads"],
            "total_number_of_requests": whole["number_of_requests"],
        }
        got = (
            found_totals[name] if name is not None else _json(tmp_path / "out/summaries/archive_totals.json")
        )
        assert got == theirs
        files += ["by_asset_type_per_week", "requester_count"]
        if name is not None:
            files.append("by_asset_per_week")
            header, *found = _table(folder / "by_asset_per_week.tsv")
            assert header[1:] == [path for (path,) in tables["by_asset"]]
            for week, *sizes in found:
                assert sizes == [
                    str(dict_of(tables["by_week_asset"]).get((week, path), 0)) for path in header[1:]
                ]
        expected |= {f"summaries/{place}/{file}.tsv" for file in files}
    assert set(files_of(tmp_path / "out")) == expected


def dict_of(table: dict[tuple[Any, ...], tuple[int, ...]]) -> dict[tuple[str, str], int]:
    """Return the bytes of a table by week and asset."""
    return {(str(week), path): numbers[0] for (week, path), numbers in table.items()}


def test_small_counts_are_hidden_and_what_would_give_them_away(tmp_path: Path) -> None:
    rows = [*_requests("d/a", 40), *_requests("d/a", 30, day=1), *_requests("d/b", 12, day=2)]
    rows += _requests("d/b", 3, day=3)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, tmp_path / "out")
    folder = tmp_path / "out/summaries/d"
    assert _table(folder / "by_day.tsv")[1:] == [
        ["2024-05-01", "400", "40", "40"],
        ["2024-05-02", "300", "40", "40"],
        ["2024-05-03", "120", "hidden", "hidden"],
        ["2024-05-04", "30", "hidden", "hidden"],
    ]
    assert _table(folder / "by_region.tsv")[-1][0] == OTHER
    assert (folder / "requester_count.tsv").read_text() == "40\n"
    assert _json(tmp_path / "out/summaries/totals.json")["d"]["total_number_of_requests"] == 80


def test_a_dataset_of_few_is_hidden_whole(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, [*_requests("big/a", 90), *_requests("mid/a", 40), *_requests("few/a", 2, each=70)])
        _export(store, tmp_path / "out")
    found = _json(tmp_path / "out/summaries/totals.json")
    counts = ("number_of_requesters", "total_number_of_requests", "total_number_of_downloads")
    assert [found["few"][name] for name in counts] == ["hidden"] * 3
    # Or else it would be the archive's total less the others.
    assert [found["mid"][name] for name in counts] == ["hidden"] * 3
    assert found["few"]["total_bytes_sent"] == 1400
    assert (tmp_path / "out/summaries/few/requester_count.tsv").read_text() == "hidden\n"
    assert _table(tmp_path / "out/summaries/few/by_region.tsv")[1:] == [[OTHER, "1400", "hidden", "hidden"]]


def test_strict_adds_up_what_is_rounded(tmp_path: Path) -> None:
    rows = [*_requests("a/x", 10, each=5), *_requests("b/x", 10, each=7, first=50), *_requests("c/x", 49)]
    rows += _requests("d/x", 90, first=100)
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, tmp_path / "out", compat="strict")
    root = tmp_path / "out/summaries"
    shown = {name: _table(root / name / "by_day.tsv")[1][2] for name in "abcd"}
    assert shown == {"a": "40", "b": "80", "c": "<50", "d": "80"}
    assert _table(root / "archive/by_day.tsv")[1:] == [["2024-05-01", "2590", "200", "200"]]
    assert (root / "d/requester_count.tsv").read_text() == "80\n"
    # Only d has 50 people or more.
    assert (root / "archive/requester_count.tsv").read_text() == "80\n"
    assert _json(root / "totals.json")["a"]["total_number_of_requests"] == "<50"
    assert _json(root / "archive_totals.json")["total_number_of_requests"] == 200
    assert not list(root.rglob("*per_week*"))


def test_strict_sorts_as_the_other_program(tmp_path: Path) -> None:
    labels = {"192.0.2.1": "AWS/eu-west-10", "192.0.2.2": "AWS/eu-west-2"}
    one, two = labels
    keys = [("d/a-b/x", one), ("d/a/x", two), ("d/a/x", one), ("e", two)]
    (tmp_path / "1.log").write_text("".join(_line(key, address) for key, address in keys))
    with Store(tmp_path / "store") as store:
        assert not store.ingest(tmp_path / "1.log", settle_s=0).problems
        _with_regions(store.folder, tmp_path)
        ids = store.folder.ledger.unlabelled()
        addresses = store.folder.pseudonyms().addresses(ids)
        with store.folder.ledger.transaction():
            store.folder.ledger.set_labels(
                (number, labels[str(address)], None) for number, address in zip(ids, addresses, strict=True)
            )
        _export(store.folder, tmp_path / "out", compat="strict")
    root = tmp_path / "out/summaries"
    # By parts of the path; regions as they come up along these.
    assert [row[0] for row in _table(root / "d/by_asset.tsv")[1:]] == ["a/x", "a-b/x"]
    assert [row[0] for row in _table(root / "d/by_region.tsv")[1:]] == ["AWS/eu-west-2", "AWS/eu-west-10"]
    assert [row[0] for row in _table(root / "archive/by_region.tsv")[1:]] == [
        "AWS/eu-west-2",
        "AWS/eu-west-10",
    ]
    # An object that lies in no folder.
    assert [row[0] for row in _table(root / "e/by_asset.tsv")[1:]] == ["."]
    assert _json(root / "totals.json")["d"]["number_of_unique_countries"] == 1


def test_without_region_files_strict_takes_everybody_for_missing(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(50))
        _export(store, tmp_path / "out", compat="strict")
    for path in (tmp_path / "out/summaries").rglob("by_region.tsv"):
        assert [row[0] for row in _table(path)[1:]] == ["missing"]


def test_a_second_export_of_the_same_writes_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(200))
        for number, options in enumerate(({}, {"compat": "strict"}, {"privacy": "exact"})):
            out = tmp_path / f"out{number}"
            first = _export(store, out, **options)
            assert set(first.written) == set(files_of(out))
            again = _export(store, out, **options)
            assert (again.written, again.removed) == ([], [])
            assert set(again.unchanged) == set(first.written)


def test_another_rule_writes_what_differs(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with open_store(tmp_path / "store") as store:
        add(store, [*_requests("d/a", 40), *_requests("d/b", 12), *_requests("e/a", 30)])
        _export(store, out, privacy="exact")
        _export(store, out)
        _export(store, tmp_path / "fresh")
        assert files_of(out) == files_of(tmp_path / "fresh")
        # New people elsewhere change what must be withheld here.
        add(store, _requests("few/a", 2, first=900))
        _export(store, out)
        _export(store, tmp_path / "fresh2")
        assert files_of(out) == files_of(tmp_path / "fresh2")


def test_what_is_withheld_does_not_depend_on_the_choice_of_datasets(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, [*_requests("d/a", 40), *_requests("e/a", 30), *_requests("few/a", 2)])
        _export(store, tmp_path / "all")
        _export(store, tmp_path / "one", restrict_to=("e",))
    whole, one = files_of(tmp_path / "all"), files_of(tmp_path / "one")
    assert "summaries/d/by_day.tsv" not in one
    for name, content in one.items():
        if not name.endswith("summaries/totals.json"):
            assert whole[name] == content, name
    assert set(_json(tmp_path / "one/summaries/totals.json")) == {"e"}


@pytest.mark.parametrize("compat", ["fixed", "strict"])
def test_hostile_names_stay_in_their_folder_and_sums_stay_exact(tmp_path: Path, compat: str) -> None:
    names = ["..", "archive", "totals.json", "Archive_Totals.json", "a\tb", "a", "A", " ", "x" * 300]
    catalog = tmp_path / "c.json"
    catalog.write_text(json.dumps({f"k{number}/": {name: ""} for number, name in enumerate(names)}))
    rows = [Row(MAY, f"k{number}/x\ty", f"p{n}", 7, 200) for number in range(len(names)) for n in range(60)]
    out = tmp_path / "deep" / "out"
    with open_store(tmp_path / "store") as store:
        add(store, rows)
        _export(store, out, catalog=catalog, compat=compat)
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    places = dict(line for line in _table(out / "names.tsv")[1:])
    found = 0
    for place in places:
        assert "/" not in place
        found += sum(int(row[1]) for row in _table(out / f"summaries/{place}/by_day.tsv")[1:])
    assert found == len(rows) * 7 == int(_table(out / "summaries/archive/by_day.tsv")[1][1])


def test_nobody_is_named(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(300))
        for compat in ("fixed", "strict"):
            _export(store, tmp_path / compat, compat=compat)
            for name, content in files_of(tmp_path / compat, record=True).items():
                assert b"198.51.100." not in content, name
                for number in range(9):
                    assert str(id_of(f"198.51.100.{number}")).encode() not in content, name


@pytest.mark.parametrize("compat", ["fixed", "strict"])
def test_a_store_without_rows_has_empty_tables(tmp_path: Path, compat: str) -> None:
    with open_store(tmp_path / "store") as store:
        _export(store, tmp_path / "out", compat=compat)
    assert len(_table(tmp_path / "out/summaries/archive/by_day.tsv")) == 1
    assert _json(tmp_path / "out/summaries/totals.json") == {}
    assert _json(tmp_path / "out/summaries/archive_totals.json")["total_bytes_sent"] == 0


def test_options_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with open_store(tmp_path / "store") as store:
        add(store, draw_rows(20))
        wrong: list[dict[str, Any]] = [
            {"compat": "strict", "privacy": "fixed"},
            {"compat": "other"},
            {"privacy": "other"},
            {"threshold": 2},
            {"restrict_to": ("nothing",)},
        ]
        for options in wrong:
            with pytest.raises(UsageError):
                _export(store, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
