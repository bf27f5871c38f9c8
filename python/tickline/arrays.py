"""Arrays and buffers of whole numbers, as the compiled core takes them: native, contiguous, checked."""

from typing import TYPE_CHECKING, Any

from tickline.fastdate64 import NS_END, outside

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_counts", "as_int64_ns", "as_integers", "as_unsigned", "check_done", "refuse"]

_NS_PER_S = 1_000_000_000
_NS_PER = {
    "W": 604_800 * _NS_PER_S,
    "D": 86_400 * _NS_PER_S,
    "h": 3_600 * _NS_PER_S,
    "m": 60 * _NS_PER_S,
    "s": _NS_PER_S,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
# The years and months behind 1970 that FastDate64 has; what lies further on must not be multiplied.
_MOST_CALENDAR = {"Y": 544, "M": 544 * 12 + 4}
# The same for an int64 of nanoseconds, either way from 1970.
_MOST_INT64_CALENDAR = {"Y": 292, "M": 292 * 12 + 3}


def _from_buffer(values: Any, what: str, item_bytes: int) -> Any:
    """Return what numpy can look at; plain bytes hold native unsigned numbers."""
    import numpy as np

    try:
        view = memoryview(values)
    except TypeError:
        raise TypeError(
            f"{what} is of type {type(values).__name__}: give an int, a buffer or a numpy array of integers"
        ) from None
    if (view.format or "B").lstrip("@=<>!") not in ("B", "c"):
        return view
    if view.nbytes % item_bytes:
        raise TypeError(f"{what} has {view.nbytes} bytes, which are no numbers of {8 * item_bytes} bits")
    return np.frombuffer(view, f"u{item_bytes}")


def as_integers(values: Any, what: str, item_bytes: int = 8) -> "NDArray[Any]":
    """Return a native, contiguous array of integers or datetime64, without a copy where it is one already.

    Parameters
    ----------
    values : numpy array, buffer, or whatever numpy takes through ``__array__``
        A buffer of plain bytes holds native unsigned integers of `item_bytes`.
    what : str
        The name of the argument, for errors.
    item_bytes : int
        4 or 8.

    Raises
    ------
    TypeError
        Something else is in it, or some values are masked.
    """
    import numpy as np

    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array: give .compressed() or .filled(...) of it")
    found = np.asarray(values if hasattr(values, "__array__") else _from_buffer(values, what, item_bytes))
    if found.dtype.kind not in "iuM":
        wanted = "whole nanoseconds, as of time.time_ns()," if found.dtype.kind == "f" else "integers"
        raise TypeError(f"{what} holds {found.dtype}: {wanted} are wanted")
    return np.asarray(found, dtype=found.dtype.newbyteorder("="), order="C")


def check_done(done: int, values: "NDArray[Any]", what: str, why: str) -> None:
    """Raise OverflowError, which names the place, if fewer values were done than there are."""
    if done < values.size:
        place = f"{what}[{done}]" if values.ndim else what
        raise OverflowError(f"{place} = {values.reshape(-1)[done]} {why}")


def refuse(wrong: "NDArray[Any]", values: "NDArray[Any]", what: str, why: str) -> None:
    """Raise OverflowError, which names the first place, if anything in the mask `wrong` is true."""
    if wrong.any():
        check_done(int(wrong.reshape(-1).argmax()), values, what, why)


def as_unsigned(values: Any, what: str, item_bytes: int = 8) -> "NDArray[Any]":
    """Return `values` as a uint64 or uint32 array: numbers as they were encoded.

    Raises
    ------
    OverflowError
        A number is negative or has more bits.
    TypeError
        Not integers.
    """
    found = as_integers(values, what, item_bytes)
    if found.dtype.kind == "M":
        raise TypeError(f"{what} holds {found.dtype}: encoded numbers are wanted")
    if found.dtype.kind == "i":
        hint = "is negative: where a uint64 had to be kept as an int64, give .view(numpy.uint64) of it"
        refuse(found < 0, found, what, hint)
    if found.dtype.itemsize > item_bytes:
        refuse(found > (1 << (8 * item_bytes)) - 1, found, what, f"has more than {8 * item_bytes} bits")
    return found.astype(f"u{item_bytes}", copy=False)


def as_counts(values: "NDArray[Any]", what: str) -> "NDArray[Any]":
    """Return nanoseconds since 1970: int64, or uint64 where only that holds them all.

    Parameters
    ----------
    values : numpy.ndarray
        Of `as_integers`: nanoseconds, or datetime64 of a unit from years to nanoseconds.

    Raises
    ------
    OverflowError
        A datetime64 is NaT, or lies outside of FastDate64 (1970 to 2514).
    TypeError
        A datetime64 is finer than a nanosecond, or has no unit.
    """
    import numpy as np

    if values.dtype.kind != "M":
        return values.astype(np.int64 if values.dtype.kind == "i" else np.uint64, copy=False)
    unit, step = _unit(values, what)
    counts = values.view(np.int64)
    if (unit, step) == ("ns", 1):
        return counts
    most = (_MOST_CALENDAR[unit] if unit in _MOST_CALENDAR else (NS_END - 1) // _NS_PER[unit]) // step
    refuse((counts < 0) | (counts > most), values, what, outside("date"))
    if unit in _MOST_CALENDAR:
        return as_counts(values.astype("datetime64[s]"), what)
    return counts.astype(np.uint64) * np.uint64(_NS_PER[unit] * step)


def as_int64_ns(values: "NDArray[Any]", what: str, why: str) -> "NDArray[Any]":
    """Return nanoseconds since 1970 as int64: before it, too.

    Parameters
    ----------
    values : numpy.ndarray
        As for `as_counts`.
    why : str
        The rest of the sentence about a time that does not fit.

    Raises
    ------
    OverflowError
        A time is NaT, or does not fit.
    TypeError
        As for `as_counts`.
    """
    import numpy as np

    if values.dtype.kind != "M":
        if values.dtype.kind == "u" and values.dtype.itemsize == 8:
            refuse(values >= 1 << 63, values, what, why)
        return values.astype(np.int64, copy=False)
    unit, step = _unit(values, what)
    refuse(np.isnat(values), values, what, "is no time")
    counts = values.view(np.int64)
    if unit in _MOST_INT64_CALENDAR:
        most = _MOST_INT64_CALENDAR[unit] // step
        refuse((counts < -most - 1) | (counts > most), values, what, why)
        return as_int64_ns(values.astype("datetime64[s]"), what, why)
    most = ((1 << 63) - 1) // (_NS_PER[unit] * step)
    refuse((counts < -most) | (counts > most), values, what, why)
    return counts * np.int64(_NS_PER[unit] * step)


def _unit(values: "NDArray[Any]", what: str) -> tuple[str, int]:
    """Return the unit of a datetime64 and how many of it; TypeError if it is finer than ns, or none."""
    import numpy as np

    unit, step = np.datetime_data(values.dtype)
    if unit not in _NS_PER and unit not in _MOST_CALENDAR:
        raise TypeError(f"{what} holds {values.dtype}: datetime64 of a unit from Y to ns is wanted")
    return unit, step
