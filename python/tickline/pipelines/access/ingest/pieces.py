"""Pieces of an ingest that run in other processes: they write files into the store, and commit nothing.

A piece may run twice, or be given up in mid-work: files that no commit names are nobody's, and the next run
takes them away. What is told to a piece holds no secret: the filter stands in ``store.toml``, and the key of
the pseudonyms comes from where it always does, the environment or ``pseudonym.key``.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from tickline import accounting
from tickline.engines.options import ClusterError
from tickline.errors import SourceError, TicklineError, explain_os_error
from tickline.files import Folders
from tickline.pipelines.access.ingest.claims import Content, ToldClaims
from tickline.pipelines.access.ingest.group import GroupUnit
from tickline.pipelines.access.ingest.inputs import Input, OpenInput
from tickline.pipelines.access.ingest.plain import PlainUnit
from tickline.pipelines.access.ingest.read import LISTED_REJECTS, Reader, ReadSource
from tickline.pipelines.access.ingest.rows import RowMaker, Run
from tickline.pipelines.access.ingest.tasks import Task
from tickline.pipelines.access.ingest.unit import StoreFailedError, Unit, check_unchanged
from tickline.store.pseudonyms import ENVIRONMENT, Pseudonyms, key_id, load_key
from tickline.store.rows import months_of
from tickline.store.settings import Settings, read_settings

if TYPE_CHECKING:
    from tickline.clients.s3 import S3Client
    from tickline.store.bucket import PartsBucket

__all__ = ["Given", "Place", "Told", "check_place", "read_group", "read_range", "survey"]

# What another machine may have, if this one does not.
_ELSEWHERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ESTALE, errno.EIO})


@dataclass(frozen=True, slots=True)
class Place:
    """The store that pieces are for, as workers are told of it.

    Attributes
    ----------
    bucket : str or None
        Where files go if workers do not share the store's folder; then the settings are told, too.
    """

    store: str
    store_id: str
    max_line_bytes: int
    bucket: str | None = None
    # Pages of the scheduler show arguments; whose networks are left out is nobody's business.
    settings: Settings | None = field(default=None, repr=False)


class Told(NamedTuple):
    """What a piece has to know of the ledger: contents that others have, and the tasks that may grow."""

    known: dict[Content, int]
    growing: frozenset[int]


@dataclass(slots=True)
class Given:
    """What a piece gave.

    Attributes
    ----------
    reads : list of ReadSource
        One for each task, in their order; of a range what its lines are.
    runs : list of Run
        The files that were written.
    marks : list of (begin, end, lines)
        The ranges of a surveyed file.
    unseen : bool
        A source is not there on this machine, or not as it was listed: another one may see it.
    """

    reads: list[ReadSource] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    unseen: bool = False


class _Tools(NamedTuple):
    """What all pieces of a store share in a process; `path` is the store's folder, or one like it."""

    path: Path
    reader: Reader
    pseudonyms: Pseudonyms
    bucket: "PartsBucket | None" = None
    scratch: "tempfile.TemporaryDirectory[str] | None" = None

    def deliver(self, runs: list[Run], folders: Folders) -> None:
        """Bring finished files to where the committer finds them, to last."""
        if self.bucket is None:
            folders.sync()
            return
        for part in (part for run in runs for part in run.parts):
            self.bucket.put_part(self.path, part.path)
            (self.path / part.path).unlink()


@lru_cache(maxsize=2)
def _tools(place: Place) -> _Tools:
    settings, key = _of_store(place)
    # Nobody looks at progress here, and nobody stops a piece but by ending the process.
    reader = Reader(
        settings.rules().build(),
        dedupe=False,
        max_line_bytes=place.max_line_bytes,
        advance=lambda _: None,
        stop=Event(),
    )
    if place.bucket is None:
        path = Path(place.store)
        return _Tools(path, reader, Pseudonyms(path, key, keep_addresses=False))
    from tickline.store.bucket import PartsBucket

    scratch = tempfile.TemporaryDirectory(prefix="tickline-")
    path = Path(scratch.name)
    pseudonyms = Pseudonyms(path, key, keep_addresses=False)
    return _Tools(path, reader, pseudonyms, PartsBucket(place.bucket), scratch)


def _of_store(place: Place) -> tuple[Settings, bytes]:
    settings = place.settings or _shared_settings(place)
    try:
        key = load_key(Path(place.store))
    except TicklineError as error:
        hint = f"Start it with {ENVIRONMENT}, or as a user who may read the store's pseudonym.key."
        raise ClusterError(f"has no key of the pseudonyms ({error.what})", hint=hint) from error
    if key_id(key) != settings.pseudonym_key_id:
        hint = f"Start it with the {ENVIRONMENT} that this process has."
        raise ClusterError("has another key of the pseudonyms than the store", hint=hint)
    return settings, key


