"""``tickline date``: times to FastDate64 and back, from arguments or line by line from standard input."""

import re
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from tickline import time
from tickline.cli.common import Debug, answering
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.fastdate64 import FastDate64

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")

_NUMBER = re.compile("0x[0-9a-fA-F]{1,40}|[0-9]{1,40}")

_ENCODE_EXAMPLES = """
Examples:

- `tickline date encode 2019-02-06T00:00:38.5Z` prints 1663667649353089024
- `tickline date encode --unit ms 1549411238500`
- `tail -n 1 /var/log/chrony/tracking.log | cut -d' ' -f1,2 | tickline date encode`
- `tickline date encode -- -1`: what begins with `-` goes behind `--`; no time before 1970 has a FastDate64
"""

_DECODE_EXAMPLES = """
Examples:

- `tickline date decode 1663667649353089024` prints 2019-02-06T00:00:38.500000000Z
- `tickline date decode --as ns 0x171688e9a0000000`
- `sqlite3 log.db 'select time from log' | tickline date decode`
"""


@app.callback()
def _group() -> None:
    """Times to FastDate64, which are numbers of 64 bits that sort as the times do, and back."""


def _lines() -> Iterator[tuple[str, str]]:
    if sys.stdin.isatty():
        raise UsageError("nothing is given", hint="Give values as arguments, or lines on standard input.")
    for number, line in enumerate(sys.stdin.buffer, 1):
        yield f"standard input, line {number}", line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def _answer(values: list[str] | None, convert: Callable[[str], str]) -> None:
    """Print what `convert` makes of each value; the first that is none ends it, with its place.

    Arguments are looked at before anything is printed; lines are answered as they come.
    """
    if values:
        answers = [_one(convert, text, f"argument {at}", UsageError) for at, text in enumerate(values, 1)]
        sys.stdout.writelines(answers)
    else:
        sys.stdout.writelines(_one(convert, text, where, SourceError) for where, text in _lines())


def _one(convert: Callable[[str], str], text: str, where: str, kind: type[TicklineError]) -> str:
    try:
        return convert(text) + "\n"
    except TicklineError as error:
        raise kind(error.what, where=where, hint=error.hint) from None
    except OverflowError as error:
        raise kind(str(error), where=where) from None


def _encoded(text: str, unit: str) -> str:
    return str(int(FastDate64.from_unix_ns(time.parse(text, unit))))


def _decoded(text: str, form: str) -> str:
    if not _NUMBER.fullmatch(text):
        hint = "Write it in decimal digits, or in hexadecimal ones behind 0x."
        raise UsageError(f"{time.shortened(text)!r} is no number", hint=hint)
    raw = int(text, 16 if text.startswith("0x") else 10)
    return time.format(FastDate64(raw).unix_ns, form)


@app.command(epilog=_ENCODE_EXAMPLES)
def encode(
    times: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TIME]...",
            help="Times as ISO 8601, as in logs of chrony or S3, or as numbers since 1970; "
            "without any: the lines of standard input.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        str, typer.Option(metavar="|".join(time.UNITS), help="What plain numbers count since 1970.")
    ] = "s",
    debug: Debug = False,
) -> None:
    """Print the FastDate64 of each time, one a line."""
    with answering(debug, when_stopped=""):
        if unit not in time.UNITS:
            raise UsageError(
                f"{unit!r} is none", where="--unit", hint=f"Choose from: {', '.join(time.UNITS)}."
            )
        _answer(times, lambda text: _encoded(text, unit))


@app.command(epilog=_DECODE_EXAMPLES)
def decode(
    numbers: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NUMBER]...",
            help="FastDate64 in decimal digits, or in hexadecimal ones behind 0x; "
            "without any: the lines of standard input.",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="|".join(time.FORMS),
            help="ISO 8601, as in logs of chrony or S3, or a number since 1970 in s, ms, us or ns.",
        ),
    ] = "iso",
    debug: Debug = False,
) -> None:
    """Print the time of each FastDate64, one a line."""
    with answering(debug, when_stopped=""):
        if form not in time.FORMS:
            raise UsageError(f"{form!r} is none", where="--as", hint=f"Choose from: {', '.join(time.FORMS)}.")
        _answer(numbers, lambda text: _decoded(text, form))
