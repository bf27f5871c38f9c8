"""One door to every export: layouts, what goes with what, and trees with addresses only on request."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from python.access_support import line
from python.ingest_support import KEY, take
from tickline.errors import UsageError
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.profiles import ProfileReport, export_profile
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT

pytest.importorskip("pyarrow")

KEYS = ("blobs/a%20b", "blobs/c")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = [line(number, key=KEYS[number % 2], ip=f"192.0.2.{number}") for number in range(40)]
    (raw / "2024-05-01.log").write_text("\n".join(rows) + "\n")
    take(tmp_path / "store", raw, settle_s=0)
    return tmp_path / "store"


def export(store: Path, out: Path, **options: object) -> ProfileReport:
    chosen = ExportOptions(SummaryOptions(), **options)  # type: ignore[arg-type]
    with StoreFolder.open(store) as folder:
        return export_profile(folder, chosen, out, lambda _: Progress())


def files(out: Path) -> set[str]:
    found = (path.relative_to(out) for path in out.rglob("*") if path.is_file())
    return {str(path) for path in found if ".tickline" not in path.parts}


def assets(out: Path) -> list[str]:
    rows = (out / "summaries/blobs/by_asset.tsv").read_text().splitlines()[1:]
    return [row.split("\t")[0] for row in rows]


@pytest.mark.parametrize(
    ("profile", "trees"),
    [("s3-log-extraction", {"extraction"}), ("dandi-s3-log-parser", {"reduced", "binned"})],
)
def test_trees_with_addresses_are_written_on_request_only(
    tmp_path: Path, store: Path, profile: str, trees: set[str]
) -> None:
    without = export(store, tmp_path / "without", profile=profile)
    assert not {name.partition("/")[0] for name in files(tmp_path / "without")} & trees
    assert [all(tree in note for tree in trees) for note in without.notes] == [True]
    with_them = export(store, tmp_path / "with", profile=profile, with_addresses=True)
    assert {name.partition("/")[0] for name in files(tmp_path / "with")} >= trees
    assert with_them.notes == []
    for tree in trees:
        assert stat.S_IMODE((tmp_path / "with" / tree).stat().st_mode) == 0o700


def test_strict_names_keys_as_they_were_logged_and_fixed_decodes_them(tmp_path: Path, store: Path) -> None:
    for compat in ("strict", "fixed", "strict"):
        export(store, tmp_path / compat, profile="s3-log-extraction", compat=compat)
    assert assets(tmp_path / "strict") == ["a%20b", "c"]
    assert assets(tmp_path / "fixed") == ["a b", "c"]


def test_the_same_export_again_writes_nothing(tmp_path: Path, store: Path) -> None:
    for profile in ("native", "s3-log-extraction", "dandi-s3-log-parser"):
        out = tmp_path / profile
        first = export(store, out, profile=profile)
        again = export(store, out, profile=profile)
        assert first.written > 0
        assert (again.written, again.removed) == (0, 0)
        assert again.unchanged == first.written


def test_the_list_of_odd_names_is_one_of_the_files_of_a_tree(tmp_path: Path, store: Path) -> None:
    raw = tmp_path / "odd"
    raw.mkdir()
    (raw / "2024-05-02.log").write_text(line(1, key="../up") + "\n")
    take(store, raw, settle_s=0)
    options: dict[str, object] = {"profile": "s3-log-extraction", "with_addresses": True}
    first = export(store, tmp_path / "out", **options)
    assert (tmp_path / "out/extraction/names.tsv").is_file()
    assert (first.written, first.unchanged) == (len(files(tmp_path / "out")), 0)
    again = export(store, tmp_path / "out", **options)
    assert (again.written, again.unchanged) == (0, first.written)


def test_another_rule_of_privacy_is_another_export(tmp_path: Path, store: Path) -> None:
    out = tmp_path / "out"
    for rule, requests in (("exact", 40), ("fixed", 40), ("strict", "<50"), ("exact", 40)):
        assert export(store, out, privacy=rule).written
        found = json.loads((out / "totals.json").read_text())["archive"]["number_of_requests"]
        assert found == requests


def test_published_numbers_do_not_become_exact_by_a_forgotten_word(tmp_path: Path, store: Path) -> None:
    out = tmp_path / "out"
    export(store, out, privacy="strict")
    before = (out / "totals.json").read_bytes()
    with pytest.raises(UsageError, match="was made with --privacy strict"):
        export(store, out)
    assert (out / "totals.json").read_bytes() == before
    export(store, out, privacy="exact")
    assert export(store, out).written == 0


def test_rows_do_not_come_to_lie_beside_published_numbers(tmp_path: Path, store: Path) -> None:
    export(store, tmp_path / "public", privacy="fixed")
    with pytest.raises(UsageError, match="another layout"):
        export(store, tmp_path / "public", profile="dandi-s3-log-parser")
    export(store, tmp_path / "mapped", profile="dandi-s3-log-parser")
    with pytest.raises(UsageError, match="layout dandi-s3-log-parser"):
        export(store, tmp_path / "mapped", privacy="fixed")


def test_fixed_withholds_counts_of_few_requesters(tmp_path: Path, store: Path) -> None:
    export(store, tmp_path / "out", privacy="fixed", threshold=41)
    totals = json.loads((tmp_path / "out/totals.json").read_text())["archive"]
    counts = [totals[name] for name in totals if name.endswith(("requests", "downloads", "requesters"))]
    assert counts == ["hidden"] * 3
    rows = (tmp_path / "out/summaries/archive/by_day.tsv").read_text().splitlines()[1:]
    assert {tuple(row.split("\t")[2:]) for row in rows} == {("hidden", "hidden", "hidden")}


def test_trees_of_an_earlier_run_are_named(tmp_path: Path, store: Path) -> None:
    export(store, tmp_path / "out", profile="dandi-s3-log-parser", with_addresses=True)
    report = export(store, tmp_path / "out", profile="dandi-s3-log-parser")
    assert "addresses stand in reduced and binned of an earlier run: do not publish that" in report.notes


def test_one_folder_holds_one_layout(tmp_path: Path, store: Path) -> None:
    export(store, tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(UsageError, match="holds an export in the layout native"):
        export(store, tmp_path / "out", profile="s3-log-extraction")
    assert files(tmp_path / "out") == before


def test_a_store_without_addresses_has_no_trees(tmp_path: Path, store: Path) -> None:
    from tickline.pipelines.access.forget import forget_addresses

    with StoreFolder.open(store) as folder:
        forget_addresses(folder)
    with pytest.raises(UsageError, match="has no addresses"):
        export(store, tmp_path / "out", profile="s3-log-extraction", with_addresses=True)
    assert not (tmp_path / "out").exists()
    report = export(store, tmp_path / "out", profile="s3-log-extraction")
    assert report.notes == [
        "without extraction: addresses would stand there, and the store has none (any more)"
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"profile": "csv"}, "is none of native"),
        ({"compat": "loose"}, "is none of fixed"),
        ({"privacy": "some"}, "is none of exact"),
        ({"compat": "strict"}, "repeats no other program"),
        ({"with_addresses": True}, "no tree with addresses"),
        ({"threshold": 2}, "less than 3"),
        ({"rounding": 0}, "less than 1"),
        ({"threshold": 5}, "of no effect under the rule 'exact'"),
        ({"privacy": "strict", "rounding": 10}, "of no effect under the rule 'strict'"),
        ({"profile": "dandi-s3-log-parser", "threshold": 5}, "of no effect"),
        ({"profile": "dandi-s3-log-parser", "privacy": "fixed"}, "nothing could be withheld"),
        ({"profile": "s3-log-extraction", "compat": "strict", "privacy": "fixed"}, "looks at all tables"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, store: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        export(store, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
