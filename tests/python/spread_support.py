"""What the tests of an ingest by a cluster share: logs of all kinds, and stores that are to be the same."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from python.dask_support import DaskCluster
from python.ingest_support import KEY, everything, files_below, named_files, states, take
from tickline.engines import EngineOptions
from tickline.fake.access import generate_access
from tickline.pipelines.access.export.native import export_native
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.ingest import units as ingest_units
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.summaries import summarize
from tickline.store.folder import StoreFolder
from tickline.store.pseudonyms import ENVIRONMENT

PRELOAD = Path(__file__).with_name("spread_preload.py")
RUN_BYTES = 300_000


def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the store a key, and let units of this process fit to the runs of the workers."""
    monkeypatch.setenv(ENVIRONMENT, KEY)
    monkeypatch.setattr(ingest_units, "RUN_BYTES", RUN_BYTES)
    monkeypatch.setattr(ingest_units, "_SMALL_BYTES", RUN_BYTES)


def logs_of_all_kinds(folder: Path, total_bytes: int = 6_000_000) -> Path:
    """Make logs that are read in ranges, in groups, compressed, and the same content twice."""
    generate_access(folder, total_bytes=total_bytes, days=6, dirty=0.01)
    (folder / "truth.json").unlink()
    logs = sorted(folder.glob("*/*/*.log"))
    data = logs[0].read_bytes()
    lines = data.splitlines(keepends=True)
    for number in range(8):
        (folder / f"small-{number}.log").write_bytes(b"".join(lines[number * 20 : number * 20 + 20]))
    (folder / "twice.log").write_bytes(b"".join(lines[:20]))
    logs[1].with_suffix(".log.gz").write_bytes(gzip.compress(logs[1].read_bytes(), 1))
    (folder / "copy.log").write_bytes(logs[2].read_bytes())
    return folder


def by(cluster: DaskCluster, count: int = 2) -> dict[str, Any]:
    """Return the options of an ingest by this cluster."""
    return {"engine": EngineOptions("dask", cluster.address, count)}


def export(store: Path, out: Path) -> dict[str, bytes]:
    """Return the files of the native export."""
    options = SummaryOptions(None)
    with StoreFolder.open(store) as folder:
        export_native(folder, summarize(folder, options), ExportOptions(options), out)
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".tickline" not in path.parts
    }


def same(tmp_path: Path, raw: Path, store: Path) -> None:
    """Check that a store is what one process makes of the same logs, and nothing lies about in it."""
    # Asked first: whoever writes next takes such files away.
    assert files_below(store) == named_files(store)
    local = tmp_path / "local"
    if not local.exists():
        states(take(local, raw))
    assert everything(store) == everything(local)
    found = export(store, tmp_path / f"out-{store.name}")
    assert len(found) > 5
    assert found == export(local, tmp_path / f"out-of-local-{store.name}")
