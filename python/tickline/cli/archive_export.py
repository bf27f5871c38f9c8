"""``tickline archive export`` and ``import``: lines out of an archive, and old objects into it."""

import contextlib
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickline.cli.archive_options import ConfigOption, Json, StoreOption, chosen_store
from tickline.cli.common import (
    Bar,
    Debug,
    Quiet,
    answering,
    console,
    human_bytes,
    plural,
    print_json,
    say_error,
)
from tickline.errors import TicklineError, UsageError, printable

if TYPE_CHECKING:
    from tickline.pipelines.archive.export import ExportReport
    from tickline.pipelines.archive.import_days import ImportReport
    from tickline.pipelines.archive.machine import Outcome

__all__ = ["register"]

_EXPORT_EXAMPLES = """
Examples:

- `tickline archive export --config archive.toml --out lines`
- `tickline archive export --store s3://compliance-logs/ntp --node trade-07 --from 2026-09-01 --to 2026-09-30
  --out lines`
- `tickline archive export --config archive.toml --from 2026-09-01 --to 2026-09-01 --log tracking | less`
- `tickline archive export --config archive.toml --layout per-day --out days`
"""

_IMPORT_EXAMPLES = """
Examples:

- `tickline archive run --config archive.toml` (first: what the logs still hold comes from them)
- `tickline archive import s3://old-bucket/ntp/ --config archive.toml`
- `tickline archive import /srv/old-objects --config archive.toml --json`
"""


def _problems(problems: list[TicklineError]) -> list[dict[str, Any]]:
    return [{"where": one.where, "what": one.what, "hint": one.hint} for one in problems]


