"""``tickline fake``: realistic and nasty input, with the true answers beside it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tickline.cli.common import Bar, Debug, Quiet, answering, console, human_bytes, plural
from tickline.errors import UsageError
from tickline.pipelines.access.reduce.options import parse_bytes

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")

# `tickline.fake` has them as FIRST_DAY and CHRONY_START; it is imported when it is used, because numpy takes
# its time.
_START = datetime(2024, 2, 28)  # noqa: DTZ001
_CHRONY_START = datetime(2026, 3, 2)  # noqa: DTZ001

_EXAMPLES = """
Examples:

- `tickline fake access demo --bytes 100MB --seed 7 --days 3 --dirty 0.001`
- `tickline fake access demo --bytes 100MB --catalog`
"""

_CONNECTIONS_EXAMPLES = """
Examples:

- `tickline fake connections demo --lines 100000`
- `tickline fake connections demo --seed 7 --now 1764000000`
"""

_CHRONY_EXAMPLES = """
Examples:

- `tickline fake chrony fleet --nodes 10 --days 90`
- `tickline fake chrony one --nodes 1 --days 5 --faults smear,outage`
- `tickline fake chrony well --faults none`
"""


@app.callback()
def _group() -> None:
    """Make logs to try things on, with the true answers."""


@app.command(epilog=_EXAMPLES)
def access(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to write YYYY/MM/DD.log and truth.json into.")
    ],
    size: Annotated[str, typer.Option("--bytes", help="How much to write, such as 100MB.")] = "100MB",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    days: Annotated[int, typer.Option(min=1, help="Number of days, one file each.")] = 3,
    dirty: Annotated[float, typer.Option(min=0, max=1, help="Share of nasty lines.")] = 0.001,
    start: Annotated[
        datetime,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d"],
            show_default=f"{_START:%Y-%m-%d}",
            help="The first day, as YYYY-MM-DD.",
        ),
    ] = _START,
    keys: Annotated[
        int | None,
        typer.Option(min=100, max=300_000, metavar="N", help="Number of keys (default: by size)."),
    ] = None,
    catalog: Annotated[
        bool,
        typer.Option(
            "--catalog", help="Also write a catalog, lists of networks in regions/, and the true summaries."
        ),
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write S3 access logs as a real archive has them, and truth.json with the exact answers."""
    from tickline.fake import generate_access

    with answering(debug):
        total = parse_bytes(size, "bytes")
        if out.exists() and not out.is_dir():
            raise UsageError("is a file", where=str(out), hint="Name a folder as OUT.")
        with Bar(quiet, "generating") as bar:
            bar.start(total)
            try:
                generate_access(
                    out,
                    total_bytes=total,
                    seed=seed,
                    days=days,
                    dirty=dirty,
                    start=start.date(),
                    keys=keys,
                    catalog=catalog,
                    progress=bar.reach,
                )
            except ValueError as error:
                raise UsageError(str(error), where="fake access") from None
        if not quiet:
            beside = " beside a catalog and lists of networks" if catalog else ""
            text = f"{human_bytes(total)} of logs lie in {out}{beside}; the true answers are in truth.json."
            console().print(text, markup=False)


@app.command(epilog=_CHRONY_EXAMPLES)
def chrony(
    out: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The folder to write the nodes' folders and truth.json into."),
    ],
    nodes: Annotated[int, typer.Option(min=1, max=999, help="Number of nodes, a folder each.")] = 4,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Number of days.")] = 14,
    seed: Annotated[int, typer.Option(help="The same seed gives the same lines.")] = 7,
    poll: Annotated[
        int, typer.Option(min=4, max=9, help="Interval between questions to a source, log2 seconds.")
    ] = 8,
    start: Annotated[
        datetime,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d"],
            show_default=f"{_CHRONY_START:%Y-%m-%d}",
            help="The first day, as YYYY-MM-DD.",
        ),
    ] = _CHRONY_START,
    faults: Annotated[
        str, typer.Option(metavar="NAMES", help="What may go wrong, with commas between; `all` or `none`.")
    ] = "all",
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write logs of chrony as a fleet has them, and truth.json with what a compliance report must find."""
    from tickline.fake import CHRONY_FAULTS, generate_chrony

    with answering(debug):
        if out.exists() and not out.is_dir():
            raise UsageError("is a file", where=str(out), hint="Name a folder as OUT.")
        chosen = {"all": list(CHRONY_FAULTS), "none": []}.get(faults, faults.split(","))
        with Bar(quiet, "generating", "days") as bar:
            bar.start(nodes * days)
            try:
                answer = generate_chrony(
                    out,
                    nodes=nodes,
                    days=days,
                    seed=seed,
                    poll=poll,
                    start=start.date(),
                    faults=chosen,
                    progress=lambda: bar.advance(1),
                )
            except ValueError as error:
                raise UsageError(str(error), where="fake chrony") from None
        if not quiet:
            size = human_bytes(sum(source["bytes"] for source in answer["sources"]))
            found = plural(len(answer["findings"]), "finding")
            console().print(
                f"{size} of logs lie in {out}; truth.json has the {found} to be made.", markup=False
            )


@app.command(epilog=_CONNECTIONS_EXAMPLES)
def connections(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="The folder to write connections.log and truth.json into.")
    ],
    lines: Annotated[int, typer.Option(min=1, help="Number of lines, some 25 bytes each.")] = 12_000_000,
    hosts: Annotated[int, typer.Option(min=1, help="Number of hosts that connect.")] = 55,
    servers: Annotated[int, typer.Option(min=1, help="Number of hosts that are connected to.")] = 26,
    disorder: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="How far lines are out of order.")
    ] = 300,
    seed: Annotated[int, typer.Option(help="The same seed gives the same lines.")] = 7,
    now: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", help="Where the log ends, since 1970 (default: the clock)."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a log of connections over two hours, and truth.json with the exact answers for the last one."""
    from tickline.fake import generate_connections

    with answering(debug):
        if out.exists() and not out.is_dir():
            raise UsageError("is a file", where=str(out), hint="Name a folder as OUT.")
        with Bar(quiet, "generating") as bar:
            try:
                answer = generate_connections(
                    out,
                    lines=lines,
                    hosts=hosts,
                    servers=servers,
                    disorder_s=disorder,
                    seed=seed,
                    now_s=now,
                    progress=bar.reach,
                )
            except ValueError as error:
                raise UsageError(str(error), where="fake connections") from None
        if not quiet:
            size = human_bytes(answer["sources"][0]["bytes"])
            console().print(f"{size} lie in {out}; the true answers are in truth.json.", markup=False)
