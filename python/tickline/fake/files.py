"""Files and folders of the generators: outputs appear whole, and nobody else's files are touched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

TRUTH = "truth.json"


def clear(out: Path, kind: str) -> None:
    """Make the folder, or empty it of an earlier output; refuse if it holds anything else."""
    out.mkdir(parents=True, exist_ok=True)
    present = sorted(path for path in out.rglob("*") if not path.is_dir() or path.is_symlink())
    if present == [partial(out / TRUTH)]:
        present.pop().unlink()
    if not present:
        return
    advice = "choose an empty folder or remove it yourself"
    try:
        earlier = json.loads((out / TRUTH).read_bytes())
        names = [*(source["path"] for source in earlier["sources"]), *earlier.get("files", ())]
        own = {out / name for name in names} if earlier["kind"] == kind else set()
    except (OSError, ValueError, KeyError, TypeError):
        own = set()
    if not own:
        raise FileExistsError(f"{out} is not empty and was not made by `{kind}`: {advice}")
    own.add(out / TRUTH)
    own |= {partial(path) for path in own}
    for path in present:
        if path not in own:
            name = path.relative_to(out)
            raise FileExistsError(f"{out} also holds {name}, which is not generated: {advice}")
    for path in present:
        if path != out / TRUTH:
            path.unlink()


def partial(path: Path) -> Path:
    """Return the name that a file has until it is complete."""
    return path.with_name(f".{path.name}.partial")


class WholeFile:
    """A file that appears under its name only when it is complete and on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = partial(self._path).open("wb")
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is not None:
                partial(self._path).unlink(missing_ok=True)
        if kind is None:
            partial(self._path).replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def write_json(path: Path, answer: dict[str, Any]) -> None:
    """Write a JSON file that appears whole."""
    with WholeFile(path) as file:
        file.write(json.dumps(answer, indent=1).encode() + b"\n")
