"""Lines that were delivered twice (``--dedupe-lines``): AWS promises its best effort, not once.

The same line names the same moment, so a repeat can only be among the rows of its own days: no window has to
be chosen, and nothing has to be remembered but the hashes that stand beside the rows.
"""

from typing import TYPE_CHECKING, Any

from tickline.pipelines.access.ingest.unit import Finished
from tickline.store.folder import StoreFolder
from tickline.store.ledger import PartFile
from tickline.store.parts import NewPart, import_arrow

if TYPE_CHECKING:
    import pyarrow

__all__ = ["drop_repeats"]

_DAY_MS = 86_400_000


def drop_repeats(
    folder: StoreFolder, tables: "list[pyarrow.Table]", finished: Finished
) -> "list[pyarrow.Table]":
    """Leave out rows whose line is in the store already, or stands before; they are counted as `repeated`.

    Parameters
    ----------
    finished : Finished
        The unit the rows belong to: its files that are written and not yet committed are looked at too.
    """
    pa = import_arrow()
    import numpy as np

    table = pa.concat_tables(tables).unify_dictionaries().combine_chunks()
    if not table.num_rows:
        return tables
    whole = table["line_hash"].combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
    hashes = np.frombuffer(whole.buffers()[1], "V16", len(whole), whole.offset * 16)
    _, firsts = np.unique(hashes, return_index=True)
    keep = np.zeros(len(hashes), dtype=bool)
    keep[firsts] = True
    known = _known(folder, table, finished)
    if len(known):
        keep &= ~np.isin(hashes, known)
    sources, counts = np.unique(table["source"].to_numpy()[~keep], return_counts=True)
    _count(finished, dict(zip(sources.tolist(), counts.tolist(), strict=True)))
    return [table.filter(pa.array(keep))]


def _known(folder: StoreFolder, table: "pyarrow.Table", finished: Finished) -> Any:
    """Return the hashes among these rows' own that the store has."""
    import duckdb
    import numpy as np

    days = np.unique(table["time"].cast("int64").to_numpy() // _DAY_MS)
    first, last = int(days[0]), int(days[-1])
    snapshot = folder.ledger.snapshot()
    # A source whose name has other content now is on its way out: its rows must not displace the new ones.
    leaving = {row[0] for row in folder.ledger.rows("SELECT id FROM sources WHERE state <> 'live'")}
    replaced = {
        read.task.before.source for read in finished.reads if read.task.before and read.state == "changed"
    }
    pending = [part for run in finished.runs for part in run.parts if part.kind == "accesses"]
    everything: list[NewPart | PartFile] = [*snapshot.parts, *pending]
    parts = [part for part in everything if part.first_day <= last and part.last_day >= first]
    if not parts:
        return np.zeros(0, "V16")
    with duckdb.connect() as connection:
        connection.register("fresh", table.select(["line_hash"]))
        sql = (
            "SELECT DISTINCT line_hash FROM read_parquet(?) SEMI JOIN fresh USING (line_hash) "
            "WHERE NOT list_contains(?, source::BIGINT)"
        )
        paths = [str(folder.path / part.path) for part in parts]
        found = connection.execute(sql, [paths, sorted(leaving | replaced)]).fetchall()
    return np.array([row[0] for row in found], dtype="V16") if found else np.zeros(0, "V16")


def _count(finished: Finished, repeated: dict[int, int]) -> None:
    for read in finished.reads:
        number = repeated.get(read.source, 0) if read.state not in ("copy", "failed") else 0
        if number:
            read.counts["accepted"] -= number
            read.counts["filtered"]["repeated"] = read.counts["filtered"].get("repeated", 0) + number
