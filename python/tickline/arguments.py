"""What public functions are given, checked: a sentence that names the argument, not a fault further in."""

import math
import operator
import os
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

from tickline.errors import UsageError, printable

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["instance", "items", "octets", "real_number", "whole_number"]

_Kind = TypeVar("_Kind")

_SHOWN_CHARS = 60


def _shown(value: object) -> str:
    """Return a value fit for a message, whatever its class makes of being shown."""
    try:
        text = f"{value:,}" if isinstance(value, int) else repr(value)
    except Exception:  # a number of too many digits, or a class that cannot be shown
        text = f"a value of type {type(value).__name__}"
    return printable(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def whole_number(value: Any, name: str, least: int, most: int) -> int:
    """Return an integer from `least` to `most`, of any class that is one; bool is none.

    Raises
    ------
    UsageError
        It is no integer, or out of range; the message has its name.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is not None and least <= number <= most and not isinstance(value, bool):
        return number
    # Written here and not before: a packet is checked in the time that two such texts take.
    whole = number is not None and not isinstance(value, bool)
    what = f"{_shown(number)} is out of range" if whole else f"{_shown(value)} is no whole number"
    raise UsageError(what, where=name, hint=f"It goes from {least:,} to {most:,}.")


def real_number(value: Any, name: str) -> float:
    """Return a number, infinite if it is too large for a ``float``; UsageError if it is none."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number:
        raise UsageError(f"{_shown(value)} is no number", where=name, hint="Give a number, such as 0.5.")
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def instance(value: Any, name: str, kind: type[_Kind]) -> _Kind:
    """Return a value of a class; UsageError if it is of another one."""
    if not isinstance(value, kind):
        raise UsageError(f"{_shown(value)} is of another type", where=name, hint=f"Give a {kind.__name__}.")
    return value


def items(value: Any, name: str, *, paths: bool = False) -> list[Any]:
    """Return the texts (or `paths`) of an iterable; a text alone is one of them, and not its characters.

    Raises
    ------
    UsageError
        It is nothing to go through, or something else is in it.
    """
    kinds = (str, os.PathLike) if paths else (str,)
    wanted = "texts or paths" if paths else "texts"
    hint = f"Give {wanted}, as in a list of them."
    if isinstance(value, kinds):
        return [value]
    try:
        found = list(value)
    except TypeError:
        raise UsageError(f"{_shown(value)} is no list of {wanted}", where=name, hint=hint) from None
    for one in found:
        if not isinstance(one, kinds):
            raise UsageError(f"{_shown(one)} is none of the {wanted}", where=name, hint=hint)
    return found


def octets(value: "Buffer", name: str) -> "Buffer":
    """Return what has the buffer protocol, in one piece; UsageError if it has not."""
    try:
        contiguous = memoryview(value).c_contiguous
    except TypeError:
        contiguous = False
    if not contiguous:
        what = f"{_shown(value)} is no buffer of bytes in one piece"
        raise UsageError(what, where=name, hint="Give bytes, bytearray, ...")
    return value
