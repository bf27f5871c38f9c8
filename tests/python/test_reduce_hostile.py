"""What an attacker, or somebody in a hurry, does to `reduce`: logs in danger, memory, closed streams."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from python.access_support import HEADER, command, environment, log, options, rows, run, tree
from tickline import access, discovery
from tickline.errors import TicklineError, UsageError
from tickline.files import TEMPORARY_PREFIX, Folders, WholeFile, remove_temporary
from tickline.filters import AccessRules
from tickline.pipelines.access.reduce.anonymize import Anonymizer, export_rejects
from tickline.pipelines.access.reduce.reduce import reduce


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.log").write_bytes(log(0, 20) + b"rubbish\n")
    (folder / "b.log").write_bytes(log(20, 40))
    return folder


def test_a_log_in_the_place_of_out_is_not_written_over(raw: Path) -> None:
    before = tree(raw)
    done = run("access", "reduce", raw / "a.log", raw / "b.log", check=2)  # as from *.log
    assert b"b.log: exists, and is no output of an earlier run" in done.stderr
    assert tree(raw) == before
    run("access", "reduce", raw / "a.log", raw / "b.log", "--force", check=0)
    out = raw.parent / "one.tsv"
    for _ in range(2):
        run("access", "reduce", raw / "a.log", out, check=0)
    assert out.read_bytes() == HEADER + rows(0, 20)


@pytest.mark.parametrize("option", ["accounting", "rejects"])
@pytest.mark.parametrize("given", ["a.log", "raw", "link.log"])
def test_a_list_is_not_written_over_a_log(raw: Path, option: str, given: str) -> None:
    before = tree(raw)
    (raw.parent / "link.log").symlink_to(raw / "a.log")
    name = raw.parent / "link.log" if given == "link.log" else raw / "a.log"
    source = raw if given == "raw" else raw / "a.log"
    with pytest.raises(UsageError, match="one of the logs to read"):
        reduce(options(source, raw.parent / "out", **{option: str(name)}))
    assert tree(raw) == before


@pytest.mark.parametrize("option", ["accounting", "rejects"])
def test_a_list_takes_no_place_but_that_of_an_earlier_one(raw: Path, option: str) -> None:
    # `reduce a.log out --accounting b.log`: b.log is not read in this run, and still somebody's log.
    before = tree(raw)
    given = {option: str(raw / "b.log")}
    with pytest.raises(UsageError, match="no earlier list of this kind"):
        reduce(options(raw / "a.log", raw.parent / "out", **given))
    assert tree(raw) == before
    listed = raw.parent / "list"
    for _ in range(2):
        reduce(options(raw / "a.log", raw.parent / "out", **{option: str(listed)}))
    assert listed.stat().st_size > 0


@pytest.mark.parametrize("given", [{"exclude_ip": ""}, {"exclude_ip": [" "]}, {"exclude_ip_regex": ""}])
def test_an_empty_exclusion_is_a_mistake_and_not_no_exclusion(given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="Leave the option out"):
        AccessRules.from_texts(**given)  # type: ignore[arg-type]


def test_a_file_that_is_no_log_is_noted_even_if_some_of_its_lines_are_blank(raw: Path) -> None:
    (raw / "c.log").write_bytes(b"\x00\x01 binary\n\n  \nmore of it\n")
    report = reduce(options(raw, raw.parent / "out"))
    assert any("c.log: none of its lines" in note for note in report.notes)
    assert not any("b.log" in note for note in report.notes)


def test_lists_need_names_of_their_own(raw: Path) -> None:
    out = raw.parent / "out"
    twice = str(raw.parent / "x.json")
    with pytest.raises(UsageError, match="also given as accounting"):
        reduce(options(raw, out, accounting=twice, rejects=twice))
    single = str(raw.parent / "one.tsv")
    with pytest.raises(UsageError, match="also given as OUT"):
        reduce(options(raw / "a.log", single, rejects=single))
    for name in ("", "-"):
        with pytest.raises(UsageError, match="needs the name of a file"):
            reduce(options(raw, out, rejects=name))
    for source, target in (("", out), (raw, "")):
        with pytest.raises(UsageError, match="its name is empty"):
            reduce(options(source, target))


def test_a_missing_raw_beside_a_present_out_is_wrong_usage(raw: Path) -> None:
    (raw.parent / "one.tsv").write_bytes(b"x")
    run("access", "reduce", raw / "missing.log", raw.parent / "one.tsv", check=2)


def test_an_export_is_not_written_over_its_list_or_its_source(raw: Path) -> None:
    listed = raw.parent / "rejects.tsv"
    reduce(options(raw / "a.log", raw.parent / "out", rejects=str(listed)))
    for out in (listed, raw / "a.log"):
        before = out.read_bytes()
        with pytest.raises(UsageError, match="would be written over"):
            export_rejects(listed, out, raw=raw / "a.log")
        assert out.read_bytes() == before


@pytest.mark.parametrize("option", ["operation", "status", "keys"])
def test_an_unset_variable_of_a_script_does_not_mean_all(raw: Path, option: str) -> None:
    for value in ("", " ", ","):
        with pytest.raises(UsageError, match="nothing is named"):
            AccessRules.from_texts(**{option: value})
    run("access", "reduce", raw, raw.parent / "out", f"--{option}", "", check=2)


def test_options_that_are_no_utf8_are_wrong_usage(raw: Path) -> None:
    for option in ("operation", "keys", "exclude_ip_regex"):
        with pytest.raises(UsageError, match="not UTF-8"):
            AccessRules.from_texts(**{option: "\udcff"}).build()


def test_a_copy_that_differed_before_leaves_no_output_to_be_counted_twice(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    (raw / "a.log").write_bytes(log(0, 20))
    (raw / "a.log.gz").write_bytes(gzip.compress(log(0, 10)))
    reduce(options(raw, out))
    assert set(tree(out, state=False)) == {"a.log.tsv", "a.log.gz.tsv"}
    (raw / "a.log.gz").write_bytes(gzip.compress(log(0, 20)))
    report = reduce(options(raw, out))
    assert tree(out, state=False) == {"a.tsv": HEADER + rows(0, 20)}
    assert report.accounting["total"]["lines"] == 20
    assert set(json.loads((out / ".tickline/reduce.json").read_bytes())["sources"]) == {"a.log"}


def test_a_file_that_vanishes_while_its_folder_is_listed_hides_no_other(
    raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = discovery._Walk._file

    def vanish(walk: discovery._Walk, path: str, name: str, status: os.stat_result) -> None:
        if name == "a.log":
            raise FileNotFoundError(2, "No such file or directory", path)
        real(walk, path, name, status)

    monkeypatch.setattr(discovery._Walk, "_file", vanish)
    report = reduce(options(raw, raw.parent / "out"))
    assert [output["source"] for output in report.outputs] == ["b.log"]
    assert [problem.where for problem in report.problems] == [str(raw / "a.log")]


def test_a_state_of_a_newer_version_is_not_to_be_removed(raw: Path) -> None:
    reduce(options(raw, raw.parent / "out"))
    record = raw.parent / "out/.tickline/reduce.json"
    record.write_bytes(b'{"format": 99}')
    with pytest.raises(TicklineError, match="newer version"):
        reduce(options(raw, raw.parent / "out"))


def test_temporary_files_of_a_running_run_are_left_alone(tmp_path: Path) -> None:
    sink = WholeFile(tmp_path / "inner" / "a.tsv", Folders())
    (tmp_path / f"{TEMPORARY_PREFIX}dead").write_bytes(b"half")
    sink.write(b"whole")
    assert remove_temporary(tmp_path) == 1
    sink.commit()
    assert tree(tmp_path) == {"inner/a.tsv": b"whole"}


def test_a_file_renamed_between_opening_and_locking_is_not_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = WholeFile(tmp_path / "a.tsv", Folders())
    first.write(b"first")
    real, calls = fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        if not calls:
            calls.append(descriptor)
            first.commit()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second = WholeFile(tmp_path / "a.tsv", Folders())
    assert (tmp_path / "a.tsv").read_bytes() == b"first"
    second.write(b"second")
    second.commit()
    assert tree(tmp_path) == {"a.tsv": b"second"}


_PEAK = """
import re, sys
from pathlib import Path
from tickline.pipelines.access.reduce.options import ReduceOptions
from tickline.pipelines.access.reduce.reduce import reduce
reduce(ReduceOptions(*sys.argv[1:3], threads=4, rejects=sys.argv[3], with_text=True))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_rejected_lines_take_no_memory(tmp_path: Path, pack: type[bytes]) -> None:
    (tmp_path / "a.log").write_bytes(pack(b"x\n" * 1_500_000))
    listed = tmp_path / "rejects.tsv"
    arguments = [sys.executable, "-c", _PEAK, tmp_path / "a.log", tmp_path / "out", listed]
    done = subprocess.run(arguments, capture_output=True, check=True, timeout=600)
    assert int(done.stdout) < 150_000
    with listed.open("rb") as file:
        last = list(file)[-1]
    assert last == b"a.log\t1500000\t2999998\t1\tcut\tx\n"


