"""What tells a file from another one that lies under the same name on another machine."""

import hashlib
from typing import Protocol

__all__ = ["Sampled", "sample_of"]

_SAMPLE_BYTES = 4096


class Sampled(Protocol):
    """What can be sampled: `tickline.sources.Source`, and the remote files of `tickline.clients`."""

    # A property, so that plain attributes fit as well.
    @property
    def kind(self) -> str: ...

    def read_at(self, offset: int, size: int, /) -> bytes:
        """Return the bytes ``[offset, offset + size)``, fewer at the end only."""


def sample_of(source: Sampled, size: int) -> str:
    """Return a hash of the ends of a file, as far as `size`; of a pipe an empty text.

    What was there is still there: a log only grows.
    """
    if source.kind == "pipe":
        return ""
    begin = max(size - _SAMPLE_BYTES, 0)
    ends = source.read_at(0, min(size, _SAMPLE_BYTES)), source.read_at(begin, size - begin)
    return hashlib.blake2b(b"".join(ends), digest_size=16).hexdigest()
