"""``tickline access summarize`` and ``export``: from a store to numbers."""

from typing import TYPE_CHECKING, Annotated

import typer

from tickline.cli.access_options import (
    Catalog,
    ExcludeDatasets,
    Json,
    OutOption,
    Relabel,
    RestrictTo,
    SharedContent,
    StoreOption,
    summary_options,
)
from tickline.cli.common import Bar, Bars, Debug, Quiet, answering, console, plural, print_json
from tickline.errors import UsageError, printable

if TYPE_CHECKING:
    from tickline.pipelines.access.export_record import ExportReport

__all__ = ["files_json", "register"]

_SUMMARIZE_EXAMPLES = """
Example:

- `tickline access summarize --store store --catalog catalog.json.gz`
"""

_EXPORT_EXAMPLES = """
Examples:

- `tickline access export --store store --out out --catalog catalog.json.gz`
- `tickline access export --store store --out out --catalog catalog.tsv --restrict-to 000123`
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
        from tickline.pipelines.access.regions import label_requesters
        from tickline.pipelines.access.summaries import summarize as run_summarize
        from tickline.store.folder import StoreFolder

        options = summary_options(catalog, shared_content, None, None)
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
        typer.Option(metavar="native", help="The layout; native: exact numbers as Parquet, TSV and JSON."),
    ] = "native",
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
        from tickline.pipelines.access.export_record import check_out
        from tickline.pipelines.access.report import refresh_report
        from tickline.pipelines.access.run import export_store
        from tickline.store.folder import StoreFolder

        if profile != "native":
            raise UsageError(f"{profile!r} is no profile", where="profile", hint="Choose native.")
        options = summary_options(catalog, shared_content, restrict_to, exclude_datasets)
        with StoreFolder.open(store) as folder:
            check_out(out, store)
            report = export_store(folder, options, out, bars.begin)
        bars.close()
        refresh_report(out, report.digest, only_existing=True)
        if json_output:
            print_json(files_json(report))
        elif not quiet:
            counts = f"{plural(len(report.written), 'file')} written, {len(report.unchanged):,} unchanged"
            text = f"{counts}, {len(report.removed):,} removed"
            console().print(f"{text}: {printable(str(out))}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands to ``tickline access``."""
    app.command(epilog=_SUMMARIZE_EXAMPLES)(summarize)
    app.command(epilog=_EXPORT_EXAMPLES)(export)
