"""Raw S3 access logs to tables of the few columns needed: one output per source, each one whole and counted.

Plain files are cut into pieces of a fixed size that many threads scan; their results are written in order.
What can only be read from front to back (.gz, .zst, pipes) is one task each. Finished sources are recorded,
so that a second run skips them, and one that was killed goes on.
"""

import json
import os
from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tickline import accounting
from tickline.discovery import Found
from tickline.errors import SourceError, TicklineError, UsageError, explain_os_error
from tickline.files import WholeFile, remove_temporary, write_whole
from tickline.pipelines.access.reduce import rejects
from tickline.pipelines.access.reduce.checks import check_output, is_folder_output, refuse_lost_files
from tickline.pipelines.access.reduce.options import ReduceOptions
from tickline.pipelines.access.reduce.output import import_pyarrow
from tickline.pipelines.access.reduce.plan import NEVER_DONE, Plan, Task, find_sources, make_plan
from tickline.pipelines.access.reduce.work import PIECE_BYTES, Context, Job, Part
from tickline.pipelines.access.state import FOLDER, State, lock
from tickline.progress import Progress
from tickline.threads import WorkHere

__all__ = ["Report", "reduce"]

# What the interpreter, its modules and the writer take; a Parquet writer holds row groups of all columns.
_BASE_BYTES = {"tsv": 90 * 10**6, "parquet": 150 * 10**6}
_BASE_BYTES_PER_COLUMN = {"tsv": 0, "parquet": 4 * 10**6}
# One scan under way: its read buffer, and a result that is copied as it grows and as it is taken.
_SCAN_BYTES = 4 * 2**20 + 4 * PIECE_BYTES
# How many steps may be under way. Those of small and of compressed sources hold no results, so that a slow
# one does not keep the other threads waiting.
_WINDOW = 256


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes
    ----------
    accounting : dict
        As in ``--accounting``: also for sources that were done by an earlier run.
    outputs : list of dict
        ``source``, ``output`` and ``state``: made, kept (from an earlier run), failed, to be made
        (``--dry-run``).
    problems : list of TicklineError
        What could not be done.
    notes : list of str
        What is worth knowing and no failure.
    bytes_read : int
        How much log this run read, decompressed.
    """

    accounting: dict[str, Any] = field(default_factory=lambda: accounting.report([]))
    outputs: list[dict[str, str]] = field(default_factory=list)
    same_as: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    problems: list[TicklineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    bytes_read: int = 0

    def count(self, state: str) -> int:
        """Return the number of outputs in this state."""
        return sum(output["state"] == state for output in self.outputs)


class _Pending(NamedTuple):
    """A step under way; `holds` tells that its result is held in memory until it is this one's turn.

    Without a future it stands behind the last step of a job.
    """

    job: Job
    future: Future[Part | None] | None
    holds: bool


class _Run:
    def __init__(self, options: ReduceOptions, plan: Plan, state: State | None, progress: Progress) -> None:
        self.options = options
        self.plan = plan
        self.state = state
        self.report = Report(same_as=plan.same_as, left_out=dict(plan.left_out), problems=plan.problems)
        spool = str(Path(options.out, FOLDER)) if state else None
        self.context = Context(options, progress.advance, spool)
        self.counted: dict[str, dict[str, Any]] = {}
        self.digest = options.digest()
        self.full: SourceError | None = None
        self.rejects: WholeFile | None = None
        self.threads, self.depth = self._share_memory()
        self.window: deque[_Pending] = deque()
        self.held = 0

    def _share_memory(self) -> tuple[int, int]:
        """Return how many threads may run, and how many results may be under way or waiting."""
        form = self.options.format
        base = _BASE_BYTES[form] + _BASE_BYTES_PER_COLUMN[form] * len(self.options.column_names)
        room = self.options.memory_bytes - base
        threads = max(1, min(self.options.threads, room // _SCAN_BYTES))
        waiting = max(0, room - threads * _SCAN_BYTES) // PIECE_BYTES
        return threads, threads + max(1, min(threads, waiting))

    def output_path(self, task: Task) -> str:
        return str(Path(self.options.out, task.output)) if self.state else self.options.out

    def run(self) -> None:
        """Do all tasks of the plan."""
        if self.options.rejects is not None:
            self.rejects = WholeFile(Path(self.options.rejects), self.context.folders)
            self.rejects.write(rejects.header(self.options.with_text))
        pool: Executor
        pool = ThreadPoolExecutor(self.threads, "tickline-reduce") if self.threads > 1 else WorkHere()
        try:
            for task in self.plan.tasks:
                if task.done:
                    self._keep(task)
                elif self.full is None:
                    self._submit(task, pool)
                else:
                    self._put_output(task, "failed")
            while self.window:
                self._settle()
            self._commit_rejects()
            self._drop_superseded()
        finally:
            self.context.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for pending in self.window:
                pending.job.close()
                pending.job.close_spool()
            if self.rejects is not None:
                self.rejects.abort()
            self._save()

    def _submit(self, task: Task, pool: Executor) -> None:
        job = Job(self.context, task, self.output_path(task))
        for step, holds in job.steps():
            while self.held >= self.depth or len(self.window) >= _WINDOW:
                self._settle()
            self.window.append(_Pending(job, pool.submit(step), holds))
            self.held += holds
        self.window.append(_Pending(job, None, False))

    def _settle(self) -> None:
        """Wait for the oldest step, and take its result."""
        job, future, holds = self.window[0]
        try:
            if future is not None:
                job.absorb(future.result())
            elif not job.finished and job.error is None:
                job.finish()
        except OSError as error:
            job.fail(error)
        if future is None:
            self._end(job)
        self.held -= holds
        self.window.popleft()

    def _end(self, job: Job) -> None:
        job.close()
        if job.finished:
            if self.rejects is not None:
                job.copy_rejects(self.rejects)
            self._record(job)
        elif job.error is not None:
            self.report.problems.append(job.error)
            if job.error.disk_full:
                self.full = job.error
            self._put_output(job.task, "failed")
        job.close_spool()

    def _record(self, job: Job) -> None:
        task = job.task
        self.report.bytes_read += job.counts["bytes"]
        self.counted[task.name] = job.counts
        self._put_output(task, "made")
        rejected = accounting.rejected(job.counts)
        if rejected and rejected == job.counts["lines"] - job.counts["filtered"].get("blank", 0):
            self.report.notes.append(f"{task.name}: none of its lines is one of an S3 access log. Is it one?")
        if self.state is None or task.mtime_ns == NEVER_DONE:
            return
        before = self.state.sources.get(task.name, {}).get("output")
        if before not in (None, task.output) and before.endswith(self.options.suffix):
            self._remove_stale(before)
        entry = {"size": task.size, "mtime_ns": task.mtime_ns, "options": self.digest, "output": task.output}
        self.state.put(task.name, {**entry, "accounting": job.counts})
        if self.state.due:
            self._save()

    def _drop_superseded(self) -> None:
        """The rows of a source that has become a copy of another must not be counted twice downstream."""
        for name in self.plan.superseded:
            if self.state is not None:
                self._remove_stale(self.state.sources[name]["output"])
                self.state.drop(name)

    def _remove_stale(self, output: str) -> None:
        """Take away what the same source became when it had another name for its output."""
        if output not in {task.output for task in self.plan.tasks}:
            path = Path(self.options.out, output)
            path.unlink(missing_ok=True)
            self.context.folders.changed(path.parent)

    def _keep(self, task: Task) -> None:
        if self.state is not None:
            self.counted[task.name] = self.state.sources[task.name]["accounting"]
            self._put_output(task, "kept")

    def _put_output(self, task: Task, state: str) -> None:
        output = task.output if self.state else self.options.out
        self.report.outputs.append({"source": task.name, "output": output, "state": state})

    def _save(self) -> None:
        try:
            self.context.folders.sync()
            if self.state is not None:
                self.state.save()
        except OSError as error:
            self.report.problems.append(explain_os_error(error, self.options.out))

    def _commit_rejects(self) -> None:
        if self.rejects is not None:
            try:
                self.rejects.commit()
            except OSError as error:
                self.report.problems.append(explain_os_error(error, self.rejects.path))

    def finish(self) -> Report:
        """Add up, and look at the limits."""
        order = {task.name: number for number, task in enumerate(self.plan.tasks)}
        self.report.outputs.sort(key=lambda output: order[output["source"]])
        counted = sorted(self.counted.items(), key=lambda item: order[item[0]])
        self.report.accounting = accounting.report(counted)
        self._check_disk()
        self._note_vanished()
        self._check_rejects()
        if self.options.accounting is not None:
            try:
                write_whole(Path(self.options.accounting), accounting_json(self.report.accounting))
            except OSError as error:
                self.report.problems.append(explain_os_error(error, self.options.accounting))
        return self.report

    def _check_disk(self) -> None:
        left = self.report.count("failed") - len(self.report.problems)
        if self.full is not None and left > 0:
            self.report.notes.append(f"{left} more sources were not read, because the disk is full.")

    def _note_vanished(self) -> None:
        gone = self.plan.vanished
        if gone:
            some = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
            what = "source of an earlier run is" if len(gone) == 1 else "sources of earlier runs are"
            self.report.notes.append(f"{len(gone)} {what} no longer there, the outputs were left: {some}")

    def _check_rejects(self) -> None:
        if self.options.max_rejects is None:
            return
        limit, percent = self.options.max_rejects
        total = self.report.accounting["total"]
        count = accounting.rejected(total)
        if count > (limit * total["lines"] / 100 if percent else limit):
            what = f"{count} of {total['lines']} lines were rejected, more than --max-rejects allows"
            hint = "See which with --rejects FILE.tsv."
            self.report.problems.append(TicklineError(what, hint=hint))


def accounting_json(report: dict[str, Any]) -> bytes:
    """Return the accounting as the bytes of a JSON file."""
    return json.dumps(report, indent=1).encode() + b"\n"


def _single_plan(options: ReduceOptions) -> Plan:
    if options.raw == "-":
        return Plan([Task(Found("-", "-"), 0, 0)])
    path = options.raw_path
    try:
        status = path.stat()
    except OSError as error:
        hint = "Name a log, a folder of logs, or - for standard input."
        raise UsageError(f"RAW cannot be read ({error.strerror})", where=options.raw, hint=hint) from error
    return Plan([Task(Found(str(path), path.name), status.st_size, status.st_mtime_ns)])


def _dry_run(options: ReduceOptions, plan: Plan, tree: bool) -> Report:
    report = Report(same_as=plan.same_as, left_out=dict(plan.left_out), problems=plan.problems)
    for task in plan.tasks:
        output = task.output if tree else options.out
        report.outputs.append(
            {"source": task.name, "output": output, "state": "kept" if task.done else "to be made"}
        )
    return report


def reduce(options: ReduceOptions, progress: Progress | None = None) -> Report:
    """Reduce what `options` names.

    Parameters
    ----------
    options : ReduceOptions
        What to read, to keep and to write.
    progress : Progress, optional
        Is told how far the run is.

    Returns
    -------
    Report
        What was done; `problems` is empty if everything was.

    Raises
    ------
    UsageError
        The options do not fit together, or RAW does not exist.
    TicklineError
        Nothing could be begun: another run holds OUT, or OUT cannot be written.
    """
    progress = progress or Progress()
    tree = is_folder_output(options)
    check_output(options, tree)
    if options.format == "parquet":
        import_pyarrow()
    options.rules.build()
    if not tree:
        plan = _single_plan(options)
        refuse_lost_files(options, [task.found for task in plan.tasks], tree)
        return _dry_run(options, plan, tree) if options.dry_run else _run(options, plan, None, progress)
    plan = Plan()
    found = find_sources(options, plan)
    refuse_lost_files(options, found, tree)
    if options.dry_run:
        return _dry_run(options, make_plan(options, found, plan, State(Path(options.out))), tree)
    descriptor = lock(Path(options.out))
    try:
        state = State(Path(options.out))
        remove_temporary(Path(options.out))
        return _run(options, make_plan(options, found, plan, state), state, progress)
    finally:
        os.close(descriptor)


def _run(options: ReduceOptions, plan: Plan, state: State | None, progress: Progress) -> Report:
    progress.start(sum(task.size for task in plan.tasks if not task.done))
    run = _Run(options, plan, state, progress)
    run.run()
    return run.finish()
