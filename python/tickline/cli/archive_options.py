"""Options that several commands of ``tickline archive`` share, and what they mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.errors import UsageError

if TYPE_CHECKING:
    from tickline.pipelines.archive.stores import ArchiveStore

__all__ = ["ConfigOption", "Json", "Nodes", "StoreOption", "chosen_store"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The archive.toml that names the store.")
]
StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="The archive: s3://bucket/prefix or file:///folder."),
]
Nodes = Annotated[
    list[str] | None,
    typer.Option("--node", metavar="NAME", help="Only this node; may be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def chosen_store(config: Path | None, store: str | None) -> "ArchiveStore":
    """Open the archive that is named in one of two ways, for reading.

    Raises
    ------
    UsageError
        It is named in neither way, or in both.
    """
    from tickline.pipelines.archive.config import read_config
    from tickline.pipelines.archive.stores import open_archive, open_store

    if (config is None) == (store is None):
        hint = "Write --store s3://bucket/prefix, or --config archive.toml."
        raise UsageError("an archive is named by one of two options", where="--store", hint=hint)
    return open_store(read_config(config)) if config is not None else open_archive(str(store))
