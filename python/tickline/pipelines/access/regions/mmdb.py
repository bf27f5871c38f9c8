"""Databases of MaxMind (.mmdb) that name countries and their parts."""

import io
import re
from pathlib import Path
from typing import Any

from tickline.errors import SourceError, TicklineError, explain_os_error
from tickline.pipelines.access.regions.labels import joined_label

__all__ = ["import_maxminddb", "is_mmdb", "open_mmdb", "record_label"]

# The metadata stand behind this, in the last 128 KiB.
_MARK = b"\xab\xcd\xefMaxMind.com"
_TAIL = 128 * 1024
_TYPES = re.compile("City|Country|Enterprise")


def is_mmdb(content: bytes) -> bool:
    """Tell whether this is a whole database."""
    return _MARK in content[-_TAIL:]


def import_maxminddb() -> Any:
    """Return the module.

    Raises
    ------
    TicklineError
        It is not installed.
    """
    try:
        import maxminddb
    except ImportError as error:
        hint = "Install it with: pip install 'tickline[regions]'"
        raise TicklineError("databases of MaxMind need maxminddb", hint=hint) from error
    return maxminddb


def open_mmdb(database: Path | io.BytesIO, where: str) -> Any:
    """Open a database of countries; the caller closes it.

    Raises
    ------
    SourceError
        It is damaged, or says nothing of countries.
    """
    maxminddb = import_maxminddb()
    mode = maxminddb.MODE_FD if isinstance(database, io.BytesIO) else maxminddb.MODE_AUTO
    try:
        reader = maxminddb.open_database(database, mode)
        kind = str(reader.metadata().database_type)
    except OSError as error:
        raise explain_os_error(error, where) from error
    except Exception as error:
        # A damaged database can make the reader raise nearly anything.
        what = f"its MaxMind database is damaged ({type(error).__name__})"
        raise SourceError(what, where=where, hint="Copy it again from its origin.") from error
    if not _TYPES.search(kind):
        reader.close()
        what = f"is a database of type {kind!r:.60}, which names no countries"
        raise SourceError(what, where=where, hint="Use a City or a Country database.")
    return reader


def record_label(record: object) -> str | None:
    """Return the label of a database's record, None where it names no country."""
    country = record.get("country") if isinstance(record, dict) else None
    code = country.get("iso_code") if isinstance(country, dict) else None
    if not isinstance(record, dict) or not isinstance(code, str):
        return None
    subdivisions = record.get("subdivisions")
    first = subdivisions[0] if isinstance(subdivisions, list) and subdivisions else None
    names = first.get("names") if isinstance(first, dict) else None
    name = names.get("en") if isinstance(names, dict) else None
    return joined_label(code, name if isinstance(name, str) else "") or None
