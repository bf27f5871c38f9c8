"""A whole store is clean, and each damage that can be planted is named with the file or row it sits in."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from python.access_support import line, log
from python.s3_support import answer, fake_s3, set_environment
from python.store_support import MAY, add_rows, ingest_files, make_store, rows
from tickline.errors import TicklineError
from tickline.files import Folders
from tickline.pipelines.access.compact import compact
from tickline.pipelines.access.verify.verify import Findings, verify
from tickline.progress import Progress
from tickline.store.folder import StoreFolder
from tickline.store.parts import PartWriter, daily_schema

REGIONS = b"198.51.100.0/24\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a store of real lines in two months, and its logs."""
    from tickline.pipelines.access.regions.regions import label_requesters, update_regions

    base = tmp_path_factory.mktemp("made")
    raw = base / "raw"
    raw.mkdir()
    bad = b"no record\n" + line(1, time="1/May/2024:00:00:00").encode() + b"\n"
    (raw / "a.log").write_bytes(log(0, 300) + bad)
    june = "".join(line(n, time=f"02/Jun/2024:00:00:{n:02}") + "\n" for n in range(50)).encode()
    (raw / "b.log").write_bytes(june + log(300, 400))
    (raw / "c.log").write_bytes(bad)
    store = base / "store"
    ingest_files(store, raw / "a.log", raw / "c.log")
    ingest_files(store, raw / "b.log")
    (base / "vpn.txt").write_bytes(REGIONS)
    with StoreFolder.open(store) as folder, folder.writing():
        update_regions(folder, [str(base / "vpn.txt")])
        label_requesters(folder)
    return base


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """Return a copy of that store to damage; its logs lie where they lay."""
    shutil.copytree(made / "store", tmp_path / "store")
    return tmp_path / "store"


def _check(store: Path, **options: Any) -> Findings:
    with StoreFolder.open(store) as folder:
        return verify(folder, **options)


def _sql(store: Path, statement: str) -> None:
    db = sqlite3.connect(store / "ledger.sqlite")
    with db:
        assert db.execute(statement).rowcount > 0
    db.close()


def _parts(store: Path, kind: str = "parts") -> list[Path]:
    return sorted((store / kind).rglob("*.parquet"))


def _found(findings: Findings) -> set[tuple[str, str]]:
    return {(one.what, one.where) for one in findings.found}


def test_a_whole_store_is_clean(store: Path) -> None:
    findings = _check(store, sample=10)
    assert findings.found == []
    assert (findings.files, findings.rows, findings.sources, findings.sampled) == (6, 450, 3, 3)
    assert findings.notes == []
    with StoreFolder.open(store) as folder:
        compact(folder)
    findings = _check(store, sample=10)
    assert findings.found == []
    assert findings.files == 4


def test_an_empty_store_is_clean(tmp_path: Path) -> None:
    findings = _check(make_store(tmp_path / "store"))
    assert findings.found == []
    assert findings.notes == []


