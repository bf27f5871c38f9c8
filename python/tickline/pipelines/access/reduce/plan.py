"""Which sources there are, what each becomes, and which of them are done already."""

import hashlib
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tickline.discovery import LOOKED_FOR, Discovery, Found, discover, strip_suffixes
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.pipelines.access.reduce.options import ReduceOptions
from tickline.pipelines.access.state import State
from tickline.sources import open_source

__all__ = ["NEVER_DONE", "Plan", "Task", "find_sources", "make_plan"]

# The time of a pipe or device, of which nobody can tell whether it is the same as before.
NEVER_DONE = -1


@dataclass(slots=True)
class Task:
    """One source and its output.

    Attributes
    ----------
    output : str
        The name of the output below OUT.
    done : bool
        An earlier run made it, of the same source with the same options.
    """

    found: Found
    size: int
    mtime_ns: int
    output: str = ""
    done: bool = False

    @property
    def name(self) -> str:
        """The name of the source below RAW."""
        return self.found.name


@dataclass(slots=True)
class Plan:
    """What a run will do.

    Attributes
    ----------
    same_as : dict
        Sources that are not read, because the named other one has the same content.
    superseded : list of str
        Those of them that an earlier run, when contents differed, gave outputs of their own.
    vanished : list of str
        Sources that an earlier run recorded and that are no longer there.
    """

    tasks: list[Task] = field(default_factory=list)
    same_as: dict[str, str] = field(default_factory=dict)
    superseded: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problems: list[TicklineError] = field(default_factory=list)


def find_sources(options: ReduceOptions, plan: Plan) -> list[Found]:
    """List the logs of RAW.

    Raises
    ------
    UsageError
        RAW does not exist, or is OUT.
    SourceError
        RAW is a folder without logs.
    """
    raw, out = options.raw_path, Path(options.out)
    try:
        is_folder = raw.is_dir()
        status = raw.stat()
    except OSError as error:
        explained = explain_os_error(error, options.raw)
        raise UsageError(
            explained.what, where=options.raw, hint="Name a log, a folder of logs, or - ."
        ) from error
    if not is_folder:
        return [Found(str(raw), raw.name)]
    exclude: frozenset[tuple[int, int]] = frozenset()
    if out.is_dir():
        identity = (out.stat().st_dev, out.stat().st_ino)
        if identity == (status.st_dev, status.st_ino):
            raise UsageError("RAW and OUT are the same folder", where=options.out, hint="Choose another OUT.")
        exclude = frozenset({identity})
    found = discover(raw, exclude=exclude)
    plan.left_out = found.left_out
    plan.problems.extend(found.problems)
    if not found.files and not found.problems:
        raise SourceError(
            "no logs were found in this folder", where=options.raw, hint=f"Looked for {LOOKED_FOR}."
        )
    return _wanted(found, options)[: options.limit_files]


def _wanted(found: Discovery, options: ReduceOptions) -> list[Found]:
    """Return the sources that are to be taken, and count the others."""
    if options.leave_out is None:
        return found.files
    taken = []
    for source in found.files:
        if (reason := options.leave_out(source.name)) is None:
            taken.append(source)
        else:
            found.left_out[reason] += 1
    return taken


def _content(task: Task, state: State) -> str:
    """Return a digest of the decompressed content, from the record if the file is unchanged.

    What cannot be read counts as different from everything: reducing it will say what is wrong.
    """
    known = state.contents.get(task.name)
    if known is not None and (known["size"], known["mtime_ns"]) == (task.size, task.mtime_ns):
        return str(known["digest"])
    hashed = hashlib.blake2b(digest_size=16)
    try:
        with open_source(task.found.path) as source:
            for chunk in source.chunks():
                hashed.update(chunk)
    except OSError:
        return f"unreadable {task.name}"
    digest = hashed.hexdigest()
    state.put_content(task.name, {"size": task.size, "mtime_ns": task.mtime_ns, "digest": digest})
    return digest


def _without_twins(group: list[Task], state: State, plan: Plan) -> list[Task]:
    """Keep one of each content; the plain file sorts before its compressed copies."""
    first: dict[str, Task] = {}
    for task in sorted(group, key=lambda task: (len(task.name), task.name)):
        kept = first.setdefault(_content(task, state), task)
        if kept is not task:
            plan.same_as[task.name] = kept.name
    return list(first.values())


def _name_outputs(tasks: list[Task], suffix: str, state: State, plan: Plan) -> list[Task]:
    """Give every task an output of its own.

    ``a.log`` and ``a.log.gz`` both would become ``a.tsv``: the same content is taken once, and where contents
    differ all keep their full names.
    """
    groups: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        folder, slash, base = task.name.rpartition("/")
        task.output = folder + slash + strip_suffixes(base) + suffix
        groups[task.output].append(task)
    kept = []
    for group in groups.values():
        kept.extend(_without_twins(group, state, plan) if len(group) > 1 else group)
    # "a.log.log" becomes "a.log.tsv", which may be the full name of another: such a one gets its full name as
    # well.
    while clashes := [name for name, count in Counter(task.output for task in kept).items() if count > 1]:
        for task in kept:
            if task.output in clashes:
                task.output = task.name + suffix
    order = {task.name: number for number, task in enumerate(tasks)}
    return sorted(kept, key=lambda task: order[task.name])


def _is_done(task: Task, options: ReduceOptions, digest: str, state: State) -> bool:
    entry = state.holds(task.name, task.size, task.mtime_ns)
    if entry is None or entry.get("options") != digest or entry.get("output") != task.output or options.force:
        return False
    if options.rejects is not None and entry["accounting"]["rejected"]:
        return False
    return Path(options.out, task.output).is_file()


def make_plan(options: ReduceOptions, found: list[Found], plan: Plan, state: State) -> Plan:
    """Name the outputs of the sources that were found, and tell which are done.

    Sources with rejected lines are read again when ``--rejects`` is asked for: only that shows the lines.
    """
    tasks = []
    for source in found:
        try:
            status = Path(source.path).stat()
            regular = stat.S_ISREG(status.st_mode)
            tasks.append(Task(source, status.st_size, status.st_mtime_ns if regular else NEVER_DONE))
        except OSError as error:
            plan.problems.append(explain_os_error(error, source.path))
    plan.tasks = _name_outputs(tasks, options.suffix, state, plan)
    digest = options.digest()
    for task in plan.tasks:
        task.done = _is_done(task, options, digest, state)
    plan.superseded = [name for name in plan.same_as if name in state.sources]
    if options.raw_path.is_dir() and options.limit_files is None and options.leave_out is None:
        plan.vanished = sorted(state.sources.keys() - {source.name for source in found})
    return plan
