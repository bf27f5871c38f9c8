"""What long runs share: where they tell how far they are, and how many cores they may use."""

import os

__all__ = ["Progress", "cores"]


class Progress:
    """Where a run tells how far it is; this one keeps silent. Called from several threads."""

    def start(self, total_bytes: int) -> None:
        """So many bytes are to be read."""

    def advance(self, size: int) -> None:
        """So many more of them were read."""

    def reach(self, done: int, total: int) -> None:
        """So many of `total` are done; for what is counted in something else than bytes."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
