"""The access store: whole commands, and queries in process, against what they replace.

    python benchmarks/bench_store.py [--bytes 572MB] [--only SECTION,SECTION,...] [--folder FOLDER]

The sections:

    chain    ingest + compact + summarize against the chain of dandi_s3_log_parser (dandi_chain.py); one core
    again    `access run` a second time with nothing new: its share of the first one's CPU time
    days     a new day of 20 MB on stores of 10, 100 and 1,000 days of --day-bytes, all over the same keys
    memory   peak memory of `ingest` over --big-bytes of logs
    size     bytes a row of that store after `compact` and `vacuum`: parts, daily files and ledger
    queries  one key, and the archive's totals, in process, against a full scan of that store

The answers are checked: against the chain's sums, truth.json, and one another. The chain takes minutes for
the full size; the large store needs 5 GB of disk.
"""

import argparse
import contextlib
import datetime as dt
import functools
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store_runs import (
    Run,
    access,
    check,
    check_totals,
    compare,
    cpu_of,
    files_of,
    first_time,
    in_one_process,
    labels_by_hash,
    make_logs,
    networks,
    one_core,
    parse_bytes,
    run,
    show,
    sum_of,
    tickline,
)

HERE = Path(__file__).resolve().parent
SECTIONS = ("chain", "again", "days", "memory", "size", "queries")
# The new day is the same one for all stores, so that its month is as full in each of them.
NEW_DAY = dt.date(2025, 6, 10)
NEW_DAY_BYTES = "20MB"
HISTORIES = (10, 100, 1000)
HISTORY_KEYS = 40_000
BIG_KEYS = 280_000


