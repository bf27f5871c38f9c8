"""What a command says at its end."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tickline.cli.common import console, human_bytes, plural, say_error
from tickline.errors import printable

if TYPE_CHECKING:
    from tickline.pipelines.access.reduce.anonymize import Exported
    from tickline.pipelines.access.reduce.reduce import Report

__all__ = ["as_json", "tell", "tell_export"]

_MOST = 20


def as_json(report: "Report") -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "accounting": report.accounting,
        "outputs": report.outputs,
        "same_as": report.same_as,
        "left_out": report.left_out,
        "problems": [
            {"where": problem.where, "what": problem.what, "hint": problem.hint}
            for problem in report.problems
        ],
        "notes": report.notes,
    }


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(
        f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def _rows(report: "Report", seconds: float) -> list[tuple[str, str, str]]:
    total = report.accounting["total"]
    filtered, rejected = sum(total["filtered"].values()), sum(total["rejected"].values())
    states = ", ".join(
        f"{report.count(state)} {state}" for state in ("made", "kept", "failed") if report.count(state)
    )
    rows = [("sources", f"{len(report.outputs):,}", states)]
    if report.same_as:
        rows.append(("copies", f"{len(report.same_as):,}", "same content as another source, taken once"))
    speed = f"{human_bytes(report.bytes_read / max(seconds, 1e-3))}/s" if report.bytes_read else ""
    if report.left_out:
        rows.append(("left out", f"{sum(report.left_out.values()):,}", _reasons(report.left_out)))
    rows.append(("bytes", human_bytes(total["bytes"]), speed))
    rows.append(("lines", f"{total['lines']:,}", ""))
    rows.append(("accepted", f"{total['accepted']:,}", ""))
    rows.append(("filtered", f"{filtered:,}", _reasons(total["filtered"])))
    rows.append(("rejected", f"{rejected:,}", _reasons(total["rejected"])))
    if total["noted"]:
        rows.append(("noted", f"{sum(total['noted'].values()):,}", _reasons(total["noted"])))
    return rows


def _tell_problems(report: "Report") -> None:
    for problem in report.problems[:_MOST]:
        say_error(str(problem))
    if len(report.problems) > _MOST:
        say_error(f"and {plural(len(report.problems) - _MOST, 'more problem')}; --json lists all.")


def tell(report: "Report", seconds: float, *, quiet: bool, to_stderr: bool, dry_run: bool) -> None:
    """Print the table of sums (unless `quiet`), the notes, and the problems to standard error."""
    from rich.table import Table

    if not quiet and dry_run:
        _tell_plan(report)
    elif not quiet:
        screen = console(stderr=to_stderr)
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_column(overflow="fold")
        for row in _rows(report, seconds):
            table.add_row(*row)
        screen.print(table)
        for note in report.notes:
            screen.print(f"note: {printable(note)}", markup=False)
    _tell_problems(report)


def _tell_plan(report: "Report") -> None:
    for output in report.outputs:
        sys.stdout.write(
            f"{output['state']}: {printable(output['source'])} -> {printable(output['output'])}\n"
        )
    for name, other in report.same_as.items():
        sys.stdout.write(f"same content: {printable(name)} = {printable(other)}\n")
    for reason, count in sorted(report.left_out.items()):
        sys.stdout.write(f"left out: {count} ({reason})\n")


def tell_export(result: "Exported", out: Path, *, anonymize: bool, quiet: bool) -> None:
    """Say how many lines were written, and what became of the others."""
    if quiet:
        return
    screen = console()
    screen.print(f"{plural(result.written, 'line')} written to {printable(str(out))}.", markup=False)
    if anonymize:
        fail = "fails" if result.same_reason == 1 else "fail"
        text = f"{result.same_reason:,} of them {fail} for the same reason as before. Look at the file first."
    else:
        text = "They hold addresses and keys as logged: use --anonymize for a file that leaves the house."
    screen.print(text, markup=False)
    for reason, count in sorted(result.left_out.items()):
        screen.print(f"left out: {count:,} ({reason})", markup=False)
