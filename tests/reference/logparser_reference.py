"""The algorithm of logparser in pandas, step by step as its author describes it, Dask left out.

Its quirks are in here as well: the first line of each file is taken for a header, and so lost; what pandas
takes for a missing value (NA, null, nan, None) is no name; of equal counts any server may be printed.
"""

from __future__ import annotations

from pathlib import Path

import pandas


def report(paths: list[Path], host_from: str, host_to: str, now: int, seconds: int, grouping: int) -> str:
    """Return what logparser prints for some logs at the time `now`."""
    if not paths:
        return "No log files found!\n"
    # No names are given, so that the first line is the header.
    logs = [pandas.read_csv(path, sep=" ").set_axis(["ts", "from", "to"], axis="columns") for path in paths]
    rows = pandas.concat(logs, ignore_index=True)
    rows = rows[rows["ts"].between(now - seconds, now)]
    if rows.empty:
        return f"No data in last {seconds} seconds\n"
    bucket = ((now - rows["ts"]) // grouping).rename("bucket")
    # Sorted by bucket and names; a name counts where it is seen first.
    groups = rows.groupby([bucket, "from", "to"])["ts"].count().reset_index()
    connected_to = groups.loc[groups["to"] == host_to, "from"].drop_duplicates()
    connected_from = groups.loc[groups["from"] == host_from, "to"].drop_duplicates()
    servers = groups.groupby("to", as_index=False)["ts"].sum()
    most = servers.sort_values("ts", ascending=False).iloc[0]

    lines = ["Report results", "--------------", ""]
    lines += ["* Server that received more connections:", most.to_string(), ""]
    lines += [f"* List of connected hosts to {host_to}", "", ", ".join(connected_to), ""]
    lines += [f"* List of connections from {host_from}", ", ".join(connected_from)]
    return "\n".join(lines) + "\n"
