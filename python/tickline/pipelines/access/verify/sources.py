"""Sources read once more, line by line by the slow reference, and compared with what the store has."""

import ipaddress
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tickline import _core
from tickline.discovery import is_s3
from tickline.errors import TicklineError
from tickline.pipelines.access.ingest.agents import agent_class
from tickline.pipelines.access.ingest.inputs import Input, find_inputs
from tickline.pipelines.access.ingest.read import LISTED_REJECTS
from tickline.pipelines.access.ingest.rows import SCANNED
from tickline.reference.access_tree import reference_tree_line
from tickline.reference.s3_access import MAX_LINE_BYTES, ReferenceFilter, reference_parse
from tickline.store.ledger import PartFile, Snapshot
from tickline.store.query import open_connection, running

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder
    from tickline.store.settings import Settings

__all__ = ["CHECKED_BYTES", "check_source", "choose_sources", "still_there"]

CHECKED_BYTES = 64 * 10**6
"""So much of a source is read, from its beginning: the reference takes some 50 microseconds a line."""

_COLUMNS = (
    "line",
    "time",
    "key",
    "requester_id",
    "bytes_sent",
    "object_size",
    "http_status",
    "operation",
    "agent_class",
)
_ROWS = 10_000
_DAY_MS = 86_400_000
_Row = tuple[Any, ...]
_Record = dict[str, Any]
_Line = tuple[bytes, int]
_Judge = Callable[[bytes, int], dict[str, Any]]


@dataclass(slots=True)
class _Seen:
    """What the reference made of the lines so far."""

    lines: int = 0
    accepted: int = 0
    filtered: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    rejects: list[tuple[int, int, int, str]] = field(default_factory=list)
    whole: bool = True


def choose_sources(folder: "StoreFolder", count: int, seed: int | None) -> list[dict[str, Any]]:
    """Return rows of `names`, of up to `count` live sources drawn at random that still lie where they lay."""
    numbers = [
        row[0] for row in folder.ledger.rows("SELECT id FROM sources WHERE state = 'live' ORDER BY id")
    ]
    # It decides what is looked at, and nothing secret.
    random.Random(seed).shuffle(numbers)  # noqa: S311
    chosen: list[dict[str, Any]] = []
    for number in numbers:
        if len(chosen) >= count:
            break
        for name in folder.ledger.rows("SELECT * FROM names WHERE source = ? ORDER BY name", [number]):
            if is_s3(name["name"]) or _as_it_was(name):
                chosen.append(dict(name))
                break
    return chosen


def _as_it_was(name: Any) -> bool:
    try:
        status = os.stat(name["name"])
    except (OSError, ValueError):
        return False
    return bool((status.st_size, status.st_mtime_ns) == (name["size"], name["mtime_ns"]))


@contextmanager
def still_there(name: dict[str, Any]) -> Iterator[Input | None]:
    """Find a source again; None if it is no longer what it was.

    Raises
    ------
    TicklineError
        It cannot be listed.
    """
    with find_inputs([name["name"]]) as found:
        if found.problems:
            raise found.problems[0]
        item = found.inputs[0] if len(found.inputs) == 1 else None
        known = (name["name"], name["size"], name["mtime_ns"])
        yield item if item is not None and (item.name, item.size, item.mtime_ns) == known else None


def check_source(
    folder: "StoreFolder",
    snapshot: Snapshot,
    source: int,
    item: Input,
    advance: Callable[[int], object],
    *,
    checked_bytes: int = CHECKED_BYTES,
) -> Iterator[str]:
    """Yield a sentence for each thing in which a source and the store differ; the first ten rows at most.

    Raises
    ------
    TicklineError
        The source or a part cannot be read.
    """
    row = dict(folder.ledger.rows("SELECT * FROM sources WHERE id = ?", [source])[0])
    seen = _Seen()
    judge = _judge(folder.settings, row)
    expected = _expected(folder, _lines(item, row, seen, advance, checked_bytes), judge, seen)
    stored = _stored(folder, snapshot, row)
    repeated = json.loads(row["filtered"]).get("repeated", 0)
    wrong, missing = 0, 0
    for ours, theirs in _side_by_side(expected, stored, seen):
        if ours == theirs:
            continue
        if theirs is None and repeated:
            missing += 1
            continue
        wrong += 1
        if wrong <= 10:
            yield _difference(ours, theirs)
    if wrong > 10:
        yield f"{wrong - 10:,} more rows differ"
    if missing > repeated:
        yield f"{missing:,} rows are missing, of which only {repeated:,} are counted as repeated"
    if seen.whole:
        yield from _counts(folder, row, seen, missing)


