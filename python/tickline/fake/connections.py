"""Generate logs of connections, with the numbers that a report must give beside them.

`generate_connections` writes ``connections.log`` as a cluster's collector does (nearly ordered: a line is
older than one before it by less than `disorder_s`) and ``truth.json``. The same seed, options and `now_s`
give the same bytes on every machine. Names are those of the program whose challenge this answers; further
ones are these with a number.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .draws import I64, PAD, U8, draw, scale, stream_key, text_table
from .files import TRUTH, WholeFile, clear, write_json

__all__ = ["append_connections", "generate_connections"]

SCHEMA = 1
KIND = "tickline fake connections"
LOG = "connections.log"
SPAN_S = 7200
DISORDER_S = 300
HOSTS, SERVERS = 55, 26
WINDOW_S = 3600
GROUPING_S = 1200
_HOST_WORDS = (
    "almont alpine alta ambassador arden bedford benedict beverley brighton camden canon chalette clark "
    "clifton coldwater cove crescent dabney dayton della doheny elcamino elm evelyn foothill greenacres "
    "hartford hillcrest lapeer leona lindacrest linden lomavista maple mountain oakhurst oxford palm pamela "
    "peck pine reeves rexford robertson rodeo roxbury shadowhill sierra spaulding stonewood summit sunset "
    "swall tower wallace wetherly"
)
_SERVER_WORDS = (
    "Alpha Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliet Kilo Lima Mike November Oscar Papa "
    "Quebec Romeo Sierra Tango Uniform Victor Whisky Xray Yankee Zulu"
)
_CHUNK_LINES = 250_000
_MOST_PAIRS = 1_000_000

Progress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    pass


def generate_connections(
    out: Path,
    *,
    lines: int = 12_000_000,
    hosts: int = HOSTS,
    servers: int = SERVERS,
    disorder_s: int = DISORDER_S,
    seed: int = 7,
    now_s: int | None = None,
    span_s: int = SPAN_S,
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Write a log of connections and the true answers in ``truth.json``.

    Parameters
    ----------
    out : Path
        The folder. It must be empty, absent, or hold nothing but an earlier output of this function, which
        is replaced.
    lines : int
        How many lines; some 25 bytes each.
    hosts, servers : int
        How many connect, and how many are connected to; at most 1,000,000 pairs of them.
    disorder_s : int
        Lines lie at random in windows of so many seconds, which follow each other; 0 for a log in order.
    seed : int
        Equal seeds and options give equal lines.
    now_s : int, optional
        Where the log ends (it holds the seconds before), in seconds since 1970; by default the clock's.
    span_s : int
        How many seconds the log covers.
    progress : callable
        Is told bytes written, and about how many there will be.

    Returns
    -------
    dict
        What ``truth.json`` holds: ``pairs`` is ``{host_from: {host_to: count}}`` of the last hour up to and
        with `now_s`, ``top`` the servers by count and then by name, ``buckets`` the connections in each 20
        minutes of it, the latest first.

    Raises
    ------
    ValueError
        An option is out of range.
    FileExistsError
        The folder holds files of somebody else.
    """
    now = int(time.time()) if now_s is None else now_s
    _check(lines, hosts, servers, disorder_s, now, span_s)
    options = {
        "lines": lines,
        "hosts": hosts,
        "servers": servers,
        "disorder_s": disorder_s,
        "seed": seed,
        "now_s": now,
        "span_s": span_s,
    }
    source: dict[str, Any] = {"path": LOG, "lines": 0, "bytes": 0}
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": KIND,
        "complete": False,
        "options": options,
        "sources": [source],
    }
    clear(out, KIND)
    # Written before the log, so that a run that was stopped can be told from somebody else's folder.
    write_json(out / TRUTH, answer)
    world = _World(seed, _names(_HOST_WORDS.split(), hosts), _names(_SERVER_WORDS.split(), servers), now)
    with WholeFile(out / LOG) as file:
        for text, count in world.chunks(lines, disorder_s, span_s):
            file.write(text)
            source["lines"] += count
            source["bytes"] += len(text)
            progress(source["bytes"], source["bytes"] * lines // source["lines"])
    answer.update(world.truth())
    answer["complete"] = True
    write_json(out / TRUTH, answer)
    return answer


def append_connections(
    path: Path,
    *,
    lines: int = 12_000_000,
    seed: int = 7,
    now_s: int | None = None,
    progress: Progress = _silent,
) -> None:
    """Append a log of the last two hours to a file, which is made if there is none; without its truth.

    Parameters
    ----------
    path : Path
        The log.
    lines, seed, now_s, progress
        As for `generate_connections`, with its defaults for all others.
    """
    now = int(time.time()) if now_s is None else now_s
    world = _World(seed, _names(_HOST_WORDS.split(), HOSTS), _names(_SERVER_WORDS.split(), SERVERS), now)
    written = done = 0
    with path.open("ab") as file:
        for text, count in world.chunks(lines, DISORDER_S, SPAN_S):
            file.write(text)
            written, done = written + len(text), done + count
            progress(written, written * lines // done)


def _check(lines: int, hosts: int, servers: int, disorder_s: int, now: int, span_s: int) -> None:
    if lines < 1 or hosts < 1 or servers < 1:
        raise ValueError("lines, hosts and servers must be at least 1")
    if hosts * servers > _MOST_PAIRS:
        raise ValueError(f"hosts times servers must be at most {_MOST_PAIRS:,}: truth.json names every pair")
    if not 0 <= disorder_s <= span_s:
        raise ValueError(f"disorder must lie between 0 and {span_s:,} seconds")
    # All stamps have ten digits.
    if not 1_000_000_000 + span_s <= now <= 9_000_000_000:
        raise ValueError("now must lie between the years 2001 and 2255")


def _names(words: list[str], count: int) -> list[str]:
    """Return `count` different names: the words, then these with numbers."""
    rounds = range(-(-count // len(words)))
    return [f"{word}-{i + 1}" if i else word for i in rounds for word in words][:count]


class _World:
    """Draws lines and adds up what a report of the last hour finds."""

    def __init__(self, seed: int, hosts: list[str], servers: list[str], now: int) -> None:
        self._hosts, self._servers, self._now = hosts, servers, now
        self._keys = [stream_key(seed, name) for name in ("time", "from", "to")]
        self._from_text = text_table([f" {name}".encode() for name in hosts])
        self._to_text = text_table([f" {name}\n".encode() for name in servers])
        self._pairs = np.zeros(len(hosts) * len(servers), dtype=np.int64)
        self._buckets = np.zeros(-(-(WINDOW_S + 1) // GROUPING_S), dtype=np.int64)

    def chunks(self, lines: int, disorder_s: int, span_s: int) -> Iterator[tuple[bytes, int]]:
        """Yield pieces of the log and how many lines they have."""
        width = max(disorder_s, 1)
        begin = self._now - span_s
        windows = -(-span_s // width)
        for window in range(windows):
            first, last = lines * window // windows, lines * (window + 1) // windows
            start = begin + window * width
            seconds = min(width, self._now - start)
            for row in range(first, last, _CHUNK_LINES):
                rows = np.arange(row, min(row + _CHUNK_LINES, last), dtype=np.uint64)
                times, one, other = (draw(key, rows) for key in self._keys)
                stamps = start + scale(times, seconds)
                from_ids = scale(one, len(self._hosts))
                to_ids = scale(other, len(self._servers))
                self._count(stamps, from_ids, to_ids)
                yield self._text(stamps, from_ids, to_ids), len(rows)

    def _count(self, stamps: I64, from_ids: I64, to_ids: I64) -> None:
        age = self._now - stamps
        inside = (age >= 0) & (age <= WINDOW_S)
        pairs = from_ids[inside] * len(self._servers) + to_ids[inside]
        self._pairs += np.bincount(pairs, minlength=len(self._pairs))
        self._buckets += np.bincount(age[inside] // GROUPING_S, minlength=len(self._buckets))

    def _text(self, stamps: I64, from_ids: I64, to_ids: I64) -> bytes:
        digits = np.empty((len(stamps), 10), dtype=np.uint8)
        rest = stamps
        for place in range(9, -1, -1):
            rest, digit = np.divmod(rest, 10)
            digits[:, place] = digit + ord("0")
        cells: U8 = np.concatenate([digits, self._from_text[from_ids], self._to_text[to_ids]], axis=1)
        text: bytes = cells[cells != PAD].tobytes()
        return text

    def truth(self) -> dict[str, Any]:
        """Return what a report of the last hour finds."""
        table = self._pairs.reshape(len(self._hosts), len(self._servers))
        sums = table.sum(axis=0).tolist()
        top = [(server, n) for server, n in zip(self._servers, sums, strict=True) if n]
        top.sort(key=lambda one: (-one[1], one[0]))
        return {
            "window": {"now_s": self._now, "seconds": WINDOW_S, "grouping_seconds": GROUPING_S},
            "connections": int(table.sum()),
            "top": [{"host": server, "count": n} for server, n in top],
            "buckets": self._buckets.tolist(),
            "pairs": {
                host: {server: n for server, n in zip(self._servers, row.tolist(), strict=True) if n}
                for host, row in zip(self._hosts, table, strict=True)
            },
        }
