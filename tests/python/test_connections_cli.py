"""`tickline connections` as somebody who uses it for the first time: places, windows, formats, files."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.main import get_command

from python.access_support import command, environment, run
from python.connections_cli_support import NOW, SMALL, call, small_log
from reference import logparser_reference
from tickline.cli.connections import app
from tickline.fake import generate_connections

PAGE = Path(__file__).resolve().parents[2] / "docs" / "connections.md"
FORMATS = ("table", "json", "csv", "ndjson", "arrow", "logparser")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("connections")
    truth = generate_connections(folder, lines=60_000, now_s=NOW)
    return folder / "connections.log", truth


def counted(value: dict[str, Any]) -> dict[str, Any]:
    return value["connected_to"]["hosts"]


def report(*arguments: object, **more: Any) -> dict[str, Any]:
    """Return the report in JSON."""
    value: dict[str, Any] = json.loads(call(*arguments, "--json", **more).stdout)
    return value


# ---- what is shown -----------------------------------------------------------------------------------------


def test_a_table_shows_servers_hosts_and_times(tmp_path: Path) -> None:
    done = call(small_log(tmp_path), "tower", "Papa", "--now", NOW, "--grouping-seconds", 3600)
    assert done.stdout == (
        "4 connections, 2025-11-24T15:00:00Z to 2025-11-24T16:00:00Z\n"
        "\n"
        "Servers with most connections\n"
        "  Papa  3\n"
        "  Kilo  1\n"
        "\n"
        "Connected to Papa: 2 hosts\n"
        "  sierra  1\n"
        "  tower   2\n"
        "\n"
        "Connections from tower: to 2 servers\n"
        "  Kilo  1\n"
        "  Papa  2\n"
        "\n"
        "By time\n"
        "  up to                 connections  to Papa  from tower\n"
        "  2025-11-24T16:00:00Z            3        2           2\n"
        "  2025-11-24T15:00:00Z            1        1           1\n"
        "\n"
        "6 lines of 1 source read (132 B); 2 outside of the window\n"
    )
    assert done.stderr == ""


def test_json_has_lists_counts_buckets_and_the_account(tmp_path: Path) -> None:
    path = small_log(tmp_path)
    found = report(path, "tower", "Papa", "--now", NOW, "--grouping-seconds", 3600)
    account = {
        "lines": 6,
        "bytes": len(SMALL),
        "accepted": 4,
        "filtered": {"time": 2},
        "rejected": {},
        "noted": {},
    }
    both = {"connections": 3, "connected_to": 2, "connections_from": 2}
    one = {"connections": 1, "connected_to": 1, "connections_from": 1}
    assert found == {
        "now": NOW,
        "seconds": 3600,
        "lines": 6,
        "rejected": 0,
        "top": [{"host": "Papa", "count": 3}, {"host": "Kilo", "count": 1}],
        "connected_to": {"host": "Papa", "hosts": {"sierra": 1, "tower": 2}},
        "connections_from": {"host": "tower", "hosts": {"Kilo": 1, "Papa": 2}},
        "buckets": [
            {"since": "2025-11-24T15:00:00.000000001Z", "until": "2025-11-24T16:00:00Z", **both},
            {"since": "2025-11-24T15:00:00Z", "until": "2025-11-24T15:00:00Z", **one},
        ],
        "reports": {},
        "problems": [],
        "accounting": {"sources": [{"path": str(path), **account}], "total": account},
    }


def test_every_format_says_the_numbers_of_the_truth(world: tuple[Path, dict[str, Any]]) -> None:
    pa = pytest.importorskip("pyarrow")
    path, truth = world
    asked = (path, "tower", "Papa", "--now", NOW, "--top", 1000)
    wanted = [("top", one["host"], one["count"]) for one in truth["top"]]
    pairs = truth["pairs"]
    wanted += [("connected_to", host, own["Papa"]) for host, own in sorted(pairs.items()) if "Papa" in own]
    wanted += [("connections_from", host, count) for host, count in sorted(pairs["tower"].items())]

    def without_buckets(rows: list[Any]) -> list[tuple[str, str, int]]:
        return [(one, name, int(count)) for one, name, count in rows if not one.startswith("buckets")]

    text = call(*asked, "--format", "csv").stdout_bytes.decode()
    assert "\r" not in text
    table = csv.reader(io.StringIO(text))
    assert next(table) == ["list", "name", "count"]
    rows = list(table)
    assert without_buckets(rows) == wanted
    ends = [(name, int(count)) for one, name, count in rows if one == "buckets"]
    assert [count for _, count in ends] == truth["buckets"]
    assert ends[1][0] == "2025-11-24T15:40:00Z"
    lines = call(*asked, "--format", "ndjson").stdout.splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == [(*row[:2], int(row[2])) for row in rows]
    with pa.ipc.open_stream(call(*asked, "--format", "arrow").stdout_bytes) as reader:
        arrow = reader.read_all()
    assert arrow.column_names == ["list", "name", "count"]
    assert [tuple(row.values()) for row in arrow.to_pylist()] == [(*row[:2], int(row[2])) for row in rows]
    found = report(*asked)
    assert [("top", one["host"], one["count"]) for one in found["top"]] == wanted[: len(truth["top"])]
    assert [bucket["connections"] for bucket in found["buckets"]] == truth["buckets"]
    assert [bucket["connected_to"] for bucket in found["buckets"]] == [
        int(count) for one, _, count in rows if one == "buckets_connected_to"
    ]
    shown = call(*asked).stdout
    assert f"  {truth['top'][0]['host']:<8}  {truth['top'][0]['count']:,}\n" in shown


def test_the_text_of_logparser(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("1 lost lost\n" + SMALL)
    done = call(path, "tower", "Papa", "--now", NOW, "--format", "logparser")
    assert done.stdout == logparser_reference.report([path], "tower", "Papa", NOW, 3600, 1200)


def test_top_limits_the_servers_and_says_so(tmp_path: Path) -> None:
    path = small_log(tmp_path)
    assert "connections, 1 of 2\n  Papa  3\n\n" in call(path, "a", "b", "--now", NOW, "--top", 1).stdout
    assert len(report(path, "a", "b", "--now", NOW, "--top", 1)["top"]) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_gets_the_same_bytes_as_the_screen(tmp_path: Path, form: str) -> None:
    asked = (small_log(tmp_path), "tower", "Papa", "--now", NOW, "--format", form)
    out = tmp_path / "below" / "report"
    assert call(*asked, "--out", out).stdout == ""
    assert out.read_bytes() == call(*asked).stdout_bytes
    assert [entry.name for entry in out.parent.iterdir()] == ["report"]


@pytest.mark.parametrize("form", FORMATS)
def test_threads_and_partitions_change_no_byte(world: tuple[Path, dict[str, Any]], form: str) -> None:
    asked = (world[0], world[0].parent, "tower", "Papa", "--now", NOW, "--format", form)
    one = call(*asked, "--threads", 1).stdout_bytes
    assert one == call(*asked, "--threads", 3, "--partition-size", "100kB").stdout_bytes


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_in_the_window_is_an_empty_report(tmp_path: Path, form: str) -> None:
    done = call(small_log(tmp_path), "tower", "Papa", "--now", 5, "--seconds", 5, "--format", form)
    assert {"table": "0 connections, 1970", "logparser": "No data in last 5 seconds\n"}.get(
        form, ""
    ) in done.stdout


# ---- places ------------------------------------------------------------------------------------------------


def test_patterns_are_good_with_quotes_and_without(tmp_path: Path) -> None:
    for name in ("connections.1.log", "connections.2.log", "other.txt"):
        small_log(tmp_path, name)
    quoted = report(f"{tmp_path}/connections*.log", "tower", "Papa", "--now", NOW)
    by_shell = report(*sorted(tmp_path.glob("connections*.log")), "tower", "Papa", "--now", NOW)
    assert counted(quoted) == {"sierra": 2, "tower": 4}
    assert quoted == by_shell
    assert counted(report(tmp_path, "tower", "Papa", "--now", NOW)) == {"sierra": 2, "tower": 4}


def test_dollars_in_names_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "$HOME ${TodayYear} $$.log"
    path.write_text(f"{NOW} $x ${{y}}\n")
    found = report(path, "$x", "${y}", "--now", NOW)
    assert counted(found) == {"$x": 1}
    assert found["connections_from"] == {"host": "$x", "hosts": {"${y}": 1}}


def test_packed_files_and_standard_input_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(SMALL.encode()))
    (tmp_path / "b.log.zst").write_bytes(zstandard.compress(SMALL.encode()))
    done = run(
        "connections",
        tmp_path / "*.log.*",
        "-",
        "tower",
        "Papa",
        "--now",
        NOW,
        "--json",
        stdin=SMALL.encode(),
    )
    assert done.stderr == b""
    found = json.loads(done.stdout)
    assert counted(found) == {"sierra": 3, "tower": 6}
    assert [Path(one["path"]).name for one in found["accounting"]["sources"]] == [
        "a.log.gz",
        "b.log.zst",
        "-",
    ]


def test_first_lines_count_and_so_do_last_ones_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{NOW} tower Papa\r\n{NOW}.25\tsierra  \tPapa")
    assert counted(report(path, "tower", "Papa", "--now", NOW + 1)) == {"sierra": 1, "tower": 1}


# ---- windows -----------------------------------------------------------------------------------------------


def test_the_window_ends_now_unless_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    now = int(time.time())
    path.write_text(f"{now - 4000} old Papa\n{now} tower Papa\n{now + 4000} new Papa\n")
    assert counted(report(path, "tower", "Papa")) == {"tower": 1}
    assert counted(report(path, "tower", "Papa", "--seconds", 4100)) == {"old": 1, "tower": 1}


@pytest.mark.parametrize(
    "window",
    [
        ("--now", NOW, "--seconds", 3599),
        ("--until", "2025-11-24T16:00:00Z", "--seconds", 3599),
        ("--since", "2025-11-24T15:00:01Z", "--until", NOW),
        ("--since", "2025-11-24 16:00:01+01:00", "--now", f"{NOW}.0"),
    ],
)
def test_windows_can_be_given_in_several_ways(tmp_path: Path, window: tuple[object, ...]) -> None:
    found = report(small_log(tmp_path), "tower", "Papa", *window)
    assert (counted(found), found["now"], found["seconds"]) == ({"sierra": 1, "tower": 1}, NOW, 3599)


def test_a_window_of_a_single_second(tmp_path: Path) -> None:
    path = small_log(tmp_path)
    assert counted(report(path, "tower", "Papa", "--seconds", 0, "--now", NOW - 5)) == {"tower": 1}


def test_only_what_can_belong_to_the_window_is_read_and_this_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{NOW - 400_000 + i} host server\n" for i in range(400_000)))
    asked = (path, "host", "server", "--now", NOW, "--seconds", 60)
    done = call(*asked, "--grouping-seconds", 60)
    assert done.stdout.startswith("60 connections")
    skipped = re.search(r"; ([\d.]+) MB not read, as their times are outside of the window", done.stdout)
    assert skipped is not None
    assert float(skipped[1]) > 8
    with path.open("a") as file:
        file.write(f"{NOW - 2000} host server\n")
    done = call(*asked)
    assert done.stdout.startswith("60 connections")
    assert "not read" not in done.stdout
    assert "a.log: out of order by 1,999 s, and --disorder says 300; it was read whole" in done.stderr
    assert call(*asked, "--quiet").stderr == ""
    assert "MB not read" in call(*asked, "--disorder", 2000).stdout


def test_tail_reports_again_and_a_last_time_at_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{int(time.time())} tower Papa\n")
    asked = ("--tail", "--sleep-seconds", 1, "--format", "ndjson", f"{tmp_path}/*.log", "tower", "Papa")
    with subprocess.Popen(
        command("connections", *asked),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as running:
        assert running.stdout is not None
        first = b'{"list": "top", "name": "Papa", "count": 1}\n'
        assert running.stdout.readline() == first
        while running.stdout.readline() != first:
            pass
        with path.open("a") as file:
            file.write(f"{int(time.time())} tower Papa\n")
        running.send_signal(signal.SIGINT)
        rest, errors = running.communicate(timeout=60)
    assert b'{"list": "top", "name": "Papa", "count": 2}\n' in rest
    assert (running.returncode, errors) == (130, b"tickline: stopped.\n")


# ---- the command itself ------------------------------------------------------------------------------------


def test_every_option_stands_in_help_and_in_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = call("--help").stdout
    names = {text for one in get_command(app).params for text in one.opts if text.startswith("--")}
    assert len(names) > 15
    for name in names:
        assert re.search(rf"{name}\b", shown), name
        assert re.search(rf"`{name}\b", page), name
    for form in FORMATS:
        assert re.search(rf"`{form}`", page), form


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (("--format", "xml"), "format: 'xml' is none. Choose from: table, json, csv"),
        (("--json", "--format", "csv"), "format: --json and 'csv' are two"),
        (("--now", "yesterday"), "now: 'yesterday' is no time"),
        (("--since", "x"), "since: 'x' is no time"),
        (("--since", NOW + 1, "--until", NOW), "since: the window ends before it begins"),
        (("--now", NOW, "--until", NOW), "until: --now and --until are one"),
        (("--since", NOW, "--seconds", 5), "since: --since and --seconds are two"),
        (("--seconds", -1), "seconds: must be at least 0"),
        (("--grouping-seconds", 0), "grouping-seconds: must be at least 1"),
        (("--disorder", -1), "disorder: must be at least 0"),
        (("--disorder", 10**10), "disorder: must be less than 291 years"),
        (("--partition-size", "10kB"), "partition-size: must be at least 65,536"),
        (("--partition-size", "much"), "partition-size: 'much' is no size"),
        (("--memory", "1kB"), "memory: must be at least 1,048,576"),
        (("--threads", 0), "Invalid value for '--threads'"),
        (("--top", 0), "Invalid value for '--top'"),
        (("--tail", "--folder"), "tail: --tail and --folder are two"),
        (("--tail", "--now", NOW), "tail: reports that go on have no end"),
        (("--report", "nonsense"), "report: 'nonsense' is no report that is installed"),
        (("--report", "top"), "report: 'top' is a standard report"),
        (("--nonsense",), "No such option"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(
    tmp_path: Path, wrong: tuple[object, ...], says: str
) -> None:
    out = tmp_path / "report"
    done = call(small_log(tmp_path), "tower", "Papa", "--out", out, *wrong, check=2)
    assert says in done.stderr
    assert done.stdout == ""
    assert not out.exists()


def test_a_place_and_two_hosts_are_needed() -> None:
    assert "Missing argument 'LOCATION...'" in call("tower", "Papa", check=2).stderr
    assert "Missing argument" in call(check=2).stderr
    assert "standard input cannot be followed" in call("--tail", "-", "tower", "Papa", check=2).stderr
