"""The report of connections against generated truth and the slow reference; windows, threads, disorder."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from python.connections_support import NOW_S, NS, ordered, report_on
from reference import connections_reference
from tickline.errors import TicklineError, UsageError
from tickline.fake import generate_connections
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.report import Result


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("connections")
    truth = generate_connections(folder, lines=300_000, now_s=NOW_S)
    return folder / "connections.log", truth


def check(result: Result, truth: dict[str, Any]) -> None:
    assert [{"host": host, "count": count} for host, count in result.top] == truth["top"]
    pairs = truth["pairs"]
    assert result.connections_from == dict(sorted(pairs["tower"].items()))
    assert result.connected_to == {host: own["Papa"] for host, own in sorted(pairs.items()) if "Papa" in own}
    assert [bucket.connections for bucket in result.buckets] == truth["buckets"]
    assert result.connections == truth["connections"]
    assert not result.problems


def test_all_numbers_are_those_of_the_truth(world: tuple[Path, dict[str, Any]]) -> None:
    path, truth = world
    assert truth["connections"] > 100_000
    check(report_on(path), truth)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_partitions_change_nothing(world: tuple[Path, dict[str, Any]], threads: int) -> None:
    path, truth = world
    one = report_on(path)
    several = report_on(path, threads=threads, partition_bytes=2**16 + 1)
    check(several, truth)
    assert several.as_json() == one.as_json()
    assert several.table.to_pandas().equals(one.table.to_pandas())


def test_packed_files_streams_and_plain_ones_give_the_same(
    world: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, truth = world
    for name, pack in (("a.log.gz", gzip.compress), ("a.log.zst", zstandard.compress)):
        packed = tmp_path / name
        packed.write_bytes(pack(path.read_bytes()))
        check(report_on(packed, threads=2), truth)
    both = report_on(path, tmp_path)
    assert both.connections == 3 * truth["connections"]
    assert [Path(source["path"]).name for source in both.accounting["sources"]] == [
        "connections.log",
        "a.log.gz",
        "a.log.zst",
    ]


def test_the_first_line_of_a_file_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"%d tower Papa\n%d x y\n" % (NOW_S - 1, NOW_S))
    assert report_on(path).connected_to == {"tower": 1}


def test_both_ends_belong_to_the_window_and_fractions_decide(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    stamps = ("-3600.000000001", "-3600", "-1200", "-1199.999999999", "0", "0.000000001")
    lines = [f"{Decimal(NOW_S) + Decimal(stamp)} tower Papa\n" for stamp in stamps]
    path.write_text("".join(lines))
    result = report_on(path)
    assert result.connections == 4
    assert [bucket.connections for bucket in result.buckets] == [2, 1, 0, 1]
    assert result.accounting["total"]["filtered"] == {"time": 2}
    first, last = result.buckets[0], result.buckets[-1]
    assert (first.since_ns, first.until_ns) == ((NOW_S - 1200) * NS + 1, NOW_S * NS)
    assert (last.since_ns, last.until_ns) == ((NOW_S - 3600) * NS, (NOW_S - 3600) * NS)


def test_ties_are_in_the_order_of_names(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    names = ["b", "Z", "ä", "a", "c", "c"]
    path.write_text("".join(f"{NOW_S} x {name}\n" for name in names))
    assert report_on(path).top == (("c", 2), ("Z", 1), ("a", 1), ("b", 1), ("ä", 1))


def test_nothing_in_the_window_is_an_empty_report(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(20, end_s=NOW_S - 10_000))
    result = report_on(path)
    assert (result.top, result.connected_to, result.connections_from, result.connections) == ((), {}, {}, 0)
    assert result.table.num_rows == 0
    path.write_bytes(b"")
    assert report_on(path).accounting["total"]["lines"] == 0


def test_since_and_until_take_the_place_of_now_and_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(ordered(100, a_second=1))
    result = report_on(path, since_ns=(NOW_S - 50) * NS, until_ns=(NOW_S - 41) * NS, grouping_seconds=4)
    assert [bucket.connections for bucket in result.buckets] == [4, 4, 2]
    assert report_on(path, seconds=0, now_ns=(NOW_S - 7) * NS).connections == 1


def test_json_has_the_shape_of_the_interface(world: tuple[Path, dict[str, Any]]) -> None:
    found = json.loads(json.dumps(report_on(world[0]).as_json()))
    assert list(found) == [
        *("now", "seconds", "lines", "rejected", "top", "connected_to", "connections_from", "accounting")
    ]
    assert (found["now"], found["seconds"], found["rejected"]) == (NOW_S, 3600, 0)
    assert found["connected_to"]["host"] == "Papa"


def test_more_hosts_than_memory_holds_are_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"{NOW_S} host-with-a-number-{i} server\n" for i in range(60_000)))
    for threads in (1, 2):
        with pytest.raises(TicklineError, match="more than the 2 MB that are allowed"):
            report_on(path, memory_bytes=2_000_000, threads=threads)
    assert len(report_on(path).connections_from) == 0
    assert report_on(path).top == (("server", 60_000),)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": -1},
        {"grouping_seconds": 0},
        {"threads": 0},
        {"disorder_seconds": -1},
        {"partition_bytes": 10},
        {"max_line_bytes": 2**29},
        {"seconds": 10**12},
        {"now_ns": 2**63},
        {"since_ns": 2, "until_ns": 1},
        {"locations": ()},
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ConnectionOptions(**{"locations": ("a",), "host_from": "a", "host_to": "b", **wrong})


_rows = st.lists(
    st.tuples(st.integers(-50, 10), st.sampled_from(["tower", "b", "c"]), st.sampled_from(["Papa", "tower"])),
    max_size=40,
)


@given(st.lists(_rows, min_size=1, max_size=3), st.integers(0, 45), st.integers(1, 20))
def test_any_logs_give_what_the_reference_finds(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[list[tuple[int, str, str]]],
    seconds: int,
    grouping: int,
) -> None:
    folder = tmp_path_factory.mktemp("any")
    texts = ["".join(f"{NOW_S + at}.5 {one} {other}\n" for at, one, other in rows).encode() for rows in files]
    for i, text in enumerate(texts):
        (folder / f"{i}.log").write_bytes(text)
    result = report_on(folder, seconds=seconds, grouping_seconds=grouping)
    slow = connections_reference.report(texts, "tower", "Papa", Decimal(NOW_S), seconds, grouping)
    assert list(result.top) == slow.top
    assert result.connected_to == slow.connected_to
    assert result.connections_from == slow.connections_from
    assert {i: bucket.connections for i, bucket in enumerate(result.buckets) if bucket.connections} == dict(
        slow.buckets
    )
