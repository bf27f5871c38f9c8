"""The native export: summaries as Parquet, TSV and JSON, the same bytes whenever the store holds the same.

A file appears whole, and is not touched where its bytes would be the same. ``OUT/.tickline/export.json``
records what was written: datasets without new rows are not even looked at again, and files of datasets that
are gone are removed, and only such files.
"""

import difflib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tickline
from tickline import accounting
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.pipelines.access.catalog.catalog import UNDETERMINED
from tickline.pipelines.access.export.files import OutputFolder
from tickline.pipelines.access.export.names import escape_controls, folder_names
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.record import (
    FORMAT,
    ExportRecord,
    ExportReport,
    check_out,
    made_of,
)
from tickline.pipelines.access.export.withheld import WithheldFrame
from tickline.pipelines.access.ingest.forms import forms_of
from tickline.pipelines.access.privacy.plan import plan
from tickline.pipelines.access.privacy.privacy import Privacy
from tickline.pipelines.access.summaries.frames import Frame, LongFrame
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import Summaries
from tickline.pipelines.access.summaries.tables import ARCHIVE_TABLES, DATASET_TABLES
from tickline.store.folder import StoreFolder

__all__ = ["chosen_datasets", "export_native"]

_ARCHIVE = "archive"
_SUMMARIES = "summaries"
_CLOSE_NAMES = 3


