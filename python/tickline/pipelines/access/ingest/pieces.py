"""Pieces of an ingest that run in other processes: they write files into the store, and commit nothing.

A piece may run twice, or be given up in mid-work: files that no commit names are nobody's, and the next run
takes them away. What is told to a piece holds no secret: the filter stands in ``store.toml``, and the key of
the pseudonyms comes from where it always does, the environment or ``pseudonym.key``.
"""

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from tickline import accounting
from tickline.engines.options import ClusterError
from tickline.engines.samples import sample_of
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
from tickline.sources import Source, open_source
from tickline.store.pseudonyms import ENVIRONMENT, Pseudonyms, key_id, load_key
from tickline.store.rows import months_of
from tickline.store.settings import Settings, read_settings

if TYPE_CHECKING:
    from tickline.clients.s3 import S3Client
    from tickline.store.bucket import PartsBucket

__all__ = ["Given", "Place", "Told", "check_place", "read_group", "read_range", "survey", "to_be_sent"]

_SAME_USER = "Run the worker as the user who owns the store."
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

    scratch = tempfile.TemporaryDirectory(prefix="tickline-", dir=_scratch_folder())
    path = Path(scratch.name)
    pseudonyms = Pseudonyms(path, key, keep_addresses=False)
    return _Tools(path, reader, pseudonyms, PartsBucket(place.bucket), scratch)


def _scratch_folder() -> str | None:
    """Return the folder of this worker: what a killed one leaves there Dask takes away."""
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:  # no worker
        return None


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
    try:
        # What the store's owner may not open would close the store to him; the disk knows whose files are.
        owner = Path(place.store, "store.toml").stat().st_uid
        with tempfile.TemporaryFile(dir=place.store) as file:
            writer = os.fstat(file.fileno()).st_uid
    except OSError as error:
        raise ClusterError(f"may not write into the store {place.store}", hint=_SAME_USER) from error
    if writer != owner:
        what = f"runs as another user ({writer}) than the owner ({owner}) of the store {place.store}"
        raise ClusterError(what, hint=_SAME_USER)
    return settings


def check_place(place: Place) -> None:
    """See that pieces can work here.

    Raises
    ------
    ClusterError
        The store, or its key, is not there.
    """
    _of_store(place)


@dataclass(frozen=True, slots=True)
class _SentInput(Input):
    """An input that another process has listed.

    Attributes
    ----------
    sample : str
        What `sample_of` gave of it there; empty where that process could not read it.
    """

    sample: str = field(default="", repr=False)

    def open(self) -> OpenInput:
        """Open it, if it is what was listed: a plain file may have grown since."""
        # Without arguments `super` does not find a class that has slots.
        opened = Input.open(self)
        try:
            is_it = self.is_remote or self._is_it(opened)
        except BaseException:
            opened.close()
            raise
        if not is_it:
            opened.close()
            hint = "Workers must see what this process sees, under the same path; or run it again."
            what = "is not the file that was listed"
            raise SourceError(what, where=self.name, hint=hint, number=errno.ESTALE)
        return opened

    def _is_it(self, opened: OpenInput) -> bool:
        if opened.size < self.size or opened.mtime_ns < self.mtime_ns:
            return False
        if not self.sample or opened.kind != "plain":
            return (opened.size, opened.mtime_ns) == (self.size, self.mtime_ns)
        return isinstance(opened, Source) and sample_of(opened, self.size) == self.sample


def to_be_sent(task: Task) -> Task:
    """Return a task that can go over the line: without connections, and with a sample of its file."""
    item, sample = task.input, ""
    if not item.is_remote:
        # What cannot be read here may be so there.
        with suppress(SourceError), open_source(item.name) as source:
            sample = sample_of(source, item.size)
    sent = _SentInput(item.name, item.size, item.mtime_ns, item.inode, item.form, item.key, sample=sample)
    return replace(task, input=sent)


def _here(task: Task) -> Task:
    """Return a task that can be read in this process."""
    if not task.input.name.startswith("s3://"):
        return task
    return replace(task, input=replace(task.input, _client=_s3_client()))


@lru_cache(maxsize=1)
def _s3_client() -> "S3Client":
    from tickline.clients.s3 import S3Client

    return S3Client()


def read_group(place: Place, tasks: list[Task], told: Told) -> Given:
    """Read sources from front to back, and write their rows."""
    tools, folders = _tools(place), Folders()
    maker = RowMaker(tools.path, tools.pseudonyms, folders, dedupe=False)
    unit = GroupUnit([_here(task) for task in tasks], tools.reader, maker, ToldClaims(*told), tools.path)
    with _discarding(unit.discard, place):
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
    with _discarding(partial(_discard, given.runs, tools.path), place):
        given.runs.append(RowMaker(tools.path, tools.pseudonyms, folders, dedupe=False).make(tables))
        tools.deliver(given.runs, folders)
    return given


def _discard(runs: list[Run], store: Path) -> None:
    for run in runs:
        run.discard(store)


@contextmanager
def _discarding(discard: Callable[[], object], place: Place) -> Iterator[None]:
    """Leave no files of a piece that fails; what the disk says is said of the store, or of this worker."""
    try:
        yield
    except BaseException as error:
        discard()
        reason = error.reason if isinstance(error, StoreFailedError) else error
        if place.bucket is not None and isinstance(reason, SourceError):
            # Another one may have a way to the bucket, and room for what is to go there.
            what = f"cannot bring files into the bucket ({reason.where}: {reason.what})"
            raise ClusterError(what, hint=reason.hint) from reason
        if reason is not error:
            raise reason from error
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
