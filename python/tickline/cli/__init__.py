"""The command line: arguments only; the work is done in `tickline.pipelines` and by the subjects."""

import sys
from functools import cached_property
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tickline.cli import access, fake

__all__ = ["app", "main"]


class _OldNames(TyperGroup):
    """The group ``compat``, built when it is called: its options would cost every command 10 ms."""

    @cached_property
    def _whole(self) -> TyperGroup:
        from tickline.cli.compat import app as old_names

        return typer.main.get_group(old_names)

    def list_commands(self, ctx: Any) -> list[str]:
        return self._whole.list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._whole.get_command(ctx, cmd_name)


app = typer.Typer(
    name="tickline",
    help="Log lines and clock ticks: the logs of storage and of clocks, turned into exact, counted tables.",
    epilog="Start: `tickline fake access logs`, then `tickline access run logs --store store --out out`",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(access.app, name="access")
app.add_typer(fake.app, name="fake")
app.add_typer(
    typer.Typer(cls=_OldNames),
    name="compat",
    help="The commands of dandi_s3_log_parser under their old names.",
    no_args_is_help=True,
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


def main() -> None:
    """Run the command line; called by `tickline.__main__`."""
    sys.meta_path.insert(0, _NoPandas())
    app()
