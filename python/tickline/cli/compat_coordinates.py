"""What ``update_region_codes_to_coordinates`` reads and writes, in terms of `coordinates`."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tickline.clients.opencage import OpenCage
from tickline.errors import UsageError
from tickline.pipelines.access.mapped.summaries import ARCHIVE_FILES, REGION, read_sums
from tickline.pipelines.access.regions.coordinates import (
    Coordinates,
    read_coordinates,
    region_coordinates,
    sources_of_store,
    write_coordinates,
)
from tickline.progress import Progress

__all__ = ["Updated", "update_coordinates"]

_FOLDER = "dandi_s3_log_parser"
_FORM = "json"


@dataclass(frozen=True, slots=True)
class Updated:
    """What was found, what is new of it, and which files were written."""

    found: Coordinates
    new: int
    written: list[Path]


def update_coordinates(
    mapped: Path,
    cache: Path | None,
    *,
    most: int | None = None,
    store: Path | None = None,
    opencage: OpenCage | None = None,
    progress: Progress | None = None,
) -> Updated:
    """Bring both files up to date with the regions of a mapped tree.

    Parameters
    ----------
    mapped : Path
        The folder of the mapped tree, with ``archive_summary_by_region.tsv``.
    cache : Path or None
        The files lie in ``dandi_s3_log_parser`` below it; None for ``~/.cache``.
    most : int, optional
        Look for so many new regions at most.
    store : Path, optional
        A store with region files.
    opencage : OpenCage, optional
        Without one, the key of the environment decides whether it is asked.

    Raises
    ------
    UsageError
        The mapped tree has no table of regions, or the store is none.
    TicklineError
        See `region_coordinates`. The files are then as they were.
    """
    table = mapped / ARCHIVE_FILES[REGION]
    if not table.is_file():
        hint = "Make it first: generate_archive_summaries."
        raise UsageError("is not there", where=str(table), hint=hint)
    labels = read_sums(table, REGION)
    out = (Path.home() / ".cache" if cache is None else cache) / _FOLDER
    known = read_coordinates(out, form=_FORM)
    mmdb, networks = (None, {}) if store is None else _sources(store, [*labels])
    asked = OpenCage.from_environment() if opencage is None else nullcontext(opencage)
    with asked or nullcontext() as service:
        found = region_coordinates(
            labels,
            mmdb=mmdb,
            opencage=service,
            cache=out / "cache",
            networks=networks,
            known=known,
            most=most,
            progress=progress,
        )
    return Updated(
        found, len(found.regions.keys() - known.regions.keys()), write_coordinates(out, found, form=_FORM)
    )


def _sources(store: Path, labels: list[str]) -> tuple[Path | None, dict[str, list[str]]]:
    from tickline.store.folder import StoreFolder

    with StoreFolder.open(store) as folder:
        return sources_of_store(folder, labels)
