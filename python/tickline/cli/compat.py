"""``tickline compat``: the commands of old programs under their old names, with their old options.

These here are those of dandi_s3_log_parser, with the options of all its versions; where a newer name took the
place of an older one, both are good. Those of logparser stand in `compat_connections`.
docs/old-programs.md says what each of them became.
"""

from pathlib import Path
from typing import Annotated

import typer

from tickline.cli import compat_connections, summary
from tickline.cli.common import Bar, Bars, Debug, Quiet, answering, console, plural, say_error
from tickline.errors import TicklineError, UsageError, printable

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")

_MOST_NAMED = 10

RawFolder = Annotated[
    Path,
    typer.Option(
        "--raw_s3_logs_folder_path",
        "--base_raw_s3_logs_folder_path",
        metavar="RAW",
        help="The folder of raw logs, such as RAW/2024/05/01.log.",
    ),
]
ReducedFolder = Annotated[
    Path, typer.Option("--reduced_s3_logs_folder_path", metavar="REDUCED", help="The folder of reduced logs.")
]
BinnedFolder = Annotated[
    Path, typer.Option("--binned_s3_logs_folder_path", metavar="BINNED", help="The folder of binned logs.")
]
MappedFolder = Annotated[
    Path,
    typer.Option(
        "--mapped_s3_logs_folder_path",
        "--dandiset_logs_folder_path",
        metavar="MAPPED",
        help="The folder with one folder for each dandiset.",
    ),
]