def export_native(
    folder: StoreFolder,
    summaries: Summaries,
    options: ExportOptions,
    out: Path,
    progress: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write the native export of a store.

    Parameters
    ----------
    folder : StoreFolder
        The open store.
    summaries : Summaries
        What `summarize` returned for the same options.
    options : ExportOptions
        The choice of datasets in it leaves the archive whole; its rule of privacy holds for both.
    out : Path
        Made if it does not exist. Files of other datasets from an earlier export stay as they are.
    progress : callable, optional
        Called with datasets done and datasets to do.

    Raises
    ------
    UsageError
        A dataset of the options does not exist, or `out` lies within the store.
    TicklineError
        Another run is writing into `out`, or the disk is full; a later run goes on.
    """
    options.check()
    check_out(out, folder.path)
    chosen = chosen_datasets(summaries.datasets, options.summaries)
    report = ExportReport()
    # Before anything is read that another run may change: the next run then does it all again.
    made = made_of(folder, summaries.commit, summaries.epoch, summaries.catalog_file, options)
    try:
        with ExportRecord(out, options.profile) as record:
            record.begin(options)
            with OutputFolder(record, made, report.written, report.unchanged, report.removed) as output:
                _write(output, folder, summaries, options, chosen, progress)
            report.digest = record.digest()
    except OSError as error:
        if isinstance(error, SourceError):
            raise
        raise explain_os_error(error, out) from error
    return report


def chosen_datasets(datasets: tuple[str, ...], options: SummaryOptions) -> list[str]:
    """Return the datasets to export, and refuse names that do not exist (`UsageError`)."""
    for option, names in (
        ("restrict-to", options.restrict_to),
        ("exclude-datasets", options.exclude_datasets),
    ):
        for name in names:
            if name not in datasets:
                raise _no_such_dataset(name, option, datasets)
    if options.restrict_to:
        return [name for name in datasets if name in options.restrict_to]
    return [name for name in datasets if name not in options.exclude_datasets]


def _no_such_dataset(name: str, option: str, datasets: tuple[str, ...]) -> UsageError:
    close = difflib.get_close_matches(name, datasets[:10_000], _CLOSE_NAMES, 0.5)
    if close:
        hint = f"Close to it: {', '.join(shown[:80] for shown in close)}."
    elif datasets:
        shown = ", ".join(shown[:80] for shown in datasets[:_CLOSE_NAMES])
        hint = f"The store has {len(datasets)} datasets, such as {shown}."
    else:
        hint = "The store has no datasets yet: ingest logs first."
    return UsageError(f"there is no dataset {name[:80]!r}", where=option, hint=hint)


def _write(
    output: OutputFolder,
    folder: StoreFolder,
    summaries: Summaries,
    options: ExportOptions,
    chosen: list[str],
    progress: Callable[[int, int], None] | None,
) -> None:
    folders = folder_names(summaries.datasets, reserved=(_ARCHIVE,))
    privacy = _privacy(summaries, options)
    # Totals and provenance first: both are there before anything is written.
    documents = {
        "totals.json": _json(_totals(summaries, chosen, privacy)),
        "provenance.json": _json(_provenance(folder, summaries, options.summaries, privacy)),
        "names.tsv": _names(folders),
    }
    if int(folder.ledger.meta("epoch")) != summaries.epoch:
        what = "sources were replaced or regions changed since the summaries were made"
        raise TicklineError(what, where=str(folder.path), hint="Run this again.")

    def version(name: str | None) -> str:
        rules = [] if privacy is None else [*options.rules, privacy.digest(name)]
        return " ".join(map(str, [summaries.version(name), *rules]))

    output.begin({name: f"{_SUMMARIES}/{place}" for name, place in folders.items()})
    stale = [name for name in chosen if not output.holds(name, version(name))]
    archive_is_stale = not output.holds(None, version(None))
    if stale or archive_is_stale:
        output.intend(_files(stale, folders, archive_is_stale))
    done = len(chosen) - len(stale)
    for name, frames in summaries.frames(stale):
        if progress is not None:
            progress(done, len(chosen))
        _write_frames(output, f"{_SUMMARIES}/{folders[name]}", name, frames, privacy)
        output.finish(name, version(name))
        done += 1
    if archive_is_stale:
        _write_frames(output, f"{_SUMMARIES}/{_ARCHIVE}", None, summaries.archive_frames(), privacy)
        output.finish(None, version(None))
    for place, data in documents.items():
        output.write_bytes(place, data)
    if progress is not None:
        progress(len(chosen), len(chosen))


def _privacy(summaries: Summaries, options: ExportOptions) -> Privacy | None:
    """Return what is withheld; None if nothing is."""
    rule = options.privacy_rule
    if rule == "exact":
        return None
    return plan(summaries, rule=rule, threshold=options.threshold, rounding=options.rounding)


def _totals(summaries: Summaries, chosen: list[str], privacy: Privacy | None) -> dict[str, Any]:
    totals, archive = summaries.totals(chosen)
    if privacy is None:
        return {"datasets": totals, _ARCHIVE: archive}
    shown = {name: privacy.totals(name, one) for name, one in totals.items()}
    return {"datasets": shown, _ARCHIVE: privacy.totals(None, archive)}


def _names(folders: dict[str, str]) -> bytes:
    rows = [("folder", "dataset"), *sorted((place, name) for name, place in folders.items())]
    return "".join(f"{escape_controls(place)}\t{escape_controls(name)}\n" for place, name in rows).encode()


def _files(stale: list[str], folders: dict[str, str], archive: bool) -> Iterator[tuple[str, str | None]]:
    for dataset in stale:
        for table in DATASET_TABLES:
            for suffix in ("parquet", "tsv"):
                yield f"{_SUMMARIES}/{folders[dataset]}/{table}.{suffix}", dataset
    if archive:
        for table in ARCHIVE_TABLES:
            for suffix in ("parquet", "tsv"):
                yield f"{_SUMMARIES}/{_ARCHIVE}/{table}.{suffix}", None


def _write_frames(
    output: OutputFolder,
    place: str,
    dataset: str | None,
    frames: dict[str, Frame | LongFrame],
    privacy: Privacy | None,
) -> None:
    tables = ARCHIVE_TABLES if dataset is None else DATASET_TABLES
    for table, frame in frames.items():
        shown = frame if privacy is None else WithheldFrame(frame, privacy, table, dataset)
        output.write_frame(f"{place}/{table}", dataset, tables[table], shown)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _source(row: Any) -> str:
    """Return what a source was: the hash of a log; of a table of an old tree its form and key, too."""
    key = [] if row["key"] is None else [bytes(row["key"]).decode("utf-8", "backslashreplace")]
    return " ".join([row["content_hash"].hex(), *([] if row["form"] == "log" else [row["form"]]), *key])


def _provenance(
    folder: StoreFolder, summaries: Summaries, options: SummaryOptions, privacy: Privacy | None
) -> dict[str, Any]:
    """Return what the numbers were made of: nothing in it depends on when, where or in which order.

    Where counts are withheld, so is the account of all lines: it would tell their exact sum.
    """
    undetermined = summaries.undetermined()
    sources = folder.ledger.rows(
        "SELECT content_hash, form, key, bytes, lines, accepted, filtered, rejected, noted FROM sources "
        "WHERE state != 'replaced' AND added <= ? ORDER BY content_hash",
        [summaries.commit],
    )
    total = accounting.empty()
    for row in sources:
        groups = {name: json.loads(row[name]) for name in ("filtered", "rejected", "noted")}
        accounting.add(total, {**groups, **{name: row[name] for name in ("lines", "bytes", "accepted")}})
    return {
        "format": FORMAT,
        "tickline": tickline.__version__,
        "store": folder.settings.as_json(),
        "sources": [_source(row) for row in sources],
        "forms": forms_of(folder.ledger),
        "accounting": total if privacy is None else None,
        "catalog": summaries.catalog,
        "shared_content": options.shared_content,
        "restrict_to": sorted(set(options.restrict_to)),
        "exclude_datasets": sorted(set(options.exclude_datasets)),
        "regions": [
            {
                "kind": shot.kind,
                "name": shot.name,
                "label": shot.label,
                "date": shot.date,
                "sha256": shot.hash,
            }
            for shot in folder.ledger.snapshots()
        ],
        "region_order": folder.ledger.meta("region_order") or "longest-prefix",
        UNDETERMINED: undetermined if privacy is None else undetermined | {"number_of_requests": None},
        "privacy": (privacy or Privacy("exact")).about(),
    }
