"""Tables of an export as they may be published: some counts withheld, the others rounded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tickline.pipelines.access.privacy.privacy import Privacy
from tickline.pipelines.access.summaries.frames import SUMS, Frame, LongFrame, regrouped

if TYPE_CHECKING:
    import pyarrow

__all__ = ["WithheldFrame"]


@dataclass(frozen=True, slots=True)
class WithheldFrame:
    """A table to which a rule of privacy is applied as it is written.

    Attributes
    ----------
    frame : Frame or LongFrame
        The exact table.
    privacy : Privacy
        The rule.
    name : str
        Of the table.
    dataset : str or None
        Whose it is; None is the archive.
    """

    frame: Frame | LongFrame
    privacy: Privacy
    name: str
    dataset: str | None

    @property
    def word(self) -> str:
        """What stands for a count that is withheld, in a table as text."""
        return self.privacy.word

    def tables(self, rows: int) -> "Iterator[pyarrow.Table]":
        """Give the table in pieces of so many rows; null is a count that is withheld."""
        return regrouped(self._pieces(), rows)

    def _pieces(self) -> "Iterator[pyarrow.Table]":
        begin = 0
        pieces = self.frame.pieces() if isinstance(self.frame, LongFrame) else iter([self.frame])
        for piece in pieces:
            yield self._table(piece, begin)
            begin += len(piece)

    def _table(self, piece: Frame, begin: int) -> "pyarrow.Table":
        import numpy as np
        import pyarrow as pa

        shown, withheld = self.privacy.apply(self.name, self.dataset, piece, begin)
        table = shown.table()
        for values, mask, name in zip(shown.sums, withheld, SUMS, strict=True):
            if mask.any():
                place = table.column_names.index(name)
                table = table.set_column(place, name, pa.array(np.ascontiguousarray(values), mask=mask))
        return table
