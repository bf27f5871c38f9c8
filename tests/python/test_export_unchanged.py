"""A run with nothing new to export is over before numpy is imported; whatever did change is exported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from python.access_support import environment, log
from python.ingest_support import KEY
from python.summaries_support import files_of
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.run import RunOptions, RunReport, run
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.store.pseudonyms import ENVIRONMENT

pytest.importorskip("pyarrow")

SCRIPT = """
import json, sys
from pathlib import Path
from tickline.pipelines.access.export.options import ExportOptions
from tickline.pipelines.access.ingest.options import IngestOptions
from tickline.pipelines.access.run import RunOptions, run
from tickline.pipelines.access.summaries.options import SummaryOptions
raw, store, out, catalog, networks = sys.argv[1:]
options = RunOptions(IngestOptions(settle_s=0), ExportOptions(SummaryOptions()), catalog, (networks,))
report = run([raw], store, Path(out), options)
heavy = [name for name in ("numpy", "pyarrow", "duckdb", "jinja2", "rich") if name in sys.modules]
print(json.dumps({"heavy": heavy, "written": len(report.exported.written)}))
"""


class Place:
    """Logs, a catalog, networks, and what a run makes of them."""

    def __init__(self, root: Path) -> None:
        self.root, self.raw, self.store, self.out = root, root / "raw", root / "store", root / "out"
        self.catalog, self.networks = root / "catalog.tsv", root / "networks.txt"
        self.raw.mkdir(parents=True)
        (self.raw / "a.log").write_bytes(log(0, 40))
        self.catalog.write_text("key\tdataset\tversion\tpath\nblobs/\tone\t\tall/\n")
        self.networks.write_text("192.0.2.0/24\n")

    def run(self, *, again: Path | None = None, **options: object) -> RunReport:
        export = ExportOptions(SummaryOptions(**options))  # type: ignore[arg-type]
        chosen = RunOptions(IngestOptions(settle_s=0), export, str(self.catalog), (str(self.networks),))
        return run([str(self.raw)], str(self.store), again or self.out, chosen)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv(ENVIRONMENT, KEY)
    made = Place(tmp_path / "place")
    assert made.run().exported.written
    return made


def test_a_run_with_nothing_new_imports_nothing_heavy(place: Place) -> None:
    before = files_of(place.out, record=True)
    words = map(str, (place.raw, place.store, place.out, place.catalog, place.networks))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        env=environment(**{ENVIRONMENT: KEY}),
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr
    assert json.loads(done.stdout) == {"heavy": [], "written": 0}
    assert files_of(place.out, record=True) == before


def test_it_tells_of_the_same_files_as_one_that_looks_at_everything(place: Place) -> None:
    quick = place.run().exported
    (place.out / ".tickline/export.json").write_text("no record")
    slow = place.run().exported
    assert quick.unchanged == sorted(slow.unchanged) != []
    assert (quick.written, quick.removed, quick.digest) == (slow.written, slow.removed, slow.digest)


def _new_log(place: Place) -> None:
    (place.raw / "b.log").write_bytes(log(40, 5))


def _other_catalog(place: Place) -> None:
    place.catalog.write_text("key\tdataset\tversion\tpath\nblobs/\ttwo\t\tall/\n")


def _other_networks(place: Place) -> None:
    place.networks.write_text("198.51.100.0/24\n")


def _changed_file(place: Place) -> None:
    (place.out / "summaries/archive/by_day.tsv").write_text("nonsense\n")


def _changed_bytes(place: Place) -> None:
    path = place.out / "summaries/archive/by_day.tsv"
    path.write_bytes(path.read_bytes()[::-1])


def _removed_document(place: Place) -> None:
    (place.out / "totals.json").unlink()


def _replaced_log(place: Place) -> None:
    (place.raw / "a.log").write_bytes(log(3, 30))


def _lost_store(place: Place) -> None:
    shutil.rmtree(place.store)
    (place.raw / "a.log").write_bytes(log(0, 39))


def _unfinished_record(place: Place) -> None:
    path = place.out / ".tickline/export.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"complete": False}))
    (place.out / "names.tsv").write_text("half")


@pytest.mark.parametrize(
    "change",
    [
        _new_log,
        _other_catalog,
        _other_networks,
        _changed_file,
        _changed_bytes,
        _removed_document,
        _replaced_log,
        _lost_store,
        _unfinished_record,
    ],
)
def test_whatever_changed_is_exported(place: Place, change: Callable[[Place], None]) -> None:
    change(place)
    assert place.run().exported.written
    place.run(again=place.root / "anew")
    assert files_of(place.out) == files_of(place.root / "anew")
    assert not place.run().exported.written


def test_other_options_are_another_export(place: Place) -> None:
    assert place.run(shared_content="split").exported.written
    assert not place.run(shared_content="split").exported.written
    assert "provenance.json" in place.run().exported.written


def test_a_renamed_list_of_networks_is_on_record(place: Place) -> None:
    place.networks = place.networks.rename(place.root / "vpn.txt")
    assert place.run().exported.written == ["provenance.json"]
    assert "vpn.txt" in (place.out / "provenance.json").read_text()


def test_a_lost_copy_of_the_networks_comes_back(place: Place) -> None:
    copies = list((place.store / "regions").iterdir())
    for copy in copies:
        os.truncate(copy, 1)
    place.run()
    assert [copy.read_text() for copy in copies] == ["192.0.2.0/24\n"]
