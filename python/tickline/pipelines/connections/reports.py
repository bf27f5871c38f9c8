"""Reports on counts of connections: the three standard ones, and those of other packages.

A report is a function, named by an entry point of the group ``tickline.connection_reports``. It takes one of
two lists of arguments:

- ``report(aggregates, window)``: `Aggregates` (a table that goes to whatever takes Arrow) and `ReportWindow`.
- ``report(client, frame, timestamp)``: the signature that the old program's author wished for. `frame` is the
  grouped frame that his own three reports are made of, as a Dask DataFrame of the columns ``grouped_ts`` (the
  number of the bucket, 0 is the latest), ``from``, ``to`` and ``ts`` (how many connections), one row for each
  bucket and pair. `client` is the cluster's, None where there is none, and `timestamp` the end of the window
  in whole seconds since 1970.

It gives a text, rows (mappings), or anything that speaks Arrow; None stands for what it printed. The three
standard reports are written in the first way.
"""

import contextlib
import inspect
import io
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from tickline.errors import TicklineError, UsageError, printable
from tickline.pipelines.connections.aggregates import Aggregates
from tickline.pipelines.connections.options import NS_PER_S, Window

__all__ = [
    "GROUP",
    "STANDARD",
    "ReportError",
    "ReportWindow",
    "Rows",
    "check_reports",
    "connected_to",
    "connections_from",
    "import_pyarrow",
    "run_reports",
    "top",
]

GROUP = "tickline.connection_reports"

Rows = list[dict[str, Any]]
Report = Callable[[Aggregates, "ReportWindow"], object]


@dataclass(frozen=True, slots=True)
class ReportWindow(Window):
    """What a report is asked: the window of time, its buckets, and the two hosts that are named.

    Bucket -1 of the aggregates ends at `until_ns`, and so on downwards.
    """

    host_from: str
    host_to: str


class ReportError(TicklineError):
    """A report of another package failed; the others are not concerned."""


def top(aggregates: Aggregates, window: ReportWindow) -> Rows:
    """Return every host that was connected to, the most often first; equals by name."""
    del window
    servers = sorted(aggregates.connections_from().items(), key=lambda one: (-one[1], one[0]))
    return [{"host": host, "count": count} for host, count in servers]


def connected_to(aggregates: Aggregates, window: ReportWindow) -> Rows:
    """Return who connected to HOST_TO, and how often."""
    found = aggregates.connected_to(window.host_to)
    return [{"host": host, "count": count} for host, count in found.items()]


def connections_from(aggregates: Aggregates, window: ReportWindow) -> Rows:
    """Return what HOST_FROM connected to, and how often."""
    found = aggregates.connections_from(window.host_from)
    return [{"host": host, "count": count} for host, count in found.items()]


STANDARD: Mapping[str, Callable[[Aggregates, ReportWindow], Rows]] = {
    "top": top,
    "connected_to": connected_to,
    "connections_from": connections_from,
}


def check_reports(names: Sequence[str]) -> None:
    """Make sure that every name is that of one installed report, before anything is read.

    Raises
    ------
    UsageError
        It is none, or several packages have one of this name.
    """
    for name in names:
        _entry(name)


def run_reports(
    names: Sequence[str], aggregates: Aggregates, window: ReportWindow, client: object = None
) -> tuple[dict[str, str | Rows], list[TicklineError]]:
    """Run reports of other packages, one after the other.

    Parameters
    ----------
    client : optional
        Of the Dask cluster that counted, for reports of the old signature.

    Returns
    -------
    (dict, list)
        What each of them gave, by name, and what is wrong with those that gave nothing: each problem names
        its report, and the error that it raised is its ``__cause__``.
    """
    given: dict[str, str | Rows] = {}
    problems: list[TicklineError] = []
    for name in dict.fromkeys(names):
        entry = _entry(name)
        try:
            given[name] = _run(entry, aggregates, window, client)
        except (Exception, SystemExit) as error:
            what = error.what if isinstance(error, TicklineError) else f"{type(error).__name__}: {error}"
            hint = error.hint if isinstance(error, TicklineError) else None
            hint = hint or f"It is {entry.value}; the other reports are whole."
            # Whatever they wrote into it: it goes to a terminal.
            what = f"this report failed ({printable(what)})"
            problem = ReportError(what, where=name, hint=printable(hint))
            problem.__cause__ = error
            problems.append(problem)
    return given, problems


