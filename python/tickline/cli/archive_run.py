"""``tickline archive run``: what is new in the logs of this node, once or as a service."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from tickline.cli.common import Debug, Quiet, answering, human_bytes, plural, say_error
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.stops import Stops

if TYPE_CHECKING:
    from tickline.pipelines.archive.config import Config
    from tickline.pipelines.archive.machine import Outcome
    from tickline.pipelines.archive.stores import ArchiveStore

__all__ = ["register"]

_EXAMPLES = """
Examples:

- `tickline archive run --config /etc/tickline/archive.toml`
- `tickline archive run --config archive.toml --every 30m`
- `tickline archive run --config archive.toml --every` (as often as archive.toml says)
- `*/30 * * * * tickline archive run --config /etc/tickline/archive.toml --quiet` (in a crontab)
"""

_AS_CONFIGURED = "as configured"
_STOPPED = "Nothing is lost: the next run goes on from here."


class _Run(TyperCommand):
    """The command; a bare ``--every`` means what archive.toml says."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        full = list(args)
        for place in range(len(full) - 1, -1, -1):
            if full[place] == "--every" and (place + 1 == len(full) or full[place + 1].startswith("-")):
                full.insert(place + 1, _AS_CONFIGURED)
        return super().parse_args(ctx, full)


class _Teller:
    """Says what each run did, in one line fit for a journal, and each problem in one more."""

    def __init__(self, config: "Config", *, as_json: bool, quiet: bool) -> None:
        from tickline.pipelines.archive.spool import Spool

        self._config = config
        self._json = as_json
        self._quiet = quiet
        self._spool = Spool(config.state / "spool", config.spool_limit)

    def tell(self, outcome: "Outcome") -> None:
        """Tell of a run."""
        waiting = len(self._spool.numbers())
        for problem in outcome.problems:
            say_error(str(problem))
        if self._json:
            problems = [{"where": one.where, "what": one.what, "hint": one.hint} for one in outcome.problems]
            whole = {"node": self._config.node, **outcome.as_json(), "waiting": waiting, "problems": problems}
            typer.echo(json.dumps(whole, ensure_ascii=False))
        elif not self._quiet:
            typer.echo(f"{self._config.node}: {self._line(outcome, waiting)}")

    def _line(self, outcome: "Outcome", waiting: int) -> str:
        calls = plural(outcome.calls, "call")
        if outcome.objects:
            sent = f"{plural(outcome.objects, 'object')}, {plural(outcome.lines, 'line')}"
            text = f"{sent}, {human_bytes(outcome.bytes)}, {calls}, {outcome.end - outcome.start:.1f} s"
        else:
            text = f"{'nothing sent' if outcome.problems else 'nothing new'}, {calls}"
        return f"{text}; {plural(waiting, 'object')} waiting in the spool" if waiting else text

    def tell_busy(self, error: TicklineError) -> None:
        """Tell that another run is at work: it does what this one would do."""
        say_error(str(error))
        if self._json:
            from tickline.pipelines.archive.machine import Outcome

            now = time.time()
            nothing = {**Outcome(now, now).as_json(), "result": "busy"}
            typer.echo(json.dumps({"node": self._config.node, **nothing}))


class _Node:
    """Runs of one node; the store is opened when it can be."""

    def __init__(self, config: "Config", teller: _Teller, stops: Stops) -> None:
        self._config = config
        self._teller = teller
        self._stops = stops
        self._store: ArchiveStore | None = None

    def run(self) -> bool:
        """Run once, tell of it, and return whether all was well.

        Raises
        ------
        UsageError
            Something that no later run can get over.
        """
        from tickline.pipelines.archive.machine import run_once
        from tickline.pipelines.archive.state import BusyError
        from tickline.pipelines.archive.stores import open_store

        try:
            self._store = self._store or open_store(self._config)
            outcome = run_once(self._config, self._store, at=self._stops.check)
        except BusyError as error:
            self._teller.tell_busy(error)
            return True
        outcome.problems += _without_logs(self._config)
        self._teller.tell(outcome)
        return not outcome.problems

    def run_on(self) -> None:
        """Run once, and get over whatever a later run may find mended."""
        try:
            self.run()
        except UsageError:
            raise
        except TicklineError as error:
            say_error(str(error))


def _without_logs(config: "Config") -> list[TicklineError]:
    """Return a problem for each folder that is there and holds no log: it has never been configured."""
    from tickline.pipelines.archive.logfile import find_logs

    hint = "Give chrony.conf `logdir` and `log tracking measurements statistics`, or correct `logs`."
    found: list[TicklineError] = []
    for folder in config.logs:
        try:
            if not find_logs(folder):
                found.append(SourceError("holds no log of chrony", where=str(folder), hint=hint))
        except SourceError:
            # Said by the run itself.
            continue
    return found


def run(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The archive.toml of this node.")],
    once: Annotated[
        bool, typer.Option("--once", help="Run once and end; also what happens without --every.")
    ] = False,
    every: Annotated[
        str | None,
        typer.Option(
            "--every",
            metavar="[DURATION]",
            help="Stay, and run so often: 30m, 1h; without a duration as archive.toml says.",
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each run.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take what is new in the logs of chrony on this node into its archive.

    Each new line goes there once, in one object that is never changed: one call to the store for a run, none
    if nothing is new. What the store does not take waits in the spool and goes with the next run. With
    --every the first run begins after up to a tenth of the interval, by the node's name, so that a fleet does
    not come all at once; the runs keep their distance whatever is done to the clock, and none is given up for
    the problems of the one before.
    Exit code: 0 done, or another run of this node is at work and does it; 1 done with problems, which are
    named, and the next run goes on; 2 wrong usage; 130 or 143 stopped.
    """
    with answering(debug, when_stopped=_STOPPED), Stops() as stops:
        from tickline.pipelines.archive.config import parse_every, read_config
        from tickline.pipelines.archive.service import delay_of, serve

        if once and every is not None:
            raise UsageError("cannot go with --once", where="--every", hint="Choose one of them.")
        settings = read_config(config)
        node = _Node(settings, _Teller(settings, as_json=json_output, quiet=quiet), stops)
        if every is None:
            if not node.run():
                raise typer.Exit(1)
            return
        every_s = settings.every_s if every == _AS_CONFIGURED else parse_every(every, "--every")
        if not (quiet or json_output):
            first = delay_of(settings.node, every_s)
            typer.echo(f"{settings.node}: a run every {every_s:,} s, the first in {first:.0f} s")
        serve(node.run_on, node=settings.node, every_s=every_s, sleep=stops.sleep)


def register(app: typer.Typer) -> None:
    """Add the command to ``tickline archive``."""
    app.command(epilog=_EXAMPLES, cls=_Run)(run)
