"""Reports of other packages: both signatures, what they may give, and what happens when one fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from python.access_support import command, environment
from python.connections_cli_support import NOW, call, install_package, small_log
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import connection_report
from tickline.pipelines.connections.reports import STANDARD, ReportError, ReportWindow

NATIVE = """
def pairs(aggregates, window):
    rows = zip(aggregates.column("host_from"), aggregates.column("host_to"), aggregates.column("count"))
    return [{"from": one, "to": other, "count": int(count)} for one, other, count in rows]

def text(aggregates, window):
    seconds = (window.until_ns - window.since_ns) // 10**9
    return f"{window.host_from} and {window.host_to}: {aggregates.num_rows} rows in {seconds} s"

def printing(aggregates, window):
    print("as the old", "ones did")

def arrow(aggregates, window):
    import pyarrow as pa
    table = pa.table(aggregates)
    return table.group_by("host_to").aggregate([("count", "sum")])

def numbers(aggregates, window):
    return [{"sum": sum(aggregates.column("count")), "share": float("nan")}]

def failing(aggregates, window):
    raise ZeroDivisionError("a bug of theirs")

def coloured(aggregates, window):
    raise ValueError("\\x1b[31mred\\x07\\n\\x9bnext")

def coloured_too(aggregates, window):
    from tickline.errors import TicklineError
    raise TicklineError("\\x1b[31mred", hint="\\x1b[0mDo this.")

def leaving(aggregates, window):
    raise SystemExit(3)

def odd(aggregates, window):
    return 7

def noisy(aggregates, window):
    print("not for standard output")
    return "given"

def wrong(aggregates):
    return "nothing"

value = 5
"""

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    def installed(code: str, **reports: str) -> Path:
        folder = install_package(tmp_path / "site", code, **reports)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    yield installed
    sys.modules.pop("our_reports", None)


def given(path: Path, *names: str, check: int = 0) -> tuple[dict[str, Any], str]:
    """Return the report in JSON with other packages' reports, and what stands on standard error."""
    chosen = [word for name in names for word in ("--report", name)]
    done = call(path, "tower", "Papa", "--now", NOW, "--json", *chosen, check=check)
    return json.loads(done.stdout), done.stderr


def test_a_native_report_gets_the_counts_and_the_window(tmp_path: Path, install: Install) -> None:
    install(NATIVE, pairs="pairs", words="text", printed="printing")
    found, errors = given(small_log(tmp_path), "pairs", "words", "printed")
    assert errors == ""
    assert list(found["reports"]) == ["pairs", "words", "printed"]
    pairs = {(row["from"], row["to"], row["count"]) for row in found["reports"]["pairs"]}
    assert pairs == {("tower", "Papa", 1), ("sierra", "Papa", 1), ("tower", "Kilo", 1)}
    assert sum(row["count"] for row in found["reports"]["pairs"]) == 4
    assert found["reports"]["words"] == "tower and Papa: 4 rows in 3600 s"
    assert found["reports"]["printed"] == "as the old ones did\n"
    assert found["top"] == [{"host": "Papa", "count": 3}, {"host": "Kilo", "count": 1}]


def test_arrow_goes_in_and_comes_out(tmp_path: Path, install: Install) -> None:
    pytest.importorskip("pyarrow")
    install(NATIVE, sums="arrow")
    found, _ = given(small_log(tmp_path), "sums")
    sums = sorted(found["reports"]["sums"], key=lambda row: row["count_sum"])
    assert sums == [{"host_to": "Kilo", "count_sum": 1}, {"host_to": "Papa", "count_sum": 3}]


def test_numbers_of_numpy_are_numbers_and_no_number_is_null(tmp_path: Path, install: Install) -> None:
    install(NATIVE, ours="numbers")
    told, _ = given(small_log(tmp_path), "ours")
    (row,) = told["reports"]["ours"]
    assert row == {"sum": sum(each["count"] for each in told["top"]), "share": None}


def test_reports_stand_in_each_format_that_has_room(tmp_path: Path, install: Install) -> None:
    install(NATIVE, pairs="pairs", words="text")
    asked = (small_log(tmp_path), "tower", "Papa", "--now", NOW, "--report", "words", "--report", "pairs")
    table = call(*asked).stdout
    assert "\n\nwords\ntower and Papa: 4 rows in 3600 s\n\npairs\n  from      to  count\n" in table
    lines = [json.loads(line) for line in call(*asked, "--format", "ndjson").stdout.splitlines()]
    assert {"report": "words", "text": "tower and Papa: 4 rows in 3600 s"} in lines
    assert {"report": "pairs", "row": {"from": "tower", "to": "Kilo", "count": 1}} in lines
    text = call(*asked, "--format", "logparser").stdout
    assert text.startswith("Report results\n--------------\n")
    assert "\n\n* words\ntower and Papa: 4 rows in 3600 s\n\n* pairs\n" in text
    for form in ("csv", "arrow"):
        assert "Choose table, json, ndjson or logparser" in call(*asked, "--format", form, check=2).stderr


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("failing", "this report failed (ZeroDivisionError: a bug of theirs). It is our_reports:failing"),
        ("leaving", "this report failed (SystemExit: 3)"),
        ("odd", "this report failed (it returned int). Return a text, a list of mappings, or"),
        ("wrong", "this report failed (it takes (aggregates)). Write report(aggregates, window), or"),
        ("value", "this report failed (the entry point is no function)"),
        ("missing", "has no attribute 'missing'"),
    ],
)
def test_one_that_fails_is_named_and_the_others_are_made(
    tmp_path: Path, install: Install, function: str, says: str
) -> None:
    install(NATIVE, bad=function, words="text")
    found, errors = given(small_log(tmp_path), "bad", "words", check=1)
    assert list(found["reports"]) == ["words"]
    assert found["connected_to"]["hosts"] == {"sierra": 1, "tower": 2}
    assert [problem["where"] for problem in found["problems"]] == ["bad"]
    assert errors.startswith("tickline: bad: ")
    assert says in errors


