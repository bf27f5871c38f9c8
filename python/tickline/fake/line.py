"""One generated line and the answer that a reader must give for it.

The answer is known from how the line was made; nothing here reads a line. A line that is wrong
somewhere carries the reason and how far a reader gets before it meets the fault, because the rule is: judged
from left to right, the first thing that is wrong or filtered decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .archive import BUCKET, OWNER
from .draws import Dice

# How far a reader gets: the fault stands before the key, in request-URI or status block, or behind them.
HEAD, URI, AGENTS = range(3)
GET = b"REST.GET.OBJECT"

VALUES = (
    "time_ms",
    "remote_ip",
    "requester",
    "operation",
    "key",
    "http_status",
    "bytes_sent",
    "object_size",
    "referrer",
    "user_agent",
)


def _text(value: bytes) -> bytes | None:
    return None if value in (b"-", b'"-"') else value


def _quoted(value: bytes) -> bytes | None:
    value = value[1:-1] if len(value) > 1 and value[:1] == value[-1:] == b'"' else value
    return _text(value)


def _number(value: bytes) -> int | None:
    return int(value) if value.isdigit() else None


@dataclass(slots=True)
class Row:
    """The fields of one record as they will be written; shapes change them."""

    time: bytes
    time_ms: int
    ip: bytes
    requester: bytes
    request_id: bytes
    operation: bytes
    key: bytes
    method: bytes
    target: bytes
    status: bytes
    error: bytes
    bytes_sent: bytes
    object_size: bytes
    total_time: bytes
    turnaround_time: bytes
    referrer: bytes
    agent: bytes
    tail: list[bytes]
    key_number: int
    uri: bytes = b""
    owner: bytes = OWNER
    bucket: bytes = BUCKET

    def __post_init__(self) -> None:
        if not self.uri:
            self.uri = b'"' + self.method + b" " + self.target + b' HTTP/1.1"'

    def parts(self) -> list[bytes]:
        """Return the fields in their order."""
        return [
            self.owner,
            self.bucket,
            self.time,
            self.ip,
            self.requester,
            self.request_id,
            self.operation,
            self.key,
            self.uri,
            self.status,
            self.error,
            self.bytes_sent,
            self.object_size,
            self.total_time,
            self.turnaround_time,
            self.referrer,
            self.agent,
            *self.tail,
        ]

    def text(self) -> bytes:
        """Return the line, without newline."""
        return b" ".join(self.parts())

    def upto(self, count: int) -> int:
        """Return where the `count`-th field ends in the line."""
        parts = self.parts()[:count]
        return sum(map(len, parts)) + count - 1

    def values(self) -> dict[str, bytes | int | None]:
        """Return the values that a reader finds if the line is whole."""
        return {
            "time_ms": self.time_ms,
            "remote_ip": _text(self.ip),
            "requester": _text(self.requester),
            "operation": _text(self.operation),
            "key": _text(self.key),
            "http_status": _number(self.status),
            "bytes_sent": _number(self.bytes_sent),
            "object_size": _number(self.object_size),
            "referrer": _quoted(self.referrer),
            "user_agent": _quoted(self.agent),
        }

    def succeed(self) -> None:
        """Make it a GET of an object that was answered with all its bytes."""
        self.operation = GET
        self.method = b"GET"
        if self.key == b"-":
            self.key, self.key_number = b"blobs/000/000/shared-readme", -1
        self.target = b"/" + self.key
        self.uri = b'"GET ' + self.target + b' HTTP/1.1"'
        self.status, self.error = b"200", b"-"
        if self.object_size == b"-":
            self.object_size = b"20480"
        self.bytes_sent = self.object_size

    def fail(self) -> None:
        """Make it a GET of an object that is not there."""
        self.succeed()
        self.status, self.error, self.bytes_sent, self.object_size = b"404", b"NoSuchKey", b"311", b"-"


@dataclass(slots=True)
class Line:
    """A line as it stands in the file, and its answer."""

    text: bytes
    values: dict[str, bytes | int | None]
    rejected: str = ""
    stage: int = AGENTS
    blank: bool = False
    shape: str = ""
    noted: tuple[str, ...] = ()
    not_utf8: tuple[str, ...] = ()
    key_number: int = -1

    def read(self) -> tuple[str, str]:
        """Return outcome and reason for a reader without any filter."""
        if self.blank:
            return "filtered", "blank"
        return ("rejected", self.rejected) if self.rejected else ("accepted", "")

    def reduce(self) -> tuple[str, str]:
        """Return outcome and reason where only REST.GET.OBJECT with a status of 2xx is wanted."""
        if self.blank or (self.rejected and self.stage == HEAD):
            return self.read()
        if self.values["operation"] != GET:
            return "filtered", "operation"
        if self.rejected and self.stage == URI:
            return self.read()
        status = self.values["http_status"]
        if not isinstance(status, int) or not 200 <= status < 300:
            return "filtered", "status"
        return self.read()

    def expected(self) -> dict[str, object]:
        """Return the answer as plain data; the values are there only if the line is accepted."""
        outcome, reason = self.read()
        answer: dict[str, object] = {
            "shape": self.shape,
            "outcome": outcome,
            "reason": reason,
            "reduce": self.reduce(),
            "noted": self.noted,
            "not_utf8": self.not_utf8,
        }
        if outcome == "accepted":
            answer.update(self.values)
        return answer


# A shape takes a clean row and a source of draws, and makes a line of its kind from them.
Shape = Callable[[Row, Dice], Line]


def whole(row: Row, text: bytes | None = None, **values: bytes | int | None) -> Line:
    """Return a line that every reader accepts; `values` replace what the row itself says."""
    return Line(
        row.text() if text is None else text,
        {**row.values(), **values},
        key_number=row.key_number,
    )


def broken(row: Row, reason: str, stage: int, text: bytes | None = None) -> Line:
    """Return a line that is rejected for `reason`, unless it is filtered before that stage."""
    return Line(row.text() if text is None else text, row.values(), rejected=reason, stage=stage)
