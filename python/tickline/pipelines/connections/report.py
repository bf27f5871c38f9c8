"""The report of connections: the busiest server, who connected to a host, and where a host connected to."""

from dataclasses import dataclass, field, replace
from typing import Any

from tickline import accounting
from tickline.clients.remote import Remotes
from tickline.clients.remote_files import shown
from tickline.engines import EngineOptions, open_cluster
from tickline.errors import SourceError, TicklineError
from tickline.pipelines.connections.aggregates import Aggregates
from tickline.pipelines.connections.cluster import count_on_cluster
from tickline.pipelines.connections.count import Counted, count_logs
from tickline.pipelines.connections.files import find_logs
from tickline.pipelines.connections.options import NS_PER_S, ConnectionOptions, Window
from tickline.pipelines.connections.reports import (
    ReportWindow,
    Rows,
    check_reports,
    connected_to,
    connections_from,
    run_reports,
    top,
)
from tickline.progress import Progress
from tickline.table import Table, rejects_of

__all__ = ["Bucket", "Result", "connection_report", "report_of"]

# A window of years in buckets of seconds is listed without its empty ones.
_MOST_EMPTY = 100_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """Connections of one bucket of the window: of all, those to HOST_TO and those from HOST_FROM.

    `since_ns` and `until_ns` are its first and its last nanosecond.
    """

    since_ns: int
    until_ns: int
    connections: int
    connected_to: int
    connections_from: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a report of connections found in its window.

    Attributes
    ----------
    top : tuple of (str, int)
        Every host that was connected to and how often, the most first; those with equal counts by the code
        points of their names.
    connected_to : dict of str to int
        Who connected to `host_to`, by name, and how often.
    connections_from : dict of str to int
        What `host_from` connected to, likewise.
    buckets : tuple of Bucket
        The window in pieces, the latest first. The last one may be shorter, or a single moment: both ends of
        the window belong to it.
    table : Aggregates
        All counts: ``bucket`` (-1 is the latest, then downwards), ``host_from``, ``host_to``, ``count``.
    accounting : dict
        What became of every line: of each source, and in total.
    rejects : Table
        The first rejected lines of each source.
    reports : dict of str to str or list of dict
        What the reports of other packages gave, by their names.
    problems : tuple of TicklineError
        What could not be read, and nothing of it is counted; reports of other packages that failed.
    left_out : dict of str to int
        Files that were found and are none that is asked for, by reason; empty for a tail.
    """

    host_from: str
    host_to: str
    window: Window
    top: tuple[tuple[str, int], ...]
    connected_to: dict[str, int]
    connections_from: dict[str, int]
    buckets: tuple[Bucket, ...]
    table: Aggregates
    accounting: dict[str, Any]
    rejects: Table
    reports: dict[str, str | Rows] = field(default_factory=dict)
    problems: tuple[TicklineError, ...] = field(default=())
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def connections(self) -> int:
        """How many connections there were in the window."""
        return sum(bucket.connections for bucket in self.buckets)

    def as_json(self) -> dict[str, Any]:
        """Return what ``--format json`` prints."""
        total = self.accounting["total"]
        return {
            "now": _seconds(self.window.until_ns),
            "seconds": _seconds(self.window.until_ns - self.window.since_ns),
            "lines": total["lines"],
            "rejected": accounting.rejected(total),
            "top": [{"host": host, "count": count} for host, count in self.top],
            "connected_to": {"host": self.host_to, "hosts": self.connected_to},
            "connections_from": {"host": self.host_from, "hosts": self.connections_from},
            "accounting": self.accounting,
        }


def _seconds(ns: int) -> float:
    """Return seconds, and whole ones as such."""
    whole, rest = divmod(ns, NS_PER_S)
    return ns / NS_PER_S if rest else whole


def connection_report(
    options: ConnectionOptions, progress: Progress | None = None, engine: EngineOptions | None = None
) -> Result:
    """Read logs of connections and report on the window that is asked for.

    Parameters
    ----------
    engine : EngineOptions, optional
        Who counts: threads of this process (the default), or the workers of a cluster. The result is the
        same.

    Raises
    ------
    SourceError
        No file is found.
    UsageError
        A report that is asked for is not installed.
    ClusterError
        The cluster cannot do the work.
    TicklineError
        There are more hosts and counts than `options.memory_bytes` holds.
    """
    check_reports(options.reports)
    with Remotes() as remotes:
        found = find_logs(options.locations, remotes)
        if not found.files:
            if found.problems:
                raise found.problems[0]
            where = ", ".join(map(shown, options.locations))
            raise SourceError("no log was found", where=where, hint="Name a file, a folder or a pattern.")
        logs = [remotes.addresses.get(file.path, file.path) for file in found.files]
        if engine is None or not engine.distributed:
            result = report_of(count_logs(logs, options, progress, remotes), options)
        else:
            with open_cluster(engine) as cluster:
                counted = count_on_cluster(logs, options, progress, remotes, cluster)
                result = report_of(counted, options, cluster.client)
    return replace(result, problems=(*found.problems, *result.problems), left_out=dict(found.left_out))


def report_of(counted: Counted, options: ConnectionOptions, client: object = None) -> Result:
    """Report on what was counted, here or by the Dask cluster of `client`."""
    table = Aggregates(counted.count.table())
    window = options.window
    asked = ReportWindow(
        window.since_ns, window.until_ns, window.bucket_ns, options.host_from, options.host_to
    )
    given, failed = run_reports(options.reports, table, asked, client)
    return Result(
        options.host_from,
        options.host_to,
        window,
        tuple((row["host"], row["count"]) for row in top(table, asked)),
        {row["host"]: row["count"] for row in connected_to(table, asked)},
        {row["host"]: row["count"] for row in connections_from(table, asked)},
        _buckets(table, asked),
        table,
        accounting.report(counted.accounting),
        rejects_of(counted.rejects),
        given,
        (*counted.problems, *failed),
    )


def _buckets(table: Aggregates, asked: ReportWindow) -> tuple[Bucket, ...]:
    """Return every bucket of the window that is not too long to be listed, with empty ones."""
    number = (asked.until_ns - asked.since_ns) // asked.bucket_ns + 1
    every = table.by_bucket()
    to_host, of_host = table.by_bucket(to=asked.host_to), table.by_bucket(of=asked.host_from)
    listed = range(-1, -1 - number, -1) if number <= _MOST_EMPTY else list(every)
    return tuple(
        Bucket(
            max(asked.until_ns + bucket * asked.bucket_ns + 1, asked.since_ns),
            asked.until_ns + (bucket + 1) * asked.bucket_ns,
            every.get(bucket, 0),
            to_host.get(bucket, 0),
            of_host.get(bucket, 0),
        )
        for bucket in listed
    )
