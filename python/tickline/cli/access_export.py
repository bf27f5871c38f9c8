"""``tickline access summarize``, ``export`` and ``privacy-audit``: from a store to numbers."""

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.cli.access_options import (
    Catalog,
    ExcludeDatasets,
    Json,
    OutOption,
    PrivacyRule,
    Relabel,
    RestrictTo,
    Rounding,
    SharedContent,
    StoreOption,
    Threshold,
    summary_options,
)
from tickline.cli.common import Bar, Bars, Debug, Quiet, answering, console, plural, print_json
from tickline.errors import printable

if TYPE_CHECKING:
    from tickline.pipelines.access.export.record import ExportReport

__all__ = ["files_json", "register"]

_SUMMARIZE_EXAMPLES = """
Example:

- `tickline access summarize --store store --catalog catalog.json.gz`
"""

_EXPORT_EXAMPLES = """
Examples:

- `tickline access export --store store --out out --catalog catalog.json.gz`
- `tickline access export --store store --out out --catalog catalog.tsv --restrict-to 000123`
- `tickline access export --store store --out public --privacy fixed`
- `tickline access export --store store --out public --profile s3-log-extraction --catalog dandi`
- `tickline access export --store store --out old --profile dandi-s3-log-parser --with-addresses`
"""

_AUDIT_EXAMPLES = """
Example:

- `tickline access privacy-audit public --store store --catalog catalog.tsv`
"""


def files_json(report: "ExportReport") -> dict[str, int]:
    """Return how many files were written, left alone and removed."""
    return {name: len(getattr(report, name)) for name in ("written", "unchanged", "removed")}


def summarize(
    store: StoreOption,
    catalog: Catalog = None,
    shared_content: SharedContent = "all",
    relabel: Relabel = False,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Bring the summaries of a store up to date: only days that changed are added up again.

    `export` and `run` do this by themselves; here it is done without writing an export.
    """
    with answering(debug):
        from tickline.pipelines.access.regions.regions import label_requesters
        from tickline.pipelines.access.summaries.summaries import summarize as run_summarize
        from tickline.store.folder import StoreFolder

        options = summary_options(catalog, store, shared_content)
        with StoreFolder.open(store) as folder:
            if relabel:
                with folder.writing():
                    label_requesters(folder, relabel=True)
            with Bar(quiet, "summarizing", "days") as bar:
                summaries = run_summarize(folder, options, bar.reach)
            totals = summaries.totals(())[1]
        if json_output:
            print_json(totals)
        elif not quiet:
            for name, value in totals.items():
                console().print(f"{name.replace('_', ' ')}: {value:,}", markup=False)


def export(
    store: StoreOption,
    out: OutOption,
    profile: Annotated[
        str,
        typer.Option(
            metavar="native|s3-log-extraction|dandi-s3-log-parser",
            help="The layout: Tickline's own, or that of an old program.",
        ),
    ] = "native",
    compat: Annotated[
        str, typer.Option(metavar="fixed|strict", help="strict: the old program byte for byte, quirks too.")
    ] = "fixed",
    privacy: PrivacyRule = None,
    privacy_threshold: Threshold = 10,
    privacy_rounding: Rounding = 20,
    with_addresses: Annotated[
        bool,
        typer.Option("--with-addresses", help="Also write the trees that hold addresses; not to publish."),
    ] = False,
    catalog: Catalog = None,
    shared_content: SharedContent = "all",
    restrict_to: RestrictTo = None,
    exclude_datasets: ExcludeDatasets = None,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write the summaries of a store as files: by day, week, region, asset, type and dataset.

    The same content gives the same bytes, however the store came to it. Files that would not change are left
    alone. A report.html that `run` made here is made anew if the numbers are others.
    """
    with answering(debug), Bars(quiet) as bars:
        from tickline.pipelines.access.export.options import ExportOptions
        from tickline.pipelines.access.export.profiles import export_profile
        from tickline.pipelines.access.report import refresh_report
        from tickline.store.folder import StoreFolder

        summaries = summary_options(
            catalog, store, shared_content, restrict_to, exclude_datasets, bars.begin("fetching the catalog")
        )
        options = ExportOptions(
            summaries, profile, compat, privacy, privacy_threshold, privacy_rounding, with_addresses
        )
        with StoreFolder.open(store) as folder:
            report = export_profile(folder, options, out, bars.begin)
        bars.close()
        if profile == "native":
            refresh_report(out, report.digest, only_existing=True)
        if json_output:
            counts = {name: getattr(report, name) for name in ("written", "unchanged", "removed")}
            print_json({**counts, "notes": report.notes})
        elif not quiet:
            text = f"{plural(report.written, 'file')} written, {report.unchanged:,} unchanged"
            console().print(f"{text}, {report.removed:,} removed: {printable(str(out))}", markup=False)
            for note in report.notes:
                console().print(f"note: {note}", markup=False)


def privacy_audit(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder of an export.")],
    store: Annotated[
        Path | None,
        typer.Option(metavar="S", help="Its store: then cells that one requester dominates are found, too."),
    ] = None,
    catalog: Catalog = None,
    shared_content: SharedContent = "all",
    privacy_threshold: Threshold = 10,
    dominance: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="SHARE", help="One requester's share that is too much.")
    ] = 0.8,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """List the cells of an export that could tell about somebody: small, computable, or dominated by one.

    Exit code: 0 none found, 1 some found, 2 wrong usage.
    """
    with answering(debug):
        from tickline.pipelines.access.privacy.audit import audit
        from tickline.store.folder import StoreFolder

        with contextlib.ExitStack() as stack:
            folder = options = None
            if store is not None:
                folder = stack.enter_context(StoreFolder.open(store))
                options = summary_options(catalog, store, shared_content)
            risks = audit(out, folder, options, threshold=privacy_threshold, dominance=dominance)
        if json_output:
            print_json([asdict(risk) for risk in risks])
        else:
            for risk in risks[: None if quiet else 100]:
                cell = " ".join(filter(None, (risk.file, risk.row, risk.measure)))
                typer.echo(printable(f"{risk.kind}: {cell}: {risk.text}"))
            if not quiet:
                more = f" ({len(risks) - 100:,} more are listed by --json)" if len(risks) > 100 else ""
                typer.echo(f"{plural(len(risks), 'cell')} at risk{more}")
        if risks:
            raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands to ``tickline access``."""
    app.command(epilog=_SUMMARIZE_EXAMPLES)(summarize)
    app.command(epilog=_EXPORT_EXAMPLES)(export)
    app.command(epilog=_AUDIT_EXAMPLES)(privacy_audit)
