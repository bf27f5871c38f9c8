"""Where the chain ends, told by the archive alone: for a state that is lost, damaged or suspiciously old."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice

from tickline.errors import TicklineError
from tickline.pipelines.archive.chunk import seq_of, unpack
from tickline.pipelines.archive.state import Position
from tickline.pipelines.archive.stores import ArchiveStore

__all__ = ["Recovered", "recover"]

Recovered = tuple[Position, str]
"""The end of the chain, and whether conditional writes were honoured when it was written."""

# Keys that S3 lists in one request.
_PAGE = 1000


def recover(store: ArchiveStore, node: str, *, now_s: float, days: int, fresh: bool) -> Recovered | None:
    """Find the last chunk of a node, and read where it stands.

    Takes one listing of `days` and one GET; if there is nothing, a listing of all that the node ever wrote,
    because the number of a chunk must not be used twice, however long ago that was. Where the node seems to
    be a new one, that listing comes first, and its first page is likely to be all.

    Parameters
    ----------
    store : ArchiveStore
        The archive.
    node : str
        Whose chunks.
    now_s : float
        The node's clock, seconds since 1970.
    days : int
        How far back the first listing goes.
    fresh : bool
        Whether nothing is left of earlier runs; only the number of requests depends on it.

    Returns
    -------
    Recovered or None
        None if the node never wrote a chunk.

    Raises
    ------
    TicklineError
        The archive cannot be read, or its last chunk is damaged.
    """
    prefix = f"v1/{node}/"
    since = datetime.fromtimestamp(now_s, UTC) - timedelta(days=days)
    first = list(islice(store.keys(prefix), _PAGE)) if fresh else None
    if first is not None and len(first) < _PAGE:
        key = _last_of(first)
    else:
        key = _last_of(store.keys(prefix, f"{prefix}{since:%Y/%m/%d}")) or _last_of(store.keys(prefix))
    if key is None:
        return None
    chunk = unpack(store.get(key), key)
    header = chunk.header
    if header["node"] != node or header["seq"] != seq_of(key):
        what = "says that it is another chunk than its key does"
        raise TicklineError(what, where=key, hint="Run `tickline archive verify`.")
    told = header.get("store")
    same = isinstance(told, dict) and told.get("url") == store.url
    return Position.behind(chunk), str(told["conditional"]) if isinstance(told, dict) and same else "unknown"


def _last_of(keys: Iterable[str]) -> str | None:
    """Return the key with the greatest number."""
    numbered = ((seq_of(key), key) for key in keys)
    return max(((seq, key) for seq, key in numbered if seq is not None), default=(0, None))[1]
