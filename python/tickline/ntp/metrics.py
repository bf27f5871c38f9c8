"""What a client has counted: as numbers, as flags against thresholds, as text for Prometheus."""

from collections.abc import Callable
from typing import Any, Literal, get_args

from tickline import _core
from tickline.arguments import real_number, whole_number
from tickline.errors import UsageError

__all__ = ["Measure", "Metrics"]

Measure = Literal["elapsed", "offset", "error", "delay", "root_distance"]

_MOST_NS = 2**63 - 1


class Metrics:
    """Counts of all queries of a `Client`, as they stand whenever they are asked for.

    They take the same memory after a million queries as after one: counters, histograms with eight buckets
    for every doubling, how the last 32 queries went, and the servers of the last one.

    Parameters
    ----------
    snapshot : callable
        Returns the state of now; a client gives its own.
    """

    def __init__(self, snapshot: Callable[[], _core.NtpMetrics]) -> None:
        self._snapshot = snapshot

    def read(self) -> dict[str, Any]:
        """Return all counters and histograms.

        Returns
        -------
        dict
            ``queries``, ``agreed`` (queries with a result), ``packets_sent``, ``packets_dropped`` (datagrams
            that answered nothing), ``wall_steps`` (queries during which the clock was set),
            ``samples_reused``: int. ``samples`` by kind of stamp, ``servers`` by verdict, ``refused`` by
            reason, ``kisses`` by code (``"other"`` for codes that no RFC has): dict of int. ``last``: offset,
            error and falsetickers of the newest result, or None. ``elapsed``, ``offset`` (whichever way),
            ``error``, ``delay``, ``root_distance``: dict of ``count``, ``sum_ns``, ``max_ns``, ``p50_ns``,
            ``p90_ns``, ``p99_ns``.
        """
        return self._snapshot().read()

    def quantile_ns(self, measure: Measure, share: float) -> int:
        """Return what at least a `share` of the values does not exceed, in nanoseconds.

        Parameters
        ----------
        measure : {"elapsed", "offset", "error", "delay", "root_distance"}
            How long queries took; by how much the clock was off, and by how much that can be wrong; round
            trips; by how much servers can be wrong.
        share : float
            From 0 to 1.

        Returns
        -------
        int
            Never too small, and at most an eighth too large. 0 if nothing has been counted.

        Raises
        ------
        UsageError
            The measure is unknown, or the share is none.
        """
        if not 0 <= real_number(share, "share") <= 1:
            raise UsageError(f"{share} is none", where="share", hint="Give a number from 0 to 1.")
        if measure not in get_args(Measure):
            hint = f"Choose from: {', '.join(get_args(Measure))}."
            raise UsageError(f"{measure!r} is none", where="measure", hint=hint)
        return self._snapshot().quantile_ns(measure, float(share))

    def degraded(
        self,
        *,
        offset_s: float | None = None,
        error_s: float | None = None,
        elapsed_s: float | None = None,
        failed: float | None = None,
        falsetickers: int | None = None,
    ) -> tuple[str, ...]:
        """Return the names of the thresholds that are exceeded; what is not given is not looked at.

        Parameters
        ----------
        offset_s : float, optional
            By how much the clock may be off, whichever way, in the newest result.
        error_s : float, optional
            By how much that may be wrong.
        elapsed_s : float, optional
            How long the last 32 queries may have taken, in the median.
        failed : float, optional
            Which share of the last 32 queries may have had no result, 0 to 1.
        falsetickers : int, optional
            How many servers may have contradicted the newest result.

        Returns
        -------
        tuple of str
            Empty if all is well, and before the first query. If none of the last 32 queries had a result,
            ``offset``, ``error`` and ``falsetickers`` count as exceeded.

        Raises
        ------
        UsageError
            A threshold is negative or no number.

        Examples
        --------
        >>> import tickline as tl
        >>> tl.ntp.Client().metrics.degraded(offset_s=0.05, failed=0.5)
        ()
        """
        if failed is not None and not real_number(failed, "failed") >= 0:
            raise UsageError(f"{failed} is no share", where="failed", hint="Give a number from 0 to 1.")
        if falsetickers is not None:
            whole_number(falsetickers, "falsetickers", 0, 2**32 - 1)
        return self._snapshot().degraded(
            offset_ns=_ns("offset_s", offset_s),
            error_ns=_ns("error_s", error_s),
            elapsed_ns=_ns("elapsed_s", elapsed_s),
            failed=failed,
            falsetickers=falsetickers,
        )

    def prometheus(self) -> str:
        """Return all of it in the text format of Prometheus (0.0.4), the servers of the last query included.

        Names begin with ``tickline_ntp_`` and go on as those of chrony_exporter, where it has the same thing.
        """
        return self._snapshot().prometheus()


def _ns(name: str, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    given = real_number(seconds, name)
    if not given >= 0:
        raise UsageError(f"{seconds} is no threshold", where=name, hint="Give seconds, 0 or more.")
    return int(min(given * 1e9, _MOST_NS))
