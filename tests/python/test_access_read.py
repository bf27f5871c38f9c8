"""`tl.access.read` and `scan`: sources of every kind, filters, accounting, rejects."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import zstandard

import tickline as tl
from python.access_support import environment, line, log

BAD = b"this is no access log\n"
COLUMNS = ["time", "remote_ip", "key", "bytes_sent"]


def keys(table: object) -> list[str]:
    return list(table.column("key"))  # type: ignore[attr-defined]


EXPECTED = [f"blobs/{number % 97:03x}/{number:06d}" for number in range(100)]


def test_all_columns_are_read_by_default_and_nothing_is_filtered() -> None:
    table = tl.access.read(log(0, 5) + line(5, operation="REST.PUT.OBJECT", status="403").encode())
    assert table.column_names == tl.access.COLUMNS
    assert len(table.column_names) == 27
    assert len(table) == 6
    assert table.accounting["total"]["accepted"] == 6
    assert list(table.column("http_status")) == [200] * 5 + [403]


def test_columns_come_in_the_order_they_are_asked_for() -> None:
    table = tl.access.read(log(0, 3), columns=["bytes_sent", "time"])
    assert table.column_names == ("bytes_sent", "time")
    assert list(table.column("bytes_sent")) == [0, 7, 14]


@pytest.mark.parametrize("columns", [["tiem"], [], ["key", "key"], "key,nope"])
def test_a_wrong_column_is_a_value_error_that_names_the_valid_ones(columns: list[str]) -> None:
    with pytest.raises(ValueError, match=r"column"):
        tl.access.read(b"", columns=columns)
    with pytest.raises(ValueError, match=r"bucket_owner, bucket, time"):
        tl.access.read(b"", columns=["tiem"])


def test_a_path_a_text_a_file_a_buffer_and_a_list_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(log(0, 100))
    with path.open("rb") as file:
        sources: list[object] = [
            path,
            str(path),
            file,
            log(0, 100),
            bytearray(log(0, 100)),
            memoryview(log(0, 100)),
        ]
        sources += [io.BytesIO(log(0, 100)), [log(0, 40), log(40, 100)]]
        for source in sources:
            assert keys(tl.access.read(source, COLUMNS)) == EXPECTED


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_compressed_sources_are_told_by_content(tmp_path: Path, pack: object) -> None:
    data = pack(log(0, 100))  # type: ignore[operator]
    (tmp_path / "a.log").write_bytes(data)
    for source in (tmp_path / "a.log", data, io.BytesIO(data)):
        assert keys(tl.access.read(source, ["key"])) == EXPECTED


def test_a_folder_stands_for_its_logs_in_natural_order(tmp_path: Path) -> None:
    for day in (9, 10, 11):
        (tmp_path / f"{day}.log").write_bytes(log(day * 10, day * 10 + 1))
    (tmp_path / "truth.json").write_text("{}")
    table = tl.access.read(tmp_path, ["key"])
    assert keys(table) == [f"blobs/{number % 97:03x}/{number:06d}" for number in (90, 100, 110)]
    assert [Path(source["path"]).name for source in table.accounting["sources"]] == [
        "9.log",
        "10.log",
        "11.log",
    ]


def test_a_folder_without_logs_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"no logs were found.*\*\.log"):
        tl.access.read(tmp_path)


def test_a_missing_file_and_a_cut_one_raise_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"gone\.log: does not exist"):
        tl.access.read(tmp_path / "gone.log")
    path = tmp_path / "cut.log.gz"
    path.write_bytes(gzip.compress(log(0, 100))[:-20])
    with pytest.raises(OSError, match=r"cut\.log\.gz: its gzip data ends too early"):
        tl.access.read(path)


def test_filters_are_those_of_the_command_line() -> None:
    data = b"".join(
        line(number, **more).encode() + b"\n"  # type: ignore[arg-type]
        for number, more in enumerate(
            [
                {},
                {"operation": "REST.PUT.OBJECT"},
                {"status": "304"},
                {"ip": "198.51.100.7"},
                {"ip": "2001:db8::1"},
                {"time": "31/Dec/2019:23:59:59"},
                {"key": "zarr/abc/0/1/2"},
            ]
        )
    )

    def kept(**filters: object) -> list[str]:
        return [name[-1] for name in tl.access.read(data, ["request_id"], **filters).column("request_id")]

    assert kept() == list("0123456")
    assert kept(operation="REST.GET.OBJECT") == list("023456")
    assert kept(operation=["REST.PUT.OBJECT", "REST.HEAD.OBJECT"]) == ["1"]
    assert kept(status=304) == ["2"]
    assert kept(status=["200", "3xx"]) == list("0123456")
    assert kept(status="2xx") == list("013456")
    assert kept(exclude_ip="198.51.100.0/24,2001:db8::/32") == list("01256")
    assert kept(exclude_ip_regex=r"^198\.") == list("012456")
    assert kept(exclude_year=2019) == list("012346")
    assert kept(since=date(2024, 1, 1)) == list("012346")
    assert kept(until="2024-05-01") == ["5"]
    assert kept(since=datetime(2024, 5, 1, 0, 0, 3, tzinfo=UTC)) == list("346")
    assert kept(since="2024-05-01T02:00:03+02:00") == list("346")
    assert kept(keys="zarr:2") == ["6"]
    assert list(tl.access.read(data, ["key"], keys="dandi").column("key"))[-1] == "zarr/abc"


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "20x"},
        {"exclude_ip": "192.0.2.1/24"},
        {"exclude_ip": "@/no/such/file"},
        {"exclude_ip_regex": "("},
        {"exclude_year": "19"},
        {"since": "yesterday"},
        {"keys": "blobs:x"},
    ],
)
def test_a_filter_that_cannot_be_understood_is_a_value_error(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r".+\."):
        tl.access.read(b"", **wrong)


def test_addresses_to_exclude_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "ours.txt").write_text("# ours\n192.0.2.1, 192.0.2.2\n\n192.0.2.4/31  # two more\n")
    table = tl.access.read(log(0, 8), ["remote_ip"], exclude_ip=f"@{tmp_path / 'ours.txt'}")
    assert [text[-1] for text in table.column("remote_ip")] == list("0367")


def test_rejects_say_where_and_why_in_every_kind_of_source(tmp_path: Path) -> None:
    data = log(0, 2) + BAD + b"\n" + log(2, 3) + BAD[:-1]
    begins = [len(log(0, 2)), len(data) - len(BAD) + 1]
    (tmp_path / "a.log").write_bytes(data)
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(data))
    for name in ("a.log", "a.log.gz"):
        rejects = tl.access.read(tmp_path / name).rejects
        assert list(rejects.column("source")) == [str(tmp_path / name)] * 2
        assert list(rejects.column("line")) == [3, 6]
        assert list(rejects.column("offset")) == begins
        assert list(rejects.column("length")) == [len(BAD) - 1] * 2
        assert len(set(rejects.column("reason"))) == 1


def test_every_line_is_accounted_for() -> None:
    total = tl.access.read(log(0, 7) + b"\n" + BAD, status=304).accounting["total"]
    assert total["lines"] == 9
    assert total["accepted"] == 0
    assert total["filtered"] == {"blank": 1, "status": 7}
    assert sum(total["rejected"].values()) == 1
    assert total["bytes"] == len(log(0, 7) + b"\n" + BAD)


def test_an_empty_source_gives_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(b"")
    for source in (b"", tmp_path / "a.log", [], io.BytesIO()):
        table = tl.access.read(source, COLUMNS)
        assert len(table) == 0
        assert table.column_names == tuple(COLUMNS)
        assert table.accounting["total"]["lines"] == 0
        assert len(table.rejects) == 0


def test_a_named_pipe_can_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(gzip.compress(log(0, 100)),))
    writer.start()
    assert keys(tl.access.read(tmp_path / "pipe", ["key"])) == EXPECTED
    writer.join()


def test_a_dash_is_standard_input() -> None:
    code = "import tickline as tl; print(len(tl.access.read('-')))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=log(0, 9), capture_output=True, env=environment()
    )
    assert (done.stdout, done.stderr) == (b"9\n", b"")


def test_a_scan_gives_the_rows_of_read_in_tables_of_limited_size(tmp_path: Path) -> None:
    data = log(0, 20_000) + BAD
    (tmp_path / "a.log").write_bytes(data)
    (tmp_path / "b.log.gz").write_bytes(gzip.compress(data))
    for name in ("a.log", "b.log.gz"):
        scan = tl.access.scan(tmp_path / name, ["key", "bytes_sent"], batch_rows=1000)
        tables = list(scan)
        assert [name for table in tables for name in keys(table)] == keys(tl.access.read(data, ["key"]))
        assert scan.accounting == tl.access.read(tmp_path / name, ["key"]).accounting
        assert len(scan.rejects) == 1
    assert len(list(tl.access.scan(tmp_path / "a.log", ["key"], batch_rows=1000))) >= 2


def test_a_scan_is_an_arrow_stream() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    scan = tl.access.scan([log(0, 60), log(60, 100)], ["key", "time"], batch_rows=10)
    reader = pyarrow.RecordBatchReader.from_stream(scan)
    assert reader.schema.names == ["key", "time"]
    assert reader.read_all().column("key").to_pylist() == EXPECTED
    assert scan.accounting["total"]["accepted"] == 100


def test_importing_loads_the_standard_library_and_the_core_only() -> None:
    code = "import sys; before=set(sys.modules); import tickline; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=True)
    loaded = {name.split(".")[0] for name in done.stdout.decode().split()}
    assert loaded - set(sys.stdlib_module_names) == {"tickline"}
    ours = {name for name in done.stdout.decode().split() if name.startswith("tickline")}
    assert ours == {"tickline", "tickline._core"}


def test_reading_needs_no_package_but_ours() -> None:
    """numpy, typer and rich are imported by what uses them, not by reading."""
    code = (
        "import sys\n"
        "for name in ('numpy', 'pyarrow', 'typer', 'rich', 'zstandard', 'pandas'): sys.modules[name] = None\n"
        "import tickline as tl\n"
        "assert len(tl.access.read(sys.stdin.buffer)) == 3\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=log(0, 3), capture_output=True, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, b"")
