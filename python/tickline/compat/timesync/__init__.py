"""The classes of TimeSync's utilities, over `tickline.ntp` and `tickline.time`.

Code that used them changes one import::

    from tickline.compat.timesync import ParallelNTPClient, get_global_dns_cache

Names, arguments and units (``float`` seconds) are the old ones. This is different on purpose:

Answers
    - An answer must pass all checks of `tickline.ntp.check`. TimeSync took nearly any packet: kiss codes,
      unsynchronised servers, stratum 16, its own request sent back, a stranger's stamp or port.
    - Three servers must agree, however many there are: name four. To believe a single one, say so with
      ``ParallelNTPClient(quorum=1)``.
    - The best answer is the one that can be wrong by the least (root distance), not the one with the smallest
      delay: a server can lie about that, and a negative one used to win.
    - A query ends early when the quorum agrees to within `good_delay_threshold`, also if this machine's clock
      is wrong by more than a second. A good answer is never lost because others are silent.
    - `NTPResponse.server_time` belongs to the end of the query, on all answers alike, and not to the moment
      the answer left its server. So `server_time` - `timestamp` is `offset`.
    - Times are right beyond 2036-02-07, when the seconds of NTP begin anew.
Packets
    - A server is asked once in two seconds at most. Repeats go to servers that were silent; TimeSync sent all
      attempts to all addresses at once. The addresses of a name are tried one after another.
    - There are no worker threads: `max_workers` is taken and not used, there is no `executor`, and nothing
      is left behind for `shutdown` to end. Names are looked up while others are being asked.
    - `timeout` is for a whole attempt, the look-up of names included, and no longer for one packet.
Numbers
    - Inside, all times are integer nanoseconds. The exact ones are beside the floats, as in
      `NTPResponse.offset_ns`, and in `tickline.ntp` and `tickline.time`.
    - FastDate64 is rounded to the nearest tick and not cut; from 18 February 1970 on that is the number that
      TimeSync made of the same ``float``. A ``float`` of today is good to 238 ns only:
      ``tickline.time.encode_ns(time.time_ns())`` loses nothing.
    - What is no 64 bits is an `OverflowError` for `FastDate64Encoder.decode`, not some time.
Caches and files
    - The cache of names counts by the monotonic clock, remembers names that have no address for five
      seconds, and goes on with old addresses while the resolver is silent.
    - `TargetedFileScanner` counts files that it has looked at (and no folder ``/tmp``), takes only those that
      root owns and nobody else may write, no times in the future, and has a limit of time.
    - `PerformanceMetrics` keeps sums, no lists, so its memory does not grow. `performance_timer` no longer
      counts as an error. Every `ParallelNTPClient` counts on its own, too: `ParallelNTPClient.metrics`.
"""

from functools import cache

from tickline.compat.timesync.client import NTPResponse, ParallelNTPClient, ParallelQueryResult
from tickline.compat.timesync.files import TargetedFileScanner
from tickline.compat.timesync.metrics import PerformanceMetrics, get_global_metrics, performance_timer
from tickline.compat.timesync.names import DNSCache
from tickline.compat.timesync.times import (
    NTP_PACKET_STRUCT,
    NTP_TIMESTAMP_STRUCT,
    FastDate64Encoder,
    MonotonicTimeCalculator,
)

__all__ = [
    "NTP_PACKET_STRUCT",
    "NTP_TIMESTAMP_STRUCT",
    "DNSCache",
    "FastDate64Encoder",
    "MonotonicTimeCalculator",
    "NTPResponse",
    "ParallelNTPClient",
    "ParallelQueryResult",
    "PerformanceMetrics",
    "TargetedFileScanner",
    "clear_global_caches",
    "get_global_dns_cache",
    "get_global_metrics",
    "performance_timer",
]


@cache
def get_global_dns_cache() -> DNSCache:
    """Return the one cache of names that the whole program may share."""
    return DNSCache()


def clear_global_caches() -> None:
    """Make the cache of `get_global_dns_cache` forget everything."""
    get_global_dns_cache().clear()
