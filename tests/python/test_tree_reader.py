"""Tables of old trees, many lines at once: the same rows and the same refusals as one line at a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

from tickline.errors import InternalError
from tickline.pipelines.access.ingest.tree_reader import (
    BadLinesError,
    Lines,
    TreeFilter,
    first_problem,
    rows_of,
    starts_with_header,
)
from tickline.pipelines.access.verify.sources import _reference_filter
from tickline.reference.access_tree import COLUMNS, TreeRowError, reference_row, reference_tree_line
from tickline.store.settings import Settings, WantedSettings

RULES = {
    "none": WantedSettings(),
    "keys": WantedSettings(keys=(("blobs", 0), ("zarr", 2))),
    "addresses": WantedSettings(
        exclude_networks=("192.0.2.0/25", "2001:db8::/32"), exclude_ip_regex="^203|::7$"
    ),
    "both": WantedSettings(keys=(("a", 1),), exclude_networks=("192.0.2.1/32",)),
}

GOOD = {
    "timestamp": ["2024-02-29T23:59:59", "1970-01-01T00:00:00", "1969-12-31T23:59:59", "9999-12-31T00:00:00"],
    "ip_address": ["192.0.2.1", "192.0.2.200", "2001:db8::1", "203.0.113.9", "::ffff:192.0.2.1", "-", "host"],
    "object_key": ["blobs/a", "blobs", "blobsy", "zarr/1/2/3", "zarr/1/9", "zarr", "a/b", "-", "NA", '"q" x'],
    "bytes_sent": ["0", "7", "007", "18446744073709551615", "00000000000000000001", "12345678901234567890"],
}
BAD = {
    "timestamp": [
        "2023-02-29T00:00:00", "2024-13-01T00:00:00", "2024-00-01T00:00:00", "2024-01-00T00:00:00",
        "2024-04-31T00:00:00", "2024-01-01T24:00:00", "2024-01-01T00:60:00", "2024-01-01T00:00:60",
        "0000-01-01T00:00:00", "2024-01-01 00:00:00", "2024-1-1T00:00:00", "", "2024-01-01T00:00:0x",
        "2024-01-01T00:00:00Z", "1900-02-29T00:00:00",
    ],
    "ip_address": ["", "192.0.2.1, 192.0.2.2", "192.0.2.1\x07", "192.0.2.ü"],
    "object_key": [""],
    "bytes_sent": [
        "", "-", "-1", "+1", " 1", "1.0", "0x1", "1e3", "18446744073709551616", "18446744073709551620",
        "99999999999999999999",
        "000000000000000000001",
    ],
}  # fmt: skip


def _reference(pieces: list[Lines], form: str, wanted: WantedSettings) -> dict[str, Any] | None:
    """Return rows and counts, one line at a time; None if a line is no row."""
    rules = _reference_filter(Settings.create(wanted, ""))
    rows: list[Any] = []
    counts = []
    for piece in pieces:
        mine = {"lines": 0, "key": 0, "ip": 0, "invalid_utf8": 0}
        for number, line in enumerate(piece.data.split(b"\n")[:-1], piece.first):
            # Number 1 would be the header.
            judged = reference_tree_line(line, number + 1, form, piece.key, rules)
            mine["lines"] += 1
            if judged["outcome"] == "rejected":
                return None
            if judged["outcome"] == "filtered":
                mine[judged["reason"]] += 1
                continue
            mine["invalid_utf8"] += "invalid_utf8" in judged["noted"]
            record = judged["record"]
            columns = ("time", "key", "remote_ip", "bytes_sent", "object_size", "http_status", "operation")
            rows.append((*(record[name] for name in columns), number, piece.source))
        counts.append(mine)
    return {"rows": rows, "counts": counts}


def _fast(pieces: list[Lines], form: str, wanted: WantedSettings) -> dict[str, Any] | None:
    try:
        found = rows_of(pieces, form, TreeFilter(Settings.create(wanted, "")))
    except BadLinesError:
        return None
    table = found.table.set_column(
        found.table.column_names.index("time"), "time", found.table["time"].cast("int64")
    )
    columns = ("time", "key", "remote_ip", "bytes_sent", "object_size", "http_status", "operation")
    rows = list(zip(*(table[name].to_pylist() for name in (*columns, "line", "source")), strict=True))
    counts = [
        {name: int(found.counts[name][number]) for name in ("lines", "key", "ip", "invalid_utf8")}
        for number in range(len(pieces))
    ]
    for number in range(len(pieces)):
        own = rows[found.begins[number] : found.begins[number + 1]]
        assert {row[-1] for row in own} <= {pieces[number].source}
        times = [row[0] for row in own] or [0]
        assert (found.first_ms[number], found.last_ms[number]) == (min(times), max(times))
        assert found.sent[number] == pytest.approx(sum(row[3] for row in own))
    # Who is left out is nowhere: neither as a row nor as a value that rows could have.
    for name, at in (("remote_ip", 2), ("key", 1)):
        values = {value for chunk in table[name].chunks for value in chunk.dictionary.to_pylist()}
        assert values == {row[at] for row in rows} - {None}
    return {"rows": rows, "counts": counts}


def _field(name: str, good: float) -> st.SearchStrategy[bytes]:
    texts = [text.encode() for text in GOOD[name]]
    noise = st.binary(max_size=6).map(
        lambda data: bytes(byte for byte in data if byte not in b"\t\n") or b"\xff"
    )
    odd = noise if name == "object_key" else st.sampled_from([text.encode() for text in BAD[name]])
    return st.integers(0, 99).flatmap(lambda n: st.sampled_from(texts) if n < 100 * good else odd)


def _key(form: str) -> bytes | None:
    return b"blobs/k" if form == "binned" else None


@st.composite
def _pieces(draw: st.DrawFn, form: str) -> list[Lines]:
    good = draw(st.sampled_from([1.0, 1.0, 0.98]))
    row = st.tuples(*(_field(name, good) for name in COLUMNS[form])).map(b"\t".join)
    end = st.sampled_from([b"\n", b"\n", b"\r\n"])
    lines = st.lists(st.tuples(row, end).map(b"".join), max_size=8).map(b"".join)
    found = []
    for source in range(draw(st.integers(1, 4))):
        key = draw(_field("object_key", 0.9)) if form == "binned" else None
        found.append(Lines(draw(lines), draw(st.integers(1, 9)), source + 5, key))
    if not any(piece.data for piece in found):
        return [Lines(b"\t".join(GOOD[name][0].encode() for name in COLUMNS[form]) + b"\n", 2, 1, _key(form))]
    return found


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("form", COLUMNS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_many_lines_at_once_are_read_as_one_at_a_time(form: str, rules: str, data: st.DataObject) -> None:
    pieces = data.draw(_pieces(form))
    assert _fast(pieces, form, RULES[rules]) == _reference(pieces, form, RULES[rules])


def _one(form: str, **fields: str) -> bytes:
    good = {name: GOOD[name][0] for name in COLUMNS[form]}
    return "\t".join((good | fields)[name] for name in COLUMNS[form]).encode()


@pytest.mark.parametrize("form", COLUMNS)
def test_every_odd_value_is_judged_alike(form: str) -> None:
    for name in COLUMNS[form]:
        for text in (*GOOD[name], *BAD[name]):
            line = _one(form, **{name: text})
            piece = Lines(line + b"\n", 2, 1, _key(form))
            judged = _fast([piece], form, RULES["none"])
            assert judged == _reference([piece], form, RULES["none"])
            assert (judged is None) == (text in BAD[name]), text


SHAPES = [
    b"",
    b"\t",
    b"x",
    _one("reduced") + b"\t",
    _one("reduced") + b"\tmore",
    _one("reduced").rpartition(b"\t")[0],
    b"\t" + _one("reduced"),
    _one("reduced").replace(b"\t", b" "),
    _one("reduced").replace(b"blobs/a", b"blobs\r/a"),
    _one("reduced") + b"\r\r",
    b"\r" + _one("reduced"),
    b"\xef\xbb\xbf" + _one("reduced"),
    _one("reduced") + b"\0",
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_line_of_another_shape_is_named(shape: bytes, at: int) -> None:
    lines = [_one("reduced")] * 2
    lines.insert(at, shape)
    piece = Lines(b"".join(line + b"\n" for line in lines), 7, 1)
    assert _fast([piece], "reduced", RULES["none"]) is None
    number, what = first_problem(piece, "reduced")
    assert number == 7 + at
    assert "192.0.2" not in what


def test_lines_that_are_rows_have_no_problem() -> None:
    with pytest.raises(InternalError, match="disagree"):
        first_problem(Lines(_one("reduced") + b"\n", 2, 1), "reduced")


@given(st.lists(st.integers(0, 2**64 + 10**6), min_size=1, max_size=50))
@example([2**64 - 1, 2**64])
@example([2**64 - 1, 0, 9])
def test_whole_numbers_of_64_bits_are_exact(numbers: list[int]) -> None:
    data = b"".join(_one("binned", bytes_sent=str(number)) + b"\n" for number in numbers)
    found = _fast([Lines(data, 2, 1, b"k")], "binned", RULES["none"])
    if max(numbers) >= 2**64:
        assert found is None
    else:
        assert found is not None
        assert [row[3] for row in found["rows"]] == numbers


@pytest.mark.parametrize("form", COLUMNS)
def test_a_header_is_told_whatever_its_line_end(form: str) -> None:
    head = "\t".join(COLUMNS[form]).encode()
    assert starts_with_header(head + b"\n", form)
    assert starts_with_header(head + b"\r\nmore\n", form)
    for other in (b"\xef\xbb\xbf" + head, head + b"\t", head.upper(), head + b" ", b""):
        assert not starts_with_header(other + b"\n", form)


def test_the_reference_shows_nothing_of_a_line() -> None:
    for name, texts in BAD.items():
        for text in texts:
            line = _one("reduced", **{name: text}).replace(b"192.0.2.1\t", b"192.0.2.77\t")
            with pytest.raises(TreeRowError) as refused:
                reference_row(line, "reduced")
            assert "192.0" not in str(refused.value)
