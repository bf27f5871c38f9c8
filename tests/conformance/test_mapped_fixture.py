"""The mapped tree of dandi_s3_log_parser: its own expected outputs, totals and archive tables must come out.

The catalog is written by hand, as the fixture names no assets but by their files, and so are two lists of
networks; the old program asked services for both.

What ``--compat strict`` does not repeat byte for byte, and why:

============================================ =============================================================
output of the old program                    reason
============================================ =============================================================
lines of equal bytes in tables by region     their order is that of an unstable sort. Up to 16 lines it keeps
and by asset                                 what it is given: regions by name, paths as the catalog has them;
                                             here that holds for any number of lines
requests of one second in the table of an    the same sort; here they stand as in the logs, these in natural
asset                                        order of their names
``all_dandiset_totals.json``                 dandisets stand in the order of the file system; here by name
one row of a catalog or several that say     the services give each asset once; a row that is there twice
the same                                     counts once
keys and labels called ``NA``, ``null``,     pandas reads them as "no value", and they vanish from the archive
``nan``, ... in tables that are read back    tables; here they stay
totals with a label without ``/``            the old program stops (but for ``VPN``, ``GitHub``, ``unknown``);
                                             here a country if it is two capital letters, else no country
totals with a label with two ``/``           the old program stops; here the first one divides
requests without an address                  the old program stops; here ``unknown``
dandisets that are not on disk, or lack      ``generate_*`` stop with a traceback; here with a sentence, and
tables                                       nothing is written
assets of one version whose files would      the last one in the catalog overwrites the others, as in the old
have the same name, in different folders     program, whose order is that of the service
names that some file system cannot hold or   the old program writes outside of its folder, overwrites or
would take for one another                   stops; here they get hashes, and ``names.tsv`` says whose
asset tables of 2**63 bytes and more         sums of pandas wrap; here they are exact
``~/.dandi_s3_log_parser``, progress bars    not written
============================================ =============================================================
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tickline.pipelines.access.catalog.catalog import Catalog
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.mapped.export import export_mapped
from tickline.pipelines.access.mapped.summaries import write_archive_summaries
from tickline.pipelines.access.mapped.totals import write_archive_totals, write_dataset_totals
from tickline.pipelines.access.regions.regions import label_requesters, update_regions
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.folder import StoreFolder

pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")

MOUSE_20 = "sub-YutaMouse20/sub-YutaMouse20_ses-YutaMouse20-140327_behavior+ecephys.nwb"
MOUSE_37 = "sub-YutaMouse37/sub-YutaMouse37_ses-YutaMouse37-150610_behavior+ecephys.nwb"
ANM = "sub-anm215592/sub-anm215592_ses-20131015_obj-odx8px_behavior+icephys+ogen.nwb"
SPIM = (
    "sub-MITU01/ses-20220317h10m43s39/micr/"
    "sub-MITU01_ses-20220317h10m43s39_sample-21_stain-LEC_run-1_chunk-1_SPIM.ome.zarr"
)
CATALOG = [
    *(
        (content, "000003", version, path)
        for version in ("draft", "0.210812.1448", "0.230629.1955")
        for content, path in (
            ("58c53789-eec4-4080-ad3b-207cf2a1cac9", MOUSE_20),
            ("18b9a7e7-cdef-4c11-9944-702546a14eaa", MOUSE_37),
        )
    ),
    *(
        ("cad9e87d-9154-464c-91d6-2f08f2a9c354", "000013", version, ANM)
        for version in ("draft", "0.220126.2143")
    ),
    ("cb65c877-882b-4554-8fa1-8f4e986e13a6", "000108", "draft", SPIM),
    ("00000000-0000-0000-0000-000000000000", "000004", "draft", "nobody/asked.nwb"),
]
LISTS = {
    "aws": {"prefixes": [{"ip_prefix": "18.220.0.0/14", "region": "us-east-2", "service": "EC2"}]},
    "gcp": {"prefixes": [{"ipv4Prefix": "104.155.128.0/18", "service": "x", "scope": "us-central1"}]},
}

ARCHIVE_BY_DAY = (
    b"date\tbytes_sent\n2021-04-24\t1443\n2021-12-31\t1443\n2022-03-16\t1746\n2022-05-04\t512\n"
    b"2023-01-01\t1526223\n"
)
ARCHIVE_BY_REGION = b"region\tbytes_sent\nAWS/us-east-2\t1234\nGCP/us-central1\t512\nunknown\t1529621\n"
DATASET_TOTALS = (
    b'{"000003": {"total_bytes_sent": 2258, "number_of_unique_regions": 3, '
    b'"number_of_unique_countries": 2}, '
    b'"000013": {"total_bytes_sent": 2886, "number_of_unique_regions": 1, '
    b'"number_of_unique_countries": 0}, '
    b'"000108": {"total_bytes_sent": 1526223, "number_of_unique_regions": 1, '
    b'"number_of_unique_countries": 0}}'
)
ARCHIVE_TOTALS = (
    b'{"total_bytes_sent": 1531367, "number_of_unique_regions": 3, "number_of_unique_countries": 2}'
)
DOCUMENTS = {
    "archive_summary_by_day.tsv": ARCHIVE_BY_DAY,
    "archive_summary_by_region.tsv": ARCHIVE_BY_REGION,
    "all_dandiset_totals.json": DATASET_TOTALS,
    "archive_totals.json": ARCHIVE_TOTALS,
}
"""By hand, from the tables of the fixture: 2258 + 2886 + 1526223 = 1531367 bytes."""


@pytest.fixture
def fixture(data: Path) -> Path:
    """Return the folder of the mapping example."""
    return data / "peers" / "peer_dandi_s3_log_parser" / "mapping" / "mapped_to_dandisets_example_0"


@pytest.fixture
def store(fixture: Path, tmp_path: Path) -> Path:
    """Return a store of the binned logs, whose requesters have regions."""
    report = ingest(
        str(tmp_path / "store"), [str(fixture / "binned_logs")], IngestOptions(form="binned", settle_s=0)
    )
    assert not report.problems
    assert report.rows == 6
    for name, content in LISTS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    with StoreFolder.open(tmp_path / "store") as folder, folder.writing():
        update_regions(folder, [str(tmp_path / f"{name}.json") for name in LISTS])
        label_requesters(folder)
    return tmp_path / "store"


def _export(store: Path, out: Path, compat: str, **options: tuple[str, ...]) -> dict[str, bytes]:
    catalog = store.parent / "catalog.tsv"
    rows = (("key", "dataset", "version", "path"), *CATALOG)
    catalog.write_text("".join("\t".join(row) + "\n" for row in rows))
    with StoreFolder.open(store) as folder:
        chosen = SummaryOptions(catalog, **options)
        export_mapped(folder, Catalog(catalog, versions=True), chosen, out, compat=compat)
    return _tree(out)


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def test_strict_mapping_is_byte_identical(fixture, store, tmp_path):
    expected = _tree(fixture / "expected_output")
    assert len(expected) == 36
    assert _export(store, tmp_path / "out", "strict") == expected | DOCUMENTS


def test_mapping_in_two_runs_is_byte_identical(fixture, store, tmp_path):
    out = tmp_path / "out"
    _export(store, out, "strict", exclude_datasets=("000108",))
    found = _export(store, out, "strict", restrict_to=("000108",))
    assert found == _tree(fixture / "expected_output") | DOCUMENTS


def test_totals_and_archive_tables_come_from_a_tree_of_the_old_program(fixture, tmp_path):
    out = tmp_path / "mapped"
    shutil.copytree(fixture / "expected_output", out, copy_function=shutil.copyfile)
    assert not set(DOCUMENTS) & set(_tree(out))
    write_dataset_totals(out, "strict")
    write_archive_summaries(out)
    write_archive_totals(out, "strict")
    assert _tree(out) == _tree(fixture / "expected_output") | DOCUMENTS


def test_fixed_mapping_differs_in_nothing_but_what_it_fixes(fixture, store, tmp_path):
    found, expected = _export(store, tmp_path / "out", "fixed"), _tree(fixture / "expected_output")
    # 192.0.2.0/24 is an example network of RFC 5737, which is no region of its own in the old program.
    as_old = {name: content.replace(b"bogon", b"unknown") for name, content in found.items()}
    regions = {name for name in expected if name.endswith("by_region.tsv")}
    assert {name: as_old[name] for name in expected.keys() - regions} == {
        name: expected[name] for name in expected.keys() - regions
    }
    for name in regions:
        # Lines of equal bytes stand by their names: bogon comes before GCP, as unknown comes behind it.
        assert sorted(as_old[name].splitlines()) == sorted(expected[name].splitlines())
    assert json.loads(found["archive_totals.json"]) == {
        "total_bytes_sent": 1531367,
        "number_of_unique_regions": 2,
        "number_of_unique_countries": 0,
    }
