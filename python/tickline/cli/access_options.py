"""Options that several commands of ``tickline access`` share, and what they mean."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.errors import UsageError
from tickline.filters import parse_time
from tickline.pipelines.access.reduce.options import parse_memory
from tickline.progress import cores

if TYPE_CHECKING:
    from tickline.engines.options import EngineOptions
    from tickline.pipelines.access.ingest.options import IngestOptions
    from tickline.pipelines.access.summaries.options import SummaryOptions
    from tickline.progress import Progress

__all__ = [
    "AddressHash",
    "Bucket",
    "Catalog",
    "DedupeLines",
    "ExcludeDatasets",
    "ExcludeIp",
    "ExcludeIpRegex",
    "Json",
    "Keys",
    "Memory",
    "NoAddresses",
    "Now",
    "Operation",
    "OutOption",
    "PrivacyRule",
    "Raw",
    "Relabel",
    "RestrictTo",
    "Rounding",
    "Settle",
    "SharedContent",
    "Status",
    "StoreOption",
    "Threads",
    "Threshold",
    "ingest_options",
    "summary_options",
]

StoreOption = Annotated[Path, typer.Option("--store", metavar="S", help="The folder of the store.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="O", help="The folder of the export.")]
Raw = Annotated[
    list[str], typer.Argument(metavar="RAW...", help="Logs, folders of logs (any depth), s3://bucket/prefix.")
]
Operation = Annotated[
    list[str] | None,
    typer.Option(
        metavar="OPERATION", help="Operations to keep, or all; repeatable (new store: REST.GET.OBJECT)."
    ),
]
Status = Annotated[
    str | None,
    typer.Option(metavar="LIST", help="HTTP status to keep: 2xx, 304, a comma list, all (new store: 2xx)."),
]
Keys = Annotated[
    str | None,
    typer.Option(metavar="RULE", help="Keys to keep: all, dandi (= blobs,zarr:2), or a list PREFIX[:PARTS]."),
]
ExcludeIp = Annotated[
    list[str] | None,
    typer.Option(metavar="LIST", help="Drop these: address, CIDR, comma list, or @FILE; repeatable."),
]
ExcludeIpRegex = Annotated[
    str | None, typer.Option(metavar="REGEX", help="Drop addresses in which this expression (RE2) is found.")
]
NoAddresses = Annotated[
    bool,
    typer.Option("--no-addresses", help="Never write addresses: regions are looked up at once, and stay."),
]
DedupeLines = Annotated[
    bool, typer.Option("--dedupe-lines", help="Drop whole lines that were delivered twice.")
]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="Number of threads (default: cores).")]
Memory = Annotated[
    str, typer.Option(metavar="SIZE", help="Memory to keep to; 180 MB, and 110 MB for each thread.")
]
Settle = Annotated[
    str,
    typer.Option(
        metavar="SECONDS",
        help="A plain file that changed within this time may still grow: its last line waits.",
    ),
]
Now = Annotated[
    str | None, typer.Option(metavar="TIME", help="Take this ISO time (UTC) for now, to reproduce a run.")
]
Catalog = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|URL|dandi",
        help="Which dataset owns what: JSON or TSV, by address too; dandi[:API] asks the DANDI archive.",
    ),
]
SharedContent = Annotated[
    str,
    typer.Option(
        metavar="all|first|split|undetermined",
        help="Content of several datasets: counted by all of them (the archive counts it once), by the "
        "first, in equal shares, or by none.",
    ),
]
AddressHash = Annotated[
    str | None,
    typer.Option(
        metavar="sha1-salted",
        help="How addresses stand in an old cache among the sources; needs IP_HASH_SALT.",
    ),
]
Relabel = Annotated[
    bool,
    typer.Option("--relabel", help="Look up again who has a region already; published numbers may change."),
]
PrivacyRule = Annotated[
    str | None,
    typer.Option(
        "--privacy",
        metavar="exact|fixed|strict",
        help="fixed: counts of few requesters are withheld, others rounded; strict: as s3-log-extraction.",
    ),
]
Threshold = Annotated[
    int,
    typer.Option("--privacy-threshold", min=3, metavar="N", help="Withhold counts of fewer requesters."),
]
Rounding = Annotated[
    int, typer.Option("--privacy-rounding", min=1, metavar="N", help="Round counts to multiples of this.")
]
RestrictTo = Annotated[
    list[str] | None, typer.Option(metavar="DATASET", help="Export only this dataset; repeatable.")
]
ExcludeDatasets = Annotated[
    list[str] | None,
    typer.Option("--exclude-datasets", metavar="DATASET", help="Export all but this dataset; repeatable."),
]
Bucket = Annotated[
    str | None,
    typer.Option(
        metavar="s3://BUCKET/PREFIX",
        help="Also keep the files of the store there, with a manifest; workers then need no shared folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def _seconds(text: str) -> float:
    try:
        return float(text.removesuffix("s"))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no number of seconds", where="settle", hint="Write 60 or 0."
        ) from error


def ingest_options(
    operation: list[str] | None,
    status: str | None,
    keys: str | None,
    exclude_ip: list[str] | None,
    exclude_ip_regex: str | None,
    no_addresses: bool,
    dedupe_lines: bool,
    threads: int | None,
    memory: str,
    settle: str,
    now: str | None,
    form: str = "log",
    engine: "EngineOptions | None" = None,
    bucket: str | None = None,
) -> "IngestOptions":
    from tickline.engines.options import EngineOptions
    from tickline.pipelines.access.ingest.options import IngestOptions
    from tickline.store.settings import WantedSettings

    wanted = WantedSettings.parse(
        operation,
        status,
        keys,
        exclude_ip,
        exclude_ip_regex,
        addresses=False if no_addresses else None,
        dedupe_lines=dedupe_lines or None,
    )
    given = {} if now is None else {"now_ms": parse_time(now, "now") or 0}
    return IngestOptions(
        wanted=wanted,
        threads=threads or cores(),
        memory_bytes=parse_memory(memory),
        settle_s=_seconds(settle),
        form=form,
        engine=engine or EngineOptions(),
        bucket=bucket,
        **given,
    )


def summary_options(
    catalog: str | None,
    store: Path,
    shared_content: str,
    restrict_to: list[str] | None = None,
    exclude: list[str] | None = None,
    progress: "Progress | None" = None,
) -> "SummaryOptions":
    """Return options for summaries; a catalog that lies elsewhere is fetched into the store."""
    from tickline.pipelines.access.catalog.sources import resolve_catalog
    from tickline.pipelines.access.summaries.options import SummaryOptions

    place = resolve_catalog(catalog, store, progress)
    options = SummaryOptions(place, shared_content, tuple(restrict_to or ()), tuple(exclude or ()))
    options.check()
    return options
