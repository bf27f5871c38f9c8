"""An open cluster: pieces of work go out, answers come in as they are done, and no wait is endless."""

import asyncio
import contextlib
import queue
import re
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from tickline import _core
from tickline.engines.options import ClusterError
from tickline.engines.remote import Failure, do_piece, identity
from tickline.errors import TicklineError

__all__ = ["Answer", "Cluster"]

LOST_S = 30.0
"""How long a run waits for a scheduler that is silent, or for workers when there is none."""
SILENT_S = 30.0
"""How long a worker may be silent (it reports every second, one of a thousand every six), or may take to
answer what all are asked."""
PING_S = 2.0
# Where this process did not look for so long, how long a worker was silent is not known.
_LOOKED_AWAY_S = 4 * PING_S
# So many pieces wait at the workers beside those under way: nobody is idle while an answer is committed.
_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one piece of work.

    Attributes
    ----------
    number : int
        What `Cluster.submit` returned.
    worker : str
        The address of who answered; empty where nobody did.
    error : TicklineError or None
        Why there is no `value`.
    stranded : bool
        Nobody tried: all workers that were allowed to do it are lost. Others may do it.
    """

    number: int
    worker: str
    value: Any = None
    error: TicklineError | None = None
    stranded: bool = False


@dataclass(slots=True)
class _Piece:
    """What is to be done, who must not do it; and, once it is given out, who may, and how often it was."""

    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    name: str
    avoid: frozenset[str]
    future: Any = None
    allowed: frozenset[str] | None = None
    tries: int = 0


@dataclass(slots=True)
class Cluster:
    """An open cluster; belongs to the thread that opened it. See `open_cluster`.

    A piece of work whose worker dies is given to another one by the scheduler, and may thus run twice: what
    it leaves behind must not matter, only what it returns.
    """

    address: str
    _client: Any
    _pieces: dict[int, _Piece] = field(default_factory=dict)
    _done: "queue.SimpleQueue[tuple[int, str]]" = field(default_factory=queue.SimpleQueue)
    _run: str = field(default_factory=lambda: secrets.token_hex(6))
    _next: int = 0
    _asked: float = 0.0
    # Since when the scheduler is silent, and since when it has no worker.
    _silent: float | None = None
    _empty: float | None = None
    _workers: dict[str, int] = field(default_factory=dict)
    # When each one was last heard, by the clock of the scheduler and by the one here; and the last look.
    _heard: dict[str, tuple[float, float]] = field(default_factory=dict)
    _looked: float = 0.0
    # Those that said what is wrong with them, and those that are silent: they get work only if there is
    # nobody else.
    _unfit: set[str] = field(default_factory=set)
    _hung: set[str] = field(default_factory=set)

    @property
    def client(self) -> Any:
        """The client of `distributed`, for functions that users bring."""
        return self._client

    @property
    def workers(self) -> list[str]:
        """The addresses of the workers, as of the last look."""
        return sorted(self._workers)

    @property
    def under_way(self) -> int:
        """How many pieces were submitted and not answered."""
        return len(self._pieces)

    @property
    def room(self) -> int:
        """How many more pieces should be submitted before the next answer is taken.

        One at least if none is under way: where no worker is left at the moment, it waits for the next one.
        """
        fit = self._fit()
        wanted = sum(self._workers[worker] for worker in fit) + _AHEAD * len(fit)
        return max(0 if self._pieces else 1, wanted - len(self._pieces))

    def _fit(self, avoid: frozenset[str] = frozenset()) -> set[str]:
        """Return who should get work: who is heard, fit and not to be avoided, as far as there is anybody."""
        heard = set(self._workers) - self._hung or set(self._workers)
        return heard - self._unfit - avoid or heard - avoid or heard

    def submit(
        self, work: Callable[..., Any], *arguments: Any, name: str, avoid: Collection[str] = ()
    ) -> int:
        """Give out a piece of work.

        Parameters
        ----------
        work : callable
            A function of a module of tickline; what it returns comes with `next_answer`.
        arguments
            Plain values, nothing secret.
        name : str
            What the pages of the scheduler call it.
        avoid : collection of str
            Workers that must not do it; if no other is there and heard, anyone may.

        Returns
        -------
        int
            The number of this piece.

        Raises
        ------
        ClusterError
            The scheduler is lost.
        """
        number, self._next = self._next, self._next + 1
        piece = _Piece(work, arguments, name, frozenset(avoid))
        self._give(number, piece)
        self._pieces[number] = piece
        return number

    def _give(self, number: int, piece: _Piece) -> None:
        """Give a piece to the scheduler, once more where it was there before."""
        fit = self._fit(piece.avoid)
        # Where all are, also those may do it that come later.
        allowed = frozenset(fit) if fit != set(self._workers) else None
        piece.tries += 1
        key = f"tickline-{piece.name}-{self._run}-{number}-{piece.tries}"
        try:
            future = self._client.submit(
                do_piece,
                identity(),
                piece.work,
                piece.arguments,
                key=key,
                pure=False,
                workers=sorted(allowed) if allowed else None,
            )
        except Exception as error:  # its kind depends on how far the client has noticed it
            raise self._lost() from error
        piece.future, piece.allowed = future, allowed
        future.add_done_callback(lambda _: self._done.put((number, key)))

    def next_answer(self) -> Answer:
        """Wait for a piece to be done, whichever is first.

        Raises
        ------
        ClusterError
            The scheduler or all workers are lost.
        """
        while True:
            # Workers come and go also while answers pour in.
            if time.monotonic() - self._asked > PING_S:
                self._check()
                if (stranded := self._stranded()) is not None:
                    return stranded
            with contextlib.suppress(queue.Empty):
                number, key = self._done.get(timeout=PING_S)
                if number in self._pieces and self._pieces[number].future.key == key:
                    return self._answer(number)

    def look(self) -> None:
        """Ask the scheduler which workers there are; what silent ones have is given to others.

        They stay in the cluster, which may be other people's as well: a worker is also silent while
        somebody's work lets nothing else run, and gets work again when it is heard.

        Raises
        ------
        ClusterError
            The scheduler was silent for too long.
        """
        self._asked = now = time.monotonic()
        try:
            found = self._client.sync(self._client.scheduler.identity, callback_timeout=PING_S)
        except Exception as error:  # of many kinds: cut lines, time-outs, a client that is connecting again
            self._silent = self._silent or now
            if now - self._silent > LOST_S or self._client.status == "closed":
                raise self._lost() from error
            return
        self._silent = None
        if now - self._looked > _LOOKED_AWAY_S:
            self._heard.clear()
        self._looked = now
        self._workers = {address: int(one["nthreads"]) for address, one in found["workers"].items()}
        heard, self._heard = self._heard, {}
        for address, one in found["workers"].items():
            seen, since = heard.get(address, (None, now))
            self._heard[address] = (one["last_seen"], since if seen == one["last_seen"] else now)
        self._hung = {address for address, (_, since) in self._heard.items() if now - since > SILENT_S}
        if self._hung and set(self._workers) - self._hung:
            self._give_away()

    def _give_away(self) -> None:
        """Give what silent workers have to others: it may be done twice, as after a loss."""
        try:
            found = self._client.sync(
                self._client.scheduler.processing, workers=sorted(self._hung), callback_timeout=PING_S
            )
        except Exception:  # of many kinds; the next look does it
            return
        keys = {key for some in found.values() for key in some}
        for number, piece in self._pieces.items():
            if piece.future.key in keys:
                piece.future.release()
                self._give(number, piece)

    def _lost(self) -> ClusterError:
        hint = "What was committed stays; run it again when the scheduler is back: it goes on."
        return ClusterError("the scheduler was lost", where=self.address, hint=hint)

    def _check(self) -> None:
        """See that somebody is still at work."""
        self.look()
        if self._workers:
            self._empty = None
            return
        self._empty = self._empty or self._asked
        if self._asked - self._empty > LOST_S:
            hint = "What was committed stays; start workers and run it again: it goes on."
            raise ClusterError("all workers were lost", where=self.address, hint=hint)

    def _stranded(self) -> Answer | None:
        """Return a piece that can never be done: who was allowed to do it is gone."""
        for number, piece in self._pieces.items():
            if piece.allowed is not None and not piece.allowed & set(self._workers):
                piece.future.cancel()
                del self._pieces[number]
                what = "the workers that could have done it were lost"
                error = ClusterError(what, where=self.address, hint="Run it again.")
                return Answer(number, "", error=error, stranded=True)
        return None

    def _answer(self, number: int) -> Answer:
        while True:
            # It is another one where the piece was given away meanwhile.
            future = self._pieces[number].future
            try:
                worker, value = future.result(timeout=PING_S)
                break
            except TimeoutError:
                # It was done, and is lost with its worker: the scheduler has it done again.
                self._check()
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                del self._pieces[number]
                return self._broken(number, error)
        del self._pieces[number]
        # By itself it would be done in a `__del__`, where Ctrl-C is lost.
        future.release()
        if isinstance(value, Failure):
            failed = value.error(worker)
            if isinstance(failed, ClusterError):
                self._unfit.add(worker)
            return Answer(number, worker, error=failed)
        return Answer(number, worker, value)

    def _broken(self, number: int, error: BaseException) -> Answer:
        kind = type(error).__name__
        if "Cancelled" in kind:
            raise self._lost() from error
        if kind == "KilledWorker":
            what = "four workers died over the same piece of work"
            hint = "Look into their logs: the memory may be too small. What was committed stays."
        else:
            what, hint = f"a piece of work failed ({kind}: {error})", "Look into the logs of the workers."
        return Answer(number, "", error=ClusterError(what, where=self.address, hint=hint))

    def cancel(self) -> None:
        """Take back what is under way."""
        for piece in self._pieces.values():
            with contextlib.suppress(Exception):
                piece.future.cancel()
        self._pieces.clear()

    def everywhere(self, work: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """Let every worker do the same at once; return what each answered, a value or a `TicklineError`."""
        self._check()
        while not self._workers:
            time.sleep(PING_S / 10)
            self._check()
        workers = self.workers
        answers = self._client.sync(self._ask, workers, work, arguments)
        self.look()
        found: dict[str, Any] = {}
        for worker, answer in zip(workers, answers, strict=True):
            if isinstance(answer, BaseException) and worker not in self._workers:
                # It has left meanwhile, and will do nothing wrong.
                continue
            value = _unanswered(worker, answer) if isinstance(answer, BaseException) else answer[1]
            found[worker] = value.error(worker) if isinstance(value, Failure) else value
        return found

    async def _ask(
        self, workers: list[str], work: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> list[Any]:
        """Ask each worker by itself: one that hangs keeps nobody else from answering."""

        async def ask(worker: str) -> Any:
            asked = self._client._run(
                do_piece, identity(), work, arguments, workers=[worker], on_error="return"
            )
            return (await asyncio.wait_for(asked, SILENT_S))[worker]

        return await asyncio.gather(*map(ask, workers), return_exceptions=True)

    def check(self, work: Callable[..., Any], *arguments: Any) -> None:
        """Let every worker do the same before anything begins.

        Raises
        ------
        TicklineError
            One of them could not: the first one, by its address; also where its tickline is another one.
        """
        for answer in self.everywhere(work, *arguments).values():
            if isinstance(answer, TicklineError):
                raise answer


def _unanswered(worker: str, error: BaseException) -> ClusterError:
    """Explain what a worker says that has not even begun; Dask may wrap that up as text."""
    where, text = f"worker {worker}", f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError):
        return ClusterError(f"does not answer within {SILENT_S:.0f} s", where=where, hint="Restart it.")
    if re.search(r"ModuleNotFoundError|ImportError|AttributeError", text):
        hint = f"Install tickline[dask] {_core.__version__} there."
        return ClusterError(f"has no tickline that this one could use ({text})", where=where, hint=hint)
    return ClusterError(f"does not answer ({text})", where=where, hint="Restart it.")