@app.command("reduce_all_dandi_raw_s3_logs")
def reduce_all(
    raw: RawFolder,
    reduced: ReducedFolder,
    workers: Annotated[
        int, typer.Option("--maximum_number_of_workers", min=1, metavar="N", help="Number of threads.")
    ] = 1,
    buffer_mb: Annotated[
        int,
        typer.Option(
            "--maximum_buffer_size_in_mb", min=1, metavar="MB", help="Memory to keep to; 150 at least."
        ),
    ] = 1000,
    years: Annotated[
        str | None,
        typer.Option("--excluded_years", metavar="YEARS", help="Leave out the folders of these years."),
    ] = None,
    addresses: Annotated[
        str | None,
        typer.Option("--excluded_ips", metavar="LIST", help="Drop these: address, CIDR, comma list, @FILE."),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make one table of four columns from each raw log of REST.GET.OBJECT and 2xx below blobs and zarr.

    The same as `tickline access reduce RAW REDUCED --compat strict --keys dandi`. Whole tables that the old
    program left are not made again.
    """
    with answering(debug):
        from tickline.cli.compat_reduce import reduce_options
        from tickline.pipelines.access.reduce.reduce import reduce

        options = reduce_options(
            raw, reduced, workers=workers, buffer_mb=buffer_mb, years=years, addresses=addresses
        )
        with Bar(quiet, "reducing") as bar:
            report = reduce(options, bar)
        summary.tell(report, bar.seconds, quiet=quiet, to_stderr=False, dry_run=False)
        if report.problems:
            raise typer.Exit(1)


@app.command("bin_all_reduced_s3_logs_by_object_key")
def bin_all(
    reduced: ReducedFolder,
    binned: BinnedFolder,
    limit: Annotated[
        int | None,
        typer.Option(
            "--file_limit",
            "--file_processing_limit",
            min=1,
            metavar="N",
            help="Take so many new files at most, by name.",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make one table for each object key from the reduced logs.

    The same as `tickline access ingest REDUCED --from reduced` into the store BINNED/.tickline/store, and
    `tickline access export --profile dandi-s3-log-parser --with-addresses` of its binned tree. A run that was
    stopped goes on.
    """
    with answering(debug), Bars(quiet) as bars:
        from tickline.cli.compat_trees import bin_tree

        done = bin_tree(reduced, binned, limit=limit, phase=bars.begin)
        _tell(done.notes, done.lines, quiet)
        _tell_problems(done.problems)


@app.command("map_binned_s3_logs_to_dandisets")
def map_all(
    binned: BinnedFolder,
    mapped: MappedFolder,
    excluded: Annotated[
        str | None,
        typer.Option("--excluded_dandisets", metavar="LIST", help="All but these (comma list)."),
    ] = None,
    restrict_to: Annotated[
        str | None,
        typer.Option("--restrict_to_dandisets", metavar="LIST", help="Only these (comma list)."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--dandiset_limit", min=1, metavar="N", help="Only the first N, by name.")
    ] = None,
    object_type: Annotated[
        str | None,
        typer.Option("--object_type", metavar="blobs|zarr", help="Of no effect: both are mapped in one run."),
    ] = None,
    catalog: Annotated[
        str,
        typer.Option(
            metavar="dandi|FILE|URL", help="What belongs to which dandiset; dandi asks the DANDI archive."
        ),
    ] = "dandi",
    regions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[LABEL=]FILE|NAME",
            help="Where addresses are; repeatable, the first that knows one decides (default: github, aws, "
            "gcp, vpn, and ipinfo where IPINFO_CREDENTIALS is set).",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make the tables of each dandiset and version from the binned logs, with regions in place of addresses.

    The same as `tickline access export --profile dandi-s3-log-parser --compat strict` of the store
    BINNED/.tickline/store. Dandisets that are not named now stay as they are.
    """
    with answering(debug), Bars(quiet) as bars:
        from tickline.cli.compat_trees import MapOptions, map_tree

        if object_type not in (None, "blobs", "zarr"):
            raise UsageError(f"{object_type!r} is none", where="object_type", hint="Choose blobs or zarr.")
        options = MapOptions(_names(excluded), _names(restrict_to), limit, catalog, tuple(regions or ()))
        options.check()
        done = map_tree(binned, mapped, options, phase=bars.begin)
        if object_type is not None:
            done.notes.append(f"--object_type {object_type}: blobs and zarr were mapped, both in one run.")
        _tell(done.notes, done.lines, quiet)
        _tell_problems(done.problems)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name for part in (text or "").split(",") if (name := part.strip()))


@app.command("generate_all_dandiset_totals")
def dandiset_totals(mapped: MappedFolder, quiet: Quiet = False, debug: Debug = False) -> None:
    """Write all_dandiset_totals.json from the summaries of the mapped dandisets."""
    with answering(debug):
        from tickline.pipelines.access.mapped.totals import write_dataset_totals

        _tell_written(write_dataset_totals(mapped, "strict"), quiet)


@app.command("generate_archive_summaries")
def archive_summaries(mapped: MappedFolder, quiet: Quiet = False, debug: Debug = False) -> None:
    """Write archive_summary_by_day.tsv and archive_summary_by_region.tsv: the sums of all dandisets."""
    with answering(debug):
        from tickline.pipelines.access.mapped.summaries import write_archive_summaries

        _tell_written(write_archive_summaries(mapped), quiet)


@app.command("generate_archive_totals")
def archive_totals(mapped: MappedFolder, quiet: Quiet = False, debug: Debug = False) -> None:
    """Write archive_totals.json from the summaries of the archive."""
    with answering(debug):
        from tickline.pipelines.access.mapped.totals import write_archive_totals

        _tell_written(write_archive_totals(mapped, "strict"), quiet)


@app.command("update_region_codes_to_coordinates")
def coordinates(
    mapped: MappedFolder,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache_directory",
            metavar="DIR",
            help="The files go to DIR/dandi_s3_log_parser (default: ~/.cache).",
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option("--maximum_iterations", min=1, metavar="N", help="Look for N new regions at most."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            metavar="S",
            help="A store whose region files say where clouds and regions are (BINNED/.tickline/store).",
        ),
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Bring region_codes_to_coordinates.json up to date with the regions of archive_summary_by_region.tsv.

    Places come from the City database of the store and, where OPENCAGE_API_KEY is set, from OpenCage. Those
    that stand in the file stay.
    """
    with answering(debug):
        from tickline.cli.compat_coordinates import update_coordinates

        with Bar(quiet, "looking for regions", "steps") as bar:
            done = update_coordinates(mapped, cache, most=most, store=store, progress=bar)
        _tell([_unplaced(done.found.unplaced)] if done.found.unplaced else [], [], quiet)
        _tell_written(done.written, quiet)


compat_connections.register(app)


@app.command()
def install(
    folder: Annotated[Path, typer.Option("--bin", metavar="DIR", help="A folder that is on PATH.")],
    force: Annotated[
        bool, typer.Option("--force", help="Write over files of these names that are no launchers.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Put the old names into a folder: small files that call `tickline compat`."""
    with answering(debug):
        from tickline.cli.compat_install import install as install_launchers

        names = [command.name for command in app.registered_commands if command.name is not None]
        done = install_launchers(folder, names, force=force)
        lines = [
            f"{plural(len(done.written), 'launcher')} written, {len(done.unchanged)} unchanged: {folder}"
        ]
        notes = [f"{folder} is not on PATH: put it there, or call them by their paths."]
        _tell(notes if done.off_path else [], lines, quiet)


def _unplaced(labels: list[str]) -> str:
    some = ", ".join(labels[:_MOST_NAMED]) + (", ..." if len(labels) > _MOST_NAMED else "")
    return (
        f"nobody knows where {plural(len(labels), 'region')} lie{'s' if len(labels) == 1 else ''}: {some}. "
        "Give a City database (--store) or OPENCAGE_API_KEY, or write them into the file by hand: they stay."
    )


def _tell(notes: list[str], lines: list[str], quiet: bool) -> None:
    if not quiet:
        screen = console()
        for line in lines:
            screen.print(printable(line), markup=False)
        for note in notes:
            screen.print(f"note: {printable(note)}", markup=False)


def _tell_problems(problems: list[TicklineError]) -> None:
    """Say what could not be done; then the exit code is 1."""
    for problem in problems[:_MOST_NAMED]:
        say_error(str(problem))
    if len(problems) > _MOST_NAMED:
        say_error(f"and {plural(len(problems) - _MOST_NAMED, 'more problem')}.")
    if problems:
        raise typer.Exit(1)


def _tell_written(written: list[Path], quiet: bool) -> None:
    """Say which files are new."""
    _tell([], [f"{path.name} written" for path in written] or ["nothing new: every file is as it was"], quiet)
