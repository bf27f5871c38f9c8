"""The command line: arguments only; the work is done in `tickline.pipelines` and by the subjects."""

import sys
from typing import Annotated

import typer

from tickline.cli.groups import add_command, add_group

__all__ = ["app", "main", "with_pandas"]


app = typer.Typer(
    name="tickline",
    help="Log lines and clock ticks: the logs of storage and of clocks, turned into exact, counted tables.",
    epilog="Start: `tickline fake access logs`, then `tickline access run logs --store store --out out`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_group(app, "access", "S3 server access logs.")
add_group(app, "archive", "Logs of chrony in an archive that is written once, and what it proves.")
add_group(app, "date", "Times to numbers of 64 bits that sort as the times do, and back.")
add_command(app, "dedup", "Each line of some files once, in the order of first occurrence.")
add_command(app, "connections", "Who connects to whom: a report of the last hour, once or again and again.")
add_group(app, "ntp", "The time from the network, checked.")
add_group(app, "fake", "Make logs to try things on, with the true answers.")
add_group(
    app,
    "compat",
    "The commands of dandi_s3_log_parser and logparser, under their old names.",
    epilog="Example: `tickline compat install --bin ~/.local/bin`",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from tickline import __version__

        typer.echo(f"tickline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Log lines and clock ticks: the logs of storage and of clocks, turned into exact, counted tables."""


class _NoPandas:
    """Says that there is no pandas.

    Where it is installed, pyarrow imports it at the first list or array that it is given, to see whether that
    is a Series: a fifth of a second for what no command does.
    """

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("the command line does without pandas", name=name)


def with_pandas() -> None:
    """Let pandas be imported from now on."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _NoPandas)]


def main() -> None:
    """Run the command line; called by `tickline.__main__`."""
    sys.meta_path.insert(0, _NoPandas())
    app()
