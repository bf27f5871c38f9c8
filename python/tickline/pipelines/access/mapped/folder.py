"""The folder of a mapped tree: its record, and its files, which hold no addresses: others may read them."""

import os
from collections.abc import Iterator
from pathlib import Path

from tickline.pipelines.access.mapped.names import SUFFIX, prefix_of
from tickline.pipelines.access.trees.files import TreeFiles, stands
from tickline.pipelines.access.trees.record import Entry, TreeRecord

__all__ = ["MappedFiles", "MappedRecord"]

_LAST = "\U0010ffff"


class MappedRecord(TreeRecord):
    """The record of a mapped tree; ids are those of `mapped_names`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        super().__init__(root, (SUFFIX,))

    def keep(self, dataset: str, run: int) -> None:
        """Have everything of a dandiset seen by a run; only inside a transaction."""
        for kind in ("asset", "table"):
            prefix = prefix_of(kind, dataset)
            sql = "UPDATE entries SET seen = ? WHERE id >= ? AND id < ?"
            self._db.execute(sql, [run, prefix, prefix + _LAST])

    def beginning(self, prefix: str) -> Iterator[Entry]:
        """Give those with files whose ids begin so."""
        return self._select("id >= ? AND id < ? AND files IS NOT NULL", prefix, prefix + _LAST)

    def find_damage(self) -> bool:
        """Have files made again that are not there as they were written; tell whether there are any."""
        damaged = [
            entry.id
            for entry in self.with_files()
            if not all(stands(self._root / (entry.name + SUFFIX), known) for known in entry.files)
        ]
        if damaged:
            with self.transaction():
                self.set_pending(damaged)
        return bool(damaged)


class MappedFiles(TreeFiles):
    """The files of a mapped tree, with the modes that the user's umask leaves them."""

    def __init__(self, root: Path, record: TreeRecord) -> None:
        super().__init__(root, (SUFFIX,), record)
        # What another thread makes meanwhile may be private.
        mask = os.umask(0o077)
        os.umask(mask)
        self._mode = 0o666 & ~mask

    def flush(self) -> None:
        """See `TreeFiles.flush`."""
        for temporary, path in self._renames:
            temporary.chmod(self._mode)
            path.parent.mkdir(parents=True, exist_ok=True)
        super().flush()
