"""Slow, obvious reference for one S3 server access log line, built from regular expressions.

It shares nothing with the parser in ``include/tickline/logs``: the grammar of AWS's LogFormat page (fields
in fixed order, quotes that are not escaped) is written down once more as expressions over the line, and every
rule is applied to what they match. ``s3_access_reference.hpp`` states the same rules a third time, over a
vector of tokens. The tests compare all of them.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

COLUMNS = (
    "bucket_owner",
    "bucket",
    "time",
    "remote_ip",
    "requester",
    "request_id",
    "operation",
    "key",
    "request_uri",
    "http_status",
    "error_code",
    "bytes_sent",
    "object_size",
    "total_time_ms",
    "turnaround_time_ms",
    "referrer",
    "user_agent",
    "version_id",
    "host_id",
    "signature_version",
    "cipher_suite",
    "authentication_type",
    "host_header",
    "tls_version",
    "access_point_arn",
    "acl_required",
    "source_region",
)
NUMBERS = ("bytes_sent", "object_size", "total_time_ms", "turnaround_time_ms")
TAIL = COLUMNS[17:]
MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
MAX_LINE_BYTES = 16 * 1024 * 1024

# A blank is the byte 0x20 and nothing else, so that tabs, NUL and \r are ordinary bytes of a token.
END = rb"(?= |\Z)"
CLOCK = rb"\[[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2}"
OPERATION = rb"(?=[A-Z])[A-Z0-9_]++(?:\.[A-Z0-9_]++){2,3}" + END
QUOTED = rb'"(?!-"' + END + rb")"

OWNER_BUCKET = re.compile(rb" *+(?P<owner>[^ ]++) ++(?P<bucket>[^ ]++) ++(?=[^ ])", re.S)
TIME = re.compile(
    rb"\[(?P<day>[0-9]{2})/(?P<month>[A-Za-z]{3})/(?P<year>[0-9]{4})"
    rb":(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
    rb" (?P<sign>[+-])(?P<offset_hour>[0-9]{2})(?P<offset_minute>[0-9]{2})\]" + END
)
NULL_TIME = re.compile(rb'(?:-|"-")' + END)
TOKEN = re.compile(rb" ++(?P<text>[^ ]++)", re.S)
# Everything between the address and the operation: tokens that are none of the three that end the walk.
WALK = re.compile(
    rb"(?P<passed>(?: ++(?!" + CLOCK + rb")(?!" + QUOTED + rb")(?!" + OPERATION + rb")[^ ]++)*)"
    rb" *+(?:(?P<clock>" + CLOCK + rb")|(?P<quoted>" + QUOTED + rb")|(?P<operation>" + OPERATION + rb")|\Z)",
    re.S,
)
REQUESTER_ID = re.compile(rb" +(?:(?P<requester>[^ ](?:.*[^ ])?) +)?(?P<request_id>[^ ]+)", re.S)
COUNTS = b"".join(rb" (?P<" + name.encode() + rb">[0-9]+|-)" for name in NUMBERS)
STATUS_BLOCK = re.compile(
    rb'" (?P<http_status>[0-9]{3}|-) (?P<error_code>[^ "]+)' + COUNTS + rb' (?=["-])',
    re.S,
)
NULL_COUNTS = COUNTS.replace(rb"|-)", rb'|-|"-")')
# Behind a null request-URI any of the fields may be written "-" with its quotes (lifecycle records).
NULL_BLOCK = re.compile(
    rb' (?P<http_status>[0-9]{3}|-|"-") (?P<error_code>[^ "]+|"-")' + NULL_COUNTS + rb" (?= *+[^ ])",
    re.S,
)
NULL_URI = re.compile(rb'(?:-|"-")' + END)
THIRD_TOKEN = re.compile(rb'"[^ ]*+ ++[^ ]++ ++HTTP/[0-9]\.[0-9](?=")', re.S)
VERSION = re.compile(rb" HTTP/[0-9]\.[0-9]\Z")
ONLY_NULLS = re.compile(rb'(?:-|"-")(?: +(?:-|"-"))+ *')
AGENTS = (
    # "referrer" "agent": the first `" "` parts them, the last quote ends the agent.
    re.compile(rb'"(?P<referrer>.*?)" "(?P<user_agent>.*)"(?P<tail>(?: [^"]*)?)\Z', re.S),
    # "referrer" agent
    re.compile(rb'"(?P<referrer>(?:(?!" ").)*)" +(?P<user_agent>[^ "]++)(?P<tail>(?: [^"]*)?)\Z', re.S),
    # referrer "agent"
    re.compile(rb'(?P<referrer>[^" ]++) "(?P<user_agent>.*)"(?P<tail>(?: [^"]*)?)\Z', re.S),
    # referrer agent
    re.compile(rb' *(?P<referrer>[^" ]++) +(?P<user_agent>[^" ]++)(?P<tail>(?: [^"]*)?)\Z', re.S),
)


@dataclass
class ReferenceFilter:
    """What to keep. ``None`` or empty: everything."""

    operations: Collection[bytes] | None = None
    statuses: Collection[int] | None = None
    key_rules: Sequence[tuple[bytes, int]] | None = None
    excluded_ip: Callable[[bytes], bool] | None = None
    since_ms: int | None = None  # inclusive
    until_ms: int | None = None  # exclusive
    excluded_years: Collection[int] = ()


class DecisionError(Exception):
    """The first thing that is wrong or filtered decides."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(outcome, reason)
        self.outcome = outcome
        self.reason = reason