@pytest.mark.parametrize("function", ["coloured", "coloured_too"])
def test_what_a_failing_report_says_does_not_reach_the_terminal_raw(
    tmp_path: Path, install: Install, function: str
) -> None:
    install(NATIVE, bad=function)
    found, errors = given(small_log(tmp_path), "bad", check=1)
    assert "\\x1b[31mred" in errors
    for text in (errors.removesuffix("\n"), *(found["problems"][0].values())):
        assert text.isprintable()


def test_debug_shows_where_it_failed(tmp_path: Path, install: Install) -> None:
    folder = install(NATIVE, bad="failing")
    done = subprocess.run(
        command("connections", small_log(tmp_path), "a", "b", "--now", NOW, "--report", "bad", "--debug"),
        capture_output=True,
        env=environment(PYTHONPATH=os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])),
        check=False,
    )
    assert done.returncode == 1
    assert b'our_reports.py", line' in done.stderr
    assert done.stdout.startswith(b"4 connections")


def test_what_a_report_prints_beside_does_not_reach_the_output(tmp_path: Path, install: Install) -> None:
    install(NATIVE, noisy="noisy")
    found, errors = given(small_log(tmp_path), "noisy")
    assert found["reports"] == {"noisy": "given"}
    assert errors == "not for standard output\n"


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path, install: Install) -> None:
    install(NATIVE, pairs="pairs", words="text")
    done = call(small_log(tmp_path), "a", "b", "--report", "nonsense", check=2)
    assert "'nonsense' is no report that is installed. Installed are: pairs, words" in done.stderr
    # Before anything is looked for or read.
    assert "no report" in call(tmp_path / "nothing", "a", "b", "--report", "nonsense", check=2).stderr


def test_two_packages_with_one_name_are_refused(tmp_path: Path, install: Install) -> None:
    folder = install(NATIVE, pairs="pairs")
    info = folder / "their_reports-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-reports\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[tickline.connection_reports]\npairs = theirs:pairs\n")
    done = call(small_log(tmp_path), "a", "b", "--report", "pairs", check=2)
    assert "several packages have a report 'pairs': our_reports:pairs, theirs:pairs" in done.stderr


OLD = """
def connected(client, df, timestamp):
    assert client is None and timestamp == %d
    assert list(df.columns) == ["grouped_ts", "from", "to", "ts"]
    hosts = df[df["to"] == "Papa"]["from"].unique().compute().tolist()
    sums = df.groupby("to")["ts"].sum().reset_index()
    most = sums.map_partitions(lambda one: one.nlargest(1, "ts")).compute()
    return f"{hosts} {most.to_dict('records')}"

def frame(client, df, timestamp):
    return df.compute()
"""


def test_the_old_signature_gets_the_grouped_frame_of_the_old_program(tmp_path: Path) -> None:
    pytest.importorskip("dask.dataframe")
    folder = install_package(tmp_path / "site", OLD % NOW, connected="connected", frame="frame")
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    asked = ("connections", small_log(tmp_path), "tower", "Papa", "--now", NOW, "--json")
    done = subprocess.run(
        command(*asked, "--report", "connected", "--report", "frame"),
        capture_output=True,
        # What Dask warns of is its own matter.
        env={**environment(PYTHONPATH=path), "PYTHONWARNINGS": "default"},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    reports = json.loads(done.stdout)["reports"]
    assert reports["connected"] == "['tower', 'sierra'] [{'to': 'Papa', 'ts': 3}]"
    assert reports["frame"] == [
        {"grouped_ts": 0, "from": "tower", "to": "Kilo", "ts": 1},
        {"grouped_ts": 0, "from": "tower", "to": "Papa", "ts": 1},
        {"grouped_ts": 2, "from": "sierra", "to": "Papa", "ts": 1},
        {"grouped_ts": 3, "from": "tower", "to": "Papa", "ts": 1},
    ]


def test_the_old_signature_without_dask_is_a_sentence(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(OLD % NOW, connected="connected")
    monkeypatch.setitem(sys.modules, "dask.dataframe", None)
    _, errors = given(small_log(tmp_path), "connected", check=1)
    assert "its signature needs Dask's data frames, which are not installed" in errors
    assert "pip install 'dask[dataframe]'" in errors


def test_the_standard_reports_have_the_native_signature(tmp_path: Path) -> None:
    options = ConnectionOptions((str(small_log(tmp_path)),), "tower", "Papa", now_ns=NOW * 10**9)
    result = connection_report(options)
    window = result.window
    asked = ReportWindow(window.since_ns, window.until_ns, window.bucket_ns, "sierra", "Kilo")
    rows = {name: report(result.table, asked) for name, report in STANDARD.items()}
    assert rows == {
        "top": [{"host": "Papa", "count": 3}, {"host": "Kilo", "count": 1}],
        "connected_to": [{"host": "tower", "count": 1}],
        "connections_from": [{"host": "Papa", "count": 1}],
    }


def test_from_python_a_failure_is_a_problem_of_the_result(tmp_path: Path, install: Install) -> None:
    install(NATIVE, bad="failing", words="text")
    options = ConnectionOptions(
        (str(small_log(tmp_path)),), "tower", "Papa", now_ns=NOW * 10**9, reports=("bad", "words", "words")
    )
    result = connection_report(options)
    assert list(result.reports) == ["words"]
    (problem,) = result.problems
    assert isinstance(problem, ReportError)
    assert isinstance(problem.__cause__, ZeroDivisionError)
