"""S3 Inventory lists as AWS delivers them, whole or in part, and tables of bucket and key."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow
import pyarrow.orc
import pyarrow.parquet
import pytest

from tickline.errors import TicklineError, UsageError
from tickline.pipelines.access.inventory import Inventory, open_inventory

KEYS = [
    "raw/2024/05/01.log",
    "raw/a b+c%41ü.log.gz",
    "raw/2024-05-01-00-12-33-0123456789ABCDEF",
    "raw/notes.txt",
    "raw/2024/",
    "raw/.hidden.log",
]
ROWS = [(f"s3://logs/{key}", 100 + number) for number, key in enumerate(KEYS[:3])]
VERSIONED = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag"


def csv_of(keys: list[str], form: str = '"{bucket}","{key}","{size}"\n') -> bytes:
    lines = (form.format(bucket="logs", key=quote_plus(key), size=100 + n) for n, key in enumerate(keys))
    return "".join(lines).encode()


def table_of(keys: list[str]) -> pyarrow.Table:
    count = len(keys)
    return pyarrow.table(
        {
            "bucket": ["logs"] * count,
            "key": keys,
            "is_latest": [True] * count,
            "is_delete_marker": [False] * count,
            "size": pyarrow.array([100 + number for number in range(count)], pyarrow.int64()),
            "e_tag": ["x"] * count,
        }
    )


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def deliver(
    root: Path,
    day: str = "05",
    *,
    keys: list[str] = KEYS,
    form: str = "CSV",
    schema: str = "Bucket, Key, Size",
    data: bytes | None = None,
    **more: Any,
) -> Path:
    """Write an inventory as AWS does, and return its manifest."""
    config = root / "lists" / "logs" / "daily"
    suffix = {"CSV": "csv.gz", "Parquet": "parquet", "ORC": "orc"}[form]
    half = len(keys) // 2
    files = []
    for number, part in enumerate((keys[:half], keys[half:])):
        path = config / "data" / f"{day}-{number}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "CSV":
            path.write_bytes(gzip.compress(csv_of(part)) if data is None else data)
        elif form == "Parquet":
            pyarrow.parquet.write_table(table_of(part), path)
        else:
            pyarrow.orc.write_table(table_of(part), path)
        key = f"lists/logs/daily/data/{path.name}"
        files.append({"key": key, "size": path.stat().st_size, "MD5checksum": "0"})
    manifest = {
        "sourceBucket": "logs",
        "destinationBucket": "arn:aws:s3:::lists",
        "version": "2016-11-30",
        "creationTimestamp": "1514944800000",
        "fileFormat": form,
        "fileSchema": schema,
        "files": files,
        **more,
    }
    links = "".join(f"s3://lists/{file['key']}\n" for file in files)
    put(config / "hive" / f"dt=2024-05-{day}-01-00" / "symlink.txt", links.encode())
    return put(config / f"2024-05-{day}T01-00Z" / "manifest.json", json.dumps(manifest).encode())


def logs(inventory: Inventory) -> list[tuple[str, int | None]]:
    return sorted((item.name, item.size) for item in inventory.logs())


def sorted_rows() -> list[tuple[str, int | None]]:
    # Sizes count anew in the second file.
    sizes = [100, 101, 102, 100, 101, 102]
    return sorted((f"s3://logs/{key}", size) for key, size in zip(KEYS[:3], sizes, strict=False))


@pytest.mark.parametrize("form", ["CSV", "Parquet", "ORC"])
def test_a_manifest_names_the_logs_of_all_its_files(tmp_path: Path, form: str) -> None:
    inventory = open_inventory(deliver(tmp_path, form=form))
    assert logs(inventory) == sorted_rows()
    assert inventory.date == "2024-05-05T01-00"
    assert inventory.left_out == {"not named like a log": 3}
    # Again, with the counts of once.
    assert logs(inventory) == sorted_rows()
    assert inventory.left_out == {"not named like a log": 3}


@pytest.mark.parametrize("depth", ["", "lists", "lists/logs", "lists/logs/daily"])
def test_a_folder_gives_its_newest_inventory(tmp_path: Path, depth: str) -> None:
    for day in ("07", "28", "09"):
        deliver(tmp_path, day, keys=[f"raw/{day}.log", "raw/x.log"])
    inventory = open_inventory(tmp_path / depth)
    assert inventory.date == "2024-05-28T01-00"
    assert logs(inventory) == [("s3://logs/raw/28.log", 100), ("s3://logs/raw/x.log", 100)]
    # A newer list of files counts, though its manifest is not here.
    deliver(tmp_path, "30").unlink()
    assert open_inventory(tmp_path / depth).date == "2024-05-30T01-00"


def test_one_inventory_is_found_in_a_part_of_the_tree(tmp_path: Path) -> None:
    manifest = deliver(tmp_path)
    data = manifest.parent.parent / "data"
    # As copied by hand: the manifest, and its files beside or below it.
    for place in ("beside", "below/data"):
        moved = put(tmp_path / "copy" / place.partition("/")[0] / "manifest.json", manifest.read_bytes())
        for file in data.iterdir():
            put(tmp_path / "copy" / place / file.name, file.read_bytes())
        assert logs(open_inventory(moved)) == sorted_rows()
        assert logs(open_inventory(moved.parent)) == sorted_rows()


def test_symlinks_are_followed_with_the_schema_of_the_manifest_or_without(tmp_path: Path) -> None:
    manifest = deliver(tmp_path)
    config = manifest.parent.parent
    links = config / "hive" / "dt=2024-05-05-01-00" / "symlink.txt"
    assert open_inventory(links).path == manifest
    manifest.unlink()
    for raw in (links, config, config / "hive"):
        inventory = open_inventory(raw)
        assert (inventory.path, inventory.date) == (links, "2024-05-05T01-00")
        assert logs(inventory) == sorted_rows()


def test_only_current_objects_count(tmp_path: Path) -> None:
    line = '"logs","a.log","{}","{}","{}","{}","2024-05-01T00:00:00.000Z","x"\n'
    rows = [("v3", "false", "true", ""), ("v2", "true", "false", "7"), ("v1", "false", "false", "5")]
    data = "".join(line.format(*row) for row in rows) + '"logs","b.log","v1","true","true","","",""\n'
    manifest = deliver(tmp_path, data=gzip.compress(data.encode()), keys=["x"], schema=VERSIONED)
    inventory = open_inventory(manifest)
    assert logs(inventory) == [("s3://logs/a.log", 7)] * 2
    assert inventory.left_out == {"older version": 4, "delete marker": 2}
    # Without a schema the first line tells that there are versions.
    inventory = open_inventory(put(tmp_path / "t.csv", data.encode()))
    assert logs(inventory) == [("s3://logs/a.log", 7)]


@pytest.mark.parametrize(
    ("name", "data", "sizes"),
    [
        ("t.csv", csv_of(KEYS), True),
        ("t.csv.gz", gzip.compress(csv_of(KEYS), mtime=0), True),
        ("t.csv", csv_of(KEYS).replace(b"\n", b"\r\n").rstrip(), True),
        ("t.csv", b"Bucket,Key,Size\n" + csv_of(KEYS), True),
        ("t.csv", b"size,key,bucket\n" + csv_of(KEYS, "{size},{key},{bucket}\n"), True),
        ("t.csv", csv_of(KEYS, "{bucket},{key}\n"), False),
    ],
)
def test_a_table_of_bucket_and_key_will_do(tmp_path: Path, name: str, data: bytes, sizes: bool) -> None:
    expected = sorted((name, size if sizes else None) for name, size in ROWS)
    assert logs(open_inventory(put(tmp_path / name, data))) == expected


def test_single_files_of_parquet_and_orc_will_do(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(table_of(KEYS), tmp_path / "t.parquet")
    pyarrow.orc.write_table(table_of(KEYS), tmp_path / "t.orc")
    assert logs(open_inventory(tmp_path / "t.parquet")) == sorted(ROWS)
    assert logs(open_inventory(tmp_path / "t.orc")) == sorted(ROWS)


def broken(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        manifest = deliver(root)
        change(manifest)
        return manifest

    return make


def edited(**more: Any) -> Callable[[Path], Path]:
    def make(root: Path) -> Path:
        return deliver(root, **more)

    return make


def table(name: str, data: bytes) -> Callable[[Path], Path]:
    return lambda root: put(root / name, data)


def first_data(manifest: Path) -> Path:
    return manifest.parent.parent / "data" / "05-0.csv.gz"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (broken(lambda path: first_data(path).unlink()), "05-0.csv.gz is not here"),
        (broken(lambda path: first_data(path).write_bytes(b"x")), "has 1 bytes, where the manifest says"),
        (broken(lambda path: path.write_text("{")), "is no manifest"),
        (broken(lambda path: path.write_text("[]")), "is no manifest"),
        (broken(lambda path: path.write_text("[" * 100_000)), "is no manifest"),
        (broken(lambda path: path.write_bytes(b"\xff\xfe\xfd")), "is no manifest"),
        (edited(fileFormat="XML"), "is no manifest"),
        (edited(fileSchema=7), "is no manifest"),
        (edited(fileSchema="Key, Size"), "has no Bucket and Key"),
        (edited(files=[{"key": "../../etc/passwd"}]), "names a file that cannot be one"),
        (edited(files=[{"key": ""}]), "names a file that cannot be one"),
        (edited(data=gzip.compress(csv_of(KEYS), mtime=0)[:-9]), "ends too early"),
        (edited(data=b"PAR1 and so on"), "is no line of an inventory"),
        (table("t.csv", b"logs\n"), "t.csv, line 1: is no line of an inventory"),
        (table("t.csv", b"logs,a.log,1\nlogs,b.log,many\n"), "t.csv, line 2: is no line of an inventory"),
        (table("t.csv", b"logs,%FF.log,1\n"), "is no line of an inventory"),
        (table("t.csv", b"logs,,1\n"), "names no bucket or no key"),
        (table("t.csv", b'logs,"a.log,1\n'), "is no CSV of an inventory"),
        (table("t.csv", b"logs,\xff.log,1\n"), "not UTF-8"),
        (table("t.csv", b"x" * 2_000_000), "a line does not end"),
        (table("t.parquet", b"PAR1"), "is no readable parquet file"),
        (table("t.orc", b"ORC"), "is no readable orc file"),
        (table("t.txt", b"logs,a.log\n"), "is not named like an inventory"),
        (table("hive/dt=2024-05-05-01-00/symlink.txt", b""), "names no files"),
        (lambda root: root / "missing", "does not exist"),
        (lambda root: root, "holds no inventory"),
    ],
)
def test_another_shape_is_a_sentence(tmp_path: Path, make: Callable[[Path], Path], sentence: str) -> None:
    raw = make(tmp_path)
    with pytest.raises(TicklineError) as caught:
        logs(open_inventory(raw))
    assert sentence in str(caught.value)
    assert caught.value.hint


def test_a_table_without_the_columns_is_a_sentence(tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "t.parquet")
    nulls = pyarrow.table({"bucket": ["b"], "key": pyarrow.array([None], pyarrow.string())})
    pyarrow.parquet.write_table(nulls, tmp_path / "n.parquet")
    with pytest.raises(TicklineError, match="has no columns bucket and key"):
        logs(open_inventory(tmp_path / "t.parquet"))
    with pytest.raises(TicklineError, match="names no bucket or no key"):
        logs(open_inventory(tmp_path / "n.parquet"))


def test_several_lists_below_a_folder_are_named(tmp_path: Path) -> None:
    deliver(tmp_path / "one")
    deliver(tmp_path / "two")
    with pytest.raises(UsageError, match="holds 2 different inventory lists") as caught:
        open_inventory(tmp_path)
    assert "one/lists/logs/daily, two/lists/logs/daily" in str(caught.value)


def test_an_inventory_in_s3_is_to_be_copied_first() -> None:
    with pytest.raises(UsageError, match="aws s3 sync"):
        open_inventory("s3://lists/logs/daily")


def test_a_missing_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow.parquet.write_table(table_of(KEYS), tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(TicklineError, match=r"pip install 'tickline\[access\]'"):
        logs(open_inventory(tmp_path / "t.parquet"))


def test_memory_does_not_grow_with_the_list(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "t.csv.gz", "wb", 1) as file:
        for block in range(300):
            file.writelines(b'"logs","raw/%07d.log","1"\n' % (block * 1000 + n) for n in range(1000))
    code = textwrap.dedent(
        """
        import sys
        def peak_kib():  # ru_maxrss begins with what the parent had
            with open("/proc/self/status") as status:
                return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        from tickline.pipelines.access.inventory import open_inventory
        inventory = open_inventory(sys.argv[1])
        before = peak_kib()
        count = sum(1 for _ in inventory.logs())
        print(count, peak_kib() - before)
        """
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.csv.gz")]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    count, grown_kib = map(int, done.stdout.split())
    assert count == 300_000
    # The text alone has 9 MB, as Python objects about 70.
    assert grown_kib < 24 * 1024
