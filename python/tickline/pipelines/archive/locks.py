"""What S3 keeps beside objects: older versions, marks of deletion, and until when nobody may delete them."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from tickline.pipelines.archive.chain import Flaw
from tickline.pipelines.archive.reader import Listed
from tickline.pipelines.archive.stores import ArchiveStore, ObjectVersion, Retained

__all__ = ["RetentionCheck", "promised_until", "version_flaws"]

_THREADS = 8
_AHEAD = 32

_Waiting = tuple[Listed, str, float, "Future[Retained | None]"]


def version_flaws(store: ArchiveStore, prefix: str) -> Iterator[Flaw]:
    """Yield keys that begin with `prefix` and of which there is, or was, more than the one object."""
    for key, kept in groupby(store.versions(prefix), key=lambda version: version.key):
        objects = markers = 0
        latest: ObjectVersion | None = None
        for version in kept:
            objects += not version.is_delete_marker
            markers += version.is_delete_marker
            latest = version if version.is_latest else latest
        if markers:
            gone = latest is not None and latest.is_delete_marker
            text = "it was deleted" if gone else "it was deleted, and is there again"
            left = f"; {_versions(objects)} of it still there" if gone else ""
            yield Flaw(key, "delete_marker", text + left)
        if objects > 1:
            yield Flaw(key, "version", f"it was written again: {_versions(objects)} there")


def _versions(count: int) -> str:
    return "1 version is" if count == 1 else f"{count} versions are"


def promised_until(header: dict[str, Any]) -> tuple[str, float] | None:
    """Return the mode and the end (seconds since 1970) of the retention that was asked for, None if none was.

    Years are those of the calendar, and begin when the chunk was made.
    """
    told = header.get("retention")
    if not isinstance(told, dict) or type(told.get("years")) is not int:
        return None
    try:
        made = datetime.fromisoformat(header["created"]).astimezone(UTC)
        # Of 29 February it is the day behind it, as when it is asked for.
        leap_day = (made.month, made.day) == (2, 29)
        until = (made + timedelta(days=leap_day)).replace(year=made.year + told["years"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return str(told.get("mode")), until.timestamp()


class RetentionCheck:
    """Asks for the retention of each chunk that was promised one: a request each, several at once.

    Parameters
    ----------
    store : ArchiveStore or None
        None for one that keeps no dates: then nothing is judged.
    """

    def __init__(self, store: ArchiveStore | None) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="retention")
        self._waiting: deque[_Waiting] = deque()

    def add(self, item: Listed, header: dict[str, Any]) -> list[Flaw]:
        """Ask for one more; returns what is known by now of those before."""
        promised = promised_until(header)
        if promised is not None and self._store is not None:
            future = self._pool.submit(self._store.retention_of, item.key)
            self._waiting.append((item, *promised, future))
        return self._flaws(_AHEAD)

    def end(self) -> list[Flaw]:
        """Wait for the rest."""
        return self._flaws(0)

    def close(self) -> None:
        """Give up what was not answered."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _flaws(self, most_waiting: int) -> list[Flaw]:
        flaws = []
        while len(self._waiting) > most_waiting:
            item, mode, until_s, future = self._waiting.popleft()
            kept = future.result()
            text = f"it was to be kept until {_day(until_s)} ({mode})"
            if kept is None:
                flaws.append(Flaw(item.key, "retention", f"{text}, and nothing keeps it"))
            elif kept.until_s < until_s or (mode, kept.mode) == ("COMPLIANCE", "GOVERNANCE"):
                flaws.append(
                    Flaw(item.key, "retention", f"{text}, and is until {_day(kept.until_s)} ({kept.mode})")
                )
        return flaws


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
