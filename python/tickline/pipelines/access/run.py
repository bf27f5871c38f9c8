"""Everything in one go: regions, ingest, compaction where needed, summaries, export and the page."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.pipelines.access.ingest import ingest
from tickline.pipelines.access.ingest_options import IngestOptions, IngestReport
from tickline.pipelines.access.reduce import Progress
from tickline.store.folder import StoreFolder

if TYPE_CHECKING:
    from tickline.pipelines.access.export import ExportReport
    from tickline.pipelines.access.summaries import SummaryOptions

__all__ = ["RunOptions", "RunReport", "run"]


_NO_REGIONS = (
    "the store has no region files: everybody is from nowhere known until there are some "
    "(--regions FILE, with --relabel for those who came before)."
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is made of.

    Attributes
    ----------
    regions : tuple of str
        Region snapshots to take first, as ``[LABEL=]FILE``; none: those the store has.
    relabel : bool
        Look requesters up anew that have a label already.
    """

    ingest: IngestOptions
    summaries: "SummaryOptions"
    regions: tuple[str, ...] = ()
    relabel: bool = False


@dataclass(slots=True)
class RunReport:
    """What a run did; `page` is the report to open."""

    ingested: IngestReport
    exported: "ExportReport"
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
    from tickline.pipelines.access.compact import compact_months, needs_compaction
    from tickline.pipelines.access.export import check_out, export_native
    from tickline.pipelines.access.regions import label_requesters, update_regions
    from tickline.pipelines.access.report import import_jinja2, refresh_report
    from tickline.pipelines.access.summaries import summarize

    begin = phase or (lambda _: Progress())
    options.summaries.check()
    import_jinja2()  # better now than when all the work is done
    for raw in raws:
        check_out(out, Path(store), None if raw.startswith("s3://") else Path(raw))
    if options.regions:
        # Before the logs: a store without addresses takes its labels as they come in.
        with StoreFolder.open_or_create(store, options.ingest.wanted) as folder, folder.writing():
            update_regions(folder, options.regions)
    ingested = ingest(store, raws, options.ingest, begin("ingesting"))
    with StoreFolder.open(store) as folder:
        months = needs_compaction(folder.ledger.snapshot())
        if months:
            with folder.writing():
                compact_months(folder, months, progress=begin("compacting"))
        if options.relabel:
            with folder.writing():
                label_requesters(folder, relabel=True)
        if not folder.ledger.snapshots():
            ingested.notes.append(_NO_REGIONS)
        summaries = summarize(folder, options.summaries, begin("summarizing").reach)
        exported = export_native(folder, summaries, options.summaries, out, begin("exporting").reach)
    return RunReport(ingested, exported, refresh_report(out, exported.digest), months)
