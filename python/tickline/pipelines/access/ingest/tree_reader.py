"""Tables that dandi_s3_log_parser made of access logs, many lines at once, as rows of a store.

Which lines are good is judged for a whole block; the slow `tickline.reference.access_tree` then says what is
wrong with the first bad one.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tickline.errors import InternalError
from tickline.pipelines.access.ingest.forms import OPERATION
from tickline.reference.access_tree import COLUMNS, TreeRowError, header, reference_row
from tickline.store.parts import import_arrow, used_only

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from tickline.store.settings import Settings

__all__ = [
    "BadLinesError",
    "Lines",
    "Rows",
    "TreeFilter",
    "first_problem",
    "rows_of",
    "starts_with_header",
]

_TAB, _NEWLINE, _RETURN = 9, 10, 13
_TIME_BYTES = 19
_DIGITS = (0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18)
_SIGNS = ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"))
_MOST_DIGITS = 20


class BadLinesError(Exception):
    """At least one line of a block is no row."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines of one source, without the header; `first` is the number of the first one."""

    data: bytes
    first: int
    source: int
    key: bytes | None = None


@dataclass(slots=True)
class Rows:
    """The rows of some lines.

    Attributes
    ----------
    table : pyarrow.Table
        What is kept, in the columns that `RowMaker` takes.
    begins : ndarray of int64
        Where in `table` the rows of each of the `Lines` begin, and where the last ones end.
    counts : dict of str to ndarray of int64
        For each of the `Lines`: ``lines``, ``key`` and ``ip`` (filtered), ``invalid_utf8`` (noted).
    first_ms, last_ms, sent : ndarray
        For each of the `Lines`: least and greatest time, and the bytes sent, in floats; 0 without rows.
    """

    table: "pyarrow.Table"
    begins: "NDArray[np.int64]"
    counts: "dict[str, NDArray[np.int64]]"
    first_ms: "NDArray[np.int64]"
    last_ms: "NDArray[np.int64]"
    sent: "NDArray[np.float64]"


class TreeFilter:
    """The rules of a store, as far as such tables can be asked: for keys and addresses, each one once."""

    def __init__(self, settings: "Settings") -> None:
        from tickline.ip import RangeTable

        self.keys = [(prefix.encode(), parts) for prefix, parts in settings.keys or ()]
        networks = settings.exclude_networks
        self._networks = RangeTable(networks, [""] * len(networks)) if networks else None
        self._pattern = None
        if settings.exclude_ip_regex is not None:
            from tickline._pattern import Pattern

            self._pattern = Pattern(settings.exclude_ip_regex)

    def kept_key(self, key: bytes) -> bytes | None:
        """Return what is kept of a key, None if the rules leave it out."""
        if not self.keys:
            return key
        if key == b"-":
            return None
        for prefix, parts in self.keys:
            if key == prefix or key.startswith(prefix + b"/"):
                return b"/".join(key.split(b"/")[:parts]) if parts else key
        return None

    def excluded(self, addresses: list[str | None]) -> "NDArray[np.bool_]":
        """Tell which addresses are left out; None, an address that was not logged, never is."""
        import numpy as np

        left_out = np.zeros(len(addresses), dtype=bool)
        if self._networks is not None:
            found = self._networks.find([address or "" for address in addresses])
            left_out |= np.array([label is not None for label in found], dtype=bool)
        if self._pattern is not None:
            matches = self._pattern.matches
            left_out |= np.array(
                [address is not None and matches(address.encode()) for address in addresses], dtype=bool
            )
        return left_out


def starts_with_header(data: bytes, form: str) -> bool:
    """Tell whether the first line is the header of such a table."""
    return data.partition(b"\n")[0].removesuffix(b"\r") == header(form)


def first_problem(lines: Lines, form: str) -> tuple[int, str]:
    """Return the number of the first line that is no row, and what is wrong with it.

    Raises
    ------
    InternalError
        All are rows.
    """
    for number, line in enumerate(io.BytesIO(lines.data), lines.first):
        try:
            reference_row(line.removesuffix(b"\n"), form)
        except TreeRowError as error:
            return number, str(error)
    raise InternalError("two readers of a table disagree: this is a bug in tickline")


