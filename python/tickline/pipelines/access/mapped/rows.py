"""The rows of a mapped tree: of each content its requests in the order of time, as lines of TSV.

The columns are those that pandas writes: an index from 0 without a name, ``timestamp`` (seconds, UTC),
``bytes_sent`` and ``region``.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from tickline.pipelines.access.mapped.plan import MappedPlan
from tickline.pipelines.access.mapped.summaries import field
from tickline.store.parts import import_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = ["HEADER", "lines_of_contents"]

HEADER = b"\ttimestamp\tbytes_sent\tregion\n"

_STRETCH_ROWS = 2_000_000
# Requests of the same second: as they stand in the logs; or so that nothing but the rows themselves decides.
_TIES = {"strict": "place, line", "fixed": "bytes_sent, people.label"}
_CONTENTS = """
SELECT content, requests, first, last FROM (SELECT DISTINCT content FROM files)
JOIN (SELECT content, sum(requests)::UBIGINT AS requests FROM sums GROUP BY content) USING (content)
JOIN contents USING (content)
ORDER BY content
"""
_ROWS = """
SELECT content, time, coalesce(bytes_sent, 0)::UBIGINT AS bytes_sent, labels.label AS region
FROM kept JOIN keyed USING (key)
LEFT JOIN people ON kept.requester_id IS NOT DISTINCT FROM people.requester_id
LEFT JOIN labels ON labels.number = people.label
WHERE key BETWEEN $first AND $last AND content BETWEEN $low AND $high
AND content IN (SELECT content FROM files)
ORDER BY content, time, {ties}
"""


def lines_of_contents(plan: MappedPlan, compat: str) -> Iterator[tuple[int, Iterator[memoryview]]]:
    """Give the lines of the contents that stand in the table ``files`` of a plan.

    Parameters
    ----------
    plan : MappedPlan
        Where they are.
    compat : str
        ``strict``: requests of the same second stand as in the logs, these by their names; ``fixed``: by
        bytes and region.

    Yields
    ------
    (int, iterator of memoryview)
        Number of the content, ascending, and its lines in pieces, to be read before the next one is asked
        for.
    """
    sql = _ROWS.format(ties=_TIES[compat])
    tables = (table for stretch in _stretches(plan) for table in plan.batches(sql, stretch))
    for content, pieces in groupby(_pieces(tables), key=itemgetter(0)):
        yield content, (piece for _, piece in pieces)


def _stretches(plan: MappedPlan) -> Iterator[dict[str, int | str]]:
    """Cut the contents into stretches of some million rows, and say between which keys each one lies."""
    stretch: dict[str, int | str] = {}
    held = 0
    for content, requests, first, last in plan.rows(_CONTENTS):
        if stretch and held + requests > _STRETCH_ROWS:
            yield stretch
            stretch, held = {}, 0
        stretch = {
            "low": stretch.get("low", content),
            "high": content,
            "first": min(stretch.get("first", first), first),
            "last": max(stretch.get("last", last), last),
        }
        held += requests
    if stretch:
        yield stretch


def _pieces(tables: "Iterator[pyarrow.Table]") -> Iterator[tuple[int, memoryview]]:
    """Give contents and their lines; a content that goes on in the next table comes again."""
    import numpy as np

    last, count = -1, 0
    for table in tables:
        if not table.num_rows:
            continue
        contents = table["content"].combine_chunks().to_numpy()
        begins = np.append(0, np.flatnonzero(contents[1:] != contents[:-1]) + 1)
        lengths = np.diff(begins, append=len(contents))
        index = np.arange(len(contents)) - np.repeat(begins, lengths)
        if contents[0] == last:
            index[: lengths[0]] += count
        data, ends = _lines(table, index)
        for content, begin, length in zip(
            contents[begins].tolist(), begins.tolist(), lengths.tolist(), strict=True
        ):
            yield content, data[int(ends[begin]) : int(ends[begin + length])]
        last, count = int(contents[-1]), int(index[-1]) + 1


def _lines(table: "pyarrow.Table", index: "NDArray[np.int64]") -> "tuple[memoryview, NDArray[np.int64]]":
    """Return the rows as text, and where each of them begins and the last one ends."""
    import numpy as np
    import pyarrow.compute as pc

    pa = import_arrow()
    text = pa.large_string()
    seconds = table["time"].combine_chunks().cast(pa.timestamp("s", "UTC"), safe=False)
    # Without its zone it is written as 2022-05-04 05:06:35.
    time = pc.replace_substring(seconds.cast(pa.timestamp("s")).cast(text), " ", "T")
    labels = table["region"].combine_chunks().dictionary_encode()
    shown = pa.array([f"{field(label)}\n" for label in labels.dictionary.to_pylist()], text)
    columns = [pa.array(index).cast(text), time, table["bytes_sent"].combine_chunks().cast(text)]
    lines = pc.binary_join_element_wise(*columns, shown.take(labels.indices), pa.scalar("\t", text))
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data), ends
