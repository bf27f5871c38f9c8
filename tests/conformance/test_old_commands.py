"""The commands of dandi_s3_log_parser as its documents write them, run on its own fixtures.

Every line of usage of its two generations of documents stands here as it stood there; only the folders, which
were those of one machine, and what stands between ``<`` and ``>`` are filled in. What the old program asked
the network for is given by options that it did not have: ``--catalog`` and ``--regions``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# Documents of August 2024, and notes on the runs of that year with the options of the last version.
REDUCTION_TEMPLATE = r"""
reduce_all_dandi_raw_s3_logs \
  --raw_s3_logs_folder_path < base raw S3 logs folder > \
  --reduced_s3_logs_folder_path < reduced S3 logs folder path > \
  --maximum_number_of_workers < number of workers to use > \
  --maximum_buffer_size_in_mb < approximate amount of RAM to use > \
  --excluded_ips < comma-separated list of known IPs to exclude >
"""
REDUCTION = r"""
reduce_all_dandi_raw_s3_logs \
  --raw_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs \
  --reduced_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-reduced \
  --maximum_number_of_workers 3 \
  --maximum_buffer_size_in_mb 3000 \
  --excluded_ips < Drogons IP >
"""
BINNING_TEMPLATE = r"""
bin_all_reduced_s3_logs_by_object_key \
  --reduced_s3_logs_folder_path < reduced S3 logs folder path > \
  --binned_s3_logs_folder_path < binned S3 logs folder path >
"""
BINNING = r"""
bin_all_reduced_s3_logs_by_object_key \
  --reduced_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-reduced \
  --binned_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-binned \
"""
LIMITED_BINNING = r"""
bin_all_reduced_s3_logs_by_object_key \
  --reduced_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-reduced \
  --binned_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-binned \
  --file_limit 20
"""
# In words: "The `--file_processing_limit < integer >` flag can be used to limit the number of files".
OTHER_LIMIT = LIMITED_BINNING.replace("--file_limit 20", "--file_processing_limit 20")
MAPPING_TEMPLATE = r"""
map_binned_s3_logs_to_dandisets \
  --binned_s3_logs_folder_path < binned S3 logs folder path > \
  --dandiset_logs_folder_path < mapped Dandiset logs folder > \
  --object_type < blobs or zarr >
"""
BLOB_MAPPING = r"""
map_binned_s3_logs_to_dandisets \
  --binned_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-binned \
  --dandiset_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-mapped \
  --object_type blobs
"""
MAPPING_BUT = r"""
map_binned_s3_logs_to_dandisets \
  --binned_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-binned \
  --mapped_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-mapped \
  --excluded_dandisets 000108
"""
MAPPING_ONLY = r"""
map_binned_s3_logs_to_dandisets \
  --binned_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-binned \
  --mapped_s3_logs_folder_path /mnt/backup/dandi/dandiarchive-logs-mapped \
  --restrict_to_dandisets 000108
