"""Which files a report of connections reads: files, folders and patterns, each file once."""

import glob
import os
import stat
from pathlib import Path

from tickline.clients.remote import Remotes, is_remote
from tickline.clients.remote_files import shown
from tickline.connections import WANTED
from tickline.discovery import Discovery, Found, discover, natural_key
from tickline.errors import UsageError, explain_os_error

__all__ = ["find_logs"]


def find_logs(locations: tuple[str, ...], remotes: Remotes | None = None) -> Discovery:
    """Find the logs that `locations` stand for.

    A name that exists is that file or folder, whatever characters are in it. Another one is a pattern, if it
    holds one of ``*?[`` (``**`` for folders at any depth), and what it matches is taken. A folder stands for
    the logs below it. Names are taken as they are: neither ``$`` nor ``~`` means anything here. Addresses
    (``s3://bucket/folder``, ``https://...``) stand for the same; what is found there, `remotes` has by name.

    Returns
    -------
    Discovery
        Files in the order of the locations, those of a pattern or folder by their names, numbers as numbers.
        What is named and does not exist is among `problems`; a pattern that matches nothing is not.
    """
    found = Discovery()
    seen: set[tuple[int, int]] = set()
    for location in locations:
        if location == "-":
            found.files.append(Found("-", "-"))
            continue
        if is_remote(location):
            if remotes is None:
                hint = "Name files, folders or patterns of this machine."
                raise UsageError("an address cannot be followed", where=shown(location), hint=hint)
            _take_remote(remotes.find(location, WANTED), found)
            continue
        if os.path.lexists(location) or not glob.has_magic(location):
            _take(location, found, seen, named=True)
            continue
        # pathlib has no way to take a pattern that may be absolute.
        for path in sorted(glob.glob(location, recursive=True), key=natural_key):  # noqa: PTH207
            _take(path, found, seen, named=False)
    return found


def _take_remote(listed: Discovery, found: Discovery) -> None:
    known = {file.path for file in found.files}
    found.problems += listed.problems
    found.files += [file for file in listed.files if file.path not in known]
    found.left_out["named twice"] += sum(file.path in known for file in listed.files)


def _take(path: str, found: Discovery, seen: set[tuple[int, int]], *, named: bool) -> None:
    """Add a file, or those of a folder; a pipe is read only where somebody named it."""
    files = [Found(path, path)]
    if Path(path).is_dir():
        below = discover(path, wanted=WANTED)
        files = [Found(file.path, file.path) for file in below.files]
        found.problems += below.problems
        found.left_out += below.left_out
    for file in files:
        try:
            status = os.stat(file.path)
        except OSError as error:
            # Not every address is known as one: fsspec has chains of them.
            plain = OSError(error.errno, error.strerror)
            found.problems.append(explain_os_error(plain, shown(file.path)))
            continue
        if not named and not stat.S_ISREG(status.st_mode):
            found.left_out["pipe, socket or device"] += 1
            continue
        identity = status.st_dev, status.st_ino
        if identity in seen:
            found.left_out["named twice"] += 1
            continue
        seen.add(identity)
        found.files.append(file)
