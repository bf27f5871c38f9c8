"""What earlier runs did: ``OUT/.tickline/reduce.json``, and the lock beside it."""

import json
import time
from pathlib import Path
from typing import Any

from tickline.errors import TicklineError, explain_os_error
from tickline.files import Folders, take_lock, write_whole

__all__ = ["FOLDER", "State", "lock"]

FOLDER = ".tickline"
_FORMAT = 1
_SAVE_EVERY_S = 2.0
# With many sources the record is large: not more than a twentieth of the time goes into writing it.
_SAVE_SHARE = 20

Entry = dict[str, Any]


def lock(out: Path) -> int:
    """Make OUT and take its lock, which lasts until the process ends or the descriptor is closed.

    Raises
    ------
    TicklineError
        Another run holds it.
    """
    folders = Folders()
    try:
        folders.make(out / FOLDER)
        folders.sync()
        return take_lock(out / FOLDER / "lock")
    except BlockingIOError as error:
        what = "another run is writing into this folder"
        raise TicklineError(
            what, where=str(out), hint="Wait until it ends, or choose another OUT."
        ) from error
    except OSError as error:
        explained = explain_os_error(error, out)
        what = f"OUT cannot be written: {explained.where} {explained.what}"
        raise TicklineError(what, where=str(out), hint="Choose another OUT.") from error


def _is_record(record: dict[str, Any]) -> bool:
    """Tell whether all entries are as `State` writes them, and no output lies outside OUT."""
    sources, contents = record.get("sources"), record.get("contents")
    return (
        isinstance(sources, dict)
        and isinstance(contents, dict)
        and all(map(_is_source, sources.values()))
        and all(
            isinstance(entry, dict) and {"size", "mtime_ns", "digest"} <= entry.keys()
            for entry in contents.values()
        )
    )


def _is_source(entry: object) -> bool:
    if not (isinstance(entry, dict) and {"size", "mtime_ns", "options"} <= entry.keys()):
        return False
    output, counts = entry.get("output"), entry.get("accounting")
    return (
        isinstance(output, str)
        and not output.startswith("/")
        and ".." not in output.split("/")
        and isinstance(counts, dict)
        and all(isinstance(counts.get(name), int) for name in ("lines", "bytes", "accepted"))
        and all(isinstance(counts.get(name), dict) for name in ("filtered", "rejected", "noted"))
    )


class State:
    """The record of finished sources, by name.

    An entry holds ``size``, ``mtime_ns``, ``options`` (a digest), ``output`` and ``accounting``. ``contents``
    holds ``size``, ``mtime_ns`` and ``digest`` of the files that had to be compared (``a.log`` beside
    ``a.log.gz``).
    """

    def __init__(self, out: Path) -> None:
        self.path = out / FOLDER / "reduce.json"
        self.sources: dict[str, Entry] = {}
        self.contents: dict[str, Entry] = {}
        self._saved = time.monotonic()
        self._pause = _SAVE_EVERY_S
        self._changed = False
        try:
            record = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return
        except (ValueError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        number = record.get("format") if isinstance(record, dict) else None
        if isinstance(number, int) and number > _FORMAT:
            hint = "Update tickline, or choose another OUT."
            what = "was written by a newer version of tickline"
            raise TicklineError(what, where=str(self.path), hint=hint)
        if number != _FORMAT:
            raise self._damaged(f"its format is not {_FORMAT}")
        if not _is_record(record):
            raise self._damaged("an entry is not complete")
        self.sources = record["sources"]
        self.contents = record["contents"]

    def _damaged(self, why: str) -> TicklineError:
        hint = "Remove it (everything is then made again), or choose another OUT."
        return TicklineError(f"cannot be understood ({why})", where=str(self.path), hint=hint)

    def holds(self, name: str, size: int, mtime_ns: int) -> Entry | None:
        """Return the entry of a source if it still has the size and the time of then."""
        entry = self.sources.get(name)
        if entry is None or (entry.get("size"), entry.get("mtime_ns")) != (size, mtime_ns):
            return None
        return entry

    def put(self, name: str, entry: Entry) -> None:
        """Record a source; `save` brings it to the disk."""
        if self.sources.get(name) != entry:
            self.sources[name] = entry
            self._changed = True

    def put_content(self, name: str, entry: Entry) -> None:
        """Record the digest of a file that was compared with another."""
        self.contents[name] = entry
        self._changed = True

    def drop(self, name: str) -> None:
        """Forget a source."""
        self._changed |= self.sources.pop(name, None) is not None

    @property
    def due(self) -> bool:
        """Whether it is time to save."""
        return self._changed and time.monotonic() - self._saved >= self._pause

    def save(self) -> None:
        """Write the record, sorted and without any time of this run: same work, same bytes."""
        if not self._changed:
            return
        began = time.monotonic()
        record = {"format": _FORMAT, "sources": self.sources, "contents": self.contents}
        write_whole(self.path, json.dumps(record, sort_keys=True, indent=0).encode() + b"\n")
        self._changed = False
        self._saved = time.monotonic()
        self._pause = max(_SAVE_EVERY_S, _SAVE_SHARE * (self._saved - began))
