"""`ExactSet` and `FingerprintSet`: what is new, against Python's set; saved and loaded; columns of Arrow."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tickline as tl
from reference.dedup_reference import split
from tickline.dedup import ExactSet, FingerprintSet
from tickline.errors import SourceError

GOLDEN = json.loads((Path(__file__).parents[1] / "data/golden/dedup_sets.json").read_text())["cases"]
SETS = [ExactSet, FingerprintSet]
Kind = type[ExactSet] | type[FingerprintSet]

# Few letters, so that there are repeats; and any bytes, so that nothing is taken for text.
BUFFERS = st.one_of(st.text("ab\n\r ").map(str.encode), st.binary())


def news(items: list[bytes], seen: set[bytes]) -> list[bool]:
    found = []
    for item in items:
        found.append(item not in seen)
        seen.add(item)
    return found


@pytest.mark.parametrize("kind", SETS)
@given(buffers=st.lists(BUFFERS, max_size=5), seed=st.none() | st.integers(0, 2**64 - 1))
def test_lines_are_new_as_in_a_set_of_python(kind: Kind, buffers: list[bytes], seed: int | None) -> None:
    ours, theirs = kind(seed), set[bytes]()
    for buffer in buffers:
        mask = ours.add_lines(buffer)
        assert mask.dtype == np.bool_
        assert mask.tolist() == news(split(buffer), theirs)
        assert len(ours) == len(theirs)
    assert all(line in ours for line in theirs)
    assert b"a\nline holds no newline" not in ours


@pytest.mark.parametrize("kind", SETS)
@given(items=st.lists(st.binary(max_size=20) | st.text(max_size=8)))
def test_single_items_are_bytes_or_their_text(kind: Kind, items: list[bytes | str]) -> None:
    ours, theirs = kind(), set[bytes]()
    for item in items:
        same = item.encode() if isinstance(item, str) else item
        assert (item in ours) == (same in theirs)
        assert ours.add(item) == (same not in theirs)
        theirs.add(same)
        assert memoryview(same) in ours
    assert len(ours) == len(theirs)


TEXTS = st.lists(
    st.none() | st.text(max_size=20) | st.sampled_from(["a", "b", "a text of more than 12 bytes"])
)


def as_columns(texts: list[str | None]) -> list[Any]:
    plain = pa.array(texts, pa.string())
    raw = [None if text is None else text.encode() for text in texts]
    chunks = pa.chunked_array([plain[: len(texts) // 2], plain[len(texts) // 2 :]], pa.string())
    return [
        plain,
        chunks,
        pa.concat_arrays([pa.array(["cut off"]), plain])[1:],
        pa.array(texts, pa.large_string()),
        pa.array(texts, pa.string_view()),
        pa.array(raw, pa.binary()),
        pa.array(raw, pa.large_binary()),
        pa.array(raw, pa.binary_view()),
        plain.dictionary_encode(),
        plain.dictionary_encode().cast(pa.dictionary(pa.int16(), pa.large_string())),
        pa.array(["cut off", *texts], pa.string()).dictionary_encode()[1:],
        pl.Series(texts, dtype=pl.String),
        pl.Series(texts, dtype=pl.String).cast(pl.Categorical),
    ]


@pytest.mark.parametrize("kind", SETS)
@given(texts=TEXTS)
def test_columns_of_every_kind_of_text(kind: Kind, texts: list[str | None]) -> None:
    seen = set[bytes]()
    expected = [text is not None and news([text.encode()], seen)[0] for text in texts]
    for column in as_columns(texts):
        ours = kind()
        assert ours.add_column(column).tolist() == expected, getattr(column, "type", column)
        assert len(ours) == len(seen)
        assert all(text in ours for text in seen)


@pytest.mark.parametrize("kind", SETS)
def test_columns_of_many_rows(kind: Kind) -> None:
    texts = [None if i % 7 == 0 else str(i * i % 1009) for i in range(1000)]
    seen = set[bytes]()
    expected = [text is not None and news([text.encode()], seen)[0] for text in texts]
    ours = kind()
    assert ours.add_column(pa.chunked_array([texts[:63], texts[63:130], texts[130:]])).tolist() == expected


@pytest.mark.parametrize("kind", SETS)
def test_what_is_no_column_of_texts(kind: Kind) -> None:
    for column, told in [
        (pa.array([1, 2]), 'not Arrow\'s "l"'),
        (pa.table({"a": ["x"]}), "one column of it"),
        (pa.array([1, 1]).dictionary_encode(), "texts or bytes"),
        ("text", "__arrow_c_array__"),
    ]:
        with pytest.raises(TypeError, match=told):
            kind().add_column(column)


@pytest.mark.parametrize("kind", SETS)
def test_what_is_no_item(kind: Kind) -> None:
    with pytest.raises(TypeError):
        kind().add(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        kind().add_lines("text")  # type: ignore[arg-type]
    for seed in (-1, 2**64):
        with pytest.raises(TypeError):
            kind(seed)


def test_the_odds_are_those_of_a_birthday() -> None:
    prints = FingerprintSet()
    assert prints.collision_odds == 0
    prints.add_lines(b"".join(b"%d\n" % i for i in range(1000)))
    assert prints.collision_odds == pytest.approx(1000 * 999 / 2 / 2**64)
    exact = ExactSet()
    exact.add_lines(b"a\nb\n")
    assert exact.collision_odds == 0


@pytest.mark.parametrize("kind", SETS)
@given(items=st.lists(st.binary()))
def test_a_saved_set_is_gone_on_with(kind: Kind, items: list[bytes], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.getbasetemp() / f"{kind.__name__}.set"
    ours = kind()
    for item in items:
        ours.add(item)
    ours.save(path)
    again = kind.load(path)
    assert len(again) == len(ours) == len(set(items))
    assert all(item in again for item in items)
    assert again.collision_odds == ours.collision_odds
    assert again.add(b"something else") == (b"something else" not in items)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['kind']}-{case['count']}-{case['seed']}")
def test_files_are_the_golden_ones(case: dict[str, Any], tmp_path: Path) -> None:
    keys = [bytes.fromhex(key) for key in case["keys"].split(",")][: case["count"]]
    ours = ExactSet() if case["kind"] == "keys" else FingerprintSet(case["seed"])
    for key in keys:
        ours.add(key)
    ours.save(tmp_path / "ours")
    assert (tmp_path / "ours").read_bytes().hex() == case["file"]
    (tmp_path / "golden").write_bytes(bytes.fromhex(case["file"]))
    again = type(ours).load(tmp_path / "golden")
    assert len(again) == len(keys)
    assert all(key in again for key in keys)


def test_a_file_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "seen.set"
    exact = ExactSet()
    exact.add_lines(b"one\ntwo\n")
    exact.save(path)
    whole = path.read_bytes()
    with pytest.raises(SourceError, match=r"seen\.set: .* not of this kind: .*\. Save it again"):
        FingerprintSet.load(path)
    path.write_bytes(whole[:-3])
    with pytest.raises(SourceError, match="cut short or changed"):
        ExactSet.load(path)
    path.write_bytes(whole[:8] + b"\2" + whole[9:])
    with pytest.raises(SourceError, match="another version"):
        ExactSet.load(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="not of this kind"):
        ExactSet.load(path)
    with pytest.raises(SourceError, match="does not exist"):
        ExactSet.load(tmp_path / "nothing")
    with pytest.raises(SourceError, match="is a folder"):
        ExactSet.load(tmp_path)
    with pytest.raises(SourceError, match="no folder"):
        exact.save(path / "below a file")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "seen.set"
    path.write_bytes(b"the old one")
    (tmp_path / "seen.set.d").mkdir()
    exact = ExactSet()
    with pytest.raises(SourceError):
        exact.save(tmp_path / "seen.set.d")
    assert path.read_bytes() == b"the old one"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["seen.set", "seen.set.d"]


def test_a_second_thread_is_told_and_does_no_harm() -> None:
    exact = ExactSet()
    buffer = b"".join(b"%d\n" % i for i in range(2_000_000))
    thread = threading.Thread(target=exact.add_lines, args=(buffer,))
    thread.start()
    refused = 0
    while thread.is_alive() and not refused:
        try:
            exact.add(b"0")
        except RuntimeError:
            refused += 1
    thread.join()
    assert len(exact) == 2_000_000


def test_it_says_what_it_is() -> None:
    exact = tl.dedup.ExactSet()
    exact.add_lines(b"a\nb\n")
    assert repr(exact) == "<tickline.dedup.ExactSet: 2 items>"


def test_large_buffers_are_referred_to_or_copied_and_nothing_else_changes() -> None:
    fresh = b"".join(b"%08d and more\n" % i for i in range(20_000))
    mixed = fresh[: len(fresh) // 2] + b"".join(b"%07d and other\n" % (i % 300) for i in range(10_000))
    for given_as in (bytes, bytearray, memoryview):
        ours, theirs = ExactSet(), set[bytes]()
        for text in (fresh, mixed, fresh[::-1], b"x" * 100_000):
            before = bytes(text)
            buffer = given_as(before)
            assert ours.add_lines(buffer).tolist() == news(split(before), theirs)
            if isinstance(buffer, bytearray):  # what was borrowed would now be wrong
                buffer[:] = b"\n" * len(buffer)
            del before, buffer
        assert len(ours) == len(theirs)
        assert all(line in ours for line in theirs)
        assert ours.add_lines(fresh).sum() == 0


def test_only_buffers_of_which_most_is_new_are_kept() -> None:
    def references(text: bytes) -> int:
        return sys.getrefcount(text)

    exact = ExactSet()
    fresh = b"".join(b"%08d and more\n" % i for i in range(20_000))
    half = b"".join(b"%08d and more\n" % i for i in range(10_000, 30_000))
    before = references(fresh), references(half)
    exact.add_lines(fresh)
    exact.add_lines(half)
    assert references(fresh) == before[0] + 1
    assert references(half) == before[1]
    del exact
    assert references(fresh) == before[0]
