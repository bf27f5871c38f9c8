"""From scanned lines to finished files of a store: this part needs nothing of the ledger."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tickline import _core
from tickline.files import Folders
from tickline.pipelines.access.ingest.agents import CLASSES, agent_class
from tickline.store.parts import NewPart, PartWriter, import_arrow, part_schema
from tickline.store.pseudonyms import Pseudonyms
from tickline.store.rows import by_month, daily_of, one_chunk, sort_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

__all__ = ["SCANNED", "RowMaker", "Run", "table_of"]

SCANNED = (
    "time",
    "key",
    "remote_ip",
    "bytes_sent",
    "object_size",
    "http_status",
    "operation",
    "user_agent",
)
"""What is extracted of a line; the line's number comes with it."""


@dataclass(slots=True)
class Run:
    """Files that were written from some rows, and what the ledger has to know of them.

    Attributes
    ----------
    days : set of int
        The days (since 1970) on which there are rows.
    ids, addresses
        The requesters: for each id the address that it stands for.
    """

    parts: list[NewPart] = field(default_factory=list)
    days: set[int] = field(default_factory=set)
    ids: "list[NDArray[np.uint64]]" = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    rows: int = 0

    def leave_out(self, known: set[int]) -> None:
        """Forget the requesters that are known, and make the others known."""
        import numpy as np

        ids = np.concatenate(self.ids) if self.ids else np.zeros(0, np.uint64)
        numbers = ids.tolist()
        fresh = [at for at, number in enumerate(numbers) if number not in known]
        known.update(numbers)
        self.ids = [ids[fresh]]
        self.addresses = [self.addresses[at] for at in fresh]

    def discard(self, store: Path) -> None:
        """Remove the files: nothing refers to them."""
        for part in self.parts:
            (store / part.path).unlink(missing_ok=True)
        self.parts = []


def table_of(batch: _core.Batch, source: int, first_line: int) -> "pyarrow.Table":
    """Return the rows of a scan as a table: lines are numbered on from `first_line`, `source` is added."""
    pa = import_arrow()
    import numpy as np

    table = pa.Table.from_batches([pa.record_batch(batch)])
    number = pa.array(table["line"].to_numpy() + np.uint64(first_line))
    table = table.set_column(table.column_names.index("line"), "line", number)
    if "line_hash_low" in table.column_names:
        halves = [table[name].to_numpy() for name in ("line_hash_high", "line_hash_low")]
        both = np.stack(halves, axis=1).astype(">u8").tobytes()
        hashed = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), table.num_rows, [None, pa.py_buffer(both)]
        )
        table = table.drop_columns(["line_hash_low", "line_hash_high"]).append_column("line_hash", hashed)
    return table.append_column("source", pa.array(np.full(table.num_rows, source, np.uint32)))


class RowMaker:
    """Turns tables of scanned rows into files. Safe to use from many threads."""

    def __init__(self, store: Path, pseudonyms: Pseudonyms, folders: Folders, *, dedupe: bool) -> None:
        self._store = store
        self._pseudonyms = pseudonyms
        self._folders = folders
        self._dedupe = dedupe

    def make(self, tables: "list[pyarrow.Table]") -> Run:
        """Write the rows of `tables`, which come in the order of their sources, as files of the store.

        The list is empty afterwards: what was copied once is let go before it is copied again.
        """
        pa = import_arrow()
        run = Run()
        rows = pa.concat_tables([table for table in tables if table.num_rows] or tables[:1])
        tables.clear()
        run.rows = rows.num_rows
        if not run.rows:
            return run
        rows = self._with_ids(rows.unify_dictionaries(), run)
        months = list(by_month(rows))
        del rows
        written: list[PartWriter] = []
        try:
            while months:
                month, piece = months.pop(0)
                ordered = sort_rows(piece.select(part_schema(self._dedupe).names))
                del piece
                self._write(run, written, month, ordered)
        except BaseException:
            for writer in written:
                writer.abort()
            run.discard(self._store)
            raise
        return run

    def _write(self, run: Run, written: list[PartWriter], month: str, ordered: "pyarrow.Table") -> None:
        daily = daily_of(ordered)
        for kind, table in (("accesses", ordered), ("daily", daily)):
            writer = PartWriter(self._store, kind, month, self._folders, dedupe=self._dedupe)
            written.append(writer)
            writer.write(table)
            run.parts.append(writer.commit())
        run.days.update(import_arrow().compute.unique(daily["day"].cast("int32")).to_pylist())

    def _with_ids(self, rows: "pyarrow.Table", run: Run) -> "pyarrow.Table":
        """Replace addresses by ids and user agents by their classes: once for each distinct one."""
        pa = import_arrow()
        import numpy as np

        coded = one_chunk(rows["remote_ip"])
        run.addresses = coded.dictionary.to_pylist()
        ids = self._pseudonyms.ids(run.addresses)
        run.ids.append(ids)
        requester = pa.array(ids, pa.uint64()).take(coded.indices)
        agents = one_chunk(rows["user_agent"])
        classes = [CLASSES.index(agent_class(agent)) for agent in [*agents.dictionary.to_pylist(), None]]
        codes = agents.indices.fill_null(len(classes) - 1).to_numpy()
        coded_class = pa.DictionaryArray.from_arrays(
            pa.array(np.array(classes, np.int32)[codes]), pa.array(CLASSES)
        )
        rows = rows.drop_columns(["remote_ip", "user_agent"])
        return rows.append_column("requester_id", requester).append_column("agent_class", coded_class)
