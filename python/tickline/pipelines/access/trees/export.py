"""The trees of the old programs that hold addresses: ``OUT/reduced``, ``OUT/binned``, ``OUT/extraction``.

They are written only where they are asked for by name, for the eyes of their owner, and not at all from a
store without addresses. None of them is meant to be published.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import UsageError
from tickline.pipelines.access.trees.extraction import export_extraction
from tickline.pipelines.access.trees.reduced import export_binned, export_reduced
from tickline.pipelines.access.trees.tree import TreeReport
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["TREES", "TreeReport", "export_binned", "export_extraction", "export_reduced", "export_trees"]

TREES = {"reduced": export_reduced, "binned": export_binned, "extraction": export_extraction}
"""How each tree is written; the name of a tree is that of its folder."""


def export_trees(
    folder: "StoreFolder",
    out: Path,
    trees: Sequence[str],
    *,
    compat: str = "fixed",
    progress: Progress | None = None,
) -> TreeReport:
    """Bring some trees up to date.

    Parameters
    ----------
    folder : StoreFolder
        An open store that keeps addresses.
    out : pathlib.Path
        Holds the folders of the trees.
    trees : sequence of str
        Of `TREES`.
    compat : str
        ``"strict"``, as the old programs, or ``"fixed"``.
    progress : Progress, optional
        Is told of each tree how many keys or sources are done, and how many there are.

    Returns
    -------
    TreeReport
        Of all of them together.

    Raises
    ------
    UsageError
        There is no such tree, the store has no addresses (any more), or a tree and the store lie within one
        another.
    TicklineError
        See `tickline.pipelines.access.trees.tree.write_tree`; trees of before are done then.
    """
    for name in trees:
        if name not in TREES:
            hint = f"Choose from: {', '.join(TREES)}."
            raise UsageError(f"{name!r} is no tree", where="trees", hint=hint)
    total = TreeReport()
    for name in trees:
        one = TREES[name](folder, out / name, compat=compat, progress=progress)
        total.written += one.written
        total.unchanged += one.unchanged
        total.removed += one.removed
    return total
