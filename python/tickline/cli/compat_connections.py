"""The commands of logparser under their old names, with their old options."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from tickline.cli.common import Bar, Debug, Quiet, answering
from tickline.cli.connections import (
    GroupingSeconds,
    Output,
    Seconds,
    SleepSeconds,
    follow_logs,
    report_once,
    whole_now_ns,
)
from tickline.errors import explain_os_error

__all__ = ["register"]

Locations = Annotated[
    list[str],
    typer.Argument(metavar="LOCATION", help="Files, or a pattern: in quotes or not.", show_default=False),
]
HostFrom = Annotated[str, typer.Argument(metavar="HOST_FROM", show_default=False)]
HostTo = Annotated[str, typer.Argument(metavar="HOST_TO", show_default=False)]


def logparser(
    locations: Locations,
    host_from: HostFrom,
    host_to: HostTo,
    tail: Annotated[
        bool, typer.Option("--tail", help="Report every --sleep-seconds, and never end.")
    ] = False,
    folder: Annotated[bool, typer.Option("--folder", help="Report once: the default.")] = False,
    seconds: Seconds = None,
    grouping_seconds: GroupingSeconds = 1200,
    sleep_seconds: SleepSeconds = 3600,
    debug: Debug = False,
) -> None:
    """Report the busiest server, who connected to HOST_TO, and where HOST_FROM connected to, as a text.

    The same as `tickline connections LOCATION HOST_FROM HOST_TO --format logparser`.
    """
    with answering(debug, when_stopped=""):
        from tickline.pipelines.connections.options import ConnectionOptions
        from tickline.progress import cores

        options = ConnectionOptions(
            locations=tuple(locations),
            host_from=host_from,
            host_to=host_to,
            seconds=3600 if seconds is None else seconds,
            grouping_seconds=grouping_seconds,
            now_ns=whole_now_ns(),
            threads=cores(),
        )
        if tail and not folder:
            follow_logs(options, sleep_seconds, Output("logparser", debug=debug))
        else:
            report_once(options, Output("logparser", debug=debug))


def logparser_make(
    location: Annotated[Path, typer.Argument(metavar="LOCATION", help="The log to append to.")],
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Append 12,000,000 connections of the last two hours to a log, some 300 MB; other ones in each run.

    `tickline fake connections` makes the same ones every time, and the true answers beside them.
    """
    with answering(debug, when_stopped="The log is cut; remove it."):
        from tickline.fake import append_connections

        with Bar(quiet, "generating") as bar:
            try:
                append_connections(location, seed=secrets.randbits(63), progress=bar.reach)
            except OSError as error:
                raise explain_os_error(error, location) from error


def register(app: typer.Typer) -> None:
    """Add both commands to an application."""
    app.command("logparser")(logparser)
    app.command("logparser-make")(logparser_make)