def rows_of(pieces: Sequence[Lines], form: str, rules: TreeFilter) -> Rows:
    """Read lines of any number of sources together.

    Raises
    ------
    BadLinesError
        One of them is no row, or holds a value that no request can have.
    """
    pa = import_arrow()
    import numpy as np

    data = pieces[0].data if len(pieces) == 1 else b"".join(piece.data for piece in pieces)
    fields = _Fields(data, len(COLUMNS[form]))
    ends = np.cumsum([len(piece.data) for piece in pieces])
    begins = np.concatenate(([0], np.searchsorted(fields.newlines, ends)))
    owner = np.repeat(np.arange(len(pieces)), np.diff(begins))
    at = {name: number for number, name in enumerate(COLUMNS[form])}
    time = fields.times(at["timestamp"])
    sent = fields.numbers(at["bytes_sent"])
    address = _Texts.of(fields.texts(at["ip_address"]))
    if pa.compute.any(pa.compute.match_substring_regex(address.values, "[^!-~]")).as_py():
        raise BadLinesError
    if form == "binned":
        key = _Texts.one_by_one([piece.key or b"-" for piece in pieces], owner, rules)
    else:
        key = _Texts.of(fields.texts(at["object_key"]), rules)
    by_address = rules.excluded(address.values.to_pylist())[address.codes] & ~key.left_out
    kept = np.flatnonzero(~(key.left_out | by_address))
    first_line = np.array([piece.first for piece in pieces]) - begins[:-1]
    columns = {
        "time": pa.array(time[kept], pa.timestamp("ms", "UTC")),
        "key": key.array(kept),
        "remote_ip": address.array(kept),
        "bytes_sent": pa.array(sent[kept]),
        "line": pa.array((np.arange(len(owner)) + first_line[owner])[kept].astype(np.uint64)),
        "source": pa.array(np.array([piece.source for piece in pieces], np.uint32)[owner[kept]]),
    }
    invalid = owner[kept[(key.invalid | address.invalid)[kept]]]
    several = {"key": owner[key.left_out], "ip": owner[by_address], "invalid_utf8": invalid}
    counts = {name: np.bincount(owners, minlength=len(pieces)) for name, owners in several.items()}
    counts["lines"] = np.diff(begins)
    begins = np.searchsorted(kept, begins)
    return Rows(_whole(columns, len(kept)), begins, counts, *_sums(time[kept], sent[kept], begins))


def _whole(columns: "dict[str, Any]", count: int) -> "pyarrow.Table":
    """Add the columns of a scan that such tables do not have; all rows are what the old program kept."""
    pa = import_arrow()
    import numpy as np

    text = pa.dictionary(pa.int32(), pa.string())
    get = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([OPERATION]))
    columns |= {"object_size": pa.nulls(count, pa.uint64()), "http_status": pa.nulls(count, pa.uint16())}
    columns |= {"operation": get, "user_agent": pa.nulls(count, text)}
    return pa.table(columns)


def _sums(
    time: "NDArray[np.int64]", sent: "NDArray[np.uint64]", begins: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]":
    """Return least and greatest time and all bytes of each stretch of rows."""
    import numpy as np

    first, last = (np.zeros(len(begins) - 1, np.int64) for _ in range(2))
    total = np.zeros(len(begins) - 1)
    there = np.flatnonzero(np.diff(begins))
    if len(there):
        at = begins[there]
        first[there] = np.minimum.reduceat(time, at)
        last[there] = np.maximum.reduceat(time, at)
        total[there] = np.add.reduceat(sent.astype(np.float64), at)
    return first, last, total


class _Fields:
    """Where the fields of a block of whole lines begin and end."""

    def __init__(self, data: bytes, count: int) -> None:
        import numpy as np

        self._data = data
        self._count = count
        self._bytes = np.frombuffer(data, np.uint8)
        # A tab is 9 and a newline 10: what is less than 9 becomes large.
        is_sign = (self._bytes - np.uint8(_TAB)) <= 1
        signs = np.count_nonzero(is_sign)
        # A row has a time, and a byte at least in each other field. More signs could fill the memory.
        if signs % count or signs // count * (_TIME_BYTES + count - 1 + count) > len(data):
            raise BadLinesError
        self._signs = np.flatnonzero(is_sign)
        ends = self._signs.reshape(-1, count)
        is_newline = self._bytes[ends] == _NEWLINE
        if is_newline[:, :-1].any() or not is_newline[:, -1].all():
            raise BadLinesError
        self.newlines = ends[:, -1]
        returns = self._bytes[np.maximum(self.newlines - 1, 0)] == _RETURN
        if np.count_nonzero(self._bytes == _RETURN) != np.count_nonzero(returns):
            raise BadLinesError
        self._begins = np.concatenate(([0], self._signs[:-1] + 1)).reshape(-1, count)
        self._ends = ends.copy()
        self._ends[:, -1] -= returns
        if (self._ends <= self._begins).any():
            raise BadLinesError

    def times(self, column: int) -> "NDArray[np.int64]":
        """Return milliseconds since 1970."""
        import numpy as np

        begins = self._begins[:, column]
        if (self._ends[:, column] - begins != _TIME_BYTES).any():
            raise BadLinesError
        for at, sign in _SIGNS:
            if (self._bytes[begins + at] != ord(sign)).any():
                raise BadLinesError
        digits = self._bytes[begins[:, None] + np.array(_DIGITS)] - np.uint8(ord("0"))
        if (digits > 9).any():
            raise BadLinesError
        year = digits[:, :4].astype(np.int64) @ np.array([1000, 100, 10, 1])
        month, day, hour, minute, second = (digits[:, 4::2] * np.uint8(10) + digits[:, 5::2]).astype("i8").T
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        first = months.astype("datetime64[D]").astype(np.int64)
        last = (months + 1).astype("datetime64[D]").astype(np.int64)
        wrong = (year < 1) | (month < 1) | (month > 12) | (day < 1) | (first + day > last)
        if (wrong | (hour > 23) | (minute > 59) | (second > 59)).any():
            raise BadLinesError
        seconds: NDArray[np.int64] = (((first + day - 1) * 24 + hour) * 60 + minute) * 60 + second
        seconds *= 1000
        return seconds

    def numbers(self, column: int) -> "NDArray[np.uint64]":
        """Return whole numbers of 64 bits."""
        import numpy as np

        begins = self._begins[:, column]
        lengths = self._ends[:, column] - begins
        longest = int(lengths.max(initial=0))
        if longest > _MOST_DIGITS:
            raise BadLinesError
        values: NDArray[np.uint64] = np.zeros(len(begins), np.uint64)
        for at in range(longest):
            there = lengths > at
            digit = np.where(
                there, self._bytes[np.where(there, begins + at, begins)] - np.uint8(ord("0")), np.uint8(0)
            )
            if (digit > 9).any():
                raise BadLinesError
            if at == _MOST_DIGITS - 1 and _overflows(values[there], digit[there]):
                raise BadLinesError
            values = np.where(there, values * np.uint64(10) + digit, values)
        return values

    def texts(self, column: int) -> "pyarrow.DictionaryArray":
        """Return bytes, each with the sign (or newline) behind it, dictionary-coded."""
        pa = import_arrow()
        import numpy as np

        offsets = np.concatenate(([0], self._signs + 1)).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self._data)]
        whole = pa.BinaryArray.from_buffers(pa.binary(), len(self._signs), buffers)
        return whole.take(pa.array(np.arange(column, len(whole), self._count))).dictionary_encode()


