"""Logs larger than memory: a stream of batches, of which one is in memory at a time."""

import tempfile
from pathlib import Path

import numpy as np

import tickline as tl


def main() -> None:
    """Count bytes per day without ever holding the log."""
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder, "logs")
        tl.fake.generate_access(logs, total_bytes=6_000_000, seed=7, days=3, dirty=0.001)

        bytes_by_day: dict[str, int] = {}
        batches = tl.access.scan(
            logs, columns=["time", "bytes_sent"], operation="REST.GET.OBJECT", batch_rows=5_000
        )
        for batch in batches:
            days = batch.column("time").astype("datetime64[D]")
            sent = np.ma.filled(batch.column("bytes_sent"), 0)
            for day in np.unique(days):
                bytes_by_day[str(day)] = bytes_by_day.get(str(day), 0) + int(sent[days == day].sum())

        for day, total in sorted(bytes_by_day.items()):
            print(day, f"{total:>20,} bytes")
        print(batches.accounting["total"]["accepted"], "requests")
        assert len(bytes_by_day) >= 3


if __name__ == "__main__":
    main()