def _difference(ours: _Row | None, theirs: _Row | None) -> str:
    if ours is None or theirs is None:
        number = (ours or theirs or (0,))[0]
        return f"line {number}: {'no row is expected' if ours is None else 'its row is missing'}"
    names = [name for name, mine, other in zip(_COLUMNS, ours, theirs, strict=True) if mine != other]
    return f"line {ours[0]}: the row differs in {', '.join(names)}"


def _side_by_side(
    expected: Iterator[_Row], stored: Iterator[_Row], seen: _Seen
) -> Iterator[tuple[_Row | None, _Row | None]]:
    """Pair rows by the numbers of their lines."""
    ours, theirs = next(expected, None), next(stored, None)
    while ours is not None or theirs is not None:
        if ours is None and not seen.whole and theirs is not None and theirs[0] > seen.lines:
            return
        if theirs is None or (ours is not None and ours[0] < theirs[0]):
            yield ours, None
            ours = next(expected, None)
        elif ours is None or theirs[0] < ours[0]:
            yield None, theirs
            theirs = next(stored, None)
        else:
            yield ours, theirs
            ours, theirs = next(expected, None), next(stored, None)


def _counts(folder: "StoreFolder", row: dict[str, Any], seen: _Seen, missing: int) -> Iterator[str]:
    filtered = Counter(json.loads(row["filtered"]))
    lines = row["lines"] - filtered.pop("unfinished", 0)
    filtered.pop("repeated", None)
    pairs = [
        ("lines", seen.lines, lines),
        ("accepted lines", seen.accepted - missing, row["accepted"]),
        ("filtered lines by reason", +seen.filtered, filtered),
        ("rejected lines by reason", +seen.rejected, Counter(json.loads(row["rejected"]))),
        ("noted lines", +seen.noted, Counter(json.loads(row["noted"]))),
    ]
    for name, mine, theirs in pairs:
        if mine != theirs:
            yield f"{name}: {_shown(mine)} were read now, {_shown(theirs)} stand in the ledger"
    sql = "SELECT line, offset, length, reason FROM rejects WHERE source = ? ORDER BY line"
    # Sources that were committed together share the number of lines that are listed.
    listed = [tuple(reject) for reject in folder.ledger.rows(sql, [row["id"]])]
    if seen.rejects[: len(listed)] != listed:
        yield "the list of its rejected lines is not the one found now"


def _shown(value: Any) -> str:
    return json.dumps(dict(sorted(value.items()))) if isinstance(value, Counter) else f"{value:,}"


# ---- what the reference makes of a source ------------------------------------------------------------------


def _judge(settings: "Settings", row: dict[str, Any]) -> _Judge:
    """Return what judges a line of a source, given with its number."""
    rules = _reference_filter(settings)
    if row["form"] == "log":
        return lambda line, _: reference_parse(line, rules)
    return lambda line, number: reference_tree_line(line, number, row["form"], row["key"], rules)


def _expected(folder: "StoreFolder", lines: Iterator[_Line], judge: _Judge, seen: _Seen) -> Iterator[_Row]:
    """Yield the rows that the store should have, by line."""
    pseudonyms = folder.pseudonyms(making=True)
    judged = _judged(lines, judge, seen)
    while some := list(itertools.islice(judged, _ROWS)):
        addresses = sorted({record["remote_ip"] for _, record in some if record["remote_ip"] is not None})
        ids = dict(zip(addresses, pseudonyms.ids(addresses).tolist(), strict=True))
        for number, record in some:
            requester = ids[record["remote_ip"]] if record["remote_ip"] is not None else None
            values = (record[name] for name in ("bytes_sent", "object_size", "http_status", "operation"))
            agent = agent_class(record["user_agent"])
            yield (number, record["time"], record["key"], requester, *values, agent)


def _judged(lines: Iterator[_Line], judge: _Judge, seen: _Seen) -> Iterator[tuple[int, _Record]]:
    """Yield number and record of each accepted line, and note what became of the others."""
    offset = 0
    for line, length in lines:
        seen.lines += 1
        judged = judge(line, seen.lines)
        if judged["outcome"] == "accepted":
            seen.accepted += 1
            seen.noted.update(_noted(judged))
            yield seen.lines, judged["record"]
        elif judged["outcome"] == "filtered":
            seen.filtered[judged["reason"]] += 1
        else:
            seen.rejected[judged["reason"]] += 1
            if len(seen.rejects) < LISTED_REJECTS:
                text = length - line.endswith(b"\r") if length == len(line) else length
                seen.rejects.append((seen.lines, offset, text, judged["reason"]))
        offset += length + 1


