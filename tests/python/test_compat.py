"""The old commands under their old names: options, launchers, and going on with what the old program left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from python import regions_support as made
from python.access_support import HEADER, environment, line, log, row, rows, run, tree
from python.dandi_support import FakeDandi, fake_dandi, key_of
from python.http_support import RUBBISH, WebServer, http_server, ok, ok_json, status
from tickline.cli import app, compat_coordinates
from tickline.cli.compat_install import install
from tickline.cli.compat_reduce import reduce_options
from tickline.cli.compat_trees import old_caches, store_of
from tickline.clients.http import HttpClient
from tickline.clients.opencage import OpenCage
from tickline.errors import SourceError, UsageError
from tickline.pipelines.access.regions import sources as region_sources
from tickline.pipelines.access.regions.regions import update_regions
from tickline.store.folder import StoreFolder
from tickline.store.settings import WantedSettings

NAMES = (
    "reduce_all_dandi_raw_s3_logs",
    "bin_all_reduced_s3_logs_by_object_key",
    "map_binned_s3_logs_to_dandisets",
    "generate_all_dandiset_totals",
    "generate_archive_summaries",
    "generate_archive_totals",
    "update_region_codes_to_coordinates",
)
REDUCE, BIN, MAP, TOTALS, SUMMARIES, ARCHIVE, COORDINATES = NAMES
# Those of logparser have their tests in test_connections_compat.py.
LAUNCHERS = (*NAMES, "logparser", "logparser-make")
OPTIONS = {
    REDUCE: "raw_s3_logs_folder_path base_raw_s3_logs_folder_path reduced_s3_logs_folder_path "
    "maximum_number_of_workers maximum_buffer_size_in_mb excluded_years excluded_ips",
    BIN: "reduced_s3_logs_folder_path binned_s3_logs_folder_path file_limit file_processing_limit",
    MAP: "binned_s3_logs_folder_path mapped_s3_logs_folder_path dandiset_logs_folder_path object_type "
    "excluded_dandisets restrict_to_dandisets dandiset_limit catalog regions",
    TOTALS: "mapped_s3_logs_folder_path",
    SUMMARIES: "mapped_s3_logs_folder_path",
    ARCHIVE: "mapped_s3_logs_folder_path",
    COORDINATES: "mapped_s3_logs_folder_path cache_directory maximum_iterations store",
}


def call(name: str, *arguments: object, check: int = 0, **variables: str) -> tuple[str, str]:
    """Run an old command, and return what it printed."""
    variables = {"NO_COLOR": "1", "COLUMNS": "200", **variables}
    done = CliRunner(env=variables).invoke(app, ["compat", name, *map(str, arguments)])
    assert done.exit_code == check, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.stdout, done.stderr


def reduce(raw: Path, reduced: Path, *more: object, check: int = 0) -> tuple[str, str]:
    folders = ("--raw_s3_logs_folder_path", raw, "--reduced_s3_logs_folder_path", reduced)
    return call(REDUCE, *folders, *more, check=check)


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# ---- names and options -------------------------------------------------------------------------------------


def test_every_old_name_is_a_command_with_its_old_options() -> None:
    listed = run("compat", "--help", check=0).stdout.decode()
    for name in NAMES:
        assert name in listed
        text, _ = call(name, "--help")
        for option in OPTIONS[name].split():
            assert re.search(rf"--{option}\b", text), (name, option)


@pytest.mark.parametrize("name", NAMES)
def test_a_command_without_its_folders_is_wrong_usage(name: str) -> None:
    _, errors = call(name, check=2)
    assert "Missing option" in errors


def test_every_option_of_the_old_commands_stands_in_their_page() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "old-programs.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"`{name}`" in page
        for option in OPTIONS[name].split():
            assert re.search(rf"--{option}`", page), (name, option)


# ---- launchers ---------------------------------------------------------------------------------------------


def test_launchers_carry_the_old_names(tmp_path: Path) -> None:
    folder = tmp_path / "a folder's bin"
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "tickline", "compat", "install", "--bin", str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, env=environment(PATH=path))
    assert done.stdout == f"9 launchers written, 0 unchanged: {folder}\n".encode()
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(LAUNCHERS)
    raw, reduced = tmp_path / "raw logs", tmp_path / "reduced"
    written(raw / "2024/05/01.log", log(0, 5))
    done = subprocess.run(
        [REDUCE, "--raw_s3_logs_folder_path", raw, "--reduced_s3_logs_folder_path", reduced],
        capture_output=True,
        check=True,
        env=environment(PATH=path),
    )
    assert (reduced / "2024/05/01.tsv").read_bytes() == HEADER + rows(0, 5)


def test_an_install_again_changes_nothing_and_one_of_another_python_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(install(tmp_path, NAMES).written) == 7
    before = tree(tmp_path)
    again = install(tmp_path, NAMES)
    assert (len(again.written), len(again.unchanged)) == (0, 7)
    monkeypatch.setattr(sys, "executable", "/opt/another one/bin/python")
    assert len(install(tmp_path, NAMES).written) == 7
    assert "exec '/opt/another one/bin/python' -m tickline compat" in (tmp_path / BIN).read_text()
    monkeypatch.undo()
    (tmp_path / BIN).chmod(0o644)
    install(tmp_path, NAMES)
    assert tree(tmp_path) == before
    assert os.access(tmp_path / BIN, os.X_OK)


def test_a_folder_off_the_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert install(tmp_path / "bin", NAMES).off_path
    (tmp_path / "link").symlink_to(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"/usr/bin:{tmp_path / 'link'}:")
    assert not install(tmp_path / "bin", NAMES).off_path


@pytest.mark.parametrize("kind", ["script", "link", "broken link", "folder"])
def test_what_is_no_launcher_is_not_written_over(tmp_path: Path, kind: str) -> None:
    other = tmp_path / MAP
    target = written(tmp_path / "elsewhere", b"#!/usr/bin/python3\nimport dandi_s3_log_parser\n")
    if kind == "script":
        other.write_bytes(target.read_bytes())
    elif kind == "folder":
        other.mkdir()
    else:
        other.symlink_to(target if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(UsageError, match=f"{MAP}: exists and is no launcher of Tickline"):
        install(tmp_path, NAMES)
    assert not (tmp_path / REDUCE).exists()
    if kind == "folder":
        with pytest.raises(SourceError, match="is a folder"):
            install(tmp_path, NAMES, force=True)
        return
    assert len(install(tmp_path, NAMES, force=True).written) == 7
    assert not other.is_symlink()
    assert target.read_bytes().startswith(b"#!/usr/bin/python3")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    written(tmp_path / "file", b"")
    with pytest.raises(SourceError, match="file: exists already and is no folder"):
        install(tmp_path / "file", NAMES)


# ---- reduction ---------------------------------------------------------------------------------------------


def test_reduction_keeps_what_the_old_one_kept(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    lines = [
        line(1),
        line(2, operation="REST.HEAD.OBJECT"),
        line(3, status="304"),
        line(4, status="206"),
        line(5, key="zarr/one/0/1"),
        line(6, key="other/one"),
        line(7).replace(
            " - REQUEST", "  arn:aws:iam::1:user/x REQUEST"
        ),  # an extra blank: lost by the old one
        line(8, ip="192.0.2.99"),
        line(9, ip="2001:db8::1"),
    ]
    written(raw / "2024/05/01.log", "\n".join(lines).encode() + b"\n")
    written(raw / "2024/05/02.log", line(2, status="404").encode() + b"\n")
    written(raw / "2023/05/02.log", log(1, 2))
    written(raw / "2024/05/notes.log", log(1, 2))
    excluded = ("--excluded_ips", "192.0.2.99,2001:0db8:0::1", "--excluded_years", "2023,2019")
    text, _ = reduce(raw, tmp_path / "reduced", "--maximum_number_of_workers", 2, *excluded)
    assert tree(tmp_path / "reduced", state=False) == {
        "2024/05/01.tsv": HEADER + row(1) + row(4) + b"2024-05-01T00:00:05\t192.0.2.5\tzarr/one\t35\n",
        "2024/05/02.tsv": b"",
    }
    assert "excluded year 1" in text
    assert "not named by a day 1" in text


def test_older_names_of_options_are_taken(tmp_path: Path) -> None:
    written(tmp_path / "raw/2024/05/01.log", log(0, 3))
    folders = ("--base_raw_s3_logs_folder_path", tmp_path / "raw")
    call(REDUCE, *folders, "--reduced_s3_logs_folder_path", tmp_path / "out", "--quiet")
    assert (tmp_path / "out/2024/05/01.tsv").read_bytes() == HEADER + rows(0, 3)


def test_excluded_years_go_by_the_folder_and_not_by_the_line(tmp_path: Path) -> None:
    # AWS delivers late: the log of New Year's Day holds lines of the old year.
    written(tmp_path / "raw/2024/01/01.log", line(1, time="31/Dec/2023:23:59:59").encode() + b"\n")
    reduce(tmp_path / "raw", tmp_path / "out", "--excluded_years", "2023")
    assert (tmp_path / "out/2024/01/01.tsv").read_bytes().count(b"2023-12-31T23:59:59") == 1


def test_tables_of_the_old_program_are_not_made_again_if_they_are_whole(tmp_path: Path) -> None:
    raw, reduced = tmp_path / "raw", tmp_path / "reduced"
    for day in range(1, 8):
        written(raw / f"2024/05/0{day}.log", log(day * 10, day * 10 + 3))
    whole = HEADER + b"2020-01-01T00:00:00\t192.0.2.1\tblobs/old\t1\n"
    old = {
        "01": whole,
        "02": b"",
        "03": whole[:-1],
        "04": HEADER[:20],
        "05": b"other\tcolumns\n",
        "06": HEADER,
    }
    for day, content in old.items():
        written(reduced / f"2024/05/{day}.tsv", content)
    kept = {"01": whole, "02": b"", "06": HEADER}
    made_ = {day: HEADER + rows(int(day) * 10, int(day) * 10 + 3) for day in ("03", "04", "05", "07")}
    expected = {f"2024/05/{day}.tsv": content for day, content in sorted({**kept, **made_}.items())}
    # Days of 2024 for the files of the old program: before the first run of ours.
    for path in reduced.rglob("*.tsv"):
        os.utime(path, ns=(10**18, 10**18))
    for run_ in range(2):
        text, _ = reduce(raw, reduced)
        assert "reduced by the old program 3" in text, run_
        assert tree(reduced, state=False) == expected
    # What came later is not the old program's, whatever it looks like.
    written(reduced / "2024/05/08.tsv", whole)
    written(raw / "2024/05/08.log", log(80, 83))
    written(raw / "2024/05/03.log", log(30, 35))
    # Nor is what ours made, though it was copied with another time.
    os.utime(reduced / "2024/05/07.tsv", ns=(10**18, 10**18))
    written(raw / "2024/05/07.log", log(70, 75))
    reduce(raw, reduced)
    expected |= {"2024/05/03.tsv": HEADER + rows(30, 35), "2024/05/08.tsv": HEADER + rows(80, 83)}
    assert tree(reduced, state=False) == expected | {"2024/05/07.tsv": HEADER + rows(70, 75)}


def test_the_memory_is_never_less_than_what_is_needed(tmp_path: Path) -> None:
    for megabytes, expected in ((1, 150), (3000, 3000)):
        options = reduce_options(
            tmp_path, tmp_path / "out", workers=3, buffer_mb=megabytes, years=None, addresses=None
        )
        assert (options.memory_bytes, options.threads) == (expected * 10**6, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--excluded_ips", "< Drogons IP >"), "'< Drogons IP >' is no address and no network"),
        (("--excluded_ips", ""), "no address is named"),
        (("--excluded_years", "19"), "'19' is no year"),
        (("--maximum_number_of_workers", "0"), "maximum_number_of_workers"),
        (("--maximum_buffer_size_in_mb", "0"), "maximum_buffer_size_in_mb"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    written(tmp_path / "raw/2024/05/01.log", log(0, 3))
    _, errors = reduce(tmp_path / "raw", tmp_path / "out", *arguments, check=2)
    assert words in errors
    assert not (tmp_path / "out").exists()


def test_a_log_that_cannot_be_read_is_named_and_the_others_are_reduced(tmp_path: Path) -> None:
    written(tmp_path / "raw/2024/05/01.log", log(0, 3))
    written(tmp_path / "raw/2024/05/02.log.gz", b"\x1f\x8b\x08\x00cut")
    _, errors = reduce(tmp_path / "raw", tmp_path / "out", check=1)
    assert "02.log.gz" in errors
    assert tree(tmp_path / "out", state=False) == {"2024/05/01.tsv": HEADER + rows(0, 3)}


# ---- binning -----------------------------------------------------------------------------------------------

REDUCED_HEADER, BINNED_HEADER = HEADER, b"timestamp\tbytes_sent\tip_address\n"


def reduced_row(day: str, number: int, key: str) -> bytes:
    return f"2024-05-{day}T00:00:{number:02d}\t192.0.2.{number}\t{key}\t{number * 10}\n".encode()


def binned_row(day: str, number: int) -> bytes:
    return f"2024-05-{day}T00:00:{number:02d}\t{number * 10}\t192.0.2.{number}\n".encode()


def reduced_day(reduced: Path, day: str, *keyed: tuple[int, str]) -> Path:
    content = b"".join(reduced_row(day, number, key) for number, key in keyed)
    return written(reduced / f"2024/05/{day}.tsv", REDUCED_HEADER + content if keyed else b"")


def bin_(reduced: Path, binned: Path, *more: object, check: int = 0) -> tuple[str, str]:
    folders = ("--reduced_s3_logs_folder_path", reduced, "--binned_s3_logs_folder_path", binned)
    return call(BIN, *folders, *more, check=check)


ONE, TWO, ZARR = "blobs/abc/def/one", "blobs/abc/def/two", "zarr/three"


def test_binning_makes_a_table_for_each_key_and_appends_new_days(tmp_path: Path) -> None:
    reduced, binned = tmp_path / "reduced", tmp_path / "binned"
    reduced_day(reduced, "02", (3, ONE), (1, TWO), (2, ONE))
    reduced_day(reduced, "10", (4, ONE), (5, ZARR))
    reduced_day(reduced, "03")
    text, _ = bin_(reduced, binned)
    assert text == "tables: 3 new; 5 rows added\nfiles: 3 written, 0 unchanged, 0 removed\n"
    expected = {
        f"{ONE}.tsv": BINNED_HEADER + binned_row("02", 3) + binned_row("02", 2) + binned_row("10", 4),
        f"{TWO}.tsv": BINNED_HEADER + binned_row("02", 1),
        f"{ZARR}.tsv": BINNED_HEADER + binned_row("10", 5),
    }
    assert tree(binned, state=False) == expected
    assert bin_(reduced, binned)[0] == (
        "tables: 3 unchanged; 0 rows added\nfiles: 0 written, 3 unchanged, 0 removed\n"
    )
    reduced_day(reduced, "11", (6, TWO))
    assert "1 written, 2 unchanged" in bin_(reduced, binned)[0]
    expected[f"{TWO}.tsv"] += binned_row("11", 6)
    assert tree(binned, state=False) == expected
    assert binned.stat().st_mode & 0o777 == 0o700
    assert (binned / f"{ONE}.tsv").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("option", ["--file_limit", "--file_processing_limit"])
def test_a_limit_takes_so_many_new_tables_by_name(tmp_path: Path, option: str) -> None:
    reduced, binned = tmp_path / "reduced", tmp_path / "binned"
    for day in ("01", "02", "03", "10"):
        reduced_day(reduced, day, (int(day), ONE))
    rows_of_days = [binned_row(day, int(day)) for day in ("01", "02", "03", "10")]
    for taken in (3, 4, 4):
        bin_(reduced, binned, option, 3)
        assert (binned / f"{ONE}.tsv").read_bytes() == BINNED_HEADER + b"".join(rows_of_days[:taken])
    # A table that changed has its turn when none is new.
    reduced_day(reduced, "01", (7, ONE))
    bin_(reduced, binned, option, 3)
    assert binned_row("01", 7) in (binned / f"{ONE}.tsv").read_bytes()


def test_a_cut_table_is_named_and_the_others_are_binned(tmp_path: Path) -> None:
    reduced, binned = tmp_path / "reduced", tmp_path / "binned"
    reduced_day(reduced, "01", (1, ONE))
    cut = reduced_day(reduced, "02", (2, ONE), (3, TWO))
    cut.write_bytes(cut.read_bytes()[:-3])
    _, errors = bin_(reduced, binned, check=1)
    assert f"{cut}, line 3" in errors
    assert "192.0.2." not in errors
    assert tree(binned, state=False) == {f"{ONE}.tsv": BINNED_HEADER + binned_row("01", 1)}
    reduced_day(reduced, "02", (2, ONE), (3, TWO))
    bin_(reduced, binned)
    assert tree(binned, state=False)[f"{ONE}.tsv"] == BINNED_HEADER + binned_row("01", 1) + binned_row(
        "02", 2
    )


def old_tree(reduced: Path, binned: Path) -> dict[str, bytes]:
    """Write what the old program makes of two days, in the order in which it came upon them."""
    second = reduced_day(reduced, "02", (2, ONE))
    first = reduced_day(reduced, "01", (1, ONE), (3, TWO))
    written(binned / f"{ONE}.tsv", BINNED_HEADER + binned_row("02", 2) + binned_row("01", 1))
    written(binned / f"{TWO}.tsv", BINNED_HEADER + binned_row("01", 3))
    for name in ("started", "completed"):
        written(binned / f"binned_log_file_paths_{name}.txt", f"{second}\n{first}\n".encode())
    return tree(binned)


def test_a_tree_of_the_old_program_is_made_anew_where_all_its_logs_are_there(tmp_path: Path) -> None:
    reduced, binned = tmp_path / "reduced", tmp_path / "binned"
    old_tree(reduced, binned)
    (binned / f"{TWO}.tsv").write_bytes(BINNED_HEADER)  # what a crash leaves
    # The folder may have another name than then.
    reduced = reduced.rename(tmp_path / "moved")
    reduced_day(reduced, "03", (4, TWO))
    bin_(reduced, binned)
    found = tree(binned, state=False)
    assert found[f"{ONE}.tsv"] == BINNED_HEADER + binned_row("01", 1) + binned_row("02", 2)
    assert found[f"{TWO}.tsv"] == BINNED_HEADER + binned_row("01", 3) + binned_row("03", 4)
    # From now on the store knows: what the old lists name may go.
    (reduced / "2024/05/01.tsv").unlink()
    bin_(reduced, binned)
    assert tree(binned, state=False) == found


def test_a_tree_of_the_old_program_stays_where_a_log_of_it_is_gone(tmp_path: Path) -> None:
    reduced, binned = tmp_path / "reduced", tmp_path / "binned"
    before = old_tree(reduced, binned)
    # Elsewhere is no help: it would not be binned.
    (reduced / "2024/05/01.tsv").rename(written(tmp_path / "2024/05/01.tsv", b""))
    names = (binned / "binned_log_file_paths_completed.txt").read_bytes()
    names += f"{tmp_path}/2024/05/01.tsv\n".encode()
    before["binned_log_file_paths_completed.txt"] = names
    written(binned / "binned_log_file_paths_completed.txt", names)
    _, errors = bin_(reduced, binned, check=2)
    assert "was made of reduced logs that are gone (2 of them, such as" in errors
    for name in ("started", "completed"):
        (binned / f"binned_log_file_paths_{name}.txt").unlink()
        before.pop(f"binned_log_file_paths_{name}.txt")
    _, errors = bin_(reduced, binned, check=2)
    assert "holds tables, and nothing tells which reduced logs they were made of" in errors
    assert tree(binned) == before


@pytest.mark.parametrize("inside", ["reduced", "reduced/binned", "."])
def test_trees_within_one_another_are_refused(tmp_path: Path, inside: str) -> None:
    reduced_day(tmp_path / "reduced", "01", (1, ONE))
    before = tree(tmp_path)
    _, errors = bin_(tmp_path / "reduced", tmp_path / inside, check=2)
    assert "the reduced logs" in errors
    assert tree(tmp_path) == before


def test_a_folder_without_reduced_logs_is_named(tmp_path: Path) -> None:
    _, errors = bin_(tmp_path / "none", tmp_path / "binned", check=2)
    assert str(tmp_path / "none") in errors
    (tmp_path / "empty").mkdir()
    _, errors = bin_(tmp_path / "empty", tmp_path / "binned", check=1)
    assert str(tmp_path / "empty") in errors


# ---- mapping -----------------------------------------------------------------------------------------------

CATALOG = (
    "key\tdataset\tversion\tpath\n"
    "one\t000001\t0.1\tsub/one.nwb\none\t000001\tdraft\tsub/one.nwb\n"
    "two\t000002\tdraft\ttwo.mp4\nthree\t000003\tdraft\tthree.zarr\n"
)
NETWORKS = "192.0.2.1/32\tDE/Bavaria\n192.0.2.2/31\tAWS/us-east-2\n"


def map_(binned: Path, mapped: Path, *more: object, check: int = 0, **variables: str) -> tuple[str, str]:
    base = binned.parent
    options = ("--catalog", written(base / "catalog.tsv", CATALOG.encode()))
    options += ("--regions", written(base / "networks", NETWORKS.encode()))
    folders = ("--binned_s3_logs_folder_path", binned, "--mapped_s3_logs_folder_path", mapped)
    return call(MAP, *folders, *options, *more, check=check, **variables)


def binned_tree(tmp_path: Path) -> Path:
    """Bin four rows of three keys."""
    reduced = tmp_path / "reduced"
    reduced_day(reduced, "01", (1, ONE), (2, TWO), (3, ZARR))
    reduced_day(reduced, "02", (4, ONE))
    bin_(reduced, tmp_path / "binned")
    return tmp_path / "binned"


def asset(*rows_: tuple[str, int, str]) -> bytes:
    lines = [
        f"{at}\t2024-05-{day}T00:00:{number:02d}\t{number * 10}\t{region}\n"
        for at, (day, number, region) in enumerate(rows_)
    ]
    return "".join(["\ttimestamp\tbytes_sent\tregion\n", *lines]).encode()


ASSETS = {
    "000001/0.1/one_nwb.tsv": asset(("01", 1, "DE/Bavaria"), ("02", 4, "unknown")),
    "000001/draft/one_nwb.tsv": asset(("01", 1, "DE/Bavaria"), ("02", 4, "unknown")),
    "000002/draft/two_mp4.tsv": asset(("01", 2, "AWS/us-east-2")),
    "000003/draft/three_zarr.tsv": asset(("01", 3, "AWS/us-east-2")),
}


def assets(mapped: Path, *but: str) -> dict[str, bytes]:
    """Return the tables of assets; the summaries are the business of another test."""
    return {
        name: content
        for name, content in tree(mapped, state=False).items()
        if name.count("/") == 2 and "summary" not in name
    }


@pytest.mark.parametrize("by", ["ours", "old"])
def test_mapping_puts_regions_in_place_of_addresses(tmp_path: Path, by: str) -> None:
    binned, mapped = binned_tree(tmp_path), tmp_path / "mapped"
    if by == "old":
        plain = tree(binned, state=False)
        binned = tmp_path / "old"
        for name, content in plain.items():
            written(binned / name, content)
        written(binned / "binned_log_file_paths_started.txt", b"/somewhere/2024/05/01.tsv\n")
    text, _ = map_(binned, mapped)
    assert ("tables: 3 new; 4 rows added" in text) is (by == "old")
    assert assets(mapped) == ASSETS
    # What may be published holds no address and no key of the store.
    everything = b"".join(path.read_bytes() for path in mapped.rglob("*") if path.is_file())
    assert b"192.0.2." not in everything
    assert not list(mapped.rglob("*pseudonym*"))
    assert store_of(binned).is_dir()
    before = tree(mapped, state=False)
    text, _ = map_(binned, mapped)
    assert "files: 0 written" in text
    assert tree(mapped, state=False) == before


def test_dandisets_that_are_not_named_stay_as_they_are(tmp_path: Path) -> None:
    binned, mapped = binned_tree(tmp_path), tmp_path / "mapped"
    map_(binned, mapped, "--excluded_dandisets", "000001, 000003")
    assert assets(mapped).keys() == {"000002/draft/two_mp4.tsv"}
    map_(binned, mapped, "--restrict_to_dandisets", "000001")
    assert assets(mapped) == {name: ASSETS[name] for name in ASSETS if not name.startswith("000003")}
    map_(binned, mapped, "--dandiset_limit", "1")
    assert assets(mapped) == {name: ASSETS[name] for name in ASSETS if not name.startswith("000003")}
    limited = tmp_path / "limited"
    map_(binned, limited, "--dandiset_limit", "1", "--excluded_dandisets", "000001")
    assert assets(limited).keys() == {"000002/draft/two_mp4.tsv"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("--excluded_dandisets", "000001", "--restrict_to_dandisets", "000002"),
            "restrict_to_dandisets: cannot be used together with --excluded_dandisets",
        ),
        (("--restrict_to_dandisets", "999999"), "restrict_to_dandisets: there is no dandiset '999999'"),
        (("--excluded_dandisets", "999999"), "excluded_dandisets: there is no dandiset '999999'"),
        (("--object_type", "nwb"), "object_type: 'nwb' is none"),
        (("--dandiset_limit", "0"), "dandiset_limit"),
        # Before networks are asked for, which may take minutes.
        (("--catalog", "no.tsv", "--regions", "no.txt"), "no.tsv: the catalog cannot be read"),
    ],
)
def test_choices_that_cannot_be_meant_are_refused(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    binned = binned_tree(tmp_path)
    _, errors = map_(binned, tmp_path / "mapped", *arguments, check=2)
    assert words in errors
    assert not (tmp_path / "mapped").exists()


def test_the_older_names_of_options_are_taken(tmp_path: Path) -> None:
    binned, mapped = binned_tree(tmp_path), tmp_path / "mapped"
    folders = ("--binned_s3_logs_folder_path", binned, "--dandiset_logs_folder_path", mapped)
    regions = written(tmp_path / "networks", NETWORKS.encode())
    catalog = written(tmp_path / "catalog.tsv", CATALOG.encode())
    options = ("--object_type", "zarr", "--catalog", catalog, "--regions", regions)
    text, _ = call(MAP, *folders, *options)
    assert "note: --object_type zarr: blobs and zarr were mapped, both in one run." in text
    assert assets(mapped) == ASSETS


@pytest.mark.parametrize("damage", ["tree", "catalog", "regions"])
def test_nothing_is_mapped_from_half_of_the_data(tmp_path: Path, damage: str) -> None:
    source, mapped = binned_tree(tmp_path), tmp_path / "mapped"
    binned = tmp_path / "old"
    for name, content in tree(source, state=False).items():
        written(binned / name, content)
    map_(binned, mapped)
    before = tree(mapped)
    more: tuple[object, ...] = ()
    if damage == "tree":
        cut = binned / f"{TWO}.tsv"
        cut.write_bytes(cut.read_bytes() + binned_row("03", 5)[:-4])
        whole = binned / f"{ONE}.tsv"
        whole.write_bytes(whole.read_bytes() + binned_row("03", 6))
        named = str(cut)
    elif damage == "catalog":
        named = str(written(tmp_path / "bad.tsv", b"key\tdataset\tversion\tpath\none\t000001\n"))
        more = ("--catalog", named)
    else:
        named = str(written(tmp_path / "bad", b"192.0.2.1/24\tDE\n"))
        more = ("--regions", named)
    _, errors = map_(binned, mapped, *more, check=1)
    assert named in errors
    assert tree(mapped) == before


@contextmanager
def network(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[tuple[FakeDandi, WebServer]]:
    """Run the DANDI archive and the four lists of networks, where the command looks for them."""
    lists = {
        "github": {"hooks": ["192.0.2.1/32"], "git": ["192.0.2.1/32"]},
        "aws": {"prefixes": [{"ip_prefix": "192.0.2.0/30", "region": "us-east-2", "service": "EC2"}]},
        "gcp": {"prefixes": [{"ipv4Prefix": "192.0.2.0/29", "scope": "us-central1", "service": "Google"}]},
    }
    scripts = {f"/{name}": ok_json(content) for name, content in lists.items()}
    versions = {"0.1": {"sub/one.nwb": "one"}, "draft": {"sub/one.nwb": "one", "two.mp4": "two"}}
    with (
        fake_dandi(dandisets={"000001": versions}) as dandi,
        http_server({**scripts, "/vpn": ok(b"192.0.2.0/28\n")}) as web,
    ):
        monkeypatch.setattr("tickline.clients.dandi.API", dandi.api)
        for name in region_sources.SERVICES:
            monkeypatch.setitem(region_sources.SERVICES, name, f"{web.url}/{name}")
        monkeypatch.setenv("HOME", str(home))
        for name in ("IPINFO_CREDENTIALS", "IPINFO_API_KEY", "IP_HASH_SALT", "DANDI_API_KEY"):
            monkeypatch.delenv(name, raising=False)
        yield dandi, web


def test_a_mapping_asks_the_archive_and_the_lists_of_the_old_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = key_of("one"), key_of("two")
    reduced, binned, mapped = (tmp_path / name for name in ("reduced", "binned", "mapped"))
    reduced_day(reduced, "01", (1, one), (2, one), (4, one), (5, two), (8, two))
    bin_(reduced, binned)
    hashed = hashlib.sha1(b"192.0.2.5" + bytes.fromhex("0bad5a17")).hexdigest()
    written(tmp_path / ".dandi_s3_log_parser/ip_hash_to_region.yaml", f"{hashed}: US/Ohio\n".encode())
    folders = ("--binned_s3_logs_folder_path", binned, "--mapped_s3_logs_folder_path", mapped)
    with network(monkeypatch, tmp_path) as (dandi, web):
        text, _ = call(MAP, *folders, IP_HASH_SALT="0bad5a17")
        assert "note: IPINFO_CREDENTIALS is not set" in text
        found = assets(mapped)
        labels = ("GitHub", "AWS/us-east-2", "GCP/us-central1")
        rows_of_one = [("01", number, label) for number, label in zip((1, 2, 4), labels, strict=True)]
        assert found == {
            "000001/0.1/one_nwb.tsv": asset(*rows_of_one),
            "000001/draft/one_nwb.tsv": asset(*rows_of_one),
            "000001/draft/two_mp4.tsv": asset(("01", 5, "US/Ohio"), ("01", 8, "VPN")),
        }
        before = tree(mapped)
        # A list that does not come, a page of an unknown shape: what there was stays.
        reduced_day(reduced, "02", (6, two))
        bin_(reduced, binned)
        web.scripts["/aws"] = status(404)
        _, errors = call(MAP, *folders, check=1, IP_HASH_SALT="0bad5a17")
        assert f"{web.url}/aws" in errors
        web.scripts["/aws"] = RUBBISH
        call(MAP, *folders, check=1, IP_HASH_SALT="0bad5a17")
        dandi.wrong["dandisets/"] = ok_json({"dandisets": []})
        _, errors = call(MAP, *folders, check=1, IP_HASH_SALT="0bad5a17")
        assert dandi.api in errors
        assert tree(mapped) == before


def test_a_tree_that_was_mapped_as_it_was_is_not_binned_into(tmp_path: Path) -> None:
    source = binned_tree(tmp_path)
    binned = tmp_path / "old"
    for name, content in tree(source, state=False).items():
        written(binned / name, content)
    map_(binned, tmp_path / "mapped")
    _, errors = bin_(tmp_path / "reduced", binned, check=2)
    assert "holds tables of the old program, which are in its store already" in errors


def test_an_old_tree_that_grew_is_mapped_again(tmp_path: Path) -> None:
    source, mapped = binned_tree(tmp_path), tmp_path / "mapped"
    binned = tmp_path / "old"
    for name, content in tree(source, state=False).items():
        written(binned / name, content)
    map_(binned, mapped)
    table = binned / f"{TWO}.tsv"
    table.write_bytes(table.read_bytes() + binned_row("03", 1))
    map_(binned, mapped)
    name = "000002/draft/two_mp4.tsv"
    assert assets(mapped) == {**ASSETS, name: asset(("01", 2, "AWS/us-east-2"), ("03", 1, "DE/Bavaria"))}


# ---- totals of a mapped tree -------------------------------------------------------------------------------


def mapped_tree(path: Path) -> Path:
    """Write the summaries of two dandisets, as the old program does."""
    tables = {
        "000003": {
            "date": {"2021-04-24": 1443, "2022-03-16": 1746},
            "region": {"unknown": 1955, "AWS/us-east-2": 1234},
        },
        "000013": {"date": {"2022-05-04": 512}, "region": {"US/Ohio": 512}},
    }
    for dandiset, columns in tables.items():
        for column, sums in columns.items():
            name = {"date": "day", "region": "region"}[column]
            text = "".join(f"{key}\t{value}\n" for key, value in sums.items())
            content = f"{column}\tbytes_sent\n{text}".encode()
            written(path / dandiset / f"dandiset_summary_by_{name}.tsv", content)
    return path


def test_totals_and_summaries_are_made_of_a_mapped_tree(tmp_path: Path) -> None:
    mapped = mapped_tree(tmp_path / "mapped")
    folder = ("--mapped_s3_logs_folder_path", mapped)
    assert call(TOTALS, *folder)[0] == "all_dandiset_totals.json written\n"
    assert (
        call(SUMMARIES, *folder)[0]
        == "archive_summary_by_day.tsv written\narchive_summary_by_region.tsv written\n"
    )
    assert call(ARCHIVE, "--dandiset_logs_folder_path", mapped)[0] == "archive_totals.json written\n"
    assert call(ARCHIVE, *folder)[0] == "nothing new: every file is as it was\n"
    assert json.loads((mapped / "all_dandiset_totals.json").read_bytes()) == {
        # The region of the cloud counts as a country "US", as before, and "unknown" as a region.
        "000003": {"total_bytes_sent": 3189, "number_of_unique_regions": 2, "number_of_unique_countries": 1},
        "000013": {"total_bytes_sent": 512, "number_of_unique_regions": 1, "number_of_unique_countries": 1},
    }
    assert json.loads((mapped / "archive_totals.json").read_bytes()) == {
        "total_bytes_sent": 3701, "number_of_unique_regions": 3, "number_of_unique_countries": 1,
    }  # fmt: skip
    assert (mapped / "archive_summary_by_region.tsv").read_text() == (
        "region\tbytes_sent\nAWS/us-east-2\t1234\nUS/Ohio\t512\nunknown\t1955\n"
    )


@pytest.mark.parametrize("name", [TOTALS, SUMMARIES, ARCHIVE])
def test_a_cut_table_leaves_everything_as_it_was(tmp_path: Path, name: str) -> None:
    mapped = mapped_tree(tmp_path / "mapped")
    call(SUMMARIES, "--mapped_s3_logs_folder_path", mapped)
    cut = mapped / ("archive_summary_by_day.tsv" if name == ARCHIVE else "000013/dandiset_summary_by_day.tsv")
    cut.write_bytes(cut.read_bytes()[:-2])
    before = tree(mapped)
    _, errors = call(name, "--mapped_s3_logs_folder_path", mapped, check=1)
    assert str(cut) in errors
    assert tree(mapped) == before


@pytest.mark.parametrize("name", [TOTALS, SUMMARIES, ARCHIVE, COORDINATES])
def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path: Path, name: str) -> None:
    _, errors = call(name, "--mapped_s3_logs_folder_path", tmp_path / "none", check=2)
    assert str(tmp_path / "none") in errors
    assert not (tmp_path / "none").exists()


# ---- coordinates -------------------------------------------------------------------------------------------


def regions_table(mapped: Path, *labels: str) -> Path:
    content = "region\tbytes_sent\n" + "".join(f"{label}\t1\n" for label in labels)
    written(mapped / "archive_summary_by_region.tsv", content.encode())
    return mapped


def city_store(path: Path) -> Path:
    """Make a store with a City database and the networks of AWS."""
    record = {**made.place("KR", "Incheon"), "location": {"latitude": 37.46, "longitude": 126.7}}
    database = made.mmdb(path.parent / "city.mmdb", {"3.5.140.0/22": record})
    aws = made.written(path.parent / "aws.json", made.AWS)
    with StoreFolder.open_or_create(path, WantedSettings()) as folder, folder.writing():
        update_regions(folder, [aws, database])
    return path


def test_coordinates_come_from_the_store_and_stay_where_they_were(tmp_path: Path) -> None:
    mapped = regions_table(
        tmp_path / "mapped", "AWS/ap-northeast-2", "KR/Incheon", "VPN", "US/Ohio", "unknown"
    )
    store = city_store(tmp_path / "store")
    files = tmp_path / "cache" / "dandi_s3_log_parser"
    old = {
        "AWS/us-east-2": {"latitude": 39.9612, "longitude": -82.9988},
        "VPN": {"latitude": None, "longitude": None},
    }
    written(files / "region_codes_to_coordinates.json", json.dumps(old).encode())
    arguments = (
        "--mapped_s3_logs_folder_path",
        mapped,
        "--cache_directory",
        tmp_path / "cache",
        "--store",
        store,
    )
    text, _ = call(COORDINATES, *arguments, OPENCAGE_API_KEY="")
    assert "nobody knows where 1 region lies: US/Ohio" in text
    assert "region_codes_to_coordinates.json written" in text
    nowhere = {"latitude": None, "longitude": None}
    assert json.loads((files / "region_codes_to_coordinates.json").read_bytes()) == {
        **old,
        "AWS/ap-northeast-2": {"latitude": 37.46, "longitude": 126.7},
        "KR/Incheon": {"latitude": 37.46, "longitude": 126.7},
        **dict.fromkeys(("GitHub", "bogon", "missing", "undetermined", "unknown"), nowhere),
    }
    assert json.loads((files / "service_coordinates.json").read_bytes()) == {
        "AWS/ap-northeast-2": {"latitude": 37.46, "longitude": 126.7}
    }
    # What is corrected by hand stays, and nothing is written that would not change.
    corrected = json.loads((files / "region_codes_to_coordinates.json").read_bytes())
    corrected |= {"US/Ohio": {"latitude": 40.0, "longitude": -83.0}}
    written(files / "region_codes_to_coordinates.json", json.dumps(corrected).encode())
    text, _ = call(COORDINATES, *arguments, OPENCAGE_API_KEY="")
    assert "nobody knows" not in text
    assert json.loads((files / "region_codes_to_coordinates.json").read_bytes()) == corrected


def test_the_old_place_of_the_files_is_the_default(tmp_path: Path) -> None:
    mapped = regions_table(tmp_path / "mapped", "VPN")
    call(
        COORDINATES, "--mapped_s3_logs_folder_path", mapped, HOME=str(tmp_path / "home"), OPENCAGE_API_KEY=""
    )
    folder = tmp_path / "home/.cache/dandi_s3_log_parser"
    assert sorted(path.name for path in folder.iterdir()) == [
        "region_codes_to_coordinates.json", "service_coordinates.json",
    ]  # fmt: skip


def test_opencage_is_asked_for_so_many_regions_at_most(tmp_path: Path) -> None:
    mapped = regions_table(tmp_path / "mapped", "US/Ohio", "US/Texas", "US/Utah")
    place = {"geometry": {"lat": 1.5, "lng": 2.5}, "components": {"country_code": "us", "_type": "state"}}
    answer = {"status": {"code": 200, "message": "OK"}, "results": [place]}
    with (
        http_server({"/json": ok_json(answer)}) as server,
        HttpClient(wait=lambda _: None) as http,
        OpenCage("key", url=server.url + "/json", http=http, wait=lambda _: None) as opencage,
    ):
        given: dict[str, Any] = {"most": 1, "opencage": opencage}
        for count in (1, 2, 3):
            done = compat_coordinates.update_coordinates(mapped, tmp_path / "cache", **given)
            assert len(server.requests) == count
            assert done.new == (1 if count > 1 else 7)  # and six labels that are nowhere
        done = compat_coordinates.update_coordinates(mapped, tmp_path / "cache", **given)
        assert (len(server.requests), done.new, done.written) == (3, 0, [])


def test_without_the_table_of_the_archive_the_command_says_what_makes_it(tmp_path: Path) -> None:
    mapped = mapped_tree(tmp_path / "mapped")
    _, errors = call(COORDINATES, "--mapped_s3_logs_folder_path", mapped, check=2)
    assert "archive_summary_by_region.tsv: is not there. Make it first: generate_archive_summaries." in errors


def test_a_store_that_is_none_is_named(tmp_path: Path) -> None:
    mapped = regions_table(tmp_path / "mapped", "US/Ohio")
    arguments = (
        "--mapped_s3_logs_folder_path",
        mapped,
        "--cache_directory",
        tmp_path,
        "--store",
        tmp_path / "x",
    )
    _, errors = call(COORDINATES, *arguments, check=2)
    assert str(tmp_path / "x") in errors


# ---- environment -------------------------------------------------------------------------------------------


def test_old_caches_of_regions_are_used_where_their_salt_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IP_HASH_SALT", "00")
    assert old_caches() == ([], [])
    regions = written(tmp_path / ".dandi_s3_log_parser/ip_hash_to_region.yaml", b"{}\n")
    services = written(tmp_path / ".dandi_s3_log_parser/ip_hash_not_in_services.yaml", b"{}\n")
    assert old_caches() == ([str(regions), str(services)], [])
    monkeypatch.delenv("IP_HASH_SALT")
    found, notes = old_caches()
    assert found == []
    assert notes == [f"{regions} is not used: IP_HASH_SALT is not set (tickline access salt RAW makes it)."]
