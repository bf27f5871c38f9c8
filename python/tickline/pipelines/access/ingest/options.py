"""Options of an ingest, and what it reports."""

import time
from collections import Counter
from dataclasses import dataclass, field

from tickline.discovery import is_s3
from tickline.engines.options import EngineOptions
from tickline.errors import TicklineError, UsageError
from tickline.store.settings import WantedSettings

__all__ = ["FORMS", "IngestOptions", "IngestReport", "ingest_kind"]

FORMS = ("log", "reduced", "binned")
"""What sources are: raw logs; tables of a day, one row a request; tables of a key, named by it."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How to ingest.

    Attributes
    ----------
    form : str
        What is read, one of `FORMS`: logs, or trees of tables that dandi_s3_log_parser (or an export of
        Tickline) made of them.
    wanted : WantedSettings
        What was said about the meaning of the store.
    threads : int
        How many sources, or pieces of one, are read at once.
    memory_bytes : int
        Fewer threads run where this would not be enough.
    settle_s : float
        A plain file younger than this may still be written to: its last line waits for a newline.
    now_ms : int
        The time it is, milliseconds since 1970.
    engine : EngineOptions
        Whether threads of this process do the work, or the workers of a cluster.
    bucket : str, optional
        ``s3://bucket/prefix``: finished files go there too, with a manifest. Workers then need no folder that
        they share with this process.
    """

    wanted: WantedSettings = field(default_factory=WantedSettings)
    form: str = "log"
    threads: int = 1
    memory_bytes: int = 500 * 10**6
    settle_s: float = 60.0
    max_line_bytes: int = 16 * 2**20
    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    engine: EngineOptions = field(default_factory=EngineOptions)
    bucket: str | None = None

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError("at least one thread is needed", where="threads")
        if self.form not in FORMS:
            raise UsageError(f"{self.form!r} is none", where="from", hint=f"Choose from: {', '.join(FORMS)}.")
        if self.settle_s < 0:
            raise UsageError("must not be negative", where="settle")
        if self.bucket is not None and not is_s3(self.bucket):
            raise UsageError("is no address in S3", where="--bucket", hint="Write s3://bucket/prefix.")


@dataclass(slots=True)
class IngestReport:
    """What an ingest did.

    Attributes
    ----------
    states : collections.Counter
        How many sources are ``new``, ``grown``, ``changed`` (their rows were replaced), ``copy`` (content
        that the store has already), ``unchanged``, ``failed``.
    counts : dict
        Accounting of the lines that were read, as `tickline.accounting` has it.
    rows : int
        Rows that were added.
    bytes_read : int
        Log read by this run, decompressed.
    left_out : collections.Counter
        Files that are no logs, by reason.
    days : set of int
        The days (since 1970) on which rows were added.
    problems : list of TicklineError
        What could not be done; everything else was.
    """

    states: Counter[str] = field(default_factory=Counter)
    counts: dict[str, object] = field(default_factory=dict)
    rows: int = 0
    bytes_read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    days: set[int] = field(default_factory=set)
    problems: list[TicklineError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def ingest_kind(form: str) -> str:
    """Return the kind of a commit that brings rows from sources of this form (all of one run have one)."""
    return "ingest" if form == "log" else f"ingest {form}"
