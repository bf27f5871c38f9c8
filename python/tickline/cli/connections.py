"""``tickline connections``: who connects to whom, once or again and again."""

import errno
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.cli.common import Bar, Debug, Quiet, answering, console, say_error
from tickline.cli.engine_options import Engine, Scheduler, Workers
from tickline.errors import SourceError, UsageError, explain_os_error

if TYPE_CHECKING:
    from tickline.engines import EngineOptions
    from tickline.pipelines.connections.options import ConnectionOptions
    from tickline.pipelines.connections.report import Result

__all__ = ["Output", "app", "follow_logs", "report_once", "whole_now_ns"]

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = """
Examples:

- `tickline connections '/var/log/connections*.log' tower Papa`
- `tickline connections logs/*.log.gz tower Papa --seconds 86400 --json`
- `tickline connections --tail '/var/log/connections*.log' tower Papa --sleep-seconds 60`
- `ssh collector cat connections.log | tickline connections - tower Papa --now 2026-11-22T12:00:00Z`
- `tickline connections logs tower Papa --top 100 --format csv --out report.csv`
- `tickline connections /shared/logs tower Papa --engine dask --scheduler tcp://head:8786`
"""

_MOST_PROBLEMS = 20

Seconds = Annotated[
    int | None,
    typer.Option(metavar="INTEGER", show_default="3600", help="How long the window is, up to now."),
]
GroupingSeconds = Annotated[int, typer.Option(metavar="INTEGER", help="How long each bucket of it is.")]
SleepSeconds = Annotated[
    int, typer.Option(min=1, metavar="INTEGER", help="With --tail: the time between two reports.")
]


@dataclass(frozen=True, slots=True)
class Output:
    """How a report is shown, and where."""

    form: str
    top: int = 10
    out: Path | None = None
    quiet: bool = False
    debug: bool = False


class _Bytes(Bar):
    """A bar over several files, each of which tells its size when its turn comes."""

    def start(self, total_bytes: int) -> None:
        """So many bytes more are to be read."""
        self._total += total_bytes


def whole_now_ns() -> int:
    """Return the clock's time in whole seconds, as stamps of connections have them."""
    return int(time.time()) * 10**9


