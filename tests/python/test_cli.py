"""The command line: help, exit codes, what goes to which stream."""

from __future__ import annotations

import gzip
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from python.access_support import HEADER, command, environment, log, rows, run

OPTIONS = """
    format columns operation status keys exclude-ip exclude-ip-regex exclude-year since until limit-files
    threads memory compat accounting rejects with-text max-rejects force dry-run json quiet debug
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.log").write_bytes(log(0, 9) + b"bad\n")
    (tmp_path / "raw/b.log.gz").write_bytes(gzip.compress(log(9, 12)))
    return tmp_path / "raw"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["access", "--help"],
        ["access", "reduce", "--help"],
        ["access", "rejects", "--help"],
        ["access", "rejects", "export", "--help"],
        ["fake", "--help"],
        ["fake", "access", "--help"],
    ],
)
def test_every_level_has_help(arguments: list[str]) -> None:
    done = run(*arguments)
    assert b"Usage:" in done.stdout + done.stderr
    if arguments[-1:] == ["--help"]:
        assert done.returncode == 0


def test_the_help_of_commands_shows_examples_and_all_options() -> None:
    text = run("access", "reduce", "--help", check=0).stdout.decode()
    assert "tickline access reduce raw-logs reduced --keys dandi" in text
    for option in OPTIONS.split():
        assert f"--{option}" in text
    assert "REST.GET.OBJECT" in text
    assert "tickline fake access demo" in run("fake", "access", "--help", check=0).stdout.decode()


def test_version_and_headers(tmp_path: Path) -> None:
    import tickline

    assert run("--version", check=0).stdout.decode() == f"tickline {tickline.__version__}\n"
    folder = Path(run("--include", check=0).stdout.decode().strip())
    assert folder == tickline.include_dir()
    assert (folder / "tickline/logs/s3_access.hpp").is_file()


def test_the_summary_names_sums_and_reasons(raw: Path) -> None:
    done = run("access", "reduce", raw, raw.parent / "out", check=0)
    assert done.stderr == b""
    summary = {words[0]: words[1:] for line in done.stdout.decode().splitlines() if (words := line.split())}
    assert summary["sources"][:3] == ["2", "2", "made"]
    assert summary["lines"] == ["13"]
    assert summary["accepted"] == ["12"]
    assert summary["rejected"] == ["1", "cut", "1"]
    assert b"\x1b" not in done.stdout


def test_quiet_prints_problems_only(raw: Path) -> None:
    done = run("access", "reduce", raw, raw.parent / "out", "--quiet", check=0)
    assert (done.stdout, done.stderr) == (b"", b"")
    (raw / "c.log.gz").write_bytes(b"\x1f\x8b")
    done = run("access", "reduce", raw, raw.parent / "out", "--quiet", check=1)
    assert done.stdout == b""
    assert b"c.log.gz" in done.stderr


def test_json_is_the_only_output_and_holds_accounting_and_outputs(raw: Path) -> None:
    done = run("access", "reduce", raw, raw.parent / "out", "--json", check=0)
    found = json.loads(done.stdout)
    assert done.stderr == b""
    assert found["accounting"]["total"]["accepted"] == 12
    assert found["outputs"] == [
        {"source": "a.log", "output": "a.tsv", "state": "made"},
        {"source": "b.log.gz", "output": "b.tsv", "state": "made"},
    ]
    assert found["problems"] == []


def test_standard_input_to_standard_output(raw: Path) -> None:
    done = run("access", "reduce", "-", "-", stdin=log(0, 9), check=0)
    assert done.stdout == HEADER + rows(0, 9)
    assert b"accepted" in done.stderr
    done = run("access", "reduce", "-", "-", "--quiet", stdin=gzip.compress(log(0, 9)), check=0)
    assert (done.stdout, done.stderr) == (HEADER + rows(0, 9), b"")


def test_standard_input_to_a_file_and_a_file_to_standard_output(raw: Path) -> None:
    run("access", "reduce", "-", raw.parent / "x.tsv", stdin=log(0, 9), check=0)
    assert (raw.parent / "x.tsv").read_bytes() == HEADER + rows(0, 9)
    done = run("access", "reduce", raw / "b.log.gz", "-", check=0)
    assert done.stdout == HEADER + rows(9, 12)


@pytest.mark.parametrize(
    "more",
    [
        ["--format", "csv"],
        ["--columns", "nope"],
        ["--status", "2x"],
        ["--exclude-ip", "300.0.0.1"],
        ["--exclude-ip-regex", "("],
        ["--exclude-year", "x"],
        ["--since", "someday"],
        ["--threads", "0"],
        ["--threads", "many"],
        ["--memory", "much"],
        ["--memory", "1MB"],
        ["--compat", "loose"],
        ["--keys", "blobs:"],
        ["--max-rejects", "-1"],
        ["--with-text"],
        ["--no-such-option"],
    ],
)
def test_wrong_usage_is_exit_code_2_and_writes_nothing(raw: Path, more: list[str]) -> None:
    done = run("access", "reduce", raw, raw.parent / "out", *more, check=2)
    assert done.stdout == b""
    assert done.stderr
    assert not (raw.parent / "out").exists()


@pytest.mark.parametrize(("given", "out"), [("folder", "-"), ("-", "folder")])
def test_a_folder_and_a_stream_do_not_go_together(raw: Path, given: str, out: str) -> None:
    arguments = [raw if given == "folder" else given, raw.parent if out == "folder" else out]
    assert run("access", "reduce", *arguments, check=2).stderr.startswith(b"tickline: ")


def test_rejects_over_the_limit_are_exit_code_1_with_all_outputs_made(raw: Path) -> None:
    done = run("access", "reduce", raw, raw.parent / "out", "--max-rejects", "0", check=1)
    assert b"1 of 13 lines were rejected" in done.stderr
    assert sorted(path.name for path in (raw.parent / "out").glob("*.tsv")) == ["a.tsv", "b.tsv"]
    run("access", "reduce", raw, raw.parent / "out", "--max-rejects", "10%", check=0)


def test_a_dry_run_lists_what_would_be_done(raw: Path) -> None:
    done = run("access", "reduce", raw, raw.parent / "out", "--dry-run", check=0)
    assert done.stdout.decode().splitlines() == [
        "to be made: a.log -> a.tsv",
        "to be made: b.log.gz -> b.tsv",
    ]
    assert not (raw.parent / "out").exists()


def test_options_that_repeat_add_up(raw: Path) -> None:
    arguments = ["--exclude-ip", "192.0.2.1", "--exclude-ip", "192.0.2.2/31,192.0.2.5", "--operation", "all"]
    done = run("access", "reduce", raw, raw.parent / "out", *arguments, "--json", check=0)
    assert json.loads(done.stdout)["accounting"]["total"]["filtered"] == {"ip": 4}


def test_debug_shows_the_traceback(raw: Path) -> None:
    arguments = command("access", "reduce", raw.parent / "nothing", raw.parent / "out", "--debug")
    done = subprocess.run(arguments, capture_output=True, env=environment(), timeout=120)
    assert done.returncode == 2
    assert b"Traceback" in done.stderr


def test_colours_are_for_terminals_that_want_them(raw: Path) -> None:
    def on_terminal(**more: str) -> bytes:
        main, sub = pty.openpty()
        env = {name: value for name, value in environment().items() if name != "NO_COLOR"}
        arguments = command("access", "reduce", raw / "nothing", raw.parent / "out")
        subprocess.run(arguments, stdout=sub, stderr=sub, env={**env, "TERM": "xterm", **more}, timeout=120)
        os.close(sub)
        seen = os.read(main, 100_000)
        os.close(main)
        return seen

    assert b"\x1b[31m" in on_terminal()
    assert b"\x1b[31m" not in on_terminal(NO_COLOR="1")


def test_generated_logs_are_reduced_to_their_true_answers(tmp_path: Path) -> None:
    run("fake", "access", tmp_path / "raw", "--bytes", "3MB", "--days", "2", "--dirty", "0.01", check=0)
    truth = json.loads((tmp_path / "raw/truth.json").read_bytes())
    done = run("access", "reduce", tmp_path / "raw", tmp_path / "out", "--json", check=0)
    sources = json.loads(done.stdout)["accounting"]["sources"]
    assert [source["path"] for source in sources] == [source["path"] for source in truth["sources"]]
    assert len(sources) == 2
    for source, true in zip(sources, truth["sources"], strict=True):
        assert (source["lines"], source["bytes"]) == (true["lines"], true["bytes"])
        for name in ("accepted", "filtered", "rejected", "noted"):
            assert source[name] == true["reduce"][name]
        table = (tmp_path / "out" / source["path"]).with_suffix(".tsv").read_bytes().splitlines()[1:]
        assert sum(int(row.rsplit(b"\t", 1)[1]) for row in table) == true["reduce"]["bytes_sent"]
