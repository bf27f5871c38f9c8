"""Groups of commands that are built when they are called.

Typer puts every command of an application together before it looks at the first argument: with forty of them
that took longer than a run that finds nothing new needs for its work. Here only what is called is imported
and built, and what is listed for help or for "did you mean".
"""

import importlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_command_name, get_group

__all__ = ["add_command", "add_group"]


class _Commands(Mapping[str, Any]):
    """The commands of a Typer application by name; each is built when it is asked for."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._built: dict[str, Any] = {}

    @cached_property
    def _app(self) -> typer.Typer:
        app: typer.Typer = importlib.import_module(self._module).app
        return app

    @cached_property
    def _infos(self) -> dict[str, Any]:
        commands = self._app.registered_commands
        named = {one.name or get_command_name(getattr(one.callback, "__name__", "")): one for one in commands}
        return {str(one.name): one for one in self._app.registered_groups} | named

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            info = self._infos[name]
            if info in self._app.registered_groups:
                built: Any = get_group(info.typer_instance)
            else:
                alone = typer.Typer(add_completion=False, rich_markup_mode=self._app.rich_markup_mode)
                alone.registered_commands = [info]
                built = get_command(alone)
            built.name = name
            self._built[name] = built
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)


def add_group(app: typer.Typer, name: str, about: str, *, epilog: str | None = None) -> None:
    """Add the commands of `app` in ``tickline.cli.<name>`` to an application, without importing them."""
    commands = _Commands(f"tickline.cli.{name}")

    class Group(TyperGroup):
        def __init__(self, *args: Any, **settings: Any) -> None:
            super().__init__(*args, **settings)
            self.commands = commands  # type: ignore[assignment]

    app.add_typer(typer.Typer(cls=Group), name=name, help=about, epilog=epilog, no_args_is_help=True)


def add_command(app: typer.Typer, name: str, about: str) -> None:
    """Add the one command of `app` in ``tickline.cli.<name>`` to an application, without importing it."""
    # Whatever follows the name is the command's own, `--help` too.
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

    @app.command(name, help=about, context_settings=settings)
    def command(context: typer.Context) -> None:
        built = get_command(importlib.import_module(f"tickline.cli.{name}").app)
        with built.make_context(name, context.args, parent=context.parent) as made:
            built.invoke(made)
