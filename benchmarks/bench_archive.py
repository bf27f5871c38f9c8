"""Requests to S3 of one node that archives its chrony logs every 30 minutes, counted at the server.

Ours beside the NTP log processor, rewritten from its description: each run lists the months of the look-back,
reads the five newest objects of each of its days and of today, keeps the lines of today that share date, time
and address with none of them, and puts those as one object. The server is moto, on loopback; a proxy before
it counts.

Ours is run twice more: without new lines (heartbeats alone), and with its state lost. Checks that each line
of the logs is in our archive once, and says how many the other way has lost or doubled.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import pytest

from python.archive_s3_support import Counted, counting, make_bucket, s3_config, s3_store
from python.archive_support import Chronyd, Clock, archived_lines, chunks, run
from python.s3_support import moto, sdk, set_environment

EVERY_S = 1800
LOGS_PER_DAY = 5
LOOKBACK_DAYS = 3
ROWS = 12


class OldWay:
    """The NTP log processor: no state of its own; what was uploaded is found out by reading it."""

    def __init__(self, client: Any, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def run(self, now_s: float) -> None:
        today = datetime.fromtimestamp(now_s, UTC).date()
        days = [f"{today - timedelta(days=back)}" for back in range(LOOKBACK_DAYS, -1, -1)]
        keys: dict[str, list[str]] = {day: [] for day in days}
        for month in sorted({day[:7] for day in days}):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket="old", Prefix=f"n1-{month}"):
                for item in page.get("Contents", ()):
                    keys.get(item["Key"][3:13], []).append(item["Key"])
        known = set()
        for of_day in keys.values():
            for key in sorted(of_day, reverse=True)[:LOGS_PER_DAY]:
                body = self.client.get_object(Bucket="old", Key=key)["Body"].read()
                known |= {b"_".join(line.split()[:3]) for line in body.splitlines()}
        fresh = [
            line
            for path in sorted(self.folder.iterdir())
            for line in path.read_bytes().splitlines(keepends=True)
            if line.startswith(f"{today}".encode()) and b"_".join(line.split()[:3]) not in known
        ]
        if fresh:
            name = f"n1-{today}-{datetime.fromtimestamp(now_s, UTC):%H%M%S}.log"
            self.client.put_object(Bucket="old", Key=name, Body=b"".join(fresh))

    def lines(self) -> Counter[bytes]:
        found: Counter[bytes] = Counter()
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket="old"):
            for item in page.get("Contents", ()):
                body = self.client.get_object(Bucket="old", Key=item["Key"])["Body"].read()
                found.update(body.splitlines(keepends=True))
        return found


def show(name: str, counted: Counted, runs: int, work: Callable[[int], object]) -> None:
    """Do the runs, and print their requests."""
    counted.take()
    each = []
    kinds: Counter[str] = Counter()
    cpu = time.process_time()
    for number in range(runs):
        work(number)
        taken = counted.take()
        kinds.update(taken)
        each.append(len(taken))
    cpu = time.process_time() - cpu
    steady = each[len(each) // 2 :]
    what = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items())) or "none"
    print(
        f"{name:<34} {sum(each):6,} requests, {sum(steady) / len(steady):5.2f} a run in the second half "
        f"(most {max(steady)}), {cpu * 1000 / runs:6.1f} ms CPU a run with the proxy: {what}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=240)
    runs = parser.parse_args().runs
    patch = pytest.MonkeyPatch()
    with tempfile.TemporaryDirectory() as folder, moto() as upstream, counting(upstream) as counted:
        root = Path(folder)
        set_environment(patch, counted.url)
        for bucket in ("old", "logs"):
            make_bucket(upstream, bucket)
        clock = Clock()
        logs = [Chronyd(root / "log", kind) for kind in ("tracking", "measurements", "statistics")]
        config = s3_config(root)
        store = s3_store(config)

        def grow() -> None:
            for _ in range(ROWS):
                clock.now_s += EVERY_S / ROWS
                at = f"{datetime.fromtimestamp(clock.now_s, UTC):%Y-%m-%d %H:%M:%S}"
                for log in logs:
                    log.write_raw(f"{at} 192.0.2.1 {log.path.stem} {clock.now_s:.0f}\n".encode())

        with sdk(counted.url) as client:
            old = OldWay(client, root / "log")

            def old_run(_: int) -> None:
                grow()
                old.run(clock.now_s)

            show("the NTP log processor", counted, runs, old_run)
            written = sum((log.written for log in logs), Counter[bytes]())
            has = old.lines()
            lost, doubled = (written - has).total(), (has - written).total()
            print(f"{'':<34} of {written.total():,} lines {lost:,} lost, {doubled:,} doubled")

        def new_run(_: int) -> None:
            grow()
            assert not run(config, store, clock).problems

        def quiet_run(_: int) -> None:
            clock.now_s += EVERY_S
            assert not run(config, store, clock).problems

        def lost_run(_: int) -> None:
            shutil.rmtree(config.state)
            new_run(0)

        show("tickline archive run, new lines", counted, runs, new_run)
        show("tickline archive run, nothing new", counted, runs, quiet_run)
        show("tickline archive run, state lost", counted, 2, lost_run)
        everything = sum((log.written for log in logs), Counter[bytes]())
        assert archived_lines(chunks(store)) == everything
        print(f"{'':<34} of {everything.total():,} lines each is in the archive once")
        store.close()
    patch.undo()


if __name__ == "__main__":
    main()