def _shared_settings(place: Place) -> Settings:
    hint = "The store must lie in a folder that all workers share, under the same path; or use --bucket."
    try:
        settings = read_settings(Path(place.store))
    except TicklineError as error:
        raise ClusterError(f"does not see the store {place.store} ({error.what})", hint=hint) from error
    if settings.store_id != place.store_id:
        raise ClusterError(f"has another store at {place.store}", hint=hint)
    if not os.access(place.store, os.W_OK | os.X_OK):
        raise ClusterError(f"may not write into the store {place.store}", hint="Run it as the same user.")
    return settings


def check_place(place: Place) -> None:
    """See that pieces can work here.

    Raises
    ------
    ClusterError
        The store, or its key, is not there.
    """
    _of_store(place)


class _SharedInput(Input):
    """An input that somebody else has listed: it must be there, and not older than it was."""

    __slots__ = ()

    def open(self) -> OpenInput:
        opened = super().open()
        if not self.is_remote and (opened.size < self.size or opened.mtime_ns < self.mtime_ns):
            opened.close()
            hint = "Workers must see what this process sees, under the same path; or run it again."
            what = "is not the file that was listed"
            raise SourceError(what, where=self.name, hint=hint, number=errno.ESTALE)
        return opened


def _here(task: Task) -> Task:
    """Return a task that can be read in this process."""
    item = task.input
    client = None
    if item.name.startswith("s3://"):
        client = _s3_client()
    return replace(
        task,
        input=_SharedInput(
            item.name, item.size, item.mtime_ns, item.inode, item.form, item.key, _client=client
        ),
    )


@lru_cache(maxsize=1)
def _s3_client() -> "S3Client":
    from tickline.clients.s3 import S3Client

    return S3Client()


def read_group(place: Place, tasks: list[Task], told: Told) -> Given:
    """Read sources from front to back, and write their rows."""
    tools, folders = _tools(place), Folders()
    maker = RowMaker(tools.path, tools.pseudonyms, folders, dedupe=False)
    unit = GroupUnit([_here(task) for task in tasks], tools.reader, maker, ToldClaims(*told), tools.path)
    with _discarding(unit.discard):
        for step in unit.steps():
            step()
        tools.deliver(unit.finished.runs, folders)
    return _given(unit, tasks)


def survey(place: Place, task: Task, told: Told) -> Given:
    """Hash one large plain file, and divide it into ranges; nothing is written."""
    tools = _tools(place)
    unit = PlainUnit(_here(task), tools.reader, None, ToldClaims(*told), tools.path)
    marks = unit.survey()
    given = _given(unit, [task])
    given.marks = marks
    return given


def read_range(place: Place, surveyed: ReadSource, begin: int, end: int, lines: int) -> Given:
    """Read one range of a surveyed file, which has so many lines before it, and write its rows."""
    tools, folders = _tools(place), Folders()
    task = surveyed.task
    part = ReadSource(task, source=surveyed.source)
    given = Given([part])
    try:
        with _here(task).input.open() as opened:
            # What the survey hashed is what is read here, or nothing is taken.
            check_unchanged(opened, surveyed)
            scanned = tools.reader.scan_range(opened, begin, end, surveyed.source, lines, room=LISTED_REJECTS)
            check_unchanged(opened, surveyed)
        tables, counts, part.rejects = scanned
        accounting.add(part.counts, counts)
        for table in tables:
            part.note(table)
            # Whether the file spans a century is known when all ranges are.
            part.months.update(months_of(table["time"].cast("int64")))
    except OSError as error:
        _fail(part, given, error)
        return given
    with _discarding(partial(_discard, given.runs, tools.path)):
        given.runs.append(RowMaker(tools.path, tools.pseudonyms, folders, dedupe=False).make(tables))
        tools.deliver(given.runs, folders)
    return given


def _discard(runs: list[Run], store: Path) -> None:
    for run in runs:
        run.discard(store)


@contextmanager
def _discarding(discard: Callable[[], object]) -> Iterator[None]:
    """Leave no files of a piece that fails; what the disk says is said of the store."""
    try:
        yield
    except StoreFailedError as error:
        discard()
        raise error.reason from error
    except BaseException:
        discard()
        raise


def _given(unit: Unit, tasks: list[Task]) -> Given:
    given = Given(unit.finished.reads, unit.finished.runs)
    for read, task in zip(given.reads, tasks, strict=True):
        if read.error is not None:
            _fail(read, given, read.error)
        # As it came: connections stay here.
        read.task = task
    return given


def _fail(read: ReadSource, given: Given, error: OSError) -> None:
    known = explain_os_error(error, read.task.input.name)
    given.unseen |= known.errno in _ELSEWHERE
    # Errors of one kind go over the line, whatever package made them.
    read.error = SourceError(known.what, where=known.where, hint=known.hint)
    read.state = "failed"
