"""What tests of queries share: how long is long, and whether a result holds the true time."""

from __future__ import annotations

import time
from typing import Any

# Many times what an answer takes, also on a busy machine: nothing that is meant to go on waits for it.
PATIENCE_S = 20.0
AT_ONCE_NS = PATIENCE_S * 1e9 / 2
# An accuracy out of reach: such a query goes on until every server has answered.
NEVER_S = 1e-9
# Whole milliseconds, a little more than a query on loopback needs.
MOMENT_S = 0.3


def contains_clock(result: Any, ahead_ns: int = 0) -> bool:
    """Tell whether the interval holds this machine's clock, which test servers go by, or one ahead of it."""
    before, wall, after = time.monotonic_ns(), time.time_ns() + ahead_ns, time.monotonic_ns()
    earliest, latest = (bound - result.monotonic_ns for bound in result.interval_ns)
    return bool(earliest <= wall - before and wall - after <= latest)


def verdicts(result: Any) -> list[str]:
    """Return the verdict of each server."""
    return [server.verdict for server in result.servers]
