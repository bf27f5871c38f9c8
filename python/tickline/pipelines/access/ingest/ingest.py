"""Raw logs, or tables made of them, into a store: exactly once, by many threads, going on after a kill."""

from tickline import accounting
from tickline.errors import TicklineError
from tickline.pipelines.access.ingest.forms import check_settings, check_spread, form_notes
from tickline.pipelines.access.ingest.inputs import find_inputs
from tickline.pipelines.access.ingest.options import IngestOptions, IngestReport
from tickline.pipelines.access.ingest.tasks import find_tasks
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.store.settings import Settings

__all__ = ["ingest"]

_NO_REGIONS = (
    "the store has no region files: everybody is from nowhere known, and without addresses that stays so. "
    "Give them first (tickline access run --regions FILE)."
)


def ingest(
    store: str, raws: list[str], options: IngestOptions, progress: Progress | None = None
) -> IngestReport:
    """Bring logs into a store; it is made if it does not exist.

    Parameters
    ----------
    store : str
        The folder of the store.
    raws : list of str
        Logs, folders of logs, ``s3://bucket/prefix``; tables instead, if the options say so.
    options : IngestOptions
        How.
    progress : Progress, optional
        Is told how far the run is: bytes as they lie there.

    Returns
    -------
    IngestReport
        What was done; `problems` is empty if everything was. What could not be read now is read by the next
        run.

    Raises
    ------
    UsageError
        An option differs from what the store was made with, RAW does not exist, or the store asks what tables
        do not tell.
    TicklineError
        Nothing could be begun: another run is writing, or the store is damaged or newer.
    """
    progress = progress or Progress()
    report = IngestReport(counts=accounting.empty())
    if options.engine.distributed:
        check_spread(options.form, options.wanted.dedupe_lines)
    if options.form != "log":
        # A store that could not take them is not made first.
        check_settings(Settings.create(options.wanted, ""), store)
    with (
        find_inputs(raws, form=options.form) as found,
        StoreFolder.open_or_create(store, options.wanted) as folder,
        folder.writing(),
    ):
        if options.form != "log":
            check_settings(folder.settings, store)
        if options.engine.distributed:
            check_spread(options.form, folder.settings.dedupe_lines)
        report.left_out.update(found.left_out)
        report.problems += found.problems
        tasks = find_tasks(folder.ledger, found.inputs, options, report.states)
        if tasks or folder.ledger.rows("SELECT 1 FROM sources WHERE state = 'leaving' LIMIT 1"):
            # Imported here: a run that finds nothing new is over sooner than all that takes to load.
            if options.engine.distributed and tasks:
                from tickline.pipelines.access.ingest.spread import SpreadReading

                SpreadReading(folder, options, progress, report).run(tasks)
            else:
                from tickline.pipelines.access.ingest.reading import Reading

                Reading(folder, options, progress, report).run(tasks)
        if options.bucket is not None:
            _publish(folder, options.bucket, report)
        if not folder.keeps_addresses() and not folder.ledger.snapshots():
            report.notes.append(_NO_REGIONS)
        report.notes += form_notes(folder.ledger, options.form, report)
    return report


def _publish(folder: StoreFolder, url: str, report: IngestReport) -> None:
    """Bring files and manifest to a bucket; what the store itself holds is not concerned."""
    from tickline.store.bucket import PartsBucket

    try:
        with PartsBucket(url) as bucket:
            bucket.publish(folder)
    except TicklineError as error:
        report.problems.append(error)
