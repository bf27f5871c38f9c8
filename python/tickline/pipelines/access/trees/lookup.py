"""Addresses and regions of requesters, for rows that name them by their ids."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tickline.errors import TicklineError
from tickline.pipelines.access.regions.labels import MISSING
from tickline.store.parts import import_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow
    from numpy.typing import NDArray

    from tickline.store.folder import StoreFolder

__all__ = ["Lookup", "addresses_of", "labels_of"]

# Requesters that are known already: some 100 MB.
_MOST_KNOWN = 500_000


class Lookup:
    """A text for each requester; each is looked up once, as long as there are not too many.

    Parameters
    ----------
    find : callable
        Returns the texts of some requesters, None for those that have none.
    nobody : str, optional
        The text where no address was logged.
    """

    def __init__(self, find: "Callable[[NDArray[np.uint64]], list[str | None]]", nobody: str | None) -> None:
        self._find = find
        self._nobody = nobody
        self._clear()

    def _clear(self) -> None:
        import numpy as np

        self._ids: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._texts = import_arrow().array([], "string")

    def of(self, requesters: "pyarrow.ChunkedArray") -> "pyarrow.ChunkedArray":
        """Return the text for each row."""
        import pyarrow.compute as pc

        pa = import_arrow()
        if len(self._ids) > _MOST_KNOWN:
            self._clear()
        pieces = []
        for chunk in requesters.chunks:
            coded = chunk.dictionary_encode()
            places = self._places(coded.dictionary.to_numpy(zero_copy_only=False))
            pieces.append(self._texts.take(pa.array(places)).take(coded.indices))
        texts = pa.chunked_array(pieces, pa.string())
        if self._nobody is None or not requesters.null_count:
            return texts
        return pc.if_else(requesters.is_null(), self._nobody, texts)

    def _places(self, ids: "NDArray[np.uint64]") -> "NDArray[np.int64]":
        """Return where each of these stands among those that are known; find those that are not."""
        import numpy as np

        pa = import_arrow()
        places = np.searchsorted(self._ids, ids)
        known = places < len(self._ids)
        known[known] = self._ids[places[known]] == ids[known]
        if known.all():
            return places
        new = ids[~known]
        whole = np.concatenate([self._ids, new])
        order = np.argsort(whole)
        texts = pa.concat_arrays([self._texts, pa.array(self._find(new), pa.string())])
        self._ids, self._texts = whole[order], texts.take(pa.array(order))
        return np.searchsorted(self._ids, ids)


def addresses_of(folder: "StoreFolder") -> Lookup:
    """Return what finds addresses; one that is not known is an error."""
    pseudonyms = folder.pseudonyms()

    def find(ids: "NDArray[np.uint64]") -> "list[str | None]":
        found = pseudonyms.addresses(ids.tolist())
        if missing := found.count(None):
            what = f"the addresses of {missing} requesters are not known"
            hint = "Restore it from a backup; what holds addresses cannot be written without it."
            raise TicklineError(what, where=str(pseudonyms.path), hint=hint)
        return found

    return Lookup(find, None)


def labels_of(folder: "StoreFolder") -> Lookup:
    """Return what finds regions: null without a label yet, ``missing`` where no address was logged."""
    return Lookup(lambda ids: folder.ledger.requesters(ids)[1], MISSING)
