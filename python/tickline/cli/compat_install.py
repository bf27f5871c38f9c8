"""Launchers: small files that carry the old programs' names and call ``tickline compat``."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tickline.errors import UsageError, explain_os_error
from tickline.files import write_whole

__all__ = ["Installed", "install"]

_MARK = "# A launcher of Tickline (tickline compat install)."
# What is read of a file to see whose it is.
_HEAD_BYTES = 4096


@dataclass(slots=True)
class Installed:
    """What `install` did; `off_path` tells that the shell does not look for commands in that folder."""

    written: list[Path] = field(default_factory=list)
    unchanged: list[Path] = field(default_factory=list)
    off_path: bool = False


def install(folder: Path, names: Sequence[str], *, force: bool = False) -> Installed:
    """Write one launcher for each name.

    A launcher calls the Python that runs now. Each one appears whole; those of another Python or version are
    written anew.

    Parameters
    ----------
    folder : Path
        Is made if it does not exist.
    names : sequence of str
        The commands of ``tickline compat``.
    force : bool
        Write over files that are no launchers.

    Raises
    ------
    UsageError
        A file of such a name is there that is no launcher: nothing is written then.
    SourceError
        The folder cannot be written to.
    """
    paths = [folder / name for name in names]
    try:
        others = [path for path in paths if _is_other(path)]
        if others and not force:
            hint = "Name another folder, or use --force to write over it."
            raise UsageError("exists and is no launcher of Tickline", where=str(others[0]), hint=hint)
        return _write_all(folder, paths)
    except OSError as error:
        raise explain_os_error(error, folder) from error


def _is_other(path: Path) -> bool:
    """Tell whether something is there that is not ours, be it only a link."""
    if not os.path.lexists(path):
        return False
    if not path.is_file():
        return True
    with path.open("rb") as file:
        return _MARK.encode() not in file.read(_HEAD_BYTES)


def _write_all(folder: Path, paths: Sequence[Path]) -> Installed:
    done = Installed(off_path=os.path.realpath(folder) not in _search_path())
    for path in paths:
        command = shlex.join([sys.executable, "-m", "tickline", "compat", path.name])
        content = f'#!/bin/sh\n{_MARK}\nexec {command} "$@"\n'.encode()
        if (
            not _is_other(path)
            and path.exists()
            and path.read_bytes() == content
            and os.access(path, os.X_OK)
        ):
            done.unchanged.append(path)
            continue
        write_whole(path, content)
        mode = path.stat().st_mode & 0o777
        # Whoever may read it may call it.
        path.chmod(mode | (mode & 0o444) >> 2)
        done.written.append(path)
    return done


def _search_path() -> set[str]:
    return {os.path.realpath(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry}
