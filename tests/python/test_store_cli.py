"""The commands around a store: output, exit codes, and sentences instead of tracebacks."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import tickline as tl
from python.access_support import environment, line, log, run
from python.store_support import ingest_files
from tickline.cli import app
from tickline.errors import TicklineError, UsageError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("made")
    (base / "a.log").write_bytes(log(0, 100) + line(1, key="odd,%22key").encode() + b"\n")
    (base / "b.log").write_bytes(log(100, 200))
    ingest_files(base / "store", base / "a.log")
    ingest_files(base / "store", base / "b.log")
    return base


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "store", tmp_path / "store")
    return tmp_path / "store"


def _out(*arguments: object, check: int = 0) -> str:
    done = run("access", *arguments, check=check)
    if check == 0:
        assert done.stderr == b""
    return done.stdout.decode()


def test_status_tells_the_same_in_words_and_in_json(store: Path) -> None:
    found = json.loads(_out("status", "--store", store, "--json"))
    assert (found["rows"], found["sources"]["count"], found["addresses"]) == (201, 2, "kept")
    words = _out("status", "--store", store)
    for text in ("201", "2024-05-01 to 2024-05-01", "addresses kept", "on disk"):
        assert text in words
    assert _out("status", "--store", store, "--quiet") == ""


def test_verify_compact_and_vacuum_in_a_row(store: Path) -> None:
    assert "All is well." in _out("verify", "--store", store)
    report = json.loads(_out("compact", "--store", store, "--json"))
    assert (report["months"], report["files_before"], report["files_after"]) == (["2024-05"], 4, 2)
    assert "Nothing to do" in _out("compact", "--store", store)
    assert "4 are younger than 24 h and stay" in _out("vacuum", "--store", store)
    assert "4 files removed" in _out("vacuum", "--store", store, "--hours", 0)
    found = json.loads(_out("verify", "--store", store, "--sample", 1, "--seed", 3, "--json"))
    assert (found["clean"], found["found"], found["sampled"]) == (True, [], 1)


def test_findings_go_to_standard_error_with_exit_code_1(store: Path) -> None:
    victim = sorted((store / "parts").rglob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    done = run("access", "verify", "--store", store, "--quiet", check=1)
    assert done.stdout == b""
    assert str(victim.relative_to(store)) in done.stderr.decode()
    assert done.stderr.decode().count("\n") == 1
    found = json.loads(_out("verify", "--store", store, "--json", check=1))
    assert [one["what"] for one in found["found"]] == ["size"]


SQL = (
    "SELECT key, count(*) AS n, sum(bytes_sent)::UBIGINT AS bytes "
    "FROM accesses WHERE key LIKE 'odd%' GROUP BY key"
)


def test_query_writes_every_format(store: Path, tmp_path: Path) -> None:
    assert _out("query", SQL, "--store", store) == "key\tn\tbytes\nodd,%22key\t1\t7\n"
    ((key, number, size),) = list(
        csv.reader(io.StringIO(_out("query", SQL, "--store", store, "--format", "csv")))
    )[1:]
    assert (key, number, size) == ("odd,%22key", "1", "7")
    expected = [{"key": "odd,%22key", "n": 1, "bytes": 7}]
    assert json.loads(_out("query", SQL, "--store", store, "--json")) == expected
    assert "odd,%22key" in _out("query", SQL, "--store", store, "--format", "table")
    for ending in ("tsv", "csv", "json", "parquet"):
        target = tmp_path / f"out.{ending}"
        assert "1 row written" in _out("query", SQL, "--store", store, "--out", target)
    assert pa.parquet.read_table(tmp_path / "out.parquet").to_pylist() == expected
    assert json.loads((tmp_path / "out.json").read_text()) == expected
    assert json.loads(_out("query", "FROM accesses WHERE false", "--store", store, "--json")) == []


@pytest.mark.parametrize("ending", ["json", "parquet"])
def test_columns_of_one_name_are_refused_where_only_one_would_be_left(
    store: Path, tmp_path: Path, ending: str
) -> None:
    sql = 'SELECT a.key, b.key, 1 AS "n\\u", 2 AS n FROM daily a, daily b LIMIT 1'
    target = tmp_path / f"out.{ending}"
    done = run("access", "query", sql, "--store", store, "--out", target, check=2)
    words = f"several columns have one name (key), and {ending} takes each name once. Give them names"
    assert words in done.stderr.decode()
    assert not target.exists()
    # In a text a header may name two columns alike, and none is lost.
    header, row = _out("query", sql, "--store", store).splitlines()
    assert header.split("\t") == ["key", "key", "n\\u", "n"]
    assert len(row.split("\t")) == 4
    with tl.access.Store(store) as opened:
        assert opened.query(sql).num_columns == 4


def test_counts_are_followed_by_one_thing_or_several(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_bytes(log(0, 1))
    one = tmp_path / "one"
    ingest_files(one, tmp_path / "one.log")
    assert "2 files, 1 row, 1 source were checked, 1 source read again" in _out("verify", "--store", one)
    words = " ".join(_out("status", "--store", one).split())
    assert "sources 1 1 name " in words
    assert "1 line " in words
    assert _out("compact", "--store", one, "--min-runs", 1).startswith("1 month, 1 row: 2 files -> 2, ")
    assert _out("vacuum", "--store", one, "--hours", 0).startswith("2 files removed (")
    told = _out("forget-addresses", "--store", one, "--yes")
    assert told == "1 requester got its region, 1 file was deleted.\n"
    victim = next((one / "daily").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1])
    assert "1 finding. " in run("access", "verify", "--store", one, check=1).stdout.decode()


def test_times_lists_and_control_characters_fit_into_cells(store: Path) -> None:
    sql = "SELECT max(time), [1, 2], E'a\\tb\\n', NULL, true, '1'::BLOB FROM accesses"
    row = _out("query", sql, "--store", store).splitlines()[1].split("\t")
    assert row == ["2024-05-01T00:03:19Z", "[1, 2]", "a%09b%0A", "", "true", "31"]


def test_numbers_in_json_are_exact_and_finite(store: Path) -> None:
    sql = (
        "SELECT sum(18446744073709551615::UBIGINT) AS big, 'inf'::DOUBLE AS inf, 1.25::DECIMAL(5,2) AS some, "
        "[1.5::DECIMAL(3,1)] AS listed FROM range(3)"
    )
    found = json.loads(_out("query", sql, "--store", store, "--json"))
    assert found == [{"big": 3 * (2**64 - 1), "inf": None, "some": 1.25, "listed": [1.5]}]
    assert _out("query", sql, "--store", store).splitlines()[1].split("\t")[0] == str(3 * (2**64 - 1))


def test_summary_views_are_brought_up_to_date(store: Path) -> None:
    found = json.loads(_out("query", "FROM totals ORDER BY dataset", "--store", store, "--json"))
    # Names of datasets are decoded keys.
    counts = [(row["dataset"], row["number_of_requests"]) for row in found]
    assert counts == [("blobs", 200), ('odd,"key', 1)]
    days = "SELECT sum(number_of_requests)::INT AS n FROM by_day"
    assert json.loads(_out("query", days, "--store", store, "--json")) == [{"n": 201}]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["query", "SELEC 1"], 2, "SQL"),
        (["query", "DROP VIEW daily"], 2, "can only be read"),
        (["query", "SELECT 1", "--format", "xml"], 2, "xml"),
        (["query", "SELECT 1", "--format", "parquet"], 2, "--out"),
        (["query", "SELECT 1", "--out", "/no/such/folder/x.tsv"], 1, "/no"),
        (["vacuum", "--hours", "-1"], 2, ""),
        (["forget-addresses"], 2, "--yes"),
        (["status", "--inventory", "/no/such/list"], 2, "/no/such/list"),
        (["summarize", "--catalog", "/no/catalog"], 2, "/no/catalog: the catalog cannot be read: does not"),
        (["export", "--out", "out", "--catalog", "/etc/passwd/x"], 2, "/etc/passwd/x: the catalog cannot"),
        (["query", "FROM totals", "--catalog", "/no/catalog"], 2, "/no/catalog: the catalog cannot be read"),
        (["summarize", "--catalog", "/"], 1, "/: the catalog cannot be read: is a folder."),
        (["regions", "update", "--source", "VPN=/no/list"], 2, "/no/list: does not exist. Write FILE"),
        (["regions", "update", "--source", "/"], 1, "/: is a folder"),
    ],
)
def test_wrong_usage_is_a_sentence(store: Path, arguments: list[str], code: int, words: str) -> None:
    if os.geteuid() == 0 and "/no/such/folder/x.tsv" in arguments:
        arguments = [*arguments[:-1], "/proc/no/x.tsv"]
        words = "/proc"
    done = run("access", *arguments, "--store", store, check=code)
    assert words in done.stderr.decode()


@pytest.mark.parametrize(
    "command", ["status", "verify", "compact", "vacuum", "forget-addresses", "query SELECT"]
)
def test_no_store_is_a_sentence(tmp_path: Path, command: str) -> None:
    done = run("access", *command.split(), "--store", tmp_path / "none", check=2)
    assert "is no access store" in done.stderr.decode()


def test_a_second_writer_is_refused_and_readers_are_not(store: Path) -> None:
    from tickline.store.folder import StoreFolder

    with StoreFolder.open(store) as folder, folder.writing():
        for command in ("compact", "vacuum"):
            assert b"another run" in run("access", command, "--store", store, check=1).stderr
        assert "201" in _out("status", "--store", store)
        assert "All is well." in _out("verify", "--store", store)


def test_forget_addresses_asks_on_a_terminal(store: Path) -> None:
    def answer(text: bytes) -> int:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "tickline", "access", "forget-addresses", "--store", str(store)],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as process:
            os.close(theirs)
            os.write(ours, text)
            errors = process.communicate(timeout=60)[1]
            os.close(ours)
            assert b"Traceback" not in errors
            return process.returncode

    assert answer(b"n\n") == 1
    assert (store / "private" / "ips.sqlite").exists()
    assert answer(b"y\n") == 0
    assert not (store / "private").exists()
    assert "0 files were deleted" in _out("forget-addresses", "--store", store, "--yes")


def test_forget_addresses_tells_in_json_what_it_did(store: Path) -> None:
    assert b"--yes" in run("access", "forget-addresses", "--store", store, "--json", check=2).stderr
    assert (store / "private" / "ips.sqlite").exists()
    found = json.loads(_out("forget-addresses", "--store", store, "--yes", "--json"))
    assert found == {"labelled": 200, "files": 1}
    assert not (store / "private").exists()
    again = json.loads(_out("forget-addresses", "--store", store, "--yes", "--json", "--quiet"))
    assert again == {"labelled": 0, "files": 0}


def test_help_shows_examples_and_loads_neither_arrow_nor_duckdb() -> None:
    for command in ("status", "query", "verify", "compact", "vacuum", "forget-addresses"):
        shown = CliRunner().invoke(app, ["access", command, "--help"])
        assert shown.exit_code == 0
        assert f"tickline access {command}" in shown.output
    code = (
        "import sys; import tickline.cli, tickline.access; "
        "print(sorted({'numpy', 'pyarrow', 'duckdb', 'sqlite3', 'rich.table'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=60)
    assert done.stdout.decode().strip() == "[]", done.stderr.decode()


# ---- the same in Python ------------------------------------------------------------------------------------


def test_a_store_in_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(log(0, 50))
    (tmp_path / "vpn.txt").write_text("192.0.2.0/24\n")
    with tl.access.Store(tmp_path / "store") as store:
        assert "no access store" in repr(store)
        with pytest.raises(UsageError):
            store.status()
        report = store.ingest(tmp_path / "a.log", keys="all", threads=1)
        assert report.rows == 50
        assert repr(store) == f"Store({str(tmp_path / 'store')!r}): rows 50, sources 1, 2024-05 to 2024-05"
        assert store.status()["rows"] == 50
        assert store.table().num_rows == store.table("accesses").num_rows == 50
        assert store.query("SELECT count(*) AS n FROM daily").to_pylist() == [{"n": 50}]
        relation = store.relation("SELECT key, bytes_sent FROM accesses")
        assert relation.aggregate("sum(bytes_sent)").fetchall() == [(sum(n * 7 for n in range(50)),)]
        assert store.relation("daily").filter("downloads > 0").count("*").fetchall() == [(50,)]
        store.update_regions(tmp_path / "vpn.txt")
        assert store.summarize().datasets == ("blobs",)
        regions = store.query("SELECT region, number_of_requests FROM by_region").to_pylist()
        assert [row["number_of_requests"] for row in regions] == [50]
        key = store.table()["key"][0].as_py()
        assert store.accesses_of_key(key).num_rows == 1
        exported = store.export(tmp_path / "out")
        assert exported.written
        assert (
            json.loads((tmp_path / "out" / "totals.json").read_text())["archive"]["number_of_requests"] == 50
        )
        assert store.compact().months == []
        assert store.vacuum().files == 0
        assert store.verify(sample=1).clean
        assert store.forget_addresses().files == 1
        assert store.ingest(tmp_path / "a.log").states["unchanged"] == 1
        with pytest.raises(UsageError, match="cannot be changed later"):
            store.ingest(tmp_path / "a.log", keys="dandi")
        with pytest.raises(UsageError, match="is no view"):
            store.table("SELECT 1")
        with pytest.raises(UsageError):
            store.query("SELECT nothing FROM accesses")


def test_a_closed_store_opens_again(store: Path) -> None:
    opened = tl.access.Store(store)
    assert opened.status()["rows"] == 201
    opened.close()
    opened.close()
    assert opened.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]
    opened.close()


def test_without_duckdb_the_extra_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with tl.access.Store(store) as opened:
        with pytest.raises(TicklineError, match=r"duckdb.*tickline\[access\]"):
            opened.query("SELECT 1")
        assert opened.status()["rows"] == 201