@app.command(epilog=_EXAMPLES)
def connections(
    locations: Annotated[
        list[str],
        typer.Argument(
            metavar="LOCATION...",
            help="Files (plain, .gz or .zst), folders, patterns (in quotes or not), s3:// and other "
            "addresses, or `-` for standard input.",
            show_default=False,
        ),
    ],
    host_from: Annotated[
        str, typer.Argument(metavar="HOST_FROM", help="Whose connections are listed.", show_default=False)
    ],
    host_to: Annotated[
        str,
        typer.Argument(
            metavar="HOST_TO", help="The host of which is listed who connected to it.", show_default=False
        ),
    ],
    tail: Annotated[bool, typer.Option("--tail", help="Report again and again, until Ctrl-C.")] = False,
    folder: Annotated[bool, typer.Option("--folder", help="Report once: the default.")] = False,
    seconds: Seconds = None,
    grouping_seconds: GroupingSeconds = 1200,
    sleep_seconds: SleepSeconds = 3600,
    now: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="The end of the window (default: the clock): ISO or since 1970."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="The begin of the window, in place of --seconds.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="The end of the window: another name of --now.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="table|json|csv|ndjson|arrow|logparser",
            help="How to print it (default: table); logparser is the text of the program of this name.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it to a file, which appears whole.")
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, metavar="N", help="List the N servers with most connections.")
    ] = 10,
    report: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Also make this report of an installed package; repeatable."),
    ] = None,
    disorder: Annotated[
        int,
        typer.Option(
            metavar="SECONDS",
            help="How much older a line may be than one before it. A file where one is older still is read "
            "whole.",
        ),
    ] = 300,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of threads at most (default: cores).")
    ] = None,
    partition_size: Annotated[
        str, typer.Option(metavar="SIZE", help="How much of a file one thread reads at a time.")
    ] = "100MB",
    memory: Annotated[
        str,
        typer.Option(metavar="SIZE", help="What hosts and their counts may take at most, over all threads."),
    ] = "2GB",
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Report who connects to whom: the busiest servers, who connected to HOST_TO, and where HOST_FROM
    connected to, in the last hour.

    Logs have lines `unix_ts host_from host_to`. Of a plain file only what can belong to the window is read.
    """
    with answering(debug, when_stopped=""):
        from tickline.cli.connections_output import chosen_format
        from tickline.engines import EngineOptions
        from tickline.pipelines.access.reduce.options import parse_bytes
        from tickline.pipelines.connections.options import ConnectionOptions
        from tickline.progress import cores

        by = EngineOptions(engine, scheduler, workers)
        _check_modes(tail, folder, locations, [now, since, until], by)
        begin, end = _window(now, since, until, seconds)
        reports = tuple(dict.fromkeys(report or ()))
        output = Output(chosen_format(form, as_json, reports), top, out, quiet, debug)
        options = ConnectionOptions(
            locations=tuple(locations),
            host_from=host_from,
            host_to=host_to,
            seconds=3600 if seconds is None else seconds,
            grouping_seconds=grouping_seconds,
            now_ns=end,
            since_ns=begin,
            disorder_seconds=disorder,
            threads=threads or cores(),
            partition_bytes=parse_bytes(partition_size, "partition-size"),
            memory_bytes=parse_bytes(memory, "memory"),
            reports=reports,
        )
        if reports:
            _allow_pandas()
        if tail:
            follow_logs(options, sleep_seconds, output)
        else:
            report_once(options, output, by)


def _check_modes(
    tail: bool, folder: bool, locations: list[str], times: list[str | None], engine: "EngineOptions"
) -> None:
    if not tail:
        return
    if folder:
        raise UsageError("--tail and --folder are two", where="tail", hint="Give one of them.")
    if any(times):
        what = "reports that go on have no end of their window that could be given"
        raise UsageError(what, where="tail", hint="Leave out --now, --since and --until, or --tail.")
    if "-" in locations:
        hint = "Name files, or leave out --tail."
        raise UsageError("standard input cannot be followed", where="tail", hint=hint)
    if engine.distributed:
        hint = "Leave out --engine, or --tail."
        raise UsageError("logs are followed by one process", where="tail", hint=hint)


def _window(
    now: str | None, since: str | None, until: str | None, seconds: int | None
) -> tuple[int | None, int]:
    """Return the begin of the window if it is given, and its end, in ns."""
    if now is not None and until is not None:
        raise UsageError("--now and --until are one", where="until", hint="Give one of them.")
    if since is not None and seconds is not None:
        raise UsageError("--since and --seconds are two", where="since", hint="Give one of them.")
    name, end = ("now", now) if until is None else ("until", until)
    end_ns = whole_now_ns() if end is None else _moment(end, name)
    return None if since is None else _moment(since, "since"), end_ns


def _moment(text: str, option: str) -> int:
    from tickline.time import parse

    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(error.what, where=option, hint=error.hint) from None


def _allow_pandas() -> None:
    """Let reports of other packages import what the command line does without."""
    from tickline.cli import with_pandas

    with_pandas()


def report_once(options: "ConnectionOptions", output: Output, engine: "EngineOptions | None" = None) -> None:
    """Make one report, and show it.

    Raises
    ------
    typer.Exit
        Not everything could be read: it is named, and the exit code is 1.
    """
    from tickline.pipelines.connections.report import connection_report

    try:
        with _Bytes(output.quiet, "counting") as bar:
            result = connection_report(options, bar, engine)
    except SourceError as error:
        # logparser said the same where one may not be read.
        if output.form == "logparser":
            _say_no_files(output)
        if output.form == "logparser" and error.errno in (None, errno.ENOENT):
            return
        raise
    show(result, options, output)
    _say_problems(result, output)
    if result.problems:
        raise typer.Exit(1)


def follow_logs(options: "ConnectionOptions", sleep_seconds: int, output: Output) -> None:
    """Report every `sleep_seconds`, until somebody stops it."""
    from tickline.pipelines.connections.tail import follow

    def on_report(result: "Result") -> None:
        show(result, options, output)
        _say_problems(result, output)

    follow(options, on_report, sleep_seconds=sleep_seconds)


def show(result: "Result", options: "ConnectionOptions", output: Output) -> None:
    """Write a report to where it is to be, and what is to be said besides to standard error."""
    from tickline.cli.connections_output import notes, render

    if output.form == "logparser" and not result.accounting["sources"]:
        _say_no_files(output)
    else:
        _write(render(result, output.form, output.top), output.out)
    if not output.quiet:
        screen = console(stderr=True)
        for note in notes(result, options.disorder_seconds):
            screen.print(f"tickline: note: {note}", markup=False)


def _write(content: bytes, out: Path | None) -> None:
    if out is None:
        # Whoever follows a report wants to see it when it is made.
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    from tickline.files import write_whole

    try:
        write_whole(out.absolute(), content)
    except OSError as error:
        raise explain_os_error(error, out) from error


def _say_no_files(output: Output) -> None:
    from tickline.pipelines.connections.logparser import NO_FILES

    _write(NO_FILES.encode(), output.out)


def _say_problems(result: "Result", output: Output) -> None:
    for problem in result.problems[:_MOST_PROBLEMS]:
        if output.debug and problem.__cause__ is not None:
            traceback.print_exception(problem.__cause__)
        say_error(str(problem))
    if len(result.problems) > _MOST_PROBLEMS:
        say_error(f"and {len(result.problems) - _MOST_PROBLEMS:,} more; --json lists all.")
