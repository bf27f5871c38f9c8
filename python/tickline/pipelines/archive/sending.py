"""A chunk into the store: under which key, on which condition, and what another object there means."""

from collections.abc import Callable

from tickline.errors import TicklineError
from tickline.pipelines.archive.chunk import Chunk, key_of
from tickline.pipelines.archive.stores import ArchiveStore, ConditionsUnknownError

__all__ = ["Sender"]


class Sender:
    """Writes chunks, each once and never over another object.

    Parameters
    ----------
    store : ArchiveStore
        The archive.
    unique_keys : bool
        Go on where the store ignores conditional writes, with the hash in each key.
    probing : callable
        Is told before the request that finds out whether conditional writes are honoured.
    """

    def __init__(self, store: ArchiveStore, probing: Callable[[], object], *, unique_keys: bool) -> None:
        self._store = store
        self._probing = probing
        self._unique_keys = unique_keys

    def put(self, chunk: Chunk, body: bytes, known: str) -> str:
        """Bring a chunk into the store, and return what is known of its conditional writes.

        Raises
        ------
        TicklineError
            It did not get there, another object stands in its place, or the store would overwrite.
        """
        if known == "ignored" and self._unique_keys:
            return self._put_uniquely(chunk, body)
        key = _key(chunk, unique=False)
        try:
            return self._put_if_absent(key, chunk, body, known)
        except ConditionsUnknownError:
            if not self._unique_keys:
                raise
        # An answer that was lost may have been that of another server behind the same name.
        return "ignored" if self._has(key, chunk) else self._put_uniquely(chunk, body)

    def has(self, chunk: Chunk) -> bool:
        """Tell whether the store has a chunk; another object in its place is an alarm."""
        return any(self._has(_key(chunk, unique=unique), chunk) for unique in (False, True))

    def _put_uniquely(self, chunk: Chunk, body: bytes) -> str:
        """Write a chunk under a key that no other one can have."""
        key = _key(chunk, unique=True)
        if not self._has(key, chunk):
            self._store.put(key, body, chunk.sha256, only_if_absent=False)
        return "ignored"

    def _put_if_absent(self, key: str, chunk: Chunk, body: bytes, known: str) -> str:
        """Write a chunk on condition that there is none, and find out whether that was heeded."""
        if not self._store.put(key, body, chunk.sha256, only_if_absent=True):
            if not self._has(key, chunk):
                what = "the store says that there is an object of this name, and then that there is none"
                raise TicklineError(what, where=key, hint="Run it again later; nothing is lost.")
            return "honoured"
        if known == "honoured":
            return known
        self._probing()
        # The first object of the chain is its own canary: a second write of the same must be refused.
        if not self._store.put(key, body, chunk.sha256, only_if_absent=True):
            return "honoured"
        if not self._unique_keys:
            what = "the store ignores conditional writes (If-None-Match): it would overwrite what it has"
            hint = 'Use a store that honours them, or write if_ignored = "unique-keys".'
            raise TicklineError(what, where=self._store.url, hint=hint)
        return "ignored"

    def _has(self, key: str, chunk: Chunk) -> bool:
        theirs = self._store.sha256_of(key)
        if theirs not in (None, chunk.sha256):
            what = "another object stands under the name of the next chunk; nothing was overwritten"
            hint = (
                "Find out who writes as this node: two machines of one name, or a state that was copied or "
                "restored? Then move the state folder away: the archive tells where to go on."
            )
            raise TicklineError(what, where=f"{self._store.url}/{key}", hint=hint)
        return theirs is not None


def _key(chunk: Chunk, *, unique: bool) -> str:
    header = chunk.header
    return key_of(header["node"], header["day"], header["seq"], chunk.sha256 if unique else None)
