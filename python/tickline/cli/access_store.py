"""Care of a store: ``tickline access status``, ``query``, ``verify`` and what else keeps it in order."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tickline.cli.access_options import Catalog, Json, SharedContent, StoreOption
from tickline.cli.common import Bar, Debug, Quiet, answering, console, human_bytes, plural
from tickline.errors import UsageError, printable

__all__ = ["register"]

_STATUS_EXAMPLES = """
Examples:

- `tickline access status --store store`
- `tickline access status --store store --inventory inventory/2024-05-01/manifest.json --json`
"""

_QUERY_EXAMPLES = """
Views: `accesses` (one row a request), `daily` (sums by day, key and requester), `sources`, `rejects`,
`regions` (region of each requester), and the summaries `by_day`, `by_week_asset`, `by_week_type`,
`by_region`, `by_asset`, `totals`. A statement can read the store and nothing else; `--out` writes its result.

Examples:

- `tickline access query "DESCRIBE accesses" --store store`
- `tickline access query "SELECT key, sum(bytes_sent) FROM daily GROUP BY key" --store store --out keys.tsv`
- `tickline access query "FROM by_region" --store store --catalog catalog.json.gz --format json`
"""

_VERIFY_EXAMPLES = """
Examples:

- `tickline access verify --store store`
- `tickline access verify --store store --sample 100 --seed 7 --json`
"""

_CARE_EXAMPLES = """
Examples:

- `tickline access compact --store store`
- `tickline access vacuum --store store`
"""

_FORGET_EXAMPLES = """
Example:

- `tickline access forget-addresses --store store --yes`
"""


def _print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


def status(
    store: StoreOption,
    inventory: Annotated[
        Path | None,
        typer.Option(metavar="LIST", help="An S3 Inventory list: how many of its logs the store has."),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Tell what a store holds: sources, days, rows, sizes, rejected lines, lag between event and delivery."""
    with answering(debug):
        from tickline.cli import store_tables
        from tickline.pipelines.access.status import status as read_status
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder:
            found = read_status(folder, inventory)
        if json_output:
            _print_json(found)
        elif not quiet:
            store_tables.tell_status(found)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement that reads, in DuckDB's SQL.")],
    store: StoreOption,
    table_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="table|tsv|csv|json|parquet",
            help="Default: by the ending of FILE; a table on a terminal, tsv elsewhere.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result here; the file appears whole.")
    ] = None,
    catalog: Catalog = None,
    shared_content: SharedContent = "all",
    json_output: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Ask a store in SQL."""
    with answering(debug):
        from tickline.cli import store_tables
        from tickline.pipelines.access.catalog.sources import resolve_catalog
        from tickline.store.store import Store

        chosen = store_tables.chosen_format("json" if json_output else table_format, out)
        with Store(store) as opened:
            if store_tables.wants_summaries(sql):
                opened.summarize(resolve_catalog(catalog, store), shared_content=shared_content)
            rows = store_tables.write_result(opened, sql, chosen, out)
        if out is not None and not quiet:
            console().print(f"{plural(rows, 'row')} written to {printable(str(out))}.", markup=False)


def verify(
    store: StoreOption,
    sample: Annotated[
        int, typer.Option(min=0, metavar="N", help="Sources to read again by the slow reference parser.")
    ] = 5,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Draw the same sample again.")] = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Check every file, every row of the ledger, all sums, and a sample of sources.

    Nothing is changed. Exit code: 0 all is well, 1 something was found, 2 wrong usage.
    """
    with answering(debug):
        from tickline.cli import store_tables
        from tickline.pipelines.access.verify.verify import verify as run_verify
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder, Bar(quiet, "verifying") as bar:
            findings = run_verify(folder, sample=sample, seed=seed, progress=bar)
        if json_output:
            _print_json({"clean": findings.clean, **asdict(findings)})
        else:
            store_tables.tell_findings(findings, quiet=quiet)
        if not findings.clean:
            raise typer.Exit(1)


