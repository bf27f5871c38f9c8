"""Whether an archive is what was written to it, told by the archive alone.

Every object is read once, node by node, and fed to `tickline.pipelines.archive.chain.ChainCheck`, whose table
says what is judged. What is judged beside the chain:

================= ========================================================================================
``foreign``       there is an object among the chunks that is none, or something beside the nodes or ``v1/``
``conditional``   the store was seen to ignore conditional writes, and the key has no hash that keeps two
                  objects apart: it would have been overwritten
``version``       an object was written again; what it was is an older version (S3)
``delete_marker`` an object was deleted; what it was is an older version (S3)
``retention``     an object may be deleted earlier, or by more people, than was asked for (S3)
================= ========================================================================================

A folder has no versions and keeps no dates of retention: there nothing is judged of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tickline.errors import SourceError, TicklineError
from tickline.pipelines.archive.chain import ChainCheck, Flaw
from tickline.pipelines.archive.chunk import Chunk
from tickline.pipelines.archive.locks import RetentionCheck, version_flaws
from tickline.pipelines.archive.reader import Listed, list_chunks, list_foreign, list_nodes, read_all
from tickline.pipelines.archive.stores import ArchiveStore, FolderStore
from tickline.progress import Progress

__all__ = ["NodeFound", "Verified", "verify"]


@dataclass(slots=True)
class NodeFound:
    """What the archive has of one node.

    Attributes
    ----------
    objects, lines : int
        Chunks that were read, and their lines.
    first, last : str or None
        When the first and the last of them were made, by the node's clock.
    conditional : str
        Whether the store honours conditional writes, as the last one says: ``"unknown"``, ``"honoured"``,
        ``"ignored"``.
    unique_keys : bool
        Whether the key of the last one has its hash (``if_ignored = "unique-keys"``).
    flaws : int
        Findings that concern it.
    """

    node: str
    objects: int = 0
    lines: int = 0
    first: str | None = None
    last: str | None = None
    conditional: str = "unknown"
    unique_keys: bool = False
    flaws: int = 0


@dataclass(slots=True)
class Verified:
    """What `verify` found.

    Attributes
    ----------
    objects, lines : int
        Chunks that were read, and their lines.
    nodes : list of NodeFound
        By node.
    flaws : list of Flaw
        By node, in the order of the chain.
    keeps_versions : bool
        Whether the store has versions and dates of retention, so that they were judged.
    """

    objects: int = 0
    lines: int = 0
    nodes: list[NodeFound] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)
    keeps_versions: bool = False

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.flaws

    def as_json(self) -> dict[str, Any]:
        """Return what ``verify --json`` shows."""
        findings = [flaw.as_json() for flaw in self.flaws]
        return {"ok": self.ok, "objects": self.objects, "lines": self.lines, "findings": findings}


def verify(
    store: ArchiveStore,
    *,
    now_s: float,
    nodes: Sequence[str] = (),
    since: str = "",
    progress: Progress | None = None,
) -> Verified:
    """Read an archive, and tell everything that is not as it was written or as it was promised.

    Parameters
    ----------
    store : ArchiveStore
        The archive.
    now_s : float
        Seconds since 1970, to tell whether a node's chain goes on.
    nodes : sequence of str
        Which nodes; all that the archive has, if none is named.
    since : str
        Day (``yyyy/mm/dd``) of the first chunks to look at; empty for all. What was before is taken as true.
    progress : Progress
        Is told how many objects of how many were read; how many there are is estimated while nodes are left.

    Raises
    ------
    SourceError
        There is no archive.
    TicklineError
        The store gives no answer.
    """
    names = list(dict.fromkeys(nodes)) or list_nodes(store)
    result = Verified(keeps_versions=not isinstance(store, FolderStore))
    for place, node in enumerate(names):
        listed, others = _listed(store, node, since)
        total = (result.objects + len(listed)) * len(names) // (place + 1)
        with _Node(store if result.keeps_versions else None, node, whole=not since) as seen:
            for item, chunk in read_all(store, listed):
                seen.add(item, chunk)
                result.objects += 1
                if progress is not None:
                    progress.reach(result.objects, max(total, result.objects))
            seen.end(now_s, others)
        result.flaws += seen.flaws
        result.lines += seen.found.lines
        result.nodes.append(seen.found)
    if result.keeps_versions:
        # Of a node all of whose objects were deleted nothing else tells, so that all are asked for.
        for prefix in [f"v1/{node}/" for node in names] if nodes else ["v1/"]:
            result.flaws += version_flaws(store, prefix)
    foreign = [] if nodes else list_foreign(store)
    if not names and not result.flaws and not any(key.startswith("v1/") for key in foreign):
        hint = "Check the address: nodes stand below v1/ there."
        raise SourceError("there is no node in it", where=store.url, hint=hint)
    result.flaws += [Flaw(key, "foreign", "it is no part of this archive") for key in foreign]
    for found in result.nodes:
        found.flaws = sum(flaw.object.startswith(f"v1/{found.node}/") for flaw in result.flaws)
    return result


def _listed(store: ArchiveStore, node: str, since: str) -> tuple[list[Listed], list[str]]:
    listed, others = list_chunks(store, node, since=since)
    if since and not listed:
        # Whether the chain was cut is asked of its last chunk, however old that is.
        everything, others = list_chunks(store, node)
        listed = everything[-1:]
    return listed, others


class _Node:
    """All that is looked at of one node, each chunk once."""

    def __init__(self, store: ArchiveStore | None, node: str, *, whole: bool) -> None:
        self.found = NodeFound(node)
        self.flaws: list[Flaw] = []
        self._chain = ChainCheck(node, whole=whole)
        self._retention = RetentionCheck(store)
        self._may_overwrite = False

    def __enter__(self) -> "_Node":
        return self

    def __exit__(self, *_: object) -> None:
        self._retention.close()

    def add(self, item: Listed, chunk: Chunk | TicklineError) -> None:
        """Look at the next chunk."""
        found = self.found
        found.objects += 1
        self.flaws += self._chain.add(item, chunk)
        if isinstance(chunk, TicklineError):
            return
        header = chunk.header
        found.lines += header["lines"]
        if isinstance(created := header.get("created"), str):
            found.first, found.last = found.first or created, created
        self.flaws += self._conditional(item, header)
        self.flaws += self._retention.add(item, header)

    def _conditional(self, item: Listed, header: dict[str, Any]) -> Iterator[Flaw]:
        told = header.get("store")
        known = told.get("conditional") if isinstance(told, dict) else None
        if known == "ignored" and not (item.unique or self._may_overwrite):
            self._may_overwrite = True
            text = (
                "when it was written, the store had been seen to overwrite objects in spite of "
                "If-None-Match, and its key has no hash"
            )
            yield Flaw(item.key, "conditional", text)
        self.found.conditional = known if isinstance(known, str) else "unknown"
        self.found.unique_keys = item.unique

    def end(self, now_s: float, others: list[str]) -> None:
        """Look at what is left behind the last chunk."""
        prefix = f"v1/{self.found.node}/"
        if not self.found.objects:
            self.flaws.append(Flaw(prefix, "missing", "there is no chunk of this node"))
        self.flaws += self._chain.end(now_s)
        self.flaws += self._retention.end()
        self.flaws += [Flaw(key, "foreign", "it is no chunk of this archive") for key in others]
