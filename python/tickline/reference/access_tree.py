"""Slow, obvious reference for one line of the tables that dandi_s3_log_parser made of access logs.

Written from what version 0.4.2 of that program writes: tabs between fields, no quotes, times without a zone
that are UTC, ``-`` in the place of a null. `ingest.tree_reader` judges many lines at once; this
says what is wrong with the one that it refuses.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from tickline.reference.s3_access import DecisionError, ReferenceFilter, first_filters

__all__ = ["COLUMNS", "TreeRowError", "header", "reference_row", "reference_tree_line"]

COLUMNS = {
    "reduced": ("timestamp", "ip_address", "object_key", "bytes_sent"),
    "binned": ("timestamp", "bytes_sent", "ip_address"),
}
"""Of a table of one day, and of a table of one key."""

_TIME = re.compile(rb"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)")
_NO_TIME = "has a time that is not like 2024-05-01T23:59:59"
_NUMBER = re.compile(rb"\d{1,20}")
_ADDRESS = re.compile(rb"[!-~]+")


class TreeRowError(Exception):
    """A line cannot be one of such a table; what it holds is not shown."""


def header(form: str) -> bytes:
    """Return the first line of a table, without its newline."""
    return "\t".join(COLUMNS[form]).encode()


def reference_row(line: bytes, form: str) -> dict[str, bytes]:
    """Return the fields of one line below the header.

    Parameters
    ----------
    line : bytes
        What stands before a newline; one carriage return at its end does not belong to it.

    Raises
    ------
    TreeRowError
        It is no row, or holds a value that no request can have.
    """
    fields = line.removesuffix(b"\r").split(b"\t")
    names = COLUMNS[form]
    if len(fields) != len(names):
        raise TreeRowError(f"has {len(fields)} fields, not {len(names)}")
    if b"\r" in line.removesuffix(b"\r"):
        raise TreeRowError("holds a carriage return before its end")
    row = dict(zip(names, fields, strict=True))
    _time_ms(row["timestamp"])
    if not _NUMBER.fullmatch(row["bytes_sent"]) or int(row["bytes_sent"]) >= 2**64:
        raise TreeRowError("has a number of bytes that is no whole number below 2^64")
    if not _ADDRESS.fullmatch(row["ip_address"]):
        raise TreeRowError("has an address that is empty or holds what no address can")
    if not row.get("object_key", b"-"):
        raise TreeRowError("has an empty key")
    return row


def _time_ms(text: bytes) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise TreeRowError(_NO_TIME)
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second, tzinfo=datetime.UTC)
    except ValueError:
        raise TreeRowError(_NO_TIME) from None
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 1000


def reference_tree_line(
    line: bytes, number: int, form: str, key: bytes | None, rules: ReferenceFilter
) -> dict[str, Any]:
    """Judge one line, as `tickline.reference.s3_access.reference_parse` judges one of a log.

    Parameters
    ----------
    number : int
        Its number, from 1: the first one is the header.
    key : bytes or None
        The key of the table, for ``"binned"``.
    rules : ReferenceFilter
        What to keep; operation and status, which are not written there, are not asked for.

    Returns
    -------
    dict
        ``outcome``, ``reason``, ``record`` (what is extracted of a log's line), ``raw``, ``noted``.
    """
    if number == 1:
        if line.removesuffix(b"\r") != header(form):
            return _judged("rejected", "header")
        return _judged("filtered", "header")
    try:
        row = reference_row(line, form)
    except TreeRowError:
        return _judged("rejected", "row")
    raw: dict[str, bytes | int | None] = {
        "time": _time_ms(row["timestamp"]),
        "key": _text(key if key is not None else row["object_key"]),
        "remote_ip": _text(row["ip_address"]),
        "bytes_sent": int(row["bytes_sent"]),
        "object_size": None,
        "http_status": None,
        "operation": b"REST.GET.OBJECT",
        "user_agent": None,
    }
    try:
        first_filters(raw, rules)
    except DecisionError as decided:
        return _judged(decided.outcome, decided.reason)
    record = {
        name: value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        for name, value in raw.items()
    }
    texts = [value for value in raw.values() if isinstance(value, bytes)]
    invalid = any(text.decode("utf-8", "replace").encode() != text for text in texts)
    noted = ["invalid_utf8"] if invalid else []
    return {"outcome": "accepted", "reason": "", "record": record, "raw": raw, "noted": noted}


def _judged(outcome: str, reason: str) -> dict[str, Any]:
    return {"outcome": outcome, "reason": reason, "record": None, "raw": None, "noted": []}


def _text(value: bytes) -> bytes | None:
    return None if value == b"-" else value