class Bench:
    """What the sections share: sizes, places, and the one large store."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder = folder
        self.bytes: str = arguments.bytes
        self.big_bytes: str = arguments.big_bytes
        self.day_bytes: str = arguments.day_bytes

    def fresh(self, name: str) -> Path:
        """Return a folder that does not exist."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    @functools.cached_property
    def raw(self) -> tuple[Path, dict[str, Any]]:
        """Four days of logs, with 40,000 keys to 572 MB, and their truth."""
        raw = self.fresh("raw")
        truth = make_logs(raw, self.bytes, "--days", 4, "--catalog")
        total, keys = truth["bytes"], truth["reduce"]["by_key"]["distinct"]
        print(f"logs: {total / 1e6:.0f} MB, 4 days, {truth['lines']:,} lines, {keys:,} keys")
        return raw, truth

    @functools.cached_property
    def big_raw(self) -> tuple[Path, dict[str, Any]]:
        """Four days of more logs, with more keys than any other here, and their truth."""
        raw = self.fresh("raw-big")
        truth = make_logs(raw, self.big_bytes, "--days", 4, "--keys", BIG_KEYS, "--catalog")
        total, keys = truth["bytes"], truth["reduce"]["by_key"]["distinct"]
        print(f"large logs: {total / 1e6:,.0f} MB, 4 days, {truth['lines']:,} lines, {keys:,} keys")
        return raw, truth

    @functools.cached_property
    def big(self) -> "Big":
        """The store of the largest logs, made once."""
        return Big(self)

    # --- against the chain ---------------------------------------------------------------------------------

    def chain(self) -> None:
        """Compare with the chain, step by step and in sum; both on one core."""
        raw, truth = self.raw
        total = truth["bytes"]
        store, work, out = self.fresh("store"), self.fresh("chain"), self.fresh("out")
        catalog = raw / "catalog.json.gz"
        labels = self.folder / "labels.json"
        labels.write_text(json.dumps(labels_by_hash()))
        best: Run | None = None
        with one_core():
            for _ in range(2):
                self.fresh("store")
                steps = first_time(raw, store, catalog)
                ours = sum_of(steps)
                if best is None or ours.cpu_s < best.cpu_s:
                    best, best_steps = ours, steps
            whole = min((in_one_process(raw, self.fresh("store"), catalog) for _ in range(3)), key=cpu_of)
            exported = access("export", store, "--out", out, "--catalog", catalog)
            words = (raw, work, "--catalog", catalog, "--regions", labels)
            theirs = run(HERE / "dandi_chain.py", *words)
        assert best is not None
        for name, step in best_steps.items():
            show(f"  {name}", step, total)
        show("ingest + regions + compact + summarize", best, total)
        show("the same in one process", whole, total)
        show("  export", exported)
        show("chain of dandi_s3_log_parser", theirs, total)
        compare(out, work / "mapped")
        in_process, in_commands = theirs.cpu_s / whole.cpu_s, theirs.cpu_s / best.cpu_s
        print(
            f"chain against the store, a core and a process each: {in_process:.1f} x CPU,"
            f" {theirs.wall_s / whole.wall_s:.1f} x wall; against four commands {in_commands:.1f} x CPU,"
            f" with export {theirs.cpu_s / (best + exported).cpu_s:.1f} x"
        )
        shutil.rmtree(work)

    # --- what a run costs that has less to do --------------------------------------------------------------

    def again(self) -> None:
        """Run everything twice, over both sizes of logs."""
        self.run_twice(*self.raw)
        self.run_twice(*self.big_raw)
        start = min((run("-m", "tickline", "--version") for _ in range(3)), key=lambda one: one.cpu_s)
        show("tickline --version", start)

    def run_twice(self, raw: Path, truth: dict[str, Any]) -> None:
        """Print how much less a second run does."""
        store, out = self.fresh("store-again"), self.fresh("out-again")
        words = (raw, "--store", store, "--out", out, "--threads", 1, "--catalog", raw / "catalog.json.gz")
        words = (*words, *networks("--regions", raw))
        with one_core():
            first = tickline("access", "run", *words)
            before = files_of(out)
            second = min((tickline("access", "run", *words) for _ in range(3)), key=lambda one: one.cpu_s)
        check("files after a second run", files_of(out), before)
        check_totals(out, truth)
        show("run, the first time", first, truth["bytes"])
        show("run, nothing new", second)
        print(f"nothing new: {second.cpu_s / first.cpu_s:.1%} of the first run's CPU time")
        shutil.rmtree(store)

    def days(self) -> None:
        """Add one day to stores that hold more and more of them."""
        new = self.fresh("new-day")
        truth_of_day = make_logs(
            new, NEW_DAY_BYTES, "--days", 1, "--start", NEW_DAY, "--keys", HISTORY_KEYS, "--seed", 8
        )
        print(f"new day of {NEW_DAY_BYTES}; days before of {self.day_bytes} each; {HISTORY_KEYS:,} keys")
        seen: dict[int, list[Run]] = {}
        for days in HISTORIES:
            seen[days] = self.one_more_day(days, new, truth_of_day)
        for name, at in (("without export", 0), ("with export", 1)):
            least = seen[HISTORIES[0]][at]
            for days in HISTORIES[1:]:
                more = seen[days][at]
                print(
                    f"one day more on {days:,} days against {HISTORIES[0]}, {name}:"
                    f" {more.cpu_s / least.cpu_s:5.2f} x (CPU) {more.wall_s / least.wall_s:5.2f} x (wall)"
                )

    def one_more_day(self, days: int, new: Path, truth_of_day: dict[str, Any]) -> list[Run]:
        """Return what one day more costs, without and with export."""
        raw, store, out = self.fresh("history"), self.fresh("store-days"), self.fresh("out-days")
        size = f"{days * parse_bytes(self.day_bytes)}B"
        begin = NEW_DAY - dt.timedelta(days=days)
        words = ("--days", days, "--start", begin, "--keys", HISTORY_KEYS, "--seed", 8, "--catalog")
        truth = make_logs(raw, size, *words)
        catalog = raw / "catalog.json.gz"
        with one_core():
            before = sum_of(first_time(raw, store, catalog))
            access("export", store, "--out", out, "--catalog", catalog)
            log = Path(f"{NEW_DAY:%Y/%m/%d}.log")
            (raw / log).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(new / log, raw / log)
            ingested = access("ingest", store, raw, "--threads", 1)
            compacted = access("compact", store)
            summarized = access("summarize", store, "--catalog", catalog)
            exported = access("export", store, "--out", out, "--catalog", catalog)
        check_totals(out, truth, truth_of_day)
        show(f"{days:,} days of history", before, truth["bytes"])
        steps = {"ingest": ingested, "compact": compacted, "summarize": summarized, "export": exported}
        for name, step in steps.items():
            show(f"  one day more: {name}", step)
        less = ingested + compacted + summarized
        for path in (raw, store, out):
            shutil.rmtree(path)
        return [less, less + exported]

    # --- the large store -----------------------------------------------------------------------------------

    def memory(self) -> None:
        """Give the peak memory of an ingest."""
        big = self.big
        show("ingest, all cores", big.ingested, big.truth["bytes"])
        store = self.fresh("store-one")
        one = access("ingest", store, big.raw, "--threads", 1)
        show("ingest, one thread", one, big.truth["bytes"])
        shutil.rmtree(store)

    def size(self) -> None:
        """Give what a row takes on the disk."""
        big = self.big
        sizes, rows = big.sizes()
        check("rows of the store", rows, big.truth["reduce"]["accepted"])
        print(f"on the disk, {rows:,} rows: " + ", ".join(f"{k} {v / 1e6:.1f} MB" for k, v in sizes.items()))
        parts = ", ".join(f"{name} {size / rows:.2f}" for name, size in sizes.items())
        print(f"bytes a row: {sum(sizes.values()) / rows:.2f} ({parts})")

    def queries(self) -> None:
        """Time three questions in process."""
        self.big.queries()


