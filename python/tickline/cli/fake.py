"""``tickline fake``: realistic and nasty input, with the true answers beside it."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from tickline.cli.common import Bar, Debug, Quiet, answering, console, human_bytes
from tickline.errors import UsageError
from tickline.pipelines.access.reduce.options import parse_bytes

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")

# `tickline.fake` has it as FIRST_DAY; it is imported when it is used, because numpy takes its time.
_START = datetime(2024, 2, 28)  # noqa: DTZ001

_EXAMPLES = """
Examples:

- `tickline fake access demo --bytes 100MB --seed 7 --days 3 --dirty 0.001`
- `tickline fake access demo --bytes 100MB --catalog`
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
