"""What ``reduce_all_dandi_raw_s3_logs`` takes and leaves, in terms of ``tickline access reduce``."""

from collections.abc import Callable, Collection
from pathlib import Path

from tickline.discovery import strip_suffixes
from tickline.filters import AccessRules, parse_years
from tickline.pipelines.access.reduce.options import ReduceOptions
from tickline.pipelines.access.state import FOLDER, State

__all__ = ["reduce_options"]

_LEAST_MEMORY = 150 * 10**6
_HEADER = b"timestamp\tip_address\tobject_key\tbytes_sent\n"


def reduce_options(
    raw: Path, reduced: Path, *, workers: int, buffer_mb: int, years: str | None, addresses: str | None
) -> ReduceOptions:
    """Return the options of a reduce that gives the files of the old program, byte for byte.

    Parameters
    ----------
    raw, reduced : Path
        The folders of logs and of tables.
    workers : int
        Number of threads.
    buffer_mb : int
        Memory to keep to, in 10**6 bytes; 150 at least.
    years : str or None
        Comma list; logs are left out by the folder that they lie in (``2020/01/01.log``), as before.
    addresses : str or None
        Comma list of addresses that are dropped; networks are taken as well.

    Raises
    ------
    UsageError
        A year or an address is none.
    """
    return ReduceOptions(
        raw=str(raw),
        out=f"{reduced}/",
        rules=AccessRules.from_texts(
            operation="REST.GET.OBJECT", status="2xx", keys="dandi", exclude_ip=addresses, strict=True
        ),
        threads=workers,
        memory_bytes=max(_LEAST_MEMORY, buffer_mb * 10**6),
        leave_out=_leave_out(reduced, {str(year) for year in parse_years(years)}),
    )


def _leave_out(reduced: Path, years: Collection[str]) -> Callable[[str], str | None]:
    """Return a function: the name of a log to the reason for not reading it, None if it is read."""
    ours = State(reduced).sources.keys()
    try:
        first_run_ns = (reduced / FOLDER / "lock").stat().st_mtime_ns
    except OSError:
        first_run_ns = None

    def reason(name: str) -> str | None:
        *folders, base = name.split("/")
        stem = strip_suffixes(base)
        if not stem.isdigit():
            return "not named by a day"
        if folders[-2:-1] and folders[-2] in years:
            return "excluded year"
        if name not in ours and _is_old_table(reduced.joinpath(*folders, f"{stem}.tsv"), first_run_ns):
            return "reduced by the old program"
        return None

    return reason


def _is_old_table(path: Path, first_run_ns: int | None) -> bool:
    """Tell whether this is a whole table that was there before the first run of ours.

    The old program took whatever was there for done; it wrote its tables in one go, so that one which was
    cut by a kill does not end with a newline.
    """
    try:
        status = path.stat()
        if first_run_ns is not None and status.st_mtime_ns >= first_run_ns:
            return False
        if status.st_size == 0:
            return True
        with path.open("rb") as file:
            begins = file.readline(len(_HEADER)) == _HEADER
            file.seek(-1, 2)
            return begins and file.read(1) == b"\n"
    except OSError:
        return False
