"""``tickline archive report``: whether the clocks of a fleet kept a rule, and where that stands."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.cli.access_options import Now
from tickline.cli.archive_options import ConfigOption, Json, Nodes, StoreOption, chosen_store
from tickline.cli.common import Bar, Debug, Quiet, answering, print_json
from tickline.errors import UsageError
from tickline.filters import parse_time

if TYPE_CHECKING:
    from tickline.pipelines.archive.report.model import Report

__all__ = ["register"]

_EXAMPLES = """
Examples:

- `tickline archive report --config archive.toml --rule finra-4590 --from 2026-09-01 --to 2026-11-30`
- `tickline archive report --store s3://logs/ntp --rule our.toml --from 2026-01-01 --to 2026-12-31 --out page`
- `tickline archive report --store file:///srv/ntp --rule cat-6820 --from 2026-11-20 --to 2026-11-20 --json`
"""


def report(
    rule: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", help="finra-4590, cat-6820, mifid-rts25, or a TOML file of your own."
        ),
    ],
    begin: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="First day, in UTC.")],
    end: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="Last day, in UTC.")],
    config: ConfigOption = None,
    store: StoreOption = None,
    node: Nodes = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write report.json, findings.csv and report.html into it."),
    ] = None,
    form: Annotated[
        list[str] | None,
        typer.Option("--format", metavar="json|csv|html", help="With --out: only this; repeatable."),
    ] = None,
    now: Now = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Judge the clocks of all nodes by a rule, from the archive alone.

    Every finding names the object, the bytes and the line that show it. The verdict is "met" only where the
    archive shows it; else it is "not met", or "cannot be shown" with the reason. A rule of your own extends
    one of these and names your traceable sources, without which traceability cannot be shown. Exit code: 0
    met, 1 not, 2 wrong usage.
    """
    with answering(debug, when_stopped="Nothing was written."):
        made = _made(rule, begin, end, config, store, node, out, form, now, quiet)
        _tell(made, json_output=json_output, quiet=quiet)
        from tickline.pipelines.archive.report.model import MET

        if made.verdict != MET:
            raise typer.Exit(1)


def _made(
    rule: str,
    begin: str,
    end: str,
    config: Path | None,
    store: str | None,
    nodes: list[str] | None,
    out: Path | None,
    form: list[str] | None,
    now: str | None,
    quiet: bool,
) -> "Report":
    from tickline.pipelines.archive.report.build import build_report
    from tickline.pipelines.archive.report.output import write_files
    from tickline.pipelines.archive.report.rules import read_rule

    formats = _formats(form, out)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder", where="--out", hint="Name a folder; it is made if need be.")
    period = _day(begin, "--from"), _day(end, "--to")
    now_ms, followed = parse_time(now, "--now"), read_rule(rule)
    now_s = None if now_ms is None else now_ms / 1000
    archive = chosen_store(config, store)
    with Bar(quiet, "reading", "objects") as bar:
        made = build_report(archive, followed, *period, nodes=nodes, now=now_s, progress=bar)
    if out is not None:
        write_files(made, out, formats)
    return made


def _tell(made: "Report", *, json_output: bool, quiet: bool) -> None:
    from tickline.cli.common import console
    from tickline.pipelines.archive.report.output import as_json, summary

    if json_output:
        print_json(as_json(made))
    elif not quiet:
        console().print(summary(made), markup=False, end="")


def _formats(form: list[str] | None, out: Path | None) -> tuple[str, ...]:
    from tickline.pipelines.archive.report.output import FORMATS

    for name in form or ():
        if name not in FORMATS:
            hint = f"Write one of: {', '.join(FORMATS)}."
            raise UsageError(f"{name!r} is no format that is known", where="--format", hint=hint)
    if form and out is None:
        raise UsageError("says what is written into --out", where="--format", hint="Give --out FOLDER.")
    return tuple(dict.fromkeys(form)) if form else tuple(FORMATS)


def _day(text: str, place: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no day", where=place, hint="Write it as 2026-09-01.") from error


def register(app: typer.Typer) -> None:
    """Add this command to ``tickline archive``."""
    app.command(epilog=_EXAMPLES)(report)