def reference_lines(data: bytes) -> list[bytes]:
    r"""Split at ``\n`` and nothing else; the last newline may lack."""
    lines = data.split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return lines


def reference_parse(
    line: bytes, rules: ReferenceFilter | None = None, max_line_bytes: int = MAX_LINE_BYTES
) -> dict[str, Any]:
    """Judge one line.

    Parameters
    ----------
    line : bytes
        What stands before a newline; one carriage return at its end does not belong to the line.
    rules : ReferenceFilter, optional
        What to keep.
    max_line_bytes : int
        Longer lines are rejected.

    Returns
    -------
    dict
        ``outcome`` ("accepted", "rejected" or "filtered"), ``reason`` ("" if accepted), ``record`` (the
        27 columns; ``None`` unless accepted), ``raw`` (the same with text as bytes) and ``noted`` (names).
    """
    try:
        raw, noted = _record(line.removesuffix(b"\r"), rules or ReferenceFilter(), max_line_bytes)
    except DecisionError as decided:
        return {
            "outcome": decided.outcome,
            "reason": decided.reason,
            "record": None,
            "raw": None,
            "noted": [],
        }
    record = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in raw.items()
    }
    if any(_is_invalid(value) for value in raw.values()):
        noted.append("invalid_utf8")
    return {"outcome": "accepted", "reason": "", "record": record, "raw": raw, "noted": noted}


def _rejected(reason: str) -> DecisionError:
    return DecisionError("rejected", reason)


def _text(value: bytes | None) -> bytes | None:
    return None if value in (None, b"-", b'"-"') else value


def _is_invalid(value: bytes | int | None) -> bool:
    return isinstance(value, bytes) and value.decode("utf-8", "replace").encode() != value


def _number(value: bytes) -> int | None:
    return None if _text(value) is None else int(value)


