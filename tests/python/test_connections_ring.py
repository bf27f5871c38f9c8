"""Windows that slide over cells: each report is what a single count of the same lines gives."""

from __future__ import annotations

import random

import pytest

from python.connections_support import NOW_S, NS
from python.tail_support import options_of
from tickline import _core
from tickline.errors import TicklineError, UsageError
from tickline.pipelines.connections.count import new_count
from tickline.pipelines.connections.ring import Ring
from tickline.table import Table


def _rows(count: _core.ConnectionsCount) -> list[tuple[object, ...]]:
    batch = count.table()
    table = Table(batch.schema, [batch])
    return list(zip(*(table.column(name).tolist() for name in table.column_names), strict=True))


def _stamp(ns: int) -> str:
    return f"{ns // NS}.{ns % NS:09d}"


def _lines(dice: random.Random, ring: Ring, first: int, last: int, lines: int) -> bytes:
    """Return lines between two edges, many of them at edges, a ns before and a ns behind."""
    text = []
    for _ in range(lines):
        ns = dice.randrange(ring.time_of(first), ring.time_of(last))
        if dice.random() < 0.5:
            ns = ring.time_of(dice.randrange(first, last)) + dice.choice([-1, 0, 0, 1])
        text.append(f"{_stamp(ns)} h{dice.randrange(4)} s{dice.randrange(3)}\n")
    return "".join(text).encode()


@pytest.mark.parametrize(
    ("seconds", "grouping", "sleep"),
    [(3600, 1200, 3600), (60, 20, 15), (7, 3, 2), (0, 5, 1), (1, 1, 1), (10, 3600, 5), (600, 7, 61)],
)
def test_reports_are_those_of_single_runs_wherever_windows_end(
    seconds: int, grouping: int, sleep: int
) -> None:
    dice = random.Random(seconds + grouping)
    for now_ns in (NOW_S * NS, NOW_S * NS + dice.randrange(NS)):
        options = options_of("x", seconds=seconds, grouping_seconds=grouping, now_ns=now_ns)
        ring = Ring(options, sleep)
        assert all(part * NS % ring.cell_ns == 0 for part in (seconds, grouping, sleep))
        text = b""
        edge = 0
        for _ in range(12):
            ahead = (ring.until_ns - now_ns) // ring.cell_ns
            before = edge - seconds * NS // ring.cell_ns
            more = _lines(dice, ring, before, max(min(edge + ring.every, ahead), before + 1), 300)
            piece = ring.piece()
            piece.feed(more)
            piece.finish()
            ring.take(piece)
            text += more
            for at in {edge, edge + dice.randrange(ring.every)}:
                count, asked = ring.report(at)
                single = new_count(asked)
                single.feed(text)
                single.finish()
                assert asked.now_ns == ring.time_of(at)
                assert _rows(count) == _rows(single)
            edge += dice.choice([1, ring.every, 3 * ring.every])
            ring.slide(edge, ring.time_of(edge))


def test_cells_are_a_minute_at_most_unless_the_window_is_long() -> None:
    assert Ring(options_of("x"), 3600).cell_ns == 60 * NS
    assert Ring(options_of("x", seconds=86400 * 30, grouping_seconds=86400), 86400).cell_ns < 2592 * NS
    assert Ring(options_of("x", seconds=61, grouping_seconds=61), 61).cell_ns == 30.5 * NS


def test_what_leaves_the_window_leaves_memory_too() -> None:
    ring = Ring(options_of("x", seconds=600, grouping_seconds=60), 60)
    most = 0
    for edge in range(300):
        ring.slide(edge, ring.time_of(edge))
        piece = ring.piece()
        text = "".join(f"{_stamp(ring.time_of(edge) - i)} host{edge}-{i} server{i}\n" for i in range(50))
        piece.feed(text.encode())
        ring.take(piece)
        if edge == 30:
            most = ring.memory
    # As many pairs and hosts at the end as when the window had been full for the first time, twice.
    assert 0 < ring.memory <= 1.5 * most
    count, _ = ring.report(299)
    assert len(_rows(count)) == 50 * 10 + 1


def test_lines_ahead_of_the_clock_are_kept_for_later_reports_up_to_a_window() -> None:
    ring = Ring(options_of("x", seconds=60, grouping_seconds=60, disorder_seconds=5), 10)
    piece = ring.piece()
    piece.feed(f"{NOW_S + 30} a b\n{NOW_S + 60} a c\n{NOW_S + 61} a d\n".encode())
    ring.take(piece)
    assert piece.counts()["filtered"] == {"time": 1}
    assert _rows(ring.report(0)[0]) == []
    ring.slide(6, ring.time_of(6))
    assert _rows(ring.report(6)[0]) == [(-1, "a", "b", 1), (-1, "a", "c", 1)]


def test_a_clock_that_was_set_back_brings_nothing_back() -> None:
    ring = Ring(options_of("x", seconds=60, grouping_seconds=60), 60)
    ring.slide(10, ring.time_of(10))
    since = ring.since_ns
    ring.slide(2, ring.time_of(2))
    assert ring.since_ns == since


def test_more_than_memory_holds_is_an_error_that_says_so() -> None:
    ring = Ring(options_of("x", memory_bytes=2**20), 3600)

    def fill() -> None:
        for i in range(1000):
            piece = ring.piece()
            piece.feed("".join(f"{NOW_S} host-{i}-{j} server\n" for j in range(100)).encode())
            ring.take(piece)

    with pytest.raises(TicklineError, match="hosts and their counts need more than the 1 MB"):
        fill()


def test_a_window_that_stands_still_or_no_time_between_reports_is_refused() -> None:
    for options in (options_of("x", since_ns=0), options_of("x", until_ns=NOW_S * NS)):
        with pytest.raises(UsageError, match="tail: a live report has a window that moves"):
            Ring(options, 60)
    with pytest.raises(UsageError, match="sleep-seconds: must be at least 1"):
        Ring(options_of("x"), 0)
