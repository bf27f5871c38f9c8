"""RAW arguments to inputs: what is taken, in which order, under which name; and what is refused."""

from __future__ import annotations

import gzip
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from python.access_support import log
from python.s3_support import answer, cut, etag, fake_s3, set_environment
from tickline.clients.s3 import S3Client
from tickline.discovery import natural_key
from tickline.errors import SourceError, TicklineError, UsageError
from tickline.pipelines.access.ingest.inputs import Found, Input, find_inputs, input_order

LOG = log(0, 500)
AWS_NAME = "2024-05-01-00-12-33-0123456789ABCDEF"


def put(path: Path, data: bytes = LOG) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def names(found: Found) -> list[str]:
    return [item.name for item in found.inputs]


def content(item: Input) -> bytes:
    with item.open() as source:
        return b"".join(source.chunks())


# ---- local ------------------------------------------------------------------------------------------------


def test_files_and_folders_give_their_logs_once_in_natural_order(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    wanted = [put(raw / name) for name in ("2024/9/1.log", "2024/10/2.log", "2024/10/10.log.gz", AWS_NAME)]
    put(raw / "notes.txt")
    put(raw / ".hidden.log")
    other = put(tmp_path / "other.txt")
    with find_inputs([str(raw), str(raw / "2024"), str(other), str(other)]) as found:
        assert names(found) == [str(path) for path in [other, *wanted]]
        assert found.left_out == {"not named like a log": 1, "hidden": 1, "named or found twice": 4}
        assert found.problems == []


def test_the_order_does_not_depend_on_the_arguments(tmp_path: Path) -> None:
    paths = [str(put(tmp_path / f"{number}.log")) for number in range(30)]
    random.Random(1).shuffle(paths)
    assert names(find_inputs(paths)) == names(find_inputs([str(tmp_path)]))


def test_relative_names_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.log")
    monkeypatch.chdir(tmp_path)
    assert names(find_inputs(["a.log", "./a.log", "."])) == [str(tmp_path / "a.log")]


def test_the_folder_above_a_link_is_the_one_the_system_means(tmp_path: Path) -> None:
    put(tmp_path / "far/logs/a.log")
    put(tmp_path / "far/b.log")
    (tmp_path / "link").symlink_to(tmp_path / "far/logs")
    found = find_inputs([str(tmp_path / "link/../b.log")])
    assert (names(found), found.problems) == ([str(tmp_path / "far/b.log")], [])


def test_a_local_input_knows_its_identity(tmp_path: Path) -> None:
    path = put(tmp_path / "a.log")
    status = path.stat()
    (item,) = find_inputs([str(path)]).inputs
    assert (item.size, item.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert item.inode == f"{status.st_dev}:{status.st_ino}"
    assert item.delivered_ms == status.st_mtime_ns // 10**6
    assert not item.is_remote


def test_local_inputs_open_as_what_they_are(tmp_path: Path) -> None:
    forms = {"plain": LOG, "gzip": gzip.compress(LOG), "zstd": zstandard.compress(LOG)}
    for kind, data in forms.items():
        (item,) = find_inputs([str(put(tmp_path / f"{kind}.log", data))]).inputs
        with item.open() as source:
            assert source.kind == kind
            assert source.fd >= 0
            assert source.size == len(data)
            assert b"".join(source.chunks()) == LOG
            assert source.bytes_taken == len(data)
            assert source.unchanged()
            os.truncate(item.name, 1)
            assert not source.unchanged()


def test_what_took_the_place_of_a_file_is_not_read(tmp_path: Path) -> None:
    path = put(tmp_path / "a.log")
    (item,) = find_inputs([str(path)]).inputs
    path.unlink()
    with pytest.raises(SourceError, match="does not exist"):
        item.open()
    os.mkfifo(path)
    keep = os.open(path, os.O_RDWR)
    try:
        with pytest.raises(SourceError, match="no regular file any more"):
            item.open()
    finally:
        os.close(keep)


@pytest.mark.parametrize("raw", ["-", "", "missing.log", "/dev/null", "s3://", "s3:///x"])
def test_an_argument_that_cannot_be_a_source_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: str
) -> None:
    monkeypatch.chdir(tmp_path)
    good = str(put(tmp_path / "a.log"))
    with pytest.raises(UsageError) as caught:
        find_inputs([good, raw])
    assert caught.value.hint


def test_standard_input_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a second run could not tell"):
        find_inputs(["-"])
    with pytest.raises(UsageError, match="nothing was named"):
        find_inputs([])
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="pipe, socket or device"):
        find_inputs([str(tmp_path / "pipe")])


