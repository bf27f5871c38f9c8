"""What the tests of `tickline connections` share: calls of it, and installed packages of reports."""

from __future__ import annotations

import textwrap
from pathlib import Path

from typer.testing import CliRunner, Result

from tickline.cli import app

NOW = 1_764_000_000  # 2025-11-24T16:00:00Z
SMALL = (
    f"{NOW - 3600} tower Papa\n"
    f"{NOW - 3599} sierra Papa\n"
    f"{NOW - 10} tower Kilo\n"
    f"{NOW - 5} tower Papa\n"
    f"{NOW - 3601} early Papa\n"
    f"{NOW + 1} late Papa\n"
)


def call(*arguments: object, check: int = 0, stdin: bytes = b"") -> Result:
    """Run `tickline connections ARGUMENTS` in this process."""
    return tickline("connections", *arguments, check=check, stdin=stdin)


def tickline(*arguments: object, check: int = 0, stdin: bytes = b"") -> Result:
    """Run `tickline ARGUMENTS` in this process."""
    runner = CliRunner(env={"NO_COLOR": "1", "COLUMNS": "200"})
    done = runner.invoke(app, list(map(str, arguments)), input=stdin)
    assert done.exit_code == check, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output
    return done


def small_log(folder: Path, name: str = "connections.log") -> Path:
    """Write four connections of the hour up to `NOW`, one before it and one behind it."""
    path = folder / name
    path.write_text(SMALL)
    return path


def install_package(folder: Path, code: str, **reports: str) -> Path:
    """Put a package of reports into a folder: what pip would leave, without pip."""
    info = folder / "our_reports-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "our_reports.py").write_text(textwrap.dedent(code))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-reports\nVersion: 1.0\n")
    lines = "".join(f"{name} = our_reports:{function}\n" for name, function in reports.items())
    (info / "entry_points.txt").write_text(f"[tickline.connection_reports]\n{lines}")
    return folder