@pytest.mark.parametrize("kind", ["parts", "daily"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.9, 1.0])
def test_a_flipped_bit_is_named(store: Path, kind: str, place: float) -> None:
    victim = _parts(store, kind)[0]
    content = bytearray(victim.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    victim.write_bytes(content)
    assert _found(_check(store)) == {("hash", str(victim.relative_to(store)))}


@pytest.mark.parametrize("kind", ["parts", "daily"])
@pytest.mark.parametrize("left", [0, 100])
def test_a_cut_file_is_named(store: Path, kind: str, left: int) -> None:
    victim = _parts(store, kind)[0]
    os.truncate(victim, left)
    assert _found(_check(store)) == {("size", str(victim.relative_to(store)))}


@pytest.mark.parametrize("kind", ["parts", "daily"])
def test_a_missing_file_is_named(store: Path, kind: str) -> None:
    victim = _parts(store, kind)[1]
    victim.unlink()
    assert _found(_check(store)) == {("missing", str(victim.relative_to(store)))}


def test_swapped_parts_are_named(store: Path) -> None:
    first, second = _parts(store)[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    names = {str(path.relative_to(store)) for path in (first, second)}
    findings = _check(store)
    assert {where for _, where in _found(findings)} == names
    assert any("sums of 2024-05" in note for note in findings.notes)


def test_orphans_and_foreign_files_are_named(store: Path) -> None:
    orphan = _parts(store)[0].with_name("0123456789abcdef.parquet")
    shutil.copy(_parts(store)[0], orphan)
    (store / "parts" / "notes.txt").write_text("mine")
    (store / "readme").write_text("mine")
    (store / "regions" / "0123456789abcdef-cidr").write_text("mine")
    (store / "daily" / "2024-05" / ".tickline-tmp-1234").write_text("")
    assert _found(_check(store)) == {
        ("orphan", str(orphan.relative_to(store))),
        ("orphan", "regions/0123456789abcdef-cidr"),
        ("orphan", "daily/2024-05/.tickline-tmp-1234"),
        ("foreign", "parts/notes.txt"),
        ("foreign", "readme"),
    }


def test_files_of_a_run_under_way_are_no_orphans(store: Path) -> None:
    with StoreFolder.open(store) as folder, folder.writing():
        shutil.copy(_parts(store)[0], _parts(store)[0].with_name("0123456789abcdef.parquet"))
        assert _check(store).found == []
    assert len(_check(store).found) == 1


EDITS = {
    "UPDATE commits SET days = '[]' WHERE id = 1": ("seal", "commits, row 1"),
    "UPDATE sources SET bytes = bytes + 1 WHERE id = 1": ("seal", "sources, row 1"),
    "UPDATE sources SET state = 'replaced' WHERE id = 2": ("seal", "sources, row 2"),
    "UPDATE sources SET accepted = accepted + 1 WHERE id = 1": ("accounting", "sources, row 1"),
    "UPDATE sources SET lines = lines + 1 WHERE id = 1": ("accounting", "sources, row 1"),
    "UPDATE names SET mtime_ns = 1": ("seal", "names, row {raw}/a.log"),
    "UPDATE parts SET level = 7 WHERE id = 1": ("seal", "parts, row 1"),
    "UPDATE parts SET rows = rows + 1 WHERE id = 1": ("content", "{part}"),
    "UPDATE parts SET first_key = 'a' WHERE id = 1": ("content", "{part}"),
    "UPDATE parts SET last_day = last_day - 1 WHERE id = 1": ("content", "{part}"),
    "UPDATE parts SET removed = 1 WHERE id = 1": ("seal", "parts, row 1"),
    "DELETE FROM parts WHERE id = 1": ("orphan", "{part}"),
    "DELETE FROM sources WHERE id = 1": ("accounting", "sources, row 1"),
    "DELETE FROM commits WHERE id = 1": ("ledger", "parts, row 1"),
    "UPDATE requesters SET label = 'CC/There' WHERE number = 3": ("seal", "requesters, row 3"),
    "UPDATE requesters SET id = id + 1 WHERE number = 3": ("requesters", "requesters"),
    "DELETE FROM requesters WHERE number = 3": ("requesters", "requesters"),
    "UPDATE rejects SET offset = 1 WHERE source = 1 AND line = 301": ("rejects", "rejects of source 1"),
    "DELETE FROM rejects WHERE source = 1 AND line = 301": ("rejects", "rejects of source 1"),
    "INSERT INTO rejects VALUES (1, 7, 7, 7, 'cut')": ("rejects", "rejects of source 1"),
    "UPDATE snapshots SET date = 'x'": ("seal", "snapshots, row 1"),
    "UPDATE meta SET value = '' WHERE name = 'region_order'": ("ledger", "meta, row region_order"),
}


@pytest.mark.parametrize("statement", EDITS)
def test_an_edited_row_is_named(made: Path, store: Path, statement: str) -> None:
    with StoreFolder.open(store) as folder:
        part = folder.ledger.rows("SELECT path FROM parts WHERE id = 1")[0][0]
    _sql(store, statement)
    what, where = EDITS[statement]
    assert (what, where.format(raw=made / "raw", part=part)) in _found(_check(store))


def _name_of(store: Path, source: int) -> str:
    with StoreFolder.open(store) as folder:
        return str(folder.ledger.rows("SELECT name FROM names WHERE source = ?", [source])[0][0])


def _rewrite(store: Path, kind: str, change: Callable[[Any], Any]) -> str:
    """Replace the first file by another one as a program would: with its hash and all, in a commit."""
    import pyarrow.parquet

    with StoreFolder.open(store) as folder:
        snapshot = folder.ledger.snapshot()
        old = (snapshot.parts if kind == "accesses" else snapshot.daily)[0]
        writer = PartWriter(store, kind, old.month, Folders())
        writer.write(change(pyarrow.parquet.read_table(store / old.path, partitioning=None)))
        new = writer.commit()
        with folder.ledger.transaction():
            commit = folder.ledger.begin_commit("compact")
            folder.ledger.remove_parts(commit, [old.id])
            folder.ledger.add_part(commit, new)
    return new.path


def test_daily_sums_that_are_not_those_of_the_rows_are_named(store: Path) -> None:
    def more(table: Any) -> Any:
        sent = table["bytes_sent"].to_pylist()
        return table.set_column(3, "bytes_sent", [[sent[0] + 1, *sent[1:]]]).cast(daily_schema())

    _rewrite(store, "daily", more)
    findings = _check(store)
    assert _found(findings) == {("sums", "daily/2024-05")}
    assert "1 sums differ" in findings.found[0].text


def test_a_daily_row_without_rows_is_named(store: Path) -> None:
    _rewrite(store, "accesses", lambda table: table.slice(1))
    assert ("sums", "daily/2024-05") in _found(_check(store))


def test_rows_out_of_order_are_named(store: Path) -> None:
    path = _rewrite(store, "accesses", lambda table: table.take(list(reversed(range(table.num_rows)))))
    assert _found(_check(store)) == {("content", path)}


def test_a_row_that_is_there_twice_is_named(store: Path) -> None:
    path = _rewrite(store, "accesses", lambda table: table.take([0, *range(table.num_rows)]))
    assert _found(_check(store)) == {
        ("content", path),
        ("accounting", "sources, row 1"),
        ("sums", "daily/2024-05"),
        ("source", _name_of(store, 1)),
    }


def test_region_files_are_compared(store: Path) -> None:
    (victim,) = (store / "regions").iterdir()
    victim.write_bytes(REGIONS + b"# more\n")
    assert _found(_check(store)) == {("hash", str(victim.relative_to(store)))}
    victim.unlink()
    assert _found(_check(store)) == {("missing", str(victim.relative_to(store)))}


def test_addresses_are_compared_with_their_ids_and_never_shown(store: Path) -> None:
    db = sqlite3.connect(store / "private" / "ips.sqlite")
    with db:
        number = db.execute("SELECT min(id) FROM addresses").fetchone()[0]
        db.execute("UPDATE addresses SET address = '203.0.113.77' WHERE id = ?", [number])
    db.close()
    findings = _check(store)
    assert _found(findings) == {("addresses", f"private/ips.sqlite, row {number}")}
    assert "203.0.113" not in str(findings)
    shutil.rmtree(store / "private")
    assert _check(store).found == []


def test_files_of_secrets_that_others_may_read_are_named(store: Path) -> None:
    (store / "pseudonym.key").chmod(0o644)
    (store / "private" / "ips.sqlite").chmod(0o640)
    assert _found(_check(store)) == {
        ("permissions", "pseudonym.key"),
        ("permissions", "private/ips.sqlite"),
    }


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """Return a folder with one log of 60 lines and a store of it."""
    (tmp_path / "day.log").write_bytes(log(0, 60))
    ingest_files(tmp_path / "store", tmp_path / "day.log")
    return tmp_path


def test_a_row_that_the_log_does_not_give_is_found_in_the_sample(fresh: Path) -> None:
    store = fresh / "store"

    def other_agent(table: Any) -> Any:
        agents = ["robot", *table["agent_class"].to_pylist()[1:]]
        return table.set_column(table.column_names.index("agent_class"), "agent_class", [agents])

    _rewrite(store, "accesses", other_agent)
    findings = _check(store)
    assert [(one.what, one.where) for one in findings.found] == [("source", str(fresh / "day.log"))]
    assert "agent_class" in findings.found[0].text
    assert _check(store, sample=0).found == []


def test_content_changed_under_the_same_time_is_found(fresh: Path) -> None:
    log_file = fresh / "day.log"
    before = log_file.stat()
    log_file.write_bytes(log_file.read_bytes().replace(b"hostid7 ", b"hostid8 "))
    os.utime(log_file, ns=(before.st_atime_ns, before.st_mtime_ns))
    findings = _check(fresh / "store")
    assert [one.where for one in findings.found] == [str(log_file)]
    assert "not the one that was taken in" in findings.found[0].text


def test_sources_that_are_gone_or_newer_are_passed_over(fresh: Path) -> None:
    log_file = fresh / "day.log"
    log_file.write_bytes(log(0, 61))
    findings = _check(fresh / "store")
    assert (findings.found, findings.sampled) == ([], 0)
    assert "none could be read again" in findings.notes[0]
    log_file.unlink()
    assert _check(fresh / "store").found == []


def test_a_changed_file_leaves_a_clean_store(fresh: Path) -> None:
    store = fresh / "store"
    (fresh / "day.log").write_bytes(log(10, 40))
    ingest_files(store, fresh / "day.log")
    findings = _check(store)
    assert (findings.found, findings.sampled) == ([], 1)
    with StoreFolder.open(store) as folder:
        assert compact(folder).dropped == 60
    assert _check(store).found == []


@pytest.mark.parametrize("suffix", [".log", ".gz", ".zst"])
def test_generated_logs_with_every_oddity_agree_with_the_reference(tmp_path: Path, suffix: str) -> None:
    import gzip

    import zstandard

    from tickline.fake import generate_access

    generate_access(tmp_path / "raw", total_bytes=1_500_000, days=2, seed=3, dirty=0.05)
    plain = sorted((tmp_path / "raw").rglob("*.log"))
    assert plain
    pack = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(suffix, bytes)
    for path in plain:
        if suffix != ".log":
            path.with_suffix(f".log{suffix}").write_bytes(pack(path.read_bytes()))
            path.unlink()
    rules: dict[str, Any] = {
        "operations": "all",
        "statuses": "all",
        "keys": (("blobs", 0), ("zarr", 2)),
        "exclude_networks": ("192.0.2.0/25", "2001:db8::/33"),
        "exclude_ip_regex": "7$",
    }
    ingest_files(tmp_path / "store", tmp_path / "raw", **rules)
    findings = _check(tmp_path / "store", sample=10)
    assert findings.found == []
    assert findings.sampled == len(plain)


def test_rows_of_hand_made_parts_are_counted_for_their_sources(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", rows(40, 1), rows(40, 2, start_ms=MAY + 40 * 86_400_000))
    assert _check(store).found == []
    with StoreFolder.open(store) as folder:
        add_rows(folder, rows(10, 3))
        with folder.ledger.transaction() as db:
            db.execute("DELETE FROM sources WHERE id = 3")
    findings = _check(store)
    assert _found(findings) == {("accounting", "sources, row 3")}


def test_progress_reaches_its_end(store: Path) -> None:
    class Seen(Progress):
        total = done = 0

        def start(self, total_bytes: int) -> None:
            self.total = total_bytes

        def advance(self, size: int) -> None:
            self.done += size

    seen = Seen()
    _check(store, progress=seen)
    assert seen.done == seen.total > 0


def test_a_source_in_a_bucket_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tickline.pipelines.access.ingest.ingest import ingest
    from tickline.pipelines.access.ingest.options import IngestOptions

    objects = {"access/a.log": log(0, 40)}
    with fake_s3(objects) as fake:
        set_environment(monkeypatch, fake.url, AWS_MAX_ATTEMPTS="1")
        assert not ingest(str(tmp_path / "store"), ["s3://logs/access/"], IngestOptions()).problems
        findings = _check(tmp_path / "store")
        assert (findings.found, findings.sampled) == ([], 1)
        fake.faults[:] = [answer(403, "AccessDenied")] * 9
        findings = _check(tmp_path / "store")
        assert (findings.found, findings.sampled) == ([], 0)
        assert "s3://logs/access/a.log could not be read" in findings.notes[0]
        fake.faults.clear()
        fake.objects["access/a.log"] = log(0, 41)
        findings = _check(tmp_path / "store")
        assert (findings.found, findings.sampled) == ([], 0)


def test_without_the_key_no_source_is_read_again(fresh: Path) -> None:
    (fresh / "store" / "pseudonym.key").unlink()
    findings = _check(fresh / "store")
    assert (findings.found, findings.sampled) == ([], 0)
    assert "the key of the pseudonyms is missing" in findings.notes[0]


def test_a_missing_extra_is_no_damage(store: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TicklineError, match="pyarrow, which is not installed"):
        verify(store)
