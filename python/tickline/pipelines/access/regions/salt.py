"""The salt of the address hashes that dandi_s3_log_parser 0.4.2 kept its regions by: ``IP_HASH_SALT``.

It is needed to read such a cache (`tickline.pipelines.access.regions.hashed`), and for nothing else. Whoever
has it and the cache can find all addresses by trying them, so it is shown only by the command that makes it.
"""

import hashlib
import os
from pathlib import Path

from tickline.errors import SourceError, TicklineError
from tickline.sources import open_source

__all__ = ["ENVIRONMENT", "load_salt", "make_salt"]

ENVIRONMENT = "IP_HASH_SALT"
_FIRST_LOG = Path("2019", "10", "01.log")
_MOST_BYTES = 2**20


def load_salt() -> bytes:
    """Return the salt of the environment.

    Raises
    ------
    TicklineError
        There is none, or it is not hexadecimal. The salt itself is never shown.
    """
    hint = "Set it to the salt of the old programs; tickline access salt RAW makes it of the raw logs."
    text = os.environ.get(ENVIRONMENT)
    if text is None:
        raise TicklineError("the salt of the hashed addresses is not set", where=ENVIRONMENT, hint=hint)
    try:
        salt = bytes.fromhex(text.strip())
    except ValueError:
        salt = b""
    if not salt:
        raise TicklineError(
            "the salt of the hashed addresses is not hexadecimal", where=ENVIRONMENT, hint=hint
        )
    return salt


def make_salt(raw: Path) -> str:
    r"""Make the salt as ``get_hash_salt`` of dandi_s3_log_parser does, of the first line it ever logged.

    Parameters
    ----------
    raw : pathlib.Path
        The folder of the raw logs; ``2019/10/01.log`` must be there, or the same with .gz or .zst behind.

    Returns
    -------
    str
        40 hex digits: the SHA-1 of the first line of that file with its end, which is ``\n`` whatever the
        file has, because the old program read it as text.

    Raises
    ------
    SourceError
        The file is not there, cannot be read, is empty, or begins with no line of a log.
    """
    names = [raw / f"{_FIRST_LOG}{suffix}" for suffix in ("", ".gz", ".zst")]
    path = next((name for name in names if name.is_file()), None)
    if path is None:
        hint = f"The old salt is made of the first line of {_FIRST_LOG}; name the folder that holds it."
        raise SourceError("is not there", where=str(names[0]), hint=hint)
    # SHA-1 is what the old caches were made with; nothing here rests on its strength.
    return hashlib.sha1(_first_line(path), usedforsecurity=False).hexdigest()


def _first_line(path: Path) -> bytes:
    head = b""
    with open_source(str(path)) as source:
        for chunk in source.chunks():
            head += chunk
            if b"\n" in head or len(head) > _MOST_BYTES:
                break
    line, newline, _ = head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").partition(b"\n")
    if not line or len(line) > _MOST_BYTES:
        what = "has no first line" if not line else f"begins with a line of more than {_MOST_BYTES:,} bytes"
        hint = "It must be the file that the salt was made of in the first place."
        raise SourceError(what, where=str(path), hint=hint)
    return line + newline
