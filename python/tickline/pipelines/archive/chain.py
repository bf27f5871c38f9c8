"""Whether the chunks of a node are the chain that was written: fed chunk by chunk, each read once.

What is judged, and under which name:

============== ============================================================================================
``damaged``    the object is no chunk, or not what its header says of it (hash, counts, times, positions)
``swapped``    it stands under a key of another node, day, number or hash than its own
``missing``    there is no object of this number; what it held is told as far as its neighbours know
``double``     there are two of one number
``chain``      it is not the object that the next one followed: one of the two was replaced
``overlap``    bytes of a log that an earlier chunk has, or a generation that begins again
``hole``       bytes of a log, or a generation, that no chunk has
``time_order`` made before its predecessor, or with a key of an earlier day; lines later than itself; a
               stretch of a log that is all more than a day older than what the log held before
``runs``       the numbers of runs go back, or runs are told by no chunk
``heartbeat``  more time than promised between two chunks
``cut``        more time than promised since the last one: silent since, or what followed was removed
============== ============================================================================================

Times of single rows are not judged here: chronyd steps the clock when it starts, and the report looks at
each row. A chunk that cannot be used (``damaged``, ``swapped``) or is ``missing`` breaks what is known; it is
taken up again from the chunk behind it, without further findings for the same fault.

What the archive alone cannot tell: what was removed from the end, before a heartbeat is overdue; and whether
the last chunk is the one that was sent, before the next one follows it. Where both were within reach of who
could delete or replace objects, the node's own state (its number and hash) and the store's versions tell.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from tickline.errors import TicklineError
from tickline.pipelines.archive.chunk import MOVED, Chunk, Range, key_of, times_in
from tickline.pipelines.archive.reader import Listed
from tickline.pipelines.archive.runs import MOST_CARRIED
from tickline.pipelines.archive.state import Position

__all__ = ["ChainCheck", "Flaw", "heartbeat_limit_s"]

# Between two samples of a log a clock may be set by hours, and lines may stand twice; see the table above.
_BACK_S = 86400.0
# A row has the time of chronyd's clock, which the system's may still be on its way to.
_AHEAD_S = 60.0
_LEAST_SLACK_S = 3600

_Found = tuple[str, str]
"""A check and a sentence."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """Something that `verify` found.

    Attributes
    ----------
    object : str
        Key of the chunk; of one that is missing, the key it had, with ``*`` for a day that nobody knows.
    check : str
        See the table of this module, and that of `tickline.pipelines.archive.verify`.
    text : str
        A sentence.
    begin_s, end_s : float or None
        Between which times (the node's clock, seconds since 1970) what it concerns was made, where known.
    """

    object: str
    check: str
    text: str
    begin_s: float | None = None
    end_s: float | None = None

    def as_json(self) -> dict[str, str]:
        """Return what ``verify --json`` shows."""
        return {"object": self.object, "check": self.check, "text": self.text}


def heartbeat_limit_s(header: dict[str, Any]) -> int | None:
    """Return after how many seconds silence is a finding: a heartbeat and a quarter, or and an hour.

    A heartbeat comes with the first run after it is due, so that it may be late by the time between two runs.
    None if the header promises none.
    """
    promised = header.get("heartbeat_s")
    if type(promised) is not int or promised <= 0:
        return None
    return promised + max(_LEAST_SLACK_S, promised // 4)


@dataclass(slots=True)
class _Head:
    """What must be known of a chunk to judge the next one; `position` is None if it could not be used."""

    listed: Listed
    sha256: str | None = None
    position: Position | None = None
    limit_s: int | None = None
    logs: dict[int, tuple[str, int]] = field(default_factory=dict)
    newest: list[tuple[Range, str]] = field(default_factory=list)
    latest: dict[int, str] = field(default_factory=dict)

    @property
    def created_s(self) -> float | None:
        return self.position.created_s if self.position else None


class ChainCheck:
    """The checker of one node.

    Parameters
    ----------
    node : str
        Whose chunks.
    whole : bool
        The first chunk that comes must be number 1; otherwise the chain is judged from what comes first.

    Examples
    --------
    ``for item, chunk in read_all(store, listed): flaws += check.add(item, chunk)``, and then
    ``flaws += check.end(now_s)``.
    """

    def __init__(self, node: str, *, whole: bool = True) -> None:
        self._node = node
        # Usually one each: of doubles any may be the one that the next chunk followed.
        self._before: list[_Head] = []
        self._heads: list[_Head] = []
        self._whole = whole

    def add(self, listed: Listed, chunk: Chunk | TicklineError) -> list[Flaw]:
        """Judge the next chunk in the order of numbers; an error stands for one that cannot be read."""
        flaws: list[Flaw] = []
        if not self._heads or listed.seq > self._heads[0].listed.seq:
            self._before, self._heads = self._heads, []
        else:
            text = f"there is another chunk of number {listed.seq}: {self._heads[0].listed.key}"
            flaws.append(Flaw(listed.key, "double", text))
        head, found = self._read(listed, chunk)
        flaws += found
        self._heads.append(head)
        expected = self._before[0].listed.seq + 1 if self._before else 1
        if listed.seq > expected and (self._before or self._whole):
            if len(self._heads) == 1:
                flaws.append(self._missing(expected, head, chunk))
        elif head.position is not None and isinstance(chunk, Chunk):
            before = self._predecessor(chunk)
            if before is None:
                flaws += self._first(head, chunk)
            else:
                flaws += _Step(before, head, chunk).flaws()
        return flaws

    def end(self, now_s: float | None = None) -> list[Flaw]:
        """Judge the end of the chain at `now_s`; None if it goes on behind what was added."""
        if now_s is None or not self._heads:
            return []
        head = self._heads[0]
        created_s, limit_s = head.created_s, head.limit_s
        if created_s is None or limit_s is None or now_s - created_s <= limit_s:
            return []
        text = (
            f"the last chunk was made {_span(now_s - created_s)} ago, and one was promised every "
            f"{_span(limit_s)} at the latest: the node is silent, or what followed was removed"
        )
        return [Flaw(head.listed.key, "cut", text, created_s, now_s)]

    # ---- one chunk ----------------------------------------------------------------------------------------

    def _read(self, listed: Listed, chunk: Chunk | TicklineError) -> tuple[_Head, list[Flaw]]:
        """Judge a chunk by itself."""
        head = _Head(listed)
        if isinstance(chunk, TicklineError):
            return head, [Flaw(listed.key, "damaged", chunk.what)]
        header = chunk.header
        day = header.get("day")
        own = key_of(header["node"], str(day), header["seq"], chunk.sha256 if listed.unique else None)
        if own != listed.key:
            what = f"it is chunk {header['seq']} of node {header['node']!r}, made for {own}"
            return head, [Flaw(listed.key, "swapped", what)]
        head.sha256 = chunk.sha256
        try:
            position = Position.behind(chunk)
        except TicklineError as error:
            return head, [Flaw(listed.key, "damaged", error.what)]
        head.position = position
        head.limit_s = heartbeat_limit_s(header)
        head.logs = {known.number: (known.log, known.offset) for known in position.generations}
        head.newest = [(stretch, max(times)) for stretch, data in chunk.pieces() if (times := times_in(data))]
        return head, _times(head, chunk)

    def _predecessor(self, chunk: Chunk) -> _Head | None:
        """Return the chunk that this one followed; if it followed none, the first there is."""
        named = [head for head in self._before if head.sha256 == chunk.header.get("previous")]
        return next(iter(named or self._before), None)

    def _first(self, head: _Head, chunk: Chunk) -> list[Flaw]:
        """Judge a chunk without a predecessor: the first of all, or of those that are looked at."""
        if head.listed.seq != 1:
            head.latest = _latest(head, {})
            return []
        nothing = _Head(Listed(0, "", False, head.listed.key), position=Position())
        return _Step(nothing, head, chunk).flaws()

    def _missing(self, expected: int, head: _Head, chunk: Chunk | TicklineError) -> Flaw:
        """Say what is not there before this chunk, and begin anew with it."""
        before, last = (self._before[0] if self._before else None), head.listed.seq - 1
        numbers, them = (
            (f"chunk {last} is", "it") if last == expected else (f"chunks {expected} to {last} are", "them")
        )
        text = f"{numbers} missing"
        if isinstance(chunk, Chunk) and head.position is not None:
            head.latest = _latest(head, before.latest if before else {})
            if before is None or before.position is not None:
                size = _lost(before.logs if before else {}, head, chunk)
                text += f", and with {them} {size:,} bytes of logs"
        same_day = before is not None and before.listed.day == head.listed.day
        key = key_of(self._node, head.listed.day if same_day else "*", expected)
        return Flaw(key, "missing", text, before.created_s if before else None, head.created_s)


@dataclass(slots=True)
class _Step:
    """From one chunk to the next."""

    before: _Head
    head: _Head
    chunk: Chunk

    def flaws(self) -> list[Flaw]:
        """Judge it, and let the head know how far the times in its logs go."""
        before, after = self.before, self.head
        key, between = after.listed.key, (before.created_s, after.created_s)
        after.latest = _latest(after, before.latest)
        found = list(_back(after, before.latest))
        if before.position is not None:
            # Otherwise it was damaged or another's, which was said.
            found += [*self._clock(), *self._logs(before.position), *self._runs(before.position.run)]
        flaws = [Flaw(key, check, text, *between) for check, text in found]
        if before.position is not None and self.chunk.header.get("previous") != before.sha256:
            text = f"chunk {after.listed.seq} followed another object than this one: one was replaced"
            flaws.insert(0, Flaw(before.listed.key or key, "chain", text, *between))
        return flaws

    def _clock(self) -> Iterator[_Found]:
        begin_s, end_s, limit_s = self.before.created_s, self.head.created_s, self.before.limit_s
        if self.head.listed.day < self.before.listed.day:
            yield (
                "time_order",
                f"its key is of an earlier day than that of its predecessor, {self.before.listed.key}",
            )
        if begin_s is None or end_s is None:
            return
        if end_s < begin_s:
            yield "time_order", f"it was made {_span(begin_s - end_s)} before its predecessor"
        if limit_s is not None and end_s - begin_s > limit_s:
            text = f"{_span(end_s - begin_s)} lie between it and its predecessor, and a chunk was promised "
            yield "heartbeat", f"{text}every {_span(limit_s)} at the latest"

    def _logs(self, position: Position) -> Iterator[_Found]:
        """Lay its stretches behind what came before, and compare with where it says that logs stand."""
        reached, following = dict(self.before.logs), position.next_generation
        for stretch, _ in self.chunk.pieces():
            log, offset = reached.get(stretch.generation, (None, 0))
            if log is None:
                yield from _begins(stretch, following)
                following = max(following, stretch.generation + 1)
            elif log != stretch.log and not _is_moved(log, stretch):
                yield "overlap", f"generation {stretch.generation} was of {log}, and is of {stretch.log} here"
            elif offset != stretch.begin:
                yield _misfit(stretch.log, stretch.generation, offset, stretch.begin)
            reached[stretch.generation] = stretch.log, stretch.end
        for number, (log, offset) in self.head.logs.items():
            known, end = reached.get(number, (log, 0))
            if end != offset:
                yield _misfit(known, number, end, offset)
        told = self.head.position.next_generation if self.head.position else following
        if told != following:
            text = f"it says that generation {told} is the next, and that would be {following}"
            yield "hole" if told > following else "overlap", text

    def _runs(self, last: int) -> Iterator[_Found]:
        header = self.chunk.header
        told = header.get("runs")
        entries = told if isinstance(told, list) else [None]
        numbers = [entry.get("run") if isinstance(entry, dict) else None for entry in entries]
        first = numbers[0] if numbers and type(numbers[0]) is int else last + 1
        end = first + len(numbers)
        # Of long silence only the end is told.
        follows = first == last + 1 or (first > last and len(numbers) >= MOST_CARRIED)
        if not follows or numbers != list(range(first, end)):
            yield "runs", f"its log of runs does not go on behind run {last} without a gap"
        elif header["run"] != end - 1:
            yield (
                "runs",
                f"it says that the last run was {header['run']}, and its log of runs ends at {end - 1}",
            )


def _begins(stretch: Range, following: int) -> Iterator[_Found]:
    """Judge the first stretch of a generation; `following` is the number of the next new one."""
    number, log = stretch.generation, stretch.log
    if number < following:
        yield "overlap", f"generation {number} of {log} was given up, and goes on here"
    elif number > following:
        yield "hole", f"generation {number} of {log} begins, and {following} would be the next"
    if stretch.begin and stretch.note is None:
        # Where there is a note, what stands before is in another generation.
        yield _misfit(log, number, 0, stretch.begin)


def _is_moved(log: str, stretch: Range) -> bool:
    """Tell whether it is the same log, of which archive.toml names another folder now."""
    return stretch.note == MOVED and PurePosixPath(stretch.log).name == PurePosixPath(log).name


def _misfit(log: str, number: int, reached: int, begin: int) -> _Found:
    low, high = sorted((reached, begin))
    where = f"bytes {low:,} to {high:,} of {log} (generation {number})"
    return ("hole", f"no chunk has {where}") if begin > reached else ("overlap", f"{where} stand there twice")


def _lost(logs: dict[int, tuple[str, int]], head: _Head, chunk: Chunk) -> int:
    """Count the bytes between what was reached before a gap and what is known behind it."""
    reached = {number: offset for number, (_, offset) in head.logs.items()}
    for stretch, _ in reversed(chunk.pieces()):
        reached[stretch.generation] = stretch.begin
    return sum(max(0, offset - logs.get(number, ("", 0))[1]) for number, offset in reached.items())


def _times(head: _Head, chunk: Chunk) -> list[Flaw]:
    """Compare the times in the lines with those in the header, and with when it was made."""
    times, header = times_in(chunk.raw), chunk.header
    least, most = (min(times), max(times)) if times else (None, None)
    if (header.get("earliest"), header.get("latest")) != (least, most):
        text = f"its lines go from {least} to {most}, and its header says otherwise"
        return [Flaw(head.listed.key, "damaged", text)]
    created_s = head.created_s
    latest_s = _seconds(most)
    if latest_s is None or created_s is None or latest_s <= created_s + _AHEAD_S:
        return []
    text = f"it holds lines of {most}, {_span(latest_s - created_s)} after it was made"
    return [Flaw(head.listed.key, "time_order", text, created_s, latest_s)]


def _latest(head: _Head, before: dict[int, str]) -> dict[int, str]:
    """Return the greatest time of each generation that still exists."""
    latest = {number: time for number, time in before.items() if number in head.logs}
    for stretch, newest in head.newest:
        latest[stretch.generation] = max(latest.get(stretch.generation, ""), newest)
    return latest


def _back(head: _Head, before: dict[int, str]) -> Iterator[_Found]:
    """Yield what is to be said of stretches that are older than what their logs held before."""
    for stretch, newest in head.newest:
        known_s, newest_s = _seconds(before.get(stretch.generation)), _seconds(newest)
        if known_s is not None and newest_s is not None and newest_s < known_s - _BACK_S:
            yield "time_order", f"{stretch.log} goes back by {_span(known_s - newest_s)}"


def _seconds(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() if text else None
    except ValueError:
        return None


def _span(seconds: float) -> str:
    """Write a length of time: ``3 d 4 h``, ``2 h 5 min``, ``17 s``."""
    whole = round(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    return " ".join(f"{count:,} {unit}" for count, unit in [part for part in parts if part[0]][:2]) or "0 s"