def _entry(name: str) -> EntryPoint:
    installed = entry_points(group=GROUP)
    # A package that is found twice on the path is one.
    found = {entry.value: entry for entry in installed if entry.name == name}
    if name in STANDARD:
        what, hint = f"{name!r} is a standard report, and always made", "Leave this option out."
        raise UsageError(what, where="report", hint=hint)
    if not found:
        names = ", ".join(sorted({entry.name for entry in installed})) or "none"
        hint = f"Installed are: {names} (entry points of the group {GROUP})."
        raise UsageError(f"{name!r} is no report that is installed", where="report", hint=hint)
    if len(found) > 1:
        what = f"several packages have a report {name!r}: {', '.join(sorted(found))}"
        raise UsageError(what, where="report", hint="Remove all but one.")
    return next(iter(found.values()))


def _run(entry: EntryPoint, aggregates: Aggregates, window: ReportWindow, client: object) -> str | Rows:
    function = entry.load()
    old = _is_old(function)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        if old:
            frame = _old_frame(aggregates)
            value = function(client, frame, window.until_ns // NS_PER_S)
        else:
            value = function(aggregates, window)
    if value is None:
        return printed.getvalue()
    # Standard output is for the report as a whole.
    sys.stderr.write(printed.getvalue())
    return _plain(value)


def import_pyarrow(who_needs: str) -> Any:
    """Return pyarrow, or say which extra brings it."""
    try:
        import pyarrow
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[access]'."
        raise TicklineError(f"{who_needs} pyarrow, which is not installed", hint=hint) from error
    return pyarrow


def _is_old(function: object) -> bool:
    """Tell which of the two lists of arguments a function takes.

    Raises
    ------
    TicklineError
        None of them.
    """
    if not callable(function):
        raise TicklineError("the entry point is no function")
    signature = inspect.signature(function)
    for arguments in (2, 3):
        try:
            signature.bind(*range(arguments))
        except TypeError:
            continue
        return arguments == 3
    hint = "Write report(aggregates, window), or report(client, frame, timestamp)."
    raise TicklineError(f"it takes {signature}", hint=hint)


def _old_frame(aggregates: Aggregates) -> Any:
    """Return the old program's grouped frame."""
    try:
        import dask.dataframe
        import pandas
    except ImportError as error:
        hint = "Install it with: pip install 'dask[dataframe]'."
        what = f"its signature needs Dask's data frames, which are not installed ({error})"
        raise TicklineError(what, hint=hint) from error
    columns = {
        "grouped_ts": -1 - aggregates.column("bucket"),
        "from": aggregates.column("host_from"),
        "to": aggregates.column("host_to"),
        "ts": aggregates.column("count").astype("int64"),
    }
    frame = pandas.DataFrame(columns).sort_values(["grouped_ts", "from", "to"], ignore_index=True)
    read: Any = dask.dataframe.from_pandas
    return read(frame, npartitions=1)


def _plain(value: object) -> str | Rows:
    """Return what a report gave as a text or as rows."""
    if isinstance(value, str):
        return value
    if hasattr(value, "__arrow_c_stream__"):
        value = import_pyarrow("rows in Arrow need").table(value).to_pylist()
    if isinstance(value, Sequence) and all(isinstance(row, Mapping) for row in value):
        return [{str(key): _cell(cell) for key, cell in row.items()} for row in value]
    hint = "Return a text, a list of mappings, or something that speaks Arrow."
    raise TicklineError(f"it returned {type(value).__name__}", hint=hint)


def _cell(value: object) -> object:
    """Return a value as JSON has it: numpy's numbers are numbers, and what JSON has no number for is null."""
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain
