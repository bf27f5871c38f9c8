"""``tickline archive verify``: whether the archive is what was written to it."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.cli.access_options import Now
from tickline.cli.archive_options import ConfigOption, Json, Nodes, StoreOption, chosen_store
from tickline.cli.common import Bar, Debug, Quiet, answering, console, plural, print_json
from tickline.errors import printable
from tickline.filters import parse_time

if TYPE_CHECKING:
    from rich.table import Table

    from tickline.pipelines.archive.verify import Verified

__all__ = ["register"]

_EXAMPLES = """
Examples:

- `tickline archive verify --config /etc/tickline/archive.toml`
- `tickline archive verify --store s3://compliance-logs/ntp --node trade-07 --json`
- `tickline archive verify --store file:///srv/ntp-archive --from 2026-11-01`
"""


def verify(
    config: ConfigOption = None,
    store: StoreOption = None,
    node: Nodes = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="DAY", help="Read only chunks of this day (UTC) and later; trust those before."
        ),
    ] = None,
    now: Now = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Read an archive and tell what is not as it was written, or not as it was promised.

    Nothing but the archive is asked: the chain of hashes, numbers and byte ranges, times, heartbeats, and in
    S3 versions, deletions and dates of retention. Nothing is changed. Exit code: 0 all is well, 1 something
    was found or the store gave no answer, 2 wrong usage.
    """
    with answering(debug, when_stopped="Nothing was changed."):
        from tickline.pipelines.archive.verify import verify as run_verify

        now_ms, since_ms = parse_time(now, "--now"), parse_time(since, "--from")
        now_s = time.time() if now_ms is None else now_ms / 1000
        day = "" if since_ms is None else f"{datetime.fromtimestamp(since_ms / 1000, UTC):%Y/%m/%d}"
        archive = chosen_store(config, store)
        with Bar(quiet, "verifying", "objects") as bar:
            result = run_verify(archive, now_s=now_s, nodes=node or (), since=day, progress=bar)
        if json_output:
            print_json(result.as_json())
        else:
            _tell(result, archive.url, quiet=quiet)
        if not result.ok:
            raise typer.Exit(1)


def _tell(result: "Verified", url: str, *, quiet: bool) -> None:
    screen = console()
    for flaw in result.flaws:
        screen.print(printable(f"{flaw.object}: {flaw.check}: {flaw.text}."), markup=False)
    if quiet:
        return
    if result.flaws:
        screen.print()
    screen.print(_table(result))
    if not result.keeps_versions:
        screen.print("Versions, deletions and dates of retention are not judged: a folder keeps none.")
    what = f"{plural(result.objects, 'object')} with {plural(result.lines, 'line')} in {printable(url)}"
    found = plural(len(result.flaws), "finding") if result.flaws else "all is as it was written"
    screen.print(f"{what}: {found}.", markup=False)


def _table(result: "Verified") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("node", overflow="fold")
    for name in ("objects", "lines"):
        table.add_column(name, justify="right")
    for name in ("first made", "last made", "conditional writes"):
        table.add_column(name)
    table.add_column("findings", justify="right")
    for found in result.nodes:
        made = [(text or "-")[:10] for text in (found.first, found.last)]
        counts = f"{found.objects:,}", f"{found.lines:,}"
        writes = found.conditional + (", unique keys" if found.unique_keys else "")
        row = (found.node, *counts, *made, writes, f"{found.flaws:,}")
        # What headers say may be anything: it is no markup.
        table.add_row(*(Text(printable(text)) for text in row))
    return table


def register(app: typer.Typer) -> None:
    """Add the command to an application."""
    app.command(epilog=_EXAMPLES)(verify)