def compact(
    store: StoreOption,
    min_runs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Leave months alone that have fewer runs.")
    ] = 2,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Months to merge at once.")] = 1,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Merge the files of each month, so that one key opens one file a month; no number changes.

    `run` does this by itself for months with many files. The old files stay for a day (see `vacuum`).
    """
    with answering(debug):
        from tickline.pipelines.access.compact import compact as run_compact
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder, Bar(quiet, "compacting") as bar:
            report = run_compact(folder, min_runs=min_runs, progress=bar, threads=threads)
        if json_output:
            _print_json(asdict(report))
        elif not quiet and report.months:
            sizes = f"{human_bytes(report.bytes_before)} -> {human_bytes(report.bytes_after)}"
            files = f"{plural(report.files_before, 'file')} -> {report.files_after:,}"
            merged = f"{plural(len(report.months), 'month')}, {plural(report.rows, 'row')}"
            text = f"{merged}: {files}, {sizes}."
            console().print(text, markup=False)
            if report.dropped:
                were = "was" if report.dropped == 1 else "were"
                text = f"{plural(report.dropped, 'row')} of replaced sources {were} dropped."
                console().print(text, markup=False)
        elif not quiet:
            console().print("Nothing to do: each month is one run.", markup=False)


def vacuum(
    store: StoreOption,
    hours: Annotated[
        float,
        typer.Option(min=0, metavar="H", help="Keep replaced files so long, for queries under way."),
    ] = 24.0,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Remove files that were replaced, and what killed runs left."""
    with answering(debug):
        from tickline.pipelines.access.vacuum import vacuum as run_vacuum
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder:
            report = run_vacuum(folder, hours=hours)
        if json_output:
            _print_json(asdict(report))
        elif not quiet:
            others = report.temporary + report.regions + report.caches
            removed = f"{plural(report.files, 'file')} removed ({human_bytes(report.bytes)})"
            are, stay = ("is", "stays") if report.kept == 1 else ("are", "stay")
            kept = f"; {report.kept:,} {are} younger than {hours:g} h and {stay}" if report.kept else ""
            console().print(f"{removed}, {plural(others, 'leftover')}{kept}.", markup=False)


def forget_addresses(
    store: StoreOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Delete all addresses for good; ids, regions and summaries stay.

    Every requester without a region gets one first, by the files of `regions update`. After that no region
    can be looked up again, and nothing writes an address into this store any more.
    """
    with answering(debug):
        from tickline.pipelines.access.forget import forget_addresses as forget
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder:
            if not yes:
                _confirm(len(folder.ledger.unlabelled()), len(folder.ledger.snapshots()))
            done = forget(folder)
        if json_output:
            _print_json(asdict(done))
        elif not quiet:
            their, were = "its" if done.labelled == 1 else "their", "was" if done.files == 1 else "were"
            labelled = f"{plural(done.labelled, 'requester')} got {their} region"
            console().print(f"{labelled}, {plural(done.files, 'file')} {were} deleted.", markup=False)


def _confirm(unlabelled: int, snapshots: int) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        hint = "Add --yes; it cannot be undone."
        raise UsageError("this deletes all addresses, and nobody can be asked", where="yes", hint=hint)
    have, are = "has" if unlabelled == 1 else "have", "is" if snapshots == 1 else "are"
    waiting = f"{plural(unlabelled, 'requester')} {have} no region yet"
    shown = f"{waiting}; {plural(snapshots, 'region file')} {are} in use."
    console().print(f"{shown} Regions cannot be looked up after this.", markup=False)
    if not typer.confirm("Delete all addresses of this store?"):
        raise typer.Exit(1)


def salt(
    raw: Annotated[Path, typer.Argument(metavar="RAW", help="The folder of all logs of the archive.")],
    debug: Debug = False,
) -> None:
    """Print the salt of old address caches, for IP_HASH_SALT: made of the first line of 2019/10/01.log."""
    with answering(debug):
        from tickline.pipelines.access.regions.salt import make_salt

        typer.echo(make_salt(raw))


def register(app: typer.Typer) -> None:
    """Add the commands to ``tickline access``."""
    app.command(epilog=_STATUS_EXAMPLES)(status)
    app.command(epilog=_QUERY_EXAMPLES)(query)
    app.command(epilog=_VERIFY_EXAMPLES)(verify)
    app.command(epilog=_CARE_EXAMPLES)(compact)
    app.command(epilog=_CARE_EXAMPLES)(vacuum)
    app.command("forget-addresses", epilog=_FORGET_EXAMPLES)(forget_addresses)
    app.command()(salt)
