"""One S3 access log as Arrow columns: in numpy, in DuckDB, and with every line accounted for."""

import tempfile
from pathlib import Path

import duckdb

import tickline as tl


def main() -> None:
    """Make a log, read it, and ask who was asked for what."""
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder, "logs")
        tl.fake.generate_access(logs, total_bytes=2_000_000, seed=7, days=1, dirty=0.01)

        log = tl.access.read(
            logs, columns=["time", "key", "bytes_sent"], operation="REST.GET.OBJECT", status="2xx"
        )
        print(log)

        # numpy: nulls are masked, never 0.
        print("bytes sent:", int(log.column("bytes_sent").sum()))

        # DuckDB reads the columns in place, as polars, pyarrow and pandas do.
        print(
            duckdb.sql(
                "select key, count(*) n, sum(bytes_sent) bytes from log group by key order by n desc limit 5"
            )
        )

        # Nothing is lost silently: a line is accepted, filtered or rejected, and the last are listed.
        total = log.accounting["total"]
        others = sum(total["filtered"].values()) + sum(total["rejected"].values())
        assert total["lines"] == total["accepted"] + others
        print("rejected:", total["rejected"], "the first in line", log.rejects.column("line")[0])


if __name__ == "__main__":
    main()
