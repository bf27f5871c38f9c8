"""What a reduce is asked to do, and the digest by which a later run knows whether it still holds."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickline.errors import UsageError
from tickline.filters import AccessRules, check_columns

__all__ = ["DEFAULT_COLUMNS", "ReduceOptions", "parse_bytes", "parse_max_rejects", "parse_memory"]

DEFAULT_COLUMNS = ("time", "remote_ip", "key", "bytes_sent")
# Goes up when the same input and options give other bytes than before: recorded outputs are then made again.
_REVISION = 1
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,6})?")
_LEAST_MEMORY = 150 * 10**6


def parse_bytes(text: str | int, where: str) -> int:
    """``300MB`` and the like to bytes; decimal units, and KiB, MiB, GiB.

    Raises
    ------
    UsageError
        It is no size.
    """
    word = str(text).strip().upper()
    digits = word.rstrip("KMGIB ")
    unit = _UNITS.get(word[len(digits) :].strip())
    if unit is None or not _NUMBER.fullmatch(digits):
        raise UsageError(f"{text!r} is no size", where=where, hint="Write 300MB, 2GB or 512MiB.")
    return int(float(digits) * unit)


def parse_memory(text: str | int) -> int:
    """``--memory`` to bytes.

    Raises
    ------
    UsageError
        It is no size, or less than the 150 MB that the interpreter and two buffers need.
    """
    size = parse_bytes(text, "memory")
    if size < _LEAST_MEMORY:
        raise UsageError(f"{text} is too little", where="memory", hint="Give at least 150MB.")
    return size


def parse_max_rejects(text: str | None) -> tuple[float, bool] | None:
    """``1000`` or ``0.1%`` to (number, is it a share)."""
    if text is None:
        return None
    digits = text.strip().removesuffix("%").strip()
    if not _NUMBER.fullmatch(digits):
        hint = "Write a number of lines (1000) or a share (0.1%)."
        raise UsageError(f"{text!r} is no limit", where="max-rejects", hint=hint)
    return float(digits), text.strip().endswith("%")


@dataclass(frozen=True, slots=True)
class ReduceOptions:
    """Everything `tickline access reduce` can be told.

    Attributes
    ----------
    raw, out : str
        Paths, or ``-`` for standard input and output.
    columns : tuple of str or None
        None stands for the four of the default, under the header names of `dandi_s3_log_parser`.
    max_rejects : (float, bool) or None
        A number of lines, or (with True) a share in percent, above which rejected lines are a failure.
    leave_out : callable, optional
        Is given the name of a source below a folder RAW; returns why it is not taken, None if it is.
    """

    raw: str
    out: str
    format: str = "tsv"
    columns: tuple[str, ...] | None = None
    rules: AccessRules = field(default_factory=AccessRules)
    limit_files: int | None = None
    threads: int = 1
    memory_bytes: int = 300 * 10**6
    accounting: str | None = None
    rejects: str | None = None
    with_text: bool = False
    force: bool = False
    dry_run: bool = False
    max_rejects: tuple[float, bool] | None = None
    max_line_bytes: int = 16 * 2**20
    leave_out: Callable[[str], str | None] | None = None

    def __post_init__(self) -> None:
        if self.columns is not None:
            check_columns(self.columns, ())
        if self.format not in ("tsv", "parquet"):
            raise UsageError(f"{self.format!r} is no format", where="format", hint="Choose tsv or parquet.")
        if self.rules.strict and (self.format != "tsv" or self.columns is not None):
            hint = "Leave --format and --columns away, or use --compat fixed."
            raise UsageError("strict is defined for the four TSV columns only", where="compat", hint=hint)
        if self.threads < 1:
            raise UsageError("at least one thread is needed", where="threads")
        if self.limit_files is not None and self.limit_files < 1:
            raise UsageError("at least one file is needed", where="limit-files")
        if self.with_text and self.rejects is None:
            raise UsageError("it needs --rejects FILE.tsv", where="with-text")

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns the core is asked for."""
        return self.columns if self.columns is not None else DEFAULT_COLUMNS

    @property
    def suffix(self) -> str:
        """The ending of outputs."""
        return f".{self.format}"

    @property
    def header(self) -> bytes:
        """The first line of a TSV output."""
        names = self.columns or ("timestamp", "ip_address", "object_key", "bytes_sent")
        return "\t".join(names).encode() + b"\n"

    def meaning(self) -> dict[str, Any]:
        """Return what decides the bytes of the outputs: not threads, not memory, not which files."""
        return {
            "revision": _REVISION,
            "format": self.format,
            "columns": list(self.columns) if self.columns is not None else None,
            "rules": self.rules.as_json(),
            "max_line_bytes": self.max_line_bytes,
        }

    def digest(self) -> str:
        """Return 32 hex digits that change with `meaning`."""
        text = json.dumps(self.meaning(), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def raw_path(self) -> Path:
        """RAW as a path."""
        return Path(self.raw)
