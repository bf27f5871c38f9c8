"""``tickline fake``: realistic and nasty input, with the true answers beside it."""

from pathlib import Path
from typing import Annotated

import typer

from tickline.cli.common import Bar, Debug, Quiet, answering, console, human_bytes
from tickline.errors import UsageError
from tickline.pipelines.access.options import parse_bytes

__all__ = ["app"]

app = typer.Typer(
    help="Make logs to try things on, with the true answers.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_EXAMPLES = """
Example:

- `tickline fake access demo --bytes 100MB --seed 7 --days 3 --dirty 0.001`
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
            generate_access(out, total_bytes=total, seed=seed, days=days, dirty=dirty, progress=bar.reach)
        if not quiet:
            text = f"{human_bytes(total)} of logs lie in {out}; the true answers are in truth.json."
            console().print(text, markup=False)
