"""``tickline dedup``: each line once."""

import sys
from typing import Annotated

import typer

from tickline.cli.common import Debug, Quiet, answering, console
from tickline.errors import UsageError
from tickline.pipelines.dedup import DedupOptions, dedup_files, memory_limit

__all__ = ["app"]

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")

_EXAMPLES = """
Examples:

- `tickline dedup monday.log.gz tuesday.log > both.log`
- `journalctl -o cat | tickline dedup --count | sort -rn | head`
- `tickline dedup --approximate --memory 8GB huge.log.zst | zstd > distinct.log.zst`
"""


def _write(text: bytes) -> None:
    # At once: a pipe may bring the next line in an hour.
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


@app.command(epilog=_EXAMPLES)
def dedup(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="Files, plain, .gz or .zst, or pipes; `-`, or none at all, for standard input.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        bool, typer.Option("--count", help="Write how often a line occurs, a tab, and the line.")
    ] = False,
    approximate: Annotated[
        bool,
        typer.Option(
            "--approximate",
            help="Keep 64 bits of each line in place of the line. A new line can be taken for one seen "
            "before: for 30 million lines the chance that this happens at all is 0.003 %.",
        ),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", show_default="2GB", help="Give up before more than this is used."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write each line once, byte by byte, in the order of first occurrence."""
    with answering(debug):
        if not files and sys.stdin.isatty():
            raise UsageError("no FILE is given", hint="Name files, or send lines to standard input.")
        options = DedupOptions(count, approximate, memory_limit(memory))
        outcome = dedup_files(files or ["-"], _write, options)
        if approximate and not quiet:
            counts = f"{outcome.different:,} different lines of {outcome.lines:,}"
            odds = f"the chance that any was taken for another is {outcome.collision_odds:.1e}"
            console(stderr=True).print(f"tickline: {counts}; {odds}.", markup=False)
