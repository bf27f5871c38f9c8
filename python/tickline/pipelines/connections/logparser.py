"""The report as logparser printed it, byte for byte where that is defined.

Where it is not: of servers with equal counts the first by name is printed, and no line of a file is lost.
"""

from tickline.pipelines.connections.options import NS_PER_S
from tickline.pipelines.connections.report import Result

__all__ = ["NO_FILES", "as_text"]

NO_FILES = "No log files found!\n"
# pandas cuts what is longer than 50 characters, with the blank that it puts before each value.
_MOST_CHARS = 49


def as_text(result: Result) -> str:
    """Return the text of a report."""
    if not result.top:
        window = result.window
        return f"No data in last {(window.until_ns - window.since_ns) // NS_PER_S} seconds\n"
    server, count = result.top[0]
    # Names stand in the order in which they are found from the latest bucket on.
    hosts = result.table.latest_first(to=result.host_to)
    servers = result.table.latest_first(of=result.host_from)
    return (
        "Report results\n"
        "--------------\n"
        "\n"
        "* Server that received more connections:\n"
        f"{_series(server, count)}\n"
        "\n"
        f"* List of connected hosts to {result.host_to}\n"
        "\n"
        f"{', '.join(hosts)}\n"
        "\n"
        f"* List of connections from {result.host_from}\n"
        f"{', '.join(servers)}\n"
    )


def _series(server: str, count: int) -> str:
    """Return what pandas' Series.to_string gives for a name and a count."""
    name = server if len(server) <= _MOST_CHARS else server[: _MOST_CHARS - 3] + "..."
    width = max(len(name), len(str(count)))
    return f"to    {name:>{width}}\nts    {count:>{width}}"