def _noted(judged: dict[str, Any]) -> set[str]:
    """Return what is noted of a line; bytes that are no UTF-8 matter in the extracted columns only."""
    texts = (judged["raw"][name] for name in SCANNED)
    invalid = any(
        isinstance(text, bytes) and text.decode("utf-8", "replace").encode() != text for text in texts
    )
    return set(judged["noted"]) - {"invalid_utf8"} | ({"invalid_utf8"} if invalid else set())


def _lines(
    item: Input, row: dict[str, Any], seen: _Seen, advance: Callable[[int], object], checked: int
) -> Iterator[_Line]:
    """Yield each line without its newline, and its length; of one that is too long only the beginning."""
    hashed = _core.ContentHash()
    total = row["bytes"]
    seen.whole = total <= checked
    begun, length, taken = b"", 0, 0
    with item.open() as opened:
        for chunk in opened.chunks():
            data = bytes(chunk[: min(total, checked) - hashed.bytes])
            hashed.update(data)
            pieces = data.split(b"\n")
            for piece in pieces[:-1]:
                yield begun + piece[: MAX_LINE_BYTES + 2 - len(begun)], length + len(piece)
                begun, length = b"", 0
            length += len(pieces[-1])
            begun += pieces[-1][: MAX_LINE_BYTES + 2 - len(begun)]
            advance(opened.bytes_taken - taken)
            taken = opened.bytes_taken
            if hashed.bytes >= min(total, checked):
                break
    if not seen.whole:
        return
    if hashed.digest() != row["content_hash"]:
        what = "its content is not the one that was taken in, though size and time are the same"
        raise TicklineError(what, where=item.name)
    if length:
        yield begun, length


def _reference_filter(settings: "Settings") -> ReferenceFilter:
    return ReferenceFilter(
        operations=None if settings.operations is None else {name.encode() for name in settings.operations},
        statuses=None if settings.statuses is None else set(settings.statuses),
        key_rules=None
        if settings.keys is None
        else [(name.encode(), parts) for name, parts in settings.keys],
        excluded_ip=_excluded(settings),
        # A row needs a day: lines without a time are filtered.
        since_ms=-(2**62),
    )


def _excluded(settings: "Settings") -> Callable[[bytes], bool] | None:
    if not settings.exclude_networks and settings.exclude_ip_regex is None:
        return None
    networks = [ipaddress.ip_network(text) for text in settings.exclude_networks]
    pattern = None
    if settings.exclude_ip_regex is not None:
        from tickline._pattern import Pattern

        pattern = Pattern(settings.exclude_ip_regex)

    @lru_cache(100_000)
    def excluded(address: bytes) -> bool:
        if pattern is not None and pattern.matches(address):
            return True
        try:
            parsed = ipaddress.ip_address(address.decode("ascii", "replace"))
        except ValueError:
            return False
        forms = {parsed, getattr(parsed, "ipv4_mapped", None) or parsed}
        return any(form in network for network in networks for form in forms)

    return excluded


# ---- what the store has of it ------------------------------------------------------------------------------


def _stored(folder: "StoreFolder", snapshot: Snapshot, row: dict[str, Any]) -> Iterator[_Row]:
    """Yield the rows of a source, by line; DuckDB sorts them, on the disk if need be."""
    parts = [part for part in snapshot.parts if _overlap(part, row)]
    if not parts:
        return
    columns = ", ".join("epoch_ms(time) AS time" if name == "time" else name for name in _COLUMNS)
    sql = f"SELECT {columns} FROM read_parquet(?) WHERE source = ? ORDER BY line"  # noqa: S608 (our own names)
    paths = [str(folder.path / part.path) for part in parts]
    with closing(open_connection(folder, memory="500MB", threads=1)) as connection, running():
        found = connection.execute(sql, [paths, row["id"]])
        while rows := found.fetchmany(_ROWS):
            yield from rows


def _overlap(part: PartFile, row: dict[str, Any]) -> bool:
    if row["first_ms"] is None:
        return False
    return bool(part.first_day <= row["last_ms"] // _DAY_MS and part.last_day >= row["first_ms"] // _DAY_MS)
