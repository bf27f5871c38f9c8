"""What logs hold that was not taken yet: through rename, copytruncate, compression, cuts and losses.

Lines are never taken twice and never left out, as far as files tell. What they cannot tell is said in a note:

- a log that was cut (``shrunk``) or edited (``changed``) is taken again from the last place where it still is
  what it was, because nobody can know which of its lines are new;
- a log that vanished before its end was seen, so that lines may be missing;
- a log that stands in another folder than before (``moved``): it goes on where it was taken up to.

A file without any row (a banner at the most) is not taken before it has one, or before nothing can be added
to it: banners are all alike, and would make any two files look like each other's beginning. Of two files that
never got a row and are equal, one is taken for the other's copy.
"""

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

from tickline.errors import SourceError, TicklineError, explain_os_error
from tickline.pipelines.archive.chunk import MOST_RAW_BYTES, MOVED, Range, count_lines
from tickline.pipelines.archive.generations import Carrier, Generation
from tickline.pipelines.archive.logfile import LogFile, Named, find_logs

__all__ = ["Gathered", "gather"]

# A generation that no file holds is remembered for so long: a folder may be away for a while, a file may be
# moved and come back. Longer, and the header of each chunk would name what logrotate removed long ago.
_REMEMBERED_S = 2 * 86400.0
# How old a compressed file must be before its being cut off is no longer taken for one that is being written.
_BEING_WRITTEN_S = 900.0


@dataclass(slots=True)
class Gathered:
    """What one look at the logs brought.

    Attributes
    ----------
    pieces : list of (Range, bytes)
        New stretches, and their bytes.
    generations : list of Generation
        Where everything stands behind them.
    problems : list of TicklineError
        What could not be read, vanished or was changed.
    more : bool
        There is more than one chunk takes.
    """

    next_number: int
    most: int
    pieces: list[tuple[Range, bytes]] = field(default_factory=list)
    generations: list[Generation] = field(default_factory=list)
    problems: list[TicklineError] = field(default_factory=list)
    more: bool = False
    room: int = field(init=False)

    def __post_init__(self) -> None:
        self.room = self.most


def gather(
    folders: Sequence[Path],
    known: Iterable[Generation],
    next_number: int,
    *,
    now_s: float,
    scratch: Path,
    most_bytes: int = MOST_RAW_BYTES,
) -> Gathered:
    """Look at all logs, and return what is new in them.

    Parameters
    ----------
    folders : sequence of Path
        Folders of logs.
    known : iterable of Generation
        Where everything stood; they are not changed.
    next_number : int
        The number of the next new generation.
    now_s : float
        The node's clock, seconds since 1970.
    scratch : Path
        Folder for unpacking.
    most_bytes : int
        How much is taken at most.
    """
    gathered = Gathered(next_number, most_bytes)
    mine: dict[str, list[Generation]] = {}
    for generation in known:
        mine.setdefault(generation.log, []).append(generation.copy())
    seen: set[tuple[int, int]] = set()
    configured = {str(folder) for folder in folders}
    for folder in folders:
        try:
            status = folder.stat()
            found = find_logs(folder)
        except OSError as error:
            # All that is known of its logs stays as it is.
            gathered.problems.append(explain_os_error(error, folder))
            continue
        if (identity := (status.st_dev, status.st_ino)) in seen:
            hint = "Take one of them out of `logs`; it was read once."
            gathered.problems.append(SourceError("is a folder named before", where=str(folder), hint=hint))
            continue
        seen.add(identity)
        found = list(_each_under_one_name(found, gathered))
        present = {log: list(files) for log, files in groupby(found, key=lambda item: item.log)}
        logs = {log for log in mine if Path(log).parent == folder} | present.keys()
        for log in sorted(logs):
            generations = mine.pop(log, [])
            if gathered.more:
                # The chunk is full: the next look begins with what is left.
                gathered.generations += generations
            else:
                # An empty folder may be one whose disk is not there.
                strangers = [other for other in mine if _is_elsewhere(other, log, configured)]
                elsewhere = [generation for other in strangers for generation in mine.pop(other)]
                follower = _Log(gathered, generations, elsewhere, now_s, may_forget=bool(found))
                follower.follow(present.get(log, []), scratch)
                for generation in follower.elsewhere:
                    mine.setdefault(generation.log, []).append(generation)
    for kept in mine.values():
        gathered.generations += kept
    gathered.generations.sort(key=lambda generation: generation.number)
    return gathered


