"""Finds the real lines and the other programs' fixtures that the conformance tests compare with.

They are other people's data and not part of this project: ``TICKLINE_CONFORMANCE_DATA`` names the folder, by
default ``../shared/data`` beside the project. Where it is absent the whole folder counts as one visible skip,
and as an error under ``TICKLINE_REQUIRE_ALL=1``.
"""

from __future__ import annotations

import datetime
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
DATA = Path(os.environ.get("TICKLINE_CONFORMANCE_DATA") or PROJECT.parent / "shared" / "data")
REQUIRE_ALL = os.environ.get("TICKLINE_REQUIRE_ALL", "") not in ("", "0")
PRESENT = (DATA / "s3_access" / "INDEX.tsv").is_file()
ABSENT = (
    f"conformance: no data in {DATA} (set TICKLINE_CONFORMANCE_DATA): nothing was compared with real lines"
)

# Names of the index and of the package's columns.
COLUMN_OF = {
    "operation": "operation",
    "key": "key",
    "http_status": "http_status",
    "error_code": "error_code",
    "bytes_sent": "bytes_sent",
    "object_size": "object_size",
    "total_time": "total_time_ms",
    "turnaround_time": "turnaround_time_ms",
    "referer": "referrer",
    "user_agent": "user_agent",
    "version_id": "version_id",
    "remote_ip": "remote_ip",
    "timestamp_utc": "time",
    "request_uri": "request_uri",
}
NUMBERS = {"http_status", "bytes_sent", "object_size", "total_time_ms", "turnaround_time_ms"}


@dataclass(frozen=True)
class RealLine:
    """One row of the index: where the line stands, and what must come out of it."""

    file: str
    line: int  # from 1
    nasty: bool
    judgement: str  # "accepted", "rejected" or "any"
    values: dict[str, str | int | None]  # by column of the package


def _value(column: str, text: str) -> str | int | None:
    if text in ("-", "<ABSENT>"):
        return None
    if text == "<EMPTY>":
        return ""
    if column == "time":
        return int(datetime.datetime.fromisoformat(text).timestamp()) * 1000
    return int(text) if column in NUMBERS else text


def read_index(path: Path) -> list[RealLine]:
    """Read INDEX.tsv; its README says what the marks in angle brackets mean."""
    text = path.read_bytes().decode("utf-8", "replace").removesuffix("\n")
    rows = [line.split("\t") for line in text.split("\n")]
    lines = []
    for row in rows[1:]:
        fields = dict(zip(rows[0], row, strict=True))
        expected = [fields[name] for name in COLUMN_OF]
        judgement = "accepted"
        if "<NO-EXPECTATION>" in expected:
            judgement = "any"
        elif "<REJECT>" in expected or "CORRUPT" in expected or int(fields["fields"]) < 17:
            judgement = "rejected"
        values = {}
        if judgement == "accepted":
            values = {column: _value(column, fields[name]) for name, column in COLUMN_OF.items()}
        lines.append(
            RealLine(fields["file"], int(fields["line"]), fields["nasty"] == "nasty", judgement, values)
        )
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every row of the index to the tests that take a ``real_line``."""
    if "real_line" not in metafunc.fixturenames:
        return
    rows: list[RealLine | None] = [*read_index(DATA / "s3_access" / "INDEX.tsv")] if PRESENT else [None]
    if not rows:
        raise pytest.UsageError(
            f"{DATA / 's3_access' / 'INDEX.tsv'} names no line: nothing would be checked."
        )
    metafunc.parametrize("real_line", rows, ids=[f"{r.file}:{r.line}" if r else "absent" for r in rows])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without the data, leave one skip of the whole folder, or stop."""
    ours = [item for item in items if item.path.is_relative_to(HERE)]
    if PRESENT or not ours:
        return
    if REQUIRE_ALL:
        raise pytest.UsageError(ABSENT)
    ours[0].add_marker(pytest.mark.skip(reason=ABSENT))
    items[:] = [item for item in items if item not in ours[1:]]


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder with ``s3_access`` and ``peers``."""
    return DATA


@pytest.fixture(scope="session")
def index(data: Path) -> list[RealLine]:
    """Return all rows of the index."""
    return read_index(data / "s3_access" / "INDEX.tsv")


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """Return the slow, obvious parser."""
    return importlib.import_module("tickline.reference.s3_access")


@pytest.fixture(scope="session")
def access() -> ModuleType:
    """Return ``tickline.access``; without the package the tests that need it are skipped one by one."""
    if REQUIRE_ALL:
        return importlib.import_module("tickline.access")
    return pytest.importorskip("tickline.access", exc_type=ImportError)


@pytest.fixture(scope="session")
def columns_of(access: ModuleType) -> Callable[..., dict[str, list[Any]]]:
    """Return a function: a Table to lists of Python values, times as milliseconds since 1970."""
    pa = importlib.import_module("pyarrow")

    def convert(table: object) -> dict[str, list[Any]]:
        arrow = pa.table(table)
        return {
            name: (arrow[name].cast(pa.int64()) if name == "time" else arrow[name]).to_pylist()
            for name in arrow.column_names
        }

    return convert
