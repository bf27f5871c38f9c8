"""One run of the archive, as a machine whose every step has a name and may be its last.

What makes it safe to die anywhere:

1. A chunk is decided when it stands in the spool: number, key and bytes. Before that nothing has changed.
2. Its bytes go out as they are until the store has them: an answer that was lost is asked for again with the
   same bytes under the same key, and then 412 with the same hash is as good as 200.
3. The state follows the store: it names a chunk when the store has it, and the spool lets go of it then.

Where a run begins, the chunks in the spool are laid over the state, so that a kill between any two of these
is the same as one before or behind both.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from tickline import _core
from tickline.errors import TicklineError, UsageError
from tickline.files import remove_temporary
from tickline.pipelines.archive.chunk import IMPORTED, pack, unpack
from tickline.pipelines.archive.config import Config
from tickline.pipelines.archive.evidence import node_evidence
from tickline.pipelines.archive.recovery import recover
from tickline.pipelines.archive.runs import RunLog
from tickline.pipelines.archive.sending import Sender
from tickline.pipelines.archive.spool import Spool, SpoolFullError
from tickline.pipelines.archive.state import DamagedStateError, Position, State, StateFolder, utc_text
from tickline.pipelines.archive.stores import ArchiveStore
from tickline.pipelines.archive.tail import Gathered, gather

__all__ = ["Look", "Outcome", "Step", "run_once"]

# Heartbeats come at least so often; a state that is older by this factor may be an old copy of itself.
_STALE = 2
_DAY_S = 86400.0


Look = Callable[[Position, float], Gathered]
"""What is new behind the end of the chain, at a time (seconds since 1970). It is asked again from the same
position if there was no room in the spool, and must then give the same."""


class Step(StrEnum):
    """What was just done, in order; SENDING and PROBING are told before the request they name."""

    LOCKED = "locked"
    RECOVERED = "recovered"
    LOADED = "loaded"
    COLLECTED = "collected"
    PACKED = "packed"
    SPOOLED = "spooled"
    SENDING = "sending"
    PROBING = "probing"
    ANSWERED = "answered"
    ACKNOWLEDGED = "acknowledged"
    RELEASED = "released"
    LOGGED = "logged"


@dataclass(slots=True)
class Outcome:
    """What a run did.

    Attributes
    ----------
    start, end : float
        The node's clock, seconds since 1970.
    calls : int
        Requests to the store.
    objects, lines, bytes : int
        Chunks that the archive has since this run, their lines, and their compressed bytes.
    problems : list of TicklineError
        What went wrong; the next run goes on.
    """

    start: float
    end: float = 0.0
    calls: int = 0
    objects: int = 0
    lines: int = 0
    bytes: int = 0
    problems: list[TicklineError] = field(default_factory=list)

    @property
    def result(self) -> str:
        """``"ok"``, ``"nothing new"``, or the first problem."""
        if self.problems:
            return f"problem: {self.problems[0]}"
        return "ok" if self.objects else "nothing new"

    def as_json(self) -> dict[str, Any]:
        """Return the entry of ``runs.ndjson``, without its number."""
        return {
            "start": utc_text(self.start),
            "end": utc_text(self.end),
            "calls": self.calls,
            "bytes": self.bytes,
            "lines": self.lines,
            "objects": self.objects,
            "result": self.result,
        }


def run_once(
    config: Config,
    store: ArchiveStore,
    *,
    now: Callable[[], float] = time.time,
    at: Callable[[Step], object] = lambda _: None,
    evidence: Callable[[], dict[str, str | None]] = node_evidence,
    look: Look | None = None,
) -> Outcome:
    """Take what is new in the logs of this node into the archive.

    Parameters
    ----------
    config : Config
        What ``archive.toml`` says.
    store : ArchiveStore
        The archive.
    now : callable
        The node's clock, seconds since 1970.
    at : callable
        Is told each step, for tests.
    evidence : callable
        What is known of the node's chronyd, for the header.
    look : callable, optional
        Where new lines come from, in place of the logs.

    Returns
    -------
    Outcome
        With every problem in it; whatever could be done was done.

    Raises
    ------
    BusyError
        Another run of this node is at work.
    UsageError
        The state is another node's; nothing was done.
    """
    folder = StateFolder(config.state)
    with folder.lock():
        at(Step.LOCKED)
        outcome = Outcome(now())
        calls = store.calls
        runs = RunLog(config.state / "runs.ndjson")
        machine = _Machine(config, store, folder, outcome, now, at, evidence, runs, look)
        try:
            machine.run()
        except UsageError:
            # Of another node's folder not even the log of runs is ours.
            raise
        except TicklineError as error:
            outcome.problems.append(error)
        outcome.calls = store.calls - calls
        outcome.end = now()
        try:
            runs.append(outcome.as_json(), at_least=machine.head.run)
        except TicklineError as error:
            outcome.problems.append(error)
        at(Step.LOGGED)
        return outcome


class _Machine:
    """The state of one run; `head` is the end of the chain with what waits in the spool."""

    def __init__(
        self,
        config: Config,
        store: ArchiveStore,
        folder: StateFolder,
        outcome: Outcome,
        now: Callable[[], float],
        at: Callable[[Step], object],
        evidence: Callable[[], dict[str, str | None]],
        runs: RunLog,
        look: Look | None,
    ) -> None:
        self.head = Position()
        self._config = config
        self._store = store
        self._folder = folder
        self._outcome = outcome
        self._now = now
        self._at = at
        self._evidence = evidence
        self._runs = runs
        self._look = look or self._look_at_logs
        self._sender = Sender(store, lambda: at(Step.PROBING), unique_keys=config.unique_keys)
        self._spool = Spool(config.state / "spool", config.spool_limit)
        # A bucket of the same name at another server is another store.
        self._place = f"{store.url} at {config.endpoint}" if config.endpoint else store.url
        self._state = State(config.node, self._place)
        # Whether the archive told in this run where the chain ends.
        self._asked = False

    def run(self) -> None:
        """Load, then take and send until nothing is left that can be."""
        # What a killed run was writing was never decided.
        remove_temporary(self._folder.path)
        self._load()
        self._at(Step.LOADED)
        full = self._take_in()
        try:
            while self._send() and full is not None:
                full = self._take_in()
        finally:
            if full is not None:
                self._outcome.problems.append(full)

    # ---- where it stands ----------------------------------------------------------------------------------

    def _load(self) -> None:
        try:
            state = self._folder.load(self._config.node)
        except DamagedStateError as error:
            aside = self._folder.set_aside()
            hint = f"It was kept as {aside.name}; the archive told where to go on."
            self._outcome.problems.append(TicklineError(error.what, where=error.where, hint=hint))
            state = None
        if state is None:
            self._recover(Position())
        else:
            self._state = state
            if state.store != self._place:
                # Another store may have other manners.
                state.store, state.conditional = self._place, "unknown"
        self._lay_spool_over()
        made_s, now_s = self.head.created_s, self._now()
        if state is not None and made_s is not None:
            stale = made_s < now_s - _STALE * self._config.upload.heartbeat_s
            if stale or _day_of(made_s) < _day_of(now_s - _DAY_S):
                # Off for days, or a state from a backup: then the archive is ahead of it.
                self._recover(self._state.position)
                self._lay_spool_over()

    def _recover(self, known: Position) -> None:
        """Ask the archive where the chain ends, and believe it if that is further on than what is known."""
        days = self._config.upload.recovery_days
        fresh = known.seq == 0 and self._runs.is_empty()
        found = recover(self._store, self._config.node, now_s=self._now(), days=days, fresh=fresh)
        if found is not None and found[0].seq > known.seq:
            self._state.position, self._state.conditional = found
        self._folder.save(self._state)
        self._asked = True
        self._at(Step.RECOVERED)

    def _lay_spool_over(self) -> None:
        """Go to the end of what waits, and let go of what the archive has."""
        self.head = acknowledged = self._state.position
        for seq in self._spool.numbers():
            _, chunk = self._spool.read(seq)
            # The archive may have come by its number from another machine.
            is_there = seq < acknowledged.seq and self._sender.has(chunk)
            if is_there or (seq, chunk.sha256) == (acknowledged.seq, acknowledged.sha256):
                self._spool.remove(seq)
                continue
            follows = (
                chunk.header["seq"] == self.head.seq + 1 and chunk.header["previous"] == self.head.sha256
            )
            if chunk.header["node"] != self._config.node or not follows:
                what = f"chunk {seq} in the spool does not follow what the archive has"
                hint = "Keep a copy of the folder, and move the spool away: its lines are taken again."
                raise TicklineError(what, where=str(self._folder.path), hint=hint)
            self.head = Position.behind(chunk)

    # ---- taking in ----------------------------------------------------------------------------------------

    def _take_in(self) -> SpoolFullError | None:
        """Make chunks of what is new, until nothing is left or the spool is full."""
        while True:
            now_s = self._now()
            found = self._look(self.head, now_s)
            told = {str(problem) for problem in self._outcome.problems}
            self._outcome.problems += [problem for problem in found.problems if str(problem) not in told]
            if not found.pieces and not self._heartbeat_is_due(now_s):
                return None
            self._at(Step.COLLECTED)
            body = pack(self._header(found, now_s), found.pieces)
            self._at(Step.PACKED)
            try:
                self._spool.put(self.head.seq + 1, body)
            except SpoolFullError as error:
                return error
            except TicklineError as error:
                # What waits may go out all the same.
                self._outcome.problems.append(error)
                return None
            self._at(Step.SPOOLED)
            self.head = Position.behind(unpack(body, "the spool"))
            if not found.more:
                return None

    def _look_at_logs(self, head: Position, now_s: float) -> Gathered:
        folders, scratch = self._config.logs, self._folder.scratch
        return gather(folders, head.generations, head.next_generation, now_s=now_s, scratch=scratch)

    def _heartbeat_is_due(self, now_s: float) -> bool:
        made_s = self.head.created_s
        return made_s is None or abs(now_s - made_s) >= self._config.upload.heartbeat_s

    def _header(self, found: Gathered, now_s: float) -> dict[str, Any]:
        head, retention = self.head, self._config.retention
        runs = self._runs.behind(head.run)
        imported = any(stretch.note == IMPORTED for stretch, _ in found.pieces)
        return {
            "node": self._config.node,
            "seq": head.seq + 1,
            "previous": head.sha256,
            "created": utc_text(now_s),
            "day": self._day(now_s),
            "notes": [str(problem) for problem in found.problems],
            "generations": [generation.as_json() for generation in found.generations],
            "next_generation": found.next_number,
            "imports": head.imports_with(head.seq + 1) if imported else head.imports,
            "run": runs[-1]["run"] if runs else head.run,
            "runs": runs,
            "store": {"url": self._store.url, "conditional": self._state.conditional},
            # What an auditor may expect of this archive stands in it.
            "heartbeat_s": self._config.upload.heartbeat_s,
            "retention": asdict(retention) if retention else None,
            "evidence": self._evidence(),
            "writer": f"tickline {_core.__version__}",
        }

    def _day(self, now_s: float) -> str:
        """Return the day in the next key: that of the chunk before, unless the archive was just asked.

        So whoever goes on behind the same chunk has the same key, whenever that is: the second is refused.
        Keys sort as numbers do, even if the clock is set back: recovery looks at the last ones.
        """
        made_s = self.head.created_s
        return max(_day_of(now_s if self._asked or made_s is None else made_s), self.head.day)

    # ---- sending ------------------------------------------------------------------------------------------

    def _send(self) -> bool:
        """Send what waits, oldest first; whether anything was sent."""
        sent = False
        for seq in self._spool.numbers():
            body, chunk = self._spool.read(seq)
            self._at(Step.SENDING)
            self._state.conditional = self._sender.put(chunk, body, self._state.conditional)
            self._at(Step.ANSWERED)
            self._state.position = Position.behind(chunk)
            self._folder.save(self._state)
            self._at(Step.ACKNOWLEDGED)
            self._spool.remove(seq)
            self._at(Step.RELEASED)
            self._outcome.objects += 1
            self._outcome.lines += chunk.header["lines"]
            self._outcome.bytes += len(body)
            sent = True
        return sent


def _day_of(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y/%m/%d}"
