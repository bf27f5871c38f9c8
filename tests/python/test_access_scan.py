"""`_core.AccessScan` in the hands of someone careless: wrong arguments, two threads, huge files."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from python.access_support import line, log, row, rows
from tickline import _core, _pattern

REDUCED = ["time", "remote_ip", "key", "bytes_sent"]
ALL = _core.AccessFilter()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"filter": None}, TypeError),
        ({"columns": [], "output": "tsv"}, ValueError),
        ({"columns": ["nope"]}, ValueError),
        ({"output": "json"}, ValueError),
        ({"level": "avx9"}, ValueError),
        ({"max_line_bytes": 2**28 + 1}, ValueError),
        ({"max_line_bytes": 2**63}, ValueError),
        ({"max_line_bytes": 2**64 - 2}, ValueError),
        ({"max_line_bytes": 2**64 - 1}, ValueError),
        ({"max_line_bytes": -1}, TypeError),
    ],
)
def test_wrong_arguments_are_exceptions(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        _core.AccessScan(**({"columns": REDUCED, "filter": ALL} | arguments))  # type: ignore[arg-type]


def test_a_second_thread_is_told_and_harms_nothing() -> None:
    data = log(0, 5000) * 40
    scan = _core.AccessScan(REDUCED, ALL, output="tsv")
    errors: list[BaseException] = []
    for _ in range(20):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            while True:
                try:
                    scan.feed(data)
                    break
                except RuntimeError as error:  # the other thread was in it for a moment
                    errors.append(error)
            done.set()

        thread = threading.Thread(target=work)
        thread.start()
        while not done.is_set():
            try:
                scan.counts()
                _ = scan.pending_rows
            except RuntimeError as error:
                errors.append(error)
        thread.join()
        if errors:
            break
    assert errors
    assert "thread" in str(errors[0])
    assert scan.counts()["accepted"] == scan.pending_rows
    assert scan.take_tsv().startswith(rows(0, 5000) * 2)


def test_a_regular_expression_lives_as_long_as_the_filter() -> None:
    made = _core.AccessFilter(exclude_pattern=_pattern.Pattern(r"\.3$").capsule())
    scan = _core.AccessScan(REDUCED, made, output="tsv")
    del made
    gc.collect()
    scan.feed(log(0, 5))
    assert scan.take_tsv() == rows(0, 3) + rows(4, 5)


def test_columns_live_longer_than_the_scan_and_its_buffers() -> None:
    data = bytearray(log(0, 100))
    scan = _core.AccessScan(["request_id"], ALL)
    scan.feed(memoryview(data)[:-1])
    data.clear()  # no view of it is held any more
    scan.finish()
    batch = scan.take_batch()
    text = memoryview(batch.column_buffers(0)[5])
    del scan, batch
    gc.collect()
    assert bytes(text[:16]) == b"REQUEST000000000"


@pytest.mark.parametrize("piece", [1, 7, 99, 100, 4096, 2**20])
def test_rejected_long_lines_are_the_same_wherever_the_pieces_are_cut(piece: int) -> None:
    data = b"x" * 9000 + b"\r\n" + line(1).encode() + b"\r\n" + b"y" * 1001 + b"\r\n" + b"z" * 5000 + b"\r"
    scan = _core.AccessScan(REDUCED, ALL, output="tsv", max_line_bytes=1000, keep_rejects=True)
    for at in range(0, len(data), piece):
        scan.feed(data[at : at + piece])
    scan.finish()
    assert scan.take_tsv() == row(1)
    assert scan.counts()["bytes"] == len(data)
    assert scan.counts()["rejected"] == {"line_too_long": 3}
    assert memoryview(scan.take_rejects()["length"]).cast("Q").tolist() == [9000, 1001, 5000]


def test_positions_behind_four_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "sparse.log"
    begin = 6 * 2**30 + 12345
    with path.open("wb") as file:
        file.seek(begin)
        file.write(b"\n" + log(0, 3) + b"bad\n" + log(3, 5))
        end = file.tell()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        scan = _core.AccessScan(REDUCED, ALL, output="tsv", keep_rejects=True)
        assert scan.read(descriptor, begin + 1, end) == end
        assert scan.take_tsv() == rows(0, 5)
        rejects = scan.take_rejects()
        assert memoryview(rejects["offset"]).cast("Q").tolist() == [begin + 1 + len(log(0, 3))]
        assert memoryview(rejects["line"]).cast("Q").tolist() == [4]
    finally:
        os.close(descriptor)


def test_a_scan_that_is_always_full_still_comes_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 5_000_000 + b"\n" + log(0, 2000))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size, position, calls = path.stat().st_size, 0, 0
        scan = _core.AccessScan(REDUCED, ALL, output="tsv")
        while position < size:
            at = scan.read(descriptor, position, size, 0)
            assert at > position
            position, calls = at, calls + 1
        assert calls > 1
        assert scan.take_tsv() == rows(0, 2000)
    finally:
        os.close(descriptor)
