"""Options of commands whose work a cluster can do."""

from typing import Annotated

import typer

__all__ = ["Engine", "Scheduler", "Workers"]

Engine = Annotated[
    str,
    typer.Option(metavar="local|dask", help="Who does the work: threads of this process, or a Dask cluster."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local",
        help="The scheduler of the cluster, tcp://host:8786; local (default) starts one on this machine.",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        metavar="N",
        help="Processes of a local cluster (default: cores); of another one, how many are waited for.",
    ),
]
