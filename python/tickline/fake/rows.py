"""Clean rows of the invented archive, rendered many at a time.

A batch is a byte matrix: every field has its own columns, unused places hold `PAD`, and one pass that
drops the pads makes the text. Gathering rows of prepared fragments is several times faster than formatting
line by line, and a single field of a single row can still be read back from its columns.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np

from .archive import (
    ADDRESSES,
    AGENTS,
    BASE64,
    BUCKET,
    DENIED,
    IDS,
    KEY_WIDTH,
    KEYED,
    KIND_QUERY,
    KIND_STATUS,
    KINDS,
    MISSING,
    OK,
    OTHER_KINDS,
    OWNER,
    PARTIAL,
    QUERIES,
    REFERRERS,
    REQUESTERS,
    STATUS_CODES,
    STATUSES,
    WITH_VERSION,
    Keys,
    address,
    tails,
)
from .draws import I64, PAD, U8, U64, Flags, Zipf, draw, scale, spell, stream_key, text_table, weighted

# Lines of 568 bytes: one batch is about 2.3 MB of text and 4 MB of matrix.
BATCH_ROWS = 4096
MOST_KEYS = 300_000
_NO_SIZE = -1


def _number_fragments() -> U8:
    leading = [b"%i" % n for n in range(10_000)]
    full = [b"%04i" % n for n in range(10_000)]
    return text_table([*leading, *full, b"", b"-"])


_NUMBERS = _number_fragments().view("<u4").ravel()
_NOTHING = 20_000
_DASH = 20_001


def _number_text(values: I64, groups: int) -> U8:
    """Write numbers (-1: a dash) in `groups` fragments of four digits."""
    parts = np.empty((len(values), groups), dtype=np.int64)
    rest = values
    for at in range(groups - 1, -1, -1):
        higher = rest // 10_000
        digits = rest - higher * 10_000
        first = np.where((rest > 0) | (at == groups - 1), digits, _NOTHING)
        parts[:, at] = np.where(higher > 0, digits + 10_000, first)
        rest = higher
    missing = values < 0
    parts[missing] = _NOTHING
    parts[missing, groups - 1] = _DASH
    text: U8 = _NUMBERS[parts].view(np.uint8)
    return text


_CLOCK = text_table([b"%02i:%02i:%02i" % (s // 3600, s // 60 % 60, s % 60) for s in range(86_400)])
_AGENTS = text_table(AGENTS)
_REFERRERS = text_table(REFERRERS)
_QUERIES = text_table(QUERIES)
_OPERATIONS = text_table([kind.operation for kind in KINDS])
_METHODS = text_table([kind.method for kind in KINDS])
_STATUSES = text_table(STATUSES)
_TAILS = text_table(tails())
_REQUESTERS = text_table(REQUESTERS)
_ADDRESS_TEXT = [address(n) for n in range(ADDRESSES)]
_ADDRESSES = text_table(_ADDRESS_TEXT)
_REFERRER_OF = np.array(weighted([(0, 224), (1, 12), (2, 8), (3, 6), (4, 6)]))
_HEAD = OWNER + b" " + BUCKET + b" ["

# The line from left to right: a named field and its width, or text that is always the same.
_LAYOUT: tuple[tuple[str, int | bytes], ...] = (
    ("", _HEAD),
    ("date", 12),
    ("clock", 8),
    ("", b" +0000] "),
    ("ip", _ADDRESSES.shape[1]),
    ("", b" "),
    ("requester", _REQUESTERS.shape[1]),
    ("", b" "),
    ("request_id", 16),
    ("", b" "),
    ("operation", _OPERATIONS.shape[1]),
    ("", b" "),
    ("key", KEY_WIDTH),
    ("", b' "'),
    ("method", _METHODS.shape[1]),
    ("target", KEY_WIDTH),
    ("query", _QUERIES.shape[1]),
    ("query_version", 32),
    ("", b' HTTP/1.1" '),
    ("status", _STATUSES.shape[1]),
    ("", b" "),
    ("bytes_sent", 12),
    ("", b" "),
    ("object_size", 12),
    ("", b" "),
    ("total_time", 8),
    ("", b" "),
    ("turnaround_time", 8),
    ("", b' "'),
    ("referrer", _REFERRERS.shape[1]),
    ("", b'" "'),
    ("agent", _AGENTS.shape[1]),
    ("", b'" '),
    ("version", 32),
    ("", b" "),
    ("host_id", 76),
    ("", b" "),
    ("tail", _TAILS.shape[1]),
    ("", b"\n"),
)


@dataclass(slots=True)
class Batch:
    """The rows just rendered: text columns, and the numbers that the truth is made of."""

    matrix: U8
    columns: dict[str, slice]
    seconds: I64
    is_get: Flags
    status: I64
    key: I64
    ip: I64
    bytes_sent: I64
    object_size: I64

    def field(self, row: int, name: str) -> bytes:
        """Return one field of one row as text."""
        return self.matrix[row, self.columns[name]].tobytes().translate(None, bytes([PAD]))

    def text(self) -> U8:
        """Return all lines, one after the other."""
        # Boolean selection is a plain copy in row order, so the lines keep their order.
        text: U8 = self.matrix[self.matrix != PAD]
        return text


@dataclass(frozen=True, slots=True)
class Mix:
    """What the clean rows are made of.

    `get_share` is the share of REST.GET.OBJECT, `keys` the size of the set that keys come from;
    with `new_keys` every second row has a key of its own instead, numbered from `keys` on.
    """

    seed: int
    keys: int
    get_share: float = 0.7
    new_keys: bool = False


class Rows:
    """Renders the rows of one mix; row numbers decide everything, so batches can be cut anywhere."""

    def __init__(self, mix: Mix) -> None:
        self.mix = mix
        self.keys = Keys(mix.seed)
        ids = np.arange(mix.keys, dtype=np.uint64)
        # Two rows more: `-` for requests without a key, and nothing for their targets.
        self._key_text = np.concatenate([self.keys.text(ids), np.full((2, KEY_WIDTH), PAD, dtype=np.uint8)])
        self._key_text[mix.keys, 0] = ord("-")
        self._popular_keys = Zipf(mix.keys)
        self._popular_addresses = Zipf(ADDRESSES)
        names = ("choice", "what", "client", "habit", "sizes", "time", "id", "h1", "h2", "h3", "h4", "h5")
        self._streams = {name: stream_key(mix.seed, name) for name in names}
        of_address = np.arange(ADDRESSES, dtype=np.uint64)
        habits = draw(stream_key(mix.seed, "address"), of_address)
        # Eight of ten addresses ask without signing; every address keeps to one requester and one agent.
        signing = scale(habits, 10) >= 8
        self._requester_of = np.where(signing, 1 + scale(habits >> np.uint64(20), len(REQUESTERS) - 1), 0)
        self._agent_of = scale(habits >> np.uint64(32), len(AGENTS))
        self.columns: dict[str, slice] = {}
        width = sum(part if isinstance(part, int) else len(part) for _, part in _LAYOUT)
        self._matrix = np.empty((BATCH_ROWS, width), dtype=np.uint8)
        at = 0
        for name, part in _LAYOUT:
            end = at + (part if isinstance(part, int) else len(part))
            if isinstance(part, int):
                self.columns[name] = slice(at, end)
            else:
                self._matrix[:, at:end] = np.frombuffer(part, dtype=np.uint8)
            at = end

    def _draw(self, name: str, rows: U64) -> U64:
        return draw(self._streams[name], rows)

    def render(self, first_row: int, count: int, day: dt.date, seconds: I64) -> Batch:
        """Render `count` rows (at most `BATCH_ROWS`) of one day at the given seconds of it.

        The batch shares its matrix with the next one: it is valid until `render` is called again.
        """
        mix = self.mix
        rows = np.arange(first_row, first_row + count, dtype=np.uint64)
        choice = self._draw("choice", rows)
        what = self._draw("what", rows)
        client = self._draw("client", rows)
        habit = self._draw("habit", rows)
        sizes = self._draw("sizes", rows)

        is_get = scale(what, 65_536) < round(mix.get_share * 65_536)
        kind = np.where(is_get, 0, OTHER_KINDS[_byte(what, 32)])
        status = KIND_STATUS[kind, _byte(what, 40)]
        query = KIND_QUERY[kind, _byte(what, 48)]
        keyed = KEYED[kind]

        # A quarter of the requests spread evenly over all keys, the others follow the keys' popularity.
        evenly = _byte(what, 56) < 64
        key = np.where(evenly, scale(choice, mix.keys), self._popular_keys.pick(choice))
        if mix.new_keys:
            key = np.where(rows % np.uint64(2) == 0, mix.keys + rows.astype(np.int64), key)
        ip = self._popular_addresses.pick(client)
        requester = self._requester_of[ip]
        other_agent = scale(habit >> np.uint64(16), len(AGENTS))
        agent = np.where(_byte(habit, 0) < 220, self._agent_of[ip], other_agent)
        presigned = (query >= 3) & (query <= 6)
        tail = np.where(presigned, 8, np.where(requester > 0, 4, 0)) + (_byte(habit, 8) & 3)
        with_version = WITH_VERSION[query]

        size = self.keys.size(key.astype(np.uint64))
        sent, object_size = _amounts(kind, status, size, keyed, sizes)
        took = np.minimum(5 + _byte(sizes, 48) + np.maximum(sent, 0) // 16_384, 99_999_999)
        turnaround = np.where(_byte(sizes, 56) < 24, _NO_SIZE, np.minimum(took, 3 + (_byte(sizes, 48) >> 2)))

        matrix = self._matrix[:count]
        columns = self.columns
        date = b"%02i/%s/%04i:" % (day.day, _MONTHS[day.month - 1], day.year)
        matrix[:, columns["date"]] = np.frombuffer(date, dtype=np.uint8)
        matrix[:, columns["clock"]] = _CLOCK[seconds]
        matrix[:, columns["ip"]] = _ADDRESSES[ip]
        matrix[:, columns["requester"]] = _REQUESTERS[requester]
        matrix[:, columns["request_id"]] = spell(IDS, (self._draw("id", rows),))
        matrix[:, columns["operation"]] = _OPERATIONS[kind]
        key_text = self._key_text[np.where(keyed & (key < mix.keys), key, mix.keys)]
        if mix.new_keys:
            fresh = np.flatnonzero(keyed & (key >= mix.keys))
            key_text[fresh] = self.keys.text(key[fresh].astype(np.uint64))
        matrix[:, columns["key"]] = key_text
        key_text[~keyed] = PAD
        matrix[:, columns["method"]] = _METHODS[kind]
        matrix[:, columns["target"]] = key_text
        matrix[:, columns["query"]] = _QUERIES[query]
        version = self.keys.version(key.astype(np.uint64))
        version[~with_version] = PAD
        matrix[:, columns["query_version"]] = version
        version[~with_version, 0] = ord("-")
        matrix[:, columns["status"]] = _STATUSES[status]
        matrix[:, columns["bytes_sent"]] = _number_text(sent, 3)
        matrix[:, columns["object_size"]] = _number_text(object_size, 3)
        matrix[:, columns["total_time"]] = _number_text(took, 2)
        matrix[:, columns["turnaround_time"]] = _number_text(turnaround, 2)
        matrix[:, columns["referrer"]] = _REFERRERS[_REFERRER_OF[_byte(habit, 32)]]
        matrix[:, columns["agent"]] = _AGENTS[agent]
        matrix[:, columns["version"]] = version
        host_id = spell(BASE64, tuple(self._draw(name, rows) for name in ("h1", "h2", "h3", "h4", "h5")))
        host_id[:, 75] = ord("=")
        matrix[:, columns["host_id"]] = host_id[:, :76]
        matrix[:, columns["tail"]] = _TAILS[tail]
        key = np.where(keyed, key, -1)
        return Batch(matrix, columns, seconds, is_get, STATUS_CODES[status], key, ip, sent, object_size)

    def disorder(self, first_row: int, count: int) -> I64:
        """Return by how many seconds each row lags: mostly 0 to 3, for one row of 64 up to a minute."""
        draws = self._draw("time", np.arange(first_row, first_row + count, dtype=np.uint64))
        return np.where(_byte(draws, 56) < 4, scale(draws, 60), scale(draws, 4))


def chance(key: int, first_row: int, count: int) -> U64:
    """Return one number below 2**32 for each row."""
    return draw(key, np.arange(first_row, first_row + count, dtype=np.uint64)) & np.uint64(0xFFFFFFFF)


_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")


def _byte(draws: U64, shift: int) -> I64:
    return ((draws >> np.uint64(shift)) & np.uint64(255)).astype(np.int64)


def _amounts(kind: I64, status: I64, size: I64, keyed: Flags, draws: U64) -> tuple[I64, I64]:
    """Return bytes sent and object size, -1 where the log has a dash."""
    get = kind == 0
    whole = get & (status == OK)
    part = get & (status == PARTIAL)
    failed = (status == DENIED) | (status == MISSING)
    listing = ~keyed & (status == OK)
    low = (draws & np.uint64(0xFFFF)).astype(np.int64)
    # Ranges are 64 KiB to 8 MiB and some bytes; one download of 64 breaks off somewhere.
    ranged = np.minimum(size, (np.int64(65_536) << (_byte(draws, 16) & 7)) + low)
    broken = whole & (_byte(draws, 24) < 4)
    sent = np.where(whole, size, np.where(part, ranged, _NO_SIZE))
    sent = np.where(broken, (size >> 16) * low, sent)
    sent = np.where(failed, 243 + (low & 127), np.where(listing, 300 + low * 5, sent))
    object_size = np.where(keyed & ~failed, size, _NO_SIZE)
    return sent, object_size
