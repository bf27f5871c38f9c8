"""Follows logs of connections: growing, renamed, copied and emptied, compressed, removed, new ones.

Every whole line is counted once. A file is known by device and inode as long as it is there, and each time
before it is read on, the mark at the offset tells whether it still holds what was read. If not, it was
emptied: what it holds now is new, and the rest of what it held before is looked for in files that appeared
since. Of files that were there at the beginning each is read for itself, as a single run does.
"""

import errno
import os
import resource
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from tickline import _core
from tickline.errors import SourceError
from tickline.file_marks import MARK_HEAD
from tickline.pipelines.connections.count import Counted
from tickline.pipelines.connections.files import find_logs
from tickline.pipelines.connections.followed import Content, Identity, Opened, Stamp, stamp_of
from tickline.pipelines.connections.options import ConnectionOptions
from tickline.pipelines.connections.reading import Reading
from tickline.pipelines.connections.ring import Ring
from tickline.pipelines.connections.tally import Tally
from tickline.sources import kind_of

__all__ = ["Follower"]

# A file that nobody writes to is closed: it may have been removed, and its disk space waits for that.
_KEPT_OPEN_S = 300.0
# So many are open at once, and half of the descriptors at most.
_MOST_OPEN = 256
# For so long a compressed file may be cut off, or a file be the beginning of another one, before that counts.
_BEING_WRITTEN_S = 30.0
# A last line without its end counts as a line if nobody has touched it for so long.
_SETTLED_S = 60.0
_REMEMBERED_S = 3600.0
_MOST_REMEMBERED = 1_000
_NO_STAMP = (-1, -1)