def test_rejects_of_a_scan_are_kept_without_objects(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"x\n" * 3)
    scan = access.scan([tmp_path / "a.log", b"y\nzz\n"])
    assert list(scan) == []
    assert list(scan) == []
    assert scan.rejects.column("line").tolist() == [1, 2, 3, 1, 2]
    assert scan.rejects.column("offset").tolist() == [0, 2, 4, 0, 2]
    assert scan.rejects.column("source").tolist() == [str(tmp_path / "a.log")] * 3 + ["<bytes>"] * 2


@pytest.mark.parametrize(
    ("closed", "given", "code"),
    [("2>&-", "out", 0), (">&-", "out", 1), (">&-", "-", 1), ("<&-", "out", 0), (">/dev/full", "out", 1)],
)
def test_a_closed_or_full_standard_stream_is_no_crash(raw: Path, closed: str, given: str, code: int) -> None:
    out = given if given == "-" else raw.parent / given
    words = [*command("access", "reduce", raw / "a.log", out)]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words], capture_output=True, env=environment(), timeout=60
    )
    assert done.returncode == code
    assert b"This should not happen" not in done.stderr
    assert b"Traceback" not in done.stderr
    if given == "out":
        assert (out / "a.tsv").read_bytes() == HEADER + rows(0, 20)


def test_names_are_shown_whatever_the_encoding_of_the_terminal(raw: Path) -> None:
    (raw / "caf\u00e9.log").write_bytes(log(0, 2))
    done = subprocess.run(
        command("access", "reduce", raw, raw.parent / "out", "--dry-run"),
        capture_output=True,
        env=environment(PYTHONIOENCODING="ascii"),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert b"caf\\xe9.log" in done.stdout


@pytest.mark.parametrize(
    "secret",
    [
        b"REST.GET.OBJECT 5551234567",  # a key of digits
        b"9 9 9 9 9 9 123456789012",  # an account, as it stands in a spliced line
        b"[FB/alice.smith.home",
        b"SECRET.KEY.NAME",
        b"SigVAKIAIOSFODNN7EXAMPLE",
        b"TLS192.0.2.7",
    ],
)
def test_what_looks_like_a_fixed_word_is_replaced(secret: bytes) -> None:
    line = b"owner bucket [06/Feb/2019:00:00:38 +0000] - - ID " + secret + b" -"
    replaced = Anonymizer(bytes(32)).line(line)
    assert len(replaced) == len(line)
    assert secret.split()[-1] not in replaced
    assert b"[06/Feb/2019:00:00:38 +0000]" in replaced