def export(
    config: ConfigOption = None,
    store: StoreOption = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NAME", help="Whose lines; by default that of --config.")
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", metavar="DATE", formats=["%Y-%m-%d"], help="First day (UTC, by the rows)."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", metavar="DATE", formats=["%Y-%m-%d"], help="Last day, included."),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            metavar="raw|per-day",
            help="raw: each log as it was; per-day: NODE-YYYY-MM-DD.log with the rows of all logs.",
        ),
    ] = "raw",
    log: Annotated[
        str | None,
        typer.Option("--log", metavar="LOG", help="Only this log: its path, or its kind, such as tracking."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Where the files go; without it --log goes to stdout."),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the lines of a node as they were, each once, in the order in which they were taken.

    A log comes out under its own path below the folder, its rotated files one behind the other. Banners go
    with the row behind them.
    Exit code: 0 done, 1 something in the archive is damaged or missing (the rest is written), 2 wrong usage.
    """
    with answering(debug):
        from tickline.pipelines.archive.config import read_config
        from tickline.pipelines.archive.export import ExportOptions
        from tickline.pipelines.archive.export import export as run_export

        if node is None and config is None:
            raise UsageError("is needed with --store", where="--node", hint="Say whose lines.")
        if out is None and json_output:
            raise UsageError("cannot go with lines on stdout", where="--json", hint="Give --out a folder.")
        whose = node or (read_config(config).node if config else "")
        days = (first.date() if first else None, last.date() if last else None)
        options = ExportOptions(whose, *days, layout, log)
        with Bar(quiet or out is None, "exporting", "objects") as bar:
            report = run_export(chosen_store(config, store), options, out or sys.stdout.buffer, bar)
        if json_output:
            print_json(_export_json(report))
        elif out is not None and not quiet:
            _tell_export(report, out)
        for problem in report.problems:
            say_error(str(problem))
        if report.problems:
            raise typer.Exit(1)


def _export_json(report: "ExportReport") -> dict[str, Any]:
    files = [{"path": str(file.path), "lines": file.lines, "bytes": file.bytes} for file in report.files]
    return {
        "objects": report.objects,
        "lines": report.lines,
        "undated": report.undated,
        "files": files,
        "problems": _problems(report.problems),
    }


def _tell_export(report: "ExportReport", out: Path) -> None:
    size = human_bytes(sum(file.bytes for file in report.files))
    files = plural(len(report.files), "file")
    text = f"{plural(report.lines, 'line')} of {plural(report.objects, 'object')}, {size}, in {files}"
    console().print(f"{text}: {printable(str(out))}", markup=False)
    if report.undated:
        text = f"{plural(report.undated, 'line')} without a date left out; --layout raw without days has them"
        console().print(f"note: {text}", markup=False)


def import_days(
    source: Annotated[
        str, typer.Argument(metavar="PATH|s3://...", help="Where the old objects are: a folder or a prefix.")
    ],
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The archive.toml of the node.")],
    layout: Annotated[
        str, typer.Option(metavar="per-day", help="Whose: objects NODE-YYYY-MM-DD... of all logs mixed.")
    ] = "per-day",
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take the objects of the NTP log processor into the chain of a node, each line once.

    Lines that are there already, or in several objects, are left out: by the whole line, and as often as one
    object has it. What came in twice and what is missing is told. It may be stopped at any time and run
    again: nothing comes in twice.
    Exit code: 0 done, 1 not all could be read or written (run it again), 2 wrong usage, 130 or 143 stopped.
    """
    with answering(debug), contextlib.ExitStack() as stack:
        from tickline.pipelines.archive.config import read_config
        from tickline.pipelines.archive.import_days import Importer, accounting
        from tickline.pipelines.archive.machine import run_once
        from tickline.pipelines.archive.old_objects import find_objects
        from tickline.pipelines.archive.stores import open_store

        if layout != "per-day":
            raise UsageError(f"{layout!r} is no layout", where="--layout", hint="There is one: per-day.")
        settings = read_config(config)
        found = find_objects(source, settings.node, stack, endpoint=settings.endpoint)
        store = open_store(settings)
        with Bar(quiet, "importing") as bar:
            bar.start(sum(item.size for item in found.objects))
            importer = Importer(settings, store, found, bar)
            outcome = run_once(settings, store, look=importer.look)
        report = importer.end(outcome)
        if json_output:
            print_json({**accounting(report), "problems": _problems(outcome.problems)})
        elif not quiet:
            _tell_import(report, outcome)
        for problem in outcome.problems:
            say_error(str(problem))
        if not report.complete:
            raise typer.Exit(1)


def _tell_import(report: "ImportReport", outcome: "Outcome") -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    for justify in ("left", "right", "left"):
        table.add_column(justify=justify, overflow="fold")
    table.add_row("old objects", f"{report.objects:,}", f"{human_bytes(report.bytes)} of lines")
    table.add_row("lines", f"{report.lines:,}", _span(report))
    table.add_row("taken", f"{report.taken:,}", f"in {plural(outcome.objects, 'object')} of the archive")
    rest = {
        "imported before": (report.imported_before, ""),
        "there already": (report.archived, "taken from the logs themselves"),
        "doubled": (report.doubled, "in an earlier old object, too"),
        "banners": (report.banners, ""),
        "unrecognised": (report.unrecognised, "among those taken: cut off, or run together"),
        "lost": (report.lost_lines, "rows that the logs had, and no old object has"),
        "silent days": (len(report.silent_days), ", ".join(report.silent_days[:7])),
        "same key": (report.same_key, "rows with another's date, time and address"),
        "left out": (report.left_out.total(), ", ".join(sorted(report.left_out))),
    }
    for name, (count, text) in rest.items():
        if count:
            table.add_row(name, f"{count:,}", text)
    console().print(table)


def _span(report: "ImportReport") -> str:
    return f"{report.first} to {report.last}" if report.first else ""


def register(app: typer.Typer) -> None:
    """Add the commands to ``tickline archive``."""
    app.command(epilog=_EXPORT_EXAMPLES)(export)
    app.command("import", epilog=_IMPORT_EXAMPLES)(import_days)