def test_a_folder_without_logs_does_not_stop_the_others(tmp_path: Path) -> None:
    put(tmp_path / "full" / "a.log")
    put(tmp_path / "empty" / "notes.txt")
    found = find_inputs([str(tmp_path / "empty"), str(tmp_path / "full")])
    assert len(found.inputs) == 1
    (problem,) = found.problems
    assert "no logs were found in this folder" in str(problem)


PARTS = st.text(st.sampled_from("aB09.-é/"), max_size=12)


@given(st.lists(PARTS, max_size=12))
def test_the_compact_order_is_the_natural_order(some: list[str]) -> None:
    some = sorted(set(some))
    assert sorted(some, key=input_order) == sorted(some, key=natural_key)


# ---- S3 ---------------------------------------------------------------------------------------------------

OBJECTS = {
    f"raw/{AWS_NAME}": LOG,
    "raw/2024/9/1.log": LOG,
    "raw/2024/10/1.log.gz": gzip.compress(LOG),
    "raw/2024/10/2.log.zst": zstandard.compress(LOG),
    "raw/2024/10/empty.log": b"",
    "raw/2024/10/ü +%41.log": LOG,
    "raw/": b"",
    "raw/notes.txt": b"x",
    "raw/.cache/a.log": LOG,
    "raw/.b.log": LOG,
    "raw/truth.json": b"{}",
    "raw2/a.log": LOG,
}
LOG_KEYS = [
    "raw/2024/9/1.log",
    "raw/2024/10/1.log.gz",
    "raw/2024/10/2.log.zst",
    "raw/2024/10/empty.log",
    "raw/2024/10/ü +%41.log",
    f"raw/{AWS_NAME}",
]


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    with fake_s3(OBJECTS, page=4) as fake:
        set_environment(monkeypatch, fake.url)
        with S3Client(piece_bytes=5000, backoff_s=0.001) as client:
            yield client


def test_objects_are_taken_by_the_names_taken_in_folders(client: S3Client) -> None:
    found = find_inputs(["s3://logs/raw/", "s3://logs/raw/2024/"], client=client)
    assert names(found) == [f"s3://logs/{key}" for key in LOG_KEYS]
    expected = {"folder marker": 1, "hidden": 2, "truth.json": 1, "not named like a log": 1}
    assert found.left_out == {**expected, "named or found twice": 5}
    assert found.problems == []


def test_a_remote_input_knows_its_identity_and_content(client: S3Client) -> None:
    found = find_inputs(["s3://logs/raw/"], client=client)
    for item in found.inputs:
        data = OBJECTS[item.name.removeprefix("s3://logs/")]
        assert item.is_remote
        assert (item.size, item.inode) == (len(data), f"etag:{etag(data)}")
        assert item.delivered_ms == 1714619045678
        assert item.mtime_ns == 1714619045678 * 10**6
        with item.open() as source:
            assert (source.kind, source.fd, source.size) == ("stream", -1, len(data))
            assert source.bytes_taken == 0
            assert b"".join(source.chunks()) == (LOG if data else b"")
            assert source.bytes_taken == len(data)
            assert source.unchanged()
            # From the beginning again, as often as wanted.
            assert b"".join(source.chunks()) == (LOG if data else b"")


def test_local_and_remote_arguments_mix(client: S3Client, tmp_path: Path) -> None:
    path = put(tmp_path / "a.log")
    found = find_inputs(["s3://logs/raw2", str(path)], client=client)
    assert names(found) == [str(path), "s3://logs/raw2/a.log"]
    assert [content(item) for item in found.inputs] == [LOG, LOG]


