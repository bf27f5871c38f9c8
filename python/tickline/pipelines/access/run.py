"""Everything in one go: regions, ingest, compaction where needed, summaries, export and the page."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tickline.discovery import is_s3
from tickline.errors import TicklineError
from tickline.pipelines.access.catalog.sources import is_elsewhere, resolve_catalog
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.record import (
    ExportReport,
    check_out,
    refuse_other_layout,
    unchanged_export,
)
from tickline.pipelines.access.ingest.ingest import ingest
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.store.runs import needs_compaction

__all__ = ["RunOptions", "RunReport", "export_store", "run"]


_NO_REGIONS = (
    "the store has no region files: everybody is from nowhere known until there are some "
    "(--regions FILE, with --relabel for those who came before)."
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is made of.

    Attributes
    ----------
    catalog : str, optional
        A file, an address on the web, or ``dandi``, see `tickline.pipelines.access.catalog.sources`.
    export : ExportOptions
        Without the catalog; its layout is the native one.
    regions : tuple of str
        Region sources to take first, as `tickline.pipelines.access.regions.regions` knows them; none: those
        the store has.
    address_hash : str, optional
        How addresses stand in old caches among `regions`.
    relabel : bool
        Look requesters up anew that have a label already.
    """

    ingest: IngestOptions
    export: ExportOptions
    catalog: str | None = None
    regions: tuple[str, ...] = ()
    address_hash: str | None = None
    relabel: bool = False


@dataclass(slots=True)
class RunReport:
    """What a run did; `page` is the report to open."""

    ingested: IngestReport
    exported: ExportReport
    page: Path
    compacted: list[str] = field(default_factory=list)


def run(
    raws: list[str],
    store: str,
    out: Path,
    options: RunOptions,
    phase: Callable[[str], Progress] | None = None,
) -> RunReport:
    """Bring raw logs into a store, and export what it then holds.

    Parameters
    ----------
    raws : list of str
        Logs, folders of logs, ``s3://bucket/prefix``.
    store : str
        The folder of the store; it is made if it does not exist.
    out : pathlib.Path
        The folder of the export.
    options : RunOptions
        How.
    phase : callable, optional
        Called with the name of each phase; returns where its progress is told.

    Returns
    -------
    RunReport
        Sources that could not be read are in `ingested.problems`; the export holds all others.
    """
    from tickline.page import check_jinja2
    from tickline.pipelines.access.report import refresh_report

    begin = phase or (lambda _: Progress())
    options.export.check()
    refuse_other_layout(out, options.export.profile)
    check_jinja2()  # better now than when all the work is done
    for raw in raws:
        check_out(out, Path(store), None if is_s3(raw) else Path(raw))
    notes = _take_regions(store, options) if options.regions else []
    export = _with_catalog(store, options, begin)
    ingested = ingest(store, raws, options.ingest, begin("ingesting"))
    ingested.notes += notes
    with StoreFolder.open(store) as folder:
        months = _compact(folder, begin)
        if options.relabel:
            _label_again(folder)
        snapshots = folder.ledger.snapshots()
        if not snapshots:
            ingested.notes.append(_NO_REGIONS)
        elif any(shot.kind == "ipinfo" for shot in snapshots):
            ingested.notes += _ask_ipinfo(folder, begin)
        exported = export_store(folder, export, out, begin)
    return RunReport(ingested, exported, refresh_report(out, exported.digest), months)


def export_store(
    folder: StoreFolder, options: ExportOptions, out: Path, phase: Callable[[str], Progress]
) -> ExportReport:
    """Write the native export of a store as it is now, unless the one that is there is that already."""
    if (unchanged := unchanged_export(folder, options, out)) is not None:
        return unchanged
    from tickline.pipelines.access.export.native import export_native
    from tickline.pipelines.access.summaries.summaries import summarize

    summaries = summarize(folder, options.summaries, phase("summarizing").reach)
    return export_native(folder, summaries, options, out, phase("exporting").reach)


def _take_regions(store: str, options: RunOptions) -> list[str]:
    """Take the region files before the logs: a store without addresses gives its labels as they come in."""
    from tickline.pipelines.access.regions.regions import in_use, update_regions

    with StoreFolder.open_or_create(store, options.ingest.wanted) as folder:
        if in_use(folder, options.regions):
            return []
        with folder.writing():
            try:
                update_regions(folder, options.regions, address_hash=options.address_hash)
            except TicklineError as error:
                # Logs do not wait for a service; without any lists there would be nothing but "unknown".
                if not (error.where or "").startswith("http") or not folder.ledger.snapshots():
                    raise
                return [f"{error} The lists of before stay in use."]
    return []


def _with_catalog(store: str, options: RunOptions, phase: Callable[[str], Progress]) -> ExportOptions:
    """Fetch the catalog before the logs are read: a wrong address is told at once."""
    if options.catalog is None:
        return options.export
    if is_elsewhere(options.catalog):
        StoreFolder.open_or_create(store, options.ingest.wanted).close()
    catalog = resolve_catalog(options.catalog, Path(store), phase("fetching the catalog"))
    summaries = replace(options.export.summaries, catalog=catalog)
    summaries.check()
    return replace(options.export, summaries=summaries)


def _ask_ipinfo(folder: StoreFolder, phase: Callable[[str], Progress]) -> list[str]:
    from tickline.pipelines.access.regions.ipinfo import ask_ipinfo

    with folder.writing():
        problem = ask_ipinfo(folder, progress=phase("asking ipinfo")).problem
    return [] if problem is None else [str(problem)]


def _compact(folder: StoreFolder, phase: Callable[[str], Progress]) -> list[str]:
    months = needs_compaction(folder.ledger.snapshot())
    if months:
        from tickline.pipelines.access.compact import compact_months

        with folder.writing():
            compact_months(folder, months, progress=phase("compacting"))
    return months


def _label_again(folder: StoreFolder) -> None:
    from tickline.pipelines.access.regions.regions import label_requesters

    with folder.writing():
        label_requesters(folder, relabel=True)
