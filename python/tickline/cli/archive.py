"""``tickline archive``: logs of chrony into an archive that is written once, and what it proves."""

import typer

from tickline.cli import archive_export, archive_report, archive_run, archive_verify

__all__ = ["app"]

app = typer.Typer(rich_markup_mode="markdown")

archive_run.register(app)
archive_export.register(app)
archive_verify.register(app)
archive_report.register(app)
