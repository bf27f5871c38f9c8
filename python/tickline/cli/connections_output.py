"""The report of connections as bytes, in each of its formats."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tickline import accounting
from tickline import time as times
from tickline.cli.common import human_bytes, plural
from tickline.errors import TicklineError, UsageError, printable
from tickline.pipelines.connections.logparser import as_text
from tickline.pipelines.connections.report import Result
from tickline.pipelines.connections.reports import Rows, import_pyarrow

__all__ = ["FORMATS", "chosen_format", "notes", "render"]

_COLUMNS = ("list", "name", "count")
_SHOWN_REASONS = 5


def render(result: Result, form: str, top: int) -> bytes:
    """Return a report in one of `FORMATS`; with the `top` servers that have most connections."""
    return FORMATS[form](result, top)


def chosen_format(form: str | None, as_json: bool, reports: tuple[str, ...]) -> str:
    """Return the format that is asked for.

    Raises
    ------
    UsageError
        It is none, there are two, or the reports do not fit into it.
    """
    if as_json and form not in (None, "json"):
        raise UsageError(f"--json and {form!r} are two", where="format", hint="Give one of them.")
    chosen = "json" if as_json else form or "table"
    if chosen not in FORMATS:
        raise UsageError(f"{chosen!r} is none", where="format", hint=f"Choose from: {', '.join(FORMATS)}.")
    if reports and chosen in ("csv", "arrow"):
        what = f"reports of other packages have columns of their own, and {chosen} only its own three"
        raise UsageError(what, where="report", hint="Choose table, json, ndjson or logparser.")
    return chosen


def notes(result: Result, disorder_seconds: int) -> list[str]:
    """Return what is to be said besides: files left out, lines that are none, files out of order."""
    first: dict[str, int] = {}
    rejects = result.rejects
    for source, line in zip(rejects.column("source"), rejects.column("line").tolist(), strict=True):
        first.setdefault(source, line)
    found = [f"left out: {_reasons(result.left_out)}"] if result.left_out else []
    for source in result.accounting["sources"]:
        name = printable(source["path"])
        if rejected := accounting.rejected(source):
            # Columns are UTF-8, and names of files need not be.
            column = source["path"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            line = first.get(column, 0)
            where = f", the first in line {line:,}" if line else ""
            counted = f"{plural(rejected, 'line')} rejected{where} ({_reasons(source['rejected'])})"
            found.append(f"{name}: {counted}")
        if disorder := source["noted"].get("disorder_s"):
            out_of = f"out of order by {disorder:,} s, and --disorder says {disorder_seconds:,}"
            found.append(f"{name}: {out_of}; it was read whole")
    return found


def _reasons(counts: dict[str, int]) -> str:
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in order[:_SHOWN_REASONS])


def _iso(ns: int) -> str:
    """Return a time without zeros at its end."""
    text = times.format(ns).removesuffix("Z")
    return text.rstrip("0").removesuffix(".") + "Z"


# ---- table -------------------------------------------------------------------------------------------------


def _table(result: Result, top: int) -> bytes:
    window = result.window
    span = f"{_iso(window.since_ns)} to {_iso(window.until_ns)}"
    shown = result.top[:top]
    of_all = f", {len(shown):,} of {len(result.top):,}" if len(shown) < len(result.top) else ""
    to, of = printable(result.host_to), printable(result.host_from)
    parts = [
        [f"{plural(result.connections, 'connection')}, {span}"],
        [f"Servers with most connections{of_all}", *_counts(shown)],
        [
            f"Connected to {to}: {plural(len(result.connected_to), 'host')}",
            *_counts(result.connected_to.items()),
        ],
        [
            f"Connections from {of}: to {plural(len(result.connections_from), 'server')}",
            *_counts(result.connections_from.items()),
        ],
        ["By time", *_bucket_lines(result, to, of)],
        *([printable(name), *_given(given)] for name, given in result.reports.items()),
        [_read_line(result)],
    ]
    return _encoded("\n\n".join("\n".join(part) for part in parts) + "\n")


def _counts(rows: Iterable[tuple[str, int]]) -> Iterator[str]:
    return _aligned([(printable(name), f"{count:,}") for name, count in rows])


def _bucket_lines(result: Result, to: str, of: str) -> Iterator[str]:
    rows = [("up to", "connections", f"to {to}", f"from {of}")]
    rows += [
        (
            _iso(bucket.until_ns),
            f"{bucket.connections:,}",
            f"{bucket.connected_to:,}",
            f"{bucket.connections_from:,}",
        )
        for bucket in result.buckets
    ]
    return _aligned(rows)


def _given(given: str | Rows) -> Iterator[str]:
    """Yield the lines of what a report of another package gave."""
    if isinstance(given, str):
        yield from (printable(line) for line in given.splitlines())
        return
    names = list(dict.fromkeys(name for row in given for name in row))
    rows = [tuple(names), *(tuple(_cell(row.get(name)) for name in names) for row in given)]
    yield from _aligned([tuple(map(printable, row)) for row in rows])


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(["", first, *others]).rstrip()


def _read_line(result: Result) -> str:
    """Return what became of the lines."""
    total = result.accounting["total"]
    parts = [
        f"{plural(total['lines'], 'line')} of {plural(len(result.accounting['sources']), 'source')} read "
        f"({human_bytes(total['bytes'])})"
    ]
    if outside := total["filtered"].get("time"):
        parts.append(f"{outside:,} outside of the window")
    if rejected := accounting.rejected(total):
        parts.append(f"{rejected:,} rejected ({_reasons(total['rejected'])})")
    if skipped := total["noted"].get("bytes_not_read"):
        parts.append(f"{human_bytes(skipped)} not read, as their times are outside of the window")
    return "; ".join(parts)


# ---- for programs ------------------------------------------------------------------------------------------


def _json(result: Result, top: int) -> bytes:
    value = result.as_json()
    value["top"] = value["top"][:top]
    account = value.pop("accounting")
    value["buckets"] = [
        {
            "since": _iso(bucket.since_ns),
            "until": _iso(bucket.until_ns),
            "connections": bucket.connections,
            "connected_to": bucket.connected_to,
            "connections_from": bucket.connections_from,
        }
        for bucket in result.buckets
    ]
    value["reports"] = result.reports
    value["problems"] = [_problem(problem) for problem in result.problems]
    value["accounting"] = account
    return _encoded(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def _problem(problem: TicklineError) -> dict[str, str | None]:
    return {"where": problem.where, "what": problem.what, "hint": problem.hint}


def _rows(result: Result, top: int) -> Iterator[tuple[str, str, int]]:
    """Yield all lists below each other: which list, the name of a host or the end of a bucket, the count."""
    yield from (("top", *one) for one in result.top[:top])
    yield from (("connected_to", *one) for one in result.connected_to.items())
    yield from (("connections_from", *one) for one in result.connections_from.items())
    for bucket in result.buckets:
        end = _iso(bucket.until_ns)
        yield "buckets", end, bucket.connections
        yield "buckets_connected_to", end, bucket.connected_to
        yield "buckets_connections_from", end, bucket.connections_from


def _csv(result: Result, top: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(result, top))
    return _encoded(text.getvalue())


def _ndjson(result: Result, top: int) -> bytes:
    rows: list[dict[str, Any]] = [dict(zip(_COLUMNS, row, strict=True)) for row in _rows(result, top)]
    for name, given in result.reports.items():
        rows += [{"report": name, "text": given}] if isinstance(given, str) else []
        rows += [{"report": name, "row": row} for row in given] if isinstance(given, list) else []
    return _encoded("".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows))


def _arrow(result: Result, top: int) -> bytes:
    pa = import_pyarrow("--format arrow needs")
    types = (pa.dictionary(pa.int32(), pa.utf8()), pa.utf8(), pa.uint64())
    columns = list(zip(*_rows(result, top), strict=True)) or [()] * len(_COLUMNS)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    sink = io.BytesIO()
    table = pa.table(dict(zip(_COLUMNS, arrays, strict=True)))
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _logparser(result: Result, top: int) -> bytes:
    del top
    parts = [as_text(result)]
    for name, given in result.reports.items():
        parts.append(f"\n* {printable(name)}\n" + "".join(f"{line}\n" for line in _given(given)))
    return _encoded("".join(parts))


def _encoded(text: str) -> bytes:
    # Bytes of an argument that are no UTF-8: escaped, which JSON reads as what they were.
    return text.encode("utf-8", "backslashreplace")


FORMATS: dict[str, Callable[[Result, int], bytes]] = {
    "table": _table,
    "json": _json,
    "csv": _csv,
    "ndjson": _ndjson,
    "arrow": _arrow,
    "logparser": _logparser,
}
