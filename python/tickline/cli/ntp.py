"""``tickline ntp``: the time from the network, checked."""

import dataclasses
from typing import Annotated, Any

import typer

from tickline.cli.common import Debug, answering, console, print_json
from tickline.errors import UsageError, printable
from tickline.ntp import Client, Result, Server

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")

_FORMATS = ("text", "json", "prometheus")
_EXAMPLES = """
The exit code is 0 if enough servers agree, and 1 if not.

Examples:

- `tickline ntp query 0.pool.ntp.org 1.pool.ntp.org 2.pool.ntp.org 3.pool.ntp.org`
- `tickline ntp query time.example.org 192.0.2.1 [2001:db8::1]:1123 --deadline 1 --json`
- `tickline ntp query ntp1 ntp2 ntp3 ntp4 --format prometheus > ntp.tmp; mv ntp.tmp ntp.prom`, a whole file
- `tickline ntp query localhost --quorum 1`: one server, believed whatever it says
"""


@app.callback()
def _group() -> None:
    """The time from the network, checked; nothing here sets a clock."""


@app.command(epilog=_EXAMPLES)
def query(
    servers: Annotated[
        list[str],
        typer.Argument(metavar="SERVER...", help="host, host:port, address or [IPv6]:port; one vote each."),
    ],
    quorum: Annotated[
        int,
        typer.Option(
            metavar="K", help="So many must agree: K - 2 liars are tolerated. Ask 2K - 2 servers to be sure."
        ),
    ] = 3,
    deadline: Annotated[
        float, typer.Option(metavar="SECONDS", help="The whole time, look-up of names included.")
    ] = 2.0,
    accuracy: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Ask on until the error is no larger, while there is time."),
    ] = None,
    family: Annotated[str, typer.Option(metavar="any|v4|v6", help="Which addresses to ask.")] = "any",
    port: Annotated[int, typer.Option(metavar="N", help="For servers without one.")] = 123,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="text|json|prometheus", help="How to print it; text by default."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    debug: Debug = False,
) -> None:
    """Ask servers for the time, all at once, and say how far it can be trusted.

    Nothing is remembered from one run to the next: not who was asked when, nor who wants to be left alone.
    """
    with answering(debug, when_stopped=""):
        chosen = _format(form, as_json)
        client = Client()
        try:
            found = client.query(
                servers,
                quorum=quorum,
                deadline_s=deadline,
                accuracy_s=accuracy,
                family=family,  # type: ignore[arg-type]  # one that is none is refused
                port=port,
            )
        except UsageError as error:
            option = f"--{(error.where or '').removesuffix('_s')}"
            raise UsageError(error.what, where=option, hint=error.hint) from None
        if chosen == "json":
            print_json(_plain(found))
        elif chosen == "prometheus":
            typer.echo(client.metrics.prometheus(), nl=False)
        else:
            _tell(found)
        if not found.ok:
            raise typer.Exit(1)


def _format(form: str | None, as_json: bool) -> str:
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and {form!r} are two", where="--format", hint="Give one of them.")
    chosen = "json" if as_json else form or "text"
    if chosen not in _FORMATS:
        hint = f"Choose from: {', '.join(_FORMATS)}."
        raise UsageError(f"{chosen!r} is none", where="--format", hint=hint)
    return chosen


def _plain(found: Result) -> dict[str, Any]:
    plain = dataclasses.asdict(found)
    plain["time"] = found.time().isoformat() if found.ok else None
    return plain


def _tell(found: Result) -> None:
    from rich.table import Table

    out = console()
    if found.ok and found.offset_ns is not None and found.error_ns is not None:
        out.print(f"[bold]{found.time().isoformat()}[/bold] ± {_length(found.error_ns)}")
        way = "behind" if found.offset_ns > 0 else "ahead of"
        agreeing = sum(server.verdict == "truechimer" for server in found.servers)
        out.print(
            f"This clock is {_length(abs(found.offset_ns))} {way} UTC. "
            f"{agreeing} of {len(found.servers)} servers agree, in {_length(found.elapsed_ns)}."
        )
        if found.why:
            out.print(f"Note: {printable(found.why)}.", markup=False)
    else:
        out.print(f"No time: {printable(found.why)}.", markup=False, style="red")
    if found.wall_step_ns:
        out.print(f"This machine's clock was set by {_length(found.wall_step_ns)} while the query ran.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("server", "address", "verdict", "offset", "delay", "wrong by up to"):
        table.add_column(name, justify="left" if name in ("server", "address", "verdict") else "right")
    for server in found.servers:
        table.add_row(*(_cell(text) for text in _row(server)))
    out.print()
    out.print(table)
    # Below and not beside: a sentence in a narrow column cannot be read.
    for server in found.servers:
        if server.why:
            out.print(f"{printable(server.name)}: {printable(server.why)}.", markup=False)


def _row(server: Server) -> tuple[str, ...]:
    verdict = f"{server.verdict} {server.kiss_code}" if server.kiss_code else server.verdict
    taken = server.sample
    offset = _length(taken.offset_ns, signed=True) if taken else ""
    delay = _length(taken.delay_ns) if taken else ""
    distance = _length(taken.root_distance_ns) if taken else ""
    # Two names of one server need not show its address twice.
    address = server.address if server.address and server.address != server.name else ""
    return (server.name, address, verdict, offset, delay, distance)


def _cell(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))


def _length(ns: int, *, signed: bool = False) -> str:
    """Return ``+1.234 ms``, ``12.0 s``: three digits behind the point of a fitting unit."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if abs(ns) >= size:
            return f"{ns / size:{'+' if signed else ''}.3f} {unit}"
    return f"{ns:{'+' if signed else ''}} ns"