def _overflows(values: "NDArray[np.uint64]", digits: "NDArray[np.uint8]") -> bool:
    """Tell whether one more digit is too much for 64 bits."""
    most, last = divmod(2**64 - 1, 10)
    return bool(((values > most) | ((values == most) & (digits > last))).any())


@dataclass(slots=True)
class _Texts:
    """A column of texts: its distinct values, and for each row the number of its own."""

    values: "pyarrow.Array"
    codes: "NDArray[np.int32]"
    left_out: "NDArray[np.bool_]"
    invalid: "NDArray[np.bool_]"

    @classmethod
    def of(cls, coded: "pyarrow.DictionaryArray", rules: TreeFilter | None = None) -> "_Texts":
        """Take what `_Fields.texts` gives."""
        pa = import_arrow()
        import numpy as np

        codes = coded.indices.to_numpy()
        none = np.zeros(len(codes), dtype=bool)
        if rules is None or not rules.keys:
            try:
                values = pa.compute.ascii_rtrim(coded.dictionary.cast(pa.string()), characters="\t\r\n")
            except pa.ArrowInvalid:
                pass
            else:
                null = pa.compute.equal(values, "-")
                return cls._distinct(pa.compute.if_else(null, None, values), codes, none, none)
        raws = [value.rstrip(b"\t\r\n") for value in coded.dictionary.to_pylist()]
        return cls.one_by_one(raws, codes, rules)

    @classmethod
    def one_by_one(cls, raws: list[bytes], codes: "NDArray[Any]", rules: TreeFilter | None) -> "_Texts":
        """Take values as they are, and which of them each row has."""
        pa = import_arrow()
        import numpy as np

        kept = raws if rules is None else [rules.kept_key(raw) for raw in raws]
        texts = [None if raw in (None, b"-") else raw.decode("utf-8", "replace") for raw in kept]
        left_out = np.array([raw is None for raw in kept], dtype=bool)
        pairs = zip(kept, texts, strict=True)
        invalid = np.array([text is not None and text.encode() != raw for raw, text in pairs], dtype=bool)
        return cls._distinct(pa.array(texts, pa.string()), codes, left_out[codes], invalid[codes])

    @classmethod
    def _distinct(
        cls,
        values: "pyarrow.Array",
        codes: "NDArray[Any]",
        left_out: "NDArray[np.bool_]",
        invalid: "NDArray[np.bool_]",
    ) -> "_Texts":
        """Make one value of those that have become the same."""
        coded = values.dictionary_encode(null_encoding="encode")
        return cls(coded.dictionary, coded.indices.to_numpy()[codes], left_out, invalid)

    def array(self, kept: "NDArray[np.int64]") -> "pyarrow.DictionaryArray":
        """Return the rows that are kept: null is null, and no value stands there that no row has."""
        pa = import_arrow()
        null = pa.compute.index(self.values.is_null(), True).as_py()
        codes = self.codes[kept]
        indices = pa.array(codes, mask=codes == null)
        return used_only(pa.DictionaryArray.from_arrays(indices, self.values.fill_null("")))
