"""TimeSync's record of how things went, kept as sums."""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["PerformanceMetrics", "get_global_metrics", "performance_timer"]

logger = logging.getLogger(__name__)


class PerformanceMetrics:
    """Counts and sums of what is recorded, for threads to share. Its memory does not grow."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def record_ntp_query(self, host: str, delay: float, success: bool, duration: float) -> None:
        """Record an answer or a failure of one server; times in seconds."""
        del host  # a label for each host would be without bound
        good = {"good": 1, "delay": delay} if success else {}
        self._add(queries=1, duration=duration, **good)

    def record_dns_cache_hit(self) -> None:
        """Record a name that was known."""
        self._add(dns_hits=1)

    def record_dns_cache_miss(self) -> None:
        """Record a name that had to be looked up."""
        self._add(dns_misses=1)

    def record_parallel_query(
        self, num_hosts: int, num_addresses: int, success: bool, duration: float, best_delay: float
    ) -> None:
        """Record a query of many servers; times in seconds."""
        del num_hosts, num_addresses, success, duration, best_delay  # no summary has ever had them
        self._add(parallel=1)

    def record_fallback_usage(self, method: str, duration: float) -> None:
        """Record that something else had to tell the time."""
        del method, duration
        self._add(fallbacks=1)

    def record_error(self, error_type: str, message: str) -> None:
        """Record an error."""
        del error_type, message
        self._add(errors=1)

    def get_summary(self) -> dict[str, Any]:
        """Return counts, means (seconds) and shares of what was recorded.

        Returns
        -------
        dict
            ``total_queries``, ``success_rate``, ``avg_delay`` (of those that succeeded), ``avg_duration``,
            ``dns_cache_hit_rate``, ``total_parallel_queries``, ``fallback_count``, ``error_count``. A share
            or mean of nothing is 0.0.
        """
        with self._lock:
            sums = self._sums.copy()

        def mean(total: str, *counts: str) -> float:
            count = sum(sums[name] for name in counts)
            return sums[total] / count if count else 0.0

        return {
            "total_queries": int(sums["queries"]),
            "success_rate": mean("good", "queries"),
            "avg_delay": mean("delay", "good"),
            "avg_duration": mean("duration", "queries"),
            "dns_cache_hit_rate": mean("dns_hits", "dns_hits", "dns_misses"),
            "total_parallel_queries": int(sums["parallel"]),
            "fallback_count": int(sums["fallbacks"]),
            "error_count": int(sums["errors"]),
        }

    def _add(self, **amounts: float) -> None:
        with self._lock:
            for name, amount in amounts.items():
                self._sums[name] += amount


@cache
def get_global_metrics() -> PerformanceMetrics:
    """Return the one record that the whole program may share."""
    return PerformanceMetrics()


@contextmanager
def performance_timer(operation_name: str) -> Iterator[None]:
    """Tell the log, at the level of debugging, how long a block took."""
    start_ns = time.perf_counter_ns()
    try:
        yield
    finally:
        logger.debug("%s took %.3f s", operation_name, (time.perf_counter_ns() - start_ns) / 1e9)
