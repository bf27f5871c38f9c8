"""The checker of one node's chain, on chunks made by hand: each fault by its name, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from python.archive_chain_support import DAY, HOUR, NOON, ROW, STATISTICS, TRACKING, Node, iso, two_chunks
from tickline.errors import TicklineError
from tickline.pipelines.archive.chain import ChainCheck
from tickline.pipelines.archive.chunk import Chunk, key_of
from tickline.pipelines.archive.reader import Listed


@pytest.fixture
def node() -> Node:
    return two_chunks()


def test_a_chain_that_is_right_has_no_finding(node: Node) -> None:
    node.add(node.piece(STATISTICS, 2))
    node.add()
    node.add(node.piece(TRACKING, 3), node.piece(TRACKING, 1))
    del node.logs[1]
    node.add(node.piece(TRACKING, 3), node.piece(STATISTICS, 4))
    assert node.found(now_s=node.now_s) == []


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_a_chunk_that_is_gone_is_missing_with_its_bytes(node: Node, gone: int) -> None:
    node.add(node.piece(TRACKING, 3, ROW * 2), node.piece(STATISTICS, 2))
    node.add()
    node.add(node.piece(TRACKING, 3))
    sizes = [3, 3, 3, 0]
    del node.chain[gone]
    (flaw,) = node.flaws()
    assert (flaw.check, flaw.object[-14:-4]) == ("missing", f"{gone + 1:010}")
    assert flaw.text == f"chunk {gone + 1} is missing, and with it {sizes[gone] * len(ROW)} bytes of logs"
    assert flaw.begin_s == (NOON + gone * HOUR if gone else None)
    assert flaw.end_s == NOON + (gone + 2) * HOUR


def test_the_missing_chunk_has_the_key_it_had_where_its_neighbours_tell_the_day(node: Node) -> None:
    node.add()
    node.now_s += DAY
    node.add()
    del node.chain[1]
    del node.chain[1]
    (flaw,) = node.flaws()
    assert flaw.object == "v1/n1/*/0000000002.zst"
    assert flaw.text.startswith("chunks 2 to 3 are missing, and with them")


def test_a_chain_that_is_looked_at_from_some_day_on_begins_there(node: Node) -> None:
    node.add(node.piece(TRACKING, 1))
    del node.chain[0]
    assert node.found(whole=False) == []
    assert node.found() == [(1, "missing")]


def test_an_object_that_is_damaged_is_said_once(node: Node) -> None:
    node.add(node.piece(TRACKING, 1))
    node.chain[1] = node.chain[1][0], TicklineError("cannot be taken for a chunk")
    assert node.found() == [(2, "damaged")]


@pytest.mark.parametrize(
    "change",
    [
        {"created": "yesterday"},
        {"created": None},
        {"run": -1},
        {"next_generation": "2"},
        {"generations": None},
        {"generations": [{}]},
    ],
)
def test_a_header_that_says_nothing_of_its_place_is_damaged(node: Node, change: dict[str, Any]) -> None:
    node.add(**change)
    node.add()
    assert node.found() == [(3, "damaged")]


def test_times_in_the_header_are_those_of_the_lines(node: Node) -> None:
    item, chunk = node.chain[1]
    assert isinstance(chunk, Chunk)
    chunk.header["latest"] = "2026-11-22 11:00:01"
    node.chain[1] = item, chunk
    assert node.found() == [(2, "damaged")]


def test_a_chunk_in_the_place_of_another_is_swapped_and_says_nothing_of_the_chain(node: Node) -> None:
    node.add(node.piece(TRACKING, 1))
    node.add(node.piece(TRACKING, 1))
    (first, one), (second, two) = node.chain[1:3]
    node.chain[1:3] = [(first, two), (second, one)]
    flaws = node.flaws()
    assert [(flaw.object, flaw.check) for flaw in flaws] == [(first.key, "swapped"), (second.key, "swapped")]
    assert second.key in flaws[0].text
    assert first.key in flaws[1].text


@pytest.mark.parametrize("change", [{"node": "n2"}, {"seq": 4}, {"day": "2026/11/21"}])
def test_a_chunk_is_that_of_its_key(node: Node, change: dict[str, Any]) -> None:
    node.add()
    item, _ = node.chain[-1]
    node.seq, node.previous = 2, node.chain[1][1].sha256  # type: ignore[union-attr]
    node.chain.pop()
    node.add(**change)
    node.chain[-1] = item, node.chain[-1][1]
    assert node.found() == [(3, "swapped")]


def test_the_hash_in_a_key_is_that_of_the_object(node: Node) -> None:
    item, chunk = node.chain[1]
    assert isinstance(chunk, Chunk)
    for sha256, expected in ((chunk.sha256, []), ("ab" * 32, [(2, "swapped")])):
        key = key_of("n1", item.day, 2, sha256)
        node.chain[1] = Listed(2, item.day, True, key), chunk
        check = ChainCheck("n1")
        found = [flaw.check for listed, one in node.chain for flaw in check.add(listed, one)]
        assert found == [name for _, name in expected]


def test_two_chunks_of_one_number_are_a_double_and_the_next_may_follow_either(node: Node) -> None:
    item, chunk = node.chain[1]
    before, node.previous = node.previous, node.chain[0][1].sha256  # type: ignore[union-attr]
    node.seq -= 1
    other = node.add(node.piece(TRACKING, 1, ROW, shift=-len(ROW) * 3), run=2, runs=[{"run": 2}])
    node.chain.pop()
    node.logs[1] = TRACKING, len(ROW) * 4
    node.run, node.previous = 2, before
    node.add(node.piece(TRACKING, 1))
    double = Listed(2, item.day, True, key_of("n1", item.day, 2, other.sha256))
    for pair in ([(item, chunk), (double, other)], [(double, other), (item, chunk)]):
        node.chain[1:-1] = pair
        flaws = node.flaws()
        assert [(flaw.object, flaw.check) for flaw in flaws] == [(pair[1][0].key, "double")]


def test_a_chunk_that_was_replaced_breaks_the_chain(node: Node) -> None:
    node.add(node.piece(TRACKING, 1))
    item, _ = node.chain[1]
    other = Node()
    other.add(other.piece(TRACKING, 1), other.piece(STATISTICS, 2, ROW * 2))
    forged = other.add(other.piece(TRACKING, 1, ROW.replace(b"192.0.2.1", b"192.0.2.9") * 3))
    node.chain[1] = item, forged
    assert node.found() == [(2, "chain")]


def test_the_first_chunk_follows_nothing() -> None:
    node = Node()
    node.previous = "ab" * 32
    node.add()
    assert node.found() == [(1, "chain")]


@pytest.mark.parametrize(("shift", "check"), [(1, "hole"), (-1, "overlap")])
def test_bytes_that_are_left_out_or_taken_twice(node: Node, shift: int, check: str) -> None:
    node.add(node.piece(TRACKING, 1, shift=shift))
    (flaw,) = node.flaws()
    reached = 4 * len(ROW)
    low, high = sorted((reached, reached + shift))
    assert (flaw.check, f"bytes {low} to {high} of {TRACKING}" in flaw.text) == (check, True)


def test_a_log_begins_at_its_beginning_or_says_why_not(node: Node) -> None:
    node.add(node.piece(TRACKING, 3, shift=10, note="shrunk"))
    assert node.found() == []
    node.add(node.piece(TRACKING, 4, shift=10))
    assert node.found() == [(4, "hole")]


@pytest.mark.parametrize(("move", "check"), [(5, "hole"), (-5, "overlap")])
def test_a_position_does_not_move_without_lines(node: Node, move: int, check: str) -> None:
    log, offset = node.logs[2]
    node.logs[2] = log, offset + move
    node.add()
    assert node.found() == [(3, check)]


def test_a_generation_without_lines_is_a_hole(node: Node) -> None:
    node.logs[3], node.next_generation = (TRACKING, 100), 4
    node.add()
    assert node.found() == [(3, "hole"), (3, "hole")]


def test_generations_go_up_by_one_and_never_again(node: Node) -> None:
    node.add(node.piece(TRACKING, 4))
    assert node.found() == [(3, "hole")]
    del node.logs[1]
    node.add()
    node.add(node.piece(TRACKING, 1))
    assert node.found() == [(3, "hole"), (5, "overlap")]


@pytest.mark.parametrize(("told", "check"), [(4, "hole"), (2, "overlap")])
def test_the_number_of_the_next_generation_follows_from_the_chunks(node: Node, told: int, check: str) -> None:
    node.add(next_generation=told)
    assert node.found() == [(3, check)]


def test_a_generation_stays_one_logs(node: Node) -> None:
    _, offset = node.logs[1]
    node.logs[1] = STATISTICS, offset
    node.add(node.piece(STATISTICS, 1))
    assert node.found() == [(3, "overlap")]


@pytest.mark.parametrize(
    ("runs", "run", "found"),
    [
        ([], 2, []),
        ([3, 4, 5], 5, []),
        ([4], 4, ["runs"]),
        ([2, 3], 3, ["runs"]),
        ([3, 5], 5, ["runs"]),
        ([4, 3], 3, ["runs"]),
        ([3], 4, ["runs"]),
        ([], 3, ["runs"]),
        (["3"], 3, ["runs"]),
        # Of more runs than a chunk carries the last ones are told.
        (list(range(103, 303)), 302, []),
        (list(range(104, 303)), 302, ["runs"]),
        (list(range(1, 203)), 202, ["runs"]),
    ],
)
def test_runs_are_numbered_without_gaps(node: Node, runs: list[Any], run: int, found: list[str]) -> None:
    node.add(runs=[{"run": number} for number in runs], run=run)
    assert [check for _, check in node.found()] == found


@pytest.mark.parametrize("runs", [None, [3], "3", {"run": 3}, [{}]])
def test_a_log_of_runs_that_is_none_is_said(node: Node, runs: object) -> None:
    node.add(runs=runs)
    assert node.found() == [(3, "runs")]


@pytest.mark.parametrize(
    ("heartbeat_s", "longest_s"),
    [(DAY, 30 * HOUR), (HOUR, 2 * HOUR), (60, HOUR + 60), (4 * DAY, 5 * DAY)],
)
def test_silence_is_a_finding_after_a_heartbeat_and_a_quarter(heartbeat_s: int, longest_s: int) -> None:
    for more_s, found in ((0, []), (1, [(2, "heartbeat")])):
        node = Node()
        node.add(heartbeat_s=heartbeat_s)
        node.now_s += longest_s - HOUR + more_s
        node.add(heartbeat_s=heartbeat_s)
        assert node.found() == found
        assert node.found(now_s=node.now_s + longest_s) == found
        assert node.found(now_s=node.now_s + longest_s + 1) == [*found, (2, "cut")]


def test_an_end_that_is_not_the_archives_is_not_judged(node: Node) -> None:
    assert node.found(now_s=None) == []
    assert ChainCheck("n1").end(NOON) == []


def test_no_heartbeat_is_missed_where_none_was_promised() -> None:
    node = Node()
    node.add(heartbeat_s=None)
    node.now_s += 400 * DAY
    node.add(heartbeat_s="1d")
    assert node.found(now_s=node.now_s + 400 * DAY) == []


def test_a_chunk_is_made_behind_its_predecessor(node: Node) -> None:
    node.add(made_s=NOON + 2 * HOUR - 1)
    (flaw,) = node.flaws()
    assert (flaw.check, flaw.text) == ("time_order", "it was made 1 s before its predecessor")


def test_days_in_keys_never_go_back(node: Node) -> None:
    node.add(day="2026/11/21")
    node.add(day="2026/11/21")
    assert node.found() == [(3, "time_order")]


@pytest.mark.parametrize(("ahead_s", "found"), [(60, []), (61, [(3, "time_order")])])
def test_lines_are_not_later_than_their_chunk(node: Node, ahead_s: int, found: list[Any]) -> None:
    row = iso(node.now_s + HOUR + ahead_s)[:19].replace("T", " ").encode() + b" x\n"
    node.add(node.piece(TRACKING, 1, row))
    assert node.found() == found


def test_a_log_may_go_back_by_a_day_and_not_by_more(node: Node) -> None:
    node.add(node.piece(TRACKING, 1, b"2026-11-21 11:00:00 a\n"))
    assert node.found() == []
    node.add(node.piece(TRACKING, 1, b"2026-11-21 10:59:59 a\n"), node.piece(STATISTICS, 2, ROW))
    assert node.found() == [(4, "time_order")]
    # One newer line in the stretch, and chronyd was started again within it.
    node.add(node.piece(TRACKING, 1, b"2026-11-20 10:59:59 a\n" + ROW))
    # Another generation is another file: an old one that came back.
    node.add(node.piece(TRACKING, 3, b"2026-10-20 10:59:59 a\n"))
    assert node.found() == [(4, "time_order")]


def test_a_time_that_is_none_is_no_time(node: Node) -> None:
    node.add(node.piece(TRACKING, 1, b"2026-19-99 99:99:99 a\n"))
    node.add(node.piece(TRACKING, 1))
    assert node.found() == []
