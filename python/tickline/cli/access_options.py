"""Options that several commands of ``tickline access`` share, and what they mean."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tickline.errors import UsageError
from tickline.filters import parse_keys, parse_networks, parse_operations, parse_statuses, parse_time
from tickline.pipelines.access.options import parse_memory

if TYPE_CHECKING:
    from tickline.pipelines.access.ingest_options import IngestOptions
    from tickline.pipelines.access.summary_options import SummaryOptions

__all__ = [
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
    "Raw",
    "Relabel",
    "RestrictTo",
    "Settle",
    "SharedContent",
    "Status",
    "StoreOption",
    "Threads",
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
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Content to datasets: {content: {dataset: path}} as .json(.gz), or .tsv with key, dataset, "
        "version, path. Without one, the first part of a key is its dataset.",
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
Relabel = Annotated[
    bool,
    typer.Option("--relabel", help="Look up again who has a region already; published numbers may change."),
]
RestrictTo = Annotated[
    list[str] | None, typer.Option(metavar="DATASET", help="Export only this dataset; repeatable.")
]
ExcludeDatasets = Annotated[
    list[str] | None,
    typer.Option("--exclude-datasets", metavar="DATASET", help="Export all but this dataset; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
) -> "IngestOptions":
    from tickline.pipelines.access.ingest_options import IngestOptions
    from tickline.store.settings import WantedSettings

    wanted = WantedSettings(
        operations=None if operation is None else parse_operations(operation) or "all",
        statuses=None if status is None else parse_statuses(status) or "all",
        keys=None if keys is None else parse_keys(keys) or "all",
        exclude_networks=None if exclude_ip is None else parse_networks(exclude_ip),
        exclude_ip_regex=exclude_ip_regex,
        addresses=False if no_addresses else None,
        dedupe_lines=dedupe_lines or None,
    )
    given = {} if now is None else {"now_ms": parse_time(now, "now") or 0}
    return IngestOptions(
        wanted=wanted,
        threads=threads or cores(),
        memory_bytes=parse_memory(memory),
        settle_s=_seconds(settle),
        **given,
    )


def summary_options(
    catalog: Path | None, shared_content: str, restrict_to: list[str] | None, exclude: list[str] | None
) -> "SummaryOptions":
    from tickline.pipelines.access.summary_options import SummaryOptions

    options = SummaryOptions(catalog, shared_content, tuple(restrict_to or ()), tuple(exclude or ()))
    options.check()
    return options
