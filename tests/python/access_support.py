"""What the tests of sources, `read` and `reduce` share: plain lines, and the command as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tickline.filters import AccessRules
from tickline.pipelines.access.reduce.options import ReduceOptions

OWNER = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
GET = AccessRules.from_texts(operation="REST.GET.OBJECT", status="2xx")
HEADER = b"timestamp\tip_address\tobject_key\tbytes_sent\n"


def line(
    number: int,
    *,
    key: str = "",
    operation: str = "REST.GET.OBJECT",
    status: str = "200",
    size: str | None = None,
    ip: str = "",
    time: str = "",
) -> str:
    """Return one valid line, without newline; every value follows from `number` unless it is given."""
    key = key or f"blobs/{number % 97:03x}/{number:06d}"
    size = str(number * 7) if size is None else size
    ip = ip or f"192.0.2.{number % 250}"
    time = time or f"01/May/2024:{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}"
    return (
        f"{OWNER} openlogs [{time} +0000] {ip} - REQUEST{number:09X} {operation} {key} "
        f'"GET /{key} HTTP/1.1" {status} - {size} {size} 12 11 "-" "agent/{number % 13}" - '
        f"hostid{number} SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader openlogs.s3.amazonaws.com TLSv1.2 - -"
    )


def log(first: int, last: int) -> bytes:
    """Return the lines of a range of numbers."""
    return "".join(line(number) + "\n" for number in range(first, last)).encode()


def row(number: int) -> bytes:
    """Return the TSV row of `line(number)`."""
    clock = f"2024-05-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}"
    return f"{clock}\t192.0.2.{number % 250}\tblobs/{number % 97:03x}/{number:06d}\t{number * 7}\n".encode()


def rows(first: int, last: int) -> bytes:
    """Return the TSV rows of a range of numbers, without header."""
    return b"".join(row(number) for number in range(first, last))


def options(raw: Path | str, out: Path | str, **more: object) -> ReduceOptions:
    """Return options with the filters of the command's defaults."""
    more.setdefault("rules", GET)
    return ReduceOptions(str(raw), str(out), **more)  # type: ignore[arg-type]


def tree(folder: Path, *, state: bool = True) -> dict[str, bytes]:
    """Return all files below a folder and their bytes; the lock is no content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "lock" and (state or ".tickline" not in path.parts)
    }


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process with plain, uncoloured output."""
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "PYTHONWARNINGS": "error", **more}


def run(
    *arguments: object, stdin: bytes = b"", check: int | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `tickline ARGUMENTS` as a process of its own."""
    done = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, env=environment(), timeout=120
    )
    if check is not None:
        assert done.returncode == check, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done


def command(*arguments: object) -> Sequence[str]:
    """Return the command line of `tickline ARGUMENTS`."""
    return [sys.executable, "-m", "tickline", *map(str, arguments)]