def _record(
    line: bytes, rules: ReferenceFilter, max_line_bytes: int
) -> tuple[dict[str, bytes | int | None], list[str]]:
    if not line.strip(b" "):
        raise DecisionError("filtered", "blank")
    if len(line) > max_line_bytes:
        raise _rejected("line_too_long")
    front = OWNER_BUCKET.match(line)
    if front is None:
        raise _rejected("cut")
    record: dict[str, bytes | int | None] = dict.fromkeys(COLUMNS)
    record["bucket_owner"] = _text(front["owner"])
    record["bucket"] = _text(front["bucket"])
    at = front.end()
    # A second "bucket [time" behind this record's own time: the log writer glued two records together.
    if record["bucket"] is not None and re.search(
        b" " + re.escape(front["bucket"]) + b" " + CLOCK, line[at + 1 :]
    ):
        raise _rejected("spliced")

    record["time"], at = _time(line, at)
    address = TOKEN.match(line, at)
    if address is None:
        raise _rejected("cut")
    record["remote_ip"] = _text(address["text"])
    at = _who_and_what(line, address.end(), record)
    key = TOKEN.match(line, at)
    if key is None:
        raise _rejected("cut")
    record["key"] = _text(key["text"])
    first_filters(record, rules)

    at = _request(line, key.end(), record)
    if rules.statuses is not None and record["http_status"] not in rules.statuses:
        raise DecisionError("filtered", "status")
    return record, _rest(line[at:], record)


def _time(line: bytes, at: int) -> tuple[int | None, int]:
    null = NULL_TIME.match(line, at)
    if null is not None:
        return None, null.end()
    found = TIME.match(line, at)
    if found is None or found["month"] not in MONTHS:
        raise _rejected("bad_time")
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"])
    offset_hour, offset_minute = int(found["offset_hour"]), int(found["offset_minute"])
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        raise _rejected("bad_time")
    try:
        # The calendar repeats every 400 years = 146097 days; the shift lets datetime take the year 0.
        shift = 1 if int(found["year"]) < 400 else 0
        date = datetime.date(
            int(found["year"]) + 400 * shift, MONTHS.index(found["month"]) + 1, int(found["day"])
        )
    except ValueError:
        raise _rejected("bad_time") from None
    days = date.toordinal() - shift * 146097 - datetime.date(1970, 1, 1).toordinal()
    local = ((days * 24 + hour) * 60 + minute) * 60 + second
    offset = (offset_hour * 60 + offset_minute) * 60
    utc = local + offset if found["sign"] == b"-" else local - offset
    return utc * 1000, found.end()


def _who_and_what(line: bytes, at: int, record: dict[str, bytes | int | None]) -> int:
    """Read requester, request id and operation; give where the operation ends."""
    walk = WALK.match(line, at)
    assert walk is not None  # noqa: S101 (one of its alternatives always matches)
    passed = re.findall(rb"[^ ]+", walk["passed"])
    if walk["clock"] is not None:
        raise _rejected("spliced")
    if walk["operation"] is not None:
        before = REQUESTER_ID.fullmatch(walk["passed"])
        if before is None:
            raise _rejected("bad_operation")
        # An empty requester (two blanks with nothing between) is the empty text, not a missing value.
        record["requester"] = _text(before["requester"] or b"")
        record["request_id"] = _text(before["request_id"])
        record["operation"] = walk["operation"]
        return walk.end("operation")
    if len(passed) >= 3 and _text(passed[2]) is None:
        record["requester"], record["request_id"] = _text(passed[0]), _text(passed[1])
        third = re.compile(rb"(?: ++[^ ]++){3}").match(line, at)
        assert third is not None  # noqa: S101 (there are three tokens)
        return third.end()
    raise _rejected("cut" if walk["quoted"] is None and len(passed) < 3 else "bad_operation")


def first_filters(record: dict[str, bytes | int | None], rules: ReferenceFilter) -> None:
    if rules.operations is not None and record["operation"] not in rules.operations:
        raise DecisionError("filtered", "operation")
    if rules.key_rules:
        key = record["key"]
        for prefix, parts in rules.key_rules:
            if isinstance(key, bytes) and (key == prefix or key.startswith(prefix + b"/")):
                record["key"] = b"/".join(key.split(b"/")[:parts]) if parts > 0 else key
                break
        else:
            raise DecisionError("filtered", "key")
    address = record["remote_ip"]
    if rules.excluded_ip is not None and isinstance(address, bytes) and rules.excluded_ip(address):
        raise DecisionError("filtered", "ip")
    time = record["time"]
    if not isinstance(time, int):
        # A record without a time cannot lie inside an interval, but lies in no excluded year either.
        if rules.since_ms is not None or rules.until_ms is not None:
            raise DecisionError("filtered", "time")
        return
    if rules.since_ms is not None and time < rules.since_ms:
        raise DecisionError("filtered", "time")
    if rules.until_ms is not None and time >= rules.until_ms:
        raise DecisionError("filtered", "time")
    if rules.excluded_years and _year(time) in rules.excluded_years:
        raise DecisionError("filtered", "time")


