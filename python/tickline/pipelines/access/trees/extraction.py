"""The tree of s3-log-extraction: ``extraction/<key>/{timestamps,bytes_sent,ips,download}.txt``.

Version 1.10.6 of that program, and of dandi-s3-log-extraction 1.1.0, whose keys a store has that was made
with ``--keys dandi``: below ``blobs`` and ``zarr/<id>`` only. Four files of a line each request:

- ``timestamps.txt``: ``YYMMDDhhmmss``, the year in two digits;
- ``bytes_sent.txt``: 0 where the log has ``-``;
- ``ips.txt``: the address, ``-`` where the log has none. Where it has an address of IPv6 in a spelling other
  than that of RFC 5952, which Amazon does not write, it stands in that one;
- ``download.txt``: 1 if the status is 200, else 0; 0 as well for rows that came in from a tree of the old
  programs, as such trees name no status.

Requests come by source in natural order of names, then by line; that program takes its files in random order.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from tickline.pipelines.access.trees.tree import TreeReport, write_tree
from tickline.pipelines.access.trees.tree_rows import (
    KeyContents,
    Lines,
    lines_of,
    numbers,
    short_times,
    texts,
)
from tickline.progress import Progress

if TYPE_CHECKING:
    import pyarrow

    from tickline.store.folder import StoreFolder

__all__ = ["export_extraction"]


class _Extraction(KeyContents):
    suffixes = ("/timestamps.txt", "/bytes_sent.txt", "/ips.txt", "/download.txt")
    heads = (b"", b"", b"", b"")
    columns = ("time", "bytes_sent", "ip_address", "http_status")

    def lines(self, table: "pyarrow.Table") -> list[Lines]:
        import pyarrow as pa
        import pyarrow.compute as pc

        download = pc.equal(table["http_status"], 200).fill_null(False).cast(pa.uint8())
        return [
            lines_of(short_times(table)),
            lines_of(numbers(table)),
            lines_of(texts(table, "ip_address", strict=self._strict)),
            lines_of(download),
        ]


def export_extraction(
    folder: "StoreFolder", root: Path, *, compat: str = "fixed", progress: Progress | None = None
) -> TreeReport:
    """Bring an extraction tree up to date; for the parameters and errors see `write_tree`.

    With `compat` ``"fixed"`` control bytes in what was logged are ``%XX``, so that each value is one line;
    with ``"strict"`` they stand as they were logged.
    """
    return write_tree(folder, root, _Extraction(folder, strict=compat == "strict"), progress)
