"""``archive.toml``: which logs of which node go where.

Every key is checked, and one that is not known is refused: a misspelt retention must not be a retention that
nobody asked for.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tickline.clients.s3_errors import without_password
from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.pipelines.access.reduce.options import parse_bytes

__all__ = ["Config", "Retention", "Upload", "parse_config", "parse_every", "parse_store", "read_config"]

_LEAST_SPOOL = 10**6
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_DURATION = re.compile(r"(\d{1,6})\s*(s|m|h|d)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LEAST_EVERY_S = 10

_KEYS = {
    "": {"node", "logs", "state", "store", "every", "if_ignored", "endpoint", "region"}
    | {"spool", "upload", "retention"},
    "spool": {"limit"},
    "upload": {"timeout_s", "retries", "sse", "kms_key", "tags", "heartbeat", "recovery_days"},
    "retention": {"mode", "years"},
}


@dataclass(frozen=True, slots=True)
class Upload:
    """How chunks are sent.

    Attributes
    ----------
    timeout_s : float
        Seconds that one request may take.
    retries : int
        Further attempts of a request that failed in a way that may pass.
    sse, kms_key : str or None
        Server-side encryption, ``"AES256"``, ``"aws:kms"`` or ``"aws:kms:dsse"``, and its key.
    heartbeat_s : int
        Seconds after which a chunk without lines is written.
    recovery_days : int
        How many days of the archive are listed when the state was lost.
    """

    timeout_s: float = 20.0
    retries: int = 3
    sse: str | None = None
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    heartbeat_s: int = 86400
    recovery_days: int = 30


@dataclass(frozen=True, slots=True)
class Retention:
    """Object Lock: how long nobody may delete a chunk (``"COMPLIANCE"``), or only who has a right to."""

    mode: str
    years: int


@dataclass(frozen=True, slots=True)
class Config:
    """What ``archive.toml`` says.

    Attributes
    ----------
    logs : tuple of Path
        Folders that chronyd writes its logs to.
    state : Path
        Folder of this program: positions, spool, lock, the log of runs.
    every_s : int
        Seconds between two runs of a service.
    unique_keys : bool
        Go on where the store ignores conditional writes, with the hash in each key.
    spool_limit : int
        Bytes that may wait to be sent.
    """

    node: str
    logs: tuple[Path, ...]
    state: Path
    store: str
    every_s: int = 1800
    unique_keys: bool = False
    endpoint: str | None = None
    region: str | None = None
    spool_limit: int = 512 * 10**6
    upload: Upload = field(default_factory=Upload)
    retention: Retention | None = None


def read_config(path: str | os.PathLike[str]) -> Config:
    """Read and check ``archive.toml``.

    Raises
    ------
    UsageError
        It is no TOML, or says something that cannot be meant.
    SourceError
        It cannot be read.
    """
    place = Path(path)
    try:
        text = place.read_bytes().decode()
    except OSError as error:
        raise explain_os_error(error, place) from error
    except UnicodeDecodeError as error:
        raise UsageError("is no text in UTF-8", where=str(place), hint="Write it anew.") from error
    return parse_config(text, str(place))


def parse_config(text: str, where: str = "archive.toml") -> Config:
    """Check the text of an ``archive.toml``; `where` is its name for messages.

    Raises
    ------
    UsageError
        It is no TOML, or says something that cannot be meant.
    """
    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"is no TOML ({error})", where=where, hint="Correct that line.") from error
    try:
        return _config(found)
    except TicklineError as error:
        place = f"{where}, {error.where}" if error.where else where
        raise UsageError(error.what, where=place, hint=error.hint) from error


def parse_every(value: object, place: str) -> int:
    """Return the seconds between two runs of a service: ``"30m"`` gives 1800; `place` is for messages.

    Raises
    ------
    UsageError
        It is no duration, or less than ten seconds.
    """
    return _seconds(value, place, _LEAST_EVERY_S)


def _config(found: dict[str, Any]) -> Config:
    _check_keys(found, "")
    tables = {name: _table(found, name) for name in ("spool", "upload", "retention")}
    store = parse_store(_text(found, "store"), "store")
    upload = _upload(tables["upload"])
    retention = _retention(tables["retention"]) if "retention" in found else None
    if not store.startswith("s3://"):
        _refuse_s3_keys(found, upload, retention)
    return Config(
        node=_node(_text(found, "node")),
        logs=_logs(found.get("logs")),
        state=_absolute(_text(found, "state"), "state"),
        store=store,
        every_s=parse_every(found.get("every", "30m"), "every"),
        unique_keys=_one_of(found, "if_ignored", ("refuse", "unique-keys"), "refuse") == "unique-keys",
        endpoint=_endpoint(_text(found, "endpoint")) if "endpoint" in found else None,
        region=_text(found, "region") if "region" in found else None,
        spool_limit=_spool_limit(tables["spool"].get("limit", "512MB")),
        upload=upload,
        retention=retention,
    )


def _upload(table: dict[str, Any]) -> Upload:
    default = Upload()
    sse = _one_of(table, "upload.sse", ("AES256", "aws:kms", "aws:kms:dsse"), None)
    key = _text(table, "upload.kms_key") if "kms_key" in table else None
    if key is not None and sse not in ("aws:kms", "aws:kms:dsse"):
        raise UsageError("needs sse", where="upload.kms_key", hint='Write sse = "aws:kms", or take it out.')
    return Upload(
        timeout_s=_timeout(table.get("timeout_s", default.timeout_s)),
        retries=_number(table.get("retries", default.retries), "upload.retries", 0, 20),
        sse=sse,
        kms_key=key,
        tags=_tags(table.get("tags", {})),
        heartbeat_s=_seconds(table.get("heartbeat", "24h"), "upload.heartbeat", 60),
        recovery_days=_number(
            table.get("recovery_days", default.recovery_days), "upload.recovery_days", 1, 3660
        ),
    )


def _retention(table: dict[str, Any]) -> Retention:
    mode = _one_of(table, "retention.mode", ("COMPLIANCE", "GOVERNANCE"), None)
    if mode is None:
        hint = 'Write mode = "COMPLIANCE", or "GOVERNANCE".'
        raise UsageError("is missing", where="retention.mode", hint=hint)
    if "years" not in table:
        raise UsageError("is missing", where="retention.years", hint="Write how long, such as years = 6.")
    return Retention(mode, _number(table["years"], "retention.years", 1, 100))


def _refuse_s3_keys(found: dict[str, Any], upload: Upload, retention: Retention | None) -> None:
    """Refuse what a folder cannot keep: a promise of retention that nothing holds is worse than none."""
    given = {
        "endpoint": "endpoint" in found,
        "region": "region" in found,
        "upload.sse": upload.sse is not None,
        "upload.tags": bool(upload.tags),
        "retention": retention is not None,
    }
    for name, is_given in given.items():
        if is_given:
            what = "is something that only a store in S3 keeps"
            raise UsageError(what, where=name, hint="Take it out, or use a store of s3://.")


def _check_keys(table: dict[str, Any], name: str) -> None:
    for key in table:
        if key not in _KEYS[name]:
            known = ", ".join(sorted(_KEYS[name]))
            place = f"{name}.{key}" if name else key
            raise UsageError("is no key that is known", where=place, hint=f"Known are: {known}.")


def _table(found: dict[str, Any], name: str) -> dict[str, Any]:
    table = found.get(name, {})
    if not isinstance(table, dict):
        raise UsageError("is no table", where=name, hint=f"Write [{name}] on a line of its own.")
    _check_keys(table, name)
    return table


def _text(table: dict[str, Any], place: str) -> str:
    value = table.get(place.rpartition(".")[2])
    if value is None:
        raise UsageError("is missing", where=place, hint="It has no default: write it.")
    if not isinstance(value, str) or not value.strip():
        raise UsageError("is no text", where=place, hint='Write it as "text".')
    if not value.isprintable():
        raise UsageError("holds characters that cannot be printed", where=place, hint="Take them out.")
    return value


def _one_of(table: dict[str, Any], place: str, choices: tuple[str, ...], default: str | None) -> str | None:
    value = table.get(place.rpartition(".")[2], default)
    if value is not default and value not in choices:
        hint = "Write one of: " + ", ".join(choices) + "."
        raise UsageError(f"{value!r} is nothing that is known", where=place, hint=hint)
    return value


def _node(name: str) -> str:
    if not _NODE.fullmatch(name):
        hint = "Use letters, digits, '.', '_' and '-', 128 at most, and begin with a letter or digit."
        raise UsageError(f"{name!r} can be no part of a key", where="node", hint=hint)
    return name


def _absolute(text: str, place: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        # Services and cron jobs begin in folders that nobody thinks of.
        raise UsageError(f"{text!r} is no absolute path", where=place, hint="Begin it with '/'.")
    return Path(os.path.normpath(path))


def _logs(value: object) -> tuple[Path, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        hint = 'Write logs = ["/var/log/chrony"].'
        raise UsageError("is no list of folders", where="logs", hint=hint)
    folders = tuple(_absolute(text, "logs") for text in value)
    if len(set(folders)) < len(folders):
        raise UsageError("names a folder twice", where="logs", hint="Name each once.")
    return folders


def parse_store(url: str, where: str) -> str:
    """Check the address of a store, and return it in one spelling; `where` names the option, for messages.

    Raises
    ------
    UsageError
        It is neither ``s3://bucket/prefix`` nor ``file:///absolute/folder``.
    """
    scheme, mark, rest = url.partition("://")
    if scheme == "s3" and mark and rest.strip("/"):
        return url.rstrip("/")
    if scheme == "file" and rest.startswith("/") and rest.strip("/"):
        return "file://" + os.path.normpath("/" + rest.lstrip("/"))
    hint = "Write s3://bucket/prefix, or file:///absolute/folder."
    raise UsageError(f"{without_password(url)!r} is no store", where=where, hint=hint)


def _endpoint(url: str) -> str:
    if not re.fullmatch(r"https?://[^/@\s]+/?", url):
        hint = "Write https://host, or https://host:port; credentials do not belong into it."
        raise UsageError("is no address of a server", where="endpoint", hint=hint)
    return url.rstrip("/")


def _seconds(value: object, place: str, least: int) -> int:
    found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        hint = 'Write a number and s, m, h or d: "30m".'
        raise UsageError(f"{value!r} is no duration", where=place, hint=hint)
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds < least:
        raise UsageError(f"{value!r} is too short", where=place, hint=f'Write "{least}s" or more.')
    return seconds


def _spool_limit(value: object) -> int:
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise UsageError(f"{value!r} is no size", where="spool.limit", hint='Write "512MB".')
    size = parse_bytes(value, "spool.limit")
    if size < _LEAST_SPOOL:
        raise UsageError(f"{value!r} is too little", where="spool.limit", hint="Write 1MB or more.")
    return size


def _number(value: object, place: str, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        hint = f"Write a whole number from {least} to {most}."
        raise UsageError(f"{value!r} is no such number", where=place, hint=hint)
    return value


def _timeout(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.1 <= value <= 3600:
        hint = "Write seconds, from 0.1 to 3600."
        raise UsageError(f"{value!r} is no such time", where="upload.timeout_s", hint=hint)
    return float(value)


def _tags(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        hint = 'Write tags = {team = "ntp"}.'
        raise UsageError("is no table of texts", where="upload.tags", hint=hint)
    if len(value) > 10:
        raise UsageError("holds more than the 10 that S3 takes", where="upload.tags", hint="Take some out.")
    return dict(value)
