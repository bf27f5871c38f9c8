"""Where the regions of an export are on the map: two files beside its summaries."""

import csv
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.clients.opencage import OpenCage
from tickline.errors import UsageError
from tickline.pipelines.access.regions.coordinates import (
    Coordinates,
    read_coordinates,
    region_coordinates,
    sources_of_store,
    write_coordinates,
)
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["export_coordinates"]

_TABLES = ("summaries/archive/by_region.tsv", "mapped/archive_summary_by_region.tsv")


def export_coordinates(
    folder: "StoreFolder", out: Path, *, form: str, progress: Progress | None = None
) -> tuple[Coordinates, list[Path]]:
    """Bring both files of an export up to date with its table of regions.

    Only regions that the export shows are placed: one that was withheld must not come out by its place.

    Parameters
    ----------
    folder : StoreFolder
        An open store; its City database and the networks of its lists tell the places.
    out : Path
        An export in any layout.
    form : str
        ``"yaml"`` or ``"json"``, see `write_coordinates`.
    progress : Progress, optional
        Is told how many regions are looked up.

    Returns
    -------
    (Coordinates, list of Path)
        What was found, and the files that were written.

    Raises
    ------
    UsageError
        `out` has no table of regions.
    TicklineError
        See `region_coordinates`. The files are then as they were.
    """
    table = next((out / name for name in _TABLES if (out / name).is_file()), None)
    if table is None:
        raise UsageError("has no table of regions", where=str(out), hint="Export first, then place.")
    with table.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        labels = [row[0] for row in list(rows)[1:] if row]
    known = read_coordinates(out, form=form)
    mmdb, networks = sources_of_store(folder, labels)
    with OpenCage.from_environment() or nullcontext() as service:
        found = region_coordinates(
            labels,
            mmdb=mmdb,
            opencage=service,
            cache=folder.path / "cache" / "coordinates",
            networks=networks,
            known=known,
            progress=progress,
        )
    return found, write_coordinates(out, found, form=form)
