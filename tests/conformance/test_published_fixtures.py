"""Fixtures of the summaries of s3-log-extraction: the files of its tests come out, under --compat strict.

What cannot be identical, or is so in another sense:

===========================  ================================================================================
``totals.json``, generic     The fixture is one line, with datasets in the order of a folder's entries, which
                             is undefined; version 1.10.6 sorts keys and indents, as the plug-in's fixture
                             shows, and so do we. Compared as JSON, as that program's test does.
final newlines               1.10.6 ends ``requester_count.tsv`` and the JSON files without one; its fixtures
                             have one, and ours.
order of regions             That of ``by_region.tsv`` of a dataset is by first appearance along sorted
                             assets, and within an asset by the order in which logs were processed, which is
                             random. Ours is the natural order of the logs' names.
order of assets, DANDI       That of the content ids in a file from the network; ours is the order of paths.
counts, DANDI                The plug-in's fixtures hold exact counts and rounded numbers of requesters; its
                             tests round when they compare. ``exact`` and ``strict`` give one each.
regions without a slash      Other than those that are no place, they end 1.10.6 with an error (datasets) or
                             count as a country (archive); here they count as a country in both.
the region ``NA``            pandas reads it as nothing: 1.10.6 ends with an error, or drops it.
===========================  ================================================================================
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

# What the file from the network says of the content in the plug-in's example, as the fixture's tables show.
DANDI = {
    "1004eb73-e224-4c7c-b1f9-028d657b0f88": "000026",
    "02190bd2-4904-4f65-ae93-0822f0ea1e28": "000109",
    "30a9ffac-7c86-4323-b9d1-442860bbcaca": "000142",
    "f0fdb2d6-505c-406a-be18-90f571eee935": "000293",
    "c01c77cc-5aa1-4002-ba66-f0ab5e6005c3": "000946",
    "a02aa67d-6fde-445d-b830-bb317a891a7a": "001344",
}


@pytest.fixture
def store(access, tmp_path):
    """Return a function: logs into a store, everybody given a region, its summaries exported."""
    pytest.importorskip("duckdb")
    folder_of = importlib.import_module("tickline.store.folder").StoreFolder
    export = importlib.import_module("tickline.pipelines.access.export.profiles").export_profile
    export_of = importlib.import_module("tickline.pipelines.access.export.options").ExportOptions
    progress = importlib.import_module("tickline.progress").Progress
    options_of = importlib.import_module("tickline.pipelines.access.summaries.options").SummaryOptions

    def run(logs: Path, out: Path, *, catalog=None, label: str | None = None, **options) -> None:
        (tmp_path / "list.txt").write_text("203.0.113.0/24\n")
        with access.Store(tmp_path / "store") as store:
            assert not store.ingest(logs, settle_s=0).problems
            if label is not None:
                store.update_regions(tmp_path / "list.txt")
        with folder_of.open(tmp_path / "store") as folder:
            if label is not None:
                with folder.writing(), folder.ledger.transaction():
                    folder.ledger.set_labels((number, label, None) for number in folder.ledger.unlabelled())
            chosen = options_of(catalog=catalog)
            whole = export_of(chosen, "s3-log-extraction", "strict", **options)
            export(folder, whole, out, lambda _: progress())

    return run


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_generic_summaries_are_byte_identical(store, data, tmp_path):
    peer = data / "peers" / "peer_s3_log_extraction"
    expected = _tree(peer / "expected_output" / "summaries")
    assert len(expected) == 13
    store(peer / "example_logs", tmp_path / "out")
    found = _tree(tmp_path / "out" / "summaries")
    assert set(found) == set(expected)
    for name, content in expected.items():
        if name.endswith(".json"):
            assert json.loads(found[name]) == json.loads(content), name
        else:
            assert found[name] == content, name


def test_summaries_of_the_plug_in_are_byte_identical(store, data, tmp_path):
    peer = data / "peers" / "peer_s3_log_extraction" / "dandi_variant_head"
    expected = _tree(peer / "expected_output" / "summaries")
    assert len(expected) == 47
    content = {}
    for number, dandiset in DANDI.items():
        row = expected[f"{dandiset}/by_asset.tsv"].decode().splitlines()[1]
        content[number] = {dandiset: row.split("\t")[0]}
    catalog = tmp_path / "catalog.json"
    catalog.write_text(json.dumps(content))
    logs = peer / "example_logs"
    store(logs, tmp_path / "exact", catalog=catalog, label="unknown", privacy="exact")
    store(logs, tmp_path / "strict", catalog=catalog, label="unknown", privacy="strict")
    found = _tree(tmp_path / "exact" / "summaries")
    rounded = _tree(tmp_path / "strict" / "summaries")
    # That fixture has no totals of the archive.
    assert set(found) == set(rounded) == {*expected, "archive_totals.json"}
    for name, content in expected.items():
        if name.endswith("requester_count.tsv"):
            assert rounded[name] == content, name
        elif name == "totals.json":
            text = found[name].decode().replace('_requesters": 1,', '_requesters": "<50",')
            assert text == content.decode()
        else:
            assert found[name] == content, name
