"""``tickline access ingest`` and ``run``: from logs into a store, and to numbers in one go."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickline.cli.access_export import files_json
from tickline.cli.access_options import (
    AddressHash,
    Bucket,
    Catalog,
    DedupeLines,
    ExcludeDatasets,
    ExcludeIp,
    ExcludeIpRegex,
    Json,
    Keys,
    Memory,
    NoAddresses,
    Now,
    Operation,
    OutOption,
    PrivacyRule,
    Raw,
    Relabel,
    RestrictTo,
    Rounding,
    Settle,
    SharedContent,
    Status,
    StoreOption,
    Threads,
    Threshold,
    ingest_options,
)
from tickline.cli.common import (
    Bar,
    Bars,
    Debug,
    Quiet,
    answering,
    console,
    human_bytes,
    plural,
    print_json,
    say_error,
)
from tickline.cli.engine_options import Engine, Scheduler, Workers
from tickline.errors import TicklineError, printable

if TYPE_CHECKING:
    from tickline.pipelines.access.ingest.options import IngestReport

__all__ = ["register"]

_INGEST_EXAMPLES = """
Examples:

- `tickline access ingest raw-logs --store store`
- `tickline access ingest s3://my-logs/access/2024/ --store store --keys dandi --threads 4`
- `tickline access ingest raw --store store --no-addresses --exclude-ip @ours.txt`
- `tickline access ingest old/reduced --from reduced --store store`
- `tickline access ingest /shared/raw --store /shared/store --engine dask --scheduler tcp://head:8786`
"""

_RUN_EXAMPLES = """
Examples:

- `tickline access run raw-logs --store store --out out`
- `tickline access run raw-logs --store store --out out --catalog catalog.json.gz --regions ip-ranges.json`
- `tickline access run s3://my-logs/access/ --store store --out out --no-addresses`
- `tickline access run s3://my-logs/access/ --store store --out public --privacy fixed --regions aws`
"""


def _ingest_json(report: "IngestReport") -> dict[str, Any]:
    return {
        "sources": {state: count for state, count in sorted(report.states.items()) if count},
        "rows": report.rows,
        "bytes_read": report.bytes_read,
        "accounting": report.counts,
        "left_out": dict(report.left_out),
        "problems": [_problem(problem) for problem in report.problems],
        "notes": report.notes,
    }


def _problem(problem: TicklineError) -> dict[str, Any]:
    return {"where": problem.where, "what": problem.what, "hint": problem.hint}


def _reasons(counts: Any) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered if count)


def _tell_ingest(report: "IngestReport", seconds: float, *, quiet: bool) -> None:
    if not quiet and _nothing_new(report):
        # Said without rich: to import it takes longer than to see that there is nothing to do.
        left_out = f"; left out: {_reasons(report.left_out)}" if report.left_out else ""
        count = plural(report.states["unchanged"], "source")
        typer.echo(f"nothing new: {count}, all in the store already{left_out}")
    elif not quiet:
        from rich.table import Table

        table = Table(box=None, show_header=False, pad_edge=False)
        for justify in ("left", "right", "left"):
            table.add_column(justify=justify, overflow="fold")
        counts: dict[str, Any] = report.counts
        speed = f"{human_bytes(report.bytes_read / max(seconds, 1e-3))}/s" if report.bytes_read else ""
        table.add_row("sources", f"{sum(report.states.values()):,}", _reasons(report.states))
        if report.left_out:
            table.add_row("left out", f"{sum(report.left_out.values()):,}", _reasons(report.left_out))
        table.add_row("bytes", human_bytes(report.bytes_read), speed)
        table.add_row("lines", f"{counts['lines']:,}", "")
        table.add_row("accepted", f"{counts['accepted']:,}", "")
        for group in ("filtered", "rejected", "noted"):
            table.add_row(group, f"{sum(counts[group].values()):,}", _reasons(counts[group]))
        screen = console()
        screen.print(table)
        for note in report.notes:
            screen.print(f"note: {printable(note)}", markup=False)
    for problem in report.problems[:20]:
        say_error(str(problem))
    if len(report.problems) > 20:
        say_error(f"and {plural(len(report.problems) - 20, 'more problem')}; --json lists all.")


def _nothing_new(report: "IngestReport") -> bool:
    states = {state for state, count in report.states.items() if count}
    return states == {"unchanged"} and not (report.problems or report.notes)


def ingest(
    raw: Raw,
    store: StoreOption,
    form: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="log|reduced|binned",
            help="What RAW is: logs, or tables that dandi_s3_log_parser made of them.",
        ),
    ] = "log",
    operation: Operation = None,
    status: Status = None,
    keys: Keys = None,
    exclude_ip: ExcludeIp = None,
    exclude_ip_regex: ExcludeIpRegex = None,
    no_addresses: NoAddresses = False,
    dedupe_lines: DedupeLines = False,
    threads: Threads = None,
    memory: Memory = "500MB",
    settle: Settle = "60",
    now: Now = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = 0,
    bucket: Bucket = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Bring raw logs into a store, each line exactly once.

    The store is made if it does not exist. What it has is not read again: unchanged files are skipped, copies
    add nothing, a file that grew adds its tail. What is kept and dropped is fixed when the store is made.
    With --engine dask workers write the files, into the folder that they share with this process, which
    commits them. Exit code: 0 done, 1 a source could not be read (the others are in), 2 wrong usage.
    """
    with answering(debug):
        from tickline.engines.options import EngineOptions
        from tickline.pipelines.access.ingest.ingest import ingest as run_ingest

        options = ingest_options(
            operation, status, keys, exclude_ip, exclude_ip_regex, no_addresses, dedupe_lines, threads,
            memory, settle, now, form, EngineOptions(engine, scheduler, workers), bucket,
        )  # fmt: skip
        with Bar(quiet, "ingesting") as bar:
            report = run_ingest(str(store), raw, options, bar)
        if json_output:
            print_json(_ingest_json(report))
        _tell_ingest(report, bar.seconds, quiet=quiet or json_output)
        if report.problems:
            raise typer.Exit(1)