class Follower:
    """Reads what is new in logs into a ring; a context manager."""

    def __init__(self, options: ConnectionOptions, ring: Ring) -> None:
        self._locations = options.locations
        self._remembered_s = max(_REMEMBERED_S, float(options.seconds + options.disorder_seconds))
        self._tally = Tally()
        self._reading = Reading(options, ring, self._tally)
        self._contents: list[Content] = []
        self._open: list[Content] = []
        self._most_open = _most_open()
        # Files that hold nothing new, as long as nobody writes to them.
        self._settled: dict[Identity, Stamp] = {}
        # Files of which it is not clear yet what they are: since when, and their stamps.
        self._unclear: dict[Identity, tuple[float, Stamp]] = {}
        self._problems: dict[str, SourceError] = {}
        self._unfound: list[SourceError] = []
        self._present: dict[Identity, tuple[str, Stamp]] = {}
        self._first = True
        self._now_s = 0.0

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        for content in self._contents:
            content.close()

    def counted(self, count: _core.ConnectionsCount) -> Counted:
        """Return what became of all lines so far, with the counts of a report."""
        # What they will be is not known yet.
        empty = [one.name for one in self._contents if one.unplaced and one.identity in self._present]
        return self._tally.counted(count, [*self._unfound, *self._problems.values()], empty)

    @property
    def folders(self) -> set[str]:
        """Folders in which files were found."""
        return {_folder(path) for path, _ in self._present.values()}

    def look(self) -> None:
        """Read what is new: of each file as much as there is when its turn comes.

        Raises
        ------
        TicklineError
            Memory does not do.
        """
        self._now_s = time.monotonic()
        self._list()
        for content in list(self._contents):
            if content.identity is not None:
                self._follow(content, self._present.get(content.identity))
        known = {content.identity for content in self._contents}
        for identity, (path, stamp) in self._present.items():
            if identity not in known and self._settled.get(identity) != stamp:
                self._try(path, partial(self._meet, path, identity, stamp))
        self._forget()
        self._first = False

    def _list(self) -> None:
        """Find out which files there are."""
        found = find_logs(self._locations)
        self._unfound, self._present = found.problems, {}
        paths = [file.path for file in found.files]
        for path in paths:
            try:
                status = os.stat(path)
            except OSError:
                # Renamed since it was listed: the next look sees it under its new name.
                continue
            if stat.S_ISREG(status.st_mode):
                self._present[status.st_dev, status.st_ino] = path, stamp_of(status)
            else:
                hint = "Leave it out, or report once and not live."
                self._problems[path] = SourceError("is no file that can be followed", where=path, hint=hint)
        for path in self._problems.keys() - paths:
            del self._problems[path]

    def _try(self, path: str, work: Callable[[], object]) -> None:
        """Do something with a file, and keep what is wrong with it until that is mended."""
        try:
            work()
        except SourceError as error:
            # What was removed or renamed since it was listed is found out by the next look.
            if error.errno != errno.ENOENT:
                self._problems[path] = error
        else:
            self._problems.pop(path, None)

    def _follow(self, content: Content, at: tuple[str, Stamp] | None) -> None:
        """Read on in a file that is known; `at` is where it is now, None if it is not there any more."""
        if at is None and content.file is None:
            content.lose(self._now_s)
        elif content.file is None:
            path, stamp = at or ("", _NO_STAMP)
            if stamp != content.stamp or self._is_unfinished(content, stamp):
                self._try(path, partial(self._reopen, content, path))
        else:
            path = at[0] if at is not None else content.file.path
            self._try(path, partial(self._grow, content, content.file))
        if content.file is not None and self._now_s - content.changed_s > _KEPT_OPEN_S:
            content.close()

    def _reopen(self, content: Content, path: str) -> None:
        file = Opened(path)
        if file.identity != content.identity or file.packed or not self._goes_on(content, file):
            # Emptied, or another file under the number of one that was removed. It is met as a new one, as
            # compressed ones are, which do not grow.
            content.lose(self._now_s)
            if not file.packed:
                self._look_beside(content, file)
            file.close()
        else:
            content.file = file
            self._keep(content)
            self._grow(content, file)

    def _keep(self, content: Content) -> None:
        """Keep a file open; of too many, close the one that was changed the longest time ago."""
        self._open = [one for one in self._open if one.file is not None and one is not content]
        if len(self._open) >= self._most_open:
            min(self._open, key=lambda one: one.changed_s).close()
        self._open.append(content)

    def _grow(self, content: Content, file: Opened) -> None:
        """Read the whole lines behind the offset; begin anew if the file was emptied."""
        stamp = stamp_of(os.fstat(file.fd))
        if stamp == content.stamp and not self._is_unfinished(content, stamp):
            return
        if content.unplaced:
            self._place_late(content, file, stamp)
            return
        if not self._goes_on(content, file):
            self._tally.note(content.name, "emptied", 1)
            fresh = Content(content.name, content.identity, file=file, changed_s=self._now_s)
            content.file = None
            content.lose(self._now_s)
            self._contents.append(fresh)
            self._keep(fresh)
            self._look_beside(content, file)
            content = fresh
        if stamp != content.stamp:
            content.changed_s = self._now_s
        self._read(content, file, stamp)

    def _read(self, content: Content, file: Opened, stamp: Stamp) -> None:
        unfinished = self._is_unfinished(content, stamp)
        if self._reading.lines(content, file, stamp[0], unfinished=unfinished):
            content.stamp = stamp

    @staticmethod
    def _is_unfinished(content: Content, stamp: Stamp) -> bool:
        """Tell whether there is a last line without its end that nobody touches any more."""
        return content.offset < stamp[0] and time.time() - stamp[1] / 1e9 > _SETTLED_S

    def _goes_on(self, content: Content, file: Opened) -> bool:
        """Tell whether a file still holds what was read of it, or its beginning."""
        if content.offset and file.size >= content.offset:
            return file.mark(content.offset) == content.mark
        return not content.offset or self._is_cut(content, file)

    def _is_cut(self, content: Content, file: Opened) -> bool:
        """Tell whether only the end of what was read was cut off; then what comes next is new."""
        size = file.size
        # A few bytes may be the same by chance, in another content.
        if size >= content.offset or len(content.head) < MARK_HEAD or file.read(0, MARK_HEAD) != content.head:
            return False
        self._tally.note(content.name, "cut", 1)
        content.earlier.clear()
        content.lines = None
        content.offset, content.mark, content.searched = size, file.mark(size), size
        return True

    def _look_beside(self, content: Content, emptied: Opened) -> None:
        """Look for the rest of a log that was emptied in its rotated copies, which may be named otherwise."""
        beside: list[Path] = []
        # Behind a link, copies lie beside the file itself.
        for path in {emptied.path, os.path.realpath(emptied.path)}:
            folder, name = os.path.split(path)
            with suppress(OSError):
                beside += [one for one in Path(folder).iterdir() if one.name.startswith(name)]
        known = {one.identity for one in self._contents} | self._present.keys()
        for one in beside:
            file = None
            kept = False
            try:
                file = Opened(str(one)) if one.is_file() else None
                if file is not None and file.identity not in known and content.resembles(file.head):
                    kept = self._adopt(content, file)
            except SourceError:
                # It does not belong to what was asked for.
                pass
            finally:
                if file is not None and not kept:
                    file.close()
            if content.identity is not None:
                return

    def _adopt(self, content: Content, file: Opened) -> bool:
        """Take the rest of a content that has no file from one that holds it; else do nothing."""
        offset = content.offset
        size, marks = file.unpack({offset}) if file.packed else (file.size, {})
        if offset > size or (marks[offset] if file.packed else file.mark(offset)) != content.mark:
            return False
        content.identity = file.identity
        return self._begin(content, file)

    def _meet(self, path: str, identity: Identity, stamp: Stamp) -> None:
        """Find out what a file is: new, or a copy of what was read."""
        file = None
        kept = False
        try:
            file = Opened(path)
            kept = file.identity == identity and self._place(file)
        except SourceError as error:
            if error.errno is None:
                if not self._first and self._waits_for(identity, stamp):
                    return
                self._settled[identity] = stamp
            raise
        finally:
            if file is not None and not kept:
                file.close()

    def _place(self, file: Opened) -> bool:
        """Begin with a file, or go on with it; return whether it is to be kept open."""
        alike = [] if self._first else [one for one in self._contents if one.resembles(file.head)]
        if alike:
            # What has no file any more comes first, and then what was read furthest.
            alike.sort(key=lambda one: (one.identity is not None, -one.offset))
            places = [(one, offset, known) for one in alike for offset, known in one.places()]
            marks: dict[int, str] = {}
            size = file.size
            if file.packed:
                size, marks = file.unpack({offset for _, offset, _ in places})
            for one, offset, known in places:
                if offset <= size and (marks[offset] if file.packed else file.mark(offset)) == known:
                    return self._copy(one, file, offset, size)
            stamp = stamp_of(file.status)
            if any(size < one.offset for one in alike) and self._waits_for(file.identity, stamp):
                return False
        elif not file.head and not file.packed and not self._first:
            # A copy that is just being made begins so, too.
            empty = Content(file.path, file.identity, file=file, unplaced=True, changed_s=self._now_s)
            self._contents.append(empty)
            self._keep(empty)
            return True
        return self._begin(Content(file.path, file.identity), file)

    def _place_late(self, content: Content, file: Opened, stamp: Stamp) -> None:
        """Begin with a file that was empty, if something is in it now."""
        file.head = file.read(0, MARK_HEAD)
        if not file.head:
            content.stamp = stamp
            return
        self._contents.remove(content)
        content.file = None
        kept = False
        try:
            # What is compressed is met as a new one.
            kept = kind_of(file.head) == "plain" and self._place(file)
        finally:
            if not kept:
                file.close()

    def _copy(self, content: Content, file: Opened, offset: int, size: int) -> bool:
        """Take the rest of a content from a copy that agrees up to `offset`, if it has no file of its own."""
        branch = Content(file.path, file.identity, offset, content.mark, content.head, lines=None)
        if offset < content.offset < size:
            branch.mark = file.unpack({offset})[1][offset] if file.packed else file.mark(offset)
            return self._begin(branch, file)
        if offset < content.offset or (file.packed and size == content.offset):
            # It has nothing new, and will not have.
            if content.identity is None or file.packed:
                self._settled[file.identity] = stamp_of(file.status)
        elif content.identity is None:
            content.identity = file.identity
            return self._begin(content, file)
        elif size > self._size_of(content) and not self._waits_for(file.identity, _NO_STAMP):
            # It has more than the file that it was copied from: both are written to.
            return self._begin(branch, file)
        return False

    def _size_of(self, content: Content) -> int:
        if content.file is not None:
            return content.file.size
        return content.stamp[0] if content.stamp is not None else content.offset

    def _begin(self, content: Content, file: Opened) -> bool:
        """Read a file for the first time; return whether it is to be kept open."""
        content.changed_s = self._now_s
        stamp = stamp_of(os.fstat(file.fd))
        if file.packed:
            self._reading.packed(content, file)
            content.stamp = stamp
        if content not in self._contents:
            self._contents.append(content)
        self._unclear.pop(file.identity, None)
        self._tally.know(content.name)
        if file.packed:
            return False
        age_s = max(time.time() - stamp[1] / 1e9, 0.0)
        content.changed_s -= age_s
        self._reading.skip(content, file)
        self._read(content, file, stamp)
        if age_s > _KEPT_OPEN_S:
            return False
        content.file = file
        self._keep(content)
        return True

    def _waits_for(self, identity: Identity, stamp: Stamp) -> bool:
        """Tell whether a file is to be looked at again before it is decided what it is."""
        since_s, before = self._unclear.get(identity, (self._now_s, stamp))
        if before != stamp:
            since_s = self._now_s
        self._unclear[identity] = since_s, stamp
        return self._now_s - since_s < _BEING_WRITTEN_S

    def _forget(self) -> None:
        """Forget what is not there any more; contents only when copies of them would be of no matter."""
        for known in (self._settled, self._unclear):
            for identity in known.keys() - self._present.keys():
                del known[identity]
        lost = sorted((one for one in self._contents if one.identity is None), key=lambda one: one.changed_s)
        old_s = self._now_s - self._remembered_s
        gone = {id(one) for one in lost if one.changed_s < old_s or not one.offset}
        gone |= {id(one) for one in lost[: max(0, len(lost) - _MOST_REMEMBERED)]}
        if gone:
            self._contents = [one for one in self._contents if id(one) not in gone]


def _most_open() -> int:
    """Return how many files may be open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_OPEN if limit == resource.RLIM_INFINITY else max(2, min(_MOST_OPEN, limit // 2))


def _folder(path: str) -> str:
    folder, slash, _ = path.rpartition("/")
    return folder or slash or "."
