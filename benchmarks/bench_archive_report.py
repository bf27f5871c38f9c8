"""The compliance report of a fleet: seconds and memory, beside those of only reading the objects.

One node is generated and archived every 30 minutes; the others are the same chunks under other names, chained
anew. Checks how many findings there are. By default 10 nodes and 90 days, 43,000 objects: it
takes ten minutes to make them, so that `--folder` keeps them for the next time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from python.archive_fleet_support import Fleet
from tickline.pipelines.archive.chunk import pack, sha256_hex, unpack
from tickline.pipelines.archive.reader import list_chunks, list_nodes, read_bodies
from tickline.pipelines.archive.report.build import build_report
from tickline.pipelines.archive.report.rules import read_rule
from tickline.pipelines.archive.stores import FolderStore

EVERY_S = 1800
# What `pack` makes itself.
MADE = ("format", "version", "ranges", "lines", "bytes", "sha256", "earliest", "latest")


def make(folder: Path, nodes: int, days: int, poll: int) -> None:
    """Make the archive, and beside it what the report must find."""
    fleet = Fleet(folder, every_s=EVERY_S, nodes=1, days=days, poll=poll, seed=5)
    fleet.rule()
    keys = sorted(fleet.store.keys("v1/"))
    for number in range(2, nodes + 1):
        node, previous = f"node-{number:03}", None
        for key in keys:
            chunk = unpack(fleet.store.get(key), key)
            header = {name: value for name, value in chunk.header.items() if name not in MADE}
            body = pack(header | {"node": node, "previous": previous}, chunk.pieces())
            previous = sha256_hex(body)
            path = folder / "archive" / key.replace("node-001", node)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    period = {"begin": str(fleet.begin), "end": str(fleet.end), "now": fleet.now_s}
    (folder / "made.json").write_text(json.dumps({**period, "findings": len(fleet.truth["findings"])}))


def only_read(folder: Path) -> dict[str, Any]:
    """Read every object, and do nothing with it."""
    store, objects, size = FolderStore(f"file://{folder}/archive"), 0, 0
    for node in list_nodes(store):
        for _, body in read_bodies(store, list_chunks(store, node)[0]):
            objects, size = objects + 1, size + len(body)
    return {"objects": objects, "bytes": size}


def report(folder: Path) -> dict[str, Any]:
    """Make the report, and check how much it found."""
    made = json.loads((folder / "made.json").read_text())
    begin, end = (date.fromisoformat(made[name]) for name in ("begin", "end"))
    store = FolderStore(f"file://{folder}/archive")
    found = build_report(store, read_rule(str(folder / "rule.toml")), begin, end, now=made["now"])
    assert len(found.findings) == made["findings"] * len(found.nodes), len(found.findings)
    return {"lines": sum(node.lines for node in found.nodes), "findings": len(found.findings)}


def measured(work: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Do something in a process of its own, for its memory; return what it says, seconds and megabytes."""
    # Unlike a Pool, it does not wait for a process that died.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, folder).result()


def _measured(work: Callable[[Path], dict[str, Any]], folder: Path) -> dict[str, Any]:
    began, used = time.perf_counter(), time.process_time()
    said = work(folder)
    seconds = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used}
    return {**said, **seconds, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--poll", type=int, default=8, help="log2 s between two questions to a source")
    parser.add_argument("--folder", type=Path, help="keep the archive here, and use the one that is there")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.folder or Path(temporary)
        if not (folder / "made.json").exists():
            make(folder, chosen.nodes, chosen.days, chosen.poll)
        reading, whole = measured(only_read, folder), measured(report, folder)
    print(f"objects {reading['objects']:,}, {reading['bytes'] / 1e6:,.1f} MB, {whole['lines']:,} lines")
    for name, found in (("only reading", reading), ("report", whole)):
        times = f"{found['seconds']:8.1f} s {found['cpu_s']:8.1f} s of CPU"
        print(f"{name:<14}{times}  {found['peak_mb']:8.1f} MB at most")
    print(f"ratio {whole['seconds'] / reading['seconds']:.1f}, findings {whole['findings']:,}")


if __name__ == "__main__":
    main()
