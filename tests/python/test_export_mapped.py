"""The mapped tree: the files of the reference, only what is new, hostile names, versions, and kills."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from python.mapped_support import Hit, Place, id_of, make_store, tree_of, write_catalog
from reference import access_mapped_reference as reference
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.files import TEMPORARY_PREFIX
from tickline.pipelines.access.catalog.catalog import Catalog
from tickline.pipelines.access.mapped import export as module
from tickline.pipelines.access.mapped import rows as mapped_rows
from tickline.pipelines.access.mapped.export import export_mapped
from tickline.pipelines.access.mapped.totals import write_archive_totals, write_dataset_totals
from tickline.pipelines.access.state import lock
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.folder import StoreFolder
from tickline.store.ledger import signed
from tickline.store.ledger_schema import requester_seal

COMPAT = ["strict", "fixed"]
MARCH = 1_647_397_272
"""2022-03-16T02:21:12Z."""
BLOBS = [f"{number:02x}{number:04x}a-{number}" for number in range(1, 9)]
REGIONS = [
    "AWS/us-east-2",
    "GCP/us-central1",
    "unknown",
    "VPN",
    "GitHub",
    "US/Ohio",
    "DE/Bayern",
    "DE/Berlin",
]


def _key(blob: str) -> str:
    return f"blobs/{blob[:3]}/{blob[3:6]}/{blob}"


def _export(store: Path, catalog: Path | None, out: Path, compat: str, **options: Any) -> Any:
    with StoreFolder.open(store) as folder:
        opened = Catalog(catalog, versions=True)
        return export_mapped(folder, opened, SummaryOptions(catalog, **options), out, compat=compat)


def _rows(compat: str, *sources: Sequence[Hit]) -> list[reference.Row]:
    nobody = {"strict": "unknown", "fixed": "missing"}[compat]
    return [
        reference.Row(hit.time, hit.key or "", hit.region or nobody, hit.bytes_sent or 0)
        for hits in sources
        for hit in hits
    ]


def _draw_hits(draw: random.Random, number: int) -> list[Hit]:
    """Return requests of few seconds, days and sizes, so that there are ties of all kinds."""
    hits = []
    for _ in range(number):
        key = draw.choice(
            [
                _key(draw.choice(BLOBS)),
                f"zarr/Z{draw.randrange(2)}/0/{draw.randrange(4)}",
                f"other/{BLOBS[0]}",
            ]
        )
        time = MARCH + 86_400 * draw.randrange(20) + draw.randrange(3)
        region = draw.choice([*REGIONS, None])
        hits.append(Hit(time, key, region, draw.choice([None, 0, 1, 512, 512, draw.randrange(10**9)])))
    return hits


def _draw_catalog(draw: random.Random, compat: str) -> list[Place]:
    """Return contents that are renamed between versions, shared between dandisets, and twice in a version.

    Assets of one version want the same name only if `compat` is strict: otherwise names hold hashes.
    """
    places = []
    for dataset in ("000003", "000013", "000108"):
        for version in draw.sample(["draft", "0.210812.1448", "0.230629.1955", ""], draw.randint(1, 3)):
            assets = draw.sample([*BLOBS, "Z0", "Z1", "never-asked-for"], draw.randint(1, 6))
            assets += draw.sample(assets, draw.randrange(2))
            for number, content in enumerate(assets):
                name = (
                    f"sub-{draw.choice(assets)}_{number}{'.ome.zarr' if content.startswith('Z') else '.nwb'}"
                )
                places.append(Place(content, dataset, version, f"{draw.choice(['a', 'b/c'])}/{name}"))
    if compat == "strict":
        return places
    names = {(place.dataset, place.version or "draft", place.path.split("/")[-1]): place for place in places}
    return list(names.values())


@pytest.mark.parametrize("compat", COMPAT)
@pytest.mark.parametrize("seed", range(4))
def test_files_are_those_of_the_reference(tmp_path: Path, compat: str, seed: int) -> None:
    draw = random.Random(seed)
    sources = [_draw_hits(draw, draw.randint(1, 150)) for _ in range(3)]
    places = _draw_catalog(draw, compat)
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    store, out = tmp_path / "store", tmp_path / "out"
    # What comes later changes the tree into what it would be if all had been there from the beginning.
    for number, hits in enumerate(sources, 1):
        make_store(store, hits)
        report = _export(store, catalog, out, compat)
        entries = [reference.Place(*place) for place in places]
        assert tree_of(out) == reference.mapped(_rows(compat, *sources[:number]), entries, compat)
        assert report.written + report.unchanged == len(tree_of(out))
    again = _export(store, catalog, out, compat)
    assert (again.written, again.removed, again.unchanged) == (0, 0, len(tree_of(out)))


def test_the_reference_says_what_the_description_says() -> None:
    rows = [
        reference.Row(MARCH + 3_600, "blobs/58c/537/58c5", "GCP/us-central1", 512),
        reference.Row(MARCH, "blobs/58c/537/58c5", "unknown", 512),
        reference.Row(MARCH, "blobs/18b/9a7/18b9", "AWS/us-east-2", 1234),
    ]
    places = [
        reference.Place("58c5", "000003", "draft", "sub-20/sub-20_ses-1.nwb"),
        reference.Place("18b9", "000003", "draft", "sub-37/sub-37.nwb"),
    ]
    assert {name: data.decode() for name, data in reference.mapped(rows, places, "strict").items()} == {
        "000003/draft/sub-20_ses-1_nwb.tsv": "\ttimestamp\tbytes_sent\tregion\n"
        "0\t2022-03-16T02:21:12\t512\tunknown\n1\t2022-03-16T03:21:12\t512\tGCP/us-central1\n",
        "000003/draft/sub-37_nwb.tsv": "\ttimestamp\tbytes_sent\tregion\n"
        "0\t2022-03-16T02:21:12\t1234\tAWS/us-east-2\n",
        **{
            f"000003/{start}_summary_by_{table}.tsv": text
            for start in ("draft/version", "dandiset")
            for table, text in (
                ("day", "date\tbytes_sent\n2022-03-16\t2258\n"),
                ("region", "region\tbytes_sent\nAWS/us-east-2\t1234\nGCP/us-central1\t512\nunknown\t512\n"),
                ("asset", "asset_path\tbytes_sent\nsub-37/sub-37.nwb\t1234\nsub-20/sub-20_ses-1.nwb\t1024\n"),
            )
        },
        "archive_summary_by_day.tsv": "date\tbytes_sent\n2022-03-16\t2258\n",
        "archive_summary_by_region.tsv": "region\tbytes_sent\nAWS/us-east-2\t1234\nGCP/us-central1\t512\n"
        "unknown\t512\n",
        "all_dandiset_totals.json": '{"000003": {"total_bytes_sent": 2258, "number_of_unique_regions": 3, '
        '"number_of_unique_countries": 2}}',
        "archive_totals.json": '{"total_bytes_sent": 2258, "number_of_unique_regions": 3, '
        '"number_of_unique_countries": 2}',
    }


def test_contents_in_pieces_and_in_many_files_are_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(5)
    hits = _draw_hits(draw, 3_000)
    places = [Place(blob, "000003", str(version), f"{blob}.nwb") for version in range(3) for blob in BLOBS]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    store = make_store(tmp_path / "store", hits)
    whole = reference.mapped(_rows("fixed", hits), [reference.Place(*place) for place in places], "fixed")
    for name, value in (("_HELD_BYTES", 100), ("_PIECE_BYTES", 7)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr("tickline.pipelines.access.mapped.plan._BATCH_ROWS", 3)
    monkeypatch.setattr(mapped_rows, "_STRETCH_ROWS", 500)
    _export(store, catalog, tmp_path / "out", "fixed")
    assert tree_of(tmp_path / "out") == whole


# ---- which requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize("compat", COMPAT)
def test_only_requests_that_the_old_program_keeps_count(tmp_path: Path, compat: str) -> None:
    key = _key(BLOBS[0])
    hits = [
        Hit(MARCH, key, "VPN", 1),
        Hit(MARCH, key, "VPN", 10, status=206),
        Hit(MARCH, key, "VPN", 100, status=304),
        Hit(MARCH, key, "VPN", 1000, status=None),
        Hit(MARCH, key, "VPN", 10_000, operation="REST.HEAD.OBJECT"),
        Hit(MARCH, None, "VPN", 100_000),
    ]
    store = make_store(tmp_path / "store", hits, operations="all", statuses="all")
    catalog = write_catalog(tmp_path / "catalog.tsv", [Place(BLOBS[0], "000003", "draft", "a.nwb")])
    _export(store, catalog, tmp_path / "out", compat)
    tree = tree_of(tmp_path / "out")
    assert tree["000003/draft/a_nwb.tsv"].decode().splitlines()[1:] == [
        "0\t2022-03-16T02:21:12\t1\tVPN",
        "1\t2022-03-16T02:21:12\t10\tVPN",
    ]
    assert tree["000003/dandiset_summary_by_day.tsv"] == b"date\tbytes_sent\n2022-03-16\t11\n"
    # A request without a key belongs to the archive, where each request counts once.
    total = {"strict": 11, "fixed": 100_011}[compat]
    assert json.loads(tree["archive_totals.json"])["total_bytes_sent"] == total


def test_shared_content_counts_once_in_the_archive_unless_strict(tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 7), Hit(MARCH, "else/x", "VPN", 1)]
    )
    places = [Place(BLOBS[0], "000003", "draft", "a.nwb"), Place(BLOBS[0], "000013", "draft", "b.nwb")]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    for compat, total in (("strict", 14), ("fixed", 8)):
        _export(store, catalog, tmp_path / compat, compat)
        tree = tree_of(tmp_path / compat)
        assert tree["archive_summary_by_day.tsv"] == f"date\tbytes_sent\n2022-03-16\t{total}\n".encode()
        assert [
            entry["total_bytes_sent"] for entry in json.loads(tree["all_dandiset_totals.json"]).values()
        ] == [7, 7]


def test_a_content_at_two_paths_of_a_version_counts_twice_only_if_strict(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 7)])
    places = [Place(BLOBS[0], "000003", "1", "a.nwb"), Place(BLOBS[0], "000003", "1", "b.nwb")]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    for compat, total in (("strict", 14), ("fixed", 7)):
        _export(store, catalog, tmp_path / compat, compat)
        tree = tree_of(tmp_path / compat)
        assert (
            tree["000003/1/version_summary_by_region.tsv"] == f"region\tbytes_sent\nVPN\t{total}\n".encode()
        )
        assert (
            tree["000003/1/version_summary_by_asset.tsv"] == b"asset_path\tbytes_sent\na.nwb\t7\nb.nwb\t7\n"
        )
        assert tree["000003/dandiset_summary_by_asset.tsv"] == b"asset_path\tbytes_sent\nb.nwb\t7\n"


def test_two_contents_at_one_path_overwrite_one_another_only_if_strict(tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 5), Hit(MARCH, _key(BLOBS[1]), "VPN", 3)]
    )
    places = [Place(blob, "D", "1", "a.nwb") for blob in BLOBS[:2]]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    _export(store, catalog, tmp_path / "strict", "strict")
    tree = tree_of(tmp_path / "strict")
    assert tree["D/1/version_summary_by_asset.tsv"] == b"asset_path\tbytes_sent\na.nwb\t3\n"
    assert tree["D/1/a_nwb.tsv"].endswith(b"\n0\t2022-03-16T02:21:12\t3\tVPN\n")
    # Over all versions bytes of one path are added up, as in the old program.
    for table in ("version_summary_by_day", "dandiset_summary_by_day", "dandiset_summary_by_asset"):
        assert tree[f"D/{'1/' * table.startswith('v')}{table}.tsv"].endswith(b"\t8\n")
    _export(store, catalog, tmp_path / "fixed", "fixed")
    tree = tree_of(tmp_path / "fixed")
    assert tree["D/1/version_summary_by_asset.tsv"] == b"asset_path\tbytes_sent\na.nwb\t8\n"
    assert tree["names.tsv"].count(b"\tD\t1\ta.nwb\n") == 2


def test_bytes_go_to_the_path_in_the_draft_unless_strict(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 7)])
    places = [Place(BLOBS[0], "000003", "draft", "new.nwb"), Place(BLOBS[0], "000003", "0.1", "old.nwb")]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    for compat, path in (("strict", "old.nwb"), ("fixed", "new.nwb")):
        _export(store, catalog, tmp_path / compat, compat)
        table = tree_of(tmp_path / compat)["000003/dandiset_summary_by_asset.tsv"]
        assert table == f"asset_path\tbytes_sent\n{path}\t7\n".encode()


def test_without_a_catalog_the_first_part_of_a_key_is_the_dandiset(tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "store", [Hit(MARCH, "ds/a/x.y", "VPN", 7), Hit(MARCH, "ds/%C3%BC", "VPN", 1)]
    )
    _export(store, None, tmp_path / "out", "fixed")
    tree = tree_of(tmp_path / "out")
    assert "ds/draft/x_y.tsv" in tree
    assert (
        tree["ds/dandiset_summary_by_asset.tsv"].decode() == "asset_path\tbytes_sent\na/x.y\t7\n\u00fc\t1\n"
    )


def test_keys_below_a_prefix_are_assets_of_their_own(tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "store", [Hit(MARCH, "pre/a.nwb", "VPN", 7), Hit(MARCH + 1, "pre/b.nwb", "VPN", 1)]
    )
    catalog = write_catalog(tmp_path / "catalog.tsv", [Place("pre/", "D", "1", "root/")])
    _export(store, catalog, tmp_path / "out", "fixed")
    table = tree_of(tmp_path / "out")["D/1/version_summary_by_asset.tsv"]
    assert table == b"asset_path\tbytes_sent\nroot/a.nwb\t7\nroot/b.nwb\t1\n"


def test_an_empty_store_gives_empty_tables(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    for compat in COMPAT:
        _export(store, None, tmp_path / compat, compat)
        tree = tree_of(tmp_path / compat)
        assert tree["all_dandiset_totals.json"] == b"{}"
        assert tree["archive_summary_by_day.tsv"] == b"date\tbytes_sent\n"


# ---- names ---------------------------------------------------------------------------------------------


HOSTILE = [
    "../../up.nwb",
    "/etc/passwd",
    "a/../../../b",
    "..",
    ".",
    "",
    "/",
    "a\\b\x07.nwb",
    "version_summary_by_day",
    "Version_Summary_By_Day",
    "x" * 300 + ".nwb",
    "\u00fc" * 140,
    "A.nwb",
    "a.nwb",
    "q\"uote's.nwb",
    "b ",
    "names",
    "~0123456789abcdef.nwb",
    "ordinary_%41~.nwb",
]
DANDISETS = [
    "000003",
    "../up",
    "archive_totals.json",
    "names.tsv",
    "A",
    "a",
    ".tickline",
    "",
    "x/y",
    "x" * 300,
]
VERSIONS = ["draft", "dandiset_summary_by_day.tsv", "..", "v/w", "~", "0123~0123456789abcdef"]


@pytest.mark.parametrize("compat", COMPAT)
def test_hostile_names_neither_leave_the_tree_nor_overwrite_one_another(tmp_path: Path, compat: str) -> None:
    # A catalog has no dandiset without a name.
    places = [
        Place(f"id{number}", *place)
        for number, place in enumerate(product(filter(None, DANDISETS), VERSIONS, HOSTILE))
    ]
    hits = [
        Hit(MARCH + number, f"blobs/{place.key}", "VPN", number % 1009) for number, place in enumerate(places)
    ]
    store = make_store(tmp_path / "store", hits)
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    out = tmp_path / "deep" / "out"
    _export(store, catalog, out, compat)

    assert {path.name for path in tmp_path.iterdir()} == {"store", "catalog.tsv", "deep"}
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    tree = tree_of(out)
    assert len({name.casefold() for name in tree}) == len(tree)
    assert "000003/draft/ordinary_%41~_nwb.tsv" in tree
    # Whatever assets are called, tables have their names.
    assert tree["000003/draft/version_summary_by_day.tsv"].startswith(b"date\t")
    # Strict: paths with the same last part overwrite one another, as they always did.
    assets = [data for data in tree.values() if data.startswith(b"\ttimestamp\t")]
    assert sum(len(data.splitlines()) - 1 for data in assets) == len(assets)
    last_parts = {(*place[1:3], PurePosixPath(place.path).name) for place in places}
    assert len(assets) == len({"strict": last_parts, "fixed": places}[compat])
    totals = json.loads(tree["all_dandiset_totals.json"])
    assert sorted(totals) == sorted(filter(None, DANDISETS))
    sums = [entry["total_bytes_sent"] for entry in totals.values()]
    assert sum(sums) == sum(hit.bytes_sent or 0 for hit in hits)
    listed = [line.split("\t")[0] for line in tree["names.tsv"].decode().splitlines()[1:]]
    assert len(listed) == len(set(listed)) > 0
    assert all((out / name).exists() for name in listed)
    # What a compat command makes of this tree names the same dandisets.
    assert write_dataset_totals(out, compat) == []


def test_a_dandiset_called_like_the_folder_of_another_one_has_its_own(tmp_path: Path) -> None:
    places = [Place(BLOBS[0], "x/y", "1", "a.nwb")]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    store = make_store(
        tmp_path / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 1), Hit(MARCH, _key(BLOBS[1]), "VPN", 2)]
    )
    _export(store, catalog, tmp_path / "out", "fixed")
    (folder,) = {name.split("/")[0] for name in tree_of(tmp_path / "out") if "/" in name}
    write_catalog(catalog, [*places, Place(BLOBS[1], folder, "1", "a.nwb")])
    _export(store, catalog, tmp_path / "out", "fixed")
    tree = tree_of(tmp_path / "out")
    totals = json.loads(tree["all_dandiset_totals.json"])
    assert {name: entry["total_bytes_sent"] for name, entry in totals.items()} == {"x/y": 1, folder: 2}
    assert sum(name.endswith("/1/a_nwb.tsv") for name in tree) == 2


def test_assets_of_one_name_are_both_kept_unless_strict(tmp_path: Path) -> None:
    places = [Place(BLOBS[0], "D", "1", "x/a.nwb"), Place(BLOBS[1], "D", "1", "y/a.nwb")]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    store = make_store(
        tmp_path / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 1), Hit(MARCH, _key(BLOBS[1]), "VPN", 2)]
    )
    _export(store, catalog, tmp_path / "strict", "strict")
    tree = tree_of(tmp_path / "strict")
    # The one that comes last in the catalog.
    assert tree["D/1/a_nwb.tsv"].endswith(b"\t2\tVPN\n")
    assert "names.tsv" not in tree
    _export(store, catalog, tmp_path / "fixed", "fixed")
    tree = tree_of(tmp_path / "fixed")
    listed = {
        row[3]: row[0] for row in (line.split("\t") for line in tree["names.tsv"].decode().splitlines()[1:])
    }
    assert tree[listed["x/a.nwb"]].endswith(b"\t1\tVPN\n")
    assert tree[listed["y/a.nwb"]].endswith(b"\t2\tVPN\n")
    assert "D/1/a_nwb.tsv" not in tree
    # Without the other one it gets the name that it wants.
    write_catalog(catalog, places[:1])
    _export(store, catalog, tmp_path / "fixed", "fixed")
    tree = tree_of(tmp_path / "fixed")
    assert tree["D/1/a_nwb.tsv"].endswith(b"\t1\tVPN\n")
    assert "names.tsv" not in tree


# ---- only what is new ----------------------------------------------------------------------------------


def _small(tmp_path: Path) -> tuple[Path, Path]:
    places = [
        Place(BLOBS[0], "000003", "draft", "a.nwb"),
        Place(BLOBS[1], "000003", "draft", "b.nwb"),
        Place(BLOBS[2], "000013", "draft", "c.nwb"),
    ]
    hits = [Hit(MARCH + at, _key(BLOBS[at]), "US/Ohio", 10**at) for at in range(3)]
    return make_store(tmp_path / "store", hits), write_catalog(tmp_path / "catalog.tsv", places)


def _times(out: Path) -> dict[str, int]:
    return {name: (out / name).stat().st_mtime_ns for name in tree_of(out)}


@pytest.mark.parametrize("compat", COMPAT)
def test_new_rows_touch_only_what_they_change(tmp_path: Path, compat: str) -> None:
    store, catalog = _small(tmp_path)
    out = tmp_path / "out"
    _export(store, catalog, out, compat)
    before = _times(out)
    make_store(store, [Hit(MARCH + 50, _key(BLOBS[1]), "US/Ohio", 5)])
    report = _export(store, catalog, out, compat)
    after = _times(out)
    changed = {name for name in after if after[name] != before[name]}
    tables = {
        f"{start}_summary_by_{table}.tsv"
        for start in ("dandiset", "draft/version")
        for table in ("day", "region", "asset")
    }
    assert changed == {f"000003/{name}" for name in {*tables, "draft/b_nwb.tsv"}} | {
        "archive_summary_by_day.tsv",
        "archive_summary_by_region.tsv",
        "archive_totals.json",
        "all_dandiset_totals.json",
    }
    assert report.written == len(changed)


def test_with_nothing_new_the_store_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, catalog = _small(tmp_path)
    _export(store, catalog, tmp_path / "out", "fixed")
    before = _times(tmp_path / "out")

    def refuse(*_: object) -> None:
        raise AssertionError("the store was read")

    monkeypatch.setattr(module, "MappedPlan", refuse)
    report = _export(store, catalog, tmp_path / "out", "fixed")
    assert (report.written, report.unchanged) == (0, len(before))
    assert _times(tmp_path / "out") == before


@pytest.mark.parametrize(
    "name", ["000003/draft/a_nwb.tsv", "000003/draft/version_summary_by_day.tsv", "archive_totals.json"]
)
def test_what_somebody_changed_or_removed_comes_back(tmp_path: Path, name: str) -> None:
    store, catalog = _small(tmp_path)
    out = tmp_path / "out"
    _export(store, catalog, out, "fixed")
    before = tree_of(out)
    (out / name).write_text("mine")
    _export(store, catalog, out, "fixed")
    assert tree_of(out) == before
    (out / name).unlink()
    report = _export(store, catalog, out, "fixed")
    assert tree_of(out) == before
    assert report.written == 1


def test_changed_labels_are_written(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    out = tmp_path / "out"
    _export(store, catalog, out, "fixed")
    with StoreFolder.open(store) as folder, folder.ledger.transaction():
        folder.ledger.set_labels([(id_of("US/Ohio"), "US/Texas", None)])
        folder.ledger.next_epoch()
    _export(store, catalog, out, "fixed")
    tree = tree_of(out)
    assert not any(b"Ohio" in data for data in tree.values())
    assert tree["000003/draft/a_nwb.tsv"].endswith(b"\t1\tUS/Texas\n")


def test_another_content_of_as_many_rows_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    out = tmp_path / "out"
    _export(store, catalog, out, "fixed")
    write_catalog(catalog, [Place(BLOBS[1], "000003", "draft", "a.nwb")])
    report = _export(store, catalog, out, "fixed")
    tree = tree_of(out)
    assert tree["000003/draft/a_nwb.tsv"].endswith(b"\t10\tUS/Ohio\n")
    assert not any(name.startswith("000013") or "b_nwb" in name for name in tree)
    assert report.removed == 8
    assert not (out / "000013").exists()


def test_only_some_dandisets_are_written_and_others_stay(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    out, whole = tmp_path / "out", tmp_path / "whole"
    _export(store, catalog, whole, "fixed")
    _export(store, catalog, out, "fixed", exclude_datasets=("000003",))
    assert not (out / "000003").exists()
    _export(store, catalog, out, "fixed", restrict_to=("000003",))
    assert tree_of(out) == tree_of(whole)
    # Of one that is not wanted nothing changes, the archive does.
    make_store(store, [Hit(MARCH, _key(BLOBS[2]), "US/Ohio", 5)])
    _export(store, catalog, out, "fixed", restrict_to=("000003",))
    tree, before = tree_of(out), tree_of(whole)
    assert {name for name in tree if tree[name] != before[name]} == {
        "archive_summary_by_day.tsv",
        "archive_summary_by_region.tsv",
        "archive_totals.json",
    }
    _export(store, catalog, out, "fixed")
    _export(store, catalog, whole, "fixed")
    assert tree_of(out) == tree_of(whole)


@pytest.mark.parametrize("option", ["restrict_to", "exclude_datasets"])
def test_a_dandiset_that_is_not_there_is_refused(tmp_path: Path, option: str) -> None:
    store, catalog = _small(tmp_path)
    with pytest.raises(UsageError, match="there is no dataset '000004'"):
        _export(store, catalog, tmp_path / "out", "fixed", **{option: ("000004",)})
    assert not tree_of(tmp_path / "out")


def test_content_cannot_be_divided_between_dandisets(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    with pytest.raises(UsageError, match="owns wholly"):
        _export(store, catalog, tmp_path / "out", "fixed", shared_content="split")


def test_tree_and_store_lie_apart_but_for_the_memory_of_the_tree(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    with pytest.raises(UsageError, match="lies within"):
        _export(store, catalog, store / "out", "fixed")
    with pytest.raises(UsageError, match="lies within"):
        _export(store, catalog, tmp_path, "fixed")
    out = tmp_path / "out"
    inside = make_store(out / ".tickline" / "store", [Hit(MARCH, _key(BLOBS[0]), "VPN", 1)])
    _export(inside, catalog, out, "strict")
    assert "000003/draft/a_nwb.tsv" in tree_of(out)


def test_foreign_files_and_folders_stay(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    out = tmp_path / "out"
    (out / "notes").mkdir(parents=True)
    (out / "notes" / "mine.txt").write_text("mine")
    (out / f"{TEMPORARY_PREFIX}0123456789abcdef").write_text("left by a killed run")
    _export(store, catalog, out, "strict")
    assert (out / "notes" / "mine.txt").read_text() == "mine"
    assert not list(out.glob(f"{TEMPORARY_PREFIX}*"))


def test_others_may_read_the_files(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    before = os.umask(0o022)
    try:
        _export(store, catalog, tmp_path / "out", "fixed")
    finally:
        os.umask(before)
    for path in (tmp_path / "out" / name for name in tree_of(tmp_path / "out")):
        assert path.stat().st_mode & 0o777 == 0o644, path
        assert path.parent.stat().st_mode & 0o777 == 0o755


def test_two_runs_do_not_write_at_once(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    descriptor = lock(tmp_path / "out")
    try:
        with pytest.raises(TicklineError, match="another run is writing"):
            _export(store, catalog, tmp_path / "out", "fixed")
    finally:
        os.close(descriptor)


def test_labels_that_change_meanwhile_stop_the_run_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, catalog = _small(tmp_path)
    plan = module.MappedPlan

    def relabel(folder: StoreFolder, *arguments: Any) -> Any:
        made = plan(folder, *arguments)
        with folder.ledger.transaction():
            folder.ledger.next_epoch()
        return made

    monkeypatch.setattr(module, "MappedPlan", relabel)
    with pytest.raises(TicklineError, match="Run this again"):
        _export(store, catalog, tmp_path / "out", "fixed")
    assert not tree_of(tmp_path / "out")


def test_requesters_without_a_region_get_one_first(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    with StoreFolder.open(store) as folder, folder.ledger.transaction() as db:
        number = signed(id_of("US/Ohio"))
        db.execute(
            "UPDATE requesters SET label = NULL, seal = ? WHERE id = ?",
            [requester_seal(number, None, None), number],
        )
    _export(store, catalog, tmp_path / "out", "fixed")
    # Its address is not known.
    assert tree_of(tmp_path / "out")["archive_summary_by_region.tsv"] == b"region\tbytes_sent\nmissing\t111\n"


def test_totals_made_of_the_tree_are_those_of_the_export(tmp_path: Path) -> None:
    store, catalog = _small(tmp_path)
    for compat in COMPAT:
        out = tmp_path / compat
        _export(store, catalog, out, compat)
        assert write_dataset_totals(out, compat) == []
        assert write_archive_totals(out, compat) == []


def test_a_full_disk_is_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, catalog = _small(tmp_path)
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr("tickline.pipelines.access.trees.files._sync", full)
        with pytest.raises(SourceError, match="the disk is full") as caught:
            _export(store, catalog, tmp_path / "out", "fixed")
        assert caught.value.disk_full
        assert not tree_of(tmp_path / "out")
    _export(store, catalog, tmp_path / "out", "fixed")
    assert "000003/draft/a_nwb.tsv" in tree_of(tmp_path / "out")


# ---- kills ---------------------------------------------------------------------------------------------


_DRIVER = """
import sys
from pathlib import Path
from python.test_export_mapped import _export
store, catalog, out, compat = sys.argv[1:]
print("ready", flush=True)
_export(Path(store), Path(catalog), Path(out), compat)
"""


def _killed_runs(tmp_path: Path, compat: str, draw: random.Random, times: int) -> Iterator[Path]:
    """Kill runs a little later each time, and give the folder that they leave."""
    out = tmp_path / f"killed-{compat}"
    for _ in range(times):
        run = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _DRIVER,
                str(tmp_path / "store"),
                str(tmp_path / "catalog.tsv"),
                str(out),
                compat,
            ],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert run.stdout is not None
        run.stdout.readline()
        try:
            run.wait(draw.uniform(0.05, 0.6))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
        run.stdout.close()
        yield out


@pytest.mark.parametrize("compat", COMPAT)
def test_a_killed_run_leaves_whole_files_and_the_next_one_goes_on(tmp_path: Path, compat: str) -> None:
    draw = random.Random(compat)
    places = [
        Place(f"id{n}", f"0000{n % 5}", version, f"{n}.nwb") for n in range(400) for version in ("draft", "1")
    ]
    hits = [Hit(MARCH + 977 * at, f"blobs/id{at % 400}", draw.choice(REGIONS), at) for at in range(2_000)]
    catalog = write_catalog(tmp_path / "catalog.tsv", places)
    store = make_store(tmp_path / "store", hits)
    whole = reference.mapped(_rows(compat, hits), [reference.Place(*place) for place in places], compat)
    for out in _killed_runs(tmp_path, compat, draw, 5):
        left = tree_of(out) if out.exists() else {}
        assert left.items() <= {**whole, **{n: d for n, d in left.items() if TEMPORARY_PREFIX in n}}.items()
    _export(store, catalog, out, compat)
    assert tree_of(out) == whole
