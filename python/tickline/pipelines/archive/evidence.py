"""What an auditor asks of a node beside its logs: which chronyd and configuration, on which kernel."""

import os
import shutil
import subprocess
from pathlib import Path

from tickline.files import sha256_of

__all__ = ["node_evidence"]

_CONFIGURATIONS = (Path("/etc/chrony/chrony.conf"), Path("/etc/chrony.conf"))
# cron's PATH lacks the folder that daemons are in.
_SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/sbin"


def node_evidence() -> dict[str, str | None]:
    """Return ``chrony`` (version), ``conf``, ``conf_sha256``, ``kernel``, ``machine``; None if unknown."""
    conf = next((path for path in _CONFIGURATIONS if path.is_file()), None)
    system = os.uname()
    return {
        "chrony": _version(),
        "conf": str(conf) if conf else None,
        "conf_sha256": _hash(conf),
        "kernel": f"{system.sysname} {system.release}",
        "machine": system.nodename,
    }


def _hash(conf: Path | None) -> str | None:
    try:
        return sha256_of(conf) if conf else None
    except OSError:
        # It may be readable for root alone: that is no reason to archive nothing.
        return None


def _version() -> str | None:
    program = shutil.which("chronyd", path=f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}")
    if program is None:
        return None
    try:
        told = subprocess.run([program, "--version"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.decode("utf-8", "replace").strip().partition("\n")[0] or None