def _year(unix_ms: int) -> int:
    """UTC year, again through a shift of whole 400-year periods."""
    days = unix_ms // 86_400_000 + datetime.date(1970, 1, 1).toordinal()
    periods, day_in_period = divmod(days - 1, 146097)
    return datetime.date.fromordinal(day_in_period + 1).year + 400 * periods


def _request(line: bytes, at: int, record: dict[str, bytes | int | None]) -> int:
    """Read the request-URI and the status block; give where the referrer begins."""
    while line[at : at + 1] == b" ":
        at += 1
    if at == len(line):
        raise _rejected("cut")
    null = NULL_URI.match(line, at)
    if null is not None:
        block = NULL_BLOCK.match(line, null.end())
        if block is None:
            raise _rejected("cut")
    elif line[at : at + 1] == b'"':
        block = _closing_quote(line, at)
        record["request_uri"] = line[at + 1 : block.start()]
    else:
        raise _rejected("bad_request_uri")
    for name in NUMBERS:
        value = _number(block[name])
        if value is not None and value >= 2**64:
            raise _rejected("number_overflow")
        record[name] = value
    record["http_status"] = _number(block["http_status"])
    record["error_code"] = _text(block["error_code"])
    return block.end()


def _closing_quote(line: bytes, at: int) -> re.Match[bytes]:
    # A request target holds no blank (RFC 9112 section 3), so a version as third token ends the request line
    # whatever the client wrote into target, referrer or user agent.
    third = THIRD_TOKEN.match(line, at)
    if third is not None:
        closed = STATUS_BLOCK.match(line, third.end())
        if closed is not None:
            return closed
    quotes = [quote.start() for quote in re.finditer(b'"', line) if quote.start() > at]
    closing = [block for block in (STATUS_BLOCK.match(line, quote) for quote in quotes) if block is not None]
    versioned = [
        block for block in closing if VERSION.search(line[max(0, block.start() - 9) : block.start()])
    ]
    candidates = versioned or closing
    if not candidates:
        raise _rejected("cut")
    if len(candidates) > 1:
        raise _rejected("ambiguous")
    return candidates[0]


def _rest(rest: bytes, record: dict[str, bytes | int | None]) -> list[str]:
    """Read referrer, user agent and the tail; give what is to be noted."""
    noted: list[str] = []
    if record["request_uri"] is None and ONLY_NULLS.fullmatch(rest):
        # S3's own records hold no client's text, so `"-" "-" "-"` is three nulls and not a user agent.
        return noted
    found = next((m for m in (shape.match(rest) for shape in AGENTS) if m is not None), None)
    if found is None:
        raise _rejected("cut")
    if found.re is AGENTS[0]:
        # Overlapping ones count: each `" "` behind the first could be the true boundary as well.
        quoted = rest[: rest.rindex(b'"') + 1]
        if len(re.findall(rb'(?=" ")', quoted[1:])) > 1:
            noted.append("ambiguous_agent")
    record["referrer"] = None if found["referrer"] == b"-" else found["referrer"]
    record["user_agent"] = None if found["user_agent"] == b"-" else found["user_agent"]

    tail = re.findall(rb"[^ ]+", found["tail"])
    # March 2019: for a while S3 wrote the requester's principal id between version id and host id.
    signatures = [token == b"-" or token.startswith(b"SigV") for token in tail[:4]]
    if len(tail) >= 4 and not signatures[2] and signatures[3]:
        del tail[1]
    for name, value in zip(TAIL, tail, strict=False):
        record[name] = _text(value)
    return noted
