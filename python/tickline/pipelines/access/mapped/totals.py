"""Totals of dandi_s3_log_parser as JSON: of each dandiset, and of the archive.

``all_dandiset_totals.json`` is ``{dandiset: {total_bytes_sent, number_of_unique_regions,
number_of_unique_countries}}``, ``archive_totals.json`` the inner part of it; both as `json.dump` writes them
by default, on one line that does not end.

What counts as a region and as a country depends on `compat`:

- ``strict``: every label is a region, ``unknown`` too. Countries are the first parts of labels but ``VPN``,
  ``GitHub`` and ``unknown``; with AWS the word before the first ``-`` of its region. So ``AWS/eu-west-1``
  is in the country ``EU`` and ``GCP/us-central1`` in ``GCP``. The old program stops at a label without
  ``/``; here it is a country if it is two capital letters.
- ``fixed``: regions and countries as in the native export: regions are labels with a ``/`` and countries,
  countries are first parts of two capital letters.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from tickline.pipelines.access.mapped.summaries import (
    ARCHIVE_FILES,
    DATASET_FILES,
    dataset_names,
    locked,
    read_tables,
    some_datasets_of,
    write_changed,
)
from tickline.pipelines.access.regions.labels import count_places

__all__ = [
    "ARCHIVE_TOTALS",
    "DATASET_TOTALS",
    "dataset_totals_of",
    "json_bytes",
    "totals_of",
    "write_archive_totals",
    "write_dataset_totals",
]

DATASET_TOTALS = "all_dandiset_totals.json"
ARCHIVE_TOTALS = "archive_totals.json"


def totals_of(regions: Mapping[str, int], compat: str) -> dict[str, int]:
    """Return the totals of a table by region.

    Parameters
    ----------
    regions : mapping of str to int
        Bytes by region.
    compat : str
        ``strict`` or ``fixed``, see above.
    """
    places = (len(regions), _old_countries(regions)) if compat == "strict" else count_places(regions)
    return {
        "total_bytes_sent": sum(regions.values()),
        "number_of_unique_regions": places[0],
        "number_of_unique_countries": places[1],
    }


def _old_countries(labels: Iterable[str]) -> int:
    countries = set()
    for label in labels:
        first, slash, rest = label.partition("/")
        if slash:
            countries.add(rest.split("-")[0].upper() if "AWS" in first else first)
        elif count_places([label])[1]:
            countries.add(label)
    return len(countries)


def json_bytes(value: Mapping[str, object]) -> bytes:
    """Return JSON as `json.dump` writes it by default."""
    return json.dumps(value).encode()


def dataset_totals_of(mapped: Path, folders: Iterable[Path], compat: str) -> dict[str, dict[str, int]]:
    """Return the totals of dandisets of a mapped tree, by name; see `read_tables` for errors."""
    names = dataset_names(mapped)
    totals = {
        names.get(folder.name, folder.name): totals_of(read_tables(folder, DATASET_FILES).regions, compat)
        for folder in folders
    }
    return dict(sorted(totals.items()))


def write_dataset_totals(mapped: Path, compat: str = "fixed") -> list[Path]:
    """Write ``all_dandiset_totals.json`` of a mapped tree.

    Parameters
    ----------
    mapped : Path
        The tree, of dandi_s3_log_parser or of `export_mapped`: one folder for each dandiset.
    compat : str
        ``strict`` or ``fixed``, see above.

    Returns
    -------
    list of Path
        The file, if it is new or has other bytes than before.

    Raises
    ------
    UsageError
        There is no such folder, or no dandiset in it.
    SourceError
        A dandiset has no tables by day and region, or they are cut. Nothing was written then.
    TicklineError
        Another run is writing into the folder.
    """
    with locked(mapped):
        totals = dataset_totals_of(mapped, some_datasets_of(mapped), compat)
        return write_changed(mapped, {DATASET_TOTALS: json_bytes(totals)})


def write_archive_totals(mapped: Path, compat: str = "fixed") -> list[Path]:
    """Write ``archive_totals.json``, made of the archive's tables; see `write_dataset_totals`.

    `tickline.pipelines.access.mapped.summaries.write_archive_summaries` makes these tables.
    """
    with locked(mapped):
        tables = read_tables(mapped, ARCHIVE_FILES)
        return write_changed(mapped, {ARCHIVE_TOTALS: json_bytes(totals_of(tables.regions, compat))})
