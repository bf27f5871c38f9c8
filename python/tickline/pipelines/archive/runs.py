"""``runs.ndjson``: a line for each run, which the next chunk carries into the archive."""

import json
import os
from pathlib import Path
from typing import Any

from tickline.errors import explain_os_error
from tickline.files import write_whole

__all__ = ["MOST_CARRIED", "RunLog"]

MOST_CARRIED = 200
"""Runs that one chunk tells of: of longer silence the end tells enough."""
_MOST_BYTES = 2**20


class RunLog:
    """The record of runs; numbers go up by one and are never used again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def behind(self, run: int) -> list[dict[str, Any]]:
        """Return the runs after this one, the last `MOST_CARRIED` at most."""
        return [entry for entry in self._entries() if entry["run"] > run][-MOST_CARRIED:]

    def is_empty(self) -> bool:
        """Tell whether no run was ever noted here."""
        return not self._entries()

    def append(self, entry: dict[str, Any], *, at_least: int) -> None:
        """Add a run; its number is the next one, and greater than `at_least`."""
        entries = self._entries()
        number = max([at_least, *(found["run"] for found in entries)]) + 1
        text = _line({"run": number, **entry})
        try:
            if self._path.exists() and self._path.stat().st_size > _MOST_BYTES:
                kept = entries[len(entries) // 2 :]
                write_whole(self._path, b"".join(map(_line, kept)) + text)
                return
            with self._path.open("a+b") as file:
                # A kill may have left half a line.
                if file.seek(0, os.SEEK_END) and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                    text = b"\n" + text
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise explain_os_error(error, self._path) from error

    def _entries(self) -> list[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain_os_error(error, self._path) from error
        found = []
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and type(entry.get("run")) is int:
                found.append(entry)
        return found


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"