class Big:
    """Logs and a compacted store with more keys than any other here."""

    def __init__(self, bench: Bench) -> None:
        self.raw, self.truth = bench.big_raw
        self.store = bench.fresh("store-big")
        self.ingested = access("ingest", self.store, self.raw)
        self.catalog = self.raw / "catalog.json.gz"
        tickline("access", "regions", "update", "--store", self.store, *networks("--source", self.raw))
        show("large store: compact", access("compact", self.store))
        show("large store: summarize", access("summarize", self.store, "--catalog", self.catalog))
        access("vacuum", self.store)

    def sizes(self) -> tuple[dict[str, int], int]:
        """Return bytes of the files that the ledger names, and of the ledger; and the number of rows."""
        ledger = self.store / "ledger.sqlite"
        with contextlib.closing(sqlite3.connect(ledger)) as db:
            query = "SELECT kind, sum(size_bytes), sum(rows) FROM parts WHERE removed IS NULL GROUP BY kind"
            found = {kind: (size, rows) for kind, size, rows in db.execute(query)}
        sizes = {"parts": found["accesses"][0], "daily": found["daily"][0]}
        sizes["ledger"] = sum(path.stat().st_size for path in self.store.glob("ledger.sqlite*"))
        return sizes, found["accesses"][1]

    def queries(self) -> None:
        """Ask for one key and for the archive's totals; and for the same totals from all rows."""
        import tickline as tl

        reduced = self.truth["reduce"]
        totals = reduced["summaries"]["archive"]["totals"]
        # One that is asked for now and then; the most popular key is a twentieth of all rows by itself.
        rare = reduced["by_key"]["top"][-1]
        one_sum = "SELECT count(*), sum(bytes_sent) FROM accesses"
        scan_all = "SELECT count(*), sum(bytes_sent), count(DISTINCT requester_id) FROM accesses"
        with tl.access.Store(self.store) as store:
            scan = best_of(lambda: rows_of(store.query(scan_all)))
            cheapest = best_of(lambda: rows_of(store.query(one_sum)))
            key = best_of(lambda: store.accesses_of_key(rare["key"]))
            archive = best_of(lambda: store.summarize(catalog=self.catalog).totals([])[1])
        counted = (reduced["accepted"], reduced["bytes_sent"])
        check("full scan", scan[1], [(*counted, totals["number_of_requesters"])])
        check("sum of one column", cheapest[1], [counted])
        found = (key[1].num_rows, sum(size or 0 for size in key[1]["bytes_sent"].to_pylist()))
        check("one key", found, (rare["requests"], rare["bytes"]))
        check("the archive's totals", archive[1], totals)
        print(f"full scan (the totals from all rows) {scan[0] * 1e3:9.2f} ms")
        print(f"sum of one column over all rows      {cheapest[0] * 1e3:9.2f} ms")
        for name, one in (("all requests for one key", key), ("the archive's totals", archive)):
            shares = f"1/{scan[0] / one[0]:.0f} of the scan, 1/{cheapest[0] / one[0]:.0f} of the sum"
            print(f"{name:36} {one[0] * 1e3:9.2f} ms   {shares}")


def best_of(question: Callable[[], Any], tries: int = 7) -> tuple[float, Any]:
    """Return the shortest time of several, and the answer."""
    times = []
    for _ in range(tries):
        begin = time.perf_counter()
        answer = question()
        times.append(time.perf_counter() - begin)
    return min(times), answer


def rows_of(answer: Any) -> list[tuple[int, ...]]:
    """Return the rows of what a query gave."""
    import pyarrow

    return [tuple(int(value) for value in row.values()) for row in pyarrow.table(answer).to_pylist()]


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bytes", default="572MB", help="logs of `chain` and `again`")
    parser.add_argument("--big-bytes", default="4GB", help="logs of `memory`, `size` and `queries`")
    parser.add_argument("--day-bytes", default="2MB", help="a day of the history in `days`")
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, with commas between")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if unknown := set(wanted) - set(SECTIONS):
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(folder, arguments)
        for name in SECTIONS:
            if name in wanted:
                print(f"--- {name}", flush=True)
                getattr(bench, name)()


if __name__ == "__main__":
    main()
