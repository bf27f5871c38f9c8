"""The summaries of s3-log-extraction: ``summaries/<dataset>/``, ``summaries/archive/``, two files of totals.

What each rule of compatibility makes of them:

- ``fixed``: the tables of the archive and the totals are made of the rows of the store, as all others. Every
  dataset has tables by week; rows stand in the order of their first column, ``other`` behind all regions.
- ``strict``: as s3-log-extraction 1.10.6 makes them. The archive's tables are the sums of the datasets'
  published ones, a ``<50`` counted as 0, and rounded again; so is its number of requesters, which counts
  whoever asked for two datasets twice. Regions stand in the order in which they come up first along the keys,
  in the archive in natural order; assets by the parts of their paths. A store without region files has looked
  up nobody: everybody is from ``missing``. Services are no countries but ``AWS``, of which the first part of
  the region is one. Without a catalog there are no tables by week, which only the plug-in for DANDI has.

What ``strict`` cannot repeat is listed in ``tests/conformance/test_published_fixtures.py``.
"""

from collections.abc import Callable
from pathlib import Path

from tickline.errors import SourceError, TicklineError, explain_os_error
from tickline.pipelines.access.export.files import OutputFolder
from tickline.pipelines.access.export.names import escape_controls, folder_names
from tickline.pipelines.access.export.native import chosen_datasets
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.published_strict import StrictTables
from tickline.pipelines.access.export.published_tables import FixedTables, json_text, row_text
from tickline.pipelines.access.export.record import ExportRecord, ExportReport, check_out, made_of
from tickline.pipelines.access.privacy.plan import plan
from tickline.pipelines.access.summaries.summaries import Summaries
from tickline.store.folder import StoreFolder

__all__ = ["export_published"]

_ARCHIVE = "archive"
_ROOT = "summaries"
_NAMES = "names.tsv"
_TOTALS = ("totals.json", "archive_totals.json")
PROFILE = "s3-log-extraction"


def export_published(
    folder: StoreFolder,
    summaries: Summaries,
    options: ExportOptions,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write the summaries of a store as s3-log-extraction lays them out.

    Parameters
    ----------
    folder : StoreFolder
        The open store.
    summaries : Summaries
        What `summarize` returned for the same options.
    options : ExportOptions
        Its profile is this one. The choice of datasets in it leaves the archive whole.
    out : Path
        Made if it does not exist.
    progress : callable, optional
        Called with datasets done and datasets to do.

    Raises
    ------
    UsageError
        The options contradict each other, a dataset of them does not exist, or `out` lies within the store.
    TicklineError
        Another run is writing into `out`, or the disk is full; a later run goes on.
    """
    options.check()
    check_out(out, folder.path)
    chosen = chosen_datasets(summaries.datasets, options.summaries)
    rule = options.privacy_rule
    rules = plan(summaries, rule=rule, threshold=options.threshold, rounding=options.rounding)
    kind = StrictTables if options.compat == "strict" else FixedTables
    tables = kind(folder, summaries, rules, options.summaries)
    report = ExportReport()
    made = made_of(folder, summaries.commit, summaries.epoch, summaries.catalog_file, options)
    words = " ".join(map(str, options.rules))
    try:
        with ExportRecord(out, options.profile) as record:
            record.begin(options)
            with OutputFolder(record, made, report.written, report.unchanged, report.removed) as output:
                _write(output, folder, summaries, tables, words, chosen, progress)
            report.digest = record.digest()
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise explain_os_error(error, out) from error
    return report


def _write(
    output: OutputFolder,
    folder: StoreFolder,
    summaries: Summaries,
    tables: FixedTables,
    words: str,
    chosen: list[str],
    progress: Callable[[int, int], None] | None,
) -> None:
    folders = folder_names(summaries.datasets, reserved=(_ARCHIVE, *_TOTALS))
    documents = {
        f"{_ROOT}/{_TOTALS[0]}": json_text(tables.totals(chosen)),
        f"{_ROOT}/{_TOTALS[1]}": json_text(tables.archive_totals()),
    }
    if int(folder.ledger.meta("epoch")) != summaries.epoch:
        what = "sources were replaced or regions changed since the summaries were made"
        raise TicklineError(what, where=str(folder.path), hint="Run this again.")
    output.begin({name: f"{_ROOT}/{place}" for name, place in folders.items()})
    versions = {name: f"{words} {tables.version(name)}" for name in (*chosen, None)}
    stale = [name for name in chosen if not output.holds(name, versions[name])]
    archive_is_stale = not output.holds(None, versions[None])
    output.intend(
        (f"{_ROOT}/{_ARCHIVE if name is None else folders[name]}/{file}", name)
        for name in (*stale, *([None] if archive_is_stale else []))
        for file in tables.files(name)
    )
    done = len(chosen) - len(stale)
    for name, frames in summaries.frames(stale):
        if progress is not None:
            progress(done, len(chosen))
        for file, pieces in tables.dataset(name, frames):
            output.write_pieces(f"{_ROOT}/{folders[name]}/{file}", name, pieces)
        output.finish(name, versions[name])
        done += 1
    if archive_is_stale:
        for file, pieces in tables.archive():
            output.write_pieces(f"{_ROOT}/{_ARCHIVE}/{file}", None, pieces)
        output.finish(None, versions[None])
    for place, data in documents.items():
        output.write_bytes(place, data)
    names = sorted((escape_controls(place), escape_controls(name)) for name, place in folders.items())
    output.write_bytes(_NAMES, b"".join(map(row_text, [("folder", "dataset"), *names])))
    if progress is not None:
        progress(len(chosen), len(chosen))