def _each_under_one_name(found: list[Named], gathered: Gathered) -> Iterator[Named]:
    """Leave out a log that is another log's file under a second name, and say so."""
    first: dict[tuple[int, int], Named] = {}
    for named in sorted(found, key=lambda named: named.path.is_symlink()):
        if named.live:
            first.setdefault((named.status.st_dev, named.status.st_ino), named)
    for named in found:
        kept = first.get((named.status.st_dev, named.status.st_ino), named)
        if kept.log == named.log:
            yield named
        else:
            hint = "Take the link away; the file was read once."
            gathered.problems.append(SourceError(f"is {kept.path.name} itself", where=named.log, hint=hint))


class _MovedError(Exception):
    """A file changed while it was read."""


class _Log:
    """One log: its generations, and the files that may hold them.

    Attributes
    ----------
    elsewhere : list of Generation
        Those of logs of this name in folders that are not named any more, and that did not turn up here.
    """

    def __init__(
        self,
        gathered: Gathered,
        generations: list[Generation],
        elsewhere: list[Generation],
        now_s: float,
        *,
        may_forget: bool,
    ) -> None:
        self.elsewhere = elsewhere
        self._gathered = gathered
        self._now_s = now_s
        self._may_forget = may_forget
        self._known = generations
        self._before = {generation.number: generation.copy() for generation in generations}
        # Some file could not be looked at: what seems to be gone may be in there.
        self._unsure = False
        self._moved: set[int] = set()
        for generation in generations:
            generation.files = []

    def follow(self, files: list[Named], scratch: Path) -> None:
        """Take what is new in the files, oldest first."""
        for named in files:
            self._adopt(named.log, [known for known in self.elsewhere if _taken_from(known.files, named)])
        with ExitStack() as stack:
            families: dict[str, list[LogFile]] = {}
            for named in files:
                file = None if self._is_done(named) else self._open(named, scratch)
                if file is not None:
                    stack.callback(file.close)
                    if file.first is not None:
                        families.setdefault(file.first, []).append(file)
            for first, family in families.items():
                # The longest first: of copies that are being made it holds all that they hold.
                family.sort(key=lambda file: (-file.size, not file.named.live))
                self._adopt(family[0].named.log, [known for known in self.elsewhere if known.first == first])
                try:
                    self._follow_family(first, family)
                except _MovedError:
                    self._unsure = True
                except SourceError as error:
                    self._unsure = True
                    self._gathered.problems.append(error)
        self._remember()
        self._gathered.generations += self._known

    def _is_done(self, named: Named) -> bool:
        """Tell whether it is compressed and was taken; then it is still a carrier."""
        for generation in self._known:
            if _taken_from(self._before[generation.number].files, named):
                generation.files.append(replace(named.carrier, done=True))
                return True
        return False

    def _adopt(self, log: str, found: list[Generation]) -> None:
        """Go on with generations that this log had under another path: archive.toml names another one now."""
        for generation in found:
            self.elsewhere.remove(generation)
            moved = replace(generation.copy(), log=log, gone_s=None)
            self._moved.add(moved.number)
            self._before[moved.number] = moved
            self._known.append(replace(moved.copy(), files=[]))

    def _open(self, named: Named, scratch: Path) -> LogFile | None:
        try:
            return LogFile(named, scratch, self._now_s)
        except SourceError as error:
            self._unsure = True
            being_written = 0 <= self._now_s - named.status.st_mtime < _BEING_WRITTEN_S
            # Renamed since it was listed, or the compressor is still at work: the next run will see.
            if error.errno != errno.ENOENT and not (error.errno is None and being_written):
                self._gathered.problems.append(error)
            return None

    def _follow_family(self, first: str, family: list[LogFile]) -> None:
        """Take what is new in files that begin with the same row."""
        leads: list[tuple[LogFile, Generation]] = []
        for file in family:
            same = next((found for lead, found in leads if lead.begins_with(file)), None)
            if same is None:
                generation = self._place(first, file, {found.number for _, found in leads})
                leads.append((file, generation))
            else:
                generation = same
            done = file.compressed and file.size <= generation.offset
            generation.files.append(replace(file.named.carrier, done=done))

    def _place(self, first: str, file: LogFile, used: set[int]) -> Generation:
        """Find out which generation a file holds, take what is new in it, and return the generation."""
        alike = [self._before[known.number] for known in self._known if known.number in self._before]
        alike = [before for before in alike if before.first == first]
        holds = [before for before in alike if _holds(file, before.offset, before.mark)]
        if holds:
            best = max(holds, key=lambda before: before.offset)
            if best.number not in used:
                generation = next(known for known in self._known if known.number == best.number)
                self._take(file, generation)
                return generation
            # Another file went on differently from here.
            return self._begin(first, file, best.offset, best.mark, "branch")
        longer = [before for before in alike if before.offset > file.size]
        if longer and not file.named.live:
            # copytruncate may miss what was written while it copied: those lines were taken before.
            return next(known for known in self._known if known.number == longer[0].number)
        if not alike:
            return self._begin(first, file, 0, file.mark(0), None)
        earlier = [pair for before in alike for pair in before.earlier if _holds(file, *pair)]
        offset, known_mark = max(earlier, default=(0, file.mark(0)))
        note = "shrunk" if longer else "changed"
        what = f"{note} since the last run; it is taken again from byte {offset:,} on"
        hint = "Find out who wrote into it: some of its lines are in the archive twice now."
        self._gathered.problems.append(SourceError(what, where=file.path, hint=hint))
        for before in alike:
            # That it is gone is said herewith.
            before.files = []
        return self._begin(first, file, offset, known_mark, note)

    def _begin(self, first: str, file: LogFile, offset: int, known_mark: str, note: str | None) -> Generation:
        generation = Generation(self._gathered.next_number, file.named.log, offset, first, known_mark)
        if self._take(file, generation, note):
            self._gathered.next_number += 1
            self._known.append(generation)
        return generation

    def _take(self, file: LogFile, generation: Generation, note: str | None = None) -> bool:
        """Take the whole lines behind the generation's offset, as far as there is room for them."""
        gathered, begin = self._gathered, generation.offset
        end = min(file.size, begin + gathered.room)
        data = file.read(begin, end)
        whole = end == file.size and file.final
        # A line that is longer than a chunk is taken in pieces: waiting for its end would be for ever.
        endless = end < file.size and gathered.room == gathered.most and b"\n" not in data
        if not whole and not endless:
            data = data[: data.rfind(b"\n") + 1]
        gathered.more |= end < file.size
        if not data:
            return False
        reached = begin + len(data)
        known_mark = file.mark(reached)
        if not file.still_has(begin, data):
            raise _MovedError
        generation.advance(reached, known_mark)
        name = file.named.path.name
        note = note or (MOVED if generation.number in self._moved else None)
        stretch = Range(generation.log, name, generation.number, begin, reached, count_lines(data), note)
        gathered.pieces.append((stretch, data))
        gathered.room -= len(data)
        return True

    def _remember(self) -> None:
        """Note what no file holds any more, and forget what has been gone for long."""
        kept = []
        for generation in self._known:
            before = self._before.get(generation.number)
            if generation.files or before is None:
                generation.gone_s = None
            elif self._unsure:
                generation.files = before.files
            elif before.gone_s is None or before.gone_s > self._now_s:
                # It may just have been renamed while the folder was listed.
                generation.files, generation.gone_s = before.files, self._now_s
            else:
                self._miss(before)
                if self._may_forget and self._now_s - before.gone_s > _REMEMBERED_S:
                    continue
            kept.append(generation)
        self._known = kept

    def _miss(self, before: Generation) -> None:
        """Say once that the end of a log was not seen; a rotated one that is removed is no news."""
        if any(str(Path(before.log).parent / carrier.name) == before.log for carrier in before.files):
            what = f"what it held at byte {before.offset:,} is gone: lines behind it may be lost"
            hint = "Let logrotate keep at least one file, and run the archive more often than it."
            self._gathered.problems.append(SourceError(what, where=before.log, hint=hint))


def _is_elsewhere(other: str, log: str, configured: set[str]) -> bool:
    """Tell whether it is a log of the same name in a folder that is not named any more."""
    return Path(other).name == Path(log).name and str(Path(other).parent) not in configured


def _taken_from(carriers: list[Carrier], named: Named) -> bool:
    """Tell whether a file is a compressed one that was taken, whatever it is called now."""
    unchanged = named.carrier.unchanged
    return any(before.done and before.unchanged == unchanged for before in carriers)


def _holds(file: LogFile, offset: int, known_mark: str) -> bool:
    return offset <= file.size and file.mark(offset) == known_mark