def run(
    raw: Raw,
    store: StoreOption,
    out: OutOption,
    catalog: Catalog = None,
    regions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[LABEL=]FILE|URL|SERVICE", help="Networks, as --source of `regions update`; repeatable."
        ),
    ] = None,
    address_hash: AddressHash = None,
    shared_content: SharedContent = "all",
    restrict_to: RestrictTo = None,
    exclude_datasets: ExcludeDatasets = None,
    privacy: PrivacyRule = None,
    privacy_threshold: Threshold = 10,
    privacy_rounding: Rounding = 20,
    relabel: Relabel = False,
    operation: Operation = None,
    status: Status = None,
    keys: Keys = None,
    exclude_ip: ExcludeIp = None,
    exclude_ip_regex: ExcludeIpRegex = None,
    no_addresses: NoAddresses = False,
    dedupe_lines: DedupeLines = False,
    threads: Threads = None,
    memory: Memory = "500MB",
    settle: Settle = "60",
    now: Now = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    workers: Workers = 0,
    bucket: Bucket = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """From raw logs to numbers and a page, in one go: ingest, regions, summaries, export, report.html.

    A second run does only what is new, and one that was stopped goes on. Exit code: 0 done, 1 a source could
    not be read (the others are in), 2 wrong usage.
    """
    with answering(debug), Bars(quiet) as bars:
        from tickline.engines.options import EngineOptions
        from tickline.pipelines.access.export.options import ExportOptions
        from tickline.pipelines.access.run import RunOptions
        from tickline.pipelines.access.run import run as run_all
        from tickline.pipelines.access.summaries.options import SummaryOptions

        options = RunOptions(
            ingest_options(
                operation, status, keys, exclude_ip, exclude_ip_regex, no_addresses, dedupe_lines, threads,
                memory, settle, now, engine=EngineOptions(engine, scheduler, workers), bucket=bucket,
            ),
            ExportOptions(
                SummaryOptions(None, shared_content, tuple(restrict_to or ()), tuple(exclude_datasets or ())),
                privacy=privacy, threshold=privacy_threshold, rounding=privacy_rounding,
            ),
            catalog,
            tuple(regions or ()),
            address_hash,
            relabel,
        )  # fmt: skip
        report = run_all(raw, str(store), out, options, bars.begin)
        bars.close()
        if json_output:
            whole = {"ingest": _ingest_json(report.ingested), "compacted": report.compacted}
            print_json({**whole, "files": files_json(report.exported), "page": str(report.page)})
        _tell_ingest(report.ingested, bars.first.seconds, quiet=quiet or json_output)
        if not (quiet or json_output):
            typer.echo(f"the page: {printable(str(report.page))}")
        if report.ingested.problems:
            raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands to ``tickline access``."""
    app.command(epilog=_INGEST_EXAMPLES)(ingest)
    app.command(epilog=_RUN_EXAMPLES)(run)