"""
SUMMARIES = """
generate_all_dandiset_totals --mapped_s3_logs_folder_path < mapped Dandiset logs folder >
generate_archive_summaries --mapped_s3_logs_folder_path < mapped Dandiset logs folder >
update_region_codes_to_coordinates --mapped_s3_logs_folder_path < mapped Dandiset logs folder >
"""

LOGS = "/mnt/backup/dandi/dandiarchive-logs"
FILLED = {
    "< base raw S3 logs folder >": LOGS,
    "< reduced S3 logs folder path >": f"{LOGS}-reduced",
    "< binned S3 logs folder path >": f"{LOGS}-binned",
    "< mapped Dandiset logs folder >": f"{LOGS}-mapped",
    "< number of workers to use >": "2",
    "< approximate amount of RAM to use >": "1",
    "< comma-separated list of known IPs to exclude >": "203.0.113.1,203.0.113.2",
    "< Drogons IP >": "203.0.113.1",
    "< blobs or zarr >": "zarr",
}
TRACKING = ("binned_log_file_paths_started.txt", "binned_log_file_paths_completed.txt")

# By hand: which key is which asset, in the versions that the fixture has.
ASSETS = {
    "18b9a7e7-cdef-4c11-9944-702546a14eaa": (
        "000003",
        ("0.210812.1448", "0.230629.1955", "draft"),
        "sub-YutaMouse37/sub-YutaMouse37_ses-YutaMouse37-150610_behavior+ecephys.nwb",
    ),
    "58c53789-eec4-4080-ad3b-207cf2a1cac9": (
        "000003",
        ("0.210812.1448", "0.230629.1955", "draft"),
        "sub-YutaMouse20/sub-YutaMouse20_ses-YutaMouse20-140327_behavior+ecephys.nwb",
    ),
    "cad9e87d-9154-464c-91d6-2f08f2a9c354": (
        "000013",
        ("0.220126.2143", "draft"),
        "sub-anm215592/sub-anm215592_ses-20131015_obj-odx8px_behavior+icephys+ogen.nwb",
    ),
    "cb65c877-882b-4554-8fa1-8f4e986e13a6": (
        "000108",
        ("draft",),
        "sub-MITU01/ses-20220317h10m43s39/micr/"
        "sub-MITU01_ses-20220317h10m43s39_sample-21_stain-LEC_run-1_chunk-1_SPIM.ome.zarr",
    ),
}
AWS = {"prefixes": [{"ip_prefix": "18.216.0.0/13", "region": "us-east-2", "service": "EC2"}]}
GCP = {"prefixes": [{"ipv4Prefix": "104.155.128.0/18", "scope": "us-central1", "service": "Google Cloud"}]}


class Shell:
    """A machine on which the old names are commands and the folders of the documents are below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.reduced, self.binned, self.mapped = (
            root / f"logs-{name}" for name in ("reduced", "binned", "mapped")
        )
        self.raw = root / "logs"
        path = f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "HOME": str(root), "NO_COLOR": "1"}
        for name in ("IPINFO_CREDENTIALS", "IPINFO_API_KEY", "IP_HASH_SALT", "OPENCAGE_API_KEY"):
            self.environment.pop(name, None)
        install = [sys.executable, "-m", "tickline", "compat", "install", "--bin", str(root / "bin")]
        subprocess.run(install, check=True, capture_output=True)

    def run(self, text: str, *more: object, check: int = 0) -> str:
        """Run a line of the documents with everything filled in, and `more` behind it."""
        for blank, value in FILLED.items():
            text = text.replace(blank, value)
        text = text.strip().removesuffix("\\").replace(LOGS, str(self.raw))
        assert "<" not in text
        script = "\n".join(["set -e", " ".join([text, *map(str, more)])])
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=300,
            check=False,
        )
        assert done.returncode == check, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def shell(access, tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def tree(folder: Path) -> dict[str, bytes]:
    """Return the files of a tree; what lies under a dot is the command's own memory."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def catalog(path: Path) -> Path:
    rows = [f"{key}\t{dandiset}\t{version}\t{asset}" for key, (dandiset, versions, asset) in ASSETS.items()
            for version in versions]  # fmt: skip
    path.write_text("\n".join(["key\tdataset\tversion\tpath", *rows, ""]))
    return path


def offline(shell: Shell) -> list[object]:
    """Return the options that stand for the network."""
    options: list[object] = ["--catalog", catalog(shell.root / "catalog.tsv")]
    for name, content in (("aws", AWS), ("gcp", GCP)):
        (shell.root / name).write_text(json.dumps(content))
        options += ["--regions", shell.root / name]
    return options


@pytest.mark.parametrize("line", [REDUCTION_TEMPLATE, REDUCTION], ids=["template", "example"])
@pytest.mark.parametrize("example", range(3))
def test_documented_reductions_give_the_expected_tables(shell, data, example, line):
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "reduction" / f"reduction_example_{example}"
    shutil.copytree(folder / "raw_logs", shell.raw)
    shell.run(line)
    assert tree(shell.reduced) == tree(folder / "expected_output")
    shell.run(line)
    assert tree(shell.reduced) == tree(folder / "expected_output")


@pytest.mark.parametrize(
    "line",
    [BINNING_TEMPLATE, BINNING, LIMITED_BINNING, OTHER_LIMIT],
    ids=["template", "example", "limit", "other limit"],
)
def test_documented_binnings_give_the_expected_tables(shell, data, line):
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "binning" / "binning_example_0"
    shutil.copytree(folder / "reduced_logs", shell.reduced)
    expected = tree(folder / "expected_output")
    shell.run(line)
    assert tree(shell.binned) == expected
    shell.run(line)
    assert tree(shell.binned) == expected


@pytest.mark.parametrize("line", [MAPPING_TEMPLATE, BLOB_MAPPING], ids=["template", "example"])
def test_documented_mappings_of_one_type_give_the_expected_tables(shell, data, line):
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "mapping" / "mapped_to_dandisets_example_0"
    shutil.copytree(folder / "binned_logs", shell.binned)
    text = shell.run(line, *offline(shell))
    assert "blobs and zarr were mapped" in text
    assert dandisets(shell.mapped) == tree(folder / "expected_output")


def test_documented_mappings_in_two_runs_give_the_expected_tables_and_sums(shell, data):
    folder = data / "peers" / "peer_dandi_s3_log_parser" / "mapping" / "mapped_to_dandisets_example_0"
    shutil.copytree(folder / "binned_logs", shell.binned)
    expected = tree(folder / "expected_output")
    shell.run(MAPPING_BUT, *offline(shell))
    assert dandisets(shell.mapped) == {
        name: content for name, content in expected.items() if name[:6] != "000108"
    }
    shell.run(MAPPING_ONLY, *offline(shell))
    assert dandisets(shell.mapped) == expected
    shell.run(SUMMARIES)
    shell.run("generate_archive_totals --mapped_s3_logs_folder_path < mapped Dandiset logs folder >")
    totals = json.loads((shell.mapped / "all_dandiset_totals.json").read_bytes())
    # The fixture is older than the sums that the old program's own test expects: it has 512 bytes less.
    names = ("number_of_unique_countries", "number_of_unique_regions", "total_bytes_sent")
    assert {dandiset: tuple(each[name] for name in names) for dandiset, each in totals.items()} == {
        "000003": (2, 3, 2258),
        "000013": (0, 1, 2886),
        "000108": (0, 1, 1526223),
    }
    archive = json.loads((shell.mapped / "archive_totals.json").read_bytes())
    assert archive == {
        "total_bytes_sent": 1531367,
        "number_of_unique_regions": 3,
        "number_of_unique_countries": 2,
    }
    assert (shell.mapped / "archive_summary_by_day.tsv").read_text() == (
        "date\tbytes_sent\n2021-04-24\t1443\n2021-12-31\t1443\n2022-03-16\t1746\n2022-05-04\t512\n"
        "2023-01-01\t1526223\n"
    )
    assert (shell.mapped / "archive_summary_by_region.tsv").read_text() == (
        "region\tbytes_sent\nAWS/us-east-2\t1234\nGCP/us-central1\t512\nunknown\t1529621\n"
    )
    places = json.loads(
        (shell.root / ".cache/dandi_s3_log_parser/region_codes_to_coordinates.json").read_bytes()
    )
    assert places["unknown"] == {"latitude": None, "longitude": None}


def dandisets(mapped: Path) -> dict[str, bytes]:
    """Return the files of the dandisets: totals lie beside their folders."""
    return {name: content for name, content in tree(mapped).items() if "/" in name}


def test_the_three_steps_one_after_the_other_lose_nothing(shell, data):
    raw = data / "peers" / "peer_dandi_s3_log_parser" / "reduction" / "reduction_example_1" / "raw_logs"
    shutil.copytree(raw, shell.raw)
    shell.run(REDUCTION)
    shell.run(BINNING)
    reduced = [line for content in tree(shell.reduced).values() for line in content.splitlines()[1:]]
    binned = [line for content in tree(shell.binned).values() for line in content.splitlines()[1:]]
    assert len(binned) == len(reduced) > 0
    keys = {line.split(b"\t")[2].decode() for line in reduced}
    assert {f"{key}.tsv" for key in keys} == tree(shell.binned).keys()


def test_a_table_of_coordinates_of_s3_log_extraction_is_written_as_it_was_read(data, tmp_path):
    from tickline.pipelines.access.regions.coordinates import (
        read_coordinates,
        region_coordinates,
        write_coordinates,
    )

    name = "region_codes_to_coordinates.yaml"
    expected = data / "peers" / "peer_s3_log_extraction" / "expected_output" / "ips" / name
    shutil.copyfile(expected, tmp_path / name)
    known = read_coordinates(tmp_path, form="yaml")
    assert len(known.regions) > 30
    found = region_coordinates(known.regions, mmdb=None, opencage=None, cache=tmp_path / "cache", known=known)
    write_coordinates(tmp_path / "again", found, form="yaml")
    assert (tmp_path / "again" / name).read_bytes() == expected.read_bytes()
