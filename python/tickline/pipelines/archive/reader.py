"""Chunks of an archive, read back: what `verify`, `report` and `export` have in common."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from tickline.errors import TicklineError
from tickline.pipelines.archive.chunk import Chunk, parse_key, sha256_hex, unpack
from tickline.pipelines.archive.stores import ArchiveStore

__all__ = [
    "Listed",
    "is_copy",
    "list_chunks",
    "list_foreign",
    "list_nodes",
    "read_all",
    "read_bodies",
    "read_chunks",
]

# A GET takes some ten milliseconds over a network; a body some kilobytes.
_THREADS = 8
_AHEAD = 32
# One object may be unreadable; so many in a row are a store that is away.
_MOST_REFUSED = 5


@dataclass(frozen=True, slots=True, order=True)
class Listed:
    """A chunk as its key tells: number, day (``yyyy/mm/dd``), whether the key has a hash, the key itself."""

    seq: int
    day: str
    unique: bool
    key: str


def list_nodes(store: ArchiveStore) -> list[str]:
    """Return the names of all nodes that ever wrote to an archive, in order."""
    found = (name for name in store.entries("v1/") if name.endswith("/"))
    return [name.removeprefix("v1/").rstrip("/") for name in found]


def list_foreign(store: ArchiveStore) -> list[str]:
    """Return what stands beside the nodes and beside ``v1/``: keys, and folders (with a ``/`` at the end)."""
    beside = [name for name in store.entries("") if name != "v1/"]
    return beside + [name for name in store.entries("v1/") if not name.endswith("/")]


def list_chunks(store: ArchiveStore, node: str, *, since: str = "") -> tuple[list[Listed], list[str]]:
    """List the chunks of a node from a day (``yyyy/mm/dd``) on, in order of their numbers.

    Returns
    -------
    chunks : list of Listed
        Numbers may be missing, or stand there twice; then those whose keys have a hash come first.
    others : list of str
        Keys that are no chunk's.
    """
    prefix = f"v1/{node}/"
    chunks, others = [], []
    for key in store.keys(prefix, f"{prefix}{since}" if since else ""):
        found = parse_key(key)
        if found is None:
            others.append(key)
        else:
            chunks.append(Listed(found.seq, found.day, found.unique, key))
    return sorted(chunks, key=lambda item: (item.seq, item.day, not item.unique, item.key)), others


def is_copy(item: Listed, body: bytes, before: tuple[Listed, bytes] | None) -> bool:
    """Tell whether an object is the one listed before it once more, under the key without its hash.

    So a chunk stands there that waited while `if_ignored` was changed to and fro; it is one chunk.
    """
    if before is None or item.unique:
        return False
    other, theirs = before
    # Where the hash in the key is another one, that is what has to be said.
    return (other.seq, other.day, theirs) == (
        item.seq,
        item.day,
        body,
    ) and other.key == f"{item.key.removesuffix('.zst')}-{sha256_hex(body)[:16]}.zst"


def read_bodies(store: ArchiveStore, chunks: list[Listed]) -> Iterator[tuple[Listed, bytes]]:
    """Yield objects in the order given; some are fetched ahead, as S3 answers each after a while."""
    for item, future in _ahead(store, chunks):
        yield item, future.result()


def read_chunks(store: ArchiveStore, chunks: list[Listed]) -> Iterator[tuple[Listed, Chunk]]:
    """Yield chunks in the order given, each checked by itself (not that one follows the other).

    Raises
    ------
    TicklineError
        One cannot be read, or is damaged.
    """
    for item, body in read_bodies(store, chunks):
        yield item, unpack(body, item.key)


def read_all(store: ArchiveStore, chunks: list[Listed]) -> Iterator[tuple[Listed, Chunk | TicklineError]]:
    """Yield chunks as `read_chunks` does, and go on behind one that cannot be read: it comes as the error.

    Of a chunk that stands there twice in the way of `is_copy`, one is yielded.

    Raises
    ------
    TicklineError
        The store gives none of several in a row.
    """
    refused = 0
    before: tuple[Listed, bytes] | None = None
    for item, future in _ahead(store, chunks):
        try:
            body = future.result()
        except TicklineError as error:
            refused += 1
            if refused == _MOST_REFUSED:
                raise
            yield item, error
            continue
        refused = 0
        if is_copy(item, body, before):
            continue
        before = item, body
        try:
            yield item, unpack(body, item.key)
        except TicklineError as error:
            yield item, error


def _ahead(store: ArchiveStore, chunks: list[Listed]) -> Iterator[tuple[Listed, Future[bytes]]]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="archive") as pool:
        listed = iter(chunks)
        waiting = deque((item, pool.submit(store.get, item.key)) for item in islice(listed, _AHEAD))
        try:
            while waiting:
                item, future = waiting.popleft()
                if (following := next(listed, None)) is not None:
                    waiting.append((following, pool.submit(store.get, following.key)))
                yield item, future
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
