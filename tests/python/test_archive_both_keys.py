"""`if_ignored` changed to and fro: a chunk may have got its plain key and the one with its hash."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from python.archive_case_support import RULE
from python.archive_support import NOON, Chronyd, Clock, config_of, run
from tickline.pipelines.archive.export import ExportOptions, export
from tickline.pipelines.archive.reader import list_chunks
from tickline.pipelines.archive.report.build import build_report
from tickline.pipelines.archive.stores import FolderStore
from tickline.pipelines.archive.verify import verify


class Overwriting(FolderStore):
    """A store that ignores conditions."""

    def put(self, key: str, body: bytes, sha256: str, *, only_if_absent: bool = True) -> bool:
        """Write an object, whatever there is."""
        super().put(key, body, sha256, only_if_absent=only_if_absent)
        return True


def test_a_chunk_that_got_both_of_its_keys_is_one(tmp_path: Path) -> None:
    chronyd, clock = Chronyd(tmp_path / "log"), Clock()
    store = Overwriting(f"file://{tmp_path}/archive")
    # Decided in turn: with hashes in the keys, then refused, and back.
    for unique, rows in ((True, 3), (True, 3), (False, 3), (True, 0)):
        chronyd.write(rows)
        outcome = run(config_of(tmp_path, unique_keys=unique), store, clock)
        assert ("ignores conditional writes" in outcome.result) is not unique
        clock.now_s += 1800
    listed, others = list_chunks(store, "n1")
    both = [(3, True), (3, False)]
    assert [(item.seq, item.unique) for item in listed] == [(1, False), (2, True), *both]
    assert others == []
    found = verify(store, now_s=clock.now_s)
    assert found.flaws == []
    assert (found.objects, found.lines) == (3, sum(chronyd.written.values()))
    told = export(store, ExportOptions("n1"), tmp_path / "out")
    assert (told.problems, told.lines) == ([], sum(chronyd.written.values()))
    # The end of the chain is seen as such behind them.
    day = dt.date(2026, 11, 22)
    report = build_report(store, RULE, day, day, now=NOON + 10 * 86400)
    integrity = [finding.text for finding in report.findings if finding.check == "integrity"]
    assert [text for text in integrity if "one was promised every" in text]
    assert not any("another chunk" in text for text in integrity)