def test_a_prefix_is_literal_text_or_one_whole_key(client: S3Client) -> None:
    assert names(find_inputs(["s3://logs/raw/2024/10/ü "], client=client)) == [f"s3://logs/{LOG_KEYS[4]}"]
    assert names(find_inputs(["s3://logs/raw/notes.txt"], client=client)) == ["s3://logs/raw/notes.txt"]
    assert names(find_inputs(["s3://logs/raw/.cache/"], client=client)) == ["s3://logs/raw/.cache/a.log"]
    # raw/ and raw2/ both begin so.
    assert len(find_inputs(["s3://logs/raw"], client=client).inputs) == len(LOG_KEYS) + 1


def test_a_whole_key_means_this_object_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3({"a.log": LOG, "a.log.gz": LOG, "d": b"", "d/x.log": LOG}) as fake:
        set_environment(monkeypatch, fake.url)
        with find_inputs(["s3://logs/a.log"]) as found:
            assert names(found) == ["s3://logs/a.log"]
        # An empty object that stands for a folder is none.
        with find_inputs(["s3://logs/d"]) as found:
            assert names(found) == ["s3://logs/d/x.log"]


def test_a_prefix_without_logs_says_what_was_seen(client: S3Client) -> None:
    found = find_inputs(["s3://logs/raw/notes", "s3://logs/*.log", "s3://logs/raw2"], client=client)
    assert len(found.inputs) == 1
    seen, none = map(str, found.problems)
    assert "no logs were found among the 1 objects whose key begins with this prefix" in seen
    assert "no logs were found whose key begins with this prefix" in none
    assert "* stands for itself" in none


def test_a_bucket_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = answer(403, "AccessDenied")
    with fake_s3(OBJECTS, None, refused, None, page=4) as fake:
        set_environment(monkeypatch, fake.url)
        with find_inputs(["s3://logs/raw/", "s3://other/", "s3://logs/raw2/"]) as found:
            first, second = map(str, found.problems)
    assert "s3://logs/raw/: may not be read (403 AccessDenied)." in first
    assert "no such bucket" in second
    # What the first page named is there, and the third place.
    assert len(found.inputs) == 4 - 3 + 1


def test_an_object_is_read_over_a_cut_and_a_lasting_failure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(LOG)
    with fake_s3({"a.log.gz": packed}, None, cut(100), cut(7), *[None] * 9) as fake:
        set_environment(monkeypatch, fake.url, AWS_MAX_ATTEMPTS="3")
        with find_inputs(["s3://logs/"]) as found:
            assert content(found.inputs[0]) == LOG
            fake.faults[:] = [answer(403, "AccessDenied")]
            with pytest.raises(SourceError, match="may not be read"):
                content(found.inputs[0])
            fake.objects["a.log.gz"] = gzip.compress(LOG, 1)
            with pytest.raises(SourceError, match="was changed while it was read"):
                content(found.inputs[0])


def test_damaged_compressed_objects_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {
        "cut.log.gz": gzip.compress(LOG)[:-9],
        "cut.log.zst": zstandard.compress(LOG)[:-9],
        "empty.log.gz": b"",
        "odd.log.gz": b"\0\1\2" * 999,
    }
    with fake_s3(objects) as fake:
        set_environment(monkeypatch, fake.url)
        with find_inputs(["s3://logs/"]) as found:
            for item in found.inputs:
                with pytest.raises(SourceError) as caught:
                    content(item)
                assert caught.value.where == item.name


def test_many_objects_are_read_at_once(client: S3Client) -> None:
    found = find_inputs(["s3://logs/raw/"], client=client)
    results: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda item=item: results.__setitem__(item.name, content(item)))
        for item in found.inputs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == len(LOG_KEYS)
    assert all(data == (b"" if "empty" in name else LOG) for name, data in results.items())


def test_nothing_is_asked_before_all_arguments_are_known_to_be_good(monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_s3(OBJECTS) as fake:
        set_environment(monkeypatch, fake.url)
        with pytest.raises(TicklineError):
            find_inputs(["s3://logs/raw/", "missing"])
    assert fake.requests == []
