"""How the commands around a store show what they found."""

import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tickline.cli.common import console, human_bytes, plural, say_error
from tickline.errors import UsageError, printable

if TYPE_CHECKING:
    from tickline.pipelines.access.verify.verify import Findings
    from tickline.store.store import Store

__all__ = ["FORMATS", "chosen_format", "tell_findings", "tell_status", "wants_summaries", "write_result"]

FORMATS = ("table", "tsv", "csv", "json", "parquet")
_SHOWN_ROWS = 1_000
_SHOWN_FINDINGS = 50
_BATCH_ROWS = 65_536
# Control characters would end a cell or a line; `%` stays as it is, as in all TSV of this package.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def chosen_format(wanted: str | None, out: Path | None) -> str:
    """Return the format of a result.

    Raises
    ------
    UsageError
        There is no such format, or it cannot go to standard output.
    """
    ending = out.suffix[1:].lower() if out is not None else ""
    standard = "table" if out is None and sys.stdout.isatty() else "tsv"
    chosen = wanted or (ending if ending in FORMATS[1:] else standard)
    if chosen not in FORMATS:
        hint = f"Choose from: {', '.join(FORMATS)}."
        raise UsageError(f"{chosen!r} is no format", where="format", hint=hint)
    if chosen == "table" and out is not None:
        raise UsageError(
            "a table is for the screen", where="format", hint="Choose tsv, csv, json or parquet."
        )
    if chosen == "parquet" and out is None:
        raise UsageError("Parquet needs a file", where="format", hint="Add --out FILE.")
    return chosen


def wants_summaries(sql: str) -> bool:
    """Tell whether a statement names one of the summary views."""
    from tickline.store.views import SUMMARY_VIEWS

    return any(re.search(rf"\b{name}\b", sql, re.IGNORECASE) for name in SUMMARY_VIEWS)


def write_result(store: "Store", sql: str, chosen: str, out: Path | None) -> int:
    """Write the answer to a statement piece by piece, and return the number of its rows."""
    from tickline.store.query import running
    from tickline.store.stopping import stoppable

    found = store.relation(sql)
    _check_names(found.columns, chosen)
    with running():
        reader = stoppable(store, lambda: found.to_arrow_reader(_BATCH_ROWS))
    if chosen == "table":
        return _show(_guarded(store, reader), reader.schema.names)
    write = _WRITERS[chosen]
    if out is None:
        sys.stdout.flush()
        return write(reader, _guarded(store, reader), sys.stdout.buffer)
    from tickline.errors import explain_os_error
    from tickline.files import Folders, open_output

    folders = Folders()
    try:
        sink = open_output(out.absolute(), folders)
        try:
            rows = write(reader, _guarded(store, reader), sink)  # type: ignore[arg-type]
            sink.commit()
        finally:
            sink.abort()
        folders.sync()
    except OSError as error:
        raise explain_os_error(error, out) from error
    return rows


