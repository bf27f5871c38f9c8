"""Every export by one door: the layout that was asked for, and the trees with addresses only on request."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tickline.errors import UsageError
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.export.record import (
    MAPPED,
    MAPPED_PROFILE,
    ExportReport,
    check_out,
    refuse_other_layout,
    unchanged_export,
)
from tickline.progress import Progress
from tickline.store.folder import StoreFolder

__all__ = ["ProfileReport", "export_profile"]

# The layouts of trees that hold addresses.
_TREES = {"dandi-s3-log-parser": ("reduced", "binned"), "s3-log-extraction": ("extraction",)}


@dataclass(slots=True)
class ProfileReport:
    """What an export did, in numbers of files; `digest` tells of what its page is made, if it has one."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    digest: str = ""
    notes: list[str] = field(default_factory=list)


def export_profile(
    folder: StoreFolder, options: ExportOptions, out: Path, phase: Callable[[str], Progress]
) -> ProfileReport:
    """Write an export in the layout that `options` names.

    Parameters
    ----------
    folder : StoreFolder
        An open store; the caller does not hold ``folder.writing()``.
    options : ExportOptions
        What.
    out : pathlib.Path
        Made if it does not exist. The layouts have folders of their own in it (``summaries``, ``mapped``,
        ``reduced``, ``binned``, ``extraction``).
    phase : callable
        Called with the name of each phase; returns where its progress is told.

    Raises
    ------
    UsageError
        The options contradict each other, name what is not there, or `out` lies within the store.
    TicklineError
        Another run is writing into `out`, or the disk is full; a later run goes on.
    """
    options.check()
    check_out(out, folder.path)
    if options.compat == "strict":
        options = replace(options, summaries=replace(options.summaries, decode_keys=False))
    if options.with_addresses and not folder.keeps_addresses():
        hint = "Leave it out, or export from a store that keeps addresses."
        raise UsageError("the store has no addresses (any more)", where="with-addresses", hint=hint)
    refuse_other_layout(out, options.profile)
    if options.profile == MAPPED_PROFILE:
        report = _mapped(folder, options, out / MAPPED, phase)
    else:
        done = _summaries(folder, options, out, phase)
        counts = (len(done.written), len(done.unchanged), len(done.removed))
        report = ProfileReport(*counts, done.digest)
    trees = _TREES.get(options.profile, ())
    if trees and options.with_addresses:
        from tickline.pipelines.access.trees.export import export_trees

        made = export_trees(folder, out, trees, compat=options.compat, progress=phase("exporting trees"))
        report.written += made.written
        report.unchanged += made.unchanged
        report.removed += made.removed
    elif trees:
        names = " and ".join(trees)
        why = "addresses stand there, and only --with-addresses writes them"
        if not folder.keeps_addresses():
            why = "addresses would stand there, and the store has none (any more)"
        report.notes.append(f"without {names}: {why}")
        if left := " and ".join(name for name in trees if (out / name).exists()):
            report.notes.append(f"addresses stand in {left} of an earlier run: do not publish that")
    return report


def _summaries(
    folder: StoreFolder, options: ExportOptions, out: Path, phase: Callable[[str], Progress]
) -> ExportReport:
    if options.profile == "native":
        from tickline.pipelines.access.run import export_store

        return export_store(folder, options, out, phase)
    if (unchanged := unchanged_export(folder, options, out)) is not None:
        return unchanged
    from tickline.pipelines.access.export.published import export_published
    from tickline.pipelines.access.summaries.summaries import summarize

    summaries = summarize(folder, options.summaries, phase("summarizing").reach)
    return export_published(folder, summaries, options, out, phase("exporting").reach)


def _mapped(
    folder: StoreFolder, options: ExportOptions, out: Path, phase: Callable[[str], Progress]
) -> ProfileReport:
    from tickline.pipelines.access.catalog.catalog import Catalog
    from tickline.pipelines.access.mapped.export import export_mapped

    catalog = Catalog(options.summaries.catalog, versions=True, decode=options.summaries.decode_keys)
    made = export_mapped(
        folder, catalog, options.summaries, out, compat=options.compat, progress=phase("exporting assets")
    )
    return ProfileReport(made.written, made.unchanged, made.removed)
