"""``tickline access``: S3 server access logs."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tickline.cli import access_export, access_regions, access_run, access_store, summary
from tickline.cli.common import Bar, Debug, Quiet, answering
from tickline.errors import UsageError
from tickline.filters import AccessRules, check_columns
from tickline.pipelines.access.reduce.options import ReduceOptions, parse_max_rejects, parse_memory
from tickline.progress import cores

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")
rejects_app = typer.Typer(help="Lines that were rejected.", no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(rejects_app, name="rejects")
access_run.register(app)
app.add_typer(access_regions.regions_app, name="regions")
access_export.register(app)
access_store.register(app)

_REDUCE_EXAMPLES = """
Examples:

- `tickline access reduce 2024/05/01.log reduced`
- `tickline access reduce raw-logs reduced --keys dandi --exclude-ip 192.0.2.0/24,@ours.txt`
- `tickline access reduce raw reduced --format parquet --columns time,key,http_status --status all`
- `zcat day.log.gz | tickline access reduce - - --since 2024-05-01 > may.tsv`
"""

_EXPORT_EXAMPLES = """
Example:

- `tickline access reduce raw reduced --rejects rejects.tsv`
- `tickline access rejects export rejects.tsv --raw raw --out lines.log --anonymize`
"""


@app.command(epilog=_REDUCE_EXAMPLES)
def reduce(
    raw: Annotated[
        str,
        typer.Argument(metavar="RAW", help="A log, a folder of logs (any depth), or - for standard input."),
    ],
    out: Annotated[
        str, typer.Argument(metavar="OUT", help="The folder of the outputs; a file or - for one log.")
    ],
    table_format: Annotated[
        str, typer.Option("--format", metavar="tsv|parquet", help="tsv, or parquet (needs tickline[access]).")
    ] = "tsv",
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Comma list (default: time, remote_ip, key, bytes_sent under their TSV names).",
        ),
    ] = None,
    operation: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPERATION", help="Operations to keep, or all; repeatable (default: REST.GET.OBJECT)."
        ),
    ] = None,
    status: Annotated[
        str, typer.Option(metavar="LIST", help="HTTP status to keep: 2xx, 304, a comma list, or all.")
    ] = "2xx",
    keys: Annotated[
        str,
        typer.Option(
            metavar="RULE",
            help="Keys to keep: all, dandi (= blobs,zarr:2), or a list PREFIX[:PARTS kept of the key].",
        ),
    ] = "all",
    exclude_ip: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help="Drop these: address, CIDR, comma list, or @FILE; repeatable."),
    ] = None,
    exclude_ip_regex: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Drop addresses in which this expression (RE2) is found."),
    ] = None,
    exclude_year: Annotated[
        list[str] | None, typer.Option(metavar="YEARS", help="Drop these years (UTC); repeatable.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Keep from this date or ISO time on (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Keep what is before this date or ISO time (UTC).")
    ] = None,
    limit_files: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Take only the first N files, by name.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of threads (default: cores).")
    ] = None,
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory to keep to; 40 MB for each thread.")
    ] = "300MB",
    compat: Annotated[
        str,
        typer.Option(
            metavar="fixed|strict",
            help="fixed, or strict: byte for byte as dandi_s3_log_parser, its drops included.",
        ),
    ] = "fixed",
    accounting: Annotated[
        str | None,
        typer.Option(metavar="FILE.json", help="Write where every line went, per source and in total."),
    ] = None,
    rejects: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.tsv", help="Write source, line, offset, length and reason of rejected lines."
        ),
    ] = None,
    with_text: Annotated[
        bool,
        typer.Option("--with-text", help="Add the lines' text to --rejects, secrets and addresses hidden."),
    ] = False,
    max_rejects: Annotated[
        str | None, typer.Option(metavar="N|P%", help="Exit 1 if more lines than this are rejected.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make all outputs again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make one table of few columns from each raw log.

    A second run skips what is done, and one that was stopped goes on. Exit code: 0 done, 1 a source could not
    be read or written (the others are done), 2 wrong usage.
    """
    with answering(debug):
        if compat not in ("strict", "fixed"):
            raise UsageError(f"{compat!r} is no such mode", where="compat", hint="Choose strict or fixed.")
        if json_output and out == "-":
            raise UsageError("the table and the JSON cannot both go to standard output", where="json")
        rules = AccessRules.from_texts(
            operation=operation or "REST.GET.OBJECT",
            status=status,
            keys=keys,
            exclude_ip=exclude_ip,
            exclude_ip_regex=exclude_ip_regex,
            exclude_year=exclude_year,
            since=since,
            until=until,
            strict=compat == "strict",
        )
        options = ReduceOptions(
            raw=raw,
            out=out,
            format=table_format,
            columns=None if columns is None else tuple(check_columns([columns], ())),
            rules=rules,
            limit_files=limit_files,
            threads=threads or cores(),
            memory_bytes=parse_memory(memory),
            accounting=accounting,
            rejects=rejects,
            with_text=with_text,
            force=force,
            dry_run=dry_run,
            max_rejects=parse_max_rejects(max_rejects),
        )
        from tickline.pipelines.access.reduce.reduce import reduce as run_reduce

        with Bar(quiet or out == "-", "reducing") as bar:
            report = run_reduce(options, bar)
        if json_output:
            json.dump(summary.as_json(report), sys.stdout, indent=1)
            sys.stdout.write("\n")
        summary.tell(report, bar.seconds, quiet=quiet or json_output, to_stderr=out == "-", dry_run=dry_run)
        if report.problems:
            raise typer.Exit(1)


@rejects_app.command(epilog=_EXPORT_EXAMPLES)
def export(
    listed: Annotated[Path, typer.Argument(metavar="REJECTS.tsv", help="What reduce wrote for --rejects.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The file to write: the lines, one below the other.")
    ],
    anonymize: Annotated[
        bool,
        typer.Option(
            "--anonymize", help="Replace addresses, ids, names, keys and signatures, keep the shape."
        ),
    ] = False,
    raw: Annotated[
        Path | None,
        typer.Option(metavar="RAW", help="The folder or log that was reduced, to read the lines again."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write rejected lines into a file that can be sent to the maintainers.

    With --anonymize every value is replaced by another of the same shape (the same one everywhere in the
    file), so that a line still fails for the same reason. Look at the file before you send it.
    """
    from tickline.pipelines.access.reduce.anonymize import export_rejects

    with answering(debug):
        result = export_rejects(listed, out, raw=raw, anonymize=anonymize)
        summary.tell_export(result, out, anonymize=anonymize, quiet=quiet)