def _check_names(names: list[str], chosen: str) -> None:
    """Refuse columns of one name where only one would be left, or where most readers would choke on them."""
    if chosen not in ("json", "parquet"):
        return
    repeated = [printable(name) for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        what = f"several columns have one name ({', '.join(repeated)}), and {chosen} takes each name once"
        hint = "Give them names of their own: SELECT a.day AS first_day, b.day AS last_day."
        raise UsageError(what, where="SQL", hint=hint)


def _guarded(store: "Store", reader: Any) -> Iterator[Any]:
    """Yield batches; what goes wrong in the middle of a query becomes a sentence too."""
    from tickline.store.parts import import_arrow
    from tickline.store.query import explain
    from tickline.store.stopping import stoppable

    pa = import_arrow()
    while True:
        try:
            batch = stoppable(store, reader.read_next_batch)
        except StopIteration:
            return
        except (pa.ArrowException, OSError) as error:
            raise explain(error) from error
        yield batch


def _cell(value: Any) -> str:
    """Return a value as one cell: null is empty, times in ISO 8601, lists as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).replace("+00:00", "Z")
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=_cell)
    return str(value)


def _rows(batch: Any) -> Iterator[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in batch.columns]
    yield from zip(*columns, strict=True)


def _write_tsv(reader: Any, batches: Iterator[Any], sink: BinaryIO) -> int:
    def escaped(text: str) -> str:
        return _CONTROL.sub(lambda char: f"%{ord(char[0]):02X}", text)

    def line(cells: Any) -> str:
        return "\t".join(escaped(_cell(cell)) for cell in cells) + "\n"

    return _write_lines(reader, batches, sink, line)


def _write_csv(reader: Any, batches: Iterator[Any], sink: BinaryIO) -> int:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text

    def line(cells: Any) -> str:
        return ",".join(quoted(_cell(cell)) for cell in cells) + "\n"

    return _write_lines(reader, batches, sink, line)


def _write_lines(reader: Any, batches: Iterator[Any], sink: BinaryIO, line: Callable[[Any], str]) -> int:
    sink.write(line(reader.schema.names).encode())
    count = 0
    for batch in batches:
        sink.write("".join(map(line, _rows(batch))).encode())
        count += batch.num_rows
    return count


def _json_value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _json_value(item) for name, item in value.items()}
    if isinstance(value, Decimal):
        # Sums of whole numbers come as decimals without a fraction: nothing of them is lost.
        return int(value) if value == value.to_integral_value() else float(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_json(reader: Any, batches: Iterator[Any], sink: BinaryIO) -> int:
    """Write a list of objects; numbers stay numbers (JSON has none that are not finite), all else is text."""
    names = reader.schema.names
    sink.write(b"[")
    count = 0
    for batch in batches:
        for row in _rows(batch):
            values = dict(zip(names, map(_json_value, row), strict=True))
            text = json.dumps(values, ensure_ascii=False, allow_nan=False, default=_cell)
            sink.write((",\n " if count else "\n ").encode() + text.encode())
            count += 1
    sink.write(b"\n]\n" if count else b"]\n")
    return count


def _write_parquet(reader: Any, batches: Iterator[Any], sink: BinaryIO) -> int:
    from tickline.store.parts import import_arrow

    pa = import_arrow()
    count = 0
    with pa.parquet.ParquetWriter(_Writable(sink), reader.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


class _Writable:
    """What pyarrow writes to."""

    closed = False

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._size = 0

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self._sink.write(data)
        self._size += size
        return size

    def tell(self) -> int:
        return self._size

    def flush(self) -> None: ...

    def close(self) -> None: ...


_WRITERS: dict[str, Callable[[Any, Iterator[Any], BinaryIO], int]] = {
    "tsv": _write_tsv,
    "csv": _write_csv,
    "json": _write_json,
    "parquet": _write_parquet,
}


def _show(batches: Iterator[Any], names: list[str]) -> int:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    count = 0
    numeric: list[bool] = []
    for batch in batches:
        if not numeric:
            numeric = [
                str(field.type).startswith(("int", "uint", "float", "double", "dec"))
                for field in batch.schema
            ]
            for name, right in zip(names, numeric, strict=True):
                table.add_column(printable(name), justify="right" if right else "left", overflow="fold")
        for row in _rows(batch):
            if count < _SHOWN_ROWS:
                table.add_row(*(printable(_cell(value)) for value in row))
            count += 1
    screen = console()
    if not numeric:
        screen.print("no rows", markup=False)
        return count
    screen.print(table)
    if count > _SHOWN_ROWS:
        screen.print(f"{_SHOWN_ROWS:,} of {count:,} rows are shown; --out FILE writes all.", markup=False)
    return count


def tell_findings(findings: "Findings", *, quiet: bool) -> None:
    """Print what a verification found; problems go to standard error."""
    for finding in findings.found[:_SHOWN_FINDINGS]:
        say_error(f"{printable(finding.where)}: {finding.what}: {printable(finding.text)}.")
    if len(findings.found) > _SHOWN_FINDINGS:
        more = plural(len(findings.found) - _SHOWN_FINDINGS, "more finding")
        say_error(f"and {more}; --json lists all.")
    if quiet:
        return
    screen = console()
    for note in findings.notes:
        screen.print(f"note: {printable(note)}.", markup=False)
    checked = f"{plural(findings.files, 'file')}, {plural(findings.rows, 'row')}"
    checked = f"{checked}, {plural(findings.sources, 'source')} were checked"
    text = f"{checked}, {plural(findings.sampled, 'source')} read again by the reference."
    verdict = "All is well." if findings.clean else f"{plural(len(findings.found), 'finding')}."
    screen.print(f"{verdict} {text}", markup=False)


def _reasons(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _of_tables(forms: dict[str, dict[str, int]]) -> str:
    rows = {form: one["rows"] for form, one in forms.items() if form != "log"}
    if not rows:
        return ""
    return f"{_reasons(rows)}: of these, downloads are not known"


def _status_rows(found: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    sources, days, disk, counts = (found[name] for name in ("sources", "days", "disk", "accounting"))
    span = f"{sources['first_event']} to {sources['last_event']}" if sources["first_event"] else ""
    replaced = f", {sources['replaced']:,} replaced" if sources["replaced"] else ""
    yield "sources", f"{sources['count']:,}", f"{plural(sources['names'], 'name')}{replaced}"
    yield "events", "", span
    yield "days", f"{days['count']:,}", f"{days['first']} to {days['last']}" if days["count"] else ""
    yield "log", human_bytes(counts["bytes"]), plural(counts["lines"], "line")
    yield "rows", f"{found['rows']:,}", _of_tables(found["forms"])
    for name in ("filtered", "rejected", "noted"):
        yield name, f"{sum(counts[name].values()):,}", _reasons(counts[name])
    lag = sources["lag_s"]
    if lag is not None:
        shown = ", ".join(f"{name} {_duration(value)}" for name, value in lag.items())
        yield "lag", "", f"{shown} (last event to delivery)"
    requesters = found["requesters"]
    addresses = f"addresses {found['addresses']}"
    yield "requesters", f"{requesters['count']:,}", f"{requesters['labelled']:,} with a region; {addresses}"
    yield "regions", f"{len(found['regions']):,}", ", ".join(one["name"] for one in found["regions"])
    sizes = ", ".join(
        f"{name} {human_bytes(size)}" for name, size in disk.items() if size and name != "total"
    )
    yield "on disk", human_bytes(disk["total"]), sizes
    waiting = found["months_to_compact"]
    yield "months", f"{found['months']:,}", f"{len(waiting):,} of them to compact" if waiting else ""
    if (listed := found.get("inventory")) is not None:
        percent = "-" if listed["percent"] is None else f"{listed['percent']:.2f} %"
        logs = plural(listed["objects"], "log")
        yield "inventory", percent, f"{listed['in_store']:,} of {logs} in the store"


def tell_status(found: dict[str, Any]) -> None:
    """Print what a store holds."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for row in _status_rows(found):
        table.add_row(*map(printable, row))
    console().print(table)
